// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/write_perfetto-inl.hpp - bodies of write_perfetto.hpp. Field numbers: protos/perfetto/trace of google/perfetto, as the PyPI package
// perfetto 0.59.1 has them.
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/detail/links.hpp>
#include <hotpath/trace/write_perfetto.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Protobuf by hand: a field is its number and wire type, then a varint, eight bytes, or a length and bytes.
struct proto {
  std::string bytes = {};

  static void varint(std::string& out, std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
    out.push_back(static_cast<char>(v));
  }
  void number(std::uint32_t field, std::uint64_t v) { varint(bytes, field << 3), varint(bytes, v); }
  void fixed(std::uint32_t field, std::uint64_t v) {
    varint(bytes, field << 3 | 1);
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(v >> (8 * i)));
  }
  void real(std::uint32_t field, double v) { fixed(field, __builtin_bit_cast(std::uint64_t, v)); }
  void text(std::uint32_t field, std::string_view s) { varint(bytes, field << 3 | 2), varint(bytes, s.size()), bytes.append(s); }
  void name(std::uint32_t field, std::string_view s) {  // of a type that must be UTF-8
    if (text::is_utf8(s)) text(field, s);
    else text(field, text::repair_utf8(s));
  }
  void message(std::uint32_t field, const proto& m) { text(field, m.bytes); }
};

class perfetto_writer {
 public:
  perfetto_writer(const model::timeline& t, byte_sink sink, perfetto_options o) : t_(t), sink_(sink), options_(o) {}

  result<written> run() {
    if (!in_order()) return error{.code = errc::usage, .detail = "the timeline is not in order: call sort() first"};
    std::int64_t lo = 0, first = INT64_MAX;
    each_interval(t_, [&](nanoseconds begin, nanoseconds) {
      if (begin.ns < lo) lo = begin.ns;
      if (begin.ns < first) first = begin.ns;
    });
    out_.base = nanoseconds{lo};  // times are unsigned in this format
    known_.resize(t_.names.size());
    details_.resize(t_.details.size());
    if (options_.flows) {
      links_ = launch_links(t_);
      launched_.resize(t_.gpu.size());
      for (const launch_link& l : links_) launched_[l.gpu] = true;
    }
    order_streams();
    start(first == INT64_MAX ? 0 : first);
    places();
    threads();
    streams();
    flush(0);
    if (refused_) return error{.code = errc::io, .detail = "the trace could not be written"};
    return out_;
  }

 private:
  enum category : std::uint8_t { kernel = 1, memcpy, memset, runtime, driver, op, python, user, gpu_user, sync };
  static constexpr std::string_view categories[] = {"kernel", "gpu_memcpy", "gpu_memset", "cuda_runtime", "cuda_driver", "cpu_op", "python_function", "user_annotation", "gpu_user_annotation", "cuda_sync"};
  enum argument : std::uint8_t { correlation = 1, external, graph, graph_node, grid, block, registers, shared, occupancy, collective, group, group_size, dtype, elements, bytes, direction, source_memory, target_memory, launched, domain, open };
  static constexpr std::string_view arguments[] = {"correlation", "External id", "graph id", "graph node id", "grid", "block", "registers per thread", "shared memory", "est. achieved occupancy %", "Collective name",
    "Process Group Name", "Group size", "dtype", "In msg nelems", "bytes", "kind", "source memory", "target memory", "kernel", "domain", "open"};
  static constexpr std::size_t most_lanes = 64;

  // ---- packets: Trace{1: TracePacket}
  void flush(std::size_t keep) {
    if (buffer_.size() <= keep) return;
    if (!refused_) refused_ = !sink_(buffer_);
    out_.bytes += buffer_.size();
    buffer_.clear();
  }
  void put(proto& packet, bool first = false) {
    packet.number(10, 1);               // trusted_packet_sequence_id
    packet.number(13, first ? 1 : 2);   // sequence_flags: interned data begins anew; is needed
    buffer_.push_back(0x0A);
    proto::varint(buffer_, packet.bytes.size());
    buffer_ += packet.bytes;
    flush(64 << 10);
  }
  std::uint64_t time(std::int64_t ns) const { return static_cast<std::uint64_t>(ns) - static_cast<std::uint64_t>(out_.base.ns); }

