// SPDX-License-Identifier: Apache-2.0
// report/triage.hpp, report/triage_json.hpp: text, Markdown, CSV and JSON of kernel reports written by hand.
#include <doctest/doctest.h>
#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/report/bundle.hpp>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/detail/triage_facts.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/report/triage_json.hpp>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include "golden.hpp"
#include "triage_samples.hpp"

using namespace hotpath;
using document = nlohmann::json;

namespace {

std::size_t longest_line(const std::string& text) {
  std::size_t most = 0;
  text::split(text, '\n', [&](std::string_view line) { most = (std::max)(most, report::detail::columns_of(line)); });
  return most;
}

std::string schema_errors(const std::string& json) {
  const hotpath_test::temp_dir dir;
  const std::string root = hotpath_test::source_dir();
  const auto done = hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/triage-1.schema.json", "--closed", dir.write("a.json", json)});
  CHECK(done.code == (done.err.empty() ? 0 : 1));
  return done.err;
}

// Paths without indices of every null.
void nulls(const document& d, const std::string& path, std::vector<std::string>& out) {
  if (d.is_null()) out.push_back(path);
  if (d.is_array())
    for (const auto& x : d) nulls(x, path + "[]", out);
  if (d.is_object())
    for (const auto& [k, v] : d.items()) nulls(v, path.empty() ? k : path + "." + k, out);
}

std::vector<std::vector<std::string>> csv_rows(const std::string& text) {
  std::vector<std::vector<std::string>> out;
  text::csv_reader in{text};
  for (std::vector<std::string_view> row; in.next(row);) out.emplace_back(row.begin(), row.end());
  CHECK(in.ok());
  return out;
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

TEST_CASE("report: a kernel report as text, at the widths that terminals have") {
  check_golden("triage.good.80.txt", report::text(triage_samples::good()));
  check_golden("triage.good.132.txt", report::text(triage_samples::good(), {.width = 132}));
  check_golden("triage.good.200.txt", report::text(triage_samples::good(), {.width = 200}));
  check_golden("triage.good.ascii.80.txt", report::text(triage_samples::good(), {.ascii = true}));
  for (std::size_t width = 60; width <= 200; ++width) {
    CAPTURE(width);
    CHECK(longest_line(report::text(triage_samples::good(), {.width = width})) <= width);
  }
}

TEST_CASE("report: a wider terminal shows no less of a kernel report, and no column is empty at any width") {
  kernel::triage_report r = triage_samples::good();
  for (auto& t : r.kernels)
    for (auto& x : t.rows) x.places.clear();   // as in a trace without stacks
  r.kernels[0].rows[0].cpu_op = "RopeLoraFlashAttnVarlenFuncBackward", r.kernels[0].rows[0].short_name = "FlashAttnBwd<1x1x1,64x128x192,64x128x128,bf16,fp32,Sm90,S..>";
  r.overlaps[0].rows[0].scope.clear(), r.overlaps[0].rows[0].saving_per_step.reset();
  for (auto& s : r.steps) s.context_tokens.reset(), s.generation_tokens.reset(), s.context_requests.reset(), s.generation_requests.reset();
  std::vector<std::string> facts = {"RopeLoraFlashAttnVarlenFuncBackward", "sgl_kernel::fwd", "c10d::allreduce_", "aten::linear", "attention_decode", "comm all_reduce", "Mean", "Per step", "p50", "p95", "Running share",
                                    "FlashAttnBwd<1x1x1,64x128x192,64x128x128,bf16,fp32,Sm90,S..>", "GPU time", "Recommendation", "dependency low", "step[DECODE bs=32]", "Gaps, mostly", "most of it"};
  std::vector<std::size_t> since(facts.size(), 0);
  for (std::size_t width = 60; width <= 240; ++width) {
    std::string out = report::text(r, {.width = width});
    CAPTURE(width);
    CHECK(longest_line(out) <= width);
    for (std::size_t at = 0; (at = out.find("\n      ", at)) != std::string::npos && at + 7 < out.size();) out.replace(at, 7, " ");   // lines below a row: as one
    for (const char* empty : {"location", "scope", "Saving", "Tokens", "Requests"}) {
      CAPTURE(empty);
      CHECK_FALSE(has(out, std::string("  ") + empty));
    }
    for (std::size_t i = 0; i < facts.size(); ++i) {
      CAPTURE(facts[i]);
      CHECK((since[i] == 0 || has(out, facts[i])));
      if (since[i] == 0 && has(out, facts[i])) since[i] = width;
    }
  }
  for (std::size_t i = 0; i < facts.size(); ++i) {
    CAPTURE(facts[i]);
    CHECK(since[i] != 0);
    CHECK(since[i] <= (facts[i].starts_with("FlashAttnBwd") ? 124u : i < 6 ? 80u : 200u));
  }
  // The location where one is known, beside its operator, at every width.
  for (const std::size_t width : {60u, 80u, 120u, 160u, 200u}) CHECK(has(report::text(triage_samples::good(), {.width = width}), "unquant.py:130 apply"));
}

TEST_CASE("report: rows of a kernel report can be told apart, at any width and in every form") {
  kernel::triage_report r = triage_samples::good();
  const std::string dispatch = "void dpsk::ep::internode::dispatch<false, 8, ", split = "void split_embedding_backward_codegen_rowwise_adagrad_unweighted_kernel_";
  const std::string names[] = {dispatch + "false, 8>", dispatch + "true, 8>", split + "cta_per_row_1<float, float, float, 5ul>", split + "warp_per_row_1<float, float, float, 5ul>"};
  for (std::size_t i = 0; i < 4; ++i) r.kernels[0].rows[i].kernel = r.kernels[0].rows[i].raw = names[i], r.kernels[0].rows[i].short_name = kernel::short_name(names[i]);
  r.overlaps[0].rows[0].kernel = names[3], r.overlaps[0].rows[0].partner = names[1];
  REQUIRE(r.kernels[0].rows[0].short_name == r.kernels[0].rows[1].short_name);
  REQUIRE(r.kernels[0].rows[2].short_name == r.kernels[0].rows[3].short_name);
  for (std::size_t width = 60; width <= 200; ++width) {
    const std::string out = report::text(r, {.width = width});
    CAPTURE(width);
    for (const char* part : {"internode::dispatch<8,8> [false]", "internode::dispatch<8,8> [true]", "<fp32> [cta]\n", "<fp32> [warp]\n"}) CHECK(has(out, std::string_view(part).substr(0, std::string_view(part).size() - (width >= 170 ? 1 : 0))));
    CHECK_FALSE(has(out, "dpsk"));   // the partner's name is short, too
  }
  std::vector<report::bundle_item> items = {{"a", r}};
  for (const std::string& out : {report::markdown(r), report::bundle_markdown(items), report::text(r, {.width = 200})})
    for (const char* part : {"dispatch<8,8> [false]", "dispatch<8,8> [true]", "<fp32> [cta]", "<fp32> [warp]"}) CHECK(has(out, part));
  for (const char* part : {"dispatch&lt;8,8&gt; [false]", "dispatch&lt;8,8&gt; [true]", "&lt;fp32&gt; [cta]", "&lt;fp32&gt; [warp]"}) CHECK(has(report::bundle_html(items), part));
  CHECK(has(report::json(r), names[1]));
  // Names that differ in their middle alone.
  for (std::size_t i = 0; i < 4; ++i) r.kernels[0].rows[i].kernel = r.kernels[0].rows[i].short_name = "a_kernel_of_some_length_variant_" + std::to_string(i) + "_with_a_long_tail_behind_it";
  const std::string out = report::text(r, {.width = 60});

  for (const char* part : {"0_with", "1_with", "2_with", "3_with"}) CHECK(has(out, part));
}

TEST_CASE("report: times of a column have the unit that fits it") {
  using report::detail::triage_words::unit_of;
  const auto cell = [](nanoseconds largest, nanoseconds smallest, nanoseconds t) { return unit_of(largest, smallest, true).text(t); };
  CHECK(cell(2'690_ns, 1'440_ns, 2'690_ns) == "2.69 us");
  CHECK(cell(244_ms, 2'640_us, 49'450_us) == "49.45 ms");
  CHECK(cell(90_ms, 30_ms, 30_ms) == "30.0 ms");
  CHECK(cell(9'190_us, 4'080_ns, 4'080_ns) == "4.1 us");    // in milliseconds nothing would be left of it
  CHECK(cell(6'180_us, 45_us, 45_us) == "0.045 ms");
  CHECK(cell(12'000_ms, 200_ms, 200_ms) == "0.20 s");
  CHECK(cell(900_ns, 5_ns, 5_ns) == "5 ns");
  CHECK(cell(0_ns, 0_ns, 0_ns) == "0");
  CHECK(has(report::text(triage_samples::good(), {.width = 200, .ascii = true}), "wall            91.0 ms | busy 88.0 ms (96.7 %)"));   // a number and its unit
  kernel::triage_report r = triage_samples::good();
  r.kernels.resize(1);
  for (auto& x : r.kernels[0].rows) x.total = x.mean = x.p50 = x.p95 = 2'690_ns;
  r.kernels[0].rows[1].total = 1'440_ns;
  for (const std::string& out : {report::text(r), report::markdown(r)}) {
    CHECK(has(out, "2.69 \u00B5s"));
    CHECK(has(out, "1.44 \u00B5s"));
    CHECK_FALSE(has(out, "0.00 ms"));
  }
}

TEST_CASE("report: a chain says once that its saving is a bound, and what it would be of several steps") {
  kernel::triage_report r = triage_samples::good();
  kernel::kernel_chain& c = r.fusions[0].chains[0];
  c.kernels = {"a", "b", "b", "b", "c"}, c.related = 900_us, c.gain_per_step = 900_us;
  const auto of = [&] {
    std::string out = report::text(r, {.width = 200});
    out = out.substr(out.find("  chain          a"));
    return out.substr(17, out.find(';') - 17);
  };
  CHECK(of() == "a \u2192 b \u00D73 \u2192 c: one kernel would save at most 900.0 \u00B5s per step (1.00 %)");
  c.gain_per_step = 150_us;
  CHECK(of() == "a \u2192 b \u00D73 \u2192 c: one kernel would save at most 150.0 \u00B5s per step, 900.0 \u00B5s in all (1.00 %)");
  c.gain_per_step.reset();
  CHECK(of() == "a \u2192 b \u00D73 \u2192 c: one kernel would save at most 900.0 \u00B5s (1.00 %)");
}

TEST_CASE("report: of several devices it says how many, and what share of what a figure is") {
  kernel::triage_report r = triage_samples::good();
  CHECK_FALSE(has(report::text(r), "devices"));
  CHECK(has(report::text(r, {.width = 200}), "4.00 ms, 4.50 % of busy \u00B7 75.0 % alone, 25.0 % hidden by nvjet"));
  for (auto& t : r.overlaps) t.time.devices = 2;
  const std::string out = report::text(r, {.width = 120});
  CHECK(has(out, "of GPU work on 2 devices in 3 steps"));
  CHECK(has(out, "Stages \u00B7 wall, busy and idle time are sums of 2 devices"));
  CHECK(has(out, "91.0 ms, the sum of 2 devices \u00B7 busy"));
  CHECK(has(out, "up to 2 streams each"));
  CHECK(has(out, "\u00B7 1 stream each"));
  CHECK(has(report::markdown(r), "the sum of 2 devices"));
  CHECK(has(report::json(r), "\"streams\":1,\"devices\":2,\"wall_ns\""));
}

TEST_CASE("report: a path moves to the next line whole, or breaks at a slash") {
  using report::detail::page;
  using texts = std::vector<std::string>;
  CHECK(page::lines("from data/torch-traces/tracelens/sglang_prefill_mi3xx.json.gz", 44) == texts{"from", "data/torch-traces/tracelens/", "sglang_prefill_mi3xx.json.gz"});
  CHECK(page::lines("a data/x.json.gz", 14) == texts{"a", "data/x.json.gz"});
  CHECK(page::lines("elementwise_kernel_manual_unroll<direct_copy_kernel_cuda>", 43) == texts{"elementwise_kernel_manual_unroll<direct_", "copy_kernel_cuda>"});
  CHECK(page::lines(std::string(25, 'x'), 10) == texts{std::string(10, 'x'), std::string(10, 'x'), std::string(5, 'x')});
  CHECK(page::lines("\U0001F525\U0001F525", 1) == texts{"\U0001F525", "\U0001F525"});   // wider than the line: no endless one
  using report::detail::cut;
  CHECK(cut("vllm/model_executor/layers/quantization/mxfp4.py:889 apply", 36, 0, false) == "\u2026/quantization/mxfp4.py:889 apply");
  CHECK(cut("vllm/a_very_long_name_of_a_file_without_an_end.py:889 apply", 31, 0, false) == "\u2026le_without_an_end.py:889 apply");
}

TEST_CASE("report: F-OUT-13 a kernel report of nothing says no data and why") {
  check_golden("triage.empty.80.txt", report::text(triage_samples::empty()));
  check_golden("triage.empty.md", report::markdown(triage_samples::empty()));
  CHECK(report::code_of(triage_samples::empty()) == report::exit_code::unusable);
  const kernel::triage_report nothing;  // not even a finding
  CHECK(has(report::text(nothing), "OK"));
  CHECK(schema_errors(report::json(nothing)) == "");
}

TEST_CASE("report: the verdict of a kernel report is its exit code and its first word") {
  kernel::triage_report r = triage_samples::good();
  CHECK(report::code_of(r) == report::exit_code::ok);
  CHECK(report::text(r).starts_with(" OK "));
  r.check.verdict = kernel::health::partial;
  r.check.findings.insert(r.check.findings.begin(), {true, "The file ends early, at byte 4711"});
  CHECK(report::code_of(r) == report::exit_code::partial);
  CHECK(report::text(r).starts_with(" PARTIAL "));
  CHECK(has(report::text(r), "\u25B6 The file ends early, at byte 4711"));
  CHECK(has(report::markdown(r), "Integrity: partial; rows 116.0 ms"));
  CHECK(has(report::text(r, {.color = true}), "\x1b[1;30;43m PARTIAL \x1b[0m"));
}

TEST_CASE("report: Markdown of a kernel report keeps the headings and the leading columns that triage scripts read") {
  const std::string md = report::markdown(triage_samples::good());
  check_golden("triage.good.md", md);
  std::size_t at = 0;
  for (const char* part : {"Triage View\nMode: single-trace\nFramework: sglang\nInput traces: /traces/1758513624-TP-0.trace.json.gz\nModel: Qwen/Qwen3-8B\n", "\nKernel Table\n##### extend/prefill\n",
                           "| Kernel | Category | GPU time | Share | Launches | Python location (site share) | CPU op |", "\n##### decode\n", "\nOverlap Opportunity Table\n",
                           "| Priority | Verdict | Kernel | Python scope | Formal signal | Dep risk | Recommendation |", "\nFuse Opportunity Table\n",
                           "| Pattern | Confidence | Related GPU time | Share | Evidence kernels | Current kernel Python location | Candidate fused Python path | Rationale |"}) {
    const std::size_t found = md.find(part, at);
    CAPTURE(part);
    CHECK(found != std::string::npos);
    at = found == std::string::npos ? at : found;
  }
  kernel::triage_report two = triage_samples::good();
  two.mode = "mapping-formal", two.mapping_inputs = {"m.json"}, two.mapping_framework = "vllm";
  const std::string both = report::markdown(two);
  CHECK(has(both, "Mode: mapping-formal\nMapping framework: vllm\nFormal framework: sglang\nMapping traces: m.json\nFormal traces: "));
  kernel::triage_report plain = triage_samples::good();
  plain.kernels.resize(1), plain.kernels[0].at = kernel::stage::all, plain.overlaps.clear(), plain.fusions.clear(), plain.min_share = 2.5, plain.kernels[0].rows.clear();
  const std::string one = report::markdown(plain);
  CHECK_FALSE(has(one, "#####"));
  CHECK(has(one, "No kernel rows at or above 2.5% share."));
  CHECK(has(one, "No rows cleared the 2.5% reporting bar."));
  CHECK(has(one, "No medium-confidence source-backed fusion opportunity matched this trace."));
}

TEST_CASE("report: F-OUT-05 F-TRC-15 text of a trace cannot leave its cell of a Markdown table") {
  for (const std::string& p : triage_samples::payloads()) {
    CAPTURE(p.substr(0, 80));
    const std::string md = report::markdown(triage_samples::hostile(p));
    const std::string plain = report::markdown(triage_samples::hostile("x"));
    std::vector<std::size_t> bars, want;
    const auto count = [](const std::string& text, std::vector<std::size_t>& out) {
      text::split(text, '\n', [&](std::string_view line) {
        std::size_t n = 0;
        for (std::size_t i = 0; i < line.size(); ++i)
          if (line[i] == '|') {
            std::size_t slashes = 0;
            while (slashes < i && line[i - 1 - slashes] == '\\') ++slashes;
            n += slashes % 2 == 0;
          }
        out.push_back(n);
      });
    };
    count(md, bars), count(plain, want);
    CHECK(bars == want);  // as many lines, and in each as many cells
    for (const char c : md) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
    // Outside of code spans nothing begins an element but what is ours.
    std::string outside;
    std::size_t fence = 0;
    for (std::size_t i = 0; i < md.size();) {
      std::size_t run = 0;
      while (i + run < md.size() && md[i + run] == '`') ++run;
      const bool escaped = fence == 0 && i > 0 && md[i - 1] == '\\';
      if (run != 0 && !escaped) {
        if (fence == 0) fence = run;
        else if (fence == run) fence = 0;
        i += run;
        continue;
      }
      if (md[i] == '\n') fence = 0;  // a span of a cell ends with it
      if (fence == 0) outside += md[i];
      i += run != 0 ? run : 1;
    }
    for (std::size_t i = 0; (i = outside.find('<', i)) != std::string::npos; ++i) {
      const std::string_view rest = std::string_view(outside).substr(i);
      CHECK((rest.starts_with("<br>") || rest.starts_with("<sub>") || rest.starts_with("</sub>") || rest.starts_with("<!-- -->")));
    }
  }
}

TEST_CASE("report: F-OUT-04 F-TRC-15 names of a trace move no cursor and set no title") {
  for (const std::string& p : triage_samples::payloads())
    for (const bool ascii : {false, true}) {
      CAPTURE(p.substr(0, 80));
      const std::string out = report::text(triage_samples::hostile(p), {.width = 80, .ascii = ascii});
      bool clean = text::is_utf8(out);
      for (const char c : out) clean = clean && (c == '\n' || (static_cast<unsigned char>(c) >= 0x20 && c != '\x7f')) && (!ascii || static_cast<unsigned char>(c) < 0x7f);
      CHECK(clean);
      CHECK_FALSE(has(out, "\xC2\x9B"));
      CHECK_FALSE(has(out, "\xE2\x80\xAE"));
      CHECK(longest_line(out) <= 80);
      CHECK(out.size() < 400'000);  // a name of 60 KiB is shown by its first 512 bytes
    }
}

TEST_CASE("report: F-OUT-03 CSV of kernel tables keeps every name, and guards formulas when asked") {
  for (const std::string& p : triage_samples::payloads()) {
    CAPTURE(p.substr(0, 80));
    const kernel::triage_report r = triage_samples::hostile(p);
    for (std::size_t k = 0; k < std::size(report::triage_table_names); ++k) {
      const auto rows = csv_rows(report::csv(r, static_cast<report::triage_table>(k)));
      REQUIRE(rows.size() >= 2);
      for (const auto& row : rows) CHECK(row.size() == rows[0].size());
    }
    const auto rows = csv_rows(report::csv(r, report::triage_table::kernels));
    REQUIRE(rows.size() == 8);
    CHECK(rows[0].back() == "raw_name");
    CHECK(rows[1].back() == p);
    const auto guarded = csv_rows(report::csv(r, report::triage_table::kernels, {.formula_guard = true}));
    CHECK(guarded[1].back() == (p.find_first_of("=+-@\t\r") == 0 ? "'" + p : p));
  }
}

TEST_CASE("report: CSV of a kernel report has the figures of the report") {
  const kernel::triage_report r = triage_samples::good();
  const auto rows = csv_rows(report::csv(r, report::triage_table::kernels));
  const auto cell = [&](std::size_t row, std::string_view column) {
    for (std::size_t i = 0; i < rows[0].size(); ++i)
      if (rows[0][i] == column) return rows[row][i];
    FAIL("no column " << std::string(column));
    return std::string();
  };
  CHECK(cell(1, "gpu_time_ns") == "61000000");
  CHECK(cell(2, "category") == "attention");
  CHECK(cell(3, "detail") == "all_reduce");
  CHECK(cell(5, "stage") == "decode");
  CHECK(cell(7, "launches_per_step") == "");
  CHECK(csv_rows(report::csv(r, report::triage_table::steps)).size() == 4);
  CHECK(csv_rows(report::csv(r, report::triage_table::devices))[2][5] == "10000000");
}

TEST_CASE("report: JSON of a kernel report is valid against the published schema and comes back whole") {
  for (const kernel::triage_report& r : {triage_samples::good(), triage_samples::empty(), kernel::triage_report{}, triage_samples::hostile("<b>|\"\x1b")}) {
    const std::string j = report::json(r);
    CHECK(schema_errors(j) == "");
    const auto again = report::read_triage(j, "a.json");
    REQUIRE_MESSAGE(again, again.error().message());
    CHECK(report::json(*again) == j);
    CHECK(report::text(*again) == report::text(r));
    CHECK(report::markdown(*again) == report::markdown(r));
    CHECK(document::parse(report::json(r, 0)) == document::parse(j));
  }
  for (const std::string& p : triage_samples::payloads()) {
    const auto again = report::read_triage(report::json(triage_samples::hostile(p)), "a.json");
    REQUIRE(again);
    CHECK(again->kernels[0].rows[0].raw == text::repair_utf8(p));
  }
}

TEST_CASE("report: the schema of kernel reports finds what is wrong") {
  const document j = document::parse(report::json(triage_samples::good()));
  const auto broken = [&](auto&& change) {
    document copy = j;
    change(copy);
    return schema_errors(copy.dump());
  };
  CHECK(has(broken([](document& d) { d["kernel_tables"][0]["rows"][0].erase("raw"); }), "raw is not there"));
  CHECK(has(broken([](document& d) { d["kernel_tables"][0]["rows"][0]["total_ns"] = 1.5; }), "total_ns"));
  CHECK(has(broken([](document& d) { d["kernel_tables"][0]["stage"] = "prefil"; }), "stage"));
  CHECK(has(broken([](document& d) { d["integrity"]["verdict"] = "fine"; }), "integrity.verdict"));
  CHECK(has(broken([](document& d) { d["extra"] = 1; }), "extra is not in the schema"));
  CHECK(has(broken([](document& d) { d["fuse_tables"][0]["rows"][0]["conditions"][0]["state"] = "perhaps"; }), "conditions[0].state"));
}

TEST_CASE("report: F-OUT-10 every null of a kernel report has its reason, and not-a-number is a null") {
  kernel::triage_report r = triage_samples::good();
  r.kernels[0].rows[0].share = __builtin_nan(""), r.kernels[0].rows[1].share_busy = __builtin_inf(), r.rank.reset();
  const document j = document::parse(report::json(r));
  CHECK(j["kernel_tables"][0]["rows"][0]["share_pct"].is_null());
  CHECK(j["kernel_tables"][0]["rows"][1]["share_busy_pct"].is_null());
  std::vector<std::string> paths;
  nulls(j, "", paths);
  CHECK(paths.size() > 5);
  for (const std::string& p : paths) {
    CAPTURE(p);
    REQUIRE(j["missing"].contains(p));
    CHECK(j["missing"][p].get<std::string>().size() > 5);
  }
  for (const auto& [path, why] : j["missing"].items()) {
    const std::string& member = path;
    CAPTURE(member);
    CHECK(std::find(paths.begin(), paths.end(), path) != paths.end());
  }
}

TEST_CASE("report: reading a kernel report says what is wrong and where") {
  const auto refused = [](std::string_view text) {
    auto r = report::read_triage(text, "a.json");
    return r ? std::string() : r.error().message();
  };
  CHECK(has(refused("{"), "a.json:1:2"));
  CHECK(has(refused("{}"), "no kernel report"));
  CHECK(has(refused("[]"), "a.json"));
  CHECK(has(refused("{\"schema\": \"hotpath.serve_report/1\"}"), "\"hotpath.serve_report/1\", want \"hotpath.triage/1\""));
  CHECK(has(refused("{\"schema\": \"hotpath.triage/1\", \"duration_ns\": \"long\"}"), "a.json:1:"));
  CHECK(has(refused("{\"schema\": \"hotpath.triage/1\", \"kernel_tables\": [{\"stage\": \"nap\"}]}"), "a.json:1:"));
  CHECK(has(refused("{\"schema\": \"hotpath.triage/1\", \"kernel_tables\": [{\"rows\": [{\"launches\": -3}]}]}"), "a.json:1:"));
  CHECK(refused("{\"schema\": \"hotpath.triage/1\", \"of the future\": {\"a\": [1]}}") == "");
}

TEST_CASE("report: kernel reports do not depend on the locale") {
  const std::string before = report::text(triage_samples::good()) + report::json(triage_samples::good()) + report::csv(triage_samples::good(), report::triage_table::kernels);
  const hotpath_test::temp_dir dir;
  hotpath_test::run({"localedef", "--quiet", "-i", "de_DE", "-f", "UTF-8", dir.file("de_DE.UTF-8")});
  setenv("LOCPATH", dir.path().c_str(), 1);
  const bool german = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  unsetenv("LOCPATH");
  if (!german) return hotpath_test::skip("localedef cannot make de_DE.UTF-8 (package locales)");
  const std::string after = report::text(triage_samples::good()) + report::json(triage_samples::good()) + report::csv(triage_samples::good(), report::triage_table::kernels);
  std::setlocale(LC_ALL, "C");
  CHECK(before == after);
}
