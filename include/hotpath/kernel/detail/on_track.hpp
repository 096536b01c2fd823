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
      number_ = tracks_.number(track);                     // not by the track itself, which may be no_index
      if (number_ == answers_.size()) answers_.emplace_back();
    }
    const std::size_t i = bound([&](const Row& r) { return r.begin <= at; }, first_, end_);
    return i == first_ ? model::no_index : static_cast<std::uint32_t>(i - 1);
  }
  // The innermost that holds the moment; outer(i) < i: the row around row i, which ends no earlier. A long way out is gone once, as long as moments of
  // a track come in order; where they do not, ways are made short.
  template <class Outer>
  std::uint32_t around(std::uint32_t track, nanoseconds at, Outer outer) {
    const std::uint32_t from = last_before(track, at);
    if (from == model::no_index) return from;
    answer& last = answers_[number_];
    std::uint32_t i = last.from == from && last.at <= at ? last.found : from;
    while (i != model::no_index && all_[i].end() < at) {
      if (far_out_.empty() && ++steps_ > 8 * all_.size() + 1024) make_short(outer);
      i = far_out_.empty() || !(all_[far_out_[i]].end() < at) ? outer(i) : far_out_[i] != i ? far_out_[i] : model::no_index;
    }
    last = {from, i, at};
    return i;
  }

 private:
  struct answer { std::uint32_t from = model::no_index, found = 0; nanoseconds at{}; };
  template <class Before>
  std::size_t bound(Before before, std::size_t from, std::size_t to) const {
    return static_cast<std::size_t>(find_first_not(all_.data() + from, all_.data() + to, before) - all_.data());
  }
  // A row further out for each, or itself, so that O(log n) steps lead anywhere (Myers, "An applicative random-access stack", 1983).
  template <class Outer>
  void make_short(Outer outer) {
    std::vector<std::uint32_t> depth(all_.size());
    far_out_.resize(all_.size());
    for (std::uint32_t i = 0; i < all_.size(); ++i) {
      const std::uint32_t o = outer(i);
      if (o == model::no_index) {
        far_out_[i] = i;
        continue;
      }
      const std::uint32_t out = far_out_[o];
      depth[i] = depth[o] + 1;
      far_out_[i] = depth[o] - depth[out] == depth[out] - depth[far_out_[out]] ? far_out_[out] : o;
    }
  }
  std::span<const Row> all_;
  std::size_t steps_ = 0;
  std::vector<std::uint32_t> far_out_;   // empty: not needed yet
  std::size_t first_ = 0, end_ = 0;
  std::uint32_t track_ = 0, number_ = 0;
  bool known_ = false;
  hotpath::detail::id_index tracks_;
  std::vector<answer> answers_;   // by number of the track
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
