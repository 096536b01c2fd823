// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/map-inl.hpp - bodies of map.hpp.
#pragma once
#include <string>
#include <utility>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/detail/on_track.hpp>
#include <hotpath/kernel/frame_site.hpp>
#include <hotpath/kernel/map.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace maps {
using hotpath::detail::id_index;
using model::call_kind;
using model::call_kinds;

// Kernel names of several timelines as numbers that agree when the canonical names do.
class name_join {
 public:
  static constexpr std::uint32_t copy = 1, set = 2;
  name_join() : names_({.bytes = SIZE_MAX, .distinct = SIZE_MAX}) { names_.intern("\1copy"), names_.intern("\1set"); }
  std::uint32_t of(const model::timeline& t, name_id n, std::vector<std::uint32_t>& known) {
    if (known.size() < t.names.size()) known.resize(t.names.size(), no_index);
    if (known[n] == no_index) known[n] = names_.intern(canonical_name(t.name(n)));
    return known[n];
  }

 private:
  name_table names_;
};

// Operators and frames of one timeline at one moment of one thread.
class resolver {
  std::uint64_t external_hash(std::uint32_t op) const { return hotpath::detail::id_hash(t_.process_of(t_.ops[op].track), t_.ops[op].external); }
  auto has_external(std::uint16_t process, std::uint64_t external) const {
    return [this, process, external](std::uint32_t op) { return t_.ops[op].external == external && t_.process_of(t_.ops[op].track) == process; };
  }

 public:
  resolver(const model::timeline& t, site_table& sites) : t_(t), sites_(sites), frames_(t.frames), ops_(t.ops), marks_(t.annotations) {
    chains_.push_back({});                               // 0: no frame worth showing
    next_op_.assign(t.ops.size(), no_index);
    for (std::uint32_t i = 0; i < t.ops.size(); ++i) {
      if (t.ops[i].external == model::no_id) continue;
      std::uint32_t& last = by_external_.insert(external_hash(i), i, has_external(t.process_of(t.ops[i].track), t.ops[i].external), [this](std::uint32_t o) { return external_hash(o); });
      if (last != i) next_op_[i] = std::exchange(last, i);
    }
  }

  // The operator with the id. Of several: the innermost that holds the launch; else the one that ended last before the event began, else the nearest.
  std::uint32_t op_with(std::uint16_t process, std::uint64_t external, const model::api_call* launch, nanoseconds begin) const {
    std::uint32_t best = external == model::no_id ? no_index : by_external_.find(hotpath::detail::id_hash(process, external), has_external(process, external));
    if (best == no_index || next_op_[best] == no_index) return best;
    nanoseconds best_away{INT64_MAX};
    unsigned looked = 0;
    for (std::uint32_t i = best; i != no_index && looked < 64; i = next_op_[i], ++looked) {
      const model::cpu_op& o = t_.ops[i];
      const bool holds = launch != nullptr && o.track == launch->track && o.begin <= launch->begin && o.end() >= launch->begin;
      const bool before = o.begin <= begin;
      constexpr nanoseconds around{INT64_MAX / 2}, later{INT64_MAX / 4};   // an operator around the launch before any other, one that begins later behind any other
      const nanoseconds away = holds ? launch->begin - o.begin - around : before ? begin - o.end() : o.begin - begin + later;
      if (away < best_away) best_away = away, best = i;
    }
    return best;
  }
  // The innermost operator around a moment of a thread.
  std::uint32_t op_around(std::uint32_t track, nanoseconds when) {
    if (parents_.size() != t_.ops.size()) find_parents();
    return ops_.around(track, when, [this](std::uint32_t i) { return parents_[i]; });
  }
  // The site of a launch: the operator's name (0: none) and the frames at that moment. no_index: neither is known.
  std::uint32_t site_at(name_id op, std::uint32_t track, nanoseconds when) {
    const std::uint32_t c = track == no_index ? 0 : chain_at(track, when);
    if (op == 0 && c == 0) return no_index;
    return sites_.intern(site_of(op, chains_[c]));
  }
  // Of a host call: its External id, else what is around it.
  name_id op_of_call(const model::api_call& c) {
    std::uint32_t op = op_with(t_.process_of(c.track), c.external, &c, c.begin);
    if (op == no_index) op = op_around(c.track, c.begin);
    return op != no_index ? t_.ops[op].name : t_.ops.empty() ? range_around(c.track, c.begin) : name_id{0};
  }
  std::uint32_t site_of_call(const model::api_call& c) { return site_at(op_of_call(c), c.track, c.begin); }
  const model::timeline& trace() const { return t_; }

 private:
  // What the frames active at a launch come to.
  struct chain { std::uint32_t around = no_index; name_id best = 0; int priority = 0; name_id stack[4] = {}; };   // stack: the innermost last

