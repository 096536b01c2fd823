// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/exchange.hpp - one request and its streamed answer, without a socket: bytes and arrivals in, a record out.
//   The client drives it from readiness events; a test drives it from strings.
//
//     exchange x; x.begin(std::move(planned), {});
//     x.received(bytes_of_one_read, {.at = t, .kernel = true});    // once per read
//     if (x.complete()) store(x.take());                           // record().status says how it ended
//
//   Arrival of an event = the stamp of the read that held its last byte. The stamp is the event's own only when it was the
//   last event of its read and nothing of a later one had come: all others are marked inexact (an upper bound).
//   Cost: about 0.35 us per content event of 250 bytes, two thirds of it JSON (tests/bench/replay, flood).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <hotpath/model/request.hpp>
#include <hotpath/net/http.hpp>
#include <hotpath/replay/api.hpp>
#include <hotpath/replay/sse.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

struct arrival {
  nanoseconds at{};      // since the run's origin
  bool kernel = false;   // the kernel's receive stamp; false: the loop's clock after the read
};

class exchange {
 public:
  // A new request on this connection. The record carries identity and plan; `keep_text` keeps the completion's text.
  void begin(model::request&& planned, bool keep_text);
  // Taken out of every error message: servers repeat the key that they refuse. The texts outlive this.
  void hide(std::span<const std::string_view> secrets) { secrets_ = secrets; }

  // The bytes of one read. What follows the end of the answer is not consumed and makes the connection unusable.
  void received(std::string_view bytes, const arrival& when);

  // The peer closed the connection (reset: by RST). Ends the answer if its framing allows, else fails it.
  void peer_closed(bool reset, nanoseconds at);

  // Ends the request from outside: a deadline, a failed connect, a cancellation.
  void fail(model::error_class why, std::string message, nanoseconds at);

  // complete: the record is final. framing_ended: nothing more belongs to this answer (the connection may be reused).
  bool complete() const { return record_.status != model::request_status::in_flight; }
  bool framing_ended() const { return http_.now() == net::response_parser::state::done; }
  // Not after a stream that ended its framing too early: what it had to say may follow.
  bool reusable() const { return framing_ended() && http_.reusable() && !trailing_bytes_ && record_.error != model::error_class::truncated; }
  bool any_bytes() const { return record_.bytes_received != 0; }
  bool head_begun() const { return any_bytes() && !http_.head_complete(); }
  bool content_begun() const { return static_cast<bool>(record_.first_content); }

  // The final record, once complete. `now` stands for the end of a framing that never came.
  model::request take(nanoseconds now) {
    when_ = {now, false};
    if (!record_.closed) record_.closed = stamp(false);
    return std::move(record_);
  }

  model::request& record() { return record_; }
  const model::request& record() const { return record_; }
  // What this read added, for the client's books. An event that shares its read with nothing but the end of its own answer
  // (usage, [DONE]: servers write them back to back) is inexact in the log, and no sign of a client that reads too late.
  std::uint32_t content_events_in_read() const { return content_in_read_; }
  std::uint32_t inexact_events_in_read() const { return inexact_in_read_; }

 private:
  void on_head();
  void on_body(std::string_view piece);
  void on_event(const sse_event& event);
  void on_usage(const event_facts& facts);
  void release_event(bool exact, bool counts);
  void finish_stream(bool cut);
  void finish_answer();
  void close(model::request_status status, model::error_class why, std::string_view message);
  std::string error_text(std::string_view from_server, std::size_t limit) const;
  model::stamp stamp(bool exact) const {
    return {when_.at, when_.kernel ? model::stamp_source::kernel : model::stamp_source::user, exact && when_.kernel};
  }

  enum class body : std::uint8_t { undecided, stream, other };

  model::request record_;
  net::response_parser http_;
  sse_parser sse_;
  event_reader events_;
  std::span<const std::string_view> secrets_;
  std::string other_;              // the beginning of a body that is not a stream, for its error message
  arrival when_;                   // of the read in hand
  model::content_event held_;      // a content event of this read whose exactness is not yet known
  std::int64_t usage_seen_ = -1;   // completion tokens of the last usage object
  std::uint32_t content_in_read_ = 0, inexact_in_read_ = 0;
  body body_ = body::undecided;
  bool keep_text_ = false, holding_ = false, head_seen_ = false, done_ = false, encoded_ = false, trailing_bytes_ = false;
  bool server_error_ = false, bad_json_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/exchange-inl.hpp>
#endif
