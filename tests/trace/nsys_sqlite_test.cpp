// SPDX-License-Identifier: Apache-2.0
// trace/nsys_sqlite: real exports against numbers of a second program, made ones for what real ones do not have, damaged ones.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include <hotpath/kernel/stats.hpp>
#include <hotpath/report/stats.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>
#include <support/data.hpp>
#include <support/temp_dir.hpp>

using namespace hotpath;
using kernel::stats_report;
using model::trace_fault;

namespace {

// What nsys writes, in short: enough of each table for a test.
constexpr const char* schema = R"(
CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE META_DATA_EXPORT (name TEXT NOT NULL, value TEXT);
INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.25.0'), ('EXPORT_PRODUCT_VERSION', '2026.2.1.210');
CREATE TABLE META_DATA_CAPTURE (name TEXT NOT NULL, value TEXT);
CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL,
  correlationId INTEGER, globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL, mangledName INTEGER, registersPerThread INTEGER NOT NULL, gridX INTEGER, gridY INTEGER, gridZ INTEGER,
  blockX INTEGER, blockY INTEGER, blockZ INTEGER, staticSharedMemory INTEGER, dynamicSharedMemory INTEGER, graphNodeId INTEGER, graphId INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER NOT NULL, end INTEGER NOT NULL, eventClass INTEGER NOT NULL, globalTid INTEGER, correlationId INTEGER, nameId INTEGER NOT NULL);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, bytes INTEGER NOT NULL,
  copyKind INTEGER NOT NULL, srcKind INTEGER, dstKind INTEGER, graphNodeId INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMSET (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, value INTEGER, bytes INTEGER NOT NULL,
  graphNodeId INTEGER, memKind INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_SYNCHRONIZATION (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, streamId INTEGER NOT NULL, correlationId INTEGER, globalPid INTEGER, syncType INTEGER NOT NULL,
  eventId INTEGER NOT NULL, eventSyncId INTEGER);
CREATE TABLE NVTX_EVENTS (start INTEGER NOT NULL, end INTEGER, eventType INTEGER NOT NULL, rangeId INTEGER, text TEXT, globalTid INTEGER, textId INTEGER, domainId INTEGER);
)";

constexpr std::int64_t vm = 0x1000000000000;
constexpr std::int64_t pid(std::int64_t p) { return vm + (p << 24); }
constexpr std::int64_t tid(std::int64_t p, std::int64_t t) { return pid(p) + t; }

struct made {
  hotpath_test::temp_dir dir;
  std::string path = dir.file("made.sqlite");
  sqlite3* db = nullptr;

  explicit made(const std::string& sql = schema) { open(), run(sql); }
  ~made() { sqlite3_close(db); }
  void open() { REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK); }
  void run(const std::string& sql) {
    const int rc = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
    CAPTURE(std::string(sqlite3_errmsg(db)));
    REQUIRE(rc == SQLITE_OK);
  }
  std::int64_t number(const std::string& sql) {
    sqlite3_stmt* s = nullptr;
    REQUIRE(sqlite3_prepare_v2(db, sql.c_str(), -1, &s, nullptr) == SQLITE_OK);
    const std::int64_t n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_finalize(s);
    return n;
  }
  void text(std::int64_t id, const std::string& value) { run("INSERT INTO StringIds VALUES (" + std::to_string(id) + ", '" + value + "')"); }
  void kernel(std::int64_t start, std::int64_t end, std::int64_t name, std::int64_t process = pid(10), std::int64_t correlation = 1, const std::string& graph = "NULL, NULL") {
    run("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (" + std::to_string(start) + "," + std::to_string(end) + ",0,1,0,7," + std::to_string(correlation) + "," + std::to_string(process) + "," +
        std::to_string(name) + "," + std::to_string(name + 1) + ",NULL,32,4,2,1,128,1,1,16,48," + graph + ")");
  }
  std::string bytes() {
    sqlite3_close(db), db = nullptr;
    return hotpath_test::read_file(path);
  }
};

std::string csv(const model::timeline& t, stats_report r) { return report::stats_csv(kernel::stats_of(t, r)); }

// The same report without a timeline, by so many connections.
std::string scanned(const std::string& path, stats_report r, std::size_t connections) {
  std::vector<kernel::stats_collector> sums(connections);
  const auto about = trace::scan_nsys<kernel::stats_collector>(path, sums, {.syncs = false, .brief = true});
  REQUIRE(about);
  return report::stats_csv(sums[0].table(r, *about));
}

// Field by field; a whole number of the expected file may have been written without ".0".
void check_csv(const std::string& got, const std::string& want) {
  text::csv_reader a(got), b(want);
  std::vector<std::string_view> x, y;
  std::size_t rows = 0;
  while (b.next(y)) {
    REQUIRE(a.next(x));
    REQUIRE(x.size() == y.size());
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] != y[i]) CHECK(x[i] == std::string(y[i]) + ".0");
    ++rows;
  }
  CHECK(!a.next(x));
  CHECK(rows > 1);
}

// Everything of a timeline as text.
std::string told(const model::timeline& t) {
  std::string s;
  const auto add = [&](auto... v) { ((s += std::to_string(static_cast<long long>(v)) + " "), ...), s += "\n"; };
  for (const auto& e : t.gpu) {
    const auto& d = t.details[e.detail];
    s += std::string(t.name(e.name)) + " " + std::string(t.names[t.short_names.size() > e.name ? t.short_names[e.name] : 0]) + " ";
    add(e.begin.ns, e.duration.ns, e.correlation, e.stream, e.graph, e.graph_node, e.process, e.device, static_cast<int>(e.kind), d.grid[0], d.grid[1], d.block[0], d.registers, d.shared_bytes, d.bytes, d.copy_kind);
  }
  const auto track = [&](std::uint32_t i) { s += i == model::no_index ? "- " : std::string(t.name(t.tracks[i].pid)) + "/" + std::string(t.name(t.tracks[i].tid)) + " "; };
  for (const auto& a : t.api) s += std::string(t.name(a.name)) + " ", track(a.track), add(a.begin.ns, a.duration.ns, a.correlation);
  for (const auto& a : t.annotations) s += std::string(t.name(a.domain)) + ":" + std::string(t.name(a.name)) + " ", track(a.track), add(a.begin.ns, a.duration.ns, static_cast<int>(a.kind), a.open);
  for (const auto& a : t.syncs) s += std::string(t.name(a.name)) + " ", add(a.begin.ns, a.duration.ns, a.correlation, a.process, a.device, a.stream, a.waits_for);
  for (const auto& p : t.processes) s += std::string(t.name(p.pid)) + " " + std::string(t.name(p.name)) + "\n";
  for (const auto& l : t.lost) s += std::string(name_of(l.fault)) + " ", add(l.count);
  return s;
}

