// SPDX-License-Identifier: Apache-2.0
// hotpath stats: reports of nsys exports and torch traces, formats, exit codes, streams.
#include <nlohmann/json.hpp>
#include <support/data.hpp>
#include <sqlite3.h>
#include "tool.hpp"

using document = nlohmann::json;

namespace {

// One kernel of 500 ns and two of 100 ns, 10 and 30 bytes copied, one call.
void write_export(const std::string& path, const std::string& more = "") {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
  const std::string sql = R"(CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT); INSERT INTO StringIds VALUES (1, 'void f<(int)4>(T1)'), (2, 'f'), (3, '=g()'), (4, 'g'), (5, 'cudaLaunchKernel_v7000');
    CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT); INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.25.0'), ('EXPORT_HOST_NAME', 'secrethost');
    CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, demangledName INTEGER, shortName INTEGER);
    INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (0, 500, 0, 7, 1, 281474976710656, 1, 2), (600, 700, 0, 7, 2, 281474976710656, 3, 4), (700, 800, 0, 7, 3, 281474976710656, 3, 4);
    CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, bytes INTEGER, copyKind INTEGER);
    INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (0, 5, 0, 7, 4, 281474976710656, 10000000, 1), (5, 9, 0, 7, 5, 281474976710656, 30000000, 1);
    CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, end INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER); INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (0, 9, 281474976710657, 1, 5);)" + more;
  const int rc = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
  sqlite3_close(db);
  REQUIRE(rc == SQLITE_OK);
}

}  // namespace

TEST_CASE("tools: stats prints the reports of nsys stats, those that are asked for in the order asked") {
  const tool hotpath;
  write_export(hotpath.dir.file("r.sqlite"));
  const auto csv = hotpath({"stats", "r.sqlite", "--report", "cuda_gpu_mem_size_sum,cuda_gpu_kern_sum", "--format", "csv"});
  CHECK(csv.code == 0);
  CHECK(csv.err == "");
  CHECK(csv.out ==
        "Total (MB),Count,Avg (MB),Med (MB),Min (MB),Max (MB),StdDev (MB),Operation\n40.000,2,20.000,20.000,10.000,30.000,14.142,[CUDA memcpy Host-to-Device]\n\n"
        "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name\n71.4,500,1,500.0,500.0,500,500,,void f<(int)4>(T1)\n28.6,200,2,100.0,100.0,100,100,0.0,=g()\n");
  CHECK(has(hotpath({"stats", "r.sqlite", "--report", "cuda_gpu_kern_sum", "--format", "csv", "--formula-guard"}).out, "'=g()"));
  CHECK(has(hotpath({"stats", "r.sqlite", "--report", "cuda_gpu_kern_sum:base", "--format", "csv"}).out, ",,f\n28.6,200,2,100.0,100.0,100,100,0.0,g\n"));
  const auto all = hotpath({"stats", "r.sqlite"});
  CHECK(all.code == 0);
  std::size_t at = 0;
  for (const char* title : {"cuda_api_sum", "cuda_gpu_kern_sum", "cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum", "nvtx_sum"}) {
    const std::size_t found = all.out.find(std::string("(") + title + "):");
    CHECK(found != std::string::npos);
    CHECK(found >= at);
    at = found;
  }
  CHECK(has(all.out, "SKIPPED: the trace has no closed NVTX range and no annotation.\n"));
  CHECK(has(all.out, "cudaLaunchKernel\n"));
  CHECK(!has(all.out + all.err, "secrethost"));
}

TEST_CASE("tools: stats as JSON has rows by heading and what is missing") {
  const tool hotpath;
  write_export(hotpath.dir.file("r.sqlite"));
  const auto f = hotpath({"stats", "r.sqlite", "--json", "--report", "cuda_gpu_kern_sum,nvtx_sum"});
  CHECK(f.code == 0);
  CHECK(hotpath.faults("stats-1", f.out) == "");
  CHECK(hotpath.faults("stats-1", hotpath({"stats", "r.sqlite", "--json"}).out) == "");
  const document j = document::parse(f.out);
  CHECK(j["schema"] == "hotpath.stats/1");
  CHECK(j["file"] == "r.sqlite");
  CHECK(j["reports"][0]["rows"][0]["Name"] == "void f<(int)4>(T1)");
  CHECK(j["reports"][0]["rows"][1]["Total Time (ns)"] == 200);
  CHECK(j["reports"][1]["missing"] == "the trace has no closed NVTX range and no annotation");
  CHECK(j["lost"].is_null());
}

