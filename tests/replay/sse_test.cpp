// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <malloc.h>
#include <fstream>
#include <hotpath/core/random.hpp>
#include <hotpath/replay/sse.hpp>
#include <iterator>
#include <optional>
#include <string>
#include <vector>
#include "support/data.hpp"
#include "support/sse_reference.hpp"

using namespace hotpath;
using namespace std::string_literals;
using hotpath_test::event_copy;
using replay::sse_event;
using replay::sse_parser;

namespace {

using events = std::vector<event_copy>;

// Each read is a heap copy of its own, so that a view kept into an earlier one is seen by a sanitizer.
void feed(sse_parser& p, std::string_view bytes, events& out) {
  const std::vector<char> copy(bytes.begin(), bytes.end());
  p.feed({copy.data(), copy.size()}, [&](const sse_event& e) { out.push_back({std::string(e.type), std::string(e.data), std::string(e.id)}); });
}

events in_pieces(std::string_view bytes, std::size_t size) {
  sse_parser p;
  events out;
  for (std::size_t at = 0; at < bytes.size(); at += size) feed(p, bytes.substr(at, size), out);
  return out;
}

// Whole, byte by byte, and cut at every offset; the events of the whole.
events all_splits(const std::string& bytes) {
  sse_parser p;
  events whole;
  feed(p, bytes, whole);
  CHECK(in_pieces(bytes, 1) == whole);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    sse_parser two;
    events out;
    feed(two, std::string_view(bytes).substr(0, cut), out);
    feed(two, std::string_view(bytes).substr(cut), out);
    if (out != whole || two.event_pending() != p.event_pending()) {
      INFO("cut at " << cut);
      CHECK(out == whole);
      CHECK(two.event_pending() == p.event_pending());
    }
  }
  return whole;
}

event_copy message(std::string data, std::string id = "") { return {"message", std::move(data), std::move(id)}; }

std::size_t heap_in_use() {
  const auto m = ::mallinfo2();
  return m.uordblks + m.hblkhd;
}

}  // namespace

