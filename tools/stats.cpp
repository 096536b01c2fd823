// SPDX-License-Identifier: Apache-2.0
// tools/stats.cpp - hotpath stats TRACE: the summaries of nsys stats, of an export of nsys or a trace of torch's profiler.
#include <unistd.h>

#include <algorithm>

#include <hotpath/core/text.hpp>
#include <hotpath/kernel/stats.hpp>
#include <hotpath/report/stats.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>

#include "progress.hpp"

namespace tools {

using namespace hotpath;
using kernel::stats_report;

namespace {

result<std::vector<stats_report>> read_reports(const given& list) {
  using enum stats_report;
  if (!list) return std::vector{cuda_api_sum, cuda_gpu_kern_sum, cuda_gpu_mem_time_sum, cuda_gpu_mem_size_sum, nvtx_sum};
  std::vector<stats_report> all;
  std::string wrong;
  text::split(*list, ',', [&](std::string_view name) {
    const auto r = kernel::stats_report_of(name);
    if (!r) wrong = wrong.empty() ? name.empty() ? "\"\"" : std::string(name) : wrong;
    else if (std::find(all.begin(), all.end(), *r) == all.end()) all.push_back(*r);
  });
  if (wrong.empty()) return all;
  std::string known;
  for (const std::string_view name : kernel::stats_report_names) known.append(known.empty() ? "" : ", ").append(name);
  return error{.code = errc::usage, .detail = "no report is called " + wrong + ", want any of " + known, .source = "--report"};
}

}  // namespace

exit_code stats(const stats_flags& flags) {
  const auto format = format_of(flags.out, {"table", "csv", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  if (*format != "csv" && flags.formula_guard) return usage("--formula-guard is for --format csv");
  const auto reports = read_reports(flags.report);
  if (!reports) return fail(reports.error(), exit_code::usage);

  std::vector<kernel::stats_collector> sums(static_cast<std::size_t>((std::clamp)(::sysconf(_SC_NPROCESSORS_ONLN), 1L, 4L)));
  const auto asked = [&](std::initializer_list<stats_report> any) {
    return std::any_of(any.begin(), any.end(), [&](stats_report r) { return std::find(reports->begin(), reports->end(), r) != reports->end(); });
  };
  using enum stats_report;
  const trace::nsys_wants wants{.kernels = asked({cuda_gpu_kern_sum, cuda_gpu_kern_sum_base, cuda_gpu_kern_sum_mangled}), .copies = asked({cuda_gpu_mem_time_sum, cuda_gpu_mem_size_sum}),
                                .api = asked({cuda_api_sum}), .annotations = asked({nvtx_sum}), .syncs = false, .short_names = asked({cuda_gpu_kern_sum_base, cuda_gpu_kern_sum_mangled}), .brief = true};
  const bool nsys = is_nsys(flags.trace);
  auto about = nsys ? trace::scan_nsys<kernel::stats_collector>(flags.trace, sums, wants) : read_trace(flags.trace);
  if (!about) return fail(about.error(), code_of(about.error()));
  if (!nsys) sums[0].add(*about);

  std::vector<kernel::stats_table> tables;
  for (const stats_report r : *reports) tables.push_back(sums[0].table(r, *about));
  const bool any = std::any_of(tables.begin(), tables.end(), [](const kernel::stats_table& t) { return !t.rows.empty(); });
  std::string out;
  if (*format == "json") out = report::stats_json(tables, *about);
  else
    for (const kernel::stats_table& t : tables) {
      out += (out.empty() ? "" : "\n") + (*format == "csv" ? report::stats_csv(t, flags.formula_guard) : report::stats_text(t, terminal_of(1).ascii));
      if (*format != "csv") continue;
      const std::string of(name_of(t.report));
      if (t.rows.empty()) say(of + ": " + t.missing);
      for (const std::string& note : t.notes) say(of + ": " + note);
    }
  for (const model::trace_loss& l : about->lost)
    say(flags.trace + ": " + std::string(name_of(l.fault)) + " " + std::to_string(l.count) + (l.note.empty() ? "" : ": " + l.note));
  if (!print(out)) return exit_code::internal;
  return !any ? exit_code::unusable : about->partial() ? exit_code::partial : exit_code::ok;
}

}  // namespace tools
