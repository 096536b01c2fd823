// SPDX-License-Identifier: Apache-2.0
// service.hpp - the engine's own thread, and what stands between it and the connections.
//   A connection's thread submits a request with a stream and reads the stream; the engine's thread puts tokens into it and never waits for
//   anybody: what a slow reader has not taken stays in its stream, at most max_tokens entries. A reader that goes away aborts.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include "engine.hpp"
#include "log.hpp"
#include "metrics.hpp"

namespace server {

// One answer on its way. After an output with a finish reason nothing follows.
class stream {
 public:
  void push(const output& o) {
    const std::lock_guard hold{mutex_};
    waiting_.push_back(o);
    arrived_.notify_one();
  }
  // Appends what has come to `out`. False: nothing came within the time.
  bool wait(std::vector<output>& out, std::chrono::milliseconds most) {
    std::unique_lock hold{mutex_};
    if (!arrived_.wait_for(hold, most, [&] { return !waiting_.empty(); })) return false;
    out.insert(out.end(), waiting_.begin(), waiting_.end());
    waiting_.clear();
    return true;
  }

 private:
  friend class service;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<output> waiting_;
  std::uint64_t number_ = 0;  // the engine's thread alone touches it
};

class service {
 public:
  service(model& m, const engine_options& e, std::string_view model_name, const log& lines, std::uint32_t max_waiting)
      : engine_(m, e), metrics_(model_name, m.options(), e, realtime_now()), log_(lines), max_waiting_(max_waiting), thread_([this] { loop(); }) {}
  ~service() { stop(); }

  // Errors: usage (not admissible), over_limit (too many wait already).
  result<void> submit(request r, const std::shared_ptr<stream>& to) {
    if (auto good = engine_.admissible(r); !good) return good;
    const std::lock_guard hold{mutex_};
    if (max_waiting_ != 0 && waiting_ + inbox_.size() >= max_waiting_) {
      ++rejected_;
      return error{.code = errc::over_limit, .detail = "too many requests wait already (" + std::to_string(max_waiting_) + ")", .hint = "try again later"};
    }
    inbox_.push_back({std::move(r), to, false});
    changed_.notify_one();
    return {};
  }
  // The reader has gone: nothing more is computed for it. No effect on what has finished.
  void abort(const std::shared_ptr<stream>& to) {
    const std::lock_guard hold{mutex_};
    inbox_.push_back({{}, to, true});
    changed_.notify_one();
  }
  // Ends the thread; what is under way ends as aborted.
  void stop() {
    {
      const std::lock_guard hold{mutex_};
      stopping_ = true;
      changed_.notify_one();
    }
    if (thread_.joinable()) thread_.join();
  }
  std::string metrics_page() const {
    const std::lock_guard hold{mutex_};
    return metrics_.page(running_, waiting_ + inbox_.size(), kv_usage_, rejected_);
  }

 private:
  struct message {
    request ask;
    std::shared_ptr<stream> to;
    bool abort;
  };

  void loop() {
    std::vector<message> messages;
    stats_due_ = monotonic_now() + period();
    for (bool stopping = false; !stopping;) {
      {
        std::unique_lock hold{mutex_};
        const auto ready = [&] { return !inbox_.empty() || stopping_ || !engine_.idle(); };
        if (!ready()) {
          log_.debug(role::core, "EngineCore waiting for work.");
          changed_.wait_for(hold, std::chrono::nanoseconds{std::max<std::int64_t>((stats_due_ - monotonic_now()).ns, 0)}, ready);
          if (ready()) log_.debug(role::core, "EngineCore loop active.");
        }
        messages.swap(inbox_);
        stopping = stopping_;
      }
      for (message& m : messages) m.abort ? take_back(*m.to) : take(m);
      messages.clear();
      if (stopping) return abort_all();
      if (!engine_.idle()) hand_out(engine_.step());
      note_state();
      if (monotonic_now() >= stats_due_) log_statistics();
    }
  }

