// SPDX-License-Identifier: Apache-2.0
// tests/support/scripted_server.cpp - see scripted_server.hpp. One thread: epoll, a heap of deadlines, a state per connection.
#include "scripted_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <mutex>
#include <queue>
#include <stdexcept>
#include <thread>
#include <unordered_map>

namespace scripted {
namespace {

std::int64_t clock_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error("scripted server: " + what + ": " + std::strerror(errno)); }

void write_stamp(char* at, std::int64_t ns) {
  for (int i = 18; i >= 0; --i, ns /= 10) at[i] = static_cast<char>('0' + ns % 10);
}

struct address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&bytes); }

  address(const std::string& listen, std::uint16_t port) {
    if (listen.starts_with("unix:")) {
      sockaddr_un u{};
      u.sun_family = AF_UNIX;
      if (listen.size() - 5 >= sizeof u.sun_path) throw std::runtime_error("scripted server: path too long: " + listen);
      std::memcpy(u.sun_path, listen.data() + 5, listen.size() - 5);
      std::memcpy(&bytes, &u, size = sizeof u);
    } else if (listen.find(':') != std::string::npos) {
      sockaddr_in6 a{};
      a.sin6_family = AF_INET6;
      a.sin6_port = htons(port);
      if (inet_pton(AF_INET6, listen.c_str(), &a.sin6_addr) != 1) throw std::runtime_error("scripted server: bad address: " + listen);
      std::memcpy(&bytes, &a, size = sizeof a);
    } else {
      sockaddr_in a{};
      a.sin_family = AF_INET;
      a.sin_port = htons(port);
      if (inet_pton(AF_INET, listen.c_str(), &a.sin_addr) != 1) throw std::runtime_error("scripted server: bad address: " + listen);
      std::memcpy(&bytes, &a, size = sizeof a);
    }
  }
};

std::uint16_t bound_port(int fd) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&a), &n) != 0) fail("getsockname");
  if (a.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in*>(&a)->sin_port);
  return a.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6*>(&a)->sin6_port) : std::uint16_t{0};
}

// The text after "key": in a JSON object, at any depth. A quoted key inside a JSON string has its quotes escaped: never found.
std::optional<std::string_view> json_raw(std::string_view body, std::string_view key) {
  const std::string quoted = '"' + std::string(key) + '"';
  for (std::size_t at = 0; (at = body.find(quoted, at)) != body.npos;) {
    at = body.find_first_not_of(" \t\r\n", at + quoted.size());
    if (at == body.npos || body[at] != ':') continue;
    at = body.find_first_not_of(" \t\r\n", at + 1);
    if (at != body.npos) return body.substr(at);
  }
  return std::nullopt;
}

double json_number(std::string_view body, std::string_view key, double otherwise) {
  const auto raw = json_raw(body, key);
  if (raw) std::from_chars(raw->data(), raw->data() + raw->size(), otherwise);
  return otherwise;
}

std::string_view json_text(std::string_view raw) {
  if (raw.empty() || raw[0] != '"') return {};
  std::size_t end = 1;
  while (end < raw.size() && raw[end] != '"') end += raw[end] == '\\' ? 2u : 1u;
  return raw.substr(1, std::min(end, raw.size()) - 1);
}

std::int64_t words(std::string_view s) {
  std::int64_t n = 0;
  for (std::size_t i = 0; i < s.size(); ++i) n += s[i] != ' ' && (i == 0 || s[i - 1] == ' ');
  return n;
}

// Token ids are counted exactly; a word of text counts as a token.
std::int64_t count_prompt(std::string_view body) {
  if (const auto prompt = json_raw(body, "prompt")) {
    if ((*prompt)[0] != '[') return words(json_text(*prompt));
    const auto list = prompt->substr(0, prompt->find(']'));
    return list.find_first_of("0123456789") == list.npos ? 0 : 1 + std::count(list.begin(), list.end(), ',');
  }
  std::int64_t n = 0;
  for (auto value = json_raw(body, "content"); value; value = json_raw(*value, "content")) n += words(json_text(*value));
  return n;
}

