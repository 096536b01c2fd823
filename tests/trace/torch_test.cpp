// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>
#include <cstring>
#include <filesystem>
#include <hotpath/trace/zlib.hpp>
#if HOTPATH_HAS_ISAL
#include <hotpath/trace/isal.hpp>
#endif
#include "made.hpp"
#include <support/data.hpp>

using namespace hotpath;
using namespace hotpath_test;
using model::trace_fault;

TEST_CASE("trace: every event of every real trace is what nlohmann's parser makes of it, with any inflater and any number of threads") {
  const auto folder = data_or_skip("torch-traces");
  if (!folder) return;
  std::size_t traces = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(*folder)) {
    if (entry.path().extension() != ".gz") continue;
    const std::string path = entry.path().string();
    CAPTURE(path);
    auto t = trace::read<trace::zlib>(path, {.threads = 2, .chunk = 100'000});
    REQUIRE_MESSAGE(t.has_value(), (t ? "" : t.error().message()));
    CHECK(!t->partial());
    {
      raw_dom dom;
      REQUIRE(nlohmann::json::sax_parse(text_of(path), &dom));
      CHECK(difference(lines_of(*t), lines_of_dom(dom.root)) == "");
    }
#if HOTPATH_HAS_ISAL
    auto alone = trace::read<trace::isal>(path, {.strict = true, .threads = 1});
#else
    auto alone = trace::read<trace::zlib>(path, {.strict = true, .threads = 1});
#endif
    REQUIRE_MESSAGE(alone.has_value(), (alone ? "" : alone.error().message()));
    CHECK(same(*t, *alone) == "");
    ++traces;
  }
  CHECK(traces == 27);
}

// ---- damage -------------------------------------------------------------------------------------------------------------------------

namespace {

// Any number of threads and any size of chunks give the same; what one thread reads is returned.
model::timeline read_all_ways(std::string_view text, trace::read_options o = {}) {
  o.threads = 1;
  auto first = trace::read_text(text, o);
  REQUIRE_MESSAGE(first.has_value(), (first ? "" : first.error().message()));
  for (const unsigned threads : {1u, 2u, 3u})
    for (const std::size_t chunk : {std::size_t{64}, std::size_t{200}, std::size_t{1000}, std::size_t{1} << 20}) {
      CAPTURE(threads);
      CAPTURE(chunk);
      o.threads = threads, o.chunk = chunk;
      auto again = trace::read_text(text, o);
      REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message()));
      CHECK(same(*first, *again) == "");
    }
  return std::move(*first);
}

std::string many_kernels(int n, std::string_view separator = ",\n  ") {
  std::string out;
  for (int i = 0; i < n; ++i) {
    if (i != 0) out += separator;
    out += kernel("k" + std::to_string(i % 7), std::to_string(1000 + 10 * i) + ".5", "4.25", R"("device": 0, "stream": 7, "correlation": )" + std::to_string(i + 1));
  }
  return out;
}

