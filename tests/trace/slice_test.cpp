// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <hotpath/trace.hpp>
#include <hotpath/trace/slice.hpp>
#include <hotpath/trace/zlib.hpp>
#include <support/data.hpp>
#include <map>
#include <set>
#include "written.hpp"

using namespace written_test;
using document = nlohmann::json;

namespace {

struct cut {
  trace::sliced about;
  document file;
  std::multiset<std::string> events(std::string_view category = {}) const {
    std::multiset<std::string> out;
    for (const auto& e : file["traceEvents"]) if (category.empty() || e.value("cat", "") == category) out.insert(e.dump());
    return out;
  }
};
template <class Inflater = trace::zlib>
cut slice_of(const std::string& path, const model::timeline& t, const trace::selection& s) {
  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  auto r = trace::slice_file<Inflater>(path, t, s, keep);
  REQUIRE(r);
  return {std::move(*r), document::parse(text)};
}

std::int64_t ns(const document& number) {  // exact: of the text, not of the double
  const std::string s = number.dump();
  nanoseconds n;
  json::reader in(s);
  REQUIRE(trace::detail::read_time(in, n));
  return n.ns;
}
std::string id(const document& e, const char* key) {
  if (!e.contains("args") || !e["args"].contains(key)) return {};
  const auto& v = e["args"][key];
  return v.is_string() ? v.get<std::string>() : v.dump();
}

// What a slice by time must hold, the slow way: every rule as a loop over the document.
std::multiset<std::string> naive(const document& all, std::int64_t from, std::int64_t to) {
  std::multiset<std::string> out;
  std::set<std::string> correlations, externals;
  std::map<std::string, std::vector<std::int64_t>> points;
  const auto meets = [&](const document& e) {
    const std::int64_t b = ns(e["ts"]), end = b + (e.contains("dur") ? ns(e["dur"]) : 0);
    return b < to && (end > from || b >= from);
  };
  const auto is_gpu = [](const document& e) { return e["ph"] == "X" && (e["cat"] == "kernel" || e["cat"] == "gpu_memcpy" || e["cat"] == "gpu_memset"); };
  const auto is_call = [](const document& e) { return e["ph"] == "X" && (e["cat"] == "cuda_runtime" || e["cat"] == "cuda_driver"); };
  const auto thread = [](const document& e) { return e["pid"].dump() + "/" + e["tid"].dump(); };
  for (const auto& e : all) if (is_gpu(e) && meets(e)) correlations.insert(id(e, "correlation")), externals.insert(id(e, "External id"));
  for (const auto& e : all) if (is_call(e) && correlations.count(id(e, "correlation"))) externals.insert(id(e, "External id")), points[thread(e)].push_back(ns(e["ts"]));
  correlations.erase(""), externals.erase("");
  for (const auto& e : all) if (e.value("cat", "") == "cpu_op" && externals.count(id(e, "External id"))) points[thread(e)].push_back(ns(e["ts"]));
  for (const auto& e : all) {
    const std::string cat = e.value("cat", "");
    bool keep = false;
    if (e["ph"] == "M") keep = true;
    else if (e["ph"] == "s" || e["ph"] == "f") keep = correlations.count(e["id"].dump()) != 0;
    else keep = meets(e);
    if (!keep && is_call(e)) keep = correlations.count(id(e, "correlation")) != 0;
    if (!keep && cat == "cpu_op") keep = externals.count(id(e, "External id")) != 0;
    if (!keep && (cat == "cpu_op" || cat == "python_function" || cat == "user_annotation"))
      for (const std::int64_t p : points[thread(e)]) keep = keep || (p >= ns(e["ts"]) && p <= ns(e["ts"]) + ns(e["dur"]));
    if (keep) out.insert(e.dump());
  }
  return out;
}

std::size_t total(const model::timeline& t) { return events_of(t); }

}  // namespace

