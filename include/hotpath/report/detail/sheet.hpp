// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/sheet.hpp - a table before it is a page: cells as plain text, printed by a terminal, Markdown or HTML. Not for users.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/report/detail/page.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

// number: at the right; word: ours; name: a kernel, cut in its middle; path: cut at its front; prose: a sentence, may be text of others.
enum class cell_kind : std::uint8_t { number, word, name, path, prose };

struct sheet {
  struct column {
    std::string_view title;
    cell_kind kind = cell_kind::word;
  };
  std::vector<column> columns;
  std::vector<std::vector<std::string>> rows;
  std::string placeholder;               // said where there are no rows
  std::vector<std::string> tips;         // by row: more about its first name, where a page can show it on demand
};

// At most `columns` columns of a clean text, "…" where something is left out: `head` percent of what fits is its beginning.
inline std::string cut(std::string_view s, std::size_t columns, std::size_t head, bool ascii) {
  const std::string_view gap = ascii ? ".." : "\u2026";
  const std::size_t gap_columns = ascii ? 2 : 1;
  if (columns_of(s) <= columns) return std::string(s);
  if (columns <= gap_columns) return std::string(gap);
  const std::size_t room = columns - gap_columns, front = room * head / 100, back = room - front;
  std::size_t i = 0, used = 0;
  while (i < s.size()) {
    const glyph g = glyph_at(s, i);
    if (used + g.columns > front) break;
    i += g.bytes, used += g.columns;
  }
  std::size_t k = i, rest = columns_of(s.substr(i));
  while (k < s.size() && rest > back) {
    const glyph g = glyph_at(s, k);
    k += g.bytes, rest -= g.columns;
  }
  return std::string(s.substr(0, i)).append(gap).append(s.substr(k));
}

// Rows on a terminal: the chosen columns in that order, as wide as their cells; names and paths give way until a row fits. `below[i]`: what
// stands under row i. Cells and notes are cleaned here.
inline void print_sheet(page& p, const sheet& t, const std::vector<std::size_t>& chosen, const std::vector<std::vector<std::string>>& below = {}) {
  constexpr std::size_t gap = 2, left = 2, least = 24;
  std::vector<std::vector<std::string>> cells(t.rows.size());
  std::vector<std::size_t> width;
  for (const std::size_t c : chosen) width.push_back(columns_of(t.columns[c].title));
  for (std::size_t r = 0; r < t.rows.size(); ++r)
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      cells[r].push_back(p.clean(t.rows[r][chosen[i]]));
      if (const std::size_t n = columns_of(cells[r][i]); n > width[i]) width[i] = n;
    }
  std::size_t all = left;
  for (const std::size_t w : width) all += w + gap;
  // The widest gives way: first of names, paths and prose, then of all, should a word be a hostile one.
  for (const bool words_too : {false, true})
    for (; all - gap > p.width(); --all) {
      std::size_t widest = chosen.size();
      for (std::size_t i = 0; i < chosen.size(); ++i)
        if ((words_too || t.columns[chosen[i]].kind >= cell_kind::name) && width[i] > (words_too ? 4 : least) && (widest == chosen.size() || width[i] > width[widest])) widest = i;
      if (widest == chosen.size()) break;
      --width[widest];
    }
  const auto line = [&](const auto& cell_of, bool head) {
    p.raw(std::string(left, ' '));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const cell_kind k = t.columns[chosen[i]].kind;
      const std::string shown = cut(cell_of(i), width[i], k == cell_kind::path ? 0 : k == cell_kind::name ? 60 : 100, p.ascii());
      if (k == cell_kind::number) p.right(shown, width[i], head ? style::dim : style::plain);
      else p.left(shown, width[i], head ? style::dim : style::plain);
      if (i + 1 < chosen.size()) p.raw(std::string(gap, ' '));
    }
    p.end_line();
  };
  if (!t.rows.empty()) line([&](std::size_t i) { return t.columns[chosen[i]].title; }, true);
  for (std::size_t r = 0; r < cells.size(); ++r) {
    line([&](std::size_t i) -> std::string_view { return cells[r][i]; }, false);
    if (r < below.size())
      for (const std::string& note : below[r]) p.labelled("", left + 4, p.clean(note, 2048), style::dim);
  }
  if (t.rows.empty() && !t.placeholder.empty()) p.labelled("", left, p.clean(t.placeholder, 1024), style::dim);
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
