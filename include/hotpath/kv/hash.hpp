// SPDX-License-Identifier: Apache-2.0
// hotpath/kv/hash.hpp - the name of a KV block: a hash of its tokens and of all tokens before it, as a chain.
//   Two blocks have the same name when everything up to their ends is the same; so the longest cached prefix of a prompt is the
//   longest run of names, from the first on, that are known. Only full blocks have names.
//
//     std::vector<kv::block_hash> names;
//     kv::hash_blocks(kv::mix_hash{salt}, prompt, 16, names);          // appends prompt.size() / 16 names
//     kv::hash_blocks(kv::mix_hash{salt}, prompt_and_answer, 16, names);   // later, as it grows: only what is new is read
//
//   A hasher is a type: root() is the parent of the first block, and hash(parent, tokens) names the next. mix_hash needs nothing but the
//   standard library; kv/xxhash.hpp has another. Names are 64 bits wide: among n different blocks two share one with a chance of about
//   n * n / 3.7e19 (a million blocks: 3e-8). mix_hash is not a cryptographic hash; where strangers' prompts share a cache, give
//   it a secret, random salt. Names of different salts, block sizes or hashers have nothing to do with each other.
//   Measured (tests/bench/kv_bench.cpp, g++ 12 -O2, one AMD EPYC core, blocks of 16 tokens): 1.3 to 1.5 G tokens/s, 0.7 to 0.8 G with the pool;
//   std::hash, std::unordered_map and std::list in the same runs 0.15 to 0.28 G.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kv {

using token = std::uint32_t;
using block_hash = std::uint64_t;

template <class H>
concept block_hasher = requires(const H hash, block_hash parent, std::span<const token> tokens) {
  { hash.root() } noexcept -> std::same_as<block_hash>;
  { hash(parent, tokens) } noexcept -> std::same_as<block_hash>;
};

// Folds 64 x 64 -> 128 bit products, sixteen bytes at a time (the construction of wyhash and of rapidhash, public domain and MIT).
// The tokens are folded first and the parent last: along a chain only one multiplication waits for the block before.
// The same names on every machine of either byte order.
class mix_hash {
 public:
  constexpr explicit mix_hash(std::uint64_t salt = 0) noexcept : salt_(fold(salt ^ k0, k1)) {}

  constexpr block_hash root() const noexcept { return salt_; }

  constexpr block_hash operator()(block_hash parent, std::span<const token> tokens) const noexcept {
    const token* t = tokens.data();
    std::size_t left = tokens.size();
    std::uint64_t a = salt_ ^ k2, b = salt_ ^ k3;
    for (; left >= 8; left -= 8, t += 8) {  // two independent lanes
      a = fold(pair(t[0], t[1]) ^ k0, pair(t[2], t[3]) ^ a);
      b = fold(pair(t[4], t[5]) ^ k1, pair(t[6], t[7]) ^ b);
    }
    for (; left >= 2; left -= 2, t += 2) a = fold(pair(t[0], t[1]) ^ k2, a ^ k3);
    if (left != 0) b = fold(pair(t[0], 1) ^ k3, b ^ k2);
    return fold(a ^ parent ^ k1, (b + tokens.size()) ^ k0 ^ (parent << 32 | parent >> 32));
  }

 private:
  // Odd, random-looking, without structure in common: the first 64 bits after the point of sqrt(2), sqrt(3), sqrt(5) and sqrt(7).
  static constexpr std::uint64_t k0 = 0x6a09e667f3bcc908 | 1, k1 = 0xbb67ae8584caa73b, k2 = 0x3c6ef372fe94f82b, k3 = 0xa54ff53a5f1d36f1;

  __extension__ typedef unsigned __int128 wide;
  static constexpr std::uint64_t pair(std::uint64_t low, std::uint64_t high) noexcept { return low | high << 32; }
  static constexpr std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    const wide product = wide{x} * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::uint64_t salt_;
};
static_assert(block_hasher<mix_hash>);

// Appends the names of the full blocks of `tokens` that `names` does not hold yet: names already there are those of the first
// blocks of the same tokens. block_tokens 0, or fewer tokens than a block: nothing. Allocates only to grow `names`.
template <block_hasher Hash>
void hash_blocks(const Hash& hash, std::span<const token> tokens, std::size_t block_tokens, std::vector<block_hash>& names) {
  if (block_tokens == 0) return;
  const std::size_t full = tokens.size() / block_tokens, had = names.size();
  if (full <= had) return;
  names.resize(full);
  block_hash parent = had == 0 ? hash.root() : names[had - 1];
  for (std::size_t i = had; i < full; ++i) names[i] = parent = hash(parent, tokens.subspan(i * block_tokens, block_tokens));
}

}  // namespace hotpath::inline HOTPATH_ABI::kv
