// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/throughput.hpp - rates, goodput, and requests in flight over time.
//   The window is [first start after the warm-up, last end of any request that is not of it]: failed ones count, or a server that
//   died half way would look as fast as before. A rate's interval resamples requests with the time up to the next start; the
//   tail after the last start is common to all resamples, and where it is more than half of the window there is no interval.
//   In flight: from the intended start to the end; at the server: from the first byte sent to the end. Warm-up requests that
//   reach into the window are in flight in it.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <hotpath/serve/detail/rows.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

// Sums over fixed steps from the run's origin, for runs of any length in bounded memory: 10 ms steps that double as the run
// grows, so that there are at most 240.
class step_sums {
 public:
  void add(std::int64_t at, double amount) {
    if (at < begin_ || at >= end_) find(at);
    sums_[current_] += amount;
  }
  std::int64_t step() const { return step_; }
  double sum(std::size_t i) const { return i < sums_.size() ? sums_[i] : 0; }
  static constexpr std::size_t most = 240;
  // Steps of at least this run's length fit into `most`.
  void cover(std::int64_t at);

 private:
  void find(std::int64_t at);
  std::array<double, most> sums_{};
  std::int64_t step_ = 10'000'000;
  std::int64_t begin_ = 0, end_ = 0;  // of the step added to last
  std::size_t current_ = 0;
};

window window_of(const ordered_rows& rows);

// Integral of the requests in flight over the window, in request-nanoseconds, by two roads that share no code: a sweep over sorted
// starts and ends, and the sum of each request's time. Equal to the nanosecond, or the books are wrong (S9).
__extension__ typedef __int128 wide;
struct in_flight_integral {
  wide swept = 0, summed = 0, at_server = 0;
  std::uint64_t most = 0;  // at any moment
};
in_flight_integral integrate(std::span<const row> all, const window& w);

// Requests at the server, and their median service ttft, over each third of the time in which requests were started.
struct thirds {
  double at_server[3] = {}, service_ttft[3] = {};
  std::uint64_t n = 0;  // requests with a service ttft; below 30 there is no verdict
  bool growing() const;
};
thirds thirds_of(const ordered_rows& rows, const window& w);

void fill_throughput(report& out, const ordered_rows& rows, const window& w, const stats::bootstrap_options& options);
void fill_steady(report& out, std::span<const row> all, const ordered_rows& rows);
void fill_concurrency(report& out, const in_flight_integral& i, const window& w);
void fill_series(report& out, std::span<const row> all, step_sums tokens);

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/throughput-inl.hpp>
#endif
