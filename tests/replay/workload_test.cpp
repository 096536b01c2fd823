// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <hotpath/core/random.hpp>
#include <hotpath/replay/feeder.hpp>
#include <hotpath/replay/workload.hpp>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>
#include "support/data.hpp"

using namespace hotpath;
using namespace std::string_literals;
using replay::workload;
using replay::workload_item;
using replay::workload_options;

namespace {

// A folder of its own, gone with the test.
struct folder {
  std::string path = "/tmp/hotpath-workload-XXXXXX";
  folder() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    REQUIRE(::chmod(path.c_str(), 0711) == 0);
  }
  ~folder() {
    for (const std::string& f : files) ::unlink(f.c_str());
    ::rmdir(path.c_str());
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  std::string name(const std::string& file) {
    files.push_back(path + "/" + file);
    return files.back();
  }
  std::string file(const std::string& content, const std::string& file_name = "load.jsonl") {
    const std::string to = name(file_name);
    std::ofstream(to, std::ios::binary) << content;
    return to;
  }
  std::vector<std::string> files;
};

struct pass {
  std::vector<workload_item> items;
  std::optional<error> failed;
};
pass read(workload& w) {
  pass p;
  for (workload_item item;;) {
    auto more = w.next(item);
    if (!more) p.failed = more.error();
    if (!more || !*more) return p;
    CHECK(item.row == p.items.size());
    p.items.push_back(item);
  }
}

struct loaded {
  folder where;
  result<workload> w;
  pass first;
  explicit loaded(const std::string& content, const workload_options& o = {}) : w(workload::open(where.file(content), o)) {
    if (w) first = read(*w);
    else first.failed = w.error();
  }
  const std::vector<workload_item>& items() const { return first.items; }
  std::string problem(std::size_t i = 0) const {  // without the path before it
    // No assertion: this is called inside of others.
    return w && i < w->problems().size() ? w->problems()[i].substr(where.path.size() + 1) : "(no problem was told)";
  }
};

std::string text_of(const workload_item& item) { return nlohmann::json::parse(item.prompt_json).get<std::string>(); }

// A sanitizer keeps freed memory: figures of resident memory say nothing about us then.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool memory_tells = false;
#else
constexpr bool memory_tells = true;
#endif

std::size_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::size_t size = 0, resident = 0;
  in >> size >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("replay: a JSON lines file gives its requests, byte for byte") {
  const std::string prompt = R"("caf\u00e9 \ud83d\ude00 \"q\" \\ \/ \n\t 中")";
  loaded l("{\"prompt\":" + prompt + R"(,"max_tokens":7, "temperature" : 0.20,"stop":["a","b"],"id":"r1","stream":false,"stream_options":{},"model":"m2"})" + "\n" +
           R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"data:x"}}]}],"max_completion_tokens":9})" + "\n" +
           R"( {"prompt": [1, 22,  333] , "output_tokens": 3, "custom_id": 17})" + "\n" +
           R"({"prompt":["one"]})" + "\n" + R"({"prompt":[[4,5]],"max_tokens":null,"request_id":null})" + "\n",
           {.keep_text = true});
  REQUIRE(l.items().size() == 5);
  CHECK_FALSE(l.first.failed);
  CHECK_FALSE(l.w->lost());
  CHECK(l.w->rows() == 5u);
  CHECK(l.w->prompt_lengths() == "as given");
  CHECK(l.w->description() == l.where.path + "/load.jsonl");
  const auto& i = l.items();
  CHECK(i[0].prompt_json == prompt);
  CHECK_FALSE(i[0].chat);
  CHECK(i[0].max_tokens == 7);
  CHECK(i[0].extra_json == R"(,"temperature":0.20,"stop":["a","b"],"model":"m2")");
  CHECK(i[0].given_id == "r1");
  CHECK(i[0].prompt_text == nlohmann::json::parse(prompt).get<std::string>());
  CHECK(i[0].prompt_bytes == i[0].prompt_text.size());
  CHECK_FALSE(i[0].prompt_tokens_planned);
  CHECK(i[1].chat);
  CHECK(i[1].max_tokens == 9);
  CHECK(nlohmann::json::parse(i[1].prompt_json)[1]["content"][1]["image_url"]["url"] == "data:x");
  CHECK(i[1].prompt_text == "be brief\nhi");
  CHECK(i[1].prompt_bytes == 10);
  CHECK(i[1].extra_json.empty());
  CHECK(i[1].given_id.empty());
  CHECK(i[2].prompt_json == "[1, 22,  333]");
  CHECK(i[2].prompt_tokens_planned == 3);
  CHECK(i[2].prompt_bytes == 0);
  CHECK(i[2].max_tokens == 3);
  CHECK(i[2].given_id == "17");
  CHECK(i[3].prompt_json == "[\"one\"]");
  CHECK(i[3].prompt_text == "one");
  CHECK(i[3].max_tokens == 256);
  CHECK(i[4].prompt_tokens_planned == 2);
  CHECK(i[4].max_tokens == 256);
}

