// SPDX-License-Identifier: Apache-2.0
// hotpath/report/triage-inl.hpp - bodies of report/triage.hpp
#pragma once
#include <hotpath/kernel/family.hpp>
#include <hotpath/report/detail/markup.hpp>
#include <hotpath/report/detail/triage_facts.hpp>
#include <hotpath/report/triage.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

HOTPATH_FN exit_code code_of(const kernel::triage_report& r) {
  return r.check.verdict == kernel::health::unusable ? exit_code::unusable : r.check.verdict == kernel::health::partial ? exit_code::partial : exit_code::ok;
}

namespace detail {

// ---- text

class triage_text {
 public:
  triage_text(const kernel::triage_report& r, const text_options& o) : r_(r), facts_(r, o.ascii), page_(o.width < 60 ? 60 : o.width > 200 ? 200 : o.width, o.color, o.ascii) {}

  std::string write() {
    headline();
    page_.blank();
    for (const auto& [label, text] : facts_.about()) page_.labelled(label, indent, page_.clean(text, 2048));
    stages();
    for (const kernel::kernel_table& t : r_.kernels) kernels(t);
    for (const kernel::overlap_table& t : r_.overlaps) overlaps(t);
    for (const kernel::fusion_table& t : r_.fusions) fusions(t);
    steps();
    cpu_ops();
    closing();
    return page_.take();
  }

 private:
  static constexpr std::size_t indent = 16;

  std::string dot() const { return std::string(page_.dot().substr(1)); }  // behind a title, which a blank follows
  void bullet(std::string_view sign, std::string_view t, style s) { page_.wrapped("  " + page_.paint(s, sign), 4, 4, page_.clean(t, 2048)); }

  void headline() {
    const kernel::health h = r_.check.verdict;
    const std::string_view word = h == kernel::health::good ? " OK " : h == kernel::health::partial ? " PARTIAL " : " NO DATA ";
    page_.wrapped(page_.paint(h == kernel::health::good ? style::good_badge : h == kernel::health::partial ? style::warn_badge : style::bad_badge, word), word.size(), word.size() + 1, facts_.headline(), style::bold);
    for (const kernel::finding& f : r_.check.findings)
      if (f.warning) bullet(page_.mark("\u25B6 ", "> "), f.text, style::warn);
    for (const std::string& s : r_.summary) bullet(page_.mark("\u2022 ", "* "), s, style::plain);
  }

  void stages() {
    const sheet s = facts_.stages();
    if (s.rows.empty()) return;
    page_.heading("Stages", facts_.devices() > 1 ? dot() + "wall, busy and idle time are sums of " + words::count(facts_.devices(), "device") : "", style::dim);
    const auto chosen = fitting(page_, s, {0, 1, 2, 3, 4, 5, 6, 7}, {7, 2, 4, 1}, 60);
    print_sheet(page_, s, chosen);
    if (has(chosen, 7)) return;
    bars();
  }
  // What the families take, as bars: one line per family of each stage.
  void bars() {
    for (const kernel::kernel_table& t : r_.kernels) {
      const auto all = facts_.families(t, 6);
      if (all.empty()) continue;
      page_.blank();
      const std::size_t room = page_.width() - 32 < 50 ? page_.width() - 32 : 50;
      bool first = true;
      for (const auto& [name, p] : all) {
        page_.raw("  "), page_.left(first ? name_of(t.at) : std::string_view{}, 15, style::dim), first = false;
        page_.left(name, 18);
        page_.right(triage_facts::share(p), 6);
        page_.raw("  " + page_.paint(style::spark, bar(p, room > 12 ? room - 12 : 1)));
        page_.end_line();
      }
    }
  }
  std::string bar(double percent, std::size_t room) const {
    constexpr std::string_view eighths[] = {"", "\u258F", "\u258E", "\u258D", "\u258C", "\u258B", "\u258A", "\u2589"};
    const double cells = (percent < 0 ? 0 : percent > 100 ? 100 : percent) / 100 * static_cast<double>(room);
    const auto whole = static_cast<std::size_t>(cells);
    std::string out;
    for (std::size_t i = 0; i < whole; ++i) out += page_.mark("\u2588", "#");
    if (!page_.ascii()) out += eighths[static_cast<std::size_t>((cells - static_cast<double>(whole)) * 8)];
    return out;
  }

