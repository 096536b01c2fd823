// SPDX-License-Identifier: Apache-2.0
#include <hotpath/kernel/step.hpp>

#include <doctest/doctest.h>
#include <string>

#include "dom.hpp"
#include "made_trace.hpp"
#include "support/data.hpp"

using namespace hotpath::literals;
using hotpath::nanoseconds;
using hotpath::kernel::annotation_is;
using hotpath::kernel::find_steps;
using hotpath::kernel::parse_annotation;
using hotpath::kernel::stage;
using hotpath::kernel::stage_source;
using hotpath::model::annotation_kind;
using hotpath_test::made_trace;

namespace {
struct told { const char* name; stage what; std::int64_t context, generation, context_tokens, generation_tokens; };  // -1: not told

std::int64_t value(const std::optional<std::int64_t>& v) { return v.value_or(-1); }
}  // namespace

TEST_CASE("kernel: every known spelling of an engine's annotation is parsed into requests, tokens and a stage") {
  const told rows[] = {
    {"execute_context_0(0)_generation_2(2)", stage::decode, 0, 2, 0, 2},
    {"execute_context_0(0)_generation_32(32)", stage::decode, 0, 32, 0, 32},
    {"execute_context_3(888)_generation_0(0)", stage::prefill, 3, 0, 888, 0},
    {"execute_context_1(512)_generation_7(7)", stage::mixed, 1, 7, 512, 7},
    {"execute_context_1(888_788544)_generation_0(0)", stage::prefill, 1, 0, 888, 0},
    {"execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk55086sqsq32sqsk55086)", stage::decode, 0, 32, 0, 32},
    {"execute_6147_context_2(sq6144sk7144sqsq20971520sqsk23019520)_generation_3(sq3sk6144sqsq3sqsk6144)", stage::mixed, 2, 3, 6144, 3},
    {"execute_new_2_cached_0", stage::prefill, 2, 0, -1, -1},
    {"execute_new_0_cached_30", stage::decode, 0, 30, -1, -1},
    {"execute_diffusion_1_256x256", stage::all, -1, -1, -1, -1},
    {"step[EXTEND bs=15 toks=15360]", stage::prefill, 15, -1, 15360, -1},
    {"step[EXTEND bs=2 toks=12 c_sqsq=80 c_sqsk=120 c_sk=20]", stage::prefill, 2, -1, 12, -1},
    {"step[DECODE bs=32]", stage::decode, -1, 32, -1, -1},
    {"step[DECODE bs=64 g_sq=128 g_sqsq=256 g_sqsk=262144 g_sk=131072]", stage::decode, -1, 64, -1, 128},
    {"step[MIXED bs=2 c=1 g=1 c_sq=5 c_sk=8 c_sqsq=25 c_sqsk=40 g_sq=1 g_sk=12 g_sqsq=1 g_sqsk=12]", stage::mixed, 1, 1, 5, 1},
    {"step[MIXED bs=1 c=1 g=0 c_sq=3 c_sk=3 c_sqsq=9 c_sqsk=9 g_sq=0 g_sk=0 g_sqsq=0 g_sqsk=0]", stage::prefill, 1, 0, 3, 0},
    {"step[MIXED bs=2]", stage::mixed, -1, -1, -1, -1},
    {"step[TARGET_VERIFY bs=16]", stage::verify, -1, 16, -1, -1},
    {"step[DRAFT_EXTEND_V2 bs=16]", stage::draft, -1, 16, -1, -1},
    {"step[IDLE bs=0]", stage::all, -1, -1, -1, -1},
    {"draft_extend", stage::draft, -1, -1, -1, -1},
    {"prefill[bs=2 tok=14721 ctx=[7803, 6918]]", stage::prefill, 2, -1, 14721, -1},
    {"prefill[bs=6 tok=17408 ctx=[4096, 4096, 4096]...+3 sqsq=59768832 sk=17408 tbo=1]", stage::prefill, 6, -1, 17408, -1},
    {"decode[bs=117/128 tok=117 d=117]", stage::decode, -1, 117, -1, 117},
    {"decode[bs=32 tok=128 p=0 d=32 spec=3]", stage::decode, -1, 32, -1, 128},
    {"decode[bs=128 tok=384 p=2 d=126]", stage::mixed, 2, 126, -1, -1},
    {"[Executor] _forward_step 12: 3 ctx reqs, 5 gen reqs", stage::mixed, 3, 5, -1, -1},
    {"[Executor] _forward_step: 1 ctx reqs, 0 gen reqs", stage::prefill, 1, 0, -1, -1},
    {"[Executor] _forward_step 60000: 0 ctx reqs, 0 ctx tokens, 32 gen reqs", stage::decode, 0, 32, 0, -1},
  };
  for (const told& row : rows) {
    const auto f = parse_annotation(row.name);
    CAPTURE(row.name);
    CHECK(f.is == annotation_is::step);
    CHECK(f.what == row.what);
    CHECK(value(f.context_requests) == row.context);
    CHECK(value(f.generation_requests) == row.generation);
    CHECK(value(f.context_tokens) == row.context_tokens);
    CHECK(value(f.generation_tokens) == row.generation_tokens);
  }
  CHECK(parse_annotation("ProfilerStep#12").is == annotation_is::profiler_step);
  const auto capture = parse_annotation("capture_256_mixed_prefill");
  CHECK(capture.is == annotation_is::capture);
  CHECK(value(capture.requests) == 256);
  CHECK(capture.mode == "mixed_prefill");
}

