// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cmath>
#include <random>
#include <string>
#include <vector>
#include <hotpath/core/text.hpp>

namespace text = hotpath::text;
using hotpath::nanoseconds;
using namespace std::string_literals;

namespace {

const std::string r = "\xEF\xBF\xBD";

// One row of parse_number's error for a text, or the value.
template <class T>
std::string parsed(std::string_view s, T lo, T hi) {
  const auto v = text::parse_number<T>(s, lo, hi);
  return v ? std::to_string(*v) : v.error().message();
}

std::string duration(std::string_view s) {
  const auto d = text::parse_duration(s);
  return d ? std::to_string(d->ns) : d.error().message();
}

std::vector<std::vector<std::string>> rows_of(std::string_view csv, std::string* error = nullptr, char separator = ',') {
  text::csv_reader in(csv, separator);
  std::vector<std::string_view> row;
  std::vector<std::vector<std::string>> all;
  while (in.next(row)) all.emplace_back(row.begin(), row.end());
  if (error != nullptr) *error = in.ok() ? "" : in.failure("t.csv").message();
  return all;
}

std::string redact(std::string_view s, const std::vector<std::string_view>& secrets) { return text::redact_text(s, secrets); }

}  // namespace

TEST_CASE("text: UTF-8 is valid exactly where the Unicode standard's table says so") {
  for (const char* good : {"", "a", "\x7F", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80",
                           "\xF4\x8F\xBF\xBF", "twenty ASCII letters and \xE2\x82\xAC behind"})
    CHECK(text::is_utf8(good));
  CHECK(text::is_utf8("a\0b"s));
  for (const char* bad : {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xE2\x82", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF", "twenty ASCII letters and \xE2\x82", "\xF0\x9F\x98"})
    CHECK_FALSE(text::is_utf8(bad));
}

TEST_CASE("text: is_utf8 and repair_utf8 agree with decoding by definition on four bytes from all edges of the table") {
  // Decodes by arithmetic instead of ranges: the value decides whether a sequence was overlong, a surrogate or too large.
  const auto sequence = [](std::string_view s) -> std::size_t {
    const auto b = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(s[i])); };
    if (b(0) < 0x80) return 1;
    const std::size_t n = (b(0) >> 5) == 6 ? 2 : (b(0) >> 4) == 14 ? 3 : (b(0) >> 3) == 30 ? 4 : 0;
    if (n == 0 || s.size() < n) return 0;
    unsigned v = b(0) & (0x7Fu >> n);
    for (std::size_t i = 1; i < n; ++i) {
      if ((b(i) >> 6) != 2) return 0;
      v = v << 6 | (b(i) & 63);
    }
    const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    return v >= least[n] && v <= 0x10FFFF && (v < 0xD800 || v > 0xDFFF) ? n : 0;
  };
  const unsigned char edges[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
  for (const unsigned char a : edges)
    for (const unsigned char b : edges)
      for (const unsigned char c : edges)
        for (const unsigned char d : edges) {
          const std::string s{static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)};
          bool valid = true;
          for (std::size_t i = 0; i < s.size() && valid;) {
            const std::size_t n = sequence(std::string_view(s).substr(i));
            valid = n != 0;
            i += n;
          }
          REQUIRE(text::is_utf8(s) == valid);
          std::uint64_t count = 0;
          const std::string repaired = text::repair_utf8(s, &count);
          REQUIRE((count == 0) == valid);
          REQUIRE((repaired == s) == valid);
          REQUIRE(text::is_utf8(repaired));
        }
}

