// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <malloc.h>
#include <fstream>
#include <hotpath/core/random.hpp>
#include <hotpath/net/http.hpp>
#include <iterator>
#include <string>
#include <vector>
#include "support/data.hpp"

using namespace hotpath;
using namespace std::string_literals;
using net::http_fault;
using net::http_limits;
using net::response_parser;
using state = net::response_parser::state;

namespace {

// What a reader of the response can tell, in one comparable line.
struct outcome {
  std::string text, body;
  std::size_t used = 0;
  friend bool operator==(const outcome&, const outcome&) = default;
};
std::ostream& operator<<(std::ostream& out, const outcome& o) { return out << o.text << " used=" << o.used << " body=" << o.body.size(); }

// `pieces`: sizes of the reads, the last one repeated. `closed`: the peer closes behind the bytes.
outcome parse(response_parser& p, const std::string& bytes, const std::vector<std::size_t>& pieces, bool closed) {
  outcome o;
  std::size_t at = 0, n = 0;
  while (at < bytes.size()) {
    const std::size_t size = std::min(pieces[std::min(n++, pieces.size() - 1)], bytes.size() - at);
    const std::string piece = bytes.substr(at, size);  // of its own, so that a view kept too long is seen by asan
    const std::size_t used = p.feed(piece, [&](std::string_view b) {
      CHECK(b.data() >= piece.data());
      CHECK(b.data() + b.size() <= piece.data() + piece.size());
      o.body += b;
    });
    o.used += used;
    at += size;
    if (used != size) {
      CHECK((p.now() == state::done || p.now() == state::failed));
      break;
    }
  }
  if (closed) p.eof();
  if (p.now() == state::failed) o.used = 0;  // where it stopped reading does not matter any more
  o.text = "state=" + std::to_string(static_cast<int>(p.now())) + " status=" + std::to_string(p.head().status) + " fault=" +
           std::string(name_of(p.fault())) + " warnings=" + std::to_string(p.warnings()) + (p.reusable() ? " reusable" : "") +
           " type=" + std::string(p.head().content_type);
  return o;
}

// Whole, byte by byte, and cut at every place: always the same. Leaves the parser as the whole left it.
outcome all_cuts(response_parser& p, const std::string& bytes, bool closed = true, const http_limits& limits = {}) {
  p = response_parser(limits);
  const outcome whole = parse(p, bytes, {bytes.size() + 1}, closed);
  response_parser one(limits);
  CHECK(parse(one, bytes, {1}, closed) == whole);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    response_parser two(limits);
    const outcome other = parse(two, bytes, {cut, bytes.size()}, closed);
    if (!(other == whole)) {
      INFO("cut at " << cut << " of " << bytes);
      CHECK(other == whole);
    }
  }
  return whole;
}

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

}  // namespace

TEST_CASE("net: a response ends where its length says, and the next one is left alone") {
  response_parser p;
  const std::string first = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Request-Id: r-1\r\nServer: s\r\nRetry-After: 3\r\nLocation: /x\r\nContent-Encoding: gzip\r\n\r\nhello";
  const outcome o = all_cuts(p, first + "HTTP/1.1 404 ", false);
  CHECK(o.body == "hello");
  CHECK(o.used == first.size());
  CHECK(p.now() == state::done);
  CHECK(p.reusable());
  CHECK(p.body_bytes() == 5);
  CHECK(p.head().status == 200);
  CHECK(p.head().request_id == "r-1");
  CHECK(p.head().server == "s");
  CHECK(p.head().retry_after == "3");
  CHECK(p.head().location == "/x");
  CHECK(p.head().content_encoding == "gzip");
  p.reset();
  CHECK(p.now() == state::head);
  CHECK(p.head().status == 0);
  CHECK(p.head().server.empty());
  CHECK(p.feed("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", [](std::string_view) { FAIL("no body"); }) == 36);
  CHECK(p.now() == state::done);
  CHECK(p.head().status == 404);
}

