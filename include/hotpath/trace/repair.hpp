// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/repair.hpp - a truncated or damaged torch trace as a complete, valid one, with everything in it that was readable.
//
//     auto keep = [&](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(); };
//     auto r = trace::repair<trace::zlib>("killed.json.gz", keep);
//     if (r && r->lost()) std::puts("something was lost: see r->about.lost");
//
//   Events keep their text (arguments and all); strings with control characters, halves of surrogate pairs or ill-formed UTF-8 are mended; events that
//   are no JSON are left out and counted; the list and the document are closed. The result is plain text, accepted by every strict JSON reader. It says of
//   itself what is missing (the root's member "hotpath"), so that a report on it is no better than one on the damaged file.
//   Errors: those of trace::scan (nothing to read); io when the sink refuses. Memory: a chunk of text, the text before and behind the events.
#pragma once
#include <cstdint>
#include <string>
#include <hotpath/trace/detail/raw_events.hpp>
#include <hotpath/trace/scan.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

struct repaired {
  scanned about;                       // what was wrong: about.lost
  std::uint64_t kept = 0;              // events in the new file
  std::uint64_t cleaned = 0;           // of them, with text that had to be mended
  std::uint64_t dropped = 0;           // events that could not be made JSON
  std::uint64_t bytes = 0;             // of the new file
  bool closed = false;                 // the end of the document had to be made
  bool lost_around = false;            // text before or behind the events was no JSON and was replaced
  // Events or other content of the old file are missing from the new one.
  bool lost() const {
    for (const model::trace_loss& l : about.lost)
      if (l.fault != model::trace_fault::repaired_text) return true;
    return dropped != 0 || lost_around;
  }
};

template <class Inflater = plain>
result<repaired> repair(const std::string& path, byte_sink sink, const read_options& options = {}) {
  struct {
    detail::raw_writer out;
    void before(std::string_view text) { out.before(text); }
    void event(const event_view& e) { out.event(e.raw); }
    void after(std::string_view text) { out.after(text); }
  } copy{detail::raw_writer(sink)};
  auto s = scan<Inflater>(path, copy, options);
  if (!s) return s.error();
  if (!copy.out.finish(s->lost)) return error{.code = errc::io, .detail = "the repaired trace could not be written"};
  return repaired{std::move(*s), copy.out.kept, copy.out.cleaned, copy.out.dropped, copy.out.bytes, copy.out.closed, copy.out.lost_before || copy.out.lost_after};
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
