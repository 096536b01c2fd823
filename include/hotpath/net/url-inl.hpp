// SPDX-License-Identifier: Apache-2.0
// hotpath/net/url-inl.hpp - bodies of net/url.hpp
#pragma once
#include <arpa/inet.h>  // inet_pton: is it an IPv6 address
#include <sys/un.h>     // how long the path of a unix socket may be
#include <hotpath/net/url.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline bool percent_decode(std::string_view in, std::string& out) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '%') {
      out += in[i];
      continue;
    }
    if (i + 2 >= in.size() || hex_digit(in[i + 1]) < 0 || hex_digit(in[i + 2]) < 0) return false;
    out += static_cast<char>(hex_digit(in[i + 1]) * 16 + hex_digit(in[i + 2]));
    i += 2;
  }
  return true;
}

// The address as it may be shown: nothing before the last '@', no query, at most 200 bytes, nothing unprintable.
inline std::string without_secrets(std::string_view text) {
  const std::size_t scheme = text.find("://");
  std::string out(scheme == std::string_view::npos ? std::string_view() : text.substr(0, scheme + 3));
  std::string_view rest = text.substr(out.size());
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    out += "***@";
    rest = rest.substr(at + 1);
  }
  rest = rest.substr(0, rest.find_first_of("?#"));
  out += rest.substr(0, 200);
  for (char& c : out) if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') c = '?';
  return out;
}

inline error bad_url(std::string_view text, std::string detail, std::string hint = "want http://HOST:PORT or unix:PATH") {
  return {.code = errc::usage, .detail = std::move(detail), .source = without_secrets(text), .hint = std::move(hint)};
}

// "/llm/v1/chat/completions/" -> base "/llm", api "chat".
inline void split_base(std::string_view path, url& u) {
  const auto ends_with = [&](std::string_view tail) {
    if (!path.ends_with(tail)) return false;
    path.remove_suffix(tail.size());
    return true;
  };
  while (path.ends_with('/')) path.remove_suffix(1);
  if (ends_with("/v1/chat/completions")) u.api = "chat";
  else if (ends_with("/v1/completions")) u.api = "completions";
  else ends_with("/v1");
  while (path.ends_with('/')) path.remove_suffix(1);
  u.base = path;
}

inline result<url> parse_unix(std::string_view text, std::string_view rest) {
  url u;
  if (rest.starts_with("//")) rest.remove_prefix(2);
  const std::size_t base = rest.rfind(":/");  // the last one: a socket's name may hold a colon
  if (base != std::string_view::npos && base != 0) {
    split_base(rest.substr(base + 1), u);
    rest = rest.substr(0, base);
  }
  if (rest.empty()) return bad_url(text, "no path after unix:");
  if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
    return bad_url(text, "the socket's path has " + std::to_string(rest.size()) + " bytes, the system takes " +
                             std::to_string(sizeof(sockaddr_un::sun_path) - 1), "use a shorter path");
  }
  u.socket_path = rest;
  return u;
}

inline result<void> parse_host(std::string_view text, std::string_view& rest, url& u) {
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_url(text, "'[' without ']'");
    const std::string_view inside = rest.substr(1, close - 1);
    const std::size_t zone = inside.find('%');
    std::string address(inside.substr(0, zone));
    in6_addr parsed;
    if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return bad_url(text, "not an IPv6 address between the brackets");
    if (zone != std::string_view::npos) {  // RFC 6874: written %25eth0, but %eth0 is what people type
      std::string_view name = inside.substr(zone + 1);
      if (name.starts_with("25") && name.size() > 2) name.remove_prefix(2);
      address.append("%").append(name);
    }
    u.host = std::move(address);
    rest = rest.substr(close + 1);
    return {};
  }
  const std::size_t end = rest.find(':');
  if (end != rest.rfind(':')) return bad_url(text, "more than one colon in the host", "write an IPv6 address as [::1]");
  for (char c : rest.substr(0, end)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool fits = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!fits) {
      return static_cast<unsigned char>(c) >= 0x80 ? bad_url(text, "the host has non-ASCII characters", "write it in its xn-- form")
                                                   : bad_url(text, std::string("the host has a '") + c + "'");
    }
    u.host += upper ? static_cast<char>(c + 32) : c;
  }
  if (u.host.empty()) return bad_url(text, "no host");
  if (u.host.size() > 253) return bad_url(text, "the host is longer than 253 characters");
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  return {};
}
}  // namespace detail

