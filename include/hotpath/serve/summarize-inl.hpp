// SPDX-License-Identifier: Apache-2.0
// hotpath/serve/summarize-inl.hpp - bodies of serve/summarize.hpp.
#pragma once
#include <algorithm>
#include <hotpath/serve/findings-inl.hpp>
#include <hotpath/serve/latency-inl.hpp>
#include <hotpath/serve/server-inl.hpp>
#include <hotpath/serve/summarize.hpp>
#include <hotpath/serve/throughput-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::serve {

// ---- intake ---------------------------------------------------------------------------------------------------------------

HOTPATH_FN void summarizer::total::add(const std::optional<std::int64_t>& v) {
  if (!v || *v < 0) return;
  known = true;
  if (__builtin_add_overflow(sum, *v, &sum)) sum = (std::numeric_limits<std::int64_t>::max)();
}

HOTPATH_FN void summarizer::add_outcome(const model::request& r) {
  const auto status = static_cast<std::size_t>(r.status) < 4 ? r.status : model::request_status::failed;
  ++status_[static_cast<std::size_t>(status)];
  highest_index_ = (std::max)(highest_index_, r.index);
  if (r.warmup) ++warmup_;
  if (status == model::request_status::ok) {
    if (r.warmup) ++ok_warmup_;
    constexpr std::size_t distinct = 32;  // the server chooses these words
    const std::string reason = r.finish_reason.empty() ? "none" : r.finish_reason.substr(0, 64);
    auto it = std::find_if(finish_reasons_.begin(), finish_reasons_.end(), [&](const auto& f) { return f.first == reason; });
    if (it == finish_reasons_.end() && finish_reasons_.size() >= distinct)
      it = std::find_if(finish_reasons_.begin(), finish_reasons_.end(), [](const auto& f) { return f.first == "other"; });
    if (it != finish_reasons_.end()) ++it->second;
    else finish_reasons_.emplace_back(finish_reasons_.size() + 1 < distinct ? reason : "other", 1);
  } else if (status != model::request_status::in_flight) {
    const auto e = static_cast<std::size_t>(r.error);
    ++errors_[e < errors_.size() ? e : 0];
    if (status == model::request_status::failed && (!has_first_error_ || r.index < first_error_index_)) {
      has_first_error_ = true;
      first_error_index_ = r.index;
      first_error_ = r.error_message.empty() ? std::string(model::error_class_names[e < errors_.size() ? e : 0]) : r.error_message.substr(0, 1024);
    }
  }
}

HOTPATH_FN void summarizer::add_tokens(const model::request& r, detail::row& row) {
  const auto known = [](const std::optional<std::int64_t>& v) { return v && *v >= 0; };
  row.has_completion = known(r.completion_tokens) && r.tokens_from != model::token_source::none;
  row.one_token = detail::tokens_trusted(r) && *r.completion_tokens < 2;
  if (row.has_completion) row.completion_tokens = static_cast<double>(*r.completion_tokens);
  if (known(r.prompt_tokens)) row.prompt_tokens = static_cast<double>(*r.prompt_tokens);
  if (row.status == model::request_status::ok) {
    ++books_.finished;
    if (r.tokens_from == model::token_source::usage && known(r.prompt_tokens) && row.has_completion)
      ++books_.counted, books_.all_prompt += row.prompt_tokens, books_.all_completion += row.completion_tokens;
  }
  if (!row.ok()) return;
  prompt_.add(r.prompt_tokens);
  if (row.has_completion) completion_.add(r.completion_tokens);
  reasoning_.add(r.reasoning_tokens);
  cached_.add(r.cached_tokens);
  if (r.tokens_from == model::token_source::usage) ++from_usage_;
  else ++without_usage_;
  if (r.tokens_from == model::token_source::chunks) ++from_chunks_;
  if (r.usage_suspect) ++suspect_;
  if (r.tokens_from == model::token_source::usage && known(r.completion_tokens)) {
    ++books_.answers;
    books_.usage += static_cast<std::uint64_t>(*r.completion_tokens);
    books_.events += r.chunks.count();
    if (static_cast<std::uint64_t>(*r.completion_tokens) < r.chunks.count()) ++books_.contradictions;
  }
  if (known(r.prompt_tokens) && r.prompt_tokens_planned && *r.prompt_tokens_planned > 0 && r.tokens_from == model::token_source::usage) {
    const double planned = static_cast<double>(*r.prompt_tokens_planned);
    planned_error_ += (static_cast<double>(*r.prompt_tokens) - planned) / planned;
    ++planned_;
    ++books_.prompts;
    books_.planned += static_cast<std::uint64_t>(*r.prompt_tokens_planned);
    books_.prompt += static_cast<std::uint64_t>(*r.prompt_tokens);
  }
}

