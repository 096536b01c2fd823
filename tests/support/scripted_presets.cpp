// SPDX-License-Identifier: Apache-2.0
// tests/support/scripted_presets.cpp - the faults that have a name. Those that say events of their own speak the chat API.
#include "scripted_server.hpp"

namespace scripted {
namespace {

const std::string finish = event(delta("{}", "stop"));
const std::string done(done_event);
const std::string error_body = R"({"error":{"message":"the engine died","type":"InternalServerError","param":null,"code":500}})";

std::string usage(int prompt, int completion) {
  return event(R"({"id":"chatcmpl-scripted","object":"chat.completion.chunk","created":1795372572,"model":"scripted","choices":[],"usage":{"prompt_tokens":)" +
               std::to_string(prompt) + R"(,"total_tokens":)" + std::to_string(prompt + completion) + R"(,"completion_tokens":)" +
               std::to_string(completion) + "}}");
}
// A complete answer around some events.
script whole(std::vector<std::string> events) {
  events.insert(events.end(), {finish, usage(5, 3), done});
  return {say(answer(events))};
}
// The same three-token stream with other line ends, in one HTTP chunk.
script lines(const std::string& end, const std::string& before = "", const std::string& field = "data: ") {
  std::string s = before;
  for (const auto& json : {content("a"), content("b"), content("c"), delta("{}", "stop"), std::string("[DONE]")}) s += field + json + end + end;
  return {say(answer({s}))};
}
script raw_head(const std::string& head) { return {say(head), tokens(0, false), tail(false), hang_up()}; }
std::string replaced(std::string s, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = s.find(from, at)) != s.npos; at += to.size()) s.replace(at, from.size(), to);
  return s;
}

