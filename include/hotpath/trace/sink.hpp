// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/sink.hpp - where the writers of traces put their bytes: any callable that takes a std::string_view and says whether it worked.
//
//     std::string out;
//     auto keep = [&](std::string_view bytes) { out += bytes; return true; };
//     trace::write_chrome(timeline, keep);
//
//   A reference to the callable, which outlives the call; one indirect call per 64 KiB.
#pragma once
#include <string_view>
#include <type_traits>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::trace {

class byte_sink {
 public:
  template <class F>
    requires(std::is_invocable_r_v<bool, F&, std::string_view> && !std::is_same_v<std::remove_cv_t<F>, byte_sink>)
  byte_sink(F& f) : self_(&f), call_([](void* self, std::string_view bytes) -> bool { return (*static_cast<F*>(self))(bytes); }) {}
  // False: no more is wanted; the writer stops.
  bool operator()(std::string_view bytes) const { return call_(self_, bytes); }

 private:
  void* self_;
  bool (*call_)(void*, std::string_view);
};

}  // namespace hotpath::inline HOTPATH_ABI::trace
