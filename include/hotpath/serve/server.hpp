// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/server.hpp - scrapes in, what the engine said of itself over the run out.
//
//     serve::server_fold fold;
//     for (const model::scrape& s : scrapes) fold.add(s);                              // in the order of time, failed ones too
//     serve::server_section server = fold.finish({.first = first_sent, .last = last_end});
//     serve::server_section between = serve::difference(earlier, later);               // of two pages
//
//   Counters and histograms: last scrape minus first. A value that went backwards, or a beginning (`created`) that moved: the
//   engine started anew, and all of it counts from 0 at that restart; `reset` says so. A series that the first scrape did not have
//   counts from 0 if it says that it began later than anything on the first page, else from where it appeared, which is a problem.
//   Gauges: the mean over the scrapes of the load, each standing for half the time to its neighbours, never across a failed scrape.
//   Quantiles: the bucket they lie in; buckets whose edges changed between scrapes have none. Formulas: core/buckets.hpp.
//   Memory: per series its first and last value, 1,024 steps of time; nothing grows with the number of scrapes.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>
#include <hotpath/core/buckets.hpp>
#include <hotpath/model/scrape.hpp>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

// The run that the scrapes belong to, since its origin.
struct server_window {
  nanoseconds first{}, last{};       // first request sent, last one ended; both 0: not known, and nothing is bracketed
  nanoseconds begin{}, step{};       // of over_time: serve::report's own; step 0: steps of the fold's choice
  std::size_t steps = 0;
};

class server_fold {
 public:
  void add(const model::scrape& s);
  // As often as wanted: a view of what came so far.
  server_section finish(const server_window& window = {}) const;

 private:
  // A counter or histogram of one engine, from where it counts to where it is.
  struct total {
    model::engine_metric what{};
    std::string source = {}, name = {};
    buckets::histogram base = {}, now = {};     // of a counter: only `count`
    std::optional<nanoseconds> created = {};    // as last told
    nanoseconds since{};                        // of the scrape from which it counts
    std::uint64_t from = 0, seen = 0;           // the scrape from which it counts, and the last that had it; from 1
    bool reset = false, late = false;           // late: not on the first page, and not new either
  };
  // A gauge over time: the mean of segments between neighbours; without any, of the values.
  struct gauge_fold {
    double weighted = 0, seconds = 0, sum = 0, last = 0, most = 0;
    std::uint64_t n = 0, seen = 0;
    nanoseconds at{};
    void add(double v, nanoseconds when, std::uint64_t scrape, bool connected);
    engine_figures::gauge figures() const;
  };
  struct level {                                // gauges of one engine, or of all together
    std::string source = {};
    std::array<gauge_fold, 3> load = {}, any = {};  // running, waiting, kv_usage; of the scrapes during the load, and of all
    std::optional<double> blocks = {}, block_tokens = {};
  };
  struct cell {
    std::array<double, 3> sum{};
    std::array<std::uint32_t, 3> n{};
  };

  total* find(const model::metric_series& m);
  void add_totals(const model::scrape& s);
  void add_gauges(const model::scrape& s);
  void add_step(nanoseconds at, std::size_t which, double v);
  void fill(engine_figures& out, const std::string* source, std::vector<std::string>& problems) const;
  bucketed latency(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const;
  std::optional<buckets::difference> interval(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const;
  void fill_capacity(engine_figures& out, const std::string* source) const;
  void fill_steps(server_section& out, const server_window& window) const;
  void problem(const std::string& text);

  static constexpr std::size_t most_totals = 4096, most_levels = 256, most_cells = 1024, most_problems = 64;
  std::vector<total> totals_;
  std::vector<level> levels_;
  level all_;
  std::vector<cell> cells_;
  std::int64_t step_ = 10'000'000;              // ns; doubles as the run grows
  std::string engine_, first_error_;
  std::vector<std::string> problems_;
  std::uint64_t scrapes_ = 0, ok_ = 0, failed_ = 0, skipped_ = 0, last_ok_ = 0;
  std::array<std::size_t, 3> tell_{};           // how many engines told a gauge, at most
  nanoseconds begin_{}, end_{};                 // midpoints of the first and last that succeeded
  nanoseconds first_end_{}, last_begin_{};      // the values of the first are not younger, of the last not older
  std::optional<nanoseconds> newest_;           // beginning on the first page
  bool first_whole_ = false;                    // nothing of it was lost
};

// A histogram of one page, in seconds: all that its engine has counted since it started.
bucketed since_start(const model::metric_series& m);
// Of two pages: `later` minus `earlier`, gauges over both.
server_section difference(const model::scrape& earlier, const model::scrape& later);

}  // namespace hotpath::inline HOTPATH_ABI::serve

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/server-inl.hpp>
#endif