  std::string joined(std::string a, const std::string& b) const { return a.empty() || b.empty() ? a + b : a.append(page_.dot()) + b; }
  std::string of(std::string_view what, kernel::stage at, bool alone) const { return std::string(what) + (alone && at == kernel::stage::all ? "" : ": " + std::string(name_of(at))); }

  void kernels(const kernel::kernel_table& t) {
    page_.heading(of("Kernels", t.at, r_.kernels.size() == 1), dot() + facts_.time(t.total) + " in " + triage_facts::launches(t.events), style::dim);
    sheet s = facts_.kernels(t);
    const std::size_t where = s.columns.size(), w = page_.width();
    bool lines = false;
    for (std::size_t i = 0; i < t.rows.size(); ++i) {
      const kernel::kernel_row& r = t.rows[i];
      const std::string place = r.places.empty() ? std::string() : triage_facts::path_of(r.places.front());
      lines = lines || !place.empty();
      s.rows[i].push_back(joined(r.cpu_op, place));
    }
    s.columns.push_back({lines ? "CPU op, location (site share)" : "CPU op", cell_kind::prose});
    // First the name, then what fits beside it; the rest in lines of its own below, of a path its end.
    const auto chosen = fitting(page_, s, {3, 11, 2, 4, 7, 8, 9, 10, 1, 0, where}, {where, 11, 9, 10, 7, 1, 8, 4}, w / 2 > 38 ? w / 2 - 2 : 36);
    std::vector<std::vector<std::string>> below(t.rows.size());
    for (std::size_t i = 0; i < t.rows.size(); ++i) {
      const kernel::kernel_row& r = t.rows[i];
      std::string line;
      if (!has(chosen, 1)) line = page_.clean(s.rows[i][1], 64);
      if (!has(chosen, 4)) line = joined(line, triage_facts::launches(r.launches));
      if (!has(chosen, where)) {
        const std::size_t room = w - 6, gap = columns_of(page_.dot());
        const auto behind = [&] { return line.empty() ? 0 : columns_of(line) + gap; };
        line = joined(line, cut(page_.clean(r.cpu_op), room - behind(), 70, page_.ascii()));
        const std::string place = r.places.empty() ? std::string() : page_.clean(triage_facts::path_of(r.places.front()), 2048);
        // Beside the operator if the file's name and what is behind it fit there, else in a line of its own.
        const std::size_t used = behind(), file = place.rfind('/');
        const bool beside = used + columns_of(place) <= room || used + 1 + columns_of(std::string_view(place).substr(file == std::string::npos ? 0 : file)) <= room;
        if (!beside && used != 0) below[i].push_back(std::move(line)), line.clear();
        line = joined(line, cut(place, beside ? room - used : room, 0, page_.ascii()));
      }
      if (!line.empty()) below[i].push_back(std::move(line));
    }
    print_sheet(page_, s, chosen, below);
    if (const std::string hidden = facts_.hidden(t); !hidden.empty()) page_.labelled("", 2, hidden, style::dim);
  }

