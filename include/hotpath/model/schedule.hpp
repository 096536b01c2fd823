// SPDX-License-Identifier: Apache-2.0
// hotpath/model/schedule.hpp - when to send: made before the run, stored with it, replayed exactly.
//   closed  `streams` requests are in flight at all times; a request is due when a slot is free.
//   open    request i is due at due[i], whatever the server does; `max_in_flight` (0: none) holds back what is over it.
//   Memory: 8 bytes per planned request of an open loop, nothing for a closed one.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class arrival : std::uint8_t { closed, constant, poisson, recorded };
inline constexpr std::string_view arrival_names[] = {"closed", "constant", "poisson", "recorded"};
constexpr std::string_view name_of(arrival a) { return arrival_names[static_cast<std::size_t>(a)]; }

struct schedule {
  arrival kind = arrival::closed;
  std::uint32_t streams = 1;         // closed: requests in flight
  std::uint32_t max_in_flight = 0;   // open: the cap, 0 = none
  double per_second = 0;             // open: the mean rate
  std::uint64_t seed = 0;            // poisson: of the gaps
  std::vector<nanoseconds> due;      // open: ascending, from the start of sending
  // Sending ends at the first limit reached; what is in flight is drained and counts.
  std::optional<std::uint64_t> max_requests;
  std::optional<nanoseconds> max_duration;

  bool open() const { return kind != arrival::closed; }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
