// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/sheet.hpp - a table before it is a page: cells as plain text, printed by a terminal, Markdown or HTML. Not for users.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/sort.hpp>
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
  std::size_t fixed = 0;                 // of the columns, those in front that programs look for: Markdown has them even if they are empty

  // A row has something to say in this column; without rows all columns do.
  bool says(std::size_t at) const {
    for (const auto& row : rows)
      if (!row[at].empty() && row[at] != "\u2013" && row[at] != "-") return true;
    return rows.empty();
  }
};

// At most `columns` columns of a clean text, "…" where something is left out: `head` percent of what fits is its beginning. Of a path (0 percent)
// what is shown begins at a '/', where one is near.
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
  if (const std::size_t slash = s.find('/', k); head == 0 && slash != std::string_view::npos && slash - k <= (s.size() - k) / 2) k = slash;
  return std::string(s.substr(0, i)).append(gap).append(s.substr(k));
}

// Of the columns `shown`, in their order, those that say something and stand side by side. While they do not, the first of `leaving` goes. A
// name gives way down to `share` columns, every other cell wants its whole width: what goes is for the line below the row.
inline std::vector<std::size_t> fitting(const page& p, const sheet& t, const std::vector<std::size_t>& shown, const std::vector<std::size_t>& leaving, std::size_t share) {
  std::vector<std::size_t> out, width(t.columns.size());
  std::size_t all = 0;
  for (const std::size_t c : shown) {
    if (!t.says(c)) continue;
    std::size_t& w = width[c] = columns_of(t.columns[c].title);
    for (const auto& row : t.rows)
      if (const std::size_t n = columns_of(p.clean(row[c])); n > w) w = n;
    if (t.columns[c].kind == cell_kind::name && w > share) w = share;
    out.push_back(c), all += 2 + w;
  }
  for (std::size_t i = 0; i < leaving.size() && all > p.width(); ++i)
    for (std::size_t k = 0; k < out.size(); ++k)
      if (out[k] == leaving[i]) {
        all -= 2 + width[out[k]], out.erase(out.begin() + static_cast<std::ptrdiff_t>(k));
        break;
      }
  return out;
}
inline bool has(const std::vector<std::size_t>& columns, std::size_t column) {
  for (const std::size_t c : columns)
    if (c == column) return true;
  return false;
}

// Which percent of a name stands in front of the gap: 60, but where names of two rows would look alike what tells most of them apart.
inline std::size_t head_of_names(const std::vector<std::vector<std::string>>& cells, std::size_t column, std::size_t width, bool ascii) {
  const auto distinct = [&](std::size_t room, std::size_t head) {
    std::vector<std::string> all;
    for (const auto& row : cells) all.push_back(cut(row[column], room, head, ascii));
    sort_in_place(all, [](const std::string& a, const std::string& b) { return a < b; });
    std::size_t n = 0;
    for (std::size_t i = 0; i < all.size(); ++i) n += i == 0 || all[i] != all[i - 1] ? 1u : 0u;
    return n;
  };
  std::size_t best = 60, most = distinct(width, best);
  const std::size_t want = distinct(SIZE_MAX, 0);
  for (const std::size_t head : {30u, 85u, 45u, 75u, 0u, 100u})
    if (most < want)
      if (const std::size_t n = distinct(width, head); n > most) best = head, most = n;
  return best;
}

// Rows on a terminal: the chosen columns in that order, as wide as their cells; names and paths give way until a row fits. `below[i]`: what
// stands under row i. Cells and notes are cleaned here.
inline void print_sheet(page& p, const sheet& t, const std::vector<std::size_t>& chosen, const std::vector<std::vector<std::string>>& below = {}) {
  constexpr std::size_t gap = 2, left = 2, least = 24;
  std::vector<std::vector<std::string>> cells(t.rows.size());
  std::vector<std::size_t> width, head;
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
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const cell_kind k = t.columns[chosen[i]].kind;
    head.push_back(k == cell_kind::path ? 0 : k == cell_kind::name ? head_of_names(cells, i, width[i], p.ascii()) : 100);
  }
  const auto line = [&](const auto& cell_of, bool title) {
    p.raw(std::string(left, ' '));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      const std::string shown = cut(cell_of(i), width[i], head[i], p.ascii());
      if (t.columns[chosen[i]].kind == cell_kind::number) p.right(shown, width[i], title ? style::dim : style::plain);
      else p.left(shown, width[i], title ? style::dim : style::plain);
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