HOTPATH_FN result<url> parse_url(std::string_view text) {
  using detail::bad_url;
  for (char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return bad_url(text, "a blank or control character", "percent-encode it");
  }
  if (text.empty()) return bad_url("the server's address", "empty");
  if (text.starts_with("unix:")) return detail::parse_unix(text, text.substr(5));
  std::string_view rest = text;
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    std::string name(text.substr(0, scheme));
    for (char& c : name) if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (name == "https") {
      return error{.code = errc::unsupported, .detail = "https needs a build of hotpath with TLS, this one has none",
                   .source = detail::without_secrets(text), .hint = "use http://, or a proxy on this machine that adds TLS"};
    }
    if (name != "http") {
      return error{.code = errc::unsupported, .detail = "not a scheme that hotpath speaks", .source = detail::without_secrets(text),
                   .hint = "want http://HOST:PORT or unix:PATH"};
    }
    rest = text.substr(scheme + 3);
  }
  // A raw '/' or '?' in a password would make the rest of it part of a path, and shown.
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos && rest.find_first_of("/?#") < at) {
    return bad_url(text, "an '@' after the first '/', '?' or '#'", "percent-encode it (%40), and '/', '?', '#' in a password");
  }
  url u;
  if (rest.find('#') != std::string_view::npos) return bad_url(text, "a '#': the part after it never reaches a server");
  if (const std::size_t q = rest.find('?'); q != std::string_view::npos) {
    u.query = rest.substr(q + 1);
    rest = rest.substr(0, q);
  }
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    detail::split_base(rest.substr(slash), u);
    rest = rest.substr(0, slash);
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (!detail::percent_decode(rest.substr(0, at), u.user_info)) return bad_url(text, "a broken %-sequence before the '@'");
    rest = rest.substr(at + 1);
  }
  if (auto ok = detail::parse_host(text, rest, u); !ok) return ok.error();
  if (!rest.empty() && rest.front() != ':') return bad_url(text, "something between the host and its port");
  if (rest.size() > 1) {
    unsigned port = 0;
    for (char c : rest.substr(1)) {
      if (c < '0' || c > '9' || port > 65535) {
        port = 65536;
        break;
      }
      port = port * 10 + static_cast<unsigned>(c - '0');
    }
    if (port < 1 || port > 65535) return bad_url(text, "the port is \"" + std::string(rest.substr(1, 20)) + "\", want 1 to 65535");
    u.port = static_cast<std::uint16_t>(port);
  }
  for (const std::string* part : {&u.base, &u.query}) {
    for (char c : *part) {
      if (static_cast<unsigned char>(c) >= 0x80) return bad_url(text, "non-ASCII characters in the path", "percent-encode them");
    }
  }
  return u;
}

HOTPATH_FN std::string url::authority() const {
  if (is_unix()) return "localhost";
  // A zone is of this machine only: it is never sent.
  std::string out = ipv6() ? "[" + host.substr(0, host.find('%')) + "]" : host;
  if (port != 80) out += ":" + std::to_string(port);
  return out;
}

HOTPATH_FN std::string url::display() const {
  if (is_unix()) return base.empty() ? "unix:" + socket_path : "unix:" + socket_path + ":" + base;
  return "http://" + (ipv6() ? "[" + host + "]" : host) + ":" + std::to_string(port) + base;
}

HOTPATH_FN std::string url::target(std::string_view path) const {
  std::string out = base;
  out += path;
  if (!query.empty()) out += "?" + query;
  return out;
}

HOTPATH_FN std::string url::basic_authorization() const {
  if (user_info.empty()) return {};
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "Basic ";
  for (std::size_t i = 0; i < user_info.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < user_info.size() ? static_cast<unsigned char>(user_info[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > user_info.size() ? '=' : digits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::net
