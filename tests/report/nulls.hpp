// SPDX-License-Identifier: Apache-2.0
// tests/report/nulls.hpp - the rule of `missing`: each null has a reason there, each reason leads to a null.
#pragma once
#include <nlohmann/json.hpp>
#include <set>
#include <string>

// One line per breach.
inline std::string null_errors(const nlohmann::json& report) {
  std::set<std::string> reasons, used;
  for (const auto& [path, why] : report.at("missing").items()) reasons.insert(path);
  std::string errors;
  const auto walk = [&](const auto& self, const nlohmann::json& v, const std::string& path) -> void {
    if (v.is_null()) {
      const std::string any = path.ends_with(']') ? path.substr(0, path.rfind('[')) + "[*]" : path;
      if (reasons.count(path) != 0) used.insert(path);
      else if (reasons.count(any) != 0) used.insert(any);
      else errors += path + " is null without a reason\n";
    } else if (v.is_object()) {
      for (const auto& [k, child] : v.items()) self(self, child, path.empty() ? k : path + "." + k);
    } else if (v.is_array()) {
      for (std::size_t i = 0; i < v.size(); ++i) self(self, v[i], path + "[" + std::to_string(i) + "]");
    }
  };
  walk(walk, report, "");
  for (const std::string& r : reasons) if (used.count(r) == 0) errors += "missing: " + r + " is not null\n";
  return errors;
}
