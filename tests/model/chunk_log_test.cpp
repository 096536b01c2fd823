// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <string>
#include <vector>
#include <hotpath/core/random.hpp>
#include <hotpath/model/chunk_log.hpp>
#include <hotpath/model/request.hpp>

using namespace hotpath;
using model::chunk_log;
using model::content_event;

namespace {
bool same(const content_event& a, const content_event& b) {
  return a.at == b.at && a.tokens == b.tokens && a.kind == b.kind && a.exact == b.exact && a.kernel == b.kernel;
}
std::vector<content_event> all(const chunk_log& log) {
  std::vector<content_event> v;
  for (auto r = log.read(); auto e = r.next();) v.push_back(*e);
  return v;
}
}  // namespace

TEST_CASE("model: a chunk log gives back every event, also far apart, backwards and with token counts") {
  stats::xoshiro256 random{11};
  std::vector<content_event> in;
  std::int64_t at = 0;
  for (int i = 0; i < 20'000; ++i) {
    at += static_cast<std::int64_t>(random.below(std::uint64_t{1} << random.below(50))) - (random.below(10) == 0 ? 5'000 : 0);
    in.push_back({.at = nanoseconds{at}, .tokens = static_cast<std::uint32_t>(random.below(3) == 0 ? random.below(100'000) : 0),
                  .kind = static_cast<model::content_kind>(random.below(3)), .exact = random.below(2) == 0, .kernel = random.below(2) == 0});
  }
  chunk_log log;
  std::size_t inexact = 0;
  for (const auto& e : in) log.append(e), inexact += e.exact ? 0 : 1;
  CHECK(log.count() == in.size());
  CHECK(log.inexact() == inexact);
  const auto out = all(log);
  REQUIRE(out.size() == in.size());
  for (std::size_t i = 0; i < in.size(); ++i) REQUIRE(same(in[i], out[i]));
  const auto again = chunk_log::from_bytes(log.bytes());
  CHECK(again.count() == log.count());
  CHECK(again.inexact() == log.inexact());
}

TEST_CASE("model: 200 events 25 ms apart take 4 bytes each, and an empty log none") {
  chunk_log log;
  CHECK(log.empty());
  for (int i = 1; i <= 200; ++i) log.append({.at = nanoseconds{i * 25'000'000LL + i % 7 * 1'000}, .exact = true, .kernel = true});
  CHECK(log.bytes().size() <= 5 * 200);
  CHECK(log.bytes().size() >= 3 * 200);
}

TEST_CASE("model: damaged bytes end a chunk log early and say so") {
  chunk_log log;
  for (int i = 1; i <= 50; ++i) log.append({.at = nanoseconds{i * 1'000'000'000LL}, .tokens = 7});
  for (std::size_t cut = 0; cut < log.bytes().size(); ++cut) {
    const std::string bytes = log.bytes().substr(0, cut);
    chunk_log::reader r{bytes};
    std::size_t n = 0;
    while (r.next()) ++n;
    CHECK(n <= 50);
    CHECK(chunk_log::from_bytes(bytes).count() == n);
  }
  chunk_log::reader endless{std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)};
  CHECK_FALSE(endless.next());
  CHECK(endless.damaged());
}

TEST_CASE("model: the names of the error classes are the public ones, in the order of their values") {
  CHECK(name_of(model::error_class::connect_refused) == "connect_refused");
  CHECK(name_of(model::error_class::rejected) == "rejected");
  CHECK(name_of(model::error_class::client_limit) == "client_limit");
  CHECK(name_of(model::error_class::cancelled) == "cancelled");
  CHECK(model::error_class_count == 21);
}
