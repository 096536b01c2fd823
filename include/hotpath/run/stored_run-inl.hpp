// SPDX-License-Identifier: Apache-2.0
// hotpath/run/stored_run-inl.hpp - bodies of store_sqlite.hpp: the reader. It trusts nothing that it finds in a file.
#pragma once
#include <hotpath/run/store_sqlite.hpp>

#include <algorithm>
#include <vector>
#include <hotpath/run/detail/sqlite.hpp>

namespace hotpath::inline HOTPATH_ABI::run {

namespace detail {
// The rows of meta, back into a manifest. What has no row keeps its default.
struct manifest_reader {
  struct field {
    std::string key, text;
    std::int64_t number = 0;
    bool is_text = false;
  };
  std::vector<field> rows;  // by key; not a map of variants: 3,000 lines of includes
  bool damaged = false;

  const field* find(const std::string& key, bool text) const {
    const auto at = std::lower_bound(rows.begin(), rows.end(), key, [](const field& f, const std::string& k) { return f.key < k; });
    return at == rows.end() || at->key != key || at->is_text != text ? nullptr : &*at;
  }
  template <class T>
  requires std::is_integral_v<T>
  void operator()(const std::string& key, T& n) {
    if (auto* v = find(key, false)) n = static_cast<T>(v->number);
  }
  void operator()(const std::string& key, nanoseconds& t) { (*this)(key, t.ns); }
  void operator()(const std::string& key, std::string& text) {
    if (auto* v = find(key, true)) text = v->text;
  }
  void operator()(const std::string& key, std::optional<nanoseconds>& t) {
    if (auto* v = find(key, false)) t = nanoseconds{v->number};
  }
  void operator()(const std::string& key, std::vector<std::string>& list) {
    for (std::size_t i = 0;; ++i) {
      auto* v = find(key + "." + std::to_string(i), true);
      if (v == nullptr) return;
      list.push_back(v->text);
    }
  }
  void operator()(const std::string& key, model::loss& l) {
    (*this)(key + ".dropped", l.dropped), (*this)(key + ".truncated", l.truncated), (*this)(key + ".malformed", l.malformed);
    (*this)(key + ".over_limit", l.over_limit), (*this)(key + ".late", l.late);
  }
  template <class T, std::size_t N>
  void operator()(const std::string& key, T& e, const std::string_view (&names)[N]) {
    auto* v = find(key, true);
    const auto* found = v == nullptr ? std::end(names) : std::find(std::begin(names), std::end(names), v->text);
    damaged |= found == std::end(names);
    e = found == std::end(names) ? T{} : static_cast<T>(found - std::begin(names));
  }
};
}  // namespace detail

struct stored_run::reader {
  detail::run_path path;
  detail::database db;
  model::run_info info;
  model::schedule plan;
  std::uint64_t rows = 0;
  bool damaged_log = false;
  std::int64_t budget = 0;  // of the running statement, in 10,000 steps of SQLite's machine

