// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/file_name-inl.hpp - bodies of file_name.hpp.
#pragma once
#include <hotpath/trace/file_name.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The number behind `word` in `name`, at most six digits, between word boundaries.
constexpr std::optional<int> number_behind(std::string_view name, std::string_view word, bool separator_allowed) {
  for (std::size_t i = 0; i + word.size() < name.size(); ++i) {
    if (!text::starts_with_ignoring_case(name.substr(i), word) || (i != 0 && (is_letter(name[i - 1]) || text::is_digit(name[i - 1])))) continue;
    std::size_t at = i + word.size();
    if (separator_allowed && (name[at] == '-' || name[at] == '_')) ++at;
    int n = 0;
    std::size_t digits = 0;
    for (; at < name.size() && digits < 7 && text::is_digit(name[at]); ++at, ++digits) n = n * 10 + (name[at] - '0');
    if (digits != 0 && digits < 7 && (at == name.size() || !is_letter(name[at]))) return n;
  }
  return std::nullopt;
}

constexpr model::stage stage_word(std::string_view word) {
  if (text::equal_ignoring_case(word, "extend") || text::equal_ignoring_case(word, "prefill")) return model::stage::prefill;
  return text::equal_ignoring_case(word, "decode") ? model::stage::decode : model::stage::all;
}
}  // namespace detail

HOTPATH_FN std::optional<int> rank_of_name(std::string_view path) {
  const std::string_view name = base_name(path);
  for (const std::string_view word : {"rank", "tp", "worker"})
    if (const auto n = detail::number_behind(name, word, word != "worker")) return n;
  return std::nullopt;
}

HOTPATH_FN model::stage stage_of_name(std::string_view path) {
  const std::string_view name = base_name(path);
  model::stage found = model::stage::all;
  bool both = false;
  std::string_view before;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t end = i;
    while (end < name.size() && detail::is_letter(name[end])) ++end;
    const std::string_view word = name.substr(i, end - i);
    const model::stage s = text::equal_ignoring_case(before, "no") || text::equal_ignoring_case(before, "without") ? model::stage::all : detail::stage_word(word);
    if (s != model::stage::all) both = both || (found != model::stage::all && found != s), found = s;
    if (!word.empty()) before = word;
    i = end + 1;
  }
  if (found != model::stage::all) return both ? model::stage::all : found;
  std::string_view folder = path.substr(0, path.size() - name.size());
  for (int level = 0; level < 3 && !folder.empty(); ++level) {
    folder.remove_suffix(1);  // its slash
    const std::string_view last = base_name(folder);
    if (const model::stage s = detail::stage_word(last); s != model::stage::all) return s;
    folder.remove_suffix(last.size());
  }
  return model::stage::all;
}

HOTPATH_FN std::string_view process_of_pid(std::string_view pid) {
  const auto close = pid.find("] ");
  if (!pid.starts_with('[') || close == std::string_view::npos || close > 64) return {};
  const std::string_view label = pid.substr(1, close - 1);
  std::string_view left = label;
  if (left.ends_with(" no rank")) left.remove_suffix(8);
  for (;;) {
    std::size_t end = 2;
    while (end < left.size() && text::is_digit(left[end])) ++end;
    if (end <= 2 || left[1] != 'P' || std::string_view("TDPEN").find(left[0]) == std::string_view::npos) return {};
    if (end == left.size()) return label;
    if (left[end] != '-') return {};
    left.remove_prefix(end + 1);
  }
}

HOTPATH_FN bool is_trace_name(std::string_view path) {
  const std::string name = text::lower(base_name(path));
  for (const std::string_view ending : {".json", ".json.gz", ".json.gzip", ".sqlite", ".nsys-rep", ".json.zst", ".json.zip", ".pftrace", ".perfetto-trace"})
    if (name.ends_with(ending)) return true;
  return name.find(".trace.json") != std::string::npos;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
