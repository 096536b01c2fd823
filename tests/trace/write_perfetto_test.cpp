// SPDX-License-Identifier: Apache-2.0
#include <hotpath/trace/write_perfetto.hpp>
#include "written.hpp"

using namespace written_test;

namespace {
std::string perfetto(const model::timeline& t, trace::written* about = nullptr, trace::perfetto_options o = {}) {
  std::string out;
  auto keep = [&](std::string_view bytes) { out += bytes; return true; };
  const auto w = trace::write_perfetto(t, keep, o);
  REQUIRE(w);
  CHECK(w->bytes == out.size());
  if (about != nullptr) *about = *w;
  return out;
}
}  // namespace

TEST_CASE("trace: F-OUT-09 Perfetto protobuf is well formed whatever the names are, and keeps nanoseconds, in Python's readers") {
  for (const nanoseconds zero : {nanoseconds{5'000}, nanoseconds{1'700'000'000'123'456'789}, nanoseconds{-7'777'777}}) {
    CAPTURE(zero.ns);
    const model::timeline t = rich(zero);
    trace::written w;
    const std::string bytes = perfetto(t, &w);
    CHECK(w.events == events_of(t));
    CHECK(w.left_out == 0);
    CHECK(w.flows == hostile_names().size() + 3);
    CHECK(w.base.ns == (zero.ns < 0 ? zero.ns - 2000 : 0));
    check_read_back("perfetto", bytes, t, w.flows);  // every slice ends on its own track, in order; interned names are known; flows have both ends
  }
}

TEST_CASE("trace: overlapping kernels of one stream get lanes, in Perfetto, and keep their durations") {
  model::timeline t;
  for (int i = 0; i < 200; ++i) t.gpu.push_back({.begin = nanoseconds{1000 * i}, .duration = 10_us, .name = t.names.intern("k"), .stream = 7});
  t.sort();
  trace::written w;
  const std::string bytes = perfetto(t, &w);
  check_read_back("perfetto", bytes, t, 0);
  const auto lanes = [&](std::string_view name) { return bytes.find(name) != std::string::npos; };
  CHECK(lanes("stream 7 lane 10"));   // ten run at once
  CHECK(!lanes("stream 7 lane 11"));
  CHECK(w.events == 200);
}

TEST_CASE("trace: more than 64 slices at once are counted as left out, in Perfetto, instead of drawn wrong") {
  model::timeline t;
  for (int i = 0; i < 100; ++i) t.gpu.push_back({.begin = nanoseconds{i}, .duration = 10_us, .name = t.names.intern("k"), .stream = 7});
  t.sort();
  trace::written w;
  perfetto(t, &w);
  CHECK(w.events == 64);
  CHECK(w.left_out == 36);
}

TEST_CASE("trace: Perfetto is smaller than Chrome JSON, and refuses a timeline that is not in order") {
  model::timeline t;
  const std::uint32_t host = add_track(t, "1", "1");
  for (int i = 0; i < 2000; ++i) {
    const auto id = static_cast<std::uint64_t>(i);
    t.api.push_back({.begin = nanoseconds{10'000 * i}, .duration = 4_us, .correlation = id, .external = id, .name = t.names.intern("cudaLaunchKernel"), .track = host});
    t.gpu.push_back({.begin = nanoseconds{10'000 * i + 6'000}, .duration = 9_us, .correlation = id, .external = id, .name = t.names.intern("void kernel_of_some_length<float, 128, 64, 32>(float const*, float*, int)"), .stream = 7});
  }
  t.sort();
  std::string json;
  auto keep = [&](std::string_view bytes) { json += bytes; return true; };
  REQUIRE(trace::write_chrome(t, keep));
  const std::string bytes = perfetto(t);
  CHECK(bytes.size() * 3 < json.size());
  CHECK(perfetto(t, nullptr, {.flows = false, .arguments = false}).size() * 4 < bytes.size() * 3);

  std::swap(t.api[0], t.api[1]);
  auto ignore = [](std::string_view) { return true; };
  const auto w = trace::write_perfetto(t, ignore);
  REQUIRE(!w);
  CHECK(w.error().detail.find("sort()") != std::string::npos);
}

TEST_CASE("trace: an empty timeline gives a Perfetto file without slices") {
  trace::written w;
  const std::string bytes = perfetto({}, &w);
  CHECK(w.events == 0);
  check_read_back("perfetto", bytes, {}, 0);
}