  void overlaps(const kernel::overlap_table& t) {
    page_.heading(of("Overlap and idle time", t.at, r_.overlaps.size() == 1), t.basis.empty() ? "" : dot() + "from " + cut(page_.clean(t.basis, 128), page_.width() / 3, 100, page_.ascii()), style::dim);
    for (const auto& [label, text] : facts_.device(t.time)) page_.raw("  "), page_.wrapped(page_.paint(style::dim, label), 2 + columns_of(label), indent + 2, page_.clean(text, 2048));
    if (!t.time.unknown && t.time.wall.ns > 0) page_.blank();
    const sheet s = facts_.overlaps(t);
    const std::size_t w = page_.width();
    const auto chosen = fitting(page_, s, {0, 6, 1, 7, 2, 3}, {3, 1, 7}, w * 2 / 5 > 30 ? w * 2 / 5 : 30);
    std::vector<std::vector<std::string>> below(t.rows.size());
    for (std::size_t i = 0; i < t.rows.size(); ++i) {
      const kernel::overlap_row& r = t.rows[i];
      std::string line = !has(chosen, 7) && r.saving_per_step ? "saves " + s.rows[i][7] + " per step" : "";
      if (r.total.ns > 0)
        line = joined(line, page::glued(facts_.time(r.total)) + ", " + page::glued(facts_.percent(r.share) + " of busy")), line = joined(line, page::glued(facts_.percent(100 * triage_words::ratio(r.exclusive, r.total)) + " alone") + ", " +
                      page::glued(facts_.percent(100 * triage_words::ratio(r.hidden, r.total)) + " hidden") + (r.partner.empty() ? "" : " by " + facts_.label(r.partner)));
      if (!r.dependency.empty()) line = joined(line, "dependency " + r.dependency);
      if (r.inflation) line = joined(line, words::fixed(*r.inflation, 2) + "x as long when overlapped");
      if (!r.known_family.empty()) line = joined(line, r.known_family);
      below[i].push_back(std::move(line));
      if (!r.scope.empty() && !has(chosen, 3)) below[i].push_back(cut(page_.clean(r.scope, 2048), w - 6, 0, page_.ascii()));
    }
    print_sheet(page_, s, chosen, below);
    if (t.hidden_rows != 0) page_.labelled("", 2, words::count(t.hidden_rows, "row") + " below the cut", style::dim);
  }

  void fusions(const kernel::fusion_table& t) {
    page_.heading(of("Fusion", t.at, r_.fusions.size() == 1));
    for (const kernel::fusion_row& f : t.rows) {
      const bool chance = f.state == kernel::fusion_state::opportunity;
      const std::string_view badge = chance ? "opportunity" : "already fused";
      std::string what = f.pattern + (f.id.empty() ? "" : " (" + f.id + ")") + ": " + f.confidence + ", " + page::glued(facts_.time(f.related)) + ", " + page::glued(facts_.percent(f.share));
      if (f.gain_per_step) what += ", at most " + page::glued(facts_.time(*f.gain_per_step)) + " per step to win";
      page_.raw("  ");
      page_.wrapped(page_.paint(chance ? style::warn : style::good, badge), 2 + badge.size(), 17, page_.clean(what, 2048), style::bold);
      const auto more = [&](std::string_view label, const std::string& text) {
        if (!text.empty()) page_.raw("      "), page_.wrapped(page_.paint(style::dim, label), 6 + label.size(), 17, page_.clean(text, 2048));
      };
      more("why", f.rationale), more("kernels", facts_.evidence(f)), more("where", triage_words::list(f.locations, "; "));
      more("instead", chance ? f.candidate : std::string());
      if (f.adjacency) more("chain", facts_.percent(*f.adjacency) + " of " + words::count(f.repetitions, "repetition") + " follow each other on one stream");
      more("needs", facts_.conditions(f));
    }
    if (t.rows.empty()) page_.labelled("", 2, facts_.fusions(t).placeholder, style::dim);
    for (const kernel::kernel_chain& c : t.chains) {
      page_.raw("  ");
      std::string what = facts_.kernels_of(c) + ": one kernel would save at most ";
      what += page::glued(c.gain_per_step ? facts_.time(*c.gain_per_step) + " per step" : facts_.time(c.related));
      if (c.gain_per_step && *c.gain_per_step != c.related) what += ", " + page::glued(facts_.time(c.related)) + " in all";
      what += " (" + page::glued(facts_.percent(c.share)) + ")";
      what += "; " + page::glued(facts_.percent(c.adjacency)) + " of " + page::glued(words::count(c.repetitions, "repetition")) + " are adjacent";
      if (!c.location.empty()) what += "; from " + c.location;
      page_.wrapped(page_.paint(style::warn, "chain"), 7, 17, page_.clean(what, 2048));
    }
    if (t.hidden_rows != 0) page_.labelled("", 2, words::count(t.hidden_rows, "row") + " below the cut", style::dim);
    if (t.similarity) page_.labelled("  similarity", 17, page_.clean(t.similarity->first + ": " + t.similarity->second, 1024));
  }

