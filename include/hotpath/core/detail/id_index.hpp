// SPDX-License-Identifier: Apache-2.0
// hotpath/core/detail/id_index.hpp - from ids and contents to small numbers. Not for users.
//   id_index: 64-bit ids, in groups: launches by (process, correlation); 32 to 64 bytes an id. id_map: one group, for ids that come in runs.
//   row_index: rows that somebody else keeps, by what is in them; 8 to 16 bytes a row. All are open addressing, at most half full, and grow by themselves.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::detail {

// A hash of several numbers, one after the other, the first of them as `h` or behind a constant. Multiplied and folded (as wyhash does): no pattern of
// small numbers, such as two that are equal, gives one hash. It has no seed: who searches for colliding ids finds some, and makes a file slow to read, not
// wrong.
inline std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  __extension__ const auto product = static_cast<unsigned __int128>(h ^ 0x9e3779b97f4a7c15u) * (v ^ 0xd6e8feb86659fd93u);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ (h << 32 | h >> 32);   // h again: the v that makes the product 0 hides nothing
}

// A hash of an id that leaves ids that are counted up side by side, so that looking them up in order stays in the cache.
inline std::uint64_t id_hash(std::uint32_t group, std::uint64_t id) {
  return mix(group, id >> 4) << 4 | (id & 15);
}

class id_index {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;
  explicit id_index(std::size_t expected = 0) { rehash(expected * 2); }
  // The number under the key, which is `value` (not `none`) when the key is new; it may be changed until the next call.
  std::uint32_t& insert(std::uint32_t group, std::uint64_t id, std::uint32_t value, bool* fresh = nullptr) {
    if ((used_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    slot& s = slots_[place(group, id)];
    const bool is_new = s.value == none;
    if (is_new) s = {id, group, value}, ++used_;
    if (fresh != nullptr) *fresh = is_new;
    return s.value;
  }
  // Keys numbered from 0 in the order of their first use, so that arrays can be kept by key.
  std::uint32_t number(std::uint64_t id) { return insert(0, id, static_cast<std::uint32_t>(used_)); }
  std::uint32_t find(std::uint32_t group, std::uint64_t id) const { return slots_[place(group, id)].value; }
  std::size_t size() const { return used_; }

 private:
  struct slot {
    std::uint64_t id = 0;
    std::uint32_t group = 0, value = none;   // none: free
  };
  std::size_t place(std::uint32_t group, std::uint64_t id) const {
    std::size_t i = static_cast<std::size_t>(id_hash(group, id)) & (slots_.size() - 1);
    while (slots_[i].value != none && (slots_[i].id != id || slots_[i].group != group)) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  void rehash(std::size_t want) {
    std::size_t n = 16;
    while (n < want) n *= 2;
    std::vector<slot> old(n);
    old.swap(slots_);
    used_ = 0;
    for (const slot& s : old)
      if (s.value != none) slots_[place(s.group, s.id)] = s, ++used_;
  }
  std::vector<slot> slots_;
  std::size_t used_ = 0;
};

class row_index {
 public:
  static constexpr std::uint32_t none = id_index::none;
  // The row with the hash for which same(row) is true; else `row`, which is now found by the hash. hash_of(row): of one that is there already.
  // An equal row may take its place, until the next call.
  template <class Same, class HashOf>
  std::uint32_t& insert(std::uint64_t hash, std::uint32_t row, Same same, HashOf hash_of) {
    if ((used_ + 1) * 2 > places_.size()) {
      std::vector<std::uint32_t> old(places_.empty() ? 64 : places_.size() * 2, none);
      old.swap(places_);
      for (const std::uint32_t r : old)
        if (r != none) place(hash_of(r), [](std::uint32_t) { return false; }) = r;
    }
    std::uint32_t& at = place(hash, same);
    if (at == none) at = row, ++used_;
    return at;
  }
  // none: there is no such row.
  template <class Same>
  std::uint32_t find(std::uint64_t hash, Same same) const {
    return places_.empty() ? none : const_cast<row_index*>(this)->place(hash, same);   // place() only looks
  }
  void clear() { places_.clear(), used_ = 0; }

 private:
  template <class Same>
  std::uint32_t& place(std::uint64_t hash, Same same) {
    for (std::size_t i = static_cast<std::size_t>(hash);; ++i)
      if (std::uint32_t& at = places_[i & (places_.size() - 1)]; at == none || same(at)) return at;
  }
  std::vector<std::uint32_t> places_;   // none: free
  std::size_t used_ = 0;
};

// One group, for ids that come in runs: 1 ns for the same id again.
class id_map {
 public:
  // The number of `key`, valid until the next call; nullptr: it has none yet.
  const std::uint32_t* find(std::int64_t key) {
    if (last_ == id_index::none || last_key_ != key) last_key_ = key, last_ = index_.find(0, static_cast<std::uint64_t>(key));
    return last_ != id_index::none ? &last_ : nullptr;
  }
  // value: below 2^32 - 1. A key has one number for good.
  void add(std::int64_t key, std::uint32_t value) { index_.insert(0, static_cast<std::uint64_t>(key), value); }

 private:
  id_index index_;
  std::int64_t last_key_ = 0;
  std::uint32_t last_ = id_index::none;
};

}  // namespace hotpath::inline HOTPATH_ABI::detail
