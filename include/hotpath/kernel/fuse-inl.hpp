// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/fuse-inl.hpp - bodies of kernel/fuse.hpp.
#pragma once
#include <utility>
#include <hotpath/core/json.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/fuse_words.hpp>
#include <hotpath/kernel/fuse.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace detail {

struct fuse_row {
  std::string_view id, name, frameworks, fused, chain, platform;
  int min_tp;
  std::string_view model_any, model_none, suppresses;
  int priority;
  double min_share, confirmed_share;
  std::string_view what, candidate, source;
};
inline constexpr fuse_row fuse_rows[] = {
#include <hotpath/kernel/data/fuse_patterns.inc>
};

enum class toggle_effect : std::uint8_t { enables, prevents, selects, shapes };
struct fuse_toggle {
  std::string_view name;
  toggle_effect effect;
  std::string_view patterns;
};
inline constexpr fuse_toggle fuse_toggles[] = {
#include <hotpath/kernel/data/fuse_toggles.inc>
};

// Is `item` one of the pieces of "a|b|c"?
inline bool has_piece(std::string_view list, std::string_view item) {
  bool found = false;
  text::split(list, '|', [&](std::string_view piece) { found = found || text::trim(piece) == item; });
  return found;
}

inline void split_words(std::string_view text, std::string& any, std::string& none) {
  any = text::trim(text::take(text, '!')), none = text::trim(text);
}

// A pattern ready to be compared: groups[0] is the fused form, the others are the chain.
struct compiled_pattern {
  const fuse_pattern* row = nullptr;
  std::vector<fuse_terms> any, none;
};
inline compiled_pattern compile_pattern(const fuse_pattern& p, word_list& words) {
  compiled_pattern out{.row = &p, .any = std::vector<fuse_terms>(p.chain.size() + 1), .none = std::vector<fuse_terms>(p.chain.size() + 1)};
  compile_words(p.fused, words, out.any[0]), compile_words(p.fused_none, words, out.none[0]);
  for (std::size_t g = 0; g < p.chain.size(); ++g)
    compile_words(p.chain[g].any, words, out.any[g + 1]), compile_words(p.chain[g].none, words, out.none[g + 1]);
  return out;
}
inline constexpr std::size_t longest_chain = 8;    // groups of a pattern: one bit each, beside the fused form

// ---- one chain along the streams ----------------------------------------------------------------------------------------------------

struct chain_walk {
  std::uint64_t runs[longest_chain] = {};          // of each group: launches that follow each other count as one
  std::uint64_t complete = 0, with_copy = 0;       // times that all groups followed each other; of them: with a copy between two
  merge_saving saving;
  nanoseconds gain_in_steps{};                     // of it
  nanoseconds by_group[longest_chain] = {};        // in complete ones
  std::vector<bool> taken;                         // by token: part of a complete one

  std::uint64_t repetitions(std::size_t groups) const {
    std::uint64_t least = UINT64_MAX;
    for (std::size_t g = 0; g < groups; ++g) least = (std::min)(least, runs[g]);
    return groups == 0 ? 0 : least;
  }
  double adjacency(std::size_t groups) const {
    const std::uint64_t n = repetitions(groups);
    return n == 0 ? 0 : 100.0 * static_cast<double>((std::min)(complete, n)) / static_cast<double>(n);
  }
};

