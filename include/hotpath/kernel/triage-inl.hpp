// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/triage-inl.hpp - bodies of kernel/triage.hpp
#pragma once
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/kernel/framework.hpp>
#include <hotpath/kernel/integrity.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/server_args.hpp>
#include <hotpath/kernel/summary.hpp>
#include <hotpath/kernel/table.hpp>
#include <hotpath/kernel/triage.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace triage_detail {

inline std::string file_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

inline void add_once(std::vector<std::string>& to, std::string text) {
  for (const std::string& had : to)
    if (had == text) return;
  if (!text.empty()) to.push_back(std::move(text));
}

// Tables of one stage stand together, in the order of the stages, `all` last; few, and equal ones keep their order.
template <class Table>
void by_stage(std::vector<Table>& all) {
  const auto place = [](const Table& t) { return t.at == stage::all ? 100 : static_cast<int>(t.at); };
  for (std::size_t i = 1; i < all.size(); ++i)
    for (std::size_t k = i; k > 0 && place(all[k]) < place(all[k - 1]); --k) std::swap(all[k], all[k - 1]);
}

// Of a trace of one rank, or the one asked for.
inline std::optional<int> rank_of(const model::timeline& t, const triage_input& input) {
  return input.rank ? input.rank : t.about.rank ? t.about.rank : t.processes.size() == 1 ? t.processes[0].rank : std::nullopt;
}

// The time of a kernel; `kernels` by name.
inline std::int64_t time_of(const std::vector<std::pair<std::string, nanoseconds>>& kernels, const std::string& name) {
  const auto *const end = kernels.data() + kernels.size(), *const at = find_first_not(kernels.data(), end, [&name](const auto& k) { return k.first < name; });
  return at != end && at->first == name ? at->second.ns : 0;
}

}  // namespace triage_detail

HOTPATH_FN subject_options triager::subject_of(const triage_input& i) const {
  subject_options s;
  s.rank = i.rank, s.only = o_.at, s.from = o_.from, s.to = o_.to, s.pid_substring = o_.pid_part, s.file_label = i.label;
  return s;
}

HOTPATH_FN void triager::note(const std::string& source, const std::string& text) {
  r_.notes.emplace_back(triage_detail::file_of(source), text);
}

HOTPATH_FN result<void> triager::add(const model::timeline& t, const triage_input& input) {
  namespace d = triage_detail;
  const std::string name = input.name.empty() ? t.about.file : std::string(input.name);
  r_.inputs.push_back(name);
  if (r_.framework.empty()) {
    if (!o_.framework.empty()) {
      r_.framework = o_.framework, r_.framework_reason = "as asked for";
    } else {
      const framework_guess g = find_framework(t, o_.args);
      r_.framework = g.name, r_.framework_reason = g.reason;
    }
    r_.mode = o_.mapping != nullptr ? "mapping-formal" : "single-trace";
    if (o_.mapping != nullptr) r_.mapping_framework = o_.framework.empty() ? find_framework(*o_.mapping, o_.args).name : r_.framework;
  }
  for (const model::device& x : t.devices) d::add_once(r_.devices, x.name);
  if (!r_.rank) r_.rank = d::rank_of(t, input);
  if (!r_.world_size) r_.world_size = t.about.world_size;

  const subject_options so = subject_of(input);
  const subject s = look_at(t, so, {.mapping_trace = o_.mapping, .captures = o_.captures});
  integrity one;
  check_trace(one, t, s);
  for (finding& f : one.findings) findings_.emplace_back(r_.inputs.size() - 1, std::move(f));
  if (t.gpu.empty()) {
    const trace_facts f = facts(t, 20);
    for (const trace_facts::named& op : f.top_self)
      r_.cpu_ops.push_back({op.name, op.count, op.self, op.sum, tables::percent(op.self, f.cpu_op_self_sum)});
    partial_ = true;  // of several traces one is of no use
    for (const model::trace_loss& l : t.lost) cut_ |= l.fault == model::trace_fault::truncated || l.fault == model::trace_fault::damaged;
    return {};
  }
  partial_ |= one.verdict != health::good;
  if (const std::string why = why_nothing(s, so); !why.empty()) return error{.code = errc::empty, .detail = why, .source = name};
  if (o_.mapping != nullptr && !mapping_) mapping_ = look_at(*o_.mapping, {});
  any_ = true;

  nanoseconds first{INT64_MAX}, last{INT64_MIN};
  for (const std::uint32_t i : s.chosen) first = t.gpu[i].begin < first ? t.gpu[i].begin : first, last = t.gpu[i].end() > last ? t.gpu[i].end() : last;
  if (last > first) r_.duration += last - first;
  if (s.left_out_events != 0) note(name, std::to_string(s.left_out_events).append(s.left_out_events == 1 ? " GPU event is" : " GPU events are").append(" left out by the options"));

  const std::size_t tables_before = r_.kernels.size();
  for (const stage at : s.stages) {
    r_.kernels.push_back(table(s, at, {.min_share = o_.min_share, .limit = o_.kernel_limit}));
    r_.overlaps.push_back(overlap(s, at, {.min_share = o_.min_share, .limit = o_.overlap_limit, .mapping = mapping_ ? &*mapping_ : nullptr, .server = o_.args}));
    r_.fusions.push_back(fuse(s, at, {.framework = r_.framework, .args = o_.args, .patterns = o_.patterns, .min_share = o_.min_share}));
  }
  account(r_.check, s, std::span<const kernel_table>(r_.kernels).subspan(tables_before));
  std::vector<bool> looked_at(s.steps.steps.size());
  for (const std::uint32_t i : s.chosen) {
    if (const std::uint32_t at = s.steps.step_of[i]; at != no_index) looked_at[at] = true;
    s.map.cover(r_.covered, i, t.gpu[i].duration);
  }
  std::vector<step> steps = s.steps.steps;
  for (std::size_t i = tables_before; i < r_.overlaps.size(); ++i)
    for (const device_time::of_step& of : r_.overlaps[i].time.by_step)
      for (std::size_t c = 0; c < std::size(of.idle_by); ++c) steps[of.step].idle_by[c] += of.idle_by[c];
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (looked_at[i]) r_.steps.push_back(steps[i]), r_.step_names.emplace_back(t.name(steps[i].annotation));
  for (const std::string& text : s.map.notes) note(name, text);

  // How to read the figures.
  if (s.map.graph_launches != 0) d::add_once(r_.hints, "The host's bar of a graph launch is the time of the call; the GPU's work is in the kernels that it replays.");
  for (const model::device& x : t.devices)
    if (x.compute_major >= 9 && x.name.find("NVIDIA") != std::string::npos) d::add_once(r_.hints, "From compute capability 9 on a kernel may begin before the one in front of it has ended (programmatic dependent launch): its duration then holds the wait.");
  if (t.about.world_size.value_or(1) > 1) d::add_once(r_.hints, "Time of a collective holds the wait for the slowest rank: one rank alone does not tell how much; --rank all compares them.");
  return {};
}

