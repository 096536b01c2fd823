// SPDX-License-Identifier: Apache-2.0
// tests/net/scripted_server_test.cpp - the ground truth itself, judged by a plain blocking socket that knows nothing of hotpath.
#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "support/scripted_server.hpp"

namespace {
using scripted::ms;

std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

class plain_client {
 public:
  explicit plain_client(const scripted::server& s) : plain_client(s.url(), s.port()) {}
  plain_client(const std::string& url, std::uint16_t port) {
    sockaddr_storage a{};
    socklen_t size = sizeof(sockaddr_in);
    if (url.starts_with("unix:")) {
      auto* u = reinterpret_cast<sockaddr_un*>(&a);
      u->sun_family = AF_UNIX;
      std::memcpy(u->sun_path, url.data() + 5, url.size() - 5);
      size = sizeof *u;
    } else if (url.find('[') != url.npos) {
      auto* v6 = reinterpret_cast<sockaddr_in6*>(&a);
      v6->sin6_family = AF_INET6;
      v6->sin6_port = htons(port);
      v6->sin6_addr = in6addr_loopback;
      size = sizeof *v6;
    } else {
      auto* v4 = reinterpret_cast<sockaddr_in*>(&a);
      v4->sin_family = AF_INET;
      v4->sin_port = htons(port);
      v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    fd_ = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{20, 0};  // a broken server fails the test instead of hanging it
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(connect(fd_, reinterpret_cast<sockaddr*>(&a), size) == 0);
  }
  ~plain_client() { close(fd_); }
  plain_client(const plain_client&) = delete;
  plain_client& operator=(const plain_client&) = delete;

  void post(const std::string& path, const std::string& body, const std::string& id = "") {
    write_all("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + (id.empty() ? "" : "X-Request-Id: " + id + "\r\n") + "Content-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  void write_all(const std::string& text) { REQUIRE(send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size())); }
  // Reads until `end` was seen or the connection is over; `ended` then says how: 0 = FIN, else errno.
  std::string read_until(const std::string& end) {
    std::string got;
    char buffer[65536];
    while (end.empty() || got.find(end) == got.npos) {
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) {
        ended = n == 0 ? 0 : errno;
        break;
      }
      got.append(buffer, static_cast<std::size_t>(n));
      reads.push_back(now_ns());
    }
    return got;
  }
  std::string get(const std::string& path) {
    write_all("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string got = read_until("\r\n\r\n");
    const std::size_t length = std::stoul(got.substr(got.find("content-length: ") + 16));
    while (got.size() < got.find("\r\n\r\n") + 4 + length) got += read_until("\n");
    return got;
  }
  bool silent() const {
    pollfd p{fd_, POLLIN, 0};
    return poll(&p, 1, 0) == 0;
  }
  int ended = -1;
  std::vector<std::int64_t> reads;

 private:
  int fd_ = -1;
};

std::vector<std::int64_t> stamps(const std::string& wire, const std::string& key) {
  std::vector<std::int64_t> found;
  for (std::size_t at = 0; (at = wire.find('"' + key + "\":\"", at)) != wire.npos; at += key.size() + 4)
    if (const char c = wire[at + key.size() + 4]; c >= '0' && c <= '9') found.push_back(std::stoll(wire.substr(at + key.size() + 4, 19)));
  return found;
}

std::string unchunk(const std::string& wire) {
  std::string body;
  for (std::size_t at = wire.find("\r\n\r\n") + 4;;) {
    const std::size_t size = std::stoul(wire.substr(at), nullptr, 16);
    at = wire.find("\r\n", at) + 2;
    if (size == 0) return body;
    body += wire.substr(at, size);
    REQUIRE(wire.substr(at + size, 2) == "\r\n");
    at += size + 2;
  }
}

bool all_finished(const scripted::totals& t) { return t.requests > 0 && t.finished == t.requests; }
const std::string chat = "/v1/chat/completions", text = "/v1/completions";
}  // namespace

TEST_CASE("net: the scripted server's chunks carry the time of their write and its truth is complete") {
  scripted::server s({.pace = {.delay_ns = ms(30), .gap_ns = ms(2), .chunks = 25}});
  plain_client c(s);
  const std::int64_t before = now_ns();
  c.post(chat, R"({"messages":[{"role":"user","content":"a b c"}],"max_tokens":9,"stream":true,"stream_options":{"include_usage": true}})", "id-1");
  const std::string wire = c.read_until(scripted::last_chunk);
  const std::int64_t after = now_ns();
  REQUIRE(s.wait_for(all_finished));
  const auto t = s.find("id-1");
  REQUIRE(t.has_value());

  const auto sent = stamps(wire, "content");
  REQUIRE(sent.size() == 25);
  CHECK(t->complete);
  CHECK(t->chunks == 25);
  CHECK(t->first_ns == sent.front());
  CHECK(t->last_ns == sent.back());
  CHECK(t->prompt_tokens == 3);
  CHECK(t->completion_tokens == 25);
  CHECK(before < t->received_ns);
  CHECK(t->accepted_ns <= t->received_ns);
  CHECK(t->received_ns <= t->service_ns);
  CHECK(t->last_ns <= t->end_ns);
  CHECK(sent.back() < after);
  // Never early: by absolute deadlines, whatever the machine does. Late is the machine's business, and the stamps say so.
  for (std::size_t i = 0; i < sent.size(); ++i) CHECK(sent[i] >= t->service_ns + ms(30) + static_cast<std::int64_t>(i) * ms(2));
  CHECK(c.reads.front() > before);
  CHECK(c.reads.back() > sent.back());

  const std::string body = unchunk(wire);
  CHECK(body.ends_with("data: [DONE]\n\n"));
  CHECK(body.find(R"("usage":{"prompt_tokens":3,"total_tokens":28,"completion_tokens":25})") != body.npos);
  CHECK(body.find(R"("finish_reason":"length")") > body.find(std::to_string(sent.back())));
  CHECK(body.find(R"("delta":{"role":"assistant","content":""})") < body.find(std::to_string(sent.front())));
  const std::size_t second = body.find("data: ", body.find(std::to_string(sent.front())));
  CHECK(body.find("\n\n", second) - second >= 200);  // a chunk is as long as vLLM's
  CHECK(body.find("\n\n", second) - second <= 300);
  CHECK(t->body.starts_with("{\"messages\""));
  CHECK(t->head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
}

TEST_CASE("net: the scripted server takes its pace from the request and floods when asked") {
  scripted::server s({.pace = {.delay_ns = ms(5'000)}});
  plain_client c(s);
  c.post(text, R"({"prompt":[7, 8,9],"stream":true,"x_delay_ms":1.5,"x_gap_ms":0,"x_chunks":1000,"x_per_write":16,"x_tokens_per_chunk":2})", "flood");
  const std::string wire = c.read_until(scripted::last_chunk);
  const auto sent = stamps(wire, "text");
  REQUIRE(sent.size() == 1000);
  int writes = 1;
  for (std::size_t i = 1; i < sent.size(); ++i) {
    CHECK(sent[i] >= sent[i - 1]);
    writes += sent[i] != sent[i - 1];
  }
  CHECK(writes == 63);  // ceil(1000 / 16)
  REQUIRE(s.wait_for(all_finished));
  const auto t = *s.find("flood");
  CHECK(t.prompt_tokens == 3);
  CHECK(t.completion_tokens == 2000);
  CHECK(unchunk(wire).find("usage") == std::string::npos);  // it was not asked for
  CHECK(t.first_ns - t.service_ns >= ms(1.5));
}

TEST_CASE("net: the scripted server's counters, models and health answer on a kept connection") {
  scripted::server s({.pace = {.chunks = 4}, .model = "m1"});
  plain_client c(s);
  CHECK(c.get("/v1/models").find(R"("id":"m1")") != std::string::npos);
  CHECK(c.get("/health").starts_with("HTTP/1.1 200"));
  CHECK(c.get("/nothing").starts_with("HTTP/1.1 404"));
  for (int i = 0; i < 3; ++i) {
    c.post(text, R"({"prompt":"one two","stream":true})");
    CHECK(stamps(c.read_until(scripted::last_chunk), "text").size() == 4);
  }
  const std::string metrics = c.get("/metrics");
  CHECK(metrics.find("vllm:prompt_tokens_total{engine=\"0\",model_name=\"m1\"} 6.0\n") != metrics.npos);
  CHECK(metrics.find("vllm:generation_tokens_total{engine=\"0\",model_name=\"m1\"} 12.0\n") != metrics.npos);
  CHECK(metrics.find("vllm:request_success_total{engine=\"0\",model_name=\"m1\",finished_reason=\"length\"} 3.0\n") != metrics.npos);
  const auto all = s.truths();
  REQUIRE(all.size() == 3);
  CHECK(all[2].connection == 1);
  CHECK(all[2].on_connection == 6);
  CHECK(s.now().accepted == 1);
}

TEST_CASE("net: the scripted server speaks IPv6 and unix sockets") {
  const std::string path = std::filesystem::temp_directory_path() / ("hotpath-scripted-" + std::to_string(getpid()));
  for (const std::string& listen : {std::string("::1"), "unix:" + path}) {
    scripted::server s({.listen = listen, .pace = {.chunks = 2}});
    plain_client c(s);
    c.post(text, "{}");
    CHECK(stamps(c.read_until(scripted::last_chunk), "text").size() == 2);
  }
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("net: the scripted server serves `capacity` requests at once, the others in the order they came") {
  scripted::server s({.capacity = 2});
  std::vector<std::unique_ptr<plain_client>> clients;
  for (int i = 0; i < 6; ++i) {
    s.next({scripted::say(scripted::sse_head()), scripted::hold(), scripted::tokens(), scripted::tail()});
    clients.push_back(std::make_unique<plain_client>(s));
    clients.back()->post(text, R"({"x_chunks":3})", "q" + std::to_string(i));
    const auto n = static_cast<std::uint64_t>(i) + 1;
    REQUIRE(s.wait_for([&](const scripted::totals& t) { return t.requests == n && t.holding == std::min<std::uint64_t>(n, 2); }));
  }
  REQUIRE(s.wait_for([](const scripted::totals& t) { return t.queued == 4; }));
  clients.pop_back();  // gives up while it waits
  REQUIRE(s.wait_for([](const scripted::totals& t) { return t.queued == 3; }));
  for (std::uint64_t done = 2; done <= 5; done += 2) {
    s.release();
    REQUIRE(s.wait_for([&](const scripted::totals& t) { return t.finished == done + 1 && t.holding == std::min<std::uint64_t>(2, 5 - done); }));
  }
  s.release();
  REQUIRE(s.wait_for([](const scripted::totals& t) { return t.finished == 6; }));
  CHECK(s.now().in_service_max == 2);
  for (int i = 0; i < 5; ++i) {
    const auto t = *s.find("q" + std::to_string(i));
    CHECK(t.complete);
    if (i >= 2) CHECK(t.service_ns >= s.find("q" + std::to_string(i - 2))->end_ns);
    CHECK(stamps(clients[static_cast<std::size_t>(i)]->read_until(scripted::last_chunk), "text").front() >= t.service_ns);
  }
  CHECK_FALSE(s.find("q5")->complete);
  CHECK(s.find("q5")->peer_closed);
  CHECK(s.find("q5")->service_ns == 0);
}

TEST_CASE("net: the scripted server plays scripts: cuts, holds, slow bytes, stale connections") {
  using namespace scripted;
  server s({.pace = {.chunks = 5}});
  const std::string head = sse_head();

  s.next({say(head), tokens(3), reset()});
  s.next({say(head), tokens(3), hang_up()});
  s.next({say(head), tokens(3), fin()});
  for (const int expected : {ECONNRESET, 0, 0}) {
    plain_client c(s);
    c.post(text, "{}");
    CHECK(stamps(c.read_until(scripted::last_chunk), "text").size() == 3);
    CHECK(c.ended == expected);
  }
  {
    s.next({say("HTTP/1.1 20"), hold(), say("0 OK\r\n\r\n"), hang_up()});
    plain_client c(s);
    c.post(text, "{}");
    CHECK(c.read_until("20") == "HTTP/1.1 20");
    REQUIRE(s.wait_for([](const totals& t) { return t.holding == 1; }));
    CHECK(c.silent());
    s.release();
    CHECK(c.read_until("\r\n\r\n") == "0 OK\r\n\r\n");
    CHECK(c.read_until("x").empty());
    CHECK(c.ended == 0);
  }
  {
    s.next({say_slowly("HTTP/1.1 200 OK\r\n\r\n", 1, ms(1)), hang_up()});
    plain_client c(s);
    const auto begin = now_ns();
    c.post(text, "{}");
    CHECK(c.read_until("\r\n\r\n").size() == 19);
    CHECK(c.reads.back() - begin >= 18 * ms(1));
  }
  {
    s.next({say("at " + std::string(stamp_marker) + "\n"), repeat("ab", 3), pause(ms(10)), say("@@" + std::string(stamp_marker) + "\n")});
    plain_client c(s);
    const auto begin = now_ns();
    c.post(text, "{}");
    std::string got = c.read_until("\n");
    while (got.find("@@") == got.npos || !got.ends_with("\n")) got += c.read_until("\n");
    const auto first = std::stoll(got.substr(3, 19)), second = std::stoll(got.substr(got.size() - 20, 19));
    CHECK(got.substr(22, 7) == "\nababab");
    CHECK(first > begin);
    CHECK(second - first >= ms(10));
  }
  {
    s.next_connection({reset()});
    plain_client c(s);
    CHECK(c.read_until("x").empty());
    CHECK(c.ended == ECONNRESET);
  }
  {
    s.on("/v1/models", {say(http(401, "{}"))});
    plain_client c(s);
    CHECK(c.get("/v1/models").starts_with("HTTP/1.1 401"));
    c.post(text, R"({"x_fault":"stale"})");
    CHECK(c.read_until(scripted::last_chunk).find("connection: close") == std::string::npos);
    CHECK(c.read_until("x").empty());
    CHECK(c.ended == 0);
  }
  REQUIRE(s.wait_for([](const totals& t) { return t.open == 0; }));
  CHECK(s.now().finished == s.now().requests);
}

TEST_CASE("net: the scripted server's named faults all start and none survives its client") {
  scripted::server s({.pace = {.chunks = 5}});
  for (const auto& preset : scripted::presets()) {
    const std::string& name = preset.first;  // not a binding: CAPTURE makes a lambda, which clang 14 refuses
    CAPTURE(name);
    const auto before = s.now().requests;
    {
      plain_client c(s);
      c.post(chat, R"({"x_fault":")" + name + "\"}", name);
      REQUIRE(s.wait_for([&](const scripted::totals& t) { return t.requests == before + 1; }));
      if (name != "no_answer" && !name.starts_with("rst_before") && !name.starts_with("fin_before")) CHECK_FALSE(c.read_until("1").empty());
    }
    if (name == "half_open") {  // deaf: it does not even see the FIN, only a RST
      REQUIRE(s.wait_for([](const scripted::totals& t) { return t.open == 0 || t.holding == 1; }));
      s.release();
    }
    REQUIRE(s.wait_for([](const scripted::totals& t) { return t.open == 0; }));
    CHECK(s.find(name).has_value());
  }
}

TEST_CASE("net: a full listen backlog leaves a connect unanswered") {
  scripted::unanswered_port nobody;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(nobody.port());
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == -1);
  CHECK(errno == EINPROGRESS);
  pollfd p{fd, POLLOUT, 0};
  CHECK(poll(&p, 1, 100) == 0);
  close(fd);
}
