// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/integrity-inl.hpp - bodies of integrity.hpp.
#pragma once
#include <string>
#include <utility>
#include <hotpath/kernel/integrity.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace checks {
inline std::string count(std::uint64_t n) { return std::to_string(n); }
inline std::string counted(std::uint64_t n, std::string_view noun) { return count(n).append(" ").append(noun).append(n == 1 ? "" : "s"); }
// "12.3 %"
inline std::string percent(nanoseconds part, nanoseconds whole) {
  const std::int64_t tenths = static_cast<std::int64_t>(tables::percent(part, whole) * 10 + 0.5);
  return count(static_cast<std::uint64_t>(tenths / 10)).append(".").append(count(static_cast<std::uint64_t>(tenths % 10))).append(" %");
}

// Collects findings of one trace.
class list {
 public:
  list(integrity& into, std::string_view name) : into_(into), name_(name) {}
  void say(std::string text) { put(false, std::move(text)); }
  void warn(std::string text, health at_least = health::partial) {
    put(true, std::move(text));
    if (into_.verdict < at_least) into_.verdict = at_least;
  }

 private:
  void put(bool warning, std::string text) {
    if (!name_.empty()) text.insert(0, std::string(name_).append(": "));
    into_.findings.push_back({warning, std::move(text)});
  }
  integrity& into_;
  std::string_view name_;
};

inline void losses(list& out, const model::timeline& t) {
  for (const model::trace_loss& l : t.lost) {
    model::timeline one;
    one.lost.push_back(l);
    const bool lossy = one.partial();        // some faults only change what is there
    if (lossy) out.warn(sentence_of(l).append("."));
    else out.say(sentence_of(l).append("."));
  }
}

inline void no_gpu(list& out, const model::timeline& t) {
  std::uint64_t counters = 0;
  for (const auto& [category, n] : t.about.by_category)
    if (category == "cuda_profiler_range") counters += n;
  const std::uint64_t host = t.ops.size() + t.frames.size() + t.api.size() + t.annotations.size();
  if (counters != 0)
    out.warn(counted(counters, "range").append(" of hardware counters and no kernel: nothing can be said of GPU time. Record kernels with activities CPU and CUDA, without CUPTI profiler metrics."), health::unusable);
  else if (host != 0)
    out.warn(counted(host, "event").append(" of the host and none of a GPU: nothing can be said of GPU time. Was ProfilerActivity.CUDA among the activities, and is this the worker's trace, not the front end's?"), health::unusable);
  else out.warn("no event of a GPU and none of the host: is it a trace of a program that ran?", health::unusable);
}

inline void ids(list& out, const model::timeline& t) {
  std::uint64_t no_link = 0, no_external = 0, zero = 0;   // what the mapping says of ids is not said again
  for (const model::gpu_event& e : t.gpu)
    no_external += e.external == model::no_id ? 1u : 0u, no_link += e.external == model::no_id && e.correlation == model::no_id ? 1u : 0u, zero += e.duration.ns == 0 ? 1u : 0u;
  if (no_external == t.gpu.size() && no_link == 0) out.say("No GPU event has an External id: operators are found by the call that launched it alone.");
  if (zero != 0) out.say(counted(zero, "GPU event").append(zero == 1 ? " has" : " have").append(" a duration of 0: launches are counted, time is not."));
}

inline void stages(list& out, const model::timeline& t, const subject& s) {
  std::uint64_t by[7] = {};
  for (const stage_source x : s.steps.source_of) ++by[static_cast<std::size_t>(x)];
  const std::uint64_t windows = by[2] + by[3] + by[4];
  const std::uint64_t named = by[static_cast<std::size_t>(stage_source::file_name)], untold = by[static_cast<std::size_t>(stage_source::none)];
  if (windows != 0) out.say(counted(windows, "GPU event").append(windows == 1 ? " has" : " have").append(" the stage of the annotation around or next to it in time, not of the launch."));
  if (named != 0) out.say(counted(named, "GPU event").append(named == 1 ? " has" : " have").append(" the stage that the file's name tells."));
  if (untold == t.gpu.size()) out.say("No annotation tells the stage of any GPU event: stages are not told apart.");
  else if (untold != 0) out.say(counted(untold, "GPU event").append(untold == 1 ? " was" : " were").append(" launched outside of all steps that tell a stage."));
}

inline void coverage_line(list& out, const coverage& c) {
  nanoseconds all{};
  for (const coverage::part& p : c.by) all += p.time;
  if (all.ns <= 0) return;
  std::string text = percent(all - c.by[0].time, all).append(" of GPU time is mapped to the program (");
  bool first = true;
  for (std::size_t i = 1; i < std::size(c.by); ++i) {
    if (c.by[i].events == 0) continue;
    text.append(first ? "" : ", ").append("by ").append(mapped_by_names[i]).append(" ").append(percent(c.by[i].time, all));
    first = false;
  }
  if (first) text.append("no method found anything");
  out.say(text.append("), ").append(percent(c.with_location.time, all)).append(" of it to a source line; ").append(percent(c.by[0].time, all)).append(" is not."));
}

