// SPDX-License-Identifier: Apache-2.0
// core/time.hpp: the unit of time at its edges.
#include <doctest/doctest.h>
#include <hotpath/core/time.hpp>
#include <limits>

using namespace hotpath;

TEST_CASE("core: time: sums, differences and products beyond 292 years stay at the edge") {
  constexpr nanoseconds most{INT64_MAX}, least{INT64_MIN}, one{1};
  CHECK(most + one == most);
  CHECK(least - one == least);
  CHECK(most - least == most);
  CHECK(least - most == least);
  CHECK(-least == most);
  CHECK(most * 2 == most);
  CHECK(most * -2 == least);
  CHECK(least * -1 == most);
  CHECK(least * 0 == nanoseconds{});
  nanoseconds sum = most;
  CHECK((sum += most) == most);
  CHECK((sum -= least) == most);
  CHECK((sum -= most) == nanoseconds{});
  static_assert(5_us - 7_us == nanoseconds{-2000} && 3 * 1'000'000 == (3_ms).count());
}

TEST_CASE("core: time: seconds round to the nearest nanosecond, what is beyond the range is clamped, NaN is nothing") {
  CHECK(nanoseconds::from_s(1.5e-9).ns == 2);
  CHECK(nanoseconds::from_s(-1.5e-9).ns == -2);
  CHECK(nanoseconds::from_s(0.25).ms() == 250.0);
  CHECK(nanoseconds::from_s(1e300).ns == INT64_MAX);
  CHECK(nanoseconds::from_s(-1e300).ns == INT64_MIN);
  CHECK(nanoseconds::from_s(std::numeric_limits<double>::quiet_NaN()).ns == 0);
}
