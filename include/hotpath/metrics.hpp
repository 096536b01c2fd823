// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics.hpp - what inference engines say of themselves over HTTP: pages of Prometheus text and their kin.
//   metrics/parse.hpp   one pass over a page, without copies        metrics/names.hpp   what engines call what we mean
//   metrics/page.hpp    a page read as a model::scrape              metrics/scrape.hpp  before, during and after a load
//   What a sequence of scrapes says of a run: serve/server.hpp.
#pragma once
#include <hotpath/metrics/page.hpp>
#include <hotpath/metrics/scrape.hpp>
