// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/words.hpp - the words of Kineto's traces that readers, slices and writers share.
#pragma once
#include <string_view>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

constexpr std::string_view category_name(model::gpu_kind k) { return k == model::gpu_kind::copy ? "gpu_memcpy" : k == model::gpu_kind::set ? "gpu_memset" : "kernel"; }
constexpr std::string_view api_category(bool driver) { return driver ? "cuda_driver" : "cuda_runtime"; }
// The driver's calls are cuLaunchKernel, cuMemcpy...: "cu" and a capital.
constexpr bool is_driver_call(std::string_view name) { return name.size() > 2 && name.starts_with("cu") && name[2] >= 'A' && name[2] <= 'Z'; }

// By CUPTI's numbers for the direction of a copy (gpu_detail::copy_kind) and for a kind of memory.
inline constexpr std::string_view copy_directions[] = {"", "HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP"};
inline constexpr std::string_view memory_kinds[] = {"", "Pageable", "Pinned", "Device", "Array", "Managed", "Device Static", "Managed Static"};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
