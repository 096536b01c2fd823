// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/detail/line_reader-inl.hpp - bodies of replay/detail/line_reader.hpp
#pragma once
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <hotpath/replay/detail/line_reader.hpp>

namespace hotpath::inline HOTPATH_ABI::replay::detail {

inline error file_error(errc code, const std::string& path, std::string what, std::string hint = {}) {
  return {.code = code, .detail = std::move(what), .source = path, .hint = std::move(hint)};
}

HOTPATH_FN line_reader::line_reader(line_reader&& other) noexcept { *this = std::move(other); }
HOTPATH_FN line_reader& line_reader::operator=(line_reader&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  std::swap(long_, other.long_);
  std::swap(path_, other.path_);
  shrunk_ = other.shrunk_, first_byte_ = other.first_byte_;
  size_ = other.size_, read_ = other.read_, number_ = other.number_;
  limit_ = other.limit_, at_ = other.at_, end_ = other.end_;
  return *this;
}
HOTPATH_FN line_reader::~line_reader() {
  if (fd_ >= 0) ::close(fd_);
}

HOTPATH_FN result<line_reader> line_reader::open(const std::string& path, std::size_t line_limit) {
  line_reader r;
  r.path_ = path;
  r.limit_ = line_limit;
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  do r.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (r.fd_ < 0 && errno == EINTR);
  if (r.fd_ < 0) {
    const int e = errno;
    return file_error(e == ENOENT || e == ENOTDIR ? errc::not_found : errc::unreadable, path, std::strerror(e));
  }
  struct stat s;
  if (::fstat(r.fd_, &s) != 0) return file_error(errc::io, path, std::strerror(errno));
  if (S_ISDIR(s.st_mode)) return file_error(errc::unreadable, path, "is a directory", "want a file");
  if (!S_ISREG(s.st_mode)) {
    return file_error(errc::unreadable, path, S_ISFIFO(s.st_mode) ? "is a pipe" : "is not a regular file",
                      "a workload may be read more than once: write it to a file first");
  }
  r.size_ = static_cast<std::uint64_t>(s.st_size);
  r.buffer_.resize(static_cast<std::size_t>((std::min<std::uint64_t>)((std::max<std::uint64_t>)(r.size_, 1), 256 << 10)));
  if (auto ok = r.look_at_begin(); !ok) return ok.error();
  return r;
}

// What is not lines of UTF-8 text is known by its first bytes, never by its name.
HOTPATH_FN result<void> line_reader::look_at_begin() {
  struct magic { std::string_view bytes, name, hint; };
  using namespace std::string_view_literals;
  static constexpr magic known[] = {
      {"\x1f\x8b"sv, "is compressed with gzip", "unpack it first: gzip -dk"},
      {"\x28\xb5\x2f\xfd"sv, "is compressed with zstd", "unpack it first: zstd -dk"},
      {"\xfd" "7zXZ\0"sv, "is compressed with xz", "unpack it first: xz -dk"},
      {"BZh"sv, "is compressed with bzip2", "unpack it first: bzip2 -dk"},
      {"PK\x03\x04"sv, "is a zip archive", "unpack it first: unzip"},
      {"PAR1"sv, "is a Parquet file", "write it as JSON lines first, one request per line"},
      {"\xff\xfe\0\0"sv, "is UTF-32 (little endian)", "convert it first: iconv -f UTF-32 -t UTF-8"},
      {"\0\0\xfe\xff"sv, "is UTF-32 (big endian)", "convert it first: iconv -f UTF-32 -t UTF-8"},
      {"\xff\xfe"sv, "is UTF-16 (little endian)", "convert it first: iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff"sv, "is UTF-16 (big endian)", "convert it first: iconv -f UTF-16 -t UTF-8"},
      // Without a byte order mark: ASCII and NUL take turns.
      {"{\0"sv, "is UTF-16 (little endian)", "convert it first: iconv -f UTF-16LE -t UTF-8"},
      {"\0{"sv, "is UTF-16 (big endian)", "convert it first: iconv -f UTF-16BE -t UTF-8"},
  };
  auto more = fill();
  if (!more) return more.error();
  std::string_view text = std::string_view(buffer_).substr(0, (std::min<std::size_t>)(end_, 4096));
  for (const magic& m : known) {
    if (text.starts_with(m.bytes)) return file_error(errc::unsupported, path_, std::string(m.name), std::string(m.hint));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::size_t i = text.find_first_not_of(" \t\r\n");
  first_byte_ = i == std::string_view::npos ? '\0' : text[i];
  return {};
}

HOTPATH_FN result<bool> line_reader::fill() {
  at_ = end_ = 0;
  const auto want = static_cast<std::size_t>((std::min<std::uint64_t>)(buffer_.size(), size_ - read_));
  if (want == 0) return false;
  ssize_t n = 0;
  do n = ::read(fd_, buffer_.data(), want);
  while (n < 0 && errno == EINTR);
  if (n < 0) return file_error(errc::io, path_, std::strerror(errno));
  if (n == 0) {
    shrunk_ = true;
    size_ = read_;
    return false;
  }
  end_ = static_cast<std::size_t>(n);
  read_ += end_;
  return true;
}

HOTPATH_FN result<bool> line_reader::next(line& out) {
  // The buffer of one huge line is not kept for the rest of the file.
  if (long_.capacity() > buffer_.size()) std::string().swap(long_);
  long_.clear();
  bool any = false, skipping = false, whole = false;  // whole: the line lies in the buffer
  while (!whole) {
    if (at_ == end_) {
      auto more = fill();
      if (!more) return more.error();
      if (!*more && !any) return false;
      if (!*more) break;  // the last line has no line end
    }
    any = true;
    const char* const begin = buffer_.data() + at_;
    const void* const lf = std::memchr(begin, '\n', end_ - at_);
    const std::size_t n = lf != nullptr ? static_cast<std::size_t>(static_cast<const char*>(lf) - begin) : end_ - at_;
    at_ += n + (lf != nullptr ? 1 : 0);
    skipping = skipping || n > limit_ - (std::min)(limit_, long_.size());
    whole = lf != nullptr && long_.empty() && !skipping;
    if (whole) out.text = std::string_view(begin, n);
    else if (skipping) std::string().swap(long_);
    else long_.append(begin, n);
    if (lf != nullptr) break;
  }
  if (!whole) out.text = long_;
  if (out.text.ends_with('\r')) out.text.remove_suffix(1);
  out.over_limit = skipping;
  out.number = ++number_;
  if (out.number == 1 && out.text.starts_with("\xef\xbb\xbf")) out.text.remove_prefix(3);
  return true;
}

HOTPATH_FN result<void> line_reader::rewind() {
  if (::lseek(fd_, 0, SEEK_SET) < 0) return file_error(errc::io, path_, std::strerror(errno));
  read_ = number_ = 0;
  at_ = end_ = 0;
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::replay::detail
