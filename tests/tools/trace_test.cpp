// SPDX-License-Identifier: Apache-2.0
// hotpath trace info, slice, merge, repair, convert: facts of real traces, exit codes, files that appear whole or not at all, Ctrl-C.
#include <dirent.h>
#include <sys/stat.h>
#include <nlohmann/json.hpp>
#include <cmath>
#include <map>
#include <support/data.hpp>
#include "on_terminal.hpp"
#include "tool.hpp"

using document = nlohmann::json;

namespace {

// One rank's trace: three steps, each a launch and its kernel; an all-reduce ends on each rank at the same Unix time.
std::string trace_of(int rank, const std::string& base, int extra_us = 0) {
  std::string events;
  for (int s = 0; s < 3; ++s) {
    const auto at = [&](int us) { return std::to_string(1000 * s + 37 * s * s + us + extra_us) + ".250"; };
    const std::string id = std::to_string(10 + s);
    events += "{\"ph\":\"X\",\"cat\":\"user_annotation\",\"name\":\"step[DECODE bs=" + id + "]\",\"pid\":50,\"tid\":50,\"ts\":" + at(0) + ",\"dur\":500},\n"
              "{\"ph\":\"X\",\"cat\":\"cuda_runtime\",\"name\":\"cudaLaunchKernel\",\"pid\":50,\"tid\":50,\"ts\":" + at(10) + ",\"dur\":5,\"args\":{\"correlation\":" + id + ",\"mine\":\"kept\"}},\n"
              "{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"ncclDevKernel_AllReduce_Sum\",\"pid\":0,\"tid\":7,\"ts\":" + at(600) + ",\"dur\":100.125,\"args\":{\"correlation\":" + id + ",\"device\":0,\"stream\":7}},\n";
  }
  return "{\"schemaVersion\":1,\"distributedInfo\":{\"backend\":\"nccl\",\"rank\":" + std::to_string(rank) + ",\"world_size\":2},\n" + (base.empty() ? "" : "\"baseTimeNanoseconds\":" + base + ",\n") +
         "\"traceEvents\":[\n" + events + "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":50,\"args\":{\"name\":\"python\"}}\n],\"traceName\":\"x\"}\n";
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> out;
  DIR* const d = opendir(folder.c_str());
  while (const dirent* e = readdir(d)) if (e->d_name[0] != '.') out.emplace_back(e->d_name);
  closedir(d);
  std::sort(out.begin(), out.end());
  return out;
}
using list = std::vector<std::string>;

// Every member of the facts is in the output: numbers of microseconds within 1, the rest equal.
void check_facts(const std::string& path, const document& want, const document& got) {
  CAPTURE(path);
  if (want.is_object()) {
    REQUIRE(got.is_object());
    for (const auto& [k, v] : want.items()) {
      const std::string& member = k;
      REQUIRE_MESSAGE(got.contains(member), member);
      check_facts(path + "." + k, v, got[k]);
    }
  } else if (want.is_array()) {
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) check_facts(path + "[" + std::to_string(i) + "]", want[i], got[i]);
  } else if (want.is_number() && path.ends_with("_us")) {
    // Times near today's in microseconds are beyond what a double holds: the reference's own union is 8 us too long there.
    const bool coarse = path.find("ns_resolution") != std::string::npos && path.ends_with("busy_union_us");
    CHECK(std::abs(want.get<double>() - got.get<double>()) <= (coarse ? 9.0 : 1.0));
  } else {
    CHECK(got == want);
  }
}

}  // namespace

TEST_CASE("tools: trace info --json reproduces every reference fact of every real trace") {
  const auto root = hotpath_test::data_or_skip("torch-traces");
  if (!root) return;
  const tool hotpath;
  std::size_t traces = 0;
  for (const char* part : {"/", "/vllm_cpu/"}) {
    const document facts = document::parse(hotpath_test::read_file(*root + part + "expected-facts.json"));
    for (const document& want : facts["traces"]) {
      const std::string file = want["file"];
      std::string path;
      for (const char* folder : {"/tracelens/", "/hta/", "/deepseek/", "/vllm_cpu/"})
        if (access((*root + folder + file).c_str(), R_OK) == 0) path = *root + folder + file;
      if (hotpath_test::sanitized && want["gz_bytes"] > 1'000'000) continue;
      const auto f = hotpath({"trace", "info", path, "--json"});
      CHECK_MESSAGE(hotpath.faults("trace_info-1", f.out) == "", path);
      CAPTURE(f.err);
      CHECK(f.code == 0);
      check_facts(file, want, document::parse(f.out));
      ++traces;
    }
  }
  if (!hotpath_test::sanitized) CHECK(traces == 27);
}

