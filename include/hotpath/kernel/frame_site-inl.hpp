// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/frame_site-inl.hpp - bodies of frame_site.hpp.
#pragma once
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/frame_site.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace frames {
enum class frame_on : std::uint8_t { path, start, function };
struct frame_rule { frame_on where; std::string_view text; int priority; };
inline constexpr frame_rule rules[] = {
#include <hotpath/kernel/data/frames.inc>
};

// "path(line): function", taken apart.
struct parts { std::string_view path, line, function; };
inline parts take_apart(std::string_view frame) {
  const std::size_t open = frame.find(".py(");
  if (open == std::string_view::npos) return {};
  const std::size_t close = frame.find("): ", open);
  if (close == std::string_view::npos) return {};
  return {frame.substr(0, open + 3), frame.substr(open + 4, close - open - 4), frame.substr(close + 3)};
}

// Where the row's text stands in the path: at the beginning of a name between slashes; npos: nowhere.
inline std::size_t find_in_path(std::string_view path, std::string_view text) {
  for (std::size_t at = path.find(text); at != std::string_view::npos; at = path.find(text, at + 1))
    if ((at == 0 || path[at - 1] == '/') && (text.back() == '/' || at + text.size() == path.size())) return at;
  return std::string_view::npos;
}
}  // namespace frames

HOTPATH_FN int frame_priority(std::string_view frame) {
  const frames::parts p = frames::take_apart(frame);
  int priority = p.path.empty() ? 0 : 35;              // any Python file
  for (const frames::frame_rule& r : frames::rules) {
    const bool fits = r.where == frames::frame_on::start ? frame.starts_with(r.text)
                    : r.where == frames::frame_on::path && frames::find_in_path(p.path, r.text) != std::string_view::npos;
    if (!fits) continue;
    priority = r.priority;
    break;
  }
  if (priority > 0)
    for (const frames::frame_rule& r : frames::rules)
      if (r.where == frames::frame_on::function && p.function == r.text) return priority > r.priority ? priority - r.priority : 1;
  return priority;
}

HOTPATH_FN std::string frame_location(std::string_view frame) {
  const frames::parts p = frames::take_apart(frame);
  if (p.path.empty()) return std::string(frame);
  std::string_view path = p.path;
  std::string out;
  constexpr std::string_view roots[] = {"python/sglang/", "sglang/", "sgl_kernel/", "vllm/", "python/tokenspeed/", "tokenspeed/", "tensorrt_llm/", "site-packages/", "dist-packages/"};
  std::size_t at = std::string_view::npos;
  for (const std::string_view root : roots) {
    if ((at = frames::find_in_path(path, root)) == std::string_view::npos) continue;
    if (root == "sglang/") out = "python/";
    path.remove_prefix(root.ends_with("-packages/") ? at + root.size() : at);
    break;
  }
  if (const std::size_t compiled = path.find("/torchinductor_"); at == std::string_view::npos && compiled != std::string_view::npos) {
    path.remove_prefix(compiled + 1);
    text::take(path, '/');                             // torchinductor_<user>
    out = "torchinductor/";
  } else if (at == std::string_view::npos) {
    for (const std::string_view home : {std::string_view("/home/"), std::string_view("/Users/"), std::string_view("/root/")}) {
      if (!path.starts_with(home)) continue;
      path.remove_prefix(home.size());
      if (home != "/root/") text::take(path, '/');     // whose home it is stays where it was recorded
      break;
    }
  }
  out.append(path).append(":").append(p.line).append(" ").append(p.function);
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
