// SPDX-License-Identifier: Apache-2.0
// tests/run/store_memory_test.cpp - the store when memory ends: each allocation of a run fails once.
#include <cstdlib>
#include <new>
#include <utility>
#include "store_support.hpp"
#include "support/data.hpp"

using namespace store_test;

namespace {
std::int64_t allocations_left = -1;  // of any thread; negative: no limit
}
// Not inlined: the compiler would see malloc behind one and not behind the other. Weak: clang's sanitizers bring their own.
__attribute__((noinline, weak)) void* operator new(std::size_t n) {
  if (__atomic_load_n(&allocations_left, __ATOMIC_RELAXED) >= 0 &&
      __atomic_sub_fetch(&allocations_left, 1, __ATOMIC_RELAXED) == 0)
    throw std::bad_alloc();
  if (void* p = std::malloc(n != 0 ? n : 1)) return p;
  throw std::bad_alloc();
}
__attribute__((noinline, weak)) void operator delete(void* p) noexcept { std::free(p); }
__attribute__((noinline, weak)) void operator delete(void* p, std::size_t) noexcept { std::free(p); }

TEST_CASE("run: an allocation that fails, whichever it is, is an error or a counted loss") {
  allocations_left = 2;
  ::operator delete(::operator new(1));  // a new-expression may be optimized away
  if (std::exchange(allocations_left, std::int64_t{-1}) == 2)
    return hotpath_test::skip("operator new is the sanitizer's here, no failure can be injected");
  const std::int64_t most = hotpath_test::full() ? 500 : 120;
  int thrown = 0, failed = 0, whole = 0;
  for (std::int64_t n = 1; n <= most; ++n) {
    temp_dir dir{true};
    const std::string path = dir / "run.db";
    maker make{3};
    const model::run_info info = make.info();
    const model::schedule plan = make.schedule(10);
    std::vector<model::request> rows;
    for (std::uint64_t i = 0; i < 5; ++i) rows.push_back(make.request(i));
    const model::client_interval interval = make.interval(0, 0);
    std::uint64_t stored = 0, lost = 0;
    bool finished = false, out_of_memory = false;
    try {
      __atomic_store_n(&allocations_left, n, __ATOMIC_RELAXED);
      auto store = store_sqlite::create(path, info, plan, {.commit_every = 1_ms});
      if (store) {
        for (model::request& r : rows) store->add(std::move(r));
        store->add(interval);
        while (store->stored() + store->lost().total() < 5) usleep(100);  // its thread commits, or fails to
        finished = store->finish(info).has_value();
        stored = store->stored(), lost = store->lost().total();
        if (store->failed()) ++failed;
        __atomic_store_n(&allocations_left, std::int64_t{-1}, __ATOMIC_RELAXED);
        CHECK(stored + lost == 5);
      }
    } catch (const std::bad_alloc&) {
      out_of_memory = true;
      ++thrown;
    }
    __atomic_store_n(&allocations_left, std::int64_t{-1}, __ATOMIC_RELAXED);
    if (finished) {
      ++whole;
      auto all = read_all(path);
      REQUIRE_MESSAGE(all, all.error().message());
      CHECK(all->requests.size() == stored);
    }
    if (out_of_memory || finished) CHECK_FALSE(exists(path + "-lock"));
  }
  CHECK(thrown > 20);
  CHECK(whole > 0);
  CHECK(failed + thrown > 20);
}
