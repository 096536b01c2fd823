// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/raw_events.hpp - a Chrome JSON file written from the raw events of another one: always valid JSON, whatever the other was.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/trace/detail/own_member.hpp>
#include <hotpath/trace/sink.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

inline bool is_json(std::string_view text) {
  json::reader in(text);
  return in.skip() && in.finish();
}

// Escapes control characters inside strings, replaces halves of surrogate pairs and ill-formed UTF-8 by U+FFFD. Structure is left as it is.
inline std::string clean_json(std::string_view raw) {
  std::string out;
  bool in_string = false;
  const auto hex4 = [&](std::size_t at) {
    unsigned v = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
      const char c = i < raw.size() ? raw[i] : '\0';
      const unsigned d = c >= '0' && c <= '9' ? static_cast<unsigned>(c - '0') : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a') + 10 : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A') + 10 : 0x10000u;
      v = v > 0xFFFF || d > 0xF ? 0x10000u : v << 4 | d;
    }
    return v;
  };
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == '"') in_string = !in_string;
    if (!in_string || (static_cast<unsigned char>(c) >= 0x20 && c != '\\')) {
      out += c;
    } else if (c != '\\') {
      constexpr char digits[] = "0123456789abcdef";
      out.append("\\u00").append({digits[(c >> 4) & 15], digits[c & 15]});
    } else if (i + 1 < raw.size() && raw[i + 1] == 'u') {
      const unsigned v = hex4(i + 2), next = v >= 0xD800 && v < 0xDC00 && i + 7 < raw.size() && raw[i + 6] == '\\' && raw[i + 7] == 'u' ? hex4(i + 8) : 0;
      if (next >= 0xDC00 && next < 0xE000) out.append(raw.substr(i, 12)), i += 11;
      else if (v >= 0xD800 && v < 0xE000) out.append("\\ufffd"), i += 5;
      else out += c;
    } else {
      out += c;
      if (i + 1 < raw.size()) out += raw[++i];
    }
  }
  return text::is_utf8(out) ? out : text::repair_utf8(out);
}

// before(), event() and after() as trace::scan calls them, then finish(). Text around the events that cannot be mended is replaced by the least that
// makes a trace.
class raw_writer {
 public:
  explicit raw_writer(byte_sink sink) : sink_(sink) {}

  void before(std::string_view text) { before_.append(text); }
  void after(std::string_view text) { after_.append(text); }
  void event(std::string_view raw) {
    begin();
    const std::size_t size = buffer_.size();
    if (kept != 0) buffer_ += ",\n";
    if (is_json(raw)) {
      buffer_ += raw;
    } else {
      const std::string clean = clean_json(raw);
      if (!is_json(clean)) return void((buffer_.resize(size), ++dropped));
      buffer_ += clean;
      ++cleaned;
    }
    ++kept;
    if (buffer_.size() >= 64 << 10) flush();
  }
  // `lost`: what reading the other file has met. What is missing in this one is said in it; a bare list has no place for that. False: the sink refused.
  bool finish(const std::vector<model::trace_loss>& lost) {
    begin();
    const std::string open = array_ ? "[" : "{\"traceEvents\":[";
    // A NUL ends the document for readers that are lenient, and is an error for the others.
    const auto cut = [&] {
      if (const auto nul = after_.find('\0'); nul != std::string::npos) after_.resize(nul);
    };
    if (is_json(open + after_)) cut();
    if (!is_json(open + after_)) {
      closed = true;  // the list had no end, or what followed was no JSON
      lost_after = after_.size() > 1;
      after_ = clean_json(after_);
      cut();
      if (!is_json(open + after_)) after_ = array_ ? "]" : "]}";
      else lost_after = false;
    }
    if (!array_) say(lost);
    buffer_ += after_;
    buffer_ += '\n';
    flush();
    return !refused_;
  }

  std::uint64_t kept = 0, cleaned = 0, dropped = 0, bytes = 0;   // events; bytes written
  bool closed = false, lost_before = false, lost_after = false;

 private:
  void begin() {
    if (begun_) return;
    begun_ = true;
    if (before_.starts_with("\xEF\xBB\xBF")) before_.erase(0, 3);  // many readers refuse it
    array_ = text::trim(before_) == "[";
    const auto fits = [&](const std::string& s) { return is_json(s + (array_ ? "]" : "]}")); };
    if (!fits(before_)) before_ = clean_json(before_);
    if (!fits(before_)) before_ = "{\"traceEvents\":[", lost_before = true;
    before_ += '\n';
    buffer_ = std::move(before_);
  }
  void say(std::vector<model::trace_loss> lost) {
    if (dropped != 0) lost.push_back({.fault = model::trace_fault::malformed_event, .count = dropped, .first_byte = {}, .note = {}});
    std::erase_if(lost, [](const model::trace_loss& l) { return l.fault == model::trace_fault::repaired_text || l.count == 0; });
    if (lost.empty()) return;
    std::string text(",\"");
    text.append(own_member).append("\":");
    json::writer o(text);
    o.object_begin(), write_lost(o, lost), o.object_end();
    after_.insert(after_.rfind('}'), text);
  }
  void flush() {
    if (!refused_ && !buffer_.empty()) refused_ = !sink_(buffer_);
    bytes += buffer_.size();
    buffer_.clear();
  }

  byte_sink sink_;
  std::string before_, after_, buffer_;
  bool begun_ = false, array_ = false, refused_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
