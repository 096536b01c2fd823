// SPDX-License-Identifier: Apache-2.0
// hotpath/core/json-inl.hpp - bodies of core/json.hpp.
#pragma once
#include <charconv>
#include <cstring>
#include <limits>
#include <hotpath/core/json.hpp>

namespace hotpath::inline HOTPATH_ABI::detail {

// Four hex digits at p, or -1.
inline int hex4(const char* p, const char* end) noexcept {
  if (end - p < 4) return -1;
  int v = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i], folded = static_cast<char>(c | 0x20);
    const int digit = c >= '0' && c <= '9' ? c - '0' : folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
    if (digit < 0) return -1;
    v = v * 16 + digit;
  }
  return v;
}

inline bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

// Behind the digits at p; they are appended to v, which wraps around. Eight at a time: the bytes that are digits are shifted to the top, which puts
// zeros before them, and three multiplications add them up.
inline const char* digit_run(const char* p, const char* end, std::uint64_t& v) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  constexpr std::uint64_t powers[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};
  while (end - p >= 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;  // the lowest is exact: no carry comes from digits
    const int n = others == 0 ? 8 : __builtin_ctzll(others) >> 3;
    if (n == 0) return p;
    w <<= 64 - 8 * n;
    w = w * 10 + (w >> 8);
    w = ((w & 0x000000FF000000FF) * (100 + (1'000'000ull << 32)) + (w >> 16 & 0x000000FF000000FF) * (1 + (10'000ull << 32))) >> 32;
    v = v * powers[n] + w;
    p += n;
    if (n != 8) return p;
  }
#endif
  for (; p != end && is_digit(*p); ++p) v = v * 10 + static_cast<unsigned>(*p - '0');
  return p;
}

// Behind the digits at p.
inline const char* skip_digits(const char* p, const char* end) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; end - p >= 8; p += 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;
    if (others != 0) return p + (__builtin_ctzll(others) >> 3);
  }
#endif
  while (p != end && is_digit(*p)) ++p;
  return p;
}

inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// A number of any length: p is at its first digit, its value is (all digits) * 10^exponent. Infinite where too large.
// from_chars gets at most 800 significant digits and a 1 for the rest: 768 decide every double, the 1 breaks the tie.
inline double any_number(const char* p, const char* end, std::int64_t exponent) noexcept {
  char text[840];
  std::size_t n = 0;
  bool rest = false;
  for (; p != end && *p != 'e' && *p != 'E'; ++p) {
    if (*p == '.' || (n == 0 && *p == '0')) continue;
    if (n < 800) {
      text[n++] = *p;
    } else {
      rest = rest || *p != '0';
      ++exponent;
    }
  }
  if (n == 0) return 0;
  if (rest) {
    text[n++] = '1';
    --exponent;
  }
  const std::int64_t magnitude = static_cast<std::int64_t>(n) + exponent;  // the value is below 10^magnitude
  if (magnitude > 400) return std::numeric_limits<double>::infinity();
  if (magnitude < -400) return 0;
  text[n++] = 'e';
  const char* const stop = std::to_chars(text + n, text + sizeof text, exponent).ptr;
  double v = 0;
  if (std::from_chars(text, stop, v).ec == std::errc()) return v;
  return magnitude > 0 ? std::numeric_limits<double>::infinity() : 0;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::json {

HOTPATH_FN reader::reader(std::string_view text, mode m, limits l) noexcept : mode_(m), limits_(l) {
  if (limits_.depth > 64) limits_.depth = 64;
  reset(text);
}

HOTPATH_FN void reader::reset(std::string_view text) noexcept {
  begin_ = p_ = at_ = text.data();
  end_ = begin_ + text.size();
  depth_ = 0;
  fault_ = fault::none;
  if (!text.empty() && text[0] == '\xEF' && text.starts_with("\xEF\xBB\xBF")) p_ += 3;
}

HOTPATH_FN const char* reader::white_run(const char* p) const noexcept {
  constexpr std::uint64_t white = 1ull << ' ' | 1ull << '\n' | 1ull << '\r' | 1ull << '\t';
  while (p != end_ && static_cast<unsigned char>(*p) <= ' ' && (white >> *p & 1) != 0) ++p;
  return p;
}

// After a fault the rest of the text is out of reach, so that no other function has to ask whether there was one.
HOTPATH_FN bool reader::fail(fault f, const char* at) noexcept {
  if (fault_ == fault::none) {
    fault_ = f;
    at_ = at;
    p_ = end_;
  }
  return false;
}

HOTPATH_FN bool reader::mismatch() {
  const char* const value = p_;
  if (skip()) at_ = value;
  return false;
}

HOTPATH_FN kind reader::peek() noexcept {
  space();
  if (!ok()) return kind::error;
  if (p_ == end_) return kind::end;
  switch (*p_) {
    case '{': return kind::object;
    case '[': return kind::array;
    case '"': return kind::string;
    case 't': case 'f': return kind::boolean;
    case 'n': return kind::null;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      return kind::number;
    case '\0': if (depth_ == 0) return kind::end; break;
    default: break;
  }
  fail(fault::want_value, p_);
  return kind::error;
}

// The functions below work on a local pointer and store it once: p_ in memory would cost a store and a load per byte looked at.
HOTPATH_FN bool reader::enter(char bracket) {
  const char* const p = space(p_);
  if (!at(p, bracket)) {
    p_ = p;
    return mismatch();
  }
  if (depth_ == limits_.depth) return fail(fault::too_deep, p);
  ++depth_;
  p_ = p + 1;
  return true;
}

// False at the closing brace, which is consumed, and at an error.
HOTPATH_FN bool reader::next_member(std::string_view& key, bool first) {
  const char* p = p_;
  if (!first && end_ - p > 2 && *p == ',') {  // as it is written most often
    p += 1 + (p[1] == ' ');
    if (*p == '"') return key_and_colon(p, &key);
  }
  p = space(p_);
  if (!first && at(p, ',')) {
    p = space(p + 1);
    if (!at(p, '"')) return fail(fault::want_member, p);
  } else if (at(p, '}')) {
    p_ = p + 1;
    --depth_;
    return false;
  } else if (!first || !at(p, '"')) {
    return fail(first ? fault::want_first_member : fault::want_object_rest, p);
  }
  return key_and_colon(p, &key);
}

HOTPATH_FN bool reader::next_element(bool first) {
  const char* p = space(p_);
  if (at(p, ']')) {
    p_ = p + 1;
    --depth_;
    return false;
  }
  if (first) {
    p_ = p;
    return ok();
  }
  if (!at(p, ',')) return fail(fault::want_array_rest, p);
  p_ = space(p + 1);
  return true;
}

// p: the quote of a key. Leaves the reader at the first byte of the value. `key` null: only checks.
HOTPATH_FN bool reader::key_and_colon(const char* p, std::string_view* key) {
  const char* stop = detail::plain_run(p + 1, end_);
  const auto size = static_cast<std::size_t>(stop - p - 1);
  if (at(stop, '"') && size <= limits_.string) {
    if (key != nullptr) *key = {p + 1, size};
    ++stop;
    if (end_ - stop > 2 && *stop == ':') {  // as it is written most often
      stop += 1 + (stop[1] == ' ');
      if (static_cast<unsigned char>(*stop) > ' ') {
        p_ = stop;
        return true;
      }
      p_ = space(stop);
      return true;
    }
  } else {
    p_ = p;
    if (!quoted_rest(p + 1, stop, key, true)) return false;
    stop = p_;
  }
  stop = space(stop);
  if (!at(stop, ':')) return fail(fault::want_colon, stop);
  p_ = space(stop + 1);
  return true;
}

// At a quote. `out` null: only checks.
HOTPATH_FN bool reader::quoted(std::string_view* out, bool is_key) {
  const char* const begin = p_ + 1;
  const char* const stop = detail::plain_run(begin, end_);
  const auto size = static_cast<std::size_t>(stop - begin);
  if (!at(stop, '"') || size > limits_.string) return quoted_rest(begin, stop, out, is_key);
  if (out != nullptr) *out = {begin, size};
  p_ = stop + 1;
  return true;
}

HOTPATH_FN std::string& reader::scratch(bool is_key) {
  if (!is_key) return scratch_;
  if (keys_.empty()) keys_.resize(limits_.depth);
  return keys_[depth_ - 1];
}

HOTPATH_FN bool reader::quoted_rest(const char* begin, const char* p, std::string_view* out, bool is_key) {
  std::string* decoded = nullptr;
  const char* pending = begin;  // not yet copied to `decoded`
  for (;; p = detail::plain_run(p, end_)) {
    if (static_cast<std::size_t>(p - begin) > limits_.string) return fail(fault::string_too_long, begin - 1);
    if (p == end_) return fail(fault::open_string, begin - 1);
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"') break;
    if (c == '\\') {
      if (out != nullptr) {
        if (decoded == nullptr) (decoded = &scratch(is_key))->clear();
        decoded->append(pending, p);
      }
      p = escape(p, decoded);
      if (p == nullptr) return false;
      pending = p;
    } else if (c < 0x20) {
      if (mode_ == mode::strict) return fail(fault::control_character, p);
      ++repaired_;
      ++p;
    } else if (c >= 0x80) {
      // Text that is not ASCII comes in runs.
      do {
        const detail::utf8_step step = detail::utf8_at(p, end_);
        if (!step.valid) {
          if (mode_ == mode::strict) return fail(fault::ill_formed_utf8, p);
          ++repaired_;
        }
        p += step.length;
      } while (p != end_ && static_cast<unsigned char>(*p) >= 0x80);
    }
  }
  if (decoded != nullptr) {
    decoded->append(pending, p);
    *out = *decoded;
  } else if (out != nullptr) {
    *out = {begin, static_cast<std::size_t>(p - begin)};
  }
  p_ = p + 1;
  return true;
}

// At a backslash; returns what follows the escape, or null after an error. `out` null: only checks.
HOTPATH_FN const char* reader::escape(const char* p, std::string* out) {
  const auto wrong = [&](fault f) -> const char* {
    fail(f, p);
    return nullptr;
  };
  if (end_ - p < 2) return wrong(fault::open_string);
  char plain = 0;
  switch (p[1]) {
    case '"': case '\\': case '/': plain = p[1]; break;
    case 'b': plain = '\b'; break;
    case 'f': plain = '\f'; break;
    case 'n': plain = '\n'; break;
    case 'r': plain = '\r'; break;
    case 't': plain = '\t'; break;
    case 'u': break;
    default: return wrong(fault::unknown_escape);
  }
  if (plain != 0) {
    if (out != nullptr) out->push_back(plain);
    return p + 2;
  }
  const int unit = detail::hex4(p + 2, end_);
  if (unit < 0) return wrong(fault::bad_hex);
  if (unit < 0xD800 || unit > 0xDFFF) {
    if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(unit));
    return p + 6;
  }
  if (unit < 0xDC00 && end_ - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    const int low = detail::hex4(p + 8, end_);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      const int scalar = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
      if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(scalar));
      return p + 12;
    }
  }
  if (mode_ == mode::strict) return wrong(fault::lone_surrogate);
  ++repaired_;
  if (out != nullptr) out->append(detail::replacement_character);
  return p + 6;
}

