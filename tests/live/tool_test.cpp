// SPDX-License-Identifier: Apache-2.0
// The executable against the scripted server: signals, sudden death, overload. What a run says is read from its JSON or its file.
#include <doctest/doctest.h>
#include <sched.h>
#include <sqlite3.h>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>
#include <hotpath/run/store_sqlite.hpp>
#include "support/data.hpp"
#include "support/process.hpp"
#include "support/scripted_server.hpp"
#include "support/temp_dir.hpp"

using namespace hotpath;
using hotpath_test::finished;
using hotpath_test::process;
using njson = nlohmann::json;
using scripted::ms;

namespace {

struct folder {
  hotpath_test::temp_dir dir;
  const std::string path = dir.path();
  std::string db() const { return path + "/run/serve_profile.db"; }
};

std::vector<std::string> profile(const std::string& url, const folder& out, std::vector<std::string> more) {
  std::vector<std::string> argv{HOTPATH_TOOL, "serve-profile", "--endpoint", url, "--output", out.path + "/run", "--json"};
  argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

njson report(const finished& done) {
  CAPTURE(done.err);
  REQUIRE_FALSE(done.out.empty());
  return njson::parse(done.out);
}

void check_books(const njson& r) {
  const auto& q = r["requests"];
  CHECK(q["sent"].get<int>() == q["ok"].get<int>() + q["failed"].get<int>() + q["cancelled"].get<int>() + q["in_flight"].get<int>());
  for (const auto& c : r["checks"]) {
    CAPTURE(c.dump());
    CHECK((c["ok"].is_null() || c["ok"] == true));
  }
}

std::string integrity(const std::string& path) {
  sqlite3* db = nullptr;
  REQUIRE(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr) == SQLITE_OK);
  std::string word;
  sqlite3_exec(db, "PRAGMA integrity_check", [](void* w, int, char** v, char**) { return *static_cast<std::string*>(w) += v[0], 0; }, &word, nullptr);
  sqlite3_close(db);
  return word;
}

// Long answers, so that a signal meets requests in flight.
constexpr scripted::pace slow{.delay_ns = ms(20), .gap_ns = ms(10), .chunks = 100};

finished interrupted(int signal, int times, const char* pace_of_end = "") {
  CAPTURE(pace_of_end);
  scripted::server server({.pace = slow});
  const folder out;
  process p(profile(server.url(), out, {"--traffic", "synthetic:input=16,output=100", "--concurrency", "4", "--duration", "60"}), {.seconds = 30});
  REQUIRE(server.wait_for([](const scripted::totals& t) { return t.finished >= 4 && t.open >= 4; }));
  p.signal(signal);
  if (times > 1) {
    REQUIRE(p.wait_for_err("drain"));
    p.signal(signal);
  }
  finished done = p.finish();
  CHECK(integrity(out.db()) == "ok");
  auto run = run::stored_run::open(out.db());
  REQUIRE(run);
  CHECK(run->info().state == model::run_state::interrupted);
  CHECK(run->requests() >= 4);
  return done;
}

}  // namespace

TEST_CASE("tools: F-PRC-01 F-PRC-03 F-PRC-05 a first signal drains what is in flight, saves, and ends with 130") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    CAPTURE(signal);
    const finished done = interrupted(signal, 1);
    CHECK(done.code == 130);
    const njson r = report(done);
    check_books(r);
    CHECK(r["run"]["state"] == "interrupted");
    CHECK(r["requests"]["cancelled"] == 0);  // answers take a second, the drain lasts five
    CHECK(r["requests"]["failed"] == 0);
  }
}

TEST_CASE("tools: F-PRC-02 a second signal ends the run at once and the file is still consistent") {
  const finished done = interrupted(SIGINT, 2);
  CHECK(done.code == 130);
  const njson r = report(done);
  check_books(r);
  CHECK(r["requests"]["cancelled"].get<int>() > 0);
  CHECK(r["requests"]["errors"]["cancelled"] == r["requests"]["cancelled"]);
}

