// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/words.hpp - a name split into words, for kernel/name and kernel/family.
#pragma once
#include <string>
#include <string_view>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

constexpr bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool is_alnum(char c) { return is_lower(c) || is_upper(c) || text::is_digit(c); }
constexpr bool is_identifier(char c) { return is_alnum(c) || c == '_'; }

// The words of `s` behind what `out` holds, lower case, each between single blanks.
inline void append_words(std::string& out, std::string_view s) {
  const auto blank = [&] { if (out.empty() || out.back() != ' ') out += ' '; };
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i], before = i > 0 ? s[i - 1] : '\0', next = i + 1 < s.size() ? s[i + 1] : '\0';
    if (!is_alnum(c)) {
      blank();
      continue;
    }
    const bool letter = !text::is_digit(c);
    if ((letter && text::is_digit(before)) || (is_upper(c) && (is_lower(before) || (is_upper(before) && is_lower(next))))) blank();
    if (out.empty()) out += ' ';
    out += text::to_lower(c);
  }
  if (!out.empty()) blank();
}

// A bar: what follows is no neighbour of what was before.
inline void append_break(std::string& out) {
  if (!out.empty() && !out.ends_with("| ")) out += "| ";
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
