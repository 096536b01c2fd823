// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/scan.hpp - the events of a Chrome / Kineto JSON trace one by one, as they stand in the file, in memory that does not grow
//   with it: for tools that copy, cut, mend or convert traces. Who wants a timeline calls trace::read.
//
//     struct {
//       void before(std::string_view text) { out += text; }            // all up to and including the `[` of traceEvents, in pieces
//       void event(const trace::event_view& e) { if (wanted(e)) (n++ ? out += ',' : out).append(e.raw); }
//       void after(std::string_view text) { out += text; }             // from the `]` on, in pieces; nothing where the file was cut
//     } sink;
//     auto s = trace::scan<trace::zlib>("rank0.json.gz", sink);        // result<scanned>; trace::scan(path, sink) for plain files
//     auto t = trace::scan_text(text, sink);
//
//   Each member of a sink may be missing. Damage: a file that ends early gives its complete events; an event that is no JSON is mended where the
//   defect is known (a quote or a number such as NaN or inf written raw), else left out; scanning goes on at the next event. All of it is counted
//   in scanned::lost. Under options.strict anything that nlohmann::json would not accept is an error.
//   Memory: one chunk, one event or member of the root (options.value). Thread safety: none; calls are independent.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/json.hpp>
#include <hotpath/trace/source.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

// The views live until the sink returns.
struct event_view {
  std::string_view raw;                   // the event from `{` to `}`, as in the file (mended, where it had to be)
  std::uint64_t byte = 0;                 // where it begins in the text
  char phase = 0;                         // first byte of ph; 0: none
  std::string_view category, name;        // decoded; "" where absent
  std::string_view pid, tid;              // numbers as written, strings decoded; "" where absent
  std::optional<nanoseconds> ts, dur;     // empty: absent, or no number of 64-bit nanoseconds
};

struct scanned {
  std::uint64_t events = 0;               // elements of traceEvents, wrong ones too
  std::uint64_t text_bytes = 0, file_bytes = 0;
  bool array_root = false;                // the file is the array of events itself
  bool complete = false;                  // the list of events was closed
  bool two_writers = false;               // a second document begins inside, or behind, this one
  std::vector<std::string> keys;          // of the root, in order; at most 256
  std::vector<model::trace_loss> lost;    // by fault
  bool partial() const { return !lost.empty(); }
};

namespace detail {

enum class where : std::uint8_t { start, root_first, root_member, root_rest, events_first, events_value, events_rest, end, failed };
enum class stop : std::uint8_t { text_end, cut_short, array_end, syntax };
struct stopped {
  stop why;
  std::size_t at;       // go on here; of cut_short and syntax: where the element begins
  std::uint64_t fault;  // of syntax: where it is, in the text
};

inline std::size_t skip_white(std::string_view t, std::size_t p) {
  while (p != t.size() && is_white(t[p])) ++p;
  return p;
}

// Elements of traceEvents from text[p] on. `state`: events_first, events_value or events_rest, kept up to date.
template <class Handler>
stopped scan_events(json::reader& in, std::string_view text, std::size_t p, std::uint64_t offset, where& state, Handler& h) {
  for (;;) {
    p = skip_white(text, p);
    if (p == text.size()) return {stop::text_end, p, 0};
    const char c = text[p];
    if (state == where::events_rest) {
      if (c != ',' && c != ']') return {stop::syntax, p, offset + p};
      ++p;
      if (c == ']') return {stop::array_end, p, 0};
      state = where::events_value;
      continue;
    }
    if (c == ']' && state == where::events_first) return {stop::array_end, p + 1, 0};
    if (c == '\xEF') return {stop::syntax, p, offset + p};  // reset() would skip a byte order mark
    in.reset(text.substr(p));
    const bool right = c == '{' ? h.event(in, text.substr(p), offset + p) : in.skip();
    if (!right) return {in.cut_short() ? stop::cut_short : stop::syntax, p, offset + p + in.offset()};
    if (c != '{') {
      if (p + in.offset() == text.size()) return {stop::cut_short, p, 0};  // a number may go on
      h.odd_element(offset + p);
    }
    p += in.offset();
    state = where::events_rest;
  }
}

// What is wrong with an event, in place: a raw NaN, nan, inf, -Infinity ... becomes "" and blanks, and a quote that stands raw in a string gets its
// backslash. False: `event` is not JSON for another reason, or more than 32 places are. `fault`: where the reader found something else.
bool mend(std::string& event, std::size_t fault, unsigned& tries);

// The document around the events: prolog, list, epilog, in chunks, in order. Handler:
//   bool event(json::reader&, std::string_view text, std::uint64_t byte)   reads one object; false after a syntax error. Must keep nothing then.
//   void odd_element(byte)                                                  an element that is no object
//   void member(std::string_view key, std::string_view json)               of the root, but traceEvents
//   void around(std::string_view text, bool after)
//   void lost(model::trace_fault, std::uint64_t byte, std::string note)
template <class Handler>
class document {
 public:
  document(Handler& h, const read_options& o) : h_(h), options_(o), in_({}, o.strict ? json::mode::strict : json::mode::tolerant_text) {}

