// SPDX-License-Identifier: Apache-2.0
// tests/server/tiny.hpp - a model that computes a token in microseconds, and an engine around it.
#pragma once
#include <doctest/doctest.h>
#include <algorithm>
#include <engine.hpp>
#include <hotpath/core/random.hpp>
#include <map>
#include <text.hpp>

namespace tiny {
using namespace server;

inline model_options small_model() {
  return {.layers = 2, .width = 32, .heads = 2, .kv_heads = 1, .ffn = 48, .vocab = 300, .max_len = 128, .block_tokens = 16, .blocks = 64, .threads = 1, .seed = 5};
}

inline std::vector<kv::token> random_prompt(stats::xoshiro256& random, std::size_t n) {
  std::vector<kv::token> v;
  for (std::size_t i = 0; i < n; ++i) v.push_back(static_cast<kv::token>(random.below(256)));
  return v;
}

struct answer {
  std::vector<kv::token> tokens;  // without the end of text
  finish why = finish::none;
  bool operator==(const answer&) const = default;
};

inline void check_sound(const engine& e) {
  const auto sound = e.check();
  if (!sound) FAIL(sound.error().message());
}

// Takes what a step gave; every request ends once, and gives nothing afterwards.
inline void collect(const step_report& r, std::map<std::uint64_t, answer>& into) {
  for (const output& o : r.outputs) {
    answer& a = into[o.request];
    REQUIRE(a.why == finish::none);
    if (o.has_token) a.tokens.push_back(o.token);
    a.why = o.why;
  }
}

// Answers in the order of submission, all submitted at once.
inline std::vector<answer> ask_all(engine& e, const std::vector<request>& requests) {
  std::vector<std::uint64_t> ids;
  std::map<std::uint64_t, answer> got;
  for (const request& r : requests) {
    REQUIRE(e.admissible(r));
    ids.push_back(e.submit(r));
  }
  for (int steps = 0; !e.idle(); ++steps) {
    REQUIRE(steps < 100'000);
    const step_report& r = e.step();
    REQUIRE_FALSE(r.empty());
    collect(r, got);
  }
  std::vector<answer> out;
  for (const std::uint64_t id : ids) out.push_back(got[id]);
  check_sound(e);
  return out;
}
}  // namespace tiny
