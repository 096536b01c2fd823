// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/torch-inl.hpp - bodies of torch.hpp.
#pragma once
#include <cstring>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/trace/detail/torch_finish-inl.hpp>
#include <hotpath/trace/detail/torch_reader.hpp>
#include <hotpath/trace/detail/words.hpp>
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
  metadata_.clear(), halves_.clear(), half_args_.clear();
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
  if (phase_ == 'B' && args_used_) e.args = static_cast<std::uint32_t>(half_args_.size()), half_args_.push_back(args_);
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
      if (a.has_detail) g.detail = detail_index_.intern(out_.details, a.detail);
      return out_.gpu.push_back(g);
    }
    case event_class::api: {
      model::api_call c{.begin = begin, .duration = duration, .correlation = a.correlation, .external = a.external, .name = e.name, .track = e.track};
      c.kernel = a.kernel;
      args_.detail.copy_kind = 0;
      if (a.has_detail) c.detail = detail_index_.intern(out_.details, a.detail);
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
    details.push_back(detail_index_.intern(out_.details, d));
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
  const auto first_args = static_cast<std::uint32_t>(half_args_.size());
  for (event_args a : from.half_args_) {
    a.kernel = names[a.kernel], a.sync_kind = names[a.sync_kind];
    a.detail.collective = names[a.detail.collective], a.detail.group = names[a.detail.group], a.detail.dtype = names[a.detail.dtype];
    half_args_.push_back(a);
  }
  for (event_row e : from.halves_) {
    e.name = names[e.name], e.track = tracks[e.track], e.category = from.categories_there_[e.category];
    if (e.args != no_index) e.args += first_args;
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
  if (key == own_member) return read_own_member(value, told_);
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
