// SPDX-License-Identifier: Apache-2.0
// hotpath/report/live.hpp - a load while it goes on: what the client and the engine's scrapes tell, made into lines of a page. Pure: no terminal.
//
//     report::live_meter meter;
//     meter.describe("Qwen3-8B on vllm \u00B7 http://127.0.0.1:8000", plan);
//     client_options.on_progress = [&](const model::progress& p) {
//       meter.add(p);
//       screen.draw(report::live_page(meter.state(), {.width = 80}));    // report/terminal.hpp
//     };
//
//   "Now" is the last ten seconds; a latency that none of them has is the last one known, marked as old. TTFT counts when the first
//   content comes, so a long answer does not hide a slow start. A mark of a spark line is one second, from 0 to the largest shown.
//   Output tokens/s: content events of all requests times the tokens per event of those that have ended; before any has, events.
//   Memory: bounded, whatever the length of the run. Thread safety: none; add() of both kinds and state() need one lock around them
//   where they are called from several threads.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/model/client.hpp>
#include <hotpath/model/progress.hpp>
#include <hotpath/model/schedule.hpp>
#include <hotpath/model/scrape.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

// A figure and one mark per second (or scrape) of its past, the newest last; NaN: not known then.
struct live_figure {
  static constexpr std::size_t most = 240;
  std::optional<double> now;
  bool old = false;               // `now` is from before the last ten seconds
  std::vector<double> past;       // at most `most`
};

struct live_server {
  std::string missing = "its metrics are not read";  // why there is none; empty: what follows holds
  std::string engine;
  std::string trouble;            // why the last scrape brought nothing; empty: it did
  nanoseconds at{};               // of the last one that succeeded, since the run's origin
  live_figure running, waiting, kv_usage;  // requests; share of the KV blocks, the mean of several engines
  live_figure prefix_hit_rate;    // hits / queries of the last ten seconds
  live_figure preemptions;        // now: since the first scrape; past: per second
  live_figure tokens_per_s;       // generated, by the engine's counter
};

struct live_client {
  std::vector<std::string> limits;  // why it is the limit now; empty: it is not
  std::optional<double> loop_lag_p99_ms, cpu_share;
  double inexact_share = 0;
};

struct live_state {
  std::string title;              // shown as text of others: escapes in it do nothing
  model::schedule plan;
  model::progress at;             // the last snapshot
  live_figure in_flight, requests_per_s, output_per_s, ttft_p50_ms, ttft_p99_ms, tpot_p50_ms;
  bool output_is_events = false;  // output_per_s counts content events: no request has ended that tells tokens per event
  live_client client;
  live_server server;
};

class live_meter {
 public:
  // Before the first add(). The schedule's due times are not kept.
  void describe(std::string title, const model::schedule& plan);
  void add(const model::progress& p);
  // Each scrape, also failed ones.
  void add(const model::scrape& s);
  const live_state& state() const { return state_; }

 private:
  struct counters {
    nanoseconds at{};
    double queries = 0, hits = 0, preemptions = 0, tokens = 0;
    bool has_queries = false, has_preemptions = false, has_tokens = false;
  };
  void mark();
  live_state state_;
  std::deque<model::progress> window_;  // the last ten seconds
  model::progress marked_;        // as of the last whole second
  std::optional<double> last_output_;  // per second, in the last second that a thread has told of
  std::deque<counters> scrapes_;  // the last ten seconds, and one before
  double preempted_before_ = 0;   // since the first scrape, of engines that started anew meanwhile
  std::optional<double> first_preemptions_;
};

struct live_options {
  std::size_t width = 80;         // 40 and up; from 120 on the engine stands beside the client
  std::size_t height = 24;        // lines at most: what matters least is left out
  bool color = false, ascii = false;
};

// The page, at most `height` lines of at most `width` columns (colour codes not counted), without line ends.
std::vector<std::string> live_page(const live_state& s, const live_options& options = {});
// One plain line for a log: ASCII but for what the title holds, no colour, no cursor. "24/60 s  1,412 sent  16 in flight  0 errors  …".
std::string live_line(const live_state& s);

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/live-inl.hpp>
#endif
