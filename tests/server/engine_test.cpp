// SPDX-License-Identifier: Apache-2.0
#include "tiny.hpp"

using namespace tiny;

namespace {
// Prompts with common heads, some with a temperature, some with a stop string.
std::vector<request> mixed_requests(std::uint64_t seed, std::size_t n) {
  stats::xoshiro256 random{seed};
  std::vector<std::vector<kv::token>> heads;
  for (int i = 0; i < 3; ++i) heads.push_back(random_prompt(random, 40));
  std::vector<request> out;
  for (std::size_t i = 0; i < n; ++i) {
    request r;
    if (random.below(3) != 0) r.prompt = heads[random.below(3)];
    const auto tail = random_prompt(random, 1 + random.below(40));
    r.prompt.insert(r.prompt.end(), tail.begin(), tail.end());
    r.how.max_tokens = static_cast<std::uint32_t>(1 + random.below(48));
    r.how.ignore_eos = random.below(2) == 0;
    if (random.below(2) == 0) r.how.temperature = 0.5 + random.unit(), r.how.seed = random.next();
    if (random.below(4) == 0) r.how.stop = {"ab", "x", "~"};
    out.push_back(r);
  }
  return out;
}

std::string text_of(const answer& a) {
  std::string s;
  for (const kv::token t : a.tokens) s += static_cast<char>(t);
  return s;
}
}  // namespace

TEST_CASE("server: answers are the same with and without batching, chunked prefill, prefix cache and preemption") {
  for (const std::uint32_t experts : {0u, 4u}) {
    CAPTURE(experts);
    model_options o = small_model();
    o.experts = experts;
    const auto requests = mixed_requests(1, 40);

    std::vector<answer> want;  // each alone, in an engine of its own
    model roomy{o};
    for (const request& r : requests) {
      engine e{roomy, {.max_batched_tokens = 4096, .max_seqs = 1, .prefix_cache = false}};
      want.push_back(ask_all(e, {r})[0]);
      REQUIRE(want.back().why != finish::none);
    }
    CHECK(std::count_if(want.begin(), want.end(), [](const answer& a) { return a.why == finish::stop; }) > 2);
    CHECK(std::count_if(want.begin(), want.end(), [](const answer& a) { return a.why == finish::length; }) > 2);

    std::uint64_t preempted = 0, hits = 0, chunked = 0;
    for (const std::uint32_t blocks : {64u, 8u})
      for (const std::uint32_t threads : {1u, 2u})
        for (const engine_options how : {engine_options{.max_batched_tokens = 256, .max_seqs = 16}, {.max_batched_tokens = 17, .max_seqs = 16}, {.max_batched_tokens = 256, .max_seqs = 3, .prefix_cache = false},
                                         {.max_batched_tokens = 128, .max_seqs = 8, .chunked_prefill = false}}) {
          CAPTURE(blocks);
          CAPTURE(threads);
          CAPTURE(how.max_batched_tokens);
          CAPTURE(how.max_seqs);
          o.blocks = blocks, o.threads = threads;
          model m{o};
          engine e{m, how};
          std::map<std::uint64_t, answer> got;
          std::vector<std::uint64_t> ids;
          for (const request& r : requests) ids.push_back(e.submit(r));
          while (!e.idle()) {
            const step_report& r = e.step();
            REQUIRE(r.context_tokens + r.generation_tokens <= how.max_batched_tokens);
            REQUIRE(r.context_requests + r.generation_requests <= how.max_seqs);
            preempted += r.preempted, hits += r.prefix_hits;
            chunked += r.context_requests != 0 && r.outputs.empty();
            collect(r, got);
          }
          for (std::size_t i = 0; i < ids.size(); ++i) {
            CAPTURE(i);
            CHECK(got[ids[i]] == want[i]);
          }
          CHECK(e.blocks().held() == 0);
          check_sound(e);
        }
    CHECK(preempted > 0);
    CHECK(hits > 0);
    CHECK(chunked > 0);
  }
}

