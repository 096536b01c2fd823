// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/file_name.hpp - what the name of a trace file says, for files that do not say it themselves.
//
//     trace::rank_of_name("dp0_pp0_tp1_dcp0_ep0_rank5.1769.pt.trace.json.gz");   // 5
//     trace::stage_of_name("1758513624.4-TP-0-DECODE.trace.json.gz");            // stage::decode
//
//   A name is a hint: prefer what stands in the trace. No allocation; safe from any thread.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <hotpath/core/text.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

constexpr std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The rank in a file's name (folders are not looked at): rank5, rank-5, rank_5, else TP-5 or tp5, else worker5, each as a word of its own, in any
// case. nullopt: none.
std::optional<int> rank_of_name(std::string_view path);

// prefill for a file whose name has the word extend or prefill, decode for the word decode, when it has one kind only and no "no" or "without"
// stands before it. Else the nearest of the three folders above that is called exactly so. stage::all: neither.
model::stage stage_of_name(std::string_view path);

// True for .json .json.gz .sqlite and their like: worth a look inside.
bool is_trace_name(std::string_view path);

// "TP00-DP1" of the pid "[TP00-DP1] 4711", as files of several ranks have them: TP, DP, PP, EP with a number, joined by -; or NP, of a process without
// a rank. "": the pid tells no process.
std::string_view process_of_pid(std::string_view pid);

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/file_name-inl.hpp>
#endif
