// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics/parse.hpp - one pass over a page of metrics, without copies: Prometheus text 0.0.4 and 1.0.0, OpenMetrics 1.0.
//
//     struct {
//       bool wants(std::string_view name) { return name.starts_with("vllm:"); }       // optional: other samples are not looked at
//       void sample(const metrics::sample& s) { total += s.value; }                   // its views live as long as the page
//     } sink;
//     const metrics::parsed p = metrics::parse(page, sink);
//     if (p.lost) log(p.problem_line, p.problem);
//
//   A sink may also have type(name, metrics::family_type), help(name, text) and unit(name, text), all raw (see unescape()).
//   Tolerant: a line that is wrong is counted as malformed and skipped, one beyond a limit as over_limit; a last line without a
//   line end counts if it is right, else it is truncated. Accepted besides the formats: CRLF, a byte order mark, blanks before a
//   name, a comma after the last label, exemplars in Prometheus text, an OpenMetrics page that goes on after # EOF.
//   Malformed: a label name twice, a NUL byte, numbers in hexadecimal, with underscores, or beyond the
//   range of a double. Lines that `wants` refuses are not checked. Nothing is allocated; nothing throws. The formats: Prometheus
//   "Exposition formats", OpenMetrics 1.0.
//   Measured (tests/bench/metrics, g++ 12 -O3, one AMD EPYC core, a page like vLLM's of 7.7 MiB): 1.1 GB/s with every label and value
//   read, 3.9 GB/s where three names are wanted (prometheus_client 0.26 in the same run: 7.6 MB/s).
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <hotpath/model/loss.hpp>

namespace hotpath::inline HOTPATH_ABI::metrics {

struct limits {
  std::uint64_t samples = 200'000;
  std::size_t body = 16u << 20;
  std::size_t label_value = 4096;   // bytes between the quotes, escapes not decoded; of names and exemplars too
  std::size_t labels = 128;         // of one sample, at most 128
};

enum class format : std::uint8_t { automatic, text, openmetrics };  // automatic: OpenMetrics if it ends in # EOF
enum class family_type : std::uint8_t { unknown, counter, gauge, histogram, gaugehistogram, summary, info, stateset };

// Raw: as written between the quotes. `escaped`: it has a backslash, and means something else than it says.
struct label {
  std::string_view name, value;
  bool name_escaped = false, escaped = false;
};

// What a quoted name, a label value or a help text means: \\ \" \n; other escapes stay as they are. `scratch` is used if there is any.
inline std::string_view unescape(std::string_view raw, std::string& scratch) {
  if (raw.find('\\') == std::string_view::npos) return raw;
  scratch.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char next = raw[i] == '\\' && i + 1 < raw.size() ? raw[i + 1] : '\0';
    if (next == '\\' || next == '"' || next == 'n') scratch += next == 'n' ? '\n' : next, ++i;
    else scratch += raw[i];
  }
  return scratch;
}

namespace detail {

enum : std::uint8_t { name_start = 1, name_rest = 2, label_start = 4, label_rest = 8 };
inline constexpr std::array<std::uint8_t, 256> classes = [] {
  std::array<std::uint8_t, 256> t{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_', digit = c >= '0' && c <= '9';
    if (letter) t[c] = name_start | name_rest | label_start | label_rest;
    else if (digit) t[c] = name_rest | label_rest;
    else if (c == ':') t[c] = name_start | name_rest;
  }
  return t;
}();
constexpr bool is(char c, std::uint8_t what) { return (classes[static_cast<unsigned char>(c)] & what) != 0; }

inline const char* blanks(const char* p, const char* end) {
  while (p != end && (*p == ' ' || *p == '\t')) ++p;
  return p;
}
inline bool at_line_end(const char* p, const char* end) {
  return p == end || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
}
inline const char* next_line(const char* p, const char* end) {
  const void* n = p == end ? nullptr : std::memchr(p, '\n', static_cast<std::size_t>(end - p));
  return n == nullptr ? end : static_cast<const char*>(n) + 1;
}

// Behind the closing quote of what begins at p (behind the opening one), or null: there is none on this line.
inline const char* quoted(const char* p, const char* end, bool& escaped) {
  escaped = false;
  for (;;) {
    if constexpr (std::endian::native == std::endian::little) {
      // Eight bytes at once up to one that is a quote, a backslash or below 0x20 (Mycroft's test; the lowest hit is exact).
      constexpr std::uint64_t ones = 0x0101010101010101u, tops = ones * 0x80;
      while (end - p >= 8) {
        std::uint64_t w = 0;
        std::memcpy(&w, p, 8);
        const std::uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        const std::uint64_t hit = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w)) & tops;
        if (hit != 0) {
          p += std::countr_zero(hit) >> 3;
          break;
        }
        p += 8;
      }
    }
    if (p == end) return nullptr;
    const char c = *p++;
    if (c == '"') return p;
    if (c == '\\') {
      escaped = true;
      if (p == end || *p == '\n' || *p == '\0') return nullptr;
      ++p;
    } else if (c == '\n' || c == '\0') {
      return nullptr;
    }
  }
}

