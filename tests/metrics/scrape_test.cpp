// SPDX-License-Identifier: Apache-2.0
#include <condition_variable>
#include <hotpath/metrics/scrape.hpp>
#include <mutex>
#include <support/scripted_server.hpp>
#include "look.hpp"

using namespace hotpath;
using namespace hotpath::literals;
using namespace look;
using moment = model::scrape::moment;
using scripted::say;

namespace {

const char* const text_type = "text/plain; version=0.0.4";
std::string page(double in_flight) { return "vllm:num_requests_running{engine=\"0\"} " + std::to_string(in_flight) + "\n"; }
scripted::script answer(std::string body, int status = 200) { return {say(scripted::http(status, body, "", text_type))}; }

// Keeps what a scraper gives, and waits for as many as a test wants.
struct keeper {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<model::scrape> got;
  metrics::scrape_sink sink() {
    return [this](model::scrape&& s) {
      const std::lock_guard lock{mutex};
      got.push_back(std::move(s));
      changed.notify_all();
    };
  }
  bool wait_for(std::size_t n) {
    std::unique_lock lock{mutex};
    return changed.wait_for(lock, std::chrono::seconds{20}, [&] { return got.size() >= n; });
  }
  std::vector<model::scrape> now() {
    const std::lock_guard lock{mutex};
    return got;
  }
};

metrics::scrape_options fast(const std::string& endpoint) { return {.endpoint = endpoint, .interval = 10_ms, .timeout = 10_s}; }

}  // namespace

TEST_CASE("metrics: a scraper asks once before, periodically, and once after, each scrape with its moment and its stamps") {
  scripted::server server;
  server.on("/metrics", answer(page(3)));
  keeper k;
  metrics::scraper<> engine{fast(server.url())};
  const nanoseconds origin = monotonic_now();
  REQUIRE(engine.start(origin, k.sink()));
  CHECK(k.now().size() >= 1);  // the first is there when start() returns
  REQUIRE(k.wait_for(5));
  engine.stop();
  const nanoseconds done = monotonic_now() - origin;
  const auto got = k.got;
  CHECK(got.front().when == moment::before);
  CHECK(got.back().when == moment::after);
  for (std::size_t i = 0; i < got.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i].ok());
    CHECK(value(got[i], running) == 3);
    if (i != 0 && i + 1 < got.size()) CHECK(got[i].when == moment::during);
    CHECK(got[i].begin >= (i == 0 ? 0_ns : got[i - 1].end));
    CHECK(got[i].end > got[i].begin);
    CHECK(got[i].end <= done);
  }
  engine.stop();  // again: nothing
  CHECK(k.got.size() == got.size());
  CHECK(server.now().other == got.size());
}

TEST_CASE("metrics: the last page is asked for again until two in a row count the same and nothing is with the engine") {
  scripted::server server;
  server.on("/metrics", answer("vllm:num_requests_running 0\nvllm:prompt_tokens_total 5\n"));
  const auto asked = [&](nanoseconds settle) {
    const auto before = server.now().other;
    keeper k;
    auto o = fast(server.url());
    o.settle = settle;
    metrics::scraper<> engine{o};
    REQUIRE(engine.start(monotonic_now(), k.sink()));
    engine.stop();
    CHECK(k.got.back().when == moment::after);
    CHECK(value(k.got.back(), prompt_tokens) == 5);
    return server.now().other - before - k.got.size();  // pages that were asked for and not given
  };
  CHECK(asked(0_s) == 0);
  CHECK(asked(20_s) == 1);
  server.on("/metrics", answer("vllm:num_requests_running 1\nvllm:prompt_tokens_total 5\n"));
  CHECK(asked(100_ms) >= 1);  // it never comes to rest: as long as allowed
}

