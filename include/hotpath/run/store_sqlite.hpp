// SPDX-License-Identifier: Apache-2.0
// hotpath/run/store_sqlite.hpp - one file = one run: written while it goes on, readable by another process meanwhile.
//
//     auto store = run::store_sqlite::create("out/serve_profile.db", info, plan);   // result<store_sqlite>
//     if (!store) { std::fputs(store.error().message().c_str(), stderr); return 3; }
//     store->add(std::move(finished_request));          // any thread, never waits; durable within a second
//     store->finish(info);                              // final manifest and state
//
//     auto run = run::stored_run::open("out/serve_profile.db");
//     run->for_each_request([](const model::request& r) { use(r); });
//
//   A file whose writer was killed opens as what was committed until then, with state `running`: partial() is true.
//   Every row has a checksum and every table the sum of them: damage on disk is an error, never a wrong figure.
//   While it is written, x.db-wal and x.db-shm (SQLite's) and x.db-lock (the writer's pid) lie beside x.db; finish() leaves x.db alone.
//   Link SQLite >= 3.37 (the CMake component sqlite). The schema is in run/detail/sqlite.hpp and plain SQL reads it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/model/client.hpp>
#include <hotpath/model/loss.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/model/run.hpp>
#include <hotpath/model/schedule.hpp>
#include <hotpath/model/scrape.hpp>

namespace hotpath::inline HOTPATH_ABI::run {

// Writes one run. Movable. A thread of its own commits; signals of the process are not delivered to it.
class store_sqlite {
 public:
  struct options {
    bool store_text = false;              // keep prompt_text and completion_text; without it the file has no place for them
    nanoseconds commit_every = 500_ms;    // at most this much finished work is lost by kill -9 or a power cut
    std::size_t queue_bytes = 64u << 20;  // memory for rows that wait to be committed; a row that does not fit is lost, counted
    nanoseconds busy_timeout = 30_s;      // finish() waits this long for another process that has locked the file
  };

  // Makes the file, 0600, in a directory that is made 0700 when missing, and writes manifest and schedule: what cannot work fails here,
  // before a request is sent. The name is a plain name whatever its bytes. Refused: an existing file (move_aside first), a run that is
  // being written (the message has the pid), a directory, a symbolic link, a log left over from another file, a name over 247 bytes.
  static result<store_sqlite> create(const std::string& path, const model::run_info& info, const model::schedule& plan,
                                     options o);
  static result<store_sqlite> create(const std::string& path, const model::run_info& info, const model::schedule& plan) {
    return create(path, info, plan, options());
  }

  // An existing run, finished or killed, becomes <stem>.<n>.db (first free n, from 1) beside it, its write-ahead log worked in or moved
  // with it. Returns the new name; empty: there was none. Refused: a run that is being written, and a file that is not a run.
  static result<std::string> move_aside(const std::string& path);

  // Any thread. Never waits for the disk: about 0.1 us, an allocation per 128 rows at most. A full queue or a failed store: counted in
  // lost(). A second row of the same index replaces the first (requests sent again after a restart).
  void add(model::request&& r);
  void add(const model::client_interval& c);
  void add(model::scrape&& s);  // a lost one is a note of the run

  // Replaces the manifest at the next commit. run_info::lost and text_stored are the store's own: what the caller has there is ignored.
  void note_state(const model::run_info& info);

  // Commits what is queued, writes the manifest with its final state, and leaves one self-contained file. An error: the file still says
  // `running`. Rows that were lost before are no error here: see lost() and failed(). A store that is destroyed without finish()
  // commits what is queued and leaves the state as it is.
  result<void> finish(const model::run_info& info);

  model::loss lost() const;  // finished requests that are not in the file. Any thread
  std::optional<error> failed()
      const;                     // set once the store has stopped: disk full, an I/O error. What is committed stays; stop sending
  std::uint64_t stored() const;  // requests that are durable. Any thread

  store_sqlite(store_sqlite&&) noexcept;
  store_sqlite& operator=(store_sqlite&&) noexcept;
  ~store_sqlite();

 private:
  struct writer;
  explicit store_sqlite(std::unique_ptr<writer> w) noexcept;
  std::unique_ptr<writer> w_;
};

// A kernel report that was kept with a run: what its traces say of the same server.
struct kernel_profile {
  std::string source;        // which traces: equal sources replace each other
  nanoseconds added{};       // CLOCK_REALTIME
  std::string report;        // JSON, schema hotpath.triage/1
};

// Reads a run, also one that is being written: each loop sees the rows committed when it began. One thread at a time. Nothing is
// trusted: a hostile or damaged file is an error (code malformed), with bounded time and memory.
class stored_run {
 public:
  // Errors: not_found, empty (its writer ended before the run began), unsupported ("made by hotpath X"), malformed, unreadable.
  static result<stored_run> open(const std::string& path);

  const model::run_info& info() const;  // as of open(); its plan has no due times
  const model::schedule& plan() const;  // with its due times
  std::uint64_t requests() const;       // rows as of open()
  bool partial() const;                 // still running or its writer was killed, rows were lost, or the log was damaged
  std::optional<long> writer() const;   // the pid of the process that is writing it now (0: not known); nullopt: nobody

  // In the order of the schedule, one row in memory at a time. f(model::request&&): take it by const& or keep it. An error after some
  // calls: the rows given so far were whole, the rest cannot be read, or rows are missing.
  template <class F>
  result<void> for_each_request(F&& f) {
    return for_each<model::request>(f);
  }
  // In the order of storing. f(model::client_interval&&).
  template <class F>
  result<void> for_each_client_interval(F&& f) {
    return for_each<model::client_interval>(f);
  }

  // In the order of time. f(model::scrape&&).
  template <class F>
  result<void> for_each_scrape(F&& f) {
    return for_each<model::scrape>(f);
  }

  // Those that were kept, in the order of keeping; a run without any: empty.
  result<std::vector<kernel_profile>> kernel_profiles();
  // Keeps one with the run at `path`, in place of the one with the same source. Refused: what open() refuses, a run that is being written,
  // a run whose log is damaged, a report of more than 64 MiB. Either all of it is stored or nothing changed.
  static result<void> keep(const std::string& path, const kernel_profile& p);

  stored_run(stored_run&&) noexcept;
  stored_run& operator=(stored_run&&) noexcept;
  ~stored_run();

 private:
  struct reader;
  struct cursor;
  struct cursor_end {
    void operator()(cursor*) const;
  };
  explicit stored_run(std::unique_ptr<reader> r) noexcept;
  result<std::unique_ptr<cursor, cursor_end>> begin(const model::request*);
  result<std::unique_ptr<cursor, cursor_end>> begin(const model::client_interval*);
  result<std::unique_ptr<cursor, cursor_end>> begin(const model::scrape*);
  static result<bool> next(cursor& rows, model::request& row);  // false: the end, all rows accounted for
  static result<bool> next(cursor& rows, model::client_interval& row);
  static result<bool> next(cursor& rows, model::scrape& row);
  template <class Row>
  static result<bool> next_numbered(cursor& rows, Row& row);

  template <class Row, class F>
  result<void> for_each(F& f) {
    auto rows = begin(static_cast<const Row*>(nullptr));
    if (!rows) return rows.error();
    for (;;) {
      Row row;
      auto more = next(**rows, row);
      if (!more) return more.error();
      if (!*more) return {};
      f(std::move(row));
    }
  }
  std::unique_ptr<reader> r_;
};

}  // namespace hotpath::inline HOTPATH_ABI::run

#include <hotpath/run/store_sqlite-inl.hpp>
