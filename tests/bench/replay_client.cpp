// SPDX-License-Identifier: Apache-2.0
// tests/bench/replay_client.cpp - one load run against the scripted server, measured; tests/bench/replay starts it.
//   bench_replay_client run  --url U --requests N --chunks C (--streams S | --rate R [--cap K]) [--text 1] [--records FILE] [--threads T]
//   bench_replay_client bare --url U --streams S --chunks C        a bare recvmsg loop: what the kernel's stamps give at best
//   Prints one JSON object. Arrival error: recorded arrival minus the send time that the chunk's text carries (--text 1, bare).
//   --records also prints what the report says (reported_…): the figures a user reads, from serve::summarizer.
//   CPU times are those of this process: `setup` from its start to the run, `run` the run itself, connections included.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <hotpath/core/stats.hpp>
#include <hotpath/replay.hpp>
#include <hotpath/serve.hpp>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

using namespace hotpath;

struct options {
  std::string url, records;
  std::uint32_t streams = 0, cap = 0, threads = 1;
  std::uint64_t requests = 0, chunks = 0;
  double rate = 0;
  bool text = false;
};

double cpu_seconds() {
  rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  const auto s = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return s(u.ru_utime) + s(u.ru_stime);
}

long peak_kib() {
  rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  return u.ru_maxrss;
}

// One JSON object, flat: all that the script reads.
class report {
 public:
  void add(const char* name, double v) { begin(name), append("%.9g", v); }
  void add(const char* name, std::uint64_t v) { begin(name), append("%llu", static_cast<unsigned long long>(v)); }
  void add_quantiles(const std::string& name, std::vector<double>& ns) {  // sorts
    std::sort(ns.begin(), ns.end());
    add((name + "_n").c_str(), static_cast<std::uint64_t>(ns.size()));
    if (ns.empty()) return;
    add((name + "_min_ms").c_str(), ns.front() / 1e6);
    add((name + "_p50_ms").c_str(), *stats::quantile(ns, 0.50) / 1e6);
    add((name + "_p99_ms").c_str(), *stats::quantile(ns, 0.99) / 1e6);
    add((name + "_max_ms").c_str(), ns.back() / 1e6);
  }
  void print() { std::printf("%s}\n", text_.c_str()); }

 private:
  void begin(const char* name) { text_ += text_.empty() ? "{\"" : ", \"", text_ += name, text_ += "\": "; }
  template <class... A> void append(const char* format, A... a) {
    char s[64];
    std::snprintf(s, sizeof s, format, a...);
    text_ += s;
  }
  std::string text_;
};

// What a run of streams is judged by; fed with the arrivals and send times of one stream at a time. `exact`: which arrivals the
// client vouches for (empty: all). A gap between two of those is one that a report would show.
struct verdict {
  std::vector<double> error, exact_error, first_error;
  std::uint64_t chunks = 0, inexact = 0, gaps = 0, shown_gaps = 0, collapsed = 0, shown_collapsed = 0;
  void stream(const std::vector<std::int64_t>& arrived, const std::vector<std::int64_t>& sent, const std::vector<bool>& exact = {}) {
    const auto sure = [&](std::size_t i) { return exact.empty() || exact[i]; };
    for (std::size_t i = 0; i < arrived.size() && i < sent.size(); ++i) {
      error.push_back(static_cast<double>(arrived[i] - sent[i]));
      if (sure(i)) exact_error.push_back(error.back());
      if (i == 0) {
        first_error.push_back(error.back());
      } else if (sent[i] - sent[i - 1] >= 20'000'000) {  // the server did keep its pace of 25 ms
        ++gaps;
        const bool short_one = arrived[i] - arrived[i - 1] < 5'000'000;
        collapsed += short_one;
        if (!sure(i) || !sure(i - 1)) continue;
        ++shown_gaps;
        shown_collapsed += short_one;
      }
    }
  }
  void print(report& out) {
    out.add("chunks", chunks);
    out.add("inexact", inexact);
    out.add("gaps", gaps);
    out.add("shown_gaps", shown_gaps);
    out.add("collapsed_gaps", collapsed);
    out.add("shown_collapsed_gaps", shown_collapsed);
    out.add_quantiles("error", error);
    out.add_quantiles("exact_error", exact_error);
    out.add_quantiles("first_error", first_error);
  }
};