TEST_CASE("replay: F-NET-24 the examples of the specification") {
  // WHATWG HTML, 9.2.6: "Interpreting an event stream", in its own examples.
  CHECK(all_splits("data: YHOO\ndata: +2\ndata: 10\n\n") == events{message("YHOO\n+2\n10")});
  CHECK(all_splits(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n") ==
        events{message("first event", "1"), message("second event", "")});
  CHECK(all_splits("data\n\ndata\ndata\n\ndata:") == events{message(""), message("\n")});
  CHECK(all_splits("data:test\n\ndata: test\n\n") == events{message("test"), message("test")});
}

TEST_CASE("replay: F-NET-24 line ends, byte order mark, comments, fields") {
  const events ab = {message("a"), message("b")};
  CHECK(all_splits("data: a\n\ndata: b\n\n") == ab);
  CHECK(all_splits("data: a\r\rdata: b\r\r") == ab);
  CHECK(all_splits("data: a\r\n\r\ndata: b\r\n\r\n") == ab);
  CHECK(all_splits("data: a\r\n\rdata: b\n\r\n") == ab);       // every kind ends a line, mixed too
  CHECK(all_splits("data: a\n\r\ndata: b\r\n\n") == ab);
  CHECK(all_splits("\n\n\r\n\rdata: a\n\n\n\ndata: b\n\n") == ab);
  CHECK(all_splits("\xEF\xBB\xBF" "data: a\n\ndata: b\n\n") == ab);
  CHECK(all_splits("\xEF\xBB\xBF\xEF\xBB\xBF" "data: a\n\ndata: b\n\n") == events{message("b")});  // only one mark is a mark
  CHECK(all_splits("\xEF\xBB" "data: a\n\ndata: b\n\n") == events{message("b")});
  CHECK(all_splits("data: a\n\n\xEF\xBB\xBF" "data: b\n\n") == events{message("a")});
  CHECK(all_splits(":\n: ping\n:data: x\n\ndata: a\n: between\n\ndata: b\n\n") == ab);
  CHECK(all_splits("data:a\n\ndata: b\n\n") == ab);
  CHECK(all_splits("data:  a \n\n") == events{message(" a ")});
  CHECK(all_splits("data:\ta\n\n") == events{message("\ta")});
  CHECK(all_splits("data: a: b: c\n\n") == events{message("a: b: c")});
  CHECK(all_splits("Data: a\ndata : b\n data: c\ndatax: d\ndat: e\n\n").empty());
  CHECK(all_splits("event: error\ndata: a\n\ndata: b\n\n") == events{{"error", "a", ""}, message("b")});
  CHECK(all_splits("event: x\n\ndata: a\n\n") == events{message("a")});        // without data no event, and its type is gone
  CHECK(all_splits("data: a\nevent: x\nevent: longer\nevent: y\n\n") == events{{"y", "a", ""}});
  CHECK(all_splits("event: x\nevent:\ndata: a\n\n") == events{message("a")});
  CHECK(all_splits("id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n") == events{message("a", "7"), message("b", "7"), message("c")});
  CHECK(all_splits("id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n"s) == events{message("a", "7"), message("b", "7")});
  CHECK(all_splits("id: 9\n\ndata: a\n\n") == events{message("a", "9")});
  CHECK(all_splits("data: \xE2\x80\xA8 \xC2\x85 x\n\n") == events{message("\xE2\x80\xA8 \xC2\x85 x")});  // U+2028, U+0085 end no line
  CHECK(all_splits("data: a\0b\n\n"s) == events{message("a\0b"s)});
  CHECK(all_splits("data: \xC0\xAF\xED\xA0\x80\xFF\n\n") == events{message("\xC0\xAF\xED\xA0\x80\xFF")});

  sse_parser p;
  events none;
  CHECK_FALSE(p.retry_ms());
  for (const char* line : {"retry: 250\n", "retry: 1e3\n", "retry: -5\n", "retry:\n", "retry: 99999999999999999999\n"}) feed(p, line, none);
  CHECK(p.retry_ms() == 250u);
}

TEST_CASE("replay: F-NET-24 an unfinished event is pending, and discarded at the end") {
  const struct { const char* bytes; bool pending; } cases[] = {
      {"", false},        {"\n", false},         {": c\n", false},           {"data: a\n\n", false},  {"data: a\r\n\r", false},
      {"d", true},        {"data: a", true},     {"data: a\n", true},        {"data\n", true},        {"data: a\n\n:", true},
      {"\xEF", true},     {"\xEF\xBB", true},    {"\xEF\xBB\xBF", false},    {"event: x\n", true},    {"data: a\n\nid: 3\n", false},
  };
  for (const auto& c : cases) {
    CAPTURE(std::string(c.bytes));
    sse_parser p;
    events out;
    feed(p, c.bytes, out);
    CHECK(p.event_pending() == c.pending);
    CHECK(p.finish() == c.pending);
    CHECK_FALSE(p.event_pending());
    feed(p, "data: z\n\n", out);  // nothing of it leaks into the next stream
    CHECK(out.back() == message("z"));
  }
}

TEST_CASE("replay: F-NET-24 any bytes in any pieces are read as by the specification's algorithm") {
  stats::xoshiro256 random{24};
  const std::string_view words[] = {"data", "data:", "data: ", "event: ", "id:", "retry:1", ":", " ", "x", "\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n",
                                    "\xEF\xBB\xBF", "\xEF", "data: y\n", "{\"a\":1}", std::string_view("\0", 1), "dat", "[DONE]"};
  std::uint64_t seen = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string bytes;
    for (std::uint64_t n = random.below(24); n-- > 0;) bytes += words[random.below(std::size(words))];
    const events want = hotpath_test::sse_reference(bytes);
    seen += want.size();
    const events got = all_splits(bytes);
    if (got != want) {
      CAPTURE(bytes);
      REQUIRE(got == want);
    }
    sse_parser p;
    events pieces;
    for (std::size_t at = 0, n = 0; at < bytes.size(); at += n) feed(p, std::string_view(bytes).substr(at, n = 1 + random.below(7)), pieces);
    REQUIRE(pieces == want);
  }
  CHECK(seen > 1000);
}

