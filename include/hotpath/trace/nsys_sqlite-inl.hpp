// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/nsys_sqlite-inl.hpp - bodies of nsys_sqlite.hpp. A row reaches us as the arguments of an aggregate function of ours:
//   that saves the way through sqlite3_step() and sqlite3_column_*(), a fifth of a scan (tests/bench/nsys_bench.cpp).
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/rows.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

namespace sq = hotpath::detail::sqlite;

using hotpath::detail::id_index;
using hotpath::detail::id_map;

// Equal details are one entry of timeline::details.
class detail_table {
 public:
  std::uint32_t intern(std::vector<model::gpu_detail>& all, const model::gpu_detail& d) {
    if (d == model::gpu_detail{}) return 0;
    if (last_ < all.size() && all[last_] == d) return last_;
    const auto next = static_cast<std::uint32_t>(all.size());
    last_ = index_.insert(hash(d), next, [&](std::uint32_t i) { return all[i] == d; }, [&](std::uint32_t i) { return hash(all[i]); });
    if (last_ == next) all.push_back(d);
    return last_;
  }

 private:
  static std::uint64_t hash(const model::gpu_detail& d) {
    std::uint64_t h = d.bytes;
    for (const std::uint32_t v : {d.grid[0], d.grid[1], d.grid[2], d.block[0], d.block[1], d.block[2], d.registers, d.shared_bytes,
                                  std::uint32_t{d.copy_kind} << 16 | std::uint32_t{d.source_memory} << 8 | d.target_memory})
      h = hotpath::detail::mix(h, v);
    return h;
  }
  hotpath::detail::row_index index_;
  std::uint32_t last_ = 0;
};

// Each once, in the order of their first use: what several connections meet is one loss.
struct id_set {
  id_index seen;
  std::vector<std::uint64_t> all;
  void add(std::uint64_t id) {
    if (seen.number(id) == all.size()) all.push_back(id);
  }
  void take(id_set& from) {
    for (const std::uint64_t id : from.all) add(id);
    from = id_set();
  }
};

// ---- the schema: which columns of which tables are read
struct nsys_column {
  std::string_view name;
  bool needed = false;                   // without it a figure is missing, and that is a loss
};
struct nsys_table {
  std::string_view name;
  std::span<const nsys_column> columns;
  std::size_t brief;                     // how many of the columns a brief reader gets
};
inline constexpr nsys_column kernel_columns[] = {{"start", true}, {"end", true}, {"demangledName", true}, {"shortName"}, {"mangledName"}, {"deviceId", true}, {"streamId", true},
  {"correlationId", true}, {"globalPid", true}, {"graphNodeId"}, {"graphId"}, {"registersPerThread"}, {"gridX"}, {"gridY"}, {"gridZ"}, {"blockX"}, {"blockY"}, {"blockZ"},
  {"staticSharedMemory"}, {"dynamicSharedMemory"}};
inline constexpr nsys_column graph_columns[] = {{"start", true}, {"end", true}, {"graphId", true}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true}};
inline constexpr nsys_column copy_columns[] = {{"start", true}, {"end", true}, {"bytes", true}, {"copyKind", true}, {"srcKind"}, {"dstKind"}, {"deviceId", true}, {"streamId", true},
  {"correlationId", true}, {"globalPid", true}, {"graphNodeId"}};
inline constexpr nsys_column set_columns[] = {{"start", true}, {"end", true}, {"bytes", true}, {"memKind"}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true},
  {"graphNodeId"}};
inline constexpr nsys_column api_columns[] = {{"start", true}, {"end", true}, {"nameId", true}, {"globalTid", true}, {"correlationId", true}};
inline constexpr nsys_column nvtx_columns[] = {{"start", true}, {"end", true}, {"eventType", true}, {"text"}, {"textId"}, {"domainId"}, {"globalTid", true}};
inline constexpr nsys_column sync_columns[] = {{"start", true}, {"end", true}, {"syncType", true}, {"deviceId", true}, {"streamId", true}, {"correlationId", true}, {"globalPid", true},
  {"eventId"}, {"eventSyncId"}};
