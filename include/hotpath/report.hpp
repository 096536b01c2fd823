// SPDX-License-Identifier: Apache-2.0
// hotpath/report.hpp - what people and programs read: verdict and exit code, text for a terminal, a page that lives there, Markdown, JSON.
#pragma once
#include <hotpath/report/bundle.hpp>
#include <hotpath/report/compare.hpp>
#include <hotpath/report/doctor.hpp>
#include <hotpath/report/json.hpp>
#include <hotpath/report/live.hpp>
#include <hotpath/report/markdown.hpp>
#include <hotpath/report/stats.hpp>
#include <hotpath/report/terminal.hpp>
#include <hotpath/report/text.hpp>
#include <hotpath/report/triage.hpp>
#include <hotpath/report/triage_json.hpp>
#include <hotpath/report/verdict.hpp>
#include <hotpath/report/words.hpp>
