// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/nsys_about.hpp - opens an export and says what it is: its tables, meanings, processes, devices, and what is missing. Not for users.
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>
#include <hotpath/trace/detail/nsys_rows.hpp>
#include <hotpath/trace/file_name.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

inline error nsys_error(errc code, const nsys_scan& scan, std::string what, std::string hint = {}) { return {.code = code, .detail = std::move(what), .source = scan.path, .hint = std::move(hint)}; }

// "a, b, c and 12 more"
inline void list_name(std::string& list, std::size_t& n, std::string_view name) {
  constexpr std::size_t most = 40;
  if (n < most) list.append(n == 0 ? "" : ", ").append(text::printable(name, 64));
  ++n;
}
inline void list_end(std::string& list, std::size_t n) {
  if (n > 40) list.append(" and ").append(std::to_string(n - 40)).append(" more");
}

// What can be said of the file before SQLite sees it.
inline result<void> nsys_check(const nsys_scan& scan, std::uint64_t& bytes) {
  const int fd = ::open(scan.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not block
  const int code = errno;
  if (fd < 0) return nsys_error(code == ENOENT ? errc::not_found : errc::unreadable, scan, "cannot open: " + std::generic_category().message(code));
  struct stat s {};
  unsigned char head[100] = {};
  ssize_t n = -1;
  const bool regular = ::fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
  if (regular) n = ::pread(fd, head, sizeof head, 0);
  const int trouble = errno;
  ::close(fd);
  if (!regular) return nsys_error(errc::unreadable, scan, S_ISDIR(s.st_mode) ? "is a folder, want a file" : "is not a regular file");
  if (n < 0) return nsys_error(errc::io, scan, "cannot read: " + std::generic_category().message(trouble));
  bytes = static_cast<std::uint64_t>(s.st_size);
  const std::string_view first(reinterpret_cast<const char*>(head), static_cast<std::size_t>(n));
  if (!is_sqlite(first)) {
    for (const std::string_view ending : {".nsys-rep", ".qdrep", ".qdstrm"})
      if (scan.path.ends_with(ending))
        return nsys_error(errc::unsupported, scan, "is a report of Nsight Systems in its own format, which only nsys reads",
                          "run: nsys export --type sqlite --output report.sqlite " + scan.path);
    return bytes == 0 ? nsys_error(errc::empty, scan, "is empty") : nsys_error(errc::malformed, scan, "is not an SQLite database, want an export of nsys (nsys export --type sqlite)");
  }
  const auto be32 = [&](std::size_t at) { return std::uint32_t{head[at]} << 24 | std::uint32_t{head[at + 1]} << 16 | std::uint32_t{head[at + 2]} << 8 | head[at + 3]; };
  std::uint64_t page = std::uint64_t{head[16]} << 8 | head[17];
  if (page == 1) page = 65536;
  // The size in the header counts when it was written with the last change (the two counters agree).
  if (n == sizeof head && be32(24) == be32(92) && be32(28) * page > bytes)
    return nsys_error(errc::malformed, scan, "is cut off: its header says " + std::to_string(be32(28) * page) + " bytes, it has " + std::to_string(bytes), "export or copy it again");
  // An immutable file's journal would be ignored, and with it what it undoes or adds.
  for (const char* log : {"-journal", "-wal"}) {
    const std::string beside = scan.path + log;
    const int other = ::open(beside.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (other < 0) continue;
    char byte = 0;
    const bool hot = ::pread(other, &byte, 1, 0) == 1 && byte != 0;
    ::close(other);
    if (hot) return nsys_error(errc::unreadable, scan, std::string("has a journal beside it (") + log + "): it is being written, or its writer was interrupted",
                               "export it again, or open it once with sqlite3");
  }
  return {};
}

inline result<void> nsys_open(const nsys_scan& scan, nsys_part& part) {
  std::uint64_t bytes = 0;
  if (auto fine = nsys_check(scan, bytes); !fine) return fine;
  std::string_view name = scan.path;
  while (name.starts_with("//")) name.remove_prefix(1);  // two slashes would name a host
  auto db = sq::database::open(sq::uri_of(name) + "?mode=ro&immutable=1", SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, scan.path);
  if (!db) return db.error();
  part.db = std::move(*db);
  part.scan = &scan;
  part.names = name_table(scan.options.names);
  // A row of 20 columns takes 24 steps of SQLite's machine and 30 bytes at least: four steps per byte are enough for each connection, and
  // stop a file whose pages form a ring.
  constexpr int steps = 20'000;
  part.budget = static_cast<std::int64_t>(6 + bytes / (steps / 4));
  const auto every = [](void* self) -> int {
    auto& p = *static_cast<nsys_part*>(self);
    const read_options& o = p.scan->options;
    if (p.first && o.progress != nullptr && p.scan->rows_in_all != 0) {
      const double share = static_cast<double>(p.rows) * static_cast<double>(p.scan->parts) / static_cast<double>(p.scan->rows_in_all);
      const std::uint64_t total = p.scan->file_bytes;
      o.progress(o.context, share >= 1 ? total : static_cast<std::uint64_t>(share * static_cast<double>(total)), total);
    }
    return --p.budget < 0 ? 1 : 0;
  };
  sqlite3_progress_handler(part.db.get(), steps, every, &part);
  constexpr int longest_row = 64 << 20;
  return sq::harden(part.db, longest_row);
}

// ---- what the file says of itself

// f(statement&) for each row, at most `most`. A table or column that is not there: no rows.
template <class F>
result<void> nsys_each(const nsys_scan& scan, nsys_part& part, std::string_view table, std::string_view columns, F&& f, std::size_t most = 100'000) {
  const nsys_found_table* const t = scan.table(table);
  if (t == nullptr) return {};
  std::string sql = "SELECT ";
  bool first = true, all = true;
  text::split(columns, ' ', [&](std::string_view c) {
    sql.append(first ? "\"" : ", \"").append(c).append("\"");
    first = false, all = all && has_column(*t, c);
  });
  if (!all) return {};
  const std::string what = std::string("cannot read ").append(table);
  auto s = part.db.prepare(sql.append(" FROM \"").append(table).append("\" NOT INDEXED"), what);
  if (!s) return s.error();
  for (std::size_t i = 0; i < most; ++i) {
    const int rc = s->step();
    if (rc == SQLITE_DONE) break;
    if (rc != SQLITE_ROW) return part.db.fail(what);
    f(*s);
  }
  return {};
}

template <std::size_t N>
result<void> nsys_words(const nsys_scan& scan, nsys_part& part, std::string_view table, const known_word (&known)[N], std::vector<nsys_word>& words) {
  auto r = nsys_each(scan, part, table, "id name label", [&](sq::statement& s) { words.push_back({s.integer(0), std::string(s.bytes(1)), std::string(s.bytes(2))}); }, 1000);
  if (words.empty())
    for (const known_word& k : known) words.push_back({k.id, std::string(k.name), std::string(k.label)});
  return r;
}
// Which of `words` ends `name`, the longest; 0: none.
template <std::size_t N>
std::uint8_t word_at_end(std::string_view name, const std::string_view (&words)[N]) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < N; ++i)
    if (name.ends_with(words[i]) && (best == 0 || words[i].size() > words[best].size())) best = i;
  return static_cast<std::uint8_t>(best);
}

