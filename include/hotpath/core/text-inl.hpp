// SPDX-License-Identifier: Apache-2.0
// hotpath/core/text-inl.hpp - bodies of core/text.hpp.
#pragma once
#include <charconv>
#include <hotpath/core/detail/utf8.hpp>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::detail {

template <class T>
std::string_view number_text(T v, char (&buffer)[32]) noexcept {
  const char* const stop = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return {buffer, static_cast<std::size_t>(stop - buffer)};
}

// invalid_argument: no number, or something behind it.
template <class T>
std::errc whole_number(std::string_view s, T& out) noexcept {
  // from_chars would also take "inf" and "nan".
  const std::size_t first = !s.empty() && s.front() == '-' ? 1 : 0;
  if (first == s.size() || (!text::is_digit(s[first]) && s[first] != '.')) return std::errc::invalid_argument;
  T v{};
  const auto [stop, ec] = std::from_chars(s.data() + (std::unsigned_integral<T> ? first : 0), s.data() + s.size(), v);
  if (ec == std::errc::invalid_argument || stop != s.data() + s.size()) return std::errc::invalid_argument;
  if (ec == std::errc() && std::unsigned_integral<T> && first == 1) return std::errc::result_out_of_range;
  if (ec == std::errc()) out = v;
  return ec;
}

template <class T>
result<T> bounded(std::string_view s, T lo, T hi, std::string_view noun) {
  T v{};
  const std::errc ec = whole_number(s, v);
  if (ec == std::errc() && v >= lo && v <= hi) return v;
  char a[32], b[32];
  hotpath::error e;
  e.code = errc::malformed;
  e.detail.append("\"").append(text::printable(s, 64));
  e.detail.append(ec == std::errc::invalid_argument ? "\" is not a number, want " : "\" is out of range, want ");
  e.detail.append(noun).append(" from ").append(number_text(lo, a)).append(" to ").append(number_text(hi, b));
  return e;
}

// Characters that a terminal or a viewer obeys instead of showing: C1 controls, direction marks and overrides, zero-width
// characters, line and paragraph separators, byte order mark, tags.
constexpr bool unseen(std::uint32_t c) noexcept {
  return (c >= 0x80 && c <= 0x9F) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

// Of a well-formed sequence.
inline std::uint32_t code_point(const char* p, int length) noexcept {
  const auto byte = [&](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])); };
  if (length == 1) return byte(0);
  std::uint32_t c = byte(0) & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3F);
  return c;
}

inline std::string escaped(char letter, std::uint32_t c, int digits) {
  std::string s{'\\', letter};
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) s.push_back("0123456789abcdef"[c >> shift & 15]);
  return s;
}

inline std::string percent_decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    unsigned char v = 0;
    const char* const p = s.data() + i;
    if (*p == '%' && s.size() - i >= 3 && std::from_chars(p + 1, p + 3, v, 16).ptr == p + 3) {
      out.push_back(static_cast<char>(v));
      i += 2;
    } else {
      out.push_back(*p);
    }
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::text {

HOTPATH_FN bool is_utf8(std::string_view bytes) noexcept {
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) return false;
    p += step.length;
  }
  return true;
}

HOTPATH_FN std::string repair_utf8(std::string_view bytes, std::uint64_t* count) {
  std::string out;
  out.reserve(bytes.size());
  const char* pending = bytes.data();
  const char* const end = pending + bytes.size();
  for (const char* p = pending; (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) {
      out.append(pending, p).append(detail::replacement_character);
      pending = p + step.length;
      if (count != nullptr) ++*count;
    }
    p += step.length;
  }
  return out.append(pending, end);
}

HOTPATH_FN std::string printable(std::string_view bytes, std::size_t max) {
  constexpr std::string_view ellipsis = "\xE2\x80\xA6";
  std::string out;
  std::size_t cut = 0;  // longest length after which the ellipsis still fits
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    const std::uint32_t c = step.valid ? detail::code_point(p, step.length) : 0xFFFD;
    std::string shown;
    if (!step.valid) shown = detail::replacement_character;
    else if (c == '\n') shown = "\\n";
    else if (c == '\r') shown = "\\r";
    else if (c == '\t') shown = "\\t";
    else if (c < 0x20 || c == 0x7F) shown = detail::escaped('x', c, 2);
    else if (detail::unseen(c)) shown = c > 0xFFFF ? detail::escaped('U', c, 8) : detail::escaped('u', c, 4);
    else shown.assign(p, step.length);
    if (out.size() + shown.size() > max) {
      out.resize(cut);
      if (max >= ellipsis.size()) out.append(ellipsis);
      return out;
    }
    out += shown;
    if (out.size() + ellipsis.size() <= max) cut = out.size();
    p += step.length;
  }
  return out;
}

HOTPATH_FN std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = to_lower(c);
  return out;
}

HOTPATH_FN bool to_number(std::string_view s, std::int64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, std::uint64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, double& out) noexcept { return detail::whole_number(s, out) == std::errc(); }

HOTPATH_FN result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<double> parse_double(std::string_view s, double lo, double hi) {
  return detail::bounded(s, lo, hi, "a number");
}

HOTPATH_FN result<nanoseconds> parse_duration(std::string_view s) {
  struct unit {
    std::string_view name;
    std::int64_t ns;
  };
  constexpr unit units[] = {{"ns", 1},          {"us", 1'000},           {"\xC2\xB5s", 1'000},     {"ms", 1'000'000},
                            {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}};
  const auto wrong = [&](std::string_view what) {
    hotpath::error e;
    e.code = errc::malformed;
    e.detail.append("\"").append(printable(s, 64)).append("\" ").append(what);
    e.detail.append(", want a duration such as 500ms, 1.5s or 2m");
    return e;
  };
  std::size_t n = 0;
  while (n < s.size() && is_digit(s[n])) ++n;
  std::size_t fraction_end = n;
  if (n < s.size() && s[n] == '.')
    for (++fraction_end; fraction_end < s.size() && is_digit(s[fraction_end]);) ++fraction_end;
  const std::string_view whole = s.substr(0, n), fraction = s.substr(n, fraction_end - n), name = s.substr(fraction_end);
  if (whole.empty() || fraction.size() == 1) return wrong("is not a duration");
  if (name.empty()) return wrong("has no unit");
  for (const unit& u : units) {
    if (u.name != name) continue;
    std::int64_t v = 0, rest = 0;
    double part = 0;
    // A fraction is below one, so its product with the largest unit is exact to far less than a nanosecond.
    if (!fraction.empty() && to_number("0" + std::string(fraction), part))
      rest = static_cast<std::int64_t>(part * static_cast<double>(u.ns) + 0.5);
    if (!to_number(whole, v) || __builtin_mul_overflow(v, u.ns, &v) || __builtin_add_overflow(v, rest, &v))
      return wrong("is longer than 292 years");
    return nanoseconds{v};
  }
  return wrong("has an unknown unit");
}

HOTPATH_FN void csv_writer::plain(std::string_view text) {
  if (!first_) {
    out_->push_back(options_.separator);
    ++row_;
  }
  first_ = false;
  out_->append(text);
  row_ += text.size();
}

HOTPATH_FN void csv_writer::whole(std::int64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::whole(std::uint64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::field(double v) {
  char b[32];
  plain(__builtin_isfinite(v) ? detail::number_text(v, b) : std::string_view());
}

HOTPATH_FN void csv_writer::field(std::string_view v) {
  const bool guard = options_.formula_guard && v.find_first_of("=+-@\t\r") == 0;
  const char special[] = {options_.separator, '"', '\r', '\n'};
  if (!guard && v.find_first_of(std::string_view(special, 4)) == std::string_view::npos) return plain(v);
  plain("\"");
  const std::size_t before = out_->size();
  if (guard) out_->push_back('\'');
  for (;;) {
    const auto quote = v.find('"');
    out_->append(v.substr(0, quote));
    if (quote == std::string_view::npos) break;
    out_->append("\"\"");
    v.remove_prefix(quote + 1);
  }
  out_->push_back('"');
  row_ += out_->size() - before;
}

HOTPATH_FN void csv_writer::end_row() {
  if (!first_ && row_ == 0) out_->append("\"\"");  // one empty field: an empty line would be no row
  out_->push_back('\n');
  first_ = true;
  row_ = 0;
}

HOTPATH_FN csv_reader::csv_reader(std::string_view text, char separator) noexcept : text_(text), separator_(separator) {
  if (text.starts_with("\xEF\xBB\xBF")) at_ = 3;
}

HOTPATH_FN bool csv_reader::fail(const char* what, std::size_t at) noexcept {
  fault_ = what;
  fault_at_ = at;
  at_ = text_.size();
  return false;
}

// At an opening quote; leaves the reader behind the closing one.
HOTPATH_FN bool csv_reader::quoted(std::vector<std::string_view>& row) {
  const std::size_t open = at_, kept = unquoted_.size();
  bool doubled = false;
  for (std::size_t from = open + 1;;) {
    const auto quote = text_.find('"', from);
    if (quote == std::string_view::npos) return fail("this field has no closing quote", open);
    const bool pair = quote + 1 < text_.size() && text_[quote + 1] == '"';
    if (pair || doubled) unquoted_.append(text_.substr(from, quote - from + (pair ? 1 : 0)));
    at_ = from = quote + (pair ? 2 : 1);
    if (!pair) break;
    doubled = true;
  }
  const std::string_view raw = text_.substr(open + 1, at_ - open - 2);
  for (const char c : raw) next_line_ += c == '\n' ? 1u : 0u;
  if (doubled) copies_.push_back({row.size(), unquoted_.size() - kept});
  row.push_back(raw);
  return at_ == text_.size() || text_[at_] == separator_ || line_end() != 0 ||
         fail("found text behind the closing quote of a field, want a separator or the end of the line", at_);
}

// Length of the line end here: 0, 1 or 2.
HOTPATH_FN std::size_t csv_reader::line_end() const noexcept {
  if (at_ == text_.size()) return 0;
  if (text_[at_] == '\n') return 1;
  return text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n' ? 2 : 0;
}

HOTPATH_FN bool csv_reader::next(std::vector<std::string_view>& row) {
  row.clear();
  unquoted_.clear();
  copies_.clear();
  for (std::size_t n; (n = line_end()) != 0; ++next_line_) at_ += n;
  if (at_ == text_.size()) return false;
  line_ = next_line_;
  for (;;) {
    if (at_ < text_.size() && text_[at_] == '"') {
      if (!quoted(row)) return false;
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != separator_ && line_end() == 0) ++at_;
      row.push_back(text_.substr(begin, at_ - begin));
    }
    if (at_ == text_.size() || text_[at_] != separator_) break;
    ++at_;
  }
  if (const std::size_t n = line_end(); n != 0) {
    at_ += n;
    ++next_line_;
  }
  // Only now does the copied text stay where it is.
  std::size_t begin = 0;
  for (const auto& [field, size] : copies_) {
    row[field] = std::string_view(unquoted_).substr(begin, size);
    begin += size;
  }
  return true;
}

HOTPATH_FN hotpath::error csv_reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = errc::malformed;
  e.detail = fault_ != nullptr ? fault_ : "no error";
  e.source = source;
  e.byte = fault_at_;
  e.has_byte = true;
  e.line = e.column = 1;
  for (const char c : text_.substr(0, fault_at_)) {
    e.line += c == '\n' ? 1u : 0u;
    e.column = c == '\n' ? 1 : e.column + 1;
  }
  return e;
}

