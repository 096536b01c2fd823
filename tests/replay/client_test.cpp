// SPDX-License-Identifier: Apache-2.0
// tests/replay/client_test.cpp - the load client against a live server: what is sent when, what is recorded, how a run ends.
//   Faults of the network are in client_net_test.cpp.
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "live.hpp"
#include "support/data.hpp"
#include "support/temp_dir.hpp"

using namespace live;
using scripted::hold;
using scripted::say;
using scripted::sse_head;
using scripted::tail;
using scripted::tokens;
using scripted::totals;

namespace {

const scripted::script gated{say(sse_head()), hold(), tokens(), tail()};  // answers when the test says so

std::string all_text(const model::request& r) {
  return r.id + '\n' + r.given_id + '\n' + r.error_message + '\n' + r.finish_reason + '\n' + r.prompt_text + '\n' + r.completion_text;
}
std::string all_text(const model::run_info& i) {
  std::string s = i.tool_version + '\n' + i.host + '\n' + i.endpoint + '\n' + i.api + '\n' + i.model + '\n' + i.engine + '\n' + i.workload + '\n' + i.stop_reason;
  for (const auto& word : i.command_line) s += '\n' + word;
  for (const auto& note : i.notes) s += '\n' + note;
  return s;
}

}  // namespace

TEST_CASE("replay: every arrival is the kernel's stamp, never before its chunk was written, and every count is the server's") {
  if (!kernel_stamps()) return hotpath_test::skip("the kernel does not stamp segments");
  scripted::server s({.pace = {.delay_ns = ms(3), .gap_ns = ms(1), .jitter_ns = ms(2), .chunks = 8, .tokens_per_chunk = 2}});
  for (const std::uint32_t streams : {1u, 8u}) {
    CAPTURE(streams);
    const auto done = run(s, {.keep_text = true}, replay::closed({.streams = streams, .requests = 40}));
    REQUIRE(done.requests.size() == 40);
    std::vector<std::int64_t> late;
    for (const model::request& r : done.requests) {
      CAPTURE(r.id);
      const auto truth = s.find(r.id);
      REQUIRE(truth.has_value());
      REQUIRE(r.status == request_status::ok);
      CHECK(r.http_status == 200);
      CHECK(r.finish_reason == "length");
      CHECK(r.completion_tokens == truth->completion_tokens);
      CHECK(r.completion_tokens == 16);
      CHECK(r.prompt_tokens == truth->prompt_tokens);
      CHECK(r.tokens_from == model::token_source::usage);
      CHECK_FALSE(r.usage_suspect);
      CHECK(r.chunks.count() == truth->chunks);
      CHECK(r.warnings == 0);
      const auto sent = stamps(r.completion_text);
      const auto arrived = events(r);
      REQUIRE(sent.size() == 8);
      REQUIRE(arrived.size() == 8);
      for (std::size_t i = 0; i < 8; ++i) {
        CHECK(arrived[i].kernel);
        late.push_back((arrived[i].at + done.outcome.origin).ns - sent[i]);
        CHECK(late.back() >= -clock_tolerance.ns);
      }
      CHECK(sent.front() == truth->first_ns);
      CHECK(sent.back() == truth->last_ns);
      CHECK(r.first_content.source == model::stamp_source::kernel);
      CHECK(r.head.source == model::stamp_source::kernel);
      // The client's times enclose the server's, whatever the machine does in between.
      CHECK((r.sent.at + done.outcome.origin).ns <= truth->received_ns);
      CHECK((r.first_content.at - r.sent.at).ns >= truth->first_ns - truth->received_ns - clock_tolerance.ns);
      CHECK((r.closed.at - r.sent.at).ns >= truth->last_ns - truth->received_ns - clock_tolerance.ns);
      CHECK((r.first_content.at - r.sent.at).ns >= ms(3));  // the server's delay
    }
    std::sort(late.begin(), late.end());
    MESSAGE(streams << " streams: arrival error p50 " << late[late.size() / 2] / 1000 << " us, max " << late.back() / 1000 << " us");
  }
}

