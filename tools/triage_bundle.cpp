// SPDX-License-Identifier: Apache-2.0
// tools/triage_bundle.cpp - hotpath triage-bundle [LABEL=]PATH...: several analyses as one document.
#include <filesystem>
#include <fstream>
#include <hotpath/core/text.hpp>
#include <hotpath/core/utc.hpp>
#include <hotpath/report/bundle.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/report/triage_json.hpp>

#include "triage.hpp"

namespace tools {

using namespace hotpath;

namespace {

// A saved report begins with its schema; anything else is a trace, or a folder of traces.
bool is_report(const std::string& path) {
  char head[256] = {};
  std::ifstream(path, std::ios::binary).read(head, sizeof head);
  return std::string_view(head, sizeof head).find("\"hotpath.triage/") != std::string_view::npos;
}

}  // namespace

exit_code triage_bundle(const bundle_flags& f) {
  const bool page = f.output && (text::lower(*f.output).ends_with(".html") || text::lower(*f.output).ends_with(".htm"));   // the name says it
  const auto format = page ? format_of(f.out, {"html", "md"}) : format_of(f.out, {"md", "html"});
  if (!format) return fail(format.error(), exit_code::usage);
  std::vector<std::pair<std::string, std::string>> named;   // label, path
  std::vector<std::string> inputs;
  for (const std::string& word : f.items) {
    // LABEL=PATH, unless a file has that whole name.
    std::string label, path = word;
    std::error_code none;
    if (const std::size_t equals = word.find('='); equals != std::string::npos && equals != 0 && word.find('/') > equals && !std::filesystem::exists(word, none)) label = word.substr(0, equals), path = word.substr(equals + 1);
    if (path.empty()) return usage("\"" + text::printable(word, 64) + "\" names no file; see hotpath triage-bundle --help");
    if (f.output)
      for (std::string& file : files_at(path)) inputs.push_back(std::move(file));
    named.emplace_back(std::move(label), std::move(path));
  }
  if (f.output)
    if (auto may = may_write(*f.output, inputs); !may) return fail(may.error(), code_of(may.error()));

  std::vector<report::bundle_item> items;
  exit_code worst = exit_code::ok;
  for (const auto& [label, path] : named) {
    report::bundle_item item{label, {}};
    if (is_report(path)) {
      const auto words = read_text_file(path, 256u << 20);
      auto r = report::read_triage(*words, path);
      if (!r) return fail(r.error(), exit_code::unusable);
      item.report = std::move(*r);
      if (item.label.empty()) item.label = path.substr(path.find_last_of('/') + 1);
    } else {
      triage_flags one;
      one.input = path, one.framework = f.framework, one.min_share = f.min_share, one.rank = f.rank;
      auto r = analyse(one);
      if (!r) return fail(r.error(), triage_code(r.error()));
      item.report = std::move(*r);
    }
    for (const kernel::finding& x : item.report.check.findings)
      if (x.warning) say(path + ": " + text::printable(x.text, 1024));
    if (const exit_code c = report::code_of(item.report); c != exit_code::ok && worst != exit_code::unusable) worst = c;
    items.push_back(std::move(item));
  }
  report::bundle_options o;
  if (f.title && !f.title->empty()) o.title = *f.title;
  o.generated = text::utc(realtime_now(), 0);
  o.contents = !f.no_contents;
  const std::string document = *format == "md" ? report::bundle_markdown(items, o) : report::bundle_html(items, o);
  if (f.output) {
    output_file file(*f.output);
    if (auto opened = file.open(); !opened) return fail(opened.error(), code_of(opened.error()));
    file.write(document);
    if (auto closed = file.close(); !closed) return fail(closed.error(), code_of(closed.error()));
  } else if (!print(document)) {
    return exit_code::internal;
  }
  return worst;
}

}  // namespace tools
