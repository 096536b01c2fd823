// SPDX-License-Identifier: Apache-2.0
// model.hpp - a float32 transformer on the CPU with random weights: RMSNorm, rotary positions, grouped-query attention over a paged KV
//   cache, SwiGLU or a mixture of experts. Its arithmetic is real; what it says is not.
//
//     server::model m{{.layers = 2, .width = 64, .heads = 4, .kv_heads = 2, .ffn = 128}};
//     server::piece p{.tokens = prompt, .position = 0, .table = blocks};     // blocks of the KV cache, in order
//     std::span<const float> logits = m.forward({&p, 1});                    // of the last token: model::outputs numbers
//
//   Equal for equal inputs, bit by bit: whatever else is in the batch, however a prompt is cut into pieces, for any number of threads.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/kv.hpp>

namespace server {

using namespace hotpath;

struct model_options {
  std::uint32_t layers = 6, width = 384, heads = 8, kv_heads = 2, ffn = 1024;
  std::uint32_t vocab = 1024;            // token ids that a prompt may hold; answers are bytes (text.hpp)
  std::uint32_t experts = 0, top_k = 2;  // 0 experts: a dense feed-forward layer
  std::uint32_t max_len = 4096;          // tokens of a request, prompt and answer
  std::uint32_t block_tokens = 16, blocks = 320;  // the KV cache
  std::uint32_t threads = 1;
  std::uint64_t seed = 1;
};
// Errors: usage, with the first thing that does not fit.
result<void> check(const model_options&);

// Consecutive tokens of one request. All tokens before `position` have been computed with the same table.
struct piece {
  std::span<const kv::token> tokens;
  std::uint32_t position = 0;
  std::span<const kv::block_id> table;
  bool wants_logits = true;              // of its last token
};

class model {
 public:
  static constexpr std::size_t outputs = 272;  // logits: one for each byte, one for the end (256), and 15 that nobody reads

  explicit model(const model_options& options);  // which have passed check()
  ~model();

  // Computes the pieces and writes their keys and values into the cache. Logits of those that want them, in order, valid until the
  // next call. At most one piece per request. One thread at a time.
  std::span<const float> forward(std::span<const piece> pieces);

  const model_options& options() const;
  std::uint64_t parameters() const;

 private:
  struct state;
  std::unique_ptr<state> s_;
};

}  // namespace server