// The events of one answer: who stamped them, tokens over time, and the gaps.
HOTPATH_FN void summarizer::add_events(const model::request& r, detail::row& row) {
  events_.clear();
  bool tokens_known = true, kernel = false;
  auto reader = r.chunks.read();
  while (auto e = reader.next()) {
    constexpr std::int64_t bound = std::int64_t{1} << 60;
    if (e->at.ns > bound || e->at.ns < -bound) e->at.ns = std::clamp(e->at.ns, -bound, bound);
    tokens_known = tokens_known && e->tokens > 0 && e->tokens <= 65'535;
    kernel = kernel || e->kernel;
    events_.push_back(*e);
  }
  if (reader.damaged()) ++lost_.malformed;
  const std::size_t n = events_.size();
  if (n == 0) return;
  if (kernel && !kernel_stamps_) {
    kernel_stamps_ = true;
    inexact_gaps_ += gaps_.size();
    for (const std::uint16_t w : weights_) inexact_itl_ += w != 0 ? 1 : 0;
    gaps_.clear();
    weights_.clear();
    for (detail::row& old : rows_) old.gaps = 0, old.gaps_begin = 0;
  }
  const double share = row.has_completion ? row.completion_tokens / static_cast<double>(n) : 1;
  std::uint64_t user = 0, inexact = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const model::content_event& e = events_[i];
    user += e.kernel ? 0u : 1u;
    // With the loop's clock two events of one read have one stamp.
    if (!e.exact) inexact += e.kernel || (i + 1 < n && events_[i + 1].at == e.at) ? 1u : 0u;
    tokens_over_time_.add(e.at.ns, tokens_known ? static_cast<double>(e.tokens) : share);
  }
  logs_.events += n;
  logs_.user += user;
  logs_.inexact += inexact;
  if (row.ok()) add_gaps(row, tokens_known);
}

HOTPATH_FN void summarizer::add_gaps(detail::row& row, bool tokens_known) {
  constexpr std::int64_t stall_from = 200'000'000;
  const std::size_t n = events_.size();
  if (n < 2) return;
  ++multi_event_answers_;
  row.gaps_begin = gaps_.size();
  if (tokens_known && weights_.empty()) weights_.resize(gaps_.size(), 0);
  const bool weighted = tokens_known || !weights_.empty();
  all_gaps_.resize(n - 1);
  std::int64_t longest = 0;
  for (std::size_t i = 1; i < n; ++i) {
    const model::content_event &a = events_[i - 1], &b = events_[i];
    const std::int64_t gap = b.at.ns - a.at.ns;
    all_gaps_[i - 1] = gap;
    longest = (std::max)(longest, gap);
    // Exact stamps of the kernel; where the run has none at all, stamps of the loop's clock, as long as they are two.
    const bool enters = a.kernel && b.kernel ? a.exact && b.exact && gap >= 0
                                             : !kernel_stamps_ && !a.kernel && !b.kernel && (gap > 0 || (gap == 0 && a.exact && b.exact));
    if (!enters) {
      ++inexact_gaps_;
      if (tokens_known) ++inexact_itl_;
      continue;
    }
    gaps_.push_back(static_cast<float>(gap));
    if (weighted) weights_.push_back(tokens_known ? static_cast<std::uint16_t>(b.tokens) : std::uint16_t{0});
  }
  row.gaps = static_cast<std::uint32_t>(gaps_.size() - row.gaps_begin);
  decode_time_ += static_cast<double>((std::max<std::int64_t>)(events_.back().at.ns - events_.front().at.ns, 0));
  if (longest <= stall_from) return;
  const std::uint64_t before = stalls_;
  const auto middle = all_gaps_.begin() + static_cast<std::ptrdiff_t>((n - 1) / 2);
  std::nth_element(all_gaps_.begin(), middle, all_gaps_.end());
  double median = static_cast<double>(*middle);
  if ((n - 1) % 2 == 0) median = (median + static_cast<double>(*std::max_element(all_gaps_.begin(), middle))) / 2;
  const double limit = (std::max)(static_cast<double>(stall_from), 5 * median);
  for (const std::int64_t gap : all_gaps_) {
    if (static_cast<double>(gap) <= limit) continue;
    ++stalls_;
    stall_time_ += static_cast<double>(gap);
    longest_stall_ = (std::max)(longest_stall_, gap);
  }
  if (stalls_ != before) ++stalled_;
}

