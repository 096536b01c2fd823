// SPDX-License-Identifier: Apache-2.0
#include "dom.hpp"

#include <cmath>
#include <cstdio>
#include <doctest/doctest.h>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

namespace hotpath_test {
namespace {
using hotpath::nanoseconds;
using json = nlohmann::json;

std::string text_of(const json& v) { return v.is_string() ? v.get<std::string>() : v.dump(); }

std::uint64_t id_of(const json& args, const char* key) {
  if (!args.contains(key)) return hotpath::model::no_id;
  const json& v = args[key];
  if (v.is_number()) return v.get<std::uint64_t>();
  return v.is_string() && !v.get<std::string>().empty() ? std::stoull(v.get<std::string>()) : hotpath::model::no_id;
}

// The samples have three decimals at most; times near 1.7e15 us have lost digits in a double, so that they are a quarter of a microsecond off.
nanoseconds time_of(const json& v) {
  const double us = v.is_string() ? std::stod(v.get<std::string>()) : v.get<double>();
  return nanoseconds(std::llround(us * 1000.0));
}
}  // namespace

hotpath::model::timeline load_dom(const std::string& path) {
  namespace model = hotpath::model;
  std::string text;
  if (FILE* p = popen(("gzip -dc '" + path + "'").c_str(), "r")) {
    char block[65536];
    for (std::size_t n; (n = fread(block, 1, sizeof block, p)) > 0;) text.append(block, n);
    pclose(p);
  }
  const json root = json::parse(text, nullptr, false);
  REQUIRE_MESSAGE(root.is_object(), path);
  model::timeline t;
  std::map<std::pair<std::string, std::string>, std::uint32_t> tracks;
  t.processes.resize(1);
  for (const json& e : root["traceEvents"]) {
    if (!e.is_object() || e.value("ph", "") != "X" || !e.contains("ts") || !e.contains("dur")) continue;
    const std::string cat = e.contains("cat") ? text_of(e["cat"]) : "";
    const std::string name = e.contains("name") ? text_of(e["name"]) : "";
    const json args = e.contains("args") && e["args"].is_object() ? e["args"] : json::object();
    const std::string pid = text_of(e["pid"]), tid = text_of(e["tid"]);
    const auto [at, fresh] = tracks.try_emplace({pid, tid}, static_cast<std::uint32_t>(t.tracks.size()));
    if (fresh) t.tracks.push_back({.pid = t.names.intern(pid), .tid = t.names.intern(tid)});
    const std::uint32_t track = at->second;
    const nanoseconds begin = time_of(e["ts"]), duration = time_of(e["dur"]);
    const hotpath::name_id n = t.names.intern(name);
    const std::uint64_t correlation = id_of(args, "correlation"), external = id_of(args, "External id");
    std::uint32_t detail = 0;
    if (args.contains("grid") && args.contains("block")) {
      model::gpu_detail d;
      for (std::size_t i = 0; i < 3; ++i) d.grid[i] = args["grid"][i].get<std::uint32_t>(), d.block[i] = args["block"][i].get<std::uint32_t>();
      t.details.push_back(d);
      detail = static_cast<std::uint32_t>(t.details.size() - 1);
    }
    if (cat == "kernel" || cat == "gpu_memcpy" || cat == "gpu_memset") {
      t.gpu.push_back({.begin = begin, .duration = duration, .correlation = correlation, .external = external, .name = n,
                       .stream = args.contains("stream") ? static_cast<std::uint32_t>(std::stoul(text_of(args["stream"]))) : model::no_index, .detail = detail,
                       .track = track, .device = static_cast<std::uint16_t>(args.value("device", 0)),
                       .kind = cat == "kernel" ? model::gpu_kind::kernel : cat == "gpu_memcpy" ? model::gpu_kind::copy : model::gpu_kind::set});
    } else if (cat == "cuda_runtime" || cat == "cuda_driver") {
      t.api.push_back({.begin = begin, .duration = duration, .correlation = correlation, .external = external, .name = n, .track = track,
                       .kernel = args.contains("kernel") ? t.names.intern(text_of(args["kernel"])) : 0, .detail = detail});
    } else if (cat == "cpu_op") {
      t.ops.push_back({.begin = begin, .duration = duration, .external = external, .name = n, .track = track});
    } else if (cat == "python_function") {
      t.frames.push_back({.begin = begin, .duration = duration, .name = n, .track = track});
    } else if (cat == "user_annotation" || cat == "gpu_user_annotation") {
      t.annotations.push_back({.begin = begin, .duration = duration, .external = external, .name = n, .track = track,
                               .kind = cat[0] == 'g' ? model::annotation_kind::gpu_user : model::annotation_kind::user});
    }
  }
  t.sort();
  return t;
}
}  // namespace hotpath_test
