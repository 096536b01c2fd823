// SPDX-License-Identifier: Apache-2.0
// tests/trace/made.hpp - traces typed in a test, files of them, and what a second reader (nlohmann's) makes of a trace.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json.hpp>
#include <zlib.h>
#include <hotpath/trace.hpp>

namespace hotpath_test {

// gzip of a text, one member.
inline std::string gzip(std::string_view text, int level = 6) {
  z_stream s{};
  deflateInit2(&s, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&s, text.size()) + 64, '\0');
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  s.avail_in = static_cast<uInt>(text.size());
  s.next_out = reinterpret_cast<Bytef*>(out.data());
  s.avail_out = static_cast<uInt>(out.size());
  deflate(&s, Z_FINISH);
  out.resize(s.total_out);
  deflateEnd(&s);
  return out;
}
inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}
inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
// The text of a plain or gzip file, by zlib's own file functions.
inline std::string text_of(const std::string& path) {
  std::string out, block(1 << 20, '\0');
  gzFile f = gzopen(path.c_str(), "rb");
  for (int n; f != nullptr && (n = gzread(f, block.data(), static_cast<unsigned>(block.size()))) > 0;) out.append(block, 0, static_cast<std::size_t>(n));
  if (f != nullptr) gzclose(f);
  return out;
}

// A document around events: {"schemaVersion":1,...,"traceEvents":[EVENTS]}.
inline std::string document(std::string_view events, std::string_view before = R"("schemaVersion": 1, )", std::string_view after = "") {
  return std::string("{").append(before).append("\"traceEvents\": [").append(events).append("]").append(after).append("}");
}
inline std::string kernel(std::string_view name, std::string_view ts, std::string_view dur, std::string_view args = R"("device": 0, "stream": 7, "correlation": 1)") {
  return std::string(R"({"ph": "X", "cat": "kernel", "name": ")").append(name).append(R"(", "pid": 0, "tid": 7, "ts": )").append(ts).append(", \"dur\": ").append(dur)
      .append(", \"args\": {").append(args).append("}}");
}

inline std::uint64_t lost(const hotpath::model::timeline& t, hotpath::model::trace_fault f) {
  for (const auto& l : t.lost)
    if (l.fault == f) return l.count;
  return 0;
}
inline const hotpath::model::trace_loss* loss_of(const hotpath::model::timeline& t, hotpath::model::trace_fault f) {
  for (const auto& l : t.lost)
    if (l.fault == f) return &l;
  return nullptr;
}

// ---- the oracle: nlohmann's parser, with numbers that are no integers kept as text ("\x01" in front) -------------------------------

class raw_dom : public nlohmann::json_sax<nlohmann::json> {
 public:
  nlohmann::json root;
  bool null() override { return put(nullptr); }
  bool boolean(bool v) override { return put(v); }
  bool number_integer(std::int64_t v) override { return put(v); }
  bool number_unsigned(std::uint64_t v) override { return put(v); }
  bool number_float(double, const std::string& text) override { return put("\x01" + text); }
  bool string(std::string& v) override { return put(v); }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(nlohmann::json::object()); }
  bool start_array(std::size_t) override { return open(nlohmann::json::array()); }
  bool key(std::string& k) override { return key_ = k, true; }
  bool end_object() override { return stack_.pop_back(), true; }
  bool end_array() override { return stack_.pop_back(), true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  nlohmann::json* place(nlohmann::json v) {
    if (stack_.empty()) return &(root = std::move(v));
    nlohmann::json& in = *stack_.back();
    if (in.is_array()) return in.push_back(std::move(v)), &in.back();
    return &(in[key_] = std::move(v));
  }
  bool put(nlohmann::json v) { return place(std::move(v)), true; }
  bool open(nlohmann::json v) { return stack_.push_back(place(std::move(v))), true; }
  std::vector<nlohmann::json*> stack_;
  std::string key_;
};

// Microseconds as text to nanoseconds, the way it is done by hand.
inline bool nanoseconds_of(const nlohmann::json& v, std::int64_t& out) {
  std::string s;
  if (v.is_number_integer()) s = v.dump();
  else if (v.is_string()) s = v.get<std::string>();
  else return false;
  if (!s.empty() && s[0] == '\x01') s.erase(0, 1);
  if (s.empty() || s.find_first_not_of("-0123456789.") != std::string::npos || s.size() > 40) return false;
  const bool negative = s[0] == '-';
  if (negative) s.erase(0, 1);
  auto dot = s.find('.');
  std::string whole = s.substr(0, dot), fraction = dot == std::string::npos ? "" : s.substr(dot + 1);
  if (whole.empty() || whole.size() > 16) return false;
  const bool up = fraction.size() > 3 && fraction[3] >= '5';
  fraction.resize(3, '0');
  out = std::stoll(whole) * 1000 + std::stoll(fraction) + up;
  if (negative) out = -out;
  return true;
}

