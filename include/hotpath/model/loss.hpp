// SPDX-License-Identifier: Apache-2.0
// hotpath/model/loss.hpp - what was lost, counted by cause. A result with loss is partial, never ok.
#pragma once
#include <cstdint>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

struct loss {
  std::uint64_t dropped = 0;     // a bounded queue or ring was full
  std::uint64_t truncated = 0;   // cut off: by the end of a file, by a peer
  std::uint64_t malformed = 0;   // did not parse
  std::uint64_t over_limit = 0;  // larger than a limit
  std::uint64_t late = 0;        // came after the moment it was for

  constexpr std::uint64_t total() const { return dropped + truncated + malformed + over_limit + late; }
  constexpr explicit operator bool() const { return total() != 0; }
  constexpr loss& operator+=(const loss& o) {
    dropped += o.dropped, truncated += o.truncated, malformed += o.malformed, over_limit += o.over_limit, late += o.late;
    return *this;
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
