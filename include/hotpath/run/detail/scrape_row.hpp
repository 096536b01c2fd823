// SPDX-License-Identifier: Apache-2.0
// hotpath/run/detail/scrape_row.hpp - a scrape as it is stored: its figures as one JSON text, which SQLite's json_each reads.
//     SELECT begin_ns, s.value ->> 'value' FROM scrapes, json_each(series) s WHERE s.value ->> 'what' = 'running'
//   series: [{"what":"ttft","name":"vllm:time_to_first_token_seconds","source":"engine=0","value":3,"sum":0.4,"created_ns":1,
//             "edges":[0.001,0.005],"counts":[0,2,3]}]; members that are empty or not told are left out; counts has one more than edges: +Inf.
//   problems: ["..."]. Numbers that JSON has no word for are the strings "NaN", "+Inf", "-Inf". About 4 KB per scrape of vLLM.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <hotpath/core/json.hpp>
#include <hotpath/model/scrape.hpp>

namespace hotpath::inline HOTPATH_ABI::run::detail {

struct scrape_row {
  model::scrape scrape;  // without series and problems
  std::string series, problems;
};

inline void put_number(json::writer& w, std::string_view key, double v) {
  w.key(key);
  if (v - v == 0) return w.value(v);
  w.value(v != v ? "NaN" : v > 0 ? "+Inf" : "-Inf");
}
inline bool get_number(json::reader& in, double& v) {
  if (in.peek() != json::kind::string) return in.number(v);
  std::string_view word;
  in.string(word);
  constexpr double infinity = std::numeric_limits<double>::infinity();
  v = word == "+Inf" ? infinity : word == "-Inf" ? -infinity : std::numeric_limits<double>::quiet_NaN();
  return word == "NaN" || word == "+Inf" || word == "-Inf";
}

inline scrape_row encode(model::scrape&& s) {
  scrape_row row;
  if (!s.series.empty()) {
    json::writer w{row.series};
    w.array_begin();
    for (const model::metric_series& m : s.series) {
      w.object_begin();
      w.member("what", model::facts_of(m.what).name);
      w.member("name", m.name);
      if (!m.source.empty()) w.member("source", m.source);
      put_number(w, "value", m.value);
      if (m.sum) put_number(w, "sum", *m.sum);
      if (m.created) w.member("created_ns", m.created->ns);
      if (!m.buckets.empty()) {
        w.key("edges");
        w.array_begin();
        for (std::size_t i = 0; i + 1 < m.buckets.size(); ++i) w.value(m.buckets[i].upper);
        w.array_end();
        w.key("counts");
        w.array_begin();
        for (const model::bucket& b : m.buckets) w.value(b.cumulative);
        w.array_end();
      }
      w.object_end();
    }
    w.array_end();
  }
  if (!s.problems.empty()) {
    json::writer w{row.problems};
    w.array_begin();
    for (const std::string& p : s.problems) w.value(std::string_view(p));
    w.array_end();
  }
  row.scrape = std::move(s);
  row.scrape.series.clear(), row.scrape.problems.clear();
  return row;
}

// false: not what encode() writes.
inline bool decode(scrape_row&& row, model::scrape& out) {
  out = std::move(row.scrape);
  bool good = true;
  if (!row.series.empty()) {
    json::reader in{row.series};
    const auto number = [&](double& v) { good = get_number(in, v) && good; };
    good = in.array([&] {
      model::metric_series& m = out.series.emplace_back();
      std::string_view text;
      std::int64_t ns = 0;
      bool known = false;
      std::vector<double> edges;
      good = in.object([&](std::string_view key) {
        if (key == "what") {
          in.string(text);
          for (std::size_t i = 0; i < model::engine_metrics.size(); ++i)
            if (model::engine_metrics[i].name == text) m.what = static_cast<model::engine_metric>(i), known = true;
        } else if (key == "name") in.string(text), m.name = text;
        else if (key == "source") in.string(text), m.source = text;
        else if (key == "value") number(m.value);
        else if (key == "sum") number(m.sum.emplace());
        else if (key == "created_ns") in.integer(ns), m.created = nanoseconds{ns};
        else if (key == "edges") in.array([&] { number(edges.emplace_back()); });
        else if (key == "counts") in.array([&] { number(m.buckets.emplace_back().cumulative); });
      }) && good;
      good &= known && (m.buckets.empty() || m.buckets.size() == edges.size() + 1);
      for (std::size_t i = 0; good && i < m.buckets.size(); ++i)
        m.buckets[i].upper = i < edges.size() ? edges[i] : std::numeric_limits<double>::infinity();
    }) && in.finish() && good;
  }
  if (!row.problems.empty()) {
    json::reader in{row.problems};
    std::string_view text;
    good = in.array([&] { good = in.string(text) && good, out.problems.emplace_back(text); }) && in.finish() && good;
  }
  return good;
}

}  // namespace hotpath::inline HOTPATH_ABI::run::detail
