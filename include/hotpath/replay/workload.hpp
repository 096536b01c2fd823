// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/workload.hpp - what to send: a stream of requests from a JSON lines file or from a description.
//
//     auto load = replay::workload::open("prompts.jsonl");            // or "synthetic:input=512,output=128,requests=1000"
//     replay::workload_item item;
//     for (;;) {
//       auto more = load->next(item);                                 // result<bool>
//       if (!more) return fail(more.error());                         // "prompts.jsonl:7:30: max_tokens is -5, want …" (strict)
//       if (!*more) break;                                            // end of this pass; rewind() begins the next
//       send(item);
//     }
//
//   A line is an object: "prompt" (a string, an array of token ids, an array with one of either) or "messages" (chat), optional
//   "max_tokens" (also max_completion_tokens, output_tokens; default 256) and "id" (also request_id, custom_id). Other members
//   go into the request as they are, but "stream" and "stream_options", which belong to the client. A ShareGPT line
//   ("conversations") gives its first human turn as prompt. A row of an arrival trace ("input_length", "output_length", "hash_ids",
//   as Mooncake and Bailian publish them) gives a made-up prompt of that length, in which equal hash ids are equal parts: rows that
//   share a prefix in the trace share it here. "timestamp" (ms) is when the row arrived: replay::recorded makes a schedule of it.
//   Blank lines and lines that begin with '#' are skipped.
//   A line that is no request is counted in lost() and told in problems(), or with `strict` ends the reading.
//   From the second pass on each prompt begins with a unique mark (16 hex digits, or 7 token ids in place of its first), so that
//   a prefix cache that has seen it does not answer from its first block on (fewer than 7 ids can repeat); `reuse_prompts`: unchanged.
//   Memory: 256 KiB, the longest line (at most line_limit, while it is read) and 16 bytes per distinct id (at most 16 MiB).
//   Thread safety: one thread at a time.
#pragma once
#include <array>
#include <bit>      // bit_width
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/json.hpp>
#include <hotpath/core/key_set.hpp>
#include <hotpath/core/random.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/core/sketch.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/model/loss.hpp>
#include <hotpath/replay/detail/line_reader.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

struct workload_options {
  std::uint64_t seed = 0;           // of synthetic prompts (unless the description has one) and of the marks of later passes
  bool prompt_ids = false;          // synthetic and trace rows: exactly N random token ids instead of about N words
  double input_scale = 1, output_scale = 1;  // trace rows: their lengths times this, at least 1 token; for a server of another size
  bool reuse_prompts = false;       // synthetic: the same prompt per length; files: no marks in later passes
  std::optional<bool> chat = {};    // true: every prompt as a chat message; false: messages are malformed; none: as given
  bool forward_unknown = true;      // other members of a line go into the request
  bool skip_empty = false;          // an empty prompt is counted and not sent
  bool strict = false;              // the first bad line is an error
  bool keep_text = false;           // fill prompt_text
  std::int64_t default_max_tokens = 256;
  std::size_t line_limit = std::size_t{64} << 20;
};

struct workload_item {
  std::uint64_t row = 0;            // which request of the workload, from 0; the same in every pass
  std::uint32_t pass = 0;           // from 0
  bool chat = false;                // prompt_json goes into "messages", else into "prompt"
  std::string prompt_json;          // one JSON value
  std::string extra_json;           // members to add, each with a comma before it: ,"temperature":0.2
  std::optional<std::int64_t> max_tokens;
  std::optional<nanoseconds> arrived;  // "timestamp", of the trace's own clock
  std::string given_id;             // as in the file, decoded: any text, possibly not unique; empty: none
  std::optional<std::int64_t> prompt_tokens_planned;  // token ids: exact; words: approximate; text: unknown
  std::uint64_t prompt_bytes = 0;   // of the text, UTF-8; 0 for token ids
  std::string prompt_text;          // with keep_text; several messages are joined by a line feed
};

class workload {
 public:
  // A path, or "synthetic:" with any of input=512, output=128 (tokens), requests=N (else endless), seed=N and
  // dist=constant|uniform|lognormal, which holds for both lengths, drawn apart, mean x each:
  //   uniform     whole numbers in [x - x/2, x + x/2]
  //   lognormal   sigma 0.5 (p99 = 2.8 x), rounded, at least 1 and at most 8 x
  // Errors: usage (the description, with key and value), not_found, unreadable, unsupported, empty (a file of 0 bytes), io.
  static result<workload> open(std::string_view what, workload_options options = {});

  // False: end of this pass. Errors: strict mode's, io, and `empty` when a whole first pass held no request.
  // The strings of `out` keep their capacity: no allocation per item once they have grown.
  result<bool> next(workload_item& out);
  result<void> rewind();

