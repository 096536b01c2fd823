// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/schedule.hpp - makes schedules: closed loop, and open loop with constant, Poisson or recorded arrivals.
//   All are made before the run, from a seed or a trace, so that they can be stored and replayed exactly.
//
//     auto plan = replay::closed({.streams = 16, .requests = 200});
//     auto plan = replay::poisson({.per_second = 8.0, .seed = 7, .duration = 60_s});   // result: a rate of 0 is an error
//
//   Poisson: exponential gaps of mean 1/rate; the total is not rescaled (a seed's last arrival is where it falls).
#pragma once
#include <cmath>
#include <hotpath/core/random.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/model/schedule.hpp>
#include <hotpath/replay/workload.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

struct closed_options {
  std::uint32_t streams = 1;
  std::optional<std::uint64_t> requests = {};
  std::optional<nanoseconds> duration = {};  // neither limit: one pass of the workload
};
inline model::schedule closed(const closed_options& o) {
  model::schedule s;
  s.streams = o.streams == 0 ? 1 : o.streams;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  return s;
}

struct open_options {
  double per_second = 0;
  std::uint64_t seed = 0;
  std::uint32_t max_in_flight = 0;           // 0: none
  std::optional<std::uint64_t> requests = {};
  std::optional<nanoseconds> duration = {};  // at least one of the two
};

namespace detail {
// 100 million planned requests are 800 MB of schedule: more is a slip of the unit, not a plan.
inline constexpr std::uint64_t max_planned = 100'000'000;

// at(i, previous): seconds of arrival i.
template <class At>
result<model::schedule> open_loop(model::arrival kind, const open_options& o, At&& at) {
  if (!(o.per_second > 0) || !std::isfinite(o.per_second))
    return error{.code = errc::usage, .detail = "the rate must be above 0 requests per second"};
  if (!o.requests && !o.duration) return error{.code = errc::usage, .detail = "an open loop needs a number of requests or a duration"};
  model::schedule s;
  s.kind = kind;
  s.per_second = o.per_second;
  s.seed = o.seed;
  s.max_in_flight = o.max_in_flight;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  const double end_s = o.duration ? o.duration->s() : 1e18;
  const std::uint64_t most = o.requests ? *o.requests : max_planned + 1;
  for (double t = at(0, 0.0); s.due.size() < most && t < end_s; t = at(s.due.size(), t)) {
    if (s.due.size() == max_planned)
      return error{.code = errc::usage, .detail = "the schedule would hold more than 100 million requests", .hint = "lower the rate or the duration"};
    s.due.push_back(nanoseconds::from_s(t));
  }
  return s;
}
}  // namespace detail

inline result<model::schedule> constant(const open_options& o) {
  return detail::open_loop(model::arrival::constant, o, [&](std::uint64_t i, double) { return static_cast<double>(i) / o.per_second; });
}

inline result<model::schedule> poisson(const open_options& o) {
  stats::xoshiro256 random{o.seed};
  return detail::open_loop(model::arrival::poisson, o, [&](std::uint64_t, double previous) { return previous + random.exponential(1.0 / o.per_second); });
}

// The arrivals of a trace: each row of the workload's first pass is due when its "timestamp" says, relative to the first row's,
// divided by `speed`. Rows are sent in the order of the file; one that is stamped earlier than the row before is due with it.
// Reads that pass: give it a workload of its own. Of `o` the limits and the cap count. Errors: usage (a row without timestamp), those
// of next().
inline result<model::schedule> recorded(workload& load, double speed, const open_options& o) {
  if (!(speed > 0) || !std::isfinite(speed)) return error{.code = errc::usage, .detail = "the speed must be above 0"};
  model::schedule s;
  s.kind = model::arrival::recorded;
  s.max_in_flight = o.max_in_flight;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  workload_item item;
  nanoseconds first{}, last{};
  while (!(o.requests && s.due.size() == *o.requests)) {
    const auto more = load.next(item);
    if (!more) return more.error();
    if (!*more) break;
    if (!item.arrived)
      return error{.code = errc::usage, .detail = "request " + std::to_string(item.row + 1) + " has no \"timestamp\" in milliseconds", .source = load.description(),
                   .hint = "recorded arrivals need one in each row"};
    if (s.due.empty()) first = *item.arrived;
    last = (std::max)(last, nanoseconds{static_cast<std::int64_t>(static_cast<double>((*item.arrived - first).ns) / speed)});
    if (o.duration && last >= *o.duration) break;
    if (s.due.size() == detail::max_planned) return error{.code = errc::usage, .detail = "the trace holds more than 100 million requests"};
    s.due.push_back(last);
  }
  if (last.ns > 0) s.per_second = static_cast<double>(s.due.size()) / last.s();
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
