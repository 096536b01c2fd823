// SPDX-License-Identifier: Apache-2.0
// Any bytes: strict accepts, refuses and reads as nlohmann does; tolerant_text, small limits and the writer hold what they promise.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <core/json_oracle.hpp>

namespace {
void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_json: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  namespace json = hotpath::json;

  const hotpath_test::comparison c = hotpath_test::compare_with_nlohmann(text);
  require(c.difference.empty(), c.difference);

  json::reader in(text, json::mode::tolerant_text);
  std::string copy;
  json::writer out(copy);
  hotpath_test::copy_value(in, out);
  if (in.finish()) {
    hotpath_test::event_log written, original;
    written.merge_whole = original.merge_whole = true;
    require(hotpath_test::nlohmann_events(copy, written), "what the writer wrote is not JSON");
    if (in.repaired() == 0) {
      require(hotpath_test::nlohmann_events(text, original), "tolerant_text accepted something else than text");
      require(original.bytes == written.bytes, "a copy says something else than its original");
    }
  }

  json::reader narrow(text, json::mode::strict, {.depth = 3, .string = 5});
  narrow.skip();
  if (narrow.finish()) require(c.accepted || c.over_limit, "smaller limits accept more");
  else require(!narrow.failure().message().empty(), "an error without a message");
  require(narrow.offset() <= size, "an error behind the end");
  return 0;
}
