// SPDX-License-Identifier: Apache-2.0
#include <hotpath/kernel/map.hpp>

#include <doctest/doctest.h>
#include <string>

#include "dom.hpp"
#include "made_trace.hpp"
#include "support/data.hpp"
#include <hotpath/kernel/frame_site.hpp>
#include <hotpath/model/launch.hpp>
#include <hotpath/kernel/step.hpp>

using namespace hotpath::literals;
using hotpath::nanoseconds;
using hotpath::kernel::map_events;
using hotpath::kernel::mapped_by;
using hotpath::kernel::mapping;
using hotpath::model::no_id;
using hotpath::model::no_index;
using hotpath_test::made_trace;

namespace {
hotpath::kernel::site_text site_of(const mapping& m, std::size_t event) {
  REQUIRE(m.site_of[event] != no_index);
  return m.sites.told(m.site_of[event]);
}
bool says(const mapping& m, std::string_view words) {
  for (const std::string& n : m.notes)
    if (n.find(words) != std::string::npos) return true;
  return false;
}
// A trace in which `names` were captured into a graph of a batch size; each has an operator "op::<name>" and a line of model.py.
made_trace capture(std::initializer_list<const char*> names, std::string_view label, bool named = true, bool calls = true) {
  made_trace m;
  nanoseconds at = 100_us;
  m.annotate(label, at - 1_us, 1000_us);
  if (calls) m.call("cudaStreamBeginCapture", at);
  int line = 1;
  for (const char* n : names) {
    at += 10_us;
    m.frame(std::string("/x/vllm/model.py(").append(std::to_string(line++)).append("): forward"), at, 8_us);
    m.op(std::string("op::").append(n), at + 1_us, 5_us);
    m.call(named ? "hipLaunchKernel" : "cudaLaunchKernel", at + 2_us);
    if (named) m.t.api.back().kernel = m.t.names.intern(n);
  }
  if (calls) m.call("cudaStreamEndCapture", at + 10_us);
  m.done();
  return m;
}
// One that tells no names, but grids: of one block in "a", of two in "b".
made_trace shaped_capture() {
  made_trace m = capture({"a", "b"}, "capture_4_FULL", false);
  for (std::uint32_t i = 0; i < 2; ++i) {
    m.t.details.push_back({.grid = {i + 1, 1, 1}, .block = {64, 1, 1}});
    m.t.api[i + 1].detail = i + 1;
  }
  return m;
}
// A graph launch within a decode step of a batch, whose kernels are `names`, one after the other.
void replay(made_trace& m, std::initializer_list<const char*> names, nanoseconds at, int batch) {
  m.annotate(std::string("step[DECODE bs=").append(std::to_string(batch)).append("]"), at, 50_us);
  const std::uint64_t id = m.call("cudaGraphLaunch", at + 10_us);
  nanoseconds begin = at + 20_us;
  for (const char* n : names) m.event(n, begin, 2_us, id), begin += 3_us;
}
}  // namespace

TEST_CASE("kernel: sites: equal places have one number, and are told as they were given") {
  hotpath::kernel::site_table sites;
  CHECK(sites.empty());
  const hotpath::kernel::site_text linear{.cpu_op = "aten::mm", .location = "a.py:1 f", .stack = "m.py:9 run -> a.py:1 f", .priority = 285};
  const auto at = sites.intern(linear);
  CHECK(sites.intern(linear) == at);
  CHECK((sites.told(at).cpu_op == "aten::mm" && sites.told(at).location == "a.py:1 f" && sites.told(at).stack == linear.stack && sites.told(at).priority == 285 && !sites.told(at).graph_replay));
  auto other = linear;
  other.graph_replay = true;
  CHECK(sites.intern(other) != at);
  const auto deep = sites.intern({.stack = "one -> two -> three -> four -> five"});
  CHECK(sites.told(deep).stack == "two -> three -> four -> five");   // the innermost four
  for (int i = 0; i < 5000; ++i) sites.intern({.cpu_op = "op" + std::to_string(i % 2500), .stack = "f -> g" + std::to_string(i % 50)});
  CHECK(sites.size() == 3 + 2500);
  CHECK(sites.intern(linear) == at);
}

