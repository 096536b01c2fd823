// SPDX-License-Identifier: Apache-2.0
// tests/replay/client_net_test.cpp - the load client against servers and networks that misbehave. Timeouts are scaled to 200 ms.
//   client_resource_test.cpp: what the machine cannot give (descriptors, ports, addresses).
#include <netinet/tcp.h>

#include <fstream>
#include <thread>

#include "live.hpp"
#include "support/data.hpp"

using namespace live;
using scripted::done_event;
using scripted::event;
using scripted::hang_up;
using scripted::hold;
using scripted::last_chunk;
using scripted::pause;
using scripted::say;
using scripted::sse_head;
using scripted::tail;
using scripted::tokens;

namespace {

const std::string finish = event(scripted::delta("{}", "stop"));
const replay::error_limits never{.share = {}, .in_a_row = 0};  // gives up after this many failures: not at all

// The first of three requests meets the fault and is refused, cut or stopped by the client.
result_of_run fails(std::string_view fault, error_class why, int http_status, std::size_t kept, const replay::timeouts& limits = {}) {
  CAPTURE(std::string(fault));
  result_of_run done = fault_first(preset(fault), {.limits = limits});
  check_failed(done.requests[0], why, http_status, kept);
  CHECK_FALSE(done.requests[1].reused_connection);  // what is left of the answer must not be taken for the next one's
  return done;
}
// The first of three requests meets a server that is odd and must be understood.
model::request understood(std::string_view fault, std::size_t content, bool reusable = true) {
  CAPTURE(std::string(fault));
  result_of_run done = fault_first(preset(fault), {.limits = {.framing = reusable ? 5_s : 60_ms}, .keep_text = true});
  const model::request& r = done.requests[0];
  CAPTURE(r.error_message);
  CHECK(r.status == request_status::ok);
  CHECK(r.http_status == 200);
  CHECK(r.chunks.count() == content);
  CHECK(done.requests[1].reused_connection == reusable);
  return r;
}

// VmHWM since the last reset, in bytes.
std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  return 0;
}
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

// Where nobody listens; nobody else gets the port either.
struct closed_port {
  closed_port() : fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&a), n) == 0);
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&a), &n);
    url = "http://127.0.0.1:" + std::to_string(ntohs(a.sin_port));
  }
  ~closed_port() { ::close(fd); }
  closed_port(const closed_port&) = delete;
  closed_port& operator=(const closed_port&) = delete;
  int fd;
  std::string url;
};

}  // namespace

TEST_CASE("replay: F-NET-01 a refused connection fails as connect_refused, and the run gives up after 20 in a row") {
  closed_port nobody;
  for (const std::uint32_t streams : {1u, 4u}) {
    CAPTURE(streams);
    const auto done = run(nullptr, {.url = nobody.url}, replay::closed({.streams = streams, .duration = 600_s}));
    CHECK(done.requests.size() >= 20);
    CHECK(done.requests.size() < 20 + streams);
    for (const auto& r : done.requests) {
      check_failed(r, error_class::connect_refused, 0, 0);
      CHECK(r.connect_begin);
      CHECK_FALSE(r.connected);
      CHECK_FALSE(r.sent);
      CHECK(r.error_message.find("Connection refused") != std::string::npos);
      CHECK(r.error_message.find(nobody.url.substr(7)) != std::string::npos);
    }
    CHECK(done.outcome.state == model::run_state::stopped);
    CHECK(done.outcome.stop_reason.starts_with("20 requests in a row failed (connect_refused: cannot connect to 127.0.0.1:"));
    CHECK(done.info.stop_reason == done.outcome.stop_reason);
    CHECK_FALSE(done.outcome.refused);
  }
}

