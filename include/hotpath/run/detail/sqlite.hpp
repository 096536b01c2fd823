// SPDX-License-Identifier: Apache-2.0
// hotpath/run/detail/sqlite.hpp - the columns of rows.hpp bound and read, and the schema.
#pragma once
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>  // words for an errno
#include <utility>
#include <hotpath/core/detail/sqlite.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/run/detail/rows.hpp>
#include <hotpath/run/detail/run_file.hpp>

namespace hotpath::inline HOTPATH_ABI::run::detail {

using hotpath::detail::sqlite::code_of;
using hotpath::detail::sqlite::database;
using hotpath::detail::sqlite::statement;

// Binds a row's columns from `at` on. Blobs and texts must outlive the step that follows. What is the same as in the row before
// (NULL, flags, names of enumerators) stays bound: a bind costs 10 ns, a row has 41.
class binder {
 public:
  explicit binder(statement& s) : s_(s.get()) { bound_.fill({null_, 0}); }
  void start(int at) { at_ = at, rc_ = SQLITE_OK, sources_ = 0, stamps_ = 0; }
  int status() const { return rc_; }                 // the first bind that failed, e.g. SQLITE_TOOBIG
  std::int64_t sources() const { return sources_; }  // of the stamps visited: 4 bits each, source << 1 | exact, first one lowest