TEST_CASE("kernel: API functions are told apart by name, CUDA's and HIP's, runtime and driver") {
  using hotpath::model::call_kind;
  using hotpath::model::kind_of_call;
  for (const char* f : {"cudaLaunchKernel", "cudaLaunchKernelExC_v11060", "cudaLaunchCooperativeKernel", "cuLaunchKernel", "cuLaunchKernelEx", "hipLaunchKernel", "hipModuleLaunchKernel",
                        "hipExtLaunchKernel", "hipExtModuleLaunchKernel"})
    CHECK_MESSAGE(kind_of_call(f) == call_kind::kernel, f);
  for (const char* f : {"cudaGraphLaunch", "cudaGraphLaunch_v10000", "cuGraphLaunch", "hipGraphLaunch"}) CHECK_MESSAGE(kind_of_call(f) == call_kind::graph, f);
  CHECK(kind_of_call("hipMemcpyAsync") == call_kind::copy);
  CHECK(kind_of_call("cudaMemset2DAsync") == call_kind::set);
  CHECK(kind_of_call("cudaStreamBeginCapture_ptsz") == call_kind::begin_capture);
  CHECK(kind_of_call("hipStreamEndCapture") == call_kind::end_capture);
  for (const char* f : {"", "cu", "cudaLaunchHostFunc", "cudaGraphInstantiate", "hipStreamGetCaptureInfo", "Launch", "my cudaLaunchKernel"}) CHECK_MESSAGE(kind_of_call(f) == call_kind::other, f);
}

TEST_CASE("kernel: frames rank by what they say, and show no home folder") {
  using hotpath::kernel::frame_location;
  using hotpath::kernel::frame_priority;
  CHECK(frame_priority("/sgl-workspace/sglang/python/sglang/srt/models/qwen3.py(507): forward") == 300);
  CHECK(frame_priority("vllm/model_executor/layers/linear.py(12): forward") == 285);
  CHECK(frame_priority("vllm/model_executor/layers/linear.py(12): __call__") == 205);
  CHECK(frame_priority("/home" "/me/my-vllm/model.py(1): f") == 35);                    // "vllm" is no folder here
  CHECK(frame_priority("torch/nn/modules/linear.py(1): forward") == 45);
  CHECK(frame_priority("torch/nn/modules/module.py(1): _call_impl") == 0);
  CHECK(frame_priority("/usr/lib/python3.12/threading.py(1): run") == -20);
  CHECK(frame_priority("<built-in method mm of type object>") == -20);
  CHECK(frame_priority("nn.Module: Qwen3MLP_0") == 0);
  CHECK(frame_priority("") == 0);
  CHECK(frame_location("/sgl-workspace/sglang/python/sglang/srt/models/qwen3.py(507): forward") == "python/sglang/srt/models/qwen3.py:507 forward");
  CHECK(frame_location("/opt/sglang/srt/x.py(5): f") == "python/sglang/srt/x.py:5 f");
  CHECK(frame_location("/usr/lib/python3/dist-packages/transformers/models/x.py(5): f") == "transformers/models/x.py:5 f");
  CHECK(frame_location("/home" "/somebody/work/x.py(5): f") == "work/x.py:5 f");
  CHECK(frame_location("/tmp/torchinductor_somebody/ys/cys.py(232): call") == "torchinductor/ys/cys.py:232 call");
  CHECK(frame_location("nn.Module: Qwen3MLP_0") == "nn.Module: Qwen3MLP_0");
}