inline std::string id_text(const nlohmann::json& args, const char* key) {
  if (!args.is_object() || !args.contains(key)) return "-";
  const auto& v = args[key];
  if (v == 4294967295u) return "-";  // -1, as some versions write it: no stream
  if (v.is_number_unsigned() || (v.is_number_integer() && v.get<std::int64_t>() >= 0)) return v.dump();
  if (v.is_string()) {
    std::string s = v.get<std::string>();
    if (!s.empty() && s.find_first_not_of("0123456789") == std::string::npos && s.size() < 19) return std::to_string(std::stoull(s));
  }
  return "-";
}
inline std::string word(const nlohmann::json& v) {
  if (v.is_string()) return v.get<std::string>();
  return v.is_null() ? "" : v.dump();
}

// One line per event of the timeline, by class, sorted.
using lines = std::map<std::string, std::vector<std::string>>;

inline lines lines_of_dom(const nlohmann::json& root) {
  lines out;
  const nlohmann::json& events = root.is_array() ? root : root["traceEvents"];
  for (const auto& e : events) {
    if (!e.is_object() || !e.contains("ph") || e["ph"] != "X") continue;
    std::int64_t ts = 0, dur = 0;
    if (!e.contains("ts") || !e.contains("dur") || !nanoseconds_of(e["ts"], ts) || !nanoseconds_of(e["dur"], dur) || dur < 0) continue;
    const std::string cat = e.contains("cat") ? word(e["cat"]) : "";
    static const nlohmann::json none = nlohmann::json::object();
    const auto& args = e.contains("args") ? e["args"] : none;
    std::string s = std::to_string(ts) + "|" + std::to_string(dur) + "|" + (e.contains("name") ? word(e["name"]) : "") + "|" + (e.contains("pid") ? word(e["pid"]) : "") + "|" +
                    (e.contains("tid") ? word(e["tid"]) : "");
    const auto add = [&](const char* key) { s += "|" + id_text(args, key); };
    const auto grid = [&](const char* key) {
      s += "|";
      if (args.contains(key)) for (std::size_t i = 0; i < 3; ++i) s += (i < args[key].size() ? args[key][i].dump() : "0") + " ";
    };
    if (cat == "kernel" || cat == "gpu_memcpy" || cat == "gpu_memset") {
      add("correlation"), add("External id"), add("stream"), add("device"), grid("grid"), grid("block");
      s += "|" + (cat == "kernel" ? "" : id_text(args, "bytes")) + "|" + id_text(args, "registers per thread") + "|" + (args.contains("dtype") ? word(args["dtype"]) : "");
      out[cat].push_back(s);
    } else if (cat.ends_with("_runtime") || cat.ends_with("_driver")) {
      add("correlation"), add("External id"), grid("grid");
      s += "|" + (args.contains("kernel") ? word(args["kernel"]) : "");
      out["api"].push_back(s);
    } else if (cat == "cpu_op") {
      add("External id");
      out["op"].push_back(s);
    } else if (cat == "python_function") {
      out["frame"].push_back(s);
    } else if (cat == "user_annotation" || cat == "gpu_user_annotation") {
      add("External id");
      out[cat].push_back(s);
    } else if (cat == "cuda_sync") {
      add("correlation"), add("stream"), add("wait_on_stream"), add("wait_on_cuda_event_record_corr_id");
      s += "|" + (args.contains("cuda_sync_kind") ? word(args["cuda_sync_kind"]) : "");
      const auto at = s.find('|', s.find('|') + 1), end = s.find('|', at + 1);
      s.erase(at, end - at);  // the name is that of the kind
      out["sync"].push_back(s);
    }
  }
  for (auto& [k, v] : out) std::sort(v.begin(), v.end());
  return out;
}

inline lines lines_of(const hotpath::model::timeline& t) {
  using namespace hotpath;
  lines out;
  const auto id = [](std::uint64_t v) { return v == model::no_id ? std::string("-") : std::to_string(v); };
  const auto index = [](std::uint32_t v) { return v == model::no_index ? std::string("-") : std::to_string(v); };
  const auto name = [&](name_id n) { return std::string(t.name(n)); };
  const auto head = [&](const auto& e, bool with_name) {
    std::string s = std::to_string(e.begin.ns) + "|" + std::to_string(e.duration.ns);
    if (with_name) s += "|" + name(e.name);
    return s + "|" + name(t.tracks[e.track].pid) + "|" + name(t.tracks[e.track].tid);
  };
  const auto three = [](const std::uint32_t (&v)[3]) {
    return v[0] == 0 ? std::string("|") : "|" + std::to_string(v[0]) + " " + std::to_string(v[1]) + " " + std::to_string(v[2]) + " ";
  };
  for (const auto& g : t.gpu) {
    const auto& d = t.details[g.detail];
    std::string s = head(g, true) + "|" + id(g.correlation) + "|" + id(g.external) + "|" + index(g.stream) + "|" + std::to_string(g.device) + three(d.grid) + three(d.block) + "|";
    s += (g.kind == model::gpu_kind::kernel ? "" : d.bytes != 0 ? std::to_string(d.bytes) : "-") + "|" + (d.registers != 0 ? std::to_string(d.registers) : "-") + "|" + name(d.dtype);
    out[g.kind == model::gpu_kind::kernel ? "kernel" : g.kind == model::gpu_kind::copy ? "gpu_memcpy" : "gpu_memset"].push_back(s);
  }
  for (const auto& c : t.api) out["api"].push_back(head(c, true) + "|" + id(c.correlation) + "|" + id(c.external) + three(t.details[c.detail].grid) + "|" + name(c.kernel));
  for (const auto& o : t.ops) out["op"].push_back(head(o, true) + "|" + id(o.external));
  for (const auto& f : t.frames) out["frame"].push_back(head(f, true));
  for (const auto& a : t.annotations)
    out[a.kind == model::annotation_kind::user ? "user_annotation" : "gpu_user_annotation"].push_back(head(a, true) + "|" + id(a.external));
  for (const auto& s : t.syncs)
    out["sync"].push_back(head(s, false) + "|" + id(s.correlation) + "|" + index(s.stream) + "|" + index(s.waits_for_stream) + "|" + id(s.waits_for) + "|" + name(s.name));
  for (auto& [k, v] : out) std::sort(v.begin(), v.end());
  return out;
}

