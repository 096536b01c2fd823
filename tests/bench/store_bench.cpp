// SPDX-License-Identifier: Apache-2.0
// tests/bench/store_bench.cpp - how fast finished requests become durable, beside the bare SQLite C API on the same columns.
//   bench_store [rows] [rounds] [directory]    default 600000 rows, 5 rounds, $TMPDIR or /tmp
//   Both write the same rows with the same page size, log, synchronous=FULL and rows per commit; bare SQLite without queue, checksums,
//   totals and index. Rounds alternate; each line is the median. CPU: of the thread that writes.
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <hotpath/run/store_sqlite.hpp>

using namespace hotpath;

namespace {

constexpr std::uint64_t rows_per_commit = 12'000;  // what the store's queue makes of an endless feed

struct cost {
  double wall = 0, cpu = 0;  // seconds
};

double seconds_of(int who) {
  rusage u;
  getrusage(who, &u);
  return static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// As a vLLM chat run fills it: one in a hundred fails.
model::request sample(std::uint64_t i, unsigned chunks) {
  model::request r;
  r.index = i, r.workload_row = i % 1000;
  r.id = "hp-0123456789ab-" + std::to_string(i);
  const bool ok = i % 100 != 99;
  r.status = ok ? model::request_status::ok : model::request_status::failed;
  r.http_status = ok ? 200 : 500;
  if (ok)
    r.finish_reason = "length";
  else
    r.error = model::error_class::http_5xx, r.error_message = "internal server error";
  std::int64_t t = static_cast<std::int64_t>(i) * 500'000;
  r.intended = {nanoseconds{t}, model::stamp_source::schedule, true};
  for (model::stamp* s : {&r.sent, &r.head, &r.first_content, &r.last_content, &r.finished, &r.closed})
    *s = {nanoseconds{t += 10'000'000 + static_cast<std::int64_t>(i * 7919 % 1'000'000)}, model::stamp_source::kernel, true};
  r.first_output = r.first_content;
  r.prompt_tokens = 512 + static_cast<std::int64_t>(i % 100), r.completion_tokens = 128, r.output_tokens_asked = 128;
  r.tokens_from = model::token_source::usage;
  r.bytes_sent = 2400, r.bytes_received = 31'000, r.prompt_bytes = 2048;
  r.reused_connection = true;
  for (unsigned k = 0; k < chunks; ++k)
    r.chunks.append({nanoseconds{t += 25'000'000 + static_cast<std::int64_t>((i + k) * 7919 % 100'000)}, 0,
                     model::content_kind::text, true, true});
  return r;
}

void remove_run(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal", "-lock"}) unlink((path + suffix).c_str());
}

[[noreturn]] void die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

cost ours(const std::string& path, const std::vector<model::request>& rows, std::uint64_t n) {
  remove_run(path);
  auto store = run::store_sqlite::create(path, {}, {});
  if (!store) die(store.error().message());
  const nanoseconds begun = monotonic_now();
  const double process = seconds_of(RUSAGE_SELF), feeder = seconds_of(RUSAGE_THREAD);
  for (std::uint64_t i = 0; i < n; ++i) {
    model::request r = rows[i % rows.size()];
    r.index = i;
    while (i - store->stored() > 50'000 && !store->failed()) usleep(500);  // the store would count what it cannot hold
    store->add(std::move(r));
  }
  const double fed = seconds_of(RUSAGE_THREAD) - feeder;
  if (auto done = store->finish({}); !done) die(done.error().message());
  const cost c{(monotonic_now() - begun).s(), seconds_of(RUSAGE_SELF) - process - fed};
  if (store->stored() != n || store->lost()) die("rows were lost");
  return c;
}

void bind_stamp(sqlite3_stmt* s, int at, const model::stamp& t) {
  if (t)
    sqlite3_bind_int64(s, at, t.at.ns);
  else
    sqlite3_bind_null(s, at);
}
void bind_text(sqlite3_stmt* s, int at, std::string_view t) {
  if (t.empty())
    sqlite3_bind_null(s, at);
  else
    sqlite3_bind_text64(s, at, t.data(), t.size(), SQLITE_STATIC, SQLITE_UTF8);
}
void bind_count(sqlite3_stmt* s, int at, const std::optional<std::int64_t>& n) {
  if (n)
    sqlite3_bind_int64(s, at, *n);
  else
    sqlite3_bind_null(s, at);
}

cost bare(const std::string& path, const std::vector<model::request>& rows, std::uint64_t n) {
  remove_run(path);
  sqlite3* db = nullptr;
  if (sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK)
    die("cannot open");
  const auto exec = [db](const std::string& sql) {
    if (sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) die(sqlite3_errmsg(db));
  };
  exec(
      "PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 1024; PRAGMA "
      "cache_size = -8192");
  exec(std::string(run::detail::requests_table.sql));
  std::string insert = "INSERT INTO requests VALUES(?1";
  for (int i = 2; i <= 41; ++i) insert += ",?" + std::to_string(i);
  sqlite3_stmt* s = nullptr;
  if (sqlite3_prepare_v3(db, (insert + ")").c_str(), -1, SQLITE_PREPARE_PERSISTENT, &s, nullptr) != SQLITE_OK)
    die(sqlite3_errmsg(db));
  const nanoseconds begun = monotonic_now();
  const double thread = seconds_of(RUSAGE_THREAD);
  for (std::uint64_t i = 0; i < n; ++i) {
    if (i % rows_per_commit == 0) exec(i == 0 ? "BEGIN IMMEDIATE" : "COMMIT; BEGIN IMMEDIATE");
    const model::request& r = rows[i % rows.size()];
    int at = 0;
    const auto number = [&](auto v) { sqlite3_bind_int64(s, ++at, static_cast<std::int64_t>(v)); };
    number(i), number(0x1515151), number(0x123456789abcdef);  // stamps, checksum
    number(r.workload_row), number(r.pass), number(r.attempt);
    bind_text(s, ++at, r.id), bind_text(s, ++at, r.given_id);
    number(r.warmup);
    bind_text(s, ++at, name_of(r.status));
    bind_text(s, ++at, r.error == model::error_class::none ? std::string_view() : name_of(r.error));
    number(r.http_status);
    bind_text(s, ++at, r.error_message), bind_text(s, ++at, r.finish_reason);
    for (const model::stamp* t : {&r.intended, &r.slot_free, &r.connect_begin, &r.connected, &r.sent, &r.head, &r.first_content,
                                  &r.first_output, &r.last_content, &r.finished, &r.closed})
      bind_stamp(s, ++at, *t);
    bind_count(s, ++at, r.prompt_tokens), bind_count(s, ++at, r.completion_tokens), bind_count(s, ++at, r.reasoning_tokens),
        bind_count(s, ++at, r.cached_tokens);
    bind_text(s, ++at, name_of(r.tokens_from));
    bind_count(s, ++at, r.prompt_tokens_planned), bind_count(s, ++at, r.output_tokens_asked);
    number(r.usage_suspect), number(r.bytes_sent), number(r.bytes_received), number(r.prompt_bytes), number(r.warnings),
        number(r.reused_connection);
    number(r.chunks.count()), number(r.chunks.inexact());
    if (r.chunks.empty())
      sqlite3_bind_null(s, ++at);
    else
      sqlite3_bind_blob64(s, ++at, r.chunks.bytes().data(), r.chunks.bytes().size(), SQLITE_STATIC);
    if (at != 41 || sqlite3_step(s) != SQLITE_DONE) die(sqlite3_errmsg(db));
    sqlite3_reset(s);
  }
  exec("COMMIT");
  sqlite3_finalize(s);
  exec("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE");
  sqlite3_close(db);
  return {(monotonic_now() - begun).s(), seconds_of(RUSAGE_THREAD) - thread};
}

cost read(const std::string& path, std::uint64_t n) {
  const nanoseconds begun = monotonic_now();
  const double thread = seconds_of(RUSAGE_THREAD);
  auto run = run::stored_run::open(path);
  if (!run) die(run.error().message());
  std::uint64_t rows = 0;
  if (auto ok = run->for_each_request([&](const model::request&) { ++rows; }); !ok) die(ok.error().message());
  if (rows != n) die("rows are missing");
  return {(monotonic_now() - begun).s(), seconds_of(RUSAGE_THREAD) - thread};
}

cost median(std::vector<cost> all) {
  const auto middle = static_cast<std::ptrdiff_t>(all.size() / 2);
  cost c;
  std::nth_element(all.begin(), all.begin() + middle, all.end(), [](const cost& a, const cost& b) { return a.wall < b.wall; });
  c.wall = all[static_cast<std::size_t>(middle)].wall;
  std::nth_element(all.begin(), all.begin() + middle, all.end(), [](const cost& a, const cost& b) { return a.cpu < b.cpu; });
  c.cpu = all[static_cast<std::size_t>(middle)].cpu;
  return c;
}

void compare(const char* title, const std::string& path, std::uint64_t n, unsigned chunks, int rounds) {
  std::vector<model::request> rows;
  for (std::uint64_t i = 0; i < 5000; ++i) rows.push_back(sample(i, chunks));
  std::vector<cost> a, b, c;
  std::uint64_t bytes = 0;
  for (int i = 0; i < rounds; ++i) {
    b.push_back(bare(path, rows, n));
    a.push_back(ours(path, rows, n));
    c.push_back(read(path, n));
    struct stat st;
    if (stat(path.c_str(), &st) == 0) bytes = static_cast<std::uint64_t>(st.st_size);
    remove_run(path);
  }
  const cost mine = median(a), theirs = median(b), back = median(c);
  const double rows_d = static_cast<double>(n), times = rows_d * chunks;
  const auto line = [&](const char* who, const cost& k) {
    std::printf("  %-12s %8.0f k rows/s %8.0f k rows/CPU-s", who, rows_d / k.wall / 1e3, rows_d / k.cpu / 1e3);
    if (chunks != 0) std::printf(" %8.1f M chunk times/s %8.1f M chunk times/CPU-s", times / k.wall / 1e6, times / k.cpu / 1e6);
    std::printf("\n");
  };
  std::printf("%s: %llu rows, %.0f bytes each on disk, median of %d\n", title, static_cast<unsigned long long>(n),
              static_cast<double>(bytes) / rows_d, rounds);
  line("hotpath", mine), line("bare SQLite", theirs), line("read back", back);
  std::printf("  ratio to bare SQLite: %.2f by wall, %.2f by CPU\n", theirs.wall / mine.wall, theirs.cpu / mine.cpu);
}

}  // namespace

int main(int argc, char** argv) {
  const auto n = static_cast<std::uint64_t>(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 600'000);
  const int rounds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 5;
  const char* tmp = std::getenv("TMPDIR");
  const std::string path = std::string(argc > 3         ? argv[3]
                                       : tmp != nullptr ? tmp
                                                        : "/tmp") +
                           "/hotpath-store-bench-" + std::to_string(getpid()) + ".db";
  double load[1] = {0};
  if (getloadavg(load, 1) != 1) load[0] = -1;
  std::printf("SQLite %s, %ld CPUs, load %.1f, %s\n", sqlite3_libversion(), sysconf(_SC_NPROCESSORS_ONLN), load[0], path.c_str());
  compare("finished requests without chunks", path, n, 0, rounds);
  compare("finished requests with 200 chunks", path, n / 6, 200, rounds);
}
