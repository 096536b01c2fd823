// SPDX-License-Identifier: Apache-2.0
// tests/trace/written.hpp - timelines for the tests of the writers, and an independent reader (read_back.py) of what they wrote.
#pragma once
#include <doctest/doctest.h>
#include <hotpath/core/json.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/write_chrome.hpp>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include <string>

namespace written_test {

using namespace hotpath;

// Names that break what is not careful: quotes, controls, ANSI, a line separator, right-to-left marks, markup, ill-formed UTF-8, 60 KiB.
inline std::vector<std::string> hostile_names() {
  std::vector<std::string> n = {"plain", "", "say \"hi\" \\ \\\\", "tab\tnew\nline\r\b\f", std::string("nul\0inside", 10), "\x1b]0;title\x07\x1b[31mred", "\u202eexe.cod\u2066", "<script>&amp;'`${x}",
                                "line\u2028separator", "\xff\xfe broken \xc3", "\xed\xa0\x80 surrogate", "snow\u2603man \U0001F600", "]}\n{\"ph\":\"X\"}", "void f<int (*)(char const*)>(std::array<char*, 2ul>)"};
  n.push_back(std::string(60 << 10, 'k') + "\"");
  return n;
}

inline std::uint32_t add_track(model::timeline& t, std::string_view pid, std::string_view tid, std::string_view name = {}, std::uint16_t process = 0) {
  t.tracks.push_back({.pid = t.names.intern(pid), .tid = t.names.intern(tid), .name = t.names.intern(name), .process = process});
  return static_cast<std::uint32_t>(t.tracks.size() - 1);
}

// All classes, from time `zero`: launches with kernels on two streams that overlap each other and themselves, a graph launch of three kernels, host
// events that nest and some that do not, ranges that cross, synchronizations, names of all kinds.
inline model::timeline rich(nanoseconds zero) {
  model::timeline t;
  const auto at = [&](std::int64_t us, std::int64_t ns = 0) { return zero + nanoseconds{us * 1000 + ns}; };
  const auto name = [&](std::string_view s) { return t.names.intern(s); };
  t.processes.push_back({.pid = name("4711"), .name = name("python3"), .label = name("CPU"), .rank = 2, .rank_from_name = false, .source = "r2.json", .clock = model::clock_kind::unix_time, .shift = {}, .unix_offset = nanoseconds{1'700'000'000'000'000'000 - zero.ns}});
  t.devices.push_back({.process = 0, .ordinal = 3, .name = "A \"GPU\"", .compute_major = 9, .compute_minor = 0, .multiprocessors = 132, .memory_bytes = 80'000'000'000});
  const std::uint32_t host = add_track(t, "4711", "4711", "main \"thread\""), words = add_track(t, "Spans", "Python helper"), s7 = add_track(t, "3", "7", "stream 7 "), s20 = add_track(t, "3", "20");
  t.details.push_back({.grid = {64, 1, 2}, .block = {128, 1, 1}, .registers = 96, .shared_bytes = 49152, .occupancy = 0.25f, .collective = 0, .group = 0, .dtype = 0, .bytes = 0, .group_size = 0, .copy_kind = 0, .source_memory = 0, .target_memory = 0});
  t.details.push_back({.grid = {}, .block = {}, .registers = 0, .shared_bytes = 0, .occupancy = -1, .collective = name("allreduce"), .group = name("default"), .dtype = name("BFloat16"), .bytes = 4096, .group_size = 8, .copy_kind = 0, .source_memory = 0, .target_memory = 0});
  std::uint64_t id = 100;
  std::int64_t us = 0;
  for (const std::string& n : hostile_names()) {
    const bool second = us % 20 != 0;
    t.api.push_back({.begin = at(us, 1), .duration = 2_us, .correlation = id, .external = id, .name = name(us % 3 == 0 ? "cuLaunchKernelEx" : "cudaLaunchKernel"), .track = host});
    t.ops.push_back({.begin = at(us), .duration = 5_us, .external = id, .name = name("aten::" + n), .track = host});
    t.frames.push_back({.begin = at(us - 1), .duration = 8_us, .name = name("model.py(3): " + n), .track = us % 30 == 0 ? words : host});
    t.gpu.push_back({.begin = at(us + 4, 999), .duration = nanoseconds{us % 4 == 0 ? 0 : 12'345}, .correlation = id, .external = id, .name = name(n), .stream = second ? 20u : 7u, .detail = us % 3 == 0 ? 2u : 1u, .track = second ? s20 : s7, .process = 0, .device = 3});
    t.annotations.push_back({.begin = at(us), .duration = 15_us, .external = id, .name = name("range " + n), .track = words, .domain = name("nccl"), .kind = model::annotation_kind::start_end});
    ++id, us += 10;
  }
  t.api.push_back({.begin = at(200), .duration = 4_us, .correlation = id, .name = name("cudaGraphLaunch"), .track = host});
  for (int k = 0; k < 3; ++k) t.gpu.push_back({.begin = at(205 + 3 * k), .duration = 3_us, .correlation = id, .name = name("in graph"), .stream = 7, .graph = 5, .graph_node = static_cast<std::uint32_t>(k), .track = s7, .process = 0, .device = 3});
  t.gpu.push_back({.begin = at(220), .duration = 1_us, .name = name("Memcpy DtoH"), .stream = 7, .track = s7, .device = 3, .kind = model::gpu_kind::copy});
  t.gpu.push_back({.begin = at(221), .duration = 1_us, .name = name("Memset (Device)"), .stream = 7, .device = 3, .kind = model::gpu_kind::set});  // no track: a session's
  t.annotations.push_back({.begin = at(-2), .duration = 300_us, .external = 1, .name = name("step[DECODE bs=2]"), .track = host});
  t.annotations.push_back({.begin = at(4), .duration = 220_us, .external = 1, .name = name("step[DECODE bs=2]"), .track = s7, .stream = 7, .kind = model::annotation_kind::gpu_user});
  t.annotations.push_back({.begin = at(40), .duration = {}, .name = name("mark"), .track = host, .kind = model::annotation_kind::mark});
  t.syncs.push_back({.begin = at(210), .duration = 9_us, .correlation = 1, .waits_for = 100, .name = name("Stream Wait Event"), .stream = 20, .waits_for_stream = 7, .track = s20, .process = 0, .device = 3});
  t.sort();
  return t;
}

template <class F>
void each_row(const model::timeline& t, F&& f) {
  for (const auto& e : t.gpu) f(e.kind == model::gpu_kind::copy ? "gpu_memcpy" : e.kind == model::gpu_kind::set ? "gpu_memset" : "kernel", e);
  for (const auto& e : t.api) f("api", e);
  for (const auto& e : t.ops) f("cpu_op", e);
  for (const auto& e : t.frames) f("python_function", e);
  for (const auto& e : t.annotations) f(e.kind == model::annotation_kind::gpu_user ? "gpu_user_annotation" : "user_annotation", e);
  for (const auto& e : t.syncs) f("cuda_sync", e);
}

inline std::string rows_of(const model::timeline& t) {
  std::string out;
  each_row(t, [&](std::string_view category, const auto& e) {
    out.append(category).append("\t").append(std::to_string(e.begin.ns)).append("\t").append(std::to_string(e.duration.ns)).append("\t");
    json::writer(out).value(t.name(e.name));
    out += '\n';
  });
  return out;
}

inline std::uint64_t events_of(const model::timeline& t) { return t.gpu.size() + t.api.size() + t.ops.size() + t.frames.size() + t.annotations.size() + t.syncs.size(); }

// What Python finds in the written bytes are the events of the timeline, to the nanosecond.
inline void check_read_back(const std::string& form, const std::string& bytes, const model::timeline& t, std::uint64_t flows) {
  hotpath_test::temp_dir dir;
  const auto f = hotpath_test::run({HOTPATH_PYTHON, HOTPATH_READ_BACK, "compare", form, dir.write("written", bytes), "--rows", dir.write("rows.tsv", rows_of(t)), "--flows", std::to_string(flows)});
  INFO(f.out, f.err);
  CHECK(f.code == 0);
}

}  // namespace written_test
