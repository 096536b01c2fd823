// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/client.hpp - sends a workload by a schedule to an OpenAI-compatible server and records every arrival.
//
//     auto load = replay::workload::open("prompts.jsonl");
//     replay::client<> client{{.url = "http://127.0.0.1:8000", .body = {.model = "llama"}}};
//     auto sent = client.run(*load, replay::closed({.streams = 16, .requests = 200}));   // result: requests, client intervals
//     auto report = serve::summarize(sent->requests, sent->info, sent->client);
//
//   run(load, plan, sink) is the primitive: nothing grows with the length of the run but the plan of an open loop. The sink's
//   add() is called from the client's threads. run() blocks until what is in flight has ended.
//   Threads: one that waits (the caller's), one that prepares requests, `threads` that keep time. One client runs once at a time.
//   Errors of run(): usage (bad option), not_found (unknown host), empty (nothing to send), over_limit (more streams than
//   descriptors or ports), and what the workload says. A request that fails is data, not an error.
#pragma once
#include <algorithm>
#include <deque>
#include <functional>
#include <string>
#include <vector>
#include <hotpath/core/atomic.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/model/run.hpp>
#include <hotpath/replay/schedule.hpp>
#include <hotpath/replay/worker.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

// What the caller asks of a run under way: 0 go on, 1 send no more and drain (at most client_options::drain), 2 end now.
// Safe to set from a signal handler.
using stop_flag = light_atomic<int>;

struct client_options {
  std::string url = "http://localhost:8000";   // or unix:PATH
  body_options body = {};
  std::vector<net::header> headers = {};       // may hold secrets: they reach the wire and nothing else
  timeouts limits = {};
  error_limits errors = {};
  nanoseconds drain{5'000'000'000};            // after a stop: what is still in flight then is cancelled
  std::uint32_t threads = 1;
  std::uint64_t warmup = 0;                    // the first requests, marked and left out of statistics
  bool keep_text = false;
  std::string id_prefix = {};                  // of X-Request-Id; empty: "hotpath-" and six random digits
  nanoseconds origin{};                        // the run's zero (monotonic_now()), for stamps that others take too; 0: when run() begins
  const stop_flag* stop = nullptr;
  std::function<void(const progress&)> on_progress = {};  // about every 200 ms, from the caller's thread
};

// What run() knows beside the requests.
struct run_outcome {
  nanoseconds origin{}, wall_start{}, sending_began{}, sending_ended{}, ended{};  // as model::run_info
  model::run_state state = model::run_state::complete;
  std::string stop_reason;
  bool refused = false;                  // 401 or 403
  std::uint64_t workload_passes = 1;
  std::uint64_t unsent = 0;              // due, but never sent: the run ended while they waited for a slot
  std::uint64_t stale_connections = 0;   // requests sent again because a kept-alive connection had been closed
  std::uint64_t never_framed = 0;        // answers that said [DONE] and kept their framing open
  std::uint64_t ephemeral_ports_left = 0;
};

// What the plan needs of the machine: descriptors for its streams, local ports. The message says what to raise.
// `ports_left`: of the local port range, 0 for a unix socket.
result<void> preflight(const model::schedule& plan, const net::url& endpoint, std::uint64_t* ports_left = nullptr);

// What a server could repeat in an error message and no record may hold: keys, cookies, passwords.
std::vector<std::string> secrets_of(const net::url& endpoint, const std::vector<net::header>& headers);

// Everything of one run in memory: for tests, examples and short runs.
struct collected {
  std::vector<model::request> requests;         // in schedule order
  std::vector<model::client_interval> client;
  model::run_info info;
};

template <net::transport Transport = net::tcp>
class client {
 public:
  explicit client(client_options options) : options_(std::move(options)) {}

