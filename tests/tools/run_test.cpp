// SPDX-License-Identifier: Apache-2.0
// serve-profile, serve-report and export against the scripted server.
#include <fcntl.h>
#include <sys/stat.h>
#include <hotpath/run/store_sqlite.hpp>
#include <nlohmann/json.hpp>
#include <support/data.hpp>
#include "../report/nulls.hpp"
#include "tool.hpp"

using document = nlohmann::json;
using hotpath_test::finished;
using scripted::ms;

namespace {

std::string schema_errors(const tool& hotpath, const std::string& text) {
  const std::string root = hotpath_test::source_dir();
  return hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/serve_report-1.schema.json",
                            hotpath.dir.write("report.json", text), "--closed"}).err;
}

std::size_t lines(const std::string& text) { return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')); }

mode_t mode_of(const std::string& path) {
  struct stat s {};
  REQUIRE(stat(path.c_str(), &s) == 0);
  return s.st_mode & 0777;
}

scripted::script answer_500() { return {scripted::say(scripted::http(500, "{\"error\":{\"message\":\"out of memory\"}}"))}; }

}  // namespace

TEST_CASE("tools: a run prints the report that serve-report prints, and its JSON keeps the schema") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const auto text = hotpath.profile(server, {"--requests", "60", "--warmup", "4", "--concurrency", "8", "--slo", "ttft=500ms,tpot=50ms", "--seed", "7"});
  CAPTURE(text.err);
  CHECK(text.code == 0);
  CHECK(text.out.starts_with(" OK   TTFT p50 "));
  CHECK(has(text.err, "hotpath: loading " + server.url() + " (scripted"));
  CHECK(hotpath({"serve-report", "run"}).out == text.out);
  CHECK(hotpath({"serve-report", "run/serve_profile.db"}).out == text.out);

  const auto json = hotpath({"serve-report", "run", "--json"});
  CHECK(json.code == 0);
  CHECK(json.out == hotpath({"serve-report", "run", "--format", "json"}).out);
  CHECK(schema_errors(hotpath, json.out) == "");
  const document j = document::parse(json.out);
  CHECK(null_errors(j) == "");
  CHECK(j["requests"]["sent"] == 60);
  CHECK(j["requests"]["ok"] == 60);
  CHECK(j["ttft_ms"]["n"] == 56);
  CHECK(j["tokens"]["prompt"] == 56 * 16);   // token-exact prompts: the scripted server says it is vLLM
  CHECK(j["tokens"]["completion"] == 56 * 8);
  CHECK(j["run"]["seed"] == 7);
  CHECK(j["run"]["command_line"][0] == "hotpath");
  CHECK(j["goodput"]["limits"] == document{{"ttft_ms", 500.0}, {"tpot_ms", 50.0}});
  CHECK(mode_of(hotpath.dir.file("run")) == 0700);
  CHECK(mode_of(hotpath.dir.file("run/serve_profile.db")) == 0600);
}

TEST_CASE("tools: a new run moves the earlier one aside and says so") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  CHECK(hotpath.profile(server, {"--requests", "3"}).code == 0);
  const auto second = hotpath({"serve-profile", "--endpoint", server.url(), "--output", "run", "--requests", "5", "--json"});
  CHECK(has(second.err, "the earlier run in run is now"));
  CHECK(document::parse(second.out)["requests"]["sent"] == 5);
  CHECK(document::parse(hotpath({"serve-report", "run/serve_profile.1.db", "--json"}).out)["requests"]["sent"] == 3);
}

TEST_CASE("tools: exit 5 and the classes when some requests fail, in both formats") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  server.next(answer_500());
  server.next({scripted::say(scripted::sse_head()), scripted::tokens(3), scripted::hang_up()});
  const auto f = hotpath({"serve-profile", "--endpoint", server.url(), "--output", "run", "--requests", "30", "--concurrency", "4", "--json"});
  CHECK(f.code == 5);
  const document j = document::parse(f.out);
  CHECK(j["requests"]["ok"] == 28);
  CHECK(j["requests"]["errors"] == document{{"http_5xx", 1}, {"truncated", 1}});
  CHECK(has(j["requests"]["first_error"].get<std::string>(), "out of memory"));
  CHECK(j["verdict"]["word"] == "partial");
  CHECK(has(f.err, "2 of 30 requests failed (1 truncated, 1 http_5xx)"));
  CHECK(schema_errors(hotpath, f.out) == "");
  const auto report = hotpath({"serve-report", "run"});
  CHECK(report.code == 5);
  CHECK(report.out.starts_with(" PARTIAL "));
}

