// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/key_numbers.hpp - 64-bit keys numbered from 0 in the order of their first use, so that arrays can be kept by key.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

// Dense numbers for 64-bit keys, in the order of their first use.
class key_numbers {
 public:
  std::uint32_t operator[](std::uint64_t key) {
    if (2 * (keys_.size() + 1) > places_.size()) grow();
    std::uint32_t& p = place(key);
    if (p == 0) keys_.push_back(key), p = static_cast<std::uint32_t>(keys_.size());
    return p - 1;
  }
  std::size_t size() const { return keys_.size(); }

 private:
  std::uint32_t& place(std::uint64_t key) {
    const std::size_t mask = places_.size() - 1;
    std::uint64_t h = key * 0x9e3779b97f4a7c15u;
    for (std::size_t i = static_cast<std::size_t>(h ^ (h >> 29)) & mask;; i = (i + 1) & mask)
      if (places_[i] == 0 || keys_[places_[i] - 1] == key) return places_[i];
  }
  void grow() {
    places_.assign(places_.empty() ? 64 : places_.size() * 2, 0);
    for (std::size_t i = 0; i < keys_.size(); ++i) place(keys_[i]) = static_cast<std::uint32_t>(i + 1);
  }
  std::vector<std::uint64_t> keys_;
  std::vector<std::uint32_t> places_;
};

inline std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  h = (h ^ v) * 0xff51afd7ed558ccdu;
  return h ^ (h >> 32);
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
