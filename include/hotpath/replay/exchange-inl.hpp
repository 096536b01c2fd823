// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/replay/exchange.hpp>

#include <algorithm>
#include <utility>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
inline constexpr std::size_t message_limit = 1024;       // bytes of an error's text that are kept
inline constexpr std::size_t other_body_kept = 16 << 10;  // enough for any error object; the rest is read and dropped
inline constexpr std::uint64_t other_body_limit = 64u << 20;

inline bool begins_like_a_stream(std::string_view body) {
  for (const std::string_view field : {"data:", "event:", "id:", "retry:", ":"})
    if (body.starts_with(field)) return true;
  return false;
}

}  // namespace detail

// Servers quote the rejected request in their message (pydantic: "'input': {…}"); a prompt must not reach the store that way.
// Secrets go before the text is cut, so that no part of one stays.
HOTPATH_FN std::string exchange::error_text(std::string_view from_server, std::size_t limit) const {
  for (const std::string_view quote : {"'input':", "\"input\":", "input_value="})
    from_server = from_server.substr(0, (std::min)(from_server.find(quote), from_server.size()));
  if (secrets_.empty()) return text::printable(from_server, limit);
  return text::printable(text::redact_text(from_server.substr(0, detail::other_body_kept), secrets_), limit);
}

HOTPATH_FN void exchange::begin(model::request&& planned, bool keep_text) {
  record_ = std::move(planned);
  http_.reset();
  sse_ = sse_parser{};
  other_.clear();
  usage_seen_ = -1;
  body_ = body::undecided;
  keep_text_ = keep_text;
  holding_ = head_seen_ = done_ = encoded_ = trailing_bytes_ = server_error_ = bad_json_ = false;
  content_in_read_ = inexact_in_read_ = 0;
}

HOTPATH_FN void exchange::received(std::string_view bytes, const arrival& when) {
  using state = net::response_parser::state;
  when_ = when;
  content_in_read_ = inexact_in_read_ = 0;
  record_.bytes_received += bytes.size();
  const std::size_t used = http_.feed(bytes, [this](std::string_view piece) { on_body(piece); });
  if (holding_) release_event(!sse_.event_pending(), true);
  if (http_.head_complete() && !head_seen_) on_head();
  if (used < bytes.size() && http_.now() == state::done) trailing_bytes_ = true;
  if (framing_ended() && !record_.closed) record_.closed = stamp(true);
  if (complete()) return;
  if (http_.now() == state::failed) {
    const auto why = http_.fault() == net::http_fault::over_limit  ? model::error_class::over_limit
                     : http_.fault() == net::http_fault::truncated ? model::error_class::truncated
                                                                   : model::error_class::bad_framing;
    // The class "bad_framing" covers both; the name of the fault tells an ambiguous length, which a proxy could be tricked with.
    close(model::request_status::failed, why, std::string(name_of(http_.fault())) + ": " + std::string(http_.what()));
  } else if (body_ == body::other && http_.body_bytes() > detail::other_body_limit) {
    close(model::request_status::failed, model::error_class::over_limit, "HTTP " + std::to_string(record_.http_status) + " with a body of more than 64 MiB");
  } else if (encoded_) {
    close(model::request_status::failed, model::error_class::not_sse,
          "the answer is encoded (" + text::printable(http_.head().content_encoding, 32) + ") although identity was asked for");
  } else if (sse_.over_limit()) {
    close(model::request_status::failed, model::error_class::over_limit, "a server-sent event is larger than the limit of 1 MiB");
  } else if (framing_ended()) {
    finish_answer();
  } else if (done_) {
    finish_stream(false);
  }
}

HOTPATH_FN void exchange::on_head() {
  head_seen_ = true;
  record_.head = stamp(true);
  const net::response_head head = http_.head();
  record_.http_status = head.status;
  encoded_ = !head.content_encoding.empty() && !net::iequals(head.content_encoding, "identity");
  if (head.status != 200 || encoded_) body_ = body::other;
  else if (head.event_stream()) body_ = body::stream;
  else if (net::iequals(head.media_type(), "application/json") || net::iequals(head.media_type(), "text/html")) body_ = body::other;
}

