// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/torch-inl.hpp - bodies of torch.hpp.
#pragma once
#include <unistd.h>
#include <cstring>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/trace/detail/words.hpp>
#include <hotpath/trace/file_name.hpp>
#include <hotpath/trace/torch.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

using model::no_id;
using model::no_index;
using model::trace_fault;

// Of a category's text. Names before 2022 were capitalised words.
HOTPATH_FN event_class class_of(std::string_view c) {
  using enum event_class;
  constexpr struct { std::string_view text; event_class what; } known[] = {
      {"kernel", kernel}, {"cpu_op", op}, {"python_function", frame}, {"gpu_memcpy", copy}, {"gpu_memset", set}, {"user_annotation", annotation},
      {"gpu_user_annotation", gpu_annotation}, {"cuda_sync", sync}, {"hip_sync", sync}, {"Kernel", kernel}, {"Memcpy", copy}, {"Memset", set},
      {"Operator", op}, {"Runtime", api}};
  for (const auto& k : known)
    if (c == k.text) return k.what;
  return c.ends_with("_runtime") || c.ends_with("_driver") ? api : other;
}

// A comparison with a word whose length the compiler knows: no call.
template <std::size_t N>
bool is(std::string_view text, const char (&word)[N]) {
  return text.size() == N - 1 && __builtin_memcmp(text.data(), word, N - 1) == 0;
}

inline bool is_inside(std::string_view part, std::string_view whole) {
  return part.data() >= whole.data() && part.data() <= whole.data() + whole.size();
}

// An id as profilers write it: a whole number, 12.0, or a string of digits; up to 2^64 - 1. False: absent ("", "None", null, negative).
HOTPATH_FN bool id_of(std::string_view text, std::uint64_t& out) {
  if (text.empty() || text.size() > 40) return false;
  std::uint64_t v = 0;
  for (const char c : text) {
    const auto digit = static_cast<unsigned char>(c - '0');
    if (digit > 9) {
      std::int64_t whole = 0;
      json::reader in(text);
      if (!in.integer(whole) || !in.finish() || whole < 0) return false;
      out = static_cast<std::uint64_t>(whole);
      return true;
    }
    if (__builtin_mul_overflow(v, std::uint64_t{10}, &v) || __builtin_add_overflow(v, std::uint64_t{digit}, &v)) return false;
  }
  out = v;
  return true;
}
HOTPATH_FN bool read_id(json::reader& in, std::uint64_t& out) {
  std::string_view text;
  switch (in.peek()) {
    case json::kind::number: return in.raw(text) && id_of(text, out);
    case json::kind::string: return in.string(text) && id_of(text, out);
    default: return in.skip(), false;
  }
}
HOTPATH_FN void read_index(json::reader& in, std::uint32_t& out) {
  std::uint64_t v = 0;
  if (read_id(in, v) && v < no_index) out = static_cast<std::uint32_t>(v);
}
HOTPATH_FN bool read_three(json::reader& in, std::uint32_t (&out)[3]) {
  std::size_t n = 0;
  if (in.peek() != json::kind::array) return in.skip(), false;
  in.array([&] {
    std::uint64_t v = 0;
    if (read_id(in, v) && n < 3 && v <= UINT32_MAX) out[n] = static_cast<std::uint32_t>(v);
    ++n;
  });
  return n != 0;
}

// CUPTI's number for a kind of memory; 0: none of them.
HOTPATH_FN std::uint8_t memory_of(std::string_view word) {
  for (std::uint8_t i = 1; i < std::size(memory_kinds); ++i)
    if (word == memory_kinds[i]) return i;
  return 0;
}
// "Memcpy HtoD (Pageable -> Device)", "CopyHostToDevice": CUPTI's numbers for the direction and the two kinds of memory.
HOTPATH_FN void copy_facts(std::string_view name, std::string_view kind, model::gpu_detail& d) {
  constexpr struct { std::string_view text; std::uint8_t what; } words[] = {{"HostToDevice", 1}, {"DeviceToHost", 2}, {"DeviceToDevice", 8}, {"HostToHost", 9}, {"PeerToPeer", 10}};
  for (const std::string_view text : {name, kind}) {
    for (std::uint8_t i = 1; i < std::size(copy_directions) && d.copy_kind == 0; ++i)
      if (text.find(copy_directions[i]) != std::string_view::npos) d.copy_kind = i;
    for (const auto& w : words)
      if (d.copy_kind == 0 && text.find(w.text) != std::string_view::npos) d.copy_kind = w.what;
  }
  const auto open = name.find('(');
  const auto close = name.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return;
  std::string_view target = name.substr(open + 1, close - open - 1), source;
  if (const auto arrow = target.find(" -> "); arrow != std::string_view::npos) {
    source = target.substr(0, arrow);
    target.remove_prefix(arrow + 4);
  }
  d.source_memory = memory_of(source), d.target_memory = memory_of(target);
}

HOTPATH_FN torch_builder::torch_builder(model::timeline& out, const read_options& o, bool part) : out_(out), options_(o), part_(part) {
  if (part) options_.names.distinct = SIZE_MAX;  // the whole decides which are too many
  clear(true);
}

HOTPATH_FN void torch_builder::clear(bool all) {
  out_.gpu.clear(), out_.api.clear(), out_.ops.clear(), out_.frames.clear(), out_.annotations.clear(), out_.syncs.clear();
  out_.lost.clear();
  metadata_.clear(), halves_.clear();
  events_ = 0;
  for (std::uint64_t& n : phases_) n = 0;
  for (category& c : categories_) c.count = 0;
  // A hostile file has a million names: one such table is enough.
  if (!all && out_.names.size() < 50'000 && out_.tracks.size() < 5'000 && out_.details.size() < 50'000 && categories_.size() < 5'000) return;
  out_.names = name_table(options_.names);
  out_.tracks.clear();
  out_.details.assign(1, {});
  categories_.clear(), category_index_.clear();
  category_of("");
  track_index_.clear(), detail_index_.clear();
  for (seen_track& s : seen_) s = {};
  names_there_.clear(), tracks_there_.clear(), details_there_.clear(), categories_there_.clear();
}

