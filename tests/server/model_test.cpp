// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>
#include <model.hpp>
#include "tiny.hpp"

using namespace tiny;

namespace {
std::vector<kv::block_id> blocks(std::size_t tokens, kv::block_id from = 0) {
  std::vector<kv::block_id> table;
  for (std::size_t i = 0; i < (tokens + 15) / 16; ++i) table.push_back(from + static_cast<kv::block_id>(i));
  return table;
}
std::vector<float> logits_of(model& m, std::span<const kv::token> tokens, std::span<const kv::block_id> table, std::size_t piece_tokens = 0) {
  std::vector<float> out;
  if (piece_tokens == 0) piece_tokens = tokens.size();
  for (std::size_t at = 0; at < tokens.size(); at += piece_tokens) {
    const std::size_t n = std::min(piece_tokens, tokens.size() - at);
    const piece p{.tokens = tokens.subspan(at, n), .position = static_cast<std::uint32_t>(at), .table = table, .wants_logits = at + n == tokens.size()};
    const std::span<const float> l = m.forward({&p, 1});
    out.assign(l.begin(), l.end());
  }
  return out;
}
bool same_bits(std::span<const float> a, std::span<const float> b) { return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0; }

std::vector<model_options> shapes() {
  model_options dense = small_model(), wide = dense, experts = dense, blocky = dense;
  wide.width = 192, wide.heads = 12, wide.kv_heads = 2, wide.ffn = 64;        // six heads share: four at a time, and two apart
  experts.experts = 5, experts.top_k = 3;
  blocky.block_tokens = 48, blocky.blocks = 40;
  return {dense, wide, experts, blocky};
}
}  // namespace

TEST_CASE("server: logits are the same bits in one piece and in many, alone and in a batch, on one thread and on three") {
  for (model_options o : shapes()) {
    CAPTURE(o.width);
    CAPTURE(o.experts);
    CAPTURE(o.block_tokens);
    stats::xoshiro256 random{3};
    const auto prompt = random_prompt(random, 101);
    model alone{o};
    o.threads = 3;
    model threads{o};
    const auto want = logits_of(alone, prompt, blocks(prompt.size()));
    REQUIRE(want.size() == model::outputs);
    CHECK(std::any_of(want.begin(), want.end(), [](float x) { return x != 0; }));
    CHECK(std::all_of(want.begin(), want.end(), [](float x) { return std::isfinite(x); }));
    for (const std::size_t piece_tokens : {1u, 2u, 3u, 7u, 13u, 16u, 50u, 100u}) {
      CAPTURE(piece_tokens);
      CHECK(same_bits(want, logits_of(alone, prompt, blocks(prompt.size(), 8), piece_tokens)));
    }
    CHECK(same_bits(want, logits_of(threads, prompt, blocks(prompt.size()))));

    // In the middle of others, of which some are long, some short, and some want no logits.
    for (int round = 0; round < 5; ++round) {
      std::vector<std::vector<kv::token>> others;
      std::vector<std::vector<kv::block_id>> tables;
      std::vector<piece> batch;
      for (kv::block_id i = 0; i < 4; ++i) others.push_back(random_prompt(random, 1 + random.below(30))), tables.push_back(blocks(30, 10 + 3 * i));
      const auto table = blocks(prompt.size());
      for (std::size_t i = 0; i < 4; ++i) batch.push_back({.tokens = others[i], .position = 0, .table = tables[i], .wants_logits = i % 2 == 0});
      batch.insert(batch.begin() + round % 5, {.tokens = prompt, .position = 0, .table = table});
      const auto all = threads.forward(batch);
      REQUIRE(all.size() == 3 * model::outputs);
      const std::size_t before = static_cast<std::size_t>((round % 5 + 1) / 2);
      CHECK(same_bits(want, all.subspan(before * model::outputs, model::outputs)));
    }
  }
}

TEST_CASE("server: a token's logits depend on every token before it, on their order, and on none after it") {
  for (const model_options& o : shapes()) {
    CAPTURE(o.width);
    CAPTURE(o.experts);
    stats::xoshiro256 random{9};
    const auto prompt = random_prompt(random, 40);
    model m{o};
    const auto want = logits_of(m, prompt, blocks(40));
    for (std::size_t i = 0; i < prompt.size(); ++i) {
      auto other = prompt;
      other[i] = (other[i] + 1) % 256;
      CHECK_FALSE(same_bits(want, logits_of(m, other, blocks(40))));
    }
    auto swapped = prompt;
    std::swap(swapped[3], swapped[20]);
    REQUIRE(swapped != prompt);
    CHECK_FALSE(same_bits(want, logits_of(m, swapped, blocks(40))));

    // Garbage after the end, in the same block, from an earlier use of it.
    auto longer = prompt;
    longer.resize(48, 77);
    logits_of(m, longer, blocks(48));
    CHECK(same_bits(want, logits_of(m, prompt, blocks(40))));
    CHECK(same_bits(logits_of(m, std::span{prompt}.first(39), blocks(40)), logits_of(m, std::span{longer}.first(39), blocks(40))));
  }
}

TEST_CASE("server: the seed makes the weights, and where the blocks lie makes no difference") {
  stats::xoshiro256 random{1};
  const auto prompt = random_prompt(random, 60);
  model a{small_model()}, b{small_model()};
  model_options other = small_model();
  other.seed = 6;
  model c{other};
  const std::vector<kv::block_id> scattered = {40, 3, 63, 0};
  CHECK(same_bits(logits_of(a, prompt, blocks(60)), logits_of(b, prompt, scattered)));
  CHECK_FALSE(same_bits(logits_of(a, prompt, blocks(60)), logits_of(c, prompt, blocks(60))));
}

TEST_CASE("server: a model that does not fit together is refused in words") {
  const auto words = [](auto&& change) {
    model_options o = small_model();
    change(o);
    const auto r = check(o);
    return r ? std::string() : r.error().message();
  };
  CHECK(words([](auto&) {}) == "");
  CHECK(words([](auto& o) { o.width = 40; }) == "width / heads must be a multiple of 16, not 40 / 2");
  CHECK(words([](auto& o) { o.heads = 4, o.width = 64, o.kv_heads = 3; }) == "heads must be a multiple of kv-heads, not 4 and 3");
  CHECK(words([](auto& o) { o.vocab = 256; }) == "vocab must be 260 or more (256 bytes and 4 marks), not 256");
  CHECK(words([](auto& o) { o.experts = 2, o.top_k = 3; }) == "top-k must be 1 to 2, not 3");
  CHECK(words([](auto& o) { o.block_tokens = 20; }) == "block-size must be a multiple of 16, not 20");
  CHECK(words([](auto& o) { o.blocks = 7; }) == "7 blocks of 16 tokens cannot hold one request of 128");
  CHECK(words([](auto& o) { o.layers = 0; }) != "");
  CHECK(words([](auto& o) { o.width = 1u << 20, o.heads = 1; }) != "");
}