inline void ranks_and_clocks(list& out, const model::timeline& t) {
  const int world = t.about.world_size.value_or(1);
  std::vector<int> ranks;
  for (const model::process& p : t.processes)
    if (p.rank) ranks.push_back(*p.rank);
  if (ranks.empty() && t.about.rank) ranks.push_back(*t.about.rank);
  sort_in_place(ranks, [](int a, int b) { return a < b; });
  std::size_t distinct = 0;
  for (std::size_t i = 0; i < ranks.size(); ++i)
    if (i == 0 || ranks[i] != ranks[i - 1]) ++distinct;
  if (world > 1 && distinct < static_cast<std::size_t>(world))
    out.say(counted(distinct, "rank").append(" of ").append(std::to_string(world)).append(distinct == 1 ? " is" : " are")
            .append(" in the trace: the time of a collective holds the wait for ranks that are not seen."));
  bool by_name = false, own = false;
  for (const model::process& p : t.processes) by_name |= p.rank_from_name, own |= &p != &t.processes[0] && p.clock == model::clock_kind::own;
  if (by_name) out.say("A rank is known from the file's name alone.");
  if (own) out.warn("Clocks of the processes were not aligned: times of different processes cannot be compared.");
}
}  // namespace checks

HOTPATH_FN std::string sentence_of(const model::trace_loss& l) {
  using model::trace_fault;
  using checks::counted;
  const auto kept = [&](std::string text, std::string_view rest) {
    if (l.first_byte) text.append(" at byte ").append(std::to_string(*l.first_byte));
    return text.append(rest);
  };
  std::string out;
  switch (l.fault) {
    case trace_fault::truncated: out = kept("the file ends early", ": the complete events before it were kept"); break;
    case trace_fault::damaged: out = kept("the file is damaged", ": the events before it were kept"); break;
    case trace_fault::bad_checksum: out = kept("a gzip checksum is wrong", ": the data was kept, unverified"); break;
    case trace_fault::malformed_event: out = counted(l.count, "malformed event").append(" dropped"); break;
    case trace_fault::no_duration: out = counted(l.count, "event").append(" without a duration dropped"); break;
    case trace_fault::negative_duration: out = counted(l.count, "event").append(" with a negative duration dropped"); break;
    case trace_fault::no_time: out = counted(l.count, "event").append(" without a time dropped"); break;
    case trace_fault::bad_time: out = counted(l.count, "event").append(" with an impossible time dropped"); break;
    case trace_fault::unmatched_begin: out = counted(l.count, "event").append(" that never ended, closed where what is around it ends"); break;
    case trace_fault::unmatched_end: out = counted(l.count, "end").append(" without a beginning dropped"); break;
    case trace_fault::repaired_text: out = counted(l.count, "text").append(" with control characters or ill-formed UTF-8 mended"); break;
    case trace_fault::long_name: out = counted(l.count, "name").append(" cut to 64 KiB"); break;
    case trace_fault::too_many_names: out = counted(l.count, "event").append(" share one name: there are more distinct names than the limit"); break;
    case trace_fault::missing_name: out = counted(l.count, "name").append(" missing in the file, shown as <id N>"); break;
    case trace_fault::duplicate_correlation: out = counted(l.count, "correlation id").append(" used by several API calls: the first is used"); break;
    case trace_fault::missing_column: out = counted(l.count, "column or table").append(l.count == 1 ? " that figures need is missing" : " that figures need are missing"); break;
    case trace_fault::unknown_process: out = counted(l.count, "event").append(" of a process or thread that the file does not describe"); break;
  }
  if (l.first_byte && !model::is_of_file(l.fault)) out.append(", the first at byte ").append(std::to_string(*l.first_byte));
  std::string_view note = l.note;
  while (note.ends_with('.')) note.remove_suffix(1);
  if (!note.empty()) out.append("; ").append(note);
  return out;
}

HOTPATH_FN void check_trace(integrity& into, const model::timeline& t, const subject& s, std::string_view name) {
  checks::list out(into, name);
  checks::losses(out, t);
  if (t.gpu.empty()) return checks::no_gpu(out, t);
  checks::ids(out, t), checks::stages(out, t, s), checks::coverage_line(out, s.map.covered);
  if (s.trace != nullptr)
    if (auto missing = graphs_not_recorded(s)) out.warn(missing->append("."));
  checks::ranks_and_clocks(out, t);
  if (t.about.with_stack) out.say("Python stacks were recorded: they slow the host down, and idle time that is bound by the host looks worse than it is.");
}

HOTPATH_FN void account(integrity& into, const subject& s, std::span<const kernel_table> all) {
  const auto whole = [](nanoseconds d) { return d.ns < 0 ? nanoseconds{} : d; };
  if (s.trace != nullptr)
    for (const model::gpu_event& e : s.trace->gpu) into.total += whole(e.duration);
  into.left_out += s.left_out;
  for (const kernel_table& t : all) {
    for (const kernel_row& row : t.rows) into.in_rows += row.total;
    into.hidden += t.hidden;
  }
}

HOTPATH_FN void settle(integrity& it) {
  nanoseconds sum = it.in_rows;
  sum += it.hidden, sum += it.left_out;
  if (it.total.ns == INT64_MAX) {
    it.findings.push_back({true, "The GPU time sums up to more than 292 years: durations in the trace are wrong, and so are the shares."});
    if (it.verdict == health::good) it.verdict = health::partial;
  }
  if (sum == it.total) return;
  std::string text = "The tables hold ";
  text.append(std::to_string(sum.ns)).append(" ns of ").append(std::to_string(it.total.ns)).append(" ns of GPU time: an error of this program, the figures cannot be trusted.");
  it.findings.push_back({true, std::move(text)});
  if (it.verdict == health::good) it.verdict = health::partial;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
