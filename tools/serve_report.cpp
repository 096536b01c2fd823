// SPDX-License-Identifier: Apache-2.0
// tools/serve_report.cpp - hotpath serve-report RUN: the report of a stored run.
#include "serve_report.hpp"

#include <hotpath/core/text.hpp>
#include <hotpath/core/utc.hpp>
#include <hotpath/report/json.hpp>
#include <hotpath/report/markdown.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/report/triage_json.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include <hotpath/serve.hpp>

namespace tools {

using namespace hotpath;

namespace {

// The kernel reports that were kept with the run (hotpath triage --into), behind the report of its requests.
result<void> add_profiles(std::string& out, run::stored_run& run, const std::string& path, const std::string& format, const terminal& t) {
  const auto kept = run.kernel_profiles();
  if (!kept) return kept.error();
  std::string list;
  for (const run::kernel_profile& p : *kept) {
    const auto r = report::read_triage(p.report, path);
    if (!r) return r.error();
    const std::string title = "Kernel profile of " + text::printable(p.source, 512) + ", kept " + text::utc(p.added, 0);
    if (format == "text") out += "\n" + title + "\n\n" + report::text(*r, {.width = t.width, .color = t.color, .ascii = t.ascii});
    else if (format == "md") out += "\n" + report::detail::triage_markdown_of(*r, "### ");
    else list.append(list.empty() ? "\n    " : ",\n    ").append(report::json(*r, 0)), list.pop_back();
  }
  if (format == "json" && !list.empty()) out.resize(out.rfind("\n}")), out.append(",\n  \"kernel_profiles\": [").append(list).append("\n  ]\n}\n");
  return {};
}

}  // namespace

exit_code print_report(const std::string& path, const std::string& format, const std::optional<model::slo>& slo, const report::judge_options& judge) {
  auto run = run::stored_run::open(path);
  if (!run) return fail(run.error(), code_of(run.error()));
  model::run_info info = run->info();
  if (slo) info.slo = *slo;
  if (judge.gate && !info.slo) return usage("--gate needs limits to hold: add --slo, such as --slo ttft=500ms,tpot=50ms");

  serve::summarizer all;
  auto read = run->for_each_request([&](const model::request& r) { all.add(r); });
  if (read) read = run->for_each_client_interval([&](const model::client_interval& i) { all.add(i); });
  if (read) read = run->for_each_scrape([&](const model::scrape& x) { all.add(x); });
  if (!read) return fail(read.error(), code_of(read.error()));
  const serve::report r = all.finish(info);

  const terminal t = terminal_of(1);
  std::string out = format == "json" ? report::json(r) : format == "md" ? report::markdown(r, judge)
                    : report::text(r, {.width = t.width, .color = t.color, .ascii = t.ascii, .judge = judge});
  if (auto added = add_profiles(out, *run, path, format, t); !added) return fail(added.error(), code_of(added.error()));
  print(out);
  const report::verdict v = report::judge(r, judge);
  if (format == "json")
    for (const std::string& why : v.reasons) say(why);
  return v.code;
}

exit_code serve_report(const serve_report_flags& flags) {
  const auto format = format_of(flags.out, {"text", "json", "md"});
  if (!format) return fail(format.error(), exit_code::usage);
  const auto gate = read_gate(flags.gate);
  if (!gate) return fail(gate.error(), exit_code::usage);
  std::optional<model::slo> slo;
  if (flags.slo) {
    const auto limits = read_slo(*flags.slo);
    if (!limits) return fail(limits.error(), exit_code::usage);
    slo = *limits;
  }
  return print_report(file_of_run(flags.run), *format, slo, {.gate = *gate});
}

}  // namespace tools