TEST_CASE("replay: a client that reads late still records when the bytes came") {
  if (!kernel_stamps()) return hotpath_test::skip("the kernel does not stamp segments");
  static std::atomic<std::int64_t> woke{0};
  struct late_reader : net::tcp {
    net::io receive(std::span<char> in, nanoseconds& arrived) noexcept {
      woke = monotonic_now().ns;  // the loop has said that bytes are there
      ::poll(nullptr, 0, 20);
      return tcp::receive(in, arrived);
    }
  };
  scripted::server s;
  s.next(preset("one_segment"));
  const auto done = run<late_reader>(s, {}, replay::closed({.requests = 1}));
  REQUIRE(done.requests[0].status == request_status::ok);
  CHECK((done.requests[0].last_content.at + done.outcome.origin).ns <= woke.load() + clock_tolerance.ns);
  REQUIRE_FALSE(done.client.empty());
  CHECK(done.client[0].read_lag_ns.max() >= 20e6);  // and says how late it read
}

TEST_CASE("replay: a closed loop keeps exactly its streams in flight") {
  constexpr std::uint64_t streams = 7;
  scripted::server s({.pace = {.chunks = 2}});
  for (std::uint64_t i = 0; i < streams; ++i) s.next(gated);
  std::thread opener([&] {
    CHECK(s.wait_for([](const totals& t) { return t.holding == streams; }));
    s.release();
  });
  const auto done = run(s, {}, replay::closed({.streams = streams, .requests = 50}));
  opener.join();
  CHECK(done.count(request_status::ok) == 50);
  CHECK(s.now().in_service_max == streams);
  CHECK(s.now().requests == 50);
  CHECK(s.now().accepted == streams);  // one connection per stream answers all of its requests
  for (const auto& r : done.requests) {
    CHECK(r.reused_connection == (r.index >= streams));
    CHECK(static_cast<bool>(r.connect_begin) == !r.reused_connection);
    CHECK(r.intended.source == model::stamp_source::user);
    CHECK_FALSE(r.slot_free);
  }
  CHECK(done.client.back().open_descriptors == streams);
  CHECK(done.client.back().in_flight == 0);
}

TEST_CASE("replay: two threads share the streams, three threads do with two streams") {
  for (const std::uint32_t threads : {2u, 3u}) {
    scripted::server s({.pace = {.chunks = 3}});
    for (int i = 0; i < 2; ++i) s.next(gated);
    std::thread opener([&] {
      CHECK(s.wait_for([](const totals& t) { return t.holding == 2; }));
      s.release();
    });
    const auto done = run(s, {.threads = threads}, replay::closed({.streams = 2, .requests = 30}));
    opener.join();
    CHECK(done.count(request_status::ok) == 30);
    CHECK(s.now().in_service_max == 2);
    std::map<std::uint32_t, std::uint64_t> reads;
    for (const auto& i : done.client) reads[i.thread] += i.reads;
    REQUIRE(reads.size() == threads);
    CHECK(reads[0] > 0);
    CHECK(reads[1] > 0);
    if (threads == 3) CHECK(reads[2] == 0);
    CHECK(done.info.threads == threads);
  }
}

TEST_CASE("replay: an open loop sends each request once, at its due time or later, whatever the server does") {
  for (const bool poisson : {false, true}) {
    for (const std::uint32_t threads : {1u, 2u}) {
      CAPTURE(poisson);
      CAPTURE(threads);
      scripted::server s({.pace = {.chunks = 2}});
      const replay::open_options o{.per_second = 400, .seed = 11, .requests = 60};
      const auto plan = poisson ? replay::poisson(o) : replay::constant(o);
      REQUIRE(plan.has_value());
      REQUIRE(plan->due.size() == 60);
      for (int i = 0; i < 60; ++i) s.next(gated);  // nobody is answered before all have come
      std::thread opener([&] {
        CHECK(s.wait_for([](const totals& t) { return t.holding == 60; }));
        s.release();
      });
      const auto done = run(s, {.threads = threads}, *plan);
      opener.join();
      REQUIRE(done.requests.size() == 60);
      std::set<std::string> ids;
      for (const auto& r : done.requests) {
        CHECK(r.status == request_status::ok);
        CHECK(r.intended.source == model::stamp_source::schedule);
        CHECK(r.intended.at == done.outcome.sending_began + plan->due[r.index]);
        CHECK(r.sent.at >= r.intended.at);
        CHECK_FALSE(r.slot_free);
        ids.insert(r.id);
      }
      CHECK(ids.size() == 60);
      CHECK(s.now().requests == 60);
      CHECK(s.now().in_service_max == 60);
      CHECK(done.info.plan.due.empty());  // stored apart
      CHECK(done.outcome.state == model::run_state::complete);
    }
  }
}

