// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/step-inl.hpp - bodies of step.hpp.
#pragma once
#include <utility>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/on_track.hpp>
#include <hotpath/kernel/interval.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/model/launch.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace steps {
// Walks through an annotation's name.
struct name_reader {
  std::string_view rest;

  bool skip(std::string_view text) {
    if (!rest.starts_with(text)) return false;
    rest.remove_prefix(text.size());
    return true;
  }
  std::optional<std::int64_t> number() {
    std::size_t n = 0;
    while (n < rest.size() && text::is_digit(rest[n])) ++n;
    std::int64_t v = 0;
    if (!text::to_number(rest.substr(0, n), v)) return std::nullopt;
    rest.remove_prefix(n);
    return (std::min)(v, std::int64_t{1} << 40);   // counts: sums of a few must not overflow, whatever the annotation says
  }
  std::string_view until(std::string_view any) {
    const std::size_t n = (std::min)(rest.find_first_of(any), rest.size());
    const std::string_view head = rest.substr(0, n);
    rest.remove_prefix(n);
    return head;
  }
};

inline void stage_from_counts(annotation_facts& f) {
  const bool context = f.context_requests.value_or(0) > 0, generation = f.generation_requests.value_or(0) > 0;
  f.what = context && generation ? stage::mixed : context ? stage::prefill : generation ? stage::decode : stage::all;
}

// "3(888)", "1(888_788544)" and "15(sq15360sk15360sqsq15728640sqsk15728640)": requests, and query tokens first.
inline bool read_group(name_reader& r, std::optional<std::int64_t>& requests, std::optional<std::int64_t>& tokens) {
  requests = r.number();
  if (!requests || !r.skip("(")) return false;
  r.skip("sq");
  tokens = r.number();
  r.until(")");
  return tokens && r.skip(")");
}

inline bool read_context_generation(name_reader r, annotation_facts& f) {
  if (!read_group(r, f.context_requests, f.context_tokens) || !r.skip("_generation_")) return false;
  if (!read_group(r, f.generation_requests, f.generation_tokens)) return false;
  stage_from_counts(f);
  return r.rest.empty();
}
// execute_<tokens>_context_...
inline bool read_execute(name_reader r, annotation_facts& f) { return r.number() && r.skip("_context_") && read_context_generation(r, f); }

// execute_new_2_cached_30. "Cached" are requests scheduled before: a later chunk of a long prompt counts among them, too.
inline bool read_new_cached(name_reader r, annotation_facts& f) {
  f.context_requests = r.number();
  if (!f.context_requests || !r.skip("_cached_")) return false;
  f.generation_requests = r.number();
  stage_from_counts(f);
  return f.generation_requests && r.rest.empty();
}

// execute_diffusion_1_256x256: a step of no stage.
inline bool read_diffusion(name_reader r, annotation_facts& f) {
  f.requests = r.number();
  return f.requests && r.skip("_") && r.number() && r.skip("x") && r.number() && r.rest.empty();
}

// field(key, number) for each "key=value" up to the closing bracket; a value may be "117/128" (the first number counts) or a list: "[7803, 6918]...+3".
template <class Field>
bool read_fields(name_reader& r, Field field) {
  while (true) {
    while (r.skip(" ")) {}
    if (r.skip("]")) return true;
    if (r.rest.empty()) return false;
    const std::string_view key = r.until(" =]");
    if (!r.skip("=")) continue;                    // a word alone
    const std::optional<std::int64_t> value = r.number();
    if (r.skip("[")) {
      r.until("]");
      if (!r.skip("]")) return false;
    }
    r.until(" ]");
    if (value) field(key, *value);
  }
}

