// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/server_args.hpp - what a server says of itself: its arguments as flat facts, and log lines that forbid an analysis.
//
//     auto args = kernel::parse_server_args(text_of("server_args.json"));          // {"tp_size":2,"spec":{"steps":3}}
//     kernel::find_arg(*args, "tp_size");                                          // "2"
//     kernel::flag_of(*args, "enable_flashinfer_allreduce_fusion");                // on, off, or not told
//     if (auto wrong = kernel::find_wrong_backend(log)) ...                        // a diffusion pipeline ran, not the engine
//
//   Members of nested objects are joined with '.', of objects in arrays by their index ("internal_states.0.tp_size"); an array without
//   objects is one value, its JSON text. A text value that is itself a JSON object is opened too. Values are JSON text without quotes;
//   values of secret names (api keys) are "[redacted]". Bounded by args_limits: what is beyond is an error, not a shorter answer.
//   Thread safety: free functions without state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct args_limits {
  std::size_t bytes = 16u << 20;     // of the text
  std::size_t facts = 10'000;
  std::size_t value = 4096;          // of one value: longer ones are cut
  unsigned depth = 16;
};

// Facts in the order of the text. An empty object gives none. Not an object: malformed.
result<server_args> parse_server_args(std::string_view json, args_limits limits = {});

// The value of the first fact named `key`, or whose last member is ("pass_config.fuse_norm_quant" for "fuse_norm_quant"); case, '-' and '_' are
// not told apart. nullptr: there is none. The pointer is into `args`.
const std::string* find_arg(const server_args& args, std::string_view key);

// on: true, a number that is not 0, a text; off: false, 0, null, "", "none", "off", "disabled"; unknown: not among the facts.
enum class flag_state : std::uint8_t { unknown, off, on };
flag_state flag_of(const server_args& args, std::string_view key);

// The largest tensor-parallel size among the names that engines use for it; empty: none tells.
std::optional<int> tensor_parallel_size(const server_args& args);
// The model's path or name; empty: not told.
std::string model_of(const server_args& args);

// A line of a server's log after which its kernels are no evidence: the engine handed the model to another library.
struct wrong_backend {
  std::uint64_t line = 0;            // from 1
  std::string_view words;            // which known words it has
};
// The first such line. Cost: one pass over the text, about 1 ns per byte. Empty text: none.
std::optional<wrong_backend> find_wrong_backend(std::string_view log);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/server_args-inl.hpp>
#endif
