// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <filesystem>
#include <random>
#include <core/json_oracle.hpp>
#include <hotpath/trace/zlib.hpp>
#include "made.hpp"
#include <support/data.hpp>

using namespace hotpath;
using namespace hotpath_test;
using model::trace_fault;

namespace {

struct collector {
  std::string before_text, after_text, last_raw;
  std::vector<std::string> raws;
  std::vector<std::uint64_t> bytes;
  std::string all;  // the document put together again
  void before(std::string_view t) { before_text += t, all += t; }
  void event(const trace::event_view& e) {
    if (!raws.empty()) all += ',';
    raws.emplace_back(e.raw), bytes.push_back(e.byte), all += e.raw;
  }
  void after(std::string_view t) { after_text += t, all += t; }
};

// One event at a time, from a document whose events nlohmann's parser knows.
void check_copy(const std::string& text) {
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{100}, std::size_t{5000}, std::size_t{1} << 20}) {
    CAPTURE(chunk);
    collector c;
    const std::string path = (std::filesystem::temp_directory_path() / ("hotpath_scan_test_" + std::to_string(::getpid()))).string();
    write_file(path, text);
    auto s = trace::scan(path, c, {.chunk = chunk});
    std::filesystem::remove(path);
    REQUIRE_MESSAGE(s.has_value(), (s ? "" : s.error().message()));
    CHECK(s->complete);
    CHECK(!s->partial());
    CHECK(s->text_bytes == text.size());
    CHECK(s->events == c.raws.size());
    bool there = true;
    for (std::size_t i = 0; i < c.raws.size(); ++i) there &= text.compare(c.bytes[i], c.raws[i].size(), c.raws[i]) == 0;
    CHECK(there);
    CHECK(c.before_text.ends_with("["));
    CHECK(c.after_text.starts_with("]"));
    CHECK((nlohmann::json::parse(c.all) == nlohmann::json::parse(text)));
  }
}

}  // namespace

TEST_CASE("trace: scan hands over each event as it stands in the file, and the text around the list") {
  const std::string two = kernel("a \\\"b\\\"", "1.5", "2") + " , \n" + R"({"ph":"i","name":"x","pid":"Spans","tid":7.0,"ts":"3","s":"g"})";
  check_copy(document(two));
  check_copy(document(two, R"("a": [{"ph": "X"}, {"ph": "Y"}], "traceName": "x", )", R"(, "b": {"c": "]}"}, "n": 12)"));
  check_copy(document(""));
  check_copy("  [" + two + "]  ");

  struct {
    std::vector<trace::event_view> seen;
    std::string names;
    void event(const trace::event_view& e) { seen.push_back(e), names.append(e.name).append(";"); }
  } sink;
  auto s = trace::scan_text(document(two), sink);
  REQUIRE(s.has_value());
  REQUIRE(sink.seen.size() == 2);
  CHECK(sink.names == "a \"b\";x;");
  CHECK(sink.seen[0].phase == 'X');
  CHECK(sink.seen[0].ts == nanoseconds{1500});
  CHECK(sink.seen[0].dur == nanoseconds{2000});
  CHECK(sink.seen[1].phase == 'i');
  CHECK(sink.seen[1].ts == nanoseconds{3000});
  CHECK(!sink.seen[1].dur.has_value());
  CHECK(s->keys == std::vector<std::string>{"schemaVersion", "traceEvents"});
}

TEST_CASE("trace: scan copies real traces whole") {
  for (const char* name : {"torch-traces/tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz", "torch-traces/hta/mi250_minitoy_train.json.gz", "torch-traces/tracelens/hf_bert-small_h100.json.gz"}) {
    const auto path = data_or_skip(name);
    if (!path) return;
    check_copy(text_of(*path));
  }
}

TEST_CASE("trace: scan of a cut file gives the complete events and no end; the sink of a damaged one sees mended events") {
  const std::string text = document(kernel("a", "1", "1") + "," + kernel("b \"c\" d", "2", "1") + "," + kernel("e", "3", "1"));
  collector c;
  auto s = trace::scan_text(std::string_view(text).substr(0, text.size() - 10), c);
  REQUIRE(s.has_value());
  CHECK(!s->complete);
  CHECK(s->partial());
  CHECK(c.after_text.empty());
  REQUIRE(c.raws.size() == 2);
  CHECK(nlohmann::json::parse(c.raws[1])["name"] == "b \"c\" d");
}