TEST_CASE("replay: a line that is no request is counted and told with its place and reason") {
  const struct { const char *line, *where, *why; } bad[] = {
      {"plain text", "1:1", "want a value"},
      {"\"just a string\"", "1:1", "not a JSON object"},
      {"{\"prompt\":\"abc", "1:11", "no end"},
      {"{\"prompt\":\"a\",}", "1:15", "want a name"},
      {"{\"prompt\":\"a\"} x", "1:16", "nothing more"},
      {"{\"prompt\":\"\xff\"}", "1:12", "UTF-8"},
      {"{\"max_tokens\":5}", "1:1", "neither \"prompt\" nor \"messages\""},
      {"{\"text\":\"a\"}", "1:1", "neither"},
      {"{\"prompt\":\"a\",\"messages\":[]}", "1:26", "both"},
      {"{\"prompt\":null}", "1:11", "is null, want a string"},
      {"{\"prompt\":5}", "1:11", "is 5, want"},
      {"{\"prompt\":{}}", "1:11", "is {}, want"},
      {"{\"prompt\":[1,\"a\"]}", "1:11", "want a string or an array of token ids"},
      {"{\"prompt\":[1,-2]}", "1:11", "token ids"},
      {"{\"prompt\":[1,2.5]}", "1:11", "token ids"},
      {"{\"prompt\":[3000000000]}", "1:11", "token ids"},
      {"{\"prompt\":[null]}", "1:11", "token ids"},
      {"{\"prompt\":[[1],[2]]}", "1:11", "has 2 prompts, want one per line"},
      {"{\"prompt\":[\"a\",\"b\",\"c\"]}", "1:11", "has 3 prompts"},
      {"{\"messages\":\"hi\"}", "1:13", "is \"hi\", want an array of objects"},
      {"{\"messages\":[\"hi\"]}", "1:13", "want an array of objects"},
      {"{\"prompt\":\"a\",\"id\":{\"x\":1}}", "1:20", "the id is {\"x\":1}"},
      {"{\"prompt\":\"a\",\"id\":1.5}", "1:20", "the id is 1.5"},
      {"{\"custom_id\":\"a\",\"body\":{\"prompt\":\"x\"}}", "1:1", "inside \"body\""},
      {"{\"conversations\":[]}", "1:18", "no text from \"human\""},
      {"{\"conversations\":[{\"from\":\"gpt\",\"value\":\"x\"}]}", "1:18", "no text from \"human\""},
      {"{\"conversations\":[{\"from\":\"human\",\"value\":5}]}", "1:18", "no text from \"human\""},
      {"{\"conversations\":7}", "1:18", "no text from \"human\""},
  };
  for (const auto& b : bad) {
    CAPTURE(std::string(b.line));
    loaded l(b.line + "\n{\"prompt\":\"good\"}\n"s);
    REQUIRE(l.items().size() == 1);
    CHECK(text_of(l.items()[0]) == "good");
    CHECK(l.w->lost().malformed == 1);
    CHECK(l.w->lost().total() == 1);
    CHECK_MESSAGE(l.problem().starts_with("load.jsonl:"s + b.where + ": "), l.problem());
    CHECK_MESSAGE(l.problem().find(b.why) != std::string::npos, l.problem());
    CHECK(l.problem().find('\n') == std::string::npos);
  }
}

TEST_CASE("replay: nothing of a bad or skipped line reaches the next request") {
  for (const char* before : {R"({"prompt":"x","id":"old","top_k":5,"max_tokens":7,"more":})", R"({"top_k":5,"id":"old","prompt":[1,2],"messages":[]})",
                             R"({"top_k":5,"id":"old","max_tokens":7,"messages":[{"content":"text"},3]})", R"({"prompt":"","id":"old","top_k":5,"max_tokens":7})",
                             R"({"prompt":[],"id":"old"})", R"({"messages":[],"id":"old"})"}) {
    CAPTURE(std::string(before));
    loaded l(before + "\n{\"prompt\":\"b\",\"seed\":1}\n"s, {.skip_empty = true, .keep_text = true});
    REQUIRE(l.items().size() == 1);
    const workload_item& i = l.items()[0];
    CHECK_FALSE(i.chat);
    CHECK(i.prompt_json == "\"b\"");
    CHECK(i.extra_json == ",\"seed\":1");
    CHECK(i.max_tokens == 256);
    CHECK(i.given_id.empty());
    CHECK_FALSE(i.prompt_tokens_planned);
    CHECK(i.prompt_bytes == 1);
    CHECK(i.prompt_text == "b");
  }
}

TEST_CASE("replay: what the API cannot take is malformed, and a text becomes a message where chat is asked for") {
  const std::string all = R"({"prompt":"hi \"you\""})" "\n" R"({"prompt":["one"]})" "\n" R"({"prompt":[1,2]})" "\n" R"({"messages":[{"role":"user","content":"m"}]})" "\n";
  loaded chat(all, {.chat = true});
  REQUIRE(chat.items().size() == 3);
  CHECK(chat.items()[0].prompt_json == R"([{"role":"user","content":"hi \"you\""}])");
  CHECK(chat.items()[1].prompt_json == R"([{"role":"user","content":"one"}])");
  CHECK(chat.items()[0].chat);
  CHECK(chat.problem().find("3:11: token ids cannot be sent to the chat API") != std::string::npos);
  loaded completions(all, {.chat = false});
  CHECK(completions.items().size() == 3);
  CHECK(completions.problem().find("4:13: \"messages\" cannot be sent to the completions API") != std::string::npos);
}

TEST_CASE("replay: a ShareGPT line gives its first human turn") {
  loaded l(R"({"id":"s1","conversations":[{"from":"system","value":"sys"},{"from":"human","value":"a\nb"},{"from":"gpt","value":"x"},{"from":"human","value":"y"}]})" "\n"
           R"({"conversations":[{"role":"user","content":"c"}]})" "\n", {.keep_text = true});
  REQUIRE(l.items().size() == 2);
  CHECK(l.items()[0].prompt_text == "a\nb");
  CHECK(l.items()[0].given_id == "s1");
  CHECK(l.items()[0].max_tokens == 256);
  CHECK(l.items()[1].prompt_text == "c");
  // The published file is one array: said at once, not line by line.
  folder f;
  auto w = workload::open(f.file("\xEF\xBB\xBF\n  [\n {\"conversations\":[]}\n]\n"));
  REQUIRE_FALSE(w);
  CHECK(w.error().message().find("one JSON array, want JSON lines") != std::string::npos);
}

TEST_CASE("replay: F-TRF-01 an empty file has nothing to send") {
  folder f;
  auto w = workload::open(f.file(""));
  REQUIRE_FALSE(w);
  CHECK(w.error().code == errc::empty);
  CHECK(w.error().message().find("nothing to send") != std::string::npos);
}

TEST_CASE("replay: F-TRF-02 blank lines and comments alone are nothing to send") {
  for (const char* content : {"\n\n\n", " \t \n\r\n  ", "# a comment\n\n  # another", "\xEF\xBB\xBF", "\xEF\xBB\xBF\n"}) {
    loaded l(content);
    CHECK(l.items().empty());
    REQUIRE(l.first.failed);
    CHECK(l.first.failed->code == errc::empty);
    CHECK(l.first.failed->message().find("nothing to send") != std::string::npos);
    CHECK_FALSE(l.w->lost());
  }
  loaded bad("{}\nx\n");  // bad lines alone are nothing to send too, and the first one is told
  REQUIRE(bad.first.failed);
  CHECK(bad.first.failed->code == errc::empty);
  CHECK(bad.first.failed->message().find("2 are bad; the first: " + bad.w->problems()[0]) != std::string::npos);
}