HOTPATH_FN bool reader::string(std::string_view& out) {
  space();
  return at('"') ? quoted(&out, false) : mismatch();
}

// Reads a number's text, checks grammar and range, and leaves p_ where it is.
HOTPATH_FN bool reader::scan(decimal& d) noexcept {
  const char* p = p_;
  std::uint64_t v = 0;
  const auto digits = [&] {
    const char* const begin = p;
    p = detail::digit_run(p, end_, v);
    return p - begin;
  };
  const bool negative = *p == '-';
  p += negative;
  std::int64_t count = 1, exponent = 0;
  if (p != end_ && *p == '0') ++p;
  else count = digits();
  if (count == 0) return fail(fault::bad_number, p);
  bool whole = true;
  if (p != end_ && *p == '.') {
    ++p;
    whole = false;
    const auto fraction = digits();
    if (fraction == 0) return fail(fault::bad_number, p);
    count += fraction;
    exponent = -fraction;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    whole = false;
    const bool minus = p != end_ && *p == '-';
    if (p != end_ && (*p == '-' || *p == '+')) ++p;
    if (p == end_ || !detail::is_digit(*p)) return fail(fault::bad_number, p);
    std::int64_t e = 0;
    for (; p != end_ && detail::is_digit(*p); ++p)
      if (e < 100'000'000'000'000'000) e = e * 10 + (*p - '0');
    exponent += minus ? -e : e;
  }
  d = {p, v, exponent, count, negative, whole};
  if (count + exponent > 308 && !__builtin_isfinite(to_double(d))) return fail(fault::number_range, p_);
  return true;
}

HOTPATH_FN double reader::to_double(const decimal& d) const noexcept {
  double v = 0;
  if (d.count <= 19 && d.digits <= (std::uint64_t{1} << 53) && d.exponent >= -22 && d.exponent <= 22) {
    // Both operands are exact, so the one rounding is the right one.
    const double ten = detail::powers_of_ten[d.exponent < 0 ? -d.exponent : d.exponent];
    v = d.exponent < 0 ? static_cast<double>(d.digits) / ten : static_cast<double>(d.digits) * ten;
    return d.negative ? -v : v;
  }
  const char* const first = p_ + d.negative;
  if (d.count > 800 || d.exponent > 1000 || d.exponent < -1000 || std::from_chars(first, d.end, v).ec != std::errc())
    v = detail::any_number(first, d.end, d.exponent);
  return d.negative ? -v : v;
}

HOTPATH_FN bool reader::to_integer(const decimal& d, std::int64_t& out) const noexcept {
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  std::uint64_t v = d.digits;
  std::int64_t exponent = d.exponent;
  if (d.count > 19) {
    // Zeros at either end may hide a number that fits: 1.000000000000000000000, 0.00000000000000000000012e23.
    v = 0;
    std::int64_t zeros = 0;  // met and not yet multiplied in
    for (const char* p = p_ + d.negative; p != d.end && *p != 'e' && *p != 'E'; ++p) {
      if (*p == '.') continue;
      ++zeros;
      if (*p == '0') continue;
      for (; zeros > 0 && v != 0; --zeros)
        if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
      zeros = 0;
      if (__builtin_add_overflow(v, static_cast<std::uint64_t>(*p - '0'), &v)) return false;
    }
    exponent += zeros;
  }
  if (v == 0) exponent = 0;
  for (; exponent < 0 && v % 10 == 0; ++exponent) v /= 10;
  if (exponent < 0 || exponent > 18) return false;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
  if (v > limit) return false;
  out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  return true;
}

HOTPATH_FN bool reader::integer(std::int64_t& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const char* const value = p_;
  const bool fits = to_integer(d, out);
  if (!fits) at_ = value;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::scaled(std::int64_t& out, unsigned power) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const std::int64_t shift = d.exponent + power;
  std::uint64_t v = d.digits;
  bool fits = true;
  if (d.count <= 19 && shift >= -19 && shift <= 19) {
    std::uint64_t factor = 1;
    for (std::int64_t i = shift < 0 ? shift : -shift; i != 0; ++i) factor *= 10;
    if (shift >= 0) {
      fits = !__builtin_mul_overflow(v, factor, &v);
    } else {
      const std::uint64_t rest = v % factor;
      v = v / factor + (rest >= factor - rest ? 1 : 0);
    }
  } else {
    v = 0;
    std::int64_t left = d.count + shift;  // digits of the whole number to come
    const char* p = p_ + d.negative;
    for (; fits && left > 0; --left) {
      if (p != d.end && *p == '.') ++p;
      const bool digit = p != d.end && detail::is_digit(*p);
      if (!digit && v == 0) break;
      fits = !__builtin_mul_overflow(v, std::uint64_t{10}, &v) && !__builtin_add_overflow(v, static_cast<std::uint64_t>(digit ? *p++ - '0' : 0), &v);
    }
    if (p != d.end && *p == '.') ++p;
    if (fits && left == 0 && p != d.end && detail::is_digit(*p) && *p >= '5') fits = !__builtin_add_overflow(v, std::uint64_t{1}, &v);
  }
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  fits = fits && v <= limit;
  if (fits) out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  else at_ = p_;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::cut_short() const noexcept {
  if (fault_ == fault::none) return false;
  if (at_ == end_ || fault_ == fault::open_string) return true;
  const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
  switch (fault_) {
    case fault::bad_literal: return std::string_view(*at_ == 't' ? "true" : *at_ == 'f' ? "false" : "null").starts_with(rest);
    case fault::bad_hex: return rest.size() < 6;            // \uXXXX
    case fault::lone_surrogate: return rest.size() < 12;    // a pair of them
    case fault::ill_formed_utf8: return rest.size() < 4;
    default: return false;
  }
}

HOTPATH_FN bool reader::number(double& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  out = to_double(d);
  p_ = d.end;
  return true;
}

HOTPATH_FN bool reader::literal(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0)
    return fail(fault::bad_literal, p_);
  p_ += word.size();
  return true;
}

HOTPATH_FN bool reader::boolean(bool& out) {
  if (peek() != kind::boolean) return mismatch();
  const bool v = *p_ == 't';
  if (!literal(v ? "true" : "false")) return false;
  out = v;
  return true;
}

HOTPATH_FN bool reader::null() { return peek() == kind::null ? literal("null") : mismatch(); }

// Anything but an object or array; white space is behind us.
HOTPATH_FN bool reader::scalar() {
  switch (p_ == end_ ? '\0' : *p_) {
    case '"': return quoted(nullptr, false);
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': {
      // Digits and perhaps a fraction, of which no value is wanted: too few of them to leave the range of a double.
      const char* const first = p_ + (*p_ == '-');
      const char* p = detail::skip_digits(first, end_);
      if (p != first && (*first != '0' || p - first == 1) && p - first < 300) {
        if (p != end_ && *p == '.') {
          const char* const fraction = p + 1;
          p = detail::skip_digits(fraction, end_);
          if (p == fraction) p = end_;  // an error: for scan() to say
        }
        if (p != end_ && *p != 'e' && *p != 'E') {
          p_ = p;
          return true;
        }
      }
      decimal d;
      if (!scan(d)) return false;
      p_ = d.end;
      return true;
    }
    default: return fail(fault::want_value, p_);
  }
}

