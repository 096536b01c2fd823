// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <hotpath/core/random.hpp>

namespace server {
namespace {

// ---- memory and threads -------------------------------------------------------------------------------------------------

// Zeroed floats on a cache line's boundary.
class buffer {
 public:
  buffer() = default;
  explicit buffer(std::size_t n) : p_(static_cast<float*>(std::aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64)), std::free), size_(n) {
    if (p_ == nullptr) std::abort();  // a server without its weights or cache cannot start
    std::fill_n(p_.get(), n, 0.0f);
  }
  float* data() const { return p_.get(); }
  // Room for n floats; what was there is lost when it has to grow.
  float* room(std::size_t n) {
    if (size_ < n) *this = buffer{n};
    return p_.get();
  }
  float& operator[](std::size_t i) const { return p_.get()[i]; }

 private:
  std::unique_ptr<float, void (*)(void*)> p_{nullptr, std::free};
  std::size_t size_ = 0;
};

// Threads that share out tasks. A helper that gets no CPU holds nobody up: only those that have joined in are waited for.
class team {
 public:
  explicit team(unsigned threads) {
    for (unsigned i = 1; i < threads; ++i) helpers_.emplace_back([this, i] { help(i); });
  }
  ~team() {
    stop_ = true;
    ++round_, round_.notify_all();
    for (auto& t : helpers_) t.join();
  }

  // f(task, thread) for each task in 0 ... tasks - 1, in any order; returns when all are done.
  template <class F>
  void each(std::size_t tasks, F&& f) {
    tasks_ = tasks, next_ = 0;
    context_ = &f;
    call_ = [](void* context, std::size_t task, unsigned thread) { (*static_cast<std::remove_reference_t<F>*>(context))(task, thread); };
    const bool shared = tasks > 1 && !helpers_.empty();
    if (shared) gate_ = open, ++round_, round_.notify_all();
    work(0);
    if (!shared) return;
    gate_ &= ~open;
    for (unsigned left; (left = gate_.load()) != 0;) gate_.wait(left);
  }

 private:
  static constexpr unsigned open = 1, one = 2;  // gate_: tasks may be taken; so many helpers times two are at them

  void work(unsigned thread) {
    for (std::size_t task; (task = next_++) < tasks_;) call_(context_, task, thread);
  }
  void help(unsigned thread) {
    for (unsigned seen = 0;;) {
      round_.wait(seen);
      seen = round_;
      if (stop_) return;
      for (unsigned g = gate_; (g & open) != 0;)
        if (gate_.compare_exchange_weak(g, g + one)) {
          work(thread);
          if ((gate_ -= one) == 0) gate_.notify_all();
          break;
        }
    }
  }

  std::atomic<unsigned> round_{0}, gate_{0};
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::size_t tasks_ = 0;
  void* context_ = nullptr;
  void (*call_)(void*, std::size_t, unsigned) = nullptr;
  std::vector<std::thread> helpers_;
};

// ---- arithmetic ---------------------------------------------------------------------------------------------------------

// out[rows][columns] (+)= x[rows][depth] * weights; weights are panels of 16 columns, each [depth][16].
struct matrix_product {
  const float *x, *weights;
  float* out;
  std::size_t depth, columns;
  bool add;
};
struct attention {
  const float *keys, *values;  // of one layer and head, in block 0
  std::size_t block_stride, block_tokens, head_dim;
};
struct kernel_set {
  void (*multiply)(const matrix_product&, std::size_t row, std::size_t row_end, std::size_t panel, std::size_t panel_end);
  void (*attend)(const attention&, std::size_t heads, const float* query, std::size_t n, const kv::block_id* table, float* scores, float* out);
  void (*normalize)(const float* x, std::size_t width, float* out);
  void (*gate)(const float* row, std::size_t width, float* out);
};

namespace plain {
#define HOTPATH_CPU
#define HOTPATH_ROWS 3
#include "kernels.inc"
}  // namespace plain
#if defined(__x86_64__)
namespace avx2 {
#define HOTPATH_CPU __attribute__((target("avx2,fma")))
#define HOTPATH_ROWS 6
#include "kernels.inc"
}  // namespace avx2
namespace avx512 {
#define HOTPATH_CPU __attribute__((target("avx512f,avx512dq,fma")))
#define HOTPATH_ROWS 12
#include "kernels.inc"
}  // namespace avx512
#endif

const kernel_set& best_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return avx512::all;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::all;
#endif
  return plain::all;
}

