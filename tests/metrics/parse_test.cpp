// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <hotpath/metrics/parse.hpp>
#include <memory>
#include <string>
#include <vector>

using namespace hotpath;

namespace {

// All that a page says, one line per thing: names and labels decoded.
struct listing {
  std::vector<std::string> lines;
  static std::string text(std::string_view raw) {
    std::string scratch;
    return std::string(metrics::unescape(raw, scratch));
  }
  static std::string number(double v) {
    if (std::isnan(v)) return "NaN";
    char out[32];
    return {out, std::to_chars(out, out + 32, v).ptr};
  }
  static std::string labels(const metrics::label_set& set) {
    std::string out;
    set.for_each([&](const metrics::label& l) { out += (out.empty() ? "" : "|") + text(l.name) + "=" + text(l.value); });
    return out;
  }
  void sample(const metrics::sample& s) {
    std::string line = text(s.name) + "{" + labels(s.labels) + "} " + number(s.value);
    if (!std::isnan(s.timestamp_s)) line += " @" + number(s.timestamp_s);
    if (s.has_exemplar) line += " # {" + labels(s.exemplar_labels) + "} " + number(s.exemplar_value) + (std::isnan(s.exemplar_timestamp_s) ? "" : " @" + number(s.exemplar_timestamp_s));
    lines.push_back(line);
  }
  void type(std::string_view name, metrics::family_type t) { lines.push_back("type " + text(name) + " " + std::to_string(static_cast<int>(t))); }
  void help(std::string_view name, std::string_view words) { lines.push_back("help " + text(name) + " " + text(words)); }
  void unit(std::string_view name, std::string_view words) { lines.push_back("unit " + text(name) + " " + text(words)); }
};

struct outcome {
  std::vector<std::string> lines;
  metrics::parsed p;
};
outcome read(std::string_view page, const metrics::limits& l = {}, metrics::format f = metrics::format::automatic) {
  // A heap copy of just this size, so that a sanitizer sees a read past its end.
  const std::unique_ptr<char[]> copy(new char[page.size() + 1]);
  std::copy(page.begin(), page.end(), copy.get() + 1);
  listing out;
  outcome o;
  o.p = metrics::parse({copy.get() + 1, page.size()}, out, l, f);
  o.p.problem = {};
  o.lines = std::move(out.lines);
  return o;
}
std::string one(std::string_view page) {
  const outcome o = read(page);
  return o.lines.size() == 1 && !o.p.lost ? o.lines[0] : "lines " + std::to_string(o.lines.size()) + ", malformed " + std::to_string(o.p.lost.malformed);
}
// Exactly one line, and it is malformed.
bool refused(std::string_view line) {
  const outcome o = read(std::string(line) + "\n");
  return o.lines.empty() && o.p.lost.malformed == 1 && o.p.lost.total() == 1 && o.p.problem_line == 1;
}

}  // namespace

TEST_CASE("metrics: names, labels, values and time stamps of a text page") {
  const outcome o = read(
      "# HELP http_requests_total Two\\nlines \\\\ here\n"
      "# TYPE http_requests_total counter\n"
      "# just words\n"
      "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
      "\n"
      "  spaced\t { a = \"1\" , b=\"2\" , }\t -3.5e-2 \n"
      "vllm:x 7\n");
  CHECK(o.lines == std::vector<std::string>{"help http_requests_total Two\nlines \\ here", "type http_requests_total 1",
                                            "http_requests_total{method=post|code=200} 1027 @1395066363", "spaced{a=1|b=2} -0.035", "vllm:x{} 7"});
  CHECK(o.p.samples == 3);
  CHECK(o.p.lines == 7);
  CHECK(o.p.lost.total() == 0);
}

TEST_CASE("metrics: F-MET-05 a last line without a line end is accepted") {
  CHECK(one("a 1") == "a{} 1");
  CHECK(one("a{b=\"c\"} 1.5") == "a{b=c} 1.5");
  CHECK(one("a 1 2000") == "a{} 1 @2");
}

