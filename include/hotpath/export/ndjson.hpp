// SPDX-License-Identifier: Apache-2.0
// hotpath/export/ndjson.hpp - one JSON object per request and line; the members are the columns of export/requests.hpp.
//
//     exports::ndjson out{sink, {.wall_start = run->info().wall_start, .chunks = true}};
//     run->for_each_request([&](const model::request& r) { out.add(r); });
//     out.finish();
//
//   No value is null, an empty text "". With `chunks` a member "chunks" lists every content event:
//   [{"at_ns":81220000,"kind":"text","exact":true,"tokens":1},…]; tokens only where the server told them.
//   Text is UTF-8 whatever the server sent. Memory: one buffer of 64 KiB and one row.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <hotpath/core/json.hpp>
#include <hotpath/export/requests.hpp>

namespace hotpath::inline HOTPATH_ABI::exports {

// One row and its line feed, appended.
void ndjson_row(std::string& out, const model::request& r, const request_options& options = {});

// Sink: bool(std::string_view bytes), called with whole rows; false ends the export.
template <class Sink>
class ndjson {
 public:
  explicit ndjson(Sink sink, const request_options& options = {}) : sink_(std::move(sink)), options_(options) {}

  // False: the sink has refused, stop.
  bool add(const model::request& r) {
    if (!ok_) return false;
    ndjson_row(rows_, r, options_);
    return rows_.size() < 64u * 1024 || flush();
  }
  bool finish() { return flush(); }

 private:
  bool flush() {
    if (ok_ && !rows_.empty()) ok_ = sink_(std::string_view(rows_));
    rows_.clear();
    return ok_;
  }
  Sink sink_;
  request_options options_;
  std::string rows_;
  bool ok_ = true;
};

}  // namespace hotpath::inline HOTPATH_ABI::exports

#if HOTPATH_HEADER_ONLY
#include <hotpath/export/ndjson-inl.hpp>
#endif
