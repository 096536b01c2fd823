// SPDX-License-Identifier: Apache-2.0
// hotpath/net/url.hpp - the address of a server: http://host:port/base, or unix:/path/of/socket:/base.
//
//     result<net::url> u = net::parse_url("http://user:pw@[::1]:8000/llm/v1");
//     u->display();                    // "http://[::1]:8000/llm": fit for reports, no credentials, no query
//     u->target("/v1/completions");    // "/llm/v1/completions": a base that ends in /v1 never doubles it
//
//   Accepted besides: no scheme at all (http is meant), and the full address of an endpoint (…/v1/chat/completions), which is
//   cut back to its base and remembered in `api`. Errors never show what stands before the '@'.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct url {
  std::string host;           // lower case; IPv6 without brackets; empty: a unix socket
  std::uint16_t port = 80;
  std::string socket_path;    // of a unix socket; empty: TCP
  std::string base;           // "" or "/llm": no slash at its end, no /v1
  std::string query;          // without '?', sent with every target; may hold a key, never shown
  std::string api;            // "completions" or "chat" if the address named one of them, else empty
  std::string user_info;      // secret: "user:password", percent-decoded; empty: none

  bool is_unix() const { return !socket_path.empty(); }
  bool ipv6() const { return host.find(':') != std::string::npos; }
  std::string authority() const;                          // for the Host field: "host", "host:8000", "[::1]:8000"; unix: "localhost"
  std::string display() const;                            // for people and files
  std::string target(std::string_view path) const;        // base + path + query; path begins with '/'
  std::string basic_authorization() const;                // secret: value of the Authorization field, empty without user_info
};

// usage: not an address, with what is wrong with it; unsupported: https, or a scheme that nobody speaks here.
result<url> parse_url(std::string_view text);

}  // namespace hotpath::inline HOTPATH_ABI::net

#if HOTPATH_HEADER_ONLY
#include <hotpath/net/url-inl.hpp>
#endif