std::string temporary(const std::string& name, std::string_view bytes) {
  const std::string path = (std::filesystem::temp_directory_path() / ("hotpath_torch_test_" + std::to_string(::getpid()) + "_" + name)).string();
  write_file(path, bytes);
  return path;
}
struct temporary_file {
  std::string path;
  temporary_file(const std::string& name, std::string_view bytes) : path(temporary(name, bytes)) {}
  ~temporary_file() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("trace: F-TRC-01 a file that ends early gives its complete events, and the byte where it ends") {
  const std::string text = document(many_kernels(50));
  const std::string tenth = kernel("k2", "1090.5", "4.25");
  std::size_t seen_events = 0;
  for (std::size_t cut = 40; cut < text.size() - 1; cut += 7) {
    CAPTURE(cut);
    auto t = trace::read_text(std::string_view(text).substr(0, cut), {.threads = 1});
    REQUIRE(t.has_value());
    CHECK(t->partial());
    REQUIRE(loss_of(*t, trace_fault::truncated) != nullptr);
    CHECK(lost(*t, trace_fault::truncated) == 1);
    // By hand: the events whose closing braces are there.
    std::size_t complete = 0, last_end = 0;
    for (std::size_t at = text.find("}}"); at != std::string::npos && at + 2 <= cut; at = text.find("}}", at + 2)) ++complete, last_end = at + 2;
    CHECK(t->gpu.size() == complete);
    seen_events += complete;
    const std::uint64_t byte = loss_of(*t, trace_fault::truncated)->first_byte.value();
    CHECK(byte >= last_end);
    CHECK(byte <= cut);
    CHECK(loss_of(*t, trace_fault::truncated)->note.find("ends") != std::string::npos);
  }
  CHECK(seen_events > 1000);
  read_all_ways(std::string_view(text).substr(0, text.size() * 7 / 10));
  auto strict = trace::read_text(std::string_view(text).substr(0, 500), {.strict = true});
  CHECK(!strict.has_value());
}

TEST_CASE("trace: F-TRC-02 two processes that wrote one file are found out, and the message names the cause") {
  const std::string a = document(many_kernels(40)), b = document(many_kernels(25), R"("schemaVersion": 1, "distributedInfo": {"rank": 1}, )");
  // The shorter one lies over the beginning of the longer one, as when both opened the same file and wrote from its start.
  const std::string over = b + a.substr(b.size());
  model::timeline t = read_all_ways(over);
  REQUIRE(loss_of(t, trace_fault::damaged) != nullptr);
  CHECK(loss_of(t, trace_fault::damaged)->note.find("two processes wrote") != std::string::npos);
  CHECK(loss_of(t, trace_fault::damaged)->first_byte.value() >= b.size());
  CHECK(t.gpu.size() == 25);
  // Blocks of both take turns.
  std::string mixed = a.substr(0, 1000) + b.substr(0, 1500) + a.substr(1000);
  t = read_all_ways(mixed);
  bool named = false;
  for (const auto& l : t.lost) named |= l.note.find("two processes wrote") != std::string::npos;
  CHECK(named);
  CHECK(t.gpu.size() > 40);
  // Both, one behind the other.
  t = read_all_ways(a + "\n" + b);
  CHECK(loss_of(t, trace_fault::damaged)->note.find("two processes wrote") != std::string::npos);
  CHECK(t.gpu.size() == 40);
  CHECK(!trace::read_text(a + b, {.strict = true}).has_value());
}

template <class Inflater>
void check_gzip() {
  const std::string text = document(many_kernels(400));
  const std::string packed = gzip(text);
  {
    INFO("F-TRC-03 a cut gzip stream");
    for (const double share : {0.3, 0.7, 0.99}) {
      CAPTURE(share);
      const temporary_file f("cut.json.gz", packed.substr(0, static_cast<std::size_t>(share * static_cast<double>(packed.size()))));
      auto t = trace::read<Inflater>(f.path);
      REQUIRE(t.has_value());
      CHECK(t->gpu.size() > 20);
      CHECK(t->gpu.size() < 400);
      REQUIRE(loss_of(*t, trace_fault::truncated) != nullptr);
      CHECK(loss_of(*t, trace_fault::truncated)->note.find("gzip stream ends early") != std::string::npos);
      CHECK(loss_of(*t, trace_fault::truncated)->first_byte.has_value());
    }
  }
  {
    INFO("F-TRC-04 a wrong checksum, a wrong length");
    for (const std::size_t back : {8u, 3u}) {
      std::string bad = packed;
      bad[bad.size() - back] = static_cast<char>(bad[bad.size() - back] ^ 0x55);
      const temporary_file f("crc.json.gz", bad);
      auto t = trace::read<Inflater>(f.path);
      REQUIRE(t.has_value());
      CHECK(t->gpu.size() == 400);
      CHECK(t->partial());
      REQUIRE(loss_of(*t, trace_fault::bad_checksum) != nullptr);
      CHECK(loss_of(*t, trace_fault::bad_checksum)->note.find("unverified") != std::string::npos);
    }
  }
  {
    INFO("F-TRC-05 members one after the other");
    std::string members;
    for (std::size_t at = 0; at < text.size(); at += 3000) members += gzip(std::string_view(text).substr(at, 3000));
    const temporary_file f("members.json.gz", members);
    auto t = trace::read<Inflater>(f.path, {.strict = true});
    REQUIRE_MESSAGE(t.has_value(), (t ? "" : t.error().message()));
    CHECK(t->gpu.size() == 400);
    CHECK(!t->partial());
  }
  {
    INFO("F-TRC-06 zeros behind the stream");
    for (const std::size_t zeros : {1u, 512u, 300'000u}) {
      const temporary_file f("zeros.json.gz", packed + std::string(zeros, '\0'));
      auto t = trace::read<Inflater>(f.path);
      REQUIRE(t.has_value());
      CHECK(t->gpu.size() == 400);
      CHECK(!t->partial());
    }
    const temporary_file padded("padded.json.gz", gzip(text.substr(0, 900)) + std::string(100, '\0') + gzip(text.substr(900)));
    auto both = trace::read<Inflater>(padded.path);
    REQUIRE(both.has_value());
    CHECK(both->gpu.size() == 400);
    CHECK(!both->partial());
    const temporary_file f("rest.json.gz", packed + "rest");
    auto t = trace::read<Inflater>(f.path);
    REQUIRE(t.has_value());
    CHECK(t->gpu.size() == 400);
    CHECK(t->partial());
  }
  {
    INFO("a damaged stream keeps what comes before");
    std::string bad = gzip(document(many_kernels(4000)), 9);
    for (std::size_t i = bad.size() / 2; i < bad.size() / 2 + 64; ++i) bad[i] = '\x5a';
    const temporary_file f("damaged.json.gz", bad);
    auto t = trace::read<Inflater>(f.path);
    REQUIRE(t.has_value());
    CHECK(t->gpu.size() > 500);
    CHECK(t->partial());
  }
}

TEST_CASE("trace: F-TRC-03 F-TRC-04 F-TRC-05 F-TRC-06 damaged gzip files, through zlib") { check_gzip<trace::zlib>(); }
#if HOTPATH_HAS_ISAL
TEST_CASE("trace: F-TRC-03 F-TRC-04 F-TRC-05 F-TRC-06 damaged gzip files, through ISA-L") { check_gzip<trace::isal>(); }
#endif

TEST_CASE("trace: F-TRC-07 a root without traceEvents is an error that names the keys; an array of events is a trace") {
  auto none = trace::read_text(R"({"schemaVersion": 1, "deviceProperties": [], "events": {"traceEvents": [1]}})");
  REQUIRE(!none.has_value());
  CHECK(none.error().message().find("the root has the keys schemaVersion, deviceProperties, events") != std::string::npos);
  CHECK(!trace::read_text(R"({"traceEvents": null})").has_value());
  for (const char* text : {"", "   ", "7", "\"traceEvents\"", "nonsense"}) CHECK(!trace::read_text(text).has_value());
  model::timeline t = read_all_ways("\xEF\xBB\xBF\n[" + many_kernels(20) + "]\n");
  CHECK(t.gpu.size() == 20);
  CHECK(t.about.format == model::trace_format::chrome);
  CHECK(!t.partial());
  t = read_all_ways(document(""));
  CHECK(t.about.events == 0);
  CHECK(!t.partial());
}

TEST_CASE("trace: F-TRC-08 events out of order are sorted; each bad time is counted by cause, with the first place") {
  const std::string good = kernel("late", "30", "1") + ", " + kernel("early", "10.0005", "1") + ", " + kernel("text", "\"20.5\"", "\"1.5\"") + ", " + kernel("zero", "40", "0");
  const auto event = [](std::string_view fields) { return std::string(R"(, {"ph": "X", "cat": "kernel", "name": "bad", "pid": 0, "tid": 7)").append(fields).append("}"); };
  const std::string bad = event(R"(, "ts": 5, "dur": -1)") + event(R"(, "ts": 5, "dur": -0.001)") + event(R"(, "ts": 5)") + event(R"(, "dur": 5)") + event(R"(, "ts": 1e20, "dur": 1)") +
                          event(R"(, "ts": NaN, "dur": 1)") + event(R"(, "ts": "soon", "dur": 1)") + event(R"(, "ts": 9223372036854775, "dur": 9223372036854775)") + event(R"(, "ts": null, "dur": 1)");
  const std::string text = document(good + bad + ", " + kernel("last", "50", "1"));
  const model::timeline t = read_all_ways(text);
  REQUIRE(t.gpu.size() == 5);
  const char* order[] = {"early", "text", "late", "zero", "last"};
  for (std::size_t i = 0; i < 5; ++i) CHECK(t.name(t.gpu[i].name) == order[i]);
  CHECK(t.gpu[0].begin.ns == 10'001);  // 10.0005 us: halves up
  CHECK(t.gpu[1].begin.ns == 20'500);
  CHECK(t.gpu[1].duration.ns == 1'500);
  CHECK(lost(t, trace_fault::negative_duration) == 2);
  CHECK(lost(t, trace_fault::no_duration) == 1);
  CHECK(lost(t, trace_fault::no_time) == 1);
  CHECK(lost(t, trace_fault::bad_time) == 5);
  CHECK(loss_of(t, trace_fault::negative_duration)->first_byte == text.find("{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"bad\""));
  CHECK(loss_of(t, trace_fault::bad_time)->first_byte.has_value());
  CHECK(t.partial());
}

TEST_CASE("trace: F-TRC-09 B and E become events; what has no other half is closed with its parent or dropped, counted") {
  const auto half = [](char phase, std::string_view name, int ts, int tid = 1) {
    std::string s = std::string(R"({"ph": ")") + phase + R"(", "cat": "cpu_op", "pid": 9, "tid": )" + std::to_string(tid) + R"(, "ts": )" + std::to_string(ts);
    if (!name.empty()) s += R"(, "name": ")" + std::string(name) + "\"";
    return s + "}";
  };
  //  a [10 .. 50]   b [20 .. 40]   c [30 .. never]   d, alone in its thread   a stray E
  const model::timeline t = read_all_ways(document(half('B', "a", 10) + "," + half('B', "b", 20) + "," + half('B', "c", 30) + "," + half('E', "b", 40) + "," + half('E', "", 50) + "," +
                                                   half('B', "d", 15, 2) + "," + half('E', "", 60) + "," + half('E', "nobody", 15, 3)));
  REQUIRE(t.ops.size() == 4);
  const auto check = [&](std::size_t i, std::string_view name, int begin, int end) {
    CHECK(t.name(t.ops[i].name) == name);
    CHECK(t.ops[i].begin.ns == begin * 1000);
    CHECK(t.ops[i].end().ns == end * 1000);
  };
  check(0, "a", 10, 50), check(1, "b", 20, 40), check(2, "c", 30, 40), check(3, "d", 15, 15);
  CHECK(lost(t, trace_fault::unmatched_begin) == 2);
  CHECK(lost(t, trace_fault::unmatched_end) == 2);
}

TEST_CASE("trace: F-TRC-10 pid and tid may be words; ids may be texts, whole floats, empty, None, or beyond 63 bits") {
  const auto with = [](std::string_view ids) { return std::string(R"({"ph": "X", "cat": "kernel", "name": "k", "pid": "GPU 1", "tid": "stream 7", "ts": 1, "dur": 1, "args": {)").append(ids).append("}}"); };
  const model::timeline t = read_all_ways(document(with(R"("correlation": "12", "External id": 7.0, "stream": "7", "device": "1")") + "," +
                                                   with(R"("correlation": 18446744073709551614, "External id": "None", "stream": 7)") + "," + with(R"("correlation": "", "External id": -1)") + "," +
                                                   with(R"("correlation": 18446744073709551616, "External id": null, "stream": [1])")));
  REQUIRE(t.gpu.size() == 4);
  REQUIRE(t.tracks.size() == 1);
  CHECK(t.name(t.tracks[0].pid) == "GPU 1");
  CHECK(t.name(t.tracks[0].tid) == "stream 7");
  std::map<std::uint64_t, model::gpu_event> by;
  for (const auto& g : t.gpu) by[g.correlation] = g;
  CHECK(by.contains(12));
  CHECK(by[12].external == 7);
  CHECK(by[12].stream == 7);
  CHECK(by[12].device == 1);
  CHECK(by.contains(18446744073709551614u));
  CHECK(by[18446744073709551614u].external == model::no_id);
  CHECK(by.size() == 3);  // two have none
  CHECK(!t.partial());
}

TEST_CASE("trace: F-TRC-11 kernels without correlation and External id are kept, with both absent") {
  const model::timeline t = read_all_ways(document(kernel("a", "1", "2", "") + R"(,{"ph": "X", "cat": "kernel", "name": "b", "pid": 3, "tid": 5, "ts": 4, "dur": 1})"));
  REQUIRE(t.gpu.size() == 2);
  for (const auto& g : t.gpu) {
    CHECK(g.correlation == model::no_id);
    CHECK(g.external == model::no_id);
  }
  CHECK(t.gpu[1].device == 3);  // where args tell nothing, the track does
  CHECK(t.gpu[1].stream == 5);
  CHECK(!t.partial());
}

TEST_CASE("trace: F-TRC-12 one id for all kernels of a graph launch is normal; one id for several API calls is counted") {
  const auto call = [](std::string_view name, int correlation, int ts) {
    return std::string(R"({"ph": "X", "cat": "cuda_runtime", "name": ")").append(name).append(R"(", "pid": 1, "tid": 1, "ts": )").append(std::to_string(ts)).append(R"(, "dur": 1, "args": {"correlation": )")
        .append(std::to_string(correlation)).append("}}");
  };
  std::string graph = call("cudaGraphLaunch", 5, 1);
  for (int i = 0; i < 9; ++i) graph += "," + kernel("k", std::to_string(10 + i), "1", R"("stream": 7, "correlation": 5)");
  model::timeline t = read_all_ways(document(graph));
  CHECK(t.lost.empty());
  CHECK(t.gpu.size() == 9);
  t = read_all_ways(document(graph + "," + call("cudaLaunchKernel", 6, 20) + "," + call("cuLaunchKernel", 6, 21) + "," + call("cudaLaunchKernel", 6, 22)));
  CHECK(lost(t, trace_fault::duplicate_correlation) == 2);
  CHECK(!t.partial());  // said, nothing is lost
}

TEST_CASE("trace: F-TRC-13 metadata applies, wherever it stands") {
  const auto meta = [](std::string_view what, std::string_view pid, std::string_view tid, std::string_view args) {
    return std::string(R"({"ph": "M", "name": ")").append(what).append(R"(", "pid": )").append(pid).append(", \"tid\": ").append(tid).append(", \"ts\": 0, \"args\": {").append(args).append("}}");
  };
  const std::string facts = meta("process_name", "71", "0", R"("name": "python")") + "," + meta("process_labels", "71", "0", R"("labels": "CPU")") + "," + meta("thread_name", "71", "72", R"x("name": "thread 72 (engine)")x") +
                            "," + meta("process_name", "0", "0", R"("name": "gpu process")");
  const std::string events = R"({"ph": "X", "cat": "cpu_op", "name": "aten::mm", "pid": 71, "tid": 72, "ts": 1, "dur": 2, "args": {"External id": 3}})";
  const std::string root = R"("deviceProperties": [{"id": 0, "name": "GPU X", "computeMajor": 9, "numSms": 132}], "distributedInfo": {"backend": "nccl", "rank": 3, "world_size": 8}, "with_stack": 1,
      "host_name": "secret-host", "traceName": "/data/someone/x.json", "baseTimeNanoseconds": 1700000000000000000)";
  for (const bool before : {true, false}) {
    const model::timeline t = before ? read_all_ways(document(facts + "," + events, root + ", ")) : read_all_ways(document(events + "," + facts, "", ", " + root));
    REQUIRE(t.processes.size() == 1);
    CHECK(t.name(t.processes[0].pid) == "71");
    CHECK(t.name(t.processes[0].name) == "python");
    CHECK(t.name(t.processes[0].label) == "CPU");
    CHECK(t.processes[0].rank == 3);
    CHECK(!t.processes[0].rank_from_name);
    CHECK(t.processes[0].unix_offset == nanoseconds{1'700'000'000'000'000'000});
    CHECK(t.about.world_size == 8);
    CHECK(t.about.backend == "nccl");
    CHECK(t.about.with_stack);
    REQUIRE(t.devices.size() == 1);
    CHECK(t.devices[0].name == "GPU X");
    CHECK(t.devices[0].multiprocessors == 132);
    REQUIRE(t.ops.size() == 1);
    CHECK(t.name(t.tracks[t.ops[0].track].name) == "thread 72 (engine)");
    for (name_id i = 0; i < t.names.size(); ++i) CHECK(t.names[i].find("secret") == std::string_view::npos);
    for (const auto& [k, v] : t.about.more) CHECK(v.find("someone") == std::string::npos);
  }
}

TEST_CASE("trace: F-TRC-15 hostile names are kept to 64 KiB; raw quotes and control characters are mended, the rest of the file is read") {
  std::string evil = "<b>&amp; \\\"q\\\" \\n \\u202e \\u001b[31m \\ud83d\\ude00 \xC3\xA9";
  model::timeline t = read_all_ways(document(kernel(evil, "1", "1") + "," + kernel(std::string(70'000, 'x'), "2", "1") + "," + kernel(std::string("a\x01\n\xff z"), "3", "1")));
  REQUIRE(t.gpu.size() == 3);
  CHECK(t.name(t.gpu[0].name) == "<b>&amp; \"q\" \n \xE2\x80\xAE \x1B[31m \xF0\x9F\x98\x80 \xC3\xA9");
  CHECK(t.name(t.gpu[1].name).size() == 65'536);
  CHECK(t.name(t.gpu[2].name) == "a\x01\n\xff z");
  CHECK(lost(t, trace_fault::long_name) == 1);
  CHECK(lost(t, trace_fault::repaired_text) == 3);

  // Quotes that were not escaped (pytorch/pytorch#113001, #130622, #98432), numbers that are none.
  const std::string quoted = kernel(R"(foo "bar" baz)", "10", "1");
  const std::string infinite = kernel("copy", "20", "1", R"x("stream": 7, "memory bandwidth (GB/s)": inf, "x": -nan, "y": -Infinity)x");
  t = read_all_ways(document(many_kernels(5) + "," + quoted + "," + infinite + "," + many_kernels(5)));
  CHECK(t.gpu.size() == 12);
  CHECK(t.names.find(R"(foo "bar" baz)") != 0);
  CHECK(lost(t, trace_fault::repaired_text) == 2);
  CHECK(lost(t, trace_fault::damaged) == 0);

  // What cannot be mended is left out, and nothing else is.
  for (const char* broken : {R"({"ph": "X", "cat": "kernel", "name": "k" "oops": 1})", R"({"ph": "X" "cat"; nonsense })", R"({"ph": "X", "args": {"a": [1, 2}})", R"({"ph": truth})"}) {
    CAPTURE(broken);
    t = read_all_ways(document(many_kernels(5) + "," + broken + "," + many_kernels(6)));
    CHECK(t.gpu.size() == 11);
    CHECK(lost(t, trace_fault::damaged) == 1);
    CHECK(loss_of(t, trace_fault::damaged)->first_byte.value() > document(many_kernels(5)).find("traceEvents"));
    t = read_all_ways(document(many_kernels(5) + "," + broken));  // the last one
    CHECK(t.gpu.size() == 5);
    CHECK(lost(t, trace_fault::damaged) == 1);
    t = read_all_ways(document(std::string(broken) + "," + many_kernels(5)));  // the first one
    CHECK(t.gpu.size() == 5);
  }
}

TEST_CASE("trace: F-TRC-16 distinct names beyond the limit share one, counted; memory stays bounded") {
  std::string events;
  for (int i = 0; i < 3000; ++i) events += (i != 0 ? "," : "") + kernel("name" + std::to_string(i), std::to_string(i), "1");
  const model::timeline t = read_all_ways(document(events), {.names = {.bytes = 64 << 10, .distinct = 1000}});
  CHECK(t.gpu.size() == 3000);
  CHECK(t.names.size() <= 1003);
  CHECK(lost(t, trace_fault::too_many_names) > 1990);
  CHECK(lost(t, trace_fault::too_many_names) <= 2010);
  CHECK(t.partial());
}

TEST_CASE("trace: elements that are no events are counted, and so are events without a phase") {
  const model::timeline t = read_all_ways(document("1, \"two\", [3], null, true, {}, {\"ph\": 5}, {\"ph\": \"X\", \"name\": 5, \"ts\": 1, \"dur\": 1}, " + kernel("k", "1", "1") + ", {\"ph\": \"C\", \"name\": \"n\"}"));
  CHECK(t.gpu.size() == 1);
  CHECK(t.about.events == 10);
  CHECK(lost(t, trace_fault::malformed_event) == 8);
  // A number that a chunk cuts is one number.
  std::string numbers;
  for (int i = 0; i < 30; ++i) numbers += "12345678901234567890" + std::to_string(i) + ",";
  CHECK(lost(read_all_ways(document(numbers + "5")), trace_fault::malformed_event) == 31);
  CHECK(lost(read_all_ways(document(numbers + "5")), trace_fault::damaged) == 0);
}

TEST_CASE("trace: a file of several ranks, as SGLang merges them, has one process each") {
  std::string events;
  for (const char* rank : {"[TP01] ", "[TP00] "}) {
    const std::string p = std::string(R"("pid": ")") + rank;
    events += R"({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", )" + p + R"(1234", "tid": 1234, "ts": 1, "dur": 1, "args": {"correlation": 5}},)";
    events += R"({"ph": "X", "cat": "kernel", "name": "k", )" + p + R"(0", "tid": 7, "ts": 2, "dur": 1, "args": {"correlation": 5, "device": 0, "stream": 7}},)";
    events += R"({"ph": "M", "name": "process_name", )" + p + R"(1234", "tid": 0, "args": {"name": "scheduler"}},)";
  }
  events.pop_back();
  const model::timeline t = read_all_ways(document(events));
  REQUIRE(t.processes.size() == 2);
  CHECK(t.processes[0].rank == 1);
  CHECK(t.processes[1].rank == 0);
  CHECK(t.name(t.processes[0].label) == "TP01");
  CHECK(t.name(t.processes[1].pid) == "[TP00] 1234");
  CHECK(t.name(t.processes[1].name) == "scheduler");
  REQUIRE(t.gpu.size() == 2);
  CHECK(t.gpu[0].process == 0);
  CHECK(t.gpu[1].process == 1);
  CHECK(t.process_of(t.gpu[1].track) == 1);
  CHECK(t.lost.empty());  // the same correlation in two processes is no duplicate
}

TEST_CASE("trace: F-TRC-21 files that are no Kineto JSON are refused with what to do, a report of Nsight Systems with the export command") {
  const auto message = [](const std::string& name, std::string_view bytes) {
    const temporary_file f(name, bytes);
    auto t = trace::read<trace::zlib>(f.path);
    REQUIRE(!t.has_value());
    return t.error().message();
  };
  CHECK(message("a.sqlite", std::string_view("SQLite format 3\0xxxxxxxxxx", 26)).find("trace::nsys_sqlite") != std::string::npos);
  CHECK(message("a.json.zst", "\x28\xb5\x2f\xfdxxxxxxxxxxxx").find("zstd -d") != std::string::npos);
  CHECK(message("a.zip", "PK\x03\x04xxxxxxxxxxxxxx").find("ZIP") != std::string::npos);
  CHECK(message("a.json", "").find("empty") != std::string::npos);
  CHECK(message("a.bin", "\x7f" "ELF............").find("no trace") != std::string::npos);
  const std::string nsys = message("a.nsys-rep", "\x01\x02\x03\x04............");
  CHECK(nsys.find("nsys export --type sqlite") != std::string::npos);
  CHECK(!trace::read("/nonexistent/trace.json").has_value());
  CHECK(trace::read("/nonexistent/trace.json").error().code == errc::not_found);
  CHECK(trace::read("/tmp").error().message().find("folder") != std::string::npos);
  const temporary_file packed("plain.json.gz", gzip(document("")));
  auto without = trace::read(packed.path);
  REQUIRE(!without.has_value());
  CHECK(without.error().message().find("inflater") != std::string::npos);
}

TEST_CASE("trace: progress goes up to the size of the file; a limit on the text cuts it, said") {
  const std::string text = document(many_kernels(3000));
  struct seen { std::uint64_t last = 0, total = 0, calls = 0; bool backwards = false; } s;
  const auto note = [](void* context, std::uint64_t done, std::uint64_t total) {
    seen& to = *static_cast<seen*>(context);
    to.backwards |= done < to.last;
    to.last = done, to.total = total, ++to.calls;
  };
  for (const unsigned threads : {1u, 2u}) {
    s = {};
    const temporary_file f("progress.json", text);
    auto t = trace::read(f.path, {.threads = threads, .chunk = 10'000, .progress = note, .context = &s});
    REQUIRE(t.has_value());
    CHECK(s.last == text.size());
    CHECK(s.total == text.size());
    CHECK(s.calls > 10);
    CHECK(!s.backwards);
  }
  auto t = trace::read_text(text, {.text = text.size() / 2});
  REQUIRE(t.has_value());
  CHECK(t->gpu.size() > 1000);
  CHECK(t->gpu.size() < 2000);
  CHECK(lost(*t, trace_fault::truncated) >= 1);
}

TEST_CASE("trace: any number of categories, of any length: an event stays what it is, and the table of them stays bounded") {
  std::string events;
  for (int i = 0; i < 600; ++i) events += R"({"ph": "X", "cat": "c)" + std::to_string(i) + R"(", "name": "n", "pid": 1, "tid": 1, "ts": 1, "dur": 1},)";
  for (int i = 0; i < 600; ++i) events += R"({"ph": "X", "cat": "v)" + std::to_string(i) + R"(_runtime", "name": "n", "pid": 1, "tid": 1, "ts": 1, "dur": 1},)";
  for (int i = 0; i < 5; ++i) events += R"({"ph": "X", "cat": ")" + std::string(300, 'x') + R"(", "name": "n", "pid": 1, "tid": 1, "ts": 1, "dur": 1},)";
  const model::timeline t = read_all_ways(document(events + kernel("k", "5", "1")));
  CHECK(t.gpu.size() == 1);
  CHECK(t.api.size() == 600);
  CHECK(t.about.by_category.size() < 520);
  std::map<std::string, std::uint64_t> by;
  for (const auto& [text, count] : t.about.by_category) by[text] += count;
  CHECK(by["kernel"] == 1);
  CHECK(by["(more categories than the limit)"] > 600);
  std::string cut;
  for (int i = 0; i < 5; ++i) cut += R"({"ph": "X", "cat": ")" + std::string(300, 'x') + R"(", "name": "n", "pid": 1, "tid": 1, "ts": 1, "dur": 1},)";
  const model::timeline one = read_all_ways(document(cut + kernel("k", "5", "1")));
  REQUIRE(one.about.by_category.size() == 2);
  CHECK(one.about.by_category[0] == std::pair<std::string, std::uint64_t>{std::string(256, 'x'), 5});
}

TEST_CASE("trace: halves that are further apart than 64-bit nanoseconds are counted, and many without a match cost no more than others") {
  const auto half = [](char phase, std::string_view name, std::string_view ts) {
    return std::string(R"({"ph": ")").append(1, phase).append(R"(", "cat": "cpu_op", "pid": 9, "tid": 1, "name": ")").append(name).append(R"(", "ts": )").append(ts).append("}");
  };
  const model::timeline far = read_all_ways(document(half('B', "a", "-9000000000000000") + "," + half('E', "a", "9000000000000000") + "," + half('B', "b", "9000000000000001") + "," + half('E', "b", "9000000000000002")));
  REQUIRE(far.ops.size() == 1);
  CHECK(far.ops[0].duration.ns == 1000);
  CHECK(lost(far, trace_fault::bad_time) == 1);
  // 50,000 begins of one name, then as many ends of another: a walk down the stack for each would be 2.5e9 steps.
  std::string many;
  for (int i = 0; i < 50'000; ++i) many += half('B', "a", std::to_string(i)) + ",";
  for (int i = 0; i < 50'000; ++i) many += half('E', "b", std::to_string(60'000 + i)) + ",";
  const auto t = trace::read_text(document(many + half('E', "a", "200000")));
  REQUIRE(t.has_value());
  CHECK(lost(*t, trace_fault::unmatched_end) == 50'000);
  CHECK(lost(*t, trace_fault::unmatched_begin) == 49'999);
  CHECK(t->ops.size() == 50'000);
}

TEST_CASE("trace: only TP, DP, PP, EP and NP with a number before a pid tell processes apart; a rank is a number that an int holds") {
  const auto one = [](std::string_view pid) {
    return std::string(R"({"ph": "X", "cat": "kernel", "name": "k", "pid": ")").append(pid).append(R"(", "tid": 7, "ts": 1, "dur": 1, "args": {"device": 0}})");
  };
  for (const char* pid : {"[GPU] 0", "[CPU] 9", "[TP] 1", "[TPx] 1", "[TP0-] 1", "[TP0 x] 1", "[XP0] 1", "[TP0]1"}) {
    CAPTURE(pid);
    CHECK(trace::process_of_pid(pid) == "");
    const model::timeline t = read_all_ways(document(one(pid) + "," + one("3")));
    CHECK(t.processes.size() == 1);
    CHECK(t.name(t.processes[0].label) == "");
  }
  CHECK(trace::process_of_pid("[TP0-DP1-PP00-EP3] 9") == "TP0-DP1-PP00-EP3");
  CHECK(trace::process_of_pid("[NP03 no rank] 9") == "NP03 no rank");
  const model::timeline t = read_all_ways(document(one("[TP4294967297] 0") + "," + one("[TP7] 0") + "," + one("[TP0-PP1] 0")));
  REQUIRE(t.processes.size() == 3);
  CHECK(!t.processes[0].rank.has_value());
  CHECK(t.processes[1].rank == 7);
  CHECK(!t.processes[2].rank.has_value());
}

TEST_CASE("trace: processes beyond the limit are counted") {
  std::string events;
  for (int i = 0; i < 65'540; ++i) events += R"({"ph": "X", "cat": "kernel", "name": "k", "pid": "[TP)" + std::to_string(i) + R"(] 0", "tid": 7, "ts": 1, "dur": 1},)";
  const auto t = trace::read_text(document(events + kernel("k", "1", "1")));
  REQUIRE(t.has_value());
  CHECK(t->processes.size() == 65'535);
  CHECK(lost(*t, trace_fault::unknown_process) == 5);
  CHECK(t->gpu.back().process == 65'534);
  CHECK(t->gpu.size() == 65'541);
}

TEST_CASE("trace: a device's number beyond 65,535 is refused and counted: it becomes no other device") {
  const std::string sync = R"({"ph": "X", "cat": "cuda_sync", "name": "Context Sync", "pid": 0, "tid": 7, "ts": 4, "dur": 1, "args": {"device": 65536}})";
  const model::timeline t = read_all_ways(document(kernel("a", "1", "1", R"("device": 65535)") + "," + kernel("b", "2", "1", R"("device": 65536)") + "," + kernel("c", "3", "1", R"("device": 4294967295)") + "," + sync,
                                                   R"("deviceProperties": [{"id": 1, "name": "one"}, {"id": 65537, "name": "other"}, {"id": 2, "computeMajor": 4294967305}], )"));
  REQUIRE(t.gpu.size() == 2);
  CHECK(t.name(t.gpu[0].name) == "c");  // -1: not told
  CHECK(t.gpu[1].device == 65535);
  CHECK(t.syncs.empty());
  CHECK(lost(t, trace_fault::malformed_event) == 3);
  REQUIRE(t.devices.size() == 2);
  CHECK(t.devices[0].name == "one");
  CHECK(t.devices[1].ordinal == 2);
  CHECK(t.devices[1].compute_major == 0);
}

TEST_CASE("trace: calls with one id are counted within their process, in one pass over all processes") {
  std::string events;
  // 2,000 processes with 8 calls each, of which two have the same id; the ids are those of every process.
  for (int c = 0; c < 8; ++c)
    for (int p = 0; p < 2'000; ++p)
      events += R"({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": "[TP)" + std::to_string(p) + R"(] 7", "tid": 7, "ts": )" + std::to_string(c) + R"(, "dur": 1, "args": {"correlation": )" +
                std::to_string(c == 5 ? 3 : c + 1) + "}},";
  const auto t = trace::read_text(document(events + kernel("k", "1", "1")));
  REQUIRE(t.has_value());
  CHECK(t->processes.size() == 2'000);
  CHECK(lost(*t, trace_fault::duplicate_correlation) == 2'000);
}

TEST_CASE("trace: which names are too many does not depend on threads, and a name of exactly the limit is not cut") {
  std::string events;
  for (int i = 0; i < 400; ++i) events += kernel("name" + std::to_string(i * 7 % 90), std::to_string(i), "1") + ",";
  const model::timeline t = read_all_ways(document(events + kernel("last", "1000", "1")), {.names = {.bytes = 64 << 10, .distinct = 50}});
  CHECK(lost(t, trace_fault::too_many_names) > 100);
  CHECK(lost(t, trace_fault::long_name) == 0);
  const model::timeline exact = read_all_ways(document(kernel(std::string(100, 'x'), "1", "1")), {.names = {.bytes = 100, .distinct = 50}});
  CHECK(!exact.partial());
  const model::timeline cut = read_all_ways(document(kernel(std::string(100, 'x'), "1", "1") + "," + kernel(std::string(101, 'x'), "2", "1")), {.names = {.bytes = 100, .distinct = 50}});
  CHECK(lost(cut, trace_fault::long_name) == 1);
  REQUIRE(cut.gpu.size() == 2);
  CHECK(cut.gpu[0].name == cut.gpu[1].name);
}

TEST_CASE("trace: of a name that the root has many times the first one counts, and no more are kept") {
  std::string again;
  for (int i = 0; i < 1'000; ++i) again += R"("cuda_runtime_version": )" + std::to_string(12'000 + i) + R"(, "vllm_version": "0.9", "distributedInfo": {"nccl_version": "2.)" + std::to_string(i) + R"("}, "baseTimeNanoseconds": )" + std::to_string(1'000 + i) + ", ";
  const model::timeline t = read_all_ways(document(kernel("k", "1", "1"), again));
  const std::vector<std::pair<std::string, std::string>> want = {{"cuda_runtime_version", "12000"}, {"vllm_version", "0.9"}, {"nccl_version", "2.0"}};
  CHECK(t.about.more == want);
  CHECK(t.processes[0].unix_offset == nanoseconds{1000});
}

#if !HOTPATH_NO_EXCEPTIONS
TEST_CASE("trace: an exception of the calling thread ends its helpers before it leaves") {
  const std::string text = document(many_kernels(2000));
  struct where { pthread_t caller; } const here{::pthread_self()};
  const auto fail = [](void* context, std::uint64_t, std::uint64_t) {
    if (::pthread_equal(static_cast<const where*>(context)->caller, ::pthread_self()) != 0) throw std::string("no more");
  };
  int thrown = 0;
  for (int i = 0; i < 20; ++i) {
    try {
      const auto t = trace::read_text(text, {.threads = 3, .chunk = 500, .progress = fail, .context = const_cast<where*>(&here)});
      CHECK(t.has_value());  // helpers read all of it
    } catch (const std::string&) {
      ++thrown;
    }
  }
  CHECK(thrown > 0);
}
#endif