TEST_CASE("trace: in strict mode a text is accepted if nlohmann's parser accepts it and it has a list of events: 20,000 mutations") {
  const std::string seeds[] = {
      document(kernel("a\\u00e9\\ud83d\\ude00 \xC3\xA9", "1.25", "2e1") + ",\n " + kernel("b", "-0.5", "1E-2", R"("x": [1, {"y": [null, true, false, "\/\b"]}], "stream": 7)"), R"("k": {"l": [[], {}]}, )", R"(, "m": -12.5e+3)"),
      "[" + kernel("c", "0", "0") + ", 7, \"t\", [1], {}]", "\xEF\xBB\xBF{\"traceEvents\":[]}", "{ \"traceEvents\" : [ {\"ph\":\"X\"} ] , \"traceEvents\" : [ ] }"};
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::string_view bits[] = {"\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", "1e400", ".", "\xff", "\xc3", "\x01", "\\ud800", "true", "nul", " ", "\n", "traceEvents", std::string_view("\0", 1), "\xEF\xBB\xBF"};
  std::size_t accepted = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = seeds[below(std::size(seeds))];
    for (std::size_t n = below(3); n-- > 0;) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0: text.erase(at, 1 + below(4)); break;
        case 1: text.insert(at, bits[below(std::size(bits))]); break;
        case 2: text[at] = static_cast<char>(random()); break;
        default: text.resize(at + 1);
      }
      if (text.empty()) text = " ";
    }
    CAPTURE(text);
    event_log log;
    const bool theirs = nlohmann_events(text, log);
    bool has_list = false;
    if (theirs) {
      nlohmann::json j = nlohmann::json::parse(text, nullptr, false);
      has_list = j.is_array();
      // With a name twice, the parser keeps the last; here every list counts.
      bool at_key = false;
      if (j.is_object()) j = nlohmann::json::parse(text, [&](int depth, nlohmann::json::parse_event_t e, nlohmann::json& v) {
        if (depth == 1 && e == nlohmann::json::parse_event_t::key) at_key = v == "traceEvents";
        else if (depth == 1 && e == nlohmann::json::parse_event_t::array_start) has_list |= at_key;
        return true;
      });
    }
    struct {} sink;
    for (const std::size_t chunk : {std::size_t{1} << 20, std::size_t{64}}) {
      CAPTURE(chunk);
      auto ours = trace::read_text(text, {.strict = true, .threads = chunk == 64 ? 2u : 1u, .chunk = chunk});
      CHECK(ours.has_value() == (theirs && has_list));
    }
    CHECK(trace::scan_text(text, sink, {.strict = true}).has_value() == (theirs && has_list));
    (theirs && has_list ? accepted : refused) += 1;
    auto tolerant = trace::read_text(text);
    if (theirs && has_list) CHECK(tolerant.has_value());
  }
  CHECK(accepted > 3000);
  CHECK(refused > 3000);
}

