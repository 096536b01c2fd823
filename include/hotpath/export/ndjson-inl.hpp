// SPDX-License-Identifier: Apache-2.0
// hotpath/export/ndjson-inl.hpp - bodies of export/ndjson.hpp
#pragma once
#include <hotpath/export/ndjson.hpp>

namespace hotpath::inline HOTPATH_ABI::exports {

HOTPATH_FN void ndjson_row(std::string& out, const model::request& r, const request_options& options) {
  constexpr std::string_view kinds[] = {"text", "reasoning", "tool_call", "other"};
  json::writer w{out};
  w.object_begin();
  request_columns(r, options, [&](std::string_view name, const auto& value) { w.member(name, value); });
  if (options.chunks) {
    w.key("chunks"), w.array_begin();
    for (auto events = r.chunks.read(); const auto e = events.next();) {
      w.object_begin(), w.member("at_ns", e->at.ns), w.member("kind", kinds[static_cast<std::size_t>(e->kind) & 3]), w.member("exact", e->exact);
      if (e->tokens != 0) w.member("tokens", e->tokens);
      w.object_end();
    }
    w.array_end();
  }
  w.object_end();
  out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