inline constexpr nsys_table nsys_kernels{"CUPTI_ACTIVITY_KIND_KERNEL", kernel_columns, 3};
inline constexpr nsys_table nsys_graphs{"CUPTI_ACTIVITY_KIND_GRAPH_TRACE", graph_columns, 3};
inline constexpr nsys_table nsys_copies{"CUPTI_ACTIVITY_KIND_MEMCPY", copy_columns, 6};
inline constexpr nsys_table nsys_sets{"CUPTI_ACTIVITY_KIND_MEMSET", set_columns, 4};
inline constexpr nsys_table nsys_api{"CUPTI_ACTIVITY_KIND_RUNTIME", api_columns, 3};
inline constexpr nsys_table nsys_nvtx{"NVTX_EVENTS", nvtx_columns, 7};
inline constexpr nsys_table nsys_syncs{"CUPTI_ACTIVITY_KIND_SYNCHRONIZATION", sync_columns, 9};

// What ENUM_* tables say, for exports without them (schema 3.25).
struct nsys_word {
  std::int64_t id = 0;
  std::string name, label;
};
struct known_word {
  std::uint8_t id;
  std::string_view name, label;
};
inline constexpr known_word known_copies[] = {{0, "CUDA_MEMCPY_KIND_UNKNOWN", "Unknown"}, {1, "CUDA_MEMCPY_KIND_HTOD", "Host-to-Device"}, {2, "CUDA_MEMCPY_KIND_DTOH", "Device-to-Host"},
  {3, "CUDA_MEMCPY_KIND_HTOA", "Host-to-Array"}, {4, "CUDA_MEMCPY_KIND_ATOH", "Array-to-Host"}, {5, "CUDA_MEMCPY_KIND_ATOA", "Array-to-Array"}, {6, "CUDA_MEMCPY_KIND_ATOD", "Array-to-Device"},
  {7, "CUDA_MEMCPY_KIND_DTOA", "Device-to-Array"}, {8, "CUDA_MEMCPY_KIND_DTOD", "Device-to-Device"}, {9, "CUDA_MEMCPY_KIND_HTOH", "Host-to-Host"}, {10, "CUDA_MEMCPY_KIND_PTOP", "Peer-to-Peer"},
  {11, "CUDA_MEMCPY_KIND_UVM_HTOD", "Unified Host-to-Device"}, {12, "CUDA_MEMCPY_KIND_UVM_DTOH", "Unified Device-to-Host"}, {13, "CUDA_MEMCPY_KIND_UVM_DTOD", "Unified Device-to-Device"}};
inline constexpr known_word known_memories[] = {{0, "CUDA_MEMOPR_MEMORY_KIND_PAGEABLE", ""}, {1, "CUDA_MEMOPR_MEMORY_KIND_PINNED", ""}, {2, "CUDA_MEMOPR_MEMORY_KIND_DEVICE", ""},
  {3, "CUDA_MEMOPR_MEMORY_KIND_ARRAY", ""}, {4, "CUDA_MEMOPR_MEMORY_KIND_MANAGED", ""}, {5, "CUDA_MEMOPR_MEMORY_KIND_DEVICE_STATIC", ""}, {6, "CUDA_MEMOPR_MEMORY_KIND_MANAGED_STATIC", ""}};
