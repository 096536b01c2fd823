// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/markup.hpp - text of others, put where Markdown or HTML gives characters a meaning. Not for users.
//   Whatever the bytes, what comes back stays in its place: no element, attribute, table cell, mention or link begins or ends by it.
#pragma once
#include <string>
#include <string_view>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

// A sentence: whatever begins markup is escaped. '@' and '#' become mentions after rendering and "://" and "www." links, escaped or
// not: an empty comment parts them.
inline std::string markdown_prose(std::string_view foreign, std::size_t max, bool) {
  const std::string plain = hotpath::text::printable(foreign, max);
  std::string out;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '@' || (c == '#' && i + 1 < plain.size())) out.append(1, c).append("<!-- -->");
    else if (c == ':' && plain.compare(i, 3, "://") == 0) out += ":<!-- -->";
    else if (c == '.' && i >= 3 && hotpath::text::equal_ignoring_case(std::string_view(plain).substr(i - 3, 3), "www")) out += "<!-- -->.";
    else if (std::string_view("\\`*_{}[]|~$").find(c) != std::string_view::npos) out += '\\', out += c;
    else out += c;
  }
  return out;
}

// A name: a code span whose fence is longer than any run of backticks in it. Not for tables, where a '|' would end the cell.
inline std::string markdown_name(std::string_view foreign, std::size_t max, bool) {
  std::string plain = hotpath::text::printable(foreign, max);
  if (plain.empty()) return plain;
  std::size_t longest = 0, run = 0;
  for (const char c : plain) longest = (run = c == '`' ? run + 1 : 0) > longest ? run : longest;
  const std::string fence(longest + 1, '`');
  if (plain.front() == '`' || plain.back() == '`' || plain.front() == ' ') plain.insert(0, 1, ' '), plain += ' ';
  return fence + plain + fence;
}

// A name in a cell of a table: GitHub takes the backslash before '|' away, inside a code span too. A backslash of the name right before a
// '|' would take ours away instead: such a name is written as prose.
inline std::string markdown_cell(std::string_view foreign, std::size_t max = 512) {
  const std::string plain = hotpath::text::printable(foreign, max);
  if (plain.find("\\|") != std::string::npos) return markdown_prose(plain, plain.size(), false);
  const std::string name = markdown_name(plain, plain.size() + 8, false);
  std::string out;
  for (const char c : name) out.append(c == '|' ? "\\" : "").append(1, c);
  return out;
}

// The one escaper of every HTML page: for text between tags and for attribute values in double quotes.
inline std::string html_text(std::string_view foreign, std::size_t max = 512) {
  const std::string plain = hotpath::text::printable(foreign, max);
  std::string out;
  out.reserve(plain.size() + 16);
  for (const char c : plain) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      case '/': out += "&#47;"; break;
      case '`': out += "&#96;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
