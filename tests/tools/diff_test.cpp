// SPDX-License-Identifier: Apache-2.0
// hotpath diff A B: verdict and exit code of traces whose steps are known.
#include <nlohmann/json.hpp>
#include "tool.hpp"

using document = nlohmann::json;

namespace {

// `steps` decode steps of two kernels; the GEMM takes `gemm` us, give or take a little that repeats.
std::string trace(int steps, double gemm) {
  std::string out = "{\"schemaVersion\": 1, \"traceEvents\": [";
  const auto add = [&](const std::string& category, const std::string& name, int pid, double at, double duration, int id) {
    out += std::string(out.ends_with('[') ? "" : ",") + "\n{\"ph\": \"X\", \"cat\": \"" + category + "\", \"name\": \"" + name + "\", \"pid\": " + std::to_string(pid) + ", \"tid\": 7, \"ts\": " + std::to_string(at) +
           ", \"dur\": " + std::to_string(duration) + ", \"args\": {\"correlation\": " + std::to_string(id) + ", \"stream\": 7, \"device\": 0}}";
  };
  int id = 1;
  for (int i = 0; i < steps; ++i) {
    const double begin = 1000.0 * i, d = gemm * (1 + 0.004 * ((i * 7) % 5 - 2));
    out += std::string(out.ends_with('[') ? "" : ",") + "\n{\"ph\": \"X\", \"cat\": \"user_annotation\", \"name\": \"execute_context_0(0)_generation_8(8)\", \"pid\": 1, \"tid\": 7, \"ts\": " + std::to_string(begin) + ", \"dur\": 200, \"args\": {}}";
    add("cuda_runtime", "cudaLaunchKernel", 1, begin + 5, 3, id), add("kernel", "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT", 0, begin + 20, d, id), ++id;
    add("cuda_runtime", "cudaLaunchKernel", 1, begin + 9, 3, id), add("kernel", "fused_add_rms_norm_kernel", 0, begin + 20 + d, 40, id), ++id;
  }
  return out + "\n]}\n";
}

}  // namespace

TEST_CASE("tools: diff of two traces says worse, same or that it cannot be told, and exits so") {
  const tool run;
  const std::string a = run.dir.write("a.json", trace(30, 400)), b = run.dir.write("b.json", trace(32, 500)), few = run.dir.write("few.json", trace(5, 500));
  const auto worse = run({"diff", a, b});
  CAPTURE(worse.err);
  CHECK(worse.code == 1);
  CHECK(worse.out.starts_with(" WORSE "));
  CHECK(has(worse.out, "nvjet_hsh"));
  const auto better = run({"diff", b, a, "--json"});
  CHECK(better.code == 0);
  const document j = document::parse(better.out);
  CHECK(j["schema"] == "hotpath.trace_diff/1");
  CHECK(j["verdict"] == "better");
  CHECK(j["stages"][0]["stage"] == "decode");
  CHECK(j["stages"][0]["a_steps"] == 32);
  CHECK(std::abs(j["stages"][0]["step_time"]["relative_pct"].get<double>() + 100.0 * 100 / 540) < 1);
  const auto same = run({"diff", a, a});
  CHECK(same.code == 0);
  CHECK(same.out.starts_with(" SAME "));
  const auto unknown = run({"diff", a, few});
  CHECK(unknown.code == 5);
  CHECK(unknown.out.starts_with(" INCONCLUSIVE "));
  CHECK(has(unknown.out, "20"));
  CHECK(run({"diff", a, b, "--margin", "40"}).code == 0);
}

TEST_CASE("tools: diff says what is wrong with its flags and files") {
  const tool run;
  const std::string a = run.dir.write("a.json", trace(3, 400));
  CHECK(run({"diff", a}).code == 2);
  check_refused(run({"diff", a, run.dir.file("none.json")}), 3, "none.json");
  check_refused(run({"diff", a, a, "--margin", "-1"}), 2, "--margin");
  check_refused(run({"diff", a, a, "--stage", "night"}), 2, "--stage");
  check_refused(run({"diff", a, a, "--stage", "prefill"}), 3, "prefill");
  const std::string host = run.dir.write("host.json", R"({"traceEvents": [{"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 1, "tid": 1, "ts": 1, "dur": 2, "args": {}}]})");
  check_refused(run({"diff", a, host}), 3, "no GPU event");
}
