// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/launch.hpp - which call of the host's API launched each GPU event, and what such calls are.
//
//     kernel::launch_links links = kernel::link_launches(timeline);
//     links.call_of[i];                                     // index in timeline::api, or no_index
//     kernel::kind_of_call("hipExtModuleLaunchKernel");     // call_kind::kernel
//
//   Ids join within one process. All kernels of one graph launch share its correlation id: that is normal and not counted as shared.
//   O(n) with 16 bytes per API call while it runs. Empty in, empty out; safe from any thread.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>
#include <hotpath/core/sort.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

enum class call_kind : std::uint8_t { other, kernel, copy, set, graph, begin_capture, end_capture };

// By the function's name, CUDA's or HIP's, runtime or driver, with or without a version behind it (_v11060, _ptsz).
call_kind kind_of_call(std::string_view function);

// kind_of_call() of names of one timeline, each looked at once.
class call_kinds {
 public:
  explicit call_kinds(const model::timeline& t) : t_(t), known_(t.names.size(), unknown) {}
  call_kind operator()(name_id function) {
    if (known_[function] == unknown) known_[function] = static_cast<std::uint8_t>(kind_of_call(t_.name(function)));
    return static_cast<call_kind>(known_[function]);
  }

 private:
  static constexpr std::uint8_t unknown = 255;
  const model::timeline& t_;
  std::vector<std::uint8_t> known_;
};

struct launch_links {
  std::vector<std::uint32_t> call_of;    // by GPU event
  std::uint64_t without_id = 0;          // GPU events with no correlation id
  std::uint64_t without_call = 0;        // GPU events whose correlation id no call of their process has
  std::uint64_t duplicate_calls = 0;     // calls with the correlation id of an earlier call of their process; the first is used, but a launch before others
  std::uint64_t shared = 0;              // GPU events beyond the first of one call that is no graph launch
};
launch_links link_launches(const model::timeline& t);

namespace links {
// (process, id) -> index. The first stays; open addressing, at most half full, grows by itself.
class id_index {
 public:
  explicit id_index(std::size_t expected = 0) { rehash(expected * 2); }
  // The value under the key, which is `value` when the key is new.
  std::uint32_t& insert(std::uint32_t group, std::uint64_t id, std::uint32_t value, bool* fresh = nullptr) {
    if ((used_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    slot& s = slots_[place(group, id)];
    const bool is_new = s.value == model::no_index;
    if (is_new) s = {id, group, value}, ++used_;
    if (fresh != nullptr) *fresh = is_new;
    return s.value;
  }
  std::uint32_t find(std::uint32_t group, std::uint64_t id) const { return slots_[place(group, id)].value; }
  std::size_t size() const { return used_; }

 private:
  struct slot {
    std::uint64_t id = 0;
    std::uint32_t group = 0, value = model::no_index;   // no_index: free
  };
  std::size_t place(std::uint32_t group, std::uint64_t id) const {
    // Ids are counted up: sixteen in a row lie side by side, so that looking them up in order stays in the cache.
    std::uint64_t h = ((id >> 4) ^ (static_cast<std::uint64_t>(group) << 40)) * 0x9E3779B97F4A7C15u;
    h ^= h >> 32;
    std::size_t i = ((static_cast<std::size_t>(h * 0xD6E8FEB86659FD93u >> shift_) & ~std::size_t{15}) | (id & 15)) & (slots_.size() - 1);
    while (slots_[i].value != model::no_index && (slots_[i].id != id || slots_[i].group != group)) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  void rehash(std::size_t want) {
    std::size_t n = 16;
    unsigned bits = 4;
    while (n < want) n *= 2, ++bits;
    std::vector<slot> old(n);
    old.swap(slots_);
    shift_ = 64 - bits, used_ = 0;
    for (const slot& s : old)
      if (s.value != model::no_index) slots_[place(s.group, s.id)] = s, ++used_;
  }
  std::vector<slot> slots_;
  std::size_t used_ = 0;
  unsigned shift_ = 60;
};

// The rows of a class that has the order (track, begin): the last that begins at or before `at` on a track.
template <class Row>
class on_track {
 public:
  explicit on_track(const rows<Row>& all) : all_(&all) {}
  std::uint32_t last_before(std::uint32_t track, nanoseconds at) {
    if (track != track_ || !known_) {
      track_ = track, known_ = true;
      first_ = bound([&](const Row& r) { return r.track < track; }, 0, all_->size());
      end_ = bound([&](const Row& r) { return r.track <= track; }, first_, all_->size());
    }
    const std::size_t i = bound([&](const Row& r) { return r.begin <= at; }, first_, end_);
    return i == first_ ? model::no_index : static_cast<std::uint32_t>(i - 1);
  }

 private:
  template <class Before>
  std::size_t bound(Before before, std::size_t from, std::size_t to) const {
    return static_cast<std::size_t>(find_first_not(all_->begin() + from, all_->begin() + to, before) - all_->begin());
  }
  const rows<Row>* all_;
  std::size_t first_ = 0, end_ = 0;
  std::uint32_t track_ = 0;
  bool known_ = false;
};
}  // namespace links

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/launch-inl.hpp>
#endif
