// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <algorithm>
#include <sstream>
#include <hotpath/version.hpp>
#include <nlohmann/json.hpp>
#include "tool.hpp"

using document = nlohmann::json;

namespace {

// A port of this machine on which nobody listens.
std::string closed_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  REQUIRE(bind(fd, reinterpret_cast<sockaddr*>(&a), size) == 0);
  REQUIRE(getsockname(fd, reinterpret_cast<sockaddr*>(&a), &size) == 0);
  close(fd);
  return std::to_string(ntohs(a.sin_port));
}

}  // namespace

TEST_CASE("tools: one version, from version.hpp") {
  const tool hotpath;
  for (const char* how : {"version", "--version"}) {
    const auto v = hotpath({how});
    CHECK(v.code == 0);
    CHECK(v.out == "hotpath " HOTPATH_VERSION_STRING "\n");
    CHECK(v.err == "");
  }
  const auto j = hotpath({"version", "--json"});
  CHECK(j.code == 0);
  CHECK(document::parse(j.out)["version"] == HOTPATH_VERSION_STRING);
  CHECK(document::parse(hotpath({"version", "--format", "json"}).out) == document::parse(j.out));
}

TEST_CASE("tools: help is data on stdout, fits 80 columns, and names every flag with its default") {
  const tool hotpath;
  for (const char* command : {"", "serve-profile", "serve-report", "traffic", "export", "metrics", "doctor", "stats", "trace info", "trace slice", "trace merge",
                              "trace repair", "trace convert", "triage", "triage-bundle", "diff", "version"}) {
    std::vector<std::string> argv;
    std::istringstream words(command);
    for (std::string word; words >> word;) argv.push_back(word);
    argv.push_back("--help");
    const auto h = hotpath(argv);
    CAPTURE(command);
    CHECK(h.code == 0);
    CHECK(h.err == "");
    CHECK(has(h.out, "usage: hotpath"));
    CHECK(!has(h.out, "\n\n\n"));
    std::size_t widest = 0;
    for (std::size_t i = 0, end; (end = h.out.find('\n', i)) != std::string::npos; i = end + 1) widest = std::max(widest, end - i);
    CHECK(widest <= 80);
    if (*command != '\0') CHECK((has(h.out, "\nexample") || command == std::string("version")));
  }
  const std::string help = hotpath({"serve-profile", "--help"}).out;
  for (const char* text : {"--endpoint URL", "http://localhost:8000", "--traffic", "--api NAME", "--model NAME", "--concurrency N", "--rate R", "--max-concurrency N",
                           "--arrival", "--requests N", "--duration S", "(default: 60)", "--warmup N", "--slo", "--gate [SHARE]", "--ignore-eos", "--reuse-prompts", "--prompt-ids",
                           "--extra-body JSON", "--header K:V", "--api-key-env VAR", "--api-key-file F", "--seed N", "--timeout S", "(default: 3600)", "--connect-timeout",
                           "--first-byte-timeout", "(default: 600)", "--idle-timeout", "--max-errors N|P%", "--store-text", "--strict", "--threads N", "--output DIR",
                           ".hotpath/serve_run", "--json"}) {
    CAPTURE(text);
    CHECK(has(help, text));
  }
}

TEST_CASE("tools: an unknown flag, command or word is an error that names it") {
  const tool hotpath;
  check_refused(hotpath({"serve-profile", "--nonsense"}), 2, "unknown flag --nonsense; see hotpath serve-profile --help");
  check_refused(hotpath({"serve-profile", "--concurency", "4"}), 2, "unknown flag --concurency, did you mean --concurrency?");
  check_refused(hotpath({"serve-profile", "stray"}), 2, "unexpected word stray");
  check_refused(hotpath({"serve-report", "a.db", "--frmat=json"}), 2, "unknown flag --frmat, did you mean --format?");
  check_refused(hotpath({"serve-reprot", "a.db"}), 2, "unknown command serve-reprot, did you mean serve-report?");
  check_refused(hotpath({"--nonsense"}), 2, "unknown flag --nonsense");
  check_refused(hotpath({"serve-report"}), 2, "RUN");
  check_refused(hotpath({"serve-profile", "--rate"}), 2, "--rate");
  check_refused(hotpath({"serve-profile", "--rate", "1", "--rate", "2"}), 2, "--rate");
  const auto nothing = hotpath({});
  CHECK(nothing.code == 2);
  CHECK(nothing.out == "");
  CHECK(has(nothing.err, "a command is missing"));
  CHECK(has(nothing.err, "serve-profile"));
}

