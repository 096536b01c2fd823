// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/nsys_rows.hpp - rows of an export -> events. A row reaches us as the arguments of an aggregate function of ours:
//   that saves the way through sqlite3_step() and sqlite3_column_*(), a fifth of a scan (tests/bench/nsys_bench.cpp). Not for users.
#pragma once
#include <span>
#include <string>
#include <vector>
#include <hotpath/core/rows.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/trace/detail/detail_table.hpp>
#include <hotpath/trace/detail/nsys_part.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

// v has the columns of the table in the order of the schema; in a brief scan, n is the number of the first of them.
// Its number within its graph, which CUPTI keeps in the upper half.
inline std::uint32_t node_of(sqlite3_value* v) { return sqlite3_value_type(v) == SQLITE_NULL ? model::no_index : static_cast<std::uint32_t>(sqlite3_value_int64(v)); }
inline std::uint64_t id_of(sqlite3_value* v) { return sqlite3_value_type(v) == SQLITE_NULL ? model::no_id : static_cast<std::uint64_t>(sqlite3_value_int64(v)); }
inline std::uint32_t count_of(sqlite3_value* v) {
  const std::int64_t n = sqlite3_value_int64(v);
  return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(n);
}
// Of an enumeration; 255: none, or beyond it.
inline std::uint8_t byte_of(sqlite3_value* v) {
  const std::int64_t k = sqlite3_value_type(v) == SQLITE_NULL ? 255 : sqlite3_value_int64(v);
  return static_cast<std::uint8_t>(k < 0 || k > 255 ? 255 : k);
}
inline std::string_view text_of(sqlite3_value* v) {
  const void* const p = sqlite3_value_text(v);  // before the length: it may convert
  const int n = sqlite3_value_bytes(v);
  return p == nullptr || n <= 0 ? std::string_view() : std::string_view(static_cast<const char*>(p), static_cast<std::size_t>(n));
}
// deviceId, streamId, correlationId, globalPid from v on.
inline void place_of(nsys_part& p, sqlite3_value** v, model::gpu_event& g) {
  g.device = p.device_of(v[0]);
  g.stream = p.index_of(v[1]);
  g.correlation = id_of(v[2]);
  g.process = p.process(v[3]);
}

