// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <hotpath/core/random.hpp>
#include <hotpath/kernel/compare.hpp>
#include "built_subject.hpp"
#include "support/data.hpp"

using namespace hotpath;
using hotpath_test::built;
using kernel::change_verdict;
using kernel::family;
using model::stage;

namespace {
struct shape {
  std::size_t steps = 60;
  double gemm = 1, attention = 1;        // factors
  double noise = 0.05, rho = 0.3;        // of step times: relative, from one step to the next
  stage at = stage::decode;
  std::uint16_t process = 0;
  double from = 1000;                    // us
  std::int64_t requests = 32;
  std::string_view kernel = "gemm_kernel", name = "step[DECODE bs=32]";
};
// Steps of 20 layers on one stream, gaps between the kernels; what is slow in one step is slow in the next as well.
void simulate(built& b, std::uint64_t seed, const shape& w) {
  stats::xoshiro256 g(seed);
  double slow = w.noise * g.normal(), at = w.from;
  for (std::size_t i = 0; i < w.steps; ++i) {
    slow = w.rho * slow + w.noise * std::sqrt(1 - w.rho * w.rho) * g.normal();
    const auto step = b.step(w.at, w.process, w.name);
    b.s.steps.steps[step].generation_requests = w.requests;
    for (int layer = 0; layer < 20; ++layer) {
      const double x = std::exp(slow);
      const double gemm = 60 * w.gemm * x, attention = 30 * w.attention * x;
      b.add(w.kernel, at, gemm, {.step = step, .process = w.process});
      b.add("attention_kernel", at + gemm + 1, attention, {.what = family::attention, .step = step, .process = w.process});
      at += gemm + attention + 2;
    }
    at += 500;
  }
}
built simulated(std::uint64_t seed, const shape& w = {}) {
  built b;
  simulate(b, seed, w);
  b.finish();
  return b;
}
const kernel::compare_row* find(const std::vector<kernel::compare_row>& rows, std::string_view name) {
  for (const auto& r : rows)
    if (r.name == name) return &r;
  return nullptr;
}
bool any(const std::vector<std::string>& lines, std::string_view part) {
  for (const auto& l : lines)
    if (l.find(part) != std::string::npos) return true;
  return false;
}
}  // namespace

TEST_CASE("kernel: rank tests give the known answers of the statistics page") {
  std::vector<double> a, b;
  for (int i = 0; i < 100; ++i) a.push_back(100 + 10 * std::sin(i) + i % 7), b.push_back(1.05 * a.back() + 0.3 * ((37 * i) % 11));
  const auto t = kernel::test_ranks(a, b);
  REQUIRE(t);
  CHECK(t->u == doctest::Approx(2785));
  CHECK(t->p == doctest::Approx(6.271414626e-8).epsilon(1e-6));
  CHECK(t->shift == doctest::Approx(6.653879565));
  CHECK(t->cliff == doctest::Approx(0.443));
  const auto tied = kernel::test_ranks(std::vector<double>{1, 2, 2, 3, 3, 3, 5, 5}, std::vector<double>{2, 3, 3, 4, 4, 4, 5});  // by hand: pairs counted one by one
  CHECK(tied->u == 20.0);
  CHECK(tied->p == doctest::Approx(0.371390821));
  CHECK(!kernel::test_ranks({}, b));
  const auto same = kernel::test_ranks(std::vector<double>(30, 5), std::vector<double>(30, 5));
  CHECK(same->p == 1);
  CHECK(same->cliff == 0);
  CHECK(same->shift == 0);
}

TEST_CASE("kernel: of 200 comparisons of like with like few call a difference, and +10 % is found nine times in ten, on simulated steps") {
  const int rounds = hotpath_test::full() ? 200 : 60;
  int alarms = 0, found = 0, improved = 0, same = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 + 10 * i);
    stats::xoshiro256 g(seed);
    const auto series = [&](double level) {
      std::vector<double> v;
      double x = g.normal();
      for (int k = 0; k < 200; ++k) x = 0.5 * x + std::sqrt(0.75) * g.normal(), v.push_back(level * std::exp(0.06 * x));
      return v;
    };
    const kernel::compare_options o{.seed = seed, .resamples = 500};
    const auto a = series(1e6), like = series(1e6), slower = series(1.1e6), faster = series(0.9e6);
    const change_verdict v = kernel::compare_means(a, like, o).what;
    alarms += v == change_verdict::worse || v == change_verdict::better;
    same += v == change_verdict::same;
    found += kernel::compare_means(a, slower, o).what == change_verdict::worse;
    improved += kernel::compare_means(a, faster, o).what == change_verdict::better;
  }
  MESSAGE("of " << rounds << ": alarms " << alarms << ", same " << same << ", +10 % found " << found << ", -10 % found " << improved);
  CHECK(alarms * 20 <= rounds);
  CHECK(same * 10 >= rounds * 8);
  CHECK(found * 10 >= rounds * 9);
  CHECK(improved * 10 >= rounds * 9);
}

