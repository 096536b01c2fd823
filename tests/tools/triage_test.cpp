// SPDX-License-Identifier: Apache-2.0
// hotpath triage and triage-bundle as their users meet them: flags, formats, folders, exit codes, what is kept in a run.
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <hotpath/report/triage_json.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include <support/data.hpp>
#include "../report/golden.hpp"
#include "tool.hpp"

using document = nlohmann::json;

namespace {

std::string small() { return std::string(hotpath_test::source_dir()) + "/tests/data/triage/vllm_steps.json"; }

std::string events(const std::string& list) { return "{\"schemaVersion\": 1, \"traceEvents\": [" + list + "]}"; }
std::string gpu(const std::string& name, double ts, double duration, const std::string& more = "") {
  return "{\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"" + name + "\", \"pid\": 0, \"tid\": 7, \"ts\": " + std::to_string(ts) + ", \"dur\": " + std::to_string(duration) +
         ", \"args\": {\"device\": 0, \"stream\": 7, \"correlation\": 1" + more + "}}";
}

hotpath_test::finished triage(const tool& run, std::vector<std::string> argv) {
  argv.insert(argv.begin(), "triage");
  return run(argv, {.environment = {{"COLUMNS", "100"}, {"LC_ALL", "C.UTF-8"}}});
}

// Rows, hidden and left out are the total, in whole nanoseconds.
void check_books(const document& j) {
  const document& i = j["integrity"];
  std::int64_t rows = 0, hidden = 0;
  for (const document& t : j["kernel_tables"]) {
    for (const document& r : t["rows"]) rows += r["total_ns"].get<std::int64_t>();
    hidden += t["hidden_ns"].get<std::int64_t>();
  }
  CHECK(i["in_rows_ns"] == rows);
  CHECK(i["hidden_ns"] == hidden);
  CHECK(rows + hidden + i["left_out_ns"].get<std::int64_t>() == i["total_ns"].get<std::int64_t>());
}

std::int64_t total_of(const document& j, const std::string& stage) {
  for (const document& t : j["kernel_tables"])
    if (t["stage"] == stage) return t["total_ns"];
  return 0;
}

}  // namespace

TEST_CASE("tools: triage prints the tables of a trace, and its books balance") {
  const tool run;
  const auto text = triage(run, {small()});
  CAPTURE(text.err);
  CHECK(text.code == 0);
  CHECK(has(text.out, "Kernels: extend/prefill"));
  CHECK(has(text.out, "Kernels: decode"));
  CHECK(has(text.out, "framework       vllm"));
  const auto json = triage(run, {"--input", small(), "--json"});
  REQUIRE(json.code == 0);
  const document j = document::parse(json.out);
  check_books(j);
  CHECK(j["framework"] == "vllm");
  CHECK(j["steps"].size() == 3);
  // The sums of the file, by hand: 2 layers of (2+20+9+8+2+30+3+16) us, four times as long in the prefill step.
  CHECK(total_of(j, "extend/prefill") == 2 * 90 * 4 * 1000);
  CHECK(total_of(j, "decode") == 2 * 2 * 90 * 1000);
  CHECK(j["kernel_tables"][0]["rows"][0]["family"] == "gemm");
  CHECK(j["kernel_tables"][0]["rows"][0]["cpu_op"] == "aten::mm");
  CHECK(j["coverage"]["unmapped"]["events"] == 0);
  const auto md = triage(run, {small(), "--format", "md"});
  CHECK(md.out.starts_with("Triage View\nMode: single-trace\nFramework: vllm\nInput traces: "));
  const auto csv = triage(run, {small(), "--format", "csv"});
  CHECK(csv.out.starts_with("stage,kernel,category,gpu_time_ns"));
  CHECK(has(csv.out, "\n\nstage,priority"));
  const auto steps = triage(run, {small(), "--format", "csv:steps"});
  CHECK(steps.out.starts_with("step,stage,"));
  CHECK(std::count(steps.out.begin(), steps.out.end(), '\n') == 4);
}

