// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/dependency.hpp - whether a launch must come before or after its neighbours, as far as a trace tells. Not for users.
#pragma once
#include <string>
#include <vector>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/table-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::tables {

// What stands around one launch on its stream, and what waits for it or it for.
struct neighbours {
  std::uint32_t before = no_index, after = no_index;  // GPU events
};

inline std::string_view file_of(std::string_view location) { return location.substr(0, location.rfind(':')); }
inline std::string_view function_of(std::string_view location) {
  const auto space = location.rfind(' ');
  return space == std::string_view::npos ? std::string_view{} : location.substr(space + 1);
}
inline const site* site_at(const subject& s, std::uint32_t event) {
  const std::uint32_t i = at_or_none(s.map.site_of, event);
  return i < s.map.sites.size() ? &s.map.sites[i] : nullptr;
}

enum class tie : std::uint8_t { none, unclear, risk };

// Whether work that follows at once on the same stream looks as if it belonged together.
inline tie tie_of(const subject& s, std::uint32_t event, std::uint32_t other, const std::vector<overlap_class>& class_of_identity) {
  if (other == no_index) return tie::none;
  const interval a = span_of(s.trace->gpu[event]), b = span_of(s.trace->gpu[other]);
  const nanoseconds between = (std::max)(nanoseconds{}, a.begin < b.begin ? b.begin - a.end : a.begin - b.end);
  const nanoseconds tight = (std::max)(nanoseconds{2'000}, (std::min)(nanoseconds{20'000}, nanoseconds{(a.end - a.begin).ns / 100 * 15}));
  if (tight < between) return tie::none;
  const site *mine = site_at(s, event), *theirs = site_at(s, other);
  if (mine != nullptr && theirs != nullptr) {
    const bool located = mine->location != 0 && theirs->location != 0 && !mine->graph_replay && !theirs->graph_replay;
    const std::string_view here = s.map.sites.text(mine->location), there = s.map.sites.text(theirs->location);
    if (located && (file_of(here) == file_of(there) || function_of(here) == function_of(there))) return tie::risk;
    if (mine->cpu_op != 0 && mine->cpu_op == theirs->cpu_op) return tie::risk;
  }
  const overlap_class x = class_of_identity[s.identity_of[event]], y = class_of_identity[s.identity_of[other]];
  if (x == overlap_class::comm && y != overlap_class::comm) return tie::risk;
  if ((x == overlap_class::elementwise || x == overlap_class::memory) && y != overlap_class::other) return tie::risk;
  const bool mapped = mine != nullptr && theirs != nullptr && (mine->location != 0 || mine->cpu_op != 0) && (theirs->location != 0 || theirs->cpu_op != 0);
  return mapped ? tie::none : tie::unclear;
}

// Stream waits as the trace records them. Ids of calls ascend within a process: a wait stands between two launches of its stream, the record that
// it waits for between two of the other.
class recorded_waits {
 public:
  explicit recorded_waits(const model::timeline& t) : t_(t) {
    for (const model::sync_event& w : t.syncs) {
      if (w.stream == no_index || w.waits_for_stream == no_index || w.stream == w.waits_for_stream) continue;
      devices_.push_back(device(w.process, w.device));
      if (w.correlation != model::no_id) waits_.push_back({device(w.process, w.device), w.stream, w.correlation, w.waits_for_stream});
      if (w.waits_for != model::no_id) awaited_.push_back({device(w.process, w.device), w.waits_for_stream, w.waits_for, w.stream});
    }
    sort_unique(devices_), sort_unique(waits_), sort_unique(awaited_);
  }
  // `any`: the device has stream waits, so that none at this launch means something.
  std::string tie(std::uint32_t event, const neighbours& n, bool& any) const {
    const model::gpu_event& e = t_.gpu[event];
    const std::uint32_t own = device(e.process, e.device);
    const std::uint32_t *const last = devices_.data() + devices_.size(), *const d = find_first_not(devices_.data(), last, [own](std::uint32_t x) { return x < own; });
    any = e.correlation != model::no_id && d != last && *d == own;
    if (!any) return {};
    const std::uint64_t low = n.before == no_index ? 0 : t_.gpu[n.before].correlation, high = n.after == no_index ? model::no_id : t_.gpu[n.after].correlation;
    std::string out;   // what the launch waits for says more than what waits for it; of several of a kind the nearest
    if (const wait* const w = before(waits_, {own, e.stream, e.correlation, 0}); w != nullptr && low < w->id) {
      out.append("high (waits for stream ").append(std::to_string(w->other)).append(")");
    } else if (const wait* const by = after(awaited_, {own, e.stream, e.correlation, no_index}); by != nullptr && by->id < high) {
      out.append("high (stream ").append(std::to_string(by->other)).append(" waits for it)");
    }
    return out;
  }

 private:
  struct wait {
    std::uint32_t device, stream;
    std::uint64_t id;
    std::uint32_t other;   // stream
    bool operator<(const wait& o) const { return device != o.device ? device < o.device : stream != o.stream ? stream < o.stream : id != o.id ? id < o.id : other < o.other; }
  };
  static std::uint32_t device(std::uint16_t process, std::uint16_t device) { return std::uint32_t{process} << 16 | device; }
  // The nearest of the same stream; nullptr: there is none.
  static const wait* before(const std::vector<wait>& all, const wait& at) {
    const wait *const first = all.data(), *const w = find_first_not(first, first + all.size(), [&at](const wait& x) { return x < at; });
    return w != first && w[-1].device == at.device && w[-1].stream == at.stream ? w - 1 : nullptr;
  }
  static const wait* after(const std::vector<wait>& all, const wait& at) {
    const wait *const end = all.data() + all.size(), *const w = find_first_not(all.data(), end, [&at](const wait& x) { return !(at < x); });
    return w != end && w->device == at.device && w->stream == at.stream ? w : nullptr;
  }

  const model::timeline& t_;
  std::vector<std::uint32_t> devices_;
  std::vector<wait> waits_, awaited_;
};

inline std::string dependency_of(const subject& s, std::uint32_t event, const neighbours& n, const recorded_waits& waits, const std::vector<overlap_class>& class_of_identity) {
  bool recorded = false;
  if (std::string told = waits.tie(event, n, recorded); !told.empty()) return told;
  const tie before = tie_of(s, event, n.before, class_of_identity), after = tie_of(s, event, n.after, class_of_identity);
  if (before == tie::risk && after == tie::risk) return "high (both sides)";
  if (before == tie::risk) return "high (follows at once)";
  if (after == tie::risk) return "high (followed at once)";
  if (before == tie::unclear || after == tie::unclear) return "unclear";
  return recorded ? "low (no stream waits for it)" : "low";
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::tables
