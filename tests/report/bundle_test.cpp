// SPDX-License-Identifier: Apache-2.0
// report/bundle.hpp: several kernel reports in one document, and that nothing of a trace becomes part of it but as text.
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/across.hpp>
#include <hotpath/report/bundle.hpp>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/temp_dir.hpp>
#include "golden.hpp"
#include "triage_samples.hpp"

using namespace hotpath;
using document = nlohmann::json;

namespace {

std::vector<report::bundle_item> two_frameworks() {
  kernel::triage_report other = triage_samples::good();
  other.framework = "vllm", other.inputs = {"dp0_pp0_tp0.pt.trace.json.gz"};
  for (auto& t : other.kernels) t.steps *= 2;
  other.kernels[1].by_family.pop_back();
  kernel::triage_report third = triage_samples::empty();
  third.model = "another/model";
  return {{"vllm run", other}, {"sglang run", triage_samples::good()}, {"", third}};
}

// What Python's HTML parser finds: per page its elements in order, the attributes, the text.
document parsed(const std::vector<std::string>& pages) {
  static constexpr std::string_view program = R"py(
import html.parser, json, sys
class P(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True); self.tags = []; self.attributes = []; self.open = []; self.style = self.text = ''; self.bad = []
    def handle_starttag(self, tag, attributes):
        self.tags.append(tag); self.attributes += [[tag, k, v] for k, v in attributes]
        if tag not in ('meta', 'br'): self.open.append(tag)
    def handle_endtag(self, tag):
        self.tags.append('/' + tag)
        if not self.open or self.open.pop() != tag: self.bad.append(tag)
    def handle_data(self, data):
        if self.open and self.open[-1] == 'style': self.style += data
        else: self.text += data
    def handle_comment(self, data): self.bad.append('comment')
    def handle_pi(self, data): self.bad.append('pi')
    def unknown_decl(self, data): self.bad.append('decl')
out = []
for path in sys.argv[1:]:
    p = P(); p.feed(open(path, encoding='utf-8', newline='').read()); p.close()
    out.append({'tags': p.tags, 'attributes': p.attributes, 'open': p.open, 'bad': p.bad, 'style': p.style, 'text': p.text})
json.dump(out, sys.stdout)
)py";
  const hotpath_test::temp_dir dir;
  std::vector<std::string> argv = {"python3", "-c", std::string(program)};
  for (std::size_t i = 0; i < pages.size(); ++i) argv.push_back(dir.write(std::to_string(i) + ".html", pages[i]));
  const auto done = hotpath_test::run(argv, {.environment = {{"PYTHONIOENCODING", "utf-8"}}});
  REQUIRE_MESSAGE(done.code == 0, done.err);
  return document::parse(done.out);
}

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

TEST_CASE("report: a bundle has its models, frameworks, contents and the comparison across them") {
  const auto items = two_frameworks();
  const std::string md = report::bundle_markdown(items, {.title = "Two engines", .generated = "2026-11-23T00:00:00Z"});
  check_golden("triage_bundle.md", md);
  const std::string html = report::bundle_html(items, {.title = "Two engines", .generated = "2026-11-23T00:00:00Z"});
  check_golden("triage_bundle.html", html);
  for (const std::string& page : {md, html}) {
    CHECK(page.find("SGLang: sglang run") < page.find("vLLM: vllm run"));  // SGLang first, however they were given
    CHECK(has(page, "20.0 ms per step") == false);                         // of gemm in decode: 20 ms in 2 steps, and in 4
    CHECK(has(page, "10.0 ms per step, 66.7%"));
    CHECK(has(page, "5.00 ms per step, 66.7%"));
  }
  CHECK(has(md, "- [Qwen/Qwen3-8B](#model-1)"));
  CHECK(has(md, "\n#### Kernel Table\n"));
  CHECK_FALSE(has(report::bundle_markdown(items, {.contents = false}), "](#"));
  CHECK_FALSE(has(report::bundle_html(items, {.contents = false}), "<nav>"));
}

TEST_CASE("report: F-OUT-13 a bundle of nothing says so") {
  CHECK(has(report::bundle_markdown({}), "No data: there is no report in this bundle."));
  CHECK(has(report::bundle_html({}), "No data: there is no report in this bundle."));
}