TEST_CASE("kernel: words alone tell no stage: an annotation of no known form is nothing") {
  for (const char* name : {"", "decode", "prefill", "generation_1", "my decode loop", "execute_context_1(5)", "execute_context_x(5)_generation_0(0)",
                           "execute_context_1(5)_generation_0(0) and more", "step[UNKNOWN bs=1]", "step[DECODE bs=32", "step[DECODE bs=32] x", "decode[bs=1", "prefill[bs=2 ctx=[1, 2]",
                           "capture_32", "capture_x_FULL", "ProfilerStep#", "ProfilerStep#1x", "[Executor] _forward_step 1", "[Executor] _forward_step 1: 2 gen reqs",
                           "execute_99999999999999999999999_context_0(0)_generation_1(1)", "drafting", "[param|cuda]", "nccl:all_reduce", "## Call CompiledFxGraph f ##"}) {
    CAPTURE(name);
    CHECK(parse_annotation(name).is == annotation_is::nothing_known);
  }
}

TEST_CASE("kernel: a kernel belongs to the step that launched it, not to the step in which it runs") {
  made_trace m;
  m.annotate("execute_context_2(100)_generation_0(0)", 0_us, 50_us);
  m.annotate("execute_context_0(0)_generation_2(2)", 60_us, 50_us);
  m.launch("a", 10_us, 20_us, 15_us);     // launched at 10 us, runs from 20 to 35
  m.launch("b", 40_us, 70_us, 10_us);     // runs while the host is in the decode step
  m.launch("c", 80_us, 90_us, 10_us);
  m.launch("d", 200_us, 210_us, 10_us);   // launched outside any step: no guess from the GPU's time
  m.launch("e", 55_us, 95_us, 10_us);     // runs within the decode window, and is of none
  const auto t = m.done();
  const auto s = find_steps(t);
  REQUIRE(s.steps.size() == 2);
  REQUIRE(t.gpu.size() == 5);   // a b c e d
  CHECK(s.stage_of == std::vector<stage>{stage::prefill, stage::prefill, stage::decode, stage::all, stage::all});
  CHECK(s.step_of == std::vector<std::uint32_t>{0, 0, 1, hotpath::model::no_index, hotpath::model::no_index});
  CHECK(s.source_of[0] == stage_source::launch);
  CHECK(s.source_of[3] == stage_source::none);
  CHECK(s.steps[0].events == 2);
  CHECK(s.steps[0].gpu_begin == 20_us);
  CHECK(s.steps[0].gpu_end == 80_us);
  CHECK(s.steps[0].gpu_busy == 25_us);
  CHECK(s.steps[1].gpu_busy == 10_us);
}

TEST_CASE("kernel: a step's busy time is the union over its streams, device by device") {
  made_trace m;
  m.annotate("step[DECODE bs=2]", 0_us, 100_us);
  m.launch("a", 1_us, 100_us, 50_us);
  m.launch("within", 2_us, 110_us, 10_us).stream = 8;
  m.launch("over", 3_us, 140_us, 30_us).stream = 8;       // 20 us beyond a
  m.launch("later", 4_us, 200_us, 5_us);
  m.launch("other device", 5_us, 100_us, 7_us).device = 1;
  m.launch("overlapping", 6_us, 103_us, 7_us).device = 1;
  const auto s = find_steps(m.done());
  REQUIRE(s.steps.size() == 1);
  CHECK(s.steps[0].gpu_busy == 85_us);                     // 70 + 5, and 10 on the other device
  CHECK(s.steps[0].gpu_begin == 100_us);
  CHECK(s.steps[0].gpu_end == 205_us);
}

