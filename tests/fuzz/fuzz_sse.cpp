// SPDX-License-Identifier: Apache-2.0
// Any bytes as an event stream: the specification's algorithm, whole, byte by byte and cut at every offset (of long ones the first 40).
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hotpath/replay/sse.hpp>
#include <string_view>
#include <support/sse_reference.hpp>
#include <vector>

namespace {
using events = std::vector<hotpath_test::event_copy>;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_sse: %s\n", what);
  std::abort();
}

void feed(hotpath::replay::sse_parser& p, std::string_view bytes, events& out) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  p.feed({copy.data(), copy.size()}, [&](const hotpath::replay::sse_event& e) {
    out.push_back({std::string(e.type), std::string(e.data), std::string(e.id)});
  });
}

struct reading {
  events seen;
  bool pending = false, over_limit = false;
  friend bool operator==(const reading&, const reading&) = default;
};
reading read(std::string_view bytes, std::size_t first, std::size_t then, std::size_t limit) {
  hotpath::replay::sse_parser p{limit};
  reading r;
  for (std::size_t at = 0, n = first; at < bytes.size(); at += n, n = then) feed(p, bytes.substr(at, n), r.seen);
  r.pending = p.event_pending();
  r.over_limit = p.over_limit();
  return r;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const std::size_t limit : {hotpath::replay::sse_parser::default_limit, std::size_t{24}}) {
    const reading whole = read(bytes, size + 1, size + 1, limit);
    if (!whole.over_limit) require(whole.seen == hotpath_test::sse_reference(std::string(bytes)), "not the specification's events");
    require(read(bytes, 1, 1, limit) == whole, "byte by byte is not as whole");
    require(read(bytes, 3, 7, limit) == whole, "sevens are not as whole");
    for (std::size_t cut = 1; cut < size && (size < 200 || cut < 40); ++cut) require(read(bytes, cut, size, limit) == whole, "a cut changes the events");
  }
  return 0;
}