  void steps() {
    if (r_.steps.empty()) return;
    constexpr std::size_t most = 12;
    page_.heading("Steps", dot() + words::count(r_.steps.size()), style::dim);
    const sheet s = facts_.steps(most);
    print_sheet(page_, s, fitting(page_, s, {0, 1, 2, 3, 4, 5, 6, 7, 8}, {8, 7, 2, 0, 3}, 24));
    if (r_.steps.size() > most) page_.labelled("", 2, words::count(r_.steps.size() - most) + " more; --format json has them all", style::dim);
  }
  void cpu_ops() {
    if (r_.cpu_ops.empty()) return;
    page_.heading("Operators of the host", dot() + "by self time", style::dim);
    const sheet s = facts_.cpu_ops();
    print_sheet(page_, s, fitting(page_, s, {2, 1, 3, 4, 0}, {4, 3}, 30));
  }

  void closing() {
    bool calm = false;
    for (const kernel::finding& f : r_.check.findings) calm = calm || !f.warning;
    if (!calm && r_.hints.empty() && r_.notes.empty()) return;
    page_.heading("Notes");
    for (const kernel::finding& f : r_.check.findings)
      if (!f.warning) bullet(page_.mark("\u2022 ", "* "), f.text, style::plain);
    for (const auto& [source, text] : r_.notes) bullet(page_.mark("\u2022 ", "* "), source.empty() ? text : source + ": " + text, style::plain);
    for (const std::string& h : r_.hints) bullet(page_.mark("\u2022 ", "* "), h, style::plain);
  }

  const kernel::triage_report& r_;
  const triage_facts facts_;
  page page_;
};

// ---- Markdown

inline std::string markdown_cell_of(const sheet& s, std::size_t column, const std::string& text) {
  if (text.empty()) return "";
  switch (s.columns[column].kind) {
    case cell_kind::name: return markdown_cell(text);
    case cell_kind::path: {  // sites with their shares stand side by side
      std::string out;
      hotpath::text::split(text, ';', [&](std::string_view one) { out.append(out.empty() ? "" : "<br>").append(markdown_cell(hotpath::text::trim(one))); });
      return out;
    }
    default: return markdown_prose(text, 2048, false);
  }
}

// Columns that say nothing are left out, but for those in front that programs look for.
inline void markdown_sheet(std::string& out, const sheet& s) {
  std::vector<std::size_t> shown;
  for (std::size_t c = 0; c < s.columns.size(); ++c)
    if (c < s.fixed || s.says(c)) shown.push_back(c);
  out += '|';
  for (const std::size_t c : shown) out.append(" ").append(s.columns[c].title).append(" |");
  out += "\n|";
  for (const std::size_t c : shown) out += s.columns[c].kind == cell_kind::number ? " ---: |" : " --- |";
  out += '\n';
  for (const auto& row : s.rows) {
    out += '|';
    for (const std::size_t c : shown) out.append(" ").append(markdown_cell_of(s, c, row[c])).append(" |");
    out += '\n';
  }
  if (s.rows.empty()) {
    out.append("| ").append(markdown_prose(s.placeholder, 2048, false)).append(" |");
    for (std::size_t i = 1; i < shown.size(); ++i) out += "  |";
    out += '\n';
  }
}

class triage_markdown {
 public:
  // `prefix` stands before the four headings: "" as triage scripts print them, "#### " within a document.
  triage_markdown(const kernel::triage_report& r, std::string_view prefix) : r_(r), facts_(r, false), prefix_(prefix) {}