TEST_CASE("tools: trace info says first what a person wants, within 80 columns") {
  const tool hotpath;
  hotpath.dir.write("r.json", trace_of(1, "1700000000000000000"));
  const auto f = hotpath({"trace", "info", "r.json"}, {.environment = {{"COLUMNS", "80"}, {"LC_ALL", "C.UTF-8"}}});
  CHECK(f.code == 0);
  CHECK(f.err == "");
  CHECK(f.out ==
        "r.json\n"
        "  format     torch (Kineto JSON), 1.42 kB, 10 events\n"
        "  rank       1 of 2, nccl\n"
        "  device     device 0\n\n"
        "  GPU        3 events: 3 kernels of 1 name, 0 copies and sets\n"
        "  span       2,248.1 us from the first to the last of them\n"
        "  busy       300.4 us (13.4 %), summed 300.4 us\n"
        "  launches   3 of 3 have their launch, 0 their operator\n"
        "  host       3 API calls, 0 operators, 0 Python frames\n"
        "             3 annotations, 0 synchronizations\n"
        "  steps      3 decode\n\n"
        "  longest        sum  launches  name\n"
        "    100 %   0.300 ms         3  ncclDevKernel_AllReduce_Sum\n");
  hotpath.dir.write("cut.json", trace_of(1, "").substr(0, 900));
  const auto cut = hotpath({"trace", "info", "cut.json"});
  CHECK(hotpath.faults("trace_info-1", hotpath({"trace", "info", "cut.json", "--json"}).out) == "");
  CHECK(cut.code == 5);
  CHECK(has(cut.out, "\n  lost\n  truncated: 1"));
  hotpath.dir.write("cpu.json", "{\"traceEvents\":[{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"a\",\"pid\":1,\"tid\":1,\"ts\":1,\"dur\":1}]}");
  CHECK(has(hotpath({"trace", "info", "cpu.json"}).out, "no GPU event"));
  check_refused(hotpath({"trace", "info", "missing.json"}), 3, "missing.json");
  hotpath.dir.write("x.nsys-rep", "binary");
  check_refused(hotpath({"trace", "info", "x.nsys-rep"}), 3, "nsys export");
}

