// SPDX-License-Identifier: Apache-2.0
// hotpath/core/name_table.hpp - texts that repeat, each stored once: comparing two ids is comparing two texts.
//
//     hotpath::name_table names;
//     const hotpath::name_id gemm = names.intern("gemm");   // equal text, equal id
//     names[gemm];                                          // "gemm"; the view lives as long as the table
//
//   Id 0 is the empty text. Limits bound what a hostile file can cost: a longer text is cut, a text beyond the number of distinct
//   ones becomes the id of `beyond_limit`; both are counted.
//   Cost: 20 to 30 ns per intern of a known name; 28 to 40 bytes per distinct text beside its bytes. Thread safety: none for intern.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

using name_id = std::uint32_t;

class name_table {
 public:
  struct limits {
    std::size_t bytes = 64 << 10;        // of one text
    std::size_t distinct = 1'000'000;
  };
  static constexpr std::string_view beyond_limit = "(more names than the limit)";

  name_table();
  explicit name_table(limits l);
  name_table(const name_table& o);
  name_table(name_table&& o) noexcept;   // `o` is empty then, and may be used
  name_table& operator=(name_table o) noexcept;

  name_id intern(std::string_view text) { return intern(text, hash(text)); }
  // The same in two steps, for who has other work to do between them: the memory that the second needs is fetched meanwhile.
  //     const std::uint64_t h = names.expect(text); ... names.intern(text, h);
  std::uint64_t expect(std::string_view text) const {
    const std::uint64_t h = hash(text);
    const std::uint32_t there = places_[static_cast<std::size_t>(h) & (places_.size() - 1)];
    if (there == 0 || hashes_[there - 1] != h) return h;
    const char* const p = texts_[there - 1].data();
    for (std::size_t i = 0; i < text.size() && i < 512; i += 64) __builtin_prefetch(p + i);
    return h;
  }
  name_id intern(std::string_view text, std::uint64_t hash);
  // The id of a text that was interned, else 0 (which is also the id of "").
  name_id find(std::string_view text) const;
  std::string_view operator[](name_id id) const {
    HOTPATH_ASSERT(id < texts_.size());
    return texts_[id];
  }
  std::size_t size() const { return texts_.size(); }  // ids are 0 .. size() - 1
  std::uint64_t cut() const { return cut_; }          // calls whose text was longer than the limit
  std::uint64_t refused() const { return refused_; }  // calls that got the id of beyond_limit

 private:
  static std::uint64_t hash(std::string_view text) noexcept;
  std::uint32_t& place(std::string_view text, std::uint64_t h);
  std::string_view keep(std::string_view text);
  void grow();

  limits limits_;
  std::vector<std::string> blocks_;       // the bytes; a block never moves its bytes
  std::vector<std::string_view> texts_;
  std::vector<std::uint64_t> hashes_;     // of each text: most comparisons end there
  std::vector<std::uint32_t> places_;     // open addressing, id + 1; a power of two, at most half full
  std::uint64_t cut_ = 0, refused_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/name_table-inl.hpp>
#endif