std::string_view header(std::string_view head, std::string_view lower_case_name) {
  for (std::size_t at = head.find("\r\n"); at != head.npos && at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
    const auto line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.size() <= lower_case_name.size() || line[lower_case_name.size()] != ':') continue;
    if (!std::equal(lower_case_name.begin(), lower_case_name.end(), line.begin(), [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); })) continue;
    const auto value = line.substr(lower_case_name.size() + 1);
    const auto from = value.find_first_not_of(' ');
    return from == value.npos ? std::string_view{} : value.substr(from);
  }
  return {};
}

const std::shared_ptr<const script>& well_behaved() {
  static const auto s = std::make_shared<const script>(script{say(sse_head()), tokens(), tail()});
  return s;
}

}  // namespace

// ---- bytes ------------------------------------------------------------------------------------------------------------
std::string http(int status, std::string_view body, std::string_view extra_headers, std::string_view type) {
  return "HTTP/1.1 " + std::to_string(status) + (status == 200 ? " OK" : " Scripted") + "\r\nserver: uvicorn\r\ncontent-length: " +
         std::to_string(body.size()) + "\r\ncontent-type: " + std::string(type) + "\r\n" + std::string(extra_headers) + "\r\n" + std::string(body);
}
std::string sse_head(std::string_view extra_headers) {
  return "HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 18:36:11 GMT\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
         "vary: Origin\r\ntransfer-encoding: chunked\r\n" + std::string(extra_headers) + "\r\n";
}
std::string chunk(std::string_view bytes) {
  char size[24];
  return std::string(size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", bytes.size()))) + std::string(bytes) + "\r\n";
}
std::string event(std::string_view data) { return "data: " + std::string(data) + "\n\n"; }
std::string delta(std::string_view json, std::string_view finish) {
  return R"({"id":"chatcmpl-scripted","object":"chat.completion.chunk","created":1795372572,"model":"scripted","choices":[{"index":0,"delta":)" +
         std::string(json) + R"(,"logprobs":null,"finish_reason":)" + (finish.empty() ? "null" : '"' + std::string(finish) + '"') + "}]}";
}
std::string content(std::string_view text) { return delta(R"({"content":")" + std::string(text) + "\"}"); }
std::string answer(const std::vector<std::string>& events, std::string_view extra_headers) {
  std::string s = sse_head(extra_headers);
  for (const auto& e : events) s += chunk(e);
  return s.append(last_chunk);
}

std::string to_json(const truth& t) {
  char text[640];
  std::snprintf(text, sizeof text,
                R"({"id":"%s","connection":%llu,"on_connection":%u,"accepted_ns":%lld,"received_ns":%lld,"service_ns":%lld,"first_ns":%lld,)"
                R"("last_ns":%lld,"end_ns":%lld,"chunks":%llu,"prompt_tokens":%lld,"completion_tokens":%lld,"blocked":%llu,"complete":%s})",
                t.id.substr(0, 100).c_str(), static_cast<unsigned long long>(t.connection), t.on_connection, static_cast<long long>(t.accepted_ns),
                static_cast<long long>(t.received_ns), static_cast<long long>(t.service_ns), static_cast<long long>(t.first_ns),
                static_cast<long long>(t.last_ns), static_cast<long long>(t.end_ns), static_cast<unsigned long long>(t.chunks),
                static_cast<long long>(t.prompt_tokens), static_cast<long long>(t.completion_tokens),
                static_cast<unsigned long long>(t.blocked), t.complete ? "true" : "false");
  return text;
}

// ---- the loop ---------------------------------------------------------------------------------------------------------
struct server::state {
  using shared_script = std::shared_ptr<const script>;
  struct connection {
    std::uint64_t id = 0;
    int fd = -1;
    std::string in, out;       // unread request bytes; bytes the socket has not taken yet
    std::size_t out_at = 0;
    bool wants_out = false, reading = true, holding = false, has_slot = false, queued = false, has_request = false;
    std::uint32_t requests = 0;
    std::int64_t accepted = 0, wake_at = 0;
    // the script being played
    shared_script plan;
    std::size_t step = 0, at = 0;      // action; byte within what it says
    std::uint64_t done = 0;            // repetitions, chunks, or segments of this action
    std::int64_t step_begin = 0;       // 0: the action has not begun
    // the answer
    truth now;
    scripted::pace pace;
    bool chat = false, wants_usage = false;
    std::int64_t first_due = 0;
    std::uint64_t writes = 0;
    std::string text, burst;           // one content event, stamp marker inside; per_write of them, in HTTP chunks when framed
    std::size_t burst_step = 0;        // bytes of one of them
  };
  struct timer {
    std::int64_t at;
    std::uint64_t id;
    bool operator<(const timer& other) const { return at > other.at; }  // the earliest on top
  };

