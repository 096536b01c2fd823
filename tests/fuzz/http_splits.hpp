// SPDX-License-Identifier: Apache-2.0
// tests/fuzz/http_splits.hpp - a response read whole, byte by byte and in random pieces: what must be the same.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hotpath/core/random.hpp>
#include <hotpath/net/http.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hotpath_fuzz {

inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

struct reading {
  int state = 0, fault = 0, status = 0;
  bool reusable = false, complete = false;
  std::uint32_t warnings = 0;
  std::size_t used = 0;   // of a response that did not fail
  std::string body, fields;
  friend bool operator==(const reading&, const reading&) = default;
};

// Pieces of `most` bytes at most; 0: whole. Feeds each as a heap copy of just its size.
inline reading read_response(std::string_view bytes, const hotpath::net::http_limits& limits, bool head_request, bool close, std::uint64_t seed, std::size_t most) {
  using state = hotpath::net::response_parser::state;
  hotpath::net::response_parser p(limits);
  p.reset(head_request);
  hotpath::stats::xoshiro256 random{seed};
  reading r;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t n = most == 0 ? bytes.size() : std::min<std::size_t>(bytes.size() - at, 1 + static_cast<std::size_t>(random.below(most)));
    const std::vector<char> piece(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin() + static_cast<std::ptrdiff_t>(at + n));
    const std::size_t used = p.feed({piece.data(), n}, [&](std::string_view b) {
      require(!b.empty() && b.data() >= piece.data() && b.data() + b.size() <= piece.data() + n, "a piece of body outside what was fed");
      r.body += b;
    });
    require(used <= n, "took more than it was given");
    require(used == n || p.now() == state::done || p.now() == state::failed, "stopped without an end");
    r.used += used;
    at += n;
    if (used != n) break;
  }
  if (close) p.eof();
  const auto h = p.head();
  r.state = static_cast<int>(p.now());
  r.fault = static_cast<int>(p.fault());
  r.status = h.status;
  r.reusable = p.reusable();
  r.complete = p.head_complete();
  r.warnings = p.warnings();
  for (std::string_view f : {h.content_type, h.content_encoding, h.server, h.location, h.retry_after, h.request_id}) r.fields.append(f).append("\n");
  require((p.now() == state::failed) == (p.fault() != hotpath::net::http_fault::none), "a failure without a fault");
  require((p.now() == state::failed) == !p.what().empty() && p.what().size() < 300, "a failure without its reason");
  require(limits.body == 0 || r.body.size() <= limits.body, "more body than the limit");
  require(r.body.size() == p.body_bytes() && r.body.size() <= bytes.size(), "body bytes do not add up");
  if (p.now() == state::failed) r.used = 0;
  return r;
}

inline void same_in_all_pieces(std::string_view bytes, const hotpath::net::http_limits& limits, bool head_request, bool close) {
  std::uint64_t seed = bytes.size();
  for (char c : bytes) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  const reading whole = read_response(bytes, limits, head_request, close, 0, 0);
  for (const std::size_t most : {1u, 2u, 5u, 40u}) {
    require(read_response(bytes, limits, head_request, close, seed + most, most) == whole, "another result in other pieces");
  }
}

}  // namespace hotpath_fuzz
