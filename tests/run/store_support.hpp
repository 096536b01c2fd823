// SPDX-License-Identifier: Apache-2.0
// tests/run/store_support.hpp - runs with every field in use, compared field by field; a folder that goes away; a child process.
#pragma once
#include <doctest/doctest.h>
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>
#include <hotpath/run/store_sqlite.hpp>

extern char** environ;

namespace store_test {
using namespace hotpath;
using run::store_sqlite;
using run::stored_run;

// ---- files --------------------------------------------------------------------------------------------------------------

inline std::vector<std::string> list(const std::string& dir) {
  std::vector<std::string> names;
  if (DIR* d = opendir(dir.c_str())) {
    while (dirent* e = readdir(d))
      if (std::string n = e->d_name; n != "." && n != "..") names.push_back(n);
    closedir(d);
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct temp_dir {
  std::string path;
  // in_memory: where a sync costs nothing, for tests that make a hundred runs.
  explicit temp_dir(bool in_memory = false) {
    const char* base = in_memory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
    path = std::string(base != nullptr ? base : "/tmp") + "/hotpath-store-XXXXXX";
    REQUIRE(mkdtemp(path.data()) != nullptr);
  }
  temp_dir(const temp_dir&) = delete;
  ~temp_dir() { remove(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }

  static void remove(const std::string& dir) {
    chmod(dir.c_str(), 0700);
    for (const std::string& n : list(dir)) {
      struct stat st;
      const std::string p = dir + "/" + n;
      if (lstat(p.c_str(), &st) == 0 && S_ISDIR(st.st_mode))
        remove(p);
      else
        unlink(p.c_str());
    }
    rmdir(dir.c_str());
  }
};

inline bool exists(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0;
}
inline unsigned mode_of(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 ? static_cast<unsigned>(st.st_mode) & 07777u : 0;
}
inline std::string read_file(const std::string& path) {
  std::string text;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  char part[65536];
  for (ssize_t n; fd >= 0 && (n = read(fd, part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  if (fd >= 0) close(fd);
  return text;
}
inline void write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REQUIRE(fd >= 0);
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    REQUIRE(n > 0);
    at += static_cast<std::size_t>(n);
  }
  close(fd);
}

// ---- SQLite by itself: what anybody sees in the file --------------------------------------------------------------------

struct plain_db {
  sqlite3* db = nullptr;
  explicit plain_db(const std::string& path, int flags = SQLITE_OPEN_READWRITE) {
    REQUIRE(sqlite3_open_v2(path.c_str(), &db, flags, nullptr) == SQLITE_OK);
  }
  plain_db(const plain_db&) = delete;
  ~plain_db() { sqlite3_close(db); }
  int exec(const std::string& sql) { return sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr); }
  std::string text(const std::string& sql) {  // first column of all rows, one a line
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v2(db, sql.c_str(), -1, &s, nullptr) != SQLITE_OK) return sqlite3_errmsg(db);
    std::string all;
    while (sqlite3_step(s) == SQLITE_ROW) {
      const auto* t = reinterpret_cast<const char*>(sqlite3_column_text(s, 0));
      all += (all.empty() ? "" : "\n") + std::string(t != nullptr ? t : "NULL");
    }
    sqlite3_finalize(s);
    return all;
  }
};

// ---- samples: every field in use, some missing, from a seed -------------------------------------------------------------

struct maker {
  std::mt19937_64 random;
  explicit maker(std::uint64_t seed) : random(seed) {}
  std::uint64_t below(std::uint64_t n) { return random() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  std::string bytes(std::size_t most) {
    std::string s(below(most + 1), '\0');
    for (char& c : s) c = static_cast<char>(below(256));
    return s;
  }
  model::stamp stamp(std::int64_t at) {
    if (one_in(4)) return {};
    return {nanoseconds{at}, static_cast<model::stamp_source>(1 + below(4)), one_in(2)};
  }
  std::optional<std::int64_t> tokens() {
    if (one_in(3)) return std::nullopt;
    return static_cast<std::int64_t>(below(5000));
  }

  model::request request(std::uint64_t index, bool text = false) {
    model::request r;
    r.index = index;
    r.workload_row = below(1000);
    r.pass = static_cast<std::uint32_t>(below(3));
    r.attempt = 1 + static_cast<std::uint32_t>(below(2));
    r.id = "hp-" + std::to_string(index) + (one_in(2) ? std::string(40, 'x') : "");
    if (one_in(3)) r.given_id = bytes(30);
    r.warmup = one_in(5);
    r.status = static_cast<model::request_status>(below(4));
    r.error = static_cast<model::error_class>(below(model::error_class_count));
    r.http_status = one_in(3) ? 0 : 100 + static_cast<std::int32_t>(below(500));
    if (one_in(3)) r.error_message = bytes(100);
    if (!one_in(3)) r.finish_reason = "stop";
    std::int64_t t = static_cast<std::int64_t>(below(1u << 30)) * 1000 - 1000;
    for (model::stamp* s : {&r.intended, &r.slot_free, &r.connect_begin, &r.connected, &r.sent, &r.head, &r.first_content,
                            &r.first_output, &r.last_content, &r.finished, &r.closed})
      *s = stamp(t += static_cast<std::int64_t>(below(1u << 26)));
    r.prompt_tokens = tokens(), r.completion_tokens = tokens(), r.reasoning_tokens = tokens(), r.cached_tokens = tokens();
    r.tokens_from = static_cast<model::token_source>(below(3));
    r.prompt_tokens_planned = tokens(), r.output_tokens_asked = tokens();
    r.usage_suspect = one_in(6);
    r.bytes_sent = below(1u << 20), r.bytes_received = one_in(50) ? ~std::uint64_t{0} : below(1u << 30),
    r.prompt_bytes = below(1u << 16);
    r.warnings = static_cast<std::uint32_t>(below(5));
    r.reused_connection = one_in(2);
    const std::uint64_t events = one_in(4) ? 0 : below(60);
    for (std::uint64_t i = 0; i < events; ++i)
      r.chunks.append({nanoseconds{t += static_cast<std::int64_t>(below(50'000'000))},
                       one_in(2) ? static_cast<std::uint32_t>(below(8)) : 0u, static_cast<model::content_kind>(below(3)),
                       one_in(2), one_in(2)});
    if (text) r.prompt_text = bytes(200), r.completion_text = bytes(300);
    return r;
  }

  model::client_interval interval(std::uint32_t thread, std::int64_t second) {
    model::client_interval c;
    c.thread = thread;
    c.begin = nanoseconds{second * 1'000'000'000}, c.end = nanoseconds{(second + 1) * 1'000'000'000};
    c.cpu = nanoseconds{static_cast<std::int64_t>(below(1'000'000'000))};
    c.wakeups = below(100000), c.reads = below(100000), c.bytes_received = below(1u << 30), c.bytes_sent = below(1u << 20);
    c.content_events = below(100000), c.inexact_events = below(1000), c.receive_queue_max = below(1u << 20);
    c.open_descriptors = static_cast<std::uint32_t>(below(2000)), c.in_flight = static_cast<std::uint32_t>(below(1000));
    c.suspended = nanoseconds{static_cast<std::int64_t>(below(1000))};
    for (std::uint64_t i = 0, n = below(200); i < n; ++i) c.loop_lag_ns.add(static_cast<double>(1 + below(10'000'000)));
    for (std::uint64_t i = 0, n = below(200); i < n; ++i) c.read_lag_ns.add(static_cast<double>(1 + below(1'000'000)));
    return c;
  }

  model::scrape scrape(std::int64_t second) {
    model::scrape s;
    s.when = static_cast<model::scrape::moment>(below(3));
    s.begin = nanoseconds{second * 1'000'000'000}, s.end = nanoseconds{second * 1'000'000'000 + static_cast<std::int64_t>(below(50'000'000))};
    s.skipped = below(3);
    if (second % 5 == 4) return s.error = "HTTP 503 of \"/metrics\"", s;
    s.engine = "vllm";
    s.lost.malformed = below(2), s.lost.over_limit = below(2), s.lost.truncated = below(2), s.lost.dropped = below(2);
    if (one_in(3)) s.problems = {"ttft: buckets are not cumulative", "a \"quoted\" one"};
    constexpr double infinity = std::numeric_limits<double>::infinity();
    for (const model::engine_metric what : {model::engine_metric::running, model::engine_metric::kv_usage, model::engine_metric::ttft}) {
      model::metric_series m{.what = what, .name = "vllm:x", .source = one_in(2) ? "engine=1, model_name=\"t\\\"" : "",
                             .value = one_in(9) ? -infinity : static_cast<double>(below(1u << 20)) / 7};
      if (what == model::engine_metric::ttft) {
        m.sum = one_in(4) ? infinity : 0.1 * static_cast<double>(below(1000));
        if (one_in(2)) m.created = nanoseconds{1'790'000'000'000'000'000 + static_cast<std::int64_t>(below(1000))};
        double total = 0;
        for (const double edge : {0.001, 0.1, 2560.0, infinity}) m.buckets.push_back({edge, total += static_cast<double>(below(100))});
      }
      s.series.push_back(std::move(m));
    }
    return s;
  }

  model::run_info info() {
    model::run_info i;
    i.tool_version = "0.1.0";
    i.command_line = {"hotpath", "serve-profile", "--header", "Authorization: ***", "", "line\nbreak"};
    i.host = "box", i.endpoint = "http://127.0.0.1:8000/v1", i.api = "chat", i.model = "tiny", i.engine = "vllm",
    i.engine_version = "0.32.0", i.metrics_url = "http://127.0.0.1:8000/metrics", i.workload = "load.jsonl", i.prompt_lengths = "as given";
    i.workload_rows = 1234, i.workload_passes = 2, i.prompts_reused = true;
    i.workload_loss = {1, 2, 3, 4, 5};
    i.seed = 0xfedcba9876543210u, i.threads = 3, i.warmup = 20;
    i.slo.ttft = nanoseconds{500'000'000}, i.slo.e2e = nanoseconds{30'000'000'000};
    i.origin = nanoseconds{123'456'789'012'345}, i.wall_start = nanoseconds{1'790'000'000'123'456'789};
    i.sending_began = nanoseconds{1000}, i.sending_ended = nanoseconds{60'000'000'000}, i.ended = nanoseconds{61'000'000'000};
    i.notes = {"workload cycled 2 times", "3 stale connections"};
    i.ephemeral_ports_left = 28000;
    return i;
  }

  model::schedule schedule(std::size_t requests) {
    model::schedule p;
    p.kind = model::arrival::poisson;
    p.max_in_flight = 64, p.per_second = 1234.5678901234567, p.seed = 7;
    nanoseconds t{};
    for (std::size_t i = 0; i < requests; ++i) p.due.push_back(t += nanoseconds{static_cast<std::int64_t>(below(2'000'000))});
    p.max_requests = requests;
    p.max_duration = nanoseconds{60'000'000'000};
    return p;
  }
};

// ---- comparison, field by field: it must not share a line with the code that stores -------------------------------------

#define SAME(f) (a.f == b.f ? true : (what = #f, false))
inline bool same(const model::stamp& a, const model::stamp& b) {
  return a.at == b.at && a.source == b.source && a.exact == b.exact;
}
#define SAME_STAMP(f) (same(a.f, b.f) ? true : (what = #f, false))

// "" or the first field that differs.
inline std::string difference(const model::request& a, const model::request& b) {
  std::string what;
  const bool equal =
      SAME(index) && SAME(workload_row) && SAME(pass) && SAME(attempt) && SAME(id) && SAME(given_id) && SAME(warmup) &&
      SAME(status) && SAME(error) && SAME(http_status) && SAME(error_message) && SAME(finish_reason) && SAME_STAMP(intended) &&
      SAME_STAMP(slot_free) && SAME_STAMP(connect_begin) && SAME_STAMP(connected) && SAME_STAMP(sent) && SAME_STAMP(head) &&
      SAME_STAMP(first_content) && SAME_STAMP(first_output) && SAME_STAMP(last_content) && SAME_STAMP(finished) &&
      SAME_STAMP(closed) && SAME(prompt_tokens) && SAME(completion_tokens) && SAME(reasoning_tokens) && SAME(cached_tokens) &&
      SAME(tokens_from) && SAME(prompt_tokens_planned) && SAME(output_tokens_asked) && SAME(usage_suspect) && SAME(bytes_sent) &&
      SAME(bytes_received) && SAME(prompt_bytes) && SAME(warnings) && SAME(reused_connection) && SAME(chunks.bytes()) &&
      SAME(chunks.count()) && SAME(chunks.inexact()) && SAME(prompt_text) && SAME(completion_text);
  return equal ? "" : what;
}
inline std::string difference(const model::client_interval& a, const model::client_interval& b) {
  std::string what;
  const bool equal = SAME(thread) && SAME(begin) && SAME(end) && SAME(cpu) && SAME(wakeups) && SAME(reads) &&
                     SAME(bytes_received) && SAME(bytes_sent) && SAME(content_events) && SAME(inexact_events) &&
                     SAME(receive_queue_max) && SAME(open_descriptors) && SAME(in_flight) && SAME(suspended) &&
                     SAME(loop_lag_ns) && SAME(read_lag_ns);
  return equal ? "" : what;
}
inline bool same(const model::loss& a, const model::loss& b) {
  return a.dropped == b.dropped && a.truncated == b.truncated && a.malformed == b.malformed && a.over_limit == b.over_limit &&
         a.late == b.late;
}
inline std::string difference(const model::metric_series& a, const model::metric_series& b) {
  std::string what;
  const bool equal = SAME(what) && SAME(name) && SAME(source) && SAME(value) && SAME(sum) && SAME(created) && SAME(buckets.size());
  for (std::size_t i = 0; equal && i < a.buckets.size(); ++i)
    if (a.buckets[i].upper != b.buckets[i].upper || a.buckets[i].cumulative != b.buckets[i].cumulative) return "buckets";
  return equal ? "" : what;
}
inline std::string difference(const model::scrape& a, const model::scrape& b) {
  std::string what;
  const bool equal = SAME(when) && SAME(begin) && SAME(end) && SAME(error) && SAME(engine) && SAME(problems) && SAME(skipped) &&
                     SAME_STAMP(lost) && SAME(series.size());
  for (std::size_t i = 0; equal && i < a.series.size(); ++i)
    if (auto d = difference(a.series[i], b.series[i]); !d.empty()) return "series: " + d;
  return equal ? "" : what;
}
inline std::string difference(const model::schedule& a, const model::schedule& b) {
  std::string what;
  const bool equal = SAME(kind) && SAME(streams) && SAME(max_in_flight) && SAME(per_second) && SAME(seed) && SAME(due) &&
                     SAME(max_requests) && SAME(max_duration);
  return equal ? "" : what;
}
inline std::string difference(const model::run_info& a,
                              const model::run_info& b) {  // without what is the store's own: lost, text_stored, plan
  std::string what;
  const bool equal = SAME(tool_version) && SAME(command_line) && SAME(host) && SAME(endpoint) && SAME(api) && SAME(model) &&
                     SAME(engine) && SAME(engine_version) && SAME(metrics_url) && SAME(workload) && SAME(prompt_lengths) && SAME(workload_rows) && SAME(workload_passes) &&
                     SAME(prompts_reused) && SAME_STAMP(workload_loss) && SAME(seed) && SAME(threads) && SAME(warmup) &&
                     SAME(slo.ttft) && SAME(slo.tpot) && SAME(slo.e2e) && SAME(origin) && SAME(wall_start) &&
                     SAME(sending_began) && SAME(sending_ended) && SAME(ended) && SAME(state) && SAME(stop_reason) &&
                     SAME(notes) && SAME(ephemeral_ports_left);
  return equal ? "" : what;
}
#undef SAME
#undef SAME_STAMP

// All of a file, or the first error.
struct contents {
  model::run_info info;
  model::schedule plan;
  std::map<std::uint64_t, model::request> requests;
  std::vector<model::client_interval> intervals;
  std::vector<model::scrape> scrapes;
  bool partial = false;
};
inline result<contents> read_all(const std::string& path) {
  auto run = stored_run::open(path);
  if (!run) return run.error();
  contents c{run->info(), run->plan(), {}, {}, {}, run->partial()};
  if (auto ok = run->for_each_request([&](model::request&& r) { c.requests.emplace(r.index, std::move(r)); }); !ok)
    return ok.error();
  if (auto ok = run->for_each_client_interval([&](model::client_interval&& i) { c.intervals.push_back(std::move(i)); }); !ok)
    return ok.error();
  if (auto ok = run->for_each_scrape([&](model::scrape&& x) { c.scrapes.push_back(std::move(x)); }); !ok) return ok.error();
  return c;
}

// Waits for a condition that another thread or process brings about; false after a minute.
inline bool wait_for(const std::function<bool()>& condition) {
  for (const nanoseconds end = monotonic_now() + nanoseconds{60'000'000'000}; monotonic_now() < end; usleep(200))
    if (condition()) return true;
  return condition();
}

// ---- a child: this executable again, running one test case that is skipped otherwise -----------------------------------

struct child {
  pid_t pid = -1;
  child(const std::string& test_case, const std::string& argument) {
    const std::string filter = "--test-case=" + test_case;
    char exe[] = "/proc/self/exe", no_skip[] = "--no-skip", minimal[] = "--minimal";
    char* argv[] = {exe, const_cast<char*>(filter.c_str()), no_skip, minimal, nullptr};
    const std::string variable = "HOTPATH_STORE_CHILD=" + argument;
    std::vector<char*> env;
    for (char** e = environ; *e != nullptr; ++e)
      if (std::string(*e).rfind("HOTPATH_STORE_CHILD=", 0) != 0) env.push_back(*e);
    env.push_back(const_cast<char*>(variable.c_str()));
    env.push_back(nullptr);
    REQUIRE(posix_spawn(&pid, exe, nullptr, nullptr, argv, env.data()) == 0);
  }
  child(const child&) = delete;
  ~child() {
    if (pid > 0) ::kill(pid, SIGKILL), wait();
  }
  int wait() {
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
    return status;
  }
  static std::string argument() {  // for the child itself, which does not outlive its parent
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char* a = getenv("HOTPATH_STORE_CHILD");
    return a != nullptr ? a : "";
  }
};

}  // namespace store_test