TEST_CASE("kernel: an External id leads to the operator, a correlation to the innermost operator around the launch, frames to the line") {
  made_trace m;
  m.frame("vllm/v1/worker/gpu_model_runner.py(100): execute_model", 0_us, 1000_us);
  m.frame("torch/nn/modules/module.py(1): _call_impl", 5_us, 900_us);
  m.frame("vllm/model_executor/layers/linear.py(7): forward", 10_us, 50_us);
  m.frame("<built-in method mm>", 11_us, 40_us);
  m.frame("vllm/model_executor/layers/norm.py(9): forward", 100_us, 50_us);
  m.op("aten::linear", 12_us, 30_us, 1), m.op("aten::mm", 14_us, 20_us, 2), m.op("aten::norm", 105_us, 30_us, 3);
  m.launch("gemm", 20_us, 500_us, 10_us).external = 2;
  m.launch("norm", 110_us, 520_us, 10_us);
  m.launch("late", 2000_us, 2020_us, 10_us);              // nothing is around it
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).cpu_op == "aten::mm");
  CHECK(site_of(r, 0).location == "vllm/model_executor/layers/linear.py:7 forward");
  CHECK(site_of(r, 0).stack == "vllm/v1/worker/gpu_model_runner.py:100 execute_model -> vllm/model_executor/layers/linear.py:7 forward");
  CHECK(site_of(r, 0).priority == 285);
  CHECK(site_of(r, 1).cpu_op == "aten::norm");
  CHECK(site_of(r, 1).location == "vllm/model_executor/layers/norm.py:9 forward");
  CHECK(r.site_of[2] == no_index);
  CHECK(r.how == std::vector<mapped_by>{mapped_by::external_id, mapped_by::correlation, mapped_by::none});
  CHECK(r.covered.by[0].time == 10_us);
  CHECK(r.covered.by[1].events == 1);
  CHECK(r.covered.by[2].events == 1);
  CHECK(r.covered.with_location.time == 20_us);
}

TEST_CASE("kernel: the line of an operator without a launch call is that of the operator's own moment") {
  made_trace m;
  m.frame("vllm/a.py(1): f", 0_us, 100_us);
  m.op("aten::mm", 50_us, 10_us, 5);
  m.event("gemm", 500_us, 10_us, no_id).external = 5;
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).location == "vllm/a.py:1 f");
  CHECK(r.how[0] == mapped_by::external_id);
}

TEST_CASE("kernel: of several operators with one External id, the one that holds the launch is taken, else the one that ended last before the event") {
  made_trace m;
  m.op("first", 0_us, 10_us, 5), m.op("second", 20_us, 10_us, 5), m.op("third", 300_us, 10_us, 5);
  m.launch("a", 5_us, 100_us, 1_us).external = 5;         // launched within the first
  m.event("b", 110_us, 1_us, no_id).external = 5;         // no call: the second ended last before it
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).cpu_op == "first");
  CHECK(site_of(r, 1).cpu_op == "second");
}

TEST_CASE("kernel: F-TRC-11 events without correlation and External id are kept, unmapped, and the reason is said") {
  made_trace m;
  m.op("aten::mm", 0_us, 10_us, 5);
  m.event("a", 100_us, 1_us, no_id), m.event("b", 110_us, 1_us, no_id);
  const mapping r = map_events(m.done());
  CHECK(r.how == std::vector<mapped_by>{mapped_by::none, mapped_by::none});
  CHECK(r.covered.by[0].time == 2_us);
  CHECK(says(r, "2 of 2 GPU events have neither a correlation nor an External id"));
}

TEST_CASE("kernel: F-TRC-12 all kernels of a graph launch share its correlation id; other duplicates are counted") {
  made_trace m;
  replay(m, {"a", "b", "c"}, 0_us, 4);
  mapping r = map_events(m.done());
  CHECK(r.graph_events == 3);
  CHECK_FALSE(says(r, "share their correlation id"));
  CHECK_FALSE(says(r, "of an earlier call"));
  const std::uint64_t id = m.call("cudaLaunchKernel", 200_us);
  m.event("d", 300_us, 1_us, id), m.event("e", 310_us, 1_us, id);
  m.t.api.push_back({.begin = 210_us, .duration = 1_us, .correlation = id, .name = m.t.names.intern("cuLaunchKernel"), .track = 0});
  r = map_events(m.done());
  CHECK(says(r, "1 GPU events share their correlation id with an earlier event"));
  CHECK(says(r, "1 API calls have the correlation id of an earlier call"));
}

