// SPDX-License-Identifier: Apache-2.0
// hotpath metrics: pages from files and servers, their difference, formats and exit codes.
#include <nlohmann/json.hpp>
#include "tool.hpp"

using document = nlohmann::json;
using scripted::say;

namespace {

std::string page(double prompt_tokens, int requests, double seconds) {
  const std::string labels = "{engine=\"0\",model_name=\"tiny\"";
  const std::string n = std::to_string(requests);
  return "vllm:num_requests_running" + labels + "} 3\nvllm:kv_cache_usage_perc" + labels + "} 0.25\nvllm:prompt_tokens_total" + labels + "} " + std::to_string(prompt_tokens) +
         "\nvllm:request_queue_time_seconds_bucket" + labels + ",le=\"0.3\"} " + n + "\nvllm:request_queue_time_seconds_bucket" + labels + ",le=\"+Inf\"} " + n +
         "\nvllm:request_queue_time_seconds_count" + labels + "} " + n + "\nvllm:request_queue_time_seconds_sum" + labels + "} " + std::to_string(seconds) + "\n";
}

}  // namespace

TEST_CASE("tools: metrics shows a page by meaning, with units and the engine's own names") {
  const tool hotpath;
  hotpath.dir.write("a.prom", page(100, 4, 0.5));
  const auto f = hotpath({"metrics", "a.prom"}, {.environment = {{"LC_ALL", "C.UTF-8"}}});
  CHECK(f.code == 0);
  CHECK(f.err == "");
  CHECK(f.out ==
        "vllm, a.prom\n\nmodel_name=tiny, engine=0\n\n"
        "                 value  unit      name\n"
        "  running            3  requests  vllm:num_requests_running\n"
        "  kv_usage        25.0  %         vllm:kv_cache_usage_perc\n"
        "  prompt_tokens    100  tokens    vllm:prompt_tokens_total\n\n"
        "         n      mean       p50       p90       p99  name\n"
        "  queue  4  125.0 ms  \u2264 300 ms  \u2264 300 ms  \u2264 300 ms  vllm:request_queue_time_seconds\n");
  CHECK(has(hotpath({"metrics", "a.prom"}, {.environment = {{"LC_ALL", "C"}}}).out, "<= 300 ms"));
  const document j = document::parse(hotpath({"metrics", "a.prom", "--json"}).out);
  CHECK(j["schema"] == "hotpath.metrics/1");
  CHECK(j["kind"] == "page");
  CHECK(j["series"].size() == 4);
  CHECK(j["series"][1]["metric"] == "kv_usage");
  CHECK(j["series"][1]["value"] == 0.25);
  CHECK(j["series"][3]["buckets"] == document{{0.3, 4.0}, {nullptr, 4.0}});
}

TEST_CASE("tools: metrics of two pages is their difference, a server may be one of them") {
  const tool hotpath;
  hotpath.dir.write("a.prom", page(100, 4, 0.5));
  scripted::server server;
  server.on("/metrics", {say(scripted::http(200, page(350, 14, 2.5), "", "text/plain"))});
  const auto f = hotpath({"metrics", "a.prom", server.url()});
  CHECK(f.code == 0);
  CHECK(has(f.out, "prompt_tokens    250  tokens"));
  CHECK(has(f.out, "queue  10  200.0 ms"));
  const document j = document::parse(hotpath({"metrics", "a.prom", server.url(), "--json"}).out);
  CHECK(j["kind"] == "difference");
  CHECK(j["all"]["prompt_tokens"] == 250.0);
  CHECK(j["all"]["queue_ms"]["n"] == 10.0);
  CHECK(j["all"]["queue_ms"]["mean"] == 200.0);
  CHECK(j["all"]["queue_ms"]["p99"] == document{0.0, 300.0});
  CHECK(j["all"]["ttft_ms"]["missing"] == "the engine does not tell it");
  CHECK(j["all"]["ttft_ms"]["mean"].is_null());
  CHECK(j["all"]["preemptions"].is_null());
}

TEST_CASE("tools: metrics says what it cannot do, with the code for it") {
  const tool hotpath;
  hotpath.dir.write("page.html", "<html><body>Sign in</body></html>");
  hotpath.dir.write("other.prom", "go_threads 7\n");
  hotpath.dir.write("empty.prom", "");
  hotpath.dir.write("a.prom", page(100, 4, 0.5));
  check_refused(hotpath({"metrics", "page.html"}), 3, "page.html: not Prometheus text; it begins with");
  check_refused(hotpath({"metrics", "other.prom"}), 3, "no known name of an engine is on this page");
  check_refused(hotpath({"metrics", "empty.prom"}), 3, "the page is empty");
  check_refused(hotpath({"metrics", "nothing.prom"}), 3, "cannot read: No such file or directory");
  check_refused(hotpath({"metrics", "localhost:8000"}), 3, "an address begins with http://");
  check_refused(hotpath({"metrics", "."}), 3, "cannot read: Is a directory");
  check_refused(hotpath({"metrics", "a.prom", "nothing.prom"}), 3, "nothing.prom");
  check_refused(hotpath({"metrics", "a.prom", "--engine", "apache"}), 2, "is not an engine");
  check_refused(hotpath({"metrics", "a.prom", "--timeout", "0"}), 2, "--timeout must be above 0");
  check_refused(hotpath({"metrics", "a.prom", "--format", "csv"}), 2, "want text or json");
  check_refused(hotpath({"metrics", "a.prom", "--header", "nonsense"}), 2, "--header");
  check_refused(hotpath({"metrics", "ftp://x"}), 3, "not a scheme that hotpath speaks");
  scripted::server server;
  server.on("/metrics", {say(scripted::http(404, "no"))});
  server.on("/prometheus/metrics", {say(scripted::http(404, "no"))});
  check_refused(hotpath({"metrics", server.url()}), 4, "HTTP 404");
  server.on("/metrics", {say(scripted::http(200, "<html>"))});
  check_refused(hotpath({"metrics", server.url()}), 3, "not Prometheus text");
  const std::string url = server.url();
  server.stop();
  check_refused(hotpath({"metrics", url}), 4, "cannot connect");
}

TEST_CASE("tools: metrics of a page that was cut is partial, and says what is lost") {
  const tool hotpath;
  hotpath.dir.write("cut.prom", page(100, 4, 0.5) + "vllm:num_requests_waiting{engine=\"0");
  const auto f = hotpath({"metrics", "cut.prom"});
  CHECK(f.code == 5);
  CHECK(has(f.out, "! 1 line is lost"));
  const auto j = hotpath({"metrics", "cut.prom", "--json"});
  CHECK(j.code == 5);
  CHECK(document::parse(j.out)["lost"]["truncated"] == 1);
}
