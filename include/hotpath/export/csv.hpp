// SPDX-License-Identifier: Apache-2.0
// hotpath/export/csv.hpp - one line per request, RFC 4180, for spreadsheets, DuckDB, pandas.
//
//     exports::csv out{[](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size(); },
//                      {.wall_start = run->info().wall_start}};
//     run->for_each_request([&](const model::request& r) { out.add(r); });
//     out.finish();                                  // false: the sink refused, nothing was written after that
//
//   A header line, then one row per request; columns: export/requests.hpp. No value is an empty field. Lines end with LF.
//   Numbers are the shortest text that reads back the same, whatever the locale. Memory: one buffer of 64 KiB and one row.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <hotpath/core/text.hpp>
#include <hotpath/export/requests.hpp>

namespace hotpath::inline HOTPATH_ABI::exports {

// Rows as text, appended: for those who want no sink.
void csv_header(std::string& out, const request_options& options = {});
void csv_row(std::string& out, const model::request& r, const request_options& options = {});

// Sink: bool(std::string_view bytes), called with whole rows; false ends the export.
template <class Sink>
class csv {
 public:
  explicit csv(Sink sink, const request_options& options = {}) : sink_(std::move(sink)), options_(options) { csv_header(rows_, options_); }

  // False: the sink has refused, stop.
  bool add(const model::request& r) {
    if (!ok_) return false;
    csv_row(rows_, r, options_);
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
#include <hotpath/export/csv-inl.hpp>
#endif
