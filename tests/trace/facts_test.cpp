// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <filesystem>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/trace/zlib.hpp>
#include "made.hpp"
#include <support/data.hpp>

using namespace hotpath;
using namespace hotpath_test;
using dom = nlohmann::json;

namespace {
// Sums and unions to 1 us.
bool near_us(nanoseconds ours, const dom& theirs) { return std::abs(ours.us() - theirs.get<double>()) <= 1.0; }

std::map<std::string, std::uint64_t> as_map(const std::vector<std::pair<std::string, std::uint64_t>>& v) { return {v.begin(), v.end()}; }

result<model::timeline> read(const std::filesystem::path& folder, const std::string& file) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.path().filename() == file) return trace::read<trace::zlib>(entry.path().string());
  return error{.code = errc::not_found, .detail = file};
}
}  // namespace

TEST_CASE("trace: the reference facts of 26 real traces come out of the timeline") {
  const auto folder = data_or_skip("torch-traces");
  if (!folder) return;
  const dom reference = dom::parse(read_file(*folder + "/expected-facts.json"));
  REQUIRE(reference["traces"].size() == 26);
  for (const dom& want : reference["traces"]) {
    const std::string file = want["file"];
    CAPTURE(file);
    auto t = read(*folder, file);
    REQUIRE_MESSAGE(t.has_value(), (t ? "" : t.error().message()));
    const kernel::trace_facts f = kernel::facts(*t);
    CHECK(t->about.file_bytes == want["gz_bytes"]);
    CHECK(t->about.text_bytes == want["json_bytes"]);
    CHECK(f.events == want["events"]);
    CHECK(as_map(f.phases) == want["phases"].get<std::map<std::string, std::uint64_t>>());
    CHECK(as_map(f.x_by_cat) == want["x_by_cat"].get<std::map<std::string, std::uint64_t>>());
    CHECK(f.gpu_pids == want["gpu_pids"].get<std::vector<std::string>>());
    CHECK(f.gpu_events == want["gpu_events"]);
    CHECK(f.kernels == want["kernels"]);
    CHECK(f.distinct_kernel_names == want["distinct_kernel_names"]);
    CHECK(near_us(f.gpu_time_sum, want["gpu_time_sum_us"]));
    // The reference adds in doubles: at 1.7e15 us one step of a double is 0.25 us, and 6,095 kernels back to back make 8 us of it. The sum says so
    // too: one stream cannot be busy for longer than its events last. With exact decimals (Python's decimal module) it is this.
    const bool drifted = file == "ns_resolution_rank0.pt.trace.json.gz";
    if (drifted) CHECK(f.gpu_busy_union == nanoseconds{472'454'441});
    else CHECK(near_us(f.gpu_busy_union, want["gpu_busy_union_us"]));
    CHECK(near_us(f.gpu_span, want["gpu_span_us"]));
    CHECK(f.streams.size() == want["streams"].size());
    for (const auto& s : f.streams) {
      CAPTURE(s.key);
      REQUIRE(want["streams"].contains(s.key));
      const dom& w = want["streams"][s.key];
      CHECK(s.events == w["events"]);
      CHECK(near_us(s.sum, w["sum_us"]));
      if (!drifted) CHECK(near_us(s.busy_union, w["busy_union_us"]));
    }
    CHECK(f.gpu_events_with_external_id == want["gpu_events_with_external_id"]);
    CHECK(f.gpu_events_whose_external_id_names_a_cpu_op == want["gpu_events_whose_external_id_names_a_cpu_op"]);
    CHECK(f.gpu_events_with_matching_launch_call == want["gpu_events_with_matching_launch_call"]);
    CHECK(f.gpu_events_from_graph_launch == want["gpu_events_from_graph_launch"]);
    CHECK(f.graph_launches == want["graph_launches"]);
    CHECK(f.zero_duration_gpu_events == want["zero_duration_gpu_events"]);
    CHECK(as_map(f.step_annotations) == want["step_annotations"].get<std::map<std::string, std::uint64_t>>());
    CHECK(f.device_name == (want["device"].is_null() ? "" : want["device"].get<std::string>()));
    CHECK(f.backend == (want["distributed"]["backend"].is_null() ? "" : want["distributed"]["backend"].get<std::string>()));
    CHECK(f.rank.has_value() == !want["distributed"]["rank"].is_null());
    if (f.rank) CHECK(*f.rank == want["distributed"]["rank"]);
    CHECK(f.world_size.has_value() == !want["distributed"]["world_size"].is_null());
    if (f.world_size) CHECK(*f.world_size == want["distributed"]["world_size"]);
    REQUIRE(f.top.size() == want["top10"].size());
    for (std::size_t i = 0; i < f.top.size(); ++i) {
      // Rows of equal sums may stand in another order there.
      const dom* same_name = nullptr;
      for (const dom& w : want["top10"]) if (w["name"] == f.top[i].name) same_name = &w;
      CHECK(near_us(f.top[i].sum, want["top10"][i]["sum_us"]));
      if (same_name == nullptr) continue;
      CHECK(f.top[i].count == (*same_name)["count"]);
      CHECK(near_us(f.top[i].sum, (*same_name)["sum_us"]));
    }
  }
}

