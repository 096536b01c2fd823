// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/detail/rows.hpp - what the analyzer keeps of each request: 136 bytes, and 4 for each gap between its chunks.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>
#include <hotpath/core/pooled.hpp>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::serve::detail {

inline constexpr std::int64_t no_time = (std::numeric_limits<std::int64_t>::min)();
inline constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

// One value per request: the metrics before `itl`, and e2e. Pooled over chunks: itl, chunk_gap.
inline constexpr std::size_t per_request = 8;
constexpr std::size_t slot_of(metric m) { return m == metric::e2e ? 7 : static_cast<std::size_t>(m); }

struct row {
  std::int64_t intended = no_time, sent = no_time, end = no_time, first_content = no_time;  // ns since the origin
  double value[per_request] = {no_value, no_value, no_value, no_value, no_value, no_value, no_value, no_value};  // ns
  double prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t gaps_begin = 0;
  std::uint32_t gaps = 0;
  model::request_status status = model::request_status::in_flight;
  bool warmup = false;
  bool has_completion = false;   // the number of tokens is known
  bool one_token = false;        // known, and too few for a tpot

  bool ok() const { return status == model::request_status::ok && !warmup; }
  double of(metric m) const { return value[slot_of(m)]; }
};
static_assert(sizeof(row) <= 136);

// Rows that statistics look at: not of the warm-up, with an intended time, in the order of it.
using ordered_rows = std::vector<const row*>;

// The window: first start after warm-up to last end. begin == end: nothing happened in it.
struct window {
  std::int64_t begin = 0, end = 0;
  std::int64_t last_start = 0;
  std::int64_t length() const { return end - begin; }
};

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