// ---- our client ---------------------------------------------------------------------------------------------------------

std::vector<std::int64_t> stamps_in(std::string_view text) {  // "1234567890123456789 1234…"
  std::vector<std::int64_t> all;
  for (const char *p = text.data(), *end = p + text.size(); p != end;) {
    std::int64_t v = 0;
    const auto r = std::from_chars(p, end, v);
    if (r.ec == std::errc{}) all.push_back(v);
    p = r.ec == std::errc{} ? r.ptr : p + 1;
  }
  return all;
}

// Takes what an embedder with a store of its own would take: looks at each record and lets it go, unless asked to keep it.
struct recorder {
  bool keep = false;
  std::mutex mutex;
  std::vector<model::request> kept;
  std::uint64_t ok = 0, failed = 0, chunks = 0, inexact = 0, tokens = 0;
  std::map<std::string, std::uint64_t> errors;
  // Of the client's own books.
  std::uint64_t events = 0, inexact_events = 0, reads = 0, wakeups = 0;
  stats::sketch read_lag, loop_lag;

  void add(model::request&& r) {
    const std::lock_guard lock{mutex};
    ++(r.status == model::request_status::ok ? ok : failed);
    if (r.error != model::error_class::none) ++errors[std::string(name_of(r.error))];
    chunks += r.chunks.count();
    inexact += r.chunks.inexact();
    tokens += static_cast<std::uint64_t>(r.completion_tokens.value_or(0));
    if (keep) kept.push_back(std::move(r));
  }
  void add(const model::client_interval& i) {
    const std::lock_guard lock{mutex};
    events += i.content_events;
    inexact_events += i.inexact_events;
    reads += i.reads;
    wakeups += i.wakeups;
    read_lag.merge(i.read_lag_ns);
    loop_lag.merge(i.loop_lag_ns);
  }
};

void write_records(const std::string& path, const recorder& seen, nanoseconds origin) {
  std::FILE* f = std::fopen(path.c_str(), "w");
  if (f == nullptr) std::exit(2);
  const auto at = [&](const model::stamp& s) { return s ? static_cast<long long>((s.at + origin).ns) : 0LL; };
  for (const model::request& r : seen.kept)
    std::fprintf(f, R"({"id":"%s","status":"%s","error":"%s","intended":%lld,"slot_free":%lld,"connect_begin":%lld,"connected":%lld,"sent":%lld,)"
                 R"("first":%lld,"last":%lld,"closed":%lld,"chunks":%zu,"tokens":%lld})" "\n",
                 r.id.c_str(), std::string(name_of(r.status)).c_str(), std::string(name_of(r.error)).c_str(), at(r.intended), at(r.slot_free), at(r.connect_begin), at(r.connected),
                 at(r.sent), at(r.first_content), at(r.last_content), at(r.closed), r.chunks.count(), static_cast<long long>(r.completion_tokens.value_or(-1)));
  std::fclose(f);
}

// The figures of the report, as a user reads them.
void add_reported(report& out, const recorder& seen, const model::run_info& info) {
  serve::summarizer summary{{.resamples = 0}};
  for (const model::request& r : seen.kept) summary.add(r);
  const serve::report said = summary.finish(info);
  using enum serve::metric;
  for (const auto m : {ttft, service_ttft, tpot, e2e, dispatch_delay}) {
    const auto& d = said.of(m);
    if (d.n == 0) continue;
    std::string name = "reported_" + std::string(serve::metric_names[static_cast<std::size_t>(m)]);
    name.resize(name.size() - 3);  // "_ms" goes to the end
    out.add((name + "_n").c_str(), d.n);
    out.add((name + "_p50_ms").c_str(), d.quantile[0]);
    out.add((name + "_p99_ms").c_str(), d.quantile[3]);
  }
}

