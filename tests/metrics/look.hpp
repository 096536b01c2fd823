// SPDX-License-Identifier: Apache-2.0
// What tests of pages share: finding a series, reading a file of the test data.
#pragma once
#include <doctest/doctest.h>
#include <fstream>
#include <hotpath/core/buckets.hpp>
#include <hotpath/metrics/page.hpp>
#include <iterator>
#include <string>
#include <support/data.hpp>

namespace look {
using namespace hotpath;
using enum model::engine_metric;

// The series, or null; the case fails where several fit.
inline const model::metric_series* find(const model::scrape& s, model::engine_metric what, std::string_view source = "*") {
  const model::metric_series* found = nullptr;
  for (const model::metric_series& m : s.series) {
    if (m.what != what || (source != "*" && m.source != source)) continue;
    CHECK(found == nullptr);
    found = &m;
  }
  return found;
}
inline double value(const model::scrape& s, model::engine_metric what, std::string_view source = "*") {
  const auto* m = find(s, what, source);
  return m == nullptr ? -1 : m->value;
}
inline std::size_t count(const model::scrape& s, model::engine_metric what) {
  std::size_t n = 0;
  for (const model::metric_series& m : s.series) n += m.what == what ? 1 : 0;
  return n;
}
inline buckets::histogram cumulative(const model::metric_series& m) {
  buckets::histogram h;
  h.count = m.value, h.sum = m.sum;
  for (const model::bucket& b : m.buckets) h.upper.push_back(b.upper), h.cumulative.push_back(b.cumulative);
  return h;
}
inline bool says(const std::vector<std::string>& problems, std::string_view words) {
  for (const std::string& p : problems)
    if (p.find(words) != std::string::npos) return true;
  return false;
}
inline std::string all(const std::vector<std::string>& problems) {
  std::string out;
  for (const std::string& p : problems) out += p + "\n";
  return out;
}
inline std::string file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace look
