// SPDX-License-Identifier: Apache-2.0
// hotpath/model/progress.hpp - how far a load is while it goes on: what its client knows without asking anybody.
//   Counts are since the start; sketches hold what came since the snapshot before, so that whoever shows them chooses the span.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <hotpath/core/sketch.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/model/request.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

struct progress {
  nanoseconds elapsed{};             // since the start of sending
  std::string_view phase;            // "sending", "draining"
  std::uint64_t sent = 0, finished = 0, ok = 0, failed = 0, in_flight = 0, waiting = 0;  // waiting: for a slot of the cap
  std::array<std::uint64_t, error_class_count> errors{};  // of failed and cancelled requests
  std::uint64_t output_tokens = 0;   // of requests that have ended
  std::uint64_t output_events = 0;   // content events of the same requests: tokens per event, for the rate of those in flight
  stats::sketch ttft_ms, tpot_ms;    // since the snapshot before; ttft: of requests whose first content came, whether they have ended or not

  // The client itself.
  std::uint64_t judged = 0, late = 0;  // requests that have ended and had been sent; of these, more than 10 ms after they were due
  std::uint64_t content_events = 0, inexact_events = 0;  // of all requests, up to the last whole second of each thread
  nanoseconds covered{};             // the time these two stand for, summed over threads
  std::uint32_t threads = 0;
  std::optional<double> cpu_share;   // of a core, by the busiest thread, in the last second; missing: no second has ended since the snapshot before
  nanoseconds hot{};                 // how long a thread has used more than 85 % of a core on end
  stats::sketch loop_lag_ns;         // since the snapshot before
};

}  // namespace hotpath::inline HOTPATH_ABI::model
