// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <unistd.h>
#include <hotpath/core/atomic.hpp>
#include <hotpath/replay/feeder.hpp>

using namespace hotpath;
using replay::feeder;

namespace {

// A workload of `lines` prompts, in a file that goes with it.
struct load_of {
  explicit load_of(int lines) {
    path = "/tmp/hotpath-feeder-XXXXXX";
    const int fd = ::mkstemp(path.data());
    REQUIRE(fd >= 0);
    for (int i = 0; i < lines; ++i) REQUIRE(::dprintf(fd, "{\"prompt\":\"prompt %d\"}\n", i) > 0);
    ::close(fd);
    auto opened = replay::workload::open(path);
    REQUIRE(opened);
    load.emplace(std::move(*opened));
  }
  ~load_of() { std::remove(path.c_str()); }
  std::string path;
  std::optional<replay::workload> load;
};

replay::wire_options wire(std::uint64_t requests, std::uint64_t ahead) {
  replay::wire_options w;
  w.endpoint = *net::parse_url("http://127.0.0.1:1");
  w.body.model = "m";
  w.id_prefix = "t";
  w.requests = requests;
  w.ahead = ahead;
  return w;
}

replay::prepared take(feeder& f, std::uint64_t index) {
  replay::prepared p;
  f.wait_ahead(index + 1);
  REQUIRE(f.take(index, p) == feeder::take_result::ready);
  return p;
}

}  // namespace

TEST_CASE("replay: nothing is prepared that the plan will not send") {
  load_of w{3};
  feeder f{*w.load, wire(5, 1000), [] {}};
  f.wait_ahead(1000);  // returns because no more will come
  CHECK(f.prepared_count() == 5);
  for (std::uint64_t i = 0; i < 5; ++i) CHECK(take(f, i).record.workload_row == i % 3);
  replay::prepared p;
  CHECK(f.take(5, p) == feeder::take_result::ended);
  CHECK_FALSE(f.failure());
}

TEST_CASE("replay: passes of the workload are those of the requests taken, not of those prepared ahead") {
  load_of w{10};
  feeder f{*w.load, wire(UINT64_MAX, 100), [] {}};
  f.wait_ahead(100);
  CHECK(f.prepared_count() >= 100);
  for (std::uint64_t i = 0; i < 10; ++i) take(f, i);
  CHECK(f.passes() == 1);
  take(f, 10);
  CHECK(f.passes() == 2);
}

TEST_CASE("replay: requests are prepared again when half of those ahead are taken, and at once for who waits") {
  load_of w{10};
  light_atomic<int> rung{0};
  feeder f{*w.load, wire(UINT64_MAX, 8), [&] { rung.add_relaxed(1); }};
  f.wait_ahead(8);
  for (std::uint64_t i = 0; i < 100; ++i) CHECK(take(f, i).record.index == i);
  replay::prepared p;
  std::uint64_t far = f.prepared_count() + 8;  // beyond all that the bound lets it prepare: it goes on, one by one
  while (f.take(far, p) == feeder::take_result::not_yet) {}
  CHECK(p.record.index == far);
  CHECK(rung.load_relaxed() > 0);
}