// mask[token]: bit g when it is one of group g. `groups` in the order of the stream.
inline chain_walk walk_chain(const subject& s, const sequence& seq, const std::vector<std::uint8_t>& mask, std::size_t groups) {
  chain_walk out;
  out.taken.assign(seq.tokens.size(), false);
  const auto& gpu = s.trace->gpu;
  nanoseconds time[longest_chain] = {}, gaps{}, before{};
  bool memory_bound[longest_chain] = {};
  for (const auto& part : seq.parts) {
    std::size_t reached = 0, through = 0;          // groups so far; copies since the last one
    bool copied = false;                           // one lies between those so far
    std::uint8_t last = 0;
    std::uint32_t first = 0;
    for (std::uint32_t p = part.begin; p < part.end; ++p) {
      const std::uint32_t t = seq.token_at[p];
      const std::uint8_t m = mask[t];
      if (m == 0) {
        if (seq.tokens[t].is_transparent() && through++ == 0) continue;
        reached = 0, last = 0, through = 0;
        continue;
      }
      copied |= through != 0, through = 0;
      for (std::size_t g = 0; g < groups; ++g) out.runs[g] += static_cast<unsigned>(m & ~last) >> g & 1u;
      last = m;
      const auto& e = gpu[seq.event_at[p]];
      const nanoseconds gap = reached == 0 ? nanoseconds{} : (std::max)(nanoseconds{}, e.begin - before);
      before = e.end();
      if (reached > 0 && (m >> reached & 1) != 0) {
        gaps += gap;
        time[reached] = {}, memory_bound[reached] = true, ++reached;
      } else if (reached > 0 && (m >> (reached - 1) & 1) != 0) {
        gaps += gap;
      } else if ((m & 1) != 0) {
        reached = 1, first = p, gaps = {}, copied = false, time[0] = {}, memory_bound[0] = true;
      } else {
        reached = 0;
        continue;
      }
      time[reached - 1] += e.duration;
      const std::uint32_t identity = seq.tokens[t].identity;
      if (identity < s.identities.size() && !is_memory_bound(s.identities[identity].is.what)) memory_bound[reached - 1] = false;
      if (reached < groups) continue;
      const merge_saving m1 = saving_of(std::span(time, groups), std::span(memory_bound, groups), gaps);
      ++out.complete, out.with_copy += copied, out.saving.gone += m1.gone, out.saving.gain += m1.gain;
      if (part.step != no_index) out.gain_in_steps += m1.gain;
      for (std::size_t g = 0; g < groups; ++g) out.by_group[g] += time[g];
      for (std::uint32_t q = first; q <= p; ++q)
        if (mask[seq.token_at[q]] != 0) out.taken[seq.token_at[q]] = true;
      reached = 0;
    }
  }
  return out;
}

// ---- conditions ---------------------------------------------------------------------------------------------------------------------

struct world {                                     // what is known beside the kernels
  std::string framework, model, platform;          // lower case; empty: not known
  std::optional<int> tp;
};

inline world world_of(const subject& s, const fuse_options& o) {
  world w;
  if (o.framework != "unknown") w.framework = text::lower(o.framework);
  if (o.args != nullptr) w.tp = tensor_parallel_size(*o.args), w.model = text::lower(model_of(*o.args));
  for (const auto& d : s.trace->devices) {
    const std::string name = text::lower(d.name);
    const auto says = [&](std::string_view word) { return name.find(word) != std::string::npos; };
    if (says("nvidia") || says("tesla") || says("geforce")) w.platform = "cuda";
    else if (says("amd") || says("instinct") || says("radeon")) w.platform = "rocm";
    else if (says("ascend")) w.platform = "npu";
    if (!w.platform.empty()) break;
  }
  return w;
}

struct verdict {
  std::vector<std::pair<std::string, condition_state>> conditions;
  bool framework = true, refused = false, open = false;   // of this framework; a condition is not met; one is unknown
  std::string why;                                        // the first that is not met or not known
};