  void take(message& m) {
    const std::string id = m.ask.id;
    m.to->number_ = engine_.submit(std::move(m.ask));
    streams_.emplace(m.to->number_, m.to);
    if (log_.requests) log_.info(role::api, "Added request " + id + ".");
  }
  void take_back(stream& s) {
    finished_request done;
    if (!engine_.abort(s.number_, &done)) return;
    streams_.erase(s.number_);
    const std::lock_guard hold{mutex_};
    metrics_.observe(done);
  }
  void abort_all() {
    for (auto& [number, s] : streams_) {
      finished_request done;
      if (engine_.abort(number, &done)) metrics_.observe(done);
      s->push({.request = number, .why = finish::abort});
    }
    streams_.clear();
  }

  void hand_out(const step_report& r) {
    if (r.empty()) return;
    {
      const std::lock_guard hold{mutex_};
      metrics_.observe(r);
    }
    for (const output& o : r.outputs) {
      const auto it = streams_.find(o.request);
      it->second->push(o);
      if (o.why != finish::none) streams_.erase(it);
    }
    if (!log_.iterations) return;
    char text[256];
    std::snprintf(text, sizeof text,
                  "Engine 000: Iteration(%lu): %u context requests, %u context tokens, %u generation requests, %u generation tokens, "
                  "iteration elapsed time: %.2f ms, CPU KV cache usage: %.1f%%",
                  static_cast<unsigned long>(r.number), r.context_requests, r.context_tokens, r.generation_requests, r.generation_tokens, r.elapsed.ms(),
                  100 * engine_.kv_usage());
    log_.info(role::api, text);
  }
  void note_state() {
    const std::lock_guard hold{mutex_};
    running_ = engine_.running(), waiting_ = engine_.waiting(), kv_usage_ = engine_.kv_usage();
  }

  // The periodic line. An interval without traffic is told once, then at DEBUG until there is some again.
  void log_statistics() {
    const double seconds = (monotonic_now() - stats_due_ + period()).s();
    stats_due_ = monotonic_now() + period();
    if (log_.stats_seconds <= 0) return;
    const metrics& m = metrics_;  // this thread alone writes it
    const double prompt = m.prompt_tokens() - m.cached_tokens() - told_prompt_, generation = m.generation_tokens() - told_generation_;
    told_prompt_ += prompt, told_generation_ += generation;
    char text[256];
    const int n = std::snprintf(text, sizeof text,
                          "Engine 000: Avg prompt throughput: %.1f tokens/s, Avg generation throughput: %.1f tokens/s, Running: %zu reqs, "
                          "Waiting: %zu reqs, CPU KV cache usage: %.1f%%",
                          prompt / seconds, generation / seconds, engine_.running(), engine_.waiting(), 100 * engine_.kv_usage());
    if (m.prefix_queries() > 0)
      std::snprintf(text + n, sizeof text - static_cast<std::size_t>(n), ", Prefix cache hit rate: %.1f%%", 100 * m.prefix_hits() / m.prefix_queries());
    const bool traffic = prompt + generation > 0 || !engine_.idle();
    if (traffic || had_traffic_) log_.info(role::api, text);
    else log_.debug(role::api, text);
    had_traffic_ = traffic;
  }
  nanoseconds period() const { return nanoseconds::from_s(log_.stats_seconds > 0 ? log_.stats_seconds : 3600); }

  engine engine_;                                  // of the thread, but for admissible(), which reads what never changes
  std::unordered_map<std::uint64_t, std::shared_ptr<stream>> streams_;
  nanoseconds stats_due_{};
  double told_prompt_ = 0, told_generation_ = 0;
  bool had_traffic_ = false;

  mutable std::mutex mutex_;                       // of what follows
  std::condition_variable changed_;
  std::vector<message> inbox_;
  bool stopping_ = false;
  metrics metrics_;
  std::size_t running_ = 0, waiting_ = 0;
  double kv_usage_ = 0;
  std::uint64_t rejected_ = 0;

  const log& log_;
  std::uint32_t max_waiting_;
  std::thread thread_;                             // last: it begins when the rest is there
};

}  // namespace server
