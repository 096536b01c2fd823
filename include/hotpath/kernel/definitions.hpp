// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/definitions.hpp - what the analyzers of a kernel trace tell each other and the reports: one definition of each noun.
//   The way of the data:  timeline --find_steps--> step_set --map_events--> mapping --look_at--> subject --> the three tables --> triage_report.
//   Times are nanoseconds of the timeline's clock; shares are percent (0 to 100, beyond 100 where the docstring says so). What cannot be known is
//   an empty optional, and a note says why. Rows are ordered as printed.
//   "GPU event" is an element of timeline::gpu; arrays "by GPU event" have one element for each of them, in that order.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/site.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

using model::no_index;
using model::stage;

// ---- steps and stages --------------------------------------------------------------------------------------------------------

enum class idle_cause : std::uint8_t { host_bound, launch_latency, sync_wait, graph_gap, communication, other };
inline constexpr std::string_view idle_cause_names[] = {"host bound", "launch latency", "sync wait", "graph gap", "waiting for communication", "other"};
inline constexpr std::string_view idle_columns[] = {"idle_host_bound_ns", "idle_launch_latency_ns", "idle_sync_wait_ns", "idle_graph_gap_ns", "idle_communication_ns", "idle_other_ns"};

// One engine iteration, as an annotation of the host says it, and what the GPU did for it.
struct step {
  stage what = stage::all;
  name_id annotation = 0;
  std::uint32_t track = no_index;                 // the thread that launched
  std::uint16_t process = 0;
  nanoseconds begin{}, end{};                     // of the annotation, host time
  std::optional<std::int64_t> context_requests = {}, generation_requests = {}, context_tokens = {}, generation_tokens = {};  // as the annotation tells
  std::uint64_t events = 0;                       // GPU events launched within it
  nanoseconds gpu_begin{}, gpu_end{};             // first begin and last end of them; launches run ahead, so this is later than `begin`
  nanoseconds gpu_busy{};                         // union of their intervals, all streams of the device
  bool graph = false;                             // at least one graph launch
  nanoseconds idle_by[6] = {};                    // of triage(): the gaps that its work ends, by idle_cause
};

// How a GPU event got its stage, the surest first.
enum class stage_source : std::uint8_t { launch, annotation_id, gpu_window, cpu_window, nearest_window, file_name, none };

struct step_set {
  std::vector<step> steps;                        // by (process, begin)
  std::vector<std::uint32_t> step_of;             // by GPU event: index in steps, or no_index
  std::vector<stage> stage_of;                    // by GPU event
  std::vector<stage_source> source_of;            // by GPU event
  std::vector<std::uint32_t> launch_of;           // by GPU event: index in timeline::api of the call that launched it, or no_index
  std::uint64_t duplicate_calls = 0, shared_ids = 0;   // API calls with an id of an earlier call; GPU events with one of an earlier event, beside those of graphs
};

// ---- mapping -----------------------------------------------------------------------------------------------------------------

enum class mapped_by : std::uint8_t { none, external_id, correlation, graph_join, name };  // name: the same kernel of another trace, a guess that is said
inline constexpr std::string_view mapped_by_names[] = {"unmapped", "external id", "correlation", "graph join", "kernel name"};

struct coverage {                                 // of GPU time and events, by method
  struct part { std::uint64_t events = 0; nanoseconds time{}; };
  part by[5] = {};                                // indexed by mapped_by
  part with_location = {};                        // of all methods: a source line is known, too
};

struct mapping {
  site_table sites;
  std::vector<std::uint32_t> site_of;             // by GPU event: index in sites, or no_index
  std::vector<mapped_by> how;                     // by GPU event
  coverage covered;
  std::uint64_t graph_launches = 0, graph_events = 0, graph_joined = 0;  // events that replays launched; those joined with a capture
  std::uint64_t graphs_unrecorded = 0;            // graph launches none of whose kernels is in the trace
  std::vector<std::string> notes;                 // "no capture of graphs of batch 32 in the traces given"
  // A source line of the program is known, not only that of a replay.
  bool has_location(std::uint32_t site) const { return site != no_index && !sites[site].graph_replay && sites[site].location != 0; }
  // Counts one GPU event.
  void cover(coverage& c, std::size_t event, nanoseconds time) const {
    const auto count = [time](coverage::part& p) { ++p.events, p.time += time; };
    count(c.by[static_cast<std::size_t>(how[event])]);
    if (has_location(site_of[event])) count(c.with_location);
  }
};

// ---- the subject: what all tables look at -------------------------------------------------------------------------------------

struct identity {                                 // of a kernel name launched by an operator
  name_id raw = 0;
  std::string canonical = {}, short_name = {};
  kernel_identity is = {};                             // family, the rule that decided, collective or direction
};