  template <sink Sink>
  result<run_outcome> run(workload& load, const model::schedule& plan, Sink& out) const {
    auto endpoint = net::parse_url(options_.url);
    if (!endpoint) return endpoint.error();
    if (auto good = check(options_.body); !good) return good.error();
    if (auto good = check_options(plan); !good) return good.error();
    run_outcome done;
    if (auto good = preflight(plan, *endpoint, &done.ephemeral_ports_left); !good) return good.error();
    auto addresses = net::resolve(*endpoint);
    if (!addresses) return addresses.error();

    std::deque<worker<Transport, Sink>> workers;
    light_atomic<int> ready{0};  // the feeder's thread may ring before the workers are there
    const auto wake_all = [&] { if (ready.load_acquire() != 0) for (auto& w : workers) w.wake(); };
    feeder source{load, wire(*endpoint, plan), wake_all};
    source.wait_ahead(plan.open() ? 64 : plan.streams);
    if (source.prepared_count() == 0) return source.failure().value_or(nothing_to_send(load));

    const std::vector<std::string> secrets = secrets_of(*endpoint, options_.headers);
    const std::vector<std::string_view> hidden{secrets.begin(), secrets.end()};
    dispatch turns{plan, options_.errors};
    const nanoseconds now = monotonic_now();
    done.origin = options_.origin.ns != 0 ? options_.origin : now;
    done.wall_start = realtime_now() - (now - done.origin);
    shared_run shared{.plan = plan, .addresses = *addresses, .feeder = source, .dispatch = turns, .limits = options_.limits,
                      .origin = done.origin, .sending_began = {}, .threads = options_.threads, .keep_text = options_.keep_text,
                      .secrets = hidden};
    for (std::uint32_t i = 0; i < options_.threads; ++i) {
      workers.emplace_back(shared, out, i);
      if (!workers.back().ok()) return workers.back().failure();
    }
    done.sending_began = shared.sending_began = monotonic_now() - done.origin;
    watch(workers, shared, turns, out, done, ready);

    done.refused = turns.refused();
    done.workload_passes = source.passes();
    done.unsent = turns.unsent();
    done.stale_connections = shared.stale_connections.load_relaxed();
    done.never_framed = shared.never_framed.load_relaxed();
    if (done.state == model::run_state::complete && source.failure()) {
      done.state = model::run_state::stopped;
      done.stop_reason = source.failure()->message();
    }
    return done;
  }

  // The same, collected in memory.
  result<collected> run(workload& load, const model::schedule& plan) const;

 private:
  result<void> check_options(const model::schedule& plan) const;
  wire_options wire(const net::url& endpoint, const model::schedule& plan) const;

  // The caller's thread: starts the workers, shows progress, obeys stop and the planned end, joins.
  template <sink Sink>
  void watch(std::deque<worker<Transport, Sink>>& workers, shared_run& shared, dispatch& turns, Sink& out,
             run_outcome& done, light_atomic<int>& ready) const {
    threading::mutex mutex;
    threading::condition changed;
    std::size_t running = workers.size();
    ready.store_release(1);
    std::deque<threading::thread> threads;
    for (auto& w : workers) {
      const bool started = threads.emplace_back().start([&mutex, &changed, &running, &w] {
        w();
        const threading::lock lock{mutex};
        --running;
        changed.notify_one();
      });
      if (started) continue;
      turns.stop("the system gives no more threads");
      const threading::lock lock{mutex};
      --running;
    }
    const nanoseconds begun = shared.origin + shared.sending_began;
    nanoseconds shown = begun, sending_ended{};
    int obeyed = 0;
    threading::lock lock{mutex};
    while (!changed.wait_for(lock, nanoseconds{20'000'000}, [&] { return running == 0; })) {
      lock.let_go();
      const nanoseconds now = monotonic_now();
      if (shared.plan.max_duration && now - begun >= *shared.plan.max_duration) turns.close();
      const int asked = options_.stop != nullptr ? options_.stop->load_relaxed() : 0;
      if (asked > obeyed) turns.stop("interrupted"), done.state = model::run_state::interrupted;
      if constexpr (requires { static_cast<bool>(out.failed()); })
        if (static_cast<bool>(out.failed())) turns.stop("the results cannot be stored");
      if (turns.closed() && sending_ended == nanoseconds{}) sending_ended = now;
      if (asked > obeyed || (turns.stopped() && shared.cancel_at.load_relaxed() == INT64_MAX)) {
        obeyed = asked;
        shown = {};  // tell at once
        shared.cancel_at.store_relaxed((asked >= 2 ? now : now + options_.drain).ns);
        for (auto& w : workers) w.wake();
      }
      if (options_.on_progress && now - shown >= nanoseconds{200'000'000}) {
        shown = now;
        progress p = turns.snapshot();
        p.elapsed = now - begun;
        options_.on_progress(p);
      }
      lock.take();
    }
    lock.let_go();
    for (auto& t : threads) t.join();
    done.ended = monotonic_now() - shared.origin;
    done.sending_ended = sending_ended == nanoseconds{} ? done.ended : sending_ended - shared.origin;
    if (turns.stopped() && done.state == model::run_state::complete) done.state = model::run_state::stopped;
    done.stop_reason = turns.reason();
  }

