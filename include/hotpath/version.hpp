// SPDX-License-Identifier: Apache-2.0
// hotpath/version.hpp - the one place that holds the version. CMake, the single headers and `hotpath version` read it here.
#pragma once

// major * 10000 + minor * 100 + patch. No leading zero: that would be octal.
#define HOTPATH_VERSION 100
#define HOTPATH_VERSION_STRING "0.1.0"