TEST_CASE("tools: a folder that has captures of graphs alone is no input, and it is said") {
  const tool hotpath;
  const std::string capture = R"({"traceEvents":[{"ph":"X","cat":"user_annotation","name":"capture_4_FULL","pid":1,"tid":1,"ts":1,"dur":100},
    {"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":10,"dur":5,"args":{"correlation":7}},
    {"ph":"X","cat":"kernel","name":"k","pid":0,"tid":7,"ts":20,"dur":5,"args":{"correlation":7,"stream":7,"device":0}}]})";
  std::filesystem::create_directory(hotpath.dir.file("caps"));
  hotpath.dir.write("caps/c.json", capture);
  for (const std::vector<std::string>& args : std::vector<std::vector<std::string>>{{"triage", "--input", "caps"}, {"diff", "caps", small()}, {"diff", small(), "caps"}, {"triage", "--mapping-input", "caps", "--formal-input", small()}})
    check_refused(hotpath(args), 3, "captures of graphs");
}

TEST_CASE("tools: triage looks at one stage, a range of time or the kernels above a share when asked") {
  const tool run;
  const document all = document::parse(triage(run, {small(), "--json"}).out);
  const document decode = document::parse(triage(run, {small(), "--stage", "decode", "--json"}).out);
  check_books(decode);
  CHECK(decode["kernel_tables"].size() == 1);
  CHECK(decode["integrity"]["left_out_ns"] == total_of(all, "extend/prefill"));
  const document early = document::parse(triage(run, {small(), "--time-range", "..0.9", "--json"}).out);
  check_books(early);
  CHECK(early["kernel_tables"].size() == 1);
  CHECK(early["kernel_tables"][0]["stage"] == "extend/prefill");
  const document large = document::parse(triage(run, {small(), "--min-share", "20", "--json"}).out);
  check_books(large);
  for (const document& t : large["kernel_tables"]) {
    CHECK(t["hidden_rows"].get<int>() > 0);
    for (const document& r : t["rows"]) CHECK(r["share_pct"].get<double>() >= 20);
  }
  const document two = document::parse(triage(run, {small(), "--kernel-table-limit", "2", "--json"}).out);
  check_books(two);
  for (const document& t : two["kernel_tables"]) CHECK(t["rows"].size() == 2);
  const auto nothing = triage(run, {small(), "--stage", "verify"});
  check_refused(nothing, 3, "verify");
  check_refused(triage(run, {small(), "--pid-substring", "no such pid"}), 3, "No GPU event is of a process");
}

TEST_CASE("tools: triage says what is wrong with its flags") {
  const tool run;
  check_refused(triage(run, {}), 2, "a trace is missing");
  check_refused(triage(run, {small(), "--input", small()}), 2, "TRACE and --input");
  check_refused(triage(run, {"--mapping-input", small()}), 2, "--formal-input is missing");
  check_refused(triage(run, {"--formal-input", small()}), 2, "--mapping-input is missing");
  check_refused(triage(run, {"--input", small(), "--mapping-input", small(), "--formal-input", small()}), 2, "not all of them");
  check_refused(triage(run, {small(), "--framework", "pytorch"}), 2, "--framework");
  check_refused(triage(run, {small(), "--stage", "dreaming"}), 2, "--stage");
  check_refused(triage(run, {small(), "--rank", "first"}), 2, "--rank");
  for (const char* range : {"1", "..", "5..4", "a..b", "-1..2", "1..nan"}) check_refused(triage(run, {small(), "--time-range", range}), 2, "--time-range");
  for (const char* range : {"0ms-0.9ms", "0..900us", "-900us"}) {
    CAPTURE(range);
    const auto f = triage(run, {small(), std::string("--time-range=") + range, "--json"});
    CAPTURE(f.err);
    REQUIRE(f.code == 0);
    CHECK(document::parse(f.out)["kernel_tables"] == document::parse(triage(run, {small(), "--time-range", "..0.9", "--json"}).out)["kernel_tables"]);
  }
  for (const char* command : {"triage", "stats", "triage-bundle"}) check_refused(run({command, ""}), 2, " is empty: it names no file; see hotpath ");
  check_refused(triage(run, {"--input", ""}), 2, "--input is empty");
  check_refused(triage(run, {small(), "--patterns", ""}), 2, "--patterns is empty");
  check_refused(triage(run, {small(), "--min-share", "101"}), 2, "--min-share");
  check_refused(triage(run, {small(), "--format", "html"}), 2, "--format");
  check_refused(triage(run, {small(), "--formula-guard"}), 2, "--formula-guard");
  check_refused(triage(run, {small(), "--overlap-table-limt", "3"}), 2, "did you mean --overlap-table-limit?");
}