template <class Sink>
void kernel_row(nsys_part& p, Sink& sink, int n, sqlite3_value** v) {
  model::gpu_event g;
  if (!p.when(v[0], v[1], g.begin, g.duration)) return;
  g.name = p.name(v[2]);
  model::gpu_detail d;
  if (n > 3) {
    if (g.name == 0) g.name = p.name(v[3]);
    p.remember(p.short_names, g.name, v[3]);
    p.remember(p.mangled_names, g.name, v[4]);
  }
  if (n > 5) {
    place_of(p, v + 5, g);
    g.graph_node = node_of(v[9]), g.graph = p.index_of(v[10]);
    d.registers = count_of(v[11]);
    for (int i = 0; i < 3; ++i) d.grid[i] = count_of(v[12 + i]), d.block[i] = count_of(v[15 + i]);
    const std::uint64_t shared = std::uint64_t{count_of(v[18])} + count_of(v[19]);
    if (shared > UINT32_MAX) p.count(model::trace_fault::malformed_event);
    d.shared_bytes = shared > UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(shared);
  }
  sink.gpu(g, d);
}
template <class Sink>
void graph_row(nsys_part& p, Sink& sink, int n, sqlite3_value** v) {
  model::gpu_event g;
  if (!p.when(v[0], v[1], g.begin, g.duration)) return;
  g.kind = model::gpu_kind::graph;
  g.graph = p.index_of(v[2]);
  g.name = p.graph_name(g.graph);
  if (n > 3) place_of(p, v + 3, g);
  sink.gpu(g, model::gpu_detail{});
}
template <class Sink>
void copy_row(nsys_part& p, Sink& sink, int n, sqlite3_value** v) {
  model::gpu_event g;
  if (!p.when(v[0], v[1], g.begin, g.duration)) return;
  g.kind = model::gpu_kind::copy;
  model::gpu_detail d;
  d.bytes = p.bytes_of(v[2]);
  const std::uint8_t kind = byte_of(v[3]);
  d.copy_kind = p.scan->copies[kind].code;
  g.name = p.copy_name(kind);
  d.source_memory = p.scan->memories[byte_of(v[4])].code, d.target_memory = p.scan->memories[byte_of(v[5])].code;
  if (n > 6) place_of(p, v + 6, g), g.graph_node = node_of(v[10]);
  sink.gpu(g, d);
}
template <class Sink>
void set_row(nsys_part& p, Sink& sink, int n, sqlite3_value** v) {
  model::gpu_event g;
  if (!p.when(v[0], v[1], g.begin, g.duration)) return;
  g.kind = model::gpu_kind::set;
  g.name = p.set_name == 0 ? p.set_name = p.intern("[CUDA memset]") : p.set_name;
  model::gpu_detail d;
  d.bytes = p.bytes_of(v[2]);
  d.target_memory = p.scan->memories[byte_of(v[3])].code;
  if (n > 4) place_of(p, v + 4, g), g.graph_node = node_of(v[8]);
  sink.gpu(g, d);
}
template <class Sink>
void api_row(nsys_part& p, Sink& sink, int n, sqlite3_value** v) {
  model::api_call a;
  if (!p.when(v[0], v[1], a.begin, a.duration)) return;
  a.name = p.api_name(v[2]);
  if (n > 3) a.track = p.track(v[3]), a.correlation = id_of(v[4]);
  sink.api(a);
}
template <class Sink>
void nvtx_row(nsys_part& p, Sink& sink, int, sqlite3_value** v) {
  const std::int64_t type = sqlite3_value_int64(v[2]);
  const auto kind = static_cast<model::annotation_kind>(type < 0 || type > 255 ? 0 : p.scan->nvtx[static_cast<std::size_t>(type)].code);
  model::annotation a;
  if (kind != model::annotation_kind::push_pop && kind != model::annotation_kind::start_end && kind != model::annotation_kind::mark) return;
  a.kind = kind;
  if (!p.when(v[0], v[1], a.begin, a.duration, true, &a.open)) return;
  if (kind == model::annotation_kind::mark) a.open = false;
  a.name = sqlite3_value_type(v[3]) != SQLITE_NULL ? p.intern(text_of(v[3])) : p.name(v[4]);
  a.track = p.track(v[6]);
  if (const std::int64_t domain = sqlite3_value_int64(v[5]); domain != 0)
    a.domain = domain_name(p, a.track == model::no_index ? -1 : p.tid_keys[a.track] >> 24, domain);
  sink.annotation(a);
}
template <class Sink>
void sync_row(nsys_part& p, Sink& sink, int, sqlite3_value** v) {
  model::sync_event s;
  if (!p.when(v[0], v[1], s.begin, s.duration)) return;
  const std::int64_t type = sqlite3_value_int64(v[2]);
  const std::string& word = p.scan->syncs[type < 0 || type > 255 ? 0 : static_cast<std::size_t>(type)].label;
  s.name = p.intern(word.empty() ? std::string_view("Sync") : word);
  model::gpu_event g;
  place_of(p, v + 3, g);
  s.device = g.device, s.stream = g.stream, s.correlation = g.correlation, s.process = g.process;
  if (!p.scan->records.empty())
    for (std::size_t lo = 0, hi = p.scan->records.size(); lo < hi;) {  // by process, event, event_sync
      const std::size_t at = (lo + hi) / 2;
      const nsys_record& r = p.scan->records[at];
      const std::int64_t want[] = {p.pid_keys[s.process], sqlite3_value_int64(v[7]), sqlite3_value_int64(v[8])}, have[] = {r.process, r.event, r.event_sync};
      int order = 0;
      for (int i = 0; order == 0 && i < 3; ++i) order = want[i] < have[i] ? -1 : want[i] > have[i];
      if (order == 0) {
        s.waits_for = r.correlation, s.waits_for_stream = r.stream;
        break;
      }
      if (order < 0) hi = at;
      else lo = at + 1;
    }
  sink.sync(s);
}

