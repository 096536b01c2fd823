// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/findings-inl.hpp - bodies of serve/findings.hpp.
#pragma once
#include <utility>
#include <hotpath/serve/checks-inl.hpp>
#include <hotpath/serve/findings.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

HOTPATH_FN std::string queue_of(const report& r, const thirds& t) {
  if (!r.run.plan.open()) return {};
  const distribution &wait = r.of(metric::slot_wait), &ttft = r.of(metric::ttft);
  if (wait.n != 0 && ttft.n != 0 && wait.mean > 0.5 * ttft.mean) return "cap";
  return t.growing() ? "server" : "";
}

// "idle_timeout 2, reset 1", most frequent first.
inline std::string errors_of(const report& r) {
  auto left = r.requests.errors;
  std::string out;
  for (;;) {
    std::size_t most = 1;
    for (std::size_t i = 1; i < left.size(); ++i)
      if (left[i] > left[most]) most = i;
    if (left[most] == 0) return out.empty() ? "no class" : out;
    out += (out.empty() ? "" : ", ") + std::string(model::error_class_names[most]) + " " + std::to_string(left[most]);
    left[most] = 0;
  }
}

inline void say_intervals(report& out) {
  // One sentence for all metrics: the levels whose upper bound is unknown at the smallest n that matters.
  const distribution& d = out.of(metric::ttft).n != 0 ? out.of(metric::ttft) : out.of(metric::e2e);
  if (d.n == 0 || out.bootstrap_resamples == 0) return;
  std::string levels;
  std::uint64_t needed = 0;
  for (std::size_t i = 0; i < quantile_levels.size(); ++i) {
    if (d.ci[i] && d.ci[i]->hi) continue;
    levels += (levels.empty() ? "" : ", ") + std::string(quantile_names[i]);
    needed = stats::smallest_n(quantile_levels[i]);
  }
  if (levels.empty()) return;
  if (needed < stats::minimum_units) needed = stats::minimum_units;
  out.findings.push_back(count(d.n, "request") + " are too few for an upper bound of " + levels + ": " + std::to_string(needed) + " are needed");
}

HOTPATH_FN void fill_findings(report& out, const thirds& t) {
  const auto& q = out.requests;
  const auto say = [&](std::string s) { out.findings.push_back(std::move(s)); };
  const std::uint64_t bad = q.failed + q.cancelled;
  if (q.sent == 0) say("no request was sent");
  else if (q.ok == 0)
    say("no request succeeded" + (bad == 0 ? ": " + count(q.in_flight, "request") + " still in flight" : ": " + errors_of(out)) +
        (q.first_error.empty() ? "" : "; first error: " + q.first_error));
  else if (q.ok != 0 && out.of(metric::ttft).missing == "every successful request was warm-up") say("every successful request was warm-up: nothing is left to measure");

  if (out.client.suspended.ns > 0)
    say("the client did not run at all for " + milliseconds(out.client.suspended.ms()) + " (stopped, or the machine slept): latencies around it are too long");

  if (q.ok != 0 && q.failed + q.cancelled != 0) {
    say("requests that failed or were cancelled are in no latency" + (q.first_error.empty() ? "" : "; first error: " + q.first_error));
    if (const auto cut = q.errors[static_cast<std::size_t>(model::error_class::truncated)]; cut != 0)
      say(count(cut, "answer") + " ended without [DONE] and finish reason: truncated by the server or a proxy");
  }
  for (const check& c : out.checks)
    if (c.ok && !*c.ok) say("the books do not balance: " + c.name + " is " + number(c.left) + " against " + number(c.right) + " (" + c.why + ")");

  if (q.ok != 0 && out.tokens.source == "chunks")
    say("the server sent no usage: tokens are content events, a lower bound, and there is no tpot");
  else if (out.tokens.without_usage != 0 && q.ok != 0)
    say(count(out.tokens.without_usage, "answer") + " came without usage: token totals are a lower bound");
  if (out.tokens.suspect != 0) say("usage contradicts itself in " + count(out.tokens.suspect, "answer") + ": they are in no tpot");
  if (out.tokens.planned_prompt_error && __builtin_fabs(*out.tokens.planned_prompt_error) > 0.05)
    say("prompts were " + percent(__builtin_fabs(*out.tokens.planned_prompt_error)) + (*out.tokens.planned_prompt_error > 0 ? " longer" : " shorter") + " than planned, in the server's tokens");

  if (out.queue_at == "cap")
    say("requests queued at the cap of " + std::to_string(out.run.plan.max_in_flight) + " in flight: " + milliseconds(out.of(metric::slot_wait).mean) + " of the mean ttft of " +
        milliseconds(out.of(metric::ttft).mean) + " was the wait for a slot");
  else if (out.queue_at == "server")
    say("requests queued at the server, and the queue grew: " + number(t.at_server[0]) + " there in the first third, " + number(t.at_server[2]) +
        " in the last; service ttft p50 from " + milliseconds(t.service_ttft[0] / 1e6) + " to " + milliseconds(t.service_ttft[2] / 1e6));
  if (out.run.unsent != 0) say(count(out.run.unsent, "request") + " were due but never sent: the run ended while they waited for a slot");
  if (!out.run.plan.open() && q.sent != 0) say("closed loop: latency under overload is understated");
  if (out.run.workload_passes > 1)
    say("the workload was cycled: " + std::to_string(out.run.workload_passes) + " passes over " + count(out.run.workload_rows, "row"));
  if (out.stalls.count != 0)
    say(count(out.stalls.count, "stall") + " in " + count(out.stalls.requests, "answer") + ", the longest " + milliseconds(out.stalls.longest_ms) + ": " +
        percent(out.stalls.share_of_decode_time) + " of the decode time");
  say_intervals(out);
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