TEST_CASE("replay: F-NET-01 the run gives up when more than a tenth, a count, or a row of requests fail, and only after 20") {
  const scripted::script good{say(sse_head()), tokens(), tail()}, bad = preset("status_500");
  const auto attempt = [&](const std::vector<int>& failing, const replay::error_limits& limits) {
    scripted::server s({.pace = {.chunks = 1}});
    for (int i = 0; i < 60; ++i) s.next(std::find(failing.begin(), failing.end(), i) != failing.end() ? bad : good);
    return run(s, {.errors = limits}, replay::closed({.requests = 60}));
  };
  const auto three = attempt({0, 1, 2}, {});
  CHECK(three.requests.size() == 20);
  CHECK(three.outcome.state == model::run_state::stopped);
  CHECK(three.outcome.stop_reason == "3 of 20 requests failed, more than --max-errors (http_5xx: HTTP 500: scripted)");
  const auto at_the_20th = attempt({0, 1, 19}, {});
  CHECK(at_the_20th.requests.size() == 20);
  CHECK(at_the_20th.outcome.stop_reason.starts_with("3 of 20 requests failed, more than --max-errors (http_5xx: HTTP 500: scripted"));
  const auto later = attempt({0, 1, 25}, {});
  CHECK(later.requests.size() == 26);  // 3 of 26 is more than a tenth, 2 of 20 is not
  CHECK(attempt({0, 1, 30}, {}).outcome.state == model::run_state::complete);  // 3 of 31
  const auto counted = attempt({0, 1, 2, 30}, {.count = 3, .share = {}});
  CHECK(counted.requests.size() == 31);
  CHECK(counted.outcome.stop_reason.starts_with("4 requests failed, more than --max-errors"));
  CHECK(attempt({0, 1, 2}, {.count = 3, .share = {}}).requests.size() == 60);
  CHECK(attempt({0, 1, 2}, {.count = 3}).requests.size() == 20);  // both rules
  const auto row = attempt({4, 5, 6, 7, 8}, {.share = {}, .in_a_row = 4});
  CHECK(row.requests.size() == 8);
  CHECK(row.outcome.stop_reason.starts_with("4 requests in a row failed"));
  CHECK(attempt({4, 5, 6, 8, 9, 10}, {.share = {}, .in_a_row = 4}).requests.size() == 60);  // not in a row
}

TEST_CASE("replay: F-NET-02 an unanswered SYN ends as connect_timeout, apart from the server's latency") {
  scripted::unanswered_port nobody;
  const auto done = run(nullptr, {.url = "http://127.0.0.1:" + std::to_string(nobody.port()), .limits = {.connect = 150_ms}}, replay::closed({.streams = 2, .requests = 4}));
  REQUIRE(done.requests.size() == 4);
  for (const auto& r : done.requests) {
    check_failed(r, error_class::connect_timeout, 0, 0);
    CHECK_FALSE(r.connected);
    CHECK_FALSE(r.sent);
    CHECK(r.closed.at - r.connect_begin.at >= 150_ms);
    CHECK(r.error_message == "no connection to 127.0.0.1:" + std::to_string(nobody.port()) + " within 150 ms");
  }
  CHECK(done.requests[2].intended.at >= 150_ms);  // the slot was free then, not before
}

TEST_CASE("replay: F-NET-03 a server that accepts and never answers ends as first_byte_timeout") {
  const auto done = fails("no_answer", error_class::first_byte_timeout, 0, 0, {.first_byte = 200_ms});
  CHECK(done.requests[0].error_message == "no content within 200 ms");
  CHECK(done.requests[0].closed.at - done.requests[0].sent.at >= 200_ms);
  CHECK_FALSE(done.requests[0].head);
  // A head is no answer yet, and neither are comments or a role.
  const auto role = scripted::chunk(": ping\n\n" + event(scripted::delta(R"({"role":"assistant","content":""})")));
  const auto head_only = fault_first({say(sse_head()), say(role), hold()}, {.limits = {.first_byte = 200_ms}});
  check_failed(head_only.requests[0], error_class::first_byte_timeout, 200, 0);
}

TEST_CASE("replay: F-NET-04 half a status line and silence end as head_timeout") {
  const auto done = fails("half_status_line", error_class::head_timeout, 0, 0, {.head = 200_ms});
  CHECK(done.requests[0].bytes_received == 11);
  CHECK(done.requests[0].error_message == "the response head was not complete within 200 ms");
}

TEST_CASE("replay: F-NET-05 a head that drips byte by byte ends as head_timeout: its deadline is total") {
  const auto done = fails("slow_head", error_class::head_timeout, 0, 0, {.head = 200_ms});
  CHECK(done.requests[0].bytes_received >= 2);  // bytes came, and did not help
  CHECK(done.requests[0].bytes_received < sse_head().size());
}