TEST_CASE("replay: a cap bounds what is in flight, and who waits for a slot is served first in, first out") {
  for (const std::uint32_t threads : {1u, 2u}) {
    CAPTURE(threads);
    scripted::server s({.pace = {.chunks = 2}});
    const auto plan = replay::constant({.per_second = 1000, .max_in_flight = 3, .requests = 40});
    REQUIRE(plan.has_value());
    for (int i = 0; i < 3; ++i) s.next(gated);
    const std::int64_t begun = monotonic_now().ns;
    std::thread opener([&] {
      CHECK(s.wait_for([](const totals& t) { return t.holding == 3; }));
      while (monotonic_now().ns < begun + ms(80)) ::poll(nullptr, 0, 5);  // until every request is due
      s.release();
    });
    const auto done = run(s, {.threads = threads}, *plan);
    opener.join();
    REQUIRE(done.requests.size() == 40);
    CHECK(s.now().in_service_max == 3);
    CHECK(s.now().accepted <= 3 * threads);
    std::uint64_t waited = 0;
    nanoseconds before{};
    for (const auto& r : done.requests) {
      CHECK(r.status == request_status::ok);
      REQUIRE(r.slot_free);
      CHECK(r.slot_free.at >= r.intended.at);
      CHECK(r.sent.at >= r.slot_free.at);
      if (threads == 1) CHECK(r.slot_free.at >= before);  // with more, two stamps of one moment may be swapped
      before = r.slot_free.at;
      waited += r.slot_free.at > r.intended.at;
    }
    CHECK(done.requests[0].slot_free.at == done.requests[0].intended.at);  // a slot was there
    CHECK(waited >= 30);
    // A slot is freed by the end of a request: the k-th end lets in one more.
    std::vector<nanoseconds> ends, starts;
    for (const auto& r : done.requests) ends.push_back(r.closed.at), starts.push_back(r.sent.at);
    std::sort(ends.begin(), ends.end());
    std::sort(starts.begin(), starts.end());
    for (std::size_t i = 3; i < 40; ++i) CHECK(starts[i] + clock_tolerance >= ends[i - 3]);
  }
}

TEST_CASE("replay: sending ends at the first limit, what is in flight is drained and counts, and progress tells of it") {
  scripted::server s({.pace = {.chunks = 4}});
  for (int i = 0; i < 2; ++i) s.next(preset("sse_lf"));
  s.next(gated);
  s.next({say(sse_head()), tokens(1), hold(), tokens(), tail()});
  std::vector<replay::progress> seen;
  std::vector<std::string> phases;
  bool opened = false;
  std::uint64_t first_contents = 0;
  replay::client_options o;
  o.on_progress = [&](const replay::progress& p) {
    seen.push_back(p);
    phases.emplace_back(p.phase);
    first_contents += p.ttft_ms.count();
    if (p.phase == "draining" && (first_contents == 3 || p.elapsed > 10_s) && !std::exchange(opened, true)) {
      CHECK(p.sent == 4);
      CHECK(p.ok == 2);
      CHECK(p.in_flight == 2);
      CHECK(p.output_tokens == 6);
      CHECK(p.output_events == 6);
      CHECK(p.errors == decltype(p.errors){});
      CHECK(first_contents == 3);  // also of the one that has not ended
      s.release();
    }
  };
  const auto done = run(s, o, replay::closed({.streams = 2, .requests = 1000, .duration = 100_ms}));
  REQUIRE(done.requests.size() == 4);
  CHECK(done.count(request_status::ok) == 4);
  CHECK(done.outcome.state == model::run_state::complete);
  CHECK(done.outcome.stop_reason.empty());
  CHECK(done.outcome.sending_ended - done.outcome.sending_began >= 100_ms);
  for (const auto& r : done.requests) CHECK(r.intended.at - done.outcome.sending_began < 100_ms);
  REQUIRE(opened);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const auto& p = seen[i];
    CHECK(p.sent == p.in_flight + p.finished);
    CHECK(p.finished == p.ok + p.failed);
    CHECK(p.elapsed >= 200_ms);
    if (i > 0) CHECK(p.elapsed - seen[i - 1].elapsed >= 200_ms);
  }
  CHECK(phases.back() == "draining");
  CHECK(std::any_of(seen.begin(), seen.end(), [](const auto& p) { return p.tpot_ms.count() == 2; }));
  // The other limit first.
  const auto few = run(s, {}, replay::closed({.streams = 2, .requests = 7, .duration = 600_s}));
  CHECK(few.count(request_status::ok) == 7);
}