  std::uint32_t chain_at(std::uint32_t track, nanoseconds when) {
    std::uint32_t f = frames_.around(track, when, [this](std::uint32_t i) { return outer(i); });
    if (f == no_index) return 0;
    if (chain_of_.empty()) chain_of_.assign(t_.frames.size(), no_index), priority_.assign(t_.names.size(), unknown);
    path_.clear();
    for (; f != no_index && chain_of_[f] == no_index; f = outer(f)) path_.push_back(f);
    std::uint32_t c = f == no_index ? 0 : chain_of_[f];
    while (!path_.empty()) {                              // from the outermost frame that is new, inwards
      chain_of_[path_.back()] = c = with_frame(c, t_.frames[path_.back()].name);
      path_.pop_back();
    }
    return c;
  }
  std::uint32_t outer(std::uint32_t f) const { return t_.frames[f].parent < f ? t_.frames[f].parent : no_index; }
  std::uint32_t with_frame(std::uint32_t around, name_id name) {
    if (priority_[name] == unknown) priority_[name] = static_cast<std::int16_t>(frame_priority(t_.name(name)));
    const int priority = priority_[name];
    if (priority <= 0) return around;
    const auto hash = [](std::uint32_t outer_chain, name_id frame) { return hotpath::detail::mix(outer_chain, frame); };
    const auto next = static_cast<std::uint32_t>(chains_.size());
    const std::uint32_t at = by_frame_.insert(hash(around, name), next, [&](std::uint32_t c) { return chains_[c].around == around && chains_[c].stack[3] == name; },
                                              [&](std::uint32_t c) { return hash(chains_[c].around, chains_[c].stack[3]); });
    if (at != next) return at;
    chain c = chains_[around];
    c.around = around;
    if (priority >= c.priority) c.best = name, c.priority = priority;   // of equal ones the innermost
    c.stack[0] = c.stack[1], c.stack[1] = c.stack[2], c.stack[2] = c.stack[3], c.stack[3] = name;
    chains_.push_back(c);
    return at;
  }
  // What of a name is shown, among the sites' texts: made once. 0: nothing.
  template <class Shown>
  name_id once(std::vector<std::uint32_t>& texts, name_id name, Shown shown) {
    if (name == 0) return 0;
    if (texts.size() != t_.names.size()) texts.assign(t_.names.size(), no_index);
    if (texts[name] == no_index) texts[name] = sites_.text(shown(t_.name(name)));
    return texts[name];
  }
  name_id text_of(name_id frame) { return once(text_of_, frame, frame_location); }
  // The ranges that torch's emit_nvtx() makes of operators have numbers of the call in their names: "aten::mm, seq = 4, op_id = 12".
  static std::string_view without_numbers(std::string_view op) {
    const std::size_t at = (std::min)(op.find(", seq = "), op.find(", op_id = "));
    return op.substr(0, at);
  }
  site site_of(name_id op, const chain& c) {
    site s{.cpu_op = once(op_text_of_, op, without_numbers), .location = text_of(c.best), .priority = c.priority};
    for (int i = 0; i < 4; ++i) s.stack[i] = text_of(c.stack[i]);
    return s;
  }
  // A trace without operators (nsys): the innermost range that the program named, but a step's.
  name_id range_around(std::uint32_t track, nanoseconds when) {
    std::uint32_t i = marks_.last_before(track, when);
    for (unsigned looked = 0; i != no_index && looked < 64; ++looked) {
      const model::annotation& a = t_.annotations[i];
      if (a.track != track) break;
      if (a.end() >= when && a.duration.ns > 0 && parse_annotation(t_.name(a.name)).is == annotation_is::nothing_known) return a.name;
      i = i == 0 ? no_index : i - 1;
    }
    return 0;
  }
  void find_parents() {
    parents_.assign(t_.ops.size(), no_index);
    for (std::size_t i = 1; i < t_.ops.size(); ++i) {
      std::uint32_t around = t_.ops[i - 1].track == t_.ops[i].track ? static_cast<std::uint32_t>(i - 1) : no_index;
      while (around != no_index && t_.ops[around].end() < t_.ops[i].end()) around = parents_[around];
      parents_[i] = around;
    }
  }

  static constexpr std::int16_t unknown = INT16_MIN;
  const model::timeline& t_;
  site_table& sites_;
  detail::on_track<model::frame> frames_;
  detail::on_track<model::cpu_op> ops_;
  detail::on_track<model::annotation> marks_;
  hotpath::detail::row_index by_external_, by_frame_;
  std::vector<std::uint32_t> next_op_, parents_, chain_of_, path_, text_of_, op_text_of_;
  std::vector<std::int16_t> priority_;
  std::vector<chain> chains_;
};

// ---- graphs ------------------------------------------------------------------------------------------------------------------

