// SPDX-License-Identifier: Apache-2.0
// hotpath/model/request.hpp - one request, as the client saw it. Its phases are stamps on the run's clock.
//   The four times of every request (all definitions of latency derive from them, serve/definitions.hpp):
//     intended      the schedule's time in open loop; the moment the slot was taken in closed loop
//     sent          the first byte of the request was handed to the kernel (connect is a phase of its own before it)
//     first_content the first content event: non-empty text, reasoning, or a tool call's name or arguments
//     last_content  the last one. The finish reason and the end of framing (`finished`, `closed`) enter no latency.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/model/clock.hpp>
#include <hotpath/model/chunk_log.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class request_status : std::uint8_t { in_flight, ok, failed, cancelled };

// The public classes of failure. Their names are in the store and in every report: add at the end, never reuse.
enum class error_class : std::uint8_t {
  none, dns, connect_refused, connect_timeout, tls, head_timeout, first_byte_timeout, idle_timeout, total_timeout, reset,
  truncated, http_4xx, rejected, http_5xx, bad_framing, not_sse, bad_json, server_error, over_limit, client_limit, cancelled,
};
inline constexpr std::string_view error_class_names[] = {
    "none", "dns", "connect_refused", "connect_timeout", "tls", "head_timeout", "first_byte_timeout", "idle_timeout",
    "total_timeout", "reset", "truncated", "http_4xx", "rejected", "http_5xx", "bad_framing", "not_sse", "bad_json",
    "server_error", "over_limit", "client_limit", "cancelled"};
inline constexpr std::size_t error_class_count = sizeof(error_class_names) / sizeof(error_class_names[0]);
static_assert(error_class_count == static_cast<std::size_t>(error_class::cancelled) + 1);
constexpr std::string_view name_of(error_class c) { return error_class_names[static_cast<std::size_t>(c)]; }

inline constexpr std::string_view request_status_names[] = {"in_flight", "ok", "failed", "cancelled"};
constexpr std::string_view name_of(request_status s) { return request_status_names[static_cast<std::size_t>(s)]; }

// Where a token count comes from.
enum class token_source : std::uint8_t {
  none,      // unknown
  usage,     // the server's usage object
  chunks,    // no usage: one per content event, a lower bound
};
inline constexpr std::string_view token_source_names[] = {"none", "usage", "chunks"};
constexpr std::string_view name_of(token_source s) { return token_source_names[static_cast<std::size_t>(s)]; }

struct request {
  // identity
  std::uint64_t index = 0;         // position in the schedule, from 0
  std::uint64_t workload_row = 0;  // which request of the workload, from 0
  std::uint32_t pass = 0;          // how often the workload had been cycled before
  std::uint32_t attempt = 1;       // 2 and up: sent again after a restart of the client
  std::string id;                  // X-Request-Id as sent
  std::string given_id;            // the workload's own id, if it had one
  bool warmup = false;             // excluded from statistics

  // outcome
  request_status status = request_status::in_flight;
  error_class error = error_class::none;
  std::int32_t http_status = 0;    // 0: no status line was seen
  std::string error_message;       // redacted, at most 1 KiB
  std::string finish_reason;       // "stop", "length", "tool_calls", …; empty: none seen

  // phases
  stamp intended;
  stamp slot_free;      // open loop with a cap: when a slot was there; else none
  stamp connect_begin;  // none: a kept-alive connection was used
  stamp connected;
  stamp sent;
  stamp head;           // end of the response head
  stamp first_content;
  stamp first_output;   // the first content event that is not reasoning
  stamp last_content;
  stamp finished;       // the event with the finish reason
  stamp closed;         // end of the response's framing, or of the connection

  // tokens
  std::optional<std::int64_t> prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
  token_source tokens_from = token_source::none;
  std::optional<std::int64_t> prompt_tokens_planned;  // by a synthetic workload; checked against usage
  std::optional<std::int64_t> output_tokens_asked;    // max_tokens
  bool usage_suspect = false;      // usage was zero, repeated with other numbers, or smaller than the content events

  // volume
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t prompt_bytes = 0;  // length of the prompt's text as sent (UTF-8 bytes; 0 for token ids)
  std::uint32_t warnings = 0;      // tolerated faults of the server: LF-only heads, ill-formed UTF-8, …
  bool reused_connection = false;

  chunk_log chunks;                // every content event: arrival, kind, tokens where known

  // Only with --store-text.
  std::string prompt_text, completion_text;
};

// How late the client was: sent - connect - max(intended, slot_free). Stamps come from files, too: each is taken within +-36 years of
// the origin, so that nothing overflows. Missing: not sent, or never due.
inline std::optional<nanoseconds> dispatch_delay(const request& r) {
  if (!r.sent || !r.intended) return std::nullopt;
  const auto at = [](const stamp& s) {
    constexpr std::int64_t bound = std::int64_t{1} << 60;
    return s.at.ns < -bound ? -bound : s.at.ns > bound ? bound : s.at.ns;
  };
  const std::int64_t due = r.slot_free && at(r.slot_free) > at(r.intended) ? at(r.slot_free) : at(r.intended);
  const std::int64_t connecting = r.connect_begin && r.connected ? at(r.connected) - at(r.connect_begin) : 0;
  return nanoseconds{at(r.sent) - due - connecting};
}

}  // namespace hotpath::inline HOTPATH_ABI::model
