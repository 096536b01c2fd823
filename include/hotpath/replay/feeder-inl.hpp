// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/replay/feeder.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN error nothing_to_send(const workload& load) {
  std::string detail = "nothing to send: the workload holds no request";
  if (const auto skipped = load.lost().total(); skipped > 0) detail += ", " + std::to_string(skipped) + " lines were skipped";
  if (!load.problems().empty()) detail += "; the first: " + load.problems().front();
  return {.code = errc::empty, .detail = std::move(detail), .source = load.description()};
}

HOTPATH_FN feeder::feeder(workload& source, wire_options options, std::function<void()> ring)
    : source_(source), options_(std::move(options)), ring_(std::move(ring)) {
  if (thread_.start([this] { run(); })) return;
  failure_ = error{.code = errc::io, .detail = "the system gives no more threads", .source = source_.description()};
  ended_ = true;
}

HOTPATH_FN feeder::~feeder() {
  {
    const threading::lock lock{mutex_};
    stop_ = true;
  }
  room_.notify_all();
  thread_.join();
}

HOTPATH_FN feeder::take_result feeder::take(std::uint64_t index, prepared& out) {
  const threading::lock lock{mutex_};
  if (index < base_ || index >= next_) {
    if (ended_ || index < base_) return take_result::ended;
    hungry_ = true;
    room_.notify_one();
    return take_result::not_yet;
  }
  auto& slot = ahead_[static_cast<std::size_t>(index - base_)];
  if (!slot) return take_result::ended;
  ahead_bytes_ -= slot->wire.size();
  out = std::move(*slot);
  slot.reset();
  passes_ = (std::max<std::uint64_t>)(passes_, out.record.pass + 1);
  while (!ahead_.empty() && !ahead_.front()) {
    ahead_.pop_front();
    ++base_;
  }
  if (low()) room_.notify_one();
  return take_result::ready;
}

HOTPATH_FN void feeder::wait_ahead(std::uint64_t n) {
  threading::lock lock{mutex_};
  grown_.wait(lock, [&] { return next_ >= n || ended_ || (next_ > 0 && full()); });
}

HOTPATH_FN std::optional<error> feeder::failure() const {
  const threading::lock lock{mutex_};
  return failure_;
}
HOTPATH_FN std::uint64_t feeder::passes() const {
  const threading::lock lock{mutex_};
  return passes_;
}
HOTPATH_FN std::uint64_t feeder::prepared_count() const {
  const threading::lock lock{mutex_};
  return next_;
}

HOTPATH_FN result<void> feeder::compose(workload_item& item, std::uint64_t index, prepared& out) {
  char number[24];
  std::snprintf(number, sizeof number, "-%06llu", static_cast<unsigned long long>(index + 1));
  model::request& r = out.record;
  r.index = index;
  r.workload_row = item.row;
  r.pass = item.pass;
  r.id = options_.id_prefix + number;
  r.given_id = std::move(item.given_id);
  r.warmup = index < options_.warmup;
  r.prompt_tokens_planned = item.prompt_tokens_planned;
  r.output_tokens_asked = item.max_tokens;
  r.prompt_bytes = item.prompt_bytes;
  if (options_.keep_text) r.prompt_text = std::move(item.prompt_text);

  std::string body;
  write_body(body, item, options_.body);
  std::vector<net::header> headers{{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}, {"Accept-Encoding", "identity"}, {"X-Request-Id", r.id}};
  headers.insert(headers.end(), options_.headers.begin(), options_.headers.end());
  return net::write_request(out.wire, "POST", options_.endpoint.target(item.chat ? "/v1/chat/completions" : "/v1/completions"),
                     options_.endpoint.authority(), headers, body);
}

HOTPATH_FN void feeder::run() {
  std::uint64_t in_this_pass = 0;
  for (std::uint64_t index = 0;;) {
    {
      threading::lock lock{mutex_};
      // Hungry: somebody waits for an index beyond what is ahead (all of it belongs to others): one more, whatever the bound.
      room_.wait(lock, [&] {
        return stop_ || hungry_ || ahead_.empty() || !full();
      });
      if (stop_) return;
    }
    workload_item item;
    const bool all = index == options_.requests;
    auto more = all ? result<bool>{false} : source_.next(item);
    std::optional<error> failed;
    if (more && !*more && !all) {
      if (in_this_pass == 0 && index == 0) failed = nothing_to_send(source_);
      else if (in_this_pass == 0) failed = error{.code = errc::io, .detail = "the workload is empty on its second reading", .source = source_.description()};
      else if (!options_.single_pass) {
        in_this_pass = 0;
        if (auto again = source_.rewind(); !again) failed = again.error();
        else continue;
      }
    } else if (!more) {
      failed = more.error();
    }
    prepared p;
    bool have = more && *more;
    if (have) {
      if (auto composed = compose(item, index, p); !composed) {
        failed = composed.error();
        have = false;
      }
    }
    bool ring = false;
    {
      const threading::lock lock{mutex_};
      if (have) {
        ahead_bytes_ += p.wire.size();
        ahead_.emplace_back(std::move(p));
        next_ = ++index;
        ++in_this_pass;
      } else {
        failure_ = std::move(failed);
        ended_ = true;
      }
      ring = std::exchange(hungry_, false);
    }
    grown_.notify_all();
    if (ring) ring_();
    if (!have) return;
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
