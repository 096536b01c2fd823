// SPDX-License-Identifier: Apache-2.0
#include <hotpath/kernel/detail/on_track.hpp>

#include <doctest/doctest.h>
#include <vector>

#include <hotpath/core/random.hpp>

using namespace hotpath;

namespace {
struct range {
  nanoseconds begin{}, duration{};
  std::uint32_t track = 0, around = model::no_index;
  nanoseconds end() const { return begin + duration; }
};
}  // namespace

TEST_CASE("kernel: the innermost range around a moment is found whatever the order of the moments and the depth of the nest") {
  stats::xoshiro256 g(7);
  std::vector<range> all;
  for (const std::uint32_t track : {0u, 5u, model::no_index}) {
    // Nests of 3,000 within each other, and between them trees of a few.
    for (int nest = 0; nest < 2; ++nest) {
      const auto from = static_cast<std::int64_t>(1'000'000 * nest);
      for (int i = 0; i < 3000; ++i) all.push_back({nanoseconds{from + i}, nanoseconds{900'000 - 2 * i - static_cast<std::int64_t>(g.next() % 2)}, track});
    }
  }
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    std::uint32_t o = i != 0 && all[i - 1].track == all[i].track ? i - 1 : model::no_index;
    while (o != model::no_index && all[o].end() < all[i].end()) o = all[o].around;
    all[i].around = o;
  }
  const auto plainly = [&](std::uint32_t track, nanoseconds at) {
    std::uint32_t best = model::no_index;
    for (std::uint32_t i = 0; i < all.size(); ++i)
      if (all[i].track == track && all[i].begin <= at && at <= all[i].end()) best = i;
    return best;
  };
  kernel::detail::on_track<range> rows{all};
  const auto outer = [&](std::uint32_t i) { return all[i].around; };
  for (int order = 0; order < 3; ++order)
    for (int k = 0; k < 300; ++k) {
      const std::int64_t step = order == 0 ? k : order == 1 ? 299 - k : static_cast<std::int64_t>(g.next() % 300);
      const std::uint32_t track = all[g.next() % all.size()].track;
      const nanoseconds at{step * 6'700};
      CHECK(rows.around(track, at, outer) == plainly(track, at));
    }
  CHECK(rows.around(4, nanoseconds{10}, outer) == model::no_index);
}
