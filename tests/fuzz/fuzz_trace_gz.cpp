// SPDX-License-Identifier: Apache-2.0
// Any bytes as a gzip trace: reading ends, keeps to its limits, and what is no damaged stream gives the same through blocks of any size. The first byte chooses: as it is, or
// behind the head of a gzip stream, so that damage reaches the inflater.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unistd.h>
#include <hotpath/trace.hpp>
#include <hotpath/trace/zlib.hpp>

namespace {
void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_trace_gz: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
// A file that has no name but that of its descriptor.
std::string file_of(std::string_view bytes) {
  static std::FILE* f = nullptr;
  if (f != nullptr) std::fclose(f);
  f = std::tmpfile();
  require(f != nullptr && std::fwrite(bytes.data(), 1, bytes.size(), f) == bytes.size() && std::fflush(f) == 0, "no temporary file");
  return "/proc/self/fd/" + std::to_string(fileno(f));
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hotpath;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (!bytes.empty() && bytes[0] == 'G') bytes.replace(0, 1, std::string_view("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", 10));
  const std::string path = file_of(bytes);
  const std::uint64_t most = 256 << 10;  // of text: a few bytes unpack to a thousand times as many
  const auto t = trace::read<trace::zlib>(path, {.threads = 1, .text = most});
  const auto again = trace::read<trace::zlib>(path, {.threads = 2, .chunk = 1000, .text = most});
  require(t.has_value() == again.has_value(), "chunks decide whether a file is a trace");
  if (!t) {
    require(!t.error().message().empty(), "an error without a message");
    return 0;
  }
  require(t->about.text_bytes <= most && again->about.text_bytes <= most, "more text than the limit");
  // How many bytes an inflater gives before it sees that a stream is damaged depends on the room that it was given.
  bool damaged = false;
  for (const auto& l : t->lost) damaged |= l.fault == model::trace_fault::damaged;
  if (damaged || t->about.text_bytes == most) return 0;  // nor does it look behind the limit, where the checksum may be
  require(t->about.text_bytes == again->about.text_bytes, "chunks change the text");
  require(t->about.events == again->about.events && t->gpu.size() == again->gpu.size() && t->lost.size() == again->lost.size(), "chunks change the timeline");
  require(t->about.file_bytes == bytes.size(), "the size of the file");
  char head[256];
  require(trace::zlib::head(bytes, head, sizeof head) <= sizeof head, "more than there is room for");
  return 0;
}