HOTPATH_FN void exchange::on_body(std::string_view piece) {
  if (!head_seen_) on_head();
  if (body_ == body::undecided) {  // no content type that tells: the first bytes do
    other_ += piece;
    if (other_.size() < 6) return;
    body_ = detail::begins_like_a_stream(other_) ? body::stream : body::other;
    if (body_ == body::other) return;
    ++record_.warnings;
    const std::string begun = std::exchange(other_, {});
    sse_.feed(begun, [this](const sse_event& e) { on_event(e); });
  } else if (body_ == body::stream) {
    sse_.feed(piece, [this](const sse_event& e) { on_event(e); });
  } else if (other_.size() < detail::other_body_kept) {
    other_ += piece.substr(0, detail::other_body_kept - other_.size());
  }
}

HOTPATH_FN void exchange::on_event(const sse_event& event) {
  if (done_) return;
  const event_facts& facts = events_.read(event.data, keep_text_ ? &record_.completion_text : nullptr);
  if (holding_) release_event(false, facts.content);  // something followed it in the same read: the stamp is not its own
  record_.warnings += static_cast<std::uint32_t>(events_.repaired());
  if (facts.done) {
    done_ = true;
    return;
  }
  if (facts.malformed) {
    if (!std::exchange(bad_json_, true)) record_.error_message = "an event is not a JSON object: " + error_text(event.data, 80);
    return;
  }
  if ((facts.error || event.type == "error") && !std::exchange(server_error_, true))
    record_.error_message = error_text(events_.message().empty() ? "the server sent an error event" : events_.message(), detail::message_limit);
  std::uint32_t tokens = facts.token_ids;
  if (facts.usage && facts.completion_tokens) {
    // Usage in every event (continuous_usage_stats) tells the tokens of this one.
    if (tokens == 0 && facts.content && *facts.completion_tokens > (std::max<std::int64_t>)(usage_seen_, 0) && (usage_seen_ >= 0 || record_.chunks.empty()))
      tokens = static_cast<std::uint32_t>(*facts.completion_tokens - (std::max<std::int64_t>)(usage_seen_, 0));
    on_usage(facts);
  }
  if (facts.finish) {
    record_.finish_reason = text::printable(events_.finish_reason(), 64);
    if (!record_.finished) record_.finished = stamp(true);
  }
  if (facts.content) {
    held_ = {.at = when_.at, .tokens = tokens, .kind = facts.kind, .exact = false, .kernel = when_.kernel};
    holding_ = true;
  }
}

HOTPATH_FN void exchange::on_usage(const event_facts& facts) {
  if (*facts.completion_tokens < usage_seen_) record_.usage_suspect = true;  // repeated with smaller numbers
  usage_seen_ = *facts.completion_tokens;
  record_.completion_tokens = facts.completion_tokens;
  if (facts.prompt_tokens) record_.prompt_tokens = facts.prompt_tokens;
  if (facts.reasoning_tokens) record_.reasoning_tokens = facts.reasoning_tokens;
  if (facts.cached_tokens) record_.cached_tokens = facts.cached_tokens;
  record_.tokens_from = model::token_source::usage;
}

HOTPATH_FN void exchange::release_event(bool exact, bool counts) {
  holding_ = false;
  held_.exact = exact && held_.kernel;
  const model::stamp at{held_.at, held_.kernel ? model::stamp_source::kernel : model::stamp_source::user, held_.exact};
  if (!record_.first_content) record_.first_content = at;
  if (!record_.first_output && held_.kind != model::content_kind::reasoning) record_.first_output = at;
  record_.last_content = at;
  record_.chunks.append(held_);
  ++content_in_read_;
  if (!held_.exact && (counts || !held_.kernel)) ++inexact_in_read_;
}