// SGLang's step[<mode> bs= toks= ...] (sgl-project/sglang build_step_span_name). Modes are those of ForwardMode.
inline bool read_step(name_reader r, annotation_facts& f) {
  struct row { std::string_view mode; stage what; };
  constexpr row rows[] = {
    {"EXTEND", stage::prefill}, {"SPLIT_PREFILL", stage::prefill}, {"PREBUILT", stage::prefill}, {"DLLM_EXTEND", stage::prefill},
    {"DECODE", stage::decode}, {"MIXED", stage::mixed}, {"TARGET_VERIFY", stage::verify}, {"VERIFY", stage::verify},
    {"DRAFT_EXTEND", stage::draft}, {"DRAFT_EXTEND_V2", stage::draft}, {"IDLE", stage::all}, {"DUMMY_FIRST", stage::all},
  };
  const std::string_view mode = r.until(" ]");
  bool known = false;
  for (const row& m : rows)
    if (m.mode == mode) f.what = m.what, known = true;
  std::optional<std::int64_t> tokens, c, g;
  if (!known || !read_fields(r, [&](std::string_view key, std::int64_t n) {
        if (key == "bs") f.requests = n;
        else if (key == "toks") tokens = n;
        else if (key == "c") c = n;
        else if (key == "g") g = n;
        else if (key == "c_sq") f.context_tokens = n;
        else if (key == "g_sq") f.generation_tokens = n;
      }) || !r.rest.empty())
    return false;
  f.context_requests = c, f.generation_requests = g;
  if (f.what == stage::mixed && c && g) stage_from_counts(f);   // a mixed batch of which all are prompts is none
  if (f.what == stage::prefill) {
    if (!c) f.context_requests = f.requests;
    if (!f.context_tokens) f.context_tokens = tokens;
  } else if (f.what != stage::mixed && f.what != stage::all && !g) {
    f.generation_requests = f.requests;                          // tokens: not told, one or more for each
  }
  return true;
}

// Atom's prefill[bs=2 tok=14721 ctx=[7803, 6918]] and decode[bs=117/128 tok=117 p=0 d=117 spec=3]: p and d are its requests of either kind.
inline bool read_atom(name_reader r, annotation_facts& f, bool prefill) {
  std::optional<std::int64_t> tokens, p, d;
  if (!read_fields(r, [&](std::string_view key, std::int64_t n) {
        if (key == "bs") f.requests = n;
        else if (key == "tok") tokens = n;
        else if (key == "p") p = n;
        else if (key == "d") d = n;
      }) || !r.rest.empty())
    return false;
  f.what = prefill ? stage::prefill : stage::decode;
  if (prefill) f.context_requests = f.requests, f.context_tokens = tokens;
  else if (p.value_or(0) > 0) f.context_requests = p, f.generation_requests = d, stage_from_counts(f);   // tokens of both together
  else f.generation_requests = d ? d : f.requests, f.generation_tokens = tokens;
  return true;
}
inline bool read_atom_prefill(name_reader r, annotation_facts& f) { return read_atom(r, f, true); }
inline bool read_atom_decode(name_reader r, annotation_facts& f) { return read_atom(r, f, false); }

// TensorRT-LLM's "[Executor] _forward_step 60000: 0 ctx reqs, 0 ctx tokens, 32 gen reqs"; older ones have no number, or no tokens.
inline bool read_forward_step(name_reader r, annotation_facts& f) {
  if (r.skip(" ") && !r.number()) return false;
  if (!r.skip(":")) return false;
  while (r.skip(" ")) {
    const std::optional<std::int64_t> n = r.number();
    if (!n || !r.skip(" ")) return false;
    const std::string_view what = r.until(",");
    if (what == "ctx reqs") f.context_requests = n;
    else if (what == "ctx tokens") f.context_tokens = n;
    else if (what == "gen reqs") f.generation_requests = n;
    else if (what == "gen tokens") f.generation_tokens = n;
    r.skip(",");
  }
  stage_from_counts(f);
  return r.rest.empty() && f.context_requests && f.generation_requests;
}

inline bool read_draft(name_reader r, annotation_facts& f) {
  f.what = stage::draft;
  return r.rest.empty();
}
inline bool read_profiler_step(name_reader r, annotation_facts& f) {
  f.is = annotation_is::profiler_step;
  return r.number() && r.rest.empty();
}
// capture_32_FULL, capture_16_DECODE, capture_256_mixed_prefill
inline bool read_capture(name_reader r, annotation_facts& f) {
  f.is = annotation_is::capture;
  f.requests = r.number();
  if (!f.requests || !r.skip("_")) return false;
  f.mode = r.rest;
  return !f.mode.empty();
}