TEST_CASE("replay: F-NET-06 an end before the head fails as reset and is not sent again on a fresh connection") {
  for (const char* fault : {"rst_before_head", "fin_before_head"}) {
    const auto done = fails(fault, error_class::reset, 0, 0);
    CHECK(done.outcome.stale_connections == 0);
    CHECK_FALSE(done.requests[0].head);
  }
  // At accept, before the request is read.
  scripted::server s;
  s.next_connection({scripted::reset()});
  const auto done = run(s, {}, replay::closed({.requests = 2}));
  CHECK(done.requests[0].error == error_class::reset);
  CHECK(done.requests[1].status == request_status::ok);
  // The kernel has the reset before the connection is used.
  struct reset_at_once : net::tcp {
    net::io establish() noexcept { return {.error = ECONNRESET}; }
  };
  scripted::server silent;
  const auto early = run<reset_at_once>(silent, {}, replay::closed({.requests = 2}));
  for (const auto& r : early.requests) check_failed(r, error_class::reset, 0, 0);
}

TEST_CASE("replay: F-NET-07 a reset within the head fails as reset") {
  fails("rst_mid_head", error_class::reset, 0, 0);
}

TEST_CASE("replay: F-NET-08 a reset between chunks fails as reset and keeps the tokens, marked as counted by chunk") {
  const auto done = fails("rst_between_chunks", error_class::reset, 200, 3);
  CHECK(done.requests[0].first_content);
  CHECK(done.requests[0].finish_reason.empty());
  CHECK_FALSE(done.requests[0].finished);
}

TEST_CASE("replay: F-NET-09 a reset within a chunk fails as reset, and the incomplete event is no token") {
  fails("rst_in_chunk", error_class::reset, 200, 3);
}

TEST_CASE("replay: F-NET-10 a reset within a UTF-8 sequence fails as reset, and the tokens before it are kept") {
  const auto done = fault_first(preset("rst_in_utf8"), {.keep_text = true});
  check_failed(done.requests[0], error_class::reset, 200, 3);
  CHECK(stamps(done.requests[0].completion_text).size() == 3);
  CHECK(done.requests[0].completion_text.find('\xe2') == std::string::npos);
  // The first byte of a sequence in an event of its own is kept as it is.
  const auto kept = fault_first({say(sse_head()), say(scripted::chunk(event(scripted::content("a\xe2")))), scripted::reset()}, {.keep_text = true});
  check_failed(kept.requests[0], error_class::reset, 200, 1);
  CHECK(kept.requests[0].completion_text == "a\xe2");
  CHECK(kept.requests[0].warnings >= 1);
}

TEST_CASE("replay: F-NET-11 an end without [DONE] fails as truncated and keeps the tokens") {
  fails("fin_no_done", error_class::truncated, 200, 3);
  const auto done = fault_first(preset("framed_no_done"));
  check_failed(done.requests[0], error_class::truncated, 200, 3);
  CHECK(done.requests[0].error_message == "the stream ended after 3 content events without [DONE] and without a finish reason");
  CHECK_FALSE(done.requests[1].reused_connection);  // its framing did end, but what it had left to say may follow
}

TEST_CASE("replay: F-NET-12 [DONE] on a connection that stays open is complete, and that connection is not used again") {
  const auto done = fault_first(preset("done_then_open"), {.limits = {.framing = 60_ms}});
  CHECK(done.requests[0].status == request_status::ok);
  CHECK(done.requests[0].chunks.count() == 5);
  CHECK_FALSE(done.requests[1].reused_connection);
  CHECK(done.requests[2].reused_connection);
  CHECK(done.outcome.never_framed == 1);
  CHECK(done.requests[0].closed.at - done.requests[0].last_content.at >= 60_ms);
  REQUIRE(done.info.notes.size() == 1);
  CHECK(done.info.notes[0] == "1 answers kept their framing open after [DONE]: their connections were closed");
  // A framing that ends late, or in pieces, does end.
  for (const auto& rest : {std::vector<scripted::action>{pause(ms(5)), say(last_chunk)}, {pause(ms(20)), say("0\r\n"), pause(ms(20)), say("\r\n")}}) {
    scripted::script late{say(sse_head()), tokens(), tail(true, false)};
    late.insert(late.end(), rest.begin(), rest.end());
    const auto ended = fault_first(late);
    CHECK(ended.requests[0].status == request_status::ok);
    CHECK(ended.requests[1].reused_connection);
    CHECK(ended.outcome.never_framed == 0);
    CHECK(ended.requests[0].closed.at > ended.requests[0].last_content.at);
  }
}

