// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/framework.hpp - which serving framework a trace is of, from what the trace holds, never from the names of folders.
//
//     kernel::framework_guess g = kernel::find_framework(timeline, &args);
//     g.name;                                     // "sglang", "vllm", "trtllm", "tokenspeed" or "unknown"
//     g.reason;                                   // "Python frames of sglang (5493), operators of sglang (252)"
//     kernel::framework_of_flag("tensorrt-llm");  // "trtllm"
//
//   Each kind of sign has a weight: Python frames of the threads that launch 100, server arguments 60, annotations that one framework alone writes 40,
//   operators 30, kernel names 10 (libraries lend each other kernels); the framework's part of the kind's signs is its share of the weight. The best one is the
//   answer when it has 20 points and twice those of the next; else unknown, with the reason.
//   Cost: each distinct name once, then 1 to 2 ns per frame, operator and call. Thread safety: reads only.
#pragma once
#include <string>
#include <string_view>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

inline constexpr std::string_view framework_names[] = {"sglang", "vllm", "trtllm", "tokenspeed"};
inline constexpr std::string_view unknown_framework = "unknown";

struct framework_guess {
  std::string name = std::string(unknown_framework);
  std::string reason;                            // for people
  double points[4] = {};                         // in the order of framework_names
};
framework_guess find_framework(const model::timeline& t, const server_args* args = nullptr);
// The name alone.
std::string detect_framework(const model::timeline& t, const server_args* args = nullptr);

// What a user may write: the names above, tllm, tensorrt-llm, token-speed, ts, in any case; "unknown" and "none" too. Empty: no framework.
std::string_view framework_of_flag(std::string_view word);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/framework-inl.hpp>
#endif