TEST_CASE("replay: F-TRF-03 a byte order mark is skipped") {
  loaded l("\xEF\xBB\xBF{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n");
  REQUIRE(l.items().size() == 2);
  CHECK(text_of(l.items()[0]) == "a");
  REQUIRE(l.w->rewind());
  CHECK(read(*l.w).items.size() == 2);
  for (const char* first : {"\n", "# a comment\n", " \n"}) {  // before what is no JSON as well
    loaded skipped("\xEF\xBB\xBF"s + first + "{\"prompt\":\"a\"}\n");
    CHECK(skipped.items().size() == 1);
    CHECK_FALSE(skipped.w->lost());
  }
}

TEST_CASE("replay: F-TRF-04 UTF-16 is an error that names the encoding") {
  const struct { std::string bytes; const char* name; } files[] = {
      {"\xFF\xFE{\0\"\0"s, "UTF-16 (little endian)"}, {"\xFE\xFF\0{\0\""s, "UTF-16 (big endian)"},
      {"{\0\"\0p\0"s, "UTF-16 (little endian)"},      {"\0{\0\""s, "UTF-16 (big endian)"},
      {"\xFF\xFE\0\0{\0\0\0"s, "UTF-32 (little endian)"}, {"\0\0\xFE\xFF\0\0\0{"s, "UTF-32 (big endian)"}};
  for (const auto& f : files) {
    folder where;
    auto w = workload::open(where.file(f.bytes));
    REQUIRE_FALSE(w);
    CHECK(w.error().code == errc::unsupported);
    CHECK(w.error().message().find(f.name) != std::string::npos);
    CHECK(w.error().message().find("iconv") != std::string::npos);
  }
}

TEST_CASE("replay: F-TRF-05 CRLF line ends are accepted") {
  loaded l("{\"prompt\":\"a\"}\r\n\r\n# c\r\n{\"prompt\":\"b\"}\r\n");
  CHECK(l.items().size() == 2);
  CHECK_FALSE(l.w->lost());
}

TEST_CASE("replay: F-TRF-06 the last line needs no line end") {
  for (const char* end : {"", "\r", "\n", "\n\n"}) {
    loaded l("{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}"s + end);
    REQUIRE(l.items().size() == 2);
    CHECK(text_of(l.items()[1]) == "b");
    CHECK_FALSE(l.w->lost());
  }
}

TEST_CASE("replay: F-TRF-07 one bad line among a million is told by file, line and column") {
  const std::size_t lines = 1'000'000, bad = 765'432;
  std::string content;
  content.reserve(lines * 16);
  for (std::size_t i = 1; i <= lines; ++i) content += i == bad ? "{\"prompt\":\"a\",\"max_tokens\":nope}\n" : "{\"prompt\":\"a\"}\n";
  folder f;
  const std::string path = f.file(content);
  workload_item item;
  for (const bool strict : {false, true}) {
    auto w = workload::open(path, {.strict = strict});
    REQUIRE(w);
    std::size_t n = 0;
    std::optional<error> failed;
    for (;;) {
      auto more = w->next(item);
      if (!more) failed = more.error();
      if (!more || !*more) break;
      ++n;
    }
    const std::string want = path + ":765432:28: ";
    if (strict) {
      CHECK(n == bad - 1);
      REQUIRE(failed);
      CHECK(failed->code == errc::malformed);
      CHECK_MESSAGE(failed->message().starts_with(want), failed->message());
    } else {
      CHECK(n == lines - 1);
      CHECK_FALSE(failed);
      CHECK(w->lost().malformed == 1);
      REQUIRE(w->problems().size() == 1);
      CHECK_MESSAGE(w->problems()[0].starts_with(want), w->problems()[0]);
    }
  }
}

TEST_CASE("replay: problems are counted once and at most 10 are told, over all passes") {
  std::string content;
  for (int i = 0; i < 25; ++i) content += "bad\n{\"prompt\":\"a\"}\n";
  loaded l(content);
  CHECK(l.items().size() == 25);
  REQUIRE(l.w->rewind());
  CHECK(read(*l.w).items.size() == 25);
  CHECK(l.w->lost().malformed == 25);
  CHECK(l.w->problems().size() == 10);
  CHECK(l.problem(9).starts_with("load.jsonl:19:1: "));
}

TEST_CASE("replay: F-TRF-08 a line over the limit is counted with its number, and reading goes on after it") {
  const auto check = [](std::size_t limit, std::size_t length) {
    const std::size_t before = resident_bytes();
    folder f;
    const std::string path = f.name("load.jsonl");
    {
      std::ofstream out(path, std::ios::binary);
      out << "{\"prompt\":\"first\"}\n{\"prompt\":\"";
      const std::string block(1 << 20, 'x');
      for (std::size_t n = 0; n < length; n += block.size()) out << block.substr(0, std::min(block.size(), length - n));
      out << "\"}\n{\"prompt\":\"third\"}\n";
    }
    auto w = workload::open(path, {.line_limit = limit});
    REQUIRE(w);
    const pass p = read(*w);
    REQUIRE(p.items.size() == 2);
    CHECK(text_of(p.items[1]) == "third");
    CHECK(w->lost().over_limit == 1);
    CHECK(w->lost().total() == 1);
    REQUIRE(w->problems().size() == 1);
    CHECK(w->problems()[0] == path + ":2: the line is longer than " + std::to_string(limit) + " bytes");
    if (memory_tells) CHECK(resident_bytes() <= before + 2 * limit + (8 << 20));
    auto strict = workload::open(path, {.strict = true, .line_limit = limit});
    REQUIRE(strict);
    const pass s = read(*strict);
    CHECK(s.items.size() == 1);
    REQUIRE(s.failed);
    CHECK(s.failed->code == errc::over_limit);
  };
  check(1 << 20, (1 << 20) + 1);
  check(workload_options{}.line_limit, std::size_t{65} << 20);
  // A string of 16 MiB is the limit of JSON strings: the same class, the same going on.
  loaded l("{\"prompt\":\"" + std::string((16 << 20) + 1, 'x') + "\"}\n{\"prompt\":\"" + std::string(16 << 20, 'y') + "\"}\n");
  REQUIRE(l.items().size() == 1);
  CHECK(l.items()[0].prompt_bytes == 16 << 20);
  CHECK(l.w->lost().over_limit == 1);
  // Exactly at the limit is within it, with either line end, at the file's end too.
  for (const char* end : {"\n", "\r\n", ""}) {
    loaded exact("{\"prompt\":\"" + std::string(100 - 13, 'x') + "\"}" + end, {.line_limit = 100 + std::size_t{end[0] == '\r'}});
    CHECK(exact.items().size() == 1);
  }
}

