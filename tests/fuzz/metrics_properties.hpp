// SPDX-License-Identifier: Apache-2.0
// What must hold of any page of metrics, for the fuzz targets prometheus and openmetrics.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hotpath/metrics/page.hpp>
#include <hotpath/serve/server.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz_metrics {
namespace metrics = hotpath::metrics;
namespace model = hotpath::model;

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz of metrics: %s\n", what);
  std::abort();
}

// Samples as text, labels sorted out by their own iterator.
struct recorder {
  std::string_view page;
  std::vector<std::string> samples;
  void inside(std::string_view v) const {
    require(v.empty() || (v.data() >= page.data() && v.data() + v.size() <= page.data() + page.size()), "a view lies outside of the page");
  }
  void sample(const metrics::sample& s) {
    inside(s.name), inside(s.labels.raw()), inside(s.exemplar_labels.raw());
    require(!s.name.empty(), "a sample without a name");
    std::string line(s.name), scratch;
    std::vector<std::string_view> names;
    s.labels.for_each([&](const metrics::label& l) {
      inside(l.name), inside(l.value);
      require(!l.name.empty(), "a label without a name");
      require(std::find(names.begin(), names.end(), l.name) == names.end(), "a label twice");
      names.push_back(l.name);
      require(l.escaped == (l.value.find('\\') != std::string_view::npos), "escaped says something else than the value");
      line += "|" + std::string(l.name) + "=" + std::string(metrics::unescape(l.value, scratch));
    });
    char number[32];
    line += " " + std::string(number, std::to_chars(number, number + 32, s.value).ptr);
    samples.push_back(line);
  }
  void type(std::string_view name, metrics::family_type) { inside(name); }
  void help(std::string_view name, std::string_view text) { inside(name), inside(text); }
  void unit(std::string_view name, std::string_view text) { inside(name), inside(text); }
};

struct picky {
  std::uint64_t n = 0;
  bool wants(std::string_view name) { return name.size() % 2 == 0; }
  void sample(const metrics::sample& s) {
    require(s.name.size() % 2 == 0, "a sample that was refused");
    ++n;
  }
};

inline void check_parse(std::string_view page, metrics::format f) {
  recorder all{page, {}};
  const metrics::parsed p = metrics::parse(page, all, {}, f);
  require(p.samples == all.samples.size() && p.unwanted == 0, "the books of samples");
  require((p.problem_line == 0) == (p.lost.total() == 0 || p.lines == 0 || page.size() > (16u << 20)), "a loss without a line, or a line without a loss");
  require(p.problem_line <= p.lines, "a problem behind the end");
  require(p.samples + p.lost.malformed + p.lost.over_limit + p.lost.truncated <= p.lines + 1, "more samples and losses than lines");
  // Fewer are allowed: those that remain are the same, in the same order.
  const std::uint64_t few = all.samples.size() / 2;
  recorder half{page, {}};
  const metrics::parsed q = metrics::parse(page, half, {.samples = few}, f);
  require(half.samples.size() == few && std::equal(half.samples.begin(), half.samples.end(), all.samples.begin()), "a limit changes what is before it");
  require(q.lines == p.lines, "a limit changes the count of lines");
  picky some;
  const metrics::parsed r = metrics::parse(page, some, {}, f);
  require(r.samples == some.n + r.unwanted && r.samples >= some.n, "the books of the unwanted");
  require(r.lines == p.lines, "refusing names changes the count of lines");
}

// Each line by itself says what it says within the page: nothing leaks from one into the next.
inline void check_lines(std::string_view page) {
  if (page.starts_with("\xef\xbb\xbf") || page.size() > 20'000) return;
  recorder all{page, {}}, single{page, {}};
  const metrics::parsed whole = metrics::parse(page, all, {}, metrics::format::text);
  std::uint64_t lines = 0, lost = 0;
  for (std::size_t at = 0; at < page.size();) {
    const std::size_t end = (std::min)(page.find('\n', at), page.size() - 1) + 1;
    if (page.substr(at).starts_with("\xef\xbb\xbf")) return;  // a byte order mark only at the start of a page
    const metrics::parsed p = metrics::parse(page.substr(at, end - at), single, {}, metrics::format::text);
    lines += p.lines, lost += p.lost.total();
    at = end;
  }
  require(whole.lines == lines && whole.lost.total() == lost, "line by line other books than whole");
  require(all.samples == single.samples, "line by line other samples than whole");
}

inline void check_scrape(const model::scrape& s) {
  require(s.error.size() < 4096 && s.problems.size() <= 33, "words without bounds");
  require(s.ok() || s.series.empty(), "series beside an error");
  for (std::size_t i = 0; i < s.series.size(); ++i) {
    const model::metric_series& m = s.series[i];
    require(m.value - m.value == 0, "a value that is not finite");
    require(m.value >= 0 || model::facts_of(m.what).kind == model::metric_kind::gauge, "a count below 0");
    require(!m.sum || *m.sum - *m.sum == 0, "a sum that is not finite");
    require(m.source.size() < 300, "a source without bounds");
    require(i == 0 || s.series[i - 1].what <= m.what, "series out of order");
    for (std::size_t k = i + 1; k < s.series.size() && k < i + 40; ++k) require(s.series[k].what != m.what || s.series[k].source != m.source, "a meaning twice for one engine");
    for (std::size_t k = 1; k < m.buckets.size(); ++k)
      require(m.buckets[k].upper > m.buckets[k - 1].upper && m.buckets[k].cumulative >= m.buckets[k - 1].cumulative, "buckets that cannot be used");
  }
}

inline void check_page(std::string_view page) {
  check_scrape(metrics::read_page(page));
  metrics::page_options tight;
  tight.sources = 2, tight.limits.samples = 5, tight.limits.body = 300, tight.engine = "vllm";
  check_scrape(metrics::read_page(page, tight));
}

inline void check_figures(const hotpath::serve::engine_figures& f) {
  for (const auto* b : {&f.queue, &f.prefill, &f.decode, &f.ttft, &f.itl, &f.tpot, &f.e2e}) {
    require(b->n >= 0 && (b->n > 0) == b->missing.empty(), "a latency neither there nor missing");
    for (const auto& q : b->quantile) require(!q || !q->hi || *q->hi >= q->lo, "bounds upside down");
  }
  for (const auto& c : {f.preemptions, f.prompt_tokens, f.generation_tokens, f.prefix_queries, f.prefix_hits, f.requests_finished}) require(!c || *c >= 0, "a difference below 0");
}

// The page split at a form feed: two scrapes of one engine.
inline void check_pair(std::string_view page) {
  const std::size_t cut = (std::min)(page.find('\f'), page.size());
  const model::scrape a = metrics::read_page(page.substr(0, cut)), b = metrics::read_page(page.substr((std::min)(cut + 1, page.size())));
  for (const auto& section : {hotpath::serve::difference(a, b), hotpath::serve::difference(b, a), hotpath::serve::difference(a, a)}) {
    if (!section.missing.empty()) continue;
    check_figures(section.all);
    for (const auto& e : section.engines) check_figures(e);
  }
  const auto same = hotpath::serve::difference(a, a);
  require(!same.all.reset && (!same.all.prompt_tokens || *same.all.prompt_tokens == 0), "a difference to itself");
}

}  // namespace fuzz_metrics
