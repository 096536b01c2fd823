// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>
#include <hotpath/replay/exchange.hpp>
#include "support/data.hpp"

using namespace hotpath;
using replay::exchange;

namespace {

std::string fixture(const std::string& name) {
  std::ifstream in(std::string(hotpath_test::source_dir()) + "/tests/data/" + name, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), name);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string head(const std::string& fields) { return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + fields + "\r\n"; }
std::string event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string token(const std::string& text) { return event(R"({"choices":[{"index":0,"text":")" + text + R"("}]})"); }
const std::string finish = event(R"({"choices":[{"index":0,"text":"","finish_reason":"length"}]})");
const std::string done = event("[DONE]");
std::string usage(int prompt, int completion) {
  return event(R"({"choices":[],"usage":{"prompt_tokens":)" + std::to_string(prompt) + R"(,"completion_tokens":)" + std::to_string(completion) + "}}");
}

// One read per piece, one millisecond apart, all with kernel stamps.
exchange feed(const std::vector<std::string>& reads, bool keep_text = false) {
  exchange x;
  x.begin(model::request{}, keep_text);
  std::int64_t at = 0;
  for (const std::string& r : reads) x.received(r, {nanoseconds{at += 1'000'000}, true});
  return x;
}

std::vector<model::content_event> events(const model::request& r) {
  std::vector<model::content_event> all;
  for (auto log = r.chunks.read(); auto e = log.next();) all.push_back(*e);
  return all;
}

}  // namespace

TEST_CASE("replay: a recorded vLLM stream gives its tokens, usage and finish reason however the bytes are cut") {
  struct row { const char* file; std::size_t content; std::int64_t prompt, completion; };
  const row rows[] = {{"vllm-0.32.0-cpu-completions.http", 12, 11, 12},
                      {"vllm-0.32.0-cpu-completions-ids.http", 12, 32, 12},
                      {"vllm-0.32.0-cpu-completions-n2.http", 21, 11, 24},
                      {"vllm-0.32.0-cpu-chat.http", 12, 25, 12},
                      {"vllm-0.32.0-cpu-chat-continuous-usage.http", 12, 25, 12}};
  for (const row& r : rows) {
    const std::string bytes = fixture(r.file);
    for (const std::size_t step : {bytes.size(), std::size_t{1}, std::size_t{7}, std::size_t{1000}}) {
      CAPTURE(r.file);
      CAPTURE(step);
      std::vector<std::string> reads;
      for (std::size_t i = 0; i < bytes.size(); i += step) reads.push_back(bytes.substr(i, step));
      const exchange x = feed(reads);
      REQUIRE(x.complete());
      const model::request& q = x.record();
      CHECK(q.status == model::request_status::ok);
      CHECK(q.http_status == 200);
      CHECK(q.finish_reason == "length");
      CHECK(q.chunks.count() == r.content);
      CHECK(q.prompt_tokens == r.prompt);
      CHECK(q.completion_tokens == r.completion);
      CHECK(q.tokens_from == model::token_source::usage);
      CHECK_FALSE(q.usage_suspect);
      CHECK(x.reusable());
      CHECK(q.bytes_received == bytes.size());
    }
  }
}

TEST_CASE("replay: usage in every event tells the tokens of each chunk") {
  const exchange x = feed({fixture("vllm-0.32.0-cpu-chat-continuous-usage.http")});
  std::uint64_t tokens = 0;
  for (const auto& e : events(x.record())) {
    CHECK(e.tokens > 0);
    tokens += e.tokens;
  }
  CHECK(tokens == 12);
  for (const auto& e : events(feed({fixture("vllm-0.32.0-cpu-chat.http")}).record())) CHECK(e.tokens == 0);  // not told: not guessed
}

