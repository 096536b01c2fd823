// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/integrity.hpp - whether to trust a report: what the file lost, what the trace does not hold, what was guessed, and the sum that must come out.
//
//     kernel::integrity check;
//     kernel::check_trace(check, timeline, subject, "rank0.json");       // once per trace: findings in full sentences, and the verdict gets worse
//     kernel::account(check, subject, tables);                           // rows + hidden + left out = total, of this trace
//     kernel::settle(check);                                             // does it come out?
//
//   good: nothing is lost and nothing essential is missing. partial: the report holds for what is there; a finding with `warning` says what is
//   not. unusable: there is no GPU work to look at, and a finding says what to record instead. Thread safety: pure functions of their arguments.
#pragma once
#include <span>
#include <string_view>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// `name` goes in front of sentences about the file, where it is given. A trace without GPU events makes the verdict unusable; of several traces
// the verdict of the whole is the caller's where one of them is of use.
void check_trace(integrity& into, const model::timeline& t, const subject& s, std::string_view name = {});

// What one loss means, as a sentence without its subject: "the file ends early at byte 1234: the events before it were kept".
std::string sentence_of(const model::trace_loss& l);

// Adds the GPU time of one subject and where it is in its tables. The total is summed from the timeline, not from the tables.
void account(integrity& into, const subject& s, std::span<const kernel_table> tables);
// At the end: a sum that does not come out is a warning, and the verdict is at least partial.
void settle(integrity& it);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/integrity-inl.hpp>
#endif