TEST_CASE("metrics: F-MET-04 of a page that ends in the middle of a line the complete lines are kept and the rest is counted") {
  for (const std::string_view rest : {"b", "b{", "b{c", "b{c=", "b{c=\"", "b{c=\"d", "b{c=\"d\"", "b{c=\"d\"}", "b{c=\"d\"} ", "b{c=\"d\\"}) {
    CAPTURE(rest);
    const outcome o = read("a 1\n" + std::string(rest));
    CHECK(o.lines == std::vector<std::string>{"a{} 1"});
    CHECK(o.p.lost.truncated == 1);
    CHECK(o.p.lost.total() == 1);
    CHECK(o.p.problem_line == 2);
  }
}

TEST_CASE("metrics: F-MET-06 CRLF line ends and a byte order mark are accepted") {
  const outcome o = read("\xef\xbb\xbf# TYPE a gauge\r\na 1\r\n\r\nb{c=\"d\"} 2 3000\r\nc 4\r");
  CHECK(o.lines == std::vector<std::string>{"type a 2", "a{} 1", "b{c=d} 2 @3", "c{} 4"});
  CHECK(o.p.lost.total() == 0);
}

TEST_CASE("metrics: F-MET-07 OpenMetrics: types, units, exemplars and # EOF are read, exemplars apart from samples") {
  const outcome o = read(
      "# TYPE foo_seconds histogram\n# UNIT foo_seconds seconds\n"
      "foo_seconds_bucket{le=\"0.1\"} 8 # {} 0.054\n"
      "foo_seconds_bucket{le=\"1.0\"} 11 # {trace_id=\"KOO5S4vxi0o\"} 0.67 1520879607.789\n"
      "foo_seconds_bucket{le=\"+Inf\"} 17 1520879607.5 # {a=\"}\",b=\",\"} 1\n"
      "foo_seconds_created 1520872607.123\n# EOF\n");
  CHECK(o.lines == std::vector<std::string>{"type foo_seconds 3", "unit foo_seconds seconds", "foo_seconds_bucket{le=0.1} 8 # {} 0.054",
                                            "foo_seconds_bucket{le=1.0} 11 # {trace_id=KOO5S4vxi0o} 0.67 @1520879607.789",
                                            "foo_seconds_bucket{le=+Inf} 17 @1520879607.5 # {a=}|b=,} 1", "foo_seconds_created{} 1520872607.123"});
  CHECK(o.p.ended);
  CHECK(o.p.lost.total() == 0);
  // Known to be OpenMetrics, its end is missing: the page was cut at a line's end.
  CHECK(read("a 1\n", {}, metrics::format::openmetrics).p.lost.truncated == 1);
  CHECK(read("a 1\n").p.lost.total() == 0);
  for (const char* line : {"a 1 # x", "a 1 # {", "a 1 # {b=\"c\"}", "a 1 # {b=\"c\"} x", "a 1 # {b=\"c\"} 1 x", "a 1 # {b=\"c\"} 1 2 3", "a 1 # {\"b\"} 1"}) {
    CAPTURE(line);
    CHECK(refused(line));
  }
}

TEST_CASE("metrics: F-MET-08 NaN and infinities are values; out of range and hexadecimal is malformed") {
  CHECK(one("a NaN\n") == "a{} NaN");
  CHECK(one("a +Inf\n") == "a{} inf");
  CHECK(one("a -Inf\n") == "a{} -inf");
  CHECK(one("a Inf\n") == "a{} inf");
  CHECK(one("a +5\n") == "a{} 5");
  CHECK(one("a .5\n") == "a{} 0.5");
  CHECK(one("a 5.\n") == "a{} 5");
  CHECK(one("a 1e5\n") == "a{} 1e+05");
  CHECK(one("a 6.4929219e+07\n") == "a{} 64929219");
  for (const char* v : {"1e400", "-1e400", "1e-400", "0x10", "0x1p3", "1_000", "+NaN", "infinit", "1e", "--1", "+-1", "1.2.3", ".", "-", "e5", "1,5", "\"1\""}) {
    CAPTURE(v);
    CHECK(refused(std::string("a ") + v));
  }
}

