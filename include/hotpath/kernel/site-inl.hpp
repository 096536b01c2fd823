// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/site-inl.hpp - bodies of kernel/site.hpp.
#pragma once
#include <hotpath/kernel/site.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace detail {
inline constexpr std::string_view between_frames = " -> ";
}  // namespace detail

HOTPATH_FN std::uint32_t site_table::intern(const site& s) {
  const auto hash = [](const site& x) {
    std::uint64_t h = x.graph_replay ? 1 : 0;
    for (const name_id part : {x.cpu_op, x.location, x.stack[0], x.stack[1], x.stack[2], x.stack[3], static_cast<name_id>(x.priority)}) h = hotpath::detail::mix(h, part);
    return h;
  };
  const auto next = static_cast<std::uint32_t>(sites_.size());
  const std::uint32_t at = index_.insert(hash(s), next, [&](std::uint32_t i) { return sites_[i] == s; }, [&](std::uint32_t i) { return hash(sites_[i]); });
  if (at == next) sites_.push_back(s);
  return at;
}

HOTPATH_FN std::uint32_t site_table::intern(const site_text& t) {
  site s{.cpu_op = text(t.cpu_op), .location = text(t.location), .priority = t.priority, .graph_replay = t.graph_replay};
  std::string_view rest = t.stack;
  while (!rest.empty()) {
    const std::size_t end = rest.find(detail::between_frames);
    s.stack[0] = s.stack[1], s.stack[1] = s.stack[2], s.stack[2] = s.stack[3], s.stack[3] = text(rest.substr(0, end));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + detail::between_frames.size());
  }
  return intern(s);
}

HOTPATH_FN site_text site_table::told(std::size_t i) const {
  const site& s = sites_[i];
  site_text out{.cpu_op = text(s.cpu_op), .location = text(s.location), .stack = {}, .priority = s.priority, .graph_replay = s.graph_replay};
  for (const name_id frame : s.stack)
    if (frame != 0) out.stack.append(out.stack.empty() ? std::string_view() : detail::between_frames).append(text(frame));
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