HOTPATH_FN void summarizer::add(const model::request& r) {
  add_outcome(r);
  detail::row row;
  row.status = static_cast<std::size_t>(r.status) < 4 ? r.status : model::request_status::failed;
  row.warmup = r.warmup;
  row.intended = detail::time_of(r.intended);
  row.sent = detail::time_of(r.sent);
  row.first_content = detail::time_of(r.first_content);
  if (row.status != model::request_status::in_flight)
    // The end of the framing, or the last thing that is known to have happened.
    for (const model::stamp* s : {&r.closed, &r.finished, &r.last_content, &r.head, &r.sent, &r.connected, &r.connect_begin, &r.slot_free, &r.intended})
      if (*s) {
        row.end = detail::time_of(*s);
        break;
      }
  if (row.sent != detail::no_time) {
    if (!first_sent_ || row.sent < first_sent_->ns) first_sent_ = nanoseconds{row.sent};
    last_end_ = (std::max)(last_end_, nanoseconds{(std::max)(row.end == detail::no_time ? row.sent : row.end, row.sent)});
  }
  detail::fill_latencies(r, row.value);
  add_tokens(r, row);
  add_events(r, row);
  rows_.push_back(row);
}

// ---- report ---------------------------------------------------------------------------------------------------------------

HOTPATH_FN void summarizer::fill_requests(report& out) const {
  auto& q = out.requests;
  q.in_flight = status_[0], q.ok = status_[1], q.failed = status_[2], q.cancelled = status_[3];
  q.warmup = warmup_;
  // Positions are handed out from 0; five rows typed by hand may all say 0.
  q.sent = highest_index_ == 0 ? rows_.size() : highest_index_ + 1;
  q.errors = errors_;
  q.finish_reasons = finish_reasons_;
  std::stable_sort(q.finish_reasons.begin(), q.finish_reasons.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  q.first_error = first_error_;
}

HOTPATH_FN void summarizer::fill_tokens(report& out) const {
  auto& t = out.tokens;
  const auto give = [](const total& from, std::optional<std::int64_t>& to) { if (from.known) to = from.sum; };
  give(prompt_, t.prompt), give(completion_, t.completion), give(reasoning_, t.reasoning), give(cached_, t.cached);
  t.source = from_usage_ != 0 && without_usage_ == 0 ? "usage" : from_usage_ != 0 ? "mixed" : from_chunks_ != 0 ? "chunks" : "none";
  t.suspect = suspect_;
  t.without_usage = without_usage_;
  if (planned_ != 0) t.planned_prompt_error = planned_error_ / static_cast<double>(planned_);
}

HOTPATH_FN std::string summarizer::why_no_latency(metric m, const report& out) const {
  const auto& q = out.requests;
  if (rows_.empty()) return "no request was recorded";
  if (q.ok == 0) return "no request succeeded";
  if (q.ok == ok_warmup_) return "every successful request was warm-up";
  switch (m) {
    case metric::connect: return "no request opened a connection";
    case metric::slot_wait: return !out.run.plan.open() ? "closed loop: a request is intended when it has its slot" : "no cap on requests in flight";
    case metric::ttfo: return "no answer had content that is not reasoning";
    case metric::tpot:
      return from_usage_ == 0 ? "the server sent no usage" : suspect_ != 0 ? "no answer had two tokens or more by a usage that can be trusted" : "no answer had two tokens or more";
    case metric::itl: return inexact_itl_ != 0 ? "every gap was inexact" : "the tokens of each event are not known";
    case metric::chunk_gap: return multi_event_answers_ == 0 ? "no answer had two content events" : "every gap was inexact";
    case metric::dispatch_delay: return "no request has a send time";
    default: return "no answer had content";
  }
}

inline distribution distribution_of(double mean, double max, std::span<const double> quantiles,
                                    const stats::intervals& ci, std::uint64_t n) {
  distribution d;
  const auto ms = [](const std::optional<stats::interval>& i) {  // widened for few values, an interval may reach below 0: no latency does
    if (!i) return std::optional<bounds>{};
    return std::optional<bounds>{bounds{(std::max)(i->lo, 0.0) / 1e6, i->hi ? std::optional<double>{*i->hi / 1e6} : std::nullopt}};
  };
  d.n = n;
  d.mean = mean / 1e6;
  d.max = max / 1e6;
  for (std::size_t l = 0; l < quantile_levels.size(); ++l) {
    d.quantile[l] = quantiles[l] / 1e6;
    d.ci[l] = ms(ci.quantile[l]);
  }
  d.mean_ci = ms(ci.mean);
  if (d.mean_ci) d.ci_method = "moving_block";
  return d;
}

HOTPATH_FN void summarizer::fill_latencies(report& out, const detail::ordered_rows& rows) const {
  std::vector<double> in_order, sorted, quantiles(quantile_levels.size());
  for (std::size_t k = 0; k < metric_names.size(); ++k) {
    const auto m = static_cast<metric>(k);
    if (m == metric::itl || m == metric::chunk_gap) continue;
    in_order.clear();
    for (const detail::row* r : rows)
      if (const double v = r->of(m); r->ok() && v == v) in_order.push_back(v);
    if (in_order.empty()) {
      out.of(m).missing = why_no_latency(m, out);
      continue;
    }
    sorted = in_order;
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t l = 0; l < quantiles.size(); ++l) quantiles[l] = *stats::quantile(sorted, quantile_levels[l]);
    const auto ci = stats::bootstrap_series(in_order, sorted, quantile_levels, {options_.seed, options_.resamples});
    out.of(m) = distribution_of(*stats::mean(in_order), sorted.back(), quantiles, ci, sorted.size());
  }
}

