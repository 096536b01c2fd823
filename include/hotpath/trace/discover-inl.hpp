// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/discover-inl.hpp - bodies of discover.hpp.
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <hotpath/core/json.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/discover.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

namespace detail {

// Past the value that begins at `at`, or head.size() when it does not end in there. Brackets and strings only: the head may be cut anywhere.
inline std::size_t past_value(std::string_view head, std::size_t at) {
  for (int depth = 0; at < head.size(); ++at) {
    const char c = head[at];
    if (c == '"') {
      for (++at; at < head.size() && head[at] != '"'; ++at)
        if (head[at] == '\\') ++at;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (depth-- == 0) return at;
    } else if (c == ',' && depth == 0) {
      return at;
    }
  }
  return head.size();
}

constexpr std::size_t past_space(std::string_view head, std::size_t at) {
  while (at < head.size() && text::is_space(head[at])) ++at;
  return at;
}

// The first "capture_<n>_..." that is a whole string: how engines mark the capture of a graph.
inline std::string capture_in(std::string_view head) {
  constexpr std::string_view mark = "\"capture_";
  for (std::size_t i = 0; (i = head.find(mark, i)) != std::string_view::npos; i += mark.size()) {
    std::size_t digits = i + mark.size();
    while (digits < head.size() && text::is_digit(head[digits])) ++digits;
    const std::size_t end = head.find('"', digits);
    if (digits > i + mark.size() && digits < head.size() && head[digits] == '_' && end != std::string_view::npos && end - i < 128) return std::string(head.substr(i + 1, end - i - 1));
  }
  return {};
}

inline void sniff_object(std::string_view head, bool part, sniffed& s) {   // part: of a longer file
  bool torch = false, events = false, closed = false;
  for (std::size_t at = past_space(head, 1); at < head.size() && head[at] == '"';) {
    const std::size_t quote = head.find('"', at + 1), colon = quote == std::string_view::npos ? quote : head.find(':', quote);
    if (colon == std::string_view::npos) break;
    const std::string_view key = head.substr(at + 1, quote - at - 1);
    const std::size_t value = past_space(head, colon + 1), past = past_value(head, value);
    if (key == "traceEvents") events = true;
    torch = torch || key == "schemaVersion" || key == "deviceProperties" || key == "distributedInfo" || key == "baseTimeNanoseconds";
    if (key == "distributedInfo" && past < head.size()) {
      json::reader in(head.substr(value, past - value), json::mode::tolerant_text);
      in.object([&](std::string_view k) {
        std::int64_t n = 0;
        if ((k == "rank" || k == "world_size") && in.integer(n) && n >= 0 && n < 1'000'000) (k == "rank" ? s.rank : s.world_size) = static_cast<int>(n);
      });
    }
    closed = past < head.size() && head[past] == '}';
    at = past < head.size() && head[past] == ',' ? past_space(head, past + 1) : head.size();
  }
  if (events || (torch && part)) s.format = torch || head.find("\"cpu_op\"") != std::string_view::npos ? model::trace_format::torch : model::trace_format::chrome;
  else if (!closed && part) s.unsure = true;   // they may come behind a long member
  else s.reason = "JSON without traceEvents: not a trace";
}

inline void sniff_array(std::string_view head, sniffed& s) {
  const std::size_t first = past_space(head, 1);
  const std::size_t past = first < head.size() && head[first] == '{' ? past_value(head, first) : first;
  if (head.substr(first, past - first).find("\"ph\"") == std::string_view::npos) s.reason = "a JSON array whose first item is no trace event (it has no \"ph\")";
  else s.format = head.find("\"cpu_op\"") != std::string_view::npos || head.find("\"kernel\"") != std::string_view::npos ? model::trace_format::torch : model::trace_format::chrome;
}

constexpr int stage_place(model::stage s) { return s == model::stage::all ? 1000 : static_cast<int>(s); }

struct looker {
  const discover_options& options;
  discovery out = {};
  std::size_t entries = 0;
  bool too_many = false;

  void skip(std::string path, std::string reason) { out.skipped.push_back({std::move(path), std::move(reason)}); }