TEST_CASE("kernel: the interval of a relative change holds the truth about as often as it says, on simulated steps") {
  const int rounds = hotpath_test::full() ? 500 : 150;
  int inside = 0;
  for (int i = 0; i < rounds; ++i) {
    stats::xoshiro256 g(static_cast<std::uint64_t>(77 + i));
    const auto series = [&](double level) {
      std::vector<double> v;
      double x = g.normal();
      for (int k = 0; k < 200; ++k) x = 0.5 * x + std::sqrt(0.75) * g.normal(), v.push_back(level * (1 + 0.1 * x));
      return v;
    };
    const auto c = kernel::compare_means(series(2e6), series(2.2e6), {.seed = static_cast<std::uint64_t>(i), .resamples = 500});
    REQUIRE(c.ci);
    inside += c.ci->lo <= 10 && 10 <= *c.ci->hi;
  }
  MESSAGE("of " << rounds << " intervals " << inside << " hold it");
  CHECK(inside >= rounds * 90 / 100);
  CHECK(inside <= rounds * 99 / 100);
}

TEST_CASE("kernel: a slower family is named as what made the step slower, and the tool's exit code is 1") {
  const built a = simulated(1), b = simulated(2, {.gemm = 1.25});
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(d.verdict == change_verdict::worse);
  CHECK(kernel::exit_code(d) == 1);
  REQUIRE(d.stages.size() == 1);
  const auto& s = d.stages[0];
  CHECK(s.at == stage::decode);
  CHECK(s.a_steps == 60);
  CHECK(s.step_time.what == change_verdict::worse);
  REQUIRE(s.step_time.relative);
  CHECK(*s.step_time.relative == doctest::Approx(16.3).epsilon(0.2));   // 60 of 92 parts
  REQUIRE(s.step_time.ci);
  CHECK(s.step_time.ci->lo < *s.step_time.relative);
  CHECK(*s.step_time.relative < *s.step_time.ci->hi);
  CHECK(s.busy.what == change_verdict::worse);
  REQUIRE(s.ranks);
  CHECK(s.ranks->cliff > 0.5);
  CHECK(s.reason.empty());
  CHECK(find(s.families, "gemm")->time.what == change_verdict::worse);
  CHECK(find(s.families, "gemm")->of == family::gemm);
  CHECK(find(s.families, "attention")->time.what != change_verdict::worse);
  CHECK(find(s.kernels, "gemm_kernel")->time.what == change_verdict::worse);
  CHECK(find(s.kernels, "gemm_kernel")->a_launches == 1200);
  CHECK(s.families[0].name == "gemm");
  CHECK(d.unmatched.empty());
  // The mean of a family is its time over the steps, exactly.
  double gemm = 0;
  for (const auto& e : a.t.gpu)
    if (a.t.name(e.name) == "gemm_kernel") gemm += static_cast<double>(e.duration.ns);
  CHECK(find(s.families, "gemm")->time.a == doctest::Approx(gemm / 60));
  // And back again it is better.
  const kernel::comparison back = kernel::compare(b.s, a.s);
  CHECK(back.verdict == change_verdict::better);
  CHECK(kernel::exit_code(back) == 0);
}

TEST_CASE("kernel: a trace against itself is the same, and against another of its kind no verdict is worse or better") {
  const built a = simulated(1, {.steps = 100}), b = simulated(2, {.steps = 100});
  const kernel::comparison self = kernel::compare(a.s, a.s), like = kernel::compare(a.s, b.s);
  CHECK(self.verdict == change_verdict::same);
  CHECK(kernel::exit_code(self) == 0);
  CHECK(*self.stages[0].step_time.relative == 0);
  CHECK(like.verdict == change_verdict::same);
}

TEST_CASE("kernel: a difference within the margin is the same, however sure, and one across it is inconclusive") {
  const shape quiet{.steps = 100, .noise = 0.01};
  shape three = quiet, five = quiet;
  three.gemm = three.attention = 1.03, five.gemm = five.attention = 1.055;
  const built a = simulated(1, quiet), b = simulated(2, three), c = simulated(3, five);
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(d.stages[0].step_time.ci->lo > 1);
  CHECK(d.verdict == change_verdict::same);
  CHECK(kernel::compare(b.s, a.s).verdict == change_verdict::same);
  CHECK(kernel::compare(a.s, c.s).verdict == change_verdict::inconclusive);
  CHECK(kernel::compare(a.s, c.s, {.margin = 2}).verdict == change_verdict::worse);
}

