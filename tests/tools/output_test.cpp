// SPDX-License-Identifier: Apache-2.0
// Where output goes: no file of the user's is lost to --output, whatever the command; and stdout that is closed or full ends all commands alike.
#include <sys/stat.h>
#include <unistd.h>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include "tool.hpp"

using document = nlohmann::json;

namespace {

using list = std::vector<std::string>;

std::string some_trace() { return hotpath_test::read_file(std::string(hotpath_test::source_dir()) + "/tests/data/triage/vllm_steps.json"); }

// A folder with an input of every command that writes a file.
struct workplace : tool {
  workplace() {
    dir.write("r.json", some_trace());
    std::string other = some_trace();
    other.replace(other.find("\"rank\": 0"), 9, "\"rank\": 1");
    dir.write("s.json", other);
    dir.write("load.jsonl", "{\"prompt\": \"a b c\", \"max_tokens\": 3}\n");
    dir.write("saved.json", (*this)({"triage", "r.json", "--json"}).out);
    std::filesystem::create_directories(dir.file("traces/sub"));
    dir.write("traces/x-TP-0.trace.json", some_trace()), dir.write("traces/x-TP-1.trace.json", other);
    std::filesystem::last_write_time(dir.write("traces/old-TP-0.trace.json", some_trace()), std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    dir.write("traces/server_args.json", "{\"model_path\": \"m\"}");
    auto store = hotpath::run::store_sqlite::create(dir.file("run.db"), {}, {});
    REQUIRE(store);
    REQUIRE(store->finish({}));
  }
  // Every file of the folder, and what it holds; a link stands for what it leads to.
  std::map<std::string, std::string> contents() const {
    std::map<std::string, std::string> out;
    for (const auto& e : std::filesystem::recursive_directory_iterator(dir.path()))
      if (e.is_regular_file()) out[e.path().lexically_relative(dir.path())] = hotpath_test::read_file(e.path());
    return out;
  }
};

// Command lines up to the name of the output, and an input that it must not become.
struct writer {
  list argv;
  std::string input;
};
const std::vector<writer> writers = {
    {{"trace", "convert", "r.json", "--output"}, "r.json"},
    {{"trace", "slice", "r.json", "--time", "0..1", "--output"}, "r.json"},
    {{"trace", "repair", "r.json", "--output"}, "r.json"},
    {{"trace", "merge", "r.json", "s.json", "--align", "step", "--output"}, "s.json"},
    {{"triage-bundle", "s.json", "first=./r.json", "--output"}, "r.json"},
    {{"triage-bundle", "r.json", "saved.json", "--format", "html", "--output"}, "saved.json"},
    {{"triage-bundle", "traces", "--output"}, "traces/x-TP-0.trace.json"},
    {{"triage-bundle", "traces", "--output"}, "traces/x-TP-1.trace.json"},   // of a rank that is not looked at: a trace all the same
    {{"triage-bundle", "traces", "--output"}, "traces/old-TP-0.trace.json"}, // nor is an older one
    {{"triage-bundle", "traces/x-TP-1.trace.json", "--output"}, "traces/server_args.json"},
    {{"export", "run.db", "--output"}, "run.db"},
    {{"traffic", "load.jsonl", "--write"}, "load.jsonl"},
};

std::string words_of(const list& argv) {
  std::string out;
  for (const std::string& a : argv) out += (out.empty() ? "" : " ") + a;
  return out;
}
list with(list argv, const std::string& last) {
  argv.push_back(last);
  return argv;
}

}  // namespace

TEST_CASE("tools: no output replaces an input, by the same name, another one, a hard link or a symbolic one") {
  const workplace w;
  for (const writer& one : writers) {
    CAPTURE(words_of(one.argv));
    CAPTURE(one.input);
    const std::string input = w.dir.file(one.input), hard = w.dir.file("hard"), soft = w.dir.file("soft");
    REQUIRE(::link(input.c_str(), hard.c_str()) == 0);
    REQUIRE(::symlink(one.input.c_str(), soft.c_str()) == 0);
    const auto before = w.contents();
    for (const std::string& name : {one.input, "./" + one.input, input, std::string("hard"), std::string("soft")}) {
      CAPTURE(name);
      const auto f = w(with(one.argv, name));
      check_refused(f, 2, name + ": would replace the input ");
      CHECK(has(f.err, std::filesystem::path(one.input).filename().string()));
      CHECK(w.contents() == before);
    }
    std::filesystem::remove(hard), std::filesystem::remove(soft);
  }
  // The other way round: the input is the link.
  REQUIRE(::symlink("r.json", w.dir.file("soft").c_str()) == 0);
  const auto before = w.contents();
  check_refused(w({"trace", "convert", "soft", "--output", "r.json"}), 2, "r.json: would replace the input soft");
  check_refused(w({"triage-bundle", "label=./soft", "--output", "r.json"}), 2, "r.json: would replace the input ./soft");
  CHECK(w.contents() == before);
  // Before anything is read: what is no trace is not even looked into.
  w.dir.write("no.json", "nothing");
  check_refused(w({"trace", "convert", "no.json", "--output", "no.json"}), 2, "no.json: would replace the input no.json");
}

TEST_CASE("tools: an output that nobody may write stays as it is, for root too") {
  const workplace w;
  const std::string kept = w.dir.write("kept.json", "read only");
  REQUIRE(::chmod(kept.c_str(), 0444) == 0);
  const auto before = w.contents();
  for (const writer& one : writers) {
    CAPTURE(words_of(one.argv));
    check_refused(w(with(one.argv, "kept.json")), 3, "kept.json: cannot write: Permission denied");
    CHECK(w.contents() == before);
  }
  // What may be written is replaced.
  REQUIRE(::chmod(kept.c_str(), 0644) == 0);
  for (const writer& one : writers) {
    CAPTURE(words_of(one.argv));
    w.dir.write("kept.json", "older");
    const auto f = w(with(one.argv, "kept.json"));
    CAPTURE(f.err);
    CHECK((f.code == 0 || f.code == 5));
    CHECK(hotpath_test::read_file(kept) != "older");
  }
}

TEST_CASE("tools: the name of an output says what is in it, packed or not") {
  const workplace w;
  for (const auto& [name, begin] : std::map<std::string, std::string>{{"b.html", "<!DOCTYPE html>"}, {"b.HTM", "<!DOCTYPE html>"}, {"b.md", "# "}, {"b", "# "}}) {
    const std::string& file = name;
    CAPTURE(file);
    CHECK(w({"triage-bundle", "r.json", "--output", name}).code != 2);
    CHECK(hotpath_test::read_file(w.dir.file(name)).starts_with(begin));
  }
  const std::string plain = w({"trace", "convert", "r.json", "--output", "-"}).out, perfetto = w({"trace", "convert", "r.json", "--output", "-", "--to", "perfetto"}).out;
  CHECK(plain.starts_with('{'));
  CHECK(perfetto.starts_with('\n'));  // field 1, a message
  for (const auto& [name, want] : std::map<std::string, std::string>{{"a.json", plain}, {"a.json.gz", plain}, {"a.gz", plain}, {"A.JSON.GZ", plain}, {"a.pftrace", perfetto}, {"a.pftrace.gz", perfetto}, {"a.perfetto-trace.gz", perfetto}}) {
    const std::string& output = name;
    CAPTURE(output);
    const document j = document::parse(w({"trace", "convert", "r.json", "--output", name, "--json"}).out);
    const std::string file = hotpath_test::read_file(w.dir.file(name));
    const bool gzip = name.ends_with("z") || name.ends_with("Z");
    CHECK((gzip ? hotpath_test::run({"gzip", "-dc"}, {.input = file}).out : file) == want);
    CHECK(j["file_bytes"] == file.size());
    CHECK(j["unpacked_bytes"] == want.size());
    CHECK(file.starts_with("\x1f\x8b") == gzip);
    CHECK((gzip ? file.size() < want.size() : file.size() == want.size()));
    CHECK(j["format"] == (want == plain ? "chrome" : "perfetto"));
  }
  CHECK(has(w({"trace", "convert", "r.json", "--output", "a.json.gz"}).err, " of gzip to a.json.gz"));
  const document part = document::parse(w({"trace", "slice", "r.json", "--time", "0..1", "--output", "b.json.gz", "--json"}).out), whole = document::parse(w({"trace", "repair", "r.json", "--output", "c.json.gz", "--json"}).out);
  CHECK(part["file_bytes"] == hotpath_test::read_file(w.dir.file("b.json.gz")).size());
  CHECK(whole["file_bytes"] == hotpath_test::read_file(w.dir.file("c.json.gz")).size());
  CHECK(whole["unpacked_bytes"] > whole["file_bytes"]);
  const auto before = w.contents();
  for (const char* ending : {".zst", ".bz2", ".xz", ".zip", ".lz4", ".ZST"})
    for (const writer& one : writers) check_refused(w(with(one.argv, std::string("x.json") + ending)), 2, "its name asks for .");
  for (const list& argv : {list{"triage-bundle", "r.json", "--output"}, list{"export", "run.db", "--output"}, list{"traffic", "load.jsonl", "--write"}}) check_refused(w(with(argv, "x.gz")), 2, "its name asks for .gz");
  CHECK(w.contents() == before);
}

TEST_CASE("tools: F-PRC-08 a closed stdout ends every command quietly with its own code, a full one with 6 and one line") {
  const workplace w;
  const bool full = access("/dev/full", W_OK) == 0;
  if (!full) hotpath_test::skip("no /dev/full on this machine");
  const std::vector<list> commands = {
      {"trace", "info", "r.json"}, {"trace", "info", "r.json", "--json"}, {"trace", "convert", "r.json", "--output", "-"}, {"trace", "convert", "r.json", "--output", "-", "--to", "perfetto"},
      {"trace", "slice", "r.json", "--time", "0..1", "--output", "-"}, {"trace", "slice", "r.json", "--time", "0..1", "--output", "-", "--to", "perfetto"}, {"trace", "repair", "r.json", "--output", "-"},
      {"trace", "merge", "r.json", "s.json", "--align", "step", "--output", "-"}, {"trace", "convert", "r.json", "--output", "c.json", "--json"}, {"triage", "r.json"}, {"triage", "r.json", "--json"}, {"triage", "cut.json"},
      {"stats", "r.json"}, {"diff", "r.json", "s.json"}, {"triage-bundle", "r.json"}, {"export", "run.db"}, {"traffic", "synthetic:requests=3000"}, {"traffic", "synthetic:requests=3000", "--write", "-"},
      {"serve-report", "run.db"}, {"version"}, {"--help"}, {"triage", "--help"}, {"doctor"}};
  const std::string whole = some_trace();
  w.dir.write("cut.json", whole.substr(0, whole.size() * 7 / 10));
  for (const list& argv : commands) {
    CAPTURE(words_of(argv));
    const int code = w(argv).code;
    CHECK(code < 6);
    list all = argv;
    all.insert(all.begin(), HOTPATH_TOOL);
    hotpath_test::process p(all, {.directory = w.dir.path()});
    p.close_out();
    const auto closed = p.finish();
    CAPTURE(closed.err);
    if (argv[0] != "doctor") CHECK(closed.code == code);
    CHECK_FALSE(has(closed.err, "cannot write"));
    if (!full) continue;
    const auto lost = hotpath_test::run({"sh", "-c", "exec " + std::string(HOTPATH_TOOL) + " " + words_of(argv) + " > /dev/full"}, {.directory = w.dir.path()});
    CAPTURE(lost.err);
    CHECK(lost.code == 6);
    const auto at = lost.err.find("hotpath: stdout: cannot write: No space left on device\n");
    CHECK(at != std::string::npos);
    CHECK(lost.err.find("cannot write", at + 30) == std::string::npos);
  }
}