HOTPATH_FN std::uint32_t torch_builder::category_of(std::string_view text) {
  std::uint32_t& last = last_category_[text.size() % 32];  // few have the same length
  if (last < categories_.size() && categories_[last].text == text) return last;
  return last = find_category(text);
}

// Beyond the limit the categories of a class share a row, so that an event stays what it is. Parts have no limit: the whole decides.
HOTPATH_FN std::uint32_t torch_builder::find_category(std::string_view text) {
  text = text.substr(0, 256);
  const event_class what = class_of(text);
  const auto hash = [&](std::string_view t, event_class w) { return hotpath::detail::mix(static_cast<std::uint64_t>(w) + 1, out_.names.expect(t)); };
  const auto is_it = [&](std::uint32_t i) { return categories_[i].what == what && categories_[i].text == text; };
  const std::size_t most = what == event_class::other ? 255 : what == event_class::api ? 510 : SIZE_MAX;  // of other classes there are but a few words
  if (!part_ && categories_.size() >= most && category_index_.find(hash(text, what), is_it) == hotpath::detail::row_index::none) text = "(more categories than the limit)";
  const auto next = static_cast<std::uint32_t>(categories_.size());
  const std::uint32_t at = category_index_.insert(hash(text, what), next, is_it, [&](std::uint32_t i) { return hash(categories_[i].text, categories_[i].what); });
  if (at == next) categories_.push_back({std::string(text), what, 0});
  return at;
}

HOTPATH_FN std::uint32_t torch_builder::track_row(name_id pid, name_id tid) {
  using hotpath::detail::mix;
  const auto next = static_cast<std::uint32_t>(out_.tracks.size());
  const std::uint32_t at = track_index_.insert(mix(pid, tid), next, [&](std::uint32_t i) { return out_.tracks[i].pid == pid && out_.tracks[i].tid == tid; },
                                               [&](std::uint32_t i) { return mix(out_.tracks[i].pid, out_.tracks[i].tid); });
  if (at == next) out_.tracks.push_back({.pid = pid, .tid = tid});
  return at;
}

// Events of a file alternate among few tracks: one look at a small cache, in front of the two tables.
HOTPATH_FN std::uint32_t torch_builder::track_of(std::string_view pid, std::string_view tid) {
  const std::size_t size = pid.size() + tid.size();
  seen_track* seen = nullptr;
  if (size != 0 && size <= sizeof seen->text) {
    const auto last = [](std::string_view s) { return s.empty() ? 0u : static_cast<unsigned char>(s.back()); };
    seen = &seen_[(last(pid) * 5 + last(tid)) % 16];
    if (seen->pid_size == pid.size() && seen->tid_size == tid.size() && std::string_view(seen->text, pid.size()) == pid &&
        std::string_view(seen->text + pid.size(), tid.size()) == tid)
      return seen->track;
  }
  const name_id p = out_.names.intern(pid);
  const std::uint32_t track = track_row(p, out_.names.intern(tid));
  if (seen != nullptr) {
    seen->track = track;
    seen->pid_size = static_cast<std::uint8_t>(pid.size()), seen->tid_size = static_cast<std::uint8_t>(tid.size());
    if (!pid.empty()) std::memcpy(seen->text, pid.data(), pid.size());
    if (!tid.empty()) std::memcpy(seen->text + pid.size(), tid.data(), tid.size());
  }
  return track;
}

HOTPATH_FN std::uint32_t torch_builder::detail_of(const model::gpu_detail& d) {
  const auto hash = [](const model::gpu_detail& x) {
    std::uint64_t h = hotpath::detail::mix(std::uint64_t{x.grid[0]} << 32 | x.block[0], std::uint64_t{x.grid[1]} << 32 | x.block[1]);
    h = hotpath::detail::mix(h, std::uint64_t{x.grid[2]} << 32 | x.block[2]);
    h = hotpath::detail::mix(h, std::uint64_t{x.registers} << 32 | x.shared_bytes);
    h = hotpath::detail::mix(h, std::uint64_t{x.collective} << 32 | x.group);
    h = hotpath::detail::mix(h, static_cast<std::uint64_t>(x.occupancy * 1000 + 1000) << 32 | x.dtype);  // -1: not told
    return hotpath::detail::mix(h, x.bytes ^ std::uint64_t{x.group_size} << 24 ^ std::uint64_t{x.copy_kind} << 56);
  };
  const auto next = static_cast<std::uint32_t>(out_.details.size());
  const std::uint32_t at = detail_index_.insert(hash(d), next, [&](std::uint32_t i) { return out_.details[i] == d; }, [&](std::uint32_t i) { return hash(out_.details[i]); });
  if (at == next) out_.details.push_back(d);
  return at;
}

