// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <hotpath/replay/api.hpp>

using namespace hotpath;
using njson = nlohmann::json;

namespace {
njson body(const replay::workload_item& item, const replay::body_options& options) {
  std::string out;
  replay::write_body(out, item, options);
  return njson::parse(out);
}
replay::workload_item text_item(const std::string& prompt) {
  replay::workload_item i;
  i.prompt_json = njson(prompt).dump();
  i.max_tokens = 32;
  return i;
}
}  // namespace

TEST_CASE("replay: a body carries model, prompt, limits and the usage request, and streams") {
  const njson b = body(text_item("a \"quoted\" prompt"), {.model = "m/8b"});
  CHECK(b == njson{{"model", "m/8b"}, {"prompt", "a \"quoted\" prompt"}, {"max_tokens", 32}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  auto chat = text_item("");
  chat.chat = true;
  chat.prompt_json = R"([{"role":"user","content":"hi"}])";
  CHECK(body(chat, {})["messages"][0]["content"] == "hi");
  CHECK_FALSE(body(chat, {}).contains("prompt"));
  const njson fixed = body(text_item("x"), {.ignore_eos = true});
  CHECK(fixed["ignore_eos"] == true);
  CHECK(fixed["min_tokens"] == 32);
}

TEST_CASE("replay: the workload's members replace ours, the user's replace both, and nothing stops the stream") {
  auto item = text_item("x");
  item.extra_json = R"(,"temperature":0.2,"model":"adapter","seed":1)";
  const replay::body_options options{.model = "base", .extra_body = R"({"temperature":0,"max_tokens":5,"stream":false,"stream_options":{"include_usage":true,"continuous_usage_stats":true}})"};
  const njson b = body(item, options);
  CHECK(b["model"] == "adapter");
  CHECK(b["temperature"] == 0);
  CHECK(b["seed"] == 1);
  CHECK(b["max_tokens"] == 5);
  CHECK(b["stream"] == true);
  CHECK(b["stream_options"]["continuous_usage_stats"] == true);
  std::string out;
  replay::write_body(out, item, options);
  CHECK(out.find("\"temperature\"") == out.rfind("\"temperature\""));  // one member of each name
}

TEST_CASE("replay: an extra body that is no object is a usage error that says what it must be") {
  CHECK(replay::check({.extra_body = "[1]"}).error().code == errc::usage);
  CHECK(replay::check({.extra_body = "{\"a\":"}).error().code == errc::malformed);
  CHECK(replay::check({.extra_body = ""}));
  CHECK(replay::check({.extra_body = "{}"}));
}

TEST_CASE("replay: the first served model and its engine are read, token-id prompts only where the engine is known") {
  const auto vllm = replay::read_models(R"({"object":"list","data":[{"id":"llama","object":"model","owned_by":"vllm"},{"id":"lora","owned_by":"me"}]})", "u");
  REQUIRE(vllm);
  CHECK(vllm->id == "llama");
  CHECK(vllm->engine == "vllm");
  CHECK(vllm->takes_token_ids);
  CHECK_FALSE(replay::read_models(R"({"data":[{"id":"x","owned_by":"openai"}]})", "u")->takes_token_ids);
  CHECK(replay::read_models(R"({"data":[]})", "u").error().code == errc::empty);
  CHECK(replay::read_models("<html>", "u").error().code == errc::malformed);
  CHECK(replay::read_models(R"({"error":"no"})", "u").error().code == errc::malformed);
}

TEST_CASE("replay: messages of errors in every shape are found") {
  replay::event_reader r;
  r.read_error(R"({"error":{"message":"a","type":"t","code":400}})");
  CHECK(r.message() == "a");
  r.read_error(R"({"object":"error","message":"b","code":400})");
  CHECK(r.message() == "b");
  r.read_error(R"({"error":"c"})");
  CHECK(r.message() == "c");
  r.read_error(R"({"detail":"d"})");
  CHECK(r.message() == "d");
  r.read_error(R"({"detail":[{"msg":"e","input":"prompt"}]})");
  CHECK(r.message() == "e");
  r.read_error("plain text");
  CHECK(r.message().empty());
}
