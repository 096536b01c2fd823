// SPDX-License-Identifier: Apache-2.0
// hotpath/model/timeline.hpp - the timeline that every trace source produces and every analyzer consumes.
//   Built by trace::read, by a live session, or by hand:
//
//     hotpath::model::timeline t;
//     t.gpu.push_back({.begin = 0_us, .duration = 12_us, .name = t.names.intern("gemm"), .stream = 7});
//     t.gpu.push_back({.begin = 15_us, .duration = 3_us, .name = t.names.intern("rms_norm"), .stream = 7});
//     t.sort();                                             // the order below, and the parents of frames
//
//   Times are nanoseconds on the trace's own clock: subtract two of them, or add `unix_offset` where there is one. A file of one process has one
//   entry in `processes`; merged files have one per process, and events of different processes are comparable only when
//   their clocks were aligned (process::clock). Ids join within one process.
//   Order after sort(): gpu, syncs by (process, device, begin); api, ops, frames, annotations by (track, begin, longer first).
//   Bytes per event: see the static_asserts. Thread safety: as a struct of vectors; reading from several threads is safe.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/name_table.hpp>
#include <hotpath/core/rows.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/model/loss.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

inline constexpr std::uint64_t no_id = UINT64_MAX;     // an absent correlation or External id; 0 is a valid one
inline constexpr std::uint32_t no_index = UINT32_MAX;  // an absent index, stream or graph

enum class gpu_kind : std::uint8_t { kernel, copy, set, graph };  // copy, set: memcpy, memset; graph: one row for all kernels of a graph launch

// Work on a device.
struct gpu_event {
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id;   // the API call that launched it has the same; all kernels of one graph launch share one
  std::uint64_t external = no_id;      // the cpu_op that it belongs to has the same
  name_id name = 0;
  std::uint32_t stream = no_index;
  std::uint32_t detail = 0;            // in timeline::details; 0: none
  std::uint32_t graph = no_index, graph_node = no_index;
  std::uint32_t track = no_index;      // where the file puts it (pid, tid)
  std::uint16_t process = 0;           // in timeline::processes
  std::uint16_t device = 0;            // ordinal as the file gives it
  gpu_kind kind = gpu_kind::kernel;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(gpu_event) == 64);

// Where work of a GPU stands in line: process, device and stream; in a trace that tells no streams, the track.
template <class E>
constexpr std::uint64_t lane_of(const E& e) {
  return std::uint64_t{e.process} << 48 | std::uint64_t{e.device} << 32 | (e.stream != no_index ? e.stream : e.track | 1u << 31);
}

// What few events of a trace differ in: interned, so that an event pays four bytes for it.
struct gpu_detail {
  std::uint32_t grid[3] = {}, block[3] = {};        // 0: not told
  std::uint32_t registers = 0;                      // per thread
  std::uint32_t shared_bytes = 0;                   // static and dynamic, per block
  float occupancy = -1;                             // estimated, 0 to 1; < 0: not told
  name_id collective = 0;                           // "allreduce", as the trace names it
  name_id group = 0;                                // process group
  name_id dtype = 0;
  std::uint64_t bytes = 0;                          // copied or set; of a collective: elements in, see dtype
  std::uint32_t group_size = 0;
  std::uint8_t copy_kind = 0;                       // CUPTI's: 1 HtoD, 2 DtoH, 8 DtoD, 10 PtoP, 0 not told
  std::uint8_t source_memory = 0, target_memory = 0;  // CUPTI's memory kinds; 1 pageable, 2 pinned, 3 device, 0 not told
  bool operator==(const gpu_detail&) const = default;
};

// A call of the runtime's or driver's API (cudaLaunchKernel, hipGraphLaunch, cudaStreamSynchronize, ...).
struct api_call {
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id, external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;
  name_id kernel = 0;                  // of a launch that tells it (HIP), also while a graph is captured; 0: not told
  std::uint32_t detail = 0;            // grid and block, where told

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(api_call) == 48);

struct cpu_op {                        // an operator of the framework: aten::mm, vllm::unified_attention
  nanoseconds begin{}, duration{};
  std::uint64_t external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(cpu_op) == 32);

struct frame {                         // a Python call: "path(line): function"
  nanoseconds begin{}, duration{};
  name_id name = 0;
  std::uint32_t track = no_index;
  std::uint32_t parent = no_index;     // in timeline::frames: the innermost frame of the same track around it
  std::uint32_t reserved = 0;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(frame) == 32);

enum class annotation_kind : std::uint8_t { user, gpu_user, push_pop, start_end, mark };  // the last three: NVTX

struct annotation {                    // what the program says it does: engine steps, ProfilerStep#3, NVTX ranges
  nanoseconds begin{}, duration{};     // a mark, or a range that was never closed, has duration 0
  std::uint64_t external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;
  name_id domain = 0;                  // NVTX
  std::uint32_t stream = no_index;     // gpu_user
  annotation_kind kind = annotation_kind::user;
  bool open = false;                   // never closed

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(annotation) == 48);

struct sync_event {                    // a synchronization as the device's side records it (cat cuda_sync): not work
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id;
  std::uint64_t waits_for = no_id;     // correlation of the event record that a stream wait waits for
  name_id name = 0;                    // "Stream Wait Event", "Context Sync", ...
  std::uint32_t stream = no_index, waits_for_stream = no_index;
  std::uint32_t track = no_index;
  std::uint16_t process = 0, device = 0;

