// SPDX-License-Identifier: Apache-2.0
// hotpath/run.hpp - records one measurement. The store is a type of its own: include <hotpath/run/store_sqlite.hpp> beside it.
#pragma once
#include <hotpath/run/record.hpp>
