// SPDX-License-Identifier: Apache-2.0
// report/compare.hpp: two traces compared, as text and JSON.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/report/compare.hpp>
#include <hotpath/report/detail/page.hpp>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include "golden.hpp"
#include "triage_samples.hpp"

using namespace hotpath;
using document = nlohmann::json;

namespace {

kernel::change changed(double a, double b, double lo, double hi, kernel::change_verdict v) {
  kernel::change c;
  c.a = a, c.b = b, c.what = v, c.p = 0.001;
  if (a > 0) c.relative = 100 * (b - a) / a, c.ci = stats::interval{lo, hi};
  return c;
}

kernel::comparison sample(const std::string& name = "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT") {
  using enum kernel::change_verdict;
  kernel::comparison c;
  kernel::stage_comparison d;
  d.at = kernel::stage::decode, d.a_steps = 40, d.b_steps = 42, d.step_time = changed(5.9e6, 6.5e6, 7.8, 12.4, worse), d.busy = changed(5.5e6, 5.6e6, 0.4, 2.9, same);
  d.ranks = kernel::rank_tests{590e3, 0.93, 12, 3.2e-9}, d.a_requests = d.b_requests = 32;
  d.families = {{"gemm", kernel::family::gemm, changed(3.6e6, 3.6e6, -0.5, 0.6, same), 4000, 4200}, {"comm", kernel::family::comm, changed(4e5, 9e5, 118, 131, worse), 2000, 2100}, {"sampling", kernel::family::sampling, changed(0, 2e5, 0, 0, inconclusive), 0, 42}};
  d.kernels = {{name, kernel::family::gemm, changed(3.6e6, 3.6e6, -0.5, 0.6, same), 4000, 4200}};
  kernel::stage_comparison p;
  p.at = kernel::stage::prefill, p.a_steps = 1, p.b_steps = 1, p.step_time = changed(90e6, 91e6, 0, 0, inconclusive), p.step_time.ci.reset(), p.reason = "1 step in A and 1 in B, want 20 of each";
  c.stages = {p, d}, c.unmatched = {"rank 1 is in B only", name}, c.notes = {"both traces have the same ranks"}, c.verdict = worse;
  return c;
}

}  // namespace

TEST_CASE("report: two traces compared as text, at the widths that terminals have") {
  const report::compare_labels labels{"before.json.gz", "after.json.gz"};
  check_golden("trace_diff.80.txt", report::text(sample(), labels));
  check_golden("trace_diff.132.txt", report::text(sample(), labels, {.width = 132}));
  check_golden("trace_diff.ascii.100.txt", report::text(sample(), labels, {.width = 100, .ascii = true}));
  for (std::size_t width = 60; width <= 200; width += 7)
    text::split(report::text(sample(), labels, {.width = width}), '\n', [&](std::string_view line) { CHECK(report::detail::columns_of(line) <= width); });
  CHECK(report::text({}, labels).find("nothing that both traces have") != std::string::npos);
}

TEST_CASE("report: kernels of compared traces have short names that tell rows apart, at any width, and one unit a column") {
  kernel::comparison c = sample("void dpsk::ep::internode::dispatch<false, 8, false, 8>");
  auto& rows = c.stages[1].kernels;
  rows.push_back(rows[0]), rows.push_back(rows[0]);
  rows[1].name = "void dpsk::ep::internode::dispatch<false, 8, true, 8>", rows[2].name = "void permute_pooled_embs_kernel<float>", rows[2].time.b = 4'000;
  for (std::size_t width = 60; width <= 200; ++width) {
    const std::string out = report::text(c, {}, {.width = width});
    const std::string table = out.substr(out.find("Kernels: "), out.find("On one side only") - out.find("Kernels: "));
    CAPTURE(width);
    CHECK(table.find("[false]\n") != std::string::npos);
    CHECK(table.find("[true]\n") != std::string::npos);
    CHECK(table.find("void") == std::string::npos);
    CHECK(table.find(" 4.0 \u00B5s  ") != std::string::npos);
    CHECK(table.find("same") != std::string::npos);   // the verdict, in a column or below
  }
  CHECK(report::json(c, {}).find("void dpsk::ep::internode::dispatch<false, 8, true, 8>") != std::string::npos);
}

TEST_CASE("report: a comparison of traces as JSON is valid against its schema, and every null has its reason") {
  const hotpath_test::temp_dir dir;
  const std::string root = hotpath_test::source_dir();
  for (const kernel::comparison& c : {sample(), sample("</script>\x1b[2J\xff"), kernel::comparison{}}) {
    const std::string text = report::json(c, {"a", "b"});
    const auto done = hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/trace_diff-1.schema.json", "--closed", dir.write("a.json", text)});
    CHECK(done.err == "");
    CHECK(done.code == 0);
    const document j = document::parse(text);
    for (const document& s : j["stages"])
      for (const document& f : s["families"]) CHECK((!f["time"]["relative_pct"].is_null() || j["missing"].contains("stages[].families[].time.relative_pct")));
  }
}

TEST_CASE("report: F-OUT-04 names of compared traces move no cursor") {
  for (const std::string& p : triage_samples::payloads()) {
    const std::string out = report::text(sample(p), {p, p});
    CHECK(text::is_utf8(out));
    for (const char c : out) CHECK((c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != '\x7f')));
  }
}