TEST_CASE("replay: without a limit a workload is sent once, with one it is cycled, later passes begin differently, and the report says so") {
  hotpath_test::temp_dir dir;
  const std::string file = dir.write("p.jsonl", "{\"prompt\":\"alpha beta\",\"max_tokens\":2,\"id\":\"a\"}\n{\"prompt\":\"gamma delta\",\"max_tokens\":2}\nno json\n{\"prompt\":[5,6,7,8,9,10,11,12],\"max_tokens\":2}\n");
  scripted::server s;
  const auto once = run(s, {}, replay::closed({.streams = 8}), prompts(file, {}));
  REQUIRE(once.requests.size() == 3);
  CHECK(once.outcome.workload_passes == 1);
  CHECK(once.info.workload_rows == 3);
  CHECK(once.info.workload_loss.malformed == 1);
  CHECK(once.requests[0].given_id == "a");
  CHECK(once.outcome.state == model::run_state::complete);
  REQUIRE(once.info.notes.size() == 1);
  CHECK(once.info.notes[0].find("p.jsonl:3") != std::string::npos);

  for (const bool reuse : {false, true}) {
    CAPTURE(reuse);
    const auto cycled = run(s, {}, replay::closed({.requests = 8}), prompts(file, {.reuse_prompts = reuse}));
    REQUIRE(cycled.requests.size() == 8);
    CHECK(cycled.outcome.workload_passes == 3);
    REQUIRE_FALSE(cycled.info.notes.empty());
    CHECK(cycled.info.notes[0] == (reuse ? "the workload was cycled: 3 passes, prompts repeated"
                                         : "the workload was cycled: 3 passes, each later pass with unique prompt beginnings"));
    std::set<std::string> bodies;
    for (const auto& r : cycled.requests) {
      CHECK(r.status == request_status::ok);
      CHECK(r.workload_row == r.index % 3);
      CHECK(r.pass == r.index / 3);
      const auto truth = s.find(r.id);
      REQUIRE(truth.has_value());
      CHECK(truth->target == "/v1/completions");
      if (r.pass == 0 && r.workload_row == 0) CHECK(truth->body.find("\"prompt\":\"alpha beta\"") != std::string::npos);
      bodies.insert(truth->body);
    }
    CHECK(bodies.size() == (reuse ? 3 : 8));
  }
}

TEST_CASE("replay: the first requests are marked as warm-up, and every record carries its identity") {
  scripted::server s;
  const auto done = run(s, {.warmup = 3, .id_prefix = "job-7"}, replay::closed({.streams = 2, .requests = 6}));
  for (const auto& r : done.requests) {
    CHECK(r.warmup == (r.index < 3));
    CHECK(r.id == "job-7-00000" + std::to_string(r.index + 1));
    CHECK(s.find(r.id).has_value());
    CHECK(r.output_tokens_asked == 5);
    CHECK(r.prompt_text.empty());
    CHECK(r.completion_text.empty());
  }
  CHECK(done.info.warmup == 3);
  // Two runs without a prefix of their own do not share ids.
  const auto a = run(s, {}, replay::closed({.requests = 1})), b = run(s, {}, replay::closed({.requests = 1}));
  CHECK(a.requests[0].id.starts_with("hotpath-"));
  CHECK(a.requests[0].id != b.requests[0].id);
}

