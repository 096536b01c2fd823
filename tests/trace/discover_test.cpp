// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <sys/stat.h>

#include <hotpath/trace/discover.hpp>
#include <hotpath/trace/zlib.hpp>
#include <support/data.hpp>
#include <algorithm>
#include "written.hpp"

using namespace written_test;
using model::stage;

namespace {

std::string kineto(int rank, int world = 8, const std::string& events = {}) {
  return "{\"schemaVersion\": 1, \"deviceProperties\": [{\"id\": 0, \"name\": \"a } \\\" {\"}], \"distributedInfo\": {\"backend\": \"nccl\", \"rank\": " + std::to_string(rank) + ", \"world_size\": " + std::to_string(world) +
         ", \"pg_config\": [{\"ranks\": [0, 1]}]},\n\"traceEvents\": [{\"ph\":\"X\",\"cat\":\"cpu_op\"}" + events + "], \"traceName\": \"x\"}";
}
const std::string bare = "{\"traceEvents\": [{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"k\",\"ts\":1,\"dur\":1}]}";

std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(text.size() + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data())), z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data()), z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

// A folder whose files get modification times in the order in which they are written.
struct folder {
  hotpath_test::temp_dir dir;
  int written = 0;
  std::string write(const std::string& name, const std::string& text) {
    if (const auto slash = name.rfind('/'); slash != std::string::npos) make(name.substr(0, slash));
    const std::string path = dir.write(name, text);
    const timespec at[2] = {{1'700'000'000 + ++written, 0}, {1'700'000'000 + written, 0}};
    utimensat(AT_FDCWD, path.c_str(), at, 0);
    return path;
  }
  void make(const std::string& name) {
    if (const auto slash = name.rfind('/'); slash != std::string::npos) make(name.substr(0, slash));
    ::mkdir(dir.file(name).c_str(), 0755);
  }
  trace::discovery look(const std::string& below = {}, trace::discover_options o = {.inflate = trace::zlib::head}) const {
    auto d = trace::discover(below.empty() ? dir.path() : dir.file(below), o);
    if (!d) FAIL(d.error().message());
    return std::move(*d);
  }
};

std::vector<std::string> names(const std::vector<trace::found_trace>& v) {
  std::vector<std::string> out;
  for (const auto& t : v) out.emplace_back(trace::base_name(t.path));
  return out;
}
std::string reason(const trace::discovery& d, std::string_view name) {
  for (const auto& s : d.skipped) if (trace::base_name(s.path) == name) return s.reason;
  return "(not skipped)";
}
using list = std::vector<std::string>;

}  // namespace

TEST_CASE("trace: rank and world size are those of the file's first bytes before those of its name") {
  folder f;
  f.write("rank9.json", kineto(3));
  f.write("x-TP-5.trace.json.gz", gzip(kineto(4, 16)));
  f.write("dp0_pp0_tp1_dcp0_ep0_rank6.1769.pt.trace.json", bare);
  const auto d = f.look();
  REQUIRE(d.traces.size() == 3);
  CHECK(d.traces[0].rank == 3);
  CHECK(d.traces[0].world_size == 8);
  CHECK(!d.traces[0].rank_from_name);
  CHECK(d.traces[1].rank == 4);
  CHECK(d.traces[1].world_size == 16);
  CHECK(d.traces[1].format == model::trace_format::torch);
  CHECK(d.traces[2].rank == 6);
  CHECK(d.traces[2].rank_from_name);
  CHECK(d.skipped.empty());
  CHECK(f.look({}, {.inflate = trace::zlib::head, .rank = 4}).traces.size() == 1);
  // Without an inflater the name is all there is.
  const auto blind = f.look({}, {});
  CHECK(blind.traces[1].rank == 5);
  CHECK(blind.traces[1].rank_from_name);
  CHECK(blind.traces[1].format == model::trace_format::none);
}

