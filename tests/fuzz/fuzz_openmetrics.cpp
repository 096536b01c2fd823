// SPDX-License-Identifier: Apache-2.0
// Any bytes as OpenMetrics, and as two pages of one engine, one after the other: differences are never below 0.
#include "metrics_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  fuzz_metrics::check_parse(page, hotpath::metrics::format::openmetrics);
  fuzz_metrics::check_page(page);
  fuzz_metrics::check_pair(page);
  return 0;
}