inline result<void> nsys_enums(nsys_scan& scan, nsys_part& part) {
  std::vector<nsys_word> copies, memories, syncs, types;
  result<void> r = nsys_words(scan, part, "ENUM_CUDA_MEMCPY_OPER", known_copies, copies);
  if (r) r = nsys_words(scan, part, "ENUM_CUDA_MEM_KIND", known_memories, memories);
  if (r) r = nsys_words(scan, part, "ENUM_CUPTI_SYNC_TYPE", known_syncs, syncs);
  if (r) r = nsys_words(scan, part, "ENUM_NSYS_EVENT_TYPE", known_nvtx, types);
  if (!r) return r;
  const auto fill = [](nsys_meanings& into, const std::vector<nsys_word>& words, auto meaning) {
    for (const nsys_word& w : words)
      if (w.id >= 0 && w.id < 256) into[static_cast<std::size_t>(w.id)] = meaning(w);
  };
  fill(scan.copies, copies, [](const nsys_word& w) { return nsys_meaning{word_at_end(w.name, copy_words), w.label}; });
  fill(scan.memories, memories, [](const nsys_word& w) { return nsys_meaning{word_at_end(w.name, memory_words), w.label}; });
  fill(scan.syncs, syncs, [](const nsys_word& w) {
    // Named as torch's profiler names them, so that both kinds of trace read alike.
    for (const auto& [end, name] : {std::pair<std::string_view, const char*>{"_EVENT_SYNCHRONIZE", "Event Sync"}, {"_STREAM_WAIT_EVENT", "Stream Wait Event"},
                                    {"_STREAM_SYNCHRONIZE", "Stream Sync"}, {"_CONTEXT_SYNCHRONIZE", "Context Sync"}})
      if (w.name.ends_with(end)) return nsys_meaning{1, name};
    return nsys_meaning{0, w.label};
  });
  fill(scan.nvtx, types, [](const nsys_word& w) {
    using enum model::annotation_kind;
    const auto code = [](model::annotation_kind k) { return nsys_meaning{static_cast<std::uint8_t>(k), {}}; };
    if (w.name == "NvtxPushPopRange") return code(push_pop);
    if (w.name == "NvtxStartEndRange") return code(start_end);
    if (w.name == "NvtxMark") return code(mark);
    return nsys_meaning{w.name == "NvtxDomainCreate" ? std::uint8_t{100} : std::uint8_t{0}, {}};
  });
  return {};
}