const model::trace_loss* lost(const model::timeline& t, trace_fault f) {
  for (const auto& l : t.lost)
    if (l.fault == f) return &l;
  return nullptr;
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

// ---- real exports

TEST_CASE("trace: an nsys export gives the summaries that were computed from it independently") {
  const auto data = hotpath_test::data_or_skip("nsys");
  if (!data) return;
  const std::pair<const char*, stats_report> expected[] = {{"cuda_api_sum", stats_report::cuda_api_sum}, {"cuda_gpu_kern_sum", stats_report::cuda_gpu_kern_sum},
    {"cuda_gpu_kern_sum_base", stats_report::cuda_gpu_kern_sum_base}, {"cuda_gpu_mem_time_sum", stats_report::cuda_gpu_mem_time_sum}};
  for (const std::string file : {"h100_2gpu_1s", "mfu_2gpu_before"}) {
    const auto t = trace::read_nsys(*data + "/" + file + ".sqlite");
    REQUIRE(t);
    CHECK(!t->partial());
    for (const auto& [name, report] : expected) {
      const std::string table = file + " " + name;
      CAPTURE(table);
      const std::string want = hotpath_test::read_file(*data + "/expected_" + file + "_" + name + ".csv");
      check_csv(csv(*t, report), want);
      for (const std::size_t connections : {1u, 2u, 3u}) check_csv(scanned(*data + "/" + file + ".sqlite", report, connections), want);
    }
  }
}

TEST_CASE("trace: an nsys export gives the references of tests/kernel/nsys_reference.py byte by byte") {
  const auto data = hotpath_test::data_or_skip("nsys");
  if (!data) return;
  std::size_t compared = 0;
  for (const std::string file : {"h100_2gpu_1s", "mfu_2gpu_before", "mock", "healthy_1pct"}) {
    const auto t = trace::read_nsys(*data + "/" + file + ".sqlite");
    REQUIRE(t);
    for (std::size_t i = 0; i < std::size(kernel::stats_report_names); ++i) {
      std::string name = file + "_" + std::string(kernel::stats_report_names[i]);
      std::replace(name.begin(), name.end(), ':', '_');
      std::string want = hotpath_test::read_file(std::string(hotpath_test::source_dir()) + "/tests/kernel/data/nsys/" + name + ".csv");
      if (want.empty()) continue;
      CAPTURE(name);
      std::string got = csv(*t, static_cast<stats_report>(i));
      CHECK(got == scanned(*data + "/" + file + ".sqlite", static_cast<stats_report>(i), 2));
      if (const std::size_t summed = want.find("# "); summed != std::string::npos) {  // the first lines, and a sum over all
        std::uint64_t sum = 0, line = 1;
        std::size_t lines = 0;
        for (const char c : got) {
          sum += static_cast<unsigned char>(c) * line;
          if (c == '\n') ++line, ++lines;
        }
        CHECK(want.substr(summed) == "# " + std::to_string(lines - 1) + " rows, check " + std::to_string(sum % (std::uint64_t{1} << 32)) + "\n");
        want.resize(summed);
        got.resize(want.size());
      }
      CHECK(got == want);
      ++compared;
    }
  }
  CHECK(compared == 13);
}

TEST_CASE("trace: correlation ids of an nsys export join within a process, and many kernels have no call") {
  const auto data = hotpath_test::data_or_skip("nsys");
  if (!data) return;
  struct expectation { const char* file; std::size_t kernels, copies, sets, api, annotations, syncs, without_id, without_call, distinct; };
  // The last three by Python's sqlite3: kernels whose correlationId no call has, or no call of their process; count(DISTINCT correlationId).
  for (const auto& x : {expectation{"h100_2gpu_1s", 3442, 904, 22, 5796, 16782, 244, 1799, 1810, 3442}, expectation{"mfu_2gpu_before", 4010, 1020, 269, 7466, 19118, 366, 23, 24, 3932}}) {
    CAPTURE(x.file);
    const auto t = trace::read_nsys(*data + "/" + x.file + ".sqlite");
    REQUIRE(t);
    std::map<model::gpu_kind, std::size_t> kinds;
    for (const auto& e : t->gpu) ++kinds[e.kind];
    CHECK(kinds[model::gpu_kind::kernel] == x.kernels);
    CHECK(kinds[model::gpu_kind::copy] == x.copies);
    CHECK(kinds[model::gpu_kind::set] == x.sets);
    CHECK(t->api.size() == x.api);
    CHECK(t->annotations.size() == x.annotations);
    CHECK(t->syncs.size() == x.syncs);
    REQUIRE(t->processes.size() == 2);
    std::set<std::pair<std::uint16_t, std::uint64_t>> calls;
    std::set<std::uint64_t> distinct, ids;
    for (const auto& a : t->api) calls.insert({t->process_of(a.track), a.correlation}), ids.insert(a.correlation);
    std::size_t without = 0, unknown = 0;
    for (const auto& e : t->gpu) {
      if (e.kind != model::gpu_kind::kernel) continue;
      distinct.insert(e.correlation);
      without += calls.count({e.process, e.correlation}) == 0, unknown += ids.count(e.correlation) == 0;
    }
    CHECK(unknown == x.without_id);
    CHECK(without == x.without_call);
    CHECK(distinct.size() == x.distinct);
    for (const auto& p : t->processes) CHECK(t->name(p.name) == "python3");
    CHECK(t->devices.size() == 2);             // no TARGET_INFO_GPU: two devices without a name
    for (const auto& d : t->devices) CHECK(d.name.empty());
    CHECK(std::is_sorted(t->gpu.begin(), t->gpu.end(), [](const auto& a, const auto& b) { return std::tuple(a.process, a.device, a.begin.ns) < std::tuple(b.process, b.device, b.begin.ns); }));
    CHECK(told(*t) == told(*trace::read_nsys(*data + "/" + x.file + ".sqlite", {.threads = 1})));
  }
}

TEST_CASE("trace: an nsys export tells device, time of day and versions, and no host or user") {
  const auto data = hotpath_test::data_or_skip("nsys/mock.sqlite");
  if (!data) return;
  const auto t = trace::read_nsys(*data);
  REQUIRE(t);
  REQUIRE(t->devices.size() == 1);
  CHECK(t->devices[0].name == "NVIDIA GeForce RTX 3080");
  CHECK(t->devices[0].multiprocessors == 68);
  CHECK(t->devices[0].memory_bytes == 10736893952);
  CHECK(t->devices[0].compute_major == 8);
  CHECK(t->devices[0].compute_minor == 6);
  REQUIRE(t->processes.size() == 1);
  CHECK(t->name(t->processes[0].pid) == "91186");
  CHECK(t->name(t->processes[0].name) == "python");          // a path in the user's folder there
  CHECK(t->processes[0].unix_offset->ns == 1776781226557295056);
  CHECK(t->processes[0].source == "mock.sqlite");
  CHECK(t->about.format == model::trace_format::nsys_sqlite);
  CHECK(t->about.more[0] == std::pair<std::string, std::string>{"schema version", "3.24.14"});
  CHECK(t->about.more[1] == std::pair<std::string, std::string>{"nsys version", "2026.1.1.204"});
  CHECK(t->about.more[2] == std::pair<std::string, std::string>{"CUDA graph trace", "Graph"});
  CHECK(t->about.events == 13);
  CHECK(t->about.by_category[0] == std::pair<std::string, std::uint64_t>{"CUPTI_ACTIVITY_KIND_KERNEL", 2});
  for (name_id i = 0; i < t->names.size(); ++i) CHECK(!holds(std::string(t->name(i)), "rich"));
  const auto& e = *std::find_if(t->gpu.begin(), t->gpu.end(), [](const auto& g) { return g.kind == model::gpu_kind::copy; });
  CHECK(t->name(e.name) == "[CUDA memcpy Device-to-Host]");
  CHECK(t->details[e.detail].bytes == 4);
  CHECK(t->details[e.detail].copy_kind == 2);
  CHECK(t->details[e.detail].source_memory == 3);             // device
  CHECK(t->details[e.detail].target_memory == 2);             // pinned
  CHECK(t->name(t->syncs[0].name) == "Stream Wait Event");
  CHECK(t->name(t->tracks[t->api[0].track].name) == "python");
}

TEST_CASE("trace: reading an nsys export changes neither the file nor its folder") {
  const auto data = hotpath_test::data_or_skip("nsys/mock.sqlite");
  if (!data) return;
  const hotpath_test::temp_dir dir;
  const std::string before = hotpath_test::read_file(*data);
  const std::string path = dir.write("a ?#%41 b.sqlite", before);   // a name that a URI would take apart
  struct stat was {}, is {};
  REQUIRE(stat(path.c_str(), &was) == 0);
  REQUIRE(trace::read_nsys(path));
  CHECK(hotpath_test::read_file(path) == before);
  REQUIRE(stat(path.c_str(), &is) == 0);
  CHECK(std::memcmp(&was.st_mtim, &is.st_mtim, sizeof was.st_mtim) == 0);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

// ---- made exports

TEST_CASE("trace: kernels of an nsys export keep launch, names and graph, two processes may use one correlation id") {
  made m;
  m.text(1, "void f<(int)4>(T1)"), m.text(2, "f"), m.text(3, "g()"), m.text(4, "g"), m.text(5, "_Z1gv");
  m.kernel(1000, 1500, 1, pid(10), 7, "4294967301, 3"), m.kernel(900, 1000, 3, pid(11), 7);
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET mangledName = 5 WHERE demangledName = 3");
  m.text(9, "cudaLaunchKernel_v7000"), m.text(10, "cudaStreamGetCaptureInfo_v2_v11030"), m.text(11, "cuMemAlloc_v2");
  for (int i = 0; i < 3; ++i)
    m.run("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (" + std::to_string(100 + 10 * i) + ", " + std::to_string(105 + 10 * i) + ", 0, " + std::to_string(tid(10, 12)) + ", 7, " + std::to_string(9 + i) + ")");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  CHECK(!t->partial());
  REQUIRE(t->gpu.size() == 2);
  const auto &f = t->gpu[0], &g = t->gpu[1];
  CHECK(t->name(f.name) == "void f<(int)4>(T1)");
  CHECK(t->name(t->short_names[f.name]) == "f");
  CHECK(t->name(t->mangled_names[g.name]) == "_Z1gv");
  CHECK(csv(*t, stats_report::cuda_gpu_kern_sum_mangled) ==
        "Time (%),Total Time (ns),Instances,Avg (ns),Med (ns),Min (ns),Max (ns),StdDev (ns),Name\n83.3,500,1,500.0,500.0,500,500,,void f<(int)4>(T1)\n16.7,100,1,100.0,100.0,100,100,,_Z1gv\n");
  CHECK((f.begin.ns == 1000 && f.duration.ns == 500 && f.stream == 7 && f.correlation == 7 && g.correlation == 7));
  CHECK((f.process == 0 && g.process == 1));
  CHECK(t->name(t->processes[1].pid) == "11");
  CHECK(t->processes[1].clock == model::clock_kind::aligned);   // one clock for all processes of a capture
  CHECK((f.graph == 3 && f.graph_node == 5 && g.graph == model::no_index && g.graph_node == model::no_index));
  const model::gpu_detail& d = t->details[f.detail];
  CHECK((d.grid[0] == 4 && d.grid[1] == 2 && d.grid[2] == 1 && d.block[0] == 128 && d.registers == 32 && d.shared_bytes == 64));
  REQUIRE(t->api.size() == 3);
  CHECK(t->name(t->api[0].name) == "cudaLaunchKernel");
  CHECK(t->name(t->api[1].name) == "cudaStreamGetCaptureInfo_v2");
  CHECK(t->name(t->api[2].name) == "cuMemAlloc_v2");            // _v2 is the function's own name
  CHECK(t->name(t->tracks[t->api[0].track].tid) == "12");
  CHECK(t->process_of(t->api[0].track) == 0);
}

TEST_CASE("trace: graphs that nsys captured as a whole are events of their own") {
  made m(std::string(schema) + "CREATE TABLE CUPTI_ACTIVITY_KIND_GRAPH_TRACE (start INTEGER, end INTEGER, deviceId INTEGER, contextId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, graphId INTEGER, graphExecId INTEGER);");
  for (int i = 0; i < 3; ++i) m.run("INSERT INTO CUPTI_ACTIVITY_KIND_GRAPH_TRACE VALUES (" + std::to_string(1000 * i) + ", " + std::to_string(1000 * i + 400) + ", 0, 1, 7, " + std::to_string(i) + ", " + std::to_string(pid(10)) + ", 42, 43)");
  m.text(1, "k()"), m.text(2, "k"), m.kernel(500, 600, 1);
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  REQUIRE(t->gpu.size() == 4);
  CHECK(t->gpu[0].kind == model::gpu_kind::graph);
  CHECK((t->gpu[0].graph == 42 && t->gpu[0].stream == 7 && t->gpu[1].kind == model::gpu_kind::kernel));
  const auto table = kernel::stats_of(*t, stats_report::cuda_gpu_kern_sum);
  REQUIRE(table.rows.size() == 2);
  CHECK((table.rows[0].name == "[CUDA graph 42]" && table.rows[0].total == 1200 && table.rows[0].count == 3));
  REQUIRE(table.notes.size() == 1);
  CHECK(holds(table.notes[0], "3 CUDA graph launch events"));
  CHECK(holds(table.notes[0], "--cuda-graph-trace=node"));
  CHECK(scanned(m.path, stats_report::cuda_gpu_kern_sum, 2) == report::stats_csv(table));
}

TEST_CASE("trace: meanings of numbers in an nsys export come from its own tables") {
  made m(std::string(schema) +
         "CREATE TABLE ENUM_CUDA_MEMCPY_OPER (id INTEGER, name TEXT, label TEXT); INSERT INTO ENUM_CUDA_MEMCPY_OPER VALUES (201, 'CUDA_MEMCPY_KIND_DTOD', 'Sideways'), (1, 'CUDA_MEMCPY_KIND_NEW', 'Through Time');"
         "CREATE TABLE ENUM_CUDA_MEM_KIND (id INTEGER, name TEXT, label TEXT); INSERT INTO ENUM_CUDA_MEM_KIND VALUES (9, 'CUDA_MEMOPR_MEMORY_KIND_MANAGED_STATIC', '');"
         "CREATE TABLE ENUM_CUPTI_SYNC_TYPE (id INTEGER, name TEXT, label TEXT); INSERT INTO ENUM_CUPTI_SYNC_TYPE VALUES (77, 'X_STREAM_WAIT_EVENT', 'waits'), (78, 'X_NEW', 'New sync');"
         "CREATE TABLE ENUM_NSYS_EVENT_TYPE (id INTEGER, name TEXT, label TEXT); INSERT INTO ENUM_NSYS_EVENT_TYPE VALUES (159, 'NvtxPushPopRange', ''), (175, 'NvtxDomainCreate', '');"
         "CREATE TABLE CUPTI_ACTIVITY_KIND_CUDA_EVENT (timestamp INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, eventId INTEGER, eventSyncId INTEGER);");
  const std::string p = std::to_string(pid(10));
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (0, 10, 0, 7, 1, " + p + ", 100, 201, 9, 3, NULL), (20, 30, 0, 7, 2, " + p + ", 200, 1, NULL, NULL, NULL), (40, 50, 0, 7, 3, " + p + ", 5000000000, 250, NULL, NULL, NULL)");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_MEMSET VALUES (60, 70, 0, 7, 4, " + p + ", 0, 64, NULL, 9)");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_CUDA_EVENT VALUES (1, 0, 5, 41, " + p + ", 6, 1), (1, 0, 5, 42, " + p + ", 6, 2), (1, 0, 5, 43, " + std::to_string(pid(11)) + ", 6, 2)");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_SYNCHRONIZATION VALUES (1, 2, 0, 7, 50, " + p + ", 77, 6, 2), (3, 4, 0, 7, 51, " + p + ", 78, 6, 9)");
  m.run("INSERT INTO NVTX_EVENTS VALUES (0, 10, 59, NULL, 'no range here', " + p + ", NULL, 0), (0, 20, 159, NULL, 'range', " + p + ", NULL, 4), (0, NULL, 175, NULL, 'my domain', " + p + ", NULL, 4)");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  REQUIRE(t->gpu.size() == 4);
  CHECK(t->name(t->gpu[0].name) == "[CUDA memcpy Sideways]");
  CHECK(t->details[t->gpu[0].detail].copy_kind == 8);
  CHECK(t->details[t->gpu[0].detail].source_memory == 7);
  CHECK(t->details[t->gpu[0].detail].target_memory == 0);
  CHECK(t->name(t->gpu[1].name) == "[CUDA memcpy Through Time]");
  CHECK(t->details[t->gpu[1].detail].copy_kind == 0);
  CHECK(t->name(t->gpu[2].name) == "[CUDA memcpy kind 250]");
  CHECK(t->details[t->gpu[2].detail].bytes == 5'000'000'000);
  CHECK(t->name(t->gpu[3].name) == "[CUDA memset]");
  CHECK(t->details[t->gpu[3].detail].target_memory == 7);
  REQUIRE(t->syncs.size() == 2);
  CHECK(t->name(t->syncs[0].name) == "Stream Wait Event");
  CHECK((t->syncs[0].waits_for == 42 && t->syncs[0].waits_for_stream == 5));
  CHECK(t->name(t->syncs[1].name) == "New sync");
  CHECK(t->syncs[1].waits_for == model::no_id);
  REQUIRE(t->annotations.size() == 1);
  CHECK(t->name(t->annotations[0].domain) == "my domain");
}

TEST_CASE("trace: NVTX ranges of an nsys export with their domains, marks, and ranges that were never closed") {
  made m;
  m.text(1, "k()"), m.text(2, "k"), m.kernel(500, 600, 1);
  m.text(5, "by id");
  const std::string a = std::to_string(tid(10, 1)), b = std::to_string(tid(11, 1));
  m.run("INSERT INTO NVTX_EVENTS VALUES (0, NULL, 75, NULL, 'NCCL', " + a + ", NULL, 1), (0, NULL, 75, NULL, NULL, " + b + ", 5, 1),"
        "(10, 30, 59, NULL, 'decode', " + a + ", NULL, 0), (40, 70, 59, NULL, NULL, " + a + ", 5, NULL), (5, 50, 60, 9, 'over', " + a + ", NULL, 1), (5, 9, 60, 9, 'over', " + b + ", NULL, 1),"
        "(1, 2, 59, NULL, 'x', " + a + ", NULL, 3), (80, NULL, 59, NULL, 'open', " + a + ", NULL, 0), (90, NULL, 34, NULL, 'mark', " + a + ", NULL, 0), (91, 92, 33, NULL, 'category', " + a + ", NULL, 0)");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  CHECK(!t->partial());
  CHECK(t->annotations.size() == 7);
  std::size_t marks = 0, open = 0;
  for (const auto& n : t->annotations) marks += n.kind == model::annotation_kind::mark, open += n.open;
  CHECK((marks == 1 && open == 1));
  const auto table = kernel::stats_of(*t, stats_report::nvtx_sum);
  std::string rows;
  for (const auto& r : table.rows) rows += std::to_string(r.total) + " " + std::string(r.style) + " " + r.name + "\n";
  CHECK(rows == "45 StartEnd NCCL:over\n30 PushPop :by id\n20 PushPop :decode\n4 StartEnd by id:over\n1 PushPop <domain 3>:x\n");
  REQUIRE(table.notes.size() == 1);
  CHECK(table.notes[0] == "1 range left out: never closed");
  CHECK(scanned(m.path, stats_report::nvtx_sum, 2) == report::stats_csv(table));
}

TEST_CASE("trace: an nsys export read by several connections is the one read by one") {
  made m;
  m.run("INSERT INTO StringIds WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 999) SELECT i * 1000003, 'name ' || i FROM n");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 29999) SELECT i * 10, i * 10 + i % 977, i % 4, 1, 0, i % 5, i, " + std::to_string(vm) +
        " + (1 + i % 3 << 24), (100 + i * 7919 % 900) * 1000003, (100 + i * 7919 % 900 / 2) * 1000003, NULL, 32, i % 11, 1, 1, 128, 1, 1, 0, 0, NULL, NULL FROM n");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999) SELECT i * 10, i * 10 + i % 13, 0, " + std::to_string(vm) +
        " + (1 + i % 3 << 24) + i % 17, i, (999 - i % 100) * 1000003 FROM n");
  m.run("INSERT INTO NVTX_EVENTS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999) SELECT i * 10, i * 10 + i % 13, 59 + i % 2, 0, 'range ' || i % 333, " + std::to_string(vm) +
        " + (1 + i % 3 << 24) + i % 17, NULL, i % 3 FROM n");
  m.run("DELETE FROM CUPTI_ACTIVITY_KIND_KERNEL WHERE rowid BETWEEN 5000 AND 9000");   // row ids with a hole
  const auto one = trace::read_nsys(m.path, {.threads = 1});
  REQUIRE(one);
  CHECK(one->gpu.size() == 25999);
  CHECK(one->partial() == false);
  const std::string want = told(*one);
  for (const unsigned threads : {2u, 3u, 8u}) {
    const auto t = trace::read_nsys(m.path, {.threads = threads});
    REQUIRE(t);
    CHECK((told(*t) == want));
    CHECK(t->names.size() == one->names.size());
    for (name_id i = 0; i < t->names.size() && i < one->names.size(); ++i) CHECK(t->name(i) == one->name(i));
  }
  for (const auto r : {stats_report::cuda_gpu_kern_sum, stats_report::cuda_gpu_kern_sum_base, stats_report::cuda_api_sum, stats_report::nvtx_sum}) {
    const std::string table = csv(*one, r);
    for (const std::size_t connections : {1u, 2u, 5u}) CHECK((scanned(m.path, r, connections) == table));
  }
}

