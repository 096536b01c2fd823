// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/report/markdown.hpp>
#include <sstream>
#include "golden.hpp"
#include "samples.hpp"

using namespace hotpath;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// What is left of a line when code spans are taken out, by the rule of CommonMark: a run of backticks up to the next of its length.
std::string without_code(const std::string& line) {
  std::string out;
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      out += line.substr(i, 2), i += 2;
      continue;
    }
    if (line[i] != '`') {
      out += line[i++];
      continue;
    }
    std::size_t n = 0;
    while (i + n < line.size() && line[i + n] == '`') ++n;
    std::size_t end = i + n;
    for (bool found = false; !found && end < line.size();) {
      if (line[end] != '`') {
        ++end;
        continue;
      }
      std::size_t m = 0;
      while (end + m < line.size() && line[end + m] == '`') ++m;
      found = m == n, end += m;
    }
    REQUIRE(line.substr(end - n, n) == std::string(n, '`'));  // it is closed
    out += "CODE", i = end;
  }
  return out;
}

// The same without what is escaped, and without the tags of our own.
std::string bare(const std::string& line) {
  std::string out, t = without_code(line);
  for (const std::string_view ours : {"<!-- -->", "<sub>", "</sub>", "&nbsp;"})
    for (std::size_t i; (i = t.find(ours)) != std::string::npos;) t.erase(i, ours.size());
  for (std::size_t i = 0; i < t.size(); ++i)
    if (t[i] == '\\') ++i;
    else out += t[i];
  return out;
}

// Everything that comes from outside, set to `evil`.
serve::report poisoned(const std::string& evil) {
  auto r = samples::served();
  r.requests.failed = 1, r.requests.errors[1] = 1;
  r.run.model = r.run.endpoint = r.run.host = r.run.api = r.run.engine = r.run.engine_version = r.run.workload = r.run.tool_version = r.run.prompt_lengths = evil;
  r.run.state = model::run_state::stopped, r.run.stop_reason = evil;
  r.requests.first_error = evil, r.requests.finish_reasons = {{evil, 3}}, r.queue_at = evil;
  r.findings = r.run.notes = r.server.problems = {evil}, r.client.limited = true, r.client.reasons = {evil}, r.checks[0].name = r.checks[2].why = evil;
  r.of(serve::metric::itl).missing = r.goodput.missing = evil, r.goodput.share.reset(), r.server.engine = evil;
  r.server.engines[0].source = evil, r.server.all.tpot.missing = evil;
  return r;
}

}  // namespace

TEST_CASE("report: Markdown is as in the golden files") {
  check_golden("serve_report.served.md", report::markdown(samples::served()));
  check_golden("serve_report.bad.md", report::markdown(samples::bad()));
  check_golden("serve_report.empty.md", report::markdown(samples::empty()));
}

TEST_CASE("report: F-OUT-05 pipes, backticks, markup and control bytes in data stay data in Markdown") {
  const std::string payloads[] = {"a|b||c", "`", "``x`", "a```b", "`` ` ``", " `x` ", "\\", "\\|", "x\\", "\n\n# heading", "\r\n- item", "* a _b_ __c__ **d**", "~~x~~", "[a](http://evil.invalid)",
                                  "![a](http://evil.invalid/x.png)", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</details>", "<!-- ", " -->", "&lt;b&gt;", "&#60;b&#62;",
                                  "http://evil.invalid", "HTTPS://evil.invalid", "www.evil.invalid", "@everyone", "a@b.invalid", "#1", "x/y#12", "$x$", "| --- |", "```text\nx\n```", "{{7*7}}", "1. x",
                                  "\x1b[31mred\x1b[0m", "\x9b" "31m", "a\tb", "\u202egpj.exe", "\u2028line", "a\xff" "b", "> quote", "---", "==="};
  for (const std::string& evil : payloads) {
    CAPTURE(evil);
    const std::string md = report::markdown(poisoned(evil));
    std::istringstream in(md);
    std::size_t columns = 0;
    bool code = false;
    std::string before;
    for (std::string line; std::getline(in, line); before = line) {
      CAPTURE(line);
      for (const char c : line) CHECK(static_cast<unsigned char>(c) >= 0x20);
      if (line.starts_with("```")) {
        code = !code;
        CHECK((line == "```text" || line == "```"));
        continue;
      }
      if (code) continue;
      const std::string b = bare(line);
      // Lines begin as ours do.
      CHECK((line.empty() || line.starts_with("## ") || line.starts_with("### ") || line.starts_with("- **") || line.starts_with("- ") || line.starts_with("  - ") || line.starts_with("|") ||
             line.starts_with("<sub>")));
      if (line.starts_with("|")) {
        std::size_t pipes = 0;
        for (const char c : b) pipes += c == '|';
        if (!before.starts_with("|")) columns = pipes;
        CHECK(pipes == columns);
        CHECK(without_code(line).find("CODE") == std::string::npos);  // a '|' within a code span would end the cell
      } else {
        CHECK(b.find('|') == std::string::npos);
      }
      for (const char* const markup : {"<", "](", "][", "![", "_", "~", "`", "$", "{"}) CHECK(b.find(markup) == std::string::npos);
      // Nothing that a renderer links or that calls somebody, once entities and escapes are read.
      std::string shown = without_code(line);
      for (std::size_t i = 0; (i = shown.find('\\', i)) != std::string::npos; ++i) shown.erase(i, 1);
      for (const char* const link : {"://", "@everyone", "@b", "www.", "WWW.", "#1", "#12"}) CHECK(shown.find(link) == std::string::npos);
    }
    CHECK(!code);
    CHECK(!has(md, "\u202e"));
    CHECK(!has(md, "\u2028"));
  }
}

TEST_CASE("report: Markdown says what the text says of a run with nothing in it") {
  const std::string md = report::markdown(samples::empty());
  CHECK(md.starts_with("## NO DATA: no figures\n"));
  CHECK(has(md, "- **no request was sent**"));
  CHECK(has(md, "- **server** its metrics were not read"));
  CHECK(!has(md, "### Latency"));
}

TEST_CASE("report: the server's section names the source of each figure, its buckets, and what is not told") {
  const std::string md = report::markdown(samples::served());
  CHECK(has(md, "| **queue** | engine | 716 | 12.1 ms | \u2264 300 ms | 300\u2013500 ms |"));
  CHECK(has(md, "| **TTFT** | engine | 716 | 41.2 ms | 40\u201360 ms | 80\u2013100 ms |"));
  CHECK(has(md, "| **TTFT** | client | 700 |"));
  CHECK(has(md, "| **TTFT** | client, from send | 700 |"));
  CHECK(has(md, "| **E2E** | engine | 716 | \u2013 | 1\u20131.5 s | > 2,560 s |"));
  CHECK(has(md, "- **engine TPOT** not told"));
  auto r = samples::served();
  r.server.missing = "no scrape succeeded: HTTP 404";
  CHECK(!has(report::markdown(r), "### Server"));
  CHECK(has(report::markdown(r), "- **server** no scrape succeeded: HTTP 404"));
  r = samples::served(), r.server.bracketed = false, r.server.all.reset = true;
  CHECK(has(report::markdown(r), "differences are not those of the whole run"));
  CHECK(has(report::markdown(r), "the engine started anew"));
}