  std::string write() {
    heading("Triage View");
    const auto say = [&](std::string_view label, const std::string& text) {
      if (!text.empty()) out_.append(prefix_.empty() ? "" : "- ").append(label).append(": ").append(page::spaced(markdown_prose(text, 2048, false))).append("\n");
    };
    say("Mode", r_.mode);
    if (r_.mapping_framework.empty() || r_.mapping_framework == r_.framework) say("Framework", r_.framework);
    else say("Mapping framework", r_.mapping_framework), say("Formal framework", r_.framework);
    if (r_.mapping_inputs.empty()) say("Input traces", triage_words::list(r_.inputs, ", "));
    else say("Mapping traces", triage_words::list(r_.mapping_inputs, ", ")), say("Formal traces", triage_words::list(r_.inputs, ", "));
    say("Capture traces", triage_words::list(r_.capture_inputs, ", "));
    say("Model", r_.model);
    for (const auto& [label, text] : facts_.about())
      if (label == "device") say("Device", text);
      else if (label == "mapped") say("Mapped", text);
    const std::string_view health = kernel::health_names[static_cast<std::size_t>(r_.check.verdict)];
    say("Integrity", std::string(health) + (r_.check.verdict == kernel::health::unusable ? ": " + facts_.headline() : "; " + facts_.books()));
    out_ += '\n';
    bool calm = false;
    const std::size_t before = out_.size();
    for (const kernel::finding& f : r_.check.findings) {
      calm = calm || !f.warning;
      if (f.warning) out_.append("- **").append(markdown_prose(f.text, 2048, false)).append("**\n");
    }
    for (const std::string& s : r_.summary) out_.append("- ").append(markdown_prose(s, 2048, false)).append("\n");
    if (out_.size() != before) out_ += '\n';
    if (const sheet s = facts_.stages(); !s.rows.empty()) markdown_sheet(out_, s), out_ += '\n';

    heading("Kernel Table");
    tables(r_.kernels, [&](const kernel::kernel_table& t) { return facts_.kernels(t); }, [&](const kernel::kernel_table& t) { return facts_.hidden(t); });
    heading("Overlap Opportunity Table");
    tables(r_.overlaps, [&](const kernel::overlap_table& t) { return facts_.overlaps(t); }, [&](const kernel::overlap_table& t) {
      std::string text = t.basis.empty() ? "" : "From " + t.basis + ".";
      for (const auto& [label, fact] : facts_.device(t.time)) text += (text.empty() ? "" : " ") + label + ": " + fact + ".";
      return text;
    });
    heading("Fuse Opportunity Table");
    tables(r_.fusions, [&](const kernel::fusion_table& t) { return facts_.fusions(t); }, [&](const kernel::fusion_table& t) {
      return t.similarity ? "Similarity " + t.similarity->first + ": " + t.similarity->second : std::string();
    });
    for (const kernel::fusion_table& t : r_.fusions)
      if (!t.chains.empty()) heading("Repeated chains that no pattern knows, " + std::string(name_of(t.at))), markdown_sheet(out_, facts_.chains(t)), out_ += '\n';
    if (!r_.steps.empty()) {
      heading("Steps");
      markdown_sheet(out_, facts_.steps(50)), out_ += '\n';
      if (r_.steps.size() > 50) out_.append(words::count(r_.steps.size() - 50)).append(" more.\n\n");
    }
    if (!r_.cpu_ops.empty()) heading("Operators of the host"), markdown_sheet(out_, facts_.cpu_ops()), out_ += '\n';
    if (calm || !r_.notes.empty() || !r_.hints.empty()) heading("Notes");
    for (const kernel::finding& f : r_.check.findings)
      if (!f.warning) out_.append("- ").append(markdown_prose(f.text, 2048, false)).append("\n");
    for (const auto& [source, text] : r_.notes) out_.append("- ").append(markdown_prose(source.empty() ? text : source + ": " + text, 2048, false)).append("\n");
    for (const std::string& h : r_.hints) out_.append("- ").append(markdown_prose(h, 2048, false)).append("\n");
    while (out_.ends_with("\n\n")) out_.pop_back();
    return std::move(out_);
  }

 private:
  void heading(std::string_view t) { out_.append(prefix_).append(t).append(prefix_.empty() ? "\n" : "\n\n"); }