TEST_CASE("metrics: scrapes are due at multiples of the interval, however the one before ended") {
  scripted::server server;
  server.on("/metrics", {scripted::pause(scripted::ms(35)), say(scripted::http(200, page(1), "", text_type))});
  keeper k;
  metrics::scraper<> engine{fast(server.url())};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  REQUIRE(k.wait_for(4));
  engine.stop();
  // F-MET-15: a scrape of 35 ms takes three periods of 10 ms or more from those after it. No period is used twice, none begins
  // before it is due, and none that began before the end of the scrape before it is taken.
  const nanoseconds slack = k.got.front().begin;  // the periods count from start(), a little after the origin
  std::uint64_t due = 0;
  for (std::size_t i = 1; i + 1 < k.got.size(); ++i) {
    CAPTURE(i);
    const model::scrape& s = k.got[i];
    CHECK(s.skipped >= 3);
    due += s.skipped + 1;
    CHECK(s.begin >= 10_ms * static_cast<std::int64_t>(due));
    CHECK(10_ms * static_cast<std::int64_t>(due) + slack > k.got[i - 1].end);
  }
}

TEST_CASE("metrics: F-MET-15 a scrape slower than its period makes the next ones fewer, not later, and the skipped ones are counted") {
  scripted::server server;
  server.on("/metrics", answer(page(1)));
  keeper k;
  metrics::scraper<> engine{fast(server.url())};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  REQUIRE(k.wait_for(2));
  server.on("/metrics", {scripted::pause(scripted::ms(75)), say(scripted::http(200, page(2), "", text_type))});
  const auto slow = [&](const model::scrape& s) { return s.ok() && value(s, running) == 2; };
  for (std::size_t n = 3;; ++n) {
    REQUIRE(k.wait_for(n));
    if (slow(k.now().back())) break;
  }
  server.on("/metrics", answer(page(1)));
  const std::size_t n = k.now().size();
  REQUIRE(k.wait_for(n + 2));
  engine.stop();
  std::size_t first = 0;
  while (!slow(k.got[first])) ++first;
  CHECK(k.got[first].end - k.got[first].begin >= 75_ms);
  CHECK(k.got[first + 1].skipped >= 7);
}

TEST_CASE("metrics: F-MET-01 a page that is not there is a scrape with the address and the reason, and the scraper goes on") {
  scripted::server server;
  server.on("/metrics", answer("{\"error\": \"no\"}", 404));
  server.on("/prometheus/metrics", answer("no", 404));
  keeper k;
  metrics::scraper<> engine{fast(server.url())};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  REQUIRE(k.wait_for(2));
  CHECK(k.now()[0].error == server.url() + "/metrics: HTTP 404; are metrics switched on (SGLang: --enable-metrics, llama.cpp: --metrics), and is this their address?");
  CHECK(k.now()[0].series.empty());
  server.on("/metrics", answer(page(4)));  // switched on meanwhile
  for (std::size_t n = 3; !k.now().back().ok(); ++n) REQUIRE(k.wait_for(n));
  engine.stop();
  CHECK(value(k.got.back(), running) == 4);

  server.on("/metrics", answer("no", 401));
  const auto refused = metrics::scrape_once({.endpoint = server.url()});
  REQUIRE(refused);
  CHECK(refused->error == server.url() + "/metrics: HTTP 401; the server wants a header with a key");
}

TEST_CASE("metrics: F-MET-01 a server that cannot be reached is a scrape with the reason") {
  scripted::server server;
  const std::string url = server.url();
  server.stop();
  keeper k;
  metrics::scraper<> engine{fast(url)};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  engine.stop();
  REQUIRE(k.got.size() >= 2);
  CHECK(k.got.front().error.starts_with(url + "/metrics: cannot connect to "));
  CHECK(k.got.back().when == moment::after);
}