TEST_CASE("tools: exit 4 when nobody answers, the server refuses us, or no request succeeds") {
  const tool hotpath;
  check_refused(hotpath({"serve-profile", "--endpoint", "unix:nobody.sock", "--output", "run"}), 4, "nobody.sock");
  check_refused(hotpath({"serve-profile", "--endpoint", "http://no-such-host.invalid", "--output", "run"}), 4, "no-such-host.invalid");
  CHECK(!std::filesystem::exists(hotpath.dir.file("run")));
  {
    scripted::server server({.pace = quick, .fault = "status_401"});
    const auto f = hotpath.profile(server, {"--requests", "30"});
    CHECK(f.code == 4);
    CHECK(server.now().requests < 30);  // the first refusal ends it
  }
  {
    scripted::server server({.pace = quick});
    for (int i = 0; i < 5; ++i) server.next(answer_500());
    const auto f = hotpath.profile(server, {"--requests", "5", "--max-errors", "100%"});
    CHECK(f.code == 4);
    CHECK(f.out.starts_with(" FAILED "));
  }
}

TEST_CASE("tools: exit 3 when there is nothing to send or nowhere to write, before any request") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  hotpath.dir.write("empty.jsonl", "");
  hotpath.dir.write("blank.jsonl", "\n\n");
  hotpath.dir.write("bad.jsonl", "{\"prompt\":\"a\",\"max_tokens\":4}\n{\"prompt\":\"b\",\"max_tokens\":-5}\n");
  hotpath.dir.write("file", "x");
  const auto with = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"serve-profile", "--endpoint", server.url(), "--requests", "3"});
    return hotpath(flags);
  };
  CHECK(with({"--traffic", "empty.jsonl", "--output", "run"}).code == 3);
  CHECK(with({"--traffic", "blank.jsonl", "--output", "run"}).code == 3);
  CHECK(with({"--traffic", "none.jsonl", "--output", "run"}).code == 3);
  CHECK(with({"--traffic", "synthetic:input=x", "--output", "run"}).code == 2);
  const auto strict = with({"--traffic", "bad.jsonl", "--strict", "--output", "run"});
  check_refused(strict, 3, "bad.jsonl:2:");
  CHECK(with({"--traffic", "bad.jsonl", "--output", "file/run"}).code == 3);
  CHECK(server.now().requests == 0);
  const auto lenient = with({"--traffic", "bad.jsonl", "--output", "run", "--json"});
  CHECK(lenient.code == 5);            // a skipped line is a loss
  CHECK(document::parse(lenient.out)["run"]["workload_loss"]["malformed"] == 1);
}

TEST_CASE("tools: the gate passes, misses, or cannot tell") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const std::vector<std::string> load = {"--requests", "80", "--concurrency", "8", "--gate=90%"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), load.begin(), load.end());
    return hotpath.profile(server, more);
  };
  CHECK(with({"--slo", "ttft=10s"}).code == 0);
  const auto missed = with({"--slo", "ttft=1ms"});
  CHECK(missed.code == 1);
  CHECK(missed.out.starts_with(" GATE MISSED "));
  CHECK(has(missed.out, "0 % [0, "));
  // Later, with other limits and another share, from the same file.
  CHECK(hotpath({"serve-report", "run"}).code == 0);
  CHECK(hotpath({"serve-report", "run", "--gate=0.5", "--slo", "ttft=10s"}).code == 0);
  CHECK(hotpath({"serve-report", "run", "--gate", "50%"}).code == 1);
  const document j = document::parse(hotpath({"serve-report", "run", "--json"}).out);
  const std::string middle = std::to_string(j["ttft_ms"]["p50"].get<double>()) + "ms";
  const auto undecided = hotpath({"serve-report", "run", "--gate", "0.5", "--slo", "ttft=" + middle});
  CHECK(undecided.code == 5);
  CHECK(has(undecided.out, "undecided"));
}