  // One file; false: it was skipped.
  bool look(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return skip(path, std::string("cannot open: ") + ::strerror(errno)), false;
    struct stat st {};
    std::string head(sniff_bytes, '\0');
    ssize_t n = -1;
    const bool regular = ::fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (regular) do n = ::pread(fd, head.data(), head.size(), 0);
      while (n < 0 && errno == EINTR);
    const int trouble = errno;
    ::close(fd);
    if (!regular) return skip(path, "is not a regular file"), false;
    if (n < 0) return skip(path, std::string("cannot read: ") + ::strerror(trouble)), false;
    if (n == 0) return skip(path, "is empty"), false;
    head.resize(static_cast<std::size_t>(n));

    found_trace f{.path = path, .label = stage_of_name(path), .modified_ns = static_cast<std::int64_t>(st.st_mtim.tv_sec) * 1'000'000'000 + st.st_mtim.tv_nsec, .bytes = static_cast<std::uint64_t>(st.st_size)};
    sniffed s;
    if (head.starts_with("\x1f\x8b")) {
      std::string text(sniff_bytes, '\0');
      const std::size_t unpacked = options.inflate != nullptr ? options.inflate(head, text.data(), text.size()) : 0;
      if (unpacked != 0) s = sniff(std::string_view(text.data(), unpacked));
      else if (options.inflate != nullptr) s.reason = "damaged gzip: nothing of it can be unpacked";
      else if (text::lower(base_name(path)).find(".json") == std::string::npos) s.reason = "gzip, which this build cannot unpack";
    } else {
      s = sniff(head);
      if (s.format == model::trace_format::none && text::lower(base_name(path)).ends_with(".nsys-rep")) s.reason = "Nsight's own format: nsys export --type sqlite " + std::string(base_name(path));
    }
    if (!s.reason.empty()) return skip(path, std::move(s.reason)), false;
    f.format = s.format, f.unsure = s.unsure, f.rank = s.rank, f.world_size = s.world_size, f.capture = std::move(s.capture);
    if (!f.rank && (f.rank = rank_of_name(path))) f.rank_from_name = true;
    const std::string lower = text::lower(path.substr(path.size() - (path.size() < base_name(path).size() + 64 ? path.size() : base_name(path).size() + 64)));
    f.is_capture = !f.capture.empty() || lower.find("/capture_traces/") != std::string::npos || lower.find("graph_capture") != std::string::npos || lower.find("graph-capture") != std::string::npos;
    (f.is_capture ? out.captures : out.traces).push_back(std::move(f));
    return true;
  }

  // Files of a folder whose name may be a trace's, and its folders, by name.
  bool list(const std::string& folder, std::vector<std::string>& files, std::vector<std::string>& folders) {
    DIR* const d = ::opendir(folder.c_str());
    if (d == nullptr) return false;
    while (const dirent* e = ::readdir(d)) {
      const std::string_view name = e->d_name;
      if (name == "." || name == "..") continue;
      if (++entries > 100'000) {
        too_many = true;
        break;
      }
      std::string path = folder;
      path.append(folder.ends_with('/') ? "" : "/").append(name);
      struct stat st {};
      if (::lstat(path.c_str(), &st) != 0) continue;
      if (S_ISDIR(st.st_mode)) folders.push_back(std::move(path));
      else if (is_trace_name(name) && name != "server_args.json" && name != "metadata.json" && name != "config.json") files.push_back(std::move(path));
    }
    ::closedir(d);
    const auto by_name = [](const std::string& a, const std::string& b) { return a < b; };
    sort_in_place(files, by_name);
    sort_in_place(folders, by_name);
    return true;
  }

  void below(const std::string& folder, int level, std::vector<std::string>& all) {
    std::vector<std::string> files, folders;
    if (level > 8 || too_many || !list(folder, files, folders)) return;
    for (std::string& f : files) all.push_back(std::move(f));
    for (const std::string& f : folders) below(f, level + 1, all);
  }

  // Newest first within a stage and rank.
  static bool before(const found_trace& a, const found_trace& b) {
    if (a.label != b.label) return stage_place(a.label) < stage_place(b.label);
    if (a.rank != b.rank) return a.rank.value_or(-1) < b.rank.value_or(-1);
    if (a.modified_ns != b.modified_ns) return a.modified_ns > b.modified_ns;
    return a.path < b.path;
  }

  template <class Reason>
  void drop(Reason reason) {  // reason(trace): "" keeps it
    std::size_t kept = 0;
    for (std::size_t i = 0; i < out.traces.size(); ++i) {
      std::string why = reason(i, kept);
      if (!why.empty()) skip(out.traces[i].path, std::move(why));
      else if (kept++ != i) out.traces[kept - 1] = std::move(out.traces[i]);
    }
    out.traces.resize(kept);
  }

  void choose() {
    std::size_t merged = 0, ranked = 0;
    for (const found_trace& t : out.traces) merged += base_name(t.path).starts_with("merged-"), ranked += t.rank.has_value();
    if (merged < out.traces.size()) drop([&](std::size_t i, std::size_t) { return std::string(base_name(out.traces[i].path).starts_with("merged-") ? "made of other files here" : ""); });
    std::size_t sure = 0;
    for (const found_trace& t : out.traces) sure += !t.unsure;
    if (sure != 0) drop([&](std::size_t i, std::size_t) { return std::string(out.traces[i].unsure ? "its first 64 KiB do not tell that it is a trace, those of other files here do: name it to read it" : ""); });
    if (ranked != 0) drop([&](std::size_t i, std::size_t) { return std::string(out.traces[i].rank || out.traces[i].format == model::trace_format::none ? "" : "tells no rank, and other files here do: a front end's trace?"); });
    if (options.rank) drop([&](std::size_t i, std::size_t) {
      const auto& r = out.traces[i].rank;
      return r == options.rank ? std::string() : r ? "rank " + std::to_string(*r) + " was not asked for" : std::string("its rank is not known");
    });
    sort_in_place(out.traces, before);
    sort_in_place(out.captures, [](const found_trace& a, const found_trace& b) { return a.path < b.path; });
    if (!options.all_files) drop([&](std::size_t i, std::size_t kept) {
      const found_trace *t = &out.traces[i], *newest = kept != 0 ? &out.traces[kept - 1] : nullptr;
      if (newest == nullptr || newest->label != t->label || newest->rank != t->rank) return std::string();
      return "older than " + std::string(base_name(newest->path)) + (t->rank ? ", same stage and rank" : ", same stage");
    });
    sort_in_place(out.skipped, [](const skipped_file& a, const skipped_file& b) { return a.path < b.path; });
  }

  void find_server_args() {
    std::string folder = out.folder;
    for (int level = 0; level < 3; ++level) {
      std::string path = folder;
      path.append(folder.empty() || folder.ends_with('/') ? "" : "/").append("server_args.json");
      struct stat st {};
      if (::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode)) return void(out.server_args = std::move(path));
      folder.append(folder.empty() || folder.ends_with('/') ? "" : "/").append("..");
    }
  }
};

}  // namespace detail