int ours(const options& o) {
  auto load = replay::workload::open("synthetic:input=32,output=" + std::to_string(o.chunks), {.chat = true});
  if (!load) return std::fprintf(stderr, "%s\n", load.error().message().c_str()), 2;
  model::schedule plan = replay::closed({.streams = o.streams, .requests = o.requests});
  if (o.rate > 0) {
    auto open = replay::constant({.per_second = o.rate, .max_in_flight = o.cap, .requests = o.requests});
    if (!open) return std::fprintf(stderr, "%s\n", open.error().message().c_str()), 2;
    plan = std::move(*open);
  }
  const replay::client_options how{.url = o.url, .body = {.model = "scripted"}, .threads = o.threads, .keep_text = o.text};
  const replay::client<> client{how};
  recorder seen;
  seen.keep = o.text || !o.records.empty();
  const double setup = cpu_seconds();
  const nanoseconds begun = monotonic_now();
  const auto done = client.run(*load, plan, seen);
  const double run = cpu_seconds() - setup;
  const nanoseconds wall = monotonic_now() - begun;
  if (!done) return std::fprintf(stderr, "%s\n", done.error().message().c_str()), 4;

  verdict v;
  v.chunks = seen.chunks;
  v.inexact = seen.inexact;
  if (o.text)
    for (const model::request& r : seen.kept) {
      std::vector<std::int64_t> arrived;
      std::vector<bool> exact;
      for (auto log = r.chunks.read(); auto e = log.next();) arrived.push_back((e->at + done->origin).ns), exact.push_back(e->exact);
      v.stream(arrived, stamps_in(r.completion_text), exact);
    }
  if (!o.records.empty()) write_records(o.records, seen, done->origin);
  report out;
  out.add("ok", seen.ok);
  out.add("failed", seen.failed);
  for (const auto& [name, n] : seen.errors) out.add(("failed_" + name).c_str(), n);
  out.add("tokens", seen.tokens);
  v.print(out);
  if (!o.records.empty()) add_reported(out, seen, replay::describe(how, *load, plan, *done));
  out.add("client_events", seen.events);
  out.add("client_inexact", seen.inexact_events);
  out.add("reads", seen.reads);
  out.add("wakeups", seen.wakeups);
  if (const auto p = seen.read_lag.quantile(0.99)) out.add("read_lag_p99_ms", *p / 1e6);
  if (const auto p = seen.loop_lag.quantile(0.99)) out.add("loop_lag_p99_ms", *p / 1e6);
  out.add("wall_s", wall.s());
  out.add("setup_cpu_s", setup);
  out.add("run_cpu_s", run);
  out.add("peak_kib", static_cast<std::uint64_t>(peak_kib()));
  out.print();
  return 0;
}

// ---- the bare loop --------------------------------------------------------------------------------------------------------

// One byte after another: a run of exactly 19 digits is a stamp; it may be cut between two reads.
struct digits {
  int count = 0;
  std::int64_t value = 0;
  template <class F> void feed(std::string_view bytes, F&& stamp) {
    for (const char c : bytes) {
      if (c >= '0' && c <= '9') {
        if (++count <= 19) value = value * 10 + (c - '0');
      } else if (count != 0) {
        if (count == 19) stamp(value);
        count = 0;
        value = 0;
      }
    }
  }
};

// CLOCK_REALTIME minus CLOCK_MONOTONIC, of the tightest of many brackets.
std::int64_t clock_offset() {
  std::int64_t best = INT64_MAX, offset = 0;
  for (int i = 0; i < 200; ++i) {
    const auto a = monotonic_now(), real = realtime_now(), b = monotonic_now();
    if ((b - a).ns >= best) continue;
    best = (b - a).ns;
    offset = (real - (a + (b - a) / 2)).ns;
  }
  return offset;
}

