// SPDX-License-Identifier: Apache-2.0
#include <hotpath/kernel/subject.hpp>

#include <doctest/doctest.h>
#include <string>

#include "dom.hpp"
#include "made_trace.hpp"
#include "support/data.hpp"

using namespace hotpath::literals;
using hotpath::nanoseconds;
using hotpath::kernel::look_at;
using hotpath::kernel::stage;
using hotpath::kernel::subject;
using hotpath::kernel::why_nothing;
using hotpath_test::made_trace;

namespace {
// Prefill, then decode; 10 us each, 100 us apart, and one copy outside of both.
made_trace two_stages() {
  made_trace m;
  m.annotate("step[EXTEND bs=1 toks=8]", 0_us, 50_us), m.annotate("step[DECODE bs=1]", 100_us, 50_us);
  m.launch("gemm", 10_us, 1000_us, 10_us), m.launch("gemm", 110_us, 1100_us, 10_us), m.launch("Memcpy HtoD (Pinned -> Device)", 200_us, 1200_us, 10_us);
  m.t.gpu[2].kind = hotpath::model::gpu_kind::copy;
  m.done();
  return m;
}
// Of every subject: what is chosen and what is left out are all events.
void conserved(const subject& s) {
  nanoseconds chosen{}, all{};
  for (const std::uint32_t i : s.chosen) chosen += s.trace->gpu[i].duration;
  for (const auto& e : s.trace->gpu) all += e.duration;
  CHECK(chosen + s.left_out == all);
  CHECK(s.chosen.size() + s.left_out_events == s.trace->gpu.size());
}
}  // namespace

TEST_CASE("kernel: a subject has everything unless something is left out, and stages in the order of the enum with all at the end") {
  const made_trace m = two_stages();
  const subject s = look_at(m.t);
  CHECK(s.chosen == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(s.stages == std::vector<stage>{stage::prefill, stage::decode, stage::all});
  CHECK(s.left_out_events == 0);
  REQUIRE(s.identities.size() == 2);
  CHECK(s.identity_of[0] == s.identity_of[1]);
  CHECK(s.identities[s.identity_of[0]].is.what == hotpath::kernel::family::gemm);
  CHECK(s.identities[s.identity_of[2]].is.what == hotpath::kernel::family::memcpy);
  CHECK(s.identities[s.identity_of[2]].is.detail == "HtoD");
  CHECK(why_nothing(s, {}).empty());
  conserved(s);
}

TEST_CASE("kernel: a stage or a range of time leaves the rest out, counted") {
  const made_trace m = two_stages();
  subject s = look_at(m.t, {.only = stage::decode});
  CHECK(s.chosen == std::vector<std::uint32_t>{1});
  CHECK(s.left_out == 20_us);
  conserved(s);
  s = look_at(m.t, {.from = 100_us, .to = 200_us});          // from the first GPU event, half open
  CHECK(s.chosen == std::vector<std::uint32_t>{1});
  conserved(s);
  const hotpath::kernel::subject_options late{.from = 9000_us};
  s = look_at(m.t, late);
  CHECK(s.chosen.empty());
  CHECK(s.stages.empty());
  CHECK(why_nothing(s, late).find("time range") != std::string::npos);
  const hotpath::kernel::subject_options verify{.only = stage::verify};
  CHECK(why_nothing(look_at(m.t, verify), verify) == "No GPU event is of stage verify; the trace has all, extend/prefill, decode.");
}

TEST_CASE("kernel: ranks and processes are chosen by what the trace tells of them, each with its own first event") {
  made_trace m = two_stages();
  m.t.processes.resize(2);
  m.t.processes[0].rank = 0, m.t.processes[1].rank = 1;
  m.t.processes[1].name = m.t.names.intern("worker_TP1");
  m.t.gpu.push_back({.begin = 5'000'000_us, .duration = 7_us, .name = m.t.names.intern("gemm"), .process = 1});
  m.done();
  subject s = look_at(m.t, {.rank = 1});
  REQUIRE(s.chosen.size() == 1);
  CHECK(m.t.gpu[s.chosen[0]].process == 1);
  conserved(s);
  CHECK(look_at(m.t, {.pid_substring = "TP1"}).chosen == s.chosen);
  CHECK(look_at(m.t, {.to = 1_us}).chosen.size() == 2);       // the first of each
  const hotpath::kernel::subject_options three{.rank = 3};
  s = look_at(m.t, three);
  CHECK(s.chosen.empty());
  CHECK(why_nothing(s, three) == "No process has rank 3; the trace has 0, 1.");
  conserved(s);
}

TEST_CASE("kernel: a kernel launched by two operators has two identities, launched from two lines of one operator one") {
  made_trace m;
  m.frame("vllm/a.py(1): f", 0_us, 10_us), m.frame("vllm/b.py(1): f", 20_us, 50_us);
  m.op("aten::mm", 0_us, 10_us), m.op("aten::mm", 20_us, 10_us), m.op("aten::bmm", 40_us, 10_us);
  for (const auto at : {5_us, 25_us, 45_us}) m.launch("gemm", at, at + 500_us, 1_us);
  m.t.gpu.push_back({.begin = 900_us, .duration = 1_us, .name = m.t.names.intern("graph 7"), .kind = hotpath::model::gpu_kind::graph});
  const auto t = m.done();
  const subject s = look_at(t);
  CHECK(s.map.sites.size() >= 3);
  CHECK(s.identities.size() == 3);
  CHECK(s.identity_of[0] == s.identity_of[1]);
  CHECK(s.identity_of[1] != s.identity_of[2]);
  CHECK(s.identities[s.identity_of[3]].is.what == hotpath::kernel::family::graph);
}

TEST_CASE("kernel: an empty timeline is an empty subject") {
  const hotpath::model::timeline t;
  const subject s = look_at(t, {.rank = 0, .only = stage::decode, .from = 1_us});
  CHECK(s.chosen.empty());
  CHECK(why_nothing(s, {}) == "The trace has no GPU events.");
}

TEST_CASE("kernel: the SGLang decode sample with its capture: one stage, every event chosen, operators on what the graph replayed") {
  const auto a = hotpath_test::data_or_skip("torch-traces/tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz");
  const auto b = hotpath_test::data_or_skip("torch-traces/tracelens/sglang_qwen3-8b_graph-capture_bs32.json.gz");
  if (!a || !b) return;
  const auto t = hotpath_test::load_dom(*a), c = hotpath_test::load_dom(*b);
  const hotpath::model::timeline* const captures[] = {&c};
  const subject s = look_at(t, {}, {.captures = captures});
  CHECK(s.chosen.size() == 558);
  CHECK(s.stages == std::vector<stage>{stage::decode});
  CHECK(s.map.graph_joined == 544);
  conserved(s);
}
