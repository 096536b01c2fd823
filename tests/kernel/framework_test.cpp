// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/kernel/framework.hpp>
#include <hotpath/kernel/server_args.hpp>
#include <string>
#include "dom.hpp"
#include "support/data.hpp"

using namespace hotpath;
using namespace hotpath::kernel;

namespace {
struct made {
  model::timeline t;
  made() { t.tracks.resize(2); }
  void frame(std::string_view name, std::uint32_t track = 0) { t.frames.push_back({.name = t.names.intern(name), .track = track}); }
  void op(std::string_view name) { t.ops.push_back({.name = t.names.intern(name), .track = 0}); }
  void kernel(std::string_view name) { t.gpu.push_back({.name = t.names.intern(name)}); }
  void launch(std::uint32_t track) { t.api.push_back({.name = t.names.intern("cudaLaunchKernel"), .track = track}); }
};
}  // namespace

TEST_CASE("kernel: a framework's own Python frames outweigh kernels it borrows") {
  made m;
  m.frame("python/sglang/srt/managers/scheduler.py(10): run");
  for (int i = 0; i < 50; ++i) m.kernel("void vllm::rms_norm_kernel<float>(float*)");
  const auto g = find_framework(m.t);
  CHECK(g.name == "sglang");
  CHECK(g.reason == "Python frames of sglang (1)");
  CHECK(g.points[0] == doctest::Approx(100));
  CHECK(g.points[1] == doctest::Approx(10));
}

TEST_CASE("kernel: only frames of threads that launch count") {
  made m;
  m.launch(1);
  for (int i = 0; i < 5; ++i) m.frame("vllm/benchmarks/client.py(3): main", 0);
  m.frame("tensorrt_llm/_torch/pyexecutor/py_executor.py(3): _executor_loop", 1);
  CHECK(detect_framework(m.t) == "trtllm");
  m.t.api.clear();
  CHECK(detect_framework(m.t) == "vllm");          // no calls are known: all threads count, and most frames are vLLM's
}

TEST_CASE("kernel: little evidence, or as much for two, is unknown with the reason") {
  made m;
  CHECK(find_framework(m.t).reason == "nothing in the trace names a framework");
  m.kernel("void vllm::rms_norm_kernel<float>(float*)");
  CHECK(find_framework(m.t).name == "unknown");
  CHECK(find_framework(m.t).reason == "kernel names of vllm (1): too little");
  m.frame("/x/vllm/a.py(1): f"), m.frame("/x/sglang/a.py(1): f");
  CHECK(find_framework(m.t).name == "unknown");
  CHECK(find_framework(m.t).reason.find("but also signs of sglang") != std::string::npos);
}

TEST_CASE("kernel: server arguments tell the framework of a trace without stacks") {
  made m;
  m.kernel("gemm");
  const auto name = [&](std::string_view json) {
    const auto args = *parse_server_args(json);
    return detect_framework(m.t, &args);
  };
  CHECK(name(R"({"schedule_policy":"fcfs","attention_backend":"fa3"})") == "sglang");
  CHECK(name(R"({"compilation_config":{"pass_config":{"fuse_norm_quant":true}}})") == "vllm");
  CHECK(name(R"({"cuda_graph_config":null})") == "trtllm");
  CHECK(name(R"({"attn_tp_size":4,"mla_chunk_multiplier":2})") == "tokenspeed");
  CHECK(name(R"({"model":"x"})") == "unknown");
}

TEST_CASE("kernel: names of frameworks that a user may write") {
  CHECK(framework_of_flag("SGLang") == "sglang");
  CHECK(framework_of_flag("tllm") == "trtllm");
  CHECK(framework_of_flag("tensorrt-llm") == "trtllm");
  CHECK(framework_of_flag("ts") == "tokenspeed");
  CHECK(framework_of_flag("none") == "unknown");
  CHECK(framework_of_flag("pytorch").empty());
}

TEST_CASE("kernel: frameworks of real traces, with no help from their names") {
  struct { const char* file; const char* framework; } const rows[] = {
      {"tracelens/sglang_qwen3-8b_prefill_mi3xx.json.gz", "sglang"}, {"tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz", "sglang"},
      {"tracelens/sglang_qwen3-8b_graph-capture_bs32.json.gz", "sglang"}, {"tracelens/vllm_b200_eager_prefill.json.gz", "vllm"},
      {"tracelens/vllm_decode_full-graph_exec.json.gz", "vllm"}, {"tracelens/vllm_decode_full-graph_capture.json.gz", "vllm"},
      {"vllm_cpu/tiny-llama_14steps_shapes_stacks_rank0.pt.trace.json.gz", "vllm"}, {"tracelens/hf_bert-small_h100.json.gz", "unknown"},
      {"tracelens/hf_qwen1.5-0.5b_h100.json.gz", "unknown"}, {"tracelens/gpu_only_mi210.json.gz", "unknown"}, {"tracelens/resnet_ddp_rank0_mi300.json.gz", "unknown"},
      {"hta/timeline_sampled_rank0.json.gz", "unknown"}, {"hta/cpu_only_rank34.pt.trace.json.gz", "unknown"}, {"deepseek/dsv3_train_dualpipe.json.gz", "unknown"}};
  for (const auto& row : rows) {
    const auto path = hotpath_test::data_or_skip(std::string("torch-traces/") + row.file);
    if (!path) return;
    const auto g = find_framework(hotpath_test::load_dom(*path));
    CHECK_MESSAGE(g.name == row.framework, row.file << ": " << g.reason);
  }
}