struct annotation_form {
  std::string_view start;                                // what the name begins with; the parser reads what follows
  bool (*read)(name_reader rest, annotation_facts& out);
};
// Sources: traces of vLLM (three spellings of one form), SGLang and xDiT; vllm-project/vllm gpu_worker.py (annotate_profile, two generations);
// sgl-project/sglang build_step_span_name and names of its speculative worker; the forms that AMD-AGI/TraceLens tests for Atom;
// NVIDIA/TensorRT-LLM py_executor.py (three generations); torch.profiler.
inline constexpr annotation_form annotation_forms[] = {
  {"execute_context_", read_context_generation},
  {"execute_new_", read_new_cached},
  {"execute_diffusion_", read_diffusion},
  {"execute_", read_execute},
  {"step[", read_step},
  {"prefill[", read_atom_prefill},
  {"decode[", read_atom_decode},
  {"eager_decode[", read_atom_decode},
  {"[Executor] _forward_step", read_forward_step},
  {"draft_extend", read_draft},
  {"draft", read_draft},
  {"ProfilerStep#", read_profiler_step},
  {"capture_", read_capture},
};
}  // namespace steps

HOTPATH_FN annotation_facts parse_annotation(std::string_view name) {
  for (const steps::annotation_form& form : steps::annotation_forms) {
    if (!name.starts_with(form.start)) continue;
    annotation_facts f{.is = annotation_is::step};
    if (form.read({name.substr(form.start.size())}, f)) return f;
  }
  return {};
}

namespace steps {
// A range of the host that may become a step.
struct step_range {
  std::uint32_t annotation = 0, track = 0, around = no_index, inner = 0;  // around: the innermost range of the track that holds it; inner: ranges directly within
  std::uint32_t step = no_index;                                           // in step_set::steps
  nanoseconds begin{}, duration{};
  annotation_facts facts;

  nanoseconds end() const { return begin + duration; }
};
inline bool speculative(stage s) { return s == stage::verify || s == stage::draft; }

// Ranges in the order of annotations (track, begin, longer first). ProfilerSteps count only where the process has nothing better.
inline std::vector<step_range> step_ranges(const model::timeline& t) {
  std::vector<step_range> all;
  std::vector<bool> has_engine;                          // by process
  for (std::size_t i = 0; i < t.annotations.size(); ++i) {
    const model::annotation& a = t.annotations[i];
    if (a.kind == model::annotation_kind::gpu_user || a.kind == model::annotation_kind::mark || a.duration.ns <= 0) continue;
    step_range r{.annotation = static_cast<std::uint32_t>(i), .track = a.track, .begin = a.begin, .duration = a.duration, .facts = parse_annotation(t.name(a.name))};
    if (r.facts.is != annotation_is::step && r.facts.is != annotation_is::profiler_step) continue;
    const std::size_t p = t.process_of(a.track);
    if (p >= has_engine.size()) has_engine.resize(p + 1);
    if (r.facts.is == annotation_is::step) has_engine[p] = true;
    all.push_back(r);
  }
  std::size_t kept = 0;
  for (const step_range& r : all)
    if (r.facts.is == annotation_is::step || !has_engine[t.process_of(r.track)]) all[kept++] = r;
  all.resize(kept);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::uint32_t around = i != 0 && all[i - 1].track == all[i].track ? static_cast<std::uint32_t>(i - 1) : no_index;
    while (around != no_index && all[around].end() < all[i].end()) around = all[around].around;
    if ((all[i].around = around) == no_index) continue;
    ++all[around].inner;
    if (speculative(all[around].facts.what) && !speculative(all[i].facts.what)) all[i].facts.what = all[around].facts.what;
  }
  return all;
}

