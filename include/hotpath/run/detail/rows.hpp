// SPDX-License-Identifier: Apache-2.0
// hotpath/run/detail/rows.hpp - the columns of a stored run, named once: the statements, the codec and the checksums walk these lists.
//   Every row carries a checksum of its values and every table the sum of its rows' checksums: a flipped byte on disk is an error,
//   never a wrong figure.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>
#include <hotpath/model/client.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/model/run.hpp>
#include <hotpath/run/detail/scrape_row.hpp>

namespace hotpath::inline HOTPATH_ABI::run::detail {

// Visitor calls: v(name, value) by the value's type; v(name, enumerator, names); v.zero_is_null(name, number) where 0 means missing.
template <class Request, class V>
void request_columns(Request& r, V&& v) {
  v("workload_row", r.workload_row);
  v("pass", r.pass);
  v("attempt", r.attempt);
  v("id", r.id);
  v("given_id", r.given_id);
  v("warmup", r.warmup);
  v("status", r.status, model::request_status_names);
  v("error", r.error, model::error_class_names);
  v.zero_is_null("http_status", r.http_status);
  v("error_message", r.error_message);
  v("finish_reason", r.finish_reason);
  v("intended_ns", r.intended);
  v("slot_free_ns", r.slot_free);
  v("connect_begin_ns", r.connect_begin);
  v("connected_ns", r.connected);
  v("sent_ns", r.sent);
  v("head_ns", r.head);
  v("first_content_ns", r.first_content);
  v("first_output_ns", r.first_output);
  v("last_content_ns", r.last_content);
  v("finished_ns", r.finished);
  v("closed_ns", r.closed);
  v("prompt_tokens", r.prompt_tokens);
  v("completion_tokens", r.completion_tokens);
  v("reasoning_tokens", r.reasoning_tokens);
  v("cached_tokens", r.cached_tokens);
  v("tokens_from", r.tokens_from, model::token_source_names);
  v("prompt_tokens_planned", r.prompt_tokens_planned);
  v("output_tokens_asked", r.output_tokens_asked);
  v("usage_suspect", r.usage_suspect);
  v("bytes_sent", r.bytes_sent);
  v("bytes_received", r.bytes_received);
  v("prompt_bytes", r.prompt_bytes);
  v("warnings", r.warnings);
  v("reused_connection", r.reused_connection);
  v("chunks", r.chunks);
}
inline constexpr int request_column_count = 36;

template <class Interval, class V>
void interval_columns(Interval& c, V&& v) {
  v("thread", c.thread);
  v("begin_ns", c.begin);
  v("end_ns", c.end);
  v("cpu_ns", c.cpu);
  v("wakeups", c.wakeups);
  v("reads", c.reads);
  v("bytes_received", c.bytes_received);
  v("bytes_sent", c.bytes_sent);
  v("content_events", c.content_events);
  v("inexact_events", c.inexact_events);
  v("receive_queue_max", c.receive_queue_max);
  v("open_descriptors", c.open_descriptors);
  v("in_flight", c.in_flight);
  v("suspended_ns", c.suspended);
  v("loop_lag_ns", c.loop_lag_ns);
  v("read_lag_ns", c.read_lag_ns);
}
inline constexpr int interval_column_count = 16;

template <class Row, class V>
void scrape_columns(Row& r, V&& v) {
  auto& s = r.scrape;
  v("moment", s.when, model::scrape_moment_names);
  v("begin_ns", s.begin);
  v("end_ns", s.end);
  v("error", s.error);
  v("engine", s.engine);
  v("skipped", s.skipped);
  v("lost_malformed", s.lost.malformed);
  v("lost_over_limit", s.lost.over_limit);
  v("lost_truncated", s.lost.truncated);
  v("lost_dropped", s.lost.dropped);
  v("problems", r.problems);
  v("series", r.series);
}
inline constexpr int scrape_column_count = 12;

// Rows that are numbered in the order of storing: their columns, whatever the row.
template <class V>
void numbered_columns(model::client_interval& c, V&& v) { interval_columns(c, v); }
template <class V>
void numbered_columns(const model::client_interval& c, V&& v) { interval_columns(c, v); }
template <class V>
void numbered_columns(scrape_row& r, V&& v) { scrape_columns(r, v); }
template <class V>
void numbered_columns(const scrape_row& r, V&& v) { scrape_columns(r, v); }

template <class Schedule, class V>
void schedule_columns(Schedule& s, V&& v) {
  v("kind", s.kind, model::arrival_names);
  v("streams", s.streams);
  v("max_in_flight", s.max_in_flight);
  v("per_second", s.per_second);
  v("seed", s.seed);
  v("max_requests", s.max_requests);
  v("max_duration_ns", s.max_duration);
  v("due", s.due);
}
inline constexpr int schedule_column_count = 8;

// The manifest, as rows of meta(key, value): what is empty, false-by-absence or not set has no row. The plan is in `schedule`.
template <class Info, class V>
void manifest_fields(Info& i, V&& v) {
  v("tool_version", i.tool_version);
  v("command_line", i.command_line);
  v("host", i.host);
  v("endpoint", i.endpoint);
  v("api", i.api);
  v("model", i.model);
  v("engine", i.engine);
  v("engine_version", i.engine_version);
  v("metrics_url", i.metrics_url);
  v("workload", i.workload);
  v("prompt_lengths", i.prompt_lengths);
  v("workload_rows", i.workload_rows);
  v("workload_passes", i.workload_passes);
  v("prompts_reused", i.prompts_reused);
  v("workload_loss", i.workload_loss);
  v("seed", i.seed);
  v("threads", i.threads);
  v("warmup", i.warmup);
  v("slo.ttft_ns", i.slo.ttft);
  v("slo.tpot_ns", i.slo.tpot);
  v("slo.e2e_ns", i.slo.e2e);
  v("text_stored", i.text_stored);
  v("origin_ns", i.origin);
  v("wall_start_ns", i.wall_start);
  v("sending_began_ns", i.sending_began);
  v("sending_ended_ns", i.sending_ended);
  v("ended_ns", i.ended);
  v("state", i.state, model::run_state_names);
  v("stop_reason", i.stop_reason);
  v("lost", i.lost);
  v("notes", i.notes);
  v("ephemeral_ports_left", i.ephemeral_ports_left);
}

// ", a, b, c": the names of a list. chunk logs are three columns.
struct column_names {
  std::string text;
  template <class T>
  void operator()(std::string_view name, const T&) {
    if constexpr (std::is_same_v<T, model::chunk_log>) text += ", chunk_count, chunks_inexact";
    (text += ", ") += name;
  }
  template <class T, class Names>
  void operator()(std::string_view name, const T& value, const Names&) {
    (*this)(name, value);
  }
  template <class T>
  void zero_is_null(std::string_view name, const T& value) {
    (*this)(name, value);
  }
};

// ---- checksums ----------------------------------------------------------------------------------------------------------
// Each step is a bijection of the state, and for a given state of the word: a change in one word always changes the sum.
// Not meant against an adversary. About 1.5 ns per word.
class checksum {
 public:
  void word(std::uint64_t w) {
    h_ = (h_ ^ w) * 0x9e3779b97f4a7c15u;
    h_ ^= h_ >> 29;
  }
  void bytes(std::string_view s) {
    word(s.size());
    for (; s.size() >= 8; s.remove_prefix(8)) word(load(s.data(), 8));
    if (!s.empty()) word(load(s.data(), s.size()));
  }
  std::int64_t value() const { return static_cast<std::int64_t>(h_); }

