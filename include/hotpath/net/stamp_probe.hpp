// SPDX-License-Identifier: Apache-2.0
// hotpath/net/stamp_probe.hpp - do the kernel's receive stamps work here? Asked of a connection of our own over the loopback.
//
//     auto p = net::probe_stamps();
//     if (p && p->stamped == p->reads) use(p->lag);
#pragma once
#include <cstdint>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::net {

struct stamp_probe {
  std::uint32_t reads = 0, stamped = 0;  // reads that brought bytes; of these, with a stamp that makes sense
  nanoseconds lag{};                     // the shortest time from a stamp to the end of the read that brought it
};

// A few bytes from a listener on 127.0.0.1 to a net::tcp, as the client receives them. Blocks for a few milliseconds, at most a
// second. Errors: io (no socket, no loopback).
result<stamp_probe> probe_stamps();

}  // namespace hotpath::inline HOTPATH_ABI::net

#if HOTPATH_HEADER_ONLY
#include <hotpath/net/stamp_probe-inl.hpp>
#endif
