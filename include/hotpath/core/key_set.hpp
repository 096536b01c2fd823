// SPDX-License-Identifier: Apache-2.0
// hotpath/core/key_set.hpp - 64-bit keys that were seen: hashes, for most. Open addressing, so that a key costs no allocation of its own.
//
//     hotpath::key_set seen;
//     if (!seen.insert(hash)) ++duplicates;
//
//   Memory: 16 to 32 bytes per key, 8 KiB at least once one is in. Thread safety: none; one thread at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

class key_set {
 public:
  bool contains(std::uint64_t key) { return !places_.empty() && find(key_of(key)) != 0; }
  // False: it was there already.
  bool insert(std::uint64_t key) {
    key = key_of(key);
    if (2 * (used_ + 1) > places_.size()) grow();
    std::uint64_t& place = find(key);
    if (place == key) return false;
    place = key, ++used_;
    return true;
  }
  std::size_t size() const { return used_; }

 private:
  static std::uint64_t key_of(std::uint64_t key) { return key != 0 ? key : 1; }  // 0 marks an empty place
  std::uint64_t& find(std::uint64_t key) {
    const std::size_t mask = places_.size() - 1;
    std::size_t i = static_cast<std::size_t>(key ^ (key >> 32)) & mask;
    while (places_[i] != 0 && places_[i] != key) i = (i + 1) & mask;
    return places_[i];
  }
  void grow() {
    std::vector<std::uint64_t> old = std::move(places_);
    places_.assign(old.empty() ? 1024 : old.size() * 2, 0);
    for (const std::uint64_t key : old)
      if (key != 0) find(key) = key;
  }
  std::vector<std::uint64_t> places_;
  std::size_t used_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI
