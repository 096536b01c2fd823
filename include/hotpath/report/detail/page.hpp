// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/page.hpp - lines for a terminal: width, wrapping, headings, colour, UTF-8 or ASCII. Not for users.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/utf8.hpp>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

// East Asian wide and emoji blocks; coarse, as it only decides where lines break.
constexpr bool is_wide(std::uint32_t c) {
  return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) || (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) ||
         (c >= 0x20000 && c <= 0x3FFFD);
}

// One character of well-formed UTF-8: its bytes and its columns.
struct glyph {
  std::size_t bytes = 1, columns = 1;
};
inline glyph glyph_at(std::string_view s, std::size_t i) {
  const hotpath::detail::utf8_step step = hotpath::detail::utf8_at(s.data() + i, s.data() + s.size());
  std::uint32_t c = static_cast<unsigned char>(s[i]);
  if (step.length > 1) c &= 0xFFu >> (step.length + 1u);
  for (std::size_t k = 1; k < step.length; ++k) c = c << 6 | (static_cast<unsigned char>(s[i + k]) & 0x3Fu);
  return {step.length, is_wide(c) ? 2u : 1u};
}
inline std::size_t columns_of(std::string_view s) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < s.size();) {
    const glyph g = glyph_at(s, i);
    i += g.bytes, n += g.columns;
  }
  return n;
}

// Text of others, fit for a terminal: nothing that moves a cursor, and in ASCII mode nothing but ASCII.
inline std::string clean(std::string_view foreign, std::size_t max, bool ascii) {
  std::string s = hotpath::text::printable(foreign, max);
  if (!ascii) return s;
  std::string plain;
  for (std::size_t i = 0; i < s.size();) {
    const glyph g = glyph_at(s, i);
    plain += g.bytes == 1 ? s[i] : '?';
    i += g.bytes;
  }
  return plain;
}

// One column of a spark line, from 0 to `top`; a value that is not known is a blank.
inline std::string_view spark_mark(double v, double top, bool ascii) {
  constexpr std::string_view blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
  constexpr std::string_view plain = "_.-:=+*#";
  if (!__builtin_isfinite(v)) return " ";
  const double share = top > 0 && v > 0 ? v / top : 0;
  const auto level = static_cast<std::size_t>(share >= 1 ? 7 : share * 7.999);
  return ascii ? plain.substr(level, 1) : blocks[level];
}

enum class style : std::uint8_t { plain, bold, dim, good, warn, bad, good_badge, warn_badge, bad_badge, spark };

class page {
 public:
  page(std::size_t width, bool color, bool ascii) : width_(width), color_(color), ascii_(ascii) {}

  std::size_t width() const { return width_; }
  bool ascii() const { return ascii_; }
  std::string take() { return ascii_ ? spaced(out_) : std::move(out_); }

  // What glued() made stays, to be a space in the end.
  std::string clean(std::string_view foreign, std::size_t max = 512) const {
    if (!ascii_) return detail::clean(foreign, max, false);
    std::string s = hotpath::text::printable(foreign, max), out;
    for (std::string_view rest = s; !rest.empty();) {
      const std::size_t at = rest.find("\u00A0");
      out += detail::clean(rest.substr(0, at), max, true);
      if (at == std::string_view::npos) break;
      out += "\u00A0", rest.remove_prefix(at + 2);
    }
    return out;
  }
  // One of our own marks, or what stands for it in ASCII.
  std::string_view mark(std::string_view utf8, std::string_view plain) const { return ascii_ ? plain : utf8; }
  std::string_view dot() const { return mark(" \u00B7 ", " | "); }

  std::string paint(style s, std::string_view t) const {
    constexpr std::string_view codes[] = {"", "1", "2", "32", "33", "1;31", "1;30;42", "1;30;43", "1;37;41", "36"};
    if (!color_ || s == style::plain || t.empty()) return std::string(t);
    return "\x1b[" + std::string(codes[static_cast<std::size_t>(s)]) + "m" + std::string(t) + "\x1b[0m";
  }

  void raw(std::string_view t) { out_ += t; }
  void end_line() {
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    out_ += '\n';
  }
  void blank() { out_ += '\n'; }

