// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>
#include "tool.hpp"

using document = nlohmann::json;

TEST_CASE("tools: traffic counts a workload and shows its lengths") {
  const tool hotpath;
  hotpath.dir.write("load.jsonl", "{\"prompt\":\"0123456789\",\"max_tokens\":100}\n"
                                  "\n# a comment\n"
                                  "{\"messages\":[{\"role\":\"user\",\"content\":\"abc\"}],\"id\":\"a\"}\n"
                                  "{\"prompt\":[1,2,3],\"max_tokens\":50,\"id\":\"a\"}\n");
  const auto j = hotpath({"traffic", "load.jsonl", "--json"});
  CHECK(j.code == 0);
  CHECK(j.err == "");
  const document d = document::parse(j.out);
  CHECK(d["schema"] == "hotpath.traffic/1");
  CHECK(d["requests"] == 3);
  CHECK(d["chats"] == 1);
  CHECK(d["with_id"] == 2);
  CHECK(d["duplicate_ids"] == 1);
  CHECK(d["max_tokens"]["n"] == 3);
  CHECK(d["max_tokens"]["min"] == 50);
  CHECK(d["max_tokens"]["max"] == 256);
  CHECK(d["prompt_tokens"]["n"] == 1);
  CHECK(d["prompt_bytes"]["by_power_of_two"] == document::parse(R"([{"from":2,"to":3,"n":1},{"from":8,"to":15,"n":1}])"));
  const auto t = hotpath({"traffic", "load.jsonl"});
  CHECK(t.code == 0);
  CHECK(has(t.out, "load.jsonl: 3 requests, 1 of them chat"));
  CHECK(has(t.out, "with an id of their own: 2, 1 not unique"));
  CHECK(has(t.out, "8 to 15"));
}

TEST_CASE("tools: traffic names bad lines, counts them as loss, and with --strict stops at the first") {
  const tool hotpath;
  hotpath.dir.write("load.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"b\",\"max_tokens\":-5}\nnot json\n{\"prompt\":\"c\"}\n");
  const auto f = hotpath({"traffic", "load.jsonl", "--json"});
  CHECK(f.code == 5);
  CHECK(has(f.err, "load.jsonl:2:"));
  CHECK(has(f.err, "-5"));
  CHECK(has(f.err, "load.jsonl:3:1"));
  const document d = document::parse(f.out);
  CHECK(d["requests"] == 2);
  CHECK(d["loss"]["malformed"] == 2);
  CHECK(d["problems"].size() == 2);
  const auto strict = hotpath({"traffic", "load.jsonl", "--strict"});
  CHECK(strict.code == 3);
  CHECK(strict.out == "");
  CHECK(has(strict.err, "load.jsonl:2:"));
}

TEST_CASE("tools: traffic with nothing in it, or nothing to read, is exit 3") {
  const tool hotpath;
  hotpath.dir.write("empty.jsonl", "");
  hotpath.dir.write("blank.jsonl", "\n \n");
  for (const char* name : {"empty.jsonl", "blank.jsonl", "none.jsonl", "."}) {
    CAPTURE(name);
    check_refused(hotpath({"traffic", name}), 3, name);
  }
  check_refused(hotpath({"traffic", "synthetic:input=12"}), 2, "synthetic:input=12");       // no end
  check_refused(hotpath({"traffic", "synthetic:input=twelve,requests=3"}), 2, "twelve");
}

TEST_CASE("tools: traffic writes a synthetic workload that reads back the same, from its seed") {
  const tool hotpath;
  const std::vector<std::string> make = {"traffic", "synthetic:input=64,output=16,dist=lognormal,requests=200,seed=5", "--json", "--write"};
  const auto with = [&](const std::string& file) {
    auto argv = make;
    argv.push_back(file);
    return hotpath(argv);
  };
  const auto first = with("a.jsonl");
  CHECK(first.code == 0);
  CHECK(first.err == "hotpath: wrote 200 requests to a.jsonl\n");
  CHECK(with("b.jsonl").out == first.out);
  CHECK(hotpath_test::read_file(hotpath.dir.file("a.jsonl")) == hotpath_test::read_file(hotpath.dir.file("b.jsonl")));
  const document made = document::parse(first.out), read = document::parse(hotpath({"traffic", "a.jsonl", "--json"}).out);
  CHECK(read["requests"] == 200);
  CHECK(read["prompt_bytes"] == made["prompt_bytes"]);
  CHECK(read["max_tokens"] == made["max_tokens"]);
  const auto piped = with("-");
  CHECK(piped.out == hotpath_test::read_file(hotpath.dir.file("a.jsonl")));
  CHECK(document::parse(hotpath({"traffic", "synthetic:input=64,output=16", "--requests", "7", "--json"}).out)["requests"] == 7);
  const auto ids = document::parse(hotpath({"traffic", "synthetic:input=64,output=16,requests=5", "--prompt-ids", "--json"}).out);
  CHECK(ids["prompt_tokens"]["min"] == 64);
  CHECK(ids["prompt_bytes"].is_null());
  CHECK(ids["missing"]["prompt_bytes"] == "no prompt is text");
}
