// SPDX-License-Identifier: Apache-2.0
// hotpath/report/doctor-inl.hpp - bodies of report/doctor.hpp
#pragma once
#include <hotpath/core/json.hpp>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/report/doctor.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

HOTPATH_FN std::string text(const model::diagnosis& d, const text_options& o) {
  using detail::style;
  detail::page page{o.width < 60 ? 60 : o.width > 132 ? 132 : o.width, o.color, o.ascii};
  std::uint64_t fails = 0, limits = 0, warns = 0;
  for (const model::symptom& s : d.rows) {
    if (s.state == model::condition::fail) ++fails;
    else if (s.state == model::condition::warn) ++(s.limits ? limits : warns);
  }
  const std::string_view word = fails != 0 ? " FAIL " : limits != 0 ? " LIMITED " : " OK ";
  std::string summary = fails + limits == 0 ? "nothing here stands in the way of a measurement" : "";
  const auto say = [&](std::uint64_t n, std::string_view what) {
    if (n != 0) summary += (summary.empty() ? "" : ", ") + words::count(n) + " " + std::string(what);
  };
  say(fails, fails == 1 ? "fails" : "fail"), say(limits, limits == 1 ? "limits what can be measured" : "limit what can be measured");
  if (fails + limits != 0) say(warns, "more to know");
  page.wrapped(page.paint(fails != 0 ? style::bad_badge : limits != 0 ? style::warn_badge : style::good_badge, word), word.size(), word.size() + 1, summary, style::bold);

  constexpr std::size_t name_at = 9, text_at = 29;
  std::string_view group;
  for (const model::symptom& s : d.rows) {
    if (s.group != group) {
      group = s.group;
      std::string title = page.clean(s.group, 64);
      if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] = static_cast<char>(title[0] - ('a' - 'A'));
      page.heading(title, s.group == "endpoint" ? page.clean(d.endpoint, 256) : std::string());
    }
    const style tone = s.state == model::condition::pass ? style::good : s.state == model::condition::fail ? style::bad : s.state == model::condition::warn && s.limits ? style::warn : style::dim;
    const std::string_view state = name_of(s.state);
    const std::string name = page.clean(s.name, 64);
    std::string first = page.paint(tone, state) + std::string(name_at - state.size(), ' ') + name;
    std::string t = page.clean(s.value, 512);
    if (!s.meaning.empty()) t += (t.empty() ? "" : std::string(page.mark(" \u00B7 ", ": "))) + page.clean(s.meaning, 1024);
    page.wrapped(first, name_at + detail::columns_of(name), text_at, t);
    if (!s.next.empty()) {
      const std::string_view arrow = page.mark("\u2192 ", "> ");
      page.wrapped(std::string(text_at - 2, ' ') + page.paint(style::warn, arrow), text_at, text_at, page.clean(s.next, 1024), s.state == model::condition::pass ? style::plain : style::bold);
    }
  }
  return page.take();
}

HOTPATH_FN std::string json(const model::diagnosis& d, int indent) {
  std::string out;
  json::writer w{out, indent};
  w.object_begin();
  w.member("schema", "hotpath.doctor/1");
  w.member("limited", d.limited());
  w.key("endpoint");
  if (d.endpoint.empty()) w.null();
  else w.value(d.endpoint);
  w.key("rows");
  w.array_begin();
  for (const model::symptom& s : d.rows) {
    w.object_begin();
    w.member("group", s.group), w.member("name", s.name), w.member("state", name_of(s.state)), w.member("limits", s.limits);
    w.member("value", s.value), w.member("meaning", s.meaning), w.member("next", s.next);
    w.object_end();
  }
  w.array_end();
  w.object_end();
  return out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::report
