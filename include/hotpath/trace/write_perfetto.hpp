// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/write_perfetto.hpp - a timeline as a native Perfetto trace (protobuf): ui.perfetto.dev opens it, nanoseconds are exact, and it is a
// fraction of the size of JSON.
//
//     auto keep = [&](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(); };
//     auto w = trace::write_perfetto(timeline, keep);                    // result<written>; the timeline is sorted
//
//   A track per thread (API calls, operators, Python frames, annotations nest in it), per device a track per stream, beside it one for GPU annotations
//   and one for synchronizations. Slices of a track that overlap without nesting get lanes of their own ("stream 7 lane 2"), at most 64; kernels
//   never nest. A flow leads from each launch to each of its kernels. Categories and arguments are as in Chrome JSON.
//   Names are interned; ill-formed UTF-8 becomes U+FFFD. Where the Unix time is known, a clock snapshot tells it.
//   Cost: O(n log n); 12 bytes per GPU event and 24 per launch, and 32 to 64 per API call while launches are found. Thread safety: reads the timeline only.
#pragma once
#include <hotpath/trace/write_chrome.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

struct perfetto_options {
  bool flows = true;
  bool arguments = true;   // correlation, grid, bytes ...: about half of the file
};

// An empty timeline gives a file with its processes and no slice. Errors: usage when the timeline is not in the order of sort(), io when the sink refuses.
result<written> write_perfetto(const model::timeline& t, byte_sink sink, perfetto_options o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/write_perfetto-inl.hpp>
#endif
