// SPDX-License-Identifier: Apache-2.0
// tools/serve_report.cpp - hotpath serve-report RUN: the report of a stored run.
#include "serve_report.hpp"

#include <hotpath/report/json.hpp>
#include <hotpath/report/markdown.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include <hotpath/serve.hpp>

namespace tools {

using namespace hotpath;

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
  print(format == "json" ? report::json(r) : format == "md" ? report::markdown(r, judge)
        : report::text(r, {.width = t.width, .color = t.color, .ascii = t.ascii, .judge = judge}));
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