TEST_CASE("net: chunked bodies are joined, byte for byte") {
  response_parser p;
  const outcome o = all_cuts(p, head + "transfer-encoding:chunked\r\n\r\n5\r\nhello\r\n00a\r\n\r\n wor\0ld\r\r\n0\r\n\r\n"s, false);
  CHECK(o.body == "hello\r\n wor\0ld\r"s);
  CHECK(p.reusable());
  CHECK(p.head().event_stream());
  CHECK(p.warnings() == 0);
}

TEST_CASE("net: F-NET-19 HTTP/1.0 without a length is read to the end of the connection") {
  response_parser p;
  outcome o = all_cuts(p, "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\ndata: x\n\n");
  CHECK(o.body == "data: x\n\n");
  CHECK(p.now() == state::done);
  CHECK_FALSE(p.reusable());
  CHECK(p.head().minor_version == 0);
  CHECK(p.head().event_stream());
  all_cuts(p, "HTTP/1.0 200 OK\r\n\r\ndata: x\n\n", false);  // still open: not done
  CHECK(p.now() == state::body);
  o = all_cuts(p, "HTTP/1.1 200 OK\r\n\r\nabc");              // the same without a length in 1.1
  CHECK(o.body == "abc");
  CHECK(p.now() == state::done);
  CHECK_FALSE(p.reusable());
  o = all_cuts(p, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false);
  CHECK(o.body == "a");
  CHECK(p.warnings() == 1);
  CHECK_FALSE(p.reusable());
}

TEST_CASE("net: F-NET-20 both Content-Length and Transfer-Encoding are ambiguous framing") {
  for (const char* fields : {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
                             "Content-Length: 0\r\nTransfer-Encoding: gzip, chunked\r\n"}) {
    response_parser p;
    const outcome o = all_cuts(p, "HTTP/1.1 200 OK\r\n"s + fields + "\r\n5\r\nhello\r\n0\r\n\r\n", false);
    CHECK(p.now() == state::failed);
    CHECK(p.fault() == http_fault::ambiguous_framing);
    CHECK_FALSE(p.reusable());
    CHECK(o.body.empty());
    CHECK(p.what().find("Content-Length") != std::string_view::npos);
  }
}