TEST_CASE("trace: reading an nsys export tells how far it is") {
  made m;
  m.text(1, "k()"), m.text(2, "k");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999) SELECT i * 10, i * 10 + 5, 0, 1, 0, 7, i, " + std::to_string(pid(10)) + ", 1, 2, NULL, 32, 1, 1, 1, 128, 1, 1, 0, 0, NULL, NULL FROM n");
  struct seen { std::vector<std::uint64_t> done; std::uint64_t total = 0; } s;
  trace::read_options o{.threads = 2};
  o.context = &s;
  o.progress = [](void* c, std::uint64_t done, std::uint64_t total) { static_cast<seen*>(c)->done.push_back(done), static_cast<seen*>(c)->total = total; };
  REQUIRE(trace::read_nsys(m.path, o));
  CHECK(s.total == std::filesystem::file_size(m.path));
  CHECK(s.done.size() > 10);
  CHECK(std::is_sorted(s.done.begin(), s.done.end()));
  CHECK(s.done[s.done.size() / 2] < s.total);
  CHECK(s.done.back() == s.total);
}

// ---- what is missing

TEST_CASE("trace: F-TRC-19 an nsys export without CUDA activity names its tables and the capture flags") {
  made m;
  m.run("CREATE TABLE OSRT_API (start INTEGER); CREATE TABLE ENUM_X (id INTEGER); INSERT INTO NVTX_EVENTS VALUES (1, 2, 59, 0, 'x', 1, NULL, 0)");
  for (const char* t : {"KERNEL", "RUNTIME", "MEMCPY", "MEMSET", "SYNCHRONIZATION"}) m.run(std::string("DROP TABLE CUPTI_ACTIVITY_KIND_") + t);
  const auto t = trace::read_nsys(m.path);
  REQUIRE(!t);
  CHECK(t.error().code == errc::empty);
  CHECK(holds(t.error().message(), "META_DATA_CAPTURE, META_DATA_EXPORT, NVTX_EVENTS, OSRT_API, StringIds"));
  CHECK(!holds(t.error().message(), "ENUM_X"));
  CHECK(holds(t.error().message(), "--trace=cuda,nvtx --cuda-graph-trace=node"));
  const made empty_tables;                                      // they are there, and have no row
  const auto e = trace::read_nsys(empty_tables.path);
  REQUIRE(!e);
  CHECK(e.error().code == errc::empty);
  const made other("CREATE TABLE requests (idx INTEGER); CREATE VIEW StringIds AS SELECT 1;");
  const auto o = trace::read_nsys(other.path);
  REQUIRE(!o);
  CHECK(o.error().code == errc::unsupported);
  CHECK(holds(o.error().message(), "no export of nsys: it has the tables requests"));
}

