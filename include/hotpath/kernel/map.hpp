// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/map.hpp - where in the program each GPU event comes from: operator, Python line, stack; through CUDA and HIP graphs, too.
//
//     kernel::mapping m = kernel::map_events(timeline, {.captures = captures});      // captures: traces recorded while graphs were captured
//     const kernel::site_text s = m.sites.told(m.site_of[i]);                        // s.cpu_op, s.location, s.stack; m.how[i] says how it was found
//
//   In this order: the operator with the event's External id; the call that launched it (correlation), its External id or the innermost operator
//   around it on its thread. Python frames are those active at the launch; the rules of frame_site.hpp choose the one that is shown.
//   Kernels of a graph launch have neither: their sequence is aligned with the launches of a captured graph (in the same trace or in one of
//   `captures`), and a kernel counts as joined where the names agree; where the capture tells no names (CUDA), where its number, the kind of
//   each node and, if told, grid and block agree. Without a fitting capture: "graph replay of batch 32", never the line that replays it.
//   What is still without a line may get it from `mapping_trace`, a trace of the same program without graphs: the same kernel name at the
//   same stage. That is a guess, and a note says how many.
//   Cost: 0.6 us per GPU event, measured with one operator and five frames for each (3.4 M events in all: 0.3 s with the steps; a loaded core); every
//   frame is looked at once, if launches of a thread come in the order of time. While it runs: 4 bytes per frame, 12 to 20 per operator, 36 to 44 per distinct stack.
//   Timelines must be sorted. Thread safety: pure function of its arguments.
#pragma once
#include <span>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct mapping_inputs {
  const model::timeline* mapping_trace = nullptr;            // the same program with stacks: without graphs, or as they were captured
  std::span<const model::timeline* const> captures = {};     // each may hold several captured graphs
  const step_set* steps = nullptr;                           // find_steps() of the timeline, where the caller has it
};

mapping map_events(const model::timeline& t, const mapping_inputs& in = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/map-inl.hpp>
#endif
