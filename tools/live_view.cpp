// SPDX-License-Identifier: Apache-2.0
// tools/live_view.cpp - see live_view.hpp.
#include "live_view.hpp"

namespace tools {

using namespace hotpath;

void live_view::describe(std::string title, const model::schedule& plan) {
  const std::lock_guard lock{mutex_};
  meter_.describe(std::move(title), plan);
}

void live_view::show(const model::progress& p) {
  const std::lock_guard lock{mutex_};
  meter_.add(p);
  if (screen_.usable()) {
    const report::terminal_size now = screen_.size();
    // One column stays free: a line that ends on the last one wraps when the terminal gets narrower.
    screen_.draw(report::live_page(meter_.state(), {.width = now.columns - (now.columns > 1 ? 1 : 0), .height = now.rows - (now.rows > 1 ? 1 : 0),
                                                    .color = terminal_.color, .ascii = terminal_.ascii}));
  } else if (p.elapsed - shown_ >= 5_s) {
    shown_ = p.elapsed;
    say(report::live_line(meter_.state()));
  }
}

void live_view::add(const model::scrape& s) {
  const std::lock_guard lock{mutex_};
  meter_.add(s);
}

void live_view::note(std::string_view words) {
  screen_.clear();
  say(words);
}

void live_view::clear() { screen_.clear(); }

}  // namespace tools