TEST_CASE("trace: F-TRC-20 an unknown schema of nsys is read as far as it is known, missing columns are named") {
  made m(R"(CREATE TABLE StringIds (id INTEGER PRIMARY KEY, value TEXT); INSERT INTO StringIds VALUES (1, 'k()'), (2, 'cudaLaunchKernel_v9999');
    CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT); INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '9.1.0');
    CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER, demangledName INTEGER, streamId INTEGER, novelty TEXT); INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (5, 9, 1, 3, 'x');
    CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (begin INTEGER, bytes INTEGER); INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY VALUES (1, 2);)");
  m.run("CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER, end INTEGER, nameId INTEGER, globalTid INTEGER, correlationId INTEGER); INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (1, 2, 2, " + std::to_string(tid(10, 3)) + ", 8)");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  REQUIRE(t->gpu.size() == 1);
  CHECK(t->gpu[0].stream == 3);
  CHECK(t->gpu[0].correlation == model::no_id);
  CHECK(t->processes.size() == 1);                              // of the one process that made calls
  CHECK(t->name(t->processes[0].pid) == "10");
  CHECK(t->partial());
  const auto* l = lost(*t, trace_fault::missing_column);
  REQUIRE(l != nullptr);
  CHECK(l->count == 3 + 7);                                      // of kernels: deviceId, correlationId, globalPid; of copies: all that are needed but bytes
  CHECK(holds(l->note, "schema 9.1.0"));
  CHECK(holds(l->note, "CUPTI_ACTIVITY_KIND_KERNEL: shortName, mangledName, deviceId, correlationId, globalPid"));
  CHECK(holds(l->note, "CUPTI_ACTIVITY_KIND_MEMCPY: start, end, copyKind"));
  CHECK(t->about.more[0].second == "9.1.0, not one that is known: what is known of it was read");
  CHECK(holds(scanned(m.path, stats_report::cuda_gpu_kern_sum, 1), "100.0,4,1,4.0,4.0,4,4,,k()"));
}

