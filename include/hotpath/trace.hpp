// SPDX-License-Identifier: Apache-2.0
// hotpath/trace.hpp - opens a trace of torch.profiler (Kineto / Chrome JSON), plain or gzip, as a timeline.
//
//     #include <hotpath/trace.hpp>
//     #include <hotpath/trace/zlib.hpp>                                // or trace/isal.hpp: gzip files need an inflater
//     auto t = hotpath::trace::read<hotpath::trace::zlib>("rank0.pt.trace.json.gz");
//     if (!t) { std::fputs(t.error().message().c_str(), stderr); return 3; }
//     for (const model::gpu_event& e : t->gpu) use(t->name(e.name), e.begin, e.duration);
//     return t->partial() ? 5 : 0;                                     // t->lost says what was lost, why and where
//
//   What a file is, its first bytes tell. Damaged files give what can be read, with the loss counted; an error means that there was nothing to read:
//   no such file, not a trace, no list of events (the keys that are there are named). nsys exports: trace/nsys_sqlite.hpp.
//   Memory: a few chunks of text (read_options::chunk) and the timeline. Threads: read_options::threads; the outcome does not depend on it.
//   Thread safety: calls are independent.
#pragma once
#include <string>
#include <hotpath/trace/discover.hpp>
#include <hotpath/trace/merge.hpp>
#include <hotpath/trace/repair.hpp>
#include <hotpath/trace/scan.hpp>
#include <hotpath/trace/slice.hpp>
#include <hotpath/trace/torch.hpp>
#include <hotpath/trace/write_chrome.hpp>
#include <hotpath/trace/write_perfetto.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

template <class Inflater = plain>
result<model::timeline> read(const std::string& path, const read_options& options = {}) {
  text_file<Inflater> file;
  if (auto opened = file.open(path); !opened) return opened.error();
  auto t = read_source(file.source(), path, options);
  if (file.file().failed()) return *file.file().failed();
  if (!t) return t;
  t->about.file_bytes = file.file().size();
  for (const model::trace_loss& l : file.lost()) {
    // Why the text ended early, in front of where.
    for (model::trace_loss& had : t->lost)
      if (had.fault == l.fault) had.note.insert(0, std::string(l.note).append("; "));
    t->count(l.fault, l.first_byte, l.note, l.count);
  }
  return t;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