TEST_CASE("replay: many events in one read, one event in 10,000 reads: the same events") {
  std::string bytes;
  events want;
  for (int i = 0; i < 1000; ++i) {
    bytes += "data: {\"i\":" + std::to_string(i) + "}\r\n\r\n";
    want.push_back(message("{\"i\":" + std::to_string(i) + "}"));
  }
  CHECK(in_pieces(bytes, bytes.size()) == want);
  CHECK(in_pieces(bytes, 1448) == want);
  CHECK(in_pieces(bytes, 7) == want);
  const std::string large = "data: " + std::string(9'992, 'x') + "\n\n";
  REQUIRE(large.size() == 10'000);
  CHECK(in_pieces(large, 1) == events{message(std::string(9'992, 'x'))});
}

TEST_CASE("replay: an event whole in its read is given as views into it") {
  const std::string bytes = ": ping\n\nevent: x\ndata: hello\n\n";
  sse_parser p;
  const char* seen = nullptr;
  p.feed(bytes, [&](const sse_event& e) { seen = e.data.data(); });
  CHECK(seen == bytes.data() + bytes.find("hello"));
}

TEST_CASE("replay: F-NET-31 an event without end stops at the limit, in bounded memory") {
  const std::string block(64 * 1024, 'x');
  for (const std::string& start : {"data: "s, ":"s, "data: a\ndata: "s, ""s, "event: "s}) {
    CAPTURE(start);
    sse_parser p;
    events out;
    const std::size_t before = heap_in_use();
    std::size_t most = 0;
    feed(p, start, out);
    std::uint64_t fed = 0;
    for (; fed < (std::uint64_t{1} << 30) && !p.over_limit(); fed += block.size()) {  // 1 GiB, if it were let
      p.feed(block, [](const sse_event&) { FAIL("no event"); });
      most = std::max(most, heap_in_use() - before);
    }
    CHECK(p.over_limit());
    CHECK(fed <= (1 << 20) + 2 * block.size());
    CHECK(most <= std::size_t{3} << 20);
    CHECK(heap_in_use() <= before + 1024);  // and what was held is free again
    feed(p, "\n\ndata: later\n\n", out);
    CHECK(out.empty());
  }
  // Many short lines of one event add up; the events and the verdict do not depend on the cuts.
  std::string many = "data: ok\n\n";
  for (int i = 0; i < 30; ++i) many += "data: 89\n";
  many += "\n";
  for (const std::size_t limit : {60u, 88u, 89u, 93u, 94u, 95u, 200u}) {
    CAPTURE(limit);
    const auto run = [&](std::size_t piece) {
      sse_parser p{limit};
      events out;
      for (std::size_t at = 0; at < many.size(); at += piece) feed(p, std::string_view(many).substr(at, piece), out);
      return std::pair(out.size(), p.over_limit());
    };
    const auto whole = run(many.size());
    CHECK(whole.first >= 1);
    CHECK(whole.second == (whole.first == 1));
    for (const std::size_t piece : {1u, 2u, 3u, 7u, 100u}) CHECK(run(piece) == whole);
  }
  // Comments are not kept: an hour of them is no event over the limit.
  sse_parser p;
  for (int i = 0; i < 200'000; ++i) p.feed(": keep-alive\n", [](const sse_event&) {});
  CHECK_FALSE(p.over_limit());
}

TEST_CASE("replay: one large event does not weigh on its stream afterwards") {
  const std::size_t before = heap_in_use();
  sse_parser p;
  events out;
  const std::string large = "data: " + std::string(900'000, 'x') + "\n\n";
  for (std::size_t at = 0; at < large.size(); at += 1448) p.feed(std::string_view(large).substr(at, 1448), [](const sse_event&) {});
  p.feed("data: a\n\n", [](const sse_event&) {});
  CHECK(heap_in_use() <= before + large.capacity() + 8192);
}

TEST_CASE("replay: recorded vLLM streams give the same events in any cut") {
  for (const char* name : {"chat", "chat-continuous-usage", "completions", "completions-n2"}) {
    CAPTURE(name);
    std::ifstream in(std::string(hotpath_test::source_dir()) + "/tests/data/vllm-0.32.0-cpu-" + name + ".sse", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const events seen = all_splits(bytes);
    REQUIRE(seen.size() > 12);
    CHECK(seen.back().data == "[DONE]");
    CHECK(seen == hotpath_test::sse_reference(bytes));
  }
}
