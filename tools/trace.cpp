// SPDX-License-Identifier: Apache-2.0
// tools/trace.cpp - hotpath trace info|slice|merge|repair|convert: what a trace file holds, and files made from it.
#include <algorithm>
#include <bit>
#include <cstdio>

#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/kernel/step.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/trace.hpp>
#include <hotpath/trace/file_name.hpp>
#include <hotpath/trace/merge.hpp>
#include <hotpath/trace/repair.hpp>
#include <hotpath/trace/slice.hpp>
#include <hotpath/trace/write_perfetto.hpp>

#ifdef HOTPATH_HAS_ZLIB
#include <zlib.h>
#endif

#include "progress.hpp"

namespace tools {

using namespace hotpath;
namespace words = report::words;
using model::trace_format;

namespace {

// ---- SHA-256 (FIPS 180-4), of a file
class sha256 {
 public:
  void add(std::string_view bytes) {
    size_ += bytes.size();
    for (const char c : bytes) {
      block_[used_++] = static_cast<unsigned char>(c);
      if (used_ == 64) mix(), used_ = 0;
    }
  }
  std::string hex() {
    const std::uint64_t bits = size_ * 8;
    add(std::string_view("\x80", 1));
    while (used_ != 56) add(std::string_view("\0", 1));
    char length[8];
    for (int i = 0; i < 8; ++i) length[i] = static_cast<char>(bits >> (56 - 8 * i));
    add({length, 8});
    std::string out;
    for (const std::uint32_t h : state_)
      for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[h >> shift & 15];
    return out;
  }