TEST_CASE("replay: F-TRF-09 an empty prompt is sent and counted, or skipped and counted") {
  const std::string content = R"({"prompt":""})" "\n" R"({"prompt":[]})" "\n" R"({"messages":[]})" "\n" R"({"prompt":"a","id":"x"})" "\n" R"({"prompt":[""],"id":"x"})" "\n";
  loaded kept(content);
  CHECK(kept.items().size() == 5);
  CHECK(kept.items()[0].prompt_json == "\"\"");
  CHECK(kept.w->empty_prompts() == 4);
  CHECK_FALSE(kept.w->lost());
  loaded skipped(content, {.skip_empty = true});
  REQUIRE(skipped.items().size() == 1);
  CHECK(text_of(skipped.items()[0]) == "a");
  CHECK(skipped.w->empty_prompts() == 4);
  CHECK(skipped.w->duplicate_ids() == 0);
}

TEST_CASE("replay: F-TRF-10 max_tokens that is no whole number from 1 is malformed, and the value is shown") {
  for (const char* value : {"0", "-5", "1000000000", "1e9", "\"128\"", "12.5", "128.0", "1e2", "true", "[]", "{}", "99999999999999999999", "10000001"}) {
    for (const char* key : {"max_tokens", "max_completion_tokens", "output_tokens"}) {
      CAPTURE(value);
      loaded l("{\"prompt\":\"a\",\""s + key + "\":" + value + "}\n{\"prompt\":\"b\"}\n");
      CHECK(l.items().size() == 1);
      CHECK(l.w->lost().malformed == 1);
      CHECK_MESSAGE(l.problem().find(key + " is "s + value + ", want a whole number from 1 to 10000000") != std::string::npos, l.problem());
    }
  }
  loaded l("{\"prompt\":\"a\",\"max_tokens\":1}\n{\"prompt\":\"a\",\"max_tokens\":10000000}\n{\"prompt\":\"a\"}\n", {.default_max_tokens = 33});
  REQUIRE(l.items().size() == 3);
  CHECK(l.items()[0].max_tokens == 1);
  CHECK(l.items()[1].max_tokens == 10'000'000);
  CHECK(l.items()[2].max_tokens == 33);
}

TEST_CASE("replay: F-TRF-11 unknown fields go into the request, or are left out by option") {
  const std::string line = R"({"x\"y":{"b":[1,2,{"c":null}]},"prompt":"a","top_p":1E-1,"prompt ":"no","seed":18446744073709551615})" "\n";
  loaded kept(line);
  REQUIRE(kept.items().size() == 1);
  CHECK(kept.items()[0].extra_json == R"(,"x\"y":{"b":[1,2,{"c":null}]},"top_p":1E-1,"prompt ":"no","seed":18446744073709551615)");
  loaded left_out(line, {.forward_unknown = false});
  REQUIRE(left_out.items().size() == 1);
  CHECK(left_out.items()[0].extra_json.empty());
}

