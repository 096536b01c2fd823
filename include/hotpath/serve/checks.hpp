// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/checks.hpp - what the report checks about itself (S9), about the client (S8), and about a gate.
//   A violated identity is a finding with both numbers, never silently repaired; a check that cannot be made says why.
//
//     requests              positions handed out = ok + failed + cancelled + in flight
//     in_flight_integral    integral of requests in flight = sum of each request's time in the window, to the nanosecond
//     littles_law           L = lambda W between first and last start, within 2 %; needs 100 x L requests
//     usage_covers_chunks   completion tokens of usage >= content events: an event holds a token or more
//     planned_prompt_tokens token-id prompts: usage's prompt tokens = planned ones, within 0.5 % or one token per request
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>
#include <hotpath/core/sketch.hpp>
#include <hotpath/model/client.hpp>
#include <hotpath/serve/throughput.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

// Whether the wanted share of requests met every limit. missed: the upper end of goodput.share_ci is below it; met: the lower end
// is not; else, and without limits or an interval, undecided. The ends are the wider of Wilson's interval and the block
// bootstrap's. why: if given, a sentence with the numbers.
enum class verdict : std::uint8_t { met, missed, undecided };
verdict gate(const report& r, double share, std::string* why = nullptr);

namespace detail {

// Sums of the client's measurements of itself, one row per thread and second, in any order across threads.
class client_meter {
 public:
  void add(const model::client_interval& i);
  // dispatch_ns: of every request that was sent, sorted. events: from the chunk logs, used where no interval tells.
  struct log_counts {
    std::uint64_t events = 0, user = 0, inexact = 0;
  };
  void fill(report& out, std::span<const double> dispatch_ns, const log_counts& logs) const;

 private:
  struct thread {
    std::uint32_t id = 0;
    std::int64_t cpu = 0, wall = 0;
    std::int64_t hot = 0, longest_hot = 0;  // time on end above 85 % of a core
    double hot_cpu = 0, longest_hot_cpu = 0;
    std::uint64_t queue = 0, descriptors = 0;
  };
  std::vector<thread> threads_;  // by id
  stats::sketch loop_lag_, read_lag_;
  std::uint64_t bytes_ = 0, events_ = 0, inexact_ = 0;
  std::int64_t begin_ = 0, end_ = 0, suspended_ = 0;
  bool any_ = false;
};

struct token_books {
  std::uint64_t usage = 0, events = 0, contradictions = 0, answers = 0;  // ok requests with usage
  std::uint64_t planned = 0, prompt = 0, prompts = 0;                    // ok requests with a planned prompt and usage
  std::uint64_t finished = 0, counted = 0;                               // ok requests, warm-up too; those with usage
  double all_prompt = 0, all_completion = 0;                             // tokens of the latter
};

void check_books(report& out, std::span<const row> all, const ordered_rows& rows, const window& w, const in_flight_integral& i,
                 const token_books& tokens, std::uint64_t rows_seen);

// S9, server: what the engine counted over the run against what the client saw. After out.server.
void check_server(report& out, const token_books& tokens);

}  // namespace detail
}  // namespace hotpath::inline HOTPATH_ABI::serve

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/checks-inl.hpp>
#endif
