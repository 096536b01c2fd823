// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <fstream>
#include <hotpath/core/random.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/overlap.hpp>
#include "built_subject.hpp"
#include "support/data.hpp"
#include "support/process.hpp"

using namespace hotpath;
using hotpath_test::built;
using kernel::family;
using kernel::idle_cause;
using kernel::overlap_class;
using model::stage;

namespace {
const kernel::overlap_row* find(const kernel::overlap_table& t, std::string_view name) {
  for (const auto& r : t.rows)
    if (r.kernel == name) return &r;
  return nullptr;
}
nanoseconds idle_of(const kernel::device_time& t, idle_cause c) { return t.idle_by[static_cast<std::size_t>(c)].time; }
void check_sums(const kernel::device_time& t) {
  nanoseconds sum;
  for (const auto& p : t.idle_by) sum += p.time;
  CHECK(sum == t.idle);
  CHECK(t.busy + t.idle == t.wall);
  nanoseconds steps;
  for (const auto& s : t.by_step) {
    nanoseconds of_step;
    for (const nanoseconds p : s.idle_by) of_step += p;
    CHECK(of_step == s.idle);
    steps += s.idle;
  }
  CHECK(steps <= t.idle);
}
constexpr overlap_class classes[] = {overlap_class::compute, overlap_class::comm, overlap_class::memory};
family family_of(overlap_class c) { return c == overlap_class::comm ? family::comm : c == overlap_class::memory ? family::memcpy : family::gemm; }
}  // namespace

TEST_CASE("kernel: what ran beside what agrees with a flag per nanosecond and stream on random events of several devices") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    stats::xoshiro256 g(seed);
    built b;
    constexpr int end = 3000;
    struct one { int begin, end, device, stream; overlap_class c; int name; };
    std::vector<one> all;
    for (int i = 0; i < 120; ++i) {
      const int begin = static_cast<int>(g.below(2800)), length = g.below(8) == 0 ? 0 : static_cast<int>(g.below(60));
      all.push_back({begin, begin + length, static_cast<int>(g.below(2)), static_cast<int>(g.below(3)), classes[g.below(3)], static_cast<int>(g.below(4))});
      const one& o = all.back();
      b.add_ns("k" + std::to_string(o.name) + std::to_string(static_cast<int>(o.c)), begin, length,
               {.what = family_of(o.c), .stream = static_cast<std::uint32_t>(o.stream), .device = static_cast<std::uint16_t>(o.device)});
    }
    b.finish(seed % 2 == 0);
    const kernel::device_time t = kernel::time_of(b.s, stage::all);
    check_sums(t);
    std::int64_t busy = 0, twice = 0, comm = 0, compute = 0, memory = 0, exposed = 0;
    for (int d = 0; d < 2; ++d)
      for (int at = 0; at < end; ++at) {
        bool on[3] = {}, of[3][3] = {};  // stream; class and stream
        for (const one& o : all)
          if (o.device == d && o.begin <= at && at < o.end) on[o.stream] = of[static_cast<int>(o.c)][o.stream] = true;
        const int streams = on[0] + on[1] + on[2];
        const auto any = [&](overlap_class c) { const bool* x = of[static_cast<int>(c)]; return x[0] || x[1] || x[2]; };
        busy += streams > 0, twice += streams > 1;
        comm += any(overlap_class::comm), compute += any(overlap_class::compute), memory += any(overlap_class::memory);
        bool beside = false;
        for (int x = 0; x < 3; ++x)
          for (int y = 0; y < 3; ++y) beside = beside || (x != y && of[static_cast<int>(overlap_class::comm)][x] && of[static_cast<int>(overlap_class::compute)][y]);
        exposed += any(overlap_class::comm) && !beside;
      }
    CHECK(t.busy.ns == busy);
    CHECK(t.overlapped.ns == twice);
    CHECK(t.comm.ns == comm);
    CHECK(t.compute.ns == compute);
    CHECK(t.memory.ns == memory);
    CHECK(t.exposed_comm.ns == exposed);

    const auto launches = kernel::overlap_of_launches(b.s, stage::all);
    REQUIRE(launches.size() == all.size());
    for (const kernel::launch_overlap& l : launches) {
      const auto& e = b.t.gpu[l.event];
      std::int64_t hidden = 0, by_compute = 0;
      for (std::int64_t at = e.begin.ns; at < e.end().ns; ++at) {
        bool other = false, heavy = false;
        for (const one& o : all)
          if (o.device == e.device && static_cast<std::uint32_t>(o.stream) != e.stream && o.begin <= at && at < o.end) other = true, heavy = heavy || o.c == overlap_class::compute;
        hidden += other, by_compute += heavy;
      }
      REQUIRE(l.hidden.ns == hidden);
      REQUIRE(l.hidden_by_compute.ns == by_compute);
    }
  }
}

