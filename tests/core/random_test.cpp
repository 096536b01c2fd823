// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <cstdint>
#include <vector>
#include <hotpath/core/random.hpp>

using namespace hotpath;

TEST_CASE("stats: S4 splitmix64 seeded with 42 gives the known numbers") {
  stats::splitmix64 s{42};
  CHECK(s.next() == 0xbdd732262feb6e95u);
  CHECK(s.next() == 0x28efe333b266f103u);
  CHECK(s.next() == 0x47526757130f9f52u);
}

// The generator written a second time, from the paper's recurrence, on a state given in full.
TEST_CASE("stats: S4 xoshiro256** follows its recurrence from a splitmix64 state") {
  stats::splitmix64 fill{7};
  std::uint64_t s[4];
  for (auto& v : s) v = fill.next();
  const auto rotl = [](std::uint64_t x, unsigned k) { return (x << k) | (x >> (64 - k)); };
  stats::xoshiro256 r{7};
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t want = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t, s[3] = rotl(s[3], 45);
    REQUIRE(r.next() == want);
  }
}

TEST_CASE("stats: S4 below(n) stays below n and is even, also where 2^64 is no multiple of n") {
  stats::xoshiro256 r{1};
  CHECK(r.below(0) == 0);
  CHECK(r.below(1) == 0);
  std::vector<int> seen(7);
  for (int i = 0; i < 70'000; ++i) ++seen[r.below(7)];
  double chi2 = 0;
  for (const int n : seen) chi2 += (n - 10'000.0) * (n - 10'000.0) / 10'000;
  CHECK(chi2 < 22.46);  // chi-square with 6 degrees, 99.9 %
  // n = 3 * 2^62: without rejection the third quarter would be hit twice as often as the others.
  const std::uint64_t n = 3ull << 62;
  int third[3] = {};
  for (int i = 0; i < 30'000; ++i) {
    const auto v = r.below(n);
    REQUIRE(v < n);
    // Where the bias would sit: multiples of 4/3 round to the same value.
    ++third[v % 3];
  }
  for (const int c : third) CHECK(std::abs(c - 10'000) < 330);  // 4 sigma
}

TEST_CASE("stats: unit, exponential and normal have their moments, and equal seeds give equal numbers") {
  stats::xoshiro256 r{3};
  double u = 0, u2 = 0, e = 0, z = 0, z2 = 0, z4 = 0, low = 1, high = 0;
  const int n = 200'000;
  for (int i = 0; i < n; ++i) {
    const double x = r.unit(), y = r.normal();
    low = x < low ? x : low;
    high = x > high ? x : high;
    u += x, u2 += x * x, z += y, z2 += y * y, z4 += y * y * y * y;
    const double g = r.exponential(2.5);
    REQUIRE(g >= 0);
    e += g;
  }
  CHECK(low >= 0);
  CHECK(high < 1);
  CHECK(u / n == doctest::Approx(0.5).epsilon(0.005));
  CHECK(u2 / n == doctest::Approx(1.0 / 3).epsilon(0.01));
  CHECK(e / n == doctest::Approx(2.5).epsilon(0.01));
  CHECK(std::fabs(z / n) < 0.01);
  CHECK(z2 / n == doctest::Approx(1).epsilon(0.015));
  CHECK(z4 / n == doctest::Approx(3).epsilon(0.05));
  stats::xoshiro256 a{9}, b{9}, c{10};
  CHECK(a.next() == b.next());
  CHECK(a.next() != c.next());
}
