// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/torch_reader.hpp - a Kineto trace read by several threads, with the result that one alone would give. Not for users.
#pragma once
#include <unistd.h>
#include <vector>
#include <hotpath/core/thread.hpp>
#include <hotpath/trace/torch.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

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

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