TEST_CASE("kernel: each part of a gap has its cause, and the causes add up to the idle time exactly") {
  built b;
  const auto d = b.step(stage::decode);
  b.t.tracks.resize(2);
  const auto launch = [&](double call, double length, std::uint64_t id, double begin, double duration, built::about a = {}) {
    b.call("cudaLaunchKernel", call, length, id);
    a.correlation = id, a.step = d;
    b.add("k" + std::to_string(id), begin, duration, a);
  };
  launch(0, 5, 1, 10, 90);                         // busy until 100
  launch(50, 5, 2, 103, 97);                       // queued in time: 3 of latency
  launch(230, 5, 3, 240, 60);                      // called 30 late: 30 of the host, 10 of latency
  b.call("cudaStreamSynchronize", 250, 55);        // waits until 305, when the device ran dry at 300
  launch(340, 5, 4, 350, 50);                      // 5 of sync, 35 of the host, 10 of latency
  b.call("cudaDeviceSynchronize", 420, 10);        // the device is dry since 400: its own 10 count
  launch(440, 5, 5, 450, 50);                      // 30 of the host, 10 of sync, 10 of latency
  b.call("cudaStreamSynchronize", 480, 100, model::no_id, 1);  // another thread's
  launch(520, 5, 6, 530, 70);                      // 20 of the host, 10 of latency
  launch(560, 5, 7, 900, 100);                     // queued at 565, and 300 idle: 100 of latency, 200 of something else
  b.call("cudaGraphLaunch", 1010, 20, 8);
  b.add("g0", 1050, 50, {.step = d, .correlation = 8});   // 10 of the host, 40 behind the graph's launch
  b.add("g1", 1104, 46, {.step = d, .correlation = 8});   // 4 within the graph
  launch(1100, 5, 9, 1160, 40, {.what = family::comm, .stream = 20});  // 10 between streams, one of which communicates
  b.add("silent", 1260, 40, {.step = d});          // 60 without a call
  launch(1270, 5, 10, 1305, 45, {.what = family::comm});  // 5 of latency: communication, but on the stream that worked before
  b.finish();
  const kernel::device_time t = kernel::time_of(b.s, stage::decode);
  check_sums(t);
  CHECK(idle_of(t, idle_cause::host_bound) == 125_us);
  CHECK(idle_of(t, idle_cause::launch_latency) == 148_us);
  CHECK(idle_of(t, idle_cause::sync_wait) == 15_us);
  CHECK(idle_of(t, idle_cause::graph_gap) == 44_us);
  CHECK(idle_of(t, idle_cause::communication) == 10_us);
  CHECK(idle_of(t, idle_cause::other) == 260_us);
  CHECK(t.idle == 602_us);
  CHECK(t.wall == 1340_us);
  CHECK(t.idle_by[static_cast<std::size_t>(idle_cause::host_bound)].gaps == 5);
  REQUIRE(t.by_step.size() == 1);
  CHECK(t.by_step[0].idle == t.idle);
}

TEST_CASE("kernel: a copy that outlasts its call does not block the host, one that the call outlasts does") {
  const auto sync_of = [](double call_length) {
    built b;
    b.call("cudaMemcpyAsync", 0, call_length, 1);
    b.add("Memcpy DtoH", 10, 40, {.what = family::memcpy, .correlation = 1, .kind = model::gpu_kind::copy});
    b.call("cudaLaunchKernel", 70, 5, 2);
    b.add("k", 80, 10, {.correlation = 2});
    b.finish();
    return idle_of(kernel::time_of(b.s, stage::all), idle_cause::sync_wait);
  };
  CHECK(sync_of(5) == 0_ns);
  CHECK(sync_of(55) == 5_us);   // until the call returned; then the host is late
  // In a gap an asynchronous copy's call is the host's time, a synchronous one's is waiting.
  const auto in_gap = [](std::string_view name) {
    built b;
    b.add("k", 0, 50, {});
    b.call(name, 60, 8, 1);
    b.call("cudaLaunchKernel", 70, 5, 2);
    b.add("k", 80, 10, {.correlation = 2});
    b.add("Memcpy DtoH", 95, 40, {.what = family::memcpy, .correlation = 1, .kind = model::gpu_kind::copy});
    b.finish();
    return idle_of(kernel::time_of(b.s, stage::all), idle_cause::sync_wait);
  };
  CHECK(in_gap("cudaMemcpyAsync") == 0_ns);
  CHECK(in_gap("cudaMemcpy") == 8_us);
}

