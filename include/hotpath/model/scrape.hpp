// SPDX-License-Identifier: Apache-2.0
// hotpath/model/scrape.hpp - what an inference engine said of itself at one moment, by meaning and not by name.
//   metrics/ makes it from a page of /metrics, run/ stores it, serve/server.hpp folds a sequence of them into figures.
//   Counters and histograms are cumulative, as the engine gives them: a figure of a run is a difference of two scrapes.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/time.hpp>
#include <hotpath/model/loss.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class engine_metric : std::uint8_t {
  // gauges: the value of that moment
  running, waiting, kv_usage, kv_blocks, kv_block_tokens,
  // counters: since the engine started
  preemptions, prompt_tokens, cached_prompt_tokens, generation_tokens, prefix_queries, prefix_hits, requests_finished,
  spec_drafts, spec_draft_tokens, spec_accepted_tokens,
  // histograms of seconds, one value per request (itl: per token)
  ttft, itl, tpot, e2e, queue, prefill, decode, inference,
  // histogram of tokens, one value per engine step
  step_tokens,
};
enum class metric_kind : std::uint8_t { gauge, counter, histogram };

struct engine_metric_facts {
  std::string_view name, unit;
  metric_kind kind;
};
inline constexpr std::array<engine_metric_facts, 24> engine_metrics = {{
    {"running", "requests", metric_kind::gauge},
    {"waiting", "requests", metric_kind::gauge},
    {"kv_usage", "share", metric_kind::gauge},  // 0 to 1
    {"kv_blocks", "blocks", metric_kind::gauge},
    {"kv_block_tokens", "tokens", metric_kind::gauge},
    {"preemptions", "requests", metric_kind::counter},
    {"prompt_tokens", "tokens", metric_kind::counter},  // cached ones included
    {"cached_prompt_tokens", "tokens", metric_kind::counter},
    {"generation_tokens", "tokens", metric_kind::counter},
    {"prefix_queries", "tokens", metric_kind::counter},  // in the engine's own unit: tokens, TensorRT-LLM blocks
    {"prefix_hits", "tokens", metric_kind::counter},
    {"requests_finished", "requests", metric_kind::counter},
    {"spec_drafts", "drafts", metric_kind::counter},
    {"spec_draft_tokens", "tokens", metric_kind::counter},
    {"spec_accepted_tokens", "tokens", metric_kind::counter},
    {"ttft", "s", metric_kind::histogram},
    {"itl", "s", metric_kind::histogram},
    {"tpot", "s", metric_kind::histogram},
    {"e2e", "s", metric_kind::histogram},
    {"queue", "s", metric_kind::histogram},
    {"prefill", "s", metric_kind::histogram},
    {"decode", "s", metric_kind::histogram},
    {"inference", "s", metric_kind::histogram},
    {"step_tokens", "tokens", metric_kind::histogram},
}};
constexpr const engine_metric_facts& facts_of(engine_metric m) { return engine_metrics[static_cast<std::size_t>(m)]; }
static_assert(engine_metrics.size() == static_cast<std::size_t>(engine_metric::step_tokens) + 1);

struct bucket {
  double upper = 0;       // values up to and including it; the last one is +infinity
  double cumulative = 0;  // how many values are not above `upper`
};

// One metric of one engine.
struct metric_series {
  engine_metric what{};
  std::string name = {};        // the engine's own, without labels: "vllm:kv_cache_usage_perc"
  std::string source = {};      // which engine, where a page speaks of several: "model_name=tiny, engine=1"; empty: the only one
  double value = 0;             // of a gauge or counter; of a histogram: how many values
  std::optional<double> sum = {};  // of a histogram; missing: not told, or not a number
  std::optional<nanoseconds> created = {};  // CLOCK_REALTIME at which a counter or histogram began, where told
  std::vector<bucket> buckets = {};  // of a histogram, ascending; empty: not told, or not usable (scrape::problems says why)
};

inline constexpr std::string_view scrape_moment_names[] = {"before", "during", "after"};
struct scrape {
  enum class moment : std::uint8_t { before, during, after };  // of the load
  moment when = moment::during;
  nanoseconds begin{}, end{};         // request and answer, since the run's origin: the values belong to some moment between them
  std::string error;                  // why there is nothing; empty: it succeeded
  std::string engine;                 // "vllm", "sglang", "trtllm", "llamacpp", "dynamo", "generic"; empty: not known
  std::vector<metric_series> series;
  std::vector<std::string> problems;  // what a reader must know, bounded: "ttft: buckets are not cumulative"
  std::uint64_t skipped = 0;          // periods that passed before it because the scrape before it took too long
  loss lost;                          // lines that did not parse or were too many

  constexpr nanoseconds at() const { return nanoseconds{begin.ns + (end.ns - begin.ns) / 2}; }
  bool ok() const { return error.empty(); }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