TEST_CASE("kernel: F-TRC-14 graph launches without kernels are counted and said") {
  made_trace m;
  m.call("cudaGraphLaunch", 0_us), m.call("cudaGraphLaunch", 100_us);
  replay(m, {"a"}, 200_us, 2);
  const std::uint64_t whole = m.call("cudaGraphLaunch", 300_us);
  m.event("graph 3", 310_us, 50_us, whole).kind = hotpath::model::gpu_kind::graph;   // nsys, graph level: one row for all kernels
  const mapping r = map_events(m.done());
  CHECK(r.graph_launches == 4);
  CHECK(r.graphs_unrecorded == 3);
  CHECK(says(r, "3 of 4 graph launches have no kernels in the trace"));
}

TEST_CASE("kernel: a replayed graph without its capture is said to be one, never the line that replays it") {
  made_trace m;
  m.frame("vllm/v1/worker/gpu_model_runner.py(3380): execute_model", 0_us, 100_us);
  m.frame("torch/cuda/graphs.py(139): replay", 5_us, 50_us);
  m.op("aten::item", 0_us, 90_us);
  replay(m, {"a", "b"}, 0_us, 32);
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).location == "graph replay of batch 32");
  CHECK(site_of(r, 0).graph_replay);
  CHECK(site_of(r, 0).cpu_op.empty());
  CHECK(r.how[0] == mapped_by::none);
  CHECK(r.covered.by[0].events == 2);
  CHECK(r.covered.with_location.events == 0);
  CHECK(says(r, "2 of 2 GPU events that graphs replayed are not mapped: no capture of graphs"));
}

TEST_CASE("kernel: a graph's kernels are joined with the launches of its capture, by names in order") {
  for (const bool calls : {true, false}) {                // with and without the calls that begin and end the capture
    const made_trace c = capture({"a", "b", "a", "c"}, "capture_4_FULL", true, calls);
    made_trace m;
    replay(m, {"a", "b", "a", "c"}, 0_us, 4), replay(m, {"a", "b", "a", "c"}, 1000_us, 4);
    m.done();
    const hotpath::model::timeline* const captures[] = {&c.t};
    const mapping r = map_events(m.t, {.captures = captures});
    CHECK(r.graph_joined == 8);
    for (const std::size_t event : {std::size_t{0}, std::size_t{4}}) {
      CHECK(site_of(r, event).cpu_op == "op::a");
      CHECK(site_of(r, event).location == "vllm/model.py:1 forward");
      CHECK(site_of(r, event + 2).location == "vllm/model.py:3 forward");   // the second a, not the first
      CHECK(site_of(r, event + 3).cpu_op == "op::c");
      CHECK(r.how[event] == mapped_by::graph_join);
    }
    CHECK(r.covered.by[3].events == 8);
    CHECK_FALSE(says(r, "not mapped"));
  }
}

TEST_CASE("kernel: a capture in the trace itself joins the graphs that the same trace replays") {
  made_trace m = capture({"a", "b"}, "capture_2_DECODE");
  replay(m, {"a", "b"}, 5000_us, 2);
  const mapping r = map_events(m.done());
  CHECK(r.graph_joined == 2);
  CHECK(site_of(r, 1).cpu_op == "op::b");
}