TEST_CASE("metrics: numbers are those of strtod, to the last bit") {
  for (const char* v : {"0", "-0", "0.1", "0.30000000000000004", "1795320611.1966865", "9007199254740993", "123456789012345", "1234567890123456", "0.000001", "100000000000000000000",
                        "12345678.9012345", "123456789.012345", "1.7976931348623157e308", "2.2250738585072014e-308", "4.9e-324", "0.19164748576839097", "999999999999999", "0.999999999999999", "91399620.84340797", "944608837.2433843", "986.5452293525111"}) {
    CAPTURE(v);
    struct {
      double value = 0;
      void sample(const metrics::sample& s) { value = s.value; }
    } sink;
    const std::string line = std::string("a ") + v;
    CHECK(metrics::parse(line, sink).samples == 1);
    CHECK(sink.value == std::strtod(v, nullptr));
    CHECK(std::signbit(sink.value) == std::signbit(std::strtod(v, nullptr)));
  }
}

TEST_CASE("metrics: F-MET-09 escapes in label values mean what they say, and braces and commas inside quotes are text") {
  CHECK(one(R"(a{b="c\\d",e="f\"g",h="i\nj",k="l}m,n=o",p="q\r"} 1)") == "a{b=c\\d|e=f\"g|h=i\nj|k=l}m,n=o|p=q\\r} 1");
  CHECK(one("a{b=\"\",c=\"\xc3\xa4\t\"} 1") == "a{b=|c=\xc3\xa4\t} 1");
  // Quotes and backslashes at every place of a word of eight.
  for (std::size_t n = 0; n < 20; ++n) {
    const std::string fill(n, 'x');
    CAPTURE(n);
    CHECK(one("a{b=\"" + fill + "\\\"" + fill + "\\\\\",c=\"" + fill + "\"} 1") == "a{b=" + fill + "\"" + fill + "\\|c=" + fill + "} 1");
    CHECK(refused("a{b=\"" + fill + "\\\"} 1"));
  }
}

TEST_CASE("metrics: quoted UTF-8 names of text 1.0.0") {
  CHECK(one("{\"my.metric\",\"my label\"=\"v\",b=\"c\"} 1") == "my.metric{my label=v|b=c} 1");
  CHECK(one("{ \"only\" } 1") == "only{} 1");
  CHECK(one("{\"a\\\"b\"} 1") == "a\"b{} 1");
  const outcome o = read("# TYPE \"my.metric\" counter\n# HELP \"my metric\" some words\n");
  CHECK(o.lines == std::vector<std::string>{"type my.metric 1", "help my metric some words"});
  for (const char* line : {"{} 1", "{a=\"b\"} 1", "{\"a\",\"b\"} 1", "{b=\"c\",\"a\"} 1", "{\"\"} 1", "{a} 1", "x{\"a\"} 1", "x{a} 1"}) {
    CAPTURE(line);
    CHECK(refused(line));
  }
}

TEST_CASE("metrics: lines that are wrong are counted, each once, and the first is named") {
  for (const char* line : {"a", "a ", "1a 2", "a{b=\"c\"", "a{b=\"c\" 1", "a{b=\"c} 1", "a{b=c} 1", "a{b=} 1", "a{b} 1", "a{=\"c\"} 1", "a{1b=\"c\"} 1", "a{b=\"c\"d=\"e\"} 1", "a{b=\"c\",,d=\"e\"} 1",
                           "a{b=\"c\",b=\"d\"} 1", "a b", "a 1 b", "a 1 2 3", "a 1 NaN", "a-b 1", "a{b=\"c\"}} 1", "{", "}", "\"a\" 1", "<html>", "a\xc3\xa4 1"}) {
    CAPTURE(line);
    CHECK(refused(line));
  }
  CHECK(refused(std::string_view("a{b=\"c\0d\"} 1", 13)));
  CHECK(refused(std::string_view("a\0 1", 4)));
  // A line end ends a value whatever follows it.
  const outcome open = read("a{b=\"cccc\ndddddddddddddddd\"} 1\ne 2\n");
  CHECK(open.lines == std::vector<std::string>{"e{} 2"});
  CHECK(open.p.lost.malformed == 2);
  const outcome o = read("a 1\nb\nc 2\nd{\n");
  CHECK(o.lines == std::vector<std::string>{"a{} 1", "c{} 2"});
  CHECK(o.p.lost.malformed == 2);
  CHECK(o.p.problem_line == 2);
}

