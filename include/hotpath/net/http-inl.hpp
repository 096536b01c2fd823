// SPDX-License-Identifier: Apache-2.0
// hotpath/net/http-inl.hpp - bodies of net/http.hpp
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>
#include <hotpath/net/http.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
// RFC 9110 5.6.2: what a method or field name may be made of.
constexpr bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
constexpr bool is_token(std::string_view s) {
  for (char c : s) if (!is_token_char(c)) return false;
  return !s.empty();
}
constexpr std::string_view trim_blanks(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}
constexpr bool has_line_breaker(std::string_view s) {
  for (char c : s) if (c == '\r' || c == '\n' || c == '\0') return true;
  return false;
}
// The first element of a comma-separated list, trimmed; `list` loses it.
constexpr std::string_view next_element(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view element = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  return trim_blanks(element);
}
}  // namespace detail

HOTPATH_FN std::string_view response_head::media_type() const noexcept {
  return detail::trim_blanks(content_type.substr(0, content_type.find(';')));
}

HOTPATH_FN void response_parser::reset(bool head_request) {
  const http_limits limits = limits_;
  std::string kept = std::move(kept_);
  kept.clear();
  *this = response_parser(limits);
  kept_ = std::move(kept);
  head_request_ = head_request;
}

HOTPATH_FN response_head response_parser::head() const {
  const auto view = [&](kept_field f) { return std::string_view(kept_).substr(kept_at_[f].at, kept_at_[f].size); };
  response_head h;
  h.status = status_;
  h.minor_version = minor_;
  h.keep_alive = keep_alive_;
  h.content_type = view(content_type);
  h.content_encoding = view(content_encoding);
  h.server = view(server);
  h.location = view(location);
  h.retry_after = view(retry_after);
  h.request_id = view(request_id);
  return h;
}

HOTPATH_FN void response_parser::fail(http_fault f, std::string_view what, std::string_view shown) {
  what_.assign(what);
  if (!shown.empty()) what_ += ": \"" + text::printable(shown, 40) + "\"";
  fault_ = f;
  state_ = state::failed;
  keep_alive_ = false;
  std::string().swap(line_);
}

HOTPATH_FN std::size_t response_parser::step(std::string_view in, std::string_view& piece) {
  any_ = true;
  switch (phase_) {
    case phase::status_line:
    case phase::field:
    case phase::trailer: return head_line(in);
    case phase::length_body:
    case phase::close_body:
    case phase::chunk_data: return body_piece(in, piece);
    case phase::chunk_size: return chunk_size_line(in);
    case phase::chunk_end: return chunk_crlf(in);
  }
  return 0;
}

HOTPATH_FN std::size_t response_parser::body_piece(std::string_view in, std::string_view& piece) {
  std::size_t n = in.size();
  if (phase_ != phase::close_body && length_ < n) n = static_cast<std::size_t>(length_);
  if (limits_.body != 0 && n > limits_.body - body_bytes_) {
    n = static_cast<std::size_t>(limits_.body - body_bytes_);  // up to the limit, as with any cut of the bytes
    if (n == 0) {
      fail(http_fault::over_limit, "the body is larger than " + std::to_string(limits_.body) + " bytes");
      return 0;
    }
  }
  piece = in.substr(0, n);
  body_bytes_ += n;
  if (phase_ != phase::close_body) {
    length_ -= n;
    if (length_ == 0) {
      if (phase_ == phase::chunk_data) phase_ = phase::chunk_end;
      else state_ = state::done;
    }
  }
  return n;
}

