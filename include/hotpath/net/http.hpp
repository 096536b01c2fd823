// SPDX-License-Identifier: Apache-2.0
// hotpath/net/http.hpp - HTTP/1.1 without sockets: a response parser that is fed bytes, a writer of request heads.
//
//     net::response_parser p;
//     std::size_t used = p.feed(bytes, [&](std::string_view piece) { sse.feed(piece, on_event); });   // pieces view `bytes`
//     if (p.now() == net::response_parser::state::failed) log(p.what());
//     if (peer_closed) p.eof();                            // ends a close-delimited body, or is `truncated`
//
//   feed() never takes a byte beyond the end of its response: what is left belongs to nobody (a fault of the server) or to the
//   next response. The result does not depend on how the bytes are cut. Memory: the object, the kept fields (at most 512 bytes
//   each) and the unfinished line of a head or chunk size, freed with the head; never a size that the peer claims.
//   Rules: RFC 9112. Tolerated with a warning: lines that end in LF alone, Transfer-Encoding in an HTTP/1.0 response.
//   Not tolerated: folded fields, bare CR, NUL, space before a colon, both lengths at once, codings other than chunked.
//   Thread safety: as any value. Nothing throws.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct http_limits {
  std::uint32_t head = 64 * 1024;   // bytes of the head, 1xx heads before it included; of the trailers once more
  std::uint32_t fields = 200;       // fields of a head, and of the trailers
  std::uint32_t chunk_line = 1024;  // bytes of one chunk-size line with its extensions
  std::uint64_t body = 0;           // decoded bytes, 0: no limit
};

enum class http_fault : std::uint8_t { none, bad_framing, ambiguous_framing, over_limit, truncated };
inline constexpr std::string_view http_fault_names[] = {"none", "bad_framing", "ambiguous_framing", "over_limit", "truncated"};
constexpr std::string_view name_of(http_fault f) { return http_fault_names[static_cast<std::size_t>(f)]; }

// Field names and media types have no case.
constexpr bool iequals(std::string_view a, std::string_view b) noexcept { return text::equal_ignoring_case(a, b); }

// What a caller needs of a head. The views live in the parser: until its reset, move or end. Empty: the field was not sent.
// Of a repeated field the first one is kept, and at most 512 bytes of it.
struct response_head {
  int status = 0;         // 0: no status line yet
  int minor_version = 1;  // of HTTP/1.x
  bool keep_alive = false;  // the server lets us send another request on this connection
  std::string_view content_type, content_encoding, server, location, retry_after, request_id;

  // content_type without its parameters, as sent: compare with iequals.
  std::string_view media_type() const noexcept;
  bool event_stream() const noexcept { return iequals(media_type(), "text/event-stream"); }
};

class response_parser {
 public:
  enum class state : std::uint8_t { head, body, done, failed };

  explicit response_parser(const http_limits& limits = {}) : limits_(limits) {}

  // Ready for the next response; `head_request`: it answers a HEAD and has no body whatever its fields say.
  void reset(bool head_request = false);

  // Takes bytes up to the end of the response and calls body(std::string_view) with each decoded piece, a view into `in`.
  // Returns how many bytes were taken: fewer than given only if the response is done or has failed.
  template <class Body>
  std::size_t feed(std::string_view in, Body&& body) {
    std::size_t used = 0;
    while (used < in.size() && (state_ == state::head || state_ == state::body)) {
      std::string_view piece;
      used += step(in.substr(used), piece);
      if (!piece.empty()) body(piece);
    }
    return used;
  }

  // The peer has closed: a close-delimited body is done, any other unfinished response has failed as truncated.
  void eof();

  state now() const { return state_; }
  bool head_complete() const { return state_ == state::body || state_ == state::done || body_begun_; }
  bool any_bytes() const { return any_; }         // a kept-alive connection that closes before any byte was stale
  response_head head() const;
  bool reusable() const { return state_ == state::done && keep_alive_; }
  http_fault fault() const { return fault_; }
  std::string_view what() const { return what_; }  // one line, with the offending value; empty: no fault
  std::uint32_t warnings() const { return warnings_; }
  std::uint64_t body_bytes() const { return body_bytes_; }  // decoded, so far

 private:
  enum class phase : std::uint8_t { status_line, field, length_body, close_body, chunk_size, chunk_data, chunk_end, trailer };
  enum kept_field : std::uint8_t { content_type, content_encoding, server, location, retry_after, request_id, kept_count };
  struct extent { std::uint32_t at = 0, size = 0; };

  std::size_t step(std::string_view in, std::string_view& piece);
  bool take_line(std::string_view in, std::size_t& used, std::string_view& line);
  std::size_t head_line(std::string_view in);
  std::size_t chunk_size_line(std::string_view in);
  std::size_t chunk_crlf(std::string_view in);
  std::size_t body_piece(std::string_view in, std::string_view& piece);
  void status_line(std::string_view line);
  void field_line(std::string_view line);
  void interpret(std::string_view name, std::string_view value);
  void content_length(std::string_view value);
  void transfer_encoding(std::string_view value);
  void head_done();
  void fail(http_fault f, std::string_view what, std::string_view shown = {});

  http_limits limits_;
  state state_ = state::head;
  phase phase_ = phase::status_line;
  http_fault fault_ = http_fault::none;
  bool head_request_ = false, any_ = false, body_begun_ = false, keep_alive_ = false, lf_only_ = false, cr_seen_ = false;
  bool close_ = false, keep_ = false, has_length_ = false, coded_ = false, chunked_ = false, other_coding_ = false;
  std::uint8_t minor_ = 1;
  std::uint16_t status_ = 0;
  std::uint32_t warnings_ = 0, head_bytes_ = 0, field_count_ = 0;
  std::uint64_t length_ = 0;     // claimed length; then what is left of the body or of the chunk
  std::uint64_t body_bytes_ = 0;
  extent kept_at_[kept_count];
  std::string kept_;             // values of the kept fields, one after another
  std::string line_;             // unfinished line of a head, trailer or chunk size
  std::string what_;
};

struct header {
  std::string name, value;
};

// Is it safe to send? Names are tokens; values have no CR, LF or NUL and no space at either end. The fields that frame the
// message (Content-Length, Transfer-Encoding, Connection, Upgrade, Expect) are refused. Messages never show the value.
result<void> check_header(std::string_view name, std::string_view value);
// "Name: value", as typed on a command line.
result<header> parse_header(std::string_view line);

// Appends a whole request: head, Content-Length where there is a body or the method asks for one, body. A Host among
// `headers` replaces `host`. Errors (a bad header, a target with spaces or control characters) leave `out` as it was.
result<void> write_request(std::string& out, std::string_view method, std::string_view target, std::string_view host,
                           std::span<const header> headers, std::string_view body = {});

}  // namespace hotpath::inline HOTPATH_ABI::net

#if HOTPATH_HEADER_ONLY
#include <hotpath/net/http-inl.hpp>
#endif