  options o;
  int listener = -1, epoll = -1, wake = -1;
  std::uint16_t port = 0;
  std::atomic<bool> stopping{false};
  // Loop thread only.
  std::unordered_map<std::uint64_t, std::unique_ptr<connection>> connections;
  std::priority_queue<timer> timers;
  std::deque<std::uint64_t> waiting;  // for a slot
  std::uint32_t serving = 0;
  std::uint64_t last_id = 0, prompt_total = 0, generation_total = 0, success_total = 0;
  // Shared.
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  totals sums;
  std::deque<shared_script> scripts, accept_scripts;
  std::map<std::string, shared_script, std::less<>> targets;
  std::vector<truth> finished;
  bool released = false;
  std::thread thread;

  explicit state(options options_) : o(std::move(options_)) {
    const bool local = o.listen.starts_with("unix:");
    address a(o.listen, o.port);
    if (local) unlink(o.listen.c_str() + 5);
    listener = socket(a.get()->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (listener < 0 || epoll < 0 || wake < 0) fail("descriptors");
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, a.get(), a.size) != 0 || listen(listener, 4096) != 0) fail("listen on " + o.listen);
    port = bound_port(listener);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, 0);
    watch(EPOLL_CTL_ADD, wake, EPOLLIN, UINT64_MAX);
    thread = std::thread([this] { run(); });
  }
  ~state() {
    stop();
    for (const int fd : {listener, epoll, wake}) ::close(fd);
  }
  void stop() {
    stopping = true;
    poke();
    if (thread.joinable()) thread.join();
    if (o.listen.starts_with("unix:")) unlink(o.listen.c_str() + 5);
  }
  void poke() const { eventfd_write(wake, 1); }
  void watch(int operation, int fd, std::uint32_t events, std::uint64_t id) const {
    epoll_event e{.events = events, .data = {.u64 = id}};
    if (epoll_ctl(epoll, operation, fd, &e) != 0) fail("epoll_ctl");
  }
  template <class F> void count(F change) {
    { const std::lock_guard lock(mutex); change(sums); }
    changed.notify_all();
  }

  void run() {
    prctl(PR_SET_TIMERSLACK, 1);
    std::vector<epoll_event> events(512);
    while (!stopping) {
      const std::int64_t now = clock_ns();
      while (!timers.empty() && timers.top().at <= now) {
        const timer t = timers.top();
        timers.pop();
        connection* c = find(t.id);
        if (c == nullptr || c->wake_at != t.at) continue;
        c->wake_at = 0;
        play(*c);
      }
      std::int64_t sleep = 1'000'000'000;
      if (!timers.empty()) sleep = std::min(sleep, timers.top().at - clock_ns());
      sleep = sleep <= 0 ? 0 : std::max(sleep, o.quantum_ns);
      const timespec timeout{sleep / 1'000'000'000, sleep % 1'000'000'000};
      const int n = epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
      for (int i = 0; i < n; ++i) handle(events[static_cast<std::size_t>(i)]);
    }
    while (!connections.empty()) close(*connections.begin()->second, false);
    ::shutdown(listener, SHUT_RDWR);
    ::close(listener);
    listener = -1;
  }
  connection* find(std::uint64_t id) {
    const auto it = connections.find(id);
    return it == connections.end() ? nullptr : it->second.get();
  }
  void wake_up(connection& c, std::int64_t at) {
    c.wake_at = at;
    timers.push({at, c.id});
  }

  void handle(const epoll_event& e) {
    if (e.data.u64 == 0) return accept_all();
    if (e.data.u64 == UINT64_MAX) return commands();
    connection* c = find(e.data.u64);
    if (c != nullptr && (e.events & EPOLLOUT) != 0 && !play(*c)) return;
    if (c == nullptr || (e.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    if (!c->reading) return close(*c, true);  // a deaf one hears a RST all the same
    receive(*c);
  }
  void commands() {
    eventfd_t ignored;
    eventfd_read(wake, &ignored);
    std::vector<std::uint64_t> held;
    {
      const std::lock_guard lock(mutex);
      if (!std::exchange(released, false)) return;
    }
    for (const auto& [id, c] : connections)
      if (c->holding) held.push_back(id);
    std::sort(held.begin(), held.end());  // in the order they were accepted
    for (const auto id : held) {
      connection& c = *find(id);
      unhold(c);
      c.first_due += clock_ns() - c.step_begin;  // pacing goes on from here
      next_step(c);
      play(c);
    }
  }
  void unhold(connection& c) {
    if (std::exchange(c.holding, false)) count([](totals& t) { --t.holding; });
  }

  void accept_all() {
    for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails on a unix socket, which needs none
      auto& c = *(connections[++last_id] = std::make_unique<connection>());
      c.id = last_id;
      c.fd = fd;
      c.accepted = clock_ns();
      watch(EPOLL_CTL_ADD, fd, EPOLLIN, c.id);
      count([&](totals& t) {
        ++t.accepted, ++t.open;
        if (accept_scripts.empty()) return;
        c.plan = accept_scripts.front();
        accept_scripts.pop_front();
      });
      play(c);
    }
  }
  void receive(connection& c) {
    char buffer[65536];
    for (;;) {
      const ssize_t n = ::recv(c.fd, buffer, sizeof buffer, 0);
      if (n > 0) {
        c.in.append(buffer, static_cast<std::size_t>(n));
        if (n < static_cast<ssize_t>(sizeof buffer)) break;
      } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        break;
      } else {
        return close(c, true);
      }
    }
    if (!c.plan && !c.queued) request(c, clock_ns());
  }

  // Takes one request out of c.in when it is there completely.
  void request(connection& c, std::int64_t received) {
    const std::size_t head_end = c.in.find("\r\n\r\n");
    if (head_end == c.in.npos) return;
    const std::string_view head = std::string_view(c.in).substr(0, head_end + 2);
    std::size_t length = 0;
    const auto value = header(head, "content-length");
    std::from_chars(value.data(), value.data() + value.size(), length);
    if (c.in.size() < head_end + 4 + length) return;
    const std::string_view body = std::string_view(c.in).substr(head_end + 4, length);
    const std::string_view line = head.substr(0, head.find("\r\n"));
    const std::string method(line.substr(0, line.find(' ')));
    std::string target(line.size() > method.size() ? line.substr(method.size() + 1) : "");
    target.resize(target.find(' ') == target.npos ? target.size() : target.find(' '));

    c.now = truth{};
    c.now.id = header(head, "x-request-id");
    c.now.target = target;
    c.now.connection = c.id;
    c.now.on_connection = ++c.requests;
    c.now.accepted_ns = c.accepted;
    c.now.received_ns = received;
    c.has_request = method == "POST";
    if (o.keep_requests) c.now.head = head, c.now.body = body;
    c.step = 0;
    if (c.has_request) read_body(c, target, body);
    choose(c, method, target, body);
    c.in.erase(0, head_end + 4 + length);
    if (!c.has_request) {
      play(c);
    } else if (o.capacity != 0 && serving >= o.capacity) {
      c.queued = true;
      waiting.push_back(c.id);
      count([&](totals& t) { ++t.queued; });
    } else {
      serve(c, received);
    }
  }
  void read_body(connection& c, std::string_view target, std::string_view body) {
    c.chat = target.ends_with("/chat/completions");
    const auto usage = json_raw(body, "include_usage");
    c.wants_usage = usage && usage->starts_with("true");
    c.now.prompt_tokens = count_prompt(body);
    c.pace = o.pace;
    pace& p = c.pace;
    if (body.find("\"x_") != body.npos) {
      p.delay_ns = ms(json_number(body, "x_delay_ms", static_cast<double>(p.delay_ns) / 1e6));
      p.gap_ns = ms(json_number(body, "x_gap_ms", static_cast<double>(p.gap_ns) / 1e6));
      p.jitter_ns = ms(json_number(body, "x_jitter_ms", static_cast<double>(p.jitter_ns) / 1e6));
      p.chunks = static_cast<int>(json_number(body, "x_chunks", p.chunks));
      p.per_write = static_cast<int>(json_number(body, "x_per_write", p.per_write));
      p.tokens_per_chunk = static_cast<int>(json_number(body, "x_tokens_per_chunk", p.tokens_per_chunk));
    }
    if (p.chunks <= 0) p.chunks = static_cast<int>(json_number(body, "max_completion_tokens", json_number(body, "max_tokens", 16)));
    p.per_write = std::max(p.per_write, 1);
    p.tokens_per_chunk = std::max(p.tokens_per_chunk, 1);
    c.text = start_of_event(c) + (c.chat ? R"({"index":0,"delta":{"content":")" : R"({"index":0,"text":")") + std::string(stamp_marker) +
             (c.chat ? R"( "},"logprobs":null,"finish_reason":null,"token_ids":null}]})"
                     : R"( ","logprobs":null,"finish_reason":null,"stop_reason":null,"prompt_token_ids":null,"token_ids":null}]})");
  }
  std::string start_of_event(const connection& c) const {
    const std::string id = c.now.id.empty() ? std::to_string(c.id) + '-' + std::to_string(c.now.on_connection) : c.now.id;
    return (c.chat ? R"({"id":"chatcmpl-)" + id + R"(","object":"chat.completion.chunk")" : R"({"id":"cmpl-)" + id + R"(","object":"text_completion")") +
           R"(,"created":1795372572,"model":")" + o.model + R"(","choices":[)";
  }
  void choose(connection& c, std::string_view method, std::string_view target, std::string_view body) {
    static const auto not_found = std::make_shared<const script>(script{say(http(404, R"({"error":{"message":"no such path","type":"NotFoundError","param":null,"code":404}})"))});
    const auto answer_with = [&](std::string text, std::string_view type = "application/json") {
      c.plan = std::make_shared<const script>(script{say(http(200, text, "", type))});
    };
    count([&](totals& t) {
      ++(c.has_request ? t.requests : t.other);
      const auto it = targets.find(target);
      if (it != targets.end()) {
        c.plan = it->second;
      } else if (c.has_request && !scripts.empty()) {
        c.plan = scripts.front();
        scripts.pop_front();
      }
    });
    if (c.plan) return;
    const std::string_view path = std::string_view(target).substr(0, target.find('?'));
    if (method == "POST" && path.ends_with("/completions")) {
      const auto named = json_raw(body, "x_fault");
      const std::string name(named ? json_text(*named) : o.fault);
      c.plan = name.empty() ? well_behaved() : find_preset(name);
      if (!c.plan) c.plan = std::make_shared<const script>(script{say(http(400, R"({"error":{"message":"no preset )" + name + "\"}}"))});
    } else if (method == "GET" && path.ends_with("/v1/models")) {
      answer_with(R"({"object":"list","data":[{"id":")" + o.model + R"(","object":"model","created":1795372572,"owned_by":"vllm","root":")" + o.model +
                  R"(","parent":null,"max_model_len":1048576}]})");
    } else if (method == "GET" && path.ends_with("/health")) {
      answer_with("");
    } else if (method == "GET" && path.ends_with("/metrics")) {
      answer_with(metrics(), "text/plain; version=0.0.4; charset=utf-8");
    } else {
      c.plan = not_found;
    }
  }
  static shared_script find_preset(std::string_view name) {
    for (const auto& [n, s] : presets())
      if (n == name) return std::make_shared<const script>(s);
    return nullptr;
  }
  std::string metrics() const {
    const std::string labels = R"({engine="0",model_name=")" + o.model;
    const auto line = [&](const char* name, const char* type, const std::string& more, std::uint64_t v) {
      const std::string family = std::string_view(type) == "counter" ? std::string(name).substr(0, std::strlen(name) - 6) : name;
      return "# HELP " + family + " scripted\n# TYPE " + family + " " + type + "\n" + name + labels + more + "\"} " + std::to_string(v) + ".0\n";
    };
    return line("vllm:num_requests_running", "gauge", "", serving) + line("vllm:num_requests_waiting", "gauge", "", waiting.size()) +
           line("vllm:prompt_tokens_total", "counter", "", prompt_total) + line("vllm:generation_tokens_total", "counter", "", generation_total) +
           line("vllm:request_success_total", "counter", R"(",finished_reason="length)", success_total);
  }

  void serve(connection& c, std::int64_t now, bool later = false) {
    c.has_slot = true;
    c.now.service_ns = now;
    const std::uint64_t share = (c.id * 0x9e3779b97f4a7c15u + c.now.on_connection * 0xbf58476d1ce4e5b9u) >> 40;
    c.first_due = now + c.pace.delay_ns + static_cast<std::int64_t>(static_cast<double>(share) / 0x1p24 * static_cast<double>(c.pace.jitter_ns));
    c.writes = 0;
    ++serving;
    count([&](totals& t) { t.in_service = serving, t.in_service_max = std::max<std::uint64_t>(t.in_service_max, serving), t.queued = waiting.size(); });
    if (later) wake_up(c, now);  // not from inside another connection's turn
    else play(c);
  }
  // The request is over: its truth is final, and its slot goes to the next in line.
  void finish(connection& c, bool complete, bool peer_closed) {
    unhold(c);
    if (!c.has_request) return;
    c.has_request = false;
    c.now.end_ns = clock_ns();
    c.now.complete = complete;
    c.now.peer_closed = peer_closed;
    if (c.queued) waiting.erase(std::find(waiting.begin(), waiting.end(), c.id));
    c.queued = false;
    if (c.has_slot) --serving;
    count([&](totals& t) {
      ++t.finished;
      t.in_service = serving, t.queued = waiting.size();
      if (o.keep_truths) finished.push_back(std::move(c.now));
    });
    if (std::exchange(c.has_slot, false) && !waiting.empty() && !stopping) {
      connection& following = *find(waiting.front());
      waiting.pop_front();
      following.queued = false;
      serve(following, clock_ns(), true);
    }
  }
  void close(connection& c, bool peer_closed) {
    const auto id = c.id;
    finish(c, false, peer_closed);
    ::close(c.fd);
    connections.erase(id);
    count([](totals& t) { --t.open; });
  }

  // Gives the socket what it takes. False: it is full (EPOLLOUT will call play) or the connection is gone.
  enum class sent : std::uint8_t { all, part, gone };
  sent flush(connection& c) {
    while (c.out_at < c.out.size()) {
      const ssize_t n = ::send(c.fd, c.out.data() + c.out_at, c.out.size() - c.out_at, MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) {
        close(c, true);
        return sent::gone;
      }
      if (n < 0) {
        ++c.now.blocked;
        want_out(c, true);
        return sent::part;
      }
      c.out_at += static_cast<std::size_t>(n);
    }
    c.out.clear();
    c.out_at = 0;
    want_out(c, false);
    return sent::all;
  }
  void want_out(connection& c, bool out) {
    if (out == c.wants_out) return;
    c.wants_out = out;
    interest(c);
  }
  void interest(const connection& c) const {
    watch(EPOLL_CTL_MOD, c.fd, (c.reading ? std::uint32_t{EPOLLIN} : 0u) | (c.wants_out ? std::uint32_t{EPOLLOUT} : 0u), c.id);
  }
  // Stamps and sends; returns the time in the stamps.
  sent give(connection& c, std::string_view bytes, std::int64_t* stamp = nullptr) {
    const std::size_t from = c.out.size();  // not empty: the socket did not take all of what came before
    c.out.append(bytes);
    char digits[stamp_marker.size()];
    const std::int64_t now = clock_ns();
    write_stamp(digits, now);
    for (std::size_t at = from; (at = c.out.find(stamp_marker, at)) != c.out.npos; at += sizeof digits) std::memcpy(c.out.data() + at, digits, sizeof digits);
    if (stamp != nullptr) *stamp = now;
    return flush(c);
  }
  static void next_step(connection& c) {
    ++c.step;
    c.step_begin = 0;
    c.at = 0;
    c.done = 0;
  }

  // Plays the script on until it has to wait. False: the connection is gone.
  bool play(connection& c) {
    const auto id = c.id;
    for (int turns = 0;; ++turns) {
      if (const sent s = flush(c); s != sent::all) return s == sent::part;
      if (!c.plan || c.queued || c.wake_at != 0 || c.holding) return true;
      const std::int64_t now = clock_ns();
      if (c.step == c.plan->size()) {
        c.plan.reset();
        c.step = 0;
        finish(c, true, false);
        if (!c.in.empty()) request(c, now);
        return find(id) != nullptr;  // that request may have ended in a RST
      }
      if (turns == 64) return wake_up(c, now), true;  // others want to write, too
      const action& a = (*c.plan)[c.step];
      if (c.step_begin == 0) c.step_begin = now;
      sent s = sent::all;
      switch (a.kind) {
        case action::what::say: s = say_some(c, a, now); break;
        case action::what::tokens: s = tokens_some(c, a, now); break;
        case action::what::tail: s = end_of_answer(c, a); break;
        case action::what::pause:
          if (now < c.step_begin + a.ns) return wake_up(c, c.step_begin + a.ns), true;
          c.first_due += now - c.step_begin;
          next_step(c);
          break;
        case action::what::hold:
          c.holding = true;
          count([](totals& t) { ++t.holding; });
          return true;
        case action::what::fin:
          ::shutdown(c.fd, SHUT_WR);
          next_step(c);
          break;
        case action::what::reset: {
          const linger now_{.l_onoff = 1, .l_linger = 0};
          setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now_, sizeof now_);
          [[fallthrough]];
        }
        case action::what::hang_up:
          finish(c, true, false);
          close(c, false);
          return false;
        case action::what::deaf:
          c.reading = false;
          interest(c);
          next_step(c);
          break;
      }
      if (s == sent::gone) return false;
    }
  }
  sent say_some(connection& c, const action& a, std::int64_t now) {
    if (a.segment == 0) {
      if (c.done++ == a.count) return next_step(c), sent::all;
      return give(c, a.bytes);
    }
    if (c.at >= a.bytes.size()) {
      c.first_due += now - c.step_begin;
      return next_step(c), sent::all;
    }
    const std::int64_t due = c.step_begin + static_cast<std::int64_t>(c.done) * a.ns;
    if (now < due) return wake_up(c, due), sent::all;
    ++c.done;
    const auto piece = std::string_view(a.bytes).substr(c.at, a.segment);
    c.at += piece.size();
    return give(c, piece);
  }

  sent tokens_some(connection& c, const action& a, std::int64_t now) {
    const auto total = static_cast<std::uint64_t>(c.pace.chunks);
    const std::uint64_t left = total - std::min(c.now.chunks, total);
    const std::uint64_t want = a.count == 0 ? left : std::min(left, a.count - c.done);
    if (want == 0) return next_step(c), sent::all;
    const std::int64_t due = c.first_due + static_cast<std::int64_t>(c.writes) * c.pace.gap_ns;
    if (now < due) return wake_up(c, due), sent::all;
    if (c.now.chunks == 0) {
      prompt_total += static_cast<std::uint64_t>(c.now.prompt_tokens);
      const std::string one = a.framed ? chunk(event(c.text)) : event(c.text);
      c.burst_step = one.size();
      c.burst.clear();
      for (int i = 0; i < c.pace.per_write; ++i) c.burst += one;
      const std::string role = event(start_of_event(c) + R"({"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null})");
      if (c.chat && give(c, a.framed ? chunk(role) : role) == sent::gone) return sent::gone;
    }
    const std::uint64_t n = std::min(want, static_cast<std::uint64_t>(c.pace.per_write));
    const bool last = c.now.chunks + n == total;
    ++c.writes;
    c.done += n;
    c.now.chunks += n;
    c.now.completion_tokens += static_cast<std::int64_t>(n) * c.pace.tokens_per_chunk;
    generation_total += n * static_cast<std::uint64_t>(c.pace.tokens_per_chunk);
    std::string ending;
    if (last) {
      constexpr std::string_view open = R"("finish_reason":null)";
      ending = c.text;
      ending.replace(ending.find(open), open.size(), c.chat ? R"("finish_reason":"length","stop_reason":null)" : R"("finish_reason":"length")");
      ending = std::string(c.burst, 0, static_cast<std::size_t>(n - 1) * c.burst_step) + (a.framed ? chunk(event(ending)) : event(ending));
    }
    std::int64_t stamp = 0;
    const std::int64_t first = c.now.first_ns;
    const sent s = give(c, last ? std::string_view(ending) : std::string_view(c.burst).substr(0, static_cast<std::size_t>(n) * c.burst_step), &stamp);
    if (s == sent::gone) return s;  // c is no more
    c.now.first_ns = first == 0 ? stamp : first;
    c.now.last_ns = stamp;
    return s;
  }
  sent end_of_answer(connection& c, const action& a) {
    std::string text;
    if (c.wants_usage) {
      text = event(start_of_event(c) + R"(],"usage":{"prompt_tokens":)" + std::to_string(c.now.prompt_tokens) + R"(,"total_tokens":)" +
                   std::to_string(c.now.prompt_tokens + c.now.completion_tokens) + R"(,"completion_tokens":)" + std::to_string(c.now.completion_tokens) +
                   R"(},"system_fingerprint":"vllm-0.32.0-scripted"})");
      if (a.framed) text = chunk(text);
    }
    text += a.framed ? chunk(done_event) : done_event;
    if (a.framed && a.count != 0) text += last_chunk;
    ++success_total;
    next_step(c);
    return give(c, text);
  }
};