TEST_CASE("trace: F-TRC-21 a report in nsys' own format is refused with the export command") {
  const hotpath_test::temp_dir dir;
  const auto t = trace::read_nsys(dir.write("r.nsys-rep", std::string("QDSTRM\1\2\3", 9)));
  REQUIRE(!t);
  CHECK(t.error().code == errc::unsupported);
  CHECK(holds(t.error().hint, "nsys export --type sqlite --output report.sqlite " + dir.file("r.nsys-rep")));
  const auto renamed = trace::read_nsys(dir.write("r.sqlite", "QDSTRM"));
  REQUIRE(!renamed);
  CHECK(holds(renamed.error().message(), "not an SQLite database, want an export of nsys (nsys export --type sqlite)"));
}

TEST_CASE("trace: F-TRC-22 what is no database, not readable, cut off or being written is an error that says so") {
  const hotpath_test::temp_dir dir;
  const auto fails = [](const std::string& path, errc code, std::string_view words) {
    const auto t = trace::read_nsys(path);
    REQUIRE(!t);
    CAPTURE(t.error().message());
    CHECK(t.error().code == code);
    CHECK(t.error().source == path);
    CHECK(holds(t.error().message(), words));
  };
  fails(dir.file("none.sqlite"), errc::not_found, "No such file");
  fails(dir.path(), errc::unreadable, "is a folder");
  fails("/dev/null", errc::unreadable, "not a regular file");
  fails(dir.write("empty.sqlite", ""), errc::empty, "is empty");
  fails(dir.write("x.sqlite", "{\"traceEvents\": []}"), errc::malformed, "is not an SQLite database");
  fails(dir.write("head.sqlite", std::string("SQLite format 3\0", 16)), errc::malformed, "");
  REQUIRE(mkfifo(dir.file("pipe").c_str(), 0600) == 0);
  fails(dir.file("pipe"), errc::unreadable, "not a regular file");

  made m;
  m.text(1, "k()"), m.text(2, "k");
  for (int i = 0; i < 300; ++i) m.kernel(i * 10, i * 10 + 5, 1);
  const std::string good = m.bytes();
  REQUIRE(good.size() > 40'000);
  fails(dir.write("cut.sqlite", good.substr(0, good.size() / 2)), errc::malformed, "is cut off: its header says " + std::to_string(good.size()) + " bytes, it has " + std::to_string(good.size() / 2));
  const std::string path = dir.write("good.sqlite", good);
  REQUIRE(trace::read_nsys(path));
  dir.write("good.sqlite-journal", "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7");
  fails(path, errc::unreadable, "has a journal beside it (-journal)");
  dir.write("good.sqlite-journal", std::string(8, '\0'));       // of a writer that has finished
  CHECK(trace::read_nsys(path));
  dir.write("good.sqlite-wal", "7");
  fails(path, errc::unreadable, "has a journal beside it (-wal)");
}

TEST_CASE("trace: F-TRC-22 an nsys export in a folder that cannot be written is read") {
  made m;
  m.text(1, "k()"), m.text(2, "k"), m.kernel(1, 2, 1);
  m.bytes();
  REQUIRE(chmod(m.path.c_str(), 0444) == 0);
  REQUIRE(chmod(m.dir.path().c_str(), 0555) == 0);
  const pid_t child = fork();  // as somebody for whom the mode counts
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(3);
    if (access(m.dir.path().c_str(), W_OK) == 0) _exit(4);
    const auto t = trace::read_nsys(m.path, {.threads = 1});
    _exit(t && t->gpu.size() == 1 ? 0 : 5);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  chmod(m.dir.path().c_str(), 0755);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("trace: F-TRC-22 damaged pages of an nsys export are an error, and a ring of pages ends") {
  made m;
  m.text(1, "k()"), m.text(2, "k");
  for (int i = 0; i < 300; ++i) m.kernel(i * 10, i * 10 + 5, 1);
  const auto root = static_cast<std::size_t>(m.number("SELECT rootpage FROM sqlite_master WHERE name = 'CUPTI_ACTIVITY_KIND_KERNEL'"));
  std::string file = m.bytes();
  constexpr std::size_t page = 4096;
  const auto child = [&](std::size_t of) {  // the page of its first cell
    const auto two = [&](std::size_t i) { return std::size_t{static_cast<unsigned char>(file[i])} << 8 | static_cast<unsigned char>(file[i + 1]); };
    const std::size_t at = (of - 1) * page, cell = at + two(at + 12);
    REQUIRE(file[at] == 5);                 // an inner page of a table
    return two(cell + 2);
  };
  const std::size_t leaf = child(root);
  std::string damaged = file;
  std::memset(damaged.data() + (leaf - 1) * page, 0xff, page);
  const auto t = trace::read_nsys(m.dir.write("damaged.sqlite", damaged));
  REQUIRE(!t);
  CHECK(t.error().code == errc::malformed);
  CHECK(holds(t.error().message(), "cannot read CUPTI_ACTIVITY_KIND_KERNEL: database disk image is malformed"));

  // Three levels of inner pages whose 300 children are one page each: 1.5 billion rows in 50 kB.
  const auto inner = [&](std::size_t at, std::size_t to) {
    char* const p = file.data() + (at - 1) * page;
    std::memset(p, 0, page);
    const auto put = [&](std::size_t where, std::size_t v) { p[where] = static_cast<char>(v >> 8), p[where + 1] = static_cast<char>(v); };
    p[0] = 5, put(3, 300), put(5, page - 300 * 6), put(10, to);
    for (std::size_t i = 0; i < 300; ++i) {
      const std::size_t cell = page - (i + 1) * 6;
      put(12 + 2 * i, cell), put(cell + 2, to);
      p[cell + 4] = static_cast<char>(0x80 | i >> 7), p[cell + 5] = static_cast<char>(i & 127);
    }
  };
  const std::size_t second = file.size() / page + 1;
  file.resize(file.size() + 2 * page);
  file[30] = static_cast<char>(file.size() / page >> 8), file[31] = static_cast<char>(file.size() / page);
  inner(root, second), inner(second, second + 1), inner(second + 1, leaf);
  for (const unsigned threads : {1u, 2u}) {
    const auto ring = trace::read_nsys(m.dir.write("ring.sqlite", file), {.threads = threads});
    REQUIRE(!ring);
    CHECK(ring.error().code == errc::malformed);
    CHECK(holds(ring.error().message(), "goes on for longer than the file can be"));
  }
}

TEST_CASE("trace: F-TRC-22 nothing that a schema of an nsys export defines is run") {
  made m;
  m.text(1, "k()"), m.text(2, "k"), m.kernel(1, 2, 1);
  // A view in the place of a table; a computed column; a table of a module.
  m.run("DROP TABLE CUPTI_ACTIVITY_KIND_MEMCPY; CREATE VIEW CUPTI_ACTIVITY_KIND_MEMCPY AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i AS start, i + 1 AS end, 0 AS deviceId FROM n");
  m.run("DROP TABLE CUPTI_ACTIVITY_KIND_MEMSET; CREATE TABLE CUPTI_ACTIVITY_KIND_MEMSET (start INTEGER, end INTEGER, bytes AS (length(zeroblob(100000000))), value INTEGER); INSERT INTO CUPTI_ACTIVITY_KIND_MEMSET (start, end) VALUES (1, 2)");
  m.run("CREATE INDEX by_name ON CUPTI_ACTIVITY_KIND_KERNEL (start, end, demangledName, abs(start))");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  REQUIRE(t->gpu.size() == 2);
  CHECK(t->details[t->gpu[1].detail].bytes == 0);
  const auto* l = lost(*t, trace_fault::missing_column);
  REQUIRE(l != nullptr);
  CHECK(holds(l->note, "CUPTI_ACTIVITY_KIND_MEMSET: bytes"));
}

TEST_CASE("trace: F-TRC-23 a string id without entry is a name that says so, counted") {
  made m;
  m.text(1, "k()"), m.text(2, "k");
  m.kernel(1, 3, 1), m.kernel(5, 7, 4000000001), m.kernel(8, 9, 4000000001), m.kernel(11, 12, -5);
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET shortName = 2");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  CHECK(!t->partial());                                         // nothing is lost but words
  CHECK(t->name(t->gpu[1].name) == "<id 4000000001>");
  CHECK(t->gpu[1].name == t->gpu[2].name);
  CHECK(t->name(t->gpu[3].name) == "<id -5>");
  REQUIRE(lost(*t, trace_fault::missing_name) != nullptr);
  CHECK(lost(*t, trace_fault::missing_name)->count == 2);       // distinct ones
  CHECK(t->short_names[t->gpu[1].name] != 0);
  m.run("DROP TABLE StringIds");
  const auto none = trace::read_nsys(m.path);
  REQUIRE(none);
  CHECK(none->name(none->gpu[0].name) == "<id 1>");
}

TEST_CASE("trace: rows of an nsys export with impossible times are counted by cause, not used") {
  made m(std::string(schema) + "DROP TABLE CUPTI_ACTIVITY_KIND_KERNEL; CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start, end, deviceId, streamId, correlationId, globalPid, demangledName, shortName);");
  m.text(1, "k()"), m.text(2, "k");
  const std::string rest = ", 0, 7, 1, " + std::to_string(pid(10)) + ", 1, 2)";
  for (const char* times : {"1, 2", "5, 4", "NULL, 4", "4, NULL", "'x', 4", "4, 4.5", "4, x'00'", "-9223372036854775808, 9223372036854775807", "3, 3", "4000000000, 9000000000"})
    m.run(std::string("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (") + times + rest);
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (1, 2, 0, 7, NULL, NULL, NULL, NULL)");
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  CHECK(t->gpu.size() == 4);
  CHECK(lost(*t, trace_fault::negative_duration)->count == 1);
  CHECK(lost(*t, trace_fault::no_time)->count == 1);
  CHECK(lost(*t, trace_fault::no_duration)->count == 1);
  CHECK(lost(*t, trace_fault::bad_time)->count == 4);
  CHECK(lost(*t, trace_fault::unknown_process)->count == 1);
  CHECK(t->processes.size() == 2);
  CHECK(t->name(t->gpu.back().name) == "");
  CHECK(kernel::stats_of(*t, stats_report::cuda_gpu_kern_sum).rows[0].max == 5'000'000'000);
}

TEST_CASE("trace: F-TRC-16 names beyond the limits of an nsys reader share one, or are cut, counted") {
  made m;
  m.text(1, std::string(300, 'a'));
  for (int i = 2; i < 12; ++i) m.text(i, "k" + std::to_string(i));
  for (int i = 1; i < 11; ++i) m.kernel(i * 10, i * 10 + 5, i);
  trace::read_options o{.threads = 1};
  o.names = {.bytes = 100, .distinct = 6};
  const auto t = trace::read_nsys(m.path, o);
  REQUIRE(t);
  CHECK(t->gpu.size() == 10);
  CHECK(t->partial());
  CHECK(lost(*t, trace_fault::long_name)->count >= 1);
  CHECK(lost(*t, trace_fault::too_many_names)->count >= 1);
  CHECK(t->name(t->gpu[0].name) == std::string(100, 'a'));
  CHECK(t->name(t->gpu[9].name) == name_table::beyond_limit);
}

TEST_CASE("trace: what is lost of an nsys export does not depend on the number of connections") {
  made m;
  m.run("INSERT INTO StringIds WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, CASE WHEN i % 100 = 0 THEN printf('%200d', i) ELSE 'name ' || i END FROM n");
  m.run("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999) SELECT i * 10, i * 10 + 5, 0, 1, 0, 7, i, " + std::to_string(vm) +
        " + (1 << 24), 1 + i * 7 % 1000, 1 + i * 7 % 1000, NULL, 32, 1, 1, 1, 128, 1, 1, 0, 0, NULL, NULL FROM n");   // 901 to 1000 have no entry
  for (const std::size_t distinct : {std::size_t{1'000'000}, std::size_t{500}}) {
    trace::read_options o{.threads = 1};
    o.names = {.bytes = 100, .distinct = distinct};
    const auto one = trace::read_nsys(m.path, o);
    REQUIRE(one);
    CHECK(lost(*one, trace_fault::missing_name)->count == 100);
    CHECK(lost(*one, trace_fault::long_name)->count == 9);
    CHECK((lost(*one, trace_fault::too_many_names) != nullptr) == (distinct == 500));
    for (const unsigned threads : {2u, 3u}) {
      o.threads = threads;
      const auto t = trace::read_nsys(m.path, o);
      REQUIRE(t);
      CHECK(t->partial() == one->partial());
      REQUIRE(t->lost.size() == one->lost.size());
      for (std::size_t i = 0; i < t->lost.size(); ++i) {
        CAPTURE(std::string(name_of(t->lost[i].fault)));
        CHECK(t->lost[i].count == one->lost[i].count);
      }
    }
  }
}

TEST_CASE("trace: numbers of an nsys export beyond what they can be are counted, not taken for others") {
  made m;
  m.text(1, "k"), m.text(2, "k");
  for (int i = 0; i < 4; ++i) m.kernel(10 * i, 10 * i + 5, 1);
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET deviceId = 65536 WHERE start = 0");
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET streamId = 4294967303 WHERE start = 10");
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET staticSharedMemory = 4294967295, dynamicSharedMemory = 4097 WHERE start = 20");
  m.run("UPDATE CUPTI_ACTIVITY_KIND_KERNEL SET streamId = 4294967295 WHERE start = 30");   // CUPTI's own "none"
  const auto t = trace::read_nsys(m.path);
  REQUIRE(t);
  REQUIRE(t->gpu.size() == 4);
  CHECK(t->gpu[3].begin.ns == 0);              // by device
  CHECK(t->gpu[3].device == 65535);
  CHECK(t->gpu[0].stream == model::no_index);
  CHECK(t->details[t->gpu[1].detail].shared_bytes == UINT32_MAX);
  CHECK(t->gpu[2].stream == model::no_index);
  REQUIRE(lost(*t, trace_fault::malformed_event) != nullptr);
  CHECK(lost(*t, trace_fault::malformed_event)->count == 3);
}

TEST_CASE("trace: rows that repeat the devices of an nsys export are one device, and there are at most 4,096") {
  made m;
  m.text(1, "k"), m.text(2, "k");
  for (int i = 0; i < 30; ++i) m.kernel(10 * i, 10 * i + 5, 1, pid(i));
  m.run("CREATE TABLE TARGET_INFO_GPU (id INTEGER, name TEXT, totalMemory INTEGER, smCount INTEGER, computeMajor INTEGER, computeMinor INTEGER);"
        "CREATE TABLE TARGET_INFO_CUDA_DEVICE (gpuId INTEGER, cudaId INTEGER, pid INTEGER);");
  m.run("INSERT INTO TARGET_INFO_GPU WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT 5, 'GPU', 1, 1, 9, 0 FROM n");
  m.run("INSERT INTO TARGET_INFO_CUDA_DEVICE WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 299) SELECT 5, 0, i % 30 FROM n");
  CHECK(trace::read_nsys(m.path)->devices.size() == 30);
  m.run("UPDATE TARGET_INFO_GPU SET id = rowid");
  m.run("DELETE FROM TARGET_INFO_CUDA_DEVICE");
  CHECK(trace::read_nsys(m.path)->devices.size() == 4096);   // 30 processes, 200 devices
}
