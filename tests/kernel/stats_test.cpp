// SPDX-License-Identifier: Apache-2.0
// kernel/stats: the rules of nsys' summaries on timelines built by hand, exact medians against sorting, torch traces against a second program.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include <hotpath/kernel/stats.hpp>

using namespace hotpath;
using kernel::stats_report;

namespace {

struct built {
  model::timeline t;
  void kernel(std::string_view name, std::int64_t ns, model::gpu_kind kind = model::gpu_kind::kernel) { t.gpu.push_back({.begin = nanoseconds{0}, .duration = nanoseconds{ns}, .name = t.names.intern(name), .kind = kind}); }
  void copy(std::string_view name, std::int64_t ns, std::uint8_t kind, std::uint64_t bytes) {
    kernel(name, ns, model::gpu_kind::copy);
    if (kind == 0 && bytes == 0) return;
    t.gpu.back().detail = static_cast<std::uint32_t>(t.details.size());
    t.details.push_back({.bytes = bytes, .copy_kind = kind});
  }
  void range(std::string_view domain, std::string_view name, std::int64_t ns, model::annotation_kind kind, bool open = false) {
    t.annotations.push_back({.begin = nanoseconds{0}, .duration = nanoseconds{ns}, .name = t.names.intern(name), .domain = t.names.intern(domain), .kind = kind, .open = open});
  }
};

std::string rows_of(const kernel::stats_table& t) {
  std::string s;
  for (const auto& r : t.rows) s += r.name + " " + std::to_string(r.total) + "/" + std::to_string(r.count) + "\n";
  return s;
}

}  // namespace

TEST_CASE("kernel: stats of one name are total, mean, median, extremes and the deviation of a sample") {
  built b;
  for (const std::int64_t ns : {10, 40, 20, 30}) b.kernel("a", ns);
  b.kernel("b", 300);
  const auto t = kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum);
  REQUIRE(t.rows.size() == 2);
  CHECK((t.total == 400 && t.count == 5 && t.missing.empty() && t.notes.empty()));
  const auto &one = t.rows[0], &four = t.rows[1];               // largest total first
  CHECK((one.name == "b" && one.count == 1 && one.share == 75 && one.mean == 300 && one.median == 300 && one.min == 300 && one.max == 300));
  CHECK(!one.deviation);                                        // of one value there is none
  CHECK((four.name == "a" && four.total == 100 && four.share == 25 && four.mean == 25 && four.median == 25 && four.min == 10 && four.max == 40));
  CHECK(*four.deviation == doctest::Approx(12.909944487358056).epsilon(1e-14));
}

TEST_CASE("kernel: stats order equal totals by name, and two names of equal text are one row") {
  built b;
  b.kernel("y", 5), b.kernel("x", 5), b.kernel("z", 5);
  b.t.short_names = {0, b.t.names.intern("s"), 0, b.t.names.find("s")};   // of y and z
  CHECK(rows_of(kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum)) == "x 5/1\ny 5/1\nz 5/1\n");
  const auto t = kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum_base);
  CHECK(rows_of(t) == "s 10/2\nx 5/1\n");
  CHECK(rows_of(kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum_mangled)) == "x 5/1\ny 5/1\nz 5/1\n");
}

TEST_CASE("kernel: stats medians are exact for any distribution") {
  std::mt19937_64 random(7);
  for (const int shape : {0, 1, 2, 3, 4, 5})
    for (const std::size_t n : {1u, 2u, 3u, 4u, 5u, 100u, 101u, 5000u, 20001u}) {
      kernel::stats_collector c;
      model::timeline t;
      const name_id name = t.names.intern("k");
      std::vector<std::uint64_t> all;
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t r = random();
        const std::uint64_t v = shape == 0 ? r % 1000 : shape == 1 ? r % 3 : shape == 2 ? 1'000'000 + r % 7 * (r % 100 == 0 ? 900'000 : 1) : shape == 3 ? r >> (r % 60 + 2) : shape == 4 ? 77 : r % 9'000'000'000;
        all.push_back(v);
        c.gpu({.duration = nanoseconds{static_cast<std::int64_t>(v)}, .name = name}, {});
      }
      std::sort(all.begin(), all.end());
      const auto table = c.table(stats_report::cuda_gpu_kern_sum, t);
      REQUIRE(table.rows.size() == 1);
      const auto& row = table.rows[0];
      const double median = static_cast<double>(all[(n - 1) / 2]) / 2 + static_cast<double>(all[n / 2]) / 2;
      long double sum = 0, squares = 0;
      for (const std::uint64_t v : all) sum += static_cast<long double>(v);
      for (const std::uint64_t v : all) squares += (static_cast<long double>(v) - sum / static_cast<long double>(n)) * (static_cast<long double>(v) - sum / static_cast<long double>(n));
      CAPTURE(shape);
      CAPTURE(n);
      CHECK(row.median == median);
      CHECK((row.min == all.front() && row.max == all.back() && row.count == n));
      CHECK(row.mean == doctest::Approx(static_cast<double>(sum / static_cast<long double>(n))).epsilon(1e-12));
      if (n > 1) CHECK(*row.deviation == doctest::Approx(static_cast<double>(std::sqrt(squares / static_cast<long double>(n - 1)))).epsilon(1e-9));
    }
}

