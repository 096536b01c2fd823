// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include <hotpath/trace/repair.hpp>
#include <hotpath/trace/torch.hpp>
#include <hotpath/trace/zlib.hpp>
#include <support/data.hpp>
#include "written.hpp"

using namespace written_test;
using document = nlohmann::json;

namespace {
struct mended {
  result<trace::repaired> about;
  std::string text;
};
template <class Inflater = trace::plain>
mended repair_file(const std::string& path, trace::read_options o = {}) {
  std::string text;
  auto keep = [&](std::string_view bytes) { text += bytes; return true; };
  auto about = trace::repair<Inflater>(path, keep, o);
  return {std::move(about), std::move(text)};
}
mended repair(const std::string& text, trace::read_options o = {}) {
  const hotpath_test::temp_dir dir;
  return repair_file(dir.write("t.json", text), o);
}
std::string event(int i, const std::string& extra = {}) {
  return "{\"ph\":\"X\",\"cat\":\"kernel\",\"name\":\"k" + std::to_string(i) + "\",\"pid\":0,\"tid\":7,\"ts\":" + std::to_string(i) + ".125,\"dur\":0.5,\"args\":{\"stream\":7,\"deep\":[{\"a\":[1,\"]}\"]}]" + extra + "}}";
}
}  // namespace

TEST_CASE("trace: F-TRC-01 a file cut at any byte is repaired into valid JSON with all of its complete events") {
  std::string text = "{\n\"schemaVersion\": 1,\n\"traceEvents\": [";
  std::vector<std::size_t> ends;
  for (int i = 0; i < 12; ++i) text += (i == 0 ? "\n  " : ",\n  ") + event(i), ends.push_back(text.size());
  const std::size_t list = text.size();
  text += "\n],\n\"traceName\": \"x.json\"\n}\n";
  const std::size_t head = text.find('[') + 1;
  for (std::size_t cut = head; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    const auto r = repair(text.substr(0, cut), {.chunk = 64});
    REQUIRE(r.about);
    const document j = document::parse(r.text);
    const auto complete = static_cast<std::size_t>(std::count_if(ends.begin(), ends.end(), [&](std::size_t e) { return e <= cut; }));
    REQUIRE(j["traceEvents"].size() == complete);
    CHECK(r.about->kept == complete);
    for (std::size_t i = 0; i < complete; ++i) CHECK(j["traceEvents"][i] == document::parse(event(static_cast<int>(i))));
    CHECK(j["schemaVersion"] == 1);
    const bool whole = cut + 1 >= text.size();
    CHECK(r.about->lost() == !whole);
    CHECK(r.about->closed == !whole);
    if (cut <= list) CHECK(!r.about->about.complete);
  }
}

TEST_CASE("trace: F-TRC-01 a repaired file says of itself what is missing, and so do a slice and a copy of a damaged one") {
  const std::string whole = "{\"traceEvents\":[" + event(1) + "," + event(2) + "],\"traceName\":\"x.json\"}", cut = whole.substr(0, whole.size() - 60);
  const auto lost = [](const std::string& text) {
    const auto t = trace::read_text(text);
    REQUIRE(t);
    std::string all;
    for (const auto& l : t->lost) all.append(model::name_of(l.fault)).append(" ").append(l.note).append(";");
    return all;
  };
  const auto r = repair(cut);
  REQUIRE(r.about);
  CHECK(document::parse(r.text)["hotpath"]["lost"][0]["fault"] == "truncated");
  CHECK(lost(r.text) == "truncated in the file that this one was made of;");
  CHECK(document::parse(repair(r.text).text) == document::parse(r.text));   // once more changes nothing
  CHECK(lost(repair(whole).text).empty());
  // What a writer of timelines makes of a damaged file says it, too.
  const auto damaged = trace::read_text(cut);
  REQUIRE(damaged);
  std::string copy;
  auto keep = [&](std::string_view bytes) { copy += bytes; return true; };
  REQUIRE(trace::write_chrome(*damaged, keep));
  CHECK(lost(copy) == "truncated in the file that this one was made of;");
  // Hostile figures are no reason to stop.
  CHECK(lost(R"({"traceEvents":[],"hotpath":{"lost":[{"fault":"truncated","count":-1},{"fault":"nothing known","count":5},{"fault":7,"count":"x"},7],"processes":7}})").empty());
}