TEST_CASE("kernel: idle time of steps is that of the gaps their work ends") {
  built b;
  const auto one = b.step(stage::decode), two = b.step(stage::decode);
  b.add("a", 0, 10, {.step = one});
  b.add("b", 12, 10, {.step = one});
  b.add("a", 52, 10, {.step = two});
  b.add("b", 63, 10, {.step = two});
  b.finish();
  const auto t = kernel::time_of(b.s, stage::decode);
  check_sums(t);
  REQUIRE(t.by_step.size() == 2);
  CHECK(t.by_step[0].step == one);
  CHECK(t.by_step[0].idle == 2_us);
  CHECK(t.by_step[1].idle == 31_us);
  CHECK(t.steps == 2);
}

TEST_CASE("kernel: where only one stream has work, no row is shown and the reason is said") {
  built b;
  for (int i = 0; i < 50; ++i) b.add("gemm", 100.0 * i, 90, {});
  b.finish();
  const auto t = kernel::overlap(b.s, stage::all);
  CHECK(t.rows.empty());
  CHECK(t.no_rows == "only one stream has work: nothing can overlap");
  CHECK(t.time.streams == 1);
  check_sums(t.time);
  // Two devices with one stream each are two such cases, whatever their times.
  built two;
  for (int i = 0; i < 50; ++i) two.add("gemm", 100.0 * i, 90, {.device = static_cast<std::uint16_t>(i % 2)});
  for (int i = 0; i < 50; ++i) two.add("all_reduce", 100.0 * i, 90, {.what = family::comm, .device = static_cast<std::uint16_t>((i + 1) % 2)});
  two.finish();
  CHECK(kernel::overlap(two.s, stage::all).rows.empty());
  CHECK(kernel::overlap(two.s, stage::all).no_rows == "no device has work on two streams: nothing can overlap");
  CHECK(kernel::overlap(two.s, stage::all).time.devices == 2);
  // An event without length on a second stream is no work there.
  b.t.gpu.push_back({.begin = 500_us, .duration = 0_ns, .name = b.t.gpu[0].name, .stream = 9});
  b.s.identity_of.push_back(0), b.s.chosen.push_back(static_cast<std::uint32_t>(b.t.gpu.size() - 1));
  CHECK(kernel::overlap(b.s, stage::all).time.streams == 1);
}