TEST_CASE("tools: trace slice keeps steps, times, categories, with the file's own arguments") {
  const tool hotpath;
  hotpath.dir.write("r.json", trace_of(0, "1700000000000000000"));
  const auto f = hotpath({"trace", "slice", "r.json", "--step", "1", "--output", "one.json"});
  CHECK(f.code == 0);
  CHECK(f.out == "");
  CHECK(has(f.err, "1 of 3 GPU events to one.json"));
  const document one = document::parse(hotpath_test::read_file(hotpath.dir.file("one.json")));
  CHECK(one["baseTimeNanoseconds"] == 1'700'000'000'000'000'000);
  REQUIRE(one["traceEvents"].size() == 4);
  CHECK(one["traceEvents"][1]["args"]["mine"] == "kept");
  CHECK(one["traceEvents"][2]["args"]["correlation"] == 11);
  const auto count = [&](list argv) {
    argv.insert(argv.begin(), {"trace", "slice", "r.json", "--output", "-"});
    return document::parse(hotpath(argv).out)["traceEvents"].size();
  };
  CHECK(count({"--step", "0,2"}) == 7);
  CHECK(count({"--step", "0-2"}) == 10);
  CHECK(count({"--step", "step[DECODE bs=12]"}) == 4);
  CHECK(count({"--step", "DECODE"}) == 10);
  CHECK(count({"--time", "0ms-100us"}) == 4);       // the first kernel, its launch, the step around that, metadata
  CHECK(count({"--time", "2ms-"}) == 4);
  CHECK(count({"--category", "kernel"}) == 4);
  CHECK(count({"--rank", "0"}) == 10);
  const auto j = document::parse(hotpath({"trace", "slice", "r.json", "--step", "1", "--output", "two.json.gz", "--json"}).out);
  CHECK(j["gpu_events"] == 1);
  CHECK(hotpath_test::read_file(hotpath.dir.file("two.json.gz")).starts_with("\x1f\x8b"));
  CHECK(document::parse(hotpath({"trace", "info", "two.json.gz", "--json"}).out)["gpu_events"] == 1);
  CHECK(hotpath({"trace", "slice", "r.json", "--step", "1", "--output", "one.pftrace"}).code == 0);
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json"}), 2, "--time, --step, --rank or --category");
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--step", "9"}), 2, "there is no step 9: this trace has 3 steps");
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--step", "PREFILL"}), 2, "no step is called");
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--rank", "4"}), 2, "no rank 4, it has 0");
  CHECK(count({"--time", "0..0.1"}) == 4);          // the same in milliseconds
  CHECK(count({"--time", "2.."}) == 4);
  CHECK(count({"--time", "0ms..100us"}) == 4);
  // What is no category of the trace, and what fits no event: nothing is written, and what there is is said.
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--category", "foo"}), 2, "--category: \"foo\" is no category of this trace, which has user_annotation, cuda_runtime, kernel");
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--category", "kernel,foo"}), 2, "\"foo\"");
  check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--category", "gpu_memset"}), 3, "its categories are user_annotation, cuda_runtime, kernel");
  for (const char* to : {"x.json", "x.pftrace", "-"})
    check_refused(hotpath({"trace", "slice", "r.json", "--output", to, "--time", "9s-"}), 3, "r.json: no event fits; its GPU events are from 0 to 2,248.1 us, all of its events from -600.0 us to 2,248.1 us, since the first GPU event");
  hotpath.dir.write("flows.json", R"({"traceEvents":[{"ph":"M","name":"process_name","pid":1,"args":{"name":"p"}},{"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":1,"dur":1},{"ph":"i","cat":"mark","name":"here","pid":1,"tid":1,"ts":5,"s":"t"}]})");
  CHECK(document::parse(hotpath({"trace", "slice", "flows.json", "--category", "mark", "--output", "-"}).out)["traceEvents"].size() == 2);  // of no complete event
  CHECK(document::parse(hotpath({"trace", "slice", "flows.json", "--time", "4us-", "--output", "-"}).out)["traceEvents"].size() == 2);
  check_refused(hotpath({"trace", "slice", "flows.json", "--time", "6us-", "--output", "-"}), 3, "no event fits");
  check_refused(hotpath({"trace", "slice", "flows.json", "--category", "mark", "--output", "x.pftrace"}), 2, "\"mark\"");
  std::filesystem::remove(hotpath.dir.file("flows.json"));
  for (const char* range : {"5", "2ms-1ms", "a-b", "1-2", "-", "..", "2..1", "-1..2", "1..nan"}) check_refused(hotpath({"trace", "slice", "r.json", "--output", "x.json", "--time", range}), 2, "--time");
  CHECK(files_in(hotpath.dir.path()) == list{"one.json", "one.pftrace", "r.json", "two.json.gz"});  // what was refused wrote nothing
}