TEST_CASE("replay: F-NET-27 usage absent, zero, smaller than the chunks or repeated is flagged and its fallback named") {
  const exchange absent = feed({fixture("vllm-0.32.0-cpu-chat-no-usage.http")});
  CHECK(absent.record().status == model::request_status::ok);
  CHECK(absent.record().tokens_from == model::token_source::chunks);
  CHECK(absent.record().completion_tokens == 12);
  CHECK_FALSE(absent.record().prompt_tokens.has_value());
  const std::string h = head("Connection: close\r\n");
  const auto with = [&](const std::string& u) {
    exchange x = feed({h + token("a") + token("b") + token("c") + finish + u + done});
    x.peer_closed(false, nanoseconds{1});
    REQUIRE(x.record().status == model::request_status::ok);
    return x.record();
  };
  CHECK(with(usage(5, 0)).usage_suspect);
  CHECK(with(usage(5, 2)).usage_suspect);
  CHECK(with(usage(5, 7) + usage(5, 3)).usage_suspect);
  CHECK_FALSE(with(usage(5, 3)).usage_suspect);
  CHECK_FALSE(with(usage(5, 3) + usage(5, 3)).usage_suspect);
  CHECK_FALSE(with(usage(5, 9)).usage_suspect);  // more tokens than chunks: chunks are not tokens
}