TEST_CASE("kernel: stats of totals beyond 64 bits stay at the largest number, shares and means stay right") {
  built b;
  for (int i = 0; i < 6; ++i) b.kernel("a", std::int64_t{1} << 62);
  b.kernel("b", 1);
  const auto t = kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum);
  CHECK(t.rows[0].total == UINT64_MAX);
  CHECK(t.rows[0].mean == doctest::Approx(4.611686018427388e18));
  CHECK(t.rows[0].median == 4611686018427387904.0);
  CHECK(t.rows[0].share == doctest::Approx(100));
}

TEST_CASE("kernel: stats count graphs that were captured as a whole, and say that their kernels are unknown") {
  built b;
  b.kernel("k", 5), b.kernel("[CUDA graph 3]", 50, model::gpu_kind::graph);
  const auto t = kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum);
  CHECK(rows_of(t) == "[CUDA graph 3] 50/1\nk 5/1\n");
  REQUIRE(t.notes.size() == 1);
  CHECK(t.notes[0] == "1 CUDA graph launch event without kernels: what ran in them was not recorded; nsys profile --cuda-graph-trace=node records it");
}

TEST_CASE("kernel: stats of copies go by direction, whatever a trace calls them, sizes only where they are told") {
  built b;
  b.copy("Memcpy HtoD (Pageable -> Device)", 10, 1, 1000), b.copy("Memcpy HtoD (Pinned -> Device)", 20, 1, 3000), b.copy("[CUDA memcpy Device-to-Host]", 5, 2, 8), b.copy("CopyDeviceToDevice", 7, 8, 5), b.copy("odd", 3, 0, 0);
  b.kernel("Memset (Device)", 2, model::gpu_kind::set);
  CHECK(rows_of(kernel::stats_of(b.t, stats_report::cuda_gpu_mem_time_sum)) ==
        "[CUDA memcpy Host-to-Device] 30/2\n[CUDA memcpy Device-to-Device] 7/1\n[CUDA memcpy Device-to-Host] 5/1\nodd 3/1\n[CUDA memset] 2/1\n");
  const auto sizes = kernel::stats_of(b.t, stats_report::cuda_gpu_mem_size_sum);
  CHECK(rows_of(sizes) == "[CUDA memcpy Host-to-Device] 4000/2\n[CUDA memcpy Device-to-Host] 8/1\n[CUDA memcpy Device-to-Device] 5/1\n");
  REQUIRE(sizes.notes.size() == 1);
  CHECK(sizes.notes[0] == "2 GPU memory operations without a size left out");
}

TEST_CASE("kernel: stats of ranges keep domains and styles apart, leave marks and the GPU's copies of annotations out") {
  using enum model::annotation_kind;
  built b;
  b.range("", "step", 10, push_pop), b.range("", "step", 20, push_pop), b.range("", "step", 5, start_end), b.range("nccl", "step", 1, push_pop), b.range("", "ProfilerStep#1", 40, user);
  b.range("", "step", 99, gpu_user), b.range("", "m", 0, mark), b.range("", "late", 0, push_pop, true);
  const auto t = kernel::stats_of(b.t, stats_report::nvtx_sum);
  std::string styles;
  for (const auto& r : t.rows) styles += std::string(r.style) + r.name + std::to_string(r.total) + " ";
  CHECK(styles == "PushPop:ProfilerStep#140 PushPop:step30 StartEnd:step5 PushPopnccl:step1 ");
  CHECK(t.notes.size() == 1);
}