// A range that is alone within another becomes one with it: the outer range, the inner one's stage and, where it tells them, its counts.
inline void merge_ranges(std::vector<step_range>& all, std::vector<std::uint32_t>& into) {
  into.assign(all.size(), no_index);
  for (std::size_t i = all.size(); i-- > 0;) {
    const step_range& in = all[i];
    if (in.around == no_index || all[in.around].inner != 1) continue;
    step_range& out = all[in.around];
    into[i] = in.around;
    const auto take = [](auto& to, const auto& from) { if (from) to = from; };
    if (in.facts.what != stage::all) out.facts.what = in.facts.what, out.annotation = in.annotation;
    take(out.facts.context_requests, in.facts.context_requests), take(out.facts.generation_requests, in.facts.generation_requests);
    take(out.facts.context_tokens, in.facts.context_tokens), take(out.facts.generation_tokens, in.facts.generation_tokens);
    out.inner = in.inner;
  }
}

// Intervals that may overlap, by (process, begin): which holds a moment, and which is nearest.
struct window { std::uint16_t process = 0; stage what = stage::all; std::uint32_t step = no_index; nanoseconds begin{}, end{}; };
class windows {
 public:
  void add(const window& w) { all_.push_back(w); }
  void sort() {
    hotpath::sort_in_place(all_, [](const window& a, const window& b) {
      return a.process != b.process ? a.process < b.process : a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
    });
    latest_.resize(all_.size());
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const bool same = i != 0 && all_[i - 1].process == all_[i].process;
      latest_[i] = same && all_[latest_[i - 1]].end > all_[i].end ? latest_[i - 1] : static_cast<std::uint32_t>(i);
    }
  }
  // The one that began last of those that hold `at`; no more than 64 are looked at, then the one that ends last.
  const window* around(std::uint16_t process, nanoseconds at) const {
    std::size_t i = first_after(process, at);
    for (unsigned tries = 0; i-- > 0 && all_[i].process == process && all_[latest_[i]].end >= at; ++tries) {
      if (all_[i].end >= at) return &all_[i];
      if (tries == 64) return &all_[latest_[i]];
    }
    return nullptr;
  }
  const window* nearest(std::uint16_t process, nanoseconds at, nanoseconds limit) const {
    const std::size_t i = first_after(process, at);
    const window* best = nullptr;
    if (i != 0 && all_[i - 1].process == process && at - all_[latest_[i - 1]].end <= limit) best = &all_[latest_[i - 1]], limit = at - best->end;
    if (i < all_.size() && all_[i].process == process && all_[i].begin - at <= limit && (best == nullptr || all_[i].begin - at < limit)) best = &all_[i];
    return best;
  }
  std::size_t size() const { return all_.size(); }

 private:
  std::size_t first_after(std::uint16_t process, nanoseconds at) const {
    const auto* const first = find_first_not(all_.data(), all_.data() + all_.size(), [=](const auto& w) { return w.process < process || (w.process == process && w.begin <= at); });
    return static_cast<std::size_t>(first - all_.data());
  }
  std::vector<window> all_;
  std::vector<std::uint32_t> latest_;   // of those up to here in the process: the one that ends last
};

// Answers which step holds a moment of a host thread.
class step_finder {
 public:
  step_finder(const model::timeline& t, step_set& out) : t_(t), ranges_(step_ranges(t)) {
    std::vector<std::uint32_t> into;
    merge_ranges(ranges_, into);
    std::vector<std::uint32_t> order;
    for (std::uint32_t i = 0; i < ranges_.size(); ++i)
      if (into[i] == no_index) order.push_back(i);
    hotpath::sort_in_place(order, [&](std::uint32_t a, std::uint32_t b) {
      const std::uint16_t pa = t.process_of(ranges_[a].track), pb = t.process_of(ranges_[b].track);
      return pa != pb ? pa < pb : ranges_[a].begin != ranges_[b].begin ? ranges_[a].begin < ranges_[b].begin : a < b;
    });
    for (const std::uint32_t i : order) {
      step_range& r = ranges_[i];
      r.step = static_cast<std::uint32_t>(out.steps.size());
      step s{.what = r.facts.what, .annotation = t.annotations[r.annotation].name, .track = r.track, .process = t.process_of(r.track), .begin = r.begin, .end = r.end(),
        .context_requests = r.facts.context_requests, .generation_requests = r.facts.generation_requests,
        .context_tokens = r.facts.context_tokens, .generation_tokens = r.facts.generation_tokens};
      host.add({s.process, s.what, r.step, s.begin, s.end});
      out.steps.push_back(s);
    }
    for (std::uint32_t i = 0; i < ranges_.size(); ++i)   // an outer range stands before its inner ones
      if (into[i] != no_index) ranges_[i].step = ranges_[into[i]].step;
    host.sort();
  }
  step_finder(const step_finder&) = delete;
  step_finder& operator=(const step_finder&) = delete;
  // The innermost on the thread; else, in the process, the one that began last: engines may launch from a helper thread.
  std::uint32_t at(std::uint32_t track, nanoseconds when) {
    const std::uint32_t i = by_track_.around(track, when, [&](std::uint32_t inner) { return ranges_[inner].around; });
    if (i != no_index) return ranges_[i].step;
    const window* w = host.around(t_.process_of(track), when);
    return w == nullptr ? no_index : w->step;
  }

