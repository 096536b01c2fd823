// SPDX-License-Identifier: Apache-2.0
// tools/traffic.cpp - hotpath traffic WHAT: validates a workload, counts it, shows how long its requests are, writes it as JSONL.
#include <algorithm>

#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/replay/workload.hpp>
#include <hotpath/report/words.hpp>

#include "cli.hpp"

namespace tools {

using namespace hotpath;
namespace words = report::words;

namespace {

// Powers of two as rows: the bounds of row k.
std::uint64_t from_of(std::size_t k) { return k == 0 ? 0 : std::uint64_t{1} << (k - 1); }
std::uint64_t to_of(std::size_t k) { return k == 0 ? 0 : from_of(k) + (from_of(k) - 1); }

void histogram(std::string& out, std::string_view title, const replay::length_counts& l, const terminal& t) {
  if (l.values.empty()) return;
  const auto whole = [](std::optional<double> v) { return words::count(static_cast<std::uint64_t>(*v + 0.5)); };
  out += "\n" + std::string(title) + "\n";
  out += "  n " + words::count(l.values.count()) + "   mean " + words::number(l.values.sum() / static_cast<double>(l.values.count())) + "   min " + whole(l.values.min()) +
         "   p50 " + whole(l.values.quantile(0.5)) + "   p90 " + whole(l.values.quantile(0.9)) + "   p99 " + whole(l.values.quantile(0.99)) + "   max " + whole(l.values.max()) + "\n";
  const std::uint64_t most = *std::max_element(l.by_width.begin(), l.by_width.end());
  const std::size_t room = std::clamp<std::size_t>(t.width, 60, 120) - 44;
  for (std::size_t k = 0; k < l.by_width.size(); ++k) {
    if (l.by_width[k] == 0) continue;
    std::string label = words::count(from_of(k)) + (to_of(k) > from_of(k) ? " to " + words::count(to_of(k)) : "");
    std::string n = words::count(l.by_width[k]);
    out += "  " + std::string(label.size() < 24 ? 24 - label.size() : 0, ' ') + label + std::string(n.size() < 12 ? 12 - n.size() : 0, ' ') + n + "  ";
    const auto full = static_cast<std::size_t>(static_cast<double>(room) * static_cast<double>(l.by_width[k]) / static_cast<double>(most) + 0.5);
    for (std::size_t i = 0; i < std::max<std::size_t>(full, 1); ++i) out += t.ascii ? "#" : "\u2588";
    out += '\n';
  }
}

std::string as_text(const replay::workload& load, const replay::workload_summary& s, const terminal& t) {
  std::string out = text::printable(load.description(), 256) + ": " + words::count(s.requests, "request");
  if (s.chats != 0) out += s.chats == s.requests ? ", all of them chat" : ", " + words::count(s.chats) + " of them chat";
  out += "\n  prompt lengths: " + std::string(load.prompt_lengths()) + "\n";
  if (s.with_id != 0) out += "  with an id of their own: " + words::count(s.with_id) + (s.duplicate_ids != 0 ? ", " + words::count(s.duplicate_ids) + " not unique" : "") + "\n";
  if (s.empty_prompts != 0) out += "  with an empty prompt: " + words::count(s.empty_prompts) + "\n";
  if (s.lost) out += "  lines skipped: " + report::loss_list(s.lost) + "\n";
  histogram(out, "prompt length, bytes of text", s.prompt_bytes, t);
  histogram(out, "prompt length, tokens", s.prompt_tokens, t);
  histogram(out, "output limit (max_tokens)", s.max_tokens, t);
  return out;
}

void lengths(json::writer& w, std::string_view name, const replay::length_counts& l) {
  w.key(name);
  if (l.values.empty()) return w.null();
  w.object_begin();
  w.member("n", l.values.count()), w.member("mean", l.values.sum() / static_cast<double>(l.values.count())), w.member("min", l.values.min());
  w.member("p50", l.values.quantile(0.5)), w.member("p90", l.values.quantile(0.9)), w.member("p99", l.values.quantile(0.99)), w.member("max", l.values.max());
  w.key("by_power_of_two"), w.array_begin();
  for (std::size_t k = 0; k < l.by_width.size(); ++k) {
    if (l.by_width[k] == 0) continue;
    w.object_begin(), w.member("from", from_of(k)), w.member("to", to_of(k)), w.member("n", l.by_width[k]), w.object_end();
  }
  w.array_end(), w.object_end();
}

std::string as_json(const replay::workload& load, const replay::workload_summary& s) {
  std::string out;
  json::writer w{out, 2};
  w.object_begin();
  w.member("schema", "hotpath.traffic/1"), w.member("workload", load.description()), w.member("prompt_lengths", load.prompt_lengths());
  w.member("requests", s.requests), w.member("chats", s.chats), w.member("with_id", s.with_id), w.member("duplicate_ids", s.duplicate_ids);
  w.member("empty_prompts", s.empty_prompts);
  w.key("loss"), w.object_begin(), w.member("dropped", s.lost.dropped), w.member("truncated", s.lost.truncated), w.member("malformed", s.lost.malformed);
  w.member("over_limit", s.lost.over_limit), w.member("late", s.lost.late), w.object_end();
  w.key("problems"), w.array_begin();
  for (const std::string& p : load.problems()) w.value(p);
  w.array_end();
  lengths(w, "prompt_bytes", s.prompt_bytes), lengths(w, "prompt_tokens", s.prompt_tokens), lengths(w, "max_tokens", s.max_tokens);
  w.key("missing"), w.object_begin();
  if (s.prompt_bytes.values.empty()) w.member("prompt_bytes", "no prompt is text");
  if (s.prompt_tokens.values.empty()) w.member("prompt_tokens", "tokens of text are not counted here");
  if (s.max_tokens.values.empty()) w.member("max_tokens", "no request has a limit");
  w.object_end();
  w.object_end();
  return out += '\n';
}

result<void> write(const traffic_flags& flags, const replay::workload_options& options, std::uint64_t limit) {
  if (auto may = may_write(*flags.write, {flags.traffic}); !may) return may.error();
  auto load = replay::workload::open(flags.traffic, options);
  if (!load) return load.error();
  output_file file{*flags.write};
  if (auto opened = file.open(); !opened) return opened.error();
  const auto written = replay::write_jsonl(*load, [&](std::string_view line) { return file.write(line); }, limit);
  if (!written) return written.error();
  if (auto closed = file.close(); !closed) return closed.error();
  if (!nobody_reads()) say("wrote " + words::count(*written, "request") + " to " + (*flags.write == "-" ? "stdout" : *flags.write));
  return {};
}

}  // namespace

exit_code traffic(const traffic_flags& flags) {
  const auto format = format_of(flags.out, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  const auto seed = read_count("--seed", flags.seed, 0, UINT64_MAX);
  if (!seed) return fail(seed.error(), exit_code::usage);
  std::uint64_t limit = 0;
  if (flags.requests) {
    const auto n = read_count("--requests", *flags.requests, 1, UINT64_MAX);
    if (!n) return fail(n.error(), exit_code::usage);
    limit = *n;
  }
  const replay::workload_options options{.seed = *seed, .prompt_ids = flags.prompt_ids, .strict = flags.strict};

  if (flags.write) {
    const auto written = write(flags, options, limit);
    if (!written) return fail(written.error(), code_of(written.error()));
    if (*flags.write == "-") return exit_code::ok;  // stdout is taken
  }
  auto load = replay::workload::open(flags.traffic, options);
  if (!load) return fail(load.error(), code_of(load.error()));
  const auto summary = replay::summarize(*load, limit);
  for (const std::string& problem : load->problems()) say(problem);
  if (!summary) return fail(summary.error(), code_of(summary.error()));
  print(*format == "json" ? as_json(*load, *summary) : as_text(*load, *summary, terminal_of(1)));
  return summary->lost ? exit_code::partial : exit_code::ok;
}

}  // namespace tools