  template <class T>
  requires std::is_integral_v<T>
  void operator()(std::string_view, T v) { integer(static_cast<std::int64_t>(v)); }
  void operator()(std::string_view, double d) { fresh(sqlite3_bind_double(s_, at_, d)); }
  void operator()(std::string_view, nanoseconds t) { integer(t.ns); }
  void operator()(std::string_view, const std::string& s) {
    if (s.empty()) return null();
    fresh(sqlite3_bind_text64(s_, at_, s.data(), s.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void operator()(std::string_view, const model::stamp& s) {
    sources_ |= static_cast<std::int64_t>(static_cast<std::uint64_t>(packed(s)) << (4 * stamps_++));
    if (s)
      integer(s.at.ns);
    else
      null();
  }
  template <class T>
  void operator()(std::string_view name, const std::optional<T>& v) {
    if (v)
      (*this)(name, *v);
    else
      null();
  }
  void operator()(std::string_view, const model::chunk_log& log) {
    integer(static_cast<std::int64_t>(log.count()));
    integer(static_cast<std::int64_t>(log.inexact()));
    blob(log.bytes());
  }
  void operator()(std::string_view, const stats::sketch& s) { blob(own_[owned_++ % own_.size()] = s.encode()); }
  void operator()(std::string_view, const std::vector<nanoseconds>& due) { blob(own_[owned_++ % own_.size()] = encode_due(due)); }
  template <class T, std::size_t N>
  void operator()(std::string_view, T e, const std::string_view (&names)[N]) {
    const auto i = static_cast<std::size_t>(e);
    if (i >= N || (i == 0 && names[0] == "none")) return null();
    if (slot().what == names[i].data()) return void(++at_);
    bound(sqlite3_bind_text64(s_, at_, names[i].data(), names[i].size(), SQLITE_STATIC, SQLITE_UTF8), {names[i].data(), 0});
  }
  template <class T>
  void zero_is_null(std::string_view, T v) {
    if (v == 0)
      null();
    else
      integer(static_cast<std::int64_t>(v));
  }

 private:
  struct value {
    const void* what;  // null_, integer_, an enumerator's name, or nullptr: something that is bound anew each time
    std::int64_t number;
  };
  value& slot() { return bound_[static_cast<std::size_t>(at_)]; }
  void bound(int rc, value v) {
    slot() = rc == SQLITE_OK ? v : value{};
    if (rc != SQLITE_OK && rc_ == SQLITE_OK) rc_ = rc;
    ++at_;
  }
  void fresh(int rc) { bound(rc, {}); }
  void integer(std::int64_t v) {
    if (slot().what == integer_ && slot().number == v) return void(++at_);
    bound(sqlite3_bind_int64(s_, at_, v), {integer_, v});
  }
  void null() {
    if (slot().what == null_) return void(++at_);
    bound(sqlite3_bind_null(s_, at_), {null_, 0});
  }
  void blob(const std::string& b) {
    if (b.empty()) return null();
    fresh(sqlite3_bind_blob64(s_, at_, b.data(), b.size(), SQLITE_STATIC));
  }

  static constexpr const char *null_ = "NULL", *integer_ = "INTEGER";
  sqlite3_stmt* s_;
  std::array<value, 64> bound_{};
  std::array<std::string, 2> own_;  // of one row: a row encodes at most two values
  std::size_t owned_ = 0;
  std::int64_t sources_ = 0;
  unsigned stamps_ = 0;
  int at_ = 1, rc_ = SQLITE_OK;
};

// Reads a row's columns from `at` on. Any bytes give some valid value: whether it is the stored one, the row's checksum tells.
class loader {
 public:
  loader(statement& s, int at, std::int64_t sources = 0) : s_(s), at_(at), sources_(static_cast<std::uint64_t>(sources)) {}
  bool damaged() const { return damaged_; }  // what a checksum over the decoded values could not tell

  template <class T>
  requires std::is_integral_v<T>
  void operator()(std::string_view, T& v) {
    const std::int64_t n = s_.integer(at_++);
    if constexpr (std::is_same_v<T, bool>)
      v = n != 0, damaged_ |= n != 0 && n != 1;
    else
      v = static_cast<T>(n), damaged_ |= static_cast<std::int64_t>(v) != n;
  }
  void operator()(std::string_view, double& d) { d = sqlite3_column_double(s_.get(), at_++); }
  void operator()(std::string_view, nanoseconds& t) { t.ns = s_.integer(at_++); }
  void operator()(std::string_view, std::string& v) { v.assign(s_.bytes(at_++)); }
  void operator()(std::string_view, model::stamp& v) {
    const auto bits = static_cast<unsigned>(sources_ >> (4 * stamps_++)) & 15u;
    const bool missing = s_.is_null(at_);
    const unsigned source = bits >> 1;
    damaged_ |= missing ? bits != 0 : source == 0 || source > static_cast<unsigned>(model::stamp_source::server);
    if (missing || damaged_)
      v = {};
    else
      v = {nanoseconds{s_.integer(at_)}, static_cast<model::stamp_source>(source), (bits & 1) != 0};
    ++at_;
  }
  template <class T>
  void operator()(std::string_view name, std::optional<T>& v) {
    if (s_.is_null(at_))
      v.reset(), ++at_;
    else
      (*this)(name, v.emplace());
  }
  void operator()(std::string_view, model::chunk_log& v) {
    const std::int64_t count = s_.integer(at_++), inexact = s_.integer(at_++);
    v = model::chunk_log::from_bytes(std::string(s_.bytes(at_++)));
    damaged_ |= static_cast<std::int64_t>(v.count()) != count || static_cast<std::int64_t>(v.inexact()) != inexact;
  }
  void operator()(std::string_view, stats::sketch& v) {
    auto read = stats::sketch::decode(s_.bytes(at_++));
    if (read)
      v = std::move(*read);
    else
      damaged_ = true;
  }
  void operator()(std::string_view, std::vector<nanoseconds>& v) {
    auto read = decode_due(s_.bytes(at_++));
    if (read)
      v = std::move(*read);
    else
      damaged_ = true;
  }
  template <class T, std::size_t N>
  void operator()(std::string_view, T& v, const std::string_view (&names)[N]) {
    const std::string_view name = s_.is_null(at_) ? "none" : s_.bytes(at_);
    ++at_;
    const auto* found = std::find(std::begin(names), std::end(names), name);
    damaged_ |= found == std::end(names);
    v = found == std::end(names) ? T{} : static_cast<T>(found - std::begin(names));
  }
  template <class T>
  void zero_is_null(std::string_view name, T& v) {
    (*this)(name, v);
  }

 private:
  statement& s_;
  int at_;
  std::uint64_t sources_;
  unsigned stamps_ = 0;
  bool damaged_ = false;
};

inline constexpr int longest_row = 256 << 20;  // bytes of one row or statement, written and read (SQLITE_LIMIT_LENGTH)

// ---- the schema ---------------------------------------------------------------------------------------------------------
inline constexpr std::int64_t application_id = 0x68707468;  // "hpth", at byte 68 of the file
inline constexpr std::int64_t schema_version = 1;           // PRAGMA user_version

struct table {
  std::string_view name, sql;  // as SQLite keeps it: a reader refuses a file in which the two differ
};
inline constexpr table meta_table{"meta", "CREATE TABLE meta(key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID"};
// How many rows each table has and the sum of their checksums: rows that vanish are noticed.
inline constexpr table totals_table{
    "totals",
    "CREATE TABLE totals(name TEXT PRIMARY KEY, rows INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT, WITHOUT ROWID"};
inline constexpr table schedule_table{
    "schedule",
    "CREATE TABLE schedule(kind TEXT NOT NULL, streams INTEGER NOT NULL, max_in_flight INTEGER NOT NULL, per_second REAL NOT "
    "NULL, "
    "seed INTEGER NOT NULL, max_requests INTEGER, max_duration_ns INTEGER, due BLOB, checksum INTEGER NOT NULL) STRICT"};
// One row per finished request. idx: its place in the schedule. *_ns: since the run's origin, NULL = it did not happen.
// stamps: 4 bits per *_ns column, the first lowest: source << 1 | exact (model/clock.hpp). chunks: model/chunk_log.hpp.
inline constexpr table requests_table{
    "requests",
    "CREATE TABLE requests(idx INTEGER PRIMARY KEY, stamps INTEGER NOT NULL, checksum INTEGER NOT NULL, workload_row INTEGER NOT "
    "NULL, "
    "pass INTEGER NOT NULL, attempt INTEGER NOT NULL, id TEXT, given_id TEXT, warmup INTEGER NOT NULL, status TEXT NOT NULL, "
    "error TEXT, "
    "http_status INTEGER, error_message TEXT, finish_reason TEXT, intended_ns INTEGER, slot_free_ns INTEGER, connect_begin_ns "
    "INTEGER, "
    "connected_ns INTEGER, sent_ns INTEGER, head_ns INTEGER, first_content_ns INTEGER, first_output_ns INTEGER, last_content_ns "
    "INTEGER, "
    "finished_ns INTEGER, closed_ns INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER, reasoning_tokens INTEGER, "
    "cached_tokens INTEGER, tokens_from TEXT, prompt_tokens_planned INTEGER, output_tokens_asked INTEGER, usage_suspect INTEGER "
    "NOT NULL, "
    "bytes_sent INTEGER NOT NULL, bytes_received INTEGER NOT NULL, prompt_bytes INTEGER NOT NULL, warnings INTEGER NOT NULL, "
    "reused_connection INTEGER NOT NULL, chunk_count INTEGER NOT NULL, chunks_inexact INTEGER NOT NULL, chunks BLOB) STRICT"};
inline constexpr table intervals_table{
    "client_intervals",
    "CREATE TABLE client_intervals(row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, thread INTEGER NOT NULL, begin_ns INTEGER "
    "NOT NULL, "
    "end_ns INTEGER NOT NULL, cpu_ns INTEGER NOT NULL, wakeups INTEGER NOT NULL, reads INTEGER NOT NULL, bytes_received INTEGER "
    "NOT NULL, "
    "bytes_sent INTEGER NOT NULL, content_events INTEGER NOT NULL, inexact_events INTEGER NOT NULL, receive_queue_max INTEGER "
    "NOT NULL, "
    "open_descriptors INTEGER NOT NULL, in_flight INTEGER NOT NULL, suspended_ns INTEGER NOT NULL, loop_lag_ns BLOB NOT NULL, "
    "read_lag_ns BLOB NOT NULL) STRICT"};
// What the engine said of itself, in the order of time: before the first request, while the load ran, after the last answer.
// series, problems: run/detail/scrape_row.hpp.
inline constexpr table scrapes_table{
    "scrapes",
    "CREATE TABLE scrapes(row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, moment TEXT NOT NULL, begin_ns INTEGER NOT NULL, "
    "end_ns INTEGER NOT NULL, error TEXT, engine TEXT, skipped INTEGER NOT NULL, lost_malformed INTEGER NOT NULL, lost_over_limit "
    "INTEGER NOT NULL, lost_truncated INTEGER NOT NULL, lost_dropped INTEGER NOT NULL, problems TEXT, series TEXT) STRICT"};
// Only with store_text: without the option there is no place for a prompt.
inline constexpr table text_table{
    "request_text",
    "CREATE TABLE request_text(idx INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, prompt TEXT, completion TEXT) STRICT"};
// Kernel reports that were kept with the run, if any were: JSON, schema hotpath.triage/1. checksum: of source, added_ns and report.
inline constexpr table profiles_table{
    "kernel_profiles",
    "CREATE TABLE kernel_profiles(row INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, source TEXT NOT NULL, added_ns INTEGER NOT NULL, "
    "report TEXT NOT NULL) STRICT"};
// Which requests failed, and how: a few rows, whatever the size of the run.
inline constexpr const char* failed_index = "CREATE INDEX requests_failed ON requests(status, error) WHERE status <> 'ok'";

// "?1, ?2, ..., ?n"
inline std::string places(int n) {
  std::string text;
  for (int i = 1; i <= n; ++i) (text += i == 1 ? "?" : ", ?") += std::to_string(i);
  return text;
}
template <class Row, class Visit>
std::string names_of(Visit visit) {
  column_names names;
  Row row;
  visit(row, names);
  return std::move(names.text);
}
inline std::string request_names() {
  return names_of<model::request>([](auto& r, auto& v) { request_columns(r, v); });
}
inline std::string interval_names() {
  return names_of<model::client_interval>([](auto& r, auto& v) { interval_columns(r, v); });
}
inline std::string scrape_names() {
  return names_of<scrape_row>([](auto& r, auto& v) { scrape_columns(r, v); });
}
inline std::string schedule_names() {
  return names_of<model::schedule>([](auto& r, auto& v) { schedule_columns(r, v); });
}

}  // namespace hotpath::inline HOTPATH_ABI::run::detail