HOTPATH_FN void summarizer::fill_gaps(report& out, const detail::ordered_rows& rows) const {
  std::vector<stats::cluster> clusters;
  for (const detail::row* r : rows)
    if (r->ok() && r->gaps != 0) clusters.push_back({r->gaps_begin, r->gaps});
  const auto give = [&](metric m, std::span<const std::uint16_t> weights) {
    const auto p = stats::bootstrap_pooled(gaps_, weights, clusters, quantile_levels, {options_.seed, options_.resamples});
    if (p.n == 0) out.of(m).missing = why_no_latency(m, out);
    else out.of(m) = distribution_of(p.mean, p.max, p.quantile, p.ci, p.n);
  };
  give(metric::chunk_gap, {});
  // One token per event throughout: the same numbers.
  if (!weights_.empty() && std::all_of(weights_.begin(), weights_.end(), [](std::uint16_t w) { return w == 1; })) out.of(metric::itl) = out.of(metric::chunk_gap);
  else if (weights_.empty()) out.of(metric::itl).missing = why_no_latency(metric::itl, out);
  else give(metric::itl, weights_);
  out.of(metric::chunk_gap).inexact = inexact_gaps_;
  out.of(metric::itl).inexact = inexact_itl_;
}

HOTPATH_FN report summarizer::finish(const model::run_info& run) const {
  report out;
  out.run = run;
  out.bootstrap_seed = options_.seed;
  out.bootstrap_resamples = options_.resamples;
  out.lost = run.lost;
  out.lost += lost_;
  fill_requests(out);
  fill_tokens(out);

  detail::ordered_rows rows;
  rows.reserve(rows_.size());
  for (const detail::row& r : rows_)
    if (!r.warmup && r.intended != detail::no_time) rows.push_back(&r);
  // Requests of one moment keep the order in which they came in.
  std::sort(rows.begin(), rows.end(), [](const detail::row* a, const detail::row* b) { return a->intended != b->intended ? a->intended < b->intended : a < b; });

  fill_latencies(out, rows);
  fill_gaps(out, rows);
  const detail::window w = detail::window_of(rows);
  const auto in_flight = detail::integrate(rows_, w);
  const auto thirds = detail::thirds_of(rows, w);
  detail::fill_throughput(out, rows, w, {options_.seed, options_.resamples});
  detail::fill_steady(out, rows_, rows);
  detail::fill_concurrency(out, in_flight, w);
  detail::fill_series(out, rows_, tokens_over_time_);
  out.stalls = {stalls_, stalled_, static_cast<double>(longest_stall_) / 1e6, decode_time_ > 0 ? stall_time_ / decode_time_ : 0};

  std::vector<double> dispatch;
  for (const detail::row* r : rows)
    if (const double v = r->of(metric::dispatch_delay); v == v) dispatch.push_back(v);
  std::sort(dispatch.begin(), dispatch.end());
  client_.fill(out, dispatch, logs_);
  out.server = server_.finish({.first = first_sent_.value_or(nanoseconds{}), .last = last_end_, .begin = out.over_time.begin, .step = out.over_time.step,
                               .steps = out.over_time.in_flight.size()});
  detail::check_books(out, rows_, rows, w, in_flight, books_, rows_.size());
  detail::check_server(out, books_);
  out.queue_at = detail::queue_of(out, thirds);
  detail::fill_findings(out, thirds);
  return out;
}

HOTPATH_FN report summarize(std::span<const model::request> requests, const model::run_info& run,
                            std::span<const model::client_interval> client, const options& o) {
  summarizer s{o};
  for (const model::request& r : requests) s.add(r);
  for (const model::client_interval& i : client) s.add(i);
  return s.finish(run);
}

}  // namespace hotpath::inline HOTPATH_ABI::serve