inline verdict judge(const fuse_pattern& p, const world& w, bool collective_ran, const server_args* args) {
  using enum condition_state;
  verdict v;
  const auto say = [&](std::string text, condition_state state) {
    (state == not_met ? v.refused : v.open) |= state != met;
    if (state != met && v.why.empty()) v.why = text;
    v.conditions.emplace_back(std::move(text), state);
  };
  const auto list = [](std::string_view pieces) {
    std::string out;
    text::split(pieces, '|', [&](std::string_view piece) { out.append(out.empty() ? "" : " or ").append(piece); });
    return out;
  };
  if (!p.frameworks.empty()) {
    const condition_state state = w.framework.empty() ? unknown : has_piece(p.frameworks, w.framework) ? met : not_met;
    v.framework = state == met;
    say("framework is " + list(p.frameworks), state);
  }
  if (p.min_tp > 1) {
    const condition_state state = w.tp ? (*w.tp >= p.min_tp ? met : not_met) : collective_ran && p.min_tp == 2 ? met : unknown;
    say("tp_size >= " + std::to_string(p.min_tp) + (w.tp ? " (it is " + std::to_string(*w.tp) + ")" : state == met ? " (a collective ran)" : ""), state);
  }
  const auto in_model = [&](std::string_view pieces) {
    bool found = false;
    text::split(pieces, '|', [&](std::string_view piece) { found = found || (!piece.empty() && w.model.find(text::lower(piece)) != std::string::npos); });
    return found;
  };
  if (!p.model_any.empty()) say("model is " + list(p.model_any), w.model.empty() ? unknown : in_model(p.model_any) ? met : not_met);
  if (!p.model_none.empty()) say("model is not " + list(p.model_none), w.model.empty() ? unknown : in_model(p.model_none) ? not_met : met);
  const bool refused = v.refused, open = v.open;
  if (!p.platform.empty()) say("platform is " + p.platform, w.platform.empty() ? unknown : w.platform == p.platform ? met : not_met);
  if (!v.refused || refused) v.open = open;          // the platform alone, unknown, leaves nothing open
  // Flags explain; they refuse nothing: "is off" is what the reader can change.
  text::split(p.toggles, '|', [&](std::string_view toggle) {
    toggle = text::trim(toggle);
    const bool prevents = toggle.starts_with('!'), selects = toggle.starts_with('=');
    if (prevents || selects) toggle.remove_prefix(1);
    if (toggle.empty()) return;
    const flag_state f = args == nullptr ? flag_state::unknown : flag_of(*args, toggle);
    if (f == flag_state::unknown) {
      if (!prevents && !selects) v.conditions.emplace_back(std::string(toggle) + " is not told", unknown);
    } else if (selects) {
      v.conditions.emplace_back(std::string(toggle) + " is " + text::printable(*find_arg(*args, toggle), 64), met);
    } else {
      v.conditions.emplace_back(std::string(toggle) + (f == flag_state::on ? " is on" : " is off"), (f == flag_state::on) != prevents ? met : not_met);
    }
  });
  return v;
}

// ---- rows -----------------------------------------------------------------------------------------------------------------------------

inline std::string whole_percent(double v) { return std::to_string(static_cast<long long>(v + 0.5)); }

class fuser {
 public:
  fuser(const subject& s, stage at, const fuse_options& o)
      : s_(s), o_(o), seq_(sequence_of(s, at)), world_(world_of(s, o)), claimed_fused_(seq_.tokens.size()), claimed_split_(seq_.tokens.size()) {
    out_.at = at;
  }

  fusion_table run() {
    if (seq_.tokens.empty()) return std::move(out_);
    word_list words;
    std::vector<compiled_pattern> patterns;
    for (const fuse_pattern& p : o_.patterns)
      if (p.chain.size() <= longest_chain) patterns.push_back(compile_pattern(p, words));
    // Larger first, so that what they claim is not said again by smaller ones.
    sort_in_place(patterns, [](const compiled_pattern& a, const compiled_pattern& b) {
      if (a.row->low != b.row->low) return b.row->low;
      if (a.row->priority != b.row->priority) return a.row->priority > b.row->priority;
      return a.row->chain.size() != b.row->chain.size() ? a.row->chain.size() > b.row->chain.size() : a.row < b.row;
    });
    token_words told(s_, seq_, words);
    std::vector<std::uint8_t> mask(seq_.tokens.size());
    for (const compiled_pattern& c : patterns) {
      find_fused(c, told);
      const std::size_t groups = c.row->chain.size();
      if (groups < 2 || has_piece(suppressed_, c.row->id)) continue;
      mask.assign(seq_.tokens.size(), 0);
      std::uint8_t seen = 0;
      bool collective = false;
      for (std::size_t g = 0; g < groups; ++g)
        members(c, g + 1, told).each([&](std::uint32_t t) {
          mask[t] = static_cast<std::uint8_t>(mask[t] | 1u << g);
          seen |= mask[t];
          collective = collective || s_.identities[seq_.tokens[t].identity].is.what == family::comm;
        });
      find_split(c, mask, seen, collective);
    }
    finish();
    return std::move(out_);
  }

