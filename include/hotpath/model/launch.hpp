// SPDX-License-Identifier: Apache-2.0
// hotpath/model/launch.hpp - which call of the host's API launched each GPU event, and what such calls are.
//
//     model::launch_links links = model::link_launches(timeline);
//     links.call_of[i];                                     // index in timeline::api, or no_index
//     model::kind_of_call("hipExtModuleLaunchKernel");     // call_kind::kernel
//
//   Ids join within one process. All kernels of one graph launch share its correlation id: that is normal and not counted as shared.
//   O(n) with 32 to 64 bytes per API call while it runs. Empty in, empty out; safe from any thread.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class call_kind : std::uint8_t { other, kernel, copy, set, graph, begin_capture, end_capture };

// By the function's name, CUDA's or HIP's, runtime or driver, with or without a version behind it (_v11060, _ptsz).
call_kind kind_of_call(std::string_view function);

// kind_of_call() of names of one timeline, each looked at once.
class call_kinds {
 public:
  explicit call_kinds(const timeline& t) : t_(t), known_(t.names.size(), unknown) {}
  call_kind operator()(name_id function) {
    if (known_[function] == unknown) known_[function] = static_cast<std::uint8_t>(kind_of_call(t_.name(function)));
    return static_cast<call_kind>(known_[function]);
  }

 private:
  static constexpr std::uint8_t unknown = 255;
  const timeline& t_;
  std::vector<std::uint8_t> known_;
};

struct launch_links {
  std::vector<std::uint32_t> call_of;    // by GPU event
  std::uint64_t without_id = 0;          // GPU events with no correlation id
  std::uint64_t without_call = 0;        // GPU events whose correlation id no call of their process has
  std::uint64_t duplicate_calls = 0;     // calls with the correlation id of an earlier call of their process; the first is used, but a launch before others
  std::uint64_t shared = 0;              // GPU events beyond the first of one call that is no graph launch
};
launch_links link_launches(const timeline& t);

}  // namespace hotpath::inline HOTPATH_ABI::model

#if HOTPATH_HEADER_ONLY
#include <hotpath/model/launch-inl.hpp>
#endif