HOTPATH_FN result<void> triager::add_rank(const model::timeline& t, const triage_input& input) {
  const subject_options so = subject_of(input);
  const subject s = look_at(t, so);
  const std::string name = input.name.empty() ? t.about.file : std::string(input.name);
  if (s.chosen.empty()) return note(name, "not compared: " + (t.gpu.empty() ? std::string("no GPU event") : why_nothing(s, so))), result<void>{};
  partial_ |= t.partial();
  const std::optional<int> rank = triage_detail::rank_of(t, input);
  for (const stage at : s.stages) {
    // A rank may have several files: what they spend in one stage is one rank's.
    std::size_t k = 0;
    while (k < ranks_.size() && !(ranks_[k].at == at && rank && ranks_[k].rank == rank)) ++k;
    if (k == ranks_.size()) ranks_.push_back({.at = at, .rank = rank, .kernels = {}});
    auto& kernels = ranks_[k].kernels;
    for (const kernel_row& row : table(s, at, {.min_share = 0}).rows) kernels.emplace_back(row.kernel, row.total);
    sort_in_place(kernels, [](const auto& a, const auto& b) { return a.first < b.first; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < kernels.size(); ++i) {
      if (kept != 0 && kernels[kept - 1].first == kernels[i].first) kernels[kept - 1].second += kernels[i].second;
      else if (kept++ != i) kernels[kept - 1] = std::move(kernels[i]);
    }
    kernels.resize(kept);
  }
  return {};
}

HOTPATH_FN triage_report triager::finish() {
  triage_report& r = r_;
  r.min_share = o_.min_share;
  if (o_.args != nullptr) r.model = model_of(*o_.args);
  triage_detail::by_stage(r.kernels), triage_detail::by_stage(r.overlaps), triage_detail::by_stage(r.fusions);

  for (kernel_table& t : r.kernels)
    for (kernel_row& row : t.rows) {
      std::vector<std::int64_t> totals;
      for (const other_rank& o : ranks_) {
        if (o.at != t.at) continue;
        totals.push_back(triage_detail::time_of(o.kernels, row.kernel));
      }
      if (totals.empty()) continue;
      totals.push_back(row.total.ns);
      kernel_row::over_ranks o;
      o.min = o.max = row.total, o.ranks = static_cast<std::uint32_t>(totals.size());
      for (const std::int64_t total : totals) o.min = nanoseconds{(std::min)(o.min.ns, total)}, o.max = nanoseconds{(std::max)(o.max.ns, total)};
      o.median = tables::quantile(totals, 50);
      row.ranks = o;
    }

  r.summary = summarize(r.kernels, r.overlaps, r.fusions);
  if (r.framework.empty()) r.framework = unknown_framework;
  for (auto& [input, f] : findings_) {
    if (r.inputs.size() > 1) f.text.insert(0, triage_detail::file_of(r.inputs[input]) + ": ");
    else if (!f.text.empty() && f.text[0] >= 'a' && f.text[0] <= 'z') f.text[0] = static_cast<char>(f.text[0] - ('a' - 'A'));
    r.check.findings.push_back(std::move(f));
  }
  r.check.verdict = !any_ && !cut_ ? health::unusable : partial_ ? health::partial : health::good;
  if (any_) settle(r.check);
  return std::move(r_);
}

HOTPATH_FN result<triage_report> triage(const model::timeline& t, const triage_options& options) {
  triager one(options);
  if (auto added = one.add(t); !added) return added.error();
  return one.finish();
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
