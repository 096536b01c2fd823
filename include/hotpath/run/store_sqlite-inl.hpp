// SPDX-License-Identifier: Apache-2.0
// hotpath/run/store_sqlite-inl.hpp - bodies of store_sqlite.hpp: the writer and its thread. The reader's are in stored_run-inl.hpp.
#pragma once
#include <hotpath/run/store_sqlite.hpp>

#include <errno.h>
#include <pthread.h>  // not <thread>: a thread that cannot be started is an error here, not an exception
#include <signal.h>
#include <unistd.h>
#include <algorithm>
#include <mutex>
#include <new>
#include <vector>
#include <hotpath/core/atomic.hpp>
#include <hotpath/run/detail/sqlite.hpp>

namespace hotpath::inline HOTPATH_ABI::run {

namespace detail {
inline constexpr std::size_t block_rows = 128;
inline constexpr std::string_view sidecars[] = {"-wal", "-shm", "-journal"};

inline std::size_t footprint(const model::request& r) {
  std::size_t n = sizeof r + r.chunks.bytes().capacity();
  for (const std::string* s : {&r.id, &r.given_id, &r.error_message, &r.finish_reason, &r.prompt_text, &r.completion_text})
    n += s->capacity() > 15 ? s->capacity() : 0;  // libstdc++ keeps 15 bytes inside
  return n;
}

// meta(key, value) of a manifest. Each row's checksum enters the table's sum.
struct manifest_writer {
  statement& put_row;
  total& sum;
  int rc = SQLITE_OK;

  void put(const std::string& key, std::int64_t n) {
    checksum c;
    c.bytes(key), c.word(static_cast<std::uint64_t>(n));
    put_row.bind(2, n);
    run(key, c);
  }
  void put(const std::string& key, const std::string& text) {
    checksum c;
    c.bytes(key), c.bytes(text);
    put_row.bind(2, std::string_view(text));
    run(key, c);
  }
  void run(const std::string& key, const checksum& c) {
    put_row.bind(1, std::string_view(key));
    if (const int done = put_row.run(); done != SQLITE_DONE && rc == SQLITE_OK) rc = done;
    sum.add(c.value());
  }

  template <class T>
  requires std::is_integral_v<T>
  void operator()(const char* key, T n) { put(key, static_cast<std::int64_t>(n)); }
  void operator()(const char* key, nanoseconds t) { put(key, t.ns); }
  void operator()(const char* key, const std::string& text) {
    if (!text.empty()) put(key, text);
  }
  template <class T>
  void operator()(const char* key, const std::optional<T>& v) {
    if (v) (*this)(key, *v);
  }
  void operator()(const char* key, const std::vector<std::string>& list) {
    for (std::size_t i = 0; i < list.size(); ++i) put(key + ("." + std::to_string(i)), list[i]);
  }
  void operator()(const char* key, const model::loss& l) {
    const std::string k = key;
    put(k + ".dropped", static_cast<std::int64_t>(l.dropped)), put(k + ".truncated", static_cast<std::int64_t>(l.truncated));
    put(k + ".malformed", static_cast<std::int64_t>(l.malformed)),
        put(k + ".over_limit", static_cast<std::int64_t>(l.over_limit));
    put(k + ".late", static_cast<std::int64_t>(l.late));
  }
  template <class T, std::size_t N>
  void operator()(const char* key, T e, const std::string_view (&names)[N]) {
    put(key, std::string(names[static_cast<std::size_t>(e)]));
  }
};

}  // namespace detail

struct store_sqlite::writer {
  using block = std::vector<model::request>;
  struct totals {
    detail::total requests, intervals, scrapes, text;
  };

