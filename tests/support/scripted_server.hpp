// SPDX-License-Identifier: Apache-2.0
// tests/support/scripted_server.hpp - an HTTP server that does no work, misbehaves on command and stamps every chunk.
//   It has a thread of its own. Without a script it streams like vLLM: the content of each chunk is the CLOCK_MONOTONIC time
//   in ns (19 digits) read right before the write, so that a client's error can be measured. With a script it does what the
//   script says, byte by byte:
//
//     scripted::server s({.pace = {.delay_ns = scripted::ms(50), .gap_ns = scripted::ms(25), .chunks = 200}});
//     s.next({say(sse_head()), tokens(3), reset()});      // the next POST gets three chunks and a RST; later ones the default
//     … point a client at s.url() …
//     s.wait_for([](const totals& t) { return t.finished == 1; });
//     auto truth = s.find("the X-Request-Id it sent");    // when the request was complete, first and last write, counts
//
//   A request's JSON may carry its own pace and fault: "x_delay_ms" "x_gap_ms" "x_jitter_ms" "x_chunks" "x_per_write"
//   "x_tokens_per_chunk" "x_fault" (a name of presets()). Tests only: throws std::runtime_error when it cannot start.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scripted {

constexpr std::int64_t us(double n) { return static_cast<std::int64_t>(n * 1e3); }
constexpr std::int64_t ms(double n) { return static_cast<std::int64_t>(n * 1e6); }

// These 19 bytes, wherever they stand in what a script says, become the time of the write. Same length: framing stays right.
inline constexpr std::string_view stamp_marker = "@@@@@@@@@@@@@@@@@@@";

// How a well-behaved answer flows. Deadlines are absolute: write i is due at received (or slot) + delay + jitter + i * gap.
struct pace {
  std::int64_t delay_ns = 0;   // to the first content chunk
  std::int64_t gap_ns = 0;     // between writes; 0: as fast as the socket takes them
  std::int64_t jitter_ns = 0;  // each request's delay grows by a fixed pseudo-random share of this: spreads the phases
  int chunks = 0;              // content chunks; 0: the request's max_tokens, else 16
  int per_write = 1;           // chunks in one send()
  int tokens_per_chunk = 1;    // for usage and /metrics
};

// ---- scripts -------------------------------------------------------------------------------------------------------
struct action {
  enum class what : std::uint8_t { say, tokens, tail, pause, hold, fin, hang_up, reset, deaf } kind;
  std::string bytes = {};
  std::size_t segment = 0;  // say: bytes per send(), 0 = all in one
  std::int64_t ns = 0;      // say: between segments; pause: how long
  std::uint64_t count = 1;  // say: repetitions; tokens: chunks, 0 = all that are left; tail: 0 = no last HTTP chunk
  bool framed = true;       // tokens, tail: in HTTP chunks
};
using script = std::vector<action>;

inline action say(std::string bytes) { return {.kind = action::what::say, .bytes = std::move(bytes)}; }
inline action say_slowly(std::string bytes, std::size_t segment, std::int64_t gap_ns) {
  return {.kind = action::what::say, .bytes = std::move(bytes), .segment = segment, .ns = gap_ns};
}
inline action repeat(std::string bytes, std::uint64_t times) { return {.kind = action::what::say, .bytes = std::move(bytes), .count = times}; }
// The next n stamped content chunks of the request's pace (0: the rest; the last of all carries finish_reason "length").
inline action tokens(std::uint64_t n = 0, bool framed = true) { return {.kind = action::what::tokens, .count = n, .framed = framed}; }
// Usage event if asked for, [DONE] and, when framed, the last HTTP chunk unless `ended` is false. Counts as success in /metrics.
inline action tail(bool framed = true, bool ended = true) {
  return {.kind = action::what::tail, .count = ended ? 1u : 0u, .framed = framed};
}
inline action pause(std::int64_t ns) { return {.kind = action::what::pause, .ns = ns}; }
inline action hold() { return {.kind = action::what::hold}; }        // until server::release(), or until the peer is gone
inline action fin() { return {.kind = action::what::fin}; }          // shutdown(SHUT_WR); the peer's end closes it
inline action hang_up() { return {.kind = action::what::hang_up}; }  // close()
inline action reset() { return {.kind = action::what::reset}; }      // RST
inline action deaf() { return {.kind = action::what::deaf}; }        // from here on reads nothing, not even the peer's FIN
// At its end a script leaves the connection open for the next request.