TEST_CASE("kernel: mixed, verify and draft steps keep their kernels apart, also of one launching thread") {
  made_trace m;
  m.annotate("step[MIXED bs=3 c=1 g=2 c_sq=64 c_sk=64 g_sq=2 g_sk=90]", 0_us, 10_us);
  m.annotate("draft", 20_us, 30_us);
  m.annotate("step[DECODE bs=2]", 22_us, 5_us);      // the draft model's own forward passes
  m.annotate("step[DECODE bs=2]", 30_us, 5_us);
  m.annotate("step[TARGET_VERIFY bs=2]", 60_us, 10_us);
  for (const auto at : {5_us, 24_us, 29_us, 32_us, 65_us}) m.launch("k", at, at + 100_us, 1_us);
  const auto s = find_steps(m.done());
  CHECK(s.stage_of == std::vector<stage>{stage::mixed, stage::draft, stage::draft, stage::draft, stage::verify});
  REQUIRE(s.steps.size() == 5);                       // the outer draft range has a kernel of its own, between the two within
  CHECK(value(s.steps[0].context_tokens) == 64);
  CHECK(value(s.steps[0].generation_requests) == 2);
  CHECK(s.steps[1].events == 1);
}

TEST_CASE("kernel: nested annotations make one step, of the outer range and the innermost stage") {
  made_trace m;
  m.annotate("ProfilerStep#3", 0_us, 1000_us), m.annotate("ProfilerStep#4", 2000_us, 1000_us);
  m.annotate("execute_32_context_0(sq0sk0sqsq0sqsk0)_generation_32(sq32sk900sqsq32sqsk900)", 10_us, 100_us);
  m.annotate("step[DECODE bs=32]", 20_us, 80_us);
  m.launch("a", 15_us, 30_us, 5_us);      // in the outer one only
  m.launch("b", 50_us, 60_us, 5_us);
  m.launch("c", 500_us, 600_us, 5_us);    // in the ProfilerStep only
  const auto t = m.done();
  const auto s = find_steps(t);
  REQUIRE(s.steps.size() == 1);
  CHECK(s.steps[0].what == stage::decode);
  CHECK(t.name(s.steps[0].annotation) == "step[DECODE bs=32]");
  CHECK(s.steps[0].begin == 10_us);
  CHECK(s.steps[0].end == 110_us);
  CHECK(value(s.steps[0].generation_tokens) == 32);    // told by the outer one
  CHECK(s.steps[0].events == 2);
  CHECK(s.stage_of[2] == stage::all);
}

TEST_CASE("kernel: an outer range with nothing between its inner steps is no step") {
  made_trace m;
  m.annotate("[Executor] _forward_step 7: 0 ctx reqs, 4 gen reqs", 0_us, 100_us);
  m.annotate("step[DECODE bs=4]", 10_us, 20_us);
  m.annotate("step[DECODE bs=4]", 40_us, 20_us);
  m.launch("a", 15_us, 200_us, 5_us);
  m.launch("b", 45_us, 210_us, 5_us);
  const auto s = find_steps(m.done());
  REQUIRE(s.steps.size() == 2);
  CHECK(s.step_of == std::vector<std::uint32_t>{0, 1});
}

TEST_CASE("kernel: a ProfilerStep alone is a step without a stage; the file's name is the last resort") {
  made_trace m;
  m.annotate("ProfilerStep#1", 0_us, 100_us);
  m.launch("a", 50_us, 60_us, 5_us);
  const auto t = m.done();
  auto s = find_steps(t);
  REQUIRE(s.steps.size() == 1);
  CHECK(s.steps[0].what == stage::all);
  CHECK(s.step_of[0] == 0);
  CHECK(s.source_of[0] == stage_source::none);
  s = find_steps(t, {.file_label = stage::decode});
  CHECK(s.stage_of[0] == stage::decode);
  CHECK(s.source_of[0] == stage_source::file_name);
}

