// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/report/doctor.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include "golden.hpp"

using namespace hotpath;
using model::condition;

namespace {

model::diagnosis sample() {
  model::diagnosis d;
  d.endpoint = "http://127.0.0.1:8000";
  d.rows = {{"machine", "open files", condition::warn, true, "600", "at most 568 streams at once", "ulimit -n 65536"},
            {"machine", "CPUs", condition::pass, false, "16", "the client keeps one thread busy at the most by default", ""},
            {"clocks", "receive stamps", condition::pass, false, "8 of 8 reads, 5.3 \u00B5s before the read's end", "the kernel times arrivals, however busy the client is", ""},
            {"GPU", "device", condition::warn, false, "none", "no NVIDIA GPU here", "run hotpath on the server's machine too"},
            {"endpoint", "streaming", condition::unknown, false, "not tried", "no request that generates tokens was sent", "--send-request sends one of a few tokens"},
            {"endpoint", "health", condition::fail, false, "HTTP 503", "still loading, or the engine is dead", "look into the server's log"}};
  return d;
}
std::size_t columns(const std::string& line) {
  std::size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

}  // namespace

TEST_CASE("report: a diagnosis is as in the golden files, and no line is too wide") {
  check_golden("doctor.80.txt", report::text(sample()));
  check_golden("doctor.ascii.100.txt", report::text(sample(), {.width = 100, .ascii = true}));
  for (const std::size_t width : {60u, 61u, 80u, 132u, 300u}) {
    std::istringstream in(report::text(sample(), {.width = width}));
    for (std::string line; std::getline(in, line);) CHECK(columns(line) <= (width > 132 ? 132 : width));
  }
}

TEST_CASE("report: a diagnosis begins with what it amounts to") {
  auto d = sample();
  CHECK(report::text(d).starts_with(" FAIL  1 fails, 1 limits what can be measured, 1 more to know\n"));
  CHECK(d.limited());
  d.rows.pop_back();
  CHECK(report::text(d).starts_with(" LIMITED  1 limits what can be measured, 1 more to know\n"));
  CHECK(d.limited());
  d.rows.erase(d.rows.begin());
  CHECK(report::text(d).starts_with(" OK  nothing here stands in the way of a measurement\n"));
  CHECK(!d.limited());
  CHECK(report::text(d, {.color = true}).find("\x1b[") != std::string::npos);
  CHECK(report::text(d).find('\x1b') == std::string::npos);
}

TEST_CASE("report: a diagnosis as JSON is valid against its schema and holds every row") {
  const hotpath_test::temp_dir dir;
  const std::string root = hotpath_test::source_dir();
  const auto errors = [&](const std::string& text) {
    return hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/doctor-1.schema.json", dir.write("d.json", text), "--closed"}).err;
  };
  CHECK(errors(report::json(sample())) == "");
  CHECK(errors(report::json(model::diagnosis{})) == "");
  const auto j = nlohmann::json::parse(report::json(sample()));
  CHECK(j["limited"] == true);
  CHECK(j["rows"].size() == 6);
  CHECK(j["rows"][0] == nlohmann::json{{"group", "machine"}, {"name", "open files"}, {"state", "WARN"}, {"limits", true}, {"value", "600"}, {"meaning", "at most 568 streams at once"}, {"next", "ulimit -n 65536"}});
  CHECK(nlohmann::json::parse(report::json(model::diagnosis{}))["endpoint"].is_null());
  auto bad = sample();
  bad.rows[0].group = "elsewhere";
  CHECK(errors(report::json(bad)).find("elsewhere") != std::string::npos);
}

TEST_CASE("report: F-OUT-04 what a server says in a diagnosis cannot move the cursor") {
  auto d = sample();
  for (model::symptom& s : d.rows) s.name = s.value = s.meaning = s.next = "x\x1b]0;owned\x07\x1b[2J\r\n\b\x7f\u202e";
  d.endpoint = "\x1b[2J";
  const std::string t = report::text(d);
  for (const char c : t) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
  CHECK(t.find("\x7f") == std::string::npos);
  CHECK(t.find("\u202e") == std::string::npos);
}