 private:
  struct hint {
    int level = 0;                                     // 3 high, 2 medium, 1 low
    double share = 0;
    std::string text;
  };

  static token_set members(const compiled_pattern& c, std::size_t group, token_words& told) {
    token_set out = told.any(c.any[group]);
    if (!c.none[group].empty()) out.remove(told.any(c.none[group]));
    return out;
  }

  void find_fused(const compiled_pattern& c, token_words& told) {
    if (c.any[0].empty()) return;
    std::vector<std::uint32_t> tokens;
    nanoseconds time{};
    std::uint64_t launches = 0;
    bool fresh = false;
    members(c, 0, told).each([&](std::uint32_t t) {
      tokens.push_back(t), time += seq_.tokens[t].time, launches += seq_.tokens[t].launches;
      fresh = fresh || !claimed_fused_[t];
    });
    if (tokens.empty() || !fresh) return;
    verdict v = judge(*c.row, world_, false, o_.args);
    // The kernel ran, whatever the model or the parallelism: only another framework's name is no evidence.
    if (!v.framework && !world_.framework.empty()) return;
    for (const std::uint32_t t : tokens) claimed_fused_[t] = true;
    fusion_row row = start(c, fusion_state::already_fused, time);
    if (row.share < c.row->min_share) return;
    row.confidence = c.row->low ? "low" : v.framework ? "confirmed" : "candidate";
    row.conditions = std::move(v.conditions);
    row.rationale = c.row->what.empty() ? "runs as one kernel" : c.row->what + " run as one kernel";
    row.rationale.append(", ").append(std::to_string(launches)).append(launches == 1 ? " launch" : " launches");
    if (!v.framework) row.rationale += "; the framework is not known";
    add(std::move(row), tokens);
  }