TEST_CASE("replay: stop 1 sends no more and drains, what is left then is cancelled; stop 2 ends at once") {
  for (const int how : {1, 2}) {
    CAPTURE(how);
    scripted::server s({.pace = {.chunks = 3}});
    s.next({say(sse_head()), tokens(2), hold()});   // stays
    s.next({say(sse_head()), tokens(2), hold()});
    s.next({hold(), say("nobody reads this")});
    replay::stop_flag stop{0};
    std::thread asker([&] {
      CHECK(s.wait_for([](const totals& t) { return t.holding == 3; }));
      stop.store_relaxed(how);
    });
    // Stop 2 must not wait for the drain: with a drain of an hour only an immediate end ends at all.
    const auto done = run(s, {.drain = how == 1 ? 100_ms : 3600_s, .stop = &stop}, replay::closed({.streams = 3}));
    asker.join();
    REQUIRE(done.requests.size() == 3);
    CHECK(done.count(request_status::cancelled) == 3);
    CHECK(done.outcome.state == model::run_state::interrupted);
    CHECK(done.outcome.stop_reason == "interrupted");
    CHECK_FALSE(done.outcome.refused);
    CHECK(done.requests[0].chunks.count() + done.requests[1].chunks.count() + done.requests[2].chunks.count() == 4);
    if (how == 1) CHECK(done.outcome.ended - done.outcome.sending_ended >= 100_ms);
    CHECK(s.now().requests == 3);
  }
  // What ends within the drain is ok.
  scripted::server s({.pace = {.chunks = 3}});
  s.next(gated);
  replay::stop_flag stop{0};
  std::thread asker([&] {
    CHECK(s.wait_for([](const totals& t) { return t.holding == 1; }));
    stop.store_relaxed(1);
    ::poll(nullptr, 0, 100);  // the client looks every 20 ms; one that did not would go on after the release
    s.release();
  });
  const auto done = run(s, {.drain = 3600_s, .stop = &stop}, replay::closed({}));
  asker.join();
  CHECK(done.count(request_status::ok) == done.requests.size());
  CHECK(done.outcome.state == model::run_state::interrupted);
}

TEST_CASE("replay: an interrupted open loop counts what was due later, or waited for a slot, as unsent") {
  scripted::server s({.pace = {.chunks = 2}});
  for (int i = 0; i < 2; ++i) s.next(gated);
  const auto plan = replay::constant({.per_second = 1000, .max_in_flight = 2, .requests = 5000});
  REQUIRE(plan.has_value());
  replay::stop_flag stop{0};
  std::thread asker([&] {
    CHECK(s.wait_for([](const totals& t) { return t.holding == 2; }));
    stop.store_relaxed(2);
  });
  const auto done = run(s, {.stop = &stop}, *plan);
  asker.join();
  CHECK(done.requests.size() == 2);
  CHECK(done.count(request_status::cancelled) == 2);
  CHECK(done.outcome.unsent + done.requests.size() == 5000);
  CHECK(done.info.unsent == 4998);
}

TEST_CASE("replay: a unix socket works, and its stamps are the loop's clock and say so") {
  hotpath_test::temp_dir dir;
  scripted::server s({.listen = "unix:" + dir.file("s"), .pace = {.chunks = 3}});
  const auto done = run(s, {}, replay::closed({.streams = 2, .requests = 8}));
  CHECK(done.count(request_status::ok) == 8);
  CHECK(s.now().accepted == 2);
  for (const auto& r : done.requests) {
    CHECK(r.chunks.count() == 3);
    CHECK(r.chunks.inexact() == 3);
    CHECK(r.first_content.source == model::stamp_source::user);
    CHECK_FALSE(r.first_content.exact);
  }
  CHECK(done.outcome.ephemeral_ports_left == 0);
  CHECK(done.info.endpoint.starts_with("unix:"));
}

