// SPDX-License-Identifier: Apache-2.0
// tools/triage.cpp - hotpath triage TRACE: where the GPU time of a trace went, what could overlap, what could fuse.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <hotpath/core/text.hpp>
#include <hotpath/core/utc.hpp>
#include <hotpath/kernel.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/report/triage_json.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include <hotpath/trace/discover.hpp>
#include <hotpath/trace/file_name.hpp>

#include "progress.hpp"
#include "triage.hpp"

namespace tools {

using namespace hotpath;

result<std::string> read_text_file(const std::string& path, std::size_t most) {
  std::FILE* const f = std::fopen(path.c_str(), "rb");
  const auto wrong = [&](const char* what) { return error{.code = errno == ENOENT ? errc::not_found : errc::unreadable, .detail = std::string(what) + ": " + std::strerror(errno), .source = text::printable(path)}; };
  if (f == nullptr) return wrong("cannot be opened");
  std::string out;
  char part[1 << 16];
  for (std::size_t n; (n = std::fread(part, 1, sizeof part, f)) != 0 && out.size() <= most;) out.append(part, n);
  const std::optional<error> failed = std::ferror(f) != 0 ? std::optional(wrong("cannot be read")) : std::nullopt;
  std::fclose(f);
  if (failed) return *failed;
  if (out.size() > most) return error{.code = errc::over_limit, .detail = "has more than " + std::to_string(most >> 20) + " MiB", .source = text::printable(path)};
  return out;
}

result<std::optional<kernel::stage>> read_stage(const given& v) {
  if (!v || *v == "all") return std::optional<kernel::stage>{};
  using enum kernel::stage;
  constexpr std::pair<std::string_view, kernel::stage> known[] = {{"prefill", prefill}, {"extend", prefill}, {"extend/prefill", prefill}, {"decode", decode}, {"mixed", mixed}, {"verify", verify}, {"draft", draft}};
  for (const auto& [word, s] : known)
    if (text::equal_ignoring_case(*v, word)) return std::optional<kernel::stage>{s};
  return error{.code = errc::usage, .detail = "\"" + text::printable(*v, 64) + "\" is no stage, want prefill, decode, mixed, verify, draft or all", .source = "--stage"};
}
namespace {

std::string last_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

result<found_traces> find_traces(const std::string& path, std::optional<int> rank) {
  auto d = trace::discover(path, {.inflate = head_of, .rank = rank});
  if (!d) {
    // Of one file its reader says more than its first bytes did: what stats and trace info say.
    struct stat s {};
    if (::stat(path.c_str(), &s) != 0 || S_ISREG(s.st_mode))
      if (auto t = read_trace(path); !t) return t.error();
    return d.error();
  }
  if (d->traces.empty())
    return error{.code = errc::empty, .detail = "has no trace of a running engine, but " + std::to_string(d->captures.size()) + " of captures of graphs" + (rank ? ", for this rank" : ""),
                 .source = text::printable(path), .hint = "name the file, or give it with --capture beside the trace whose graphs it captured"};
  found_traces f;
  f.all = std::move(*d);
  std::optional<int> lowest;
  for (const auto& t : f.all.traces)
    if (t.rank && (!lowest || *t.rank < *lowest)) lowest = t.rank;
  for (const auto& t : f.all.traces) (!t.rank || t.rank == lowest ? f.first : f.others).push_back(t);
  return f;
}

std::vector<std::string> files_at(const std::string& path) {
  std::vector<std::string> out = {path};
  const auto d = trace::discover(path, {.inflate = head_of});
  if (!d) return out;
  for (const auto* traces : {&d->traces, &d->captures})
    for (const auto& t : *traces) out.push_back(t.path);
  for (const auto& s : d->skipped) out.push_back(s.path);
  out.push_back(d->server_args);
  return out;
}

result<model::timeline> read_one_trace(const std::string& path) {
  progress bar(path);
  auto t = read_trace(path, &bar);
  bar.clear();
  return t;
}

result<kernel::triage_report> analyse(const triage_flags& f) {
  const bool two = f.mapping || f.formal;
  const std::string input = two ? *f.formal : *f.input;
  kernel::triage_options o;
  if (f.framework && *f.framework != "auto") {
    o.framework = kernel::framework_of_flag(*f.framework);
    if (o.framework.empty()) return error{.code = errc::usage, .detail = "\"" + text::printable(*f.framework, 64) + "\" is no framework, want auto, sglang, vllm, trtllm or tokenspeed", .source = "--framework"};
  }
  const auto share = read_number("--min-share", f.min_share, 0, 100);
  if (!share) return share.error();
  o.min_share = *share;
  const auto at = read_stage(f.stage);
  if (!at) return at.error();
  o.at = *at;
  const auto range = f.time_range ? read_range("--time-range", *f.time_range) : time_span{};
  if (!range) return range.error();
  o.from = range->from, o.to = range->to;
  std::optional<int> rank;
  const bool all_ranks = f.rank && *f.rank == "all";
  if (f.rank && !all_ranks) {
    const auto n = read_count("--rank", *f.rank, 0, 1'000'000);
    if (!n) return n.error();
    rank = static_cast<int>(*n);
  }
  const auto kernels = read_count("--kernel-table-limit", f.kernel_limit, 0, 1'000'000'000), overlaps = read_count("--overlap-table-limit", f.overlap_limit, 0, 1'000'000'000);
  if (!kernels) return kernels.error();
  if (!overlaps) return overlaps.error();
  o.kernel_limit = static_cast<std::size_t>(*kernels), o.overlap_limit = static_cast<std::size_t>(*overlaps);
  if (f.pid_substring) o.pid_part = *f.pid_substring;

  if (f.server_log) {
    const auto log = read_text_file(*f.server_log, 1u << 30);
    if (!log) return log.error();
    if (const auto wrong = kernel::find_wrong_backend(*log))
      return error{.code = errc::unsupported, .detail = "the server ran a diffusion pipeline of another library (\"" + std::string(wrong->words) + "\"): its kernels are no evidence of the engine", .source = text::printable(*f.server_log), .line = wrong->line, .hint = "select the engine's own backend first"};
  }
  std::vector<kernel::fuse_pattern> patterns;
  if (f.patterns) {
    const auto words = read_text_file(*f.patterns, 16u << 20);
    if (!words) return words.error();
    auto own = kernel::parse_patterns(*words);
    if (!own) return error{.code = own.error().code, .detail = own.error().detail, .source = text::printable(*f.patterns), .line = own.error().line, .column = own.error().column, .hint = own.error().hint};
    patterns = std::move(*own);                        // with the built-in ones, as far as the file does not replace them
    o.patterns = patterns;
  }

  auto files = find_traces(input, rank);
  if (!files) return files.error();
  std::vector<std::pair<std::string, std::string>> notes;
  const std::string args_path = f.server_args.value_or(files->all.server_args);
  kernel::server_args args;
  if (!args_path.empty()) {
    const auto words = read_text_file(args_path, kernel::args_limits{}.bytes);
    if (!words && f.server_args) return words.error();
    auto read = words ? kernel::parse_server_args(*words) : result<kernel::server_args>(words.error());
    if (read) args = std::move(*read), o.args = &args;
    else if (f.server_args) return error{.code = read.error().code, .detail = read.error().detail, .source = text::printable(args_path), .line = read.error().line, .column = read.error().column};
    else notes.emplace_back(last_of(args_path), "not used: " + read.error().detail);
  }

  // Traces that kernels are mapped with: whole in memory, as long as the others are looked at.
  std::optional<model::timeline> mapping;
  std::vector<model::timeline> captures;
  std::vector<std::string> mapping_names, capture_names;
  if (two) {
    auto m = find_traces(*f.mapping, rank);
    if (!m) return m.error();
    auto t = read_one_trace(m->first.front().path);
    if (!t) return t.error();
    mapping = std::move(*t);
    mapping_names.push_back(m->first.front().path);
    for (std::size_t i = 1; i < m->first.size(); ++i) notes.emplace_back(last_of(m->first[i].path), "not read: one mapping trace is enough");
  }
  std::vector<std::string> capture_paths = f.captures;
  for (const auto& c : files->all.captures) capture_paths.push_back(c.path);
  for (const std::string& path : capture_paths) {
    auto t = read_one_trace(path);
    if (!t && std::find(f.captures.begin(), f.captures.end(), path) != f.captures.end()) return t.error();
    if (t) captures.push_back(std::move(*t)), capture_names.push_back(path);
    else notes.emplace_back(last_of(path), "not used as a capture: " + t.error().detail);
  }
  std::vector<const model::timeline*> capture_pointers;
  for (const model::timeline& c : captures) capture_pointers.push_back(&c);
  o.mapping = mapping ? &*mapping : nullptr, o.captures = capture_pointers;

  kernel::triager all(o);
  std::optional<error> nothing;   // what the first trace says in which the options leave nothing; of several, one with something is enough
  bool any = false;
  for (const auto& one : files->first) {
    auto t = read_one_trace(one.path);
    if (!t) return t.error();
    auto added = all.add(*t, {.label = one.label, .name = one.path, .rank = rank});
    if (!added && added.error().code != errc::empty) return added.error();
    if (added) any = true;
    else if (files->first.size() > 1) notes.emplace_back(last_of(one.path), added.error().detail);
    if (!added && !nothing) nothing = added.error();
  }
  if (!any && nothing) return *nothing;
  if (all_ranks) {
    for (const auto& one : files->others) {
      auto t = read_one_trace(one.path);
      if (!t) return t.error();
      if (auto added = all.add_rank(*t, {.label = one.label, .name = one.path}); !added) return added.error();
    }
  } else if (!files->others.empty()) {
    notes.emplace_back("", std::to_string(files->others.size()) + " traces of other ranks are not looked at; --rank all compares them");
  }
  kernel::triage_report r = all.finish();
  r.mapping_inputs = std::move(mapping_names), r.capture_inputs = std::move(capture_names);
  std::size_t left = 0;
  for (const auto& s : files->all.skipped)
    if (++left <= 20) notes.emplace_back(last_of(s.path), "not read: " + s.reason);
  if (left > 20) notes.emplace_back("", std::to_string(left - 20) + " more files are not read");
  r.notes.insert(r.notes.begin(), notes.begin(), notes.end());
  return r;
}

exit_code triage_code(const error& e) {
  return e.code == errc::usage ? exit_code::usage : e.code == errc::internal ? exit_code::internal : exit_code::unusable;
}

exit_code triage(const triage_flags& given_flags) {
  triage_flags f = given_flags;
  const auto format = format_of(f.out, {"text", "md", "json", "csv", "csv:kernels", "csv:overlaps", "csv:fusions", "csv:steps", "csv:devices"});
  if (!format) return fail(format.error(), exit_code::usage);
  if (f.positional) {
    if (f.input) return usage("one trace, please: TRACE and --input name two");
    f.input = f.positional;
  }
  if (f.input && (f.mapping || f.formal)) return usage("--input is for one trace, --mapping-input and --formal-input for two: not all of them");
  if (!f.input && !f.mapping && !f.formal) return usage("a trace is missing: hotpath triage TRACE; see hotpath triage --help");
  if (!f.input && (!f.mapping || !f.formal)) return usage("--mapping-input and --formal-input go together: " + std::string(f.mapping ? "--formal-input" : "--mapping-input") + " is missing");
  if (f.formula_guard && !format->starts_with("csv")) return usage("--formula-guard is for --format csv");
  if (f.into)   // no run, no reason to read the trace
    if (auto run = run::stored_run::open(file_of_run(*f.into)); !run) return fail(run.error(), code_of(run.error()));

  auto r = analyse(f);
  if (!r) return fail(r.error(), triage_code(r.error()));
  const terminal t = terminal_of(1);
  std::string out;
  if (*format == "json") out = report::json(*r);
  else if (*format == "md") out = report::markdown(*r);
  else if (*format == "text") out = report::text(*r, {.width = t.width, .color = t.color, .ascii = t.ascii});
  else
    for (std::size_t k = 0; k < std::size(report::triage_table_names); ++k) {
      if (*format != "csv" && format->substr(4) != report::triage_table_names[k]) continue;
      out += (out.empty() ? "" : "\n") + report::csv(*r, static_cast<report::triage_table>(k), {.formula_guard = f.formula_guard});
    }
  if (f.into) {
    std::string source;
    for (const std::string& i : r->inputs) source += (source.empty() ? "" : ", ") + last_of(i);
    if (auto kept = run::stored_run::keep(file_of_run(*f.into), {source, realtime_now(), report::json(*r)}); !kept) return fail(kept.error(), code_of(kept.error()));
    say("kept in " + text::printable(file_of_run(*f.into)) + "; hotpath serve-report prints it");
  }
  if (!print(out)) return exit_code::internal;
  if (*format != "text" && *format != "md")
    for (const kernel::finding& x : r->check.findings)
      if (x.warning) say(text::printable(x.text, 1024));
  return report::code_of(*r);
}

}  // namespace tools
