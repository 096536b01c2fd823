// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/worker.hpp - one thread of the client: a loop, its connections, its share of the schedule.
//   Transport moves bytes (net::tcp; TLS is another), Sink takes what is finished: add(model::request&&) and
//   add(const model::client_interval&), called from every worker's thread.
//   Per stream: about 1.5 KiB here plus 4 bytes per content event; one receive buffer of 64 KiB per thread.
#pragma once
#include <algorithm>
#include <concepts>
#include <deque>
#include <queue>
#include <span>
#include <string_view>
#include <vector>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <hotpath/core/atomic.hpp>
#include <hotpath/model/client.hpp>
#include <hotpath/net/loop.hpp>
#include <hotpath/net/stamp.hpp>
#include <hotpath/net/tcp.hpp>
#include <hotpath/replay/dispatch.hpp>
#include <hotpath/replay/exchange.hpp>
#include <hotpath/replay/feeder.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

// None is infinite: a deadline of 0 is a mistake and is refused by the client.
struct timeouts {
  nanoseconds connect{5'000'000'000};          // name is resolved before the run; all addresses together
  nanoseconds head{30'000'000'000};            // from the first to the last byte of the response head
  nanoseconds first_byte{600'000'000'000};     // from the send to the first content: queues of LLM servers are real
  nanoseconds idle{60'000'000'000};            // between bytes of a stream that has begun
  nanoseconds total{3'600'000'000'000};        // from connect to the end
  nanoseconds framing{50'000'000};             // from [DONE] to the end of its framing: servers take microseconds
};

template <class S>
concept sink = requires(S& s, model::request&& r, const model::client_interval& i) { s.add(std::move(r)); s.add(i); };

// What all workers of a run share. The client owns it and outlives them.
struct shared_run {
  const model::schedule& plan;
  const std::vector<net::address>& addresses;
  replay::feeder& feeder;
  replay::dispatch& dispatch;
  timeouts limits;
  nanoseconds origin;                         // CLOCK_MONOTONIC of the run's zero
  nanoseconds sending_began;                  // since the origin
  std::uint32_t threads = 1;
  bool keep_text = false;
  std::span<const std::string_view> secrets;  // kept out of error messages
  light_atomic<std::int64_t> cancel_at{INT64_MAX};  // CLOCK_MONOTONIC: what is in flight then is cancelled
  light_atomic<std::uint64_t> stale_connections{};  // kept-alive connections that the server had closed: sent again
  light_atomic<std::uint64_t> never_framed{};       // answers whose framing did not end after [DONE]
};

template <net::transport Transport, sink Sink>
class worker {
 public:
  worker(shared_run& run, Sink& out, std::uint32_t number) : run_(run), out_(out), number_(number), buffer_(receive_size) {
    if (!run.plan.open()) slots_ = run.plan.streams / run.threads + (number < run.plan.streams % run.threads ? 1 : 0);
    next_due_ = number;
  }

  bool ok() const { return static_cast<bool>(loop_); }
  error failure() const { return loop_.failure(); }
  void wake() { loop_.wake(); }

  // Until nothing is left to send and nothing is in flight.
  void operator()() {
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 us would be the larger part of the dispatch delay
    woke_ = now_ = monotonic_now();
    begin_interval();
    for (;;) {
      send_due();
      if (finished()) break;
      const nanoseconds before = woke_;
      const auto ready = loop_.wait((std::min)(next_deadline(), before + tick));
      const nanoseconds woke = woke_ = now_ = monotonic_now();
      // No round of this loop takes half a second by itself: the process was stopped, or the machine slept.
      if (woke - before > suspended_over) interval_.suspended = (std::max)(interval_.suspended, woke - before);
      stamps_good_ = clocks_.observe();
      for (std::size_t i = 0; i < ready.size(); ++i) {
        if (i + 1 < ready.size()) fetch(connections_[static_cast<std::size_t>(ready[i + 1].token)]);
        handle(ready[i]);
      }
      if (!ready.empty()) {
        ++interval_.wakeups;
        interval_.loop_lag_ns.add(static_cast<double>((now_ - woke).ns));  // how long the last of this batch had to wait for us
      }
      expire();
      if (now_ >= interval_end_) end_interval();
    }
    end_interval();
  }

 private:
  enum class state : std::uint8_t { unused, connecting, backing_off, talking, lingering, kept };

  struct connection {
    Transport socket;
    exchange talk;
    std::string wire;
    std::size_t sent = 0;
    nanoseconds deadline{INT64_MAX}, armed{INT64_MAX};  // CLOCK_MONOTONIC; armed: of the entry in the heap
    nanoseconds begun{};            // total and connect deadlines count from here
    nanoseconds head_begun{};
    std::size_t address = 0;        // in use, tried addresses
    std::size_t tried = 0;
    state now = state::unused;
    bool watching_out = false, reused = false;
  };
  struct timer {
    nanoseconds at;
    std::uint32_t who;
    friend bool operator<(const timer& a, const timer& b) { return a.at > b.at; }  // earliest on top
  };

  static constexpr std::size_t receive_size = 64 << 10;
  static constexpr nanoseconds back_off{50'000'000};       // no descriptor or port: try again after
  static constexpr nanoseconds tick{100'000'000};          // it wakes at least this often, so that a suspension shows
  static constexpr nanoseconds suspended_over{500'000'000};
  static constexpr int starts_at_once = 16;
  static constexpr nanoseconds interval_length{1'000'000'000};

  // ---- the schedule's side

  nanoseconds since_origin(nanoseconds t) const { return t - run_.origin; }
  model::stamp here() const { return {since_origin(now_), model::stamp_source::user, true}; }

  // Starts what is due, a few at a time: a burst of a thousand must not keep the first ones' answers waiting.
  void send_due() {
    now_ = monotonic_now();
    if (run_.plan.open()) collect_due();
    if (!runnable_.empty() && run_.dispatch.stopped()) {
      if (run_.plan.open()) run_.dispatch.not_sent(runnable_.size());
      else claimed_ -= runnable_.size();
      runnable_.clear();
    }
    pressing_ = false;
    for (int started = 0; !runnable_.empty() || claim_slot(); ++started) {
      if (started == starts_at_once) {
        pressing_ = true;
        return;
      }
      prepared p;
      const auto got = run_.feeder.take(runnable_.front().index, p);
      if (got == feeder::take_result::not_yet) return;  // the feeder rings when it has it
      const dispatch::turn turn = runnable_.front();
      runnable_.pop_front();
      if (got == feeder::take_result::ended) {
        // No more to send: what was claimed beyond the end of the workload never was a request.
        if (run_.plan.open()) run_.dispatch.not_sent(1);
        else --claimed_;
        run_.dispatch.close();
        continue;
      }
      now_ = monotonic_now();
      start(turn, std::move(p));
    }
  }

  // Closed loop: takes a free slot, which is the moment its request is intended for.
  bool claim_slot() {
    if (claimed_ >= slots_) return false;
    now_ = monotonic_now();
    const auto turn = run_.dispatch.claim(since_origin(now_), since_origin(now_) - run_.sending_began);
    if (!turn) return false;
    ++claimed_;
    runnable_.push_back(*turn);
    return true;
  }

  void collect_due() {
    const auto& due = run_.plan.due;
    const bool over = run_.dispatch.closed();
    while (!over && next_due_ < due.size()) {
      const nanoseconds at = run_.origin + run_.sending_began + due[next_due_];
      if (at > now_) return;
      interval_.loop_lag_ns.add(static_cast<double>((now_ - at).ns));
      if (auto turn = run_.dispatch.due(next_due_, since_origin(at))) runnable_.push_back(*turn);
      next_due_ += run_.threads;
    }
    if (over && next_due_ < due.size()) {
      run_.dispatch.not_sent((due.size() - next_due_ + run_.threads - 1) / run_.threads);
      next_due_ = due.size();
    }
  }

  bool finished() const {
    if (in_flight_ != 0 || !runnable_.empty()) return false;
    // Who waits for a slot goes to the thread that frees it, which has it in flight until then.
    if (run_.plan.open()) return next_due_ >= run_.plan.due.size();
    return run_.dispatch.closed() || slots_ == 0;
  }

  nanoseconds next_deadline() {
    if (pressing_) return now_;
    nanoseconds at = interval_end_;
    if (run_.plan.open() && next_due_ < run_.plan.due.size())
      at = (std::min)(at, run_.origin + run_.sending_began + run_.plan.due[next_due_]);
    if (!timers_.empty()) at = (std::min)(at, timers_.top().at);
    return (std::min)(at, nanoseconds{run_.cancel_at.load_relaxed()});
  }

  // ---- one request

  void start(const dispatch::turn& turn, prepared&& p) {
    model::request& r = p.record;
    r.intended = {turn.intended, run_.plan.open() ? model::stamp_source::schedule : model::stamp_source::user, true};
    r.slot_free = turn.slot_free;
    ++in_flight_;
    run_.dispatch.started();
    const std::uint32_t who = !kept_.empty() ? kept_.back() : unused_connection();
    const bool reuse = !kept_.empty();
    if (reuse) kept_.pop_back();
    connection& c = connections_[who];
    r.reused_connection = c.reused = reuse;
    r.bytes_sent = 0;
    c.talk.begin(std::move(r), run_.keep_text);
    c.wire = std::move(p.wire);
    c.sent = 0;
    c.begun = now_;
    c.head_begun = {};
    if (reuse) begin_talking(who);
    else begin_connecting(who);
  }

  std::uint32_t unused_connection() {
    if (unused_.empty()) {
      connections_.emplace_back();
      connections_.back().talk.hide(run_.secrets);
      return static_cast<std::uint32_t>(connections_.size() - 1);
    }
    const std::uint32_t who = unused_.back();
    unused_.pop_back();
    return who;
  }

  void begin_connecting(std::uint32_t who) {
    connection& c = connections_[who];
    if (!c.talk.record().connect_begin) c.talk.record().connect_begin = here();
    c.tried = 0;
    try_address(who, good_address_);
  }

  void try_address(std::uint32_t who, std::size_t address) {
    connection& c = connections_[who];
    c.address = address;
    ++c.tried;
    const net::io r = c.socket.connect(run_.addresses[address]);
    if (r.error != 0) return connect_failed(who, r.error);
    c.watching_out = true;
    if (!loop_.add(c.socket.descriptor(), who, net::readable | net::writable)) return connect_failed(who, errno);
    c.now = state::connecting;
    // Each address has its share of the time, so that one that swallows packets leaves some for the next.
    const auto left = static_cast<std::int64_t>(run_.addresses.size() - c.tried + 1);
    const nanoseconds end = c.begun + run_.limits.connect;
    set_deadline(who, now_ + (end > now_ ? end - now_ : nanoseconds{0}) / left);
    if (r.ok()) connected(who);
  }

  void connect_failed(std::uint32_t who, int why) {
    using enum model::error_class;
    connection& c = connections_[who];
    c.socket.close();
    c.now = state::connecting;
    // EADDRNOTAVAIL: no local port is left, or the address cannot be reached from here (::1 where IPv6 is off). One that has
    // answered can be reached; before any has, the others get their try.
    const bool no_port = why == EADDRNOTAVAIL && (answered_ ? c.address == good_address_ : c.tried >= run_.addresses.size());
    const bool ours = no_port || why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
    if (ours || why == EAGAIN) {  // EAGAIN: a unix socket's backlog is full
      if (now_ + back_off < c.begun + run_.limits.connect) {
        c.now = state::backing_off;
        return set_deadline(who, now_ + back_off);
      }
      return fail(who, ours ? client_limit : connect_timeout, std::string("cannot open a connection: ") + std::strerror(why) +
                  (no_port ? "; no local port is left" + std::string(answered_ ? "" : ", or no such network") : ours ? "; raise the limit of open files (ulimit -n)" : ""));
    }
    if (c.tried < run_.addresses.size()) return try_address(who, (c.address + 1) % run_.addresses.size());
    // A connection that is reset had been accepted.
    fail(who, why == ETIMEDOUT ? connect_timeout : why == ECONNRESET || why == EPIPE ? reset : connect_refused,
         "cannot connect to " + run_.addresses[c.address].text + ": " + std::strerror(why));
  }

  void connected(std::uint32_t who) {
    connection& c = connections_[who];
    const net::io r = c.socket.establish();
    if (r.again) return;
    if (r.error != 0) return connect_failed(who, r.error);
    good_address_ = c.address;
    answered_ = true;
    c.talk.record().connected = here();
    begin_talking(who);
  }

  void begin_talking(std::uint32_t who) {
    connection& c = connections_[who];
    c.now = state::talking;
    c.talk.record().sent = here();
    watch(who);
    send_more(who);
  }

  void send_more(std::uint32_t who) {
    connection& c = connections_[who];
    while (c.sent < c.wire.size()) {
      const net::io r = c.socket.send(std::string_view{c.wire}.substr(c.sent));
      if (r.again) break;
      if (!r.ok()) {
        if (r.error != EPIPE && r.error != ECONNRESET) return lost(who, r.error);
        // The server may have answered before it closed (413): its bytes are still to be read. No more is sent.
        c.sent = c.wire.size();
        break;
      }
      c.sent += r.bytes;
      c.talk.record().bytes_sent += r.bytes;
      interval_.bytes_sent += r.bytes;
    }
    set_deadline(who, (std::min)(c.begun + run_.limits.total, now_ + run_.limits.first_byte));
    watch(who);
  }

  void watch(std::uint32_t who) {
    connection& c = connections_[who];
    const bool out = c.now == state::connecting || (c.now == state::talking && c.sent < c.wire.size());
    if (out == c.watching_out) return;
    c.watching_out = out;
    loop_.change(c.socket.descriptor(), who, net::readable | (out ? net::writable : 0));
  }

  // After a round of a thousand streams the next one's state is in no cache: asked for while the kernel copies this one's bytes.
  // A fifth of the user time per chunk (tests/bench/replay, 1,000 streams).
  static void fetch(const connection& c) {
    const auto* const bytes = reinterpret_cast<const char*>(&c);
    for (std::size_t at = 0; at < sizeof c; at += 64) __builtin_prefetch(bytes + at);
  }

  void handle(const net::ready& r) {
    const auto who = static_cast<std::uint32_t>(r.token);
    connection& c = connections_[who];
    switch (c.now) {
      case state::connecting:
        now_ = monotonic_now();
        if (r.out) connected(who);
        return;
      case state::talking:
        if (r.in) receive(who);
        if (r.out && c.now == state::talking && c.sent < c.wire.size()) send_more(who);
        return;
      case state::lingering:
        return receive(who);
      case state::kept:  // a byte or an end on a connection that owes us nothing
        return discard(who);
      case state::unused:
      case state::backing_off:
        return;
    }
  }

  void receive(std::uint32_t who) {
    connection& c = connections_[who];
    nanoseconds real;
    const net::io r = c.socket.receive(buffer_, real);
    now_ = monotonic_now();
    if (r.again) return;
    if (!r.ok()) return lost(who, r.error);
    ++interval_.reads;
    interval_.bytes_received += r.bytes;
    note_queue(c.socket.descriptor(), r.bytes);
    if (c.sent == c.wire.size()) c.wire = {}, c.sent = 0;  // an answer has begun: it is not a stale connection
    const bool lingering = c.now == state::lingering;
    const bool begun = c.talk.content_begun();
    c.talk.received({buffer_.data(), r.bytes}, stamp(real, c.talk.record().sent.at));
    if (!begun && c.talk.content_begun()) run_.dispatch.first_content(c.talk.record());
    interval_.content_events += c.talk.content_events_in_read();
    interval_.inexact_events += c.talk.inexact_events_in_read();
    if (c.talk.complete()) {
      if (!lingering) return end(who);
      if (c.talk.framing_ended()) end_linger(who);
      return;  // a part of the framing: the rest has until the deadline
    }
    nanoseconds limit = now_ + run_.limits.idle;
    if (c.talk.head_begun()) {
      if (c.head_begun == nanoseconds{}) c.head_begun = now_;
      limit = c.head_begun + run_.limits.head;
    } else if (!c.talk.content_begun()) {
      limit = run_.origin + c.talk.record().sent.at + run_.limits.first_byte;
    }
    set_deadline(who, (std::min)(limit, c.begun + run_.limits.total));
  }

  // `sent`: of the request. What came before it (413 at accept) is no answer that took time: it gets the loop's clock.
  arrival stamp(nanoseconds real, nanoseconds sent) {
    if (real != nanoseconds{} && stamps_good_) {
      if (const auto at = clocks_.to_monotonic(real, now_); at && since_origin(*at) >= sent) {
        interval_.read_lag_ns.add(static_cast<double>((now_ - *at).ns));
        return {since_origin(*at), true};
      }
    }
    return {since_origin(now_), false};
  }

  void note_queue(int descriptor, std::size_t bytes) {
    std::uint64_t waiting = bytes;
    int more = 0;
    if (bytes == receive_size && ::ioctl(descriptor, FIONREAD, &more) == 0) waiting += static_cast<std::uint64_t>(more);
    interval_.receive_queue_max = (std::max)(interval_.receive_queue_max, waiting);
  }

  // The connection ended under the request.
  void lost(std::uint32_t who, int error) {
    connection& c = connections_[who];
    if (c.now == state::lingering) {
      c.talk.peer_closed(error != 0, since_origin(now_));
      return end_linger(who);
    }
    if (c.reused && !c.talk.any_bytes() && !c.wire.empty()) {
      // The server closed the kept-alive connection while the request was under way to it (RFC 9112, 9.3.1): once more, afresh.
      run_.stale_connections.add_relaxed(1);
      c.socket.close();
      c.reused = false;
      c.sent = 0;
      c.talk.record().bytes_sent = 0;
      c.talk.record().reused_connection = false;
      return begin_connecting(who);
    }
    c.talk.peer_closed(error != 0, since_origin(now_));
    end(who);
  }

  void fail(std::uint32_t who, model::error_class why, std::string message) {
    connections_[who].talk.fail(why, std::move(message), since_origin(now_));
    end(who);
  }

  // The record is final. A stream that said [DONE] but whose framing is open keeps its slot for a moment, so that the
  // connection can be used again.
  void end(std::uint32_t who) {
    connection& c = connections_[who];
    if (c.talk.record().status == model::request_status::ok && !c.talk.framing_ended() && c.socket.descriptor() >= 0 && c.now == state::talking) {
      c.now = state::lingering;
      set_deadline(who, now_ + run_.limits.framing);
      return;
    }
    end_linger(who);
  }

  void end_linger(std::uint32_t who) {
    connection& c = connections_[who];
    const bool reusable = c.talk.reusable() && c.sent == c.wire.size();
    model::request r = c.talk.take(since_origin(now_));
    if (reusable) {
      c.now = state::kept;
      set_deadline(who, nanoseconds{INT64_MAX});
      watch(who);
      kept_.push_back(who);
    } else {
      drop(who);
    }
    --in_flight_;
    if (!run_.plan.open()) --claimed_;
    run_.dispatch.finished(r);
    if (auto turn = run_.dispatch.release(since_origin(now_))) runnable_.push_back(*turn);
    out_.add(std::move(r));
  }

  void discard(std::uint32_t who) {
    kept_.erase(std::find(kept_.begin(), kept_.end(), who));
    drop(who);
  }

  void drop(std::uint32_t who) {
    connection& c = connections_[who];
    c.socket.close();
    c.now = state::unused;
    c.wire = {};
    c.deadline = nanoseconds{INT64_MAX};
    unused_.push_back(who);
  }

  // ---- time

  // Deadlines move with every chunk; the heap holds one entry per connection and moves it only when it comes up.
  void set_deadline(std::uint32_t who, nanoseconds at) {
    connection& c = connections_[who];
    c.deadline = at;
    if (at >= c.armed) return;
    c.armed = at;
    timers_.push({at, who});
  }

  void expire() {
    now_ = monotonic_now();
    const bool cancel = now_.ns >= run_.cancel_at.load_relaxed();
    while (!timers_.empty() && timers_.top().at <= now_) {
      const timer t = timers_.top();
      timers_.pop();
      connection& c = connections_[t.who];
      if (c.armed != t.at) continue;  // a later entry replaced it
      c.armed = nanoseconds{INT64_MAX};
      if (c.deadline > now_) set_deadline(t.who, c.deadline);
      else timed_out(t.who);
    }
    if (cancel)
      for (std::uint32_t who = 0; who < connections_.size(); ++who) {
        const state s = connections_[who].now;
        if (s != state::unused && s != state::kept) fail(who, model::error_class::cancelled, "cancelled while in flight");
      }
  }

  void timed_out(std::uint32_t who) {
    using enum model::error_class;
    connection& c = connections_[who];
    switch (c.now) {
      case state::unused:
      case state::kept: return;
      case state::backing_off:
        c.tried = 0;
        return try_address(who, good_address_);
      case state::lingering:
        run_.never_framed.add_relaxed(1);
        return end_linger(who);
      case state::connecting:
        if (c.tried < run_.addresses.size() && now_ < c.begun + run_.limits.connect) {
          c.socket.close();
          return try_address(who, (c.address + 1) % run_.addresses.size());
        }
        return fail(who, connect_timeout, "no connection to " + run_.addresses[c.address].text + " within " + text_of(run_.limits.connect));
      case state::talking: break;
    }
    if (now_ >= c.begun + run_.limits.total) return fail(who, total_timeout, "not finished within " + text_of(run_.limits.total));
    if (c.talk.head_begun()) return fail(who, head_timeout, "the response head was not complete within " + text_of(run_.limits.head));
    if (!c.talk.content_begun()) return fail(who, first_byte_timeout, "no content within " + text_of(run_.limits.first_byte));
    fail(who, idle_timeout, "the stream stalled for " + text_of(run_.limits.idle));
  }

  static std::string text_of(nanoseconds t) {
    if (t.ns % 1'000'000'000 == 0) return std::to_string(t.ns / 1'000'000'000) + " s";
    return std::to_string(t.ns / 1'000'000) + " ms";
  }

  void begin_interval() {
    interval_ = model::client_interval{};
    interval_.thread = number_;
    interval_.begin = since_origin(now_);
    interval_end_ = now_ + interval_length;
    cpu_begin_ = hotpath::detail::read_clock(CLOCK_THREAD_CPUTIME_ID);
  }

  void end_interval() {
    interval_.end = since_origin(now_);
    interval_.cpu = hotpath::detail::read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_begin_;
    interval_.open_descriptors = static_cast<std::uint32_t>(connections_.size() - unused_.size());
    interval_.in_flight = static_cast<std::uint32_t>(in_flight_);
    run_.dispatch.interval(interval_);
    out_.add(static_cast<const model::client_interval&>(interval_));
    begin_interval();
  }

  shared_run& run_;
  Sink& out_;
  const std::uint32_t number_;
  net::loop loop_;
  net::clock_bridge<> clocks_;
  std::vector<char> buffer_;
  std::deque<connection> connections_;                     // stable: a token is an index
  std::vector<std::uint32_t> unused_, kept_;               // kept alive, most recently used last
  std::priority_queue<timer> timers_;
  std::deque<dispatch::turn> runnable_;                    // may be sent as soon as its bytes are prepared
  model::client_interval interval_;
  nanoseconds now_{}, woke_{}, interval_end_{}, cpu_begin_{};
  std::uint64_t slots_ = 0, claimed_ = 0;                  // closed loop: this thread's share of the streams
  std::uint64_t next_due_ = 0;                             // open loop: this thread's next arrival
  std::uint64_t in_flight_ = 0;
  std::size_t good_address_ = 0;                           // the one that answered last
  bool answered_ = false;                                  // it did
  bool stamps_good_ = true;
  bool pressing_ = false;                                  // more could be started at once
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
