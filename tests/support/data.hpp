// SPDX-License-Identifier: Apache-2.0
// tests/support/data.hpp - test data that may be missing, and how far a test should go.
//   A test without its data is skipped with the reason, counted by tests/run.sh, and fails under --require-data:
//
//     auto path = hotpath_test::data_or_skip("traffic/x.jsonl");   // below $HOTPATH_TEST_DATA
//     if (!path) return;
#pragma once
#include <optional>
#include <string>

namespace hotpath_test {

// Says on the output and in $HOTPATH_SKIP_LOG that the running test case shows nothing, and why. Fails it under HOTPATH_REQUIRE_DATA=1.
void skip(const std::string& reason);

// The path of a file or folder below $HOTPATH_TEST_DATA. nullopt: it is not there, and the test case was skipped; return.
std::optional<std::string> data_or_skip(const std::string& relative);

// True in `tests/run.sh --full`: repeat as often as the specification of the test says, instead of the scaled count.
bool full();

// True when a sanitizer is in this build: memory in use and durations say nothing then, and repeats cost ten times as much.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif
#else
inline constexpr bool sanitized = false;
#endif

// False: no pseudo terminal can be had here (a root without /dev/pts), and the test case was skipped; return.
bool pty_or_skip();

// The repository's root, for files that are committed: source_dir() + "/tests/data/...".
const char* source_dir();

}  // namespace hotpath_test