// ---- bytes for scripts -------------------------------------------------------------------------------------------------
std::string http(int status, std::string_view body, std::string_view extra_headers = "", std::string_view type = "application/json");
std::string sse_head(std::string_view extra_headers = "");                // chunked; extra headers end in \r\n each
std::string chunk(std::string_view bytes);                                // one HTTP chunk
std::string event(std::string_view data);                                 // "data: …\n\n"
std::string delta(std::string_view json, std::string_view finish = "");   // a chat chunk's JSON with this delta object
std::string content(std::string_view json_escaped_text);                  // delta() with "content"
std::string answer(const std::vector<std::string>& events, std::string_view extra_headers = "");  // head, events in chunks, last chunk
inline constexpr char last_chunk[] = "0\r\n\r\n";
inline constexpr char done_event[] = "data: [DONE]\n\n";

// Every fault that has a name ("rst_between_chunks", "status_429", …), for x_fault, options and the executable.
const std::vector<std::pair<std::string, script>>& presets();

// ---- truth ------------------------------------------------------------------------------------------------------------
struct truth {                  // times: CLOCK_MONOTONIC ns, 0 = did not happen
  std::string id;               // X-Request-Id
  std::string target, head, body;          // head and body only with options::keep_requests
  std::uint64_t connection = 0;            // from 1, in the order of accept()
  std::uint32_t on_connection = 0;         // which request of its connection, from 1
  std::int64_t accepted_ns = 0, received_ns = 0;  // connection; last byte of the request read
  std::int64_t service_ns = 0;             // a slot was free (capacity), else as received
  std::int64_t first_ns = 0, last_ns = 0;  // read right before the first and last content write
  std::int64_t end_ns = 0;                 // the script was over, or the connection gone
  std::uint64_t chunks = 0;                // content chunks handed to the kernel, also in part
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t blocked = 0;               // sends that the socket did not take whole: the peer reads too slowly
  bool complete = false;                   // the script was played to its end
  bool peer_closed = false;                // the peer ended or reset the connection first
};
std::string to_json(const truth& t);       // one line without head and body

struct totals {
  std::uint64_t accepted = 0, open = 0;          // connections
  std::uint64_t requests = 0, finished = 0;      // POSTs received; their truths that are final
  std::uint64_t other = 0;                       // GETs
  std::uint64_t holding = 0;                     // connections in hold()
  std::uint64_t in_service = 0, in_service_max = 0, queued = 0;
};

// ---- server -----------------------------------------------------------------------------------------------------------
struct options {
  std::string listen = "127.0.0.1";   // or "::1", or "unix:PATH"
  std::uint16_t port = 0;             // 0: any free one
  scripted::pace pace = {};
  std::string fault = {};             // a preset for every POST that has no script of its own
  std::uint32_t capacity = 0;         // requests served at once, others queue first in, first out; 0: no limit
  std::int64_t quantum_ns = us(50);   // sleeps at least this long: chunks due within it are written in one wake-up
  bool keep_requests = true;
  bool keep_truths = true;
  std::string model = "scripted";
};

class server {
 public:
  explicit server(options o = {});
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  std::uint16_t port() const;                // 0 for a unix socket
  std::string url() const;                   // "http://127.0.0.1:4711", "http://[::1]:4711", "unix:PATH"
  void next(script s);                       // for the next POST that has none yet, in order
  void next_connection(script s);            // played at accept, before anything is read
  void on(std::string target, script s);     // every request for this target ("/v1/models"), from now on
  void release();                            // every hold() that is waiting now goes on
  void stop();                               // closes everything; the destructor does the same

  totals now() const;
  bool wait_for(const std::function<bool(const totals&)>& reached, std::int64_t limit_ns = ms(20'000)) const;  // false: limit passed
  std::vector<truth> truths() const;         // final ones, in the order they ended
  std::optional<truth> find(std::string_view id) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

// A port on which nobody answers: the listen backlog is full, so the kernel drops every further SYN.
class unanswered_port {
 public:
  unanswered_port();
  ~unanswered_port();
  unanswered_port(const unanswered_port&) = delete;
  unanswered_port& operator=(const unanswered_port&) = delete;
  std::uint16_t port() const { return port_; }

 private:
  std::vector<int> fds_;
  std::uint16_t port_ = 0;
};

}  // namespace scripted
