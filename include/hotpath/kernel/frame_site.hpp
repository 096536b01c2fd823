// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/frame_site.hpp - Python frames as the profiler names them: how much one says of where a kernel comes from, and how it is shown.
//
//     kernel::frame_priority("/x/python/sglang/srt/models/qwen3.py(507): forward");   // 300: the framework's own code
//     kernel::frame_location("/x/python/sglang/srt/models/qwen3.py(507): forward");   // "python/sglang/srt/models/qwen3.py:507 forward"
//
//   The rules are rows of data/frames.inc. Pure functions; any bytes; nothing throws.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// > 200: a framework's own code; 1 to 200: other code; 0 and less: machinery and noise, never shown as a place.
int frame_priority(std::string_view frame);

// "path:line function" with the path cut to what is the same on every machine: from the framework's or package's folder on, else without the home
// folder in front. A text of another form ("nn.Module: Qwen3MLP_0") comes back as it is.
std::string frame_location(std::string_view frame);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/frame_site-inl.hpp>
#endif
