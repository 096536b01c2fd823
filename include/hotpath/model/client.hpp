// SPDX-License-Identifier: Apache-2.0
// hotpath/model/client.hpp - the load client's measurements of itself, one row per thread and second.
//   A client that cannot keep up must say so; these rows are the evidence.
#pragma once
#include <cstdint>
#include <hotpath/core/sketch.hpp>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

// From where on a client was the limit of what it measured (S8 of docs/statistics.md): one in a hundred requests dispatched later than
// this after it was due, more than this share of content events inexact, a thread above this share of a core for so long on end.
inline constexpr nanoseconds late_after{10'000'000};
inline constexpr double inexact_limit = 0.05;
inline constexpr double hot_share = 0.85;
inline constexpr nanoseconds hot_limit{5'000'000'000};

struct client_interval {
  std::uint32_t thread = 0;
  nanoseconds begin{}, end{};         // since the run's origin
  nanoseconds cpu{};                  // CPU time of the thread within it (CLOCK_THREAD_CPUTIME_ID)
  std::uint64_t wakeups = 0;          // returns of epoll_wait with at least one event
  std::uint64_t reads = 0;            // recvmsg calls that returned bytes
  std::uint64_t bytes_received = 0, bytes_sent = 0;
  std::uint64_t content_events = 0;
  std::uint64_t inexact_events = 0;   // that shared their read with another content event (or part of one), or had no kernel stamp
  std::uint64_t receive_queue_max = 0;  // bytes seen waiting in one socket, high-water
  std::uint32_t open_descriptors = 0;   // of this thread's loop, at the end of the interval
  std::uint32_t in_flight = 0;          // at the end of the interval
  nanoseconds suspended{};            // the longest gap in which the loop's clock jumped: SIGSTOP, a suspended machine
  stats::sketch loop_lag_ns{};         // how late a due timer or ready socket was handled (wake-up lag)
  stats::sketch read_lag_ns{};         // time after recvmsg minus the kernel's receive stamp
};

}  // namespace hotpath::inline HOTPATH_ABI::model