  template <class Tables, class Sheet, class Below>
  void tables(const Tables& all, Sheet&& sheet_of, Below&& below) {
    const bool alone = all.size() == 1 && all.front().at == kernel::stage::all;
    if (all.empty()) {
      typename Tables::value_type none;
      markdown_sheet(out_, sheet_of(none)), out_ += '\n';
    }
    for (const auto& t : all) {
      if (!alone) out_.append("##### ").append(name_of(t.at)).append("\n\n");
      markdown_sheet(out_, sheet_of(t));
      out_ += '\n';
      if (const std::string more = below(t); !more.empty()) out_.append("<sub>").append(page::spaced(markdown_prose(more, 4096, false))).append("</sub>\n\n");
    }
  }

  const kernel::triage_report& r_;
  const triage_facts facts_;
  std::string_view prefix_;
  std::string out_;
};

HOTPATH_FN std::string triage_markdown_of(const kernel::triage_report& r, std::string_view prefix) { return triage_markdown{r, prefix}.write(); }

}  // namespace detail

HOTPATH_FN std::string text(const kernel::triage_report& r, const text_options& options) { return detail::triage_text{r, options}.write(); }
HOTPATH_FN std::string markdown(const kernel::triage_report& r) { return detail::triage_markdown_of(r, ""); }

// ---- CSV