struct subject {
  const model::timeline* trace = nullptr;         // outlives the subject
  step_set steps;
  mapping map;
  std::vector<identity> identities;
  std::vector<std::uint32_t> identity_of;         // by GPU event
  std::vector<std::uint32_t> chosen;              // indices of the GPU events looked at, ascending: after rank, time range, stage
  nanoseconds left_out{};                         // time of the GPU events that are not looked at
  std::uint64_t left_out_events = 0;
  std::vector<stage> stages;                      // those that have chosen events, in the order of the enum but `all` last
};

// ---- tables ------------------------------------------------------------------------------------------------------------------

struct place {                                    // a site's share of a row
  std::string location = {}, cpu_op = {}, stack = {};
  double share = 0;                               // percent of the row's time
};

struct kernel_row {
  stage at = stage::all;
  std::string kernel, short_name, raw;            // canonical; <= 60 characters; as in the trace
  family what = family::other;
  std::string detail, rule;                       // collective or copy direction; which rule decided
  nanoseconds total{};
  double share = 0;                               // of the stage's summed GPU time
  double running_share = 0;                       // sum of the shares down to this row
  std::optional<double> share_busy, share_wall;   // of the stage's busy (union) and wall time; summed over streams it may exceed 100
  std::uint64_t launches = 0;
  std::optional<double> launches_per_step;
  nanoseconds mean{}, min{}, p50{}, p95{}, max{};
  std::vector<place> places;                      // most telling first, at most two
  std::string cpu_op;                             // the top one
  std::uint32_t streams = 0, devices = 0;         // how many it ran on
  model::gpu_detail launch;                       // of the longest launch: grid, block, registers, bytes
  struct over_ranks { nanoseconds min{}, median{}, max{}; std::uint32_t ranks = 0; };
  std::optional<over_ranks> ranks;                // total per rank, where the trace has several
};

struct kernel_table {
  stage at = stage::all;
  std::vector<kernel_row> rows;                   // by total, largest first
  std::uint64_t events = 0, hidden_rows = 0, hidden_events = 0;  // rows below the cut or beyond the limit
  nanoseconds total{}, hidden{};                  // rows + hidden = total
  nanoseconds busy{}, wall{};                     // union, and union + the gaps that work of this stage ends, per device, summed over devices; wall =
                                                  // busy where the gaps are not known (graphs whose kernels were not recorded)
  std::uint64_t steps = 0;
  nanoseconds in_steps{};                         // of total: launched within steps
  std::vector<std::pair<family, nanoseconds>> by_family;   // all events of the stage, largest first
};

// Where one stage's wall time went on the devices. Of one stage alone, wall is last end - first begin; the walls of several stages share it out.
struct device_time {
  stage at = stage::all;
  std::uint64_t steps = 0;
  std::uint32_t devices = 0, streams = 0;         // devices with work; streams with work, of the one that has most of them
  nanoseconds wall{}, busy{}, idle{};             // busy + idle = wall
  nanoseconds compute{}, comm{}, memory{};        // unions; compute: all that is neither communication nor copying and setting of memory
  nanoseconds exposed_comm{};                     // communication while no compute (as above) ran on another stream
  nanoseconds exposed_in_steps{};                 // of it: of launches within steps
  nanoseconds overlapped{};                       // two or more streams active
  struct part { nanoseconds time{}; std::uint64_t gaps = 0; };
  part idle_by[6] = {};                           // indexed by idle_cause; their sum is idle
  struct of_step { std::uint32_t step = 0; nanoseconds idle{}; nanoseconds idle_by[6] = {}; };  // the gaps that work of this step ends
  std::vector<of_step> by_step;                   // steps of this stage that have gaps, ascending
  std::optional<std::string> unknown;             // why idle and shares cannot be known (graphs whose kernels were not recorded): idle, idle_by,
                                                  // by_step and wall - busy are then empty, busy is what was recorded
};

struct overlap_row {
  stage at = stage::all;
  std::string priority, verdict, kernel, scope, signal, dependency, recommendation;  // the columns as printed
  overlap_class cls = overlap_class::other;
  nanoseconds total{}, exclusive{}, hidden{}, hidden_by_compute{};
  double share = 0;                               // of busy time
  nanoseconds saving{};                           // an upper bound of what could be won in the whole trace; 0: nothing
  std::optional<nanoseconds> saving_per_step;     // of launches within steps, per step
  std::string bound;                              // what bounds it, a phrase
  std::optional<double> inflation;                // p50 overlapped / p50 alone of one launch shape, >= 20 of each
  std::string partner;                            // what hides it most
  std::string known_family;                       // id and name of a known overlap pattern that fits, or empty
};

