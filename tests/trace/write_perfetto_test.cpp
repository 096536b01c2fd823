// SPDX-License-Identifier: Apache-2.0
#include <hotpath/trace/write_perfetto.hpp>
#include "written.hpp"

using namespace written_test;

namespace {
std::string perfetto(const model::timeline& t, trace::written* about = nullptr, trace::perfetto_options o = {}) {
  std::string out;
  auto keep = [&](std::string_view bytes) { out += bytes; return true; };
  const auto w = trace::write_perfetto(t, keep, o);
  REQUIRE(w);
  CHECK(w->bytes == out.size());
  if (about != nullptr) *about = *w;
  return out;
}
}  // namespace

TEST_CASE("trace: F-OUT-09 Perfetto protobuf is well formed whatever the names are, and keeps nanoseconds, in Python's readers") {
  for (const nanoseconds zero : {nanoseconds{5'000}, nanoseconds{1'700'000'000'123'456'789}, nanoseconds{-7'777'777}}) {
    CAPTURE(zero.ns);
    const model::timeline t = rich(zero);
    trace::written w;
    const std::string bytes = perfetto(t, &w);
    CHECK(w.events == events_of(t));
    CHECK(w.left_out == 0);
    CHECK(w.flows == hostile_names().size() + 3);
    CHECK(w.base.ns == (zero.ns < 0 ? zero.ns - 2000 : 0));
    check_read_back("perfetto", bytes, t, w.flows);  // every slice ends on its own track, in order; interned names are known; flows have both ends
  }
}

TEST_CASE("trace: overlapping kernels of one stream get lanes, in Perfetto, and keep their durations") {
  model::timeline t;
  for (int i = 0; i < 200; ++i) t.gpu.push_back({.begin = nanoseconds{1000 * i}, .duration = 10_us, .name = t.names.intern("k"), .stream = 7});
  t.sort();
  trace::written w;
  const std::string bytes = perfetto(t, &w);
  check_read_back("perfetto", bytes, t, 0);
  const auto lanes = [&](std::string_view name) { return bytes.find(name) != std::string::npos; };
  CHECK(lanes("stream 7 lane 10"));   // ten run at once
  CHECK(!lanes("stream 7 lane 11"));
  CHECK(w.events == 200);
}

TEST_CASE("trace: more than 64 slices at once are counted as left out, in Perfetto, instead of drawn wrong") {
  model::timeline t;
  for (int i = 0; i < 100; ++i) t.gpu.push_back({.begin = nanoseconds{i}, .duration = 10_us, .name = t.names.intern("k"), .stream = 7});
  t.sort();
  trace::written w;
  perfetto(t, &w);
  CHECK(w.events == 64);
  CHECK(w.left_out == 36);
}

TEST_CASE("trace: an arrow to a kernel that is left out does not begin, in Perfetto, and is not counted") {
  model::timeline t;
  t.processes.resize(1);
  const std::uint32_t host = add_track(t, "1", "1");
  for (int i = 0; i < 100; ++i) {
    const auto id = static_cast<std::uint64_t>(i + 1);
    t.api.push_back({.begin = nanoseconds{i * 100}, .duration = 50_ns, .correlation = id, .name = t.names.intern("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = nanoseconds{20'000 + i}, .duration = i == 0 ? 10_ns : 10_us, .correlation = id, .name = t.names.intern("k"), .stream = 7});
  }
  t.sort();
  trace::written w;
  const std::string bytes = perfetto(t, &w, {.flows = true, .arguments = false});
  CHECK(w.left_out == 35);   // the first is over when the 65th begins
  CHECK(w.flows == 65);
  std::size_t begun = 0, ended = 0;
  for (unsigned id = 1; id <= 100; ++id) {
    std::string fixed(8, '\0');
    fixed[0] = static_cast<char>(id);
    const bool from = bytes.find("\xF9\x02" + fixed) != std::string::npos, to = bytes.find("\x81\x03" + fixed) != std::string::npos;  // fields 47 and 48
    CHECK(from == to);
    begun += from, ended += to;
  }
  CHECK(begun == 65);
  CHECK(ended == 65);
}

TEST_CASE("trace: threads of two pids that have one number are two threads, in Perfetto") {
  model::timeline t;
  t.processes.push_back({.pid = t.names.intern("1"), .name = 0, .label = 0, .rank = {}, .rank_from_name = false, .source = {}, .clock = model::clock_kind::own, .shift = {}, .unix_offset = {}});
  for (const char* pid : {"1", "2"}) t.ops.push_back({.begin = 1_us, .duration = 5_us, .name = t.names.intern("op"), .track = add_track(t, pid, "5")});
  t.sort();
  const std::string bytes = perfetto(t), identity = "\x08\x01\x10\x05";   // ThreadDescriptor{pid: 1, tid: 5}
  const std::size_t first = bytes.find(identity);
  REQUIRE(first != std::string::npos);
  CHECK(bytes.find(identity, first + 1) == std::string::npos);
  check_read_back("perfetto", bytes, t, 0);
}

TEST_CASE("trace: streams that have a word for a number are streams of their own, in Perfetto; a process takes no other's number") {
  model::timeline t;
  for (const char* pid : {"7", "7", "2000000001"}) t.processes.push_back({.pid = t.names.intern(pid), .name = 0, .label = 0, .rank = {}, .rank_from_name = false, .source = {}, .clock = model::clock_kind::own, .shift = {}, .unix_offset = {}});
  for (const char* tid : {"main", "side"}) t.gpu.push_back({.begin = 1_us, .duration = 5_us, .name = t.names.intern("k"), .track = add_track(t, "0", tid)});
  t.sort();
  const std::string bytes = perfetto(t);
  for (const char* name : {"stream main", "stream side"}) CHECK(bytes.find(name) != std::string::npos);
  CHECK(bytes.find("lane") == std::string::npos);
  // ProcessDescriptor{pid}: 7, then those beyond the pids of Linux.
  for (const std::string_view pid : {std::string_view("\x1A\x02\x08\x07", 4), std::string_view("\x08\x81\xA8\xD6\xB9\x07"), std::string_view("\x08\x82\xA8\xD6\xB9\x07")}) {
    const std::size_t at = bytes.find(pid);
    REQUIRE(at != std::string::npos);
    CHECK(bytes.find(pid, at + 1) == std::string::npos);
  }
  check_read_back("perfetto", bytes, t, 0);
}

TEST_CASE("trace: a copy's direction and memories are told, in Perfetto") {
  model::timeline t;
  model::gpu_detail d;
  d.bytes = 1 << 20, d.copy_kind = 1, d.source_memory = 1, d.target_memory = 3;
  t.details.push_back(d);
  t.gpu.push_back({.begin = 1_us, .duration = 5_us, .name = t.names.intern("Memcpy"), .stream = 7, .detail = 1, .kind = model::gpu_kind::copy});
  t.sort();
  const std::string bytes = perfetto(t);
  for (const char* word : {"HtoD", "Pageable", "Device"}) CHECK(bytes.find(word) != std::string::npos);
  CHECK(perfetto(t, nullptr, {.flows = false, .arguments = false}).find("HtoD") == std::string::npos);
  check_read_back("perfetto", bytes, t, 0);
}

TEST_CASE("trace: Perfetto is smaller than Chrome JSON, and refuses a timeline that is not in order") {
  model::timeline t;
  const std::uint32_t host = add_track(t, "1", "1");
  for (int i = 0; i < 2000; ++i) {
    const auto id = static_cast<std::uint64_t>(i);
    t.api.push_back({.begin = nanoseconds{10'000 * i}, .duration = 4_us, .correlation = id, .external = id, .name = t.names.intern("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = nanoseconds{10'000 * i + 6'000}, .duration = 9_us, .correlation = id, .external = id, .name = t.names.intern("void kernel_of_some_length<float, 128, 64, 32>(float const*, float*, int)"), .stream = 7});
  }
  t.sort();
  std::string json;
  auto keep = [&](std::string_view bytes) { json += bytes; return true; };
  REQUIRE(trace::write_chrome(t, keep));
  const std::string bytes = perfetto(t);
  CHECK(bytes.size() * 3 < json.size());
  CHECK(perfetto(t, nullptr, {.flows = false, .arguments = false}).size() * 4 < bytes.size() * 3);

  std::swap(t.api[0], t.api[1]);
  auto ignore = [](std::string_view) { return true; };
  const auto w = trace::write_perfetto(t, ignore);
  REQUIRE(!w);
  CHECK(w.error().detail.find("sort()") != std::string::npos);
}

TEST_CASE("trace: an empty timeline gives a Perfetto file without slices") {
  trace::written w;
  const std::string bytes = perfetto({}, &w);
  CHECK(w.events == 0);
  check_read_back("perfetto", bytes, {}, 0);
}