HOTPATH_FN void torch_builder::arg(json::reader& in, std::string_view key) {
  event_args& a = args_;
  model::gpu_detail& d = a.detail;
  const auto text = [&](name_id& to) {
    std::string_view s;
    if (in.peek() == json::kind::string && in.string(s)) to = out_.names.intern(s);
    return to != 0;
  };
  const auto index = [&](std::uint32_t& to) {
    read_index(in, to);
    return true;
  };
  switch (key.size()) {
    case 4:
      if (is(key, "grid")) a.has_detail |= read_three(in, d.grid);
      else if (is(key, "name")) text(a.text);
      else if (is(key, "kind")) {
        std::string_view kind;
        if (in.peek() == json::kind::string && in.string(kind)) copy_facts({}, kind, d), a.has_detail |= d.copy_kind != 0, a.is_graph = kind == "graph";
      }
      break;
    case 5:
      if (is(key, "block")) a.has_detail |= read_three(in, d.block);
      else if (is(key, "bytes")) a.has_detail |= read_id(in, d.bytes);
      else if (is(key, "dtype")) a.has_detail |= text(d.dtype);
      break;
    case 6:
      if (is(key, "stream")) read_index(in, a.stream);
      else if (is(key, "device")) read_index(in, a.device);
      else if (is(key, "kernel")) text(a.kernel);
      else if (is(key, "labels")) text(a.text);
      break;
    case 8:
      if (is(key, "graph id")) {
        read_index(in, a.graph);
        if (a.graph == 0) a.graph = no_index;  // newer Kineto writes it for kernels of no graph
      }
      break;
    case 10:
      if (is(key, "Group size")) a.has_detail |= index(d.group_size);
      break;
    case 11:
      if (is(key, "External id") || is(key, "external id")) read_id(in, a.external);
      else if (is(key, "correlation")) read_id(in, a.correlation);
      else if (is(key, "cuda_stream")) read_index(in, a.stream);
      break;
    case 13:
      if (is(key, "shared memory")) a.has_detail |= index(d.shared_bytes);
      else if (is(key, "graph node id")) read_index(in, a.graph_node);
      else if (is(key, "source memory") || is(key, "target memory")) {
        std::string_view word;
        if (in.peek() == json::kind::string && in.string(word)) (key[0] == 's' ? d.source_memory : d.target_memory) = memory_of(word), a.has_detail |= memory_of(word) != 0;
      }
      else if (is(key, "In msg nelems")) a.has_detail |= read_id(in, d.bytes);
      break;
    case 14:
      if (is(key, "wait_on_stream")) read_index(in, a.waits_for_stream);
      else if (is(key, "cuda_sync_kind")) text(a.sync_kind);
      break;
    case 15:
      if (is(key, "Collective name")) a.has_detail |= text(d.collective);
      break;
    case 18:
      if (is(key, "Process Group Name")) a.has_detail |= text(d.group);
      break;
    case 20:
      if (is(key, "registers per thread")) a.has_detail |= index(d.registers);
      break;
    case 25:
      if (is(key, "est. achieved occupancy %")) {
        double percent = 0;
        if (in.peek() == json::kind::number && in.number(percent) && percent >= 0 && percent <= 1000) d.occupancy = static_cast<float>(percent / 100), a.has_detail = true;
      }
      break;
    case 33:
      if (is(key, "wait_on_cuda_event_record_corr_id")) read_id(in, a.waits_for);
      break;
    default: break;
  }
}

HOTPATH_FN bool torch_builder::event(json::reader& in, std::string_view text, std::uint64_t byte) {
  name_ = pid_ = tid_ = {};
  phase_ = 0, category_ = 0, odd_ = false, in_time_ = false;
  ts_state_ = dur_state_ = number::absent;
  if (args_used_) args_ = {}, args_used_ = false;
  const std::uint64_t repaired = in.repaired();
  const auto word = [&](std::string_view& to, std::string& own) {
    if (!in.string(to)) odd_ = true;
    else if (!is_inside(to, text)) to = own.assign(to);
  };
  const auto number_or_word = [&](std::string_view& to, std::string& own) {
    switch (in.peek()) {
      case json::kind::number: in.raw(to); break;
      case json::kind::string: word(to, own); break;
      case json::kind::null: in.skip(); break;
      default: odd_ = true, in.skip();
    }
  };
  const auto time = [&](nanoseconds& to, number& state) {
    in_time_ = true;
    state = read_time(in, to) ? number::good : number::bad;
    if (in.ok()) in_time_ = false;
  };
  const auto phase = [&] {
    std::string_view ph;
    if (in.string(ph) && !ph.empty()) phase_ = ph[0];
  };
  const auto category_text = [&] {
    std::string_view c;
    if (in.string(c)) category_ = category_of(c);
    else odd_ = true;
  };
  const auto name = [&] {
    word(name_, own_[2]);
    name_hash_ = out_.names.expect(name_);
  };
  const auto args = [&] {
    // Of what needs none of them nothing is read.
    const event_class what = categories_[category_].what;
    if (what == event_class::frame || (what == event_class::other && category_ != 0)) return void(in.skip());
    args_used_ = true;
    if (in.peek() == json::kind::object) in.object([&](std::string_view k) { arg(in, k); });
    else in.skip();
  };
  // Kineto's order first.
  if (!in.begin()) return false;
  if (in.next_is("ph")) phase();
  if (in.next_is("cat")) category_text();
  if (in.next_is("name")) name();
  if (in.next_is("pid")) number_or_word(pid_, own_[0]);
  if (in.next_is("tid")) number_or_word(tid_, own_[1]);
  if (in.next_is("ts")) time(ts_, ts_state_);
  if (in.next_is("dur")) time(dur_, dur_state_);
  if (in.next_is("args")) args();
  in.rest([&](std::string_view key) {
    switch (key.size()) {
      case 2:
        if (is(key, "ph")) phase();
        else if (is(key, "ts")) time(ts_, ts_state_);
        break;
      case 3:
        if (is(key, "pid")) number_or_word(pid_, own_[0]);
        else if (is(key, "tid")) number_or_word(tid_, own_[1]);
        else if (is(key, "dur")) time(dur_, dur_state_);
        else if (is(key, "cat")) category_text();
        break;
      case 4:
        if (is(key, "name")) name();
        else if (is(key, "args")) args();
        break;
      default: break;
    }
  });
  if (!in.ok()) return false;
  emit(byte);
  if (in.repaired() != repaired) out_.count(trace_fault::repaired_text, byte, {}, in.repaired() - repaired);
  return true;
}