TEST_CASE("replay: F-NET-13 a stall ends as idle_timeout with its tokens, a shorter one is fine and in the record") {
  const auto done = fails("stall", error_class::idle_timeout, 200, 3, {.idle = 200_ms});
  CHECK(done.requests[0].error_message == "the stream stalled for 200 ms");
  CHECK(done.requests[0].closed.at - done.requests[0].last_content.at >= 200_ms);
  const auto pausing = fault_first({say(sse_head()), tokens(2), pause(ms(150)), tokens(), tail()}, {.limits = {.idle = 2_s}});
  CHECK(pausing.requests[0].status == request_status::ok);
  const auto log = events(pausing.requests[0]);
  REQUIRE(log.size() == 5);
  CHECK(log[2].at - log[1].at >= 149_ms);
  // Comments are bytes: a server that pings is not gone.
  const auto ping = say(scripted::chunk(": ping\n\n"));
  scripted::script pinging{say(sse_head()), tokens(2)};
  for (int i = 0; i < 8; ++i) pinging.insert(pinging.end(), {pause(ms(100)), ping});
  pinging.insert(pinging.end(), {tokens(), tail()});
  CHECK(fault_first(pinging, {.limits = {.idle = 500_ms}}).requests[0].status == request_status::ok);
  // All of it together has its limit.
  const auto total = fault_first({say(sse_head()), tokens(2), pause(ms(100)), ping, pause(ms(100)), ping, pause(ms(100)), ping, hold()}, {.limits = {.total = 250_ms}});
  check_failed(total.requests[0], error_class::total_timeout, 200, 2);
  CHECK(total.requests[0].error_message == "not finished within 250 ms");
}

TEST_CASE("replay: F-NET-14 half-open peers end as idle_timeout, and no descriptor is left behind") {
  scripted::server s({.pace = {.chunks = 5}, .fault = "half_open"});
  const std::uint64_t cycles = hotpath_test::full() ? 10'000 : 256;
  for (std::uint64_t done = 0; done < cycles; done += 256) {
    const auto r = run(s, {.limits = {.idle = 50_ms}, .errors = never}, replay::closed({.streams = 64, .requests = std::min<std::uint64_t>(256, cycles - done)}));
    for (const auto& q : r.requests) {
      CHECK(q.error == error_class::idle_timeout);
      CHECK(q.chunks.count() <= 3);
      CHECK_FALSE(q.reused_connection);
    }
    CHECK(r.client.back().open_descriptors == 0);
  }
  CHECK(s.now().accepted == cycles);
  // A failed request's connection is closed at once, not with the next one or at the end of the run.
  scripted::server stalling({.pace = {.chunks = 5}, .fault = "stall"});
  replay::stop_flag stop{0};
  const auto plan = replay::constant({.per_second = 0.001, .requests = 2});  // the second in a quarter of an hour
  std::thread asker([&] {
    CHECK(stalling.wait_for([](const scripted::totals& t) { return t.accepted == 1 && t.open == 0; }));
    stop.store_relaxed(2);
  });
  const auto one = run(stalling, {.limits = {.idle = 50_ms}, .stop = &stop}, *plan);
  asker.join();
  CHECK(one.requests.at(0).error == error_class::idle_timeout);
  // And the kernel asks a silent peer by itself.
  net::tcp probe;
  const auto to = net::resolve(*net::parse_url(s.url()));
  REQUIRE(to.has_value());
  const net::io c = probe.connect(to->front());
  CHECK((c.again || c.ok()));
  for (const auto& [level, option, want] : {std::array{SOL_SOCKET, SO_KEEPALIVE, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10}, {IPPROTO_TCP, TCP_KEEPCNT, 3}}) {
    int value = 0;
    socklen_t n = sizeof value;
    REQUIRE(::getsockopt(probe.descriptor(), level, option, &value, &n) == 0);
    CHECK(value == want);
  }
}

