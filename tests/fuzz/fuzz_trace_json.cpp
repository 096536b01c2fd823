// SPDX-License-Identifier: Apache-2.0
// Any bytes as a trace: strict accepts what nlohmann accepts (and has a list of events), every size of chunk and number of threads gives the same
// timeline, offsets lie within the text, nothing grows beyond it, and every analyzer gets through it with its books in order.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <core/json_oracle.hpp>
#include <hotpath/kernel/facts.hpp>
#include <hotpath/kernel/triage.hpp>
#include <hotpath/trace.hpp>

namespace {
void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_trace_json: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
using namespace hotpath;
bool same(const model::gpu_event& a, const model::gpu_event& b) {
  return a.begin == b.begin && a.duration == b.duration && a.correlation == b.correlation && a.external == b.external && a.name == b.name && a.stream == b.stream && a.detail == b.detail &&
         a.graph == b.graph && a.graph_node == b.graph_node && a.track == b.track && a.process == b.process && a.device == b.device && a.kind == b.kind;
}
bool same(const model::api_call& a, const model::api_call& b) {
  return a.begin == b.begin && a.duration == b.duration && a.correlation == b.correlation && a.name == b.name && a.track == b.track && a.kernel == b.kernel && a.detail == b.detail;
}
bool same(const model::cpu_op& a, const model::cpu_op& b) { return a.begin == b.begin && a.duration == b.duration && a.external == b.external && a.name == b.name && a.track == b.track; }
bool same(const model::frame& a, const model::frame& b) { return a.begin == b.begin && a.duration == b.duration && a.name == b.name && a.track == b.track && a.parent == b.parent; }
template <class Row>
bool same(const rows<Row>& a, const rows<Row>& b) {
  bool equal = a.size() == b.size();
  for (std::size_t i = 0; equal && i < a.size(); ++i) equal = same(a[i], b[i]);
  return equal;
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto t = trace::read_text(text, {.threads = 1});
  const auto pieces = trace::read_text(text, {.threads = 1, .chunk = 64});
  const auto beside = trace::read_text(text, {.threads = 2, .chunk = 100});
  require(t.has_value() == pieces.has_value() && t.has_value() == beside.has_value(), "chunks decide whether a text is a trace");
  if (t) {
    for (const auto* other : {&*pieces, &*beside}) {
      require(t->about.events == other->about.events, "chunks change the number of events");
      require(same(t->gpu, other->gpu) && same(t->api, other->api) && same(t->ops, other->ops) && same(t->frames, other->frames), "chunks change events");
      require(t->names.size() == other->names.size(), "chunks change the names");
      require(t->lost.size() == other->lost.size(), "chunks change the kinds of loss");
    }
    for (const auto& l : t->lost) require(l.count != 0 && l.first_byte.value_or(0) <= size, "a loss behind the end");
    const std::uint64_t rows = t->gpu.size() + t->api.size() + t->ops.size() + t->frames.size() + t->annotations.size() + t->syncs.size();
    require(rows <= t->about.events && t->about.events <= size, "more rows than events");
    const kernel::trace_facts f = kernel::facts(*t);
    require(f.gpu_busy_union <= f.gpu_time_sum, "busy for longer than it works");
    if (size % 4 == 0) {  // a millisecond each: not for all
      const auto r = kernel::triage(*t, {.min_share = 0});
      require(!r || r->check.in_rows + r->check.hidden + r->check.left_out == r->check.total, "rows, hidden and left out are not the total");
    }
  } else {
    require(!t.error().message().empty(), "an error without a message");
  }
  const auto strict = trace::read_text(text, {.strict = true, .threads = 1});
  if (strict) {
    require(t.has_value(), "tolerant refuses what strict accepts");
    const hotpath_test::comparison c = hotpath_test::compare_with_nlohmann(text);
    require(c.accepted || c.over_limit, "strict accepts what nlohmann refuses");
  }
  struct {
    std::uint64_t n = 0;
    std::string_view text;
    void event(const trace::event_view& e) {
      ++n;
      require(e.byte < text.size() && e.raw.starts_with('{') && e.raw.ends_with('}'), "an event that is none");
    }
  } sink;
  sink.text = text;
  const auto s = trace::scan_text(text, sink);
  require(s.has_value() == t.has_value(), "scan and read disagree");
  if (s) require(s->events == t->about.events && sink.n <= s->events, "scan and read count differently");
  return 0;
}
