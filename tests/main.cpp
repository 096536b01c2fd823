// SPDX-License-Identifier: Apache-2.0
// main of every test executable and the helpers of support/data.hpp: compiled once, linked by hotpath_test().
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include "support/data.hpp"

namespace {
unsigned cases_selected = 0;
const char* running_case = "";

// Remembers the name of the running case, which a skip has to give.
struct case_names : doctest::IReporter {
  explicit case_names(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& s) override { cases_selected = s.numTestCasesPassingFilters; }
  void test_case_start(const doctest::TestCaseData& c) override { running_case = c.m_name; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("case_names", 1, case_names);

bool is_set(const char* name) {
  const char* v = std::getenv(name);
  return v != nullptr && *v != '\0' && std::strcmp(v, "0") != 0;
}
}  // namespace

namespace hotpath_test {

void skip(const std::string& reason) {
  if (is_set("HOTPATH_REQUIRE_DATA")) FAIL("would be skipped, but data is required: " << reason);
  MESSAGE("skipped: " << reason);
  const char* log = std::getenv("HOTPATH_SKIP_LOG");
  std::FILE* f = log != nullptr && *log != '\0' ? std::fopen(log, "a") : nullptr;
  if (f == nullptr) return;
  const std::string line = std::string(running_case) + "\t" + reason + "\n";  // one write: executables run side by side
  std::fwrite(line.data(), 1, line.size(), f);
  std::fclose(f);
}

std::optional<std::string> data_or_skip(const std::string& relative) {
  const char* root = std::getenv("HOTPATH_TEST_DATA");
  if (root == nullptr || *root == '\0') {
    skip("HOTPATH_TEST_DATA is not set, wanted " + relative);
    return std::nullopt;
  }
  std::string path = std::string(root) + "/" + relative;
  if (access(path.c_str(), R_OK) != 0) {
    skip(relative + " is not in HOTPATH_TEST_DATA");
    return std::nullopt;
  }
  return path;
}

bool pty_or_skip() {
  const int fd = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return skip("no pseudo terminal: /dev/ptmx does not open"), false;
  ::close(fd);
  return true;
}
bool full() { return is_set("HOTPATH_FULL"); }
const char* source_dir() { return HOTPATH_SOURCE_DIR; }

}  // namespace hotpath_test

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int rc = context.run();
  if (!context.shouldExit() && cases_selected == 0) {
    std::fputs("no test case passed the filter: this run shows nothing\n", stderr);
    return 1;
  }
  return rc;
}