TEST_CASE("tools: F-PRC-05 under nohup a hang-up ends nothing") {
  scripted::server server({.pace = slow});
  const folder out;
  std::vector<std::string> argv = profile(server.url(), out, {"--traffic", "synthetic:input=16,output=100", "--concurrency", "2", "--requests", "6"});
  argv.insert(argv.begin(), "nohup");
  process p(argv, {.seconds = 30});
  REQUIRE(server.wait_for([](const scripted::totals& t) { return t.finished >= 2; }));
  p.signal(SIGHUP);
  const finished done = p.finish();
  const njson r = report(done);
  CHECK(r["run"]["state"] == "complete");
  CHECK(r["requests"]["ok"] == 6);
}

TEST_CASE("tools: F-PRC-04 a server that closes while a request is being written costs that request, not the process") {
  scripted::server server({.fault = "rst_before_head"});
  const folder out;
  const std::string traffic = out.path + "/big.jsonl";
  std::FILE* f = std::fopen(traffic.c_str(), "w");
  REQUIRE(f != nullptr);
  std::fprintf(f, "{\"prompt\":\"%s\",\"max_tokens\":4}\n", std::string(3'000'000, 'x').c_str());
  std::fclose(f);
  const finished done = hotpath_test::run(profile(server.url(), out, {"--traffic", traffic, "--requests", "5", "--max-errors", "100%"}));
  CHECK(done.code == 4);  // none succeeded; 141 would be a death by SIGPIPE
  const njson r = report(done);
  CHECK(r["requests"]["errors"]["reset"] == 5);
  check_books(r);
}