TEST_CASE("tools: F-OUT-13 triage of a trace without GPU work says so, exits 3 and shows the operators of the host") {
  const tool run;
  const std::string op = R"({"ph": "X", "cat": "cpu_op", "name": "aten::addmm", "pid": 1, "tid": 1, "ts": 10, "dur": 30, "args": {"External id": 1}},
    {"ph": "X", "cat": "cpu_op", "name": "aten::copy_", "pid": 1, "tid": 1, "ts": 15, "dur": 5, "args": {"External id": 2}})";
  const auto cpu = triage(run, {run.dir.write("cpu.json", events(op))});
  CHECK(cpu.code == 3);
  CHECK(cpu.out.starts_with(" NO DATA "));
  CHECK(has(cpu.out, "none of a GPU"));
  CHECK(has(cpu.out, "25.00 \u00B5s"));  // aten::addmm without aten::copy_
  CHECK_FALSE(has(cpu.out, "Kernels"));
  const auto counters = triage(run, {run.dir.write("counters.json", events(R"({"ph": "X", "cat": "cuda_profiler_range", "name": "r", "pid": 1, "tid": 1, "ts": 10, "dur": 30, "args": {}})")), "--json"});
  CHECK(counters.code == 3);
  CHECK(document::parse(counters.out)["integrity"]["verdict"] == "unusable");
  CHECK(has(counters.err, "counters"));
  check_refused(triage(run, {run.dir.file("none.json")}), 3, "none.json");
  check_refused(triage(run, {run.dir.write("text.json", "not a trace")}), 3, "text.json");
  check_refused(triage(run, {run.dir.write("a.nsys-rep", "NSYS")}), 3, "nsys export");
}

TEST_CASE("tools: triage, triage-bundle and diff say of a file that is no trace what stats says") {
  const tool run;
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{{"empty.json", ""}, {"words.json", "hello"}, {"other.json", "{\"a\": 1}"}, {"bad.json.gz", "\x1f\x8b" "junk"},
                                                                                 {"z.json.zst", "\x28\xb5\x2f\xfd" "junk"}, {"a.sqlite", std::string("SQLite format 3\0junk", 20)}, {"a.nsys-rep", "NSYS"}}) {
    const std::string& file = name;
    CAPTURE(file);
    run.dir.write(name, text);
    const auto want = run({"stats", name});
    check_refused(want, 3, name);
    for (const std::vector<std::string>& argv : {std::vector<std::string>{"triage", name}, {"triage-bundle", name}, {"diff", name, small()}, {"diff", small(), name}, {"trace", "info", name}}) {
      CAPTURE(argv.front());
      check_refused(run(argv), 3, want.err);
    }
  }
  CHECK(has(run({"triage", "bad.json.gz"}).err, "bad.json.gz: this is a damaged gzip file"));
  CHECK(run({"triage", "none.json"}).err == run({"stats", "none.json"}).err);
}

TEST_CASE("tools: triage of a cut trace reports what is there, says what was lost and exits 5") {
  const tool run;
  const std::string whole = hotpath_test::read_file(small());
  for (const double share : {0.3, 0.7, 0.99}) {
    CAPTURE(share);
    const auto cut = triage(run, {run.dir.write("cut.json", whole.substr(0, static_cast<std::size_t>(static_cast<double>(whole.size()) * share)))});
    CHECK(cut.code == 5);
    CHECK(cut.out.starts_with(" PARTIAL "));
    CHECK(has(cut.out, "Kernels: extend/prefill"));
    CHECK(has(cut.out, "ends early"));
  }
  // Cut before the first GPU event: there may have been some.
  const auto early = triage(run, {run.dir.write("early.json", whole.substr(0, whole.find("\"cat\": \"kernel\"")))});
  CHECK(early.code == 5);
  CHECK(early.out.starts_with(" PARTIAL  no GPU work in this trace"));
}

