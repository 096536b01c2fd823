// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/write_chrome.hpp - a timeline as Chrome trace JSON in the shape of torch's profiler (Kineto): Perfetto, chrome://tracing, the tools that
// read torch traces, and our own reader take it.
//
//     auto keep = [&](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(); };
//     auto w = trace::write_chrome(timeline, keep);                      // result<written>
//
//   Times are microseconds with three decimals, made from integers: no nanosecond is lost, whatever the reader's number type (times that a double
//   would round are moved to begin at 0; `baseTimeNanoseconds` and `otherData` tell by how much). Names are escaped; ill-formed UTF-8 becomes U+FFFD.
//   Complete events (ph X) with cat kernel, gpu_memcpy, gpu_memset, cuda_runtime, cuda_driver, cpu_op, python_function, user_annotation (NVTX ranges
//   too), gpu_user_annotation, cuda_sync; metadata of processes and threads; one ac2g flow from launch to GPU event. Several processes are told apart by
//   their pids, as in files that SGLang merged: "[TP03] 4711" is pid 4711 of rank 3.
//   Cost: O(n log n) for flows, else O(n); 64 KiB and 12 bytes per launch of memory, and 32 to 64 per API call while launches are found. Thread safety: reads the timeline only.
#pragma once
#include <cstdint>
#include <hotpath/core/result.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/sink.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

struct written {
  std::uint64_t events = 0;      // of the timeline that are in the file
  std::uint64_t flows = 0;       // links from a launch to a GPU event
  std::uint64_t left_out = 0;    // events that the format cannot show; 0 for Chrome JSON
  std::uint64_t bytes = 0;
  nanoseconds base{};            // taken off all times
};

struct chrome_options {
  bool flows = true;
};

// An empty timeline gives a valid file without events. Errors: io when the sink refuses.
result<written> write_chrome(const model::timeline& t, byte_sink sink, chrome_options o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/write_chrome-inl.hpp>
#endif
