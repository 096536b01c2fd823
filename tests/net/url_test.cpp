// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/net/url.hpp>
#include <string>

using namespace hotpath;
using net::parse_url;

TEST_CASE("net: addresses of servers, as people type them") {
  const struct { const char *text, *host; unsigned port; const char *authority, *display, *target; } good[] = {
      {"http://localhost:8000", "localhost", 8000, "localhost:8000", "http://localhost:8000", "/v1/completions"},
      {"localhost:8000", "localhost", 8000, "localhost:8000", "http://localhost:8000", "/v1/completions"},
      {"http://h", "h", 80, "h", "http://h:80", "/v1/completions"},
      {"HTTP://Gpu-7.Example.COM:/", "gpu-7.example.com", 80, "gpu-7.example.com", "http://gpu-7.example.com:80", "/v1/completions"},
      {"http://10.0.0.1:1/v1", "10.0.0.1", 1, "10.0.0.1:1", "http://10.0.0.1:1", "/v1/completions"},
      {"http://h:65535/v1/", "h", 65535, "h:65535", "http://h:65535", "/v1/completions"},
      {"http://h:80/llm//", "h", 80, "h", "http://h:80/llm", "/llm/v1/completions"},
      {"http://h/llm/v1", "h", 80, "h", "http://h:80/llm", "/llm/v1/completions"},
      {"http://h/v1x", "h", 80, "h", "http://h:80/v1x", "/v1x/v1/completions"},
      {"http://h/v1/completions", "h", 80, "h", "http://h:80", "/v1/completions"},
      {"http://h/a/v1/chat/completions", "h", 80, "h", "http://h:80/a", "/a/v1/completions"},
      {"http://h/a?api-version=1&key=k", "h", 80, "h", "http://h:80/a", "/a/v1/completions?api-version=1&key=k"},
      {"http://[::1]:8000/b", "::1", 8000, "[::1]:8000", "http://[::1]:8000/b", "/b/v1/completions"},
      {"http://[2001:db8::7]", "2001:db8::7", 80, "[2001:db8::7]", "http://[2001:db8::7]:80", "/v1/completions"},
      {"http://[fe80::1%25eth0]:9", "fe80::1%eth0", 9, "[fe80::1]:9", "http://[fe80::1%eth0]:9", "/v1/completions"},
      {"http://my_host", "my_host", 80, "my_host", "http://my_host:80", "/v1/completions"},
  };
  for (const auto& g : good) {
    CAPTURE(g.text);
    auto u = parse_url(g.text);
    REQUIRE_MESSAGE(u, u.error().message());
    CHECK(u->host == g.host);
    CHECK(u->port == g.port);
    CHECK(u->authority() == g.authority);
    CHECK(u->display() == g.display);
    CHECK(u->target("/v1/completions") == g.target);
    CHECK_FALSE(u->is_unix());
    // What is shown reads back as the same server.
    auto again = parse_url(u->display());
    REQUIRE(again);
    CHECK(again->display() == u->display());
  }
  CHECK(parse_url("http://h/v1/completions")->api == "completions");
  CHECK(parse_url("http://h/v1/chat/completions/")->api == "chat");
  CHECK(parse_url("http://h/v1")->api.empty());
}

TEST_CASE("net: unix sockets have a path and perhaps a base") {
  const struct { const char *text, *path, *base, *display; } good[] = {
      {"unix:/run/llm.sock", "/run/llm.sock", "", "unix:/run/llm.sock"},
      {"unix:///run/llm.sock", "/run/llm.sock", "", "unix:/run/llm.sock"},
      {"unix:llm.sock", "llm.sock", "", "unix:llm.sock"},
      {"unix:/run/a:b.sock:/llm/v1", "/run/a:b.sock", "/llm", "unix:/run/a:b.sock:/llm"},
      {"unix:/run/llm.sock:/v1", "/run/llm.sock", "", "unix:/run/llm.sock"},
  };
  for (const auto& g : good) {
    CAPTURE(g.text);
    auto u = parse_url(g.text);
    REQUIRE(u);
    CHECK(u->is_unix());
    CHECK(u->socket_path == g.path);
    CHECK(u->base == g.base);
    CHECK(u->display() == g.display);
    CHECK(u->authority() == "localhost");
  }
  CHECK(parse_url("unix:" + std::string(107, 'x')));
  CHECK_FALSE(parse_url("unix:" + std::string(108, 'x')));
}