// One line without its end. False: it is not complete yet (its bytes are in line_), or too long for `limit`'s owner.
HOTPATH_FN bool response_parser::take_line(std::string_view in, std::size_t& used, std::string_view& line) {
  const void* const lf = std::memchr(in.data(), '\n', in.size());
  used = lf != nullptr ? static_cast<std::size_t>(static_cast<const char*>(lf) - in.data()) + 1 : in.size();
  const bool chunk = phase_ == phase::chunk_size;
  const std::size_t room = chunk ? limits_.chunk_line - (std::min<std::size_t>)(line_.size(), limits_.chunk_line)
                                 : limits_.head - head_bytes_;
  if (used > room) {
    used = in.size();
    if (chunk) fail(http_fault::over_limit, "a chunk-size line is longer than " + std::to_string(limits_.chunk_line) + " bytes");
    else fail(http_fault::over_limit, (phase_ == phase::trailer ? "the trailers are larger than " : "the response's head is larger than ") +
                                          std::to_string(limits_.head) + " bytes");
    return false;
  }
  if (!chunk) head_bytes_ += static_cast<std::uint32_t>(used);
  if (lf != nullptr && line_.empty()) {
    line = in.substr(0, used);
  } else {
    line_.append(in.substr(0, used));
    if (lf == nullptr) return false;
    line = line_;
  }
  line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') {
    line.remove_suffix(1);
  } else if (!lf_only_) {
    lf_only_ = true;  // counted once per response
    ++warnings_;
  }
  if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos) {
    fail(http_fault::bad_framing, "a bare CR or a NUL in a line", line);
    return false;
  }
  return true;
}

HOTPATH_FN std::size_t response_parser::head_line(std::string_view in) {
  // A peer that does not speak HTTP/1 is known by its first bytes; it may never send a line end.
  constexpr std::string_view start = "HTTP/1.";
  if (phase_ == phase::status_line && line_.size() < start.size()) {
    const std::string_view want = start.substr(line_.size());
    const std::size_t n = (std::min)(want.size(), in.size());
    if (in.substr(0, n) != want.substr(0, n)) {
      const std::string seen = line_ + std::string(in.substr(0, 40));
      // A TLS record: alert or handshake, protocol version 3.x (RFC 8446 5.1).
      const bool tls = seen.size() >= 2 && (seen[0] == '\x15' || seen[0] == '\x16') && seen[1] == '\x03';
      fail(http_fault::bad_framing, tls ? "the server speaks TLS (https), not HTTP" : "no HTTP/1.x status line", seen);
      return in.size();
    }
  }
  std::size_t used = 0;
  std::string_view line;
  if (!take_line(in, used, line)) return used;
  if (phase_ == phase::status_line) {
    status_line(line);
  } else if (!line.empty()) {
    field_line(line);
  } else if (phase_ == phase::trailer) {
    state_ = state::done;
  } else {
    head_done();
  }
  line_.clear();
  // The head's buffer is not kept for the hours that a stream may last.
  if (state_ != state::head && phase_ != phase::trailer) std::string().swap(line_);
  return used;
}

HOTPATH_FN void response_parser::status_line(std::string_view line) {
  // "HTTP/1.1 200 OK"; the reason may be missing, with or without its space.
  const auto digit = [&](std::size_t i) { return i < line.size() && line[i] >= '0' && line[i] <= '9'; };
  if (!digit(7) || line.size() < 12 || line[8] != ' ' || !digit(9) || !digit(10) || !digit(11) || line[9] == '0' ||
      (line.size() > 12 && line[12] != ' ')) {
    return fail(http_fault::bad_framing, "not a status line", line);
  }
  minor_ = static_cast<std::uint8_t>(line[7] - '0');
  status_ = static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  phase_ = phase::field;
}

HOTPATH_FN void response_parser::field_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return fail(http_fault::bad_framing, "a folded header field", line);
  if (++field_count_ > limits_.fields) {
    return fail(http_fault::over_limit, "more than " + std::to_string(limits_.fields) + " header fields");
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !detail::is_token(line.substr(0, colon))) {
    return fail(http_fault::bad_framing, phase_ == phase::trailer ? "not a trailer field" : "not a header field", line);
  }
  if (phase_ == phase::field) interpret(line.substr(0, colon), detail::trim_blanks(line.substr(colon + 1)));
}