// A launch that a graph took in while it was captured.
struct node { std::uint32_t name = 0, call = 0, detail = 0; call_kind kind = call_kind::kernel; };   // name: in name_join; 0: not told
struct captured {                                 // one graph
  std::size_t source = 0;                         // index of its timeline
  std::vector<node> nodes = {};
  std::optional<std::int64_t> batch = {};         // of capture_<n>_<mode>
  std::uint32_t ordinal = 0;                      // among the graphs of one capture: piecewise captures have many
  bool named = true;                              // every kernel's name is told
};
struct capture_range { std::uint32_t track = 0; nanoseconds begin{}, end{}; std::optional<std::int64_t> batch; std::uint32_t graphs = 0; };

inline void end_graph(std::vector<captured>& out, captured& g, std::vector<capture_range>& ranges, std::uint32_t track, nanoseconds began) {
  if (g.nodes.empty()) return;
  // Ranges have the order (track, begin) of annotations; captures do not nest.
  capture_range* const behind = find_first_not(ranges.data(), ranges.data() + ranges.size(), [&](const capture_range& r) { return r.track < track || (r.track == track && r.begin <= began); });
  if (behind != ranges.data())
    if (capture_range& r = behind[-1]; r.track == track && began <= r.end) g.batch = r.batch, g.ordinal = r.graphs++;
  for (const node& n : g.nodes) g.named = g.named && n.name != 0;
  out.push_back(std::move(g));
}

// Between the calls that begin and end a capture; where those were not recorded, within the annotation capture_<n>_<mode>.
inline void find_captured(const model::timeline& t, std::size_t source, name_join& join, std::vector<captured>& out) {
  std::vector<capture_range> ranges;
  for (const model::annotation& a : t.annotations) {
    if (a.kind == model::annotation_kind::gpu_user || a.duration.ns <= 0) continue;
    if (const annotation_facts f = parse_annotation(t.name(a.name)); f.is == annotation_is::capture) ranges.push_back({a.track, a.begin, a.end(), f.requests});
  }
  std::vector<std::uint32_t> known;
  call_kinds kind_of(t);
  const auto add = [&](captured& g, std::size_t i, call_kind kind) {
    const model::api_call& c = t.api[i];
    if (kind != call_kind::kernel && kind != call_kind::copy && kind != call_kind::set) return;
    if (!g.nodes.empty() && t.api[g.nodes.back().call].end() > c.begin) return;   // a driver call within the runtime's
    const std::uint32_t name = kind == call_kind::copy ? name_join::copy : kind == call_kind::set ? name_join::set : c.kernel != 0 ? join.of(t, c.kernel, known) : 0;
    g.nodes.push_back({name, static_cast<std::uint32_t>(i), c.detail, kind});
  };
  captured graph;      // being captured while `open`; no optional: g++ 12 at -O3 takes its content for uninitialized
  bool open = false;
  nanoseconds began{};
  for (std::size_t i = 0; i < t.api.size(); ++i) {
    const call_kind kind = kind_of(t.api[i].name);
    if (open && (kind == call_kind::end_capture || kind == call_kind::begin_capture || t.api[i].track != t.api[i - 1].track)) {
      end_graph(out, graph, ranges, t.api[i - 1].track, began);
      open = false;
    }
    if (kind == call_kind::begin_capture) graph = captured{.source = source}, began = t.api[i].begin, open = true;
    else if (open) add(graph, i, kind);
  }
  if (open) end_graph(out, graph, ranges, t.api.back().track, began);
  std::size_t left = 4 * t.api.size();   // ranges of captures do not nest; where some do, a call may be in a few
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    if (ranges[r].graphs != 0) continue;
    captured g{.source = source};
    const model::api_call* const first = find_first_not(t.api.begin(), t.api.end(), [&at = ranges[r]](const model::api_call& c) {
      return c.track < at.track || (c.track == at.track && c.begin < at.begin);
    });
    for (std::size_t i = static_cast<std::size_t>(first - t.api.begin()); i < t.api.size() && t.api[i].track == ranges[r].track && t.api[i].begin <= ranges[r].end && left != 0; ++i, --left) add(g, i, kind_of(t.api[i].name));
    end_graph(out, g, ranges, ranges[r].track, ranges[r].begin);
  }
}