TEST_CASE("trace: a trace whose events come behind 70 KB of other members is found, by its name always") {
  folder f;
  const std::string late = "{\"otherData\": {\"log\": \"" + std::string(70'000, 'x') + "\"}, " + bare.substr(1);
  const std::string path = f.write("late.json", " " + late);
  auto d = trace::discover(path);
  REQUIRE(d);
  CHECK(names(d->traces) == list{"late.json"});
  CHECK(d->traces[0].unsure);
  CHECK(names(f.look().traces) == list{"late.json"});
  f.write("rank0.json", kineto(0));   // beside one that is a trace for certain it must be asked for
  CHECK(names(f.look().traces) == list{"rank0.json"});
  CHECK(reason(f.look(), "late.json").find("name it to read it") != std::string::npos);
  CHECK(trace::discover(path));
  f.write("closed.json", "{\"otherData\": {\"log\": \"" + std::string(60'000, 'x') + "\"}}");
  CHECK(reason(f.look(), "closed.json") == "JSON without traceEvents: not a trace");
}

TEST_CASE("trace: files that are no traces are told by content, with the reason and what to do") {
  folder f;
  f.write("good.json", bare);
  f.write("report.json", "{\"a\": {\"traceEvents\": []}}");  // not at the root
  f.write("list.json", "[{\"x\":1}]");
  f.write("numbers.json", "[1,2]");
  f.write("packed.json.zst", "\x28\xb5\x2f\xfd....");
  f.write("packed.json.zip", "PK\x03\x04....");
  f.write("named.trace.json", "hello");
  f.write("empty.trace.json", "");
  f.write("blank.json", "  \n");
  f.write("cut.json.gz", gzip(kineto(0)).substr(0, 8));
  f.write("own.sqlite", std::string("SQLite format 3\0 CREATE TABLE requests", 38));
  f.write("report.nsys-rep", "binary");
  f.write("notes.txt", bare);  // nobody calls a trace so
  f.make("folder.json");
  const auto d = f.look();
  CHECK(names(d.traces) == list{"good.json"});
  CHECK(reason(d, "report.json") == "JSON without traceEvents: not a trace");
  CHECK(reason(d, "list.json").find("no trace event") != std::string::npos);
  CHECK(reason(d, "numbers.json").find("no trace event") != std::string::npos);
  CHECK(reason(d, "packed.json.zst") == "zstd: decompress it first (zstd -d)");
  CHECK(reason(d, "packed.json.zip") == "a zip archive: unpack it first");
  CHECK(reason(d, "named.trace.json") == "neither JSON nor SQLite");
  CHECK(reason(d, "empty.trace.json") == "is empty");
  CHECK(reason(d, "blank.json") == "only white space");
  CHECK(reason(d, "cut.json.gz").find("damaged gzip") != std::string::npos);
  CHECK(reason(d, "own.sqlite") == "a SQLite database without the tables of nsys export");
  CHECK(reason(d, "report.nsys-rep") == "Nsight's own format: nsys export --type sqlite report.nsys-rep");
  CHECK(d.skipped.size() == 11);
}

TEST_CASE("trace: the newest file of each stage and rank is taken, prefill first, and the others are named") {
  folder f;
  f.write("1-TP-0-DECODE.trace.json", kineto(0));
  f.write("2-TP-0-DECODE.trace.json", kineto(0));
  f.write("2-TP-1-DECODE.trace.json", kineto(1));
  f.write("2-TP-1-EXTEND.trace.json", kineto(1));
  f.write("2-TP-0-EXTEND.trace.json", kineto(0));
  f.write("merged-2.trace.json", bare);
  f.write("front.json", bare);
  f.write("server_args.json", "{\"model_path\":\"m\"}");
  const auto d = f.look();
  CHECK(names(d.traces) == list{"2-TP-0-EXTEND.trace.json", "2-TP-1-EXTEND.trace.json", "2-TP-0-DECODE.trace.json", "2-TP-1-DECODE.trace.json"});
  CHECK(reason(d, "1-TP-0-DECODE.trace.json") == "older than 2-TP-0-DECODE.trace.json, same stage and rank");
  CHECK(reason(d, "merged-2.trace.json") == "made of other files here");
  CHECK(reason(d, "front.json") == "tells no rank, and other files here do: a front end's trace?");
  CHECK(d.server_args == f.dir.file("server_args.json"));
  CHECK(f.look({}, {.inflate = nullptr, .rank = {}, .all_files = true}).traces.size() == 5);
  folder only;
  only.write("merged-2.trace.json", bare);
  CHECK(only.look().traces.size() == 1);
}

TEST_CASE("trace: without traces of its own a folder stands for those below: all of a capture by stage, else the latest run") {
  folder f;
  f.write("run/server_args.json", "{}");
  f.write("run/prefill/a.trace.json", bare);
  f.write("run/decode/b.trace.json", bare);
  const auto d = f.look("run");
  CHECK(names(d.traces) == list{"a.trace.json", "b.trace.json"});
  CHECK(d.traces[0].label == stage::prefill);
  CHECK(d.traces[1].label == stage::decode);
  CHECK(trace::discover(f.dir.file("run/prefill"))->server_args.find("server_args.json") != std::string::npos);  // one folder above
  folder runs;
  runs.write("monday/a.json", bare);
  runs.write("tuesday/b.json", bare);
  runs.write("tuesday/c.json", bare);
  const auto latest = runs.look({}, {.inflate = nullptr, .rank = {}, .all_files = true});
  CHECK(names(latest.traces) == list{"c.json", "b.json"});
  CHECK(latest.folder == runs.dir.file("tuesday"));
  CHECK(reason(latest, "a.json") == "lies in another folder than the newest trace");
}

TEST_CASE("trace: captures of graphs are told by their annotation, else by their folder or name") {
  folder f;
  f.write("decode.json", bare);
  f.write("bs_32.json", kineto(0, 1, ",{\"ph\":\"X\",\"cat\":\"user_annotation\",\"name\":\"capture_32_FULL\"}"));
  f.write("no.json", kineto(0, 1, ",{\"ph\":\"X\",\"name\":\"capture_all\"}"));
  f.write("graph_capture_rank_0.17.pt.trace.json", bare);
  const auto d = f.look();
  CHECK(names(d.captures) == list{"bs_32.json", "graph_capture_rank_0.17.pt.trace.json"});
  CHECK(d.captures[0].capture == "capture_32_FULL");
  CHECK(d.captures[1].capture.empty());
  CHECK(d.captures[1].is_capture);
  CHECK(names(d.traces) == list{"no.json"});
}

TEST_CASE("trace: a file is taken whatever its name is; what is missing or no trace is an error that says so") {
  folder f;
  f.write("odd.name", bare);
  f.write("capture_traces/x.json", bare);
  CHECK(names(f.look("odd.name").traces) == list{"odd.name"});
  CHECK(names(f.look("capture_traces/x.json").traces) == list{"x.json"});  // asked for by name
  const auto missing = trace::discover(f.dir.file("nothing"));
  REQUIRE(!missing);
  CHECK(missing.error().code == errc::not_found);
  f.make("empty");
  const auto none = trace::discover(f.dir.file("empty"));
  REQUIRE(!none);
  CHECK(none.error().code == errc::empty);
  f.write("other/x.json", "{}");
  f.write("other/y.json", "{}");
  const auto other = trace::discover(f.dir.file("other"));
  REQUIRE(!other);
  CHECK(other.error().message().find("x.json: JSON without traceEvents: not a trace (and 1 more files)") != std::string::npos);
  const auto wrong = trace::discover(f.dir.file("other/x.json"));
  REQUIRE(!wrong);
  CHECK(wrong.error().code == errc::unreadable);
  ::mkfifo(f.dir.file("pipe.json").c_str(), 0600);
  CHECK(!trace::discover(f.dir.file("pipe.json")));  // and does not wait for a writer
}

TEST_CASE("trace: ranks in names are words of their own") {
  using trace::rank_of_name;
  CHECK(rank_of_name("dp0_pp0_tp1_dcp0_ep0_rank6.17.pt.trace.json.gz") == 6);
  CHECK(rank_of_name("/a/rank3/1758513624.4-TP-0-DECODE.trace.json.gz") == 0);
  CHECK(rank_of_name("rank-34.Jul_15.pt.trace.json") == 34);
  CHECK(rank_of_name("trtllm-trace-7-rank-12.json") == 12);
  CHECK(rank_of_name("profile_trace_rank_0.json.gz") == 0);
  CHECK(rank_of_name("sglang_tp2.json") == 2);
  CHECK(rank_of_name("worker7.123.pt.trace.json") == 7);
  CHECK(rank_of_name("host_4711.123.pt.trace.json") == std::nullopt);
  CHECK(rank_of_name("frank1.json") == std::nullopt);
  CHECK(rank_of_name("http2.json") == std::nullopt);
  CHECK(rank_of_name("rank.json") == std::nullopt);
  CHECK(rank_of_name("rank99999999.json") == std::nullopt);
  CHECK(rank_of_name("") == std::nullopt);
}

TEST_CASE("trace: stages in names are words, not parts of words or of folders") {
  using trace::stage_of_name;
  CHECK(stage_of_name("1758513624.4-TP-0-DECODE.trace.json.gz") == stage::decode);
  CHECK(stage_of_name("sglang_qwen3_prefill_mi3xx.json") == stage::prefill);
  CHECK(stage_of_name("a-EXTEND.json") == stage::prefill);
  CHECK(stage_of_name("/runs/decode/x.json") == stage::decode);
  CHECK(stage_of_name("/runs/prefill/TP/1/x.json") == stage::prefill);
  CHECK(stage_of_name("qwen_prefill-decode_test/x.json") == stage::all);
  CHECK(stage_of_name("no_decode_opt/x.json") == stage::all);
  CHECK(stage_of_name("no_decode_opt.json") == stage::all);
  CHECK(stage_of_name("prefill_decode.json") == stage::all);
  CHECK(stage_of_name("undecoded.json") == stage::all);
  CHECK(stage_of_name("decoder.json") == stage::all);
  CHECK(stage_of_name("") == stage::all);
}

TEST_CASE("trace: any first bytes are looked at safely") {
  std::string all = kineto(1, 2, ",{\"name\":\"capture_3_X\"}");
  for (std::size_t n = 0; n <= all.size(); ++n) static_cast<void>(trace::sniff(std::string_view(all).substr(0, n)));
  for (const std::string_view s : {"{", "{\"", "{\"traceEvents", "{\"traceEvents\"", "{\"traceEvents\":", "[", "[{", "[{\"ph\"", "{\"a\":\"\\", "\xef\xbb\xbf{\"traceEvents\":[", "{\"distributedInfo\":{\"rank\":-1}}"}) {
    const auto r = trace::sniff(s);
    CHECK((r.format != model::trace_format::none) == (s.find("traceEvents\":") != std::string_view::npos || s.find("\"ph\"") != std::string_view::npos));
    CHECK(!r.rank);
  }
  std::uint64_t seed = 7;
  for (int i = 0; i < 20'000; ++i) {
    std::string s = all;
    for (int k = 0; k < 4; ++k) seed = seed * 6364136223846793005u + 1442695040888963407u, s[(seed >> 33) % s.size()] = "{}[]\",:\\ 1\x1f\xff"[(seed >> 20) % 12];
    static_cast<void>(trace::sniff(s));
  }
}

TEST_CASE("trace: real traces are told apart by content, captures by their annotation") {
  const auto path = hotpath_test::data_or_skip("torch-traces/tracelens");
  if (!path) return;
  const auto d = trace::discover(*path, {.inflate = trace::zlib::head, .rank = {}, .all_files = true});
  REQUIRE(d);
  CHECK(names(d->captures) == list{"sglang_qwen3-8b_graph-capture_bs32.json.gz", "vllm_decode_full-graph_capture.json.gz"});
  CHECK(d->captures[0].capture == "capture_32_DECODE");
  CHECK(d->captures[1].capture == "capture_32_FULL");
  for (const auto& t : d->traces) CHECK(t.format == model::trace_format::torch);
  for (const auto& t : d->traces) if (trace::base_name(t.path).starts_with("vllm_b200")) CHECK((t.rank == 0 && t.world_size == 8 && !t.rank_from_name));
  const auto nsys = hotpath_test::data_or_skip("nsys");
  if (!nsys) return;
  const auto n = trace::discover(*nsys, {.inflate = nullptr, .rank = {}, .all_files = true});
  REQUIRE(n);
  CHECK(n->traces.size() == 4);
  for (const auto& t : n->traces) CHECK(t.format == model::trace_format::nsys_sqlite);
}
