// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/kernel_labels-inl.hpp - bodies of report/detail/kernel_labels.hpp
#pragma once
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/report/detail/kernel_labels.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

namespace labels {

// Runs of bytes that are not in `separators`, without their namespaces.
inline std::vector<std::string_view> pieces_of(std::string_view s, std::string_view separators) {
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < s.size();) {
    const std::size_t begin = s.find_first_not_of(separators, i);
    if (begin == std::string_view::npos) break;
    i = s.find_first_of(separators, begin);
    if (i == std::string_view::npos) i = s.size();
    out.push_back(s.substr(begin, i - begin));
  }
  return out;
}
inline std::string_view without_scope(std::string_view s) {
  const std::size_t i = s.rfind("::");
  return i == std::string_view::npos ? s : s.substr(i + 2);
}

// Numbers the groups of names that are equal in their group so far (`group`) and in `text`; returns how many there are.
template <class Text>
std::size_t split_groups(std::vector<std::size_t>& group, const Text& text) {
  std::vector<std::size_t> order(group.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  sort_in_place(order, [&](std::size_t a, std::size_t b) {
    if (group[a] != group[b]) return group[a] < group[b];
    const int c = text(a).compare(text(b));
    return c != 0 ? c < 0 : a < b;
  });
  std::vector<std::size_t> now(group.size());
  std::size_t n = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i != 0 && (group[order[i]] != group[order[i - 1]] || text(order[i]) != text(order[i - 1]))) ++n;
    now[order[i]] = n;
  }
  group = std::move(now);
  return order.empty() ? 0 : n + 1;
}

inline std::vector<std::string> differences(const std::vector<std::string_view>& names, std::string_view separators, std::string_view joint, bool within) {
  constexpr std::size_t long_piece = 16, enough = 20;
  std::vector<std::vector<std::string_view>> pieces;
  std::size_t most = 0;
  bool aligned = true;
  for (const std::string_view n : names) {
    pieces.push_back(pieces_of(n, separators));
    aligned = aligned && pieces.back().size() == pieces.front().size();
    if (pieces.back().size() > most) most = pieces.back().size();
  }
  std::vector<std::string> all(names.size()), few(names.size());
  std::vector<std::size_t> group(names.size());
  std::vector<std::size_t> whole(names.size());
  const std::size_t want = split_groups(whole, [&](std::size_t i) { return names[i]; });
  std::size_t found = 1, widest = 0;
  for (std::size_t at = 0; at < most && (found < want || (aligned && widest <= enough)); ++at) {
    const auto piece = [&](std::size_t i) { return at < pieces[i].size() ? pieces[i][at] : std::string_view{}; };
    std::vector<std::string_view> here;
    bool differ = false, scoped = false, is_long = false;
    for (std::size_t i = 0; i < names.size(); ++i) {
      here.push_back(piece(i));
      differ = differ || here[i] != here[0];
      is_long = is_long || here[i].size() > long_piece;
      for (std::size_t k = 0; k < i && !scoped; ++k) scoped = here[i] != here[k] && without_scope(here[i]) == without_scope(here[k]);
    }
    if (!differ) continue;
    std::vector<std::string> shown;
    if (!within && is_long) shown = differences(here, "_", "_", true);
    else
      for (const std::string_view h : here) shown.emplace_back(scoped ? h : without_scope(h));
    const std::size_t now = split_groups(group, piece);
    for (std::size_t i = 0; i < names.size(); ++i) {
      for (std::string* out : {&all[i], &few[i]})
        if ((out == &all[i] || now > found) && !shown[i].empty()) out->append(out->empty() ? "" : joint).append(shown[i]);
      if (all[i].size() > widest) widest = all[i].size();
    }
    found = now;
  }
  return aligned && widest <= enough ? all : few;
}

}  // namespace labels

HOTPATH_FN std::vector<std::string> differences(const std::vector<std::string_view>& names) {
  std::vector<std::string_view> heads;
  for (const std::string_view n : names) heads.push_back(n.substr(0, 4096));
  return labels::differences(heads, "<>(), []{}&*", ",", false);
}

HOTPATH_FN void kernel_labels::add(std::string_view kernel, std::string_view short_name) { all_.push_back({kernel, std::string(short_name)}); }

HOTPATH_FN void kernel_labels::finish() {
  sort_in_place(all_, [](const entry& a, const entry& b) { return a.kernel != b.kernel ? a.kernel < b.kernel : a.label > b.label; });   // a name with a short one first
  std::size_t n = 0;
  for (std::size_t i = 0; i < all_.size(); ++i)
    if (n == 0 || all_[i].kernel != all_[n - 1].kernel) {
      if (n != i) all_[n] = std::move(all_[i]);
      ++n;
    }
  all_.resize(n);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < n; ++i) {
    if (all_[i].label.empty()) all_[i].label = kernel::short_name(all_[i].kernel);
    order.push_back(i);
  }
  sort_in_place(order, [&](std::size_t a, std::size_t b) { return all_[a].label != all_[b].label ? all_[a].label < all_[b].label : a < b; });
  for (std::size_t i = 0, end; i < n; i = end) {
    std::vector<std::string_view> names;
    for (end = i; end < n && all_[order[end]].label == all_[order[i]].label; ++end) names.push_back(all_[order[end]].kernel);
    if (names.size() == 1) continue;
    constexpr std::size_t most = 64;   // more are numbered: every two of a group are compared
    const std::vector<std::string> differ = names.size() <= most ? differences(names) : std::vector<std::string>(names.size());
    for (std::size_t k = 0; k < names.size(); ++k) {
      constexpr std::size_t room = 28;
      bool alone = differ[k].size() <= room;
      for (std::size_t j = 0; j < names.size() && alone; ++j) alone = j == k || differ[j] != differ[k];
      std::string& label = all_[order[i + k]].label;
      if (alone && differ[k].empty()) continue;   // the others have more
      if (alone) label.append(" [").append(differ[k]).append("]");
      else label.append(" #").append(std::to_string(k + 1));   // they differ somewhere: in their order
    }
  }
}

HOTPATH_FN std::string kernel_labels::of(std::string_view kernel) const {
  const entry* const end = all_.data() + all_.size();
  const entry* const at = find_first_not(all_.data(), end, [kernel](const entry& e) { return e.kernel < kernel; });
  return at != end && at->kernel == kernel ? at->label : kernel::short_name(kernel);
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
