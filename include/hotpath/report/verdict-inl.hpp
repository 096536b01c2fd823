// SPDX-License-Identifier: Apache-2.0
// hotpath/report/verdict-inl.hpp - bodies of report/verdict.hpp
#pragma once
#include <utility>
#include <hotpath/report/words.hpp>
#include <hotpath/report/verdict.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

HOTPATH_FN std::string error_list(const std::array<std::uint64_t, model::error_class_count>& errors) {
  auto left = errors;
  std::string out;
  for (;;) {  // the largest that is left; <algorithm> would be 28,000 lines for one sort of 21 numbers
    std::size_t most = 0;
    for (std::size_t i = 1; i < left.size(); ++i)
      if (left[i] > left[most]) most = i;
    if (left[most] == 0) return out;
    out += (out.empty() ? "" : ", ") + words::count(left[most]) + " " + std::string(model::error_class_names[most]);
    left[most] = 0;
  }
}

HOTPATH_FN std::string loss_list(const model::loss& l) {
  std::string out;
  const auto add = [&](std::uint64_t n, std::string_view word) {
    if (n != 0) out += (out.empty() ? "" : ", ") + words::count(n) + " " + std::string(word);
  };
  add(l.dropped, "dropped"), add(l.truncated, "truncated"), add(l.malformed, "malformed"), add(l.over_limit, "over a limit"), add(l.late, "late");
  return out;
}

namespace detail {

// 95.0 % [92.1, 97.0]
HOTPATH_FN std::string share_with_interval(double share, const std::optional<serve::bounds>& ci) {
  std::string out = words::percent(share);
  if (ci) out += " [" + words::percent_number(ci->lo) + ", " + (ci->hi ? words::percent_number(*ci->hi) : "unknown") + "]";
  return out;
}

enum class gate_state : std::uint8_t { none, passed, missed, undecided };

HOTPATH_FN gate_state gate_of(const serve::report& r, std::optional<double> gate, std::string& why) {
  if (!gate) return gate_state::none;
  const auto& g = r.goodput;
  std::string want = words::fixed(*gate * 100, 2);
  while (want.back() == '0') want.pop_back();
  if (want.back() == '.') want.pop_back();
  const auto end = [&](std::string_view word, gate_state s) {
    why = "gate " + std::string(word) + ": " + why + ", want " + want + " %";
    return s;
  };
  if (!g.share || !g.share_ci) {
    why = g.missing.empty() ? "too few requests to tell how many are within the limits" : g.missing;
    return end("undecided", gate_state::undecided);
  }
  why = share_with_interval(*g.share, g.share_ci) + " of the requests are within the limits";
  if (g.share_ci->hi && *g.share_ci->hi < *gate) return end("missed", gate_state::missed);
  if (g.share_ci->lo >= *gate) return end("passed", gate_state::passed);
  return end("undecided", gate_state::undecided);
}

}  // namespace detail

HOTPATH_FN std::string_view verdict::word() const {
  switch (code) {
    case exit_code::ok: return "ok";
    case exit_code::gate: return "gate missed";
    case exit_code::unusable: return "no data";
    case exit_code::unreachable: return "failed";
    case exit_code::interrupted: return "interrupted";
    default: return "partial";
  }
}

HOTPATH_FN verdict judge(const serve::report& r, const judge_options& options) {
  const auto& q = r.requests;
  verdict v;
  std::string gate_why;
  const detail::gate_state gate = detail::gate_of(r, options.gate, gate_why);
  const std::uint64_t finished = q.ok + q.failed + q.cancelled;

  // Reasons, in the order of their weight. Each is stated once, whatever the code.
  const auto say = [&](std::string s) { v.reasons.push_back(std::move(s)); };
  if (finished + q.in_flight == 0) say("no request was sent");
  else if (q.ok == 0) say("no request succeeded" + (q.failed + q.cancelled == 0 ? "" : " (" + error_list(r) + ")"));
  else if (q.failed != 0) say(words::count(q.failed, finished, "request") + " failed (" + error_list(r) + ")");
  if (r.client.limited) {
    std::string why;
    for (const std::string& reason : r.client.reasons) why += (why.empty() ? ": " : "; ") + reason;
    say("the load client was the limit" + why);
  }
  if (gate == detail::gate_state::missed || gate == detail::gate_state::undecided) say(gate_why);
  switch (r.run.state) {
    case model::run_state::complete: break;
    case model::run_state::interrupted: say("interrupted" + (r.run.stop_reason.empty() ? "" : ": " + r.run.stop_reason)); break;
    case model::run_state::stopped: say("ended early: " + (r.run.stop_reason.empty() ? "no reason was stored" : r.run.stop_reason)); break;
    case model::run_state::running: say("not finished: the run is still going on, or its process was killed"); break;
  }
  if (q.ok != 0 && q.cancelled != 0) say(words::count(q.cancelled, finished, "request") + " cancelled");
  if (r.lost) say("data was lost: " + loss_list(r.lost));
  if (r.run.workload_loss) say("workload lines were skipped: " + loss_list(r.run.workload_loss));

  const bool early = r.run.state != model::run_state::complete || q.cancelled != 0;
  if (options.interrupted) v.code = exit_code::interrupted;
  else if (options.refused) v.code = exit_code::unreachable;
  else if (finished == 0 && q.in_flight == 0) v.code = exit_code::unusable;
  else if (q.ok == 0) v.code = exit_code::unreachable;
  else if (r.client.limited) v.code = exit_code::partial;
  else if (gate == detail::gate_state::missed) v.code = exit_code::gate;
  else if (r.lost || r.run.workload_loss || early || gate == detail::gate_state::undecided) v.code = exit_code::partial;
  else if (gate == detail::gate_state::none && q.failed != 0) v.code = exit_code::partial;
  return v;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
