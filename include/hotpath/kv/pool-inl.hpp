// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/kv/pool.hpp>

#include <bit>
#include <string>

namespace hotpath::inline HOTPATH_ABI::kv {

HOTPATH_FN pool::pool(std::uint32_t blocks) {
  HOTPATH_ASSERT(blocks <= 0x80000000u);
  nodes_.resize(std::size_t{blocks} + lists);
  for (const block_id list : {free_list(), cached_list()}) nodes_[list].next = nodes_[list].previous = list;
  for (block_id b = 0; b < blocks; ++b) link_newest(free_list(), b);
  free_ = blocks;
  table_.resize(std::bit_ceil(std::size_t{blocks} * 2 + 1));
  mask_ = table_.size() - 1;
}

HOTPATH_FN void pool::link_newest(block_id list, block_id b) noexcept {
  node& n = nodes_[b];
  n.next = list;
  n.previous = nodes_[list].previous;
  nodes_[n.previous].next = nodes_[list].previous = b;
}

HOTPATH_FN void pool::link_oldest(block_id list, block_id b) noexcept {
  node& n = nodes_[b];
  n.previous = list;
  n.next = nodes_[list].next;
  nodes_[n.next].previous = nodes_[list].next = b;
}

HOTPATH_FN void pool::unlink(block_id b) noexcept {
  node& n = nodes_[b];
  nodes_[n.next].previous = n.previous;
  nodes_[n.previous].next = n.next;
  n.next = n.previous = no_block;
}

// One more reference; the first takes the block out of its list.
HOTPATH_FN void pool::take(block_id b) noexcept {
  node& n = nodes_[b];
  if (n.references++ != 0) return;
  unlink(b);
  --(n.named ? cached_ : free_);
}

HOTPATH_FN block_id pool::find(block_hash name) const noexcept {
  for (std::size_t i = home(name); table_[i].block != no_block; i = (i + 1) & mask_)
    if (table_[i].name == name) return table_[i].block;
  return no_block;
}

// Knuth's algorithm R (The Art of Computer Programming 3, 6.4): what follows moves up, so that no probe ends too early.
HOTPATH_FN void pool::erase(block_hash name) noexcept {
  std::size_t hole = home(name);
  while (table_[hole].name != name || table_[hole].block == no_block) hole = (hole + 1) & mask_;
  for (std::size_t i = hole;;) {
    i = (i + 1) & mask_;
    if (table_[i].block == no_block) break;
    if (((i - home(table_[i].name)) & mask_) < ((i - hole) & mask_)) continue;  // its home lies behind the hole
    table_[hole] = table_[i];
    hole = i;
  }
  table_[hole].block = no_block;
}

HOTPATH_FN std::size_t pool::cached_prefix(std::span<const block_hash> names) const noexcept {
  std::size_t n = 0;
  while (n < names.size() && find(names[n]) != no_block) ++n;
  return n;
}

HOTPATH_FN std::size_t pool::share(std::span<const block_hash> names, std::vector<block_id>& table) {
  constexpr std::size_t ahead = 8;  // slots in flight from memory while one is looked at
  stats_.looked_up += names.size();
  for (std::size_t i = 0; i < names.size() && i < ahead; ++i) __builtin_prefetch(&table_[home(names[i])]);
  std::size_t n = 0;
  for (; n < names.size(); ++n) {
    if (n + ahead < names.size()) __builtin_prefetch(&table_[home(names[n + ahead])]);
    const block_id b = find(names[n]);
    if (b == no_block) break;
    take(b);
    table.push_back(b);
  }
  stats_.shared += n;
  return n;
}

HOTPATH_FN bool pool::allocate(std::size_t count, std::vector<block_id>& table) {
  if (count > available()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (free_ == 0) {
      const block_id oldest = nodes_[cached_list()].next;
      erase(nodes_[oldest].name);
      unlink(oldest);
      nodes_[oldest].named = false;
      link_newest(free_list(), oldest);
      --cached_, ++free_;
      ++stats_.evicted;
    }
    const block_id b = nodes_[free_list()].next;
    take(b);
    table.push_back(b);
  }
  stats_.allocated += count;
  return true;
}

HOTPATH_FN bool pool::publish(block_id block, block_hash name) noexcept {
  node& n = nodes_[block];
  HOTPATH_ASSERT(block < size() && n.references != 0);
  if (n.named) return false;
  std::size_t i = home(name);
  for (; table_[i].block != no_block; i = (i + 1) & mask_)
    if (table_[i].name == name) return ++stats_.duplicates, false;
  table_[i] = {name, block};
  n.name = name;
  n.named = true;
  ++stats_.published;
  return true;
}

HOTPATH_FN void pool::hold(block_id block) noexcept {
  HOTPATH_ASSERT(block < size() && nodes_[block].references != 0);
  ++nodes_[block].references;
}

HOTPATH_FN void pool::release(std::span<const block_id> table) noexcept {
  for (std::size_t i = table.size(); i-- > 0;) {
    const block_id b = table[i];
    node& n = nodes_[b];
    HOTPATH_ASSERT(b < size() && n.references != 0);
    if (--n.references != 0) continue;
    if (n.named) {
      link_newest(cached_list(), b);
      ++cached_;
    } else {
      link_oldest(free_list(), b);  // the first to be taken again: its memory is still warm
      ++free_;
    }
  }
}

HOTPATH_FN std::size_t pool::forget() noexcept {
  const std::size_t freed = cached_;
  for (block_id b = nodes_[cached_list()].next; b != cached_list(); b = nodes_[cached_list()].next) {
    unlink(b);
    link_newest(free_list(), b);
  }
  free_ += cached_;
  cached_ = 0;
  for (block_id b = 0; b < size(); ++b) nodes_[b].named = false;
  for (slot& s : table_) s.block = no_block;
  return freed;
}

HOTPATH_FN result<void> pool::check() const {
  const auto wrong = [](std::string what, block_id b = no_block) -> result<void> {
    return error{.code = errc::internal, .detail = (b == no_block ? "" : "block " + std::to_string(b) + ": ") + what};
  };
  std::vector<std::uint8_t> seen(size(), 0);
  std::uint32_t counts[lists] = {};
  for (std::uint32_t l = 0; l < lists; ++l) {
    const block_id list = size() + l;
    for (block_id at = list, b = nodes_[list].next;; at = b, b = nodes_[b].next) {
      if (b >= nodes_.size()) return wrong("the list it is in leads nowhere", at);
      if (nodes_[b].previous != at) return wrong("its neighbours do not agree", b);
      if (b == list) break;
      if (b >= size()) return wrong("the lists are mixed up", b);
      if (seen[b]++ != 0) return wrong("it is listed twice", b);
      if (nodes_[b].references != 0) return wrong("it is held and listed as available", b);
      if (nodes_[b].named != (list == cached_list())) return wrong("free with a name, or cached without", b);
      ++counts[l];
    }
  }
  if (counts[0] != free_ || counts[1] != cached_) return wrong("the lists are not as long as counted");
  std::size_t named = 0, slots = 0;
  for (block_id b = 0; b < size(); ++b) {
    const node& n = nodes_[b];
    if (n.references == 0 && seen[b] == 0) return wrong("lost: neither held nor listed", b);
    if (n.references != 0 && (n.next != no_block || n.previous != no_block)) return wrong("held, with neighbours", b);
    if (!n.named) continue;
    ++named;
    if (find(n.name) != b) return wrong("its name does not lead to it", b);
  }
  for (const slot& s : table_) {
    if (s.block == no_block) continue;
    ++slots;
    if (s.block >= size() || !nodes_[s.block].named || nodes_[s.block].name != s.name) return wrong("a name leads to it that is not its own", s.block);
  }
  if (named != slots) return wrong("more names than named blocks");
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::kv
