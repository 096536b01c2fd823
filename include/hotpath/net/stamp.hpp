// SPDX-License-Identifier: Apache-2.0
// hotpath/net/stamp.hpp - the kernel's receive stamps, moved from CLOCK_REALTIME to CLOCK_MONOTONIC.
//   SO_TIMESTAMPNS stamps a segment when the kernel receives it, on CLOCK_REALTIME, which may step. clock_bridge keeps the
//   offset between the clocks from bracketed pairs (read mono, real, mono: the middle belongs between the ends) and notices
//   steps: stamps read in the wake-up that first sees a step could lie on either side of it and are refused.
//   Clocks is a type so that a test can make time step; not thread-safe: one bridge per loop.
#pragma once
#include <cstdint>
#include <optional>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct system_clocks {
  static nanoseconds monotonic() noexcept { return monotonic_now(); }
  static nanoseconds realtime() noexcept { return realtime_now(); }
};

template <class Clocks = system_clocks>
class clock_bridge {
 public:
  clock_bridge() { measure(); }

  // Once per wake-up, after it; 40 ns. False: the wall clock stepped since the last call, refuse this wake-up's stamps.
  bool observe() noexcept {
    const nanoseconds mono = Clocks::monotonic();
    const nanoseconds off = Clocks::realtime() - mono;
    const nanoseconds moved = off > offset_ ? off - offset_ : offset_ - off;
    if (moved <= tolerance) {
      if (mono - measured_ > nanoseconds{1'000'000'000}) measure();
      return true;
    }
    // A preemption between the two reads looks like a step; a bracketed measurement does not.
    const nanoseconds before = offset_;
    measure();
    const nanoseconds really = offset_ > before ? offset_ - before : before - offset_;
    if (really <= tolerance) return true;
    ++steps_;
    return false;
  }

  // The stamp on CLOCK_MONOTONIC, at most `read_at` (a segment is not received after it was read).
  // Nothing when it lies further ahead of the read than the clocks' tolerance: it cannot be right.
  std::optional<nanoseconds> to_monotonic(nanoseconds realtime, nanoseconds read_at) const noexcept {
    const nanoseconds at = realtime - offset_;
    if (at > read_at + tolerance) return std::nullopt;
    return at > read_at ? read_at : at;
  }

  std::uint64_t steps() const noexcept { return steps_; }

  // NTP slews both clocks alike, so the offset moves only by steps; 50 us is above what bracketing leaves on a busy machine.
  static constexpr nanoseconds tolerance{50'000};

 private:
  void measure() noexcept {
    nanoseconds best{INT64_MAX};
    for (int i = 0; i < 5 && best > nanoseconds{200}; ++i) {
      const nanoseconds a = Clocks::monotonic();
      const nanoseconds real = Clocks::realtime();
      const nanoseconds b = Clocks::monotonic();
      if (b - a >= best) continue;
      best = b - a;
      offset_ = real - (a + (b - a) / 2);
      measured_ = b;
    }
  }
  nanoseconds offset_{}, measured_{};
  std::uint64_t steps_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::net