TEST_CASE("tools: F-TRC-17 trace merge refuses clocks that cannot be compared, and says how far aligned ones are apart") {
  const tool hotpath;
  hotpath.dir.write("a.json", trace_of(0, "1700000000000000000"));
  hotpath.dir.write("b.json", trace_of(1, "1700000000000050000", -50));
  hotpath.dir.write("wrong.json", trace_of(1, "1700000000009000000"));
  hotpath.dir.write("none.json", trace_of(1, "", 777));
  const auto good = hotpath({"trace", "merge", "a.json", "b.json", "--output", "all.json"});
  CHECK(good.code == 0);
  CHECK(has(good.err, "b.json (rank 1): moved by 0.050 ms, 3 common collectives within 0.000 us (median)"));
  CHECK(document::parse(hotpath({"trace", "info", "all.json", "--json"}).out)["processes"].size() == 2);
  const auto refused = hotpath({"trace", "merge", "a.json", "wrong.json", "--output", "x.json"});
  CHECK(refused.code == 3);
  CHECK(has(refused.err, "the clocks do not agree"));
  check_refused(hotpath({"trace", "merge", "a.json", "none.json", "--output", "x.json"}), 3, "does not");
  const auto j = document::parse(hotpath({"trace", "merge", "a.json", "none.json", "--align", "collective", "--output", "all.pftrace", "--json"}).out);
  CHECK(j["clocks"][1]["shift_ns"] == -777'000);
  CHECK(j["clocks"][1]["residual_max_us"] == 0);
  CHECK(j["format"] == "perfetto");
  check_refused(hotpath({"trace", "merge", "a.json", "--output", "x.json"}), 2, "two or more");
  check_refused(hotpath({"trace", "merge", "a.json", "b.json", "--align", "luck", "--output", "x.json"}), 2, "\"luck\"");
  CHECK(files_in(hotpath.dir.path()) == list{"a.json", "all.json", "all.pftrace", "b.json", "none.json", "wrong.json"});
}

TEST_CASE("tools: trace repair ends with 5 when something was lost, 0 when not; what it writes is whole") {
  const tool hotpath;
  const std::string text = trace_of(0, "1700000000000000000");
  hotpath.dir.write("cut.json", text.substr(0, text.size() * 7 / 10));
  const auto f = hotpath({"trace", "repair", "cut.json", "--output", "mended.json"});
  CHECK(f.code == 5);
  CHECK(has(f.err, "truncated"));
  const document j = document::parse(hotpath_test::read_file(hotpath.dir.file("mended.json")));
  CHECK(j["traceEvents"].size() > 3);
  const auto told = hotpath({"trace", "info", "mended.json"});   // valid, and no more whole than the file it was made of
  CHECK(told.code == 5);
  CHECK(has(told.out, "in the file that this one was made of"));
  hotpath.dir.write("good.json", text);
  const auto good = hotpath({"trace", "repair", "good.json", "--output", "same.json"});
  CHECK(good.code == 0);
  CHECK(has(good.err, "nothing was wrong"));
  hotpath.dir.write("no.json", "[1,2");
  CHECK(hotpath({"trace", "repair", "server.log", "--output", "x.json"}).code == 3);
  CHECK(files_in(hotpath.dir.path()) == list{"cut.json", "good.json", "mended.json", "no.json", "same.json"});
}

TEST_CASE("tools: trace convert writes a file that appears whole, replaces a regular one, and follows no link") {
  const tool hotpath;
  hotpath.dir.write("r.json", trace_of(0, "1700000000000000000"));
  hotpath.dir.write("old.pftrace", "something older");
  CHECK(hotpath({"trace", "convert", "r.json", "--output", "old.pftrace"}).code == 0);
  CHECK(hotpath_test::read_file(hotpath.dir.file("old.pftrace")).starts_with('\n'));  // field 1, a message
  symlink("old.pftrace", hotpath.dir.file("link.json").c_str());
  check_refused(hotpath({"trace", "convert", "r.json", "--output", "link.json"}), 3, "link.json: cannot write: Too many levels of symbolic links");
  check_refused(hotpath({"trace", "convert", "r.json", "--output", "no/such/folder.json"}), 3, "no/such/folder.json");
  check_refused(hotpath({"trace", "convert", "r.json", "--to", "svg", "--output", "x"}), 2, "\"svg\"");
  check_refused(hotpath({"trace", "convert", "r.json", "--output", "-", "--json"}), 2, "both want stdout");
  CHECK(document::parse(hotpath({"trace", "convert", "r.json", "--output", "-"}).out)["traceEvents"].size() > 10);
  CHECK(files_in(hotpath.dir.path()) == list{"link.json", "old.pftrace", "r.json"});
  const auto nsys = hotpath_test::data_or_skip("nsys/mock.sqlite");
  if (!nsys) return;
  const auto j = document::parse(hotpath({"trace", "convert", *nsys, "--output", "m.json", "--json"}).out);
  CHECK(document::parse(hotpath({"trace", "info", "m.json", "--json"}).out)["kernels"] == document::parse(hotpath({"trace", "info", *nsys, "--json"}).out)["kernels"]);
}

TEST_CASE("tools: a trace may come through a pipe, plain or packed, where one reading is enough") {
  const tool hotpath;
  hotpath.dir.write("r.json", trace_of(0, "1700000000000000000"));
  const std::string want = hotpath({"stats", "r.json"}).out;
  CHECK(want.size() > 100);
  for (const char* feed : {"cat", "gzip -c"}) {
    const auto f = hotpath_test::run({"sh", "-c", std::string(feed) + " r.json | " + HOTPATH_TOOL + " stats /dev/stdin"}, {.directory = hotpath.dir.path()});
    CAPTURE(f.err);
    CHECK(f.code == 0);
    CHECK(f.out == want);
  }
}

TEST_CASE("tools: a slice that fails while it is written leaves the older output as it was") {
  const tool hotpath;
  hotpath.dir.write("r.json", trace_of(0, "1700000000000000000"));
  hotpath.dir.write("old.json", "something older");
  // No file may grow: what is written fails, as on a full disk.
  const std::string script = "trap '' XFSZ; ulimit -f 0; exec " + std::string(HOTPATH_TOOL) + " trace slice r.json --step 1 --output old.json";
  const auto f = hotpath_test::run({"sh", "-c", script}, {.directory = hotpath.dir.path()});
  CAPTURE(f.err);
  CHECK(f.code == 3);
  CHECK(has(f.err, "old.json"));
  CHECK(hotpath_test::read_file(hotpath.dir.file("old.json")) == "something older");
  CHECK(files_in(hotpath.dir.path()) == list{"old.json", "r.json"});
}

TEST_CASE("tools: trace commands have help of 80 columns, and say what is missing or unknown") {
  const tool hotpath;
  for (const char* command : {"", "info", "slice", "merge", "repair", "convert"}) {
    CAPTURE(command);
    list argv = {"trace", command, "--help"};
    if (*command == '\0') argv.erase(argv.begin() + 1);
    const auto h = hotpath(argv);
    CHECK(h.code == 0);
    CHECK(h.err == "");
    CHECK(has(h.out, "usage: hotpath trace"));
    CHECK((*command == '\0' || has(h.out, "example:")));
    std::size_t widest = 0;
    for (std::size_t i = 0, end; (end = h.out.find('\n', i)) != std::string::npos; i = end + 1) widest = std::max(widest, end - i);
    CHECK(widest <= 80);
  }
  check_refused(hotpath({"trace"}), 2, "a command is missing");
  check_refused(hotpath({"trace", "convrt"}), 2, "did you mean convert?");
  check_refused(hotpath({"trace", "slice", "--stepp", "1"}), 2, "see hotpath trace slice --help");
  check_refused(hotpath({"trace", "info", "a.json", "b.json"}), 2, "one TRACE only; got a.json, b.json; see hotpath trace info --help");
  check_refused(hotpath({"trace", "slice", "a.json", "--step"}), 2, "--step has no value, want --step LIST; see hotpath trace slice --help");
  check_refused(hotpath({"trace", "slice", "a.json", "--step", "1", "--step", "2"}), 2, "one --step LIST only; got 1, 2; see hotpath trace slice --help");
  for (const char* command : {"convert", "repair", "merge"}) check_refused(hotpath({"trace", command, "", "--output", "x.json"}), 2, "TRACE is empty: it names no file");
  check_refused(hotpath({"trace", "convert", "a.json", "--output", ""}), 2, "--output is empty: it names no file");
  check_refused(hotpath({"trace", "convert", "a.json"}), 2, "--output");
}

TEST_CASE("tools: Ctrl-C while a trace is written ends with 130, and leaves neither the file nor a part of it") {
  const tool hotpath;
  std::string big = trace_of(0, "1700000000000000000");
  const std::size_t at = big.find("{\"ph\":\"M\"");
  std::string row = "{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"aten::add\",\"pid\":50,\"tid\":50,\"ts\":5,\"dur\":1},\n", rows;
  while (rows.size() < (24u << 20)) rows += row;
  big.insert(at, rows);
  hotpath.dir.write("big.json", big);
  hotpath_test::process p({HOTPATH_TOOL, "trace", "slice", "big.json", "--category", "cpu_op", "--output", "out.json"}, {.directory = hotpath.dir.path()});
  const auto writing = [&] {  // its temporary file is there
    for (const std::string& f : files_in(hotpath.dir.path())) if (f.starts_with("out.json.")) return true;
    return false;
  };
  for (int round = 0; round < 20'000 && !writing(); ++round) poll(nullptr, 0, 1);
  p.signal(SIGINT);
  const auto f = p.finish();
  CHECK(f.code == 130);
  CHECK(files_in(hotpath.dir.path()) == list{"big.json"});
}

TEST_CASE("tools: a long trace shows a bar with bytes, rate and time left on a terminal, and nothing elsewhere") {
  const tool hotpath;
  std::string big = "{\"traceEvents\":[\n", row = "{\"ph\":\"X\",\"cat\":\"cpu_op\",\"name\":\"aten::add\",\"pid\":50,\"tid\":50,\"ts\":5,\"dur\":1},\n";
  while (big.size() < (9u << 20)) big += row;
  big += row.substr(0, row.size() - 2) + "]}";
  const std::string path = hotpath.dir.write("big.json", big);
  const auto piped = hotpath({"trace", "info", "big.json"});
  CHECK(piped.err == "");
  CHECK(!has(piped.out, "\x1b"));
  if (!hotpath_test::pty_or_skip()) return;
  const on_terminal t({HOTPATH_TOOL, "trace", "info", "big.json"}, hotpath.dir.path(), 100, {"TERM=xterm", "LANG=C.UTF-8"});
  CHECK(t.code == 0);
  CHECK(has(t.shown, "big.json"));
  CHECK(has(t.shown, " % "));
  CHECK(has(t.shown, " of 9.4"));
  CHECK(has(t.shown, "/s"));
  CHECK(has(t.shown, "\u2591"));
  CHECK(t.shown.rfind("\x1b[?25h") > t.shown.rfind("\x1b[?25l"));  // the cursor is back
  CHECK(t.shown.find("format") > t.shown.rfind("\x1b[?25h"));      // and the report stands after it
}
