// SPDX-License-Identifier: Apache-2.0
// hotpath/report/bundle.hpp - several kernel reports as one document, per model and framework, with the comparison across them.
//
//     std::vector<report::bundle_item> all = {{"sglang prefill", sglang}, {"vllm prefill", vllm}};
//     report::bundle_markdown(all, {.title = "Qwen3-8B on MI300X"});
//     report::bundle_html(all);
//
//   Models in the order of the items, within a model SGLang, vLLM, TensorRT-LLM, TokenSpeed, then the others. A model with two or more
//   reports begins with what each spends per stage, step and family.
//   The page needs nothing but itself: no script, no address, no font from elsewhere; its policy (CSP) forbids all of it. Light or dark as the
//   reader's machine says. Text of a trace cannot become an element: one escaper for every place.
//   Same items, same options: same bytes. No items: a document that says so. Thread safety: pure functions.
#pragma once
#include <span>
#include <string>
#include <hotpath/kernel/definitions.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

struct bundle_item {
  std::string label;                // what the reader knows it by; empty: the first input
  kernel::triage_report report;
};

struct bundle_options {
  std::string title = "Kernel triage bundle";
  std::string generated = {};       // a time for the head of the document; empty: none
  bool contents = true;
};

std::string bundle_markdown(std::span<const bundle_item> items, const bundle_options& options = {});
std::string bundle_html(std::span<const bundle_item> items, const bundle_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::report

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/bundle-inl.hpp>
#endif
