// SPDX-License-Identifier: Apache-2.0
// hotpath 0.1.0: torch.profiler traces: read, slice, merge, repair, write, in one header.
//   Made by single_include/amalgamate.py from include/hotpath/trace.hpp; do not edit. C++20, Linux, no library but the standard one.
#pragma once
#ifdef HOTPATH_SINGLE_HEADER
#error "one single header per unit: hotpath.hpp holds all of the others"
#endif
#define HOTPATH_SINGLE_HEADER 1
#if defined(HOTPATH_HEADER_ONLY) && !HOTPATH_HEADER_ONLY
#error "the single header holds the bodies; hotpath::compiled goes with the headers of include/"
#endif
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <errno.h>
#include <exception>
#include <fcntl.h>
#include <iterator>
#include <limits>
#include <optional>
#include <pthread.h>
#include <span>
#include <stdint.h>
#include <string>
#include <string.h>
#include <string_view>
#include <sys/stat.h>
#include <time.h>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

// ---- hotpath/trace.hpp
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
// ---- hotpath/trace/discover.hpp
// hotpath/trace/discover.hpp - the traces of a folder: which files are traces, of which rank and stage, and why the others are not taken.
//
//     auto d = trace::discover("profiles/", {.inflate = trace::zlib::head});       // a file or a folder
//     for (const auto& t : d->traces) read(t.path);                                // newest per stage and rank, prefill before decode
//     for (const auto& s : d->skipped) std::printf("%s: %s\n", s.path.c_str(), s.reason.c_str());
//
//   What a file is, its rank and world size are told by its first 64 KiB; names are the fallback. At most 100,000 entries and 8 levels of folders are
//   looked at; links to folders are not followed. Time: one open and one read per candidate. Thread safety: none needed, no state.
// ---- hotpath/core/result.hpp
// hotpath/core/result.hpp - a value or an error that reads like a compiler's: what, where, what was expected, what to do.
//   Member names are those of std::expected, so that an alias can replace this one day (GCC 12 has none).
//
//     hotpath::result<int> n = parse(text);
//     if (!n) { std::fputs(n.error().message().c_str(), stderr); return 3; }   // "load.jsonl:7:12: max_tokens is -5; want 1 or more"
//     use(*n);                                                                // checked by HOTPATH_ASSERT
//     use(n.value());                                                         // throws hotpath::exception (or asserts and ends)
//
//   Thread safety: as any value. Allocation: only the strings of an error.
// ---- hotpath/config.hpp
// hotpath/config.hpp - every HOTPATH_* macro, with its default and the reason to change it.
//   HOTPATH_CONFIG_FILE   a header of yours, in quotes or angle brackets, included first: the place for the settings below.
//   HOTPATH_HEADER_ONLY   1 (default): bodies are inline. 0: bodies come from the library hotpath::compiled, whose CMake
//                         target sets this for you. The two do not mix in one program: a link error says so (see HOTPATH_ABI).
//   HOTPATH_ASSERT(c)     programming errors. Default: assert from <assert.h>.
//   HOTPATH_NO_EXCEPTIONS detected: 1 under -fno-exceptions. Nothing in hotpath needs exceptions.
//   HOTPATH_HAS_X         set by the CMake component X; never changes a body or a layout in a header without X in its name.

#ifdef HOTPATH_CONFIG_FILE
#include HOTPATH_CONFIG_FILE
#endif
// ---- hotpath/version.hpp
// hotpath/version.hpp - the one place that holds the version. CMake, the single headers and `hotpath version` read it here.

// major * 10000 + minor * 100 + patch. No leading zero: that would be octal.
#define HOTPATH_VERSION 100
#define HOTPATH_VERSION_STRING "0.1.0"
// ---- hotpath/config.hpp

#ifndef HOTPATH_HEADER_ONLY
#define HOTPATH_HEADER_ONLY 1
#endif

#ifndef HOTPATH_NO_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define HOTPATH_NO_EXCEPTIONS 0
#else
#define HOTPATH_NO_EXCEPTIONS 1
#endif
#endif

#ifndef HOTPATH_ASSERT
#include <assert.h>
#define HOTPATH_ASSERT(condition) assert(condition)
#endif

// The inline namespace carries what must not differ within one program: a type handed from a header-only unit to a compiled
// one, or across -fno-exceptions, is then an undefined symbol at link time instead of a crash at run time.
#if HOTPATH_HEADER_ONLY && !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1
#elif HOTPATH_HEADER_ONLY
#define HOTPATH_ABI v1_noexc
#elif !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1_compiled
#else
#define HOTPATH_ABI v1_compiled_noexc
#endif

// Marks a function whose body lives in an -inl.hpp: inline when header-only, an ordinary function in the compiled library.
#if HOTPATH_HEADER_ONLY
#define HOTPATH_FN inline
#else
#define HOTPATH_FN
#endif
// ---- hotpath/core/result.hpp

namespace hotpath::inline HOTPATH_ABI {

// What kind of failure. Tools turn it into an exit code; embedders may switch on it.
enum class errc : std::uint8_t {
  usage,        // the caller asked for something that makes no sense
  not_found,    // no such file, host or name
  unreadable,   // there, but cannot be read or written (permission, wrong type of file, locked)
  malformed,    // bytes that do not parse
  over_limit,   // larger than a limit; the message names the limit
  unsupported,  // valid, but not in this build or version
  unreachable,  // the server cannot be reached or refused us
  io,           // the operating system failed a read or a write
  empty,        // nothing to work on
  internal,     // a defect of hotpath
};

struct error {
  errc code = errc::internal;
  std::string detail{};      // what was wrong and what was expected: "max_tokens is -5, want 1 or more"
  std::string source{};      // file, or URL without credentials; may be empty
  std::uint64_t line = 0;    // from 1; 0 = not by line
  std::uint64_t column = 0;  // from 1, in bytes; 0 = unknown
  std::uint64_t byte = 0;    // offset from 0, used when `line` is 0 and `has_byte`
  bool has_byte = false;
  std::string hint{};        // what to do about it; may be empty. The {}: fields may be left out of a designated initializer

  // "source:line:column: detail; hint", one line, with the parts that are known.
  std::string message() const {
    std::string m = source;
    if (line != 0) {
      m.append(m.empty() ? "line " : ":").append(std::to_string(line));  // no +: g++ 12 warns of it at -O3 (its bug 105651)
      if (column != 0) m.append(":").append(std::to_string(column));
    } else if (has_byte) {
      m.append(m.empty() ? "byte " : ":byte ").append(std::to_string(byte));
    }
    if (!m.empty()) m += ": ";
    m += detail;
    if (!hint.empty()) m += "; " + hint;
    return m;
  }
};

#if !HOTPATH_NO_EXCEPTIONS
class exception : public std::exception {
 public:
  explicit exception(const hotpath::error& e) : error_(e), text_(e.message()) {}
  const char* what() const noexcept override { return text_.c_str(); }
  const hotpath::error& error() const noexcept { return error_; }

 private:
  hotpath::error error_;
  std::string text_;
};
#endif

namespace detail {
[[noreturn]] inline void no_value([[maybe_unused]] const error& e) {
#if !HOTPATH_NO_EXCEPTIONS
  throw exception(e);
#else
  HOTPATH_ASSERT(false && "result::value() of an error");
  std::abort();
#endif
}
}  // namespace detail

template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(hotpath::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & noexcept { HOTPATH_ASSERT(has_value()); return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { HOTPATH_ASSERT(has_value()); return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { HOTPATH_ASSERT(has_value()); return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { HOTPATH_ASSERT(has_value()); return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { HOTPATH_ASSERT(has_value()); return std::get_if<0>(&state_); }

  T& value() & { if (!has_value()) detail::no_value(error()); return **this; }
  const T& value() const& { if (!has_value()) detail::no_value(error()); return **this; }
  T&& value() && { if (!has_value()) detail::no_value(error()); return std::move(**this); }
  T value_or(T other) const& { return has_value() ? **this : std::move(other); }

  const hotpath::error& error() const& noexcept { HOTPATH_ASSERT(!has_value()); return *std::get_if<1>(&state_); }
  hotpath::error&& error() && noexcept { HOTPATH_ASSERT(!has_value()); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, hotpath::error> state_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() = default;
  result(hotpath::error e) : error_(std::move(e)), failed_(true) {}

  bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return !failed_; }
  void value() const { if (failed_) detail::no_value(error_); }
  const hotpath::error& error() const& noexcept { HOTPATH_ASSERT(failed_); return error_; }
  hotpath::error&& error() && noexcept { HOTPATH_ASSERT(failed_); return std::move(error_); }

 private:
  hotpath::error error_;
  bool failed_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/model/timeline.hpp
// hotpath/model/timeline.hpp - the timeline that every trace source produces and every analyzer consumes.
//   Built by trace::read, by a live session, or by hand:
//
//     hotpath::model::timeline t;
//     t.gpu.push_back({.begin = 0_us, .duration = 12_us, .name = t.names.intern("gemm"), .stream = 7});
//     t.gpu.push_back({.begin = 15_us, .duration = 3_us, .name = t.names.intern("rms_norm"), .stream = 7});
//     t.sort();                                             // the order below, and the parents of frames
//
//   Times are nanoseconds on the trace's own clock: subtract two of them, or add `unix_offset` where there is one. A file of one process has one
//   entry in `processes`; merged files have one per process, and events of different processes are comparable only when
//   their clocks were aligned (process::clock). Ids join within one process.
//   Order after sort(): gpu, syncs by (process, device, begin); api, ops, frames, annotations by (track, begin, longer first).
//   Bytes per event: see the static_asserts. Thread safety: as a struct of vectors; reading from several threads is safe.
// ---- hotpath/core/name_table.hpp
// hotpath/core/name_table.hpp - texts that repeat, each stored once: comparing two ids is comparing two texts.
//
//     hotpath::name_table names;
//     const hotpath::name_id gemm = names.intern("gemm");   // equal text, equal id
//     names[gemm];                                          // "gemm"; the view lives as long as the table
//
//   Id 0 is the empty text. Limits bound what a hostile file can cost: a longer text is cut, a text beyond the number of distinct
//   ones becomes the id of `beyond_limit`; both are counted.
//   Cost: 20 to 30 ns per intern of a known name; 28 to 40 bytes per distinct text beside its bytes. Thread safety: none for intern.
// ---- hotpath/core/name_table.hpp

namespace hotpath::inline HOTPATH_ABI {

using name_id = std::uint32_t;

class name_table {
 public:
  struct limits {
    std::size_t bytes = 64 << 10;        // of one text
    std::size_t distinct = 1'000'000;
  };
  static constexpr std::string_view beyond_limit = "(more names than the limit)";

  name_table();
  explicit name_table(limits l);
  name_table(const name_table& o);
  name_table(name_table&& o) noexcept;   // `o` is empty then, and may be used
  name_table& operator=(name_table o) noexcept;

  name_id intern(std::string_view text) { return intern(text, hash(text)); }
  // The same in two steps, for who has other work to do between them: the memory that the second needs is fetched meanwhile.
  //     const std::uint64_t h = names.expect(text); ... names.intern(text, h);
  std::uint64_t expect(std::string_view text) const {
    const std::uint64_t h = hash(text);
    const std::uint32_t there = places_[static_cast<std::size_t>(h) & (places_.size() - 1)];
    if (there == 0 || hashes_[there - 1] != h) return h;
    const char* const p = texts_[there - 1].data();
    for (std::size_t i = 0; i < text.size() && i < 512; i += 64) __builtin_prefetch(p + i);
    return h;
  }
  name_id intern(std::string_view text, std::uint64_t hash);
  // The id of a text that was interned, else 0 (which is also the id of "").
  name_id find(std::string_view text) const;
  std::string_view operator[](name_id id) const {
    HOTPATH_ASSERT(id < texts_.size());
    return texts_[id];
  }
  std::size_t size() const { return texts_.size(); }  // ids are 0 .. size() - 1
  std::uint64_t cut() const { return cut_; }          // calls whose text was longer than the limit
  std::uint64_t refused() const { return refused_; }  // calls that got the id of beyond_limit

 private:
  static std::uint64_t hash(std::string_view text) noexcept;
  std::uint32_t& place(std::string_view text, std::uint64_t h);
  std::string_view keep(std::string_view text);
  void grow();

  limits limits_;
  std::vector<std::string> blocks_;       // the bytes; a block never moves its bytes
  std::vector<std::string_view> texts_;
  std::vector<std::uint64_t> hashes_;     // of each text: most comparisons end there
  std::vector<std::uint32_t> places_;     // open addressing, id + 1; a power of two, at most half full
  std::uint64_t cut_ = 0, refused_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/name_table-inl.hpp
// hotpath/core/name_table-inl.hpp - bodies of name_table.hpp.
// ---- hotpath/core/detail/id_index.hpp
// hotpath/core/detail/id_index.hpp - from ids and contents to small numbers. Not for users.
//   id_index: 64-bit ids, in groups: launches by (process, correlation); 32 to 64 bytes an id. id_map: one group, for ids that come in runs.
//   row_index: rows that somebody else keeps, by what is in them; 8 to 16 bytes a row. All are open addressing, at most half full, and grow by themselves.
// ---- hotpath/core/detail/id_index.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

// A hash of several numbers, one after the other, the first of them as `h` or behind a constant. Multiplied and folded (as wyhash does): no pattern of
// small numbers, such as two that are equal, gives one hash. It has no seed: who searches for colliding ids finds some, and makes a file slow to read, not
// wrong.
inline std::uint64_t mix(std::uint64_t h, std::uint64_t v) {
  __extension__ const auto product = static_cast<unsigned __int128>(h ^ 0x9e3779b97f4a7c15u) * (v ^ 0xd6e8feb86659fd93u);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64) ^ (h << 32 | h >> 32);   // h again: the v that makes the product 0 hides nothing
}

// A hash of an id that leaves ids that are counted up side by side, so that looking them up in order stays in the cache.
inline std::uint64_t id_hash(std::uint32_t group, std::uint64_t id) {
  return mix(group, id >> 4) << 4 | (id & 15);
}

class id_index {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;
  explicit id_index(std::size_t expected = 0) { rehash(expected * 2); }
  // The number under the key, which is `value` (not `none`) when the key is new; it may be changed until the next call.
  std::uint32_t& insert(std::uint32_t group, std::uint64_t id, std::uint32_t value, bool* fresh = nullptr) {
    if ((used_ + 1) * 2 > slots_.size()) rehash(slots_.size() * 2);
    slot& s = slots_[place(group, id)];
    const bool is_new = s.value == none;
    if (is_new) s = {id, group, value}, ++used_;
    if (fresh != nullptr) *fresh = is_new;
    return s.value;
  }
  // Keys numbered from 0 in the order of their first use, so that arrays can be kept by key.
  std::uint32_t number(std::uint64_t id) { return insert(0, id, static_cast<std::uint32_t>(used_)); }
  std::uint32_t find(std::uint32_t group, std::uint64_t id) const { return slots_[place(group, id)].value; }
  std::size_t size() const { return used_; }

 private:
  struct slot {
    std::uint64_t id = 0;
    std::uint32_t group = 0, value = none;   // none: free
  };
  std::size_t place(std::uint32_t group, std::uint64_t id) const {
    std::size_t i = static_cast<std::size_t>(id_hash(group, id)) & (slots_.size() - 1);
    while (slots_[i].value != none && (slots_[i].id != id || slots_[i].group != group)) i = (i + 1) & (slots_.size() - 1);
    return i;
  }
  void rehash(std::size_t want) {
    std::size_t n = 16;
    while (n < want) n *= 2;
    std::vector<slot> old(n);
    old.swap(slots_);
    used_ = 0;
    for (const slot& s : old)
      if (s.value != none) slots_[place(s.group, s.id)] = s, ++used_;
  }
  std::vector<slot> slots_;
  std::size_t used_ = 0;
};

class row_index {
 public:
  static constexpr std::uint32_t none = id_index::none;
  // The row with the hash for which same(row) is true; else `row`, which is now found by the hash. hash_of(row): of one that is there already.
  // An equal row may take its place, until the next call.
  template <class Same, class HashOf>
  std::uint32_t& insert(std::uint64_t hash, std::uint32_t row, Same same, HashOf hash_of) {
    if ((used_ + 1) * 2 > places_.size()) {
      std::vector<std::uint32_t> old(places_.empty() ? 64 : places_.size() * 2, none);
      old.swap(places_);
      for (const std::uint32_t r : old)
        if (r != none) place(hash_of(r), [](std::uint32_t) { return false; }) = r;
    }
    std::uint32_t& at = place(hash, same);
    if (at == none) at = row, ++used_;
    return at;
  }
  // none: there is no such row.
  template <class Same>
  std::uint32_t find(std::uint64_t hash, Same same) const {
    return places_.empty() ? none : const_cast<row_index*>(this)->place(hash, same);   // place() only looks
  }
  void clear() { places_.clear(), used_ = 0; }

 private:
  template <class Same>
  std::uint32_t& place(std::uint64_t hash, Same same) {
    for (std::size_t i = static_cast<std::size_t>(hash);; ++i)
      if (std::uint32_t& at = places_[i & (places_.size() - 1)]; at == none || same(at)) return at;
  }
  std::vector<std::uint32_t> places_;   // none: free
  std::size_t used_ = 0;
};

// One group, for ids that come in runs: 1 ns for the same id again.
class id_map {
 public:
  // The number of `key`, valid until the next call; nullptr: it has none yet.
  const std::uint32_t* find(std::int64_t key) {
    if (last_ == id_index::none || last_key_ != key) last_key_ = key, last_ = index_.find(0, static_cast<std::uint64_t>(key));
    return last_ != id_index::none ? &last_ : nullptr;
  }
  // value: below 2^32 - 1. A key has one number for good.
  void add(std::int64_t key, std::uint32_t value) { index_.insert(0, static_cast<std::uint64_t>(key), value); }

 private:
  id_index index_;
  std::int64_t last_key_ = 0;
  std::uint32_t last_ = id_index::none;
};

}  // namespace hotpath::inline HOTPATH_ABI::detail
// ---- hotpath/core/name_table-inl.hpp

namespace hotpath::inline HOTPATH_ABI {

HOTPATH_FN name_table::name_table() : name_table(limits{}) {}
HOTPATH_FN name_table::name_table(limits l) : limits_(l) {
  places_.assign(64, 0);
  intern({});
}
HOTPATH_FN name_table::name_table(const name_table& o) : name_table(o.limits_) {
  for (const std::string_view t : o.texts_) intern(t);  // ids are given in order, so they stay the same
  cut_ = o.cut_, refused_ = o.refused_;
}
HOTPATH_FN name_table::name_table(name_table&& o) noexcept : name_table(o.limits_) {
  blocks_.swap(o.blocks_), texts_.swap(o.texts_), hashes_.swap(o.hashes_), places_.swap(o.places_);
  std::swap(cut_, o.cut_), std::swap(refused_, o.refused_);
}
HOTPATH_FN name_table& name_table::operator=(name_table o) noexcept {
  std::swap(limits_, o.limits_), blocks_.swap(o.blocks_), texts_.swap(o.texts_), hashes_.swap(o.hashes_), places_.swap(o.places_);
  cut_ = o.cut_, refused_ = o.refused_;
  return *this;
}

// Sixteen bytes at a time, multiplied and folded; keys are names of a trace, not secrets, and the table is bounded.
HOTPATH_FN std::uint64_t name_table::hash(std::string_view text) noexcept {
  const char* p = text.data();
  const std::size_t n = text.size();
  std::uint64_t h = n;
  const auto mix = [&h](std::uint64_t a, std::uint64_t b) { h = detail::mix(h ^ a, b); };
  const auto load = [](const char* at) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
  };
  if (n >= 16) {
    const char* const last = p + n - 16;  // the last sixteen overlap: no copy of a few bytes, which would be a call
    for (; p < last; p += 16) mix(load(p), load(p + 8));
    mix(load(last), load(last + 8));
  } else if (n >= 8) {
    mix(load(p), load(p + n - 8));
  } else {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < n; ++i) word = word << 8 | static_cast<unsigned char>(p[i]);
    mix(word, 0);
  }
  return h;
}

HOTPATH_FN std::uint32_t& name_table::place(std::string_view text, std::uint64_t h) {
  const std::size_t mask = places_.size() - 1;
  for (std::size_t i = static_cast<std::size_t>(h) & mask;; i = (i + 1) & mask) {
    const std::uint32_t there = places_[i];
    if (there == 0 || (hashes_[there - 1] == h && texts_[there - 1] == text)) return places_[i];
  }
}

HOTPATH_FN name_id name_table::intern(std::string_view text, std::uint64_t h) {
  if (text.size() > limits_.bytes) text = text.substr(0, limits_.bytes), h = hash(text), ++cut_;
  std::uint32_t* at = &place(text, h);
  if (*at != 0) return *at - 1;
  if (texts_.size() > limits_.distinct && text != beyond_limit.substr(0, limits_.bytes)) {
    ++refused_;
    return intern(beyond_limit);
  }
  if (2 * (texts_.size() + 1) > places_.size()) {
    grow();
    at = &place(text, h);
  }
  texts_.push_back(keep(text));
  hashes_.push_back(h);
  *at = static_cast<std::uint32_t>(texts_.size());
  return *at - 1;
}

HOTPATH_FN name_id name_table::find(std::string_view text) const {
  if (text.size() > limits_.bytes) text = text.substr(0, limits_.bytes);
  const std::uint32_t there = const_cast<name_table*>(this)->place(text, hash(text));  // place() only looks
  return there != 0 ? there - 1 : 0;
}

HOTPATH_FN std::string_view name_table::keep(std::string_view text) {
  constexpr std::size_t block = 64 << 10;
  if (text.empty()) return {};
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < text.size()) {
    blocks_.emplace_back();
    blocks_.back().reserve(text.size() > block / 4 ? text.size() + 32 : block);  // + 32: never within the string object itself
  }
  std::string& into = blocks_.back();
  const std::size_t begin = into.size();
  into.append(text);
  return {into.data() + begin, text.size()};
}

HOTPATH_FN void name_table::grow() {
  places_.assign(places_.size() * 2, 0);
  for (std::uint32_t id = 0; id < texts_.size(); ++id) place(texts_[id], hashes_[id]) = id + 1;
}

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/rows.hpp
// hotpath/core/rows.hpp - one contiguous array of plain structs that grows without copying: what holds millions of events.
//   std::vector doubles by copying, so that its peak is twice its content; realloc moves pages of large blocks instead (mremap).
//
//     hotpath::rows<event> all;
//     all.push_back({.begin = t});
//     std::span<const event> view = all;
//
//   T must be trivially copyable. Out of memory ends the program (HOTPATH_ASSERT, then abort): there is no half-grown array.
//   Thread safety: as a vector.
// ---- hotpath/core/rows.hpp

namespace hotpath::inline HOTPATH_ABI {

template <class T>
class rows {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(std::max_align_t));

 public:
  using value_type = T;
  rows() = default;
  rows(const rows& o) { append(o); }
  rows(rows&& o) noexcept : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)), capacity_(std::exchange(o.capacity_, 0)) {}
  rows& operator=(rows o) noexcept {
    std::swap(data_, o.data_), std::swap(size_, o.size_), std::swap(capacity_, o.capacity_);
    return *this;
  }
  ~rows() { std::free(data_); }

  void push_back(const T& row) {
    const T copy = row;  // it may lie in this array
    if (size_ == capacity_) reserve(capacity_ < 16 ? 16 : capacity_ + capacity_ / 2);
    std::memcpy(static_cast<void*>(data_ + size_++), static_cast<const void*>(&copy), sizeof(T));
  }
  void append(std::span<const T> more) {
    if (more.empty()) return;
    if (const std::size_t want = size_ + more.size(); want > capacity_) {
      const std::size_t by_half = capacity_ + capacity_ / 2, room = want > by_half ? want : by_half;
      if (more.data() >= data_ && more.data() < data_ + size_) {  // of this array, which growing would move away
        rows grown;
        grown.reserve(room), grown.append(*this), grown.append(more);
        return void(*this = std::move(grown));
      }
      reserve(room);
    }
    std::memcpy(static_cast<void*>(data_ + size_), static_cast<const void*>(more.data()), more.size() * sizeof(T));
    size_ += more.size();
  }
  void reserve(std::size_t n) {
    if (n <= capacity_) return;
    void* const p = n > SIZE_MAX / sizeof(T) ? nullptr : std::realloc(static_cast<void*>(data_), n * sizeof(T));
    if (p == nullptr) {
      HOTPATH_ASSERT(false && "out of memory");
      std::abort();
    }
    data_ = static_cast<T*>(p), capacity_ = n;
  }
  // Keeps the first n. Larger n is an error of the caller.
  void truncate(std::size_t n) {
    HOTPATH_ASSERT(n <= size_);
    size_ = n;
  }
  void clear() { size_ = 0; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) { HOTPATH_ASSERT(i < size_); return data_[i]; }
  const T& operator[](std::size_t i) const { HOTPATH_ASSERT(i < size_); return data_[i]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/time.hpp
// hotpath/core/time.hpp - nanoseconds, the one unit of time, and the two clocks.
//   Points in time are nanoseconds since an anchor that the owner of the value names (a run's origin, a clock's epoch).
//   Light on purpose (no <chrono>: 31,600 preprocessed lines): scopes include this.
//
//     hotpath::nanoseconds limit = 500_ms;          // using namespace hotpath::literals
//     double shown = limit.ms();                    // 500.0
// ---- hotpath/core/time.hpp

namespace hotpath::inline HOTPATH_ABI {

struct nanoseconds {
  int64_t ns = 0;

  constexpr nanoseconds() = default;
  constexpr explicit nanoseconds(int64_t n) : ns(n) {}

  constexpr int64_t count() const { return ns; }
  constexpr double us() const { return static_cast<double>(ns) / 1e3; }
  constexpr double ms() const { return static_cast<double>(ns) / 1e6; }
  constexpr double s() const { return static_cast<double>(ns) / 1e9; }

  static constexpr nanoseconds from_us(int64_t us) { return nanoseconds{us * 1000}; }
  static constexpr nanoseconds from_ms(int64_t ms) { return nanoseconds{ms * 1'000'000}; }
  // Rounds to the nearest nanosecond; values beyond +-292 years are clamped, NaN is 0.
  static constexpr nanoseconds from_s(double s) {
    const double n = s * 1e9;
    if (n >= 9.2e18) return nanoseconds{INT64_MAX};
    if (n <= -9.2e18) return nanoseconds{INT64_MIN};
    return nanoseconds{n != n ? 0 : static_cast<int64_t>(n + (n < 0 ? -0.5 : 0.5))};
  }

  // Sums, differences and products beyond +-292 years stay there: what a hostile file says is wrong, but never undefined.
  constexpr nanoseconds operator-() const { return nanoseconds{} - *this; }
  constexpr nanoseconds& operator+=(nanoseconds o) { return *this = *this + o; }
  constexpr nanoseconds& operator-=(nanoseconds o) { return *this = *this - o; }
  friend constexpr nanoseconds operator+(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_add_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MIN : INT64_MAX};
  }
  friend constexpr nanoseconds operator-(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_sub_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MAX : INT64_MIN};
  }
  friend constexpr nanoseconds operator*(nanoseconds a, int64_t k) {
    nanoseconds r;
    return !__builtin_mul_overflow(a.ns, k, &r.ns) ? r : nanoseconds{(a.ns < 0) != (k < 0) ? INT64_MIN : INT64_MAX};
  }
  friend constexpr nanoseconds operator/(nanoseconds a, int64_t k) { return nanoseconds{a.ns / k}; }
  // Spelled out, not `<=>`: <compare> would be six times the weight of this header.
  friend constexpr bool operator==(nanoseconds a, nanoseconds b) { return a.ns == b.ns; }
  friend constexpr bool operator!=(nanoseconds a, nanoseconds b) { return a.ns != b.ns; }
  friend constexpr bool operator<(nanoseconds a, nanoseconds b) { return a.ns < b.ns; }
  friend constexpr bool operator>(nanoseconds a, nanoseconds b) { return a.ns > b.ns; }
  friend constexpr bool operator<=(nanoseconds a, nanoseconds b) { return a.ns <= b.ns; }
  friend constexpr bool operator>=(nanoseconds a, nanoseconds b) { return a.ns >= b.ns; }
};

inline namespace literals {
constexpr nanoseconds operator""_ns(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n)}; }
constexpr nanoseconds operator""_us(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1000}; }
constexpr nanoseconds operator""_ms(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000}; }
constexpr nanoseconds operator""_s(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000'000}; }
}  // namespace literals

namespace detail {
inline nanoseconds read_clock(clockid_t id) noexcept {
  timespec t;
  clock_gettime(id, &t);
  return nanoseconds{static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec};
}
}  // namespace detail

// CLOCK_MONOTONIC: never steps. Every duration in hotpath is a difference of two of these. About 20 ns a call (vDSO).
inline nanoseconds monotonic_now() noexcept { return detail::read_clock(CLOCK_MONOTONIC); }
// CLOCK_REALTIME, nanoseconds since 1970. It may step at any moment: an anchor for people, never an operand of a duration.
inline nanoseconds realtime_now() noexcept { return detail::read_clock(CLOCK_REALTIME); }

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/model/loss.hpp
// hotpath/model/loss.hpp - what was lost, counted by cause. A result with loss is partial, never ok.
// ---- hotpath/model/loss.hpp

namespace hotpath::inline HOTPATH_ABI::model {

struct loss {
  std::uint64_t dropped = 0;     // a bounded queue or ring was full
  std::uint64_t truncated = 0;   // cut off: by the end of a file, by a peer
  std::uint64_t malformed = 0;   // did not parse
  std::uint64_t over_limit = 0;  // larger than a limit
  std::uint64_t late = 0;        // came after the moment it was for