  // "Title, aside ─────────" over the whole width.
  void heading(std::string_view title, std::string_view aside = {}, style s = style::plain) {
    blank();
    std::size_t used = columns_of(title) + 1;
    out_ += paint(style::bold, title) + " ";
    if (!aside.empty()) out_ += paint(s, spaced(aside)) + " ", used += columns_of(aside) + 1;
    std::string rule;
    for (; used < width_; ++used) rule += mark("\u2500", "-");
    out_ += paint(style::dim, rule);
    end_line();
  }

  // `first` stands at the left of the first line (its `columns` without colour codes), `t` follows, wrapped, each line at `indent`.
  void wrapped(std::string_view first, std::size_t first_columns, std::size_t indent, std::string_view t, style s = style::plain) {
    out_ += first;
    if (first_columns > indent) end_line(), first_columns = 0;
    for (const std::string& line : lines(t, width_ > indent + 8 ? width_ - indent : 8)) {
      pad(first_columns, indent), first_columns = 0;
      out_ += paint(s, line);
      end_line();
    }
    if (first_columns != 0) end_line();  // no text at all
  }
  void labelled(std::string_view label, std::size_t indent, std::string_view t, style s = style::plain) {
    wrapped(paint(style::dim, label), columns_of(label), indent, t, s);
  }

  void right(std::string_view t, std::size_t columns, style s = style::plain) {
    pad(columns_of(t), columns);
    out_ += paint(s, t);
  }
  void left(std::string_view t, std::size_t columns, style s = style::plain) {
    out_ += paint(s, t);
    pad(columns_of(t), columns);
  }
  void pad(std::size_t have, std::size_t want) {
    if (have < want) out_.append(want - have, ' ');
  }

  // A number and its unit, held together through wrapped(), which writes the no-break space (U+00A0) as a space.
  static std::string glued(std::string s) {
    for (std::size_t i = 0; (i = s.find(' ', i)) != std::string::npos; i += 2) s.replace(i, 1, "\u00A0");
    return s;
  }
  static std::string spaced(std::string_view glued) {
    std::string s(glued);
    for (std::size_t i; (i = s.find("\u00A0")) != std::string::npos;) s.replace(i, 2, " ");
    return s;
  }

  // Broken at spaces. A word that is longer than a line is broken behind the last '/' that fits (a path), else behind a joint of a name, else
  // where the line ends.
  static std::vector<std::string> lines(std::string_view t, std::size_t columns) {
    std::vector<std::string> all;
    std::string line;
    std::size_t used = 0;
    const auto flush = [&] {
      for (const std::string_view separator : {" \u00B7", " |"})  // of a list: not at the end of a line
        if (line.ends_with(separator)) line.resize(line.size() - separator.size());
      all.push_back(std::move(line)), line.clear(), used = 0;
    };
    std::string held(t);
    for (std::size_t i = 0; (i = held.find(" %", i)) != std::string::npos; i += 3) held.replace(i, 1, "\u00A0");   // a number and its sign stay together
    hotpath::text::split(held, ' ', [&](std::string_view word) {
      if (word.empty()) return;
      const std::size_t size = columns_of(word);
      if (used != 0 && used + 1 + size > columns) flush();
      if (used == 0 && (word == "\u00B7" || word == "|")) return;  // nor at its beginning
      if (used != 0) line += ' ', ++used;
      while (!word.empty()) {
        std::size_t fits = 0, slash = 0, sign = 0, wide = 0;   // bytes; where it may break
        while (fits < word.size()) {
          const glyph g = glyph_at(word, fits);
          if (used + wide + g.columns > columns && (used != 0 || fits != 0)) break;
          if (wide > columns / 2 && is_joint(word[fits])) sign = fits + 1;
          if (wide > columns / 4 && word[fits] == '/') slash = fits + 1;
          fits += g.bytes, wide += g.columns;
        }
        if (fits < word.size()) fits = slash != 0 ? slash : sign != 0 ? sign : fits;
        line += spaced(word.substr(0, fits)), used += columns_of(word.substr(0, fits));
        if (fits == word.size()) break;
        word.remove_prefix(fits), flush();
      }
    });
    if (!line.empty()) flush();
    return all;
  }

 private:
  static constexpr bool is_joint(char c) { return c == '_' || c == '-' || c == '.' || c == ',' || c == ':' || c == ';' || c == '=' || c == '&' || c == '>' || c == ')'; }

  std::string out_;
  std::size_t width_;
  bool color_, ascii_;
};

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