TEST_CASE("tools: a bad number is an error that names the flag and the value") {
  const tool hotpath;
  const std::vector<std::pair<std::string, std::vector<std::string>>> bad = {
      {"--concurrency", {"x", "0", "-1", "1.5", "", " 4", "99999999999999999999", "0x10"}},
      {"--rate", {"x", "nan", "inf", "-1", "1,5", "1e999"}},
      {"--requests", {"0", "-3", "1e3", "ten"}},
      {"--duration", {"-1", "x", "5 parsecs", "inf", "1e30"}},
      {"--warmup", {"-1", "x"}},
      {"--threads", {"0", "1025", "x"}},
      {"--seed", {"-1", "18446744073709551616"}},
      {"--timeout", {"0", "-1", "x"}},
      {"--connect-timeout", {"0", "soon"}},
      {"--first-byte-timeout", {"x"}},
      {"--idle-timeout", {"0"}},
      {"--max-errors", {"x", "-1", "101%", "%", "5 %"}}};
  for (const auto& [flag, values] : bad)
    for (const std::string& value : values) {
      CAPTURE(value);
      const auto f = hotpath({"serve-profile", flag + "=" + value, "--output", "out"});
      if (value.empty()) {
        CHECK(f.code == 2);
        continue;
      }
      check_refused(f, 2, flag + ": ");
      if (value != "0" && value != "-1") CHECK(has(f.err, "\"" + value + "\""));
    }
  check_refused(hotpath({"traffic", "synthetic:requests=5", "--requests", "x"}), 2, "--requests: \"x\"");
  CHECK(!std::filesystem::exists(hotpath.dir.file("out")));
}

TEST_CASE("tools: flags that contradict each other are errors that say what to use") {
  const tool hotpath;
  const auto refused = [&](std::vector<std::string> flags, std::string_view words) {
    flags.insert(flags.begin(), "serve-profile");
    check_refused(hotpath(flags), 2, words);
  };
  refused({"--concurrency", "4", "--rate", "2"}, "for an open loop with a cap use --rate with --max-concurrency");
  refused({"--max-concurrency", "4"}, "add --rate, or use --concurrency");
  refused({"--rate", "0"}, "--rate: ");
  refused({"--arrival", "uniform", "--rate", "1"}, "--arrival: \"uniform\"");
  refused({"--api", "embeddings"}, "--api: \"embeddings\"");
  refused({"--prompt-ids", "maybe"}, "--prompt-ids");
  refused({"--prompt-ids", "on", "--api", "chat"}, "chat messages are text");
  refused({"--duration", "0"}, "--requests must say when to end");
  refused({"--gate"}, "--gate needs limits to hold: add --slo");
  refused({"--gate", "1.5", "--slo", "ttft=1s"}, "--gate: \"1.5\"");
  refused({"--gate", "0", "--slo", "ttft=1s"}, "--gate: \"0\"");
  refused({"--slo", "ttft"}, "--slo: \"ttft\" is not a limit");
  refused({"--slo", "ttft=500"}, "has no unit");
  refused({"--slo", "ttft=1s,ttft=2s"}, "ttft is given twice");
  refused({"--slo", "p99=1s"}, "--slo: \"p99=1s\" is not a limit");
  refused({"--slo", "tpot=0ms"}, "tpot must be above 0");
  refused({"--slo", ""}, "--slo");
  refused({"--json", "--format", "text"}, "--json and --format text contradict each other");
  refused({"--format", "yaml"}, "--format: \"yaml\"");
  refused({"--endpoint", "ftp://x"}, "--endpoint ftp://x");
  refused({"--endpoint", "http://h:99999"}, "--endpoint");
  refused({"--extra-body", "[1]"}, "--extra-body");
  refused({"--extra-body", "{\"a\":"}, "--extra-body");
  refused({"--header", "no colon"}, "--header: a header without a colon");
  refused({"--header", "Content-Length: 3"}, "--header");
  refused({"--api-key-env", "HOTPATH_NO_SUCH_VARIABLE"}, "the environment has no variable HOTPATH_NO_SUCH_VARIABLE");
  refused({"--api-key-env", "A", "--api-key-file", "b"}, "give one of them");
  check_refused(hotpath({"export", "x.db", "--chunks"}), 2, "--chunks needs --format ndjson");
  check_refused(hotpath({"export", "x.db", "--format", "xml"}), 2, "want csv, ndjson or json");
}

TEST_CASE("tools: the command lines of the original page parse as written") {
  const tool hotpath;
  hotpath.dir.write("prompts.jsonl", "{\"prompt\": \"Explain KV cache eviction policy.\", \"max_tokens\": 256}\n"
                                     "{\"prompt\": \"Write a Python retry decorator with exponential backoff.\", \"max_tokens\": 400}\n");
  // Nobody listens there: what is shown is that the flags are taken.
  const auto f = hotpath({"serve-profile", "--endpoint", "http://localhost:" + closed_port(), "--traffic", "prompts.jsonl", "--concurrency", "4", "--duration", "60",
                          "--output", ".hotpath/run"});
  CHECK(f.code == 4);
  CHECK(f.out == "");
  CHECK(!has(f.err, "flag"));
  check_refused(hotpath({"serve-report", ".hotpath/run/serve_profile.db"}), 3, "serve_profile.db");

  scripted::server server({.pace = quick});
  const auto run = hotpath({"serve-profile", "--endpoint", server.url(), "--traffic", "prompts.jsonl", "--concurrency", "4", "--duration", "1", "--output", ".hotpath/run"});
  CAPTURE(run.err);
  CHECK((run.code == 0 || run.code == 5));  // 5: this machine is too busy for the client
  const auto report = hotpath({"serve-report", ".hotpath/run/serve_profile.db"});
  CHECK(report.code == run.code);
  CHECK(report.out == run.out);
}