  void find_split(const compiled_pattern& c, const std::vector<std::uint8_t>& mask, std::uint8_t seen, bool collective) {
    const fuse_pattern& p = *c.row;
    const std::size_t groups = p.chain.size();
    std::size_t present = 0;
    for (std::size_t g = 0; g < groups; ++g) present += static_cast<unsigned>(seen) >> g & 1u;
    if (present < 2) return;
    if (present < groups) {                             // not all: only a likeness
      std::vector<std::uint8_t> rest(mask.size());
      for (std::size_t t = 0; t < mask.size(); ++t)
        for (std::size_t g = 0, to = 0; g < groups; ++g)
          if ((seen >> g & 1) != 0) rest[t] = static_cast<std::uint8_t>(rest[t] | (mask[t] >> g & 1) << to++);
      return like(p, walk_chain(s_, seq_, rest, present), present, present + 1 == groups ? 2 : 1, judge(p, world_, collective, o_.args), mask);
    }
    const chain_walk w = walk_chain(s_, seq_, mask, groups);
    verdict v = judge(p, world_, collective, o_.args);
    const double adjacency = w.adjacency(groups), share = tables::percent(w.saving.gone, seq_.total);
    if (w.complete < o_.min_repetitions || adjacency < o_.min_adjacency || v.refused || v.open) return like(p, w, groups, 3, v, mask);
    if (share < p.min_share) return;
    std::vector<std::uint32_t> tokens;
    bool fresh = false;
    for (std::uint32_t t = 0; t < w.taken.size(); ++t)
      if (w.taken[t]) tokens.push_back(t), fresh = fresh || !claimed_split_[t];
    if (!fresh) return;                                 // the same kernels as a larger pattern: not a second finding
    for (const std::uint32_t t : tokens) claimed_split_[t] = true;
    suppressed_.append(suppressed_.empty() ? "" : "|").append(p.suppresses);
    fusion_row row = start(c, fusion_state::opportunity, w.saving.gone);
    bool all_met = true;
    for (const auto& [text, state] : v.conditions) all_met = all_met && (state == condition_state::met || text.ends_with(" is off") || text.ends_with(" is not told"));
    row.confidence = p.low ? "low" : all_met && share >= p.confirmed_share ? "confirmed" : "candidate";
    row.conditions = std::move(v.conditions);
    row.adjacency = adjacency, row.repetitions = w.repetitions(groups);
    if (w.gain_in_steps.ns > 0) row.gain_per_step = w.gain_in_steps / static_cast<std::int64_t>(seq_.steps);
    std::size_t longest = 0;
    for (std::size_t g = 1; g < groups; ++g)
      if (w.by_group[g] > w.by_group[longest]) longest = g;
    row.rationale = p.what.empty() ? "one kernel can do this" : p.what + " can be one kernel";
    row.rationale.append("; here ").append(std::to_string(groups)).append(" follow each other on one stream in ").append(std::to_string((std::min)(w.complete, row.repetitions)));
    row.rationale.append(" of ").append(std::to_string(row.repetitions)).append(" repetitions");
    if (w.with_copy != 0) row.rationale.append(", with a copy between them in ").append(std::to_string((std::min)(w.with_copy, row.repetitions)));
    for (const auto& [text, state] : row.conditions)
      if (state == condition_state::not_met || text.ends_with(" is on")) row.rationale.append("; ").append(text);
    if (p.source.starts_with("in-flight")) row.rationale.append("; known from a pull request, ").append(p.source);
    add(std::move(row), tokens);
  }

  fusion_row start(const compiled_pattern& c, fusion_state state, nanoseconds related) const {
    return {.at = out_.at, .id = c.row->id, .pattern = c.row->name, .state = state, .confidence = {}, .related = related, .share = tables::percent(related, seq_.total),
            .evidence = {}, .locations = {}, .candidate = c.row->candidate, .rationale = {}, .adjacency = {}, .repetitions = 0, .gain_per_step = {}, .conditions = {}};
  }

  std::string name(std::uint32_t token) const {
    const auto& t = seq_.tokens[token];
    if (t.identity >= s_.identities.size()) return "(not known)";
    const identity& i = s_.identities[t.identity];
    return !i.short_name.empty() ? i.short_name : !i.canonical.empty() ? i.canonical : std::string(s_.trace->name(i.raw));
  }

  void add(fusion_row row, std::vector<std::uint32_t>& tokens) {
    if (row.share < o_.min_share) {
      ++out_.hidden_rows;
      return;
    }
    sort_in_place(tokens, [&](std::uint32_t a, std::uint32_t b) {
      return seq_.tokens[a].time != seq_.tokens[b].time ? seq_.tokens[a].time > seq_.tokens[b].time : a < b;
    });
    for (const std::uint32_t t : tokens) {
      const std::string kernel = name(t);
      const double share = tables::percent(seq_.tokens[t].time, seq_.total);
      bool there = false;
      for (auto& [known, sum] : row.evidence)
        if (known == kernel) sum += share, there = true;
      if (!there && row.evidence.size() < 3) row.evidence.emplace_back(kernel, share);
      if (seq_.tokens[t].site >= s_.map.sites.size() || row.locations.size() == 4) continue;
      const std::string_view where = s_.map.sites.text(s_.map.sites[seq_.tokens[t].site].location);
      there = where.empty();
      for (const std::string& known : row.locations) there = there || known == where;
      if (!there) row.locations.emplace_back(where);
    }
    out_.rows.push_back(std::move(row));
  }

