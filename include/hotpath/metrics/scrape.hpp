// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics/scrape.hpp - asks an engine for its metrics before the load, every so often during it, and after it.
//
//     metrics::scraper<> engine{{.endpoint = "http://127.0.0.1:8000"}};
//     if (auto ok = engine.start(origin, [&](model::scrape&& s) { keep(std::move(s)); }); !ok) …    // the address makes no sense
//     … the load …
//     engine.stop();                                                     // one more, after the load; then the sink is free
//
//   One thread of its own. start() returns when the first scrape is there, stop() when the last one is; a server that does not
//   answer holds up start() for `timeout` and stop() for three times that (one under way, and the last, asked twice) and `settle`,
//   and half a second of grace for a name that is being looked up. Whatever goes wrong is a scrape with an `error`; nothing here ends a run.
//   Scrapes are due at start + k x interval. One that takes longer than the interval makes the next ones not later but fewer:
//   model::scrape::skipped of the one that follows says how many.
//   The sink is called from that thread (in the case of a name that is looked up for too long: from start() or stop()), never twice
//   at once, and never after stop() has returned. Headers are sent and kept nowhere else; where a server repeats
//   them, or the credentials of its address, they are replaced. One connection per scrape.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/atomic.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/metrics/page.hpp>
#include <hotpath/net/fetch.hpp>