  // The next text, in order.
  void feed(std::string_view text, bool last) {
    if (state_ == where::failed) return;
    if (skips_) {
      offset_end_ += text.size();
      text.remove_prefix(skip_member(text));
      offset_end_ -= text.size();
    }
    if (!pending_.empty() || gap_) {
      pending_.append(text);
      offset_end_ += text.size();
      if (!last && pending_.size() < try_at_) return;
      const std::size_t used = run(pending_, offset_end_ - pending_.size(), last);
      pending_.erase(0, used);
    } else {
      offset_end_ += text.size();
      const std::size_t used = run(text, offset_end_ - text.size(), last);
      pending_.assign(text.substr(used));
    }
    // A value that is longer than what is there is tried again when there is twice as much of it.
    try_at_ = 2 * pending_.size();
    if (pending_.size() > options_.value && !last && state_ != where::failed) too_long();
    if (last) finish();
  }
  // A chunk that begins with an event may be scanned by somebody else, who then tells where it ended: in text that was not fed.
  bool at_event() const { return pending_.empty() && (state_ == where::events_value || state_ == where::events_first) && !gap_; }
  void skip_events(std::size_t size, where state) {
    offset_end_ += size;
    state_ = state;
  }
  // As above, and the list ended there: `text` stands behind its bracket.
  void close_events(std::string_view text, bool last) {
    about.complete = true;
    state_ = about.array_root ? where::end : where::root_rest;
    feed(text, last);
  }
  json::mode mode() const { return options_.strict ? json::mode::strict : json::mode::tolerant_text; }
  const std::optional<error>& failed() const { return failed_; }
  bool found_events() const { return found_events_; }
  scanned about;

 private:
  void fail(std::uint64_t byte, std::string detail) {
    state_ = where::failed;
    failed_ = error{.code = errc::malformed, .detail = std::move(detail), .byte = byte, .has_byte = true};
  }
  // A syntax error outside of an event.
  void broken(std::uint64_t byte, std::string what) {
    if (options_.strict) fail(byte, std::move(what));
    else lose(model::trace_fault::damaged, byte, std::move(what));
  }
  void lose(model::trace_fault f, std::uint64_t byte, std::string note) { h_.lost(f, byte, std::move(note)); }
  void other_writer(std::string_view text, std::uint64_t byte) {
    if (about.two_writers) return;
    for (const std::string_view key : {"\"schemaVersion\"", "\"traceEvents\"", "\"deviceProperties\"", "\"distributedInfo\""})
      if (text.find(key) != std::string_view::npos) about.two_writers = true;
    if (about.two_writers) lose(model::trace_fault::damaged, byte, two_writers_note());
  }
  static std::string two_writers_note() { return "a second document begins inside this one: two processes wrote to the same file; give each rank a file of its own"; }

