// SPDX-License-Identifier: Apache-2.0
// hotpath/export/csv-inl.hpp - bodies of export/csv.hpp
#pragma once
#include <hotpath/export/csv.hpp>

namespace hotpath::inline HOTPATH_ABI::exports {

HOTPATH_FN void csv_header(std::string& out, const request_options& options) {
  text::csv_writer w{out};
  request_columns(model::request{}, options, [&](std::string_view name, const auto&) { w.field(name); });
  w.end_row();
}

HOTPATH_FN void csv_row(std::string& out, const model::request& r, const request_options& options) {
  text::csv_writer w{out, {.formula_guard = options.formula_guard}};
  request_columns(r, options, [&](std::string_view, const auto& value) { w.field(value); });
  w.end_row();
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
