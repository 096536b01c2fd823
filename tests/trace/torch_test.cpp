// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <filesystem>
#include <hotpath/trace/zlib.hpp>
#if HOTPATH_HAS_ISAL
#include <hotpath/trace/isal.hpp>
#endif
#include "made.hpp"
#include <support/data.hpp>

using namespace hotpath;
using namespace hotpath_test;
using model::trace_fault;

TEST_CASE("trace: every event of every real trace is what nlohmann's parser makes of it, with any inflater and any number of threads") {
  const auto folder = data_or_skip("torch-traces");
  if (!folder) return;
  std::size_t traces = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder)) {
    if (entry.path().extension() != ".gz") continue;
    const std::string path = entry.path().string();
    CAPTURE(path);
    auto t = trace::read<trace::zlib>(path, {.threads = 2, .chunk = 100'000});
    REQUIRE_MESSAGE(t.has_value(), (t ? "" : t.error().message()));
    CHECK(!t->partial());
    {
      raw_dom dom;
      REQUIRE(nlohmann::json::sax_parse(text_of(path), &dom));
      CHECK(difference(lines_of(*t), lines_of_dom(dom.root)) == "");
    }
#if HOTPATH_HAS_ISAL
    auto alone = trace::read<trace::isal>(path, {.strict = true, .threads = 1});
#else
    auto alone = trace::read<trace::zlib>(path, {.strict = true, .threads = 1});
#endif
    REQUIRE_MESSAGE(alone.has_value(), (alone ? "" : alone.error().message()));
    CHECK(same(*t, *alone) == "");
    ++traces;
  }
  CHECK(traces == 27);
}
