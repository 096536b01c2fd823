// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/step.hpp - engine steps from what the program says it does, and the stage of each GPU event.
//
//     kernel::step_set s = kernel::find_steps(timeline);
//     for (const kernel::step& one : s.steps) print(name_of(one.what), one.events, one.gpu_busy);
//     kernel::parse_annotation("step[EXTEND bs=15 toks=15360]").what;           // stage::prefill
//
//   Annotations of the host are parsed (the table stands in step-inl.hpp), never searched for words. A GPU event belongs to the step whose
//   host range holds the call that launched it: launches run ahead, so the step that the host is in when the GPU works is another one.
//   Of nested annotations that each hold one other, one step is made: it has the outer range, and the innermost one that tells a stage
//   gives it (but what is within a draft or verify range is of that stage). Where one holds several, each of them is a step and the outer
//   one is the step of what was launched between them. ProfilerStep#n are steps, of no stage, only in a process without engine steps.
//   O(n log s) for n GPU events and s steps: 0.2 us per event, measured with 2,000 steps. No annotations: no steps, and every stage is that of the file's name or `all`.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

enum class annotation_is : std::uint8_t { nothing_known, step, profiler_step, capture };

struct annotation_facts {
  annotation_is is = annotation_is::nothing_known;
  stage what = stage::all;
  std::optional<std::int64_t> context_requests = {}, generation_requests = {}, context_tokens = {}, generation_tokens = {};
  std::optional<std::int64_t> requests = {};   // of both kinds, where they are not told apart; of a capture: its batch size
  std::string_view mode = {};                  // of a capture: FULL, PIECEWISE, DECODE, ...; a view into the name
};

// What one annotation's name says. Any bytes; nothing_known for names of no known form.
annotation_facts parse_annotation(std::string_view name);

struct step_options {
  stage file_label = stage::all;   // what the name of the file tells (trace::stage_of_name): for events that nothing else tells the stage of
};

step_set find_steps(const model::timeline& t, step_options options = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/step-inl.hpp>
#endif
