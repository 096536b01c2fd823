// SPDX-License-Identifier: Apache-2.0
// hotpath/model/run.hpp - what was run: the manifest of one measurement. No secret ever enters it.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/core/time.hpp>
#include <hotpath/model/loss.hpp>
#include <hotpath/model/schedule.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class run_state : std::uint8_t {
  running,      // being written, or its writer was killed: partial
  complete,     // ran to its planned end
  interrupted,  // a signal ended it; drained and saved
  stopped,      // ended early by itself: --max-errors, 401/403, disk full. `stop_reason` says why
};
inline constexpr std::string_view run_state_names[] = {"running", "complete", "interrupted", "stopped"};
constexpr std::string_view name_of(run_state s) { return run_state_names[static_cast<std::size_t>(s)]; }

// Limits a request must meet to count as good; a limit that is not set is not checked. Equal to the limit is good.
struct slo {
  std::optional<nanoseconds> ttft = {}, tpot = {}, e2e = {};
  explicit operator bool() const { return ttft || tpot || e2e; }
};

struct run_info {
  std::string tool_version;
  std::vector<std::string> command_line;  // secrets already replaced by ***
  std::string host;                       // kernel's name of the machine
  std::string endpoint;                   // without credentials and query
  std::string api;                        // "completions" or "chat"
  std::string model;
  std::string engine;                     // as told by the server ("vllm"), empty: not known
  std::string engine_version;             // as its /version says; empty: not told
  std::string metrics_url;                // where its metrics were read, without credentials and query; empty: they were not
  std::string workload;                   // the file's name, or the synthetic description
  std::string prompt_lengths;             // "token ids", "words (approximate)", "as given"
  std::uint64_t workload_rows = 0;        // 0: endless or not known
  std::uint64_t workload_passes = 0;      // how often it was begun; > 1: cycled
  bool prompts_reused = false;
  loss workload_loss;                     // lines that were skipped
  std::uint64_t seed = 0;
  std::uint32_t threads = 1;
  std::uint64_t warmup = 0;               // requests excluded from statistics
  model::slo slo;
  schedule plan;                          // `due` is stored apart
  bool text_stored = false;

  nanoseconds origin{};                   // CLOCK_MONOTONIC at the run's zero; meaningful on the same boot only
  nanoseconds wall_start{};               // CLOCK_REALTIME at the same moment
  nanoseconds sending_began{}, sending_ended{};  // since the origin
  nanoseconds ended{};                    // last request closed, since the origin
  run_state state = run_state::running;
  std::string stop_reason;
  std::uint64_t unsent = 0;               // due, but the run ended while they waited for a slot
  loss lost;                              // finished requests that could not be stored
  std::vector<std::string> notes;         // what a reader must know: "workload cycled 3 times", "3 stale connections"
  std::uint64_t ephemeral_ports_left = 0; // at the start; 0 = not known (unix socket)
};

}  // namespace hotpath::inline HOTPATH_ABI::model
