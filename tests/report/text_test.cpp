// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/report/text.hpp>
#include <hotpath/report/words.hpp>
#include <sstream>
#include "golden.hpp"
#include "samples.hpp"

using namespace hotpath;
namespace words = hotpath::report::words;

namespace {

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// Columns of a line of well-formed UTF-8 without wide characters.
std::size_t columns(const std::string& line) {
  std::size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

}  // namespace

TEST_CASE("report: numbers have 3, 2, 1 decimals below 1, below 10, above") {
  CHECK(words::number(0) == "0.000");
  CHECK(words::number(0.0214) == "0.021");
  CHECK(words::number(0.9994) == "0.999");
  CHECK(words::number(0.9996) == "1.00");   // not 1.000
  CHECK(words::number(9.994) == "9.99");
  CHECK(words::number(9.996) == "10.0");
  CHECK(words::number(1234.56) == "1234.6");
  CHECK(words::number(-0.0001) == "0.000");
  CHECK(words::grouped(1234.56) == "1,234.6");
  CHECK(words::grouped(-999.96) == "-1,000.0");
  CHECK(words::grouped(0.5) == "0.500");
  CHECK(words::count(1'234'567) == "1,234,567");
  CHECK(words::count(999) == "999");
  CHECK(words::count(1, "request") == "1 request");
  CHECK(words::count(3, 2000, "request") == "3 of 2,000 requests");
  CHECK(words::short_count(999'999) == "999,999");
  CHECK(words::short_count(1'234'567) == "1.23M");
  CHECK(words::short_count(18'446'744'073'709'551'615u) == "18.4E");
  CHECK(words::percent(1) == "100 %");
  CHECK(words::percent(0.99999) == "> 99.99 %");   // never 100 % when one failed
  CHECK(words::percent(0.9995) == "99.95 %");
  CHECK(words::percent(0.00001) == "< 0.01 %");
  CHECK(words::percent(0) == "0 %");
  CHECK(words::percent(0.123) == "12.3 %");
  CHECK(words::milliseconds(51.32) == "51.3 ms");
  CHECK(words::milliseconds(12'345) == "12.3 s");
  CHECK(words::duration(61_s) == "61.0 s");
  CHECK(words::duration(200_s) == "3 min 20 s");
  CHECK(words::duration(7'500_s) == "2 h 05 min");
  CHECK(words::bytes(812) == "812 B");
  CHECK(words::bytes(1.23e6) == "1.23 MB");
}

TEST_CASE("report: text is as in the golden files") {
  check_golden("serve_report.good.80.txt", report::text(samples::good()));
  check_golden("serve_report.good.132.txt", report::text(samples::good(), {.width = 200}));
  check_golden("serve_report.bad.80.txt", report::text(samples::bad()));
  check_golden("serve_report.bad.ascii.100.txt", report::text(samples::bad(), {.width = 100, .ascii = true}));
  check_golden("serve_report.tiny.80.txt", report::text(samples::tiny()));
  check_golden("serve_report.empty.80.txt", report::text(samples::empty()));
  check_golden("serve_report.gate.80.txt", report::text(samples::good(), {.judge = {.gate = 0.9981}}));
  check_golden("serve_report.served.80.txt", report::text(samples::served()));
  check_golden("serve_report.served.200.txt", report::text(samples::served(), {.width = 200}));
  check_golden("serve_report.served.ascii.80.txt", report::text(samples::served(), {.ascii = true}));
}

TEST_CASE("report: no line of the text is wider than the page, none ends in a space") {
  for (const auto& r : {samples::good(), samples::bad(), samples::tiny(), samples::empty(), samples::served()})
    for (const bool ascii : {false, true})
      for (const std::size_t width : {60u, 68u, 69u, 79u, 80u, 99u, 128u, 129u, 130u, 132u, 200u})
        for (const std::string& line : lines(report::text(r, {.width = width, .ascii = ascii}))) {
          CAPTURE(line);
          CHECK(columns(line) <= (width < 132 ? width : 132));
          CHECK((line.empty() || line.back() != ' '));
        }
}

TEST_CASE("report: the verdict is the first thing, a limited client beside it, failures before figures") {
  const std::string t = report::text(samples::bad());
  const auto l = lines(t);
  CHECK(l[0].starts_with(" PARTIAL   CLIENT LIMITED "));
  CHECK(has(l[0], "TTFT p50 51.3 ms, p99 102.6 ms"));
  CHECK(t.find("90 of 716 requests failed") < t.find("Latency"));
  CHECK(t.find("60 truncated, 30 idle_timeout") < t.find("Latency"));
  CHECK(t.find("data was lost: 5 dropped") < t.find("Latency"));
  CHECK(has(t, "the queue is at the cap"));
  CHECK(has(t, "WRONG"));
  CHECK(lines(report::text(samples::good()))[0].starts_with(" OK   TTFT"));
}

TEST_CASE("report: an interval without an upper end is marked, and a figure that is not known is never 0") {
  const std::string good = report::text(samples::good());
  CHECK(has(good, "\u2265 0.60"));                 // connect p99 of 16 requests
  CHECK(has(good, "too few requests for an upper end"));
  const std::string tiny = report::text(samples::tiny());
  CHECK(has(tiny, "?"));
  CHECK(has(tiny, "too few requests for an interval"));
  CHECK(has(tiny, "TPOT            no request had two tokens"));
  CHECK(!has(tiny, "output tokens"));
  const std::string empty = report::text(samples::empty());
  CHECK(has(empty, " NO DATA "));
  CHECK(!has(empty, "0.000"));
  CHECK(has(empty, "all latencies   no request succeeded"));
}

TEST_CASE("report: F-OUT-04 control bytes and escapes in data do not reach the terminal") {
  for (const bool color : {false, true})
    for (const std::size_t width : {80u, 132u}) {
      auto r = samples::bad();
      const std::string evil = "x\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b" "31m\r\b\x7f\u202e\u2066y";
      r.run.endpoint = r.run.host = r.run.api = r.run.engine = r.run.workload = r.run.stop_reason = r.run.tool_version = r.run.prompt_lengths = evil;
      r.requests.first_error = evil, r.requests.finish_reasons = {{evil, 3}}, r.queue_at = evil;
      r.findings = r.client.reasons = r.run.notes = {evil}, r.checks[0].name = r.checks[2].why = evil;
      r.of(serve::metric::itl).missing = evil;
      std::string t = report::text(r, {.width = width, .color = color});
      for (std::size_t i; (i = t.find("\x1b[")) != std::string::npos;) {  // our own colours are whole and simple
        std::size_t end = i + 2;
        while (end < t.size() && (std::isdigit(static_cast<unsigned char>(t[end])) != 0 || t[end] == ';')) ++end;
        REQUIRE(color);
        REQUIRE(t[end] == 'm');
        t.erase(i, end + 1 - i);
      }
      for (const char c : t) CHECK((c == '\n' || static_cast<unsigned char>(c) >= 0x20));
      CHECK(!has(t, "\x7f"));
      CHECK(!has(t, "\u202e"));
      CHECK(!has(t, "\u2066"));
      CHECK(has(t, "\\x1b"));
    }
}

TEST_CASE("report: colour changes nothing but colour") {
  for (const auto& r : {samples::good(), samples::bad(), samples::tiny(), samples::empty(), samples::served()}) {
    std::string t = report::text(r, {.color = true});
    CHECK(has(t, "\x1b["));
    for (std::size_t i; (i = t.find("\x1b[")) != std::string::npos;) t.erase(i, t.find('m', i) + 1 - i);
    const auto trimmed = [](const std::string& s) {  // a painted blank at a line's end is blank all the same
      std::string out;
      for (std::string line : lines(s)) {
        while (line.ends_with(' ')) line.pop_back();
        out += line + "\n";
      }
      return out;
    };
    CHECK(trimmed(t) == report::text(r));
  }
}

TEST_CASE("report: ASCII mode is ASCII, whatever the data holds") {
  auto r = samples::good();
  r.run.model = "模型 \U0001F600";
  for (const char c : report::text(r, {.ascii = true})) CHECK(static_cast<unsigned char>(c) < 0x80);
}

TEST_CASE("report: wide characters count twice when lines are broken") {
  auto r = samples::good();
  r.findings = {std::string("模型") + " a b c d e f g h"};
  for (int i = 0; i < 40; ++i) r.findings[0] += " 模型";
  const auto l = lines(report::text(r));
  for (const std::string& line : l) {
    if (!has(line, "模")) continue;
    std::size_t wide = 0;
    for (std::size_t i = 0; (i = line.find("模型", i)) != std::string::npos; i += 6) wide += 2;
    CHECK(columns(line) + wide <= 80);
    CHECK(columns(line) + wide > 70);
  }
}
