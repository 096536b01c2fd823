// SPDX-License-Identifier: Apache-2.0
// hotpath/report/detail/facts.hpp - what a serving report says, in words, before it is a page: text and Markdown print the same. Not for users.
//   A voice says how text of others is made safe for the page; the words around it are ours. A number and its unit are held together
//   by a no-break space (U+00A0), which the page writes as a space.
#pragma once
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/verdict.hpp>
#include <hotpath/report/words.hpp>

namespace hotpath::inline HOTPATH_ABI::report::detail {

struct voice {
  bool ascii = false;
  std::string (*name)(std::string_view, std::size_t max, bool ascii) = clean;   // a model, an address, a file
  std::string (*prose)(std::string_view, std::size_t max, bool ascii) = clean;  // a sentence that may hold text of others
};

struct fact {
  std::string label, text;
  style tone = style::plain;
};

// One row of the engine's latencies, or of the client's beside it.
struct server_latency {
  std::string_view label, source, unit;
  std::string n, mean, p50, p99;
};
using server_engine = std::array<std::string, 8>;
inline constexpr std::array<std::string_view, 8> server_engine_head = {"engine", "running", "waiting", "KV max", "hit rate", "preempted", "tokens out", "TTFT mean"};

class facts {
 public:
  facts(const serve::report& r, voice v) : r_(r), voice_(v) {}

  std::vector<std::string> headline() const;  // the figures that matter most; empty: there are none
  std::vector<fact> about() const;
  std::vector<fact> requests() const;         // failures and coverage first
  std::vector<fact> rates() const;            // what stands below the throughput's own rows
  std::vector<fact> client() const;
  std::vector<fact> server() const;
  std::vector<server_latency> server_latencies() const;
  std::vector<server_engine> server_engines() const;
  std::vector<fact> missing() const;
  std::string check_text(const serve::check& c) const;
  std::vector<std::string> footnotes() const;  // of the latency table

  bool has_server() const { return r_.server.missing.empty() && r_.server.scrapes > r_.server.failed; }
  std::string server_title() const;
  std::pair<std::string, style> client_title() const;
  std::string limits() const;
  bool same_ttfo() const;                      // without reasoning the first output is the first content

  // Pieces of tables.
  struct unit {
    std::string_view name;
    double per_ms;
  };
  unit unit_of(const serve::distribution& d) const;
  std::string interval(const std::optional<serve::bounds>& b, double scale) const;
  std::string range(const std::optional<serve::bounds>& b, std::string (*show)(double)) const;
  std::string bucket(const std::optional<serve::bounds>& b) const;  // milliseconds: "50–100 ms", "≤ 300 ms", "> 2,560 s"
  static std::string cell(double v) { return v < 9999.5 ? words::number(v) : words::fixed(v, 0); }
  static std::string table_count(double n);                         // at most 6 columns

  struct line {
    serve::metric m;
    std::string_view label;
  };
  static constexpr line latency_rows[] = {
      {serve::metric::ttft, "TTFT"}, {serve::metric::slot_wait, "  slot wait"}, {serve::metric::connect, "  connect"}, {serve::metric::dispatch_delay, "  dispatch"},
      {serve::metric::service_ttft, "  service"}, {serve::metric::ttfo, "TTFO"}, {serve::metric::tpot, "TPOT"}, {serve::metric::itl, "ITL"},
      {serve::metric::chunk_gap, "chunk gap"}, {serve::metric::e2e, "E2E"}};

  // What goes into the block "over time": a label and the steps, and how to show the largest.
  struct steps {
    std::string_view label;
    const std::vector<double>* values;
    std::string (*show)(double);
  };
  std::vector<steps> over_time() const;        // empty: too few steps to see anything
  // One mark per `each` steps (their mean), scaled from 0 to the largest mark; a step without data is a blank.
  struct spark_line {
    std::string marks;
    double top = 0;
    bool any = false;
  };
  static spark_line spark(const std::vector<double>& v, std::size_t each, bool ascii);

 private:
  std::string mark(std::string_view utf8, std::string_view plain) const { return std::string(voice_.ascii ? plain : utf8); }
  std::string dash() const { return mark("\u2013", "-"); }
  std::string joined(const std::vector<std::string>& parts) const;
  static std::string glued(std::string s) { return page::glued(std::move(s)); }
  std::string name(std::string_view s, std::size_t max = 512) const { return voice_.name(s, max, voice_.ascii); }
  std::string prose(std::string_view s, std::size_t max = 512) const { return voice_.prose(s, max, voice_.ascii); }
  std::string plan() const;
  void tokens(std::vector<fact>& out) const;
  void goodput(std::vector<fact>& out) const;
  static std::string gauge(const serve::engine_figures::gauge& g, std::string (*show)(double));

  const serve::report& r_;
  const voice voice_;
};

}  // namespace hotpath::inline HOTPATH_ABI::report::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/report/detail/facts-inl.hpp>
#endif
