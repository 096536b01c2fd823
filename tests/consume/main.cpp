// SPDX-License-Identifier: Apache-2.0
// The smallest program of a user, built in every way in which hotpath can be consumed. Uses inline code, bodies of -inl.hpp, and types.
#ifdef SINGLE_HEADER
#include <hotpath/hotpath.hpp>
#else
#include <hotpath/core/json.hpp>
#include <hotpath/core/sketch.hpp>
#include <hotpath/version.hpp>
#ifdef HOTPATH_HAS_SQLITE
#include <hotpath/run/store_sqlite.hpp>
#endif
#endif
#include <cstdio>

int main() {
  std::string text;
  hotpath::json::writer out{text};
  out.array_begin();
  for (int i = 1; i <= 3; ++i) out.value(i);
  out.array_end();

  hotpath::json::reader in{text};
  hotpath::stats::sketch seen;
  in.array([&] {
    double x = 0;
    if (in.number(x)) seen.add(x);
  });
  std::printf("hotpath %s: %s, largest %.0f\n", HOTPATH_VERSION_STRING, text.c_str(), seen.max());
  return in.finish() && text == "[1,2,3]" && seen.count() == 3 && seen.max() == 3 ? 0 : 1;
}
