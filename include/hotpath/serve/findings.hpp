// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/findings.hpp - what a person should know before trusting or acting on a report, most important first.
//   One short sentence each, with its numbers; not what fields of the report say (how the run ended, how many requests failed, what
//   was lost, that the client was the limit). Order: nothing to show, failures, books that do not balance, missing usage, where
//   requests queued, closed loop, cycled workload, stalls, unknown intervals.
#pragma once
#include <hotpath/serve/checks.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

// Where requests waited: "cap" when more than half of ttft was the wait for a slot, "server" when an open loop's backlog grew.
std::string queue_of(const report& r, const thirds& t);
void fill_findings(report& out, const thirds& t);

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/findings-inl.hpp>
#endif