TEST_CASE("kernel: a few kernels more or less do not spoil the join, and what differs stays unmapped") {
  const made_trace c = capture({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, "capture_4_FULL");
  made_trace m;
  replay(m, {"a", "b", "x", "c", "d", "e", "g", "h", "i", "j"}, 0_us, 4);   // x is new, f is missing
  m.done();
  const hotpath::model::timeline* const captures[] = {&c.t};
  const mapping r = map_events(m.t, {.captures = captures});
  CHECK(r.graph_joined == 9);
  CHECK(r.how[2] == mapped_by::none);
  CHECK(site_of(r, 2).graph_replay);
  CHECK(site_of(r, 3).cpu_op == "op::c");
  CHECK(site_of(r, 6).cpu_op == "op::g");
  CHECK(site_of(r, 9).location == "vllm/model.py:10 forward");
  CHECK(says(r, "1 of 10 GPU events"));
}

TEST_CASE("kernel: a capture of another graph joins nothing") {
  const made_trace c = capture({"a", "q", "b", "r", "s"}, "capture_4_FULL");
  made_trace m;
  replay(m, {"a", "b", "c", "d", "e"}, 0_us, 4);
  m.done();
  const hotpath::model::timeline* const captures[] = {&c.t};
  const mapping r = map_events(m.t, {.captures = captures});
  CHECK(r.graph_joined == 0);
  CHECK(site_of(r, 0).graph_replay);
  CHECK(says(r, "5 of 5 GPU events that graphs replayed are not mapped: none of the captured graphs (1 in the traces given)"));
}

TEST_CASE("kernel: of captures that fit alike, the next larger batch size is taken; pieces are joined in their order") {
  made_trace c = capture({"a", "b"}, "capture_8_FULL");
  const auto add = [&](const made_trace& other) {          // behind it, in the same trace
    const nanoseconds by = 100'000_us * static_cast<std::int64_t>(c.t.annotations.size());
    for (auto x : other.t.annotations) x.begin += by, x.name = c.t.names.intern(other.t.name(x.name)), c.t.annotations.push_back(x);
    for (auto x : other.t.api) x.begin += by, x.name = c.t.names.intern(other.t.name(x.name)), x.kernel = c.t.names.intern(other.t.name(x.kernel)), c.t.api.push_back(x);
    for (auto x : other.t.ops) {
      x.begin += by, x.name = c.t.names.intern(std::string(other.t.name(x.name)).append("'").append(std::to_string(c.t.annotations.size())));
      c.t.ops.push_back(x);
    }
    c.done();
  };
  add(capture({"a", "b"}, "capture_4_FULL")), add(capture({"a", "b"}, "capture_2_FULL"));
  made_trace m;
  replay(m, {"a", "b"}, 0_us, 3);
  m.done();
  const hotpath::model::timeline* const captures[] = {&c.t};
  CHECK(site_of(map_events(m.t, {.captures = captures}), 0).cpu_op == "op::a'2");    // of batch 4

  // Piecewise: three graphs of one capture, two of them alike.
  made_trace p;
  p.annotate("capture_4_PIECEWISE", 0_us, 1000_us);
  nanoseconds at = 10_us;
  for (const char* op : {"layer0", "layer1", "head"}) {
    p.call("cudaStreamBeginCapture", at), p.op(op, at + 5_us, 5_us), p.call("hipLaunchKernel", at + 6_us);
    p.t.api.back().kernel = p.t.names.intern(op == std::string_view("head") ? "z" : "a");
    p.call("cudaStreamEndCapture", at + 20_us), at += 50_us;
  }
  p.done();
  made_trace q;
  q.annotate("step[DECODE bs=4]", 0_us, 500_us);
  for (const auto& [kernel, when] : {std::pair{"a", 10_us}, {"a", 20_us}, {"z", 30_us}}) q.event(kernel, when + 100_us, 5_us, q.call("cudaGraphLaunch", when));
  q.done();
  const hotpath::model::timeline* const pieces[] = {&p.t};
  const mapping r = map_events(q.t, {.captures = pieces});
  CHECK(r.graph_joined == 3);
  CHECK(site_of(r, 0).cpu_op == "layer0");
  CHECK(site_of(r, 1).cpu_op == "layer1");
  CHECK(site_of(r, 2).cpu_op == "head");
}

TEST_CASE("kernel: where a capture tells no names, position counts only if number, kinds and shapes or batch agree, and it is said") {
  const made_trace c = capture({"a", "b", "c"}, "capture_4_FULL", false);
  const hotpath::model::timeline* const captures[] = {&c.t};
  made_trace m;
  replay(m, {"x", "y", "z"}, 0_us, 4);
  mapping r = map_events(m.done(), {.captures = captures});
  CHECK(r.graph_joined == 3);
  CHECK(site_of(r, 1).cpu_op == "op::b");
  CHECK(says(r, "3 events of graphs are joined by their position"));
  m.t.gpu[1].kind = hotpath::model::gpu_kind::copy;                                   // another kind of node
  CHECK(map_events(m.done(), {.captures = captures}).graph_joined == 0);
  made_trace shorter;
  replay(shorter, {"x", "y"}, 0_us, 4);
  CHECK(map_events(shorter.done(), {.captures = captures}).graph_joined == 0);
  made_trace larger;
  replay(larger, {"x", "y", "z"}, 0_us, 5);                                           // a graph of batch 4 cannot hold 5
  CHECK(map_events(larger.done(), {.captures = captures}).graph_joined == 0);
}

TEST_CASE("kernel: grid and block decide where a capture tells them but no names; node ids give the order") {
  const made_trace c = shaped_capture();
  const hotpath::model::timeline* const captures[] = {&c.t};
  made_trace m;
  replay(m, {"y", "x"}, 0_us, 100);                                                   // two streams: the second node ran first; the batch does not fit
  m.t.gpu[0].graph_node = 12, m.t.gpu[0].stream = 8, m.t.gpu[1].graph_node = 11;
  m.t.details = {{}, {.grid = {2, 1, 1}, .block = {64, 1, 1}}, {.grid = {1, 1, 1}, .block = {64, 1, 1}}};
  m.t.gpu[0].detail = 1, m.t.gpu[1].detail = 2;
  mapping r = map_events(m.done(), {.captures = captures});
  REQUIRE(r.graph_joined == 2);
  CHECK(site_of(r, 0).cpu_op == "op::b");
  CHECK(site_of(r, 1).cpu_op == "op::a");
  // A number that comes twice, as those of a child graph's nodes do, or is missing gives no order, and times on two streams give none either.
  for (const std::uint32_t node : {11u, no_index}) {
    m.t.gpu[0].graph_node = node;
    CHECK(map_events(m.done(), {.captures = captures}).graph_joined == 0);
  }
  m.t.gpu[0].stream = m.t.gpu[1].stream, m.t.gpu[0].detail = 2, m.t.gpu[1].detail = 1;   // on one stream time does
  r = map_events(m.done(), {.captures = captures});
  REQUIRE(r.graph_joined == 2);
  CHECK(site_of(r, 0).cpu_op == "op::a");
  m.t.details[1].block[0] = 128;
  CHECK(map_events(m.done(), {.captures = captures}).graph_joined == 0);
}

TEST_CASE("kernel: a mapping trace that was recorded while graphs were captured is a capture, too") {
  const made_trace c = capture({"a", "b"}, "capture_4_FULL");
  made_trace m;
  replay(m, {"a", "b"}, 0_us, 4);
  m.done();
  const mapping r = map_events(m.t, {.mapping_trace = &c.t});
  CHECK(r.graph_joined == 2);
  CHECK(site_of(r, 1).cpu_op == "op::b");
}

TEST_CASE("kernel: ranges that torch makes of operators are told without the numbers of the call") {
  made_trace m;
  m.annotate("aten::mm, seq = 4, op_id = 317175", 0_us, 50_us, hotpath::model::annotation_kind::push_pop);
  m.launch("gemm", 10_us, 20_us, 5_us);
  m.launch("outside", 60_us, 70_us, 5_us);
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).cpu_op == "aten::mm");
  CHECK(says(r, "the program's own ranges (NVTX) around 1 launches stand for them"));
  CHECK_FALSE(says(r, "cannot be mapped"));
}

