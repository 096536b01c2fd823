// SPDX-License-Identifier: Apache-2.0
#include "engine.hpp"

#include <algorithm>
#include <cmath>
#include <hotpath/core/random.hpp>
#include "text.hpp"

namespace server {

result<void> check(const engine_options& o, const model_options& m) {
  const auto no = [](std::string what) -> result<void> { return error{.code = errc::usage, .detail = std::move(what)}; };
  if (o.max_batched_tokens == 0 || o.max_seqs == 0) return no("max-num-batched-tokens and max-num-seqs must be 1 or more");
  if (!o.chunked_prefill && o.max_batched_tokens < m.max_len)
    return no("without chunked prefill max-num-batched-tokens must be max-model-len (" + std::to_string(m.max_len) + ") or more: a prompt goes in one piece");
  return {};
}

namespace {
// A number of [0, 1) that depends on the seed and the place in the answer alone: what is computed twice is drawn the same.
double draw(std::uint64_t seed, std::uint64_t position) { return stats::xoshiro256{stats::splitmix64{seed}.next() ^ position}.unit(); }

// The next token. Only visible characters and the end of text are ever chosen: a token is one character on the screen.
kv::token sample(std::span<const float> logits, const sampling& how, std::uint32_t position) {
  const bool may_end = !how.ignore_eos && position >= how.min_tokens;
  const auto each = [&](auto&& f) {
    for (kv::token t = first_visible; t <= last_visible; ++t) f(t, logits[t]);
    if (may_end) f(end_of_text, logits[end_of_text]);
  };
  kv::token best = first_visible;
  each([&](kv::token t, float l) { if (l > logits[best]) best = t; });
  if (how.temperature <= 0) return best;
  const auto weight = [&](float l) { return std::exp((static_cast<double>(l) - static_cast<double>(logits[best])) / how.temperature); };
  double total = 0;
  each([&](kv::token, float l) { total += weight(l); });
  double left = draw(how.seed, position) * total;
  kv::token chosen = best;
  bool found = false;
  each([&](kv::token t, float l) {
    left -= weight(l);
    if (!found && left < 0) chosen = t, found = true;
  });
  return chosen;
}
}  // namespace

engine::engine(model& m, engine_options options) : model_(m), options_(options), blocks_(m.options().blocks) {}

result<void> engine::admissible(const request& r) const {
  const auto no = [](std::string what) -> result<void> { return error{.code = errc::usage, .detail = std::move(what)}; };
  const std::uint32_t vocab = model_.options().vocab, most = model_.options().max_len;
  if (r.prompt.empty()) return no("the prompt is empty");
  if (r.how.max_tokens == 0) return no("max_tokens must be at least 1");
  if (r.prompt.size() >= most || r.how.max_tokens > most - r.prompt.size())
    return no("this model's maximum context length is " + std::to_string(most) + " tokens, and the request asks for " +
              std::to_string(r.prompt.size()) + " in the prompt and " + std::to_string(r.how.max_tokens) + " in the answer");
  for (const kv::token t : r.prompt)
    if (t >= vocab) return no("token id " + std::to_string(t) + " is out of vocabulary (0 to " + std::to_string(vocab - 1) + ")");
  return {};
}

std::uint64_t engine::submit(request r) {
  auto made = std::make_unique<live>();
  live& l = *made;
  l.number = next_++;
  l.tokens = r.prompt;
  l.tokens.reserve(r.prompt.size() + r.how.max_tokens);
  l.queued = monotonic_now();
  if (r.arrival == nanoseconds{}) r.arrival = l.queued;
  l.asked = std::move(r);
  waiting_.push_back(&l);
  requests_.emplace(l.number, std::move(made));
  return l.number;
}

bool engine::abort(std::uint64_t id, finished_request* done) {
  const auto it = requests_.find(id);
  if (it == requests_.end()) return false;
  live* const r = it->second.get();
  if (done != nullptr) *done = close(*r, finish::abort);
  let_go(*r);
  std::erase(running_, r);
  std::erase(waiting_, r);
  requests_.erase(it);
  return true;
}

finished_request engine::close(const live& r, finish why) const {
  return {.why = why, .prompt_tokens = static_cast<std::uint32_t>(r.asked.prompt.size()), .output_tokens = r.outputs(), .cached_tokens = r.cached,
          .preemptions = r.preemptions, .max_tokens = r.asked.how.max_tokens, .arrival = r.asked.arrival, .queued = r.queued,
          .scheduled = r.scheduled, .first_token = r.first_token, .last_token = r.last_token};
}

// ---- one step -----------------------------------------------------------------------------------------------------------

const step_report& engine::step() {
  const nanoseconds begin = monotonic_now();
  report_ = {.number = steps_, .outputs = std::move(report_.outputs), .finished = std::move(report_.finished)};  // the vectors keep their memory
  report_.outputs.clear(), report_.finished.clear();
  schedule();
  if (report_.empty()) return report_;
  run(prefill_);
  run(decode_);
  std::erase_if(running_, [&](live* r) {
    const bool done = r->done;
    if (done) requests_.erase(r->number);
    return done;
  });
  ++steps_;
  report_.elapsed = monotonic_now() - begin;
  return report_;
}

// Decides who computes how many tokens, and sees to it that there are blocks for them.
void engine::schedule() {
  prefill_.clear(), decode_.clear();
  for (live* r : running_) r->take = 0;
  std::uint32_t budget = options_.max_batched_tokens;
  schedule_running(budget);
  if (report_.preempted == 0) schedule_waiting(budget);  // what was just sent back is not fetched again in the same step
  for (live* r : running_) {
    if (r->take == 0) continue;
    const bool context = r->outputs() == 0;
    ++(context ? report_.context_requests : report_.generation_requests);
    (context ? report_.context_tokens : report_.generation_tokens) += r->take;
    (r->take == 1 && !context ? decode_ : prefill_).push_back(r);
  }
}

void engine::schedule_running(std::uint32_t& budget) {
  for (std::size_t i = 0; i < running_.size() && budget != 0; ++i) {
    live& r = *running_[i];
    const std::uint32_t take = std::min(r.left(), budget);
    if (!options_.chunked_prefill && take < r.left()) continue;
    if (!make_room(r, take)) return;  // it was the youngest itself
    r.take = take;
    budget -= take;
  }
}

void engine::schedule_waiting(std::uint32_t& budget) {
  const std::uint32_t block = model_.options().block_tokens;
  const nanoseconds now = monotonic_now();
  while (!waiting_.empty() && budget != 0 && running_.size() < options_.max_seqs) {
    live& r = *waiting_.front();
    if (options_.prefix_cache) {
      kv::hash_blocks(kv::mix_hash{}, r.tokens, block, r.names);
      // The last token is computed in any case: its logits are wanted.
      const std::size_t most = std::min(r.names.size(), (r.tokens.size() - 1) / block);
      r.published = static_cast<std::uint32_t>(blocks_.share(std::span{r.names}.first(most), r.table));
      r.computed = r.published * block;
    }
    const std::uint32_t take = std::min(r.left(), budget);
    const std::size_t have = r.table.size(), want = (r.computed + take + block - 1) / block;
    if ((!options_.chunked_prefill && take < r.left()) || !blocks_.allocate(want - have, r.table)) {
      let_go(r);
      return;
    }
    waiting_.pop_front();
    running_.push_back(&r);
    r.take = take;
    budget -= take;
    if (r.preemptions != 0) continue;
    r.scheduled = now;
    r.cached = r.computed;
    if (options_.prefix_cache) report_.prefix_queries += r.tokens.size(), report_.prefix_hits += r.cached;
  }
}

// Blocks for `take` more tokens of a running request, at the cost of the youngest ones. False: it was the youngest, and waits again.
bool engine::make_room(live& r, std::uint32_t take) {
  const std::uint32_t block = model_.options().block_tokens;
  const std::size_t want = (r.computed + take + block - 1) / block;
  while (want > r.table.size() && !blocks_.allocate(want - r.table.size(), r.table)) {
    live& youngest = *running_.back();
    running_.pop_back();
    preempt(youngest);
    if (&youngest == &r) return false;
  }
  return true;
}

void engine::preempt(live& r) {
  let_go(r);
  ++r.preemptions;
  ++report_.preempted;
  waiting_.push_front(&r);
}

void engine::let_go(live& r) {
  blocks_.release(r.table);
  r.table.clear();
  r.computed = r.published = r.take = 0;
}

// Computes the tokens of this step and hands out what comes of them.
void engine::run(const std::vector<live*>& batch) {
  if (batch.empty()) return;
  pieces_.clear();
  for (live* r : batch)
    pieces_.push_back({.tokens = std::span{r->tokens}.subspan(r->computed, r->take), .position = r->computed, .table = r->table, .wants_logits = r->take == r->left()});
  std::span<const float> logits = model_.forward(pieces_);
  for (std::size_t i = 0; i < batch.size(); ++i) {
    live& r = *batch[i];
    r.computed += r.take;
    if (options_.prefix_cache) publish(r);
    if (!pieces_[i].wants_logits) continue;
    deliver(r, logits.first(model::outputs));
    logits = logits.subspan(model::outputs);
  }
}

// Blocks that are full now may be shared from now on.
void engine::publish(live& r) {
  const std::uint32_t block = model_.options().block_tokens;
  kv::hash_blocks(kv::mix_hash{}, r.tokens, block, r.names);
  for (; r.published < r.computed / block; ++r.published) blocks_.publish(r.table[r.published], r.names[r.published]);
}

// All tokens of the request are computed: the next one, and whether it is the last.
void engine::deliver(live& r, std::span<const float> logits) {
  const sampling& how = r.asked.how;
  const kv::token token = sample(logits, how, r.outputs());
  const nanoseconds now = monotonic_now();
  output out{.request = r.number, .token = token, .has_token = token != end_of_text, .cached_tokens = r.cached, .since_last = now - r.last_token, .first = r.outputs() == 0};
  if (out.first) {
    out.since_last = now - r.asked.arrival;
    r.first_token = now;
    report_.prompt_tokens += r.asked.prompt.size();
    report_.cached_prompt_tokens += r.cached;
  }
  r.last_token = now;
  r.tokens.push_back(token);
  if (!out.has_token) {
    out.why = finish::stop;
  } else {
    if (r.outputs() >= how.min_tokens)
      for (const std::string& stop : how.stop) {
        const std::span<const kv::token> tail = std::span{r.tokens}.last(std::min<std::size_t>(stop.size(), r.outputs()));
        if (!stop.empty() && std::equal(tail.begin(), tail.end(), stop.begin(), stop.end(), [](kv::token t, char c) { return t == static_cast<unsigned char>(c); }))
          out.why = finish::stop, out.cut = std::max(out.cut, static_cast<std::uint32_t>(stop.size()));
      }
    if (out.why == finish::none && r.outputs() == how.max_tokens) out.why = finish::length;
  }
  if (out.why != finish::none) {
    report_.finished.push_back(close(r, out.why));
    let_go(r);
    r.done = true;  // step() takes it off the list
  }
  report_.outputs.push_back(out);
}

result<void> engine::check() const {
  if (auto sound = blocks_.check(); !sound) return sound;
  std::vector<std::uint32_t> references(blocks_.size(), 0);
  for (const auto& [number, r] : requests_) {
    const bool runs = std::find(running_.begin(), running_.end(), r.get()) != running_.end();
    if (!runs && !r->table.empty()) return error{.code = errc::internal, .detail = "request " + std::to_string(number) + " waits and holds blocks"};
    for (const kv::block_id b : r->table) ++references[b];
  }
  for (kv::block_id b = 0; b < references.size(); ++b)
    if (references[b] != blocks_.references(b))
      return error{.code = errc::internal,
                   .detail = "block " + std::to_string(b) + " has " + std::to_string(blocks_.references(b)) + " references and " + std::to_string(references[b]) + " holders"};
  return {};
}

}  // namespace server
