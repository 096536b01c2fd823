// SPDX-License-Identifier: Apache-2.0
// hotpath/core/text.hpp - small text work that many parts need: UTF-8, bounded numbers, durations, CSV, redaction, safe printing.
//
//     auto limit = hotpath::text::parse_duration("500ms");             // result<nanoseconds>; "500" is an error: no unit
//     auto port = hotpath::text::parse_number<std::int64_t>("8080", 1, 65535);
//     log(hotpath::text::redact_url(url));                             // http://h/v1?api_key=[redacted]
//     puts(hotpath::text::printable(line_of_a_peer).c_str());          // no escape sequence reaches the terminal
//
//   Nothing here depends on the locale. Functions are free of state and safe to call from any thread; classes are not shared.
#pragma once
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::text {

// ---- UTF-8 ----

bool is_utf8(std::string_view bytes) noexcept;
// Each ill-formed part (maximal subpart, as browsers do) becomes U+FFFD; `count`, where given, is increased by their number.
std::string repair_utf8(std::string_view bytes, std::uint64_t* count = nullptr);
// Bytes of a peer or a file made safe for a terminal or a log line: control characters (ESC, DEL and C1 too), line separators,
// and invisible or direction-changing characters are escaped (\n, \x1b, \u202e), ill-formed UTF-8 becomes U+FFFD. At most `max`
// bytes; what is longer is cut between characters and ends with an ellipsis (3 bytes).
std::string printable(std::string_view bytes, std::size_t max = 512);

// ---- pieces; ASCII only, views into the argument ----

constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

// What stands before the first `separator`; `rest` keeps what follows it. Without a separator: all, and `rest` becomes empty.
constexpr std::string_view take(std::string_view& rest, char separator) noexcept {
  const auto i = rest.find(separator);
  const std::string_view head = rest.substr(0, i);
  rest.remove_prefix(i == std::string_view::npos ? rest.size() : i + 1);
  return head;
}

// f(std::string_view) for each piece; "a,,b" has three, "" has one (empty), "a," has two.
template <class F>
constexpr void split(std::string_view s, char separator, F&& f) {
  for (;;) {
    const auto i = s.find(separator);
    f(s.substr(0, i));
    if (i == std::string_view::npos) return;
    s.remove_prefix(i + 1);
  }
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}
constexpr bool starts_with_ignoring_case(std::string_view s, std::string_view prefix) noexcept {
  return s.size() >= prefix.size() && equal_ignoring_case(s.substr(0, prefix.size()), prefix);
}
std::string lower(std::string_view s);

// ---- numbers and durations ----

// The whole of `s` is one decimal number in range (no space, no '+', no hex, no "inf" or "nan"); else false and `out` is untouched.
bool to_number(std::string_view s, std::int64_t& out) noexcept;
bool to_number(std::string_view s, std::uint64_t& out) noexcept;
bool to_number(std::string_view s, double& out) noexcept;

// As to_number, within [lo, hi], with an error that says both: "70000" is out of range, want a whole number from 1 to 65535.
result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi);
result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi);
result<double> parse_double(std::string_view s, double lo, double hi);
template <class T>
result<T> parse_number(std::string_view s, T lo = std::numeric_limits<T>::lowest(), T hi = (std::numeric_limits<T>::max)()) {
  static_assert(std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t> || std::same_as<T, double>);
  if constexpr (std::same_as<T, double>) return parse_double(s, lo, hi);
  else if constexpr (std::is_signed_v<T>) return parse_int(s, lo, hi);
  else return parse_uint(s, lo, hi);
}

// A decimal number and a unit: ns, us, ms, s, m (or min), h; "1.5s". Rounded to the nanosecond. No unit, a sign, or more than
// 292 years is an error.
result<nanoseconds> parse_duration(std::string_view s);

// ---- CSV (RFC 4180 quoting; rows end with a line feed) ----

struct csv_options {
  char separator = ',';
  // A leading ' before text that a spreadsheet would run as a formula (= + - @ TAB CR). Off: it changes what other programs read.
  bool formula_guard = false;
};

class csv_writer {
 public:
  explicit csv_writer(std::string& out, csv_options options = {}) : out_(&out), options_(options) {}
  void field(std::string_view v);
  void field(const char* v) { field(std::string_view(v)); }
  void field(double v);  // shortest text that reads back the same; NaN and infinities: empty
  template <std::integral T>
  void field(T v) {
    if constexpr (std::same_as<T, bool>) plain(v ? "true" : "false");
    else if constexpr (std::is_signed_v<T>) whole(static_cast<std::int64_t>(v));
    else whole(static_cast<std::uint64_t>(v));
  }
  template <class T>
  void field(const std::optional<T>& v) {  // empty: an empty field
    if (v) field(*v);
    else plain({});
  }
  void end_row();

 private:
  void plain(std::string_view text);
  void whole(std::int64_t v);
  void whole(std::uint64_t v);

  std::string* out_;
  csv_options options_;
  std::size_t row_ = 0;    // bytes of this row so far
  bool first_ = true;
};

// Rows of a text that outlives the reader. Lines end with LF or CRLF; a byte order mark and empty lines are skipped.
class csv_reader {
 public:
  explicit csv_reader(std::string_view text, char separator = ',') noexcept;
  // False at the end and at an error. The fields are views into the text or into the reader, valid until the next call.
  bool next(std::vector<std::string_view>& row);
  bool ok() const noexcept { return fault_ == nullptr; }
  std::uint64_t line() const noexcept { return line_; }  // of the row read last, from 1
  hotpath::error failure(std::string_view source = {}) const;

 private:
  struct copy {
    std::size_t field, size;
  };
  bool quoted(std::vector<std::string_view>& row);
  std::size_t line_end() const noexcept;
  bool fail(const char* what, std::size_t at) noexcept;

  std::string_view text_;
  std::size_t at_ = 0, fault_at_ = 0;
  std::uint64_t line_ = 0, next_line_ = 1;
  const char* fault_ = nullptr;
  char separator_;
  std::string unquoted_;       // of this row: all fields with doubled quotes, one after the other
  std::vector<copy> copies_;   // which they are
};

// ---- secrets: taken out where text is captured, so that they are never stored ----

inline constexpr std::string_view redacted = "[redacted]";

// A header or a query key whose value is a secret: authorization, cookie, api-key, x-...-token, key, secret, password and their
// kin, in any case and with any separators. Doubtful names count as secret; max_tokens and the like do not.
bool is_secret_name(std::string_view name);
// User and password are dropped, values of secret query keys replaced.
std::string redact_url(std::string_view url);
// Each occurrence of a secret is replaced, the longest first; empty secrets are ignored.
std::string redact_text(std::string_view text, std::span<const std::string_view> secrets);

}  // namespace hotpath::inline HOTPATH_ABI::text

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/text-inl.hpp>
#endif