TEST_CASE("replay: F-NET-25 the stamp of an event is the arrival of its last byte, exact only for the last event of a read") {
  const std::string h = head("Connection: close\r\n");
  {
    const exchange x = feed({h, token("a") + token("b"), token("c"), token("d") + R"(data: {"choices")", R"(:[{"text":"e"}]})", "\n\n"});
    const auto e = events(x.record());
    REQUIRE(e.size() == 5);
    CHECK(e[0].at == 2_ms);
    CHECK_FALSE(e[0].exact);  // b followed in the same read
    CHECK(e[1].exact);
    CHECK(e[2].at == 3_ms);
    CHECK(e[2].exact);
    CHECK_FALSE(e[3].exact);  // a part of e came with it
    CHECK(e[4].at == 6_ms);   // its last byte, not its first
    CHECK(e[4].exact);
    CHECK(x.record().chunks.inexact() == 2);
  }
  {  // one event in 10,000 segments
    const std::string one = h + token(std::string(10'000, 'x'));
    exchange x;
    x.begin({}, false);
    std::int64_t at = 0;
    for (const char c : one) x.received({&c, 1}, {nanoseconds{++at}, true});
    const auto e = events(x.record());
    REQUIRE(e.size() == 1);
    CHECK(e[0].at.ns == at);
    CHECK(e[0].exact);
  }
  {  // without kernel stamps nothing is exact, and the source says so
    exchange x;
    x.begin({}, false);
    x.received(h + token("a"), {nanoseconds{5}, false});
    CHECK(x.record().first_content.source == model::stamp_source::user);
    CHECK_FALSE(x.record().first_content.exact);
  }
}

TEST_CASE("replay: F-NET-26 content events follow the rule: reasoning and tool calls count, role, empty text and usage do not") {
  const std::string h = head("Connection: close\r\n");
  const auto n = [&](const std::string& data) { return feed({h + event(data)}).record().chunks.count(); };
  CHECK(n("{}") == 0);
  CHECK(n(R"({"choices":[]})") == 0);
  CHECK(n(R"({"choices":[{"delta":{}}]})") == 0);
  CHECK(n(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})") == 0);
  CHECK(n(R"({"choices":[{"text":null}]})") == 0);
  CHECK(n(R"({"choices":[{"text":""}]})") == 0);
  CHECK(n(R"({"choices":[],"usage":{"completion_tokens":3}})") == 0);
  CHECK(n(R"({"error":null,"choices":[{"text":"x"}]})") == 1);
  CHECK(n(R"({"choices":[{"text":"x"}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"content":"x"}}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"reasoning":"x"}}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"reasoning_content":"x"}}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}}]})") == 1);
  CHECK(n(R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]})") == 0);
  // ttfo: the first content that is not reasoning
  const exchange x = feed({h, event(R"({"choices":[{"delta":{"reasoning":"hm"}}]})"), token("a")});
  CHECK(x.record().first_content.at == 2_ms);
  CHECK(x.record().first_output.at == 3_ms);
  const exchange only = feed({h, event(R"({"choices":[{"delta":{"reasoning":"hm"}}]})")});
  CHECK_FALSE(only.record().first_output);
}

TEST_CASE("replay: F-NET-11 an end without [DONE] and finish reason is truncated, and its tokens are kept") {
  for (const bool chunked : {false, true}) {
    CAPTURE(chunked);
    exchange x = feed({head(chunked ? "Transfer-Encoding: chunked\r\n" : ""), chunked ? "5\r\ndata:\r\n" : token("a"), chunked ? "" : token("b")});
    x.peer_closed(false, 9_ms);
    REQUIRE(x.complete());
    CHECK(x.record().status == model::request_status::failed);
    CHECK(x.record().error == model::error_class::truncated);
    if (!chunked) {
      CHECK(x.record().chunks.count() == 2);
      CHECK(x.record().completion_tokens == 2);
      CHECK(x.record().tokens_from == model::token_source::chunks);
    }
  }
  // A finish reason and a clean end without [DONE]: complete (llama.cpp's own path ends so), with a warning.
  exchange x = feed({head("Connection: close\r\n") + token("a") + finish});
  x.peer_closed(false, 9_ms);
  CHECK(x.record().status == model::request_status::ok);
  CHECK(x.record().warnings == 1);
}

TEST_CASE("replay: F-NET-12 [DONE] completes the request, but the connection is reusable only when the framing has ended") {
  const auto chunk = [](const std::string& s) {
    char size[16];
    std::snprintf(size, sizeof size, "%zx\r\n", s.size());
    return size + s + "\r\n";
  };
  exchange x = feed({head("Transfer-Encoding: chunked\r\n"), chunk(token("a")) + chunk(finish) + chunk(done)});
  CHECK(x.complete());
  CHECK_FALSE(x.reusable());
  CHECK_FALSE(x.record().closed);
  x.received("0\r\n\r\n", {9_ms, true});
  CHECK(x.reusable());
  CHECK(x.record().closed.at == 9_ms);
  CHECK(x.record().last_content.at == 2_ms);
  exchange y = feed({head("Transfer-Encoding: chunked\r\n"), chunk(token("a")) + chunk(finish) + chunk(done) + "0\r\n\r\nHTTP/1.1"});
  CHECK(y.complete());
  CHECK_FALSE(y.reusable());  // bytes that nobody asked for
}

TEST_CASE("replay: F-NET-15 an error body under status 200, and an error event in the stream, fail as server_error") {
  const std::string body = R"({"error":{"message":"out of memory","type":"x","code":500}})";
  exchange x = feed({"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
  CHECK(x.record().error == model::error_class::server_error);
  CHECK(x.record().error_message.find("out of memory") != std::string::npos);
  const exchange mid = feed({head(""), token("a"), event(body) + done});
  REQUIRE(mid.complete());
  CHECK(mid.record().error == model::error_class::server_error);
  CHECK(mid.record().chunks.count() == 1);
  const exchange flat = feed({head("") + event(R"({"object":"error","message":"bad","code":400})") + done});
  CHECK(flat.record().error == model::error_class::server_error);
  CHECK(flat.record().error_message == "bad");
  for (const char* reason : {"abort", "error"}) {
    const exchange a = feed({head("") + token("a") + event(std::string(R"({"choices":[{"text":"","finish_reason":")") + reason + "\"}]}") + done});
    CHECK(a.record().error == model::error_class::server_error);
  }
  const exchange big = feed({head("") + event(R"({"error":{"message":")" + std::string(5000, 'x') + R"("}})") + done});
  CHECK(big.record().error_message.size() <= 1024);
  const exchange quoted = feed({head("") + event(R"({"error":"1 error: {'loc': ('body',), 'input': 'my secret prompt'}"})") + done});
  CHECK(quoted.record().error_message.find("secret prompt") == std::string::npos);
}

TEST_CASE("replay: F-NET-16 statuses are classified, their messages kept without the request they quote") {
  const auto answer = [](int status, const std::string& body, const std::string& type = "application/json") {
    return feed({"HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body}).record();
  };
  for (const int s : {400, 401, 403, 404, 413, 422}) CHECK(answer(s, "{}").error == model::error_class::http_4xx);
  for (const int s : {429, 503}) CHECK(answer(s, "{}").error == model::error_class::rejected);
  for (const int s : {500, 502, 504}) CHECK(answer(s, "<html>oops</html>", "text/html").error == model::error_class::http_5xx);
  CHECK(answer(200, "<html>ok</html>", "text/html").error == model::error_class::not_sse);
  CHECK(answer(200, "ok everything fine", "text/plain").error == model::error_class::not_sse);
  CHECK(answer(200, R"({"choices":[{"text":"whole"}]})").error == model::error_class::not_sse);
  const auto pydantic = answer(422, R"({"detail":[{"loc":["body","prompt"],"msg":"Field required","input":{"prompt":"my secret prompt"}}]})");
  CHECK(pydantic.error_message == "HTTP 422: Field required");
  const exchange real = feed({fixture("vllm-0.32.0-cpu-error-400.http")});
  CHECK(real.record().error == model::error_class::http_4xx);
  CHECK(real.record().error_message.find("max_model_len=2048") != std::string::npos);
  CHECK(real.reusable());
}

TEST_CASE("replay: a redirect is refused and named") {
  const exchange x = feed({"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://user:pw@elsewhere/v1?api_key=canary\r\nContent-Length: 0\r\n\r\n"});
  CHECK(x.record().status == model::request_status::failed);
  CHECK(x.record().error == model::error_class::not_sse);
  CHECK(x.record().error_message.find("elsewhere") != std::string::npos);
  CHECK(x.record().error_message.find("canary") == std::string::npos);
  CHECK(x.record().error_message.find("pw") == std::string::npos);
}

TEST_CASE("replay: F-NET-28 ill-formed UTF-8, surrogates and NUL in content are kept as bytes and never fatal") {
  const std::string h = head("Connection: close\r\n");
  const exchange x = feed({h + token("\xff\xfe") + token("\xc0\xaf") + token("\\ud800") + token("\\u0000") + token(std::string("a\0b", 3)) + finish + done}, true);
  CHECK(x.record().status == model::request_status::ok);
  CHECK(x.record().chunks.count() == 5);
  CHECK(x.record().warnings >= 4);
  CHECK(x.record().completion_text.find("\xff\xfe") == 0);
}

TEST_CASE("replay: an event that is no JSON fails as bad_json and keeps the tokens") {
  const exchange x = feed({head("") + token("a") + event("{\"choices\": [") + token("b") + finish + done});
  CHECK(x.record().error == model::error_class::bad_json);
  CHECK(x.record().chunks.count() == 2);
}

TEST_CASE("replay: a body without a content type is a stream when it begins like one") {
  exchange x = feed({"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nda", "ta: {\"choices\":[{\"text\":\"a\"}]}\n\n" + finish + done});
  CHECK(x.record().status == model::request_status::ok);
  CHECK(x.record().chunks.count() == 1);
  CHECK(x.record().warnings >= 1);
}

TEST_CASE("replay: F-NET-06 F-NET-08 a reset is told apart from an end, before and within an answer") {
  exchange before;
  before.begin({}, false);
  before.peer_closed(true, 1_ms);
  CHECK(before.record().error == model::error_class::reset);
  exchange within = feed({head(""), token("a")});
  within.peer_closed(true, 9_ms);
  CHECK(within.record().error == model::error_class::reset);
  CHECK(within.record().chunks.count() == 1);
  CHECK(within.record().completion_tokens == 1);
  exchange mid_head = feed({"HTTP/1.1 200 O"});
  mid_head.peer_closed(true, 9_ms);
  CHECK(mid_head.record().error == model::error_class::reset);
}