// Runs `step` over the rows of a table from lo to hi.
inline result<void> nsys_rows(const nsys_scan& scan, nsys_part& part, const nsys_table& table, void (*step)(sqlite3_context*, int, sqlite3_value**), void* self, std::int64_t lo, std::int64_t hi) {
  const nsys_found_table& there = *scan.table(table.name);
  if (!has_column(there, "start") || !has_column(there, "end")) return {};  // said in `missing`
  const std::size_t n = columns_read(scan.wants, table, there);
  std::string sql = "SELECT hotpath_row(";
  for (std::size_t i = 0; i < n; ++i) {
    sql.append(i == 0 ? "" : ", ");
    if (has_column(there, table.columns[i].name)) sql.append("\"").append(table.columns[i].name).append("\"");
    else sql.append("NULL");
  }
  sql.append(") FROM \"").append(table.name).append("\" NOT INDEXED");
  const bool all = lo == INT64_MIN && hi == INT64_MAX;
  if (!all) sql.append(" WHERE rowid BETWEEN ?1 AND ?2");
  const int rc = sqlite3_create_function_v2(part.db.get(), "hotpath_row", -1, SQLITE_UTF8 | SQLITE_DIRECTONLY, self, nullptr, step, [](sqlite3_context*) {}, nullptr);
  if (rc != SQLITE_OK) return part.db.fail("cannot read");
  const std::string what = std::string("cannot read ").append(table.name);
  auto s = part.db.prepare(sql, what);
  if (!s) return s.error();
  if (!all) s->bind(1, lo), s->bind(2, hi);
  const int end = s->step();
  if (end != SQLITE_ROW && end != SQLITE_DONE) return part.db.fail(what);
  return {};
}

// Row ids from the first to the last, as far as a table has them.
inline bool row_range(nsys_part& part, const nsys_found_table& t, std::int64_t& first, std::int64_t& last) {
  for (const std::string& c : t.columns)
    if (text::equal_ignoring_case(c, "rowid")) return false;
  const std::string from = std::string("(rowid) FROM \"").append(t.name).append("\" NOT INDEXED");
  auto a = part.db.number("SELECT min" + from, "");
  auto b = part.db.number("SELECT max" + from, "");
  if (!a || !b) return false;
  first = *a, last = *b;
  return last >= first;
}
// Where the parts of a table begin: parts + 1 row ids, the first is INT64_MIN, the last INT64_MAX; empty: one part.
inline std::vector<std::int64_t> nsys_cuts(const nsys_scan& scan, nsys_part& part, std::string_view table) {
  constexpr std::uint64_t worth_a_thread = 4096;
  std::int64_t first = 0, last = 0;
  if (scan.parts < 2 || !row_range(part, *scan.table(table), first, last)) return {};
  const std::uint64_t span = static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(first);
  if (span < worth_a_thread * scan.parts) return {};
  std::vector<std::int64_t> cuts{INT64_MIN};
  for (std::size_t i = 1; i < scan.parts; ++i) cuts.push_back(static_cast<std::int64_t>(static_cast<std::uint64_t>(first) + span / scan.parts * i));
  cuts.push_back(INT64_MAX);
  return cuts;
}

