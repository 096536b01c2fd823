// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/subject.hpp - what all tables look at: a timeline with its steps, its mapping, the identity of its kernels, and which events count.
//
//     kernel::subject s = kernel::look_at(timeline, {.only = model::stage::decode, .from = 0_ms, .to = 50_ms}, {.captures = captures});
//     for (const model::stage at : s.stages) kernel::table(s, at);
//
//   What the options leave out is counted (left_out, left_out_events), never lost. Options that fit nothing give a subject in which nothing is
//   chosen; `why_nothing` says which. The timeline must be sorted and outlive the subject.
//   Cost: find_steps + map_events + 15 ns per event; each distinct (name, site) is classified once. Thread safety: pure functions.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/map.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct subject_options {
  std::optional<int> rank = {};                     // only the processes of this rank
  std::optional<stage> only = {};                   // only events of this stage
  std::optional<nanoseconds> from = {}, to = {};    // only events that begin in [from, to) after the first GPU event of their process
  std::string_view pid_substring = {};              // only processes whose pid, name or label, or events whose track's pid, hold it
  stage file_label = stage::all;                    // see step_options
};

subject look_at(const model::timeline& t, const subject_options& options = {}, const mapping_inputs& inputs = {});

// Why `options` chose nothing, with what there is: "No process has rank 3; the trace has ranks 0 and 1." Empty: something was chosen.
std::string why_nothing(const subject& s, const subject_options& options);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/subject-inl.hpp>
#endif
