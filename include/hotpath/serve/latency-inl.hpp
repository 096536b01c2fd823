// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/latency-inl.hpp - bodies of serve/latency.hpp.
#pragma once
#include <algorithm>
#include <hotpath/serve/detail/rows.hpp>
#include <hotpath/serve/latency.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {
namespace detail {

// Stamps come from files, too: 36 years at most, so that no sum or difference of theirs can overflow.
inline std::int64_t time_of(const model::stamp& s) {
  constexpr std::int64_t bound = std::int64_t{1} << 60;
  return s ? std::clamp(s.at.ns, -bound, bound) : no_time;
}

inline double difference(const model::stamp& later, const model::stamp& earlier) {
  return later && earlier ? static_cast<double>(time_of(later) - time_of(earlier)) : no_value;
}

// The number of tokens tpot divides by is the server's, and only where its usage does not contradict itself.
inline bool tokens_trusted(const model::request& r) {
  return r.tokens_from == model::token_source::usage && r.completion_tokens && !r.usage_suspect;
}

inline void fill_latencies(const model::request& r, double (&value)[per_request]) {
  const auto set = [&](metric m, double v) { value[slot_of(m)] = v; };
  set(metric::ttft, difference(r.first_content, r.intended));
  set(metric::service_ttft, difference(r.first_content, r.sent));
  set(metric::ttfo, difference(r.first_output, r.intended));
  set(metric::connect, difference(r.connected, r.connect_begin));
  set(metric::slot_wait, difference(r.slot_free, r.intended));
  set(metric::e2e, difference(r.last_content, r.intended));
  const auto delay = model::dispatch_delay(r);
  set(metric::dispatch_delay, delay ? static_cast<double>(delay->ns) : no_value);
  const bool counts = tokens_trusted(r) && *r.completion_tokens >= 2;
  set(metric::tpot, counts ? difference(r.last_content, r.first_content) / static_cast<double>(*r.completion_tokens - 1) : no_value);
}

inline bool within(const row& r, const model::slo& limits) {
  const auto meets = [](double v, const std::optional<nanoseconds>& limit) { return !limit || v <= static_cast<double>(limit->ns); };
  return r.status == model::request_status::ok && meets(r.of(metric::ttft), limits.ttft) && meets(r.of(metric::e2e), limits.e2e) &&
         (r.one_token || meets(r.of(metric::tpot), limits.tpot));
}

}  // namespace detail

HOTPATH_FN std::optional<double> latency_of(const model::request& r, metric m) {
  if (m == metric::itl || m == metric::chunk_gap) return std::nullopt;
  double value[detail::per_request];
  detail::fill_latencies(r, value);
  const double v = value[detail::slot_of(m)];
  return v == v ? std::optional<double>{v} : std::nullopt;
}

HOTPATH_FN bool is_good(const model::request& r, const model::slo& limits) {
  detail::row row;
  row.status = r.status;
  row.one_token = detail::tokens_trusted(r) && *r.completion_tokens < 2;
  detail::fill_latencies(r, row.value);
  return detail::within(row, limits);
}

}  // namespace hotpath::inline HOTPATH_ABI::serve
