// SPDX-License-Identifier: Apache-2.0
#include <hotpath/trace/merge.hpp>
#include <hotpath/trace.hpp>
#include "written.hpp"

using namespace written_test;
using trace::alignment;

namespace {

constexpr std::int64_t base_time = 1'700'000'000'000'000'000;

// One rank: 20 steps of a GEMM and an all-reduce that ends at the same true moment on all ranks, some microseconds apart. The rank's clock reads
// `true time - offset`, and the file says `offset + lie`.
model::timeline rank(int r, nanoseconds offset, std::optional<nanoseconds> lie = nanoseconds{0}, int first_step = 0, int steps = 20) {
  model::timeline t;
  const auto at = [&](std::int64_t true_ns) { return nanoseconds{base_time + true_ns - offset.ns}; };
  const auto name = [&](std::string_view s) { return t.names.intern(s); };
  t.processes.push_back({.pid = name(std::to_string(100 + r)), .name = name("python"), .label = 0, .rank = r, .rank_from_name = false, .source = "rank" + std::to_string(r) + ".json", .clock = model::clock_kind::own, .shift = {}, .unix_offset = {}});
  if (lie) t.processes[0].unix_offset = offset + *lie;
  t.devices.push_back({.process = 0, .ordinal = 0, .name = "H100", .compute_major = 9, .compute_minor = 0, .multiprocessors = 132, .memory_bytes = 0});
  const std::uint32_t host = add_track(t, std::to_string(100 + r), "1"), stream = add_track(t, "0", "7");
  t.details.push_back({});
  t.details[1].collective = name("allreduce"), t.details[1].group = name("tp"), t.details[1].bytes = 4096;
  for (int s = first_step; s < first_step + steps; ++s) {
    // Steps are not equally long, as real ones: that is what makes a lag visible.
    const std::int64_t begin = s * 1'000'000 + (s * s % 7) * 31'000, end = begin + 700'000 + (s * r) % 5 * 1000;
    const auto id = static_cast<std::uint64_t>(2 * s);
    t.annotations.push_back({.begin = at(begin), .duration = 800_us, .name = name("step " + std::to_string(s)), .track = host});
    t.api.push_back({.begin = at(begin), .duration = 5_us, .correlation = id, .name = name("cudaLaunchKernel"), .track = host});
    t.api.push_back({.begin = at(begin + 10'000), .duration = 5_us, .correlation = id + 1, .name = name("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = at(begin + 20'000), .duration = 400_us, .correlation = id, .name = name("gemm"), .stream = 7, .track = stream});
    t.gpu.push_back({.begin = at(end - 200'000), .duration = 200_us, .correlation = id + 1, .name = name("ncclDevKernel_AllReduce_Sum_bf16_RING_LL"), .stream = 7, .detail = 1, .track = stream});
  }
  t.about.format = model::trace_format::torch, t.about.file = "rank" + std::to_string(r) + ".json", t.about.events = t.gpu.size() + t.api.size() + t.annotations.size();
  t.sort();
  return t;
}

template <class... T>
std::vector<model::timeline> all(T... parts) {
  std::vector<model::timeline> v;
  (v.push_back(std::move(parts)), ...);
  return v;
}

// The true end of the k-th all-reduce of a process, from its times and its Unix offset.
std::vector<std::int64_t> reduce_ends(const model::timeline& t, std::uint16_t process) {
  std::vector<std::int64_t> out;
  for (const auto& e : t.gpu) if (e.process == process && e.detail != 0 && t.details[e.detail].collective != 0) out.push_back(e.end().ns);
  return out;
}

}  // namespace

TEST_CASE("trace: F-TRC-17 a base time in only half of the ranks is refused, and aligned only on request") {
  for (const bool first : {false, true}) {
    auto m = trace::merge(first ? all(rank(0, 5_s, std::nullopt), rank(1, 7_s)) : all(rank(0, 5_s), rank(1, 7_s, std::nullopt)));
    REQUIRE(!m);
    CHECK(m.error().code == errc::unsupported);
    CHECK(m.error().message().find("does not") != std::string::npos);
    CHECK(m.error().message().find("--align collective") != std::string::npos);
  }
  auto by_unix = trace::merge(all(rank(0, 5_s), rank(1, 7_s, std::nullopt)), {.align = alignment::unix_time});
  CHECK(!by_unix);  // there is nothing to align by

  auto m = trace::merge(all(rank(0, 5_s), rank(1, 7_s, std::nullopt)), {.align = alignment::collective});
  REQUIRE(m);
  REQUIRE(m->clocks.size() == 2);
  CHECK(std::abs(m->clocks[1].shift.ns - 2'000'000'000) <= 4000);  // ends differ by 0 to 4 us
  CHECK(m->clocks[1].matched == 20);
  CHECK(m->clocks[1].residual_max->ns <= 8000);
  CHECK(m->trace.processes[1].clock == model::clock_kind::aligned);
  CHECK(m->trace.processes[1].shift == m->clocks[1].shift);
  CHECK(m->trace.processes[1].unix_offset == 5_s);  // now on the first one's clock
}

TEST_CASE("trace: ranks whose base times agree are merged onto the first one's clock, and the collectives confirm it") {
  auto m = trace::merge(all(rank(0, 5_s), rank(1, 7_s), rank(2, nanoseconds{-3'000'000'000})));
  REQUIRE(m);
  const model::timeline& t = m->trace;
  CHECK(t.gpu.size() == 120);
  CHECK(t.api.size() == 120);
  CHECK(t.processes.size() == 3);
  CHECK(t.devices.size() == 3);
  CHECK(t.devices[2].process == 2);
  CHECK(m->clocks[1].shift == 2_s);
  CHECK(m->clocks[2].shift == nanoseconds{-8'000'000'000});
  CHECK(m->clocks[1].matched == 20);
  CHECK(m->clocks[1].residual_median->ns < 5000);
  CHECK(m->notes.empty());
  for (std::uint16_t p = 1; p < 3; ++p) {
    const auto a = reduce_ends(t, 0), b = reduce_ends(t, p);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 8000);
  }
  // Each event kept what it points to.
  for (const auto& e : t.gpu) {
    CHECK(t.tracks[e.track].process == e.process);
    CHECK(t.name(t.processes[e.process].pid) == std::to_string(100 + *t.processes[e.process].rank));
    CHECK((t.name(e.name) == "gemm") == (e.detail == 0));
  }
  CHECK(t.about.events == 3 * 100);
}

TEST_CASE("trace: base times that are wrong by more than the tolerance are refused, with how far collectives are apart") {
  auto m = trace::merge(all(rank(0, 5_s), rank(1, 7_s, 3_ms)));
  REQUIRE(!m);
  CHECK(m.error().message().find("20 common collectives are 3.") != std::string::npos);
  CHECK(m.error().message().find("more than 1.0 ms") != std::string::npos);
  CHECK(trace::merge(all(rank(0, 5_s), rank(1, 7_s, 3_ms)), {.align = alignment::none, .tolerance = 4_ms}));
  auto forced = trace::merge(all(rank(0, 5_s), rank(1, 7_s, 3_ms)), {.align = alignment::unix_time});
  REQUIRE(forced);
  CHECK(forced->notes.size() == 1);
  CHECK(forced->clocks[1].residual_median->ns > 2'990'000);
}

TEST_CASE("trace: captures that began at different steps are aligned by the pattern of their collectives") {
  for (const int first : {2, 5}) {
    auto m = trace::merge(all(rank(0, 5_s), rank(1, 90_s, std::nullopt, first, 12)), {.align = alignment::collective});
    REQUIRE(m);
    CHECK(m->clocks[1].matched == 12);
    CHECK(std::abs(m->clocks[1].shift.ns - 85'000'000'000) <= 4000);
  }
  // Without a pattern every lag fits: refused, not guessed.
  const auto regular = [](int r, int steps) {
    model::timeline t;
    t.processes.push_back({.pid = 0, .name = 0, .label = 0, .rank = r, .rank_from_name = false, .source = "r" + std::to_string(r), .clock = model::clock_kind::own, .shift = {}, .unix_offset = {}});
    for (int i = 0; i < steps; ++i) t.gpu.push_back({.begin = nanoseconds{i * 1'000'000}, .duration = 1_us, .name = t.names.intern("ncclKernel_AllReduce"), .stream = 1});
    t.sort();
    return t;
  };
  auto m = trace::merge(all(regular(0, 20), regular(1, 15)), {.align = alignment::collective});
  REQUIRE(!m);
  CHECK(m.error().message().find("more than one way") != std::string::npos);
}

TEST_CASE("trace: F-TRC-17 captures of equal length that began three steps apart are not moved onto each other") {
  // Every 10 ms an all-reduce, 100 of them; nothing tells one from the next but the base times.
  const auto regular = [](int r, int first, std::optional<nanoseconds> offset) {
    model::timeline t;
    t.processes.push_back({.pid = 0, .name = 0, .label = 0, .rank = r, .rank_from_name = false, .source = "r" + std::to_string(r), .clock = model::clock_kind::own, .shift = {}, .unix_offset = offset});
    for (int i = first; i < first + 100; ++i) t.gpu.push_back({.begin = nanoseconds{i * 10'000'000}, .duration = 1_us, .name = t.names.intern("ncclKernel_AllReduce"), .stream = 1});
    t.sort();
    return t;
  };
  for (const auto align : {alignment::collective, alignment::none}) {
    auto m = trace::merge(all(regular(0, 0, 5_s), regular(1, 3, 5_s)), {.align = align});
    REQUIRE(m);
    CHECK(m->clocks[1].shift == 0_s);
    CHECK(m->clocks[1].matched == 97);
    CHECK(m->clocks[1].residual_max == 0_s);
    CHECK(m->notes.empty());
  }
  // Without base times they are taken as captured together, and that is said.
  auto m = trace::merge(all(regular(0, 0, {}), regular(1, 3, {})), {.align = alignment::collective});
  REQUIRE(m);
  CHECK(m->clocks[1].shift == nanoseconds{-30'000'000});
  REQUIRE(m->notes.size() == 1);
  CHECK(m->notes[0].find("more than one way") != std::string::npos);
  // An uneven pattern needs no base time; where there is one that says otherwise, that is said.
  auto uneven = trace::merge(all(rank(0, 5_s, std::nullopt, 0, 9), rank(1, 7_s, std::nullopt, 2, 9)), {.align = alignment::collective});
  REQUIRE(uneven);
  CHECK(std::abs(uneven->clocks[1].shift.ns - 2'000'000'000) <= 4000);
  CHECK(uneven->clocks[1].matched == 7);
  auto lied = trace::merge(all(rank(0, 5_s), rank(1, 7_s, 3_ms)), {.align = alignment::collective});
  REQUIRE(lied);
  CHECK(std::abs(lied->clocks[1].shift.ns - 2'000'000'000) <= 4000);
  REQUIRE(lied->notes.size() == 1);
  CHECK(lied->notes[0].find("by their base times 2.0 s") != std::string::npos);
}

TEST_CASE("trace: names of merged parts beyond the limit are counted, and times at the end of 64 bits do not overflow") {
  std::vector<model::timeline> parts(2);
  for (int p = 0; p < 2; ++p) {
    model::timeline& t = parts[static_cast<std::size_t>(p)];
    t.names = name_table({.bytes = 100, .distinct = 4});
    t.processes.resize(1);
    t.processes[0].unix_offset = 1_s;
    for (int i = 0; i < 4; ++i) t.gpu.push_back({.begin = nanoseconds{i * 1000}, .duration = 1_us, .name = t.names.intern("k" + std::to_string(4 * p + i)), .stream = 1});
  }
  CHECK(!parts[0].partial());
  const auto m = trace::merge(std::move(parts));
  REQUIRE(m);
  CHECK(m->trace.partial());
  REQUIRE(m->trace.lost.size() == 1);
  CHECK(m->trace.lost[0].fault == model::trace_fault::too_many_names);
  CHECK(m->trace.lost[0].count == 4);
  const auto edge = [](std::int64_t at) {
    model::timeline t;
    t.processes.resize(1);
    t.processes[0].unix_offset = nanoseconds{0};
    t.gpu.push_back({.begin = nanoseconds{at}, .duration = {}, .name = t.names.intern("ncclKernel_AllReduce"), .stream = 1});
    return t;
  };
  CHECK(!trace::merge(all(edge(INT64_MAX), edge(INT64_MIN))));
  CHECK(!trace::merge(all(edge(INT64_MIN), edge(INT64_MAX)), {.align = alignment::collective}));
  // Three collectives from one end of 64 bits to the other: no lag is better than another.
  const auto three = [&](std::int64_t a, std::int64_t b, std::int64_t c) {
    model::timeline t = edge(a);
    for (const std::int64_t at : {b, c}) t.gpu.push_back(t.gpu[0]), t.gpu.back().begin = nanoseconds{at};
    return t;
  };
  const auto apart = trace::merge(all(three(INT64_MIN, 0, INT64_MAX), three(0, 0, 0)), {.align = alignment::collective});
  REQUIRE(apart);
  CHECK(apart->clocks[1].residual_max > 1_s);          // and is said
}

TEST_CASE("trace: ranks without a common collective are aligned by steps, refused when their work does not overlap, else said to be unverified") {
  const auto plain = [](int r, nanoseconds offset, int first) {
    model::timeline t = rank(r, offset, nanoseconds{0}, first);
    t.details[1].collective = 0;
    for (auto& e : t.gpu) e.name = t.names.intern("gemm");
    return t;
  };
  auto m = trace::merge(all(plain(0, 5_s, 0), plain(1, 7_s, 0)));
  REQUIRE(m);
  CHECK(m->notes.at(0).find("could not be verified") != std::string::npos);
  CHECK(!m->clocks[1].residual_median);
  auto apart = trace::merge(all(plain(0, 5_s, 0), plain(1, 7_s, 1000)));
  REQUIRE(!apart);
  CHECK(apart.error().message().find("does not overlap") != std::string::npos);
  auto by_step = trace::merge(all(plain(0, 5_s, 0), plain(1, 9_s, 0)), {.align = alignment::step});
  REQUIRE(by_step);
  CHECK(by_step->clocks[1].shift == 4_s);
  CHECK(by_step->clocks[1].matched_by == "steps");
  CHECK(!trace::merge(all(plain(0, 5_s, 0), plain(1, 9_s, 500)), {.align = alignment::step}));
}

TEST_CASE("trace: one trace alone, times beyond 64 bits, and profilers of different kinds are not merged") {
  CHECK(trace::merge(all(rank(0, 5_s))).error().code == errc::usage);
  auto epoch = rank(1, nanoseconds{0});
  auto m = trace::merge(all(rank(0, 5_s), std::move(epoch)));
  REQUIRE(!m);
  CHECK(m.error().message().find("different profilers") != std::string::npos);
  auto far_away = rank(1, 7_s);
  far_away.processes[0].unix_offset = nanoseconds{INT64_MIN};
  CHECK(!trace::merge(all(rank(0, 5_s), std::move(far_away)), {.align = alignment::unix_time}));
}

TEST_CASE("trace: a merged timeline is written and read back with its ranks, ids and times") {
  auto m = trace::merge(all(rank(0, 5_s), rank(3, 7_s)));
  REQUIRE(m);
  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  const auto w = trace::write_chrome(m->trace, keep);
  REQUIRE(w);
  CHECK(w->flows == 80);
  check_read_back("chrome", text, m->trace, 80);
  auto t = trace::read_text(text);
  REQUIRE(t);
  REQUIRE(t->processes.size() == 2);
  CHECK(t->processes[0].rank == 0);
  CHECK(t->processes[1].rank == 3);
  CHECK(t->gpu.size() == 80);
  CHECK(reduce_ends(*t, 0).size() == 20);
  CHECK(reduce_ends(*t, 1).size() == 20);
  CHECK(t->gpu[0].begin + *t->processes[0].unix_offset == m->trace.gpu[0].begin + *m->trace.processes[0].unix_offset);
  CHECK(t->lost.empty());  // the same correlations in both ranks are no duplicates
}
