// SPDX-License-Identifier: Apache-2.0
// tests/replay/live.hpp - runs the load client against the scripted server and checks what must hold after every run.
//
//     scripted::server s({.pace = {.chunks = 5}});
//     s.next(preset("stall"));
//     const auto done = live::run(s, {.limits = {.idle = 200_ms}}, replay::closed({.requests = 3}));
//     CHECK(done.requests[0].error == model::error_class::idle_timeout);
#pragma once
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <functional>
#include <hotpath/replay.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "support/scripted_server.hpp"

namespace live {

using namespace hotpath;
using model::error_class;
using model::request_status;
using scripted::ms;

// As net::tcp, but hands out one byte per read.
struct drip : net::tcp {
  net::io receive(std::span<char> in, nanoseconds& arrived) noexcept { return tcp::receive(in.first(1), arrived); }
};

inline std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

// That many, or soon: a server in this process may still have a connection to accept and to close that its client has given up.
inline bool descriptors_return_to(std::size_t n) {
  for (int i = 0; i < 500 && open_descriptors() != n; ++i) ::poll(nullptr, 0, 10);
  return open_descriptors() == n;
}

inline replay::workload prompts(std::string_view what = "synthetic:input=6,output=5,seed=3", replay::workload_options o = {.chat = true}) {
  auto w = replay::workload::open(what, std::move(o));
  if (!w) FAIL(w.error().message());
  return std::move(*w);
}

inline scripted::script preset(std::string_view name) {
  for (const auto& [n, s] : scripted::presets())
    if (n == name) return s;
  FAIL("no preset " << name);
  return {};
}

inline std::vector<model::content_event> events(const model::request& r) {
  std::vector<model::content_event> all;
  for (auto log = r.chunks.read(); auto e = log.next();) all.push_back(*e);
  return all;
}

// The send times in a completion's text: numbers with anything between them.
inline std::vector<std::int64_t> stamps(std::string_view text) {
  std::vector<std::int64_t> all;
  for (const char *p = text.data(), *end = p + text.size(); p != end;) {
    std::int64_t v = 0;
    const auto r = std::from_chars(p, end, v);
    if (r.ec == std::errc{}) all.push_back(v);
    p = r.ec == std::errc{} ? r.ptr : p + 1;
  }
  return all;
}

// A segment is stamped on CLOCK_REALTIME and moved to CLOCK_MONOTONIC: that far a stamp may lie before its cause.
inline constexpr nanoseconds clock_tolerance = net::clock_bridge<>::tolerance;

struct result_of_run {
  replay::run_outcome outcome;
  model::run_info info;
  std::vector<model::request> requests;         // in schedule order
  std::vector<model::client_interval> client;
  std::uint64_t count(request_status s) const {
    return static_cast<std::uint64_t>(std::count_if(requests.begin(), requests.end(), [&](const auto& r) { return r.status == s; }));
  }
};

// Every record is final, ordered in time, and says why where it is not ok. Nothing is on the wall clock.
inline void check_record(const model::request& r, nanoseconds ended) {
  CAPTURE(r.index);
  CAPTURE(r.error_message);
  CAPTURE(name_of(r.error));
  CHECK(r.status != request_status::in_flight);
  CHECK((r.status == request_status::ok) == (r.error == error_class::none));
  CHECK((r.status == request_status::ok) == r.error_message.empty());
  CHECK((r.status == request_status::cancelled) == (r.error == error_class::cancelled));
  CHECK(r.error_message.size() <= 1024);
  for (const model::stamp& s : {r.intended, r.slot_free, r.connect_begin, r.connected, r.sent, r.head, r.first_content, r.first_output, r.last_content, r.finished, r.closed}) {
    if (!s) continue;
    CHECK(s.at >= nanoseconds{0});
    CHECK(s.at <= ended);
  }
  REQUIRE(r.intended);
  REQUIRE(r.closed);
  const auto ordered = [](const model::stamp& a, const model::stamp& b) {
    if (a && b) CHECK(b.at - a.at >= -clock_tolerance);
  };
  ordered(r.intended, r.slot_free);
  ordered(r.slot_free, r.sent);
  ordered(r.intended, r.connect_begin);
  ordered(r.connect_begin, r.connected);
  ordered(r.connected, r.sent);
  ordered(r.intended, r.sent);
  ordered(r.sent, r.head);
  ordered(r.head, r.first_content);
  ordered(r.first_content, r.first_output);
  ordered(r.first_content, r.last_content);
  ordered(r.last_content, r.closed);
  ordered(r.sent, r.closed);
  const auto log = events(r);
  CHECK(log.size() == r.chunks.count());
  CHECK(static_cast<bool>(r.first_content) == !log.empty());
  if (log.empty()) return;
  CHECK(log.front().at == r.first_content.at);
  CHECK(log.back().at == r.last_content.at);
  CHECK(std::is_sorted(log.begin(), log.end(), [](const auto& a, const auto& b) { return a.at + clock_tolerance < b.at; }));
}

// The client's own books agree with its records.
inline void check_books(const result_of_run& done) {
  std::uint64_t received = 0, sent = 0, content = 0, inexact = 0;
  for (std::size_t i = 0; i < done.requests.size(); ++i) {
    const model::request& r = done.requests[i];
    if (i > 0) CHECK(done.requests[i - 1].index < r.index);  // each once
    check_record(r, done.outcome.ended);
    received += r.bytes_received;
    sent += r.bytes_sent;
    content += r.chunks.count();
    inexact += r.chunks.inexact();
  }
  std::map<std::uint32_t, nanoseconds> end_of;
  for (const auto& i : done.client) {
    received -= i.bytes_received;  // modulo 2^64: back to 0 when the sums are equal
    content -= i.content_events;
    sent -= i.bytes_sent;
    CHECK(i.inexact_events <= i.content_events);
    inexact -= i.inexact_events;
    CHECK(i.begin <= i.end);
    CHECK(i.end <= done.outcome.ended);
    if (end_of.count(i.thread) != 0) CHECK(end_of[i.thread] == i.begin);  // no gap between the intervals of a thread
    end_of[i.thread] = i.end;
  }
  CHECK(received == 0);
  CHECK(content == 0);
  if (done.outcome.stale_connections == 0) CHECK(sent == 0);
  CHECK(inexact < UINT64_MAX / 2);  // the books never count more than the logs
  CHECK(end_of.size() == done.info.threads);
  const nanoseconds total = done.outcome.ended;
  CHECK(done.outcome.sending_began >= nanoseconds{0});
  CHECK(done.outcome.sending_began <= done.outcome.sending_ended);
  CHECK(done.outcome.sending_ended <= total);
  CHECK(total < nanoseconds{600'000'000'000});
}

// Unless the test says otherwise: a broken client fails a test instead of hanging it, and a machine that stalls for some
// moments between [DONE] and the last chunk changes nothing.
inline replay::timeouts scaled(replay::timeouts limits) {
  const replay::timeouts usual;
  if (limits.total == usual.total) limits.total = 30_s;
  if (limits.framing == usual.framing) limits.framing = 5_s;
  return limits;
}

// A run with all its checks: no descriptor is left open, the books are right, and the server has seen every connection end.
template <class Transport = net::tcp>
result_of_run run(scripted::server* s, replay::client_options o, const model::schedule& plan, replay::workload load = prompts()) {
  if (s != nullptr && o.url == replay::client_options{}.url) o.url = s->url();
  o.limits = scaled(o.limits);
  const std::size_t before = open_descriptors() - (s != nullptr ? s->now().open : 0);
  replay::detail::memory_sink out;
  const replay::client<Transport> client{o};
  const auto done = client.run(load, plan, out);
  if (!done) FAIL(done.error().message());
  result_of_run r{*done, replay::describe(o, load, plan, *done), std::move(out.requests), std::move(out.client)};
  std::sort(r.requests.begin(), r.requests.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  if (s != nullptr) {
    s->release();  // a deaf connection notices nothing by itself
    CHECK(s->wait_for([](const scripted::totals& t) { return t.open == 0; }));
  }
  CHECK(descriptors_return_to(before));
  check_books(r);
  return r;
}
template <class Transport = net::tcp>
result_of_run run(scripted::server& s, replay::client_options o, const model::schedule& plan, replay::workload load = prompts()) {
  return run<Transport>(&s, std::move(o), plan, std::move(load));
}

// One stream, three requests: the first meets the fault, the two behind it must not notice.
template <class Transport = net::tcp>
result_of_run fault_first(const scripted::script& fault, replay::client_options o = {}, scripted::server* other = nullptr) {
  scripted::server own({.pace = {.chunks = 5}});
  scripted::server& s = other != nullptr ? *other : own;
  s.next(fault);
  result_of_run done = run<Transport>(s, std::move(o), replay::closed({.requests = 3}));
  REQUIRE(done.requests.size() == 3);
  for (std::size_t i = 1; i < 3; ++i) {
    CAPTURE(done.requests[i].error_message);
    CHECK(done.requests[i].status == request_status::ok);
    CHECK(done.requests[i].chunks.count() == 5);
    CHECK(done.requests[i].completion_tokens == 5);
  }
  CHECK(done.outcome.state == model::run_state::complete);
  CHECK(s.now().requests >= 2);
  return done;
}

// A failed request: its class, its status, what it kept. Partial tokens are counted by chunk, never taken for a success.
inline void check_failed(const model::request& r, error_class why, int http_status, std::size_t tokens) {
  CAPTURE(r.error_message);
  CHECK(r.status == request_status::failed);
  CHECK(name_of(r.error) == name_of(why));
  CHECK(r.http_status == http_status);
  CHECK(r.chunks.count() == tokens);
  CHECK(r.completion_tokens.value_or(0) == static_cast<std::int64_t>(tokens));
  CHECK(r.tokens_from == (tokens == 0 ? model::token_source::none : model::token_source::chunks));
}

// Whether the kernel stamps segments here. It switches stamping on with the first socket that asks, a moment after: this
// keeps such a socket until the program ends.
inline bool kernel_stamps() {
  static const bool on = [] {
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    sockaddr_in at{};
    socklen_t n = sizeof at;
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* to = reinterpret_cast<sockaddr*>(&at);
    if (fd < 0 || ::bind(fd, to, n) != 0 || ::getsockname(fd, to, &n) != 0) return false;
    ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes);
    for (int i = 0; i < 2000; ++i) {
      ::sendto(fd, "x", 1, 0, to, n);
      pollfd p{fd, POLLIN, 0};
      ::poll(&p, 1, 1000);
      char byte, control[64];
      iovec into{&byte, 1};
      msghdr m{};
      m.msg_iov = &into, m.msg_iovlen = 1, m.msg_control = control, m.msg_controllen = sizeof control;
      // Without stamping the kernel fills in the time of the read: a stamp that is not the segment's own.
      ::poll(nullptr, 0, 1);
      const nanoseconds before = realtime_now();
      if (::recvmsg(fd, &m, 0) != 1) return false;
      for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
        timespec t{};
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
        std::copy_n(CMSG_DATA(c), sizeof t, reinterpret_cast<unsigned char*>(&t));
        if (nanoseconds{static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec} < before) return true;
      }
    }
    return false;
  }();
  return on;
}

}  // namespace live
