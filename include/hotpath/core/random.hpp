// SPDX-License-Identifier: Apache-2.0
// hotpath/core/random.hpp - the one random generator: seeded, small, the same numbers on every machine.
//   xoshiro256** (Blackman, Vigna, ACM TOMS 2021), its state filled by splitmix64; bounded integers by Lemire's method (ACM
//   TOMACS 2019), without bias. Not for secrets.
//
//     stats::xoshiro256 random{seed};
//     const auto row = random.below(rows);                    // 0 ... rows - 1
//     const double gap_s = random.exponential(1 / rate);      // mean 1 / rate
//
//   next() and below() are bit-exact everywhere; exponential() and normal() differ between C libraries in the last bit, so what
//   must be replayed exactly is stored, not drawn again. Thread safety: as any value; one generator per thread.
#pragma once
#include <stdint.h>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::stats {

// A 64-bit mixer that walks through all states once. For seeds; `state` may be any number.
class splitmix64 {
 public:
  constexpr explicit splitmix64(uint64_t state) : state_(state) {}
  constexpr uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_;
};

class xoshiro256 {
 public:
  constexpr explicit xoshiro256(uint64_t seed) {
    splitmix64 fill{seed};
    for (uint64_t& s : state_) s = fill.next();
  }

  constexpr uint64_t next() {
    const uint64_t out = rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return out;
  }

  // 0 ... n - 1, each equally likely; 0 for n = 0.
  constexpr uint64_t below(uint64_t n) {
    wide product = wide{next()} * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t reject = (0 - n) % (n != 0 ? n : 1);
      while (static_cast<uint64_t>(product) < reject) product = wide{next()} * n;
    }
    return static_cast<uint64_t>(product >> 64);
  }

  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1), 53 random bits

  double exponential(double mean) { return -mean * __builtin_log1p(-unit()); }  // >= 0
  // Mean 0, standard deviation 1 (Box, Muller 1958; the second of each pair is not kept, so that the state is all there is).
  double normal() {
    const double radius = __builtin_sqrt(-2 * __builtin_log1p(-unit()));
    return radius * __builtin_cos(6.283185307179586 * unit());
  }

 private:
  __extension__ typedef unsigned __int128 wide;
  static constexpr uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }
  uint64_t state_[4] = {};
};

}  // namespace hotpath::inline HOTPATH_ABI::stats
