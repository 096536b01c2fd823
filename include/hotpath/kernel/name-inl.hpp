// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/name-inl.hpp - bodies of kernel/name.hpp.
#pragma once
#include <cstdlib>   // free
#include <cxxabi.h>  // the demangler of libstdc++ and libc++abi
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/words.hpp>
#include <hotpath/kernel/name.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

constexpr bool is_hex(char c) { return text::is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Behind the bracket that closes the one at `i`, or the end. A '<' counts where a name or an operator's type stands before it; a closing round
// bracket closes what was left open inside, so that `(8)>(0)` and `a<b` within one do no harm.
inline std::size_t behind_group(std::string_view s, std::size_t i) {
  std::string open;
  for (; i < s.size(); ++i) {
    const char c = s[i];
    if (c == '(' || c == '{' || c == '[') {
      open += c;
    } else if (c == '<') {
      if (open.empty() || (i > 0 && is_identifier(s[i - 1]))) open += c;
    } else if (c == '>') {
      if (!open.empty() && open.back() == '<' && s[i - 1] != '-') open.pop_back();
    } else if (c == ')' || c == '}' || c == ']') {
      const char begin = c == ')' ? '(' : c == '}' ? '{' : '[';
      while (!open.empty() && open.back() != begin) open.pop_back();
      if (!open.empty()) open.pop_back();
    } else {
      continue;
    }
    if (open.empty()) return i + 1;
  }
  return s.size();
}

// A demangled name (or a type in one) up to its parameters.
struct head {
  std::string path;                          // a::b::c without template arguments and anonymous namespaces
  std::vector<std::string_view> arguments;   // the text between each < and > of the path
  std::size_t end = 0;                       // where the parameter list begins, or the size
  std::string_view last() const {
    const std::size_t i = path.rfind("::");
    return std::string_view(path).substr(i == std::string::npos ? 0 : i + 2);
  }
};

inline constexpr std::string_view anonymous = "(anonymous namespace)", unnamed = "(anonymous";

inline head head_of(std::string_view s) {
  head h;
  h.end = s.size();
  const std::size_t bracket = s.find_first_of("(<");
  // A sentence such as "Memcpy HtoD (Pinned -> Device)", or a plain identifier.
  if (bracket == std::string_view::npos || (bracket > 0 && s[bracket] == '(' && s[bracket - 1] == ' ' && s.substr(bracket, unnamed.size()) != unnamed)) {
    h.path = s;
    return h;
  }
  for (std::size_t i = 0; i < s.size();) {
    const char c = s[i];
    if (c == ' ') {                          // what stood before was the type it returns
      const bool before_parameters = i + 1 < s.size() && s[i + 1] == '(' && s.substr(i + 1, unnamed.size()) != unnamed;
      if (!before_parameters && !h.path.ends_with("operator")) h.path.clear(), h.arguments.clear();
      ++i;
    } else if (c == '(') {
      if (s.substr(i, unnamed.size()) == unnamed) {
        i = behind_group(s, i);
        if (s.substr(i, 2) == "::") i += 2;
      } else if (h.path.ends_with("operator") && s.substr(i, 2) == "()") {
        i += 2;
      } else {
        h.end = i;
        return h;
      }
    } else if (c == '<') {
      const std::size_t stop = behind_group(s, i);
      if (stop > i + 2) h.arguments.push_back(s.substr(i + 1, stop - i - 2));
      i = stop;
    } else if (c == '{') {
      i = behind_group(s, i);
    } else {
      h.path += c;
      ++i;
    }
  }
  return h;
}

// f(argument) for each at the outermost level of what stands between < and >.
template <class F>
void each_argument(std::string_view s, F&& f) {
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= s.size();) {
    if (i == s.size() || s[i] == ',') {
      f(text::trim(s.substr(begin, i - begin)));
      begin = ++i;
    } else if (s[i] == '(' || s[i] == '<' || s[i] == '{' || s[i] == '[') {
      i = behind_group(s, i);
    } else {
      ++i;
    }
  }
}

