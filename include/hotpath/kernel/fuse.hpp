// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/fuse.hpp - which kernels are fused already, and which neighbours could become one: known patterns against one trace.
//
//     kernel::fusion_table t = kernel::fuse(subject, stage::decode, {.framework = "sglang", .args = &args});
//     for (const auto& row : t.rows) ...                         // opportunities by gain, then what is fused already by its time
//     auto mine = kernel::parse_patterns(json);                  // the built-in patterns and those of a file
//     kernel::fuse(subject, at, {.patterns = *mine});
//
//   A row is an opportunity only with evidence: the kernels of a pattern's chain follow each other on one stream within a step, in at least
//   `min_adjacency` percent of the repetitions. A repetition is one time that the chain could have run: the occurrences of its rarest
//   kernel. Several launches of one group (the norm of Q, the norm of K) count as one; a copy or memset between two groups is looked
//   through. Words are compared with the function's name, its operator and its Python place, never with template arguments.
//   Only kernels that would disappear count: of each chain all but its longest. gain_per_step = launch gaps + the intermediate's traffic, at
//   most the time of those kernels; the traffic is taken as the time of the memory-bound ones among them, an upper bound. Empty without steps.
//   Confidence: low for the reading list (ids C...), confirmed when every condition is met and the share reaches the pattern's, else candidate.
//   Cost: words per distinct name, operator and place; then 20 ns per chosen event, and 1 to 2 ns per event and pattern whose kernels are all there.
//   Empty subject: an empty table. Thread safety: reads only.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/sequence.hpp>
#include <hotpath/kernel/server_args.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// Words: alternatives separated by '|'; of one alternative all terms separated by '&' must fit. A term is a sequence of words of the function's
// name or its operator (compared as kernel/name.hpp says), or with a prefix: "name:" and "op:" only there, "at:" of the Python place and the
// frames around it, "is:" a family ("is:norm", "is:comm/all_reduce").
struct fuse_group {                      // one member of a chain
  std::string any;                       // it is one of these ...
  std::string none = {};                 // ... and none of those
};

struct fuse_pattern {
  std::string id, name;                  // "F05", "Fused QK RMSNorm + RoPE"
  std::string frameworks = {};           // "sglang|vllm"; empty: any
  std::string fused = {}, fused_none = {};   // words of the fused form
  std::vector<fuse_group> chain = {};    // the split form, producer first; empty or one group: never an opportunity
  std::string platform = {};             // "cuda", "rocm", "npu"; empty: any
  int min_tp = 1;
  std::string model_any = {}, model_none = {};   // parts of the model's name separated by '|'
  std::string toggles = {};              // server arguments that turn the fused form on; with '!' in front those that keep it off. Separated by '|'
  std::string suppresses = {};           // ids that this row replaces where both fit, separated by '|'
  int priority = 0;                      // larger first
  double min_share = 0, confirmed_share = 1;     // percent of the stage
  bool low = false;                      // from the reading list: shown, with confidence "low"
  std::string what = {};                 // what becomes one kernel
  std::string candidate = {};            // where the fused implementation is
  std::string source = {};               // "mainline", "upstream", "in-flight: #38621"
};

// Rows of kernel/data/fuse_patterns.inc. One copy, made on the first call.
std::span<const fuse_pattern> builtin_patterns();

// {"patterns": [{"id", "name", "frameworks": [], "fused": [], "fused_none": [], "chain": [{"any": [], "none": []}], "platform", "min_tp", "model_any": [],
// "model_none": [], "toggles": [], "suppresses": [], "priority", "min_share", "confirmed_share", "low", "what", "candidate", "source"}], "replace": false}
// Texts in place of lists are taken as written above; a priority that is not told is 1000, above all built-in ones. The answer: these and the built-in patterns whose id is not among them, or with "replace": true
// these alone. Errors say which pattern: no id or an id twice, neither fused nor chain words, an unknown member, an unknown family, empty words.
result<std::vector<fuse_pattern>> parse_patterns(std::string_view json);

struct fuse_options {
  std::string_view framework = {};       // "sglang", "vllm", ...; empty or "unknown": not known, and no pattern of a framework is an opportunity
  const server_args* args = nullptr;
  std::span<const fuse_pattern> patterns = builtin_patterns();
  double min_share = 1.0;                // rows whose kernels take less of the stage's time, in percent, are counted and not shown
  double min_adjacency = 80;             // percent
  std::uint64_t min_repetitions = 2;     // a chain that ran once is no loop
  std::size_t chains = 5;                // most unknown chains; 0: none are looked for
};

fusion_table fuse(const subject& s, stage at, const fuse_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/fuse-inl.hpp>
#endif
