// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/torch.hpp - Kineto / Chrome JSON into a timeline, without an inflater in its name; trace.hpp is the front door.
//   What becomes what, by `cat`: kernel, gpu_memcpy, gpu_memset -> gpu; *_runtime, *_driver -> api; cpu_op -> ops; python_function -> frames;
//   user_annotation, gpu_user_annotation -> annotations; cuda_sync (hip_sync) -> syncs. Other categories, flows and counters are counted only.
//   An event with a `dur` of 0 is kept: CUPTI writes such. B/E pairs become events with a duration. Times are exact: decimal text to int64 ns.
//   Several processes: files that SGLang merged have pids such as "[TP00] 1234"; each prefix is one process. Else a file is one process.
//   Never stored: host, user and job names, paths of the trace, log lines that the profiler put into the root.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/detail/detail_table.hpp>
#include <hotpath/trace/detail/own_member.hpp>
#include <hotpath/trace/scan.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

enum class event_class : std::uint8_t { kernel, copy, set, api, op, frame, annotation, gpu_annotation, sync, other };
event_class class_of(std::string_view category);
// An id as profilers write it: a whole number, 12.0, or a string of digits; up to 2^64 - 1. False: absent ("", "None", null, negative).
bool id_of(std::string_view text, std::uint64_t& out);
bool read_id(json::reader& in, std::uint64_t& out);

// What an event's args say; fields that an event lacks keep their defaults.
struct event_args {
  std::uint64_t correlation = model::no_id, external = model::no_id, waits_for = model::no_id;
  std::uint32_t stream = model::no_index, graph = model::no_index, graph_node = model::no_index, waits_for_stream = model::no_index;
  std::uint32_t device = model::no_index;
  name_id kernel = 0, text = 0, sync_kind = 0;   // text: of metadata
  bool has_detail = false, is_graph = false;     // is_graph: our own writer's mark of a whole graph
  model::gpu_detail detail;
};

// One event, of ph X, or half of one, of ph B or E: 48 bytes.
struct event_row {
  std::int64_t begin = 0, duration = 0;
  std::uint64_t byte = 0;
  std::uint32_t track = model::no_index;
  name_id name = 0;
  std::uint32_t category = 0;
  event_class what = event_class::other;
  char phase = 'X';
  std::uint32_t args = model::no_index;           // of a B: in half_args_
};

// Reads events into a timeline, in the order of the file. Several may read pieces of one file, each into a timeline of its own; merge() then
// appends them in order, so that the outcome does not depend on who read what.
class torch_builder {
 public:
  torch_builder(model::timeline& out, const read_options& o, bool part = false);

  // Handler of document<> and scan_events<>.
  bool event(json::reader& in, std::string_view text, std::uint64_t byte);
  void odd_element(std::uint64_t byte);
  void member(std::string_view key, std::string_view value);
  void around(std::string_view, bool) {}
  void broken_event(std::string_view rest, std::uint64_t byte, std::string note);
  void lost(model::trace_fault f, std::uint64_t byte, std::string note, std::uint64_t times = 1) { out_.count(f, byte, std::move(note), times); }

  // Appends what `from` read since its last clear(), and clears it.
  void merge(torch_builder& from);
  // Forgets the events, keeps the names: they come again. Everything with `all`.
  void clear(bool all);
  // After the last event: pairs, metadata, processes, order.
  void finish(std::string_view path);
  std::uint64_t events() const { return events_; }

 private:
  struct category {
    std::string text;
    event_class what;
    std::uint64_t count;
  };
  struct metadata { std::uint32_t track; std::uint8_t what; name_id text; };   // what: 0 process_name, 1 process_labels, 2 thread_name
  struct seen_track { std::uint32_t track = model::no_index; std::uint8_t pid_size = 0, tid_size = 0; char text[30]; };

  void arg(json::reader& in, std::string_view key);
  void emit(std::uint64_t byte);
  void store(const event_row& e);
  std::uint32_t category_of(std::string_view text);
  std::uint32_t find_category(std::string_view text);
  std::uint32_t track_of(std::string_view pid, std::string_view tid);
  std::uint32_t track_row(name_id pid, name_id tid);
  void match_halves();
  void find_processes(std::string_view path);
  void find_duplicates();
  void find_engine();
  void device_properties(std::string_view value);
  void distributed(std::string_view value);
  void fact(std::string_view key, std::string_view value);

  model::timeline& out_;
  read_options options_;
  bool part_;                                     // is merged into another one
  std::uint64_t events_ = 0;
  std::uint64_t phases_[256] = {};
  std::vector<category> categories_;
  std::uint32_t last_category_[32] = {};          // by length of the text
  std::vector<metadata> metadata_;
  rows<event_row> halves_;                        // B and E
  rows<event_args> half_args_;                    // of those B that have args: 128 bytes
  hotpath::detail::row_index track_index_, category_index_;
  detail_table detail_index_;
  seen_track seen_[16];
  // Of builders that are merged into this one: what their numbers are here.
  std::vector<name_id> names_there_;
  std::vector<std::uint32_t> tracks_there_, details_there_, categories_there_;

  // The event being read.
  event_args args_;
  bool args_used_ = false;
  std::string_view name_, pid_, tid_;
  std::uint64_t name_hash_ = 0;
  std::string own_[3];                            // of them, where decoded
  char phase_ = 0;
  std::uint32_t category_ = 0;
  bool odd_ = false;
  enum class number : std::uint8_t { absent, bad, good } ts_state_{}, dur_state_{};
  nanoseconds ts_{}, dur_{};
  bool in_time_ = false;                          // a syntax error happened in ts or dur
  bool base_given_ = false;
  std::int64_t base_ns_ = 0;
  std::vector<std::string> root_words_;           // that tell the engine
  told_by_writer told_;                           // where the file is one of ours
};

}  // namespace detail

// Reads the text of a source, in one thread or several. `path` is for messages, and its name for the rank.
result<model::timeline> read_source(byte_source source, std::string_view path, const read_options& options);
// Text in memory.
result<model::timeline> read_text(std::string_view text, const read_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/torch-inl.hpp>
#endif
