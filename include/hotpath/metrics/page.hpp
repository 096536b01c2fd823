// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics/page.hpp - one page of an engine's metrics, read as a model::scrape: by meaning, with each engine apart.
//
//     model::scrape s = metrics::read_page(body);                       // Prometheus text, OpenMetrics, either as one JSON string,
//     if (!s.ok()) log(s.error);                                        // or the iteration statistics of TensorRT-LLM
//     for (const model::metric_series& m : s.series) use(m.what, m.source, m.value);
//
//   What is recognized: the rows of metrics/names.inc, and rows of yours. The engine is told by the names on the page, never by
//   its address. Series of different models, engines and data-parallel ranks stay apart (`source`: all labels that tell them apart,
//   in a fixed order, so that it is the same in every scrape); tensor- and pipeline-parallel ranks repeat one figure: the lowest
//   rank is taken. Labels that split one figure (finished_reason, is_streaming ...) are summed.
//   A page that is none is `error`, with its first bytes; a page without a known name is a scrape without series. What is wrong
//   with a part of it is in `problems` and `lost`. Never throws; memory is bounded by the limits. Thread safety: none needed.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/metrics/names.hpp>
#include <hotpath/metrics/parse.hpp>
#include <hotpath/model/scrape.hpp>

namespace hotpath::inline HOTPATH_ABI::metrics {

struct page_options {
  std::string engine = {};               // one of engine_names: only its rows count; empty: told by the page
  std::vector<name_row> names = {};      // rows of yours; they come before those of the same meaning in names.inc. Their text outlives the call
  metrics::limits limits = {};
  std::size_t sources = 256;             // engines and ranks on one page; series of more are over_limit
};

// What a body is, by its first byte that is no white space.
enum class body_kind : std::uint8_t { text, quoted_text, iteration_stats };
body_kind kind_of(std::string_view body) noexcept;

// Fills everything but when, begin, end and skipped.
model::scrape read_page(std::string_view body, const page_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::metrics

#if HOTPATH_HEADER_ONLY
#include <hotpath/metrics/page-inl.hpp>
#endif