  nanoseconds end() const { return begin + duration; }
};

struct track {                         // one (pid, tid) of the file, both kept as text: they may be numbers or words
  name_id pid = 0, tid = 0;
  name_id name = 0;                    // thread_name; "" if none
  std::uint16_t process = 0;
};

enum class clock_kind : std::uint8_t { own, unix_time, aligned };  // aligned: shifted onto the clock of processes[0] on request

struct process {
  name_id pid = 0, name = 0, label = 0;     // of the host process; label: process_labels
  std::optional<int> rank;                  // from the trace, else from the file's name
  bool rank_from_name = false;
  std::string source;                       // file name without its folder
  clock_kind clock = clock_kind::own;
  nanoseconds shift{};                      // added to this process's times when it was aligned
  std::optional<nanoseconds> unix_offset;   // add it to a time of this process: nanoseconds since 1970
};

struct device {
  std::uint16_t process = 0, ordinal = 0;
  std::string name;                         // "NVIDIA H100 80GB HBM3"; "": not told
  int compute_major = 0, compute_minor = 0, multiprocessors = 0;  // 0: not told
  std::uint64_t memory_bytes = 0;
};

// Why something of the file is not in the timeline, or is not what the file says.
enum class trace_fault : std::uint8_t {
  truncated,         // the file ends early: complete events before the end were kept
  damaged,           // syntax error: events before it were kept
  bad_checksum,      // gzip: the data was kept, unverified
  malformed_event,   // not an object, or one of its fields is of an impossible type
  no_duration, negative_duration, no_time, bad_time,  // bad_time: not a number, NaN, beyond 64-bit nanoseconds
  unmatched_begin,   // B without E: closed at the end of its parent
  unmatched_end,     // E without B: dropped
  repaired_text,     // control characters, ill-formed UTF-8, lone surrogates: kept
  long_name,         // cut to 64 KiB
  too_many_names,    // distinct names beyond the limit share one
  missing_name,      // a string id without entry: named <id N>
  duplicate_correlation,  // several API calls of one process with one id: the first is used
  missing_column,    // nsys: a column or table that this schema does not have
  unknown_process,   // an event of a process or thread that the file does not describe
};
inline constexpr std::size_t trace_fault_count = 17;
// Of the file as a whole, not of events that stand in it: what is missing is not known.
constexpr bool is_of_file(trace_fault f) { return f == trace_fault::truncated || f == trace_fault::damaged || f == trace_fault::bad_checksum; }

struct trace_loss {
  trace_fault fault = trace_fault::truncated;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> first_byte;  // in the text (after decompression)
  std::string note;                         // a full sentence, where there is more to say
};

enum class trace_format : std::uint8_t { none, torch, chrome, nsys_sqlite, session };

// What the file says of itself, and what reading it showed.
struct trace_about {
  trace_format format = trace_format::none;
  std::string file;                           // as given
  std::uint64_t file_bytes = 0, text_bytes = 0;
  std::uint64_t events = 0;                   // records of the file, of any kind
  std::vector<std::pair<char, std::uint64_t>> by_phase;             // torch: ph -> count
  std::vector<std::pair<std::string, std::uint64_t>> by_category;   // torch: cat of complete events (ph X) -> count
  std::string backend;                        // distributedInfo: "nccl"
  std::optional<int> rank, world_size;
  std::string engine_hint;                    // words of the file that tell the engine; "" none
  bool with_stack = false, record_shapes = false;
  std::vector<std::pair<std::string, std::string>> more;   // other facts worth showing, such as the nsys schema version
};

struct timeline {
  name_table names;
  rows<gpu_event> gpu;
  rows<api_call> api;
  rows<cpu_op> ops;
  rows<frame> frames;
  rows<annotation> annotations;
  rows<sync_event> syncs;
  std::vector<gpu_detail> details{1};         // [0]: nothing is told
  std::vector<name_id> short_names, mangled_names;  // by the id of a kernel's name, where the file tells: its base name, its mangled name. 0 or beyond the end: not told
  std::vector<track> tracks;
  std::vector<process> processes;
  std::vector<device> devices;
  trace_about about;
  std::vector<trace_loss> lost;               // one entry per fault, in the order of the enum

  // Puts every class into its order and finds the parents of frames. O(n) when in order already, else O(n log n); no memory beside it.
  void sort();
  // Counts one more; the first offset and note stay.
  void count(trace_fault f, std::optional<std::uint64_t> byte = {}, std::string note = {}, std::uint64_t times = 1);
  loss loss_total() const;
  bool partial() const { return !lost.empty() && loss_total(); }
  std::string_view name(name_id id) const { return names[id]; }
  std::uint16_t process_of(std::uint32_t track_index) const { return track_index < tracks.size() ? tracks[track_index].process : std::uint16_t{0}; }
};

// Word for tables and JSON: "truncated", "no_duration", ...
std::string_view name_of(trace_fault f);

// What an engine did in a step, and so what its kernels were for.
enum class stage : std::uint8_t { all, prefill, decode, mixed, verify, draft };  // all: not told apart
inline constexpr std::string_view stage_names[] = {"all", "extend/prefill", "decode", "mixed", "verify", "draft"};
constexpr std::string_view name_of(stage s) { return stage_names[static_cast<std::size_t>(s)]; }

}  // namespace hotpath::inline HOTPATH_ABI::model

#if HOTPATH_HEADER_ONLY
#include <hotpath/model/timeline-inl.hpp>
#endif
