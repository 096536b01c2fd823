// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/slice.hpp - a part of a trace that is a whole trace again: by time, step, rank, category; as a timeline, or as the file's own text.
//
//     trace::selection some{.time = trace::after_first_gpu(t, {.begin = 10_ms, .end = 20_ms})};
//     model::timeline part = trace::slice(t, some);
//     auto s = trace::slice_file<trace::zlib>("rank0.json.gz", t, some, keep);       // the events as they stand in the file, arguments and all
//
//   By time: what overlaps [begin, end) on its own side. By step: GPU events that were launched within a range of the host. By both: what is in both. With each GPU event comes what it points to: its
//   launch, the operator that it belongs to, and the operators, Python frames and annotations around both. Metadata stays.
//   `categories` narrows all of that: only these are kept. Cost: one pass, binary searches. Thread safety: no state.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/core/name_table.hpp>
#include <hotpath/model/timeline.hpp>
#include <hotpath/trace/detail/raw_events.hpp>
#include <hotpath/trace/scan.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

struct time_range {                            // half-open
  nanoseconds begin{}, end{};
};
struct host_range {
  nanoseconds begin{}, end{};
  std::uint16_t process = 0;
};

struct selection {
  std::optional<time_range> time = {};         // on the timeline's clock
  std::optional<std::vector<host_range>> steps = {};   // of annotations that mark steps
  std::optional<int> rank = {};
  std::vector<std::string> categories = {};    // any name of a class: kernel, gpu_memcpy, gpu_memset, cuda_runtime, cuda_driver, cpu_op, python_function, user_annotation, ...
};

// A range given relative to the begin of the first GPU event (of the first event, where no GPU event is).
time_range after_first_gpu(const model::timeline& t, time_range relative);

// Sorted. The name table is the whole one; about.events counts what is left, by_phase and by_category are emptied.
model::timeline slice(const model::timeline& t, const selection& s);

struct sliced {
  scanned about;                               // of the file
  std::uint64_t kept = 0, metadata = 0, gpu = 0;   // events written; among them: metadata, GPU events
  std::uint64_t dropped = 0, bytes = 0;        // no JSON; bytes written
};

namespace detail {

// Decides about events, of the timeline and as they stand in the file.
class slicer {
 public:
  slicer(const model::timeline& t, const selection& s);
  model::timeline timeline() const;
  bool keep(const event_view& e);
  std::uint64_t gpu = 0;                       // kept by keep()

 private:
  struct point { std::uint32_t track; std::int64_t at; };
  struct id { std::uint16_t process; std::uint64_t value; };
  struct place { name_id pid, tid; std::uint32_t track; std::uint16_t process; };

  bool rank_fits(std::uint16_t process) const { return !selection_.rank || (process < fits_.size() && fits_[process]); }
  bool category_fits(std::string_view category) const;
  bool in_time(std::int64_t begin, std::int64_t end) const;
  bool in_steps(std::int64_t begin, std::int64_t end, std::uint16_t process) const;
  bool overlaps(std::int64_t begin, std::int64_t end, std::uint16_t process) const { return in_time(begin, end) && in_steps(begin, end, process); }  // of the host
  bool has(const std::vector<id>& ids, std::uint16_t process, std::uint64_t value) const;
  bool around_kept(std::uint32_t track, std::int64_t begin, std::int64_t end) const;
  bool in_gpu_span(std::int64_t begin, std::int64_t end) const { return begin < gpu_end_ && (end > gpu_begin_ || begin >= gpu_begin_); }
  bool on_gpu(std::int64_t begin, std::int64_t end) const { return in_time(begin, end) && (!selection_.steps || in_gpu_span(begin, end)); }  // of the device, beside its work
  template <class E> bool around(const E& e) const;
  bool host(const model::api_call& e) const;
  bool host(const model::cpu_op& e) const;
  bool host(const model::annotation& e) const;
  bool sync(const model::sync_event& e) const;
  place where(const event_view& e);
  bool whole() const { return !selection_.time && !selection_.steps; }

  const model::timeline& t_;
  const selection& selection_;
  std::vector<std::string> categories_;        // canonical words
  std::vector<host_range> ranges_;             // of the steps, by process and begin; they do not meet
  std::vector<bool> fits_, gpu_kept_;          // by process; by GPU event
  std::vector<id> correlations_, externals_;   // of kept GPU events and their launches, sorted
  std::vector<point> points_;                  // launches and operators of kept GPU events, sorted
  std::int64_t gpu_begin_ = INT64_MAX, gpu_end_ = INT64_MIN;
  name_table places_;                          // "pid\x1ftid" and "pid"
  std::vector<place> place_of_;                // by its ids
  std::string key_;
};

}  // namespace detail

// Streams the file that `t` was read from a second time. Errors: those of trace::scan, io when the sink refuses.
template <class Inflater = plain>
result<sliced> slice_file(const std::string& path, const model::timeline& t, const selection& s, byte_sink sink, const read_options& options = {}) {
  struct {
    detail::slicer some;
    detail::raw_writer out;
    void before(std::string_view text) { out.before(text); }
    std::uint64_t metadata = 0;
    void event(const event_view& e) {
      if (!some.keep(e)) return;
      const std::uint64_t before = out.kept;
      out.event(e.raw);
      if (e.phase == 'M') metadata += out.kept - before;
    }
    void after(std::string_view text) { out.after(text); }
  } copy{detail::slicer(t, s), detail::raw_writer(sink)};
  auto scan_result = scan<Inflater>(path, copy, options);
  if (!scan_result) return scan_result.error();
  if (!copy.out.finish(scan_result->lost)) return error{.code = errc::io, .detail = "the slice could not be written"};
  return sliced{std::move(*scan_result), copy.out.kept, copy.metadata, copy.some.gpu, copy.out.dropped, copy.out.bytes};
}

}  // namespace hotpath::inline HOTPATH_ABI::trace

#if HOTPATH_HEADER_ONLY
#include <hotpath/trace/slice-inl.hpp>
#endif
