// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <hotpath/core/random.hpp>
#include <hotpath/kernel/sequence.hpp>
#include <string>
#include "built_subject.hpp"

using namespace hotpath;
using namespace hotpath::kernel;
using hotpath_test::built;

TEST_CASE("kernel: a sequence has the events of one stage, stream by stream and step by step, in time order") {
  built b;
  const auto one = b.step(stage::decode), two = b.step(stage::decode), other = b.step(stage::prefill);
  b.add("a", 0, 1, {.step = one});
  b.add("b", 1, 2, {.stream = 8, .step = one});
  b.add("c", 2, 3, {.step = one});
  b.add("p", 5, 9, {.step = other});
  b.add("a", 20, 4, {.step = two});
  b.add("c", 30, 5, {.stream = 8, .step = two});
  const subject& s = b.finish();
  const sequence seq = sequence_of(s, stage::decode);
  std::string text;
  for (const auto& part : seq.parts) {
    text += std::to_string(part.step) + ":";
    for (std::uint32_t p = part.begin; p < part.end; ++p) text += b.t.name(b.t.gpu[seq.event_at[p]].name);
    text += " ";
  }
  CHECK(text == "0:ac 1:a 0:b 1:c ");
  CHECK(seq.total == 15_us);
  CHECK(seq.steps == 2);
  REQUIRE(seq.tokens.size() == 3);
  CHECK(seq.tokens[0].launches == 2);
  CHECK(seq.tokens[0].time == 5_us);
  CHECK(sequence_of(s, stage::prefill).total == 9_us);
  CHECK(sequence_of(s, stage::mixed).parts.empty());
  CHECK(sequence_of(subject{}, stage::all).tokens.empty());
}

TEST_CASE("kernel: a subject whose arrays are too short gives a sequence of what is known") {
  built b;
  b.add("a", 0, 1, {}), b.add("b", 1, 1, {});
  subject s = b.finish();
  s.identity_of.clear(), s.steps.stage_of.clear(), s.steps.step_of.clear(), s.map.site_of.clear();
  s.chosen.push_back(77);
  const sequence seq = sequence_of(s, stage::all);
  CHECK(seq.token_at.size() == 2);
  CHECK(seq.tokens.size() == 1);
  CHECK(find_chains(s, seq).empty());
}

TEST_CASE("kernel: the layer loop is found with its first kernel, its length and its repetitions") {
  std::vector<std::uint32_t> v = {100, 101, 102};
  for (int layer = 0; layer < 36; ++layer)
    for (std::uint32_t k = 0; k < 15; ++k) v.push_back(k);
  for (std::uint32_t k = 200; k < 220; ++k) v.push_back(k);
  const auto found = find_loop(v);
  REQUIRE(found);
  CHECK(found->period == 15);
  CHECK(found->repetitions == 36);
  CHECK(found->first <= 3);
}

TEST_CASE("kernel: layers that alternate in one kernel repeat by one layer, and a part that never repeats is no loop") {
  std::vector<std::uint32_t> v;
  for (std::uint32_t layer = 0; layer < 12; ++layer)
    for (std::uint32_t k = 0; k < 10; ++k) v.push_back(k == 4 ? 50 + layer % 2 : k);
  REQUIRE(find_loop(v));
  CHECK(find_loop(v)->period == 10);
  CHECK(find_loop(v)->repetitions == 12);
  std::vector<std::uint32_t> all_new;
  for (std::uint32_t k = 0; k < 500; ++k) all_new.push_back(k);
  CHECK_FALSE(find_loop(all_new));
  CHECK_FALSE(find_loop({}));
  const std::vector<std::uint32_t> twice = {1, 2, 3, 4, 1, 2, 3, 4};
  CHECK_FALSE(find_loop(twice));
  CHECK_FALSE(find_loop(v, 5));                       // longer than the caller looks for
}

TEST_CASE("kernel: loops planted in random sequences are found, whatever their length") {
  stats::xoshiro256 g(11);
  for (int round = 0; round < 200; ++round) {
    const auto period = static_cast<std::uint32_t>(3 + g.below(60)), times = static_cast<std::uint32_t>(4 + g.below(20));
    std::vector<std::uint32_t> body, v;
    for (std::uint32_t k = 0; k < period; ++k) body.push_back(static_cast<std::uint32_t>(g.below(1000)));
    for (std::uint64_t n = g.below(period); n > 0; --n) v.push_back(5000 + static_cast<std::uint32_t>(n));
    for (std::uint32_t k = 0; k < times; ++k) v.insert(v.end(), body.begin(), body.end());
    for (std::uint64_t n = g.below(period); n > 0; --n) v.push_back(6000 + static_cast<std::uint32_t>(n));
    const auto found = find_loop(v);
    REQUIRE(found);
    CHECK_MESSAGE(found->period == period, "round " << round << ": " << found->period << " for " << period << " x " << times);
    CHECK(found->repetitions >= times);
    CHECK(found->repetitions <= times + 1);           // a fifth of mismatches may reach into what stands around
  }
}

TEST_CASE("kernel: what one kernel saves is at most the time of those that disappear") {
  const nanoseconds k[] = {10_us, 4_us, 3_us};
  const bool all[] = {true, true, true}, first[] = {true, false, false}, none[] = {false, false, false};
  CHECK(saving_of(k, all, 2_us).gone == 7_us);
  CHECK(saving_of(k, all, 2_us).gain == 7_us);        // traffic of both, the gaps do not come on top
  CHECK(saving_of(k, none, 2_us).gain == 2_us);       // arithmetic stays: only the launches are saved
  CHECK(saving_of(k, first, 2_us).gain == 2_us);
  CHECK(saving_of(k, none, 20_us).gain == 7_us);
  CHECK(saving_of({}, {}, 5_us).gain == 0_us);
}

TEST_CASE("kernel: chains of small kernels between heavy ones are found, with what they would save") {
  built b;
  const auto step = b.step(stage::decode);
  double at = 0;
  const auto run = [&](const char* name, double us, family f, model::gpu_kind kind = model::gpu_kind::kernel) {
    b.add(name, at, us, {.what = f, .step = step, .kind = kind});
    at += us + 1;
  };
  for (int layer = 0; layer < 6; ++layer) {
    run("gemm", 40, family::gemm);
    run("copy", 5, family::elementwise);
    run("Memset (Device)", 1, family::memset, model::gpu_kind::set);   // looked through
    run("pow", 6, family::elementwise);
    run("mean", 3, family::reduce);
    run("attention", 30, family::attention);
    run("alone", 4, family::elementwise);
  }
  run("pow", 6, family::elementwise);                // a seventh pow that is in no chain
  const subject& s = b.finish();
  const sequence seq = sequence_of(s, stage::decode);
  const auto chains = find_chains(s, seq);
  REQUIRE(chains.size() == 1);
  CHECK(chains[0].tokens.size() == 3);
  CHECK(chains[0].repetitions == 6);
  CHECK(chains[0].adjacency == doctest::Approx(100));
  CHECK(chains[0].saving.gone == 48_us);              // 6 x (5 + 3); pow, the longest, stays
  CHECK(chains[0].saving.gain == 48_us);
  CHECK(find_chains(s, seq, {.min_repetitions = 7}).empty());
  CHECK(find_chains(s, seq, {.min_share = 50}).empty());
  CHECK(find_chains(s, seq, {.limit = 0}).empty());
}
