// SPDX-License-Identifier: Apache-2.0
// hotpath/model/sample.hpp - one value of one metric at one time.
#pragma once
#include <cstdint>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

struct sample {
  nanoseconds at{};            // since the run's origin; a scrape's midpoint
  nanoseconds uncertainty{};   // half of the scrape's duration
  std::uint32_t metric = 0;    // interned name
  std::uint32_t source = 0;    // interned source: engine, rank, thread
  double value = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::model