TEST_CASE("replay: F-TRF-12 duplicate ids are counted, each request has an id of its own, and the given id is kept beside") {
  folder f;
  auto w = workload::open(f.file(R"({"prompt":"a","id":"x"})" "\n" R"({"prompt":"b","id":"x"})" "\n" R"({"prompt":"c","request_id":"y"})" "\n"
                                 R"({"prompt":"d","custom_id":"x"})" "\n" R"({"prompt":"e"})" "\n"));
  REQUIRE(w);
  std::set<std::string> sent;
  std::string given;
  {
    replay::wire_options wire;
    wire.endpoint = *net::parse_url("http://127.0.0.1:1");
    wire.body.model = "m";
    wire.id_prefix = "run";
    wire.single_pass = true;
    replay::feeder source{*w, wire, [] {}};
    source.wait_ahead(5);
    for (std::uint64_t i = 0; i < 5; ++i) {
      replay::prepared p;
      REQUIRE(source.take(i, p) == replay::feeder::take_result::ready);
      CHECK(p.wire.find("X-Request-Id: " + p.record.id + "\r\n") != std::string::npos);
      sent.insert(p.record.id);
      given += p.record.given_id + ",";
    }
  }
  CHECK(sent.size() == 5);
  CHECK(given == "x,x,y,x,,");
  CHECK(w->duplicate_ids() == 2);
  CHECK_FALSE(w->lost());

  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "{\"prompt\":\"a\",\"id\":\"" + std::to_string(i % 15'000) + "\"}\n";
  loaded l(many);
  CHECK(l.items().size() == 20'000);
  CHECK(l.w->duplicate_ids() == 5'000);
  REQUIRE(l.w->rewind());
  read(*l.w);
  CHECK(l.w->duplicate_ids() == 5'000);  // a later pass repeats them by intent
}

TEST_CASE("replay: F-TRF-16 what is no plain file is one line of error, at once") {
  folder f;
  const std::string fifo = f.name("fifo"), loop = f.name("loop"), secret = f.file("{\"prompt\":\"a\"}\n", "secret");
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  REQUIRE(::symlink(loop.c_str(), loop.c_str()) == 0);
  const struct { std::string path; errc code; const char* why; } bad[] = {
      {f.path, errc::unreadable, "is a directory"},    {fifo, errc::unreadable, "is a pipe"},
      {"/dev/zero", errc::unreadable, "not a regular"}, {loop, errc::unreadable, "symbolic links"},
      {f.path + "/none", errc::not_found, "No such file"}, {secret + "/x", errc::not_found, "Not a directory"},
      {"", errc::not_found, "No such file"}};
  for (const auto& b : bad) {
    CAPTURE(b.path);
    auto w = workload::open(b.path);
    REQUIRE_FALSE(w);
    CHECK(w.error().code == b.code);
    CHECK_MESSAGE(w.error().message().find(b.why) != std::string::npos, w.error().message());
    CHECK(w.error().message().find('\n') == std::string::npos);
  }
  // Root may read anything: ask as somebody else.
  REQUIRE(::chmod(secret.c_str(), 0) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(9);
    auto w = workload::open(secret);
    ::_exit(!w && w.error().code == errc::unreadable && w.error().message().find("Permission denied") != std::string::npos ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

TEST_CASE("replay: F-TRF-16 a file that grows while it is read ends where it ended when it was opened") {
  std::string content;
  for (int i = 0; i < 20'000; ++i) content += "{\"prompt\":\"this line is there from the beginning\"}\n";
  folder f;
  const std::string path = f.file(content);
  auto w = workload::open(path);
  REQUIRE(w);
  std::ofstream grow(path, std::ios::binary | std::ios::app);
  std::uint64_t n = 0;
  for (workload_item item; n < 100'000; ++n) {
    auto more = w->next(item);
    REQUIRE(more);
    if (!*more) break;
    grow << content.substr(0, 51) << std::flush;
  }
  CHECK(n == 20'000);
  REQUIRE(w->rewind());
  CHECK(read(*w).items.size() == 20'000);
  CHECK_FALSE(w->lost());

  // One that became shorter is not silently less.
  auto shorter = workload::open(path);
  REQUIRE(shorter);
  REQUIRE(::truncate(path.c_str(), 51 * 10'000) == 0);
  const pass p = read(*shorter);
  CHECK(p.items.size() == 10'000);
  CHECK(shorter->lost().truncated == 1);
  REQUIRE(shorter->problems().size() == 1);
  CHECK(shorter->problems()[0].find("became shorter") != std::string::npos);
}

TEST_CASE("replay: F-TRF-17 compressed files are known by their first bytes, whatever their name") {
  const struct { std::string bytes; const char* why; } files[] = {
      {"\x1f\x8b\x08\0\0\0\0\0\0\x03"s, "gzip -dk"}, {"\x28\xb5\x2f\xfd\x04\x58"s, "zstd -dk"}, {"\xfd" "7zXZ\0\0"s, "xz -dk"},
      {"BZh91AY", "bzip2 -dk"}, {"PK\x03\x04..", "unzip"}, {"PAR1....", "Parquet"}};
  for (const auto& file : files) {
    for (const char* name : {"load.jsonl", "load.jsonl.gz", "load.zst"}) {
      folder f;
      auto w = workload::open(f.file(file.bytes, name));
      REQUIRE_FALSE(w);
      CHECK(w.error().code == errc::unsupported);
      CHECK_MESSAGE(w.error().message().find(file.why) != std::string::npos, w.error().message());
    }
  }
  folder f;
  auto w = workload::open(f.file("{\"prompt\":\"a\"}\n", "plain.jsonl.gz"));
  REQUIRE(w);
  CHECK(read(*w).items.size() == 1);
}

TEST_CASE("replay: F-TRF-18 a large file is streamed: memory does not grow with it") {
  const std::size_t small = std::size_t{16} << 20, large = hotpath_test::full() ? std::size_t{512} << 20 : std::size_t{64} << 20;
  const auto most_resident = [](std::size_t bytes) {
    folder f;
    const std::string path = f.name("load.jsonl");
    std::uint64_t lines = 0;
    {
      std::ofstream out(path, std::ios::binary);
      const std::string text(1'000, 'x');
      for (std::size_t n = 0; n < bytes; ++lines) {
        const std::string line = "{\"prompt\":\"" + text + "\",\"max_tokens\":16,\"temperature\":0.5}\n";
        out << line;
        n += line.size();
      }
    }
    auto w = workload::open(path);
    REQUIRE(w);
    std::size_t most = 0;
    std::uint64_t n = 0;
    for (workload_item item;; ++n) {
      if (n % 1024 == 0) most = std::max(most, resident_bytes());
      auto more = w->next(item);
      REQUIRE(more);
      if (!*more) break;
    }
    CHECK(n == lines);
    return most;
  };
  most_resident(1 << 20);  // what is touched once is touched
  const std::size_t at_small = most_resident(small), at_large = most_resident(large);
  MESSAGE("resident at " << (small >> 20) << " MiB: " << (at_small >> 10) << " KiB, at " << (large >> 20) << " MiB: " << (at_large >> 10) << " KiB");
  if (memory_tells) CHECK(at_large <= at_small + (1 << 20));
}

TEST_CASE("replay: rows of an arrival trace become prompts of their lengths that share what their hash ids share") {
  // Blocks of 512 tokens: 1,300 tokens are three, the last not full. Rows 0 and 1 share two blocks, row 2 the same ids at other places.
  const std::string rows = R"({"timestamp": 0, "input_length": 1300, "output_length": 40, "hash_ids": [7, 8, 9]})" "\n"
                           R"({"timestamp": 3000, "input_length": 1100, "output_length": 0, "hash_ids": [7, 8, 10]})" "\n"
                           R"({"timestamp": 3000.5, "input_length": 1300, "output_length": 900, "hash_ids": [8, 7, 9]})" "\n"
                           R"({"input_length": 33, "hash_ids": [1, 2, 3], "lora": "a"})" "\n"
                           R"({"input_length": 20, "output_length": 5})" "\n";
  const auto ids_of = [](const workload_item& i) {
    std::vector<int> ids;
    json::reader in{i.prompt_json};
    std::int64_t id = 0;
    in.array([&] { in.integer(id), ids.push_back(static_cast<int>(id)); });
    CHECK(in.finish());
    return ids;
  };
  const auto shared = [](const std::vector<int>& a, const std::vector<int>& b) {
    return std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first - a.begin();
  };
  for (const double scale : {1.0, 0.125}) {
    loaded l(rows, {.prompt_ids = true, .input_scale = scale, .output_scale = 0.1});
    const auto items = l.items();
    REQUIRE(items.size() == 5);
    std::vector<std::vector<int>> ids;
    for (const auto& i : items) {
      ids.push_back(ids_of(i));
      CHECK(static_cast<std::int64_t>(ids.back().size()) == *i.prompt_tokens_planned);
    }
    const auto tokens = [&](double n) { return static_cast<std::ptrdiff_t>(n * scale + 0.5); };
    CHECK(static_cast<std::ptrdiff_t>(ids[0].size()) == tokens(1300));
    CHECK(static_cast<std::ptrdiff_t>(ids[1].size()) == tokens(1100));
    CHECK(shared(ids[0], ids[1]) >= tokens(1024));
    CHECK(shared(ids[0], ids[1]) <= tokens(1024) + 2);  // two random ids in 700 may be equal
    CHECK(shared(ids[0], ids[2]) <= 2);
    CHECK(static_cast<std::ptrdiff_t>(ids[3].size()) == tokens(33));  // blocks of 16
    CHECK(static_cast<std::ptrdiff_t>(ids[4].size()) == tokens(20));
    CHECK(*items[0].max_tokens == 4);
    CHECK(*items[1].max_tokens == 1);
    CHECK(*items[2].max_tokens == 90);
    CHECK(*items[3].max_tokens == 256);
    CHECK(items[0].arrived->ns == 0);
    CHECK(items[2].arrived->ns == 3'000'500'000);
    CHECK_FALSE(items[4].arrived);
    CHECK(items[3].extra_json == R"(,"lora":"a")");
    CHECK(items[0].extra_json == "");
    CHECK(l.w->prompt_lengths() == "token ids");

    // A later pass shares within itself and with no earlier one; the same prompts when asked for.
    REQUIRE(l.w->rewind());
    const auto again = read(*l.w).items;
    REQUIRE(again.size() == 5);
    CHECK(shared(ids_of(again[0]), ids_of(again[1])) >= tokens(1024));
    CHECK(shared(ids[0], ids_of(again[0])) <= 2);
    CHECK(l.w->unmarked() == 0);
  }
  {
    loaded l(rows, {.prompt_ids = true, .reuse_prompts = true});
    const auto first = l.items();
    REQUIRE(l.w->rewind());
    CHECK(read(*l.w).items[4].prompt_json == first[4].prompt_json);
  }
  loaded words(rows, {.chat = true, .keep_text = true});
  const auto items = words.items();
  REQUIRE(items.size() == 5);
  CHECK(items[0].chat);
  CHECK(std::count(items[0].prompt_text.begin(), items[0].prompt_text.end(), ' ') == 1299);
  CHECK(items[0].prompt_bytes == items[0].prompt_text.size());
  CHECK(items[0].prompt_json == R"([{"role":"user","content":")" + items[0].prompt_text + "\"}]");
  CHECK(words.w->prompt_lengths() == "words (approximate)");
}

TEST_CASE("replay: a row of an arrival trace that makes no sense is counted with its place") {
  loaded l(R"({"input_length": -1})" "\n" R"({"input_length": 10000001})" "\n" R"({"input_length": "9"})" "\n" R"({"input_length": 9, "hash_ids": [1, "2"]})" "\n"
           R"({"input_length": 9, "hash_ids": 4})" "\n" R"({"input_length": 9, "timestamp": -1})" "\n" R"({"input_length": 9, "output_length": 1e99})" "\n"
           R"({"prompt": "x", "timestamp": "noon"})" "\n" R"({"prompt": "x", "timestamp": 5})" "\n");
  const auto items = l.items();
  REQUIRE(items.size() == 1);
  CHECK(items[0].arrived->ns == 5'000'000);
  CHECK(items[0].extra_json == "");
  CHECK(l.w->lost().malformed == 8);
  CHECK(l.problem(3) == "load.jsonl:4:33: hash_ids is [1, \"2\"], want an array of whole numbers");
}

TEST_CASE("replay: a published arrival trace of 12,031 rows keeps its lengths, arrivals and shared prefixes") {
  const auto path = hotpath_test::data_or_skip("traffic/mooncake_conversation_trace.jsonl");
  if (!path) return;
  // Against the rows as nlohmann reads them: lengths, stamps, and for each pair of neighbours how much they share.
  auto w = workload::open(*path, {.prompt_ids = true, .input_scale = 1.0 / 32});
  REQUIRE(w);
  std::ifstream in(*path);
  std::string line, last_prompt;
  nlohmann::json last;
  workload_item item;
  std::size_t rows = 0, sharing = 0;
  while (std::getline(in, line)) {
    const auto row = nlohmann::json::parse(line);
    REQUIRE(*w->next(item));
    REQUIRE(item.arrived->ns == row["timestamp"].get<std::int64_t>() * 1'000'000);
    REQUIRE(*item.max_tokens == std::max<std::int64_t>(1, row["output_length"].get<std::int64_t>()));
    const auto tokens = std::max<std::int64_t>(1, static_cast<std::int64_t>(row["input_length"].get<double>() / 32 + 0.5));
    REQUIRE(*item.prompt_tokens_planned == tokens);
    REQUIRE(static_cast<std::int64_t>(item.prompt_json.size()) == 4 * tokens + 1);  // "[300,301]"
    if (rows != 0) {
      std::size_t blocks = 0;
      while (blocks < row["hash_ids"].size() && blocks < last["hash_ids"].size() && row["hash_ids"][blocks] == last["hash_ids"][blocks]) ++blocks;
      const std::size_t same = std::min({blocks * 16, static_cast<std::size_t>(tokens), last_prompt.size() / 4});
      REQUIRE(item.prompt_json.compare(1, 4 * same, last_prompt, 1, 4 * same) == 0);
      sharing += blocks != 0;
    }
    last = row, last_prompt = item.prompt_json;
    if (last_prompt.back() == ']') last_prompt.back() = ',';
    item.prompt_json.clear();
    ++rows;
  }
  CHECK_FALSE(*w->next(item));
  CHECK(rows == 12031);
  CHECK(sharing > 100);
  CHECK(w->lost().total() == 0);
}

TEST_CASE("replay: from the second pass on each prompt begins differently, and says the same behind") {
  const std::string content = R"({"prompt":"same \"text\""})" "\n" R"({"prompt":["same"]})" "\n" R"({"prompt":[5,6,7,8,9,10,11,12,13]})" "\n"
                              R"({"prompt":[[5,6]]})" "\n" R"({"messages":[{"role":"system","content":null},{"role":"user","content":"hi"},{"role":"user","content":"two"}]})" "\n"
                              R"({"messages":[{"content":[{"type":"image_url"},{"type":"text","text":"part"}],"role":"user"}]})" "\n"
                              R"({"messages":[{"role":"user","content":null}]})" "\n";
  loaded l(content, {.seed = 3, .keep_text = true});
  REQUIRE(l.items().size() == 7);
  std::set<std::string> marks;
  for (std::uint32_t k = 1; k <= 50; ++k) {
    REQUIRE(l.w->rewind());
    const pass p = read(*l.w);
    REQUIRE(p.items.size() == 7);
    const auto parsed = [&](std::size_t i) { return nlohmann::json::parse(p.items[i].prompt_json); };
    const auto mark_of = [&](const std::string& marked, const std::string& text) {
      REQUIRE(marked.size() == text.size() + 17);
      CHECK(marked.substr(17) == text);
      CHECK(marked.find_first_not_of("0123456789abcdef") == 16);
      CHECK(marks.insert(marked.substr(0, 17)).second);
    };
    CHECK(p.items[0].pass == k);
    mark_of(parsed(0).get<std::string>(), "same \"text\"");
    CHECK(p.items[0].prompt_text == parsed(0).get<std::string>());
    CHECK(p.items[0].prompt_bytes == p.items[0].prompt_text.size());
    mark_of(parsed(1)[0].get<std::string>(), "same");
    const auto ids = parsed(2).get<std::vector<int>>();
    REQUIRE(ids.size() == 9);
    CHECK(std::vector<int>(ids.begin() + 7, ids.end()) == std::vector<int>{12, 13});
    for (std::size_t i = 0; i < 7; ++i) CHECK((ids[i] >= 300 && ids[i] < 1000));
    CHECK(marks.insert(nlohmann::json(ids).dump()).second);
    CHECK(parsed(3)[0].size() == 2);
    mark_of(parsed(4)[1]["content"].get<std::string>(), "hi");
    CHECK(parsed(4)[2]["content"] == "two");
    mark_of(parsed(5)[0]["content"][1]["text"].get<std::string>(), "part");
    CHECK(p.items[6].prompt_json == l.items()[6].prompt_json);  // nothing to mark, and said so
  }
  CHECK(l.w->unmarked() == 50);

  loaded reused(content, {.reuse_prompts = true});
  REQUIRE(reused.w->rewind());
  const pass again = read(*reused.w);
  for (std::size_t i = 0; i < 7; ++i) CHECK(again.items[i].prompt_json == reused.items()[i].prompt_json);

  loaded chat(R"({"prompt":"x"})", {.chat = true});
  REQUIRE(chat.w->rewind());
  CHECK(nlohmann::json::parse(read(*chat.w).items[0].prompt_json)[0]["content"].get<std::string>().substr(16) == " x");
}

TEST_CASE("replay: synthetic token ids: exactly as many as asked, in the range every vocabulary has, each request its own") {
  auto w = workload::open("synthetic:input=512,output=64,requests=300,seed=9", {.prompt_ids = true});
  REQUIRE(w);
  CHECK(w->description() == "synthetic:input=512,output=64,requests=300,dist=constant,seed=9");
  CHECK(w->prompt_lengths() == "token ids");
  CHECK(w->rows() == 300u);
  std::set<std::string> seen;
  std::vector<std::string> first;
  for (int k = 0; k < 2; ++k) {
    const pass p = read(*w);
    REQUIRE(p.items.size() == 300);
    for (const workload_item& i : p.items) {
      const auto ids = nlohmann::json::parse(i.prompt_json).get<std::vector<int>>();
      REQUIRE(ids.size() == 512);
      for (int id : ids) REQUIRE((id >= 300 && id < 1000));
      CHECK(seen.insert(nlohmann::json(std::vector<int>(ids.begin(), ids.begin() + 16)).dump()).second);  // the first KV block
      CHECK(i.prompt_tokens_planned == 512);
      CHECK(i.max_tokens == 64);
      CHECK(i.prompt_bytes == 0);
      CHECK_FALSE(i.chat);
      first.push_back(i.prompt_json);
    }
    REQUIRE(w->rewind());
  }
  // The same description and seed: the same bytes. Another seed: others.
  auto again = workload::open("synthetic:seed=9,output=64,input=512", {.seed = 1, .prompt_ids = true});
  auto other = workload::open("synthetic:input=512,output=64,seed=10", {.prompt_ids = true});
  REQUIRE(again);
  REQUIRE(other);
  CHECK(again->endless());
  CHECK_FALSE(again->rows());
  workload_item a, b;
  for (std::size_t i = 0; i < 600; ++i) {
    REQUIRE(again->next(a));
    REQUIRE(other->next(b));
    CHECK(a.prompt_json == first[i]);
    CHECK(b.prompt_json != first[i]);
  }
}

TEST_CASE("replay: synthetic words are as many as asked, labelled approximate, for both APIs") {
  for (const bool chat : {false, true}) {
    auto w = workload::open("synthetic:input=20,output=5,requests=50", {.seed = 4, .chat = chat, .keep_text = true});
    REQUIRE(w);
    CHECK(w->prompt_lengths() == "words (approximate)");
    std::set<std::string> seen;
    for (const workload_item& i : read(*w).items) {
      CHECK(i.chat == chat);
      const auto j = nlohmann::json::parse(i.prompt_json);
      const std::string text = chat ? j[0]["content"].get<std::string>() : j.get<std::string>();
      CHECK(text == i.prompt_text);
      CHECK(text.size() == i.prompt_bytes);
      CHECK(std::count(text.begin(), text.end(), ' ') == 19);
      CHECK(i.prompt_tokens_planned == 20);
      CHECK(seen.insert(text).second);
    }
    CHECK(seen.size() == 50);
  }
}

TEST_CASE("replay: reused synthetic prompts are the same per length, in every pass") {
  auto w = workload::open("synthetic:input=40,requests=200,dist=uniform", {.prompt_ids = true, .reuse_prompts = true});
  REQUIRE(w);
  CHECK(w->reuses_prompts());
  std::vector<std::string> by_length(100);
  for (int k = 0; k < 2; ++k) {
    for (const workload_item& i : read(*w).items) {
      std::string& one = by_length[static_cast<std::size_t>(*i.prompt_tokens_planned)];
      if (one.empty()) one = i.prompt_json;
      CHECK(i.prompt_json == one);
    }
    REQUIRE(w->rewind());
  }
  CHECK(std::count(by_length.begin(), by_length.end(), "") < 100 - 30);
}

TEST_CASE("replay: synthetic lengths keep their mean and their range") {
  const auto lengths = [](const std::string& dist, bool input) {
    auto w = workload::open("synthetic:input=" + std::to_string(input ? 100 : 1) + ",output=" + std::to_string(input ? 1 : 100) + ",requests=20000,seed=2,dist=" + dist);
    REQUIRE(w);
    std::vector<double> out;
    for (workload_item item; *w->next(item);) out.push_back(static_cast<double>(input ? *item.prompt_tokens_planned : *item.max_tokens));
    REQUIRE(out.size() == 20'000);
    std::sort(out.begin(), out.end());
    return out;
  };
  const auto mean = [](const std::vector<double>& v) {
    double sum = 0;
    for (double x : v) sum += x;
    return sum / static_cast<double>(v.size());
  };
  for (const bool input : {true, false}) {
    const auto constant = lengths("constant", input);
    CHECK(constant.front() == 100);
    CHECK(constant.back() == 100);
    const auto uniform = lengths("uniform", input);
    CHECK(uniform.front() == 50);
    CHECK(uniform.back() == 150);
    CHECK(mean(uniform) == doctest::Approx(100).epsilon(0.01));          // standard error 0.2
    const auto lognormal = lengths("lognormal", input);
    CHECK(lognormal.front() >= 1);
    CHECK(lognormal.back() <= 800);
    CHECK(mean(lognormal) == doctest::Approx(100).epsilon(0.015));       // standard error 0.38
    // Median exp(-sigma^2/2) = 0.882 and p99 exp(2.326 sigma - sigma^2/2) = 2.82 times the mean, sigma 0.5.
    CHECK(lognormal[10'000] == doctest::Approx(88.2).epsilon(0.03));
    CHECK(lognormal[19'800] == doctest::Approx(282).epsilon(0.06));
  }
  auto one = workload::open("synthetic:input=1,output=1,requests=1000,dist=uniform");
  for (const workload_item& i : read(*one).items) CHECK((i.prompt_tokens_planned == 1 && i.max_tokens == 1));
}

TEST_CASE("replay: a synthetic description that makes no sense is refused with its key and value") {
  const struct { const char *text, *why; } bad[] = {
      {"synthetic:input=a", "input: \"a\""},         {"synthetic:input=", "input: \"\""},          {"synthetic:input", "input: \"\""},
      {"synthetic:input=0", "input: \"0\""},         {"synthetic:input=-1", "input: \"-1\""},      {"synthetic:input=1000001", "1 to 1000000"},
      {"synthetic:input=1.5", "input: \"1.5\""},     {"synthetic:output=0", "output: \"0\""},      {"synthetic:requests=0", "requests: \"0\""},
      {"synthetic:inputs=5", "key \"inputs\""},      {"synthetic:input=5,,output=5", "key \"\""},  {"synthetic:dist=normal", "dist: \"normal\""},
      {"synthetic:dist", "dist: \"\""},              {"synthetic:seed=x", "seed: \"x\""},          {"synthetic:input=5,input=6", "input appears twice"},
      {"synthetic:seed=18446744073709551616", "seed"}, {"synthetic:input=5 ,output=5", "input: \"5 \""}, {"synthetic:\x1b[31m=1", "key \""},
  };
  for (const auto& b : bad) {
    CAPTURE(std::string(b.text));
    auto w = workload::open(b.text);
    REQUIRE_FALSE(w);
    CHECK(w.error().code == errc::usage);
    const std::string m = w.error().message();
    CHECK_MESSAGE(m.find(b.why) != std::string::npos, m);
    CHECK(m.find('\x1b') == std::string::npos);
    CHECK(m.find("want synthetic:input=512") != std::string::npos);
  }
  CHECK_FALSE(workload::open("synthetic:", {.prompt_ids = true, .chat = true}));
  for (const char* text : {"synthetic", "synthetic:", "synthetic:seed=18446744073709551615", "synthetic:input=5,"}) CHECK(workload::open(text));
  CHECK(workload::open("synthetic")->description() == "synthetic:input=512,output=128,dist=constant,seed=0");
}

TEST_CASE("replay: what is written as JSON lines reads back as the same requests") {
  folder f;
  std::string text;
  auto source = workload::open("synthetic:input=30,output=20,requests=40,dist=lognormal,seed=5", {.prompt_ids = true});
  REQUIRE(source);
  const auto written = replay::write_jsonl(*source, [&](std::string_view line) { return text += line, true; });
  REQUIRE(written);
  CHECK(*written == 40);
  std::string more = R"({"messages":[{"role":"user","content":"m"}],"max_tokens":3,"top_k":5,"id":"a\n\"b"})" "\n" R"({"prompt":"\u0000"})" "\n";
  auto second = workload::open(f.file(more, "more.jsonl"));
  REQUIRE(second);
  REQUIRE(replay::write_jsonl(*second, [&](std::string_view line) { return text += line, true; }));
  auto back = workload::open(f.file(text));
  REQUIRE(back);
  const pass p = read(*back);
  REQUIRE(p.items.size() == 42);
  REQUIRE(source->rewind());
  auto fresh = workload::open("synthetic:input=30,output=20,requests=40,dist=lognormal,seed=5", {.prompt_ids = true});
  const pass q = read(*fresh);
  for (std::size_t i = 0; i < 40; ++i) {
    CHECK(p.items[i].prompt_json == q.items[i].prompt_json);
    CHECK(p.items[i].max_tokens == q.items[i].max_tokens);
    CHECK(p.items[i].prompt_tokens_planned == q.items[i].prompt_tokens_planned);
  }
  CHECK(p.items[40].given_id == "a\n\"b");
  CHECK(p.items[40].extra_json == ",\"top_k\":5");
  CHECK(p.items[41].prompt_json == R"("\u0000")");

  auto endless = workload::open("synthetic:");
  REQUIRE(endless);
  auto refused = replay::write_jsonl(*endless, [](std::string_view) { return true; });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("requests=N") != std::string::npos);
  std::uint64_t lines = 0;
  CHECK(*replay::write_jsonl(*endless, [&](std::string_view) { return ++lines, true; }, 7) == 7);
  CHECK(lines == 7);
  CHECK(*replay::write_jsonl(*endless, [&](std::string_view) { return ++lines < 10; }, 7) == 2);  // a reader that went away
  CHECK(lines == 10);
}

TEST_CASE("replay: the summary of a workload counts what it holds and what it lost") {
  folder f;
  auto w = workload::open(f.file(R"({"prompt":"12345678","max_tokens":10,"id":"x"})" "\n" R"({"prompt":[1,2,3],"max_tokens":20,"id":"x"})" "\n"
                                 R"({"messages":[{"content":"1234"}]})" "\n" "bad\n" R"({"prompt":""})" "\n"));
  REQUIRE(w);
  auto s = replay::summarize(*w);
  REQUIRE(s);
  CHECK(s->requests == 4);
  CHECK(s->chats == 1);
  CHECK(s->with_id == 2);
  CHECK(s->duplicate_ids == 1);
  CHECK(s->empty_prompts == 1);
  CHECK(s->lost.malformed == 1);
  CHECK(s->prompt_bytes.values.count() == 3);
  CHECK(s->prompt_bytes.values.max() == 8);
  CHECK(s->prompt_bytes.by_width[0] == 1);
  CHECK(s->prompt_bytes.by_width[3] == 1);
  CHECK(s->prompt_bytes.by_width[4] == 1);
  CHECK(s->prompt_tokens.values.count() == 1);
  CHECK(s->prompt_tokens.values.sum() == 3);
  CHECK(s->max_tokens.values.count() == 4);
  CHECK(s->max_tokens.values.sum() == 10 + 20 + 256 + 256);
  auto endless = workload::open("synthetic");
  CHECK_FALSE(replay::summarize(*endless));
  CHECK(replay::summarize(*endless, 5)->requests == 5);
  auto bad = workload::open(f.file("bad\n", "bad.jsonl"));
  CHECK(replay::summarize(*bad).error().code == errc::empty);
}