  constexpr std::uint64_t total() const { return dropped + truncated + malformed + over_limit + late; }
  constexpr explicit operator bool() const { return total() != 0; }
  constexpr loss& operator+=(const loss& o) {
    dropped += o.dropped, truncated += o.truncated, malformed += o.malformed, over_limit += o.over_limit, late += o.late;
    return *this;
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/timeline.hpp

namespace hotpath::inline HOTPATH_ABI::model {

inline constexpr std::uint64_t no_id = UINT64_MAX;     // an absent correlation or External id; 0 is a valid one
inline constexpr std::uint32_t no_index = UINT32_MAX;  // an absent index, stream or graph

enum class gpu_kind : std::uint8_t { kernel, copy, set, graph };  // copy, set: memcpy, memset; graph: one row for all kernels of a graph launch

// Work on a device.
struct gpu_event {
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id;   // the API call that launched it has the same; all kernels of one graph launch share one
  std::uint64_t external = no_id;      // the cpu_op that it belongs to has the same
  name_id name = 0;
  std::uint32_t stream = no_index;
  std::uint32_t detail = 0;            // in timeline::details; 0: none
  std::uint32_t graph = no_index, graph_node = no_index;
  std::uint32_t track = no_index;      // where the file puts it (pid, tid)
  std::uint16_t process = 0;           // in timeline::processes
  std::uint16_t device = 0;            // ordinal as the file gives it
  gpu_kind kind = gpu_kind::kernel;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(gpu_event) == 64);

// Where work of a GPU stands in line: process, device and stream; in a trace that tells no streams, the track.
template <class E>
constexpr std::uint64_t lane_of(const E& e) {
  return std::uint64_t{e.process} << 48 | std::uint64_t{e.device} << 32 | (e.stream != no_index ? e.stream : e.track | 1u << 31);
}

// What few events of a trace differ in: interned, so that an event pays four bytes for it.
struct gpu_detail {
  std::uint32_t grid[3] = {}, block[3] = {};        // 0: not told
  std::uint32_t registers = 0;                      // per thread
  std::uint32_t shared_bytes = 0;                   // static and dynamic, per block
  float occupancy = -1;                             // estimated, 0 to 1; < 0: not told
  name_id collective = 0;                           // "allreduce", as the trace names it
  name_id group = 0;                                // process group
  name_id dtype = 0;
  std::uint64_t bytes = 0;                          // copied or set; of a collective: elements in, see dtype
  std::uint32_t group_size = 0;
  std::uint8_t copy_kind = 0;                       // CUPTI's: 1 HtoD, 2 DtoH, 8 DtoD, 10 PtoP, 0 not told
  std::uint8_t source_memory = 0, target_memory = 0;  // CUPTI's memory kinds; 1 pageable, 2 pinned, 3 device, 0 not told
  bool operator==(const gpu_detail&) const = default;
};

// A call of the runtime's or driver's API (cudaLaunchKernel, hipGraphLaunch, cudaStreamSynchronize, ...).
struct api_call {
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id, external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;
  name_id kernel = 0;                  // of a launch that tells it (HIP), also while a graph is captured; 0: not told
  std::uint32_t detail = 0;            // grid and block, where told

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(api_call) == 48);

struct cpu_op {                        // an operator of the framework: aten::mm, vllm::unified_attention
  nanoseconds begin{}, duration{};
  std::uint64_t external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(cpu_op) == 32);

struct frame {                         // a Python call: "path(line): function"
  nanoseconds begin{}, duration{};
  name_id name = 0;
  std::uint32_t track = no_index;
  std::uint32_t parent = no_index;     // in timeline::frames: the innermost frame of the same track around it
  std::uint32_t reserved = 0;

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(frame) == 32);

enum class annotation_kind : std::uint8_t { user, gpu_user, push_pop, start_end, mark };  // the last three: NVTX

struct annotation {                    // what the program says it does: engine steps, ProfilerStep#3, NVTX ranges
  nanoseconds begin{}, duration{};     // a mark, or a range that was never closed, has duration 0
  std::uint64_t external = no_id;
  name_id name = 0;
  std::uint32_t track = no_index;
  name_id domain = 0;                  // NVTX
  std::uint32_t stream = no_index;     // gpu_user
  annotation_kind kind = annotation_kind::user;
  bool open = false;                   // never closed

  nanoseconds end() const { return begin + duration; }
};
static_assert(sizeof(annotation) == 48);

struct sync_event {                    // a synchronization as the device's side records it (cat cuda_sync): not work
  nanoseconds begin{}, duration{};
  std::uint64_t correlation = no_id;
  std::uint64_t waits_for = no_id;     // correlation of the event record that a stream wait waits for
  name_id name = 0;                    // "Stream Wait Event", "Context Sync", ...
  std::uint32_t stream = no_index, waits_for_stream = no_index;
  std::uint32_t track = no_index;
  std::uint16_t process = 0, device = 0;

  nanoseconds end() const { return begin + duration; }
};

struct track {                         // one (pid, tid) of the file, both kept as text: they may be numbers or words
  name_id pid = 0, tid = 0;
  name_id name = 0;                    // thread_name; "" if none
  std::uint16_t process = 0;
};

enum class clock_kind : std::uint8_t { own, unix_time, aligned };  // aligned: shifted onto the clock of processes[0] on request

struct process {
  name_id pid = 0, name = 0, label = 0;     // of the host process; label: process_labels
  std::optional<int> rank;                  // from the trace, else from the file's name
  bool rank_from_name = false;
  std::string source;                       // file name without its folder
  clock_kind clock = clock_kind::own;
  nanoseconds shift{};                      // added to this process's times when it was aligned
  std::optional<nanoseconds> unix_offset;   // add it to a time of this process: nanoseconds since 1970
};

struct device {
  std::uint16_t process = 0, ordinal = 0;
  std::string name;                         // "NVIDIA H100 80GB HBM3"; "": not told
  int compute_major = 0, compute_minor = 0, multiprocessors = 0;  // 0: not told
  std::uint64_t memory_bytes = 0;
};

// Why something of the file is not in the timeline, or is not what the file says.
enum class trace_fault : std::uint8_t {
  truncated,         // the file ends early: complete events before the end were kept
  damaged,           // syntax error: events before it were kept
  bad_checksum,      // gzip: the data was kept, unverified
  malformed_event,   // not an object, or one of its fields is of an impossible type
  no_duration, negative_duration, no_time, bad_time,  // bad_time: not a number, NaN, beyond 64-bit nanoseconds
  unmatched_begin,   // B without E: closed at the end of its parent
  unmatched_end,     // E without B: dropped
  repaired_text,     // control characters, ill-formed UTF-8, lone surrogates: kept
  long_name,         // cut to 64 KiB
  too_many_names,    // distinct names beyond the limit share one
  missing_name,      // a string id without entry: named <id N>
  duplicate_correlation,  // several API calls of one process with one id: the first is used
  missing_column,    // nsys: a column or table that this schema does not have
  unknown_process,   // an event of a process or thread that the file does not describe
};
inline constexpr std::size_t trace_fault_count = 17;
// Of the file as a whole, not of events that stand in it: what is missing is not known.
constexpr bool is_of_file(trace_fault f) { return f == trace_fault::truncated || f == trace_fault::damaged || f == trace_fault::bad_checksum; }

struct trace_loss {
  trace_fault fault = trace_fault::truncated;
  std::uint64_t count = 0;
  std::optional<std::uint64_t> first_byte;  // in the text (after decompression)
  std::string note;                         // a full sentence, where there is more to say
};

enum class trace_format : std::uint8_t { none, torch, chrome, nsys_sqlite, session };

// What the file says of itself, and what reading it showed.
struct trace_about {
  trace_format format = trace_format::none;
  std::string file;                           // as given
  std::uint64_t file_bytes = 0, text_bytes = 0;
  std::uint64_t events = 0;                   // records of the file, of any kind
  std::vector<std::pair<char, std::uint64_t>> by_phase;             // torch: ph -> count
  std::vector<std::pair<std::string, std::uint64_t>> by_category;   // torch: cat of complete events (ph X) -> count
  std::string backend;                        // distributedInfo: "nccl"
  std::optional<int> rank, world_size;
  std::string engine_hint;                    // words of the file that tell the engine; "" none
  bool with_stack = false, record_shapes = false;
  std::vector<std::pair<std::string, std::string>> more;   // other facts worth showing, such as the nsys schema version
};

struct timeline {
  name_table names;
  rows<gpu_event> gpu;
  rows<api_call> api;
  rows<cpu_op> ops;
  rows<frame> frames;
  rows<annotation> annotations;
  rows<sync_event> syncs;
  std::vector<gpu_detail> details{1};         // [0]: nothing is told
  std::vector<name_id> short_names, mangled_names;  // by the id of a kernel's name, where the file tells: its base name, its mangled name. 0 or beyond the end: not told
  std::vector<track> tracks;
  std::vector<process> processes;
  std::vector<device> devices;
  trace_about about;
  std::vector<trace_loss> lost;               // one entry per fault, in the order of the enum

  // Puts every class into its order and finds the parents of frames. O(n) when in order already, else O(n log n); no memory beside it.
  void sort();
  // Counts one more; the first offset and note stay.
  void count(trace_fault f, std::optional<std::uint64_t> byte = {}, std::string note = {}, std::uint64_t times = 1);
  loss loss_total() const;
  bool partial() const { return !lost.empty() && loss_total(); }
  std::string_view name(name_id id) const { return names[id]; }
  std::uint16_t process_of(std::uint32_t track_index) const { return track_index < tracks.size() ? tracks[track_index].process : std::uint16_t{0}; }
};

// Word for tables and JSON: "truncated", "no_duration", ...
std::string_view name_of(trace_fault f);

// What an engine did in a step, and so what its kernels were for.
enum class stage : std::uint8_t { all, prefill, decode, mixed, verify, draft };  // all: not told apart
inline constexpr std::string_view stage_names[] = {"all", "extend/prefill", "decode", "mixed", "verify", "draft"};
constexpr std::string_view name_of(stage s) { return stage_names[static_cast<std::size_t>(s)]; }

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/timeline-inl.hpp
// hotpath/model/timeline-inl.hpp - bodies of timeline.hpp.
// ---- hotpath/core/sort.hpp
// hotpath/core/sort.hpp - sorts an array in place, for headers that cannot pay for <algorithm> (25,000 preprocessed lines).
//   An array that is in order costs one pass. Else quicksort with the median of three, heapsort where that goes wrong, insertion
//   for short pieces: O(n log n) at worst, no memory. Not stable: give `less` a total order where that matters.
//
//     hotpath::sort_in_place(first, last, [](const event& a, const event& b) { return a.begin < b.begin; });
// ---- hotpath/core/sort.hpp

namespace hotpath::inline HOTPATH_ABI {

namespace detail {
template <class T, class Less>
void insertion_sort(T* first, T* last, Less& less) {
  for (T* i = first; i != last; ++i) {
    T moved = std::move(*i);
    T* to = i;
    for (; to != first && less(moved, to[-1]); --to) *to = std::move(to[-1]);
    *to = std::move(moved);
  }
}
template <class T, class Less>
void sift_down(T* a, std::size_t i, std::size_t n, Less& less) {
  for (std::size_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && less(a[child], a[child + 1])) ++child;
    if (!less(a[i], a[child])) return;
    std::swap(a[i], a[child]);
  }
}
template <class T, class Less>
void heap_sort(T* first, T* last, Less& less) {
  std::size_t n = static_cast<std::size_t>(last - first);
  for (std::size_t i = n / 2; i-- > 0;) sift_down(first, i, n, less);
  for (; n > 1; sift_down(first, 0, --n, less)) std::swap(first[0], first[n - 1]);
}
template <class T, class Less>
void quick_sort(T* first, T* last, Less& less, unsigned depth) {
  while (last - first > 24) {
    if (depth-- == 0) return heap_sort(first, last, less);
    T* const middle = first + (last - first) / 2;
    if (less(*middle, *first)) std::swap(*middle, *first);
    if (less(last[-1], *middle)) {
      std::swap(last[-1], *middle);
      if (less(*middle, *first)) std::swap(*middle, *first);
    }
    const T pivot = *middle;
    T *left = first, *right = last - 1;  // Hoare: both ends hold sentinels of the median
    while (true) {
      while (less(*left, pivot)) ++left;
      while (less(pivot, *right)) --right;
      if (left >= right) break;
      std::swap(*left++, *right--);
    }
    T* const cut = right + 1;
    if (cut - first < last - cut) {  // the shorter side by recursion: the depth stays logarithmic
      quick_sort(first, cut, less, depth);
      first = cut;
    } else {
      quick_sort(cut, last, less, depth);
      last = cut;
    }
  }
  insertion_sort(first, last, less);
}
}  // namespace detail

template <class T, class Less>
void sort_in_place(T* first, T* last, Less less) {
  bool ordered = true;
  for (T* i = first; ordered && last - i > 1; ++i) ordered = !less(i[1], i[0]);
  if (ordered) return;
  unsigned depth = 0;
  for (std::size_t n = static_cast<std::size_t>(last - first); n != 0; n /= 2) depth += 2;
  detail::quick_sort(first, last, less, depth);
}

// The same for a vector or rows.
template <class Rows, class Less>
void sort_in_place(Rows& all, Less less) {
  sort_in_place(all.data(), all.data() + all.size(), less);
}

// The first element that is not before what is sought, in an array where those before it come first; `last` if there is none.
template <class T, class Before>
T* find_first_not(T* first, T* last, Before before) {
  for (std::ptrdiff_t n = last - first; n > 0;) {
    const std::ptrdiff_t half = n / 2;
    if (before(first[half])) first += half + 1, n -= half + 1;
    else n = half;
  }
  return first;
}

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/model/timeline-inl.hpp

namespace hotpath::inline HOTPATH_ABI::model {

namespace detail {
// A process, a device, then time; the rest makes the order independent of the file's.
constexpr auto device_order = [](const auto& a, const auto& b) {
  if (a.process != b.process) return a.process < b.process;
  if (a.device != b.device) return a.device < b.device;
  if (a.begin != b.begin) return a.begin < b.begin;
  if (a.stream != b.stream) return a.stream < b.stream;
  if (a.duration != b.duration) return a.duration < b.duration;
  return a.name < b.name;
};
// Around comes before within.
constexpr auto track_order = [](const auto& a, const auto& b) {
  if (a.track != b.track) return a.track < b.track;
  if (a.begin != b.begin) return a.begin < b.begin;
  if (a.duration != b.duration) return a.duration > b.duration;
  return a.name < b.name;
};
}  // namespace detail

HOTPATH_FN void timeline::sort() {
  hotpath::sort_in_place(gpu.begin(), gpu.end(), detail::device_order);
  hotpath::sort_in_place(syncs.begin(), syncs.end(), detail::device_order);
  hotpath::sort_in_place(api.begin(), api.end(), detail::track_order);
  hotpath::sort_in_place(ops.begin(), ops.end(), detail::track_order);
  hotpath::sort_in_place(frames.begin(), frames.end(), detail::track_order);
  hotpath::sort_in_place(annotations.begin(), annotations.end(), detail::track_order);
  // The innermost frame still open is reached from the frame before by its parents: no stack beside the array.
  for (std::size_t i = 0; i < frames.size(); ++i) {
    frame& f = frames[i];
    std::uint32_t around = i != 0 && frames[i - 1].track == f.track ? static_cast<std::uint32_t>(i - 1) : no_index;
    while (around != no_index && frames[around].end() < f.end()) around = frames[around].parent;
    f.parent = around;
  }
}

HOTPATH_FN void timeline::count(trace_fault f, std::optional<std::uint64_t> byte, std::string note, std::uint64_t times) {
  if (times == 0) return;
  auto at = lost.begin();
  while (at != lost.end() && at->fault < f) ++at;
  if (at == lost.end() || at->fault != f) at = lost.insert(at, trace_loss{f, 0, byte, std::move(note)});
  at->count += times;
}

HOTPATH_FN loss timeline::loss_total() const {
  loss l;
  for (const trace_loss& t : lost) switch (t.fault) {
    case trace_fault::truncated: case trace_fault::damaged: l.truncated += t.count; break;
    case trace_fault::long_name: case trace_fault::too_many_names: l.over_limit += t.count; break;
    case trace_fault::bad_checksum: case trace_fault::malformed_event: case trace_fault::no_duration: case trace_fault::negative_duration: case trace_fault::no_time:
    case trace_fault::bad_time: case trace_fault::unmatched_begin: case trace_fault::unmatched_end: case trace_fault::missing_column: l.malformed += t.count; break;
    case trace_fault::repaired_text: case trace_fault::missing_name: case trace_fault::duplicate_correlation: case trace_fault::unknown_process: break;  // said, nothing is lost
  }
  return l;
}

HOTPATH_FN std::string_view name_of(trace_fault f) {
  constexpr std::string_view words[] = {"truncated", "damaged", "bad_checksum", "malformed_event", "no_duration", "negative_duration", "no_time", "bad_time",
    "unmatched_begin", "unmatched_end", "repaired_text", "long_name", "too_many_names", "missing_name", "duplicate_correlation", "missing_column", "unknown_process"};
  static_assert(std::size(words) == trace_fault_count);
  return words[static_cast<std::size_t>(f)];
}

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/trace/file_name.hpp
// hotpath/trace/file_name.hpp - what the name of a trace file says, for files that do not say it themselves.
//
//     trace::rank_of_name("dp0_pp0_tp1_dcp0_ep0_rank5.1769.pt.trace.json.gz");   // 5
//     trace::stage_of_name("1758513624.4-TP-0-DECODE.trace.json.gz");            // stage::decode
//
//   A name is a hint: prefer what stands in the trace. No allocation; safe from any thread.
// ---- hotpath/core/text.hpp
// hotpath/core/text.hpp - small text work that many parts need: UTF-8, bounded numbers, durations, CSV, redaction, safe printing.
//
//     auto limit = hotpath::text::parse_duration("500ms");             // result<nanoseconds>; "500" is an error: no unit
//     auto port = hotpath::text::parse_number<std::int64_t>("8080", 1, 65535);
//     log(hotpath::text::redact_url(url));                             // http://h/v1?api_key=[redacted]
//     puts(hotpath::text::printable(line_of_a_peer).c_str());          // no escape sequence reaches the terminal
//
//   Nothing here depends on the locale. Functions are free of state and safe to call from any thread; classes are not shared.
// ---- hotpath/core/text.hpp

namespace hotpath::inline HOTPATH_ABI::text {

// ---- UTF-8 ----

bool is_utf8(std::string_view bytes) noexcept;
// Each ill-formed part (maximal subpart, as browsers do) becomes U+FFFD; `count`, where given, is increased by their number.
std::string repair_utf8(std::string_view bytes, std::uint64_t* count = nullptr);
// Bytes of a peer or a file made safe for a terminal or a log line: control characters (ESC, DEL and C1 too), line separators,
// and invisible or direction-changing characters are escaped (\n, \x1b, \u202e), ill-formed UTF-8 becomes U+FFFD. At most `max`
// bytes; what is longer is cut between characters and ends with an ellipsis (3 bytes).
std::string printable(std::string_view bytes, std::size_t max = 512);

// ---- pieces; ASCII only, views into the argument ----

constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

// What stands before the first `separator`; `rest` keeps what follows it. Without a separator: all, and `rest` becomes empty.
constexpr std::string_view take(std::string_view& rest, char separator) noexcept {
  const auto i = rest.find(separator);
  const std::string_view head = rest.substr(0, i);
  rest.remove_prefix(i == std::string_view::npos ? rest.size() : i + 1);
  return head;
}

// f(std::string_view) for each piece; "a,,b" has three, "" has one (empty), "a," has two.
template <class F>
constexpr void split(std::string_view s, char separator, F&& f) {
  for (;;) {
    const auto i = s.find(separator);
    f(s.substr(0, i));
    if (i == std::string_view::npos) return;
    s.remove_prefix(i + 1);
  }
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}
constexpr bool starts_with_ignoring_case(std::string_view s, std::string_view prefix) noexcept {
  return s.size() >= prefix.size() && equal_ignoring_case(s.substr(0, prefix.size()), prefix);
}
std::string lower(std::string_view s);

// ---- numbers and durations ----

// The whole of `s` is one decimal number in range (no space, no '+', no hex, no "inf" or "nan"); else false and `out` is untouched.
bool to_number(std::string_view s, std::int64_t& out) noexcept;
bool to_number(std::string_view s, std::uint64_t& out) noexcept;
bool to_number(std::string_view s, double& out) noexcept;

// As to_number, within [lo, hi], with an error that says both: "70000" is out of range, want a whole number from 1 to 65535.
result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi);
result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi);
result<double> parse_double(std::string_view s, double lo, double hi);
template <class T>
result<T> parse_number(std::string_view s, T lo = std::numeric_limits<T>::lowest(), T hi = (std::numeric_limits<T>::max)()) {
  static_assert(std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t> || std::same_as<T, double>);
  if constexpr (std::same_as<T, double>) return parse_double(s, lo, hi);
  else if constexpr (std::is_signed_v<T>) return parse_int(s, lo, hi);
  else return parse_uint(s, lo, hi);
}

// A decimal number and a unit: ns, us, ms, s, m (or min), h; "1.5s". Rounded to the nanosecond. No unit, a sign, or more than
// 292 years is an error.
result<nanoseconds> parse_duration(std::string_view s);

// ---- CSV (RFC 4180 quoting; rows end with a line feed) ----

struct csv_options {
  char separator = ',';
  // A leading ' before text that a spreadsheet would run as a formula (= + - @ TAB CR). Off: it changes what other programs read.
  bool formula_guard = false;
};

class csv_writer {
 public:
  explicit csv_writer(std::string& out, csv_options options = {}) : out_(&out), options_(options) {}
  void field(std::string_view v);
  void field(const char* v) { field(std::string_view(v)); }
  void field(double v);  // shortest text that reads back the same; NaN and infinities: empty
  template <std::integral T>
  void field(T v) {
    if constexpr (std::same_as<T, bool>) plain(v ? "true" : "false");
    else if constexpr (std::is_signed_v<T>) whole(static_cast<std::int64_t>(v));
    else whole(static_cast<std::uint64_t>(v));
  }
  template <class T>
  void field(const std::optional<T>& v) {  // empty: an empty field
    if (v) field(*v);
    else plain({});
  }
  void end_row();

 private:
  void plain(std::string_view text);
  void whole(std::int64_t v);
  void whole(std::uint64_t v);

  std::string* out_;
  csv_options options_;
  std::size_t row_ = 0;    // bytes of this row so far
  bool first_ = true;
};

// Rows of a text that outlives the reader. Lines end with LF or CRLF; a byte order mark and empty lines are skipped.
class csv_reader {
 public:
  explicit csv_reader(std::string_view text, char separator = ',') noexcept;
  // False at the end and at an error. The fields are views into the text or into the reader, valid until the next call.
  bool next(std::vector<std::string_view>& row);
  bool ok() const noexcept { return fault_ == nullptr; }
  std::uint64_t line() const noexcept { return line_; }  // of the row read last, from 1
  hotpath::error failure(std::string_view source = {}) const;

 private:
  struct copy {
    std::size_t field, size;
  };
  bool quoted(std::vector<std::string_view>& row);
  std::size_t line_end() const noexcept;
  bool fail(const char* what, std::size_t at) noexcept;

  std::string_view text_;
  std::size_t at_ = 0, fault_at_ = 0;
  std::uint64_t line_ = 0, next_line_ = 1;
  const char* fault_ = nullptr;
  char separator_;
  std::string unquoted_;       // of this row: all fields with doubled quotes, one after the other
  std::vector<copy> copies_;   // which they are
};

// ---- secrets: taken out where text is captured, so that they are never stored ----

inline constexpr std::string_view redacted = "[redacted]";

// A header or a query key whose value is a secret: authorization, cookie, api-key, x-...-token, key, secret, password and their
// kin, in any case and with any separators. Doubtful names count as secret; max_tokens and the like do not.
bool is_secret_name(std::string_view name);
// User and password are dropped, values of secret query keys replaced.
std::string redact_url(std::string_view url);
// Each occurrence of a secret is replaced, the longest first; empty secrets are ignored.
std::string redact_text(std::string_view text, std::span<const std::string_view> secrets);

}  // namespace hotpath::inline HOTPATH_ABI::text
// ---- hotpath/core/text-inl.hpp
// hotpath/core/text-inl.hpp - bodies of core/text.hpp.
// ---- hotpath/core/detail/utf8.hpp
// hotpath/core/detail/utf8.hpp - one decoder step of UTF-8 and the two byte scans that JSON and text share. No name here is
//   for users. The scans exist twice: SSE2 (every x86-64 has it) and plain words; a test compares them byte by byte.
//   SSE2 is spelled with the compiler's vector type: <emmintrin.h> would be 2,700 preprocessed lines for three operations.
// ---- hotpath/core/detail/utf8.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

struct utf8_step {
  std::uint8_t length;  // bytes of the character; where ill-formed, of the part that one U+FFFD stands for (1 to 3)
  bool valid;
};

// Needs p < end. Well-formed is table 3-7 of the Unicode standard (no overlong form, no surrogate, nothing above U+10FFFF);
// an ill-formed part is its "maximal subpart", so that text repaired here equals what a browser or Python shows.
inline utf8_step utf8_at(const char* p, const char* end) noexcept {
  const auto byte = [&](int i) { return static_cast<unsigned char>(p[i]); };
  const auto left = end - p;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const int extra = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  unsigned low = 0x80, high = 0xBF;  // of the second byte
  if (lead == 0xE0) low = 0xA0;
  else if (lead == 0xED) high = 0x9F;
  else if (lead == 0xF0) low = 0x90;
  else if (lead == 0xF4) high = 0x8F;
  if (left < 2 || byte(1) < low || byte(1) > high) return {1, false};
  for (int i = 2; i <= extra; ++i)
    if (left <= i || (byte(i) & 0xC0) != 0x80) return {static_cast<std::uint8_t>(i), false};
  return {static_cast<std::uint8_t>(extra + 1), true};
}

inline constexpr char replacement_character[] = "\xEF\xBF\xBD";  // U+FFFD

// `c` is a scalar value: not a surrogate, at most U+10FFFF.
inline void append_utf8(std::string& out, std::uint32_t c) {
  char b[4];
  std::size_t n = 0;
  const auto put = [&](std::uint32_t v) { b[n++] = static_cast<char>(v); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
  out.append(b, n);
}

inline constexpr std::uint64_t every_byte = 0x0101010101010101u;

// First byte that is not plain inside a JSON string: a quote, a backslash, below 0x20, or not ASCII. `end` if there is none.
inline const char* plain_run_words(const char* p, const char* end) noexcept {
  constexpr std::uint64_t top = every_byte * 0x80;
  while (end - p >= 8) {
    std::uint64_t w;
    std::memcpy(&w, p, 8);
    const std::uint64_t quote = w ^ every_byte * '"', slash = w ^ every_byte * '\\';
    // x - 1 borrows into the top bit where a byte is 0; false alarms only cost a look at single bytes.
    if (((w | (w - every_byte * 0x20) | (quote - every_byte) | (slash - every_byte)) & top) != 0) break;
    p += 8;
  }
  for (; p != end; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
  }
  return p;
}

// First byte that is not ASCII, or `end`.
inline const char* ascii_run_words(const char* p, const char* end) noexcept {
  while (end - p >= 8) {
    std::uint64_t w;
    std::memcpy(&w, p, 8);
    if ((w & every_byte * 0x80) != 0) break;
    p += 8;
  }
  while (p != end && static_cast<unsigned char>(*p) < 0x80) ++p;
  return p;
}

#ifdef __SSE2__
using bytes16 = signed char __attribute__((vector_size(16)));

inline bytes16 load16(const char* p) noexcept {
  bytes16 v;
  std::memcpy(&v, p, 16);
  return v;
}

// The top bit of each byte, the first byte's lowest.
inline unsigned top_bits(bytes16 v) noexcept {
  using chars16 = char __attribute__((vector_size(16)));
  return static_cast<unsigned>(__builtin_ia32_pmovmskb128(reinterpret_cast<chars16>(v)));
}

inline const char* plain_run(const char* p, const char* end) noexcept {
  for (; end - p >= 16; p += 16) {
    const bytes16 v = load16(p);
    // Signed: a byte that is not ASCII is negative, so "below 0x20" finds it too.
    const unsigned stop = top_bits(bytes16((v < 0x20) | (v == '"') | (v == '\\')));
    if (stop != 0) return p + __builtin_ctz(stop);
  }
  return plain_run_words(p, end);
}

inline const char* ascii_run(const char* p, const char* end) noexcept {
  for (; end - p >= 16; p += 16) {
    const unsigned stop = top_bits(load16(p));
    if (stop != 0) return p + __builtin_ctz(stop);
  }
  return ascii_run_words(p, end);
}
#else
inline const char* plain_run(const char* p, const char* end) noexcept { return plain_run_words(p, end); }
inline const char* ascii_run(const char* p, const char* end) noexcept { return ascii_run_words(p, end); }
#endif

}  // namespace hotpath::inline HOTPATH_ABI::detail
// ---- hotpath/core/text-inl.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

template <class T>
std::string_view number_text(T v, char (&buffer)[32]) noexcept {
  const char* const stop = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return {buffer, static_cast<std::size_t>(stop - buffer)};
}

// invalid_argument: no number, or something behind it.
template <class T>
std::errc whole_number(std::string_view s, T& out) noexcept {
  // from_chars would also take "inf" and "nan".
  const std::size_t first = !s.empty() && s.front() == '-' ? 1 : 0;
  if (first == s.size() || (!text::is_digit(s[first]) && s[first] != '.')) return std::errc::invalid_argument;
  T v{};
  const auto [stop, ec] = std::from_chars(s.data() + (std::unsigned_integral<T> ? first : 0), s.data() + s.size(), v);
  if (ec == std::errc::invalid_argument || stop != s.data() + s.size()) return std::errc::invalid_argument;
  if (ec == std::errc() && std::unsigned_integral<T> && first == 1) return std::errc::result_out_of_range;
  if (ec == std::errc()) out = v;
  return ec;
}

template <class T>
result<T> bounded(std::string_view s, T lo, T hi, std::string_view noun) {
  T v{};
  const std::errc ec = whole_number(s, v);
  if (ec == std::errc() && v >= lo && v <= hi) return v;
  char a[32], b[32];
  hotpath::error e;
  e.code = errc::malformed;
  e.detail.append("\"").append(text::printable(s, 64));
  e.detail.append(ec == std::errc::invalid_argument ? "\" is not a number, want " : "\" is out of range, want ");
  e.detail.append(noun).append(" from ").append(number_text(lo, a)).append(" to ").append(number_text(hi, b));
  return e;
}

// Characters that a terminal or a viewer obeys instead of showing: C1 controls, direction marks and overrides, zero-width
// characters, line and paragraph separators, byte order mark, tags.
constexpr bool unseen(std::uint32_t c) noexcept {
  return (c >= 0x80 && c <= 0x9F) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

// Of a well-formed sequence.
inline std::uint32_t code_point(const char* p, int length) noexcept {
  const auto byte = [&](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])); };
  if (length == 1) return byte(0);
  std::uint32_t c = byte(0) & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3F);
  return c;
}

inline std::string escaped(char letter, std::uint32_t c, int digits) {
  std::string s{'\\', letter};
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) s.push_back("0123456789abcdef"[c >> shift & 15]);
  return s;
}

inline std::string percent_decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    unsigned char v = 0;
    const char* const p = s.data() + i;
    if (*p == '%' && s.size() - i >= 3 && std::from_chars(p + 1, p + 3, v, 16).ptr == p + 3) {
      out.push_back(static_cast<char>(v));
      i += 2;
    } else {
      out.push_back(*p);
    }
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::text {

HOTPATH_FN bool is_utf8(std::string_view bytes) noexcept {
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) return false;
    p += step.length;
  }
  return true;
}

HOTPATH_FN std::string repair_utf8(std::string_view bytes, std::uint64_t* count) {
  std::string out;
  out.reserve(bytes.size());
  const char* pending = bytes.data();
  const char* const end = pending + bytes.size();
  for (const char* p = pending; (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) {
      out.append(pending, p).append(detail::replacement_character);
      pending = p + step.length;
      if (count != nullptr) ++*count;
    }
    p += step.length;
  }
  return out.append(pending, end);
}

HOTPATH_FN std::string printable(std::string_view bytes, std::size_t max) {
  constexpr std::string_view ellipsis = "\xE2\x80\xA6";
  std::string out;
  std::size_t cut = 0;  // longest length after which the ellipsis still fits
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    const std::uint32_t c = step.valid ? detail::code_point(p, step.length) : 0xFFFD;
    std::string shown;
    if (!step.valid) shown = detail::replacement_character;
    else if (c == '\n') shown = "\\n";
    else if (c == '\r') shown = "\\r";
    else if (c == '\t') shown = "\\t";
    else if (c < 0x20 || c == 0x7F) shown = detail::escaped('x', c, 2);
    else if (detail::unseen(c)) shown = c > 0xFFFF ? detail::escaped('U', c, 8) : detail::escaped('u', c, 4);
    else shown.assign(p, step.length);
    if (out.size() + shown.size() > max) {
      out.resize(cut);
      if (max >= ellipsis.size()) out.append(ellipsis);
      return out;
    }
    out += shown;
    if (out.size() + ellipsis.size() <= max) cut = out.size();
    p += step.length;
  }
  return out;
}

HOTPATH_FN std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = to_lower(c);
  return out;
}

HOTPATH_FN bool to_number(std::string_view s, std::int64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, std::uint64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, double& out) noexcept { return detail::whole_number(s, out) == std::errc(); }

HOTPATH_FN result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<double> parse_double(std::string_view s, double lo, double hi) {
  return detail::bounded(s, lo, hi, "a number");
}

HOTPATH_FN result<nanoseconds> parse_duration(std::string_view s) {
  struct unit {
    std::string_view name;
    std::int64_t ns;
  };
  constexpr unit units[] = {{"ns", 1},          {"us", 1'000},           {"\xC2\xB5s", 1'000},     {"ms", 1'000'000},
                            {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}};
  const auto wrong = [&](std::string_view what) {
    hotpath::error e;
    e.code = errc::malformed;
    e.detail.append("\"").append(printable(s, 64)).append("\" ").append(what);
    e.detail.append(", want a duration such as 500ms, 1.5s or 2m");
    return e;
  };
  std::size_t n = 0;
  while (n < s.size() && is_digit(s[n])) ++n;
  std::size_t fraction_end = n;
  if (n < s.size() && s[n] == '.')
    for (++fraction_end; fraction_end < s.size() && is_digit(s[fraction_end]);) ++fraction_end;
  const std::string_view whole = s.substr(0, n), fraction = s.substr(n, fraction_end - n), name = s.substr(fraction_end);
  if (whole.empty() || fraction.size() == 1) return wrong("is not a duration");
  if (name.empty()) return wrong("has no unit");
  for (const unit& u : units) {
    if (u.name != name) continue;
    std::int64_t v = 0, rest = 0;
    double part = 0;
    // A fraction is below one, so its product with the largest unit is exact to far less than a nanosecond.
    if (!fraction.empty() && to_number("0" + std::string(fraction), part))
      rest = static_cast<std::int64_t>(part * static_cast<double>(u.ns) + 0.5);
    if (!to_number(whole, v) || __builtin_mul_overflow(v, u.ns, &v) || __builtin_add_overflow(v, rest, &v))
      return wrong("is longer than 292 years");
    return nanoseconds{v};
  }
  return wrong("has an unknown unit");
}

HOTPATH_FN void csv_writer::plain(std::string_view text) {
  if (!first_) {
    out_->push_back(options_.separator);
    ++row_;
  }
  first_ = false;
  out_->append(text);
  row_ += text.size();
}

HOTPATH_FN void csv_writer::whole(std::int64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::whole(std::uint64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::field(double v) {
  char b[32];
  plain(__builtin_isfinite(v) ? detail::number_text(v, b) : std::string_view());
}

HOTPATH_FN void csv_writer::field(std::string_view v) {
  const bool guard = options_.formula_guard && v.find_first_of("=+-@\t\r") == 0;
  const char special[] = {options_.separator, '"', '\r', '\n'};
  if (!guard && v.find_first_of(std::string_view(special, 4)) == std::string_view::npos) return plain(v);
  plain("\"");
  const std::size_t before = out_->size();
  if (guard) out_->push_back('\'');
  for (;;) {
    const auto quote = v.find('"');
    out_->append(v.substr(0, quote));
    if (quote == std::string_view::npos) break;
    out_->append("\"\"");
    v.remove_prefix(quote + 1);
  }
  out_->push_back('"');
  row_ += out_->size() - before;
}

HOTPATH_FN void csv_writer::end_row() {
  if (!first_ && row_ == 0) out_->append("\"\"");  // one empty field: an empty line would be no row
  out_->push_back('\n');
  first_ = true;
  row_ = 0;
}

HOTPATH_FN csv_reader::csv_reader(std::string_view text, char separator) noexcept : text_(text), separator_(separator) {
  if (text.starts_with("\xEF\xBB\xBF")) at_ = 3;
}

HOTPATH_FN bool csv_reader::fail(const char* what, std::size_t at) noexcept {
  fault_ = what;
  fault_at_ = at;
  at_ = text_.size();
  return false;
}

// At an opening quote; leaves the reader behind the closing one.
HOTPATH_FN bool csv_reader::quoted(std::vector<std::string_view>& row) {
  const std::size_t open = at_, kept = unquoted_.size();
  bool doubled = false;
  for (std::size_t from = open + 1;;) {
    const auto quote = text_.find('"', from);
    if (quote == std::string_view::npos) return fail("this field has no closing quote", open);
    const bool pair = quote + 1 < text_.size() && text_[quote + 1] == '"';
    if (pair || doubled) unquoted_.append(text_.substr(from, quote - from + (pair ? 1 : 0)));
    at_ = from = quote + (pair ? 2 : 1);
    if (!pair) break;
    doubled = true;
  }
  const std::string_view raw = text_.substr(open + 1, at_ - open - 2);
  for (const char c : raw) next_line_ += c == '\n' ? 1u : 0u;
  if (doubled) copies_.push_back({row.size(), unquoted_.size() - kept});
  row.push_back(raw);
  return at_ == text_.size() || text_[at_] == separator_ || line_end() != 0 ||
         fail("found text behind the closing quote of a field, want a separator or the end of the line", at_);
}

// Length of the line end here: 0, 1 or 2.
HOTPATH_FN std::size_t csv_reader::line_end() const noexcept {
  if (at_ == text_.size()) return 0;
  if (text_[at_] == '\n') return 1;
  return text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n' ? 2 : 0;
}

HOTPATH_FN bool csv_reader::next(std::vector<std::string_view>& row) {
  row.clear();
  unquoted_.clear();
  copies_.clear();
  for (std::size_t n; (n = line_end()) != 0; ++next_line_) at_ += n;
  if (at_ == text_.size()) return false;
  line_ = next_line_;
  for (;;) {
    if (at_ < text_.size() && text_[at_] == '"') {
      if (!quoted(row)) return false;
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != separator_ && line_end() == 0) ++at_;
      row.push_back(text_.substr(begin, at_ - begin));
    }
    if (at_ == text_.size() || text_[at_] != separator_) break;
    ++at_;
  }
  if (const std::size_t n = line_end(); n != 0) {
    at_ += n;
    ++next_line_;
  }
  // Only now does the copied text stay where it is.
  std::size_t begin = 0;
  for (const auto& [field, size] : copies_) {
    row[field] = std::string_view(unquoted_).substr(begin, size);
    begin += size;
  }
  return true;
}

HOTPATH_FN hotpath::error csv_reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = errc::malformed;
  e.detail = fault_ != nullptr ? fault_ : "no error";
  e.source = source;
  e.byte = fault_at_;
  e.has_byte = true;
  e.line = e.column = 1;
  for (const char c : text_.substr(0, fault_at_)) {
    e.line += c == '\n' ? 1u : 0u;
    e.column = c == '\n' ? 1 : e.column + 1;
  }
  return e;
}

HOTPATH_FN bool is_secret_name(std::string_view name) {
  std::string all;           // letters and digits, lower case
  std::size_t word = 0;      // where the last word begins; subscription-key and subscriptionKey have two
  bool small_before = false;
  for (const char given : name) {
    const char c = to_lower(given);
    if ((c != given && small_before) || !(is_digit(c) || (c >= 'a' && c <= 'z'))) word = all.size();
    if (is_digit(c) || (c >= 'a' && c <= 'z')) all.push_back(c);
    small_before = c == given && c >= 'a' && c <= 'z';
  }
  const std::string_view text = all, last = text.substr(word);
  for (const std::string_view part : {"authorization", "cookie", "secret", "passw", "passphrase", "credential", "apikey", "accesskey",
                                      "privatekey", "bearer"})
    if (text.find(part) != std::string_view::npos) return true;
  if (text.ends_with("token") || text.ends_with("jwt")) return true;
  for (const std::string_view one : {"key", "auth", "pwd", "pass", "sig", "signature", "session", "sessionid"})
    if (last == one) return true;
  return false;
}

HOTPATH_FN std::string redact_url(std::string_view url) {
  const auto scheme = url.find("://");
  const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  std::string out(url.substr(0, begin));
  std::string_view rest = url.substr(begin);
  // User-info ends at the last @ before the path. A password with an unescaped slash moves that @ behind the slash: where
  // what would be the port is no number, it is taken for such a password.
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  auto at = authority.rfind('@');
  if (at == std::string_view::npos && scheme != std::string_view::npos && rest.find('@') != std::string_view::npos) {
    const auto colon = authority.rfind(':');
    if (colon != std::string_view::npos && !authority.ends_with(']') &&
        authority.find_first_not_of("0123456789", colon + 1) != std::string_view::npos)
      at = rest.rfind('@');
  }
  if (at != std::string_view::npos) rest.remove_prefix(at + 1);

  const auto query = rest.find_first_of("?#");
  out.append(rest.substr(0, query));
  if (query == std::string_view::npos) return out;
  rest.remove_prefix(query);
  // Each pair begins with one of ? & ; #
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find_first_of("?&;#", 1));
    rest.remove_prefix(pair.size());
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || !is_secret_name(detail::percent_decoded(pair.substr(1, equals - 1)))) out.append(pair);
    else out.append(pair.substr(0, equals + 1)).append(redacted);
  }
  return out;
}

HOTPATH_FN std::string redact_text(std::string_view text, std::span<const std::string_view> secrets) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t longest = 0;
    for (const std::string_view s : secrets)
      if (s.size() > longest && text.starts_with(s)) longest = s.size();
    if (longest == 0) out.push_back(text.front());
    else out.append(redacted);
    text.remove_prefix(longest == 0 ? 1 : longest);
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::text
// ---- hotpath/trace/file_name.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

constexpr std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The rank in a file's name (folders are not looked at): rank5, rank-5, rank_5, else TP-5 or tp5, else worker5, each as a word of its own, in any
// case. nullopt: none.
std::optional<int> rank_of_name(std::string_view path);

// prefill for a file whose name has the word extend or prefill, decode for the word decode, when it has one kind only and no "no" or "without"
// stands before it. Else the nearest of the three folders above that is called exactly so. stage::all: neither.
model::stage stage_of_name(std::string_view path);

// True for .json .json.gz .sqlite and their like: worth a look inside.
bool is_trace_name(std::string_view path);

// "TP00-DP1" of the pid "[TP00-DP1] 4711", as files of several ranks have them: TP, DP, PP, EP with a number, joined by -; or NP, of a process without
// a rank. "": the pid tells no process.
std::string_view process_of_pid(std::string_view pid);

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/file_name-inl.hpp
// hotpath/trace/file_name-inl.hpp - bodies of file_name.hpp.
// ---- hotpath/trace/file_name-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// The number behind `word` in `name`, at most six digits, between word boundaries.
constexpr std::optional<int> number_behind(std::string_view name, std::string_view word, bool separator_allowed) {
  for (std::size_t i = 0; i + word.size() < name.size(); ++i) {
    if (!text::starts_with_ignoring_case(name.substr(i), word) || (i != 0 && (is_letter(name[i - 1]) || text::is_digit(name[i - 1])))) continue;
    std::size_t at = i + word.size();
    if (separator_allowed && (name[at] == '-' || name[at] == '_')) ++at;
    int n = 0;
    std::size_t digits = 0;
    for (; at < name.size() && digits < 7 && text::is_digit(name[at]); ++at, ++digits) n = n * 10 + (name[at] - '0');
    if (digits != 0 && digits < 7 && (at == name.size() || !is_letter(name[at]))) return n;
  }
  return std::nullopt;
}

constexpr model::stage stage_word(std::string_view word) {
  if (text::equal_ignoring_case(word, "extend") || text::equal_ignoring_case(word, "prefill")) return model::stage::prefill;
  return text::equal_ignoring_case(word, "decode") ? model::stage::decode : model::stage::all;
}
}  // namespace detail

HOTPATH_FN std::optional<int> rank_of_name(std::string_view path) {
  const std::string_view name = base_name(path);
  for (const std::string_view word : {"rank", "tp", "worker"})
    if (const auto n = detail::number_behind(name, word, word != "worker")) return n;
  return std::nullopt;
}

HOTPATH_FN model::stage stage_of_name(std::string_view path) {
  const std::string_view name = base_name(path);
  model::stage found = model::stage::all;
  bool both = false;
  std::string_view before;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t end = i;
    while (end < name.size() && detail::is_letter(name[end])) ++end;
    const std::string_view word = name.substr(i, end - i);
    const model::stage s = text::equal_ignoring_case(before, "no") || text::equal_ignoring_case(before, "without") ? model::stage::all : detail::stage_word(word);
    if (s != model::stage::all) both = both || (found != model::stage::all && found != s), found = s;
    if (!word.empty()) before = word;
    i = end + 1;
  }
  if (found != model::stage::all) return both ? model::stage::all : found;
  std::string_view folder = path.substr(0, path.size() - name.size());
  for (int level = 0; level < 3 && !folder.empty(); ++level) {
    folder.remove_suffix(1);  // its slash
    const std::string_view last = base_name(folder);
    if (const model::stage s = detail::stage_word(last); s != model::stage::all) return s;
    folder.remove_suffix(last.size());
  }
  return model::stage::all;
}

HOTPATH_FN std::string_view process_of_pid(std::string_view pid) {
  const auto close = pid.find("] ");
  if (!pid.starts_with('[') || close == std::string_view::npos || close > 64) return {};
  const std::string_view label = pid.substr(1, close - 1);
  std::string_view left = label;
  if (left.ends_with(" no rank")) left.remove_suffix(8);
  for (;;) {
    std::size_t end = 2;
    while (end < left.size() && text::is_digit(left[end])) ++end;
    if (end <= 2 || left[1] != 'P' || std::string_view("TDPEN").find(left[0]) == std::string_view::npos) return {};
    if (end == left.size()) return label;
    if (left[end] != '-') return {};
    left.remove_prefix(end + 1);
  }
}

