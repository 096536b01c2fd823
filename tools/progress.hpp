// SPDX-License-Identifier: Apache-2.0
// tools/progress.hpp - long files: a bar on a terminal while they are read, Ctrl-C at any moment, and the readers that this build has.
//
//     progress bar(path);
//     auto t = read_trace(path, &bar);            // torch JSON, gzip, nsys SQLite: as its first bytes tell
#pragma once
#include <cstdint>
#include <string>
#include <hotpath/model/timeline.hpp>
#include <hotpath/report/terminal.hpp>
#include <hotpath/trace/source.hpp>
#ifdef HOTPATH_HAS_ISAL
#include <hotpath/trace/isal.hpp>
#elif defined(HOTPATH_HAS_ZLIB)
#include <hotpath/trace/zlib.hpp>
#endif
#include "cli.hpp"

namespace tools {

#ifdef HOTPATH_HAS_ISAL
using inflater = hotpath::trace::isal;
#elif defined(HOTPATH_HAS_ZLIB)
using inflater = hotpath::trace::zlib;
#else
using inflater = hotpath::trace::plain;
#endif

// What the first bytes of a gzip file unpack to, for trace::discover; none in a build without an inflater.
#if defined(HOTPATH_HAS_ISAL) || defined(HOTPATH_HAS_ZLIB)
inline constexpr auto head_of = inflater::head;
#else
inline constexpr std::size_t (*head_of)(std::string_view, char*, std::size_t) = nullptr;
#endif

struct interrupted {};                             // thrown by progress::check() after Ctrl-C

// Bytes, share, rate and time left, on stderr, ten times a second, of files from 8 MiB on; nothing where stderr is no terminal.
// From its beginning to its end SIGINT is noticed: a second one ends the process as usual. One at a time.
class progress {
 public:
  explicit progress(std::string what);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress();
  // For read_options: calls come from any thread, one at a time. After Ctrl-C the bar goes and the process ends with 130: no file of ours is open.
  void into(hotpath::trace::read_options& o);
  // The same while a file of ours is being written: it goes on, and who writes calls check().
  void into_writing(hotpath::trace::read_options& o);
  static void check();                             // throws interrupted
  void clear();

 private:
  static void tell(void* self, std::uint64_t done, std::uint64_t total);
  void draw(std::uint64_t done, std::uint64_t total);

  std::string what_;
  hotpath::nanoseconds begun_, drawn_;
  hotpath::report::screen screen_{2};
  bool ends_ = true;
};
// How a bar looks: `width` columns.
std::string progress_line(std::string_view what, std::uint64_t done, std::uint64_t total, hotpath::nanoseconds elapsed, std::size_t width, bool ascii);

bool is_nsys(const std::string& path);             // a SQLite database, or a file of Nsight's own format
hotpath::result<hotpath::model::timeline> read_trace(const std::string& path, progress* bar = nullptr);

}  // namespace tools
