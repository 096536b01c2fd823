// SPDX-License-Identifier: Apache-2.0
// A locale with a decimal comma, made by the test: the machine need not have it installed.
#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include "../support/data.hpp"
#include "../support/temp_dir.hpp"

namespace {

// Sets the C locale of the process to German for its lifetime.
class german_locale {
 public:
  german_locale() {
    std::string target = folder_.file("de_DE.UTF-8");
    char name[] = "localedef", quiet[] = "--quiet", i[] = "-i", input[] = "de_DE", f[] = "-f", charmap[] = "UTF-8";
    char* const arguments[] = {name, quiet, i, input, f, charmap, target.data(), nullptr};
    pid_t child = 0;
    int status = 0;
    if (posix_spawnp(&child, "localedef", nullptr, nullptr, arguments, environ) == 0) waitpid(child, &status, 0);
    setenv("LOCPATH", folder_.path().c_str(), 1);
    active_ = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
    unsetenv("LOCPATH");
  }
  ~german_locale() { std::setlocale(LC_ALL, "C"); }
  german_locale(const german_locale&) = delete;
  german_locale& operator=(const german_locale&) = delete;
  bool active() const { return active_; }

 private:
  hotpath_test::temp_dir folder_;
  bool active_ = false;
};

}  // namespace

TEST_CASE("text: G6 no number changes under LC_ALL=de_DE, neither read nor written, in JSON, CSV and durations") {
  const german_locale locale;
  if (!locale.active()) return hotpath_test::skip("localedef cannot make de_DE.UTF-8 (package locales)");
  char comma[16];
  std::snprintf(comma, sizeof comma, "%.1f", 1.5);
  REQUIRE(std::string(comma) == "1,5");  // else the test shows nothing

  namespace json = hotpath::json;
  namespace text = hotpath::text;
  std::string out;
  json::writer w(out);
  w.array_begin();
  w.value(1234567.5);
  w.value(-0.25);
  w.value(1e300);
  w.value(std::int64_t{1234567});
  w.array_end();
  CHECK(out == "[1234567.5,-0.25,1e+300,1234567]");

  json::reader in("[1234567.5,-2.5e-3,123456789.012345678901234567890123456789]");
  double sum = 0;
  CHECK(in.array([&] {
    double v = 0;
    CHECK(in.number(v));
    sum += v;
  }));
  CHECK(in.finish());
  CHECK(sum == 1234567.5 - 2.5e-3 + 123456789.012345678901234567890123456789);
  json::reader german("[1,5]");
  int elements = 0;
  german.array([&] { ++elements; });
  CHECK(elements == 2);

  double d = 0;
  CHECK(text::to_number("2.5", d));
  CHECK(d == 2.5);
  CHECK_FALSE(text::to_number("2,5", d));
  CHECK(text::parse_duration("1.5s")->ns == 1'500'000'000);
  CHECK(text::parse_number<double>("1.5", 0, 1).error().detail == "\"1.5\" is out of range, want a number from 0 to 1");
  std::string row;
  text::csv_writer csv(row);
  csv.field(0.5);
  csv.field(1234567);
  csv.end_row();
  CHECK(row == "0.5,1234567\n");
}