TEST_CASE("report: families side by side are per step where a trace has steps, and as told where not") {
  kernel::triage_report a = triage_samples::good(), b = triage_samples::good();
  b.kernels.erase(b.kernels.begin());
  b.kernels[0].steps = 0;
  const std::vector<const kernel::triage_report*> all = {&a, &b};
  const auto stages = kernel::across(all);
  REQUIRE(stages.size() == 2);
  CHECK(stages[0].at == kernel::stage::prefill);
  CHECK(stages[0].rows[0].what == kernel::family::gemm);
  CHECK(stages[0].rows[0].cells[0].per_step == 61_ms);
  CHECK(stages[0].rows[0].cells[1].total == 0_ms);
  CHECK(stages[1].sums[0].per_step == 15_ms);
  CHECK_FALSE(stages[1].sums[1].per_step);
  CHECK(stages[1].sums[1].total == 30_ms);
  for (const auto& s : stages)
    for (std::size_t i = 0; i < all.size(); ++i) {
      nanoseconds sum{};
      for (const auto& r : s.rows) sum += r.cells[i].total;
      CHECK(sum == s.sums[i].total);
    }
  CHECK(kernel::across({}).empty());
}

TEST_CASE("report: F-OUT-01 F-TRC-15 hostile text stays text in the page of a bundle, wherever it stands") {
  std::vector<std::string> pages;
  const auto page_of = [](const std::string& p) {
    std::vector<report::bundle_item> items = {{p, triage_samples::hostile(p)}, {p, triage_samples::hostile(p)}};
    return report::bundle_html(items, {.title = p, .generated = p});
  };
  pages.push_back(page_of("plain"));
  const auto& payloads = triage_samples::payloads();
  REQUIRE(payloads.size() >= 30);
  for (const std::string& p : payloads) pages.push_back(page_of(p));
  const document found = parsed(pages);
  const document& plain = found[0];
  CHECK(plain["tags"].size() > 500);
  const auto keys = [](const document& page) {  // which attributes stand on which elements; values of title and style differ
    std::vector<std::string> out;
    for (const auto& a : page["attributes"]) out.push_back(a[0].get<std::string>() + "." + a[1].get<std::string>());
    return out;
  };
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    CAPTURE(payloads[i].substr(0, 60));
    const document& page = found[i + 1];
    CHECK(page["tags"] == plain["tags"]);  // as many elements, the same, in the same order
    CHECK(keys(page) == keys(plain));
    CHECK(page["bad"].empty());
    CHECK(page["open"].empty());
    CHECK(page["style"] == plain["style"]);
    const std::string shown = text::printable(payloads[i], 512);
    CHECK(has(page["text"].get<std::string>(), shown));  // and what was there can be read
    for (const auto& a : page["attributes"]) {
      const std::string name = a[1], value = a[2].is_null() ? "" : a[2].get<std::string>();
      CHECK_FALSE(name.starts_with("on"));
      if (name == "href") CHECK(value.starts_with("#m"));
      if (name == "style") CHECK((value.starts_with("--w:") || value.starts_with("width:")));
      if (name == "style") CHECK(value.find_first_not_of("-w:idth0123456789.%") == std::string::npos);
    }
  }
}

TEST_CASE("report: F-OUT-02 the page of a bundle runs nothing and fetches nothing") {
  const document page = parsed({report::bundle_html(two_frameworks())})[0];
  const std::string html = report::bundle_html(two_frameworks());
  std::vector<std::string> policies;
  for (const auto& a : page["attributes"])
    if (a[1] == "content" && has(a[2].get<std::string>(), "default-src")) policies.push_back(a[2]);
  CHECK(policies == std::vector<std::string>{"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"});
  for (const char* tag : {"script", "link", "img", "iframe", "object", "embed", "base", "form", "svg", "audio", "video", "source"})
    CHECK(std::find(page["tags"].begin(), page["tags"].end(), tag) == page["tags"].end());
  for (const char* remote : {"http:", "https:", "url(", "@import", "src=", "//"}) {
    CAPTURE(remote);
    CHECK_FALSE(has(html, remote));
  }
}

TEST_CASE("report: F-OUT-05 hostile text stays in its place in the Markdown of a bundle") {
  for (const std::string& p : triage_samples::payloads()) {
    CAPTURE(p.substr(0, 60));
    const auto lines = [](const std::string& p2) {
      std::vector<report::bundle_item> items = {{p2, triage_samples::hostile(p2)}, {p2, triage_samples::hostile(p2)}};
      const std::string md = report::bundle_markdown(items, {.title = p2, .generated = p2});
      std::vector<std::string> kinds;  // how each line begins: heading, list, table or text
      text::split(md, '\n', [&](std::string_view line) { kinds.emplace_back(line.substr(0, line.find_first_not_of("# -|") == std::string_view::npos ? line.size() : (std::min)(line.find_first_not_of("#|"), std::size_t{6}))); });
      return kinds;
    };
    CHECK(lines(p) == lines("plain"));
  }
}