// Pairs of equal elements, in order, with at most `limit` elements of both left out (Myers, "An O(ND) difference algorithm", 1986).
// pair[i]: index in b, or no_index. False: they differ in more.
template <class Equal>
bool align(std::size_t n, std::size_t m, std::size_t limit, Equal equal, std::vector<std::uint32_t>& pair) {
  pair.assign(n, no_index);
  const std::int64_t N = static_cast<std::int64_t>(n), M = static_cast<std::int64_t>(m), D = static_cast<std::int64_t>(limit);
  if ((N > M ? N - M : M - N) > D) return false;
  std::vector<std::vector<std::int64_t>> rounds;          // furthest x by diagonal, one row per round
  std::vector<std::int64_t> v(static_cast<std::size_t>(2 * D + 3), 0);
  const auto at = [&](std::vector<std::int64_t>& row, std::int64_t k) -> std::int64_t& { return row[static_cast<std::size_t>(k + D + 1)]; };
  for (std::int64_t d = 0; d <= D; ++d) {
    rounds.push_back(v);
    for (std::int64_t k = -d; k <= d; k += 2) {
      std::int64_t x = k == -d || (k != d && at(v, k - 1) < at(v, k + 1)) ? at(v, k + 1) : at(v, k - 1) + 1;
      while (x < N && x - k < M && x - k >= 0 && equal(static_cast<std::size_t>(x), static_cast<std::size_t>(x - k))) ++x;
      at(v, k) = x;
      if (x < N || x - k < M) continue;
      for (std::int64_t y = x - k; d >= 0; --d) {         // back along the path that got here
        std::vector<std::int64_t>& before = rounds[static_cast<std::size_t>(d)];
        const std::int64_t kk = x - y;
        const bool down = kk == -d || (kk != d && at(before, kk - 1) < at(before, kk + 1));
        const std::int64_t from = d == 0 ? 0 : down ? at(before, kk + 1) : at(before, kk - 1) + 1;   // where this round's run of equal ones began
        while (x > from) --x, --y, pair[static_cast<std::size_t>(x)] = static_cast<std::uint32_t>(y);
        if (d == 0) break;
        if (down) --y;
        else --x;
      }
      return true;
    }
  }
  return false;
}

// What the events of one graph launch come to; equal launches share it.
struct joined {
  std::vector<std::uint32_t> names;               // of the events, in the graph's order
  std::vector<std::uint32_t> sites;               // by event; no_index: not joined
  bool by_position = false;                       // the capture tells no names
};
struct replay {
  std::uint32_t first = 0, last = 0;              // in the list of events
  std::uint32_t step = no_index;
  std::uint32_t ordinal = 0;                      // among the step's graph launches
  bool by_node = false;                           // its events stand in the order of the graph's nodes, not in that of time
};

// Aligns graph launches with captured graphs.
class graph_joiner {
 public:
  // Sources in the order of captured::source.
  graph_joiner(const model::timeline& t, const std::vector<captured>& graphs, const std::vector<resolver*>& sources, name_join& join) : t_(t), graphs_(graphs), sources_(sources), join_(join) {}

  // `events`: indices of GPU events of one launch. `batch`: requests of its step, where known.
  const joined& find(std::span<const std::uint32_t> events, const replay& r, std::optional<std::int64_t> batch) {
    using hotpath::detail::mix;
    names_.clear();
    one_order_ = r.by_node;
    if (!r.by_node) {
      one_order_ = true;
      for (const std::uint32_t e : events) one_order_ = one_order_ && model::lane_of(t_.gpu[e]) == model::lane_of(t_.gpu[events[0]]);
    }
    std::uint64_t hash = mix(static_cast<std::uint64_t>(batch.value_or(-1)), std::uint64_t{r.ordinal} << 1 | one_order_);
    for (const std::uint32_t e : events) {
      names_.push_back(name_of(t_.gpu[e]));
      hash = mix(hash, std::uint64_t{names_.back()} << 32 | t_.gpu[e].detail);
    }
    bool fresh = false;
    const std::uint32_t at = known_.insert(0, hash, static_cast<std::uint32_t>(done_.size()), &fresh);
    if (!fresh && done_[at].names == names_) return done_[at];
    done_.push_back(make(events, batch, r.ordinal));     // of other names with the same 64 bits: made each time
    return done_.back();
  }

 private:
  static constexpr std::size_t most_differences = 64;    // left out on both sides together: some kernels lost, or a warm-up's among them
  static constexpr unsigned most_aligned = 256;          // captures that are compared when none is equal

  std::uint32_t name_of(const model::gpu_event& e) {
    return e.kind == model::gpu_kind::copy ? name_join::copy : e.kind == model::gpu_kind::set ? name_join::set : join_.of(t_, e.name, known_names_);
  }
  // How far the capture's batch size is from the step's: graphs are padded, so that the next larger one is replayed.
  static std::int64_t misfit(const captured& g, std::optional<std::int64_t> batch) {
    if (!g.batch || !batch) return 1 << 20;
    return *g.batch >= *batch ? *g.batch - *batch : (1 << 21) + *batch - *g.batch;
  }
  const model::gpu_detail& shape_of(const captured& g, std::size_t i) const { return sources_[g.source]->trace().details[g.nodes[i].detail]; }
  // 1: grid and block agree; -1: they differ; 0: one of the two does not tell.
  int same_shape(const captured& g, std::size_t i, const model::gpu_event& e) const {
    if (g.nodes[i].detail == 0 || e.detail == 0) return 0;
    const model::gpu_detail &a = shape_of(g, i), &b = t_.details[e.detail];
    if (a.grid[0] == 0 || b.grid[0] == 0) return 0;
    for (int k = 0; k < 3; ++k)
      if (a.grid[k] != b.grid[k] || a.block[k] != b.block[k]) return -1;
    return 1;
  }
  static call_kind kind_of(model::gpu_kind k) { return k == model::gpu_kind::copy ? call_kind::copy : k == model::gpu_kind::set ? call_kind::set : call_kind::kernel; }

