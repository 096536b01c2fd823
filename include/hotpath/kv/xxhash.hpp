// SPDX-License-Identifier: Apache-2.0
// hotpath/kv/xxhash.hpp - block names by XXH3 (Yann Collet's xxHash, 0.8 or later; header only, nothing to link).
//
//     kv::hash_blocks(kv::xxh3_hash{salt}, prompt, 16, names);
//
//   Not a cryptographic hash either. Names depend on the byte order of the machine. See kv/hash.hpp for what a hasher is.
#pragma once
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL  // its functions become static in this unit: no symbol, no library
#include <xxhash.h>
#undef XXH_INLINE_ALL
#else
#include <xxhash.h>
#endif
#include <hotpath/kv/hash.hpp>

namespace hotpath::inline HOTPATH_ABI::kv {

class xxh3_hash {
 public:
  explicit xxh3_hash(std::uint64_t salt = 0) noexcept : root_(XXH3_64bits(&salt, sizeof salt)) {}
  block_hash root() const noexcept { return root_; }
  // The parent is the seed: the tokens are hashed where they lie.
  block_hash operator()(block_hash parent, std::span<const token> tokens) const noexcept {
    return XXH3_64bits_withSeed(tokens.data(), tokens.size_bytes(), parent);
  }

 private:
  block_hash root_;
};
static_assert(block_hasher<xxh3_hash>);

}  // namespace hotpath::inline HOTPATH_ABI::kv
