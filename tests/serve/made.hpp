// SPDX-License-Identifier: Apache-2.0
// Requests written down by hand, in milliseconds since the run's origin.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/serve.hpp>

namespace made {
using namespace hotpath;

inline nanoseconds ms(double v) { return nanoseconds{static_cast<std::int64_t>(v * 1e6 + (v < 0 ? -0.5 : 0.5))}; }
inline model::stamp kernel(double at) { return {ms(at), model::stamp_source::kernel, true}; }
inline model::stamp user(double at) { return {ms(at), model::stamp_source::user, false}; }

struct shape {
  double intended = 0;
  std::optional<double> sent = {};            // default: intended
  std::vector<double> events = {};            // content events, kernel stamps, exact
  std::optional<std::int64_t> tokens = {};    // usage
  std::optional<double> closed = {};          // default: the last event, or sent
};

inline model::request answer(const shape& s, std::uint64_t index = 0) {
  model::request r;
  r.index = index;
  r.status = model::request_status::ok;
  r.finish_reason = "stop";
  r.intended = {ms(s.intended), model::stamp_source::schedule, true};
  const double sent = s.sent.value_or(s.intended);
  r.sent = user(sent);
  for (const double at : s.events) r.chunks.append({.at = ms(at), .exact = true, .kernel = true});
  if (!s.events.empty()) {
    r.first_content = r.first_output = kernel(s.events.front());
    r.last_content = kernel(s.events.back());
  }
  r.closed = r.finished = kernel(s.closed.value_or(s.events.empty() ? sent : s.events.back()));
  if (s.tokens) {
    r.completion_tokens = s.tokens;
    r.prompt_tokens = 10;
    r.tokens_from = model::token_source::usage;
  }
  return r;
}

inline model::request failed(double intended, double closed, model::error_class e, std::uint64_t index = 0) {
  model::request r;
  r.index = index;
  r.status = e == model::error_class::cancelled ? model::request_status::cancelled : model::request_status::failed;
  r.error = e;
  r.intended = {ms(intended), model::stamp_source::schedule, true};
  r.sent = user(intended);
  r.closed = user(closed);
  return r;
}

inline model::run_info closed_loop(std::uint32_t streams = 1) {
  model::run_info run;
  run.state = model::run_state::complete;
  run.plan.streams = streams;
  return run;
}
inline model::run_info open_loop(std::uint32_t cap = 0) {
  model::run_info run;
  run.state = model::run_state::complete;
  run.plan.kind = model::arrival::constant;
  run.plan.max_in_flight = cap;
  return run;
}

inline std::vector<model::request> numbered(std::vector<model::request> v) {
  for (std::size_t i = 0; i < v.size(); ++i) v[i].index = i;
  return v;
}

inline bool says(const serve::report& r, std::string_view part) {
  for (const std::string& f : r.findings)
    if (f.find(part) != std::string::npos) return true;
  return false;
}
inline const serve::check& check_of(const serve::report& r, std::string_view name) {
  for (const serve::check& c : r.checks)
    if (c.name == name) return c;
  static const serve::check none{"no such check", std::nullopt, 0, 0, ""};
  return none;
}

}  // namespace made