TEST_CASE("tools: F-PRC-06 a client that was suspended says so") {
  scripted::server server({.pace = slow});
  const folder out;
  process p(profile(server.url(), out, {"--traffic", "synthetic:input=16,output=100", "--concurrency", "2", "--requests", "6"}), {.seconds = 30});
  REQUIRE(server.wait_for([](const scripted::totals& t) { return t.requests >= 2; }));
  p.signal(SIGSTOP);
  server.wait_for([](const scripted::totals&) { return false; }, ms(1200));  // the length of the suspension is the point
  p.signal(SIGCONT);
  const finished done = p.finish();
  const njson r = report(done);
  CHECK(r["requests"]["ok"] == 6);
  CHECK(r["client"]["suspended_ms"].get<double>() > 600);
  CHECK(r["client"]["suspended_ms"].get<double>() < 20'000);
  bool said = false;
  for (const auto& line : r["findings"]) said = said || line.get<std::string>().find("did not run") != std::string::npos;
  CHECK(said);
}

TEST_CASE("tools: F-DB-07 kill -9 at random moments leaves a file that opens, says it is partial, and lacks at most the last second") {
  std::mt19937 random{2026};
  const int kills = hotpath_test::full() ? 100 : 10;
  for (int i = 0; i < kills; ++i) {
    CAPTURE(i);
    scripted::server server({.pace = {.delay_ns = ms(2), .gap_ns = ms(1), .chunks = 8}, .keep_requests = false});
    const folder out;
    process p(profile(server.url(), out, {"--traffic", "synthetic:input=16,output=8", "--concurrency", "8", "--duration", "60"}), {.seconds = 30});
    REQUIRE(server.wait_for([](const scripted::totals& t) { return t.finished >= 1; }));
    server.wait_for([](const scripted::totals&) { return false; }, ms(static_cast<double>(100 + random() % 2400)));
    p.signal(SIGKILL);
    const std::int64_t killed = monotonic_now().ns;
    p.finish();
    server.wait_for([](const scripted::totals& t) { return t.open == 0; });

    CHECK(integrity(out.db()) == "ok");
    auto run = run::stored_run::open(out.db());
    REQUIRE(run);
    CHECK(run->partial());
    CHECK(run->info().state == model::run_state::running);
    std::set<std::string> kept;
    REQUIRE(run->for_each_request([&](const model::request& r) { kept.insert(r.id); }));
    std::size_t lost = 0, due = 0;
    for (const auto& t : server.truths()) {
      if (!t.complete || t.end_ns > killed - 1'000'000'000) continue;
      ++due;
      if (!kept.contains(t.id)) ++lost;
    }
    CAPTURE(due);
    CHECK(lost == 0);
    // A killed run does not stand in the way of the next one.
    if (i == 0) {
      const finished next = hotpath_test::run(profile(server.url(), out, {"--traffic", "synthetic:input=16,output=8", "--requests", "3"}));
      CHECK((next.code == 0 || next.code == 5));  // 5: a busy machine made the client the limit
      CHECK(report(next)["requests"]["ok"] == 3);
      CHECK(std::filesystem::exists(out.path + "/run/serve_profile.1.db"));
      CHECK(next.err.find("serve_profile.1.db") != std::string::npos);
    }
  }
}

namespace {
// 4 at a time, 100 ms each: 40 requests per second are its capacity.
constexpr scripted::pace tenth{.delay_ns = ms(50), .gap_ns = ms(5), .chunks = 10};
njson overload(std::vector<std::string> more) {
  scripted::server server({.pace = tenth, .capacity = 4});
  const folder out;
  std::vector<std::string> flags{"--traffic", "synthetic:input=16,output=10", "--rate", "80", "--arrival", "constant", "--requests", "160"};
  flags.insert(flags.end(), more.begin(), more.end());
  const finished done = hotpath_test::run(profile(server.url(), out, flags));
  const njson r = report(done);
  CHECK(r["requests"]["ok"] == 160);
  check_books(r);
  return r;
}
}  // namespace

TEST_CASE("tools: above capacity without a cap both TTFTs grow and the queue is at the server") {
  const njson r = overload({});
  CHECK(r["concurrency"]["queue_at"] == "server");
  // 160 requests at 80/s against 40/s: the last one waits about two seconds.
  CHECK(r["ttft_ms"]["max"].get<double>() > 1000);
  CHECK(r["service_ttft_ms"]["max"].get<double>() > 1000);
  CHECK(r["service_ttft_ms"]["p50"].get<double>() == doctest::Approx(r["ttft_ms"]["p50"].get<double>()).epsilon(0.1));
}

TEST_CASE("tools: above capacity with a cap only TTFT grows and the queue is at the cap") {
  const njson r = overload({"--max-concurrency", "4"});
  CHECK(r["concurrency"]["queue_at"] == "cap");
  CHECK(r["ttft_ms"]["max"].get<double>() > 1000);
  CHECK(r["slot_wait_ms"]["max"].get<double>() > 1000);
  CHECK(r["service_ttft_ms"]["p90"].get<double>() < 0.5 * r["ttft_ms"]["p50"].get<double>());
  CHECK(r["dispatch_delay_ms"]["p50"].get<double>() < 10);  // the wait for a slot is not the client's delay
}

namespace {
// The client shares one core with two busy loops, and has the smaller part: at nice 5 a third of the weight of each, a seventh of the core.
// 1,000 streams of 40 chunks per second need twice as much, 64 streams a tenth of it.
finished starved(std::size_t streams) {
  cpu_set_t mine;
  REQUIRE(sched_getaffinity(0, sizeof mine, &mine) == 0);
  std::size_t last = CPU_SETSIZE - 1;
  while (!CPU_ISSET(last, &mine)) --last;
  const std::vector<std::string> pin{"taskset", "-c", std::to_string(last)};
  const auto pinned = [&](std::vector<std::string> argv) { return argv.insert(argv.begin(), pin.begin(), pin.end()), argv; };

  scripted::server server({.pace = {.delay_ns = ms(50), .gap_ns = ms(25), .chunks = 120}, .keep_requests = false});
  const folder out;
  const std::string n = std::to_string(streams);
  std::vector<std::string> load = profile(server.url(), out, {"--traffic", "synthetic:input=16,output=120", "--concurrency", n, "--requests", n});
  load.insert(load.begin(), {"nice", "-n", "5"});
  process first(pinned({"sh", "-c", "while :; do :; done"})), second(pinned({"sh", "-c", "while :; do :; done"}));
  finished done = hotpath_test::run(pinned(load));
  first.signal(SIGKILL);
  second.signal(SIGKILL);
  return done;
}
}  // namespace

TEST_CASE("tools: a client without the processor time for its streams says that it was the limit; with few streams it is not") {
  const finished many = starved(1'000);
  const njson r = report(many);
  CHECK(many.code == 5);
  CHECK(r["client"]["limited"] == true);
  CHECK(many.err.find("the load client was the limit") != std::string::npos);
  CHECK(r["requests"]["ok"] == 1'000);  // measured badly, but nothing is lost
  check_books(r);

  const finished few = starved(64);
  CHECK(few.code == 0);
  CHECK(report(few)["client"]["limited"] == false);
}
