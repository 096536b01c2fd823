// SPDX-License-Identifier: Apache-2.0
// hotpath/core/rows.hpp - one contiguous array of plain structs that grows without copying: what holds millions of events.
//   std::vector doubles by copying, so that its peak is twice its content; realloc moves pages of large blocks instead (mremap).
//
//     hotpath::rows<event> all;
//     all.push_back({.begin = t});
//     std::span<const event> view = all;
//
//   T must be trivially copyable. Out of memory ends the program (HOTPATH_ASSERT, then abort): there is no half-grown array.
//   Thread safety: as a vector.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI {

template <class T>
class rows {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= alignof(std::max_align_t));

 public:
  using value_type = T;
  rows() = default;
  rows(const rows& o) { append(o); }
  rows(rows&& o) noexcept : data_(std::exchange(o.data_, nullptr)), size_(std::exchange(o.size_, 0)), capacity_(std::exchange(o.capacity_, 0)) {}
  rows& operator=(rows o) noexcept {
    std::swap(data_, o.data_), std::swap(size_, o.size_), std::swap(capacity_, o.capacity_);
    return *this;
  }
  ~rows() { std::free(data_); }

  void push_back(const T& row) {
    const T copy = row;  // it may lie in this array
    if (size_ == capacity_) reserve(capacity_ < 16 ? 16 : capacity_ + capacity_ / 2);
    std::memcpy(static_cast<void*>(data_ + size_++), static_cast<const void*>(&copy), sizeof(T));
  }
  void append(std::span<const T> more) {
    if (more.empty()) return;
    if (const std::size_t want = size_ + more.size(); want > capacity_) {
      const std::size_t by_half = capacity_ + capacity_ / 2, room = want > by_half ? want : by_half;
      if (more.data() >= data_ && more.data() < data_ + size_) {  // of this array, which growing would move away
        rows grown;
        grown.reserve(room), grown.append(*this), grown.append(more);
        return void(*this = std::move(grown));
      }
      reserve(room);
    }
    std::memcpy(static_cast<void*>(data_ + size_), static_cast<const void*>(more.data()), more.size() * sizeof(T));
    size_ += more.size();
  }
  void reserve(std::size_t n) {
    if (n <= capacity_) return;
    void* const p = n > SIZE_MAX / sizeof(T) ? nullptr : std::realloc(static_cast<void*>(data_), n * sizeof(T));
    if (p == nullptr) {
      HOTPATH_ASSERT(false && "out of memory");
      std::abort();
    }
    data_ = static_cast<T*>(p), capacity_ = n;
  }
  // Keeps the first n. Larger n is an error of the caller.
  void truncate(std::size_t n) {
    HOTPATH_ASSERT(n <= size_);
    size_ = n;
  }
  void clear() { size_ = 0; }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T& operator[](std::size_t i) { HOTPATH_ASSERT(i < size_); return data_[i]; }
  const T& operator[](std::size_t i) const { HOTPATH_ASSERT(i < size_); return data_[i]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI
