// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/on_track.hpp - what was the last to begin on a thread at a moment. Not for users.
#pragma once
#include <span>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

// Rows in the order (track, begin), which stay where they are: the last that begins at or before `at` on a track.
template <class Row>
class on_track {
 public:
  explicit on_track(std::span<const Row> all) : all_(all) {}
  std::uint32_t last_before(std::uint32_t track, nanoseconds at) {
    if (track != track_ || !known_) {
      track_ = track, known_ = true;
      first_ = bound([&](const Row& r) { return r.track < track; }, 0, all_.size());
      end_ = bound([&](const Row& r) { return r.track <= track; }, first_, all_.size());
    }
    const std::size_t i = bound([&](const Row& r) { return r.begin <= at; }, first_, end_);
    return i == first_ ? model::no_index : static_cast<std::uint32_t>(i - 1);
  }
  // The innermost that holds the moment; outer(i): the row around row i. A long way out is gone once, as long as moments of a track come in order.
  template <class Outer>
  std::uint32_t around(std::uint32_t track, nanoseconds at, Outer outer) {
    const std::uint32_t from = last_before(track, at);
    if (from == model::no_index) return from;
    const std::uint32_t n = tracks_.number(track);         // not by the track itself, which may be no_index
    if (n == answers_.size()) answers_.emplace_back();
    answer& last = answers_[n];
    std::uint32_t i = last.from == from && last.at <= at ? last.found : from;
    while (i != model::no_index && all_[i].end() < at) i = outer(i);
    last = {from, i, at};
    return i;
  }

 private:
  struct answer { std::uint32_t from = model::no_index, found = 0; nanoseconds at{}; };
  template <class Before>
  std::size_t bound(Before before, std::size_t from, std::size_t to) const {
    return static_cast<std::size_t>(find_first_not(all_.data() + from, all_.data() + to, before) - all_.data());
  }
  std::span<const Row> all_;
  std::size_t first_ = 0, end_ = 0;
  std::uint32_t track_ = 0;
  bool known_ = false;
  hotpath::detail::id_index tracks_;
  std::vector<answer> answers_;   // by number of the track
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
