// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <clocale>
#include <cstdlib>
#include <hotpath/report/json.hpp>
#include <hotpath/report/text.hpp>
#include <nlohmann/json.hpp>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include "nulls.hpp"
#include "samples.hpp"

using namespace hotpath;
using document = nlohmann::json;

namespace {

// What validate_schema.py says of these texts; empty: valid.
std::string schema_errors(const std::vector<std::string>& texts, bool closed = true) {
  const std::string root = hotpath_test::source_dir();
  std::vector<std::string> argv = {"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/serve_report-1.schema.json"};
  if (closed) argv.push_back("--closed");
  const hotpath_test::temp_dir dir;
  for (std::size_t i = 0; i < texts.size(); ++i) argv.push_back(dir.write(std::to_string(i) + ".json", texts[i]));
  const auto done = hotpath_test::run(argv);
  CHECK(done.code == (done.err.empty() ? 0 : 1));
  return done.err;
}

std::vector<std::string> all() {
  return {report::json(samples::good()), report::json(samples::bad()), report::json(samples::tiny()), report::json(samples::empty()),
          report::json(samples::good(), 0), report::json(samples::served())};
}

}  // namespace

TEST_CASE("report: JSON is valid against the published schema, which names every member") { CHECK(schema_errors(all()) == ""); }

TEST_CASE("report: the schema check finds what is wrong") {
  document j = document::parse(report::json(samples::good()));
  const auto broken = [&](auto&& change) {
    document copy = j;
    change(copy);
    return schema_errors({copy.dump()});
  };
  CHECK(broken([](document&) {}) == "");
  CHECK(broken([](document& d) { d["ttft_ms"].erase("p99"); }).find("ttft_ms: p99 is not there") != std::string::npos);
  CHECK(broken([](document& d) { d["requests"]["ok"] = -1; }).find("requests.ok: is -1") != std::string::npos);
  CHECK(broken([](document& d) { d["requests"]["ok"] = 1.5; }).find("requests.ok") != std::string::npos);
  CHECK(broken([](document& d) { d["requests"]["errors"]["oops"] = 1; }).find("oops") != std::string::npos);
  CHECK(broken([](document& d) { d["ttft_ms"]["ci95"]["p50"] = document::array({1}); }).find("ci95.p50") != std::string::npos);
  CHECK(broken([](document& d) { d["extra"] = 1; }).find("extra is not in the schema") != std::string::npos);
  CHECK(broken([](document& d) { d["schema"] = "hotpath.serve_report/2"; }).find("schema") != std::string::npos);
  CHECK(broken([](document& d) { d["goodput"]["share"] = 1.01; }).find("goodput.share") != std::string::npos);
  CHECK(broken([](document& d) { d["run"]["started"] = "yesterday"; }).find("run.started") != std::string::npos);
}

TEST_CASE("report: every null has its reason in missing, and every reason leads to a null") {
  for (const std::string& text : all()) CHECK(null_errors(document::parse(text)) == "");
  document j = document::parse(report::json(samples::good()));
  j["missing"].erase("itl_ms");
  CHECK(null_errors(j) == "itl_ms is null without a reason\n");
  j["missing"]["itl_ms"] = "x", j["missing"]["ttft_ms.p50"] = "x";
  CHECK(null_errors(j) == "missing: ttft_ms.p50 is not null\n");
}

TEST_CASE("report: JSON holds what the report holds") {
  const auto r = samples::good();
  const document j = document::parse(report::json(r));
  CHECK(j["schema"] == "hotpath.serve_report/1");
  CHECK(j["requests"]["sent"] == 716);
  CHECK(j["requests"]["errors"] == document::object());
  CHECK(j["ttft_ms"]["n"] == 700);
  CHECK(j["ttft_ms"]["p50"] == 51.32);
  CHECK(j["ttft_ms"]["p99"].get<double>() == doctest::Approx(102.64));
  CHECK(j["ttft_ms"]["ci95"]["p50"] == document::array({48.754, 54.3992}));
  CHECK(j["connect_ms"]["ci95"]["p99"][1].is_null());                       // n = 16: no upper bound
  CHECK(j["missing"]["connect_ms.ci95.p99[1]"] == "n = 16 is too small for an upper bound of this quantile");
  CHECK(j["itl_ms"].is_null());
  CHECK(j["missing"]["itl_ms"] == "tokens per chunk are not known: see chunk gap");
  CHECK(j["goodput"]["limits"] == document{{"ttft_ms", 500.0}, {"tpot_ms", 50.0}});
  CHECK(j["run"]["schedule"] == document{{"kind", "closed"}, {"streams", 16}, {"max_duration_s", 60.0}});
  CHECK(j["client"]["loop_lag_ms"]["p99"] == 0.113);
  const document b = document::parse(report::json(samples::bad()));
  CHECK(b["requests"]["errors"] == document{{"idle_timeout", 30}, {"truncated", 60}, {"cancelled", 10}});
  CHECK(b["run"]["schedule"]["max_in_flight"] == 8);
  CHECK(b["loss"]["dropped"] == 5);
  CHECK(b["verdict"]["word"] == "partial");
  CHECK(b["checks"][1]["ok"] == false);
}

