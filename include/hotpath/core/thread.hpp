// SPDX-License-Identifier: Apache-2.0
// hotpath/core/thread.hpp - thread, mutex and condition over pthreads. <thread>, <mutex> and <condition_variable> are 27,000
//   preprocessed lines that every includer would pay; these are 100, wait on the monotonic clock, and tell when no thread is to be had.
//
//     hotpath::threading::mutex m;
//     hotpath::threading::condition changed;                       // declared before the thread that uses them
//     hotpath::threading::thread t;
//     if (!t.start([&] { const threading::lock l{m}; ready = true; changed.notify_all(); })) return busy;
//     { threading::lock l{m}; changed.wait_for(l, 20_ms, [&] { return ready; }); }
//     t.join();
#pragma once
#include <pthread.h>
#include <utility>
#include <hotpath/core/time.hpp>

namespace hotpath::inline HOTPATH_ABI::threading {

class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { pthread_mutex_destroy(&m_); }
  void lock() { pthread_mutex_lock(&m_); }
  void unlock() { pthread_mutex_unlock(&m_); }

 private:
  friend class condition;
  pthread_mutex_t m_ = PTHREAD_MUTEX_INITIALIZER;
};

// Holds a mutex while it lives; may let go of it in between.
class lock {
 public:
  explicit lock(mutex& m) : m_(&m) { m.lock(); }
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;
  ~lock() { if (held_) m_->unlock(); }
  void take() { m_->lock(), held_ = true; }
  void let_go() { m_->unlock(), held_ = false; }

 private:
  friend class condition;
  mutex* m_;
  bool held_ = true;
};

class condition {
 public:
  condition() {
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&c_, &how);
    pthread_condattr_destroy(&how);
  }
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;
  ~condition() { pthread_cond_destroy(&c_); }
  void notify_one() { pthread_cond_signal(&c_); }
  void notify_all() { pthread_cond_broadcast(&c_); }

  template <class Until>
  void wait(lock& held, Until until) {
    while (!until()) pthread_cond_wait(&c_, &held.m_->m_);
  }
  // What `until` says in the end: false means that the time is over.
  template <class Until>
  bool wait_for(lock& held, nanoseconds longest, Until until) {
    const nanoseconds end = monotonic_now() + longest;
    const timespec at{static_cast<time_t>(end.ns / 1'000'000'000), static_cast<long>(end.ns % 1'000'000'000)};
    while (!until())
      if (longest <= nanoseconds{0} || pthread_cond_timedwait(&c_, &held.m_->m_, &at) != 0) return until();
    return true;
  }

 private:
  pthread_cond_t c_;
};

// Joined by whoever starts it: destroying one that runs is an error of the caller.
class thread {
 public:
  thread() = default;
  thread(thread&& o) noexcept : id_(o.id_), runs_(std::exchange(o.runs_, false)) {}
  thread& operator=(thread&&) = delete;
  ~thread() { HOTPATH_ASSERT(!runs_); }

  // False: the system gives no thread, and f was not called. f() must not throw.
  template <class F>
  bool start(F f) {
    HOTPATH_ASSERT(!runs_);
    F* const own = new F(std::move(f));
    const auto body = [](void* p) -> void* {
      F* const mine = static_cast<F*>(p);
      (*mine)();
      delete mine;
      return nullptr;
    };
    runs_ = pthread_create(&id_, nullptr, body, own) == 0;
    if (!runs_) delete own;
    return runs_;
  }
  bool joinable() const { return runs_; }
  void join() { if (std::exchange(runs_, false)) pthread_join(id_, nullptr); }
  void detach() { if (std::exchange(runs_, false)) pthread_detach(id_); }

 private:
  pthread_t id_{};
  bool runs_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::threading