namespace hotpath::inline HOTPATH_ABI::metrics {

struct scrape_options {
  std::string endpoint = {};                  // the server: /metrics is asked, and where that does not serve, /prometheus/metrics (TensorRT-LLM)
  std::string url = {};                       // the page itself, as it is; wins over `endpoint`. Without a path it is an endpoint
  std::vector<net::header> headers = {};
  nanoseconds interval{1'000'000'000};        // from 10 ms; shorter ones are 10 ms
  nanoseconds timeout{2'000'000'000};         // of one scrape, from connecting to the last byte
  nanoseconds settle{1'000'000'000};          // how long the last page is asked for again until the engine has counted what it answered
  page_options page = {};
};

using scrape_sink = std::function<void(model::scrape&&)>;

namespace detail {

// Where to ask. Of an endpoint there are two candidates; the first that gives a page of text is kept.
struct scrape_target {
  net::url where;
  std::vector<std::string> paths;
  std::size_t chosen = 0;
  bool known = false;
  std::vector<std::string> secrets = {};      // a server may repeat what it was sent
};

inline void add_secrets(scrape_target& t, const std::vector<net::header>& headers) {
  const auto add = [&](std::string_view value) {
    if (!value.empty()) t.secrets.emplace_back(value);
  };
  const auto header = [&](std::string_view value) { add(value), add(value.substr(value.rfind(' ') + 1)); };  // with and without "Bearer"; npos + 1 is 0
  for (const net::header& h : headers)
    if (text::is_secret_name(h.name)) header(h.value);
  header(t.where.basic_authorization());
  add(t.where.user_info), add(std::string_view(t.where.user_info).substr(t.where.user_info.find(':') + 1));
  text::split(t.where.query, '&', [&](std::string_view pair) {
    std::string_view value = pair;
    if (text::is_secret_name(text::take(value, '='))) add(value);
  });
}

inline void redact(std::string& words, const std::vector<std::string>& secrets, std::size_t shortest) {
  std::vector<std::string_view> found;
  for (const std::string& secret : secrets)
    if (secret.size() >= shortest && words.find(secret) != std::string::npos) found.push_back(secret);
  if (!found.empty()) words = text::redact_text(words, found);
}

inline result<scrape_target> target_of(const scrape_options& o) {
  auto where = net::parse_url(o.url.empty() ? o.endpoint : o.url);
  if (!where) return where.error();
  scrape_target t{std::move(*where), {"/metrics", "/prometheus/metrics"}};
  if (!o.url.empty() && !t.where.base.empty()) t.paths = {""}, t.known = true;
  add_secrets(t, o.headers);
  return t;
}

// One page. Not the last candidate: `next` says whether the other one should be asked.
template <net::transport Transport>
model::scrape ask(const scrape_options& o, const scrape_target& t, std::size_t path, nanoseconds origin, nanoseconds deadline, bool& next) {
  next = false;
  model::scrape s;
  const nanoseconds begin = monotonic_now();
  auto page = net::fetch<Transport>(t.where, t.paths[path], o.headers, {.total = deadline - begin, .body_limit = o.page.limits.body});
  const nanoseconds end = monotonic_now();
  if (!page) {
    s.error = page.error().message();
    if (page.error().code == errc::over_limit) ++s.lost.over_limit;
  } else if (page->status != 200) {
    next = page->status == 404;
    s.error = t.where.display() + t.paths[path] + ": HTTP " + std::to_string(page->status);
    if (page->status == 401 || page->status == 403) s.error += "; the server wants a header with a key";
    else if (next) s.error += "; are metrics switched on (SGLang: --enable-metrics, llama.cpp: --metrics), and is this their address?";
  } else {
    // Before anything of it is shown or kept. Shorter ones are digits of figures more likely than a key repeated.
    redact(page->body, t.secrets, 8);
    s = read_page(page->body, o.page);
    if (!s.ok()) s.error = t.where.display() + t.paths[path] + ": " + s.error;
    next = kind_of(page->body) == body_kind::iteration_stats;
  }
  redact(s.error, t.secrets, 1);
  s.begin = begin - origin, s.end = end - origin;
  return s;
}

template <net::transport Transport>
model::scrape scrape_target_once(const scrape_options& o, scrape_target& t, nanoseconds origin) {
  const nanoseconds deadline = monotonic_now() + o.timeout;
  bool next = false;
  model::scrape first = ask<Transport>(o, t, t.chosen, origin, deadline, next);
  if (t.known || (first.ok() && !next)) {
    t.known = t.known || !first.series.empty();
    return first;
  }
  if (!next || t.chosen + 1 >= t.paths.size() || monotonic_now() >= deadline) return first;
  model::scrape second = ask<Transport>(o, t, t.chosen + 1, origin, deadline, next);
  if (!second.ok() || next || second.series.empty()) return first;
  t.known = true, ++t.chosen;
  return second;
}

}  // namespace detail

// One scrape now, in the caller's thread: a look at an engine. `when` is during; the stamps count from `origin`.
// Errors: usage, unsupported (the address makes no sense). Everything else that goes wrong is in the scrape.
template <net::transport Transport = net::tcp>
result<model::scrape> scrape_once(const scrape_options& options, nanoseconds origin = {}) {
  auto t = detail::target_of(options);
  if (!t) return t.error();
  return detail::scrape_target_once<Transport>(options, *t, origin);
}

template <net::transport Transport = net::tcp>
class scraper {
 public:
  explicit scraper(scrape_options options) : state_(new state(std::move(options))) {}
  ~scraper() {                                // as stop(), without the last scrape
    end(false);
    let_go(state_);
  }
  scraper(const scraper&) = delete;
  scraper& operator=(const scraper&) = delete;

  // origin: of the stamps of the scrapes, by monotonic_now(). Once per scraper.
  // Errors: usage, unsupported (the address). An engine that cannot be reached is no error: the scrapes say so.
  result<void> start(nanoseconds origin, scrape_sink sink) {
    HOTPATH_ASSERT(!thread_.joinable());
    auto t = detail::target_of(state_->options);
    if (!t) return t.error();
    state_->target = std::move(*t), state_->origin = origin, state_->sink = std::move(sink);
    const nanoseconds begin = monotonic_now();
    state_->owners.add_acq_rel(1);
    if (!thread_.start([s = state_, begin] {
          s->run(begin);
          let_go(s);
        })) {
      state_->owners.add_acq_rel(-1);
      return error{.code = errc::io, .detail = "the system gives no more threads"};
    }
    threading::lock lock{state_->mutex};
    if (!state_->changed.wait_for(lock, state_->options.timeout + grace, [&] { return state_->before_given; })) {
      state_->before_given = true;
      state_->give(state_->unanswered(model::scrape::moment::before, begin));
    }
    return {};
  }

  // One more scrape, and the end. Again, or without start(): does nothing.
  void stop() { end(true); }

 private:
  // Shared with the thread, which outlives the scraper if getaddrinfo hangs: nothing else has no deadline.
  struct state {
    explicit state(scrape_options o) : options(std::move(o)) {
      if (options.interval < nanoseconds{10'000'000}) options.interval = nanoseconds{10'000'000};
    }

    scrape_options options;
    detail::scrape_target target;
    nanoseconds origin;
    scrape_sink sink;                         // called under the mutex, so that nothing comes after the end
    light_atomic<int> owners{1};              // the scraper, and the thread: the last one deletes
    threading::mutex mutex;
    threading::condition changed;
    bool before_given = false, stopping = false, last_wanted = false, done = false, abandoned = false;

    // Under the mutex.
    void give(model::scrape&& s) {
      if (!abandoned && sink) sink(std::move(s));
    }

    model::scrape unanswered(model::scrape::moment when, nanoseconds begin) const {
      model::scrape s;
      s.when = when;
      s.begin = begin - origin, s.end = monotonic_now() - origin;
      s.error = target.where.display() + ": no answer in time; its name is still being looked up";
      return s;
    }

    void scrape(model::scrape::moment when, std::uint64_t skipped) {
      model::scrape s = detail::scrape_target_once<Transport>(options, target, origin);
      const threading::lock lock{mutex};
      s.when = when == model::scrape::moment::before && before_given ? model::scrape::moment::during : when;
      s.skipped = skipped;
      if (when == model::scrape::moment::before) before_given = true;
      give(std::move(s));
    }

    // What an engine has counted: of all its series, and whether requests are still with it.
    struct count {
      double total = 0;
      bool busy = false, any = false;
      explicit count(const model::scrape& s) {
        for (const model::metric_series& m : s.series) {
          const auto kind = model::facts_of(m.what).kind;
          if (kind == model::metric_kind::gauge) busy |= (m.what == model::engine_metric::running || m.what == model::engine_metric::waiting) && m.value > 0;
          else any = true, total += m.value;
        }
      }
    };

    // Engines count an answer some milliseconds after its last byte has left (vLLM: at the end of the step). So the last page is
    // asked for again until nothing is with the engine and two pages in a row count the same; the last one is given.
    void last(std::uint64_t skipped) {
      const nanoseconds until = monotonic_now() + options.settle;
      model::scrape s = detail::scrape_target_once<Transport>(options, target, origin);
      for (count before{s}; s.ok() && before.any && monotonic_now() < until;) {
        {
          threading::lock lock{mutex};
          changed.wait_for(lock, nanoseconds{20'000'000}, [&] { return abandoned; });
        }
        model::scrape again = detail::scrape_target_once<Transport>(options, target, origin);
        if (!again.ok()) break;
        const count now{again};
        const bool settled = !now.busy && now.total == before.total;
        s = std::move(again), before = now;
        if (settled) break;
      }
      const threading::lock lock{mutex};
      s.when = model::scrape::moment::after;
      s.skipped = skipped;
      give(std::move(s));
    }

    void run(nanoseconds begin) {
      scrape(model::scrape::moment::before, 0);
      changed.notify_all();
      std::int64_t due = 0;
      std::uint64_t skipped = 0;
      // The next period that has not begun; what began meanwhile is skipped.
      const auto advance = [&] {
        const std::int64_t next = (std::max)(due, (monotonic_now() - begin).ns / options.interval.ns) + 1;
        skipped = static_cast<std::uint64_t>(next - due - 1);
        due = next;
      };
      for (advance();; advance()) {
        {
          threading::lock lock{mutex};
          const nanoseconds left = begin + options.interval * due - monotonic_now();
          if (changed.wait_for(lock, left, [&] { return stopping; })) break;
        }
        scrape(model::scrape::moment::during, skipped);
      }
      if (last_wanted) last(skipped);
      {
        const threading::lock lock{mutex};
        done = true;
      }
      changed.notify_all();
    }
  };

  static constexpr nanoseconds grace{500'000'000};

  void end(bool with_last) {
    if (!thread_.joinable()) return;
    const nanoseconds begin = monotonic_now();
    threading::lock lock{state_->mutex};
    state_->stopping = true, state_->last_wanted = with_last;
    state_->changed.notify_all();
    if (state_->changed.wait_for(lock, state_->options.timeout * 3 + state_->options.settle + grace, [&] { return state_->done; })) {
      lock.let_go();
      thread_.join();
      return;
    }
    if (with_last) state_->give(state_->unanswered(model::scrape::moment::after, begin));
    state_->abandoned = true, state_->sink = nullptr;
    thread_.detach();
  }

  static void let_go(state* s) {
    if (s->owners.add_acq_rel(-1) == 1) delete s;
  }

  state* const state_;
  threading::thread thread_;
};

}  // namespace hotpath::inline HOTPATH_ABI::metrics