// "" if equal, else the first difference.
inline std::string difference(const lines& ours, const lines& theirs) {
  for (const auto& [k, v] : theirs) {
    const auto it = ours.find(k);
    if (it == ours.end()) return "class " + k + " is missing";
    if (it->second.size() != v.size()) return k + ": " + std::to_string(it->second.size()) + " events, want " + std::to_string(v.size());
    for (std::size_t i = 0; i < v.size(); ++i)
      if (it->second[i] != v[i]) return k + ": " + it->second[i] + "\n want " + v[i];
  }
  for (const auto& [k, v] : ours)
    if (!theirs.contains(k)) return "class " + k + " is too much";
  return {};
}

// Two timelines say the same, ids included.
inline std::string same(const hotpath::model::timeline& a, const hotpath::model::timeline& b) {
  // By field: structs have bytes between them that mean nothing.
  const auto rows = [](const auto& x, const auto& y, auto equal) {
    bool all = x.size() == y.size();
    for (std::size_t i = 0; all && i < x.size(); ++i) all = x[i].begin == y[i].begin && x[i].duration == y[i].duration && x[i].name == y[i].name && x[i].track == y[i].track && equal(x[i], y[i]);
    return all;
  };
  for (hotpath::name_id i = 0; i < a.names.size() && i < b.names.size(); ++i)
    if (a.names[i] != b.names[i]) return "name " + std::to_string(i) + ": " + std::string(a.names[i]) + " and " + std::string(b.names[i]);
  if (a.names.size() != b.names.size()) return std::to_string(a.names.size()) + " and " + std::to_string(b.names.size()) + " names";
  if (!rows(a.gpu, b.gpu, [](const auto& x, const auto& y) {
        return x.correlation == y.correlation && x.external == y.external && x.stream == y.stream && x.detail == y.detail && x.graph == y.graph && x.graph_node == y.graph_node &&
               x.process == y.process && x.device == y.device && x.kind == y.kind;
      }))
    return "gpu";
  if (!rows(a.api, b.api, [](const auto& x, const auto& y) { return x.correlation == y.correlation && x.external == y.external && x.kernel == y.kernel && x.detail == y.detail; })) return "api";
  if (!rows(a.ops, b.ops, [](const auto& x, const auto& y) { return x.external == y.external; })) return "ops";
  if (!rows(a.frames, b.frames, [](const auto& x, const auto& y) { return x.parent == y.parent; })) return "frames";
  if (!rows(a.annotations, b.annotations, [](const auto& x, const auto& y) { return x.external == y.external && x.stream == y.stream && x.kind == y.kind; })) return "annotations";
  if (!rows(a.syncs, b.syncs, [](const auto& x, const auto& y) { return x.correlation == y.correlation && x.waits_for == y.waits_for && x.stream == y.stream && x.waits_for_stream == y.waits_for_stream; }))
    return "syncs";
  if (a.details.size() != b.details.size() || !std::equal(a.details.begin(), a.details.end(), b.details.begin())) return "details";
  if (a.tracks.size() != b.tracks.size() || a.processes.size() != b.processes.size()) return "tracks or processes";
  if (a.about.events != b.about.events || a.about.by_category != b.about.by_category || a.about.by_phase != b.about.by_phase) return "counts";
  if (a.lost.size() != b.lost.size()) return "kinds of loss";
  for (std::size_t i = 0; i < a.lost.size(); ++i)
    if (a.lost[i].fault != b.lost[i].fault || a.lost[i].count != b.lost[i].count || a.lost[i].first_byte != b.lost[i].first_byte)
      return "loss " + std::string(name_of(a.lost[i].fault)) + ": " + std::to_string(a.lost[i].count) + " and " + std::to_string(b.lost[i].count) + ", from byte " +
             std::to_string(a.lost[i].first_byte.value_or(0)) + " and " + std::to_string(b.lost[i].first_byte.value_or(0));
  return {};
}

}  // namespace hotpath_test
