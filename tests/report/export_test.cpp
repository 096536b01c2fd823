// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/text.hpp>
#include <hotpath/export.hpp>
#include <map>
#include <nlohmann/json.hpp>

using namespace hotpath;
using document = nlohmann::json;

namespace {

model::stamp at(std::int64_t ms) { return {nanoseconds::from_ms(ms), model::stamp_source::kernel, true}; }

// Due at 1,000 ms, slot free at 1,005, connect 1,006 to 1,008, sent at 1,009, first content at 1,060, last at 1,360, 31 tokens.
model::request request() {
  model::request r;
  r.index = 7, r.workload_row = 3, r.pass = 1, r.id = "hotpath-1-000008", r.given_id = "=cmd()", r.status = model::request_status::ok;
  r.http_status = 200, r.finish_reason = "length";
  r.intended = at(1000), r.slot_free = at(1005), r.connect_begin = at(1006), r.connected = at(1008), r.sent = at(1009), r.head = at(1050);
  r.first_content = at(1060), r.first_output = at(1090), r.last_content = at(1360), r.finished = at(1361), r.closed = at(1362);
  r.prompt_tokens = 512, r.completion_tokens = 31, r.tokens_from = model::token_source::usage, r.output_tokens_asked = 31;
  r.bytes_sent = 2048, r.bytes_received = 9000, r.prompt_bytes = 1800;
  r.prompt_text = "secret prompt", r.completion_text = "secret answer";
  r.chunks.append({.at = 1060_ms, .tokens = 1, .kind = model::content_kind::reasoning, .exact = true, .kernel = true});
  r.chunks.append({.at = 1360_ms, .tokens = 0, .kind = model::content_kind::text, .exact = false, .kernel = true});
  return r;
}
const exports::request_options options = {.wall_start = nanoseconds{1'795'372'372'000'000'000}};

// Name -> field of the only row.
std::map<std::string, std::string> csv_fields(const model::request& r, const exports::request_options& o) {
  std::string text;
  exports::csv_header(text, o);
  exports::csv_row(text, r, o);
  text::csv_reader in{text};
  std::vector<std::string_view> row;
  REQUIRE(in.next(row));
  const std::vector<std::string> names(row.begin(), row.end());
  REQUIRE(in.next(row));
  REQUIRE(row.size() == names.size());
  std::map<std::string, std::string> fields;
  for (std::size_t i = 0; i < names.size(); ++i) fields[names[i]] = row[i];
  CHECK(fields.size() == names.size());  // no name twice
  CHECK(!in.next(row));
  CHECK(in.ok());
  return fields;
}

}  // namespace

TEST_CASE("export: a row of CSV holds the facts and latencies of a request, units in the names") {
  auto f = csv_fields(request(), options);
  CHECK(f["index"] == "7");
  CHECK(f["workload_pass"] == "1");
  CHECK(f["status"] == "ok");
  CHECK(f["error"].empty());
  CHECK(f["warmup"] == "false");
  CHECK(f["intended_ns"] == "1000000000");
  CHECK(f["ttft_ms"] == "60");
  CHECK(f["service_ttft_ms"] == "51");
  CHECK(f["ttfo_ms"] == "90");
  CHECK(f["connect_ms"] == "2");
  CHECK(f["slot_wait_ms"] == "5");
  CHECK(f["dispatch_delay_ms"] == "2");   // 1,009 - 1,005 - 2 of connecting
  CHECK(f["tpot_ms"] == "10");            // 300 / 30
  CHECK(f["e2e_ms"] == "360");
  CHECK(f["content_events"] == "2");
  CHECK(f["inexact_events"] == "1");
  CHECK(f["received_bytes"] == "9000");
  CHECK(f["reasoning_tokens"].empty());   // not known is not 0
  CHECK(f.count("prompt_text") == 0);
}

TEST_CASE("export: what never happened has no value") {
  auto f = csv_fields(model::request{}, options);
  for (const char* name : {"intended_utc", "intended_ns", "sent_ns", "ttft_ms", "tpot_ms", "e2e_ms", "dispatch_delay_ms", "http_status", "prompt_tokens", "error"})
    CHECK(f[name].empty());
  model::request one = request();
  one.completion_tokens = 1;
  CHECK(csv_fields(one, options)["tpot_ms"].empty());
  one.completion_tokens = 31, one.tokens_from = model::token_source::chunks;  // a lower bound gives no TPOT
  CHECK(csv_fields(one, options)["tpot_ms"].empty());
}