TEST_CASE("kernel: calls and operators of a thread that the file does not name are looked for like others") {
  made_trace m;
  m.annotate("step[DECODE bs=2]", 0_us, 50_us);
  m.op("aten::mm", 5_us, 10_us);
  m.launch("gemm", 10_us, 20_us, 5_us);
  for (auto& e : m.t.api) e.track = no_index;
  for (auto& e : m.t.ops) e.track = no_index;
  m.done();
  const hotpath::kernel::step_set steps = hotpath::kernel::find_steps(m.t);
  CHECK(steps.steps.size() == 1);
  CHECK(site_of(map_events(m.t, {.steps = &steps}), 0).cpu_op == "aten::mm");
}

TEST_CASE("kernel: of replays with the same names each is joined by its own shapes") {
  const made_trace c = shaped_capture();
  const hotpath::model::timeline* const captures[] = {&c.t};
  made_trace m;
  replay(m, {"x", "x"}, 0_us, 100), replay(m, {"x", "x"}, 1000_us, 100);
  m.t.details = {{}, {.grid = {1, 1, 1}, .block = {64, 1, 1}}, {.grid = {2, 1, 1}, .block = {64, 1, 1}}};
  m.t.gpu[0].detail = 2, m.t.gpu[1].detail = 1;          // another graph's
  m.t.gpu[2].detail = 1, m.t.gpu[3].detail = 2;
  const mapping r = map_events(m.done(), {.captures = captures});
  CHECK(r.graph_joined == 2);
  CHECK(r.how[0] != mapped_by::graph_join);
  CHECK(site_of(r, 3).cpu_op == "op::b");
}