  client_options options_;
};

// ---- bodies of the template's helpers

template <net::transport Transport>
result<void> client<Transport>::check_options(const model::schedule& plan) const {
  const auto& l = options_.limits;
  for (const nanoseconds t : {l.connect, l.head, l.first_byte, l.idle, l.total, l.framing})
    if (t <= nanoseconds{0}) return error{.code = errc::usage, .detail = "every timeout must be above 0"};
  if (options_.threads == 0 || options_.threads > 1024) return error{.code = errc::usage, .detail = "the number of threads must be 1 to 1024"};
  for (const auto& h : options_.headers)
    if (auto good = net::check_header(h.name, h.value); !good) return good.error();
  if (plan.open() && plan.due.empty()) return error{.code = errc::empty, .detail = "the schedule holds no request", .hint = "raise the rate or the duration"};
  return {};
}

template <net::transport Transport>
wire_options client<Transport>::wire(const net::url& endpoint, const model::schedule& plan) const {
  wire_options w{.endpoint = endpoint, .headers = options_.headers, .body = options_.body, .id_prefix = options_.id_prefix,
                 .warmup = options_.warmup, .keep_text = options_.keep_text,
                 .single_pass = !plan.max_requests && !plan.max_duration};
  if (plan.open()) w.requests = plan.due.size();
  else if (plan.max_requests) w.requests = *plan.max_requests;
  w.ahead = (std::max<std::uint64_t>)(w.ahead, plan.streams);  // a closed loop starts with all its streams at once
  if (const std::string secret = endpoint.basic_authorization(); !secret.empty()) w.headers.push_back({"Authorization", secret});
  if (w.id_prefix.empty()) {
    // Two runs against one server must not share ids: its log is joined by them.
    stats::xoshiro256 random{static_cast<std::uint64_t>(realtime_now().ns) ^ static_cast<std::uint64_t>(::getpid())};
    w.id_prefix = "hotpath-" + std::to_string(100'000 + random.below(900'000));
  }
  return w;
}

namespace detail {
struct memory_sink {
  void add(model::request&& r) {
    const threading::lock lock{mutex};
    requests.push_back(std::move(r));
  }
  void add(const model::client_interval& i) {
    const threading::lock lock{mutex};
    client.push_back(i);
  }
  threading::mutex mutex;
  std::vector<model::request> requests;
  std::vector<model::client_interval> client;
};
}  // namespace detail

// The manifest of a run: what was asked, and how it went.
model::run_info describe(const client_options& options, const workload& load, const model::schedule& plan, const run_outcome& done);

template <net::transport Transport>
result<collected> client<Transport>::run(workload& load, const model::schedule& plan) const {
  detail::memory_sink out;
  auto done = run(load, plan, out);
  if (!done) return done.error();
  std::sort(out.requests.begin(), out.requests.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  return collected{std::move(out.requests), std::move(out.client), describe(options_, load, plan, *done)};
}

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/client-inl.hpp>
#endif