HOTPATH_FN sniffed sniff(std::string_view head) {
  sniffed s;
  if (head.starts_with("SQLite format 3")) {
    if (head.find("CUPTI_ACTIVITY_KIND") != std::string_view::npos || head.find("StringIds") != std::string_view::npos || head.find("TARGET_INFO_") != std::string_view::npos) s.format = model::trace_format::nsys_sqlite;
    else s.reason = "a SQLite database without the tables of nsys export";
    return s;
  }
  if (head.starts_with("\x28\xb5\x2f\xfd")) s.reason = "zstd: decompress it first (zstd -d)";
  else if (head.starts_with("PK\x03\x04")) s.reason = "a zip archive: unpack it first";
  else if (head.starts_with("\xfd" "7zXZ")) s.reason = "xz: decompress it first (xz -d)";
  if (!s.reason.empty()) return s;
  const bool part = head.size() >= sniff_bytes;
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  const std::size_t begin = detail::past_space(head, 0);
  head.remove_prefix(begin);
  if (head.starts_with('{')) detail::sniff_object(head, part, s);
  else if (head.starts_with('[')) detail::sniff_array(head, s);
  else s.reason = head.empty() ? "only white space" : "neither JSON nor SQLite";
  if (s.format != model::trace_format::none) s.capture = detail::capture_in(head);
  return s;
}

HOTPATH_FN result<discovery> discover(const std::string& path, const discover_options& o) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0)
    return error{.code = errno == ENOENT || errno == ENOTDIR ? errc::not_found : errc::unreadable, .detail = ::strerror(errno), .source = path};
  detail::looker l{o};
  if (!S_ISDIR(st.st_mode)) {
    l.out.folder = path.substr(0, path.size() - base_name(path).size());
    if (!l.look(path)) return error{.code = errc::unreadable, .detail = l.out.skipped.front().reason, .source = path};
    if (l.out.traces.empty()) l.out.traces.swap(l.out.captures);  // asked for by name: to be looked at
    l.find_server_args();
    return std::move(l.out);
  }

  l.out.folder = path;
  std::vector<std::string> files, folders;
  if (!l.list(path, files, folders)) return error{.code = errc::unreadable, .detail = std::string("cannot list: ") + ::strerror(errno), .source = path};
  for (const std::string& f : files) l.look(f);
  if (l.out.traces.empty()) {  // captures alone do not make it the folder of the traces
    std::vector<std::string> all;
    for (const std::string& f : folders) l.below(f, 1, all);
    for (const std::string& f : all) l.look(f);
    bool labelled = false;
    const found_trace* newest = nullptr;
    for (const found_trace& t : l.out.traces) {
      labelled = labelled || t.label != model::stage::all;
      if (newest == nullptr || t.modified_ns > newest->modified_ns) newest = &t;
    }
    if (!labelled && newest != nullptr) {  // runs side by side: the latest
      l.out.folder = newest->path.substr(0, newest->path.size() - base_name(newest->path).size() - 1);
      const std::string prefix = l.out.folder + "/";
      l.drop([&](std::size_t i, std::size_t) {
        const std::string& p = l.out.traces[i].path;
        return std::string(p.size() - base_name(p).size() == prefix.size() && p.starts_with(prefix) ? "" : "lies in another folder than the newest trace");
      });
    }
  }
  if (l.too_many) l.skip(path, "has more than 100,000 entries: only those were looked at");
  l.choose();
  l.find_server_args();
  if (l.out.traces.empty() && l.out.captures.empty()) {
    error e{.code = errc::empty, .detail = "no trace in this folder", .source = path, .hint = "want .json, .json.gz of a torch profiler, or .sqlite of nsys export"};
    if (!l.out.skipped.empty()) e.detail.append(": ").append(base_name(l.out.skipped.front().path)).append(": ").append(l.out.skipped.front().reason);
    if (l.out.skipped.size() > 1) e.detail.append(" (and ").append(std::to_string(l.out.skipped.size() - 1)).append(" more files)");
    return e;
  }
  return std::move(l.out);
}

}  // namespace hotpath::inline HOTPATH_ABI::trace
