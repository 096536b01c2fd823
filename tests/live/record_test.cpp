// SPDX-License-Identifier: Apache-2.0
// run::record against the scripted server: one call from an endpoint and a workload to a file.
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <hotpath/run.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include "support/scripted_server.hpp"

using namespace hotpath;
using scripted::ms;
namespace fs = std::filesystem;

namespace {

struct folder {
  folder() {
    std::string name = (fs::temp_directory_path() / "hotpath-record-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

run::record_options options(const std::string& url) {
  run::record_options o;
  o.client.url = url;
  o.traffic = "synthetic:input=16,output=4,seed=3";
  o.plan = replay::closed({.streams = 2, .requests = 6});
  return o;
}

constexpr scripted::pace quick{.delay_ns = ms(2), .gap_ns = ms(1), .chunks = 4};

}  // namespace

TEST_CASE("run: a recorded run holds every request, the model that the server named, and its schedule") {
  scripted::server server({.pace = quick, .model = "tiny"});
  const folder out;
  auto done = run::record<run::store_sqlite>(out.file("a.db"), options(server.url()));
  REQUIRE_MESSAGE(done, done.error().message());
  CHECK(done->info.state == model::run_state::complete);
  CHECK(done->info.model == "tiny");
  CHECK(done->moved_aside.empty());
  auto stored = run::stored_run::open(out.file("a.db"));
  REQUIRE(stored);
  CHECK_FALSE(stored->partial());
  CHECK(stored->info().model == "tiny");
  CHECK(stored->plan().streams == 2);
  std::uint64_t next = 0;
  REQUIRE(stored->for_each_request([&](const model::request& r) {
    CHECK(r.index == next++);
    CHECK(r.status == model::request_status::ok);
    CHECK(r.chunks.count() == 4);
    CHECK(server.find(r.id).has_value());
    CHECK(r.prompt_text.empty());
    CHECK(r.completion_text.empty());
  }));
  CHECK(next == 6);
  std::uint64_t intervals = 0;
  REQUIRE(stored->for_each_client_interval([&](const model::client_interval&) { ++intervals; }));
  CHECK(intervals >= 1);
}

TEST_CASE("run: an earlier run of the same name is moved aside, and one that cannot start leaves it where it is") {
  scripted::server server({.pace = quick});
  const folder out;
  const std::string path = out.file("a.db");
  REQUIRE(run::record<run::store_sqlite>(path, options(server.url())));
  const std::string first = bytes_of(path);

  auto nothing = options(server.url());
  nothing.traffic = out.file("empty.jsonl");
  std::ofstream(nothing.traffic) << "\n# only a comment\n";
  const auto empty = run::record<run::store_sqlite>(path, nothing);
  REQUIRE_FALSE(empty);
  CHECK(empty.error().code == errc::empty);
  auto away = options("http://127.0.0.1:1");
  CHECK(run::record<run::store_sqlite>(path, away).error().code == errc::unreachable);
  CHECK(bytes_of(path) == first);

  const auto again = run::record<run::store_sqlite>(path, options(server.url()));
  REQUIRE(again);
  CHECK(again->moved_aside == out.file("a.1.db"));
  CHECK(bytes_of(again->moved_aside) == first);
}

TEST_CASE("run: a canary in every secret slot reaches the server and neither file nor manifest; prompts neither, unless asked") {
  scripted::server server({.pace = quick});
  const folder out;
  const std::string traffic = out.file("p.jsonl");
  std::ofstream(traffic) << R"({"prompt":"the CANARYPROMPT of a user","max_tokens":4})" << "\n";
  for (const bool keep : {false, true}) {
    auto o = options("http://user:CANARYPASSWORD@127.0.0.1:" + std::to_string(server.port()) + "?api_key=CANARYQUERY");
    o.client.headers = {{"X-Custom-Token", "CANARYHEADER"}, {"api-key", "CANARYKEY"}};
    o.client.keep_text = keep;
    o.traffic = traffic;
    const std::string path = out.file(keep ? "with.db" : "without.db");
    const auto done = run::record<run::store_sqlite>(path, o);
    REQUIRE_MESSAGE(done, done.error().message());
    const std::string all = bytes_of(path);
    for (const char* secret : {"CANARYPASSWORD", "CANARYQUERY", "CANARYHEADER", "CANARYKEY"}) {
      CAPTURE(secret);
      CHECK(all.find(secret) == std::string::npos);
    }
    CHECK((all.find("CANARYPROMPT") != std::string::npos) == keep);
  }
  bool arrived = false;
  for (const auto& t : server.truths())
    arrived = arrived || (t.head.find("CANARYHEADER") != std::string::npos && t.head.find("CANARYKEY") != std::string::npos && t.target.find("CANARYQUERY") != std::string::npos);
  CHECK(arrived);
}

TEST_CASE("run: F-NET-16 a server that refuses us with 401 stops the run, and the file says why") {
  scripted::server server({.pace = quick, .fault = "status_401"});
  const folder out;
  const auto done = run::record<run::store_sqlite>(out.file("a.db"), options(server.url()));
  REQUIRE(done);
  CHECK(done->refused);
  CHECK(done->info.state == model::run_state::stopped);
  CHECK(run::stored_run::open(out.file("a.db"))->info().stop_reason.find("401") != std::string::npos);
}

TEST_CASE("run: a second recorder of the same file is refused before it sends anything") {
  scripted::server server({.pace = {.delay_ns = ms(300), .gap_ns = ms(1), .chunks = 4}});
  const folder out;
  const std::string path = out.file("a.db");
  auto first = options(server.url());
  bool tried = false;
  first.on_start = [&](const model::run_info&) {
    const auto before = server.now().requests;
    const auto second = run::record<run::store_sqlite>(path, options(server.url()));
    REQUIRE_FALSE(second);
    CHECK(second.error().message().find(std::to_string(getpid())) != std::string::npos);
    CHECK(server.now().requests == before);
    tried = true;
  };
  REQUIRE(run::record<run::store_sqlite>(path, first));
  CHECK(tried);
}
