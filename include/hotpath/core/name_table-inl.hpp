// SPDX-License-Identifier: Apache-2.0
// hotpath/core/name_table-inl.hpp - bodies of name_table.hpp.
#pragma once
#include <cstring>
#include <utility>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/name_table.hpp>

namespace hotpath::inline HOTPATH_ABI {

HOTPATH_FN name_table::name_table() : name_table(limits{}) {}
HOTPATH_FN name_table::name_table(limits l) : limits_(l) {
  places_.assign(64, 0);
  intern({});
}
HOTPATH_FN name_table::name_table(const name_table& o) : name_table(o.limits_) {
  for (const std::string_view t : o.texts_) intern(t);  // ids are given in order, so they stay the same
  cut_ = o.cut_, refused_ = o.refused_;
}
HOTPATH_FN name_table::name_table(name_table&& o) noexcept : name_table(o.limits_) {
  blocks_.swap(o.blocks_), texts_.swap(o.texts_), hashes_.swap(o.hashes_), places_.swap(o.places_);
  std::swap(cut_, o.cut_), std::swap(refused_, o.refused_);
}
HOTPATH_FN name_table& name_table::operator=(name_table o) noexcept {
  std::swap(limits_, o.limits_), blocks_.swap(o.blocks_), texts_.swap(o.texts_), hashes_.swap(o.hashes_), places_.swap(o.places_);
  cut_ = o.cut_, refused_ = o.refused_;
  return *this;
}

// Sixteen bytes at a time, multiplied and folded; keys are names of a trace, not secrets, and the table is bounded.
HOTPATH_FN std::uint64_t name_table::hash(std::string_view text) noexcept {
  const char* p = text.data();
  const std::size_t n = text.size();
  std::uint64_t h = n;
  const auto mix = [&h](std::uint64_t a, std::uint64_t b) { h = detail::mix(h ^ a, b); };
  const auto load = [](const char* at) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
  };
  if (n >= 16) {
    const char* const last = p + n - 16;  // the last sixteen overlap: no copy of a few bytes, which would be a call
    for (; p < last; p += 16) mix(load(p), load(p + 8));
    mix(load(last), load(last + 8));
  } else if (n >= 8) {
    mix(load(p), load(p + n - 8));
  } else {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < n; ++i) word = word << 8 | static_cast<unsigned char>(p[i]);
    mix(word, 0);
  }
  return h;
}

HOTPATH_FN std::uint32_t& name_table::place(std::string_view text, std::uint64_t h) {
  const std::size_t mask = places_.size() - 1;
  for (std::size_t i = static_cast<std::size_t>(h) & mask;; i = (i + 1) & mask) {
    const std::uint32_t there = places_[i];
    if (there == 0 || (hashes_[there - 1] == h && texts_[there - 1] == text)) return places_[i];
  }
}

HOTPATH_FN name_id name_table::intern(std::string_view text, std::uint64_t h) {
  if (text.size() > limits_.bytes) text = text.substr(0, limits_.bytes), h = hash(text), ++cut_;
  std::uint32_t* at = &place(text, h);
  if (*at != 0) return *at - 1;
  if (texts_.size() > limits_.distinct && text != beyond_limit.substr(0, limits_.bytes)) {
    ++refused_;
    return intern(beyond_limit);
  }
  if (2 * (texts_.size() + 1) > places_.size()) {
    grow();
    at = &place(text, h);
  }
  texts_.push_back(keep(text));
  hashes_.push_back(h);
  *at = static_cast<std::uint32_t>(texts_.size());
  return *at - 1;
}

HOTPATH_FN name_id name_table::find(std::string_view text) const {
  if (text.size() > limits_.bytes) text = text.substr(0, limits_.bytes);
  const std::uint32_t there = const_cast<name_table*>(this)->place(text, hash(text));  // place() only looks
  return there != 0 ? there - 1 : 0;
}

HOTPATH_FN std::string_view name_table::keep(std::string_view text) {
  constexpr std::size_t block = 64 << 10;
  if (text.empty()) return {};
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < text.size()) {
    blocks_.emplace_back();
    blocks_.back().reserve(text.size() > block / 4 ? text.size() + 32 : block);  // + 32: never within the string object itself
  }
  std::string& into = blocks_.back();
  const std::size_t begin = into.size();
  into.append(text);
  return {into.data() + begin, text.size()};
}

HOTPATH_FN void name_table::grow() {
  places_.assign(places_.size() * 2, 0);
  for (std::uint32_t id = 0; id < texts_.size(); ++id) place(texts_[id], hashes_[id]) = id + 1;
}

}  // namespace hotpath::inline HOTPATH_ABI