TEST_CASE("replay: a server that answers before it has read the request is heard, over a connection that is then not reused") {
  hotpath_test::temp_dir dir;
  const std::string file = dir.write("big.jsonl", "{\"prompt\":\"" + std::string(5'000'000, 'x') + "\",\"max_tokens\":1}\n");
  const std::string answer = scripted::http(413, R"({"error":{"message":"prompt too long"}})");
  for (const bool closes : {false, true}) {
    CAPTURE(closes);
    scripted::server s({.pace = {.chunks = 2}});
    // One keeps the connection open and does not read on; one closes it with bytes unread, which is a RST to us.
    for (int i = 0; i < 5; ++i)
      s.next_connection(closes ? scripted::script{say(answer), scripted::hang_up()} : scripted::script{say(answer), scripted::deaf(), hold(), scripted::hang_up()});
    const auto done = run(s, {.errors = {.share = {}}}, replay::closed({.requests = 5}), prompts(file, {.reuse_prompts = true}));
    REQUIRE(done.requests.size() == 5);
    for (const auto& r : done.requests) {
      check_failed(r, error_class::http_4xx, 413, 0);
      CHECK(r.error_message == "HTTP 413: prompt too long");
      CHECK_FALSE(r.reused_connection);
      if (!closes) CHECK(r.bytes_sent < 5'000'000);
    }
    CHECK(s.now().accepted == 5);
    // The same body is taken whole by a server that reads it.
    const auto taken = run(s, {}, replay::closed({.requests = 2}), prompts(file, {.reuse_prompts = true}));
    CHECK(taken.count(request_status::ok) == 2);
    CHECK(taken.requests[1].bytes_sent > 5'000'000);
    CHECK(taken.requests[1].reused_connection);
  }
}

