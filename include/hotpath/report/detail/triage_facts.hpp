// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/triage_facts.hpp - what a kernel report says, in words and cells, before it is a page. Not for users.
//   Everything returned is plain text that may hold bytes of a trace: the page that prints it cleans or escapes it.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/report/detail/kernel_labels.hpp>
#include <hotpath/report/detail/sheet.hpp>
#include <hotpath/report/words.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

namespace triage_words {

inline double ratio(nanoseconds part, nanoseconds whole) { return whole.ns > 0 ? static_cast<double>(part.ns) / static_cast<double>(whole.ns) : 0; }

inline std::string list(const std::vector<std::string>& parts, std::string_view between, std::size_t most = SIZE_MAX) {
  std::string out;
  for (std::size_t i = 0; i < parts.size() && i < most; ++i) out.append(out.empty() ? "" : between).append(parts[i]);
  if (parts.size() > most) out.append(between).append(words::count(parts.size() - most)).append(" more");
  return out;
}

// One unit for a column of times, chosen by the largest; a smaller one where the smallest would have no digit left.
struct time_unit {
  double per_ns = 1;
  int decimals = 0;
  std::string_view name = " ns";
  std::string text(nanoseconds t) const { return t.ns == 0 ? "0" : words::fixed(static_cast<double>(t.ns) * per_ns, decimals).append(name); }
};
time_unit unit_of(nanoseconds largest, nanoseconds smallest, bool ascii);

}  // namespace triage_words

class triage_facts {
 public:
  triage_facts(const kernel::triage_report& r, bool ascii);

  std::string headline() const;
  std::vector<std::pair<std::string, std::string>> about() const;          // label, text
  std::string books() const;                                               // rows + hidden + left out = total
  std::vector<std::pair<std::string, double>> families(const kernel::kernel_table& t, std::size_t most) const;  // name, percent

  // Idle time and shares of this stage's table: kernels of its graphs were not recorded.
  bool is_unknown(std::size_t table) const { return table < r_.overlaps.size() && r_.overlaps[table].at == r_.kernels[table].at && r_.overlaps[table].time.unknown.has_value(); }
  sheet stages() const;
  sheet kernels(const kernel::kernel_table& t) const;
  sheet overlaps(const kernel::overlap_table& t) const;
  sheet fusions(const kernel::fusion_table& t) const;
  sheet chains(const kernel::fusion_table& t) const;                       // no rows: there are none
  sheet steps(std::size_t most) const;
  sheet cpu_ops() const;
  std::string hidden(const kernel::kernel_table& t) const;                 // "12 rows below 1.0 %: 3.2 ms, 4.1 %"; empty: none
  std::vector<std::pair<std::string, std::string>> device(const kernel::device_time& t) const;  // where one stage's wall time went
  std::size_t devices() const;                                             // with work, of the stage that has most of them; 0: not told
  std::string label(const std::string& kernel) const { return labels_.of(kernel); }             // of a kernel, for people
  std::string kernels_of(const kernel::kernel_chain& c) const;             // in their order, repeats counted
  std::string evidence(const kernel::fusion_row& f) const;
  std::string conditions(const kernel::fusion_row& f) const;

  std::string time(nanoseconds t) const;                                   // 342 µs, 12.3 ms, 12.3 s
  std::string mark(std::string_view utf8, std::string_view plain) const { return std::string(ascii_ ? plain : utf8); }
  std::string percent(double p) const { return words::percent(p / 100); }
  static std::string share(double p) { return p > 0 && p < 0.05 ? "<0.1%" : words::fixed(p, 1) + "%"; }
  static std::string launches(std::uint64_t n) { return words::count(n) + (n == 1 ? " launch" : " launches"); }
  // Fills the columns [first, first + count) of all rows with times of one unit: of(row, column - first) is an optional; `before` stands in front.
  template <class Of>
  void fill_times(sheet& s, std::size_t first, std::size_t count, Of&& of, std::string_view before = {}) const {
    nanoseconds largest{}, smallest{};
    for (std::size_t r = 0; r < s.rows.size(); ++r)
      for (std::size_t c = 0; c < count; ++c)
        if (const std::optional<nanoseconds> t = of(r, c); t && t->ns > 0) {
          if (largest < *t) largest = *t;
          if (smallest.ns == 0 || *t < smallest) smallest = *t;
        }
    const triage_words::time_unit unit = triage_words::unit_of(largest, smallest, ascii_);
    for (std::size_t r = 0; r < s.rows.size(); ++r)
      for (std::size_t c = 0; c < count; ++c) {
        const std::optional<nanoseconds> t = of(r, c);
        s.rows[r][first + c] = t ? std::string(before).append(unit.text(*t)) : mark("\u2013", "-");
      }
  }
  static std::string path_of(const kernel::place& p);                      // "layers/linear.py:123 forward (98%)"

 private:
  const kernel::triage_report& r_;
  kernel_labels labels_;
  bool ascii_;
};

}  // namespace hotpath::inline HOTPATH_ABI::report::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/detail/triage_facts-inl.hpp>
#endif