HOTPATH_FN bool is_trace_name(std::string_view path) {
  const std::string name = text::lower(base_name(path));
  for (const std::string_view ending : {".json", ".json.gz", ".json.gzip", ".sqlite", ".nsys-rep", ".json.zst", ".json.zip", ".pftrace", ".perfetto-trace"})
    if (name.ends_with(ending)) return true;
  return name.find(".trace.json") != std::string::npos;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/discover.hpp

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
// ---- hotpath/trace/discover-inl.hpp
// hotpath/trace/discover-inl.hpp - bodies of discover.hpp.
// ---- hotpath/core/json.hpp
// hotpath/core/json.hpp - one pull reader and one writer, for the JSON of hot paths: SSE payloads, workloads, traces, reports.
//
//     hotpath::json::reader in{text};                       // the text outlives the reader; strings are views into it
//     std::string_view content; std::int64_t tokens = 0;
//     in.object([&](std::string_view key) {                 // once per member, in order, duplicates too
//       if (key == "choices") in.array([&] { in.object([&](std::string_view k) { if (k == "text") in.string(content); }); });
//       else if (key == "tokens") in.integer(tokens);       // what the function leaves unread is validated and skipped
//     });
//     if (!in.finish()) return in.failure("load.jsonl");    // "load.jsonl:1:17: found 'x', want ',' or '}'"
//
//     std::string out;
//     hotpath::json::writer w{out};
//     w.object_begin(); w.member("n", 3); w.member("p50_ms", std::optional<double>{}); w.object_end();   // {"n":3,"p50_ms":null}
//
//   mode::strict accepts what nlohmann::json 3.11.2 accepts and nothing else, within the limits below: a leading UTF-8 byte order
//   mark is skipped, a NUL byte outside a string ends the text, a number beyond the range of double is an error.
//   mode::tolerant_text also accepts, inside strings, ill-formed UTF-8 and control characters (both are kept as they are) and
//   lone surrogate escapes (they become U+FFFD), and counts them; servers and profilers write all three.
//   Measured (tests/bench/json_bench.cpp, g++ 12 -O2, one AMD EPYC core; in brackets nlohmann's SAX parser in the same run): content
//   of a 250-byte chat chunk 105 ns (1,330 ns), no allocation; trace events 1.9 GB/s skipped, 1.5 with every value read (0.19).
//   Thread safety: none; one reader or writer per thread.
// ---- hotpath/core/json.hpp

namespace hotpath::inline HOTPATH_ABI::json {

enum class mode : std::uint8_t { strict, tolerant_text };
enum class kind : std::uint8_t { object, array, string, number, boolean, null, end, error };

// What a hostile text can cost. Beyond either the text is an error (errc::over_limit), even in a value that is skipped.
struct limits {
  unsigned depth = 64;              // open objects and arrays; more than 64 counts as 64 (one bit per level)
  std::size_t string = 16u << 20;   // bytes between two quotes, escapes not decoded
};

// Each read function consumes exactly one value: call one per member or element, or none. A value of another type than asked for
// is skipped, gives false and is no error: ok() tells the two apart. After a syntax error all calls return false and loops end.
// Allocation: one scratch string for strings with escapes, one per level for keys with escapes; both are reused.
class reader {
 public:
  explicit reader(std::string_view text, mode m = mode::strict, limits l = {}) noexcept;
  // Starts over with another text; keeps mode, limits, the scratch memory and the count of repaired places.
  void reset(std::string_view text) noexcept;

  // Kind of the value that the next read would meet. end: the text is over. A byte that begins no value is a syntax error.
  kind peek() noexcept;

  // f(std::string_view key). The key lives until f is called for the next member of the same object, through all nested reads;
  // a key without escapes is a view into the text and lives as long as that.
  template <class F>
  bool object(F&& f) {
    if (!enter('{')) return false;
    std::string_view key;
    for (bool first = true; next_member(key, first); first = false) {
      const char* const value = p_;
      f(key);
      if (p_ == value) skip();
    }
    return ok();
  }

  // For objects whose members mostly come in one order, as programs write them; three times as fast for those that do.
  //     if (in.begin()) { if (in.next_is("ph")) in.string(ph); if (in.next_is("ts")) in.integer(ts); in.rest([&](std::string_view key) { ... }); }
  // begin() enters an object. next_is() takes the name of the next member if it is this one, written without escapes: its value must be read next;
  // false: nothing happened. rest() is object() for the members that are left, and must end it.
  bool begin() { return fresh_ = enter('{'); }
  template <std::size_t N>
  bool next_is(const char (&name)[N]) noexcept {
    const char* p = p_;
    constexpr std::ptrdiff_t most = static_cast<std::ptrdiff_t>(N) + 6;   // , "name": and a byte behind it
    if (!fresh_ && end_ - p > most && *p == ',') p += 1 + (p[1] == ' ');  // as it is written most often
    else if (p = space(p); !fresh_) {
      if (!at(p, ',')) return false;
      ++p;
    }
    if (p = space(p); end_ - p <= static_cast<std::ptrdiff_t>(N) + 1 || *p != '"' || __builtin_memcmp(p + 1, name, N - 1) != 0 || p[N] != '"') return false;
    if (p += N + 1; !at(p, ':') && (p = space(p), !at(p, ':'))) return false;
    p_ = space(p + 1);
    fresh_ = false;
    return true;
  }
  template <class F>
  bool rest(F&& f) {
    std::string_view key;
    for (bool first = std::exchange(fresh_, false); next_member(key, first); first = false) {
      const char* const value = p_;
      f(key);
      if (p_ == value) skip();
    }
    return ok();
  }

  // f(), once per element.
  template <class F>
  bool array(F&& f) {
    if (!enter('[')) return false;
    for (bool first = true; next_element(first); first = false) {
      const char* const value = p_;
      f();
      if (p_ == value) skip();
    }
    return ok();
  }

  // Decoded. A view into the text where there was no escape, else into the reader, valid until the next string with an escape.
  bool string(std::string_view& out);
  // Numbers that are whole and fit, however written (12, 1e3, 3.0, -0); others are skipped and give false.
  bool integer(std::int64_t& out);
  // The number times 10^power as a whole one, rounded to the nearest (halves away from 0); exact, never through a double. False where it does not fit.
  bool scaled(std::int64_t& out, unsigned power);
  // Correctly rounded. Too small for a double: 0 with its sign.
  bool number(double& out);
  bool boolean(bool& out);
  bool null();
  bool skip();
  // As skip, and gives the value as it stands in the text.
  bool raw(std::string_view& out);

  // Nothing but white space is left and no error happened. More text is an error.
  bool finish();
  bool ok() const noexcept { return fault_ == fault::none; }
  // The text may only end too early: with more of it behind its end, this error may go away. For texts that come in pieces.
  bool cut_short() const noexcept;
  // What was found where and what was expected, line and column from 1 (columns in bytes). Without a syntax error: the last value
  // that was not of the type asked for.
  hotpath::error failure(std::string_view source = {}) const;
  std::uint64_t repaired() const noexcept { return repaired_; }
  // Bytes read so far; after an error, where it is.
  std::size_t offset() const noexcept { return static_cast<std::size_t>((ok() ? p_ : at_) - begin_); }

 private:
  enum class fault : std::uint8_t {
    none, want_value, want_first_member, want_member, want_colon, want_object_rest, want_array_rest, want_end, open_string,
    control_character, ill_formed_utf8, unknown_escape, bad_hex, lone_surrogate, bad_number, number_range, bad_literal, too_deep,
    string_too_long
  };
  struct decimal {                 // a number as written
    const char* end;
    std::uint64_t digits;          // all digits without the point; wrapped around if there are more than 19
    std::int64_t exponent;         // value = digits * 10^exponent
    std::int64_t count;            // digits written
    bool negative, whole;          // whole: neither point nor exponent
  };

  bool fail(fault f, const char* at) noexcept;
  bool mismatch();
  [[gnu::always_inline]] const char* space(const char* p) const noexcept {
    // None and one blank are what most texts have, without the call.
    if (p == end_ || static_cast<unsigned char>(*p) > ' ') return p;
    if (*p == ' ' && end_ - p > 1 && static_cast<unsigned char>(p[1]) > ' ') return p + 1;
    return white_run(p);
  }
  const char* white_run(const char* p) const noexcept;
  void space() noexcept { p_ = space(p_); }
  bool at(char c) const noexcept { return at(p_, c); }
  bool at(const char* p, char c) const noexcept { return p != end_ && *p == c; }
  bool at_number() noexcept {
    space();
    return p_ != end_ && (static_cast<unsigned char>(*p_ - '0') < 10 || *p_ == '-');
  }
  bool enter(char bracket);
  bool next_member(std::string_view& key, bool first);
  bool next_element(bool first);
  bool key_and_colon(const char* p, std::string_view* key);
  bool quoted(std::string_view* out, bool is_key);
  bool quoted_rest(const char* begin, const char* p, std::string_view* out, bool is_key);
  std::string& scratch(bool is_key);
  const char* escape(const char* p, std::string* out);
  bool scan(decimal& d) noexcept;
  double to_double(const decimal& d) const noexcept;
  bool to_integer(const decimal& d, std::int64_t& out) const noexcept;
  bool literal(std::string_view word) noexcept;
  bool scalar();

  const char* begin_ = nullptr;
  const char* p_ = nullptr;
  const char* end_ = nullptr;
  const char* at_ = nullptr;       // of the fault, or of the last value of another type
  unsigned depth_ = 0;
  bool fresh_ = false;             // between begin() and the first member
  mode mode_;
  fault fault_ = fault::none;
  limits limits_;
  std::uint64_t repaired_ = 0;
  std::string scratch_;
  std::vector<std::string> keys_;  // by depth; sized once, so that the views of outer keys stay
};

// Appends to a string that the caller owns. Commas, quotes and escapes are its work; pairing begin and end, and a key before each
// value of an object, are the caller's. Several values at the top level are separated by a newline (NDJSON).
// Numbers do not depend on the locale; a double is the shortest text that reads back the same; NaN and infinities are null.
// Text is UTF-8: each ill-formed part becomes U+FFFD.
class writer {
 public:
  explicit writer(std::string& out, int indent = 0) : out_(&out), indent_(indent) {}

  void object_begin() { open('{'); }
  void object_end() { close('}'); }
  void array_begin() { open('['); }
  void array_end() { close(']'); }
  void key(std::string_view k);

  void value(std::string_view v);
  void value(const char* v) { value(std::string_view(v)); }
  void value(double v);
  template <std::same_as<bool> T>   // not a plain bool: pointers would convert to it
  void value(T v) { word(v ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  void value(T v) {
    if constexpr (std::is_signed_v<T>) integer(v < 0, v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v));
    else integer(false, v);
  }
  template <class T>
  void value(const std::optional<T>& v) {
    if (v) value(*v);
    else null();
  }
  void null() { word("null"); }
  // `json` is one complete value; it is not checked.
  void raw(std::string_view json) { word(json); }

  template <class T>
  void member(std::string_view k, const T& v) {
    key(k);
    value(v);
  }

 private:
  void separate();
  void new_line();
  void open(char bracket);
  void close(char bracket);
  void word(std::string_view text);
  void integer(bool negative, std::uint64_t magnitude);
  void quote(std::string_view text);

  std::string* out_;
  int indent_;
  int depth_ = 0;
  bool first_ = true;       // nothing yet at this level
  bool after_key_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::json
// ---- hotpath/core/json-inl.hpp
// hotpath/core/json-inl.hpp - bodies of core/json.hpp.
// ---- hotpath/core/json-inl.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

// Four hex digits at p, or -1.
inline int hex4(const char* p, const char* end) noexcept {
  if (end - p < 4) return -1;
  int v = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i], folded = static_cast<char>(c | 0x20);
    const int digit = c >= '0' && c <= '9' ? c - '0' : folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
    if (digit < 0) return -1;
    v = v * 16 + digit;
  }
  return v;
}

inline bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

// Behind the digits at p; they are appended to v, which wraps around. Eight at a time: the bytes that are digits are shifted to the top, which puts
// zeros before them, and three multiplications add them up.
inline const char* digit_run(const char* p, const char* end, std::uint64_t& v) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  constexpr std::uint64_t powers[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};
  while (end - p >= 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;  // the lowest is exact: no carry comes from digits
    const int n = others == 0 ? 8 : __builtin_ctzll(others) >> 3;
    if (n == 0) return p;
    w <<= 64 - 8 * n;
    w = w * 10 + (w >> 8);
    w = ((w & 0x000000FF000000FF) * (100 + (1'000'000ull << 32)) + (w >> 16 & 0x000000FF000000FF) * (1 + (10'000ull << 32))) >> 32;
    v = v * powers[n] + w;
    p += n;
    if (n != 8) return p;
  }
#endif
  for (; p != end && is_digit(*p); ++p) v = v * 10 + static_cast<unsigned>(*p - '0');
  return p;
}

// Behind the digits at p.
inline const char* skip_digits(const char* p, const char* end) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; end - p >= 8; p += 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;
    if (others != 0) return p + (__builtin_ctzll(others) >> 3);
  }
#endif
  while (p != end && is_digit(*p)) ++p;
  return p;
}

inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// A number of any length: p is at its first digit, its value is (all digits) * 10^exponent. Infinite where too large.
// from_chars gets at most 800 significant digits and a 1 for the rest: 768 decide every double, the 1 breaks the tie.
inline double any_number(const char* p, const char* end, std::int64_t exponent) noexcept {
  char text[840];
  std::size_t n = 0;
  bool rest = false;
  for (; p != end && *p != 'e' && *p != 'E'; ++p) {
    if (*p == '.' || (n == 0 && *p == '0')) continue;
    if (n < 800) {
      text[n++] = *p;
    } else {
      rest = rest || *p != '0';
      ++exponent;
    }
  }
  if (n == 0) return 0;
  if (rest) {
    text[n++] = '1';
    --exponent;
  }
  const std::int64_t magnitude = static_cast<std::int64_t>(n) + exponent;  // the value is below 10^magnitude
  if (magnitude > 400) return std::numeric_limits<double>::infinity();
  if (magnitude < -400) return 0;
  text[n++] = 'e';
  const char* const stop = std::to_chars(text + n, text + sizeof text, exponent).ptr;
  double v = 0;
  if (std::from_chars(text, stop, v).ec == std::errc()) return v;
  return magnitude > 0 ? std::numeric_limits<double>::infinity() : 0;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::json {

HOTPATH_FN reader::reader(std::string_view text, mode m, limits l) noexcept : mode_(m), limits_(l) {
  if (limits_.depth > 64) limits_.depth = 64;
  reset(text);
}

HOTPATH_FN void reader::reset(std::string_view text) noexcept {
  begin_ = p_ = at_ = text.data();
  end_ = begin_ + text.size();
  depth_ = 0;
  fault_ = fault::none;
  if (!text.empty() && text[0] == '\xEF' && text.starts_with("\xEF\xBB\xBF")) p_ += 3;
}

HOTPATH_FN const char* reader::white_run(const char* p) const noexcept {
  constexpr std::uint64_t white = 1ull << ' ' | 1ull << '\n' | 1ull << '\r' | 1ull << '\t';
  while (p != end_ && static_cast<unsigned char>(*p) <= ' ' && (white >> *p & 1) != 0) ++p;
  return p;
}

// After a fault the rest of the text is out of reach, so that no other function has to ask whether there was one.
HOTPATH_FN bool reader::fail(fault f, const char* at) noexcept {
  if (fault_ == fault::none) {
    fault_ = f;
    at_ = at;
    p_ = end_;
  }
  return false;
}

HOTPATH_FN bool reader::mismatch() {
  const char* const value = p_;
  if (skip()) at_ = value;
  return false;
}

HOTPATH_FN kind reader::peek() noexcept {
  space();
  if (!ok()) return kind::error;
  if (p_ == end_) return kind::end;
  switch (*p_) {
    case '{': return kind::object;
    case '[': return kind::array;
    case '"': return kind::string;
    case 't': case 'f': return kind::boolean;
    case 'n': return kind::null;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      return kind::number;
    case '\0': if (depth_ == 0) return kind::end; break;
    default: break;
  }
  fail(fault::want_value, p_);
  return kind::error;
}

// The functions below work on a local pointer and store it once: p_ in memory would cost a store and a load per byte looked at.
HOTPATH_FN bool reader::enter(char bracket) {
  const char* const p = space(p_);
  if (!at(p, bracket)) {
    p_ = p;
    return mismatch();
  }
  if (depth_ == limits_.depth) return fail(fault::too_deep, p);
  ++depth_;
  p_ = p + 1;
  return true;
}

// False at the closing brace, which is consumed, and at an error.
HOTPATH_FN bool reader::next_member(std::string_view& key, bool first) {
  const char* p = p_;
  if (!first && end_ - p > 2 && *p == ',') {  // as it is written most often
    p += 1 + (p[1] == ' ');
    if (*p == '"') return key_and_colon(p, &key);
  }
  p = space(p_);
  if (!first && at(p, ',')) {
    p = space(p + 1);
    if (!at(p, '"')) return fail(fault::want_member, p);
  } else if (at(p, '}')) {
    p_ = p + 1;
    --depth_;
    return false;
  } else if (!first || !at(p, '"')) {
    return fail(first ? fault::want_first_member : fault::want_object_rest, p);
  }
  return key_and_colon(p, &key);
}

HOTPATH_FN bool reader::next_element(bool first) {
  const char* p = space(p_);
  if (at(p, ']')) {
    p_ = p + 1;
    --depth_;
    return false;
  }
  if (first) {
    p_ = p;
    return ok();
  }
  if (!at(p, ',')) return fail(fault::want_array_rest, p);
  p_ = space(p + 1);
  return true;
}

// p: the quote of a key. Leaves the reader at the first byte of the value. `key` null: only checks.
HOTPATH_FN bool reader::key_and_colon(const char* p, std::string_view* key) {
  const char* stop = detail::plain_run(p + 1, end_);
  const auto size = static_cast<std::size_t>(stop - p - 1);
  if (at(stop, '"') && size <= limits_.string) {
    if (key != nullptr) *key = {p + 1, size};
    ++stop;
    if (end_ - stop > 2 && *stop == ':') {  // as it is written most often
      stop += 1 + (stop[1] == ' ');
      if (static_cast<unsigned char>(*stop) > ' ') {
        p_ = stop;
        return true;
      }
      p_ = space(stop);
      return true;
    }
  } else {
    p_ = p;
    if (!quoted_rest(p + 1, stop, key, true)) return false;
    stop = p_;
  }
  stop = space(stop);
  if (!at(stop, ':')) return fail(fault::want_colon, stop);
  p_ = space(stop + 1);
  return true;
}

// At a quote. `out` null: only checks.
HOTPATH_FN bool reader::quoted(std::string_view* out, bool is_key) {
  const char* const begin = p_ + 1;
  const char* const stop = detail::plain_run(begin, end_);
  const auto size = static_cast<std::size_t>(stop - begin);
  if (!at(stop, '"') || size > limits_.string) return quoted_rest(begin, stop, out, is_key);
  if (out != nullptr) *out = {begin, size};
  p_ = stop + 1;
  return true;
}

HOTPATH_FN std::string& reader::scratch(bool is_key) {
  if (!is_key) return scratch_;
  if (keys_.empty()) keys_.resize(limits_.depth);
  return keys_[depth_ - 1];
}

HOTPATH_FN bool reader::quoted_rest(const char* begin, const char* p, std::string_view* out, bool is_key) {
  std::string* decoded = nullptr;
  const char* pending = begin;  // not yet copied to `decoded`
  for (;; p = detail::plain_run(p, end_)) {
    if (static_cast<std::size_t>(p - begin) > limits_.string) return fail(fault::string_too_long, begin - 1);
    if (p == end_) return fail(fault::open_string, begin - 1);
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"') break;
    if (c == '\\') {
      if (out != nullptr) {
        if (decoded == nullptr) (decoded = &scratch(is_key))->clear();
        decoded->append(pending, p);
      }
      p = escape(p, decoded);
      if (p == nullptr) return false;
      pending = p;
    } else if (c < 0x20) {
      if (mode_ == mode::strict) return fail(fault::control_character, p);
      ++repaired_;
      ++p;
    } else if (c >= 0x80) {
      // Text that is not ASCII comes in runs.
      do {
        const detail::utf8_step step = detail::utf8_at(p, end_);
        if (!step.valid) {
          if (mode_ == mode::strict) return fail(fault::ill_formed_utf8, p);
          ++repaired_;
        }
        p += step.length;
      } while (p != end_ && static_cast<unsigned char>(*p) >= 0x80);
    }
  }
  if (decoded != nullptr) {
    decoded->append(pending, p);
    *out = *decoded;
  } else if (out != nullptr) {
    *out = {begin, static_cast<std::size_t>(p - begin)};
  }
  p_ = p + 1;
  return true;
}

// At a backslash; returns what follows the escape, or null after an error. `out` null: only checks.
HOTPATH_FN const char* reader::escape(const char* p, std::string* out) {
  const auto wrong = [&](fault f) -> const char* {
    fail(f, p);
    return nullptr;
  };
  if (end_ - p < 2) return wrong(fault::open_string);
  char plain = 0;
  switch (p[1]) {
    case '"': case '\\': case '/': plain = p[1]; break;
    case 'b': plain = '\b'; break;
    case 'f': plain = '\f'; break;
    case 'n': plain = '\n'; break;
    case 'r': plain = '\r'; break;
    case 't': plain = '\t'; break;
    case 'u': break;
    default: return wrong(fault::unknown_escape);
  }
  if (plain != 0) {
    if (out != nullptr) out->push_back(plain);
    return p + 2;
  }
  const int unit = detail::hex4(p + 2, end_);
  if (unit < 0) return wrong(fault::bad_hex);
  if (unit < 0xD800 || unit > 0xDFFF) {
    if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(unit));
    return p + 6;
  }
  if (unit < 0xDC00 && end_ - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    const int low = detail::hex4(p + 8, end_);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      const int scalar = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
      if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(scalar));
      return p + 12;
    }
  }
  if (mode_ == mode::strict) return wrong(fault::lone_surrogate);
  ++repaired_;
  if (out != nullptr) out->append(detail::replacement_character);
  return p + 6;
}

HOTPATH_FN bool reader::string(std::string_view& out) {
  space();
  return at('"') ? quoted(&out, false) : mismatch();
}

// Reads a number's text, checks grammar and range, and leaves p_ where it is.
HOTPATH_FN bool reader::scan(decimal& d) noexcept {
  const char* p = p_;
  std::uint64_t v = 0;
  const auto digits = [&] {
    const char* const begin = p;
    p = detail::digit_run(p, end_, v);
    return p - begin;
  };
  const bool negative = *p == '-';
  p += negative;
  std::int64_t count = 1, exponent = 0;
  if (p != end_ && *p == '0') ++p;
  else count = digits();
  if (count == 0) return fail(fault::bad_number, p);
  bool whole = true;
  if (p != end_ && *p == '.') {
    ++p;
    whole = false;
    const auto fraction = digits();
    if (fraction == 0) return fail(fault::bad_number, p);
    count += fraction;
    exponent = -fraction;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    whole = false;
    const bool minus = p != end_ && *p == '-';
    if (p != end_ && (*p == '-' || *p == '+')) ++p;
    if (p == end_ || !detail::is_digit(*p)) return fail(fault::bad_number, p);
    std::int64_t e = 0;
    for (; p != end_ && detail::is_digit(*p); ++p)
      if (e < 100'000'000'000'000'000) e = e * 10 + (*p - '0');
    exponent += minus ? -e : e;
  }
  d = {p, v, exponent, count, negative, whole};
  if (count + exponent > 308 && !__builtin_isfinite(to_double(d))) return fail(fault::number_range, p_);
  return true;
}

HOTPATH_FN double reader::to_double(const decimal& d) const noexcept {
  double v = 0;
  if (d.count <= 19 && d.digits <= (std::uint64_t{1} << 53) && d.exponent >= -22 && d.exponent <= 22) {
    // Both operands are exact, so the one rounding is the right one.
    const double ten = detail::powers_of_ten[d.exponent < 0 ? -d.exponent : d.exponent];
    v = d.exponent < 0 ? static_cast<double>(d.digits) / ten : static_cast<double>(d.digits) * ten;
    return d.negative ? -v : v;
  }
  const char* const first = p_ + d.negative;
  if (d.count > 800 || d.exponent > 1000 || d.exponent < -1000 || std::from_chars(first, d.end, v).ec != std::errc())
    v = detail::any_number(first, d.end, d.exponent);
  return d.negative ? -v : v;
}

HOTPATH_FN bool reader::to_integer(const decimal& d, std::int64_t& out) const noexcept {
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  std::uint64_t v = d.digits;
  std::int64_t exponent = d.exponent;
  if (d.count > 19) {
    // Zeros at either end may hide a number that fits: 1.000000000000000000000, 0.00000000000000000000012e23.
    v = 0;
    std::int64_t zeros = 0;  // met and not yet multiplied in
    for (const char* p = p_ + d.negative; p != d.end && *p != 'e' && *p != 'E'; ++p) {
      if (*p == '.') continue;
      ++zeros;
      if (*p == '0') continue;
      for (; zeros > 0 && v != 0; --zeros)
        if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
      zeros = 0;
      if (__builtin_add_overflow(v, static_cast<std::uint64_t>(*p - '0'), &v)) return false;
    }
    exponent += zeros;
  }
  if (v == 0) exponent = 0;
  for (; exponent < 0 && v % 10 == 0; ++exponent) v /= 10;
  if (exponent < 0 || exponent > 18) return false;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
  if (v > limit) return false;
  out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  return true;
}

HOTPATH_FN bool reader::integer(std::int64_t& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const char* const value = p_;
  const bool fits = to_integer(d, out);
  if (!fits) at_ = value;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::scaled(std::int64_t& out, unsigned power) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const std::int64_t shift = d.exponent + power;
  std::uint64_t v = d.digits;
  bool fits = true;
  if (d.count <= 19 && shift >= -19 && shift <= 19) {
    std::uint64_t factor = 1;
    for (std::int64_t i = shift < 0 ? shift : -shift; i != 0; ++i) factor *= 10;
    if (shift >= 0) {
      fits = !__builtin_mul_overflow(v, factor, &v);
    } else {
      const std::uint64_t rest = v % factor;
      v = v / factor + (rest >= factor - rest ? 1 : 0);
    }
  } else {
    v = 0;
    std::int64_t left = d.count + shift;  // digits of the whole number to come
    const char* p = p_ + d.negative;
    for (; fits && left > 0; --left) {
      if (p != d.end && *p == '.') ++p;
      const bool digit = p != d.end && detail::is_digit(*p);
      if (!digit && v == 0) break;
      fits = !__builtin_mul_overflow(v, std::uint64_t{10}, &v) && !__builtin_add_overflow(v, static_cast<std::uint64_t>(digit ? *p++ - '0' : 0), &v);
    }
    if (p != d.end && *p == '.') ++p;
    if (fits && left == 0 && p != d.end && detail::is_digit(*p) && *p >= '5') fits = !__builtin_add_overflow(v, std::uint64_t{1}, &v);
  }
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  fits = fits && v <= limit;
  if (fits) out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  else at_ = p_;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::cut_short() const noexcept {
  if (fault_ == fault::none) return false;
  if (at_ == end_ || fault_ == fault::open_string) return true;
  const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
  switch (fault_) {
    case fault::bad_literal: return std::string_view(*at_ == 't' ? "true" : *at_ == 'f' ? "false" : "null").starts_with(rest);
    case fault::bad_hex: return rest.size() < 6;            // \uXXXX
    case fault::lone_surrogate: return rest.size() < 12;    // a pair of them
    case fault::ill_formed_utf8: return rest.size() < 4;
    default: return false;
  }
}

HOTPATH_FN bool reader::number(double& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  out = to_double(d);
  p_ = d.end;
  return true;
}

HOTPATH_FN bool reader::literal(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0)
    return fail(fault::bad_literal, p_);
  p_ += word.size();
  return true;
}

HOTPATH_FN bool reader::boolean(bool& out) {
  if (peek() != kind::boolean) return mismatch();
  const bool v = *p_ == 't';
  if (!literal(v ? "true" : "false")) return false;
  out = v;
  return true;
}

HOTPATH_FN bool reader::null() { return peek() == kind::null ? literal("null") : mismatch(); }

// Anything but an object or array; white space is behind us.
HOTPATH_FN bool reader::scalar() {
  switch (p_ == end_ ? '\0' : *p_) {
    case '"': return quoted(nullptr, false);
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': {
      // Digits and perhaps a fraction, of which no value is wanted: too few of them to leave the range of a double.
      const char* const first = p_ + (*p_ == '-');
      const char* p = detail::skip_digits(first, end_);
      if (p != first && (*first != '0' || p - first == 1) && p - first < 300) {
        if (p != end_ && *p == '.') {
          const char* const fraction = p + 1;
          p = detail::skip_digits(fraction, end_);
          if (p == fraction) p = end_;  // an error: for scan() to say
        }
        if (p != end_ && *p != 'e' && *p != 'E') {
          p_ = p;
          return true;
        }
      }
      decimal d;
      if (!scan(d)) return false;
      p_ = d.end;
      return true;
    }
    default: return fail(fault::want_value, p_);
  }
}

// Not recursive: one bit per open level (1 = object) in one word, which is why depth is limited to 64.
HOTPATH_FN bool reader::skip() {
  const unsigned base = depth_;
  std::uint64_t levels = 0;
  const char* p = space(p_);
  if (!at(p, '{') && !at(p, '[')) {
    p_ = p;
    return scalar();
  }
  for (;;) {
    bool opened = false;  // a container that is not empty: its first value comes next
    if (at(p, '{') || at(p, '[')) {
      const bool is_object = *p == '{';
      if (depth_ == limits_.depth) return fail(fault::too_deep, p);
      ++depth_;
      levels = levels << 1 | (is_object ? 1u : 0u);
      p = space(p + 1);
      if (!at(p, is_object ? '}' : ']')) {
        if (is_object) {
          if (!at(p, '"')) return fail(fault::want_first_member, p);
          if (!key_and_colon(p, nullptr)) return false;
          p = p_;
        }
        opened = true;
      }
    } else {
      p_ = p;
      if (!scalar()) return false;
      p = p_;
    }
    // Behind a value, or at the bracket of an empty container: close what closes, then on to the next member or element.
    while (!opened) {
      if (depth_ == base) {
        p_ = p;
        return true;
      }
      p = space(p);
      const bool is_object = (levels & 1) != 0;
      if (at(p, ',')) {
        p = space(p + 1);
        if (!is_object) break;
        if (!at(p, '"')) return fail(fault::want_member, p);
        if (!key_and_colon(p, nullptr)) return false;
        p = p_;
        break;
      }
      if (!at(p, is_object ? '}' : ']')) return fail(is_object ? fault::want_object_rest : fault::want_array_rest, p);
      ++p;
      --depth_;
      levels >>= 1;
    }
  }
}

HOTPATH_FN bool reader::raw(std::string_view& out) {
  space();
  const char* const value = p_;
  if (!skip()) return false;
  out = {value, static_cast<std::size_t>(p_ - value)};
  return true;
}

HOTPATH_FN bool reader::finish() {
  if (!ok()) return false;
  space();
  return p_ == end_ || *p_ == '\0' || fail(fault::want_end, p_);
}

HOTPATH_FN hotpath::error reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = fault_ == fault::too_deep || fault_ == fault::string_too_long ? errc::over_limit : errc::malformed;
  e.source = source;
  e.byte = static_cast<std::uint64_t>(at_ - begin_);
  e.has_byte = true;
  e.line = 1;
  const char* line = begin_;
  for (const char* p = begin_; p != at_; ++p)
    if (*p == '\n') {
      ++e.line;
      line = p + 1;
    }
  e.column = static_cast<std::uint64_t>(at_ - line) + 1;

  std::string found = "the text ends";
  if (at_ != end_) {
    const auto c = static_cast<unsigned char>(*at_);
    constexpr char hex[] = "0123456789abcdef";
    found = "found ";
    if (c > 0x20 && c < 0x7F) found.append({'\'', static_cast<char>(c), '\''});
    else found.append({'b', 'y', 't', 'e', ' ', '0', 'x', hex[c >> 4], hex[c & 15]});
  }
  switch (fault_) {
    case fault::none: e.detail = "this value has another type or range than is wanted here"; break;
    case fault::want_value: e.detail = found + ", want a value"; break;
    case fault::want_first_member: e.detail = found + ", want a name in quotes or '}'"; break;
    case fault::want_member: e.detail = found + ", want a name in quotes"; break;
    case fault::want_colon: e.detail = found + ", want ':'"; break;
    case fault::want_object_rest: e.detail = found + ", want ',' or '}'"; break;
    case fault::want_array_rest: e.detail = found + ", want ',' or ']'"; break;
    case fault::want_end: e.detail = found + ", want nothing more"; break;
    case fault::open_string: e.detail = "this string has no end, want '\"'"; break;
    case fault::control_character: e.detail = found + " inside a string, want an escape such as \\n or \\u0000"; break;
    case fault::ill_formed_utf8: e.detail = found + " inside a string, want UTF-8"; break;
    case fault::unknown_escape: e.detail = "unknown escape, want one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"; break;
    case fault::bad_hex: e.detail = "bad escape, want four hex digits after \\u"; break;
    case fault::lone_surrogate: e.detail = "half of a surrogate pair, want \\ud800 to \\udbff and then \\udc00 to \\udfff"; break;
    case fault::bad_number: e.detail = found + " inside a number, want a digit"; break;
    case fault::number_range: e.detail = "this number is too large for a double"; break;
    case fault::bad_literal: e.detail = "unknown word, want true, false or null"; break;
    case fault::too_deep: e.detail = "nested deeper than " + std::to_string(limits_.depth) + " levels"; break;
    case fault::string_too_long: e.detail = "this string is longer than " + std::to_string(limits_.string) + " bytes"; break;
  }
  return e;
}

HOTPATH_FN void writer::new_line() {
  out_->push_back('\n');
  out_->append(static_cast<std::size_t>(depth_) * static_cast<std::size_t>(indent_), ' ');
}

// What stands between this value (or key) and what was written before.
HOTPATH_FN void writer::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) {
    if (!first_) out_->push_back('\n');
  } else {
    if (!first_) out_->push_back(',');
    if (indent_ > 0) new_line();
  }
  first_ = false;
}

HOTPATH_FN void writer::open(char bracket) {
  separate();
  out_->push_back(bracket);
  ++depth_;
  first_ = true;
}

HOTPATH_FN void writer::close(char bracket) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  --depth_;
  if (!first_ && indent_ > 0) new_line();
  out_->push_back(bracket);
  first_ = false;
}

HOTPATH_FN void writer::word(std::string_view text) {
  separate();
  out_->append(text);
}

HOTPATH_FN void writer::integer(bool negative, std::uint64_t magnitude) {
  char text[21];
  text[0] = '-';
  const char* const stop = std::to_chars(text + 1, text + sizeof text, magnitude).ptr;
  const char* const begin = negative ? text : text + 1;
  word({begin, static_cast<std::size_t>(stop - begin)});
}

HOTPATH_FN void writer::value(double v) {
  if (!__builtin_isfinite(v)) return null();
  if (v == 0) return word(__builtin_signbit(v) != 0 ? "-0.0" : "0");  // "-0" is an integer to many readers and loses its sign
  char text[32];
  const char* const stop = std::to_chars(text, text + sizeof text, v).ptr;
  word({text, static_cast<std::size_t>(stop - text)});
}

HOTPATH_FN void writer::value(std::string_view v) {
  separate();
  quote(v);
}

HOTPATH_FN void writer::key(std::string_view k) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  separate();
  quote(k);
  out_->append(indent_ > 0 ? ": " : ":");
  after_key_ = true;
}