  // By step: is it a range around several others?
  std::vector<bool> outer() const {
    std::vector<bool> is(host.size(), false);
    for (const step_range& r : ranges_)
      if (r.inner > 1) is[r.step] = true;
    return is;
  }

  windows host;   // all steps

 private:
  const model::timeline& t_;
  std::vector<step_range> ranges_;
  detail::on_track<step_range> by_track_{ranges_};
};

inline constexpr nanoseconds nearest_limit{20'000'000};  // 20 ms: beyond it, work of another step is as near

// Stages by other means than the launch, the surest first.
class stage_fallback {
 public:
  stage_fallback(const model::timeline& t, const step_set& s, step_finder& steps, stage file) : file_(file) {
    for (const bool on_gpu : {false, true}) {                     // the host's first: its copies on the GPU carry its External id
      for (const model::annotation& a : t.annotations) {
        if ((a.kind == model::annotation_kind::gpu_user) != on_gpu || a.kind == model::annotation_kind::mark || a.duration.ns <= 0) continue;
        window w{t.process_of(a.track), parse_annotation(t.name(a.name)).what, no_index, a.begin, a.end()};
        if (w.what == stage::all) continue;
        if (const std::uint32_t same = ids_.find(w.process, a.external); on_gpu && a.external != model::no_id && same != no_index) w.step = by_id_[same].step;
        if (!on_gpu) w.step = steps.at(a.track, a.begin);
        if (w.step != no_index) w.what = s.steps[w.step].what;
        if (a.external != model::no_id) {
          bool fresh = false;
          ids_.insert(w.process, a.external, static_cast<std::uint32_t>(by_id_.size()), &fresh);
          if (fresh) by_id_.push_back(w);
        }
        (on_gpu ? gpu_ : told_).add(w);
      }
    }
    gpu_.sort(), told_.sort();
  }
  // `launched`: it is known when the host launched it, so that the host's windows at the GPU's time say nothing.
  void find(const model::gpu_event& e, bool launched, std::uint32_t& step, stage& what, stage_source& source) const {
    const std::uint32_t id = e.external == model::no_id ? no_index : ids_.find(e.process, e.external);
    if (id != no_index) return found(by_id_[id], stage_source::annotation_id, step, what, source);
    if (const window* w = gpu_.around(e.process, e.begin)) return found(*w, stage_source::gpu_window, step, what, source);
    if (!launched) {
      if (const window* w = told_.around(e.process, e.begin)) return found(*w, stage_source::cpu_window, step, what, source);
      const window* w = told_.nearest(e.process, e.begin, nearest_limit);
      const window* g = gpu_.nearest(e.process, e.begin, nearest_limit);
      const auto away = [&](const window& x) { return x.begin > e.begin ? x.begin - e.begin : e.begin - x.end; };
      if (w == nullptr || (g != nullptr && away(*g) < away(*w))) w = g;
      if (w != nullptr) {
        what = w->what, source = stage_source::nearest_window;   // of the stage, not of the step
        return;
      }
    }
    if (file_ != stage::all) what = file_, source = stage_source::file_name;
  }

 private:
  static void found(const window& w, stage_source by, std::uint32_t& step, stage& what, stage_source& source) {
    what = w.what, source = by;
    if (step == no_index) step = w.step;
  }
  stage file_;
  hotpath::detail::id_index ids_;
  std::vector<window> by_id_;
  windows gpu_, told_;
};

