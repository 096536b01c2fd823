// SPDX-License-Identifier: Apache-2.0
// hotpath/core/atomic.hpp - the few atomic operations that hot paths need, without <atomic>.
//   libstdc++ 12's <atomic> is 24,200 preprocessed lines in C++20 (it brings <string>); these builtins are none.
//   light_atomic<T>: T is an integer, bool or pointer that the machine handles lock-free. Orders are in the names.
#pragma once
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

template <class T>
class light_atomic {
 public:
  constexpr light_atomic() = default;
  constexpr explicit light_atomic(T value) : value_(value) {}
  light_atomic(const light_atomic&) = delete;
  light_atomic& operator=(const light_atomic&) = delete;

  T load_relaxed() const noexcept { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
  T load_acquire() const noexcept { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }
  void store_relaxed(T v) noexcept { __atomic_store_n(&value_, v, __ATOMIC_RELAXED); }
  void store_release(T v) noexcept { __atomic_store_n(&value_, v, __ATOMIC_RELEASE); }
  // Both return the value before the addition.
  T add_relaxed(T v) noexcept { return __atomic_fetch_add(&value_, v, __ATOMIC_RELAXED); }
  T add_acq_rel(T v) noexcept { return __atomic_fetch_add(&value_, v, __ATOMIC_ACQ_REL); }
  T exchange_acq_rel(T v) noexcept { return __atomic_exchange_n(&value_, v, __ATOMIC_ACQ_REL); }

 private:
  static_assert(__atomic_always_lock_free(sizeof(T), nullptr), "light_atomic is for lock-free types only");
  T value_{};
};

}  // namespace hotpath::inline HOTPATH_ABI