  // The strongest likeness that is no finding: high, every group is there and adjacent, but a condition is not met or not known; medium, all but one, adjacent;
  // low, at least two, not adjacent. `level`: what it is when the groups that are there are adjacent.
  void like(const fuse_pattern& p, const chain_walk& w, std::size_t groups, int level, const verdict& v, const std::vector<std::uint8_t>& mask) {
    const bool adjacent = w.complete >= o_.min_repetitions && w.adjacency(groups) >= o_.min_adjacency;
    hint h{.level = adjacent ? level : 1, .share = 0, .text = {}};
    if (h.level == 3 && !v.refused && !v.open) return;
    if (h.level < 3 && (v.refused || v.open)) return;   // neither the kernels nor the conditions: nothing to say
    nanoseconds time{};
    for (std::size_t t = 0; t < mask.size(); ++t)
      if (mask[t] != 0) time += seq_.tokens[t].time;
    h.share = tables::percent(h.level == 1 ? time : w.saving.gone, seq_.total);
    if (h.share < (std::max)(p.min_share, o_.min_share) || h.level < best_.level || (h.level == best_.level && h.share <= best_.share)) return;
    h.text = p.id + " " + p.name + ": ";
    if (h.level == 3) h.text.append("its kernels follow each other in ").append(whole_percent(w.adjacency(groups))).append(" % of the repetitions, but a condition is not met or not known: ").append(v.why);
    else if (h.level == 2) h.text.append("all but one of its kernels follow each other in ").append(whole_percent(w.adjacency(groups))).append(" % of the repetitions");
    else h.text.append(std::to_string(groups)).append(" of its kernels run in this stage and follow each other in ").append(std::to_string(w.complete)).append(" of ").append(std::to_string(w.repetitions(groups))).append(" repetitions");
    best_ = std::move(h);
  }

  void finish() {
    bool found = false;
    for (const fusion_row& r : out_.rows) found = found || r.state == fusion_state::opportunity;
    if (!found && best_.level > 0) out_.similarity = {best_.level == 3 ? "high" : best_.level == 2 ? "medium" : "low", std::move(best_.text)};
    sort_in_place(out_.rows, [](const fusion_row& a, const fusion_row& b) {
      if (a.state != b.state) return a.state == fusion_state::opportunity;
      const nanoseconds x = a.gain_per_step.value_or(nanoseconds{}), y = b.gain_per_step.value_or(nanoseconds{});
      if (x != y) return x > y;
      return a.related != b.related ? a.related > b.related : a.id < b.id;
    });
    if (o_.chains == 0) return;
    for (const chain& c : find_chains(s_, seq_, {.min_repetitions = (std::max)(o_.min_repetitions, std::uint64_t{4}), .min_adjacency = o_.min_adjacency, .min_share = o_.min_share, .limit = 4 * o_.chains})) {
      bool known = true;
      for (const std::uint32_t t : c.tokens) known = known && claimed_split_[t];
      if (known || out_.chains.size() == o_.chains) continue;
      kernel_chain k;
      for (const std::uint32_t t : c.tokens) k.kernels.push_back(name(t));
      if (const std::uint32_t site = seq_.tokens[c.tokens.front()].site; site < s_.map.sites.size()) k.location = s_.map.sites.text(s_.map.sites[site].location);
      k.related = c.saving.gone, k.share = tables::percent(c.saving.gone, seq_.total), k.adjacency = (std::min)(c.adjacency, 100.0), k.repetitions = c.repetitions;
      if (c.gain_in_steps.ns > 0) k.gain_per_step = c.gain_in_steps / static_cast<std::int64_t>(seq_.steps);
      out_.chains.push_back(std::move(k));
    }
  }