enum class fault : std::uint8_t {
  none, no_name, open_quote, empty_name, no_label_name, no_equals, no_quote, no_brace, label_twice, no_value, bad_value, bad_timestamp, bad_exemplar, rest,
  too_many_labels, too_long
};
constexpr const char* text_of(fault f) {
  constexpr const char* texts[] = {
      "", "a metric's name was expected", "a quote is not closed on this line", "an empty name", "a label's name was expected", "'=' was expected after a label's name",
      "a label's value in quotes was expected", "',' or '}' was expected after a label", "a label occurs twice", "the value is missing", "the value is not a number",
      "the time stamp is not a number", "the exemplar is not {labels} and a number", "something follows the value", "too many labels", "a name or a label value is too long"};
  return texts[static_cast<std::size_t>(f)];
}

// One label or quoted name of "{...}"; p stands on its first byte, not a blank. Bytes beyond `longest` are too_long.
inline fault read_label(const char*& p, const char* end, label& out, bool& alone, std::size_t longest) {
  alone = false;
  if (*p == '"') {
    const char* const begin = p + 1;
    const char* const close = quoted(begin, end, out.name_escaped);
    if (close == nullptr) return fault::open_quote;
    out.name = {begin, static_cast<std::size_t>(close - 1 - begin)};
    p = close;
    if (out.name.empty()) return fault::empty_name;
  } else {
    const char* const begin = p;
    if (!is(*p, label_start)) return fault::no_label_name;
    do ++p;
    while (p != end && is(*p, label_rest));
    out.name = {begin, static_cast<std::size_t>(p - begin)};
    out.name_escaped = false;
  }
  if (out.name.size() > longest) return fault::too_long;
  if (p != end && *p != '=') p = blanks(p, end);
  if (p == end || *p != '=') {
    alone = true;
    return fault::none;
  }
  ++p;
  if (p != end && *p != '"') p = blanks(p, end);
  if (p == end || *p != '"') return fault::no_quote;
  const char* const begin = ++p;
  const char* const close = quoted(begin, end, out.escaped);
  if (close == nullptr) return fault::open_quote;
  out.value = {begin, static_cast<std::size_t>(close - 1 - begin)};
  p = close;
  return out.value.size() > longest ? fault::too_long : fault::none;
}