TEST_CASE("trace: the reference facts of a serving trace without a GPU come out of the timeline") {
  const auto folder = data_or_skip("torch-traces/vllm_cpu");
  if (!folder) return;
  const dom want = dom::parse(read_file(*folder + "/expected-facts.json"))["traces"][0];
  auto t = read(*folder, want["file"]);
  REQUIRE(t.has_value());
  const kernel::trace_facts f = kernel::facts(*t);
  CHECK(f.events == want["events"]);
  CHECK(as_map(f.phases) == want["phases"].get<std::map<std::string, std::uint64_t>>());
  CHECK(as_map(f.x_by_cat) == want["x_by_cat"].get<std::map<std::string, std::uint64_t>>());
  CHECK(f.gpu_events == 0);
  CHECK(f.streams.empty());
  CHECK(f.op_threads == want["op_threads"]);
  CHECK(f.steps == want["steps"]);
  REQUIRE(t->annotations.size() == want["annotations"].size());
  for (std::size_t i = 0; i < t->annotations.size(); ++i) {
    CHECK(t->name(t->annotations[i].name) == want["annotations"][i]["name"].get<std::string>());
    CHECK(t->annotations[i].duration.ns == std::llround(want["annotations"][i]["dur_us"].get<double>() * 1000));
  }
  CHECK(f.distinct_cpu_ops == want["distinct_cpu_ops"]);
  CHECK(near_us(f.cpu_op_self_sum, want["cpu_op_self_sum_us"]));
  REQUIRE(f.top_self.size() == want["top10_self"].size());
  for (std::size_t i = 0; i < f.top_self.size(); ++i) {
    const dom& w = want["top10_self"][i];
    CHECK(f.top_self[i].name == w["name"].get<std::string>());
    CHECK(f.top_self[i].count == w["count"]);
    CHECK(near_us(f.top_self[i].sum, w["total_us"]));
    CHECK(near_us(f.top_self[i].self, w["self_us"]));
  }
  CHECK(t->about.engine_hint == "vllm");
}

TEST_CASE("trace: facts of a timeline typed by hand: two devices, streams that overlap, an id that is 0, an empty trace") {
  model::timeline t;
  const auto add = [&](std::uint16_t device, std::uint32_t stream, nanoseconds begin, nanoseconds duration, std::string_view name, std::uint64_t correlation) {
    t.gpu.push_back({.begin = begin, .duration = duration, .correlation = correlation, .name = t.names.intern(name), .stream = stream, .device = device});
  };
  add(0, 7, 0_us, 10_us, "a", 0);
  add(0, 8, 5_us, 10_us, "b", 1);
  add(0, 8, 6_us, 2_us, "b", 1);  // within both
  add(0, 7, 20_us, 0_us, "a", model::no_id);
  add(1, 7, 100_us, 1_us, "a", 9);
  add(1, 7, 100_us, 3_us, "c", 9);
  t.api.push_back({.begin = 0_us, .duration = 1_us, .correlation = 0, .name = t.names.intern("cudaGraphLaunch_ptsz")});
  t.api.push_back({.begin = 1_us, .duration = 1_us, .correlation = 9, .name = t.names.intern("cudaLaunchKernel")});
  t.ops.push_back({.begin = 0_us, .duration = 10_us, .external = 5, .name = t.names.intern("out"), .track = 0});
  t.ops.push_back({.begin = 2_us, .duration = 3_us, .external = 6, .name = t.names.intern("in"), .track = 0});
  t.ops.push_back({.begin = 10_us, .duration = 3_us, .external = 7, .name = t.names.intern("in"), .track = 0});
  t.sort();
  const kernel::trace_facts f = kernel::facts(t, 2);
  CHECK(f.gpu_events == 6);
  REQUIRE(f.devices.size() == 2);
  CHECK(f.devices[0].busy_union == 15_us);
  CHECK(f.devices[1].busy_union == 3_us);
  CHECK(f.gpu_busy_union == 18_us);
  CHECK(f.gpu_span == 103_us);
  CHECK(f.gpu_time_sum == 26_us);
  REQUIRE(f.streams.size() == 3);
  CHECK(f.streams[0].key == "0/7");
  CHECK(f.streams[0].busy_union == 10_us);
  CHECK(f.streams[2].busy_union == 3_us);
  CHECK(f.gpu_events_with_matching_launch_call == 3);  // correlation 0 is an id; 1 is another
  CHECK(f.gpu_events_from_graph_launch == 1);
  CHECK(f.zero_duration_gpu_events == 1);
  REQUIRE(f.top.size() == 2);
  CHECK(f.top[0].name == "b");
  CHECK(f.top[0].count == 2);
  CHECK(f.top[1].name == "a");
  CHECK(f.top[1].sum == 11_us);
  CHECK(f.cpu_op_self_sum == 13_us);
  CHECK(f.top_self[0].name == "out");
  CHECK(f.top_self[0].self == 7_us);
  const kernel::trace_facts none = kernel::facts(model::timeline{});
  CHECK(none.gpu_events == 0);
  CHECK(none.gpu_busy_union == 0_ns);
  CHECK(none.top.empty());
}