TEST_CASE("trace: F-TRC-24 memory is a constant plus the timeline, whatever the size of the file") {
  if (sanitized) return;
  // A child per size reads the same text from a generator, without a file: peak memory less what the rows take is compared.
  struct generator {
    std::string block;
    std::uint64_t left = 0, at = 0;
    bool begun = false;
    static std::size_t read(void* self, char* to, std::size_t room) {
      generator& g = *static_cast<generator*>(self);
      std::size_t n = 0;
      while (n < room) {
        const bool first = !g.begun;
        if (g.at == g.block.size() || first) {
          if (!first && g.left == 0) break;
          if (first) g.block = "{\"traceEvents\": [", g.begun = true;
          else {
            g.block.clear();
            for (int i = 0; i < 100; ++i)
              g.block += R"({"ph": "X", "cat": "python_function", "name": "some/module.py()" + std::to_string(i % 50) + R"x(): call", "pid": 1, "tid": 1, "ts": )x" + std::to_string(g.left) +
                         R"(.123, "dur": 3.5, "args": {"Python parent id": 123456, "Python id": 123457, "Ev Idx": 1234567, "filler": ")" + std::string(120, 'f') + R"("}},)" + "\n";
            g.left = g.left > g.block.size() ? g.left - g.block.size() : 0;
            if (g.left == 0) g.block.replace(g.block.size() - 2, 2, "]}");
          }
          g.at = 0;
        }
        const std::size_t part = std::min(room - n, g.block.size() - static_cast<std::size_t>(g.at));
        std::memcpy(to + n, g.block.data() + g.at, part);
        n += part, g.at += part;
      }
      return n;
    }
  };
  const auto beside_rows = [](std::uint64_t bytes) {
    int out[2];
    REQUIRE(::pipe(out) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      generator g;
      g.left = bytes;
      // What the test had before is not counted.
      long pages = 0, resident = 0;
      if (std::FILE* f = std::fopen("/proc/self/statm", "r")) {
        if (std::fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
        std::fclose(f);
      }
      auto t = trace::read_source({&g, &generator::read, nullptr, bytes}, "generated", {.threads = 2});
      struct rusage use {};
      ::getrusage(RUSAGE_SELF, &use);
      use.ru_maxrss -= resident * ::sysconf(_SC_PAGESIZE) / 1024;
      std::int64_t told[3] = {t ? use.ru_maxrss * 1024 : -1, t ? static_cast<std::int64_t>(t->frames.size() * sizeof(model::frame)) : 0, t ? static_cast<std::int64_t>(t->about.text_bytes) : 0};
      const auto written = ::write(out[1], told, sizeof told);
      ::_exit(written == sizeof told ? 0 : 1);
    }
    ::close(out[1]);
    std::int64_t told[3] = {};
    CHECK(::read(out[0], told, sizeof told) == sizeof told);
    ::close(out[0]);
    ::waitpid(child, nullptr, 0);
    REQUIRE(told[0] > 0);
    MESSAGE((told[2] >> 20) << " MiB of text: peak " << (told[0] >> 20) << " MiB, of it " << (told[1] >> 20) << " MiB rows");
    CHECK(told[2] > static_cast<std::int64_t>(bytes));
    return std::pair{told[0] - told[1], told[1]};
  };
  const std::uint64_t most = full() ? 2048u : 512u;
  const auto [small_rest, small_rows] = beside_rows((most / 8) << 20);
  const auto [large_rest, large_rows] = beside_rows(most << 20);
  // An array grows by half, in place: at most half of the rows is reserve, and only touched pages count.
  CHECK(large_rest < (64 << 20));
  CHECK(large_rest - small_rest < large_rows / 4 + (16 << 20));
}

TEST_CASE("trace: scan stops at the limit of the text and says so, in memory and from a file") {
  const std::string text = document(kernel("a", "1", "1") + "," + kernel("b", "2", "1") + "," + kernel("c", "3", "1"));
  const std::string path = (std::filesystem::temp_directory_path() / ("hotpath_scan_limit_" + std::to_string(::getpid()))).string();
  write_file(path, text);
  for (const bool in_memory : {true, false}) {
    collector c;
    const trace::read_options o{.chunk = 64, .text = text.find("\"c\"")};
    auto s = in_memory ? trace::scan_text(text, c, o) : trace::scan(path, c, o);
    REQUIRE(s.has_value());
    CHECK(c.raws.size() == 2);
    REQUIRE(s->lost.size() == 1);
    CHECK(s->lost[0].fault == trace_fault::truncated);
    CHECK(s->lost[0].count == 1);
    CHECK(s->lost[0].note.find("longer than " + std::to_string(o.text) + " bytes") != std::string::npos);
  }
  collector whole;
  auto s = trace::scan_text(text, whole, {.text = text.size()});
  REQUIRE(s.has_value());
  CHECK(!s->partial());
  std::filesystem::remove(path);
}

TEST_CASE("trace: a member behind the events that is longer than the limit is handed over unread, and the file is whole") {
  std::string log = R"([{"a": "}],{\"ph\"\\", "b": [1, {"c": "]"}]})";
  for (int i = 0; i < 400; ++i) log += R"(, {"line": "x, \"y\" } ]"})";
  const std::string text = document(kernel("a", "1", "1") + "," + kernel("b", "2", "1"), "", R"(, "log": )" + log + R"(], "with_stack": 1)");
  const std::string path = (std::filesystem::temp_directory_path() / ("hotpath_scan_member_" + std::to_string(::getpid()))).string();
  write_file(path, text);
  for (const std::size_t chunk : {std::size_t{64}, std::size_t{100}, std::size_t{999}}) {
    CAPTURE(chunk);
    collector c;
    auto s = trace::scan(path, c, {.chunk = chunk, .value = 1000});
    REQUIRE(s.has_value());
    CHECK(s->complete);
    REQUIRE(s->lost.size() == 1);
    CHECK(s->lost[0].fault == trace_fault::damaged);
    CHECK(s->lost[0].note.find("longer than 1000 bytes") != std::string::npos);
    CHECK((nlohmann::json::parse(c.all) == nlohmann::json::parse(text)));
    CHECK(s->keys.back() == "with_stack");
    auto t = trace::read(path, {.threads = 2, .chunk = chunk, .value = 1000});
    REQUIRE(t.has_value());
    CHECK(t->about.with_stack);
    CHECK(lost(*t, trace_fault::truncated) == 0);
  }
  // Cut within it: that is a loss.
  write_file(path, text.substr(0, text.size() - 100));
  collector c;
  auto s = trace::scan(path, c, {.chunk = 64, .value = 1000});
  REQUIRE(s.has_value());
  CHECK(s->lost.size() == 2);
  std::filesystem::remove(path);
}

TEST_CASE("trace: an array of events needs no bracket at its end, one that ends within an event is cut") {
  const std::string text = "[" + kernel("a", "1", "1") + ",\n" + kernel("b", "2", "1");
  for (const char* end : {"", ",\n", "\n]\n"}) {
    CAPTURE(end);
    collector c;
    auto s = trace::scan_text(text + end, c);
    REQUIRE(s.has_value());
    CHECK(!s->partial());
    CHECK(s->events == 2);
    auto t = trace::read_text(text + end, {.threads = 2, .chunk = 64});
    REQUIRE(t.has_value());
    CHECK(!t->partial());
  }
  struct {} none;
  CHECK(!trace::scan_text(text, none, {.strict = true}).has_value());
  collector c;
  auto s = trace::scan_text(text.substr(0, text.size() - 3), c);
  REQUIRE(s.has_value());
  CHECK(s->partial());
}
