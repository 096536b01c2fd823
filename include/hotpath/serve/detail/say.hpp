// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/detail/say.hpp - numbers inside sentences, alike in every locale.
#pragma once
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

inline std::string fixed(double v, int decimals) {
  char out[400];  // the longest double has 309 digits before the point
  const auto r = std::to_chars(out, out + sizeof out, v, std::chars_format::fixed, decimals);
  return std::string(out, r.ptr);
}
// Three digits that count: 0.123, 1.23, 12.3, 1234.
inline std::string number(double v) {
  const double size = v < 0 ? -v : v;
  return fixed(v, size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}
inline std::string percent(double share) { return number(share * 100) + " %"; }
inline std::string milliseconds(double ms) { return ms < 9999.5 ? number(ms) + " ms" : number(ms / 1000) + " s"; }
// "1 request", "12 requests".
inline std::string count(std::uint64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