TEST_CASE("tools: triage of a folder takes a trace per stage of the lowest rank, the server's arguments, and compares ranks when asked") {
  const tool run;
  const std::string whole = hotpath_test::read_file(small());
  const auto with_rank = [&](int rank, const std::string& from = "", const std::string& to = "") {
    std::string text = whole;
    const std::string was = "\"rank\": 0";
    text.replace(text.find(was), was.size(), "\"rank\": " + std::to_string(rank));
    const std::string world = "\"world_size\": 1";
    text.replace(text.find(world), world.size(), "\"world_size\": 2");
    if (!from.empty())
      for (std::size_t i = 0; (i = text.find(from, i)) != std::string::npos; i += to.size()) text.replace(i, from.size(), to);
    return text;
  };
  std::filesystem::create_directory(run.dir.file("traces"));
  run.dir.write("traces/x-TP-0.trace.json", with_rank(0));
  run.dir.write("traces/x-TP-1.trace.json", with_rank(1, "\"dur\": 20,", "\"dur\": 30,"));  // one gemm of a decode layer is slower there
  run.dir.write("traces/server_args.json", R"({"model_path": "Qwen/Qwen3-8B", "tp_size": 2, "api_key": "hush"})");
  run.dir.write("traces/notes.txt", "nothing");
  const auto first = triage(run, {"traces", "--json"});
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  const document j = document::parse(first.out);
  CHECK(j["rank"] == 0);
  CHECK(j["world_size"] == 2);
  CHECK(j["model"] == "Qwen/Qwen3-8B");
  CHECK(j["inputs"].size() == 1);
  CHECK_FALSE(has(first.out, "hush"));
  CHECK(has(first.out, "--rank all"));
  CHECK(j["kernel_tables"][0]["rows"][0]["ranks"].is_null());
  const document other = document::parse(triage(run, {"traces", "--rank", "1", "--json"}).out);
  CHECK(other["rank"] == 1);
  const document both = document::parse(triage(run, {"traces", "--rank", "all", "--json"}).out);
  const document& gemm = both["kernel_tables"][1]["rows"][0];
  CHECK(gemm["ranks"]["ranks"] == 2);
  CHECK(gemm["ranks"]["min_ns"] == gemm["total_ns"]);
  CHECK(gemm["ranks"]["max_ns"] == gemm["total_ns"].get<std::int64_t>() + 4 * 10'000);
  check_refused(triage(run, {"traces", "--rank", "7"}), 3, "rank 0 was not asked for");

  // A stage that only one of the traces has.
  std::filesystem::create_directory(run.dir.file("stages"));
  const auto step = [](const std::string& name) { return R"({"ph": "X", "cat": "user_annotation", "name": ")" + name + R"(", "pid": 1, "tid": 1, "ts": 1, "dur": 500},)"
                                                        R"({"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1, "ts": 5, "dur": 1, "args": {"correlation": 1}},)"; };
  run.dir.write("stages/x-TP-0-EXTEND.trace.json", events(step("step[EXTEND bs=1 toks=8]") + gpu("nvjet_a", 100, 50)));
  run.dir.write("stages/x-TP-0-DECODE.trace.json", events(step("step[DECODE bs=1 toks=1]") + gpu("nvjet_a", 100, 30)));
  const auto decode = triage(run, {"stages", "--stage", "decode", "--json"});
  CAPTURE(decode.err);
  CHECK(decode.code == 0);
  CHECK(total_of(document::parse(decode.out), "decode") == 30'000);
  CHECK(has(decode.out, "No GPU event is of stage decode"));
  CHECK(triage(run, {"stages", "--stage", "verify"}).code == 3);
}

TEST_CASE("tools: triage maps the kernels of one trace with another") {
  const tool run;
  const std::string formal = run.dir.write("formal.json", events(gpu("nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT", 100, 50) + "," + gpu("unknown_kernel", 151, 5)));
  const auto json = triage(run, {"--mapping-input", small(), "--formal-input", formal, "--json"});
  CAPTURE(json.err);
  REQUIRE(json.code == 0);
  const document j = document::parse(json.out);
  CHECK(j["mode"] == "mapping-formal");
  CHECK(j["mapping_inputs"].size() == 1);
  CHECK(j["coverage"]["kernel_name"]["events"] == 1);
  CHECK(has(j["kernel_tables"][0]["rows"][0]["places"][0]["location"].get<std::string>(), "linear.py"));
}

TEST_CASE("tools: triage stops when the server's log says that another library ran") {
  const tool run;
  const auto f = triage(run, {small(), "--server-log", run.dir.write("server.log", "INFO start\nWARNING Falling back to diffusers backend\n")});
  check_refused(f, 3, "server.log:2");
  CHECK(triage(run, {small(), "--server-log", run.dir.write("good.log", "INFO start\n")}).code == 0);
  check_refused(triage(run, {small(), "--server-log", run.dir.file("none.log")}), 3, "none.log");
}

TEST_CASE("tools: triage keeps its report in a run, and serve-report prints it") {
  const tool run;
  {
    auto store = hotpath::run::store_sqlite::create(run.dir.file("serve_profile.db"), {}, {});
    REQUIRE(store);
    REQUIRE(store->finish({}));
  }
  const auto kept = triage(run, {small(), "--into", run.dir.path()});
  CHECK(kept.code == 0);
  CHECK(has(kept.err, "kept in"));
  for (const char* again : {"once", "twice"}) {
    CAPTURE(again);
    const auto text = run({"serve-report", "."});
    CHECK(has(text.out, "Kernel profile of vllm_steps.json"));
    CHECK(has(text.out, "Kernels: extend/prefill"));
    const document j = document::parse(run({"serve-report", ".", "--json"}).out);
    REQUIRE(j["kernel_profiles"].size() == 1);
    CHECK(j["kernel_profiles"][0] == document::parse(triage(run, {small(), "--json"}).out));
    CHECK(has(run({"serve-report", ".", "--format", "md"}).out, "### Kernel Table"));
    CHECK(triage(run, {small(), "--into", run.dir.path()}).code == 0);
  }
  check_refused(triage(run, {small(), "--into", run.dir.file("none.db")}), 3, "none.db");
  check_refused(triage(run, {run.dir.write("not_read.json", "no trace"), "--into", run.dir.file("none.db")}), 3, "none.db");  // before the trace is read
}

TEST_CASE("tools: triage reads fusion patterns of its user") {
  const tool run;
  const std::string good = run.dir.write("patterns.json", R"({"patterns": [{"id": "MINE1", "name": "My norm and GEMM", "chain": [{"any": "fused add rms norm"}, {"any": "nvjet"}], "what": "norm and GEMM"}]})");
  const auto json = triage(run, {small(), "--patterns", good, "--json", "--framework", "vllm"});
  CAPTURE(json.err);
  CHECK(json.code == 0);
  CHECK(has(json.out, "MINE1"));
  // Instead of the built-in ones.
  const auto ids = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {small(), "--json", "--framework", "vllm", "--min-share", "0"});
    std::string out;
    const document j = document::parse(triage(run, more).out);
    for (const document& t : j["fuse_tables"])
      for (const document& r : t["rows"]) out += r["id"].get<std::string>() + " " + r["pattern"].get<std::string>() + ";";
    return out;
  };
  const std::string builtin = ids({});
  REQUIRE(builtin != "");
  const std::string first = builtin.substr(0, builtin.find(' '));
  CHECK(ids({"--patterns", run.dir.write("none.json", R"({"replace": true, "patterns": [{"id": "X", "chain": [{"any": "no such"}, {"any": "kernel there"}]}]})")}) == "");
  CHECK_FALSE(has(ids({"--patterns", run.dir.write("own.json", "{\"patterns\": [{\"id\": \"" + first + "\", \"fused\": \"no such kernel\"}]}")}), first + " "));
  const auto bad = triage(run, {small(), "--patterns", run.dir.write("bad.json", "{\"patterns\": [{\"id\": 3}]}")});
  CHECK(bad.code == 3);
  CHECK(has(bad.err, "bad.json"));
  for (const char* flag : {"--patterns", "--server-args", "--server-log"}) {
    check_refused(triage(run, {small(), flag, "absent.json"}), 3, "absent.json: cannot be opened: No such file or directory");
    check_refused(triage(run, {small(), flag, "."}), 3, ".: cannot be read: Is a directory");
  }
}