  const subject& s_;
  const fuse_options& o_;
  const sequence seq_;
  const world world_;
  std::vector<bool> claimed_fused_, claimed_split_;    // by token: kernels of a row that is there already
  std::string suppressed_;
  hint best_;
  fusion_table out_;
};

}  // namespace detail

HOTPATH_FN std::span<const fuse_pattern> builtin_patterns() {
  static const std::vector<fuse_pattern> all = [] {
    std::vector<fuse_pattern> out;
    for (const detail::fuse_row& r : detail::fuse_rows) {
      fuse_pattern p{.id = std::string(r.id), .name = std::string(r.name), .frameworks = std::string(r.frameworks), .platform = std::string(r.platform), .min_tp = r.min_tp,
                     .model_any = std::string(r.model_any), .model_none = std::string(r.model_none), .suppresses = std::string(r.suppresses), .priority = r.priority,
                     .min_share = r.min_share, .confirmed_share = r.confirmed_share, .low = !r.id.starts_with('F'), .what = std::string(r.what),
                     .candidate = std::string(r.candidate), .source = std::string(r.source)};
      detail::split_words(r.fused, p.fused, p.fused_none);
      if (!r.chain.empty())
        text::split(r.chain, '>', [&](std::string_view group) {
          fuse_group g;
          detail::split_words(group, g.any, g.none);
          p.chain.push_back(std::move(g));
        });
      for (const detail::fuse_toggle& t : detail::fuse_toggles) {
        if (t.effect == detail::toggle_effect::shapes || !detail::has_piece(t.patterns, r.id)) continue;
        p.toggles.append(p.toggles.empty() ? "" : "|").append(t.effect == detail::toggle_effect::prevents ? "!" : t.effect == detail::toggle_effect::selects ? "=" : "").append(t.name);
      }
      out.push_back(std::move(p));
    }
    return out;
  }();
  return all;
}

HOTPATH_FN fusion_table fuse(const subject& s, stage at, const fuse_options& options) {
  if (s.trace == nullptr) return {.at = at, .rows = {}, .chains = {}, .hidden_rows = 0, .similarity = {}};
  return detail::fuser(s, at, options).run();
}

