// SPDX-License-Identifier: Apache-2.0
// hotpath/core/detail/sqlite.hpp - SQLite's handles with owners and its errors as ours: for the headers that have sqlite in their name.
//   Link SQLite >= 3.37. Not for users.
#pragma once
#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>  // words for an errno
#include <utility>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::detail::sqlite {

class statement {
 public:
  explicit statement(sqlite3_stmt* s = nullptr) : s_(s) {}
  sqlite3_stmt* get() const { return s_.get(); }
  int step() { return sqlite3_step(s_.get()); }
  // Runs to the end and is ready for the next values. SQLITE_DONE, or what went wrong.
  int run() {
    const int rc = step();
    sqlite3_reset(s_.get());
    return rc;
  }
  void bind(int at, std::int64_t v) { sqlite3_bind_int64(s_.get(), at, v); }
  void bind(int at, std::string_view v) { sqlite3_bind_text64(s_.get(), at, v.data(), v.size(), SQLITE_STATIC, SQLITE_UTF8); }
  std::int64_t integer(int column) { return sqlite3_column_int64(s_.get(), column); }
  std::string_view bytes(int column) {                     // valid until the next step
    const int n = sqlite3_column_bytes(s_.get(), column);  // first: in a file of another encoding it moves the text
    const void* p = sqlite3_column_blob(s_.get(), column);
    return p == nullptr || n <= 0 ? std::string_view()
                                  : std::string_view(static_cast<const char*>(p), static_cast<std::size_t>(n));
  }
  bool is_null(int column) { return sqlite3_column_type(s_.get(), column) == SQLITE_NULL; }

 private:
  struct finalizer {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, finalizer> s_;
};

inline errc code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
    case SQLITE_ERROR:
    case SQLITE_FORMAT:
    case SQLITE_INTERRUPT:  // only the reader's bound on steps interrupts
      return errc::malformed;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return errc::unreadable;
    case SQLITE_TOOBIG:
    case SQLITE_NOMEM:
      return errc::over_limit;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
      return errc::io;
    default:
      return errc::internal;
  }
}

inline error failure(errc code, const std::string& shown, std::string what, std::string hint = {}) {
  return {.code = code, .detail = std::move(what), .source = shown, .hint = std::move(hint)};
}

class database {
 public:
  database() = default;
  static result<database> open(const std::string& name, int flags, const std::string& shown) {
    if (sqlite3_libversion_number() < 3037000)
      return failure(errc::unsupported, shown,
                        std::string("SQLite ") + sqlite3_libversion() + " is too old, want 3.37 or newer");
    if (sqlite3_threadsafe() == 0) return failure(errc::unsupported, shown, "this SQLite was built without thread safety");
    const sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    constexpr std::size_t suffix = sizeof("-journal");
    if (vfs != nullptr && (flags & SQLITE_OPEN_URI) == 0 && name.size() + suffix > static_cast<std::size_t>(vfs->mxPathname))
      return failure(errc::over_limit, shown,
                        "the absolute path has " + std::to_string(name.size()) + " bytes, SQLite takes at most " +
                            std::to_string(static_cast<std::size_t>(vfs->mxPathname) - suffix),
                        "use a shorter path");
    sqlite3* handle = nullptr;
    const int rc = sqlite3_open_v2(name.c_str(), &handle,
                                   flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, nullptr);
    database db;
    db.handle_.reset(handle);
    db.shown_ = shown;
    if (handle == nullptr) return failure(errc::over_limit, shown, "out of memory");
    if (rc != SQLITE_OK) return db.fail("cannot open");
    return db;
  }

  sqlite3* get() const { return handle_.get(); }
  explicit operator bool() const { return handle_ != nullptr; }
  int code() const { return sqlite3_extended_errcode(handle_.get()); }
  bool in_transaction() const { return sqlite3_get_autocommit(handle_.get()) == 0; }

  // The last error as ours: "run.db: cannot store: database or disk is full".
  error fail(std::string_view what) const { return fail(what, code()); }
  error fail(std::string_view what, int rc) const {
    std::string detail = std::string(what) + ": ";
    if (rc == SQLITE_INTERRUPT)
      return failure(code_of(rc), shown_, detail + "it goes on for longer than the file can be, the file is damaged");
    // The connection's own words fit only its last code; for SQLITE_ERROR they name the table or column.
    detail += handle_ != nullptr && rc == code() ? sqlite3_errmsg(handle_.get()) : sqlite3_errstr(rc);
    const int system = handle_ != nullptr ? sqlite3_system_errno(handle_.get()) : 0;
    if (system != 0 && ((rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN))
      detail += " (" + std::generic_category().message(system) + ")";
    return failure(code_of(rc), shown_, detail);
  }

  int try_exec(const char* sql) { return sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr); }
  result<void> exec(const char* sql, std::string_view what) {
    if (try_exec(sql) != SQLITE_OK) return fail(what);
    return {};
  }
  result<statement> prepare(std::string_view sql, std::string_view what) {
    sqlite3_stmt* s = nullptr;
    if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &s, nullptr) !=
        SQLITE_OK)
      return fail(what);
    return statement{s};
  }
  // The first column of the first row; 0 when there is none.
  result<std::int64_t> number(std::string_view sql, std::string_view what) {
    auto s = prepare(sql, what);
    if (!s) return s.error();
    const int rc = s->step();
    if (rc == SQLITE_ROW) return s->integer(0);
    if (rc == SQLITE_DONE) return std::int64_t{0};
    return fail(what);
  }
  void close() { handle_.reset(); }
  const std::string& shown() const { return shown_; }

 private:
  struct closer {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  std::unique_ptr<sqlite3, closer> handle_;
  std::string shown_;
};

// The URI of an absolute path, whatever its bytes.
inline std::string uri_of(std::string_view absolute) {
  std::string uri = "file:";
  for (const char c : absolute) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '/' || (b | 32u) - 'a' < 26u || b - 48u < 10u) uri += c;
    else (uri += '%') += {"0123456789abcdef"[b >> 4], "0123456789abcdef"[b & 15]};
  }
  return uri;
}

// A connection that trusts nothing it reads: no extension, trigger or view runs, nothing is written, a row has at most `longest` bytes.
inline result<void> harden(database& db, int longest) {
  sqlite3* const c = db.get();
  sqlite3_limit(c, SQLITE_LIMIT_LENGTH, longest);
  sqlite3_limit(c, SQLITE_LIMIT_SQL_LENGTH, 1 << 20);
  sqlite3_limit(c, SQLITE_LIMIT_ATTACHED, 0);
  sqlite3_db_config(c, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION})
    sqlite3_db_config(c, off, 0, nullptr);
  return db.exec("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", "cannot open");
}

}  // namespace hotpath::inline HOTPATH_ABI::detail::sqlite