  // pair[i]: node of event i. The number of pairs; all or none where the capture tells no names, and when `exactly`.
  std::size_t pair_up(const captured& g, std::span<const std::uint32_t> events, std::optional<std::int64_t> batch, bool exactly, std::vector<std::uint32_t>& pair) const {
    const std::size_t n = events.size(), m = g.nodes.size();
    std::size_t pairs = 0;
    if (g.named && exactly) {
      if (n != m) return 0;
      pair.resize(n);
      for (std::size_t i = 0; i < n; ++i) {
        if (names_[i] != g.nodes[i].name) return 0;
        pair[i] = static_cast<std::uint32_t>(i);
      }
      return n;
    }
    if (!g.named) {
      // No names: as many nodes of the same kinds in the same order on one stream (or in the order of node ids), and shapes or the batch size agree.
      if (n != m || !one_order_) return 0;
      std::size_t agree = 0;
      pair.resize(n);
      for (std::size_t i = 0; i < n; ++i) {
        const model::gpu_event& e = t_.gpu[events[i]];
        const int shape = same_shape(g, i, e);
        if (kind_of(e.kind) != g.nodes[i].kind || shape < 0 || (g.nodes[i].name > name_join::set && g.nodes[i].name != names_[i])) return 0;
        agree += shape > 0 ? 1u : 0u, pair[i] = static_cast<std::uint32_t>(i);
      }
      return agree * 2 >= n || misfit(g, batch) < 1 << 20 ? n : 0;
    }
    // Four of five must agree: else it is another graph.
    if (!align(n, m, (std::min)(most_differences, (n + m) / 5), [&](std::size_t a, std::size_t b) { return names_[a] == g.nodes[b].name; }, pair)) return 0;
    for (const std::uint32_t p : pair) pairs += p != no_index ? 1u : 0u;
    return pairs;
  }
  joined make(std::span<const std::uint32_t> events, std::optional<std::int64_t> batch, std::uint32_t ordinal) {
    joined out{names_, std::vector<std::uint32_t>(events.size(), no_index)};
    const captured* best = nullptr;
    std::vector<std::uint32_t> best_pair, pair;
    std::size_t best_pairs = 0;
    std::int64_t best_fit = 0;
    for (const bool exactly : {true, false}) {
      unsigned aligned = 0;
      for (const captured& g : graphs_) {
        if (g.nodes.size() > events.size() * 2 || events.size() > g.nodes.size() * 2 || (!exactly && (!g.named || ++aligned > most_aligned))) continue;
        const std::size_t pairs = pair_up(g, events, batch, exactly, pair);
        if (pairs < best_pairs || pairs == 0) continue;
        // Among equal ones: shapes that agree, then the batch size, then the place among the pieces of one forward pass.
        std::int64_t fit = misfit(g, batch) * 8 + (g.ordinal == ordinal ? 0 : 1) + (g.named ? 0 : 2);
        for (std::size_t i = 0; i < events.size(); ++i)
          if (pair[i] != no_index) fit -= static_cast<std::int64_t>(same_shape(g, pair[i], t_.gpu[events[i]])) << 30;
        if (best != nullptr && pairs == best_pairs && fit >= best_fit) continue;
        best = &g, best_pairs = pairs, best_fit = fit, best_pair = pair;
      }
      if (best != nullptr) break;
    }
    if (best == nullptr) return out;
    out.by_position = !best->named;
    resolver& source = *sources_[best->source];
    for (std::size_t i = 0; i < events.size(); ++i)
      if (best_pair[i] != no_index) out.sites[i] = source.site_of_call(source.trace().api[best->nodes[best_pair[i]].call]);
    return out;
  }

  const model::timeline& t_;
  const std::vector<captured>& graphs_;
  const std::vector<resolver*>& sources_;
  name_join& join_;
  id_index known_;
  std::vector<joined> done_;
  std::vector<std::uint32_t> names_, known_names_;
  bool one_order_ = false;    // of the events given: by node, or by time on one stream
};

// Everything map_events() works on.
class mapper {
 public:
  mapper(const model::timeline& t, const mapping_inputs& in, const step_set& steps) : t_(t), in_(in), steps_(steps), own_(t, out_.sites) {}
  mapping run() {
    out_.site_of.assign(t_.gpu.size(), no_index), out_.how.assign(t_.gpu.size(), mapped_by::none);
    find_replays();
    for (std::size_t i = 0; i < t_.gpu.size(); ++i)
      if (!replayed_[i]) map_one(i);
    join_graphs();
    if (in_.mapping_trace != nullptr) borrow_by_name();
    sum();
    say();
    return std::move(out_);
  }