TEST_CASE("tools: stats exits 3 where there is nothing to sum, 5 where something was lost, 2 for flags") {
  const tool hotpath;
  write_export(hotpath.dir.file("r.sqlite"));
  const auto none = hotpath({"stats", "r.sqlite", "--report", "nvtx_sum", "--format", "csv"});
  CHECK(none.code == 3);
  CHECK(has(none.err, "nvtx_sum: the trace has no closed NVTX range"));
  write_export(hotpath.dir.file("lossy.sqlite"), "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (9, 5, 0, 7, 1, 281474976710656, 1, 2); UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET demangledName = 77 WHERE start = 600;");
  const auto lossy = hotpath({"stats", "lossy.sqlite", "--report", "cuda_gpu_kern_sum", "--format", "csv"});
  CHECK(lossy.code == 5);
  CHECK(has(lossy.err, "negative_duration 1"));
  CHECK(has(lossy.err, "missing_name 1"));
  CHECK(has(lossy.out, "<id 77>"));
  check_refused(hotpath({"stats", "r.sqlite", "--report", "gpu_sum"}), 2, "--report: no report is called gpu_sum, want any of cuda_gpu_kern_sum, ");
  check_refused(hotpath({"stats", "r.sqlite", "--format", "xml"}), 2, "xml");
  check_refused(hotpath({"stats", "r.sqlite", "--formula-guard"}), 2, "--formula-guard is for --format csv");
  hotpath.dir.write("r.nsys-rep", "x");
  check_refused(hotpath({"stats", "r.nsys-rep"}), 3, "nsys export --type sqlite");
  hotpath.dir.write("cpu.sqlite", "");
  check_refused(hotpath({"stats", "none.sqlite"}), 3, "none.sqlite");
}

TEST_CASE("tools: stats of a torch trace have the same headings") {
  const tool hotpath;
  hotpath.dir.write("t.json", R"json({"traceEvents": [
    {"ph": "X", "cat": "kernel", "name": "void f<4>(float*)", "pid": 0, "tid": 7, "ts": 10, "dur": 1.5, "args": {"correlation": 1, "stream": 7, "device": 0}},
    {"ph": "X", "cat": "gpu_memcpy", "name": "Memcpy DtoH (Device -> Pinned)", "pid": 0, "tid": 7, "ts": 20, "dur": 2, "args": {"correlation": 2, "bytes": 1500000, "stream": 7, "device": 0}},
    {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 5, "tid": 5, "ts": 1, "dur": 3, "args": {"correlation": 1}},
    {"ph": "X", "cat": "user_annotation", "name": "ProfilerStep#1", "pid": 5, "tid": 5, "ts": 0, "dur": 40}]})json");
  const auto f = hotpath({"stats", "t.json", "--report", "cuda_gpu_kern_sum:base,cuda_gpu_mem_size_sum,cuda_api_sum,nvtx_sum", "--format", "csv"});
  CAPTURE(f.err);
  CHECK(f.code == 0);
  CHECK(has(f.out, "100.0,1500,1,1500.0,1500.0,1500,1500,,f\n"));
  CHECK(has(f.out, "1.500,1,1.500,1.500,1.500,1.500,,[CUDA memcpy Device-to-Host]\n"));
  CHECK(has(f.out, "100.0,3000,1,3000.0,3000.0,3000,3000,,cudaLaunchKernel\n"));
  CHECK(has(f.out, ",PushPop,:ProfilerStep#1\n"));
}

TEST_CASE("tools: stats of a real torch trace are those of a second program") {
  const auto trace = hotpath_test::data_or_skip("torch-traces/hta/timeline_sampled_rank0.json.gz");
  if (!trace) return;
  const tool hotpath;
  for (const char* report : {"cuda_gpu_kern_sum", "cuda_api_sum", "cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum", "nvtx_sum"}) {
    CAPTURE(report);
    const auto want = hotpath_test::run({"python3", std::string(hotpath_test::source_dir()) + "/tests/kernel/nsys_reference.py", *trace, report});
    const auto got = hotpath({"stats", *trace, "--report", report, "--format", "csv"});
    CAPTURE(want.err);
    CHECK(want.code == 0);
    CHECK(want.out.find('\n') != want.out.size() - 1);
    CHECK(got.out == want.out);
  }
}
