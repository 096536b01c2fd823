// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/source-inl.hpp - bodies of source.hpp.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cstring>
#include <hotpath/trace/source.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

HOTPATH_FN file_kind kind_of(std::string_view t) {
  if (t.empty()) return file_kind::empty;
  if (t.starts_with("\x1f\x8b")) return file_kind::gzip;
  if (t.starts_with("\x28\xb5\x2f\xfd")) return file_kind::zstd;
  if (t.starts_with("PK\x03\x04")) return file_kind::zip;
  if (t.starts_with("SQLite format 3")) return file_kind::sqlite;
  if (t.starts_with("\xEF\xBB\xBF")) t.remove_prefix(3);
  while (!t.empty() && detail::is_white(t.front())) t.remove_prefix(1);
  if (t.empty()) return file_kind::json;  // white space only: the reader says what is missing
  return t.front() == '{' || t.front() == '[' ? file_kind::json : file_kind::binary;
}

HOTPATH_FN error refusal(file_kind kind, std::string_view path) {
  error e{.code = errc::unsupported, .detail = {}, .source = std::string(path)};
  switch (kind) {
    case file_kind::empty:
      e.code = errc::empty;
      e.detail = "the file is empty";
      e.hint = "the profiler may still be writing it, or was killed before it wrote";
      break;
    case file_kind::gzip: e.detail = "this is a gzip file, and no inflater was given", e.hint = "read<trace::zlib>(path) or read<trace::isal>(path), or gunzip it first"; break;
    case file_kind::zstd: e.detail = "this is a Zstandard file, want JSON or gzip", e.hint = "unpack it first: zstd -d FILE"; break;
    case file_kind::zip: e.detail = "this is a ZIP archive, want JSON or gzip", e.hint = "unpack it first: unzip FILE"; break;
    case file_kind::sqlite: e.detail = "this is an SQLite database, not a JSON trace", e.hint = "an nsys export is read by trace::nsys_sqlite::read (trace/nsys_sqlite.hpp)"; break;
    default:
      if (path.ends_with(".nsys-rep") || path.ends_with(".qdrep")) {
        e.detail = "this is a report of Nsight Systems in its own format";
        e.hint = std::string("export it first: nsys export --type sqlite ").append(path);
      } else {
        e.code = errc::malformed;
        e.detail = "this is no trace: it begins with neither '{' nor '[', and is neither gzip nor an SQLite database";
        e.hint = "want the JSON of torch.profiler, plain or gzip";
      }
  }
  return e;
}

HOTPATH_FN file_blocks::~file_blocks() {
  if (fd_ >= 0) ::close(fd_);
}

HOTPATH_FN result<void> file_blocks::open(const std::string& path) {
  path_ = path;
  do fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  while (fd_ < 0 && errno == EINTR);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    const int why = errno;
    return error{.code = why == ENOENT ? errc::not_found : errc::unreadable, .detail = std::string("cannot be read: ").append(std::strerror(why)), .source = path};
  }
  if (S_ISDIR(info.st_mode)) return error{.code = errc::unreadable, .detail = "this is a folder, want a file", .source = path};
  size_ = info.st_size > 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
  block_.resize(256 << 10);
  at = end = block_.data();
  return {};
}

HOTPATH_FN std::size_t file_blocks::read(char* to, std::size_t room) {
  if (failed_) return 0;
  before_ += static_cast<std::uint64_t>(end - block_.data());
  at = end = block_.data();
  ssize_t n = 0;
  do n = ::read(fd_, to, room);
  while (n < 0 && errno == EINTR);
  if (n < 0) {
    failed_ = error{.code = errc::io, .detail = std::string("reading failed: ").append(std::strerror(errno)), .source = path_, .byte = before_, .has_byte = true};
    return 0;
  }
  if (to != block_.data()) before_ += static_cast<std::uint64_t>(n);
  return static_cast<std::size_t>(n);
}

HOTPATH_FN bool file_blocks::next() {
  const std::size_t n = read(block_.data(), block_.size());
  end = block_.data() + n;
  return n != 0;
}

namespace detail {

// Behind `{` at p comes a key that events have.
inline bool begins_event(std::string_view t, std::size_t p) {
  constexpr std::string_view keys[] = {"ph", "name", "cat", "ts", "pid", "tid", "dur", "args", "bp", "s"};
  std::size_t q = p + 1;
  while (q < t.size() && is_white(t[q])) ++q;
  if (q >= t.size() || t[q] != '"') return false;
  const std::string_view rest = t.substr(q + 1);
  for (const std::string_view k : keys)
    if (rest.size() > k.size() && rest[k.size()] == '"' && rest.starts_with(k)) return true;
  return false;
}

// Before `{` at p comes `},`.
inline bool follows_event(std::string_view t, std::size_t p) {
  const auto back = [&](char c) {
    while (p != 0 && is_white(t[p - 1])) --p;
    return p != 0 && t[--p] == c;
  };
  return back(',') && back('}');
}

}  // namespace detail

HOTPATH_FN std::size_t event_start_after(std::string_view t, std::size_t from) {
  for (std::size_t p = t.find('{', from); p != std::string_view::npos; p = t.find('{', p + 1))
    if (detail::begins_event(t, p) && detail::follows_event(t, p)) return p;
  return t.size();
}

HOTPATH_FN std::size_t last_event_start(std::string_view t) {
  for (std::size_t end = t.size(); end != 0;) {
    const void* const at = ::memrchr(t.data(), '{', end);
    if (at == nullptr) break;
    const auto p = static_cast<std::size_t>(static_cast<const char*>(at) - t.data());
    if (p != 0 && detail::begins_event(t, p) && detail::follows_event(t, p)) return p;
    end = p;
  }
  return t.size();
}

HOTPATH_FN bool chunker::fill(text_chunk& c) {
  if (ended_) return false;
  const std::size_t want = (std::max)((std::max)(options_.chunk, std::size_t{64}), carried_.size() + 64);
  if (c.bytes.size() < want) c.bytes.resize(want);
  if (!carried_.empty()) std::memcpy(c.bytes.data(), carried_.data(), carried_.size());
  c.size = carried_.size();
  c.offset = offset_;
  c.at_event = at_event_;
  carried_.clear();
  while (c.size < c.bytes.size()) {
    const std::size_t n = source_.read(source_.self, c.bytes.data() + c.size, c.bytes.size() - c.size);
    c.size += n;
    if (n == 0) ended_ = true;
    if (c.offset + c.size > options_.text) {
      c.size = static_cast<std::size_t>(options_.text - c.offset);
      ended_ = over_limit_ = true;
    }
    if (ended_) break;
  }
  c.last = ended_;
  if (!ended_) {
    const std::size_t cut = last_event_start(c.text());
    at_event_ = cut != c.size;
    carried_.assign(c.bytes.data() + cut, c.size - cut);
    c.size = cut;
  }
  offset_ += c.size;
  return true;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
