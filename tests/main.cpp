// SPDX-License-Identifier: Apache-2.0
// main of every test executable: compiled once, linked by hotpath_test().
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