  // The fixed names, and the clock.
  void start(std::int64_t first) {
    proto packet, interned;
    const auto intern = [&](std::uint32_t field, std::uint64_t iid, std::string_view name) {
      proto m;
      m.number(1, iid), m.text(2, name);
      interned.message(field, m);
    };
    for (std::size_t i = 0; i < std::size(categories); ++i) intern(1, i + 1, categories[i]);
    for (std::size_t i = 0; i < std::size(arguments); ++i) intern(3, i + 1, arguments[i]);
    packet.message(12, interned);
    put(packet, true);
    if (t_.processes.empty() || !t_.processes[0].unix_offset) return;
    proto snapshot, boot, real;
    boot.number(1, 6), boot.number(2, time(first));                                                        // BOOTTIME: the packets' clock
    real.number(1, 1), real.number(2, static_cast<std::uint64_t>((nanoseconds{first} + *t_.processes[0].unix_offset).ns));  // REALTIME
    snapshot.message(1, boot), snapshot.message(1, real);
    proto clock;
    clock.number(8, time(first)), clock.message(6, snapshot);
    put(clock);
  }

  // ---- tracks: TrackDescriptor
  std::uint64_t describe(std::uint64_t parent, std::string_view name, std::uint32_t kind = 0, const proto* what = nullptr) {
    proto d, packet;
    d.number(1, ++uuid_);
    if (parent != 0) d.number(5, parent);
    if (!name.empty()) d.name(2, name);
    if (what != nullptr) d.message(kind, *what);
    packet.message(60, d);
    put(packet);
    return uuid_;
  }
  static std::int64_t number_of(std::string_view s, std::int64_t otherwise, std::int64_t most) {
    std::int64_t n = 0;
    return is_integer(s) && text::to_number(s, n) && n >= 0 && n <= most ? n : otherwise;
  }
  void places() {
    const std::size_t n = t_.processes.empty() ? 1 : t_.processes.size();
    hotpath::detail::id_index taken;
    for (std::size_t p = 0; p < n; ++p) {
      const model::process at = p < t_.processes.size() ? t_.processes[p] : model::process{};
      std::int64_t pid = number_of(t_.name(at.pid), -1, 1'999'999'999);
      bool fresh = false;
      taken.insert(0, static_cast<std::uint64_t>(pid), 0, &fresh);
      if (!fresh || pid <= 0) pid = 2'000'000'000 + static_cast<std::int64_t>(p);  // beyond the pids of Linux
      pids_.push_back(pid);
      std::string name;
      if (at.rank && n > 1) name.append("rank ").append(std::to_string(*at.rank)).append(" ");
      name.append(t_.name(at.name));
      if (at.label != 0) name.append(name.empty() ? "" : " ").append(t_.name(at.label));
      proto process;
      process.number(1, static_cast<std::uint64_t>(pid));
      if (!name.empty()) process.name(6, name);
      processes_.push_back(describe(0, {}, 3, &process));
    }
    device_of_.assign(t_.tracks.size(), 0);
    for (const model::gpu_event& e : t_.gpu)
      if (e.track < device_of_.size()) device_of_[e.track] = e.device;
  }
  std::uint64_t process_uuid(std::uint16_t p) const { return processes_[p < processes_.size() ? p : 0]; }
  std::uint64_t device_uuid(std::uint16_t p, std::uint16_t device) {
    const std::uint32_t next = static_cast<std::uint32_t>(devices_.size()), at = device_index_.insert(p, device, next);
    if (at != next) return devices_[at];
    std::string name = "GPU ";
    name.append(std::to_string(device));
    for (const model::device& d : t_.devices) if (d.process == p && d.ordinal == device && !d.name.empty()) name.append(" ").append(d.name);
    devices_.push_back(describe(process_uuid(p), name));
    return devices_.back();
  }

  // ---- slices
  struct slice {
    std::int64_t begin, end;
    name_id name;
    category what;
  };
  struct lane {
    std::uint64_t uuid;
    std::vector<std::int64_t> open;   // ends, innermost last
  };
  // A track and its lanes; the next one begins when `parent` or `name` change.
  void track(std::uint64_t parent, std::string name, std::uint64_t own_uuid = 0) {
    close(INT64_MAX);
    lanes_.clear();
    parent_ = parent, name_ = std::move(name);
    if (own_uuid != 0) lanes_.push_back({own_uuid, {}});
  }
  void close(std::int64_t until) {
    for (lane& l : lanes_)
      for (; !l.open.empty() && l.open.back() <= until; l.open.pop_back()) {
        proto event, packet;
        event.number(9, 2), event.number(11, l.uuid);
        packet.number(8, time(l.open.back())), packet.message(11, event);
        put(packet);
      }
  }
  // Extra(proto& event) adds arguments and flows.
  template <class Extra>
  void put_slice(const slice& s, bool nests, Extra&& extra) {
    close(s.begin);
    lane* at = nullptr;
    for (lane& l : lanes_)
      if (at == nullptr && (l.open.empty() || (nests && l.open.back() >= s.end))) at = &l;
    if (at == nullptr) {
      if (lanes_.size() == most_lanes) return void(++out_.left_out);
      std::string name = name_;
      if (!lanes_.empty()) name.append(" lane ").append(std::to_string(lanes_.size() + 1));
      lanes_.push_back({describe(parent_, name), {}});
      at = &lanes_.back();
    }
    at->open.push_back(s.end);
    proto event, packet;
    event.number(9, 1), event.number(11, at->uuid), event.number(3, s.what), event.number(10, std::uint64_t{s.name} + 1);
    extra(event);
    packet.number(8, time(s.begin));
    packet.message(11, event);
    if (!known_[s.name]) {
      proto name, interned;
      name.number(1, std::uint64_t{s.name} + 1), name.name(2, t_.name(s.name));
      interned.message(2, name), packet.message(12, interned);
      known_[s.name] = true;
    }
    put(packet);
    ++out_.events;
  }
  void add(proto& event, const proto& a) const { if (options_.arguments) event.message(4, a); }
  void add(proto& event, argument name, std::uint64_t v) const {
    proto a;
    a.number(1, name), a.number(3, v);
    add(event, a);
  }
  void add(proto& event, argument name, std::string_view v) const {
    proto a;
    a.number(1, name), a.name(6, v);
    add(event, a);
  }
  void add_id(proto& event, argument name, std::uint64_t v) const { if (v != model::no_id) add(event, name, v); }
  // Of an interned detail: encoded once.
  std::string_view detail(std::uint32_t i) {
    if (i == 0 || i >= details_.size() || !options_.arguments) return {};
    if (!details_[i].empty()) return details_[i];
    const model::gpu_detail& d = t_.details[i];
    proto out;
    const auto triple = [&](argument name, const std::uint32_t (&v)[3]) {
      if (v[0] == 0 && v[1] == 0 && v[2] == 0) return;
      std::string s = "[";
      for (int k = 0; k < 3; ++k) s.append(k == 0 ? "" : ", ").append(std::to_string(v[k]));
      add(out, name, s += ']');
    };
    triple(grid, d.grid), triple(block, d.block);
    if (d.registers != 0) add(out, registers, d.registers);
    if (d.shared_bytes != 0) add(out, shared, d.shared_bytes);
    if (d.occupancy >= 0) {
      proto a;
      a.number(1, occupancy), a.real(5, static_cast<double>(d.occupancy) * 100);
      add(out, a);
    }
    if (d.collective != 0) add(out, collective, t_.name(d.collective));
    if (d.group != 0) add(out, group, t_.name(d.group));
    if (d.group_size != 0) add(out, group_size, d.group_size);
    if (d.dtype != 0) add(out, dtype, t_.name(d.dtype));
    if (d.bytes != 0) add(out, d.collective != 0 ? elements : bytes, d.bytes);
    const auto one_of = [&](argument name, std::uint8_t v, const auto& words) { if (v != 0 && v < std::size(words)) add(out, name, words[v]); };
    one_of(direction, d.copy_kind, copy_directions), one_of(source_memory, d.source_memory, memory_kinds), one_of(target_memory, d.target_memory, memory_kinds);
    return details_[i] = std::move(out.bytes);
  }

  // ---- host threads: four arrays in the order of their tracks, walked side by side
  void threads() {
    std::size_t a = 0, o = 0, f = 0, n = 0, link = 0;
    const auto host_annotation = [&] {
      while (n < t_.annotations.size() && t_.annotations[n].kind == model::annotation_kind::gpu_user) ++n;
    };
    std::uint64_t current = UINT64_MAX;
    for (;;) {
      host_annotation();
      // The next: by track, begin, longer first; of equal ones the annotation is around the frame, this around the operator, this around the call.
      int which = -1;
      std::uint32_t at_track = 0;
      slice best{};
      const auto offer = [&](int w, const auto& events, std::size_t i, category c) {
        if (i >= events.size()) return;
        const auto& e = events[i];
        const std::int64_t end = e.end().ns;
        if (which >= 0 && (e.track != at_track ? e.track > at_track : e.begin.ns != best.begin ? e.begin.ns > best.begin : end <= best.end)) return;
        which = w, at_track = e.track, best = {e.begin.ns, end, e.name, c};
      };
      offer(0, t_.annotations, n, user), offer(1, t_.frames, f, python), offer(2, t_.ops, o, op), offer(3, t_.api, a, runtime);
      if (which < 0) break;
      if (at_track != current) host_track(at_track), current = at_track;
      if (which == 0) {
        const model::annotation& e = t_.annotations[n++];
        put_slice(best, true, [&](proto& event) {
          add_id(event, external, e.external);
          if (e.domain != 0) add(event, domain, t_.name(e.domain));
          if (e.open) add(event, open, 1);
        });
      } else if (which == 1) {
        ++f;
        put_slice(best, true, [](proto&) {});
      } else if (which == 2) {
        const model::cpu_op& e = t_.ops[o++];
        put_slice(best, true, [&](proto& event) { add_id(event, external, e.external); });
      } else {
        const model::api_call& e = t_.api[a];
        if (is_driver_call(t_.name(e.name))) best.what = driver;
        const std::size_t first = link;
        while (link < links_.size() && links_[link].api == a) ++link;
        const std::uint64_t before = out_.events;
        put_slice(best, true, [&](proto& event) {
          add_id(event, correlation, e.correlation), add_id(event, external, e.external);
          if (e.kernel != 0) add(event, launched, t_.name(e.kernel));
          event.bytes += detail(e.detail);
          for (std::size_t i = first; i < link; ++i) if (launched_[links_[i].gpu]) event.fixed(47, std::uint64_t{links_[i].gpu} + 1);
        });
        for (std::size_t i = first; i < link; ++i)
          if (out_.events == before) launched_[links_[i].gpu] = false;  // the launch had no room: no arrow from nowhere
        ++a;
      }
    }
    track(0, {});
  }
  void host_track(std::uint32_t i) {
    if (i >= t_.tracks.size()) return track(process_uuid(0), "unknown thread");
    const model::track& k = t_.tracks[i];
    const std::string_view tid = t_.name(k.tid);
    const std::size_t p = k.process < pids_.size() ? k.process : 0;
    std::string name(t_.name(k.name));
    if (name.empty() && !is_integer(tid)) name = tid;
    proto thread;
    thread.number(1, static_cast<std::uint64_t>(pids_[p]));
    // A word gets a number beyond those of threads; so does what another pid of the same process has taken: equal numbers would be one thread.
    std::int64_t number = number_of(tid, 4'000'000'000 + i, 3'999'999'999);
    bool fresh = false;
    threads_.insert(static_cast<std::uint32_t>(p), static_cast<std::uint64_t>(number), 0, &fresh);
    if (!fresh) number = 4'000'000'000 + i;
    thread.number(2, static_cast<std::uint64_t>(number));
    if (!name.empty()) thread.name(5, name);
    const std::uint64_t own = describe(process_uuid(k.process), {}, 4, &thread);
    track(own, name.empty() ? "thread " + std::string(tid) : name, own);
  }

  // ---- streams, GPU annotations, synchronizations
  // GPU events by stream, and which of them will have no lane: an arrow to one must not begin.
  void order_streams() {
    for (std::size_t i = 0; i < t_.gpu.size(); ++i) order_.push_back(static_cast<std::uint32_t>(i));
    sort_in_place(order_, [&](std::uint32_t x, std::uint32_t y) {
      const model::gpu_event &a = t_.gpu[x], &b = t_.gpu[y];
      return model::lane_of(a) != model::lane_of(b) ? model::lane_of(a) < model::lane_of(b) : a.begin != b.begin ? a.begin < b.begin : x < y;
    });
    std::int64_t ends[most_lanes];
    std::size_t busy = 0;
    const model::gpu_event* last = nullptr;
    for (const std::uint32_t i : order_) {
      const model::gpu_event& e = t_.gpu[i];
      if (last == nullptr || model::lane_of(*last) != model::lane_of(e)) busy = 0;
      last = &e;
      for (std::size_t k = 0; k < busy;)
        if (ends[k] <= e.begin.ns) ends[k] = ends[--busy];
        else ++k;
      if (busy < most_lanes) ends[busy++] = e.end().ns;
      else if (options_.flows) launched_[i] = false;
    }
  }
  void streams() {
    bool first = true;
    std::uint64_t current = 0;
    for (const std::uint32_t i : order_) {
      const model::gpu_event& e = t_.gpu[i];
      if (first || model::lane_of(e) != current) track(device_uuid(e.process, e.device), stream_name(e.stream, e.track)), current = model::lane_of(e), first = false;
      const category what = e.kind == model::gpu_kind::copy ? memcpy : e.kind == model::gpu_kind::set ? memset : kernel;
      put_slice({e.begin.ns, e.end().ns, e.name, what}, false, [&](proto& event) {
        add_id(event, correlation, e.correlation), add_id(event, external, e.external);
        if (e.graph != model::no_index) add(event, graph, e.graph);
        if (e.graph_node != model::no_index) add(event, graph_node, e.graph_node);
        event.bytes += detail(e.detail);
        if (options_.flows && launched_[i]) event.fixed(48, std::uint64_t{i} + 1), ++out_.flows;
      });
    }

    rows<std::uint32_t> annotations;
    for (std::size_t i = 0; i < t_.annotations.size(); ++i)
      if (t_.annotations[i].kind == model::annotation_kind::gpu_user) annotations.push_back(static_cast<std::uint32_t>(i));
    const auto of = [](const model::annotation& e) { return std::uint64_t{e.track} << 32 | e.stream; };
    sort_in_place(annotations, [&](std::uint32_t x, std::uint32_t y) {
      const model::annotation &a = t_.annotations[x], &b = t_.annotations[y];
      return of(a) != of(b) ? of(a) < of(b) : x < y;
    });
    first = true;
    for (const std::uint32_t i : annotations) {
      const model::annotation& e = t_.annotations[i];
      if (first || of(e) != current) {
        track(device_uuid(t_.process_of(e.track), e.track < device_of_.size() ? device_of_[e.track] : std::uint16_t{0}), stream_name(e.stream, e.track) + " annotations"), current = of(e), first = false;
      }
      put_slice({e.begin.ns, e.end().ns, e.name, gpu_user}, true, [&](proto& event) { add_id(event, external, e.external); });
    }

    rows<std::uint32_t> syncs;
    for (std::size_t i = 0; i < t_.syncs.size(); ++i) syncs.push_back(static_cast<std::uint32_t>(i));
    sort_in_place(syncs, [&](std::uint32_t x, std::uint32_t y) {
      const model::sync_event &a = t_.syncs[x], &b = t_.syncs[y];
      return model::lane_of(a) != model::lane_of(b) ? model::lane_of(a) < model::lane_of(b) : x < y;
    });
    first = true;
    for (const std::uint32_t i : syncs) {
      const model::sync_event& e = t_.syncs[i];
      if (first || model::lane_of(e) != current) track(device_uuid(e.process, e.device), stream_name(e.stream, e.track) + " synchronizations"), current = model::lane_of(e), first = false;
      put_slice({e.begin.ns, e.end().ns, e.name, sync}, false, [&](proto& event) { add_id(event, correlation, e.correlation); });
    }
    track(0, {});
  }
  std::string stream_name(std::uint32_t stream, std::uint32_t track) const {
    if (stream != model::no_index) return "stream " + std::to_string(stream);
    const std::string_view tid = track < t_.tracks.size() ? t_.name(t_.tracks[track].tid) : std::string_view();
    return tid.empty() || tid.starts_with('-') ? "no stream" : "stream " + std::string(tid);   // -1: a context's synchronization
  }

  bool in_order() const {
    const auto check = [](const auto& events, auto key) {
      for (std::size_t i = 1; i < events.size(); ++i) {
        const auto &a = events[i - 1], &b = events[i];
        if (key(a) != key(b) ? key(a) > key(b) : a.begin > b.begin) return false;
      }
      return true;
    };
    const auto nested = [&](const auto& events) {
      for (std::size_t i = 1; i < events.size(); ++i)
        if (events[i - 1].track == events[i].track && events[i - 1].begin == events[i].begin && events[i - 1].duration < events[i].duration) return false;
      return check(events, [](const auto& e) { return e.track; });
    };
    return check(t_.syncs, [](const auto& e) { return std::uint32_t{e.process} << 16 | e.device; }) && nested(t_.api) && nested(t_.ops) && nested(t_.frames) && nested(t_.annotations);
  }

  const model::timeline& t_;
  byte_sink sink_;
  perfetto_options options_;
  written out_;
  std::string buffer_, name_;
  std::uint64_t uuid_ = 0, parent_ = 0;
  std::vector<std::int64_t> pids_;            // by process
  std::vector<std::uint64_t> processes_;      // uuids
  std::vector<std::uint64_t> devices_;        // uuids
  std::vector<std::uint16_t> device_of_;      // by track
  std::vector<lane> lanes_;
  std::vector<bool> known_, launched_;        // by name id; by GPU event
  std::vector<std::string> details_;          // by detail
  rows<launch_link> links_;
  rows<std::uint32_t> order_;                 // GPU events by stream and begin
  hotpath::detail::id_index device_index_;    // in devices_, by process and ordinal
  hotpath::detail::id_index threads_;         // numbers of threads that are taken, by process
  bool refused_ = false;
};

}  // namespace detail

HOTPATH_FN result<written> write_perfetto(const model::timeline& t, byte_sink sink, perfetto_options o) { return detail::perfetto_writer(t, sink, o).run(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