// Of a whole token. Decimal, NaN, [+-]Inf (and Infinity, in any case); hexadecimal and what no double holds is refused.
inline bool slow_number(const char* p, const char* end, double& out) {
  const bool sign = p != end && (*p == '+' || *p == '-'), negative = sign && *p == '-';
  if (sign) ++p;
  const std::string_view word{p, static_cast<std::size_t>(end - p)};
  const auto same = [&](std::string_view w) {
    if (w.size() != word.size()) return false;
    for (std::size_t i = 0; i < w.size(); ++i)
      if ((word[i] | 0x20) != w[i]) return false;
    return true;
  };
  if (same("inf") || same("infinity")) {
    out = negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return true;
  }
  if (same("nan") && !sign) {
    out = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (word.empty() || !((word[0] >= '0' && word[0] <= '9') || word[0] == '.')) return false;
  double v = 0;
  const auto r = std::from_chars(p, end, v);
  if (r.ec != std::errc{} || r.ptr != end) return false;
  out = negative ? -v : v;
  return true;
}

// The token at p; false: none, or not a number. p is behind it only if it is one.
inline bool number(const char*& p, const char* end, double& out) {
  constexpr double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const char* q = p;
  const bool negative = q != end && *q == '-';
  if (negative) ++q;
  std::uint64_t digits = 0;
  unsigned count = 0, fraction = 0;
  while (q != end && *q >= '0' && *q <= '9' && count < 16) digits = digits * 10 + static_cast<unsigned>(*q++ - '0'), ++count;
  if (count != 0 && q != end && *q == '.') {
    ++q;
    while (q != end && *q >= '0' && *q <= '9' && count < 16) digits = digits * 10 + static_cast<unsigned>(*q++ - '0'), ++count, ++fraction;
  }
  const auto ends = [&](const char* at) { return at == end || *at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'; };
  // At most 15 digits: both operands are exact, so the quotient is the nearest double (Clinger 1990).
  if (count != 0 && count <= 15 && ends(q)) {
    const double v = static_cast<double>(digits) / powers[fraction];
    out = negative ? -v : v;
    p = q;
    return true;
  }
  while (!ends(q)) ++q;
  if (!slow_number(p, q, out)) return false;
  p = q;
  return true;
}

}  // namespace detail

// What stands between the braces of one sample, checked by the parser; views into the page.
class label_set {
 public:
  label_set() = default;
  explicit label_set(std::string_view raw) : raw_(raw) {}
  std::string_view raw() const { return raw_; }
  bool empty() const { return raw_.empty(); }

  // f(const label&), in the order of the page.
  template <class F>
  void for_each(F&& f) const {
    const char *p = raw_.data(), *const end = p + raw_.size();
    for (;;) {
      while (p != end && (*p == ' ' || *p == '\t' || *p == ',')) ++p;
      if (p == end) return;
      label l;
      bool alone = false;
      if (detail::read_label(p, end, l, alone, raw_.size()) != detail::fault::none) return;
      if (!alone) f(static_cast<const label&>(l));
    }
  }

 private:
  std::string_view raw_;
};

inline constexpr double no_timestamp = std::numeric_limits<double>::quiet_NaN();

struct sample {
  std::string_view name = {};        // raw; with a suffix such as _bucket
  bool name_escaped = false;
  label_set labels = {};
  double value = 0;
  double timestamp_s = no_timestamp; // since 1970, in seconds in every format; NaN: none
  bool has_exemplar = false;
  label_set exemplar_labels = {};
  double exemplar_value = 0, exemplar_timestamp_s = no_timestamp;
};

struct parsed {
  std::uint64_t lines = 0, samples = 0;  // samples: right ones and those that were not wanted
  std::uint64_t unwanted = 0;            // of them
  model::loss lost;                      // lines; a body beyond its limit is one more
  std::uint64_t problem_line = 0;        // the first that was lost, from 1; 0: none
  std::string_view problem;              // what was wrong with it
  bool ended = false;                    // # EOF was there
};

namespace detail {

template <class Sink>
class page_parser {
 public:
  page_parser(std::string_view text, Sink& sink, const limits& l, format f) : sink_(sink), limits_(l) {
    if (limits_.labels > most_labels) limits_.labels = most_labels;
    if (text.size() > limits_.body) {
      text = text.substr(0, limits_.body);
      const auto end = text.rfind('\n');
      text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
      lose(out_.lost.over_limit, "the page is larger than its limit");
      out_.problem_line = 0;  // no line is to blame
    }
    if (f == format::automatic) {
      std::string_view tail = text;
      while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r')) tail.remove_suffix(1);
      f = tail.ends_with("# EOF") ? format::openmetrics : format::text;
    }
    openmetrics_ = f == format::openmetrics;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    p_ = text.data(), end_ = p_ + text.size();
  }

  parsed run() {
    while (p_ != end_) {
      ++out_.lines;
      const char* p = blanks(p_, end_);
      if (at_line_end(p, end_)) p_ = next_line(p, end_);
      else if (*p == '#') comment(p);
      else line(p);
    }
    if (openmetrics_ && !out_.ended) lose(out_.lost.truncated, "the page ends without # EOF");
    return out_;
  }

 private:
  static constexpr std::size_t most_labels = 128;

  void lose(std::uint64_t& count, std::string_view why) {
    ++count;
    if (out_.problem.empty()) out_.problem = why, out_.problem_line = out_.lines;
  }

  void line(const char* p) {
    if (out_.samples >= limits_.samples) {
      lose(out_.lost.over_limit, "more samples than the limit");
      p_ = next_line(p, end_);
      return;
    }
    const fault f = read(p);
    if (f == fault::none) {
      ++out_.samples;
      return;
    }
    const char* const next = next_line(p, end_);
    const bool cut = next == end_ && (next == p || next[-1] != '\n');
    lose(f == fault::too_many_labels || f == fault::too_long ? out_.lost.over_limit : cut ? out_.lost.truncated : out_.lost.malformed, text_of(f));
    p_ = next;
  }

  // p on the first byte of a sample. On success p_ is at the next line.
  fault read(const char* p) {
    sample s;
    if (*p != '{') {
      const char* const begin = p;
      if (!is(*p, name_start)) return fault::no_name;
      do ++p;
      while (p != end_ && is(*p, name_rest));
      s.name = {begin, static_cast<std::size_t>(p - begin)};
      if (p != end_ && *p != '{' && *p != ' ' && *p != '\t' && !at_line_end(p, end_)) return fault::no_name;
      if (s.name.size() > limits_.label_value) return fault::too_long;
      if (refused(s.name, p)) return fault::none;
      p = blanks(p, end_);
    }
    if (p != end_ && *p == '{') {
      if (const fault f = braces(++p, s.labels, s.name.empty() ? &s : nullptr); f != fault::none) return f;
      if (s.name.empty()) return fault::no_name;
      p = blanks(p, end_);
    }
    if (at_line_end(p, end_) || *p == '#') return fault::no_value;
    if (!number(p, end_, s.value)) return fault::bad_value;
    p = blanks(p, end_);
    if (!at_line_end(p, end_) && *p != '#') {
      if (!timestamp(p, s.timestamp_s)) return fault::bad_timestamp;
      p = blanks(p, end_);
    }
    if (!at_line_end(p, end_) && *p == '#') {
      if (const fault f = exemplar(p, s); f != fault::none) return f;
      p = blanks(p, end_);
    }
    if (!at_line_end(p, end_)) return fault::rest;
    p_ = next_line(p, end_);
    if (wanted(s)) sink_.sample(static_cast<const sample&>(s));
    return fault::none;
  }

  // A name that stood in quotes is known only now.
  bool wanted(const sample& s) {
    if constexpr (asks) {
      if (in_braces_ && !sink_.wants(s.name)) {
        ++out_.unwanted;
        return false;
      }
    }
    return true;
  }

  bool refused(std::string_view name, const char* p) {
    in_braces_ = false;
    if constexpr (asks) {
      if (!sink_.wants(name)) {
        ++out_.unwanted;
        p_ = next_line(p, end_);
        return true;
      }
    }
    return false;
  }

  // Behind '{' up to behind '}'. `named`: a name in quotes stands among the labels, first.
  fault braces(const char*& p, label_set& out, sample* named) {
    std::array<std::string_view, most_labels> seen;
    std::size_t count = 0;
    const char* const begin = p;
    if (named != nullptr) in_braces_ = true;
    for (;;) {
      p = blanks(p, end_);
      if (p == end_ || *p == '\n') return fault::no_brace;
      if (*p == '}') break;
      label l;
      bool alone = false;
      if (const fault f = read_label(p, end_, l, alone, limits_.label_value); f != fault::none) return f;
      if (alone) {
        if (named == nullptr || !named->name.empty() || count != 0 || l.name.data()[-1] != '"') return fault::no_equals;
        named->name = l.name, named->name_escaped = l.name_escaped;
      } else {
        for (std::size_t i = 0; i < count; ++i)
          if (seen[i].size() == l.name.size() && std::memcmp(seen[i].data(), l.name.data(), l.name.size()) == 0) return fault::label_twice;
        if (count == limits_.labels) return fault::too_many_labels;
        seen[count++] = l.name;
      }
      if (p != end_ && *p != ',' && *p != '}') p = blanks(p, end_);
      if (p == end_ || (*p != ',' && *p != '}')) return fault::no_brace;
      if (*p == '}') break;
      ++p;
    }
    out = label_set{{begin, static_cast<std::size_t>(p - begin)}};
    ++p;
    return fault::none;
  }

  bool timestamp(const char*& p, double& out) {
    double v = 0;
    if (!number(p, end_, v) || v - v != 0) return false;  // not finite
    out = openmetrics_ ? v : v / 1000;
    return true;
  }

  fault exemplar(const char*& p, sample& s) {
    p = blanks(p + 1, end_);
    if (p == end_ || *p != '{') return fault::bad_exemplar;
    if (const fault f = braces(++p, s.exemplar_labels, nullptr); f != fault::none) return f;
    p = blanks(p, end_);
    if (!number(p, end_, s.exemplar_value)) return fault::bad_exemplar;
    p = blanks(p, end_);
    if (!at_line_end(p, end_)) {
      double v = 0;
      if (!number(p, end_, v) || v - v != 0) return fault::bad_exemplar;
      s.exemplar_timestamp_s = v;
    }
    s.has_exemplar = true;
    return fault::none;
  }

  // # HELP name text, # TYPE name type, # UNIT name unit, # EOF; anything else says nothing.
  void comment(const char* p) {
    p_ = next_line(p, end_);
    const char* last = p_;
    while (last != p && (last[-1] == '\n' || last[-1] == '\r')) --last;
    std::string_view rest{p + 1, static_cast<std::size_t>(last - p - 1)};
    const auto word = [&] {
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      const auto n = (std::min)(rest.find_first_of(" \t"), rest.size());
      const std::string_view w = rest.substr(0, n);
      rest.remove_prefix(n);
      return w;
    };
    const std::string_view what = word();
    if (what == "EOF") out_.ended = true;
    if constexpr (knows_type || knows_help || knows_unit) {
      if (what != "TYPE" && what != "HELP" && what != "UNIT") return;
      std::string_view name;
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      if (rest.starts_with('"')) {
        bool escaped = false;
        const char* const close = quoted(rest.data() + 1, rest.data() + rest.size(), escaped);
        if (close == nullptr) return;
        name = {rest.data() + 1, static_cast<std::size_t>(close - rest.data() - 2)};
        rest.remove_prefix(static_cast<std::size_t>(close - rest.data()));
      } else {
        name = word();
      }
      if (name.empty()) return;
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      if constexpr (knows_type) if (what == "TYPE") sink_.type(name, type_of(rest));
      if constexpr (knows_help) if (what == "HELP") sink_.help(name, rest);
      if constexpr (knows_unit) if (what == "UNIT") sink_.unit(name, rest);
    }
  }

  static family_type type_of(std::string_view word) {
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    constexpr std::string_view names[] = {"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"};
    for (std::size_t i = 0; i < std::size(names); ++i)
      if (word == names[i]) return static_cast<family_type>(i);
    return family_type::unknown;  // "untyped" in Prometheus text
  }

  static constexpr bool asks = requires(Sink& s) { { s.wants(std::string_view{}) } -> std::convertible_to<bool>; };
  static constexpr bool knows_type = requires(Sink& s) { s.type(std::string_view{}, family_type{}); };
  static constexpr bool knows_help = requires(Sink& s) { s.help(std::string_view{}, std::string_view{}); };
  static constexpr bool knows_unit = requires(Sink& s) { s.unit(std::string_view{}, std::string_view{}); };

  Sink& sink_;
  limits limits_;
  parsed out_;
  const char *p_ = nullptr, *end_ = nullptr;
  bool openmetrics_ = false, in_braces_ = false;
};

}  // namespace detail

// The sink outlives the call; its views live as long as `page`. An empty page has no lines and nothing lost.
template <class Sink>
  requires requires(Sink& s, const sample& v) { s.sample(v); }
parsed parse(std::string_view page, Sink& sink, const limits& l = {}, format f = format::automatic) {
  return detail::page_parser<Sink>{page, sink, l, f}.run();
}

}  // namespace hotpath::inline HOTPATH_ABI::metrics
