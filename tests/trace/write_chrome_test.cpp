// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
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
