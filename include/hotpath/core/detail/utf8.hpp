// SPDX-License-Identifier: Apache-2.0
// hotpath/core/detail/utf8.hpp - one decoder step of UTF-8 and the two byte scans that JSON and text share. No name here is
//   for users. The scans exist twice: SSE2 (every x86-64 has it) and plain words; a test compares them byte by byte.
//   SSE2 is spelled with the compiler's vector type: <emmintrin.h> would be 2,700 preprocessed lines for three operations.
#pragma once
#include <cstdint>
#include <cstring>
#include <string>
#include <hotpath/config.hpp>

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
