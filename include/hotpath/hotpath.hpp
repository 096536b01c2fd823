// SPDX-License-Identifier: Apache-2.0
// hotpath/hotpath.hpp - everything that needs only the standard library and Linux.
//   For trying things out, and for the single header. In a program include the part you use: this is the heaviest way.
#pragma once
#include <hotpath/core/atomic.hpp>
#include <hotpath/core/bootstrap.hpp>
#include <hotpath/core/json.hpp>
#include <hotpath/core/pooled.hpp>
#include <hotpath/core/random.hpp>
#include <hotpath/core/result.hpp>
#include <hotpath/core/sketch.hpp>
#include <hotpath/core/stats.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/core/utc.hpp>
#include <hotpath/model/chunk_log.hpp>
#include <hotpath/model/client.hpp>
#include <hotpath/model/clock.hpp>
#include <hotpath/model/loss.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/model/run.hpp>
#include <hotpath/model/scrape.hpp>
#include <hotpath/model/schedule.hpp>
#include <hotpath/kv.hpp>
#include <hotpath/net/fetch.hpp>
#include <hotpath/net/http.hpp>
#include <hotpath/net/loop.hpp>
#include <hotpath/net/stamp.hpp>
#include <hotpath/net/stamp_probe.hpp>
#include <hotpath/net/tcp.hpp>
#include <hotpath/net/url.hpp>
#include <hotpath/control.hpp>
#include <hotpath/export.hpp>
#include <hotpath/metrics.hpp>
#include <hotpath/replay.hpp>
#include <hotpath/report.hpp>
#include <hotpath/run.hpp>
#include <hotpath/serve.hpp>