HOTPATH_FN void exchange::finish_answer() {
  if (!head_seen_) on_head();
  if (body_ == body::stream) return finish_stream(false);
  const int status = record_.http_status;
  const event_facts& facts = events_.read_error(other_);
  std::string message = "HTTP " + std::to_string(status);
  if (status >= 300 && status < 400) message += " redirects to " + text::printable(text::redact_url(http_.head().location), 256) + "; redirects are not followed";
  else if (!events_.message().empty()) message += ": " + error_text(events_.message(), detail::message_limit);
  else if (!http_.head().content_type.empty()) message += " (" + text::printable(http_.head().content_type, 64) + ")";
  using enum model::error_class;
  const auto why = status == 429 || status == 503       ? rejected
                   : status >= 500                      ? http_5xx
                   : status >= 400                      ? http_4xx
                   : status == 200 && facts.error       ? server_error
                                                        : not_sse;
  if (why == not_sse && status == 200) message += ": the answer is not an event stream";
  close(model::request_status::failed, why, message);
}

// The stream is over: by [DONE], by the end of its framing, or cut off.
HOTPATH_FN void exchange::finish_stream(bool cut) {
  using enum model::error_class;
  const auto n = static_cast<std::int64_t>(record_.chunks.count());
  if (record_.completion_tokens && *record_.completion_tokens < n) record_.usage_suspect = true;  // every content event carries a token at least
  if (server_error_) return close(model::request_status::failed, server_error, record_.error_message);
  if (bad_json_) return close(model::request_status::failed, bad_json, record_.error_message);
  if (record_.finish_reason == "abort" || record_.finish_reason == "error")
    return close(model::request_status::failed, server_error, "the server ended the answer with finish_reason " + record_.finish_reason);
  if (!done_ && (cut || record_.finish_reason.empty()))
    return close(model::request_status::failed, truncated, "the stream ended after " + std::to_string(n) + " content events without [DONE]" +
                                                               (record_.finish_reason.empty() ? " and without a finish reason" : ""));
  if (!done_ || record_.finish_reason.empty()) ++record_.warnings;
  close(model::request_status::ok, none, {});
}

HOTPATH_FN void exchange::peer_closed(bool reset, nanoseconds at) {
  when_ = {at, false};
  if (!record_.closed) record_.closed = stamp(false);
  if (complete()) return;
  if (!any_bytes()) return close(model::request_status::failed, model::error_class::reset, reset ? "connection reset before the answer" : "connection closed before the answer");
  if (!reset) http_.eof();
  if (!reset && http_.now() == net::response_parser::state::done) {
    return finish_answer();
  }
  if (!http_.head_complete()) return close(model::request_status::failed, reset ? model::error_class::reset : model::error_class::truncated, "connection ended within the response head");
  if (reset && !done_) {
    finish_stream(true);
    if (record_.error == model::error_class::truncated) record_.error = model::error_class::reset;
    return;
  }
  if (body_ == body::stream) return finish_stream(true);
  close(model::request_status::failed, model::error_class::truncated, "connection ended within the response body");
}

HOTPATH_FN void exchange::fail(model::error_class why, std::string message, nanoseconds at) {
  if (complete()) return;
  when_ = {at, false};
  if (!record_.closed) record_.closed = stamp(false);
  close(why == model::error_class::cancelled ? model::request_status::cancelled : model::request_status::failed, why, message);
}

HOTPATH_FN void exchange::close(model::request_status status, model::error_class why, std::string_view message) {
  record_.status = status;
  record_.error = why;
  record_.error_message = error_text(message, detail::message_limit);
  record_.warnings += http_.warnings();
  if (!record_.completion_tokens && !record_.chunks.empty()) {
    record_.tokens_from = model::token_source::chunks;
    record_.completion_tokens = static_cast<std::int64_t>(record_.chunks.count());
  }
  if (!done_ && !record_.closed) record_.closed = stamp(false);  // after [DONE] the framing may still end
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