struct weights {
  buffer panels;
  std::size_t depth = 0, columns = 0;
};

struct layer {
  weights qkv, out;                  // attention
  weights router;                    // of experts
  std::vector<weights> up, down;     // feed-forward: one, or one per expert; up is [gate | up]
};

std::size_t round_up(std::size_t n) { return (n + 15) / 16 * 16; }

}  // namespace

// ---- the model ----------------------------------------------------------------------------------------------------------

result<void> check(const model_options& o) {
  const auto no = [](std::string what) -> result<void> { return error{.code = errc::usage, .detail = std::move(what)}; };
  const auto n = [](auto v) { return std::to_string(v); };
  if (o.layers == 0 || o.width == 0 || o.heads == 0 || o.kv_heads == 0 || o.ffn == 0 || o.threads == 0)
    return no("layers, width, heads, kv-heads, ffn and threads must be 1 or more");
  if (o.width > 65'536 || o.ffn > 262'144 || o.layers > 1024 || o.threads > 1024 || o.experts > 1024 || o.vocab > 1u << 20)
    return no("the model is beyond anything this example is for");
  if (o.width % o.heads != 0 || o.width / o.heads % 16 != 0) return no("width / heads must be a multiple of 16, not " + n(o.width) + " / " + n(o.heads));
  if (o.heads % o.kv_heads != 0) return no("heads must be a multiple of kv-heads, not " + n(o.heads) + " and " + n(o.kv_heads));
  if (o.ffn % 16 != 0) return no("ffn must be a multiple of 16, not " + n(o.ffn));
  if (o.vocab < 260) return no("vocab must be 260 or more (256 bytes and 4 marks), not " + n(o.vocab));
  if (o.experts != 0 && (o.top_k == 0 || o.top_k > o.experts)) return no("top-k must be 1 to " + n(o.experts) + ", not " + n(o.top_k));
  if (o.block_tokens == 0 || o.block_tokens % 16 != 0) return no("block-size must be a multiple of 16, not " + n(o.block_tokens));
  if (o.max_len < 2) return no("max-model-len must be 2 or more");
  if (std::uint64_t{o.blocks} * o.block_tokens < o.max_len)
    return no(n(o.blocks) + " blocks of " + n(o.block_tokens) + " tokens cannot hold one request of " + n(o.max_len));
  return {};
}

