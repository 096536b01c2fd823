// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/definitions.hpp - what each latency means (one place), and the shape of a serving report.
//   ttft            first_content - intended      what a user of the schedule waits; includes slot wait and connect
//   service_ttft    first_content - sent          what the server takes
//   ttfo            first_output - intended       first content that is not reasoning; missing where there is none
//   connect         connected - connect_begin     only requests that opened a connection
//   slot_wait       slot_free - intended          open loop with a cap
//   dispatch_delay  sent - connect - max(intended, slot_free)     judges the client, nothing else
//   tpot            (last_content - first_content) / (completion tokens - 1), tokens from the server's usage, 2 or more
//   itl             gap per token, only where the tokens of each chunk are known
//   chunk_gap       gap between content events; two events of one read give no gap but an upper bound (inexact)
//   e2e             last_content - intended
//   Only requests with status ok and not warm-up enter latencies; the counts beside them say how many did not.
//   Definitions: S7 and S12 of the project's statistics page (docs/statistics.md).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/model/request.hpp>
#include <hotpath/model/run.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

// Interval of an estimate. hi missing: unknown, n is too small for an upper bound (S3).
struct bounds {
  double lo = 0;
  std::optional<double> hi;
};

inline constexpr std::array<double, 4> quantile_levels = {0.50, 0.90, 0.95, 0.99};
inline constexpr std::array<std::string_view, 4> quantile_names = {"p50", "p90", "p95", "p99"};

// One latency over its requests (or gaps). n == 0: nothing was measured, `missing` says why, no other field has a meaning.
struct distribution {
  std::uint64_t n = 0;
  double mean = 0, max = 0;                       // milliseconds, as all that follow
  std::array<double, 4> quantile{};               // at quantile_levels
  std::optional<bounds> mean_ci;
  std::array<std::optional<bounds>, 4> ci;        // 95 %; missing: too few requests for any interval
  std::string_view ci_method;                     // "moving_block"
  std::string missing;
  std::uint64_t inexact = 0;                      // gaps left out because their stamps are upper bounds
};

enum class metric : std::uint8_t {
  ttft, service_ttft, ttfo, connect, slot_wait, dispatch_delay, tpot, itl, chunk_gap, e2e
};
inline constexpr std::array<std::string_view, 10> metric_names = {
    "ttft_ms", "service_ttft_ms", "ttfo_ms", "connect_ms", "slot_wait_ms", "dispatch_delay_ms", "tpot_ms", "itl_ms",
    "chunk_gap_ms", "e2e_ms"};

// A check of the books. Both sides are printed whether it holds or not.
struct check {
  std::string name;
  std::optional<bool> ok;   // missing: not applicable, `why` says so
  double left = 0, right = 0;
  std::string why;
};

struct rate {
  double value = 0;
  std::optional<bounds> ci;
};

// Fixed steps over the run, for spark lines and charts.
struct series {
  nanoseconds begin{}, step{};
  std::vector<double> in_flight;        // mean within the step
  std::vector<double> output_tokens_per_s;
  std::vector<double> ttft_p50_ms;      // of requests whose first content fell into the step; NaN: none
};

// A latency by the engine's own histogram, over an interval: the mean is exact, a quantile is known to lie in one bucket.
struct bucketed {
  double n = 0;                                   // 0: `missing` says why, no other field has a meaning
  std::optional<double> mean;                     // milliseconds, as all that follow; missing: the engine's sum is not usable
  std::array<std::optional<bounds>, 4> quantile;  // at quantile_levels: the bucket it lies in. lo 0: below the first edge; hi missing: above the last
  bool reset = false;                             // the engine started anew within the interval: n counts from there at least
  std::string missing;
};

// What one engine (or data-parallel rank) said of itself between the first and the last scrape.
struct engine_figures {
  std::string source;                             // model::metric_series::source; empty: the only one, or all together
  bucketed queue, prefill, decode, ttft, itl, tpot, e2e;
  // Share of the KV blocks in use, 0 to 1; requests. Mean: between the scrapes of the load, each standing for half the time to its neighbours.
  struct gauge {
    double mean = 0, max = 0;
    std::uint64_t n = 0;                          // scrapes that had it; 0: not told
  } kv_usage, running, waiting;
  std::optional<double> preemptions, prompt_tokens, cached_prompt_tokens, generation_tokens, prefix_queries, prefix_hits, requests_finished;
  std::optional<double> prefix_hit_rate;          // hits / queries of the interval; missing: not told, or no query
  std::optional<double> tokens_per_step;          // scheduled tokens per engine step, mean
  std::optional<double> spec_acceptance;          // accepted / drafted tokens
  std::optional<double> kv_capacity_tokens;       // blocks x tokens per block
  bool reset = false;                             // a counter went backwards: the engine started anew, figures count from there
};

