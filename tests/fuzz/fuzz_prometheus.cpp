// SPDX-License-Identifier: Apache-2.0
// Any bytes as a page of metrics: the parser's books agree with a second reading line by line, views stay inside the page, and
// what is read of it by meaning holds what it promises.
#include <cmath>
#include "metrics_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  fuzz_metrics::check_parse(page, hotpath::metrics::format::text);
  fuzz_metrics::check_lines(page);
  fuzz_metrics::check_page(page);
  return 0;
}