// Events are in the order (process, device, begin): the union of a step's intervals grows at its end, device by device.
inline void sum_steps(const model::timeline& t, step_set& out) {
  struct open_step { running_union covered; std::uint16_t device = 0; };
  std::vector<open_step> open(out.steps.size());
  model::call_kinds kind(t);
  for (std::size_t i = 0; i < t.gpu.size(); ++i) {
    if (out.step_of[i] == no_index) continue;
    const model::gpu_event& e = t.gpu[i];
    step& s = out.steps[out.step_of[i]];
    open_step& o = open[out.step_of[i]];
    if (o.device != e.device) o = {.covered = {}, .device = e.device};
    if (s.events == 0 || e.begin < s.gpu_begin) s.gpu_begin = e.begin;
    if (s.events == 0 || e.end() > s.gpu_end) s.gpu_end = e.end();
    s.gpu_busy += o.covered.add({e.begin, e.end()});
    ++s.events;
    if (e.kind == model::gpu_kind::graph) s.graph = true;
    const std::uint32_t call = out.launch_of[i];
    if (call != no_index && !s.graph) s.graph = kind(t.api[call].name) == model::call_kind::graph;
  }
}

// Where the call is not in the trace, the operator that has the event's External id tells when the host launched it, too.
inline hotpath::detail::id_index operators_of_unlaunched(const model::timeline& t, const step_set& s) {
  bool wanted = false;
  for (std::size_t i = 0; i < t.gpu.size() && !wanted; ++i) wanted = s.launch_of[i] == no_index && t.gpu[i].external != model::no_id;
  hotpath::detail::id_index ops(wanted ? t.ops.size() : 0);
  for (std::size_t i = 0; wanted && i < t.ops.size(); ++i)
    if (t.ops[i].external != model::no_id) ops.insert(t.process_of(t.ops[i].track), t.ops[i].external, static_cast<std::uint32_t>(i));
  return ops;
}

// Outer ranges with nothing of their own between their inner ones are no steps.
inline void drop_empty_outer(step_set& out, const std::vector<bool>& outer) {
  std::vector<std::uint32_t> now(out.steps.size(), no_index);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < out.steps.size(); ++i) {
    if (outer[i] && out.steps[i].events == 0) continue;
    now[i] = static_cast<std::uint32_t>(kept);
    out.steps[kept++] = out.steps[i];
  }
  out.steps.resize(kept);
  for (std::uint32_t& s : out.step_of)
    if (s != no_index) s = now[s];
}
}  // namespace steps

HOTPATH_FN step_set find_steps(const model::timeline& t, step_options options) {
  step_set out;
  const std::size_t n = t.gpu.size();
  out.step_of.assign(n, no_index), out.stage_of.assign(n, stage::all), out.source_of.assign(n, stage_source::none);
  model::launch_links launched = model::link_launches(t);
  out.launch_of = std::move(launched.call_of), out.duplicate_calls = launched.duplicate_calls, out.shared_ids = launched.shared;
  steps::step_finder steps(t, out);
  const steps::stage_fallback fallback(t, out, steps, options.file_label);
  const hotpath::detail::id_index ops = steps::operators_of_unlaunched(t, out);
  for (std::size_t i = 0; i < n; ++i) {
    const model::gpu_event& e = t.gpu[i];
    const std::uint32_t call = out.launch_of[i];
    const std::uint32_t op = call == no_index && e.external != model::no_id ? ops.find(e.process, e.external) : no_index;
    if (call != no_index) out.step_of[i] = steps.at(t.api[call].track, t.api[call].begin);
    else if (op != no_index) out.step_of[i] = steps.at(t.ops[op].track, t.ops[op].begin);
    if (out.step_of[i] != no_index && out.steps[out.step_of[i]].what != stage::all) {
      out.stage_of[i] = out.steps[out.step_of[i]].what, out.source_of[i] = stage_source::launch;
    } else {
      fallback.find(e, call != no_index || op != no_index, out.step_of[i], out.stage_of[i], out.source_of[i]);
    }
  }
  steps::sum_steps(t, out);
  steps::drop_empty_outer(out, steps.outer());
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
