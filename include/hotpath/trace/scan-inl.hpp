// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/scan-inl.hpp - bodies of scan.hpp.
#pragma once
#include <hotpath/trace/scan.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

HOTPATH_FN bool mend(std::string& e, std::size_t fault, unsigned& tries) {
  if (++tries > 32 || fault >= e.size()) return false;
  // A number as C's printf or Python writes what is none.
  std::size_t end = fault;
  if (e[end] == '-') ++end;
  while (end < e.size() && ((e[end] | 0x20) >= 'a' && (e[end] | 0x20) <= 'z')) ++end;
  std::size_t begin = fault;
  if (end == fault && begin != 0 && e[begin - 1] == '-') --begin;  // the reader stops behind the sign
  while (begin != 0 && e[begin - 1] == '-') --begin;
  std::string_view word(e.data() + begin, end - begin);
  if (word.starts_with('-')) word.remove_prefix(1);
  for (const std::string_view none : {"nan", "NaN", "inf", "Inf", "Infinity", "infinity"})
    if (word == none) {
      e.replace(begin, end - begin, end - begin, ' ');
      e[begin] = e[begin + 1] = '"';
      return true;
    }
  // A string that seems to end at a quote, but neither a comma nor a bracket follows: the quote belongs to it.
  std::size_t quote = fault;
  while (quote != 0 && is_white(e[quote - 1])) --quote;
  if (quote < 2 || e[quote - 1] != '"' || e[fault] == ',' || e[fault] == '}') return false;
  e.insert(quote - 1, 1, '\\');
  return true;
}

HOTPATH_FN bool read_time(json::reader& in, nanoseconds& out) {
  std::int64_t ns = 0;
  if (in.peek() == json::kind::number) {
    if (!in.scaled(ns, 3)) return false;
  } else {
    std::string_view text;
    if (!in.string(text)) return false;
    json::reader number(text);
    if (!number.scaled(ns, 3) || !number.finish()) return false;
  }
  out = nanoseconds{ns};
  return true;
}

HOTPATH_FN void count_text_limit(model::timeline& losses, const read_options& options) {
  std::string note = "the text is longer than ";
  note.append(std::to_string(options.text)).append(" bytes, the rest was left out");
  for (model::trace_loss& l : losses.lost)
    if (l.fault == model::trace_fault::truncated) return void(l.note = std::move(note));
  losses.count(model::trace_fault::truncated, options.text, std::move(note));
}

HOTPATH_FN error no_events(const scanned& about) {
  error e{.code = errc::malformed, .detail = "there is no list traceEvents"};
  std::string keys;
  for (const std::string& k : about.keys) {
    if (keys.size() > 400) {
      keys += ", ...";
      break;
    }
    keys.append(keys.empty() ? "" : ", ").append(k);
  }
  e.detail.append(keys.empty() ? "; the root has no key" : "; the root has the keys ").append(keys);
  e.hint = "want the JSON that torch.profiler's export_chrome_trace writes";
  return e;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