HOTPATH_FN bool is_secret_name(std::string_view name) {
  std::string all;           // letters and digits, lower case
  std::size_t word = 0;      // where the last word begins; subscription-key and subscriptionKey have two
  bool small_before = false;
  for (const char given : name) {
    const char c = to_lower(given);
    if ((c != given && small_before) || !(is_digit(c) || (c >= 'a' && c <= 'z'))) word = all.size();
    if (is_digit(c) || (c >= 'a' && c <= 'z')) all.push_back(c);
    small_before = c == given && c >= 'a' && c <= 'z';
  }
  const std::string_view text = all, last = text.substr(word);
  for (const std::string_view part : {"authorization", "cookie", "secret", "passw", "passphrase", "credential", "apikey", "accesskey",
                                      "privatekey", "bearer"})
    if (text.find(part) != std::string_view::npos) return true;
  if (text.ends_with("token") || text.ends_with("jwt")) return true;
  for (const std::string_view one : {"key", "auth", "pwd", "pass", "sig", "signature", "session", "sessionid"})
    if (last == one) return true;
  return false;
}

HOTPATH_FN std::string redact_url(std::string_view url) {
  const auto scheme = url.find("://");
  const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  std::string out(url.substr(0, begin));
  std::string_view rest = url.substr(begin);
  // User-info ends at the last @ before the path. A password with an unescaped slash moves that @ behind the slash: where
  // what would be the port is no number, it is taken for such a password.
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  auto at = authority.rfind('@');
  if (at == std::string_view::npos && scheme != std::string_view::npos && rest.find('@') != std::string_view::npos) {
    const auto colon = authority.rfind(':');
    if (colon != std::string_view::npos && !authority.ends_with(']') &&
        authority.find_first_not_of("0123456789", colon + 1) != std::string_view::npos)
      at = rest.rfind('@');
  }
  if (at != std::string_view::npos) rest.remove_prefix(at + 1);

  const auto query = rest.find_first_of("?#");
  out.append(rest.substr(0, query));
  if (query == std::string_view::npos) return out;
  rest.remove_prefix(query);
  // Each pair begins with one of ? & ; #
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find_first_of("?&;#", 1));
    rest.remove_prefix(pair.size());
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || !is_secret_name(detail::percent_decoded(pair.substr(1, equals - 1)))) out.append(pair);
    else out.append(pair.substr(0, equals + 1)).append(redacted);
  }
  return out;
}

HOTPATH_FN std::string redact_text(std::string_view text, std::span<const std::string_view> secrets) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t longest = 0;
    for (const std::string_view s : secrets)
      if (s.size() > longest && text.starts_with(s)) longest = s.size();
    if (longest == 0) out.push_back(text.front());
    else out.append(redacted);
    text.remove_prefix(longest == 0 ? 1 : longest);
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::text