TEST_CASE("kernel: lines of a mapping trace go to kernels of the same name and stage, as a guess of its own kind") {
  made_trace eager;
  eager.annotate("step[EXTEND bs=1 toks=8]", 0_us, 100_us), eager.annotate("step[DECODE bs=2]", 200_us, 100_us);
  eager.frame("vllm/prefill.py(1): f", 0_us, 100_us), eager.frame("vllm/decode.py(2): g", 200_us, 50_us), eager.frame("vllm/decode.py(3): h", 260_us, 30_us);
  eager.op("aten::mm", 10_us, 20_us), eager.op("aten::mm", 210_us, 20_us), eager.op("aten::mm", 265_us, 20_us);
  eager.launch("gemm", 15_us, 400_us, 9_us), eager.launch("gemm", 215_us, 410_us, 3_us), eager.launch("gemm", 270_us, 420_us, 2_us);
  eager.done();
  made_trace formal;
  replay(formal, {"gemm", "other"}, 0_us, 2);
  formal.annotate("step[EXTEND bs=1 toks=8]", 500_us, 100_us);
  formal.op("aten::mm", 510_us, 20_us), formal.op("aten::addmm", 540_us, 20_us);
  formal.launch("gemm", 515_us, 600_us, 9_us), formal.launch("gemm", 545_us, 610_us, 9_us);
  const mapping r = map_events(formal.done(), {.mapping_trace = &eager.t});
  CHECK(site_of(r, 0).location == "vllm/decode.py:2 g");       // the larger share of decode
  CHECK(r.how[0] == mapped_by::name);
  CHECK(r.how[1] == mapped_by::none);                           // not in the mapping trace
  CHECK(site_of(r, 2).location == "vllm/prefill.py:1 f");
  CHECK(r.how[2] == mapped_by::correlation);                    // the operator is its own; the line is borrowed
  CHECK(site_of(r, 3).cpu_op == "aten::addmm");                 // another operator: another path, no line
  CHECK(site_of(r, 3).location.empty());
  CHECK(says(r, "2 GPU events have the place that the kernel of the same name and stage has in the mapping trace; 1 of them"));
}

