// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/write_chrome-inl.hpp - bodies of write_chrome.hpp.
#pragma once
#include <charconv>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/json.hpp>
#include <hotpath/trace/detail/links.hpp>
#include <hotpath/trace/detail/own_member.hpp>
#include <hotpath/trace/file_name.hpp>
#include <hotpath/trace/write_chrome.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

class chrome_writer {
 public:
  chrome_writer(const model::timeline& t, byte_sink sink, chrome_options o) : t_(t), sink_(sink), options_(o) { out_.base = nanoseconds{base_of(t)}; }

  result<written> run() {
    places();
    head();
    metadata();
    std::size_t link = 0;
    if (options_.flows) links_ = launch_links(t_);
    for (const model::gpu_event& e : t_.gpu) gpu(e);
    for (std::size_t i = 0; i < t_.api.size(); ++i) {
      api(t_.api[i]);
      for (; link < links_.size() && links_[link].api == i; ++link) flow(t_.api[i], t_.gpu[links_[link].gpu]);
    }
    for (const model::cpu_op& e : t_.ops) {
      begin("cpu_op", e.name, place(e.track), e.begin, e.duration);
      id("External id", e.external), end();
    }
    for (std::size_t i = 0; i < t_.frames.size(); ++i) {
      const model::frame& e = t_.frames[i];
      begin("python_function", e.name, place(e.track), e.begin, e.duration);
      number("Python id", i + 1);
      if (e.parent != model::no_index) number("Python parent id", std::uint64_t{e.parent} + 1);
      end();
    }
    for (const model::annotation& e : t_.annotations) annotation(e);
    for (const model::sync_event& e : t_.syncs) sync(e);
    buffer_ += "\n]}\n";
    flush(0);
    if (refused_) return error{.code = errc::io, .detail = "the trace could not be written"};
    return out_;
  }

 private:
  void flush(std::size_t keep) {
    if (buffer_.size() <= keep) return;
    if (!refused_) refused_ = !sink_(buffer_);
    out_.bytes += buffer_.size();
    buffer_.clear();
  }