TEST_CASE("report: JSON has the engine's side: buckets as [lo, hi], gauges, counters, and a reason for each that is not told") {
  const document j = document::parse(report::json(samples::served())), s = j["server"];
  CHECK(s["engine"] == "vllm");
  CHECK(s["version"] == "0.33.0");
  CHECK(s["queue_ms"]["n"] == 716);
  CHECK(s["queue_ms"]["mean"] == 12.1);
  CHECK(s["queue_ms"]["p50"] == document::array({0, 300}));
  CHECK(s["queue_ms"]["p99"] == document::array({300, 500}));
  CHECK(s["e2e_ms"]["p99"] == document::array({2'560'000, nullptr}));
  CHECK(j["missing"]["server.e2e_ms.p99[1]"] == "above the last bucket's edge");
  CHECK(j["missing"]["server.e2e_ms.mean"] == "the sum is not a number");
  CHECK(s["tpot_ms"].is_null());
  CHECK(s["kv_usage_pct"] == document{{"mean", 43.1}, {"max", 99.78}, {"n", 62}});
  CHECK(s["prefix_hit_rate"].get<double>() == doctest::Approx(0.139665).epsilon(1e-5));
  CHECK(s["preemptions"] == 3);
  CHECK(s["prompt_tokens"] == 366'592);
  CHECK(s["generation_tokens"] == 91'136);
  CHECK(s["engines"].size() == 2);
  CHECK(s["engines"][1]["source"] == "model_name=Qwen/Qwen3-8B, engine=1");
  CHECK(j["missing"]["server.engines[1].ttft_ms"] == "not told");
  CHECK(s["over_time"]["waiting"].size() == 61);
  CHECK(s["over_time"]["kv_usage"][20].is_null());
  const document none = document::parse(report::json(samples::good()));
  CHECK(none["server"].is_null());
  CHECK(none["missing"]["server"] == "its metrics were not read");
  auto r = samples::served();
  r.server.missing = "no scrape succeeded: HTTP 404";
  CHECK(document::parse(report::json(r))["missing"]["server"] == "no scrape succeeded: HTTP 404");
}

TEST_CASE("report: F-OUT-10 NaN and infinities are null with a reason") {
  auto r = samples::good();
  r.of(serve::metric::ttft).mean = std::nan("");
  r.of(serve::metric::tpot).ci[0]->hi = HUGE_VAL;
  r.client.bytes_per_s = HUGE_VAL, r.client.inexact_share = std::nan(""), r.throughput.requests_per_s->value = HUGE_VAL;
  const std::string text = report::json(r);
  CHECK(text.find("nan") == std::string::npos);
  CHECK(text.find("inf,") == std::string::npos);
  const document j = document::parse(text);
  CHECK(j["ttft_ms"]["mean"].is_null());
  CHECK(j["missing"]["ttft_ms.mean"] == "not a finite number");
  CHECK(j["over_time"]["ttft_p50_ms"][31].is_null());
  CHECK(null_errors(j) == "");
}

TEST_CASE("report: F-OUT-12 times of day are ISO 8601 in UTC") {
  CHECK(document::parse(report::json(samples::good()))["run"]["started"] == "2026-11-22T18:32:52.123456789Z");
}

TEST_CASE("report: F-OUT-11 the locale changes no number") {
  const std::string before = report::json(samples::good()) + report::text(samples::good());
  const hotpath_test::temp_dir dir;
  hotpath_test::run({"localedef", "--quiet", "-i", "de_DE", "-f", "UTF-8", dir.file("de_DE.UTF-8")});
  setenv("LOCPATH", dir.path().c_str(), 1);
  const bool german = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  unsetenv("LOCPATH");
  if (!german) return hotpath_test::skip("localedef cannot make de_DE.UTF-8 (package locales)");
  const std::string comma = std::to_string(1.5), after = report::json(samples::good()) + report::text(samples::good());
  std::setlocale(LC_ALL, "C");
  REQUIRE(comma.starts_with("1,5"));  // else the test shows nothing
  CHECK(before == after);
}

TEST_CASE("report: hostile text stays inside its JSON string") {
  const document j = document::parse(report::json(samples::bad()));
  CHECK(j["run"]["model"] == "evil\x1b]0;title\x07\x1b[2J\xef\xbf\xbd\u202egpj.exe");
  CHECK(j["run"]["workload"] == "a\"b\\c\n.jsonl");
  for (const char c : report::json(samples::bad())) CHECK((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));
}

TEST_CASE("report: F-OUT-13 a run without a request says no data, and why") {
  const document j = document::parse(report::json(samples::empty()));
  CHECK(j["verdict"]["word"] == "no data");
  CHECK(j["ttft_ms"].is_null());
  CHECK(j["throughput"]["requests_per_s"].is_null());
  CHECK(j["concurrency"]["mean"].is_null());
  CHECK(j["missing"]["ttft_ms"] == "no request succeeded");
}