TEST_CASE("kernel: a trace without operators takes the program's own ranges for them") {
  made_trace m;
  m.annotate("step[DECODE bs=2]", 0_us, 100_us, hotpath::model::annotation_kind::push_pop);
  m.annotate("layer_3", 10_us, 50_us, hotpath::model::annotation_kind::push_pop);
  m.launch("a", 20_us, 200_us, 1_us), m.launch("b", 80_us, 210_us, 1_us);
  const mapping r = map_events(m.done());
  CHECK(site_of(r, 0).cpu_op == "layer_3");
  CHECK(r.site_of[1] == no_index);
}

TEST_CASE("kernel: mapping nothing gives nothing") {
  const mapping r = map_events({});
  CHECK(r.sites.empty());
  CHECK(r.notes.empty());
}

TEST_CASE("kernel: graph join of the samples: 544 of 544 and 421 of 421, each with an operator; withheld captures are said") {
  struct row { const char *exec, *capture; std::uint64_t graph, others; std::vector<std::pair<const char*, std::uint64_t>> operators; };
  for (const row& x : {row{"sglang_qwen3-8b_decode_mi3xx", "sglang_qwen3-8b_graph-capture_bs32", 544, 14,
                           {{"aten::mm", 145}, {"aiter::rmsnorm", 73}, {"aten::copy_", 73}, {"sglang_profiler::attention_paged_attention_ragged_100", 72}, {"aiter::add_rmsnorm", 72},
                            {"sgl_kernel::rotary_embedding", 36}, {"sglang::store_cache", 36}, {"sgl_kernel::silu_and_mul", 36}, {"aten::gather", 1}}},
                       row{"vllm_decode_full-graph_exec", "vllm_decode_full-graph_capture", 421, 13,
                           {{"aten::addmm", 72}, {"SortTokens", 72}, {"vllm::moe_forward", 72}, {"aiter::rmsnorm2d_fwd_with_add_ck", 48}, {"vllm::unified_attention_with_output", 36},
                            {"_C::rotary_embedding", 24}, {"_C_cache_ops::reshape_and_cache_flash", 24}, {"TopK", 24}, {"aiter::rms_norm", 1}}}}) {
    const auto a = hotpath_test::data_or_skip("torch-traces/tracelens/" + std::string(x.exec) + ".json.gz");
    const auto b = hotpath_test::data_or_skip("torch-traces/tracelens/" + std::string(x.capture) + ".json.gz");
    if (!a || !b) return;
    CAPTURE(x.exec);
    const auto t = hotpath_test::load_dom(*a), c = hotpath_test::load_dom(*b);
    const hotpath::model::timeline* const captures[] = {&c};
    const mapping with = map_events(t, {.captures = captures}), without = map_events(t);
    CHECK(with.graph_events == x.graph);
    CHECK(with.graph_joined == x.graph);
    CHECK(with.covered.by[3].events == x.graph);
    CHECK(with.covered.by[0].events == 0);
    CHECK(with.covered.with_location.events == x.graph + x.others);
    for (std::size_t i = 0; i < t.gpu.size(); ++i)
      if (with.how[i] == mapped_by::graph_join) CHECK_FALSE(site_of(with, i).cpu_op.empty());
    CHECK(without.graph_joined == 0);
    CHECK(without.covered.by[0].events == x.graph);
    CHECK(without.covered.by[0].time == with.covered.by[3].time);
    CHECK(says(without, "of " + std::to_string(x.graph) + " GPU events that graphs replayed are not mapped: no capture"));
    // Counted by another program from the JSON: launches of the capture by the operator with their External id.
    const auto of = [&](std::string_view op) {
      std::uint64_t n = 0;
      for (std::size_t i = 0; i < t.gpu.size(); ++i) n += with.how[i] == mapped_by::graph_join && site_of(with, i).cpu_op == op ? 1u : 0u;
      return n;
    };
    for (const auto& want : x.operators) CHECK_MESSAGE(of(want.first) == want.second, want.first);
    CHECK(site_of(without, t.gpu.size() / 2).location == "graph replay of batch 32");
  }
}