TEST_CASE("tools: export writes one row per request, to stdout or a file that appears whole") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  REQUIRE(hotpath.profile(server, {"--requests", "12"}).code == 0);
  const auto csv = hotpath({"export", "run"});
  CHECK(csv.code == 0);
  CHECK(csv.err == "");
  CHECK(lines(csv.out) == 13);
  CHECK(csv.out.starts_with("index,id,"));
  CHECK(has(csv.out, ",ttft_ms,"));
  const auto rows = hotpath({"export", "run", "--format", "ndjson", "--chunks"});
  CHECK(lines(rows.out) == 12);
  const document first = document::parse(rows.out.substr(0, rows.out.find('\n')));
  CHECK(first["status"] == "ok");
  CHECK(first["chunks"].size() == 8);
  CHECK(hotpath({"export", "run", "--json"}).out == hotpath({"export", "run", "--format", "ndjson"}).out);

  CHECK(hotpath({"export", "run", "--output", "rows.csv"}).out == "");
  CHECK(hotpath_test::read_file(hotpath.dir.file("rows.csv")) == csv.out);
  CHECK(mode_of(hotpath.dir.file("rows.csv")) == 0600);
  CHECK(hotpath({"export", "run", "--output", "rows.csv"}).code == 0);
  std::filesystem::create_symlink("rows.csv", hotpath.dir.file("link.csv"));
  check_refused(hotpath({"export", "run", "--output", "link.csv"}), 3, "link.csv: cannot write: Too many levels of symbolic links");
  check_refused(hotpath({"export", "run", "--output", "run"}), 3, "run: cannot write: Is a directory");
  check_refused(hotpath({"export", "run", "--output", "nowhere/rows.csv"}), 3, "No such file");
  check_refused(hotpath({"export", "run", "--text"}), 2, "recorded without --store-text");
  check_refused(hotpath({"export", "rows.csv"}), 3, "rows.csv");
  check_refused(hotpath({"export", "none.db"}), 3, "none.db");
  std::size_t files = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(hotpath.dir.path())) ++files;
  CHECK(files == 3);  // run, rows.csv, link.csv: no temporary is left
}

TEST_CASE("tools: prompts and answers are stored only with --store-text, and exported only with --text") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  hotpath.dir.write("load.jsonl", "{\"prompt\":\"PROMPT-CANARY\",\"max_tokens\":4}\n");
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"serve-profile", "--endpoint", server.url(), "--traffic", "load.jsonl", "--requests", "2", "--output", "run"});
    return hotpath(more);
  };
  CHECK(with({}).code == 0);
  CHECK(!has(hotpath_test::read_file(hotpath.dir.file("run/serve_profile.db")), "PROMPT-CANARY"));
  CHECK(with({"--store-text"}).code == 0);
  CHECK(has(hotpath_test::read_file(hotpath.dir.file("run/serve_profile.db")), "PROMPT-CANARY"));
  CHECK(!has(hotpath({"export", "run", "--format", "ndjson"}).out, "PROMPT-CANARY"));
  CHECK(has(hotpath({"export", "run", "--format", "ndjson", "--text"}).out, "PROMPT-CANARY"));
  CHECK(!has(hotpath({"serve-report", "run", "--json"}).out, "PROMPT-CANARY"));
}

TEST_CASE("tools: --duration ends sending before --requests is reached, what is in flight counts") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const auto f = hotpath.profile(server, {"--duration", "1", "--requests", "100000", "--json"});
  CHECK(f.code == 0);
  const document j = document::parse(f.out);
  CHECK(j["requests"]["sent"].get<int>() < 100000);
  CHECK(j["requests"]["sent"] == j["requests"]["ok"]);
  CHECK(j["run"]["state"] == "complete");
  CHECK(j["run"]["workload_passes"] == 1);
  CHECK(!has(f.err, "default --duration"));  // it was given
}

TEST_CASE("tools: F-OUT-04 what a server calls itself and answers cannot move the cursor") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const std::string evil = R"(x\u001b]0;owned\u0007\u001b[2J\u009b31m\u202egpj)";
  server.on("/v1/models", {scripted::say(scripted::http(200, R"({"object":"list","data":[{"id":")" + evil + R"(","object":"model","owned_by":")" + evil + R"("}]})"))});
  for (int i = 0; i < 4; ++i) server.next({scripted::say(scripted::http(400, R"({"error":{"message":")" + evil + R"("}})"))});
  const auto f = hotpath.profile(server, {"--requests", "40", "--concurrency", "4"});
  CHECK(f.code == 5);
  for (const std::string& text : {f.out, f.err, hotpath({"serve-report", "run"}).out, hotpath({"export", "run", "--formula-guard"}, {}).err}) {
    CHECK(!has(text, "\x1b"));
    CHECK(!has(text, "\x07"));
    CHECK(!has(text, "\u202e"));
    CHECK(!has(text, "\xc2\x9b"));
  }
  CHECK(has(f.out, "\\x1b]0;owned"));
  CHECK(document::parse(hotpath({"serve-report", "run", "--json"}).out)["run"]["model"] == document::parse("\"" + evil + "\""));
}

