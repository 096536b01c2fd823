// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/links.hpp - which API call launched which GPU event, for the writers and for slices of a timeline.
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include <hotpath/core/rows.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/model/launch.hpp>
#include <hotpath/trace/detail/words.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

struct launch_link {
  std::uint32_t api, gpu;
};

// One per GPU event whose launch is in the trace, by (api, gpu).
inline rows<launch_link> launch_links(const model::timeline& t) {
  const model::launch_links calls = model::link_launches(t);
  rows<launch_link> links;
  for (std::size_t g = 0; g < calls.call_of.size(); ++g)
    if (calls.call_of[g] != model::no_index) links.push_back({calls.call_of[g], static_cast<std::uint32_t>(g)});
  sort_in_place(links, [](const launch_link& a, const launch_link& b) { return a.api != b.api ? a.api < b.api : a.gpu < b.gpu; });
  return links;
}

// f(begin, end) for every event that has a time.
template <class F>
void each_interval(const model::timeline& t, F&& f) {
  const auto all = [&](const auto& events) {
    for (const auto& e : events) f(e.begin, e.duration);
  };
  all(t.gpu), all(t.api), all(t.ops), all(t.frames), all(t.annotations), all(t.syncs);
}

// What is taken off all times of a written file. 0 where a double holds each of them in microseconds to the nanosecond (below 2^53 ns, 104 days)
// and none is negative; else the first begin.
inline std::int64_t base_of(const model::timeline& t) {
  std::int64_t lo = INT64_MAX, hi = INT64_MIN;
  each_interval(t, [&](nanoseconds begin, nanoseconds duration) {
    if (begin.ns < lo) lo = begin.ns;
    std::int64_t end = 0;
    if (__builtin_add_overflow(begin.ns, duration.ns, &end)) end = INT64_MAX;
    if (end > hi) hi = end;
  });
  return lo > hi || (lo >= 0 && hi < (std::int64_t{1} << 53)) ? 0 : lo;
}

// A decimal number without leading zeros or a plus: what may stand in JSON or in an integer field as it is.
inline bool is_integer(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  if (s.empty() || s.size() > 18 || (s.size() > 1 && s[0] == '0')) return false;
  for (const char c : s)
    if (c < '0' || c > '9') return false;
  return true;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