  result<void> connect();
  result<std::int64_t> try_connect(const std::string& name, int flags);
  result<void> check_version(std::int64_t id);
  result<void> load();
  result<void> load_manifest();
  result<detail::total> total_of(std::string_view table);
  void refill();
};

// A row needs about 130 steps and 100 bytes: four per byte are enough for any run and stop a file whose pages form a ring.
inline void stored_run::reader::refill() {
  budget = static_cast<std::int64_t>(1000 + (detail::size_of(path.absolute()) + detail::size_of(path.absolute("-wal"))) / 2500);
}

inline result<std::int64_t> stored_run::reader::try_connect(const std::string& name, int flags) {
  db = detail::database();
  auto opened = detail::database::open(name, flags | SQLITE_OPEN_NOFOLLOW, path.shown);
  if (!opened) return opened.error();
  db = std::move(*opened);
  sqlite3* c = db.get();
  sqlite3_busy_timeout(c, 5000);
  refill();
  sqlite3_progress_handler(
      c, 10000, [](void* left) { return --*static_cast<std::int64_t*>(left) < 0 ? 1 : 0; }, &budget);
  if (auto ok = hotpath::detail::sqlite::harden(db, detail::longest_row); !ok) return ok.error();
  return db.number("PRAGMA application_id", "cannot read");
}

inline result<void> stored_run::reader::connect() {
  const std::string name = path.absolute();
  auto id = try_connect(name, SQLITE_OPEN_READONLY);
  const int rc = db ? db.code() : SQLITE_CANTOPEN;
  if (!id && (rc == SQLITE_READONLY_ROLLBACK || rc == SQLITE_READONLY_RECOVERY)) {
    // Its writer was killed while it closed the file: the last step has to be undone first, and only a writer may.
    (void)try_connect(name, SQLITE_OPEN_READWRITE);
    id = try_connect(name, SQLITE_OPEN_READONLY);
  } else if (!id && ((rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_READONLY)) {
    if (detail::size_of(path.absolute("-wal")) != 0) {
      error e = id.error();
      e.hint = "its write-ahead log needs a writable directory: copy both files to one";
      return e;
    }
    // A directory we cannot write in, and no log: the file is all there is, and nobody can be writing it.
    id = try_connect(hotpath::detail::sqlite::uri_of(name) + "?immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
  }
  if (!id) {
    error e = id.error();
    if (db && (db.code() & 0xff) == SQLITE_NOTADB) e.detail = "is not a hotpath run (not an SQLite file)";
    return e;
  }
  return check_version(*id);
}

inline result<void> stored_run::reader::check_version(std::int64_t id) {
  auto version = db.number("PRAGMA user_version", "cannot read");
  if (!version) return version.error();
  auto tables = db.number("SELECT count(*) FROM sqlite_schema", "cannot read");
  if (!tables) return tables.error();
  if (*tables == 0 && *version == 0 && (id == detail::application_id || id == 0))
    return detail::path_error(errc::empty, path.shown, "holds no run: its writer ended while making it");
  if (id != detail::application_id)
    return detail::path_error(errc::malformed, path.shown, "is an SQLite file, but not a hotpath run");
  if (*version > detail::schema_version) {
    std::string maker = "a newer hotpath";
    if (auto s = db.prepare("SELECT value FROM meta WHERE key = 'made_by'", "cannot read"); s && s->step() == SQLITE_ROW)
      maker = detail::printable(s->bytes(0).substr(0, 64));
    return detail::path_error(errc::unsupported, path.shown,
                              "made by " + maker + " (schema " + std::to_string(*version) +
                                  "), and this is hotpath " HOTPATH_VERSION_STRING ", which reads schema " +
                                  std::to_string(detail::schema_version),
                              "read it with that version or a newer one");
  }
  if (*version < 1)
    return detail::path_error(errc::malformed, path.shown, "schema version " + std::to_string(*version) + " does not exist");
  return {};
}

inline result<detail::total> stored_run::reader::total_of(std::string_view table) {
  auto s = db.prepare("SELECT rows, checksum FROM totals WHERE name = ?1", "cannot read");
  if (!s) return s.error();
  s->bind(1, table);
  detail::total t;
  const int rc = s->step();
  if (rc == SQLITE_ROW)
    t = {s->integer(0), static_cast<std::uint64_t>(s->integer(1))};
  else if (rc != SQLITE_DONE)
    return db.fail("cannot read");
  return t;
}

inline result<void> stored_run::reader::load_manifest() {
  auto want = total_of("meta");
  if (!want) return want.error();
  auto s = db.prepare("SELECT key, value FROM meta", "cannot read the manifest");
  if (!s) return s.error();
  detail::manifest_reader fields;
  detail::total have;
  int rc;
  while ((rc = s->step()) == SQLITE_ROW) {
    detail::checksum sum;
    const std::string key(s->bytes(0));
    sum.bytes(key);
    if (sqlite3_column_type(s->get(), 1) == SQLITE_INTEGER) {
      const std::int64_t n = s->integer(1);
      sum.word(static_cast<std::uint64_t>(n));
      fields.rows.push_back({.key = key, .text = {}, .number = n, .is_text = false});
    } else {
      const std::string_view text = s->bytes(1);
      sum.bytes(text);
      fields.rows.push_back({.key = key, .text = std::string(text), .number = 0, .is_text = true});
    }
    have.add(sum.value());
  }
  if (rc != SQLITE_DONE) return db.fail("cannot read the manifest");
  std::sort(fields.rows.begin(), fields.rows.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  detail::manifest_fields(info, fields);
  if (!(have == *want) || fields.damaged)
    return detail::path_error(errc::malformed, path.shown, "the manifest is damaged: its checksum is wrong");
  return {};
}

inline result<void> stored_run::reader::load() {
  if (auto ok = db.exec("BEGIN", "cannot read"); !ok) return ok;
  // Exactly our tables: nothing that a hostile schema computes, joins or redirects.
  for (const detail::table& t :
       {detail::meta_table, detail::totals_table, detail::schedule_table, detail::requests_table, detail::intervals_table,
        detail::scrapes_table}) {
    auto s = db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1", "cannot read the schema");
    if (!s) return s.error();
    s->bind(1, t.name);
    const int rc = s->step();
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return db.fail("cannot read the schema");
    if (rc == SQLITE_DONE || s->bytes(0) != t.sql)
      return detail::path_error(errc::malformed, path.shown,
                                "the table " + std::string(t.name) + " is missing or not as hotpath makes it");
  }
  if (auto ok = load_manifest(); !ok) return ok;
  auto s = db.prepare("SELECT checksum" + detail::schedule_names() + " FROM schedule", "cannot read the schedule");
  if (!s) return s.error();
  if (const int rc = s->step(); rc != SQLITE_ROW)
    return rc == SQLITE_DONE ? result<void>(detail::path_error(errc::malformed, path.shown, "the schedule is missing"))
                             : result<void>(db.fail("cannot read the schedule"));
  detail::loader row{*s, 1};
  detail::schedule_columns(plan, row);
  if (row.damaged() || s->integer(0) != detail::checksum_of(plan))
    return detail::path_error(errc::malformed, path.shown, "the schedule is damaged: its checksum is wrong");
  *s = detail::statement();
  auto total = total_of("requests");
  if (!total) return total.error();
  rows = static_cast<std::uint64_t>(total->rows);
  info.plan = plan;
  info.plan.due.clear();
  return db.exec("COMMIT", "cannot read");
}

inline stored_run::stored_run(std::unique_ptr<reader> r) noexcept : r_(std::move(r)) {}
inline stored_run::stored_run(stored_run&&) noexcept = default;
inline stored_run& stored_run::operator=(stored_run&&) noexcept = default;
inline stored_run::~stored_run() = default;

inline result<stored_run> stored_run::open(const std::string& path) {
  auto where = detail::resolve_for_reading(path);
  if (!where) return where.error();
  auto r = std::make_unique<reader>();
  r->path = std::move(*where);
  if (detail::size_of(r->path.absolute()) == 0 && detail::size_of(r->path.absolute("-wal")) == 0)
    return detail::path_error(errc::empty, r->path.shown, "is empty: its writer ended while making it");
  std::optional<std::string> damage;
  if (!detail::writer_of(r->path)) damage = detail::wal_damage(r->path.absolute("-wal"));
  auto ok = r->connect();
  if (ok) ok = r->load();
  if (!ok) {
    error e = ok.error();
    if (damage) e.hint = "its write-ahead log is damaged: " + *damage;
    return e;
  }
  r->damaged_log = damage.has_value();
  if (damage) r->info.notes.push_back("finished requests are missing: the write-ahead log is damaged (" + *damage + ")");
  return stored_run{std::move(r)};
}

inline const model::run_info& stored_run::info() const { return r_->info; }
inline const model::schedule& stored_run::plan() const { return r_->plan; }
inline std::uint64_t stored_run::requests() const { return r_->rows; }
inline bool stored_run::partial() const {
  return r_->info.state == model::run_state::running || r_->info.lost || r_->damaged_log;
}
inline std::optional<long> stored_run::writer() const { return detail::writer_of(r_->path); }

struct stored_run::cursor {
  reader* r = nullptr;
  const char* what = "";
  detail::statement rows, text;
  detail::total want, have, want_text, have_text;
  std::int64_t last = INT64_MIN;
  bool began = false;
  ~cursor() {
    rows = detail::statement();
    text = detail::statement();
    if (began) r->db.try_exec("COMMIT");
  }
  result<void> start(reader& from, const char* table, const std::string& columns) {
    r = &from;
    what = table;
    if (!r->db.in_transaction()) {
      if (auto ok = r->db.exec("BEGIN", "cannot read"); !ok) return ok;
      began = true;
    }
    auto total = r->total_of(table);
    if (!total) return total.error();
    want = *total;
    auto s = r->db.prepare("SELECT " + columns + " FROM " + table + " ORDER BY 1", "cannot read");
    if (!s) return s.error();
    rows = std::move(*s);
    r->refill();
    return {};
  }
  error bad(std::string words) const {
    return detail::path_error(errc::malformed, r->path.shown, std::string(what) + ": " + std::move(words));
  }
  // The next row's number, or nullopt at the end, when every row that was committed has been seen.
  result<std::optional<std::int64_t>> step() {
    const int rc = rows.step();
    if (rc == SQLITE_ROW) {
      const std::int64_t number = rows.integer(0);
      if (number <= last && have.rows != 0)
        return bad("row " + std::to_string(number) + " comes after row " + std::to_string(last) + ", the file is damaged");
      last = number;
      return std::optional(number);
    }
    if (rc != SQLITE_DONE) return r->db.fail(std::string(what) + ": cannot read after " + std::to_string(have.rows) + " rows");
    if (!(have == want) || !(have_text == want_text))
      return bad(std::to_string(have.rows) + " rows, want " + std::to_string(want.rows) + ", the file is damaged");
    return std::optional<std::int64_t>();
  }
};
inline void stored_run::cursor_end::operator()(cursor* c) const { delete c; }

inline result<std::unique_ptr<stored_run::cursor, stored_run::cursor_end>> stored_run::begin(const model::request*) {
  std::unique_ptr<cursor, cursor_end> c{new cursor};
  if (auto ok = c->start(*r_, "requests", "idx, stamps, checksum" + detail::request_names()); !ok) return ok.error();
  if (!r_->info.text_stored) return c;
  auto total = r_->total_of("request_text");
  if (!total) return total.error();
  c->want_text = *total;
  auto s = r_->db.prepare("SELECT checksum, prompt, completion FROM request_text WHERE idx = ?1", "cannot read");
  if (!s) return s.error();
  c->text = std::move(*s);
  return c;
}

inline result<bool> stored_run::next(cursor& c, model::request& r) {
  auto row = c.step();
  if (!row) return row.error();
  if (!*row) return false;
  r.index = static_cast<std::uint64_t>(**row);
  detail::loader columns{c.rows, 3, c.rows.integer(1)};
  detail::request_columns(r, columns);
  const std::int64_t sum = c.rows.integer(2);
  if (columns.damaged() || sum != detail::checksum_of(r))
    return c.bad("row " + std::to_string(**row) + " is damaged: its checksum is wrong");
  c.have.add(sum);
  if (c.text.get() == nullptr) return true;
  c.text.bind(1, **row);
  const int rc = c.text.step();
  if (rc == SQLITE_ROW) {
    r.prompt_text = c.text.bytes(1);
    r.completion_text = c.text.bytes(2);
    const std::int64_t text_sum = c.text.integer(0);
    if (text_sum != detail::checksum_of_text(r.index, r.prompt_text, r.completion_text))
      return c.bad("the text of row " + std::to_string(**row) + " is damaged: its checksum is wrong");
    c.have_text.add(text_sum);
  }
  sqlite3_reset(c.text.get());
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return c.r->db.fail("cannot read the text of a request");
  return true;
}

inline result<std::unique_ptr<stored_run::cursor, stored_run::cursor_end>> stored_run::begin(const model::client_interval*) {
  std::unique_ptr<cursor, cursor_end> c{new cursor};
  if (auto ok = c->start(*r_, "client_intervals", "row, checksum" + detail::interval_names()); !ok) return ok.error();
  return c;
}

inline result<std::unique_ptr<stored_run::cursor, stored_run::cursor_end>> stored_run::begin(const model::scrape*) {
  std::unique_ptr<cursor, cursor_end> c{new cursor};
  if (auto ok = c->start(*r_, "scrapes", "row, checksum" + detail::scrape_names()); !ok) return ok.error();
  return c;
}

template <class Row>
result<bool> stored_run::next_numbered(cursor& c, Row& r) {
  auto row = c.step();
  if (!row) return row.error();
  if (!*row) return false;
  detail::loader columns{c.rows, 2};
  detail::numbered_columns(r, columns);
  const std::int64_t sum = c.rows.integer(1);
  if (columns.damaged() || sum != detail::checksum_of(r, **row))
    return c.bad("row " + std::to_string(**row) + " is damaged: its checksum is wrong");
  c.have.add(sum);
  return true;
}
inline result<bool> stored_run::next(cursor& c, model::client_interval& i) { return next_numbered(c, i); }
inline result<bool> stored_run::next(cursor& c, model::scrape& s) {
  detail::scrape_row row;
  auto more = next_numbered(c, row);
  if (!more || !*more) return more;
  if (!detail::decode(std::move(row), s)) return c.bad("row " + std::to_string(c.last) + " is damaged: its figures are not as hotpath writes them");
  return true;
}

// ---- kernel profiles

namespace detail {
inline std::int64_t checksum_of(std::string_view source, std::int64_t added, std::string_view report) {
  checksum c;
  c.bytes(source), c.word(static_cast<std::uint64_t>(added)), c.bytes(report);
  return c.value();
}
// Whether the table is there; malformed when it is another than ours.
inline result<bool> has_profiles(database& db, const std::string& shown) {
  auto s = db.prepare("SELECT sql FROM sqlite_schema WHERE name = ?1", "cannot read the schema");
  if (!s) return s.error();
  s->bind(1, profiles_table.name);
  const int rc = s->step();
  if (rc == SQLITE_DONE) return false;
  if (rc != SQLITE_ROW) return db.fail("cannot read the schema");
  if (s->bytes(0) != profiles_table.sql) return path_error(errc::malformed, shown, "the table kernel_profiles is not as hotpath makes it");
  return true;
}
}  // namespace detail

inline result<std::vector<kernel_profile>> stored_run::kernel_profiles() {
  std::vector<kernel_profile> all;
  r_->refill();
  auto there = detail::has_profiles(r_->db, r_->path.shown);
  if (!there) return there.error();
  if (!*there) return all;
  cursor c;
  if (auto ok = c.start(*r_, "kernel_profiles", "row, checksum, source, added_ns, report"); !ok) return ok.error();
  for (;;) {
    auto row = c.step();
    if (!row) return row.error();
    if (!*row) return all;
    kernel_profile p{std::string(c.rows.bytes(2)), nanoseconds{c.rows.integer(3)}, std::string(c.rows.bytes(4))};
    const std::int64_t sum = c.rows.integer(1);
    if (sum != detail::checksum_of(p.source, p.added.ns, p.report)) return c.bad("row " + std::to_string(**row) + " is damaged: its checksum is wrong");
    c.have.add(sum);
    all.push_back(std::move(p));
  }
}

inline result<void> stored_run::keep(const std::string& path, const kernel_profile& p) {
  auto run = open(path);
  if (!run) return run.error();
  const detail::run_path where = run->r_->path;
  if (run->r_->damaged_log) return detail::path_error(errc::malformed, where.shown, "its write-ahead log is damaged: nothing is added to it");
  if (p.report.size() > (64u << 20)) return detail::path_error(errc::over_limit, where.shown, "the report has " + std::to_string(p.report.size()) + " bytes, a run keeps at most 64 MiB", "use --kernel-table-limit");
  auto lock = detail::writer_lock::take(where);  // says who is writing
  if (!lock) return lock.error();
  auto kept = run->kernel_profiles();
  if (!kept) return kept.error();
  run = error{};  // closes the reader
  auto db = detail::database::open(where.absolute(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, where.shown);
  if (!db) return db.error();
  sqlite3_busy_timeout(db->get(), 5000);
  sqlite3_limit(db->get(), SQLITE_LIMIT_LENGTH, detail::longest_row);
  sqlite3_db_config(db->get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW}) sqlite3_db_config(db->get(), off, 0, nullptr);
  constexpr std::string_view doing = "cannot keep the kernel profile";
  if (auto ok = db->exec("BEGIN IMMEDIATE", doing); !ok) return ok;
  const auto add = [&]() -> result<void> {
    auto there = detail::has_profiles(*db, where.shown);
    if (!there) return there.error();
    if (!*there)
      if (auto ok = db->exec(detail::profiles_table.sql.data(), doing); !ok) return ok;
    detail::total sum;
    for (const kernel_profile& k : *kept)
      if (k.source != p.source) sum.add(detail::checksum_of(k.source, k.added.ns, k.report));
    const std::int64_t own = detail::checksum_of(p.source, p.added.ns, p.report);
    sum.add(own);
    auto forget = db->prepare("DELETE FROM kernel_profiles WHERE source = ?1", doing);
    if (!forget) return forget.error();
    forget->bind(1, std::string_view(p.source));
    auto insert = db->prepare("INSERT INTO kernel_profiles(checksum, source, added_ns, report) VALUES(?1, ?2, ?3, ?4)", doing);
    if (!insert) return insert.error();
    insert->bind(1, own), insert->bind(2, std::string_view(p.source)), insert->bind(3, p.added.ns), insert->bind(4, std::string_view(p.report));
    auto total = db->prepare("INSERT OR REPLACE INTO totals VALUES('kernel_profiles', ?1, ?2)", doing);
    if (!total) return total.error();
    total->bind(1, sum.rows), total->bind(2, static_cast<std::int64_t>(sum.sum));
    for (detail::statement* s : {&*forget, &*insert, &*total})
      if (s->run() != SQLITE_DONE) return db->fail(doing);
    return db->exec("COMMIT", doing);
  };
  auto done = add();
  if (!done) db->try_exec("ROLLBACK");
  db->close();
  return done;
}

}  // namespace hotpath::inline HOTPATH_ABI::run
