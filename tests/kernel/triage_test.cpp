// SPDX-License-Identifier: Apache-2.0
// kernel/triage.hpp: what holds for a whole report, of one trace and of several.
#include <doctest/doctest.h>
#include <hotpath/kernel/across.hpp>
#include <hotpath/kernel/triage.hpp>
#include "made_trace.hpp"

using namespace hotpath;
using hotpath_test::made_trace;
using kernel::family;
using model::stage;

namespace {
const kernel::kernel_row* row_of(const kernel::triage_report& r, std::string_view name) {
  for (const auto& t : r.kernels)
    for (const auto& row : t.rows)
      if (row.kernel == name) return &row;
  return nullptr;
}
// `layers` kernels in one step of a stage.
made_trace step_of(std::string_view annotation, nanoseconds each, int kernels = 4) {
  made_trace m;
  m.annotate(annotation, 0_us, 1000_us);
  for (int i = 0; i < kernels; ++i) m.launch(i % 2 == 0 ? "my_gemm_kernel" : "rms_norm_kernel", 10_us * i, 100_us + 50_us * i, each);
  return m;
}
}  // namespace

TEST_CASE("kernel: what a place tells of one kernel is not said of another, whichever comes first") {
  for (const bool sampler_first : {false, true}) {
    made_trace m;
    m.frame("vllm/model_executor/layers/layernorm.py(10): forward", sampler_first ? 50_us : 0_us, 10_us);
    m.frame("vllm/v1/sample/sampler.py(88): forward", sampler_first ? 0_us : 50_us, 10_us);
    m.launch(sampler_first ? "kernel_b" : "kernel_a", 5_us, 100_us, 10_us);
    m.launch(sampler_first ? "kernel_a" : "kernel_b", 55_us, 200_us, 10_us);
    const auto t = m.done();
    const auto r = kernel::triage(t, {.min_share = 0});
    REQUIRE(r);
    CHECK(row_of(*r, "kernel_a")->what == family::norm);
    CHECK(row_of(*r, "kernel_b")->what == family::sampling);
  }
}

TEST_CASE("kernel: steps and coverage are those of what is looked at") {
  made_trace m = step_of("execute_context_1(64)_generation_0(0)", 10_us);
  m.annotate("execute_context_0(0)_generation_8(8)", 2000_us, 1000_us);
  m.launch("my_gemm_kernel", 2010_us, 2100_us, 30_us);
  const auto t = m.done();
  const auto all = kernel::triage(t), decode = kernel::triage(t, {.at = stage::decode});
  REQUIRE(all);
  REQUIRE(decode);
  CHECK(all->steps.size() == 2);
  REQUIRE(decode->steps.size() == 1);
  CHECK(decode->steps[0].what == stage::decode);
  std::uint64_t events = 0;
  for (const auto& p : decode->covered.by) events += p.events;
  CHECK(events == 1);
  CHECK(decode->kernels[0].in_steps == 30_us);
  nanoseconds idle;
  for (const auto& s : all->steps)
    for (const nanoseconds part : s.idle_by) idle += part;
  nanoseconds told;
  for (const auto& o : all->overlaps) told += o.time.idle;
  CHECK(idle == told);
  CHECK(told > 0_ns);
}

TEST_CASE("kernel: traces that share a stage keep their own idle time, and add up side by side") {
  const auto a = step_of("execute_context_0(0)_generation_8(8)", 40_us).done(), b = step_of("execute_context_0(0)_generation_8(8)", 5_us).done();
  kernel::triager both;
  REQUIRE(both.add(a, {.name = "a"}));
  REQUIRE(both.add(b, {.name = "b"}));
  const kernel::triage_report r = both.finish();
  REQUIRE(r.summary.size() == 2);
  CHECK(r.summary[0] != r.summary[1]);
  const kernel::triage_report* const reports[] = {&r};
  const auto stages = kernel::across(reports);
  REQUIRE(stages.size() == 1);
  CHECK(stages[0].sums[0].total == 180_us);
  CHECK(stages[0].steps[0] == 2);
  CHECK(stages[0].sums[0].per_step == 90_us);
  nanoseconds families;
  for (const auto& f : stages[0].rows) families += f.cells[0].total;
  CHECK(families == 180_us);
}