TEST_CASE("kernel: without a launch call the stage comes from ids, then windows, then the nearest window within 20 ms") {
  made_trace m;
  const auto decode = m.annotate("step[DECODE bs=2]", 1000_us, 100_us);
  m.t.annotations[decode].external = 77;
  m.annotate("step[EXTEND bs=1 toks=9]", 5000_us, 1000_us, annotation_kind::gpu_user);
  const auto event = [&](nanoseconds at, std::uint64_t external = hotpath::model::no_id) {
    m.t.gpu.push_back({.begin = at, .duration = 1_us, .external = external, .name = m.t.names.intern("k"), .stream = 7});
  };
  event(1050_us), event(5500_us), event(5600_us, 77), event(8000_us), event(40000_us);
  const auto s = find_steps(m.done());
  CHECK(s.source_of == std::vector<stage_source>{stage_source::cpu_window, stage_source::gpu_window, stage_source::annotation_id, stage_source::nearest_window, stage_source::none});
  CHECK(s.stage_of == std::vector<stage>{stage::decode, stage::prefill, stage::decode, stage::prefill, stage::all});
  CHECK(s.step_of == std::vector<std::uint32_t>{0, hotpath::model::no_index, 0, hotpath::model::no_index, hotpath::model::no_index});
}

TEST_CASE("kernel: an operator with the event's External id tells the step where the launch call is missing") {
  made_trace m;
  m.annotate("step[DECODE bs=2]", 0_us, 100_us);
  m.t.ops.push_back({.begin = 50_us, .duration = 5_us, .external = 9, .name = m.t.names.intern("aten::mm"), .track = 0});
  m.t.gpu.push_back({.begin = 9000_us, .duration = 1_us, .external = 9, .name = m.t.names.intern("k"), .stream = 7});
  const auto s = find_steps(m.done());
  CHECK(s.source_of[0] == stage_source::launch);
  CHECK(s.step_of[0] == 0);
}

TEST_CASE("kernel: a launch from a helper thread belongs to the step that its process is in, ids of another process do not count") {
  made_trace m;
  m.t.tracks.push_back({.process = 0}), m.t.tracks.push_back({.process = 1});   // tracks 1 and 2
  m.t.processes.resize(2);
  m.annotate("step[DECODE bs=2]", 0_us, 100_us);
  m.launch("a", 50_us, 60_us, 5_us);
  m.t.api[0].track = 1;
  m.t.gpu.push_back({.begin = 70_us, .duration = 5_us, .correlation = m.t.gpu[0].correlation, .name = m.t.names.intern("b"), .process = 1});
  const auto s = find_steps(m.done());
  CHECK(s.step_of == std::vector<std::uint32_t>{0, hotpath::model::no_index});
  CHECK(s.launch_of == std::vector<std::uint32_t>{0, hotpath::model::no_index});
}

TEST_CASE("kernel: steps of the SGLang, vLLM and B200 samples hold every GPU event, by launch alone") {
  struct row { const char* file; std::size_t events; stage what; std::int64_t context, generation; };
  for (const row& r : {row{"sglang_qwen3-8b_prefill_mi3xx", 534, stage::prefill, 15, 0}, row{"sglang_qwen3-8b_decode_mi3xx", 558, stage::decode, 0, 32},
                       row{"vllm_decode_full-graph_exec", 434, stage::decode, 0, 32}, row{"vllm_b200_eager_prefill", 929, stage::prefill, 1, 0}}) {
    const auto path = hotpath_test::data_or_skip("torch-traces/tracelens/" + std::string(r.file) + ".json.gz");
    if (!path) return;
    CAPTURE(r.file);
    const auto t = hotpath_test::load_dom(*path);
    const auto s = find_steps(t);                       // no name is given: the annotations tell it
    REQUIRE(s.steps.size() == 1);
    CHECK(s.steps[0].what == r.what);
    CHECK(value(s.steps[0].context_requests) == r.context);
    CHECK(value(s.steps[0].generation_requests) == r.generation);
    REQUIRE(t.gpu.size() == r.events);
    CHECK(s.steps[0].events == r.events);
    for (std::size_t i = 0; i < r.events; ++i) {
      CHECK(s.stage_of[i] == r.what);
      CHECK(s.source_of[i] == stage_source::launch);
    }
  }
}
