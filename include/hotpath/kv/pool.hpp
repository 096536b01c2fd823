// SPDX-License-Identifier: Apache-2.0
// hotpath/kv/pool.hpp - a fixed number of KV blocks: reference counts, a prefix cache by name, eviction of the least recently used.
//   It hands out numbers; what a block holds (floats of a model, nothing in an analysis) is the caller's.
//
//     kv::pool blocks{1024};
//     std::vector<kv::block_id> table;                         // of one request
//     const std::size_t cached = blocks.share(names, table);   // takes the longest cached prefix, appends it to the table
//     if (!blocks.allocate(3, table)) …                        // all or nothing; evicts what is cached and held by nobody
//     blocks.publish(table.back(), name);                      // its content is complete: others may share it
//     blocks.release(table);                                   // published blocks stay findable until their room is needed
//
//   A block is in one of three states: held (one reference or more), cached (published, held by nobody, in order of last use) or
//   free. share() and allocate() hold, release() lets go. Of several blocks let go together, the last is the first to be evicted:
//   the head of a prefix is worth more than its tail. There is no clock and no thread in here: the order of calls is all that counts.
//   Cost: share, publish, allocate and release are O(1) per block, without allocation (but to grow the caller's vector).
//   Memory: 24 bytes per block and 32 to 64 for the table. Thread safety: none; one thread at a time.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/kv/hash.hpp>

namespace hotpath::inline HOTPATH_ABI::kv {

using block_id = std::uint32_t;
inline constexpr block_id no_block = 0xffffffff;

// Since the pool was made.
struct pool_stats {
  std::uint64_t looked_up = 0;   // names given to share()
  std::uint64_t shared = 0;      // of them found, as part of the leading run
  std::uint64_t allocated = 0;   // blocks handed out by allocate()
  std::uint64_t published = 0;   // names that were new
  std::uint64_t duplicates = 0;  // names that another block had already: that block stays the one to be found
  std::uint64_t evicted = 0;     // cached blocks whose room was needed
};

class pool {
 public:
  // At most 2^31 blocks (programming error beyond); 0 blocks is a pool that is always full.
  explicit pool(std::uint32_t blocks);

  // How many leading names are there, held or cached. Changes nothing.
  std::size_t cached_prefix(std::span<const block_hash> names) const noexcept;
  // Takes a reference on each block of the longest prefix that is there, appends them to `table`, and says how many.
  std::size_t share(std::span<const block_hash> names, std::vector<block_id>& table);
  // Takes `count` blocks, one reference each, and appends them to `table`. False, and nothing done: not so many are available.
  bool allocate(std::size_t count, std::vector<block_id>& table);
  // The content of a held block is complete and known by this name from now on. False: another block has the name, or the block has one.
  bool publish(block_id block, block_hash name) noexcept;
  // One more reference on a held block.
  void hold(block_id block) noexcept;
  // Lets go of one reference on each; blocks may repeat. `table` is the caller's to clear.
  void release(std::span<const block_id> table) noexcept;
  // Forgets all names: cached blocks are free, held ones stay with their holders and are findable no more. How many blocks became free.
  std::size_t forget() noexcept;

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(nodes_.size()) - lists; }
  std::uint32_t held() const noexcept { return size() - available(); }
  std::uint32_t cached() const noexcept { return cached_; }               // by nobody held
  std::uint32_t available() const noexcept { return free_ + cached_; }    // what allocate() can give at most
  std::uint32_t references(block_id block) const noexcept { return nodes_[block].references; }
  const pool_stats& stats() const noexcept { return stats_; }

  // Walks everything: each block in exactly one state, lists and counts agree, each name leads to its block and no name is lost.
  // O(blocks); for tests and debugging. The error says what is wrong with which block.
  result<void> check() const;

 private:
  // Two rings through the nodes, each with a node of its own behind the blocks: next of it is the oldest, previous the newest.
  static constexpr std::uint32_t lists = 2;
  struct node {
    block_hash name = 0;
    block_id next = no_block, previous = no_block;  // in a list; of a held block no_block
    std::uint32_t references = 0;
    bool named = false;
  };
  struct slot {
    block_hash name = 0;
    block_id block = no_block;
  };

  block_id free_list() const noexcept { return size(); }
  block_id cached_list() const noexcept { return size() + 1; }
  void link_newest(block_id list, block_id b) noexcept;
  void link_oldest(block_id list, block_id b) noexcept;
  void unlink(block_id b) noexcept;
  void take(block_id b) noexcept;
  std::size_t home(block_hash name) const noexcept { return static_cast<std::size_t>(name) & mask_; }
  block_id find(block_hash name) const noexcept;
  void erase(block_hash name) noexcept;

  std::vector<node> nodes_;
  std::vector<slot> table_;  // open addressing, linear probing, at most half full
  std::size_t mask_ = 0;
  std::uint32_t free_ = 0, cached_ = 0;
  pool_stats stats_;
};

}  // namespace hotpath::inline HOTPATH_ABI::kv

#if HOTPATH_HEADER_ONLY
#include <hotpath/kv/pool-inl.hpp>
#endif
