// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/kernel_labels.hpp - one name per kernel for the whole of a report: its short name, and where two kernels share one, what
// differs in their full names. Not for users.
//
//     kernel_labels l;
//     l.add("void f<float, 128>"), l.add("void f<float, 64>"), l.finish();
//     l.of("void f<float, 64>")     // "f<fp32> [64]"
#pragma once
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

class kernel_labels {
 public:
  // A kernel by its canonical name, which outlives this; its short name where a table has one. Names may come again.
  void add(std::string_view kernel, std::string_view short_name = {});
  void finish();
  // Of a name that was not added: its short name.
  std::string of(std::string_view kernel) const;

 private:
  struct entry {
    std::string_view kernel;
    std::string label;
  };
  std::vector<entry> all_;   // by kernel, each once
};

// What tells names apart, per name: the pieces (template arguments, parts of an identifier) that are not alike in all, as few as do where there are
// many; "" for equal names and where nothing is found. At most 4 KiB of a name are looked at.
std::vector<std::string> differences(const std::vector<std::string_view>& names);

}  // namespace hotpath::inline HOTPATH_ABI::report::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/detail/kernel_labels-inl.hpp>
#endif
