// SPDX-License-Identifier: Apache-2.0
// tests/report/golden.hpp - tests/golden/NAME holds exactly this text. HOTPATH_UPDATE_GOLDEN=1 writes it instead.
#pragma once
#include <doctest/doctest.h>
#include <cstdlib>
#include <fstream>
#include <string>
#include <support/data.hpp>

inline void check_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(hotpath_test::source_dir()) + "/tests/golden/" + name;
  if (std::getenv("HOTPATH_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  const std::string want((std::istreambuf_iterator<char>(in)), {});
  INFO("if the change is meant, run this test with HOTPATH_UPDATE_GOLDEN=1 and look at the difference");
  CHECK(text == want);
}