// ---- the public side -----------------------------------------------------------------------------------------------------
server::server(options o) : state_(std::make_unique<state>(std::move(o))) {}
server::~server() = default;
std::uint16_t server::port() const { return state_->port; }
std::string server::url() const {
  const std::string& l = state_->o.listen;
  if (l.starts_with("unix:")) return l;
  return "http://" + (l.find(':') == l.npos ? l : '[' + l + ']') + ':' + std::to_string(state_->port);
}
void server::next(script s) {
  const std::lock_guard lock(state_->mutex);
  state_->scripts.push_back(std::make_shared<const script>(std::move(s)));
}
void server::next_connection(script s) {
  const std::lock_guard lock(state_->mutex);
  state_->accept_scripts.push_back(std::make_shared<const script>(std::move(s)));
}
void server::on(std::string target, script s) {
  const std::lock_guard lock(state_->mutex);
  state_->targets[std::move(target)] = std::make_shared<const script>(std::move(s));
}
void server::release() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->released = true;
  }
  state_->poke();
}
void server::stop() { state_->stop(); }
totals server::now() const {
  const std::lock_guard lock(state_->mutex);
  return state_->sums;
}
bool server::wait_for(const std::function<bool(const totals&)>& reached, std::int64_t limit_ns) const {
  std::unique_lock lock(state_->mutex);
  return state_->changed.wait_for(lock, std::chrono::nanoseconds(limit_ns), [&] { return reached(state_->sums); });
}
std::vector<truth> server::truths() const {
  const std::lock_guard lock(state_->mutex);
  return state_->finished;
}
std::optional<truth> server::find(std::string_view id) const {
  const std::lock_guard lock(state_->mutex);
  for (const truth& t : state_->finished)
    if (t.id == id) return t;
  return std::nullopt;
}

unanswered_port::unanswered_port() {
  address a("127.0.0.1", 0);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  fds_.push_back(listener);
  if (listener < 0 || bind(listener, a.get(), a.size) != 0 || listen(listener, 0) != 0) fail("unanswered_port");
  port_ = bound_port(listener);
  address to("127.0.0.1", port_);
  for (int i = 0; i < 16; ++i) {  // on loopback a handshake is over when connect() returns, or its SYN was dropped
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fds_.push_back(fd);
    if (connect(fd, to.get(), to.size) != 0 && errno != EINPROGRESS) fail("connect");
    pollfd p{fd, POLLOUT, 0};
    if (poll(&p, 1, 20) == 0) return;
  }
  throw std::runtime_error("scripted server: the listen backlog does not fill");
}
unanswered_port::~unanswered_port() {
  for (const int fd : fds_) ::close(fd);
}

}  // namespace scripted