struct overlap_table {
  stage at = stage::all;
  device_time time;
  std::vector<overlap_row> rows;
  std::uint64_t hidden_rows = 0;
  std::string basis;                              // "one trace", "mapping and formal trace"
  std::string no_rows;                            // why there are none: "only one stream has work: nothing can overlap"
};

enum class fusion_state : std::uint8_t { already_fused, opportunity };
inline constexpr std::string_view fusion_state_names[] = {"already fused", "opportunity"};
enum class condition_state : std::uint8_t { met, not_met, unknown };
inline constexpr std::string_view condition_state_names[] = {"met", "not met", "unknown"};

struct fusion_row {
  stage at = stage::all;
  std::string id, pattern;                        // "F01", "FlashInfer unified allreduce_fusion"
  fusion_state state = fusion_state::opportunity;
  std::string confidence;                         // "confirmed", "candidate", "low"
  nanoseconds related{};                          // of the kernels that match
  double share = 0;                               // of the stage's summed GPU time
  std::vector<std::pair<std::string, double>> evidence;   // kernel, share; at most three
  std::vector<std::string> locations;             // at most four
  std::string candidate;                          // path of the fused implementation
  std::string rationale;
  std::optional<double> adjacency;                // percent of the chain's repetitions in which its kernels follow each other on one stream
  std::uint64_t repetitions = 0;
  std::optional<nanoseconds> gain_per_step;       // upper bound: launch gaps + the intermediate's memory traffic, at most the smaller kernels' time
  std::vector<std::pair<std::string, condition_state>> conditions;   // "tp_size >= 2", "enable_flashinfer_allreduce_fusion is off"
};

struct kernel_chain {                             // small kernels that follow each other again and again, and that no pattern knows
  std::vector<std::string> kernels;               // short names, in order
  std::string location;                           // of the first, where known
  nanoseconds related{};                          // of those that one kernel would save: all but the longest
  double share = 0, adjacency = 0;                // as in fusion_row
  std::uint64_t repetitions = 0;
  std::optional<nanoseconds> gain_per_step;       // as in fusion_row
};

struct fusion_table {
  stage at = stage::all;
  std::vector<fusion_row> rows;
  std::vector<kernel_chain> chains;               // largest gain first
  std::uint64_t hidden_rows = 0;
  std::optional<std::pair<std::string, std::string>> similarity;  // high | medium | low, and the sentence; only when inconclusive
};

// ---- the whole ----------------------------------------------------------------------------------------------------------------

struct server_fact { std::string key, value; };   // of server_args.json, flattened; values as JSON text without quotes
using server_args = std::vector<server_fact>;

enum class health : std::uint8_t { good, partial, unusable };
inline constexpr std::string_view health_names[] = {"good", "partial", "unusable"};

struct finding { bool warning = false; std::string text; };   // a full sentence

struct integrity {
  health verdict = health::good;
  std::vector<finding> findings;
  nanoseconds total{}, in_rows{}, hidden{}, left_out{};        // in_rows + hidden + left_out = total; checked, not assumed
};

struct cpu_row {                                  // an operator of the host, where there is no GPU work to look at
  std::string op;
  std::uint64_t calls = 0;
  nanoseconds self{}, total{};                    // self: without the operators inside it on the same thread
  double share = 0;                               // of the summed self time
};

struct triage_report {
  std::string mode;                               // "single-trace" or "mapping-formal"
  std::string framework;                          // sglang, vllm, trtllm, tokenspeed, unknown
  std::string framework_reason;                   // "--framework", "Python frames", "server args", ...
  std::string mapping_framework;                  // where it differs
  std::vector<std::string> inputs, mapping_inputs, capture_inputs;
  std::string model;                              // from server args; empty: not known
  std::vector<std::string> devices;               // names
  std::optional<int> rank, world_size;
  double min_share = 1.0;
  nanoseconds duration{};                         // of the GPU work: first begin to last end, summed over the inputs
  std::vector<step> steps;                        // those that have GPU events looked at, in time order
  std::vector<std::string> step_names;            // of their annotations
  coverage covered;
  std::vector<kernel_table> kernels;              // one per stage
  std::vector<overlap_table> overlaps;
  std::vector<fusion_table> fusions;
  std::vector<std::string> summary;               // what dominates each stage, one line each
  std::vector<std::string> hints;                 // how to read it (PDL, graph launches, stacks' cost)
  std::vector<cpu_row> cpu_ops;                   // only when there is no GPU event: largest self time first, at most 20
  integrity check;
  std::vector<std::pair<std::string, std::string>> notes;  // of readers and mappers: source, sentence
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel
