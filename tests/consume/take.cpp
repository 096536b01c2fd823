// SPDX-License-Identifier: Apache-2.0
// Calls what other objects of the program give (give.cpp), and with an argument what a shared object gives that is loaded now.
#include <hotpath/core/sketch.hpp>
#include <dlfcn.h>
#include <cstdio>

void give_a(hotpath::stats::sketch& into);
void give_b(hotpath::stats::sketch& into);

int main(int argc, char** argv) {
  hotpath::stats::sketch sum;
  unsigned expected = 6;
  give_a(sum);
  give_b(sum);
  if (argc > 1) {
    void* object = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    void* give = object != nullptr ? dlsym(object, "give_by_name") : nullptr;
    if (give == nullptr) {
      std::fprintf(stderr, "%s\n", dlerror());
      return 2;
    }
    reinterpret_cast<void (*)(void*)>(give)(&sum);
    expected += 3;
  }
  std::printf("%llu samples, median %.1f\n", static_cast<unsigned long long>(sum.count()), sum.quantile(0.5).value_or(-1));
  return sum.count() == expected && sum.max() == 1000 && hotpath::stats::sketch::decode(sum.encode()).has_value() ? 0 : 1;
}