HOTPATH_FN void writer::quote(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out_->push_back('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  for (const char* pending = p;;) {
    p = detail::plain_run(p, end);
    if (p != end && static_cast<unsigned char>(*p) >= 0x80) {
      const detail::utf8_step step = detail::utf8_at(p, end);
      if (step.valid) {
        p += step.length;
        continue;
      }
      out_->append(pending, p);
      out_->append(detail::replacement_character);
      pending = p += step.length;
      continue;
    }
    out_->append(pending, p);
    if (p == end) break;
    const char c = *p;
    switch (c) {
      case '"': case '\\': out_->append({'\\', c}); break;
      case '\b': out_->append("\\b"); break;
      case '\f': out_->append("\\f"); break;
      case '\n': out_->append("\\n"); break;
      case '\r': out_->append("\\r"); break;
      case '\t': out_->append("\\t"); break;
      default: out_->append({'\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15]}); break;
    }
    pending = ++p;
  }
  out_->push_back('"');
}

}  // namespace hotpath::inline HOTPATH_ABI::json
// ---- hotpath/trace/discover-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Past the value that begins at `at`, or head.size() when it does not end in there. Brackets and strings only: the head may be cut anywhere.
inline std::size_t past_value(std::string_view head, std::size_t at) {
  for (int depth = 0; at < head.size(); ++at) {
    const char c = head[at];
    if (c == '"') {
      for (++at; at < head.size() && head[at] != '"'; ++at)
        if (head[at] == '\\') ++at;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0) return at;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return head.size();
}

constexpr std::size_t past_space(std::string_view head, std::size_t at) {
  while (at < head.size() && text::is_space(head[at])) ++at;
  return at;
}

// The first "capture_<n>_..." that is a whole string: how engines mark the capture of a graph.
inline std::string capture_in(std::string_view head) {
  constexpr std::string_view mark = "\"capture_";
  for (std::size_t i = 0; (i = head.find(mark, i)) != std::string_view::npos; i += mark.size()) {
    std::size_t digits = i + mark.size();
    while (digits < head.size() && text::is_digit(head[digits])) ++digits;
    const std::size_t end = head.find('"', digits);
    if (digits > i + mark.size() && digits < head.size() && head[digits] == '_' && end != std::string_view::npos && end - i < 128) return std::string(head.substr(i + 1, end - i - 1));
  }
  return {};
}

inline void sniff_object(std::string_view head, bool part, sniffed& s) {   // part: of a longer file
  bool torch = false, events = false, closed = false;
  for (std::size_t at = past_space(head, 1); at < head.size() && head[at] == '"';) {
    const std::size_t quote = head.find('"', at + 1), colon = quote == std::string_view::npos ? quote : head.find(':', quote);
    if (colon == std::string_view::npos) break;
    const std::string_view key = head.substr(at + 1, quote - at - 1);
    const std::size_t value = past_space(head, colon + 1), past = past_value(head, value);
    if (key == "traceEvents") events = true;
    torch = torch || key == "schemaVersion" || key == "deviceProperties" || key == "distributedInfo" || key == "baseTimeNanoseconds";
    if (key == "distributedInfo" && past < head.size()) {
      json::reader in(head.substr(value, past - value), json::mode::tolerant_text);
      in.object([&](std::string_view k) {
        std::int64_t n = 0;
        if ((k == "rank" || k == "world_size") && in.integer(n) && n >= 0 && n < 1'000'000) (k == "rank" ? s.rank : s.world_size) = static_cast<int>(n);
      });
    }
    closed = past < head.size() && head[past] == '}';
    at = past < head.size() && head[past] == ',' ? past_space(head, past + 1) : head.size();
  }
  if (events || (torch && part)) s.format = torch || head.find("\"cpu_op\"") != std::string_view::npos ? model::trace_format::torch : model::trace_format::chrome;
  else if (!closed && part) s.unsure = true;   // they may come behind a long member
  else s.reason = "JSON without traceEvents: not a trace";
}

inline void sniff_array(std::string_view head, sniffed& s) {
  const std::size_t first = past_space(head, 1);
  const std::size_t past = first < head.size() && head[first] == '{' ? past_value(head, first) : first;
  if (head.substr(first, past - first).find("\"ph\"") == std::string_view::npos) s.reason = "a JSON array whose first item is no trace event (it has no \"ph\")";
  else s.format = head.find("\"cpu_op\"") != std::string_view::npos || head.find("\"kernel\"") != std::string_view::npos ? model::trace_format::torch : model::trace_format::chrome;
}

constexpr int stage_place(model::stage s) { return s == model::stage::all ? 1000 : static_cast<int>(s); }

struct looker {
  const discover_options& options;
  discovery out = {};
  std::size_t entries = 0;
  bool too_many = false;

  void skip(std::string path, std::string reason) { out.skipped.push_back({std::move(path), std::move(reason)}); }

  // One file; false: it was skipped.
  bool look(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return skip(path, std::string("cannot open: ") + ::strerror(errno)), false;
    struct stat st {};
    std::string head(sniff_bytes, '\0');
    ssize_t n = -1;
    const bool regular = ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular) do n = ::pread(fd, head.data(), head.size(), 0);
      while (n < 0 && errno == EINTR);
    const int trouble = errno;
    ::close(fd);
    if (!regular) return skip(path, "is not a regular file"), false;
    if (n < 0) return skip(path, std::string("cannot read: ") + ::strerror(trouble)), false;
    if (n == 0) return skip(path, "is empty"), false;
    head.resize(static_cast<std::size_t>(n));

    found_trace f{.path = path, .label = stage_of_name(path), .modified_ns = static_cast<std::int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec, .bytes = static_cast<std::uint64_t>(st.st_size)};
    sniffed s;
    if (head.starts_with("\x1f\x8b")) {
      std::string text(sniff_bytes, '\0');
      const std::size_t unpacked = options.inflate != nullptr ? options.inflate(head, text.data(), text.size()) : 0;
      if (unpacked != 0) s = sniff(std::string_view(text.data(), unpacked));
      else if (options.inflate != nullptr) s.reason = "damaged gzip: nothing of it can be unpacked";
      else if (text::lower(base_name(path)).find(".json") == std::string::npos) s.reason = "gzip, which this build cannot unpack";
    } else {
      s = sniff(head);
      if (s.format == model::trace_format::none && text::lower(base_name(path)).ends_with(".nsys-rep")) s.reason = "Nsight's own format: nsys export --type sqlite " + std::string(base_name(path));
    }
    if (!s.reason.empty()) return skip(path, std::move(s.reason)), false;
    f.format = s.format, f.unsure = s.unsure, f.rank = s.rank, f.world_size = s.world_size, f.capture = std::move(s.capture);
    if (!f.rank && (f.rank = rank_of_name(path))) f.rank_from_name = true;
    const std::string lower = text::lower(path.substr(path.size() - (path.size() < base_name(path).size() + 64 ? path.size() : base_name(path).size() + 64)));
    f.is_capture = !f.capture.empty() || lower.find("/capture_traces/") != std::string::npos || lower.find("graph_capture") != std::string::npos || lower.find("graph-capture") != std::string::npos;
    (f.is_capture ? out.captures : out.traces).push_back(std::move(f));
    return true;
  }

  // Files of a folder whose name may be a trace's, and its folders, by name.
  bool list(const std::string& folder, std::vector<std::string>& files, std::vector<std::string>& folders) {
    DIR* const d = ::opendir(folder.c_str());
    if (d == nullptr) return false;
    while (const dirent* e = ::readdir(d)) {
      const std::string_view name = e->d_name;
      if (name == "." || name == "..") continue;
      if (++entries > 100'000) {
        too_many = true;
        break;
      }
      std::string path = folder;
      path.append(folder.ends_with('/') ? "" : "/").append(name);
      struct stat st {};
      if (::lstat(path.c_str(), &st) != 0) continue;
      if (S_ISDIR(st.st_mode)) folders.push_back(std::move(path));
      else if (is_trace_name(name) && name != "server_args.json" && name != "metadata.json" && name != "config.json") files.push_back(std::move(path));
    }
    ::closedir(d);
    const auto by_name = [](const std::string& a, const std::string& b) { return a < b; };
    sort_in_place(files, by_name);
    sort_in_place(folders, by_name);
    return true;
  }

  void below(const std::string& folder, int level, std::vector<std::string>& all) {
    std::vector<std::string> files, folders;
    if (level > 8 || too_many || !list(folder, files, folders)) return;
    for (std::string& f : files) all.push_back(std::move(f));
    for (const std::string& f : folders) below(f, level + 1, all);
  }

  // Newest first within a stage and rank.
  static bool before(const found_trace& a, const found_trace& b) {
    if (a.label != b.label) return stage_place(a.label) < stage_place(b.label);
    if (a.rank != b.rank) return a.rank.value_or(-1) < b.rank.value_or(-1);
    if (a.modified_ns != b.modified_ns) return a.modified_ns > b.modified_ns;
    return a.path < b.path;
  }

  template <class Reason>
  void drop(Reason reason) {  // reason(trace): "" keeps it
    std::size_t kept = 0;
    for (std::size_t i = 0; i < out.traces.size(); ++i) {
      std::string why = reason(i, kept);
      if (!why.empty()) skip(out.traces[i].path, std::move(why));
      else if (kept++ != i) out.traces[kept - 1] = std::move(out.traces[i]);
    }
    out.traces.resize(kept);
  }

  void choose() {
    std::size_t merged = 0, ranked = 0;
    for (const found_trace& t : out.traces) merged += base_name(t.path).starts_with("merged-"), ranked += t.rank.has_value();
    if (merged < out.traces.size()) drop([&](std::size_t i, std::size_t) { return std::string(base_name(out.traces[i].path).starts_with("merged-") ? "made of other files here" : ""); });
    std::size_t sure = 0;
    for (const found_trace& t : out.traces) sure += !t.unsure;
    if (sure != 0) drop([&](std::size_t i, std::size_t) { return std::string(out.traces[i].unsure ? "its first 64 KiB do not tell that it is a trace, those of other files here do: name it to read it" : ""); });
    if (ranked != 0) drop([&](std::size_t i, std::size_t) { return std::string(out.traces[i].rank || out.traces[i].format == model::trace_format::none ? "" : "tells no rank, and other files here do: a front end's trace?"); });
    if (options.rank) drop([&](std::size_t i, std::size_t) {
      const auto& r = out.traces[i].rank;
      return r == options.rank ? std::string() : r ? "rank " + std::to_string(*r) + " was not asked for" : std::string("its rank is not known");
    });
    sort_in_place(out.traces, before);
    sort_in_place(out.captures, [](const found_trace& a, const found_trace& b) { return a.path < b.path; });
    if (!options.all_files) drop([&](std::size_t i, std::size_t kept) {
      const found_trace *t = &out.traces[i], *newest = kept != 0 ? &out.traces[kept - 1] : nullptr;
      if (newest == nullptr || newest->label != t->label || newest->rank != t->rank) return std::string();
      return "older than " + std::string(base_name(newest->path)) + (t->rank ? ", same stage and rank" : ", same stage");
    });
    sort_in_place(out.skipped, [](const skipped_file& a, const skipped_file& b) { return a.path < b.path; });
  }

  void find_server_args() {
    std::string folder = out.folder;
    for (int level = 0; level < 3; ++level) {
      std::string path = folder;
      path.append(folder.empty() || folder.ends_with('/') ? "" : "/").append("server_args.json");
      struct stat st {};
      if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return void(out.server_args = std::move(path));
      folder.append(folder.empty() || folder.ends_with('/') ? "" : "/").append("..");
    }
  }
};

}  // namespace detail

HOTPATH_FN sniffed sniff(std::string_view head) {
  sniffed s;
  if (head.starts_with("SQLite format 3")) {
    if (head.find("CUPTI_ACTIVITY_KIND") != std::string_view::npos || head.find("StringIds") != std::string_view::npos || head.find("TARGET_INFO_") != std::string_view::npos) s.format = model::trace_format::nsys_sqlite;
    else s.reason = "a SQLite database without the tables of nsys export";
    return s;
  }
  if (head.starts_with("\x28\xb5\x2f\xfd")) s.reason = "zstd: decompress it first (zstd -d)";
  else if (head.starts_with("PK\x03\x04")) s.reason = "a zip archive: unpack it first";
  else if (head.starts_with("\xfd" "7zXZ")) s.reason = "xz: decompress it first (xz -d)";
  if (!s.reason.empty()) return s;
  const bool part = head.size() >= sniff_bytes;
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  const std::size_t begin = detail::past_space(head, 0);
  head.remove_prefix(begin);
  if (head.starts_with('{')) detail::sniff_object(head, part, s);
  else if (head.starts_with('[')) detail::sniff_array(head, s);
  else s.reason = head.empty() ? "only white space" : "neither JSON nor SQLite";
  if (s.format != model::trace_format::none) s.capture = detail::capture_in(head);
  return s;
}

HOTPATH_FN result<discovery> discover(const std::string& path, const discover_options& o) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return error{.code = errno == ENOENT || errno == ENOTDIR ? errc::not_found : errc::unreadable, .detail = ::strerror(errno), .source = path};
  detail::looker l{o};
  if (!S_ISDIR(st.st_mode)) {
    l.out.folder = path.substr(0, path.size() - base_name(path).size());
    if (!l.look(path)) return error{.code = errc::unreadable, .detail = l.out.skipped.front().reason, .source = path};
    if (l.out.traces.empty()) l.out.traces.swap(l.out.captures);  // asked for by name: to be looked at
    l.find_server_args();
    return std::move(l.out);
  }

  l.out.folder = path;
  std::vector<std::string> files, folders;
  if (!l.list(path, files, folders)) return error{.code = errc::unreadable, .detail = std::string("cannot list: ") + ::strerror(errno), .source = path};
  for (const std::string& f : files) l.look(f);
  if (l.out.traces.empty()) {  // captures alone do not make it the folder of the traces
    std::vector<std::string> all;
    for (const std::string& f : folders) l.below(f, 1, all);
    for (const std::string& f : all) l.look(f);
    bool labelled = false;
    const found_trace* newest = nullptr;
    for (const found_trace& t : l.out.traces) {
      labelled = labelled || t.label != model::stage::all;
      if (newest == nullptr || t.modified_ns > newest->modified_ns) newest = &t;
    }
    if (!labelled && newest != nullptr) {  // runs side by side: the latest
      l.out.folder = newest->path.substr(0, newest->path.size() - base_name(newest->path).size() - 1);
      const std::string prefix = l.out.folder + "/";
      l.drop([&](std::size_t i, std::size_t) {
        const std::string& p = l.out.traces[i].path;
        return std::string(p.size() - base_name(p).size() == prefix.size() && p.starts_with(prefix) ? "" : "lies in another folder than the newest trace");
      });
    }
  }
  if (l.too_many) l.skip(path, "has more than 100,000 entries: only those were looked at");
  l.choose();
  l.find_server_args();
  if (l.out.traces.empty() && l.out.captures.empty()) {
    error e{.code = errc::empty, .detail = "no trace in this folder", .source = path, .hint = "want .json, .json.gz of a torch profiler, or .sqlite of nsys export"};
    if (!l.out.skipped.empty()) e.detail.append(": ").append(base_name(l.out.skipped.front().path)).append(": ").append(l.out.skipped.front().reason);
    if (l.out.skipped.size() > 1) e.detail.append(" (and ").append(std::to_string(l.out.skipped.size() - 1)).append(" more files)");
    return e;
  }
  return std::move(l.out);
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/merge.hpp
// hotpath/trace/merge.hpp - the traces of several ranks as one timeline. Clocks are checked, never assumed.
//
//     auto m = trace::merge(std::move(timelines));                        // refused unless the clocks agree
//     auto m = trace::merge(std::move(timelines), {.align = trace::alignment::collective});   // moved, on request, and by how much is told
//     for (const trace::clock_check& c : m->clocks) print(c.shift, c.residual_median);
//
//   Without a request all parts must tell the Unix time of their clock in the same way, their work must overlap in time, and the collectives that they have in common must end
//   together within the tolerance: collectives end on all ranks at nearly the same moment, so what is left is the error of the clocks.
//   Ids stay unique within a process only; names, tracks, devices and details are renumbered. Times are on the clock of the first part.
//   Errors: usage (fewer than two parts), unsupported (clocks that do not agree: which, by how much, and what to request).
//   Cost: linear in the events, beside the sort; the parts are freed as they are taken. Thread safety: none needed, no state.
// ---- hotpath/trace/merge.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

enum class alignment : std::uint8_t {
  none,         // nothing is moved beyond what the files say of their clocks
  unix_time,    // by the files' base times, even where the checks fail
  collective,   // by the ends of common collectives
  step,         // by the begins of annotations of the same name
};

struct merge_options {
  alignment align = alignment::none;
  nanoseconds tolerance = nanoseconds{1'000'000};  // 1 ms: clocks kept by NTP in one rack differ by less; a wrong base time by more
};

// How the clock of one part stands to that of the first.
struct clock_check {
  std::string source;                             // name of its file
  std::optional<int> rank;
  nanoseconds shift{};                            // added to its times
  std::uint64_t matched = 0;                      // common collectives (or steps)
  std::string matched_by;                         // "collectives", "steps", "" none
  std::optional<nanoseconds> residual_median, residual_max;  // of |end here - end there| after the shift
};

struct merged {
  model::timeline trace;                          // sorted
  std::vector<clock_check> clocks;                // by part; the first has shift 0
  std::vector<std::string> notes;                 // full sentences
};

result<merged> merge(std::vector<model::timeline> parts, const merge_options& o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/merge-inl.hpp
// hotpath/trace/merge-inl.hpp - bodies of merge.hpp.
// ---- hotpath/trace/merge-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Something that happens on several ranks at once, by what it is called.
struct rendezvous {
  std::string_view what;
  std::int64_t at;
};

constexpr bool less_rendezvous(const rendezvous& a, const rendezvous& b) { return a.what != b.what ? a.what < b.what : a.at < b.at; }

// Words of kernels after which all ranks of a group are done at the same time. Broadcasts and sends are not: the source is done first.
inline bool is_collective(std::string_view name) {
  if (name.find("nccl") == std::string_view::npos && name.find("rccl") == std::string_view::npos && name.find("cross_device_reduce") == std::string_view::npos) return false;
  for (const std::string_view word : {"AllReduce", "AllGather", "ReduceScatter", "AllToAll", "cross_device_reduce"})
    if (name.find(word) != std::string_view::npos) return true;
  return false;
}

inline std::vector<rendezvous> collectives_of(const model::timeline& t) {
  std::vector<rendezvous> out;
  for (const model::gpu_event& e : t.gpu) {
    if (e.kind != model::gpu_kind::kernel) continue;
    const std::string_view told = e.detail < t.details.size() ? t.name(t.details[e.detail].collective) : std::string_view{};
    const bool one_sided = told.find("broadcast") != std::string_view::npos || told.find("send") != std::string_view::npos || told.find("recv") != std::string_view::npos;
    if (!told.empty() && !one_sided) out.push_back({told, e.end().ns});
    else if (told.empty() && is_collective(t.name(e.name))) out.push_back({t.name(e.name), e.end().ns});
  }
  sort_in_place(out, less_rendezvous);
  return out;
}

inline std::vector<rendezvous> steps_of(const model::timeline& t) {
  std::vector<rendezvous> out;
  for (const model::annotation& e : t.annotations)
    if (e.kind == model::annotation_kind::user || e.kind == model::annotation_kind::push_pop) out.push_back({t.name(e.name), e.begin.ns});
  sort_in_place(out, less_rendezvous);
  return out;
}

inline std::int64_t median(std::vector<std::int64_t> v) {
  sort_in_place(v, [](std::int64_t a, std::int64_t b) { return a < b; });
  return v[v.size() / 2];
}
constexpr std::int64_t minus(std::int64_t a, std::int64_t b) { return (nanoseconds{a} - nanoseconds{b}).ns; }  // as far as 64 bits go
constexpr std::int64_t distance(std::int64_t a, std::int64_t b) { return a > b ? minus(a, b) : minus(b, a); }
inline std::int64_t spread(const std::vector<std::int64_t>& v, std::int64_t middle) {
  std::vector<std::int64_t> d;
  for (const std::int64_t x : v) d.push_back(distance(x, middle));
  return median(std::move(d));
}

struct matches {
  std::vector<std::int64_t> differences;   // there - here, of what both have
  bool ambiguous = false;                  // captures of different length that fit in more than one way
  bool assumed = false;                    // they fit as if captured at the same moment, and in another way as well
};

// The k-th of `a` equal ones there, the k-th of `b` here; lag: how many more of them lie before the first pair there than here.
inline std::vector<std::int64_t> differences(const rendezvous* there, std::size_t a, const rendezvous* here, std::size_t b, std::ptrdiff_t lag) {
  constexpr std::size_t most_pairs = 4096;
  const std::size_t x = lag > 0 ? static_cast<std::size_t>(lag) : 0, y = lag < 0 ? static_cast<std::size_t>(-lag) : 0;
  std::vector<std::int64_t> d;
  for (std::size_t k = 0; k < most_pairs && x + k < a && y + k < b; ++k) d.push_back(minus(there[x + k].at, here[y + k].at));
  return d;
}

// The k-th of a name there belongs to the k-th here, where the captures began and ended at the same moments. Where not, the lag that makes the differences
// most alike is right, if there is one that does. Tried are those that leave nobody of the shorter side alone, and, as far as at least half of it
// remains, those beyond. `expected`: what the differences should be near to, where known: it decides among the lags that fit equally well.
inline matches match(const std::vector<rendezvous>& there, const std::vector<rendezvous>& here, std::optional<std::int64_t> expected) {
  constexpr std::size_t most_lags = 64, most_beyond = 32;
  struct fit {
    std::ptrdiff_t lag;
    std::int64_t spread, middle;
    bool inside;
  };
  const auto good = [](std::int64_t apart, std::int64_t best) { return apart / 2 <= (nanoseconds{best} + nanoseconds{500}).ns; };  // a microsecond is nothing between two GPUs
  matches out;
  for (std::size_t i = 0, j = 0; i < there.size() && j < here.size();) {
    if (there[i].what != here[j].what) {
      if (there[i].what < here[j].what) ++i;
      else ++j;
      continue;
    }
    std::size_t ei = i, ej = j;
    while (ei < there.size() && there[ei].what == there[i].what) ++ei;
    while (ej < here.size() && here[ej].what == here[j].what) ++ej;
    const std::size_t a = ei - i, b = ej - j, shorter = a < b ? a : b, longer = a < b ? b : a;
    const std::size_t least = (std::max)(std::size_t{3}, (shorter + 1) / 2), beyond = shorter > least ? (std::min)(shorter - least, most_beyond) : 0;
    const auto inner = static_cast<std::ptrdiff_t>((std::min)(longer - shorter, most_lags - 1)), outer = static_cast<std::ptrdiff_t>(beyond);
    std::vector<fit> fits;
    std::int64_t best = INT64_MAX, best_inside = INT64_MAX;
    for (std::ptrdiff_t n = -outer; n <= inner + outer; ++n) {
      const std::ptrdiff_t lag = a < b ? -n : n;
      const std::vector<std::int64_t> d = differences(&there[i], a, &here[j], b, lag);
      const std::int64_t middle = median(d);
      fits.push_back({lag, spread(d, middle), middle, n >= 0 && n <= inner});
      best = (std::min)(best, fits.back().spread);
      if (fits.back().inside) best_inside = (std::min)(best_inside, fits.back().spread);
    }
    const bool inside = !expected && good(best_inside, best);
    const fit* chosen = nullptr;
    std::size_t as_good = 0;
    for (const fit& f : fits) {
      if (!good(f.spread, inside ? best_inside : best)) continue;
      if (inside && !f.inside) {
        out.assumed = true;
        continue;
      }
      ++as_good;
      const auto badness = [&](const fit& x) { return expected ? distance(x.middle, *expected) : x.spread; };
      if (chosen == nullptr || badness(f) < badness(*chosen) || (badness(f) == badness(*chosen) && f.inside && !chosen->inside)) chosen = &f;
    }
    // One pair has no spread: nothing tells a right lag from a wrong one. Nor does a second lag that fits almost as well.
    if (!expected && (longer != shorter || !inside) && (shorter < 3 || as_good > 1)) {
      out.ambiguous = true;
    } else {
      const std::vector<std::int64_t> d = differences(&there[i], a, &here[j], b, chosen->lag);
      out.differences.insert(out.differences.end(), d.begin(), d.end());
    }
    i = ei, j = ej;
  }
  return out;
}

struct span_of_time {
  std::int64_t begin = INT64_MAX, end = INT64_MIN;
};
// Of the work on devices, or of everything where there is none.
inline span_of_time span_of(const model::timeline& t) {
  span_of_time s;
  const auto look = [&](const auto& events) {
    for (const auto& e : events) {
      if (e.begin.ns < s.begin) s.begin = e.begin.ns;
      if (e.end().ns > s.end) s.end = e.end().ns;
    }
  };
  look(t.gpu);
  if (t.gpu.empty()) look(t.api), look(t.ops), look(t.annotations), look(t.frames);
  return s;
}

// 12.3 ms, 4.2 s: for messages.
inline std::string say_time(std::int64_t ns) {
  const std::int64_t size = ns < 0 ? -(ns + 1) : ns;
  const auto [unit, word] = size >= 1'000'000'000 ? std::pair<std::int64_t, const char*>{1'000'000'000, " s"} : size >= 1'000'000 ? std::pair<std::int64_t, const char*>{1'000'000, " ms"} : std::pair<std::int64_t, const char*>{1000, " us"};
  const std::int64_t tenths = ns / (unit / 10);
  std::string out = tenths < 0 ? "-" : "";
  const std::int64_t t = tenths < 0 ? -tenths : tenths;
  return out.append(std::to_string(t / 10)).append(".").append(std::to_string(t % 10)).append(word);
}

inline bool shift_all(model::timeline& t, std::int64_t shift) {
  bool fits = true;
  const auto move = [&](auto& events) {
    for (auto& e : events) fits = !__builtin_add_overflow(e.begin.ns, shift, &e.begin.ns) && fits;
  };
  move(t.gpu), move(t.api), move(t.ops), move(t.frames), move(t.annotations), move(t.syncs);
  return fits;
}

// Appends a part whose times are on `to`'s clock already.
inline void append(model::timeline& to, model::timeline&& from) {
  const std::uint64_t refused = to.names.refused();
  std::vector<name_id> names(from.names.size());
  for (name_id i = 0; i < names.size(); ++i) names[i] = to.names.intern(from.names[i]);
  to.count(model::trace_fault::too_many_names, {}, "names of all parts together are more than the limit", to.names.refused() - refused);
  const auto text = [&](name_id& n) { n = n < names.size() ? names[n] : 0; };
  const auto tracks = static_cast<std::uint32_t>(to.tracks.size()), details = static_cast<std::uint32_t>(to.details.size());
  const auto processes = static_cast<std::uint16_t>(to.processes.size());
  const auto track = [&](std::uint32_t& k) { if (k != model::no_index) k += tracks; };
  const auto detail = [&](std::uint32_t& d) { d = d == 0 ? 0 : d - 1 + details; };
  const auto of_process = [&](std::uint16_t& p) { p = static_cast<std::uint16_t>(p + processes); };

  for (model::process& p : from.processes) text(p.pid), text(p.name), text(p.label), to.processes.push_back(std::move(p));
  if (to.processes.size() == processes) to.processes.emplace_back();
  for (model::device& d : from.devices) of_process(d.process), to.devices.push_back(std::move(d));
  for (model::track& k : from.tracks) text(k.pid), text(k.tid), text(k.name), of_process(k.process), to.tracks.push_back(k);
  for (std::size_t i = 1; i < from.details.size(); ++i) {
    model::gpu_detail d = from.details[i];
    text(d.collective), text(d.group), text(d.dtype), to.details.push_back(d);
  }
  const auto by_name = [&](std::vector<name_id>& into, const std::vector<name_id>& had) {
    for (std::size_t i = 0; i < had.size() && i < names.size(); ++i) {
      if (had[i] == 0 || had[i] >= names.size()) continue;
      if (into.size() <= names[i]) into.resize(std::size_t{names[i]} + 1);
      into[names[i]] = names[had[i]];
    }
  };
  by_name(to.short_names, from.short_names), by_name(to.mangled_names, from.mangled_names);

  for (model::gpu_event e : from.gpu) text(e.name), track(e.track), detail(e.detail), of_process(e.process), to.gpu.push_back(e);
  from.gpu = {};
  for (model::api_call e : from.api) text(e.name), text(e.kernel), track(e.track), detail(e.detail), to.api.push_back(e);
  from.api = {};
  for (model::cpu_op e : from.ops) text(e.name), track(e.track), to.ops.push_back(e);
  from.ops = {};
  for (model::frame e : from.frames) text(e.name), track(e.track), to.frames.push_back(e);
  from.frames = {};
  for (model::annotation e : from.annotations) text(e.name), text(e.domain), track(e.track), to.annotations.push_back(e);
  from.annotations = {};
  for (model::sync_event e : from.syncs) text(e.name), track(e.track), of_process(e.process), to.syncs.push_back(e);
  from.syncs = {};

  model::trace_about &a = to.about, &b = from.about;
  a.file_bytes += b.file_bytes, a.text_bytes += b.text_bytes, a.events += b.events;
  if (a.format != b.format) a.format = model::trace_format::none;
  const auto add = [](auto& into, const auto& more) {
    for (const auto& [key, n] : more) {
      auto at = into.begin();
      while (at != into.end() && at->first != key) ++at;
      if (at == into.end()) into.emplace_back(key, n);
      else at->second += n;
    }
  };
  add(a.by_phase, b.by_phase), add(a.by_category, b.by_category);
  a.with_stack = a.with_stack || b.with_stack, a.record_shapes = a.record_shapes || b.record_shapes;
  for (const model::trace_loss& l : from.lost) to.count(l.fault, l.first_byte, std::string(base_name(b.file)).append(b.file.empty() || l.note.empty() ? "" : ": ").append(l.note), l.count);
}

}  // namespace detail

HOTPATH_FN result<merged> merge(std::vector<model::timeline> parts, const merge_options& o) {
  if (parts.size() < 2) return error{.code = errc::usage, .detail = "one trace alone cannot be merged, want two or more"};
  merged out;
  const std::size_t n = parts.size();
  std::size_t processes = 0;
  for (const model::timeline& p : parts) processes += p.processes.empty() ? 1 : p.processes.size();
  if (processes > UINT16_MAX) return error{.code = errc::over_limit, .detail = "more than 65,535 processes"};
  for (const model::timeline& p : parts) {
    const bool told = !p.processes.empty();
    out.clocks.push_back({.source = told && !p.processes[0].source.empty() ? p.processes[0].source : std::string(base_name(p.about.file)), .rank = told ? p.processes[0].rank : std::nullopt, .shift = {}, .matched = 0, .matched_by = {}, .residual_median = {}, .residual_max = {}});
  }
  const auto called = [&](std::size_t i) { return out.clocks[i].source.empty() ? "part " + std::to_string(i + 1) : out.clocks[i].source; };
  const auto refuse = [&](std::string detail, std::string hint) { return error{.code = errc::unsupported, .detail = std::move(detail), .source = called(0), .hint = std::move(hint)}; };
  const auto offset = [&](std::size_t i) { return parts[i].processes.empty() ? std::optional<nanoseconds>() : parts[i].processes[0].unix_offset; };

  // What the files say of their clocks.
  const std::string request = "align them by what happened on both: --align collective, or --align step";
  std::size_t with = n, without = n, epoch = n, based = n;
  for (std::size_t i = n; i-- > 0;) {
    (offset(i) ? with : without) = i;
    if (offset(i)) (offset(i)->ns == 0 ? epoch : based) = i;
  }
  if (o.align == alignment::none || o.align == alignment::unix_time) {
    if (with == n) return refuse("no trace tells the Unix time of its clock, so the clocks cannot be compared", request);
    if (without != n) return refuse(called(with) + " tells the Unix time of its clock, " + called(without) + " does not: their times cannot be compared", request);
    if (o.align == alignment::none && epoch != n && based != n)
      return refuse(called(based) + " has a base time, the times of " + called(epoch) + " are Unix times without one: written by different profilers, perhaps not comparable", "--align unix_time takes both as they are; " + request);
  }

  const auto there = o.align == alignment::step ? detail::steps_of(parts[0]) : detail::collectives_of(parts[0]);
  const detail::span_of_time first = detail::span_of(parts[0]);
  for (std::size_t i = 1; i < n; ++i) {
    clock_check& c = out.clocks[i];
    const auto here = o.align == alignment::step ? detail::steps_of(parts[i]) : detail::collectives_of(parts[i]);
    std::int64_t shift = 0;
    const bool by_unix = o.align == alignment::none || o.align == alignment::unix_time;
    if (by_unix && __builtin_sub_overflow(offset(i)->ns, offset(0)->ns, &shift)) return refuse("the base time of " + called(i) + " is beyond 64 bits", request);
    std::optional<std::int64_t> expected;   // what the base times say, where both are of one kind
    if (by_unix) expected = shift;
    else if (offset(0) && offset(i) && (offset(0)->ns == 0) == (offset(i)->ns == 0)) expected = detail::minus(offset(i)->ns, offset(0)->ns);
    detail::matches m = detail::match(there, here, expected);
    c.matched = m.differences.size();
    if (c.matched != 0) c.matched_by = o.align == alignment::step ? "steps" : "collectives";
    if (!by_unix) {
      const std::string what = o.align == alignment::step ? "annotation" : "collective";
      if (c.matched == 0 && m.ambiguous) return refuse(called(i) + " and " + called(0) + " were captured at different moments, and their " + what + "s fit in more than one way", "capture the same steps on all ranks");
      if (c.matched == 0) return refuse(called(i) + " has no " + what + " in common with " + called(0), o.align == alignment::step ? "try --align collective" : "try --align step");
      shift = detail::median(m.differences);
      const std::string by = called(i) + " and " + called(0) + ": by their " + what + "s";
      if (expected && detail::distance(shift, *expected) > o.tolerance.ns) out.notes.push_back(by + " the clocks differ by " + detail::say_time(shift) + ", by their base times " + detail::say_time(*expected) + ".");
      if (m.assumed) out.notes.push_back(by + " they fit in more than one way, and were taken as captured at the same moment.");
    }
    c.shift = nanoseconds{shift};
    if (c.matched != 0) {
      std::int64_t most = 0;
      for (const std::int64_t d : m.differences) if (detail::distance(d, shift) > most) most = detail::distance(d, shift);
      c.residual_median = nanoseconds{detail::spread(m.differences, shift)}, c.residual_max = nanoseconds{most};
    }
    const bool agree = !c.residual_median || *c.residual_median <= o.tolerance;
    const std::string apart = agree ? std::string() : called(i) + " and " + called(0) + ": " + std::to_string(c.matched) + " common " + c.matched_by + " are " + detail::say_time(c.residual_median->ns) + " apart (median)";
    if (o.align == alignment::none && !agree) return refuse("the clocks do not agree. " + apart + ", more than " + detail::say_time(o.tolerance.ns), request);
    if (!agree) out.notes.push_back(apart + (by_unix ? " by their base times: compare their times with care." : " after the alignment: compare their times with care."));
    if (!c.residual_median) {
      const detail::span_of_time s = detail::span_of(parts[i]);
      const nanoseconds begin = nanoseconds{s.begin} + c.shift, end = nanoseconds{s.end} + c.shift;
      const bool apart_in_time = s.begin <= s.end && first.begin <= first.end && (begin.ns > first.end || end.ns < first.begin);
      if (apart_in_time && o.align == alignment::none) {
        const std::int64_t gap = begin.ns > first.end ? detail::minus(begin.ns, first.end) : detail::minus(first.begin, end.ns);
        return refuse("the work of " + called(i) + " and " + called(0) + " does not overlap: " + detail::say_time(gap) + " lie between; different runs, or clocks that differ", "--align unix_time merges them all the same; " + request);
      }
      out.notes.push_back(called(i) + " has no collective in common with " + called(0) + ": its clock was taken from its base time and could not be verified.");
    }
    if (shift == INT64_MIN || shift == INT64_MAX || !detail::shift_all(parts[i], shift)) return refuse("times of " + called(i) + " are beyond 64 bits on the clock of " + called(0), "these files do not belong together");
  }
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (out.clocks[i].rank && out.clocks[i].rank == out.clocks[k].rank) out.notes.push_back(called(i) + " and " + called(k) + " are both of rank " + std::to_string(*out.clocks[i].rank) + ".");

  const auto unix_offset = offset(0);
  for (std::size_t i = 0; i < n; ++i) {
    if (parts[i].processes.empty()) parts[i].processes.emplace_back();
    for (model::process& p : parts[i].processes) {
      p.clock = o.align == alignment::none || o.align == alignment::unix_time ? model::clock_kind::unix_time : i == 0 ? p.clock : model::clock_kind::aligned;
      p.shift += out.clocks[i].shift;
      p.unix_offset = unix_offset;
    }
  }
  out.trace = std::move(parts[0]);
  for (std::size_t i = 1; i < n; ++i) {
    detail::append(out.trace, std::move(parts[i]));
    parts[i] = {};
  }
  out.trace.about.rank.reset();
  out.trace.about.file += " and " + std::to_string(n - 1) + " more";
  out.trace.sort();
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/repair.hpp
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
// ---- hotpath/trace/detail/raw_events.hpp
// hotpath/trace/detail/raw_events.hpp - a Chrome JSON file written from the raw events of another one: always valid JSON, whatever the other was.
// ---- hotpath/trace/detail/own_member.hpp
// hotpath/trace/detail/own_member.hpp - what our writers put into a trace beside what profilers do: the root's member "hotpath". Not for users.
//   {"lost": [{"fault": "truncated", "count": 1}], "processes": [{"pid": "12", ..., "clock": "aligned"}]}: what the file was made of had losses that
//   are not seen in it any more; the clock of its processes is one.
// ---- hotpath/trace/detail/own_member.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

inline constexpr std::string_view own_member = "hotpath";
inline constexpr std::string_view clock_words[] = {"own", "unix_time", "aligned"};  // by clock_kind

inline void write_lost(json::writer& o, std::span<const model::trace_loss> lost) {
  o.key("lost"), o.array_begin();
  for (const model::trace_loss& l : lost)
    if (l.count != 0) o.object_begin(), o.member("fault", model::name_of(l.fault)), o.member("count", l.count), o.object_end();
  o.array_end();
}

struct told_by_writer {
  std::uint64_t lost[model::trace_fault_count] = {};
  bool one_clock = false;                  // of all processes
};
inline void read_own_member(std::string_view value, told_by_writer& out) {
  json::reader in(value, json::mode::tolerant_text);
  if (in.peek() != json::kind::object) return;
  std::size_t processes = 0, apart = 0;
  in.object([&](std::string_view key) {
    if (in.peek() != json::kind::array) return;
    if (key == "lost") in.array([&] {
      if (in.peek() != json::kind::object) return;
      std::size_t fault = model::trace_fault_count;
      std::int64_t count = 0;
      in.object([&](std::string_view k) {
        std::string_view text;
        if (k == "fault" && in.peek() == json::kind::string && in.string(text)) {
          for (std::size_t f = 0; f < model::trace_fault_count; ++f)
            if (text == model::name_of(static_cast<model::trace_fault>(f))) fault = f;
        } else if (k == "count" && in.peek() == json::kind::number && !in.integer(count)) {
          count = 0;
        }
      });
      if (fault < model::trace_fault_count && count > 0) out.lost[fault] = static_cast<std::uint64_t>(count);
    });
    else if (key == "processes") in.array([&] {
      if (in.peek() != json::kind::object) return;
      bool own = true;
      in.object([&](std::string_view k) {
        std::string_view text;
        if (k == "clock" && in.peek() == json::kind::string && in.string(text)) own = text == clock_words[0];
      });
      if (processes++ != 0 && own) ++apart;
    });
  });
  out.one_clock = processes > 1 && apart == 0;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/sink.hpp
// hotpath/trace/sink.hpp - where the writers of traces put their bytes: any callable that takes a std::string_view and says whether it worked.
//
//     std::string out;
//     auto keep = [&](std::string_view bytes) { out += bytes; return true; };
//     trace::write_chrome(timeline, keep);
//
//   A reference to the callable, which outlives the call; one indirect call per 64 KiB.
// ---- hotpath/trace/sink.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

class byte_sink {
 public:
  template <class F>
    requires(std::is_invocable_r_v<bool, F&, std::string_view> && !std::is_same_v<std::remove_cv_t<F>, byte_sink>)
  byte_sink(F& f) : self_(&f), call_([](void* self, std::string_view bytes) -> bool { return (*static_cast<F*>(self))(bytes); }) {}
  // False: no more is wanted; the writer stops.
  bool operator()(std::string_view bytes) const { return call_(self_, bytes); }

 private:
  void* self_;
  bool (*call_)(void*, std::string_view);
};

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/detail/raw_events.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

inline bool is_json(std::string_view text) {
  json::reader in(text);
  return in.skip() && in.finish();
}

// Escapes control characters inside strings, replaces halves of surrogate pairs and ill-formed UTF-8 by U+FFFD. Structure is left as it is.
inline std::string clean_json(std::string_view raw) {
  std::string out;
  bool in_string = false;
  const auto hex4 = [&](std::size_t at) {
    unsigned v = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
      const char c = i < raw.size() ? raw[i] : '\0';
      const unsigned d = c >= '0' && c <= '9' ? static_cast<unsigned>(c - '0') : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10 : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10 : 0x10000u;
      v = v > 0xFFFF || d > 0xF ? 0x10000u : v << 4 | d;
    }
    return v;
  };
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == '"') in_string = !in_string;
    if (!in_string || (static_cast<unsigned char>(c) >= 0x20 && c != '\\')) {
      out += c;
    } else if (c != '\\') {
      constexpr char digits[] = "0123456789abcdef";
      out.append("\\u00").append({digits[(c >> 4) & 15], digits[c & 15]});
    } else if (i + 1 < raw.size() && raw[i + 1] == 'u') {
      const unsigned v = hex4(i + 2), next = v >= 0xD800 && v < 0xDC00 && i + 7 < raw.size() && raw[i + 6] == '\\' && raw[i + 7] == 'u' ? hex4(i + 8) : 0;
      if (next >= 0xDC00 && next < 0xE000) out.append(raw.substr(i, 12)), i += 11;
      else if (v >= 0xD800 && v < 0xE000) out.append("\\ufffd"), i += 5;
      else out += c;
    } else {
      out += c;
      if (i + 1 < raw.size()) out += raw[++i];
    }
  }
  return text::is_utf8(out) ? out : text::repair_utf8(out);
}

