// SPDX-License-Identifier: Apache-2.0
// A marker in every slot that may hold a secret; then everything that is written, shown or left behind is searched for it.
#include <sys/stat.h>
#include <nlohmann/json.hpp>
#include "tool.hpp"

using document = nlohmann::json;
using scripted::ms;

namespace {
// Names of what holds the marker.
std::string leaks(const tool& hotpath, const hotpath_test::finished& f, std::string_view marker) {
  std::string out;
  if (has(f.out, marker)) out += "stdout ";
  if (has(f.err, marker)) out += "stderr ";
  for (const auto& e : std::filesystem::recursive_directory_iterator(hotpath.dir.path()))
    if (e.is_regular_file() && e.path().filename() != "key" && has(hotpath_test::read_file(e.path()), marker)) out += e.path().filename().string() + " ";
  for (const char* format : {"csv", "ndjson"}) if (has(hotpath({"export", "run", "--format", format}).out, marker)) out += std::string(format) + " ";
  for (const char* format : {"text", "json"}) if (has(hotpath({"serve-report", "run", "--format", format}).out, marker)) out += std::string(format) + " ";
  return out;
}
std::string with_credentials(const std::string& url, std::string_view user_info, std::string_view query) {
  return "http://" + std::string(user_info) + "@" + url.substr(7) + "/v1" + std::string(query);
}
}  // namespace

TEST_CASE("tools: no secret reaches the run, a report, an export, a message or the process list") {
  constexpr std::string_view marker = "CANARY";
  const tool hotpath;
  scripted::server server({.pace = {.delay_ns = ms(200), .gap_ns = ms(5), .chunks = 8}});
  // A server that repeats what it was sent.
  server.next({scripted::say(scripted::http(400, R"({"error":{"message":"key Bearer CANARY-env of x-team-token CANARY-header is not valid, CANARY-password CANARY-query"}})"))});
  hotpath_test::process p({HOTPATH_TOOL, "serve-profile", "--endpoint", with_credentials(server.url(), "me:CANARY-password", "?api_key=CANARY-query&x=1"), "--output",
                           hotpath.dir.file("run"), "--traffic", "synthetic:input=16,output=8", "--requests", "24", "--api-key-env", "HOTPATH_TEST_KEY",
                           "--header", "X-Team-Token: CANARY-header", "--header=X-Other:CANARY-joined"},
                          {.environment = {{"HOTPATH_TEST_KEY", "CANARY-env"}}, .seconds = 60});
  REQUIRE(p.wait_for_err("loading"));
  const std::string process_list = hotpath_test::read_file("/proc/" + std::to_string(p.pid()) + "/cmdline");
  CHECK(has(process_list, "serve-profile"));
  CHECK(!has(process_list, marker));
  const auto f = p.finish();
  CAPTURE(f.err);
  CHECK(f.code == 5);

  // They did reach the server …
  REQUIRE(!server.truths().empty());
  const std::string head = server.truths().back().head, target = server.truths().back().target;
  CHECK(has(head, "Authorization: Bearer CANARY-env"));
  CHECK(has(head, "X-Team-Token: CANARY-header"));
  CHECK(has(head, "X-Other: CANARY-joined"));
  CHECK(has(target, "api_key=CANARY-query"));
  // … and nothing else.
  CHECK(leaks(hotpath, f, marker) == "");
  const document j = document::parse(hotpath({"serve-report", "run", "--json"}).out);
  CHECK(has(j["run"]["command_line"].dump(), "X-Team-Token:[redacted]"));
  CHECK(has(j["run"]["command_line"].dump(), "--header=X-Other:[redacted]"));
  CHECK(has(j["run"]["command_line"].dump(), "HOTPATH_TEST_KEY"));
  CHECK(has(j["requests"]["first_error"].get<std::string>(), "is not valid"));
}

TEST_CASE("tools: secrets stay out of the messages of a start that fails") {
  const tool hotpath;
  const std::string url = "http://me:CANARY@127.0.0.1:1/?api_key=CANARY";
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{{}, {"--nonsense"}, {"--rate", "x"}, {"--header", "CANARY"}, {"--header", "K: CANARY\nX"},
                                                                                    {"--header", "CANARY no name: CANARY"}}) {
    std::vector<std::string> argv = {"serve-profile", "--endpoint", url, "--output", "run"};
    argv.insert(argv.end(), more.begin(), more.end());
    const auto f = hotpath(argv);
    CAPTURE(f.err);
    CHECK(f.code != 0);
    if (more != std::vector<std::string>{"--header", "CANARY no name: CANARY"}) CHECK(!has(f.err, "CANARY"));
  }
  for (const char* bad : {"me:CANARY@host:port", "http://me:CANARY@h:99999", "ftp://me:CANARY@h"}) CHECK(!has(hotpath({"serve-profile", "--endpoint", bad}).err, "CANARY"));
}

TEST_CASE("tools: a key file is read only if it is a file that no one else may read") {
  const tool hotpath;
  scripted::server server({.pace = quick});
  const std::string key = hotpath.dir.write("key", "CANARY-file\n");
  chmod(key.c_str(), 0644);
  check_refused(hotpath.profile(server, {"--requests", "2", "--api-key-file", "key"}), 3, "others may read it; chmod 600 key");
  chmod(key.c_str(), 0600);
  const auto f = hotpath.profile(server, {"--requests", "2", "--api-key-file", "key"});
  CHECK(f.code == 0);
  CHECK(has(server.truths().back().head, "Authorization: Bearer CANARY-file\r\n"));
  CHECK(leaks(hotpath, f, "CANARY") == "");

  chmod(hotpath.dir.write("empty", " \n").c_str(), 0600);
  check_refused(hotpath.profile(server, {"--api-key-file", "empty"}), 3, "is empty");
  chmod(hotpath.dir.write("long", std::string(9000, 'k')).c_str(), 0600);
  check_refused(hotpath.profile(server, {"--api-key-file", "long"}), 3, "8 KiB");
  chmod(hotpath.dir.write("two", "a\nb").c_str(), 0600);
  check_refused(hotpath.profile(server, {"--api-key-file", "two"}), 2, "no HTTP header may have");
  check_refused(hotpath.profile(server, {"--api-key-file", "none"}), 3, "No such file");
  check_refused(hotpath.profile(server, {"--api-key-file", "."}), 3, "is not a readable file");
  CHECK(mkfifo(hotpath.dir.file("fifo").c_str(), 0600) == 0);
  check_refused(hotpath.profile(server, {"--api-key-file", "fifo"}), 3, "is not a readable file");
}