 private:
  // The first 32 bits of the fractional parts of the cube roots of the first 64 primes; the state begins with those of the square roots of the first 8.
  static constexpr std::uint32_t k_[64] = {
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
      0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
      0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
      0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
  void mix() {
    std::uint32_t w[64];
    for (std::size_t i = 0; i < 16; ++i) w[i] = std::uint32_t{block_[4 * i]} << 24 | std::uint32_t{block_[4 * i + 1]} << 16 | std::uint32_t{block_[4 * i + 2]} << 8 | block_[4 * i + 3];
    for (std::size_t i = 16; i < 64; ++i)
      w[i] = w[i - 16] + w[i - 7] + (std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3) + (std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10);
    std::uint32_t v[8];
    std::copy(state_, state_ + 8, v);
    for (std::size_t i = 0; i < 64; ++i) {
      const std::uint32_t a = v[7] + (std::rotr(v[4], 6) ^ std::rotr(v[4], 11) ^ std::rotr(v[4], 25)) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k_[i] + w[i];
      const std::uint32_t b = (std::rotr(v[0], 2) ^ std::rotr(v[0], 13) ^ std::rotr(v[0], 22)) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
      for (int j = 7; j > 0; --j) v[j] = v[j - 1];
      v[4] += a, v[0] = a + b;
    }
    for (std::size_t i = 0; i < 8; ++i) state_[i] += v[i];
  }
  std::uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char block_[64];
  std::size_t used_ = 0;
  std::uint64_t size_ = 0;
};

struct file_facts {
  std::optional<std::string> sha256;  // nothing where the file could not be read a second time: it is a pipe, it changed, it is gone
  bool gzip = false;
};
file_facts look_at_file(const std::string& path, std::uint64_t bytes) {
  file_facts out;
  class sha256 sum;
  std::FILE* const f = std::fopen(path.c_str(), "rb");
  if (f == nullptr) return out;
  std::string part(1 << 16, '\0');
  std::uint64_t seen = 0;
  for (std::size_t n; (n = std::fread(part.data(), 1, part.size(), f)) != 0; seen += n) {
    if (seen == 0) out.gzip = part.starts_with("\x1f\x8b");
    sum.add({part.data(), n});
    progress::check();
  }
  if (std::ferror(f) == 0 && seen != 0 && seen == bytes) out.sha256 = sum.hex();
  std::fclose(f);
  return out;
}

// ---- what was lost
std::string loss_words(const model::trace_loss& l) {
  std::string s = std::string(name_of(l.fault)) + ": " + words::count(l.count);
  if (l.first_byte) s += ", first at byte " + words::count(*l.first_byte);
  if (!l.note.empty()) s += "; " + l.note;
  return s;
}
void say_losses(const std::string& path, const std::vector<model::trace_loss>& lost) {
  for (const model::trace_loss& l : lost) say(path + ": " + loss_words(l));
}
void losses(json::writer& w, const std::vector<model::trace_loss>& lost) {
  w.key("lost"), w.array_begin();
  for (const model::trace_loss& l : lost) w.object_begin(), w.member("fault", name_of(l.fault)), w.member("count", l.count), w.member("first_byte", l.first_byte), w.member("note", l.note), w.object_end();
  w.array_end();
}

std::string_view format_name(trace_format f) {
  switch (f) {
    case trace_format::torch: return "torch";
    case trace_format::chrome: return "chrome";
    case trace_format::nsys_sqlite: return "nsys_sqlite";
    case trace_format::session: return "session";
    default: return "unknown";
  }
}

// ---- info

// Microseconds, to the nanosecond: 11665.76
std::string microseconds(nanoseconds n) {
  const std::int64_t part = n.ns % 1000;
  std::string s = std::to_string(n.ns / 1000), rest = std::to_string(1000 + (part < 0 ? -part : part)).substr(1);
  if (n.ns < 0 && n.ns > -1000) s = "-0";
  while (!rest.empty() && rest.back() == '0') rest.pop_back();
  return rest.empty() ? s : s + "." + rest;
}
void time(json::writer& w, std::string_view key, nanoseconds n) { w.key(key), w.raw(microseconds(n)); }

struct step_counts {
  kernel::step_set steps;
  std::vector<std::pair<model::stage, std::uint64_t>> by_stage;
};
step_counts count_steps(const model::timeline& t, const std::string& path) {
  step_counts out{kernel::find_steps(t, {.file_label = trace::stage_of_name(path)}), {}};
  for (const kernel::step& s : out.steps.steps) {
    auto at = std::find_if(out.by_stage.begin(), out.by_stage.end(), [&](const auto& p) { return p.first == s.what; });
    if (at == out.by_stage.end()) out.by_stage.emplace_back(s.what, 1);
    else ++at->second;
  }
  return out;
}

std::string info_json(const model::timeline& t, const kernel::trace_facts& f, const step_counts& steps, const std::string& path) {
  const file_facts file = look_at_file(path, t.about.file_bytes);
  std::string out;
  json::writer w{out, 2};
  const auto counts = [&](std::string_view key, const auto& pairs, auto&& name) {
    w.key(key), w.object_begin();
    for (const auto& [k, n] : pairs) w.member(name(k), n);
    w.object_end();
  };
  const auto same = [](const auto& k) { return k; };
  w.object_begin();
  w.member("schema", "hotpath.trace_info/1"), w.member("file", trace::base_name(path)), w.member("format", format_name(t.about.format)), w.member("sha256", file.sha256);
  w.member("file_bytes", t.about.file_bytes);
  if (file.gzip) w.member("gz_bytes", t.about.file_bytes);
  if (t.about.format == trace_format::torch || t.about.format == trace_format::chrome) w.member("json_bytes", t.about.text_bytes);
  w.member("events", f.events), counts("phases", f.phases, same), counts("x_by_cat", f.x_by_cat, same);
  w.key("gpu_pids"), w.array_begin();
  for (const std::string& p : f.gpu_pids) w.value(p);
  w.array_end();
  w.member("gpu_events", f.gpu_events), w.member("kernels", f.kernels), w.member("distinct_kernel_names", f.distinct_kernel_names);
  time(w, "gpu_time_sum_us", f.gpu_time_sum), time(w, "gpu_busy_union_us", f.gpu_busy_union), time(w, "gpu_span_us", f.gpu_span);
  w.key("streams"), w.object_begin();
  for (const auto& s : f.streams) w.key(s.key), w.object_begin(), w.member("events", s.events), time(w, "sum_us", s.sum), time(w, "busy_union_us", s.busy_union), w.object_end();
  w.object_end();
  w.member("gpu_events_with_external_id", f.gpu_events_with_external_id), w.member("gpu_events_whose_external_id_names_a_cpu_op", f.gpu_events_whose_external_id_names_a_cpu_op);
  w.member("gpu_events_with_matching_launch_call", f.gpu_events_with_matching_launch_call), w.member("gpu_events_from_graph_launch", f.gpu_events_from_graph_launch);
  w.member("graph_launches", f.graph_launches), w.member("zero_duration_gpu_events", f.zero_duration_gpu_events);
  counts("step_annotations", f.step_annotations, same);
  w.member("steps", f.steps);
  counts("steps_by_stage", steps.by_stage, [](model::stage s) { return name_of(s); });
  w.member("device", t.devices.empty() ? std::optional<std::string_view>() : f.device_name);
  w.key("distributed"), w.object_begin();
  w.member("backend", f.backend.empty() ? std::optional<std::string_view>() : f.backend), w.member("rank", f.rank), w.member("world_size", f.world_size), w.object_end();
  const auto list = [&](std::string_view key, const std::vector<kernel::trace_facts::named>& names, bool ops) {
    w.key(key), w.array_begin();
    for (const auto& n : names) {
      w.object_begin(), w.member("name", n.name), w.member("count", n.count), time(w, ops ? "total_us" : "sum_us", n.sum);
      if (ops) time(w, "self_us", n.self);
      w.object_end();
    }
    w.array_end();
  };
  list("top10", f.top, false);
  w.key("annotations"), w.array_begin();  // of the host, that mark steps
  std::size_t shown = 0;
  for (const model::annotation& a : t.annotations)
    if (a.kind != model::annotation_kind::gpu_user && kernel::is_step_name(t.name(a.name)) && shown++ < 10'000) w.object_begin(), w.member("name", t.name(a.name)), time(w, "dur_us", a.duration), w.object_end();
  w.array_end();
  w.member("op_threads", f.op_threads), w.member("distinct_cpu_ops", f.distinct_cpu_ops), time(w, "cpu_op_self_sum_us", f.cpu_op_self_sum);
  list("top10_self", f.top_self, true);
  w.key("processes"), w.array_begin();
  for (const model::process& p : t.processes) w.object_begin(), w.member("rank", p.rank), w.member("rank_from_name", p.rank_from_name), w.member("source", p.source), w.member("unix_offset_ns", p.unix_offset ? std::optional<std::int64_t>(p.unix_offset->ns) : std::nullopt), w.object_end();
  w.array_end();
  w.member("engine", t.about.engine_hint), w.member("with_stack", t.about.with_stack), w.member("record_shapes", t.about.record_shapes);
  w.key("more"), w.object_begin();
  for (const auto& [k, v] : t.about.more) w.member(k, v);
  w.object_end();
  losses(w, t.lost), w.member("partial", t.partial());
  w.object_end();
  return out += '\n';
}

std::string short_time(nanoseconds n) { return n.ns < 10'000'000 && n.ns > -10'000'000 ? words::grouped(n.us()) + " us" : words::milliseconds(n.ms()); }

// Names of kernels are long: their middle is cut.
std::string fit(std::string_view name, std::size_t columns) {
  std::string s = text::printable(name, 4096);
  if (s.size() <= columns || columns < 8) return s.substr(0, (std::max)(columns, std::size_t{8}));
  while (columns > 8 && (static_cast<unsigned char>(s[columns - 3]) & 0xC0) == 0x80) --columns;
  return s.substr(0, columns - 3) + "...";
}

std::string info_text(const model::timeline& t, const kernel::trace_facts& f, const step_counts& steps, const std::string& path, const terminal& look) {
  const std::size_t width = std::clamp<std::size_t>(look.width, 60, 160);
  std::string out = text::printable(trace::base_name(path), width) + "\n";
  const auto row = [&](std::string_view key, const std::string& value) { if (!value.empty()) out.append("  ").append(key).append(key.size() < 11 ? 11 - key.size() : 1, ' ').append(value).append("\n"); };
  const bool text_file = t.about.format == trace_format::torch || t.about.format == trace_format::chrome;
  std::string what = t.about.format == trace_format::torch ? "torch (Kineto JSON)" : t.about.format == trace_format::chrome ? "Chrome JSON" : t.about.format == trace_format::nsys_sqlite ? "nsys export (SQLite)" : "unknown";
  what += ", " + words::bytes(static_cast<double>(t.about.file_bytes));
  if (text_file && t.about.text_bytes != t.about.file_bytes) what += ", " + words::bytes(static_cast<double>(t.about.text_bytes)) + " of text";
  row("format", what + ", " + words::count(f.events, text_file ? "event" : "row"));
  row("engine", text::printable(t.about.engine_hint, 60));
  std::string ranks;
  if (t.processes.size() > 1) {
    ranks = words::count(t.processes.size()) + " processes";
    std::string list;
    for (const model::process& p : t.processes) if (p.rank) list += (list.empty() ? ", ranks " : " ") + std::to_string(*p.rank);
    ranks += fit(list, width - 40);
  } else if (!t.processes.empty() && t.processes[0].rank) {
    ranks = std::to_string(*t.processes[0].rank) + (f.world_size ? " of " + std::to_string(*f.world_size) : "") + (t.processes[0].rank_from_name ? ", as the file's name says" : "");
  }
  if (!ranks.empty() && !f.backend.empty()) ranks += ", " + text::printable(f.backend, 20);
  row("rank", ranks);
  std::string devices;
  for (const auto& d : f.devices) {
    const std::string name = d.name.empty() ? "device " + std::to_string(d.ordinal) : text::printable(d.name, 40) + " (" + std::to_string(d.ordinal) + ")";
    if (devices.size() + name.size() < width - 20) devices += (devices.empty() ? "" : ", ") + name;
  }
  if (devices.empty() && !f.device_name.empty()) devices = text::printable(f.device_name, 40) + ", no work on it";
  row("device", devices);
  out += "\n";

  if (f.gpu_events == 0) {
    row("GPU", "no GPU event: a CPU-only process, or only counters were recorded");
  } else {
    row("GPU", words::count(f.gpu_events, "event") + ": " + words::count(f.kernels, "kernel") + " of " + words::count(f.distinct_kernel_names, "name") + ", " + words::count(f.gpu_events - f.kernels) + " copies and sets");
    const auto share = [](nanoseconds part, nanoseconds whole) { return whole.ns > 0 ? " (" + words::percent(static_cast<double>(part.ns) / static_cast<double>(whole.ns)) + ")" : std::string(); };
    nanoseconds wall{};
    for (const auto& d : f.devices) wall += d.span();
    row("span", short_time(f.gpu_span) + " from the first to the last of them" + (f.devices.size() > 1 ? ", the longest of " + words::count(f.devices.size(), "device") : ""));
    row("busy", short_time(f.gpu_busy_union) + share(f.gpu_busy_union, wall) + ", summed " + short_time(f.gpu_time_sum));
    row("launches", words::count(f.gpu_events_with_matching_launch_call) + " of " + words::count(f.gpu_events) + " have their launch, " + words::count(f.gpu_events_whose_external_id_names_a_cpu_op) + " their operator");
    if (f.graph_launches != 0) row("graphs", words::count(f.graph_launches, "replay") + ", " + words::count(f.gpu_events_from_graph_launch, "GPU event") + " of them");
  }
  row("host", words::count(t.api.size(), "API call") + ", " + words::count(t.ops.size(), "operator") + ", " + words::count(t.frames.size(), "Python frame"));
  row("", words::count(t.annotations.size(), "annotation") + ", " + words::count(t.syncs.size(), "synchronization"));
  std::string stages;
  for (const auto& [s, n] : steps.by_stage) stages += (stages.empty() ? "" : ", ") + words::count(n) + (s == model::stage::all ? " of no known stage" : " " + std::string(name_of(s)));
  row("steps", stages.empty() ? "none: no annotation of an engine or of torch's profiler" : stages);

  if (f.streams.size() > 1) {
    out += "\n  stream       events        sum       busy\n";
    for (std::size_t i = 0; i < f.streams.size() && i < 8; ++i) {
      const auto& s = f.streams[i];
      const auto right = [](std::string v, std::size_t n) { return std::string(v.size() < n ? n - v.size() : 0, ' ') + v; };
      const std::string key = fit(s.key, 12);
      out += "  " + key + std::string(key.size() < 10 ? 10 - key.size() : 0, ' ') + right(words::count(s.events), 9) + right(words::milliseconds(s.sum.ms()), 11) + right(words::milliseconds(s.busy_union.ms()), 11) + "\n";
    }
    if (f.streams.size() > 8) out += "  and " + words::count(f.streams.size() - 8) + " more\n";
  }
  if (!f.top.empty()) {
    out += "\n  longest        sum  launches  name\n";
    for (std::size_t i = 0; i < f.top.size() && i < 5; ++i) {
      const auto right = [](std::string v, std::size_t n) { return std::string(v.size() < n ? n - v.size() : 0, ' ') + v; };
      const auto& k = f.top[i];
      out += "  " + right(words::percent(f.gpu_time_sum.ns > 0 ? static_cast<double>(k.sum.ns) / static_cast<double>(f.gpu_time_sum.ns) : 0), 7) + right(words::milliseconds(k.sum.ms()), 11) + right(words::count(k.count), 10) + "  " + fit(k.name, width - 34) + "\n";
    }
  }
  if (!t.lost.empty()) {
    out += t.partial() ? "\n  lost\n" : "\n  notes\n";
    for (const model::trace_loss& l : t.lost) {
      std::string line = "  ";
      text::split(text::printable(loss_words(l), 1024), ' ', [&](std::string_view word) {
        if (line.size() > 4 && line.size() + 1 + word.size() > width) out += line + "\n", line = "   ";
        line.append(line.size() > 3 || line == "  " ? (line == "  " ? "" : " ") : " ").append(word);
      });
      out += line + "\n";
    }
  }
  return out;
}

// ---- files made from traces

// The bytes of a writer on their way into a file, gzip'ed where its name says so.
class written_file {
 public:
  explicit written_file(const std::string& path) : file_(path), gzip_(is_gzip_name(path)) {}
  result<void> open() {
#ifndef HOTPATH_HAS_ZLIB
    if (gzip_) return error{.code = errc::unsupported, .detail = "this build cannot write gzip", .source = "--output", .hint = "leave .gz away"};
#else
    if (gzip_ && ::deflateInit2(&stream_, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return error{.code = errc::internal, .detail = "zlib refuses to begin"};
#endif
    return file_.open();
  }
  ~written_file() {
#ifdef HOTPATH_HAS_ZLIB
    if (gzip_) ::deflateEnd(&stream_);
#endif
  }
  written_file(const written_file&) = delete;
  written_file& operator=(const written_file&) = delete;
  bool operator()(std::string_view bytes) {
    progress::check();
    return gzip_ ? pack(bytes, false) : put(bytes);
  }
  // Only what is whole gets its name.
  result<void> close() {
    if (gzip_ && !pack({}, true) && !refused_) return error{.code = errc::io, .detail = "zlib could not compress it", .source = "--output"};
    return file_.close();
  }
  std::uint64_t bytes() const { return bytes_; }  // of the file, after close()
  // Of a writer that failed, why: what the file says tells more, where the file is the reason. Nothing gets its name.
  error why(const error& e) {
    if (refused_)
      if (auto closed = file_.close(); !closed) return closed.error();
    return e;
  }

 private:
  bool put(std::string_view bytes) {
    bytes_ += bytes.size();
    return !(refused_ = !file_.write(bytes));
  }
#ifdef HOTPATH_HAS_ZLIB
  bool pack(std::string_view bytes, bool last) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    char out[1 << 16];
    int rc = Z_OK;
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(out), stream_.avail_out = sizeof out;
      rc = ::deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) return false;  // Z_BUF_ERROR: nothing was left to do
      if (!put({out, sizeof out - stream_.avail_out})) return false;
    } while (stream_.avail_out == 0);
    return !last || rc == Z_STREAM_END;
  }
  z_stream stream_{};
#else
  bool pack(std::string_view, bool) { return false; }
#endif
  output_file file_;
  std::uint64_t bytes_ = 0;
  bool gzip_, refused_ = false;
};

bool is_perfetto_name(std::string_view path) {
  if (is_gzip_name(path)) path.remove_suffix(3);
  return path.ends_with(".pftrace") || path.ends_with(".perfetto-trace") || path.ends_with(".pb") || path.ends_with(".perfetto");
}

result<bool> wants_perfetto(const given& to, const std::string& output) {
  if (!to) return is_perfetto_name(output);
  if (*to == "chrome" || *to == "perfetto") return *to == "perfetto";
  return error{.code = errc::usage, .detail = "\"" + text::printable(*to, 64) + "\" is not a format to write, want chrome or perfetto", .source = "--to"};
}

struct made : trace::written {
  std::uint64_t file_bytes = 0;  // packed, where the name asks for it
};
result<made> write(const model::timeline& t, bool perfetto, const std::string& path) {
  written_file file(path);
  if (auto opened = file.open(); !opened) return opened.error();
  auto w = perfetto ? trace::write_perfetto(t, file) : trace::write_chrome(t, file);
  if (!w) return file.why(w.error());
  if (auto closed = file.close(); !closed) return closed.error();
  return made{*w, file.bytes()};
}

// Of a file that could not be written, whose input was read with losses or without: said, unless it is stdout whose reader left.
exit_code not_written(const error& e, bool partial) {
  if (nobody_reads()) return partial ? exit_code::partial : exit_code::ok;
  return fail(e, code_of(e));
}

// What was made: words on stderr, or JSON on stdout.
template <class F>
void tell_made(const std::string& output, const std::string& sentence, bool as_json, F&& members) {
  if (nobody_reads()) return;
  if (!as_json) return say(sentence + " to " + (output == "-" ? "stdout" : output));
  std::string out;
  json::writer w{out, 2};
  w.object_begin(), w.member("schema", "hotpath.trace_file/1"), w.member("output", output);
  members(w);
  w.object_end();
  print(out += '\n');
}
// "556.6 kB of Perfetto as 45.0 kB of gzip".
std::string sizes(std::uint64_t bytes, const char* of, std::uint64_t file_bytes) {
  return words::bytes(static_cast<double>(bytes)) + " of " + of + (file_bytes != bytes ? " as " + words::bytes(static_cast<double>(file_bytes)) + " of gzip" : "");
}
void sizes(json::writer& j, std::uint64_t bytes, std::uint64_t file_bytes) { j.member("file_bytes", file_bytes), j.member("unpacked_bytes", bytes); }

exit_code info(const trace_flags& flags) {
  const auto format = format_of(flags.out, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  const std::string& path = flags.files.front();
  progress bar{std::string(trace::base_name(path))};
  auto t = read_trace(path, &bar);
  bar.clear();
  if (!t) return fail(t.error(), code_of(t.error()));
  const kernel::trace_facts f = kernel::facts(*t);
  const step_counts steps = count_steps(*t, path);
  print(*format == "json" ? info_json(*t, f, steps, path) : info_text(*t, f, steps, path, terminal_of(1)));
  return t->partial() ? exit_code::partial : exit_code::ok;
}

exit_code convert(const trace_flags& flags) {
  const auto perfetto = wants_perfetto(flags.to, flags.output);
  if (!perfetto) return fail(perfetto.error(), exit_code::usage);
  const std::string& path = flags.files.front();
  progress bar{std::string(trace::base_name(path))};
  auto t = read_trace(path, &bar);
  bar.clear();
  if (!t) return fail(t.error(), code_of(t.error()));
  const auto w = write(*t, *perfetto, flags.output);
  if (!w) return not_written(w.error(), t->partial());
  say_losses(path, t->lost);
  if (w->left_out != 0) say(flags.output + ": " + words::count(w->left_out, "event") + " left out: more than 64 at once on one track");
  tell_made(flags.output, "wrote " + words::count(w->events, "event") + ", " + sizes(w->bytes, *perfetto ? "Perfetto" : "Chrome JSON", w->file_bytes), flags.out.json, [&](json::writer& j) {
    j.member("format", *perfetto ? "perfetto" : "chrome"), j.member("events", w->events), j.member("flows", w->flows), j.member("left_out", w->left_out), sizes(j, w->bytes, w->file_bytes), j.member("base_ns", w->base.ns);
    losses(j, t->lost);
  });
  return t->partial() || w->left_out != 0 ? exit_code::partial : exit_code::ok;
}

exit_code repair(const trace_flags& flags) {
  const std::string& path = flags.files.front();
  if (is_nsys(path)) return fail({.code = errc::unsupported, .detail = "repair mends torch traces (JSON); this is Nsight's", .source = path, .hint = "sqlite3 can recover a database"}, exit_code::unusable);
  progress bar{std::string(trace::base_name(path))};
  trace::read_options o;
  bar.into_writing(o);
  written_file file(flags.output);
  if (auto opened = file.open(); !opened) return fail(opened.error(), code_of(opened.error()));
  auto r = trace::repair<inflater>(path, file, o);
  bar.clear();
  if (!r) {
    const error e = file.why(r.error());
    return not_written(e, false);
  }
  if (auto closed = file.close(); !closed) return not_written(closed.error(), r->lost());
  say_losses(path, r->about.lost);
  if (r->lost_around) say(path + ": text around the events was no JSON and was left out");
  if (r->closed) say(path + ": the end of the document was missing and was written");
  if (r->dropped != 0) say(path + ": " + words::count(r->dropped, "event") + " could not be made JSON");
  if (!r->lost() && !r->closed && r->cleaned == 0) say(path + ": nothing was wrong with it");
  tell_made(flags.output, "wrote " + words::count(r->kept, "event"), flags.out.json, [&](json::writer& j) {
    j.member("events", r->kept), j.member("cleaned", r->cleaned), j.member("dropped", r->dropped), j.member("closed", r->closed), sizes(j, r->bytes, file.bytes());
    losses(j, r->about.lost);
  });
  return r->lost() ? exit_code::partial : exit_code::ok;
}

// Events that slice_file would write, without metadata, which stays whatever is asked for. Nothing is written.
result<std::uint64_t> count_events(const std::string& path, const model::timeline& t, const trace::selection& s, progress& bar) {
  trace::read_options o;
  bar.into(o);
  auto nowhere = [](std::string_view) { return true; };
  const auto r = trace::slice_file<inflater>(path, t, s, nowhere, o);
  bar.clear();
  if (!r) return r.error();
  return r->kept - r->metadata;
}

// What --category can name: the words of a JSON file for its complete events; elsewhere the classes that are there.
std::vector<std::string> categories_of(const model::timeline& t, bool text_file) {
  std::vector<std::string> out;
  if (text_file)
    for (const auto& [name, n] : t.about.by_category) out.push_back(name);
  const auto add = [&](bool any, std::string_view word) { if (!text_file && any) out.emplace_back(word); };
  for (const model::gpu_kind k : {model::gpu_kind::kernel, model::gpu_kind::copy, model::gpu_kind::set})
    add(std::any_of(t.gpu.begin(), t.gpu.end(), [&](const model::gpu_event& e) { return e.kind == k; }), k == model::gpu_kind::kernel ? "kernel" : k == model::gpu_kind::copy ? "gpu_memcpy" : "gpu_memset");
  add(!t.api.empty(), "cuda_runtime"), add(!t.api.empty(), "cuda_driver"), add(!t.ops.empty(), "cpu_op"), add(!t.frames.empty(), "python_function");
  add(!t.annotations.empty(), "user_annotation"), add(!t.syncs.empty(), "cuda_sync");
  return out;
}
std::string listed(const std::vector<std::string>& all) {
  std::string out;
  for (std::size_t i = 0; i < all.size() && i < 40; ++i) out += (out.empty() ? "" : ", ") + text::printable(all[i], 64);
  return out.empty() ? "none" : all.size() > 40 ? out + ", ..." : out;
}

// "0 to 2,248.1 us", since `zero`.
template <class... Events>
std::string extent(nanoseconds zero, const Events&... all) {
  std::int64_t from = INT64_MAX, to = INT64_MIN;
  const auto widen = [&](const auto& events) { for (const auto& e : events) from = (std::min)(from, e.begin.ns), to = (std::max)(to, e.end().ns); };
  (widen(all), ...);
  const auto since = [&](std::int64_t at) { return at == zero.ns ? std::string("0") : short_time(nanoseconds{at} - zero); };
  return from > to ? "nowhere" : "from " + since(from) + " to " + since(to);
}

error nothing_kept(const std::string& path, const model::timeline& t, const trace_flags& flags, bool text_file) {
  const nanoseconds zero = trace::after_first_gpu(t, {}).begin;
  error e{.code = errc::empty, .detail = "no event fits", .source = path};
  const std::string all = extent(zero, t.gpu, t.api, t.ops, t.frames, t.annotations, t.syncs);
  e.hint = t.gpu.empty() ? "it has no GPU event; its events are " + all + ", since the first of them" : "its GPU events are " + extent(zero, t.gpu) + ", all of its events " + all + ", since the first GPU event";
  if (flags.category) e.hint += "; its categories are " + listed(categories_of(t, text_file));
  return e;
}

// Steps by number, from 0 in time order, or by the text of their annotation; "3,5-7" or "step[DECODE bs=32]".
result<std::vector<trace::host_range>> read_steps(const std::string& value, const model::timeline& t, const kernel::step_set& steps) {
  std::vector<trace::host_range> out;
  const auto wrong = [&](std::string why) { return error{.code = errc::usage, .detail = std::move(why), .source = "--step"}; };
  if (steps.steps.empty()) return wrong("this trace has no steps: no annotation of an engine or of torch's profiler");
  const auto take = [&](const kernel::step& s) { out.push_back({.begin = s.begin, .end = s.end, .process = s.process}); };
  for (const kernel::step& s : steps.steps) if (t.name(s.annotation) == value) take(s);
  if (!out.empty()) return out;
  if (value.find_first_not_of("0123456789,- ") != std::string::npos) {
    for (const kernel::step& s : steps.steps) if (t.name(s.annotation).find(value) != std::string_view::npos) take(s);
    if (!out.empty()) return out;
    return wrong("no step is called \"" + text::printable(value, 100) + "\"; the first is " + text::printable(t.name(steps.steps.front().annotation), 100));
  }
  std::optional<error> bad;
  text::split(value, ',', [&](std::string_view part) {
    std::string_view to = text::trim(part);
    const std::string_view from = text::take(to, '-');
    std::uint64_t a = 0, b = 0;
    if (!text::to_number(text::trim(from), a) || (!to.empty() && !text::to_number(text::trim(to), b))) bad = wrong("\"" + text::printable(part, 64) + "\" is not a step, want numbers from 0 such as 3,5-7, or an annotation's text");
    if (to.empty()) b = a;
    if (!bad && (b < a || b >= steps.steps.size())) bad = wrong("there is no step " + std::to_string(b) + ": this trace has " + words::count(steps.steps.size(), "step") + ", from 0");
    for (std::uint64_t i = a; !bad && i <= b; ++i) take(steps.steps[i]);
  });
  if (bad) return *bad;
  return out;
}

exit_code slice(const trace_flags& flags) {
  const auto perfetto = wants_perfetto(flags.to, flags.output);
  if (!perfetto) return fail(perfetto.error(), exit_code::usage);
  if (!flags.time && !flags.step && !flags.rank && !flags.category) return usage("say what to keep: --time, --step, --rank or --category");
  trace::selection s;
  std::optional<trace::time_range> range;
  if (flags.time) {
    const auto r = read_range("--time", *flags.time);
    if (!r) return fail(r.error(), exit_code::usage);
    range = trace::time_range{r->from.value_or(nanoseconds{INT64_MIN / 4}), r->to.value_or(nanoseconds{INT64_MAX / 4})};
  }
  if (flags.rank) {
    const auto n = read_count("--rank", *flags.rank, 0, 1'000'000);
    if (!n) return fail(n.error(), exit_code::usage);
    s.rank = static_cast<int>(*n);
  }
  if (flags.category) text::split(*flags.category, ',', [&](std::string_view c) { s.categories.emplace_back(text::trim(c)); });

  const std::string& path = flags.files.front();
  progress bar{std::string(trace::base_name(path))};
  auto t = read_trace(path, &bar);
  bar.clear();
  if (!t) return fail(t.error(), code_of(t.error()));
  if (s.rank && std::none_of(t->processes.begin(), t->processes.end(), [&](const model::process& p) { return p.rank == s.rank; })) {
    std::string ranks;
    for (const model::process& p : t->processes) if (p.rank) ranks += (ranks.empty() ? "" : ", ") + std::to_string(*p.rank);
    return fail({.code = errc::usage, .detail = "this trace has no rank " + std::to_string(*s.rank) + (ranks.empty() ? ": it tells none" : ", it has " + ranks), .source = "--rank"}, exit_code::usage);
  }
  if (range) s.time = trace::after_first_gpu(*t, *range);
  if (flags.step) {
    auto steps = read_steps(*flags.step, *t, kernel::find_steps(*t));
    if (!steps) return fail(steps.error(), exit_code::usage);
    s.steps = std::move(*steps);
  }

  std::uint64_t kept = 0, gpu = 0, bytes = 0, file_bytes = 0, left_out = 0;
  const bool text_file = t->about.format == trace_format::torch || t->about.format == trace_format::chrome;
  const bool halves = std::any_of(t->about.by_phase.begin(), t->about.by_phase.end(), [](const auto& p) { return p.first == 'B'; });
  const bool as_timeline = *perfetto || t->about.format == trace_format::nsys_sqlite || halves;
  for (const std::string& c : s.categories) {
    if (trace::detail::class_of(c) != trace::detail::event_class::other || trace::detail::class_of(text::lower(c)) != trace::detail::event_class::other) continue;
    const auto known = categories_of(*t, text_file);
    if (std::any_of(known.begin(), known.end(), [&](const std::string& k) { return text::equal_ignoring_case(k, c); })) continue;
    const auto n = as_timeline ? result<std::uint64_t>(0u) : count_events(path, *t, {.categories = {c}}, bar);  // of another phase: flows, instants
    if (!n) return fail(n.error(), code_of(n.error()));
    if (*n == 0) return fail({.code = errc::usage, .detail = "\"" + text::printable(c, 64) + "\" is no category of this trace, which has " + listed(known), .source = "--category"}, exit_code::usage);
  }
  std::optional<model::timeline> part = trace::slice(*t, s);
  if (part->about.events == 0) {
    const auto n = as_timeline ? result<std::uint64_t>(0u) : count_events(path, *t, s, bar);
    if (!n) return fail(n.error(), code_of(n.error()));
    if (*n == 0) return fail(nothing_kept(path, *t, flags, text_file), exit_code::unusable);
  }
  if (as_timeline) {
    const auto w = write(*part, *perfetto, flags.output);
    if (!w) return not_written(w.error(), t->partial());
    kept = w->events, gpu = part->gpu.size(), bytes = w->bytes, file_bytes = w->file_bytes, left_out = w->left_out;
  } else {
    part.reset();
    trace::read_options o;
    bar.into_writing(o);
    written_file file(flags.output);
    if (auto opened = file.open(); !opened) return fail(opened.error(), code_of(opened.error()));
    const auto r = trace::slice_file<inflater>(path, *t, s, file, o);
    bar.clear();
    if (!r) {
      const error e = file.why(r.error());
      return not_written(e, t->partial());
    }
    if (auto closed = file.close(); !closed) return not_written(closed.error(), t->partial());
    kept = r->kept, gpu = r->gpu, bytes = r->bytes, file_bytes = file.bytes(), left_out = r->dropped;
  }
  say_losses(path, t->lost);
  if (gpu == 0) say(path + ": no GPU event is in this slice");
  tell_made(flags.output, "wrote " + words::count(kept, "event") + ", " + words::count(gpu) + " of " + words::count(t->gpu.size(), "GPU event"), flags.out.json, [&](json::writer& j) {
    j.member("events", kept), j.member("gpu_events", gpu), j.member("left_out", left_out), sizes(j, bytes, file_bytes);
    losses(j, t->lost);
  });
  return t->partial() || left_out != 0 ? exit_code::partial : exit_code::ok;
}

exit_code merge(const trace_flags& flags) {
  const auto perfetto = wants_perfetto(flags.to, flags.output);
  if (!perfetto) return fail(perfetto.error(), exit_code::usage);
  trace::merge_options o;
  constexpr std::string_view kinds[] = {"none", "unix_time", "collective", "step"};
  const auto kind = std::find(std::begin(kinds), std::end(kinds), flags.align.value_or("none"));
  if (kind == std::end(kinds)) return fail({.code = errc::usage, .detail = "\"" + text::printable(*flags.align, 64) + "\" is not a way to align, want none, unix_time, collective or step", .source = "--align"}, exit_code::usage);
  o.align = static_cast<trace::alignment>(kind - std::begin(kinds));
  if (flags.tolerance) {
    const auto t = text::parse_duration(*flags.tolerance);
    if (!t) return fail({.code = errc::usage, .detail = t.error().detail, .source = "--tolerance"}, exit_code::usage);
    o.tolerance = *t;
  }
  if (flags.files.size() < 2) return usage("one trace alone cannot be merged: name two or more");
  std::vector<model::timeline> parts;
  for (const std::string& path : flags.files) {
    progress bar{std::string(trace::base_name(path))};
    auto t = read_trace(path, &bar);
    bar.clear();
    if (!t) return fail(t.error(), code_of(t.error()));
    say_losses(path, t->lost);
    parts.push_back(std::move(*t));
  }
  auto m = trace::merge(std::move(parts), o);
  if (!m) return fail(m.error(), code_of(m.error()));
  progress bar{"merged"};
  const auto w = write(m->trace, *perfetto, flags.output);
  if (!w) return not_written(w.error(), m->trace.partial());
  for (const std::string& note : m->notes) say(note);
  if (!flags.out.json)
    for (const trace::clock_check& c : m->clocks) {
      if (&c == &m->clocks.front()) continue;
      std::string line = c.source + (c.rank ? " (rank " + std::to_string(*c.rank) + ")" : "") + ": moved by " + words::milliseconds(c.shift.ms());
      if (c.residual_median) line += ", " + words::count(c.matched) + " common " + c.matched_by + " within " + short_time(*c.residual_median) + " (median), " + short_time(*c.residual_max) + " (max)";
      say(line);
    }
  tell_made(flags.output, "wrote " + words::count(w->events, "event") + " of " + words::count(m->trace.processes.size()) + (m->trace.processes.size() == 1 ? " process" : " processes"), flags.out.json, [&](json::writer& j) {
    j.member("format", *perfetto ? "perfetto" : "chrome"), j.member("events", w->events), j.member("left_out", w->left_out), sizes(j, w->bytes, w->file_bytes), j.member("align", *kind);
    j.key("clocks"), j.array_begin();
    for (const trace::clock_check& c : m->clocks) {
      j.object_begin(), j.member("source", c.source), j.member("rank", c.rank), j.member("shift_ns", c.shift.ns), j.member("matched", c.matched), j.member("matched_by", c.matched_by);
      j.key("residual_median_us"), c.residual_median ? j.raw(microseconds(*c.residual_median)) : j.null();
      j.key("residual_max_us"), c.residual_max ? j.raw(microseconds(*c.residual_max)) : j.null();
      j.object_end();
    }
    j.array_end(), j.key("notes"), j.array_begin();
    for (const std::string& note : m->notes) j.value(note);
    j.array_end(), losses(j, m->trace.lost);
  });
  return m->trace.partial() || w->left_out != 0 ? exit_code::partial : exit_code::ok;
}

}  // namespace

exit_code trace_command(const trace_flags& flags) {
  if (flags.what != trace_flags::info) {
    if (flags.output == "-" && flags.out.json) return usage("--json and --output - both want stdout");
    if (flags.out.format && *flags.out.format != "json") return usage("--format: only json, of what was made");
    if (auto may = may_write(flags.output, flags.files, true); !may) return fail(may.error(), code_of(may.error()));
  }
  try {
    switch (flags.what) {
      case trace_flags::info: return info(flags);
      case trace_flags::slice: return slice(flags);
      case trace_flags::merge: return merge(flags);
      case trace_flags::repair: return repair(flags);
      case trace_flags::convert: return convert(flags);
    }
  } catch (const interrupted&) {
    say("interrupted: nothing was written");
    return exit_code::interrupted;
  }
  return exit_code::internal;
}

}  // namespace tools