struct model::state {
  explicit state(const model_options& options) : o(options), workers(options.threads), kernel(best_kernels()) {
    head_dim = o.width / o.heads, kv_width = head_dim * o.kv_heads;
    stats::splitmix64 seeds{o.seed};
    embedding = random_floats(std::size_t{o.vocab} * o.width, 1.0f, seeds.next());
    for (std::uint32_t i = 0; i < o.layers; ++i) {
      layer& l = layers.emplace_back();
      l.qkv = random_weights(o.width, o.width + 2 * kv_width, seeds.next());
      l.out = random_weights(o.width, o.width, seeds.next());
      if (o.experts != 0) l.router = random_weights(o.width, o.experts, seeds.next());
      for (std::uint32_t e = 0; e < std::max(o.experts, 1u); ++e) {
        l.up.push_back(random_weights(o.width, 2 * o.ffn, seeds.next()));
        l.down.push_back(random_weights(o.ffn, o.width, seeds.next()));
      }
    }
    head = random_weights(o.width, outputs, seeds.next());
    block_stride = std::size_t{kv_width} * o.block_tokens;
    layer_stride = block_stride * o.blocks;
    keys = buffer{layer_stride * o.layers};
    values = buffer{layer_stride * o.layers};
    scores = buffer{4 * round_up(o.max_len) * o.threads};  // of four heads at a time
    for (std::uint32_t p = 0; p < o.max_len; ++p)  // rotary positions, base 10,000
      for (std::uint32_t i = 0; i < head_dim / 2; ++i) {
        const double angle = p * std::pow(10'000.0, -2.0 * i / static_cast<double>(head_dim));
        turns.push_back(static_cast<float>(std::cos(angle))), turns.push_back(static_cast<float>(std::sin(angle)));
      }
  }

  buffer random_floats(std::size_t n, float deviation, std::uint64_t seed) {
    buffer b{n};
    stats::xoshiro256 random{seed};
    const float width = deviation * 3.4641016f;  // of a uniform distribution: the square root of 12
    for (std::size_t i = 0; i < n; ++i) b[i] = (static_cast<float>(random.next() >> 40) * 0x1p-24f - 0.5f) * width;
    parameters += n;
    return b;
  }
  weights random_weights(std::size_t depth, std::size_t columns, std::uint64_t seed) {
    return {random_floats(depth * round_up(columns), 1.0f / std::sqrt(static_cast<float>(depth)), seed), depth, round_up(columns)};
  }

  // out (+)= x * w, cut into tasks of some rows and columns.
  void multiply(const float* x, std::size_t n, const weights& w, float* out, bool add = false) {
    constexpr std::size_t row_step = 48, panel_step = 4;
    const matrix_product p{x, w.panels.data(), out, w.depth, w.columns, add};
    const std::size_t panels = w.columns / 16, across = (panels + panel_step - 1) / panel_step, down = (n + row_step - 1) / row_step;
    workers.each(across * down, [&](std::size_t task, unsigned) {
      const std::size_t first = task / across * row_step, panel = task % across * panel_step;
      kernel.multiply(p, first, std::min(first + row_step, n), panel, std::min(panel + panel_step, panels));
    });
  }

  void lay_out(std::span<const piece> pieces);
  void attend(std::size_t layer_index, const layer&, float* x);
  void feed_forward(const layer&, float* x);
  void mix_experts(const layer&, float* x);

  model_options o;
  team workers;
  const kernel_set& kernel;
  std::size_t head_dim = 0, kv_width = 0, block_stride = 0, layer_stride = 0;
  std::uint64_t parameters = 0;
  buffer embedding, keys, values, scores;
  std::vector<float> turns;
  std::vector<layer> layers;
  weights head;

  // Of the batch at hand.
  struct row {
    kv::token token;
    std::uint32_t position;
    const kv::block_id* table;
  };
  std::vector<row> rows;
  std::vector<std::size_t> logit_rows;
  buffer x_, normed_, wide_, mixed_, logits_, experts_in_, experts_out_;
};

void model::state::lay_out(std::span<const piece> pieces) {
  rows.clear(), logit_rows.clear();
  for (const piece& p : pieces) {
    for (std::size_t i = 0; i < p.tokens.size(); ++i) rows.push_back({p.tokens[i], p.position + static_cast<std::uint32_t>(i), p.table.data()});
    if (p.wants_logits && !p.tokens.empty()) logit_rows.push_back(rows.size() - 1);
  }
}

// x += attention(norm(x)); keys and values of these rows go into their blocks first, so that rows of one piece see each other.
void model::state::attend(std::size_t index, const layer& l, float* x) {
  const std::size_t n = rows.size(), width = o.width, columns = l.qkv.columns;
  float* normed = normed_.room(n * width);
  float* qkv = wide_.room(n * std::max<std::size_t>(columns, 2 * o.ffn));
  float* mixed = mixed_.room(n * std::max<std::size_t>(width, o.ffn));
  for (std::size_t r = 0; r < n; ++r) kernel.normalize(x + r * width, width, normed + r * width);
  multiply(normed, n, l.qkv, qkv);

  float* const layer_keys = keys.data() + index * layer_stride;
  float* const layer_values = values.data() + index * layer_stride;
  for (std::size_t r = 0; r < n; ++r) {
    const row& at = rows[r];
    float* const q = qkv + r * columns;
    for (std::size_t h = 0; h < o.heads + o.kv_heads; ++h)  // queries and keys are turned by their position
      for (std::size_t i = 0; i < head_dim / 2; ++i) {
        const float c = turns[(at.position * head_dim / 2 + i) * 2], s = turns[(at.position * head_dim / 2 + i) * 2 + 1];
        float &a = q[h * head_dim + i], &b = q[h * head_dim + head_dim / 2 + i];
        const float turned = a * c - b * s;
        b = a * s + b * c, a = turned;
      }
    const std::size_t block = at.table[at.position / o.block_tokens] * block_stride, slot = at.position % o.block_tokens;
    for (std::size_t i = 0; i < kv_width; ++i) {
      layer_keys[block + i * o.block_tokens + slot] = q[width + i];
      layer_values[block + i / head_dim * head_dim * o.block_tokens + slot * head_dim + i % head_dim] = q[width + kv_width + i];
    }
  }
  const std::size_t group = o.heads / o.kv_heads;
  workers.each(n * o.kv_heads, [&](std::size_t task, unsigned thread) {
    const std::size_t r = task / o.kv_heads, kv_head = task % o.kv_heads, head_at = kv_head * head_dim * o.block_tokens;
    const attention a{layer_keys + head_at, layer_values + head_at, block_stride, o.block_tokens, head_dim};
    kernel.attend(a, group, qkv + r * columns + kv_head * group * head_dim, rows[r].position + 1, rows[r].table, scores.data() + thread * 4 * round_up(o.max_len),
                  mixed + r * width + kv_head * group * head_dim);
  });
  multiply(mixed, n, l.out, x, true);
}

// x += down(swiglu(up(norm(x))))
void model::state::feed_forward(const layer& l, float* x) {
  const std::size_t n = rows.size(), width = o.width;
  float *normed = normed_.data(), *wide = wide_.data(), *mixed = mixed_.data();
  for (std::size_t r = 0; r < n; ++r) kernel.normalize(x + r * width, width, normed + r * width);
  if (o.experts != 0) return mix_experts(l, x);
  multiply(normed, n, l.up[0], wide);
  for (std::size_t r = 0; r < n; ++r) kernel.gate(wide + r * 2 * o.ffn, o.ffn, mixed + r * o.ffn);
  multiply(mixed, n, l.down[0], x, true);
}

// Each row goes through its top_k experts, and their outputs are added in the order of the experts' numbers: a row's sum does not depend
// on who else went where.
void model::state::mix_experts(const layer& l, float* x) {
  const std::size_t n = rows.size(), width = o.width, k = o.top_k;
  float *normed = normed_.data(), *wide = wide_.data(), *mixed = mixed_.data();
  struct choice {
    std::size_t expert, row;
    float share;
  };
  std::vector<choice> choices;
  multiply(normed, n, l.router, wide);
  for (std::size_t r = 0; r < n; ++r) {
    const float* score = wide + r * l.router.columns;
    std::vector<std::size_t> order(o.experts);
    for (std::size_t e = 0; e < o.experts; ++e) order[e] = e;
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                      [&](std::size_t a, std::size_t b) { return score[a] != score[b] ? score[a] > score[b] : a < b; });
    float total = 0;
    for (std::size_t i = 0; i < k; ++i) total += std::exp(score[order[i]] - score[order[0]]);
    for (std::size_t i = 0; i < k; ++i) choices.push_back({order[i], r, std::exp(score[order[i]] - score[order[0]]) / total});
  }
  std::stable_sort(choices.begin(), choices.end(), [](const choice& a, const choice& b) { return a.expert < b.expert; });

