// SPDX-License-Identifier: Apache-2.0
// hotpath/model/diagnosis.hpp - what a machine and an endpoint offer for measuring, row by row, and what to do about each gap.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::model {

enum class condition : std::uint8_t { pass, warn, fail, unknown };
inline constexpr std::string_view condition_names[] = {"PASS", "WARN", "FAIL", "unknown"};
constexpr std::string_view name_of(condition c) { return condition_names[static_cast<std::size_t>(c)]; }

struct symptom {
  std::string group, name;        // "clocks", "receive stamps"
  condition state = condition::unknown;
  bool limits = false;            // of a warning: a measurement made now lacks something, or cannot be trusted in full
  std::string value;              // what was found: "1,024 open files"
  std::string meaning;            // what follows from it
  std::string next;               // what to do; empty where nothing is to be done
};

struct diagnosis {
  std::string endpoint;           // without credentials; empty: only the machine was looked at
  std::vector<symptom> rows;

  // Something failed, or a warning limits what can be measured.
  bool limited() const {
    for (const symptom& s : rows)
      if (s.state == condition::fail || (s.state == condition::warn && s.limits)) return true;
    return false;
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