HOTPATH_FN void torch_builder::odd_element(std::uint64_t byte) {
  ++events_;
  out_.count(trace_fault::malformed_event, byte, "an element of traceEvents is not an object");
}

HOTPATH_FN void torch_builder::broken_event(std::string_view rest, std::uint64_t byte, std::string note) {
  const auto c = rest.empty() ? '\0' : rest[0];
  if (in_time_ && (c == 'N' || c == 'n' || c == 'I' || c == 'i' || c == '-')) out_.count(trace_fault::bad_time, byte);
  else out_.count(trace_fault::damaged, byte, std::move(note));
  in_time_ = false;
}

HOTPATH_FN void torch_builder::emit(std::uint64_t byte) {
  ++events_;
  ++phases_[static_cast<unsigned char>(phase_)];
  if (odd_ || phase_ == 0) return out_.count(trace_fault::malformed_event, byte);
  if (phase_ == 'M') {
    const int what = name_ == "process_name" ? 0 : name_ == "process_labels" ? 1 : name_ == "thread_name" ? 2 : -1;
    if (what >= 0 && args_used_) metadata_.push_back({track_of(pid_, tid_), static_cast<std::uint8_t>(what), args_.text});
    return;
  }
  if (phase_ != 'X' && phase_ != 'B' && phase_ != 'E') return;
  category& c = categories_[category_];
  c.count += phase_ == 'X';
  const auto fault = [&]() -> int {
    if (ts_state_ != number::good) return static_cast<int>(ts_state_ == number::absent ? trace_fault::no_time : trace_fault::bad_time);
    if (phase_ != 'X') return -1;
    if (dur_state_ != number::good) return static_cast<int>(dur_state_ == number::absent ? trace_fault::no_duration : trace_fault::bad_time);
    if (dur_.ns < 0) return static_cast<int>(trace_fault::negative_duration);
    std::int64_t end = 0;
    return __builtin_add_overflow(ts_.ns, dur_.ns, &end) ? static_cast<int>(trace_fault::bad_time) : -1;
  }();
  if (fault >= 0) return out_.count(static_cast<trace_fault>(fault), byte);
  if (phase_ == 'X' && c.what == event_class::other) return;
  event_row e;
  e.begin = ts_.ns, e.duration = dur_state_ == number::good ? dur_.ns : 0, e.byte = byte, e.track = track_of(pid_, tid_);
  e.what = c.what, e.category = category_, e.phase = phase_;
  e.name = name_.empty() ? 0 : out_.names.intern(name_, name_hash_);
  if (phase_ != 'E' && name_.size() > options_.names.bytes) out_.count(trace_fault::long_name, byte, "names were cut");
  if (phase_ == 'X') return store(e);
  e.args = args_;
  halves_.push_back(e);
}

// The args of an event with ph X are in args_.
HOTPATH_FN void torch_builder::store(const event_row& e) {
  const nanoseconds begin{e.begin}, duration{e.duration};
  const event_args& a = args_;
  // A device that cannot be told from another one by its number is none.
  const bool on_device = e.what == event_class::kernel || e.what == event_class::copy || e.what == event_class::set || e.what == event_class::sync;
  if (on_device && a.device != no_index && a.device > UINT16_MAX) return out_.count(trace_fault::malformed_event, e.byte, "a device's number is beyond 65,535");
  const auto track_number = [&](name_id model::track::*part) {
    std::uint64_t v = 0;
    return id_of(out_.names[out_.tracks[e.track].*part], v) && v < no_index ? static_cast<std::uint32_t>(v) : no_index;
  };
  switch (e.what) {
    case event_class::kernel: case event_class::copy: case event_class::set: {
      model::gpu_event g{.begin = begin, .duration = duration, .correlation = a.correlation, .external = a.external, .name = e.name, .stream = a.stream};
      g.graph = a.graph, g.graph_node = a.graph_node, g.track = e.track;
      if (g.stream == no_index) g.stream = track_number(&model::track::tid);
      const std::uint32_t device = a.device != no_index ? a.device : track_number(&model::track::pid);
      g.device = static_cast<std::uint16_t>(device <= UINT16_MAX ? device : 0);
      g.kind = e.what == event_class::kernel ? (a.is_graph ? model::gpu_kind::graph : model::gpu_kind::kernel) : e.what == event_class::copy ? model::gpu_kind::copy : model::gpu_kind::set;
      if (e.what != event_class::kernel) copy_facts(out_.names[e.name], {}, args_.detail), args_.has_detail = args_used_ = true;
      else args_.detail.copy_kind = 0;
      if (a.has_detail) g.detail = detail_of(a.detail);
      return out_.gpu.push_back(g);
    }
    case event_class::api: {
      model::api_call c{.begin = begin, .duration = duration, .correlation = a.correlation, .external = a.external, .name = e.name, .track = e.track};
      c.kernel = a.kernel;
      args_.detail.copy_kind = 0;
      if (a.has_detail) c.detail = detail_of(a.detail);
      return out_.api.push_back(c);
    }
    case event_class::op: return out_.ops.push_back({.begin = begin, .duration = duration, .external = a.external, .name = e.name, .track = e.track});
    case event_class::frame: return out_.frames.push_back({.begin = begin, .duration = duration, .name = e.name, .track = e.track});
    case event_class::annotation: case event_class::gpu_annotation: {
      model::annotation n{.begin = begin, .duration = duration, .external = a.external, .name = e.name, .track = e.track};
      if (e.what == event_class::gpu_annotation) {
        n.kind = model::annotation_kind::gpu_user;
        n.stream = a.stream != no_index ? a.stream : track_number(&model::track::tid);
      }
      return out_.annotations.push_back(n);
    }
    case event_class::sync: {
      model::sync_event s{.begin = begin, .duration = duration, .correlation = a.correlation, .waits_for = a.waits_for, .name = a.sync_kind != 0 ? a.sync_kind : e.name};
      s.stream = a.stream, s.waits_for_stream = a.waits_for_stream, s.track = e.track;
      s.device = static_cast<std::uint16_t>(a.device <= UINT16_MAX ? a.device : 0);
      return out_.syncs.push_back(s);
    }
    case event_class::other: return;
  }
}