struct server_section {
  std::string missing;                            // why there is none: "no scrape succeeded: HTTP 404"; empty: `all` holds
  std::string engine;                             // as the metrics' names tell
  std::uint64_t scrapes = 0, failed = 0, skipped = 0;
  nanoseconds begin{}, end{};                     // the interval: the first and last successful scrape, since the origin
  bool bracketed = false;                         // begin is before the first request and end after the last: differences are those of the run
  engine_figures all;                             // counters and histograms summed over engines, gauges too, but kv_usage: the mean
  std::vector<engine_figures> engines;            // one per source; empty when there is only one
  std::vector<std::string> problems;
  // Fixed steps over the run, as report::over_time: NaN where no scrape fell; never interpolated.
  struct {
    nanoseconds begin{}, step{};
    std::vector<double> running, waiting, kv_usage;
  } over_time;
};

struct report {
  model::run_info run;

  struct {
    std::uint64_t sent = 0, ok = 0, failed = 0, cancelled = 0, in_flight = 0, warmup = 0;
    std::array<std::uint64_t, model::error_class_count> errors{};   // failed and cancelled, by class
    std::vector<std::pair<std::string, std::uint64_t>> finish_reasons;  // of ok requests, most frequent first
    std::string first_error;                                        // message of the first failure, redacted
    std::uint64_t retried_connections = 0;
  } requests;

  struct {
    std::optional<std::int64_t> prompt, completion, reasoning, cached;  // totals of ok requests, warm-up excluded
    std::string_view source;                                // "usage", "mixed", "chunks", "none"
    std::uint64_t suspect = 0;                              // requests whose usage contradicts itself
    std::uint64_t without_usage = 0;
    std::optional<double> planned_prompt_error;             // mean of (usage - planned) / planned; synthetic workloads
  } tokens;

  std::array<distribution, metric_names.size()> latency;    // by serve::metric
  const distribution& of(metric m) const { return latency[static_cast<std::size_t>(m)]; }
  distribution& of(metric m) { return latency[static_cast<std::size_t>(m)]; }

  struct {
    nanoseconds window{};                                   // first start after warm-up to last end
    std::optional<rate> requests_per_s, output_tokens_per_s, input_tokens_per_s;
    std::string missing;
  } throughput;

  // The part of the run after warm-up (MSER-5 over E2E in the order of arrival) and before the drain, by itself: S6. `cut`: how many
  // requests of the beginning are left out; the end is the last arrival.
  struct {
    std::uint64_t cut = 0;
    nanoseconds begin{}, end{};                             // since the origin
    std::optional<double> requests_per_s, output_tokens_per_s, in_flight;
    std::string missing;                                    // "no steady state found", "fewer than 50 requests"
  } steady;

  struct {
    std::uint64_t good = 0, total = 0;                      // total: ok and failed, warm-up excluded; failed is never good
    std::optional<double> per_s, share;
    std::optional<bounds> share_ci, per_s_ci;
    std::string missing;                                    // "no limits were set (--slo)"
  } goodput;

  struct {
    double mean = 0, max = 0;                               // requests in flight over the window, time-weighted
    std::optional<double> at_server;                        // mean between sent and closed
  } concurrency;

  struct {
    std::uint64_t count = 0, requests = 0;                  // gaps over max(200 ms, 5 x the request's median gap)
    double longest_ms = 0, share_of_decode_time = 0;
  } stalls;

  struct {
    bool limited = false;
    std::vector<std::string> reasons;
    std::optional<double> loop_lag_p50_ms, loop_lag_p99_ms, loop_lag_max_ms, read_lag_p99_ms;
    double inexact_share = 0;
    bool kernel_stamps = true;                              // false: at least one stamp came from the loop's clock
    double user_stamp_share = 0;
    std::optional<double> cpu_share;                        // of the busiest thread, over the run
    double bytes_per_s = 0;
    std::uint64_t receive_queue_max = 0, open_descriptors_max = 0;
    std::uint64_t late = 0;                                 // dispatched more than 10 ms after they were due
    nanoseconds suspended{};                                // longest gap in which the client did not run at all
  } client;

  server_section server;

  std::string queue_at;                                     // "server", "cap", "" : where requests waited
  series over_time;
  std::vector<check> checks;
  std::vector<std::string> findings;                        // sentences for a person, most important first
  model::loss lost;
  std::uint64_t bootstrap_seed = 0, bootstrap_resamples = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::serve