TEST_CASE("tools: F-PRC-08 a reader that goes away or a closed stdout ends quietly") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  REQUIRE(hotpath.profile(server, {"--requests", "40", "--concurrency", "4"}).code == 0);
  {
    // Far more than a pipe holds; the reader takes a little and leaves.
    hotpath_test::process p({HOTPATH_TOOL, "traffic", "synthetic:input=2000,output=8,requests=100000", "--write", "-"}, {.seconds = 30});
    REQUIRE(p.wait_for_out("max_tokens"));
    p.close_out();
    const finished f = p.finish();
    CHECK(f.code != 128 + SIGPIPE);
    CHECK(f.code == 0);
    CHECK(!has(f.err, "cannot write"));
  }
  {
    hotpath_test::process p({HOTPATH_TOOL, "export", hotpath.dir.file("run"), "--format", "ndjson", "--chunks"}, {.seconds = 30});
    p.close_out();
    const finished f = p.finish();
    CHECK(f.code == 0);
    CHECK(f.err == "");
  }
  {
    hotpath_test::process p({HOTPATH_TOOL, "serve-report", hotpath.dir.file("run")}, {.seconds = 30});
    p.close_out();
    const finished f = p.finish();
    CHECK(f.code == 0);
    CHECK(f.err == "");
  }
  {
    // No stdout and no stderr at all: the next file that is opened must not become descriptor 1 or 2.
    CHECK(hotpath({"traffic", "synthetic:requests=3", "--write", "out.jsonl"}, {.closed = {1, 2}}).code == 0);
    CHECK(lines(hotpath_test::read_file(hotpath.dir.file("out.jsonl"))) == 3);
    const std::string before = hotpath_test::read_file(hotpath.dir.file("run/serve_profile.db"));
    const finished f = hotpath_test::run({HOTPATH_TOOL, "serve-report", hotpath.dir.file("run")}, {.closed = {1, 2}});
    CHECK(f.code == 0);
    CHECK(hotpath_test::read_file(hotpath.dir.file("run/serve_profile.db")) == before);
    const finished run = hotpath.profile(server, {"--requests", "5"}, {.closed = {0, 1, 2}});
    CHECK((run.code == 0 || run.code == 5));  // 5: a machine too busy for the client; without stderr profile() cannot see it
    CHECK(document::parse(hotpath({"serve-report", "run", "--json"}).out)["requests"]["ok"] == 5);
  }
}

TEST_CASE("tools: a disk that is full under stdout is said, not ignored") {
  if (access("/dev/full", W_OK) != 0) return hotpath_test::skip("no /dev/full on this machine");
  const tool hotpath;
  scripted::server server({.pace = quick});
  REQUIRE(hotpath.profile(server, {"--requests", "5"}).code == 0);
  const finished f = hotpath({"export", "run", "--output", "/dev/full"});
  CHECK(f.code == 5);
  CHECK(has(f.err, "/dev/full: cannot write: No space left on device"));
}

TEST_CASE("tools: progress is plain lines where stderr is no terminal, with rate, in flight, latencies and errors") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const auto f = hotpath.profile(server, {"--duration", "5.8", "--concurrency", "2"});
  CHECK(f.code == 0);
  CHECK(!has(f.err, "\r"));
  CHECK(!has(f.err, "\x1b"));
  const std::size_t at = f.err.find("/6 s  ");
  REQUIRE(at != std::string::npos);
  const std::string line = f.err.substr(at, f.err.find('\n', at) - at);
  for (const char* part : {" sent  2 in flight  0 errors  ", " req/s  ", " tok/s  TTFT ", " ms  TPOT "}) {
    CAPTURE(line);
    CHECK(has(line, part));
  }
}
