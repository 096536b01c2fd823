// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/report/verdict.hpp>
#include "samples.hpp"

using namespace hotpath;
using report::exit_code;

namespace {
int code(const serve::report& r, report::judge_options o = {}) { return static_cast<int>(report::judge(r, o).code); }
bool says(const report::verdict& v, std::string_view text) {
  for (const std::string& s : v.reasons) if (s.find(text) != std::string::npos) return true;
  return false;
}
}  // namespace

TEST_CASE("report: a run in which all went well is ok, without a reason") {
  const auto v = report::judge(samples::good());
  CHECK(static_cast<int>(v.code) == 0);
  CHECK(v.word() == "ok");
  CHECK(v.reasons.empty());
}

TEST_CASE("report: exit code 5 for each way of being partial") {
  auto r = samples::good();
  SUBCASE("a failed request") { --r.requests.ok, ++r.requests.failed, r.requests.errors[static_cast<std::size_t>(model::error_class::reset)] = 1; }
  SUBCASE("a cancelled request") { --r.requests.ok, ++r.requests.cancelled; }
  SUBCASE("a lost row") { r.lost.dropped = 1; }
  SUBCASE("a skipped line of the workload") { r.run.workload_loss.malformed = 1; }
  SUBCASE("a limited client") { r.client.limited = true; }
  SUBCASE("an early end") { r.run.state = model::run_state::stopped; }
  SUBCASE("a run that was interrupted, read later") { r.run.state = model::run_state::interrupted; }
  SUBCASE("a writer that was killed") { r.run.state = model::run_state::running; }
  const auto v = report::judge(r);
  CHECK(static_cast<int>(v.code) == 5);
  CHECK(v.word() == "partial");
  CHECK(v.reasons.size() == 1);
}

TEST_CASE("report: exit codes 3, 4 and 130") {
  auto r = samples::good();
  CHECK(code(samples::empty()) == 3);
  CHECK(report::judge(samples::empty()).word() == "no data");
  CHECK(code(r, {.refused = true}) == 4);
  CHECK(code(r, {.interrupted = true}) == 130);
  r.requests.failed = r.requests.ok, r.requests.ok = 0;
  CHECK(code(r) == 4);
  CHECK(report::judge(r).word() == "failed");
  CHECK(code(r, {.interrupted = true}) == 130);  // saved all the same
}

TEST_CASE("report: the gate compares the interval, not the estimate") {
  auto r = samples::good();  // share 0.9943 in [0.985, 0.998]
  CHECK(code(r, {.gate = 0.98}) == 0);
  CHECK(code(r, {.gate = 0.985}) == 0);     // the lower end is not below
  CHECK(code(r, {.gate = 0.99}) == 5);      // the interval holds it
  CHECK(says(report::judge(r, {.gate = 0.99}), "undecided"));
  CHECK(code(r, {.gate = 0.998}) == 5);
  CHECK(code(r, {.gate = 0.9981}) == 1);
  CHECK(report::judge(r, {.gate = 0.9981}).word() == "gate missed");
  CHECK(says(report::judge(r, {.gate = 0.9981}), "gate missed: 99.4 % [98.5, 99.8] of the requests are within the limits, want 99.81 %"));

  r.goodput.share_ci->hi.reset();           // an unknown upper end can't be below
  CHECK(code(r, {.gate = 0.9999}) == 5);
  r.goodput.share_ci.reset();
  CHECK(code(r, {.gate = 0.5}) == 5);
  r.goodput.share.reset(), r.goodput.missing = "no limits were set (--slo)";
  CHECK(says(report::judge(r, {.gate = 0.5}), "gate undecided: no limits were set (--slo), want 50 %"));
}

TEST_CASE("report: a gate decides about failures, but not about a limited client or lost data") {
  auto r = samples::good();
  --r.requests.ok, ++r.requests.failed;
  CHECK(code(r, {.gate = 0.98}) == 0);      // the failure is part of the share
  CHECK(says(report::judge(r, {.gate = 0.98}), "1 of 716 requests failed"));
  CHECK(code(r, {.gate = 0.9981}) == 1);
  r.lost.dropped = 1;
  CHECK(code(r, {.gate = 0.98}) == 5);
  CHECK(code(r, {.gate = 0.9981}) == 1);
  r.client.limited = true;
  CHECK(code(r, {.gate = 0.9981}) == 5);    // the miss may be the client's fault
  CHECK(code(r, {.gate = 0.98}) == 5);
}

TEST_CASE("report: reasons are sentences with counts, the heaviest first") {
  const auto v = report::judge(samples::bad());
  REQUIRE(v.reasons.size() == 6);
  CHECK(v.reasons[0] == "90 of 716 requests failed (60 truncated, 30 idle_timeout, 10 cancelled)");
  CHECK(v.reasons[1].starts_with("the load client was the limit: dispatch delay p99 is 14.2 ms"));
  CHECK(v.reasons[2] == "ended early: more than 10 % of the requests failed");
  CHECK(v.reasons[4] == "data was lost: 5 dropped");
  CHECK(v.reasons[5] == "workload lines were skipped: 3 malformed");
}
