// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <hotpath/core/random.hpp>
#include <hotpath/kernel/table.hpp>
#include "built_subject.hpp"

using namespace hotpath;
using hotpath_test::built;
using kernel::family;
using model::stage;

namespace {
const kernel::kernel_row* find(const kernel::kernel_table& t, std::string_view name) {
  for (const auto& r : t.rows)
    if (r.kernel == name) return &r;
  return nullptr;
}
nanoseconds type7(std::vector<std::int64_t> v, std::int64_t percent) {
  std::sort(v.begin(), v.end());
  const std::int64_t h = static_cast<std::int64_t>(v.size() - 1) * percent;
  const std::int64_t a = v[static_cast<std::size_t>(h / 100)], b = v[std::min(static_cast<std::size_t>(h / 100 + 1), v.size() - 1)];
  return nanoseconds{(a * 100 + (b - a) * (h % 100) + 50) / 100};
}

// Many events of everything: names that share a canonical one, devices, processes, streams, stages, zero lengths, with or without order.
built anything(std::uint64_t seed, std::size_t events, bool sorted) {
  stats::xoshiro256 g(seed);
  built b;
  b.t.processes.resize(2);
  b.t.processes[0].rank = 0, b.t.processes[1].rank = 4;
  std::vector<std::uint32_t> steps;
  for (int i = 0; i < 6; ++i) steps.push_back(b.step(i % 2 == 0 ? stage::decode : stage::prefill, static_cast<std::uint16_t>(i % 2)));
  for (int i = 0; i < 5; ++i)
    b.site({.cpu_op = i == 0 ? "" : "aten::op" + std::to_string(i % 3), .location = i == 1 ? "" : "vllm/a.py:" + std::to_string(i / 2) + " f", .priority = i < 3 ? 285 : 45});
  for (std::size_t i = 0; i < events; ++i) {
    const std::uint64_t name = g.below(40);
    const std::uint64_t step = g.below(9);
    const auto duration = g.below(10) == 0 ? 0 : static_cast<std::int64_t>(g.below(5000));
    b.add_ns("kernel<" + std::to_string(name) + ">", static_cast<std::int64_t>(g.below(3'000'000)), duration,
             {.what = static_cast<family>(1 + name % 8), .stream = g.below(20) == 0 ? model::no_index : static_cast<std::uint32_t>(g.below(3)),
              .step = step < 6 ? steps[step] : model::no_index, .site = g.below(4) == 0 ? model::no_index : static_cast<std::uint32_t>(g.below(5)),
              .process = static_cast<std::uint16_t>(g.below(2)), .device = static_cast<std::uint16_t>(g.below(2)),
              .canonical = "kernel<" + std::to_string(name / 2) + ">"});
  }
  b.finish(sorted);
  return b;
}
}  // namespace

