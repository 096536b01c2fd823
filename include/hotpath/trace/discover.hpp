// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/discover.hpp - the traces of a folder: which files are traces, of which rank and stage, and why the others are not taken.
//
//     auto d = trace::discover("profiles/", {.inflate = trace::zlib::head});       // a file or a folder
//     for (const auto& t : d->traces) read(t.path);                                // newest per stage and rank, prefill before decode
//     for (const auto& s : d->skipped) std::printf("%s: %s\n", s.path.c_str(), s.reason.c_str());
//
//   What a file is, its rank and world size are told by its first 64 KiB; names are the fallback. At most 100,000 entries and 8 levels of folders are
//   looked at; links to folders are not followed. Time: one open and one read per candidate. Thread safety: none needed, no state.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/file_name.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

// A file that holds a trace. Ordered by stage (prefill, decode, mixed, verify, draft, all), then rank, then path.
struct found_trace {
  std::string path = {};
  model::trace_format format = model::trace_format::none;  // none: compressed and not looked into; the name says that it is one
  std::optional<int> rank = {}, world_size = {};
  bool rank_from_name = false;
  model::stage label = model::stage::all;                  // as the name says
  std::string capture = {};                                 // of a graph capture: "capture_32_FULL", or "" with is_capture when only the name tells
  bool is_capture = false;
  std::int64_t modified_ns = 0;                            // since 1970
  std::uint64_t bytes = 0;
  bool unsure = false;                                     // JSON whose first bytes do not tell whether it is a trace; taken where no other file is one
};

struct skipped_file {
  std::string path, reason;                                // reason: "older than X, same stage and rank", "zstd: decompress it first"
};

struct discovery {
  std::string folder;                                      // the one that the traces were taken from
  std::vector<found_trace> traces;                         // to analyse
  std::vector<found_trace> captures;                       // of graphs: to join with, by path
  std::string server_args;                                 // path of server_args.json beside them or one or two folders above; "" none
  std::vector<skipped_file> skipped;                       // by path
};

struct discover_options {
  // Writes what the first bytes of a gzip file unpack to, at most `room`; the number of bytes. Without one, a .gz is judged by its name.
  std::size_t (*inflate)(std::string_view packed, char* out, std::size_t room) = nullptr;
  std::optional<int> rank = {};                            // keep only this one; the others are in `skipped`
  bool all_files = false;                                  // keep older files of a stage and rank, too
};

inline constexpr std::size_t sniff_bytes = 64 << 10;

// What the first bytes of a file (unpacked) say. `reason` is set when it is no trace that can be read: a sentence that says what to do.
struct sniffed {
  model::trace_format format = model::trace_format::none;
  std::optional<int> rank, world_size;
  std::string capture;
  std::string reason;
  bool unsure = false;       // JSON that does not end in these bytes, without traceEvents in them: perhaps a trace
};
sniffed sniff(std::string_view head);

// A file is taken as it is, whatever its name. Errors: not_found, unreadable; empty when no file is a trace (the message says what was skipped).
result<discovery> discover(const std::string& path, const discover_options& o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/discover-inl.hpp>
#endif
