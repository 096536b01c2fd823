// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/net/tcp.hpp>

#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

namespace hotpath::inline HOTPATH_ABI::net {

HOTPATH_FN result<std::vector<address>> resolve(const url& where) {
  std::vector<address> all;
  if (where.is_unix()) {
    address a;
    auto* un = reinterpret_cast<sockaddr_un*>(&a.storage);
    if (where.socket_path.size() >= sizeof un->sun_path)
      return error{.code = errc::not_found, .detail = "unix socket path is longer than " + std::to_string(sizeof un->sun_path - 1) + " bytes",
                   .source = where.display()};
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, where.socket_path.data(), where.socket_path.size());
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + where.socket_path.size() + 1);
    a.text = "unix:" + where.socket_path;
    all.push_back(std::move(a));
    return all;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // No AI_ADDRCONFIG: it hides ::1 and 127.0.0.1 on machines with only a loopback interface.
  const std::string port = std::to_string(where.port);
  if (const int e = ::getaddrinfo(where.host.c_str(), port.c_str(), &hints, &found); e != 0)
    return error{.code = errc::not_found, .detail = "host \"" + where.host + "\" is not known: " + ::gai_strerror(e), .source = where.display(),
                 .hint = "check the endpoint's name"};
  for (const addrinfo* i = found; i != nullptr; i = i->ai_next) {
    address a;
    std::memcpy(&a.storage, i->ai_addr, i->ai_addrlen);
    a.size = i->ai_addrlen;
    char host[NI_MAXHOST] = "";
    ::getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    a.text = (i->ai_family == AF_INET6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
    all.push_back(std::move(a));
  }
  ::freeaddrinfo(found);
  return all;
}

HOTPATH_FN io tcp::connect(const address& to) noexcept {
  close();
  fd_ = ::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return {.error = errno};
  const int on = 1;
  if (to.family() != AF_UNIX) {
    const int idle_s = 30, every_s = 10, probes = 3;  // a peer that vanished without FIN is noticed after a minute
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    ::setsockopt(fd_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  }
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0) return {};
  // EAGAIN: a unix socket whose backlog is full; it does not become writable later, so it is an error of its own.
  if (errno == EINPROGRESS || errno == EINTR) return {.again = true};
  return {.error = errno};
}

HOTPATH_FN io tcp::establish() noexcept {
  int e = 0;
  socklen_t n = sizeof e;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &e, &n) != 0) e = errno;
  if (e == 0) return {};
  return {.error = e};
}

HOTPATH_FN io tcp::receive(std::span<char> in, nanoseconds& arrived) noexcept {
  arrived = {};
  iovec into{in.data(), in.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec)) + 32];
  msghdr m{};
  m.msg_iov = &into;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n;
  do n = ::recvmsg(fd_, &m, 0);
  while (n < 0 && errno == EINTR);
  if (n == 0) return {.closed = true};
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {.again = true};
    return {.error = errno};
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t;
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    arrived = nanoseconds{static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec};
  }
  return {.bytes = static_cast<std::size_t>(n)};
}

HOTPATH_FN io tcp::send(std::string_view out) noexcept {
  ssize_t n;
  do n = ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return {.bytes = static_cast<std::size_t>(n)};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {.again = true};
  return {.error = errno};
}

}  // namespace hotpath::inline HOTPATH_ABI::net
