// SPDX-License-Identifier: Apache-2.0
// hotpath/net/stamp_probe-inl.hpp - bodies of net/stamp_probe.hpp
#pragma once
#include <cerrno>
#include <cstring>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <hotpath/net/stamp.hpp>
#include <hotpath/net/tcp.hpp>
#include <hotpath/net/stamp_probe.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace detail

HOTPATH_FN result<stamp_probe> probe_stamps() {
  const auto fail = [](const char* doing) { return error{.code = errc::io, .detail = std::string("cannot ") + doing + ": " + std::strerror(errno), .source = "127.0.0.1"}; };
  const nanoseconds deadline = monotonic_now() + nanoseconds{1'000'000'000};
  const auto ready = [&](int fd, short events) {
    const nanoseconds left = deadline - monotonic_now();
    pollfd p{fd, events, 0};
    return left > nanoseconds{} && ::poll(&p, 1, static_cast<int>(left.ns / 1'000'000) + 1) == 1;
  };
  const detail::descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  if (listener.fd < 0 || ::bind(listener.fd, reinterpret_cast<const sockaddr*>(&a), size) != 0 || ::listen(listener.fd, 1) != 0 ||
      ::getsockname(listener.fd, reinterpret_cast<sockaddr*>(&a), &size) != 0)
    return fail("listen on the loopback");
  address to;
  std::memcpy(&to.storage, &a, sizeof a);
  to.size = sizeof a;
  tcp client;
  io r = client.connect(to);
  if (r.again && ready(client.descriptor(), POLLOUT)) r = client.establish();
  if (!r.ok()) return fail("connect over the loopback");
  if (!ready(listener.fd, POLLIN)) return fail("accept over the loopback");
  const detail::descriptor server{::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC)};
  if (server.fd < 0) return fail("accept over the loopback");

  stamp_probe out;
  clock_bridge<> clocks;
  for (int i = 0; i < 8; ++i) {
    if (::send(server.fd, "ping", 4, MSG_NOSIGNAL) != 4 || !ready(client.descriptor(), POLLIN)) break;
    char bytes[16];
    nanoseconds real;
    r = client.receive(bytes, real);
    const nanoseconds now = monotonic_now();
    const bool steady = clocks.observe();
    if (!r.ok()) break;
    ++out.reads;
    const auto at = real != nanoseconds{} && steady ? clocks.to_monotonic(real, now) : std::nullopt;
    if (!at) continue;
    ++out.stamped;
    if (out.stamped == 1 || now - *at < out.lag) out.lag = now - *at;
  }
  if (out.reads == 0) return fail("receive over the loopback");
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::net
