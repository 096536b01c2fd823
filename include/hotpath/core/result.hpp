// SPDX-License-Identifier: Apache-2.0
// hotpath/core/result.hpp - a value or an error that reads like a compiler's: what, where, what was expected, what to do.
//   Member names are those of std::expected, so that an alias can replace this one day (GCC 12 has none).
//
//     hotpath::result<int> n = parse(text);
//     if (!n) { std::fputs(n.error().message().c_str(), stderr); return 3; }   // "load.jsonl:7:12: max_tokens is -5; want 1 or more"
//     use(*n);                                                                // checked by HOTPATH_ASSERT
//     use(n.value());                                                         // throws hotpath::exception (or asserts and ends)
//
//   Thread safety: as any value. Allocation: only the strings of an error.
#pragma once
#include <cstdint>
#include <cstdlib>    // abort
#include <exception>  // base class of hotpath::exception
#include <string>
#include <utility>
#include <variant>
#include <hotpath/config.hpp>

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
