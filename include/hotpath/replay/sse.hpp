// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/sse.hpp - server-sent events from bytes, cut anywhere (WHATWG HTML, "Interpreting an event stream").
//
//     replay::sse_parser sse;
//     sse.feed(piece, [&](const replay::sse_event& e) { if (e.data == "[DONE]") finish(); });   // e lives during the call
//
//   Lines end in LF, CR or CRLF, never at U+2028 or U+0085. The bytes are not decoded: ill-formed UTF-8 and NUL reach the event
//   as they are. An event is given at the byte that completes it; an unfinished one at the end of the stream is discarded.
//   An event that lies whole inside `in` with one data line is given as views into `in`, uncopied; otherwise its bytes are held.
//   Cost: two memchr passes over the bytes. Memory: the object, plus the unfinished event, at most `limit` bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

struct sse_event {
  std::string_view type;  // "message" if the stream names none
  std::string_view data;  // lines joined by LF
  std::string_view id;    // the last id seen on the stream
};

class sse_parser {
 public:
  static constexpr std::size_t default_limit = 1024 * 1024;  // bytes of one event

  explicit sse_parser(std::size_t limit = default_limit) : limit_(limit) {}

  // Calls f(const sse_event&) for each event completed by `in`. After over_limit() nothing more is read.
  template <class F>
  void feed(std::string_view in, F&& f) {
    if (over_limit_ || in.empty()) return;
    const char* p = in.data();
    const char* const end = p + in.size();
    if (bom_ != bom_done) p = skip_bom(p, end);
    if (after_cr_ && p != end) {
      if (*p == '\n') ++p;
      after_cr_ = false;
    }
    // The next LF and CR from p on, `end` if there is none. Each is looked for again only when passed: linear in any mixture.
    const char* lf = find(p, end, '\n');
    const char* cr = find(p, end, '\r');
    while (p != end) {
      const char* const stop = lf < cr ? lf : cr;
      if (stop == end) break;
      std::string_view line(p, static_cast<std::size_t>(stop - p));
      p = stop + 1;
      if (stop == cr) {
        if (p == end) after_cr_ = true;
        else if (*p == '\n') ++p;
        cr = find(p, end, '\r');
      }
      if (lf < p) lf = find(p, end, '\n');
      if (!held_.empty()) {
        if (!hold(line)) return;
        line = held_;
      } else if (stored_ + line.size() > limit_) {
        return give_up();
      }
      if (!line.empty()) {
        field(line);
      } else if (const std::optional<sse_event> e = complete()) {
        f(*e);
        restart();
      }
      held_.clear();
    }
    if (p != end && !hold(std::string_view(p, static_cast<std::size_t>(end - p)))) return;
    keep_views();
  }

  // Bytes of an unfinished line or event are held: at the end of the stream they are lost.
  bool event_pending() const { return has_data_ || !held_.empty() || !type_.empty() || (bom_ != bom_start && bom_ != bom_done); }
  bool over_limit() const { return over_limit_; }
  // The stream has ended: what is unfinished is discarded. True: there was something.
  bool finish() {
    const bool lost = event_pending();
    *this = sse_parser(limit_);
    return lost;
  }
  // Milliseconds of the last valid `retry` field.
  std::optional<std::uint64_t> retry_ms() const { return retry_ms_; }

 private:
  enum : std::uint8_t { bom_start, bom_one, bom_two, bom_done };

  static const char* find(const char* from, const char* end, char c) {
    if (from == end) return end;
    const void* const at = std::memchr(from, c, static_cast<std::size_t>(end - from));
    return at != nullptr ? static_cast<const char*>(at) : end;
  }

  // U+FEFF at the very beginning, possibly in three reads. What turns out to be no BOM belongs to the first line.
  const char* skip_bom(const char* p, const char* end) {
    constexpr char mark[] = {'\xEF', '\xBB', '\xBF'};
    while (p != end && bom_ != bom_done) {
      if (*p == mark[bom_]) {
        ++p;
        ++bom_;
      } else {
        held_.assign(mark, bom_);
        bom_ = bom_done;
      }
    }
    return p;
  }

  bool hold(std::string_view part) {
    if (stored_ + held_.size() + part.size() > limit_) {
      give_up();
      return false;
    }
    held_.append(part);
    return true;
  }

  void give_up() {
    over_limit_ = true;
    std::string().swap(held_);
    std::string().swap(data_);
    has_data_ = false;
    view_ = {};
    type_.clear();
  }

  void field(std::string_view line) {
    const char* const colon = find(line.data(), line.data() + line.size(), ':');
    const std::string_view name(line.data(), static_cast<std::size_t>(colon - line.data()));
    std::string_view value = line.substr(name.size() == line.size() ? name.size() : name.size() + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") add_data(value);
    else if (!name.empty()) rare_field(name, value);  // an empty name: a comment
  }

  void add_data(std::string_view value) {
    if (!has_data_) {
      has_data_ = true;
      if (held_.empty()) view_ = value, viewed_ = true;
      else data_.assign(value);
      stored_ += value.size();
      return;
    }
    keep_views();
    data_ += '\n';
    data_ += value;
    stored_ += value.size() + 1;
  }

  void keep_views() {
    if (!viewed_) return;
    data_.assign(view_);
    view_ = {};
    viewed_ = false;
  }

  void rare_field(std::string_view name, std::string_view value) {
    if (name == "event") {
      stored_ += value.size();
      stored_ -= type_.size();
      type_.assign(value);
    } else if (name == "id") {
      if (value.find('\0') == std::string_view::npos) id_.assign(value);
    } else if (name == "retry" && !value.empty() && value.size() <= 18) {
      std::uint64_t n = 0;
      for (char c : value) {
        if (c < '0' || c > '9') return;
        n = n * 10 + static_cast<std::uint64_t>(c - '0');
      }
      retry_ms_ = n;
    }
  }

  // The blank line: an event, unless there was no data line (one without a value counts: its data is "").
  std::optional<sse_event> complete() {
    const std::string_view data = viewed_ ? view_ : std::string_view(data_);
    if (!has_data_) {
      restart();
      return std::nullopt;
    }
    return sse_event{type_.empty() ? std::string_view("message") : std::string_view(type_), data, id_};
  }

  void restart() {
    has_data_ = viewed_ = false;
    view_ = {};
    stored_ = 0;
    type_.clear();
    // One large event must not weigh on its stream for hours.
    if (data_.capacity() > keep_capacity) std::string().swap(data_);
    else data_.clear();
    if (held_.capacity() > keep_capacity) std::string().swap(held_);
  }
  static constexpr std::size_t keep_capacity = 2048;

  std::size_t limit_;
  std::size_t stored_ = 0;          // bytes of data and type of the unfinished event
  std::string_view view_;           // its only data line so far, inside the bytes being fed
  std::string held_, data_, type_, id_;
  std::optional<std::uint64_t> retry_ms_;
  std::uint8_t bom_ = bom_start;
  bool has_data_ = false, viewed_ = false, after_cr_ = false, over_limit_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
