// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/summary.hpp>
#include <hotpath/kernel/table.hpp>
#include "built_subject.hpp"

using namespace hotpath;
using hotpath_test::built;
using kernel::family;
using model::stage;

namespace {
std::vector<std::string> lines_of(const kernel::subject& s, const std::vector<kernel::fusion_table>& fusions = {}) {
  std::vector<kernel::kernel_table> k;
  std::vector<kernel::overlap_table> o;
  for (const stage at : s.stages) k.push_back(kernel::table(s, at)), o.push_back(kernel::overlap(s, at));
  return kernel::summarize(k, o, fusions);
}
}  // namespace

TEST_CASE("kernel: the summary is one line per stage, made of what its tables say") {
  built b;
  for (int i = 0; i < 10; ++i) {
    const auto d = b.step(stage::decode);
    const double at = 1000.0 * i;
    b.call("cudaLaunchKernel", at - 40, 5, static_cast<std::uint64_t>(100 + i));
    b.add("gemm_big", at, 500, {.step = d, .correlation = static_cast<std::uint64_t>(100 + i)});
    b.add("gemm_small", at + 500, 100, {.step = d});
    b.add("attention_kernel", at + 600, 200, {.what = family::attention, .step = d});
    b.add("rms_norm", at + 800, 10, {.what = family::norm, .step = d});
    b.add("all_reduce", at + 790, 100, {.what = family::comm, .stream = 20, .step = d});
  }
  b.add("gemm_big", 20'000, 1000, {.at = stage::prefill});
  b.finish();
  kernel::fusion_table f;
  f.at = stage::decode;
  f.rows.push_back({});
  f.rows[0].state = kernel::fusion_state::already_fused, f.rows[0].pattern = "there already";
  f.rows.push_back({});
  f.rows[1].pattern = "all-reduce + norm", f.rows[1].gain_per_step = 15_us;
  const auto lines = lines_of(b.s, {f});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("extend/prefill: gemm 100.0 % of GPU time (gemm_big, 100.0 %)") == 0);
  CHECK(lines[1] == "decode: gemm 65.9 % of GPU time (gemm_big, 54.9 %), attention 22.0 %, comm 11.0 %; idle 10.0 % of 9.89 ms, mostly host bound; 0.080 ms of communication exposed per step"
                    "; overlap could win at most 0.080 ms per step: all_reduce; fusion could apply: all-reduce + norm, at most 0.015 ms per step");
  CHECK(lines_of(b.s, {f}) == lines);
}

TEST_CASE("kernel: the summary of a trace without its graphs' kernels says so and gives no idle time") {
  built b;
  b.add("first", 0, 1, {.what = family::sampling});
  for (std::uint64_t i = 0; i < 10; ++i) b.call("cudaGraphLaunch", 1000.0 * static_cast<double>(i) + 10, 20, 100 + i);
  b.add("last", 20'000, 10, {.what = family::sampling});
  b.finish();
  const auto lines = lines_of(b.s);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("whole trace: sampling 100.0 % of the recorded GPU time (last, 90.9 %); 10 of 10 graph launches have no kernels") == 0);
  CHECK(lines[0].find("idle 9") == std::string::npos);
}

TEST_CASE("kernel: the summary of nothing is nothing, and of work without length says that") {
  CHECK(kernel::summarize({}).empty());
  const kernel::kernel_table empty;
  CHECK(kernel::summarize({&empty, 1}).empty());
  built b;
  b.add("a", 0, 0, {});
  b.finish();
  const auto lines = lines_of(b.s);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].find("whole trace: no GPU time") == 0);
}