// before(), event() and after() as trace::scan calls them, then finish(). Text around the events that cannot be mended is replaced by the least that
// makes a trace.
class raw_writer {
 public:
  explicit raw_writer(byte_sink sink) : sink_(sink) {}

  void before(std::string_view text) { before_.append(text); }
  void after(std::string_view text) { after_.append(text); }
  void event(std::string_view raw) {
    begin();
    const std::size_t size = buffer_.size();
    if (kept != 0) buffer_ += ",\n";
    if (is_json(raw)) {
      buffer_ += raw;
    } else {
      const std::string clean = clean_json(raw);
      if (!is_json(clean)) return void((buffer_.resize(size), ++dropped));
      buffer_ += clean;
      ++cleaned;
    }
    ++kept;
    if (buffer_.size() >= 64 << 10) flush();
  }
  // `lost`: what reading the other file has met. What is missing in this one is said in it; a bare list has no place for that. False: the sink refused.
  bool finish(const std::vector<model::trace_loss>& lost) {
    begin();
    const std::string open = array_ ? "[" : "{\"traceEvents\":[";
    // A NUL ends the document for readers that are lenient, and is an error for the others.
    const auto cut = [&] {
      if (const auto nul = after_.find('\0'); nul != std::string::npos) after_.resize(nul);
    };
    if (is_json(open + after_)) cut();
    if (!is_json(open + after_)) {
      closed = true;  // the list had no end, or what followed was no JSON
      lost_after = after_.size() > 1;
      after_ = clean_json(after_);
      cut();
      if (!is_json(open + after_)) after_ = array_ ? "]" : "]}";
      else lost_after = false;
    }
    if (!array_) say(lost);
    buffer_ += after_;
    buffer_ += '\n';
    flush();
    return !refused_;
  }

  std::uint64_t kept = 0, cleaned = 0, dropped = 0, bytes = 0;   // events; bytes written
  bool closed = false, lost_before = false, lost_after = false;

 private:
  void begin() {
    if (begun_) return;
    begun_ = true;
    if (before_.starts_with("\xEF\xBB\xBF")) before_.erase(0, 3);  // many readers refuse it
    array_ = text::trim(before_) == "[";
    const auto fits = [&](const std::string& s) { return is_json(s + (array_ ? "]" : "]}")); };
    if (!fits(before_)) before_ = clean_json(before_);
    if (!fits(before_)) before_ = "{\"traceEvents\":[", lost_before = true;
    before_ += '\n';
    buffer_ = std::move(before_);
  }
  void say(std::vector<model::trace_loss> lost) {
    if (dropped != 0) lost.push_back({.fault = model::trace_fault::malformed_event, .count = dropped, .first_byte = {}, .note = {}});
    std::erase_if(lost, [](const model::trace_loss& l) { return l.fault == model::trace_fault::repaired_text || l.count == 0; });
    if (lost.empty()) return;
    std::string text(",\"");
    text.append(own_member).append("\":");
    json::writer o(text);
    o.object_begin(), write_lost(o, lost), o.object_end();
    after_.insert(after_.rfind('}'), text);
  }
  void flush() {
    if (!refused_ && !buffer_.empty()) refused_ = !sink_(buffer_);
    bytes += buffer_.size();
    buffer_.clear();
  }

  byte_sink sink_;
  std::string before_, after_, buffer_;
  bool begun_ = false, array_ = false, refused_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/scan.hpp
// hotpath/trace/scan.hpp - the events of a Chrome / Kineto JSON trace one by one, as they stand in the file, in memory that does not grow
//   with it: for tools that copy, cut, mend or convert traces. Who wants a timeline calls trace::read.
//
//     struct {
//       void before(std::string_view text) { out += text; }            // all up to and including the `[` of traceEvents, in pieces
//       void event(const trace::event_view& e) { if (wanted(e)) (n++ ? out += ',' : out).append(e.raw); }
//       void after(std::string_view text) { out += text; }             // from the `]` on, in pieces; nothing where the file was cut
//     } sink;
//     auto s = trace::scan<trace::zlib>("rank0.json.gz", sink);        // result<scanned>; trace::scan(path, sink) for plain files
//     auto t = trace::scan_text(text, sink);
//
//   Each member of a sink may be missing. Damage: a file that ends early gives its complete events; an event that is no JSON is mended where the
//   defect is known (a quote or a number such as NaN or inf written raw), else left out; scanning goes on at the next event. All of it is counted
//   in scanned::lost. Under options.strict anything that nlohmann::json would not accept is an error.
//   Memory: one chunk, one event or member of the root (options.value). Thread safety: none; calls are independent.
// ---- hotpath/trace/source.hpp
// hotpath/trace/source.hpp - the bytes of a trace file, plain or gzip, as a stream of text; and what kind of file it is, told by content.
//
//     trace::text_file<trace::zlib> file;                              // trace::plain: no inflater
//     if (auto opened = file.open("rank0.json.gz"); !opened) return opened.error();
//     while (std::size_t n = file.read(buffer, sizeof buffer)) use({buffer, n});
//     file.lost();                                                     // a cut or damaged gzip stream, a wrong checksum
//
//   An inflater is a type (trace/zlib.hpp, trace/isal.hpp): this header names no library. Thread safety: one thread at a time.
// ---- hotpath/trace/source.hpp

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
// ---- hotpath/trace/source-inl.hpp
// hotpath/trace/source-inl.hpp - bodies of source.hpp.
// ---- hotpath/trace/source-inl.hpp

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
// ---- hotpath/trace/scan.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

// The views live until the sink returns.
struct event_view {
  std::string_view raw;                   // the event from `{` to `}`, as in the file (mended, where it had to be)
  std::uint64_t byte = 0;                 // where it begins in the text
  char phase = 0;                         // first byte of ph; 0: none
  std::string_view category, name;        // decoded; "" where absent
  std::string_view pid, tid;              // numbers as written, strings decoded; "" where absent
  std::optional<nanoseconds> ts, dur;     // empty: absent, or no number of 64-bit nanoseconds
};

struct scanned {
  std::uint64_t events = 0;               // elements of traceEvents, wrong ones too
  std::uint64_t text_bytes = 0, file_bytes = 0;
  bool array_root = false;                // the file is the array of events itself
  bool complete = false;                  // the list of events was closed
  bool two_writers = false;               // a second document begins inside, or behind, this one
  std::vector<std::string> keys;          // of the root, in order; at most 256
  std::vector<model::trace_loss> lost;    // by fault
  bool partial() const { return !lost.empty(); }
};

namespace detail {

enum class where : std::uint8_t { start, root_first, root_member, root_rest, events_first, events_value, events_rest, end, failed };
enum class stop : std::uint8_t { text_end, cut_short, array_end, syntax };
struct stopped {
  stop why;
  std::size_t at;       // go on here; of cut_short and syntax: where the element begins
  std::uint64_t fault;  // of syntax: where it is, in the text
};

inline std::size_t skip_white(std::string_view t, std::size_t p) {
  while (p != t.size() && is_white(t[p])) ++p;
  return p;
}

// Elements of traceEvents from text[p] on. `state`: events_first, events_value or events_rest, kept up to date.
template <class Handler>
stopped scan_events(json::reader& in, std::string_view text, std::size_t p, std::uint64_t offset, where& state, Handler& h) {
  for (;;) {
    p = skip_white(text, p);
    if (p == text.size()) return {stop::text_end, p, 0};
    const char c = text[p];
    if (state == where::events_rest) {
      if (c != ',' && c != ']') return {stop::syntax, p, offset + p};
      ++p;
      if (c == ']') return {stop::array_end, p, 0};
      state = where::events_value;
      continue;
    }
    if (c == ']' && state == where::events_first) return {stop::array_end, p + 1, 0};
    if (c == '\xEF') return {stop::syntax, p, offset + p};  // reset() would skip a byte order mark
    in.reset(text.substr(p));
    const bool right = c == '{' ? h.event(in, text.substr(p), offset + p) : in.skip();
    if (!right) return {in.cut_short() ? stop::cut_short : stop::syntax, p, offset + p + in.offset()};
    if (c != '{') {
      if (p + in.offset() == text.size()) return {stop::cut_short, p, 0};  // a number may go on
      h.odd_element(offset + p);
    }
    p += in.offset();
    state = where::events_rest;
  }
}

// What is wrong with an event, in place: a raw NaN, nan, inf, -Infinity ... becomes "" and blanks, and a quote that stands raw in a string gets its
// backslash. False: `event` is not JSON for another reason, or more than 32 places are. `fault`: where the reader found something else.
bool mend(std::string& event, std::size_t fault, unsigned& tries);

// The document around the events: prolog, list, epilog, in chunks, in order. Handler:
//   bool event(json::reader&, std::string_view text, std::uint64_t byte)   reads one object; false after a syntax error. Must keep nothing then.
//   void odd_element(byte)                                                  an element that is no object
//   void member(std::string_view key, std::string_view json)               of the root, but traceEvents
//   void around(std::string_view text, bool after)
//   void lost(model::trace_fault, std::uint64_t byte, std::string note)
template <class Handler>
class document {
 public:
  document(Handler& h, const read_options& o) : h_(h), options_(o), in_({}, o.strict ? json::mode::strict : json::mode::tolerant_text) {}

  // The next text, in order.
  void feed(std::string_view text, bool last) {
    if (state_ == where::failed) return;
    if (skips_) {
      offset_end_ += text.size();
      text.remove_prefix(skip_member(text));
      offset_end_ -= text.size();
    }
    if (!pending_.empty() || gap_) {
      pending_.append(text);
      offset_end_ += text.size();
      if (!last && pending_.size() < try_at_) return;
      const std::size_t used = run(pending_, offset_end_ - pending_.size(), last);
      pending_.erase(0, used);
    } else {
      offset_end_ += text.size();
      const std::size_t used = run(text, offset_end_ - text.size(), last);
      pending_.assign(text.substr(used));
    }
    // A value that is longer than what is there is tried again when there is twice as much of it.
    try_at_ = 2 * pending_.size();
    if (pending_.size() > options_.value && !last && state_ != where::failed) too_long();
    if (last) finish();
  }
  // A chunk that begins with an event may be scanned by somebody else, who then tells where it ended: in text that was not fed.
  bool at_event() const { return pending_.empty() && (state_ == where::events_value || state_ == where::events_first) && !gap_; }
  void skip_events(std::size_t size, where state) {
    offset_end_ += size;
    state_ = state;
  }
  // As above, and the list ended there: `text` stands behind its bracket.
  void close_events(std::string_view text, bool last) {
    about.complete = true;
    state_ = about.array_root ? where::end : where::root_rest;
    feed(text, last);
  }
  json::mode mode() const { return options_.strict ? json::mode::strict : json::mode::tolerant_text; }
  const std::optional<error>& failed() const { return failed_; }
  bool found_events() const { return found_events_; }
  scanned about;

 private:
  void fail(std::uint64_t byte, std::string detail) {
    state_ = where::failed;
    failed_ = error{.code = errc::malformed, .detail = std::move(detail), .byte = byte, .has_byte = true};
  }
  // A syntax error outside of an event.
  void broken(std::uint64_t byte, std::string what) {
    if (options_.strict) fail(byte, std::move(what));
    else lose(model::trace_fault::damaged, byte, std::move(what));
  }
  void lose(model::trace_fault f, std::uint64_t byte, std::string note) { h_.lost(f, byte, std::move(note)); }
  void other_writer(std::string_view text, std::uint64_t byte) {
    if (about.two_writers) return;
    for (const std::string_view key : {"\"schemaVersion\"", "\"traceEvents\"", "\"deviceProperties\"", "\"distributedInfo\""})
      if (text.find(key) != std::string_view::npos) about.two_writers = true;
    if (about.two_writers) lose(model::trace_fault::damaged, byte, two_writers_note());
  }
  static std::string two_writers_note() { return "a second document begins inside this one: two processes wrote to the same file; give each rank a file of its own"; }

  // Returns how much of the text is done with; the rest needs more text.
  std::size_t run(std::string_view text, std::uint64_t offset, bool last) {
    std::size_t p = 0, told = 0;  // told: what h_.around() need not be told any more
    while (state_ != where::failed) {
      if (gap_) {
        if (!close_gap(text, p, offset, last)) break;
        told = p;
      }
      if (state_ >= where::events_first && state_ <= where::events_rest) {
        const stopped s = scan_events(in_, text, p, offset, state_, h_);
        told = p = s.at;
        if (s.why == stop::array_end) {
          about.complete = true;
          state_ = about.array_root ? where::end : where::root_rest;
          told = p - 1;
        } else if (s.why != stop::syntax || !syntax(text, p, s.fault, offset, last)) {
          break;
        } else {
          told = p;
        }
        continue;
      }
      const bool on = outside(text, p, offset, last);
      if (!on || state_ == where::events_first) {
        h_.around(text.substr(told, p - told), about.complete);
        told = p;
      }
      if (!on) break;
    }
    return p;
  }

  // One step through what stands around the events. False: no more can be done with this text.
  bool outside(std::string_view text, std::size_t& p, std::uint64_t offset, bool last) {
    if (state_ == where::start) {
      if (text.size() - p < 3 && !last) return false;
      if (text.substr(p).starts_with("\xEF\xBB\xBF")) p += 3;
    }
    const std::size_t begin = skip_white(text, p);
    if (begin == text.size()) {
      if (state_ == where::end || state_ == where::root_rest || state_ == where::start) p = begin;
      return false;
    }
    const char c = text[begin];
    switch (state_) {
      case where::start:
        if (c != '{' && c != '[') return fail(offset + begin, "this is neither an object with traceEvents nor an array of events"), false;
        p = begin + 1;
        about.array_root = c == '[';
        found_events_ = about.array_root;
        state_ = about.array_root ? where::events_first : where::root_first;
        return true;
      case where::root_first:
      case where::root_rest:
        if (c == '}') {
          p = begin + 1;
          state_ = where::end;
          return true;
        }
        if (state_ == where::root_rest) {
          if (c != ',') return lose_root(text, p, offset + begin, "want ',' or '}' here");
          p = begin + 1;
          state_ = where::root_member;
          return true;
        }
        [[fallthrough]];
      case where::root_member: return member(text, p, begin, offset, last);
      case where::end:
        if (options_.strict) {
          if (c != '\0') fail(offset + begin, "something follows the end of the document");
          p = text.size();
          state_ = c != '\0' ? where::failed : where::end;
          ignore_rest_ = true;
          return false;
        }
        p = text.size();
        if (!ignore_rest_ && c != '\0') {
          about.two_writers = true;
          lose(model::trace_fault::damaged, offset + begin,
               "text follows the end of the document and was left out: two processes wrote to the same file; give each rank a file of its own");
        }
        ignore_rest_ = true;
        return false;
      default: return false;
    }
  }

  bool member(std::string_view text, std::size_t& p, std::size_t begin, std::uint64_t offset, bool last) {
    if (text[begin] != '"') return lose_root(text, p, offset + begin, "want a name in quotes here");
    in_.reset(text.substr(begin));
    std::string_view key;
    if (!in_.string(key)) return in_.cut_short() && !last ? false : lose_root(text, p, offset + begin + in_.offset(), "the root holds something that is not JSON");
    key_.assign(key);
    std::size_t q = skip_white(text, begin + in_.offset());
    if (q == text.size()) return false;
    if (text[q] != ':') return lose_root(text, p, offset + q, "want ':' here");
    q = skip_white(text, q + 1);
    if (q == text.size()) return false;
    if (text[q] == '[' && key_ == "traceEvents") {
      note_key();
      p = q + 1;
      found_events_ = true;
      state_ = where::events_first;
      return true;
    }
    if (text[q] == '\xEF') return lose_root(text, p, offset + q, "want a value here");
    in_.reset(text.substr(q));
    std::string_view value;
    if (!in_.raw(value)) return in_.cut_short() && !last ? false : lose_root(text, p, offset + q + in_.offset(), "the root holds something that is not JSON");
    if (q + in_.offset() == text.size() && !last) return false;  // a number may go on
    note_key();
    p = q + in_.offset();
    state_ = where::root_rest;
    h_.member(key_, value);
    return true;
  }
  void note_key() {
    if (about.keys.size() < 256) about.keys.push_back(key_.substr(0, 256));
  }

  // The root is no JSON from here on: before the events, look for them; behind them, leave the rest.
  bool lose_root(std::string_view text, std::size_t& p, std::uint64_t byte, std::string what) {
    broken(byte, std::move(what));
    if (options_.strict) return false;
    if (found_events_) {
      other_writer(text.substr(p), byte);
      p = text.size();
      state_ = where::end;
      ignore_rest_ = true;
      return false;
    }
    gap_ = true;
    return true;
  }

  // Text that nobody understands: goes on at traceEvents, or at the next event. False: not in this text.
  bool close_gap(std::string_view text, std::size_t& p, std::uint64_t offset, bool last) {
    if (!found_events_) {
      constexpr std::string_view key = "\"traceEvents\"";
      for (std::size_t at = text.find(key, p); at != std::string_view::npos; at = text.find(key, at + 1)) {
        std::size_t q = skip_white(text, at + key.size());
        if (q != text.size() && text[q] == ':') q = skip_white(text, q + 1);
        if (q == text.size() && !last) return p = at, false;
        if (q == text.size() || text[q] != '[') continue;
        note_key_text("traceEvents");
        p = q + 1;
        found_events_ = true;
        state_ = where::events_first;
        gap_ = false;
        return true;
      }
      if (text.size() - p > key.size()) p = text.size() - key.size();
      return false;
    }
    const std::size_t at = event_start_after(text, p);
    if (at == text.size()) {
      // Keep what may be the beginning of the mark.
      constexpr std::size_t mark = 256;
      if (text.size() - p > mark) other_writer(text.substr(p), offset + p), p = text.size() - mark;
      return false;
    }
    other_writer(text.substr(p, at - p), offset + p);
    p = at;
    state_ = where::events_value;
    gap_ = false;
    return true;
  }
  void note_key_text(std::string_view key) {
    key_.assign(key);
    note_key();
  }

  // At an element that is no JSON. Mends it, or gives it up and goes on behind it. False: wants more text, or the file is refused.
  bool syntax(std::string_view text, std::size_t& p, std::uint64_t fault, std::uint64_t offset, bool last) {
    std::string what = in_.ok() ? std::string("want ',' or ']' between events") : std::string("an event is not JSON: ").append(in_.failure().detail);
    if (options_.strict) return fail(fault, std::move(what)), false;
    // How far it goes: to the next event, or to the end of the list.
    constexpr std::size_t longest = 1u << 20;
    const std::size_t next = event_start_after(text, p + 1);
    if (next == text.size() && !last && next - p < longest) return false;
    std::size_t end = next;
    other_writer(text.substr(p, next - p), offset + p);
    if (next == text.size()) {
      const std::size_t bracket = text.rfind(']', text.find("\"traceName\"", p));
      end = bracket != std::string_view::npos && bracket > p ? bracket : next;
    }
    if (state_ != where::events_rest && text[p] == '{' && end - p < longest / 8 && !about.two_writers) {
      mended_.assign(text.substr(p, end - p));
      while (!mended_.empty() && mended_.back() != '}') mended_.pop_back();
      const std::size_t size = mended_.size();
      std::size_t at = static_cast<std::size_t>(fault - offset) - p;
      for (unsigned tries = 0; mend(mended_, at, tries);) {
        in_.reset(mended_);
        if (h_.event(in_, mended_, offset + p)) {
          if (skip_white(mended_, in_.offset()) != mended_.size()) break;
          lose(model::trace_fault::repaired_text, fault, "raw quotes or numbers such as NaN were mended");
          p += size;
          state_ = where::events_rest;
          return true;
        }
        at = in_.offset();
      }
    }
    h_.broken_event(text.substr(static_cast<std::size_t>(fault - offset)), fault, std::move(what));
    const std::size_t behind = end != text.size() ? skip_white(text, end + 1) : end;
    if (next != text.size()) {
      p = next;
      state_ = where::events_value;
    } else if (behind != text.size() && (text[behind] == ',' || text[behind] == '}')) {
      p = end;  // it was the last one: the list closes behind it
      state_ = where::events_rest;
    } else {
      ++p;
      gap_ = true;
    }
    return true;
  }

  void too_long() {
    const std::uint64_t begin = offset_end_ - pending_.size();
    std::string what = "an event or a member of the root is longer than ";
    what.append(std::to_string(options_.value)).append(" bytes");
    if (options_.strict) return fail(begin, std::move(what));
    lose(model::trace_fault::damaged, begin, std::move(what));
    if (about.complete && (state_ == where::root_member || state_ == where::root_rest)) {  // behind the events: over it, to the next member
      skips_ = true, skip_depth_ = 0, skip_string_ = skip_escape_ = false;
      pending_.erase(0, skip_member(pending_));
      try_at_ = 0;
      return;
    }
    pending_.erase(0, pending_.size() - 4096);
    gap_ = true;
    try_at_ = 0;
  }

  // Hands over the text of a member of the root up to the comma or brace behind it, unread. How much of the text that is.
  std::size_t skip_member(std::string_view text) {
    std::size_t p = 0;
    for (; p != text.size(); ++p) {
      const char c = text[p];
      if (skip_string_) {
        if (skip_escape_) skip_escape_ = false;
        else if (c == '\\') skip_escape_ = true;
        else if (c == '"') skip_string_ = false;
        continue;
      }
      if (skip_depth_ == 0 && (c == ',' || c == '}')) {
        skips_ = false;
        state_ = where::root_rest;
        break;
      }
      if (c == '"') skip_string_ = true;
      else if (c == '{' || c == '[') ++skip_depth_;
      else if ((c == '}' || c == ']') && skip_depth_ != 0) --skip_depth_;
    }
    h_.around(text.substr(0, p), true);
    return p;
  }

  // Behind the last text.
  void finish() {
    about.text_bytes = offset_end_;
    if (state_ == where::failed || state_ == where::end) return;
    const std::uint64_t at = offset_end_ - pending_.size();
    if (state_ == where::start) return fail(at, "the file holds no JSON");
    if (options_.strict) return fail(offset_end_, "the text ends, want more JSON");
    // An array of events needs no bracket at its end (Trace Event Format, "JSON Array Format").
    if (about.array_root && !gap_ && pending_.empty() && (state_ == where::events_rest || state_ == where::events_value)) return;
    if (!found_events_ && !gap_) return lose(model::trace_fault::truncated, at, "the file ends before the list of events");
    lose(model::trace_fault::truncated, at, about.complete ? "the file ends behind the list of events" : "the file ends inside the list of events; what comes before was kept");
  }

  Handler& h_;
  read_options options_;
  json::reader in_;
  where state_ = where::start;
  bool found_events_ = false, gap_ = false, ignore_rest_ = false;
  bool skips_ = false, skip_string_ = false, skip_escape_ = false;   // within a member that is too long to be read
  std::uint64_t skip_depth_ = 0;
  std::string pending_, key_, mended_;
  std::uint64_t offset_end_ = 0;       // of all text fed
  std::size_t try_at_ = 0;
  std::optional<error> failed_;
};

// For scan(): reads the head of an event.
template <class Sink>
class head_handler {
 public:
  explicit head_handler(Sink& sink) : sink_(sink) {}

  bool event(json::reader& in, std::string_view text, std::uint64_t byte) {
    event_view e;
    e.byte = byte;
    in.object([&](std::string_view key) {
      if (key == "ph") { std::string_view ph; if (in.string(ph) && !ph.empty()) e.phase = ph[0]; }
      else if (key == "cat") text_of(in, text, e.category, own_[0]);
      else if (key == "name") text_of(in, text, e.name, own_[1]);
      else if (key == "pid") text_of(in, text, e.pid, own_[2]);
      else if (key == "tid") text_of(in, text, e.tid, own_[3]);
      else if (key == "ts") time_of(in, e.ts);
      else if (key == "dur") time_of(in, e.dur);
    });
    if (!in.ok()) return false;
    e.raw = text.substr(0, in.offset());
    ++events;
    if constexpr (requires { sink_.event(e); }) sink_.event(static_cast<const event_view&>(e));
    return true;
  }
  void odd_element(std::uint64_t byte) {
    ++events;
    lost(model::trace_fault::malformed_event, byte, "an element of traceEvents is not an object");
  }
  void member(std::string_view, std::string_view) {}
  void around(std::string_view text, bool after) {
    if (text.empty()) return;
    if (after) { if constexpr (requires { sink_.after(text); }) sink_.after(text); }
    else if constexpr (requires { sink_.before(text); }) sink_.before(text);
  }
  void broken_event(std::string_view, std::uint64_t byte, std::string note) { lost(model::trace_fault::damaged, byte, std::move(note)); }
  void lost(model::trace_fault f, std::uint64_t byte, std::string note) { losses.count(f, byte, std::move(note)); }

  std::uint64_t events = 0;
  model::timeline losses;              // only its `lost` is used

 private:
  static void text_of(json::reader& in, std::string_view text, std::string_view& out, std::string& own) {
    if (in.peek() != json::kind::string) {
      if (in.peek() == json::kind::number) in.raw(out);
      return;
    }
    if (in.string(out) && (out.data() < text.data() || out.data() > text.data() + text.size())) out = own.assign(out);
  }
  static void time_of(json::reader& in, std::optional<nanoseconds>& out);

