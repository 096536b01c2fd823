// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/summarize.hpp - requests in, one report out.
//
//     serve::summarizer s{{.seed = 7}};
//     for (const model::request& r : requests) s.add(r);        // in any order, as they finish
//     for (const model::client_interval& i : client) s.add(i);  // of one thread in order
//     for (const model::scrape& page : pages) s.add(page);      // what the engine said of itself, in the order of time
//     serve::report report = s.finish(run);                     // as often as wanted: a view of what came so far
//
//   Memory: 136 bytes per request and 4 per gap between content events (2 more where the server tells the tokens of each event).
//   finish() needs up to 300 bytes per request more while it works, the report itself at most 30 KiB. Stamps are used within
//   +-36 years of the origin, tokens of one event up to 65,535. Thread safety: as any value.
//   No data is no error: the report says what is missing and why.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include <hotpath/serve/findings.hpp>
#include <hotpath/serve/latency.hpp>
#include <hotpath/serve/server.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

struct options {
  std::uint64_t seed = 1;          // of the intervals; recorded in the report
  std::uint32_t resamples = 2000;  // 0: no intervals, ten times as fast
};

class summarizer {
 public:
  summarizer() = default;
  explicit summarizer(const options& o) : options_(o) {}

  // About 2 us for an answer of 200 events.
  void add(const model::request& r);
  void add(const model::client_interval& i) { client_.add(i); }
  void add(const model::scrape& s) { server_.add(s); }
  report finish(const model::run_info& run) const;

 private:
  void add_outcome(const model::request& r);
  void add_tokens(const model::request& r, detail::row& row);
  void add_events(const model::request& r, detail::row& row);
  void add_gaps(detail::row& row, bool tokens_known);
  void fill_requests(report& out) const;
  void fill_tokens(report& out) const;
  void fill_latencies(report& out, const detail::ordered_rows& rows) const;
  void fill_gaps(report& out, const detail::ordered_rows& rows) const;
  std::string why_no_latency(metric m, const report& out) const;

  options options_;
  std::vector<detail::row> rows_;
  std::vector<float> gaps_;              // ns, of the rows in their order
  std::vector<std::uint16_t> weights_;   // tokens of the event that ends the gap, where known; empty: never known
  std::vector<model::content_event> events_;  // of the request being added
  std::vector<std::int64_t> all_gaps_;
  detail::step_sums tokens_over_time_;
  detail::client_meter client_;
  server_fold server_;
  detail::client_meter::log_counts logs_;
  detail::token_books books_;
  bool kernel_stamps_ = false;           // one was seen: gaps between stamps of the loop's clock are no longer of interest
  std::uint64_t inexact_gaps_ = 0, inexact_itl_ = 0, multi_event_answers_ = 0;

  std::uint64_t status_[4] = {}, warmup_ = 0, ok_warmup_ = 0, highest_index_ = 0;
  std::array<std::uint64_t, model::error_class_count> errors_{};
  std::vector<std::pair<std::string, std::uint64_t>> finish_reasons_;
  std::string first_error_;
  std::uint64_t first_error_index_ = 0;
  bool has_first_error_ = false;
  struct total {
    std::int64_t sum = 0;
    bool known = false;
    void add(const std::optional<std::int64_t>& v);
  };
  total prompt_, completion_, reasoning_, cached_;
  std::uint64_t from_usage_ = 0, from_chunks_ = 0, suspect_ = 0, without_usage_ = 0, planned_ = 0;
  double planned_error_ = 0;
  std::uint64_t stalls_ = 0, stalled_ = 0;
  std::int64_t longest_stall_ = 0;
  double stall_time_ = 0, decode_time_ = 0;
  std::optional<nanoseconds> first_sent_;  // of all requests
  nanoseconds last_end_{};
  model::loss lost_;
};

// All at once. client: the rows of all threads, each thread's in order.
report summarize(std::span<const model::request> requests, const model::run_info& run,
                 std::span<const model::client_interval> client = {}, const options& o = {});

}  // namespace hotpath::inline HOTPATH_ABI::serve

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/summarize-inl.hpp>
#endif