TEST_CASE("net: what is no address is refused with its reason") {
  const struct { std::string text; errc code; const char* why; } bad[] = {
      {"", errc::usage, "empty"},
      {"http://", errc::usage, "no host"},
      {"http://:8000", errc::usage, "no host"},
      {"http:///v1", errc::usage, "no host"},
      {"http://h:0", errc::usage, "port is \"0\", want 1 to 65535"},
      {"http://h:65536", errc::usage, "want 1 to 65535"},
      {"http://h:4294967376", errc::usage, "want 1 to 65535"},
      {"http://h:+80", errc::usage, "want 1 to 65535"},
      {"http://h:80a", errc::usage, "want 1 to 65535"},
      {"http://::1:8000", errc::usage, "[::1]"},
      {"http://[::1", errc::usage, "without ']'"},
      {"http://[::g]", errc::usage, "IPv6"},
      {"http://[127.0.0.1]", errc::usage, "IPv6"},
      {"http://[::1]8000", errc::usage, "between the host and its port"},
      {"http://a b", errc::usage, "blank"},
      {"http://a\nb", errc::usage, "control"},
      {std::string("http://a\0b", 10), errc::usage, "control"},
      {"http://h\xc3\xb6st", errc::usage, "xn--"},
      {"http://h/\xc3\xb6", errc::usage, "percent-encode"},
      {"http://h%41", errc::usage, "'%'"},
      {"http://h/#x", errc::usage, "'#'"},
      {"http://" + std::string(254, 'a'), errc::usage, "253"},
      {"unix:", errc::usage, "no path"},
      {"ftp://h", errc::unsupported, "scheme"},
      {"htp://h", errc::unsupported, "scheme"},
      {"https://h", errc::unsupported, "TLS"},
  };
  for (const auto& b : bad) {
    CAPTURE(b.text);
    auto u = parse_url(b.text);
    REQUIRE_FALSE(u);
    CHECK(u.error().code == b.code);
    const std::string m = u.error().message();
    CHECK_MESSAGE(m.find(b.why) != std::string::npos, m);
    CHECK(m.find('\n') == std::string::npos);
  }
}

TEST_CASE("net: credentials of an address are kept apart and never shown") {
  auto u = parse_url("http://us%65r:p%40ss:word@h:8000/llm?key=canary-q");
  REQUIRE(u);
  CHECK(u->user_info == "user:p@ss:word");
  CHECK(u->host == "h");
  CHECK(u->basic_authorization() == "Basic dXNlcjpwQHNzOndvcmQ=");
  CHECK(u->display() == "http://h:8000/llm");
  CHECK(u->authority() == "h:8000");
  CHECK(parse_url("http://h")->basic_authorization().empty());
  CHECK(parse_url("http://a@h")->basic_authorization() == "Basic YQ==");
  CHECK(parse_url("http://ab@h")->basic_authorization() == "Basic YWI=");
  CHECK(parse_url("http://abc@h")->basic_authorization() == "Basic YWJj");
  CHECK(parse_url("http://abcd@h")->basic_authorization() == "Basic YWJjZA==");
  for (const char* text : {"https://u:canary@h", "ftp://u:canary@h", "http://u:canary@", "http://u:canary@h:0", "http://u:canary@h h",
                           "http://u:canary/x@h", "http://u:canary?x@h:0", "http://u:can@canary@:1", "http://u:canary%zz@h", "u:canary@h:x",
                           "http://h:0/?key=canary"}) {
    CAPTURE(text);
    auto bad = parse_url(text);
    REQUIRE_FALSE(bad);
    CHECK_MESSAGE(bad.error().message().find("canary") == std::string::npos, bad.error().message());
  }
}
