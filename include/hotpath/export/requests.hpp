// SPDX-License-Identifier: Apache-2.0
// hotpath/export/requests.hpp - what a row about one request holds, in every format: one column per fact, units in the names.
//   Times in _ns count from the run's origin; intended_utc is the wall time of intended_ns. What never happened has no value.
//   The latencies are those of serve/latency.hpp, given for every request that got far enough, whatever its end: to compare
//   with a report keep status = ok and warmup = false. Prompts and answers are left out unless asked for.
//
//     exports::request_columns(r, {.wall_start = info.wall_start}, [](std::string_view name, const auto& value) { … });
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/core/utc.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/serve/latency.hpp>

namespace hotpath::inline HOTPATH_ABI::exports {

struct request_options {
  nanoseconds wall_start{};     // run_info::wall_start
  bool text = false;            // columns prompt_text and completion_text (empty where the run did not store them)
  bool chunks = false;          // NDJSON: every content event
  bool formula_guard = false;   // CSV: a ' before text that a spreadsheet would run as a formula; changes what programs read
};

// Calls column(name, value) for each column: bool, an integer, double, std::string_view, or an optional of one of these.
// Names and order depend on the options only. Nothing is kept: a value lives until column returns.
template <class Column>
void request_columns(const model::request& r, const request_options& options, Column&& column) {
  using ns = std::optional<std::int64_t>;
  const auto at = [&](std::string_view name, const model::stamp& s) { column(name, s ? ns{s.at.ns} : ns{}); };
  const auto ms = [&](std::string_view name, serve::metric m) {
    const auto v = serve::latency_of(r, m);
    column(name, v ? std::optional<double>{*v / 1e6} : std::optional<double>{});
  };
  const std::string utc = r.intended ? text::utc(options.wall_start + r.intended.at) : std::string();

  column("index", r.index), column("id", std::string_view(r.id)), column("given_id", std::string_view(r.given_id));
  column("workload_row", r.workload_row), column("workload_pass", r.pass), column("attempt", r.attempt), column("warmup", r.warmup);
  column("status", name_of(r.status));
  column("error", r.error == model::error_class::none ? std::string_view() : name_of(r.error));
  column("http_status", r.http_status == 0 ? std::optional<std::int32_t>{} : std::optional<std::int32_t>{r.http_status});
  column("finish_reason", std::string_view(r.finish_reason)), column("error_message", std::string_view(r.error_message));

  column("intended_utc", std::string_view(utc));
  at("intended_ns", r.intended), at("slot_free_ns", r.slot_free), at("connect_begin_ns", r.connect_begin), at("connected_ns", r.connected);
  at("sent_ns", r.sent), at("head_ns", r.head), at("first_content_ns", r.first_content), at("first_output_ns", r.first_output);
  at("last_content_ns", r.last_content), at("finished_ns", r.finished), at("closed_ns", r.closed);

  for (std::size_t i = 0; i < serve::metric_names.size(); ++i)
    if (const auto m = static_cast<serve::metric>(i); m != serve::metric::itl && m != serve::metric::chunk_gap) ms(serve::metric_names[i], m);

  column("prompt_tokens", r.prompt_tokens), column("completion_tokens", r.completion_tokens), column("reasoning_tokens", r.reasoning_tokens);
  column("cached_tokens", r.cached_tokens), column("tokens_from", name_of(r.tokens_from)), column("usage_suspect", r.usage_suspect);
  column("prompt_tokens_planned", r.prompt_tokens_planned), column("output_tokens_asked", r.output_tokens_asked);
  column("content_events", r.chunks.count()), column("inexact_events", r.chunks.inexact());
  column("sent_bytes", r.bytes_sent), column("received_bytes", r.bytes_received), column("prompt_bytes", r.prompt_bytes);
  column("reused_connection", r.reused_connection), column("warnings", r.warnings);
  if (options.text) column("prompt_text", std::string_view(r.prompt_text)), column("completion_text", std::string_view(r.completion_text));
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
