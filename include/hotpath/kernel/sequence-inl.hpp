// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/sequence-inl.hpp - bodies of kernel/sequence.hpp.
#pragma once
#include <utility>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/sequence.hpp>
#include <hotpath/kernel/table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN sequence sequence_of(const subject& s, stage at) {
  sequence out;
  if (s.trace == nullptr) return out;
  const auto& gpu = s.trace->gpu;
  hotpath::detail::id_index streams, tokens, steps;
  std::vector<std::uint32_t> stream_of, token_of, event_of, size;
  std::uint64_t last_stream_key = 0;
  std::uint32_t last_stream = no_index;
  for (const std::uint32_t i : s.chosen) {
    if (i >= gpu.size() || tables::stage_at(s, i) != at) continue;
    const auto& e = gpu[i];
    const std::uint64_t stream_key = model::lane_of(e);
    if (last_stream == no_index || stream_key != last_stream_key) last_stream_key = stream_key, last_stream = streams.number(stream_key);
    const std::uint32_t identity = tables::at_or_none(s.identity_of, i), site = tables::at_or_none(s.map.site_of, i);
    const std::uint32_t t = tokens.number(std::uint64_t{identity} << 32 | site);
    if (t == out.tokens.size()) out.tokens.push_back({.identity = identity, .site = site, .kind = e.kind});
    ++out.tokens[t].launches, out.tokens[t].time += e.duration, out.total += e.duration;
    stream_of.push_back(last_stream), token_of.push_back(t), event_of.push_back(i);
    if (last_stream >= size.size()) size.resize(last_stream + 1, 0);
    ++size[last_stream];
    if (const std::uint32_t step = tables::at_or_none(s.steps.step_of, i); step != no_index) steps.insert(0, step, 0);
  }
  out.steps = steps.size();
  // Stream by stream; within one, the timeline's order, which is that of the begins.
  std::uint32_t sum = 0;
  for (std::uint32_t& n : size) n = std::exchange(sum, sum + n);
  std::vector<std::uint32_t> to = size;
  out.token_at.resize(event_of.size()), out.event_at.resize(event_of.size());
  for (std::size_t k = 0; k < event_of.size(); ++k) {
    const std::uint32_t p = to[stream_of[k]]++;
    out.token_at[p] = token_of[k], out.event_at[p] = event_of[k];
  }
  for (std::size_t stream = 0; stream < size.size(); ++stream) {
    const std::uint32_t end = to[stream];
    for (std::uint32_t p = size[stream]; p < end; ++p) {
      const std::uint32_t step = tables::at_or_none(s.steps.step_of, out.event_at[p]);
      if (p == size[stream] || step != out.parts.back().step) out.parts.push_back({p, p, step});
      out.parts.back().end = p + 1;
    }
  }
  return out;
}

HOTPATH_FN std::optional<loop> find_loop(std::span<const std::uint32_t> tokens, std::uint32_t max_period) {
  const std::size_t n = tokens.size();
  if (n < 6) return {};
  // How far back the same three tokens stood last: the period stands out.
  using hotpath::detail::mix;
  hotpath::detail::id_index grams;
  std::vector<std::uint32_t> last, votes((std::min)(std::size_t{max_period}, n / 3) + 1, 0);
  for (std::size_t i = 0; i + 2 < n; ++i) {
    const std::uint32_t g = grams.number(mix(mix(mix(0, tokens[i]), tokens[i + 1]), tokens[i + 2]));
    if (g == last.size()) {
      last.push_back(static_cast<std::uint32_t>(i));
      continue;
    }
    const std::size_t back = i - std::exchange(last[g], static_cast<std::uint32_t>(i));
    if (back < votes.size()) ++votes[back];
  }
  // The longest stretch of each likely period, with at most a fifth of mismatches in any window of one period.
  std::optional<loop> best;
  std::size_t best_length = 0;
  for (int round = 0; round < 8; ++round) {
    std::uint32_t period = 0;
    for (std::uint32_t p = 2; p < votes.size(); ++p)
      if (votes[p] > (period == 0 ? 0 : votes[period])) period = p;
    if (period == 0) break;
    votes[period] = 0;
    std::size_t begin = 0, wrong = 0;
    const auto differs = [&](std::size_t i) { return tokens[i] != tokens[i + period]; };
    const auto close = [&](std::size_t end) {   // matches hold in [begin, end)
      const std::size_t length = end - begin + period, repetitions = length / period;
      // A multiple of a period covers as much: the shorter one stays unless the longer covers a tenth more.
      const bool better = !best || (period < best->period ? length * 10 >= best_length * 9 : length * 9 > best_length * 10);
      if (repetitions >= 3 && better) best = loop{static_cast<std::uint32_t>(begin), period, repetitions}, best_length = length;
    };
    for (std::size_t i = 0; i + period < n; ++i) {
      wrong += differs(i);
      if (i >= begin + period) wrong -= differs(i - period);
      if (wrong * 5 > period) {
        if (i > begin) close(i);
        begin = i + 1, wrong = 0;
      }
    }
    if (n - period > begin) close(n - period);
  }
  return best;
}

