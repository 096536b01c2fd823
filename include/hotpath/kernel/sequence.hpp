// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/sequence.hpp - kernels in the order of their streams, and what repeats in it: the layer loop and chains of small kernels.
//
//     auto seq = kernel::sequence_of(subject, stage::decode);
//     for (const auto& part : seq.parts)                                             // one stream within one step
//       if (auto loop = kernel::find_loop(seq.tokens_of(part))) loop->repetitions;   // 36: the layers of the model
//     auto chains = kernel::find_chains(subject, seq);                               // neighbours without a heavy kernel between them
//
//   A token stands for a kernel name at one place of the program: (identity, site). Thread safety: reads only.
//   Cost: sequence_of 20 ns per chosen event and 8 bytes of memory; find_loop 15 ns per token; find_chains 10 ns per event.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct sequence {
  struct token {
    std::uint32_t identity = 0, site = no_index;  // in the subject
    std::uint64_t launches = 0;
    nanoseconds time{};
    model::gpu_kind kind = model::gpu_kind::kernel;
    bool is_transparent() const { return kind == model::gpu_kind::copy || kind == model::gpu_kind::set; }   // chains look through it
  };
  struct part {                                    // positions [begin, end): one stream within one step, by begin of the events
    std::uint32_t begin = 0, end = 0, step = no_index;
  };
  std::vector<token> tokens;
  std::vector<std::uint32_t> token_at, event_at;   // by position: index in `tokens`, in timeline::gpu
  std::vector<part> parts;
  nanoseconds total{};                             // of all events of the stage
  std::uint64_t steps = 0;                         // distinct steps among them

  std::span<const std::uint32_t> tokens_of(const part& p) const { return std::span(token_at).subspan(p.begin, p.end - p.begin); }
};

// The chosen events of a stage. Arrays of the subject that are too short count as "not known". Rows that stand for whole graphs end a chain.
sequence sequence_of(const subject& s, stage at);

// A stretch that repeats: tokens[i] == tokens[i + period] for most i of it. Layers that alternate (every second attention is another kernel) still
// repeat by one layer when most of their kernels do.
struct loop {
  std::uint32_t first = 0, period = 0;             // positions within the span; tokens per repetition
  std::uint64_t repetitions = 0;                   // whole ones
};
// The period that covers most of the span, of 2 to max_period tokens; empty: fewer than three repetitions.
std::optional<loop> find_loop(std::span<const std::uint32_t> tokens, std::uint32_t max_period = 2048);

// What one kernel in place of several neighbours would save, at most. `kernels` and `memory_bound`: time of all of a group's launches.
struct merge_saving {
  nanoseconds gone{};                              // time of the kernels that would disappear: all but the longest
  nanoseconds gain{};                              // launch gaps + traffic of the memory-bound ones of them, at most `gone`
};
merge_saving saving_of(std::span<const nanoseconds> kernels, std::span<const bool> memory_bound, nanoseconds gaps);
// Time that grows with bytes moved, not with arithmetic: norms, activations, casts, copies. What is not known counts as such.
bool is_memory_bound(family f);

struct chain_options {
  std::uint64_t min_repetitions = 4;
  double min_adjacency = 80;                       // percent: repetitions of the chain / launches of its rarest kernel
  double min_share = 1.0;                          // percent of the stage, of the kernels that would disappear
  std::size_t limit = 5;
};
struct chain {
  std::vector<std::uint32_t> tokens;               // in order; 2 to 16
  std::uint64_t repetitions = 0;
  double adjacency = 0;
  merge_saving saving;                             // of all repetitions together
  nanoseconds gain_in_steps{};                     // of it: of repetitions within steps
};
// Runs of memory-bound kernels between heavy ones (products, attention, communication) that occur again and again; largest gain first.
std::vector<chain> find_chains(const subject& s, const sequence& seq, const chain_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/sequence-inl.hpp>
#endif