namespace {
// 20 steps: 100 of compute, then an all-reduce of 40 of which `beside` runs beside compute of the next layer, then a copy inside compute.
built training(double beside, bool waits, bool more_outside = false) {
  built b;
  const auto where = b.site({.cpu_op = "c10d::allreduce_", .location = "vllm/distributed/parallel_state.py:10 all_reduce", .priority = 285});
  std::uint64_t id = 0;
  for (int i = 0; i < 20; ++i) {
    const auto s = b.step(stage::decode);
    const double at = 400.0 * i;
    b.add("gemm", at, 100, {.step = s, .correlation = ++id});
    if (waits) b.wait(20, 7, id + 2, id + 1), id += 2;  // the record, then the wait
    b.add("all_reduce", at + 101, 40, {.what = family::comm, .stream = 20, .step = s, .site = where, .correlation = ++id});
    b.add("gemm2", at + 141 - beside, 150, {.step = s, .correlation = ++id});
    b.add("copy", at + 200, 20, {.what = family::memcpy, .stream = 30, .step = s, .correlation = ++id, .kind = model::gpu_kind::copy});
  }
  for (int i = 0; i < 5 && more_outside; ++i) {
    b.add("all_reduce", 50'000.0 + 1000.0 * i, 500, {.what = family::comm, .at = stage::decode, .stream = 20});
    b.add("gemm", 60'000.0 + 1000.0 * i, 500, {.at = stage::decode});
  }
  b.finish();
  return b;
}
}  // namespace

TEST_CASE("kernel: an all-reduce that nothing hides is headroom, and its saving is the time it runs alone, per step") {
  const built b = training(10, false);
  const auto t = kernel::overlap(b.s, stage::decode);
  check_sums(t.time);
  CHECK(t.basis == "one trace");
  CHECK(t.time.exposed_comm == 600_us);
  const auto* r = find(t, "all_reduce");
  REQUIRE(r);
  CHECK(r == t.rows.data());  // the largest saving first
  CHECK(r->verdict == "headroom");
  CHECK(r->exclusive == 600_us);
  CHECK(r->hidden == 200_us);
  CHECK(r->hidden_by_compute == 200_us);
  CHECK(r->partner == "gemm2");
  CHECK(r->saving == 600_us);
  REQUIRE(r->saving_per_step);
  CHECK(*r->saving_per_step == 30_us);
  CHECK(r->bound == "its time without other work 0.600 ms");
  CHECK(r->signal == "800.0 us, 14.3% of busy, excl 75.0% / hid 25.0%");
  CHECK(r->scope == "vllm/distributed/parallel_state.py:10 all_reduce");
  CHECK(r->dependency == "low");
  CHECK(r->priority == "P1");
  CHECK(r->recommendation == "try overlap");
  // Compute can win only what communication and copies lack.
  const auto* g = find(t, "gemm2");
  REQUIRE(g);
  CHECK(g->saving == 600_us);
  CHECK(g->bound == "other kinds of work run alone for no more than 0.600 ms");
  // The copy lies inside compute: not worth anybody's time.
  const auto* c = find(t, "copy");
  REQUIRE(c);
  CHECK(c->verdict == "low-roi-hidden");
  CHECK(c->priority == "P4");
  CHECK(c->recommendation == "skip");
  CHECK(c->saving == 0_ns);
}

TEST_CASE("kernel: figures per step are of the launches within steps, whatever runs outside of them") {
  const built b = training(10, false, true);
  const auto t = kernel::overlap(b.s, stage::decode);
  CHECK(t.time.steps == 20);
  CHECK(t.time.exposed_comm == 3'100_us);
  CHECK(t.time.exposed_in_steps == 600_us);
  const auto* r = find(t, "all_reduce");
  REQUIRE(r);
  CHECK(r->saving == 3'100_us);
  REQUIRE(r->saving_per_step);
  CHECK(*r->saving_per_step == 30_us);
}

TEST_CASE("kernel: streams that have no number are told apart by their tracks where a gap has its cause") {
  built b;
  for (const std::uint32_t stream : {7u, 8u}) b.t.tracks.push_back({.pid = b.t.names.intern("0"), .tid = b.t.names.intern(std::to_string(stream))});
  b.add("all_reduce", 0, 100, {.what = family::comm, .stream = 7});
  b.add("gemm", 130, 100, {.stream = 8, .correlation = 5}), b.call("cudaLaunchKernel", 20, 1, 5);
  b.finish();
  const auto told = kernel::overlap(b.s, stage::all).time;
  CHECK(told.idle_by[static_cast<std::size_t>(kernel::idle_cause::communication)].time == 30_us);
  for (auto& e : b.t.gpu) e.track = e.stream - 7, e.stream = model::no_index;
  const auto untold = kernel::overlap(b.s, stage::all).time;
  CHECK(untold.idle_by[static_cast<std::size_t>(kernel::idle_cause::communication)].time == 30_us);
}

TEST_CASE("kernel: of several stream waits before a launch the nearest is named") {
  built b = training(10, true);
  b.wait(20, 9, 2, model::no_id);                       // the all-reduce of the first step is launch 4, the wait before it call 3
  const auto t = kernel::overlap(b.s, stage::decode);
  REQUIRE(find(t, "all_reduce"));
  CHECK(find(t, "all_reduce")->dependency == "high (waits for stream 7)");
}

TEST_CASE("kernel: a stream wait that the trace records is a dependency, and where waits are recorded and none is there, there is none") {
  const built b = training(10, true);
  const auto waiting = kernel::overlap(b.s, stage::decode);
  const auto* r = find(waiting, "all_reduce");
  REQUIRE(r);
  CHECK(r->dependency == "high (waits for stream 7)");
  CHECK(r->recommendation == "check deps");
  // gemm's launch is what the wait's event stands behind.
  const auto* g = find(waiting, "gemm");
  REQUIRE(g);
  CHECK(g->dependency == "high (stream 20 waits for it)");
  // Nothing waits for gemm2, and the trace would say so.
  REQUIRE(find(waiting, "gemm2"));
  CHECK(find(waiting, "gemm2")->dependency == "low (no stream waits for it)");
}

TEST_CASE("kernel: work that follows at once on its stream is a risk by place, operator or class, else unclear or low") {
  const auto dependency = [](const kernel::site_text& mine, const kernel::site_text& next, family next_family, double between) {
    built b;
    const auto a = b.site(mine), c = b.site(next);
    b.add("all_reduce", 0, 100, {.what = family::comm, .stream = 20, .site = a});
    b.add("next", 100 + between, 10, {.what = next_family, .stream = 20, .site = c});
    b.add("gemm", 300, 1000, {});
    b.finish();
    const auto t = kernel::overlap(b.s, stage::all);
    const auto* r = find(t, "all_reduce");
    return r != nullptr ? r->dependency : std::string("no row");
  };
  const kernel::site_text x{.cpu_op = "a", .location = "x.py:1 f"}, y{.cpu_op = "b", .location = "y.py:2 g"}, same_file{.cpu_op = "c", .location = "x.py:9 h"}, nothing{};
  CHECK(dependency(x, y, family::gemm, 1) == "high (followed at once)");       // class
  CHECK(dependency(x, same_file, family::comm, 1) == "high (followed at once)");
  CHECK(dependency(x, y, family::comm, 1) == "low");
  CHECK(dependency(x, nothing, family::comm, 1) == "unclear");
  CHECK(dependency(x, y, family::gemm, 16) == "low");                          // 15 % of 100 us is as near as it gets
}

TEST_CASE("kernel: inflation is the median beside others over the median alone, with twenty of each or not at all") {
  for (const int n : {20, 19}) {
    built b;
    double at = 0;
    for (int i = 0; i < n; ++i) {
      b.add("gemm", at, 100, {});                                              // alone
      b.add("gemm", at + 200, 130 + i % 2, {});                                // beside
      b.add("all_reduce", at + 180, 170, {.what = family::comm, .stream = 20});
      b.add("gemm", at + 400, 500, {});                                        // brushed: neither
      b.add("all_reduce", at + 890, 20, {.what = family::comm, .stream = 20});
      at += 2000;
    }
    b.finish();
    const auto t = kernel::overlap(b.s, stage::all);
    const auto* r = find(t, "gemm");
    REQUIRE(r);
    if (n == 20) {
      REQUIRE(r->inflation);
      CHECK(*r->inflation == doctest::Approx(1.305));
    } else {
      CHECK(!r->inflation);
    }
  }
}

TEST_CASE("kernel: launches of different shapes are not compared for inflation") {
  built b;
  b.t.details.push_back({.grid = {1, 1, 1}}), b.t.details.push_back({.grid = {64, 1, 1}});
  for (int i = 0; i < 30; ++i) {
    b.add("gemm", 1000.0 * i, 100, {.detail = 2});                                // large, alone
    b.add("gemm", 1000.0 * i + 200, 10, {.detail = 1});                           // small, beside
    b.add("all_reduce", 1000.0 * i + 190, 400, {.what = family::comm, .stream = 20});
  }
  b.finish();
  CHECK(!find(kernel::overlap(b.s, stage::all), "gemm")->inflation);
}

TEST_CASE("kernel: a second stream with next to nothing makes no headroom of the first, and rows of computation are five") {
  built b;
  const auto fill = [&](double comm) {
    b = built{};
    for (int i = 0; i < 100; ++i) b.add("gemm" + std::to_string(i % 10), 100.0 * i, 90, {});
    b.add("all_reduce", 10'000, comm, {.what = family::comm, .stream = 20});
    b.finish();
  };
  fill(10);
  const auto little = kernel::overlap(b.s, stage::all);
  CHECK(little.time.streams == 2);
  CHECK(little.rows.empty());
  CHECK(little.hidden_rows == 11);
  CHECK(little.no_rows == "no row reaches the least share");
  fill(3000);
  const auto much = kernel::overlap(b.s, stage::all);
  REQUIRE(much.rows.size() == 6);
  CHECK(much.rows[0].kernel == "all_reduce");
  CHECK(much.hidden_rows == 5);
}

TEST_CASE("kernel: two kinds of computation hide nothing of each other") {
  built b;
  for (int i = 0; i < 30; ++i) b.add("gemm", 100.0 * i, 50, {}), b.add("add", 100.0 * i + 50, 40, {.what = family::elementwise, .stream = 8});
  b.finish();
  const auto t = kernel::overlap(b.s, stage::all);
  CHECK(t.time.streams == 2);
  CHECK(t.rows.empty());
  CHECK(t.no_rows == "nothing runs alone that other kinds of work could hide");
}

TEST_CASE("kernel: of two traces the mapping one tells the places, by name and stage, and the formal one the times") {
  built formal = training(10, false);
  formal.move({.cpu_op = "c10d::allreduce_", .location = "graph replay of batch 32", .graph_replay = true});
  built eager;
  const auto prefill = eager.site({.cpu_op = "c10d::allreduce_", .location = "prefill.py:1 f", .priority = 285});
  const auto decode = eager.site({.cpu_op = "c10d::allreduce_", .location = "decode.py:1 f", .priority = 285});
  eager.add("all_reduce", 0, 10, {.what = family::comm, .at = stage::decode, .site = decode});
  eager.add("all_reduce", 20, 900, {.what = family::comm, .at = stage::prefill, .site = prefill});
  eager.add("gemm2", 920, 900, {.at = stage::prefill, .site = prefill});
  eager.finish();
  const auto t = kernel::overlap(formal.s, stage::decode, {.mapping = &eager.s});
  CHECK(t.basis == "mapping and formal trace");
  CHECK(find(t, "all_reduce")->scope == "decode.py:1 f");
  CHECK(find(t, "gemm2")->scope == "prefill.py:1 f");
  CHECK(find(t, "all_reduce")->exclusive == 600_us);
}

TEST_CASE("kernel: times and durations at the ends of what 64 bits hold neither wrap nor stop the overlap table") {
  built b;
  for (std::uint32_t i = 0; i < 40; ++i)
    b.add_ns(i % 2 == 0 ? "k" : "c", i < 20 ? INT64_MIN / 2 + i : INT64_MAX / 3 + i, INT64_MAX / 2, {.what = i % 2 == 0 ? family::gemm : family::comm, .stream = i % 3});
  b.add_ns("late", INT64_MAX - 3, 1, {});
  b.finish();
  const auto t = kernel::overlap(b.s, stage::all, {.min_share = 0});
  CHECK(t.time.busy.ns > 0);
  CHECK(t.time.wall >= t.time.busy);
}

TEST_CASE("kernel: the cut and the limit hide rows and count them") {
  const built b = training(10, false);
  const std::size_t all = kernel::overlap(b.s, stage::decode, {.min_share = 0}).rows.size();
  REQUIRE(all >= 3);
  const auto limited = kernel::overlap(b.s, stage::decode, {.min_share = 0, .limit = 1});
  CHECK(limited.rows.size() == 1);
  CHECK(limited.hidden_rows == all - 1);
  const auto none = kernel::overlap(b.s, stage::decode, {.min_share = 1000});
  CHECK(none.rows.empty());
  CHECK(none.hidden_rows == all);
  CHECK(none.no_rows == "no row reaches the least share");
}

TEST_CASE("kernel: F-TRC-14 the idle time of a trace without its graphs' kernels is unknown in the overlap table, too") {
  built b;
  b.add("first", 0, 1, {});
  for (std::uint64_t i = 0; i < 10; ++i) {
    b.call("cudaGraphLaunch", 1000.0 * static_cast<double>(i) + 10, 20, 100 + i);
    b.add("sampler", 1000.0 * static_cast<double>(i) + 900, 10, {.stream = static_cast<std::uint32_t>(i % 2)});
  }
  b.finish();
  const auto t = kernel::overlap(b.s, stage::all);
  REQUIRE(t.time.unknown);
  CHECK(t.time.idle == 0_ns);
  CHECK(t.time.wall == t.time.busy);
  CHECK(t.rows.empty());
  CHECK(t.no_rows == *t.time.unknown);
}

TEST_CASE("kernel: every row of the known overlap families with words or paths fits one example of them, and rows with neither fit nothing") {
  std::map<std::string, int> ids;
  for (const kernel::overlap_family& f : kernel::overlap_families()) {
    CAPTURE(f.id);
    CHECK(++ids[std::string(f.id)] == 1);
    CHECK(!f.name.empty());
    CHECK(!f.frameworks.empty());
    CHECK((f.status == "mainline" || f.status == "upstream" || f.status == "in-flight"));
    text::split(f.switches, '|', [&](std::string_view s) { CHECK((s.empty() || s.back() == '+' || s.back() == '-' || s.back() == '~')); });
    if (f.words.empty() && f.paths.empty()) continue;
    const char letter = f.classes.empty() ? 'c' : f.classes[0];
    const auto cls = static_cast<overlap_class>(std::string_view("cnmeo").find(letter));
    const std::string_view word = f.words.substr(0, f.words.find('|')), path = f.paths.substr(0, f.paths.find('|'));
    const std::string location = std::string(f.within) + "/" + std::string(path) + ":1 f";
    const auto* got = kernel::find_overlap_family(cls, path.empty() ? "my_" + std::string(word) + "_kernel" : "k", "", location);
    REQUIRE(got != nullptr);
    CHECK(got->id == f.id);
  }
  CHECK(ids.size() == 39);
}

TEST_CASE("kernel: words that every program has do not make a known overlap family") {
  const auto fits = [](overlap_class c, std::string_view kernel, std::string_view location = "", std::string_view op = "") {
    const auto* f = kernel::find_overlap_family(c, kernel, op, location);
    return f != nullptr ? std::string(f->id) : std::string();
  };
  CHECK(fits(overlap_class::comm, "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevComm*)") == "");
  CHECK(fits(overlap_class::comm, "ncclDevKernel_AllGather_RING_LL") == "");
  CHECK(fits(overlap_class::comm, "ncclDevKernel_AllGather_RING_LL", "vllm/distributed/parallel_state.py:3 all_gather") == "O026");
  CHECK(fits(overlap_class::comm, "void dpsk::ep::internode::combine<false, 8>") == "");
  CHECK(fits(overlap_class::comm, "void deep_ep::internode::combine<false, 8>", "python/sglang/srt/models/deepseek_v2.py:700 forward") == "O002");
  CHECK(fits(overlap_class::compute, "void flash::flash_fwd_splitkv_combine_kernel<...>") == "");
  CHECK(fits(overlap_class::compute, "nvjet_tst_128x64", "python/sglang/srt/models/deepseek_v2.py:700 forward") == "");
  CHECK(fits(overlap_class::memory, "Memcpy DtoH", "vllm/v1/worker/gpu_model_runner.py:9 f", "aten::_local_scalar_dense") == "O038");
  CHECK(fits(overlap_class::memory, "Memcpy DtoH", "mine.py:9 f", "aten::item") == "");
  CHECK(fits(overlap_class::elementwise, "wk_norm_staging_embeddings") == "");
}

TEST_CASE("kernel: a known overlap family says which of its switches the server has") {
  built b = training(10, false);
  b.move({.cpu_op = "c10d::allreduce_", .location = "python/sglang/srt/batch_overlap/single_batch_overlap.py:5 combine", .priority = 285});
  const kernel::server_args off = {{"enable_single_batch_overlap", "false"}};
  const auto t = kernel::overlap(b.s, stage::decode, {.server = &off});
  const auto* r = find(t, "all_reduce");
  REQUIRE(r);
  CHECK(r->known_family == "O000 single-batch overlap (sglang, mainline); enable_single_batch_overlap is off");
  CHECK(find(t, "gemm2")->known_family == "");
}

// ---- real traces, against a second program -----------------------------------------------------------------------------------

namespace {
struct reference {
  built b;
  std::map<std::string, std::int64_t> says;
};
void read_reference(const std::string& trace, reference& out) {
  const auto done = hotpath_test::run({"python3", std::string(hotpath_test::source_dir()) + "/tests/kernel/overlap_reference.py", trace}, {.seconds = 110});
  REQUIRE(done.code == 0);
  std::map<std::string, std::uint32_t> threads;
  std::string_view rest = done.out;
  while (!rest.empty()) {
    std::string_view line = text::take(rest, '\n');
    const std::string_view what = text::take(line, ' ');
    const auto word = [&] { return text::take(line, ' '); };
    const auto number = [&] {
      std::int64_t v = 0;
      REQUIRE(text::to_number(word(), v));
      return v;
    };
    const auto id = [](std::int64_t v) { return v < 0 ? model::no_id : static_cast<std::uint64_t>(v); };
    if (what == "E") {
      const std::int64_t begin = number(), duration = number(), device = number(), stream = number(), correlation = number();
      const std::string_view category = word(), cls = word();
      out.b.add_ns(line, begin, duration, {.what = cls == "comm" ? family::comm : cls == "memory" ? family::memcpy : family::gemm, .stream = static_cast<std::uint32_t>(stream),
                                           .device = static_cast<std::uint16_t>(device), .correlation = id(correlation),
                                           .kind = category == "gpu_memcpy" ? model::gpu_kind::copy : category == "gpu_memset" ? model::gpu_kind::set : model::gpu_kind::kernel});
    } else if (what == "A") {
      const std::int64_t begin = number(), duration = number();
      const auto thread = threads.emplace(std::string(word()), static_cast<std::uint32_t>(threads.size())).first->second;
      const std::int64_t correlation = number();
      out.b.t.api.push_back({.begin = nanoseconds{begin}, .duration = nanoseconds{duration}, .correlation = id(correlation), .name = out.b.t.names.intern(line), .track = thread});
    } else if (what == "S") {
      const std::int64_t value = number();
      out.says[std::string(line)] = value;
    }
  }
  out.b.t.tracks.resize(threads.size());
  out.b.finish();
}
std::optional<nlohmann::json> facts_of(const std::string& file) {
  const auto path = hotpath_test::data_or_skip("torch-traces/expected-facts.json");
  if (!path) return {};
  std::ifstream in(*path);
  const auto all = nlohmann::json::parse(in);
  for (const auto& t : all["traces"])
    if (t["file"] == file) return t;
  FAIL("no facts of " << file);
  return {};
}
}  // namespace

TEST_CASE("kernel: overlap, exposed communication and causes of idle time on real traces are those of a second program") {
  for (const std::string file : {"deepseek/dsv3_train_dualpipe", "tracelens/resnet_ddp_rank0_mi300", "hta/trace_diff_control", "hta/alexnet_cuda_sync", "hta/cuda_event_sync_multi_stream",
                                 "tracelens/sglang_qwen3-8b_prefill_mi3xx", "tracelens/sglang_qwen3-8b_decode_mi3xx"}) {
    CAPTURE(file);
    const auto path = hotpath_test::data_or_skip("torch-traces/" + file + ".json.gz");
    if (!path) return;
    const auto facts = facts_of(file.substr(file.find('/') + 1) + ".json.gz");
    reference r;
    read_reference(*path, r);
    CHECK(r.b.t.gpu.size() == (*facts)["gpu_events"].get<std::size_t>());
    const kernel::overlap_table t = kernel::overlap(r.b.s, stage::all, {.min_share = 0});
    check_sums(t.time);
    CHECK(!t.time.unknown);
    CHECK(t.time.busy.ns == r.says["busy"]);
    CHECK(t.time.idle.ns == r.says["idle"]);
    CHECK(t.time.overlapped.ns == r.says["overlapped"]);
    CHECK(t.time.compute.ns == r.says["compute"]);
    CHECK(t.time.comm.ns == r.says["comm"]);
    CHECK(t.time.memory.ns == r.says["memory"]);
    CHECK(t.time.exposed_comm.ns == r.says["exposed"]);
    CHECK(idle_of(t.time, idle_cause::host_bound).ns == r.says["host"]);
    CHECK(idle_of(t.time, idle_cause::sync_wait).ns == r.says["sync"]);
    CHECK(idle_of(t.time, idle_cause::launch_latency).ns == r.says["latency"]);
    CHECK(idle_of(t.time, idle_cause::graph_gap).ns == r.says["graph"]);
    CHECK(idle_of(t.time, idle_cause::communication).ns == r.says["communication"]);
    CHECK(idle_of(t.time, idle_cause::other).ns == r.says["other"]);
    for (const auto& row : t.rows) CHECK(row.hidden.ns == r.says["hidden " + row.kernel]);
    // Facts that a third program wrote down, to the microsecond.
    const kernel::kernel_table k = kernel::table(r.b.s, stage::all, {.min_share = 0});
    CHECK(std::abs(k.total.us() - (*facts)["gpu_time_sum_us"].get<double>()) <= 1);
    CHECK(std::abs(t.time.busy.us() - (*facts)["gpu_busy_union_us"].get<double>()) <= 1);
    CHECK(std::abs(t.time.wall.us() - (*facts)["gpu_span_us"].get<double>()) <= 1);
    // Each stream by itself.
    for (const auto& [name, stream] : (*facts)["streams"].items()) {
      const std::string number = name.substr(name.find('/') + 1);
      kernel::subject one = r.b.s;
      one.chosen.clear();
      for (std::uint32_t i = 0; i < r.b.t.gpu.size(); ++i)
        if (std::to_string(r.b.t.gpu[i].device) + "/" + std::to_string(r.b.t.gpu[i].stream) == name) one.chosen.push_back(i);
      const kernel::kernel_table s = kernel::table(one, stage::all);
      CHECK(s.events == stream["events"].get<std::uint64_t>());
      CHECK(std::abs(s.total.us() - stream["sum_us"].get<double>()) <= 1);
      CHECK(std::abs(s.busy.us() - stream["busy_union_us"].get<double>()) <= 1);
    }
  }
}

TEST_CASE("kernel: the DualPipe training trace has 244.1 ms of work inside 128.5 ms, 4.2 ms of its 113.0 ms of communication exposed") {
  const auto path = hotpath_test::data_or_skip("torch-traces/deepseek/dsv3_train_dualpipe.json.gz");
  if (!path) return;
  reference r;
  read_reference(*path, r);
  const auto t = kernel::overlap(r.b.s, stage::all);
  CHECK(kernel::table(r.b.s, stage::all).total == nanoseconds{244'069'000});
  CHECK(t.time.busy == nanoseconds{128'515'000});
  CHECK(t.time.comm == nanoseconds{113'030'000});
  CHECK(t.time.exposed_comm == nanoseconds{4'162'000});
  CHECK(t.time.streams == 3);
}