  writer(detail::run_path p, detail::writer_lock l, options opt) : path(std::move(p)), lock(std::move(l)), o(opt) {
    pthread_condattr_t monotonic;  // a step of the wall clock must not delay a commit
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
  }
  ~writer() {
    if (db && !closed) {
      drain((std::min)(o.busy_timeout, nanoseconds{1'000'000'000}));
      close();
    }
    pthread_cond_destroy(&wake);
  }

  result<void> make(const model::run_info& info, const model::schedule& plan);
  result<void> make_tables(const model::run_info& info, const model::schedule& plan);
  result<void> prepare();
  result<void> start();
  void loop();
  void join();
  bool drain(nanoseconds patience);  // ends the thread and commits what is queued; false: another process kept the lock
  void close();

  bool batch_is_empty() const { return batch.empty() && batch_intervals.empty() && batch_scrapes.empty() && !batch_manifest; }
  void take_batch();  // m held
  bool commit();      // the batch; false: not committed, see failure, or busy
  int write_batch(totals& t);
  int insert(const model::request& r, totals& t);
  template <class Row>
  int insert(const Row& r, detail::statement& to, detail::binder& b, detail::total& t);
  int replace(const model::request& r, totals& t);
  int write_total(std::string_view name, const detail::total& t);
  int write_manifest(const model::run_info& info);
  int begin();
  void stop_for_good(int rc);

  detail::run_path path;
  detail::writer_lock lock;  // before db: released after it
  options o;
  detail::database db;

  // The writer's thread; after join() the caller of finish().
  struct statements {
    detail::statement request, interval, scrape, text, old_sum, old_text, drop, drop_text, total, forget, meta;
    detail::binder bind_request{request}, bind_interval{interval}, bind_scrape{scrape};
  };
  std::unique_ptr<statements> sql;
  totals committed;
  std::vector<block> batch;
  std::vector<model::client_interval> batch_intervals;
  std::vector<detail::scrape_row> batch_scrapes;
  std::optional<model::run_info> batch_manifest;
  std::size_t batch_bytes = 0;
  nanoseconds give_up{INT64_MAX};  // when finish() stops waiting for another process's lock
  pthread_t thread{};
  bool threaded = false, joined = false;
  light_atomic<bool> stop{false};
  light_atomic<std::uint64_t> stored{0};

  // Under m.
  mutable std::mutex m;
  pthread_cond_t wake;
  std::vector<block> queue, spare;
  std::vector<model::client_interval> intervals;
  std::vector<detail::scrape_row> scrapes;
  std::optional<model::run_info> manifest;
  std::size_t held = 0, waiting = 0;  // bytes of queue and batch; of the queue
  bool kicked = false, closed = false;
  model::loss lost;
  std::uint64_t lost_intervals = 0, lost_scrapes = 0;
  std::optional<error> failure;
};

inline result<void> store_sqlite::writer::make_tables(const model::run_info& info, const model::schedule& plan) {
  const std::string begin = "BEGIN IMMEDIATE; PRAGMA user_version = " + std::to_string(detail::schema_version);
  if (auto ok = db.exec(begin.c_str(), "cannot make the tables"); !ok) return ok;
  for (const detail::table& t : {detail::meta_table, detail::totals_table, detail::schedule_table, detail::requests_table,
                                 detail::intervals_table, detail::scrapes_table, detail::text_table}) {
    if (t.name == detail::text_table.name && !o.store_text) continue;
    if (auto ok = db.exec(t.sql.data(), "cannot make the tables"); !ok) return ok;
  }
  if (auto ok = db.exec(detail::failed_index, "cannot make the tables"); !ok) return ok;
  if (auto ok = prepare(); !ok) return ok;

  auto insert = db.prepare("INSERT INTO schedule(checksum" + detail::schedule_names() + ") VALUES(" +
                               detail::places(detail::schedule_column_count + 1) + ")",
                           "cannot store the schedule");
  if (!insert) return insert.error();
  detail::binder row{*insert};
  row.start(2);
  detail::schedule_columns(plan, row);
  insert->bind(1, detail::checksum_of(plan));
  if (row.status() == SQLITE_TOOBIG)
    return detail::path_error(errc::over_limit, path.shown,
                              "the schedule's " + std::to_string(plan.due.size()) + " due times take more than 256 MiB",
                              "plan a shorter run");
  if (row.status() != SQLITE_OK || insert->run() != SQLITE_DONE) return db.fail("cannot store the schedule");
  if (const int rc = write_manifest(info); rc != SQLITE_OK) return db.fail("cannot store the manifest", rc);
  return db.exec("COMMIT", "cannot make the tables");
}

inline result<void> store_sqlite::writer::prepare() {
  sql = std::make_unique<statements>();
  const auto get = [this](detail::statement& to, const std::string& text) {
    auto s = db.prepare(text, "cannot make the tables");
    if (!s) return result<void>(s.error());
    to = std::move(*s);
    return result<void>();
  };
  const std::pair<detail::statement*, std::string> all[] = {
      {&sql->request, "INSERT INTO requests(idx, stamps, checksum" + detail::request_names() + ") VALUES(" +
                          detail::places(detail::request_column_count + 5) + ")"},
      {&sql->interval, "INSERT INTO client_intervals(row, checksum" + detail::interval_names() + ") VALUES(" +
                           detail::places(detail::interval_column_count + 2) + ")"},
      {&sql->scrape, "INSERT INTO scrapes(row, checksum" + detail::scrape_names() + ") VALUES(" +
                         detail::places(detail::scrape_column_count + 2) + ")"},
      {&sql->old_sum, "SELECT checksum FROM requests WHERE idx = ?1"},
      {&sql->drop, "DELETE FROM requests WHERE idx = ?1"},
      {&sql->total, "INSERT OR REPLACE INTO totals VALUES(?1, ?2, ?3)"},
      {&sql->forget, "DELETE FROM meta"},
      {&sql->meta, "INSERT INTO meta VALUES(?1, ?2)"}};
  for (const auto& [to, text] : all)
    if (auto ok = get(*to, text); !ok) return ok;
  if (o.store_text) {
    if (auto ok = get(sql->text, "INSERT INTO request_text VALUES(?1, ?2, ?3, ?4)"); !ok) return ok;
    if (auto ok = get(sql->old_text, "SELECT checksum FROM request_text WHERE idx = ?1"); !ok) return ok;
    if (auto ok = get(sql->drop_text, "DELETE FROM request_text WHERE idx = ?1"); !ok) return ok;
  }
  sql->bind_request = detail::binder{sql->request};
  sql->bind_interval = detail::binder{sql->interval};
  sql->bind_scrape = detail::binder{sql->scrape};
  return {};
}

inline result<void> store_sqlite::writer::make(const model::run_info& info, const model::schedule& plan) {
  auto opened = detail::database::open(path.absolute(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, path.shown);
  if (!opened) return opened.error();
  db = std::move(*opened);
  sqlite3_limit(db.get(), SQLITE_LIMIT_LENGTH, detail::longest_row);
  sqlite3_busy_timeout(db.get(), 100);  // begin() repeats: so that a wait can be broken off
  // The application id first: a file left by a kill between here and the first commit is known as ours. 16 KiB pages store a fifth
  // more rows per second than 4 KiB; the log is worked in every 16 MiB.
  // No journal and no sync yet: there is nothing to lose, and each costs milliseconds.
  const std::string setup =
      "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 16384; PRAGMA mmap_size = 0; PRAGMA "
      "application_id = " +
      std::to_string(detail::application_id) + "; PRAGMA synchronous = FULL";
  if (auto ok = db.exec(setup.c_str(), "cannot make the run"); !ok) return ok;
  auto mode = db.prepare("PRAGMA journal_mode = WAL", "cannot make the run");
  if (!mode) return mode.error();
  if (mode->step() != SQLITE_ROW) return db.fail("cannot keep a write-ahead log here");
  if (mode->bytes(0) != "wal")
    return detail::path_error(errc::unsupported, path.shown,
                              "this file system cannot share memory between processes, which a write-ahead log needs",
                              "choose a local directory");
  *mode = detail::statement();
  if (auto ok = db.exec("PRAGMA wal_autocheckpoint = 1024; PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192",
                        "cannot make the run");
      !ok)
    return ok;
  if (auto ok = make_tables(info, plan); !ok) return ok;
  detail::sync_directory(path.directory);
  return start();
}

inline result<void> store_sqlite::writer::start() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // Ctrl-C is for the program, not for this thread
  const int rc = pthread_create(
      &thread, nullptr,
      [](void* self) -> void* {
        static_cast<writer*>(self)->loop();
        return nullptr;
      },
      this);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (rc != 0) return detail::os_error(path.shown, "cannot start the writer's thread", rc);
  threaded = true;
  return {};
}

inline void store_sqlite::writer::loop() {
  std::unique_lock hold{m};
  nanoseconds due = monotonic_now() + o.commit_every;
  while (!stop.load_acquire()) {
    if (!kicked && monotonic_now() < due) {
      const timespec until{static_cast<time_t>(due.ns / 1'000'000'000), static_cast<long>(due.ns % 1'000'000'000)};
      pthread_cond_timedwait(&wake, m.native_handle(), &until);
      continue;
    }
    take_batch();
    hold.unlock();
    due = monotonic_now() + o.commit_every;
    commit();
    hold.lock();
  }
}

inline void store_sqlite::writer::join() {
  if (!threaded) return;
  {
    std::lock_guard hold{m};
    stop.store_release(true);
  }
  pthread_cond_signal(&wake);
  pthread_join(thread, nullptr);
  threaded = false;
  joined = true;
}

inline void store_sqlite::writer::take_batch() {
  kicked = false;
  if (!batch_is_empty()) return;  // not committed yet: another process held the lock
  std::swap(batch, queue);
  std::swap(batch_intervals, intervals);
  std::swap(batch_scrapes, scrapes);
  if (manifest) std::swap(batch_manifest, manifest), manifest.reset();
  batch_bytes = std::exchange(waiting, 0);
}

inline bool store_sqlite::writer::drain(nanoseconds patience) {
  join();
  give_up = monotonic_now() + patience;
  for (int pass = 0; pass < 2; ++pass) {  // what waited for another process's lock when the thread was stopped, then the queue
    {
      std::lock_guard hold{m};
      closed = true;
      take_batch();
    }
    if (!commit() && !failure) return false;
  }
  return true;
}

inline void store_sqlite::writer::close() {
  sql.reset();
  db.close();
  lock.release();
}

// BUSY: another process holds the write lock, and we were told to stop, or waited for as long as finish() may.
inline int store_sqlite::writer::begin() {
  for (;;) {
    const int rc = db.try_exec("BEGIN IMMEDIATE");
    if ((rc & 0xff) != SQLITE_BUSY) return rc;
    if (joined ? monotonic_now() >= give_up : stop.load_acquire()) return rc;
  }
}

inline bool store_sqlite::writer::commit() {
  if (batch_is_empty()) return true;
  totals t = committed;
  int rc = SQLITE_NOMEM;
#if !HOTPATH_NO_EXCEPTIONS
  try {
#endif
    rc = begin();
    if ((rc & 0xff) == SQLITE_BUSY) return false;
    if (rc == SQLITE_OK) rc = write_batch(t);
#if !HOTPATH_NO_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    rc = SQLITE_NOMEM;
  }
#endif
  if (rc != SQLITE_OK) {
    stop_for_good(rc);
    return false;
  }
  committed = t;
  stored.store_release(static_cast<std::uint64_t>(t.requests.rows));
  for (block& b : batch) b.clear();
  batch_intervals.clear();
  batch_scrapes.clear();
  batch_manifest.reset();
  std::lock_guard hold{m};
  held -= std::exchange(batch_bytes, 0);
  for (block& b : batch)
    if (spare.size() < spare.capacity()) spare.push_back(std::move(b));
  batch.clear();
  return true;
}

// SQLITE_OK: committed.
inline int store_sqlite::writer::write_batch(totals& t) {
  for (const block& b : batch)
    for (const model::request& r : b)
      if (const int rc = insert(r, t); rc != SQLITE_OK) return rc;
  for (const model::client_interval& c : batch_intervals)
    if (const int rc = insert(c, sql->interval, sql->bind_interval, t.intervals); rc != SQLITE_OK) return rc;
  for (const detail::scrape_row& s : batch_scrapes)
    if (const int rc = insert(s, sql->scrape, sql->bind_scrape, t.scrapes); rc != SQLITE_OK) return rc;
  const std::tuple<std::string_view, const detail::total*, const detail::total*> changed[] = {
      {"requests", &t.requests, &committed.requests},
      {"client_intervals", &t.intervals, &committed.intervals},
      {"scrapes", &t.scrapes, &committed.scrapes},
      {"request_text", &t.text, &committed.text}};
  for (const auto& [name, now, before] : changed)
    if (!(*now == *before))
      if (const int rc = write_total(name, *now); rc != SQLITE_OK) return rc;
  if (batch_manifest)
    if (const int rc = write_manifest(*batch_manifest); rc != SQLITE_OK) return rc;
  return db.try_exec("COMMIT");
}

inline int store_sqlite::writer::insert(const model::request& r, totals& t) {
  const std::int64_t sum = detail::checksum_of(r);
  detail::binder& b = sql->bind_request;
  b.start(4);
  detail::request_columns(r, b);
  sql->request.bind(1, static_cast<std::int64_t>(r.index));
  sql->request.bind(2, b.sources());
  sql->request.bind(3, sum);
  if (b.status() != SQLITE_OK) return b.status();
  const int rc = sql->request.run();
  if (rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_ROWID) return replace(r, t);
  if (rc != SQLITE_DONE) return rc;
  t.requests.add(sum);
  if (!o.store_text || (r.prompt_text.empty() && r.completion_text.empty())) return SQLITE_OK;
  const std::int64_t text_sum = detail::checksum_of_text(r.index, r.prompt_text, r.completion_text);
  sql->text.bind(1, static_cast<std::int64_t>(r.index));
  sql->text.bind(2, text_sum);
  sql->text.bind(3, std::string_view(r.prompt_text));
  sql->text.bind(4, std::string_view(r.completion_text));
  if (const int done = sql->text.run(); done != SQLITE_DONE) return done;
  t.text.add(text_sum);
  return SQLITE_OK;
}

inline int store_sqlite::writer::replace(const model::request& r, totals& t) {
  const auto forget = [&](detail::statement& find, detail::statement& drop, detail::total& of) {
    find.bind(1, static_cast<std::int64_t>(r.index));
    if (find.step() == SQLITE_ROW) of.remove(find.integer(0));
    sqlite3_reset(find.get());
    drop.bind(1, static_cast<std::int64_t>(r.index));
    return drop.run();
  };
  if (const int rc = forget(sql->old_sum, sql->drop, t.requests); rc != SQLITE_DONE) return rc;
  if (o.store_text)
    if (const int rc = forget(sql->old_text, sql->drop_text, t.text); rc != SQLITE_DONE) return rc;
  return insert(r, t);
}

template <class Row>
int store_sqlite::writer::insert(const Row& r, detail::statement& to, detail::binder& b, detail::total& t) {
  const std::int64_t row = t.rows + 1, sum = detail::checksum_of(r, row);
  b.start(3);
  detail::numbered_columns(r, b);
  to.bind(1, row);
  to.bind(2, sum);
  if (b.status() != SQLITE_OK) return b.status();
  if (const int rc = to.run(); rc != SQLITE_DONE) return rc;
  t.add(sum);
  return SQLITE_OK;
}

inline int store_sqlite::writer::write_total(std::string_view name, const detail::total& t) {
  sql->total.bind(1, name);
  sql->total.bind(2, t.rows);
  sql->total.bind(3, static_cast<std::int64_t>(t.sum));
  const int rc = sql->total.run();
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

inline int store_sqlite::writer::write_manifest(const model::run_info& given) {
  model::run_info info = given;
  info.text_stored = o.store_text;
  {
    std::lock_guard hold{m};
    info.lost = lost;
    if (lost_intervals != 0)
      info.notes.push_back(std::to_string(lost_intervals) + " of the client's self-measurements could not be stored");
    if (lost_scrapes != 0) info.notes.push_back(std::to_string(lost_scrapes) + " scrapes of the server's metrics could not be stored");
  }
  if (const int rc = sql->forget.run(); rc != SQLITE_DONE) return rc;
  detail::total sum;
  detail::manifest_writer rows{sql->meta, sum};
  rows("made_by", std::string("hotpath " HOTPATH_VERSION_STRING));
  detail::manifest_fields(info, rows);
  return rows.rc != SQLITE_OK ? rows.rc : write_total("meta", sum);
}

// What is committed stays; the batch, the queue and all that comes later are lost.
inline void store_sqlite::writer::stop_for_good(int rc) {
  error e;
  e.code = detail::code_of(rc);
#if !HOTPATH_NO_EXCEPTIONS
  try {
#endif
    e = db.fail("cannot store", rc);
    e.detail += ", " + std::to_string(committed.requests.rows) + " finished requests are in the file and stay";
    e.hint = (rc & 0xff) == SQLITE_FULL ? "free space, then run again" : "";
#if !HOTPATH_NO_EXCEPTIONS
  } catch (const std::bad_alloc&) {  // the code alone, then
  }
#endif
  if (db.in_transaction()) db.try_exec("ROLLBACK");
  std::lock_guard hold{m};
  for (auto* rows : {&batch, &queue}) {
    for (const block& b : *rows) lost.dropped += b.size();
    rows->clear();
  }
  lost_intervals += batch_intervals.size() + intervals.size();
  lost_scrapes += batch_scrapes.size() + scrapes.size();
  batch_intervals.clear(), intervals.clear();
  batch_scrapes.clear(), scrapes.clear();
  batch_manifest.reset();
  manifest.reset();
  held = waiting = batch_bytes = 0;
  if (!failure) failure = std::move(e);
}

inline store_sqlite::store_sqlite(std::unique_ptr<writer> w) noexcept : w_(std::move(w)) {}
inline store_sqlite::store_sqlite(store_sqlite&&) noexcept = default;
inline store_sqlite& store_sqlite::operator=(store_sqlite&&) noexcept = default;
inline store_sqlite::~store_sqlite() = default;

inline result<store_sqlite> store_sqlite::create(const std::string& path, const model::run_info& info,
                                                 const model::schedule& plan, options o) {
  auto run = detail::resolve_for_writing(path);
  if (!run) return run.error();
  auto lock = detail::writer_lock::take(*run);
  if (!lock) return lock.error();
  const detail::file_kind kind = detail::kind_of(run->absolute());
  if (kind == detail::file_kind::link)
    return detail::path_error(errc::unreadable, run->shown, "is a symbolic link, which is not followed for a file to be written");
  if (kind != detail::file_kind::none)
    return detail::path_error(errc::unreadable, run->shown, "exists already", "move it away, or choose another file");
  for (const std::string_view suffix : detail::sidecars)
    if (detail::kind_of(run->absolute(suffix)) != detail::file_kind::none)
      return detail::path_error(
          errc::unreadable, run->shown,
          "its file " + run->shown + std::string(suffix) + " was left behind by a run whose main file is gone",
          "put the two back together, or remove it");
  if (auto made = detail::create_private(*run); !made) return made.error();
  auto w = std::make_unique<writer>(std::move(*run), std::move(*lock), o);
  w->spare.reserve(64);
  if (auto ok = w->make(info, plan); !ok) {
    w->closed = true;
    w->sql.reset();
    w->db.close();
    unlink(w->path.absolute().c_str());
    for (const std::string_view suffix : detail::sidecars) unlink(w->path.absolute(suffix).c_str());
    return ok.error();
  }
  return store_sqlite{std::move(w)};
}

inline void store_sqlite::add(model::request&& r) {
  writer& w = *w_;
  if (!w.o.store_text) r.prompt_text = {}, r.completion_text = {};
  const std::size_t cost = detail::footprint(r);
  bool kick = false;
  {
    std::lock_guard hold{w.m};
    if (w.closed || w.failure) return void(++w.lost.dropped);
    if (cost > (std::min)(w.o.queue_bytes, static_cast<std::size_t>(detail::longest_row) / 2)) return void(++w.lost.over_limit);
    if (w.held + cost > w.o.queue_bytes) return void(++w.lost.dropped);
#if !HOTPATH_NO_EXCEPTIONS
    try {
#endif
      if (w.queue.empty() || w.queue.back().size() == detail::block_rows) {
        if (w.spare.empty()) {
          w.queue.emplace_back().reserve(detail::block_rows);
        } else {
          w.queue.push_back(std::move(w.spare.back()));
          w.spare.pop_back();
        }
      }
      w.queue.back().push_back(std::move(r));
#if !HOTPATH_NO_EXCEPTIONS
    } catch (const std::bad_alloc&) {
      return void(++w.lost.dropped);
    }
#endif
    w.held += cost;
    w.waiting += cost;
    kick = !w.kicked && w.waiting > w.o.queue_bytes / 8;  // the writer starts well before the queue is full
    w.kicked |= kick;
  }
  if (kick) pthread_cond_signal(&w.wake);
}

inline void store_sqlite::add(const model::client_interval& c) {
  writer& w = *w_;
  constexpr std::size_t most = 65536;  // an hour of 18 threads; only a locked file lets them pile up
  std::lock_guard hold{w.m};
  if (w.closed || w.failure || w.intervals.size() >= most) return void(++w.lost_intervals);
#if !HOTPATH_NO_EXCEPTIONS
  try {
#endif
    w.intervals.push_back(c);
#if !HOTPATH_NO_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    ++w.lost_intervals;
  }
#endif
}

inline void store_sqlite::add(model::scrape&& s) {
  writer& w = *w_;
  constexpr std::size_t most = 4096;  // an hour at one per second; only a locked file lets them pile up
#if !HOTPATH_NO_EXCEPTIONS
  try {
#endif
    detail::scrape_row row = detail::encode(std::move(s));
    std::lock_guard hold{w.m};
    if (w.closed || w.failure || w.scrapes.size() >= most) return void(++w.lost_scrapes);
    w.scrapes.push_back(std::move(row));
#if !HOTPATH_NO_EXCEPTIONS
  } catch (const std::bad_alloc&) {
    std::lock_guard hold{w.m};
    ++w.lost_scrapes;
  }
#endif
}

inline void store_sqlite::note_state(const model::run_info& info) {
  std::lock_guard hold{w_->m};
  if (!w_->closed && !w_->failure) w_->manifest = info;
}

inline result<void> store_sqlite::finish(const model::run_info& info) {
  writer& w = *w_;
  if (w.closed) return detail::path_error(errc::usage, w.path.shown, "the run is finished already");
  int rc = SQLITE_BUSY;
  if (w.drain(w.o.busy_timeout)) {
    rc = w.begin();
    if (rc == SQLITE_OK) rc = w.write_manifest(info);
    if (rc == SQLITE_OK) rc = w.db.try_exec("COMMIT");
  }
  if (rc != SQLITE_OK) {
    error e = w.db.fail("the run stays marked as running, its last state cannot be stored", rc);
    if (!w.failure)
      w.stop_for_good(rc);
    else if (w.db.in_transaction())
      w.db.try_exec("ROLLBACK");
    w.close();
    return e;
  }
  // One self-contained file. A reader that has it open keeps the log alive: then it stays, and is just as durable.
  w.sql.reset();
  if (w.db.try_exec("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK) w.db.try_exec("PRAGMA journal_mode = DELETE");
  w.close();
  return {};
}

inline model::loss store_sqlite::lost() const {
  std::lock_guard hold{w_->m};
  return w_->lost;
}
inline std::optional<error> store_sqlite::failed() const {
  std::lock_guard hold{w_->m};
  return w_->failure;
}
inline std::uint64_t store_sqlite::stored() const { return w_->stored.load_acquire(); }

inline result<std::string> store_sqlite::move_aside(const std::string& path) {
  auto run = detail::resolve_for_writing(path);
  if (!run) return run.error();
  const detail::file_kind kind = detail::kind_of(run->absolute());
  if (kind == detail::file_kind::none) return std::string();
  if (kind != detail::file_kind::regular)
    return detail::path_error(errc::unreadable, run->shown, "is not a regular file", "choose another file");
  auto lock = detail::writer_lock::take(*run);
  if (!lock) return lock.error();

  if (detail::size_of(run->absolute()) != 0) {
    auto db = detail::database::open(run->absolute(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, run->shown);
    if (!db) return db.error();
    auto id = db->number("PRAGMA application_id", "cannot be read");
    if (!id || *id != detail::application_id) {
      error e = detail::path_error(errc::malformed, run->shown,
                                   "exists and is not a hotpath run" + (id ? std::string() : " (" + id.error().detail + ")"));
      e.hint = "move it away, or choose another file";
      return e;
    }
    // Works the log in. Where that fails (damaged, no space, a reader) the log moves along with its file as it is.
    sqlite3_db_config(db->get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    if (!detail::wal_damage(run->absolute("-wal")) && db->try_exec("PRAGMA wal_checkpoint(TRUNCATE)") == SQLITE_OK)
      db->try_exec("PRAGMA journal_mode = DELETE");
  }

  const bool has_ending = run->name.size() > 3 && run->name.ends_with(".db");
  const std::string stem = has_ending ? run->name.substr(0, run->name.size() - 3) : run->name;
  for (unsigned n = 1;; ++n) {
    detail::run_path to = *run;
    to.name = stem + "." + std::to_string(n) + ".db";
    bool free = detail::kind_of(to.absolute()) == detail::file_kind::none;
    for (const std::string_view suffix : detail::sidecars)
      free &= detail::kind_of(to.absolute(suffix)) == detail::file_kind::none;
    if (!free) continue;
    // First a second name for each log, then the file, then the old names go: at no moment is the file without its log.
    for (const std::string_view suffix : detail::sidecars)
      if (suffix != "-shm" && detail::size_of(run->absolute(suffix)) != 0 &&
          link(run->absolute(suffix).c_str(), to.absolute(suffix).c_str()) != 0)
        return detail::os_error(run->shown, "its log cannot be moved", errno);
    auto moved = detail::rename_free(*run, run->absolute(), to.absolute());
    if (!moved || !*moved)
      for (const std::string_view suffix : detail::sidecars) unlink(to.absolute(suffix).c_str());
    if (!moved) return moved.error();
    if (!*moved) continue;
    for (const std::string_view suffix : detail::sidecars) unlink(run->absolute(suffix).c_str());
    detail::sync_directory(run->directory);
    const std::size_t slash = path.rfind('/');
    return (slash == std::string::npos ? std::string() : path.substr(0, slash + 1)) + to.name;
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::run

#include <hotpath/run/stored_run-inl.hpp>