  Sink& sink_;
  std::string own_[4];
};

// A time in microseconds, as a number or as a string that is one.
bool read_time(json::reader& in, nanoseconds& out);

template <class Sink>
void head_handler<Sink>::time_of(json::reader& in, std::optional<nanoseconds>& out) {
  nanoseconds t;
  if (read_time(in, t)) out = t;
}

template <class Handler>
result<scanned> finish_scan(document<Handler>& d, Handler& h) {
  if (d.failed()) return *d.failed();
  d.about.events = h.events;
  d.about.lost = std::move(h.losses.lost);
  return std::move(d.about);
}
// The text was longer than options.text: the one loss at its end says so.
void count_text_limit(model::timeline& losses, const read_options& options);
// traceEvents was not there.
error no_events(const scanned& about);

}  // namespace detail

// Feeds a sink from text in memory, all in one piece.
template <class Sink>
result<scanned> scan_text(std::string_view text, Sink&& sink, const read_options& options = {}) {
  detail::head_handler<std::remove_reference_t<Sink>> h(sink);
  detail::document d(h, options);
  d.feed(text.substr(0, options.text), true);
  if (text.size() > options.text) detail::count_text_limit(h.losses, options);
  if (!d.failed() && !d.found_events()) return detail::no_events(d.about);
  return detail::finish_scan(d, h);
}

// The same from a file. The error names the file.
template <class Inflater = plain, class Sink>
result<scanned> scan(const std::string& path, Sink&& sink, const read_options& options = {}) {
  text_file<Inflater> file;
  if (auto opened = file.open(path); !opened) return opened.error();
  detail::head_handler<std::remove_reference_t<Sink>> h(sink);
  detail::document d(h, options);
  chunker chunks(file.source(), options);
  for (text_chunk c; chunks.fill(c);) {
    d.feed(c.text(), c.last);
    if (options.progress != nullptr) options.progress(options.context, file.file().offset(), file.file().size());
  }
  if (chunks.over_limit()) detail::count_text_limit(h.losses, options);
  for (const model::trace_loss& l : file.lost()) h.losses.count(l.fault, l.first_byte, l.note, l.count);
  auto done = [&]() -> result<scanned> {
    if (file.file().failed()) return *file.file().failed();
    if (!d.failed() && !d.found_events()) return detail::no_events(d.about);
    return detail::finish_scan(d, h);
  }();
  if (!done) {
    error e = done.error();
    if (e.source.empty()) e.source = path;
    return e;
  }
  done->file_bytes = file.file().size();
  return done;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/scan-inl.hpp
// hotpath/trace/scan-inl.hpp - bodies of scan.hpp.
// ---- hotpath/trace/scan-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

HOTPATH_FN bool mend(std::string& e, std::size_t fault, unsigned& tries) {
  if (++tries > 32 || fault >= e.size()) return false;
  // A number as C's printf or Python writes what is none.
  std::size_t end = fault;
  if (e[end] == '-') ++end;
  while (end < e.size() && ((e[end] | 0x20) >= 'a' && (e[end] | 0x20) <= 'z')) ++end;
  std::size_t begin = fault;
  if (end == fault && begin != 0 && e[begin - 1] == '-') --begin;  // the reader stops behind the sign
  while (begin != 0 && e[begin - 1] == '-') --begin;
  std::string_view word(e.data() + begin, end - begin);
  if (word.starts_with('-')) word.remove_prefix(1);
  for (const std::string_view none : {"nan", "NaN", "inf", "Inf", "Infinity", "infinity"})
    if (word == none) {
      e.replace(begin, end - begin, end - begin, ' ');
      e[begin] = e[begin + 1] = '"';
      return true;
    }
  // A string that seems to end at a quote, but neither a comma nor a bracket follows: the quote belongs to it.
  std::size_t quote = fault;
  while (quote != 0 && is_white(e[quote - 1])) --quote;
  if (quote < 2 || e[quote - 1] != '"' || e[fault] == ',' || e[fault] == '}') return false;
  e.insert(quote - 1, 1, '\\');
  return true;
}

HOTPATH_FN bool read_time(json::reader& in, nanoseconds& out) {
  std::int64_t ns = 0;
  if (in.peek() == json::kind::number) {
    if (!in.scaled(ns, 3)) return false;
  } else {
    std::string_view text;
    if (!in.string(text)) return false;
    json::reader number(text);
    if (!number.scaled(ns, 3) || !number.finish()) return false;
  }
  out = nanoseconds{ns};
  return true;
}

HOTPATH_FN void count_text_limit(model::timeline& losses, const read_options& options) {
  std::string note = "the text is longer than ";
  note.append(std::to_string(options.text)).append(" bytes, the rest was left out");
  for (model::trace_loss& l : losses.lost)
    if (l.fault == model::trace_fault::truncated) return void(l.note = std::move(note));
  losses.count(model::trace_fault::truncated, options.text, std::move(note));
}

HOTPATH_FN error no_events(const scanned& about) {
  error e{.code = errc::malformed, .detail = "there is no list traceEvents"};
  std::string keys;
  for (const std::string& k : about.keys) {
    if (keys.size() > 400) {
      keys += ", ...";
      break;
    }
    keys.append(keys.empty() ? "" : ", ").append(k);
  }
  e.detail.append(keys.empty() ? "; the root has no key" : "; the root has the keys ").append(keys);
  e.hint = "want the JSON that torch.profiler's export_chrome_trace writes";
  return e;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/repair.hpp

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
// ---- hotpath/trace/slice.hpp
// hotpath/trace/slice.hpp - a part of a trace that is a whole trace again: by time, step, rank, category; as a timeline, or as the file's own text.
//
//     trace::selection some{.time = trace::after_first_gpu(t, {.begin = 10_ms, .end = 20_ms})};
//     model::timeline part = trace::slice(t, some);
//     auto s = trace::slice_file<trace::zlib>("rank0.json.gz", t, some, keep);       // the events as they stand in the file, arguments and all
//
//   By time: what overlaps [begin, end) on its own side. By step: GPU events that were launched within a range of the host. By both: what is in both. With each GPU event comes what it points to: its
//   launch, the operator that it belongs to, and the operators, Python frames and annotations around both. Metadata stays.
//   `categories` narrows all of that: only these are kept. Cost: one pass, binary searches. Thread safety: no state.
// ---- hotpath/trace/slice.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

struct time_range {                            // half-open
  nanoseconds begin{}, end{};
};
struct host_range {
  nanoseconds begin{}, end{};
  std::uint16_t process = 0;
};

struct selection {
  std::optional<time_range> time = {};         // on the timeline's clock
  std::optional<std::vector<host_range>> steps = {};   // of annotations that mark steps
  std::optional<int> rank = {};
  std::vector<std::string> categories = {};    // any name of a class: kernel, gpu_memcpy, gpu_memset, cuda_runtime, cuda_driver, cpu_op, python_function, user_annotation, ...
};

// A range given relative to the begin of the first GPU event (of the first event, where no GPU event is).
time_range after_first_gpu(const model::timeline& t, time_range relative);

// Sorted. The name table is the whole one; about.events counts what is left, by_phase and by_category are emptied.
model::timeline slice(const model::timeline& t, const selection& s);

struct sliced {
  scanned about;                               // of the file
  std::uint64_t kept = 0, metadata = 0, gpu = 0;   // events written; among them: metadata, GPU events
  std::uint64_t dropped = 0, bytes = 0;        // no JSON; bytes written
};

namespace detail {

// Decides about events, of the timeline and as they stand in the file.
class slicer {
 public:
  slicer(const model::timeline& t, const selection& s);
  model::timeline timeline() const;
  bool keep(const event_view& e);
  std::uint64_t gpu = 0;                       // kept by keep()

 private:
  struct point { std::uint32_t track; std::int64_t at; };
  struct id { std::uint16_t process; std::uint64_t value; };
  struct place { name_id pid, tid; std::uint32_t track; std::uint16_t process; };

  bool rank_fits(std::uint16_t process) const { return !selection_.rank || (process < fits_.size() && fits_[process]); }
  bool category_fits(std::string_view category) const;
  bool in_time(std::int64_t begin, std::int64_t end) const;
  bool in_steps(std::int64_t begin, std::int64_t end, std::uint16_t process) const;
  bool overlaps(std::int64_t begin, std::int64_t end, std::uint16_t process) const { return in_time(begin, end) && in_steps(begin, end, process); }  // of the host
  bool has(const std::vector<id>& ids, std::uint16_t process, std::uint64_t value) const;
  bool around_kept(std::uint32_t track, std::int64_t begin, std::int64_t end) const;
  bool in_gpu_span(std::int64_t begin, std::int64_t end) const { return begin < gpu_end_ && (end > gpu_begin_ || begin >= gpu_begin_); }
  bool on_gpu(std::int64_t begin, std::int64_t end) const { return in_time(begin, end) && (!selection_.steps || in_gpu_span(begin, end)); }  // of the device, beside its work
  template <class E> bool around(const E& e) const;
  bool host(const model::api_call& e) const;
  bool host(const model::cpu_op& e) const;
  bool host(const model::annotation& e) const;
  bool sync(const model::sync_event& e) const;
  place where(const event_view& e);
  bool whole() const { return !selection_.time && !selection_.steps; }

  const model::timeline& t_;
  const selection& selection_;
  std::vector<std::string> categories_;        // canonical words
  std::vector<host_range> ranges_;             // of the steps, by process and begin; they do not meet
  std::vector<bool> fits_, gpu_kept_;          // by process; by GPU event
  std::vector<id> correlations_, externals_;   // of kept GPU events and their launches, sorted
  std::vector<point> points_;                  // launches and operators of kept GPU events, sorted
  std::int64_t gpu_begin_ = INT64_MAX, gpu_end_ = INT64_MIN;
  name_table places_;                          // "pid\x1ftid" and "pid"
  std::vector<place> place_of_;                // by its ids
  std::string key_;
};

}  // namespace detail

// Streams the file that `t` was read from a second time. Errors: those of trace::scan, io when the sink refuses.
template <class Inflater = plain>
result<sliced> slice_file(const std::string& path, const model::timeline& t, const selection& s, byte_sink sink, const read_options& options = {}) {
  struct {
    detail::slicer some;
    detail::raw_writer out;
    void before(std::string_view text) { out.before(text); }
    std::uint64_t metadata = 0;
    void event(const event_view& e) {
      if (!some.keep(e)) return;
      const std::uint64_t before = out.kept;
      out.event(e.raw);
      if (e.phase == 'M') metadata += out.kept - before;
    }
    void after(std::string_view text) { out.after(text); }
  } copy{detail::slicer(t, s), detail::raw_writer(sink)};
  auto scan_result = scan<Inflater>(path, copy, options);
  if (!scan_result) return scan_result.error();
  if (!copy.out.finish(scan_result->lost)) return error{.code = errc::io, .detail = "the slice could not be written"};
  return sliced{std::move(*scan_result), copy.out.kept, copy.metadata, copy.some.gpu, copy.out.dropped, copy.out.bytes};
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/slice-inl.hpp
// hotpath/trace/slice-inl.hpp - bodies of slice.hpp.
// ---- hotpath/trace/detail/links.hpp
// hotpath/trace/detail/links.hpp - which API call launched which GPU event, for the writers and for slices of a timeline.
// ---- hotpath/model/launch.hpp
// hotpath/model/launch.hpp - which call of the host's API launched each GPU event, and what such calls are.
//
//     model::launch_links links = model::link_launches(timeline);
//     links.call_of[i];                                     // index in timeline::api, or no_index
//     model::kind_of_call("hipExtModuleLaunchKernel");     // call_kind::kernel
//
//   Ids join within one process. All kernels of one graph launch share its correlation id: that is normal and not counted as shared.
//   O(n) with 32 to 64 bytes per API call while it runs. Empty in, empty out; safe from any thread.
// ---- hotpath/model/launch.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class call_kind : std::uint8_t { other, kernel, copy, set, graph, begin_capture, end_capture };

// By the function's name, CUDA's or HIP's, runtime or driver, with or without a version behind it (_v11060, _ptsz).
call_kind kind_of_call(std::string_view function);

// kind_of_call() of names of one timeline, each looked at once.
class call_kinds {
 public:
  explicit call_kinds(const timeline& t) : t_(t), known_(t.names.size(), unknown) {}
  call_kind operator()(name_id function) {
    if (known_[function] == unknown) known_[function] = static_cast<std::uint8_t>(kind_of_call(t_.name(function)));
    return static_cast<call_kind>(known_[function]);
  }

 private:
  static constexpr std::uint8_t unknown = 255;
  const timeline& t_;
  std::vector<std::uint8_t> known_;
};

struct launch_links {
  std::vector<std::uint32_t> call_of;    // by GPU event
  std::uint64_t without_id = 0;          // GPU events with no correlation id
  std::uint64_t without_call = 0;        // GPU events whose correlation id no call of their process has
  std::uint64_t duplicate_calls = 0;     // calls with the correlation id of an earlier call of their process; the first is used, but a launch before others
  std::uint64_t shared = 0;              // GPU events beyond the first of one call that is no graph launch
};
launch_links link_launches(const timeline& t);

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/launch-inl.hpp
// hotpath/model/launch-inl.hpp - bodies of launch.hpp.
// ---- hotpath/model/launch-inl.hpp

namespace hotpath::inline HOTPATH_ABI::model {

HOTPATH_FN call_kind kind_of_call(std::string_view f) {
  if (f.starts_with("cuda")) f.remove_prefix(4);
  else if (f.starts_with("hip")) f.remove_prefix(3);
  else if (f.starts_with("cu")) f.remove_prefix(2);
  else return call_kind::other;
  struct row { std::string_view start; call_kind kind; };
  constexpr row rows[] = {
    {"GraphLaunch", call_kind::graph},
    {"StreamBeginCapture", call_kind::begin_capture}, {"StreamEndCapture", call_kind::end_capture},
    {"LaunchHostFunc", call_kind::other},                                        // no work on a device
    {"Launch", call_kind::kernel}, {"ModuleLaunch", call_kind::kernel},          // Launch, LaunchKernel(Ex)(C), LaunchCooperativeKernel, LaunchGrid(Async)
    {"ExtLaunch", call_kind::kernel}, {"ExtModuleLaunch", call_kind::kernel}, {"HccModuleLaunch", call_kind::kernel},
    {"Memcpy", call_kind::copy}, {"Memset", call_kind::set},
  };
  for (const row& r : rows)
    if (f.starts_with(r.start)) return r.kind;
  return call_kind::other;
}

HOTPATH_FN launch_links link_launches(const timeline& t) {
  launch_links out;
  out.call_of.assign(t.gpu.size(), no_index);
  if (t.gpu.empty()) return out;
  call_kinds kind(t);
  hotpath::detail::id_index calls(t.api.size());
  for (std::size_t i = 0; i < t.api.size(); ++i) {
    const api_call& c = t.api[i];
    if (c.correlation == no_id) continue;
    bool fresh = false;
    std::uint32_t& first = calls.insert(t.process_of(c.track), c.correlation, static_cast<std::uint32_t>(i), &fresh);
    if (fresh) continue;
    ++out.duplicate_calls;
    if (kind(t.api[first].name) == call_kind::other && kind(c.name) != call_kind::other) first = static_cast<std::uint32_t>(i);
  }
  std::vector<bool> has_event(t.api.size(), false);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const gpu_event& e = t.gpu[i];
    if (e.correlation == no_id) {
      ++out.without_id;
      continue;
    }
    const std::uint32_t call = calls.find(e.process, e.correlation);
    out.call_of[i] = call;
    if (call == no_index) ++out.without_call;
    else if (!has_event[call]) has_event[call] = true;
    else if (kind(t.api[call].name) != call_kind::graph) ++out.shared;
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/trace/detail/words.hpp
// hotpath/trace/detail/words.hpp - the words of Kineto's traces that readers, slices and writers share.
// ---- hotpath/trace/detail/words.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

constexpr std::string_view category_name(model::gpu_kind k) { return k == model::gpu_kind::copy ? "gpu_memcpy" : k == model::gpu_kind::set ? "gpu_memset" : "kernel"; }
constexpr std::string_view api_category(bool driver) { return driver ? "cuda_driver" : "cuda_runtime"; }
// The driver's calls are cuLaunchKernel, cuMemcpy...: "cu" and a capital.
constexpr bool is_driver_call(std::string_view name) { return name.size() > 2 && name.starts_with("cu") && name[2] >= 'A' && name[2] <= 'Z'; }

// By CUPTI's numbers for the direction of a copy (gpu_detail::copy_kind) and for a kind of memory.
inline constexpr std::string_view copy_directions[] = {"", "HtoD", "DtoH", "HtoA", "AtoH", "AtoA", "AtoD", "DtoA", "DtoD", "HtoH", "PtoP"};
inline constexpr std::string_view memory_kinds[] = {"", "Pageable", "Pinned", "Device", "Array", "Managed", "Device Static", "Managed Static"};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/detail/links.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

struct launch_link {
  std::uint32_t api, gpu;
};

// One per GPU event whose launch is in the trace, by (api, gpu).
inline rows<launch_link> launch_links(const model::timeline& t) {
  const model::launch_links calls = model::link_launches(t);
  rows<launch_link> links;
  for (std::size_t g = 0; g < calls.call_of.size(); ++g)
    if (calls.call_of[g] != model::no_index) links.push_back({calls.call_of[g], static_cast<std::uint32_t>(g)});
  sort_in_place(links, [](const launch_link& a, const launch_link& b) { return a.api != b.api ? a.api < b.api : a.gpu < b.gpu; });
  return links;
}

// f(begin, end) for every event that has a time.
template <class F>
void each_interval(const model::timeline& t, F&& f) {
  const auto all = [&](const auto& events) {
    for (const auto& e : events) f(e.begin, e.duration);
  };
  all(t.gpu), all(t.api), all(t.ops), all(t.frames), all(t.annotations), all(t.syncs);
}

// What is taken off all times of a written file. 0 where a double holds each of them in microseconds to the nanosecond (below 2^53 ns, 104 days)
// and none is negative; else the first begin.
inline std::int64_t base_of(const model::timeline& t) {
  std::int64_t lo = INT64_MAX, hi = INT64_MIN;
  each_interval(t, [&](nanoseconds begin, nanoseconds duration) {
    if (begin.ns < lo) lo = begin.ns;
    std::int64_t end = 0;
    if (__builtin_add_overflow(begin.ns, duration.ns, &end)) end = INT64_MAX;
    if (end > hi) hi = end;
  });
  return lo > hi || (lo >= 0 && hi < (std::int64_t{1} << 53)) ? 0 : lo;
}

// A decimal number without leading zeros or a plus: what may stand in JSON or in an integer field as it is.
inline bool is_integer(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  if (s.empty() || s.size() > 18 || (s.size() > 1 && s[0] == '0')) return false;
  for (const char c : s)
    if (c < '0' || c > '9') return false;
  return true;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/torch.hpp
// hotpath/trace/torch.hpp - Kineto / Chrome JSON into a timeline, without an inflater in its name; trace.hpp is the front door.
//   What becomes what, by `cat`: kernel, gpu_memcpy, gpu_memset -> gpu; *_runtime, *_driver -> api; cpu_op -> ops; python_function -> frames;
//   user_annotation, gpu_user_annotation -> annotations; cuda_sync (hip_sync) -> syncs. Other categories, flows and counters are counted only.
//   An event with a `dur` of 0 is kept: CUPTI writes such. B/E pairs become events with a duration. Times are exact: decimal text to int64 ns.
//   Several processes: files that SGLang merged have pids such as "[TP00] 1234"; each prefix is one process. Else a file is one process.
//   Never stored: host, user and job names, paths of the trace, log lines that the profiler put into the root.
// ---- hotpath/trace/detail/detail_table.hpp
// hotpath/trace/detail/detail_table.hpp - equal details of GPU work are one entry of timeline::details. Not for users.
// ---- hotpath/trace/detail/detail_table.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

class detail_table {
 public:
  // The number of d in `all`, whose first entry is that of nothing told.
  std::uint32_t intern(std::vector<model::gpu_detail>& all, const model::gpu_detail& d) {
    if (d == model::gpu_detail{}) return 0;
    if (last_ < all.size() && all[last_] == d) return last_;
    const auto next = static_cast<std::uint32_t>(all.size());
    last_ = index_.insert(hash(d), next, [&](std::uint32_t i) { return all[i] == d; }, [&](std::uint32_t i) { return hash(all[i]); });
    if (last_ == next) all.push_back(d);
    return last_;
  }
  void clear() { index_.clear(), last_ = 0; }

 private:
  static std::uint64_t hash(const model::gpu_detail& d) {
    using hotpath::detail::mix;
    std::uint64_t h = mix(std::uint64_t{d.grid[0]} << 32 | d.block[0], std::uint64_t{d.grid[1]} << 32 | d.block[1]);
    h = mix(h, std::uint64_t{d.grid[2]} << 32 | d.block[2]);
    h = mix(h, std::uint64_t{d.registers} << 32 | d.shared_bytes);
    h = mix(h, std::uint64_t{d.collective} << 32 | d.group);
    h = mix(h, static_cast<std::uint64_t>(d.occupancy * 1000 + 1000) << 32 | d.dtype);  // -1: not told
    h = mix(h, d.bytes);
    return mix(h, std::uint64_t{d.group_size} << 24 | std::uint64_t{d.copy_kind} << 16 | std::uint64_t{d.source_memory} << 8 | d.target_memory);
  }
  hotpath::detail::row_index index_;
  std::uint32_t last_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/torch.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

enum class event_class : std::uint8_t { kernel, copy, set, api, op, frame, annotation, gpu_annotation, sync, other };
event_class class_of(std::string_view category);
// An id as profilers write it: a whole number, 12.0, or a string of digits; up to 2^64 - 1. False: absent ("", "None", null, negative).
bool id_of(std::string_view text, std::uint64_t& out);
bool read_id(json::reader& in, std::uint64_t& out);

// What an event's args say; fields that an event lacks keep their defaults.
struct event_args {
  std::uint64_t correlation = model::no_id, external = model::no_id, waits_for = model::no_id;
  std::uint32_t stream = model::no_index, graph = model::no_index, graph_node = model::no_index, waits_for_stream = model::no_index;
  std::uint32_t device = model::no_index;
  name_id kernel = 0, text = 0, sync_kind = 0;   // text: of metadata
  bool has_detail = false, is_graph = false;     // is_graph: our own writer's mark of a whole graph
  model::gpu_detail detail;
};

// One event, of ph X, or half of one, of ph B or E: 48 bytes.
struct event_row {
  std::int64_t begin = 0, duration = 0;
  std::uint64_t byte = 0;
  std::uint32_t track = model::no_index;
  name_id name = 0;
  std::uint32_t category = 0;
  event_class what = event_class::other;
  char phase = 'X';
  std::uint32_t args = model::no_index;           // of a B: in half_args_
};

// Reads events into a timeline, in the order of the file. Several may read pieces of one file, each into a timeline of its own; merge() then
// appends them in order, so that the outcome does not depend on who read what.
class torch_builder {
 public:
  torch_builder(model::timeline& out, const read_options& o, bool part = false);

  // Handler of document<> and scan_events<>.
  bool event(json::reader& in, std::string_view text, std::uint64_t byte);
  void odd_element(std::uint64_t byte);
  void member(std::string_view key, std::string_view value);
  void around(std::string_view, bool) {}
  void broken_event(std::string_view rest, std::uint64_t byte, std::string note);
  void lost(model::trace_fault f, std::uint64_t byte, std::string note, std::uint64_t times = 1) { out_.count(f, byte, std::move(note), times); }

  // Appends what `from` read since its last clear(), and clears it.
  void merge(torch_builder& from);
  // Forgets the events, keeps the names: they come again. Everything with `all`.
  void clear(bool all);
  // After the last event: pairs, metadata, processes, order.
  void finish(std::string_view path);
  std::uint64_t events() const { return events_; }

 private:
  struct category {
    std::string text;
    event_class what;
    std::uint64_t count;
  };
  struct metadata { std::uint32_t track; std::uint8_t what; name_id text; };   // what: 0 process_name, 1 process_labels, 2 thread_name
  struct seen_track { std::uint32_t track = model::no_index; std::uint8_t pid_size = 0, tid_size = 0; char text[30]; };

  void arg(json::reader& in, std::string_view key);
  void emit(std::uint64_t byte);
  void store(const event_row& e);
  std::uint32_t category_of(std::string_view text);
  std::uint32_t find_category(std::string_view text);
  std::uint32_t track_of(std::string_view pid, std::string_view tid);
  std::uint32_t track_row(name_id pid, name_id tid);
  void match_halves();
  void find_processes(std::string_view path);
  void find_duplicates();
  void find_engine();
  void device_properties(std::string_view value);
  void distributed(std::string_view value);
  void fact(std::string_view key, std::string_view value);

  model::timeline& out_;
  read_options options_;
  bool part_;                                     // is merged into another one
  std::uint64_t events_ = 0;
  std::uint64_t phases_[256] = {};
  std::vector<category> categories_;
  std::uint32_t last_category_[32] = {};          // by length of the text
  std::vector<metadata> metadata_;
  rows<event_row> halves_;                        // B and E
  rows<event_args> half_args_;                    // of those B that have args: 128 bytes
  hotpath::detail::row_index track_index_, category_index_;
  detail_table detail_index_;
  seen_track seen_[16];
  // Of builders that are merged into this one: what their numbers are here.
  std::vector<name_id> names_there_;
  std::vector<std::uint32_t> tracks_there_, details_there_, categories_there_;

  // The event being read.
  event_args args_;
  bool args_used_ = false;
  std::string_view name_, pid_, tid_;
  std::uint64_t name_hash_ = 0;
  std::string own_[3];                            // of them, where decoded
  char phase_ = 0;
  std::uint32_t category_ = 0;
  bool odd_ = false;
  enum class number : std::uint8_t { absent, bad, good } ts_state_{}, dur_state_{};
  nanoseconds ts_{}, dur_{};
  bool in_time_ = false;                          // a syntax error happened in ts or dur
  bool base_given_ = false;
  std::int64_t base_ns_ = 0;
  std::vector<std::string> root_words_;           // that tell the engine
  told_by_writer told_;                           // where the file is one of ours
};

}  // namespace detail

// Reads the text of a source, in one thread or several. `path` is for messages, and its name for the rank.
result<model::timeline> read_source(byte_source source, std::string_view path, const read_options& options);
// Text in memory.
result<model::timeline> read_text(std::string_view text, const read_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/torch-inl.hpp
// hotpath/trace/torch-inl.hpp - bodies of torch.hpp.
// ---- hotpath/trace/detail/torch_finish-inl.hpp
// hotpath/trace/detail/torch_finish-inl.hpp - what torch_builder does behind the last event: halves of events, processes, ranks, counts. Not for users.
// ---- hotpath/trace/detail/torch_finish-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

using model::no_id;
using model::no_index;
using model::trace_fault;

// B and E of a track nest by time. An E closes the innermost open B of its name, or the innermost if it has none; what is open within is closed with it.
HOTPATH_FN void torch_builder::match_halves() {
  if (halves_.empty()) return;
  sort_in_place(halves_, [](const event_row& a, const event_row& b) {
    if (a.track != b.track) return a.track < b.track;
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.byte < b.byte;
  });
  std::vector<std::size_t> open;
  std::vector<std::uint32_t> open_of(out_.names.size());  // by name: an E that has no B is known at once
  const auto close = [&](std::int64_t at, bool matched) {
    event_row e = halves_[open.back()];
    open.pop_back();
    --open_of[e.name];
    if (!matched) out_.count(trace_fault::unmatched_begin, e.byte);
    ++categories_[e.category].count;
    if (__builtin_sub_overflow(at, e.begin, &e.duration)) return out_.count(trace_fault::bad_time, e.byte);
    args_ = e.args != no_index ? half_args_[e.args] : event_args{}, args_used_ = true;
    store(e);
  };
  for (std::size_t i = 0; i < halves_.size(); ++i) {
    const event_row& e = halves_[i];
    if (e.phase == 'B') {
      open.push_back(i);
      ++open_of[e.name];
    } else {
      std::size_t depth = e.name == 0 || open_of[e.name] != 0 ? open.size() : 0;
      while (depth != 0 && e.name != 0 && halves_[open[depth - 1]].name != e.name) --depth;
      if (depth == 0) {
        out_.count(trace_fault::unmatched_end, e.byte);
      } else {
        while (open.size() > depth) close(e.begin, false);
        close(e.begin, true);
      }
    }
    if (i + 1 == halves_.size() || halves_[i + 1].track != e.track)
      while (!open.empty()) close(e.begin, false);
  }
  halves_.clear(), half_args_.clear();
}

// SGLang merges the ranks of a run into one file and puts "[TP00] " (TP, DP, PP, EP, joined by -) before each pid.
HOTPATH_FN void torch_builder::find_processes(std::string_view path) {
  constexpr std::uint32_t most_processes = UINT16_MAX;
  std::vector<name_id> prefixes;
  hotpath::detail::id_index number_of;
  std::uint64_t beyond = 0;
  for (model::track& t : out_.tracks) {
    const std::string_view p = process_of_pid(out_.names[t.pid]);
    if (p.empty()) continue;
    const name_id id = out_.names.intern(p);
    const std::uint32_t i = (std::min)(number_of.number(id), most_processes);
    if (i == most_processes) ++beyond;
    else if (i == prefixes.size()) prefixes.push_back(id);
    t.process = static_cast<std::uint16_t>((std::min)(i, most_processes - 1));
  }
  out_.count(trace_fault::unknown_process, std::nullopt, "the file has more processes than can be told apart: the tracks of those beyond the limit are with the last one", beyond);
  out_.processes.resize((std::max)(prefixes.size(), std::size_t{1}));
  for (std::size_t i = 0; i < out_.processes.size(); ++i) {
    model::process& p = out_.processes[i];
    p.source.assign(base_name(path));
    if (base_given_) p.unix_offset = nanoseconds{base_ns_};
    if (i < prefixes.size()) {
      const std::string_view label = out_.names[prefixes[i]];
      p.label = prefixes[i];
      std::uint64_t rank = 0;
      if (id_of(label.substr(2), rank) && rank < (1u << 30)) p.rank = static_cast<int>(rank);  // one number only: TP03
    }
  }
  if (told_.one_clock)
    for (std::size_t i = 1; i < out_.processes.size(); ++i) out_.processes[i].clock = model::clock_kind::aligned;
  if (prefixes.empty()) {
    model::process& p = out_.processes[0];
    p.rank = out_.about.rank;
    if (!p.rank) p.rank = rank_of_name(path), p.rank_from_name = p.rank.has_value();
  }
  // The host process is the one that most calls, operators or frames are of.
  std::vector<std::uint64_t> host(out_.tracks.size());
  for (const auto& r : out_.api) ++host[r.track];
  for (const auto& r : out_.ops) ++host[r.track];
  for (const auto& r : out_.frames) ++host[r.track];
  std::vector<std::uint64_t> most(out_.processes.size());
  for (std::size_t i = 0; i < out_.tracks.size(); ++i)
    if (const auto p = out_.tracks[i].process; host[i] > most[p]) most[p] = host[i], out_.processes[p].pid = out_.tracks[i].pid;
  for (const metadata& m : metadata_) {
    model::track& t = out_.tracks[m.track];
    model::process& p = out_.processes[t.process];
    if (m.what == 2) t.name = m.text;
    else if (m.what == 0 && t.pid == p.pid && p.pid != 0) p.name = m.text;
    else if (m.what == 1 && t.pid == p.pid && p.pid != 0 && prefixes.empty()) p.label = m.text;
  }
  if (!prefixes.empty()) {
    for (auto& g : out_.gpu) g.process = out_.tracks[g.track].process;
    for (auto& s : out_.syncs) s.process = out_.tracks[s.track].process;
  }
  // Without a base, times near today's are times since 1970.
  nanoseconds first{};
  if (!out_.api.empty()) first = out_.api[0].begin;
  else if (!out_.gpu.empty()) first = out_.gpu[0].begin;
  else if (!out_.ops.empty()) first = out_.ops[0].begin;
  constexpr std::int64_t since_2001 = 1'000'000'000'000'000'000;
  if (!base_given_ && first.ns > since_2001)
    for (model::process& p : out_.processes) p.clock = model::clock_kind::unix_time, p.unix_offset = nanoseconds{0};
}

HOTPATH_FN void torch_builder::find_duplicates() {
  struct call { std::uint64_t id; std::uint16_t process; };
  std::vector<call> calls;
  calls.reserve(out_.api.size());
  for (const model::api_call& c : out_.api)
    if (c.correlation != no_id && c.correlation != 0) calls.push_back({c.correlation, out_.tracks[c.track].process});
  sort_in_place(calls, [](const call& a, const call& b) { return a.process != b.process ? a.process < b.process : a.id < b.id; });
  std::uint64_t twice = 0;
  for (std::size_t i = 1; i < calls.size(); ++i) twice += calls[i].id == calls[i - 1].id && calls[i].process == calls[i - 1].process;
  out_.count(trace_fault::duplicate_correlation, std::nullopt, "several API calls of one process have the same correlation id; the first of them is used", twice);
}

HOTPATH_FN void torch_builder::find_engine() {
  constexpr struct { std::string_view word, engine; } signs[] = {
      {"sglang/", "sglang"}, {"vllm/", "vllm"}, {"tensorrt_llm/", "trtllm"}, {"tokenspeed/", "tokenspeed"}};
  std::uint64_t found[4] = {};
  const auto names = static_cast<name_id>((std::min)(out_.names.size(), std::size_t{100'000}));
  for (name_id i = 0; i < names; ++i)
    for (std::size_t s = 0; s < 4; ++s) found[s] += out_.names[i].find(signs[s].word) != std::string_view::npos;
  std::size_t best = 0;
  for (std::size_t s = 1; s < 4; ++s)
    if (found[s] > found[best]) best = s;
  if (found[best] != 0) out_.about.engine_hint = signs[best].engine;
  else if (!root_words_.empty()) out_.about.engine_hint = root_words_.front();
}

HOTPATH_FN void torch_builder::finish(std::string_view path) {
  match_halves();
  find_processes(path);
  find_duplicates();
  find_engine();
  for (std::size_t f = 0; f < model::trace_fault_count; ++f)
    out_.count(static_cast<trace_fault>(f), std::nullopt, "in the file that this one was made of", told_.lost[f]);
  model::trace_about& a = out_.about;
  a.file.assign(path);
  a.events = events_;
  for (unsigned c = 0; c < 256; ++c)
    if (phases_[c] != 0) a.by_phase.emplace_back(static_cast<char>(c), phases_[c]);
  for (const category& c : categories_)
    if (c.count != 0) a.by_category.emplace_back(c.text, c.count);
  // Names beyond the limit, counted by event: the number does not depend on who read what.
  if (out_.names.refused() != 0) {
    const name_id beyond = out_.names.find(name_table::beyond_limit);
    std::uint64_t shared = 0;
    const auto look = [&](const auto& rows) {
      for (const auto& r : rows) shared += r.name == beyond;
    };
    look(out_.gpu), look(out_.api), look(out_.ops), look(out_.frames), look(out_.annotations), look(out_.syncs);
    out_.count(trace_fault::too_many_names, std::nullopt, "events beyond the limit of distinct names share one", shared);
  }
  out_.sort();
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/detail/torch_reader.hpp
// hotpath/trace/detail/torch_reader.hpp - a Kineto trace read by several threads, with the result that one alone would give. Not for users.
// ---- hotpath/core/thread.hpp
// hotpath/core/thread.hpp - thread, mutex and condition over pthreads. <thread>, <mutex> and <condition_variable> are 27,000
//   preprocessed lines that every includer would pay; these are 100, wait on the monotonic clock, and tell when no thread is to be had.
//
//     hotpath::threading::mutex m;
//     hotpath::threading::condition changed;                       // declared before the thread that uses them
//     hotpath::threading::thread t;
//     if (!t.start([&] { const threading::lock l{m}; ready = true; changed.notify_all(); })) return busy;
//     { threading::lock l{m}; changed.wait_for(l, 20_ms, [&] { return ready; }); }
//     t.join();
// ---- hotpath/core/thread.hpp

namespace hotpath::inline HOTPATH_ABI::threading {

class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { pthread_mutex_destroy(&m_); }
  void lock() { pthread_mutex_lock(&m_); }
  void unlock() { pthread_mutex_unlock(&m_); }

 private:
  friend class condition;
  pthread_mutex_t m_ = PTHREAD_MUTEX_INITIALIZER;
};

// Holds a mutex while it lives; may let go of it in between.
class lock {
 public:
  explicit lock(mutex& m) : m_(&m) { m.lock(); }
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;
  ~lock() { if (held_) m_->unlock(); }
  void take() { m_->lock(), held_ = true; }
  void let_go() { m_->unlock(), held_ = false; }

 private:
  friend class condition;
  mutex* m_;
  bool held_ = true;
};

class condition {
 public:
  condition() {
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&c_, &how);
    pthread_condattr_destroy(&how);
  }
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;
  ~condition() { pthread_cond_destroy(&c_); }
  void notify_one() { pthread_cond_signal(&c_); }
  void notify_all() { pthread_cond_broadcast(&c_); }

  template <class Until>
  void wait(lock& held, Until until) {
    while (!until()) pthread_cond_wait(&c_, &held.m_->m_);
  }
  // What `until` says in the end: false means that the time is over.
  template <class Until>
  bool wait_for(lock& held, nanoseconds longest, Until until) {
    const nanoseconds end = monotonic_now() + longest;
    const timespec at{static_cast<time_t>(end.ns / 1'000'000'000), static_cast<long>(end.ns % 1'000'000'000)};
    while (!until())
      if (longest <= nanoseconds{0} || pthread_cond_timedwait(&c_, &held.m_->m_, &at) != 0) return until();
    return true;
  }

 private:
  pthread_cond_t c_;
};

// Joined by whoever starts it: destroying one that runs is an error of the caller.
class thread {
 public:
  thread() = default;
  thread(thread&& o) noexcept : id_(o.id_), runs_(std::exchange(o.runs_, false)) {}
  thread& operator=(thread&&) = delete;
  ~thread() { HOTPATH_ASSERT(!runs_); }

  // False: the system gives no thread, and f was not called. f() must not throw.
  template <class F>
  bool start(F f) {
    HOTPATH_ASSERT(!runs_);
    F* const own = new F(std::move(f));
    const auto body = [](void* p) -> void* {
      F* const mine = static_cast<F*>(p);
      (*mine)();
      delete mine;
      return nullptr;
    };
    runs_ = pthread_create(&id_, nullptr, body, own) == 0;
    if (!runs_) delete own;
    return runs_;
  }
  bool joinable() const { return runs_; }
  void join() { if (std::exchange(runs_, false)) pthread_join(id_, nullptr); }
  void detach() { if (std::exchange(runs_, false)) pthread_detach(id_); }

 private:
  pthread_t id_{};
  bool runs_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::threading
// ---- hotpath/trace/detail/torch_reader.hpp

namespace hotpath::inline HOTPATH_ABI::trace::detail {

// Every thread does whatever is due: the next chunk in order is appended, the source is read, a chunk is parsed ahead of its turn.
class torch_reader {
 public:
  torch_reader(byte_source source, std::string_view path, const read_options& o)
      : source_(source), path_(path), options_(o), chunks_(source, o), builder_(timeline_, o), document_(builder_, o) {
    threads_ = o.threads;
    if (threads_ == 0) threads_ = ::sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    if (threads_ > 8) threads_ = 8;
  }
  torch_reader(const torch_reader&) = delete;
  torch_reader& operator=(const torch_reader&) = delete;
  ~torch_reader() {
    for (slot* s : slots_) delete s;
  }

  result<model::timeline> run() {
    if (threads_ == 1) {
      for (text_chunk c; chunks_.fill(c) && !document_.failed();) {
        tell();
        document_.feed(c.text(), c.last);
      }
    } else {
      for (unsigned i = 0; i < threads_ + 2; ++i) slots_.push_back(new slot(options_));
      std::vector<threading::thread> helpers(threads_ - 1);
      // Whatever ends this block: no helper outlives it.
      struct ending {
        torch_reader& reader;
        std::vector<threading::thread>& helpers;
        ~ending() {
          {
            const threading::lock held(reader.mutex_);
            reader.over_ = true;
          }
          reader.changed_.notify_all();
          for (threading::thread& t : helpers) t.join();
        }
      } const all_end{*this, helpers};
      for (threading::thread& t : helpers) t.start([this] { work(); });  // fewer threads than wished: the others do the work
      work();
    }
    if (document_.failed()) {
      error e = *document_.failed();
      if (e.source.empty()) e.source.assign(path_);
      return e;
    }
    if (!document_.found_events()) {
      error e = no_events(document_.about);
      e.source.assign(path_);
      return e;
    }
    if (chunks_.over_limit()) count_text_limit(timeline_, options_);
    timeline_.about.format = document_.about.array_root ? model::trace_format::chrome : model::trace_format::torch;
    timeline_.about.text_bytes = document_.about.text_bytes;
    builder_.finish(path_);
    return std::move(timeline_);
  }

 private:
  enum class state : std::uint8_t { free, filling, filled, parsing, parsed, merging };
  struct slot {
    explicit slot(const read_options& o) : builder(part, o, true), in({}, o.strict ? json::mode::strict : json::mode::tolerant_text) {}
    text_chunk text;
    model::timeline part;
    torch_builder builder;
    json::reader in;
    where at = where::events_value;
    stopped end{stop::text_end, 0, 0};
    std::uint64_t number = 0;
    state is = state::free;
  };

  void tell() {
    if (options_.progress != nullptr && source_.done != nullptr) options_.progress(options_.context, source_.done(source_.self), source_.total);
  }

  void work() {
    threading::lock held(mutex_);
    while (!over_) {
      if (slot* s = due()) {
        s->is = state::merging;
        held.let_go();
        const bool go_on = append(*s);
        held.take();
        s->is = state::free;
        ++next_;
        if (!go_on || s->text.last) over_ = true;
        changed_.notify_all();
      } else if (slot* empty = !reading_ && !read_all_ ? find(state::free) : nullptr) {
        empty->is = state::filling;
        reading_ = true;
        held.let_go();
        const bool got = chunks_.fill(empty->text);
        tell();
        held.take();
        reading_ = false;
        read_all_ = !got || empty->text.last;
        empty->number = filled_++;
        empty->is = empty->text.at_event ? state::filled : state::parsed;  // the prolog cannot be parsed ahead
        if (!empty->text.at_event) empty->end = {stop::text_end, 0, 0};
        changed_.notify_all();
      } else if (slot* s2 = find(state::filled)) {
        s2->is = state::parsing;
        held.let_go();
        s2->at = where::events_value;
        s2->end = scan_events(s2->in, s2->text.text(), 0, s2->text.offset, s2->at, s2->builder);
        held.take();
        s2->is = state::parsed;
        changed_.notify_all();
      } else {
        changed_.wait(held, [&] { return over_ || due() != nullptr || find(state::filled) != nullptr || (!reading_ && !read_all_ && find(state::free) != nullptr); });
      }
    }
  }

  slot* due() {
    for (slot* s : slots_)
      if (s->number == next_ && s->is == state::parsed) return s;
    return nullptr;
  }
  slot* find(state wanted) {
    slot* first = nullptr;
    for (slot* s : slots_)
      if (s->is == wanted && (first == nullptr || s->number < first->number)) first = s;
    return first;
  }

  // In order. What was parsed ahead counts only if the document stood at an event there.
  bool append(slot& s) {
    const std::string_view text = s.text.text();
    if (s.text.at_event && document_.at_event()) {
      builder_.merge(s.builder);
      document_.skip_events(s.end.at, s.at);
      if (s.end.at != text.size() || s.end.why != stop::text_end || s.text.last) {
        if (s.end.why == stop::array_end) document_.close_events(text.substr(s.end.at), s.text.last);
        else document_.feed(text.substr(s.end.at), s.text.last);
      }
    } else {
      s.builder.clear(true);
      document_.feed(text, s.text.last);
    }
    return !document_.failed();
  }

  byte_source source_;
  std::string_view path_;
  read_options options_;
  chunker chunks_;
  model::timeline timeline_;
  torch_builder builder_;
  document<torch_builder> document_;
  unsigned threads_ = 1;
  std::vector<slot*> slots_;
  threading::mutex mutex_;
  threading::condition changed_;
  std::uint64_t next_ = 0, filled_ = 0;
  bool reading_ = false, read_all_ = false, over_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
// ---- hotpath/trace/torch-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

using model::no_id;
using model::no_index;
using model::trace_fault;

// Of a category's text. Names before 2022 were capitalised words.
HOTPATH_FN event_class class_of(std::string_view c) {
  using enum event_class;
  constexpr struct { std::string_view text; event_class what; } known[] = {
      {"kernel", kernel}, {"cpu_op", op}, {"python_function", frame}, {"gpu_memcpy", copy}, {"gpu_memset", set}, {"user_annotation", annotation},
      {"gpu_user_annotation", gpu_annotation}, {"cuda_sync", sync}, {"hip_sync", sync}, {"Kernel", kernel}, {"Memcpy", copy}, {"Memset", set},
      {"Operator", op}, {"Runtime", api}};
  for (const auto& k : known)
    if (c == k.text) return k.what;
  return c.ends_with("_runtime") || c.ends_with("_driver") ? api : other;
}

// A comparison with a word whose length the compiler knows: no call.
template <std::size_t N>
bool is(std::string_view text, const char (&word)[N]) {
  return text.size() == N - 1 && __builtin_memcmp(text.data(), word, N - 1) == 0;
}

inline bool is_inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() <= whole.data() + whole.size();
}

HOTPATH_FN bool id_of(std::string_view text, std::uint64_t& out) {
  if (text.empty() || text.size() > 40) return false;
  std::uint64_t v = 0;
  for (const char c : text) {
    const auto digit = static_cast<unsigned char>(c - '0');
    if (digit > 9) {
      std::int64_t whole = 0;
      json::reader in(text);
      if (!in.integer(whole) || !in.finish() || whole < 0) return false;
      out = static_cast<std::uint64_t>(whole);
      return true;
    }
    if (__builtin_mul_overflow(v, std::uint64_t{10}, &v) || __builtin_add_overflow(v, std::uint64_t{digit}, &v)) return false;
  }
  out = v;
  return true;
}
HOTPATH_FN bool read_id(json::reader& in, std::uint64_t& out) {
  std::string_view text;
  switch (in.peek()) {
    case json::kind::number: return in.raw(text) && id_of(text, out);
    case json::kind::string: return in.string(text) && id_of(text, out);
    default: return in.skip(), false;
  }
}
HOTPATH_FN void read_index(json::reader& in, std::uint32_t& out) {
  std::uint64_t v = 0;
  if (read_id(in, v) && v < no_index) out = static_cast<std::uint32_t>(v);
}
HOTPATH_FN bool read_three(json::reader& in, std::uint32_t (&out)[3]) {
  std::size_t n = 0;
  if (in.peek() != json::kind::array) return in.skip(), false;
  in.array([&] {
    std::uint64_t v = 0;
    if (read_id(in, v) && n < 3 && v <= UINT32_MAX) out[n] = static_cast<std::uint32_t>(v);
    ++n;
  });
  return n != 0;
}

// CUPTI's number for a kind of memory; 0: none of them.
HOTPATH_FN std::uint8_t memory_of(std::string_view word) {
  for (std::uint8_t i = 1; i < std::size(memory_kinds); ++i)
    if (word == memory_kinds[i]) return i;
  return 0;
}
// "Memcpy HtoD (Pageable -> Device)", "CopyHostToDevice": CUPTI's numbers for the direction and the two kinds of memory.
HOTPATH_FN void copy_facts(std::string_view name, std::string_view kind, model::gpu_detail& d) {
  constexpr struct { std::string_view text; std::uint8_t what; } words[] = {{"HostToDevice", 1}, {"DeviceToHost", 2}, {"DeviceToDevice", 8}, {"HostToHost", 9}, {"PeerToPeer", 10}};
  for (const std::string_view text : {name, kind}) {
    for (std::uint8_t i = 1; i < std::size(copy_directions) && d.copy_kind == 0; ++i)
      if (text.find(copy_directions[i]) != std::string_view::npos) d.copy_kind = i;
    for (const auto& w : words)
      if (d.copy_kind == 0 && text.find(w.text) != std::string_view::npos) d.copy_kind = w.what;
  }
  const auto open = name.find('(');
  const auto close = name.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return;
  std::string_view target = name.substr(open + 1, close - open - 1), source;
  if (const auto arrow = target.find(" -> "); arrow != std::string_view::npos) {
    source = target.substr(0, arrow);
    target.remove_prefix(arrow + 4);
  }
  d.source_memory = memory_of(source), d.target_memory = memory_of(target);
}

HOTPATH_FN torch_builder::torch_builder(model::timeline& out, const read_options& o, bool part) : out_(out), options_(o), part_(part) {
  if (part) options_.names.distinct = SIZE_MAX;  // the whole decides which are too many
  clear(true);
}

HOTPATH_FN void torch_builder::clear(bool all) {
  out_.gpu.clear(), out_.api.clear(), out_.ops.clear(), out_.frames.clear(), out_.annotations.clear(), out_.syncs.clear();
  out_.lost.clear();
  metadata_.clear(), halves_.clear(), half_args_.clear();
  events_ = 0;
  for (std::uint64_t& n : phases_) n = 0;
  for (category& c : categories_) c.count = 0;
  // A hostile file has a million names: one such table is enough.
  if (!all && out_.names.size() < 50'000 && out_.tracks.size() < 5'000 && out_.details.size() < 50'000 && categories_.size() < 5'000) return;
  out_.names = name_table(options_.names);
  out_.tracks.clear();
  out_.details.assign(1, {});
  categories_.clear(), category_index_.clear();
  category_of("");
  track_index_.clear(), detail_index_.clear();
  for (seen_track& s : seen_) s = {};
  names_there_.clear(), tracks_there_.clear(), details_there_.clear(), categories_there_.clear();
}

HOTPATH_FN std::uint32_t torch_builder::category_of(std::string_view text) {
  std::uint32_t& last = last_category_[text.size() % 32];  // few have the same length
  if (last < categories_.size() && categories_[last].text == text) return last;
  return last = find_category(text);
}

// Beyond the limit the categories of a class share a row, so that an event stays what it is. Parts have no limit: the whole decides.
HOTPATH_FN std::uint32_t torch_builder::find_category(std::string_view text) {
  text = text.substr(0, 256);
  const event_class what = class_of(text);
  const auto hash = [&](std::string_view t, event_class w) { return hotpath::detail::mix(static_cast<std::uint64_t>(w) + 1, out_.names.expect(t)); };
  const auto is_it = [&](std::uint32_t i) { return categories_[i].what == what && categories_[i].text == text; };
  const std::size_t most = what == event_class::other ? 255 : what == event_class::api ? 510 : SIZE_MAX;  // of other classes there are but a few words
  if (!part_ && categories_.size() >= most && category_index_.find(hash(text, what), is_it) == hotpath::detail::row_index::none) text = "(more categories than the limit)";
  const auto next = static_cast<std::uint32_t>(categories_.size());
  const std::uint32_t at = category_index_.insert(hash(text, what), next, is_it, [&](std::uint32_t i) { return hash(categories_[i].text, categories_[i].what); });
  if (at == next) categories_.push_back({std::string(text), what, 0});
  return at;
}

HOTPATH_FN std::uint32_t torch_builder::track_row(name_id pid, name_id tid) {
  using hotpath::detail::mix;
  const auto next = static_cast<std::uint32_t>(out_.tracks.size());
  const std::uint32_t at = track_index_.insert(mix(pid, tid), next, [&](std::uint32_t i) { return out_.tracks[i].pid == pid && out_.tracks[i].tid == tid; },
                                               [&](std::uint32_t i) { return mix(out_.tracks[i].pid, out_.tracks[i].tid); });
  if (at == next) out_.tracks.push_back({.pid = pid, .tid = tid});
  return at;
}

// Events of a file alternate among few tracks: one look at a small cache, in front of the two tables.
HOTPATH_FN std::uint32_t torch_builder::track_of(std::string_view pid, std::string_view tid) {
  const std::size_t size = pid.size() + tid.size();
  seen_track* seen = nullptr;
  if (size != 0 && size <= sizeof seen->text) {
    const auto last = [](std::string_view s) { return s.empty() ? 0u : static_cast<unsigned char>(s.back()); };
    seen = &seen_[(last(pid) * 5 + last(tid)) % 16];
    if (seen->pid_size == pid.size() && seen->tid_size == tid.size() && std::string_view(seen->text, pid.size()) == pid &&
        std::string_view(seen->text + pid.size(), tid.size()) == tid)
      return seen->track;
  }
  const name_id p = out_.names.intern(pid);
  const std::uint32_t track = track_row(p, out_.names.intern(tid));
  if (seen != nullptr) {
    seen->track = track;
    seen->pid_size = static_cast<std::uint8_t>(pid.size()), seen->tid_size = static_cast<std::uint8_t>(tid.size());
    if (!pid.empty()) std::memcpy(seen->text, pid.data(), pid.size());
    if (!tid.empty()) std::memcpy(seen->text + pid.size(), tid.data(), tid.size());
  }
  return track;
}

HOTPATH_FN void torch_builder::arg(json::reader& in, std::string_view key) {
  event_args& a = args_;
  model::gpu_detail& d = a.detail;
  const auto text = [&](name_id& to) {
    std::string_view s;
    if (in.peek() == json::kind::string && in.string(s)) to = out_.names.intern(s);
    return to != 0;
  };
  const auto index = [&](std::uint32_t& to) {
    read_index(in, to);
    return true;
  };
  switch (key.size()) {
    case 4:
      if (is(key, "grid")) a.has_detail |= read_three(in, d.grid);
      else if (is(key, "name")) text(a.text);
      else if (is(key, "kind")) {
        std::string_view kind;
        if (in.peek() == json::kind::string && in.string(kind)) copy_facts({}, kind, d), a.has_detail |= d.copy_kind != 0, a.is_graph = kind == "graph";
      }
      break;
    case 5:
      if (is(key, "block")) a.has_detail |= read_three(in, d.block);
      else if (is(key, "bytes")) a.has_detail |= read_id(in, d.bytes);
      else if (is(key, "dtype")) a.has_detail |= text(d.dtype);
      break;
    case 6:
      if (is(key, "stream")) read_index(in, a.stream);
      else if (is(key, "device")) read_index(in, a.device);
      else if (is(key, "kernel")) text(a.kernel);
      else if (is(key, "labels")) text(a.text);
      break;
    case 8:
      if (is(key, "graph id")) {
        read_index(in, a.graph);
        if (a.graph == 0) a.graph = no_index;  // newer Kineto writes it for kernels of no graph
      }
      break;
    case 10:
      if (is(key, "Group size")) a.has_detail |= index(d.group_size);
      break;
    case 11:
      if (is(key, "External id") || is(key, "external id")) read_id(in, a.external);
      else if (is(key, "correlation")) read_id(in, a.correlation);
      else if (is(key, "cuda_stream")) read_index(in, a.stream);
      break;
    case 13:
      if (is(key, "shared memory")) a.has_detail |= index(d.shared_bytes);
      else if (is(key, "graph node id")) read_index(in, a.graph_node);
      else if (is(key, "source memory") || is(key, "target memory")) {
        std::string_view word;
        if (in.peek() == json::kind::string && in.string(word)) (key[0] == 's' ? d.source_memory : d.target_memory) = memory_of(word), a.has_detail |= memory_of(word) != 0;
      }
      else if (is(key, "In msg nelems")) a.has_detail |= read_id(in, d.bytes);
      break;
    case 14:
      if (is(key, "wait_on_stream")) read_index(in, a.waits_for_stream);
      else if (is(key, "cuda_sync_kind")) text(a.sync_kind);
      break;
    case 15:
      if (is(key, "Collective name")) a.has_detail |= text(d.collective);
      break;
    case 18:
      if (is(key, "Process Group Name")) a.has_detail |= text(d.group);
      break;
    case 20:
      if (is(key, "registers per thread")) a.has_detail |= index(d.registers);
      break;
    case 25:
      if (is(key, "est. achieved occupancy %")) {
        double percent = 0;
        if (in.peek() == json::kind::number && in.number(percent) && percent >= 0 && percent <= 1000) d.occupancy = static_cast<float>(percent / 100), a.has_detail = true;
      }
      break;
    case 33:
      if (is(key, "wait_on_cuda_event_record_corr_id")) read_id(in, a.waits_for);
      break;
    default: break;
  }
}

HOTPATH_FN bool torch_builder::event(json::reader& in, std::string_view text, std::uint64_t byte) {
  name_ = pid_ = tid_ = {};
  phase_ = 0, category_ = 0, odd_ = false, in_time_ = false;
  ts_state_ = dur_state_ = number::absent;
  if (args_used_) args_ = {}, args_used_ = false;
  const std::uint64_t repaired = in.repaired();
  const auto word = [&](std::string_view& to, std::string& own) {
    if (!in.string(to)) odd_ = true;
    else if (!is_inside(to, text)) to = own.assign(to);
  };
  const auto number_or_word = [&](std::string_view& to, std::string& own) {
    switch (in.peek()) {
      case json::kind::number: in.raw(to); break;
      case json::kind::string: word(to, own); break;
      case json::kind::null: in.skip(); break;
      default: odd_ = true, in.skip();
    }
  };
  const auto time = [&](nanoseconds& to, number& state) {
    in_time_ = true;
    state = read_time(in, to) ? number::good : number::bad;
    if (in.ok()) in_time_ = false;
  };
  const auto phase = [&] {
    std::string_view ph;
    if (in.string(ph) && !ph.empty()) phase_ = ph[0];
  };
  const auto category_text = [&] {
    std::string_view c;
    if (in.string(c)) category_ = category_of(c);
    else odd_ = true;
  };
  const auto name = [&] {
    word(name_, own_[2]);
    name_hash_ = out_.names.expect(name_);
  };
  const auto args = [&] {
    // Of what needs none of them nothing is read.
    const event_class what = categories_[category_].what;
    if (what == event_class::frame || (what == event_class::other && category_ != 0)) return void(in.skip());
    args_used_ = true;
    if (in.peek() == json::kind::object) in.object([&](std::string_view k) { arg(in, k); });
    else in.skip();
  };
  // Kineto's order first.
  if (!in.begin()) return false;
  if (in.next_is("ph")) phase();
  if (in.next_is("cat")) category_text();
  if (in.next_is("name")) name();
  if (in.next_is("pid")) number_or_word(pid_, own_[0]);
  if (in.next_is("tid")) number_or_word(tid_, own_[1]);
  if (in.next_is("ts")) time(ts_, ts_state_);
  if (in.next_is("dur")) time(dur_, dur_state_);
  if (in.next_is("args")) args();
  in.rest([&](std::string_view key) {
    switch (key.size()) {
      case 2:
        if (is(key, "ph")) phase();
        else if (is(key, "ts")) time(ts_, ts_state_);
        break;
      case 3:
        if (is(key, "pid")) number_or_word(pid_, own_[0]);
        else if (is(key, "tid")) number_or_word(tid_, own_[1]);
        else if (is(key, "dur")) time(dur_, dur_state_);
        else if (is(key, "cat")) category_text();
        break;
      case 4:
        if (is(key, "name")) name();
        else if (is(key, "args")) args();
        break;
      default: break;
    }
  });
  if (!in.ok()) return false;
  emit(byte);
  if (in.repaired() != repaired) out_.count(trace_fault::repaired_text, byte, {}, in.repaired() - repaired);
  return true;
}

HOTPATH_FN void torch_builder::odd_element(std::uint64_t byte) {
  ++events_;
  out_.count(trace_fault::malformed_event, byte, "an element of traceEvents is not an object");
}

HOTPATH_FN void torch_builder::broken_event(std::string_view rest, std::uint64_t byte, std::string note) {
  const auto c = rest.empty() ? '\0' : rest[0];
  if (in_time_ && (c == 'N' || c == 'n' || c == 'I' || c == 'i' || c == '-')) out_.count(trace_fault::bad_time, byte);
  else out_.count(trace_fault::damaged, byte, std::move(note));
  in_time_ = false;
}

HOTPATH_FN void torch_builder::emit(std::uint64_t byte) {
  ++events_;
  ++phases_[static_cast<unsigned char>(phase_)];
  if (odd_ || phase_ == 0) return out_.count(trace_fault::malformed_event, byte);
  if (phase_ == 'M') {
    const int what = name_ == "process_name" ? 0 : name_ == "process_labels" ? 1 : name_ == "thread_name" ? 2 : -1;
    if (what >= 0 && args_used_) metadata_.push_back({track_of(pid_, tid_), static_cast<std::uint8_t>(what), args_.text});
    return;
  }
  if (phase_ != 'X' && phase_ != 'B' && phase_ != 'E') return;
  category& c = categories_[category_];
  c.count += phase_ == 'X';
  const auto fault = [&]() -> int {
    if (ts_state_ != number::good) return static_cast<int>(ts_state_ == number::absent ? trace_fault::no_time : trace_fault::bad_time);
    if (phase_ != 'X') return -1;
    if (dur_state_ != number::good) return static_cast<int>(dur_state_ == number::absent ? trace_fault::no_duration : trace_fault::bad_time);
    if (dur_.ns < 0) return static_cast<int>(trace_fault::negative_duration);
    std::int64_t end = 0;
    return __builtin_add_overflow(ts_.ns, dur_.ns, &end) ? static_cast<int>(trace_fault::bad_time) : -1;
  }();
  if (fault >= 0) return out_.count(static_cast<trace_fault>(fault), byte);
  if (phase_ == 'X' && c.what == event_class::other) return;
  event_row e;
  e.begin = ts_.ns, e.duration = dur_state_ == number::good ? dur_.ns : 0, e.byte = byte, e.track = track_of(pid_, tid_);
  e.what = c.what, e.category = category_, e.phase = phase_;
  e.name = name_.empty() ? 0 : out_.names.intern(name_, name_hash_);
  if (phase_ != 'E' && name_.size() > options_.names.bytes) out_.count(trace_fault::long_name, byte, "names were cut");
  if (phase_ == 'X') return store(e);
  if (phase_ == 'B' && args_used_) e.args = static_cast<std::uint32_t>(half_args_.size()), half_args_.push_back(args_);
  halves_.push_back(e);
}

// The args of an event with ph X are in args_.
HOTPATH_FN void torch_builder::store(const event_row& e) {
  const nanoseconds begin{e.begin}, duration{e.duration};
  const event_args& a = args_;
  // A device that cannot be told from another one by its number is none.
  const bool on_device = e.what == event_class::kernel || e.what == event_class::copy || e.what == event_class::set || e.what == event_class::sync;
  if (on_device && a.device != no_index && a.device > UINT16_MAX) return out_.count(trace_fault::malformed_event, e.byte, "a device's number is beyond 65,535");
  const auto track_number = [&](name_id model::track::*part) {
    std::uint64_t v = 0;
    return id_of(out_.names[out_.tracks[e.track].*part], v) && v < no_index ? static_cast<std::uint32_t>(v) : no_index;
  };
  switch (e.what) {
    case event_class::kernel: case event_class::copy: case event_class::set: {
      model::gpu_event g{.begin = begin, .duration = duration, .correlation = a.correlation, .external = a.external, .name = e.name, .stream = a.stream};
      g.graph = a.graph, g.graph_node = a.graph_node, g.track = e.track;
      if (g.stream == no_index) g.stream = track_number(&model::track::tid);
      const std::uint32_t device = a.device != no_index ? a.device : track_number(&model::track::pid);
      g.device = static_cast<std::uint16_t>(device <= UINT16_MAX ? device : 0);
      g.kind = e.what == event_class::kernel ? (a.is_graph ? model::gpu_kind::graph : model::gpu_kind::kernel) : e.what == event_class::copy ? model::gpu_kind::copy : model::gpu_kind::set;
      if (e.what != event_class::kernel) copy_facts(out_.names[e.name], {}, args_.detail), args_.has_detail = args_used_ = true;
      else args_.detail.copy_kind = 0;
      if (a.has_detail) g.detail = detail_index_.intern(out_.details, a.detail);
      return out_.gpu.push_back(g);
    }
    case event_class::api: {
      model::api_call c{.begin = begin, .duration = duration, .correlation = a.correlation, .external = a.external, .name = e.name, .track = e.track};
      c.kernel = a.kernel;
      args_.detail.copy_kind = 0;
      if (a.has_detail) c.detail = detail_index_.intern(out_.details, a.detail);
      return out_.api.push_back(c);
    }
    case event_class::op: return out_.ops.push_back({.begin = begin, .duration = duration, .external = a.external, .name = e.name, .track = e.track});
    case event_class::frame: return out_.frames.push_back({.begin = begin, .duration = duration, .name = e.name, .track = e.track});
    case event_class::annotation: case event_class::gpu_annotation: {
      model::annotation n{.begin = begin, .duration = duration, .external = a.external, .name = e.name, .track = e.track};
      if (e.what == event_class::gpu_annotation) {
        n.kind = model::annotation_kind::gpu_user;
        n.stream = a.stream != no_index ? a.stream : track_number(&model::track::tid);
      }
      return out_.annotations.push_back(n);
    }
    case event_class::sync: {
      model::sync_event s{.begin = begin, .duration = duration, .correlation = a.correlation, .waits_for = a.waits_for, .name = a.sync_kind != 0 ? a.sync_kind : e.name};
      s.stream = a.stream, s.waits_for_stream = a.waits_for_stream, s.track = e.track;
      s.device = static_cast<std::uint16_t>(a.device <= UINT16_MAX ? a.device : 0);
      return out_.syncs.push_back(s);
    }
    case event_class::other: return;
  }
}

HOTPATH_FN void torch_builder::merge(torch_builder& from) {
  model::timeline& o = from.out_;
  // Ids of the other are given in the order of the file, so that those who are new get the numbers that one reader alone would give.
  std::vector<name_id>& names = from.names_there_;
  for (std::size_t i = names.size(); i < o.names.size(); ++i) names.push_back(out_.names.intern(o.names[static_cast<name_id>(i)]));
  std::vector<std::uint32_t>& tracks = from.tracks_there_;
  for (std::size_t i = tracks.size(); i < o.tracks.size(); ++i) tracks.push_back(track_row(names[o.tracks[i].pid], names[o.tracks[i].tid]));
  std::vector<std::uint32_t>& details = from.details_there_;
  for (std::size_t i = details.size(); i < o.details.size(); ++i) {
    model::gpu_detail d = o.details[i];
    d.collective = names[d.collective], d.group = names[d.group], d.dtype = names[d.dtype];
    details.push_back(detail_index_.intern(out_.details, d));
  }
  for (std::size_t i = from.categories_there_.size(); i < from.categories_.size(); ++i) from.categories_there_.push_back(category_of(from.categories_[i].text));
  const auto append = [&](auto& rows, auto& more, auto change) {
    for (auto& row : more) row.name = names[row.name], row.track = tracks[row.track], change(row);
    if (rows.size() + more.size() > 2 * rows.size()) rows.reserve(rows.size() + 2 * more.size());
    for (const auto& row : more) rows.push_back(row);
  };
  append(out_.gpu, o.gpu, [&](model::gpu_event& g) { g.detail = details[g.detail]; });
  append(out_.api, o.api, [&](model::api_call& c) { c.detail = details[c.detail], c.kernel = names[c.kernel]; });
  append(out_.ops, o.ops, [](model::cpu_op&) {});
  append(out_.frames, o.frames, [](model::frame&) {});
  append(out_.annotations, o.annotations, [](model::annotation&) {});
  append(out_.syncs, o.syncs, [](model::sync_event&) {});
  const auto first_args = static_cast<std::uint32_t>(half_args_.size());
  for (event_args a : from.half_args_) {
    a.kernel = names[a.kernel], a.sync_kind = names[a.sync_kind];
    a.detail.collective = names[a.detail.collective], a.detail.group = names[a.detail.group], a.detail.dtype = names[a.detail.dtype];
    half_args_.push_back(a);
  }
  for (event_row e : from.halves_) {
    e.name = names[e.name], e.track = tracks[e.track], e.category = from.categories_there_[e.category];
    if (e.args != no_index) e.args += first_args;
    halves_.push_back(e);
  }
  for (const metadata& m : from.metadata_) metadata_.push_back({tracks[m.track], m.what, names[m.text]});
  for (std::size_t i = 0; i < from.categories_.size(); ++i) categories_[from.categories_there_[i]].count += from.categories_[i].count;
  for (std::size_t i = 0; i < 256; ++i) phases_[i] += from.phases_[i];
  events_ += from.events_;
  for (model::trace_loss& l : o.lost) out_.count(l.fault, l.first_byte, std::move(l.note), l.count);
  from.clear(false);
}

// ---- the root ------------------------------------------------------------------------------------------------------------------------

HOTPATH_FN void torch_builder::device_properties(std::string_view value) {
  json::reader in(value, json::mode::tolerant_text);
  const auto whole = [&](auto& to) {
    using integer = std::remove_reference_t<decltype(to)>;
    std::uint64_t v = 0;
    if (!read_id(in, v)) return true;
    if (std::in_range<integer>(v)) to = static_cast<integer>(v);
    return std::in_range<integer>(v);
  };
  in.array([&] {
    if (in.peek() != json::kind::object || out_.devices.size() >= 4096) return;
    model::device d;
    d.ordinal = static_cast<std::uint16_t>(out_.devices.size());
    bool has_place = true;
    in.object([&](std::string_view key) {
      std::string_view text;
      if (key == "id") has_place = whole(d.ordinal);
      else if (key == "name" && in.string(text)) d.name.assign(text.substr(0, 256));
      else if (key == "totalGlobalMem") whole(d.memory_bytes);
      else if (key == "computeMajor") whole(d.compute_major);
      else if (key == "computeMinor") whole(d.compute_minor);
      else if (key == "numSms") whole(d.multiprocessors);
    });
    if (has_place) out_.devices.push_back(std::move(d));
    else out_.count(trace_fault::malformed_event, std::nullopt, "a device's number is beyond 65,535");
  });
}

// Of a name that the root has more than once the first one counts.
HOTPATH_FN void torch_builder::fact(std::string_view key, std::string_view value) {
  for (const auto& [k, v] : out_.about.more)
    if (k == key) return;
  out_.about.more.emplace_back(key, value);
}

HOTPATH_FN void torch_builder::distributed(std::string_view value) {
  json::reader in(value, json::mode::tolerant_text);
  if (in.peek() != json::kind::object) return;
  in.object([&](std::string_view key) {
    std::string_view text;
    std::uint64_t v = 0;
    if (key == "backend" && in.string(text)) out_.about.backend.assign(text.substr(0, 64));
    else if (key == "rank" && read_id(in, v) && v < (1u << 30)) out_.about.rank = static_cast<int>(v);
    else if (key == "world_size" && read_id(in, v) && v < (1u << 30)) out_.about.world_size = static_cast<int>(v);
    else if (key == "nccl_version" && in.string(text)) fact("nccl_version", text.substr(0, 64));
  });
}

HOTPATH_FN void torch_builder::member(std::string_view key, std::string_view value) {
  // What is not in this list is not kept: hosts, users, jobs and paths are among the rest.
  constexpr std::string_view kept[] = {"schemaVersion", "cupti_version", "cuda_runtime_version", "cuda_driver_version", "roctracer_version", "hip_runtime_version",
                                       "hip_driver_version", "displayTimeUnit", "profile_memory", "with_flops", "with_modules", "vllm_version"};
  const bool on = value == "1" || value == "true";
  if (key == "deviceProperties") return out_.devices.empty() ? device_properties(value) : void();
  if (key == "distributedInfo") return distributed(value);
  if (key == own_member) return read_own_member(value, told_);
  if (key == "with_stack") out_.about.with_stack = on;
  if (key == "record_shapes") out_.about.record_shapes = on;
  if (key == "vllm_version" && root_words_.empty()) root_words_.emplace_back("vllm");
  if (key == "baseTimeNanoseconds" && !base_given_) {
    json::reader in(value, json::mode::tolerant_text);
    base_given_ = in.integer(base_ns_);
  }
  for (const std::string_view k : kept)
    if (k == key && value.size() <= 64 && !value.empty() && value[0] != '{' && value[0] != '[') {
      if (value[0] == '"') value = value.substr(1, value.size() - 2);
      fact(key, value);
    }
}

}  // namespace detail

HOTPATH_FN result<model::timeline> read_source(byte_source source, std::string_view path, const read_options& options) {
  return detail::torch_reader(source, path, options).run();
}

HOTPATH_FN result<model::timeline> read_text(std::string_view text, const read_options& options) {
  struct state { std::string_view left; std::uint64_t done; } s{text, 0};
  byte_source source;
  source.self = &s;
  source.read = [](void* self, char* to, std::size_t room) {
    state& at = *static_cast<state*>(self);
    const std::size_t n = (std::min)(room, at.left.size());
    if (n != 0) std::memcpy(to, at.left.data(), n);
    at.left.remove_prefix(n);
    at.done += n;
    return n;
  };
  source.done = [](void* self) { return static_cast<state*>(self)->done; };
  source.total = text.size();
  return read_source(source, {}, options);
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/slice-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

HOTPATH_FN time_range after_first_gpu(const model::timeline& t, time_range relative) {
  std::int64_t first = INT64_MAX;
  for (const model::gpu_event& e : t.gpu) if (e.begin.ns < first) first = e.begin.ns;
  if (t.gpu.empty()) detail::each_interval(t, [&](nanoseconds begin, nanoseconds) { if (begin.ns < first) first = begin.ns; });
  if (first == INT64_MAX) first = 0;
  return {nanoseconds{first} + relative.begin, nanoseconds{first} + relative.end};
}

namespace detail {

// The one word for all that a file may call a class of events; what has no class keeps its own.
inline std::string_view category_name(event_class what, bool driver, std::string_view text) {
  using enum event_class;
  switch (what) {
    case kernel: return category_name(model::gpu_kind::kernel);
    case copy: return category_name(model::gpu_kind::copy);
    case set: return category_name(model::gpu_kind::set);
    case api: return api_category(driver);
    case op: return "cpu_op";
    case frame: return "python_function";
    case annotation: return "user_annotation";
    case gpu_annotation: return "gpu_user_annotation";
    case sync: return "cuda_sync";
    case other: break;
  }
  return text;
}

HOTPATH_FN slicer::slicer(const model::timeline& t, const selection& s) : t_(t), selection_(s) {
  for (const model::process& p : t.processes) fits_.push_back(!s.rank || p.rank == s.rank);
  for (const std::string& c : s.categories) {
    const std::string lower = text::lower(c);
    const event_class as_written = class_of(c);
    categories_.emplace_back(category_name(as_written == event_class::other ? class_of(lower) : as_written, lower.ends_with("_driver"), c));
  }
  if (s.steps) for (const host_range& r : *s.steps) if (r.begin <= r.end) ranges_.push_back(r);
  sort_in_place(ranges_, [](const host_range& a, const host_range& b) { return a.process != b.process ? a.process < b.process : a.begin < b.begin; });
  std::size_t apart = 0;
  for (const host_range& r : ranges_) {
    if (apart != 0 && ranges_[apart - 1].process == r.process && r.begin <= ranges_[apart - 1].end) {
      if (ranges_[apart - 1].end < r.end) ranges_[apart - 1].end = r.end;
    } else {
      ranges_[apart++] = r;
    }
  }
  ranges_.resize(apart);
  const rows<launch_link> links = launch_links(t);
  gpu_kept_.resize(t.gpu.size());
  std::vector<bool> launched(s.steps ? t.gpu.size() : 0);
  if (s.steps)
    for (const launch_link& l : links) launched[l.gpu] = in_steps(t.api[l.api].begin.ns, t.api[l.api].begin.ns, t.gpu[l.gpu].process);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    const model::gpu_event& e = t.gpu[i];
    gpu_kept_[i] = rank_fits(e.process) && in_time(e.begin.ns, e.end().ns) && (!s.steps || launched[i]);
    if (!gpu_kept_[i]) continue;
    if (e.begin.ns < gpu_begin_) gpu_begin_ = e.begin.ns;
    if (e.end().ns > gpu_end_) gpu_end_ = e.end().ns;
    if (e.correlation != model::no_id) correlations_.push_back({e.process, e.correlation});
    if (e.external != model::no_id) externals_.push_back({e.process, e.external});
  }
  for (const launch_link& l : links) {
    if (!gpu_kept_[l.gpu]) continue;
    const model::api_call& a = t.api[l.api];
    points_.push_back({a.track, a.begin.ns});
    if (a.external != model::no_id) externals_.push_back({t.gpu[l.gpu].process, a.external});
  }
  const auto by_id = [](const id& a, const id& b) { return a.process != b.process ? a.process < b.process : a.value < b.value; };
  sort_in_place(correlations_, by_id);
  sort_in_place(externals_, by_id);
  for (const model::cpu_op& o : t.ops)  // an operator that a kept event names: what is around it stays, too
    if (o.external != model::no_id && has(externals_, t.process_of(o.track), o.external)) points_.push_back({o.track, o.begin.ns});
  sort_in_place(points_, [](const point& a, const point& b) { return a.track != b.track ? a.track < b.track : a.at < b.at; });

  for (std::size_t i = 0; i < t.tracks.size(); ++i) {
    const model::track& k = t.tracks[i];
    key_.assign(t.name(k.pid));
    const name_id pid = places_.intern(key_);
    if (pid >= place_of_.size()) place_of_.resize(std::size_t{pid} + 1, place{0, 0, model::no_index, k.process});
    key_.append("\x1f").append(t.name(k.tid));
    const name_id both = places_.intern(key_);
    if (both >= place_of_.size()) place_of_.resize(std::size_t{both} + 1);
    place_of_[both] = {k.pid, k.tid, static_cast<std::uint32_t>(i), k.process};
  }
}

HOTPATH_FN bool slicer::category_fits(std::string_view category) const {
  if (categories_.empty()) return true;
  for (const std::string& c : categories_) if (text::equal_ignoring_case(c, category)) return true;
  return false;
}

// An event of duration 0 overlaps the range that it begins in. Everything overlaps where nothing is asked for.
constexpr bool meets(std::int64_t begin, std::int64_t end, nanoseconds from, nanoseconds to) { return begin < to.ns && (end > from.ns || begin >= from.ns); }
HOTPATH_FN bool slicer::in_time(std::int64_t begin, std::int64_t end) const { return !selection_.time || meets(begin, end, selection_.time->begin, selection_.time->end); }
HOTPATH_FN bool slicer::in_steps(std::int64_t begin, std::int64_t end, std::uint16_t process) const {
  if (!selection_.steps) return true;
  const host_range *const last = ranges_.data() + ranges_.size(),
                   *const r = find_first_not(ranges_.data(), last, [=](const host_range& x) { return x.process < process || (x.process == process && x.end.ns <= begin); });
  return r != last && r->process == process && meets(begin, end, r->begin, r->end);
}

HOTPATH_FN bool slicer::has(const std::vector<id>& ids, std::uint16_t process, std::uint64_t value) const {
  const id *const end = ids.data() + ids.size(),
           *const at = find_first_not(ids.data(), end, [=](const id& k) { return k.process < process || (k.process == process && k.value < value); });
  return at != end && at->process == process && at->value == value;
}

HOTPATH_FN bool slicer::around_kept(std::uint32_t track, std::int64_t begin, std::int64_t end) const {
  const point *const last = points_.data() + points_.size(),
              *const p = find_first_not(points_.data(), last, [=](const point& x) { return x.track < track || (x.track == track && x.at < begin); });
  return p != last && p->track == track && p->at <= end;
}

template <class E>
bool slicer::around(const E& e) const {
  const std::uint16_t p = t_.process_of(e.track);
  return rank_fits(p) && (overlaps(e.begin.ns, e.end().ns, p) || around_kept(e.track, e.begin.ns, e.end().ns));
}
HOTPATH_FN bool slicer::host(const model::api_call& e) const {
  const std::uint16_t p = t_.process_of(e.track);
  return rank_fits(p) && (overlaps(e.begin.ns, e.end().ns, p) || (e.correlation != model::no_id && has(correlations_, p, e.correlation)));
}
HOTPATH_FN bool slicer::host(const model::cpu_op& e) const { return around(e) || (e.external != model::no_id && rank_fits(t_.process_of(e.track)) && has(externals_, t_.process_of(e.track), e.external)); }
HOTPATH_FN bool slicer::host(const model::annotation& e) const {
  if (e.kind != model::annotation_kind::gpu_user) return around(e);
  return rank_fits(t_.process_of(e.track)) && on_gpu(e.begin.ns, e.end().ns);
}
HOTPATH_FN bool slicer::sync(const model::sync_event& e) const {
  return rank_fits(e.process) && on_gpu(e.begin.ns, e.end().ns);
}

HOTPATH_FN model::timeline slicer::timeline() const {
  model::timeline out;
  out.names = t_.names, out.details = t_.details, out.short_names = t_.short_names, out.mangled_names = t_.mangled_names;
  out.tracks = t_.tracks, out.processes = t_.processes, out.devices = t_.devices, out.about = t_.about, out.lost = t_.lost;
  out.about.by_phase.clear(), out.about.by_category.clear();
  for (std::size_t i = 0; i < t_.gpu.size(); ++i)
    if (gpu_kept_[i] && category_fits(category_name(t_.gpu[i].kind))) out.gpu.push_back(t_.gpu[i]);
  for (const model::api_call& e : t_.api) {
    if (host(e) && category_fits(api_category(is_driver_call(t_.name(e.name))))) out.api.push_back(e);
  }
  const bool ops = category_fits("cpu_op"), frames = category_fits("python_function"), syncs = category_fits("cuda_sync");
  if (ops) for (const model::cpu_op& e : t_.ops) if (host(e)) out.ops.push_back(e);
  if (frames) for (const model::frame& e : t_.frames) if (around(e)) out.frames.push_back(e);
  for (const model::annotation& e : t_.annotations)
    if (host(e) && category_fits(e.kind == model::annotation_kind::gpu_user ? "gpu_user_annotation" : "user_annotation")) out.annotations.push_back(e);
  if (syncs) for (const model::sync_event& e : t_.syncs) if (sync(e)) out.syncs.push_back(e);
  out.about.events = out.gpu.size() + out.api.size() + out.ops.size() + out.frames.size() + out.annotations.size() + out.syncs.size();
  out.sort();
  return out;
}

// The track and process of an event as it stands in the file.
HOTPATH_FN slicer::place slicer::where(const event_view& e) {
  key_.assign(e.pid);
  key_.append("\x1f").append(e.tid);
  if (const name_id both = places_.find(key_); both != 0) return place_of_[both];
  if (const name_id pid = places_.find(e.pid); pid != 0) return {0, 0, model::no_index, place_of_[pid].process};
  return {0, 0, model::no_index, 0};
}

struct raw_ids {
  std::uint64_t correlation = model::no_id, external = model::no_id, flow = model::no_id;
};
inline raw_ids ids_of(std::string_view raw) {
  raw_ids ids;
  json::reader in(raw, json::mode::tolerant_text);
  in.object([&](std::string_view key) {
    if (key == "id") static_cast<void>(read_id(in, ids.flow));
    else if (key == "args") in.object([&](std::string_view k) {
      if (k == "correlation") static_cast<void>(read_id(in, ids.correlation));
      else if (k == "External id" || k == "external id") static_cast<void>(read_id(in, ids.external));
    });
  });
  return ids;
}

HOTPATH_FN bool slicer::keep(const event_view& e) {
  const place at = where(e);
  if (!rank_fits(at.process)) return false;
  if (e.phase == 'M') return true;
  using enum event_class;
  const event_class what = class_of(e.category);
  if (!category_fits(category_name(what, is_driver_call(e.name), e.category))) return false;
  const std::int64_t begin = e.ts ? e.ts->ns : 0, end = (nanoseconds{begin} + e.dur.value_or(nanoseconds{})).ns;
  const bool is_gpu = e.phase == 'X' && (what == kernel || what == copy || what == set);
  if (whole()) return gpu += is_gpu, true;
  if (!e.ts) return false;
  if (e.phase == 's' || e.phase == 'f' || e.phase == 't') return has(correlations_, at.process, ids_of(e.raw).flow);
  if (e.phase != 'X') return overlaps(begin, end, at.process);
  if (is_gpu) {
    const bool kept = in_time(begin, end) && (!selection_.steps || has(correlations_, at.process, ids_of(e.raw).correlation));
    gpu += kept;
    return kept;
  }
  if (what == sync || what == gpu_annotation) return on_gpu(begin, end);
  if (overlaps(begin, end, at.process)) return true;
  if (what == api) return has(correlations_, at.process, ids_of(e.raw).correlation);
  if (what == op && has(externals_, at.process, ids_of(e.raw).external)) return true;
  return (what == op || what == frame || what == annotation) && around_kept(at.track, begin, end);
}

}  // namespace detail

HOTPATH_FN model::timeline slice(const model::timeline& t, const selection& s) { return detail::slicer(t, s).timeline(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/write_chrome.hpp
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
// ---- hotpath/trace/write_chrome.hpp

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
// ---- hotpath/trace/write_chrome-inl.hpp
// hotpath/trace/write_chrome-inl.hpp - bodies of write_chrome.hpp.
// ---- hotpath/trace/write_chrome-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

class chrome_writer {
 public:
  chrome_writer(const model::timeline& t, byte_sink sink, chrome_options o) : t_(t), sink_(sink), options_(o) { out_.base = nanoseconds{base_of(t)}; }

  result<written> run() {
    places();
    head();
    metadata();
    std::size_t link = 0;
    if (options_.flows) links_ = launch_links(t_);
    for (const model::gpu_event& e : t_.gpu) gpu(e);
    for (std::size_t i = 0; i < t_.api.size(); ++i) {
      api(t_.api[i]);
      for (; link < links_.size() && links_[link].api == i; ++link) flow(t_.api[i], t_.gpu[links_[link].gpu]);
    }
    for (const model::cpu_op& e : t_.ops) {
      begin("cpu_op", e.name, place(e.track), e.begin, e.duration);
      id("External id", e.external), end();
    }
    for (std::size_t i = 0; i < t_.frames.size(); ++i) {
      const model::frame& e = t_.frames[i];
      begin("python_function", e.name, place(e.track), e.begin, e.duration);
      number("Python id", i + 1);
      if (e.parent != model::no_index) number("Python parent id", std::uint64_t{e.parent} + 1);
      end();
    }
    for (const model::annotation& e : t_.annotations) annotation(e);
    for (const model::sync_event& e : t_.syncs) sync(e);
    buffer_ += "\n]}\n";
    flush(0);
    if (refused_) return error{.code = errc::io, .detail = "the trace could not be written"};
    return out_;
  }

 private:
  void flush(std::size_t keep) {
    if (buffer_.size() <= keep) return;
    if (!refused_) refused_ = !sink_(buffer_);
    out_.bytes += buffer_.size();
    buffer_.clear();
  }

  // ---- pieces
  void quoted(std::string_view s) { json::writer(buffer_).value(s); }
  void digits(std::uint64_t n) {
    char text[20];
    buffer_.append(text, std::to_chars(text, text + sizeof text, n).ptr);
  }
  // Nanoseconds as microseconds.
  void microseconds(std::uint64_t ns) {
    digits(ns / 1000);
    const auto rest = static_cast<unsigned>(ns % 1000);
    const char text[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10), static_cast<char>('0' + rest % 10)};
    buffer_.append(text, sizeof text);
  }
  void time(std::string_view key, nanoseconds at) {
    buffer_ += key;
    microseconds(static_cast<std::uint64_t>(at.ns) - static_cast<std::uint64_t>(out_.base.ns));
  }
  static std::string token(std::string_view text) {  // of a pid or tid: a number where it is one
    std::string out;
    if (is_integer(text)) out = text;
    else json::writer(out).value(text);
    return out;
  }

  // ---- where events go
  // Of one process a GPU has its ordinal as pid, as Kineto does. Of several, each pid tells its process, in the way of traces that SGLang merged:
  // "[TP03] 4711" is rank 3. Our reader and others tell processes apart by it.
  std::string prefix_of(std::uint16_t process, bool ranks) const {
    const std::string n = std::to_string(ranks ? *t_.processes[process].rank : static_cast<int>(process));
    std::string s = ranks ? "[TP" : "[NP";
    return s.append(n.size() < 2 ? 2 - n.size() : 0, '0').append(n).append(ranks ? "] " : " no rank] ");
  }
  std::string pid_of(const model::track& k) const {
    const std::string_view pid = t_.name(k.pid);
    std::string s = !process_of_pid(pid).empty() ? std::string() : prefixes_[k.process < prefixes_.size() ? k.process : 0];
    return s.append(pid);
  }
  std::string gpu_pid(std::uint16_t process, std::uint16_t device) const { return prefixes_[process < prefixes_.size() ? process : 0] + std::to_string(device); }
  void places() {
    const std::size_t n = t_.processes.size();
    hotpath::detail::id_index seen;
    bool ranks = true;  // each has one of its own
    for (std::size_t p = 0; ranks && p < n; ++p)
      if (ranks = t_.processes[p].rank.has_value(); ranks) seen.insert(0, static_cast<std::uint64_t>(*t_.processes[p].rank), 0, &ranks);
    for (std::size_t p = 0; p == 0 || p < n; ++p) prefixes_.push_back(n < 2 ? std::string() : prefix_of(static_cast<std::uint16_t>(p), ranks));
    for (const model::track& k : t_.tracks) {
      std::string s = "\"pid\":" + token(pid_of(k));
      places_.push_back(s.append(",\"tid\":").append(token(t_.name(k.tid))));
    }
  }
  std::string_view place(std::uint32_t track) const { return track < places_.size() ? std::string_view(places_[track]) : std::string_view("\"pid\":0,\"tid\":0"); }
  std::string_view gpu_place(std::uint32_t track, std::uint16_t process, std::uint16_t device, std::uint32_t stream) {
    if (track < places_.size()) return places_[track];
    const std::uint64_t key = std::uint64_t{process} << 48 | std::uint64_t{device} << 32 | stream;
    if (gpu_place_.empty() || key != gpu_key_) {
      gpu_key_ = key;
      gpu_place_ = "\"pid\":" + token(gpu_pid(process, device));
      gpu_place_.append(",\"tid\":").append(stream == model::no_index ? "-1" : std::to_string(stream));
    }
    return gpu_place_;
  }

  // ---- the parts of the file
  void head() {
    buffer_ += "{\n\"schemaVersion\":1,\n\"displayTimeUnit\":\"ns\"";
    const auto member = [&](std::string_view key) -> std::string& { return buffer_.append(",\n\"").append(key).append("\":"); };
    if (!t_.devices.empty()) {
      member("deviceProperties") += '[';
      for (std::size_t i = 0; i < t_.devices.size(); ++i) {
        const model::device& d = t_.devices[i];
        if (i != 0) buffer_ += ',';
        json::writer o(buffer_);
        o.object_begin(), o.member("id", d.ordinal), o.member("name", d.name), o.member("totalGlobalMem", d.memory_bytes);
        o.member("computeMajor", d.compute_major), o.member("computeMinor", d.compute_minor), o.member("numSms", d.multiprocessors);
        if (t_.processes.size() > 1) o.member("process", d.process);
        o.object_end();
      }
      buffer_ += ']';
    }
    const std::optional<int> rank = t_.about.rank ? t_.about.rank : t_.processes.size() == 1 ? t_.processes[0].rank : std::nullopt;
    if (t_.processes.size() < 2 && (rank || t_.about.world_size || !t_.about.backend.empty())) {
      member("distributedInfo");
      json::writer o(buffer_);
      o.object_begin();
      if (!t_.about.backend.empty()) o.member("backend", t_.about.backend);
      if (rank) o.member("rank", *rank);
      if (t_.about.world_size) o.member("world_size", *t_.about.world_size);
      o.object_end();
    }
    if (t_.about.with_stack) member("with_stack") += '1';
    if (t_.about.record_shapes) member("record_shapes") += '1';
    const auto unix_offset = t_.processes.empty() ? std::nullopt : t_.processes[0].unix_offset;
    if (unix_offset) member("baseTimeNanoseconds") += std::to_string((*unix_offset + out_.base).ns);
    else if (out_.base.ns != 0) member("otherData").append("{\"hotpath_base_ns\":\"").append(std::to_string(out_.base.ns)).append("\"}");
    if (t_.processes.size() > 1 || !t_.lost.empty()) {
      json::writer o(member(own_member));
      o.object_begin();
      if (t_.processes.size() > 1) processes(o);
      if (!t_.lost.empty()) write_lost(o, t_.lost);
      o.object_end();
    }
    buffer_ += ",\n\"traceEvents\":[";
  }

  // What tells processes beyond their prefix.
  void processes(json::writer& o) {
    o.key("processes"), o.array_begin();
    for (const model::process& p : t_.processes) {
      o.object_begin(), o.member("pid", t_.name(p.pid)), o.member("name", t_.name(p.name)), o.member("label", t_.name(p.label)), o.member("rank", p.rank);
      o.member("source", p.source), o.member("shift_ns", p.shift.ns), o.member("clock", clock_words[static_cast<std::size_t>(p.clock)]), o.object_end();
    }
    o.array_end();
  }

  void meta(std::string_view what, std::string_view at, std::string_view key, std::string_view value, bool is_text = true) {
    buffer_.append(first_ ? "\n" : ",\n").append("{\"ph\":\"M\",\"name\":\"").append(what).append("\",\"ts\":0,").append(at).append(",\"args\":{\"").append(key).append("\":");
    first_ = false;
    if (is_text) quoted(value);
    else buffer_ += value;
    buffer_ += "}}";
    flush(limit);
  }
  void metadata() {
    name_table done;  // pids, as JSON
    const auto process = [&](std::uint16_t p, const std::string& pid, bool gpu) {
      const std::string at = "\"pid\":" + token(pid) + ",\"tid\":0";
      const std::size_t before = done.size();
      done.intern(at);
      if (done.size() == before) return;
      const model::process* const at_process = p < t_.processes.size() ? &t_.processes[p] : nullptr;
      if (at_process != nullptr && at_process->name != 0) meta("process_name", at, "name", t_.name(at_process->name));
      std::string label = gpu ? "GPU " + (pid.find(' ') == std::string::npos ? pid : pid.substr(pid.rfind(' ') + 1)) : at_process != nullptr ? std::string(t_.name(at_process->label)) : std::string();
      if (at_process != nullptr && at_process->rank && t_.processes.size() > 1) label = "rank " + std::to_string(*at_process->rank) + (label.empty() ? "" : " ") + label;
      if (!label.empty()) meta("process_labels", at, "labels", label);
    };
    std::vector<bool> is_gpu(t_.tracks.size(), false);
    hotpath::detail::id_index devices;
    for (const model::gpu_event& e : t_.gpu) {
      bool fresh = false;
      if (e.track < is_gpu.size()) is_gpu[e.track] = true;
      else devices.insert(e.process, e.device, 0, &fresh);
      if (fresh) process(e.process, gpu_pid(e.process, e.device), true);
    }
    for (std::size_t i = 0; i < t_.tracks.size(); ++i) process(t_.tracks[i].process, pid_of(t_.tracks[i]), is_gpu[i]);
    for (std::size_t i = 0; i < t_.tracks.size(); ++i)
      if (t_.tracks[i].name != 0) meta("thread_name", places_[i], "name", t_.name(t_.tracks[i].name));
  }

  // ---- one event
  void begin(std::string_view category, name_id name, std::string_view at, nanoseconds from, nanoseconds duration) {
    buffer_.append(first_ ? "\n" : ",\n").append("{\"ph\":\"X\",\"cat\":\"").append(category).append("\",\"name\":");
    first_ = false, no_args_ = true;
    quoted(t_.name(name));
    buffer_.append(",").append(at);
    time(",\"ts\":", from);
    buffer_ += ",\"dur\":";
    microseconds(static_cast<std::uint64_t>(duration.ns));
    ++out_.events;
  }
  void end() {
    buffer_ += no_args_ ? "}" : "}}";
    flush(limit);
  }
  void key(std::string_view k) {
    buffer_.append(no_args_ ? ",\"args\":{\"" : ",\"").append(k).append("\":");
    no_args_ = false;
  }
  void number(std::string_view k, std::uint64_t n) { key(k), digits(n); }
  void signed_number(std::string_view k, std::int64_t n) { key(k), buffer_ += std::to_string(n); }
  void id(std::string_view k, std::uint64_t n) { if (n != model::no_id) number(k, n); }
  void index(std::string_view k, std::uint32_t n) { if (n != model::no_index) number(k, n); }
  void word(std::string_view k, name_id n) { if (n != 0) key(k), quoted(t_.name(n)); }
  void triple(std::string_view k, const std::uint32_t (&v)[3]) {
    if (v[0] == 0 && v[1] == 0 && v[2] == 0) return;
    key(k);
    for (int i = 0; i < 3; ++i) buffer_ += i == 0 ? '[' : ',', digits(v[i]);
    buffer_ += ']';
  }
  void detail(std::uint32_t i) {
    if (i == 0 || i >= t_.details.size()) return;
    const model::gpu_detail& d = t_.details[i];
    if (d.registers != 0) number("registers per thread", d.registers);
    if (d.shared_bytes != 0) number("shared memory", d.shared_bytes);
    triple("grid", d.grid), triple("block", d.block);
    if (d.occupancy >= 0) key("est. achieved occupancy %"), json::writer(buffer_).value(static_cast<double>(d.occupancy) * 100);
    word("Collective name", d.collective), word("dtype", d.dtype), word("Process Group Name", d.group);
    if (d.group_size != 0) number("Group size", d.group_size);
    if (d.bytes != 0) number(d.collective != 0 ? "In msg nelems" : "bytes", d.bytes);
    const auto one_of = [&](std::string_view k, std::uint8_t n, const auto& words) { if (n != 0 && n < std::size(words)) key(k), quoted(words[n]); };
    one_of("kind", d.copy_kind, copy_directions), one_of("source memory", d.source_memory, memory_kinds), one_of("target memory", d.target_memory, memory_kinds);
  }

  void gpu(const model::gpu_event& e) {
    begin(category_name(e.kind), e.name, gpu_place(e.track, e.process, e.device, e.stream), e.begin, e.duration);
    id("External id", e.external), number("device", e.device), index("stream", e.stream), id("correlation", e.correlation);
    index("graph id", e.graph), index("graph node id", e.graph_node), detail(e.detail);
    if (e.kind == model::gpu_kind::graph) key("kind"), quoted("graph");  // a whole one: no kernel of it is known
    end();
  }
  void api(const model::api_call& e) {
    begin(api_category(is_driver_call(t_.name(e.name))), e.name, place(e.track), e.begin, e.duration);
    id("External id", e.external), word("kernel", e.kernel), detail(e.detail), id("correlation", e.correlation);
    end();
  }
  void annotation(const model::annotation& e) {
    const bool gpu = e.kind == model::annotation_kind::gpu_user;
    begin(gpu ? "gpu_user_annotation" : "user_annotation", e.name, gpu ? gpu_place(e.track, t_.process_of(e.track), 0, e.stream) : place(e.track), e.begin, e.duration);
    id("External id", e.external), word("domain", e.domain);
    if (e.kind == model::annotation_kind::push_pop || e.kind == model::annotation_kind::start_end || e.kind == model::annotation_kind::mark)
      key("nvtx"), buffer_ += e.kind == model::annotation_kind::mark ? "\"mark\"" : e.kind == model::annotation_kind::push_pop ? "\"push_pop\"" : "\"start_end\"";
    if (e.open) key("open"), buffer_ += "true";
    end();
  }
  void sync(const model::sync_event& e) {
    begin("cuda_sync", e.name, gpu_place(e.track, e.process, e.device, e.stream), e.begin, e.duration);
    key("cuda_sync_kind"), quoted(t_.name(e.name));
    if (e.waits_for != model::no_id) number("wait_on_cuda_event_record_corr_id", e.waits_for);
    index("wait_on_stream", e.waits_for_stream);
    if (e.stream == model::no_index) signed_number("stream", -1);
    else number("stream", e.stream);
    id("correlation", e.correlation), number("device", e.device);
    end();
  }
  void flow(const model::api_call& from, const model::gpu_event& to) {
    std::string number = std::to_string(from.correlation);
    if (to.process != 0) number = "\"" + std::to_string(to.process) + ":" + number + "\"";  // flow ids are the file's, correlations a process's
    buffer_.append(",\n{\"ph\":\"s\",\"id\":").append(number).append(",").append(place(from.track));
    time(",\"ts\":", from.begin);
    buffer_.append(",\"cat\":\"ac2g\",\"name\":\"ac2g\"},\n{\"ph\":\"f\",\"id\":").append(number).append(",").append(gpu_place(to.track, to.process, to.device, to.stream));
    time(",\"ts\":", to.begin);
    buffer_ += ",\"cat\":\"ac2g\",\"name\":\"ac2g\",\"bp\":\"e\"}";
    ++out_.flows;
    flush(limit);
  }

  static constexpr std::size_t limit = 64 << 10;
  const model::timeline& t_;
  byte_sink sink_;
  chrome_options options_;
  written out_;
  std::string buffer_, gpu_place_;
  std::uint64_t gpu_key_ = 0;
  std::vector<std::string> prefixes_, places_;  // by process; by track: "pid":1,"tid":2
  rows<launch_link> links_;
  bool first_ = true, no_args_ = true, refused_ = false;
};

}  // namespace detail

HOTPATH_FN result<written> write_chrome(const model::timeline& t, byte_sink sink, chrome_options o) { return detail::chrome_writer(t, sink, o).run(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/write_perfetto.hpp
// hotpath/trace/write_perfetto.hpp - a timeline as a native Perfetto trace (protobuf): ui.perfetto.dev opens it, nanoseconds are exact, and it is a
// fraction of the size of JSON.
//
//     auto keep = [&](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(); };
//     auto w = trace::write_perfetto(timeline, keep);                    // result<written>; the timeline is sorted
//
//   A track per thread (API calls, operators, Python frames, annotations nest in it), per device a track per stream, beside it one for GPU annotations
//   and one for synchronizations. Slices of a track that overlap without nesting get lanes of their own ("stream 7 lane 2"), at most 64; kernels
//   never nest. A flow leads from each launch to each of its kernels. Categories and arguments are as in Chrome JSON.
//   Names are interned; ill-formed UTF-8 becomes U+FFFD. Where the Unix time is known, a clock snapshot tells it.
//   Cost: O(n log n); 12 bytes per GPU event and 24 per launch, and 32 to 64 per API call while launches are found. Thread safety: reads the timeline only.
// ---- hotpath/trace/write_perfetto.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

struct perfetto_options {
  bool flows = true;
  bool arguments = true;   // correlation, grid, bytes ...: about half of the file
};

// An empty timeline gives a file with its processes and no slice. Errors: usage when the timeline is not in the order of sort(), io when the sink refuses.
result<written> write_perfetto(const model::timeline& t, byte_sink sink, perfetto_options o = {});

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace/write_perfetto-inl.hpp
// hotpath/trace/write_perfetto-inl.hpp - bodies of write_perfetto.hpp. Field numbers: protos/perfetto/trace of google/perfetto, as the PyPI package
// perfetto 0.59.1 has them.
// ---- hotpath/trace/write_perfetto-inl.hpp

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Protobuf by hand: a field is its number and wire type, then a varint, eight bytes, or a length and bytes.
struct proto {
  std::string bytes = {};

  static void varint(std::string& out, std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
    out.push_back(static_cast<char>(v));
  }
  void number(std::uint32_t field, std::uint64_t v) { varint(bytes, field << 3), varint(bytes, v); }
  void fixed(std::uint32_t field, std::uint64_t v) {
    varint(bytes, field << 3 | 1);
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(v >> (8 * i)));
  }
  void real(std::uint32_t field, double v) { fixed(field, __builtin_bit_cast(std::uint64_t, v)); }
  void text(std::uint32_t field, std::string_view s) { varint(bytes, field << 3 | 2), varint(bytes, s.size()), bytes.append(s); }
  void name(std::uint32_t field, std::string_view s) {  // of a type that must be UTF-8
    if (text::is_utf8(s)) text(field, s);
    else text(field, text::repair_utf8(s));
  }
  void message(std::uint32_t field, const proto& m) { text(field, m.bytes); }
};

class perfetto_writer {
 public:
  perfetto_writer(const model::timeline& t, byte_sink sink, perfetto_options o) : t_(t), sink_(sink), options_(o) {}

  result<written> run() {
    if (!in_order()) return error{.code = errc::usage, .detail = "the timeline is not in order: call sort() first"};
    std::int64_t lo = 0, first = INT64_MAX;
    each_interval(t_, [&](nanoseconds begin, nanoseconds) {
      if (begin.ns < lo) lo = begin.ns;
      if (begin.ns < first) first = begin.ns;
    });
    out_.base = nanoseconds{lo};  // times are unsigned in this format
    known_.resize(t_.names.size());
    details_.resize(t_.details.size());
    if (options_.flows) {
      links_ = launch_links(t_);
      launched_.resize(t_.gpu.size());
      for (const launch_link& l : links_) launched_[l.gpu] = true;
    }
    order_streams();
    start(first == INT64_MAX ? 0 : first);
    places();
    threads();
    streams();
    flush(0);
    if (refused_) return error{.code = errc::io, .detail = "the trace could not be written"};
    return out_;
  }

 private:
  enum category : std::uint8_t { kernel = 1, memcpy, memset, runtime, driver, op, python, user, gpu_user, sync };
  static constexpr std::string_view categories[] = {"kernel", "gpu_memcpy", "gpu_memset", "cuda_runtime", "cuda_driver", "cpu_op", "python_function", "user_annotation", "gpu_user_annotation", "cuda_sync"};
  enum argument : std::uint8_t { correlation = 1, external, graph, graph_node, grid, block, registers, shared, occupancy, collective, group, group_size, dtype, elements, bytes, direction, source_memory, target_memory, launched, domain, open };
  static constexpr std::string_view arguments[] = {"correlation", "External id", "graph id", "graph node id", "grid", "block", "registers per thread", "shared memory", "est. achieved occupancy %", "Collective name",
    "Process Group Name", "Group size", "dtype", "In msg nelems", "bytes", "kind", "source memory", "target memory", "kernel", "domain", "open"};
  static constexpr std::size_t most_lanes = 64;

  // ---- packets: Trace{1: TracePacket}
  void flush(std::size_t keep) {
    if (buffer_.size() <= keep) return;
    if (!refused_) refused_ = !sink_(buffer_);
    out_.bytes += buffer_.size();
    buffer_.clear();
  }
  void put(proto& packet, bool first = false) {
    packet.number(10, 1);               // trusted_packet_sequence_id
    packet.number(13, first ? 1 : 2);   // sequence_flags: interned data begins anew; is needed
    buffer_.push_back(0x0A);
    proto::varint(buffer_, packet.bytes.size());
    buffer_ += packet.bytes;
    flush(64 << 10);
  }
  std::uint64_t time(std::int64_t ns) const { return static_cast<std::uint64_t>(ns) - static_cast<std::uint64_t>(out_.base.ns); }

  // The fixed names, and the clock.
  void start(std::int64_t first) {
    proto packet, interned;
    const auto intern = [&](std::uint32_t field, std::uint64_t iid, std::string_view name) {
      proto m;
      m.number(1, iid), m.text(2, name);
      interned.message(field, m);
    };
    for (std::size_t i = 0; i < std::size(categories); ++i) intern(1, i + 1, categories[i]);
    for (std::size_t i = 0; i < std::size(arguments); ++i) intern(3, i + 1, arguments[i]);
    packet.message(12, interned);
    put(packet, true);
    if (t_.processes.empty() || !t_.processes[0].unix_offset) return;
    proto snapshot, boot, real;
    boot.number(1, 6), boot.number(2, time(first));                                                        // BOOTTIME: the packets' clock
    real.number(1, 1), real.number(2, static_cast<std::uint64_t>((nanoseconds{first} + *t_.processes[0].unix_offset).ns));  // REALTIME
    snapshot.message(1, boot), snapshot.message(1, real);
    proto clock;
    clock.number(8, time(first)), clock.message(6, snapshot);
    put(clock);
  }

  // ---- tracks: TrackDescriptor
  std::uint64_t describe(std::uint64_t parent, std::string_view name, std::uint32_t kind = 0, const proto* what = nullptr) {
    proto d, packet;
    d.number(1, ++uuid_);
    if (parent != 0) d.number(5, parent);
    if (!name.empty()) d.name(2, name);
    if (what != nullptr) d.message(kind, *what);
    packet.message(60, d);
    put(packet);
    return uuid_;
  }
  static std::int64_t number_of(std::string_view s, std::int64_t otherwise, std::int64_t most) {
    std::int64_t n = 0;
    return is_integer(s) && text::to_number(s, n) && n >= 0 && n <= most ? n : otherwise;
  }
  void places() {
    const std::size_t n = t_.processes.empty() ? 1 : t_.processes.size();
    hotpath::detail::id_index taken;
    for (std::size_t p = 0; p < n; ++p) {
      const model::process at = p < t_.processes.size() ? t_.processes[p] : model::process{};
      std::int64_t pid = number_of(t_.name(at.pid), -1, 1'999'999'999);
      bool fresh = false;
      taken.insert(0, static_cast<std::uint64_t>(pid), 0, &fresh);
      if (!fresh || pid <= 0) pid = 2'000'000'000 + static_cast<std::int64_t>(p);  // beyond the pids of Linux
      pids_.push_back(pid);
      std::string name;
      if (at.rank && n > 1) name.append("rank ").append(std::to_string(*at.rank)).append(" ");
      name.append(t_.name(at.name));
      if (at.label != 0) name.append(name.empty() ? "" : " ").append(t_.name(at.label));
      proto process;
      process.number(1, static_cast<std::uint64_t>(pid));
      if (!name.empty()) process.name(6, name);
      processes_.push_back(describe(0, {}, 3, &process));
    }
    device_of_.assign(t_.tracks.size(), 0);
    for (const model::gpu_event& e : t_.gpu)
      if (e.track < device_of_.size()) device_of_[e.track] = e.device;
  }
  std::uint64_t process_uuid(std::uint16_t p) const { return processes_[p < processes_.size() ? p : 0]; }
  std::uint64_t device_uuid(std::uint16_t p, std::uint16_t device) {
    const std::uint32_t next = static_cast<std::uint32_t>(devices_.size()), at = device_index_.insert(p, device, next);
    if (at != next) return devices_[at];
    std::string name = "GPU ";
    name.append(std::to_string(device));
    for (const model::device& d : t_.devices) if (d.process == p && d.ordinal == device && !d.name.empty()) name.append(" ").append(d.name);
    devices_.push_back(describe(process_uuid(p), name));
    return devices_.back();
  }

  // ---- slices
  struct slice {
    std::int64_t begin, end;
    name_id name;
    category what;
  };
  struct lane {
    std::uint64_t uuid;
    std::vector<std::int64_t> open;   // ends, innermost last
  };
  // A track and its lanes; the next one begins when `parent` or `name` change.
  void track(std::uint64_t parent, std::string name, std::uint64_t own_uuid = 0) {
    close(INT64_MAX);
    lanes_.clear();
    parent_ = parent, name_ = std::move(name);
    if (own_uuid != 0) lanes_.push_back({own_uuid, {}});
  }
  void close(std::int64_t until) {
    for (lane& l : lanes_)
      for (; !l.open.empty() && l.open.back() <= until; l.open.pop_back()) {
        proto event, packet;
        event.number(9, 2), event.number(11, l.uuid);
        packet.number(8, time(l.open.back())), packet.message(11, event);
        put(packet);
      }
  }
  // Extra(proto& event) adds arguments and flows.
  template <class Extra>
  void put_slice(const slice& s, bool nests, Extra&& extra) {
    close(s.begin);
    lane* at = nullptr;
    for (lane& l : lanes_)
      if (at == nullptr && (l.open.empty() || (nests && l.open.back() >= s.end))) at = &l;
    if (at == nullptr) {
      if (lanes_.size() == most_lanes) return void(++out_.left_out);
      std::string name = name_;
      if (!lanes_.empty()) name.append(" lane ").append(std::to_string(lanes_.size() + 1));
      lanes_.push_back({describe(parent_, name), {}});
      at = &lanes_.back();
    }
    at->open.push_back(s.end);
    proto event, packet;
    event.number(9, 1), event.number(11, at->uuid), event.number(3, s.what), event.number(10, std::uint64_t{s.name} + 1);
    extra(event);
    packet.number(8, time(s.begin));
    packet.message(11, event);
    if (!known_[s.name]) {
      proto name, interned;
      name.number(1, std::uint64_t{s.name} + 1), name.name(2, t_.name(s.name));
      interned.message(2, name), packet.message(12, interned);
      known_[s.name] = true;
    }
    put(packet);
    ++out_.events;
  }
  void add(proto& event, const proto& a) const { if (options_.arguments) event.message(4, a); }
  void add(proto& event, argument name, std::uint64_t v) const {
    proto a;
    a.number(1, name), a.number(3, v);
    add(event, a);
  }
  void add(proto& event, argument name, std::string_view v) const {
    proto a;
    a.number(1, name), a.name(6, v);
    add(event, a);
  }
  void add_id(proto& event, argument name, std::uint64_t v) const { if (v != model::no_id) add(event, name, v); }
  // Of an interned detail: encoded once.
  std::string_view detail(std::uint32_t i) {
    if (i == 0 || i >= details_.size() || !options_.arguments) return {};
    if (!details_[i].empty()) return details_[i];
    const model::gpu_detail& d = t_.details[i];
    proto out;
    const auto triple = [&](argument name, const std::uint32_t (&v)[3]) {
      if (v[0] == 0 && v[1] == 0 && v[2] == 0) return;
      std::string s = "[";
      for (int k = 0; k < 3; ++k) s.append(k == 0 ? "" : ", ").append(std::to_string(v[k]));
      add(out, name, s += ']');
    };
    triple(grid, d.grid), triple(block, d.block);
    if (d.registers != 0) add(out, registers, d.registers);
    if (d.shared_bytes != 0) add(out, shared, d.shared_bytes);
    if (d.occupancy >= 0) {
      proto a;
      a.number(1, occupancy), a.real(5, static_cast<double>(d.occupancy) * 100);
      add(out, a);
    }
    if (d.collective != 0) add(out, collective, t_.name(d.collective));
    if (d.group != 0) add(out, group, t_.name(d.group));
    if (d.group_size != 0) add(out, group_size, d.group_size);
    if (d.dtype != 0) add(out, dtype, t_.name(d.dtype));
    if (d.bytes != 0) add(out, d.collective != 0 ? elements : bytes, d.bytes);
    const auto one_of = [&](argument name, std::uint8_t v, const auto& words) { if (v != 0 && v < std::size(words)) add(out, name, words[v]); };
    one_of(direction, d.copy_kind, copy_directions), one_of(source_memory, d.source_memory, memory_kinds), one_of(target_memory, d.target_memory, memory_kinds);
    return details_[i] = std::move(out.bytes);
  }

  // ---- host threads: four arrays in the order of their tracks, walked side by side
  void threads() {
    std::size_t a = 0, o = 0, f = 0, n = 0, link = 0;
    const auto host_annotation = [&] {
      while (n < t_.annotations.size() && t_.annotations[n].kind == model::annotation_kind::gpu_user) ++n;
    };
    std::uint64_t current = UINT64_MAX;
    for (;;) {
      host_annotation();
      // The next: by track, begin, longer first; of equal ones the annotation is around the frame, this around the operator, this around the call.
      int which = -1;
      std::uint32_t at_track = 0;
      slice best{};
      const auto offer = [&](int w, const auto& events, std::size_t i, category c) {
        if (i >= events.size()) return;
        const auto& e = events[i];
        const std::int64_t end = e.end().ns;
        if (which >= 0 && (e.track != at_track ? e.track > at_track : e.begin.ns != best.begin ? e.begin.ns > best.begin : end <= best.end)) return;
        which = w, at_track = e.track, best = {e.begin.ns, end, e.name, c};
      };
      offer(0, t_.annotations, n, user), offer(1, t_.frames, f, python), offer(2, t_.ops, o, op), offer(3, t_.api, a, runtime);
      if (which < 0) break;
      if (at_track != current) host_track(at_track), current = at_track;
      if (which == 0) {
        const model::annotation& e = t_.annotations[n++];
        put_slice(best, true, [&](proto& event) {
          add_id(event, external, e.external);
          if (e.domain != 0) add(event, domain, t_.name(e.domain));
          if (e.open) add(event, open, 1);
        });
      } else if (which == 1) {
        ++f;
        put_slice(best, true, [](proto&) {});
      } else if (which == 2) {
        const model::cpu_op& e = t_.ops[o++];
        put_slice(best, true, [&](proto& event) { add_id(event, external, e.external); });
      } else {
        const model::api_call& e = t_.api[a];
        if (is_driver_call(t_.name(e.name))) best.what = driver;
        const std::size_t first = link;
        while (link < links_.size() && links_[link].api == a) ++link;
        const std::uint64_t before = out_.events;
        put_slice(best, true, [&](proto& event) {
          add_id(event, correlation, e.correlation), add_id(event, external, e.external);
          if (e.kernel != 0) add(event, launched, t_.name(e.kernel));
          event.bytes += detail(e.detail);
          for (std::size_t i = first; i < link; ++i) if (launched_[links_[i].gpu]) event.fixed(47, std::uint64_t{links_[i].gpu} + 1);
        });
        for (std::size_t i = first; i < link; ++i)
          if (out_.events == before) launched_[links_[i].gpu] = false;  // the launch had no room: no arrow from nowhere
        ++a;
      }
    }
    track(0, {});
  }
  void host_track(std::uint32_t i) {
    if (i >= t_.tracks.size()) return track(process_uuid(0), "unknown thread");
    const model::track& k = t_.tracks[i];
    const std::string_view tid = t_.name(k.tid);
    const std::size_t p = k.process < pids_.size() ? k.process : 0;
    std::string name(t_.name(k.name));
    if (name.empty() && !is_integer(tid)) name = tid;
    proto thread;
    thread.number(1, static_cast<std::uint64_t>(pids_[p]));
    // A word gets a number beyond those of threads; so does what another pid of the same process has taken: equal numbers would be one thread.
    std::int64_t number = number_of(tid, 4'000'000'000 + i, 3'999'999'999);
    bool fresh = false;
    threads_.insert(static_cast<std::uint32_t>(p), static_cast<std::uint64_t>(number), 0, &fresh);
    if (!fresh) number = 4'000'000'000 + i;
    thread.number(2, static_cast<std::uint64_t>(number));
    if (!name.empty()) thread.name(5, name);
    const std::uint64_t own = describe(process_uuid(k.process), {}, 4, &thread);
    track(own, name.empty() ? "thread " + std::string(tid) : name, own);
  }

  // ---- streams, GPU annotations, synchronizations
  // GPU events by stream, and which of them will have no lane: an arrow to one must not begin.
  void order_streams() {
    for (std::size_t i = 0; i < t_.gpu.size(); ++i) order_.push_back(static_cast<std::uint32_t>(i));
    sort_in_place(order_, [&](std::uint32_t x, std::uint32_t y) {
      const model::gpu_event &a = t_.gpu[x], &b = t_.gpu[y];
      return model::lane_of(a) != model::lane_of(b) ? model::lane_of(a) < model::lane_of(b) : a.begin != b.begin ? a.begin < b.begin : x < y;
    });
    std::int64_t ends[most_lanes];
    std::size_t busy = 0;
    const model::gpu_event* last = nullptr;
    for (const std::uint32_t i : order_) {
      const model::gpu_event& e = t_.gpu[i];
      if (last == nullptr || model::lane_of(*last) != model::lane_of(e)) busy = 0;
      last = &e;
      for (std::size_t k = 0; k < busy;)
        if (ends[k] <= e.begin.ns) ends[k] = ends[--busy];
        else ++k;
      if (busy < most_lanes) ends[busy++] = e.end().ns;
      else if (options_.flows) launched_[i] = false;
    }
  }
  void streams() {
    bool first = true;
    std::uint64_t current = 0;
    for (const std::uint32_t i : order_) {
      const model::gpu_event& e = t_.gpu[i];
      if (first || model::lane_of(e) != current) track(device_uuid(e.process, e.device), stream_name(e.stream, e.track)), current = model::lane_of(e), first = false;
      const category what = e.kind == model::gpu_kind::copy ? memcpy : e.kind == model::gpu_kind::set ? memset : kernel;
      put_slice({e.begin.ns, e.end().ns, e.name, what}, false, [&](proto& event) {
        add_id(event, correlation, e.correlation), add_id(event, external, e.external);
        if (e.graph != model::no_index) add(event, graph, e.graph);
        if (e.graph_node != model::no_index) add(event, graph_node, e.graph_node);
        event.bytes += detail(e.detail);
        if (options_.flows && launched_[i]) event.fixed(48, std::uint64_t{i} + 1), ++out_.flows;
      });
    }

    rows<std::uint32_t> annotations;
    for (std::size_t i = 0; i < t_.annotations.size(); ++i)
      if (t_.annotations[i].kind == model::annotation_kind::gpu_user) annotations.push_back(static_cast<std::uint32_t>(i));
    const auto of = [](const model::annotation& e) { return std::uint64_t{e.track} << 32 | e.stream; };
    sort_in_place(annotations, [&](std::uint32_t x, std::uint32_t y) {
      const model::annotation &a = t_.annotations[x], &b = t_.annotations[y];
      return of(a) != of(b) ? of(a) < of(b) : x < y;
    });
    first = true;
    for (const std::uint32_t i : annotations) {
      const model::annotation& e = t_.annotations[i];
      if (first || of(e) != current) {
        track(device_uuid(t_.process_of(e.track), e.track < device_of_.size() ? device_of_[e.track] : std::uint16_t{0}), stream_name(e.stream, e.track) + " annotations"), current = of(e), first = false;
      }
      put_slice({e.begin.ns, e.end().ns, e.name, gpu_user}, true, [&](proto& event) { add_id(event, external, e.external); });
    }

    rows<std::uint32_t> syncs;
    for (std::size_t i = 0; i < t_.syncs.size(); ++i) syncs.push_back(static_cast<std::uint32_t>(i));
    sort_in_place(syncs, [&](std::uint32_t x, std::uint32_t y) {
      const model::sync_event &a = t_.syncs[x], &b = t_.syncs[y];
      return model::lane_of(a) != model::lane_of(b) ? model::lane_of(a) < model::lane_of(b) : x < y;
    });
    first = true;
    for (const std::uint32_t i : syncs) {
      const model::sync_event& e = t_.syncs[i];
      if (first || model::lane_of(e) != current) track(device_uuid(e.process, e.device), stream_name(e.stream, e.track) + " synchronizations"), current = model::lane_of(e), first = false;
      put_slice({e.begin.ns, e.end().ns, e.name, sync}, false, [&](proto& event) { add_id(event, correlation, e.correlation); });
    }
    track(0, {});
  }
  std::string stream_name(std::uint32_t stream, std::uint32_t track) const {
    if (stream != model::no_index) return "stream " + std::to_string(stream);
    const std::string_view tid = track < t_.tracks.size() ? t_.name(t_.tracks[track].tid) : std::string_view();
    return tid.empty() || tid.starts_with('-') ? "no stream" : "stream " + std::string(tid);   // -1: a context's synchronization
  }

  bool in_order() const {
    const auto check = [](const auto& events, auto key) {
      for (std::size_t i = 1; i < events.size(); ++i) {
        const auto &a = events[i - 1], &b = events[i];
        if (key(a) != key(b) ? key(a) > key(b) : a.begin > b.begin) return false;
      }
      return true;
    };
    const auto nested = [&](const auto& events) {
      for (std::size_t i = 1; i < events.size(); ++i)
        if (events[i - 1].track == events[i].track && events[i - 1].begin == events[i].begin && events[i - 1].duration < events[i].duration) return false;
      return check(events, [](const auto& e) { return e.track; });
    };
    return check(t_.syncs, [](const auto& e) { return std::uint32_t{e.process} << 16 | e.device; }) && nested(t_.api) && nested(t_.ops) && nested(t_.frames) && nested(t_.annotations);
  }

  const model::timeline& t_;
  byte_sink sink_;
  perfetto_options options_;
  written out_;
  std::string buffer_, name_;
  std::uint64_t uuid_ = 0, parent_ = 0;
  std::vector<std::int64_t> pids_;            // by process
  std::vector<std::uint64_t> processes_;      // uuids
  std::vector<std::uint64_t> devices_;        // uuids
  std::vector<std::uint16_t> device_of_;      // by track
  std::vector<lane> lanes_;
  std::vector<bool> known_, launched_;        // by name id; by GPU event
  std::vector<std::string> details_;          // by detail
  rows<launch_link> links_;
  rows<std::uint32_t> order_;                 // GPU events by stream and begin
  hotpath::detail::id_index device_index_;    // in devices_, by process and ordinal
  hotpath::detail::id_index threads_;         // numbers of threads that are taken, by process
  bool refused_ = false;
};

}  // namespace detail

HOTPATH_FN result<written> write_perfetto(const model::timeline& t, byte_sink sink, perfetto_options o) { return detail::perfetto_writer(t, sink, o).run(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
// ---- hotpath/trace.hpp

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