HOTPATH_FN merge_saving saving_of(std::span<const nanoseconds> kernels, std::span<const bool> memory_bound, nanoseconds gaps) {
  merge_saving out;
  if (kernels.empty()) return out;
  std::size_t longest = 0;
  for (std::size_t i = 1; i < kernels.size(); ++i)
    if (kernels[i] > kernels[longest]) longest = i;
  out.gain = gaps;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    if (i == longest) continue;
    out.gone += kernels[i];
    if (memory_bound[i]) out.gain += kernels[i];
  }
  out.gain = (std::min)(out.gain, out.gone);
  return out;
}

HOTPATH_FN bool is_memory_bound(family f) {
  switch (f) {
    case family::gemm: case family::moe: case family::attention: case family::attention_prefill: case family::attention_decode: case family::comm:
    case family::convolution: case family::linear_attention: case family::graph: return false;
    default: return true;
  }
}

HOTPATH_FN std::vector<chain> find_chains(const subject& s, const sequence& seq, const chain_options& options) {
  constexpr std::size_t longest = 16;                 // longer runs are cut: one kernel for more is no fusion any more
  std::vector<bool> fusable(seq.tokens.size());
  for (std::size_t t = 0; t < fusable.size(); ++t) {
    const auto& k = seq.tokens[t];
    fusable[t] = k.kind == model::gpu_kind::kernel && k.identity < s.identities.size() && is_memory_bound(s.identities[k.identity].is.what) &&
                 s.identities[k.identity].is.what != family::other;
  }
  // One kernel at several places is one kernel here.
  const auto name_of = [&](std::uint32_t t) { return std::uint64_t{s.identities[seq.tokens[t].identity].raw}; };
  hotpath::detail::id_index runs, names;
  std::vector<std::uint64_t> launches;
  for (std::size_t t = 0; t < fusable.size(); ++t) {
    if (!fusable[t]) continue;
    const std::uint32_t k = names.number(name_of(static_cast<std::uint32_t>(t)));
    if (k == launches.size()) launches.push_back(0);
    launches[k] += seq.tokens[t].launches;
  }
  std::vector<chain> found;
  std::vector<nanoseconds> times;
  std::uint32_t at[longest];
  const bool bound[longest] = {true, true, true, true, true, true, true, true, true, true, true, true, true, true, true, true};
  std::size_t n = 0;
  const auto close = [&](std::uint32_t step) {
    if (n >= 2) {
      std::uint64_t h = n;
      for (std::size_t k = 0; k < n; ++k) h = hotpath::detail::mix(h, name_of(seq.token_at[at[k]]));
      const std::uint32_t r = runs.number(h);
      if (r == found.size()) {
        chain c;
        for (std::size_t k = 0; k < n; ++k) c.tokens.push_back(seq.token_at[at[k]]);
        found.push_back(std::move(c));
      }
      times.clear();
      nanoseconds gaps{};
      for (std::size_t k = 0; k < n; ++k) {
        const auto& e = s.trace->gpu[seq.event_at[at[k]]];
        times.push_back(e.duration);
        if (k > 0) gaps += (std::max)(nanoseconds{}, e.begin - s.trace->gpu[seq.event_at[at[k - 1]]].end());
      }
      const merge_saving m = saving_of(times, std::span(bound, n), gaps);
      ++found[r].repetitions, found[r].saving.gone += m.gone, found[r].saving.gain += m.gain;
      if (step != no_index) found[r].gain_in_steps += m.gain;
    }
    n = 0;
  };
  for (const auto& part : seq.parts) {
    for (std::uint32_t p = part.begin; p < part.end; ++p) {
      const std::uint32_t t = seq.token_at[p];
      if (seq.tokens[t].is_transparent()) continue;
      if (!fusable[t] || n == longest) close(part.step);
      if (fusable[t]) at[n++] = p;
    }
    close(part.step);
  }
  std::vector<chain> out;
  for (chain& c : found) {
    std::uint64_t rarest = UINT64_MAX;
    for (const std::uint32_t t : c.tokens) {
      std::uint64_t times_in = 0;
      for (const std::uint32_t u : c.tokens) times_in += name_of(u) == name_of(t);
      rarest = (std::min)(rarest, launches[names.number(name_of(t))] / times_in);
    }
    c.adjacency = rarest == 0 ? 0 : 100.0 * static_cast<double>(c.repetitions) / static_cast<double>(rarest);
    const double share = seq.total.ns <= 0 ? 0 : 100.0 * static_cast<double>(c.saving.gone.ns) / static_cast<double>(seq.total.ns);
    if (c.repetitions >= options.min_repetitions && c.adjacency >= options.min_adjacency && share >= options.min_share) out.push_back(std::move(c));
  }
  sort_in_place(out, [](const chain& a, const chain& b) {
    return a.saving.gain != b.saving.gain ? a.saving.gain > b.saving.gain : a.tokens < b.tokens;
  });
  if (out.size() > options.limit) out.erase(out.begin() + static_cast<std::ptrdiff_t>(options.limit), out.end());
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