  // ---- pieces
  void quoted(std::string_view s) { json::writer(buffer_).value(s); }
  void digits(std::uint64_t n) {
    char text[20];
    buffer_.append(text, std::to_chars(text, text + sizeof text, n).ptr);
  }
  // Nanoseconds as microseconds.
  void microseconds(std::uint64_t ns) {
    digits(ns / 1000);
    const auto rest = static_cast<unsigned>(ns % 1000);
    const char text[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10), static_cast<char>('0' + rest % 10)};
    buffer_.append(text, sizeof text);
  }
  void time(std::string_view key, nanoseconds at) {
    buffer_ += key;
    microseconds(static_cast<std::uint64_t>(at.ns) - static_cast<std::uint64_t>(out_.base.ns));
  }
  static std::string token(std::string_view text) {  // of a pid or tid: a number where it is one
    std::string out;
    if (is_integer(text)) out = text;
    else json::writer(out).value(text);
    return out;
  }

  // ---- where events go
  // Of one process a GPU has its ordinal as pid, as Kineto does. Of several, each pid tells its process, in the way of traces that SGLang merged:
  // "[TP03] 4711" is rank 3. Our reader and others tell processes apart by it.
  std::string prefix_of(std::uint16_t process, bool ranks) const {
    const std::string n = std::to_string(ranks ? *t_.processes[process].rank : static_cast<int>(process));
    std::string s = ranks ? "[TP" : "[NP";
    return s.append(n.size() < 2 ? 2 - n.size() : 0, '0').append(n).append(ranks ? "] " : " no rank] ");
  }
  std::string pid_of(const model::track& k) const {
    const std::string_view pid = t_.name(k.pid);
    std::string s = !process_of_pid(pid).empty() ? std::string() : prefixes_[k.process < prefixes_.size() ? k.process : 0];
    return s.append(pid);
  }
  std::string gpu_pid(std::uint16_t process, std::uint16_t device) const { return prefixes_[process < prefixes_.size() ? process : 0] + std::to_string(device); }
  void places() {
    const std::size_t n = t_.processes.size();
    hotpath::detail::id_index seen;
    bool ranks = true;  // each has one of its own
    for (std::size_t p = 0; ranks && p < n; ++p)
      if (ranks = t_.processes[p].rank.has_value(); ranks) seen.insert(0, static_cast<std::uint64_t>(*t_.processes[p].rank), 0, &ranks);
    for (std::size_t p = 0; p == 0 || p < n; ++p) prefixes_.push_back(n < 2 ? std::string() : prefix_of(static_cast<std::uint16_t>(p), ranks));
    for (const model::track& k : t_.tracks) {
      std::string s = "\"pid\":" + token(pid_of(k));
      places_.push_back(s.append(",\"tid\":").append(token(t_.name(k.tid))));
    }
  }
  std::string_view place(std::uint32_t track) const { return track < places_.size() ? std::string_view(places_[track]) : std::string_view("\"pid\":0,\"tid\":0"); }
  std::string_view gpu_place(std::uint32_t track, std::uint16_t process, std::uint16_t device, std::uint32_t stream) {
    if (track < places_.size()) return places_[track];
    const std::uint64_t key = std::uint64_t{process} << 48 | std::uint64_t{device} << 32 | stream;
    if (gpu_place_.empty() || key != gpu_key_) {
      gpu_key_ = key;
      gpu_place_ = "\"pid\":" + token(gpu_pid(process, device));
      gpu_place_.append(",\"tid\":").append(stream == model::no_index ? "-1" : std::to_string(stream));
    }
    return gpu_place_;
  }

  // ---- the parts of the file
  void head() {
    buffer_ += "{\n\"schemaVersion\":1,\n\"displayTimeUnit\":\"ns\"";
    const auto member = [&](std::string_view key) -> std::string& { return buffer_.append(",\n\"").append(key).append("\":"); };
    if (!t_.devices.empty()) {
      member("deviceProperties") += '[';
      for (std::size_t i = 0; i < t_.devices.size(); ++i) {
        const model::device& d = t_.devices[i];
        if (i != 0) buffer_ += ',';
        json::writer o(buffer_);
        o.object_begin(), o.member("id", d.ordinal), o.member("name", d.name), o.member("totalGlobalMem", d.memory_bytes);
        o.member("computeMajor", d.compute_major), o.member("computeMinor", d.compute_minor), o.member("numSms", d.multiprocessors);
        if (t_.processes.size() > 1) o.member("process", d.process);
        o.object_end();
      }
      buffer_ += ']';
    }
    const std::optional<int> rank = t_.about.rank ? t_.about.rank : t_.processes.size() == 1 ? t_.processes[0].rank : std::nullopt;
    if (t_.processes.size() < 2 && (rank || t_.about.world_size || !t_.about.backend.empty())) {
      member("distributedInfo");
      json::writer o(buffer_);
      o.object_begin();
      if (!t_.about.backend.empty()) o.member("backend", t_.about.backend);
      if (rank) o.member("rank", *rank);
      if (t_.about.world_size) o.member("world_size", *t_.about.world_size);
      o.object_end();
    }
    if (t_.about.with_stack) member("with_stack") += '1';
    if (t_.about.record_shapes) member("record_shapes") += '1';
    const auto unix_offset = t_.processes.empty() ? std::nullopt : t_.processes[0].unix_offset;
    if (unix_offset) member("baseTimeNanoseconds") += std::to_string((*unix_offset + out_.base).ns);
    else if (out_.base.ns != 0) member("otherData").append("{\"hotpath_base_ns\":\"").append(std::to_string(out_.base.ns)).append("\"}");
    if (t_.processes.size() > 1 || !t_.lost.empty()) {
      json::writer o(member(own_member));
      o.object_begin();
      if (t_.processes.size() > 1) processes(o);
      if (!t_.lost.empty()) write_lost(o, t_.lost);
      o.object_end();
    }
    buffer_ += ",\n\"traceEvents\":[";
  }

  // What tells processes beyond their prefix.
  void processes(json::writer& o) {
    o.key("processes"), o.array_begin();
    for (const model::process& p : t_.processes) {
      o.object_begin(), o.member("pid", t_.name(p.pid)), o.member("name", t_.name(p.name)), o.member("label", t_.name(p.label)), o.member("rank", p.rank);
      o.member("source", p.source), o.member("shift_ns", p.shift.ns), o.member("clock", clock_words[static_cast<std::size_t>(p.clock)]), o.object_end();
    }
    o.array_end();
  }

  void meta(std::string_view what, std::string_view at, std::string_view key, std::string_view value, bool is_text = true) {
    buffer_.append(first_ ? "\n" : ",\n").append("{\"ph\":\"M\",\"name\":\"").append(what).append("\",\"ts\":0,").append(at).append(",\"args\":{\"").append(key).append("\":");
    first_ = false;
    if (is_text) quoted(value);
    else buffer_ += value;
    buffer_ += "}}";
    flush(limit);
  }
  void metadata() {
    name_table done;  // pids, as JSON
    const auto process = [&](std::uint16_t p, const std::string& pid, bool gpu) {
      const std::string at = "\"pid\":" + token(pid) + ",\"tid\":0";
      const std::size_t before = done.size();
      done.intern(at);
      if (done.size() == before) return;
      const model::process* const at_process = p < t_.processes.size() ? &t_.processes[p] : nullptr;
      if (at_process != nullptr && at_process->name != 0) meta("process_name", at, "name", t_.name(at_process->name));
      std::string label = gpu ? "GPU " + (pid.find(' ') == std::string::npos ? pid : pid.substr(pid.rfind(' ') + 1)) : at_process != nullptr ? std::string(t_.name(at_process->label)) : std::string();
      if (at_process != nullptr && at_process->rank && t_.processes.size() > 1) label = "rank " + std::to_string(*at_process->rank) + (label.empty() ? "" : " ") + label;
      if (!label.empty()) meta("process_labels", at, "labels", label);
    };
    std::vector<bool> is_gpu(t_.tracks.size(), false);
    hotpath::detail::id_index devices;
    for (const model::gpu_event& e : t_.gpu) {
      bool fresh = false;
      if (e.track < is_gpu.size()) is_gpu[e.track] = true;
      else devices.insert(e.process, e.device, 0, &fresh);
      if (fresh) process(e.process, gpu_pid(e.process, e.device), true);
    }
    for (std::size_t i = 0; i < t_.tracks.size(); ++i) process(t_.tracks[i].process, pid_of(t_.tracks[i]), is_gpu[i]);
    for (std::size_t i = 0; i < t_.tracks.size(); ++i)
      if (t_.tracks[i].name != 0) meta("thread_name", places_[i], "name", t_.name(t_.tracks[i].name));
  }

  // ---- one event
  void begin(std::string_view category, name_id name, std::string_view at, nanoseconds from, nanoseconds duration) {
    buffer_.append(first_ ? "\n" : ",\n").append("{\"ph\":\"X\",\"cat\":\"").append(category).append("\",\"name\":");
    first_ = false, no_args_ = true;
    quoted(t_.name(name));
    buffer_.append(",").append(at);
    time(",\"ts\":", from);
    buffer_ += ",\"dur\":";
    microseconds(static_cast<std::uint64_t>(duration.ns));
    ++out_.events;
  }
  void end() {
    buffer_ += no_args_ ? "}" : "}}";
    flush(limit);
  }
  void key(std::string_view k) {
    buffer_.append(no_args_ ? ",\"args\":{\"" : ",\"").append(k).append("\":");
    no_args_ = false;
  }
  void number(std::string_view k, std::uint64_t n) { key(k), digits(n); }
  void signed_number(std::string_view k, std::int64_t n) { key(k), buffer_ += std::to_string(n); }
  void id(std::string_view k, std::uint64_t n) { if (n != model::no_id) number(k, n); }
  void index(std::string_view k, std::uint32_t n) { if (n != model::no_index) number(k, n); }
  void word(std::string_view k, name_id n) { if (n != 0) key(k), quoted(t_.name(n)); }
  void triple(std::string_view k, const std::uint32_t (&v)[3]) {
    if (v[0] == 0 && v[1] == 0 && v[2] == 0) return;
    key(k);
    for (int i = 0; i < 3; ++i) buffer_ += i == 0 ? '[' : ',', digits(v[i]);
    buffer_ += ']';
  }
  void detail(std::uint32_t i) {
    if (i == 0 || i >= t_.details.size()) return;
    const model::gpu_detail& d = t_.details[i];
    if (d.registers != 0) number("registers per thread", d.registers);
    if (d.shared_bytes != 0) number("shared memory", d.shared_bytes);
    triple("grid", d.grid), triple("block", d.block);
    if (d.occupancy >= 0) key("est. achieved occupancy %"), json::writer(buffer_).value(static_cast<double>(d.occupancy) * 100);
    word("Collective name", d.collective), word("dtype", d.dtype), word("Process Group Name", d.group);
    if (d.group_size != 0) number("Group size", d.group_size);
    if (d.bytes != 0) number(d.collective != 0 ? "In msg nelems" : "bytes", d.bytes);
    const auto one_of = [&](std::string_view k, std::uint8_t n, const auto& words) { if (n != 0 && n < std::size(words)) key(k), quoted(words[n]); };
    one_of("kind", d.copy_kind, copy_directions), one_of("source memory", d.source_memory, memory_kinds), one_of("target memory", d.target_memory, memory_kinds);
  }

  void gpu(const model::gpu_event& e) {
    begin(category_name(e.kind), e.name, gpu_place(e.track, e.process, e.device, e.stream), e.begin, e.duration);
    id("External id", e.external), number("device", e.device), index("stream", e.stream), id("correlation", e.correlation);
    index("graph id", e.graph), index("graph node id", e.graph_node), detail(e.detail);
    if (e.kind == model::gpu_kind::graph) key("kind"), quoted("graph");  // a whole one: no kernel of it is known
    end();
  }
  void api(const model::api_call& e) {
    begin(api_category(is_driver_call(t_.name(e.name))), e.name, place(e.track), e.begin, e.duration);
    id("External id", e.external), word("kernel", e.kernel), detail(e.detail), id("correlation", e.correlation);
    end();
  }
  void annotation(const model::annotation& e) {
    const bool gpu = e.kind == model::annotation_kind::gpu_user;
    begin(gpu ? "gpu_user_annotation" : "user_annotation", e.name, gpu ? gpu_place(e.track, t_.process_of(e.track), 0, e.stream) : place(e.track), e.begin, e.duration);
    id("External id", e.external), word("domain", e.domain);
    if (e.kind == model::annotation_kind::push_pop || e.kind == model::annotation_kind::start_end || e.kind == model::annotation_kind::mark)
      key("nvtx"), buffer_ += e.kind == model::annotation_kind::mark ? "\"mark\"" : e.kind == model::annotation_kind::push_pop ? "\"push_pop\"" : "\"start_end\"";
    if (e.open) key("open"), buffer_ += "true";
    end();
  }
  void sync(const model::sync_event& e) {
    begin("cuda_sync", e.name, gpu_place(e.track, e.process, e.device, e.stream), e.begin, e.duration);
    key("cuda_sync_kind"), quoted(t_.name(e.name));
    if (e.waits_for != model::no_id) number("wait_on_cuda_event_record_corr_id", e.waits_for);
    index("wait_on_stream", e.waits_for_stream);
    if (e.stream == model::no_index) signed_number("stream", -1);
    else number("stream", e.stream);
    id("correlation", e.correlation), number("device", e.device);
    end();
  }
  void flow(const model::api_call& from, const model::gpu_event& to) {
    std::string number = std::to_string(from.correlation);
    if (to.process != 0) number = "\"" + std::to_string(to.process) + ":" + number + "\"";  // flow ids are the file's, correlations a process's
    buffer_.append(",\n{\"ph\":\"s\",\"id\":").append(number).append(",").append(place(from.track));
    time(",\"ts\":", from.begin);
    buffer_.append(",\"cat\":\"ac2g\",\"name\":\"ac2g\"},\n{\"ph\":\"f\",\"id\":").append(number).append(",").append(gpu_place(to.track, to.process, to.device, to.stream));
    time(",\"ts\":", to.begin);
    buffer_ += ",\"cat\":\"ac2g\",\"name\":\"ac2g\",\"bp\":\"e\"}";
    ++out_.flows;
    flush(limit);
  }

  static constexpr std::size_t limit = 64 << 10;
  const model::timeline& t_;
  byte_sink sink_;
  chrome_options options_;
  written out_;
  std::string buffer_, gpu_place_;
  std::uint64_t gpu_key_ = 0;
  std::vector<std::string> prefixes_, places_;  // by process; by track: "pid":1,"tid":2
  rows<launch_link> links_;
  bool first_ = true, no_args_ = true, refused_ = false;
};

}  // namespace detail

HOTPATH_FN result<written> write_chrome(const model::timeline& t, byte_sink sink, chrome_options o) { return detail::chrome_writer(t, sink, o).run(); }

}  // namespace hotpath::inline HOTPATH_ABI::trace