  float* in = experts_in_.room(n * k * width);
  float* out = experts_out_.room(n * k * width);
  for (std::size_t i = 0; i < choices.size(); ++i) std::copy_n(normed + choices[i].row * width, width, in + i * width);
  for (std::size_t i = 0; i < choices.size();) {
    std::size_t end = i;
    while (end < choices.size() && choices[end].expert == choices[i].expert) ++end;
    multiply(in + i * width, end - i, l.up[choices[i].expert], wide);  // one expert has at most n rows
    for (std::size_t r = 0; r < end - i; ++r) kernel.gate(wide + r * 2 * o.ffn, o.ffn, mixed + r * o.ffn);
    multiply(mixed, end - i, l.down[choices[i].expert], out + i * width);
    i = end;
  }
  for (std::size_t i = 0; i < choices.size(); ++i)
    for (std::size_t c = 0; c < width; ++c) x[choices[i].row * width + c] += choices[i].share * out[i * width + c];
}

model::model(const model_options& options) : s_(std::make_unique<state>(options)) {}
model::~model() = default;
const model_options& model::options() const { return s_->o; }
std::uint64_t model::parameters() const { return s_->parameters; }

std::span<const float> model::forward(std::span<const piece> pieces) {
  state& s = *s_;
  s.lay_out(pieces);
  const std::size_t width = s.o.width;
  float* x = s.x_.room(s.rows.size() * width);
  for (std::size_t r = 0; r < s.rows.size(); ++r) std::copy_n(&s.embedding[s.rows[r].token * width], width, x + r * width);
  for (std::size_t i = 0; i < s.layers.size(); ++i) {
    s.attend(i, s.layers[i], x);
    s.feed_forward(s.layers[i], x);
  }
  const std::size_t n = s.logit_rows.size();
  float* last = s.normed_.data();
  float* logits = s.logits_.room(n * outputs);
  for (std::size_t i = 0; i < n; ++i) s.kernel.normalize(x + s.logit_rows[i] * width, width, last + i * width);
  s.multiply(last, n, s.head, logits);
  return {logits, n * outputs};
}

}  // namespace server
