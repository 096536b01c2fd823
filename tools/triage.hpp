// SPDX-License-Identifier: Apache-2.0
// tools/triage.hpp - what triage, triage-bundle and diff share: from flags to a report.
#pragma once
#include <string>
#include <hotpath/kernel/definitions.hpp>
#include <hotpath/trace/discover.hpp>
#include "cli.hpp"

namespace tools {

// The input of either shape is there. Errors: of a flag (usage), of a file.
hotpath::result<hotpath::kernel::triage_report> analyse(const triage_flags& f);
exit_code triage_code(const hotpath::error& e);   // nothing to analyse unless a flag is wrong

// What is at a path: traces of the rank looked at (asked for, else the lowest), at least one; those of other ranks.
struct found_traces {
  hotpath::trace::discovery all;
  std::vector<hotpath::trace::found_trace> first, others;
};
hotpath::result<found_traces> find_traces(const std::string& path, std::optional<int> rank);
// What an output must not replace: the file itself, or all of a folder that were looked at, taken or not, and the server's arguments beside them.
std::vector<std::string> files_at(const std::string& path);
hotpath::result<hotpath::model::timeline> read_one_trace(const std::string& path);                       // with a bar while it takes long
hotpath::result<std::optional<hotpath::kernel::stage>> read_stage(const given& v);   // --stage; all: nullopt
hotpath::result<std::string> read_text_file(const std::string& path, std::size_t most);

}  // namespace tools