TEST_CASE("kernel: with fewer than 20 steps on a side there is no verdict, whatever the difference") {
  const built a = simulated(1, {.steps = 19}), b = simulated(2, {.steps = 60, .gemm = 3});
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(d.verdict == change_verdict::inconclusive);
  CHECK(kernel::exit_code(d) == 5);
  CHECK(d.stages[0].reason == "A has 19 and B 60 steps; a verdict wants 20 on each side");
  CHECK(*d.stages[0].step_time.relative > 100);   // shown all the same
  CHECK(find(d.stages[0].families, "gemm")->time.what == change_verdict::inconclusive);
  const built c = simulated(1, {.steps = 20});
  CHECK(kernel::compare(c.s, b.s).verdict == change_verdict::worse);
}

TEST_CASE("kernel: traces without steps compare their totals and give no verdict") {
  built a, b;
  a.add("k", 0, 100, {}), b.add("k", 0, 150, {});
  a.finish(), b.finish();
  const kernel::comparison d = kernel::compare(a.s, b.s);
  REQUIRE(d.stages.size() == 1);
  CHECK(d.stages[0].at == stage::all);
  CHECK(*d.stages[0].step_time.relative == doctest::Approx(50));
  CHECK(d.verdict == change_verdict::inconclusive);
  built none;
  none.finish();
  const kernel::comparison nothing = kernel::compare(none.s, b.s);
  CHECK(nothing.stages.empty());
  CHECK(kernel::exit_code(nothing) == 5);
  CHECK(any(nothing.unmatched, "stages only in B: all"));
}

TEST_CASE("kernel: F-TRC-18 traces of different ranks, stages, steps and kernels are aligned by name, and what has no like is listed") {
  built a, b;
  a.t.processes.resize(2), b.t.processes.resize(2);
  a.t.processes[0].rank = 0, a.t.processes[1].rank = 3;
  b.t.processes[0].rank = 3, b.t.processes[1].rank = 5;
  simulate(a, 1, {.gemm = 9, .process = 0});          // rank 0: only in A, and slow
  simulate(a, 2, {.process = 1});
  simulate(b, 3, {.process = 0, .kernel = "new_gemm", .name = "step[DECODE bs=32 new]"});
  simulate(b, 4, {.gemm = 9, .process = 1, .kernel = "new_gemm", .name = "step[DECODE bs=32 new]"});
  simulate(a, 5, {.at = stage::prefill, .process = 1, .from = 1e6, .name = "step[EXTEND bs=1]"});
  simulate(b, 6, {.process = 0, .from = 1e6, .kernel = "void other::split_k_gemm<float, cublasGemvParams<float, cublasGemvTensorStridedBatched<float const>, cublasGemvTensorStridedBatched<float>, 1>>(int)"});
  a.finish(), b.finish();
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(any(d.unmatched, "ranks only in A: rank 0"));
  CHECK(any(d.unmatched, "ranks only in B: rank 5"));
  CHECK(any(d.unmatched, "stages only in A: extend/prefill"));
  CHECK(any(d.unmatched, "decode: kernels only in A: gemm_kernel"));
  CHECK(any(d.unmatched, "decode: kernels only in B: new_gemm, split_k_gemm<fp32>"));   // short names
  CHECK(any(d.unmatched, "decode: steps named only in B: step[DECODE bs=# new]"));
  REQUIRE(d.stages.size() == 1);
  CHECK(d.stages[0].step_time.what == change_verdict::same);   // rank 3 against rank 3
  CHECK(d.stages[0].a_steps == 60);
  CHECK(find(d.stages[0].families, "gemm")->time.what == change_verdict::same);
  CHECK(find(d.stages[0].kernels, "new_gemm")->a_launches == 0);
  CHECK(!find(d.stages[0].kernels, "new_gemm")->time.relative);
  CHECK(find(d.stages[0].kernels, "new_gemm")->time.what == change_verdict::inconclusive);
}

