// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <hotpath/trace.hpp>
#include <map>
#include "written.hpp"

using namespace written_test;
using document = nlohmann::json;

namespace {
std::string chrome(const model::timeline& t, trace::written* about = nullptr, trace::chrome_options o = {}) {
  std::string out;
  auto keep = [&](std::string_view bytes) { out += bytes; return true; };
  const auto w = trace::write_chrome(t, keep, o);
  REQUIRE(w);
  CHECK(w->bytes == out.size());
  if (about != nullptr) *about = *w;
  return out;
}
}  // namespace

TEST_CASE("trace: F-OUT-09 Chrome JSON is valid whatever the names are, and keeps nanoseconds, in Python's reader") {
  for (const nanoseconds zero : {nanoseconds{5'000}, nanoseconds{1'700'000'000'123'456'789}, nanoseconds{-7'777'777}, nanoseconds{9'007'199'254'000'000}}) {
    CAPTURE(zero.ns);
    const model::timeline t = rich(zero);
    trace::written w;
    const std::string text = chrome(t, &w);
    CHECK(w.events == events_of(t));
    CHECK(w.left_out == 0);
    CHECK(w.flows == hostile_names().size() + 3);  // one per kernel: three of the graph launch
    CHECK(document::accept(text));
    check_read_back("chrome", text, t, w.flows);
    // Times as doubles lose nothing either: a reader that has only those can round to the nanosecond.
    const document j = document::parse(text);
    for (const auto& e : j["traceEvents"]) {
      if (e["ph"] != "X") continue;
      const double ns = e["ts"].get<double>() * 1000;
      CHECK(std::abs(ns - std::round(ns)) < 0.01);
    }
  }
}

TEST_CASE("trace: F-TRC-15 a name of 60 KiB and one of ill-formed bytes are written whole and escaped") {
  model::timeline t;
  const std::string big(60 << 10, '<');
  t.gpu.push_back({.begin = 1_us, .duration = 1_us, .name = t.names.intern(big), .stream = 7});
  t.gpu.push_back({.begin = 3_us, .duration = 1_us, .name = t.names.intern("a\x80z\x1b[2J"), .stream = 7});
  t.sort();
  const document j = document::parse(chrome(t));
  CHECK(j["traceEvents"][0]["ph"] == "M");
  std::vector<std::string> names;
  for (const auto& e : j["traceEvents"]) if (e["ph"] == "X") names.push_back(e["name"]);
  CHECK(names == std::vector<std::string>{big, "a\uFFFDz\x1b[2J"});
  CHECK(chrome(t).find('\x1b') == std::string::npos);
}

TEST_CASE("trace: Chrome JSON has Kineto's fields") {
  const model::timeline t = rich(5_us);
  const document j = document::parse(chrome(t));
  CHECK(j["schemaVersion"] == 1);
  CHECK(j["deviceProperties"][0]["name"] == "A \"GPU\"");
  CHECK(j["deviceProperties"][0]["numSms"] == 132);
  CHECK(j["distributedInfo"]["rank"] == 2);
  CHECK(j["baseTimeNanoseconds"] == 1'699'999'999'999'995'000);  // ts 5.000 us is the offset's 1.7e18
  document kernel, copy, launch, sync, start, finish;
  for (const auto& e : j["traceEvents"]) {
    if (e["name"] == "in graph" && e["args"]["graph node id"] == 1) kernel = e;
    if (e["name"] == "plain") copy = e;
    if (e["name"] == "cudaGraphLaunch") launch = e;
    if (e.value("cat", "") == "cuda_sync") sync = e;
    if (e["ph"] == "s" && e["id"] == 100) start = e;
    if (e["ph"] == "f" && e["id"] == 100) finish = e;
  }
  CHECK(kernel["ts"] == 213.0);  // 5 us, and 205 + 3
  CHECK(kernel["dur"] == 3.0);
  CHECK(kernel["pid"] == 3);
  CHECK(kernel["tid"] == 7);
  CHECK(kernel["args"] == document::parse(R"({"device":3,"stream":7,"correlation":115,"graph id":5,"graph node id":1})"));
  CHECK(copy["args"] == document::parse(R"({"External id":100,"device":3,"stream":7,"correlation":100,"Collective name":"allreduce","dtype":"BFloat16","Process Group Name":"default","Group size":8,"In msg nelems":4096})"));
  CHECK(launch["cat"] == "cuda_runtime");
  CHECK(launch["pid"] == 4711);
  CHECK(sync["args"]["wait_on_stream"] == 7);
  CHECK(sync["args"]["wait_on_cuda_event_record_corr_id"] == 100);
  CHECK(start["pid"] == 4711);
  CHECK(finish["tid"] == 7);
  CHECK(finish["bp"] == "e");
}

