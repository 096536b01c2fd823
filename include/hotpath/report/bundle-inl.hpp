// SPDX-License-Identifier: Apache-2.0
// hotpath/report/bundle-inl.hpp - bodies of report/bundle.hpp
#pragma once
#include <hotpath/kernel/across.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/report/bundle.hpp>
#include <hotpath/report/detail/markup.hpp>
#include <hotpath/report/detail/triage_facts.hpp>
#include <hotpath/report/triage.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

inline std::string framework_title(std::string_view f) {
  return f == "sglang" ? "SGLang" : f == "vllm" ? "vLLM" : f == "trtllm" ? "TensorRT-LLM" : f == "tokenspeed" ? "TokenSpeed" : f.empty() || f == "unknown" ? "Framework not known" : std::string(f);
}

// The items of a document, by model and framework.
struct bundle_plan {
  struct model {
    std::string name;                           // empty: not known
    std::vector<const bundle_item*> items;
  };
  std::vector<model> models;

  explicit bundle_plan(std::span<const bundle_item> items) {
    for (const bundle_item& i : items) {
      std::size_t m = 0;
      while (m < models.size() && models[m].name != i.report.model) ++m;
      if (m == models.size()) models.push_back({i.report.model, {}});
      auto& in = models[m].items;
      std::size_t at = in.size();
      while (at > 0 && rank(in[at - 1]->report.framework) > rank(i.report.framework)) --at;
      in.insert(in.begin() + static_cast<std::ptrdiff_t>(at), &i);
    }
  }
  static int rank(std::string_view f) { return f == "sglang" ? 0 : f == "vllm" ? 1 : f == "trtllm" ? 2 : f == "tokenspeed" ? 3 : 4; }
  static std::string title(const model& m) { return m.name.empty() ? "Model not known" : m.name; }
  static std::string label(const bundle_item& i) { return !i.label.empty() ? i.label : i.report.inputs.empty() ? "no input" : i.report.inputs.front(); }
  static std::vector<const kernel::triage_report*> reports(const model& m) {
    std::vector<const kernel::triage_report*> out;
    for (const bundle_item* i : m.items) out.push_back(&i->report);
    return out;
  }
};

// One cell of the comparison: what is spent per step, or in all where there are no steps.
inline std::string across_text(const triage_facts& f, const kernel::across_cell& c) {
  if (c.total.ns == 0) return "\u2013";
  return c.per_step ? f.time(*c.per_step) + " per step, " + triage_facts::share(c.share) : f.time(c.total) + " in all, " + triage_facts::share(c.share);
}

class bundle_in_markdown {
 public:
  bundle_in_markdown(std::span<const bundle_item> items, const bundle_options& o) : plan_(items), o_(o) {}

  std::string write() {
    out_ += "# " + prose(o_.title) + "\n\n";
    if (!o_.generated.empty()) out_ += "Generated " + prose(o_.generated) + "\n\n";
    if (plan_.models.empty()) return std::move(out_ += "No data: there is no report in this bundle.\n");
    if (o_.contents) contents();
    for (std::size_t m = 0; m < plan_.models.size(); ++m) {
      const auto& model = plan_.models[m];
      out_ += "## " + anchor(m) + prose(bundle_plan::title(model)) + "\n\n";
      compare(model);
      for (std::size_t i = 0; i < model.items.size(); ++i) {
        const bundle_item& item = *model.items[i];
        out_ += "### " + anchor(m, i) + prose(framework_title(item.report.framework)) + ": " + prose(bundle_plan::label(item)) + "\n\n";
        if (!item.report.model.empty()) out_ += "- Model id: " + prose(item.report.model) + "\n";
        out_ += triage_markdown_of(item.report, "#### ") + "\n";
      }
    }
    while (out_.ends_with("\n\n")) out_.pop_back();
    return std::move(out_);
  }

 private:
  static std::string prose(std::string_view s) { return markdown_prose(s, 512, false); }
  // Our own names for places: slugs of foreign titles could meet each other.
  static std::string place(std::size_t m, std::size_t i = SIZE_MAX) { return "model-" + std::to_string(m + 1) + (i == SIZE_MAX ? "" : "-" + std::to_string(i + 1)); }
  static std::string anchor(std::size_t m, std::size_t i = SIZE_MAX) { return "<a id=\"" + place(m, i) + "\"></a>"; }

