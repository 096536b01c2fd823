// SPDX-License-Identifier: Apache-2.0
// hotpath/serve.hpp - from requests to figures one may trust: latencies with intervals, rates, goodput, stalls, checks of the
// books, and whether the client was the limit. What each figure means: serve/definitions.hpp and docs/statistics.md.
//
//     auto r = hotpath::serve::summarize(sent.requests, sent.run, sent.client);
//     const auto& ttft = r.of(hotpath::serve::metric::ttft);
//     std::printf("ttft p99 %.1f ms", ttft.quantile[3]);                          // ttft.n == 0: ttft.missing says why
//     if (ttft.ci[3] && ttft.ci[3]->hi) std::printf(" [%.1f, %.1f]", ttft.ci[3]->lo, *ttft.ci[3]->hi);
//     for (const std::string& s : r.findings) std::puts(s.c_str());
//
//   | header | what is in it |
//   | serve/definitions.hpp | the report, and every latency's definition |
//   | serve/summarize.hpp   | summarizer (streams), summarize (all at once) |
//   | serve/latency.hpp     | the latencies of one request, and whether it is good under limits |
//   | serve/throughput.hpp  | rates, goodput, requests in flight over time |
//   | serve/checks.hpp      | gate, conservation checks, the client's self-check |
//   | serve/findings.hpp    | the sentences |
//   An analyzer: it reads no file, opens no socket, prints nothing.
#pragma once
#include <hotpath/serve/checks.hpp>
#include <hotpath/serve/definitions.hpp>
#include <hotpath/serve/findings.hpp>
#include <hotpath/serve/latency.hpp>
#include <hotpath/serve/summarize.hpp>
#include <hotpath/serve/throughput.hpp>