TEST_CASE("kernel: the table of random events is what maps and sorted lists say of them, to the nanosecond") {
  for (const bool sorted : {true, false}) {
    const built b = anything(11, 3000, sorted);
    std::uint64_t seen = 0;
    for (const stage at : b.s.stages) {
      CAPTURE(static_cast<int>(at));
      const kernel::kernel_table t = kernel::table(b.s, at, {.min_share = 0});
      std::map<std::string, std::vector<std::int64_t>> durations;
      std::map<std::string, std::set<std::tuple<int, int, std::uint32_t>>> streams;
      std::map<std::string, std::set<std::pair<int, int>>> devices;
      std::map<std::string, std::map<int, std::int64_t>> ranks;
      std::map<std::string, std::map<std::string, std::int64_t>> places, ops;
      std::map<std::pair<int, int>, std::vector<kernel::interval>> of_device;
      std::map<family, std::int64_t> families;
      std::set<std::uint32_t> steps;
      std::map<std::string, std::uint64_t> stepped;
      std::int64_t total = 0;
      std::uint64_t events = 0;
      for (std::uint32_t i = 0; i < b.t.gpu.size(); ++i) {
        if (b.s.steps.stage_of[i] != at) continue;
        const auto& e = b.t.gpu[i];
        const std::string& name = b.s.identities[b.s.identity_of[i]].canonical;
        durations[name].push_back(e.duration.ns), streams[name].insert({e.process, e.device, e.stream}), devices[name].insert({e.process, e.device});
        ranks[name][e.process == 0 ? 0 : 4] += e.duration.ns;
        of_device[{e.process, e.device}].push_back({e.begin, e.end()});
        families[b.s.identities[b.s.identity_of[i]].is.what] += e.duration.ns;
        total += e.duration.ns, ++events;
        if (b.s.steps.step_of[i] != model::no_index) steps.insert(b.s.steps.step_of[i]), ++stepped[name];
        if (b.s.map.site_of[i] != model::no_index) {
          const auto where = b.s.map.sites.told(b.s.map.site_of[i]);
          if (!where.location.empty()) places[name][std::string(where.location)] += e.duration.ns;
          if (!where.cpu_op.empty()) ops[name][std::string(where.cpu_op)] += e.duration.ns;
        }
      }
      seen += events;
      nanoseconds busy;
      for (auto& [key, set] : of_device) {
        kernel::unite(set);
        busy += kernel::length(set);
      }
      CHECK(t.events == events);
      CHECK(t.total.ns == total);
      CHECK(t.hidden.ns == 0);
      CHECK(t.busy == busy);
      CHECK(t.wall >= t.busy);
      CHECK(t.steps == steps.size());
      REQUIRE(t.rows.size() == durations.size());
      nanoseconds sum, previous{INT64_MAX};
      for (const auto& r : t.rows) {
        CAPTURE(r.kernel);
        const auto& v = durations.at(r.kernel);
        std::int64_t row = 0;
        for (const std::int64_t d : v) row += d;
        CHECK(r.total.ns == row);
        CHECK(r.total <= previous);
        previous = r.total, sum += r.total;
        CHECK(r.launches == v.size());
        CHECK(r.p50 == type7(v, 50));
        CHECK(r.p95 == type7(v, 95));
        CHECK(r.min.ns == *std::min_element(v.begin(), v.end()));
        CHECK(r.max.ns == *std::max_element(v.begin(), v.end()));
        CHECK(std::abs(static_cast<double>(r.mean.ns) - static_cast<double>(row) / static_cast<double>(v.size())) <= 0.5);
        CHECK(r.share == doctest::Approx(100.0 * static_cast<double>(row) / static_cast<double>(total)));
        CHECK(r.running_share == doctest::Approx(100.0 * static_cast<double>(sum.ns) / static_cast<double>(total)));
        CHECK(*r.share_busy == doctest::Approx(100.0 * static_cast<double>(row) / static_cast<double>(busy.ns)));
        CHECK(*r.share_wall == doctest::Approx(100.0 * static_cast<double>(row) / static_cast<double>(t.wall.ns)));
        CHECK(r.streams == streams.at(r.kernel).size());
        CHECK(r.devices == devices.at(r.kernel).size());
        if (steps.empty()) CHECK(!r.launches_per_step);
        else CHECK(*r.launches_per_step == doctest::Approx(static_cast<double>(stepped[r.kernel]) / static_cast<double>(steps.size())));
        REQUIRE(r.ranks);
        const std::int64_t a = ranks.at(r.kernel)[0], c = ranks.at(r.kernel)[4];
        CHECK(r.ranks->ranks == 2);
        CHECK(r.ranks->min.ns == std::min(a, c));
        CHECK(r.ranks->max.ns == std::max(a, c));
        CHECK(r.ranks->median == type7({a, c}, 50));
        for (const auto& p : r.places) CHECK(p.share == doctest::Approx(100.0 * static_cast<double>(places.at(r.kernel).at(p.location)) / static_cast<double>(row)));
        std::int64_t best = 0;
        for (const auto& [op, time] : ops[r.kernel]) best = std::max(best, time);
        if (!ops[r.kernel].empty()) CHECK(ops[r.kernel].at(r.cpu_op) == best);
      }
      CHECK(sum == t.total);
      std::int64_t in_families = 0;
      for (const auto& [f, time] : t.by_family) {
        CHECK(families.at(f) == time.ns);
        in_families += time.ns;
      }
      CHECK(in_families == total);
    }
    CHECK(seen == b.t.gpu.size());
  }
}

TEST_CASE("kernel: rows, hidden rows and total of a table are one sum, whatever the cut") {
  const built b = anything(12, 2000, true);
  for (const kernel::table_options& o : {kernel::table_options{}, {.min_share = 5.5}, {.min_share = 0, .limit = 3}, {.min_share = 5, .limit = 2}, {.min_share = 101}}) {
    for (const stage at : b.s.stages) {
      const kernel::kernel_table t = kernel::table(b.s, at, o);
      nanoseconds rows;
      std::uint64_t launches = 0;
      for (const auto& r : t.rows) {
        rows += r.total, launches += r.launches;
        CHECK(r.share >= o.min_share);
      }
      CHECK(rows + t.hidden == t.total);
      CHECK(launches + t.hidden_events == t.events);
      CHECK(t.rows.size() + t.hidden_rows == kernel::table(b.s, at, {.min_share = 0}).rows.size());
      if (o.limit != 0) CHECK(t.rows.size() <= o.limit);
      if (o.min_share > 100) CHECK(t.rows.empty());
    }
  }
}

