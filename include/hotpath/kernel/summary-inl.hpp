// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/summary-inl.hpp - bodies of kernel/summary.hpp.
#pragma once
#include <cstdio>
#include <hotpath/kernel/summary.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace summary {
using tables::percent;
inline void add(std::string& line, const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  line += text;
}
inline void add_time(std::string& line, nanoseconds t) { add(line, t.ns < 1'000'000 ? "%.3f ms" : "%.2f ms", t.ms()); }

template <class Table>
const Table* of_stage(std::span<const Table> tables, std::size_t i, stage at) {
  if (i < tables.size() && tables[i].at == at) return &tables[i];
  for (const Table& t : tables)
    if (t.at == at) return &t;
  return nullptr;
}

inline void add_families(std::string& line, const kernel_table& k, bool known) {
  constexpr double least = 5;       // percent
  constexpr std::size_t most = 3;
  std::size_t shown = 0;
  for (const auto& [f, time] : k.by_family) {
    const double share = percent(time, k.total);
    if (shown != 0 && (shown == most || share < least)) break;
    line.append(shown == 0 ? "" : ", ").append(f == family::other ? "unclassified kernels" : family_name(f)).append(" ");
    add(line, "%.1f %%", share);
    if (shown++ != 0) continue;
    line += known ? " of GPU time" : " of the recorded GPU time";
    for (const kernel_row& r : k.rows)
      if (r.what == f) {
        line.append(" (").append(r.short_name.empty() ? r.kernel : r.short_name).append(", ");
        add(line, "%.1f %%)", r.share);
        break;
      }
  }
}

inline void add_idle(std::string& line, const device_time& t) {
  if (t.wall.ns <= 0) return;
  line += "; idle ";
  add(line, "%.1f %% of ", percent(t.idle, t.wall));
  add_time(line, t.wall);
  std::size_t worst = 0;
  for (std::size_t c = 1; c < 6; ++c)
    if (t.idle_by[worst].time < t.idle_by[c].time) worst = c;
  if (t.idle_by[worst].time.ns == 0) return;
  line.append(", mostly ").append(worst == static_cast<std::size_t>(idle_cause::other) ? "of unknown cause" : idle_cause_names[worst]);
}
}  // namespace summary

HOTPATH_FN std::vector<std::string> summarize(std::span<const kernel_table> kernels, std::span<const overlap_table> overlaps, std::span<const fusion_table> fusions) {
  using namespace summary;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < kernels.size(); ++i) {     // of several traces, tables of one stage stand beside each other in the order of the traces
    const kernel_table& k = kernels[i];
    if (k.events == 0) continue;
    std::string line(k.at == stage::all ? std::string_view(kernels.size() == 1 ? "whole trace" : "no stage told") : name_of(k.at));
    line += ": ";
    const overlap_table* o = of_stage(overlaps, i, k.at);
    add_families(line, k, o == nullptr || !o->time.unknown);
    if (k.total.ns == 0) line += "no GPU time";
    if (o != nullptr && o->time.unknown) {
      line.append("; ").append(*o->time.unknown);
    } else if (o != nullptr) {
      add_idle(line, o->time);
      if (const device_time& t = o->time; t.exposed_comm.ns > 0) {
        const bool per_step = t.steps != 0 && t.exposed_in_steps.ns > 0;
        line += "; ";
        add_time(line, per_step ? t.exposed_in_steps / static_cast<std::int64_t>(t.steps) : t.exposed_comm);
        line.append(" of communication exposed").append(per_step ? " per step" : "");
      }
      for (const overlap_row& r : o->rows) {
        if (r.saving.ns == 0) continue;
        line.append("; overlap could win at most ");
        add_time(line, r.saving_per_step ? *r.saving_per_step : r.saving);
        line.append(r.saving_per_step ? " per step: " : ": ").append(r.kernel.substr(0, 60));
        break;
      }
    }
    if (const fusion_table* f = of_stage(fusions, i, k.at); f != nullptr)
      for (const fusion_row& r : f->rows) {
        if (r.state != fusion_state::opportunity) continue;
        line.append("; fusion could apply: ").append(r.pattern);
        if (r.gain_per_step) {
          line += ", at most ";
          add_time(line, *r.gain_per_step);
          line += " per step";
        }
        break;
      }
    out.push_back(std::move(line));
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
