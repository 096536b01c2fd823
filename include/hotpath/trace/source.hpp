// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/source.hpp - the bytes of a trace file, plain or gzip, as a stream of text; and what kind of file it is, told by content.
//
//     trace::text_file<trace::zlib> file;                              // trace::plain: no inflater
//     if (auto opened = file.open("rank0.json.gz"); !opened) return opened.error();
//     while (std::size_t n = file.read(buffer, sizeof buffer)) use({buffer, n});
//     file.lost();                                                     // a cut or damaged gzip stream, a wrong checksum
//
//   An inflater is a type (trace/zlib.hpp, trace/isal.hpp): this header names no library. Thread safety: one thread at a time.
#pragma once
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/name_table.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {
constexpr bool is_white(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
}  // namespace detail

// What reading a trace may cost, and how it goes on.
struct read_options {
  bool strict = false;                  // refuse what is not JSON; else keep what can be kept, and count the rest
  unsigned threads = 0;                 // 0: two where the machine has two processors; 1: all in the calling thread; at most 8
  std::size_t chunk = 256 << 10;        // bytes of text that are parsed at once, 64 at least
  std::size_t value = 64u << 20;        // most bytes of one event or one member of the root
  std::uint64_t text = 1ull << 40;      // most bytes of text, after inflating
  name_table::limits names = {};
  void (*progress)(void* context, std::uint64_t done, std::uint64_t total) = nullptr;  // bytes of the file; one thread at a time, a few times per MiB; must not throw
  void* context = nullptr;
};

enum class file_kind : std::uint8_t { empty, json, gzip, zstd, zip, sqlite, binary };
// Of the first bytes of a file; 16 are enough but for white space before JSON.
file_kind kind_of(std::string_view first_bytes);
// What to do about a file that is no Kineto JSON, as an error; `path` is shown.
error refusal(file_kind kind, std::string_view path);

// Where text comes from, for functions that are no templates.
struct byte_source {
  void* self = nullptr;
  std::size_t (*read)(void* self, char* to, std::size_t room) = nullptr;   // 0: the end, or a failure
  std::uint64_t (*done)(void* self) = nullptr;                             // bytes of the file so far
  std::uint64_t total = 0;                                                 // bytes of the file
};

enum class inflate_state : std::uint8_t { more, member_end, bad_checksum, bad_data };  // more: wants input, or room for output

// inflate() moves both pointers on. bad_checksum ends a member too. restart() makes ready for the next member of the same file.
template <class T>
concept inflater = requires(T t, const char*& in, const char* in_end, char*& out, char* out_end) {
  { t.inflate(in, in_end, out, out_end) } -> std::same_as<inflate_state>;
  t.restart();
};
struct plain {};                       // no inflater: gzip files are an error that says so

// A file read in blocks.
class file_blocks {
 public:
  file_blocks() = default;
  file_blocks(const file_blocks&) = delete;
  file_blocks& operator=(const file_blocks&) = delete;
  ~file_blocks();
  result<void> open(const std::string& path);
  // Replaces the block; false at the end and after an error.
  bool next();
  // When the block is used up: the next bytes of the file, beside it. 0 at the end and after an error.
  std::size_t read(char* to, std::size_t room);
  const char *at = nullptr, *end = nullptr;   // what is left of the block
  std::uint64_t offset() const { return before_ + static_cast<std::uint64_t>(at - block_.data()); }
  std::uint64_t size() const { return size_; }
  const std::optional<error>& failed() const { return failed_; }

 private:
  int fd_ = -1;
  std::string path_;
  std::vector<char> block_;
  std::uint64_t before_ = 0, size_ = 0;
  std::optional<error> failed_;
};

template <class Inflater>
class text_file {
 public:
  // Opens, looks at the first bytes, and refuses what is no text and no gzip (or gzip without an inflater).
  result<void> open(const std::string& path) {
    if (auto opened = file_.open(path); !opened) return opened;
    file_.next();
    if (file_.failed()) return *file_.failed();
    const file_kind kind = kind_of({file_.at, static_cast<std::size_t>(file_.end - file_.at)});
    gzip_ = kind == file_kind::gzip;
    if (kind == file_kind::json || (inflater<Inflater> && gzip_)) return {};
    return refusal(kind, path);
  }

  std::size_t read(char* to, std::size_t room) {
    if (gzip_) {
      if constexpr (inflater<Inflater>) return inflate(to, room);
    }
    if (file_.at == file_.end) return file_.read(to, room);
    const std::size_t n = (std::min)(room, static_cast<std::size_t>(file_.end - file_.at));
    __builtin_memcpy(to, file_.at, n);
    file_.at += n;
    return n;
  }

  bool gzip() const { return gzip_; }
  const file_blocks& file() const { return file_; }
  const std::vector<model::trace_loss>& lost() const { return lost_; }
  byte_source source() {
    return {this, [](void* self, char* to, std::size_t room) { return static_cast<text_file*>(self)->read(to, room); },
            [](void* self) { return static_cast<text_file*>(self)->file_.offset(); }, file_.size()};
  }

 private:
  void lose(model::trace_fault fault, std::string_view what) {
    std::string note(what);
    note.append(" at byte ").append(std::to_string(file_.offset())).append(" of the compressed file");
    lost_.push_back({fault, 1, std::nullopt, std::move(note)});
  }

  std::size_t inflate(char* to, std::size_t room) {
    char* out = to;
    while (out == to && !ended_) {
      if (file_.at == file_.end && !file_.next()) {
        const char* none = file_.end;
        if (in_member_) inflater_.inflate(none, none, out, to + room);  // what it still holds for want of room
        if (out != to) break;
        ended_ = true;
        if (in_member_ && !file_.failed()) lose(model::trace_fault::truncated, "the gzip stream ends early,");
        break;
      }
      if (!in_member_ && !next_member()) break;
      const char* const before = file_.at;
      const inflate_state s = inflater_.inflate(file_.at, file_.end, out, to + room);
      if (s == inflate_state::bad_data || (s == inflate_state::more && file_.at == before && out == to)) {
        lose(model::trace_fault::damaged, "the gzip stream is damaged: text after this place was lost,");
        ended_ = true;
      } else if (s != inflate_state::more) {
        if (s == inflate_state::bad_checksum) lose(model::trace_fault::bad_checksum, "the gzip checksum is wrong: the text was kept, unverified,");
        in_member_ = false;
        first_ = false;
      }
    }
    return static_cast<std::size_t>(out - to);
  }

  // Behind a member: another one, or zeros up to the end (tar and tapes pad so), or something that is no gzip.
  bool next_member() {
    if (!first_) {
      while (file_.at != file_.end && *file_.at == '\0') ++file_.at;
      if (file_.at == file_.end) return true;  // the caller's loop gets the next block
      if (*file_.at != '\x1f') {
        lose(model::trace_fault::damaged, "something that is not gzip follows the gzip stream,");
        ended_ = true;
        return false;
      }
      inflater_.restart();
    }
    in_member_ = true;
    return true;
  }

  file_blocks file_;
  [[no_unique_address]] Inflater inflater_;
  std::vector<model::trace_loss> lost_;
  bool gzip_ = false, in_member_ = false, first_ = true, ended_ = false;
};

// Where `text` may be cut so that an event begins there: between `},` and `{"ph"` (or another key of an event). Looks from `from` on, or
// backwards from the end. text.size(): nowhere. A guess that holds for JSON unless objects with such keys stand in an array within an event.
std::size_t event_start_after(std::string_view text, std::size_t from);
std::size_t last_event_start(std::string_view text);

// Cuts a source into chunks that begin and end between events, as far as that can be guessed.
struct text_chunk {
  std::vector<char> bytes;              // capacity; the text is the first `size`
  std::size_t size = 0;
  std::uint64_t offset = 0;             // of the first byte in the text
  bool at_event = false;                // guessed: begins with an event
  bool last = false;
  std::string_view text() const { return {bytes.data(), size}; }
};
class chunker {
 public:
  chunker(byte_source source, const read_options& options) : source_(source), options_(options) {}
  // False: the last chunk was given already.
  bool fill(text_chunk& c);
  bool over_limit() const { return over_limit_; }

 private:
  byte_source source_;
  read_options options_;
  std::string carried_;                 // behind the last cut
  std::uint64_t offset_ = 0;
  bool at_event_ = false, ended_ = false, over_limit_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/source-inl.hpp>
#endif