// Not recursive: one bit per open level (1 = object) in one word, which is why depth is limited to 64.
HOTPATH_FN bool reader::skip() {
  const unsigned base = depth_;
  std::uint64_t levels = 0;
  const char* p = space(p_);
  if (!at(p, '{') && !at(p, '[')) {
    p_ = p;
    return scalar();
  }
  for (;;) {
    bool opened = false;  // a container that is not empty: its first value comes next
    if (at(p, '{') || at(p, '[')) {
      const bool is_object = *p == '{';
      if (depth_ == limits_.depth) return fail(fault::too_deep, p);
      ++depth_;
      levels = levels << 1 | (is_object ? 1u : 0u);
      p = space(p + 1);
      if (!at(p, is_object ? '}' : ']')) {
        if (is_object) {
          if (!at(p, '"')) return fail(fault::want_first_member, p);
          if (!key_and_colon(p, nullptr)) return false;
          p = p_;
        }
        opened = true;
      }
    } else {
      p_ = p;
      if (!scalar()) return false;
      p = p_;
    }
    // Behind a value, or at the bracket of an empty container: close what closes, then on to the next member or element.
    while (!opened) {
      if (depth_ == base) {
        p_ = p;
        return true;
      }
      p = space(p);
      const bool is_object = (levels & 1) != 0;
      if (at(p, ',')) {
        p = space(p + 1);
        if (!is_object) break;
        if (!at(p, '"')) return fail(fault::want_member, p);
        if (!key_and_colon(p, nullptr)) return false;
        p = p_;
        break;
      }
      if (!at(p, is_object ? '}' : ']')) return fail(is_object ? fault::want_object_rest : fault::want_array_rest, p);
      ++p;
      --depth_;
      levels >>= 1;
    }
  }
}