template <class Sink, auto Row>
struct nsys_reader {
  nsys_part* part;
  Sink* sink;
  // An exception must not cross SQLite's frames.
  static void step(sqlite3_context* c, int n, sqlite3_value** v) {
    auto* const self = static_cast<nsys_reader*>(sqlite3_user_data(c));
    ++self->part->rows;
#if HOTPATH_NO_EXCEPTIONS
    Row(*self->part, *self->sink, n, v);
#else
    try {
      Row(*self->part, *self->sink, n, v);
    } catch (...) {
      sqlite3_result_error_nomem(c);
    }
#endif
  }
  static result<void> read(const nsys_scan& scan, nsys_part& p, Sink& s, const nsys_table& t, std::int64_t lo, std::int64_t hi) {
    nsys_reader self{&p, &s};
    return nsys_rows(scan, p, t, step, &self, lo, hi);
  }
  // All rows of a table into sinks[0].
  static result<void> read_all(const nsys_scan& scan, std::span<nsys_part> parts, std::span<Sink> sinks, const nsys_table& t, model::trace_about& about) {
    if (scan.table(t.name) == nullptr || !scan.table(t.name)->has_rows) return {};
    std::uint64_t before = 0, after = 0;
    for (const nsys_part& p : parts) before += p.rows;
    if (auto r = read_split(scan, parts, sinks, t); !r) return r;
    for (const nsys_part& p : parts) after += p.rows;
    about.by_category.emplace_back(std::string(t.name), after - before), about.events += after - before;
    return {};
  }
  static result<void> read_split(const nsys_scan& scan, std::span<nsys_part> parts, std::span<Sink> sinks, const nsys_table& t) {
    const std::vector<std::int64_t> cuts = nsys_cuts(scan, parts[0], t.name);
    if (cuts.empty()) return read(scan, parts[0], sinks[0], t, INT64_MIN, INT64_MAX);
    std::vector<result<void>> done(parts.size());
    std::vector<threading::thread> threads(parts.size());
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto work = [&, i] { done[i] = read(scan, parts[i], sinks[i], t, cuts[i], cuts[i + 1] - (i + 1 < parts.size())); };
      if (!threads[i].start(work)) work();
    }
    done[0] = read(scan, parts[0], sinks[0], t, cuts[0], cuts[1] - 1);
    for (threading::thread& worker : threads) worker.join();
    for (const result<void>& r : done)
      if (!r) return r.error();
    for (std::size_t i = 1; i < parts.size(); ++i) {
      nsys_adopt(parts[0], parts[i]);
      sinks[0].merge(sinks[i], parts[i].as_names, parts[i].as_tracks, parts[i].as_pids);
    }
    return {};
  }
};

// The sink of read_nsys().
struct timeline_sink {
  model::timeline t;
  detail_table details;

  void gpu(const model::gpu_event& e, const model::gpu_detail& d) {
    t.gpu.push_back(e);
    t.gpu.back().detail = details.intern(t.details, d);
  }
  void api(const model::api_call& a) { t.api.push_back(a); }
  void annotation(const model::annotation& a) { t.annotations.push_back(a); }
  void sync(const model::sync_event& s) { t.syncs.push_back(s); }
  void merge(timeline_sink& o, std::span<const name_id> names, std::span<const std::uint32_t> tracks, std::span<const std::uint16_t> processes) {
    const auto on = [&](std::uint32_t track) { return track < tracks.size() ? tracks[track] : model::no_index; };
    t.gpu.reserve(t.gpu.size() + o.t.gpu.size());
    for (model::gpu_event e : o.t.gpu) {
      e.name = names[e.name], e.process = processes.empty() ? std::uint16_t{0} : processes[e.process];
      e.detail = details.intern(t.details, o.t.details[e.detail]);
      t.gpu.push_back(e);
    }
    for (model::api_call a : o.t.api) a.name = names[a.name], a.track = on(a.track), t.api.push_back(a);
    for (model::annotation a : o.t.annotations) a.name = names[a.name], a.domain = names[a.domain], a.track = on(a.track), t.annotations.push_back(a);
    for (model::sync_event s : o.t.syncs) s.name = names[s.name], s.process = processes.empty() ? std::uint16_t{0} : processes[s.process], t.syncs.push_back(s);
    o = timeline_sink();
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
