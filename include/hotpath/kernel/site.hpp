// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/site.hpp - where in the program kernels are launched: an operator, a source line, the frames around it. Each such place is kept once, its
//   texts as numbers: 40 to 48 bytes a site, however long its stack.
//
//     kernel::site_table sites;
//     const std::uint32_t at = sites.intern({.cpu_op = "aten::mm", .location = "vllm/model_executor/layers/linear.py:7 forward"});
//     sites.told(at).location;                             // as text again
//
//   Thread safety: none for intern().
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/name_table.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

struct site {                                     // texts are numbers of site_table::text(); 0: not known
  name_id cpu_op = 0, location = 0;
  name_id stack[4] = {};                          // the innermost four frames that are not noise, the innermost last
  std::int32_t priority = 0;                      // of the location, for choosing what to show; > 200: the framework's own code
  bool graph_replay = false;                      // location is that of the replay: "graph replay of batch 32", not a source line
  bool operator==(const site&) const = default;
};

struct site_text {                                // the same in words; views live as long as the table
  std::string_view cpu_op = {};                   // "aten::mm"; empty: not known
  std::string_view location = {};                 // "python/sglang/srt/layers/linear.py:123 forward"; empty: not known
  std::string stack = {};                         // frames joined with " -> "
  int priority = 0;
  bool graph_replay = false;
};

class site_table {
 public:
  name_id text(std::string_view s) { return texts_.intern(s); }
  std::string_view text(name_id id) const { return texts_[id]; }
  std::size_t texts() const { return texts_.size(); }      // their numbers are 0 .. texts() - 1

  // The number of the site: a new one, or that of an equal one.
  std::uint32_t intern(const site& s);
  std::uint32_t intern(const site_text& s);
  const site& operator[](std::size_t i) const { return sites_[i]; }
  site_text told(std::size_t i) const;
  std::size_t size() const { return sites_.size(); }
  bool empty() const { return sites_.empty(); }

 private:
  std::vector<site> sites_;
  name_table texts_;
  hotpath::detail::row_index index_;
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/site-inl.hpp>
#endif