TEST_CASE("kernel: a rank with two files is one rank") {
  const auto one = step_of("execute_context_0(0)_generation_8(8)", 10_us).done();
  kernel::triager ranks({.min_share = 0});
  REQUIRE(ranks.add(one, {.name = "0", .rank = {}}));
  for (const char* file : {"1-prefill", "1-decode"}) {
    auto t = step_of("execute_context_0(0)_generation_8(8)", 10_us).done();
    t.processes[0].rank = 1;
    REQUIRE(ranks.add_rank(t, {.name = file}));
  }
  const auto r = ranks.finish();
  const kernel::kernel_row* const gemm = row_of(r, "my_gemm_kernel");
  REQUIRE(gemm != nullptr);
  REQUIRE(gemm->ranks);
  CHECK(gemm->ranks->ranks == 2);
  CHECK(gemm->ranks->max == 40_us);
}

TEST_CASE("kernel: F-TRC-08 durations that sum up to more than 64 bits hold make the report partial, and are no error of arithmetic") {
  made_trace m;
  for (int i = 0; i < 3; ++i) m.event("my_gemm_kernel", 0_ns, nanoseconds{8'000'000'000'000'000'000}, 1);
  m.annotate("execute_context_9223372036854775807(9223372036854775807)_generation_9223372036854775807(9223372036854775807)", 0_us, 10_us);
  m.launch("rms_norm_kernel", 1_us, 2_us, 1_us);
  m.annotate("capture_9223372036854775807_FULL", 20_us, 10_us);
  const auto t = m.done();
  const auto r = kernel::triage(t, {.min_share = 0});
  REQUIRE(r);
  CHECK(r->check.verdict == kernel::health::partial);
  bool said = false;
  for (const auto& f : r->check.findings) said = said || f.text.find("292 years") != std::string::npos;
  CHECK(said);
}

TEST_CASE("kernel: a long way out of nested frames, operators or steps is gone once, not for each launch") {
  // 20,000 of each: quadratic work would be 400 million steps, and a minute under a sanitizer.
  made_trace m;
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i) m.frame("a.py(1): f", nanoseconds{i}, nanoseconds{2 * (n - i)}), m.op("aten::mm", nanoseconds{i}, nanoseconds{2 * (n - i)});
  for (int i = 0; i < n; ++i) m.annotate("ProfilerStep#1", nanoseconds{i}, nanoseconds{2 * (n - i)});
  for (int i = 0; i < n; ++i) m.launch("my_gemm_kernel", nanoseconds{100'000 + i}, nanoseconds{200'000 + i}, 1_ns);
  const auto t = m.done();
  const auto r = kernel::triage(t);
  REQUIRE(r);
  CHECK(r->covered.with_location.events == 0);
}

TEST_CASE("kernel: streams without numbers are streams of their own: nothing follows anything across them") {
  made_trace m;
  m.t.tracks.push_back({.pid = m.t.names.intern("0"), .tid = m.t.names.intern("stream a")}), m.t.tracks.push_back({.pid = m.t.names.intern("0"), .tid = m.t.names.intern("stream b")});
  for (int i = 0; i < 8; ++i)
    for (const std::uint32_t track : {1u, 2u}) {
      auto& e = m.launch(track == 1 ? "silu_kernel" : "rms_norm_kernel", 10_us * i, 100_us + 20_us * i, 15_us);
      e.stream = model::no_index, e.track = track;
    }
  const auto t = m.done();
  const auto r = kernel::triage(t, {.min_share = 0});
  REQUIRE(r);
  for (const auto& f : r->fusions) CHECK(f.chains.empty());
}