TEST_CASE("trace: a slice by time of a real trace holds what the rules say, with the file's own arguments") {
  for (const char* name : {"torch-traces/tracelens/vllm_b200_eager_prefill.json.gz", "torch-traces/tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz"}) {
    const auto path = hotpath_test::data_or_skip(name);
    if (!path) return;
    CAPTURE(*path);
    const auto t = trace::read<trace::zlib>(*path);
    REQUIRE(t);
    const document all = slice_of(*path, *t, {}).file["traceEvents"];  // nothing asked for: everything
    CHECK(all.size() == t->about.events);
    for (const auto& [from, to] : {std::pair{10_ms, 12_ms}, std::pair{0_ms, 1_us}, std::pair{nanoseconds{-5'000'000}, 3_ms}}) {
      const auto range = trace::after_first_gpu(*t, {from, to});
      const cut part = slice_of(*path, *t, {.time = range});
      const auto want = naive(all, range.begin.ns, range.end.ns);
      CHECK(part.events() == want);
      CHECK(part.about.kept == want.size());
      CHECK(part.about.gpu == part.events("kernel").size() + part.events("gpu_memcpy").size() + part.events("gpu_memset").size());
      CHECK(part.file["deviceProperties"].is_array());  // what stands around the events stays
      // The timeline cut the same way has the same events.
      const model::timeline cut_timeline = trace::slice(*t, {.time = range});
      CHECK(cut_timeline.gpu.size() == part.about.gpu);
      CHECK(cut_timeline.frames.size() == part.events("python_function").size());
      CHECK(cut_timeline.ops.size() == part.events("cpu_op").size());
      CHECK(cut_timeline.api.size() == part.events("cuda_runtime").size() + part.events("cuda_driver").size());
      CHECK(cut_timeline.annotations.size() == part.events("user_annotation").size() + part.events("gpu_user_annotation").size());
    }
  }
}