HOTPATH_FN result<std::vector<fuse_pattern>> parse_patterns(std::string_view json) {
  using json::kind;
  constexpr std::size_t most = 10'000;
  constexpr double own_priority = 1000;                // above all that are built in: who writes a pattern wants to see it
  std::vector<fuse_pattern> mine;
  bool replace = false;
  std::string bad;                                      // the first thing that is wrong
  json::reader in(json);
  const auto fail = [&](std::string what) {
    if (bad.empty()) bad = "pattern " + std::to_string(mine.size() + 1) + ": " + std::move(what);
  };
  const auto words = [&](std::string_view key, std::string& out) {   // a text, or a list of alternatives
    std::string_view v;
    const auto add = [&] {
      if (!in.string(v)) fail("\"" + std::string(key) + "\" wants a text or a list of texts");
      else out.append(out.empty() ? "" : "|").append(v);
    };
    if (in.peek() == kind::array) in.array(add);
    else add();
  };
  const auto number = [&](std::string_view key, double& out) {
    if (!in.number(out)) fail("\"" + std::string(key) + "\" wants a number");
  };
  const auto pattern = [&] {
    fuse_pattern p;
    double tp = 1, priority = own_priority;
    if (in.peek() != kind::object) return fail("want an object");
    in.object([&](std::string_view key) {
      const std::pair<std::string_view, std::string*> texts[] = {
          {"id", &p.id}, {"name", &p.name}, {"frameworks", &p.frameworks}, {"fused", &p.fused}, {"fused_none", &p.fused_none}, {"platform", &p.platform},
          {"model_any", &p.model_any}, {"model_none", &p.model_none}, {"toggles", &p.toggles}, {"suppresses", &p.suppresses}, {"what", &p.what},
          {"candidate", &p.candidate}, {"source", &p.source}};
      for (const auto& [name, to] : texts)
        if (key == name) return words(name, *to);
      if (key == "min_tp") number(key, tp);
      else if (key == "priority") number(key, priority);
      else if (key == "min_share") number(key, p.min_share);
      else if (key == "confirmed_share") number(key, p.confirmed_share);
      else if (key == "low") {
        if (!in.boolean(p.low)) fail("\"low\" wants true or false");
      } else if (key == "chain") {
        if (in.peek() != kind::array) return fail("\"chain\" wants a list");
        in.array([&] {
          fuse_group g;
          if (in.peek() != kind::object) return words("chain", g.any), p.chain.push_back(std::move(g));
          in.object([&](std::string_view part) {
            if (part == "any") words("any", g.any);
            else if (part == "none") words("none", g.none);
            else fail("unknown member \"" + text::printable(part, 64) + "\" of a group, want any or none");
          });
          p.chain.push_back(std::move(g));
        });
      } else {
        fail("unknown member \"" + text::printable(key, 64) + "\"");
      }
    });
    if (!(tp >= 1 && tp <= 1e6)) fail("min_tp must be from 1 to 1000000");
    if (!(priority >= -1e6 && priority <= 1e6)) fail("priority must be from -1000000 to 1000000");
    p.min_tp = static_cast<int>(tp >= 1 && tp <= 1e6 ? tp : 1), p.priority = static_cast<int>(priority >= -1e6 && priority <= 1e6 ? priority : 0);
    if (p.id.empty()) fail("it has no id");
    for (const fuse_pattern& other : mine)
      if (other.id == p.id) fail("the id " + text::printable(p.id, 64) + " is there twice");
    if (p.fused.empty() && p.chain.empty()) fail("neither \"fused\" nor \"chain\" has words");
    if (p.chain.size() > detail::longest_chain) fail("a chain has at most " + std::to_string(detail::longest_chain) + " groups");
    detail::word_list list;
    detail::fuse_terms terms;
    std::string fault;
    const auto check = [&](std::string_view text, bool wanted) {
      fault.clear();
      if (wanted && text::trim(text).empty()) fail("a group of the chain has no words");
      else if (!detail::compile_words(text, list, terms, &fault)) fail("\"" + text::printable(fault, 64) + "\" is no word, or no family follows is:");
    };
    check(p.fused, false), check(p.fused_none, false);
    for (const fuse_group& g : p.chain) check(g.any, true), check(g.none, false);
    if (p.name.empty()) p.name = p.id;
    if (mine.size() >= most) fail("at most " + std::to_string(most) + " patterns");
    else mine.push_back(std::move(p));
  };
  if (in.peek() == kind::array) {
    in.array(pattern);
  } else if (in.peek() == kind::object) {
    in.object([&](std::string_view key) {
      if (key == "patterns" && in.peek() == kind::array) in.array(pattern);
      else if (key == "replace" && in.boolean(replace)) {}
      else if (key != "schema" && bad.empty()) bad = "unknown member \"" + text::printable(key, 64) + "\", want \"patterns\": [..] and \"replace\": true or false";
    });
  } else if (in.ok()) {
    return error{.code = errc::malformed, .detail = "want {\"patterns\": [..]}"};
  }
  if (!in.finish()) return in.failure();
  if (!bad.empty()) return error{.code = errc::malformed, .detail = std::move(bad)};
  if (replace) return mine;
  std::vector<fuse_pattern> all;
  for (const fuse_pattern& p : builtin_patterns()) {
    bool replaced = false;
    for (const fuse_pattern& m : mine) replaced = replaced || m.id == p.id;
    if (!replaced) all.push_back(p);
  }
  for (fuse_pattern& m : mine) all.push_back(std::move(m));
  return all;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