TEST_CASE("text: repair puts one U+FFFD for each maximal subpart, as the Unicode standard's examples show") {
  std::uint64_t count = 10;
  CHECK(text::repair_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", &count) == r + r + r + r + r + r + r + r + "A");
  CHECK(count == 18);
  CHECK(text::repair_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") == r + r + r + r + r + r + r + r + "A");
  CHECK(text::repair_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") == r + r + r + r + r + "A" + r + r + "B");
  CHECK(text::repair_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == r + r + r + r + "A");
  CHECK(text::repair_utf8("") == "");
  CHECK(text::repair_utf8("kept: é€𝄞") == "kept: é€𝄞");
}

TEST_CASE("text: F-NET-10 F-OUT-04 printable lets no control byte, escape sequence or direction mark through") {
  CHECK(text::printable("plain é€𝄞 text") == "plain é€𝄞 text");
  CHECK(text::printable("a\nb\tc\rd\0e"s) == "a\\nb\\tc\\rd\\x00e");
  CHECK(text::printable("\x1b]0;title\x07\x1b[2J\x7f") == "\\x1b]0;title\\x07\\x1b[2J\\x7f");
  CHECK(text::printable("\xC2\x9B" "31m\xC2\x85") == "\\u009b31m\\u0085");
  CHECK(text::printable("\xE2\x80\xAE" "abc\xE2\x81\xA6\xE2\x80\x8B\xE2\x80\xA8\xEF\xBB\xBF\xF3\xA0\x81\x81") == "\\u202eabc\\u2066\\u200b\\u2028\\ufeff\\U000e0041");
  CHECK(text::printable("cut \xE2\x82") == "cut " + r);
  for (int c = 0; c < 256; ++c)
    for (const char* tail : {"", "\x80", "\x9F\x80"})
      for (const char shown : text::printable(static_cast<char>(c) + std::string(tail))) CHECK((static_cast<unsigned char>(shown) >= 0x20 && shown != 0x7F));
}

TEST_CASE("text: printable keeps to its limit and cuts between characters") {
  const std::string euros = "€€€€";  // 12 bytes
  CHECK(text::printable(euros, 12) == euros);
  CHECK(text::printable(euros, 11) == "€€…");
  CHECK(text::printable(euros, 9) == "€€…");
  CHECK(text::printable(euros, 8) == "€…");
  CHECK(text::printable(euros, 3) == "…");
  CHECK(text::printable(euros, 2) == "");
  CHECK(text::printable("ab", 2) == "ab");
  CHECK(text::printable("abc", 2) == "");
  CHECK(text::printable("", 0) == "");
  CHECK(text::printable("abcdef\x1b", 9) == "abcdef…");  // an escape is not cut either
  const std::string bytes = "a\x1b\xE2\x82\xAC\xFF\n\xF0\x9F\x98\x80z";
  for (std::size_t max = 0; max < 40; ++max) {
    const std::string s = text::printable(bytes + bytes, max);
    CHECK(s.size() <= max);
    CHECK(text::is_utf8(s));
  }
  CHECK(text::printable(std::string(1 << 20, 'x')).size() == 512);
}

TEST_CASE("text: trim, take, split and comparing without case") {
  CHECK(text::trim(" \t a b\r\n") == "a b");
  CHECK(text::trim("") == "");
  CHECK(text::trim(" \n ") == "");
  std::string_view rest = "a:b:c";
  CHECK(text::take(rest, ':') == "a");
  CHECK(rest == "b:c");
  CHECK(text::take(rest, ';') == "b:c");
  CHECK(rest.empty());
  CHECK(text::take(rest, ';') == "");
  const auto pieces = [](std::string_view s) {
    std::string out;
    text::split(s, ',', [&](std::string_view p) { out.append("[").append(p).append("]"); });
    return out;
  };
  CHECK(pieces("a,,b") == "[a][][b]");
  CHECK(pieces("") == "[]");
  CHECK(pieces("a,") == "[a][]");
  CHECK(text::equal_ignoring_case("Content-TYPE", "content-type"));
  CHECK_FALSE(text::equal_ignoring_case("a", "ab"));
  CHECK_FALSE(text::equal_ignoring_case("[", "{"));  // differ in the bit that makes letters lower case
  CHECK(text::starts_with_ignoring_case("BEARER x", "bearer "));
  CHECK_FALSE(text::starts_with_ignoring_case("Bear", "bearer"));
  CHECK(text::lower("AZaz09\xC3\x84") == "azaz09\xC3\x84");
}

TEST_CASE("text: to_number wants the whole text to be one number in range") {
  std::int64_t i = 4711;
  for (const char* bad : {"", "-", "+1", " 1", "1 ", "0x10", "1.0", "1e3", "9223372036854775808", "-9223372036854775809", "--1", "1_000", "\xD9\xA1"}) {
    CAPTURE(bad);
    CHECK_FALSE(text::to_number(bad, i));
    CHECK(i == 4711);
  }
  CHECK(text::to_number("-9223372036854775808", i));
  CHECK(i == std::numeric_limits<std::int64_t>::min());
  CHECK(text::to_number("007", i));
  CHECK(i == 7);
  std::uint64_t u = 4711;
  for (const char* bad : {"", "-1", "-0", "18446744073709551616"}) CHECK_FALSE(text::to_number(bad, u));
  CHECK(u == 4711);
  CHECK(text::to_number("18446744073709551615", u));
  CHECK(u == std::numeric_limits<std::uint64_t>::max());
  double d = 4711;
  for (const char* bad : {"", ".", "-", "inf", "-inf", "nan", "infinity", "1e999", "1,5", "1.5 ", "0x1p3", "1e", "-nan(x)"}) {
    CAPTURE(bad);
    CHECK_FALSE(text::to_number(bad, d));
    CHECK(d == 4711);
  }
  CHECK(text::to_number("-1.5e-3", d));
  CHECK(d == -1.5e-3);
}

TEST_CASE("text: a number's error says what was given and what was wanted") {
  CHECK(parsed<std::int64_t>("8080", 1, 65535) == "8080");
  CHECK(parsed<std::int64_t>("1", 1, 1) == "1");
  CHECK(parsed<std::int64_t>("0", 1, 65535) == "\"0\" is out of range, want a whole number from 1 to 65535");
  CHECK(parsed<std::int64_t>("99999999999999999999", 1, 65535) == "\"99999999999999999999\" is out of range, want a whole number from 1 to 65535");
  CHECK(parsed<std::int64_t>("8O80", 1, 65535) == "\"8O80\" is not a number, want a whole number from 1 to 65535");
  CHECK(parsed<std::uint64_t>("-3", 0, 9) == "\"-3\" is out of range, want a whole number from 0 to 9");
  CHECK(parsed<std::uint64_t>("-3x", 0, 9) == "\"-3x\" is not a number, want a whole number from 0 to 9");
  CHECK(parsed<double>("1.5", 0, 1) == "\"1.5\" is out of range, want a number from 0 to 1");
  CHECK(parsed<double>("nan", 0, 1) == "\"nan\" is not a number, want a number from 0 to 1");
  CHECK(parsed<double>("\x1b[31m", 0, 1) == "\"\\x1b[31m\" is not a number, want a number from 0 to 1");
  CHECK(text::parse_number<std::int64_t>("-5").value() == -5);
}

TEST_CASE("text: durations have a unit and are exact to the nanosecond") {
  const std::pair<const char*, std::int64_t> good[] = {
      {"500ms", 500'000'000}, {"50us", 50'000}, {"50µs", 50'000}, {"7ns", 7}, {"30s", 30'000'000'000}, {"2m", 120'000'000'000}, {"2min", 120'000'000'000}, {"1h", 3'600'000'000'000},
      {"0s", 0}, {"1.5s", 1'500'000'000}, {"0.1ms", 100'000}, {"0.0000001s", 100}, {"1.0000000005s", 1'000'000'001}, {"1.4ns", 1}, {"1.5ns", 2}, {"0.333333333333333333h", 1'200'000'000'000},
      {"0.29us", 290}, {"2562047h", 9'223'369'200'000'000'000}, {"9223372036854775807ns", std::numeric_limits<std::int64_t>::max()}};
  for (const auto& [given, ns] : good) {
    const char* const s = given;  // a structured binding cannot be captured
    CAPTURE(s);
    CHECK(duration(s) == std::to_string(ns));
  }
  const std::string want = ", want a duration such as 500ms, 1.5s or 2m";
  CHECK(duration("500") == "\"500\" has no unit" + want);
  CHECK(duration("1.5") == "\"1.5\" has no unit" + want);
  CHECK(duration("5 s") == "\"5 s\" has an unknown unit" + want);
  CHECK(duration("5S") == "\"5S\" has an unknown unit" + want);
  CHECK(duration("1s500ms") == "\"1s500ms\" has an unknown unit" + want);
  for (const char* s : {"", "s", "-1s", "+1s", ".5s", "1.s", " 1s", "1,5s", "1e3s", "inf"}) {
    CAPTURE(s);
    CHECK_FALSE(text::parse_duration(s));
  }
  for (const char* s : {"2562048h", "9223372036854775808ns", "9223372036854775807.5ns", "99999999999999999999s"}) CHECK(duration(s) == "\"" + std::string(s) + "\" is longer than 292 years" + want);
}

TEST_CASE("text: F-OUT-03 CSV fields with separators, quotes and newlines are quoted, formulas guarded only on request") {
  const auto line = [](const std::vector<std::string>& fields, text::csv_options o = {}) {
    std::string out;
    text::csv_writer w(out, o);
    for (const std::string& f : fields) w.field(f);
    w.end_row();
    return out;
  };
  CHECK(line({"a", "b c", "é"}) == "a,b c,é\n");
  CHECK(line({"a,b", "q\"q", "n\nn", "r\rr"}) == "\"a,b\",\"q\"\"q\",\"n\nn\",\"r\rr\"\n");
  CHECK(line({"", "", ""}) == ",,\n");
  CHECK(line({""}) == "\"\"\n");
  CHECK(line({"a,b", "c;d"}, {.separator = ';'}) == "a,b;\"c;d\"\n");
  for (const char* formula : {"=1+1", "+1", "-1", "@x", "\tx", "\rx"}) {
    CHECK(line({"a", formula}, {.formula_guard = true}) == "a,\"'" + std::string(formula) + "\"\n");
    CHECK(line({"a", formula}).find('\'') == std::string::npos);
  }
  CHECK(line({"a=1", "'x"}, {.formula_guard = true}) == "a=1,'x\n");

  std::string out;
  text::csv_writer w(out, {.formula_guard = true});
  w.field(-1.5);
  w.field(-7);
  w.field(true);
  w.field(std::optional<int>());
  w.field(std::optional<double>(0.1));
  w.field(std::nan(""));
  w.field(std::numeric_limits<std::uint64_t>::max());
  w.field("x");
  w.end_row();
  w.end_row();
  CHECK(out == "-1.5,-7,true,,0.1,,18446744073709551615,x\n\n");
}

TEST_CASE("text: CSV rows are read with both line ends, quotes, empty fields and a byte order mark") {
  using rows = std::vector<std::vector<std::string>>;
  CHECK(rows_of("") == rows{});
  CHECK(rows_of("\xEF\xBB\xBF" "a,b\r\n1,2") == rows{{"a", "b"}, {"1", "2"}});
  CHECK(rows_of("a\n\n\r\nb\n") == rows{{"a"}, {"b"}});
  CHECK(rows_of(",\n,,") == rows{{"", ""}, {"", "", ""}});
  CHECK(rows_of("\"\"\n") == rows{{""}});
  CHECK(rows_of("\"a,\"\"b\"\"\",c\"d,\"e\nf\",\"\"\"\",\"plain\"\r\n") == rows{{"a,\"b\"", "c\"d", "e\nf", "\"", "plain"}});
  CHECK(rows_of("a\rb;c", nullptr, ';') == rows{{"a\rb", "c"}});

  std::string error;
  CHECK(rows_of("a,b\n\"x\ny\",\"open\nz", &error) == rows{{"a", "b"}});
  CHECK(error == "t.csv:3:4: this field has no closing quote");
  CHECK(rows_of("\"a\"b\n", &error).empty());
  CHECK(error == "t.csv:1:4: found text behind the closing quote of a field, want a separator or the end of the line");

  text::csv_reader in("a\n\"b\nc\"\n\nd\n");
  std::vector<std::string_view> row;
  std::vector<std::uint64_t> lines;
  while (in.next(row)) lines.push_back(in.line());
  CHECK(lines == std::vector<std::uint64_t>{1, 2, 5});
}

TEST_CASE("text: what the CSV writer wrote the reader reads back, whatever the fields hold") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::vector<std::string>> want(1 + random() % 4);
    std::string out;
    text::csv_writer w(out);
    for (auto& row : want) {
      row.resize(1 + random() % 5);
      for (std::string& f : row) {
        for (std::size_t n = random() % 8; n > 0; --n) f.push_back(",\"\n\rab; \xC3="[random() % 10]);
        if (random() % 3 == 0) f += std::string(30, '"');
        w.field(f);
      }
      w.end_row();
    }
    // The reader skips the byte order mark of files; nothing here begins with one.
    std::string error;
    REQUIRE(rows_of(out, &error) == want);
    REQUIRE(error.empty());
  }
}

TEST_CASE("text: secret names are known in every spelling, ordinary ones are not") {
  for (const char* name : {"Authorization", "proxy-authorization", "Cookie", "Set-Cookie", "api-key", "api_key", "apikey", "APIKey", "X-API-Key", "x-goog-api-key", "Ocp-Apim-Subscription-Key",
                           "subscriptionKey", "key", "token", "access_token", "accessToken", "X-Auth-Token", "x-vault-token", "X-Amz-Security-Token", "hf_token", "secret", "client_secret", "password", "passwd",
                           "PASSWORD2", "pwd", "passphrase", "credential", "X-Amz-Credential", "X-Amz-Signature", "sig", "aws_secret_access_key", "openai-api-key", "auth", "jwt", "id_token", "bearer"})
    CHECK_MESSAGE(text::is_secret_name(name), name);
  for (const char* name : {"", "max_tokens", "prompt_tokens", "content-type", "accept", "host", "x-request-id", "model", "stream", "user-agent", "keyboard", "author", "n", "tokenizer",
                           "tokens", "monkey", "design", "compass", "X-Requested-With", "keep-alive"})
    CHECK_FALSE_MESSAGE(text::is_secret_name(name), name);
}

TEST_CASE("text: a redacted URL has no user, no password and no secret value") {
  const std::pair<const char*, const char*> rows[] = {
      {"http://host:8000/v1", "http://host:8000/v1"},
      {"https://user:pass@host/v1?x=1", "https://host/v1?x=1"},
      {"https://user@host", "https://host"},
      {"https://a:b@c@host/p@q", "https://host/p@q"},
      {"https://user:pa/ss@host/v1", "https://host/v1"},
      {"http://host/v1?api_key=SECRET&model=m", "http://host/v1?api_key=[redacted]&model=m"},
      {"http://host/?a=1&ToKeN=SECRET", "http://host/?a=1&ToKeN=[redacted]"},
      {"http://host/?api%5Fkey=SECRET;b=2", "http://host/?api%5Fkey=[redacted];b=2"},
      {"http://host/#access_token=SECRET&state=1", "http://host/#access_token=[redacted]&state=1"},
      {"http://host/?key=a=b=c", "http://host/?key=[redacted]"},
      {"http://host/?key", "http://host/?key"},
      {"http://host?key=SECRET", "http://host?key=[redacted]"},
      {"http://[::1]:8000/@x?max_tokens=5", "http://[::1]:8000/@x?max_tokens=5"},
      {"user:SECRET@host:8000", "host:8000"},
      {"unix:/run/server.sock", "unix:/run/server.sock"},
      {"/v1/models?password=SECRET", "/v1/models?password=[redacted]"},
      {"", ""}};
  for (const auto& [url, want] : rows) CHECK(text::redact_url(url) == want);
}

TEST_CASE("text: every occurrence of a secret is replaced, the longest first") {
  CHECK(redact("Bearer sk-1234 and sk-1234.", {"sk-1234"}) == "Bearer [redacted] and [redacted].");
  CHECK(redact("sk-1234567", {"sk-1234", "sk-1234567", ""}) == "[redacted]");
  CHECK(redact("aaaa", {"aa"}) == "[redacted][redacted]");
  CHECK(redact("nothing here", {"secret"}) == "nothing here");
  CHECK(redact("", {"secret"}) == "");
  CHECK(redact("secre", {"secret"}) == "secre");
  CHECK(redact("text", {}) == "text");
}