TEST_CASE("trace: a slice by step holds what was launched within it, whenever that ran") {
  model::timeline t;
  t.processes.resize(1);
  const std::uint32_t host = add_track(t, "1", "1"), stream = add_track(t, "0", "7");
  for (int s = 0; s < 4; ++s) {
    const auto at = [&](std::int64_t us) { return nanoseconds{s * 100'000 + us * 1000}; };
    const auto id = static_cast<std::uint64_t>(s);
    t.annotations.push_back({.begin = at(0), .duration = 90_us, .name = t.names.intern("step " + std::to_string(s)), .track = host});
    t.frames.push_back({.begin = at(1), .duration = 50_us, .name = t.names.intern("f"), .track = host});
    t.ops.push_back({.begin = at(2), .duration = 10_us, .external = id, .name = t.names.intern("aten::mm"), .track = host});
    t.api.push_back({.begin = at(3), .duration = 5_us, .correlation = id, .external = id, .name = t.names.intern("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = at(250), .duration = 80_us, .correlation = id, .external = id, .name = t.names.intern("k" + std::to_string(s)), .stream = 7, .track = stream});  // two steps later
  }
  t.gpu.push_back({.begin = 120_us, .duration = 1_us, .name = t.names.intern("nobody launched it"), .stream = 7, .track = stream});
  t.sort();
  const trace::selection second{.time = {}, .steps = std::vector<trace::host_range>{{.begin = 100_us, .end = 190_us, .process = 0}}};
  const model::timeline part = trace::slice(t, second);
  REQUIRE(part.gpu.size() == 1);
  CHECK(part.name(part.gpu[0].name) == "k1");
  CHECK(part.api.size() == 1);
  CHECK(part.ops.size() == 1);
  CHECK(part.frames.size() == 1);
  CHECK(part.annotations.size() == 1);
  CHECK(part.about.events == 5);
  // By time the launch is two steps earlier, and comes with what is around it.
  const model::timeline by_time = trace::slice(t, {.time = trace::time_range{.begin = 350_us, .end = 360_us}});
  REQUIRE(by_time.gpu.size() == 1);
  CHECK(by_time.name(by_time.gpu[0].name) == "k1");
  CHECK(by_time.annotations.size() == 2);  // the one of its launch, and the step that the host is in
  // The file cut the same way.
  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  REQUIRE(trace::write_chrome(t, keep));
  const hotpath_test::temp_dir dir;
  const std::string path = dir.write("t.json", text);
  const auto again = trace::read(path);
  REQUIRE(again);
  const cut c = slice_of<trace::plain>(path, *again, second);
  CHECK(c.about.gpu == 1);
  CHECK(c.events("python_function").size() == 1);
  CHECK(c.events("ac2g").size() == 2);
  CHECK(c.events("cuda_runtime").size() == 1);
  CHECK(c.events("user_annotation").size() == 1);
}

TEST_CASE("trace: a slice by time and step holds what is in both, on the host too, and a kernel of no duration at its begin") {
  model::timeline t;
  t.processes.resize(1);
  const std::uint32_t host = add_track(t, "1", "1"), stream = add_track(t, "0", "7");
  for (int i = 0; i < 100; ++i) {
    const auto id = static_cast<std::uint64_t>(i);
    const nanoseconds at{i * 10'000};
    t.ops.push_back({.begin = at, .duration = 6_us, .external = id, .name = t.names.intern("aten::mm"), .track = host});
    t.api.push_back({.begin = at + 1_us, .duration = 2_us, .correlation = id, .external = id, .name = t.names.intern("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = at + 5_us, .duration = i == 20 ? 0_us : 4_us, .correlation = id, .external = id, .name = t.names.intern("k"), .stream = 7, .track = stream});
  }
  t.sort();
  std::vector<trace::host_range> all;
  for (int i = 99; i >= 0; --i) all.push_back({.begin = nanoseconds{i * 10'000}, .end = nanoseconds{i * 10'000 + 12'000}, .process = 0});  // backwards, and they overlap
  all.push_back({.begin = 0_us, .end = 1_s, .process = 1});                                                                          // of somebody else
  const trace::selection both{.time = trace::time_range{.begin = 205_us, .end = 250_us}, .steps = all};
  const model::timeline part = trace::slice(t, both);
  CHECK(part.gpu.size() == 5);   // 20, which has no duration and is at 205, to 24
  CHECK(part.api.size() == 5);
  CHECK(part.ops.size() == 5);
  const trace::selection some{.time = trace::time_range{.begin = 205_us, .end = 250_us}, .steps = std::vector<trace::host_range>{{.begin = 220_us, .end = 231_us}, {.begin = 900_us, .end = 950_us}}};
  CHECK(trace::slice(t, some).gpu.size() == 1);   // launched at 221 us; the launch at 231 us is behind the range
  CHECK(trace::slice(t, some).ops.size() == 2);
  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  REQUIRE(trace::write_chrome(t, keep));
  const hotpath_test::temp_dir dir;
  const std::string path = dir.write("t.json", text);
  const auto again = trace::read(path);
  REQUIRE(again);
  const cut c = slice_of<trace::plain>(path, *again, both);
  CHECK(c.about.gpu == 5);
  CHECK(c.events("cuda_runtime").size() == 5);
  CHECK(c.events("cpu_op").size() == 5);
}

TEST_CASE("trace: the old names of categories, and those of other vendors, are the same classes in both kinds of slice") {
  std::string text = "{\"traceEvents\": [";
  const char* const categories[] = {"Kernel", "Memcpy", "Memset", "Operator", "Runtime", "hip_runtime", "cuda_driver", "hip_sync", "elsewhere"};
  for (std::size_t i = 0; i < std::size(categories); ++i)
    text.append(i == 0 ? "" : ",").append(R"({"ph": "X", "cat": ")").append(categories[i]).append(R"(", "name": ")").append(i == 6 ? "cuLaunchKernel" : "n").append(R"(", "pid": 1, "tid": 1, "ts": )")
        .append(std::to_string(10 * i)).append(R"(, "dur": 1, "args": {"correlation": 5}})");
  const hotpath_test::temp_dir dir;
  const std::string path = dir.write("old.json", text + "]}");
  const auto t = trace::read(path);
  REQUIRE(t);
  CHECK(slice_of<trace::plain>(path, *t, {}).about.gpu == 3);
  CHECK(slice_of<trace::plain>(path, *t, {.time = trace::time_range{.begin = 0_us, .end = 15_us}}).about.gpu == 2);
  const std::pair<const char*, std::size_t> expected[] = {{"gpu_memcpy", 1}, {"Memcpy", 1}, {"kernel", 1}, {"cuda_runtime", 2}, {"hip_runtime", 2}, {"Runtime", 2}, {"CUDA_DRIVER", 1}, {"cpu_op", 1}, {"cuda_sync", 1}, {"hip_sync", 1}};
  for (const auto& [category, n] : expected) {
    const std::string asked(category);
    CAPTURE(asked);
    const trace::selection s{.categories = {category}};
    CHECK(total(trace::slice(*t, s)) == n);
    CHECK(slice_of<trace::plain>(path, *t, s).about.kept == n);
  }
  CHECK(slice_of<trace::plain>(path, *t, {.categories = {"elsewhere"}}).about.kept == 1);
}

TEST_CASE("trace: a slice by rank keeps one process of a merged trace, one by category only its categories") {
  model::timeline t = rich(5_us);
  t.processes.push_back({.pid = t.names.intern("9"), .name = 0, .label = 0, .rank = 5, .rank_from_name = false, .source = {}, .clock = model::clock_kind::own, .shift = {}, .unix_offset = t.processes[0].unix_offset});
  const std::uint32_t other = add_track(t, "0", "7", {}, 1), host = add_track(t, "9", "9", {}, 1);
  t.gpu.push_back({.begin = 30_us, .duration = 1_us, .correlation = 100, .name = t.names.intern("other"), .stream = 7, .track = other, .process = 1});
  t.api.push_back({.begin = 20_us, .duration = 1_us, .correlation = 100, .name = t.names.intern("cudaLaunchKernel"), .track = host});
  t.sort();
  const model::timeline five = trace::slice(t, {.rank = 5});
  CHECK(five.gpu.size() == 1);
  CHECK(five.api.size() == 1);
  CHECK(total(five) == 2);
  CHECK(total(trace::slice(t, {.rank = 2})) == total(t) - 2);
  CHECK(total(trace::slice(t, {.rank = 7})) == 0);
  const model::timeline kernels = trace::slice(t, {.categories = {"kernel"}});
  CHECK(total(kernels) == kernels.gpu.size());
  CHECK(kernels.gpu.size() == t.gpu.size() - 2);
  CHECK(total(trace::slice(t, {})) == total(t));

  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  REQUIRE(trace::write_chrome(t, keep));
  const hotpath_test::temp_dir dir;
  const std::string path = dir.write("t.json", text);
  const auto again = trace::read(path);
  REQUIRE(again);
  CHECK(slice_of<trace::plain>(path, *again, {.rank = 5}).about.gpu == 1);
  const cut calls = slice_of<trace::plain>(path, *again, {.rank = 5, .categories = {"cuda_runtime"}});
  CHECK(calls.events("cuda_runtime").size() == 1);
  CHECK(calls.about.gpu == 0);
}

TEST_CASE("trace: a slice of an empty timeline, and of a range without events, is empty") {
  CHECK(total(trace::slice({}, {.time = trace::time_range{.begin = 0_ms, .end = 1_ms}})) == 0);
  const model::timeline t = rich(5_us);
  CHECK(total(trace::slice(t, {.time = trace::time_range{.begin = 900_ms, .end = 901_ms}})) == 0);
  const auto range = trace::after_first_gpu({}, {.begin = 1_ms, .end = nanoseconds{INT64_MAX}});
  CHECK(range.begin == 1_ms);
  CHECK(trace::after_first_gpu(t, {.begin = 0_ms, .end = nanoseconds{INT64_MAX}}).end.ns == INT64_MAX);
}