TEST_CASE("kernel: stats without rows say why") {
  const model::timeline t;
  for (std::size_t i = 0; i < std::size(kernel::stats_report_names); ++i) {
    const auto r = static_cast<stats_report>(i);
    const auto table = kernel::stats_of(t, r);
    CHECK((table.rows.empty() && table.total == 0 && table.report == r));
    CHECK(table.missing.starts_with("the trace has no "));
    CHECK(kernel::stats_report_of(name_of(r)) == r);
  }
  CHECK(!kernel::stats_report_of("cuda_gpu_kern"));
}

TEST_CASE("kernel: stats of parts merge into those of the whole") {
  built whole;
  kernel::stats_collector a, b;
  model::timeline names_a, names_b;
  std::mt19937_64 random(3);
  for (int i = 0; i < 4000; ++i) {
    const bool first = i % 2 == 0;
    model::timeline& mine = first ? names_a : names_b;
    kernel::stats_collector& c = first ? a : b;
    const std::string name = "k" + std::to_string(random() % 50);
    const auto ns = static_cast<std::int64_t>(random() % (i % 100 == 0 ? 9'000'000'000 : 10'000));
    const auto kind = static_cast<model::gpu_kind>(i % 4);
    whole.kernel(name, ns, kind), whole.t.gpu.back().detail = 0;
    c.gpu({.duration = nanoseconds{ns}, .name = mine.names.intern(name), .kind = kind}, {});
    whole.range("d" + std::to_string(i % 3), name, ns, model::annotation_kind::push_pop, i % 45 == 0);
    c.annotation({.duration = nanoseconds{ns}, .name = mine.names.intern(name), .domain = mine.names.intern("d" + std::to_string(i % 3)), .kind = model::annotation_kind::push_pop, .open = i % 45 == 0});
    whole.t.api.push_back({.duration = nanoseconds{ns}, .name = whole.t.names.intern(name)});
    c.api({.duration = nanoseconds{ns}, .name = mine.names.intern(name)});
  }
  std::vector<name_id> as;
  for (name_id i = 0; i < names_b.names.size(); ++i) as.push_back(names_a.names.intern(names_b.names[i]));
  a.merge(b, as);
  for (std::size_t i = 0; i < std::size(kernel::stats_report_names); ++i) {
    const auto r = static_cast<stats_report>(i);
    const auto got = a.table(r, names_a), want = kernel::stats_of(whole.t, r);
    CAPTURE(name_of(r));
    CHECK(rows_of(got) == rows_of(want));
    CHECK(got.notes == want.notes);
    for (std::size_t k = 0; k < want.rows.size(); ++k) CHECK((got.rows[k].median == want.rows[k].median && got.rows[k].deviation == want.rows[k].deviation && got.rows[k].share == want.rows[k].share));
    CHECK(b.table(r, names_b).rows.empty());
  }
}

TEST_CASE("kernel: stats by base name find the function of a signature where the trace tells no short name") {
  const std::pair<const char*, const char*> names[] = {
      {"void at::native::vectorized_elementwise_kernel<(int)4, at::native::FillFunctor<float>, std::array<char *, (unsigned long)1>>(int, T2, T3)", "vectorized_elementwise_kernel"},
      {"void at::native::(anonymous namespace)::CatArrayBatchedCopy<f<int>, 3>(int)", "CatArrayBatchedCopy"},
      {"void at::native::<unnamed>::softmax_warp_forward<float, (int)5>(T2 *)", "softmax_warp_forward"},
      {"_Z3addPfS_i", "add"},
      {"ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<(unsigned long)4096>)", "ncclDevKernel_SendRecv"},
      {"triton_poi_fused__to_copy_add_3", "triton_poi_fused__to_copy_add_3"},
      {"nvjet_tst_192x192_64x4_2x1_v_bz_coopB_bias_TNN", "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_bias_TNN"},
      {"", ""}, {"<", "<"}, {"::", "::"}, {"a b c", "a b c"}};
  for (const auto& [raw, want] : names) {
    built b;
    b.kernel(raw, 1);
    const auto t = kernel::stats_of(b.t, stats_report::cuda_gpu_kern_sum_base);
    REQUIRE(t.rows.size() == 1);
    const std::string name(raw);
    CAPTURE(name);
    CHECK(t.rows[0].name == want);
  }
}