HOTPATH_FN bool reader::raw(std::string_view& out) {
  space();
  const char* const value = p_;
  if (!skip()) return false;
  out = {value, static_cast<std::size_t>(p_ - value)};
  return true;
}

HOTPATH_FN bool reader::finish() {
  if (!ok()) return false;
  space();
  return p_ == end_ || *p_ == '\0' || fail(fault::want_end, p_);
}

HOTPATH_FN hotpath::error reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = fault_ == fault::too_deep || fault_ == fault::string_too_long ? errc::over_limit : errc::malformed;
  e.source = source;
  e.byte = static_cast<std::uint64_t>(at_ - begin_);
  e.has_byte = true;
  e.line = 1;
  const char* line = begin_;
  for (const char* p = begin_; p != at_; ++p)
    if (*p == '\n') {
      ++e.line;
      line = p + 1;
    }
  e.column = static_cast<std::uint64_t>(at_ - line) + 1;

  std::string found = "the text ends";
  if (at_ != end_) {
    const auto c = static_cast<unsigned char>(*at_);
    constexpr char hex[] = "0123456789abcdef";
    found = "found ";
    if (c > 0x20 && c < 0x7F) found.append({'\'', static_cast<char>(c), '\''});
    else found.append({'b', 'y', 't', 'e', ' ', '0', 'x', hex[c >> 4], hex[c & 15]});
  }
  switch (fault_) {
    case fault::none: e.detail = "this value has another type or range than is wanted here"; break;
    case fault::want_value: e.detail = found + ", want a value"; break;
    case fault::want_first_member: e.detail = found + ", want a name in quotes or '}'"; break;
    case fault::want_member: e.detail = found + ", want a name in quotes"; break;
    case fault::want_colon: e.detail = found + ", want ':'"; break;
    case fault::want_object_rest: e.detail = found + ", want ',' or '}'"; break;
    case fault::want_array_rest: e.detail = found + ", want ',' or ']'"; break;
    case fault::want_end: e.detail = found + ", want nothing more"; break;
    case fault::open_string: e.detail = "this string has no end, want '\"'"; break;
    case fault::control_character: e.detail = found + " inside a string, want an escape such as \\n or \\u0000"; break;
    case fault::ill_formed_utf8: e.detail = found + " inside a string, want UTF-8"; break;
    case fault::unknown_escape: e.detail = "unknown escape, want one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"; break;
    case fault::bad_hex: e.detail = "bad escape, want four hex digits after \\u"; break;
    case fault::lone_surrogate: e.detail = "half of a surrogate pair, want \\ud800 to \\udbff and then \\udc00 to \\udfff"; break;
    case fault::bad_number: e.detail = found + " inside a number, want a digit"; break;
    case fault::number_range: e.detail = "this number is too large for a double"; break;
    case fault::bad_literal: e.detail = "unknown word, want true, false or null"; break;
    case fault::too_deep: e.detail = "nested deeper than " + std::to_string(limits_.depth) + " levels"; break;
    case fault::string_too_long: e.detail = "this string is longer than " + std::to_string(limits_.string) + " bytes"; break;
  }
  return e;
}

