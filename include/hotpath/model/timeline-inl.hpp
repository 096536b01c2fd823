// SPDX-License-Identifier: Apache-2.0
// hotpath/model/timeline-inl.hpp - bodies of timeline.hpp.
#pragma once
#include <iterator>
#include <hotpath/core/sort.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

namespace detail {
// A process, a device, then time; the rest makes the order independent of the file's.
constexpr auto device_order = [](const auto& a, const auto& b) {
  if (a.process != b.process) return a.process < b.process;
  if (a.device != b.device) return a.device < b.device;
  if (a.begin != b.begin) return a.begin < b.begin;
  if (a.stream != b.stream) return a.stream < b.stream;
  if (a.duration != b.duration) return a.duration < b.duration;
  return a.name < b.name;
};
// Around comes before within.
constexpr auto track_order = [](const auto& a, const auto& b) {
  if (a.track != b.track) return a.track < b.track;
  if (a.begin != b.begin) return a.begin < b.begin;
  if (a.duration != b.duration) return a.duration > b.duration;
  return a.name < b.name;
};
}  // namespace detail

HOTPATH_FN void timeline::sort() {
  hotpath::sort_in_place(gpu.begin(), gpu.end(), detail::device_order);
  hotpath::sort_in_place(syncs.begin(), syncs.end(), detail::device_order);
  hotpath::sort_in_place(api.begin(), api.end(), detail::track_order);
  hotpath::sort_in_place(ops.begin(), ops.end(), detail::track_order);
  hotpath::sort_in_place(frames.begin(), frames.end(), detail::track_order);
  hotpath::sort_in_place(annotations.begin(), annotations.end(), detail::track_order);
  // The innermost frame still open is reached from the frame before by its parents: no stack beside the array.
  for (std::size_t i = 0; i < frames.size(); ++i) {
    frame& f = frames[i];
    std::uint32_t around = i != 0 && frames[i - 1].track == f.track ? static_cast<std::uint32_t>(i - 1) : no_index;
    while (around != no_index && frames[around].end() < f.end()) around = frames[around].parent;
    f.parent = around;
  }
}

HOTPATH_FN void timeline::count(trace_fault f, std::optional<std::uint64_t> byte, std::string note, std::uint64_t times) {
  if (times == 0) return;
  auto at = lost.begin();
  while (at != lost.end() && at->fault < f) ++at;
  if (at == lost.end() || at->fault != f) at = lost.insert(at, trace_loss{f, 0, byte, std::move(note)});
  at->count += times;
}

HOTPATH_FN loss timeline::loss_total() const {
  loss l;
  for (const trace_loss& t : lost) switch (t.fault) {
    case trace_fault::truncated: case trace_fault::damaged: l.truncated += t.count; break;
    case trace_fault::long_name: case trace_fault::too_many_names: l.over_limit += t.count; break;
    case trace_fault::bad_checksum: case trace_fault::malformed_event: case trace_fault::no_duration: case trace_fault::negative_duration: case trace_fault::no_time:
    case trace_fault::bad_time: case trace_fault::unmatched_begin: case trace_fault::unmatched_end: case trace_fault::missing_column: l.malformed += t.count; break;
    case trace_fault::repaired_text: case trace_fault::missing_name: case trace_fault::duplicate_correlation: case trace_fault::unknown_process: break;  // said, nothing is lost
  }
  return l;
}

HOTPATH_FN std::string_view name_of(trace_fault f) {
  constexpr std::string_view words[] = {"truncated", "damaged", "bad_checksum", "malformed_event", "no_duration", "negative_duration", "no_time", "bad_time",
    "unmatched_begin", "unmatched_end", "repaired_text", "long_name", "too_many_names", "missing_name", "duplicate_correlation", "missing_column", "unknown_process"};
  static_assert(std::size(words) == trace_fault_count);
  return words[static_cast<std::size_t>(f)];
}

}  // namespace hotpath::inline HOTPATH_ABI::model