inline constexpr known_word known_syncs[] = {{1, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_EVENT_SYNCHRONIZE", ""}, {2, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT", ""},
  {3, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE", ""}, {4, "CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_CONTEXT_SYNCHRONIZE", ""}};
inline constexpr known_word known_nvtx[] = {{34, "NvtxMark", ""}, {59, "NvtxPushPopRange", ""}, {60, "NvtxStartEndRange", ""}, {75, "NvtxDomainCreate", ""}};

// How the model counts them: the last word of CUPTI's names, in the order of CUPTI's numbers.
inline constexpr std::string_view copy_words[] = {"UNKNOWN", "HTOD", "DTOH", "HTOA", "ATOH", "ATOA", "ATOD", "DTOA", "DTOD", "HTOH", "PTOP"};
inline constexpr std::string_view memory_words[] = {"UNKNOWN", "PAGEABLE", "PINNED", "DEVICE", "ARRAY", "MANAGED", "DEVICE_STATIC", "MANAGED_STATIC"};

struct nsys_meaning {
  std::uint8_t code = 0;
  std::string label;
};
// Of small ids; what is beyond has no meaning.
using nsys_meanings = std::array<nsys_meaning, 256>;

// ---- one connection and what it has found; everything in it is its own
struct nsys_part {
  sq::database db;
  sq::statement string_of;
  name_table names;
  std::vector<name_id> short_names, mangled_names;
  id_map strings, api_strings, graphs, pids, tids;   // pids: globalPid >> 24; tids: globalTid
  std::vector<std::int64_t> pid_keys, tid_keys;
  std::vector<model::track> tracks;
  std::array<name_id, 256> copy_names{};
  name_id set_name = 0;
  std::array<std::uint64_t, model::trace_fault_count> faults{};
  id_set missing, cut, refused, too_many;                          // ids of strings; hashes of texts (name_table::expect); keys of processes beyond 65,535
  std::uint64_t rows = 0;
  std::int64_t budget = 0;
  const struct nsys_scan* scan = nullptr;
  bool first = true;                                               // the one that tells how far it is
  std::size_t names_given = 0, tracks_given = 0, pids_given = 0;   // to part 0, by merge
  std::vector<name_id> as_names;
  std::vector<std::uint32_t> as_tracks;
  std::vector<std::uint16_t> as_pids;

  void count(model::trace_fault f) { ++faults[static_cast<std::size_t>(f)]; }
  name_id intern(std::string_view text) {
    const std::uint64_t cuts = names.cut(), refusals = names.refused();
    const name_id n = names.intern(text);
    if (names.cut() != cuts) cut.add(names.expect(text));
    if (names.refused() != refusals) refused.add(names.expect(text.substr(0, scan_names().bytes)));
    return n;
  }
  const name_table::limits& scan_names() const;
  // What a file says in 64 bits and the model keeps in less. -1 and 2^32 - 1 are CUPTI's "none"; what is beyond is counted.
  std::uint32_t index_of(sqlite3_value* v) {
    if (sqlite3_value_type(v) == SQLITE_NULL) return model::no_index;
    const std::int64_t n = sqlite3_value_int64(v);
    if (n >= -1 && n <= UINT32_MAX) return static_cast<std::uint32_t>(n);
    count(model::trace_fault::malformed_event);
    return model::no_index;
  }
  std::uint16_t device_of(sqlite3_value* v) {
    const std::int64_t n = sqlite3_value_int64(v);
    if (n >= 0 && n <= UINT16_MAX) return static_cast<std::uint16_t>(n);
    if (n != -1 && n != UINT32_MAX) count(model::trace_fault::malformed_event);
    return UINT16_MAX;
  }
  std::uint64_t bytes_of(sqlite3_value* v) {
    const std::int64_t n = sqlite3_value_int64(v);
    if (n < 0) count(model::trace_fault::malformed_event);
    return n < 0 ? 0 : static_cast<std::uint64_t>(n);
  }
  name_id text_of(std::int64_t id);
  name_id name(sqlite3_value* v) {
    if (sqlite3_value_type(v) == SQLITE_NULL) return 0;
    const std::int64_t id = sqlite3_value_int64(v);
    if (const std::uint32_t* known = strings.find(id)) return *known;
    const name_id n = text_of(id);
    strings.add(id, n);
    return n;
  }
  name_id api_name(sqlite3_value* v);
  name_id graph_name(std::uint32_t graph);
  name_id copy_name(std::uint8_t kind);
  std::uint16_t process(std::int64_t key);
  std::uint16_t process(sqlite3_value* v);
  std::uint32_t track(sqlite3_value* v);
  void remember(std::vector<name_id>& of, name_id id, sqlite3_value* v) {
    if (id < of.size() && of[id] != 0) return;
    const name_id n = name(v);
    if (n == 0) return;
    if (of.size() <= id) of.resize(id + 1);
    of[id] = n;
  }
  // Begin and duration of a row; false: counted, not used.
  bool when(sqlite3_value* start, sqlite3_value* end, nanoseconds& begin, nanoseconds& duration, bool may_be_open = false, bool* open = nullptr) {
    if (sqlite3_value_type(start) == SQLITE_INTEGER && sqlite3_value_type(end) == SQLITE_INTEGER) {
      const std::int64_t from = sqlite3_value_int64(start), to = sqlite3_value_int64(end);
      if (from <= to && from > -latest && to < latest) {
        begin.ns = from, duration.ns = to - from;
        return true;
      }
    }
    return odd_when(start, end, begin, may_be_open, open);
  }
  static constexpr std::int64_t latest = std::int64_t{1} << 62;
  bool odd_when(sqlite3_value* start, sqlite3_value* end, nanoseconds& begin, bool may_be_open, bool* open);
};

struct nsys_found_table {
  std::string name;
  std::vector<std::string> columns;
  bool has_rows = false;
};

struct nsys_domain {
  std::int64_t process, domain;
  std::string name;
};
struct nsys_record {                       // an event record that synchronizations wait for
  std::int64_t process, event, event_sync;
  std::uint64_t correlation;
  std::uint32_t stream;
};

struct nsys_scan {
  std::string path;
  nsys_wants wants;
  read_options options;
  std::uint64_t file_bytes = 0, rows_in_all = 0;
  std::size_t parts = 1;
  std::vector<nsys_found_table> tables;
  nsys_meanings copies, memories, syncs, nvtx;
  std::vector<nsys_domain> domains;
  std::vector<nsys_record> records;
  std::int64_t default_process = -1;       // of rows that name none
  std::string missing;                     // columns, for people
  std::uint64_t missing_needed = 0;

  const nsys_found_table* table(std::string_view name) const {
    for (const nsys_found_table& t : tables)
      if (t.name == name) return &t;
    return nullptr;
  }
};

inline const name_table::limits& nsys_part::scan_names() const { return scan->options.names; }

inline bool has_column(const nsys_found_table& t, std::string_view column) {
  for (const std::string& c : t.columns)
    if (c == column) return true;
  return false;
}

// How many of a table's columns are read.
inline std::size_t columns_read(const nsys_wants& wants, const nsys_table& t, const nsys_found_table& there) {
  if (!wants.brief) return t.columns.size();
  return t.name == nsys_kernels.name && (wants.short_names || !has_column(there, "demangledName")) ? 5 : t.brief;
}

// ---- rows -> events. v has the columns of the table in the order above; in a brief scan, n is the number of the first of them
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
name_id domain_name(nsys_part& p, std::int64_t process, std::int64_t domain);
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

// The part must stay where it is: SQLite knows its address.
result<void> nsys_open(const nsys_scan& scan, nsys_part& part);
result<void> nsys_look(nsys_scan& scan, nsys_part& part, model::timeline& about);
result<void> nsys_finish(const nsys_scan& scan, nsys_part& part, model::timeline& about);
// Runs `step` over the rows of a table from lo to hi.
result<void> nsys_rows(const nsys_scan& scan, nsys_part& part, const nsys_table& table, void (*step)(sqlite3_context*, int, sqlite3_value**), void* self, std::int64_t lo, std::int64_t hi);
// Where the parts of a table begin: parts + 1 row ids, the first is INT64_MIN, the last INT64_MAX; empty: one part.
std::vector<std::int64_t> nsys_cuts(const nsys_scan& scan, nsys_part& part, std::string_view table);
void nsys_adopt(nsys_part& main, nsys_part& other);

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

}  // namespace detail

template <class Sink>
result<model::timeline> scan_nsys(const std::string& path, std::span<Sink> sinks, const nsys_wants& wants, const read_options& options) {
  HOTPATH_ASSERT(!sinks.empty());
  detail::nsys_scan scan;
  scan.path = path, scan.wants = wants, scan.options = options, scan.parts = sinks.size();
  model::timeline about;
  std::vector<detail::nsys_part> parts(sinks.size());
  for (detail::nsys_part& p : parts) {
    if (auto opened = detail::nsys_open(scan, p); !opened) return opened.error();
    p.first = &p == parts.data();
    if (p.first)
      if (auto looked = detail::nsys_look(scan, p, about); !looked) return looked.error();
  }
  using namespace detail;
  const std::span<nsys_part> all = parts;
  model::trace_about& a = about.about;
  result<void> r;
  if (wants.kernels) r = nsys_reader<Sink, kernel_row<Sink>>::read_all(scan, all, sinks, nsys_kernels, a);
  if (r && wants.kernels) r = nsys_reader<Sink, graph_row<Sink>>::read_all(scan, all, sinks, nsys_graphs, a);
  if (r && wants.copies) r = nsys_reader<Sink, copy_row<Sink>>::read_all(scan, all, sinks, nsys_copies, a);
  if (r && wants.copies) r = nsys_reader<Sink, set_row<Sink>>::read_all(scan, all, sinks, nsys_sets, a);
  if (r && wants.api) r = nsys_reader<Sink, api_row<Sink>>::read_all(scan, all, sinks, nsys_api, a);
  if (r && wants.annotations) r = nsys_reader<Sink, nvtx_row<Sink>>::read_all(scan, all, sinks, nsys_nvtx, a);
  if (r && wants.syncs) r = nsys_reader<Sink, sync_row<Sink>>::read_all(scan, all, sinks, nsys_syncs, a);
  if (r) r = nsys_finish(scan, parts[0], about);
  if (!r) return r.error();
  return about;
}

namespace detail {

// ---- one connection

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

inline name_id nsys_part::text_of(std::int64_t id) {
  name_id n = 0;
  bool there = false;
  if (string_of.get() == nullptr && scan->table("StringIds") != nullptr)
    if (auto s = db.prepare("SELECT value FROM StringIds WHERE id = ?1", "cannot read names")) string_of = std::move(*s);
  if (string_of.get() != nullptr) {
    string_of.bind(1, id);
    there = string_of.step() == SQLITE_ROW && !string_of.is_null(0);
    if (there) n = intern(string_of.bytes(0));
    sqlite3_reset(string_of.get());
  }
  if (there) return n;
  missing.add(static_cast<std::uint64_t>(id));
  return intern(std::string("<id ").append(std::to_string(id)).append(">"));
}

// Runtime calls carry the version of CUDA that made them: cudaLaunchKernel_v7000, cudaStreamGetCaptureInfo_v2_v11030. _v2 is part of a name.
inline std::string_view without_version(std::string_view name) {
  const std::size_t at = name.rfind("_v");
  if (at == std::string_view::npos || name.size() - at < 6) return name;
  for (std::size_t i = at + 2; i < name.size(); ++i)
    if (!text::is_digit(name[i])) return name;
  return name.substr(0, at);
}
inline name_id nsys_part::api_name(sqlite3_value* v) {
  const std::int64_t id = sqlite3_value_int64(v);
  if (const std::uint32_t* known = api_strings.find(id)) return *known;
  const std::string whole(names[name(v)]);
  const name_id n = intern(without_version(whole));
  api_strings.add(id, n);
  return n;
}
inline name_id nsys_part::graph_name(std::uint32_t graph) {
  if (const std::uint32_t* known = graphs.find(graph)) return *known;
  const name_id n = intern(graph == model::no_index ? std::string("[CUDA graph]") : std::string("[CUDA graph ").append(std::to_string(graph)).append("]"));
  graphs.add(graph, n);
  return n;
}
inline name_id nsys_part::copy_name(std::uint8_t kind) {
  name_id& n = copy_names[kind];
  if (n == 0) {
    const std::string& label = scan->copies[kind].label;
    n = intern(std::string("[CUDA memcpy ").append(label.empty() ? "kind " + std::to_string(kind) : label).append("]"));
  }
  return n;
}

inline std::uint16_t nsys_part::process(std::int64_t key) {
  if (const std::uint32_t* known = pids.find(key)) return static_cast<std::uint16_t>(*known);
  if (pid_keys.size() >= UINT16_MAX) {
    too_many.add(static_cast<std::uint64_t>(key));
    return 0;
  }
  pid_keys.push_back(key);
  pids.add(key, static_cast<std::uint32_t>(pid_keys.size() - 1));
  return static_cast<std::uint16_t>(pid_keys.size() - 1);
}
inline std::uint16_t nsys_part::process(sqlite3_value* v) {
  if (sqlite3_value_type(v) != SQLITE_NULL) return process(sqlite3_value_int64(v) >> 24);
  if (scan->default_process < 0) count(model::trace_fault::unknown_process);
  return process(scan->default_process);
}
inline std::uint32_t nsys_part::track(sqlite3_value* v) {
  if (sqlite3_value_type(v) == SQLITE_NULL) {
    count(model::trace_fault::unknown_process);
    return model::no_index;
  }
  const std::int64_t key = sqlite3_value_int64(v);
  if (const std::uint32_t* known = tids.find(key)) return *known;
  tid_keys.push_back(key);
  tracks.push_back({.pid = intern(std::to_string(key >> 24 & 0xffffff)), .tid = intern(std::to_string(key & 0xffffff)), .name = 0, .process = process(key >> 24)});
  tids.add(key, static_cast<std::uint32_t>(tracks.size() - 1));
  return static_cast<std::uint32_t>(tracks.size() - 1);
}

inline bool nsys_part::odd_when(sqlite3_value* start, sqlite3_value* end, nanoseconds& begin, bool may_be_open, bool* open) {
  using enum model::trace_fault;
  const int a = sqlite3_value_type(start), b = sqlite3_value_type(end);
  const std::int64_t from = sqlite3_value_int64(start), to = sqlite3_value_int64(end);
  if (a == SQLITE_INTEGER && b == SQLITE_NULL && may_be_open && from > -latest && from < latest) {
    begin.ns = from, *open = true;
    return true;
  }
  count(a == SQLITE_NULL ? no_time : a != SQLITE_INTEGER || (b != SQLITE_INTEGER && b != SQLITE_NULL) ? bad_time : b == SQLITE_NULL ? no_duration : to < from ? negative_duration : bad_time);
  return false;
}

// `other` gives what it has found since the last time to `main`.
inline void nsys_adopt(nsys_part& main, nsys_part& other) {
  for (; other.names_given < other.names.size(); ++other.names_given) other.as_names.push_back(main.intern(other.names[static_cast<name_id>(other.names_given)]));
  for (; other.pids_given < other.pid_keys.size(); ++other.pids_given) other.as_pids.push_back(main.process(other.pid_keys[other.pids_given]));
  for (; other.tracks_given < other.tracks.size(); ++other.tracks_given) {
    const std::int64_t key = other.tid_keys[other.tracks_given];
    if (const std::uint32_t* known = main.tids.find(key)) {
      other.as_tracks.push_back(*known);
      continue;
    }
    model::track t = other.tracks[other.tracks_given];
    t.pid = other.as_names[t.pid], t.tid = other.as_names[t.tid], t.process = other.as_pids[t.process];
    main.tid_keys.push_back(key), main.tracks.push_back(t);
    main.tids.add(key, static_cast<std::uint32_t>(main.tracks.size() - 1));
    other.as_tracks.push_back(static_cast<std::uint32_t>(main.tracks.size() - 1));
  }
  const auto names_of = [&](std::vector<name_id>& to, const std::vector<name_id>& from) {
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (from[i] == 0) continue;
      const name_id as = other.as_names[i];
      if (to.size() <= as) to.resize(as + 1);
      if (to[as] == 0) to[as] = other.as_names[from[i]];
    }
  };
  names_of(main.short_names, other.short_names), names_of(main.mangled_names, other.mangled_names);
  for (std::size_t i = 0; i < model::trace_fault_count; ++i)
    main.faults[i] += std::exchange(other.faults[i], 0);
  main.missing.take(other.missing), main.cut.take(other.cut), main.refused.take(other.refused), main.too_many.take(other.too_many);
}

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

inline name_id domain_name(nsys_part& p, std::int64_t process, std::int64_t domain) {
  const std::vector<nsys_domain>& all = p.scan->domains;  // by process, domain
  const nsys_domain *const end = all.data() + all.size(),
                    *const at = find_first_not(all.data(), end, [=](const nsys_domain& d) { return d.process < process || (d.process == process && d.domain < domain); });
  if (at != end && at->process == process && at->domain == domain) return p.intern(at->name);
  return p.intern(std::string("<domain ").append(std::to_string(domain)).append(">"));
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
  if (scan.missing_needed != 0) about.count(model::trace_fault::missing_column, {}, "columns that this export does not have (schema " + (version.empty() ? "not told" : version) + "): " + scan.missing, scan.missing_needed);
  return {};
}

constexpr std::size_t most_devices = 4096;

inline result<void> nsys_finish(const nsys_scan& scan, nsys_part& part, model::timeline& about) {
  std::optional<nanoseconds> utc;
  result<void> r = nsys_each(scan, part, "TARGET_INFO_SESSION_START_TIME", "utcEpochNs", [&](sq::statement& s) { if (!s.is_null(0)) utc = nanoseconds{s.integer(0)}; }, 1);
  const std::size_t slash = scan.path.rfind('/');
  for (const std::int64_t key : part.pid_keys) {
    model::process p;
    if (key >= 0) p.pid = part.intern(std::to_string(key & 0xffffff));
    p.source = slash == std::string::npos ? scan.path : scan.path.substr(slash + 1);
    p.unix_offset = utc;
    p.clock = about.processes.empty() ? model::clock_kind::own : model::clock_kind::aligned;  // the capture's clock is that of all
    about.processes.push_back(std::move(p));
  }
  // A path may hold a user's name: only the program's is kept.
  if (r) r = nsys_each(scan, part, "PROCESSES", "globalPid name", [&](sq::statement& s) {
    const std::uint32_t* const known = part.pids.find(s.integer(0) >> 24);
    if (known == nullptr) return;
    std::string_view name = s.bytes(1);
    name = name.substr(0, name.find(' '));
    name = name.substr(name.rfind('/') + 1);
    about.processes[*known].name = part.intern(name);
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

}  // namespace detail

inline result<model::timeline> read_nsys(const std::string& path, const read_options& options) {
  const long processors = ::sysconf(_SC_NPROCESSORS_ONLN);
  const std::size_t threads = options.threads != 0 ? (options.threads < 8u ? options.threads : 8u) : processors > 1 ? 2u : 1u;
  std::vector<detail::timeline_sink> sinks(threads);
  auto about = scan_nsys<detail::timeline_sink>(path, sinks, {}, options);
  if (!about) return about.error();
  model::timeline& rows = sinks[0].t;
  model::timeline t = std::move(*about);
  t.gpu = std::move(rows.gpu), t.api = std::move(rows.api), t.annotations = std::move(rows.annotations), t.syncs = std::move(rows.syncs), t.details = std::move(rows.details);
  t.sort();
  // Devices that the export does not describe.
  hotpath::detail::id_index known;
  for (const model::device& d : t.devices) known.insert(d.process, d.ordinal, 0);
  for (std::size_t i = 0; i < t.gpu.size() && t.devices.size() < detail::most_devices; ++i) {
    const model::gpu_event& e = t.gpu[i];
    if (i != 0 && t.gpu[i - 1].process == e.process && t.gpu[i - 1].device == e.device) continue;
    bool fresh = false;
    known.insert(e.process, e.device, 0, &fresh);
    if (fresh) t.devices.push_back({.process = e.process, .ordinal = e.device, .name = {}});
  }
  return t;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