HOTPATH_FN void response_parser::interpret(std::string_view name, std::string_view value) {
  if (status_ < 200) return;  // nothing in an interim response concerns us
  constexpr std::string_view kept_names[] = {"content-type", "content-encoding", "server", "location", "retry-after", "x-request-id"};
  static_assert(sizeof(kept_names) / sizeof(kept_names[0]) == kept_count);
  for (std::size_t i = 0; i < kept_count; ++i) {
    if (!iequals(name, kept_names[i])) continue;
    if (kept_at_[i].size == 0) {
      const std::string_view part = value.substr(0, 512);
      kept_at_[i] = {static_cast<std::uint32_t>(kept_.size()), static_cast<std::uint32_t>(part.size())};
      kept_ += part;
    }
    return;
  }
  if (iequals(name, "content-length")) return content_length(value);
  if (iequals(name, "transfer-encoding")) return transfer_encoding(value);
  if (iequals(name, "connection")) {
    while (!value.empty()) {
      const std::string_view option = detail::next_element(value);
      close_ = close_ || iequals(option, "close");
      keep_ = keep_ || iequals(option, "keep-alive");
    }
  }
}

HOTPATH_FN void response_parser::content_length(std::string_view value) {
  std::string_view rest = value;
  do {  // "5, 5" is a repeated field that a proxy has joined
    const std::string_view number = detail::next_element(rest);
    std::uint64_t n = 0;
    bool ok = !number.empty() && !value.ends_with(',');
    for (char c : number) {
      const auto d = static_cast<std::uint64_t>(c - '0');
      ok = ok && c >= '0' && c <= '9' && n <= (static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) - d) / 10;
      if (!ok) break;
      n = n * 10 + d;
    }
    if (!ok) return fail(http_fault::bad_framing, "Content-Length is not a number from 0 to 2^63-1", value.empty() ? " " : value);
    if (has_length_ && n != length_) return fail(http_fault::bad_framing, "two different Content-Length values", value);
    has_length_ = true;
    length_ = n;
  } while (!rest.empty());
}

HOTPATH_FN void response_parser::transfer_encoding(std::string_view value) {
  coded_ = true;
  do {
    const std::string_view coding = detail::next_element(value);
    if (iequals(coding, "chunked") && !chunked_) chunked_ = true;
    else other_coding_ = other_coding_ || !coding.empty();
  } while (!value.empty());
}

HOTPATH_FN void response_parser::head_done() {
  if (status_ < 200) {
    if (status_ == 101) return fail(http_fault::bad_framing, "the server switched protocols (101), which was not asked for");
    phase_ = phase::status_line;
    field_count_ = 0;  // head_bytes_ goes on: an endless row of 1xx meets the limit
    return;
  }
  keep_alive_ = minor_ >= 1 ? !close_ : keep_ && !close_;
  body_begun_ = true;
  const bool no_body = head_request_ || status_ == 204 || status_ == 304;
  if (no_body) {
    state_ = state::done;
    return;
  }
  if (coded_ && has_length_) {
    return fail(http_fault::ambiguous_framing, "the response has both Content-Length and Transfer-Encoding");
  }
  if (coded_ && (other_coding_ || !chunked_)) {
    return fail(http_fault::bad_framing, "a Transfer-Encoding other than chunked");
  }
  state_ = state::body;
  if (coded_) {
    if (minor_ == 0) {  // RFC 9112 6.1: the framing may be a mistake of something in between; use it once
      ++warnings_;
      keep_alive_ = false;
    }
    phase_ = phase::chunk_size;
  } else if (has_length_) {
    if (limits_.body != 0 && length_ > limits_.body) {
      return fail(http_fault::over_limit, "Content-Length " + std::to_string(length_) + " is over the limit of " + std::to_string(limits_.body) + " bytes");
    }
    phase_ = phase::length_body;
    if (length_ == 0) state_ = state::done;
  } else {
    phase_ = phase::close_body;
    keep_alive_ = false;
  }
}

HOTPATH_FN std::size_t response_parser::chunk_size_line(std::string_view in) {
  std::size_t used = 0;
  std::string_view line;
  if (!take_line(in, used, line)) return used;
  std::uint64_t n = 0;
  std::size_t i = 0;
  for (; i < line.size(); ++i) {
    const char c = line[i];
    int d = -1;
    if (c >= '0' && c <= '9') d = c - '0';
    else if (c >= 'a' && c <= 'f') d = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F') d = c - 'A' + 10;
    if (d < 0) break;
    if (n >> 59 != 0) {  // the next digit would reach 2^63
      fail(http_fault::bad_framing, "a chunk size of 2^63 or more", line);
      return used;
    }
    n = n << 4 | static_cast<std::uint64_t>(d);
  }
  const std::string_view rest = detail::trim_blanks(line.substr(i));
  if (i == 0 || (!rest.empty() && rest.front() != ';')) {
    fail(http_fault::bad_framing, "not a chunk size", line.empty() ? " " : line);
    return used;
  }
  line_.clear();
  length_ = n;
  phase_ = n != 0 ? phase::chunk_data : phase::trailer;
  if (n == 0) head_bytes_ = 0, field_count_ = 0;  // the trailers have a budget of their own
  return used;
}