TEST_CASE("trace: repair makes strict JSON of control characters, surrogate halves, ill-formed UTF-8, raw quotes and NaN") {
  const std::string text = "{\"traceEvents\":[" + event(0, ",\"a\":\"tab\there\"") + "," + event(1, ",\"b\":\"\\ud800 lone \\udc00\\ud83d\\ude00\"") + "," + event(2, ",\"c\":\"bad \xff\xc3\"") + "," +
                           event(3, ",\"d\":NaN") + "," + event(4, ",\"e\":\"say \"hi\" now\"") + "," + event(5) + "]}";
  CHECK(!document::accept(text));
  const auto r = repair(text);
  REQUIRE(r.about);
  const document j = document::parse(r.text);
  REQUIRE(j["traceEvents"].size() == 6);
  CHECK(j["traceEvents"][0]["args"]["a"] == "tab\there");
  CHECK(j["traceEvents"][1]["args"]["b"] == "\uFFFD lone \uFFFD\U0001F600");
  CHECK(j["traceEvents"][2]["args"]["c"] == "bad \uFFFD\uFFFD");
  CHECK(j["traceEvents"][4]["args"]["e"] == "say \"hi\" now");
  for (int i = 0; i < 6; ++i) CHECK(j["traceEvents"][static_cast<std::size_t>(i)]["name"] == "k" + std::to_string(i));
  CHECK(r.about->cleaned >= 3);
  CHECK(!r.about->lost());
}

TEST_CASE("trace: an event that is no JSON is left out of the repaired file and counted, with its place") {
  const std::string text = "{\"traceEvents\":[" + event(0) + ",{\"ph\":\"X\",,}," + event(2) + "],\"x\":1}";
  const auto r = repair(text);
  REQUIRE(r.about);
  const document j = document::parse(r.text);
  CHECK(j["traceEvents"].size() == 2);
  CHECK(j["x"] == 1);
  CHECK(r.about->lost());
  REQUIRE(r.about->about.lost.size() == 1);
  CHECK(*r.about->about.lost[0].first_byte > text.find(",{\"ph\":\"X\",,"));
  CHECK(*r.about->about.lost[0].first_byte < text.find(event(2)));
}

TEST_CASE("trace: repair keeps a bare array an array, closes it, and replaces a root that is no JSON") {
  const auto bare = repair("[" + event(0) + "," + event(1));
  REQUIRE(bare.about);
  CHECK(document::parse(bare.text).size() == 2);
  CHECK(document::parse(bare.text).is_array());
  const auto broken = repair("{\"log\": oops oops, \"traceEvents\": [" + event(0) + "]}");
  REQUIRE(broken.about);
  CHECK(document::parse(broken.text)["traceEvents"].size() == 1);
  CHECK(broken.about->lost_around);
  CHECK(broken.about->lost());
  const auto none = repair("{\"a\":1}");
  CHECK(!none.about);
}

TEST_CASE("trace: repair of a whole file changes nothing but white space, and a sink that refuses is an error") {
  const std::string text = "{\"schemaVersion\":1,\"traceEvents\":[" + event(0) + "," + event(1) + "],\"traceName\":\"x\"}";
  const auto r = repair(text);
  REQUIRE(r.about);
  CHECK(document::parse(r.text) == document::parse(text));
  CHECK(!r.about->lost());
  CHECK(!r.about->closed);
  const hotpath_test::temp_dir dir;
  auto full = [](std::string_view) { return false; };
  const auto refused = trace::repair(dir.write("t.json", text), full);
  REQUIRE(!refused);
  CHECK(refused.error().code == errc::io);
}

TEST_CASE("trace: F-TRC-03 a real gzip trace cut at 30, 70 and 99 % is repaired into a prefix of its events") {
  const auto path = hotpath_test::data_or_skip("torch-traces/tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz");
  if (!path) return;
  const std::string packed = hotpath_test::read_file(*path);
  const auto whole = repair_file<trace::zlib>(*path);
  REQUIRE(whole.about);
  const document all = document::parse(whole.text)["traceEvents"];
  std::size_t before = 0;
  for (const double share : {0.3, 0.7, 0.99}) {
    const hotpath_test::temp_dir dir;
    const auto cut = static_cast<std::size_t>(static_cast<double>(packed.size()) * share);
    const auto r = repair_file<trace::zlib>(dir.write("cut.json.gz", packed.substr(0, cut)));
    REQUIRE(r.about);
    CHECK(r.about->lost());
    const document part = document::parse(r.text)["traceEvents"];
    CHECK(part.size() > before);
    REQUIRE(part.size() < all.size());
    for (std::size_t i = 0; i < part.size(); ++i) CHECK(part[i] == all[i]);
    before = part.size();
  }
}

TEST_CASE("trace: repair leaves out a byte order mark, and NULs and what follows them: every reader takes the result") {
  for (const bool array : {false, true})
    for (const std::string& end : {std::string(), std::string("\0\0\0", 3), std::string("\n\0\0garbage \"] }", 15)}) {
      const std::string core = (array ? "[" : "{\"traceEvents\":[") + event(0) + "," + event(1) + (array ? "]" : "],\"x\":1}");
      const auto r = repair("\xEF\xBB\xBF" + core + end);
      REQUIRE(r.about);
      CHECK(r.text.find('\0') == std::string::npos);
      CHECK(r.text.find("garbage") == std::string::npos);
      REQUIRE(r.text.find("\xEF\xBB\xBF") == std::string::npos);
      REQUIRE(document::accept(r.text));
      CHECK(document::parse(r.text) == document::parse(core));
    }
}
