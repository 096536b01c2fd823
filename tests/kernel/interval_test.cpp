// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/random.hpp>
#include <hotpath/kernel/interval.hpp>

using namespace hotpath;
using kernel::interval;

namespace {
interval iv(std::int64_t a, std::int64_t b) { return {nanoseconds{a}, nanoseconds{b}}; }

// The second way: one flag per nanosecond.
struct bitmap {
  bool at[200] = {};
  explicit bitmap(const std::vector<interval>& set) {
    for (const interval& i : set)
      for (std::int64_t t = i.begin.ns; t < i.end.ns; ++t) at[t] = true;
  }
  std::vector<interval> runs() const {
    std::vector<interval> out;
    for (std::int64_t t = 0; t < 200; ++t)
      if (at[t] && (t == 0 || !at[t - 1])) {
        std::int64_t end = t;
        while (end < 200 && at[end]) ++end;
        out.push_back(iv(t, end));
      }
    return out;
  }
};
std::vector<interval> some(stats::xoshiro256& g, std::size_t most) {
  std::vector<interval> v;
  for (std::size_t n = g.below(most + 1); n > 0; --n) {
    const auto a = static_cast<std::int64_t>(g.below(190)), length = static_cast<std::int64_t>(g.below(12)) - 2;  // some are empty, some run backwards
    v.push_back(iv(a, (std::max)(a + length, std::int64_t{0})));
  }
  return v;
}
}  // namespace

TEST_CASE("kernel: union, intersection and difference agree with a flag per nanosecond on random sets") {
  stats::xoshiro256 g(5);
  for (int round = 0; round < 2000; ++round) {
    std::vector<interval> a = some(g, 30), b = some(g, 30);
    const bitmap in_a(a), in_b(b);
    kernel::unite(a), kernel::unite(b);
    REQUIRE(a == in_a.runs());
    bitmap both({}), less({});
    for (int t = 0; t < 200; ++t) both.at[t] = in_a.at[t] && in_b.at[t], less.at[t] = in_a.at[t] && !in_b.at[t];
    const std::vector<interval> common = kernel::intersect(a, b), rest = kernel::subtract(a, b);
    REQUIRE(common == both.runs());
    std::vector<interval> joined = rest;  // a hole of b may be cut out of one interval of a: pieces do not touch
    kernel::unite(joined);
    REQUIRE(joined == rest);
    REQUIRE(rest == less.runs());
    REQUIRE(kernel::length(common) + kernel::length(rest) == kernel::length(a));
  }
}

TEST_CASE("kernel: intervals are half-open, and one of zero length covers nothing") {
  std::vector<interval> v = {iv(10, 20), iv(20, 30), iv(5, 5), iv(40, 40), iv(50, 45)};
  kernel::unite(v);
  CHECK(v == std::vector<interval>{iv(10, 30)});
  CHECK(kernel::intersect(std::vector<interval>{iv(0, 10)}, std::vector<interval>{iv(10, 20)}).empty());
  CHECK(kernel::subtract(std::vector<interval>{iv(0, 10)}, std::vector<interval>{iv(10, 20)}) == std::vector<interval>{iv(0, 10)});
  CHECK(kernel::length(std::vector<interval>{}) == 0_ns);
  std::vector<interval> none;
  kernel::unite(none);
  CHECK(none.empty());
}

TEST_CASE("kernel: a sweep sees ends before begins of the same moment, and its slices cover the time once") {
  std::vector<kernel::edge> edges = {{nanoseconds{10}, 1, true}, {nanoseconds{0}, 0, true}, {nanoseconds{10}, 0, false}, {nanoseconds{30}, 1, false},
                                     {nanoseconds{20}, 2, true}, {nanoseconds{25}, 2, false}};
  std::vector<interval> slices;
  int active = 0, most = 0;
  std::vector<int> at_slice;
  kernel::sweep(edges, [&](nanoseconds a, nanoseconds b) { slices.push_back({a, b}), at_slice.push_back(active); },
                [&](const kernel::edge& e) { active += e.begins ? 1 : -1, most = (std::max)(most, active); });
  CHECK(slices == std::vector<interval>{iv(0, 10), iv(10, 20), iv(20, 25), iv(25, 30)});
  CHECK(at_slice == std::vector<int>{1, 1, 2, 1});
  CHECK(most == 2);
  CHECK(active == 0);
  std::vector<kernel::edge> chain = {{nanoseconds{10}, 1, true}, {nanoseconds{0}, 0, true}, {nanoseconds{10}, 0, false}, {nanoseconds{30}, 1, false}};
  most = 0;
  kernel::sweep(chain, [](nanoseconds, nanoseconds) {}, [&](const kernel::edge& e) { active += e.begins ? 1 : -1, most = (std::max)(most, active); });
  CHECK(most == 1);
}