HOTPATH_FN void writer::new_line() {
  out_->push_back('\n');
  out_->append(static_cast<std::size_t>(depth_) * static_cast<std::size_t>(indent_), ' ');
}

// What stands between this value (or key) and what was written before.
HOTPATH_FN void writer::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) {
    if (!first_) out_->push_back('\n');
  } else {
    if (!first_) out_->push_back(',');
    if (indent_ > 0) new_line();
  }
  first_ = false;
}

HOTPATH_FN void writer::open(char bracket) {
  separate();
  out_->push_back(bracket);
  ++depth_;
  first_ = true;
}

HOTPATH_FN void writer::close(char bracket) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  --depth_;
  if (!first_ && indent_ > 0) new_line();
  out_->push_back(bracket);
  first_ = false;
}

HOTPATH_FN void writer::word(std::string_view text) {
  separate();
  out_->append(text);
}

HOTPATH_FN void writer::integer(bool negative, std::uint64_t magnitude) {
  char text[21];
  text[0] = '-';
  const char* const stop = std::to_chars(text + 1, text + sizeof text, magnitude).ptr;
  const char* const begin = negative ? text : text + 1;
  word({begin, static_cast<std::size_t>(stop - begin)});
}

HOTPATH_FN void writer::value(double v) {
  if (!__builtin_isfinite(v)) return null();
  if (v == 0) return word(__builtin_signbit(v) != 0 ? "-0.0" : "0");  // "-0" is an integer to many readers and loses its sign
  char text[32];
  const char* const stop = std::to_chars(text, text + sizeof text, v).ptr;
  word({text, static_cast<std::size_t>(stop - text)});
}

HOTPATH_FN void writer::value(std::string_view v) {
  separate();
  quote(v);
}

HOTPATH_FN void writer::key(std::string_view k) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  separate();
  quote(k);
  out_->append(indent_ > 0 ? ": " : ":");
  after_key_ = true;
}

HOTPATH_FN void writer::quote(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out_->push_back('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  for (const char* pending = p;;) {
    p = detail::plain_run(p, end);
    if (p != end && static_cast<unsigned char>(*p) >= 0x80) {
      const detail::utf8_step step = detail::utf8_at(p, end);
      if (step.valid) {
        p += step.length;
        continue;
      }
      out_->append(pending, p);
      out_->append(detail::replacement_character);
      pending = p += step.length;
      continue;
    }
    out_->append(pending, p);
    if (p == end) break;
    const char c = *p;
    switch (c) {
      case '"': case '\\': out_->append({'\\', c}); break;
      case '\b': out_->append("\\b"); break;
      case '\f': out_->append("\\f"); break;
      case '\n': out_->append("\\n"); break;
      case '\r': out_->append("\\r"); break;
      case '\t': out_->append("\\t"); break;
      default: out_->append({'\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15]}); break;
    }
    pending = ++p;
  }
  out_->push_back('"');
}

}  // namespace hotpath::inline HOTPATH_ABI::json
