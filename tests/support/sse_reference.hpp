// SPDX-License-Identifier: Apache-2.0
// tests/support/sse_reference.hpp - the event stream algorithm written down as the specification has it, slow and plain: the
//   oracle of the SSE tests. It sees the whole stream at once and shares no code with the parser.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace hotpath_test {

struct event_copy {
  std::string type, data, id;
  friend bool operator==(const event_copy&, const event_copy&) = default;
};

// WHATWG HTML 9.2.6. Bytes are not decoded: the parser's promise is about bytes.
inline std::vector<event_copy> sse_reference(std::string stream) {
  if (stream.substr(0, 3) == "\xEF\xBB\xBF") stream.erase(0, 3);
  std::vector<std::string> lines(1);
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (stream[i] == '\r' && i + 1 < stream.size() && stream[i + 1] == '\n') ++i;
    if (stream[i] == '\n' || stream[i] == '\r') lines.emplace_back();
    else lines.back() += stream[i];
  }
  lines.pop_back();  // not ended: never seen
  std::vector<event_copy> out;
  std::string data, type, id;
  for (const std::string& line : lines) {
    if (line.empty()) {
      if (!data.empty()) {
        data.pop_back();
        out.push_back({type.empty() ? "message" : type, data, id});
      }
      data.clear();
      type.clear();
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == 0) continue;
    const std::string field = line.substr(0, colon);
    std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
    if (!value.empty() && value[0] == ' ') value.erase(0, 1);
    if (field == "event") type = value;
    else if (field == "data") data += value + "\n";
    else if (field == "id" && value.find('\0') == std::string::npos) id = value;
  }
  return out;
}

}  // namespace hotpath_test