// Names of domains stand among the ranges; what synchronizations wait for, in a table of its own.
inline result<void> nsys_before(nsys_scan& scan, nsys_part& part) {
  result<void> r;
  if (scan.wants.annotations) {
    std::string types;
    for (std::size_t i = 0; i < scan.nvtx.size(); ++i)
      if (scan.nvtx[i].code == 100) types.append(types.empty() ? "" : ", ").append(std::to_string(i));
    const nsys_found_table* const t = scan.table(nsys_nvtx.name);
    bool usable = t != nullptr && !types.empty();
    for (const std::string_view c : {"eventType", "domainId", "globalTid", "text"}) usable = usable && has_column(*t, c);
    if (usable) {
      const bool by_id = has_column(*t, "textId");
      auto s = part.db.prepare(std::string("SELECT globalTid, domainId, text, ").append(by_id ? "textId" : "NULL").append(" FROM NVTX_EVENTS NOT INDEXED WHERE eventType IN (").append(types).append(")"),
                               "cannot read NVTX_EVENTS");
      if (!s) return s.error();
      int rc = SQLITE_DONE;
      while (scan.domains.size() < 10'000 && (rc = s->step()) == SQLITE_ROW)
        scan.domains.push_back({s->integer(0) >> 24, s->integer(1), std::string(s->is_null(2) && !s->is_null(3) ? part.names[part.text_of(s->integer(3))] : s->bytes(2))});
      if (rc != SQLITE_DONE && rc != SQLITE_ROW) return part.db.fail("cannot read NVTX_EVENTS");
      sort_in_place(scan.domains, [](const nsys_domain& a, const nsys_domain& b) {
        return a.process != b.process ? a.process < b.process : a.domain != b.domain ? a.domain < b.domain : a.name < b.name;
      });
    }
  }
  if (scan.wants.syncs)
    r = nsys_each(scan, part, "CUPTI_ACTIVITY_KIND_CUDA_EVENT", "globalPid eventId eventSyncId correlationId streamId", [&](sq::statement& s) {
      if (s.is_null(2) || s.is_null(3)) return;
      scan.records.push_back({s.integer(0) >> 24, s.integer(1), s.integer(2), static_cast<std::uint64_t>(s.integer(3)), s.integer(4) >= 0 && s.integer(4) < model::no_index ? static_cast<std::uint32_t>(s.integer(4)) : model::no_index});
    }, SIZE_MAX);
  if (!scan.records.empty())
    sort_in_place(scan.records, [](const nsys_record& a, const nsys_record& b) {
      return a.process != b.process ? a.process < b.process : a.event != b.event ? a.event < b.event : a.event_sync < b.event_sync;
    });
  return r;
}

inline std::string nsys_meta(const nsys_scan& scan, nsys_part& part, std::string_view table, std::string_view key) {
  std::string value;
  (void)nsys_each(scan, part, table, "name value", [&](sq::statement& s) { if (s.bytes(0) == key) value = text::printable(s.bytes(1), 64); }, 10'000);
  return value;
}

inline result<void> nsys_look(nsys_scan& scan, nsys_part& part, model::timeline& about) {
  struct stat s {};
  if (::stat(scan.path.c_str(), &s) == 0) scan.file_bytes = static_cast<std::uint64_t>(s.st_size);
  auto all = part.db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage > 0 ORDER BY name", "cannot read its tables");
  if (!all) return all.error();
  std::string list;
  std::size_t listed = 0;
  int rc = SQLITE_ROW;
  while (scan.tables.size() < 10'000 && (rc = all->step()) == SQLITE_ROW) {
    scan.tables.push_back({std::string(all->bytes(0)), {}, false});
    if (!all->bytes(0).starts_with("ENUM_")) list_name(list, listed, all->bytes(0));
  }
  if (rc != SQLITE_ROW && rc != SQLITE_DONE) return part.db.fail("cannot read its tables");
  list_end(list, listed);
  for (nsys_found_table& t : scan.tables) {
    bool plain = true;  // a name of nsys: nothing to quote
    for (const char c : t.name) plain = plain && ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || text::is_digit(c) || c == '_');
    if (!plain || t.name.starts_with("sqlite_")) continue;
    auto columns = part.db.prepare(std::string("PRAGMA table_info(\"").append(t.name).append("\")"), "cannot read its columns");
    if (!columns) return columns.error();
    while (t.columns.size() < 2000 && columns->step() == SQLITE_ROW) t.columns.emplace_back(columns->bytes(1));
  }

  const nsys_table* const wanted[] = {&nsys_kernels, &nsys_graphs, &nsys_copies, &nsys_sets, &nsys_api, &nsys_nvtx, &nsys_syncs};
  const bool asked[] = {scan.wants.kernels, scan.wants.kernels, scan.wants.copies, scan.wants.copies, scan.wants.api, scan.wants.annotations, scan.wants.syncs};
  bool cuda = false, nsys = scan.table("META_DATA_EXPORT") != nullptr || scan.table("META_DATA_CAPTURE") != nullptr;
  for (std::size_t i = 0; i < std::size(wanted); ++i) {
    nsys_found_table* t = nullptr;
    for (nsys_found_table& one : scan.tables)
      if (one.name == wanted[i]->name) t = &one;
    if (t == nullptr) continue;
    nsys = true;
    auto any = part.db.number(std::string("SELECT 1 FROM \"").append(t->name).append("\" NOT INDEXED LIMIT 1"), std::string("cannot read ").append(t->name));
    if (!any) return any.error();
    t->has_rows = *any == 1;
    cuda = cuda || (t->has_rows && i < 5);
    if (!t->has_rows || !asked[i]) continue;
    bool first_of_table = true;
    for (const nsys_column& c : wanted[i]->columns.first(columns_read(scan.wants, *wanted[i], *t))) {
      if (has_column(*t, c.name)) continue;
      if (first_of_table) scan.missing.append(scan.missing.empty() ? "" : "; ").append(t->name).append(": ");
      scan.missing.append(first_of_table ? "" : ", ").append(c.name);
      scan.missing_needed += c.needed, first_of_table = false;
    }
    std::int64_t first = 0, last = 0;
    if (row_range(part, *t, first, last)) scan.rows_in_all += static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first) + 1;
  }
  if (!nsys) return nsys_error(errc::unsupported, scan, list.empty() ? "is an empty SQLite database" : "is an SQLite database, but no export of nsys: it has the tables " + list);
  if (!cuda)
    return nsys_error(errc::empty, scan, "has no CUDA activity: no row in any table CUPTI_ACTIVITY_KIND_KERNEL, _GRAPH_TRACE, _MEMCPY, _MEMSET, _RUNTIME; it has the tables " + list,
                      "capture with nsys profile --trace=cuda,nvtx --cuda-graph-trace=node, then nsys export --type sqlite");

  if (auto r = nsys_enums(scan, part); !r) return r;
  if (auto r = nsys_before(scan, part); !r) return r;
  // Without globalPid, rows of the GPU belong to the one process that made calls, if it is one.
  const nsys_found_table* const calls = scan.table(nsys_api.name);
  if (const nsys_found_table* k = scan.table(nsys_kernels.name); k != nullptr && !has_column(*k, "globalPid") && calls != nullptr && has_column(*calls, "globalTid")) {
    auto lo = part.db.number("SELECT min(globalTid) >> 24 FROM CUPTI_ACTIVITY_KIND_RUNTIME NOT INDEXED", "cannot read"), hi = part.db.number("SELECT max(globalTid) >> 24 FROM CUPTI_ACTIVITY_KIND_RUNTIME NOT INDEXED", "cannot read");
    if (lo && hi && *lo == *hi) scan.default_process = *lo;
  }
  model::trace_about& a = about.about;
  a.format = model::trace_format::nsys_sqlite;
  a.file = scan.path, a.file_bytes = a.text_bytes = scan.file_bytes;
  const std::string version = nsys_meta(scan, part, "META_DATA_EXPORT", "EXPORT_SCHEMA_VERSION"), product = nsys_meta(scan, part, "META_DATA_EXPORT", "EXPORT_PRODUCT_VERSION"),
                    mode = nsys_meta(scan, part, "META_DATA_CAPTURE", "CUDA_GRAPH_TRACE_OPTIONS:MODE");
  a.more.emplace_back("schema version", version.empty() ? "not told" : version.starts_with("3.") ? version : version + ", not one that is known: what is known of it was read");
  if (!product.empty()) a.more.emplace_back("nsys version", product);
  if (!mode.empty()) a.more.emplace_back("CUDA graph trace", mode);
  if (!scan.missing.empty()) a.more.emplace_back("missing columns", scan.missing);
  if (scan.missing_needed != 0) about.count(model::trace_fault::missing_column, {}, "all columns that this export does not have (schema " + (version.empty() ? "not told" : version) + "): " + scan.missing, scan.missing_needed);
  return {};
}

