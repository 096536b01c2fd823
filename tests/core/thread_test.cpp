// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <hotpath/core/thread.hpp>

using namespace hotpath;
using namespace hotpath::literals;

TEST_CASE("core: thread: what one thread sets under the mutex, the other is told of") {
  threading::mutex m;
  threading::condition changed;
  int turns = 0;
  threading::thread t;
  REQUIRE(t.start([&] {
    for (int i = 0; i < 1000; ++i) {
      threading::lock l{m};
      changed.wait(l, [&] { return turns % 2 == 1; });
      ++turns;
      changed.notify_all();
    }
  }));
  CHECK(t.joinable());
  for (int i = 0; i < 1000; ++i) {
    threading::lock l{m};
    ++turns;
    changed.notify_all();
    changed.wait(l, [&] { return turns % 2 == 0; });
  }
  t.join();
  CHECK_FALSE(t.joinable());
  CHECK(turns == 2000);
}

TEST_CASE("core: thread: a wait ends when its time is over, and says what is true then") {
  threading::mutex m;
  threading::condition never;
  threading::lock l{m};
  const nanoseconds begin = monotonic_now();
  CHECK_FALSE(never.wait_for(l, 20_ms, [] { return false; }));
  CHECK(monotonic_now() - begin >= 20_ms);
  CHECK(never.wait_for(l, -1_ns * 5, [] { return true; }));
  CHECK_FALSE(never.wait_for(l, 0_ns, [] { return false; }));
}

TEST_CASE("core: thread: a lock lets go in between, and what is moved into the thread ends with it") {
  threading::mutex m;
  bool seen = false;
  struct counted {
    int* left;
    explicit counted(int* n) : left(n) { ++*left; }
    counted(counted&& o) noexcept : left(o.left) { ++*left; }
    counted(const counted&) = delete;
    ~counted() { --*left; }
  };
  int alive = 0;
  {
    threading::lock l{m};
    threading::thread t;
    REQUIRE(t.start([&m, &seen, c = counted{&alive}] {
      const threading::lock inner{m};
      seen = *c.left > 0;
    }));
    l.let_go();
    t.join();
    l.take();
  }
  CHECK(seen);
  CHECK(alive == 0);
}
