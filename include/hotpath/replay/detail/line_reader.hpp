// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/detail/line_reader.hpp - the lines of a regular file, in bounded memory, as often as wanted.
//   The file is read up to the size that it had when it was opened: one that grows meanwhile has an end all the same.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::replay::detail {

class line_reader {
 public:
  struct line {
    std::string_view text;     // without its line end (LF or CRLF); valid until the next call; empty if over_limit
    std::uint64_t number = 0;  // from 1
    bool over_limit = false;
  };

  line_reader() = default;
  line_reader(line_reader&& other) noexcept;
  line_reader& operator=(line_reader&& other) noexcept;
  ~line_reader();

  // Only regular files, without waiting for anything. Errors: not_found, unreadable, unsupported (compressed, UTF-16), io.
  static result<line_reader> open(const std::string& path, std::size_t line_limit);

  // False: the end.
  result<bool> next(line& out);
  result<void> rewind();

  std::uint64_t size() const { return size_; }   // of the file when it was opened
  bool shrunk() const { return shrunk_; }        // it ended before that size
  char first_byte() const { return first_byte_; }  // after a byte order mark and white space; 0: none in the first 4 KiB

 private:
  result<void> look_at_begin();
  result<bool> fill();

  int fd_ = -1;
  bool shrunk_ = false;
  char first_byte_ = 0;
  std::uint64_t size_ = 0, read_ = 0, number_ = 0;
  std::size_t limit_ = 0, at_ = 0, end_ = 0;
  std::string path_, buffer_;
  std::string long_;  // a line longer than what was left of the buffer
};

}  // namespace hotpath::inline HOTPATH_ABI::replay::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/detail/line_reader-inl.hpp>
#endif
