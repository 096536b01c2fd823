// SPDX-License-Identifier: Apache-2.0
// tools/live_view.hpp - what stands on stderr while a load goes on: a page on a terminal, one line every five seconds elsewhere.
#pragma once
#include <mutex>
#include <hotpath/report/live.hpp>
#include <hotpath/report/terminal.hpp>
#include "cli.hpp"

namespace tools {

class live_view {
 public:
  void describe(std::string title, const hotpath::model::schedule& plan);
  void show(const hotpath::model::progress& p);
  void add(const hotpath::model::scrape& s);  // from any thread
  void note(std::string_view words);          // said, and it stays above the page
  void clear();

 private:
  const terminal terminal_ = terminal_of(2);
  hotpath::report::screen screen_{2};
  std::mutex mutex_;                          // between the client's thread and the scraper's
  hotpath::report::live_meter meter_;
  hotpath::nanoseconds shown_{};              // of the last plain line
};

}  // namespace tools
