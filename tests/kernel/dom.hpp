// SPDX-License-Identifier: Apache-2.0
// tests/kernel/dom.hpp - a torch trace by way of a DOM, nothing shared with the reader that is shipped: what the analyzers are tested on, and an oracle.
//   Keeps what the analyzers look at. Slow, and all in memory.
#pragma once
#include <cstdint>
#include <string>
#include <hotpath/model/timeline.hpp>

namespace hotpath_test {
// `path` ends in .json.gz; gzip unpacks it. An unreadable file fails the test case.
hotpath::model::timeline load_dom(const std::string& path);
}  // namespace hotpath_test