 private:
  void map_one(std::size_t i) {
    const model::gpu_event& e = t_.gpu[i];
    const std::uint32_t call = steps_.launch_of[i];
    const model::api_call* const launch = call == no_index ? nullptr : &t_.api[call];
    std::uint32_t op = own_.op_with(e.process, e.external, launch, e.begin);
    mapped_by how = op != no_index ? mapped_by::external_id : mapped_by::correlation;
    std::uint32_t site = no_index;
    if (launch != nullptr) site = own_.site_at(op != no_index ? t_.ops[op].name : own_.op_of_call(*launch), launch->track, launch->begin);
    if (op != no_index && (site == no_index || out_.sites[site].location == 0)) {      // no launch, or no Python on its thread: the operator's own moment
      const model::cpu_op& o = t_.ops[op];
      const std::int64_t half = o.duration.ns / 2;
      site = own_.site_at(o.name, o.track, o.begin + nanoseconds(half < 1000 ? half : 1000));
    }
    if ((out_.site_of[i] = site) != no_index) out_.how[i] = how;
  }

  // Events that graph launches brought about, launch by launch, in the graph's order.
  void find_replays() {
    replayed_.assign(t_.gpu.size(), false);
    call_kinds kind(t_);
    const auto is_graph = [&](name_id n) { return kind(n) == call_kind::graph; };
    std::vector<bool> recorded(t_.api.size(), false);
    id_index group_of;
    struct entry { std::uint32_t group = 0, event = 0; };
    std::vector<entry> list;
    for (std::size_t i = 0; i < t_.gpu.size(); ++i) {
      const model::gpu_event& e = t_.gpu[i];
      const std::uint32_t call = steps_.launch_of[i];
      // Without the call, the graph's id tells it.
      if (call != no_index ? !is_graph(t_.api[call].name) : e.kind != model::gpu_kind::graph && e.graph == no_index) continue;
      if (call != no_index && e.kind != model::gpu_kind::graph) recorded[call] = true;
      replayed_[i] = true;
      if (e.kind == model::gpu_kind::graph) continue;      // one row for the whole graph: nothing to align
      list.push_back({group_of.insert(e.process, e.correlation, static_cast<std::uint32_t>(group_of.size())), static_cast<std::uint32_t>(i)});
    }
    for (std::size_t i = 0; i < t_.api.size(); ++i) {
      if (!is_graph(t_.api[i].name)) continue;
      ++out_.graph_launches;
      if (!recorded[i]) ++out_.graphs_unrecorded;
    }
    sort_in_place(list, [&](const entry& a, const entry& b) {
      if (a.group != b.group) return a.group < b.group;
      const model::gpu_event &x = t_.gpu[a.event], &y = t_.gpu[b.event];
      return x.begin != y.begin ? x.begin < y.begin : a.event < b.event;
    });
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i == 0 || list[i].group != list[i - 1].group) {
        replays_.push_back({.first = static_cast<std::uint32_t>(i), .step = steps_.step_of[list[i].event]});
      }
      replays_.back().last = static_cast<std::uint32_t>(i + 1);
      replay_events_.push_back(list[i].event);
    }
    for (replay& r : replays_) r.by_node = order_by_node({replay_events_.data() + r.first, replay_events_.data() + r.last});
    out_.graph_events = list.size();
    // Launches of one step in the order of time: groups are numbered by their first event on the device.
    std::vector<std::uint32_t> seen(steps_.steps.size(), 0);
    for (replay& r : replays_)
      if (r.step != no_index) r.ordinal = seen[r.step]++;
  }

  // Nodes are numbered as they were captured, which kernels side by side on several streams are not begun in. Where numbers are missing, or come twice
  // (nodes of child graphs and of loops), the order of time stays.
  bool order_by_node(std::span<std::uint32_t> events) const {
    std::vector<std::uint32_t> sorted(events.begin(), events.end());
    sort_in_place(sorted, [&](std::uint32_t a, std::uint32_t b) { return t_.gpu[a].graph_node < t_.gpu[b].graph_node; });
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      const std::uint32_t node = t_.gpu[sorted[i]].graph_node;
      if (node == no_index || (i != 0 && node == t_.gpu[sorted[i - 1]].graph_node)) return false;
    }
    for (std::size_t i = 0; i < sorted.size(); ++i) events[i] = sorted[i];
    return true;
  }

  std::optional<std::int64_t> batch_of(std::uint32_t step_index) const {
    if (step_index == no_index) return std::nullopt;
    const step& s = steps_.steps[step_index];
    if (!s.context_requests && !s.generation_requests) return std::nullopt;
    const std::int64_t n = s.context_requests.value_or(0) + s.generation_requests.value_or(0);
    return n > 0 ? std::optional(n) : std::nullopt;
  }
  std::uint32_t replay_site(std::uint32_t step_index) {
    if (replay_sites_.empty()) replay_sites_.assign(steps_.steps.size() + 1, no_index);
    std::uint32_t& at = replay_sites_[step_index == no_index ? steps_.steps.size() : step_index];
    if (at != no_index) return at;
    std::string place = "graph replay";
    if (const std::optional<std::int64_t> batch = batch_of(step_index)) place.append(" of batch ").append(std::to_string(*batch));
    return at = out_.sites.intern(site{.location = out_.sites.text(place), .graph_replay = true});
  }

  void join_graphs() {
    for (std::size_t i = 0; i < t_.gpu.size(); ++i)
      if (replayed_[i]) out_.site_of[i] = replay_site(steps_.step_of[i]);
    if (replays_.empty()) return;
    name_join join;
    std::vector<captured> graphs;
    std::vector<const model::timeline*> captures(in_.captures.begin(), in_.captures.end());
    if (in_.mapping_trace != nullptr) captures.push_back(in_.mapping_trace);   // which may be what was recorded while graphs were captured
    std::vector<resolver> others;
    others.reserve(captures.size());
    std::vector<resolver*> sources{&own_};
    find_captured(t_, 0, join, graphs);
    for (const model::timeline* const capture : captures) {
      find_captured(*capture, sources.size(), join, graphs);
      others.emplace_back(*capture, out_.sites);
      sources.push_back(&others.back());
    }
    captured_ = graphs.size();
    if (graphs.empty()) return;
    graph_joiner joiner(t_, graphs, sources, join);
    for (const replay& r : replays_) {
      const std::span events(replay_events_.data() + r.first, r.last - r.first);
      const joined& j = joiner.find(events, r, batch_of(r.step));
      for (std::size_t i = 0; i < events.size(); ++i) {
        if (j.sites[i] == no_index) continue;
        out_.site_of[events[i]] = j.sites[i], out_.how[events[i]] = mapped_by::graph_join;
        ++out_.graph_joined;
        by_position_ += j.by_position ? 1u : 0u;
      }
    }
  }

  // Sites of the mapping trace by (operator or any, name, stage): the one with the most time.
  void borrow_by_name();
  void sum() {
    for (std::size_t i = 0; i < t_.gpu.size(); ++i) out_.cover(out_.covered, i, t_.gpu[i].duration);
  }
  void say();
  void note(std::string text) { out_.notes.push_back(std::move(text)); }

  const model::timeline& t_;
  const mapping_inputs& in_;
  const step_set& steps_;
  mapping out_;
  resolver own_;
  std::vector<bool> replayed_;
  std::vector<std::uint32_t> replay_events_, replay_sites_;   // the latter by step, then that of none
  std::vector<replay> replays_;
  std::size_t captured_ = 0;
  std::uint64_t by_position_ = 0, borrowed_ = 0, ambiguous_ = 0;
};