int bare(const options& o) {
  const std::size_t colon = o.url.rfind(':');
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(o.url.c_str() + colon + 1)));
  struct stream {
    int fd = -1;
    digits scan;
    std::vector<std::int64_t> arrived, sent;
  };
  std::vector<stream> streams(o.streams);
  const int epoll = ::epoll_create1(0);
  const double setup = cpu_seconds();
  const nanoseconds begun = monotonic_now();
  const std::int64_t offset = clock_offset();
  for (std::size_t i = 0; i < streams.size(); ++i) {
    stream& s = streams[i];
    s.arrived.reserve(o.chunks);
    s.sent.reserve(o.chunks);
    s.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    ::setsockopt(s.fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    ::setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(s.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) return std::perror("connect"), 4;
    char id[32];
    std::snprintf(id, sizeof id, "bare-000000-%06zu", i + 1);
    const std::string body = R"({"model":"scripted","messages":[{"role":"user","content":"a"}],"max_tokens":)" + std::to_string(o.chunks) + R"(,"stream":true})";
    const std::string wire = "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nX-Request-Id: " + std::string(id) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (::send(s.fd, wire.data(), wire.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(wire.size())) return std::perror("send"), 4;
    epoll_event e{.events = EPOLLIN, .data = {.u64 = i}};
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, s.fd, &e);
  }
  std::vector<char> buffer(64 << 10);
  epoll_event ready[256];
  std::uint64_t left = o.streams * o.chunks, inexact = 0;
  while (left > 0) {
    const int n = ::epoll_wait(epoll, ready, 256, 60'000);
    if (n <= 0) return std::fprintf(stderr, "bare: the streams stall\n"), 4;
    for (int i = 0; i < n; ++i) {
      stream& s = streams[ready[i].data.u64];
      iovec into{buffer.data(), buffer.size()};
      alignas(cmsghdr) char control[64];
      msghdr m{};
      m.msg_iov = &into, m.msg_iovlen = 1, m.msg_control = control, m.msg_controllen = sizeof control;
      const ssize_t got = ::recvmsg(s.fd, &m, MSG_DONTWAIT);
      if (got <= 0) return std::fprintf(stderr, "bare: a stream ended early\n"), 4;
      timespec t{};
      for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) std::memcpy(&t, CMSG_DATA(c), sizeof t);
      const std::int64_t at = static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec - offset;
      std::uint64_t events = 0;
      s.scan.feed({buffer.data(), static_cast<std::size_t>(got)}, [&](std::int64_t sent) {
        s.arrived.push_back(at);
        s.sent.push_back(sent);
        ++events;
      });
      left -= events;
      if (events > 1) inexact += events - 1;
    }
  }
  const double run = cpu_seconds() - setup;
  const nanoseconds wall = monotonic_now() - begun;
  const std::int64_t drift = clock_offset() - offset;
  verdict v;
  v.chunks = o.streams * o.chunks;
  v.inexact = inexact;
  for (const stream& s : streams) v.stream(s.arrived, s.sent);
  report out;
  v.print(out);
  out.add("clock_drift_ns", static_cast<double>(drift));
  out.add("wall_s", wall.s());
  out.add("setup_cpu_s", setup);
  out.add("run_cpu_s", run);
  out.add("peak_kib", static_cast<std::uint64_t>(peak_kib()));
  out.print();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const std::string_view mode = argc > 1 ? argv[1] : "";
  options o;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* const value = argv[i + 1];
    const auto number = [&] { return std::strtoull(value, nullptr, 10); };
    if (name == "--url") o.url = value;
    else if (name == "--records") o.records = value;
    else if (name == "--streams") o.streams = static_cast<std::uint32_t>(number());
    else if (name == "--cap") o.cap = static_cast<std::uint32_t>(number());
    else if (name == "--threads") o.threads = static_cast<std::uint32_t>(number());
    else if (name == "--requests") o.requests = number();
    else if (name == "--chunks") o.chunks = number();
    else if (name == "--rate") o.rate = std::atof(value);
    else if (name == "--text") o.text = number() != 0;
    else return std::fprintf(stderr, "bench_replay_client: unknown option %s\n", argv[i]), 2;
  }
  if (mode == "run" && o.requests != 0 && o.chunks != 0 && (o.streams != 0) != (o.rate > 0)) return ours(o);
  if (mode == "bare" && o.streams != 0 && o.chunks != 0) return bare(o);
  std::fprintf(stderr, "usage: the head of tests/bench/replay_client.cpp\n");
  return 2;
}