HOTPATH_FN void torch_builder::merge(torch_builder& from) {
  model::timeline& o = from.out_;
  // Ids of the other are given in the order of the file, so that those who are new get the numbers that one reader alone would give.
  std::vector<name_id>& names = from.names_there_;
  for (std::size_t i = names.size(); i < o.names.size(); ++i) names.push_back(out_.names.intern(o.names[static_cast<name_id>(i)]));
  std::vector<std::uint32_t>& tracks = from.tracks_there_;
  for (std::size_t i = tracks.size(); i < o.tracks.size(); ++i) tracks.push_back(track_row(names[o.tracks[i].pid], names[o.tracks[i].tid]));
  std::vector<std::uint32_t>& details = from.details_there_;
  for (std::size_t i = details.size(); i < o.details.size(); ++i) {
    model::gpu_detail d = o.details[i];
    d.collective = names[d.collective], d.group = names[d.group], d.dtype = names[d.dtype];
    details.push_back(i == 0 ? 0 : detail_of(d));
  }
  for (std::size_t i = from.categories_there_.size(); i < from.categories_.size(); ++i) from.categories_there_.push_back(category_of(from.categories_[i].text));
  const auto append = [&](auto& rows, auto& more, auto change) {
    for (auto& row : more) row.name = names[row.name], row.track = tracks[row.track], change(row);
    if (rows.size() + more.size() > 2 * rows.size()) rows.reserve(rows.size() + 2 * more.size());
    for (const auto& row : more) rows.push_back(row);
  };
  append(out_.gpu, o.gpu, [&](model::gpu_event& g) { g.detail = details[g.detail]; });
  append(out_.api, o.api, [&](model::api_call& c) { c.detail = details[c.detail], c.kernel = names[c.kernel]; });
  append(out_.ops, o.ops, [](model::cpu_op&) {});
  append(out_.frames, o.frames, [](model::frame&) {});
  append(out_.annotations, o.annotations, [](model::annotation&) {});
  append(out_.syncs, o.syncs, [](model::sync_event&) {});
  for (event_row e : from.halves_) {
    e.name = names[e.name], e.track = tracks[e.track], e.category = from.categories_there_[e.category];
    e.args.kernel = names[e.args.kernel], e.args.sync_kind = names[e.args.sync_kind];
    model::gpu_detail& d = e.args.detail;
    d.collective = names[d.collective], d.group = names[d.group], d.dtype = names[d.dtype];
    halves_.push_back(e);
  }
  for (const metadata& m : from.metadata_) metadata_.push_back({tracks[m.track], m.what, names[m.text]});
  for (std::size_t i = 0; i < from.categories_.size(); ++i) categories_[from.categories_there_[i]].count += from.categories_[i].count;
  for (std::size_t i = 0; i < 256; ++i) phases_[i] += from.phases_[i];
  events_ += from.events_;
  for (model::trace_loss& l : o.lost) out_.count(l.fault, l.first_byte, std::move(l.note), l.count);
  from.clear(false);
}

// ---- the root ------------------------------------------------------------------------------------------------------------------------

HOTPATH_FN void torch_builder::device_properties(std::string_view value) {
  json::reader in(value, json::mode::tolerant_text);
  const auto whole = [&](auto& to) {
    using integer = std::remove_reference_t<decltype(to)>;
    std::uint64_t v = 0;
    if (!read_id(in, v)) return true;
    if (std::in_range<integer>(v)) to = static_cast<integer>(v);
    return std::in_range<integer>(v);
  };
  in.array([&] {
    if (in.peek() != json::kind::object || out_.devices.size() >= 4096) return;
    model::device d;
    d.ordinal = static_cast<std::uint16_t>(out_.devices.size());
    bool has_place = true;
    in.object([&](std::string_view key) {
      std::string_view text;
      if (key == "id") has_place = whole(d.ordinal);
      else if (key == "name" && in.string(text)) d.name.assign(text.substr(0, 256));
      else if (key == "totalGlobalMem") whole(d.memory_bytes);
      else if (key == "computeMajor") whole(d.compute_major);
      else if (key == "computeMinor") whole(d.compute_minor);
      else if (key == "numSms") whole(d.multiprocessors);
    });
    if (has_place) out_.devices.push_back(std::move(d));
    else out_.count(trace_fault::malformed_event, std::nullopt, "a device's number is beyond 65,535");
  });
}

// Of a name that the root has more than once the first one counts.
HOTPATH_FN void torch_builder::fact(std::string_view key, std::string_view value) {
  for (const auto& [k, v] : out_.about.more)
    if (k == key) return;
  out_.about.more.emplace_back(key, value);
}

