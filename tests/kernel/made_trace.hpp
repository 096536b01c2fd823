// SPDX-License-Identifier: Apache-2.0
// tests/kernel/made_trace.hpp - timelines typed in a test: one process, one host thread (track 0), one device.
//
//     made_trace m;
//     m.annotate("step[DECODE bs=2]", 0_us, 50_us);
//     m.launch("kernel", 10_us, 20_us, 5_us);        // called at 10 us, runs from 20 to 25
//     find_steps(m.done());
#pragma once
#include <cstdint>
#include <string_view>
#include <hotpath/model/timeline.hpp>

namespace hotpath_test {
struct made_trace {
  hotpath::model::timeline t;
  std::uint64_t last_id = 100;

  made_trace() {
    t.processes.resize(1);
    t.tracks.push_back({.pid = t.names.intern("1"), .tid = t.names.intern("1")});
  }
  std::size_t annotate(std::string_view name, hotpath::nanoseconds begin, hotpath::nanoseconds duration,
                       hotpath::model::annotation_kind kind = hotpath::model::annotation_kind::user) {
    t.annotations.push_back({.begin = begin, .duration = duration, .name = t.names.intern(name), .track = 0, .kind = kind});
    return t.annotations.size() - 1;
  }
  // A call of the host; its correlation id.
  std::uint64_t call(std::string_view function, hotpath::nanoseconds at) {
    t.api.push_back({.begin = at, .duration = hotpath::nanoseconds(500), .correlation = ++last_id, .name = t.names.intern(function), .track = 0});
    return last_id;
  }
  hotpath::model::gpu_event& event(std::string_view kernel, hotpath::nanoseconds begin, hotpath::nanoseconds duration, std::uint64_t correlation) {
    t.gpu.push_back({.begin = begin, .duration = duration, .correlation = correlation, .name = t.names.intern(kernel), .stream = 7});
    return t.gpu.back();
  }
  hotpath::model::gpu_event& launch(std::string_view kernel, hotpath::nanoseconds called, hotpath::nanoseconds begin, hotpath::nanoseconds duration) {
    return event(kernel, begin, duration, call("cudaLaunchKernel", called));
  }
  void frame(std::string_view name, hotpath::nanoseconds begin, hotpath::nanoseconds duration) {
    t.frames.push_back({.begin = begin, .duration = duration, .name = t.names.intern(name), .track = 0});
  }
  void op(std::string_view name, hotpath::nanoseconds begin, hotpath::nanoseconds duration, std::uint64_t external = hotpath::model::no_id) {
    t.ops.push_back({.begin = begin, .duration = duration, .external = external, .name = t.names.intern(name), .track = 0});
  }
  hotpath::model::timeline done() {
    t.sort();
    return t;
  }
};
}  // namespace hotpath_test