TEST_CASE("export: F-OUT-12 the wall time of a request is ISO 8601 in UTC") {
  CHECK(csv_fields(request(), options)["intended_utc"] == "2026-11-22T18:32:53.000000000Z");
  CHECK(text::utc(nanoseconds{0}) == "1970-01-01T00:00:00.000000000Z");
  CHECK(text::utc(nanoseconds{-1}) == "1969-12-31T23:59:59.999999999Z");
  CHECK(text::utc(nanoseconds{951'782'400'000'000'000}, 0) == "2000-02-29T00:00:00Z");
  CHECK(text::utc(nanoseconds{4'107'542'399'123'456'789}, 3) == "2100-02-28T23:59:59.123Z");
  CHECK(text::utc(nanoseconds{INT64_MAX}, 0) == "2262-04-11T23:47:16Z");
  CHECK(text::utc(nanoseconds{INT64_MIN}, 0) == "1677-09-21T00:12:43Z");
}

TEST_CASE("export: F-OUT-03 quotes, line ends and formulas in CSV cells") {
  auto r = request();
  r.error_message = "a \"quoted\", word\r\nand a line";
  CHECK(csv_fields(r, options)["error_message"] == r.error_message);
  std::string row;
  exports::csv_row(row, r, options);
  CHECK(row.find("\"a \"\"quoted\"\", word\r\nand a line\"") != std::string::npos);
  for (const char* bad : {"=1+1", "+1", "-1", "@x", "\tx", "\rx"}) {
    r.given_id = bad;
    CHECK(csv_fields(r, options)["given_id"] == bad);   // for programs: as it is
    auto guarded = options;
    guarded.formula_guard = true;
    auto f = csv_fields(r, guarded);
    CHECK(f["given_id"] == std::string("'") + bad);
    CHECK(f["index"] == "7");
  }
}

TEST_CASE("export: prompts and answers leave only when asked again") {
  for (const bool chunks : {false, true}) {
    std::string rows;
    auto o = options;
    o.chunks = chunks;
    exports::csv_row(rows, request(), o);
    exports::ndjson_row(rows, request(), o);
    CHECK(rows.find("secret") == std::string::npos);
  }
  auto o = options;
  o.text = true;
  CHECK(csv_fields(request(), o)["prompt_text"] == "secret prompt");
  std::string row;
  exports::ndjson_row(row, request(), o);
  CHECK(document::parse(row)["completion_text"] == "secret answer");
}

TEST_CASE("export: NDJSON has the columns of CSV, with types, and the chunks when asked") {
  auto o = options;
  o.chunks = true;
  std::string row;
  exports::ndjson_row(row, request(), o);
  CHECK(row.find('\n') == row.size() - 1);
  const document j = document::parse(row);
  const auto fields = csv_fields(request(), options);
  for (const auto& field : fields) {
    const std::string &name = field.first, &text = field.second;
    REQUIRE(j.contains(name));
    CAPTURE(name);
    if (text.empty()) CHECK((j[name].is_null() || j[name] == ""));
    else if (j[name].is_string()) CHECK(j[name] == text);
    else CHECK(j[name] == document::parse(text));
  }
  CHECK(j.size() == fields.size() + 1);
  CHECK(j["reasoning_tokens"].is_null());
  CHECK(j["chunks"] == document::parse(R"([{"at_ns":1060000000,"kind":"reasoning","exact":true,"tokens":1},{"at_ns":1360000000,"kind":"text","exact":false}])"));
}

TEST_CASE("export: bytes that are not UTF-8 become valid JSON") {
  auto r = request();
  r.error_message = "\xff\x1b[31m\u2028";
  std::string row;
  exports::ndjson_row(row, r, options);
  CHECK(document::parse(row)["error_message"] == "\xef\xbf\xbd\x1b[31m\u2028");
}

TEST_CASE("export: rows stream: the sink gets whole rows in pieces of 64 KiB, and may end it") {
  std::string all;
  std::size_t calls = 0, largest = 0;
  exports::csv out{[&](std::string_view bytes) {
    CHECK(bytes.ends_with('\n'));
    all += bytes, ++calls, largest = std::max(largest, bytes.size());
    return true;
  }, options};
  for (int i = 0; i < 2000; ++i) CHECK(out.add(request()));
  CHECK(out.finish());
  CHECK(calls > 5);
  CHECK(largest < 64 * 1024 + 1024);
  CHECK(std::count(all.begin(), all.end(), '\n') == 2001);

  std::size_t refused = 0;
  exports::ndjson stops{[&](std::string_view) { return ++refused, false; }, options};
  int taken = 0;
  for (int i = 0; i < 2000; ++i) taken += stops.add(request()) ? 1 : 0;
  CHECK(taken < 200);
  CHECK(!stops.finish());
  CHECK(refused == 1);
}