HOTPATH_FN void torch_builder::distributed(std::string_view value) {
  json::reader in(value, json::mode::tolerant_text);
  if (in.peek() != json::kind::object) return;
  in.object([&](std::string_view key) {
    std::string_view text;
    std::uint64_t v = 0;
    if (key == "backend" && in.string(text)) out_.about.backend.assign(text.substr(0, 64));
    else if (key == "rank" && read_id(in, v) && v < (1u << 30)) out_.about.rank = static_cast<int>(v);
    else if (key == "world_size" && read_id(in, v) && v < (1u << 30)) out_.about.world_size = static_cast<int>(v);
    else if (key == "nccl_version" && in.string(text)) fact("nccl_version", text.substr(0, 64));
  });
}

HOTPATH_FN void torch_builder::member(std::string_view key, std::string_view value) {
  // What is not in this list is not kept: hosts, users, jobs and paths are among the rest.
  constexpr std::string_view kept[] = {"schemaVersion", "cupti_version", "cuda_runtime_version", "cuda_driver_version", "roctracer_version", "hip_runtime_version",
                                       "hip_driver_version", "displayTimeUnit", "profile_memory", "with_flops", "with_modules", "vllm_version"};
  const bool on = value == "1" || value == "true";
  if (key == "deviceProperties") return out_.devices.empty() ? device_properties(value) : void();
  if (key == "distributedInfo") return distributed(value);
  if (key == "with_stack") out_.about.with_stack = on;
  if (key == "record_shapes") out_.about.record_shapes = on;
  if (key == "vllm_version" && root_words_.empty()) root_words_.emplace_back("vllm");
  if (key == "baseTimeNanoseconds" && !base_given_) {
    json::reader in(value, json::mode::tolerant_text);
    base_given_ = in.integer(base_ns_);
  }
  for (const std::string_view k : kept)
    if (k == key && value.size() <= 64 && !value.empty() && value[0] != '{' && value[0] != '[') {
      if (value[0] == '"') value = value.substr(1, value.size() - 2);
      fact(key, value);
    }
}

// ---- behind the last event ------------------------------------------------------------------------------------------------------------

// B and E of a track nest by time. An E closes the innermost open B of its name, or the innermost if it has none; what is open within is closed with it.
HOTPATH_FN void torch_builder::match_halves() {
  if (halves_.empty()) return;
  sort_in_place(halves_, [](const event_row& a, const event_row& b) {
    if (a.track != b.track) return a.track < b.track;
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.byte < b.byte;
  });
  std::vector<std::size_t> open;
  std::vector<std::uint32_t> open_of(out_.names.size());  // by name: an E that has no B is known at once
  const auto close = [&](std::int64_t at, bool matched) {
    event_row e = halves_[open.back()];
    open.pop_back();
    --open_of[e.name];
    if (!matched) out_.count(trace_fault::unmatched_begin, e.byte);
    ++categories_[e.category].count;
    if (__builtin_sub_overflow(at, e.begin, &e.duration)) return out_.count(trace_fault::bad_time, e.byte);
    args_ = e.args, args_used_ = true;
    store(e);
  };
  for (std::size_t i = 0; i < halves_.size(); ++i) {
    const event_row& e = halves_[i];
    if (e.phase == 'B') {
      open.push_back(i);
      ++open_of[e.name];
    } else {
      std::size_t depth = e.name == 0 || open_of[e.name] != 0 ? open.size() : 0;
      while (depth != 0 && e.name != 0 && halves_[open[depth - 1]].name != e.name) --depth;
      if (depth == 0) {
        out_.count(trace_fault::unmatched_end, e.byte);
      } else {
        while (open.size() > depth) close(e.begin, false);
        close(e.begin, true);
      }
    }
    if (i + 1 == halves_.size() || halves_[i + 1].track != e.track)
      while (!open.empty()) close(e.begin, false);
  }
  halves_.clear();
}

