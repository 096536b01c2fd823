// SPDX-License-Identifier: Apache-2.0
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
#pragma once
#include <concepts>   // integral
#include <cstdint>
#include <optional>   // writer: an empty one is null
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>    // exchange
#include <vector>     // decoded keys, one per level
#include <hotpath/core/detail/utf8.hpp>
#include <hotpath/core/result.hpp>

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

#if HOTPATH_HEADER_ONLY
#include <hotpath/core/json-inl.hpp>
#endif
