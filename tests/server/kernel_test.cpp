// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the model, for each instruction set that this machine has, against the textbook in double precision.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wsubobject-linkage"  // a source file is included: what it hides stays hidden in this unit alone
#endif
#define server kernels_under_test  // a second copy of the model's source beside the one that is linked
#include "model.cpp"
#undef server
#include <doctest/doctest.h>
#include <cstring>

using namespace kernels_under_test;

namespace {
struct named_kernels {
  const char* name;
  kernel_set set;
};
std::vector<named_kernels> kernels() {
  std::vector<named_kernels> all{{"plain", plain::all}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back({"avx2", avx2::all});
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) all.push_back({"avx512", avx512::all});
#endif
  return all;
}

std::vector<float> random_values(std::size_t n, std::uint64_t seed, double width = 1) {
  stats::xoshiro256 random{seed};
  std::vector<float> v(n);
  for (float& x : v) x = static_cast<float>((random.unit() - 0.5) * 2 * width);
  return v;
}
}  // namespace

TEST_CASE("server: a product of matrices is what it should be, and each row the same bits in any company") {
  for (const named_kernels& k : kernels()) {
    CAPTURE(k.name);
    constexpr std::size_t depth = 37, columns = 48;
    const auto x = random_values(29 * depth, 1), w = random_values(depth * columns, 2);  // w: panels of 16 columns
    for (std::size_t rows = 1; rows <= 29; ++rows) {
      CAPTURE(rows);
      std::vector<float> out(rows * columns, 3.0f), one(columns);
      k.set.multiply({x.data(), w.data(), out.data(), depth, columns, true}, 0, rows, 0, columns / 16);
      for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < columns; ++c) {
          double want = 3;
          for (std::size_t d = 0; d < depth; ++d) want += static_cast<double>(x[r * depth + d]) * static_cast<double>(w[c / 16 * depth * 16 + d * 16 + c % 16]);
          REQUIRE(static_cast<double>(out[r * columns + c]) == doctest::Approx(want).epsilon(1e-5));
        }
        std::fill(one.begin(), one.end(), 3.0f);
        k.set.multiply({x.data() + r * depth, w.data(), one.data(), depth, columns, true}, 0, 1, 0, columns / 16);
        REQUIRE(std::memcmp(one.data(), out.data() + r * columns, columns * sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("server: attention is the softmax-weighted mean of the values, over blocks in any order, for any number of heads at a time") {
  for (const named_kernels& k : kernels())
    for (const std::size_t block_tokens : {16u, 48u})
      for (const std::size_t n : {1u, 15u, 16u, 17u, 100u, 144u}) {
        CAPTURE(k.name);
        CAPTURE(n);
        CAPTURE(block_tokens);
        constexpr std::size_t dim = 32, heads = 6;
        const std::size_t blocks = 9, stride = block_tokens * dim;
        const auto keys = random_values(blocks * stride, 3, 2), values = random_values(blocks * stride, 4), query = random_values(heads * dim, 5, 2);
        const std::vector<kv::block_id> table = {4, 0, 8, 2, 7, 1, 3, 5, 6};
        std::vector<float> scores(4 * 160), out(heads * dim), one(dim);
        const attention a{keys.data(), values.data(), stride, block_tokens, dim};
        k.set.attend(a, heads, query.data(), n, table.data(), scores.data(), out.data());
        for (std::size_t h = 0; h < heads; ++h) {
          std::vector<double> weight(n), want(dim, 0);
          double total = 0;
          for (std::size_t j = 0; j < n; ++j) {
            double dot = 0;
            for (std::size_t d = 0; d < dim; ++d) dot += static_cast<double>(query[h * dim + d]) * static_cast<double>(keys[table[j / block_tokens] * stride + d * block_tokens + j % block_tokens]);
            total += weight[j] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          }
          for (std::size_t j = 0; j < n; ++j)
            for (std::size_t d = 0; d < dim; ++d) want[d] += weight[j] / total * static_cast<double>(values[table[j / block_tokens] * stride + j % block_tokens * dim + d]);
          for (std::size_t d = 0; d < dim; ++d) REQUIRE(std::abs(static_cast<double>(out[h * dim + d]) - want[d]) < 2e-6);
          k.set.attend(a, 1, query.data() + h * dim, n, table.data(), scores.data(), one.data());
          REQUIRE(std::memcmp(one.data(), out.data() + h * dim, dim * sizeof(float)) == 0);
        }
      }
}

TEST_CASE("server: normalization and the gate, from the smallest to the largest arguments") {
  for (const named_kernels& k : kernels()) {
    CAPTURE(k.name);
    const auto x = random_values(64, 6, 5);
    std::vector<float> out(64);
    k.set.normalize(x.data(), 64, out.data());
    double squares = 0;
    for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
    for (std::size_t i = 0; i < 64; ++i) CHECK(static_cast<double>(out[i]) == doctest::Approx(static_cast<double>(x[i]) / std::sqrt(squares / 64 + 1e-5)).epsilon(1e-6));

    constexpr std::size_t n = 4096;
    std::vector<float> row(2 * n, 1.0f), gated(n);
    for (std::size_t i = 0; i < n; ++i) row[i] = static_cast<float>(-120.0 + 240.0 * static_cast<double>(i) / n);
    k.set.gate(row.data(), n, gated.data());
    for (std::size_t i = 0; i < n; ++i) {
      const double g = static_cast<double>(row[i]), want = g / (1 + std::exp(-g));
      REQUIRE(std::abs(static_cast<double>(gated[i]) - want) <= 1e-35 + 1e-6 * std::abs(want));
    }
  }
}
