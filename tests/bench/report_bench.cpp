// SPDX-License-Identifier: Apache-2.0
// report_bench [REQUESTS CHUNKS]: time of a whole report with all intervals, stage by stage, on one core, beside the bootstrap
// done naively (put each resample together, sort it) on fewer requests in the same run. Default 100,000 x 200.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/serve.hpp>

using namespace hotpath;

namespace {

// CPU time: what it costs on one core, whatever else the machine does.
double seconds() { return hotpath::detail::read_clock(CLOCK_PROCESS_CPUTIME_ID).s(); }

// An open loop at 200 requests/s: correlated waits, 25 ms gaps with jitter, one stall in a thousand gaps.
class traffic {
 public:
  explicit traffic(unsigned chunks) : chunks_(chunks) {}
  model::request next() {
    model::request r;
    r.index = index_++;
    r.status = model::request_status::ok;
    r.finish_reason = "length";
    at_ += random_.exponential(5e6);
    level_ = 0.9 * level_ + 0.1 * random_.normal();
    const auto stamp = [](double ns, bool kernel) {
      return model::stamp{nanoseconds{static_cast<std::int64_t>(ns)}, kernel ? model::stamp_source::kernel : model::stamp_source::user, kernel};
    };
    r.intended = stamp(at_, false);
    r.connect_begin = stamp(at_ + 20e3, false);
    r.connected = stamp(at_ + 60e3, false);
    r.sent = stamp(at_ + 80e3 + 20e3 * random_.unit(), false);
    double t = at_ + 50e6 * std::exp(level_);
    r.first_content = r.first_output = stamp(t, true);
    for (unsigned i = 0; i < chunks_; ++i) {
      r.chunks.append({.at = nanoseconds{static_cast<std::int64_t>(t)}, .exact = random_.below(100) != 0, .kernel = true});
      if (i + 1 < chunks_) t += random_.below(1000) == 0 ? 250e6 : 25e6 * (1 + 0.2 * level_) + 1e6 * (random_.unit() - 0.5);
    }
    r.last_content = stamp(t, true);
    r.finished = r.closed = stamp(t + 100e3, true);
    r.prompt_tokens = 512;
    r.completion_tokens = chunks_;
    r.tokens_from = model::token_source::usage;
    return r;
  }

 private:
  unsigned chunks_;
  std::uint64_t index_ = 0;
  stats::xoshiro256 random_{42};
  double at_ = 0, level_ = 0;
};

// One metric, as one would write it down. Returns seconds.
double naive(const std::vector<double>& x, unsigned resamples) {
  const double begin = seconds();
  const auto plan = stats::plan_blocks(x.size(), stats::autocorrelation_time(x));
  stats::xoshiro256 random{1};
  std::vector<double> again, p50;
  for (unsigned r = 0; r < resamples; ++r) {
    again.clear();
    for (std::size_t b = 0; b < plan.count; ++b) {
      const auto from = static_cast<std::ptrdiff_t>(random.below(x.size() - plan.length + 1));
      again.insert(again.end(), x.begin() + from, x.begin() + from + static_cast<std::ptrdiff_t>(plan.length));
    }
    std::sort(again.begin(), again.end());
    p50.push_back(*stats::quantile(again, 0.5));
  }
  return seconds() - begin;
}

double best_of_3(auto&& f) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const double begin = seconds();
    f();
    best = std::min(best, seconds() - begin);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t n = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100'000;
  const unsigned chunks = argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 200;
  std::printf("%zu requests x %u chunks, 2,000 resamples, CPU seconds\n", n, chunks);

  // Requests are made in portions, so that the input does not have to fit beside the analyzer; only add() is timed.
  serve::summarizer s;
  traffic source{chunks};
  double intake = 0;
  std::vector<model::request> portion;
  std::vector<double> waits;
  std::vector<float> gaps;
  std::vector<stats::cluster> clusters;
  for (std::size_t done = 0; done < n;) {
    portion.clear();
    for (; portion.size() < 1000 && done < n; ++done) portion.push_back(source.next());
    for (const auto& r : portion) waits.push_back(*serve::latency_of(r, serve::metric::ttft));
    const double begin = seconds();
    for (const auto& r : portion) s.add(r);
    intake += seconds() - begin;
  }
  stats::xoshiro256 random{9};
  for (std::size_t i = 0; i < n; ++i) {
    clusters.push_back({gaps.size(), chunks - 1});
    for (unsigned k = 1; k < chunks; ++k) gaps.push_back(static_cast<float>(25e6 + 1e6 * random.unit()));
  }
  model::run_info run;
  run.plan.kind = model::arrival::poisson;
  run.state = model::run_state::complete;
  run.slo.ttft = nanoseconds{100'000'000};
  serve::report report;
  const double finish = best_of_3([&] { report = s.finish(run); });
  std::printf("  %-44s %8.3f s  (%.1f ns per chunk)\n", "intake, summarizer::add", intake, intake / static_cast<double>(n * chunks) * 1e9);
  std::printf("  %-44s %8.3f s\n", "report, summarizer::finish (best of 3)", finish);
  std::printf("  %-44s %8.3f s  floor 5, goal 1\n", "together", intake + finish);

  std::vector<double> sorted;
  const double sort = best_of_3([&] { sorted = waits, std::sort(sorted.begin(), sorted.end()); });
  const double tau = best_of_3([&] { (void)stats::autocorrelation_time(waits, static_cast<double>(n) / 80); });
  const double series = best_of_3([&] { (void)stats::bootstrap_series(waits, sorted, serve::quantile_levels); });
  const double pooled = best_of_3([&] { (void)stats::bootstrap_pooled(gaps, {}, clusters, serve::quantile_levels); });
  const stats::ratio r{waits, {}, 0};
  const std::vector<stats::ratio> five(5, r);
  const double ratios = best_of_3([&] { (void)stats::bootstrap_ratios(five); });
  std::printf("of it (each timed alone, best of 3)\n");
  std::printf("  %-44s %8.3f s\n", "one latency: sort", sort);
  std::printf("  %-44s %8.3f s\n", "one latency: correlation time", tau);
  std::printf("  %-44s %8.3f s  mean and four quantiles\n", "one latency: intervals", series);
  std::printf("  %-44s %8.3f s  mean and four quantiles of %zu values\n", "gaps: quantiles and intervals", pooled, gaps.size());
  std::printf("  %-44s %8.3f s\n", "five rates: intervals", ratios);

  const std::size_t few = std::min<std::size_t>(n, 10'000);
  std::vector<double> part(waits.begin(), waits.begin() + static_cast<std::ptrdiff_t>(few));
  std::vector<double> part_sorted = part;
  std::sort(part_sorted.begin(), part_sorted.end());
  const double slow = naive(part, 200) * 10;  // 200 of 2,000 resamples
  const double fast = best_of_3([&] { (void)stats::bootstrap_series(part, part_sorted, serve::quantile_levels); });
  std::printf("naive, one latency of %zu requests: %.3f s; ours on the same: %.4f s; ratio %.0f\n", few, slow, fast, slow / fast);
  stats::sketch sketch;
  const double add = best_of_3([&] { for (const double w : waits) sketch.add(w); });
  std::printf("sketch::add %.1f ns; ttft p99 %.1f ms; stalls %llu\n", add / static_cast<double>(waits.size()) * 1e9,
              report.of(serve::metric::ttft).quantile[3], static_cast<unsigned long long>(report.stalls.count));
  for (const auto& f : report.findings) std::printf("  finding: %s\n", f.c_str());
  return 0;
}
