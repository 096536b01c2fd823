// SPDX-License-Identifier: Apache-2.0
// hotpath doctor, serve-report --format md, and the page that stands on a terminal while a load goes on.
#include <signal.h>
#include <nlohmann/json.hpp>
#include <support/data.hpp>
#include "on_terminal.hpp"
#include "tool.hpp"

using document = nlohmann::json;
using scripted::ms;

namespace {

const document* row(const document& j, std::string_view name) {
  for (const document& r : j["rows"])
    if (r["name"] == name) return &r;
  return nullptr;
}

}  // namespace

TEST_CASE("tools: doctor looks at the machine, and with --endpoint at a server, without making it work") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const auto alone = hotpath({"doctor", "--json"});
  CHECK((alone.code == 0 || alone.code == 5));
  CHECK(alone.err == "");
  const document m = document::parse(alone.out);
  CHECK(m["endpoint"].is_null());
  CHECK(m["limited"] == (alone.code == 5));
  CHECK(row(m, "receive stamps") != nullptr);
  CHECK(row(m, "reachable") == nullptr);
  CHECK((*row(m, "SQLite"))["state"] == "PASS");

  const auto f = hotpath({"doctor", "--endpoint", server.url(), "--json"});
  CAPTURE(f.err);
  const std::string root = hotpath_test::source_dir();
  CHECK(hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/doctor-1.schema.json", hotpath.dir.write("d.json", f.out), "--closed"}).err == "");
  const document j = document::parse(f.out);
  CHECK((*row(j, "reachable"))["state"] == "PASS");
  CHECK((*row(j, "streaming"))["state"] == "unknown");
  CHECK((*row(j, "metrics"))["state"] == "PASS");
  CHECK(server.now().requests == 0);
  CHECK(f.code == (j["limited"] == true ? 5 : 0));
  CHECK(has(hotpath({"doctor", "--endpoint", server.url()}).out, "\nEndpoint " + server.url() + " "));

  const document sent = document::parse(hotpath({"doctor", "--endpoint", server.url(), "--send-request", "--json"}).out);
  CHECK(server.now().requests == 1);
  CHECK((*row(sent, "streaming"))["state"] == "PASS");
  CHECK(has((*row(sent, "streaming"))["value"].get<std::string>(), "8 events"));
  CHECK((*row(sent, "usage"))["state"] == "PASS");
}

TEST_CASE("tools: doctor ends with 5 when something fails or limits, and says the next step") {
  const tool hotpath;
  const auto gone = hotpath({"doctor", "--endpoint", "unix:nobody.sock"});
  CHECK(gone.code == 5);
  CHECK(has(gone.out, "FAIL     reachable"));
  CHECK(has(gone.out, "\u2192 is the server up"));
  scripted::server server({.pace = quick});
  for (const char* page : {"/metrics", "/prometheus/metrics"}) server.on(page, {scripted::say(scripted::http(404, ""))});
  CHECK(hotpath({"doctor", "--endpoint", server.url()}).code == 5);
  server.next({scripted::say(scripted::http(500, "{\"error\":{\"message\":\"out of memory\"}}"))});
  CHECK(has(hotpath({"doctor", "--endpoint", server.url(), "--send-request"}).out, "FAIL     streaming"));
  check_refused(hotpath({"doctor", "--send-request"}), 2, "add --endpoint");
  check_refused(hotpath({"doctor", "--endpoint", "ftp://x"}), 2, "ftp");
  check_refused(hotpath({"doctor", "--format", "md"}), 2, "--format");
  check_refused(hotpath({"doctor", "--endpoint", server.url(), "--api-key-env", "HOTPATH_NO_SUCH_VARIABLE"}), 2, "HOTPATH_NO_SUCH_VARIABLE");
}

TEST_CASE("tools: a report as Markdown, of a run and after it") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const auto run = hotpath.profile(server, {"--requests", "30", "--concurrency", "4", "--format", "md"});
  CHECK(run.code == 0);
  CHECK(run.out.starts_with("## OK: TTFT p50 "));
  CHECK(has(run.out, "\n### Latency of ok requests"));
  CHECK(hotpath({"serve-report", "run", "--format", "md"}).out == run.out);
}

TEST_CASE("tools: on a terminal a page stands while the load goes on, and is gone when the report comes") {
  if (!hotpath_test::pty_or_skip()) return;
  const tool hotpath;
  scripted::server server({.pace = quick});
  const std::vector<std::string> argv = {HOTPATH_TOOL, "serve-profile", "--endpoint", server.url(), "--output", "run", "--traffic", "synthetic:input=16,output=8", "--concurrency", "4", "--duration", "1.2"};
  const on_terminal t(argv, hotpath.dir.path(), 100, {"TERM=xterm", "LANG=C.UTF-8"});
  CHECK((t.code == 0 || t.code == 5));
  const std::size_t page = t.shown.find("\x1b[?25l"), end = t.shown.rfind("\x1b[J\x1b[?25h");
  REQUIRE(page != std::string::npos);
  REQUIRE(end != std::string::npos);
  CHECK(t.shown.find("Latency") > end);
  const std::string pages = t.shown.substr(page, end - page);
  for (const char* part : {"scripted on vllm, http://127.0.0.1", "\x1b[32msending", "in flight", "TTFT p50", "keeps up", "no errors", "\xe2\x94\x81", "\x1b[36m"}) {
    CAPTURE(part);
    CHECK(has(pages, part));
  }
  CHECK(!has(pages, "hotpath: "));

  const on_terminal plain(argv, hotpath.dir.path(), 100, {"TERM=xterm", "LANG=C", "NO_COLOR=1"});
  CHECK(has(plain.shown, "\x1b[?25l"));
  for (const char* part : {"\x1b[32m", "\x1b[36m", "\x1b[0m", "\xe2\x94\x81"}) CHECK(!has(plain.shown, part));
  CHECK(has(plain.shown, "####"));
  const on_terminal dumb(argv, hotpath.dir.path(), 100, {"TERM=dumb", "LANG=C"});
  CHECK(!has(dumb.shown, "\x1b"));
}

TEST_CASE("tools: a signal on a terminal leaves the words above the page, the report, and the cursor") {
  if (!hotpath_test::pty_or_skip()) return;
  const tool hotpath;
  scripted::server server({.pace = {.delay_ns = ms(10), .gap_ns = ms(5), .chunks = 20}});
  const on_terminal t({HOTPATH_TOOL, "serve-profile", "--endpoint", server.url(), "--output", "run", "--concurrency", "2", "--duration", "60"}, hotpath.dir.path(), 80,
                      {"TERM=xterm", "LANG=C.UTF-8"}, "in flight", SIGINT);
  CHECK(t.code == 130);
  CHECK(has(t.shown, "hotpath: draining "));
  CHECK(t.shown.rfind("\x1b[?25h") > t.shown.rfind("\x1b[?25l"));
  CHECK(has(t.shown, "INTERRUPTED"));
}
