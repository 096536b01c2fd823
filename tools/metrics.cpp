// SPDX-License-Identifier: Apache-2.0
// tools/metrics.cpp - hotpath metrics PAGE [LATER]: what an engine says of itself, or what happened between two pages.
#include <algorithm>
#include <charconv>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/metrics/scrape.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/serve/server.hpp>

#include "cli.hpp"

namespace tools {

using namespace hotpath;
namespace words = report::words;

namespace {

bool is_address(const std::string& what) { return what.find("://") != std::string::npos || what.starts_with("unix:"); }

// A file is read up to the limit of a page and one byte more: the reader says that it was too long.
result<model::scrape> read_file(const std::string& path, const metrics::page_options& options) {
  const auto trouble = [&](int code) {
    return error{.code = errc::unreadable, .detail = std::string("cannot read: ") + std::strerror(code), .source = path,
                 .hint = code == ENOENT && path.find(':') != std::string::npos ? "an address begins with http://" : ""};
  };
  std::FILE* const f = std::fopen(path.c_str(), "rb");
  if (f == nullptr) return trouble(errno);
  std::string body;
  char part[1 << 16];
  errno = 0;
  for (std::size_t n; body.size() <= options.limits.body && (n = std::fread(part, 1, sizeof part, f)) != 0;) body.append(part, n);
  const int code = std::ferror(f) != 0 ? (errno != 0 ? errno : EIO) : 0;
  std::fclose(f);
  if (code != 0) return trouble(code);
  model::scrape s = metrics::read_page(body, options);
  if (!s.ok()) s.error = path + ": " + s.error;
  return s;
}

// ---- text -----------------------------------------------------------------------------------------------------------------

using row = std::vector<std::string>;

std::size_t columns_of(std::string_view s) {
  return static_cast<std::size_t>(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

// The first column and the last are flush left, and words under "unit" too; numbers are flush right.
std::string table(const std::vector<row>& rows) {
  std::vector<std::size_t> width;
  for (const row& r : rows)
    for (std::size_t i = 0; i < r.size(); ++i) {
      if (i >= width.size()) width.push_back(0);
      width[i] = (std::max)(width[i], columns_of(r[i]));
    }
  std::string out;
  for (const row& r : rows) {
    std::string line = "  ";
    for (std::size_t i = 0; i < r.size(); ++i) {
      const std::string pad(width[i] - columns_of(r[i]), ' ');
      const bool left = i == 0 || i + 1 == r.size() || rows.front()[i] == "unit";
      line += (i == 0 ? "" : "  ") + (left ? r[i] + pad : pad + r[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

struct printer {
  bool ascii = false;

  static std::string number(double v) {
    if (v == std::floor(v) && std::fabs(v) < 1e15) return (v < 0 ? "-" : "") + words::count(static_cast<std::uint64_t>(std::fabs(v)));
    return words::grouped(v);
  }
  // Edges are round numbers: 4 digits say them.
  static std::string edge(double v) {
    char out[32];
    return {out, std::to_chars(out, out + sizeof out, v, std::chars_format::general, 4).ptr};
  }
  std::string bounds(const std::optional<serve::bounds>& b) const {
    if (!b) return "-";
    const bool seconds = b->hi.value_or(b->lo) >= 10'000;
    const auto with_unit = [&](double ms) { return seconds ? edge(ms / 1000) + " s" : edge(ms) + " ms"; };
    if (!b->hi) return "> " + with_unit(b->lo);
    if (!(b->lo > 0)) return (ascii ? "<= " : "\u2264 ") + with_unit(*b->hi);
    return edge(seconds ? b->lo / 1000 : b->lo) + (ascii ? "-" : "\u2013") + with_unit(*b->hi);
  }
  void latency(std::vector<row>& rows, std::string name, const serve::bucketed& b, std::string tail) const {
    if (b.n > 0) rows.push_back({std::move(name), number(b.n), b.mean ? words::milliseconds(*b.mean) : "-", bounds(b.quantile[0]), bounds(b.quantile[1]), bounds(b.quantile[3]), std::move(tail)});
  }
  static row head(std::string tail) { return {"", "n", "mean", "p50", "p90", "p99", std::move(tail)}; }

  static std::string_view unit_of(std::string_view engine, model::engine_metric what) {
    const bool prefix = what == model::engine_metric::prefix_queries || what == model::engine_metric::prefix_hits;
    return prefix && engine == "trtllm" ? "blocks" : model::facts_of(what).unit;
  }
  // One page: gauges as they are, counters and histograms since the engine started.
  std::string page(const model::scrape& s) const {
    std::string out;
    std::vector<std::string> sources;
    for (const model::metric_series& m : s.series)
      if (std::find(sources.begin(), sources.end(), m.source) == sources.end()) sources.push_back(m.source);
    for (const std::string& source : sources) {
      std::vector<row> values = {{"", "value", "unit", "name"}}, times = {head("name")};
      for (const model::metric_series& m : s.series) {
        if (m.source != source) continue;
        const auto& facts = model::facts_of(m.what);
        const bool share = facts.unit == "share";
        if (facts.kind != model::metric_kind::histogram) values.push_back({std::string(facts.name), share ? words::number(m.value * 100) : number(m.value), share ? "%" : std::string(unit_of(s.engine, m.what)), m.name});
        else if (facts.unit != "s") values.push_back({std::string(facts.name), m.sum && m.value > 0 ? words::grouped(*m.sum / m.value) : "-", "mean of " + number(m.value), m.name});
        else latency(times, std::string(facts.name), serve::since_start(m), m.name);
      }
      if (!source.empty()) out += "\n" + source + "\n";
      out += "\n" + (values.size() > 1 ? table(values) : "") + (values.size() > 1 && times.size() > 1 ? "\n" : "") + (times.size() > 1 ? table(times) : "");
    }
    return out;
  }
  std::string figures(const serve::engine_figures& e, std::string_view engine) const {
    std::vector<row> values = {{"", "value", "unit", ""}}, times = {head("")};
    const auto gauge = [&](const char* name, const serve::engine_figures::gauge& g, double scale, const char* unit) {
      if (g.n != 0) values.push_back({name, words::grouped(g.mean * scale), unit, "mean of " + number(static_cast<double>(g.n)) + " scrapes, most " + words::grouped(g.max * scale)});
    };
    const auto counter = [&](const char* name, const std::optional<double>& v, const std::string& unit, const char* what = "") {
      if (v) values.push_back({name, number(*v), unit, what});
    };
    const auto share = [&](const char* name, const std::optional<double>& v, const char* what) {
      if (v) values.push_back({name, words::number(*v * 100), "%", what});
    };
    gauge("running", e.running, 1, "requests"), gauge("waiting", e.waiting, 1, "requests"), gauge("kv_usage", e.kv_usage, 100, "%");
    counter("kv_capacity", e.kv_capacity_tokens, "tokens"), counter("preemptions", e.preemptions, "requests"), counter("requests_finished", e.requests_finished, "requests");
    counter("prompt_tokens", e.prompt_tokens, "tokens"), counter("cached_prompt_tokens", e.cached_prompt_tokens, "tokens");
    counter("generation_tokens", e.generation_tokens, "tokens");
    share("prefix_hit_rate", e.prefix_hit_rate, "prefix_hits / prefix_queries");
    const std::string prefix_unit(unit_of(engine, model::engine_metric::prefix_hits));
    counter("prefix_queries", e.prefix_queries, prefix_unit), counter("prefix_hits", e.prefix_hits, prefix_unit);
    if (e.tokens_per_step) values.push_back({"tokens_per_step", words::grouped(*e.tokens_per_step), "tokens", "mean"});
    share("spec_acceptance", e.spec_acceptance, "accepted / drafted tokens");
    latency(times, "queue", e.queue, ""), latency(times, "prefill", e.prefill, ""), latency(times, "decode", e.decode, "");
    latency(times, "ttft", e.ttft, ""), latency(times, "itl", e.itl, ""), latency(times, "tpot", e.tpot, ""), latency(times, "e2e", e.e2e, "");
    return "\n" + (values.size() > 1 ? table(values) : "") + (values.size() > 1 && times.size() > 1 ? "\n" : "") + (times.size() > 1 ? table(times) : "");
  }
  std::string difference(const serve::server_section& s) const {
    std::string out = s.engines.empty() ? figures(s.all, s.engine) : "\nall engines\n" + figures(s.all, s.engine);
    for (const serve::engine_figures& e : s.engines) out += "\n" + e.source + "\n" + figures(e, s.engine);
    if (s.all.reset) out += "\n  The engine started anew between the two pages: figures count from there.\n";
    return out;
  }
};

// ---- JSON -----------------------------------------------------------------------------------------------------------------

void write(json::writer& w, std::string_view key, const std::vector<std::string>& list) {
  w.key(key), w.array_begin();
  for (const std::string& s : list) w.value(s);
  w.array_end();
}

void write(json::writer& w, std::string_view key, const model::loss& l) {
  w.key(key), w.object_begin();
  w.member("dropped", l.dropped), w.member("truncated", l.truncated), w.member("malformed", l.malformed), w.member("over_limit", l.over_limit), w.member("late", l.late);
  w.object_end();
}

std::string page_json(const model::scrape& s, const std::string& from) {
  std::string out;
  json::writer w{out, 2};
  w.object_begin(), w.member("schema", "hotpath.metrics/1"), w.member("kind", "page"), w.member("from", from), w.member("engine", s.engine);
  w.key("series"), w.array_begin();
  for (const model::metric_series& m : s.series) {
    const auto& facts = model::facts_of(m.what);
    constexpr std::string_view kinds[] = {"gauge", "counter", "histogram"};
    w.object_begin(), w.member("metric", facts.name), w.member("unit", facts.unit), w.member("kind", kinds[static_cast<std::size_t>(facts.kind)]);
    w.member("source", m.source), w.member("name", m.name), w.member("value", m.value);
    w.member("created_unix_s", m.created ? std::optional(m.created->s()) : std::nullopt);
    if (facts.kind == model::metric_kind::histogram) {
      w.member("sum", m.sum);
      w.key("buckets"), w.array_begin();
      for (const model::bucket& b : m.buckets) w.array_begin(), w.value(b.upper), w.value(b.cumulative), w.array_end();  // +Inf is null
      w.array_end();
    }
    w.object_end();
  }
  w.array_end();
  write(w, "problems", s.problems), write(w, "lost", s.lost);
  w.object_end();
  return out + "\n";
}

void write(json::writer& w, std::string_view key, const serve::bucketed& b) {
  w.key(key), w.object_begin(), w.member("n", b.n);
  const bool any = b.n > 0;
  w.member("mean", any ? b.mean : std::nullopt);
  for (std::size_t i = 0; i < serve::quantile_names.size(); ++i) {
    w.key(serve::quantile_names[i]);
    if (!any || !b.quantile[i]) w.null();
    else w.array_begin(), w.value(b.quantile[i]->lo), w.value(b.quantile[i]->hi), w.array_end();
  }
  w.member("reset", b.reset), w.member("missing", any ? std::optional<std::string>{} : std::optional(b.missing));
  w.object_end();
}

void write(json::writer& w, const serve::engine_figures& e) {
  w.object_begin(), w.member("source", e.source);
  for (const auto& [key, b] : {std::pair{"queue_ms", &e.queue}, {"prefill_ms", &e.prefill}, {"decode_ms", &e.decode}, {"ttft_ms", &e.ttft}, {"itl_ms", &e.itl}, {"tpot_ms", &e.tpot}, {"e2e_ms", &e.e2e}})
    write(w, key, *b);
  for (const auto& [key, g] : {std::pair{"running", &e.running}, {"waiting", &e.waiting}, {"kv_usage", &e.kv_usage}}) {
    w.key(key), w.object_begin(), w.member("n", g->n);
    w.member("mean", g->n != 0 ? std::optional(g->mean) : std::nullopt), w.member("max", g->n != 0 ? std::optional(g->max) : std::nullopt), w.object_end();
  }
  w.member("preemptions", e.preemptions), w.member("prompt_tokens", e.prompt_tokens), w.member("cached_prompt_tokens", e.cached_prompt_tokens);
  w.member("generation_tokens", e.generation_tokens), w.member("prefix_queries", e.prefix_queries), w.member("prefix_hits", e.prefix_hits);
  w.member("prefix_hit_rate", e.prefix_hit_rate), w.member("requests_finished", e.requests_finished), w.member("tokens_per_step", e.tokens_per_step);
  w.member("spec_acceptance", e.spec_acceptance), w.member("kv_capacity_tokens", e.kv_capacity_tokens), w.member("reset", e.reset);
  w.object_end();
}

std::string difference_json(const serve::server_section& s, const std::string& from, const std::string& to, const model::loss& lost) {
  std::string out;
  json::writer w{out, 2};
  w.object_begin(), w.member("schema", "hotpath.metrics/1"), w.member("kind", "difference"), w.member("from", from), w.member("to", to), w.member("engine", s.engine);
  w.key("all"), write(w, s.all);
  w.key("engines"), w.array_begin();
  for (const serve::engine_figures& e : s.engines) write(w, e);
  w.array_end();
  write(w, "problems", s.problems), write(w, "lost", lost);
  w.object_end();
  return out + "\n";
}

}  // namespace

exit_code metrics(const metrics_flags& flags) {
  const auto format = format_of(flags.out, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  const auto timeout = read_seconds("--timeout", flags.timeout);
  if (!timeout) return fail(timeout.error(), exit_code::usage);
  if (timeout->ns <= 0) return usage("--timeout must be above 0");
  metrics::scrape_options options{.timeout = *timeout};
  auto engine = read_engine(flags.engine);
  if (!engine) return fail(engine.error(), exit_code::usage);
  options.page.engine = std::move(*engine);
  auto headers = read_headers(flags.headers, {}, {});
  if (!headers) return fail(headers.error(), exit_code::usage);
  options.headers = std::move(*headers);

  std::vector<std::string> places = {flags.page};
  if (flags.later) places.push_back(*flags.later);
  std::vector<model::scrape> pages;
  bool partial = false;
  for (std::string& place : places) {
    options.url = place;
    auto s = is_address(place) ? metrics::scrape_once(options) : read_file(place, options.page);
    if (!s) return fail(s.error(), code_of(s.error()));
    if (!s->ok()) {
      // A body that came and is none is unusable; none at all is a server that cannot be reached.
      const bool came = !is_address(place) || s->error.find("not Prometheus text") != std::string::npos || s->lost;
      say(s->error);
      return came ? exit_code::unusable : exit_code::unreachable;
    }
    if (is_address(place)) place = text::redact_url(place);
    if (s->series.empty()) {
      say(place + ": " + (s->problems.empty() ? "nothing is known from this page" : s->problems.back()));
      return exit_code::unusable;
    }
    partial = partial || s->lost;
    pages.push_back(std::move(*s));
  }

  const terminal t = terminal_of(1);
  const printer p{t.ascii};
  std::vector<std::string> problems = pages[0].problems;
  std::string out;
  if (pages.size() == 1) {
    const model::scrape& s = pages[0];
    if (*format == "json") out = page_json(s, places[0]);
    else out = s.engine + ", " + text::printable(places[0]) + (s.end > s.begin ? ", answered in " + words::milliseconds((s.end - s.begin).ms()) : "") + "\n" + p.page(s);
  } else {
    const serve::server_section d = serve::difference(pages[0], pages[1]);
    if (!d.missing.empty()) return say(d.missing), exit_code::unusable;
    model::loss lost = pages[0].lost;
    lost += pages[1].lost;
    problems = d.problems;
    if (*format == "json") out = difference_json(d, places[0], places[1], lost);
    else out = d.engine + ", from " + text::printable(places[0]) + " to " + text::printable(places[1]) + "\n" + p.difference(d);
  }
  if (*format == "text" && !problems.empty()) {
    out += "\n";
    for (const std::string& problem : problems) out += "  ! " + problem + "\n";
  }
  print(out);
  return partial ? exit_code::partial : exit_code::ok;
}

}  // namespace tools
