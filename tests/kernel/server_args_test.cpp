// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/kernel/server_args.hpp>
#include <string>

using namespace hotpath;
using namespace hotpath::kernel;

namespace {
std::string all_of(const server_args& args) {
  std::string out;
  for (const auto& f : args) out += f.key + "=" + f.value + ";";
  return out;
}
}  // namespace

TEST_CASE("kernel: server arguments are flattened in their order, arrays of plain values stay one value") {
  const auto args = parse_server_args(R"({"model_path":"Qwen/Qwen3-8B","tp_size":2,"enable":true,"none":null,"bs":[1,2, 4],"spec":{"steps":3,"more":{"x":"y"}},)"
                                      R"("internal_states":[{"a":1},{"a":2,"b":[{"c":5}]}],"empty":{},"list":[]})");
  REQUIRE(args);
  CHECK(all_of(*args) == "model_path=Qwen/Qwen3-8B;tp_size=2;enable=true;none=null;bs=[1,2, 4];spec.steps=3;spec.more.x=y;internal_states.0.a=1;"
                         "internal_states.1.a=2;internal_states.1.b.0.c=5;list=[];");
  CHECK(parse_server_args("{}")->empty());
}

TEST_CASE("kernel: an object that an argument holds as a text is opened, another text is not") {
  const auto args = parse_server_args(R"({"compilation_config":"{\"pass_config\":{\"fuse_norm_quant\":true}}","note":"{not json}","brace":"{}"})");
  REQUIRE(args);
  CHECK(all_of(*args) == "compilation_config.pass_config.fuse_norm_quant=true;note={not json};brace={};");
  CHECK(flag_of(*args, "fuse_norm_quant") == flag_state::on);
}

TEST_CASE("kernel: secrets among the server arguments are not kept") {
  const auto args = parse_server_args(R"({"api_key":"sk-12345","admin":{"api-key":"x"},"tokenizer_path":"/m","max_total_tokens":5})");
  REQUIRE(args);
  CHECK(all_of(*args) == "api_key=[redacted];admin.api-key=[redacted];tokenizer_path=/m;max_total_tokens=5;");
}

TEST_CASE("kernel: what is no object of server arguments, or more than the limits, is an error that says so") {
  const auto message = [](std::string_view json, args_limits l = {}) {
    const auto r = parse_server_args(json, l);
    REQUIRE_FALSE(r);
    return r.error().message();
  };
  CHECK(message("") == "is empty, want a JSON object of server arguments");
  CHECK(message("[1]") == "is no JSON object of server arguments");
  CHECK(message("{\"a\":1") .find("line 1") == 0);
  CHECK(message("{\"a\":1}}").find("line 1") == 0);
  CHECK(message("{\"a\":1,\"b\":2,\"c\":3}", {.facts = 2}) == "more than 2 server arguments");
  CHECK(message("{\"a\":1}", {.bytes = 3}) == "server arguments of 7 bytes, want at most 3");
  std::string deep = "1";
  for (int i = 0; i < 20; ++i) deep = "{\"a\":" + deep + "}";
  CHECK(message(deep).find("deep") != std::string::npos);
  CHECK(parse_server_args(R"({"a":"12345678"})", {.value = 5})->at(0).value == "12345");
}

TEST_CASE("kernel: flags are found by their last member, in any spelling, and a value that is off is off") {
  const auto args = *parse_server_args(R"({"enable-x":"0","Enable_Y":1,"z":"disabled","w":"None","v":"flashinfer","p":{"q":{"deep":false}},"tp":3})");
  CHECK(flag_of(args, "enable_x") == flag_state::off);
  CHECK(flag_of(args, "enable_y") == flag_state::on);
  CHECK(flag_of(args, "z") == flag_state::off);
  CHECK(flag_of(args, "w") == flag_state::off);
  CHECK(flag_of(args, "v") == flag_state::on);
  CHECK(flag_of(args, "deep") == flag_state::off);
  CHECK(flag_of(args, "q.deep") == flag_state::off);
  CHECK(flag_of(args, "eep") == flag_state::unknown);
  CHECK(find_arg(args, "missing") == nullptr);
  CHECK(tensor_parallel_size(args) == 3);
  CHECK(model_of(args).empty());
}

TEST_CASE("kernel: the tensor-parallel size is the largest that an engine's names tell") {
  CHECK(tensor_parallel_size(*parse_server_args(R"({"tp_size":4})")) == 4);
  CHECK(tensor_parallel_size(*parse_server_args(R"({"tensor_parallel_size":"8"})")) == 8);
  CHECK(tensor_parallel_size(*parse_server_args(R"({"attn_tp_size":2,"moe_tp_size":8})")) == 8);
  CHECK_FALSE(tensor_parallel_size(*parse_server_args(R"({"tp_size":"auto","tp":-1})")).has_value());
  CHECK(model_of(*parse_server_args(R"({"model":null,"served_model_name":"m"})")) == "m");
}

TEST_CASE("kernel: a diffusion server that handed its model to another library is found in its log, with the line") {
  CHECK_FALSE(find_wrong_backend(""));
  CHECK_FALSE(find_wrong_backend("INFO loading\nUsing the flash backend\n"));
  const auto hit = find_wrong_backend("a\nb\n[01:02] WARNING Falling back to diffusers backend for X\nLoaded diffusers pipeline\n");
  REQUIRE(hit);
  CHECK(hit->line == 3);
  CHECK(hit->words == "Falling back to diffusers backend");
  CHECK(find_wrong_backend("Loaded diffusers pipeline\nUsing diffusers backend")->words == "Loaded diffusers pipeline");
  CHECK(find_wrong_backend("x Using diffusers backend")->line == 1);
}