inline void mapper::borrow_by_name() {
  const model::timeline& from = *in_.mapping_trace;
  const step_set from_steps = find_steps(from);
  const mapping theirs = map_events(from, {.captures = in_.captures, .steps = &from_steps});
  name_join join;
  std::vector<std::uint32_t> their_names, our_names;
  struct choice { std::uint32_t site = no_index, other = 0; nanoseconds time{}; };   // other: sites beside it
  std::vector<choice> sums, choices;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> sum_keys;
  id_index sum_of, choice_of;
  constexpr std::uint32_t any_stage = 15;
  const auto key = [](std::uint32_t name, std::uint32_t at) { return (static_cast<std::uint64_t>(name) << 4) | at; };
  // Time by (name, stage, site), and for any stage; then the best site of each (operator or any operator, name, stage).
  for (std::size_t i = 0; i < from.gpu.size(); ++i) {
    const std::uint32_t s = theirs.site_of[i];
    if (!theirs.has_location(s)) continue;
    const std::uint32_t name = join.of(from, from.gpu[i].name, their_names);
    for (const std::uint32_t at : {static_cast<std::uint32_t>(from_steps.stage_of[i]), any_stage}) {
      bool fresh = false;
      const std::uint32_t k = sum_of.insert(s, key(name, at), static_cast<std::uint32_t>(sums.size()), &fresh);
      if (fresh) sums.push_back({s, 0, {}}), sum_keys.emplace_back(name, key(name, at));
      sums[k].time += from.gpu[i].duration;
    }
  }
  for (std::size_t k = 0; k < sums.size(); ++k) {
    for (const name_id op : {name_id{0}, out_.sites.text(theirs.sites.text(theirs.sites[sums[k].site].cpu_op))}) {
      bool fresh = false;
      const std::uint32_t c = choice_of.insert(op, sum_keys[k].second, static_cast<std::uint32_t>(choices.size()), &fresh);
      if (fresh) choices.push_back(sums[k]);
      else if (choices[c].site != sums[k].site) choices[c] = sums[k].time > choices[c].time ? choice{sums[k].site, choices[c].other + 1, sums[k].time} : choice{choices[c].site, choices[c].other + 1, choices[c].time};
    }
  }
  for (std::size_t i = 0; i < t_.gpu.size(); ++i) {
    const std::uint32_t mine = out_.site_of[i];
    const bool replay = mine != no_index && out_.sites[mine].graph_replay;
    if (out_.has_location(mine)) continue;
    const name_id op = mine != no_index && !replay ? out_.sites[mine].cpu_op : 0;   // one that is not in the mapping trace: another path, no choice
    const std::uint32_t name = join.of(t_, t_.gpu[i].name, our_names);
    std::uint32_t c = no_index;
    for (const std::uint32_t at : {static_cast<std::uint32_t>(steps_.stage_of[i]), static_cast<std::uint32_t>(stage::all), any_stage})
      if (c == no_index) c = choice_of.find(op, key(name, at));
    if (c == no_index) continue;
    site_text s = theirs.sites.told(choices[c].site);
    if (op != 0) s.cpu_op = out_.sites.text(op);
    out_.site_of[i] = out_.sites.intern(s);
    if (out_.how[i] == mapped_by::none) out_.how[i] = mapped_by::name;
    ++borrowed_, ambiguous_ += choices[c].other != 0 ? 1u : 0u;
  }
}