// SGLang merges the ranks of a run into one file and puts "[TP00] " (TP, DP, PP, EP, joined by -) before each pid.
HOTPATH_FN void torch_builder::find_processes(std::string_view path) {
  constexpr std::uint32_t most_processes = UINT16_MAX;
  std::vector<name_id> prefixes;
  hotpath::detail::id_index number_of;
  std::uint64_t beyond = 0;
  for (model::track& t : out_.tracks) {
    const std::string_view p = process_of_pid(out_.names[t.pid]);
    if (p.empty()) continue;
    const name_id id = out_.names.intern(p);
    const std::uint32_t i = (std::min)(number_of.number(id), most_processes);
    if (i == most_processes) ++beyond;
    else if (i == prefixes.size()) prefixes.push_back(id);
    t.process = static_cast<std::uint16_t>((std::min)(i, most_processes - 1));
  }
  out_.count(trace_fault::unknown_process, std::nullopt, "the file has more processes than can be told apart: the tracks of those beyond the limit are with the last one", beyond);
  out_.processes.resize((std::max)(prefixes.size(), std::size_t{1}));
  for (std::size_t i = 0; i < out_.processes.size(); ++i) {
    model::process& p = out_.processes[i];
    p.source.assign(base_name(path));
    if (base_given_) p.unix_offset = nanoseconds{base_ns_};
    if (i < prefixes.size()) {
      const std::string_view label = out_.names[prefixes[i]];
      p.label = prefixes[i];
      std::uint64_t rank = 0;
      if (id_of(label.substr(2), rank) && rank < (1u << 30)) p.rank = static_cast<int>(rank);  // one number only: TP03
    }
  }
  if (prefixes.empty()) {
    model::process& p = out_.processes[0];
    p.rank = out_.about.rank;
    if (!p.rank) p.rank = rank_of_name(path), p.rank_from_name = p.rank.has_value();
  }
  // The host process is the one that most calls, operators or frames are of.
  std::vector<std::uint64_t> host(out_.tracks.size());
  for (const auto& r : out_.api) ++host[r.track];
  for (const auto& r : out_.ops) ++host[r.track];
  for (const auto& r : out_.frames) ++host[r.track];
  std::vector<std::uint64_t> most(out_.processes.size());
  for (std::size_t i = 0; i < out_.tracks.size(); ++i)
    if (const auto p = out_.tracks[i].process; host[i] > most[p]) most[p] = host[i], out_.processes[p].pid = out_.tracks[i].pid;
  for (const metadata& m : metadata_) {
    model::track& t = out_.tracks[m.track];
    model::process& p = out_.processes[t.process];
    if (m.what == 2) t.name = m.text;
    else if (m.what == 0 && t.pid == p.pid && p.pid != 0) p.name = m.text;
    else if (m.what == 1 && t.pid == p.pid && p.pid != 0 && prefixes.empty()) p.label = m.text;
  }
  if (!prefixes.empty()) {
    for (auto& g : out_.gpu) g.process = out_.tracks[g.track].process;
    for (auto& s : out_.syncs) s.process = out_.tracks[s.track].process;
  }
  // Without a base, times near today's are times since 1970.
  nanoseconds first{};
  if (!out_.api.empty()) first = out_.api[0].begin;
  else if (!out_.gpu.empty()) first = out_.gpu[0].begin;
  else if (!out_.ops.empty()) first = out_.ops[0].begin;
  constexpr std::int64_t since_2001 = 1'000'000'000'000'000'000;
  if (!base_given_ && first.ns > since_2001)
    for (model::process& p : out_.processes) p.clock = model::clock_kind::unix_time, p.unix_offset = nanoseconds{0};
}

HOTPATH_FN void torch_builder::find_duplicates() {
  struct call { std::uint64_t id; std::uint16_t process; };
  std::vector<call> calls;
  calls.reserve(out_.api.size());
  for (const model::api_call& c : out_.api)
    if (c.correlation != no_id && c.correlation != 0) calls.push_back({c.correlation, out_.tracks[c.track].process});
  sort_in_place(calls, [](const call& a, const call& b) { return a.process != b.process ? a.process < b.process : a.id < b.id; });
  std::uint64_t twice = 0;
  for (std::size_t i = 1; i < calls.size(); ++i) twice += calls[i].id == calls[i - 1].id && calls[i].process == calls[i - 1].process;
  out_.count(trace_fault::duplicate_correlation, std::nullopt, "several API calls of one process have the same correlation id; the first of them is used", twice);
}