HOTPATH_FN std::size_t response_parser::chunk_crlf(std::string_view in) {
  if (in.front() == '\r' && !cr_seen_) {
    cr_seen_ = true;
    if (in.size() == 1) return 1;
    in.remove_prefix(1);
    return 1 + chunk_crlf(in);
  }
  if (in.front() != '\n') {
    fail(http_fault::bad_framing, "a chunk is longer than its size says", in);
    return 1;
  }
  if (!cr_seen_ && !lf_only_) {
    lf_only_ = true;
    ++warnings_;
  }
  cr_seen_ = false;
  phase_ = phase::chunk_size;
  return 1;
}

HOTPATH_FN void response_parser::eof() {
  if (state_ == state::done || state_ == state::failed) return;
  if (phase_ == phase::close_body) {
    state_ = state::done;
    return;
  }
  if (!any_) return fail(http_fault::truncated, "the connection was closed before any byte of the response");
  if (state_ == state::head) return fail(http_fault::truncated, "the connection was closed inside the response's head");
  if (phase_ == phase::length_body) {
    return fail(http_fault::truncated, "the connection was closed after " + std::to_string(body_bytes_) + " of " +
                                           std::to_string(body_bytes_ + length_) + " bytes of the body");
  }
  fail(http_fault::truncated, "the connection was closed before the last chunk, after " + std::to_string(body_bytes_) + " bytes of the body");
}

HOTPATH_FN result<void> check_header(std::string_view name, std::string_view value) {
  if (!detail::is_token(name)) {
    if (name.empty()) return error{.code = errc::usage, .detail = "a header without a name"};
    return error{.code = errc::usage, .detail = "header name \"" + text::printable(name, 40) + "\" has a character that none may have"};
  }
  if (detail::has_line_breaker(value) || detail::trim_blanks(value).size() != value.size()) {
    return error{.code = errc::usage,
                 .detail = "the value of header " + std::string(name) + " has a CR, LF or NUL, or a blank at an end"};
  }
  for (std::string_view ours : {"content-length", "transfer-encoding", "connection", "upgrade", "expect"}) {
    if (iequals(name, ours)) return error{.code = errc::usage, .detail = "header " + std::string(name) + " is set by the client itself"};
  }
  return {};
}

HOTPATH_FN result<header> parse_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) {  // the line is not shown: it may be a key on its own
    return error{.code = errc::usage, .detail = "a header without a colon", .hint = "write it as \"Name: value\""};
  }
  header h{std::string(line.substr(0, colon)), std::string(detail::trim_blanks(line.substr(colon + 1)))};
  if (auto ok = check_header(h.name, h.value); !ok) return ok.error();
  return h;
}

HOTPATH_FN result<void> write_request(std::string& out, std::string_view method, std::string_view target, std::string_view host,
                                      std::span<const header> headers, std::string_view body) {
  if (!detail::is_token(method)) return error{.code = errc::usage, .detail = "the request's method is not a token"};
  const auto visible = [](std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  };
  if (!visible(target) || !visible(host)) {
    return error{.code = errc::usage, .detail = "the request's target or host has a space, a control character or a non-ASCII byte",
                 .hint = "percent-encode it"};
  }
  bool own_host = false;
  std::size_t need = method.size() + target.size() + host.size() + body.size() + 64;
  for (const header& h : headers) {
    if (auto ok = check_header(h.name, h.value); !ok) return ok;
    own_host = own_host || iequals(h.name, "host");
    need += h.name.size() + h.value.size() + 4;
  }
  out.reserve(out.size() + need);
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  if (!own_host) out.append("Host: ").append(host).append("\r\n");
  for (const header& h : headers) out.append(h.name).append(": ").append(h.value).append("\r\n");
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  out.append("\r\n").append(body);
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::net