TEST_CASE("metrics: F-MET-02 a login page, and F-MET-03 an empty body, over HTTP") {
  scripted::server server;
  server.on("/metrics", answer("<html>\n<title>Sign in</title></html>"));
  auto s = metrics::scrape_once({.endpoint = server.url()});
  REQUIRE(s);
  CHECK(s->error == server.url() + "/metrics: not Prometheus text; it begins with \"<html>\\n<title>Sign in</title></html>\"");
  server.on("/metrics", answer(""));
  s = metrics::scrape_once({.endpoint = server.url()});
  REQUIRE(s);
  CHECK(s->ok());
  CHECK(s->series.empty());
  CHECK(all(s->problems) == "the page is empty\n");
}

TEST_CASE("metrics: F-MET-16 a body beyond the limit is not read to its end") {
  scripted::server server;
  server.on("/metrics", {say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"), scripted::repeat(std::string(1 << 16, '#'), 17 * 16), scripted::hang_up()});
  const auto s = metrics::scrape_once({.endpoint = server.url()});
  REQUIRE(s);
  CHECK_FALSE(s->ok());
  CHECK(s->lost.over_limit == 1);
}

TEST_CASE("metrics: a server that takes the question and says nothing holds up neither start nor stop beyond the time-outs") {
  scripted::server server;
  server.on("/metrics", {scripted::hold()});
  keeper k;
  auto o = fast(server.url());
  o.timeout = 30_ms;
  metrics::scraper<> engine{o};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  REQUIRE(k.now().size() >= 1);
  CHECK(k.now()[0].when == moment::before);
  CHECK(k.now()[0].error == server.url() + "/metrics: no complete answer in time");
  engine.stop();
  CHECK(k.got.back().when == moment::after);
  CHECK_FALSE(k.got.back().ok());
  for (const auto& s : k.got) CHECK(s.end - s.begin >= 30_ms);
  server.release();
}

TEST_CASE("metrics: TensorRT-LLM has JSON at /metrics and text at /prometheus/metrics: the text is taken, and kept to") {
  const std::string list = R"([{"numActiveRequests": 5, "kvCacheStats": {"maxNumBlocks": 10, "usedNumBlocks": 5}}])";
  scripted::server server;
  server.on("/metrics", answer(list));
  server.on("/prometheus/metrics", answer("trtllm_num_requests_running 7\n"));
  keeper k;
  metrics::scraper<> engine{fast(server.url())};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  REQUIRE(k.wait_for(3));
  engine.stop();
  for (const auto& s : k.got) CHECK(value(s, running) == 7);
  CHECK(server.now().other == k.got.size() + 1);  // the JSON was asked for once: reading it takes it from others

  server.on("/metrics", answer("no", 404));
  CHECK(value(*metrics::scrape_once({.endpoint = server.url()}), running) == 7);
  // Only the JSON.
  server.on("/metrics", answer(list));
  server.on("/prometheus/metrics", answer("no", 404));
  const auto json = metrics::scrape_once({.endpoint = server.url()});
  CHECK(json->ok());
  CHECK(value(*json, running) == 5);
  CHECK(value(*json, kv_usage) == 0.5);
  // Text of a server whose page has no known name yet: no second address is asked.
  server.on("/metrics", answer("python_info 1\n"));
  const auto before = server.now().other;
  CHECK(metrics::scrape_once({.endpoint = server.url()})->ok());
  CHECK(server.now().other == before + 1);
}

TEST_CASE("metrics: an address with a path is the page itself; one without, or an endpoint's, is a server") {
  scripted::server server;
  server.on("/metrics", answer(page(1)));
  server.on("/engine/7/stats", answer(page(2)));
  server.on("/llm/metrics", answer(page(3)));
  CHECK(value(*metrics::scrape_once({.url = server.url() + "/engine/7/stats"}), running) == 2);
  CHECK(value(*metrics::scrape_once({.endpoint = "http://127.0.0.1:1", .url = server.url()}), running) == 1);
  CHECK(value(*metrics::scrape_once({.url = server.url() + "/metrics"}), running) == 1);
  CHECK(value(*metrics::scrape_once({.endpoint = server.url() + "/v1/chat/completions"}), running) == 1);
  CHECK(value(*metrics::scrape_once({.endpoint = server.url() + "/llm/v1"}), running) == 3);

  metrics::scraper<> bad{{.endpoint = "ftp://x"}};
  const auto started = bad.start({}, {});
  REQUIRE_FALSE(started);
  CHECK(started.error().code == errc::unsupported);
  bad.stop();
  CHECK_FALSE(metrics::scrape_once({.endpoint = "http://[::1"}));
}

namespace {
// Plain TCP that remembers what was sent.
struct spying : net::tcp {
  net::io send(std::string_view out) noexcept {
    const net::io r = net::tcp::send(out);
    const std::lock_guard lock{mutex};
    sent += out.substr(0, r.bytes);
    return r;
  }
  static inline std::mutex mutex;
  static inline std::string sent;
};
}  // namespace

TEST_CASE("metrics: headers and credentials are sent with each scrape and appear in no scrape") {
  scripted::server server;
  server.on("/metrics?api_key=canary3", answer("no", 500));
  const std::string at = server.url().substr(7);
  keeper k;
  auto o = fast("http://user:canary1@" + at);
  o.headers = {{"X-Api-Key", "canary2"}};
  o.endpoint += "/?api_key=canary3";
  metrics::scraper<spying> engine{o};
  REQUIRE(engine.start(monotonic_now(), k.sink()));
  engine.stop();
  CHECK(spying::sent.find("X-Api-Key: canary2\r\n") != std::string::npos);
  CHECK(spying::sent.find("Authorization: Basic ") != std::string::npos);
  CHECK(spying::sent.find("api_key=canary3") != std::string::npos);
  CHECK(spying::sent.find("Accept-Encoding") == std::string::npos);
  REQUIRE(k.got.size() >= 2);
  for (const auto& s : k.got) {
    CHECK(s.error.find("HTTP 500") != std::string::npos);
    CHECK(s.error.find("canary") == std::string::npos);
  }
}

TEST_CASE("metrics: a server that repeats what it was sent puts no secret into a scrape") {
  scripted::server server;
  const std::string url = "http://user:CANARY-password@" + server.url().substr(7) + "/?api_key=CANARY-query";
  const metrics::scrape_options o{.endpoint = url, .headers = {{"Authorization", "Bearer CANARY-header"}}};
  for (const char* body : {"<html>CANARY-header CANARY-password CANARY-query</html>", "vllm:num_requests_running{model_name=\"CANARY-header\"} 1\nvllm:num_requests_wating{x=\"CANARY-query\"} 1\n",
                           "vllm:num_requests_running 1\nvllm:prompt_tokens_total{a=\"CANARY-password\"} -1\n"}) {
    server.on("/metrics?api_key=CANARY-query", answer(body));
    const auto s = metrics::scrape_once(o);
    REQUIRE(s);
    CAPTURE(s->error);
    CHECK(s->error.find("CANARY") == std::string::npos);
    CHECK_FALSE(says(s->problems, "CANARY"));
    for (const auto& m : s->series) CHECK(m.source.find("CANARY") == std::string::npos);
    CHECK((s->ok() ? all(s->problems) + (s->series.empty() ? "" : s->series[0].source) : s->error) != "");
  }
  CHECK(metrics::scrape_once(o)->series.size() == 1);
}

TEST_CASE("metrics: a scraper that is let go without stop makes no last scrape") {
  scripted::server server;
  server.on("/metrics", answer(page(1)));
  keeper k;
  {
    metrics::scraper<> engine{fast(server.url())};
    REQUIRE(engine.start(monotonic_now(), k.sink()));
    REQUIRE(k.wait_for(2));
  }
  for (const auto& s : k.got) CHECK(s.when != moment::after);
  { const metrics::scraper<> never{fast(server.url())}; }
}
