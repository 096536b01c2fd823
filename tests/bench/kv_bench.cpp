// SPDX-License-Identifier: Apache-2.0
// tests/bench/kv_bench.cpp - prefix blocks: tokens per second through the hash chain and the pool, beside the obvious std containers.
//   bench_kv [rounds]    default 5; one core; every line is the best round
//   The work of each request, as a server or an analysis does it: names of its blocks, the cached prefix shared, the rest allocated and
//   published, all released. Beside us: std::hash of each block's bytes chained, std::unordered_map and a std::list in order
//   of use, the same capacity and the same order of eviction; both must find the same hits.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <string_view>
#include <unordered_map>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/kv.hpp>
#if __has_include(<xxhash.h>)
#include <hotpath/kv/xxhash.hpp>
#endif

using namespace hotpath;

namespace {

constexpr std::size_t block_tokens = 16;
constexpr std::uint32_t blocks = 1u << 16;  // a KV cache of 1 M tokens

struct trace {
  std::vector<std::vector<kv::token>> prompts;
  std::uint64_t tokens = 0;
};

// 64 system prompts of 2,048 tokens, conversations on top of them that come back and grow: about 80 % hits.
trace make_trace() {
  stats::xoshiro256 random{7};
  trace t;
  std::vector<std::vector<kv::token>> open;
  const auto grow = [&](std::vector<kv::token>& p, std::uint64_t by) {
    for (std::uint64_t i = 0; i < by; ++i) p.push_back(static_cast<kv::token>(random.below(128'000)));
  };
  for (int i = 0; i < 64; ++i) grow(open.emplace_back(), 2048);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t from = random.below(open.size());
    std::vector<kv::token> p = open[from];
    grow(p, 128 + random.below(1024));
    if (p.size() < 8192 && open.size() < 512) open.push_back(p);
    t.tokens += p.size();
    t.prompts.push_back(std::move(p));
  }
  return t;
}

template <class F>
double best_seconds(int rounds, F&& f) {
  double best = 1e9;
  for (int i = 0; i < rounds; ++i) {
    const nanoseconds begin = monotonic_now();
    f();
    best = (std::min)(best, (monotonic_now() - begin).s());
  }
  return best;
}

template <class Hash>
std::uint64_t names_only(const trace& t) {
  std::uint64_t mix = 0;
  std::vector<kv::block_hash> names;
  for (const auto& p : t.prompts) {
    names.clear();
    kv::hash_blocks(Hash{}, p, block_tokens, names);
    mix ^= names.back();
  }
  return mix;
}

template <class Hash>
std::uint64_t through_pool(const trace& t) {
  kv::pool pool{blocks};
  std::vector<kv::block_hash> names;
  std::vector<kv::block_id> table;
  for (const auto& p : t.prompts) {
    names.clear(), table.clear();
    kv::hash_blocks(Hash{}, p, block_tokens, names);
    const std::size_t cached = pool.share(names, table);
    if (!pool.allocate(names.size() - cached, table)) std::abort();
    for (std::size_t i = cached; i < names.size(); ++i) pool.publish(table[i], names[i]);
    pool.release(table);
  }
  return pool.stats().shared;
}

// What one writes in an afternoon. Used from the tail to the head, so that the head is evicted last, as the pool does.
std::uint64_t through_std(const trace& t) {
  std::list<std::size_t> order;  // oldest first
  std::unordered_map<std::size_t, std::list<std::size_t>::iterator> known;
  std::vector<std::size_t> names;
  std::uint64_t hits = 0;
  for (const auto& p : t.prompts) {
    names.clear();
    std::size_t parent = 0;
    for (std::size_t i = 0; i + block_tokens <= p.size(); i += block_tokens) {
      const std::string_view bytes{reinterpret_cast<const char*>(p.data() + i), block_tokens * sizeof(kv::token)};
      parent ^= std::hash<std::string_view>{}(bytes) + 0x9e3779b97f4a7c15 + (parent << 6) + (parent >> 2);
      names.push_back(parent);
    }
    std::size_t cached = 0;
    while (cached < names.size() && known.count(names[cached]) != 0) ++cached;
    hits += cached;
    for (std::size_t i = names.size(); i-- > 0;) {
      const auto [it, fresh] = known.try_emplace(names[i]);
      if (fresh) it->second = order.insert(order.end(), names[i]);
      else order.splice(order.end(), order, it->second);
    }
    for (; known.size() > blocks; order.pop_front()) known.erase(order.front());
  }
  return hits;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const trace t = make_trace();
  const auto millions = [&](double seconds) { return static_cast<double>(t.tokens) / seconds / 1e6; };
  std::uint64_t hits = 0, std_hits = 0, sink = 0;
  const double ours = millions(best_seconds(rounds, [&] { hits = through_pool<kv::mix_hash>(t); }));
  const double theirs = millions(best_seconds(rounds, [&] { std_hits = through_std(t); }));
  const double names = millions(best_seconds(rounds, [&] { sink ^= names_only<kv::mix_hash>(t); }));
  std::printf("%zu requests, %.1f M tokens, blocks of %zu, %u blocks; hit rate %.1f %%\n", t.prompts.size(), static_cast<double>(t.tokens) / 1e6, block_tokens,
              blocks, 100.0 * static_cast<double>(hits) * block_tokens / static_cast<double>(t.tokens));
  std::printf("hash chain and pool   %8.1f M tokens/s\n", ours);
  std::printf("std containers        %8.1f M tokens/s   ratio %.1f\n", theirs, ours / theirs);
  std::printf("hash chain alone      %8.1f M tokens/s   mix_hash\n", names);
#if __has_include(<xxhash.h>)
  const double xx = millions(best_seconds(rounds, [&] { sink ^= names_only<kv::xxh3_hash>(t); }));
  const double xx_pool = millions(best_seconds(rounds, [&] { sink ^= through_pool<kv::xxh3_hash>(t); }));
  std::printf("with xxh3_hash        %8.1f M tokens/s   chain alone %.1f\n", xx_pool, xx);
#endif
  std::printf("floor 100, goal 250: %s\n", ours >= 250 ? "goal" : ours >= 100 ? "floor" : "MISSED");
  if (hits != std_hits) std::printf("hits differ: %lu and %lu\n", hits, std_hits);
  return sink == 1 || hits != std_hits || ours < 100 ? 1 : 0;
}