TEST_CASE("metrics: a sink takes only the names it wants, and labels of others are not looked at") {
  struct {
    std::vector<std::string> seen;
    bool wants(std::string_view name) { return name.starts_with("b"); }
    void sample(const metrics::sample& s) { seen.emplace_back(s.name); }
  } sink;
  const auto p = metrics::parse("a{nonsense\nb{c=\"d\"} 1\naa\n{\"b.c\"} 2\n{\"x.y\"} 3\nb 4\n", sink);
  CHECK(sink.seen == std::vector<std::string>{"b", "b.c", "b"});
  CHECK(p.samples == 6);
  CHECK(p.unwanted == 3);
  CHECK(p.lost.total() == 0);
}

TEST_CASE("metrics: F-MET-16 samples, bytes and labels beyond the limits are over_limit and counted") {
  std::string page;
  for (int i = 0; i < 200'001; ++i) page += "a{i=\"" + std::to_string(i) + "\"} 1\n";
  struct {
    std::uint64_t n = 0;
    void sample(const metrics::sample&) { ++n; }
  } sink;
  auto p = metrics::parse(page, sink);
  CHECK(sink.n == 200'000);
  CHECK(p.lost.over_limit == 1);
  CHECK(p.lost.total() == 1);
  CHECK(p.problem_line == 200'001);

  // 17 MiB: the lines that fit whole into 16 MiB are read.
  const std::string line = "a{b=\"" + std::string(1000, 'x') + "\"} 1\n";  // 1010 bytes
  REQUIRE(line.size() == 1010);
  page.clear();
  while (page.size() < (17u << 20)) page += line;
  sink.n = 0;
  p = metrics::parse(page, sink);
  CHECK(sink.n == (16u << 20) / 1010);
  CHECK(p.lost.over_limit == 1);
  CHECK(p.lost.total() == 1);

  const auto bomb = [](std::size_t labels, std::size_t value) {
    std::string s = "a{";
    for (std::size_t i = 0; i < labels; ++i) s += "l" + std::to_string(i) + "=\"" + std::string(value, 'v') + "\",";
    return s + "} 1\nb 2\n";
  };
  CHECK(read(bomb(128, 1)).p.lost.total() == 0);
  CHECK(read(bomb(129, 1)).p.lost.over_limit == 1);
  CHECK(read(bomb(100'000, 1)).lines == std::vector<std::string>{"b{} 2"});
  CHECK(read(bomb(1, 4096)).p.lost.total() == 0);
  CHECK(read(bomb(1, 4097)).p.lost.over_limit == 1);
  CHECK(read(bomb(1, 65'536)).lines == std::vector<std::string>{"b{} 2"});
  CHECK(read("a{" + std::string(5000, 'n') + "=\"v\"} 1\n").p.lost.over_limit == 1);
  CHECK(read(std::string(5000, 'n') + " 1\n").p.lost.over_limit == 1);
  // Settable at run time.
  CHECK(read("a 1\nb 2\nc 3\n", {.samples = 2}).p.lost.over_limit == 1);
  CHECK(read("a 1\nbb 2\n", {.body = 6}).lines == std::vector<std::string>{"a{} 1"});
}

TEST_CASE("metrics: an empty page has no lines, no samples and no loss") {
  for (const std::string_view page : {"", "\n", " \t\n", "\xef\xbb\xbf", "# only words\n"}) {
    const outcome o = read(page);
    CHECK(o.lines.empty());
    CHECK(o.p.samples == 0);
    CHECK(o.p.lost.total() == 0);
  }
}
