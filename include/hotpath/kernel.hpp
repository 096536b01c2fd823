// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel.hpp - from a timeline of GPU and CPU events to what they say: where GPU time went, what could overlap, what could fuse.
//
//     auto t = hotpath::trace::read("rank0.pt.trace.json");
//     auto r = hotpath::kernel::triage(*t);
//     for (const std::string& line : r->summary) std::puts(line.c_str());
//
//   | header | what is in it |
//   | kernel/triage.hpp     | triage, triager: all of the below in one call |
//   | kernel/definitions.hpp| the nouns: step, mapping, subject, the tables, the report |
//   | kernel/name.hpp, family.hpp | kernel names taken apart, and what a kernel is for |
//   | kernel/step.hpp, launch.hpp | engine steps and stages, which call launched what |
//   | kernel/map.hpp        | operators and source lines of kernels, through graphs too |
//   | kernel/subject.hpp    | which events the tables look at |
//   | kernel/table.hpp, overlap.hpp, fuse.hpp | the three tables |
//   | kernel/integrity.hpp  | what was lost or guessed, and the sum that must come out |
//   | kernel/summary.hpp    | what dominates, one line per stage |
//   | kernel/compare.hpp, across.hpp | two traces with intervals; several reports side by side |
//   | kernel/facts.hpp, stats.hpp | counts of a trace; the summaries of nsys stats |
//   | kernel/framework.hpp, server_args.hpp | what wrote the trace, and how it was started |
//   Analyzers: none reads a file, opens a socket or prints. A timeline built by hand or by a live session does as well as one of a file.
#pragma once
#include <hotpath/kernel/across.hpp>
#include <hotpath/kernel/compare.hpp>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/framework.hpp>
#include <hotpath/kernel/fuse.hpp>
#include <hotpath/kernel/integrity.hpp>
#include <hotpath/kernel/map.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/server_args.hpp>
#include <hotpath/kernel/stats.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/kernel/subject.hpp>
#include <hotpath/kernel/summary.hpp>
#include <hotpath/kernel/table.hpp>
#include <hotpath/kernel/triage.hpp>
