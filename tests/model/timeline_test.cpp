// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <hotpath/core/random.hpp>
#include <hotpath/model/timeline.hpp>

using namespace hotpath;
using namespace hotpath::literals;

TEST_CASE("model: timeline: GPU events are ordered by process, device and begin; host events by track, the longer first") {
  model::timeline t;
  t.gpu.push_back({.begin = 9_ns, .name = t.names.intern("c"), .process = 1});
  t.gpu.push_back({.begin = 5_ns, .name = t.names.intern("b"), .device = 1});
  t.gpu.push_back({.begin = 7_ns, .name = t.names.intern("a")});
  t.ops.push_back({.begin = 1_ns, .duration = 2_ns, .name = t.names.intern("inner"), .track = 0});
  t.ops.push_back({.begin = 1_ns, .duration = 5_ns, .name = t.names.intern("outer"), .track = 0});
  t.sort();
  CHECK(t.name(t.gpu[0].name) == "a");
  CHECK(t.name(t.gpu[1].name) == "b");
  CHECK(t.name(t.gpu[2].name) == "c");
  CHECK(t.name(t.ops[0].name) == "outer");
  const model::timeline copy = t;
  CHECK(copy.name(copy.ops[1].name) == "inner");
}

TEST_CASE("model: timeline: the parent of a frame is the innermost one around it, as a search over all pairs finds") {
  stats::xoshiro256 random{3};
  model::timeline t;
  // Properly nested random frames on two tracks.
  const auto nest = [&](auto&& self, std::int64_t from, std::int64_t to, std::uint32_t track, int depth) -> void {
    for (std::int64_t at = from; at < to;) {
      const std::int64_t length = 1 + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(to - at)));
      t.frames.push_back({.begin = nanoseconds{at}, .duration = nanoseconds{length}, .name = static_cast<name_id>(t.frames.size()), .track = track});
      if (depth < 6 && length > 2) self(self, at + 1, at + length - 1, track, depth + 1);
      at += length + static_cast<std::int64_t>(random.below(20));
    }
  };
  nest(nest, 0, 500, 1, 0), nest(nest, 0, 500, 0, 0);
  t.sort();
  REQUIRE(t.frames.size() > 100);
  for (std::size_t i = 0; i < t.frames.size(); ++i) {
    const model::frame& f = t.frames[i];
    std::uint32_t best = model::no_index;
    for (std::size_t j = 0; j < i; ++j)  // later in order = further in
      if (const model::frame& o = t.frames[j]; o.track == f.track && o.begin <= f.begin && o.end() >= f.end()) best = static_cast<std::uint32_t>(j);
    REQUIRE(f.parent == best);
  }
}

TEST_CASE("model: timeline: losses are counted by cause, the first place stays") {
  model::timeline t;
  CHECK_FALSE(t.partial());
  t.count(model::trace_fault::repaired_text, 10);
  CHECK_FALSE(t.partial());  // nothing is missing
  t.count(model::trace_fault::truncated, 99, "cut at 99");
  t.count(model::trace_fault::bad_time, 20);
  t.count(model::trace_fault::bad_time, 40, "", 2);
  t.count(model::trace_fault::no_time, 1, "", 0);
  REQUIRE(t.lost.size() == 3);
  CHECK(t.lost[0].fault == model::trace_fault::truncated);
  CHECK(t.lost[1].count == 3);
  CHECK(t.lost[1].first_byte == 20);
  CHECK(t.partial());
  CHECK(t.loss_total().malformed == 3);
  CHECK(t.loss_total().truncated == 1);
  CHECK(name_of(model::trace_fault::unknown_process) == "unknown_process");
}
