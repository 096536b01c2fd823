// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics/names.hpp - what engines call what we mean: rows of names.inc, and how a row is read. Data, and rows may be added:
//
//     metrics::page_options o{.names = {{.engine = "mine", .name = "mine_queue_length", .what = model::engine_metric::waiting}}};
//
//   A name matches with or without ':' written as '_' (OpenMetrics pages do) and with or without the suffix _total. Types on the
//   page are not trusted: vllm:iteration_tokens_total is a histogram, llama.cpp's n_busy_slots_per_decode changed its type.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <hotpath/model/scrape.hpp>

namespace hotpath::inline HOTPATH_ABI::metrics {

// How the samples of a name (and of the other names of the same meaning and preference) make one figure of one engine.
enum class reading : std::uint8_t {
  sum,              // added up
  most,             // the greatest: shares of several pools
  label_value,      // the number in `label`: vllm:cache_config_info{num_gpu_blocks="4096"} 1
  one,              // 1: the name is there
  share_of_blocks,  // added up and divided by kv_blocks
};

struct name_row {
  std::string_view engine;              // one of engine_names, or one of your own
  std::string_view name;                // as on a page of Prometheus text
  model::engine_metric what{};
  std::uint8_t preference = 0;          // the lowest that a page has is taken; names of one preference are read together
  reading how = reading::sum;
  std::string_view label = {};          // only samples in which this label ...
  std::string_view match = {};          // ... has this value; a '*' in front: ends so
  std::string_view versions = {};       // of the engine, where known: "0.11-", "-0.10"
  bool conditional = false;             // not on every page: its absence is nothing to report
};

enum class label_role : std::uint8_t {
  part,       // splits one figure: summed over
  rank,       // repeats one figure: the lowest is taken
  breakdown,  // gauges: a total stands under "", its parts under other values; counters and histograms: as part
};
struct label_row {
  std::string_view name;
  label_role role = label_role::part;
};
// Labels that are not here tell engines apart.
inline constexpr label_row known_labels[] = {
    {"le"}, {"quantile"},
    {"finished_reason"}, {"reason"}, {"source"}, {"position"},                                                                     // vLLM
    {"tp_rank", label_role::rank}, {"pp_rank", label_role::rank}, {"moe_ep_rank", label_role::rank},                               // SGLang
    {"priority", label_role::breakdown}, {"is_streaming"}, {"mode"}, {"stage"}, {"cache_source"},
    {"http_code"}, {"cache_level"}, {"cache_tier"},                                                                                // TensorRT-LLM
    {"endpoint"}, {"request_type"}, {"status"}, {"error_type"}, {"migration_type"}, {"dynamo_namespace"}, {"dynamo_component"}, {"dynamo_endpoint"},
};
// Says nothing with these values: engine_type="unified" is every SGLang server that is not split, engine_type="trtllm" every TensorRT-LLM.
inline constexpr std::array<std::string_view, 2> plain_engine_types = {"unified", "trtllm"};

inline constexpr std::array<std::string_view, 6> engine_names = {"vllm", "sglang", "trtllm", "llamacpp", "dynamo", "generic"};
// How the names of an engine begin, ':' written as '_'. Of several on one page the first is the engine: what Dynamo adds to an
// engine's own page says less than the engine does.
struct engine_prefix {
  std::string_view engine, prefix;
};
inline constexpr engine_prefix engine_prefixes[] = {{"vllm", "vllm_"}, {"sglang", "sglang_"}, {"trtllm", "trtllm_"}, {"llamacpp", "llamacpp_"},
                                                    {"dynamo", "dynamo_frontend_"}, {"dynamo", "dynamo_component_"}};

namespace detail {
using enum model::engine_metric;
inline constexpr name_row builtin_rows[] = {
#include <hotpath/metrics/names.inc>
};
}  // namespace detail

}  // namespace hotpath::inline HOTPATH_ABI::metrics