  void contents() {
    for (std::size_t m = 0; m < plan_.models.size(); ++m) {
      out_ += "- [" + prose(bundle_plan::title(plan_.models[m])) + "](#" + place(m) + ")\n";
      for (std::size_t i = 0; i < plan_.models[m].items.size(); ++i)
        out_ += "  - [" + prose(framework_title(plan_.models[m].items[i]->report.framework)) + ": " + prose(bundle_plan::label(*plan_.models[m].items[i])) + "](#" + place(m, i) + ")\n";
    }
    out_ += '\n';
  }

  void compare(const bundle_plan::model& model) {
    if (model.items.size() < 2) return;
    const triage_facts facts(model.items.front()->report, false);
    const auto reports = bundle_plan::reports(model);
    for (const kernel::across_stage& s : kernel::across(reports)) {
      out_ += "#### Comparison: " + std::string(name_of(s.at)) + "\n\n| Family |";
      for (const bundle_item* i : model.items) out_ += " " + prose(framework_title(i->report.framework)) + ": " + prose(bundle_plan::label(*i)) + " |";
      out_ += "\n| --- |";
      for (std::size_t i = 0; i < reports.size(); ++i) out_ += " ---: |";
      const auto row = [&](std::string_view name, const std::vector<kernel::across_cell>& cells) {
        out_.append("\n| ").append(markdown_prose(name, 64, false)).append(" |");
        for (const kernel::across_cell& c : cells) out_ += " " + across_text(facts, c) + " |";
      };
      row("all", s.sums);
      for (const auto& r : s.rows) row(kernel::family_name(r.what), r.cells);
      out_ += "\n\n";
    }
  }

  const bundle_plan plan_;
  const bundle_options& o_;
  std::string out_;
};

// Colours are the reader's: one set of names, two sets of values.
inline constexpr std::string_view bundle_style = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1b1f27;--dim:#667085;--line:#e2e5ea;--soft:#f0f2f5;--ok:#177a4b;--warn:#a15c00;--bad:#b42318;--bar:#c9dcf7;
--gemm:#3b6fd8;--attention:#d9792b;--moe:#8a4fd0;--norm:#2a9d6f;--comm:#d1435b;--memory:#8c96a5;--activation:#b08900;--quant:#c2559d;--sampling:#1f9bb5;--elementwise:#6c8a3c;--other:#a5adba}
@media (prefers-color-scheme:dark){:root{--bg:#11141a;--card:#191d25;--ink:#e6e9ef;--dim:#98a2b3;--line:#2b313c;--soft:#212631;--ok:#4cc38a;--warn:#e5a14b;--bad:#f2837b;--bar:#274670;
--gemm:#6a97f0;--attention:#eb9d5b;--moe:#ab7fe6;--norm:#55c596;--comm:#ec7187;--memory:#7c8797;--activation:#d3ae3a;--quant:#dd83be;--sampling:#52bdd4;--elementwise:#95b561;--other:#646d7b}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1440px;margin:0 auto;padding:32px 24px 80px}h1{font-size:28px;margin:0 0 4px}h2{font-size:21px;margin:48px 0 12px;padding-bottom:6px;border-bottom:2px solid var(--line);overflow-wrap:anywhere}
h3{font-size:17px;margin:0 0 2px;overflow-wrap:anywhere}h4{font-size:14px;margin:26px 0 8px;text-transform:uppercase;letter-spacing:.05em;color:var(--dim)}h4 b{color:var(--ink);text-transform:none;letter-spacing:0}
.dim{color:var(--dim)}.lead{font-size:16px;margin:6px 0 10px}section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:22px 24px;margin:18px 0}
nav{columns:2;margin:18px 0}nav ul{margin:0;padding-left:18px}nav a,a{color:inherit}.badge{display:inline-block;border-radius:5px;padding:1px 9px;font-size:12px;font-weight:700;letter-spacing:.04em;color:#fff;margin-right:8px;vertical-align:2px}
.good{background:var(--ok)}.partial{background:var(--warn)}.unusable{background:var(--bad)}@media (prefers-color-scheme:dark){.badge{color:#11141a}}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 18px;margin:12px 0}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}ul{padding-left:20px}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13px}th{color:var(--dim);font-weight:600;text-align:left;white-space:nowrap;border-bottom:1px solid var(--line);padding:6px 14px 6px 0}
td{padding:5px 14px 5px 0;border-bottom:1px solid var(--soft);vertical-align:top}td.name,td.path,td.prose{overflow-wrap:anywhere}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}.w{white-space:normal;overflow-wrap:anywhere;min-width:150px}
td.name{font:12px/1.55 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;min-width:150px}td.name:first-child{min-width:320px}td.path{font:12px/1.55 ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;min-width:200px;color:var(--dim)}td.prose{min-width:180px}
td.bar{background:linear-gradient(var(--bar),var(--bar)) no-repeat left center/var(--w) 74%;min-width:74px}tr:hover td{background-color:var(--soft)}
.stack{display:flex;height:22px;border-radius:5px;overflow:hidden;margin:4px 0 6px;background:var(--soft)}.stack i{display:block;height:100%}.stage{color:var(--dim);margin-top:14px}.key{font-size:13px;margin-right:14px;white-space:nowrap}.key i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}
.c0{background:var(--gemm)}.c1{background:var(--attention)}.c2{background:var(--moe)}.c3{background:var(--norm)}.c4{background:var(--comm)}.c5{background:var(--memory)}.c6{background:var(--activation)}.c7{background:var(--quant)}.c8{background:var(--sampling)}.c9{background:var(--elementwise)}.cx{background:var(--other)}
details{margin-top:18px;border-top:1px solid var(--line);padding-top:10px}summary{cursor:pointer;font-weight:600}.warning{color:var(--warn);font-weight:600}@media print{body{background:#fff}section{break-inside:auto}}
)css";

class bundle_page {
 public:
  bundle_page(std::span<const bundle_item> items, const bundle_options& o) : plan_(items), o_(o) {}

  std::string write() {
    out_ += "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    out_ += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n";
    out_ += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<title>" + html_text(o_.title) + "</title>\n<style>";
    out_.append(bundle_style).append("</style>\n</head>\n<body>\n<main>\n<h1>" + html_text(o_.title) + "</h1>\n");
    if (!o_.generated.empty()) out_ += "<p class=\"dim\">Generated " + html_text(o_.generated) + "</p>\n";
    if (plan_.models.empty()) out_ += "<p>No data: there is no report in this bundle.</p>\n";
    else if (o_.contents) contents();
    for (std::size_t m = 0; m < plan_.models.size(); ++m) {
      const auto& model = plan_.models[m];
      out_ += "<h2 id=\"m" + std::to_string(m) + "\">" + html_text(bundle_plan::title(model)) + "</h2>\n";
      compare(model);
      for (std::size_t i = 0; i < model.items.size(); ++i) item(*model.items[i], "m" + std::to_string(m) + "-" + std::to_string(i));
    }
    return std::move(out_ += "</main>\n</body>\n</html>\n");
  }

 private:
  void contents() {
    out_ += "<nav><ul>\n";
    for (std::size_t m = 0; m < plan_.models.size(); ++m) {
      const auto& model = plan_.models[m];
      out_ += "<li><a href=\"#m" + std::to_string(m) + "\">" + html_text(bundle_plan::title(model)) + "</a><ul>\n";
      for (std::size_t i = 0; i < model.items.size(); ++i)
        out_ += "<li><a href=\"#m" + std::to_string(m) + "-" + std::to_string(i) + "\">" + html_text(framework_title(model.items[i]->report.framework) + ": " + bundle_plan::label(*model.items[i])) + "</a></li>\n";
      out_ += "</ul></li>\n";
    }
    out_ += "</ul></nav>\n";
  }

  static std::string_view color(kernel::family f) {
    using enum kernel::family;
    switch (f) {
      case gemm: case convolution: return "c0";
      case attention: case attention_prefill: case attention_decode: case linear_attention: case softmax: return "c1";
      case moe: case router: return "c2";
      case norm: case rope: return "c3";
      case comm: return "c4";
      case memcpy: case memset: case kv_cache: case embedding: return "c5";
      case activation: return "c6";
      case quant: return "c7";
      case sampling: return "c8";
      case elementwise: case reduce: return "c9";
      default: return "cx";
    }
  }
  static std::string width_of(double percent) { return words::fixed(!(percent > 0) ? 0 : percent > 100 ? 100 : percent, 2) + "%"; }

  void compare(const bundle_plan::model& model) {
    if (model.items.size() < 2) return;
    const triage_facts facts(model.items.front()->report, false);
    const auto reports = bundle_plan::reports(model);
    out_ += "<section>\n<h3>Side by side</h3>\n<p class=\"dim\">GPU time per step where the trace has steps of the stage, else in all; and its share of the stage.</p>\n";
    for (const kernel::across_stage& s : kernel::across(reports)) {
      out_ += "<h4><b>" + html_text(name_of(s.at)) + "</b></h4>\n<div class=\"wide\"><table><thead><tr><th>Family</th>";
      for (const bundle_item* i : model.items) out_ += "<th class=\"n w\">" + html_text(framework_title(i->report.framework)) + "<br>" + html_text(bundle_plan::label(*i), 96) + "</th>";
      out_ += "</tr></thead><tbody>\n";
      const auto row = [&](std::string_view name, const std::vector<kernel::across_cell>& cells, std::string_view c) {
        out_ += "<tr><td class=\"key\">" + (c.empty() ? "" : "<i class=\"" + std::string(c) + "\"></i>") + html_text(name) + "</td>";
        for (const kernel::across_cell& x : cells) out_ += "<td class=\"n bar\" style=\"--w:" + (c.empty() ? "0%" : width_of(x.share)) + "\">" + html_text(across_text(facts, x)) + "</td>";
        out_ += "</tr>\n";
      };
      row("all", s.sums, "");
      for (const auto& r : s.rows) row(kernel::family_name(r.what), r.cells, color(r.what));
      out_ += "</tbody></table></div>\n";
    }
    out_ += "</section>\n";
  }

  void item(const bundle_item& i, const std::string& id) {
    const kernel::triage_report& r = i.report;
    const triage_facts facts(r, false);
    const std::string_view health = kernel::health_names[static_cast<std::size_t>(r.check.verdict)];
    out_ += "<section id=\"" + id + "\">\n<h3>" + html_text(framework_title(r.framework)) + ": " + html_text(bundle_plan::label(i)) + "</h3>\n";
    out_ += "<p class=\"lead\"><span class=\"badge " + std::string(health) + "\">" + (health == "good" ? "OK" : health == "partial" ? "PARTIAL" : "NO DATA") + "</span>" + html_text(page::spaced(facts.headline())) + "</p>\n";
    lines(r);
    out_ += "<dl>";
    for (const auto& [label, text] : facts.about()) out_ += "<dt>" + html_text(label) + "</dt><dd>" + html_text(page::spaced(text), 2048) + "</dd>";
    out_ += "</dl>\n";
    for (const kernel::kernel_table& t : r.kernels) stack(facts, t);
    if (const sheet s = facts.stages(); !s.rows.empty()) table(s);
    for (const kernel::kernel_table& t : r.kernels) {
      heading("Kernels", t.at, triage_facts::launches(t.events));
      table(facts.kernels(t), {0, 1, 3, 2, 4, 7, 8, 10, 11, 5, 6}, 3);
      if (const std::string hidden = facts.hidden(t); !hidden.empty()) out_ += "<p class=\"dim\">" + html_text(hidden) + "</p>\n";
    }
    if (!r.overlaps.empty()) open("Overlap and idle time");
    for (const kernel::overlap_table& t : r.overlaps) {
      heading("Overlap", t.at, t.basis.empty() ? "" : "from " + t.basis);
      out_ += "<dl>";
      for (const auto& [label, text] : facts.device(t.time)) out_ += "<dt>" + html_text(label) + "</dt><dd>" + html_text(page::spaced(text), 2048) + "</dd>";
      out_ += "</dl>\n";
      table(facts.overlaps(t), {0, 6, 1, 2, 7, 4, 5, 3, 8, 9, 10});
    }
    if (!r.overlaps.empty()) out_ += "</details>\n";
    if (!r.fusions.empty()) open("Fusion");
    for (const kernel::fusion_table& t : r.fusions) {
      heading("Fusion", t.at, "");
      table(facts.fusions(t), {8, 0, 1, 2, 3, 10, 9, 4, 5, 6, 7, 11});
      if (!t.chains.empty()) table(facts.chains(t));
      if (t.similarity) out_ += "<p>Similarity " + html_text(t.similarity->first) + ": " + html_text(t.similarity->second, 2048) + "</p>\n";
    }
    if (!r.fusions.empty()) out_ += "</details>\n";
    if (!r.steps.empty()) open("Steps"), table(facts.steps(200)), out_ += r.steps.size() > 200 ? "<p class=\"dim\">" + words::count(r.steps.size() - 200) + " more</p></details>\n" : "</details>\n";
    if (!r.cpu_ops.empty()) out_ += "<h4>Operators of the host</h4>\n", table(facts.cpu_ops());
    bool calm = false;
    for (const kernel::finding& f : r.check.findings) calm = calm || !f.warning;
    if (calm || !r.notes.empty() || !r.hints.empty()) {
      open("Notes"), out_ += "<ul>";
      for (const kernel::finding& f : r.check.findings)
        if (!f.warning) out_ += "<li>" + html_text(f.text, 2048) + "</li>";
      for (const auto& [source, text] : r.notes) out_ += "<li>" + html_text(source.empty() ? text : source + ": " + text, 2048) + "</li>";
      for (const std::string& h : r.hints) out_ += "<li>" + html_text(h, 2048) + "</li>";
      out_ += "</ul></details>\n";
    }
    out_ += "</section>\n";
  }

  void lines(const kernel::triage_report& r) {
    bool warned = false;
    for (const kernel::finding& f : r.check.findings) warned = warned || f.warning;
    if (!warned && r.summary.empty()) return;
    out_ += "<ul>";
    for (const kernel::finding& f : r.check.findings)
      if (f.warning) out_ += "<li class=\"warning\">" + html_text(f.text, 2048) + "</li>";
    for (const std::string& s : r.summary) out_ += "<li>" + html_text(s, 2048) + "</li>";
    out_ += "</ul>\n";
  }
  void open(std::string_view title) { out_.append("<details open><summary>").append(title).append("</summary>\n"); }
  void heading(std::string_view what, kernel::stage at, const std::string& aside) {
    out_ += "<h4>" + std::string(what) + " <b>" + std::string(name_of(at)) + "</b>" + (aside.empty() ? "" : " \u00B7 " + html_text(aside)) + "</h4>\n";
  }

  // One bar per stage: what the families take of its GPU time.
  void stack(const triage_facts& facts, const kernel::kernel_table& t) {
    if (t.total.ns <= 0) return;
    out_ += "<div class=\"stage\">" + html_text(name_of(t.at)) + ", " + html_text(facts.time(t.total)) + "</div><div class=\"stack\">";
    std::string keys;
    for (const auto& [f, time] : t.by_family) {
      const double percent = 100 * time.s() / t.total.s();
      const std::string name = html_text(kernel::family_name(f)) + " " + triage_facts::share(percent);
      out_ += "<i class=\"" + std::string(color(f)) + "\" style=\"width:" + width_of(percent) + "\" title=\"" + name + "\"></i>";
      if (percent >= 0.95) keys += "<span class=\"key\"><i class=\"" + std::string(color(f)) + "\"></i>" + name + "</span> ";
    }
    out_ += "</div><div>" + keys + "</div>\n";
  }

  // Columns in the order of `chosen`, all if it is empty. `bar`: the column whose percentage is drawn behind it.
  void table(const sheet& s, std::vector<std::size_t> chosen = {}, std::size_t bar = SIZE_MAX) {
    if (chosen.empty())
      for (std::size_t c = 0; c < s.columns.size(); ++c) chosen.push_back(c);
    if (s.rows.empty()) {
      out_ += "<p class=\"dim\">" + html_text(s.placeholder, 2048) + "</p>\n";
      return;
    }
    std::erase_if(chosen, [&](std::size_t c) { return !s.says(c); });
    constexpr std::string_view classes[] = {"n", "", "name", "path", "prose"};  // by cell_kind
    out_ += "<div class=\"wide\"><table><thead><tr>";
    for (const std::size_t c : chosen) out_.append(s.columns[c].kind == cell_kind::number ? "<th class=\"n\">" : "<th>").append(s.columns[c].title).append("</th>");
    out_ += "</tr></thead><tbody>\n";
    for (std::size_t r = 0; r < s.rows.size(); ++r) {
      out_ += "<tr>";
      bool tip = r < s.tips.size();
      for (const std::size_t c : chosen) {
        const std::string& cell = s.rows[r][c];
        const std::string_view kind = classes[static_cast<std::size_t>(s.columns[c].kind)];
        out_.append("<td");
        if (!kind.empty()) out_.append(" class=\"").append(kind).append(c == bar ? " bar\"" : "\"");
        double percent = 0;
        if (c == bar && hotpath::text::to_number(std::string_view(cell).substr(0, cell.find('%')), percent)) out_ += " style=\"--w:" + width_of(percent) + "\"";
        if (tip && s.columns[c].kind == cell_kind::name) out_ += " title=\"" + html_text(s.tips[r]) + "\"", tip = false;
        out_ += ">" + html_text(cell, s.columns[c].kind == cell_kind::prose ? 2048 : 512) + "</td>";
      }
      out_ += "</tr>\n";
    }
    out_ += "</tbody></table></div>\n";
  }

  const bundle_plan plan_;
  const bundle_options& o_;
  std::string out_;
};

}  // namespace detail

HOTPATH_FN std::string bundle_markdown(std::span<const bundle_item> items, const bundle_options& options) { return detail::bundle_in_markdown{items, options}.write(); }
HOTPATH_FN std::string bundle_html(std::span<const bundle_item> items, const bundle_options& options) { return detail::bundle_page{items, options}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