HOTPATH_FN void torch_builder::find_engine() {
  constexpr struct { std::string_view word, engine; } signs[] = {
      {"sglang/", "sglang"}, {"vllm/", "vllm"}, {"tensorrt_llm/", "trtllm"}, {"tokenspeed/", "tokenspeed"}};
  std::uint64_t found[4] = {};
  const auto names = static_cast<name_id>((std::min)(out_.names.size(), std::size_t{100'000}));
  for (name_id i = 0; i < names; ++i)
    for (std::size_t s = 0; s < 4; ++s) found[s] += out_.names[i].find(signs[s].word) != std::string_view::npos;
  std::size_t best = 0;
  for (std::size_t s = 1; s < 4; ++s)
    if (found[s] > found[best]) best = s;
  if (found[best] != 0) out_.about.engine_hint = signs[best].engine;
  else if (!root_words_.empty()) out_.about.engine_hint = root_words_.front();
}

HOTPATH_FN void torch_builder::finish(std::string_view path) {
  match_halves();
  find_processes(path);
  find_duplicates();
  find_engine();
  model::trace_about& a = out_.about;
  a.file.assign(path);
  a.events = events_;
  for (unsigned c = 0; c < 256; ++c)
    if (phases_[c] != 0) a.by_phase.emplace_back(static_cast<char>(c), phases_[c]);
  for (const category& c : categories_)
    if (c.count != 0) a.by_category.emplace_back(c.text, c.count);
  // Names beyond the limit, counted by event: the number does not depend on who read what.
  if (out_.names.refused() != 0) {
    const name_id beyond = out_.names.find(name_table::beyond_limit);
    std::uint64_t shared = 0;
    const auto look = [&](const auto& rows) {
      for (const auto& r : rows) shared += r.name == beyond;
    };
    look(out_.gpu), look(out_.api), look(out_.ops), look(out_.frames), look(out_.annotations), look(out_.syncs);
    out_.count(trace_fault::too_many_names, std::nullopt, "events beyond the limit of distinct names share one", shared);
  }
  out_.sort();
}

// ---- threads --------------------------------------------------------------------------------------------------------------------------

// Every thread does whatever is due: the next chunk in order is appended, the source is read, a chunk is parsed ahead of its turn.
class torch_reader {
 public:
  torch_reader(byte_source source, std::string_view path, const read_options& o)
      : source_(source), path_(path), options_(o), chunks_(source, o), builder_(timeline_, o), document_(builder_, o) {
    threads_ = o.threads;
    if (threads_ == 0) threads_ = ::sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
    if (threads_ > 8) threads_ = 8;
  }
  torch_reader(const torch_reader&) = delete;
  torch_reader& operator=(const torch_reader&) = delete;
  ~torch_reader() {
    for (slot* s : slots_) delete s;
  }

  result<model::timeline> run() {
    if (threads_ == 1) {
      for (text_chunk c; chunks_.fill(c) && !document_.failed();) {
        tell();
        document_.feed(c.text(), c.last);
      }
    } else {
      for (unsigned i = 0; i < threads_ + 2; ++i) slots_.push_back(new slot(options_));
      std::vector<threading::thread> helpers(threads_ - 1);
      // Whatever ends this block: no helper outlives it.
      struct ending {
        torch_reader& reader;
        std::vector<threading::thread>& helpers;
        ~ending() {
          {
            const threading::lock held(reader.mutex_);
            reader.over_ = true;
          }
          reader.changed_.notify_all();
          for (threading::thread& t : helpers) t.join();
        }
      } const all_end{*this, helpers};
      for (threading::thread& t : helpers) t.start([this] { work(); });  // fewer threads than wished: the others do the work
      work();
    }
    if (document_.failed()) {
      error e = *document_.failed();
      if (e.source.empty()) e.source.assign(path_);
      return e;
    }
    if (!document_.found_events()) {
      error e = no_events(document_.about);
      e.source.assign(path_);
      return e;
    }
    if (chunks_.over_limit()) count_text_limit(timeline_, options_);
    timeline_.about.format = document_.about.array_root ? model::trace_format::chrome : model::trace_format::torch;
    timeline_.about.text_bytes = document_.about.text_bytes;
    builder_.finish(path_);
    return std::move(timeline_);
  }

 private:
  enum class state : std::uint8_t { free, filling, filled, parsing, parsed, merging };
  struct slot {
    explicit slot(const read_options& o) : builder(part, o, true), in({}, o.strict ? json::mode::strict : json::mode::tolerant_text) {}
    text_chunk text;
    model::timeline part;
    torch_builder builder;
    json::reader in;
    where at = where::events_value;
    stopped end{stop::text_end, 0, 0};
    std::uint64_t number = 0;
    state is = state::free;
  };

  void tell() {
    if (options_.progress != nullptr && source_.done != nullptr) options_.progress(options_.context, source_.done(source_.self), source_.total);
  }

  void work() {
    threading::lock held(mutex_);
    while (!over_) {
      if (slot* s = due()) {
        s->is = state::merging;
        held.let_go();
        const bool go_on = append(*s);
        held.take();
        s->is = state::free;
        ++next_;
        if (!go_on || s->text.last) over_ = true;
        changed_.notify_all();
      } else if (slot* empty = !reading_ && !read_all_ ? find(state::free) : nullptr) {
        empty->is = state::filling;
        reading_ = true;
        held.let_go();
        const bool got = chunks_.fill(empty->text);
        tell();
        held.take();
        reading_ = false;
        read_all_ = !got || empty->text.last;
        empty->number = filled_++;
        empty->is = empty->text.at_event ? state::filled : state::parsed;  // the prolog cannot be parsed ahead
        if (!empty->text.at_event) empty->end = {stop::text_end, 0, 0};
        changed_.notify_all();
      } else if (slot* s2 = find(state::filled)) {
        s2->is = state::parsing;
        held.let_go();
        s2->at = where::events_value;
        s2->end = scan_events(s2->in, s2->text.text(), 0, s2->text.offset, s2->at, s2->builder);
        held.take();
        s2->is = state::parsed;
        changed_.notify_all();
      } else {
        changed_.wait(held, [&] { return over_ || due() != nullptr || find(state::filled) != nullptr || (!reading_ && !read_all_ && find(state::free) != nullptr); });
      }
    }
  }

  slot* due() {
    for (slot* s : slots_)
      if (s->number == next_ && s->is == state::parsed) return s;
    return nullptr;
  }
  slot* find(state wanted) {
    slot* first = nullptr;
    for (slot* s : slots_)
      if (s->is == wanted && (first == nullptr || s->number < first->number)) first = s;
    return first;
  }

  // In order. What was parsed ahead counts only if the document stood at an event there.
  bool append(slot& s) {
    const std::string_view text = s.text.text();
    if (s.text.at_event && document_.at_event()) {
      builder_.merge(s.builder);
      document_.skip_events(s.end.at, s.at);
      if (s.end.at != text.size() || s.end.why != stop::text_end || s.text.last) {
        if (s.end.why == stop::array_end) document_.close_events(text.substr(s.end.at), s.text.last);
        else document_.feed(text.substr(s.end.at), s.text.last);
      }
    } else {
      s.builder.clear(true);
      document_.feed(text, s.text.last);
    }
    return !document_.failed();
  }

  byte_source source_;
  std::string_view path_;
  read_options options_;
  chunker chunks_;
  model::timeline timeline_;
  torch_builder builder_;
  document<torch_builder> document_;
  unsigned threads_ = 1;
  std::vector<slot*> slots_;
  threading::mutex mutex_;
  threading::condition changed_;
  std::uint64_t next_ = 0, filled_ = 0;
  bool reading_ = false, read_all_ = false, over_ = false;
};

}  // namespace detail

HOTPATH_FN result<model::timeline> read_source(byte_source source, std::string_view path, const read_options& options) {
  return detail::torch_reader(source, path, options).run();
}

HOTPATH_FN result<model::timeline> read_text(std::string_view text, const read_options& options) {
  struct state { std::string_view left; std::uint64_t done; } s{text, 0};
  byte_source source;
  source.self = &s;
  source.read = [](void* self, char* to, std::size_t room) {
    state& at = *static_cast<state*>(self);
    const std::size_t n = (std::min)(room, at.left.size());
    if (n != 0) std::memcpy(to, at.left.data(), n);
    at.left.remove_prefix(n);
    at.done += n;
    return n;
  };
  source.done = [](void* self) { return static_cast<state*>(self)->done; };
  source.total = text.size();
  return read_source(source, {}, options);
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
