// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/nsys_part.hpp - one connection to an export, and what it has found: names, processes, threads, losses. Not for users.
#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/detail/nsys_schema.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

namespace sq = hotpath::detail::sqlite;

using hotpath::detail::id_index;
using hotpath::detail::id_map;

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

// One connection: everything in it is its own. It must stay where it is: SQLite knows its address.
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

inline name_id domain_name(nsys_part& p, std::int64_t process, std::int64_t domain) {
  const std::vector<nsys_domain>& all = p.scan->domains;  // by process, domain
  const nsys_domain *const end = all.data() + all.size(),
                    *const at = find_first_not(all.data(), end, [=](const nsys_domain& d) { return d.process < process || (d.process == process && d.domain < domain); });
  if (at != end && at->process == process && at->domain == domain) return p.intern(at->name);
  return p.intern(std::string("<domain ").append(std::to_string(domain)).append(">"));
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

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
