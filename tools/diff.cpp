// SPDX-License-Identifier: Apache-2.0
// tools/diff.cpp - hotpath diff A B: two traces, and what got slower.
#include <hotpath/kernel/compare.hpp>
#include <hotpath/kernel/subject.hpp>
#include <hotpath/report/compare.hpp>

#include "progress.hpp"
#include "triage.hpp"

namespace tools {

using namespace hotpath;

exit_code diff(const diff_flags& f) {
  const auto format = format_of(f.out, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  const auto margin = read_number("--margin", f.margin, 0, 100), share = read_number("--min-share", f.min_share, 0, 100);
  if (!margin) return fail(margin.error(), exit_code::usage);
  if (!share) return fail(share.error(), exit_code::usage);
  kernel::subject_options so;
  if (const auto at = read_stage(f.stage); !at) return fail(at.error(), exit_code::usage);
  else so.only = *at;
  std::optional<int> rank;
  if (f.rank) {
    const auto n = read_count("--rank", *f.rank, 0, 1'000'000);
    if (!n) return fail(n.error(), exit_code::usage);
    rank = static_cast<int>(*n);
  }

  model::timeline traces[2];
  kernel::subject sides[2];
  bool partial = false;
  for (const std::size_t i : {0u, 1u}) {
    auto found = find_traces(i == 0 ? f.a : f.b, rank);
    if (!found) return fail(found.error(), triage_code(found.error()));
    const auto& one = found->first.front();
    if (found->first.size() > 1) say(one.path + " is compared, " + std::to_string(found->first.size() - 1) + " more of " + (i == 0 ? f.a : f.b) + " not: name the file that is meant");
    auto t = read_one_trace(one.path);
    if (!t) return fail(t.error(), triage_code(t.error()));
    traces[i] = std::move(*t);
    partial |= traces[i].partial();
    if (traces[i].gpu.empty()) return fail({.code = errc::empty, .detail = "has no GPU event: there is nothing to compare", .source = one.path}, exit_code::unusable);
    so.file_label = one.label, so.rank = rank;
    sides[i] = kernel::look_at(traces[i], so);
    if (const std::string why = kernel::why_nothing(sides[i], so); !why.empty()) return fail({.code = errc::empty, .detail = why, .source = one.path}, exit_code::unusable);
  }
  const kernel::comparison c = kernel::compare(sides[0], sides[1], {.margin = *margin, .min_share = *share});
  const report::compare_labels labels{f.a, f.b};
  const terminal t = terminal_of(1);
  if (!print(*format == "json" ? report::json(c, labels) : report::text(c, labels, {.width = t.width, .color = t.color, .ascii = t.ascii}))) return exit_code::internal;
  const int code = kernel::exit_code(c);
  return code == 0 && partial ? exit_code::partial : static_cast<exit_code>(code);
}

}  // namespace tools
