// SPDX-License-Identifier: Apache-2.0
// Loads an OpenAI-compatible server with 8 streams and says what its users would have felt.
//   load_and_report http://127.0.0.1:8000 MODEL
#include <cstdio>
#include <hotpath/replay.hpp>
#include <hotpath/serve.hpp>

using namespace hotpath;

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: load_and_report URL MODEL\n", stderr), 2;
  auto load = replay::workload::open("synthetic:input=64,output=32");
  replay::client<> client{{.url = argv[1], .body = {.model = argv[2]}, .warmup = 8}};
  auto sent = client.run(*load, replay::closed({.streams = 8, .requests = 72}));
  if (!sent) return std::fprintf(stderr, "%s\n", sent.error().message().c_str()), 4;

  sent->info.slo = {.ttft = 500_ms, .tpot = 50_ms};
  const serve::report r = serve::summarize(sent->requests, sent->info, sent->client);
  const auto& ttft = r.of(serve::metric::ttft);
  std::printf("ok %lu of %lu, goodput %.1f req/s\n", r.requests.ok, r.requests.sent, r.goodput.per_s.value_or(0));
  std::printf("TTFT p50 %.1f ms, p99 %.1f ms; TPOT p50 %.2f ms\n", ttft.quantile[0], ttft.quantile[3], r.of(serve::metric::tpot).quantile[0]);
  for (const std::string& why : r.client.reasons) std::printf("the client was the limit: %s\n", why.c_str());
  return r.client.limited ? 5 : 0;
}
