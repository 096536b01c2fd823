// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/nsys_sqlite-inl.hpp - bodies of nsys_sqlite.hpp.
#pragma once
#include <unistd.h>

#include <hotpath/trace/detail/nsys_about.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

template <class Sink>
result<model::timeline> scan_nsys(const std::string& path, std::span<Sink> sinks, const nsys_wants& wants, const read_options& options) {
  HOTPATH_ASSERT(!sinks.empty());
  detail::nsys_scan scan;
  scan.path = path, scan.wants = wants, scan.options = options, scan.parts = sinks.size();
  model::timeline about;
  std::vector<detail::nsys_part> parts(sinks.size());
  for (detail::nsys_part& p : parts) {
    if (auto opened = detail::nsys_open(scan, p); !opened) return opened.error();
    p.first = &p == parts.data();
    if (p.first)
      if (auto looked = detail::nsys_look(scan, p, about); !looked) return looked.error();
  }
  using namespace detail;
  const std::span<nsys_part> all = parts;
  model::trace_about& a = about.about;
  result<void> r;
  if (wants.kernels) r = nsys_reader<Sink, kernel_row<Sink>>::read_all(scan, all, sinks, nsys_kernels, a);
  if (r && wants.kernels) r = nsys_reader<Sink, graph_row<Sink>>::read_all(scan, all, sinks, nsys_graphs, a);
  if (r && wants.copies) r = nsys_reader<Sink, copy_row<Sink>>::read_all(scan, all, sinks, nsys_copies, a);
  if (r && wants.copies) r = nsys_reader<Sink, set_row<Sink>>::read_all(scan, all, sinks, nsys_sets, a);
  if (r && wants.api) r = nsys_reader<Sink, api_row<Sink>>::read_all(scan, all, sinks, nsys_api, a);
  if (r && wants.annotations) r = nsys_reader<Sink, nvtx_row<Sink>>::read_all(scan, all, sinks, nsys_nvtx, a);
  if (r && wants.syncs) r = nsys_reader<Sink, sync_row<Sink>>::read_all(scan, all, sinks, nsys_syncs, a);
  if (r) r = nsys_finish(scan, parts[0], about);
  if (!r) return r.error();
  return about;
}

inline result<model::timeline> read_nsys(const std::string& path, const read_options& options) {
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  const std::size_t threads = options.threads != 0 ? (options.threads < 8u ? options.threads : 8u) : processors > 1 ? 2u : 1u;
  std::vector<detail::timeline_sink> sinks(threads);
  auto about = scan_nsys<detail::timeline_sink>(path, sinks, {}, options);
  if (!about) return about.error();
  model::timeline& rows = sinks[0].t;
  model::timeline t = std::move(*about);
  t.gpu = std::move(rows.gpu), t.api = std::move(rows.api), t.annotations = std::move(rows.annotations), t.syncs = std::move(rows.syncs), t.details = std::move(rows.details);
  t.sort();
  // Devices that the export does not describe.
  hotpath::detail::id_index known;
  for (const model::device& d : t.devices) known.insert(d.process, d.ordinal, 0);
  for (std::size_t i = 0; i < t.gpu.size() && t.devices.size() < detail::most_devices; ++i) {
    const model::gpu_event& e = t.gpu[i];
    if (i != 0 && t.gpu[i - 1].process == e.process && t.gpu[i - 1].device == e.device) continue;
    bool fresh = false;
    known.insert(e.process, e.device, 0, &fresh);
    if (fresh) t.devices.push_back({.process = e.process, .ordinal = e.device, .name = {}});
  }
  return t;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
