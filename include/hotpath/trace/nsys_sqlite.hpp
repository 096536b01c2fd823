// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/nsys_sqlite.hpp - Nsight Systems' SQLite exports (nsys export --type sqlite), as a timeline or row by row.
//
//     auto t = trace::read_nsys("report.sqlite");                              // result<model::timeline>, sorted
//
//     std::vector<kernel::stats_collector> durations(2);                        // two connections, each with half of the rows of a table
//     auto about = trace::scan_nsys<kernel::stats_collector>("report.sqlite", durations, {.api = false, .brief = true});
//     auto rows = durations[0].table(kernel::stats_report::cuda_gpu_kern_sum, *about);
//
//   The file is never written: opened read-only and immutable, its schema untrusted, no index made, steps bounded by its size. Tables
//   exist only when the capture had rows for them, and columns come and go with versions: what is there is read, what is missing is said
//   (about.more "missing columns"; lost: missing_column for those without which figures are missing). Meanings are read from the ENUM_*
//   tables. Correlation ids join within a process (gpu_event::process, track::process); kernels whose launch lies outside the capture have no
//   api_call. Graphs that were captured as a whole are one event of gpu_kind::graph per launch. Host and user names are not read.
//   Times are nanoseconds since the capture began, one clock for all processes; process::unix_offset makes UTC of them.
//   Errors: not_found, unreadable (a folder; a journal beside it), malformed (no database, a corrupt page), unsupported (a .nsys-rep: the
//   message has the export command; another database), empty (no CUDA activity: the tables found, the capture flags that are missing).
//   Memory: the timeline (gpu_event: 64 bytes), 4 MiB per connection. Time: 3 M kernels/s into a timeline, 12 M/s brief, per connection.
//   Link SQLite >= 3.37 (the CMake component sqlite). Thread safety: functions without state.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/detail/sqlite.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/source.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

// Which rows a reader is given.
struct nsys_wants {
  bool kernels = true, copies = true, api = true, annotations = true, syncs = true;
  bool short_names = true;   // timeline::short_names and mangled_names
  bool brief = false;        // of kernels and graphs only begin, duration and name; of copies also bytes and kinds; of api begin, duration, name
};

// Reads everything. read_options: threads, names, progress.
result<model::timeline> read_nsys(const std::string& path, const read_options& options = {});

// The rows as they come, nothing kept. Sink: a class with
//   void gpu(const model::gpu_event& e, const model::gpu_detail& d);       // e.detail is 0, the detail is d
//   void api(const model::api_call& a);  void annotation(const model::annotation& a);  void sync(const model::sync_event& s);
//   void merge(Sink& other, std::span<const name_id> names, std::span<const std::uint32_t> tracks, std::span<const std::uint16_t> processes);
// One connection, and with the second sink one thread each, reads its share of each table; in the end sinks[0] has all: merge() takes the
// rows of `other` and leaves it empty, the spans turn other's ids into those of sinks[0]. Nothing depends on the number of sinks but time.
// Returns the timeline without events: names, tracks, processes, about, lost.
template <class Sink>
result<model::timeline> scan_nsys(const std::string& path, std::span<Sink> sinks, const nsys_wants& wants = {}, const read_options& options = {});

// The file begins as an SQLite database does.
inline bool is_sqlite(std::string_view first_bytes) { return first_bytes.starts_with(std::string_view("SQLite format 3\0", 16)); }

}  // namespace hotpath::inline HOTPATH_ABI::trace

#include <hotpath/trace/nsys_sqlite-inl.hpp>
