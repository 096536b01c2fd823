// SPDX-License-Identifier: Apache-2.0
// Any bytes as a chunked body: the same result in any pieces. The same bytes, chunked by us, come back as they are.
#include "http_splits.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  using namespace std::string_literals;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  hotpath::net::http_limits limits;
  if ((data[0] & 1) != 0) limits = {.head = 64, .fields = 3, .chunk_line = 16, .body = 100};
  hotpath_fuzz::same_in_all_pieces(head + std::string(bytes), limits, false, (data[0] & 4) != 0);

  hotpath::stats::xoshiro256 random{data[0] + size};
  std::string wire = head;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t n = std::min<std::size_t>(bytes.size() - at, 1 + static_cast<std::size_t>(random.below(50)));
    char line[40];
    std::snprintf(line, sizeof line, random.below(2) == 0 ? "%zx\r\n" : "%06zX ;x=\"y\"\r\n", n);
    wire.append(line).append(bytes.substr(at, n)).append("\r\n");
    at += n;
  }
  wire += "0\r\n";
  if (random.below(2) == 0) wire += "T: 1\r\n";
  wire += "\r\n";
  const std::size_t end = wire.size();
  wire += bytes.substr(0, 9);  // behind the end: not ours
  const auto r = hotpath_fuzz::read_response(wire, {}, false, false, size, 13);
  hotpath_fuzz::require(r.body == bytes && r.reusable && r.used == end && r.warnings == 0, "a chunked body came back as another");
  return 0;
}