TEST_CASE("replay: F-NET-15 an error body under status 200 and an error event fail as server_error, with its message") {
  const auto body = fault_first(preset("json_error_200"));
  check_failed(body.requests[0], error_class::server_error, 200, 0);
  CHECK(body.requests[0].error_message == "HTTP 200: the engine died");
  CHECK(body.requests[1].reused_connection);
  const auto mid = fault_first(preset("error_event"));
  check_failed(mid.requests[0], error_class::server_error, 200, 3);
  CHECK(mid.requests[0].error_message == "the engine died");
  for (const char* fault : {"finish_abort", "finish_error"}) CHECK(fault_first(preset(fault)).requests[0].error == error_class::server_error);
  const auto is_long = fault_first({say(scripted::http(200, R"({"error":{"message":")" + std::string(100'000, 'x') + "\"}}"))});
  CHECK(is_long.requests[0].error != error_class::none);
  CHECK(is_long.requests[0].error_message.size() <= 1024);
  CHECK(fault_first(preset("bad_json")).requests[0].error == error_class::bad_json);
  CHECK(fault_first(preset("not_sse")).requests[0].error == error_class::not_sse);
}

TEST_CASE("replay: F-NET-16 client errors are not sent again, 401 and 403 stop the run at once") {
  for (const int status : {400, 404, 413, 422}) {
    CAPTURE(status);
    scripted::server s({.pace = {.chunks = 5}});
    const auto done = fault_first(preset("status_" + std::to_string(status)), {}, &s);
    check_failed(done.requests[0], error_class::http_4xx, status, 0);
    CHECK(done.requests[0].error_message == "HTTP " + std::to_string(status) + ": scripted");
    CHECK(done.requests[1].reused_connection);
    CHECK(s.now().requests == 3);
  }
  CHECK(fault_first(preset("flat_error")).requests[0].error_message == "HTTP 400: max_tokens is too large");
  for (const int status : {401, 403}) {
    CAPTURE(status);
    scripted::server s({.fault = "status_" + std::to_string(status)});
    const auto done = run(s, {}, replay::closed({.requests = 100}));
    REQUIRE(done.requests.size() == 1);
    check_failed(done.requests[0], error_class::http_4xx, status, 0);
    CHECK(done.outcome.refused);
    CHECK(done.outcome.state == model::run_state::stopped);
    CHECK(done.outcome.stop_reason == "the server refused us with HTTP " + std::to_string(status) + " (http_4xx: HTTP " + std::to_string(status) + ": scripted)");
    CHECK(s.now().requests == 1);
  }
}

TEST_CASE("replay: busy and broken servers and redirects are counted apart, and nothing is sent twice") {
  const auto one = [](const std::string& fault, error_class why, int status) {
    CAPTURE(fault);
    scripted::server s({.pace = {.chunks = 5}});
    const auto done = fault_first(preset(fault), {}, &s);
    check_failed(done.requests[0], why, status, 0);
    CHECK(s.now().requests == 3);
  };
  for (const int status : {429, 503}) {
    one("status_" + std::to_string(status), error_class::rejected, status);
    one("status_" + std::to_string(status) + "_retry_after", error_class::rejected, status);
  }
  for (const int status : {500, 502, 504}) one("status_" + std::to_string(status), error_class::http_5xx, status);
  for (const int status : {301, 302, 307}) one("redirect_" + std::to_string(status), error_class::not_sse, status);
}

