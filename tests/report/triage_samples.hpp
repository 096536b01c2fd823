// SPDX-License-Identifier: Apache-2.0
// tests/report/triage_samples.hpp - kernel reports written by hand: one of two stages with all that a report can hold, one with nothing, one
// whose every text is hostile.
#pragma once
#include <string>
#include <vector>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/family.hpp>

namespace triage_samples {

using namespace hotpath;
using kernel::family;

inline kernel::kernel_row row(kernel::stage at, std::string name, family what, std::int64_t total_us, std::uint64_t launches, double share, double running, std::string op = {}, std::string where = {}) {
  kernel::kernel_row r;
  r.at = at, r.kernel = r.raw = name, r.short_name = name.size() <= 60 ? name : name.substr(0, 36) + ".." + name.substr(name.size() - 22);
  r.what = what, r.total = nanoseconds::from_us(total_us), r.launches = launches, r.share = share, r.running_share = running;
  r.share_busy = share * 1.1, r.share_wall = share * 0.9, r.launches_per_step = static_cast<double>(launches) / 2;
  r.mean = r.total / static_cast<std::int64_t>(launches), r.min = r.mean / 2, r.p50 = r.mean, r.p95 = r.mean * 2, r.max = r.mean * 3;
  r.rule = "a-rule", r.cpu_op = op, r.streams = r.devices = 1;
  if (!where.empty()) r.places.push_back({.location = where, .cpu_op = op, .stack = "a -> b", .share = 98.4});
  r.launch.grid[0] = 128, r.launch.grid[1] = r.launch.grid[2] = 1, r.launch.block[0] = 256, r.launch.block[1] = r.launch.block[2] = 1, r.launch.registers = 96, r.launch.occupancy = 0.5f;
  return r;
}

inline kernel::triage_report good() {
  using enum kernel::stage;
  kernel::triage_report r;
  r.mode = "single-trace", r.framework = "sglang", r.framework_reason = "Python frames", r.inputs = {"/traces/1758513624-TP-0.trace.json.gz"};
  r.model = "Qwen/Qwen3-8B", r.devices = {"NVIDIA H100 80GB HBM3"}, r.rank = 0, r.world_size = 2, r.duration = 130_ms;

  kernel::kernel_table p;
  p.at = prefill, p.events = 2048, p.steps = 1, p.total = p.in_steps = 90_ms, p.busy = 88_ms, p.wall = 91_ms, p.hidden_rows = 41, p.hidden_events = 700, p.hidden = 4_ms;
  p.by_family = {{family::gemm, 61_ms}, {family::attention, 18_ms}, {family::norm, 5_ms}, {family::comm, 4_ms}, {family::elementwise, 2_ms}};
  p.rows = {row(prefill, "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT", family::gemm, 61'000, 145, 67.8, 67.8, "aten::mm", "python/sglang/srt/layers/quantization/unquant.py:130 apply"),
            row(prefill, "flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2, cute::tuple<cute::C<1>, cute::C<1>, cute::C<1>>, cute::tuple<cute::C<128>, cute::C<176>, cute::C<128>>, 128, cutlass::bfloat16_t>>", family::attention, 18'000, 36, 20.0, 87.8, "sgl_kernel::fwd",
                "python/sglang/srt/layers/attention/flashattention_backend.py:842 forward_extend"),
            row(prefill, "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", family::comm, 4'000, 73, 4.4, 92.2, "c10d::allreduce_", "python/sglang/srt/distributed/parallel_state.py:501 all_reduce"),
            row(prefill, "fused_add_rmsnorm_kernel<8u, __nv_bfloat16>", family::norm, 3'000, 72, 3.3, 95.6)};
  p.rows[2].detail = "all_reduce";
  kernel::kernel_table d;
  d.at = decode, d.events = 5'400, d.steps = 2, d.total = d.in_steps = 30_ms, d.busy = 29_ms, d.wall = 39_ms;
  d.by_family = {{family::gemm, 20_ms}, {family::attention_decode, 8_ms}, {family::sampling, 2_ms}};
  d.rows = {row(decode, "gemv2T_kernel_val<int, int, __nv_bfloat16, __nv_bfloat16, float>", family::gemm, 20'000, 4'000, 66.7, 66.7, "aten::linear"),
            row(decode, "BatchDecodeWithPagedKVCacheKernel", family::attention_decode, 8'000, 1'000, 26.7, 93.3, "sgl_kernel::batch_decode"),
            row(decode, "TopKTopPSamplingFromProbKernel", family::sampling, 2'000, 400, 6.7, 100.0)};
  d.rows[0].ranks = kernel::kernel_row::over_ranks{19_ms, 20_ms, 24_ms, 2};
  d.rows[2].launches_per_step.reset();
  r.kernels = {p, d};

  kernel::overlap_table o;
  o.at = prefill, o.basis = "one trace";
  o.time.at = prefill, o.time.steps = 1, o.time.streams = 2, o.time.wall = 91_ms, o.time.busy = 88_ms, o.time.idle = 3_ms, o.time.compute = 84_ms, o.time.comm = 4_ms, o.time.exposed_in_steps = 2_ms, o.time.memory = 1_ms, o.time.exposed_comm = 3_ms, o.time.overlapped = 2_ms;
  o.time.idle_by[0] = {2_ms, 31}, o.time.idle_by[1] = {600_us, 14}, o.time.idle_by[2] = {400_us, 2};
  kernel::overlap_row w;
  w.at = prefill, w.priority = "P1", w.verdict = "headroom", w.kernel = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", w.scope = "python/sglang/srt/distributed/parallel_state.py:501 all_reduce";
  w.signal = "4000.0 us, 4.5% of busy, excl 75.0% / hid 25.0%", w.dependency = "low", w.recommendation = "try overlap", w.cls = kernel::overlap_class::comm;
  w.total = 4_ms, w.exclusive = 3_ms, w.hidden = w.hidden_by_compute = 1_ms, w.share = 4.5, w.saving_per_step = 3_ms, w.inflation = 1.18, w.partner = "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT", w.known_family = "O03 all-reduce beside the next GEMM";
  o.rows = {w}, o.hidden_rows = 2;
  kernel::overlap_table od;
  od.at = decode, od.basis = "one trace", od.no_rows = "Only one stream has work: nothing can overlap";
  od.time.at = decode, od.time.steps = 2, od.time.streams = 1, od.time.wall = 39_ms, od.time.busy = 29_ms, od.time.idle = 10_ms, od.time.compute = 29_ms;
  od.time.idle_by[3] = {10_ms, 3};
  r.overlaps = {o, od};

  kernel::fusion_table f;
  f.at = prefill;
  kernel::fusion_row a;
  a.at = prefill, a.id = "F01", a.pattern = "FlashInfer unified allreduce_fusion", a.state = kernel::fusion_state::opportunity, a.confidence = "candidate", a.related = 7_ms, a.share = 7.7;
  a.evidence = {{"ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 4.4}, {"fused_add_rmsnorm_kernel", 3.3}}, a.locations = {"forward @ python/sglang/srt/layers/communicator.py:212"};
  a.candidate = "python/sglang/srt/layers/flashinfer_comm_fusion.py", a.rationale = "An all-reduce and the RMSNorm behind it can be one kernel", a.adjacency = 97.2, a.repetitions = 72, a.gain_per_step = 1'200_us;
  a.conditions = {{"tp_size >= 2", kernel::condition_state::met}, {"enable_flashinfer_allreduce_fusion is off", kernel::condition_state::unknown}, {"compute capability 9.0 or 10.0", kernel::condition_state::not_met}};
  kernel::fusion_row b;
  b.at = prefill, b.id = "F17", b.pattern = "Fused residual add and RMSNorm", b.state = kernel::fusion_state::already_fused, b.confidence = "confirmed", b.related = 3_ms, b.share = 3.3;
  b.evidence = {{"fused_add_rmsnorm_kernel<8u, __nv_bfloat16>", 3.3}}, b.rationale = "The residual is added by the norm";
  f.rows = {a, b}, f.hidden_rows = 1;
  f.chains = {{{"quant_kernel", "copy_kernel<float>"}, "python/sglang/srt/layers/linear.py:88 forward", 900_us, 1.0, 100, 36, 120_us}};
  kernel::fusion_table fd;
  fd.at = decode, fd.similarity = {{"medium", "All groups of F09 but one are there and adjacent"}};
  r.fusions = {f, fd};

  for (int i = 0; i < 3; ++i) {
    kernel::step s;
    s.what = i == 0 ? prefill : decode, s.begin = nanoseconds::from_ms(40 * i), s.end = s.begin + 38_ms, s.events = i == 0 ? 2048 : 2700;
    s.gpu_begin = s.begin + 2_ms, s.gpu_end = s.gpu_begin + (i == 0 ? 91_ms : 19_ms), s.gpu_busy = i == 0 ? 88_ms : 14_ms, s.graph = i != 0;
    if (i == 0) s.context_requests = 15, s.context_tokens = 15'360;
    else s.generation_requests = 32, s.generation_tokens = 32;
    s.idle_by[i == 0 ? 0 : 3] = s.gpu_end - s.gpu_begin - s.gpu_busy;   // the host was late; between graph launches
    r.steps.push_back(s);
    r.step_names.push_back(i == 0 ? "step[EXTEND bs=15 toks=15360]" : "step[DECODE bs=32]");
  }
  r.covered.by[0] = {48, 2_ms}, r.covered.by[1] = {6'400, 98_ms}, r.covered.by[2] = {1'000, 20_ms}, r.covered.with_location = {4'000, 89_ms};
  r.summary = {"extend/prefill: gemm takes 67.8 % of GPU time, most of it nvjet_hsh_256x128 (61.0 ms in 145 launches)", "decode: idle for 25.6 % of the wall time, all of it between graph launches"};
  r.hints = {"Under programmatic dependent launch a kernel's duration holds its wait for the one before"};
  r.check = {.verdict = kernel::health::good, .findings = {{false, "No event was lost"}}, .total = 120_ms, .in_rows = 116_ms, .hidden = 4_ms, .left_out = 0_ms};
  r.notes = {{"1758513624-TP-0.trace.json.gz", "no capture of graphs of batch 32 in the traces given"}};
  return r;
}

inline kernel::triage_report empty() {
  kernel::triage_report r;
  r.mode = "single-trace", r.framework = "vllm", r.framework_reason = "annotations", r.inputs = {"cpu.pt.trace.json.gz"};
  r.cpu_ops = {{"aten::addmm", 140, 30_ms, 31_ms, 60.0}, {"vllm::unified_attention_with_output", 28, 20_ms, 20_ms, 40.0}};
  r.check = {.verdict = kernel::health::unusable, .findings = {{true, "The trace has 19,000 events of the CPU and none of a GPU: was the profiler started with CUDA activities?"}}};
  return r;
}

// Texts that try to leave their place: markup, scripts, controls, formulas, directions, templates, paths; at least 30.
inline const std::vector<std::string>& payloads() {
  static const std::vector<std::string> all = {
      "<script>alert(1)</script>", "</script><script>alert(2)</script>", "<img src=x onerror=alert(3)>", "<svg/onload=alert(4)>", "\"><b>bold</b>", "' onmouseover='alert(5)", "javascript:alert(6)",
      "<a href=\"javascript:alert(7)\">x</a>", "{{7*7}}", "${7*7}", "<%= 7*7 %>", "<!-- comment", "--> after", "]]>", "<style>*{display:none}</style>", "</style><h1>x</h1>", "</title><h1>t</h1>", "</td></tr></table><h1>out</h1>",
      "&lt;script&gt;", "&#60;script&#62;", "&amp;&quot;", "a|b|c", "a\\|b", "`code` ``more``", "# heading", "- list", "[link](http://example.com/x)", "![image](http://example.com/y.png)", "http://example.com/z", "@someone", "__bold__ *it*",
      "=1+1", "+1", "-1", "@SUM(A1)", "\tTAB", "\rCR", "line\nbreak", "\x1b]0;title\x07", "\x1b[2J\x1b[31mred", "nul\x01\x02\x7f", "\xE2\x80\xAE" "gnp.exe", "\xE2\x80\xA8line separator", "\xC2\x9B" "31mC1", "bad \xFF\xFE utf8", "\xF0\x9F\x94\xA5 fire", "<meta http-equiv=refresh content=0>",
      "<iframe src=//example.com>", "<base href=//example.com>", "<form action=//example.com><input>", "style=x:expression(alert(8))", "\"quoted, with comma\"", std::string(60u << 10, 'x') + "<b>"};
  return all;
}

// Every text of the good report is `p`.
inline kernel::triage_report hostile(const std::string& p) {
  kernel::triage_report r = good();
  r.framework_reason = r.model = r.framework = p, r.inputs = r.devices = r.capture_inputs = r.mapping_inputs = r.step_names = r.summary = r.hints = {p, p, p};
  r.mapping_framework = p + "2";
  for (auto& t : r.kernels)
    for (auto& x : t.rows) x.kernel = x.short_name = x.raw = x.cpu_op = x.detail = p, x.places = {{p, p, p, 50}, {p, p, p, 40}};
  for (auto& t : r.overlaps) {
    t.basis = t.no_rows = p;
    for (auto& x : t.rows) x.priority = x.verdict = x.kernel = x.scope = x.signal = x.dependency = x.recommendation = x.partner = x.known_family = p;
  }
  r.overlaps[1].time.unknown = p;
  for (auto& t : r.fusions) {
    t.similarity = {{p, p}}, t.chains = {{{p, p}, p, 1_ms, 1, 1, 1, {}}};
    for (auto& x : t.rows) x.id = x.pattern = x.confidence = x.candidate = x.rationale = p, x.evidence = {{p, 1}, {p, 2}}, x.locations = {p, p}, x.conditions = {{p, kernel::condition_state::met}};
  }
  r.cpu_ops = {{p, 1, 1_ms, 1_ms, 100}}, r.notes = {{p, p}}, r.check.findings = {{true, p}, {false, p}};
  return r;
}

}  // namespace triage_samples
