// SPDX-License-Identifier: Apache-2.0
// hotpath/net/fetch.hpp - one small request without a body, blocking, with a deadline: /v1/models, /health, /metrics.
//
//     auto page = net::fetch(*url, "/v1/models", headers, {.total = 5_s});
//     if (!page) …                       // unreachable, over_limit, malformed framing: with what and where
//     if (page->status != 200) …
#pragma once
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <poll.h>
#include <hotpath/net/http.hpp>
#include <hotpath/net/tcp.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct fetch_options {
  nanoseconds total{5'000'000'000};   // from connect to the last byte, all addresses together
  std::uint64_t body_limit = 64u << 20;
  std::string_view method = "GET";    // or another that changes nothing and sends no body: OPTIONS
};

struct page {
  int status = 0;
  std::string content_type, server, body;
};

namespace detail {
// Waits for `events` on the descriptor until the deadline. False: the deadline passed.
inline bool wait_for(int descriptor, short events, nanoseconds deadline) {
  for (;;) {
    const nanoseconds left = deadline - monotonic_now();
    if (left <= nanoseconds{0}) return false;
    pollfd p{descriptor, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(left.ns / 1'000'000) + 1);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}
}  // namespace detail

template <transport Transport = tcp>
result<page> fetch(const url& where, std::string_view target, std::span<const header> headers = {}, const fetch_options& options = {}) {
  const std::string shown = where.display() + std::string(target);
  const auto fail = [&](errc code, std::string detail, std::string hint = {}) {
    return error{.code = code, .detail = std::move(detail), .source = shown, .hint = std::move(hint)};
  };
  auto addresses = resolve(where);
  if (!addresses) return addresses.error();
  std::vector<header> all{headers.begin(), headers.end()};
  all.push_back({"Accept", "*/*"});
  if (const std::string secret = where.basic_authorization(); !secret.empty()) all.push_back({"Authorization", secret});
  std::string wire;
  if (auto written = write_request(wire, options.method, where.target(target), where.authority(), all); !written) return written.error();

  const nanoseconds deadline = monotonic_now() + options.total;
  std::string why = "no address";
  for (const address& to : *addresses) {
    Transport socket;
    io r = socket.connect(to);
    if (r.again)
      do {
        if (!detail::wait_for(socket.descriptor(), POLLOUT, deadline)) return fail(errc::unreachable, "no connection to " + to.text + " in time", "is the server up?");
        r = socket.establish();
      } while (r.again);
    if (!r.ok()) {
      why = "cannot connect to " + to.text + ": " + std::strerror(r.error);
      continue;
    }
    for (std::size_t sent = 0; sent < wire.size();) {
      r = socket.send(std::string_view{wire}.substr(sent));
      if (r.again && !detail::wait_for(socket.descriptor(), POLLOUT, deadline)) return fail(errc::unreachable, "the server did not take the request in time");
      if (!r.again && !r.ok()) break;  // it may have answered all the same
      sent += r.bytes;
    }
    response_parser parser{{.body = options.body_limit}};
    page p;
    char buffer[16 << 10];
    while (parser.now() == response_parser::state::head || parser.now() == response_parser::state::body) {
      nanoseconds stamp;
      r = socket.receive(buffer, stamp);
      if (r.again) {
        if (!detail::wait_for(socket.descriptor(), POLLIN, deadline)) return fail(errc::unreachable, "no complete answer in time");
      } else if (r.closed) {
        parser.eof();
      } else if (!r.ok()) {
        return fail(errc::unreachable, std::string("the connection failed: ") + std::strerror(r.error));
      } else {
        parser.feed({buffer, r.bytes}, [&](std::string_view piece) { p.body += piece; });
      }
    }
    if (parser.now() == response_parser::state::failed)
      return fail(parser.fault() == http_fault::over_limit ? errc::over_limit : errc::malformed, std::string(parser.what()));
    const response_head head = parser.head();
    p.status = head.status;
    p.content_type = head.content_type;
    p.server = head.server;
    return p;
  }
  return fail(errc::unreachable, why, "is the server up, and is this its address?");
}

}  // namespace hotpath::inline HOTPATH_ABI::net