namespace detail {

// f(column name, value) for every column of a row, in order; one list for the header and the rows.
template <class F> void csv_columns(const kernel::kernel_row& r, F&& f) {
  f("stage", name_of(r.at)), f("kernel", std::string_view(r.kernel)), f("category", kernel::family_name(r.what)), f("gpu_time_ns", r.total.ns), f("share_pct", r.share), f("launches", r.launches);
  f("location", std::string_view(r.places.empty() ? std::string_view{} : std::string_view(r.places[0].location)));
  f("location_share_pct", r.places.empty() ? std::optional<double>{} : std::optional<double>{r.places[0].share});
  f("cpu_op", std::string_view(r.cpu_op)), f("detail", std::string_view(r.detail)), f("launches_per_step", r.launches_per_step), f("mean_ns", r.mean.ns), f("min_ns", r.min.ns), f("p50_ns", r.p50.ns);
  f("p95_ns", r.p95.ns), f("max_ns", r.max.ns), f("running_share_pct", r.running_share), f("share_busy_pct", r.share_busy), f("share_wall_pct", r.share_wall), f("streams", r.streams);
  f("devices", r.devices), f("grid_x", r.launch.grid[0]), f("grid_y", r.launch.grid[1]), f("grid_z", r.launch.grid[2]), f("block_x", r.launch.block[0]), f("block_y", r.launch.block[1]);
  f("block_z", r.launch.block[2]), f("registers", r.launch.registers), f("shared_bytes", r.launch.shared_bytes), f("rule", std::string_view(r.rule)), f("raw_name", std::string_view(r.raw));
}
template <class F> void csv_columns(const kernel::overlap_row& r, F&& f) {
  const auto time = [](const std::optional<nanoseconds>& t) { return t ? std::optional<std::int64_t>{t->ns} : std::nullopt; };
  f("stage", name_of(r.at)), f("priority", std::string_view(r.priority)), f("verdict", std::string_view(r.verdict)), f("kernel", std::string_view(r.kernel)), f("scope", std::string_view(r.scope));
  f("gpu_time_ns", r.total.ns), f("share_of_busy_pct", r.share), f("exclusive_ns", r.exclusive.ns), f("hidden_ns", r.hidden.ns), f("hidden_by_compute_ns", r.hidden_by_compute.ns);
  f("dependency_risk", std::string_view(r.dependency)), f("recommendation", std::string_view(r.recommendation)), f("saving_per_step_ns", time(r.saving_per_step)), f("inflation", r.inflation);
  f("hidden_by", std::string_view(r.partner)), f("known_pattern", std::string_view(r.known_family));
}
template <class F> void csv_columns(const kernel::fusion_row& r, F&& f) {
  std::string locations;
  for (const std::string& l : r.locations) locations += (locations.empty() ? "" : "; ") + l;
  f("stage", name_of(r.at)), f("id", std::string_view(r.id)), f("pattern", std::string_view(r.pattern)), f("confidence", std::string_view(r.confidence));
  f("state", kernel::fusion_state_names[static_cast<std::size_t>(r.state)]), f("related_ns", r.related.ns), f("share_pct", r.share), f("adjacency_pct", r.adjacency), f("repetitions", r.repetitions);
  f("gain_per_step_ns", r.gain_per_step ? std::optional<std::int64_t>{r.gain_per_step->ns} : std::nullopt), f("locations", std::string_view(locations)), f("candidate", std::string_view(r.candidate));
  f("rationale", std::string_view(r.rationale));
}
struct named_step {
  const kernel::step& s;
  std::string_view name;
};
template <class F> void csv_columns(const named_step& n, F&& f) {
  const kernel::step& s = n.s;
  f("step", n.name), f("stage", name_of(s.what)), f("begin_ns", s.begin.ns), f("end_ns", s.end.ns), f("context_requests", s.context_requests), f("generation_requests", s.generation_requests);
  f("context_tokens", s.context_tokens), f("generation_tokens", s.generation_tokens), f("gpu_events", s.events), f("gpu_begin_ns", s.gpu_begin.ns), f("gpu_end_ns", s.gpu_end.ns);
  f("gpu_busy_ns", s.gpu_busy.ns), f("graph", s.graph);
  for (std::size_t i = 0; i < 6; ++i) f(kernel::idle_columns[i], s.idle_by[i].ns);
}
template <class F> void csv_columns(const kernel::device_time& t, F&& f) {
  f("stage", name_of(t.at)), f("steps", t.steps), f("streams", t.streams), f("wall_ns", t.wall.ns), f("busy_ns", t.busy.ns), f("idle_ns", t.idle.ns), f("compute_ns", t.compute.ns), f("comm_ns", t.comm.ns);
  f("memory_ns", t.memory.ns), f("exposed_comm_ns", t.exposed_comm.ns), f("exposed_in_steps_ns", t.exposed_in_steps.ns), f("overlapped_ns", t.overlapped.ns);
  for (std::size_t i = 0; i < 6; ++i) f(kernel::idle_columns[i], t.idle_by[i].time.ns);
  f("unknown", std::string_view(t.unknown ? std::string_view(*t.unknown) : std::string_view{})), f("devices", t.devices);
}

template <class Row>
void csv_header(std::string& out, const Row& any) {
  hotpath::text::csv_writer w{out};
  csv_columns(any, [&](std::string_view name, const auto&) { w.field(name); });
  w.end_row();
}
template <class Row>
void csv_line(std::string& out, const Row& row, hotpath::text::csv_options o) {
  hotpath::text::csv_writer w{out, o};
  csv_columns(row, [&](std::string_view, const auto& v) { w.field(v); });
  w.end_row();
}

}  // namespace detail

HOTPATH_FN std::string csv(const kernel::triage_report& r, triage_table which, hotpath::text::csv_options o) {
  std::string out;
  const auto each = [&](const auto& tables, const auto& none) {
    detail::csv_header(out, none);
    for (const auto& t : tables)
      for (const auto& row : t.rows) detail::csv_line(out, row, o);
  };
  const kernel::step no_step;
  switch (which) {
    case triage_table::kernels: each(r.kernels, kernel::kernel_row{}); break;
    case triage_table::overlaps: each(r.overlaps, kernel::overlap_row{}); break;
    case triage_table::fusions: each(r.fusions, kernel::fusion_row{}); break;
    case triage_table::steps:
      detail::csv_header(out, detail::named_step{no_step, {}});
      for (std::size_t i = 0; i < r.steps.size(); ++i) detail::csv_line(out, detail::named_step{r.steps[i], i < r.step_names.size() ? std::string_view(r.step_names[i]) : std::string_view{}}, o);
      break;
    case triage_table::devices:
      detail::csv_header(out, kernel::device_time{});
      for (const kernel::overlap_table& t : r.overlaps) detail::csv_line(out, t.time, o);
      break;
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
