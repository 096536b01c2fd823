// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/replay/dispatch.hpp>

#include <utility>

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN std::optional<dispatch::turn> dispatch::claim(nanoseconds now, nanoseconds since_start) {
  const threading::lock lock{mutex_};
  if (plan_.max_duration && since_start >= *plan_.max_duration) closed_ = true;
  if (plan_.max_requests && next_ >= *plan_.max_requests) closed_ = true;
  if (stopped_ || closed_) return std::nullopt;
  return turn{.index = next_++, .intended = now, .slot_free = {}};
}

HOTPATH_FN std::optional<dispatch::turn> dispatch::due(std::uint64_t index, nanoseconds intended) {
  const threading::lock lock{mutex_};
  if (stopped_ || closed_) {  // by another thread, since the caller looked
    ++unsent_;
    return std::nullopt;
  }
  turn t{.index = index, .intended = intended, .slot_free = {}};
  if (plan_.max_in_flight == 0) return t;
  if (held_slots_ >= plan_.max_in_flight) {
    waiting_.push_back(t);
    return std::nullopt;
  }
  ++held_slots_;
  t.slot_free = {intended, model::stamp_source::user, true};  // a slot was there when it fell due
  return t;
}

HOTPATH_FN std::optional<dispatch::turn> dispatch::release(nanoseconds now) {
  const threading::lock lock{mutex_};
  if (plan_.max_in_flight == 0 || !plan_.open()) return std::nullopt;
  if (waiting_.empty()) {
    --held_slots_;
    return std::nullopt;
  }
  turn t = waiting_.front();
  waiting_.pop_front();
  t.slot_free = {now, model::stamp_source::user, true};
  return t;
}

HOTPATH_FN void dispatch::drop_waiting() {
  unsent_ += waiting_.size();
  waiting_.clear();
}

HOTPATH_FN void dispatch::stop(std::string_view reason) {
  const threading::lock lock{mutex_};
  if (!std::exchange(stopped_, true)) reason_ = reason;
  drop_waiting();
}

HOTPATH_FN void dispatch::close() {
  const threading::lock lock{mutex_};
  closed_ = true;
  drop_waiting();
}

HOTPATH_FN void dispatch::started() {
  const threading::lock lock{mutex_};
  ++counts_.sent;
  ++counts_.in_flight;
}

HOTPATH_FN void dispatch::not_sent(std::uint64_t n) {
  const threading::lock lock{mutex_};
  unsent_ += n;
}

HOTPATH_FN void dispatch::first_content(const model::request& r) {
  const threading::lock lock{mutex_};
  counts_.ttft_ms.add((r.first_content.at - r.intended.at).ms());
}

HOTPATH_FN void dispatch::interval(const model::client_interval& i) {
  const threading::lock lock{mutex_};
  counts_.content_events += i.content_events;
  counts_.inexact_events += i.inexact_events;
  const nanoseconds wall = i.end - i.begin;
  counts_.covered += wall;
  counts_.loop_lag_ns.merge(i.loop_lag_ns);
  if (wall <= nanoseconds{}) return;
  const double share = i.cpu.s() / wall.s();
  if (!counts_.cpu_share || share > *counts_.cpu_share) counts_.cpu_share = share;
  if (hot_.size() <= i.thread) hot_.resize(i.thread + 1);
  hot_[i.thread] = share > model::hot_share ? hot_[i.thread] + wall : nanoseconds{};
}

HOTPATH_FN void dispatch::finished(const model::request& r) {
  const threading::lock lock{mutex_};
  --counts_.in_flight;
  ++counts_.finished;
  if (r.status != model::request_status::ok) ++counts_.errors[static_cast<std::size_t>(r.error)];
  if (const auto delay = model::dispatch_delay(r)) {
    ++counts_.judged;
    if (*delay > model::late_after) ++counts_.late;
  }
  if (r.status == model::request_status::ok) {
    ++counts_.ok;
    failed_in_a_row_ = 0;
    counts_.output_tokens += static_cast<std::uint64_t>(r.completion_tokens.value_or(0));
    counts_.output_events += r.chunks.count();
    if (r.first_content && r.completion_tokens.value_or(0) > 1)
      counts_.tpot_ms.add((r.last_content.at - r.first_content.at).ms() / static_cast<double>(*r.completion_tokens - 1));
  } else if (r.status == model::request_status::failed) {
    ++counts_.failed;
    ++failed_in_a_row_;
    last_failure_ = " (" + std::string(name_of(r.error)) + ": " + r.error_message + ")";
  }
  if (stopped_) return;
  const auto halt = [&](std::string why) {
    stopped_ = true;
    reason_ = std::move(why) + last_failure_;
    drop_waiting();
  };
  if (r.http_status == 401 || r.http_status == 403) {
    refused_ = true;
    halt("the server refused us with HTTP " + std::to_string(r.http_status));
  } else if (limits_.in_a_row != 0 && failed_in_a_row_ >= limits_.in_a_row) {
    halt(std::to_string(failed_in_a_row_) + " requests in a row failed");
  } else if (counts_.finished >= limits_.after) {
    if (limits_.count && counts_.failed > *limits_.count) halt(std::to_string(counts_.failed) + " requests failed, more than --max-errors");
    else if (limits_.share && static_cast<double>(counts_.failed) > *limits_.share * static_cast<double>(counts_.finished))
      halt(std::to_string(counts_.failed) + " of " + std::to_string(counts_.finished) + " requests failed, more than --max-errors");
  }
}

HOTPATH_FN bool dispatch::stopped() const {
  const threading::lock lock{mutex_};
  return stopped_;
}
HOTPATH_FN bool dispatch::closed() const {
  const threading::lock lock{mutex_};
  return closed_ || stopped_;
}
HOTPATH_FN std::string dispatch::reason() const {
  const threading::lock lock{mutex_};
  return reason_;
}
HOTPATH_FN bool dispatch::refused() const {
  const threading::lock lock{mutex_};
  return refused_;
}
HOTPATH_FN std::uint64_t dispatch::unsent() const {
  const threading::lock lock{mutex_};
  return unsent_;
}

HOTPATH_FN progress dispatch::snapshot() {
  const threading::lock lock{mutex_};
  counts_.waiting = waiting_.size();
  counts_.phase = stopped_ || closed_ ? "draining" : "sending";
  counts_.threads = static_cast<std::uint32_t>(hot_.size());
  counts_.hot = {};
  for (const nanoseconds h : hot_)
    if (h > counts_.hot) counts_.hot = h;
  progress p = counts_;
  counts_.ttft_ms = counts_.tpot_ms = counts_.loop_lag_ns = stats::sketch{};
  counts_.cpu_share.reset();
  return p;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
