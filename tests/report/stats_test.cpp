// SPDX-License-Identifier: Apache-2.0
// report/stats: nsys' headings and number formats, hostile names, empty tables.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <hotpath/report/stats.hpp>

using namespace hotpath;
using kernel::stats_report;

namespace {

kernel::stats_table table(stats_report r, std::string name = "k") {
  kernel::stats_table t;
  t.report = r, t.total = 3000, t.count = 3;
  kernel::stats_row a{.share = 66.666, .total = 2000, .count = 2, .min = 999, .max = 1001, .mean = 1000, .median = 1000.5, .deviation = 1.4142135, .name = std::move(name), .style = "PushPop"};
  kernel::stats_row b{.share = 33.333, .total = 1000, .count = 1, .min = 1000, .max = 1000, .mean = 1000, .median = 1000, .deviation = {}, .name = "b, \"c\"", .style = "StartEnd"};
  t.rows = {a, b};
  return t;
}

}  // namespace

TEST_CASE("report: stats as CSV have the headings of nsys, one decimal, and nothing for the deviation of one value") {
  CHECK(report::stats_csv(table(stats_report::cuda_gpu_kern_sum)) ==
        "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name\n66.7,2000,2,1000.0,1000.5,999,1001,1.4,k\n33.3,1000,1,1000.0,1000.0,1000,1000,,\"b, \"\"c\"\"\"\n");
  const auto head = [](stats_report r) { const std::string s = report::stats_csv(table(r)); return s.substr(0, s.find('\n')); };
  CHECK(head(stats_report::cuda_api_sum) == "Time (%),Total Time (ns),Num Calls,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name");
  CHECK(head(stats_report::cuda_gpu_mem_time_sum) == "Time (%),Total Time (ns),Count,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Operation");
  CHECK(head(stats_report::nvtx_sum) == "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Style,Range");
  CHECK(report::stats_csv(table(stats_report::nvtx_sum)).find(",PushPop,k\n") != std::string::npos);
  CHECK(report::stats_csv(table(stats_report::cuda_gpu_mem_size_sum)).starts_with("Total (MB),Count,Avg (MB),Med (MB),Min (MB),Max (MB),StdDev (MB),Operation\n0.002,2,0.001,0.001,0.001,0.001,0.000,k\n"));
}

TEST_CASE("report: F-OUT-03 stats as CSV keep formulas as they are unless asked to guard") {
  const auto t = table(stats_report::cuda_gpu_kern_sum, "=cmd|' /C calc'!A0");
  CHECK(report::stats_csv(t).find(",=cmd|' /C calc'!A0\n") != std::string::npos);
  CHECK(report::stats_csv(t, true).find("'=cmd|' /C calc'!A0") != std::string::npos);
}

TEST_CASE("report: stats as a table line up, cut and clean names") {
  CHECK(report::stats_text(table(stats_report::cuda_gpu_kern_sum)) ==
        " ** CUDA GPU Kernel Summary (cuda_gpu_kern_sum):\n\n"
        " Time (%)  Total Time (ns)  Instances  Avg (ns)  Med (ns)  Min (ns)  Max (ns)  StdDev (ns)  Name\n"
        " --------  ---------------  ---------  --------  --------  --------  --------  -----------  ----\n"
        "     66.7             2000          2    1000.0    1000.5       999      1001          1.4  k\n"
        "     33.3             1000          1    1000.0    1000.0      1000      1000            -  b, \"c\"\n");
  const std::string hostile = report::stats_text(table(stats_report::cuda_gpu_kern_sum, "\x1b]0;title\x07" + std::string(60'000, 'x') + "\xff"));
  CHECK(hostile.find('\x1b') == std::string::npos);
  CHECK(hostile.size() < 2000);
  CHECK(report::stats_text(table(stats_report::cuda_gpu_kern_sum, "k\u00E9"), true).find("k?") != std::string::npos);
  auto noted = table(stats_report::nvtx_sum);
  noted.notes = {"1 range left out: never closed"};
  CHECK(report::stats_text(noted).ends_with("\n ! 1 range left out: never closed.\n"));
}

TEST_CASE("report: F-OUT-13 stats without rows say why") {
  kernel::stats_table t{.report = stats_report::nvtx_sum, .rows = {}, .notes = {}, .missing = "the trace has no closed NVTX range and no annotation"};
  CHECK(report::stats_text(t) == " ** NVTX Range Summary (nvtx_sum):\n\n SKIPPED: the trace has no closed NVTX range and no annotation.\n");
  CHECK(report::stats_csv(t) == "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Style,Range\n");
}

TEST_CASE("report: stats as JSON are objects by heading, with what is missing and lost") {
  std::vector<kernel::stats_table> tables = {table(stats_report::cuda_gpu_kern_sum, "a\xff\x1b"), {.report = stats_report::nvtx_sum, .rows = {}, .notes = {"n"}, .missing = "why"}};
  model::timeline about;
  about.about.file = "r.sqlite";
  const auto clean = nlohmann::json::parse(report::stats_json(tables, about));
  CHECK(clean["lost"].is_null());
  about.count(model::trace_fault::missing_name, {}, "", 3);
  const auto j = nlohmann::json::parse(report::stats_json(tables, about));
  CHECK(j["schema"] == "hotpath.stats/1");
  CHECK(j["file"] == "r.sqlite");
  CHECK(j["lost"] == nlohmann::json{{"missing_name", 3}});
  REQUIRE(j["reports"].size() == 2);
  const auto& k = j["reports"][0];
  CHECK(k["report"] == "cuda_gpu_kern_sum");
  CHECK(k["missing"].is_null());
  CHECK(k["rows"][0]["Total Time (ns)"] == 2000);
  CHECK(k["rows"][0]["Time (%)"] == 66.7);
  CHECK(k["rows"][0]["Med (ns)"] == 1000.5);
  CHECK(k["rows"][1]["StdDev (ns)"].is_null());
  CHECK(k["rows"][1]["Name"] == "b, \"c\"");
  CHECK(j["reports"][1]["missing"] == "why");
  CHECK(j["reports"][1]["notes"] == nlohmann::json{"n"});
}