  // Returns how much of the text is done with; the rest needs more text.
  std::size_t run(std::string_view text, std::uint64_t offset, bool last) {
    std::size_t p = 0, told = 0;  // told: what h_.around() need not be told any more
    while (state_ != where::failed) {
      if (gap_) {
        if (!close_gap(text, p, offset, last)) break;
        told = p;
      }
      if (state_ >= where::events_first && state_ <= where::events_rest) {
        const stopped s = scan_events(in_, text, p, offset, state_, h_);
        told = p = s.at;
        if (s.why == stop::array_end) {
          about.complete = true;
          state_ = about.array_root ? where::end : where::root_rest;
          told = p - 1;
        } else if (s.why != stop::syntax || !syntax(text, p, s.fault, offset, last)) {
          break;
        } else {
          told = p;
        }
        continue;
      }
      const bool on = outside(text, p, offset, last);
      if (!on || state_ == where::events_first) {
        h_.around(text.substr(told, p - told), about.complete);
        told = p;
      }
      if (!on) break;
    }
    return p;
  }

  // One step through what stands around the events. False: no more can be done with this text.
  bool outside(std::string_view text, std::size_t& p, std::uint64_t offset, bool last) {
    if (state_ == where::start) {
      if (text.size() - p < 3 && !last) return false;
      if (text.substr(p).starts_with("\xEF\xBB\xBF")) p += 3;
    }
    const std::size_t begin = skip_white(text, p);
    if (begin == text.size()) {
      if (state_ == where::end || state_ == where::root_rest || state_ == where::start) p = begin;
      return false;
    }
    const char c = text[begin];
    switch (state_) {
      case where::start:
        if (c != '{' && c != '[') return fail(offset + begin, "this is neither an object with traceEvents nor an array of events"), false;
        p = begin + 1;
        about.array_root = c == '[';
        found_events_ = about.array_root;
        state_ = about.array_root ? where::events_first : where::root_first;
        return true;
      case where::root_first:
      case where::root_rest:
        if (c == '}') {
          p = begin + 1;
          state_ = where::end;
          return true;
        }
        if (state_ == where::root_rest) {
          if (c != ',') return lose_root(text, p, offset + begin, "want ',' or '}' here");
          p = begin + 1;
          state_ = where::root_member;
          return true;
        }
        [[fallthrough]];
      case where::root_member: return member(text, p, begin, offset, last);
      case where::end:
        if (options_.strict) {
          if (c != '\0') fail(offset + begin, "something follows the end of the document");
          p = text.size();
          state_ = c != '\0' ? where::failed : where::end;
          ignore_rest_ = true;
          return false;
        }
        p = text.size();
        if (!ignore_rest_ && c != '\0') {
          about.two_writers = true;
          lose(model::trace_fault::damaged, offset + begin,
               "text follows the end of the document and was left out: two processes wrote to the same file; give each rank a file of its own");
        }
        ignore_rest_ = true;
        return false;
      default: return false;
    }
  }

  bool member(std::string_view text, std::size_t& p, std::size_t begin, std::uint64_t offset, bool last) {
    if (text[begin] != '"') return lose_root(text, p, offset + begin, "want a name in quotes here");
    in_.reset(text.substr(begin));
    std::string_view key;
    if (!in_.string(key)) return in_.cut_short() && !last ? false : lose_root(text, p, offset + begin + in_.offset(), "the root holds something that is not JSON");
    key_.assign(key);
    std::size_t q = skip_white(text, begin + in_.offset());
    if (q == text.size()) return false;
    if (text[q] != ':') return lose_root(text, p, offset + q, "want ':' here");
    q = skip_white(text, q + 1);
    if (q == text.size()) return false;
    if (text[q] == '[' && key_ == "traceEvents") {
      note_key();
      p = q + 1;
      found_events_ = true;
      state_ = where::events_first;
      return true;
    }
    if (text[q] == '\xEF') return lose_root(text, p, offset + q, "want a value here");
    in_.reset(text.substr(q));
    std::string_view value;
    if (!in_.raw(value)) return in_.cut_short() && !last ? false : lose_root(text, p, offset + q + in_.offset(), "the root holds something that is not JSON");
    if (q + in_.offset() == text.size() && !last) return false;  // a number may go on
    note_key();
    p = q + in_.offset();
    state_ = where::root_rest;
    h_.member(key_, value);
    return true;
  }
  void note_key() {
    if (about.keys.size() < 256) about.keys.push_back(key_.substr(0, 256));
  }