TEST_CASE("trace: Chrome JSON of an empty timeline is a valid file without events, and a sink that refuses is an error") {
  const document j = document::parse(chrome({}));
  CHECK(j["traceEvents"].empty());
  const model::timeline t = rich(5_us);
  auto full = [](std::string_view) { return false; };
  const auto w = trace::write_chrome(t, full);
  REQUIRE(!w);
  CHECK(w.error().code == errc::io);
}

TEST_CASE("trace: Chrome JSON without flows has the same events") {
  const model::timeline t = rich(5_us);
  trace::written w;
  check_read_back("chrome", chrome(t, &w, {.flows = false}), t, 0);
  CHECK(w.flows == 0);
}

TEST_CASE("trace: copies, sets and whole graphs of Chrome JSON are read back as what they were") {
  model::timeline t;
  t.processes.resize(1);
  const std::uint32_t stream = add_track(t, "0", "7");
  model::gpu_detail d;
  d.bytes = 4096, d.copy_kind = 2, d.source_memory = 3, d.target_memory = 2;
  t.details.push_back(d);
  d.copy_kind = 0, d.source_memory = 0, d.target_memory = 7;
  t.details.push_back(d);
  t.gpu.push_back({.begin = 1_us, .duration = 1_us, .name = t.names.intern("[CUDA memcpy Device-to-Host]"), .stream = 7, .detail = 1, .track = stream, .kind = model::gpu_kind::copy});
  t.gpu.push_back({.begin = 3_us, .duration = 1_us, .name = t.names.intern("[CUDA memset]"), .stream = 7, .detail = 2, .track = stream, .kind = model::gpu_kind::set});
  t.gpu.push_back({.begin = 5_us, .duration = 1_us, .name = t.names.intern("[CUDA graph 4]"), .stream = 7, .graph = 4, .track = stream, .kind = model::gpu_kind::graph});
  t.gpu.push_back({.begin = 7_us, .duration = 1_us, .name = t.names.intern("k"), .stream = 7, .track = stream});
  t.sort();
  const auto again = trace::read_text(chrome(t));
  REQUIRE(again);
  REQUIRE(again->gpu.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(again->gpu[i].kind == t.gpu[i].kind);
    CHECK(again->details[again->gpu[i].detail] == t.details[t.gpu[i].detail]);
  }
  CHECK(again->gpu[2].graph == 4);
}

TEST_CASE("trace: Chrome JSON tells 4,000 processes apart, names the devices of each once, and keeps an offset within 64 bits") {
  model::timeline t;
  t.processes.resize(4000);
  for (std::size_t p = 0; p < t.processes.size(); ++p) {
    t.processes[p].rank = static_cast<int>(p), t.processes[p].name = t.names.intern("python");
    for (int i = 0; i < 4; ++i) t.gpu.push_back({.begin = nanoseconds{-1000 - i}, .duration = 1_us, .name = t.names.intern("k"), .stream = 7, .process = static_cast<std::uint16_t>(p), .device = static_cast<std::uint16_t>(i % 2)});
  }
  t.processes[0].unix_offset = nanoseconds{INT64_MIN};
  t.sort();
  const document j = document::parse(chrome(t));
  CHECK(j["baseTimeNanoseconds"] == INT64_MIN);
  std::map<std::string, int> named;
  for (const auto& e : j["traceEvents"]) if (e["name"] == "process_name") ++named[e["pid"].dump()];
  CHECK(named.size() == 8000);
  for (const auto& [pid, n] : named) CHECK(n == 1);
  CHECK(named.count("\"[TP3999] 1\"") == 1);
  t.processes[7].rank = 8;   // two of one rank: numbers of processes instead
  CHECK(chrome(t).find("[NP3999 no rank] 1") != std::string::npos);
}
