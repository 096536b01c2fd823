// SPDX-License-Identifier: Apache-2.0
// hotpath/replay.hpp - traffic in, load out, one record per request: the load client for OpenAI-compatible servers.
//
//     auto load = hotpath::replay::workload::open("synthetic:input=512,output=128");
//     hotpath::replay::client<> client{{.url = "http://127.0.0.1:8000", .body = {.model = "llama"}}};
//     auto sent = client.run(*load, hotpath::replay::closed({.streams = 16, .requests = 200}));
#pragma once
#include <hotpath/replay/client.hpp>
#include <hotpath/replay/exchange.hpp>
#include <hotpath/replay/schedule.hpp>
#include <hotpath/replay/workload.hpp>
