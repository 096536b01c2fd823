// SPDX-License-Identifier: Apache-2.0
// hotpath/model/launch-inl.hpp - bodies of launch.hpp.
#pragma once
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

HOTPATH_FN call_kind kind_of_call(std::string_view f) {
  if (f.starts_with("cuda")) f.remove_prefix(4);
  else if (f.starts_with("hip")) f.remove_prefix(3);
  else if (f.starts_with("cu")) f.remove_prefix(2);
  else return call_kind::other;
  struct row { std::string_view start; call_kind kind; };
  constexpr row rows[] = {
    {"GraphLaunch", call_kind::graph},
    {"StreamBeginCapture", call_kind::begin_capture}, {"StreamEndCapture", call_kind::end_capture},
    {"LaunchHostFunc", call_kind::other},                                        // no work on a device
    {"Launch", call_kind::kernel}, {"ModuleLaunch", call_kind::kernel},          // Launch, LaunchKernel(Ex)(C), LaunchCooperativeKernel, LaunchGrid(Async)
    {"ExtLaunch", call_kind::kernel}, {"ExtModuleLaunch", call_kind::kernel}, {"HccModuleLaunch", call_kind::kernel},
    {"Memcpy", call_kind::copy}, {"Memset", call_kind::set},
  };
  for (const row& r : rows)
    if (f.starts_with(r.start)) return r.kind;
  return call_kind::other;
}

HOTPATH_FN launch_links link_launches(const timeline& t) {
  launch_links out;
  out.call_of.assign(t.gpu.size(), no_index);
  if (t.gpu.empty()) return out;
  call_kinds kind(t);
  hotpath::detail::id_index calls(t.api.size());
  for (std::size_t i = 0; i < t.api.size(); ++i) {
    const api_call& c = t.api[i];
    if (c.correlation == no_id) continue;
    bool fresh = false;
    std::uint32_t& first = calls.insert(t.process_of(c.track), c.correlation, static_cast<std::uint32_t>(i), &fresh);
    if (fresh) continue;
    ++out.duplicate_calls;
    if (kind(t.api[first].name) == call_kind::other && kind(c.name) != call_kind::other) first = static_cast<std::uint32_t>(i);
  }
  std::vector<bool> has_event(t.api.size(), false);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const gpu_event& e = t.gpu[i];
    if (e.correlation == no_id) {
      ++out.without_id;
      continue;
    }
    const std::uint32_t call = calls.find(e.process, e.correlation);
    out.call_of[i] = call;
    if (call == no_index) ++out.without_call;
    else if (!has_event[call]) has_event[call] = true;
    else if (kind(t.api[call].name) != call_kind::graph) ++out.shared;
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::model
