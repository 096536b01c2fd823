// SPDX-License-Identifier: Apache-2.0
// One of several objects of a program that all embed hotpath: GIVE (its name) adds three numbers to a sketch of the caller.
//   Each is compiled with options that differ from its neighbours'.
#include <hotpath/core/json.hpp>
#include <hotpath/core/sketch.hpp>

// What is hidden under -fvisibility=hidden are hotpath's own functions, not these.
#define PUBLIC __attribute__((visibility("default")))
PUBLIC void GIVE(hotpath::stats::sketch& into);
void GIVE(hotpath::stats::sketch& into) {
  hotpath::json::reader in{"[10, 20.5, 1e3]"};
  hotpath::stats::sketch mine;
  in.array([&] {
    double x = 0;
    if (in.number(x)) mine.add(x);
  });
  into.merge(mine);
}

#ifdef GIVE_BY_NAME
extern "C" PUBLIC void give_by_name(void* into);  // for dlsym
extern "C" void give_by_name(void* into) { GIVE(*static_cast<hotpath::stats::sketch*>(into)); }
#endif
