// SPDX-License-Identifier: Apache-2.0
#include <hotpath/kernel/integrity.hpp>

#include <doctest/doctest.h>
#include <string>

#include "made_trace.hpp"
#include <hotpath/kernel/subject.hpp>
#include <hotpath/kernel/table.hpp>

using namespace hotpath::literals;
using hotpath::kernel::check_trace;
using hotpath::kernel::health;
using hotpath::kernel::integrity;
using hotpath::kernel::look_at;
using hotpath::kernel::stage;
using hotpath::kernel::subject;
using hotpath::model::trace_fault;
using hotpath_test::made_trace;

namespace {
// 1: a warning says it; 0: a plain finding; -1: none does.
int says(const integrity& i, std::string_view words) {
  for (const auto& f : i.findings)
    if (f.text.find(words) != std::string::npos) return f.warning ? 1 : 0;
  return -1;
}
made_trace healthy() {
  made_trace m;
  m.annotate("step[DECODE bs=1]", 0_us, 50_us);
  m.frame("vllm/a.py(1): f", 0_us, 50_us), m.op("aten::mm", 5_us, 20_us, 3);
  m.launch("gemm", 10_us, 100_us, 30_us).external = 3;
  m.launch("gemm", 200_us, 300_us, 10_us);
  m.done();
  return m;
}
integrity checked(const hotpath::model::timeline& t, std::string_view name = {}) {
  integrity i;
  check_trace(i, t, look_at(t), name);
  return i;
}
}  // namespace

TEST_CASE("kernel: a whole trace is good, and the share that is mapped is said by method") {
  const integrity i = checked(healthy().t, "a.json");
  CHECK(i.verdict == health::good);
  CHECK(says(i, "a.json: 75.0 % of GPU time is mapped to the program (by external id 75.0 %), 75.0 % of it to a source line; 25.0 % is not.") == 0);
  CHECK(says(i, "1 GPU event was launched outside of all steps") == 0);
  for (const auto& f : i.findings) CHECK_FALSE(f.warning);
}

TEST_CASE("kernel: losses are said one by one, with the first byte, and make a report partial") {
  made_trace m = healthy();
  m.t.count(trace_fault::repaired_text, 7, {}, 3);
  CHECK(checked(m.t).verdict == health::good);                    // nothing is lost by it
  m.t.count(trace_fault::truncated, 123456, "2 events were open");
  m.t.count(trace_fault::bad_time, 99, {}, 4);
  const integrity i = checked(m.t, "x");
  CHECK(i.verdict == health::partial);
  CHECK(says(i, "x: the file ends early at byte 123456: the complete events before it were kept; 2 events were open.") == 1);
  CHECK(says(i, "x: 4 events with an impossible time dropped, the first at byte 99.") == 1);
  CHECK(says(i, "x: 3 texts with control characters or ill-formed UTF-8 mended, the first at byte 7.") == 0);
  for (std::size_t f = 0; f < hotpath::model::trace_fault_count; ++f)
    CHECK(hotpath::kernel::sentence_of({static_cast<trace_fault>(f), 2, 5, {}}).find("byte 5") != std::string::npos);
}

TEST_CASE("kernel: traces without GPU work are unusable, and what to record is said") {
  made_trace host;
  host.op("aten::mm", 0_us, 5_us);
  integrity i = checked(host.done());
  CHECK(i.verdict == health::unusable);
  CHECK(says(i, "1 event of the host and none of a GPU") == 1);
  host.t.about.by_category = {{"cpu_op", 1}, {"cuda_profiler_range", 44}};
  i = checked(host.t);
  CHECK(i.verdict == health::unusable);
  CHECK(says(i, "44 ranges of hardware counters and no kernel") == 1);
  CHECK(checked({}).verdict == health::unusable);
}

TEST_CASE("kernel: columns that figures need are counted apart from all that an export does not have") {
  CHECK(hotpath::kernel::sentence_of({.fault = trace_fault::missing_column, .count = 1, .first_byte = {}, .note = "all columns that this export does not have: a, b, c"}) ==
        "1 column or table that figures need is missing; all columns that this export does not have: a, b, c");
}

TEST_CASE("kernel: what links, ranks and clocks do not tell is said") {
  made_trace m = healthy();
  m.event("a", 400_us, 0_us, hotpath::model::no_id), m.event("b", 410_us, 1_us, 4711);
  m.t.about.world_size = 8, m.t.about.rank = 0, m.t.about.with_stack = true;
  integrity i = checked(m.done());
  CHECK(i.verdict == health::good);
  CHECK(says(i, "1 GPU event has a duration of 0") == 0);
  CHECK(says(i, "launched by") == -1);                          // said by the mapping, and once is enough
  CHECK(says(i, "1 rank of 8 is in the trace") == 0);
  CHECK(says(i, "Python stacks were recorded") == 0);
  m.t.processes.resize(2);
  m.t.processes[1].rank = 1, m.t.processes[1].rank_from_name = true;
  i = checked(m.t);
  CHECK(i.verdict == health::partial);
  CHECK(says(i, "Clocks of the processes were not aligned") == 1);
  CHECK(says(i, "A rank is known from the file's name alone.") == 0);
  for (auto& p : m.t.processes) p.clock = hotpath::model::clock_kind::unix_time;
  CHECK(checked(m.t).verdict == health::good);
}

TEST_CASE("kernel: F-TRC-14 graphs whose kernels were not recorded make a report partial") {
  made_trace m = healthy();
  for (int k = 0; k < 5; ++k) m.call("cudaGraphLaunch", 210_us + 10_us * k);
  const integrity i = checked(m.done());
  CHECK(i.verdict == health::partial);
  CHECK(says(i, "kernels of graphs not recorded") == 1);
}

TEST_CASE("kernel: rows, hidden and left out are the whole GPU time, and a sum that does not come out is said") {
  made_trace m = healthy();
  m.launch("tiny", 20_us, 500_us, hotpath::nanoseconds(100));
  m.done();
  for (const hotpath::kernel::subject_options& o : {hotpath::kernel::subject_options{}, {.only = stage::decode}, {.to = 50_us}}) {
    const subject s = look_at(m.t, o);
    std::vector<hotpath::kernel::kernel_table> tables;
    for (const stage at : s.stages) tables.push_back(hotpath::kernel::table(s, at, {.min_share = 1.0}));
    integrity i;
    hotpath::kernel::account(i, s, tables);
    CHECK(i.total == hotpath::nanoseconds(40'100));
    CHECK(i.in_rows + i.hidden + i.left_out == i.total);
    settle(i);
    CHECK(i.verdict == health::good);
    CHECK(i.findings.empty());
    tables.pop_back();
    integrity broken;
    hotpath::kernel::account(broken, s, tables);
    settle(broken);
    CHECK(broken.verdict == health::partial);
    CHECK(says(broken, "an error of this program") == 1);
  }
}
