// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/triage.hpp - the whole analysis in one call: from a timeline to the three tables, what dominates, and whether to trust it.
//
//     auto r = kernel::triage(timeline);                                    // result<kernel::triage_report>
//     auto r = kernel::triage(timeline, {.args = &server_args, .captures = captures});
//     std::fputs(report::markdown(*r).c_str(), stdout);                     // report/triage.hpp; report/triage_json.hpp
//
//   Several traces of one run (one per stage, or per rank) go through a triager one by one, so that one is in memory at a time:
//
//     kernel::triager all(options);
//     all.add(prefill, {.label = model::stage::prefill, .name = "a.json"}), all.add(decode, {...});
//     all.add_rank(other_rank);                                             // only compared per kernel: kernel_row::ranks
//     kernel::triage_report r = all.finish();
//
//   A timeline without GPU events is no error: the report says so (check.verdict unusable; partial where the file ended early, since there may have
//   been some) and has the operators of the host by self time.
//   Errors (code empty): the options leave nothing to look at; the sentence says what there is.
//   Timelines must be sorted; none is kept after the call. What the options refer to (texts, patterns, args, mapping, captures) must outlive the triager.
//   Time: that of the analyzers, O(n log n) in the events. Thread safety: one thread per triager.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/fuse.hpp>
#include <hotpath/kernel/subject.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct triage_options {
  std::string_view framework = {};                        // "sglang", ...; empty: found out
  double min_share = 1.0;                                 // percent; rows below it are summed, not shown
  std::size_t kernel_limit = 0, overlap_limit = 0;        // rows per stage; 0: all
  std::optional<stage> at = {};                           // only this one
  std::optional<nanoseconds> from = {}, to = {};          // since the first GPU event
  std::string_view pid_part = {};                         // only processes whose pid or name holds it
  const server_args* args = nullptr;
  std::span<const fuse_pattern> patterns = builtin_patterns();
  const model::timeline* mapping = nullptr;               // a second trace of the same program, made with stacks and without graphs: two-trace mode
  std::span<const model::timeline* const> captures = {};  // recorded while graphs were captured
};

struct triage_input {
  stage label = stage::all;          // what the file's name says (trace::stage_of_name)
  std::string_view name = {};        // shown; empty: timeline::about.file
  std::optional<int> rank = {};      // of a trace of several ranks: only this one
};

class triager {
 public:
  explicit triager(const triage_options& options = {}) : o_(options) {}
  triager(const triager&) = delete;
  triager& operator=(const triager&) = delete;

  result<void> add(const model::timeline& t, const triage_input& input = {});
  result<void> add_rank(const model::timeline& t, const triage_input& input = {});
  // Once, at the end.
  triage_report finish();

 private:
  struct other_rank {                // the kernels of one rank at one stage
    stage at = stage::all;
    std::optional<int> rank = {};
    std::vector<std::pair<std::string, nanoseconds>> kernels;   // by name
  };
  subject_options subject_of(const triage_input& i) const;
  void note(const std::string& source, const std::string& text);

  const triage_options o_;
  triage_report r_;
  std::optional<subject> mapping_;
  std::vector<other_rank> ranks_;
  std::vector<std::pair<std::size_t, finding>> findings_;   // by input
  bool any_ = false, partial_ = false, cut_ = false;   // cut_: a file ended before any GPU event
};

result<triage_report> triage(const model::timeline& t, const triage_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/triage-inl.hpp>
#endif