 private:
  static std::uint64_t load(const char* p, std::size_t n) {  // little-endian on every machine: files travel
    std::uint64_t w = 0;
    if (std::endian::native == std::endian::little) {
      std::memcpy(&w, p, n);
    } else {
      for (std::size_t i = 0; i < n; ++i) w |= static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
    }
    return w;
  }
  std::uint64_t h_ = 0x243f6a8885a308d3u;  // the first digits of pi: any odd-looking start does
};

inline unsigned packed(const model::stamp& s) { return s ? static_cast<unsigned>(s.source) << 1 | (s.exact ? 1u : 0u) : 0u; }

// Visits values; what the store does not distinguish (a stamp without source, 0 and missing) has the same sum.
struct row_sum {
  checksum sum;
  std::string scratch;  // of encoded sketches

  template <class T>
  requires std::is_integral_v<T>
  void operator()(std::string_view, T n) { sum.word(static_cast<std::uint64_t>(n)); }
  void operator()(std::string_view, double d) { sum.word(std::bit_cast<std::uint64_t>(d)); }
  void operator()(std::string_view, nanoseconds t) { sum.word(static_cast<std::uint64_t>(t.ns)); }
  void operator()(std::string_view, std::string_view s) { sum.bytes(s); }
  void operator()(std::string_view, const model::stamp& s) {
    sum.word(packed(s));
    if (s) sum.word(static_cast<std::uint64_t>(s.at.ns));
  }
  template <class T>
  void operator()(std::string_view name, const std::optional<T>& v) {
    sum.word(v ? 1 : 0);
    if (v) (*this)(name, *v);
  }
  void operator()(std::string_view, const model::chunk_log& log) {
    sum.word(log.count());
    sum.word(log.inexact());
    sum.bytes(log.bytes());
  }
  void operator()(std::string_view, const stats::sketch& s) { sum.bytes(scratch = s.encode()); }
  void operator()(std::string_view, const std::vector<nanoseconds>& due) {
    sum.word(due.size());
    for (const nanoseconds t : due) sum.word(static_cast<std::uint64_t>(t.ns));
  }
  template <class T, class Names>
  void operator()(std::string_view, T e, const Names&) {
    sum.word(static_cast<std::uint64_t>(e));
  }
  template <class T>
  void zero_is_null(std::string_view name, T n) {
    (*this)(name, n);
  }
};

inline std::int64_t checksum_of(const model::request& r) {
  row_sum s;
  s.sum.word(r.index);
  request_columns(r, s);
  return s.sum.value();
}
template <class Row>
std::int64_t checksum_of(const Row& r, std::int64_t number) {
  row_sum s;
  s.sum.word(static_cast<std::uint64_t>(number));
  numbered_columns(r, s);
  return s.sum.value();
}
inline std::int64_t checksum_of(const model::schedule& p) {
  row_sum s;
  schedule_columns(p, s);
  return s.sum.value();
}
inline std::int64_t checksum_of_text(std::uint64_t index, std::string_view prompt, std::string_view completion) {
  checksum s;
  s.word(index);
  s.bytes(prompt);
  s.bytes(completion);
  return s.value();
}

// Rows of one table and the sum of their checksums, modulo 2^64.
struct total {
  std::int64_t rows = 0;
  std::uint64_t sum = 0;
  void add(std::int64_t row) { ++rows, sum += static_cast<std::uint64_t>(row); }
  void remove(std::int64_t row) { --rows, sum -= static_cast<std::uint64_t>(row); }
  friend bool operator==(const total& a, const total& b) { return a.rows == b.rows && a.sum == b.sum; }
};

// ---- the schedule's due times: varint(zigzag(due - previous due)) each, 3 to 4 bytes at 1 ms gaps ------------------------
inline std::string encode_due(const std::vector<nanoseconds>& due) {
  std::string out;
  std::uint64_t last = 0;
  for (const nanoseconds t : due) {
    const std::uint64_t delta = static_cast<std::uint64_t>(t.ns) - last;
    std::uint64_t z = (delta << 1) ^ (0 - (delta >> 63));
    for (; z >= 0x80; z >>= 7) out += static_cast<char>(z | 0x80);
    out += static_cast<char>(z);
    last = static_cast<std::uint64_t>(t.ns);
  }
  return out;
}
// nullopt: the bytes end inside a number, or one is longer than 64 bits.
inline std::optional<std::vector<nanoseconds>> decode_due(std::string_view bytes) {
  std::vector<nanoseconds> due;
  std::uint64_t last = 0, z = 0;
  unsigned shift = 0;
  for (const char c : bytes) {
    const auto b = static_cast<unsigned char>(c);
    if (shift > 63) return std::nullopt;
    z |= static_cast<std::uint64_t>(b & 0x7f) << shift;
    shift += 7;
    if (b >= 0x80) continue;
    last += (z >> 1) ^ (0 - (z & 1));
    due.push_back(nanoseconds{static_cast<std::int64_t>(last)});
    z = 0, shift = 0;
  }
  if (shift != 0) return std::nullopt;
  return due;
}

}  // namespace hotpath::inline HOTPATH_ABI::run::detail
