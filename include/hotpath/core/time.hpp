// SPDX-License-Identifier: Apache-2.0
// hotpath/core/time.hpp - nanoseconds, the one unit of time, and the two clocks.
//   Points in time are nanoseconds since an anchor that the owner of the value names (a run's origin, a clock's epoch).
//   Light on purpose (no <chrono>: 31,600 preprocessed lines): scopes include this.
//
//     hotpath::nanoseconds limit = 500_ms;          // using namespace hotpath::literals
//     double shown = limit.ms();                    // 500.0
#pragma once
#include <stdint.h>
#include <time.h>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

struct nanoseconds {
  int64_t ns = 0;

  constexpr nanoseconds() = default;
  constexpr explicit nanoseconds(int64_t n) : ns(n) {}

  constexpr int64_t count() const { return ns; }
  constexpr double us() const { return static_cast<double>(ns) / 1e3; }
  constexpr double ms() const { return static_cast<double>(ns) / 1e6; }
  constexpr double s() const { return static_cast<double>(ns) / 1e9; }

  static constexpr nanoseconds from_us(int64_t us) { return nanoseconds{us * 1000}; }
  static constexpr nanoseconds from_ms(int64_t ms) { return nanoseconds{ms * 1'000'000}; }
  // Rounds to the nearest nanosecond; values beyond +-292 years are clamped, NaN is 0.
  static constexpr nanoseconds from_s(double s) {
    const double n = s * 1e9;
    if (n >= 9.2e18) return nanoseconds{INT64_MAX};
    if (n <= -9.2e18) return nanoseconds{INT64_MIN};
    return nanoseconds{n != n ? 0 : static_cast<int64_t>(n + (n < 0 ? -0.5 : 0.5))};
  }

  // Sums, differences and products beyond +-292 years stay there: what a hostile file says is wrong, but never undefined.
  constexpr nanoseconds operator-() const { return nanoseconds{} - *this; }
  constexpr nanoseconds& operator+=(nanoseconds o) { return *this = *this + o; }
  constexpr nanoseconds& operator-=(nanoseconds o) { return *this = *this - o; }
  friend constexpr nanoseconds operator+(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_add_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MIN : INT64_MAX};
  }
  friend constexpr nanoseconds operator-(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_sub_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MAX : INT64_MIN};
  }
  friend constexpr nanoseconds operator*(nanoseconds a, int64_t k) {
    nanoseconds r;
    return !__builtin_mul_overflow(a.ns, k, &r.ns) ? r : nanoseconds{(a.ns < 0) != (k < 0) ? INT64_MIN : INT64_MAX};
  }
  friend constexpr nanoseconds operator/(nanoseconds a, int64_t k) { return nanoseconds{a.ns / k}; }
  // Spelled out, not `<=>`: <compare> would be six times the weight of this header.
  friend constexpr bool operator==(nanoseconds a, nanoseconds b) { return a.ns == b.ns; }
  friend constexpr bool operator!=(nanoseconds a, nanoseconds b) { return a.ns != b.ns; }
  friend constexpr bool operator<(nanoseconds a, nanoseconds b) { return a.ns < b.ns; }
  friend constexpr bool operator>(nanoseconds a, nanoseconds b) { return a.ns > b.ns; }
  friend constexpr bool operator<=(nanoseconds a, nanoseconds b) { return a.ns <= b.ns; }
  friend constexpr bool operator>=(nanoseconds a, nanoseconds b) { return a.ns >= b.ns; }
};

inline namespace literals {
constexpr nanoseconds operator""_ns(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n)}; }
constexpr nanoseconds operator""_us(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1000}; }
constexpr nanoseconds operator""_ms(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000}; }
constexpr nanoseconds operator""_s(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000'000}; }
}  // namespace literals

namespace detail {
inline nanoseconds read_clock(clockid_t id) noexcept {
  timespec t;
  clock_gettime(id, &t);
  return nanoseconds{static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec};
}
}  // namespace detail

// CLOCK_MONOTONIC: never steps. Every duration in hotpath is a difference of two of these. About 20 ns a call (vDSO).
inline nanoseconds monotonic_now() noexcept { return detail::read_clock(CLOCK_MONOTONIC); }
// CLOCK_REALTIME, nanoseconds since 1970. It may step at any moment: an anchor for people, never an operand of a duration.
inline nanoseconds realtime_now() noexcept { return detail::read_clock(CLOCK_REALTIME); }

}  // namespace hotpath::inline HOTPATH_ABI
