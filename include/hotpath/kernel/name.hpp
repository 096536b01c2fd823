// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/name.hpp - GPU activity names taken apart: one spelling, a short one for tables, and the words of the function.
//
//     kernel::canonical_name("void f<(int)4>(float*)")                  // "void f<(int)4>": one row per kernel, not per address
//     kernel::short_name(raw)                                           // "Cijk_Alik_Bljk_BBS_BH MT128x256x32", at most 60 bytes
//     kernel::has_token_sequence("vllm::fused_add_rms_norm_kernel<8>(int)", "add rmsnorm")    // true; of "gemma_kernel", "mma": false
//     kernel::fused_ops("triton_poi_fused__unsafe_view_mul_silu_2")      // _unsafe_view, mul, silu
//
//   A symbol is split into words at '_', ':', other punctuation, a change of case and behind digits: "FlashAttnFwdSm90" is flash attn fwd
//   sm90, "KVCache" is kv cache, "s1688gemm" is s1688 gemm. A word that is looked for must begin where a word begins and end where one
//   ends (digits at its end are no part of it unless they are asked for); what stands between is not looked at: rmsnorm finds RMSNorm,
//   rms_norm, RmsNorm and Rmsnorm2d, and does not find "normal".
//   Any bytes are taken (names come from files): at most name_limit bytes of a name are looked at, work grows with their number.
//   Nothing throws; every function is free of state and safe to call from any thread. Empty in: empty out.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

inline constexpr std::size_t name_limit = 64u << 10;   // bytes of a name that are looked at; the rest is dropped

// Itanium names (_Z...) as the compiler's own demangler reads them; anything else, and what it cannot read, comes back as it is.
// A name whose demangled form would exceed name_limit stays mangled.
std::string demangle(std::string_view raw);

// The grouping key of tables: demangled, runs of blanks and control characters made one blank, addresses (0x and at least 6 hexadecimal
// digits, not inside a word) made "0xADDR", the parameter list at the end cut. Tile sizes such as MT320x256x64 stay.
std::string canonical_name(std::string_view raw);

// For people: the function without its well-known namespaces, and the facts that tell kernels of one function apart (functor, type, tile,
// operators of a fused kernel). At most `max` bytes (16 or more), cut with "..". Two kernels may share one.
std::string short_name(std::string_view raw, std::size_t max = 60);

// The operators in an Inductor name triton_{poi,red,per,tem,mm,..}_fused_<operators>_<number>, in its order; empty for any other name.
// The views are into `raw`. Operators are joined by '_' in the name and may hold it: known ones (_to_copy, native_layer_norm) stay whole.
std::vector<std::string_view> fused_ops(std::string_view raw);

// The words of a name, lower case, separated and enclosed by single blanks; " | " stands between parts that are no neighbours in the name.
struct symbol_words {
  std::string function;    // namespaces and function; for a wrapper (cutlass::device_kernel<X>, elementwise_kernel<4, F>) also those of what it wraps
  std::string arguments;   // template and call arguments: tiles, types, policies
};
symbol_words words_of(std::string_view raw);

// Is every one of `words` (separated by blanks, compared as described above, case ignored) in the function's words, one behind the other with
// nothing between? Template and call arguments do not count. A form for many questions on one name: words_of() once, then match_words().
bool has_token_sequence(std::string_view raw, std::string_view words);
bool match_words(std::string_view function_words, std::string_view words);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/name-inl.hpp>
#endif
