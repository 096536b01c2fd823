// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>
#include <hotpath/core/json.hpp>
#include "json_oracle.hpp"
#include "../support/data.hpp"

using hotpath::errc;
using hotpath_test::compare_with_nlohmann;
using hotpath_test::comparison;
namespace json = hotpath::json;
namespace detail = hotpath::detail;

namespace {

// splitmix64: the same mutants on every machine.
struct random_source {
  std::uint64_t state;
  std::uint64_t operator()() {
    std::uint64_t z = (state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>((*this)() % n); }
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::filesystem::path> files_below(const std::filesystem::path& folder, const std::vector<std::string>& extensions) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && std::find(extensions.begin(), extensions.end(), entry.path().extension().string()) != extensions.end())
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

// The hand-written payloads of four engines (shared with the fuzz target) and every payload that a real vLLM sent.
std::vector<std::string> seeds() {
  const std::filesystem::path tests = std::filesystem::path(hotpath_test::source_dir()) / "tests";
  std::vector<std::string> all;
  for (const auto& path : files_below(tests / "fuzz/corpus/json", {".json"})) all.push_back(read_file(path));
  for (const auto& path : files_below(tests / "data", {".sse"})) {
    std::ifstream in(path);
    std::size_t taken = 0;
    for (std::string line; taken < 4 && std::getline(in, line);)
      if (line.starts_with("data: {")) {
        all.push_back(line.substr(6));
        ++taken;
      }
  }
  return all;
}

std::string shown(std::string_view text) {
  std::string out;
  char b[8];
  for (const char c : text.substr(0, 400)) {
    if (c >= 0x20 && c < 0x7F) out.push_back(c);
    else std::snprintf(b, sizeof b, "\\x%02x", static_cast<unsigned char>(c)), out += b;
  }
  return out;
}

// Fails the test with the text in readable form; true while all is well.
bool same_as_nlohmann(std::string_view text) {
  const comparison c = compare_with_nlohmann(text);
  if (c.difference.empty()) return true;
  FAIL_CHECK(c.difference << "\n  " << shown(text));
  return false;
}

std::string failure_of(std::string_view text, json::mode m = json::mode::strict, json::limits l = {}) {
  json::reader in(text, m, l);
  in.skip();
  return in.finish() ? "" : in.failure().message();
}

const std::vector<std::string>& tokens() {
  using namespace std::string_literals;
  static const std::vector<std::string> all = {
      "{", "}", "[", "]", ":", ",", "\"", "\\", "\\u", "\\u0041", "\\ud83d", "\\ude00", "\\uD83D\\uDE00", "\\n", "\\/", "\\x", "true", "false",
      "null", "nul", "True", "NaN", "Infinity", "-", "+", ".", "e", "E", "0", "-0", "01", "1.", ".5", "1e", "1e5", "1E+2", "1e-2", "1e400",
      "-1e400", "1e-400", "0e999", "0.1", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551615",
      "18446744073709551616", "1.7976931348623159e308", " ", "\t", "\n", "\r", "\f", "\0"s, "\x01", "\x1f", "\x7f", "\x80", "\xBF", "\xC0\x80",
      "\xC3\xA9", "\xE2\x82\xAC", "\xE2\x82", "\xED\xA0\x80", "\xEF\xBB\xBF", "\xEF\xBF\xBF", "\xF0\x9D\x84\x9E", "\xF4\x8F\xBF\xBF",
      "\xF4\x90\x80\x80", "\xFF", "\"a\":", "\"\":{}", ",1", "//", "/**/", "'"};
  return all;
}

// One to four edits: bytes (flip, set, insert, remove), pieces (repeat, remove, take from another seed), tokens, an early end.
std::string mutant(const std::vector<std::string>& from, random_source& random) {
  std::string s = from[random.below(from.size())];
  for (std::size_t edits = 1 + random.below(4); edits > 0; --edits) {
    const std::size_t at = random.below(s.size() + 1);
    const std::size_t length = std::min(s.size() - at, 1 + random.below(random.below(4) == 0 ? 40 : 4));
    const std::string& token = tokens()[random.below(tokens().size())];
    switch (random.below(10)) {
      case 0: if (at < s.size()) s[at] = static_cast<char>(s[at] ^ 1 << random.below(8)); break;
      case 1: if (at < s.size()) s[at] = static_cast<char>(random()); break;
      case 2: s.insert(at, 1, static_cast<char>(random())); break;
      case 3: s.erase(at, length); break;
      case 4: s.insert(at, s.substr(at, length)); break;
      case 5: s.insert(at, token); break;
      case 6: s.replace(at, std::min<std::size_t>(length, 4), token); break;
      case 7: {
        const std::string& other = from[random.below(from.size())];
        const std::size_t begin = random.below(other.size());
        s.replace(at, length, other, begin, 1 + random.below(60));
        break;
      }
      case 8: {  // a token where a token may stand
        const auto mark = s.find_first_of(",:[{}]\"", at);
        if (mark != std::string::npos) s.replace(mark, random.below(2), token);
        break;
      }
      default: if (random.below(4) == 0) s.resize(at); break;
    }
  }
  return s;
}

// Number texts, most of them within the grammar, with the lengths and exponents at which double parsers go wrong.
std::string number_text(random_source& random) {
  const auto digits = [&](std::size_t most) {
    std::string d;
    const std::size_t n = 1 + random.below(most);
    const std::size_t style = random.below(4);
    for (std::size_t i = 0; i < n; ++i) d.push_back(static_cast<char>('0' + (style == 0 ? 0 : style == 1 ? 9 : random.below(10))));
    return d;
  };
  std::string s = random.below(3) == 0 ? "-" : "";
  s += random.below(3) == 0 ? "0" : std::string(1, static_cast<char>('1' + random.below(9))) + (random.below(3) == 0 ? "" : digits(random.below(20) == 0 ? 900 : 22));
  if (random.below(2) == 0) s += "." + digits(random.below(20) == 0 ? 900 : 22);
  if (random.below(2) == 0) {
    s += random.below(2) == 0 ? "e" : "E";
    s += random.below(3) == 0 ? "+" : random.below(2) == 0 ? "-" : "";
    s += std::to_string(random.below(random.below(3) == 0 ? 100000 : random.below(2) == 0 ? 340 : 25));
  }
  if (random.below(10) == 0) s.insert(random.below(s.size() + 1), 1, "0.e+-9"[random.below(6)]);
  return s;
}

}  // namespace

TEST_CASE("json: members, elements and scalars come out as written") {
  json::reader in(R"( {"s":"text","i":-42,"d":1.25e2,"t":true,"f":false,"n":null,"a":[1,2,3],"o":{"k":"v"},"e":{},"z":[]} )");
  std::string keys;
  std::string_view s, k;
  std::int64_t i = 0, sum = 0;
  double d = 0;
  bool t = false, f = true, n = false;
  CHECK(in.object([&](std::string_view key) {
    keys += key;
    if (key == "s") CHECK(in.string(s));
    else if (key == "i") CHECK(in.integer(i));
    else if (key == "d") CHECK(in.number(d));
    else if (key == "t") CHECK(in.boolean(t));
    else if (key == "f") CHECK(in.boolean(f));
    else if (key == "n") n = in.null();
    else if (key == "a") CHECK(in.array([&] {
      std::int64_t v = 0;
      CHECK(in.integer(v));
      sum = sum * 10 + v;
    }));
    else if (key == "o") CHECK(in.object([&](std::string_view) { CHECK(in.string(k)); }));
  }));
  CHECK(in.finish());
  CHECK(keys == "sidtfnaoez");
  CHECK(s == "text");
  CHECK(i == -42);
  CHECK(d == 125.0);
  CHECK(t);
  CHECK_FALSE(f);
  CHECK(n);
  CHECK(sum == 123);
  CHECK(k == "v");
}

TEST_CASE("json: peek tells the kind and consumes nothing") {
  const std::pair<const char*, json::kind> cases[] = {
      {" {}", json::kind::object}, {"\n[1]", json::kind::array}, {"\"x\"", json::kind::string}, {"-1", json::kind::number}, {"0", json::kind::number},
      {"true", json::kind::boolean}, {"false", json::kind::boolean}, {"null", json::kind::null}, {"", json::kind::end}, {" \t", json::kind::end}};
  for (const auto& [given, want] : cases) {
    const char* const text = given;  // a structured binding cannot be captured
    CAPTURE(text);
    json::reader in(text);
    CHECK(in.peek() == want);
    CHECK(in.peek() == want);
    CHECK(in.skip() == (want != json::kind::end));
  }
  json::reader bad("  ?");
  CHECK(bad.peek() == json::kind::error);
  CHECK(bad.failure().message() == "line 1:3: found '?', want a value");
}

TEST_CASE("json: a string without escapes is a view into the text, one with escapes lives until the next") {
  const std::string text = R"(["plain","a\nb","c\u00e9\ud83d\ude00\u0000!"])";
  json::reader in(text);
  std::vector<std::string> got;
  in.array([&] {
    std::string_view v;
    REQUIRE(in.string(v));
    const bool inside = v.data() >= text.data() && v.data() < text.data() + text.size();
    CHECK(inside == got.empty());
    got.emplace_back(v);
  });
  using namespace std::string_literals;
  CHECK(got == std::vector<std::string>{"plain", "a\nb", "c\xC3\xA9\xF0\x9F\x98\x80\0!"s});
}

TEST_CASE("json: keys with escapes are decoded and outlive everything read inside their value") {
  json::reader in(R"({"\u0061 long key that needs memory\n":{"\u0062 another long key with escapes\t":[{"\u0063":"\u0064 a long decoded string value"}]},"p":{"\u0065":1}})");
  std::string seen;
  in.object([&](std::string_view outer) {
    in.object([&](std::string_view middle) {
      if (in.peek() == json::kind::number) return;
      in.array([&] {
        in.object([&](std::string_view inner) {
          std::string_view v;
          in.string(v);
          seen.append(inner).append("=").append(v);
        });
      });
      seen.append("<").append(middle);
    });
    seen.append("<").append(outer).append(";");
  });
  CHECK(in.finish());
  CHECK(seen == "c=d a long decoded string value<b another long key with escapes\t<a long key that needs memory\n;<p;");
}

TEST_CASE("json: a value of another type is skipped, gives false and is no error") {
  json::reader in(R"([{"a":[1,{"b":2}]},"x",1,true,null,[3]])");
  std::string_view s = "kept";
  std::int64_t i = 7;
  double d = 7;
  bool b = true;
  int element = 0;
  CHECK(in.array([&] {
    switch (element++) {
      case 0: CHECK_FALSE(in.string(s)); break;
      case 1: CHECK_FALSE(in.integer(i)); break;
      case 2: CHECK_FALSE(in.boolean(b)); break;
      case 3: CHECK_FALSE(in.number(d)); break;
      case 4: CHECK_FALSE(in.object([](std::string_view) { FAIL("null has no members"); })); break;
      case 5: CHECK_FALSE(in.null()); break;
    }
    CHECK(in.ok());
  }));
  CHECK(element == 6);
  CHECK(in.finish());
  CHECK(s == "kept");
  CHECK(i == 7);
  CHECK(d == 7);
  CHECK(b);

  json::reader wrong("{\"n\":\n  \"12\"}");
  wrong.object([&](std::string_view) { CHECK_FALSE(wrong.integer(i)); });
  CHECK(wrong.ok());
  CHECK(wrong.failure("w.json").message() == "w.json:2:3: this value has another type or range than is wanted here");
}

TEST_CASE("json: every member of a repeated key is delivered, in order") {
  json::reader in(R"({"a":1,"b":2,"a":3})");
  std::string seen;
  in.object([&](std::string_view key) {
    std::int64_t v = 0;
    in.integer(v);
    seen += std::string(key) + std::to_string(v);
  });
  CHECK(seen == "a1b2a3");
}

TEST_CASE("json: integer takes whole numbers in range however they are written") {
  struct row {
    const char* text;
    bool fits;
    std::int64_t value;
  };
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  const row rows[] = {
      {"0", true, 0}, {"-0", true, 0}, {"-0.0", true, 0}, {"0e999", true, 0}, {"0.000e-999", true, 0}, {"7", true, 7}, {"-12", true, -12},
      {"1e3", true, 1000}, {"3.0", true, 3}, {"1.5e1", true, 15}, {"1500e-2", true, 15}, {"1.5", false, 0}, {"1e-1", false, 0}, {"15e-2", false, 0},
      {"9223372036854775807", true, most}, {"9223372036854775808", false, 0}, {"-9223372036854775808", true, least},
      {"-9223372036854775809", false, 0}, {"9.223372036854775807e18", true, most}, {"92233720368547758070e-1", true, most},
      {"0.9223372036854775808e19", false, 0}, {"18446744073709551615", false, 0}, {"18446744073709551616", false, 0}, {"1e18", true, 1000000000000000000},
      {"1e19", false, 0}, {"1e300", false, 0}, {"100000000000000000000000e-20", true, 1000}, {"1.000000000000000000000000", true, 1},
      {"0.00000000000000000000000012e26", true, 12}, {"123456789012345678901234567890e-29", false, 0}, {"1.00000000000000000000000001", false, 0}};
  for (const row& r : rows) {
    CAPTURE(r.text);
    json::reader in(r.text);
    std::int64_t v = 4711;
    CHECK(in.integer(v) == r.fits);
    CHECK(v == (r.fits ? r.value : 4711));
    CHECK(in.finish());
  }
}

TEST_CASE("json: numbers are correctly rounded at any length") {
  struct row {
    std::string text;
    double value;
  };
  const row rows[] = {{"0.1", 0.1}, {"-0.0", -0.0}, {"1.7976931348623157e308", 1.7976931348623157e308}, {"5e-324", 5e-324}, {"2.4703282292062328e-324", 5e-324},
                      {"2e-324", 0.0}, {"-1e-400", -0.0}, {"9007199254740993", 9007199254740992.0}, {"9007199254740993.0000000000000000000000001", 9007199254740994.0},
                      {"9007199254740993." + std::string(2000, '0'), 9007199254740992.0}, {"9007199254740993." + std::string(2000, '0') + "1", 9007199254740994.0},
                      {"1" + std::string(308, '0'), 1e308}, {"0." + std::string(700000, '0') + "1e700001", 1.0},
                      {"1" + std::string(700000, '0') + "e-700000", 1.0}, {"1e-99999999999999999999999999", 0.0}, {"0e99999999999999999999999999", 0.0}};
  for (const row& r : rows) {
    const std::string head = r.text.substr(0, 60);
    CAPTURE(head);
    json::reader in(r.text);
    double v = 4711;
    REQUIRE(in.number(v));
    CHECK(std::bit_cast<std::uint64_t>(v) == std::bit_cast<std::uint64_t>(r.value));
  }
  for (const char* text : {"1e309", "1.7976931348623159e308", "-1e400", "1e99999999999999999999999999"}) {
    CAPTURE(text);
    json::reader in(text);
    double v = 0;
    CHECK_FALSE(in.number(v));
    CHECK(in.failure().detail == "this number is too large for a double");
    CHECK_FALSE(failure_of(text).empty());
  }
}

TEST_CASE("json: raw gives the source of a value, skip leaves the reader behind it") {
  json::reader in(R"({"a": {"b":[1, 2]} ,"c":"\u0041"})");
  std::string seen;
  in.object([&](std::string_view) {
    std::string_view v;
    REQUIRE(in.raw(v));
    seen.append(v).append(";");
  });
  CHECK(in.finish());
  CHECK(seen == R"({"b":[1, 2]};"\u0041";)");
}

TEST_CASE("json: an error says where, what was found and what was wanted") {
  const std::pair<const char*, const char*> rows[] = {
      {"", "line 1:1: the text ends, want a value"},
      {"{\"a\":1,\n \"b\" 2}", "line 2:6: found '2', want ':'"},
      {"{\"a\":1 \"b\"", "line 1:8: found '\"', want ',' or '}'"},
      {"{,", "line 1:2: found ',', want a name in quotes or '}'"},
      {"{\"a\":1,}", "line 1:8: found '}', want a name in quotes"},
      {"[1,]", "line 1:4: found ']', want a value"},
      {"[1 2]", "line 1:4: found '2', want ',' or ']'"},
      {"[1", "line 1:3: the text ends, want ',' or ']'"},
      {"1 x", "line 1:3: found 'x', want nothing more"},
      {"\"abc", "line 1:1: this string has no end, want '\"'"},
      {"\"a\tb\"", "line 1:3: found byte 0x09 inside a string, want an escape such as \\n or \\u0000"},
      {"\"a\xC0\xAF\"", "line 1:3: found byte 0xc0 inside a string, want UTF-8"},
      {"\"\\x\"", "line 1:2: unknown escape, want one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"},
      {"\"\\u12g4\"", "line 1:2: bad escape, want four hex digits after \\u"},
      {"\"\\ud800\"", "line 1:2: half of a surrogate pair, want \\ud800 to \\udbff and then \\udc00 to \\udfff"},
      {"-x", "line 1:2: found 'x' inside a number, want a digit"},
      {"[1.]", "line 1:4: found ']' inside a number, want a digit"},
      {"1e400", "line 1:1: this number is too large for a double"},
      {"tru", "line 1:1: unknown word, want true, false or null"}};
  for (const auto& [text, want] : rows) CHECK(failure_of(text) == want);
}

TEST_CASE("json: after an error every call gives false and loops end") {
  json::reader in(R"([1,{"a":[2,?,3]},4])");
  int calls = 0;
  CHECK_FALSE(in.array([&] {
    ++calls;
    in.object([&](std::string_view) { in.array([&] { ++calls; }); });
  }));
  CHECK(calls == 4);  // 1, the object, 2, ?
  std::string_view s;
  std::int64_t i;
  double d;
  bool b;
  CHECK(in.peek() == json::kind::error);
  CHECK_FALSE(in.string(s));
  CHECK_FALSE(in.integer(i));
  CHECK_FALSE(in.number(d));
  CHECK_FALSE(in.boolean(b));
  CHECK_FALSE(in.null());
  CHECK_FALSE(in.skip());
  CHECK_FALSE(in.raw(s));
  CHECK_FALSE(in.object([](std::string_view) { FAIL("no member"); }));
  CHECK_FALSE(in.array([] { FAIL("no element"); }));
  CHECK_FALSE(in.finish());
  CHECK(in.offset() == 11);
  CHECK(in.failure().byte == 11);
  in.reset("[5]");
  CHECK(in.ok());
  CHECK(in.array([&] { CHECK(in.integer(i)); }));
  CHECK(in.finish());
  CHECK(i == 5);
}

TEST_CASE("json: depth and string length are limited, by default 64 and 16 MiB") {
  const auto nested = [](int n) { return std::string(static_cast<std::size_t>(n), '[') + std::string(static_cast<std::size_t>(n), ']'); };
  CHECK(failure_of(nested(64)).empty());
  CHECK(failure_of(nested(65)) == "line 1:65: nested deeper than 64 levels");
  CHECK(failure_of(nested(65), json::mode::strict, {.depth = 1000}) == "line 1:65: nested deeper than 64 levels");
  CHECK(failure_of(nested(3), json::mode::strict, {.depth = 2}) == "line 1:3: nested deeper than 2 levels");
  CHECK_FALSE(failure_of(std::string(1 << 20, '[')).empty());

  const std::string too_deep = nested(65);
  json::reader in(too_deep);
  struct walk {
    json::reader& in;
    int deepest = 0;
    void value(int depth) {
      deepest = std::max(deepest, depth);
      in.array([&] { value(depth + 1); });
    }
  } w{in};
  w.value(1);
  CHECK(w.deepest == 65);  // the 65th call finds the bracket that is refused
  CHECK(in.failure().code == errc::over_limit);

  CHECK(failure_of("\"1234\"", json::mode::strict, {.string = 4}).empty());
  CHECK(failure_of("\"12345\"", json::mode::strict, {.string = 4}) == "line 1:1: this string is longer than 4 bytes");
  CHECK(failure_of("\"\\n\\n\\n\"", json::mode::strict, {.string = 4}) == "line 1:1: this string is longer than 4 bytes");
  const std::string longest(16u << 20, 'x');
  CHECK(failure_of('"' + longest + '"').empty());
  const std::string too_long = '"' + longest + "y\"";
  json::reader over(too_long);
  CHECK_FALSE(over.skip());
  CHECK(over.failure().code == errc::over_limit);
}

TEST_CASE("json: F-NET-28 tolerant_text accepts ill-formed text inside strings and counts it") {
  struct row {
    std::string text, value;
    std::uint64_t repaired;
  };
  using namespace std::string_literals;
  const row rows[] = {{"\"a\xC0\xAF z\"", "a\xC0\xAF z", 2},       {"\"\xE2\x82\"", "\xE2\x82", 1},          {"\"\xED\xA0\x80\"", "\xED\xA0\x80", 3},
                      {"\"\\ud83d\"", "\xEF\xBF\xBD", 1},          {"\"\\ude00\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 1},
                      {"\"\\ud83d\\u0041\"", "\xEF\xBF\xBD" "A", 1}, {"\"a\nb\0c\""s, "a\nb\0c"s, 2},           {"\"\xF0\x9F\x98\x80\xC3\xA9\"", "\xF0\x9F\x98\x80\xC3\xA9", 0}};
  for (const row& r : rows) {
    CAPTURE(shown(r.text));
    json::reader in(r.text, json::mode::tolerant_text);
    std::string_view v;
    CHECK(in.string(v));
    CHECK(v == r.value);
    CHECK(in.finish());
    CHECK(in.repaired() == r.repaired);
    CHECK(failure_of(r.text, json::mode::tolerant_text).empty());
    CHECK(failure_of(r.text).empty() == (r.repaired == 0));
  }
  // Only inside strings, and never a broken escape.
  for (const char* text : {"[\x01]", "\xFF", "\"\\ud83d\\u00g0\"", "\"\\q\"", "\"\x80"}) CHECK_FALSE(failure_of(text, json::mode::tolerant_text).empty());
}

TEST_CASE("json: the SSE2 scans stop where the plain ones stop, at every alignment and byte") {
  random_source random{20};
  for (int round = 0; round < 4000; ++round) {
    const std::size_t size = random.below(70), offset = random.below(17);
    std::string buffer(offset + size + 20, '"');
    for (std::size_t i = 0; i < size; ++i) buffer[offset + i] = random.below(30) == 0 ? static_cast<char>(random()) : static_cast<char>('a' + random.below(26));
    const char* const p = buffer.data() + offset;
    const char* const end = p + size;
    const auto plain = std::find_if(p, end, [](char c) { return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x80 || c == '"' || c == '\\'; });
    const auto ascii = std::find_if(p, end, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    REQUIRE(detail::plain_run(p, end) == plain);
    REQUIRE(detail::plain_run_words(p, end) == plain);
    REQUIRE(detail::ascii_run(p, end) == ascii);
    REQUIRE(detail::ascii_run_words(p, end) == ascii);
  }
  for (int c = 0; c < 256; ++c)
    for (std::size_t at = 0; at < 40; ++at) {
      std::string s(40, 'a');
      s[at] = static_cast<char>(c);
      const bool special = c < 0x20 || c >= 0x80 || c == '"' || c == '\\';
      REQUIRE(detail::plain_run(s.data(), s.data() + 40) == s.data() + (special ? at : 40));
      REQUIRE(detail::plain_run_words(s.data(), s.data() + 40) == s.data() + (special ? at : 40));
    }
}

TEST_CASE("json: strict accepts, refuses and reads 240,000 mutants as nlohmann does") {
  const std::vector<std::string> from = seeds();
  REQUIRE(from.size() >= 50);
  for (const std::string& s : from) REQUIRE(same_as_nlohmann(s));
  random_source random{1};
  std::uint64_t accepted = 0, limited = 0;
  const int count = hotpath_test::full() ? 2'000'000 : 240'000;
  for (int i = 0; i < count; ++i) {
    const std::string text = mutant(from, random);
    const comparison c = compare_with_nlohmann(text);
    if (!c.difference.empty()) FAIL(c.difference << "\n  mutant " << i << ": " << shown(text));
    accepted += c.accepted ? 1u : 0u;
    limited += c.over_limit ? 1u : 0u;
  }
  // The comparison is worth something only if both verdicts are common.
  CHECK(accepted > static_cast<std::uint64_t>(count) / 10);
  CHECK(accepted < static_cast<std::uint64_t>(count) / 2);
  CHECK(limited < static_cast<std::uint64_t>(count) / 100);
}

TEST_CASE("json: 60,000 number texts are accepted, refused and rounded as nlohmann does") {
  random_source random{2};
  std::uint64_t accepted = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string text = number_text(random);
    const comparison c = compare_with_nlohmann(text);
    if (!c.difference.empty()) FAIL(c.difference << "\n  " << shown(text));
    accepted += c.accepted ? 1u : 0u;
  }
  CHECK(accepted > 30'000);
  CHECK(accepted < 58'000);
}

TEST_CASE("json: every text that is cut short is judged as nlohmann judges it") {
  for (const std::string& s : seeds())
    for (std::size_t n = 0; n < s.size(); ++n)
      if (!same_as_nlohmann(std::string_view(s).substr(0, n))) return;
}

TEST_CASE("json: all strings of up to three bytes of JSON's alphabet are judged as nlohmann judges them") {
  using namespace std::string_literals;
  const std::string alphabet = "{}[]:,\"\\/u01259abefnrtls-+. \t\n\0\x1f\x7f\x80\xc3\xef"s;
  std::string s;
  for (const char a : alphabet)
    for (const char b : alphabet)
      for (const char c : alphabet)
        for (const bool inside : {false, true}) {
          s.assign({a, b, c});
          if (inside) s = "[\"" + s + "\"]";
          if (!same_as_nlohmann(s)) return;
        }
}

TEST_CASE("json: real files are read as nlohmann reads them, whole and line by line") {
  const auto root = hotpath_test::data_or_skip("");
  if (!root) return;
  std::size_t documents = 0;
  for (const auto& path : files_below(*root, {".json", ".jsonl"})) {
    CAPTURE(path.string());
    const std::string text = read_file(path);
    if (path.extension() == ".json") {
      REQUIRE(same_as_nlohmann(text));
      ++documents;
      continue;
    }
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      if (end > begin) {
        REQUIRE(same_as_nlohmann(std::string_view(text).substr(begin, end - begin)));
        ++documents;
      }
      begin = end + 1;
    }
  }
  CHECK(documents > 1000);
}

TEST_CASE("json: the writer puts commas, indents and separates values at the top level by a newline") {
  std::string out;
  json::writer w(out);
  w.object_begin();
  w.member("a", 1);
  w.member("b", "x");
  w.member("c", std::optional<double>());
  w.member("d", std::optional<int>(-3));
  w.key("e");
  w.array_begin();
  w.value(true);
  w.value(false);
  w.null();
  w.object_begin();
  w.object_end();
  w.array_begin();
  w.array_end();
  w.raw("[1,2]");
  w.array_end();
  w.object_end();
  CHECK(out == R"({"a":1,"b":"x","c":null,"d":-3,"e":[true,false,null,{},[],[1,2]]})");
  w.value(7);
  CHECK(out.ends_with("}\n7"));

  std::string pretty;
  json::writer p(pretty, 2);
  p.object_begin();
  p.member("a", std::string("s"));
  p.key("b");
  p.array_begin();
  p.value(1u);
  p.value(2);
  p.array_end();
  p.key("c");
  p.object_begin();
  p.object_end();
  p.object_end();
  CHECK(pretty == "{\n  \"a\": \"s\",\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": {}\n}");
}

TEST_CASE("json: the writer keeps every integer exact and every double shortest") {
  const auto written = [](auto v) {
    std::string out;
    json::writer(out).value(v);
    return out;
  };
  CHECK(written(std::numeric_limits<std::int64_t>::min()) == "-9223372036854775808");
  CHECK(written(std::numeric_limits<std::int64_t>::max()) == "9223372036854775807");
  CHECK(written(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615");
  CHECK(written(static_cast<std::int8_t>(-128)) == "-128");
  CHECK(written(static_cast<std::uint8_t>(200)) == "200");
  CHECK(written(0.1) == "0.1");
  CHECK(written(0.1f) == "0.10000000149011612");
  CHECK(written(1e21) == "1e+21");
  CHECK(written(0.0) == "0");
  CHECK(written(-0.0) == "-0.0");
  CHECK(written(5e-324) == "5e-324");
  CHECK(written(std::nan("")) == "null");
  CHECK(written(HUGE_VAL) == "null");
  CHECK(written(-HUGE_VAL) == "null");

  random_source random{3};
  for (int i = 0; i < 200'000; ++i) {
    // Half of them any bit pattern, half with few digits as measurements have.
    const double v = i % 2 == 0 ? std::bit_cast<double>(random()) : static_cast<double>(random() % 10'000'000'000) / std::pow(10.0, static_cast<double>(random.below(10)));
    const std::string text = written(v);
    if (!std::isfinite(v)) continue;
    json::reader in(text);
    double back = 0;
    REQUIRE(in.number(back));
    REQUIRE(std::bit_cast<std::uint64_t>(back) == std::bit_cast<std::uint64_t>(v));
    if (i % 8 == 0) REQUIRE(std::bit_cast<std::uint64_t>(nlohmann::json::parse(text).get<double>()) == std::bit_cast<std::uint64_t>(v));
  }
}

TEST_CASE("json: the writer escapes what must be escaped and repairs ill-formed UTF-8") {
  using namespace std::string_literals;
  std::string out;
  json::writer(out).value("q\" b\\ /\b\f\n\r\t\x01\x1f\x7f\0 é€𝄞"s);
  CHECK(out == "\"q\\\" b\\\\ /\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000 é€𝄞\"");
  out.clear();
  json::writer(out).value("a\xC0\xAF-\xE2\x82-\xED\xA0\x80-\xF4\x90\x80\x80-\xF0\x9F\x98");
  const std::string r = "\xEF\xBF\xBD";
  CHECK(out == "\"a" + r + r + "-" + r + "-" + r + r + r + "-" + r + r + r + r + "-" + r + "\"");
}

TEST_CASE("json: what the writer makes of any strings nlohmann reads back the same") {
  random_source random{4};
  for (int i = 0; i < 20'000; ++i) {
    std::string s;
    for (std::size_t n = random.below(40); n > 0; --n) s += random.below(3) == 0 ? tokens()[random.below(tokens().size())] : std::string(1, static_cast<char>(random()));
    std::string out;
    json::writer w(out, static_cast<int>(random.below(3)));
    w.object_begin();
    w.member(s, s);
    w.object_end();
    const auto dom = nlohmann::json::parse(out);
    // nlohmann's own repair: one U+FFFD per ill-formed part as well.
    const auto theirs = nlohmann::json::parse(nlohmann::json(s).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)).get<std::string>();
    REQUIRE(dom.size() == 1);
    REQUIRE(dom.begin().key() == dom.begin().value().get<std::string>());
    json::reader in(out);
    in.object([&](std::string_view key) {
      std::string_view v;
      REQUIRE(in.string(v));
      REQUIRE(v == key);
      REQUIRE(v == dom.begin().key());
    });
    REQUIRE(in.finish());
    CHECK(dom.begin().key() == theirs);
  }
}

TEST_CASE("json: F-NET-28 what tolerant_text accepted, written again, is valid and says the same") {
  const std::vector<std::string> from = seeds();
  random_source random{5};
  std::uint64_t repaired = 0;
  for (int i = 0; i < 30'000; ++i) {
    const std::string text = mutant(from, random);
    json::reader in(text, json::mode::tolerant_text);
    std::string copy;
    json::writer out(copy, i % 3);
    hotpath_test::copy_value(in, out);
    if (!in.finish()) continue;
    repaired += in.repaired() != 0 ? 1u : 0u;
    hotpath_test::event_log written, original;
    written.merge_whole = original.merge_whole = true;
    REQUIRE_MESSAGE(hotpath_test::nlohmann_events(copy, written), shown(copy));
    if (in.repaired() == 0) {
      REQUIRE(hotpath_test::nlohmann_events(text, original));
      REQUIRE_MESSAGE(original.bytes == written.bytes, shown(text));
    }
  }
  CHECK(repaired > 300);
}

TEST_CASE("json: members in a known order are taken one by one, the rest as usual; anything else is left alone") {
  const auto read = [](std::string_view text) {
    json::reader in(text);
    std::string out;
    std::string_view s;
    std::int64_t n = 0;
    if (in.begin()) {
      if (in.next_is("ph") && in.string(s)) out.append("ph=").append(s).append(" ");
      if (in.next_is("ts") && in.integer(n)) out.append("ts=").append(std::to_string(n)).append(" ");
      if (in.next_is("args")) in.skip(), out.append("args ");
      in.rest([&](std::string_view key) { out.append("[").append(key).append("] "); });
    }
    return in.finish() ? out : out + "error: " + in.failure().detail;
  };
  CHECK(read(R"({"ph":"X","ts":5,"args":{"a":[1]}})") == "ph=X ts=5 args ");
  CHECK(read("  { \"ph\" :\n\"X\" ,\t\"ts\" : 5 , \"x\" : 1, \"args\": 2}  ") == "ph=X ts=5 [x] [args] ");
  CHECK(read(R"({"ts":5,"ph":"X"})") == "ts=5 [ph] ");
  CHECK(read(R"({"phase":"X","ts":5})") == "[phase] [ts] ");
  CHECK(read(R"({"\u0070h":"X"})") == "[ph] ");
  CHECK(read("{}") == "");
  CHECK(read(R"({"ph":"X",})").find("error") != std::string::npos);
  CHECK(read(R"({"ph":"X" "ts":5})").find("error") != std::string::npos);
  CHECK(read(R"({"ph" "X"})").find("error") != std::string::npos);
  CHECK(read(R"({,"ph":"X"})").find("error") != std::string::npos);
  CHECK(read(R"({"ph":)").find("error") != std::string::npos);
  CHECK(read(R"([1])").find("error") == std::string::npos);  // another type is skipped, and no error
  const std::string_view whole = R"({"ph":"X","ts":5,"args":{"a":[1]}})";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const std::string part(whole.substr(0, cut));
    json::reader in(part);
    in.skip();
    CHECK(!in.finish());
    CHECK(in.cut_short());
  }
  for (const char* wrong : {"{\"a\":truth}", "[1 2]", "[\"\\x\"]", "[01]", "{\"a\":\x01}"}) {
    json::reader in(std::string_view{wrong});
    in.skip();
    CHECK(!in.finish());
    CHECK(!in.cut_short());
  }
}

TEST_CASE("json: a number times a power of ten is exact, rounded once, or refused") {
  const auto scaled = [](std::string_view text, unsigned power = 3) -> std::optional<std::int64_t> {
    json::reader in(text);
    std::int64_t v = 0;
    if (!in.scaled(v, power)) return std::nullopt;
    CHECK(in.finish());
    return v;
  };
  CHECK(scaled("1758513624408554.123") == 1758513624408554123);
  CHECK(scaled("4909914216210.414") == 4909914216210414);
  CHECK(scaled("0") == 0);
  CHECK(scaled("-0.0005") == -1);
  CHECK(scaled("0.0004999999999999999999999") == 0);
  CHECK(scaled("0.0005") == 1);
  CHECK(scaled("1.0015") == 1002);
  CHECK(scaled("12.345678901234567890123456789") == 12346);
  CHECK_FALSE(scaled("18446744073709551.6155"));  // rounds up to 2^64
  CHECK_FALSE(scaled("18446744073709551.6165"));
  CHECK(scaled("1e3") == 1000000);
  CHECK(scaled("1E-3") == 1);
  CHECK(scaled("1e-30") == 0);
  CHECK(scaled("9223372036854775.807") == INT64_MAX);
  CHECK(scaled("-9223372036854775.808") == INT64_MIN);
  CHECK(scaled("9223372036854775.808") == std::nullopt);
  CHECK(scaled("1e20") == std::nullopt);
  CHECK(scaled("0.00000000000000000000000000000001e40", 0) == 100000000);
  CHECK(scaled("100000000000000000000000000000e-20", 0) == 1000000000);
  CHECK(scaled("\"5\"") == std::nullopt);
}
