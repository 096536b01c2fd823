// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/across-inl.hpp - bodies of kernel/across.hpp
#pragma once
#include <hotpath/kernel/across.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN std::vector<across_stage> across(std::span<const triage_report* const> reports) {
  constexpr stage order[] = {stage::prefill, stage::decode, stage::mixed, stage::verify, stage::draft, stage::all};
  std::vector<across_stage> out;
  for (const stage at : order) {
    across_stage s;
    s.at = at, s.sums.resize(reports.size()), s.steps.resize(reports.size());
    std::vector<nanoseconds> in_steps(reports.size());
    bool any = false;
    for (std::size_t i = 0; i < reports.size(); ++i)
      for (const kernel_table& t : reports[i]->kernels) {
        if (t.at != at) continue;
        any = true, s.steps[i] += t.steps, s.sums[i].total += t.total, in_steps[i] += t.in_steps;   // several traces may have the stage
        for (const auto& [what, time] : t.by_family) {
          std::size_t k = 0;
          while (k < s.rows.size() && s.rows[k].what != what) ++k;
          if (k == s.rows.size()) s.rows.emplace_back(), s.rows[k].what = what, s.rows[k].cells.resize(reports.size());
          s.rows[k].cells[i].total += time;
        }
      }
    if (!any) continue;
    const auto settle = [&](across_cell& c, std::size_t i) {
      c.share = tables::percent(c.total, s.sums[i].total);
      if (s.steps[i] != 0 && in_steps[i] == s.sums[i].total) c.per_step = c.total / static_cast<std::int64_t>(s.steps[i]);
    };
    for (std::size_t i = 0; i < reports.size(); ++i) {
      for (across_stage::row& r : s.rows) settle(r.cells[i], i);
      settle(s.sums[i], i);
    }
    const auto weight = [](const across_stage::row& r) {
      double most = 0;
      for (const across_cell& c : r.cells) most = c.share > most ? c.share : most;
      return most;
    };
    for (std::size_t i = 1; i < s.rows.size(); ++i)  // few rows; equal ones keep the order of the reports
      for (std::size_t k = i; k > 0 && weight(s.rows[k - 1]) < weight(s.rows[k]); --k) std::swap(s.rows[k - 1], s.rows[k]);
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
