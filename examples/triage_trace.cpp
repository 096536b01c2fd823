// SPDX-License-Identifier: Apache-2.0
// Where did the GPU time of a trace go? Opens it, analyses it, prints Markdown. Link zlib for .json.gz.
//
//     triage_trace rank0.pt.trace.json.gz
#include <hotpath/kernel.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/trace.hpp>
#include <hotpath/trace/zlib.hpp>
#include <cstdio>
using namespace hotpath;

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: triage_trace TRACE\n", stderr), 2;
  auto t = trace::read<trace::zlib>(argv[1]);                    // result<model::timeline>
  if (!t) return std::fprintf(stderr, "%s\n", t.error().message().c_str()), 3;
  auto r = kernel::triage(*t);                                   // result<kernel::triage_report>
  if (!r) return std::fprintf(stderr, "%s\n", r.error().message().c_str()), 3;
  std::fputs(report::markdown(*r).c_str(), stdout);
  return static_cast<int>(report::code_of(*r));                  // 3: no GPU work, 5: something was lost
}
