// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/latency.hpp - from stamps to latencies: every definition of serve/definitions.hpp, once.
//   Stamps that are missing, or tokens that are not known, make a latency missing: nothing is guessed and nothing is 0.
//
//     auto wait = serve::latency_of(request, serve::metric::ttft);     // nanoseconds; nothing if it got no content
//
//   Pure functions, no allocation.
#pragma once
#include <cstdint>
#include <optional>
#include <hotpath/serve/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

// A latency of one request in nanoseconds (tpot: not whole). Nothing where a stamp it needs is missing; for itl and chunk_gap,
// which have many values per request, always nothing. Does not look at the status: a failed request has a ttft, too.
std::optional<double> latency_of(const model::request& r, metric m);

// Whether a finished request counts as good under the limits: status ok and within every limit that is set; equal is within. A
// limit that cannot be judged is not met, but tpot where the answer has fewer than two tokens.
bool is_good(const model::request& r, const model::slo& limits);

}  // namespace hotpath::inline HOTPATH_ABI::serve

#if HOTPATH_HEADER_ONLY
#include <hotpath/serve/latency-inl.hpp>
#endif