  const std::string& description() const { return description_; }  // the path, or all of the synthetic description
  std::string_view prompt_lengths() const;      // "token ids", "words (approximate)", "as given"
  std::optional<std::uint64_t> rows() const { return rows_; }      // a file: known after its first pass; none: endless or not yet
  bool endless() const { return synthetic_ && !rows_; }
  bool reuses_prompts() const { return options_.reuse_prompts; }
  const model::loss& lost() const { return lost_; }                // of the first pass, as all counts here
  std::span<const std::string> problems() const { return problems_; }  // the first 10, "file:line:column: …"
  std::uint64_t empty_prompts() const { return empty_; }           // sent, or with skip_empty not sent
  std::uint64_t duplicate_ids() const { return duplicate_ids_; }   // among the first 1,000,000 distinct ones
  std::uint64_t unmarked() const { return unmarked_; }             // in later passes: there was no text to put the mark into

 private:
  enum class spread : std::uint8_t { constant, uniform, lognormal };
  // Where the mark of a later pass goes: text in front, or token ids over the first ones. In bytes of prompt_json.
  struct mark {
    std::size_t at = 0, size = 0, ids = 0;
    bool there = false;
    bool own = false;               // this pass's prompts are its own without one
  };
  struct trace_row {
    std::optional<std::int64_t> input, output;
    std::string_view hash_ids;
  };

  static result<workload> open_synthetic(std::string_view what, workload_options options);
  void make_synthetic(workload_item& out) const;
  result<void> make_trace_prompt(std::string_view line, const trace_row& row, workload_item& out) const;
  void begin_prompt(workload_item& out, std::uint64_t tokens) const;
  void add_to_prompt(workload_item& out, stats::xoshiro256& random, std::uint64_t tokens) const;
  void end_prompt(workload_item& out) const;
  result<bool> next_line(workload_item& out);
  result<bool> parse(std::string_view line, workload_item& out, mark& where);
  result<bool> prompt(std::string_view line, std::string_view raw, workload_item& out, mark& where) const;
  result<bool> messages(std::string_view line, std::string_view raw, workload_item& out, mark& where) const;
  void put_mark(workload_item& out, const mark& where);
  void note_id(std::string_view id);
  void note_problem(const error& e);

  workload_options options_;
  std::string description_;
  bool synthetic_ = false, trace_rows_ = false;
  spread spread_ = spread::constant;
  std::uint64_t input_ = 512, output_ = 128;
  detail::line_reader lines_;
  json::reader reader_{std::string_view()};
  std::uint32_t pass_ = 0;
  std::uint64_t row_ = 0;         // of this pass
  std::uint64_t sequence_ = 0;    // of all passes
  std::optional<std::uint64_t> rows_;
  model::loss lost_;
  std::vector<std::string> problems_;
  std::uint64_t empty_ = 0, duplicate_ids_ = 0, unmarked_ = 0;
  key_set ids_;                   // hashes of given ids
};

// Appends one line that reads back as the same item (without its place in the stream and the prompt's text).
void append_jsonl(std::string& out, const workload_item& item);

// Calls bool sink(std::string_view line) for the rest of this pass, at most `limit` items (0: no limit), until it says false.
// Returns the number of lines it took.
// Errors: as next(); usage if the workload is endless and there is no limit.
template <class F>
result<std::uint64_t> write_jsonl(workload& from, F&& sink, std::uint64_t limit = 0);

// Lengths of one kind: exact counts by power of two, quantiles within 1 %.
struct length_counts {
  stats::sketch values;                        // count, min, max, sum, quantile
  std::array<std::uint64_t, 65> by_width{};    // [0]: zeros; [k]: lengths in [2^(k-1), 2^k)

  void add(std::uint64_t n) {
    values.add(static_cast<double>(n));
    ++by_width[static_cast<std::size_t>(std::bit_width(n))];
  }
};

struct workload_summary {
  std::uint64_t requests = 0, chats = 0;       // chats: of the requests
  std::uint64_t with_id = 0, duplicate_ids = 0, empty_prompts = 0;
  length_counts prompt_bytes;                  // of prompts that are text
  length_counts prompt_tokens;                 // of prompts whose tokens are known or planned
  length_counts max_tokens;
  model::loss lost;
};

// Reads the rest of this pass, at most `limit` items (0: no limit). Errors: as write_jsonl; a workload without any request is
// the error `empty`.
result<workload_summary> summarize(workload& load, std::uint64_t limit = 0);

template <class F>
result<std::uint64_t> write_jsonl(workload& from, F&& sink, std::uint64_t limit) {
  if (limit == 0 && from.endless()) {
    return error{.code = errc::usage, .detail = "has no end", .source = from.description(), .hint = "add requests=N to it"};
  }
  workload_item item;
  std::string line;
  std::uint64_t n = 0;
  for (; limit == 0 || n < limit; ++n) {
    const auto more = from.next(item);
    if (!more) return more.error();
    if (!*more) break;
    line.clear();
    append_jsonl(line, item);
    if (!sink(std::string_view(line))) break;
  }
  return n;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/workload-inl.hpp>
#endif