TEST_CASE("server: blocks never leak over 10,000 random requests, of which every fifth is aborted") {
  model_options o = small_model();
  o.width = 16, o.heads = 1, o.ffn = 16, o.layers = 1, o.blocks = 24;
  model m{o};
  engine e{m, {.max_batched_tokens = 64, .max_seqs = 12}};
  stats::xoshiro256 random{2};
  std::vector<std::vector<kv::token>> heads;
  for (int i = 0; i < 6; ++i) heads.push_back(random_prompt(random, 48));
  std::vector<std::uint64_t> open;
  std::map<std::uint64_t, answer> got;
  std::uint64_t submitted = 0, aborted = 0, finished = 0, preempted = 0, hits = 0, outputs = 0, counted = 0, steps = 0;
  while (submitted < 10'000 || !e.idle()) {
    while (submitted < 10'000 && e.waiting() < 4) {
      request r;
      const auto& head = heads[random.below(heads.size())];
      r.prompt.assign(head.begin(), head.begin() + static_cast<std::ptrdiff_t>(random.below(head.size())));
      r.prompt.push_back(static_cast<kv::token>(random.below(256)));
      r.how.max_tokens = static_cast<std::uint32_t>(1 + random.below(24));
      r.how.ignore_eos = true;
      open.push_back(e.submit(std::move(r)));
      if (++submitted % 5 == 0) {  // some are gone before they begin, some while they run, some have finished
        const std::uint64_t victim = open[open.size() - 1 - random.below(std::min<std::size_t>(open.size(), 12))];
        finished_request done;
        const bool was_open = e.abort(victim, &done);
        CHECK(was_open == (got[victim].why == finish::none));
        if (was_open) {
          ++aborted;
          CHECK(done.why == finish::abort);
          CHECK(done.output_tokens == got[victim].tokens.size());
          got[victim].why = finish::abort;  // whatever came for it now would be found out
        }
        CHECK_FALSE(e.abort(victim));
      }
    }
    const step_report& r = e.step();
    collect(r, got);
    finished += r.finished.size(), preempted += r.preempted, hits += r.prefix_hits, outputs += r.outputs.size();
    for (const finished_request& f : r.finished) counted += f.output_tokens;
    if (++steps % 64 == 0) check_sound(e);
    REQUIRE(e.running() <= 12);
    REQUIRE(steps < 200'000);
  }
  check_sound(e);
  CHECK(finished + aborted == 10'000);
  CHECK(aborted > 1000);
  CHECK(counted <= outputs);
  CHECK(e.blocks().held() == 0);
  CHECK(e.blocks().available() == 24);
  CHECK(e.kv_usage() == 0);
  CHECK(preempted > 100);
  CHECK(hits > 10'000);
  MESSAGE(steps, " steps, ", preempted, " preemptions, ", aborted, " aborts, ", hits, " tokens from the prefix cache");
}

TEST_CASE("server: requests begin in the order they came, and it is the youngest that is sent back") {
  model_options o = small_model();
  o.blocks = 8;  // 128 tokens: two requests of 60 fit, and grow until one of them has to go
  model m{o};
  engine e{m, {.max_batched_tokens = 512, .max_seqs = 8, .prefix_cache = false}};
  stats::xoshiro256 random{4};
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(e.submit({.prompt = random_prompt(random, 60), .how = {.max_tokens = 40, .ignore_eos = true}}));
  std::vector<std::uint64_t> first, last;
  std::map<std::uint64_t, std::uint32_t> preemptions;
  std::uint64_t preempted = 0;
  while (!e.idle()) {
    const step_report& r = e.step();
    preempted += r.preempted;
    for (const output& out : r.outputs) {
      if (out.first) first.push_back(out.request);
      if (out.why != finish::none) last.push_back(out.request);
    }
    for (std::size_t i = 0; i < r.finished.size(); ++i) preemptions[last[last.size() - r.finished.size() + i]] = r.finished[i].preemptions;
  }
  CHECK(first == ids);
  CHECK(last == ids);
  CHECK(preempted > 0);
  CHECK(preemptions[ids[0]] == 0);
  CHECK(preemptions[ids[1]] > 0);
}

TEST_CASE("server: a request that comes with a cached prefix computes the rest, and the last token in any case") {
  model m{small_model()};
  engine e{m, {}};
  stats::xoshiro256 random{4};
  const auto prompt = random_prompt(random, 64);
  const request r{.prompt = prompt, .how = {.max_tokens = 3, .ignore_eos = true}};
  const auto first = ask_all(e, {r});
  auto longer = r;
  longer.prompt.push_back(7);
  const std::uint64_t id = e.submit(longer);
  const step_report& step = e.step();
  REQUIRE(step.outputs.size() == 1);
  CHECK(step.outputs[0].request == id);
  CHECK(step.outputs[0].cached_tokens == 64);
  CHECK(step.prefix_queries == 65);
  CHECK(step.prefix_hits == 64);
  CHECK(step.context_tokens == 1);
  CHECK(step.prompt_tokens == 65);
  CHECK(step.cached_prompt_tokens == 64);
  e.abort(id);
  e.submit(r);
  CHECK(e.step().outputs[0].cached_tokens == 48);  // the whole of it is there, but its last block is computed: somebody has to say what follows
  while (!e.idle()) e.step();

  engine without{m, {.prefix_cache = false}};
  CHECK(ask_all(without, {r}) == first);
  without.submit(r);
  CHECK(without.step().prefix_queries == 0);
}

TEST_CASE("server: without chunked prefill a prompt goes in one piece") {
  model m{small_model()};
  engine e{m, {.max_batched_tokens = 128, .max_seqs = 4, .prefix_cache = false, .chunked_prefill = false}};
  stats::xoshiro256 random{4};
  for (int i = 0; i < 3; ++i) e.submit({.prompt = random_prompt(random, 60), .how = {.max_tokens = 4, .ignore_eos = true}});
  CHECK(e.step().context_tokens == 120);
  CHECK(e.waiting() == 1);
  const step_report& second = e.step();
  CHECK(second.context_requests == 1);
  CHECK(second.context_tokens == 60);
  CHECK(second.generation_tokens == 2);
  CHECK(check(engine_options{.max_batched_tokens = 64, .chunked_prefill = false}, small_model()).error().code == errc::usage);
}

TEST_CASE("server: a stop string ends an answer, is told as so many bytes to cut, and is not looked for before min_tokens") {
  model m{small_model()};
  engine e{m, {}};
  stats::xoshiro256 random{8};
  const request r{.prompt = random_prompt(random, 20), .how = {.max_tokens = 40, .temperature = 1.5, .seed = 3, .ignore_eos = true}};
  const answer whole = ask_all(e, {r})[0];
  REQUIRE(whole.tokens.size() == 40);
  request stopped = r;
  stopped.how.stop = {text_of(whole).substr(10, 3), "never", ""};
  const std::uint64_t id = e.submit(stopped);
  std::string text;
  for (;;) {
    const output o = e.step().outputs.at(0);
    REQUIRE(o.request == id);
    text += static_cast<char>(o.token);
    if (o.why == finish::none) continue;
    CHECK(o.why == finish::stop);
    CHECK(o.cut == 3);
    break;
  }
  CHECK(text == text_of(whole).substr(0, 13));
  stopped.how.min_tokens = 40;
  CHECK(ask_all(e, {stopped})[0].tokens == whole.tokens);
}

TEST_CASE("server: answers are visible characters, seeds make them differ, and the end of text is left out where it is to be ignored") {
  model m{small_model()};
  engine e{m, {}};
  stats::xoshiro256 random{8};
  std::vector<request> requests;
  const auto prompt = random_prompt(random, 20);
  for (std::uint64_t i = 0; i < 60; ++i) requests.push_back({.prompt = prompt, .how = {.max_tokens = 100, .temperature = 1, .seed = i / 2, .ignore_eos = i >= 30}});
  const auto answers = ask_all(e, requests);
  std::size_t ended = 0;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const kv::token t : answers[i].tokens) REQUIRE((t >= 32 && t <= 126));
    if (i % 2 == 1) CHECK(answers[i] == answers[i - 1]);
    else if (i != 0) CHECK(answers[i].tokens != answers[i - 1].tokens);
    if (i < 30) ended += answers[i].why == finish::stop;
    else CHECK(answers[i].tokens.size() == 100);
  }
  CHECK(ended > 0);
}

TEST_CASE("server: what cannot be computed is refused in words") {
  model m{small_model()};
  const engine e{m, {}};
  const auto words = [&](std::size_t prompt, std::uint32_t max_tokens, kv::token last = 1) {
    request r{.prompt = std::vector<kv::token>(prompt, 1), .how = {.max_tokens = max_tokens}};
    if (prompt != 0) r.prompt.back() = last;
    const auto good = e.admissible(r);
    return good ? std::string() : good.error().message();
  };
  CHECK(words(1, 127) == "");
  CHECK(words(127, 1) == "");
  CHECK(words(0, 1) == "the prompt is empty");
  CHECK(words(1, 0) == "max_tokens must be at least 1");
  CHECK(words(128, 1) == "this model's maximum context length is 128 tokens, and the request asks for 128 in the prompt and 1 in the answer");
  CHECK(words(1, 4'294'967'295) != "");
  CHECK(words(5, 5, 299) == "");
  CHECK(words(5, 5, 300) == "token id 300 is out of vocabulary (0 to 299)");
}