TEST_CASE("replay: headers, request ids, base path and extra body arrive as given") {
  scripted::server s;
  replay::client_options o{.body = {.model = "m\"1", .ignore_eos = true, .extra_body = R"({"temperature":0,"max_tokens":3})"},
                           .headers = {{"X-Team", "search"}, {"Authorization", "Bearer canary-token"}}};
  o.url = s.url() + "/llm/v1?team=a";
  replay::detail::memory_sink out;
  auto load = prompts();
  const auto done = replay::client<>{o}.run(load, replay::closed({.requests = 2}), out);
  CHECK(s.wait_for([](const totals& t) { return t.finished == 2; }));
  REQUIRE(done.has_value());
  REQUIRE(out.requests.size() == 2);
  for (const auto& r : out.requests) {
    const auto truth = s.find(r.id);  // by its X-Request-Id
    REQUIRE(truth.has_value());
    CHECK(truth->target == "/llm/v1/chat/completions?team=a");
    CHECK(truth->head.find("\r\nX-Team: search\r\n") != std::string::npos);
    CHECK(truth->head.find("\r\nAuthorization: Bearer canary-token\r\n") != std::string::npos);
    CHECK(truth->head.find("\r\nAccept-Encoding: identity\r\n") != std::string::npos);
    CHECK(truth->head.find("\r\nHost: 127.0.0.1:" + std::to_string(s.port()) + "\r\n") != std::string::npos);
    for (const char* part : {R"("model":"m\"1")", R"("stream":true)", R"("include_usage":true)", R"("temperature":0)", R"("max_tokens":3)", R"("ignore_eos":true)"}) {
      CAPTURE(part);
      CHECK(truth->body.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("replay: secrets reach the wire and nothing else, not even when the server repeats them") {
  scripted::server s;
  const std::string echo = R"({"error":{"message":"Incorrect API key provided: canary-token, user canary-user:canary-pass, basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3M=, query canary-query, cookie canary-cookie"}})";
  const std::string padded = R"({"error":{"message":")" + std::string(1000, 'x') + R"( canary-token-which-is-cut"}})";
  s.next({say(sse_head()), tokens(1), say(scripted::chunk(scripted::event(echo)) + scripted::chunk(scripted::done_event) + scripted::last_chunk)});
  s.next({say(scripted::http(400, padded))});
  s.next({say(scripted::http(200, echo))});
  s.next({say(scripted::answer({scripted::event("canary-token is no JSON"), scripted::done_event}))});
  s.next({say(scripted::http(307, "", "location: http://elsewhere.invalid/canary-token/v1\r\n"))});
  s.next({say(scripted::http(401, echo))});
  replay::client_options o{.headers = {{"Authorization", "Bearer canary-token"}, {"X-Session-Token", "canary-cookie"}, {"X-Team", "HTTP"}}};
  o.url = "http://canary-user:canary-pass@127.0.0.1:" + std::to_string(s.port()) + "/?api_key=canary-query&team=xx";
  const auto done = run(s, o, replay::closed({.requests = 9}));
  REQUIRE(done.requests.size() == 6);
  CHECK(done.outcome.refused);
  for (const auto& r : done.requests) {
    CHECK(r.status == request_status::failed);
    CHECK(all_text(r).find("canary") == std::string::npos);
    CHECK(all_text(r).find("Y2FuYXJ5") == std::string::npos);
  }
  CHECK(done.requests[2].error_message.find("Incorrect API key provided: [redacted]") != std::string::npos);
  CHECK(done.requests[4].error_message == "HTTP 307 redirects to http://elsewhere.invalid/[redacted]/v1; redirects are not followed");
  CHECK(done.requests[5].error_message.starts_with("HTTP 401: Incorrect API key"));  // what is no secret stays
  CHECK(done.outcome.stop_reason.find("HTTP 401") != std::string::npos);
  CHECK(done.requests[1].error_message.find("xxxxx") != std::string::npos);
  CHECK(all_text(done.info).find("canary") == std::string::npos);
  CHECK(all_text(done.info).find("Y2FuYXJ5") == std::string::npos);
  CHECK(done.info.endpoint == "http://127.0.0.1:" + std::to_string(s.port()));
  for (const auto& t : s.truths()) {
    CHECK(t.head.find("canary-token") != std::string::npos);
    CHECK(t.target.find("api_key=canary-query") != std::string::npos);
  }
}

TEST_CASE("replay: a transport that hands out one byte at a time gives the same records") {
  const auto with = [](auto transport, const std::string& name) {
    scripted::server s({.pace = {.chunks = 5}});
    s.next(preset(name));
    return run<decltype(transport)>(s, {.errors = {.share = {}}, .keep_text = true}, replay::closed({.requests = 2}));
  };
  for (const std::string name : {"sse_lf", "sse_cr", "sse_crlf", "trailers", "chunk_extension", "odd_events", "tool_calls", "reasoning", "usage_small", "bad_utf8", "lf_only", "continue_twice",
                           "status_400", "json_error_200", "not_sse", "cl_and_te", "chunk_not_hex", "rst_in_chunk", "http10"}) {
    CAPTURE(name);
    const auto whole = with(net::tcp{}, name), bytewise = with(drip{}, name);
    REQUIRE(whole.requests.size() == 2);
    REQUIRE(bytewise.requests.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto &a = whole.requests[i], &b = bytewise.requests[i];
      CHECK(a.status == b.status);
      CHECK(a.error == b.error);
      CHECK(a.error_message == b.error_message);
      CHECK(a.http_status == b.http_status);
      CHECK(a.finish_reason == b.finish_reason);
      CHECK(a.completion_tokens == b.completion_tokens);
      CHECK(a.prompt_tokens == b.prompt_tokens);
      CHECK(a.tokens_from == b.tokens_from);
      CHECK(a.usage_suspect == b.usage_suspect);
      CHECK(a.warnings == b.warnings);
      CHECK(a.chunks.count() == b.chunks.count());
      CHECK(a.completion_text.size() == b.completion_text.size());
      CHECK(a.reused_connection == b.reused_connection);
      CHECK(static_cast<bool>(a.first_output) == static_cast<bool>(b.first_output));
      if (a.status == request_status::ok) CHECK(a.bytes_received == b.bytes_received);
    }
  }
  if (kernel_stamps()) {  // each event ends a read of its own: every stamp is exact
    const auto done = with(drip{}, "one_segment");
    CHECK(done.requests[0].chunks.inexact() == 0);
    CHECK(done.requests[0].first_content.exact);
  }
}

TEST_CASE("replay: a sink that fails ends the run, and what is in flight is drained") {
  struct small_sink {
    std::mutex mutex;
    std::vector<model::request> kept;
    std::atomic<bool> full{false};
    void add(model::request&& r) {
      const std::lock_guard lock{mutex};
      kept.push_back(std::move(r));
      if (kept.size() == 10) full = true;
    }
    void add(const model::client_interval&) {}
    bool failed() const { return full; }
  };
  scripted::server s({.pace = {.delay_ns = ms(1), .chunks = 1}});
  small_sink out;
  auto load = prompts();
  const auto done = replay::client<>{{.url = s.url()}}.run(load, replay::closed({.streams = 2, .duration = 20_s}), out);
  REQUIRE(done.has_value());
  CHECK(done->state == model::run_state::stopped);
  CHECK(done->stop_reason == "the results cannot be stored");
  CHECK(out.kept.size() >= 10);
  for (const auto& r : out.kept) CHECK(r.status == request_status::ok);
}

TEST_CASE("replay: nothing but the start is on the wall clock") {
  scripted::server s;
  const nanoseconds wall = realtime_now(), mono = monotonic_now();
  const auto done = run(s, {}, replay::closed({.requests = 3}));  // check_record: every stamp lies in [0, ended]
  CHECK(done.outcome.origin >= mono);
  CHECK(done.outcome.origin <= monotonic_now());
  CHECK(done.outcome.wall_start >= wall - 1_s);
  CHECK(done.outcome.wall_start <= realtime_now() + 1_s);
  CHECK(done.outcome.ended <= monotonic_now() - mono);
  CHECK(done.info.origin == done.outcome.origin);
  CHECK(done.info.wall_start == done.outcome.wall_start);
}

TEST_CASE("replay: what cannot work is refused before anything is sent") {
  scripted::server s;
  const auto refused = [&](replay::client_options o, const model::schedule& plan, errc code, const char* says, const char* load = "synthetic:input=4,output=2") {
    CAPTURE(says);
    if (o.url.empty()) o.url = s.url();
    auto w = prompts(load);
    const auto done = replay::client<>{o}.run(w, plan);
    REQUIRE_FALSE(done.has_value());
    CHECK(done.error().code == code);
    CHECK(done.error().message().find(says) != std::string::npos);
  };
  const auto plan = replay::closed({.requests = 1});
  refused({.url = "", .limits = {.idle = 0_s}}, plan, errc::usage, "every timeout must be above 0");
  refused({.url = "", .limits = {.connect = nanoseconds{-1}}}, plan, errc::usage, "every timeout must be above 0");
  refused({.url = "", .threads = 0}, plan, errc::usage, "1 to 1024");
  refused({.url = "", .headers = {{"X-Key", "a\r\nEvil: 1"}}}, plan, errc::usage, "X-Key");
  refused({.url = "", .headers = {{"Content-Length", "5"}}}, plan, errc::usage, "Content-Length");
  refused({.url = "", .body = {.extra_body = "[1]"}}, plan, errc::usage, "must be a JSON object");
  refused({.url = "http://"}, plan, errc::usage, "host");
  refused({.url = "https://127.0.0.1"}, plan, errc::unsupported, "https");
  model::schedule nothing;
  nothing.kind = model::arrival::constant;
  refused({.url = ""}, nothing, errc::empty, "the schedule holds no request");
  hotpath_test::temp_dir dir;
  refused({.url = ""}, plan, errc::empty, "p.jsonl", dir.write("p.jsonl", "nonsense\n").c_str());
  refused({.url = "unix:" + dir.path() + "/" + std::string(200, 'x')}, plan, errc::usage, "the socket's path has");
  CHECK(s.now().accepted == 0);
}
