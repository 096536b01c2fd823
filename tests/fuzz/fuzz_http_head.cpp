// SPDX-License-Identifier: Apache-2.0
// Any bytes as a response: the same result in any pieces, within the limits. The first byte chooses limits and circumstances.
#include "http_splits.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  hotpath::net::http_limits limits;
  if ((data[0] & 1) != 0) limits = {.head = 120, .fields = 5, .chunk_line = 16, .body = 40};
  hotpath_fuzz::same_in_all_pieces(bytes, limits, (data[0] & 2) != 0, (data[0] & 4) != 0);
  return 0;
}
