// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/detail_table.hpp - equal details of GPU work are one entry of timeline::details. Not for users.
#pragma once
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

class detail_table {
 public:
  // The number of d in `all`, whose first entry is that of nothing told.
  std::uint32_t intern(std::vector<model::gpu_detail>& all, const model::gpu_detail& d) {
    if (d == model::gpu_detail{}) return 0;
    if (last_ < all.size() && all[last_] == d) return last_;
    const auto next = static_cast<std::uint32_t>(all.size());
    last_ = index_.insert(hash(d), next, [&](std::uint32_t i) { return all[i] == d; }, [&](std::uint32_t i) { return hash(all[i]); });
    if (last_ == next) all.push_back(d);
    return last_;
  }
  void clear() { index_.clear(), last_ = 0; }

 private:
  static std::uint64_t hash(const model::gpu_detail& d) {
    using hotpath::detail::mix;
    std::uint64_t h = mix(std::uint64_t{d.grid[0]} << 32 | d.block[0], std::uint64_t{d.grid[1]} << 32 | d.block[1]);
    h = mix(h, std::uint64_t{d.grid[2]} << 32 | d.block[2]);
    h = mix(h, std::uint64_t{d.registers} << 32 | d.shared_bytes);
    h = mix(h, std::uint64_t{d.collective} << 32 | d.group);
    h = mix(h, static_cast<std::uint64_t>(d.occupancy * 1000 + 1000) << 32 | d.dtype);  // -1: not told
    h = mix(h, d.bytes);
    return mix(h, std::uint64_t{d.group_size} << 24 | std::uint64_t{d.copy_kind} << 16 | std::uint64_t{d.source_memory} << 8 | d.target_memory);
  }
  hotpath::detail::row_index index_;
  std::uint32_t last_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