TEST_CASE("tools: triage-bundle makes one document of traces and saved reports") {
  const tool run;
  const auto saved = triage(run, {small(), "--json"});
  run.dir.write("saved.json", saved.out);
  const auto md = run({"triage-bundle", "first=" + small(), "saved.json", "--title", "A | B"});
  CAPTURE(md.err);
  CHECK(md.code == 0);
  CHECK(has(md.out, "# A \\| B"));
  CHECK(has(md.out, "vLLM: first"));
  CHECK(has(md.out, "vLLM: saved.json"));
  CHECK(has(md.out, "#### Comparison: decode"));
  const auto html = run({"triage-bundle", small(), "saved.json", "--format", "html", "--output", "out.html"});
  CHECK(html.code == 0);
  CHECK(html.out == "");
  const std::string page = hotpath_test::read_file(run.dir.file("out.html"));
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(has(page, "Side by side"));
  CHECK(run({"triage-bundle"}).code == 2);
  check_refused(run({"triage-bundle", "label="}), 2, "\"label=\" names no file");
  CHECK(has(run({"triage-bundle", small(), "--title", ""}).out, "# Kernel triage bundle\n"));
  // An exit code other than 0 is explained, also where the document goes to a file.
  run.dir.write("cut.json", hotpath_test::read_file(small()).substr(0, 30'000));
  const auto part = run({"triage-bundle", small(), "cut.json", "--output", "part.md"});
  CHECK(part.code == 5);
  CHECK(has(part.err, "cut.json: "));
  CHECK(has(part.err, "ends early"));
  check_refused(run({"triage-bundle", "none.json"}), 3, "none.json");
  run.dir.write("broken.json", saved.out.substr(0, saved.out.size() / 2));
  check_refused(run({"triage-bundle", "broken.json"}), 3, "broken.json");
}

TEST_CASE("tools: reports on public traces tell rows apart, fit their units, count devices and say nothing twice") {
  const tool run;
  const auto report_on = [&](const char* file, int code = 0) -> std::string {
    const auto path = hotpath_test::data_or_skip(file);
    if (!path) return {};
    const auto done = triage(run, {*path});
    CHECK(done.code == code);
    return done.out;
  };
  if (const std::string out = report_on("torch-traces/deepseek/dsv3_train_dualpipe.json.gz"); !out.empty()) {
    CHECK(has(out, "internode::dispatch<8,8> [false]\n"));
    CHECK(has(out, "internode::dispatch<8,8> [true]\n"));
    CHECK(has(out, "RopeLoraFlashAttnVarlenFuncBackward"));
    CHECK_FALSE(has(out, "dpsk::"));
  }
  if (const std::string out = report_on("torch-traces/hta/trace_diff_test.json.gz"); !out.empty()) {
    CHECK(out.find("614 GPU events") == out.rfind("614 GPU events"));
    CHECK(has(out, "614 GPU events"));
    CHECK(has(out, "12.9 % of busy"));
  }
  if (const std::string out = report_on("nsys/h100_2gpu_1s.sqlite"); !out.empty()) CHECK(has(out, "of GPU work on 2 devices"));
  if (const std::string out = report_on("nsys/mock.sqlite"); !out.empty()) CHECK(has(out, "2.69 \u00B5s"));
  if (const std::string out = report_on("nsys/healthy_1pct.sqlite", 5); !out.empty()) CHECK(has(out, "1 column or table that figures need is missing; all columns that"));
}

TEST_CASE("tools: triage of a public SGLang prefill trace is what docs/kernel.md shows") {
  const auto path = hotpath_test::data_or_skip("torch-traces/tracelens/sglang_qwen3-8b_prefill_mi3xx.json.gz");
  if (!path) return;
  const tool run;
  REQUIRE(::symlink(path->c_str(), run.dir.file("sglang_prefill.json.gz").c_str()) == 0);
  const auto done = triage(run, {"sglang_prefill.json.gz"});
  if (done.code == 3 && has(done.err, "gzip")) return hotpath_test::skip("this build has no inflater");
  CHECK(done.code == 0);
  check_golden("triage.sglang_prefill.100.txt", done.out);
  const std::string page = std::string(hotpath_test::source_dir()) + "/docs/kernel.md", begin = "$ hotpath triage sglang_prefill.json.gz\n", end = "```";
  std::string text = hotpath_test::read_file(page);
  const std::size_t from = text.find(begin);
  REQUIRE(from != std::string::npos);
  const std::size_t to = text.find(end, from);
  if (std::getenv("HOTPATH_UPDATE_GOLDEN") != nullptr) {
    text.replace(from + begin.size(), to - from - begin.size(), done.out);
    std::ofstream(page) << text;
  } else {
    CHECK(text.substr(from + begin.size(), to - from - begin.size()) == done.out);
  }
  // The reference counts of that trace, by a second program.
  const document facts = document::parse(triage(run, {"sglang_prefill.json.gz", "--json"}).out);
  check_books(facts);
  std::uint64_t events = 0;
  for (const document& t : facts["kernel_tables"]) events += t["events"].get<std::uint64_t>();
  CHECK(events == 534);
  CHECK(facts["integrity"]["total_ns"] == 492'811'563);
  CHECK(facts["kernel_tables"].size() == 1);
  CHECK(facts["kernel_tables"][0]["stage"] == "extend/prefill");
}