TEST_CASE("kernel: a table of no events, and of events without length, is empty or zero and never divides by it") {
  built none;
  none.finish();
  CHECK(kernel::table(none.s, stage::decode).rows.empty());
  built zero;
  zero.add("a", 0, 0, {});
  zero.add("b", 5, 0, {});
  zero.finish();
  const auto t = kernel::table(zero.s, stage::all, {.min_share = 0});
  REQUIRE(t.rows.size() == 2);
  CHECK(t.total == 0_ns);
  CHECK(t.busy == 0_ns);
  CHECK(t.wall == 5_us);
  CHECK(t.rows[0].share == 0);
  CHECK(!t.rows[0].share_busy);
  CHECK(t.rows[0].p95 == 0_ns);
}

TEST_CASE("kernel: a subject without steps, sites and identities of two families under one name still gives a table") {
  built b;
  b.add("shared", 0, 10, {.what = family::gemm});
  b.add("shared", 20, 30, {.what = family::norm});
  b.finish();
  b.s.steps = kernel::step_set{}, b.s.map = kernel::mapping{};
  const auto t = kernel::table(b.s, stage::all);
  REQUIRE(t.rows.size() == 1);
  CHECK(t.rows[0].what == family::norm);  // the one with the most time speaks for the row
  CHECK(t.rows[0].launches == 2);
  CHECK(t.rows[0].places.empty());
  REQUIRE(t.by_family.size() == 2);       // by family nothing is mixed
  CHECK(t.by_family[0] == std::pair{family::norm, 30_us});
  CHECK(t.by_family[1] == std::pair{family::gemm, 10_us});
}

TEST_CASE("kernel: a gap belongs to the stage whose work ends it, and the walls of two stages add up to the device's") {
  built b;
  const auto d = b.step(stage::decode), p = b.step(stage::prefill);
  b.add("d", 0, 10, {.step = d});
  b.add("p", 15, 10, {.step = p});   // 5 before prefill
  b.add("d", 45, 5, {.step = d});    // 20 before decode
  b.add("p", 50, 50, {.step = p});
  b.add("p", 60, 10, {.step = p});   // inside the other
  b.add("d", 101, 9, {.step = d});   // 1
  b.finish();
  const auto decode = kernel::table(b.s, stage::decode), prefill = kernel::table(b.s, stage::prefill);
  CHECK(decode.busy == 24_us);
  CHECK(decode.wall == 45_us);
  CHECK(prefill.busy == 60_us);
  CHECK(prefill.wall == 65_us);
  CHECK(decode.wall + prefill.wall == 110_us);
  CHECK(decode.steps == 1);
}

TEST_CASE("kernel: work that is not looked at is no idle time of what is") {
  built b;
  b.add("other", 12, 80, {});
  b.add("mine", 0, 10, {});
  b.add("mine", 100, 10, {});
  b.finish();
  b.s.chosen = {0, 2};
  const auto t = kernel::table(b.s, stage::all);
  CHECK(t.busy == 20_us);
  CHECK(t.wall == 28_us);  // 8 before the last; what stood before the left-out event is its own
}

TEST_CASE("kernel: the places of a row are the framework's own lines first, then by time, and locations that differ in their stack are one") {
  built b;
  const auto torch = b.site({.cpu_op = "aten::mm", .location = "torch/nn/modules/linear.py:1 forward", .priority = 45});
  const auto one = b.site({.cpu_op = "aten::mm", .location = "vllm/a.py:1 f", .stack = "short", .priority = 285});
  const auto two = b.site({.cpu_op = "aten::addmm", .location = "vllm/a.py:1 f", .stack = "long", .priority = 285});
  const auto rest = b.site({.cpu_op = "aten::mm", .location = "vllm/b.py:2 g", .priority = 285});
  b.add("k", 0, 50, {.site = torch});
  b.add("k", 50, 10, {.site = one});
  b.add("k", 60, 15, {.site = two});
  b.add("k", 75, 20, {.site = rest});
  b.add("k", 95, 5, {});
  b.finish();
  const auto t = kernel::table(b.s, stage::all);
  REQUIRE(t.rows[0].places.size() == 2);
  CHECK(t.rows[0].places[0].location == "vllm/a.py:1 f");
  CHECK(t.rows[0].places[0].share == doctest::Approx(25));
  CHECK(t.rows[0].places[0].stack == "long");
  CHECK(t.rows[0].places[1].location == "vllm/b.py:2 g");
  CHECK(t.rows[0].places[1].share == doctest::Approx(20));
  CHECK(t.rows[0].cpu_op == "aten::mm");
}