// Functions and functors that only carry another one: what they are for stands in their template arguments. PyTorch, CUTLASS 2 and 3,
// composable_kernel, cub, rocprim, thrust.
inline constexpr std::string_view carriers[] = {
    "device_kernel", "Kernel", "Kernel2", "kentry", "trampoline_kernel", "reduce_kernel", "multi_tensor_apply_kernel", "_kernel_agent", "kernel_agent",
    "static_kernel", "gpu_kernel_impl", "gpu_kernel_impl_nocast", "BinaryFunctor", "AUnaryFunctor", "BUnaryFunctor", "ReduceOp", "func_wrapper_t",
};
inline bool is_carrier(std::string_view function) {
  for (const std::string_view c : carriers)
    if (function == c) return true;
  return function.find("elementwise_kernel") != std::string_view::npos || function.starts_with("enable_");
}

inline bool is_plain_type(std::string_view t) {
  for (const std::string_view p : {"float", "double", "int", "unsigned", "long", "short", "char", "bool", "true", "false", "signed"})
    if (t.starts_with(p) && (t.size() == p.size() || !is_identifier(t[p.size()]))) return true;
  return t.empty() || t == "void" || text::is_digit(t.front()) || t.front() == '-' || t.front() == '&' || (t.front() == '(' && !t.starts_with(unnamed));
}

// f(head) for each function or functor that the carrier `h` carries, to a depth of six carriers.
template <class F>
void each_carried(const head& h, int depth, F&& f) {
  if (depth == 0 || h.arguments.empty()) return;
  int left = 16;
  each_argument(h.arguments.back(), [&](std::string_view argument) {
    if (is_plain_type(argument) || left-- <= 0) return;
    const head inner = head_of(argument);
    f(inner);
    if (is_carrier(inner.last())) each_carried(inner, depth - 1, f);
  });
}

// What can be read of an Itanium name that the demangler cannot read: the identifiers up to the template arguments (for a carrier, those of
// its first argument too), and the others.
inline void words_of_mangled(std::string_view s, symbol_words& w) {
  std::string* out = &w.function;
  bool carried = false, carrier = false;
  for (std::size_t i = 2; i < s.size();) {
    const char c = s[i];
    if (c == 'I') {
      if (carrier && !carried) carried = true, append_break(w.function);
      else if (!w.function.empty()) out = &w.arguments;
      ++i;
    } else if (c == 'L' && i + 1 < s.size() && is_lower(s[i + 1])) {     // a value: Li128E, Lb1E
      i = (std::min)(s.find('E', i), s.size() - 1) + 1;
    } else if (c == 'S' || (c == 'D' && i + 1 < s.size() && s[i + 1] == 'F')) {   // said before: S_, S1f_; DF16b, DF16_
      i += c == 'D' ? 2 : 1;
      while (i < s.size() && (text::is_digit(s[i]) || (c == 'S' && is_upper(s[i]) && s[i] != 'N'))) ++i;
    } else if (text::is_digit(c)) {
      std::size_t n = 0;
      while (i < s.size() && text::is_digit(s[i]) && n < name_limit) n = n * 10 + static_cast<std::size_t>(s[i++] - '0');
      if (n == 0 || n > s.size() - i || !is_identifier(s[i]) || text::is_digit(s[i])) continue;
      const std::string_view word = s.substr(i, n);
      if (!word.starts_with("_GLOBAL_")) append_words(*out, word);
      if (out == &w.function && !carried) carrier = is_carrier(word);
      i += n;
    } else {
      ++i;
    }
  }
}

inline std::string collapsed(std::string_view s) {
  std::string out;
  out.reserve(s.size());
  for (const char c : s) {
    const bool blank = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!blank) out += c;
    else if (!out.empty() && out.back() != ' ') out += ' ';
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  // nsys' spelling of an anonymous namespace; its bare < would not balance.
  constexpr std::string_view theirs = "<unnamed>";
  for (std::size_t i = 0; (i = out.find(theirs, i)) != std::string::npos && out.size() + anonymous.size() <= name_limit;) out.replace(i, theirs.size(), anonymous);
  return out;
}

