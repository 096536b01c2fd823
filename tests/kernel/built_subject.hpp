// SPDX-License-Identifier: Apache-2.0
// tests/kernel/built_subject.hpp - a subject typed in a test: events with their families, stages, steps and sites, no file and no rule between.
//
//     built b;
//     b.add("gemm", 0, 10, {.what = kernel::family::gemm, .step = b.step(model::stage::decode)});
//     kernel::subject& s = b.finish();          // microseconds in, sorted, everything chosen
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath_test {

using namespace hotpath;

struct built {
  struct about {
    kernel::family what = kernel::family::gemm;
    model::stage at = model::stage::all;          // of a step: the step's
    std::uint32_t stream = 7, step = model::no_index, site = model::no_index, detail = 0, graph = model::no_index;
    std::uint16_t process = 0, device = 0;
    std::uint64_t correlation = model::no_id;
    model::gpu_kind kind = model::gpu_kind::kernel;
    std::string canonical = {};                   // the raw name unless given
  };

  model::timeline t;
  kernel::subject s;
  std::vector<about> abouts;

  static nanoseconds us(double v) { return nanoseconds{static_cast<std::int64_t>(v * 1000 + (v < 0 ? -0.5 : 0.5))}; }

  std::uint32_t step(model::stage what, std::uint16_t process = 0, std::string_view name = "step") {
    s.steps.steps.push_back({.what = what, .annotation = t.names.intern(name), .process = process});
    return static_cast<std::uint32_t>(s.steps.steps.size() - 1);
  }
  std::uint32_t site(const kernel::site_text& v) { return s.map.sites.intern(v); }
  void move(const kernel::site_text& v) {              // all that have a site
    for (std::uint32_t& at : s.map.site_of)
      if (at != model::no_index) at = site(v);
  }
  void add_ns(std::string_view name, std::int64_t begin, std::int64_t duration, about a) {
    t.gpu.push_back({.begin = nanoseconds{begin}, .duration = nanoseconds{duration}, .correlation = a.correlation, .external = abouts.size(), .name = t.names.intern(name),
                     .stream = a.stream, .detail = a.detail, .graph = a.graph, .track = 0, .process = a.process, .device = a.device, .kind = a.kind});
    abouts.push_back(std::move(a));
  }
  void add(std::string_view name, double begin_us, double duration_us, about a) { add_ns(name, us(begin_us).ns, us(duration_us).ns, std::move(a)); }
  void call(std::string_view name, double begin_us, double duration_us, std::uint64_t correlation = model::no_id, std::uint32_t track = 0) {
    t.api.push_back({.begin = us(begin_us), .duration = us(duration_us), .correlation = correlation, .name = t.names.intern(name), .track = track});
  }
  void wait(std::uint32_t stream, std::uint32_t waits_for_stream, std::uint64_t correlation, std::uint64_t waits_for, std::uint16_t process = 0) {
    t.syncs.push_back({.correlation = correlation, .waits_for = waits_for, .name = t.names.intern("Stream Wait Event"), .stream = stream, .waits_for_stream = waits_for_stream, .process = process});
  }

  // `sorted` false: the arrays stay as they were typed, as a caller might who forgets to sort.
  kernel::subject& finish(bool sorted = true) {
    s.trace = &t;
    if (t.processes.empty()) t.processes.resize(1);
    if (t.tracks.empty()) t.tracks.resize(1);
    if (sorted) t.sort();
    for (std::uint32_t i = 0; i < t.gpu.size(); ++i) {
      const model::gpu_event& e = t.gpu[i];
      const about& a = abouts[e.external];
      const std::string canonical = a.canonical.empty() ? std::string(t.name(e.name)) : a.canonical;
      std::uint32_t id = 0;
      while (id < s.identities.size() && (s.identities[id].raw != e.name || s.identities[id].is.what != a.what || s.identities[id].canonical != canonical)) ++id;
      if (id == s.identities.size()) s.identities.push_back({.raw = e.name, .canonical = canonical, .short_name = canonical.substr(0, 60), .is = {.what = a.what}});
      s.identity_of.push_back(id);
      const model::stage at = a.step != model::no_index ? s.steps.steps[a.step].what : a.at;
      s.steps.step_of.push_back(a.step), s.steps.stage_of.push_back(at), s.steps.source_of.push_back(kernel::stage_source::launch);
      s.map.site_of.push_back(a.site), s.map.how.push_back(kernel::mapped_by::none);
      s.chosen.push_back(i);
      if (a.step != model::no_index) {
        kernel::step& st = s.steps.steps[a.step];
        if (st.events++ == 0 || e.begin < st.gpu_begin) st.gpu_begin = e.begin;
        if (st.events == 1 || st.gpu_end < e.end()) st.gpu_end = e.end();
      }
    }
    for (std::size_t k = 1; k <= 6; ++k) {
      const auto at = static_cast<model::stage>(k % 6);
      for (const model::stage x : s.steps.stage_of)
        if (x == at) { s.stages.push_back(at); break; }
    }
    return s;
  }
};

}  // namespace hotpath_test
