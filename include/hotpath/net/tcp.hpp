// SPDX-License-Identifier: Apache-2.0
// hotpath/net/tcp.hpp - the plain transport: non-blocking TCP and unix sockets with kernel receive stamps.
//   A transport is a type that the client is built on; TLS is another one. It never blocks and never throws.
//
//     auto where = net::resolve(url);                       // result<vector<address>>, once, before the run
//     net::tcp s; net::io r = s.connect(where->front());    // r.again: wait until writable, then establish()
#pragma once
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <sys/socket.h>
#include <unistd.h>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/net/url.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;  // "127.0.0.1:8000", "[::1]:8000", "unix:/run/x.sock"
  int family() const { return storage.ss_family; }
};

// All addresses of the URL's host in the order of getaddrinfo. Blocks: call it before the run, once.
// Errors: not_found (no such host, or a unix path too long).
result<std::vector<address>> resolve(const url& where);

// What one system call did. Exactly one of: bytes moved (or connected), again, closed (orderly end), error (an errno).
struct io {
  std::size_t bytes = 0;
  bool again = false;
  bool closed = false;
  int error = 0;
  bool ok() const { return !again && !closed && error == 0; }
};

template <class T>
concept transport = std::movable<T> && requires(T t, const address& to, std::span<char> in, std::string_view out, nanoseconds& arrived) {
  { t.connect(to) } -> std::same_as<io>;             // again: in progress
  { t.establish() } -> std::same_as<io>;             // after writability; again: not yet (a handshake)
  { t.receive(in, arrived) } -> std::same_as<io>;    // arrived: CLOCK_REALTIME stamp of the last segment read; 0 = no stamp
  { t.send(out) } -> std::same_as<io>;
  { t.descriptor() } -> std::same_as<int>;
  { t.close() } -> std::same_as<void>;
};

class tcp {
 public:
  tcp() = default;
  tcp(tcp&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  tcp& operator=(tcp&& o) noexcept {
    if (this != &o) { close(); fd_ = std::exchange(o.fd_, -1); }
    return *this;
  }
  ~tcp() { close(); }

  io connect(const address& to) noexcept;
  io establish() noexcept;
  io receive(std::span<char> in, nanoseconds& arrived) noexcept;
  io send(std::string_view out) noexcept;
  int descriptor() const noexcept { return fd_; }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};
static_assert(transport<tcp>);

}  // namespace hotpath::inline HOTPATH_ABI::net

#if HOTPATH_HEADER_ONLY
#include <hotpath/net/tcp-inl.hpp>
#endif
