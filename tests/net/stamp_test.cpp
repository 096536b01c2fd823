// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cstdlib>
#include <hotpath/net/stamp.hpp>

using namespace hotpath;

namespace {
struct fake {
  static inline std::int64_t mono = 0, offset = 0, tick = 10;
  static nanoseconds monotonic() noexcept { return nanoseconds{mono += tick}; }
  static nanoseconds realtime() noexcept { return nanoseconds{(mono += tick) + offset}; }
};
}  // namespace

TEST_CASE("net: F-DB-14 a wall clock that steps in mid-run never moves an interval: stamps around the step are refused") {
  fake::mono = 1'000'000'000, fake::offset = 5'000'000'000'000;
  net::clock_bridge<fake> bridge;
  CHECK(bridge.observe());
  const auto received = [&](std::int64_t ago) { return nanoseconds{fake::mono - ago + fake::offset}; };
  auto at = bridge.to_monotonic(received(500'000), nanoseconds{fake::mono});
  REQUIRE(at);
  CHECK(std::abs(at->ns - (fake::mono - 500'000)) <= 20);
  for (const std::int64_t step : {std::int64_t{-3'600'000'000'000}, std::int64_t{10'000'000}, std::int64_t{100'000}, std::int64_t{-100'000}}) {
    CAPTURE(step);
    fake::offset += step;
    CHECK_FALSE(bridge.observe());  // this wake-up's stamps are refused
    CHECK(bridge.observe());
    at = bridge.to_monotonic(received(300'000), nanoseconds{fake::mono});
    REQUIRE(at);
    CHECK(std::abs(at->ns - (fake::mono - 300'000)) <= 20);
  }
  CHECK(bridge.steps() == 4);
}

TEST_CASE("net: a preemption between two clock reads is not taken for a step") {
  fake::mono = 1'000'000'000, fake::offset = 77;
  net::clock_bridge<fake> bridge;
  fake::tick = 200'000;  // every read takes 0.2 ms
  CHECK(bridge.observe());
  fake::tick = 10;
  CHECK(bridge.observe());
  CHECK(bridge.steps() == 0);
}

TEST_CASE("net: a stamp from the future is refused, one within the clocks' tolerance is the moment of the read") {
  fake::mono = 1'000'000'000, fake::offset = 0, fake::tick = 10;
  net::clock_bridge<fake> bridge;
  const nanoseconds now{fake::mono};
  CHECK_FALSE(bridge.to_monotonic(now + 1_ms, now));
  CHECK(bridge.to_monotonic(now + 10_us, now) == now);
}