  // The root is no JSON from here on: before the events, look for them; behind them, leave the rest.
  bool lose_root(std::string_view text, std::size_t& p, std::uint64_t byte, std::string what) {
    broken(byte, std::move(what));
    if (options_.strict) return false;
    if (found_events_) {
      other_writer(text.substr(p), byte);
      p = text.size();
      state_ = where::end;
      ignore_rest_ = true;
      return false;
    }
    gap_ = true;
    return true;
  }

  // Text that nobody understands: goes on at traceEvents, or at the next event. False: not in this text.
  bool close_gap(std::string_view text, std::size_t& p, std::uint64_t offset, bool last) {
    if (!found_events_) {
      constexpr std::string_view key = "\"traceEvents\"";
      for (std::size_t at = text.find(key, p); at != std::string_view::npos; at = text.find(key, at + 1)) {
        std::size_t q = skip_white(text, at + key.size());
        if (q != text.size() && text[q] == ':') q = skip_white(text, q + 1);
        if (q == text.size() && !last) return p = at, false;
        if (q == text.size() || text[q] != '[') continue;
        note_key_text("traceEvents");
        p = q + 1;
        found_events_ = true;
        state_ = where::events_first;
        gap_ = false;
        return true;
      }
      if (text.size() - p > key.size()) p = text.size() - key.size();
      return false;
    }
    const std::size_t at = event_start_after(text, p);
    if (at == text.size()) {
      // Keep what may be the beginning of the mark.
      constexpr std::size_t mark = 256;
      if (text.size() - p > mark) other_writer(text.substr(p), offset + p), p = text.size() - mark;
      return false;
    }
    other_writer(text.substr(p, at - p), offset + p);
    p = at;
    state_ = where::events_value;
    gap_ = false;
    return true;
  }
  void note_key_text(std::string_view key) {
    key_.assign(key);
    note_key();
  }

  // At an element that is no JSON. Mends it, or gives it up and goes on behind it. False: wants more text, or the file is refused.
  bool syntax(std::string_view text, std::size_t& p, std::uint64_t fault, std::uint64_t offset, bool last) {
    std::string what = in_.ok() ? std::string("want ',' or ']' between events") : std::string("an event is not JSON: ").append(in_.failure().detail);
    if (options_.strict) return fail(fault, std::move(what)), false;
    // How far it goes: to the next event, or to the end of the list.
    constexpr std::size_t longest = 1u << 20;
    const std::size_t next = event_start_after(text, p + 1);
    if (next == text.size() && !last && next - p < longest) return false;
    std::size_t end = next;
    other_writer(text.substr(p, next - p), offset + p);
    if (next == text.size()) {
      const std::size_t bracket = text.rfind(']', text.find("\"traceName\"", p));
      end = bracket != std::string_view::npos && bracket > p ? bracket : next;
    }
    if (state_ != where::events_rest && text[p] == '{' && end - p < longest / 8 && !about.two_writers) {
      mended_.assign(text.substr(p, end - p));
      while (!mended_.empty() && mended_.back() != '}') mended_.pop_back();
      const std::size_t size = mended_.size();
      std::size_t at = static_cast<std::size_t>(fault - offset) - p;
      for (unsigned tries = 0; mend(mended_, at, tries);) {
        in_.reset(mended_);
        if (h_.event(in_, mended_, offset + p)) {
          if (skip_white(mended_, in_.offset()) != mended_.size()) break;
          lose(model::trace_fault::repaired_text, fault, "raw quotes or numbers such as NaN were mended");
          p += size;
          state_ = where::events_rest;
          return true;
        }
        at = in_.offset();
      }
    }
    h_.broken_event(text.substr(static_cast<std::size_t>(fault - offset)), fault, std::move(what));
    const std::size_t behind = end != text.size() ? skip_white(text, end + 1) : end;
    if (next != text.size()) {
      p = next;
      state_ = where::events_value;
    } else if (behind != text.size() && (text[behind] == ',' || text[behind] == '}')) {
      p = end;  // it was the last one: the list closes behind it
      state_ = where::events_rest;
    } else {
      ++p;
      gap_ = true;
    }
    return true;
  }

