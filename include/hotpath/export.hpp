// SPDX-License-Identifier: Apache-2.0
// hotpath/export.hpp - the requests of a run for other programs, as CSV and as NDJSON. Namespace exports (the word is a keyword).
#pragma once
#include <hotpath/export/csv.hpp>
#include <hotpath/export/ndjson.hpp>