std::vector<std::pair<std::string, script>> make() {
  const action head = say(sse_head());
  const std::string ok = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
  const std::string sse = event(content("a")) + event(content("b")) + finish + done;
  const std::string kilobytes(65536, 'a');
  std::vector<std::pair<std::string, script>> p = {
      // silence and cuts
      {"no_answer", {hold()}},
      {"half_status_line", {say("HTTP/1.1 20"), hold()}},
      {"slow_head", {say_slowly(sse_head(), 1, ms(20)), tokens(), tail()}},
      {"rst_before_head", {reset()}},
      {"rst_mid_head", {say("HTTP/1.1 200 OK\r\ncontent-ty"), reset()}},
      {"rst_between_chunks", {head, tokens(3), reset()}},
      {"rst_in_chunk", {head, tokens(3), say("dd\r\ndata: {\"id\":\"chatcmpl-1\",\"obj"), reset()}},
      {"rst_in_utf8", {head, tokens(3), say(chunk(event(content("\xe2\x82\xac"))).substr(0, chunk(event(content(""))).find("content\":\"") + 12)), reset()}},
      {"fin_before_head", {hang_up()}},
      {"fin_no_done", {head, tokens(3), hang_up()}},
      {"framed_no_done", {head, tokens(3), say(last_chunk)}},
      {"done_then_open", {head, tokens(), tail(true, false), hold()}},
      {"stall", {head, tokens(3), hold()}},
      {"half_open", {head, tokens(3), deaf(), hold(), hang_up()}},
      // errors
      {"json_error_200", {say(http(200, error_body))}},
      {"error_event", {head, tokens(3), say(chunk(event(error_body)) + chunk(done) + last_chunk)}},
      {"flat_error", {say(http(400, R"({"object":"error","message":"max_tokens is too large","type":"BadRequestError","param":null,"code":400})"))}},
      {"not_sse", {say(http(200, "<html><body>welcome</body></html>", "", "text/html"))}},
      {"bad_json", whole({event(content("a")), event("{\"choices\":[{")})},
      {"finish_abort", {say(answer({event(content("a")), event(delta("{}", "abort")), usage(5, 1), done}))}},
      {"finish_error", {say(answer({event(content("a")), event(delta("{}", "error")), usage(5, 1), done}))}},
      // framing
      {"http10", raw_head("HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")},
      {"close_delimited", raw_head(ok + "connection: close\r\n\r\n")},
      {"content_length", {say(http(200, sse, "", "text/event-stream"))}},
      {"connection_close", {say(sse_head("connection: close\r\n")), tokens(), tail(), hang_up()}},
      {"stale", {head, tokens(), tail(), hang_up()}},
      {"cl_and_te", {say(ok + "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"), tokens(), tail()}},
      {"cl_negative", {say(ok + "content-length: -1\r\n\r\n" + sse), hold()}},
      {"cl_overflow", {say(ok + "content-length: 18446744073709551616\r\n\r\n" + sse), hold()}},
      {"cl_huge", {say(ok + "content-length: 9223372036854775807\r\n\r\n" + sse), hang_up()}},
      {"cl_not_decimal", {say(ok + "content-length: 0x20\r\n\r\n" + sse), hold()}},
      {"cl_duplicate", {say(ok + "content-length: 5\r\ncontent-length: 6\r\n\r\n" + sse), hold()}},
      {"cl_short", {say(ok + "content-length: 100000\r\n\r\n" + sse), hang_up()}},
      {"chunk_not_hex", {head, tokens(3), say("xyz\r\n"), hold()}},
      {"chunk_negative", {head, tokens(3), say("-5\r\n"), hold()}},
      {"chunk_overflow", {head, tokens(3), say("10000000000000000\r\n"), hold()}},
      {"chunk_huge", {head, tokens(3), say("7fffffffffffffff\r\ndata: "), hang_up()}},
      {"chunk_no_crlf", {head, tokens(3), say("5\r\nabcdefgh\r\n"), hold()}},
      {"chunk_extension", {say(replaced(answer({sse}), "\r\ndata", ";name=\"a b\"; other\r\ndata"))}},
      {"trailers", {say(sse_head("trailer: x-sum\r\n") + chunk(sse) + "0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n")}},
      {"zero_chunk_middle", {head, tokens(3), say(last_chunk), tokens(), tail()}},
      {"lf_only", {say(replaced(sse_head(), "\r\n", "\n")), tokens(), tail()}},
      {"continue_100", {say("HTTP/1.1 100 Continue\r\n\r\n"), head, tokens(), tail()}},
      {"continue_twice", {say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"), head, tokens(), tail()}},
      {"early_hints", {say("HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n"), head, tokens(), tail()}},
      {"switching_protocols", {say("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n"), hold()}},
      {"not_http", {say("SSH-2.0-OpenSSH_9.2p1\r\n"), hold()}},
      {"encoding_gzip", {say(sse_head("content-encoding: gzip\r\n")), tokens(), tail()}},
      {"encoding_br", {say(sse_head("content-encoding: br\r\n")), tokens(), tail()}},
      // size
      {"huge_header", {say("HTTP/1.1 200 OK\r\nx-long: "), repeat(kilobytes, 16384), hold()}},
      {"many_headers", {say("HTTP/1.1 200 OK\r\n"), repeat("x-h: 1\r\n", 100'000), hold()}},
      {"huge_line", {head, say("40000006\r\ndata: "), repeat(kilobytes, 16384), say("\r\n"), hold()}},
      {"huge_event", {head, repeat(chunk("data: " + kilobytes + "\n"), 16384), hold()}},
      {"huge_error", {say("HTTP/1.1 500 Scripted\r\ntransfer-encoding: chunked\r\n\r\n"), repeat(chunk(kilobytes), 16384), say(last_chunk)}},
      {"endless", {head, repeat(chunk(event(content("a"))), UINT64_MAX)}},
      // the SSE format
      {"sse_lf", lines("\n")},
      {"sse_cr", lines("\r")},
      {"sse_crlf", lines("\r\n")},
      {"sse_bom", lines("\n", "\xef\xbb\xbf")},
      {"sse_no_space", lines("\n", "", "data:")},
      {"sse_comments", lines("\n", ": ping\n\n:\n\n", ": x\nevent: message\nid: 7\nretry: 10\nunknown\ndata: ")},
      {"sse_multi_line", {say(answer({replaced(event(content("a")), ",\"choices\"", ",\ndata: \"choices\""), event(content("b")), finish, done}))}},
      {"sse_bytewise", {head, say_slowly(chunk(sse) + last_chunk, 1, 0)}},
      {"sse_10000_segments", {head, say_slowly(chunk(event(content(std::string(9'800, 'a'))) + finish + done) + last_chunk, 1, 0)}},
      {"one_segment", whole({event(content("a")), event(content("b")), event(content("c"))})},
      // odd events
      {"odd_events", whole({event(delta(R"({"role":"assistant"})")), event(delta(R"({"role":"assistant","content":""})")), event(R"({"id":"x","object":"chat.completion.chunk"})"),
                            event(R"({"choices":[]})"), event(R"({"choices":null})"), event(R"({"choices":[{"index":0}]})"), event(delta("{}")), event(delta("null")),
                            event(R"({"choices":[{"index":0,"text":null}]})"), event(delta(R"({"content":null})")), event(content("a"))})},
      {"reasoning", whole({event(delta(R"({"reasoning":"hm"})")), event(delta(R"({"reasoning_content":"hm"})")), event(content("a"))})},
      {"tool_calls", whole({event(delta(R"({"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"find","arguments":""}}]})")),
                            event(delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]})")),
                            event(delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]})"))})},
      // usage; each with three content events
      {"usage_absent", {say(answer({event(content("a")), event(content("b")), event(content("c")), finish, done}))}},
      {"usage_zero", {say(answer({event(content("a")), event(content("b")), event(content("c")), finish, usage(0, 0), done}))}},
      {"usage_small", {say(answer({event(content("a")), event(content("b")), event(content("c")), finish, usage(5, 2), done}))}},
      {"usage_repeated", {say(answer({event(content("a")), event(content("b")), event(content("c")), finish, usage(5, 3), usage(5, 4), done}))}},
      // bytes that are no text: a stray byte, an overlong '/', a surrogate, a cut sequence, beyond U+10FFFF, NUL raw and escaped, a lone \ud800
      {"bad_utf8", whole({event(content("\xff")), event(content("\xc0\xaf")), event(content("\xed\xa0\x80")), event(content("a\xe2\x82")), event(content("\xf5\x80\x80\x80")),
                          event(content(std::string("b\0c", 3))), event(content("\\u0000")), event(content("\\ud800"))})},
  };
  for (const int status : {400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 504})
    p.emplace_back("status_" + std::to_string(status), script{say(http(status, R"({"error":{"message":"scripted","type":"Scripted","param":null,"code":)" + std::to_string(status) + "}}"))});
  for (const int status : {429, 503})
    p.emplace_back("status_" + std::to_string(status) + "_retry_after", script{say(http(status, R"({"error":{"message":"busy"}})", "retry-after: 1\r\n"))});
  for (const int status : {301, 302, 307})
    p.emplace_back("redirect_" + std::to_string(status), script{say(http(status, "", "location: http://other.invalid/v1/completions\r\n"))});
  return p;
}

}  // namespace

const std::vector<std::pair<std::string, script>>& presets() {
  static const auto all = make();
  return all;
}

}  // namespace scripted