TEST_CASE("kernel: F-TRC-18 one trace of rank 3 and one of rank 1 are compared, and it is said") {
  built a, b;
  a.t.processes.resize(1), b.t.processes.resize(1);
  a.t.processes[0].rank = 3, b.t.processes[0].rank = 1;
  a.t.devices.push_back({.name = "A100"}), b.t.devices.push_back({.name = "V100"});
  simulate(a, 1, {}), simulate(b, 2, {});
  a.finish(), b.finish();
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(any(d.notes, "no rank is on both sides: rank 3 of A is compared with rank 1 of B"));
  CHECK(any(d.notes, "A ran on A100, B on V100"));
  CHECK(d.verdict == change_verdict::same);
}

TEST_CASE("kernel: the ranks of a step are one unit, and steps that only some ranks have are left out and said") {
  built a;
  a.t.processes.resize(2);
  a.t.processes[0].rank = 0, a.t.processes[1].rank = 1;
  simulate(a, 1, {.steps = 50, .noise = 0, .process = 0});
  simulate(a, 1, {.steps = 40, .gemm = 2, .noise = 0, .process = 1});
  a.finish();
  const kernel::comparison d = kernel::compare(a.s, a.s);
  REQUIRE(d.stages.size() == 1);
  CHECK(d.stages[0].a_steps == 40);
  CHECK(find(d.stages[0].families, "gemm")->time.a == doctest::Approx(20 * 60'000 * 1.5));
  CHECK(any(d.unmatched, "decode: 10 steps of the longest rank of A have no like on the shortest"));
  built turned;
  turned.t.processes.resize(2);
  turned.t.processes[0].rank = 0, turned.t.processes[1].rank = 1;
  simulate(turned, 1, {.steps = 40, .process = 0});
  simulate(turned, 1, {.steps = 50, .process = 1});
  turned.finish();
  CHECK(kernel::compare(turned.s, turned.s).stages[0].a_steps == 40);
}

TEST_CASE("kernel: steps of different batches do not compare, and the reason has both numbers") {
  const built a = simulated(1), b = simulated(2, {.gemm = 2, .requests = 64});
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(d.verdict == change_verdict::inconclusive);
  CHECK(d.stages[0].reason == "the steps differ: A has 32.0 and B 64.0 requests per step");
}

TEST_CASE("kernel: time in which steps overlap is one step's, not two's") {
  // Thirty steps of 100 us each; on the other side each begins a copy of 200 us, of which half runs beside the next step.
  built a, b;
  for (int i = 0; i < 30; ++i) {
    const auto s = a.step(stage::decode), both = b.step(stage::decode);
    a.add("gemm", 100.0 * i, 100, {.step = s}), b.add("gemm", 100.0 * i, 100, {.step = both});
    b.add("copy", 100.0 * i, 200, {.what = family::memcpy, .stream = 9, .step = both, .kind = model::gpu_kind::copy});
  }
  a.finish(), b.finish();
  const auto c = kernel::compare(a.s, b.s);
  REQUIRE(c.stages.size() == 1);
  CHECK(c.stages[0].step_time.a == 100'000);
  CHECK(c.stages[0].step_time.b == doctest::Approx(3'100'000.0 / 30));
}

TEST_CASE("kernel: F-TRC-01 a comparison with a trace that is cut off is inconclusive, and it is said") {
  const built a = simulated(1);
  built b = simulated(2, {.gemm = 1.5});
  CHECK(kernel::compare(a.s, b.s).verdict == change_verdict::worse);
  b.t.count(model::trace_fault::truncated, {}, {});
  const auto cut = kernel::compare(a.s, b.s);
  CHECK(kernel::exit_code(cut) == 5);
  CHECK(any(cut.notes, "B could not be read whole"));
  REQUIRE(cut.stages.size() == 1);
  CHECK(cut.stages[0].reason == "B is cut off or damaged: what is missing is not known");
  // Events that were dropped one by one are said, and end no comparison.
  built c = simulated(2, {.gemm = 1.5});
  c.t.count(model::trace_fault::bad_time, {}, {});
  const auto dropped = kernel::compare(a.s, c.s);
  CHECK(dropped.verdict == change_verdict::worse);
  CHECK(any(dropped.notes, "some of its events are missing"));
}

TEST_CASE("kernel: F-TRC-14 a comparison with a trace that lacks its graphs' kernels is inconclusive") {
  const built a = simulated(1);
  built b;
  simulate(b, 2, {.gemm = 0.1});
  for (std::uint64_t i = 0; i < 60; ++i) b.call("cudaGraphLaunch", 1100 + 100.0 * static_cast<double>(i), 5, 100 + i);
  b.finish();
  const kernel::comparison d = kernel::compare(a.s, b.s);
  CHECK(d.verdict == change_verdict::inconclusive);
  CHECK(d.stages[0].reason.find("B: 60 of 60 graph launches have no kernels") == 0);
}
