// SPDX-License-Identifier: Apache-2.0
// hotpath/net/loop.hpp - one epoll set: readiness, one wake-up call from other threads, waits to the nanosecond.
//   One loop per thread; only wake() may be called from another. Nothing allocates after add().
//
//     net::loop l; if (!l) return l.failure();
//     l.add(fd, token, net::readable | net::writable);
//     for (const net::ready& r : l.wait(deadline)) …      // CLOCK_MONOTONIC deadline; empty at the deadline and at wake()
#pragma once
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

inline constexpr std::uint32_t readable = EPOLLIN | EPOLLRDHUP;
inline constexpr std::uint32_t writable = EPOLLOUT;

struct ready {
  std::uint64_t token;
  bool in;   // bytes, an end, or an error to be read
  bool out;
};

class loop {
 public:
  loop() noexcept : epoll_(::epoll_create1(EPOLL_CLOEXEC)), bell_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (epoll_ >= 0 && bell_ >= 0 && control(EPOLL_CTL_ADD, bell_, bell_token, EPOLLIN)) return;
    errno_ = errno;
  }
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;
  ~loop() {
    if (bell_ >= 0) ::close(bell_);
    if (epoll_ >= 0) ::close(epoll_);
  }

  explicit operator bool() const noexcept { return errno_ == 0; }
  error failure() const { return {.code = errc::io, .detail = std::string("cannot make an event loop: ") + std::strerror(errno_), .hint = "raise the limit of open files (ulimit -n)"}; }

  bool add(int fd, std::uint64_t token, std::uint32_t interest) noexcept { return control(EPOLL_CTL_ADD, fd, token, interest); }
  bool change(int fd, std::uint64_t token, std::uint32_t interest) noexcept { return control(EPOLL_CTL_MOD, fd, token, interest); }
  // Closing a descriptor removes it too; this is for descriptors that stay open.
  bool remove(int fd) noexcept { return control(EPOLL_CTL_DEL, fd, 0, 0); }

  // Waits until something is ready, wake() is called, or the deadline has passed. The span lives until the next wait.
  std::span<const ready> wait(nanoseconds deadline) noexcept {
    const nanoseconds now = monotonic_now();
    nanoseconds left = deadline - now;
    if (left < nanoseconds{0}) left = nanoseconds{0};
    int n = -1;
    if (pwait2_) {
      const timespec t{static_cast<time_t>(left.ns / 1'000'000'000), static_cast<long>(left.ns % 1'000'000'000)};
      n = ::epoll_pwait2(epoll_, events_, capacity, &t, nullptr);
      if (n < 0 && (errno == ENOSYS || errno == EPERM)) pwait2_ = false;  // before Linux 5.11, or a filter that does not know it
    }
    if (!pwait2_) {
      const std::int64_t ms = (left.ns + 999'999) / 1'000'000;
      n = ::epoll_wait(epoll_, events_, capacity, static_cast<int>(ms > 60'000 ? 60'000 : ms));
    }
    std::size_t used = 0;
    for (int i = 0; i < n; ++i) {
      const std::uint32_t e = events_[i].events;
      if (events_[i].data.u64 == bell_token) {
        std::uint64_t rung;
        while (::read(bell_, &rung, sizeof rung) > 0) {}
        continue;
      }
      ready_[used++] = {events_[i].data.u64, (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, (e & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0};
    }
    return {ready_, used};
  }

  // Ends the current or the next wait. Any thread.
  void wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(bell_, &one, sizeof one);
  }

 private:
  static constexpr int capacity = 256;
  static constexpr std::uint64_t bell_token = UINT64_MAX;
  bool control(int op, int fd, std::uint64_t token, std::uint32_t interest) noexcept {
    epoll_event e{};
    e.events = interest;
    e.data.u64 = token;
    return ::epoll_ctl(epoll_, op, fd, &e) == 0;
  }
  int epoll_, bell_, errno_ = 0;
  bool pwait2_ = true;
  epoll_event events_[capacity];
  ready ready_[capacity];
};

}  // namespace hotpath::inline HOTPATH_ABI::net