constexpr std::size_t most_devices = 4096;

inline result<void> nsys_finish(const nsys_scan& scan, nsys_part& part, model::timeline& about) {
  std::optional<nanoseconds> utc;
  result<void> r = nsys_each(scan, part, "TARGET_INFO_SESSION_START_TIME", "utcEpochNs", [&](sq::statement& s) { if (!s.is_null(0)) utc = nanoseconds{s.integer(0)}; }, 1);
  for (const std::int64_t key : part.pid_keys) {
    model::process p;
    if (key >= 0) p.pid = part.intern(std::to_string(key & 0xffffff));
    p.source = base_name(scan.path);
    p.unix_offset = utc;
    p.clock = about.processes.empty() ? model::clock_kind::own : model::clock_kind::aligned;  // the capture's clock is that of all
    about.processes.push_back(std::move(p));
  }
  // A path may hold a user's name: only the program's is kept.
  if (r) r = nsys_each(scan, part, "PROCESSES", "globalPid name", [&](sq::statement& s) {
    const std::uint32_t* const known = part.pids.find(s.integer(0) >> 24);
    if (known == nullptr) return;
    const std::string_view command = s.bytes(1);
    about.processes[*known].name = part.intern(base_name(command.substr(0, command.find(' '))));
  });
  if (r) r = nsys_each(scan, part, "ThreadNames", "globalTid nameId", [&](sq::statement& s) {
    const std::uint32_t* const known = part.tids.find(s.integer(0));
    if (known != nullptr) part.tracks[*known].name = part.text_of(s.integer(1));
  });
  std::vector<model::device> gpus;
  std::vector<std::int64_t> gpu_ids;
  if (r) r = nsys_each(scan, part, "TARGET_INFO_GPU", "id name", [&](sq::statement& s) {
    gpu_ids.push_back(s.integer(0));
    gpus.push_back({.process = 0, .ordinal = 0, .name = std::string(s.bytes(1))});
  }, 1000);
  std::size_t n = 0;
  if (r) r = nsys_each(scan, part, "TARGET_INFO_GPU", "totalMemory smCount computeMajor computeMinor", [&](sq::statement& s) {
    model::device& d = gpus[n++];
    d.memory_bytes = static_cast<std::uint64_t>(s.integer(0)), d.multiprocessors = static_cast<int>(s.integer(1)), d.compute_major = static_cast<int>(s.integer(2)), d.compute_minor = static_cast<int>(s.integer(3));
  }, gpus.size());
  if (!r) return r;
  id_index devices;
  const auto add = [&](std::size_t process, model::device d, std::int64_t ordinal) {
    bool fresh = false;
    if (about.devices.size() >= most_devices || ordinal < 0 || ordinal > UINT16_MAX) return;
    devices.insert(static_cast<std::uint32_t>(process), static_cast<std::uint64_t>(ordinal), 0, &fresh);
    if (!fresh) return;
    d.process = static_cast<std::uint16_t>(process), d.ordinal = static_cast<std::uint16_t>(ordinal);
    about.devices.push_back(std::move(d));
  };
  r = nsys_each(scan, part, "TARGET_INFO_CUDA_DEVICE", "gpuId cudaId pid", [&](sq::statement& s) {
    std::size_t g = 0;
    while (g < gpus.size() && gpu_ids[g] != s.integer(0)) ++g;
    for (std::size_t p = 0; g < gpus.size() && p < part.pid_keys.size() && about.devices.size() < most_devices; ++p)
      if ((part.pid_keys[p] & 0xffffff) == s.integer(2)) add(p, gpus[g], s.integer(1));
  }, 10'000);
  if (about.devices.empty() && part.pid_keys.size() <= 1000)
    for (std::size_t p = 0; p < part.pid_keys.size(); ++p)
      for (std::size_t g = 0; g < gpus.size() && about.devices.size() < most_devices; ++g) add(p, gpus[g], gpu_ids[g]);
  for (std::size_t i = 0; i < model::trace_fault_count; ++i) about.count(static_cast<model::trace_fault>(i), {}, {}, part.faults[i]);
  about.count(model::trace_fault::missing_name, {}, {}, part.missing.all.size());
  about.count(model::trace_fault::long_name, {}, {}, part.cut.all.size());
  // A connection with a table of its own may have refused what another kept.
  id_set& refused = part.refused;
  std::uint64_t kept = 0, too_many = 0;
  if (!refused.all.empty())
    for (name_id i = 0; i < part.names.size(); ++i) kept += refused.seen.find(0, part.names.expect(part.names[i])) != id_index::none;
  for (const std::uint64_t key : part.too_many.all) too_many += part.pids.find(static_cast<std::int64_t>(key)) == nullptr;
  about.count(model::trace_fault::too_many_names, {}, {}, refused.all.size() - kept);
  about.count(model::trace_fault::unknown_process, {}, {}, too_many);
  about.names = std::move(part.names), about.tracks = std::move(part.tracks);
  about.short_names = std::move(part.short_names), about.mangled_names = std::move(part.mangled_names);
  if (scan.options.progress != nullptr) scan.options.progress(scan.options.context, scan.file_bytes, scan.file_bytes);
  return r;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
