// SPDX-License-Identifier: Apache-2.0
// hotpath/core/detail/id_map.hpp - a 64-bit id (of a string, a process, a pair) -> a small number, for ids that come in runs. Not for users.
//   Open addressing, 32 to 64 bytes per id; the last answer is kept: 1 ns for the same id again, 3 to 5 ns for one of a thousand.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::detail {

class id_map {
 public:
  // The number of `key`, valid until the next call; nullptr: it has none yet.
  const std::uint32_t* find(std::int64_t key) {
    if (last_ && last_key_ == key) return &last_value_;
    if (slots_.empty()) return nullptr;
    const slot& s = place(key);
    if (s.value == 0) return nullptr;
    last_key_ = key, last_value_ = s.value - 1, last_ = true;
    return &last_value_;
  }
  // value: below 2^32 - 1. A key has one number for good.
  void add(std::int64_t key, std::uint32_t value) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    slot& s = place(key);
    size_ += s.value == 0;
    s = {key, value + 1};
  }

 private:
  struct slot {
    std::int64_t key = 0;
    std::uint32_t value = 0;  // + 1; 0: empty
  };
  slot& place(std::int64_t key) {
    const std::uint64_t h = static_cast<std::uint64_t>(key) * 0x9e3779b97f4a7c15ull;
    for (std::size_t i = static_cast<std::size_t>(h >> 32);; ++i)
      if (slot& s = slots_[i & (slots_.size() - 1)]; s.value == 0 || s.key == key) return s;
  }
  void grow() {
    std::vector<slot> old(slots_.empty() ? 64 : 2 * slots_.size());
    old.swap(slots_);
    for (const slot& s : old)
      if (s.value != 0) place(s.key) = s;
  }
  std::vector<slot> slots_;
  std::size_t size_ = 0;
  std::int64_t last_key_ = 0;
  std::uint32_t last_value_ = 0;
  bool last_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::detail
