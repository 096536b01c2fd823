// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/replay/dispatch.hpp>

using namespace hotpath;

namespace {
model::request request(model::request_status status, model::error_class error = model::error_class::none) {
  model::request r;
  r.status = status, r.error = error;
  const auto at = [](nanoseconds t) { return model::stamp{t, model::stamp_source::user, true}; };
  r.intended = at(1_s), r.sent = at(1_s), r.first_content = at(1'050_ms), r.last_content = at(1'150_ms);
  return r;
}
}  // namespace

TEST_CASE("replay: progress tells errors by class, tokens and events of what has ended, and who left late") {
  model::schedule plan;
  plan.streams = 8;
  replay::dispatch d{plan, {.share = std::nullopt, .in_a_row = 0}};
  for (int i = 0; i < 6; ++i) d.started();
  auto ok = request(model::request_status::ok);
  ok.completion_tokens = 11;
  for (int i = 0; i < 5; ++i) ok.chunks.append({.at = 1_s});
  d.first_content(ok);
  d.finished(ok);
  auto late = request(model::request_status::ok);
  late.sent.at = 1'010'000'001_ns;
  d.finished(late);
  late.intended.at = {}, late.slot_free = late.intended, late.slot_free.at = 1_s;  // it waited for its slot, and left in time after that
  late.sent.at = 1'010_ms;
  d.finished(late);
  auto connecting = request(model::request_status::failed, model::error_class::truncated);
  connecting.connect_begin = connecting.intended, connecting.connected = connecting.intended;
  connecting.connected.at += 300_ms, connecting.sent.at += 301_ms;                  // connecting is no lateness
  d.finished(connecting);
  d.finished(request(model::request_status::failed, model::error_class::truncated));
  auto gone = request(model::request_status::cancelled, model::error_class::cancelled);
  gone.sent = {};
  d.finished(gone);
  const auto p = d.snapshot();
  CHECK(p.sent == 6);
  CHECK(p.finished == 6);
  CHECK(p.ok == 3);
  CHECK(p.failed == 2);
  CHECK(p.errors[static_cast<std::size_t>(model::error_class::truncated)] == 2);
  CHECK(p.errors[static_cast<std::size_t>(model::error_class::cancelled)] == 1);
  CHECK(p.errors[static_cast<std::size_t>(model::error_class::none)] == 0);
  CHECK(p.output_tokens == 11);
  CHECK(p.output_events == 5);
  CHECK(p.judged == 5);   // not the one that was never sent
  CHECK(p.late == 1);
  CHECK(p.ttft_ms.count() == 1);
  CHECK(*p.ttft_ms.quantile(0.5) == doctest::Approx(50));
  CHECK(p.tpot_ms.count() == 1);
  CHECK(*p.tpot_ms.quantile(0.5) == doctest::Approx(10));
  const auto next = d.snapshot();  // counts stay, what is since the snapshot before begins anew
  CHECK(next.errors == p.errors);
  CHECK(next.ttft_ms.count() == 0);
}

TEST_CASE("replay: progress tells how the client's threads do: events and the time they stand for, the busiest, and how long one is hot") {
  model::schedule plan;
  replay::dispatch d{plan, {}};
  CHECK(d.snapshot().threads == 0);
  CHECK(!d.snapshot().cpu_share);
  const auto second = [](std::uint32_t thread, int k, nanoseconds cpu) {
    model::client_interval i;
    i.thread = thread, i.begin = 1_s * k, i.end = 1_s * (k + 1), i.cpu = cpu, i.content_events = 100, i.inexact_events = 3;
    i.loop_lag_ns.add(20'000);
    return i;
  };
  for (int k = 0; k < 4; ++k) d.interval(second(0, k, 100_ms)), d.interval(second(1, k, k == 1 ? 500_ms : 900_ms));
  auto p = d.snapshot();
  CHECK(p.content_events == 800);
  CHECK(p.inexact_events == 24);
  CHECK(p.covered == 8_s);
  CHECK(p.threads == 2);
  CHECK(*p.cpu_share == doctest::Approx(0.9));
  CHECK(p.hot == 2_s);     // since it was below 85 % for a second
  CHECK(p.loop_lag_ns.count() == 8);
  d.interval(second(1, 4, 0_s));
  p = d.snapshot();
  CHECK(p.hot == 0_s);
  CHECK(*p.cpu_share == 0);
  CHECK(p.loop_lag_ns.count() == 1);
}
