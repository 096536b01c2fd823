// SPDX-License-Identifier: Apache-2.0
// hotpath/model/clock.hpp - a stamp: when, and how that is known.
//   `at` counts from the origin of the run (run_info::origin on CLOCK_MONOTONIC, anchored once to wall time); stamps of one
//   run may be subtracted. Server stamps live on another clock until a clock fit has moved them: `source` tells.
#pragma once
#include <cstdint>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class stamp_source : std::uint8_t {
  none,      // never happened, or not known
  schedule,  // planned, not measured
  user,      // the client's own clock, read after the fact: an upper bound
  kernel,    // the kernel's receive stamp of the segment that completed the event
  server,    // told by the server (log, metrics), on its clock
};

struct stamp {
  nanoseconds at{};
  stamp_source source = stamp_source::none;
  bool exact = false;  // false: an upper bound (one read held several events, or the loop's clock was all there was)

  constexpr explicit operator bool() const { return source != stamp_source::none; }
};
static_assert(sizeof(stamp) == 16);

}  // namespace hotpath::inline HOTPATH_ABI::model