TEST_CASE("kernel: the launch shown for a row is its longest") {
  built b;
  b.t.details.push_back({.grid = {1, 1, 1}});
  b.t.details.push_back({.grid = {256, 1, 1}, .bytes = 9});
  b.add("k", 0, 1, {.detail = 1});
  b.add("k", 10, 9, {.detail = 2});
  b.add("k", 20, 2, {.detail = 1});
  b.finish();
  const auto t = kernel::table(b.s, stage::all);
  CHECK(t.rows[0].launch.grid[0] == 256);
  CHECK(t.rows[0].launch.bytes == 9);
}

TEST_CASE("kernel: durations beyond what sums can hold stop at the largest number instead of wrapping") {
  built b;
  for (int i = 0; i < 4; ++i) b.add_ns("k", INT64_MIN / 2 + i, INT64_MAX - 5, {});
  b.add_ns("back", INT64_MAX - 1, -7, {});
  b.finish();
  const auto t = kernel::table(b.s, stage::all, {.min_share = 0});
  CHECK(t.total.ns == INT64_MAX);
  CHECK(t.busy.ns > 0);
  CHECK(t.wall >= t.busy);
  const auto* back = find(t, "back");
  REQUIRE(back);
  CHECK(back->total == 0_ns);
}

TEST_CASE("kernel: F-TRC-14 graph launches whose kernels were not recorded make idle and shares unknown, and say how to record them") {
  built b;
  b.add("first", -5, 1, {});
  for (std::uint64_t i = 0; i < 10; ++i) {
    const double at = 1000.0 * static_cast<double>(i);
    b.call("cudaGraphLaunch", at, 20, 100 + i);
    b.call("cudaLaunchKernel", at + 30, 5, 200 + i);
    b.add("sampler", at + 40, 10, {.correlation = 200 + i});   // 1 % of the time: 99 % idle would be said of a busy device
  }
  b.finish();
  const auto why = kernel::graphs_not_recorded(b.s);
  REQUIRE(why);
  CHECK(why->find("10 of 10 graph launches have no kernels") != std::string::npos);
  CHECK(why->find("kernels of graphs not recorded") != std::string::npos);
  CHECK(why->find("--cuda-graph-trace=node") != std::string::npos);
  const auto t = kernel::table(b.s, stage::all);
  CHECK(!t.rows[0].share_busy);
  CHECK(!t.rows[0].share_wall);

  // The same with its kernels, all with the launch's correlation: known. One of 25 that the end of the trace cut: still known.
  built ok;
  for (std::uint64_t i = 0; i < 25; ++i) {
    const double at = 1000.0 * static_cast<double>(i);
    ok.call("hipGraphLaunch", at, 20, 100 + i);
    if (i < 24)
      for (int k = 0; k < 5; ++k) ok.add("k" + std::to_string(k), at + 30 + 100 * k, 90, {.correlation = 100 + i});
  }
  ok.add("last", 25'000, 10, {.correlation = 7});
  ok.finish();
  CHECK(!kernel::graphs_not_recorded(ok.s));
  CHECK(kernel::table(ok.s, stage::all).rows[0].share_wall.has_value());

  // Two of 25 (the first stands before all work) are no end of a trace.
  ok.call("hipGraphLaunch", 12'345, 20, 900);
  CHECK(kernel::graphs_not_recorded(ok.s)->find("2 of 25 graph launches have no kernels") == 0);

  // One row for each launch instead of its kernels: busy, but nobody knows with what.
  built rows;
  for (std::uint64_t i = 0; i < 3; ++i) rows.add("graph", 100.0 * static_cast<double>(i), 97, {.what = family::graph, .kind = model::gpu_kind::graph});
  rows.add("k", 300, 9, {});
  rows.finish();
  REQUIRE(kernel::graphs_not_recorded(rows.s));
  CHECK(kernel::graphs_not_recorded(rows.s)->find("3 graph launches have one row for all kernels") != std::string::npos);
  CHECK(!kernel::table(rows.s, stage::all).rows[0].share_wall);
}

TEST_CASE("kernel: graph launches outside of what is looked at say nothing about it") {
  built b;
  b.t.processes.resize(2);
  b.t.tracks.resize(2);
  b.t.tracks[1].process = 1;
  b.add("k", 100, 10, {});
  b.add("k", 200, 10, {});
  b.call("cudaGraphLaunch", 10, 5, 1);       // before
  b.call("cudaGraphLaunch", 900, 5, 2);      // after
  b.call("cudaGraphLaunch", 150, 5, 3, 1);   // another process
  b.finish();
  CHECK(!kernel::graphs_not_recorded(b.s));
}
