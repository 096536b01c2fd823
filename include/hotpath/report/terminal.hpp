// SPDX-License-Identifier: Apache-2.0
// hotpath/report/terminal.hpp - a page that is drawn over itself at the end of a terminal, and leaves nothing behind.
//
//     report::screen screen{2};                      // stderr
//     if (screen.usable()) screen.draw(lines);       // in place of the page before, in one write
//     screen.clear();                                // gone; what is printed next stands where it began
//
//   The size is asked before each page, so a resize costs at most one: lines that the terminal wrapped meanwhile are counted as it
//   wraps them. The cursor is hidden while a page stands, and shown again by clear(), the destructor, and any signal that would end or
//   stop the process and that nobody else handles (those keep their default effect). After a stop (Ctrl-Z) the next page begins afresh.
//   Not usable: no terminal, or one that says it is dumb. One screen per process at a time. Thread safety: none but for signals.
#pragma once
#include <cstddef>
#include <string>
#include <vector>
#include <hotpath/core/atomic.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

struct terminal_size {
  std::size_t columns = 80, rows = 24;
};
// Of the terminal behind the descriptor; what it does not tell is as it was in `otherwise`.
terminal_size size_of(int descriptor, terminal_size otherwise = {});

class screen {
 public:
  explicit screen(int descriptor);
  ~screen();
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;

  bool usable() const { return usable_; }
  terminal_size size() const { return size_of(descriptor_); }
  // Lines without line ends; colour codes (ESC [ … m) are the only controls in them. At most size().rows - 1 of them are drawn.
  void draw(const std::vector<std::string>& lines);
  void clear();

 private:
  void erase(std::string& out, std::size_t columns, std::size_t rows);
  int descriptor_;
  bool usable_ = false;
  std::vector<std::size_t> drawn_;  // columns of each line that stands
};

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/terminal-inl.hpp>
#endif