inline void mapper::say() {
  const auto count = [](std::uint64_t n) { return std::to_string(n); };
  const coverage::part& none = out_.covered.by[0];
  std::uint64_t without_ids = 0, unlaunched = 0;
  for (std::size_t i = 0; i < t_.gpu.size(); ++i) {
    const model::gpu_event& e = t_.gpu[i];
    if (e.correlation == model::no_id && e.external == model::no_id) ++without_ids;
    else if (out_.how[i] == mapped_by::none && !replayed_[i] && steps_.launch_of[i] == no_index) ++unlaunched;
  }
  if (without_ids != 0)
    note(count(without_ids).append(" of ").append(count(t_.gpu.size())).append(" GPU events have neither a correlation nor an External id: their operators cannot be known."));
  if (unlaunched != 0) note(count(unlaunched).append(" GPU events were launched by calls that are not in the trace (before it began, as a rule)."));
  if (steps_.duplicate_calls != 0) note(count(steps_.duplicate_calls).append(" API calls have the correlation id of an earlier call: the first one with it is taken for the launch."));
  if (steps_.shared_ids != 0) note(count(steps_.shared_ids).append(" GPU events share their correlation id with an earlier event, and no graph was launched."));
  if (const std::uint64_t ranged = out_.covered.by[static_cast<std::size_t>(mapped_by::correlation)].events; t_.ops.empty() && ranged != 0)
    note(std::string("The trace has no operators: the program's own ranges (NVTX) around ").append(count(ranged)).append(" launches stand for them."));
  else if (t_.ops.empty() && t_.frames.empty() && none.events != 0) note("The trace has no operators and no Python frames: kernels cannot be mapped to the program.");
  else if (t_.frames.empty() && out_.covered.with_location.events == 0 && !t_.gpu.empty()) note("The trace has no Python frames (with_stack was off): no source line can be told.");
  const std::uint64_t unjoined = out_.graph_events - out_.graph_joined;
  if (out_.graphs_unrecorded != 0)
    note(count(out_.graphs_unrecorded).append(" of ").append(count(out_.graph_launches)).append(" graph launches have no kernels in the trace: kernels of graphs were not recorded."));
  if (unjoined != 0) {
    std::string text = count(unjoined).append(" of ").append(count(out_.graph_events)).append(" GPU events that graphs replayed are not mapped: ");
    if (captured_ == 0) text.append("no capture of graphs is in the traces given. A trace recorded while the graphs are captured tells operators and lines "
                                    "(SGLang: --enable-profile-cuda-graph; vLLM: capture_torch_profiler).");
    else text.append("none of the captured graphs (").append(count(captured_)).append(" in the traces given) has nearly the same kernels in the same order.");
    note(std::move(text));
  }
  if (by_position_ != 0)
    note(count(by_position_).append(" events of graphs are joined by their position: the capture tells no kernel names. Number and kinds of all nodes agree."));
  if (borrowed_ != 0) {
    std::string text = count(borrowed_).append(" GPU events have the place that the kernel of the same name and stage has in the mapping trace");
    if (ambiguous_ != 0) text.append("; ").append(count(ambiguous_)).append(" of them the one with the most time of several");
    note(text.append("."));
  }
}
}  // namespace maps

HOTPATH_FN mapping map_events(const model::timeline& t, const mapping_inputs& in) {
  if (in.steps != nullptr) return maps::mapper(t, in, *in.steps).run();
  const step_set steps = find_steps(t);
  return maps::mapper(t, in, steps).run();
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
