// SPDX-License-Identifier: Apache-2.0
// engine.hpp - continuous batching: requests in, one token for each running request per step, until they finish.
//
//     server::engine e{model, {}};
//     const auto id = e.submit({.prompt = tokens, .how = {.max_tokens = 32}});       // after admissible()
//     while (!e.idle())
//       for (const server::output& o : e.step().outputs) …                           // o.request, o.token, o.finish
//
//   One step computes at most max_batched_tokens tokens of at most max_seqs requests: first those that run, in the order of their arrival,
//   then, while tokens are left, those that wait (first come, first served). A long prompt takes several steps (chunked prefill).
//   KV blocks are taken as they are needed; when there are none left, the youngest running request goes back to the head of the
//   queue and is computed again later (preemption by recomputation). Full blocks are shared by their content (prefix cache).
//   Answers do not depend on any of this. The engine knows nothing of sockets; one thread calls it.
#pragma once
#include <deque>
#include <string>
#include <unordered_map>
#include "model.hpp"
#include <hotpath/core/time.hpp>

namespace server {

struct engine_options {
  std::uint32_t max_batched_tokens = 512, max_seqs = 16;
  bool prefix_cache = true, chunked_prefill = true;
};
// Errors: usage.
result<void> check(const engine_options&, const model_options&);

struct sampling {
  std::uint32_t max_tokens = 16, min_tokens = 0;
  double temperature = 0;                  // 0: the likeliest token
  std::uint64_t seed = 0;                  // with a temperature; the same seed, the same answer
  bool ignore_eos = false;
  std::vector<std::string> stop = {};      // ends the answer; not part of it
};

struct request {
  std::string id = {};                     // for logs
  std::vector<kv::token> prompt = {};
  sampling how = {};
  nanoseconds arrival{};                   // CLOCK_MONOTONIC; 0: now
};

enum class finish : std::uint8_t { none, stop, length, abort };
inline constexpr std::string_view finish_names[] = {"", "stop", "length", "abort"};

// What became of a request, once. Times are CLOCK_MONOTONIC.
struct finished_request {
  finish why = finish::none;
  std::uint32_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0, preemptions = 0, max_tokens = 0;
  nanoseconds arrival{}, queued{}, scheduled{}, first_token{}, last_token{};  // scheduled, first_token, last_token: 0 = never
};

struct output {
  std::uint64_t request = 0;
  kv::token token = 0;                     // a byte; the end of text is not an output
  bool has_token = false;                  // false: only the end is told
  finish why = finish::none;               // of the request, with its last output
  std::uint32_t cut = 0;                   // of its last bytes, so many belong to a stop string
  std::uint32_t cached_tokens = 0;         // of the prompt, found in the prefix cache
  nanoseconds since_last{};                // since the request's token before; of the first token, since its arrival
  bool first = false;
};

// What one step did. Context: requests without any output so far; a preempted request is computed again as generation.
struct step_report {
  std::uint64_t number = 0;
  std::uint32_t context_requests = 0, context_tokens = 0, generation_requests = 0, generation_tokens = 0, preempted = 0;
  std::uint64_t prompt_tokens = 0, cached_prompt_tokens = 0;       // of requests that got their first token
  std::uint64_t prefix_queries = 0, prefix_hits = 0;               // tokens, of requests that began to run for the first time
  nanoseconds elapsed{};
  std::vector<output> outputs = {};
  std::vector<finished_request> finished = {};
  bool empty() const { return context_requests + generation_requests == 0; }
};

class engine {
 public:
  engine(model& m, engine_options options);

  // Errors: usage, with what is wrong: an empty prompt, a token id out of range, prompt and answer longer than max_len.
  result<void> admissible(const request&) const;
  std::uint64_t submit(request r);
  // Its blocks are free when this returns. False: it had finished, or never was. `done` receives what became of it.
  bool abort(std::uint64_t id, finished_request* done = nullptr);

  // One iteration. The report is valid until the next call; empty() when nothing could be computed.
  const step_report& step();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  std::size_t running() const { return running_.size(); }
  std::size_t waiting() const { return waiting_.size(); }
  double kv_usage() const { return blocks_.size() == 0 ? 0 : static_cast<double>(blocks_.held()) / blocks_.size(); }
  const kv::pool& blocks() const { return blocks_; }
  const engine_options& options() const { return options_; }
  // Errors: internal: a block lost, or held by somebody it does not belong to. For tests.
  result<void> check() const;

 private:
  struct live {
    std::uint64_t number = 0;
    request asked;
    std::vector<kv::token> tokens;         // prompt and answer so far
    std::vector<kv::block_id> table;       // its blocks: room for `computed` tokens and those of this step
    std::vector<kv::block_hash> names;     // of full blocks of `tokens`
    std::uint32_t computed = 0;            // tokens whose keys and values are in the cache
    std::uint32_t published = 0;           // blocks told to the prefix cache, or shared from it
    std::uint32_t take = 0;                // tokens of this step
    std::uint32_t cached = 0, preemptions = 0;
    bool done = false;
    nanoseconds queued{}, scheduled{}, first_token{}, last_token{};
    std::uint32_t outputs() const { return static_cast<std::uint32_t>(tokens.size() - asked.prompt.size()); }
    std::uint32_t left() const { return static_cast<std::uint32_t>(tokens.size()) - computed; }
  };

  void schedule();
  void schedule_running(std::uint32_t& budget);
  void schedule_waiting(std::uint32_t& budget);
  bool make_room(live& r, std::uint32_t take);
  void preempt(live& r);
  void run(const std::vector<live*>& batch);
  void deliver(live& r, std::span<const float> logits);
  void publish(live& r);
  void let_go(live& r);
  finished_request close(const live& r, finish why) const;

  model& model_;
  engine_options options_;
  kv::pool blocks_;
  std::unordered_map<std::uint64_t, std::unique_ptr<live>> requests_;
  std::vector<live*> running_;             // in order of arrival
  std::deque<live*> waiting_;
  std::vector<live*> prefill_, decode_;    // of this step
  std::vector<piece> pieces_;
  step_report report_;
  std::uint64_t next_ = 1, steps_ = 0;
};

}  // namespace server