  void too_long() {
    const std::uint64_t begin = offset_end_ - pending_.size();
    std::string what = "an event or a member of the root is longer than ";
    what.append(std::to_string(options_.value)).append(" bytes");
    if (options_.strict) return fail(begin, std::move(what));
    lose(model::trace_fault::damaged, begin, std::move(what));
    if (about.complete && (state_ == where::root_member || state_ == where::root_rest)) {  // behind the events: over it, to the next member
      skips_ = true, skip_depth_ = 0, skip_string_ = skip_escape_ = false;
      pending_.erase(0, skip_member(pending_));
      try_at_ = 0;
      return;
    }
    pending_.erase(0, pending_.size() - 4096);
    gap_ = true;
    try_at_ = 0;
  }

  // Hands over the text of a member of the root up to the comma or brace behind it, unread. How much of the text that is.
  std::size_t skip_member(std::string_view text) {
    std::size_t p = 0;
    for (; p != text.size(); ++p) {
      const char c = text[p];
      if (skip_string_) {
        if (skip_escape_) skip_escape_ = false;
        else if (c == '\\') skip_escape_ = true;
        else if (c == '"') skip_string_ = false;
        continue;
      }
      if (skip_depth_ == 0 && (c == ',' || c == '}')) {
        skips_ = false;
        state_ = where::root_rest;
        break;
      }
      if (c == '"') skip_string_ = true;
      else if (c == '{' || c == '[') ++skip_depth_;
      else if ((c == '}' || c == ']') && skip_depth_ != 0) --skip_depth_;
    }
    h_.around(text.substr(0, p), true);
    return p;
  }

  // Behind the last text.
  void finish() {
    about.text_bytes = offset_end_;
    if (state_ == where::failed || state_ == where::end) return;
    const std::uint64_t at = offset_end_ - pending_.size();
    if (state_ == where::start) return fail(at, "the file holds no JSON");
    if (options_.strict) return fail(offset_end_, "the text ends, want more JSON");
    // An array of events needs no bracket at its end (Trace Event Format, "JSON Array Format").
    if (about.array_root && !gap_ && pending_.empty() && (state_ == where::events_rest || state_ == where::events_value)) return;
    if (!found_events_ && !gap_) return lose(model::trace_fault::truncated, at, "the file ends before the list of events");
    lose(model::trace_fault::truncated, at, about.complete ? "the file ends behind the list of events" : "the file ends inside the list of events; what comes before was kept");
  }

  Handler& h_;
  read_options options_;
  json::reader in_;
  where state_ = where::start;
  bool found_events_ = false, gap_ = false, ignore_rest_ = false;
  bool skips_ = false, skip_string_ = false, skip_escape_ = false;   // within a member that is too long to be read
  std::uint64_t skip_depth_ = 0;
  std::string pending_, key_, mended_;
  std::uint64_t offset_end_ = 0;       // of all text fed
  std::size_t try_at_ = 0;
  std::optional<error> failed_;
};

// For scan(): reads the head of an event.
template <class Sink>
class head_handler {
 public:
  explicit head_handler(Sink& sink) : sink_(sink) {}