TEST_CASE("replay: F-NET-19 answers that end with their connection are accepted, from HTTP/1.0 and 1.1") {
  understood("http10", 5, false);
  understood("close_delimited", 5, false);
  understood("connection_close", 5, false);
  understood("content_length", 2);
  // Such an end is clean, and with a finish reason the answer is whole without [DONE]. A chunked one ends with its last chunk.
  const scripted::script closing{say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"), tokens(0, false), hang_up()};
  const auto ended = fault_first(closing);
  CHECK(ended.requests[0].status == request_status::ok);
  CHECK(ended.requests[0].finish_reason == "length");
  CHECK(ended.requests[0].warnings == 1);
  check_failed(fault_first({say(sse_head()), tokens(), hang_up()}).requests[0], error_class::truncated, 200, 5);
}

TEST_CASE("replay: F-NET-20 both lengths at once fail as bad_framing, named ambiguous_framing, and the connection is closed") {
  const auto done = fails("cl_and_te", error_class::bad_framing, 200, 0);
  CHECK(done.requests[0].error_message.starts_with("ambiguous_framing: "));
}

TEST_CASE("replay: F-NET-21 lengths that are negative, too large, contradictory or no numbers fail, and nothing of that size is allocated") {
  reset_peak_memory();
  const std::uint64_t before = peak_memory();
  for (const char* fault : {"cl_negative", "cl_overflow", "cl_not_decimal", "cl_duplicate"}) fails(fault, error_class::bad_framing, 0, 0);
  for (const char* fault : {"chunk_not_hex", "chunk_negative", "chunk_overflow", "chunk_no_crlf"}) fails(fault, error_class::bad_framing, 200, 3);
  fails("chunk_huge", error_class::truncated, 200, 3);
  understood("cl_huge", 2, false);   // [DONE] came: the answer is whole, its framing is not
  understood("cl_short", 2, false);
  CHECK(peak_memory() < before + (64u << 20));
}

TEST_CASE("replay: F-NET-22 extensions, trailers and LF-only lines are understood, a zero chunk in the middle is an end") {
  understood("chunk_extension", 2);
  understood("trailers", 2);
  CHECK(understood("lf_only", 5).warnings == 1);
  const auto done = fault_first(preset("zero_chunk_middle"));
  check_failed(done.requests[0], error_class::truncated, 200, 3);
  CHECK_FALSE(done.requests[1].reused_connection);  // the rest is not the next one's answer
}

TEST_CASE("replay: F-NET-23 interim answers before the final one are skipped") {
  for (const char* fault : {"continue_100", "continue_twice", "early_hints"}) CHECK(understood(fault, 5).warnings == 0);
  const scripted::script telling{say("HTTP/1.1 103 Early Hints\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n"), say(sse_head()), tokens(), tail()};
  const auto done = fault_first(telling);  // what an interim answer says of itself is not said of the final one
  CHECK(done.requests[0].status == request_status::ok);
  CHECK(done.requests[1].reused_connection);
  fails("switching_protocols", error_class::bad_framing, 0, 0);
  fails("not_http", error_class::bad_framing, 0, 0);
}

TEST_CASE("replay: F-NET-24 every form of server-sent events gives the same tokens") {
  for (const char* fault : {"sse_lf", "sse_cr", "sse_crlf", "sse_bom", "sse_no_space", "sse_comments"}) {
    CAPTURE(std::string(fault));
    const auto r = understood(fault, 3);
    CHECK(r.completion_text == "abc");
    CHECK(r.finish_reason == "stop");
  }
  CHECK(understood("sse_multi_line", 2).completion_text == "ab");
  CHECK(understood("sse_bytewise", 2).completion_text == "ab");
  const std::string two_lines = "data: {\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":\"a\"}}]}\r\n\r\n";
  const auto bytewise = fault_first<drip>({say(scripted::answer({two_lines, finish, done_event}))}, {.keep_text = true});  // between CR and LF, too
  CHECK(bytewise.requests[0].status == request_status::ok);
  CHECK(bytewise.requests[0].completion_text == "a");
  // One cut at every offset of the answer: what the two reads say together is the same.
  const std::string whole = scripted::chunk(event(scripted::content("a")) + event(scripted::content("b")) + finish + done_event) + last_chunk;
  const std::size_t step = hotpath_test::full() ? 1 : 7;
  scripted::server s;
  std::uint64_t n = 0;
  for (std::size_t cut = 1; cut < whole.size(); cut += step, ++n) s.next({say(sse_head()), say(whole.substr(0, cut)), pause(scripted::us(300)), say(whole.substr(cut))});
  const auto done = run(s, {.keep_text = true}, replay::closed({.streams = 8, .requests = n}));
  CHECK(done.requests.size() == n);
  for (const auto& r : done.requests) {
    CHECK(r.status == request_status::ok);
    CHECK(r.completion_text == "ab");
  }
  CHECK(done.outcome.never_framed == 0);
}

TEST_CASE("replay: F-NET-25 many events in one segment, one event in 10000: the same tokens, and the stamp is the last byte's arrival") {
  const auto one = understood("one_segment", 3);
  CHECK(one.chunks.inexact() == 3);  // each shared its read with what followed
  const auto log = events(one);
  CHECK(log[0].at == log[2].at);
  CHECK(one.completion_tokens == 3);

  const auto many = understood("sse_10000_segments", 1);
  CHECK(many.completion_text == std::string(9'800, 'a'));
  CHECK(many.last_content.at > many.head.at);

  // First byte at once, last byte 60 ms later.
  const std::string whole = scripted::chunk(event(scripted::content("a")));
  scripted::server s({.pace = {.chunks = 5}});
  const auto done = fault_first({say(sse_head() + whole.substr(0, whole.size() - 4)), pause(ms(60)), say(whole.substr(whole.size() - 4) + scripted::chunk(finish + done_event) + last_chunk)}, {}, &s);
  const model::request& r = done.requests[0];
  CHECK(r.chunks.count() == 1);
  const auto truth = s.find(r.id);
  REQUIRE(truth.has_value());
  CHECK((r.first_content.at + done.outcome.origin).ns >= truth->received_ns + ms(60) - clock_tolerance.ns);
  CHECK(r.first_content.at - r.head.at >= 59_ms);
  // The client's books: an event that shares its read with the end of its own answer says nothing about the client.
  if (!kernel_stamps()) return;
  s.next(preset("one_segment"));
  const auto alone = run(s, {}, replay::closed({.requests = 1}));
  REQUIRE(alone.requests[0].first_content.source == model::stamp_source::kernel);
  CHECK(alone.requests[0].chunks.inexact() == 3);
  CHECK(alone.client[0].inexact_events == 2);
  CHECK(alone.client[0].content_events == 3);
}

TEST_CASE("replay: F-NET-26 content events follow the rule over the wire, and the first output after reasoning is known apart") {
  const auto odd = understood("odd_events", 1);
  CHECK(odd.completion_text == "a");
  const auto thinking = understood("reasoning", 3);
  CHECK(events(thinking)[0].kind == model::content_kind::reasoning);
  CHECK(events(thinking)[2].kind == model::content_kind::text);
  CHECK(thinking.first_output.at >= thinking.first_content.at);
  const auto tools = understood("tool_calls", 3);
  for (const auto& e : events(tools)) CHECK(e.kind == model::content_kind::tool_call);
  // Apart in time, too.
  const auto say_event = [](const std::string& delta) { return say(scripted::chunk(event(scripted::delta(delta)))); };
  const auto slow = fault_first({say(sse_head()), say_event(R"({"reasoning_content":"hm"})"), pause(ms(30)), say_event(R"({"content":"a"})"), say(scripted::chunk(finish + done_event) + last_chunk)});
  CHECK(slow.requests[0].first_output.at - slow.requests[0].first_content.at >= 29_ms);
}

TEST_CASE("replay: F-NET-27 usage that is absent, zero, too small or repeated is flagged over the wire") {
  const auto absent = understood("usage_absent", 3);
  CHECK(absent.tokens_from == model::token_source::chunks);
  CHECK(absent.completion_tokens == 3);
  CHECK_FALSE(absent.prompt_tokens.has_value());
  CHECK_FALSE(absent.usage_suspect);
  for (const char* fault : {"usage_zero", "usage_small"}) {
    const auto r = understood(fault, 3);
    CHECK(r.usage_suspect);
    CHECK(r.tokens_from == model::token_source::usage);
  }
  const auto repeated = understood("usage_repeated", 3);
  CHECK(repeated.completion_tokens == 4);  // the last one counts
  CHECK_FALSE(repeated.usage_suspect);     // it grew, as continuous usage does
}

TEST_CASE("replay: F-NET-28 bytes that are no text arrive as bytes and fail nothing") {
  const auto r = understood("bad_utf8", 8);
  CHECK(r.warnings >= 5);
  for (const auto& part : {std::string("\xff"), std::string("\xc0\xaf"), std::string("\xed\xa0\x80"), std::string("a\xe2\x82"), std::string("b\0c", 3)}) CHECK(r.completion_text.find(part) != std::string::npos);
  CHECK(r.completion_tokens == 3);
  CHECK(r.usage_suspect);
}

TEST_CASE("replay: F-NET-31 a gigabyte of header, line, event or error body stops at its limit, in bounded memory") {
  reset_peak_memory();
  const std::uint64_t before = peak_memory();
  const std::uint64_t read = 64 << 10;  // of one recvmsg
  const struct { const char* fault; int status; std::uint64_t limit; } rows[] = {
      {"huge_header", 0, 64u << 10}, {"many_headers", 0, 64u << 10}, {"huge_line", 200, 1u << 20},
                {"huge_event", 200, 1u << 20}, {"huge_error", 500, 64u << 20}};
  for (const auto& row : rows) {
    const auto done = fails(row.fault, error_class::over_limit, row.status, 0);
    if (row.fault != std::string_view("many_headers")) CHECK(done.requests[0].bytes_received > row.limit / 2);  // 200 fields are few bytes
    CHECK(done.requests[0].bytes_received < row.limit + row.limit / 100 + 2 * read);
  }
  CHECK(peak_memory() < before + (64u << 20));
}

TEST_CASE("replay: a connection that the server has closed is noticed, and a request that ran into it is sent again once") {
  scripted::server s({.pace = {.chunks = 3}, .fault = "stale"});  // closes after every answer without saying so
  const auto done = run(s, {}, replay::closed({.streams = 2, .requests = 40}));
  CHECK(done.count(request_status::ok) == 40);
  CHECK(s.now().requests == 40);  // a request that met a closed connection was not served twice

  // The request was on its way: the server ends the kept connection without a byte.
  for (const bool by_reset : {false, true}) {
    CAPTURE(by_reset);
    scripted::server k({.pace = {.chunks = 3}});
    k.next({say(sse_head()), tokens(), tail()});
    k.next({by_reset ? scripted::reset() : hang_up()});
    const auto again = run(k, {}, replay::closed({.requests = 3}));
    CHECK(again.count(request_status::ok) == 3);
    CHECK(again.outcome.stale_connections == 1);
    CHECK_FALSE(again.requests[1].reused_connection);  // of the connection that served it
    CHECK(again.requests[1].connect_begin);
    CHECK(again.requests[1].bytes_sent == k.find(again.requests[1].id)->head.size() + 2 + k.find(again.requests[1].id)->body.size());
    CHECK(again.requests[2].reused_connection);
    REQUIRE(again.info.notes.size() == 1);
    CHECK(again.info.notes[0] == "1 requests were sent again: the server had closed their kept-alive connection");
    // Only once: a fresh connection that ends is a failure.
    scripted::server twice({.pace = {.chunks = 3}});
    twice.next({say(sse_head()), tokens(), tail()});
    for (int i = 0; i < 2; ++i) twice.next({by_reset ? scripted::reset() : hang_up()});
    const auto failed = run(twice, {}, replay::closed({.requests = 3}));
    CHECK(failed.requests[1].error == error_class::reset);
    CHECK(failed.requests[2].status == request_status::ok);
  }
  // The kernel knows already: the send itself fails.
  struct dead_on_reuse : net::tcp {
    int sends = 0;
    bool dead = false;
    net::io connect(const net::address& to) noexcept {
      sends = 0;
      return tcp::connect(to);
    }
    net::io send(std::string_view out) noexcept {
      if (++sends == 1) return tcp::send(out);
      ::shutdown(descriptor(), SHUT_RDWR);
      return {.error = EPIPE};
    }
  };
  scripted::server d({.pace = {.chunks = 3}});
  const auto again = run<dead_on_reuse>(d, {}, replay::closed({.requests = 4}));
  CHECK(again.count(request_status::ok) == 4);
  CHECK(again.outcome.stale_connections == 3);
}

TEST_CASE("replay: bytes that nobody asked for close a kept connection and reach no record") {
  const std::string answer = scripted::answer({event(scripted::content("a")), finish, done_event}), more = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
  const auto done = fault_first({say(answer + more)});  // in one segment with the answer
  CHECK(done.requests[0].status == request_status::ok);
  CHECK_FALSE(done.requests[1].reused_connection);
  CHECK(done.requests[2].reused_connection);
  // While the connection rests. They could meet the next request on its way, which then fails: not every time.
  bool seen = false;
  for (int i = 0; i < 5 && !seen; ++i) {
    scripted::server s({.pace = {.chunks = 3}});
    s.next({say(answer), pause(ms(30)), say(more)});
    const auto rested = run(s, {.errors = never}, *replay::constant({.per_second = 8, .requests = 2}));
    REQUIRE(rested.requests.size() == 2);
    CHECK(rested.requests[0].status == request_status::ok);
    seen = rested.requests[1].status == request_status::ok && !rested.requests[1].reused_connection;
  }
  CHECK(seen);
}
