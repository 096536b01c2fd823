// SPDX-License-Identifier: Apache-2.0
// tools/serve_report.hpp - the one way from a stored run to a printed report: serve-profile ends with it, serve-report is it.
#pragma once
#include "cli.hpp"

namespace tools {

// `slo` replaces the limits that are stored with the run.
exit_code print_report(const std::string& path, const std::string& format, const std::optional<hotpath::model::slo>& slo,
                       const hotpath::report::judge_options& judge);

}  // namespace tools