  bool event(json::reader& in, std::string_view text, std::uint64_t byte) {
    event_view e;
    e.byte = byte;
    in.object([&](std::string_view key) {
      if (key == "ph") { std::string_view ph; if (in.string(ph) && !ph.empty()) e.phase = ph[0]; }
      else if (key == "cat") text_of(in, text, e.category, own_[0]);
      else if (key == "name") text_of(in, text, e.name, own_[1]);
      else if (key == "pid") text_of(in, text, e.pid, own_[2]);
      else if (key == "tid") text_of(in, text, e.tid, own_[3]);
      else if (key == "ts") time_of(in, e.ts);
      else if (key == "dur") time_of(in, e.dur);
    });
    if (!in.ok()) return false;
    e.raw = text.substr(0, in.offset());
    ++events;
    if constexpr (requires { sink_.event(e); }) sink_.event(static_cast<const event_view&>(e));
    return true;
  }
  void odd_element(std::uint64_t byte) {
    ++events;
    lost(model::trace_fault::malformed_event, byte, "an element of traceEvents is not an object");
  }
  void member(std::string_view, std::string_view) {}
  void around(std::string_view text, bool after) {
    if (text.empty()) return;
    if (after) { if constexpr (requires { sink_.after(text); }) sink_.after(text); }
    else if constexpr (requires { sink_.before(text); }) sink_.before(text);
  }
  void broken_event(std::string_view, std::uint64_t byte, std::string note) { lost(model::trace_fault::damaged, byte, std::move(note)); }
  void lost(model::trace_fault f, std::uint64_t byte, std::string note) { losses.count(f, byte, std::move(note)); }

  std::uint64_t events = 0;
  model::timeline losses;              // only its `lost` is used

 private:
  static void text_of(json::reader& in, std::string_view text, std::string_view& out, std::string& own) {
    if (in.peek() != json::kind::string) {
      if (in.peek() == json::kind::number) in.raw(out);
      return;
    }
    if (in.string(out) && (out.data() < text.data() || out.data() > text.data() + text.size())) out = own.assign(out);
  }
  static void time_of(json::reader& in, std::optional<nanoseconds>& out);

  Sink& sink_;
  std::string own_[4];
};

// A time in microseconds, as a number or as a string that is one.
bool read_time(json::reader& in, nanoseconds& out);

template <class Sink>
void head_handler<Sink>::time_of(json::reader& in, std::optional<nanoseconds>& out) {
  nanoseconds t;
  if (read_time(in, t)) out = t;
}

template <class Handler>
result<scanned> finish_scan(document<Handler>& d, Handler& h) {
  if (d.failed()) return *d.failed();
  d.about.events = h.events;
  d.about.lost = std::move(h.losses.lost);
  return std::move(d.about);
}
// The text was longer than options.text: the one loss at its end says so.
void count_text_limit(model::timeline& losses, const read_options& options);
// traceEvents was not there.
error no_events(const scanned& about);

}  // namespace detail

// Feeds a sink from text in memory, all in one piece.
template <class Sink>
result<scanned> scan_text(std::string_view text, Sink&& sink, const read_options& options = {}) {
  detail::head_handler<std::remove_reference_t<Sink>> h(sink);
  detail::document d(h, options);
  d.feed(text.substr(0, options.text), true);
  if (text.size() > options.text) detail::count_text_limit(h.losses, options);
  if (!d.failed() && !d.found_events()) return detail::no_events(d.about);
  return detail::finish_scan(d, h);
}

// The same from a file. The error names the file.
template <class Inflater = plain, class Sink>
result<scanned> scan(const std::string& path, Sink&& sink, const read_options& options = {}) {
  text_file<Inflater> file;
  if (auto opened = file.open(path); !opened) return opened.error();
  detail::head_handler<std::remove_reference_t<Sink>> h(sink);
  detail::document d(h, options);
  chunker chunks(file.source(), options);
  for (text_chunk c; chunks.fill(c);) {
    d.feed(c.text(), c.last);
    if (options.progress != nullptr) options.progress(options.context, file.file().offset(), file.file().size());
  }
  if (chunks.over_limit()) detail::count_text_limit(h.losses, options);
  for (const model::trace_loss& l : file.lost()) h.losses.count(l.fault, l.first_byte, l.note, l.count);
  auto done = [&]() -> result<scanned> {
    if (file.file().failed()) return *file.file().failed();
    if (!d.failed() && !d.found_events()) return detail::no_events(d.about);
    return detail::finish_scan(d, h);
  }();
  if (!done) {
    error e = done.error();
    if (e.source.empty()) e.source = path;
    return e;
  }
  done->file_bytes = file.file().size();
  return done;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/scan-inl.hpp>
#endif