inline std::string_view without_kd(std::string_view s) {   // AMD's kernel descriptors
  if (s.ends_with(".kd")) s.remove_suffix(3);
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN std::string demangle(std::string_view raw) {
  std::string name(raw.substr(0, name_limit));
  const std::string_view plain = detail::without_kd(name);
  // Nesting costs the demangler stack: real names are far below this.
  constexpr std::size_t deepest = 4096;
  if (!plain.starts_with("_Z") || plain.size() > deepest || plain.find('\0') != std::string_view::npos) return name;
  // libstdc++ 12 does not know DF16b (std::bfloat16_t): De, another type of one token, stands in for it. If the letters were part of an
  // identifier, its length is wrong now and the name stays mangled.
  std::string mangled;
  bool replaced = false;
  for (std::size_t i = 0; i < plain.size();) {
    const bool bf16 = plain.substr(i, 5) == "DF16b";
    mangled += bf16 ? std::string_view("De") : plain.substr(i, 1);
    replaced = replaced || bf16;
    i += bf16 ? 5 : 1;
  }
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return name;
  std::string read(text);
  std::free(text);
  constexpr std::string_view stand_in = "decimal128";
  for (std::size_t i = 0; replaced && (i = read.find(stand_in, i)) != std::string::npos;) read.replace(i, stand_in.size(), "std::bfloat16_t");
  return status == 0 && read.size() <= name_limit ? read : name;
}

HOTPATH_FN std::string canonical_name(std::string_view raw) {
  std::string s = detail::collapsed(demangle(raw));
  // The parameter list, where there is one and only qualifiers or a clone suffix follow it.
  const detail::head h = detail::head_of(s);
  if (h.end < s.size()) {
    const std::string_view rest = text::trim(std::string_view(s).substr(detail::behind_group(s, h.end)));
    if (s.back() != ',' && (rest.empty() || rest == "const" || rest.starts_with("[clone")) && h.end > 0 && s.find(')', h.end) != std::string::npos) s.resize(h.end);
    if (!s.empty() && s.back() == ' ') s.pop_back();
  }
  std::size_t at = 0;
  while ((at = s.find("0x", at)) != std::string::npos) {
    std::size_t stop = at + 2;
    while (stop < s.size() && detail::is_hex(s[stop])) ++stop;
    const bool alone = (at == 0 || !detail::is_alnum(s[at - 1])) && (stop == s.size() || !detail::is_alnum(s[stop]));
    if (alone && stop - at >= 8) s.replace(at, stop - at, "0xADDR"), at += 6;
    else at = stop;
  }
  return s;
}

HOTPATH_FN symbol_words words_of(std::string_view raw) {
  symbol_words w;
  const std::string s = detail::collapsed(demangle(raw));
  if (s.starts_with("_Z") && s.size() > 2 && (text::is_digit(s[2]) || s[2] == 'N')) {
    detail::words_of_mangled(s, w);
    return w;
  }
  const detail::head h = detail::head_of(detail::without_kd(s));
  detail::append_words(w.function, h.path);
  if (detail::is_carrier(h.last())) {
    detail::each_carried(h, 6, [&](const detail::head& inner) {
      detail::append_break(w.function);
      detail::append_words(w.function, inner.path);
    });
  }
  for (const std::string_view a : h.arguments) {
    detail::append_break(w.arguments);
    detail::append_words(w.arguments, a);
  }
  detail::append_break(w.arguments);
  detail::append_words(w.arguments, std::string_view(s).substr((std::min)(h.end, s.size())));
  return w;
}

HOTPATH_FN bool match_words(std::string_view function_words, std::string_view words) {
  const std::string_view s = function_words;
  for (std::size_t begin = 0; begin < s.size(); ++begin) {
    if ((begin > 0 && s[begin - 1] != ' ') || s[begin] == ' ' || s[begin] == '|') continue;
    std::size_t at = begin;
    bool any = false, fits = true;
    for (std::size_t i = 0; i < words.size() && fits;) {
      if (!detail::is_alnum(words[i])) {
        ++i;
        continue;
      }
      while (at < s.size() && s[at] == ' ') ++at;                        // a word of ours begins where one of the name's does
      std::size_t stop = i;
      while (stop < words.size() && words[stop] != ' ') ++stop;
      bool digits = false;
      for (; i < stop && fits; ++i) {
        if (!detail::is_alnum(words[i])) continue;                       // rms_norm is rmsnorm
        while (at < s.size() && s[at] == ' ') ++at;
        fits = at < s.size() && s[at] == text::to_lower(words[i]);
        digits = text::is_digit(words[i]);
        if (fits) ++at, any = true;
      }
      while (fits && !digits && at < s.size() && text::is_digit(s[at])) ++at;
      fits = fits && (at == s.size() || s[at] == ' ');
    }
    if (any && fits) return true;
  }
  return false;
}

HOTPATH_FN bool has_token_sequence(std::string_view raw, std::string_view words) { return match_words(words_of(raw).function, words); }

HOTPATH_FN std::vector<std::string_view> fused_ops(std::string_view raw) {
  // Operators with a '_' inside (aten, prims, and those of engines that stand in such names).
  static constexpr std::string_view known[] = {
      "_to_copy", "_unsafe_view", "_unsafe_index", "_unsafe_index_put", "_softmax", "_softmax_backward_data", "_log_softmax", "_log_softmax_backward_data", "_scaled_mm",
      "_scaled_dot_product_flash_attention", "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention", "_native_batch_norm_legit",
      "_native_batch_norm_legit_functional", "_native_batch_norm_legit_no_training", "_fused_rms_norm", "_adaptive_avg_pool2d", "_fused_moe",
      "native_layer_norm", "native_layer_norm_backward", "native_batch_norm", "native_batch_norm_backward", "native_group_norm", "native_group_norm_backward",
      "native_dropout", "native_dropout_backward", "rms_norm", "fused_add_rms_norm", "layer_norm", "constant_pad_nd", "index_select", "index_put", "index_add", "index_copy",
      "masked_fill", "masked_scatter", "bitwise_and", "bitwise_or", "bitwise_not", "bitwise_xor", "logical_and", "logical_or", "logical_not", "new_zeros", "new_ones",
      "new_full", "new_empty", "zeros_like", "ones_like", "full_like", "empty_like", "max_pool2d_with_indices", "max_pool2d_with_indices_backward", "avg_pool2d",
      "convolution_backward", "threshold_backward", "gelu_backward", "silu_backward", "tanh_backward", "sigmoid_backward", "embedding_dense_backward", "scatter_add",
      "select_scatter", "slice_scatter", "select_backward", "slice_backward", "as_strided", "repeat_interleave", "floor_divide", "clamp_min", "clamp_max", "view_as_real",
      "view_as_complex", "split_with_sizes", "moe_forward", "moe_forward_shared", "nll_loss_forward", "nll_loss_backward", "unified_attention",
      "unified_attention_with_output", "rotary_embedding", "silu_and_mul", "scaled_fp8_quant", "static_scaled_fp8_quant", "dynamic_scaled_fp8_quant", "all_reduce",
      "all_gather_into_tensor", "reduce_scatter_tensor", "wait_tensor", "upsample_nearest2d", "convert_element_type", "mse_loss", "linalg_vector_norm", "flex_attention", "flex_attention_backward", "flex_decoding", "var_mean",
  };
  std::vector<std::string_view> ops;
  std::string_view s = raw.substr(0, name_limit);
  if (!s.starts_with("triton_")) return ops;
  const std::size_t fused = s.find("_fused", 7);
  if (fused == std::string_view::npos || fused > 7 + 8) return ops;      // a kind is a few letters
  s.remove_prefix(fused + 6);
  if (!s.empty() && s.front() != '_') return ops;
  if (!s.empty()) s.remove_prefix(1);
  std::size_t digits = s.size();
  while (digits > 0 && text::is_digit(s[digits - 1])) --digits;
  if (digits < s.size() && (digits == 0 || s[digits - 1] == '_')) s = s.substr(0, digits == 0 ? 0 : digits - 1);
  while (!s.empty()) {
    std::size_t n = 0;
    for (const std::string_view k : known)
      if (k.size() > n && s.starts_with(k) && (s.size() == k.size() || s[k.size()] == '_')) n = k.size();
    if (n == 0) n = (std::min)(s.find('_', s.front() == '_' ? 1 : 0), s.size());
    ops.push_back(s.substr(0, n));
    s.remove_prefix((std::min)(n + 1, s.size()));
  }
  return ops;
}

namespace detail {

// At most `max` bytes: the beginning, and the end, where kernels of one function differ.
inline std::string fitted(std::string_view s, std::size_t max) {
  if (s.size() <= max) return std::string(s);
  const std::size_t tail = max / 5, lead = max - tail - 2;
  std::string out(s.substr(0, lead));
  return out.append("..").append(s.substr(s.size() - tail));
}

inline std::string_view short_type(std::string_view t) {
  static constexpr std::string_view names[][2] = {
      {"BFloat16", "bf16"}, {"bfloat16_t", "bf16"}, {"__nv_bfloat16", "bf16"}, {"__hip_bfloat16", "bf16"}, {"__bf16", "bf16"}, {"Half", "fp16"}, {"half_t", "fp16"},
      {"__half", "fp16"}, {"float", "fp32"}, {"double", "fp64"}, {"Float8_e4m3fn", "e4m3"}, {"float_e4m3_t", "e4m3"}, {"__nv_fp8_e4m3", "e4m3"},
      {"__hip_fp8_e4m3", "e4m3"}, {"__hip_fp8_e4m3_fnuz", "e4m3"}, {"Float8_e4m3fnuz", "e4m3"}, {"float_e5m2_t", "e5m2"}, {"Float8_e5m2", "e5m2"},
  };
  const std::size_t i = t.rfind("::");
  const std::string_view last = t.substr(i == std::string_view::npos ? 0 : i + 2);
  for (const auto& n : names)
    if (last == n[0]) return n[1];
  return {};
}

// "64x128x192" of cute::tuple<cute::C<64>, cute::C<128>, cute::C<192>>; empty if it is none.
inline std::string tile_of(const head& h) {
  std::string out;
  if ((h.last() != "tuple" && h.last() != "GemmShape" && h.last() != "sequence") || h.arguments.empty()) return out;
  bool numbers = true;
  each_argument(h.arguments.back(), [&](std::string_view a) {
    const head inner = head_of(a);
    if (inner.last() == "C" && !inner.arguments.empty()) a = inner.arguments.back();
    numbers = numbers && !a.empty() && text::is_digit(a.front());
    out.append(out.empty() ? "" : "x").append(a.substr(0, 8));
  });
  return numbers ? out : std::string();
}

// The whole numbers among the arguments, without suffixes: at most `count`, joined.
inline std::string numbers_of(const head& h, int count, std::string_view joint) {
  std::string out;
  if (h.arguments.empty()) return out;
  each_argument(h.arguments.back(), [&](std::string_view a) {
    if (a.starts_with("(int)")) a.remove_prefix(5);                      // nsys writes the type
    if (a.empty() || !text::is_digit(a.front()) || a == "0" || count-- <= 0) return;
    std::size_t n = 0;
    while (n < a.size() && n < 12 && text::is_digit(a[n])) ++n;
    out.append(out.empty() ? std::string_view() : joint).append(a.substr(0, n));
  });
  return out;
}

// Functor, types and tiles, in their order, each once. Traits stand for their numbers, mainloops for the tile and types inside.
inline void append_facts(const head& h, int depth, std::string& out, std::size_t max) {
  if (depth == 0 || h.arguments.empty()) return;
  each_argument(h.arguments.back(), [&](std::string_view a) {
    if (out.size() > max || a.empty() || (is_plain_type(a) && short_type(a).empty() && a.front() != '&')) return;
    if (a.front() == '&') a.remove_prefix(1);
    const head inner = head_of(a);
    std::string fact(short_type(inner.path));
    if (fact.empty()) fact = tile_of(inner);
    if (fact.empty() && is_plain_type(a)) return;
    if (fact.empty() && (is_carrier(inner.last()) || inner.last().starts_with("Collective"))) return append_facts(inner, depth - 1, out, max);
    if (fact.empty() && inner.last().find("raits") != std::string_view::npos) {
      fact = numbers_of(inner, 3, "x");
      if (fact.empty()) return append_facts(inner, depth - 1, out, max);
    }
    if (fact.empty()) {
      fact = inner.last();
      if (fact == "operator") fact = head_of(std::string_view(inner.path).substr(0, inner.path.size() - (std::min)(inner.path.size(), std::size_t{10}))).last();
      for (const std::string_view noise : {"array", "Array", "tuple", "TrivialOffsetCalculator", "LoadWithoutCast", "StoreWithoutCast", "LoadWithCast", "StoreWithCast",
                                           "OffsetCalculator", "TensorListMetadata", "type", "C", "decltype", "identity"})
        if (fact == noise) return;
      if (fact.starts_with("Mainloop") || fact.ends_with("Params") || fact.ends_with("Policy")) return;
    }
    const std::string wrapped = "," + out + ",", wanted = "," + fact + ",";
    if (wrapped.find(wanted) == std::string::npos) out.append(out.empty() ? "" : ",").append(fact);
  });
}

inline std::string short_tensile(std::string_view s) {
  std::string out;
  std::string_view rest = s;
  for (int fields = 0; fields < 5 && !rest.empty(); ++fields) {
    const std::string_view field = text::take(rest, '_');
    if (field.starts_with("MT") || field == "Bias" || field == "HA" || field == "HAS" || field == "UserArgs" || field == "AS" || field == "SAV") break;
    out.append(out.empty() ? "" : "_").append(field);
  }
  const std::size_t tile = s.find("_MT");
  if (tile != std::string_view::npos) out.append(" ").append(s.substr(tile + 1, s.find('_', tile + 1) - tile - 1));
  return out;
}

inline std::string short_triton(std::string_view s) {
  static constexpr std::string_view layout[] = {"view", "_unsafe_view", "clone", "expand", "permute", "t", "slice", "split", "unsqueeze", "squeeze",
                                                "transpose", "select", "detach", "alias", "split_with_sizes"};
  std::string out(s.substr(0, s.find("_fused")));
  const auto ops = fused_ops(s);
  std::string list;
  for (int pass = 0; pass < 2 && list.empty(); ++pass)                   // layout operators only where there is nothing else
    for (const std::string_view op : ops) {
      bool moves = false;
      for (const std::string_view l : layout) moves = moves || op == l;
      if (pass == 1 || !moves) list.append(list.empty() ? "" : " ").append(op);
    }
  if (!list.empty()) out.append("[").append(list).append("]");
  std::size_t digits = s.size();
  while (digits > 0 && text::is_digit(s[digits - 1])) --digits;
  if (digits < s.size()) out.append("#").append(s.substr(digits));
  return out;
}

}  // namespace detail

HOTPATH_FN std::string short_name(std::string_view raw, std::size_t max) {
  if (max < 16) max = 16;
  const std::string s = canonical_name(raw);
  std::string_view plain = detail::without_kd(s);
  if (plain.starts_with("void ")) plain.remove_prefix(5);
  if (s.starts_with("Cijk_")) return detail::fitted(detail::short_tensile(plain), max);
  if (s.starts_with("triton_") && s.find("_fused") != std::string::npos) return detail::fitted(detail::short_triton(plain), max);
  if (s.starts_with("_Z")) {                                             // unreadable: the last identifier of its path
    const symbol_words w = words_of(s);
    std::string words = w.function;
    for (char& c : words) if (c == ' ' || c == '|') c = '_';
    const std::size_t from = words.find_first_not_of('_'), to = words.find_last_not_of('_');
    if (from != std::string::npos) return detail::fitted(std::string_view(words).substr(from, to - from + 1), max);
  }
  detail::head h = detail::head_of(plain);
  for (int depth = 0; depth < 4; ++depth) {                              // cutlass::device_kernel<enable_sm90<X>> is X
    const std::string_view last = h.last();
    if (last != "Kernel" && last != "Kernel2" && last != "device_kernel" && last != "kentry" && !last.starts_with("enable_")) break;
    std::string_view inside;
    if (!h.arguments.empty())
      detail::each_argument(h.arguments.back(), [&](std::string_view a) { if (inside.empty() && !detail::is_plain_type(a)) inside = a; });
    if (inside.empty()) break;
    h = detail::head_of(inside);
  }
  if (h.arguments.empty() && h.path.find("::") == std::string::npos && !h.path.empty() && h.end == plain.size()) return detail::fitted(plain, max);
  std::string out(h.last());
  // A name that says little keeps the one before it: gemvx::kernel, fp8_ptp128c::GemmKernel.
  for (const std::string_view vague : {"kernel", "Kernel", "Kernel2", "GemmKernel", "run", "apply", "type", "operator", "device_kernel", "kentry", "dispatch", "combine"}) {
    if (out != vague || out.size() == h.path.size()) continue;
    const std::string_view before = std::string_view(h.path).substr(0, h.path.size() - out.size() - 2);
    const std::size_t i = before.rfind("::");
    out.insert(0, "::").insert(0, before.substr(i == std::string_view::npos ? 0 : i + 2));
    break;
  }
  std::string facts;
  detail::append_facts(h, 6, facts, max);
  if (facts.empty()) facts = detail::numbers_of(h, 4, ",");
  if (!facts.empty()) {
    if (out.size() + facts.size() + 2 > max && out.size() + 10 < max) {
      facts.resize(max - out.size() - 4);
      facts += "..";
    }
    out.append("<").append(facts).append(">");
  }
  return detail::fitted(out, max);
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