TEST_CASE("net: F-NET-21 lengths that are negative, overflow, differ or are no numbers are errors") {
  response_parser p;
  for (const char* value : {"-1", "18446744073709551616", "9223372036854775808", "5, 6", "0x10", "1a", "", "+5", "5 5", "5,", ",5",
                            "5;", "99999999999999999999999999999999999999999", "\xef\xbc\x95", "5.0", "1e3"}) {
    CAPTURE(value);
    const outcome o = all_cuts(p, "HTTP/1.1 200 OK\r\nContent-Length: "s + value + "\r\n\r\nhello", false);
    CHECK(p.fault() == http_fault::bad_framing);
    CHECK(p.what().find("Content-Length") != std::string_view::npos);
    CHECK(o.body.empty());
  }
  all_cuts(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", false);
  CHECK(p.fault() == http_fault::bad_framing);
  for (const char* size : {"-1", "8000000000000000", "10000000000000000", "fffffffffffffffff", "", "g", "0x5", "+5", " 5", "5 x", "5,", "5.0"}) {
    CAPTURE(size);
    const outcome o = all_cuts(p, head + "Transfer-Encoding: chunked\r\n\r\n" + size + "\r\nhello\r\n0\r\n\r\n", false);
    CHECK(p.fault() == http_fault::bad_framing);
    CHECK(p.what().find("chunk size") != std::string_view::npos);
    CHECK(o.body.empty());
  }
  // Equal ones are one length, however they were repeated.
  for (const char* fields : {"Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: 5, 5\r\n", "Content-Length: 5 ,\t005\r\n"}) {
    CHECK(all_cuts(p, "HTTP/1.1 200 OK\r\n"s + fields + "\r\nhello", false).body == "hello");
    CHECK(p.reusable());
  }
}

TEST_CASE("net: F-NET-21 no memory is taken for a size that is only claimed") {
  for (const char* framing : {"Content-Length: 9223372036854775807\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n"}) {
    const auto in_use = [] { const auto m = ::mallinfo2(); return m.uordblks + m.hblkhd; };
    const std::string bytes = head + framing + "hello";
    response_parser p;
    const std::size_t before = in_use();
    std::size_t seen = 0;
    p.feed(bytes, [&](std::string_view b) { seen += b.size(); });
    CHECK(seen == 5);
    CHECK(in_use() <= before + 1024);
    p.eof();
    CHECK(p.fault() == http_fault::truncated);
    CHECK(p.what().find("after 5 ") != std::string_view::npos);
  }
  CHECK(sizeof(response_parser) <= 256);
}

TEST_CASE("net: F-NET-22 chunk extensions and trailers are passed over, within limits") {
  response_parser p;
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  outcome o = all_cuts(p, chunked + "5;a=b;c=\"d e\"\r\nhello\r\n1 ; x\r\n!\r\n0;last\r\nX-Trailer: 1\r\nX-Checksum: abc\r\n\r\nrest", false);
  CHECK(o.body == "hello!");
  CHECK(p.reusable());
  CHECK(o.used == chunked.size() + 73);

  const http_limits small{.head = 200, .fields = 3, .chunk_line = 32};
  all_cuts(p, chunked + "5;" + std::string(28, 'x') + "\r\nhello", false, small);
  CHECK(p.fault() == http_fault::none);
  all_cuts(p, chunked + "5;" + std::string(29, 'x') + "\r\nhello", false, small);
  CHECK(p.fault() == http_fault::over_limit);
  all_cuts(p, chunked + "0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", false, small);
  CHECK(p.now() == state::done);
  all_cuts(p, chunked + "0\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n", false, small);
  CHECK(p.fault() == http_fault::over_limit);
  all_cuts(p, chunked + "0\r\nA: " + std::string(200, 'x') + "\r\n\r\n", false, small);
  CHECK(p.fault() == http_fault::over_limit);
  all_cuts(p, chunked + "0\r\n folded\r\n\r\n", false);
  CHECK(p.fault() == http_fault::bad_framing);
}

TEST_CASE("net: F-NET-22 a zero-length chunk in the middle is the end: what follows belongs to no response") {
  response_parser p;
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  const outcome o = all_cuts(p, chunked + "0\r\n\r\n3\r\ndef\r\n0\r\n\r\n", false);
  CHECK(o.body == "abc");
  CHECK(o.used == chunked.size() + 5);
  all_cuts(p, chunked + "0\r\n3\r\ndef\r\n0\r\n\r\n", false);  // without its blank line: "3" is no trailer
  CHECK(p.fault() == http_fault::bad_framing);
  all_cuts(p, chunked.substr(0, chunked.size() - 2) + "def\r\n0\r\n\r\n", false);
  CHECK(p.fault() == http_fault::bad_framing);
  CHECK(p.what().find("longer than its size") != std::string_view::npos);
}

TEST_CASE("net: F-NET-22 lines that end in LF alone are accepted and counted once per response") {
  response_parser p;
  outcome o = all_cuts(p, "HTTP/1.1 200 OK\nContent-Length: 2\nServer: x\n\nab", false);
  CHECK(o.body == "ab");
  CHECK(p.warnings() == 1);
  CHECK(p.head().server == "x");
  o = all_cuts(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n", false);
  CHECK(o.body == "ab");
  CHECK(p.warnings() == 1);
  all_cuts(p, head + "Content-Length: 2\r\n\r\nab", false);
  CHECK(p.warnings() == 0);
}

TEST_CASE("net: F-NET-23 interim responses are skipped, one or many") {
  response_parser p;
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
  const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
  for (const std::string& before : {go_on, go_on + go_on, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 7\r\nServer: proxy\r\n\r\n" + go_on}) {
    const outcome o = all_cuts(p, before + last, false);
    CHECK(o.body == "ab");
    CHECK(p.head().status == 200);
    CHECK(p.head().server.empty());
    CHECK(o.used == before.size() + last.size());
  }
  std::string endless;
  while (endless.size() < 70'000) endless += go_on;
  parse(p = response_parser{}, endless, {endless.size()}, false);
  CHECK(p.fault() == http_fault::over_limit);
  all_cuts(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", false);
  CHECK(p.fault() == http_fault::bad_framing);
  all_cuts(p, go_on, true);
  CHECK(p.fault() == http_fault::truncated);
}

TEST_CASE("net: F-NET-31 a head without end stops at the limit, in bounded memory") {
  const std::string block(64 * 1024, 'x');
  for (const std::string& start : {"HTTP/1.1 200 OK\r\nX: "s, "HTTP/1.1 200 "s}) {
    const auto in_use = [] { const auto m = ::mallinfo2(); return m.uordblks + m.hblkhd; };
    response_parser p;
    const std::size_t before = in_use();
    p.feed(start, [](std::string_view) {});
    std::uint64_t fed = 0;
    std::size_t most = 0;
    while (fed < (std::uint64_t{1} << 30) && p.now() == state::head) {  // 1 GiB, if it were let
      fed += p.feed(block, [](std::string_view) {});
      most = std::max(most, in_use() - before);
    }
    CHECK(p.fault() == http_fault::over_limit);
    CHECK(fed <= 2 * block.size());
    CHECK(most <= 3 * block.size());  // a string that grows doubles
    CHECK(p.what().find("65536") != std::string_view::npos);
  }
  response_parser p;
  std::string fields = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 200; ++i) fields += "X: 1\r\n";
  parse(p, fields + "\r\n", {7}, false);
  CHECK(p.head_complete());
  parse(p = response_parser{}, fields + "X: 1\r\n\r\n", {7}, false);
  CHECK(p.fault() == http_fault::over_limit);
  // The limit is a limit, not a size: one byte less is fine.
  const std::string exact = "HTTP/1.1 200 OK\r\nX: " + std::string(64 * 1024 - 24, 'x') + "\r\n\r\n";
  REQUIRE(exact.size() == 64 * 1024);
  parse(p = response_parser{}, exact, {1}, false);
  CHECK(p.head_complete());
  parse(p = response_parser{}, "HTTP/1.1 200 OK\r\nX: x" + exact.substr(20), {1}, false);
  CHECK(p.fault() == http_fault::over_limit);
  all_cuts(p, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", false, {.body = 5});
  CHECK(p.fault() == http_fault::over_limit);
  CHECK(all_cuts(p, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, {.body = 5}).body == "hello");
  all_cuts(p, head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", false, {.body = 5});
  CHECK(p.fault() == http_fault::over_limit);
}

TEST_CASE("net: heads that two readers could read differently are refused") {
  const struct { std::string bytes; const char* why; } bad[] = {
      {"HTTP/1.1 200 OK\r\nA: b\r\n folded: c\r\n\r\n", "folded"},
      {"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\n\r\n", "folded"},
      {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "folded"},
      {"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", "header field"},
      {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header field"},
      {"HTTP/1.1 200 OK\r\n: no name\r\n\r\n", "header field"},
      {"HTTP/1.1 200 OK\r\nA: b\rContent-Length: 5\r\n\r\n", "bare CR"},
      {"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n"s, "NUL"},
      {"HTTP/1.1 200 OK\r\r\n\r\n", "bare CR"},
      {"HTTP/1.1 20 OK\r\n\r\n", "status line"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "status line"},
      {"HTTP/1.1 099 OK\r\n\r\n", "status line"},
      {"HTTP/1.1  200 OK\r\n\r\n", "status line"},
      {"HTTP/1.1\r\n\r\n", "status line"},
      {"HTTP/1.x 200 OK\r\n\r\n", "status line"},
      {"HTTP/2 200\r\n\r\n", "HTTP/1.x"},
      {"http/1.1 200 OK\r\n\r\n", "HTTP/1.x"},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.x"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.x"},
      {"\x15\x03\x01\x00\x02\x02\x50"s, "TLS"},
      {head + "Transfer-Encoding: gzip\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding: chunked, chunked\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding:\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding: xchunked\r\n\r\n", "other than chunked"},
      {head + "Transfer-Encoding: ,\r\n\r\n", "other than chunked"},
  };
  for (const auto& b : bad) {
    CAPTURE(b.bytes);
    response_parser p;
    all_cuts(p, b.bytes, false);
    CHECK(p.fault() == http_fault::bad_framing);
    CHECK_MESSAGE(p.what().find(b.why) != std::string_view::npos, p.what());
    CHECK(p.what().find('\n') == std::string_view::npos);
    CHECK(p.what().find('\0') == std::string_view::npos);
  }
}

TEST_CASE("net: a peer that closes early is truncated, wherever it was") {
  const std::string full = head + "Transfer-Encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nT: 1\r\n\r\n";
  for (std::size_t n = 0; n < full.size(); ++n) {
    response_parser p;
    p.feed(full.substr(0, n), [](std::string_view) {});
    CHECK(p.any_bytes() == (n > 0));
    p.eof();
    CHECK(p.fault() == http_fault::truncated);
    CHECK_FALSE(p.reusable());
  }
  response_parser p;
  all_cuts(p, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
  CHECK(p.what() == "the connection was closed after 5 of 9 bytes of the body");
  all_cuts(p, full);
  CHECK(p.now() == state::done);  // closed after its end: fine
}

TEST_CASE("net: answers without a body, and when a connection is kept") {
  const auto run = [](const std::string& bytes, bool head_request = false) {
    response_parser p;
    p.reset(head_request);
    p.feed(bytes, [](std::string_view) { FAIL("no body expected"); });
    return p;
  };
  CHECK(run("HTTP/1.1 204 No Content\r\n\r\n").reusable());
  CHECK(run("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n").reusable());
  CHECK(run("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", true).reusable());
  CHECK(run("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n").reusable());
  CHECK_FALSE(run("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").reusable());
  CHECK_FALSE(run("HTTP/1.1 204 No Content\r\nConnection: x, CLOSE\r\n\r\n").reusable());
  CHECK_FALSE(run("HTTP/1.0 204 No Content\r\n\r\n").reusable());
  CHECK(run("HTTP/1.0 204 No Content\r\nconnection: Keep-Alive\r\n\r\n").reusable());
  CHECK_FALSE(run("HTTP/1.0 204 No Content\r\nconnection: Keep-Alive, close\r\n\r\n").reusable());
}

TEST_CASE("net: the buffer of a head is gone before its stream begins, and kept fields are short") {
  const auto in_use = [] { const auto m = ::mallinfo2(); return m.uordblks + m.hblkhd; };
  const std::string bytes = "HTTP/1.1 200 OK\r\nServer: " + std::string(60'000, 's') + "\r\nX: " + std::string(5'000, 'x') + "\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::size_t before = in_use();
  response_parser p;
  for (char c : bytes) p.feed({&c, 1}, [](std::string_view) {});
  CHECK(p.now() == state::body);
  CHECK(p.head().server == std::string(512, 's'));
  CHECK(in_use() <= before + 1200);
}

TEST_CASE("net: recorded vLLM answers come out the same in any cut") {
  for (const char* name : {"chat", "chat-continuous-usage", "chat-no-usage", "completions", "completions-ids", "completions-n2"}) {
    CAPTURE(name);
    const std::string base = std::string(hotpath_test::source_dir()) + "/tests/data/vllm-0.32.0-cpu-" + name;
    const std::string wire = read_file(base + ".http"), body = read_file(base + ".sse");
    REQUIRE(!wire.empty());
    response_parser p;
    const outcome o = all_cuts(p, wire, false);
    CHECK(o.body == body);
    CHECK(o.used == wire.size());
    CHECK(p.head().event_stream());
    CHECK(p.head().server == "uvicorn");
    CHECK(p.reusable());
  }
}

TEST_CASE("net: random cuts of random chunkings give the same body") {
  stats::xoshiro256 random{20};
  for (int round = 0; round < 300; ++round) {
    std::string body, wire = head + "Transfer-Encoding: chunked\r\n\r\n";
    for (std::uint64_t chunks = random.below(6); chunks-- > 0;) {
      std::string chunk;
      for (std::uint64_t n = 1 + random.below(40); n-- > 0;) chunk += "\r\n0a;:"[random.below(6)];
      char size[32];
      std::snprintf(size, sizeof size, random.below(2) == 0 ? "%zx" : "%05zX;ext", chunk.size());
      wire += size + "\r\n"s + chunk + "\r\n";
      body += chunk;
    }
    wire += "0\r\n\r\n";
    for (int cuts = 0; cuts < 8; ++cuts) {
      std::vector<std::size_t> pieces;
      for (int i = 0; i < 400; ++i) pieces.push_back(1 + random.below(cuts < 4 ? 3 : 60));
      response_parser p;
      const outcome o = parse(p, wire, pieces, false);
      REQUIRE(p.now() == state::done);
      REQUIRE(o.body == body);
      REQUIRE(o.used == wire.size());
    }
  }
}

TEST_CASE("net: a request is written as asked, and nothing can be smuggled into it") {
  std::string out = "before";
  const std::vector<net::header> headers = {{"Content-Type", "application/json"}, {"Authorization", "Bearer k"}};
  REQUIRE(net::write_request(out, "POST", "/v1/completions", "h:8000", headers, "{}"));
  CHECK(out == "beforePOST /v1/completions HTTP/1.1\r\nHost: h:8000\r\nContent-Type: application/json\r\nAuthorization: Bearer k\r\nContent-Length: 2\r\n\r\n{}");
  out.clear();
  REQUIRE(net::write_request(out, "GET", "/v1/models", "h", {}));
  CHECK(out == "GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n");
  out.clear();
  REQUIRE(net::write_request(out, "POST", "/", "h", std::vector<net::header>{{"host", "other"}}));
  CHECK(out == "POST / HTTP/1.1\r\nhost: other\r\nContent-Length: 0\r\n\r\n");

  out = "kept";
  const std::vector<net::header> bad[] = {{{"A", "b\r\nC: d"}}, {{"A", "b\nC: d"}}, {{"A", "b\rc"}}, {{"A", "b\0c"s}}, {{"A", " b"}}, {{"A", "b\t"}},
                                          {{"A b", "c"}}, {{"A:", "c"}}, {{"", "c"}}, {{"A\r\nB", "c"}}, {{"\xc3\xa4", "c"}},
                                          {{"content-length", "3"}}, {{"Transfer-Encoding", "chunked"}}, {{"Connection", "close"}}};
  for (const auto& h : bad) CHECK_FALSE(net::write_request(out, "POST", "/", "h", h));
  for (const char* target : {"", "/a b", "/a\r\nX: y", "/\xc3\xa4", "/\x7f"}) CHECK_FALSE(net::write_request(out, "POST", target, "h", {}));
  for (const char* host : {"", "a b", "h\r\nX: y"}) CHECK_FALSE(net::write_request(out, "POST", "/", host, {}));
  for (const char* method : {"", "PO ST", "GET\r\n"}) CHECK_FALSE(net::write_request(out, method, "/", "h", {}));
  CHECK(out == "kept");
}

TEST_CASE("net: a header is read as typed, and no message shows its value") {
  auto h = net::parse_header("X-Key:  a:b  ");
  REQUIRE(h);
  CHECK(h->name == "X-Key");
  CHECK(h->value == "a:b");
  for (const std::string& text : {"sk-canary"s, "Bad Name: sk-canary"s, "X-Key: sk-canary\r\nX: y"s, "X-Key: sk-canary\0"s, "Expect: sk-canary"s}) {
    auto r = net::parse_header(text);
    REQUIRE_FALSE(r);
    CHECK(r.error().code == errc::usage);
    CHECK(r.error().message().find("sk-canary") == std::string::npos);
  }
}
