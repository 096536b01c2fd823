// SPDX-License-Identifier: Apache-2.0
// hotpath/report/stats-inl.hpp - bodies of stats.hpp.
#pragma once
#include <vector>
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/stats.hpp>
#include <hotpath/report/words.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

struct stats_facts {
  std::string_view title, count, last;
};
inline stats_facts facts_of(kernel::stats_report r) {
  constexpr stats_facts facts[] = {{"CUDA GPU Kernel Summary", "Instances", "Name"},     {"CUDA GPU Kernel Summary", "Instances", "Name"},          {"CUDA GPU Kernel Summary", "Instances", "Name"},
                                   {"CUDA API Summary", "Num Calls", "Name"},            {"CUDA GPU MemOps Summary (by Time)", "Count", "Operation"}, {"CUDA GPU MemOps Summary (by Size)", "Count", "Operation"},
                                   {"NVTX Range Summary", "Instances", "Range"}};
  return facts[static_cast<std::size_t>(r)];
}

// What stands in a cell: a number as written, or a name.
struct stats_cell {
  std::string_view heading;
  std::string text;
  bool number = true;
};
HOTPATH_FN std::vector<stats_cell> cells_of(kernel::stats_report r, const kernel::stats_row& row) {
  const stats_facts facts = facts_of(r);
  const bool sizes = r == kernel::stats_report::cuda_gpu_mem_size_sum;
  const auto whole = [&](std::uint64_t v) { return sizes ? words::fixed(static_cast<double>(v) / 1e6, 3) : std::to_string(v); };
  const auto real = [&](double v) { return sizes ? words::fixed(v / 1e6, 3) : words::fixed(v, 1); };
  std::vector<stats_cell> c;
  c.reserve(10);
  if (!sizes) c.push_back({"Time (%)", words::fixed(row.share, 1)});
  c.push_back({sizes ? "Total (MB)" : "Total Time (ns)", whole(row.total)});
  c.push_back({facts.count, std::to_string(row.count)});
  c.push_back({sizes ? "Avg (MB)" : "Avg (ns)", real(row.mean)});
  c.push_back({sizes ? "Med (MB)" : "Med (ns)", real(row.median)});
  c.push_back({sizes ? "Min (MB)" : "Min (ns)", whole(row.min)});
  c.push_back({sizes ? "Max (MB)" : "Max (ns)", whole(row.max)});
  c.push_back({sizes ? "StdDev (MB)" : "StdDev (ns)", row.deviation ? real(*row.deviation) : std::string()});
  if (r == kernel::stats_report::nvtx_sum) c.push_back({"Style", std::string(row.style), false});
  c.push_back({facts.last, row.name, false});
  return c;
}

}  // namespace detail

HOTPATH_FN std::string stats_csv(const kernel::stats_table& t, bool formula_guard) {
  std::string out;
  text::csv_writer w{out, {.formula_guard = formula_guard}};
  for (const detail::stats_cell& c : detail::cells_of(t.report, {})) w.field(c.heading);
  w.end_row();
  for (const kernel::stats_row& row : t.rows) {
    for (const detail::stats_cell& c : detail::cells_of(t.report, row)) w.field(std::string_view(c.text));
    w.end_row();
  }
  return out;
}

HOTPATH_FN std::string stats_text(const kernel::stats_table& t, bool ascii) {
  std::string out(" ** ");
  out.append(detail::facts_of(t.report).title).append(" (").append(name_of(t.report)).append("):\n\n");
  if (t.rows.empty()) return out.append(" SKIPPED: ").append(t.missing).append(".\n");
  // One row at a time would not line up: the widths first, from the cells that are written.
  std::vector<std::vector<detail::stats_cell>> lines;
  lines.push_back(detail::cells_of(t.report, {}));
  for (detail::stats_cell& c : lines[0]) c.text = c.heading;
  std::vector<std::size_t> widths;
  for (const detail::stats_cell& c : lines[0]) widths.push_back(detail::columns_of(c.text));
  for (const kernel::stats_row& row : t.rows) {
    lines.push_back(detail::cells_of(t.report, row));
    for (std::size_t i = 0; i < widths.size(); ++i) {
      detail::stats_cell& c = lines.back()[i];
      if (!c.number) c.text = detail::clean(c.text, 512, ascii);
      else if (c.text.empty()) c.text = "-";
      const std::size_t n = detail::columns_of(c.text);
      widths[i] = i + 1 != widths.size() && n > widths[i] ? n : widths[i];
    }
  }
  const auto line = [&](const std::vector<detail::stats_cell>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const std::size_t n = detail::columns_of(cells[i].text), pad = n < widths[i] ? widths[i] - n : 0;
      out.append(i == 0 ? " " : "  ").append(cells[i].number ? pad : 0, ' ').append(cells[i].text);
      if (!cells[i].number && i + 1 != cells.size()) out.append(pad, ' ');
    }
    out.append("\n");
  };
  line(lines[0]);
  for (std::size_t i = 0; i < widths.size(); ++i) out.append(i == 0 ? " " : "  ").append(widths[i], '-');
  out.append("\n");
  for (std::size_t i = 1; i < lines.size(); ++i) line(lines[i]);
  for (const std::string& note : t.notes) out.append("\n ! ").append(note).append(".");
  if (!t.notes.empty()) out.append("\n");
  return out;
}

HOTPATH_FN std::string stats_json(std::span<const kernel::stats_table> tables, const model::timeline& about, int indent) {
  std::string out;
  json::writer w{out, indent};
  w.object_begin();
  w.member("schema", "hotpath.stats/1"), w.member("file", about.about.file);
  w.key("reports"), w.array_begin();
  for (const kernel::stats_table& t : tables) {
    w.object_begin(), w.member("report", name_of(t.report));
    w.key("rows"), w.array_begin();
    for (const kernel::stats_row& row : t.rows) {
      w.object_begin();
      for (const detail::stats_cell& c : detail::cells_of(t.report, row)) {
        w.key(c.heading);
        if (!c.number) w.value(c.text);
        else if (c.text.empty()) w.null();
        else w.raw(c.text);
      }
      w.object_end();
    }
    w.array_end();
    w.key("notes"), w.array_begin();
    for (const std::string& n : t.notes) w.value(n);
    w.array_end();
    w.member("missing", t.rows.empty() ? std::optional(t.missing) : std::nullopt);
    w.object_end();
  }
  w.array_end();
  w.key("lost");
  if (about.lost.empty()) w.null();
  else {
    w.object_begin();
    for (const model::trace_loss& l : about.lost) w.member(name_of(l.fault), l.count);
    w.object_end();
  }
  w.object_end();
  return out.append("\n");
}

}  // namespace hotpath::inline HOTPATH_ABI::report
