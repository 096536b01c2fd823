// SPDX-License-Identifier: Apache-2.0
// hotpath 0.1.0: everything that needs only the standard library, in one header.
//   Made by single_include/amalgamate.py from include/hotpath/hotpath.hpp; do not edit. C++20, Linux, no library but the standard one.
#pragma once
#ifdef HOTPATH_SINGLE_HEADER
#error "one single header per unit: hotpath.hpp holds all of replay.hpp"
#endif
#define HOTPATH_SINGLE_HEADER 1
#if defined(HOTPATH_HEADER_ONLY) && !HOTPATH_HEADER_ONLY
#error "the single header holds the bodies; hotpath::compiled goes with the headers of include/"
#endif
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <dirent.h>
#include <dlfcn.h>
#include <exception>
#include <fcntl.h>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <queue>
#include <sched.h>
#include <signal.h>
#include <span>
#include <stdint.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <thread>
#include <time.h>
#include <type_traits>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

// ---- hotpath/hotpath.hpp
// hotpath/hotpath.hpp - everything that needs only the standard library and Linux.
//   For trying things out, and for the single header. In a program include the part you use: this is the heaviest way.
// ---- hotpath/core/atomic.hpp
// hotpath/core/atomic.hpp - the few atomic operations that hot paths need, without <atomic>.
//   libstdc++ 12's <atomic> is 24,200 preprocessed lines in C++20 (it brings <string>); these builtins are none.
//   light_atomic<T>: T is an integer, bool or pointer that the machine handles lock-free. Orders are in the names.
// ---- hotpath/config.hpp
// hotpath/config.hpp - every HOTPATH_* macro, with its default and the reason to change it.
//   HOTPATH_CONFIG_FILE   a header of yours, in quotes or angle brackets, included first: the place for the settings below.
//   HOTPATH_HEADER_ONLY   1 (default): bodies are inline. 0: bodies come from the library hotpath::compiled, whose CMake
//                         target sets this for you. The two do not mix in one program: a link error says so (see HOTPATH_ABI).
//   HOTPATH_ASSERT(c)     programming errors. Default: assert from <assert.h>.
//   HOTPATH_NO_EXCEPTIONS detected: 1 under -fno-exceptions. Nothing in hotpath needs exceptions.
//   HOTPATH_HAS_X         set by the CMake component X; never changes a body or a layout in a header without X in its name.

#ifdef HOTPATH_CONFIG_FILE
#include HOTPATH_CONFIG_FILE
#endif
// ---- hotpath/version.hpp
// hotpath/version.hpp - the one place that holds the version. CMake, the single headers and `hotpath version` read it here.

// major * 10000 + minor * 100 + patch. No leading zero: that would be octal.
#define HOTPATH_VERSION 100
#define HOTPATH_VERSION_STRING "0.1.0"
// ---- hotpath/config.hpp

#ifndef HOTPATH_HEADER_ONLY
#define HOTPATH_HEADER_ONLY 1
#endif

#ifndef HOTPATH_NO_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define HOTPATH_NO_EXCEPTIONS 0
#else
#define HOTPATH_NO_EXCEPTIONS 1
#endif
#endif

#ifndef HOTPATH_ASSERT
#include <assert.h>
#define HOTPATH_ASSERT(condition) assert(condition)
#endif

// The inline namespace carries what must not differ within one program: a type handed from a header-only unit to a compiled
// one, or across -fno-exceptions, is then an undefined symbol at link time instead of a crash at run time.
#if HOTPATH_HEADER_ONLY && !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1
#elif HOTPATH_HEADER_ONLY
#define HOTPATH_ABI v1_noexc
#elif !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1_compiled
#else
#define HOTPATH_ABI v1_compiled_noexc
#endif

// Marks a function whose body lives in an -inl.hpp: inline when header-only, an ordinary function in the compiled library.
#if HOTPATH_HEADER_ONLY
#define HOTPATH_FN inline
#else
#define HOTPATH_FN
#endif
// ---- hotpath/core/atomic.hpp

namespace hotpath::inline HOTPATH_ABI {

template <class T>
class light_atomic {
 public:
  constexpr light_atomic() = default;
  constexpr explicit light_atomic(T value) : value_(value) {}
  light_atomic(const light_atomic&) = delete;
  light_atomic& operator=(const light_atomic&) = delete;

  T load_relaxed() const noexcept { return __atomic_load_n(&value_, __ATOMIC_RELAXED); }
  T load_acquire() const noexcept { return __atomic_load_n(&value_, __ATOMIC_ACQUIRE); }
  void store_relaxed(T v) noexcept { __atomic_store_n(&value_, v, __ATOMIC_RELAXED); }
  void store_release(T v) noexcept { __atomic_store_n(&value_, v, __ATOMIC_RELEASE); }
  // Both return the value before the addition.
  T add_relaxed(T v) noexcept { return __atomic_fetch_add(&value_, v, __ATOMIC_RELAXED); }
  T add_acq_rel(T v) noexcept { return __atomic_fetch_add(&value_, v, __ATOMIC_ACQ_REL); }
  T exchange_acq_rel(T v) noexcept { return __atomic_exchange_n(&value_, v, __ATOMIC_ACQ_REL); }

 private:
  static_assert(__atomic_always_lock_free(sizeof(T), nullptr), "light_atomic is for lock-free types only");
  T value_{};
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/bootstrap.hpp
// hotpath/core/bootstrap.hpp - 95 % intervals of what one run measured, where neighbouring requests resemble each other.
//   S4 of docs/statistics.md: moving blocks (Kuensch 1989) over the units in the order of their arrival, percentile interval,
//   widened for few blocks (Student t) and never narrower than the interval of independent samples (S3).
//
//     auto ci = stats::bootstrap_series(ttft_in_order, ttft_sorted, levels, {.seed = 7});
//     ci.quantile[3]->lo; ci.quantile[3]->hi;               // hi missing: too few samples for an upper bound of this level
//
//   Below 6 units there is no interval at all. Same input and seed: same output, bit for bit.
//   How it is fast: units are sorted into bins once; each block is then one row of bin counts, and a resample is the sum of
//   its rows. Inside a bin the quantile is interpolated by rank (below 1,024 units a bin holds one value). Against putting every
//   resample together and sorting it, ends move by less than 1 % of the interval's width (p99 of a few thousand: 3 %), where the
//   chance of 2,000 resamples alone is worth 3 %; coverage is the same.
//   Memory while it runs: series 100 bytes per unit (1 KiB below 1,024 units, 160 with blocks over 255), ratios 16 bytes per ratio and unit.
//   Units that hold many values each (the gaps of a request): core/pooled.hpp.
//   Thread safety: pure functions.
// ---- hotpath/core/stats.hpp
// hotpath/core/stats.hpp - exact quantiles, intervals of independent samples, and the distributions behind them.
//   The letters are those of docs/statistics.md. Intervals of correlated samples (the requests of one run): core/bootstrap.hpp.
//
//     std::sort(ms.begin(), ms.end());
//     auto p99 = stats::quantile(ms, 0.99);               // nothing for an empty set, never 0
//     auto r = stats::quantile_ranks(ms.size(), 0.99);    // 1-based ranks of its 95 % interval; r.hi is missing below n = 368
//
//   Pure functions: no state, no allocation unless said.
// ---- hotpath/core/result.hpp
// hotpath/core/result.hpp - a value or an error that reads like a compiler's: what, where, what was expected, what to do.
//   Member names are those of std::expected, so that an alias can replace this one day (GCC 12 has none).
//
//     hotpath::result<int> n = parse(text);
//     if (!n) { std::fputs(n.error().message().c_str(), stderr); return 3; }   // "load.jsonl:7:12: max_tokens is -5; want 1 or more"
//     use(*n);                                                                // checked by HOTPATH_ASSERT
//     use(n.value());                                                         // throws hotpath::exception (or asserts and ends)
//
//   Thread safety: as any value. Allocation: only the strings of an error.
// ---- hotpath/core/result.hpp

namespace hotpath::inline HOTPATH_ABI {

// What kind of failure. Tools turn it into an exit code; embedders may switch on it.
enum class errc : std::uint8_t {
  usage,        // the caller asked for something that makes no sense
  not_found,    // no such file, host or name
  unreadable,   // there, but cannot be read or written (permission, wrong type of file, locked)
  malformed,    // bytes that do not parse
  over_limit,   // larger than a limit; the message names the limit
  unsupported,  // valid, but not in this build or version
  unreachable,  // the server cannot be reached or refused us
  io,           // the operating system failed a read or a write
  empty,        // nothing to work on
  internal,     // a defect of hotpath
};

struct error {
  errc code = errc::internal;
  std::string detail{};      // what was wrong and what was expected: "max_tokens is -5, want 1 or more"
  std::string source{};      // file, or URL without credentials; may be empty
  std::uint64_t line = 0;    // from 1; 0 = not by line
  std::uint64_t column = 0;  // from 1, in bytes; 0 = unknown
  std::uint64_t byte = 0;    // offset from 0, used when `line` is 0 and `has_byte`
  bool has_byte = false;
  std::string hint{};        // what to do about it; may be empty. The {}: fields may be left out of a designated initializer

  // "source:line:column: detail; hint", one line, with the parts that are known.
  std::string message() const {
    std::string m = source;
    if (line != 0) {
      m.append(m.empty() ? "line " : ":").append(std::to_string(line));  // no +: g++ 12 warns of it at -O3 (its bug 105651)
      if (column != 0) m.append(":").append(std::to_string(column));
    } else if (has_byte) {
      m.append(m.empty() ? "byte " : ":byte ").append(std::to_string(byte));
    }
    if (!m.empty()) m += ": ";
    m += detail;
    if (!hint.empty()) m += "; " + hint;
    return m;
  }
};

#if !HOTPATH_NO_EXCEPTIONS
class exception : public std::exception {
 public:
  explicit exception(const hotpath::error& e) : error_(e), text_(e.message()) {}
  const char* what() const noexcept override { return text_.c_str(); }
  const hotpath::error& error() const noexcept { return error_; }

 private:
  hotpath::error error_;
  std::string text_;
};
#endif

namespace detail {
[[noreturn]] inline void no_value([[maybe_unused]] const error& e) {
#if !HOTPATH_NO_EXCEPTIONS
  throw exception(e);
#else
  HOTPATH_ASSERT(false && "result::value() of an error");
  std::abort();
#endif
}
}  // namespace detail

template <class T>
class [[nodiscard]] result {
 public:
  using value_type = T;
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(hotpath::error e) : state_(std::in_place_index<1>, std::move(e)) {}

  bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & noexcept { HOTPATH_ASSERT(has_value()); return *std::get_if<0>(&state_); }
  const T& operator*() const& noexcept { HOTPATH_ASSERT(has_value()); return *std::get_if<0>(&state_); }
  T&& operator*() && noexcept { HOTPATH_ASSERT(has_value()); return std::move(*std::get_if<0>(&state_)); }
  T* operator->() noexcept { HOTPATH_ASSERT(has_value()); return std::get_if<0>(&state_); }
  const T* operator->() const noexcept { HOTPATH_ASSERT(has_value()); return std::get_if<0>(&state_); }

  T& value() & { if (!has_value()) detail::no_value(error()); return **this; }
  const T& value() const& { if (!has_value()) detail::no_value(error()); return **this; }
  T&& value() && { if (!has_value()) detail::no_value(error()); return std::move(**this); }
  T value_or(T other) const& { return has_value() ? **this : std::move(other); }

  const hotpath::error& error() const& noexcept { HOTPATH_ASSERT(!has_value()); return *std::get_if<1>(&state_); }
  hotpath::error&& error() && noexcept { HOTPATH_ASSERT(!has_value()); return std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, hotpath::error> state_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  using value_type = void;
  result() = default;
  result(hotpath::error e) : error_(std::move(e)), failed_(true) {}

  bool has_value() const noexcept { return !failed_; }
  explicit operator bool() const noexcept { return !failed_; }
  void value() const { if (failed_) detail::no_value(error_); }
  const hotpath::error& error() const& noexcept { HOTPATH_ASSERT(failed_); return error_; }
  hotpath::error&& error() && noexcept { HOTPATH_ASSERT(failed_); return std::move(error_); }

 private:
  hotpath::error error_;
  bool failed_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/stats.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

// Of an estimate. hi missing: unknown, there are too few samples for an upper bound.
struct interval {
  double lo = 0;
  std::optional<double> hi;
};

// S1, Hyndman and Fan's type 7 (NumPy's default): linear between the order statistics around (n - 1) p. `sorted` ascending;
// p is clamped to 0 ... 1. Empty, or p is NaN: nothing.
std::optional<double> quantile(std::span<const double> sorted, double p);
// The value at a fractional index of sorted data, linear between neighbours, clamped to both ends. Not empty.
double value_at(std::span<const double> sorted, double index);

std::optional<double> mean(std::span<const double> values);  // nothing when empty
std::optional<double> sd(std::span<const double> values);    // of the sample (n - 1); nothing below two values

// S3: 1-based ranks of the order statistics that bound the p-quantile of independent samples (Hahn, Meeker; Le Boudec).
// lo == 0: no lower bound; hi missing: no upper bound. Time O(sqrt(n)).
struct rank_bounds {
  std::uint64_t lo = 0;
  std::optional<std::uint64_t> hi;
};
rank_bounds quantile_ranks(std::uint64_t n, double p, double confidence = 0.95);
// The smallest n at which quantile_ranks(n, p) has an upper bound: 36 at p90, 72 at p95, 368 at p99. 0 < p < 1.
std::uint64_t smallest_n(double p, double confidence = 0.95);

// The smallest k with P(X <= k) >= q, X binomial(n, p). Sums the probabilities around the mode: right to 1e-12 in q.
std::uint64_t binomial_quantile(double q, std::uint64_t n, double p);
double normal_quantile(double q);                       // standard normal; -inf at 0, inf at 1
double student_t_quantile(double q, double degrees);    // degrees > 0

// Wilson's interval of a share of k in n; {0, 1} for n = 0.
interval wilson(std::uint64_t k, std::uint64_t n, double confidence = 0.95);

// How many samples of the series are worth one independent sample: 1 + 2 (rho_1 + rho_2 + ...) up to the first rho < 2/sqrt(n).
// Ends early once it reaches `enough`. 1 for a constant series and below 3 values. Time O(n) per lag; allocates n doubles.
double autocorrelation_time(std::span<const double> series, double enough);
double autocorrelation_time(std::span<const double> series);

// S6, MSER-5 (White 1997): how much of the beginning of a series is warm-up. Batch means of 5; the cut d minimizes
// sum_{i > d} (z_i - mean)^2 / (m - d)^2 over the m batches, the last 4 apart. units: 5 d, the values before the steady part.
// steady: d <= m / 2. Nothing below 50 values. Time O(n), allocates n / 5 doubles.
struct warmup_cut {
  std::size_t units = 0;
  double minimum = 0;
  bool steady = false;
};
std::optional<warmup_cut> mser5(std::span<const double> series);

// Tene's correction of coordinated omission, for latencies recorded elsewhere by a closed loop that meant to send every
// `expected`: beside each value v the v - E, v - 2E, ... >= E that requests would have seen in the meantime. Same unit for both.
// expected <= 0 or not finite: usage; more than `limit` samples: over_limit. Never for our own runs: they keep the schedule.
result<std::vector<double>> correct_coordinated_omission(std::span<const double> values, double expected,
                                                         std::size_t limit = 100'000'000);

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/stats-inl.hpp
// hotpath/core/stats-inl.hpp - bodies of core/stats.hpp.
//   Mathematics by builtins: <cmath> is 15,900 preprocessed lines, and an analyzer may have 45,000.
// ---- hotpath/core/stats-inl.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN double value_at(std::span<const double> sorted, double index) {
  const double last = static_cast<double>(sorted.size() - 1);
  if (!(index > 0)) return sorted.front();
  if (index >= last) return sorted.back();
  const auto i = static_cast<std::size_t>(index);
  const double below = sorted[i], step = sorted[i + 1] - below;
  return below + (index - static_cast<double>(i)) * step;
}

HOTPATH_FN std::optional<double> quantile(std::span<const double> sorted, double p) {
  if (sorted.empty() || p != p) return std::nullopt;
  return value_at(sorted, p * static_cast<double>(sorted.size() - 1));
}

HOTPATH_FN std::optional<double> mean(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  double sum = 0;
  for (const double v : values) sum += v;
  return sum / static_cast<double>(values.size());
}

HOTPATH_FN std::optional<double> sd(std::span<const double> values) {
  if (values.size() < 2) return std::nullopt;
  const double m = *mean(values);
  double sum = 0;
  for (const double v : values) sum += (v - m) * (v - m);
  return __builtin_sqrt(sum / static_cast<double>(values.size() - 1));
}

HOTPATH_FN std::uint64_t binomial_quantile(double q, std::uint64_t n, double p) {
  if (n == 0 || !(p > 0) || !(q > 0)) return 0;
  if (p >= 1 || q >= 1) return n;
  const double size = static_cast<double>(n), odds = p / (1 - p);
  // Weights relative to the mode's, so that nothing under- or overflows and no gamma function is needed.
  const auto mode = static_cast<std::uint64_t>((size + 1) * p) < n ? static_cast<std::uint64_t>((size + 1) * p) : n;
  constexpr double nothing = 1e-18;
  const auto step_up = [&](double w, std::uint64_t k) {  // weight of k + 1 from that of k
    return w * (size - static_cast<double>(k)) / (static_cast<double>(k) + 1) * odds;
  };
  const auto step_down = [&](double w, std::uint64_t k) {  // weight of k - 1 from that of k
    return w * static_cast<double>(k) / ((size - static_cast<double>(k) + 1) * odds);
  };
  double below = 0, above = 0;  // sums of k < mode and k >= mode
  double w = 1;
  for (std::uint64_t k = mode;; ++k) {
    above += w;
    if (k == n) break;
    w = step_up(w, k);
    if (w < nothing) break;
  }
  w = 1;
  for (std::uint64_t k = mode; k > 0; --k) {
    w = step_down(w, k);
    if (w < nothing) break;
    below += w;
  }
  const double target = q * (below + above);
  double sum = below;
  w = 1;
  if (below < target) {
    std::uint64_t k = mode;
    for (; k < n && sum + w < target; ++k) {
      sum += w;
      w = step_up(w, k);
    }
    return k;
  }
  std::uint64_t k = mode;  // invariant: P(X < k) >= q
  while (k > 0) {
    w = step_down(w, k);
    --k;
    if (sum - w < target) break;
    sum -= w;
  }
  return k;
}

HOTPATH_FN rank_bounds quantile_ranks(std::uint64_t n, double p, double confidence) {
  const double tail = (1 - confidence) / 2;
  rank_bounds r;
  if (n == 0) return r;
  r.lo = binomial_quantile(tail, n, p);
  const std::uint64_t hi = binomial_quantile(1 - tail, n, p) + 1;
  if (hi <= n) r.hi = hi;
  return r;
}

HOTPATH_FN std::uint64_t smallest_n(double p, double confidence) {
  // The upper rank is within n as soon as P(all samples below the quantile) = p^n <= the tail.
  auto n = static_cast<std::uint64_t>(__builtin_ceil(__builtin_log((1 - confidence) / 2) / __builtin_log(p)));
  while (n > 1 && quantile_ranks(n - 1, p, confidence).hi) --n;
  while (!quantile_ranks(n, p, confidence).hi) ++n;
  return n;
}

HOTPATH_FN double normal_quantile(double q) {
  if (q != q || q == 0.5) return q - 0.5;
  if (q <= 0) return -std::numeric_limits<double>::infinity();
  if (q >= 1) return std::numeric_limits<double>::infinity();
  // A logistic guess, then Newton with bounds on the error function: 6 steps to full precision, no table of coefficients.
  const bool upper = q > 0.5;
  const double tail = upper ? 1 - q : q;
  double lo = -39, hi = 0, x = -__builtin_sqrt(-2 * __builtin_log(tail)) * 0.9;
  if (x < lo || x > hi) x = -1;
  for (int i = 0; i < 200; ++i) {
    const double f = 0.5 * __builtin_erfc(-x / __builtin_sqrt(2.0)) - tail;
    if (f > 0) hi = x;
    else lo = x;
    const double density = __builtin_exp(-0.5 * x * x) * 0.3989422804014327;
    double next = density > 0 ? x - f / density : (lo + hi) / 2;
    if (!(next > lo && next < hi)) next = (lo + hi) / 2;
    if (__builtin_fabs(next - x) <= 1e-15 * __builtin_fabs(x) || next == x) break;
    x = next;
  }
  return upper ? -x : x;
}

namespace detail {
// Regularized incomplete beta I_x(a, b) by its continued fraction (DLMF 8.17.22), modified Lentz.
inline double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incomplete_beta(b, a, 1 - x);
  const double front = __builtin_exp(__builtin_lgamma(a + b) - __builtin_lgamma(a) - __builtin_lgamma(b) + a * __builtin_log(x) + b * __builtin_log1p(-x)) / a;
  constexpr double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (__builtin_fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m < 10'000; ++m) {
    for (const bool odd : {false, true}) {
      const double k = m;
      const double term = odd ? -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
                              : k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
      d = 1 + term * d;
      d = 1 / (__builtin_fabs(d) < tiny ? tiny : d);
      c = 1 + term / c;
      if (__builtin_fabs(c) < tiny) c = tiny;
      h *= c * d;
    }
    if (__builtin_fabs(c * d - 1) < 1e-16) break;
  }
  return front * h;
}
}  // namespace detail

HOTPATH_FN double student_t_quantile(double q, double degrees) {
  if (q == 0.5) return 0;
  if (q < 0.5) return -student_t_quantile(1 - q, degrees);
  if (!(q < 1)) return std::numeric_limits<double>::infinity();
  // P(T > t) = I_{v/(v + t^2)}(v/2, 1/2) / 2, falling in t: bracket, then bisect to the last bit.
  const auto tail = [degrees](double t) { return 0.5 * detail::incomplete_beta(degrees / 2, 0.5, degrees / (degrees + t * t)); };
  double lo = 0, hi = 2;
  while (tail(hi) > 1 - q && hi < 1e12) lo = hi, hi *= 2;
  for (int i = 0; i < 100 && hi - lo > 1e-14 * hi; ++i) {
    const double mid = (lo + hi) / 2;
    if (tail(mid) > 1 - q) lo = mid;
    else hi = mid;
  }
  return (lo + hi) / 2;
}

HOTPATH_FN interval wilson(std::uint64_t k, std::uint64_t n, double confidence) {
  if (n == 0) return {0, 1.0};
  const double z = normal_quantile(1 - (1 - confidence) / 2), size = static_cast<double>(n), share = static_cast<double>(k) / size;
  const double z2n = z * z / size, middle = share + z2n / 2, half = z * __builtin_sqrt(share * (1 - share) / size + z2n / (4 * size));
  // At the ends the formula gives 0 and 1 but for rounding.
  const double lo = k == 0 ? 0 : (middle - half) / (1 + z2n), hi = k >= n ? 1 : (middle + half) / (1 + z2n);
  return {lo, hi};
}

HOTPATH_FN double autocorrelation_time(std::span<const double> series, double enough) {
  const std::size_t n = series.size();
  if (n < 3) return 1;
  const double m = *mean(series), limit = 2 / __builtin_sqrt(static_cast<double>(n));
  std::vector<double> x(n);
  double power = 0;
  for (std::size_t i = 0; i < n; ++i) {
    x[i] = series[i] - m;
    power += x[i] * x[i];
  }
  if (!(power > 0)) return 1;
  double tau = 1;
  for (std::size_t lag = 1; lag < n && tau < enough; ++lag) {
    double sum[4] = {};  // four chains: one would wait for each addition
    const std::size_t pairs = n - lag, even = pairs & ~std::size_t{3};
    const double *a = x.data(), *b = x.data() + lag;
    for (std::size_t i = 0; i < even; i += 4)
      for (std::size_t k = 0; k < 4; ++k) sum[k] += a[i + k] * b[i + k];
    for (std::size_t i = even; i < pairs; ++i) sum[0] += a[i] * b[i];
    const double rho = (sum[0] + sum[1] + sum[2] + sum[3]) / power;
    if (!(rho >= limit)) break;
    tau += 2 * rho;
  }
  return tau;
}

HOTPATH_FN double autocorrelation_time(std::span<const double> series) {
  return autocorrelation_time(series, std::numeric_limits<double>::infinity());
}

HOTPATH_FN result<std::vector<double>> correct_coordinated_omission(std::span<const double> values, double expected, std::size_t limit) {
  error e;
  if (!(expected > 0) || expected - expected != 0) {
    e.code = errc::usage;
    e.detail = "the expected interval is " + std::to_string(expected) + ", want a number above 0";
    return e;
  }
  std::vector<double> out;
  for (const double v : values) {
    const double extra = v >= 2 * expected ? __builtin_floor(v / expected) - 1 : 0;
    if (!(extra < static_cast<double>(limit)) || out.size() + static_cast<std::size_t>(extra) >= limit) {
      e.code = errc::over_limit;
      e.detail = "more than " + std::to_string(limit) + " corrected samples, at a value of " + std::to_string(v);
      e.hint = "is the expected interval in the unit of the values?";
      return e;
    }
    out.push_back(v);
    for (double k = 1; v - k * expected >= expected; ++k) out.push_back(v - k * expected);
  }
  return out;
}

HOTPATH_FN std::optional<warmup_cut> mser5(std::span<const double> series) {
  constexpr std::size_t batch = 5, apart = 4;
  const std::size_t m = series.size() / batch;
  if (m < 10) return std::nullopt;
  std::vector<double> z(m);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t k = 0; k < batch; ++k) z[i] += series[i * batch + k];
    z[i] /= batch;
  }
  // From the end: mean and sum of squares of what a cut leaves, one batch more each time (Welford).
  warmup_cut best{.units = 0, .minimum = -1};
  double mean = 0, squares = 0;
  for (std::size_t n = 1; n <= m; ++n) {
    const std::size_t d = m - n;
    const double off = z[d] - mean;
    mean += off / static_cast<double>(n);
    squares += off * (z[d] - mean);
    if (n <= apart) continue;
    const double value = squares / (static_cast<double>(n) * static_cast<double>(n));
    if (best.minimum < 0 || value <= best.minimum) best = {.units = d * batch, .minimum = value, .steady = d <= m / 2};
  }
  return best;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/bootstrap.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

inline constexpr std::size_t minimum_units = 6;  // the smallest n at which S3 bounds a median on both sides

struct bootstrap_options {
  std::uint64_t seed = 1;
  std::uint32_t resamples = 2000;  // 0: no intervals
};

// Blocks for n units: length max(ceil(2 n^(1/3)), ceil(4 tau)), at most n/20 and 65,535, then as long as fits `count` times.
// widen: Student's t (count - 1 degrees) over the normal quantile, times sqrt(count / (count - 1)), times 1 / sqrt(1 - c), where
// c = (tau - 1/tau) / (2 length), at most 1/2, is the share of the variance that blocks cut off at their ends: exact for AR(1),
// where it lifts the coverage of "95 %" at rho = 0.8 (p90, n = 2,000) from 91.4 to 93.4 %.
struct block_plan {
  std::size_t length = 0, count = 0;
  double widen = 1;
};
block_plan plan_blocks(std::size_t n, double tau);

struct intervals {
  std::optional<interval> mean;
  std::vector<std::optional<interval>> quantile;  // as the levels; missing: too few units
};

// One value per unit. `in_order`: as they arrived; `sorted`: the same values ascending. Levels in (0, 1).
intervals bootstrap_series(std::span<const double> in_order, std::span<const double> sorted, std::span<const double> levels,
                           const bootstrap_options& options = {});

// sum(numerator) / (sum(denominator) + constant), one of each per unit: rates, shares, means of unlike weights. An empty
// denominator is all ones. All spans of one call have the same length and are resampled together.
struct ratio {
  std::span<const double> numerator, denominator;
  double constant = 0;
};
std::vector<std::optional<interval>> bootstrap_ratios(std::span<const ratio> ratios, const bootstrap_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/bootstrap-inl.hpp
// hotpath/core/bootstrap-inl.hpp - bodies of core/bootstrap.hpp.
// ---- hotpath/core/random.hpp
// hotpath/core/random.hpp - the one random generator: seeded, small, the same numbers on every machine.
//   xoshiro256** (Blackman, Vigna, ACM TOMS 2021), its state filled by splitmix64; bounded integers by Lemire's method (ACM
//   TOMACS 2019), without bias. Not for secrets.
//
//     stats::xoshiro256 random{seed};
//     const auto row = random.below(rows);                    // 0 ... rows - 1
//     const double gap_s = random.exponential(1 / rate);      // mean 1 / rate
//
//   next() and below() are bit-exact everywhere; exponential() and normal() differ between C libraries in the last bit, so what
//   must be replayed exactly is stored, not drawn again. Thread safety: as any value; one generator per thread.
// ---- hotpath/core/random.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

// A 64-bit mixer that walks through all states once. For seeds; `state` may be any number.
class splitmix64 {
 public:
  constexpr explicit splitmix64(uint64_t state) : state_(state) {}
  constexpr uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
  }

 private:
  uint64_t state_;
};

class xoshiro256 {
 public:
  constexpr explicit xoshiro256(uint64_t seed) {
    splitmix64 fill{seed};
    for (uint64_t& s : state_) s = fill.next();
  }

  constexpr uint64_t next() {
    const uint64_t out = rotl(state_[1] * 5, 7) * 9, t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return out;
  }

  // 0 ... n - 1, each equally likely; 0 for n = 0.
  constexpr uint64_t below(uint64_t n) {
    wide product = wide{next()} * n;
    if (static_cast<uint64_t>(product) < n) {
      const uint64_t reject = (0 - n) % (n != 0 ? n : 1);
      while (static_cast<uint64_t>(product) < reject) product = wide{next()} * n;
    }
    return static_cast<uint64_t>(product >> 64);
  }

  constexpr double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1), 53 random bits

  double exponential(double mean) { return -mean * __builtin_log1p(-unit()); }  // >= 0
  // Mean 0, standard deviation 1 (Box, Muller 1958; the second of each pair is not kept, so that the state is all there is).
  double normal() {
    const double radius = __builtin_sqrt(-2 * __builtin_log1p(-unit()));
    return radius * __builtin_cos(6.283185307179586 * unit());
  }

 private:
  __extension__ typedef unsigned __int128 wide;
  static constexpr uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }
  uint64_t state_[4] = {};
};

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/bootstrap-inl.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN block_plan plan_blocks(std::size_t n, double tau) {
  block_plan plan;
  if (n == 0) return plan;
  const double size = static_cast<double>(n);
  const double wanted = (std::max)(__builtin_ceil(2 * __builtin_cbrt(size) - 1e-9), __builtin_ceil(4 * tau - 1e-9));
  const std::size_t most = std::clamp<std::size_t>(n / 20, 1, 65'535);
  plan.length = wanted < static_cast<double>(most) ? static_cast<std::size_t>(wanted) : most;
  plan.count = n / plan.length;
  plan.length = (std::min<std::size_t>)(n / plan.count, 65'535);  // no remainder worth speaking of: a resample has n units
  if (plan.count > 1) {
    const double b = static_cast<double>(plan.count), length = static_cast<double>(plan.length);
    const double cut = tau > 1 ? (std::min)((tau - 1 / tau) / (2 * length), 0.5) : 0;
    plan.widen = student_t_quantile(0.975, b - 1) / normal_quantile(0.975) * __builtin_sqrt(b / (b - 1)) / __builtin_sqrt(1 - cut);
  }
  return plan;
}

namespace detail {

// Half-widths of the percentile interval around the estimate, widened.
inline interval widened(std::vector<double>& replicates, double estimate, double widen) {
  std::sort(replicates.begin(), replicates.end());
  const double lo = *quantile(replicates, 0.025), hi = *quantile(replicates, 0.975);
  return {estimate - (std::max)(estimate - lo, 0.0) * widen, estimate + (std::max)(hi - estimate, 0.0) * widen};
}

// Rows of width numbers, one per unit, summed over every block of units: row i becomes the sum over units i ... i + length - 1.
// Unsigned counters may wrap in between: the difference of two prefixes is right as long as a block's sum fits.
template <class T>
class block_rows {
 public:
  block_rows(std::size_t units, std::size_t width) : width_(width), rows_((units + 1) * width) {}
  // The row of the next unit, holding the sums so far: add to it.
  T* next() {
    const T* before = rows_.data() + filled_ * width_;
    T* row = rows_.data() + ++filled_ * width_;
    std::copy(before, before + width_, row);
    return row;
  }
  void sum_blocks(std::size_t length) {
    for (std::size_t i = 0, n = (filled_ + 1 - length) * width_, ahead = length * width_; i < n; ++i)
      rows_[i] = static_cast<T>(rows_[i + ahead] - rows_[i]);
  }
  const T* block(std::size_t begin) const { return rows_.data() + begin * width_; }

 private:
  std::size_t width_, filled_ = 0;
  std::vector<T> rows_;
};

// How a resample's bin counts become a rank among the original samples, for one level after the other.
class bin_ranks {
 public:
  // counts: samples per bin of the original.
  bin_ranks(std::span<const std::uint64_t> counts, std::span<const double> levels) : levels_(levels) {
    before_.reserve(counts.size() + 1);
    before_.push_back(0);
    for (const std::uint64_t c : counts) before_.push_back(before_.back() + static_cast<double>(c));
  }
  // Fractional 0-based rank in the original of the resample's type-7 quantile, for each level (ascending or not).
  void operator()(std::span<const std::uint64_t> resample, std::vector<double>* out) const {
    double total = 0;
    for (const std::uint64_t c : resample) total += static_cast<double>(c);
    std::size_t bin = 0;
    double seen = 0;
    for (std::size_t l = 0; l < levels_.size(); ++l) {
      const double at = (total - 1) * levels_[l] + 0.5;  // ranks are middles of unit steps
      if (l > 0 && levels_[l] < levels_[l - 1]) bin = 0, seen = 0;
      while (bin + 1 < resample.size() && seen + static_cast<double>(resample[bin]) <= at) seen += static_cast<double>(resample[bin++]);
      const double here = static_cast<double>(resample[bin]);
      const double share = here > 0 ? (std::min)((at - seen) / here, 1.0) : 1.0;
      out[l].push_back(before_[bin] + share * (before_[bin + 1] - before_[bin]) - 0.5);
    }
  }

 private:
  std::span<const double> levels_;
  std::vector<double> before_;
};

constexpr std::size_t bin_step = 64;  // rows are multiples of it, so that their sums are whole vectors

// sum[0 ... width - 1] = the sum of the rows that begin at the given units. A part of each row at a time stays in registers:
// eight vectors, spelled out because GCC 12 does neither vectorize nor unroll this at -O2. Rows of bytes have sums of two: the
// even bins of a vector are its low bytes, the odd ones its high bytes.
template <class T, class Sum>
void sum_rows(const block_rows<T>& rows, std::span<const std::size_t> begins, Sum* sum, std::size_t width) {
  typedef Sum vec __attribute__((vector_size(16), aligned(alignof(T)), may_alias));
  constexpr bool bytes = sizeof(T) == 1;
  constexpr std::size_t part = (bytes ? 64 : 128) / sizeof(T), ahead = 12;
  static_assert(bytes ? sizeof(Sum) == 2 : sizeof(T) == sizeof(Sum));
  for (std::size_t at = 0; at < width; at += part) {
    vec a{}, b{}, c{}, d{}, e{}, f{}, g{}, h{};
    for (std::size_t i = 0; i < begins.size(); ++i) {
      if (i + ahead < begins.size()) {
        const T* later = rows.block(begins[i + ahead]) + at;
        __builtin_prefetch(later);
        __builtin_prefetch(later + part - 1);
      }
      const vec* row = reinterpret_cast<const vec*>(rows.block(begins[i]) + at);
      if constexpr (bytes) {
        a += row[0] & 255, b += row[0] >> 8, c += row[1] & 255, d += row[1] >> 8;
        e += row[2] & 255, f += row[2] >> 8, g += row[3] & 255, h += row[3] >> 8;
      } else {
        a += row[0], b += row[1], c += row[2], d += row[3], e += row[4], f += row[5], g += row[6], h += row[7];
      }
    }
    const vec all[8] = {a, b, c, d, e, f, g, h};
    constexpr std::size_t lanes = 16 / sizeof(Sum);
    for (std::size_t v = 0; v < 8; ++v)
      for (std::size_t k = 0; k < lanes; ++k) sum[at + (bytes ? v / 2 * 2 * lanes + 2 * k + v % 2 : v * lanes + k)] = all[v][k];
  }
}

// Ranks of every resample, per level. T: the narrowest counter that holds `largest`, a block's largest sum of one bin.
template <class T>
std::vector<std::vector<double>> resampled_ranks(const block_rows<T>& rows, std::size_t width, std::size_t units, const block_plan& plan,
                                                 std::uint64_t largest, const bin_ranks& ranks, std::size_t levels,
                                                 const bootstrap_options& options) {
  std::vector<std::vector<double>> out(levels);
  for (auto& v : out) v.reserve(options.resamples);
  using narrow_sum = std::conditional_t<sizeof(T) == 1, std::uint16_t, T>;
  std::vector<narrow_sum> narrow(width);
  std::vector<std::uint64_t> total(width);
  // Narrow sums are emptied before they can wrap.
  const std::uint64_t room = (std::numeric_limits<narrow_sum>::max)() / (std::max<std::uint64_t>)(largest, 1);
  xoshiro256 random{options.seed};
  std::vector<std::size_t> begins(plan.count);
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    for (std::size_t& b : begins) b = random.below(units - plan.length + 1);
    std::fill(total.begin(), total.end(), 0);
    for (std::size_t done = 0; done < begins.size();) {
      const std::size_t until = (std::min<std::size_t>)(begins.size(), done + room);
      sum_rows(rows, std::span(begins).subspan(done, until - done), narrow.data(), width);
      done = until;
      for (std::size_t g = 0; g < width; ++g) total[g] += narrow[g];
    }
    ranks(total, out.data());
  }
  return out;
}

// Resamples of sum(numerator) / (sum(denominator) + constant).
inline std::vector<std::vector<double>> resampled_ratios(std::span<const ratio> ratios, std::size_t units, const block_plan& plan,
                                                         const bootstrap_options& options) {
  // Columns: numerators, and denominators that are not all ones; one that ratios share is summed once.
  std::vector<std::span<const double>> columns;
  std::vector<std::size_t> above, below;
  const auto column_of = [&](std::span<const double> c) {
    std::size_t k = 0;
    while (k < columns.size() && columns[k].data() != c.data()) ++k;
    if (k == columns.size()) columns.push_back(c);
    return k;
  };
  constexpr std::size_t ones = ~std::size_t{0};
  for (const ratio& r : ratios) {
    above.push_back(column_of(r.numerator));
    below.push_back(r.denominator.empty() ? ones : column_of(r.denominator));
  }
  const std::size_t width = columns.size();
  block_rows<double> rows{units, width};
  for (std::size_t i = 0; i < units; ++i) {
    double* row = rows.next();
    for (std::size_t k = 0; k < width; ++k) row[k] += columns[k][i];
  }
  rows.sum_blocks(plan.length);
  const double drawn = static_cast<double>(plan.length * plan.count), size = drawn / static_cast<double>(units);
  std::vector<std::vector<double>> out(ratios.size());
  for (auto& v : out) v.reserve(options.resamples);
  std::vector<double> sum(width);
  std::vector<std::size_t> begins(plan.count);
  xoshiro256 random{options.seed};
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    for (std::size_t& b : begins) b = random.below(units - plan.length + 1);
    std::fill(sum.begin(), sum.end(), 0.0);
    if (width == 1) {
      double one = 0;
      for (const std::size_t b : begins) one += *rows.block(b);
      sum[0] = one;
    } else {
      for (const std::size_t b : begins) {
        const double* row = rows.block(b);
        for (std::size_t k = 0; k < width; ++k) sum[k] += row[k];
      }
    }
    for (std::size_t k = 0; k < ratios.size(); ++k) {
      const double divisor = (below[k] == ones ? drawn : sum[below[k]]) + ratios[k].constant * size;
      if (divisor > 0) out[k].push_back(sum[above[k]] / divisor);
    }
  }
  return out;
}

// Where bins end, as shares of the samples: at each level and `steps` times its scale around it. At most `most`.
template <class Scale>
std::vector<double> bin_ends(std::span<const double> levels, std::span<const double> steps, std::size_t most, const Scale& scale) {
  std::vector<double> ends;
  for (const double p : levels) {
    ends.push_back(p);
    for (const double step : steps)
      for (const double end : {p - step * scale(p), p + step * scale(p)})
        if (end > 0 && end < 1) ends.push_back(end);
  }
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  while (ends.size() > most) ends.erase(ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2));  // more levels than planned for
  return ends;
}

// Each end at least as far out as that of independent samples; missing where the ranks say so.
inline std::optional<interval> at_least_s3(const interval& found, const rank_bounds& r, double lo_value, double hi_value) {
  if (r.lo == 0) return std::nullopt;
  interval out{(std::min)(found.lo, lo_value), std::nullopt};
  if (r.hi) out.hi = (std::max)(*found.hi, hi_value);
  return out;
}

template <class T>
std::vector<std::vector<double>> series_ranks(std::span<const double> in_order, std::span<const double> ends, std::size_t width,
                                              const block_plan& plan, std::span<const double> levels, const bootstrap_options& options) {
  const std::size_t n = in_order.size();
  block_rows<T> rows{n, width};
  std::vector<std::uint64_t> counts(width);
  for (const double x : in_order) {
    const auto bin = static_cast<std::size_t>(std::lower_bound(ends.begin(), ends.end(), x) - ends.begin());
    ++counts[bin];
    T& cell = rows.next()[bin];
    cell = static_cast<T>(cell + 1);
  }
  rows.sum_blocks(plan.length);
  return resampled_ranks(rows, width, n, plan, plan.length, bin_ranks{counts, levels}, levels.size(), options);
}

}  // namespace detail

HOTPATH_FN intervals bootstrap_series(std::span<const double> in_order, std::span<const double> sorted, std::span<const double> levels,
                                      const bootstrap_options& options) {
  intervals out;
  out.quantile.resize(levels.size());
  const std::size_t n = in_order.size();
  if (n < minimum_units || options.resamples == 0) return out;
  const double tau = autocorrelation_time(in_order, static_cast<double>(n) / 80 + 1);
  const block_plan plan = plan_blocks(n, tau);

  const ratio whole{in_order, {}, 0};
  auto means = detail::resampled_ratios({&whole, 1}, n, plan, options);
  out.mean = detail::widened(means[0], *mean(in_order), plan.widen);

  // Bin b holds (ends[b-1], ends[b]]; equal values are never parted. Few units: a bin for each value.
  std::vector<double> ends;
  constexpr std::size_t exact = 1024;
  if (n < exact) ends.assign(sorted.begin(), sorted.end());
  else {
    static constexpr double errors[] = {0.25, 0.5, 0.8, 1.2, 1.7, 2.4, 4};  // in standard errors of the level's rank, about
    const double per_unit = (std::max)(tau, 1.0) / static_cast<double>(n);
    for (const double share : detail::bin_ends(levels, errors, detail::bin_step - 1, [&](double p) { return __builtin_sqrt(p * (1 - p) * per_unit); }))
      ends.push_back(sorted[static_cast<std::size_t>(share * static_cast<double>(n))]);
  }
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  const std::size_t width = (ends.size() / detail::bin_step + 1) * detail::bin_step;
  auto ranks = plan.length <= 255 ? detail::series_ranks<std::uint8_t>(in_order, ends, width, plan, levels, options)
                                  : detail::series_ranks<std::uint16_t>(in_order, ends, width, plan, levels, options);
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double at = levels[l] * static_cast<double>(n - 1);
    std::sort(ranks[l].begin(), ranks[l].end());
    const double estimate = value_at(sorted, at);
    interval found{value_at(sorted, *quantile(ranks[l], 0.025)), value_at(sorted, *quantile(ranks[l], 0.975))};
    found = {estimate - (std::max)(estimate - found.lo, 0.0) * plan.widen, estimate + (std::max)(*found.hi - estimate, 0.0) * plan.widen};
    const rank_bounds r = quantile_ranks(n, levels[l]);
    out.quantile[l] = detail::at_least_s3(found, r, r.lo > 0 ? sorted[r.lo - 1] : 0, r.hi ? sorted[*r.hi - 1] : 0);
  }
  return out;
}

HOTPATH_FN std::vector<std::optional<interval>> bootstrap_ratios(std::span<const ratio> ratios, const bootstrap_options& options) {
  std::vector<std::optional<interval>> out(ratios.size());
  const std::size_t n = ratios.empty() ? 0 : ratios[0].numerator.size();
  if (n < minimum_units || options.resamples == 0) return out;
  double tau = 1;
  std::vector<double> estimates, residual(n);
  for (const ratio& r : ratios) {
    double above = 0, below = r.constant;
    for (std::size_t i = 0; i < n; ++i) above += r.numerator[i], below += r.denominator.empty() ? 1 : r.denominator[i];
    estimates.push_back(below > 0 ? above / below : 0);
    // What a unit moves the ratio by; its correlation is what the blocks must hold.
    for (std::size_t i = 0; i < n; ++i) residual[i] = r.numerator[i] - estimates.back() * (r.denominator.empty() ? 1 : r.denominator[i]);
    tau = (std::max)(tau, autocorrelation_time(residual, static_cast<double>(n) / 80 + 1));
  }
  const block_plan plan = plan_blocks(n, tau);
  auto replicates = detail::resampled_ratios(ratios, n, plan, options);
  for (std::size_t k = 0; k < ratios.size(); ++k)
    if (replicates[k].size() == options.resamples) out[k] = detail::widened(replicates[k], estimates[k], plan.widen);
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/json.hpp
// hotpath/core/json.hpp - one pull reader and one writer, for the JSON of hot paths: SSE payloads, workloads, traces, reports.
//
//     hotpath::json::reader in{text};                       // the text outlives the reader; strings are views into it
//     std::string_view content; std::int64_t tokens = 0;
//     in.object([&](std::string_view key) {                 // once per member, in order, duplicates too
//       if (key == "choices") in.array([&] { in.object([&](std::string_view k) { if (k == "text") in.string(content); }); });
//       else if (key == "tokens") in.integer(tokens);       // what the function leaves unread is validated and skipped
//     });
//     if (!in.finish()) return in.failure("load.jsonl");    // "load.jsonl:1:17: found 'x', want ',' or '}'"
//
//     std::string out;
//     hotpath::json::writer w{out};
//     w.object_begin(); w.member("n", 3); w.member("p50_ms", std::optional<double>{}); w.object_end();   // {"n":3,"p50_ms":null}
//
//   mode::strict accepts what nlohmann::json 3.11.2 accepts and nothing else, within the limits below: a leading UTF-8 byte order
//   mark is skipped, a NUL byte outside a string ends the text, a number beyond the range of double is an error.
//   mode::tolerant_text also accepts, inside strings, ill-formed UTF-8 and control characters (both are kept as they are) and
//   lone surrogate escapes (they become U+FFFD), and counts them; servers and profilers write all three.
//   Measured (tests/bench/json_bench.cpp, g++ 12 -O2, one AMD EPYC core; in brackets nlohmann's SAX parser in the same run): content
//   of a 250-byte chat chunk 105 ns (1,330 ns), no allocation; trace events 1.9 GB/s skipped, 1.5 with every value read (0.19).
//   Thread safety: none; one reader or writer per thread.
// ---- hotpath/core/detail/utf8.hpp
// hotpath/core/detail/utf8.hpp - one decoder step of UTF-8 and the two byte scans that JSON and text share. No name here is
//   for users. The scans exist twice: SSE2 (every x86-64 has it) and plain words; a test compares them byte by byte.
//   SSE2 is spelled with the compiler's vector type: <emmintrin.h> would be 2,700 preprocessed lines for three operations.
// ---- hotpath/core/detail/utf8.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

struct utf8_step {
  std::uint8_t length;  // bytes of the character; where ill-formed, of the part that one U+FFFD stands for (1 to 3)
  bool valid;
};

// Needs p < end. Well-formed is table 3-7 of the Unicode standard (no overlong form, no surrogate, nothing above U+10FFFF);
// an ill-formed part is its "maximal subpart", so that text repaired here equals what a browser or Python shows.
inline utf8_step utf8_at(const char* p, const char* end) noexcept {
  const auto byte = [&](int i) { return static_cast<unsigned char>(p[i]); };
  const auto left = end - p;
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const int extra = lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
  unsigned low = 0x80, high = 0xBF;  // of the second byte
  if (lead == 0xE0) low = 0xA0;
  else if (lead == 0xED) high = 0x9F;
  else if (lead == 0xF0) low = 0x90;
  else if (lead == 0xF4) high = 0x8F;
  if (left < 2 || byte(1) < low || byte(1) > high) return {1, false};
  for (int i = 2; i <= extra; ++i)
    if (left <= i || (byte(i) & 0xC0) != 0x80) return {static_cast<std::uint8_t>(i), false};
  return {static_cast<std::uint8_t>(extra + 1), true};
}

inline constexpr char replacement_character[] = "\xEF\xBF\xBD";  // U+FFFD

// `c` is a scalar value: not a surrogate, at most U+10FFFF.
inline void append_utf8(std::string& out, std::uint32_t c) {
  char b[4];
  std::size_t n = 0;
  const auto put = [&](std::uint32_t v) { b[n++] = static_cast<char>(v); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
  out.append(b, n);
}

inline constexpr std::uint64_t every_byte = 0x0101010101010101u;

// First byte that is not plain inside a JSON string: a quote, a backslash, below 0x20, or not ASCII. `end` if there is none.
inline const char* plain_run_words(const char* p, const char* end) noexcept {
  constexpr std::uint64_t top = every_byte * 0x80;
  while (end - p >= 8) {
    std::uint64_t w;
    std::memcpy(&w, p, 8);
    const std::uint64_t quote = w ^ every_byte * '"', slash = w ^ every_byte * '\\';
    // x - 1 borrows into the top bit where a byte is 0; false alarms only cost a look at single bytes.
    if (((w | (w - every_byte * 0x20) | (quote - every_byte) | (slash - every_byte)) & top) != 0) break;
    p += 8;
  }
  for (; p != end; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\') break;
  }
  return p;
}

// First byte that is not ASCII, or `end`.
inline const char* ascii_run_words(const char* p, const char* end) noexcept {
  while (end - p >= 8) {
    std::uint64_t w;
    std::memcpy(&w, p, 8);
    if ((w & every_byte * 0x80) != 0) break;
    p += 8;
  }
  while (p != end && static_cast<unsigned char>(*p) < 0x80) ++p;
  return p;
}

#ifdef __SSE2__
using bytes16 = signed char __attribute__((vector_size(16)));

inline bytes16 load16(const char* p) noexcept {
  bytes16 v;
  std::memcpy(&v, p, 16);
  return v;
}

// The top bit of each byte, the first byte's lowest.
inline unsigned top_bits(bytes16 v) noexcept {
  using chars16 = char __attribute__((vector_size(16)));
  return static_cast<unsigned>(__builtin_ia32_pmovmskb128(reinterpret_cast<chars16>(v)));
}

inline const char* plain_run(const char* p, const char* end) noexcept {
  for (; end - p >= 16; p += 16) {
    const bytes16 v = load16(p);
    // Signed: a byte that is not ASCII is negative, so "below 0x20" finds it too.
    const unsigned stop = top_bits(bytes16((v < 0x20) | (v == '"') | (v == '\\')));
    if (stop != 0) return p + __builtin_ctz(stop);
  }
  return plain_run_words(p, end);
}

inline const char* ascii_run(const char* p, const char* end) noexcept {
  for (; end - p >= 16; p += 16) {
    const unsigned stop = top_bits(load16(p));
    if (stop != 0) return p + __builtin_ctz(stop);
  }
  return ascii_run_words(p, end);
}
#else
inline const char* plain_run(const char* p, const char* end) noexcept { return plain_run_words(p, end); }
inline const char* ascii_run(const char* p, const char* end) noexcept { return ascii_run_words(p, end); }
#endif

}  // namespace hotpath::inline HOTPATH_ABI::detail
// ---- hotpath/core/json.hpp

namespace hotpath::inline HOTPATH_ABI::json {

enum class mode : std::uint8_t { strict, tolerant_text };
enum class kind : std::uint8_t { object, array, string, number, boolean, null, end, error };

// What a hostile text can cost. Beyond either the text is an error (errc::over_limit), even in a value that is skipped.
struct limits {
  unsigned depth = 64;              // open objects and arrays; more than 64 counts as 64 (one bit per level)
  std::size_t string = 16u << 20;   // bytes between two quotes, escapes not decoded
};

// Each read function consumes exactly one value: call one per member or element, or none. A value of another type than asked for
// is skipped, gives false and is no error: ok() tells the two apart. After a syntax error all calls return false and loops end.
// Allocation: one scratch string for strings with escapes, one per level for keys with escapes; both are reused.
class reader {
 public:
  explicit reader(std::string_view text, mode m = mode::strict, limits l = {}) noexcept;
  // Starts over with another text; keeps mode, limits, the scratch memory and the count of repaired places.
  void reset(std::string_view text) noexcept;

  // Kind of the value that the next read would meet. end: the text is over. A byte that begins no value is a syntax error.
  kind peek() noexcept;

  // f(std::string_view key). The key lives until f is called for the next member of the same object, through all nested reads;
  // a key without escapes is a view into the text and lives as long as that.
  template <class F>
  bool object(F&& f) {
    if (!enter('{')) return false;
    std::string_view key;
    for (bool first = true; next_member(key, first); first = false) {
      const char* const value = p_;
      f(key);
      if (p_ == value) skip();
    }
    return ok();
  }

  // f(), once per element.
  template <class F>
  bool array(F&& f) {
    if (!enter('[')) return false;
    for (bool first = true; next_element(first); first = false) {
      const char* const value = p_;
      f();
      if (p_ == value) skip();
    }
    return ok();
  }

  // Decoded. A view into the text where there was no escape, else into the reader, valid until the next string with an escape.
  bool string(std::string_view& out);
  // Numbers that are whole and fit, however written (12, 1e3, 3.0, -0); others are skipped and give false.
  bool integer(std::int64_t& out);
  // Correctly rounded. Too small for a double: 0 with its sign.
  bool number(double& out);
  bool boolean(bool& out);
  bool null();
  bool skip();
  // As skip, and gives the value as it stands in the text.
  bool raw(std::string_view& out);

  // Nothing but white space is left and no error happened. More text is an error.
  bool finish();
  bool ok() const noexcept { return fault_ == fault::none; }
  // What was found where and what was expected, line and column from 1 (columns in bytes). Without a syntax error: the last value
  // that was not of the type asked for.
  hotpath::error failure(std::string_view source = {}) const;
  std::uint64_t repaired() const noexcept { return repaired_; }
  // Bytes read so far; after an error, where it is.
  std::size_t offset() const noexcept { return static_cast<std::size_t>((ok() ? p_ : at_) - begin_); }

 private:
  enum class fault : std::uint8_t {
    none, want_value, want_first_member, want_member, want_colon, want_object_rest, want_array_rest, want_end, open_string,
    control_character, ill_formed_utf8, unknown_escape, bad_hex, lone_surrogate, bad_number, number_range, bad_literal, too_deep,
    string_too_long
  };
  struct decimal {                 // a number as written
    const char* end;
    std::uint64_t digits;          // all digits without the point; wrapped around if there are more than 19
    std::int64_t exponent;         // value = digits * 10^exponent
    std::int64_t count;            // digits written
    bool negative, whole;          // whole: neither point nor exponent
  };

  bool fail(fault f, const char* at) noexcept;
  bool mismatch();
  const char* space(const char* p) const noexcept {
    constexpr std::uint64_t white = 1ull << ' ' | 1ull << '\n' | 1ull << '\r' | 1ull << '\t';
    while (p != end_ && static_cast<unsigned char>(*p) <= ' ' && (white >> *p & 1) != 0) ++p;
    return p;
  }
  void space() noexcept { p_ = space(p_); }
  bool at(char c) const noexcept { return at(p_, c); }
  bool at(const char* p, char c) const noexcept { return p != end_ && *p == c; }
  bool at_number() noexcept {
    space();
    return p_ != end_ && (static_cast<unsigned char>(*p_ - '0') < 10 || *p_ == '-');
  }
  bool enter(char bracket);
  bool next_member(std::string_view& key, bool first);
  bool next_element(bool first);
  bool key_and_colon(const char* p, std::string_view* key);
  bool quoted(std::string_view* out, bool is_key);
  bool quoted_rest(const char* begin, const char* p, std::string_view* out, bool is_key);
  std::string& scratch(bool is_key);
  const char* escape(const char* p, std::string* out);
  bool scan(decimal& d) noexcept;
  double to_double(const decimal& d) const noexcept;
  bool to_integer(const decimal& d, std::int64_t& out) const noexcept;
  bool literal(std::string_view word) noexcept;
  bool scalar();

  const char* begin_ = nullptr;
  const char* p_ = nullptr;
  const char* end_ = nullptr;
  const char* at_ = nullptr;       // of the fault, or of the last value of another type
  unsigned depth_ = 0;
  mode mode_;
  fault fault_ = fault::none;
  limits limits_;
  std::uint64_t repaired_ = 0;
  std::string scratch_;
  std::vector<std::string> keys_;  // by depth; sized once, so that the views of outer keys stay
};

// Appends to a string that the caller owns. Commas, quotes and escapes are its work; pairing begin and end, and a key before each
// value of an object, are the caller's. Several values at the top level are separated by a newline (NDJSON).
// Numbers do not depend on the locale; a double is the shortest text that reads back the same; NaN and infinities are null.
// Text is UTF-8: each ill-formed part becomes U+FFFD.
class writer {
 public:
  explicit writer(std::string& out, int indent = 0) : out_(&out), indent_(indent) {}

  void object_begin() { open('{'); }
  void object_end() { close('}'); }
  void array_begin() { open('['); }
  void array_end() { close(']'); }
  void key(std::string_view k);

  void value(std::string_view v);
  void value(const char* v) { value(std::string_view(v)); }
  void value(double v);
  template <std::same_as<bool> T>   // not a plain bool: pointers would convert to it
  void value(T v) { word(v ? "true" : "false"); }
  template <std::integral T>
    requires(!std::same_as<T, bool> && !std::same_as<T, char>)
  void value(T v) {
    if constexpr (std::is_signed_v<T>) integer(v < 0, v < 0 ? 0 - static_cast<std::uint64_t>(v) : static_cast<std::uint64_t>(v));
    else integer(false, v);
  }
  template <class T>
  void value(const std::optional<T>& v) {
    if (v) value(*v);
    else null();
  }
  void null() { word("null"); }
  // `json` is one complete value; it is not checked.
  void raw(std::string_view json) { word(json); }

  template <class T>
  void member(std::string_view k, const T& v) {
    key(k);
    value(v);
  }

 private:
  void separate();
  void new_line();
  void open(char bracket);
  void close(char bracket);
  void word(std::string_view text);
  void integer(bool negative, std::uint64_t magnitude);
  void quote(std::string_view text);

  std::string* out_;
  int indent_;
  int depth_ = 0;
  bool first_ = true;       // nothing yet at this level
  bool after_key_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::json
// ---- hotpath/core/json-inl.hpp
// hotpath/core/json-inl.hpp - bodies of core/json.hpp.
// ---- hotpath/core/json-inl.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

// Four hex digits at p, or -1.
inline int hex4(const char* p, const char* end) noexcept {
  if (end - p < 4) return -1;
  int v = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i], folded = static_cast<char>(c | 0x20);
    const int digit = c >= '0' && c <= '9' ? c - '0' : folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
    if (digit < 0) return -1;
    v = v * 16 + digit;
  }
  return v;
}

inline bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

inline constexpr double powers_of_ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                           1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// A number of any length: p is at its first digit, its value is (all digits) * 10^exponent. Infinite where too large.
// from_chars gets at most 800 significant digits and a 1 for the rest: 768 decide every double, the 1 breaks the tie.
inline double any_number(const char* p, const char* end, std::int64_t exponent) noexcept {
  char text[840];
  std::size_t n = 0;
  bool rest = false;
  for (; p != end && *p != 'e' && *p != 'E'; ++p) {
    if (*p == '.' || (n == 0 && *p == '0')) continue;
    if (n < 800) {
      text[n++] = *p;
    } else {
      rest = rest || *p != '0';
      ++exponent;
    }
  }
  if (n == 0) return 0;
  if (rest) {
    text[n++] = '1';
    --exponent;
  }
  const std::int64_t magnitude = static_cast<std::int64_t>(n) + exponent;  // the value is below 10^magnitude
  if (magnitude > 400) return std::numeric_limits<double>::infinity();
  if (magnitude < -400) return 0;
  text[n++] = 'e';
  const char* const stop = std::to_chars(text + n, text + sizeof text, exponent).ptr;
  double v = 0;
  if (std::from_chars(text, stop, v).ec == std::errc()) return v;
  return magnitude > 0 ? std::numeric_limits<double>::infinity() : 0;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::json {

HOTPATH_FN reader::reader(std::string_view text, mode m, limits l) noexcept : mode_(m), limits_(l) {
  if (limits_.depth > 64) limits_.depth = 64;
  reset(text);
}

HOTPATH_FN void reader::reset(std::string_view text) noexcept {
  begin_ = p_ = at_ = text.data();
  end_ = begin_ + text.size();
  depth_ = 0;
  fault_ = fault::none;
  if (text.starts_with("\xEF\xBB\xBF")) p_ += 3;
}

// After a fault the rest of the text is out of reach, so that no other function has to ask whether there was one.
HOTPATH_FN bool reader::fail(fault f, const char* at) noexcept {
  if (fault_ == fault::none) {
    fault_ = f;
    at_ = at;
    p_ = end_;
  }
  return false;
}

HOTPATH_FN bool reader::mismatch() {
  const char* const value = p_;
  if (skip()) at_ = value;
  return false;
}

HOTPATH_FN kind reader::peek() noexcept {
  space();
  if (!ok()) return kind::error;
  if (p_ == end_) return kind::end;
  switch (*p_) {
    case '{': return kind::object;
    case '[': return kind::array;
    case '"': return kind::string;
    case 't': case 'f': return kind::boolean;
    case 'n': return kind::null;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      return kind::number;
    case '\0': if (depth_ == 0) return kind::end; break;
    default: break;
  }
  fail(fault::want_value, p_);
  return kind::error;
}

// The functions below work on a local pointer and store it once: p_ in memory would cost a store and a load per byte looked at.
HOTPATH_FN bool reader::enter(char bracket) {
  const char* const p = space(p_);
  if (!at(p, bracket)) {
    p_ = p;
    return mismatch();
  }
  if (depth_ == limits_.depth) return fail(fault::too_deep, p);
  ++depth_;
  p_ = p + 1;
  return true;
}

// False at the closing brace, which is consumed, and at an error.
HOTPATH_FN bool reader::next_member(std::string_view& key, bool first) {
  const char* p = space(p_);
  if (!first && at(p, ',')) {
    p = space(p + 1);
    if (!at(p, '"')) return fail(fault::want_member, p);
  } else if (at(p, '}')) {
    p_ = p + 1;
    --depth_;
    return false;
  } else if (!first || !at(p, '"')) {
    return fail(first ? fault::want_first_member : fault::want_object_rest, p);
  }
  return key_and_colon(p, &key);
}

HOTPATH_FN bool reader::next_element(bool first) {
  const char* p = space(p_);
  if (at(p, ']')) {
    p_ = p + 1;
    --depth_;
    return false;
  }
  if (first) {
    p_ = p;
    return ok();
  }
  if (!at(p, ',')) return fail(fault::want_array_rest, p);
  p_ = space(p + 1);
  return true;
}

// p: the quote of a key. Leaves the reader at the first byte of the value. `key` null: only checks.
HOTPATH_FN bool reader::key_and_colon(const char* p, std::string_view* key) {
  const char* stop = detail::plain_run(p + 1, end_);
  const auto size = static_cast<std::size_t>(stop - p - 1);
  if (at(stop, '"') && size <= limits_.string) {
    if (key != nullptr) *key = {p + 1, size};
    ++stop;
  } else {
    p_ = p;
    if (!quoted_rest(p + 1, stop, key, true)) return false;
    stop = p_;
  }
  stop = space(stop);
  if (!at(stop, ':')) return fail(fault::want_colon, stop);
  p_ = space(stop + 1);
  return true;
}

// At a quote. `out` null: only checks.
HOTPATH_FN bool reader::quoted(std::string_view* out, bool is_key) {
  const char* const begin = p_ + 1;
  const char* const stop = detail::plain_run(begin, end_);
  const auto size = static_cast<std::size_t>(stop - begin);
  if (!at(stop, '"') || size > limits_.string) return quoted_rest(begin, stop, out, is_key);
  if (out != nullptr) *out = {begin, size};
  p_ = stop + 1;
  return true;
}

HOTPATH_FN std::string& reader::scratch(bool is_key) {
  if (!is_key) return scratch_;
  if (keys_.empty()) keys_.resize(limits_.depth);
  return keys_[depth_ - 1];
}

HOTPATH_FN bool reader::quoted_rest(const char* begin, const char* p, std::string_view* out, bool is_key) {
  std::string* decoded = nullptr;
  const char* pending = begin;  // not yet copied to `decoded`
  for (;; p = detail::plain_run(p, end_)) {
    if (static_cast<std::size_t>(p - begin) > limits_.string) return fail(fault::string_too_long, begin - 1);
    if (p == end_) return fail(fault::open_string, begin - 1);
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"') break;
    if (c == '\\') {
      if (out != nullptr) {
        if (decoded == nullptr) (decoded = &scratch(is_key))->clear();
        decoded->append(pending, p);
      }
      p = escape(p, decoded);
      if (p == nullptr) return false;
      pending = p;
    } else if (c < 0x20) {
      if (mode_ == mode::strict) return fail(fault::control_character, p);
      ++repaired_;
      ++p;
    } else if (c >= 0x80) {
      // Text that is not ASCII comes in runs.
      do {
        const detail::utf8_step step = detail::utf8_at(p, end_);
        if (!step.valid) {
          if (mode_ == mode::strict) return fail(fault::ill_formed_utf8, p);
          ++repaired_;
        }
        p += step.length;
      } while (p != end_ && static_cast<unsigned char>(*p) >= 0x80);
    }
  }
  if (decoded != nullptr) {
    decoded->append(pending, p);
    *out = *decoded;
  } else if (out != nullptr) {
    *out = {begin, static_cast<std::size_t>(p - begin)};
  }
  p_ = p + 1;
  return true;
}

// At a backslash; returns what follows the escape, or null after an error. `out` null: only checks.
HOTPATH_FN const char* reader::escape(const char* p, std::string* out) {
  const auto wrong = [&](fault f) -> const char* {
    fail(f, p);
    return nullptr;
  };
  if (end_ - p < 2) return wrong(fault::open_string);
  char plain = 0;
  switch (p[1]) {
    case '"': case '\\': case '/': plain = p[1]; break;
    case 'b': plain = '\b'; break;
    case 'f': plain = '\f'; break;
    case 'n': plain = '\n'; break;
    case 'r': plain = '\r'; break;
    case 't': plain = '\t'; break;
    case 'u': break;
    default: return wrong(fault::unknown_escape);
  }
  if (plain != 0) {
    if (out != nullptr) out->push_back(plain);
    return p + 2;
  }
  const int unit = detail::hex4(p + 2, end_);
  if (unit < 0) return wrong(fault::bad_hex);
  if (unit < 0xD800 || unit > 0xDFFF) {
    if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(unit));
    return p + 6;
  }
  if (unit < 0xDC00 && end_ - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    const int low = detail::hex4(p + 8, end_);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      const int scalar = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
      if (out != nullptr) detail::append_utf8(*out, static_cast<std::uint32_t>(scalar));
      return p + 12;
    }
  }
  if (mode_ == mode::strict) return wrong(fault::lone_surrogate);
  ++repaired_;
  if (out != nullptr) out->append(detail::replacement_character);
  return p + 6;
}

HOTPATH_FN bool reader::string(std::string_view& out) {
  space();
  return at('"') ? quoted(&out, false) : mismatch();
}

// Reads a number's text, checks grammar and range, and leaves p_ where it is.
HOTPATH_FN bool reader::scan(decimal& d) noexcept {
  using detail::is_digit;
  const char* p = p_;
  const auto digits = [&] {
    const char* const begin = p;
    for (; p != end_ && is_digit(*p); ++p) d.digits = d.digits * 10 + static_cast<unsigned>(*p - '0');
    return p - begin;
  };
  d = {};
  d.whole = true;
  if (*p == '-') {
    d.negative = true;
    ++p;
  }
  if (p != end_ && *p == '0') {
    ++p;
    d.count = 1;
  } else {
    d.count = digits();
  }
  if (d.count == 0) return fail(fault::bad_number, p);
  if (p != end_ && *p == '.') {
    ++p;
    d.whole = false;
    const auto fraction = digits();
    if (fraction == 0) return fail(fault::bad_number, p);
    d.count += fraction;
    d.exponent = -fraction;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    d.whole = false;
    const bool minus = p != end_ && *p == '-';
    if (p != end_ && (*p == '-' || *p == '+')) ++p;
    if (p == end_ || !is_digit(*p)) return fail(fault::bad_number, p);
    std::int64_t e = 0;
    for (; p != end_ && is_digit(*p); ++p)
      if (e < 100'000'000'000'000'000) e = e * 10 + (*p - '0');
    d.exponent += minus ? -e : e;
  }
  d.end = p;
  if (d.count + d.exponent > 308 && !__builtin_isfinite(to_double(d))) return fail(fault::number_range, p_);
  return true;
}

HOTPATH_FN double reader::to_double(const decimal& d) const noexcept {
  double v = 0;
  if (d.count <= 19 && d.digits <= (std::uint64_t{1} << 53) && d.exponent >= -22 && d.exponent <= 22) {
    // Both operands are exact, so the one rounding is the right one.
    const double ten = detail::powers_of_ten[d.exponent < 0 ? -d.exponent : d.exponent];
    v = d.exponent < 0 ? static_cast<double>(d.digits) / ten : static_cast<double>(d.digits) * ten;
    return d.negative ? -v : v;
  }
  const char* const first = p_ + d.negative;
  if (d.count > 800 || d.exponent > 1000 || d.exponent < -1000 || std::from_chars(first, d.end, v).ec != std::errc())
    v = detail::any_number(first, d.end, d.exponent);
  return d.negative ? -v : v;
}

HOTPATH_FN bool reader::to_integer(const decimal& d, std::int64_t& out) const noexcept {
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  std::uint64_t v = d.digits;
  std::int64_t exponent = d.exponent;
  if (d.count > 19) {
    // Zeros at either end may hide a number that fits: 1.000000000000000000000, 0.00000000000000000000012e23.
    v = 0;
    std::int64_t zeros = 0;  // met and not yet multiplied in
    for (const char* p = p_ + d.negative; p != d.end && *p != 'e' && *p != 'E'; ++p) {
      if (*p == '.') continue;
      ++zeros;
      if (*p == '0') continue;
      for (; zeros > 0 && v != 0; --zeros)
        if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
      zeros = 0;
      if (__builtin_add_overflow(v, static_cast<std::uint64_t>(*p - '0'), &v)) return false;
    }
    exponent += zeros;
  }
  if (v == 0) exponent = 0;
  for (; exponent < 0 && v % 10 == 0; ++exponent) v /= 10;
  if (exponent < 0 || exponent > 18) return false;
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(v, std::uint64_t{10}, &v)) return false;
  if (v > limit) return false;
  out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  return true;
}

HOTPATH_FN bool reader::integer(std::int64_t& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const char* const value = p_;
  const bool fits = to_integer(d, out);
  if (!fits) at_ = value;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::number(double& out) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  out = to_double(d);
  p_ = d.end;
  return true;
}

HOTPATH_FN bool reader::literal(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0)
    return fail(fault::bad_literal, p_);
  p_ += word.size();
  return true;
}

HOTPATH_FN bool reader::boolean(bool& out) {
  if (peek() != kind::boolean) return mismatch();
  const bool v = *p_ == 't';
  if (!literal(v ? "true" : "false")) return false;
  out = v;
  return true;
}

HOTPATH_FN bool reader::null() { return peek() == kind::null ? literal("null") : mismatch(); }

// Anything but an object or array; white space is behind us.
HOTPATH_FN bool reader::scalar() {
  switch (p_ == end_ ? '\0' : *p_) {
    case '"': return quoted(nullptr, false);
    case 't': return literal("true");
    case 'f': return literal("false");
    case 'n': return literal("null");
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9': {
      decimal d;
      if (!scan(d)) return false;
      p_ = d.end;
      return true;
    }
    default: return fail(fault::want_value, p_);
  }
}

// Not recursive: one bit per open level (1 = object) in one word, which is why depth is limited to 64.
HOTPATH_FN bool reader::skip() {
  const unsigned base = depth_;
  std::uint64_t levels = 0;
  const char* p = space(p_);
  for (;;) {
    bool opened = false;  // a container that is not empty: its first value comes next
    if (at(p, '{') || at(p, '[')) {
      const bool is_object = *p == '{';
      if (depth_ == limits_.depth) return fail(fault::too_deep, p);
      ++depth_;
      levels = levels << 1 | (is_object ? 1u : 0u);
      p = space(p + 1);
      if (!at(p, is_object ? '}' : ']')) {
        if (is_object) {
          if (!at(p, '"')) return fail(fault::want_first_member, p);
          if (!key_and_colon(p, nullptr)) return false;
          p = p_;
        }
        opened = true;
      }
    } else {
      p_ = p;
      if (!scalar()) return false;
      p = p_;
    }
    // Behind a value, or at the bracket of an empty container: close what closes, then on to the next member or element.
    while (!opened) {
      if (depth_ == base) {
        p_ = p;
        return true;
      }
      p = space(p);
      const bool is_object = (levels & 1) != 0;
      if (at(p, ',')) {
        p = space(p + 1);
        if (!is_object) break;
        if (!at(p, '"')) return fail(fault::want_member, p);
        if (!key_and_colon(p, nullptr)) return false;
        p = p_;
        break;
      }
      if (!at(p, is_object ? '}' : ']')) return fail(is_object ? fault::want_object_rest : fault::want_array_rest, p);
      ++p;
      --depth_;
      levels >>= 1;
    }
  }
}

HOTPATH_FN bool reader::raw(std::string_view& out) {
  space();
  const char* const value = p_;
  if (!skip()) return false;
  out = {value, static_cast<std::size_t>(p_ - value)};
  return true;
}

HOTPATH_FN bool reader::finish() {
  if (!ok()) return false;
  space();
  return p_ == end_ || *p_ == '\0' || fail(fault::want_end, p_);
}

HOTPATH_FN hotpath::error reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = fault_ == fault::too_deep || fault_ == fault::string_too_long ? errc::over_limit : errc::malformed;
  e.source = source;
  e.byte = static_cast<std::uint64_t>(at_ - begin_);
  e.has_byte = true;
  e.line = 1;
  const char* line = begin_;
  for (const char* p = begin_; p != at_; ++p)
    if (*p == '\n') {
      ++e.line;
      line = p + 1;
    }
  e.column = static_cast<std::uint64_t>(at_ - line) + 1;

  std::string found = "the text ends";
  if (at_ != end_) {
    const auto c = static_cast<unsigned char>(*at_);
    constexpr char hex[] = "0123456789abcdef";
    found = "found ";
    if (c > 0x20 && c < 0x7F) found.append({'\'', static_cast<char>(c), '\''});
    else found.append({'b', 'y', 't', 'e', ' ', '0', 'x', hex[c >> 4], hex[c & 15]});
  }
  switch (fault_) {
    case fault::none: e.detail = "this value has another type or range than is wanted here"; break;
    case fault::want_value: e.detail = found + ", want a value"; break;
    case fault::want_first_member: e.detail = found + ", want a name in quotes or '}'"; break;
    case fault::want_member: e.detail = found + ", want a name in quotes"; break;
    case fault::want_colon: e.detail = found + ", want ':'"; break;
    case fault::want_object_rest: e.detail = found + ", want ',' or '}'"; break;
    case fault::want_array_rest: e.detail = found + ", want ',' or ']'"; break;
    case fault::want_end: e.detail = found + ", want nothing more"; break;
    case fault::open_string: e.detail = "this string has no end, want '\"'"; break;
    case fault::control_character: e.detail = found + " inside a string, want an escape such as \\n or \\u0000"; break;
    case fault::ill_formed_utf8: e.detail = found + " inside a string, want UTF-8"; break;
    case fault::unknown_escape: e.detail = "unknown escape, want one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u"; break;
    case fault::bad_hex: e.detail = "bad escape, want four hex digits after \\u"; break;
    case fault::lone_surrogate: e.detail = "half of a surrogate pair, want \\ud800 to \\udbff and then \\udc00 to \\udfff"; break;
    case fault::bad_number: e.detail = found + " inside a number, want a digit"; break;
    case fault::number_range: e.detail = "this number is too large for a double"; break;
    case fault::bad_literal: e.detail = "unknown word, want true, false or null"; break;
    case fault::too_deep: e.detail = "nested deeper than " + std::to_string(limits_.depth) + " levels"; break;
    case fault::string_too_long: e.detail = "this string is longer than " + std::to_string(limits_.string) + " bytes"; break;
  }
  return e;
}

HOTPATH_FN void writer::new_line() {
  out_->push_back('\n');
  out_->append(static_cast<std::size_t>(depth_) * static_cast<std::size_t>(indent_), ' ');
}

// What stands between this value (or key) and what was written before.
HOTPATH_FN void writer::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) {
    if (!first_) out_->push_back('\n');
  } else {
    if (!first_) out_->push_back(',');
    if (indent_ > 0) new_line();
  }
  first_ = false;
}

HOTPATH_FN void writer::open(char bracket) {
  separate();
  out_->push_back(bracket);
  ++depth_;
  first_ = true;
}

HOTPATH_FN void writer::close(char bracket) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  --depth_;
  if (!first_ && indent_ > 0) new_line();
  out_->push_back(bracket);
  first_ = false;
}

HOTPATH_FN void writer::word(std::string_view text) {
  separate();
  out_->append(text);
}

HOTPATH_FN void writer::integer(bool negative, std::uint64_t magnitude) {
  char text[21];
  text[0] = '-';
  const char* const stop = std::to_chars(text + 1, text + sizeof text, magnitude).ptr;
  const char* const begin = negative ? text : text + 1;
  word({begin, static_cast<std::size_t>(stop - begin)});
}

HOTPATH_FN void writer::value(double v) {
  if (!__builtin_isfinite(v)) return null();
  if (v == 0) return word(__builtin_signbit(v) != 0 ? "-0.0" : "0");  // "-0" is an integer to many readers and loses its sign
  char text[32];
  const char* const stop = std::to_chars(text, text + sizeof text, v).ptr;
  word({text, static_cast<std::size_t>(stop - text)});
}

HOTPATH_FN void writer::value(std::string_view v) {
  separate();
  quote(v);
}

HOTPATH_FN void writer::key(std::string_view k) {
  HOTPATH_ASSERT(depth_ > 0 && !after_key_);
  separate();
  quote(k);
  out_->append(indent_ > 0 ? ": " : ":");
  after_key_ = true;
}

HOTPATH_FN void writer::quote(std::string_view text) {
  constexpr char hex[] = "0123456789abcdef";
  out_->push_back('"');
  const char* p = text.data();
  const char* const end = p + text.size();
  for (const char* pending = p;;) {
    p = detail::plain_run(p, end);
    if (p != end && static_cast<unsigned char>(*p) >= 0x80) {
      const detail::utf8_step step = detail::utf8_at(p, end);
      if (step.valid) {
        p += step.length;
        continue;
      }
      out_->append(pending, p);
      out_->append(detail::replacement_character);
      pending = p += step.length;
      continue;
    }
    out_->append(pending, p);
    if (p == end) break;
    const char c = *p;
    switch (c) {
      case '"': case '\\': out_->append({'\\', c}); break;
      case '\b': out_->append("\\b"); break;
      case '\f': out_->append("\\f"); break;
      case '\n': out_->append("\\n"); break;
      case '\r': out_->append("\\r"); break;
      case '\t': out_->append("\\t"); break;
      default: out_->append({'\\', 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15]}); break;
    }
    pending = ++p;
  }
  out_->push_back('"');
}

}  // namespace hotpath::inline HOTPATH_ABI::json
// ---- hotpath/core/key_set.hpp
// hotpath/core/key_set.hpp - 64-bit keys that were seen: hashes, for most. Open addressing, so that a key costs no allocation of its own.
//
//     hotpath::key_set seen;
//     if (!seen.insert(hash)) ++duplicates;
//
//   Memory: 16 to 32 bytes per key, 8 KiB at least once one is in. Thread safety: none; one thread at a time.
// ---- hotpath/core/key_set.hpp

namespace hotpath::inline HOTPATH_ABI {

class key_set {
 public:
  bool contains(std::uint64_t key) { return !places_.empty() && find(key_of(key)) != 0; }
  // False: it was there already.
  bool insert(std::uint64_t key) {
    key = key_of(key);
    if (2 * (used_ + 1) > places_.size()) grow();
    std::uint64_t& place = find(key);
    if (place == key) return false;
    place = key, ++used_;
    return true;
  }
  std::size_t size() const { return used_; }

 private:
  static std::uint64_t key_of(std::uint64_t key) { return key != 0 ? key : 1; }  // 0 marks an empty place
  std::uint64_t& find(std::uint64_t key) {
    const std::size_t mask = places_.size() - 1;
    std::size_t i = static_cast<std::size_t>(key ^ (key >> 32)) & mask;
    while (places_[i] != 0 && places_[i] != key) i = (i + 1) & mask;
    return places_[i];
  }
  void grow() {
    std::vector<std::uint64_t> old = std::move(places_);
    places_.assign(old.empty() ? 1024 : old.size() * 2, 0);
    for (const std::uint64_t key : old)
      if (key != 0) find(key) = key;
  }
  std::vector<std::uint64_t> places_;
  std::size_t used_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/pooled.hpp
// hotpath/core/pooled.hpp - quantiles over all values of all units, with intervals that know which values belong together.
//   The gaps between chunks are pooled over requests, but the gaps of one request are no independent samples: what is
//   resampled are blocks of requests (S4, core/bootstrap.hpp), each with all its gaps.
//
//     auto gaps = stats::bootstrap_pooled(values, {}, requests, levels, {.seed = 7});   // 20 million values: about 0.3 s
//
//   Quantiles, mean and max are exact over the values given (4-byte floats: 6e-8 relative); nothing is sorted as a whole.
//   Interval ends are exact order statistics at interpolated ranks, as in core/bootstrap.hpp.
//   Memory while it runs: 290 bytes per unit (1 KiB below 20,000 units), and 8 bytes for each value in the bins around the quantiles: a few percent of all
//   (all of them at worst, where most values are nearly equal). Thread safety: pure function.
// ---- hotpath/core/pooled.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

// A unit's values: values[begin] ... values[begin + count - 1].
struct cluster {
  std::uint64_t begin = 0, count = 0;
};

struct pooled {
  std::uint64_t n = 0;   // samples: values, or the sum of their weights. 0: nothing else has a meaning
  double mean = 0, max = 0;
  std::vector<double> quantile;
  intervals ci;          // missing with fewer than 6 units
};

// values: finite and not negative. weights: empty, or per value the number of samples of value / weight it stands for (the
// tokens of a chunk; 0: it is no sample). clusters: in the order of their arrival. Levels ascending, in (0, 1), at most 4.
pooled bootstrap_pooled(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters,
                        std::span<const double> levels, const bootstrap_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/pooled-inl.hpp
// hotpath/core/pooled-inl.hpp - bodies of core/pooled.hpp.
//   1. a sample of 65,536 values places the bins, dense around each level;  2. one pass counts each unit's values per bin;
//   3. resamples are sums of such rows and give ranks;  4. a second pass gathers the few bins that hold a rank of interest.
// ---- hotpath/core/pooled-inl.hpp

namespace hotpath::inline HOTPATH_ABI::stats {
namespace detail {

struct weighted {
  float value;
  std::uint32_t weight;
};

// Bins: a power of two and a multiple of bin_step.
template <std::size_t Bins>
class pool {
 public:
  pool(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters)
      : values_(values), weights_(weights), clusters_(clusters) {
    for (float& e : ends_) e = std::numeric_limits<float>::infinity();
  }

  weighted at(std::uint64_t i) const {
    if (weights_.empty()) return {values_[i], 1};
    const std::uint32_t w = weights_[i];
    return {w > 1 ? values_[i] / static_cast<float>(w) : values_[i], w};
  }

  // Bin b holds (ends[b-1], ends[b]]: the number of ends below x, in log2(Bins) steps without a branch.
  std::size_t bin_of(float x) const {
    std::size_t b = 0;
    for (std::size_t half = Bins / 2; half != 0; half /= 2) b += ends_[b + half - 1] < x ? half : 0;
    return b;
  }

  void place_bins(std::span<const double> levels, std::uint64_t seed) {
    constexpr std::uint64_t wanted = 65'536;
    std::uint64_t all = 0;
    for (const cluster& c : clusters_) all += c.count;
    std::vector<weighted> sample;
    xoshiro256 random{seed ^ 0x706f6f6c};  // "pool": not the numbers that draw the blocks
    const std::uint64_t stride = (std::max<std::uint64_t>)(all / wanted, 1);
    std::uint64_t next = random.below(stride), begin = 0;  // one of each `stride` values, at a random place: no period can hide
    for (const cluster& c : clusters_) {
      for (; next < begin + c.count; next += stride - next % stride + random.below(stride))
        if (const weighted w = at(c.begin + (next - begin)); w.weight != 0) sample.push_back(w);
      begin += c.count;
    }
    if (sample.empty()) return;
    std::sort(sample.begin(), sample.end(), [](const weighted& a, const weighted& b) { return a.value < b.value; });
    double total = 0, seen = 0;
    for (const weighted& w : sample) total += w.weight;
    std::vector<float> ends;
    std::size_t i = 0;
    // At all scales around each level: the error of pooled shares is not known beforehand.
    std::vector<double> steps;
    for (double step = Bins > 64 ? 0.001 : 0.002; step < 0.8; step *= Bins > 64 ? 1.27 : 2.5) steps.push_back(step);
    for (const double share : bin_ends(levels, steps, Bins - 1, [](double p) { return (std::min)(p, 1 - p); })) {
      while (i + 1 < sample.size() && seen + sample[i].weight <= share * total) seen += sample[i++].weight;
      // Met twice: a value that many share gets a bin of its own.
      if (!ends.empty() && ends.back() == sample[i].value)
        ends.push_back(__builtin_nextafterf(sample[i].value, -std::numeric_limits<float>::infinity()));
      ends.push_back(sample[i].value);
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    std::copy_n(ends.begin(), (std::min)(ends.size(), Bins - 1), ends_);
  }

  // Fills counts, sums, sizes and max; row() gives the next unit's counters to add to, or null.
  template <class Row>
  void count(Row&& row) {
    std::fill(std::begin(counts_), std::end(counts_), 0);
    for (const cluster& c : clusters_) {
      std::uint64_t mine[2][Bins] = {};  // two, so that equal neighbours do not wait for each other
      double sum = 0;
      for (std::uint64_t k = 0; k < c.count; ++k) {
        const weighted w = at(c.begin + k);
        mine[k & 1][bin_of(w.value)] += w.weight;
        if (w.weight != 0) {
          sum += values_[c.begin + k];
          max_ = (std::max)(max_, w.value);
        }
      }
      std::uint64_t total = 0;
      std::uint32_t* cells = row();
      for (std::size_t b = 0; b < Bins; ++b) {
        const std::uint64_t here = mine[0][b] + mine[1][b];
        counts_[b] += here;
        total += here;
        if (cells != nullptr) cells[b] += static_cast<std::uint32_t>(here);  // wraps: only differences are used
      }
      sums_.push_back(sum);
      sizes_.push_back(static_cast<double>(total));
    }
  }

  std::span<const std::uint64_t> counts() const { return counts_; }
  std::span<const double> sums() const { return sums_; }
  std::span<const double> sizes() const { return sizes_; }
  double (max)() const { return static_cast<double>(max_); }

  // Values at the 0-based ranks (ascending), by gathering the bins that hold one.
  std::vector<double> values_at(const std::vector<std::uint64_t>& ranks) const {
    std::uint64_t before[Bins + 1] = {};
    bool wanted[Bins] = {}, any = false;
    for (std::size_t b = 0; b < Bins; ++b) before[b + 1] = before[b] + counts_[b];
    const auto bin_of_rank = [&](std::uint64_t r) {
      return static_cast<std::size_t>(std::upper_bound(before + 1, before + Bins, r) - (before + 1));
    };
    for (const std::uint64_t r : ranks)
      if (const std::size_t b = bin_of_rank(r); !single(b)) wanted[b] = any = true;
    std::vector<weighted> found;
    if (any) {
      gather(wanted, found);
      std::sort(found.begin(), found.end(), [](const weighted& a, const weighted& b) { return a.value < b.value; });
    }
    std::vector<double> out;
    for (const std::uint64_t r : ranks) {
      const std::size_t b = bin_of_rank(r);
      if (single(b)) {
        out.push_back(static_cast<double>(ends_[b]));
        continue;
      }
      const float floor = b > 0 ? ends_[b - 1] : -std::numeric_limits<float>::infinity();
      auto it = std::upper_bound(found.begin(), found.end(), floor, [](float x, const weighted& w) { return x < w.value; });
      if (weights_.empty()) it += static_cast<std::ptrdiff_t>(r - before[b]);
      else for (std::uint64_t seen = before[b] + it->weight; seen <= r; seen += it->weight) ++it;
      out.push_back(static_cast<double>(it->value));
    }
    return out;
  }

 private:
  // All samples in the wanted bins.
  void gather(const bool (&wanted)[Bins], std::vector<weighted>& found) const {
    if (!weights_.empty()) {
      for (const cluster& c : clusters_)
        for (std::uint64_t k = 0; k < c.count; ++k)
          if (const weighted w = at(c.begin + k); w.weight != 0 && wanted[bin_of(w.value)]) found.push_back(w);
      return;
    }
    // Wanted bins lie together around the levels: few ranges (lo, hi], against which four values at a time are compared.
    typedef float four __attribute__((vector_size(16), aligned(alignof(float)), may_alias));
    typedef std::int32_t yes __attribute__((vector_size(16)));
    std::vector<std::pair<float, float>> ranges;
    for (std::size_t b = 0; b < Bins; ++b) {
      if (!wanted[b]) continue;
      const float lo = b > 0 ? ends_[b - 1] : -std::numeric_limits<float>::infinity();
      if (!ranges.empty() && ranges.back().second == lo) ranges.back().second = ends_[b];
      else ranges.emplace_back(lo, ends_[b]);
    }
    const auto look = [&](float x) {
      for (const auto& [lo, hi] : ranges)
        if (x > lo && x <= hi) found.push_back({x, 1});
    };
    for (const cluster& c : clusters_) {
      const float* p = values_.data() + c.begin;
      const float* const end = p + c.count;
      for (; end - p >= 4; p += 4) {
        const four x = *reinterpret_cast<const four*>(p);
        yes any{};
        for (const auto& [lo, hi] : ranges) any |= (x > lo) & (x <= hi);
        if ((any[0] | any[1] | any[2] | any[3]) == 0) continue;
        for (std::size_t k = 0; k < 4; ++k) look(p[k]);
      }
      for (; p != end; ++p) look(*p);
    }
  }

  // A bin of one value only.
  bool single(std::size_t b) const {
    return b > 0 && b < Bins - 1 && __builtin_nextafterf(ends_[b - 1], std::numeric_limits<float>::infinity()) == ends_[b];
  }

  std::span<const float> values_;
  std::span<const std::uint16_t> weights_;
  std::span<const cluster> clusters_;
  float ends_[Bins];
  std::uint64_t counts_[Bins] = {};
  std::vector<double> sums_, sizes_;
  float max_ = 0;
};

template <std::size_t Bins>
pooled pool_and_resample(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters,
                         std::span<const double> levels, const bootstrap_options& options) {
  pooled out;
  out.ci.quantile.resize(levels.size());
  const std::size_t units = clusters.size();
  const bool resample = units >= minimum_units && options.resamples != 0;
  pool<Bins> p{values, weights, clusters};
  p.place_bins(levels, options.seed);
  block_rows<std::uint32_t> rows{resample ? units : 0, Bins};
  p.count([&] { return resample ? rows.next() : nullptr; });
  for (const std::uint64_t c : p.counts()) out.n += c;
  if (out.n == 0) return out;
  double sum = 0;
  for (const double s : p.sums()) sum += s;
  out.mean = sum / static_cast<double>(out.n);
  out.max = (p.max)();

  // Per level: both neighbours of the quantile, of the interval's ends, and the S3 ranks: 8 ranks, resolved together.
  const double last = static_cast<double>(out.n - 1);
  std::vector<double> at;                    // fractional ranks: estimate, lo, hi of each level
  std::vector<rank_bounds> bounds;
  block_plan plan;
  std::vector<std::vector<double>> ranks;
  if (resample) {
    std::vector<double> residual(units);
    for (std::size_t i = 0; i < units; ++i) residual[i] = p.sums()[i] - out.mean * p.sizes()[i];
    plan = plan_blocks(units, autocorrelation_time(residual, static_cast<double>(units) / 80 + 1));
    const ratio whole{p.sums(), p.sizes(), 0};
    auto means = resampled_ratios({&whole, 1}, units, plan, options);
    if (means[0].size() == options.resamples) out.ci.mean = widened(means[0], out.mean, plan.widen);
    double block = 0, largest = 0;           // the most samples in one block
    for (std::size_t i = 0; i < units; ++i) {
      block += p.sizes()[i] - (i >= plan.length ? p.sizes()[i - plan.length] : 0);
      largest = (std::max)(largest, block);
    }
    if (largest < 4294967295.0) {
      rows.sum_blocks(plan.length);
      ranks = resampled_ranks(rows, Bins, units, plan, static_cast<std::uint64_t>(largest),
                                      bin_ranks{p.counts(), levels}, levels.size(), options);
    }
  }
  for (std::size_t l = 0; l < levels.size(); ++l) {
    double lo = last * levels[l], hi = lo;
    if (!ranks.empty()) {
      std::sort(ranks[l].begin(), ranks[l].end());
      lo = *quantile(ranks[l], 0.025), hi = *quantile(ranks[l], 0.975);
    }
    for (const double r : {last * levels[l], lo, hi}) at.push_back(std::clamp(r, 0.0, last));
    bounds.push_back(quantile_ranks(out.n, levels[l]));
  }
  std::vector<std::uint64_t> wanted;
  for (const double r : at)
    for (const double whole : {__builtin_floor(r), __builtin_ceil(r)}) wanted.push_back(static_cast<std::uint64_t>(whole));
  for (const rank_bounds& b : bounds) {
    if (b.lo > 0) wanted.push_back(b.lo - 1);
    if (b.hi) wanted.push_back(*b.hi - 1);
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const std::vector<double> found = p.values_at(wanted);
  const auto value = [&](std::uint64_t rank) {
    return found[static_cast<std::size_t>(std::lower_bound(wanted.begin(), wanted.end(), rank) - wanted.begin())];
  };
  const auto between = [&](double r) {
    const double a = value(static_cast<std::uint64_t>(__builtin_floor(r))), b = value(static_cast<std::uint64_t>(__builtin_ceil(r)));
    return a + (r - __builtin_floor(r)) * (b - a);
  };
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const double estimate = between(at[3 * l]);
    out.quantile.push_back(estimate);
    if (ranks.empty()) continue;
    const interval i{estimate - (std::max)(estimate - between(at[3 * l + 1]), 0.0) * plan.widen,
                     estimate + (std::max)(between(at[3 * l + 2]) - estimate, 0.0) * plan.widen};
    const rank_bounds& b = bounds[l];
    out.ci.quantile[l] = at_least_s3(i, b, b.lo > 0 ? value(b.lo - 1) : 0, b.hi ? value(*b.hi - 1) : 0);
  }
  return out;
}

}  // namespace detail

HOTPATH_FN pooled bootstrap_pooled(std::span<const float> values, std::span<const std::uint16_t> weights, std::span<const cluster> clusters,
                                   std::span<const double> levels, const bootstrap_options& options) {
  // Few units: wide intervals, so more bins, for the same memory.
  return clusters.size() < 20'000 ? detail::pool_and_resample<256>(values, weights, clusters, levels, options)
                                  : detail::pool_and_resample<64>(values, weights, clusters, levels, options);
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/sketch.hpp
// hotpath/core/sketch.hpp - quantiles of an unbounded stream in bounded memory, mergeable across threads and files.
//   DDSketch (Masson, Rim, Lee, VLDB 2019): geometric buckets, so quantile() is within alpha (1 %) of a real sample, relative.
//   Merging sketches is the same as having added everything to one: that is what makes shards and per-second rows honest.
//
//     stats::sketch lag;                          // 0 bytes of heap until the first value
//     lag.add(12'500);                            // any unit; about 8 ns (tests/bench/report_bench)
//     all.merge(lag);
//     if (auto p = all.quantile(0.99)) use(*p);   // nothing for an empty sketch, never 0
//
//   Memory: 8 bytes per bucket between the smallest and the largest value, 1 us ... 1 h is 1,101 buckets; at most 2,048, then
//   the lowest are collapsed into one, and only quantiles that fall into it lose their bound. Zero has a bucket of its own;
//   negative values share one (its estimate is the minimum). Thread safety: as any value.
// ---- hotpath/core/sketch.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

class sketch {
 public:
  static constexpr std::size_t max_buckets = 2048;

  // alpha: the relative error, in (0, 1); other values are clamped to 1e-4 ... 0.5.
  sketch() noexcept : sketch(0.01) {}
  explicit sketch(double alpha) noexcept
      : alpha_(!(alpha >= 1e-4) ? 1e-4 : alpha > 0.5 ? 0.5 : alpha),
        per_log_(1 / (__builtin_log1p(alpha_) - __builtin_log1p(-alpha_))) {}

  // Adds x, n times. NaN and infinities are not values: they are counted in ignored().
  // Allocates only when x lies outside the buckets seen so far.
  void add(double x, std::uint64_t n = 1) {
    if (!(x - x == 0)) {
      ignored_ += n;
      return;
    }
    if (n == 0) return;
    if (count_ == 0 || x < min_) min_ = x;
    if (count_ == 0 || x > max_) max_ = x;
    count_ += n;
    sum_ += x * static_cast<double>(n);
    if (x > 0) {
      const auto slot = static_cast<std::size_t>(static_cast<std::int64_t>(bucket_of(x)) - first_);
      if (slot < buckets_.size()) buckets_[slot] += n;   // a bucket below the first wraps to a huge slot
      else add_outside(bucket_of(x), n);
    } else if (x < 0) {
      negative_ += n;
    } else {
      zero_ += n;
    }
  }

  // As if everything added to `other` had been added here. With another alpha each bucket enters as its estimate.
  void merge(const sketch& other);

  // The value of rank floor(p (n - 1)) among the sorted samples, within alpha of it; p is clamped to 0 ... 1 (exact at both
  // ends). Empty sketch, or p is NaN: nothing.
  std::optional<double> quantile(double p) const;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t ignored() const noexcept { return ignored_; }
  bool empty() const noexcept { return count_ == 0; }
  double (min)() const noexcept { return count_ != 0 ? min_ : __builtin_nan(""); }  // NaN when empty, as max()
  double (max)() const noexcept { return count_ != 0 ? max_ : __builtin_nan(""); }
  double sum() const noexcept { return sum_; }
  double alpha() const noexcept { return alpha_; }

  // i = ceil(ln x / ln gamma), gamma = (1 + alpha)/(1 - alpha); x > 0 and finite. Bucket i holds (gamma^(i-1), gamma^i].
  std::int32_t bucket_of(double x) const noexcept {
    const double scaled = __builtin_log(x) * per_log_;
    const auto whole = static_cast<std::int32_t>(scaled);  // towards zero; ceil() is a call without SSE4.1
    return whole + (scaled > static_cast<double>(whole) ? 1 : 0);
  }
  // 2 gamma^i / (gamma + 1): the value whose relative distance to both ends of the bucket is alpha.
  double estimate_of(std::int32_t bucket) const noexcept;

  // 1 byte when empty, about 2 bytes per bucket in use; little-endian. decode() takes any bytes: an error, never more than 16 KiB.
  std::string encode() const;
  static result<sketch> decode(std::string_view bytes);

  // Same samples by bucket, same ends. Sums are left out: their rounding depends on the order of additions.
  friend bool operator==(const sketch& a, const sketch& b) { return a.same(b); }
  friend bool operator!=(const sketch& a, const sketch& b) { return !a.same(b); }

 private:
  void add_outside(std::int32_t bucket, std::uint64_t n);
  void raise_floor(std::int64_t lowest);
  bool same(const sketch& other) const;

  double alpha_, per_log_;
  double min_ = 0, max_ = 0, sum_ = 0;
  std::uint64_t count_ = 0, zero_ = 0, negative_ = 0, ignored_ = 0;
  std::int64_t first_ = 0;              // bucket number of buckets_[0]
  std::vector<std::uint64_t> buckets_;  // counts; the last one in use is never more than max_buckets above the first in use
};

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/sketch-inl.hpp
// hotpath/core/sketch-inl.hpp - bodies of core/sketch.hpp.
//   Encoding: flags (1: has samples, 2: alpha is stored, 4: ignored values), then [alpha f64] [ignored varint] and, with
//   samples, min max sum f64 | zero negative varint | buckets in use varint | first zigzag varint | (count varint, gap varint)...
// ---- hotpath/core/sketch-inl.hpp

namespace hotpath::inline HOTPATH_ABI::stats {

HOTPATH_FN double sketch::estimate_of(std::int32_t bucket) const noexcept {
  const double gamma = (1 + alpha_) / (1 - alpha_);
  return 2 / (gamma + 1) * __builtin_exp(static_cast<double>(bucket) / per_log_);
}

// Everything below `lowest` moves into `lowest`.
HOTPATH_FN void sketch::raise_floor(std::int64_t lowest) {
  if (buckets_.empty() || lowest <= first_) return;
  const std::int64_t size = static_cast<std::int64_t>(buckets_.size());
  const auto cut = static_cast<std::size_t>(lowest - first_ < size ? lowest - first_ : size);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < cut; ++i) below += buckets_[i];
  buckets_.erase(buckets_.begin(), buckets_.begin() + static_cast<std::ptrdiff_t>(cut));
  if (buckets_.empty()) buckets_.push_back(0);
  buckets_.front() += below;
  first_ = lowest;
}

HOTPATH_FN void sketch::add_outside(std::int32_t bucket, std::uint64_t n) {
  constexpr std::int64_t limit = static_cast<std::int64_t>(max_buckets), slack = 16;  // slack: a drifting minimum moves the array rarely
  std::int64_t at = bucket;
  if (buckets_.empty()) {
    first_ = at;
    buckets_.assign(1, 0);
  }
  std::int64_t last = first_ + static_cast<std::int64_t>(buckets_.size()) - 1;  // in use: grown upwards without slack
  if (at > last) {
    raise_floor(at - limit + 1);
    buckets_.resize(static_cast<std::size_t>(at - first_ + 1), 0);
  } else if (at < first_) {
    const std::int64_t lowest = last - limit + 1;
    if (at < lowest) at = lowest;
    if (at < first_) {
      const std::int64_t begin = at - slack > lowest ? at - slack : lowest;
      buckets_.insert(buckets_.begin(), static_cast<std::size_t>(first_ - begin), 0);
      first_ = begin;
    }
  }
  buckets_[static_cast<std::size_t>(at - first_)] += n;
}

HOTPATH_FN void sketch::merge(const sketch& other) {
  if (&other == this) {
    merge(sketch{other});
    return;
  }
  ignored_ += other.ignored_;
  if (other.count_ == 0) return;
  if (count_ == 0 || other.min_ < min_) min_ = other.min_;
  if (count_ == 0 || other.max_ > max_) max_ = other.max_;
  count_ += other.count_;
  sum_ += other.sum_;
  zero_ += other.zero_;
  negative_ += other.negative_;
  const bool alike = alpha_ == other.alpha_;
  // From above, so that the floor rises once.
  for (std::size_t i = other.buckets_.size(); i-- > 0;) {
    const std::uint64_t n = other.buckets_[i];
    if (n == 0) continue;
    const auto bucket = static_cast<std::int32_t>(other.first_ + static_cast<std::int64_t>(i));
    const std::int32_t mine = alike ? bucket : bucket_of(other.estimate_of(bucket));
    const auto slot = static_cast<std::size_t>(static_cast<std::int64_t>(mine) - first_);
    if (slot < buckets_.size()) buckets_[slot] += n;
    else add_outside(mine, n);
  }
}

HOTPATH_FN std::optional<double> sketch::quantile(double p) const {
  if (count_ == 0 || p != p) return std::nullopt;
  if (p <= 0) return min_;
  if (p >= 1) return max_;
  const auto rank = static_cast<std::uint64_t>(p * static_cast<double>(count_ - 1));
  if (rank == count_ - 1) return max_;
  if (rank < negative_) return min_;
  if (rank < negative_ + zero_) return 0.0;
  std::uint64_t seen = negative_ + zero_;
  std::size_t i = 0;
  for (; i + 1 < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen > rank) break;
  }
  const double e = estimate_of(static_cast<std::int32_t>(first_ + static_cast<std::int64_t>(i)));
  return e < min_ ? min_ : e > max_ ? max_ : e;
}

HOTPATH_FN bool sketch::same(const sketch& o) const {
  if (alpha_ != o.alpha_ || count_ != o.count_ || zero_ != o.zero_ || negative_ != o.negative_ || ignored_ != o.ignored_) return false;
  if (count_ != 0 && (min_ != o.min_ || max_ != o.max_)) return false;
  const std::int64_t begin = first_ < o.first_ ? first_ : o.first_;
  const std::int64_t size = static_cast<std::int64_t>(buckets_.size()), theirs = static_cast<std::int64_t>(o.buckets_.size());
  const std::int64_t end = first_ + size > o.first_ + theirs ? first_ + size : o.first_ + theirs;
  if (buckets_.empty() || o.buckets_.empty()) return count_ - zero_ - negative_ == 0;
  for (std::int64_t b = begin; b < end; ++b) {
    const std::int64_t i = b - first_, j = b - o.first_;
    const std::uint64_t mine = i >= 0 && i < size ? buckets_[static_cast<std::size_t>(i)] : 0;
    const std::uint64_t other = j >= 0 && j < theirs ? o.buckets_[static_cast<std::size_t>(j)] : 0;
    if (mine != other) return false;
  }
  return true;
}

namespace detail {
inline void put_varint(std::string& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) out.push_back(static_cast<char>(v | 0x80));
  out.push_back(static_cast<char>(v));
}
inline void put_f64(std::string& out, double v) {
  const auto bits = std::bit_cast<std::uint64_t>(v);
  for (unsigned s = 0; s < 64; s += 8) out.push_back(static_cast<char>(bits >> s));
}

struct byte_source {
  std::string_view bytes;
  std::size_t at = 0;
  bool ok = true;

  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      const auto b = static_cast<unsigned char>(bytes[at++]);
      v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if (b < 0x80) return v;
    }
    ok = false;
    return 0;
  }
  double f64() {
    if (bytes.size() - at < 8) {
      ok = false;
      return 0;
    }
    std::uint64_t bits = 0;
    for (unsigned s = 0; s < 64; s += 8) bits |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at++])) << s;
    return std::bit_cast<double>(bits);
  }
};
}  // namespace detail

HOTPATH_FN std::string sketch::encode() const {
  std::string out(1, static_cast<char>((count_ != 0 ? 1 : 0) | (alpha_ != 0.01 ? 2 : 0) | (ignored_ != 0 ? 4 : 0)));
  if (alpha_ != 0.01) detail::put_f64(out, alpha_);
  if (ignored_ != 0) detail::put_varint(out, ignored_);
  if (count_ == 0) return out;
  detail::put_f64(out, min_);
  detail::put_f64(out, max_);
  detail::put_f64(out, sum_);
  detail::put_varint(out, zero_);
  detail::put_varint(out, negative_);
  std::uint64_t used = 0;
  for (const std::uint64_t n : buckets_) used += n != 0 ? 1 : 0;
  detail::put_varint(out, used);
  std::int64_t previous = 0;
  bool begun = false;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    if (buckets_[i] == 0) continue;
    const std::int64_t bucket = first_ + static_cast<std::int64_t>(i);
    if (begun) detail::put_varint(out, static_cast<std::uint64_t>(bucket - previous - 1));
    else detail::put_varint(out, static_cast<std::uint64_t>(bucket) << 1 ^ static_cast<std::uint64_t>(bucket >> 63));
    detail::put_varint(out, buckets_[i]);
    previous = bucket;
    begun = true;
  }
  return out;
}

HOTPATH_FN result<sketch> sketch::decode(std::string_view bytes) {
  detail::byte_source in{bytes};
  const auto bad = [&in](const char* what) {
    error e;
    e.code = errc::malformed;
    e.detail = what;
    e.byte = in.at;
    e.has_byte = true;
    return e;
  };
  if (bytes.empty()) return bad("a sketch has at least one byte");
  const auto flags = static_cast<unsigned char>(bytes[in.at++]);
  if (flags > 7) return bad("not a sketch, or written by a newer version");
  const double alpha = (flags & 2) != 0 ? in.f64() : 0.01;
  if (!in.ok || !(alpha >= 1e-4 && alpha <= 0.5)) return bad("the sketch's alpha is outside 0.0001 ... 0.5");
  sketch s{alpha};
  if ((flags & 4) != 0) s.ignored_ = in.varint();
  if ((flags & 1) != 0) {
    s.min_ = in.f64(), s.max_ = in.f64(), s.sum_ = in.f64();
    s.zero_ = in.varint(), s.negative_ = in.varint();
    const std::uint64_t used = in.varint();
    if (!in.ok || used > max_buckets) return bad("the sketch is cut off, or has more than 2048 buckets");
    if (!(s.min_ <= s.max_) || s.min_ - s.min_ != 0 || s.max_ - s.max_ != 0) return bad("the sketch's ends are not finite and in order");
    std::int64_t bucket = 0;
    bool overflow = __builtin_add_overflow(s.zero_, s.negative_, &s.count_);
    for (std::uint64_t i = 0; i < used; ++i) {
      const std::uint64_t v = in.varint();
      if (i == 0) {
        bucket = static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1);
        // 745 / ln(gamma) at the smallest alpha: no finite double is further out.
        if (bucket < -4'000'000 || bucket > 4'000'000) return bad("a bucket lies outside the range of doubles");
        s.first_ = bucket;
      } else {
        if (v >= max_buckets) return bad("the sketch's buckets span more than 2048");
        bucket += static_cast<std::int64_t>(v) + 1;
      }
      const std::uint64_t n = in.varint();
      if (!in.ok || n == 0) return bad("the sketch is cut off");
      if (bucket - s.first_ >= static_cast<std::int64_t>(max_buckets)) return bad("the sketch's buckets span more than 2048");
      overflow = __builtin_add_overflow(s.count_, n, &s.count_) || overflow;
      s.buckets_.resize(static_cast<std::size_t>(bucket - s.first_ + 1), 0);
      s.buckets_.back() = n;
    }
    if (s.count_ == 0 || overflow) return bad("the sketch's counts do not add up");
  }
  if (!in.ok || in.at != bytes.size()) return bad("the sketch is cut off, or followed by something else");
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::stats
// ---- hotpath/core/text.hpp
// hotpath/core/text.hpp - small text work that many parts need: UTF-8, bounded numbers, durations, CSV, redaction, safe printing.
//
//     auto limit = hotpath::text::parse_duration("500ms");             // result<nanoseconds>; "500" is an error: no unit
//     auto port = hotpath::text::parse_number<std::int64_t>("8080", 1, 65535);
//     log(hotpath::text::redact_url(url));                             // http://h/v1?api_key=[redacted]
//     puts(hotpath::text::printable(line_of_a_peer).c_str());          // no escape sequence reaches the terminal
//
//   Nothing here depends on the locale. Functions are free of state and safe to call from any thread; classes are not shared.
// ---- hotpath/core/time.hpp
// hotpath/core/time.hpp - nanoseconds, the one unit of time, and the two clocks.
//   Points in time are nanoseconds since an anchor that the owner of the value names (a run's origin, a clock's epoch).
//   Light on purpose (no <chrono>: 31,600 preprocessed lines): scopes include this.
//
//     hotpath::nanoseconds limit = 500_ms;          // using namespace hotpath::literals
//     double shown = limit.ms();                    // 500.0
// ---- hotpath/core/time.hpp

namespace hotpath::inline HOTPATH_ABI {

struct nanoseconds {
  int64_t ns = 0;

  constexpr nanoseconds() = default;
  constexpr explicit nanoseconds(int64_t n) : ns(n) {}

  constexpr int64_t count() const { return ns; }
  constexpr double us() const { return static_cast<double>(ns) / 1e3; }
  constexpr double ms() const { return static_cast<double>(ns) / 1e6; }
  constexpr double s() const { return static_cast<double>(ns) / 1e9; }

  static constexpr nanoseconds from_us(int64_t us) { return nanoseconds{us * 1000}; }
  static constexpr nanoseconds from_ms(int64_t ms) { return nanoseconds{ms * 1'000'000}; }
  // Rounds to the nearest nanosecond; values beyond +-292 years are clamped, NaN is 0.
  static constexpr nanoseconds from_s(double s) {
    const double n = s * 1e9;
    if (n >= 9.2e18) return nanoseconds{INT64_MAX};
    if (n <= -9.2e18) return nanoseconds{INT64_MIN};
    return nanoseconds{n != n ? 0 : static_cast<int64_t>(n + (n < 0 ? -0.5 : 0.5))};
  }

  constexpr nanoseconds operator-() const { return nanoseconds{-ns}; }
  constexpr nanoseconds& operator+=(nanoseconds o) { ns += o.ns; return *this; }
  constexpr nanoseconds& operator-=(nanoseconds o) { ns -= o.ns; return *this; }
  friend constexpr nanoseconds operator+(nanoseconds a, nanoseconds b) { return nanoseconds{a.ns + b.ns}; }
  friend constexpr nanoseconds operator-(nanoseconds a, nanoseconds b) { return nanoseconds{a.ns - b.ns}; }
  friend constexpr nanoseconds operator*(nanoseconds a, int64_t k) { return nanoseconds{a.ns * k}; }
  friend constexpr nanoseconds operator/(nanoseconds a, int64_t k) { return nanoseconds{a.ns / k}; }
  // Spelled out, not `<=>`: <compare> would be six times the weight of this header.
  friend constexpr bool operator==(nanoseconds a, nanoseconds b) { return a.ns == b.ns; }
  friend constexpr bool operator!=(nanoseconds a, nanoseconds b) { return a.ns != b.ns; }
  friend constexpr bool operator<(nanoseconds a, nanoseconds b) { return a.ns < b.ns; }
  friend constexpr bool operator>(nanoseconds a, nanoseconds b) { return a.ns > b.ns; }
  friend constexpr bool operator<=(nanoseconds a, nanoseconds b) { return a.ns <= b.ns; }
  friend constexpr bool operator>=(nanoseconds a, nanoseconds b) { return a.ns >= b.ns; }
};

inline namespace literals {
constexpr nanoseconds operator""_ns(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n)}; }
constexpr nanoseconds operator""_us(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1000}; }
constexpr nanoseconds operator""_ms(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000}; }
constexpr nanoseconds operator""_s(unsigned long long n) { return nanoseconds{static_cast<int64_t>(n) * 1'000'000'000}; }
}  // namespace literals

namespace detail {
inline nanoseconds read_clock(clockid_t id) noexcept {
  timespec t;
  clock_gettime(id, &t);
  return nanoseconds{static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec};
}
}  // namespace detail

// CLOCK_MONOTONIC: never steps. Every duration in hotpath is a difference of two of these. About 20 ns a call (vDSO).
inline nanoseconds monotonic_now() noexcept { return detail::read_clock(CLOCK_MONOTONIC); }
// CLOCK_REALTIME, nanoseconds since 1970. It may step at any moment: an anchor for people, never an operand of a duration.
inline nanoseconds realtime_now() noexcept { return detail::read_clock(CLOCK_REALTIME); }

}  // namespace hotpath::inline HOTPATH_ABI
// ---- hotpath/core/text.hpp

namespace hotpath::inline HOTPATH_ABI::text {

// ---- UTF-8 ----

bool is_utf8(std::string_view bytes) noexcept;
// Each ill-formed part (maximal subpart, as browsers do) becomes U+FFFD; `count`, where given, is increased by their number.
std::string repair_utf8(std::string_view bytes, std::uint64_t* count = nullptr);
// Bytes of a peer or a file made safe for a terminal or a log line: control characters (ESC, DEL and C1 too), line separators,
// and invisible or direction-changing characters are escaped (\n, \x1b, \u202e), ill-formed UTF-8 becomes U+FFFD. At most `max`
// bytes; what is longer is cut between characters and ends with an ellipsis (3 bytes).
std::string printable(std::string_view bytes, std::size_t max = 512);

// ---- pieces; ASCII only, views into the argument ----

constexpr bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

constexpr std::string_view trim(std::string_view s) noexcept {
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

// What stands before the first `separator`; `rest` keeps what follows it. Without a separator: all, and `rest` becomes empty.
constexpr std::string_view take(std::string_view& rest, char separator) noexcept {
  const auto i = rest.find(separator);
  const std::string_view head = rest.substr(0, i);
  rest.remove_prefix(i == std::string_view::npos ? rest.size() : i + 1);
  return head;
}

// f(std::string_view) for each piece; "a,,b" has three, "" has one (empty), "a," has two.
template <class F>
constexpr void split(std::string_view s, char separator, F&& f) {
  for (;;) {
    const auto i = s.find(separator);
    f(s.substr(0, i));
    if (i == std::string_view::npos) return;
    s.remove_prefix(i + 1);
  }
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}
constexpr bool starts_with_ignoring_case(std::string_view s, std::string_view prefix) noexcept {
  return s.size() >= prefix.size() && equal_ignoring_case(s.substr(0, prefix.size()), prefix);
}
std::string lower(std::string_view s);

// ---- numbers and durations ----

// The whole of `s` is one decimal number in range (no space, no '+', no hex, no "inf" or "nan"); else false and `out` is untouched.
bool to_number(std::string_view s, std::int64_t& out) noexcept;
bool to_number(std::string_view s, std::uint64_t& out) noexcept;
bool to_number(std::string_view s, double& out) noexcept;

// As to_number, within [lo, hi], with an error that says both: "70000" is out of range, want a whole number from 1 to 65535.
result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi);
result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi);
result<double> parse_double(std::string_view s, double lo, double hi);
template <class T>
result<T> parse_number(std::string_view s, T lo = std::numeric_limits<T>::lowest(), T hi = (std::numeric_limits<T>::max)()) {
  static_assert(std::same_as<T, std::int64_t> || std::same_as<T, std::uint64_t> || std::same_as<T, double>);
  if constexpr (std::same_as<T, double>) return parse_double(s, lo, hi);
  else if constexpr (std::is_signed_v<T>) return parse_int(s, lo, hi);
  else return parse_uint(s, lo, hi);
}

// A decimal number and a unit: ns, us, ms, s, m (or min), h; "1.5s". Rounded to the nanosecond. No unit, a sign, or more than
// 292 years is an error.
result<nanoseconds> parse_duration(std::string_view s);

// ---- CSV (RFC 4180 quoting; rows end with a line feed) ----

struct csv_options {
  char separator = ',';
  // A leading ' before text that a spreadsheet would run as a formula (= + - @ TAB CR). Off: it changes what other programs read.
  bool formula_guard = false;
};

class csv_writer {
 public:
  explicit csv_writer(std::string& out, csv_options options = {}) : out_(&out), options_(options) {}
  void field(std::string_view v);
  void field(const char* v) { field(std::string_view(v)); }
  void field(double v);  // shortest text that reads back the same; NaN and infinities: empty
  template <std::integral T>
  void field(T v) {
    if constexpr (std::same_as<T, bool>) plain(v ? "true" : "false");
    else if constexpr (std::is_signed_v<T>) whole(static_cast<std::int64_t>(v));
    else whole(static_cast<std::uint64_t>(v));
  }
  template <class T>
  void field(const std::optional<T>& v) {  // empty: an empty field
    if (v) field(*v);
    else plain({});
  }
  void end_row();

 private:
  void plain(std::string_view text);
  void whole(std::int64_t v);
  void whole(std::uint64_t v);

  std::string* out_;
  csv_options options_;
  std::size_t row_ = 0;    // bytes of this row so far
  bool first_ = true;
};

// Rows of a text that outlives the reader. Lines end with LF or CRLF; a byte order mark and empty lines are skipped.
class csv_reader {
 public:
  explicit csv_reader(std::string_view text, char separator = ',') noexcept;
  // False at the end and at an error. The fields are views into the text or into the reader, valid until the next call.
  bool next(std::vector<std::string_view>& row);
  bool ok() const noexcept { return fault_ == nullptr; }
  std::uint64_t line() const noexcept { return line_; }  // of the row read last, from 1
  hotpath::error failure(std::string_view source = {}) const;

 private:
  struct copy {
    std::size_t field, size;
  };
  bool quoted(std::vector<std::string_view>& row);
  std::size_t line_end() const noexcept;
  bool fail(const char* what, std::size_t at) noexcept;

  std::string_view text_;
  std::size_t at_ = 0, fault_at_ = 0;
  std::uint64_t line_ = 0, next_line_ = 1;
  const char* fault_ = nullptr;
  char separator_;
  std::string unquoted_;       // of this row: all fields with doubled quotes, one after the other
  std::vector<copy> copies_;   // which they are
};

// ---- secrets: taken out where text is captured, so that they are never stored ----

inline constexpr std::string_view redacted = "[redacted]";

// A header or a query key whose value is a secret: authorization, cookie, api-key, x-...-token, key, secret, password and their
// kin, in any case and with any separators. Doubtful names count as secret; max_tokens and the like do not.
bool is_secret_name(std::string_view name);
// User and password are dropped, values of secret query keys replaced.
std::string redact_url(std::string_view url);
// Each occurrence of a secret is replaced, the longest first; empty secrets are ignored.
std::string redact_text(std::string_view text, std::span<const std::string_view> secrets);

}  // namespace hotpath::inline HOTPATH_ABI::text
// ---- hotpath/core/text-inl.hpp
// hotpath/core/text-inl.hpp - bodies of core/text.hpp.
// ---- hotpath/core/text-inl.hpp

namespace hotpath::inline HOTPATH_ABI::detail {

template <class T>
std::string_view number_text(T v, char (&buffer)[32]) noexcept {
  const char* const stop = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  return {buffer, static_cast<std::size_t>(stop - buffer)};
}

// invalid_argument: no number, or something behind it.
template <class T>
std::errc whole_number(std::string_view s, T& out) noexcept {
  // from_chars would also take "inf" and "nan".
  const std::size_t first = !s.empty() && s.front() == '-' ? 1 : 0;
  if (first == s.size() || (!text::is_digit(s[first]) && s[first] != '.')) return std::errc::invalid_argument;
  T v{};
  const auto [stop, ec] = std::from_chars(s.data() + (std::unsigned_integral<T> ? first : 0), s.data() + s.size(), v);
  if (ec == std::errc::invalid_argument || stop != s.data() + s.size()) return std::errc::invalid_argument;
  if (ec == std::errc() && std::unsigned_integral<T> && first == 1) return std::errc::result_out_of_range;
  if (ec == std::errc()) out = v;
  return ec;
}

template <class T>
result<T> bounded(std::string_view s, T lo, T hi, std::string_view noun) {
  T v{};
  const std::errc ec = whole_number(s, v);
  if (ec == std::errc() && v >= lo && v <= hi) return v;
  char a[32], b[32];
  hotpath::error e;
  e.code = errc::malformed;
  e.detail.append("\"").append(text::printable(s, 64));
  e.detail.append(ec == std::errc::invalid_argument ? "\" is not a number, want " : "\" is out of range, want ");
  e.detail.append(noun).append(" from ").append(number_text(lo, a)).append(" to ").append(number_text(hi, b));
  return e;
}

// Characters that a terminal or a viewer obeys instead of showing: C1 controls, direction marks and overrides, zero-width
// characters, line and paragraph separators, byte order mark, tags.
constexpr bool unseen(std::uint32_t c) noexcept {
  return (c >= 0x80 && c <= 0x9F) || c == 0xAD || c == 0x61C || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

// Of a well-formed sequence.
inline std::uint32_t code_point(const char* p, int length) noexcept {
  const auto byte = [&](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(p[i])); };
  if (length == 1) return byte(0);
  std::uint32_t c = byte(0) & (0xFFu >> (length + 1));
  for (int i = 1; i < length; ++i) c = c << 6 | (byte(i) & 0x3F);
  return c;
}

inline std::string escaped(char letter, std::uint32_t c, int digits) {
  std::string s{'\\', letter};
  for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) s.push_back("0123456789abcdef"[c >> shift & 15]);
  return s;
}

inline std::string percent_decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    unsigned char v = 0;
    const char* const p = s.data() + i;
    if (*p == '%' && s.size() - i >= 3 && std::from_chars(p + 1, p + 3, v, 16).ptr == p + 3) {
      out.push_back(static_cast<char>(v));
      i += 2;
    } else {
      out.push_back(*p);
    }
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::detail

namespace hotpath::inline HOTPATH_ABI::text {

HOTPATH_FN bool is_utf8(std::string_view bytes) noexcept {
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) return false;
    p += step.length;
  }
  return true;
}

HOTPATH_FN std::string repair_utf8(std::string_view bytes, std::uint64_t* count) {
  std::string out;
  out.reserve(bytes.size());
  const char* pending = bytes.data();
  const char* const end = pending + bytes.size();
  for (const char* p = pending; (p = detail::ascii_run(p, end)) != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    if (!step.valid) {
      out.append(pending, p).append(detail::replacement_character);
      pending = p + step.length;
      if (count != nullptr) ++*count;
    }
    p += step.length;
  }
  return out.append(pending, end);
}

HOTPATH_FN std::string printable(std::string_view bytes, std::size_t max) {
  constexpr std::string_view ellipsis = "\xE2\x80\xA6";
  std::string out;
  std::size_t cut = 0;  // longest length after which the ellipsis still fits
  const char* const end = bytes.data() + bytes.size();
  for (const char* p = bytes.data(); p != end;) {
    const detail::utf8_step step = detail::utf8_at(p, end);
    const std::uint32_t c = step.valid ? detail::code_point(p, step.length) : 0xFFFD;
    std::string shown;
    if (!step.valid) shown = detail::replacement_character;
    else if (c == '\n') shown = "\\n";
    else if (c == '\r') shown = "\\r";
    else if (c == '\t') shown = "\\t";
    else if (c < 0x20 || c == 0x7F) shown = detail::escaped('x', c, 2);
    else if (detail::unseen(c)) shown = c > 0xFFFF ? detail::escaped('U', c, 8) : detail::escaped('u', c, 4);
    else shown.assign(p, step.length);
    if (out.size() + shown.size() > max) {
      out.resize(cut);
      if (max >= ellipsis.size()) out.append(ellipsis);
      return out;
    }
    out += shown;
    if (out.size() + ellipsis.size() <= max) cut = out.size();
    p += step.length;
  }
  return out;
}

HOTPATH_FN std::string lower(std::string_view s) {
  std::string out(s);
  for (char& c : out) c = to_lower(c);
  return out;
}

HOTPATH_FN bool to_number(std::string_view s, std::int64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, std::uint64_t& out) noexcept { return detail::whole_number(s, out) == std::errc(); }
HOTPATH_FN bool to_number(std::string_view s, double& out) noexcept { return detail::whole_number(s, out) == std::errc(); }

HOTPATH_FN result<std::int64_t> parse_int(std::string_view s, std::int64_t lo, std::int64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<std::uint64_t> parse_uint(std::string_view s, std::uint64_t lo, std::uint64_t hi) {
  return detail::bounded(s, lo, hi, "a whole number");
}
HOTPATH_FN result<double> parse_double(std::string_view s, double lo, double hi) {
  return detail::bounded(s, lo, hi, "a number");
}

HOTPATH_FN result<nanoseconds> parse_duration(std::string_view s) {
  struct unit {
    std::string_view name;
    std::int64_t ns;
  };
  constexpr unit units[] = {{"ns", 1},          {"us", 1'000},           {"\xC2\xB5s", 1'000},     {"ms", 1'000'000},
                            {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"min", 60'000'000'000}, {"h", 3'600'000'000'000}};
  const auto wrong = [&](std::string_view what) {
    hotpath::error e;
    e.code = errc::malformed;
    e.detail.append("\"").append(printable(s, 64)).append("\" ").append(what);
    e.detail.append(", want a duration such as 500ms, 1.5s or 2m");
    return e;
  };
  std::size_t n = 0;
  while (n < s.size() && is_digit(s[n])) ++n;
  std::size_t fraction_end = n;
  if (n < s.size() && s[n] == '.')
    for (++fraction_end; fraction_end < s.size() && is_digit(s[fraction_end]);) ++fraction_end;
  const std::string_view whole = s.substr(0, n), fraction = s.substr(n, fraction_end - n), name = s.substr(fraction_end);
  if (whole.empty() || fraction.size() == 1) return wrong("is not a duration");
  if (name.empty()) return wrong("has no unit");
  for (const unit& u : units) {
    if (u.name != name) continue;
    std::int64_t v = 0, rest = 0;
    double part = 0;
    // A fraction is below one, so its product with the largest unit is exact to far less than a nanosecond.
    if (!fraction.empty() && to_number("0" + std::string(fraction), part))
      rest = static_cast<std::int64_t>(part * static_cast<double>(u.ns) + 0.5);
    if (!to_number(whole, v) || __builtin_mul_overflow(v, u.ns, &v) || __builtin_add_overflow(v, rest, &v))
      return wrong("is longer than 292 years");
    return nanoseconds{v};
  }
  return wrong("has an unknown unit");
}

HOTPATH_FN void csv_writer::plain(std::string_view text) {
  if (!first_) {
    out_->push_back(options_.separator);
    ++row_;
  }
  first_ = false;
  out_->append(text);
  row_ += text.size();
}

HOTPATH_FN void csv_writer::whole(std::int64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::whole(std::uint64_t v) {
  char b[32];
  plain(detail::number_text(v, b));
}
HOTPATH_FN void csv_writer::field(double v) {
  char b[32];
  plain(__builtin_isfinite(v) ? detail::number_text(v, b) : std::string_view());
}

HOTPATH_FN void csv_writer::field(std::string_view v) {
  const bool guard = options_.formula_guard && v.find_first_of("=+-@\t\r") == 0;
  const char special[] = {options_.separator, '"', '\r', '\n'};
  if (!guard && v.find_first_of(std::string_view(special, 4)) == std::string_view::npos) return plain(v);
  plain("\"");
  const std::size_t before = out_->size();
  if (guard) out_->push_back('\'');
  for (;;) {
    const auto quote = v.find('"');
    out_->append(v.substr(0, quote));
    if (quote == std::string_view::npos) break;
    out_->append("\"\"");
    v.remove_prefix(quote + 1);
  }
  out_->push_back('"');
  row_ += out_->size() - before;
}

HOTPATH_FN void csv_writer::end_row() {
  if (!first_ && row_ == 0) out_->append("\"\"");  // one empty field: an empty line would be no row
  out_->push_back('\n');
  first_ = true;
  row_ = 0;
}

HOTPATH_FN csv_reader::csv_reader(std::string_view text, char separator) noexcept : text_(text), separator_(separator) {
  if (text.starts_with("\xEF\xBB\xBF")) at_ = 3;
}

HOTPATH_FN bool csv_reader::fail(const char* what, std::size_t at) noexcept {
  fault_ = what;
  fault_at_ = at;
  at_ = text_.size();
  return false;
}

// At an opening quote; leaves the reader behind the closing one.
HOTPATH_FN bool csv_reader::quoted(std::vector<std::string_view>& row) {
  const std::size_t open = at_, kept = unquoted_.size();
  bool doubled = false;
  for (std::size_t from = open + 1;;) {
    const auto quote = text_.find('"', from);
    if (quote == std::string_view::npos) return fail("this field has no closing quote", open);
    const bool pair = quote + 1 < text_.size() && text_[quote + 1] == '"';
    if (pair || doubled) unquoted_.append(text_.substr(from, quote - from + (pair ? 1 : 0)));
    at_ = from = quote + (pair ? 2 : 1);
    if (!pair) break;
    doubled = true;
  }
  const std::string_view raw = text_.substr(open + 1, at_ - open - 2);
  for (const char c : raw) next_line_ += c == '\n' ? 1u : 0u;
  if (doubled) copies_.push_back({row.size(), unquoted_.size() - kept});
  row.push_back(raw);
  return at_ == text_.size() || text_[at_] == separator_ || line_end() != 0 ||
         fail("found text behind the closing quote of a field, want a separator or the end of the line", at_);
}

// Length of the line end here: 0, 1 or 2.
HOTPATH_FN std::size_t csv_reader::line_end() const noexcept {
  if (at_ == text_.size()) return 0;
  if (text_[at_] == '\n') return 1;
  return text_[at_] == '\r' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n' ? 2 : 0;
}

HOTPATH_FN bool csv_reader::next(std::vector<std::string_view>& row) {
  row.clear();
  unquoted_.clear();
  copies_.clear();
  for (std::size_t n; (n = line_end()) != 0; ++next_line_) at_ += n;
  if (at_ == text_.size()) return false;
  line_ = next_line_;
  for (;;) {
    if (at_ < text_.size() && text_[at_] == '"') {
      if (!quoted(row)) return false;
    } else {
      const std::size_t begin = at_;
      while (at_ < text_.size() && text_[at_] != separator_ && line_end() == 0) ++at_;
      row.push_back(text_.substr(begin, at_ - begin));
    }
    if (at_ == text_.size() || text_[at_] != separator_) break;
    ++at_;
  }
  if (const std::size_t n = line_end(); n != 0) {
    at_ += n;
    ++next_line_;
  }
  // Only now does the copied text stay where it is.
  std::size_t begin = 0;
  for (const auto& [field, size] : copies_) {
    row[field] = std::string_view(unquoted_).substr(begin, size);
    begin += size;
  }
  return true;
}

HOTPATH_FN hotpath::error csv_reader::failure(std::string_view source) const {
  hotpath::error e;
  e.code = errc::malformed;
  e.detail = fault_ != nullptr ? fault_ : "no error";
  e.source = source;
  e.byte = fault_at_;
  e.has_byte = true;
  e.line = e.column = 1;
  for (const char c : text_.substr(0, fault_at_)) {
    e.line += c == '\n' ? 1u : 0u;
    e.column = c == '\n' ? 1 : e.column + 1;
  }
  return e;
}

HOTPATH_FN bool is_secret_name(std::string_view name) {
  std::string all;           // letters and digits, lower case
  std::size_t word = 0;      // where the last word begins; subscription-key and subscriptionKey have two
  bool small_before = false;
  for (const char given : name) {
    const char c = to_lower(given);
    if ((c != given && small_before) || !(is_digit(c) || (c >= 'a' && c <= 'z'))) word = all.size();
    if (is_digit(c) || (c >= 'a' && c <= 'z')) all.push_back(c);
    small_before = c == given && c >= 'a' && c <= 'z';
  }
  const std::string_view text = all, last = text.substr(word);
  for (const std::string_view part : {"authorization", "cookie", "secret", "passw", "passphrase", "credential", "apikey", "accesskey",
                                      "privatekey", "bearer"})
    if (text.find(part) != std::string_view::npos) return true;
  if (text.ends_with("token") || text.ends_with("jwt")) return true;
  for (const std::string_view one : {"key", "auth", "pwd", "pass", "sig", "signature", "session", "sessionid"})
    if (last == one) return true;
  return false;
}

HOTPATH_FN std::string redact_url(std::string_view url) {
  const auto scheme = url.find("://");
  const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  std::string out(url.substr(0, begin));
  std::string_view rest = url.substr(begin);
  // User-info ends at the last @ before the path. A password with an unescaped slash moves that @ behind the slash: where
  // what would be the port is no number, it is taken for such a password.
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  auto at = authority.rfind('@');
  if (at == std::string_view::npos && scheme != std::string_view::npos && rest.find('@') != std::string_view::npos) {
    const auto colon = authority.rfind(':');
    if (colon != std::string_view::npos && !authority.ends_with(']') &&
        authority.find_first_not_of("0123456789", colon + 1) != std::string_view::npos)
      at = rest.rfind('@');
  }
  if (at != std::string_view::npos) rest.remove_prefix(at + 1);

  const auto query = rest.find_first_of("?#");
  out.append(rest.substr(0, query));
  if (query == std::string_view::npos) return out;
  rest.remove_prefix(query);
  // Each pair begins with one of ? & ; #
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find_first_of("?&;#", 1));
    rest.remove_prefix(pair.size());
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos || !is_secret_name(detail::percent_decoded(pair.substr(1, equals - 1)))) out.append(pair);
    else out.append(pair.substr(0, equals + 1)).append(redacted);
  }
  return out;
}

HOTPATH_FN std::string redact_text(std::string_view text, std::span<const std::string_view> secrets) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    std::size_t longest = 0;
    for (const std::string_view s : secrets)
      if (s.size() > longest && text.starts_with(s)) longest = s.size();
    if (longest == 0) out.push_back(text.front());
    else out.append(redacted);
    text.remove_prefix(longest == 0 ? 1 : longest);
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::text
// ---- hotpath/core/utc.hpp
// hotpath/core/utc.hpp - a wall time for people and files: ISO 8601, UTC, whatever the locale and the time zone.
//
//     text::utc(model.wall_start)      // "2026-11-22T18:32:52.123456789Z"
//     text::utc(model.wall_start, 0)   // "2026-11-22T18:32:52Z"
// ---- hotpath/core/utc.hpp

namespace hotpath::inline HOTPATH_ABI::text {

// `since_1970`: CLOCK_REALTIME. `decimals` of the second, 0 to 9, cut off and not rounded. The proleptic Gregorian calendar, no
// leap seconds; every value of the type has a text (years 1677 to 2262).
inline std::string utc(nanoseconds since_1970, unsigned decimals = 9) {
  constexpr std::int64_t second = 1'000'000'000, day = 86'400;
  std::int64_t fraction = since_1970.ns % second, seconds = since_1970.ns / second;
  if (fraction < 0) fraction += second, --seconds;
  std::int64_t days = seconds / day, in_day = seconds % day;
  if (in_day < 0) in_day += day, --days;
  // Days to date, counting years from March so that the leap day is the last: 400 years have 146,097 days.
  days += 719'468;  // from 1 March of year 0 to 1 January 1970
  const std::int64_t era = days / 146'097, in_era = days % 146'097;
  const std::int64_t year_of_era = (in_era - in_era / 1'460 + in_era / 36'524 - in_era / 146'096) / 365;
  const std::int64_t day_of_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::int64_t shifted = (5 * day_of_year + 2) / 153;  // month, 0 = March
  const std::int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  const std::int64_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

  std::string out;
  const auto put = [&](std::int64_t v, unsigned digits) {
    char text[20];
    for (unsigned i = digits; i-- > 0; v /= 10) text[i] = static_cast<char>('0' + v % 10);
    out.append(text, digits);
  };
  put(year, 4), out += '-', put(month, 2), out += '-', put(day_of_year - (153 * shifted + 2) / 5 + 1, 2);
  out += 'T', put(in_day / 3600, 2), out += ':', put(in_day / 60 % 60, 2), out += ':', put(in_day % 60, 2);
  if (decimals > 0) {
    out += '.', put(fraction, 9);
    if (decimals < 9) out.resize(out.size() - (9 - decimals));
  }
  return out += 'Z';
}

}  // namespace hotpath::inline HOTPATH_ABI::text
// ---- hotpath/model/chunk_log.hpp
// hotpath/model/chunk_log.hpp - the arrival of every content event of one request, delta-coded while it streams.
//   The bytes are what the store keeps: nothing is re-encoded on the way to disk. 4 bytes per event at 25 ms gaps.
//
//     log.append({.at = now, .tokens = 1, .kind = content_kind::text, .exact = true, .kernel = true});
//     for (auto r = log.read(); auto e = r.next();) use(*e);
//
//   Code of one event: varint(zigzag(at - previous at) << 5 | has_tokens << 4 | kernel << 3 | exact << 2 | kind), then
//   varint(tokens) if has_tokens. Exact for |delta| < 2^57 ns (4.5 years). Cost: about 5 ns per append, no allocation but growth.
// ---- hotpath/model/chunk_log.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class content_kind : std::uint8_t { text = 0, reasoning = 1, tool_call = 2 };

struct content_event {
  nanoseconds at{};          // since the run's origin
  std::uint32_t tokens = 0;  // 0 = not known (tokens of a chunk are known only when the server says so)
  content_kind kind = content_kind::text;
  bool exact = false;        // the stamp is this event's own; false: an upper bound
  bool kernel = false;       // the kernel's receive stamp; false: the loop's clock
};

class chunk_log {
 public:
  class reader {
   public:
    explicit reader(std::string_view bytes) : p_(bytes.data()), end_(bytes.data() + bytes.size()) {}
    // The next event, or nullopt at the end, and at bytes that are not a log (damaged() tells which).
    std::optional<content_event> next() {
      std::uint64_t head;
      if (p_ == end_ || !varint(head)) return std::nullopt;
      if ((head & 3) == 3) {  // no such kind
        damaged_ = true;
        p_ = end_;
        return std::nullopt;
      }
      content_event e;
      const std::uint64_t z = head >> 5;
      at_ += (z >> 1) ^ (0 - (z & 1));  // unsigned: damaged bytes may wrap, never overflow
      e.at = nanoseconds{static_cast<std::int64_t>(at_)};
      e.kind = static_cast<content_kind>(head & 3);
      e.exact = (head & 4) != 0;
      e.kernel = (head & 8) != 0;
      if ((head & 16) != 0) {
        std::uint64_t tokens;
        if (!varint(tokens)) return std::nullopt;
        e.tokens = static_cast<std::uint32_t>(tokens);
      }
      return e;
    }
    bool damaged() const { return damaged_; }

   private:
    bool varint(std::uint64_t& v) {
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
      // Up to 8 bytes without a branch per byte: lengths of 4 and 5 alternate, which no predictor learns. Half the time of the loop.
      if (end_ - p_ >= 8) {
        std::uint64_t w;
        __builtin_memcpy(&w, p_, 8);
        if (const std::uint64_t last = ~w & 0x8080808080808080u; last != 0) {
          p_ += (__builtin_ctzll(last) >> 3) + 1;
          w &= (last ^ (last - 1)) & 0x7f7f7f7f7f7f7f7fu;  // up to the last byte; 7 bits of each
          w = (w & 0x007f007f007f007fu) | (w & 0x7f007f007f007f00u) >> 1;
          w = (w & 0x00003fff00003fffu) | (w & 0x3fff00003fff0000u) >> 2;
          v = (w & 0x000000000fffffffu) | (w & 0x0fffffff00000000u) >> 4;
          return true;
        }
      }
#endif
      v = 0;
      for (unsigned shift = 0; p_ != end_ && shift < 64; shift += 7) {
        const auto b = static_cast<unsigned char>(*p_++);
        v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
        if (b < 0x80) return true;
      }
      damaged_ = true;
      p_ = end_;
      return false;
    }
    const char *p_, *end_;
    std::uint64_t at_ = 0;
    bool damaged_ = false;
  };

  void append(const content_event& e) {
    const std::uint64_t delta = static_cast<std::uint64_t>(e.at.ns) - static_cast<std::uint64_t>(last_);
    const std::uint64_t z = (delta << 1) ^ (0 - (delta >> 63));
    varint(z << 5 | (e.tokens != 0 ? 16u : 0u) | (e.kernel ? 8u : 0u) | (e.exact ? 4u : 0u) | static_cast<unsigned>(e.kind));
    if (e.tokens != 0) varint(e.tokens);
    last_ = e.at.ns;
    ++count_;
    if (!e.exact) ++inexact_;
  }

  // From bytes that bytes() gave. `count` and `inexact` are recomputed; damaged bytes end the log early.
  static chunk_log from_bytes(std::string bytes) {
    chunk_log log;
    reader r{bytes};
    while (auto e = r.next()) {
      log.last_ = e->at.ns;
      ++log.count_;
      if (!e->exact) ++log.inexact_;
    }
    log.bytes_ = std::move(bytes);
    return log;
  }

  reader read() const { return reader{bytes_}; }
  std::size_t count() const { return count_; }
  std::size_t inexact() const { return inexact_; }
  bool empty() const { return count_ == 0; }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t v) {
    char out[10];
    std::size_t n = 0;
    for (; v >= 0x80; v >>= 7) out[n++] = static_cast<char>(v | 0x80);
    out[n++] = static_cast<char>(v);
    bytes_.append(out, n);
  }
  std::string bytes_;
  std::int64_t last_ = 0;
  std::size_t count_ = 0, inexact_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/client.hpp
// hotpath/model/client.hpp - the load client's measurements of itself, one row per thread and second.
//   A client that cannot keep up must say so; these rows are the evidence.
// ---- hotpath/model/client.hpp

namespace hotpath::inline HOTPATH_ABI::model {

// From where on a client was the limit of what it measured (S8 of docs/statistics.md): one in a hundred requests dispatched later than
// this after it was due, more than this share of content events inexact, a thread above this share of a core for so long on end.
inline constexpr nanoseconds late_after{10'000'000};
inline constexpr double inexact_limit = 0.05;
inline constexpr double hot_share = 0.85;
inline constexpr nanoseconds hot_limit{5'000'000'000};

struct client_interval {
  std::uint32_t thread = 0;
  nanoseconds begin{}, end{};         // since the run's origin
  nanoseconds cpu{};                  // CPU time of the thread within it (CLOCK_THREAD_CPUTIME_ID)
  std::uint64_t wakeups = 0;          // returns of epoll_wait with at least one event
  std::uint64_t reads = 0;            // recvmsg calls that returned bytes
  std::uint64_t bytes_received = 0, bytes_sent = 0;
  std::uint64_t content_events = 0;
  std::uint64_t inexact_events = 0;   // that shared their read with another content event (or part of one), or had no kernel stamp
  std::uint64_t receive_queue_max = 0;  // bytes seen waiting in one socket, high-water
  std::uint32_t open_descriptors = 0;   // of this thread's loop, at the end of the interval
  std::uint32_t in_flight = 0;          // at the end of the interval
  nanoseconds suspended{};            // the longest gap in which the loop's clock jumped: SIGSTOP, a suspended machine
  stats::sketch loop_lag_ns{};         // how late a due timer or ready socket was handled (wake-up lag)
  stats::sketch read_lag_ns{};         // time after recvmsg minus the kernel's receive stamp
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/clock.hpp
// hotpath/model/clock.hpp - a stamp: when, and how that is known.
//   `at` counts from the origin of the run (run_info::origin on CLOCK_MONOTONIC, anchored once to wall time); stamps of one
//   run may be subtracted. Server stamps live on another clock until a clock fit has moved them: `source` tells.
// ---- hotpath/model/clock.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class stamp_source : std::uint8_t {
  none,      // never happened, or not known
  schedule,  // planned, not measured
  user,      // the client's own clock, read after the fact: an upper bound
  kernel,    // the kernel's receive stamp of the segment that completed the event
  server,    // told by the server (log, metrics), on its clock
};

struct stamp {
  nanoseconds at{};
  stamp_source source = stamp_source::none;
  bool exact = false;  // false: an upper bound (one read held several events, or the loop's clock was all there was)

  constexpr explicit operator bool() const { return source != stamp_source::none; }
};
static_assert(sizeof(stamp) == 16);

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/loss.hpp
// hotpath/model/loss.hpp - what was lost, counted by cause. A result with loss is partial, never ok.
// ---- hotpath/model/loss.hpp

namespace hotpath::inline HOTPATH_ABI::model {

struct loss {
  std::uint64_t dropped = 0;     // a bounded queue or ring was full
  std::uint64_t truncated = 0;   // cut off: by the end of a file, by a peer
  std::uint64_t malformed = 0;   // did not parse
  std::uint64_t over_limit = 0;  // larger than a limit
  std::uint64_t late = 0;        // came after the moment it was for

  constexpr std::uint64_t total() const { return dropped + truncated + malformed + over_limit + late; }
  constexpr explicit operator bool() const { return total() != 0; }
  constexpr loss& operator+=(const loss& o) {
    dropped += o.dropped, truncated += o.truncated, malformed += o.malformed, over_limit += o.over_limit, late += o.late;
    return *this;
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/request.hpp
// hotpath/model/request.hpp - one request, as the client saw it. Its phases are stamps on the run's clock.
//   The four times of every request (all definitions of latency derive from them, serve/definitions.hpp):
//     intended      the schedule's time in open loop; the moment the slot was taken in closed loop
//     sent          the first byte of the request was handed to the kernel (connect is a phase of its own before it)
//     first_content the first content event: non-empty text, reasoning, or a tool call's name or arguments
//     last_content  the last one. The finish reason and the end of framing (`finished`, `closed`) enter no latency.
// ---- hotpath/model/request.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class request_status : std::uint8_t { in_flight, ok, failed, cancelled };

// The public classes of failure. Their names are in the store and in every report: add at the end, never reuse.
enum class error_class : std::uint8_t {
  none, dns, connect_refused, connect_timeout, tls, head_timeout, first_byte_timeout, idle_timeout, total_timeout, reset,
  truncated, http_4xx, rejected, http_5xx, bad_framing, not_sse, bad_json, server_error, over_limit, client_limit, cancelled,
};
inline constexpr std::string_view error_class_names[] = {
    "none", "dns", "connect_refused", "connect_timeout", "tls", "head_timeout", "first_byte_timeout", "idle_timeout",
    "total_timeout", "reset", "truncated", "http_4xx", "rejected", "http_5xx", "bad_framing", "not_sse", "bad_json",
    "server_error", "over_limit", "client_limit", "cancelled"};
inline constexpr std::size_t error_class_count = sizeof(error_class_names) / sizeof(error_class_names[0]);
static_assert(error_class_count == static_cast<std::size_t>(error_class::cancelled) + 1);
constexpr std::string_view name_of(error_class c) { return error_class_names[static_cast<std::size_t>(c)]; }

inline constexpr std::string_view request_status_names[] = {"in_flight", "ok", "failed", "cancelled"};
constexpr std::string_view name_of(request_status s) { return request_status_names[static_cast<std::size_t>(s)]; }

// Where a token count comes from.
enum class token_source : std::uint8_t {
  none,      // unknown
  usage,     // the server's usage object
  chunks,    // no usage: one per content event, a lower bound
};
inline constexpr std::string_view token_source_names[] = {"none", "usage", "chunks"};
constexpr std::string_view name_of(token_source s) { return token_source_names[static_cast<std::size_t>(s)]; }

struct request {
  // identity
  std::uint64_t index = 0;         // position in the schedule, from 0
  std::uint64_t workload_row = 0;  // which request of the workload, from 0
  std::uint32_t pass = 0;          // how often the workload had been cycled before
  std::uint32_t attempt = 1;       // 2 and up: sent again after a restart of the client
  std::string id;                  // X-Request-Id as sent
  std::string given_id;            // the workload's own id, if it had one
  bool warmup = false;             // excluded from statistics

  // outcome
  request_status status = request_status::in_flight;
  error_class error = error_class::none;
  std::int32_t http_status = 0;    // 0: no status line was seen
  std::string error_message;       // redacted, at most 1 KiB
  std::string finish_reason;       // "stop", "length", "tool_calls", …; empty: none seen

  // phases
  stamp intended;
  stamp slot_free;      // open loop with a cap: when a slot was there; else none
  stamp connect_begin;  // none: a kept-alive connection was used
  stamp connected;
  stamp sent;
  stamp head;           // end of the response head
  stamp first_content;
  stamp first_output;   // the first content event that is not reasoning
  stamp last_content;
  stamp finished;       // the event with the finish reason
  stamp closed;         // end of the response's framing, or of the connection

  // tokens
  std::optional<std::int64_t> prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
  token_source tokens_from = token_source::none;
  std::optional<std::int64_t> prompt_tokens_planned;  // by a synthetic workload; checked against usage
  std::optional<std::int64_t> output_tokens_asked;    // max_tokens
  bool usage_suspect = false;      // usage was zero, repeated with other numbers, or smaller than the content events

  // volume
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t prompt_bytes = 0;  // length of the prompt's text as sent (UTF-8 bytes; 0 for token ids)
  std::uint32_t warnings = 0;      // tolerated faults of the server: LF-only heads, ill-formed UTF-8, …
  bool reused_connection = false;

  chunk_log chunks;                // every content event: arrival, kind, tokens where known

  // Only with --store-text.
  std::string prompt_text, completion_text;
};

// How late the client was: sent - connect - max(intended, slot_free). Stamps come from files, too: each is taken within +-36 years of
// the origin, so that nothing overflows. Missing: not sent, or never due.
inline std::optional<nanoseconds> dispatch_delay(const request& r) {
  if (!r.sent || !r.intended) return std::nullopt;
  const auto at = [](const stamp& s) {
    constexpr std::int64_t bound = std::int64_t{1} << 60;
    return s.at.ns < -bound ? -bound : s.at.ns > bound ? bound : s.at.ns;
  };
  const std::int64_t due = r.slot_free && at(r.slot_free) > at(r.intended) ? at(r.slot_free) : at(r.intended);
  const std::int64_t connecting = r.connect_begin && r.connected ? at(r.connected) - at(r.connect_begin) : 0;
  return nanoseconds{at(r.sent) - due - connecting};
}

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/run.hpp
// hotpath/model/run.hpp - what was run: the manifest of one measurement. No secret ever enters it.
// ---- hotpath/model/schedule.hpp
// hotpath/model/schedule.hpp - when to send: made before the run, stored with it, replayed exactly.
//   closed  `streams` requests are in flight at all times; a request is due when a slot is free.
//   open    request i is due at due[i], whatever the server does; `max_in_flight` (0: none) holds back what is over it.
//   Memory: 8 bytes per planned request of an open loop, nothing for a closed one.
// ---- hotpath/model/schedule.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class arrival : std::uint8_t { closed, constant, poisson, recorded };
inline constexpr std::string_view arrival_names[] = {"closed", "constant", "poisson", "recorded"};
constexpr std::string_view name_of(arrival a) { return arrival_names[static_cast<std::size_t>(a)]; }

struct schedule {
  arrival kind = arrival::closed;
  std::uint32_t streams = 1;         // closed: requests in flight
  std::uint32_t max_in_flight = 0;   // open: the cap, 0 = none
  double per_second = 0;             // open: the mean rate
  std::uint64_t seed = 0;            // poisson: of the gaps
  std::vector<nanoseconds> due;      // open: ascending, from the start of sending
  // Sending ends at the first limit reached; what is in flight is drained and counts.
  std::optional<std::uint64_t> max_requests;
  std::optional<nanoseconds> max_duration;

  bool open() const { return kind != arrival::closed; }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/run.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class run_state : std::uint8_t {
  running,      // being written, or its writer was killed: partial
  complete,     // ran to its planned end
  interrupted,  // a signal ended it; drained and saved
  stopped,      // ended early by itself: --max-errors, 401/403, disk full. `stop_reason` says why
};
inline constexpr std::string_view run_state_names[] = {"running", "complete", "interrupted", "stopped"};
constexpr std::string_view name_of(run_state s) { return run_state_names[static_cast<std::size_t>(s)]; }

// Limits a request must meet to count as good; a limit that is not set is not checked. Equal to the limit is good.
struct slo {
  std::optional<nanoseconds> ttft = {}, tpot = {}, e2e = {};
  explicit operator bool() const { return ttft || tpot || e2e; }
};

struct run_info {
  std::string tool_version;
  std::vector<std::string> command_line;  // secrets already replaced by ***
  std::string host;                       // kernel's name of the machine
  std::string endpoint;                   // without credentials and query
  std::string api;                        // "completions" or "chat"
  std::string model;
  std::string engine;                     // as told by the server ("vllm"), empty: not known
  std::string engine_version;             // as its /version says; empty: not told
  std::string metrics_url;                // where its metrics were read, without credentials and query; empty: they were not
  std::string workload;                   // the file's name, or the synthetic description
  std::string prompt_lengths;             // "token ids", "words (approximate)", "as given"
  std::uint64_t workload_rows = 0;        // 0: endless or not known
  std::uint64_t workload_passes = 0;      // how often it was begun; > 1: cycled
  bool prompts_reused = false;
  loss workload_loss;                     // lines that were skipped
  std::uint64_t seed = 0;
  std::uint32_t threads = 1;
  std::uint64_t warmup = 0;               // requests excluded from statistics
  model::slo slo;
  schedule plan;                          // `due` is stored apart
  bool text_stored = false;

  nanoseconds origin{};                   // CLOCK_MONOTONIC at the run's zero; meaningful on the same boot only
  nanoseconds wall_start{};               // CLOCK_REALTIME at the same moment
  nanoseconds sending_began{}, sending_ended{};  // since the origin
  nanoseconds ended{};                    // last request closed, since the origin
  run_state state = run_state::running;
  std::string stop_reason;
  std::uint64_t unsent = 0;               // due, but the run ended while they waited for a slot
  loss lost;                              // finished requests that could not be stored
  std::vector<std::string> notes;         // what a reader must know: "workload cycled 3 times", "3 stale connections"
  std::uint64_t ephemeral_ports_left = 0; // at the start; 0 = not known (unix socket)
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/model/scrape.hpp
// hotpath/model/scrape.hpp - what an inference engine said of itself at one moment, by meaning and not by name.
//   metrics/ makes it from a page of /metrics, run/ stores it, serve/server.hpp folds a sequence of them into figures.
//   Counters and histograms are cumulative, as the engine gives them: a figure of a run is a difference of two scrapes.
// ---- hotpath/model/scrape.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class engine_metric : std::uint8_t {
  // gauges: the value of that moment
  running, waiting, kv_usage, kv_blocks, kv_block_tokens,
  // counters: since the engine started
  preemptions, prompt_tokens, cached_prompt_tokens, generation_tokens, prefix_queries, prefix_hits, requests_finished,
  spec_drafts, spec_draft_tokens, spec_accepted_tokens,
  // histograms of seconds, one value per request (itl: per token)
  ttft, itl, tpot, e2e, queue, prefill, decode, inference,
  // histogram of tokens, one value per engine step
  step_tokens,
};
enum class metric_kind : std::uint8_t { gauge, counter, histogram };

struct engine_metric_facts {
  std::string_view name, unit;
  metric_kind kind;
};
inline constexpr std::array<engine_metric_facts, 24> engine_metrics = {{
    {"running", "requests", metric_kind::gauge},
    {"waiting", "requests", metric_kind::gauge},
    {"kv_usage", "share", metric_kind::gauge},  // 0 to 1
    {"kv_blocks", "blocks", metric_kind::gauge},
    {"kv_block_tokens", "tokens", metric_kind::gauge},
    {"preemptions", "requests", metric_kind::counter},
    {"prompt_tokens", "tokens", metric_kind::counter},  // cached ones included
    {"cached_prompt_tokens", "tokens", metric_kind::counter},
    {"generation_tokens", "tokens", metric_kind::counter},
    {"prefix_queries", "tokens", metric_kind::counter},  // in the engine's own unit: tokens, TensorRT-LLM blocks
    {"prefix_hits", "tokens", metric_kind::counter},
    {"requests_finished", "requests", metric_kind::counter},
    {"spec_drafts", "drafts", metric_kind::counter},
    {"spec_draft_tokens", "tokens", metric_kind::counter},
    {"spec_accepted_tokens", "tokens", metric_kind::counter},
    {"ttft", "s", metric_kind::histogram},
    {"itl", "s", metric_kind::histogram},
    {"tpot", "s", metric_kind::histogram},
    {"e2e", "s", metric_kind::histogram},
    {"queue", "s", metric_kind::histogram},
    {"prefill", "s", metric_kind::histogram},
    {"decode", "s", metric_kind::histogram},
    {"inference", "s", metric_kind::histogram},
    {"step_tokens", "tokens", metric_kind::histogram},
}};
constexpr const engine_metric_facts& facts_of(engine_metric m) { return engine_metrics[static_cast<std::size_t>(m)]; }
static_assert(engine_metrics.size() == static_cast<std::size_t>(engine_metric::step_tokens) + 1);

struct bucket {
  double upper = 0;       // values up to and including it; the last one is +infinity
  double cumulative = 0;  // how many values are not above `upper`
};

// One metric of one engine.
struct metric_series {
  engine_metric what{};
  std::string name = {};        // the engine's own, without labels: "vllm:kv_cache_usage_perc"
  std::string source = {};      // which engine, where a page speaks of several: "model_name=tiny, engine=1"; empty: the only one
  double value = 0;             // of a gauge or counter; of a histogram: how many values
  std::optional<double> sum = {};  // of a histogram; missing: not told, or not a number
  std::optional<nanoseconds> created = {};  // CLOCK_REALTIME at which a counter or histogram began, where told
  std::vector<bucket> buckets = {};  // of a histogram, ascending; empty: not told, or not usable (scrape::problems says why)
};

inline constexpr std::string_view scrape_moment_names[] = {"before", "during", "after"};
struct scrape {
  enum class moment : std::uint8_t { before, during, after };  // of the load
  moment when = moment::during;
  nanoseconds begin{}, end{};         // request and answer, since the run's origin: the values belong to some moment between them
  std::string error;                  // why there is nothing; empty: it succeeded
  std::string engine;                 // "vllm", "sglang", "trtllm", "llamacpp", "dynamo", "generic"; empty: not known
  std::vector<metric_series> series;
  std::vector<std::string> problems;  // what a reader must know, bounded: "ttft: buckets are not cumulative"
  std::uint64_t skipped = 0;          // periods that passed before it because the scrape before it took too long
  loss lost;                          // lines that did not parse or were too many

  constexpr nanoseconds at() const { return nanoseconds{begin.ns + (end.ns - begin.ns) / 2}; }
  bool ok() const { return error.empty(); }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/kv.hpp
// hotpath/kv.hpp - one notion of a KV block: how it is named (hash) and who holds it (pool).
//   The same two serve an inference server's paged cache, the analysis of a trace's prefixes, and the simulator.
//
//     kv::pool blocks{1024};                                                  // 1,024 blocks of 16 tokens
//     std::vector<kv::block_hash> names;
//     kv::hash_blocks(kv::mix_hash{}, prompt, 16, names);                     // one name per full block of the prompt
//     std::vector<kv::block_id> table;
//     const std::size_t cached = blocks.share(names, table);                  // the longest prefix that is there: 16 * cached tokens
//     if (!blocks.allocate(names.size() - cached, table)) …                   // full: wait, or make room
//     for (std::size_t i = cached; i < names.size(); ++i) blocks.publish(table[i], names[i]);   // once computed
//     blocks.release(table);                                                  // what is named stays until its room is needed
// ---- hotpath/kv/hash.hpp
// hotpath/kv/hash.hpp - the name of a KV block: a hash of its tokens and of all tokens before it, as a chain.
//   Two blocks have the same name when everything up to their ends is the same; so the longest cached prefix of a prompt is the
//   longest run of names, from the first on, that are known. Only full blocks have names.
//
//     std::vector<kv::block_hash> names;
//     kv::hash_blocks(kv::mix_hash{salt}, prompt, 16, names);          // appends prompt.size() / 16 names
//     kv::hash_blocks(kv::mix_hash{salt}, prompt_and_answer, 16, names);   // later, as it grows: only what is new is read
//
//   A hasher is a type: root() is the parent of the first block, and hash(parent, tokens) names the next. mix_hash needs nothing but the
//   standard library; kv/xxhash.hpp has another. Names are 64 bits wide: among n different blocks two share one with a chance of about
//   n * n / 3.7e19 (a million blocks: 3e-8). mix_hash is not a cryptographic hash; where strangers' prompts share a cache, give
//   it a secret, random salt. Names of different salts, block sizes or hashers have nothing to do with each other.
//   Measured (tests/bench/kv_bench.cpp, g++ 12 -O2, one AMD EPYC core, blocks of 16 tokens): 1.3 to 1.5 G tokens/s, 0.7 to 0.8 G with the pool;
//   std::hash, std::unordered_map and std::list in the same runs 0.15 to 0.28 G.
// ---- hotpath/kv/hash.hpp

namespace hotpath::inline HOTPATH_ABI::kv {

using token = std::uint32_t;
using block_hash = std::uint64_t;

template <class H>
concept block_hasher = requires(const H hash, block_hash parent, std::span<const token> tokens) {
  { hash.root() } noexcept -> std::same_as<block_hash>;
  { hash(parent, tokens) } noexcept -> std::same_as<block_hash>;
};

// Folds 64 x 64 -> 128 bit products, sixteen bytes at a time (the construction of wyhash and of rapidhash, public domain and MIT).
// The tokens are folded first and the parent last: along a chain only one multiplication waits for the block before.
// The same names on every machine of either byte order.
class mix_hash {
 public:
  constexpr explicit mix_hash(std::uint64_t salt = 0) noexcept : salt_(fold(salt ^ k0, k1)) {}

  constexpr block_hash root() const noexcept { return salt_; }

  constexpr block_hash operator()(block_hash parent, std::span<const token> tokens) const noexcept {
    const token* t = tokens.data();
    std::size_t left = tokens.size();
    std::uint64_t a = salt_ ^ k2, b = salt_ ^ k3;
    for (; left >= 8; left -= 8, t += 8) {  // two independent lanes
      a = fold(pair(t[0], t[1]) ^ k0, pair(t[2], t[3]) ^ a);
      b = fold(pair(t[4], t[5]) ^ k1, pair(t[6], t[7]) ^ b);
    }
    for (; left >= 2; left -= 2, t += 2) a = fold(pair(t[0], t[1]) ^ k2, a ^ k3);
    if (left != 0) b = fold(pair(t[0], 1) ^ k3, b ^ k2);
    return fold(a ^ parent ^ k1, (b + tokens.size()) ^ k0 ^ (parent << 32 | parent >> 32));
  }

 private:
  // Odd, random-looking, without structure in common: the first 64 bits after the point of sqrt(2), sqrt(3), sqrt(5) and sqrt(7).
  static constexpr std::uint64_t k0 = 0x6a09e667f3bcc908 | 1, k1 = 0xbb67ae8584caa73b, k2 = 0x3c6ef372fe94f82b, k3 = 0xa54ff53a5f1d36f1;

  __extension__ typedef unsigned __int128 wide;
  static constexpr std::uint64_t pair(std::uint64_t low, std::uint64_t high) noexcept { return low | high << 32; }
  static constexpr std::uint64_t fold(std::uint64_t x, std::uint64_t y) noexcept {
    const wide product = wide{x} * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }

  std::uint64_t salt_;
};
static_assert(block_hasher<mix_hash>);

// Appends the names of the full blocks of `tokens` that `names` does not hold yet: names already there are those of the first
// blocks of the same tokens. block_tokens 0, or fewer tokens than a block: nothing. Allocates only to grow `names`.
template <block_hasher Hash>
void hash_blocks(const Hash& hash, std::span<const token> tokens, std::size_t block_tokens, std::vector<block_hash>& names) {
  if (block_tokens == 0) return;
  const std::size_t full = tokens.size() / block_tokens, had = names.size();
  if (full <= had) return;
  names.resize(full);
  block_hash parent = had == 0 ? hash.root() : names[had - 1];
  for (std::size_t i = had; i < full; ++i) names[i] = parent = hash(parent, tokens.subspan(i * block_tokens, block_tokens));
}

}  // namespace hotpath::inline HOTPATH_ABI::kv
// ---- hotpath/kv/pool.hpp
// hotpath/kv/pool.hpp - a fixed number of KV blocks: reference counts, a prefix cache by name, eviction of the least recently used.
//   It hands out numbers; what a block holds (floats of a model, nothing in an analysis) is the caller's.
//
//     kv::pool blocks{1024};
//     std::vector<kv::block_id> table;                         // of one request
//     const std::size_t cached = blocks.share(names, table);   // takes the longest cached prefix, appends it to the table
//     if (!blocks.allocate(3, table)) …                        // all or nothing; evicts what is cached and held by nobody
//     blocks.publish(table.back(), name);                      // its content is complete: others may share it
//     blocks.release(table);                                   // published blocks stay findable until their room is needed
//
//   A block is in one of three states: held (one reference or more), cached (published, held by nobody, in order of last use) or
//   free. share() and allocate() hold, release() lets go. Of several blocks let go together, the last is the first to be evicted:
//   the head of a prefix is worth more than its tail. There is no clock and no thread in here: the order of calls is all that counts.
//   Cost: share, publish, allocate and release are O(1) per block, without allocation (but to grow the caller's vector).
//   Memory: 24 bytes per block and 32 to 64 for the table. Thread safety: none; one thread at a time.
// ---- hotpath/kv/pool.hpp

namespace hotpath::inline HOTPATH_ABI::kv {

using block_id = std::uint32_t;
inline constexpr block_id no_block = 0xffffffff;

// Since the pool was made.
struct pool_stats {
  std::uint64_t looked_up = 0;   // names given to share()
  std::uint64_t shared = 0;      // of them found, as part of the leading run
  std::uint64_t allocated = 0;   // blocks handed out by allocate()
  std::uint64_t published = 0;   // names that were new
  std::uint64_t duplicates = 0;  // names that another block had already: that block stays the one to be found
  std::uint64_t evicted = 0;     // cached blocks whose room was needed
};

class pool {
 public:
  // At most 2^31 blocks (programming error beyond); 0 blocks is a pool that is always full.
  explicit pool(std::uint32_t blocks);

  // How many leading names are there, held or cached. Changes nothing.
  std::size_t cached_prefix(std::span<const block_hash> names) const noexcept;
  // Takes a reference on each block of the longest prefix that is there, appends them to `table`, and says how many.
  std::size_t share(std::span<const block_hash> names, std::vector<block_id>& table);
  // Takes `count` blocks, one reference each, and appends them to `table`. False, and nothing done: not so many are available.
  bool allocate(std::size_t count, std::vector<block_id>& table);
  // The content of a held block is complete and known by this name from now on. False: another block has the name, or the block has one.
  bool publish(block_id block, block_hash name) noexcept;
  // One more reference on a held block.
  void hold(block_id block) noexcept;
  // Lets go of one reference on each; blocks may repeat. `table` is the caller's to clear.
  void release(std::span<const block_id> table) noexcept;
  // Forgets all names: cached blocks are free, held ones stay with their holders and are findable no more. How many blocks became free.
  std::size_t forget() noexcept;

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(nodes_.size()) - lists; }
  std::uint32_t held() const noexcept { return size() - available(); }
  std::uint32_t cached() const noexcept { return cached_; }               // by nobody held
  std::uint32_t available() const noexcept { return free_ + cached_; }    // what allocate() can give at most
  std::uint32_t references(block_id block) const noexcept { return nodes_[block].references; }
  const pool_stats& stats() const noexcept { return stats_; }

  // Walks everything: each block in exactly one state, lists and counts agree, each name leads to its block and no name is lost.
  // O(blocks); for tests and debugging. The error says what is wrong with which block.
  result<void> check() const;

 private:
  // Two rings through the nodes, each with a node of its own behind the blocks: next of it is the oldest, previous the newest.
  static constexpr std::uint32_t lists = 2;
  struct node {
    block_hash name = 0;
    block_id next = no_block, previous = no_block;  // in a list; of a held block no_block
    std::uint32_t references = 0;
    bool named = false;
  };
  struct slot {
    block_hash name = 0;
    block_id block = no_block;
  };

  block_id free_list() const noexcept { return size(); }
  block_id cached_list() const noexcept { return size() + 1; }
  void link_newest(block_id list, block_id b) noexcept;
  void link_oldest(block_id list, block_id b) noexcept;
  void unlink(block_id b) noexcept;
  void take(block_id b) noexcept;
  std::size_t home(block_hash name) const noexcept { return static_cast<std::size_t>(name) & mask_; }
  block_id find(block_hash name) const noexcept;
  void erase(block_hash name) noexcept;

  std::vector<node> nodes_;
  std::vector<slot> table_;  // open addressing, linear probing, at most half full
  std::size_t mask_ = 0;
  std::uint32_t free_ = 0, cached_ = 0;
  pool_stats stats_;
};

}  // namespace hotpath::inline HOTPATH_ABI::kv
// ---- hotpath/kv/pool-inl.hpp

namespace hotpath::inline HOTPATH_ABI::kv {

HOTPATH_FN pool::pool(std::uint32_t blocks) {
  HOTPATH_ASSERT(blocks <= 0x80000000u);
  nodes_.resize(std::size_t{blocks} + lists);
  for (const block_id list : {free_list(), cached_list()}) nodes_[list].next = nodes_[list].previous = list;
  for (block_id b = 0; b < blocks; ++b) link_newest(free_list(), b);
  free_ = blocks;
  table_.resize(std::bit_ceil(std::size_t{blocks} * 2 + 1));
  mask_ = table_.size() - 1;
}

HOTPATH_FN void pool::link_newest(block_id list, block_id b) noexcept {
  node& n = nodes_[b];
  n.next = list;
  n.previous = nodes_[list].previous;
  nodes_[n.previous].next = nodes_[list].previous = b;
}

HOTPATH_FN void pool::link_oldest(block_id list, block_id b) noexcept {
  node& n = nodes_[b];
  n.previous = list;
  n.next = nodes_[list].next;
  nodes_[n.next].previous = nodes_[list].next = b;
}

HOTPATH_FN void pool::unlink(block_id b) noexcept {
  node& n = nodes_[b];
  nodes_[n.next].previous = n.previous;
  nodes_[n.previous].next = n.next;
  n.next = n.previous = no_block;
}

// One more reference; the first takes the block out of its list.
HOTPATH_FN void pool::take(block_id b) noexcept {
  node& n = nodes_[b];
  if (n.references++ != 0) return;
  unlink(b);
  --(n.named ? cached_ : free_);
}

HOTPATH_FN block_id pool::find(block_hash name) const noexcept {
  for (std::size_t i = home(name); table_[i].block != no_block; i = (i + 1) & mask_)
    if (table_[i].name == name) return table_[i].block;
  return no_block;
}

// Knuth's algorithm R (The Art of Computer Programming 3, 6.4): what follows moves up, so that no probe ends too early.
HOTPATH_FN void pool::erase(block_hash name) noexcept {
  std::size_t hole = home(name);
  while (table_[hole].name != name || table_[hole].block == no_block) hole = (hole + 1) & mask_;
  for (std::size_t i = hole;;) {
    i = (i + 1) & mask_;
    if (table_[i].block == no_block) break;
    if (((i - home(table_[i].name)) & mask_) < ((i - hole) & mask_)) continue;  // its home lies behind the hole
    table_[hole] = table_[i];
    hole = i;
  }
  table_[hole].block = no_block;
}

HOTPATH_FN std::size_t pool::cached_prefix(std::span<const block_hash> names) const noexcept {
  std::size_t n = 0;
  while (n < names.size() && find(names[n]) != no_block) ++n;
  return n;
}

HOTPATH_FN std::size_t pool::share(std::span<const block_hash> names, std::vector<block_id>& table) {
  constexpr std::size_t ahead = 8;  // slots in flight from memory while one is looked at
  stats_.looked_up += names.size();
  for (std::size_t i = 0; i < names.size() && i < ahead; ++i) __builtin_prefetch(&table_[home(names[i])]);
  std::size_t n = 0;
  for (; n < names.size(); ++n) {
    if (n + ahead < names.size()) __builtin_prefetch(&table_[home(names[n + ahead])]);
    const block_id b = find(names[n]);
    if (b == no_block) break;
    take(b);
    table.push_back(b);
  }
  stats_.shared += n;
  return n;
}

HOTPATH_FN bool pool::allocate(std::size_t count, std::vector<block_id>& table) {
  if (count > available()) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (free_ == 0) {
      const block_id oldest = nodes_[cached_list()].next;
      erase(nodes_[oldest].name);
      unlink(oldest);
      nodes_[oldest].named = false;
      link_newest(free_list(), oldest);
      --cached_, ++free_;
      ++stats_.evicted;
    }
    const block_id b = nodes_[free_list()].next;
    take(b);
    table.push_back(b);
  }
  stats_.allocated += count;
  return true;
}

HOTPATH_FN bool pool::publish(block_id block, block_hash name) noexcept {
  node& n = nodes_[block];
  HOTPATH_ASSERT(block < size() && n.references != 0);
  if (n.named) return false;
  std::size_t i = home(name);
  for (; table_[i].block != no_block; i = (i + 1) & mask_)
    if (table_[i].name == name) return ++stats_.duplicates, false;
  table_[i] = {name, block};
  n.name = name;
  n.named = true;
  ++stats_.published;
  return true;
}

HOTPATH_FN void pool::hold(block_id block) noexcept {
  HOTPATH_ASSERT(block < size() && nodes_[block].references != 0);
  ++nodes_[block].references;
}

HOTPATH_FN void pool::release(std::span<const block_id> table) noexcept {
  for (std::size_t i = table.size(); i-- > 0;) {
    const block_id b = table[i];
    node& n = nodes_[b];
    HOTPATH_ASSERT(b < size() && n.references != 0);
    if (--n.references != 0) continue;
    if (n.named) {
      link_newest(cached_list(), b);
      ++cached_;
    } else {
      link_oldest(free_list(), b);  // the first to be taken again: its memory is still warm
      ++free_;
    }
  }
}

HOTPATH_FN std::size_t pool::forget() noexcept {
  const std::size_t freed = cached_;
  for (block_id b = nodes_[cached_list()].next; b != cached_list(); b = nodes_[cached_list()].next) {
    unlink(b);
    link_newest(free_list(), b);
  }
  free_ += cached_;
  cached_ = 0;
  for (block_id b = 0; b < size(); ++b) nodes_[b].named = false;
  for (slot& s : table_) s.block = no_block;
  return freed;
}

HOTPATH_FN result<void> pool::check() const {
  const auto wrong = [](std::string what, block_id b = no_block) -> result<void> {
    return error{.code = errc::internal, .detail = (b == no_block ? "" : "block " + std::to_string(b) + ": ") + what};
  };
  std::vector<std::uint8_t> seen(size(), 0);
  std::uint32_t counts[lists] = {};
  for (std::uint32_t l = 0; l < lists; ++l) {
    const block_id list = size() + l;
    for (block_id at = list, b = nodes_[list].next;; at = b, b = nodes_[b].next) {
      if (b >= nodes_.size()) return wrong("the list it is in leads nowhere", at);
      if (nodes_[b].previous != at) return wrong("its neighbours do not agree", b);
      if (b == list) break;
      if (b >= size()) return wrong("the lists are mixed up", b);
      if (seen[b]++ != 0) return wrong("it is listed twice", b);
      if (nodes_[b].references != 0) return wrong("it is held and listed as available", b);
      if (nodes_[b].named != (list == cached_list())) return wrong("free with a name, or cached without", b);
      ++counts[l];
    }
  }
  if (counts[0] != free_ || counts[1] != cached_) return wrong("the lists are not as long as counted");
  std::size_t named = 0, slots = 0;
  for (block_id b = 0; b < size(); ++b) {
    const node& n = nodes_[b];
    if (n.references == 0 && seen[b] == 0) return wrong("lost: neither held nor listed", b);
    if (n.references != 0 && (n.next != no_block || n.previous != no_block)) return wrong("held, with neighbours", b);
    if (!n.named) continue;
    ++named;
    if (find(n.name) != b) return wrong("its name does not lead to it", b);
  }
  for (const slot& s : table_) {
    if (s.block == no_block) continue;
    ++slots;
    if (s.block >= size() || !nodes_[s.block].named || nodes_[s.block].name != s.name) return wrong("a name leads to it that is not its own", s.block);
  }
  if (named != slots) return wrong("more names than named blocks");
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::kv
// ---- hotpath/net/fetch.hpp
// hotpath/net/fetch.hpp - one small request without a body, blocking, with a deadline: /v1/models, /health, /metrics.
//
//     auto page = net::fetch(*url, "/v1/models", headers, {.total = 5_s});
//     if (!page) …                       // unreachable, over_limit, malformed framing: with what and where
//     if (page->status != 200) …
// ---- hotpath/net/http.hpp
// hotpath/net/http.hpp - HTTP/1.1 without sockets: a response parser that is fed bytes, a writer of request heads.
//
//     net::response_parser p;
//     std::size_t used = p.feed(bytes, [&](std::string_view piece) { sse.feed(piece, on_event); });   // pieces view `bytes`
//     if (p.now() == net::response_parser::state::failed) log(p.what());
//     if (peer_closed) p.eof();                            // ends a close-delimited body, or is `truncated`
//
//   feed() never takes a byte beyond the end of its response: what is left belongs to nobody (a fault of the server) or to the
//   next response. The result does not depend on how the bytes are cut. Memory: the object, the kept fields (at most 512 bytes
//   each) and the unfinished line of a head or chunk size, freed with the head; never a size that the peer claims.
//   Rules: RFC 9112. Tolerated with a warning: lines that end in LF alone, Transfer-Encoding in an HTTP/1.0 response.
//   Not tolerated: folded fields, bare CR, NUL, space before a colon, both lengths at once, codings other than chunked.
//   Thread safety: as any value. Nothing throws.
// ---- hotpath/net/http.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct http_limits {
  std::uint32_t head = 64 * 1024;   // bytes of the head, 1xx heads before it included; of the trailers once more
  std::uint32_t fields = 200;       // fields of a head, and of the trailers
  std::uint32_t chunk_line = 1024;  // bytes of one chunk-size line with its extensions
  std::uint64_t body = 0;           // decoded bytes, 0: no limit
};

enum class http_fault : std::uint8_t { none, bad_framing, ambiguous_framing, over_limit, truncated };
inline constexpr std::string_view http_fault_names[] = {"none", "bad_framing", "ambiguous_framing", "over_limit", "truncated"};
constexpr std::string_view name_of(http_fault f) { return http_fault_names[static_cast<std::size_t>(f)]; }

// Field names and media types have no case.
constexpr bool iequals(std::string_view a, std::string_view b) noexcept { return text::equal_ignoring_case(a, b); }

// What a caller needs of a head. The views live in the parser: until its reset, move or end. Empty: the field was not sent.
// Of a repeated field the first one is kept, and at most 512 bytes of it.
struct response_head {
  int status = 0;         // 0: no status line yet
  int minor_version = 1;  // of HTTP/1.x
  bool keep_alive = false;  // the server lets us send another request on this connection
  std::string_view content_type, content_encoding, server, location, retry_after, request_id;

  // content_type without its parameters, as sent: compare with iequals.
  std::string_view media_type() const noexcept;
  bool event_stream() const noexcept { return iequals(media_type(), "text/event-stream"); }
};

class response_parser {
 public:
  enum class state : std::uint8_t { head, body, done, failed };

  explicit response_parser(const http_limits& limits = {}) : limits_(limits) {}

  // Ready for the next response; `head_request`: it answers a HEAD and has no body whatever its fields say.
  void reset(bool head_request = false);

  // Takes bytes up to the end of the response and calls body(std::string_view) with each decoded piece, a view into `in`.
  // Returns how many bytes were taken: fewer than given only if the response is done or has failed.
  template <class Body>
  std::size_t feed(std::string_view in, Body&& body) {
    std::size_t used = 0;
    while (used < in.size() && (state_ == state::head || state_ == state::body)) {
      std::string_view piece;
      used += step(in.substr(used), piece);
      if (!piece.empty()) body(piece);
    }
    return used;
  }

  // The peer has closed: a close-delimited body is done, any other unfinished response has failed as truncated.
  void eof();

  state now() const { return state_; }
  bool head_complete() const { return state_ == state::body || state_ == state::done || body_begun_; }
  bool any_bytes() const { return any_; }         // a kept-alive connection that closes before any byte was stale
  response_head head() const;
  bool reusable() const { return state_ == state::done && keep_alive_; }
  http_fault fault() const { return fault_; }
  std::string_view what() const { return what_; }  // one line, with the offending value; empty: no fault
  std::uint32_t warnings() const { return warnings_; }
  std::uint64_t body_bytes() const { return body_bytes_; }  // decoded, so far

 private:
  enum class phase : std::uint8_t { status_line, field, length_body, close_body, chunk_size, chunk_data, chunk_end, trailer };
  enum kept_field : std::uint8_t { content_type, content_encoding, server, location, retry_after, request_id, kept_count };
  struct extent { std::uint32_t at = 0, size = 0; };

  std::size_t step(std::string_view in, std::string_view& piece);
  bool take_line(std::string_view in, std::size_t& used, std::string_view& line);
  std::size_t head_line(std::string_view in);
  std::size_t chunk_size_line(std::string_view in);
  std::size_t chunk_crlf(std::string_view in);
  std::size_t body_piece(std::string_view in, std::string_view& piece);
  void status_line(std::string_view line);
  void field_line(std::string_view line);
  void interpret(std::string_view name, std::string_view value);
  void content_length(std::string_view value);
  void transfer_encoding(std::string_view value);
  void head_done();
  void fail(http_fault f, std::string_view what, std::string_view shown = {});

  http_limits limits_;
  state state_ = state::head;
  phase phase_ = phase::status_line;
  http_fault fault_ = http_fault::none;
  bool head_request_ = false, any_ = false, body_begun_ = false, keep_alive_ = false, lf_only_ = false, cr_seen_ = false;
  bool close_ = false, keep_ = false, has_length_ = false, coded_ = false, chunked_ = false, other_coding_ = false;
  std::uint8_t minor_ = 1;
  std::uint16_t status_ = 0;
  std::uint32_t warnings_ = 0, head_bytes_ = 0, field_count_ = 0;
  std::uint64_t length_ = 0;     // claimed length; then what is left of the body or of the chunk
  std::uint64_t body_bytes_ = 0;
  extent kept_at_[kept_count];
  std::string kept_;             // values of the kept fields, one after another
  std::string line_;             // unfinished line of a head, trailer or chunk size
  std::string what_;
};

struct header {
  std::string name, value;
};

// Is it safe to send? Names are tokens; values have no CR, LF or NUL and no space at either end. The fields that frame the
// message (Content-Length, Transfer-Encoding, Connection, Upgrade, Expect) are refused. Messages never show the value.
result<void> check_header(std::string_view name, std::string_view value);
// "Name: value", as typed on a command line.
result<header> parse_header(std::string_view line);

// Appends a whole request: head, Content-Length where there is a body or the method asks for one, body. A Host among
// `headers` replaces `host`. Errors (a bad header, a target with spaces or control characters) leave `out` as it was.
result<void> write_request(std::string& out, std::string_view method, std::string_view target, std::string_view host,
                           std::span<const header> headers, std::string_view body = {});

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/http-inl.hpp
// hotpath/net/http-inl.hpp - bodies of net/http.hpp
// ---- hotpath/net/http-inl.hpp

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
// RFC 9110 5.6.2: what a method or field name may be made of.
constexpr bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}
constexpr bool is_token(std::string_view s) {
  for (char c : s) if (!is_token_char(c)) return false;
  return !s.empty();
}
constexpr std::string_view trim_blanks(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  return s;
}
constexpr bool has_line_breaker(std::string_view s) {
  for (char c : s) if (c == '\r' || c == '\n' || c == '\0') return true;
  return false;
}
// The first element of a comma-separated list, trimmed; `list` loses it.
constexpr std::string_view next_element(std::string_view& list) {
  const std::size_t comma = list.find(',');
  const std::string_view element = list.substr(0, comma);
  list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
  return trim_blanks(element);
}
}  // namespace detail

HOTPATH_FN std::string_view response_head::media_type() const noexcept {
  return detail::trim_blanks(content_type.substr(0, content_type.find(';')));
}

HOTPATH_FN void response_parser::reset(bool head_request) {
  const http_limits limits = limits_;
  std::string kept = std::move(kept_);
  kept.clear();
  *this = response_parser(limits);
  kept_ = std::move(kept);
  head_request_ = head_request;
}

HOTPATH_FN response_head response_parser::head() const {
  const auto view = [&](kept_field f) { return std::string_view(kept_).substr(kept_at_[f].at, kept_at_[f].size); };
  response_head h;
  h.status = status_;
  h.minor_version = minor_;
  h.keep_alive = keep_alive_;
  h.content_type = view(content_type);
  h.content_encoding = view(content_encoding);
  h.server = view(server);
  h.location = view(location);
  h.retry_after = view(retry_after);
  h.request_id = view(request_id);
  return h;
}

HOTPATH_FN void response_parser::fail(http_fault f, std::string_view what, std::string_view shown) {
  what_.assign(what);
  if (!shown.empty()) what_ += ": \"" + text::printable(shown, 40) + "\"";
  fault_ = f;
  state_ = state::failed;
  keep_alive_ = false;
  std::string().swap(line_);
}

HOTPATH_FN std::size_t response_parser::step(std::string_view in, std::string_view& piece) {
  any_ = true;
  switch (phase_) {
    case phase::status_line:
    case phase::field:
    case phase::trailer: return head_line(in);
    case phase::length_body:
    case phase::close_body:
    case phase::chunk_data: return body_piece(in, piece);
    case phase::chunk_size: return chunk_size_line(in);
    case phase::chunk_end: return chunk_crlf(in);
  }
  return 0;
}

HOTPATH_FN std::size_t response_parser::body_piece(std::string_view in, std::string_view& piece) {
  std::size_t n = in.size();
  if (phase_ != phase::close_body && length_ < n) n = static_cast<std::size_t>(length_);
  if (limits_.body != 0 && n > limits_.body - body_bytes_) {
    n = static_cast<std::size_t>(limits_.body - body_bytes_);  // up to the limit, as with any cut of the bytes
    if (n == 0) {
      fail(http_fault::over_limit, "the body is larger than " + std::to_string(limits_.body) + " bytes");
      return 0;
    }
  }
  piece = in.substr(0, n);
  body_bytes_ += n;
  if (phase_ != phase::close_body) {
    length_ -= n;
    if (length_ == 0) {
      if (phase_ == phase::chunk_data) phase_ = phase::chunk_end;
      else state_ = state::done;
    }
  }
  return n;
}

// One line without its end. False: it is not complete yet (its bytes are in line_), or too long for `limit`'s owner.
HOTPATH_FN bool response_parser::take_line(std::string_view in, std::size_t& used, std::string_view& line) {
  const void* const lf = std::memchr(in.data(), '\n', in.size());
  used = lf != nullptr ? static_cast<std::size_t>(static_cast<const char*>(lf) - in.data()) + 1 : in.size();
  const bool chunk = phase_ == phase::chunk_size;
  const std::size_t room = chunk ? limits_.chunk_line - (std::min<std::size_t>)(line_.size(), limits_.chunk_line)
                                 : limits_.head - head_bytes_;
  if (used > room) {
    used = in.size();
    if (chunk) fail(http_fault::over_limit, "a chunk-size line is longer than " + std::to_string(limits_.chunk_line) + " bytes");
    else fail(http_fault::over_limit, (phase_ == phase::trailer ? "the trailers are larger than " : "the response's head is larger than ") +
                                          std::to_string(limits_.head) + " bytes");
    return false;
  }
  if (!chunk) head_bytes_ += static_cast<std::uint32_t>(used);
  if (lf != nullptr && line_.empty()) {
    line = in.substr(0, used);
  } else {
    line_.append(in.substr(0, used));
    if (lf == nullptr) return false;
    line = line_;
  }
  line.remove_suffix(1);
  if (!line.empty() && line.back() == '\r') {
    line.remove_suffix(1);
  } else if (!lf_only_) {
    lf_only_ = true;  // counted once per response
    ++warnings_;
  }
  if (line.find('\r') != std::string_view::npos || line.find('\0') != std::string_view::npos) {
    fail(http_fault::bad_framing, "a bare CR or a NUL in a line", line);
    return false;
  }
  return true;
}

HOTPATH_FN std::size_t response_parser::head_line(std::string_view in) {
  // A peer that does not speak HTTP/1 is known by its first bytes; it may never send a line end.
  constexpr std::string_view start = "HTTP/1.";
  if (phase_ == phase::status_line && line_.size() < start.size()) {
    const std::string_view want = start.substr(line_.size());
    const std::size_t n = (std::min)(want.size(), in.size());
    if (in.substr(0, n) != want.substr(0, n)) {
      const std::string seen = line_ + std::string(in.substr(0, 40));
      // A TLS record: alert or handshake, protocol version 3.x (RFC 8446 5.1).
      const bool tls = seen.size() >= 2 && (seen[0] == '\x15' || seen[0] == '\x16') && seen[1] == '\x03';
      fail(http_fault::bad_framing, tls ? "the server speaks TLS (https), not HTTP" : "no HTTP/1.x status line", seen);
      return in.size();
    }
  }
  std::size_t used = 0;
  std::string_view line;
  if (!take_line(in, used, line)) return used;
  if (phase_ == phase::status_line) {
    status_line(line);
  } else if (!line.empty()) {
    field_line(line);
  } else if (phase_ == phase::trailer) {
    state_ = state::done;
  } else {
    head_done();
  }
  line_.clear();
  // The head's buffer is not kept for the hours that a stream may last.
  if (state_ != state::head && phase_ != phase::trailer) std::string().swap(line_);
  return used;
}

HOTPATH_FN void response_parser::status_line(std::string_view line) {
  // "HTTP/1.1 200 OK"; the reason may be missing, with or without its space.
  const auto digit = [&](std::size_t i) { return i < line.size() && line[i] >= '0' && line[i] <= '9'; };
  if (!digit(7) || line.size() < 12 || line[8] != ' ' || !digit(9) || !digit(10) || !digit(11) || line[9] == '0' ||
      (line.size() > 12 && line[12] != ' ')) {
    return fail(http_fault::bad_framing, "not a status line", line);
  }
  minor_ = static_cast<std::uint8_t>(line[7] - '0');
  status_ = static_cast<std::uint16_t>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  phase_ = phase::field;
}

HOTPATH_FN void response_parser::field_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return fail(http_fault::bad_framing, "a folded header field", line);
  if (++field_count_ > limits_.fields) {
    return fail(http_fault::over_limit, "more than " + std::to_string(limits_.fields) + " header fields");
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !detail::is_token(line.substr(0, colon))) {
    return fail(http_fault::bad_framing, phase_ == phase::trailer ? "not a trailer field" : "not a header field", line);
  }
  if (phase_ == phase::field) interpret(line.substr(0, colon), detail::trim_blanks(line.substr(colon + 1)));
}

HOTPATH_FN void response_parser::interpret(std::string_view name, std::string_view value) {
  if (status_ < 200) return;  // nothing in an interim response concerns us
  constexpr std::string_view kept_names[] = {"content-type", "content-encoding", "server", "location", "retry-after", "x-request-id"};
  static_assert(sizeof(kept_names) / sizeof(kept_names[0]) == kept_count);
  for (std::size_t i = 0; i < kept_count; ++i) {
    if (!iequals(name, kept_names[i])) continue;
    if (kept_at_[i].size == 0) {
      const std::string_view part = value.substr(0, 512);
      kept_at_[i] = {static_cast<std::uint32_t>(kept_.size()), static_cast<std::uint32_t>(part.size())};
      kept_ += part;
    }
    return;
  }
  if (iequals(name, "content-length")) return content_length(value);
  if (iequals(name, "transfer-encoding")) return transfer_encoding(value);
  if (iequals(name, "connection")) {
    while (!value.empty()) {
      const std::string_view option = detail::next_element(value);
      close_ = close_ || iequals(option, "close");
      keep_ = keep_ || iequals(option, "keep-alive");
    }
  }
}

HOTPATH_FN void response_parser::content_length(std::string_view value) {
  std::string_view rest = value;
  do {  // "5, 5" is a repeated field that a proxy has joined
    const std::string_view number = detail::next_element(rest);
    std::uint64_t n = 0;
    bool ok = !number.empty() && !value.ends_with(',');
    for (char c : number) {
      const auto d = static_cast<std::uint64_t>(c - '0');
      ok = ok && c >= '0' && c <= '9' && n <= (static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) - d) / 10;
      if (!ok) break;
      n = n * 10 + d;
    }
    if (!ok) return fail(http_fault::bad_framing, "Content-Length is not a number from 0 to 2^63-1", value.empty() ? " " : value);
    if (has_length_ && n != length_) return fail(http_fault::bad_framing, "two different Content-Length values", value);
    has_length_ = true;
    length_ = n;
  } while (!rest.empty());
}

HOTPATH_FN void response_parser::transfer_encoding(std::string_view value) {
  coded_ = true;
  do {
    const std::string_view coding = detail::next_element(value);
    if (iequals(coding, "chunked") && !chunked_) chunked_ = true;
    else other_coding_ = other_coding_ || !coding.empty();
  } while (!value.empty());
}

HOTPATH_FN void response_parser::head_done() {
  if (status_ < 200) {
    if (status_ == 101) return fail(http_fault::bad_framing, "the server switched protocols (101), which was not asked for");
    phase_ = phase::status_line;
    field_count_ = 0;  // head_bytes_ goes on: an endless row of 1xx meets the limit
    return;
  }
  keep_alive_ = minor_ >= 1 ? !close_ : keep_ && !close_;
  body_begun_ = true;
  const bool no_body = head_request_ || status_ == 204 || status_ == 304;
  if (no_body) {
    state_ = state::done;
    return;
  }
  if (coded_ && has_length_) {
    return fail(http_fault::ambiguous_framing, "the response has both Content-Length and Transfer-Encoding");
  }
  if (coded_ && (other_coding_ || !chunked_)) {
    return fail(http_fault::bad_framing, "a Transfer-Encoding other than chunked");
  }
  state_ = state::body;
  if (coded_) {
    if (minor_ == 0) {  // RFC 9112 6.1: the framing may be a mistake of something in between; use it once
      ++warnings_;
      keep_alive_ = false;
    }
    phase_ = phase::chunk_size;
  } else if (has_length_) {
    if (limits_.body != 0 && length_ > limits_.body) {
      return fail(http_fault::over_limit, "Content-Length " + std::to_string(length_) + " is over the limit of " + std::to_string(limits_.body) + " bytes");
    }
    phase_ = phase::length_body;
    if (length_ == 0) state_ = state::done;
  } else {
    phase_ = phase::close_body;
    keep_alive_ = false;
  }
}

HOTPATH_FN std::size_t response_parser::chunk_size_line(std::string_view in) {
  std::size_t used = 0;
  std::string_view line;
  if (!take_line(in, used, line)) return used;
  std::uint64_t n = 0;
  std::size_t i = 0;
  for (; i < line.size(); ++i) {
    const char c = line[i];
    int d = -1;
    if (c >= '0' && c <= '9') d = c - '0';
    else if (c >= 'a' && c <= 'f') d = c - 'a' + 10;
    else if (c >= 'A' && c <= 'F') d = c - 'A' + 10;
    if (d < 0) break;
    if (n >> 59 != 0) {  // the next digit would reach 2^63
      fail(http_fault::bad_framing, "a chunk size of 2^63 or more", line);
      return used;
    }
    n = n << 4 | static_cast<std::uint64_t>(d);
  }
  const std::string_view rest = detail::trim_blanks(line.substr(i));
  if (i == 0 || (!rest.empty() && rest.front() != ';')) {
    fail(http_fault::bad_framing, "not a chunk size", line.empty() ? " " : line);
    return used;
  }
  line_.clear();
  length_ = n;
  phase_ = n != 0 ? phase::chunk_data : phase::trailer;
  if (n == 0) head_bytes_ = 0, field_count_ = 0;  // the trailers have a budget of their own
  return used;
}

HOTPATH_FN std::size_t response_parser::chunk_crlf(std::string_view in) {
  if (in.front() == '\r' && !cr_seen_) {
    cr_seen_ = true;
    if (in.size() == 1) return 1;
    in.remove_prefix(1);
    return 1 + chunk_crlf(in);
  }
  if (in.front() != '\n') {
    fail(http_fault::bad_framing, "a chunk is longer than its size says", in);
    return 1;
  }
  if (!cr_seen_ && !lf_only_) {
    lf_only_ = true;
    ++warnings_;
  }
  cr_seen_ = false;
  phase_ = phase::chunk_size;
  return 1;
}

HOTPATH_FN void response_parser::eof() {
  if (state_ == state::done || state_ == state::failed) return;
  if (phase_ == phase::close_body) {
    state_ = state::done;
    return;
  }
  if (!any_) return fail(http_fault::truncated, "the connection was closed before any byte of the response");
  if (state_ == state::head) return fail(http_fault::truncated, "the connection was closed inside the response's head");
  if (phase_ == phase::length_body) {
    return fail(http_fault::truncated, "the connection was closed after " + std::to_string(body_bytes_) + " of " +
                                           std::to_string(body_bytes_ + length_) + " bytes of the body");
  }
  fail(http_fault::truncated, "the connection was closed before the last chunk, after " + std::to_string(body_bytes_) + " bytes of the body");
}

HOTPATH_FN result<void> check_header(std::string_view name, std::string_view value) {
  if (!detail::is_token(name)) {
    if (name.empty()) return error{.code = errc::usage, .detail = "a header without a name"};
    return error{.code = errc::usage, .detail = "header name \"" + text::printable(name, 40) + "\" has a character that none may have"};
  }
  if (detail::has_line_breaker(value) || detail::trim_blanks(value).size() != value.size()) {
    return error{.code = errc::usage,
                 .detail = "the value of header " + std::string(name) + " has a CR, LF or NUL, or a blank at an end"};
  }
  for (std::string_view ours : {"content-length", "transfer-encoding", "connection", "upgrade", "expect"}) {
    if (iequals(name, ours)) return error{.code = errc::usage, .detail = "header " + std::string(name) + " is set by the client itself"};
  }
  return {};
}

HOTPATH_FN result<header> parse_header(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) {  // the line is not shown: it may be a key on its own
    return error{.code = errc::usage, .detail = "a header without a colon", .hint = "write it as \"Name: value\""};
  }
  header h{std::string(line.substr(0, colon)), std::string(detail::trim_blanks(line.substr(colon + 1)))};
  if (auto ok = check_header(h.name, h.value); !ok) return ok.error();
  return h;
}

HOTPATH_FN result<void> write_request(std::string& out, std::string_view method, std::string_view target, std::string_view host,
                                      std::span<const header> headers, std::string_view body) {
  if (!detail::is_token(method)) return error{.code = errc::usage, .detail = "the request's method is not a token"};
  const auto visible = [](std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  };
  if (!visible(target) || !visible(host)) {
    return error{.code = errc::usage, .detail = "the request's target or host has a space, a control character or a non-ASCII byte",
                 .hint = "percent-encode it"};
  }
  bool own_host = false;
  std::size_t need = method.size() + target.size() + host.size() + body.size() + 64;
  for (const header& h : headers) {
    if (auto ok = check_header(h.name, h.value); !ok) return ok;
    own_host = own_host || iequals(h.name, "host");
    need += h.name.size() + h.value.size() + 4;
  }
  out.reserve(out.size() + need);
  out.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
  if (!own_host) out.append("Host: ").append(host).append("\r\n");
  for (const header& h : headers) out.append(h.name).append(": ").append(h.value).append("\r\n");
  if (!body.empty() || method == "POST" || method == "PUT" || method == "PATCH") {
    out.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  }
  out.append("\r\n").append(body);
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/tcp.hpp
// hotpath/net/tcp.hpp - the plain transport: non-blocking TCP and unix sockets with kernel receive stamps.
//   A transport is a type that the client is built on; TLS is another one. It never blocks and never throws.
//
//     auto where = net::resolve(url);                       // result<vector<address>>, once, before the run
//     net::tcp s; net::io r = s.connect(where->front());    // r.again: wait until writable, then establish()
// ---- hotpath/net/url.hpp
// hotpath/net/url.hpp - the address of a server: http://host:port/base, or unix:/path/of/socket:/base.
//
//     result<net::url> u = net::parse_url("http://user:pw@[::1]:8000/llm/v1");
//     u->display();                    // "http://[::1]:8000/llm": fit for reports, no credentials, no query
//     u->target("/v1/completions");    // "/llm/v1/completions": a base that ends in /v1 never doubles it
//
//   Accepted besides: no scheme at all (http is meant), and the full address of an endpoint (…/v1/chat/completions), which is
//   cut back to its base and remembered in `api`. Errors never show what stands before the '@'.
// ---- hotpath/net/url.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct url {
  std::string host;           // lower case; IPv6 without brackets; empty: a unix socket
  std::uint16_t port = 80;
  std::string socket_path;    // of a unix socket; empty: TCP
  std::string base;           // "" or "/llm": no slash at its end, no /v1
  std::string query;          // without '?', sent with every target; may hold a key, never shown
  std::string api;            // "completions" or "chat" if the address named one of them, else empty
  std::string user_info;      // secret: "user:password", percent-decoded; empty: none

  bool is_unix() const { return !socket_path.empty(); }
  bool ipv6() const { return host.find(':') != std::string::npos; }
  std::string authority() const;                          // for the Host field: "host", "host:8000", "[::1]:8000"; unix: "localhost"
  std::string display() const;                            // for people and files
  std::string target(std::string_view path) const;        // base + path + query; path begins with '/'
  std::string basic_authorization() const;                // secret: value of the Authorization field, empty without user_info
};

// usage: not an address, with what is wrong with it; unsupported: https, or a scheme that nobody speaks here.
result<url> parse_url(std::string_view text);

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/url-inl.hpp
// hotpath/net/url-inl.hpp - bodies of net/url.hpp
// ---- hotpath/net/url-inl.hpp

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

inline bool percent_decode(std::string_view in, std::string& out) {
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (in[i] != '%') {
      out += in[i];
      continue;
    }
    if (i + 2 >= in.size() || hex_digit(in[i + 1]) < 0 || hex_digit(in[i + 2]) < 0) return false;
    out += static_cast<char>(hex_digit(in[i + 1]) * 16 + hex_digit(in[i + 2]));
    i += 2;
  }
  return true;
}

// The address as it may be shown: nothing before the last '@', no query, at most 200 bytes, nothing unprintable.
inline std::string without_secrets(std::string_view text) {
  const std::size_t scheme = text.find("://");
  std::string out(scheme == std::string_view::npos ? std::string_view() : text.substr(0, scheme + 3));
  std::string_view rest = text.substr(out.size());
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    out += "***@";
    rest = rest.substr(at + 1);
  }
  rest = rest.substr(0, rest.find_first_of("?#"));
  out += rest.substr(0, 200);
  for (char& c : out) if (static_cast<unsigned char>(c) < 0x20 || c == '\x7f') c = '?';
  return out;
}

inline error bad_url(std::string_view text, std::string detail, std::string hint = "want http://HOST:PORT or unix:PATH") {
  return {.code = errc::usage, .detail = std::move(detail), .source = without_secrets(text), .hint = std::move(hint)};
}

// "/llm/v1/chat/completions/" -> base "/llm", api "chat".
inline void split_base(std::string_view path, url& u) {
  const auto ends_with = [&](std::string_view tail) {
    if (!path.ends_with(tail)) return false;
    path.remove_suffix(tail.size());
    return true;
  };
  while (path.ends_with('/')) path.remove_suffix(1);
  if (ends_with("/v1/chat/completions")) u.api = "chat";
  else if (ends_with("/v1/completions")) u.api = "completions";
  else ends_with("/v1");
  while (path.ends_with('/')) path.remove_suffix(1);
  u.base = path;
}

inline result<url> parse_unix(std::string_view text, std::string_view rest) {
  url u;
  if (rest.starts_with("//")) rest.remove_prefix(2);
  const std::size_t base = rest.rfind(":/");  // the last one: a socket's name may hold a colon
  if (base != std::string_view::npos && base != 0) {
    split_base(rest.substr(base + 1), u);
    rest = rest.substr(0, base);
  }
  if (rest.empty()) return bad_url(text, "no path after unix:");
  if (rest.size() >= sizeof(sockaddr_un::sun_path)) {
    return bad_url(text, "the socket's path has " + std::to_string(rest.size()) + " bytes, the system takes " +
                             std::to_string(sizeof(sockaddr_un::sun_path) - 1), "use a shorter path");
  }
  u.socket_path = rest;
  return u;
}

inline result<void> parse_host(std::string_view text, std::string_view& rest, url& u) {
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_url(text, "'[' without ']'");
    const std::string_view inside = rest.substr(1, close - 1);
    const std::size_t zone = inside.find('%');
    std::string address(inside.substr(0, zone));
    in6_addr parsed;
    if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return bad_url(text, "not an IPv6 address between the brackets");
    if (zone != std::string_view::npos) {  // RFC 6874: written %25eth0, but %eth0 is what people type
      std::string_view name = inside.substr(zone + 1);
      if (name.starts_with("25") && name.size() > 2) name.remove_prefix(2);
      address.append("%").append(name);
    }
    u.host = std::move(address);
    rest = rest.substr(close + 1);
    return {};
  }
  const std::size_t end = rest.find(':');
  if (end != rest.rfind(':')) return bad_url(text, "more than one colon in the host", "write an IPv6 address as [::1]");
  for (char c : rest.substr(0, end)) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool fits = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    if (!fits) {
      return static_cast<unsigned char>(c) >= 0x80 ? bad_url(text, "the host has non-ASCII characters", "write it in its xn-- form")
                                                   : bad_url(text, std::string("the host has a '") + c + "'");
    }
    u.host += upper ? static_cast<char>(c + 32) : c;
  }
  if (u.host.empty()) return bad_url(text, "no host");
  if (u.host.size() > 253) return bad_url(text, "the host is longer than 253 characters");
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
  return {};
}
}  // namespace detail

HOTPATH_FN result<url> parse_url(std::string_view text) {
  using detail::bad_url;
  for (char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') return bad_url(text, "a blank or control character", "percent-encode it");
  }
  if (text.empty()) return bad_url("the server's address", "empty");
  if (text.starts_with("unix:")) return detail::parse_unix(text, text.substr(5));
  std::string_view rest = text;
  if (const std::size_t scheme = text.find("://"); scheme != std::string_view::npos) {
    std::string name(text.substr(0, scheme));
    for (char& c : name) if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    if (name == "https") {
      return error{.code = errc::unsupported, .detail = "https needs a build of hotpath with TLS, this one has none",
                   .source = detail::without_secrets(text), .hint = "use http://, or a proxy on this machine that adds TLS"};
    }
    if (name != "http") {
      return error{.code = errc::unsupported, .detail = "not a scheme that hotpath speaks", .source = detail::without_secrets(text),
                   .hint = "want http://HOST:PORT or unix:PATH"};
    }
    rest = text.substr(scheme + 3);
  }
  // A raw '/' or '?' in a password would make the rest of it part of a path, and shown.
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos && rest.find_first_of("/?#") < at) {
    return bad_url(text, "an '@' after the first '/', '?' or '#'", "percent-encode it (%40), and '/', '?', '#' in a password");
  }
  url u;
  if (rest.find('#') != std::string_view::npos) return bad_url(text, "a '#': the part after it never reaches a server");
  if (const std::size_t q = rest.find('?'); q != std::string_view::npos) {
    u.query = rest.substr(q + 1);
    rest = rest.substr(0, q);
  }
  if (const std::size_t slash = rest.find('/'); slash != std::string_view::npos) {
    detail::split_base(rest.substr(slash), u);
    rest = rest.substr(0, slash);
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    if (!detail::percent_decode(rest.substr(0, at), u.user_info)) return bad_url(text, "a broken %-sequence before the '@'");
    rest = rest.substr(at + 1);
  }
  if (auto ok = detail::parse_host(text, rest, u); !ok) return ok.error();
  if (!rest.empty() && rest.front() != ':') return bad_url(text, "something between the host and its port");
  if (rest.size() > 1) {
    unsigned port = 0;
    for (char c : rest.substr(1)) {
      if (c < '0' || c > '9' || port > 65535) {
        port = 65536;
        break;
      }
      port = port * 10 + static_cast<unsigned>(c - '0');
    }
    if (port < 1 || port > 65535) return bad_url(text, "the port is \"" + std::string(rest.substr(1, 20)) + "\", want 1 to 65535");
    u.port = static_cast<std::uint16_t>(port);
  }
  for (const std::string* part : {&u.base, &u.query}) {
    for (char c : *part) {
      if (static_cast<unsigned char>(c) >= 0x80) return bad_url(text, "non-ASCII characters in the path", "percent-encode them");
    }
  }
  return u;
}

HOTPATH_FN std::string url::authority() const {
  if (is_unix()) return "localhost";
  // A zone is of this machine only: it is never sent.
  std::string out = ipv6() ? "[" + host.substr(0, host.find('%')) + "]" : host;
  if (port != 80) out += ":" + std::to_string(port);
  return out;
}

HOTPATH_FN std::string url::display() const {
  if (is_unix()) return base.empty() ? "unix:" + socket_path : "unix:" + socket_path + ":" + base;
  return "http://" + (ipv6() ? "[" + host + "]" : host) + ":" + std::to_string(port) + base;
}

HOTPATH_FN std::string url::target(std::string_view path) const {
  std::string out = base;
  out += path;
  if (!query.empty()) out += "?" + query;
  return out;
}

HOTPATH_FN std::string url::basic_authorization() const {
  if (user_info.empty()) return {};
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out = "Basic ";
  for (std::size_t i = 0; i < user_info.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (i + k < user_info.size() ? static_cast<unsigned char>(user_info[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += i + k > user_info.size() ? '=' : digits[bits >> (18 - 6 * k) & 63];
  }
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/tcp.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;  // "127.0.0.1:8000", "[::1]:8000", "unix:/run/x.sock"
  int family() const { return storage.ss_family; }
};

// All addresses of the URL's host in the order of getaddrinfo. Blocks: call it before the run, once.
// Errors: not_found (no such host, or a unix path too long).
result<std::vector<address>> resolve(const url& where);

// What one system call did. Exactly one of: bytes moved (or connected), again, closed (orderly end), error (an errno).
struct io {
  std::size_t bytes = 0;
  bool again = false;
  bool closed = false;
  int error = 0;
  bool ok() const { return !again && !closed && error == 0; }
};

template <class T>
concept transport = std::movable<T> && requires(T t, const address& to, std::span<char> in, std::string_view out, nanoseconds& arrived) {
  { t.connect(to) } -> std::same_as<io>;             // again: in progress
  { t.establish() } -> std::same_as<io>;             // after writability; again: not yet (a handshake)
  { t.receive(in, arrived) } -> std::same_as<io>;    // arrived: CLOCK_REALTIME stamp of the last segment read; 0 = no stamp
  { t.send(out) } -> std::same_as<io>;
  { t.descriptor() } -> std::same_as<int>;
  { t.close() } -> std::same_as<void>;
};

class tcp {
 public:
  tcp() = default;
  tcp(tcp&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  tcp& operator=(tcp&& o) noexcept {
    if (this != &o) { close(); fd_ = std::exchange(o.fd_, -1); }
    return *this;
  }
  ~tcp() { close(); }

  io connect(const address& to) noexcept;
  io establish() noexcept;
  io receive(std::span<char> in, nanoseconds& arrived) noexcept;
  io send(std::string_view out) noexcept;
  int descriptor() const noexcept { return fd_; }
  void close() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};
static_assert(transport<tcp>);

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/tcp-inl.hpp

namespace hotpath::inline HOTPATH_ABI::net {

HOTPATH_FN result<std::vector<address>> resolve(const url& where) {
  std::vector<address> all;
  if (where.is_unix()) {
    address a;
    auto* un = reinterpret_cast<sockaddr_un*>(&a.storage);
    if (where.socket_path.size() >= sizeof un->sun_path)
      return error{.code = errc::not_found, .detail = "unix socket path is longer than " + std::to_string(sizeof un->sun_path - 1) + " bytes",
                   .source = where.display()};
    un->sun_family = AF_UNIX;
    std::memcpy(un->sun_path, where.socket_path.data(), where.socket_path.size());
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + where.socket_path.size() + 1);
    a.text = "unix:" + where.socket_path;
    all.push_back(std::move(a));
    return all;
  }
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  // No AI_ADDRCONFIG: it hides ::1 and 127.0.0.1 on machines with only a loopback interface.
  const std::string port = std::to_string(where.port);
  if (const int e = ::getaddrinfo(where.host.c_str(), port.c_str(), &hints, &found); e != 0)
    return error{.code = errc::not_found, .detail = "host \"" + where.host + "\" is not known: " + ::gai_strerror(e), .source = where.display(),
                 .hint = "check the endpoint's name"};
  for (const addrinfo* i = found; i != nullptr; i = i->ai_next) {
    address a;
    std::memcpy(&a.storage, i->ai_addr, i->ai_addrlen);
    a.size = i->ai_addrlen;
    char host[NI_MAXHOST] = "";
    ::getnameinfo(i->ai_addr, i->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
    a.text = (i->ai_family == AF_INET6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
    all.push_back(std::move(a));
  }
  ::freeaddrinfo(found);
  return all;
}

HOTPATH_FN io tcp::connect(const address& to) noexcept {
  close();
  fd_ = ::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return {.error = errno};
  const int on = 1;
  if (to.family() != AF_UNIX) {
    const int idle_s = 30, every_s = 10, probes = 3;  // a peer that vanished without FIN is noticed after a minute
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(fd_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s);
    ::setsockopt(fd_, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    ::setsockopt(fd_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  }
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0) return {};
  // EAGAIN: a unix socket whose backlog is full; it does not become writable later, so it is an error of its own.
  if (errno == EINPROGRESS || errno == EINTR) return {.again = true};
  return {.error = errno};
}

HOTPATH_FN io tcp::establish() noexcept {
  int e = 0;
  socklen_t n = sizeof e;
  if (::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &e, &n) != 0) e = errno;
  if (e == 0) return {};
  return {.error = e};
}

HOTPATH_FN io tcp::receive(std::span<char> in, nanoseconds& arrived) noexcept {
  arrived = {};
  iovec into{in.data(), in.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec)) + 32];
  msghdr m{};
  m.msg_iov = &into;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n;
  do n = ::recvmsg(fd_, &m, 0);
  while (n < 0 && errno == EINTR);
  if (n == 0) return {.closed = true};
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {.again = true};
    return {.error = errno};
  }
  for (cmsghdr* c = CMSG_FIRSTHDR(&m); c != nullptr; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t;
    std::memcpy(&t, CMSG_DATA(c), sizeof t);
    arrived = nanoseconds{static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec};
  }
  return {.bytes = static_cast<std::size_t>(n)};
}

HOTPATH_FN io tcp::send(std::string_view out) noexcept {
  ssize_t n;
  do n = ::send(fd_, out.data(), out.size(), MSG_NOSIGNAL);
  while (n < 0 && errno == EINTR);
  if (n >= 0) return {.bytes = static_cast<std::size_t>(n)};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {.again = true};
  return {.error = errno};
}

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/fetch.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct fetch_options {
  nanoseconds total{5'000'000'000};   // from connect to the last byte, all addresses together
  std::uint64_t body_limit = 64u << 20;
  std::string_view method = "GET";    // or another that changes nothing and sends no body: OPTIONS
};

struct page {
  int status = 0;
  std::string content_type, server, body;
};

namespace detail {
// Waits for `events` on the descriptor until the deadline. False: the deadline passed.
inline bool wait_for(int descriptor, short events, nanoseconds deadline) {
  for (;;) {
    const nanoseconds left = deadline - monotonic_now();
    if (left <= nanoseconds{0}) return false;
    pollfd p{descriptor, events, 0};
    const int n = ::poll(&p, 1, static_cast<int>(left.ns / 1'000'000) + 1);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
  }
}
}  // namespace detail

template <transport Transport = tcp>
result<page> fetch(const url& where, std::string_view target, std::span<const header> headers = {}, const fetch_options& options = {}) {
  const std::string shown = where.display() + std::string(target);
  const auto fail = [&](errc code, std::string detail, std::string hint = {}) {
    return error{.code = code, .detail = std::move(detail), .source = shown, .hint = std::move(hint)};
  };
  auto addresses = resolve(where);
  if (!addresses) return addresses.error();
  std::vector<header> all{headers.begin(), headers.end()};
  all.push_back({"Accept", "*/*"});
  if (const std::string secret = where.basic_authorization(); !secret.empty()) all.push_back({"Authorization", secret});
  std::string wire;
  if (auto written = write_request(wire, options.method, where.target(target), where.authority(), all); !written) return written.error();

  const nanoseconds deadline = monotonic_now() + options.total;
  std::string why = "no address";
  for (const address& to : *addresses) {
    Transport socket;
    io r = socket.connect(to);
    if (r.again)
      do {
        if (!detail::wait_for(socket.descriptor(), POLLOUT, deadline)) return fail(errc::unreachable, "no connection to " + to.text + " in time", "is the server up?");
        r = socket.establish();
      } while (r.again);
    if (!r.ok()) {
      why = "cannot connect to " + to.text + ": " + std::strerror(r.error);
      continue;
    }
    for (std::size_t sent = 0; sent < wire.size();) {
      r = socket.send(std::string_view{wire}.substr(sent));
      if (r.again && !detail::wait_for(socket.descriptor(), POLLOUT, deadline)) return fail(errc::unreachable, "the server did not take the request in time");
      if (!r.again && !r.ok()) break;  // it may have answered all the same
      sent += r.bytes;
    }
    response_parser parser{{.body = options.body_limit}};
    page p;
    char buffer[16 << 10];
    while (parser.now() == response_parser::state::head || parser.now() == response_parser::state::body) {
      nanoseconds stamp;
      r = socket.receive(buffer, stamp);
      if (r.again) {
        if (!detail::wait_for(socket.descriptor(), POLLIN, deadline)) return fail(errc::unreachable, "no complete answer in time");
      } else if (r.closed) {
        parser.eof();
      } else if (!r.ok()) {
        return fail(errc::unreachable, std::string("the connection failed: ") + std::strerror(r.error));
      } else {
        parser.feed({buffer, r.bytes}, [&](std::string_view piece) { p.body += piece; });
      }
    }
    if (parser.now() == response_parser::state::failed)
      return fail(parser.fault() == http_fault::over_limit ? errc::over_limit : errc::malformed, std::string(parser.what()));
    const response_head head = parser.head();
    p.status = head.status;
    p.content_type = head.content_type;
    p.server = head.server;
    return p;
  }
  return fail(errc::unreachable, why, "is the server up, and is this its address?");
}

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/loop.hpp
// hotpath/net/loop.hpp - one epoll set: readiness, one wake-up call from other threads, waits to the nanosecond.
//   One loop per thread; only wake() may be called from another. Nothing allocates after add().
//
//     net::loop l; if (!l) return l.failure();
//     l.add(fd, token, net::readable | net::writable);
//     for (const net::ready& r : l.wait(deadline)) …      // CLOCK_MONOTONIC deadline; empty at the deadline and at wake()
// ---- hotpath/net/loop.hpp

namespace hotpath::inline HOTPATH_ABI::net {

inline constexpr std::uint32_t readable = EPOLLIN | EPOLLRDHUP;
inline constexpr std::uint32_t writable = EPOLLOUT;

struct ready {
  std::uint64_t token;
  bool in;   // bytes, an end, or an error to be read
  bool out;
};

class loop {
 public:
  loop() noexcept : epoll_(::epoll_create1(EPOLL_CLOEXEC)), bell_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (epoll_ >= 0 && bell_ >= 0 && control(EPOLL_CTL_ADD, bell_, bell_token, EPOLLIN)) return;
    errno_ = errno;
  }
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;
  ~loop() {
    if (bell_ >= 0) ::close(bell_);
    if (epoll_ >= 0) ::close(epoll_);
  }

  explicit operator bool() const noexcept { return errno_ == 0; }
  error failure() const { return {.code = errc::io, .detail = std::string("cannot make an event loop: ") + std::strerror(errno_), .hint = "raise the limit of open files (ulimit -n)"}; }

  bool add(int fd, std::uint64_t token, std::uint32_t interest) noexcept { return control(EPOLL_CTL_ADD, fd, token, interest); }
  bool change(int fd, std::uint64_t token, std::uint32_t interest) noexcept { return control(EPOLL_CTL_MOD, fd, token, interest); }
  // Closing a descriptor removes it too; this is for descriptors that stay open.
  bool remove(int fd) noexcept { return control(EPOLL_CTL_DEL, fd, 0, 0); }

  // Waits until something is ready, wake() is called, or the deadline has passed. The span lives until the next wait.
  std::span<const ready> wait(nanoseconds deadline) noexcept {
    const nanoseconds now = monotonic_now();
    nanoseconds left = deadline - now;
    if (left < nanoseconds{0}) left = nanoseconds{0};
    int n = -1;
    if (pwait2_) {
      const timespec t{static_cast<time_t>(left.ns / 1'000'000'000), static_cast<long>(left.ns % 1'000'000'000)};
      n = ::epoll_pwait2(epoll_, events_, capacity, &t, nullptr);
      if (n < 0 && (errno == ENOSYS || errno == EPERM)) pwait2_ = false;  // before Linux 5.11, or a filter that does not know it
    }
    if (!pwait2_) {
      const std::int64_t ms = (left.ns + 999'999) / 1'000'000;
      n = ::epoll_wait(epoll_, events_, capacity, static_cast<int>(ms > 60'000 ? 60'000 : ms));
    }
    std::size_t used = 0;
    for (int i = 0; i < n; ++i) {
      const std::uint32_t e = events_[i].events;
      if (events_[i].data.u64 == bell_token) {
        std::uint64_t rung;
        while (::read(bell_, &rung, sizeof rung) > 0) {}
        continue;
      }
      ready_[used++] = {events_[i].data.u64, (e & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0, (e & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0};
    }
    return {ready_, used};
  }

  // Ends the current or the next wait. Any thread.
  void wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(bell_, &one, sizeof one);
  }

 private:
  static constexpr int capacity = 256;
  static constexpr std::uint64_t bell_token = UINT64_MAX;
  bool control(int op, int fd, std::uint64_t token, std::uint32_t interest) noexcept {
    epoll_event e{};
    e.events = interest;
    e.data.u64 = token;
    return ::epoll_ctl(epoll_, op, fd, &e) == 0;
  }
  int epoll_, bell_, errno_ = 0;
  bool pwait2_ = true;
  epoll_event events_[capacity];
  ready ready_[capacity];
};

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/stamp.hpp
// hotpath/net/stamp.hpp - the kernel's receive stamps, moved from CLOCK_REALTIME to CLOCK_MONOTONIC.
//   SO_TIMESTAMPNS stamps a segment when the kernel receives it, on CLOCK_REALTIME, which may step. clock_bridge keeps the
//   offset between the clocks from bracketed pairs (read mono, real, mono: the middle belongs between the ends) and notices
//   steps: stamps read in the wake-up that first sees a step could lie on either side of it and are refused.
//   Clocks is a type so that a test can make time step; not thread-safe: one bridge per loop.
// ---- hotpath/net/stamp.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct system_clocks {
  static nanoseconds monotonic() noexcept { return monotonic_now(); }
  static nanoseconds realtime() noexcept { return realtime_now(); }
};

template <class Clocks = system_clocks>
class clock_bridge {
 public:
  clock_bridge() { measure(); }

  // Once per wake-up, after it; 40 ns. False: the wall clock stepped since the last call, refuse this wake-up's stamps.
  bool observe() noexcept {
    const nanoseconds mono = Clocks::monotonic();
    const nanoseconds off = Clocks::realtime() - mono;
    const nanoseconds moved = off > offset_ ? off - offset_ : offset_ - off;
    if (moved <= tolerance) {
      if (mono - measured_ > nanoseconds{1'000'000'000}) measure();
      return true;
    }
    // A preemption between the two reads looks like a step; a bracketed measurement does not.
    const nanoseconds before = offset_;
    measure();
    const nanoseconds really = offset_ > before ? offset_ - before : before - offset_;
    if (really <= tolerance) return true;
    ++steps_;
    return false;
  }

  // The stamp on CLOCK_MONOTONIC, at most `read_at` (a segment is not received after it was read).
  // Nothing when it lies further ahead of the read than the clocks' tolerance: it cannot be right.
  std::optional<nanoseconds> to_monotonic(nanoseconds realtime, nanoseconds read_at) const noexcept {
    const nanoseconds at = realtime - offset_;
    if (at > read_at + tolerance) return std::nullopt;
    return at > read_at ? read_at : at;
  }

  std::uint64_t steps() const noexcept { return steps_; }

  // NTP slews both clocks alike, so the offset moves only by steps; 50 us is above what bracketing leaves on a busy machine.
  static constexpr nanoseconds tolerance{50'000};

 private:
  void measure() noexcept {
    nanoseconds best{INT64_MAX};
    for (int i = 0; i < 5 && best > nanoseconds{200}; ++i) {
      const nanoseconds a = Clocks::monotonic();
      const nanoseconds real = Clocks::realtime();
      const nanoseconds b = Clocks::monotonic();
      if (b - a >= best) continue;
      best = b - a;
      offset_ = real - (a + (b - a) / 2);
      measured_ = b;
    }
  }
  nanoseconds offset_{}, measured_{};
  std::uint64_t steps_ = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/stamp_probe.hpp
// hotpath/net/stamp_probe.hpp - do the kernel's receive stamps work here? Asked of a connection of our own over the loopback.
//
//     auto p = net::probe_stamps();
//     if (p && p->stamped == p->reads) use(p->lag);
// ---- hotpath/net/stamp_probe.hpp

namespace hotpath::inline HOTPATH_ABI::net {

struct stamp_probe {
  std::uint32_t reads = 0, stamped = 0;  // reads that brought bytes; of these, with a stamp that makes sense
  nanoseconds lag{};                     // the shortest time from a stamp to the end of the read that brought it
};

// A few bytes from a listener on 127.0.0.1 to a net::tcp, as the client receives them. Blocks for a few milliseconds, at most a
// second. Errors: io (no socket, no loopback).
result<stamp_probe> probe_stamps();

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/net/stamp_probe-inl.hpp
// hotpath/net/stamp_probe-inl.hpp - bodies of net/stamp_probe.hpp
// ---- hotpath/net/stamp_probe-inl.hpp

namespace hotpath::inline HOTPATH_ABI::net {

namespace detail {
struct descriptor {
  int fd = -1;
  ~descriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace detail

HOTPATH_FN result<stamp_probe> probe_stamps() {
  const auto fail = [](const char* doing) { return error{.code = errc::io, .detail = std::string("cannot ") + doing + ": " + std::strerror(errno), .source = "127.0.0.1"}; };
  const nanoseconds deadline = monotonic_now() + nanoseconds{1'000'000'000};
  const auto ready = [&](int fd, short events) {
    const nanoseconds left = deadline - monotonic_now();
    pollfd p{fd, events, 0};
    return left > nanoseconds{} && ::poll(&p, 1, static_cast<int>(left.ns / 1'000'000) + 1) == 1;
  };
  const detail::descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_in a{};
  a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof a;
  if (listener.fd < 0 || ::bind(listener.fd, reinterpret_cast<const sockaddr*>(&a), size) != 0 || ::listen(listener.fd, 1) != 0 ||
      ::getsockname(listener.fd, reinterpret_cast<sockaddr*>(&a), &size) != 0)
    return fail("listen on the loopback");
  address to;
  std::memcpy(&to.storage, &a, sizeof a);
  to.size = sizeof a;
  tcp client;
  io r = client.connect(to);
  if (r.again && ready(client.descriptor(), POLLOUT)) r = client.establish();
  if (!r.ok()) return fail("connect over the loopback");
  if (!ready(listener.fd, POLLIN)) return fail("accept over the loopback");
  const detail::descriptor server{::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC)};
  if (server.fd < 0) return fail("accept over the loopback");

  stamp_probe out;
  clock_bridge<> clocks;
  for (int i = 0; i < 8; ++i) {
    if (::send(server.fd, "ping", 4, MSG_NOSIGNAL) != 4 || !ready(client.descriptor(), POLLIN)) break;
    char bytes[16];
    nanoseconds real;
    r = client.receive(bytes, real);
    const nanoseconds now = monotonic_now();
    const bool steady = clocks.observe();
    if (!r.ok()) break;
    ++out.reads;
    const auto at = real != nanoseconds{} && steady ? clocks.to_monotonic(real, now) : std::nullopt;
    if (!at) continue;
    ++out.stamped;
    if (out.stamped == 1 || now - *at < out.lag) out.lag = now - *at;
  }
  if (out.reads == 0) return fail("receive over the loopback");
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::net
// ---- hotpath/control.hpp
// hotpath/control.hpp - what surrounds a measurement: is this machine and that endpoint fit for one?
// ---- hotpath/control/doctor.hpp
// hotpath/control/doctor.hpp - what a machine and an endpoint offer for measuring, each gap with the next step.
//
//     model::diagnosis d;
//     control::examine_machine(d);
//     if (auto ok = control::examine_endpoint(d, "http://127.0.0.1:8000"); !ok) …   // the address makes no sense
//     if (d.limited()) return 5;
//
//   Nothing is changed anywhere. The endpoint is asked with GET and OPTIONS only: no token is generated, no profile started, nothing
//   reset; a row whose answer would need one of these says so and stays unknown. judge_answer() adds what one real request tells.
//   Files of /proc, /sys and /dev are read, libraries of the GPU loaded (dlopen; they stay loaded), one connection is made over the loopback.
//   Rows come in a fixed order; a row that makes no sense here is left out. No row holds a credential.
//   What routes and flags an engine has: vllm-project/vllm 0.33, sgl-project/sglang 0.5.23, NVIDIA/TensorRT-LLM 1.2, ggml-org/llama.cpp.
// ---- hotpath/model/diagnosis.hpp
// hotpath/model/diagnosis.hpp - what a machine and an endpoint offer for measuring, row by row, and what to do about each gap.
// ---- hotpath/model/diagnosis.hpp

namespace hotpath::inline HOTPATH_ABI::model {

enum class condition : std::uint8_t { pass, warn, fail, unknown };
inline constexpr std::string_view condition_names[] = {"PASS", "WARN", "FAIL", "unknown"};
constexpr std::string_view name_of(condition c) { return condition_names[static_cast<std::size_t>(c)]; }

struct symptom {
  std::string group, name;        // "clocks", "receive stamps"
  condition state = condition::unknown;
  bool limits = false;            // of a warning: a measurement made now lacks something, or cannot be trusted in full
  std::string value;              // what was found: "1,024 open files"
  std::string meaning;            // what follows from it
  std::string next;               // what to do; empty where nothing is to be done
};

struct diagnosis {
  std::string endpoint;           // without credentials; empty: only the machine was looked at
  std::vector<symptom> rows;

  // Something failed, or a warning limits what can be measured.
  bool limited() const {
    for (const symptom& s : rows)
      if (s.state == condition::fail || (s.state == condition::warn && s.limits)) return true;
    return false;
  }
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/control/doctor.hpp

namespace hotpath::inline HOTPATH_ABI::control {

using model::condition;
using model::diagnosis;
using model::symptom;

// A dependency that a build has or has not; the caller knows, because only a caller is built.
struct part {
  std::string name, gives;         // "SQLite", "stored runs"
  bool built = false;
  std::string next;                // how to have it
};

struct machine_options {
  std::string root = {};           // in front of /proc, /sys, /dev and /opt: for tests
  std::string path = {};           // where programs are looked for, as $PATH, which it is when empty
  bool (*loads)(const char* library) = nullptr;  // nullptr: dlopen
  std::vector<part> parts = {};
};
void examine_machine(diagnosis& d, const machine_options& options = {});

struct endpoint_options {
  std::vector<net::header> headers = {};   // may hold keys: they reach the server and no row
  std::string metrics_url = {};            // empty: /metrics of the endpoint, and /prometheus/metrics
  nanoseconds timeout{5'000'000'000};      // of each question; an endpoint that cannot be reached is asked once
};

// What one page of the endpoint answered. `error` empty: `status` and `body` hold.
struct answer {
  std::string error;
  int status = 0;
  std::string body;
  nanoseconds took{};
};
// Asks `method target`; the second is for OPTIONS.
using asker = answer (*)(void* context, std::string_view target, std::string_view method);

// Fills the rows of the endpoint from what `ask` brings. `metrics`: the same of the server of the metrics, where `pages` are tried in turn.
void examine_endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages);

template <net::transport Transport = net::tcp>
result<void> examine_endpoint(diagnosis& d, std::string_view endpoint, const endpoint_options& options = {}) {
  struct context {
    net::url server, metrics;
    const endpoint_options& options;
    bool same;                     // a key for the endpoint is for nobody else
    static answer fetch(const net::url& where, std::string_view target, std::string_view method, std::span<const net::header> headers, nanoseconds limit) {
      const nanoseconds begin = monotonic_now();
      auto page = net::fetch<Transport>(where, target, headers, {.total = limit, .body_limit = 16u << 20, .method = method});
      answer a;
      a.took = monotonic_now() - begin;
      if (!page) a.error = page.error().source + ": " + page.error().detail;
      else a.status = page->status, a.body = std::move(page->body);
      return a;
    }
  };
  auto server = net::parse_url(endpoint);
  if (!server) return server.error();
  auto metrics = options.metrics_url.empty() ? *server : net::parse_url(options.metrics_url);
  if (!metrics) return metrics.error();
  d.endpoint = server->display();
  const bool same = metrics->authority() == server->authority() && metrics->socket_path == server->socket_path;
  context c{*server, *metrics, options, same};
  static constexpr std::string_view usual[] = {"/metrics", "/prometheus/metrics"}, given[] = {""};
  examine_endpoint(
      d, [](void* p, std::string_view target, std::string_view method) {
        auto& x = *static_cast<context*>(p);
        return context::fetch(x.server, target, method, x.options.headers, x.options.timeout);
      },
      [](void* p, std::string_view target, std::string_view method) {
        auto& x = *static_cast<context*>(p);
        return context::fetch(x.metrics, target, method, x.same ? std::span<const net::header>{x.options.headers} : std::span<const net::header>{}, x.options.timeout);
      },
      &c, options.metrics_url.empty() || metrics->base.empty() ? std::span<const std::string_view>{usual} : std::span<const std::string_view>{given});
  return {};
}

// What one finished request of a few tokens tells: does it stream, is usage told, whose stamps are they. Takes the place of the row
// "streaming" that said it was not tried.
void judge_answer(diagnosis& d, const model::request& r);

}  // namespace hotpath::inline HOTPATH_ABI::control
// ---- hotpath/control/doctor-inl.hpp
// hotpath/control/doctor-inl.hpp - bodies of control/doctor.hpp
// ---- hotpath/metrics/page.hpp
// hotpath/metrics/page.hpp - one page of an engine's metrics, read as a model::scrape: by meaning, with each engine apart.
//
//     model::scrape s = metrics::read_page(body);                       // Prometheus text, OpenMetrics, either as one JSON string,
//     if (!s.ok()) log(s.error);                                        // or the iteration statistics of TensorRT-LLM
//     for (const model::metric_series& m : s.series) use(m.what, m.source, m.value);
//
//   What is recognized: the rows of metrics/names.inc, and rows of yours. The engine is told by the names on the page, never by
//   its address. Series of different models, engines and data-parallel ranks stay apart (`source`: all labels that tell them apart,
//   in a fixed order, so that it is the same in every scrape); tensor- and pipeline-parallel ranks repeat one figure: the lowest
//   rank is taken. Labels that split one figure (finished_reason, is_streaming ...) are summed.
//   A page that is none is `error`, with its first bytes; a page without a known name is a scrape without series. What is wrong
//   with a part of it is in `problems` and `lost`. Never throws; memory is bounded by the limits. Thread safety: none needed.
// ---- hotpath/metrics/names.hpp
// hotpath/metrics/names.hpp - what engines call what we mean: rows of names.inc, and how a row is read. Data, and rows may be added:
//
//     metrics::page_options o{.names = {{.engine = "mine", .name = "mine_queue_length", .what = model::engine_metric::waiting}}};
//
//   A name matches with or without ':' written as '_' (OpenMetrics pages do) and with or without the suffix _total. Types on the
//   page are not trusted: vllm:iteration_tokens_total is a histogram, llama.cpp's n_busy_slots_per_decode changed its type.
// ---- hotpath/metrics/names.hpp

namespace hotpath::inline HOTPATH_ABI::metrics {

// How the samples of a name (and of the other names of the same meaning and preference) make one figure of one engine.
enum class reading : std::uint8_t {
  sum,              // added up
  most,             // the greatest: shares of several pools
  label_value,      // the number in `label`: vllm:cache_config_info{num_gpu_blocks="4096"} 1
  one,              // 1: the name is there
  share_of_blocks,  // added up and divided by kv_blocks
};

struct name_row {
  std::string_view engine;              // one of engine_names, or one of your own
  std::string_view name;                // as on a page of Prometheus text
  model::engine_metric what{};
  std::uint8_t preference = 0;          // the lowest that a page has is taken; names of one preference are read together
  reading how = reading::sum;
  std::string_view label = {};          // only samples in which this label ...
  std::string_view match = {};          // ... has this value; a '*' in front: ends so
  std::string_view versions = {};       // of the engine, where known: "0.11-", "-0.10"
  bool conditional = false;             // not on every page: its absence is nothing to report
};

enum class label_role : std::uint8_t {
  part,       // splits one figure: summed over
  rank,       // repeats one figure: the lowest is taken
  breakdown,  // gauges: a total stands under "", its parts under other values; counters and histograms: as part
};
struct label_row {
  std::string_view name;
  label_role role = label_role::part;
};
// Labels that are not here tell engines apart.
inline constexpr label_row known_labels[] = {
    {"le"}, {"quantile"},
    {"finished_reason"}, {"reason"}, {"source"}, {"position"},                                                                     // vLLM
    {"tp_rank", label_role::rank}, {"pp_rank", label_role::rank}, {"moe_ep_rank", label_role::rank},                               // SGLang
    {"priority", label_role::breakdown}, {"is_streaming"}, {"mode"}, {"stage"}, {"cache_source"},
    {"http_code"}, {"cache_level"}, {"cache_tier"},                                                                                // TensorRT-LLM
    {"endpoint"}, {"request_type"}, {"status"}, {"error_type"}, {"migration_type"}, {"dynamo_namespace"}, {"dynamo_component"}, {"dynamo_endpoint"},
};
// Says nothing with these values: engine_type="unified" is every SGLang server that is not split, engine_type="trtllm" every TensorRT-LLM.
inline constexpr std::array<std::string_view, 2> plain_engine_types = {"unified", "trtllm"};

inline constexpr std::array<std::string_view, 6> engine_names = {"vllm", "sglang", "trtllm", "llamacpp", "dynamo", "generic"};
// How the names of an engine begin, ':' written as '_'. Of several on one page the first is the engine: what Dynamo adds to an
// engine's own page says less than the engine does.
struct engine_prefix {
  std::string_view engine, prefix;
};
inline constexpr engine_prefix engine_prefixes[] = {{"vllm", "vllm_"}, {"sglang", "sglang_"}, {"trtllm", "trtllm_"}, {"llamacpp", "llamacpp_"},
                                                    {"dynamo", "dynamo_frontend_"}, {"dynamo", "dynamo_component_"}};

namespace detail {
using enum model::engine_metric;
inline constexpr name_row builtin_rows[] = {
// ---- hotpath/metrics/names.inc
// Rows of metrics/names.hpp. {engine, name, meaning, preference, reading, label, match, versions, conditional}
// Sources: vllm-project/vllm vllm/v1/metrics/loggers.py (0.33.0, and a 0.10-era version); real pages of 0.28 and 0.32.0.
{"vllm", "vllm:num_requests_running", running},
{"vllm", "vllm:num_requests_waiting", waiting},
{"vllm", "vllm:kv_cache_usage_perc", kv_usage, 0, reading::sum, {}, {}, "0.9-"},                       // a share, in spite of its name
{"vllm", "vllm:gpu_cache_usage_perc", kv_usage, 1, reading::sum, {}, {}, "-0.32"},
{"vllm", "vllm:cache_config_info", kv_blocks, 0, reading::label_value, "num_gpu_blocks", {}, {}, true},
{"vllm", "vllm:cache_config_info", kv_block_tokens, 0, reading::label_value, "block_size", {}, {}, true},
{"vllm", "vllm:num_preemptions_total", preemptions},
{"vllm", "vllm:prompt_tokens_total", prompt_tokens},
{"vllm", "vllm:prompt_tokens_cached_total", cached_prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"vllm", "vllm:generation_tokens_total", generation_tokens},
{"vllm", "vllm:prefix_cache_queries_total", prefix_queries},                                           // tokens
{"vllm", "vllm:gpu_prefix_cache_queries_total", prefix_queries, 1, reading::sum, {}, {}, "-0.10"},
{"vllm", "vllm:prefix_cache_hits_total", prefix_hits},
{"vllm", "vllm:gpu_prefix_cache_hits_total", prefix_hits, 1, reading::sum, {}, {}, "-0.10"},
{"vllm", "vllm:request_success_total", requests_finished},
{"vllm", "vllm:spec_decode_num_drafts_total", spec_drafts, 0, reading::sum, {}, {}, {}, true},
{"vllm", "vllm:spec_decode_num_draft_tokens_total", spec_draft_tokens, 0, reading::sum, {}, {}, {}, true},
{"vllm", "vllm:spec_decode_num_accepted_tokens_total", spec_accepted_tokens, 0, reading::sum, {}, {}, {}, true},
{"vllm", "vllm:time_to_first_token_seconds", ttft},
{"vllm", "vllm:inter_token_latency_seconds", itl, 0, reading::sum, {}, {}, "0.11-"},
{"vllm", "vllm:time_per_output_token_seconds", itl, 1, reading::sum, {}, {}, "-0.10"},                 // per token too, in spite of its name
{"vllm", "vllm:request_time_per_output_token_seconds", tpot, 0, reading::sum, {}, {}, {}, true},
{"vllm", "vllm:e2e_request_latency_seconds", e2e},
{"vllm", "vllm:request_queue_time_seconds", queue},
{"vllm", "vllm:request_prefill_time_seconds", prefill},
{"vllm", "vllm:request_decode_time_seconds", decode},
{"vllm", "vllm:request_inference_time_seconds", inference},
{"vllm", "vllm:iteration_tokens_total", step_tokens},                                                  // a histogram, in spite of its name

// sgl-project/sglang srt/observability/metrics_collector.py (0.5.23); 0.4.x names: srt/metrics/collector.py.
{"sglang", "sglang:num_running_reqs", running},
{"sglang", "sglang:num_queue_reqs", waiting},
{"sglang", "sglang:num_grammar_queue_reqs", waiting, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:num_prefill_bootstrap_queue_reqs", waiting, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:num_prefill_inflight_queue_reqs", waiting, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:num_decode_prealloc_queue_reqs", waiting, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:num_decode_transfer_queue_reqs", waiting, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:token_usage", kv_usage, 0, reading::most},
{"sglang", "sglang:full_token_usage", kv_usage, 0, reading::most, {}, {}, {}, true},                   // hybrid models: the fullest pool
{"sglang", "sglang:swa_token_usage", kv_usage, 0, reading::most, {}, {}, {}, true},
{"sglang", "sglang:mamba_usage", kv_usage, 0, reading::most, {}, {}, {}, true},
{"sglang", "sglang:max_total_num_tokens", kv_blocks, 0, reading::sum, {}, {}, {}, true},               // its pool counts tokens: blocks of one
{"sglang", "sglang:max_total_num_tokens", kv_block_tokens, 0, reading::one, {}, {}, {}, true},
{"sglang", "sglang:num_retracted_requests_total", preemptions, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:prompt_tokens_total", prompt_tokens},
{"sglang", "sglang:cached_tokens_total", cached_prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:generation_tokens_total", generation_tokens},
{"sglang", "sglang:prefill_effective_tokens_total", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:prompt_tokens_total", prefix_queries, 1, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:prefill_effective_tokens_total", prefix_hits, 0, reading::sum, "mode", "*_hit", {}, true},
{"sglang", "sglang:cached_tokens_total", prefix_hits, 1, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:num_requests_total", requests_finished, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:time_to_first_token_seconds", ttft},
{"sglang", "sglang:inter_token_latency_seconds", itl},
{"sglang", "sglang:time_per_output_token_seconds", itl, 1, reading::sum, {}, {}, "-0.4"},
{"sglang", "sglang:request_time_per_output_token_seconds", tpot, 0, reading::sum, {}, {}, "0.5-", true},
{"sglang", "sglang:e2e_request_latency_seconds", e2e, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:queue_time_seconds", queue, 0, reading::sum, {}, {}, {}, true},
{"sglang", "sglang:per_stage_req_latency_seconds", prefill, 0, reading::sum, "stage", "prefill_forward", {}, true},
{"sglang", "sglang:per_stage_req_latency_seconds", decode, 0, reading::sum, "stage", "decode_forward", {}, true},

// NVIDIA/TensorRT-LLM tensorrt_llm/metrics/collector.py (2026). Older Dynamo wrote trtllm: for trtllm_.
{"trtllm", "trtllm_num_requests_running", running},
{"trtllm", "trtllm_num_requests_waiting", waiting},
{"trtllm", "trtllm_kv_cache_utilization", kv_usage},
{"trtllm", "trtllm_kv_cache_used_blocks", kv_usage, 1, reading::share_of_blocks, {}, {}, {}, true},
{"trtllm", "trtllm_kv_cache_max_blocks", kv_blocks, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_kv_cache_tokens_per_block", kv_block_tokens, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_prompt_tokens_total", prompt_tokens},
{"trtllm", "trtllm_prompt_cached_tokens_total", cached_prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_generation_tokens_total", generation_tokens},
{"trtllm", "trtllm_kv_cache_reused_blocks_total", prefix_queries, 0, reading::sum, {}, {}, {}, true},  // blocks
{"trtllm", "trtllm_kv_cache_missed_blocks_total", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_kv_cache_reused_blocks_total", prefix_hits, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_request_success_total", requests_finished},
{"trtllm", "trtllm_num_requests_completed_total", requests_finished, 1, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_spec_decode_num_draft_tokens_total", spec_draft_tokens, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_spec_decode_num_accepted_tokens_total", spec_accepted_tokens, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_time_to_first_token_seconds", ttft},
{"trtllm", "trtllm_time_per_output_token_seconds", tpot},                                              // one value per request
{"trtllm", "trtllm_e2e_request_latency_seconds", e2e},
{"trtllm", "trtllm_request_queue_time_seconds", queue},
{"trtllm", "trtllm_request_prefill_time_seconds", prefill, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_request_decode_time_seconds", decode, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "trtllm_request_inference_time_seconds", inference, 0, reading::sum, {}, {}, {}, true},
// Its GET /metrics: the members of the last element of the JSON list, by path. Cumulative are only the counts of blocks.
{"trtllm", "iteration_stats.numActiveRequests", running, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.numQueuedRequests", waiting, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.usedNumBlocks", kv_usage, 1, reading::share_of_blocks, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.maxNumBlocks", kv_blocks, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.tokensPerBlock", kv_block_tokens, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.reusedBlocks", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.missedBlocks", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"trtllm", "iteration_stats.kvCacheStats.reusedBlocks", prefix_hits, 0, reading::sum, {}, {}, {}, true},

// ggml-org/llama.cpp tools/server. prompt_tokens_total leaves cached tokens out ("excluding cached tokens", its help text of 2026);
// builds before August 2026 do not tell the cached ones.
{"llamacpp", "llamacpp:requests_processing", running},
{"llamacpp", "llamacpp:requests_deferred", waiting},
{"llamacpp", "llamacpp:kv_cache_usage_ratio", kv_usage, 0, reading::sum, {}, {}, "-2025", true},
{"llamacpp", "llamacpp:prompt_tokens_total", prompt_tokens},
{"llamacpp", "llamacpp:prompt_tokens_cached_total", prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:prompt_tokens_cached_total", cached_prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:prompt_tokens_cached_total", prefix_hits, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:prompt_tokens_total", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:prompt_tokens_cached_total", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:tokens_predicted_total", generation_tokens},
{"llamacpp", "llamacpp:spec_decode_num_drafts_total", spec_drafts, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:spec_decode_num_draft_tokens_total", spec_draft_tokens, 0, reading::sum, {}, {}, {}, true},
{"llamacpp", "llamacpp:spec_decode_num_accepted_tokens_total", spec_accepted_tokens, 0, reading::sum, {}, {}, {}, true},

// ai-dynamo/dynamo, frontend and worker (1.6.1; kvstats_*: older). Histogram sums are totals of tokens.
{"dynamo", "dynamo_frontend_inflight_requests", running},                                              // queued ones included
{"dynamo", "dynamo_frontend_stage_requests", waiting, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_queued_requests", waiting, 1, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_component_kvstats_gpu_cache_usage_percent", kv_usage, 0, reading::sum, {}, {}, {}, true},  // a share, in spite of its name
{"dynamo", "dynamo_frontend_worker_active_decode_blocks", kv_usage, 1, reading::share_of_blocks, {}, {}, {}, true},
{"dynamo", "dynamo_component_kvstats_total_blocks", kv_blocks, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_component_total_blocks", kv_blocks, 1, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_model_total_kv_blocks", kv_blocks, 2, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_model_kv_cache_block_size", kv_block_tokens, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_model_migration_total", preemptions, 0, reading::sum, {}, {}, {}, true},   // a request that began anew elsewhere
{"dynamo", "dynamo_frontend_input_sequence_tokens_sum", prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_cached_tokens_sum", cached_prompt_tokens, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_output_tokens_total", generation_tokens, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_output_sequence_tokens_sum", generation_tokens, 1, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_input_sequence_tokens_sum", prefix_queries, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_cached_tokens_sum", prefix_hits, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_requests_total", requests_finished, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_time_to_first_token_seconds", ttft, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_inter_token_latency_seconds", itl, 0, reading::sum, {}, {}, {}, true},
{"dynamo", "dynamo_frontend_request_duration_seconds", e2e, 0, reading::sum, {}, {}, {}, true},
// ---- hotpath/metrics/names.hpp
};
}  // namespace detail

}  // namespace hotpath::inline HOTPATH_ABI::metrics
// ---- hotpath/metrics/parse.hpp
// hotpath/metrics/parse.hpp - one pass over a page of metrics, without copies: Prometheus text 0.0.4 and 1.0.0, OpenMetrics 1.0.
//
//     struct {
//       bool wants(std::string_view name) { return name.starts_with("vllm:"); }       // optional: other samples are not looked at
//       void sample(const metrics::sample& s) { total += s.value; }                   // its views live as long as the page
//     } sink;
//     const metrics::parsed p = metrics::parse(page, sink);
//     if (p.lost) log(p.problem_line, p.problem);
//
//   A sink may also have type(name, metrics::family_type), help(name, text) and unit(name, text), all raw (see unescape()).
//   Tolerant: a line that is wrong is counted as malformed and skipped, one beyond a limit as over_limit; a last line without a
//   line end counts if it is right, else it is truncated. Accepted besides the formats: CRLF, a byte order mark, blanks before a
//   name, a comma after the last label, exemplars in Prometheus text, an OpenMetrics page that goes on after # EOF.
//   Malformed: a label name twice, a NUL byte, numbers in hexadecimal, with underscores, or beyond the
//   range of a double. Lines that `wants` refuses are not checked. Nothing is allocated; nothing throws. The formats: Prometheus
//   "Exposition formats", OpenMetrics 1.0.
//   Measured (tests/bench/metrics, g++ 12 -O3, one AMD EPYC core, a page like vLLM's of 7.7 MiB): 1.1 GB/s with every label and value
//   read, 3.9 GB/s where three names are wanted (prometheus_client 0.26 in the same run: 7.6 MB/s).
// ---- hotpath/metrics/parse.hpp

namespace hotpath::inline HOTPATH_ABI::metrics {

struct limits {
  std::uint64_t samples = 200'000;
  std::size_t body = 16u << 20;
  std::size_t label_value = 4096;   // bytes between the quotes, escapes not decoded; of names and exemplars too
  std::size_t labels = 128;         // of one sample, at most 128
};

enum class format : std::uint8_t { automatic, text, openmetrics };  // automatic: OpenMetrics if it ends in # EOF
enum class family_type : std::uint8_t { unknown, counter, gauge, histogram, gaugehistogram, summary, info, stateset };

// Raw: as written between the quotes. `escaped`: it has a backslash, and means something else than it says.
struct label {
  std::string_view name, value;
  bool name_escaped = false, escaped = false;
};

// What a quoted name, a label value or a help text means: \\ \" \n; other escapes stay as they are. `scratch` is used if there is any.
inline std::string_view unescape(std::string_view raw, std::string& scratch) {
  if (raw.find('\\') == std::string_view::npos) return raw;
  scratch.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char next = raw[i] == '\\' && i + 1 < raw.size() ? raw[i + 1] : '\0';
    if (next == '\\' || next == '"' || next == 'n') scratch += next == 'n' ? '\n' : next, ++i;
    else scratch += raw[i];
  }
  return scratch;
}

namespace detail {

enum : std::uint8_t { name_start = 1, name_rest = 2, label_start = 4, label_rest = 8 };
inline constexpr std::array<std::uint8_t, 256> classes = [] {
  std::array<std::uint8_t, 256> t{};
  for (unsigned c = 0; c < 256; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_', digit = c >= '0' && c <= '9';
    if (letter) t[c] = name_start | name_rest | label_start | label_rest;
    else if (digit) t[c] = name_rest | label_rest;
    else if (c == ':') t[c] = name_start | name_rest;
  }
  return t;
}();
constexpr bool is(char c, std::uint8_t what) { return (classes[static_cast<unsigned char>(c)] & what) != 0; }

inline const char* blanks(const char* p, const char* end) {
  while (p != end && (*p == ' ' || *p == '\t')) ++p;
  return p;
}
inline bool at_line_end(const char* p, const char* end) {
  return p == end || *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] == '\n'));
}
inline const char* next_line(const char* p, const char* end) {
  const void* n = p == end ? nullptr : std::memchr(p, '\n', static_cast<std::size_t>(end - p));
  return n == nullptr ? end : static_cast<const char*>(n) + 1;
}

// Behind the closing quote of what begins at p (behind the opening one), or null: there is none on this line.
inline const char* quoted(const char* p, const char* end, bool& escaped) {
  escaped = false;
  for (;;) {
    if constexpr (std::endian::native == std::endian::little) {
      // Eight bytes at once up to one that is a quote, a backslash or below 0x20 (Mycroft's test; the lowest hit is exact).
      constexpr std::uint64_t ones = 0x0101010101010101u, tops = ones * 0x80;
      while (end - p >= 8) {
        std::uint64_t w = 0;
        std::memcpy(&w, p, 8);
        const std::uint64_t quote = w ^ (ones * '"'), slash = w ^ (ones * '\\');
        const std::uint64_t hit = (((quote - ones) & ~quote) | ((slash - ones) & ~slash) | ((w - ones * 0x20) & ~w)) & tops;
        if (hit != 0) {
          p += std::countr_zero(hit) >> 3;
          break;
        }
        p += 8;
      }
    }
    if (p == end) return nullptr;
    const char c = *p++;
    if (c == '"') return p;
    if (c == '\\') {
      escaped = true;
      if (p == end || *p == '\n' || *p == '\0') return nullptr;
      ++p;
    } else if (c == '\n' || c == '\0') {
      return nullptr;
    }
  }
}

enum class fault : std::uint8_t {
  none, no_name, open_quote, empty_name, no_label_name, no_equals, no_quote, no_brace, label_twice, no_value, bad_value, bad_timestamp, bad_exemplar, rest,
  too_many_labels, too_long
};
constexpr const char* text_of(fault f) {
  constexpr const char* texts[] = {
      "", "a metric's name was expected", "a quote is not closed on this line", "an empty name", "a label's name was expected", "'=' was expected after a label's name",
      "a label's value in quotes was expected", "',' or '}' was expected after a label", "a label occurs twice", "the value is missing", "the value is not a number",
      "the time stamp is not a number", "the exemplar is not {labels} and a number", "something follows the value", "too many labels", "a name or a label value is too long"};
  return texts[static_cast<std::size_t>(f)];
}

// One label or quoted name of "{...}"; p stands on its first byte, not a blank. Bytes beyond `longest` are too_long.
inline fault read_label(const char*& p, const char* end, label& out, bool& alone, std::size_t longest) {
  alone = false;
  if (*p == '"') {
    const char* const begin = p + 1;
    const char* const close = quoted(begin, end, out.name_escaped);
    if (close == nullptr) return fault::open_quote;
    out.name = {begin, static_cast<std::size_t>(close - 1 - begin)};
    p = close;
    if (out.name.empty()) return fault::empty_name;
  } else {
    const char* const begin = p;
    if (!is(*p, label_start)) return fault::no_label_name;
    do ++p;
    while (p != end && is(*p, label_rest));
    out.name = {begin, static_cast<std::size_t>(p - begin)};
    out.name_escaped = false;
  }
  if (out.name.size() > longest) return fault::too_long;
  if (p != end && *p != '=') p = blanks(p, end);
  if (p == end || *p != '=') {
    alone = true;
    return fault::none;
  }
  ++p;
  if (p != end && *p != '"') p = blanks(p, end);
  if (p == end || *p != '"') return fault::no_quote;
  const char* const begin = ++p;
  const char* const close = quoted(begin, end, out.escaped);
  if (close == nullptr) return fault::open_quote;
  out.value = {begin, static_cast<std::size_t>(close - 1 - begin)};
  p = close;
  return out.value.size() > longest ? fault::too_long : fault::none;
}

// Of a whole token. Decimal, NaN, [+-]Inf (and Infinity, in any case); hexadecimal and what no double holds is refused.
inline bool slow_number(const char* p, const char* end, double& out) {
  const bool sign = p != end && (*p == '+' || *p == '-'), negative = sign && *p == '-';
  if (sign) ++p;
  const std::string_view word{p, static_cast<std::size_t>(end - p)};
  const auto same = [&](std::string_view w) {
    if (w.size() != word.size()) return false;
    for (std::size_t i = 0; i < w.size(); ++i)
      if ((word[i] | 0x20) != w[i]) return false;
    return true;
  };
  if (same("inf") || same("infinity")) {
    out = negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
    return true;
  }
  if (same("nan") && !sign) {
    out = std::numeric_limits<double>::quiet_NaN();
    return true;
  }
  if (word.empty() || !((word[0] >= '0' && word[0] <= '9') || word[0] == '.')) return false;
  double v = 0;
  const auto r = std::from_chars(p, end, v);
  if (r.ec != std::errc{} || r.ptr != end) return false;
  out = negative ? -v : v;
  return true;
}

// The token at p; false: none, or not a number. p is behind it only if it is one.
inline bool number(const char*& p, const char* end, double& out) {
  constexpr double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const char* q = p;
  const bool negative = q != end && *q == '-';
  if (negative) ++q;
  std::uint64_t digits = 0;
  unsigned count = 0, fraction = 0;
  while (q != end && *q >= '0' && *q <= '9' && count < 16) digits = digits * 10 + static_cast<unsigned>(*q++ - '0'), ++count;
  if (count != 0 && q != end && *q == '.') {
    ++q;
    while (q != end && *q >= '0' && *q <= '9' && count < 16) digits = digits * 10 + static_cast<unsigned>(*q++ - '0'), ++count, ++fraction;
  }
  const auto ends = [&](const char* at) { return at == end || *at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'; };
  // At most 15 digits: both operands are exact, so the quotient is the nearest double (Clinger 1990).
  if (count != 0 && count <= 15 && ends(q)) {
    const double v = static_cast<double>(digits) / powers[fraction];
    out = negative ? -v : v;
    p = q;
    return true;
  }
  while (!ends(q)) ++q;
  if (!slow_number(p, q, out)) return false;
  p = q;
  return true;
}

}  // namespace detail

// What stands between the braces of one sample, checked by the parser; views into the page.
class label_set {
 public:
  label_set() = default;
  explicit label_set(std::string_view raw) : raw_(raw) {}
  std::string_view raw() const { return raw_; }
  bool empty() const { return raw_.empty(); }

  // f(const label&), in the order of the page.
  template <class F>
  void for_each(F&& f) const {
    const char *p = raw_.data(), *const end = p + raw_.size();
    for (;;) {
      while (p != end && (*p == ' ' || *p == '\t' || *p == ',')) ++p;
      if (p == end) return;
      label l;
      bool alone = false;
      if (detail::read_label(p, end, l, alone, raw_.size()) != detail::fault::none) return;
      if (!alone) f(static_cast<const label&>(l));
    }
  }

 private:
  std::string_view raw_;
};

inline constexpr double no_timestamp = std::numeric_limits<double>::quiet_NaN();

struct sample {
  std::string_view name = {};        // raw; with a suffix such as _bucket
  bool name_escaped = false;
  label_set labels = {};
  double value = 0;
  double timestamp_s = no_timestamp; // since 1970, in seconds in every format; NaN: none
  bool has_exemplar = false;
  label_set exemplar_labels = {};
  double exemplar_value = 0, exemplar_timestamp_s = no_timestamp;
};

struct parsed {
  std::uint64_t lines = 0, samples = 0;  // samples: right ones and those that were not wanted
  std::uint64_t unwanted = 0;            // of them
  model::loss lost;                      // lines; a body beyond its limit is one more
  std::uint64_t problem_line = 0;        // the first that was lost, from 1; 0: none
  std::string_view problem;              // what was wrong with it
  bool ended = false;                    // # EOF was there
};

namespace detail {

template <class Sink>
class page_parser {
 public:
  page_parser(std::string_view text, Sink& sink, const limits& l, format f) : sink_(sink), limits_(l) {
    if (limits_.labels > most_labels) limits_.labels = most_labels;
    if (text.size() > limits_.body) {
      text = text.substr(0, limits_.body);
      const auto end = text.rfind('\n');
      text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
      lose(out_.lost.over_limit, "the page is larger than its limit");
      out_.problem_line = 0;  // no line is to blame
    }
    if (f == format::automatic) {
      std::string_view tail = text;
      while (!tail.empty() && (tail.back() == '\n' || tail.back() == '\r')) tail.remove_suffix(1);
      f = tail.ends_with("# EOF") ? format::openmetrics : format::text;
    }
    openmetrics_ = f == format::openmetrics;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    p_ = text.data(), end_ = p_ + text.size();
  }

  parsed run() {
    while (p_ != end_) {
      ++out_.lines;
      const char* p = blanks(p_, end_);
      if (at_line_end(p, end_)) p_ = next_line(p, end_);
      else if (*p == '#') comment(p);
      else line(p);
    }
    if (openmetrics_ && !out_.ended) lose(out_.lost.truncated, "the page ends without # EOF");
    return out_;
  }

 private:
  static constexpr std::size_t most_labels = 128;

  void lose(std::uint64_t& count, std::string_view why) {
    ++count;
    if (out_.problem.empty()) out_.problem = why, out_.problem_line = out_.lines;
  }

  void line(const char* p) {
    if (out_.samples >= limits_.samples) {
      lose(out_.lost.over_limit, "more samples than the limit");
      p_ = next_line(p, end_);
      return;
    }
    const fault f = read(p);
    if (f == fault::none) {
      ++out_.samples;
      return;
    }
    const char* const next = next_line(p, end_);
    const bool cut = next == end_ && (next == p || next[-1] != '\n');
    lose(f == fault::too_many_labels || f == fault::too_long ? out_.lost.over_limit : cut ? out_.lost.truncated : out_.lost.malformed, text_of(f));
    p_ = next;
  }

  // p on the first byte of a sample. On success p_ is at the next line.
  fault read(const char* p) {
    sample s;
    if (*p != '{') {
      const char* const begin = p;
      if (!is(*p, name_start)) return fault::no_name;
      do ++p;
      while (p != end_ && is(*p, name_rest));
      s.name = {begin, static_cast<std::size_t>(p - begin)};
      if (p != end_ && *p != '{' && *p != ' ' && *p != '\t' && !at_line_end(p, end_)) return fault::no_name;
      if (s.name.size() > limits_.label_value) return fault::too_long;
      if (refused(s.name, p)) return fault::none;
      p = blanks(p, end_);
    }
    if (p != end_ && *p == '{') {
      if (const fault f = braces(++p, s.labels, s.name.empty() ? &s : nullptr); f != fault::none) return f;
      if (s.name.empty()) return fault::no_name;
      p = blanks(p, end_);
    }
    if (at_line_end(p, end_) || *p == '#') return fault::no_value;
    if (!number(p, end_, s.value)) return fault::bad_value;
    p = blanks(p, end_);
    if (!at_line_end(p, end_) && *p != '#') {
      if (!timestamp(p, s.timestamp_s)) return fault::bad_timestamp;
      p = blanks(p, end_);
    }
    if (!at_line_end(p, end_) && *p == '#') {
      if (const fault f = exemplar(p, s); f != fault::none) return f;
      p = blanks(p, end_);
    }
    if (!at_line_end(p, end_)) return fault::rest;
    p_ = next_line(p, end_);
    if (wanted(s)) sink_.sample(static_cast<const sample&>(s));
    return fault::none;
  }

  // A name that stood in quotes is known only now.
  bool wanted(const sample& s) {
    if constexpr (asks) {
      if (in_braces_ && !sink_.wants(s.name)) {
        ++out_.unwanted;
        return false;
      }
    }
    return true;
  }

  bool refused(std::string_view name, const char* p) {
    in_braces_ = false;
    if constexpr (asks) {
      if (!sink_.wants(name)) {
        ++out_.unwanted;
        p_ = next_line(p, end_);
        return true;
      }
    }
    return false;
  }

  // Behind '{' up to behind '}'. `named`: a name in quotes stands among the labels, first.
  fault braces(const char*& p, label_set& out, sample* named) {
    std::array<std::string_view, most_labels> seen;
    std::size_t count = 0;
    const char* const begin = p;
    if (named != nullptr) in_braces_ = true;
    for (;;) {
      p = blanks(p, end_);
      if (p == end_ || *p == '\n') return fault::no_brace;
      if (*p == '}') break;
      label l;
      bool alone = false;
      if (const fault f = read_label(p, end_, l, alone, limits_.label_value); f != fault::none) return f;
      if (alone) {
        if (named == nullptr || !named->name.empty() || count != 0 || l.name.data()[-1] != '"') return fault::no_equals;
        named->name = l.name, named->name_escaped = l.name_escaped;
      } else {
        for (std::size_t i = 0; i < count; ++i)
          if (seen[i].size() == l.name.size() && std::memcmp(seen[i].data(), l.name.data(), l.name.size()) == 0) return fault::label_twice;
        if (count == limits_.labels) return fault::too_many_labels;
        seen[count++] = l.name;
      }
      if (p != end_ && *p != ',' && *p != '}') p = blanks(p, end_);
      if (p == end_ || (*p != ',' && *p != '}')) return fault::no_brace;
      if (*p == '}') break;
      ++p;
    }
    out = label_set{{begin, static_cast<std::size_t>(p - begin)}};
    ++p;
    return fault::none;
  }

  bool timestamp(const char*& p, double& out) {
    double v = 0;
    if (!number(p, end_, v) || v - v != 0) return false;  // not finite
    out = openmetrics_ ? v : v / 1000;
    return true;
  }

  fault exemplar(const char*& p, sample& s) {
    p = blanks(p + 1, end_);
    if (p == end_ || *p != '{') return fault::bad_exemplar;
    if (const fault f = braces(++p, s.exemplar_labels, nullptr); f != fault::none) return f;
    p = blanks(p, end_);
    if (!number(p, end_, s.exemplar_value)) return fault::bad_exemplar;
    p = blanks(p, end_);
    if (!at_line_end(p, end_)) {
      double v = 0;
      if (!number(p, end_, v) || v - v != 0) return fault::bad_exemplar;
      s.exemplar_timestamp_s = v;
    }
    s.has_exemplar = true;
    return fault::none;
  }

  // # HELP name text, # TYPE name type, # UNIT name unit, # EOF; anything else says nothing.
  void comment(const char* p) {
    p_ = next_line(p, end_);
    const char* last = p_;
    while (last != p && (last[-1] == '\n' || last[-1] == '\r')) --last;
    std::string_view rest{p + 1, static_cast<std::size_t>(last - p - 1)};
    const auto word = [&] {
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      const auto n = (std::min)(rest.find_first_of(" \t"), rest.size());
      const std::string_view w = rest.substr(0, n);
      rest.remove_prefix(n);
      return w;
    };
    const std::string_view what = word();
    if (what == "EOF") out_.ended = true;
    if constexpr (knows_type || knows_help || knows_unit) {
      if (what != "TYPE" && what != "HELP" && what != "UNIT") return;
      std::string_view name;
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      if (rest.starts_with('"')) {
        bool escaped = false;
        const char* const close = quoted(rest.data() + 1, rest.data() + rest.size(), escaped);
        if (close == nullptr) return;
        name = {rest.data() + 1, static_cast<std::size_t>(close - rest.data() - 2)};
        rest.remove_prefix(static_cast<std::size_t>(close - rest.data()));
      } else {
        name = word();
      }
      if (name.empty()) return;
      while (!rest.empty() && (rest[0] == ' ' || rest[0] == '\t')) rest.remove_prefix(1);
      if constexpr (knows_type) if (what == "TYPE") sink_.type(name, type_of(rest));
      if constexpr (knows_help) if (what == "HELP") sink_.help(name, rest);
      if constexpr (knows_unit) if (what == "UNIT") sink_.unit(name, rest);
    }
  }

  static family_type type_of(std::string_view word) {
    while (!word.empty() && (word.back() == ' ' || word.back() == '\t')) word.remove_suffix(1);
    constexpr std::string_view names[] = {"unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"};
    for (std::size_t i = 0; i < std::size(names); ++i)
      if (word == names[i]) return static_cast<family_type>(i);
    return family_type::unknown;  // "untyped" in Prometheus text
  }

  static constexpr bool asks = requires(Sink& s) { { s.wants(std::string_view{}) } -> std::convertible_to<bool>; };
  static constexpr bool knows_type = requires(Sink& s) { s.type(std::string_view{}, family_type{}); };
  static constexpr bool knows_help = requires(Sink& s) { s.help(std::string_view{}, std::string_view{}); };
  static constexpr bool knows_unit = requires(Sink& s) { s.unit(std::string_view{}, std::string_view{}); };

  Sink& sink_;
  limits limits_;
  parsed out_;
  const char *p_ = nullptr, *end_ = nullptr;
  bool openmetrics_ = false, in_braces_ = false;
};

}  // namespace detail

// The sink outlives the call; its views live as long as `page`. An empty page has no lines and nothing lost.
template <class Sink>
  requires requires(Sink& s, const sample& v) { s.sample(v); }
parsed parse(std::string_view page, Sink& sink, const limits& l = {}, format f = format::automatic) {
  return detail::page_parser<Sink>{page, sink, l, f}.run();
}

}  // namespace hotpath::inline HOTPATH_ABI::metrics
// ---- hotpath/metrics/page.hpp

namespace hotpath::inline HOTPATH_ABI::metrics {

struct page_options {
  std::string engine = {};               // one of engine_names: only its rows count; empty: told by the page
  std::vector<name_row> names = {};      // rows of yours; they come before those of the same meaning in names.inc. Their text outlives the call
  metrics::limits limits = {};
  std::size_t sources = 256;             // engines and ranks on one page; series of more are over_limit
};

// What a body is, by its first byte that is no white space.
enum class body_kind : std::uint8_t { text, quoted_text, iteration_stats };
body_kind kind_of(std::string_view body) noexcept;

// Fills everything but when, begin, end and skipped.
model::scrape read_page(std::string_view body, const page_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::metrics
// ---- hotpath/metrics/page-inl.hpp
// hotpath/metrics/page-inl.hpp - bodies of metrics/page.hpp.
// ---- hotpath/core/buckets.hpp
// hotpath/core/buckets.hpp - cumulative histograms as engines and Prometheus keep them: what lies between two of them, and quantiles.
//
//     buckets::difference d = buckets::subtract(later, earlier);
//     if (auto q = buckets::quantile_of(d.of, 0.99)) print(q->lower, q->upper);     // it lies in (lower, upper]
//     else print(d.no_quantiles);
//
//   A quantile is known to lie in one bucket; `value` interpolates within it as PromQL's histogram_quantile does (rank = q x N,
//   linear) and is for drawing. Compare bounds. The mean, sum / count, is exact.
//   Thread safety: as any value. Nothing throws on any input; NaN edges and counts are faults.
// ---- hotpath/core/buckets.hpp

namespace hotpath::inline HOTPATH_ABI::buckets {

struct histogram {
  std::vector<double> upper = {};  // edges, ascending, +infinity last; empty: none were told, or they are not usable
  std::vector<double> cumulative = {};  // values up to and including each edge
  double count = 0;
  std::optional<double> sum = {};  // missing: not told, or not a number
};

// Why the buckets cannot be used: "there is no +Inf bucket", "its buckets are not cumulative" ... Empty: they can, or there are none.
std::string_view fault_of(const histogram& h);

enum class merged : std::uint8_t {
  all_edges,
  shared_edges,  // edges differed: those that both have are left
  no_edges,      // one of the two had none
};
// Adds another histogram of the same quantity. A sum that one of them lacks is missing afterwards.
merged add(histogram& into, const histogram& other);

struct difference {
  histogram of;
  bool reset = false;              // the count or a bucket went backwards: `of` is the later one, as it is
  std::string_view no_quantiles;   // why `of` has no buckets; empty: it has
};
// Both usable, or without buckets (see fault_of).
difference subtract(const histogram& later, const histogram& earlier);

struct quantile {
  double value = 0;
  double lower = 0;                // 0 in the first bucket, where its edge is above 0
  std::optional<double> upper;     // missing: above the last finite edge
  bool below_resolution = false;   // in the first bucket: "<= upper" is all that is known
};
// Missing: no value, no finite edge, or q is not in [0, 1].
std::optional<quantile> quantile_of(const histogram& h, double q);

}  // namespace hotpath::inline HOTPATH_ABI::buckets
// ---- hotpath/core/buckets-inl.hpp
// hotpath/core/buckets-inl.hpp - bodies of core/buckets.hpp.
// ---- hotpath/core/buckets-inl.hpp

namespace hotpath::inline HOTPATH_ABI::buckets {

HOTPATH_FN std::string_view fault_of(const histogram& h) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (h.upper.size() != h.cumulative.size()) return "it has edges without counts";
  if (h.upper.empty()) return {};
  for (std::size_t i = 0; i < h.upper.size(); ++i) {
    if (!(h.cumulative[i] >= 0) || h.cumulative[i] == infinity) return "a bucket's count is no number from 0 up";
    if (h.upper[i] != h.upper[i] || (i != 0 && !(h.upper[i] > h.upper[i - 1]))) return "its edges do not ascend";
    if (i != 0 && h.cumulative[i] < h.cumulative[i - 1]) return "its buckets are not cumulative";
  }
  if (h.upper.back() != infinity) return "there is no +Inf bucket";
  return {};
}

HOTPATH_FN merged add(histogram& into, const histogram& other) {
  into.count += other.count;
  if (into.sum && other.sum) *into.sum += *other.sum;
  else into.sum.reset();
  if (into.upper.empty() || other.upper.empty()) {
    into.upper.clear(), into.cumulative.clear();
    return merged::no_edges;
  }
  if (into.upper == other.upper) {
    for (std::size_t i = 0; i < into.upper.size(); ++i) into.cumulative[i] += other.cumulative[i];
    return merged::all_edges;
  }
  std::size_t kept = 0;
  for (std::size_t i = 0, k = 0; i < into.upper.size(); ++i) {
    while (k < other.upper.size() && other.upper[k] < into.upper[i]) ++k;
    if (k == other.upper.size() || other.upper[k] != into.upper[i]) continue;
    into.upper[kept] = into.upper[i];
    into.cumulative[kept++] = into.cumulative[i] + other.cumulative[k];
  }
  into.upper.resize(kept), into.cumulative.resize(kept);
  return merged::shared_edges;
}

HOTPATH_FN difference subtract(const histogram& later, const histogram& earlier) {
  difference d{.of = later, .no_quantiles = {}};
  const bool same = later.upper == earlier.upper;
  d.reset = later.count < earlier.count;
  for (std::size_t i = 0; same && i < later.upper.size(); ++i) d.reset = d.reset || later.cumulative[i] < earlier.cumulative[i];
  if (d.reset) {
    if (later.upper.empty()) d.no_quantiles = "it has no usable buckets";
    return d;
  }
  d.of.count = later.count - earlier.count;
  d.of.sum.reset();
  if (later.sum && earlier.sum && *later.sum >= *earlier.sum) d.of.sum = *later.sum - *earlier.sum;
  if (same && !later.upper.empty()) {
    double least = 0;
    for (std::size_t i = 0; i < later.upper.size(); ++i) {
      least = (std::max)(later.cumulative[i] - earlier.cumulative[i], least);
      d.of.cumulative[i] = least;
    }
    return d;
  }
  d.no_quantiles = later.upper.empty() && earlier.upper.empty()  ? "it has no usable buckets"
                   : later.upper.empty() || earlier.upper.empty() ? "its buckets are not usable in one of the scrapes"
                                                                  : "the edges of its buckets changed between the scrapes";
  d.of.upper.clear(), d.of.cumulative.clear();
  return d;
}

HOTPATH_FN std::optional<quantile> quantile_of(const histogram& h, double q) {
  const std::size_t n = h.upper.size();
  if (n < 2 || h.cumulative.size() != n || !(h.cumulative[n - 1] > 0) || !(q >= 0 && q <= 1)) return std::nullopt;
  const double rank = q * h.cumulative[n - 1];
  std::size_t i = 0;
  while (i + 1 < n && (h.cumulative[i] < rank || !(h.cumulative[i] > 0))) ++i;
  quantile out;
  if (i == n - 1) {
    out.value = out.lower = h.upper[n - 2];
    return out;
  }
  const double below = i == 0 ? 0 : h.cumulative[i - 1];
  out.upper = h.upper[i];
  out.lower = i != 0 ? h.upper[i - 1] : h.upper[0] > 0 ? 0 : h.upper[0];
  out.below_resolution = i == 0;
  out.value = out.lower + (*out.upper - out.lower) * (std::max)(rank - below, 0.0) / (h.cumulative[i] - below);
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::buckets
// ---- hotpath/metrics/page-inl.hpp

namespace hotpath::inline HOTPATH_ABI::metrics {

namespace detail {

enum class part : std::uint8_t { value, bucket, sum, count, created };

// Eight bytes at a time, each mixed as by splitmix64: sums of these stand for sets of labels.
inline std::uint64_t hash_of(std::string_view s, std::uint64_t h = 0x9e3779b97f4a7c15u) {
  const auto mix = [&](std::uint64_t w) {
    h = (h ^ w) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
  };
  mix(s.size());
  for (; s.size() >= 8; s.remove_prefix(8)) {
    std::uint64_t w = 0;
    std::memcpy(&w, s.data(), 8);
    mix(w);
  }
  std::uint64_t w = 0;
  std::memcpy(&w, s.data(), s.size());
  mix(w);
  h *= 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

// "vllm:iteration_tokens_total_bucket" -> "vllm_iteration_tokens", bucket.
inline part base_of(std::string_view name, std::string& base) {
  part p = part::value;
  const auto ends = [&](std::string_view suffix, part then) {
    if (name.size() <= suffix.size() || !name.ends_with(suffix)) return false;
    name.remove_suffix(suffix.size());
    p = then;
    return true;
  };
  ends("_bucket", part::bucket) || ends("_sum", part::sum) || ends("_count", part::count) || ends("_created", part::created);
  const part found = p;
  ends("_total", found);
  base.assign(name);
  std::replace(base.begin(), base.end(), ':', '_');
  return p;
}

inline std::uint64_t key_of(std::uint64_t row, std::uint64_t source, std::uint64_t rank, std::uint64_t parts = 0) {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (const std::uint64_t x : {row, source, rank, parts}) {
    h = (h ^ x) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
  }
  return h;
}

// Two values of one figure.
inline double together(reading how, double a, double b) { return how == reading::most ? (std::max)(a, b) : how == reading::one ? 1 : a + b; }

// What is known of a label's name; null: it tells engines apart.
inline const label_row* known(std::string_view name) {
  const auto* const at = std::find_if(std::begin(known_labels), std::end(known_labels), [&](const label_row& r) { return r.name == name; });
  return at != std::end(known_labels) ? at : nullptr;
}
inline bool says_nothing(const label& x) {
  return x.name == "engine_type" && std::find(plain_engine_types.begin(), plain_engine_types.end(), x.value) != plain_engine_types.end();
}

inline bool matches(std::string_view value, std::string_view pattern) {
  return pattern.starts_with('*') ? value.ends_with(pattern.substr(1)) : value == pattern;
}

// Values added up or compared, of one row, one engine and one rank.
struct cell {
  std::uint32_t row = 0, source = 0;
  std::uint64_t rank = 0;
  double value = 0;
  bool known = false;                  // a value was there, not its beginning alone
  std::optional<nanoseconds> created;
};

struct histogram_cell {
  std::uint32_t row = 0, source = 0;
  std::uint64_t rank = 0;
  std::optional<double> count, sum;
  bool sum_unusable = false;
  std::optional<nanoseconds> created;
  buckets::histogram made;
  std::vector<std::pair<double, double>> found;  // edge, count, in the order of the page
};

class page_reader {
 public:
  page_reader(const page_options& o, model::scrape& out) : options_(o), out_(out) {
    for (const name_row& r : o.names) add_row(r, 0);
    for (const name_row& r : builtin_rows) add_row(r, 128);
  }

  bool wants(std::string_view name);
  void sample(const metrics::sample& s);
  // A value without labels, from elsewhere than a text page.
  void value(std::string_view name, double v) {
    if (wants(name)) sample({.name = name, .value = v});
  }
  void finish();
  void problem(std::string text);

 private:
  struct use {
    std::uint32_t row;
    part role;
  };
  struct labels_of_sample {
    std::uint64_t series = 0, identity = 0, parts = 0, rank = 0;
    double le = 0;
    bool has_le = false, bad_le = false, of_breakdown = false;
  };

  void add_row(name_row r, unsigned after);
  labels_of_sample look_at(const label_set& labels);
  using pairs = std::vector<std::pair<std::string, std::string>>;
  pairs identity_of(const label_set& labels, bool all);
  std::uint32_t source_of(std::uint64_t identity, const label_set& labels);
  void facts(const label_set& labels);
  void spread_facts();
  bool row_matches(const name_row& r, const label_set& labels) const;
  void scalar(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source);
  void histogram(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source);
  void choose_engine();
  // By meaning, then engine, the preferred name first.
  template <class Cell>
  void in_order(std::vector<Cell>& cells) const {
    std::stable_sort(cells.begin(), cells.end(), [&](const Cell& a, const Cell& b) {
      const name_row &x = rows_[a.row], &y = rows_[b.row];
      return x.what != y.what ? x.what < y.what : a.source != b.source ? a.source < b.source : x.preference != y.preference ? x.preference < y.preference : a.row < b.row;
    });
  }
  void close(histogram_cell& h);
  void scalars();
  void histograms();
  void blocks();
  void report_missing();
  std::string title(const name_row& r, std::uint32_t source) const;

  const page_options& options_;
  model::scrape& out_;
  std::vector<name_row> rows_;
  std::vector<std::string> bases_;                                   // of rows_
  std::vector<part> parts_;                                          // what a row itself names: a value, or the sum of a histogram
  std::unordered_map<std::string, std::vector<std::uint32_t>> index_;
  std::string last_name_, base_, scratch_;
  std::vector<use> uses_;                                            // of last_name_
  bool wanted_ = false;
  std::vector<std::string> sources_;
  std::unordered_map<std::uint64_t, std::uint32_t> source_index_, cell_index_, histogram_index_;
  key_set seen_;
  std::vector<cell> cells_;
  std::vector<histogram_cell> histograms_;
  std::vector<pairs> source_pairs_;                                  // of sources_: the usual labels among theirs
  struct fact {
    pairs of;
    std::vector<std::pair<std::uint32_t, double>> values;            // row, value
  };
  std::vector<fact> facts_;
  struct pending_share {
    std::uint32_t row, source;
    double blocks;
  };
  std::vector<pending_share> shares_;
  std::vector<std::uint32_t> series_source_;                         // of out_.series
  std::array<bool, std::size(engine_prefixes)> prefix_seen_{};
  std::vector<std::string> unknown_;                                 // names with an engine's prefix that no row knows
  std::uint64_t duplicates_ = 0, unhelpful_ = 0, sources_lost_ = 0, buckets_lost_ = 0;
  static constexpr std::uint32_t no_source = (std::numeric_limits<std::uint32_t>::max)();
  static constexpr std::size_t most_problems = 32, most_unknown = 512, most_text = 300, most_buckets = 512;
};

HOTPATH_FN void page_reader::problem(std::string text) {
  if (out_.problems.size() == most_problems) out_.problems.emplace_back("more problems were found than are listed");
  if (out_.problems.size() > most_problems) return;
  std::string shown = text::printable(text, most_text);
  if (std::find(out_.problems.begin(), out_.problems.end(), shown) == out_.problems.end()) out_.problems.push_back(std::move(shown));
}

HOTPATH_FN void page_reader::add_row(name_row r, unsigned after) {
  if (!options_.engine.empty() && r.engine != options_.engine) return;
  r.preference = static_cast<std::uint8_t>((std::min)(r.preference + after, 255u));
  std::string base;
  parts_.push_back(base_of(r.name, base));
  index_[base].push_back(static_cast<std::uint32_t>(rows_.size()));
  bases_.push_back(std::move(base));
  rows_.push_back(r);
}

// Lines of one family follow each other: the answer for the last name is kept.
HOTPATH_FN bool page_reader::wants(std::string_view name) {
  if (name == last_name_) return wanted_;
  last_name_ = name;
  uses_.clear();
  const part p = base_of(unescape(name, scratch_), base_);
  for (std::size_t i = 0; i < std::size(engine_prefixes); ++i)
    if (base_.starts_with(engine_prefixes[i].prefix)) {
      prefix_seen_[i] = true;
      if (!index_.contains(base_) && unknown_.size() < most_unknown && (unknown_.empty() || unknown_.back() != name)) unknown_.emplace_back(name);
    }
  if (const auto it = index_.find(base_); it != index_.end()) {
    for (const std::uint32_t row : it->second) {
      const model::metric_kind kind = model::facts_of(rows_[row].what).kind;
      const bool fits = kind == model::metric_kind::histogram ? p != part::value
                        : p == part::created                  ? kind == model::metric_kind::counter
                                                              : p == parts_[row];
      if (fits) uses_.push_back({row, p});
    }
  }
  return wanted_ = !uses_.empty();
}

HOTPATH_FN page_reader::labels_of_sample page_reader::look_at(const label_set& labels) {
  labels_of_sample l;
  labels.for_each([&](const label& x) {
    if (x.name == "le") {
      const char* p = x.value.data();
      l.has_le = true;
      l.bad_le = !number(p, p + x.value.size(), l.le) || p != x.value.data() + x.value.size() || l.le != l.le;
      l.series += l.bad_le ? hash_of(x.value) : hash_of("le", std::bit_cast<std::uint64_t>(l.le + 0.0));  // -0 and 0 are one edge
      return;
    }
    const std::uint64_t h = hash_of(x.value, hash_of(x.name));
    l.series += h;
    const label_row* const row = known(x.name);
    if (row == nullptr) {
      if (!says_nothing(x)) l.identity += h;
    } else if (row->role == label_role::rank) {
      std::uint64_t n = 0xffff;
      text::to_number(x.value, n);
      const int shift = x.name == "pp_rank" ? 32 : x.name == "tp_rank" ? 16 : 0;
      l.rank |= (std::min<std::uint64_t>)(n, 0xffff) << shift;
    } else {
      l.parts += h;
      if (row->role == label_role::breakdown && !x.value.empty()) l.of_breakdown = true;
    }
  });
  return l;
}

// Labels that tell engines apart: these first, the others by name if `all`.
HOTPATH_FN page_reader::pairs page_reader::identity_of(const label_set& labels, bool all) {
  constexpr std::string_view first[] = {"model_name", "model", "engine", "engine_type", "dp_rank"};
  pairs out;
  std::string name, value;
  labels.for_each([&](const label& x) {
    if (known(x.name) != nullptr || says_nothing(x)) return;
    if (!all && std::find(std::begin(first), std::end(first), x.name) == std::end(first)) return;
    out.emplace_back(unescape(x.name, name), unescape(x.value, value));
  });
  const auto order = [&](const std::string& n) { return std::find(std::begin(first), std::end(first), n) - std::begin(first); };
  std::sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return order(a.first) != order(b.first) ? order(a.first) < order(b.first) : a.first < b.first; });
  return out;
}

HOTPATH_FN std::uint32_t page_reader::source_of(std::uint64_t identity, const label_set& labels) {
  const auto [it, is_new] = source_index_.try_emplace(identity, static_cast<std::uint32_t>(sources_.size()));
  if (!is_new) return it->second;
  if (sources_.size() >= options_.sources) {
    source_index_.erase(it);
    return no_source;
  }
  const pairs all = identity_of(labels, true);
  std::string source;
  for (const auto& [name, value] : all) source += (source.empty() ? "" : ", ") + name + "=" + value;
  std::string shown = text::printable(source, 256);
  if (shown != source) {  // what was cut or escaped could look like another engine: its hash stays
    char hex[17];
    const auto r = std::to_chars(hex, hex + 16, identity, 16);
    shown += " #" + std::string(hex, r.ptr);
  }
  sources_.push_back(std::move(shown));
  source_pairs_.push_back(identity_of(labels, false));
  return it->second;
}

// An info metric has its facts as labels, so that its labels tell nothing apart but the usual ones, and not all of these.
HOTPATH_FN void page_reader::facts(const label_set& labels) {
  if (facts_.size() >= options_.sources) {
    ++sources_lost_;
    return;
  }
  fact f{identity_of(labels, false), {}};
  labels.for_each([&](const label& x) {
    double v = 0;
    for (const use& u : uses_)
      if (x.name == rows_[u.row].label && text::to_number(x.value, v)) f.values.emplace_back(u.row, v);  // "None" is none
  });
  facts_.push_back(std::move(f));
}

// Facts are those of every engine whose labels do not contradict.
HOTPATH_FN void page_reader::spread_facts() {
  for (const fact& f : facts_) {
    if (sources_.empty() && !f.values.empty()) {
      std::string source;
      for (const auto& [name, value] : f.of) source += (source.empty() ? "" : ", ") + name + "=" + value;
      sources_.push_back(text::printable(source, 256)), source_pairs_.push_back(f.of);
    }
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const pairs& theirs = source_pairs_[i];
      const bool fits = std::all_of(f.of.begin(), f.of.end(), [&](const auto& mine) {
        return std::find(theirs.begin(), theirs.end(), mine) != theirs.end();
      });
      if (!fits) continue;
      for (const auto& [row, v] : f.values) cells_.push_back({.row = row, .source = static_cast<std::uint32_t>(i), .value = v, .known = true, .created = {}});
    }
  }
}

HOTPATH_FN bool page_reader::row_matches(const name_row& r, const label_set& labels) const {
  if (r.label.empty()) return true;
  bool found = false;
  labels.for_each([&](const label& x) { found = found || (x.name == r.label && matches(x.value, r.match)); });
  return found;
}

HOTPATH_FN void page_reader::sample(const metrics::sample& s) {
  const labels_of_sample l = look_at(s.labels);
  if (!seen_.insert(l.series + hash_of(s.name))) {
    ++duplicates_;
    return;
  }
  if (rows_[uses_.front().row].how == reading::label_value) {
    facts(s.labels);
    return;
  }
  const std::uint32_t source = source_of(l.identity, s.labels);
  if (source == no_source) {
    ++sources_lost_;
    return;
  }
  for (const use& u : uses_) {
    if (model::facts_of(rows_[u.row].what).kind == model::metric_kind::histogram) histogram(u, l, s, source);
    else scalar(u, l, s, source);
  }
}

// Seconds since 1970 from _created; what is no moment is nothing.
inline std::optional<nanoseconds> moment(double seconds) {
  if (!(seconds > 0 && seconds < 9e9)) return std::nullopt;
  return nanoseconds::from_s(seconds);
}
inline void earlier(std::optional<nanoseconds>& into, const std::optional<nanoseconds>& other) {
  if (other && (!into || *other < *into)) into = other;
}

HOTPATH_FN void page_reader::scalar(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source) {
  const name_row& r = rows_[u.row];
  const bool gauge = model::facts_of(r.what).kind == model::metric_kind::gauge;
  if (gauge && l.of_breakdown) return;
  double v = r.how == reading::one ? 1 : s.value;
  if (u.role != part::created && (v - v != 0 || (!gauge && v < 0))) {  // not finite; no counter is below 0
    problem(title(r, source) + " is " + (v != v ? "not a number" : v - v != 0 ? "infinite" : "below 0") + ": left out");
    return;
  }
  const auto [it, is_new] = cell_index_.try_emplace(key_of(u.row, source, l.rank), static_cast<std::uint32_t>(cells_.size()));
  if (is_new) cells_.push_back({.row = u.row, .source = source, .rank = l.rank, .created = {}});
  cell& c = cells_[it->second];
  if (u.role == part::created) {
    earlier(c.created, moment(v));
    return;
  }
  if (!row_matches(r, s.labels)) v = 0;  // the family is there, this part of it is not meant
  c.value = !c.known ? v : together(r.how, c.value, v);
  c.known = true;
}

HOTPATH_FN void page_reader::histogram(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source) {
  const name_row& r = rows_[u.row];
  if (!row_matches(r, s.labels)) return;
  const auto [it, is_new] = histogram_index_.try_emplace(key_of(u.row, source, l.rank, l.parts), static_cast<std::uint32_t>(histograms_.size()));
  if (is_new) {
    histograms_.emplace_back();
    histograms_.back().row = u.row, histograms_.back().source = source, histograms_.back().rank = l.rank;
  }
  histogram_cell& h = histograms_[it->second];
  switch (u.role) {
    case part::created: earlier(h.created, moment(s.value)); break;
    case part::sum:
      if (s.value - s.value != 0) h.sum_unusable = true;
      else h.sum = s.value;
      break;
    case part::count:
      if (s.value >= 0 && s.value - s.value == 0) h.count = s.value;
      break;
    case part::bucket:
      if (!l.has_le || l.bad_le) ++unhelpful_;
      else if (h.found.size() == most_buckets) ++buckets_lost_;
      else h.found.emplace_back(l.le, s.value);
      break;
    case part::value: break;
  }
}

HOTPATH_FN std::string page_reader::title(const name_row& r, std::uint32_t source) const {
  return std::string(r.name) + (source < sources_.size() && !sources_[source].empty() ? "{" + sources_[source] + "}" : "");
}

HOTPATH_FN void page_reader::choose_engine() {
  if (!options_.engine.empty()) {
    out_.engine = options_.engine;
    return;
  }
  for (std::size_t i = 0; i < std::size(engine_prefixes) && out_.engine.empty(); ++i)
    if (prefix_seen_[i]) out_.engine = engine_prefixes[i].engine;
  if (out_.engine.empty()) {
    // Names of the caller's own, or the iteration statistics.
    for (const cell& c : cells_)
      if (out_.engine.empty()) out_.engine = rows_[c.row].engine;
    for (const histogram_cell& h : histograms_)
      if (out_.engine.empty()) out_.engine = rows_[h.row].engine;
  }
}

// The lowest rank of each row and engine: cells of others are repetitions.
template <class Cell>
void lowest_ranks(std::vector<Cell>& cells) {
  std::unordered_map<std::uint64_t, std::uint64_t> lowest;
  const auto key = [](const Cell& c) { return static_cast<std::uint64_t>(c.source) << 32 | c.row; };
  for (const Cell& c : cells) {
    const auto [it, is_new] = lowest.try_emplace(key(c), c.rank);
    if (!is_new) it->second = (std::min)(it->second, c.rank);
  }
  std::erase_if(cells, [&](const Cell& c) { return c.rank != lowest[key(c)]; });
}

HOTPATH_FN void page_reader::scalars() {
  std::erase_if(cells_, [&](const cell& c) { return !c.known || rows_[c.row].engine != out_.engine; });
  lowest_ranks(cells_);
  in_order(cells_);
  for (std::size_t i = 0; i < cells_.size();) {
    const name_row& r = rows_[cells_[i].row];
    model::metric_series m;
    m.what = r.what, m.name = r.name, m.source = sources_[cells_[i].source], m.value = cells_[i].value, m.created = cells_[i].created;
    const std::uint32_t source = cells_[i].source;
    for (++i; i < cells_.size() && cells_[i].source == source && rows_[cells_[i].row].what == r.what; ++i) {
      if (rows_[cells_[i].row].preference != r.preference) continue;
      m.value = together(r.how, m.value, cells_[i].value);
      earlier(m.created, cells_[i].created);
    }
    if (r.how == reading::share_of_blocks) {
      shares_.push_back({static_cast<std::uint32_t>(&r - rows_.data()), source, m.value});
      continue;
    }
    series_source_.push_back(source);
    out_.series.push_back(std::move(m));
  }
}

// Blocks in use over blocks: of the same engine, or of the only one that tells how many there are.
HOTPATH_FN void page_reader::blocks() {
  for (const pending_share& p : shares_) {
    const model::metric_series *same = nullptr, *only = nullptr;
    std::size_t tell = 0;
    for (std::size_t i = 0; i < out_.series.size(); ++i) {
      if (out_.series[i].what != model::engine_metric::kv_blocks) continue;
      ++tell, only = &out_.series[i];
      if (series_source_[i] == p.source) same = only;
    }
    const model::metric_series* of = same != nullptr ? same : tell == 1 ? only : nullptr;
    if (of == nullptr || !(of->value > 0)) continue;
    const double share = p.blocks / of->value;
    if (!(share >= 0 && share <= 1)) {
      problem(title(rows_[p.row], p.source) + ": more blocks in use than there are, no share can be told");
      continue;
    }
    model::metric_series m;
    m.what = model::engine_metric::kv_usage, m.name = rows_[p.row].name, m.source = sources_[p.source], m.value = share;
    out_.series.push_back(std::move(m));
    series_source_.push_back(p.source);
  }
}

// Sorts the buckets; what cannot be used is said and left out.
HOTPATH_FN void page_reader::close(histogram_cell& h) {
  std::sort(h.found.begin(), h.found.end());
  for (const auto& [edge, count] : h.found) {
    if (!h.made.upper.empty() && h.made.upper.back() == edge) {
      ++duplicates_;
      continue;
    }
    h.made.upper.push_back(edge), h.made.cumulative.push_back(count);
  }
  h.found = {};
  const name_row& r = rows_[h.row];
  if (h.sum_unusable) problem(title(r, h.source) + ": its sum is not a finite number, so it has no mean");
  else h.made.sum = h.sum;
  const std::string_view fault = buckets::fault_of(h.made);
  const bool infinite = fault.empty() && !h.made.upper.empty();
  h.made.count = h.count ? *h.count : infinite ? h.made.cumulative.back() : 0;
  if (fault.empty()) return;
  problem(title(r, h.source) + ": " + std::string(fault) + ", so it has no quantiles");
  h.made.upper.clear(), h.made.cumulative.clear();
}

HOTPATH_FN void page_reader::histograms() {
  std::erase_if(histograms_, [&](const histogram_cell& h) { return rows_[h.row].engine != out_.engine || (!h.count && h.found.empty()); });
  lowest_ranks(histograms_);
  in_order(histograms_);
  for (std::size_t i = 0; i < histograms_.size();) {
    const std::uint32_t row = histograms_[i].row, source = histograms_[i].source;
    const name_row& r = rows_[row];
    model::metric_series m;
    m.what = r.what, m.name = r.name, m.source = sources_[source];
    buckets::histogram all;
    bool first = true;
    for (; i < histograms_.size() && histograms_[i].source == source && rows_[histograms_[i].row].what == r.what; ++i) {
      histogram_cell& h = histograms_[i];
      if (rows_[h.row].preference != r.preference) continue;
      if (!h.count && h.found.end() == std::find_if(h.found.begin(), h.found.end(), [](const auto& b) { return b.first - b.first != 0; })) {
        close(h);
        problem(title(r, source) + ": neither a count nor a +Inf bucket: left out");
        continue;
      }
      close(h);
      earlier(m.created, h.created);
      if (first) all = std::move(h.made);
      else if (buckets::add(all, h.made) == buckets::merged::shared_edges) problem(title(r, source) + ": its parts have different edges, merged on those they share");
      first = false;
    }
    if (first) continue;
    m.value = all.count, m.sum = all.sum;
    for (std::size_t k = 0; k < all.upper.size(); ++k) m.buckets.push_back({all.upper[k], all.cumulative[k]});
    out_.series.push_back(std::move(m));
    series_source_.push_back(source);
  }
}

inline std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = (std::min)({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      corner = above;
    }
  }
  return row[b.size()];
}

// A version that calls things otherwise: for each meaning that the engine should tell and does not, the nearest of the names that nobody knows.
HOTPATH_FN void page_reader::report_missing() {
  std::array<bool, model::engine_metrics.size()> told{};
  for (const model::metric_series& m : out_.series) told[static_cast<std::size_t>(m.what)] = true;
  std::vector<std::string> bases;
  for (const std::string& name : unknown_) {
    std::string base;
    base_of(name, base);
    if (base.size() <= 128 && std::find(bases.begin(), bases.end(), base) == bases.end()) bases.push_back(std::move(base));
  }
  for (std::size_t i = 0; i < rows_.size() && !bases.empty(); ++i) {
    const name_row& r = rows_[i];
    if (r.engine != out_.engine || r.conditional || (r.preference & 127) != 0 || told[static_cast<std::size_t>(r.what)]) continue;
    const std::string* nearest = nullptr;
    std::size_t least = bases_[i].size() / 3 + 1;
    for (const std::string& base : bases)
      if (const std::size_t d = edits(bases_[i], base); d < least) least = d, nearest = &base;
    if (nearest == nullptr) continue;
    std::string as_written = *nearest;
    for (const std::string& name : unknown_) {
      std::string base;
      base_of(name, base);
      if (base == *nearest) as_written = name;
    }
    problem(std::string(model::facts_of(r.what).name) + ": " + std::string(r.name) + " is not on this page; the closest name is " + as_written);
  }
}

HOTPATH_FN void page_reader::finish() {
  choose_engine();
  spread_facts();
  scalars();
  blocks();
  histograms();
  std::vector<std::size_t> order(out_.series.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return out_.series[a].what != out_.series[b].what ? out_.series[a].what < out_.series[b].what : series_source_[a] < series_source_[b];
  });
  std::vector<model::metric_series> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) sorted.push_back(std::move(out_.series[i]));
  out_.series = std::move(sorted);
  out_.lost.malformed += unhelpful_;
  out_.lost.over_limit += sources_lost_ + buckets_lost_;
  out_.lost.dropped += duplicates_;
  if (unhelpful_ != 0) problem("buckets without a number as their edge (le): " + std::to_string(unhelpful_));
  if (duplicates_ != 0) problem("series that occur twice: " + std::to_string(duplicates_) + "; the first is taken");
  if (buckets_lost_ != 0) problem("a histogram with more than " + std::to_string(most_buckets) + " buckets: the rest is left out");
  if (sources_lost_ != 0) problem("more than " + std::to_string(options_.sources) + " engines on one page: samples of the others are left out");
  std::size_t engines = 0;
  std::string others;
  for (std::size_t i = 0; i < std::size(engine_prefixes); ++i) {
    const std::string_view e = engine_prefixes[i].engine;
    if (!prefix_seen_[i] || e == out_.engine || others.find(e) != std::string::npos) continue;
    ++engines, others += (others.empty() ? "" : ", ") + std::string(e);
  }
  if (engines != 0 && options_.engine.empty()) problem("the page also has names of " + others + ", which are left out");
  report_missing();
}

// TensorRT-LLM: a list of iterations since it was last asked. The last one is the state.
inline bool read_iterations(std::string_view body, page_reader& into, std::string& why) {
  std::string_view last;
  json::reader in{body, json::mode::tolerant_text};
  const auto element = [&] {
    if (in.peek() == json::kind::object) in.raw(last);
  };
  if (in.peek() == json::kind::array) in.array(element);
  else element();
  if (!in.finish()) {
    why = in.failure().message();
    return false;
  }
  json::reader members{last, json::mode::tolerant_text};
  if (last.empty()) return true;  // nothing happened since
  std::string path;
  const auto walk = [&](const auto& self, unsigned depth) -> void {
    members.object([&](std::string_view key) {
      const std::size_t size = path.size();
      if (size + key.size() < 200) {
        path += path.empty() ? "iteration_stats." : ".";
        path += key;
        double v = 0;
        if (members.peek() == json::kind::number && members.number(v)) into.value(path, v);
        else if (members.peek() == json::kind::object && depth < 4) self(self, depth + 1);
      }
      path.resize(size);
    });
  };
  walk(walk, 0);
  return true;
}

inline std::string not_a_page(std::string_view body, std::string_view what) {
  return std::string(what) + "; it begins with \"" + text::printable(body, 60) + "\"";
}

}  // namespace detail

HOTPATH_FN body_kind kind_of(std::string_view body) noexcept {
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  for (const char c : body) {
    if (text::is_space(c)) continue;
    // A text page may begin with {"a quoted name"; a list or an object of statistics has an object, a key and a colon.
    if (c == '"') return body_kind::quoted_text;
    if (c == '[') return body_kind::iteration_stats;
    if (c != '{') return body_kind::text;
    json::reader in{body, json::mode::tolerant_text};
    in.skip();
    return in.finish() ? body_kind::iteration_stats : body_kind::text;
  }
  return body_kind::text;
}

HOTPATH_FN model::scrape read_page(std::string_view body, const page_options& options) {
  model::scrape out;
  std::string decoded;
  const body_kind kind = kind_of(body);
  if (kind != body_kind::text && body.size() > options.limits.body) {
    ++out.lost.over_limit;
    out.error = "the page is larger than its limit of " + std::to_string(options.limits.body) + " bytes";
    return out;
  }
  detail::page_reader reader{options, out};
  if (kind == body_kind::iteration_stats) {
    std::string why;
    if (!detail::read_iterations(body, reader, why)) {
      ++out.lost.malformed;
      out.error = detail::not_a_page(body, "not Prometheus text, and no list of iterations: " + why);
      return out;
    }
    if (out.engine.empty()) out.engine = options.engine.empty() ? "trtllm" : options.engine;
    reader.finish();
    if (out.series.empty()) reader.problem("the list of iterations is empty, or has no known member: nothing is known of this moment");
    return out;
  }
  if (kind == body_kind::quoted_text) {
    json::reader in{body, json::mode::tolerant_text};
    std::string_view inside;
    if (in.string(inside)) decoded = inside;
    if (!in.finish()) {
      ++out.lost.malformed;
      out.error = detail::not_a_page(body, "not Prometheus text, and no JSON string: " + in.failure().message());
      return out;
    }
    body = decoded;
  }
  const parsed p = parse(body, reader, options.limits);
  out.lost += p.lost;
  std::string_view start = body;
  while (!start.empty() && text::is_space(start.front())) start.remove_prefix(1);
  if (start.starts_with('<') || (p.samples == 0 && p.lost.malformed + p.lost.truncated != 0)) {
    out.error = detail::not_a_page(body, "not Prometheus text");
    return out;
  }
  reader.finish();
  if (p.lost) {
    std::string what = std::to_string(p.lost.total()) + (p.lost.total() == 1 ? " line is" : " lines are") + " lost";
    if (p.problem_line != 0) what += ", the first is line " + std::to_string(p.problem_line);
    reader.problem(what + ": " + std::string(p.problem));
  }
  if (start.empty()) reader.problem("the page is empty");
  else if (out.series.empty()) reader.problem("no known name of an engine is on this page");
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::metrics
// ---- hotpath/replay/api.hpp
// hotpath/replay/api.hpp - the OpenAI-compatible streaming APIs: what to post, what an event says.
//   Covers /v1/completions and /v1/chat/completions of vLLM, SGLang, TensorRT-LLM, llama.cpp and Dynamo.
//
//     replay::event_reader r;
//     const replay::event_facts& e = r.read(sse.data);       // 0.2 us for a chunk of 250 bytes
//     if (e.content) …                                       // a content event: text, reasoning, tool call
//
//   A content event carries non-empty text, content, reasoning, or a tool call's name or arguments: usage counts all of
//   these. Role only, empty text, usage only and `choices: []` are none.
// ---- hotpath/replay/workload.hpp
// hotpath/replay/workload.hpp - what to send: a stream of requests from a JSON lines file or from a description.
//
//     auto load = replay::workload::open("prompts.jsonl");            // or "synthetic:input=512,output=128,requests=1000"
//     replay::workload_item item;
//     for (;;) {
//       auto more = load->next(item);                                 // result<bool>
//       if (!more) return fail(more.error());                         // "prompts.jsonl:7:30: max_tokens is -5, want …" (strict)
//       if (!*more) break;                                            // end of this pass; rewind() begins the next
//       send(item);
//     }
//
//   A line is an object: "prompt" (a string, an array of token ids, an array with one of either) or "messages" (chat), optional
//   "max_tokens" (also max_completion_tokens, output_tokens; default 256) and "id" (also request_id, custom_id). Other members
//   go into the request as they are, but "stream" and "stream_options", which belong to the client. A ShareGPT line
//   ("conversations") gives its first human turn as prompt. A row of an arrival trace ("input_length", "output_length", "hash_ids",
//   as Mooncake and Bailian publish them) gives a made-up prompt of that length, in which equal hash ids are equal parts: rows that
//   share a prefix in the trace share it here. "timestamp" (ms) is when the row arrived: replay::recorded makes a schedule of it.
//   Blank lines and lines that begin with '#' are skipped.
//   A line that is no request is counted in lost() and told in problems(), or with `strict` ends the reading.
//   From the second pass on each prompt begins with a unique mark (16 hex digits, or 7 token ids in place of its first), so that
//   a prefix cache that has seen it does not answer from its first block on (fewer than 7 ids can repeat); `reuse_prompts`: unchanged.
//   Memory: 256 KiB, the longest line (at most line_limit, while it is read) and 16 bytes per distinct id (at most 16 MiB).
//   Thread safety: one thread at a time.
// ---- hotpath/replay/detail/line_reader.hpp
// hotpath/replay/detail/line_reader.hpp - the lines of a regular file, in bounded memory, as often as wanted.
//   The file is read up to the size that it had when it was opened: one that grows meanwhile has an end all the same.
// ---- hotpath/replay/detail/line_reader.hpp

namespace hotpath::inline HOTPATH_ABI::replay::detail {

class line_reader {
 public:
  struct line {
    std::string_view text;     // without its line end (LF or CRLF); valid until the next call; empty if over_limit
    std::uint64_t number = 0;  // from 1
    bool over_limit = false;
  };

  line_reader() = default;
  line_reader(line_reader&& other) noexcept;
  line_reader& operator=(line_reader&& other) noexcept;
  ~line_reader();

  // Only regular files, without waiting for anything. Errors: not_found, unreadable, unsupported (compressed, UTF-16), io.
  static result<line_reader> open(const std::string& path, std::size_t line_limit);

  // False: the end.
  result<bool> next(line& out);
  result<void> rewind();

  std::uint64_t size() const { return size_; }   // of the file when it was opened
  bool shrunk() const { return shrunk_; }        // it ended before that size
  char first_byte() const { return first_byte_; }  // after a byte order mark and white space; 0: none in the first 4 KiB

 private:
  result<void> look_at_begin();
  result<bool> fill();

  int fd_ = -1;
  bool shrunk_ = false;
  char first_byte_ = 0;
  std::uint64_t size_ = 0, read_ = 0, number_ = 0;
  std::size_t limit_ = 0, at_ = 0, end_ = 0;
  std::string path_, buffer_;
  std::string long_;  // a line longer than what was left of the buffer
};

}  // namespace hotpath::inline HOTPATH_ABI::replay::detail
// ---- hotpath/replay/detail/line_reader-inl.hpp
// hotpath/replay/detail/line_reader-inl.hpp - bodies of replay/detail/line_reader.hpp
// ---- hotpath/replay/detail/line_reader-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay::detail {

inline error file_error(errc code, const std::string& path, std::string what, std::string hint = {}) {
  return {.code = code, .detail = std::move(what), .source = path, .hint = std::move(hint)};
}

HOTPATH_FN line_reader::line_reader(line_reader&& other) noexcept { *this = std::move(other); }
HOTPATH_FN line_reader& line_reader::operator=(line_reader&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(buffer_, other.buffer_);
  std::swap(long_, other.long_);
  std::swap(path_, other.path_);
  shrunk_ = other.shrunk_, first_byte_ = other.first_byte_;
  size_ = other.size_, read_ = other.read_, number_ = other.number_;
  limit_ = other.limit_, at_ = other.at_, end_ = other.end_;
  return *this;
}
HOTPATH_FN line_reader::~line_reader() {
  if (fd_ >= 0) ::close(fd_);
}

HOTPATH_FN result<line_reader> line_reader::open(const std::string& path, std::size_t line_limit) {
  line_reader r;
  r.path_ = path;
  r.limit_ = line_limit;
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  do r.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (r.fd_ < 0 && errno == EINTR);
  if (r.fd_ < 0) {
    const int e = errno;
    return file_error(e == ENOENT || e == ENOTDIR ? errc::not_found : errc::unreadable, path, std::strerror(e));
  }
  struct stat s;
  if (::fstat(r.fd_, &s) != 0) return file_error(errc::io, path, std::strerror(errno));
  if (S_ISDIR(s.st_mode)) return file_error(errc::unreadable, path, "is a directory", "want a file");
  if (!S_ISREG(s.st_mode)) {
    return file_error(errc::unreadable, path, S_ISFIFO(s.st_mode) ? "is a pipe" : "is not a regular file",
                      "a workload may be read more than once: write it to a file first");
  }
  r.size_ = static_cast<std::uint64_t>(s.st_size);
  r.buffer_.resize(static_cast<std::size_t>((std::min<std::uint64_t>)((std::max<std::uint64_t>)(r.size_, 1), 256 << 10)));
  if (auto ok = r.look_at_begin(); !ok) return ok.error();
  return r;
}

// What is not lines of UTF-8 text is known by its first bytes, never by its name.
HOTPATH_FN result<void> line_reader::look_at_begin() {
  struct magic { std::string_view bytes, name, hint; };
  using namespace std::string_view_literals;
  static constexpr magic known[] = {
      {"\x1f\x8b"sv, "is compressed with gzip", "unpack it first: gzip -dk"},
      {"\x28\xb5\x2f\xfd"sv, "is compressed with zstd", "unpack it first: zstd -dk"},
      {"\xfd" "7zXZ\0"sv, "is compressed with xz", "unpack it first: xz -dk"},
      {"BZh"sv, "is compressed with bzip2", "unpack it first: bzip2 -dk"},
      {"PK\x03\x04"sv, "is a zip archive", "unpack it first: unzip"},
      {"PAR1"sv, "is a Parquet file", "write it as JSON lines first, one request per line"},
      {"\xff\xfe\0\0"sv, "is UTF-32 (little endian)", "convert it first: iconv -f UTF-32 -t UTF-8"},
      {"\0\0\xfe\xff"sv, "is UTF-32 (big endian)", "convert it first: iconv -f UTF-32 -t UTF-8"},
      {"\xff\xfe"sv, "is UTF-16 (little endian)", "convert it first: iconv -f UTF-16 -t UTF-8"},
      {"\xfe\xff"sv, "is UTF-16 (big endian)", "convert it first: iconv -f UTF-16 -t UTF-8"},
      // Without a byte order mark: ASCII and NUL take turns.
      {"{\0"sv, "is UTF-16 (little endian)", "convert it first: iconv -f UTF-16LE -t UTF-8"},
      {"\0{"sv, "is UTF-16 (big endian)", "convert it first: iconv -f UTF-16BE -t UTF-8"},
  };
  auto more = fill();
  if (!more) return more.error();
  std::string_view text = std::string_view(buffer_).substr(0, (std::min<std::size_t>)(end_, 4096));
  for (const magic& m : known) {
    if (text.starts_with(m.bytes)) return file_error(errc::unsupported, path_, std::string(m.name), std::string(m.hint));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::size_t i = text.find_first_not_of(" \t\r\n");
  first_byte_ = i == std::string_view::npos ? '\0' : text[i];
  return {};
}

HOTPATH_FN result<bool> line_reader::fill() {
  at_ = end_ = 0;
  const auto want = static_cast<std::size_t>((std::min<std::uint64_t>)(buffer_.size(), size_ - read_));
  if (want == 0) return false;
  ssize_t n = 0;
  do n = ::read(fd_, buffer_.data(), want);
  while (n < 0 && errno == EINTR);
  if (n < 0) return file_error(errc::io, path_, std::strerror(errno));
  if (n == 0) {
    shrunk_ = true;
    size_ = read_;
    return false;
  }
  end_ = static_cast<std::size_t>(n);
  read_ += end_;
  return true;
}

HOTPATH_FN result<bool> line_reader::next(line& out) {
  // The buffer of one huge line is not kept for the rest of the file.
  if (long_.capacity() > buffer_.size()) std::string().swap(long_);
  long_.clear();
  bool any = false, skipping = false, whole = false;  // whole: the line lies in the buffer
  while (!whole) {
    if (at_ == end_) {
      auto more = fill();
      if (!more) return more.error();
      if (!*more && !any) return false;
      if (!*more) break;  // the last line has no line end
    }
    any = true;
    const char* const begin = buffer_.data() + at_;
    const void* const lf = std::memchr(begin, '\n', end_ - at_);
    const std::size_t n = lf != nullptr ? static_cast<std::size_t>(static_cast<const char*>(lf) - begin) : end_ - at_;
    at_ += n + (lf != nullptr ? 1 : 0);
    skipping = skipping || n > limit_ - (std::min)(limit_, long_.size());
    whole = lf != nullptr && long_.empty() && !skipping;
    if (whole) out.text = std::string_view(begin, n);
    else if (skipping) std::string().swap(long_);
    else long_.append(begin, n);
    if (lf != nullptr) break;
  }
  if (!whole) out.text = long_;
  if (out.text.ends_with('\r')) out.text.remove_suffix(1);
  out.over_limit = skipping;
  out.number = ++number_;
  if (out.number == 1 && out.text.starts_with("\xef\xbb\xbf")) out.text.remove_prefix(3);
  return true;
}

HOTPATH_FN result<void> line_reader::rewind() {
  if (::lseek(fd_, 0, SEEK_SET) < 0) return file_error(errc::io, path_, std::strerror(errno));
  read_ = number_ = 0;
  at_ = end_ = 0;
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::replay::detail
// ---- hotpath/replay/workload.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

struct workload_options {
  std::uint64_t seed = 0;           // of synthetic prompts (unless the description has one) and of the marks of later passes
  bool prompt_ids = false;          // synthetic and trace rows: exactly N random token ids instead of about N words
  double input_scale = 1, output_scale = 1;  // trace rows: their lengths times this, at least 1 token; for a server of another size
  bool reuse_prompts = false;       // synthetic: the same prompt per length; files: no marks in later passes
  std::optional<bool> chat = {};    // true: every prompt as a chat message; false: messages are malformed; none: as given
  bool forward_unknown = true;      // other members of a line go into the request
  bool skip_empty = false;          // an empty prompt is counted and not sent
  bool strict = false;              // the first bad line is an error
  bool keep_text = false;           // fill prompt_text
  std::int64_t default_max_tokens = 256;
  std::size_t line_limit = std::size_t{64} << 20;
};

struct workload_item {
  std::uint64_t row = 0;            // which request of the workload, from 0; the same in every pass
  std::uint32_t pass = 0;           // from 0
  bool chat = false;                // prompt_json goes into "messages", else into "prompt"
  std::string prompt_json;          // one JSON value
  std::string extra_json;           // members to add, each with a comma before it: ,"temperature":0.2
  std::optional<std::int64_t> max_tokens;
  std::optional<nanoseconds> arrived;  // "timestamp", of the trace's own clock
  std::string given_id;             // as in the file, decoded: any text, possibly not unique; empty: none
  std::optional<std::int64_t> prompt_tokens_planned;  // token ids: exact; words: approximate; text: unknown
  std::uint64_t prompt_bytes = 0;   // of the text, UTF-8; 0 for token ids
  std::string prompt_text;          // with keep_text; several messages are joined by a line feed
};

class workload {
 public:
  // A path, or "synthetic:" with any of input=512, output=128 (tokens), requests=N (else endless), seed=N and
  // dist=constant|uniform|lognormal, which holds for both lengths, drawn apart, mean x each:
  //   uniform     whole numbers in [x - x/2, x + x/2]
  //   lognormal   sigma 0.5 (p99 = 2.8 x), rounded, at least 1 and at most 8 x
  // Errors: usage (the description, with key and value), not_found, unreadable, unsupported, empty (a file of 0 bytes), io.
  static result<workload> open(std::string_view what, workload_options options = {});

  // False: end of this pass. Errors: strict mode's, io, and `empty` when a whole first pass held no request.
  // The strings of `out` keep their capacity: no allocation per item once they have grown.
  result<bool> next(workload_item& out);
  result<void> rewind();

  const std::string& description() const { return description_; }  // the path, or all of the synthetic description
  std::string_view prompt_lengths() const;      // "token ids", "words (approximate)", "as given"
  std::optional<std::uint64_t> rows() const { return rows_; }      // a file: known after its first pass; none: endless or not yet
  bool endless() const { return synthetic_ && !rows_; }
  bool reuses_prompts() const { return options_.reuse_prompts; }
  const model::loss& lost() const { return lost_; }                // of the first pass, as all counts here
  std::span<const std::string> problems() const { return problems_; }  // the first 10, "file:line:column: …"
  std::uint64_t empty_prompts() const { return empty_; }           // sent, or with skip_empty not sent
  std::uint64_t duplicate_ids() const { return duplicate_ids_; }   // among the first 1,000,000 distinct ones
  std::uint64_t unmarked() const { return unmarked_; }             // in later passes: there was no text to put the mark into

 private:
  enum class spread : std::uint8_t { constant, uniform, lognormal };
  // Where the mark of a later pass goes: text in front, or token ids over the first ones. In bytes of prompt_json.
  struct mark {
    std::size_t at = 0, size = 0, ids = 0;
    bool there = false;
    bool own = false;               // this pass's prompts are its own without one
  };
  struct trace_row {
    std::optional<std::int64_t> input, output;
    std::string_view hash_ids;
  };

  static result<workload> open_synthetic(std::string_view what, workload_options options);
  void make_synthetic(workload_item& out) const;
  result<void> make_trace_prompt(std::string_view line, const trace_row& row, workload_item& out) const;
  void begin_prompt(workload_item& out, std::uint64_t tokens) const;
  void add_to_prompt(workload_item& out, stats::xoshiro256& random, std::uint64_t tokens) const;
  void end_prompt(workload_item& out) const;
  result<bool> next_line(workload_item& out);
  result<bool> parse(std::string_view line, workload_item& out, mark& where);
  result<bool> prompt(std::string_view line, std::string_view raw, workload_item& out, mark& where) const;
  result<bool> messages(std::string_view line, std::string_view raw, workload_item& out, mark& where) const;
  void put_mark(workload_item& out, const mark& where);
  void note_id(std::string_view id);
  void note_problem(const error& e);

  workload_options options_;
  std::string description_;
  bool synthetic_ = false, trace_rows_ = false;
  spread spread_ = spread::constant;
  std::uint64_t input_ = 512, output_ = 128;
  detail::line_reader lines_;
  json::reader reader_{std::string_view()};
  std::uint32_t pass_ = 0;
  std::uint64_t row_ = 0;         // of this pass
  std::uint64_t sequence_ = 0;    // of all passes
  std::optional<std::uint64_t> rows_;
  model::loss lost_;
  std::vector<std::string> problems_;
  std::uint64_t empty_ = 0, duplicate_ids_ = 0, unmarked_ = 0;
  key_set ids_;                   // hashes of given ids
};

// Appends one line that reads back as the same item (without its place in the stream and the prompt's text).
void append_jsonl(std::string& out, const workload_item& item);

// Calls bool sink(std::string_view line) for the rest of this pass, at most `limit` items (0: no limit), until it says false.
// Returns the number of lines it took.
// Errors: as next(); usage if the workload is endless and there is no limit.
template <class F>
result<std::uint64_t> write_jsonl(workload& from, F&& sink, std::uint64_t limit = 0);

// Lengths of one kind: exact counts by power of two, quantiles within 1 %.
struct length_counts {
  stats::sketch values;                        // count, min, max, sum, quantile
  std::array<std::uint64_t, 65> by_width{};    // [0]: zeros; [k]: lengths in [2^(k-1), 2^k)

  void add(std::uint64_t n) {
    values.add(static_cast<double>(n));
    ++by_width[static_cast<std::size_t>(std::bit_width(n))];
  }
};

struct workload_summary {
  std::uint64_t requests = 0, chats = 0;       // chats: of the requests
  std::uint64_t with_id = 0, duplicate_ids = 0, empty_prompts = 0;
  length_counts prompt_bytes;                  // of prompts that are text
  length_counts prompt_tokens;                 // of prompts whose tokens are known or planned
  length_counts max_tokens;
  model::loss lost;
};

// Reads the rest of this pass, at most `limit` items (0: no limit). Errors: as write_jsonl; a workload without any request is
// the error `empty`.
result<workload_summary> summarize(workload& load, std::uint64_t limit = 0);

template <class F>
result<std::uint64_t> write_jsonl(workload& from, F&& sink, std::uint64_t limit) {
  if (limit == 0 && from.endless()) {
    return error{.code = errc::usage, .detail = "has no end", .source = from.description(), .hint = "add requests=N to it"};
  }
  workload_item item;
  std::string line;
  std::uint64_t n = 0;
  for (; limit == 0 || n < limit; ++n) {
    const auto more = from.next(item);
    if (!more) return more.error();
    if (!*more) break;
    line.clear();
    append_jsonl(line, item);
    if (!sink(std::string_view(line))) break;
  }
  return n;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/workload-inl.hpp
// hotpath/replay/workload-inl.hpp - bodies of replay/workload.hpp
// ---- hotpath/replay/workload-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
// A request beyond this has no server: the longest contexts offered today are 10 million tokens.
inline constexpr std::int64_t max_tokens_limit = 10'000'000;
inline constexpr std::uint64_t synthetic_input_limit = 1'000'000;
inline constexpr std::uint64_t distinct_ids_kept = 1'000'000;
inline constexpr std::size_t problems_kept = 10;

// Random token ids come from [300, 1000). Above the 256 bytes of byte-level BPE (GPT-2, Llama 3, Qwen: ids 0-255), the control
// and byte tokens of Llama 2's SentencePiece (0-258); below 1,024, the smallest vocabulary anyone serves. Vocabularies that
// reserve their first 1,000 ids (Mistral's Tekken) accept them as input all the same.
inline constexpr std::uint64_t first_id = 300, id_count = 700;
// 700^7 > 2^64: seven ids hold any 64-bit number, so different numbers are different beginnings.
inline constexpr std::size_t mark_ids = 7;

// Short and frequent: one token each, with the blank before it, in the usual English BPE vocabularies.
inline constexpr std::string_view words[] = {
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not",
    "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one", "you", "were",
    "all", "her", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "no", "more", "if",
    "out", "so", "up", "said", "what", "its", "about", "than", "into", "them", "can", "only", "other", "time", "new", "some",
    "could", "these", "two", "may", "first", "then", "do", "any", "like", "my", "now", "over", "such", "our", "man", "me",
    "even", "most", "made", "after", "also", "did", "many", "off", "before", "must", "well", "back", "through", "years", "much", "where",
    "your", "way", "down", "should", "because", "long", "each", "just", "state", "those", "people", "too", "how", "little", "good", "world",
    "make", "very", "year", "still", "see", "work", "life", "men", "day", "get", "here", "both", "between", "under", "last", "never"};
inline constexpr std::uint64_t word_count = sizeof(words) / sizeof(words[0]);
static_assert(word_count == 128);

inline void append_ids(std::string& out, std::uint64_t value, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i, value /= id_count) {
    if (i != 0) out += ',';
    out += std::to_string(first_id + value % id_count);
  }
}

inline std::uint64_t hash_id(std::string_view id) {  // FNV-1a, then mixed: its low bits alone are weak
  std::uint64_t h = 0xcbf29ce484222325u;
  for (char c : id) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  h = stats::splitmix64(h).next();
  return h != 0 ? h : 1;
}

// What is wrong with a line. `where` is a view into it: its place is the column.
inline error bad_line(std::string_view line, std::string_view where, std::string what) {
  error e{.code = errc::malformed, .detail = std::move(what)};
  e.column = where.data() != nullptr ? static_cast<std::uint64_t>(where.data() - line.data()) + 1 : 1;
  return e;
}

inline std::string shown(std::string_view raw) { return text::printable(raw, 40); }

// Digits only: 1e9, 2.5 and "100" are slips, whatever value they have.
inline result<std::int64_t> token_limit(std::string_view line, std::string_view name, std::string_view raw) {
  std::int64_t n = 0;
  if (!text::to_number(raw, n) || n < 1 || n > max_tokens_limit) {
    return bad_line(line, raw, std::string(name) + " is " + shown(raw) + ", want a whole number from 1 to " + std::to_string(max_tokens_limit));
  }
  return n;
}

// An array of token ids, at the reader's next value. False: something else is among them.
inline bool read_ids(json::reader& in, std::size_t& count, std::size_t& mark_begin, std::size_t& mark_end) {
  bool good = in.peek() == json::kind::array;
  mark_begin = in.offset() + 1;
  in.array([&] {
    std::int64_t id = 0;
    const bool is_id = in.peek() == json::kind::number && in.integer(id) && id >= 0 && id <= INT32_MAX;
    good = good && is_id;
    if (++count <= mark_ids) mark_end = in.offset();
  });
  return good;
}

inline void clear(workload_item& item) {
  item.prompt_json.clear();
  item.extra_json.clear();
  item.given_id.clear();
  item.prompt_text.clear();
  item.prompt_tokens_planned.reset();
  item.arrived.reset();
  item.prompt_bytes = 0;
  item.chat = false;
}
}  // namespace detail

HOTPATH_FN result<workload> workload::open(std::string_view what, workload_options options) {
  if (what == "synthetic" || what.starts_with("synthetic:")) return open_synthetic(what, options);
  workload w;
  w.options_ = options;
  w.description_ = what;
  auto lines = detail::line_reader::open(w.description_, options.line_limit);
  if (!lines) return lines.error();
  w.lines_ = std::move(*lines);
  if (w.lines_.size() == 0) return error{.code = errc::empty, .detail = "nothing to send: the file is empty", .source = w.description_};
  if (w.lines_.first_byte() == '[') {
    return error{.code = errc::malformed, .detail = "is one JSON array, want JSON lines: one object per line", .source = w.description_,
                 .hint = "convert it: jq -c '.[]'"};
  }
  return w;
}

HOTPATH_FN std::string_view workload::prompt_lengths() const {
  if (!synthetic_ && !trace_rows_) return "as given";
  return options_.prompt_ids ? "token ids" : "words (approximate)";
}

HOTPATH_FN result<bool> workload::next(workload_item& out) {
  if (synthetic_) {
    if (rows_ && row_ == *rows_) return false;
    make_synthetic(out);
  } else {
    auto more = next_line(out);
    if (!more || !*more) return more;
  }
  out.row = row_++;
  out.pass = pass_;
  ++sequence_;
  return true;
}

HOTPATH_FN result<void> workload::rewind() {
  if (!synthetic_) {
    if (auto ok = lines_.rewind(); !ok) return ok;
  }
  ++pass_;
  row_ = 0;
  return {};
}

// ---- files

HOTPATH_FN void workload::note_problem(const error& e) {
  if (pass_ != 0) return;
  if (e.code == errc::over_limit) ++lost_.over_limit;
  else if (e.code == errc::io) ++lost_.truncated;
  else ++lost_.malformed;
  if (problems_.size() < detail::problems_kept) problems_.push_back(e.message());
}

HOTPATH_FN result<bool> workload::next_line(workload_item& out) {
  detail::line_reader::line line;
  for (;;) {
    auto more = lines_.next(line);
    if (!more) return more;
    if (!*more) break;
    error bad;
    if (line.over_limit) {
      bad = {.code = errc::over_limit, .detail = "the line is longer than " + std::to_string(options_.line_limit) + " bytes"};
    } else {
      const std::size_t begin = line.text.find_first_not_of(" \t");
      if (begin == std::string_view::npos || line.text[begin] == '#') continue;
      mark where;
      auto item = parse(line.text, out, where);
      if (item) {
        if (!*item) continue;
        if (pass_ != 0 && !options_.reuse_prompts) put_mark(out, where);
        return true;
      }
      bad = std::move(item).error();
    }
    bad.source = description_;
    bad.line = line.number;
    bad.has_byte = false;
    if (options_.strict) return bad;
    note_problem(bad);
  }
  if (pass_ == 0) {
    rows_ = row_;
    if (lines_.shrunk()) note_problem({.code = errc::io, .detail = "the file became shorter while it was read", .source = description_});
    if (row_ == 0) {
      error e{.code = errc::empty, .detail = "nothing to send: no line holds a request", .source = description_};
      if (lost_.total() != 0) e.detail += ", " + std::to_string(lost_.total()) + " are bad; the first: " + problems_.front();
      return e;
    }
  }
  return false;
}

HOTPATH_FN result<bool> workload::parse(std::string_view line, workload_item& out, mark& where) {
  std::string_view prompt_raw, messages_raw, conversations, limit, id, hint, timestamp;
  std::string_view limit_name;
  trace_row row;
  detail::clear(out);  // of the line before too, which may have been bad half-way
  out.max_tokens = options_.default_max_tokens;
  reader_.reset(line);
  const bool object = reader_.object([&](std::string_view key) {
    if (key == "prompt") {
      reader_.raw(prompt_raw);
    } else if (key == "messages") {
      reader_.raw(messages_raw);
    } else if (key == "conversations") {
      reader_.raw(conversations);
    } else if (key == "max_tokens" || key == "max_completion_tokens" || key == "output_tokens") {
      limit_name = key == "max_tokens" ? "max_tokens" : key == "output_tokens" ? "output_tokens" : "max_completion_tokens";
      reader_.raw(limit);
    } else if (key == "id" || key == "request_id" || key == "custom_id") {
      reader_.raw(id);
    } else if (key == "input_length" || key == "output_length") {
      std::int64_t n = -1;
      if (!reader_.integer(n) || n < 0) n = -1;
      (key == "input_length" ? row.input : row.output) = n;
    } else if (key == "hash_ids") {
      reader_.raw(row.hash_ids);
    } else if (key == "timestamp") {
      reader_.raw(timestamp);
    } else if (key != "stream" && key != "stream_options") {
      if (key == "body") hint = "; its request seems to be inside \"body\": jq -c '.body'";
      std::string_view raw;
      if (!options_.forward_unknown || !reader_.raw(raw)) return;
      out.extra_json += ',';
      json::writer{out.extra_json}.value(key);
      out.extra_json.append(":").append(raw);
    }
  });
  if (!reader_.finish()) return reader_.failure();
  if (!object) return detail::bad_line(line, {}, "not a JSON object");
  if (!limit.empty() && limit != "null") {
    auto n = detail::token_limit(line, limit_name, limit);
    if (!n) return n.error();
    out.max_tokens = *n;
  }
  if (!id.empty() && id != "null") {
    json::reader in{id};
    std::string_view s;
    std::int64_t n = 0;
    if (in.peek() == json::kind::string && in.string(s)) out.given_id = s;
    else if (in.peek() == json::kind::number && text::to_number(id, n)) out.given_id = id;
    else return detail::bad_line(line, id, "the id is " + detail::shown(id) + ", want a string or a whole number");
  }
  if (!timestamp.empty() && timestamp != "null") {
    json::reader in{timestamp};
    double ms = 0;
    if (!in.number(ms) || !(ms >= 0) || ms > 9e12) return detail::bad_line(line, timestamp, "timestamp is " + detail::shown(timestamp) + ", want milliseconds");
    out.arrived = nanoseconds{static_cast<std::int64_t>(ms * 1e6 + 0.5)};
  }
  if (!prompt_raw.empty() && !messages_raw.empty()) return detail::bad_line(line, messages_raw, "both \"prompt\" and \"messages\"");
  result<bool> empty = false;
  if (!prompt_raw.empty()) {
    empty = prompt(line, prompt_raw, out, where);
  } else if (!messages_raw.empty()) {
    empty = messages(line, messages_raw, out, where);
  } else if (!conversations.empty()) {
    std::string_view first;
    json::reader in{conversations};
    in.array([&] {
      std::string from;
      std::string_view s, value;
      in.object([&](std::string_view key) {
        if ((key == "from" || key == "role") && in.peek() == json::kind::string && in.string(s)) from = s;
        else if ((key == "value" || key == "content") && in.peek() == json::kind::string) in.raw(value);
      });
      if (first.empty() && (from == "human" || from == "user")) first = value;
    });
    if (first.empty()) return detail::bad_line(line, conversations, "\"conversations\" has no text from \"human\" or \"user\"");
    empty = prompt(line, first, out, where);
  } else if (row.input) {
    if (auto made = make_trace_prompt(line, row, out); !made) return made.error();
    where.own = true;
    trace_rows_ = true;
  } else {
    return detail::bad_line(line, {}, "neither \"prompt\" nor \"messages\"" + std::string(hint));
  }
  if (!empty) return empty;
  if (*empty) {
    if (pass_ == 0) ++empty_;
    if (options_.skip_empty) return false;
  }
  if (!out.given_id.empty() && pass_ == 0) note_id(out.given_id);
  return true;
}

// True: the prompt is empty.
HOTPATH_FN result<bool> workload::prompt(std::string_view line, std::string_view raw, workload_item& out, mark& where) const {
  json::reader in{raw};
  std::string_view text = raw, s;
  std::size_t elements = 0, ids = 0, mark_begin = 0, mark_end = 0;
  bool good = true, is_text = in.peek() == json::kind::string;
  if (!is_text && in.peek() == json::kind::array) {
    // [ids], or an array with one element: "text" or [ids]. More elements would be several requests.
    json::kind first = json::kind::end;
    json::reader look{raw};
    look.array([&] {
      if (elements++ != 0) return;
      first = look.peek();
      if (first == json::kind::string) look.raw(text);
    });
    is_text = first == json::kind::string;
    if (first == json::kind::number || first == json::kind::end) good = detail::read_ids(in, ids, mark_begin, mark_end);
    else if (elements > 1) return detail::bad_line(line, raw, "\"prompt\" has " + std::to_string(elements) + " prompts, want one per line");
    else if (first == json::kind::array) in.array([&] { good = detail::read_ids(in, ids, mark_begin, mark_end); });
    else good = is_text;
  } else {
    good = is_text;
  }
  if (!good) return detail::bad_line(line, raw, "\"prompt\" is " + detail::shown(raw) + ", want a string or an array of token ids (0 to 2147483647)");
  if (is_text) {
    json::reader decode{text};
    decode.string(s);
    out.prompt_bytes = s.size();
    if (options_.keep_text) out.prompt_text = s;
    where = {.at = static_cast<std::size_t>(text.data() - raw.data()) + 1, .there = true};
  } else {
    out.prompt_tokens_planned = static_cast<std::int64_t>(ids);
    where = {.at = mark_begin, .size = ids != 0 ? mark_end - mark_begin : 0, .ids = (std::min)(ids, detail::mark_ids), .there = ids != 0};
  }
  if (options_.chat.value_or(false)) {
    if (!is_text) return detail::bad_line(line, raw, "token ids cannot be sent to the chat API");
    constexpr std::string_view before = R"([{"role":"user","content":)";
    out.chat = true;
    out.prompt_json.append(before).append(text).append("}]");
    where.at = before.size() + 1;
  } else {
    out.prompt_json = raw;
  }
  return is_text ? s.empty() : ids == 0;
}

// True: there is no message.
HOTPATH_FN result<bool> workload::messages(std::string_view line, std::string_view raw, workload_item& out, mark& where) const {
  if (!options_.chat.value_or(true)) return detail::bad_line(line, raw, "\"messages\" cannot be sent to the completions API");
  json::reader in{raw};
  bool good = in.peek() == json::kind::array;
  std::size_t count = 0;
  const auto text = [&] {
    const std::size_t at = in.offset() + 1;
    std::string_view s;
    if (!in.string(s)) return;
    if (!where.there) where = {.at = at, .there = true};
    if (options_.keep_text) {
      if (!out.prompt_text.empty()) out.prompt_text += '\n';
      out.prompt_text += s;
    }
    out.prompt_bytes += s.size();
  };
  in.array([&] {
    ++count;
    good = good && in.peek() == json::kind::object;
    in.object([&](std::string_view key) {
      if (key != "content") return;
      if (in.peek() == json::kind::string) return text();
      in.array([&] {  // parts: {"type":"text","text":"…"}; images and the like go as they are
        in.object([&](std::string_view part) {
          if (part == "text" && in.peek() == json::kind::string) text();
        });
      });
    });
  });
  if (!good) return detail::bad_line(line, raw, "\"messages\" is " + detail::shown(raw) + ", want an array of objects");
  out.chat = true;
  out.prompt_json = raw;
  return count == 0;
}

HOTPATH_FN void workload::put_mark(workload_item& out, const mark& where) {
  if (where.own) return;
  if (!where.there) {
    ++unmarked_;
    return;
  }
  // splitmix64 is a bijection: no two requests of a run share a mark.
  std::uint64_t value = stats::splitmix64(options_.seed + sequence_).next();
  std::string text;
  if (where.ids != 0) {
    detail::append_ids(text, value, where.ids);
  } else {
    for (int i = 0; i < 16; ++i, value >>= 4) text += "0123456789abcdef"[value & 15];
    text += ' ';
    out.prompt_bytes += text.size();
    if (options_.keep_text) out.prompt_text.insert(0, text);
  }
  out.prompt_json.replace(where.at, where.size, text);
}

HOTPATH_FN void workload::note_id(std::string_view id) {
  const std::uint64_t h = detail::hash_id(id);
  if (ids_.contains(h)) ++duplicate_ids_;
  else if (ids_.size() < detail::distinct_ids_kept) ids_.insert(h);
}

// ---- synthetic

HOTPATH_FN result<workload> workload::open_synthetic(std::string_view what, workload_options options) {
  workload w;
  w.synthetic_ = true;
  const auto usage = [&](std::string detail) {
    return error{.code = errc::usage, .detail = std::move(detail), .source = text::printable(what, 200),
                 .hint = "want synthetic:input=512,output=128,requests=1000,dist=constant|uniform|lognormal,seed=1"};
  };
  if (options.prompt_ids && options.chat.value_or(false)) return usage("token ids cannot be sent to the chat API");
  std::string_view rest = what.substr((std::min<std::size_t>)(what.size(), std::string_view("synthetic:").size()));
  std::uint64_t requests = 0;
  struct key { std::string_view name; std::uint64_t* value; std::uint64_t lowest, highest; bool seen = false; };
  key keys[] = {{"input", &w.input_, 1, detail::synthetic_input_limit},
                {"output", &w.output_, 1, static_cast<std::uint64_t>(detail::max_tokens_limit)},
                {"requests", &requests, 1, 1'000'000'000'000},
                {"seed", &options.seed, 0, UINT64_MAX},
                {"dist", nullptr, 0, 0}};
  while (!rest.empty()) {
    std::string_view value = text::take(rest, ',');
    const std::string_view name = text::take(value, '=');
    key* const k = std::find_if(std::begin(keys), std::end(keys), [&](const key& one) { return one.name == name; });
    if (k == std::end(keys)) return usage("unknown key \"" + text::printable(name, 40) + "\"");
    if (k->seen) return usage("key " + std::string(name) + " appears twice");
    k->seen = true;
    if (k->value != nullptr) {
      auto n = text::parse_number<std::uint64_t>(value, k->lowest, k->highest);
      if (!n) return usage(std::string(name) + ": " + n.error().detail);
      *k->value = *n;
    } else if (value == "uniform") {
      w.spread_ = spread::uniform;
    } else if (value == "lognormal") {
      w.spread_ = spread::lognormal;
    } else if (value != "constant") {
      return usage("dist: \"" + text::printable(value, 40) + "\", want constant, uniform or lognormal");
    }
  }
  if (requests != 0) w.rows_ = requests;
  w.options_ = options;
  constexpr std::string_view dists[] = {"constant", "uniform", "lognormal"};
  w.description_ = "synthetic:input=" + std::to_string(w.input_) + ",output=" + std::to_string(w.output_);
  if (requests != 0) w.description_ += ",requests=" + std::to_string(requests);
  w.description_.append(",dist=").append(dists[static_cast<std::size_t>(w.spread_)]).append(",seed=").append(std::to_string(options.seed));
  return w;
}

HOTPATH_FN void workload::make_synthetic(workload_item& out) const {
  detail::clear(out);
  // A generator per request: request k is the same whoever made the ones before it.
  stats::xoshiro256 random{stats::splitmix64(options_.seed).next() + sequence_};
  const auto length = [&](std::uint64_t mean) {
    if (spread_ == spread::uniform) return mean - mean / 2 + random.below(mean / 2 * 2 + 1);
    if (spread_ == spread::constant) return mean;
    constexpr double sigma = 0.5;  // E[exp(N(m, s))] = exp(m + s^2/2)
    const double x = static_cast<double>(mean);
    const double drawn = x * std::exp(sigma * random.normal() - sigma * sigma / 2);
    return static_cast<std::uint64_t>(std::clamp(drawn, 1.0, 8 * x) + 0.5);
  };
  const std::uint64_t input = length(input_);
  out.max_tokens = static_cast<std::int64_t>((std::min<std::uint64_t>)(length(output_), static_cast<std::uint64_t>(detail::max_tokens_limit)));
  out.prompt_tokens_planned = static_cast<std::int64_t>(input);
  if (options_.reuse_prompts) random = stats::xoshiro256{options_.seed};
  begin_prompt(out, input);
  add_to_prompt(out, random, input);
  end_prompt(out);
}

// ---- rows of arrival traces

// Lengths and prefix blocks of the row, scaled. Blocks have 512 tokens in Mooncake's traces and 16 in Bailian's; the row tells
// which: n ids cover its length. Equal ids at equal places are equal text, whatever the row.
HOTPATH_FN result<void> workload::make_trace_prompt(std::string_view line, const trace_row& row, workload_item& out) const {
  if (*row.input < 0 || *row.input > static_cast<std::int64_t>(detail::synthetic_input_limit) || row.output.value_or(0) < 0 || row.output.value_or(0) > detail::max_tokens_limit)
    return detail::bad_line(line, {}, "input_length wants a whole number up to " + std::to_string(detail::synthetic_input_limit) + ", output_length up to " + std::to_string(detail::max_tokens_limit));
  std::size_t ids = 0;
  bool good = true;
  std::int64_t id = 0;
  if (!row.hash_ids.empty()) {
    json::reader in{row.hash_ids};
    good = in.array([&] { good = in.integer(id) && good, ++ids; }) && good;
  }
  if (!good) return detail::bad_line(line, row.hash_ids, "hash_ids is " + detail::shown(row.hash_ids) + ", want an array of whole numbers");
  const auto scaled = [&](double tokens) { return static_cast<std::uint64_t>(tokens * options_.input_scale + 0.5); };
  const auto length = static_cast<std::uint64_t>(*row.input);
  const std::uint64_t wanted = std::clamp<std::uint64_t>(scaled(static_cast<double>(length)), 1, detail::synthetic_input_limit);
  std::uint64_t block = ids == 0 ? length : (length + ids - 1) / ids;
  for (const std::uint64_t usual : {std::uint64_t{512}, std::uint64_t{16}})
    if (ids != 0 && (length + usual - 1) / usual == ids) block = usual;

  if (row.output)
    out.max_tokens = (std::max<std::int64_t>)(1, static_cast<std::int64_t>(static_cast<double>(*row.output) * options_.output_scale + 0.5));
  out.prompt_tokens_planned = static_cast<std::int64_t>(wanted);
  begin_prompt(out, wanted);
  const std::uint64_t pass_seed = stats::splitmix64(options_.seed).next() + (options_.reuse_prompts ? 0 : pass_);
  std::uint64_t made = 0, k = 0;
  const auto add = [&](std::uint64_t of, std::uint64_t until) {
    stats::xoshiro256 random{stats::splitmix64(pass_seed ^ stats::splitmix64(of).next()).next()};
    until = (std::min)(until, wanted);
    if (until > made) add_to_prompt(out, random, until - made), made = until;
  };
  json::reader in{row.hash_ids.empty() ? std::string_view("[]") : row.hash_ids};
  in.array([&] { in.integer(id), add(static_cast<std::uint64_t>(id), scaled(static_cast<double>(++k * block))); });
  add(detail::hash_id(std::to_string(row_)), wanted);  // what no id covers is this row's own
  end_prompt(out);
  return {};
}

HOTPATH_FN void workload::begin_prompt(workload_item& out, std::uint64_t tokens) const {
  out.chat = options_.chat.value_or(false) && !options_.prompt_ids;
  if (options_.prompt_ids) out.prompt_json.reserve(static_cast<std::size_t>(tokens) * 4 + 1);
  out.prompt_json = options_.prompt_ids ? "[" : out.chat ? R"([{"role":"user","content":")" : "\"";
}

HOTPATH_FN void workload::add_to_prompt(workload_item& out, stats::xoshiro256& random, std::uint64_t tokens) const {
  std::string& json = out.prompt_json;
  const std::size_t before = json.size();
  bool first = json.back() == '[' || json.back() == '"';
  for (std::uint64_t i = 0; i < tokens; ++i, first = false) {
    if (options_.prompt_ids) {
      const auto id = static_cast<unsigned>(detail::first_id + random.below(detail::id_count));
      const char text[] = {',', static_cast<char>('0' + id / 100), static_cast<char>('0' + id / 10 % 10), static_cast<char>('0' + id % 10)};
      json.append(text + (first ? 1 : 0), sizeof text - (first ? 1 : 0));
    } else {
      if (!first) json += ' ';
      json += detail::words[random.below(detail::word_count)];
    }
  }
  if (options_.prompt_ids) return;
  out.prompt_bytes += json.size() - before;
  if (options_.keep_text) out.prompt_text.append(json, before);
}

HOTPATH_FN void workload::end_prompt(workload_item& out) const { out.prompt_json += options_.prompt_ids ? "]" : out.chat ? "\"}]" : "\""; }

// ---- what `traffic` prints and writes

HOTPATH_FN void append_jsonl(std::string& out, const workload_item& item) {
  out.append(item.chat ? "{\"messages\":" : "{\"prompt\":").append(item.prompt_json);
  if (item.max_tokens) out.append(",\"max_tokens\":").append(std::to_string(*item.max_tokens));
  out += item.extra_json;
  if (item.arrived) {
    out += ",\"timestamp\":";
    json::writer{out}.value(item.arrived->ms());
  }
  if (!item.given_id.empty()) {
    out += ",\"id\":";
    json::writer{out}.value(item.given_id);
  }
  out += "}\n";
}

HOTPATH_FN result<workload_summary> summarize(workload& load, std::uint64_t limit) {
  workload_summary s;
  if (limit == 0 && load.endless()) {
    return error{.code = errc::usage, .detail = "has no end", .source = load.description(), .hint = "add requests=N to it"};
  }
  workload_item item;
  while (limit == 0 || s.requests < limit) {
    const auto more = load.next(item);
    if (!more) return more.error();
    if (!*more) break;
    ++s.requests;
    if (item.chat) ++s.chats;
    if (!item.given_id.empty()) ++s.with_id;
    if (item.prompt_tokens_planned) s.prompt_tokens.add(static_cast<std::uint64_t>(*item.prompt_tokens_planned));
    if (item.prompt_bytes != 0 || !item.prompt_tokens_planned) s.prompt_bytes.add(item.prompt_bytes);
    if (item.max_tokens) s.max_tokens.add(static_cast<std::uint64_t>(*item.max_tokens));
  }
  s.duplicate_ids = load.duplicate_ids();
  s.empty_prompts = load.empty_prompts();
  s.lost = load.lost();
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/api.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

enum class api : std::uint8_t { automatic, completions, chat };
inline constexpr std::string_view api_names[] = {"auto", "completions", "chat"};
constexpr std::string_view name_of(api a) { return api_names[static_cast<std::size_t>(a)]; }

struct body_options {
  std::string model = {};
  bool ignore_eos = false;   // sends ignore_eos and min_tokens = max_tokens: a fixed output length
  std::string extra_body = {};  // a JSON object; its members replace those of the workload and ours, except "stream"
};

// Checks that `extra_body` is a JSON object. Errors: usage, with what is wrong.
result<void> check(const body_options&);

// Appends the JSON body of one request. `options` has passed check().
void write_body(std::string& out, const workload_item& item, const body_options& options);

struct event_facts {
  bool done = false;           // data: [DONE]
  bool malformed = false;      // not a JSON object
  bool error = false;          // an error object; event_reader::message() has its text
  bool content = false;
  model::content_kind kind = model::content_kind::text;
  bool finish = false;         // event_reader::finish_reason() has it
  std::uint32_t token_ids = 0; // token ids that the server listed in this event
  bool usage = false;          // a usage object was there
  std::optional<std::int64_t> prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
};

class event_reader {
 public:
  // The facts of one event's data; valid until the next call, as the texts are. `text`, when given, receives the content.
  const event_facts& read(std::string_view data, std::string* text = nullptr);
  // The same for a body that is not a stream: an error answer.
  const event_facts& read_error(std::string_view body);

  std::string_view finish_reason() const { return finish_reason_; }
  std::string_view message() const { return message_; }
  std::uint64_t repaired() const { return repaired_; }  // ill-formed places tolerated in the last read

 private:
  void choice(json::reader& r, std::string* text);
  void delta(json::reader& r, std::string* text);
  void usage(json::reader& r);
  void error_object(json::reader& r);
  void content(std::string_view piece, model::content_kind kind, std::string* text);

  event_facts facts_;
  std::string finish_reason_, message_;
  std::uint64_t repaired_ = 0;
};

// The server behind /v1/models: the first model and, where it can be told, the engine.
struct served_model {
  std::string id;
  std::string engine;             // "vllm", "sglang", "tensorrt_llm", "llamacpp", …: owned_by as it is; empty: not told
  bool takes_token_ids = false;   // known to accept a prompt of token ids on /v1/completions
};
// Errors: malformed (not JSON, no "data"), empty (no model served).
result<served_model> read_models(std::string_view body, std::string_view source);

// Where a server tells the version of its engine: a member of a JSON object.
struct version_place {
  std::string_view path, member;
};
version_place version_place_of(std::string_view engine);
// A text member of the outermost object, at most 128 bytes; empty: it has none, or this is no JSON.
std::string text_member(std::string_view body, std::string_view name);

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/api-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN result<void> check(const body_options& options) {
  if (options.extra_body.empty()) return {};
  json::reader r{options.extra_body};
  const bool object = r.object([&](std::string_view) {});
  if (!r.finish()) return r.failure("extra body");
  if (!object) return error{.code = errc::usage, .detail = "the extra body must be a JSON object", .hint = "for example {\"temperature\": 0}"};
  return {};
}

HOTPATH_FN void write_body(std::string& out, const workload_item& item, const body_options& options) {
  // Members in order of first mention; a later mention replaces the value: ours, then the workload's, then the user's.
  std::vector<std::pair<std::string, std::string>> members;
  const auto set = [&](std::string_view key, std::string_view raw) {
    const auto it = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
    if (it != members.end()) it->second = raw;
    else members.emplace_back(key, raw);
  };
  const auto set_all = [&](std::string_view object) {
    json::reader r{object};
    r.object([&](std::string_view key) {
      const std::string name{key};
      std::string_view raw;
      if (r.raw(raw) && name != "stream") set(name, raw);
    });
  };
  std::string model;
  json::writer{model}.value(std::string_view{options.model});
  set("model", model);
  set(item.chat ? "messages" : "prompt", item.prompt_json);
  if (item.max_tokens) {
    const std::string n = std::to_string(*item.max_tokens);
    set("max_tokens", n);
    if (options.ignore_eos) {
      set("ignore_eos", "true");
      set("min_tokens", n);
    }
  }
  set("stream", "true");
  set("stream_options", R"({"include_usage":true})");
  if (!item.extra_json.empty()) set_all("{" + item.extra_json.substr(item.extra_json.find_first_not_of(", ")) + "}");
  if (!options.extra_body.empty()) set_all(options.extra_body);

  char separator = '{';
  for (const auto& [key, raw] : members) {
    out += std::exchange(separator, ',');
    json::writer{out}.value(std::string_view{key});
    out += ':';
    out += raw;
  }
  out += '}';
}

HOTPATH_FN void event_reader::content(std::string_view piece, model::content_kind kind, std::string* text) {
  if (piece.empty()) return;
  // An event with reasoning and answer counts as answer: it is the first output a reader sees.
  if (!facts_.content || kind == model::content_kind::text) facts_.kind = kind;
  facts_.content = true;
  if (text != nullptr && kind != model::content_kind::tool_call) *text += piece;
}

HOTPATH_FN void event_reader::delta(json::reader& r, std::string* text) {
  using model::content_kind;
  std::string_view s;
  r.object([&](std::string_view key) {
    if (key == "content") {
      if (r.string(s)) content(s, content_kind::text, text);
    } else if (key == "reasoning" || key == "reasoning_content") {
      if (r.string(s)) content(s, content_kind::reasoning, text);
    } else if (key == "tool_calls") {
      r.array([&] {
        r.object([&](std::string_view call) {
          if (call != "function") return;
          r.object([&](std::string_view part) {
            if ((part == "name" || part == "arguments") && r.string(s)) content(s, content_kind::tool_call, text);
          });
        });
      });
    }
  });
}

HOTPATH_FN void event_reader::choice(json::reader& r, std::string* text) {
  std::string_view s;
  r.object([&](std::string_view key) {
    if (key == "text") {
      if (r.string(s)) content(s, model::content_kind::text, text);
    } else if (key == "delta") {
      delta(r, text);
    } else if (key == "finish_reason") {
      if (r.string(s) && !s.empty()) {
        facts_.finish = true;
        finish_reason_ = s;
      }
    } else if (key == "token_ids") {
      r.array([&] { ++facts_.token_ids; });
    }
  });
}

HOTPATH_FN void event_reader::usage(json::reader& r) {
  const auto count = [&](std::optional<std::int64_t>& into) {
    if (std::int64_t n; r.integer(n) && n >= 0) into = n;
  };
  facts_.usage |= r.object([&](std::string_view key) {
    if (key == "prompt_tokens") count(facts_.prompt_tokens);
    else if (key == "completion_tokens") count(facts_.completion_tokens);
    else if (key == "prompt_tokens_details")
      r.object([&](std::string_view k) { if (k == "cached_tokens") count(facts_.cached_tokens); });
    else if (key == "completion_tokens_details")
      r.object([&](std::string_view k) { if (k == "reasoning_tokens") count(facts_.reasoning_tokens); });
  });
}

// {"message": …, "type": …, "code": …}, or a plain string; null is no error.
HOTPATH_FN void event_reader::error_object(json::reader& r) {
  std::string_view s;
  switch (r.peek()) {
    case json::kind::null: r.null(); return;
    case json::kind::string:
      r.string(s);
      message_ = s;
      break;
    default: r.object([&](std::string_view key) { if (key == "message" && r.string(s)) message_ = s; });
  }
  facts_.error = true;
}

HOTPATH_FN const event_facts& event_reader::read(std::string_view data, std::string* text) {
  facts_ = {};
  finish_reason_.clear();
  message_.clear();
  repaired_ = 0;
  if (data == "[DONE]") {
    facts_.done = true;
    return facts_;
  }
  json::reader r{data, json::mode::tolerant_text};
  bool flat_error = false;
  const bool object = r.object([&](std::string_view key) {
    std::string_view s;
    if (key == "choices") r.array([&] { choice(r, text); });
    else if (key == "usage") usage(r);
    else if (key == "error") error_object(r);
    else if (key == "object") flat_error |= r.string(s) && s == "error";  // older vLLM: {"object":"error","message":…}
    else if (key == "message" && r.string(s) && message_.empty()) message_ = s;
  });
  facts_.error |= flat_error;
  facts_.malformed = !r.finish() || !object;
  repaired_ = r.repaired();
  return facts_;
}

HOTPATH_FN const event_facts& event_reader::read_error(std::string_view body) {
  read(body);
  if (!message_.empty() || facts_.malformed) return facts_;
  // FastAPI: {"detail": "…"} or {"detail": [{"msg": …, "input": <the request>}]}; the request must not reach us.
  json::reader r{body, json::mode::tolerant_text};
  r.object([&](std::string_view key) {
    std::string_view s;
    if (key != "detail") return;
    if (r.peek() == json::kind::string) {
      if (r.string(s)) message_ = s;
    } else {
      r.array([&] { r.object([&](std::string_view k) { if (k == "msg" && message_.empty() && r.string(s)) message_ = s; }); });
    }
  });
  return facts_;
}

HOTPATH_FN result<served_model> read_models(std::string_view body, std::string_view source) {
  // Engines whose /v1/completions takes a list of token ids as prompt, by the "owned_by" they report:
  // vllm-project/vllm, sgl-project/sglang, NVIDIA/TensorRT-LLM, ggml-org/llama.cpp, and examples/server here.
  static constexpr std::string_view take_ids[] = {"vllm", "sglang", "tensorrt_llm", "llamacpp", "hotpath"};
  served_model m;
  bool list = false;
  json::reader r{body};
  r.object([&](std::string_view key) {
    if (key != "data") return;
    list = r.array([&] {
      std::string_view s;
      const bool first = m.id.empty();
      r.object([&](std::string_view k) {
        if (k == "id" && r.string(s) && first) m.id = s;
        else if (k == "owned_by" && r.string(s) && first) m.engine = s;
      });
    });
  });
  if (!r.finish()) return r.failure(source);
  if (!list) return error{.code = errc::malformed, .detail = "the list of models has no \"data\"", .source = std::string(source), .hint = "name the model with --model"};
  if (m.id.empty()) return error{.code = errc::empty, .detail = "the server names no model", .source = std::string(source), .hint = "name the model with --model"};
  for (const std::string_view name : take_ids) m.takes_token_ids |= m.engine == name;
  return m;
}

HOTPATH_FN version_place version_place_of(std::string_view engine) {
  if (engine == "sglang") return {"/server_info", "version"};
  if (engine == "llamacpp") return {"/props", "build_info"};
  return {"/version", "version"};
}

HOTPATH_FN std::string text_member(std::string_view body, std::string_view name) {
  json::reader in{body, json::mode::tolerant_text};
  std::string out;
  std::string_view s;
  in.object([&](std::string_view key) {
    if (key == name && in.peek() == json::kind::string && in.string(s)) out = s.substr(0, 128);
  });
  return in.finish() ? out : std::string();
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/control/doctor-inl.hpp

namespace hotpath::inline HOTPATH_ABI::control {

namespace detail {

using enum condition;

// Without a locale.
inline std::string number(double v, int decimals = 1) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof text, v, std::chars_format::fixed, decimals).ptr};
}
// 1,234,567
inline std::string count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

// The beginning of a file of /proc or /sys; empty: not there.
inline std::string beginning(const std::string& path, std::size_t most = 64 << 10) {
  std::string out;
  if (std::FILE* f = std::fopen(path.c_str(), "re"); f != nullptr) {
    out.resize(most);
    out.resize(std::fread(out.data(), 1, most, f));
    std::fclose(f);
  }
  return out;
}
// The number behind `key` in lines of "key: number"; nothing: not there.
inline std::optional<std::uint64_t> field(std::string_view lines, std::string_view key) {
  const std::size_t at = lines.find(key);
  if (at == std::string_view::npos || (at != 0 && lines[at - 1] != '\n')) return std::nullopt;
  std::string_view rest = lines.substr(at + key.size());
  while (!rest.empty() && (rest.front() == ':' || rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  std::size_t n = 0;
  while (n < rest.size() && hotpath::text::is_digit(rest[n])) ++n;
  std::uint64_t v = 0;
  if (!hotpath::text::to_number(rest.substr(0, n), v)) return std::nullopt;
  return v;
}
inline bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t i = 0; (i = text.find(word, i)) != std::string_view::npos; i += word.size()) {
    const bool begins = i == 0 || hotpath::text::is_space(text[i - 1]) || text[i - 1] == ':';
    const bool ends = i + word.size() == text.size() || hotpath::text::is_space(text[i + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

// Kept once loaded: what CUPTI's initializers allocate is lost with each unloading (libcupti.so.13).
inline bool loads_by_dlopen(const char* library) {
  void* const handle = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

class machine {
 public:
  machine(diagnosis& d, const machine_options& o) : d_(d), o_(o), loads_(o.loads != nullptr ? o.loads : loads_by_dlopen) {}

  void examine() {
    descriptors(), ports(), processors(), memory();
    time_stamp_counter(), clock_source(), frequency(), receive_stamps();
    for (const part& p : o_.parts)
      add("parts", p.name, p.built ? pass : warn, p.built ? "built in" : "not built in", p.built ? p.gives : "without it no " + p.gives, p.built ? "" : p.next);
    gpu();
  }

 private:
  void add(const char* group, std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    d_.rows.push_back({group, std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  }
  std::string read(const char* path) const { return beginning(o_.root + path); }

  void descriptors() {
    rlimit r{};
    if (::getrlimit(RLIMIT_NOFILE, &r) != 0) return add("machine", "open files", unknown, "", "the limit cannot be read");
    constexpr std::uint64_t own = 32;  // as replay::preflight
    const std::uint64_t streams = r.rlim_cur > own ? r.rlim_cur - own : 0;
    const bool low = r.rlim_cur < 1024;
    const bool higher = r.rlim_max == RLIM_INFINITY || r.rlim_max > 65536;
    add("machine", "open files", low ? warn : pass, r.rlim_cur == RLIM_INFINITY ? "no limit" : count(r.rlim_cur), r.rlim_cur == RLIM_INFINITY ? "any number of streams" : "at most " + count(streams) + " streams at once",
        low ? "ulimit -n " + std::string(higher ? "65536" : std::to_string(r.rlim_max)) : "", low);
  }

  void ports() {
    const std::string range = read("/proc/sys/net/ipv4/ip_local_port_range");
    unsigned first = 0, last = 0;
    if (std::sscanf(range.c_str(), "%u %u", &first, &last) != 2 || last < first) return add("machine", "local ports", unknown, "", "the range cannot be read; the kernel's default has 28,232");
    const unsigned n = last - first + 1;
    add("machine", "local ports", n < 10'000 ? warn : pass, count(n), "at most so many connections to one address; each that is closed keeps its port for a minute",
        n < 10'000 ? "sysctl net.ipv4.ip_local_port_range=\"10000 65000\"" : "", n < 1000);
  }

  void processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    double cpus = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
    std::string value = number(cpus, 0);
    long long quota = 0, period = 0;
    if (std::sscanf(read("/sys/fs/cgroup/cpu.max").c_str(), "%lld %lld", &quota, &period) == 2 && period > 0) {
      const double share = static_cast<double>(quota) / static_cast<double>(period);
      if (share < cpus) value += ", " + number(share) + " by the cgroup", cpus = share;
    }
    add("machine", "CPUs", cpus < 2 ? warn : pass, value, cpus < 2 ? "the client shares its only core with whatever else runs here" : "the client keeps one thread busy at the most by default",
        cpus < 2 ? "run it on another machine than the server" : "");
    double load = 0;
    const std::string loads = read("/proc/loadavg");
    if (!hotpath::text::to_number(std::string_view(loads).substr(0, loads.find(' ')), load)) return add("machine", "load", unknown, "", "not told");
    const bool busy = load > 0.8 * cpus;
    add("machine", "load", busy ? warn : pass, number(load, 2) + " over the last minute", busy ? "others use the cores: the client may be late, and would say so" : "the cores are mostly free",
        busy ? "end what else runs here, or measure from another machine" : "");
  }

  void memory() {
    const auto available = field(read("/proc/meminfo"), "MemAvailable");
    if (!available) return add("machine", "memory", unknown, "", "not told");
    std::uint64_t free = *available * 1024, most = 0, used = 0;
    const std::string limit = read("/sys/fs/cgroup/memory.max"), now = read("/sys/fs/cgroup/memory.current");
    if (hotpath::text::to_number(hotpath::text::trim(limit), most) && hotpath::text::to_number(hotpath::text::trim(now), used)) if (const std::uint64_t left = most > used ? most - used : 0; left < free) free = left;
    const bool low = free < 512ull << 20;
    add("machine", "memory", low ? warn : pass, number(static_cast<double>(free) / (1 << 30)) + " GiB available", low ? "little for a run of many streams" : "about 1.5 KiB per stream are needed",
        low ? "end what else runs here" : "", low);
  }

  // ---- clocks

  void time_stamp_counter() {
    const std::string info = read("/proc/cpuinfo");
    const std::size_t flags = info.find("\nflags");
    if (flags == std::string::npos) {
      const bool arm = info.find("\nFeatures") != std::string::npos;  // its counter runs at one rate by the architecture
      return add("clocks", "time stamp counter", arm ? pass : unknown, arm ? "architectural" : "", arm ? "one rate on every core" : "the processor does not tell");
    }
    const std::string_view line = std::string_view(info).substr(flags + 1, info.find('\n', flags + 1) - flags - 1);
    const bool good = has_word(line, "constant_tsc") && has_word(line, "nonstop_tsc");
    add("clocks", "time stamp counter", good ? pass : warn, good ? "invariant" : "not invariant", good ? "one rate, also when a core sleeps" : "its rate or its run depends on the power state",
        good ? "" : "hotpath takes the kernel's clock; nothing to do unless that is slow, below");
  }

  void clock_source() {
    const std::string source(hotpath::text::trim(read("/sys/devices/system/clocksource/clocksource0/current_clocksource")));
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
      const nanoseconds begin = monotonic_now();
      for (int i = 0; i < 200; ++i) static_cast<void>(monotonic_now());
      const double each = static_cast<double>((monotonic_now() - begin).ns) / 201;
      if (each < best) best = each;
    }
    const bool slow = best > 250;  // a system call each time: hpet, acpi_pm, or a hypervisor in between
    add("clocks", "clock source", slow ? warn : pass, (source.empty() ? "not told" : hotpath::text::printable(source, 32)) + ", " + number(best, 0) + " ns a read",
        slow ? "each reading of the clock is a system call, which slows the client" : "read without a system call", slow ? "boot with clocksource=tsc, or ask the host's operator" : "", best > 2000);
  }

  void frequency() {
    const std::string governor(hotpath::text::trim(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")));
    if (governor.empty()) return;  // a virtual machine: it is the host's to set
    const bool good = governor == "performance";
    add("clocks", "CPU frequency", good ? pass : warn, hotpath::text::printable(governor, 32), good ? "does not follow the load" : "follows the load: the first requests after a pause are slower",
        good ? "" : "cpupower frequency-set -g performance");
  }

  void receive_stamps() {
    const auto p = net::probe_stamps();
    if (!p) return add("clocks", "receive stamps", warn, "no loopback", p.error().message(), "bring the loopback up: ip link set lo up", true);
    if (p->stamped == 0)
      return add("clocks", "receive stamps", warn, "none", "SO_TIMESTAMPNS gives nothing here: arrivals are timed when the client reads them, later when it is busy",
                 "gVisor and some emulators lack it; measure from a plain Linux", true);
    // Not every read needs a stamp that can be used: the bridge of the clocks refuses those of a moment in which the machine was too busy to compare them.
    add("clocks", "receive stamps", pass, std::to_string(p->stamped) + " of " + std::to_string(p->reads) + " reads, " + number(p->lag.us()) + " \u00B5s before the read's end",
        "the kernel times arrivals, however busy the client is");
  }

  // ---- GPU: not needed to measure a server; needed where kernels are to be seen

  void gpu() {
    std::size_t devices = 0;
    if (DIR* const dir = ::opendir((o_.root + "/dev").c_str()); dir != nullptr) {
      while (const dirent* e = ::readdir(dir)) {
        const std::string_view name = e->d_name;
        std::uint64_t number_of_it = 0;  // nvidiactl and nvidia-uvm are none
        if (name.starts_with("nvidia") && hotpath::text::to_number(name.substr(6), number_of_it)) ++devices;
      }
      ::closedir(dir);
    }
    const std::string version = read("/proc/driver/nvidia/version");
    if (devices == 0 && version.empty()) {
      add("GPU", "device", warn, "none", "no NVIDIA GPU here: latency and load are measured all the same, kernels are not", "to see kernels, run hotpath on the server's machine too");
    } else {
      add("GPU", "device", devices != 0 ? pass : fail, devices == 0 ? "none" : std::to_string(devices) + (devices == 1 ? " device" : " devices"),
          devices != 0 ? "NVIDIA, by /dev" : "the driver is loaded, but there is no /dev/nvidia0", devices != 0 ? "" : "start the container with its GPUs (--gpus all), or run nvidia-smi once as root");
      const bool cuda = loads_("libcuda.so.1");
      std::string_view line = std::string_view(version).substr(0, version.find('\n'));
      add("GPU", "driver", !version.empty() && cuda ? pass : fail, version.empty() ? "not loaded" : std::string(hotpath::text::printable(line.substr(0, 120))),
          cuda ? "libcuda loads" : "libcuda.so.1 does not load", version.empty() ? "load the kernel module nvidia" : cuda ? "" : "install the driver's user libraries, of the module's version");
      library("NVML", {"libnvidia-ml.so.1"}, "clocks, memory and power of the GPU", "install the driver's user libraries");
    }
    library("CUPTI", {"libcupti.so", "libcupti.so.13", "libcupti.so.12", "libcupti.so.11.0"}, "kernels traced in process", "install cuda-cupti of the server's CUDA version, and put its lib folder into LD_LIBRARY_PATH");
    nsys();
  }
  void library(const char* name, std::initializer_list<const char*> files, const char* gives, const char* next) {
    for (const char* f : files)
      if (loads_(f)) return add("GPU", name, pass, f, gives);
    add("GPU", name, warn, "not found", std::string("not possible without it: ") + gives, next);
  }
  static bool runs(const std::string& file) {
    struct stat s {};
    return ::stat(file.c_str(), &s) == 0 && S_ISREG(s.st_mode) && ::access(file.c_str(), X_OK) == 0;
  }
  void nsys() {
    const char* const env = std::getenv("PATH");
    std::string found;
    hotpath::text::split(o_.path.empty() && env != nullptr ? std::string_view(env) : std::string_view(o_.path), ':', [&](std::string_view dir) {
      if (found.empty() && !dir.empty() && runs(std::string(dir) + "/nsys")) found = std::string(dir) + "/nsys";
    });
    if (!found.empty()) return add("GPU", "Nsight Systems", pass, hotpath::text::printable(found, 128), "a server can be started under it, and its traces read");
    for (const char* dir : {"/usr/local/cuda/bin", "/opt/nvidia/nsight-systems"}) {
      if (runs(o_.root + dir + "/nsys")) found = std::string(dir) + "/nsys";
      DIR* const folder = ::opendir((o_.root + dir).c_str());
      if (folder == nullptr) continue;
      while (const dirent* e = ::readdir(folder))
        if (const std::string f = std::string(dir) + "/" + e->d_name + "/bin/nsys"; e->d_name[0] != '.' && runs(o_.root + f) && f > found) found = f;
      ::closedir(folder);
    }
    if (!found.empty()) return add("GPU", "Nsight Systems", pass, hotpath::text::printable(found, 128), "installed, not on PATH", "export PATH=\"$PATH:" + found.substr(0, found.rfind('/')) + "\"");
    add("GPU", "Nsight Systems", warn, "not found", "traces of the GPU from outside the server are not possible without it", "install nsight-systems-cli");
  }

  diagnosis& d_;
  const machine_options& o_;
  bool (*const loads_)(const char*);
};

// ---- the endpoint

class endpoint {
 public:
  endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages) : d_(d), ask_(ask), metrics_(metrics), context_(context), pages_(pages) {}

  void examine() {
    if (!models()) return;
    const model::scrape page = read_metrics();  // its names tell the engine better than owned_by, but say nothing without metrics
    if (engine_.empty()) engine_ = page.engine == "generic" ? "" : page.engine;
    who(), health(), streaming(), figures(page), profiler(), log_level();
  }

 private:
  void add(std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    d_.rows.push_back({"endpoint", std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  }
  answer get(std::string_view target) const { return ask_(context_, target, "GET"); }
  static std::string shown(std::string_view s, std::size_t max = 96) { return hotpath::text::printable(s, max); }
  bool models() {
    const answer a = get("/v1/models");
    if (!a.error.empty()) {
      add("reachable", fail, "no", shown(a.error, 512), "is the server up, and is this its address?");
      return false;
    }
    if (a.status == 401 || a.status == 403) {
      add("reachable", fail, "HTTP " + std::to_string(a.status), "it wants a key", "give one with --api-key-env or --api-key-file");
      return false;
    }
    add("reachable", pass, number(a.took.ms()) + " ms", "connected and answered");
    if (a.status != 200) {
      add("model", warn, "HTTP " + std::to_string(a.status), "/v1/models does not tell what is served", "name the model with --model", true);
      return true;
    }
    auto served = replay::read_models(a.body, d_.endpoint + "/v1/models");
    if (!served) {
      add("model", warn, "none told", shown(served.error().message(), 512), "name the model with --model", true);
      return true;
    }
    engine_ = served->engine == "tensorrt_llm" ? "trtllm" : served->engine;
    add("model", pass, shown(served->id), served->takes_token_ids ? "takes token ids: prompts of exact lengths are possible" : "prompts are text: their lengths are approximate");
    return true;
  }

  void who() {
    const replay::version_place place = replay::version_place_of(engine_);
    const answer a = get(place.path);
    const bool told = a.error.empty() && a.status == 200;
    const std::string version = told ? replay::text_member(a.body, place.member) : std::string();
    if (told && engine_ == "sglang") server_info_ = a.body;
    if (engine_.empty() && version.empty())
      return add("engine", unknown, "", "neither /v1/models nor its metrics nor /version tell", "say it with --engine, where it matters");
    add("engine", engine_.empty() ? unknown : pass, (engine_.empty() ? "not told" : shown(engine_)) + (version.empty() ? "" : " " + shown(version)), version.empty() ? "its version is not told" : "by its own word");
  }

  void health() {
    const answer a = get("/health");
    if (!a.error.empty()) return add("health", warn, "no answer", shown(a.error, 512), "", true);
    if (a.status == 200) return add("health", pass, "HTTP 200", "the engine runs");
    if (a.status == 404 || a.status == 405) return add("health", unknown, "no /health", "the server does not tell");
    add("health", fail, "HTTP " + std::to_string(a.status), a.status == 503 ? "still loading, or the engine is dead" : "the server is not well", "look into the server's log");
  }

  void streaming() { add("streaming", unknown, "not tried", "no request that generates tokens was sent", "--send-request sends one of a few tokens"); }

  model::scrape read_metrics() {
    model::scrape s;
    for (const std::string_view path : pages_) {
      page_ = metrics_(context_, path, "GET");
      page_path_ = path.empty() ? "the page" : std::string(path);
      if (!page_.error.empty()) break;
      if (page_.status != 200) continue;
      s = metrics::read_page(page_.body);
      if (s.ok() && metrics::kind_of(page_.body) != metrics::body_kind::iteration_stats) return s;  // else perhaps the other one is text
      if (&path == &pages_.back()) return s;
    }
    return s;
  }

  // How an engine's metrics are switched on.
  std::string metrics_flag() const {
    if (engine_ == "vllm") return "start vLLM without --disable-log-stats";
    if (engine_ == "sglang") return "start SGLang with --enable-metrics (all ranks: --enable-metrics-for-all-schedulers)";
    if (engine_ == "trtllm") return "start trtllm-serve with return_perf_metrics: true and enable_iter_perf_stats: true among its LLM arguments";
    if (engine_ == "llamacpp") return "start llama-server with --metrics";
    return "switch the server's metrics on, or say where they are with --metrics-url";
  }

  void figures(const model::scrape& s) {
    if (!page_.error.empty()) return add("metrics", warn, "no answer", shown(page_.error, 512), metrics_flag(), true);
    if (page_.status == 401 || page_.status == 403) return add("metrics", warn, "HTTP " + std::to_string(page_.status), "they want a key", "give one with --header, or the metrics' own address with --metrics-url", true);
    if (page_.status != 200) return add("metrics", warn, "HTTP " + std::to_string(page_.status), "reports will have no figures of the engine", metrics_flag(), true);
    if (!s.ok()) return add("metrics", warn, "not metrics", shown(s.error, 512), metrics_flag(), true);
    if (s.series.empty()) return add("metrics", warn, "nothing known", "the page has no name that is known: reports will have no figures of the engine", metrics_flag(), true);
    std::array<bool, model::engine_metrics.size()> has{};
    std::vector<std::string_view> sources;
    for (const model::metric_series& m : s.series) {
      has[static_cast<std::size_t>(m.what)] = true;
      bool seen = false;
      for (const std::string_view known : sources) seen = seen || known == m.source;
      if (!seen) sources.push_back(m.source);
    }
    std::size_t n = 0;
    for (const bool h : has) n += h ? 1 : 0;
    std::string problems;
    for (const std::string& p : s.problems) problems += "; " + shown(p, 128);
    add("metrics", s.problems.empty() ? pass : warn, (s.engine.empty() ? "generic" : s.engine) + " on " + page_path_ + (sources.size() > 1 ? ", " + std::to_string(sources.size()) + " engines" : ""),
        std::to_string(n) + " of " + std::to_string(has.size()) + " figures that reports can show" + problems);
    std::string missing;
    for (const model::engine_metric m : {model::engine_metric::running, model::engine_metric::waiting, model::engine_metric::kv_usage, model::engine_metric::preemptions, model::engine_metric::prefix_queries,
                                         model::engine_metric::prompt_tokens, model::engine_metric::generation_tokens, model::engine_metric::queue, model::engine_metric::prefill,
                                         model::engine_metric::decode, model::engine_metric::ttft, model::engine_metric::itl, model::engine_metric::e2e})
      if (!has[static_cast<std::size_t>(m)]) missing += (missing.empty() ? "" : ", ") + std::string(model::facts_of(m).name);
    if (missing.empty()) return add("engine figures", pass, "all", "queue, prefill, decode, latencies, KV cache, prefix hits, preemptions, tokens");
    const bool once = engine_ == "vllm" || engine_ == "sglang";  // their histograms appear with the first request
    add("engine figures", warn, "not all", "not told: " + missing, engine_ == "trtllm" ? metrics_flag() : once ? "some appear with the first request; others are of newer versions" : "this engine may not have them");
  }

  void profiler() {
    if (engine_ == "trtllm")
      return add("profiler", unknown, "no route", "TensorRT-LLM is profiled by its environment", "start it with TLLM_PROFILE_START_STOP=A-B, and TLLM_TORCH_PROFILE_TRACE=FILE");
    if (engine_ == "llamacpp") return add("profiler", unknown, "no route", "llama.cpp has none", "run the server under nsys");
    // OPTIONS starts nothing anywhere: a route that exists answers it with 405 and says what it allows.
    const answer a = ask_(context_, "/start_profile", "OPTIONS");
    if (!a.error.empty()) return add("profiler", unknown, "no answer", shown(a.error, 512));
    const std::string flag = engine_ == "vllm" ? "start vLLM with --profiler-config '{\"profiler\":\"torch\",\"torch_profiler_dir\":\"/abs/dir\"}'" : "";
    if (a.status == 404) return add("profiler", warn, "not enabled", "kernels of this server cannot be traced on request", flag.empty() ? "start the server with its profiler, or under nsys" : flag);
    if (a.status == 405) return add("profiler", pass, "there", engine_ == "sglang" ? "/start_profile answers; it may want the admin key" : "/start_profile answers");
    add("profiler", unknown, "HTTP " + std::to_string(a.status), "whether /start_profile is there cannot be told without starting a profile", flag);
  }

  void log_level() {
    const std::string level = replay::text_member(server_info_, "log_level");
    if (!level.empty())
      return add("log level", level == "info" || level == "debug" ? pass : warn, shown(level, 32), level == "info" || level == "debug" ? "batches are logged" : "batches are not logged",
                 level == "info" || level == "debug" ? "" : "start SGLang with --log-level info");
    add("log level", unknown, "not told", "servers do not tell it over HTTP",
        engine_ == "vllm" ? "for steps and requests in vLLM's log: VLLM_LOGGING_LEVEL=DEBUG and --enable-logging-iteration-details" : "");
  }

  diagnosis& d_;
  const asker ask_, metrics_;
  void* const context_;
  const std::span<const std::string_view> pages_;
  answer page_;
  std::string engine_, server_info_, page_path_;
};

}  // namespace detail

HOTPATH_FN void examine_machine(diagnosis& d, const machine_options& options) { detail::machine{d, options}.examine(); }

HOTPATH_FN void examine_endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages) {
  detail::endpoint{d, ask, metrics, context, pages}.examine();
}

HOTPATH_FN void judge_answer(diagnosis& d, const model::request& r) {
  std::vector<symptom> rows;
  const auto add = [&](std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    rows.push_back({"endpoint", std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  };
  if (r.status != model::request_status::ok) {
    add("streaming", condition::fail, std::string(name_of(r.error)), hotpath::text::printable(r.error_message, 512), "send one by hand, and look into the server's log");
  } else {
    const std::size_t n = r.chunks.count();
    const std::string value = detail::count(n) + (n == 1 ? " event" : " events") + ", first after " + detail::number((r.first_content.at - r.sent.at).ms()) + " ms";
    if (n > 1) add("streaming", condition::pass, value, "tokens arrive as they are made");
    else add("streaming", condition::warn, value, "the whole answer came at once: TTFT and TPOT cannot be told apart", "does a proxy between here and the server buffer it?", true);
    if (r.tokens_from == model::token_source::usage) add("usage", condition::pass, "told", "token counts are the server's own");
    else add("usage", condition::warn, "not told", "token counts are guesses: one per event", "does a proxy drop stream_options.include_usage?", true);
    std::size_t kernel = 0;
    auto log = r.chunks.read();
    while (const auto e = log.next()) kernel += e->kernel ? 1u : 0u;
    add("stamps of arrivals", kernel == n ? condition::pass : condition::warn, detail::count(kernel) + " of " + detail::count(n) + " by the kernel",
        kernel == n ? "on the way from this server, too" : "the others are the client's own clock, later when it is busy", "", kernel == 0);
  }
  for (std::size_t i = 0; i < d.rows.size(); ++i) {
    if (d.rows[i].name != "streaming") continue;
    d.rows.erase(d.rows.begin() + static_cast<std::ptrdiff_t>(i));
    d.rows.insert(d.rows.begin() + static_cast<std::ptrdiff_t>(i), rows.begin(), rows.end());
    return;
  }
  d.rows.insert(d.rows.end(), rows.begin(), rows.end());
}

}  // namespace hotpath::inline HOTPATH_ABI::control
// ---- hotpath/export.hpp
// hotpath/export.hpp - the requests of a run for other programs, as CSV and as NDJSON. Namespace exports (the word is a keyword).
// ---- hotpath/export/csv.hpp
// hotpath/export/csv.hpp - one line per request, RFC 4180, for spreadsheets, DuckDB, pandas.
//
//     exports::csv out{[](std::string_view bytes) { return std::fwrite(bytes.data(), 1, bytes.size(), stdout) == bytes.size(); },
//                      {.wall_start = run->info().wall_start}};
//     run->for_each_request([&](const model::request& r) { out.add(r); });
//     out.finish();                                  // false: the sink refused, nothing was written after that
//
//   A header line, then one row per request; columns: export/requests.hpp. No value is an empty field. Lines end with LF.
//   Numbers are the shortest text that reads back the same, whatever the locale. Memory: one buffer of 64 KiB and one row.
// ---- hotpath/export/requests.hpp
// hotpath/export/requests.hpp - what a row about one request holds, in every format: one column per fact, units in the names.
//   Times in _ns count from the run's origin; intended_utc is the wall time of intended_ns. What never happened has no value.
//   The latencies are those of serve/latency.hpp, given for every request that got far enough, whatever its end: to compare
//   with a report keep status = ok and warmup = false. Prompts and answers are left out unless asked for.
//
//     exports::request_columns(r, {.wall_start = info.wall_start}, [](std::string_view name, const auto& value) { … });
// ---- hotpath/serve/latency.hpp
// hotpath/serve/latency.hpp - from stamps to latencies: every definition of serve/definitions.hpp, once.
//   Stamps that are missing, or tokens that are not known, make a latency missing: nothing is guessed and nothing is 0.
//
//     auto wait = serve::latency_of(request, serve::metric::ttft);     // nanoseconds; nothing if it got no content
//
//   Pure functions, no allocation.
// ---- hotpath/serve/definitions.hpp
// hotpath/serve/definitions.hpp - what each latency means (one place), and the shape of a serving report.
//   ttft            first_content - intended      what a user of the schedule waits; includes slot wait and connect
//   service_ttft    first_content - sent          what the server takes
//   ttfo            first_output - intended       first content that is not reasoning; missing where there is none
//   connect         connected - connect_begin     only requests that opened a connection
//   slot_wait       slot_free - intended          open loop with a cap
//   dispatch_delay  sent - connect - max(intended, slot_free)     judges the client, nothing else
//   tpot            (last_content - first_content) / (completion tokens - 1), tokens from the server's usage, 2 or more
//   itl             gap per token, only where the tokens of each chunk are known
//   chunk_gap       gap between content events; two events of one read give no gap but an upper bound (inexact)
//   e2e             last_content - intended
//   Only requests with status ok and not warm-up enter latencies; the counts beside them say how many did not.
//   Definitions: S7 and S12 of the project's statistics page (docs/statistics.md).
// ---- hotpath/serve/definitions.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

// Interval of an estimate. hi missing: unknown, n is too small for an upper bound (S3).
struct bounds {
  double lo = 0;
  std::optional<double> hi;
};

inline constexpr std::array<double, 4> quantile_levels = {0.50, 0.90, 0.95, 0.99};
inline constexpr std::array<std::string_view, 4> quantile_names = {"p50", "p90", "p95", "p99"};

// One latency over its requests (or gaps). n == 0: nothing was measured, `missing` says why, no other field has a meaning.
struct distribution {
  std::uint64_t n = 0;
  double mean = 0, max = 0;                       // milliseconds, as all that follow
  std::array<double, 4> quantile{};               // at quantile_levels
  std::optional<bounds> mean_ci;
  std::array<std::optional<bounds>, 4> ci;        // 95 %; missing: too few requests for any interval
  std::string_view ci_method;                     // "moving_block"
  std::string missing;
  std::uint64_t inexact = 0;                      // gaps left out because their stamps are upper bounds
};

enum class metric : std::uint8_t {
  ttft, service_ttft, ttfo, connect, slot_wait, dispatch_delay, tpot, itl, chunk_gap, e2e
};
inline constexpr std::array<std::string_view, 10> metric_names = {
    "ttft_ms", "service_ttft_ms", "ttfo_ms", "connect_ms", "slot_wait_ms", "dispatch_delay_ms", "tpot_ms", "itl_ms",
    "chunk_gap_ms", "e2e_ms"};

// A check of the books. Both sides are printed whether it holds or not.
struct check {
  std::string name;
  std::optional<bool> ok;   // missing: not applicable, `why` says so
  double left = 0, right = 0;
  std::string why;
};

struct rate {
  double value = 0;
  std::optional<bounds> ci;
};

// Fixed steps over the run, for spark lines and charts.
struct series {
  nanoseconds begin{}, step{};
  std::vector<double> in_flight;        // mean within the step
  std::vector<double> output_tokens_per_s;
  std::vector<double> ttft_p50_ms;      // of requests whose first content fell into the step; NaN: none
};

// A latency by the engine's own histogram, over an interval: the mean is exact, a quantile is known to lie in one bucket.
struct bucketed {
  double n = 0;                                   // 0: `missing` says why, no other field has a meaning
  std::optional<double> mean;                     // milliseconds, as all that follow; missing: the engine's sum is not usable
  std::array<std::optional<bounds>, 4> quantile;  // at quantile_levels: the bucket it lies in. lo 0: below the first edge; hi missing: above the last
  bool reset = false;                             // the engine started anew within the interval: n counts from there at least
  std::string missing;
};

// What one engine (or data-parallel rank) said of itself between the first and the last scrape.
struct engine_figures {
  std::string source;                             // model::metric_series::source; empty: the only one, or all together
  bucketed queue, prefill, decode, ttft, itl, tpot, e2e;
  // Share of the KV blocks in use, 0 to 1; requests. Mean: between the scrapes of the load, each standing for half the time to its neighbours.
  struct gauge {
    double mean = 0, max = 0;
    std::uint64_t n = 0;                          // scrapes that had it; 0: not told
  } kv_usage, running, waiting;
  std::optional<double> preemptions, prompt_tokens, cached_prompt_tokens, generation_tokens, prefix_queries, prefix_hits, requests_finished;
  std::optional<double> prefix_hit_rate;          // hits / queries of the interval; missing: not told, or no query
  std::optional<double> tokens_per_step;          // scheduled tokens per engine step, mean
  std::optional<double> spec_acceptance;          // accepted / drafted tokens
  std::optional<double> kv_capacity_tokens;       // blocks x tokens per block
  bool reset = false;                             // a counter went backwards: the engine started anew, figures count from there
};

struct server_section {
  std::string missing;                            // why there is none: "no scrape succeeded: HTTP 404"; empty: `all` holds
  std::string engine;                             // as the metrics' names tell
  std::uint64_t scrapes = 0, failed = 0, skipped = 0;
  nanoseconds begin{}, end{};                     // the interval: the first and last successful scrape, since the origin
  bool bracketed = false;                         // begin is before the first request and end after the last: differences are those of the run
  engine_figures all;                             // counters and histograms summed over engines, gauges too, but kv_usage: the mean
  std::vector<engine_figures> engines;            // one per source; empty when there is only one
  std::vector<std::string> problems;
  // Fixed steps over the run, as report::over_time: NaN where no scrape fell; never interpolated.
  struct {
    nanoseconds begin{}, step{};
    std::vector<double> running, waiting, kv_usage;
  } over_time;
};

struct report {
  model::run_info run;

  struct {
    std::uint64_t sent = 0, ok = 0, failed = 0, cancelled = 0, in_flight = 0, warmup = 0;
    std::array<std::uint64_t, model::error_class_count> errors{};   // failed and cancelled, by class
    std::vector<std::pair<std::string, std::uint64_t>> finish_reasons;  // of ok requests, most frequent first
    std::string first_error;                                        // message of the first failure, redacted
    std::uint64_t retried_connections = 0;
  } requests;

  struct {
    std::optional<std::int64_t> prompt, completion, reasoning, cached;  // totals of ok requests, warm-up excluded
    std::string_view source;                                // "usage", "mixed", "chunks", "none"
    std::uint64_t suspect = 0;                              // requests whose usage contradicts itself
    std::uint64_t without_usage = 0;
    std::optional<double> planned_prompt_error;             // mean of (usage - planned) / planned; synthetic workloads
  } tokens;

  std::array<distribution, metric_names.size()> latency;    // by serve::metric
  const distribution& of(metric m) const { return latency[static_cast<std::size_t>(m)]; }
  distribution& of(metric m) { return latency[static_cast<std::size_t>(m)]; }

  struct {
    nanoseconds window{};                                   // first start after warm-up to last end
    std::optional<rate> requests_per_s, output_tokens_per_s, input_tokens_per_s;
    std::string missing;
  } throughput;

  // The part of the run after warm-up (MSER-5 over E2E in the order of arrival) and before the drain, by itself: S6. `cut`: how many
  // requests of the beginning are left out; the end is the last arrival.
  struct {
    std::uint64_t cut = 0;
    nanoseconds begin{}, end{};                             // since the origin
    std::optional<double> requests_per_s, output_tokens_per_s, in_flight;
    std::string missing;                                    // "no steady state found", "fewer than 50 requests"
  } steady;

  struct {
    std::uint64_t good = 0, total = 0;                      // total: ok and failed, warm-up excluded; failed is never good
    std::optional<double> per_s, share;
    std::optional<bounds> share_ci, per_s_ci;
    std::string missing;                                    // "no limits were set (--slo)"
  } goodput;

  struct {
    double mean = 0, max = 0;                               // requests in flight over the window, time-weighted
    std::optional<double> at_server;                        // mean between sent and closed
  } concurrency;

  struct {
    std::uint64_t count = 0, requests = 0;                  // gaps over max(200 ms, 5 x the request's median gap)
    double longest_ms = 0, share_of_decode_time = 0;
  } stalls;

  struct {
    bool limited = false;
    std::vector<std::string> reasons;
    std::optional<double> loop_lag_p50_ms, loop_lag_p99_ms, loop_lag_max_ms, read_lag_p99_ms;
    double inexact_share = 0;
    bool kernel_stamps = true;                              // false: at least one stamp came from the loop's clock
    double user_stamp_share = 0;
    std::optional<double> cpu_share;                        // of the busiest thread, over the run
    double bytes_per_s = 0;
    std::uint64_t receive_queue_max = 0, open_descriptors_max = 0;
    std::uint64_t late = 0;                                 // dispatched more than 10 ms after they were due
    nanoseconds suspended{};                                // longest gap in which the client did not run at all
  } client;

  server_section server;

  std::string queue_at;                                     // "server", "cap", "" : where requests waited
  series over_time;
  std::vector<check> checks;
  std::vector<std::string> findings;                        // sentences for a person, most important first
  model::loss lost;
  std::uint64_t bootstrap_seed = 0, bootstrap_resamples = 0;
};

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/latency.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

// A latency of one request in nanoseconds (tpot: not whole). Nothing where a stamp it needs is missing; for itl and chunk_gap,
// which have many values per request, always nothing. Does not look at the status: a failed request has a ttft, too.
std::optional<double> latency_of(const model::request& r, metric m);

// Whether a finished request counts as good under the limits: status ok and within every limit that is set; equal is within. A
// limit that cannot be judged is not met, but tpot where the answer has fewer than two tokens.
bool is_good(const model::request& r, const model::slo& limits);

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/latency-inl.hpp
// hotpath/serve/latency-inl.hpp - bodies of serve/latency.hpp.
// ---- hotpath/serve/detail/rows.hpp
// hotpath/serve/detail/rows.hpp - what the analyzer keeps of each request: 136 bytes, and 4 for each gap between its chunks.
// ---- hotpath/serve/detail/rows.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

inline constexpr std::int64_t no_time = (std::numeric_limits<std::int64_t>::min)();
inline constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

// One value per request: the metrics before `itl`, and e2e. Pooled over chunks: itl, chunk_gap.
inline constexpr std::size_t per_request = 8;
constexpr std::size_t slot_of(metric m) { return m == metric::e2e ? 7 : static_cast<std::size_t>(m); }

struct row {
  std::int64_t intended = no_time, sent = no_time, end = no_time, first_content = no_time;  // ns since the origin
  double value[per_request] = {no_value, no_value, no_value, no_value, no_value, no_value, no_value, no_value};  // ns
  double prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t gaps_begin = 0;
  std::uint32_t gaps = 0;
  model::request_status status = model::request_status::in_flight;
  bool warmup = false;
  bool has_completion = false;   // the number of tokens is known
  bool one_token = false;        // known, and too few for a tpot

  bool ok() const { return status == model::request_status::ok && !warmup; }
  double of(metric m) const { return value[slot_of(m)]; }
};
static_assert(sizeof(row) <= 136);

// Rows that statistics look at: not of the warm-up, with an intended time, in the order of it.
using ordered_rows = std::vector<const row*>;

// The window: first start after warm-up to last end. begin == end: nothing happened in it.
struct window {
  std::int64_t begin = 0, end = 0;
  std::int64_t last_start = 0;
  std::int64_t length() const { return end - begin; }
};

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/latency-inl.hpp

namespace hotpath::inline HOTPATH_ABI::serve {
namespace detail {

// Stamps come from files, too: 36 years at most, so that no sum or difference of theirs can overflow.
inline std::int64_t time_of(const model::stamp& s) {
  constexpr std::int64_t bound = std::int64_t{1} << 60;
  return s ? std::clamp(s.at.ns, -bound, bound) : no_time;
}

inline double difference(const model::stamp& later, const model::stamp& earlier) {
  return later && earlier ? static_cast<double>(time_of(later) - time_of(earlier)) : no_value;
}

// The number of tokens tpot divides by is the server's, and only where its usage does not contradict itself.
inline bool tokens_trusted(const model::request& r) {
  return r.tokens_from == model::token_source::usage && r.completion_tokens && !r.usage_suspect;
}

inline void fill_latencies(const model::request& r, double (&value)[per_request]) {
  const auto set = [&](metric m, double v) { value[slot_of(m)] = v; };
  set(metric::ttft, difference(r.first_content, r.intended));
  set(metric::service_ttft, difference(r.first_content, r.sent));
  set(metric::ttfo, difference(r.first_output, r.intended));
  set(metric::connect, difference(r.connected, r.connect_begin));
  set(metric::slot_wait, difference(r.slot_free, r.intended));
  set(metric::e2e, difference(r.last_content, r.intended));
  const auto delay = model::dispatch_delay(r);
  set(metric::dispatch_delay, delay ? static_cast<double>(delay->ns) : no_value);
  const bool counts = tokens_trusted(r) && *r.completion_tokens >= 2;
  set(metric::tpot, counts ? difference(r.last_content, r.first_content) / static_cast<double>(*r.completion_tokens - 1) : no_value);
}

inline bool within(const row& r, const model::slo& limits) {
  const auto meets = [](double v, const std::optional<nanoseconds>& limit) { return !limit || v <= static_cast<double>(limit->ns); };
  return r.status == model::request_status::ok && meets(r.of(metric::ttft), limits.ttft) && meets(r.of(metric::e2e), limits.e2e) &&
         (r.one_token || meets(r.of(metric::tpot), limits.tpot));
}

}  // namespace detail

HOTPATH_FN std::optional<double> latency_of(const model::request& r, metric m) {
  if (m == metric::itl || m == metric::chunk_gap) return std::nullopt;
  double value[detail::per_request];
  detail::fill_latencies(r, value);
  const double v = value[detail::slot_of(m)];
  return v == v ? std::optional<double>{v} : std::nullopt;
}

HOTPATH_FN bool is_good(const model::request& r, const model::slo& limits) {
  detail::row row;
  row.status = r.status;
  row.one_token = detail::tokens_trusted(r) && *r.completion_tokens < 2;
  detail::fill_latencies(r, row.value);
  return detail::within(row, limits);
}

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/export/requests.hpp

namespace hotpath::inline HOTPATH_ABI::exports {

struct request_options {
  nanoseconds wall_start{};     // run_info::wall_start
  bool text = false;            // columns prompt_text and completion_text (empty where the run did not store them)
  bool chunks = false;          // NDJSON: every content event
  bool formula_guard = false;   // CSV: a ' before text that a spreadsheet would run as a formula; changes what programs read
};

// Calls column(name, value) for each column: bool, an integer, double, std::string_view, or an optional of one of these.
// Names and order depend on the options only. Nothing is kept: a value lives until column returns.
template <class Column>
void request_columns(const model::request& r, const request_options& options, Column&& column) {
  using ns = std::optional<std::int64_t>;
  const auto at = [&](std::string_view name, const model::stamp& s) { column(name, s ? ns{s.at.ns} : ns{}); };
  const auto ms = [&](std::string_view name, serve::metric m) {
    const auto v = serve::latency_of(r, m);
    column(name, v ? std::optional<double>{*v / 1e6} : std::optional<double>{});
  };
  const std::string utc = r.intended ? text::utc(options.wall_start + r.intended.at) : std::string();

  column("index", r.index), column("id", std::string_view(r.id)), column("given_id", std::string_view(r.given_id));
  column("workload_row", r.workload_row), column("workload_pass", r.pass), column("attempt", r.attempt), column("warmup", r.warmup);
  column("status", name_of(r.status));
  column("error", r.error == model::error_class::none ? std::string_view() : name_of(r.error));
  column("http_status", r.http_status == 0 ? std::optional<std::int32_t>{} : std::optional<std::int32_t>{r.http_status});
  column("finish_reason", std::string_view(r.finish_reason)), column("error_message", std::string_view(r.error_message));

  column("intended_utc", std::string_view(utc));
  at("intended_ns", r.intended), at("slot_free_ns", r.slot_free), at("connect_begin_ns", r.connect_begin), at("connected_ns", r.connected);
  at("sent_ns", r.sent), at("head_ns", r.head), at("first_content_ns", r.first_content), at("first_output_ns", r.first_output);
  at("last_content_ns", r.last_content), at("finished_ns", r.finished), at("closed_ns", r.closed);

  for (std::size_t i = 0; i < serve::metric_names.size(); ++i)
    if (const auto m = static_cast<serve::metric>(i); m != serve::metric::itl && m != serve::metric::chunk_gap) ms(serve::metric_names[i], m);

  column("prompt_tokens", r.prompt_tokens), column("completion_tokens", r.completion_tokens), column("reasoning_tokens", r.reasoning_tokens);
  column("cached_tokens", r.cached_tokens), column("tokens_from", name_of(r.tokens_from)), column("usage_suspect", r.usage_suspect);
  column("prompt_tokens_planned", r.prompt_tokens_planned), column("output_tokens_asked", r.output_tokens_asked);
  column("content_events", r.chunks.count()), column("inexact_events", r.chunks.inexact());
  column("sent_bytes", r.bytes_sent), column("received_bytes", r.bytes_received), column("prompt_bytes", r.prompt_bytes);
  column("reused_connection", r.reused_connection), column("warnings", r.warnings);
  if (options.text) column("prompt_text", std::string_view(r.prompt_text)), column("completion_text", std::string_view(r.completion_text));
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
// ---- hotpath/export/csv.hpp

namespace hotpath::inline HOTPATH_ABI::exports {

// Rows as text, appended: for those who want no sink.
void csv_header(std::string& out, const request_options& options = {});
void csv_row(std::string& out, const model::request& r, const request_options& options = {});

// Sink: bool(std::string_view bytes), called with whole rows; false ends the export.
template <class Sink>
class csv {
 public:
  explicit csv(Sink sink, const request_options& options = {}) : sink_(std::move(sink)), options_(options) { csv_header(rows_, options_); }

  // False: the sink has refused, stop.
  bool add(const model::request& r) {
    if (!ok_) return false;
    csv_row(rows_, r, options_);
    return rows_.size() < 64u * 1024 || flush();
  }
  bool finish() { return flush(); }

 private:
  bool flush() {
    if (ok_ && !rows_.empty()) ok_ = sink_(std::string_view(rows_));
    rows_.clear();
    return ok_;
  }
  Sink sink_;
  request_options options_;
  std::string rows_;
  bool ok_ = true;
};

}  // namespace hotpath::inline HOTPATH_ABI::exports
// ---- hotpath/export/csv-inl.hpp
// hotpath/export/csv-inl.hpp - bodies of export/csv.hpp
// ---- hotpath/export/csv-inl.hpp

namespace hotpath::inline HOTPATH_ABI::exports {

HOTPATH_FN void csv_header(std::string& out, const request_options& options) {
  text::csv_writer w{out};
  request_columns(model::request{}, options, [&](std::string_view name, const auto&) { w.field(name); });
  w.end_row();
}

HOTPATH_FN void csv_row(std::string& out, const model::request& r, const request_options& options) {
  text::csv_writer w{out, {.formula_guard = options.formula_guard}};
  request_columns(r, options, [&](std::string_view, const auto& value) { w.field(value); });
  w.end_row();
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
// ---- hotpath/export/ndjson.hpp
// hotpath/export/ndjson.hpp - one JSON object per request and line; the members are the columns of export/requests.hpp.
//
//     exports::ndjson out{sink, {.wall_start = run->info().wall_start, .chunks = true}};
//     run->for_each_request([&](const model::request& r) { out.add(r); });
//     out.finish();
//
//   No value is null, an empty text "". With `chunks` a member "chunks" lists every content event:
//   [{"at_ns":81220000,"kind":"text","exact":true,"tokens":1},…]; tokens only where the server told them.
//   Text is UTF-8 whatever the server sent. Memory: one buffer of 64 KiB and one row.
// ---- hotpath/export/ndjson.hpp

namespace hotpath::inline HOTPATH_ABI::exports {

// One row and its line feed, appended.
void ndjson_row(std::string& out, const model::request& r, const request_options& options = {});

// Sink: bool(std::string_view bytes), called with whole rows; false ends the export.
template <class Sink>
class ndjson {
 public:
  explicit ndjson(Sink sink, const request_options& options = {}) : sink_(std::move(sink)), options_(options) {}

  // False: the sink has refused, stop.
  bool add(const model::request& r) {
    if (!ok_) return false;
    ndjson_row(rows_, r, options_);
    return rows_.size() < 64u * 1024 || flush();
  }
  bool finish() { return flush(); }

 private:
  bool flush() {
    if (ok_ && !rows_.empty()) ok_ = sink_(std::string_view(rows_));
    rows_.clear();
    return ok_;
  }
  Sink sink_;
  request_options options_;
  std::string rows_;
  bool ok_ = true;
};

}  // namespace hotpath::inline HOTPATH_ABI::exports
// ---- hotpath/export/ndjson-inl.hpp
// hotpath/export/ndjson-inl.hpp - bodies of export/ndjson.hpp
// ---- hotpath/export/ndjson-inl.hpp

namespace hotpath::inline HOTPATH_ABI::exports {

HOTPATH_FN void ndjson_row(std::string& out, const model::request& r, const request_options& options) {
  constexpr std::string_view kinds[] = {"text", "reasoning", "tool_call", "other"};
  json::writer w{out};
  w.object_begin();
  request_columns(r, options, [&](std::string_view name, const auto& value) { w.member(name, value); });
  if (options.chunks) {
    w.key("chunks"), w.array_begin();
    for (auto events = r.chunks.read(); const auto e = events.next();) {
      w.object_begin(), w.member("at_ns", e->at.ns), w.member("kind", kinds[static_cast<std::size_t>(e->kind) & 3]), w.member("exact", e->exact);
      if (e->tokens != 0) w.member("tokens", e->tokens);
      w.object_end();
    }
    w.array_end();
  }
  w.object_end();
  out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::exports
// ---- hotpath/metrics.hpp
// hotpath/metrics.hpp - what inference engines say of themselves over HTTP: pages of Prometheus text and their kin.
//   metrics/parse.hpp   one pass over a page, without copies        metrics/names.hpp   what engines call what we mean
//   metrics/page.hpp    a page read as a model::scrape              metrics/scrape.hpp  before, during and after a load
//   What a sequence of scrapes says of a run: serve/server.hpp.
// ---- hotpath/metrics/scrape.hpp
// hotpath/metrics/scrape.hpp - asks an engine for its metrics before the load, every so often during it, and after it.
//
//     metrics::scraper<> engine{{.endpoint = "http://127.0.0.1:8000"}};
//     if (auto ok = engine.start(origin, [&](model::scrape&& s) { keep(std::move(s)); }); !ok) …    // the address makes no sense
//     … the load …
//     engine.stop();                                                     // one more, after the load; then the sink is free
//
//   One thread of its own. start() returns when the first scrape is there, stop() when the last one is; a server that does not
//   answer holds up start() for `timeout` and stop() for three times that (one under way, and the last, asked twice) and `settle`,
//   and half a second of grace for a name that is being looked up. Whatever goes wrong is a scrape with an `error`; nothing here ends a run.
//   Scrapes are due at start + k x interval. One that takes longer than the interval makes the next ones not later but fewer:
//   model::scrape::skipped of the one that follows says how many.
//   The sink is called from that thread (in the case of a name that is looked up for too long: from start() or stop()), never twice
//   at once, and never after stop() has returned. Headers are sent and kept nowhere else; where a server repeats
//   them, or the credentials of its address, they are replaced. One connection per scrape.
// ---- hotpath/metrics/scrape.hpp

namespace hotpath::inline HOTPATH_ABI::metrics {

struct scrape_options {
  std::string endpoint = {};                  // the server: /metrics is asked, and where that does not serve, /prometheus/metrics (TensorRT-LLM)
  std::string url = {};                       // the page itself, as it is; wins over `endpoint`. Without a path it is an endpoint
  std::vector<net::header> headers = {};
  nanoseconds interval{1'000'000'000};        // from 10 ms; shorter ones are 10 ms
  nanoseconds timeout{2'000'000'000};         // of one scrape, from connecting to the last byte
  nanoseconds settle{1'000'000'000};          // how long the last page is asked for again until the engine has counted what it answered
  page_options page = {};
};

using scrape_sink = std::function<void(model::scrape&&)>;

namespace detail {

// Where to ask. Of an endpoint there are two candidates; the first that gives a page of text is kept.
struct scrape_target {
  net::url where;
  std::vector<std::string> paths;
  std::size_t chosen = 0;
  bool known = false;
  std::vector<std::string> secrets = {};      // a server may repeat what it was sent
};

inline void add_secrets(scrape_target& t, const std::vector<net::header>& headers) {
  const auto add = [&](std::string_view value) {
    if (!value.empty()) t.secrets.emplace_back(value);
  };
  const auto header = [&](std::string_view value) { add(value), add(value.substr(value.rfind(' ') + 1)); };  // with and without "Bearer"; npos + 1 is 0
  for (const net::header& h : headers)
    if (text::is_secret_name(h.name)) header(h.value);
  header(t.where.basic_authorization());
  add(t.where.user_info), add(std::string_view(t.where.user_info).substr(t.where.user_info.find(':') + 1));
  text::split(t.where.query, '&', [&](std::string_view pair) {
    std::string_view value = pair;
    if (text::is_secret_name(text::take(value, '='))) add(value);
  });
}

inline void redact(std::string& words, const std::vector<std::string>& secrets, std::size_t shortest) {
  std::vector<std::string_view> found;
  for (const std::string& secret : secrets)
    if (secret.size() >= shortest && words.find(secret) != std::string::npos) found.push_back(secret);
  if (!found.empty()) words = text::redact_text(words, found);
}

inline result<scrape_target> target_of(const scrape_options& o) {
  auto where = net::parse_url(o.url.empty() ? o.endpoint : o.url);
  if (!where) return where.error();
  scrape_target t{std::move(*where), {"/metrics", "/prometheus/metrics"}};
  if (!o.url.empty() && !t.where.base.empty()) t.paths = {""}, t.known = true;
  add_secrets(t, o.headers);
  return t;
}

// One page. Not the last candidate: `next` says whether the other one should be asked.
template <net::transport Transport>
model::scrape ask(const scrape_options& o, const scrape_target& t, std::size_t path, nanoseconds origin, nanoseconds deadline, bool& next) {
  next = false;
  model::scrape s;
  const nanoseconds begin = monotonic_now();
  auto page = net::fetch<Transport>(t.where, t.paths[path], o.headers, {.total = deadline - begin, .body_limit = o.page.limits.body});
  const nanoseconds end = monotonic_now();
  if (!page) {
    s.error = page.error().message();
    if (page.error().code == errc::over_limit) ++s.lost.over_limit;
  } else if (page->status != 200) {
    next = page->status == 404;
    s.error = t.where.display() + t.paths[path] + ": HTTP " + std::to_string(page->status);
    if (page->status == 401 || page->status == 403) s.error += "; the server wants a header with a key";
    else if (next) s.error += "; are metrics switched on (SGLang: --enable-metrics, llama.cpp: --metrics), and is this their address?";
  } else {
    // Before anything of it is shown or kept. Shorter ones are digits of figures more likely than a key repeated.
    redact(page->body, t.secrets, 8);
    s = read_page(page->body, o.page);
    if (!s.ok()) s.error = t.where.display() + t.paths[path] + ": " + s.error;
    next = kind_of(page->body) == body_kind::iteration_stats;
  }
  redact(s.error, t.secrets, 1);
  s.begin = begin - origin, s.end = end - origin;
  return s;
}

template <net::transport Transport>
model::scrape scrape_target_once(const scrape_options& o, scrape_target& t, nanoseconds origin) {
  const nanoseconds deadline = monotonic_now() + o.timeout;
  bool next = false;
  model::scrape first = ask<Transport>(o, t, t.chosen, origin, deadline, next);
  if (t.known || (first.ok() && !next)) {
    t.known = t.known || !first.series.empty();
    return first;
  }
  if (!next || t.chosen + 1 >= t.paths.size() || monotonic_now() >= deadline) return first;
  model::scrape second = ask<Transport>(o, t, t.chosen + 1, origin, deadline, next);
  if (!second.ok() || next || second.series.empty()) return first;
  t.known = true, ++t.chosen;
  return second;
}

}  // namespace detail

// One scrape now, in the caller's thread: a look at an engine. `when` is during; the stamps count from `origin`.
// Errors: usage, unsupported (the address makes no sense). Everything else that goes wrong is in the scrape.
template <net::transport Transport = net::tcp>
result<model::scrape> scrape_once(const scrape_options& options, nanoseconds origin = {}) {
  auto t = detail::target_of(options);
  if (!t) return t.error();
  return detail::scrape_target_once<Transport>(options, *t, origin);
}

template <net::transport Transport = net::tcp>
class scraper {
 public:
  explicit scraper(scrape_options options) : state_(std::make_shared<state>(std::move(options))) {}
  ~scraper() { end(false); }                  // as stop(), without the last scrape
  scraper(const scraper&) = delete;
  scraper& operator=(const scraper&) = delete;

  // origin: of the stamps of the scrapes, by monotonic_now(). Once per scraper.
  // Errors: usage, unsupported (the address). An engine that cannot be reached is no error: the scrapes say so.
  result<void> start(nanoseconds origin, scrape_sink sink) {
    HOTPATH_ASSERT(!thread_.joinable());
    auto t = detail::target_of(state_->options);
    if (!t) return t.error();
    state_->target = std::move(*t), state_->origin = origin, state_->sink = std::move(sink);
    const nanoseconds begin = monotonic_now();
    thread_ = std::thread([s = state_, begin] { s->run(begin); });
    std::unique_lock lock{state_->mutex};
    if (!state_->changed.wait_for(lock, std::chrono::nanoseconds{(state_->options.timeout + grace).ns}, [&] { return state_->before_given; })) {
      state_->before_given = true;
      state_->give(state_->unanswered(model::scrape::moment::before, begin));
    }
    return {};
  }

  // One more scrape, and the end. Again, or without start(): does nothing.
  void stop() { end(true); }

 private:
  // Shared with the thread, which outlives the scraper if getaddrinfo hangs: nothing else has no deadline.
  struct state {
    explicit state(scrape_options o) : options(std::move(o)) {
      if (options.interval < nanoseconds{10'000'000}) options.interval = nanoseconds{10'000'000};
    }

    scrape_options options;
    detail::scrape_target target;
    nanoseconds origin;
    scrape_sink sink;                         // called under the mutex, so that nothing comes after the end
    std::mutex mutex;
    std::condition_variable changed;
    bool before_given = false, stopping = false, last_wanted = false, done = false, abandoned = false;

    // Under the mutex.
    void give(model::scrape&& s) {
      if (!abandoned && sink) sink(std::move(s));
    }

    model::scrape unanswered(model::scrape::moment when, nanoseconds begin) const {
      model::scrape s;
      s.when = when;
      s.begin = begin - origin, s.end = monotonic_now() - origin;
      s.error = target.where.display() + ": no answer in time; its name is still being looked up";
      return s;
    }

    void scrape(model::scrape::moment when, std::uint64_t skipped) {
      model::scrape s = detail::scrape_target_once<Transport>(options, target, origin);
      const std::lock_guard lock{mutex};
      s.when = when == model::scrape::moment::before && before_given ? model::scrape::moment::during : when;
      s.skipped = skipped;
      if (when == model::scrape::moment::before) before_given = true;
      give(std::move(s));
    }

    // What an engine has counted: of all its series, and whether requests are still with it.
    struct count {
      double total = 0;
      bool busy = false, any = false;
      explicit count(const model::scrape& s) {
        for (const model::metric_series& m : s.series) {
          const auto kind = model::facts_of(m.what).kind;
          if (kind == model::metric_kind::gauge) busy |= (m.what == model::engine_metric::running || m.what == model::engine_metric::waiting) && m.value > 0;
          else any = true, total += m.value;
        }
      }
    };

    // Engines count an answer some milliseconds after its last byte has left (vLLM: at the end of the step). So the last page is
    // asked for again until nothing is with the engine and two pages in a row count the same; the last one is given.
    void last(std::uint64_t skipped) {
      const nanoseconds until = monotonic_now() + options.settle;
      model::scrape s = detail::scrape_target_once<Transport>(options, target, origin);
      for (count before{s}; s.ok() && before.any && monotonic_now() < until;) {
        {
          std::unique_lock lock{mutex};
          changed.wait_for(lock, std::chrono::milliseconds{20}, [&] { return abandoned; });
        }
        model::scrape again = detail::scrape_target_once<Transport>(options, target, origin);
        if (!again.ok()) break;
        const count now{again};
        const bool settled = !now.busy && now.total == before.total;
        s = std::move(again), before = now;
        if (settled) break;
      }
      const std::lock_guard lock{mutex};
      s.when = model::scrape::moment::after;
      s.skipped = skipped;
      give(std::move(s));
    }

    void run(nanoseconds begin) {
      scrape(model::scrape::moment::before, 0);
      changed.notify_all();
      std::int64_t due = 0;
      std::uint64_t skipped = 0;
      // The next period that has not begun; what began meanwhile is skipped.
      const auto advance = [&] {
        const std::int64_t next = (std::max)(due, (monotonic_now() - begin).ns / options.interval.ns) + 1;
        skipped = static_cast<std::uint64_t>(next - due - 1);
        due = next;
      };
      for (advance();; advance()) {
        {
          std::unique_lock lock{mutex};
          const nanoseconds left = begin + options.interval * due - monotonic_now();
          if (changed.wait_for(lock, std::chrono::nanoseconds{left.ns}, [&] { return stopping; })) break;
        }
        scrape(model::scrape::moment::during, skipped);
      }
      if (last_wanted) last(skipped);
      {
        const std::lock_guard lock{mutex};
        done = true;
      }
      changed.notify_all();
    }
  };

  static constexpr nanoseconds grace{500'000'000};

  void end(bool with_last) {
    if (!thread_.joinable()) return;
    const nanoseconds begin = monotonic_now();
    std::unique_lock lock{state_->mutex};
    state_->stopping = true, state_->last_wanted = with_last;
    state_->changed.notify_all();
    if (state_->changed.wait_for(lock, std::chrono::nanoseconds{(state_->options.timeout * 3 + state_->options.settle + grace).ns}, [&] { return state_->done; })) {
      lock.unlock();
      thread_.join();
      return;
    }
    if (with_last) state_->give(state_->unanswered(model::scrape::moment::after, begin));
    state_->abandoned = true, state_->sink = nullptr;
    thread_.detach();
  }

  std::shared_ptr<state> state_;
  std::thread thread_;
};

}  // namespace hotpath::inline HOTPATH_ABI::metrics
// ---- hotpath/replay.hpp
// hotpath/replay.hpp - traffic in, load out, one record per request: the load client for OpenAI-compatible servers.
//
//     auto load = hotpath::replay::workload::open("synthetic:input=512,output=128");
//     hotpath::replay::client<> client{{.url = "http://127.0.0.1:8000", .body = {.model = "llama"}}};
//     auto sent = client.run(*load, hotpath::replay::closed({.streams = 16, .requests = 200}));
// ---- hotpath/replay/client.hpp
// hotpath/replay/client.hpp - sends a workload by a schedule to an OpenAI-compatible server and records every arrival.
//
//     auto load = replay::workload::open("prompts.jsonl");
//     replay::client<> client{{.url = "http://127.0.0.1:8000", .body = {.model = "llama"}}};
//     auto sent = client.run(*load, replay::closed({.streams = 16, .requests = 200}));   // result: requests, client intervals
//     auto report = serve::summarize(sent->requests, sent->info, sent->client);
//
//   run(load, plan, sink) is the primitive: nothing grows with the length of the run but the plan of an open loop. The sink's
//   add() is called from the client's threads. run() blocks until what is in flight has ended.
//   Threads: one that waits (the caller's), one that prepares requests, `threads` that keep time. One client runs once at a time.
//   Errors of run(): usage (bad option), not_found (unknown host), empty (nothing to send), over_limit (more streams than
//   descriptors or ports), and what the workload says. A request that fails is data, not an error.
// ---- hotpath/replay/schedule.hpp
// hotpath/replay/schedule.hpp - makes schedules: closed loop, and open loop with constant, Poisson or recorded arrivals.
//   All are made before the run, from a seed or a trace, so that they can be stored and replayed exactly.
//
//     auto plan = replay::closed({.streams = 16, .requests = 200});
//     auto plan = replay::poisson({.per_second = 8.0, .seed = 7, .duration = 60_s});   // result: a rate of 0 is an error
//
//   Poisson: exponential gaps of mean 1/rate; the total is not rescaled (a seed's last arrival is where it falls).
// ---- hotpath/replay/schedule.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

struct closed_options {
  std::uint32_t streams = 1;
  std::optional<std::uint64_t> requests = {};
  std::optional<nanoseconds> duration = {};  // neither limit: one pass of the workload
};
inline model::schedule closed(const closed_options& o) {
  model::schedule s;
  s.streams = o.streams == 0 ? 1 : o.streams;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  return s;
}

struct open_options {
  double per_second = 0;
  std::uint64_t seed = 0;
  std::uint32_t max_in_flight = 0;           // 0: none
  std::optional<std::uint64_t> requests = {};
  std::optional<nanoseconds> duration = {};  // at least one of the two
};

namespace detail {
// 100 million planned requests are 800 MB of schedule: more is a slip of the unit, not a plan.
inline constexpr std::uint64_t max_planned = 100'000'000;

// at(i, previous): seconds of arrival i.
template <class At>
result<model::schedule> open_loop(model::arrival kind, const open_options& o, At&& at) {
  if (!(o.per_second > 0) || !std::isfinite(o.per_second))
    return error{.code = errc::usage, .detail = "the rate must be above 0 requests per second"};
  if (!o.requests && !o.duration) return error{.code = errc::usage, .detail = "an open loop needs a number of requests or a duration"};
  model::schedule s;
  s.kind = kind;
  s.per_second = o.per_second;
  s.seed = o.seed;
  s.max_in_flight = o.max_in_flight;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  const double end_s = o.duration ? o.duration->s() : 1e18;
  const std::uint64_t most = o.requests ? *o.requests : max_planned + 1;
  for (double t = at(0, 0.0); s.due.size() < most && t < end_s; t = at(s.due.size(), t)) {
    if (s.due.size() == max_planned)
      return error{.code = errc::usage, .detail = "the schedule would hold more than 100 million requests", .hint = "lower the rate or the duration"};
    s.due.push_back(nanoseconds::from_s(t));
  }
  return s;
}
}  // namespace detail

inline result<model::schedule> constant(const open_options& o) {
  return detail::open_loop(model::arrival::constant, o, [&](std::uint64_t i, double) { return static_cast<double>(i) / o.per_second; });
}

inline result<model::schedule> poisson(const open_options& o) {
  stats::xoshiro256 random{o.seed};
  return detail::open_loop(model::arrival::poisson, o, [&](std::uint64_t, double previous) { return previous + random.exponential(1.0 / o.per_second); });
}

// The arrivals of a trace: each row of the workload's first pass is due when its "timestamp" says, relative to the first row's,
// divided by `speed`. Rows are sent in the order of the file; one that is stamped earlier than the row before is due with it.
// Reads that pass: give it a workload of its own. Of `o` the limits and the cap count. Errors: usage (a row without timestamp), those
// of next().
inline result<model::schedule> recorded(workload& load, double speed, const open_options& o) {
  if (!(speed > 0) || !std::isfinite(speed)) return error{.code = errc::usage, .detail = "the speed must be above 0"};
  model::schedule s;
  s.kind = model::arrival::recorded;
  s.max_in_flight = o.max_in_flight;
  s.max_requests = o.requests;
  s.max_duration = o.duration;
  workload_item item;
  nanoseconds first{}, last{};
  while (!(o.requests && s.due.size() == *o.requests)) {
    const auto more = load.next(item);
    if (!more) return more.error();
    if (!*more) break;
    if (!item.arrived)
      return error{.code = errc::usage, .detail = "request " + std::to_string(item.row + 1) + " has no \"timestamp\" in milliseconds", .source = load.description(),
                   .hint = "recorded arrivals need one in each row"};
    if (s.due.empty()) first = *item.arrived;
    last = (std::max)(last, nanoseconds{static_cast<std::int64_t>(static_cast<double>((*item.arrived - first).ns) / speed)});
    if (o.duration && last >= *o.duration) break;
    if (s.due.size() == detail::max_planned) return error{.code = errc::usage, .detail = "the trace holds more than 100 million requests"};
    s.due.push_back(last);
  }
  if (last.ns > 0) s.per_second = static_cast<double>(s.due.size()) / last.s();
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/worker.hpp
// hotpath/replay/worker.hpp - one thread of the client: a loop, its connections, its share of the schedule.
//   Transport moves bytes (net::tcp; TLS is another), Sink takes what is finished: add(model::request&&) and
//   add(const model::client_interval&), called from every worker's thread.
//   Per stream: about 1.5 KiB here plus 4 bytes per content event; one receive buffer of 64 KiB per thread.
// ---- hotpath/replay/dispatch.hpp
// hotpath/replay/dispatch.hpp - who sends what when: the schedule's slots, shared by the client's threads.
//   Taken a few times per request under one mutex. Counts what happened, for the progress line and the stop rules.
// ---- hotpath/model/progress.hpp
// hotpath/model/progress.hpp - how far a load is while it goes on: what its client knows without asking anybody.
//   Counts are since the start; sketches hold what came since the snapshot before, so that whoever shows them chooses the span.
// ---- hotpath/model/progress.hpp

namespace hotpath::inline HOTPATH_ABI::model {

struct progress {
  nanoseconds elapsed{};             // since the start of sending
  std::string_view phase;            // "sending", "draining"
  std::uint64_t sent = 0, finished = 0, ok = 0, failed = 0, in_flight = 0, waiting = 0;  // waiting: for a slot of the cap
  std::array<std::uint64_t, error_class_count> errors{};  // of failed and cancelled requests
  std::uint64_t output_tokens = 0;   // of requests that have ended
  std::uint64_t output_events = 0;   // content events of the same requests: tokens per event, for the rate of those in flight
  stats::sketch ttft_ms, tpot_ms;    // since the snapshot before; ttft: of requests whose first content came, whether they have ended or not

  // The client itself.
  std::uint64_t judged = 0, late = 0;  // requests that have ended and had been sent; of these, more than 10 ms after they were due
  std::uint64_t content_events = 0, inexact_events = 0;  // of all requests, up to the last whole second of each thread
  nanoseconds covered{};             // the time these two stand for, summed over threads
  std::uint32_t threads = 0;
  std::optional<double> cpu_share;   // of a core, by the busiest thread, in the last second; missing: no second has ended since the snapshot before
  nanoseconds hot{};                 // how long a thread has used more than 85 % of a core on end
  stats::sketch loop_lag_ns;         // since the snapshot before
};

}  // namespace hotpath::inline HOTPATH_ABI::model
// ---- hotpath/replay/dispatch.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

// When to give up by itself: after `after` finished requests more than `count` or `share` of them failed, or `in_a_row`.
struct error_limits {
  std::optional<std::uint64_t> count = {};
  std::optional<double> share = 0.10;
  std::uint64_t in_a_row = 20;   // 0: no such rule
  std::uint64_t after = 20;
};

using progress = model::progress;

class dispatch {
 public:
  dispatch(const model::schedule& plan, const error_limits& limits) : plan_(plan), limits_(limits) {}

  struct turn {
    std::uint64_t index = 0;
    nanoseconds intended{};     // since the origin
    model::stamp slot_free;     // open loop with a cap
  };

  // Closed loop: the next index, while the limits allow. `now` is since the start of sending.
  std::optional<turn> claim(nanoseconds now, nanoseconds since_start);
  // Open loop: request `index` is due. Its turn, or nothing: it waits for a slot of the cap.
  std::optional<turn> due(std::uint64_t index, nanoseconds intended);
  // A request ended and its slot is free: with a cap, the turn of the one that waited longest.
  std::optional<turn> release(nanoseconds now);
  // No more is sent. The first reason stays. What waited for a slot is never sent, and counted.
  void stop(std::string_view reason);
  // The end of a planned duration: as stop, without being a reason.
  void close();

  void started();
  void first_content(const model::request& r);
  void interval(const model::client_interval& i);  // of one thread; once a second
  void finished(const model::request& r);
  void not_sent(std::uint64_t n);

  bool stopped() const;
  bool closed() const;
  std::string reason() const;
  bool refused() const;                 // stopped by 401 or 403
  std::uint64_t unsent() const;
  progress snapshot();

 private:
  void drop_waiting();
  const model::schedule& plan_;
  const error_limits limits_;
  mutable std::mutex mutex_;
  std::deque<turn> waiting_;
  std::string reason_, last_failure_;
  progress counts_;
  std::vector<nanoseconds> hot_;        // by thread: above 85 % of a core for so long on end
  std::uint64_t next_ = 0, held_slots_ = 0, failed_in_a_row_ = 0, unsent_ = 0;
  bool stopped_ = false, closed_ = false, refused_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/dispatch-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN std::optional<dispatch::turn> dispatch::claim(nanoseconds now, nanoseconds since_start) {
  const std::lock_guard lock{mutex_};
  if (plan_.max_duration && since_start >= *plan_.max_duration) closed_ = true;
  if (plan_.max_requests && next_ >= *plan_.max_requests) closed_ = true;
  if (stopped_ || closed_) return std::nullopt;
  return turn{.index = next_++, .intended = now, .slot_free = {}};
}

HOTPATH_FN std::optional<dispatch::turn> dispatch::due(std::uint64_t index, nanoseconds intended) {
  const std::lock_guard lock{mutex_};
  if (stopped_ || closed_) {  // by another thread, since the caller looked
    ++unsent_;
    return std::nullopt;
  }
  turn t{.index = index, .intended = intended, .slot_free = {}};
  if (plan_.max_in_flight == 0) return t;
  if (held_slots_ >= plan_.max_in_flight) {
    waiting_.push_back(t);
    return std::nullopt;
  }
  ++held_slots_;
  t.slot_free = {intended, model::stamp_source::user, true};  // a slot was there when it fell due
  return t;
}

HOTPATH_FN std::optional<dispatch::turn> dispatch::release(nanoseconds now) {
  const std::lock_guard lock{mutex_};
  if (plan_.max_in_flight == 0 || !plan_.open()) return std::nullopt;
  if (waiting_.empty()) {
    --held_slots_;
    return std::nullopt;
  }
  turn t = waiting_.front();
  waiting_.pop_front();
  t.slot_free = {now, model::stamp_source::user, true};
  return t;
}

HOTPATH_FN void dispatch::drop_waiting() {
  unsent_ += waiting_.size();
  waiting_.clear();
}

HOTPATH_FN void dispatch::stop(std::string_view reason) {
  const std::lock_guard lock{mutex_};
  if (!std::exchange(stopped_, true)) reason_ = reason;
  drop_waiting();
}

HOTPATH_FN void dispatch::close() {
  const std::lock_guard lock{mutex_};
  closed_ = true;
  drop_waiting();
}

HOTPATH_FN void dispatch::started() {
  const std::lock_guard lock{mutex_};
  ++counts_.sent;
  ++counts_.in_flight;
}

HOTPATH_FN void dispatch::not_sent(std::uint64_t n) {
  const std::lock_guard lock{mutex_};
  unsent_ += n;
}

HOTPATH_FN void dispatch::first_content(const model::request& r) {
  const std::lock_guard lock{mutex_};
  counts_.ttft_ms.add((r.first_content.at - r.intended.at).ms());
}

HOTPATH_FN void dispatch::interval(const model::client_interval& i) {
  const std::lock_guard lock{mutex_};
  counts_.content_events += i.content_events;
  counts_.inexact_events += i.inexact_events;
  const nanoseconds wall = i.end - i.begin;
  counts_.covered += wall;
  counts_.loop_lag_ns.merge(i.loop_lag_ns);
  if (wall <= nanoseconds{}) return;
  const double share = i.cpu.s() / wall.s();
  if (!counts_.cpu_share || share > *counts_.cpu_share) counts_.cpu_share = share;
  if (hot_.size() <= i.thread) hot_.resize(i.thread + 1);
  hot_[i.thread] = share > model::hot_share ? hot_[i.thread] + wall : nanoseconds{};
}

HOTPATH_FN void dispatch::finished(const model::request& r) {
  const std::lock_guard lock{mutex_};
  --counts_.in_flight;
  ++counts_.finished;
  if (r.status != model::request_status::ok) ++counts_.errors[static_cast<std::size_t>(r.error)];
  if (const auto delay = model::dispatch_delay(r)) {
    ++counts_.judged;
    if (*delay > model::late_after) ++counts_.late;
  }
  if (r.status == model::request_status::ok) {
    ++counts_.ok;
    failed_in_a_row_ = 0;
    counts_.output_tokens += static_cast<std::uint64_t>(r.completion_tokens.value_or(0));
    counts_.output_events += r.chunks.count();
    if (r.first_content && r.completion_tokens.value_or(0) > 1)
      counts_.tpot_ms.add((r.last_content.at - r.first_content.at).ms() / static_cast<double>(*r.completion_tokens - 1));
  } else if (r.status == model::request_status::failed) {
    ++counts_.failed;
    ++failed_in_a_row_;
    last_failure_ = " (" + std::string(name_of(r.error)) + ": " + r.error_message + ")";
  }
  if (stopped_) return;
  const auto halt = [&](std::string why) {
    stopped_ = true;
    reason_ = std::move(why) + last_failure_;
    drop_waiting();
  };
  if (r.http_status == 401 || r.http_status == 403) {
    refused_ = true;
    halt("the server refused us with HTTP " + std::to_string(r.http_status));
  } else if (limits_.in_a_row != 0 && failed_in_a_row_ >= limits_.in_a_row) {
    halt(std::to_string(failed_in_a_row_) + " requests in a row failed");
  } else if (counts_.finished >= limits_.after) {
    if (limits_.count && counts_.failed > *limits_.count) halt(std::to_string(counts_.failed) + " requests failed, more than --max-errors");
    else if (limits_.share && static_cast<double>(counts_.failed) > *limits_.share * static_cast<double>(counts_.finished))
      halt(std::to_string(counts_.failed) + " of " + std::to_string(counts_.finished) + " requests failed, more than --max-errors");
  }
}

HOTPATH_FN bool dispatch::stopped() const {
  const std::lock_guard lock{mutex_};
  return stopped_;
}
HOTPATH_FN bool dispatch::closed() const {
  const std::lock_guard lock{mutex_};
  return closed_ || stopped_;
}
HOTPATH_FN std::string dispatch::reason() const {
  const std::lock_guard lock{mutex_};
  return reason_;
}
HOTPATH_FN bool dispatch::refused() const {
  const std::lock_guard lock{mutex_};
  return refused_;
}
HOTPATH_FN std::uint64_t dispatch::unsent() const {
  const std::lock_guard lock{mutex_};
  return unsent_;
}

HOTPATH_FN progress dispatch::snapshot() {
  const std::lock_guard lock{mutex_};
  counts_.waiting = waiting_.size();
  counts_.phase = stopped_ || closed_ ? "draining" : "sending";
  counts_.threads = static_cast<std::uint32_t>(hot_.size());
  counts_.hot = {};
  for (const nanoseconds h : hot_)
    if (h > counts_.hot) counts_.hot = h;
  progress p = counts_;
  counts_.ttft_ms = counts_.tpot_ms = counts_.loop_lag_ns = stats::sketch{};
  counts_.cpu_share.reset();
  return p;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/exchange.hpp
// hotpath/replay/exchange.hpp - one request and its streamed answer, without a socket: bytes and arrivals in, a record out.
//   The client drives it from readiness events; a test drives it from strings.
//
//     exchange x; x.begin(std::move(planned), {});
//     x.received(bytes_of_one_read, {.at = t, .kernel = true});    // once per read
//     if (x.complete()) store(x.take());                           // record().status says how it ended
//
//   Arrival of an event = the stamp of the read that held its last byte. The stamp is the event's own only when it was the
//   last event of its read and nothing of a later one had come: all others are marked inexact (an upper bound).
//   Cost: about 0.35 us per content event of 250 bytes, two thirds of it JSON (tests/bench/replay, flood).
// ---- hotpath/replay/sse.hpp
// hotpath/replay/sse.hpp - server-sent events from bytes, cut anywhere (WHATWG HTML, "Interpreting an event stream").
//
//     replay::sse_parser sse;
//     sse.feed(piece, [&](const replay::sse_event& e) { if (e.data == "[DONE]") finish(); });   // e lives during the call
//
//   Lines end in LF, CR or CRLF, never at U+2028 or U+0085. The bytes are not decoded: ill-formed UTF-8 and NUL reach the event
//   as they are. An event is given at the byte that completes it; an unfinished one at the end of the stream is discarded.
//   An event that lies whole inside `in` with one data line is given as views into `in`, uncopied; otherwise its bytes are held.
//   Cost: two memchr passes over the bytes. Memory: the object, plus the unfinished event, at most `limit` bytes.
// ---- hotpath/replay/sse.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

struct sse_event {
  std::string_view type;  // "message" if the stream names none
  std::string_view data;  // lines joined by LF
  std::string_view id;    // the last id seen on the stream
};

class sse_parser {
 public:
  static constexpr std::size_t default_limit = 1024 * 1024;  // bytes of one event

  explicit sse_parser(std::size_t limit = default_limit) : limit_(limit) {}

  // Calls f(const sse_event&) for each event completed by `in`. After over_limit() nothing more is read.
  template <class F>
  void feed(std::string_view in, F&& f) {
    if (over_limit_ || in.empty()) return;
    const char* p = in.data();
    const char* const end = p + in.size();
    if (bom_ != bom_done) p = skip_bom(p, end);
    if (after_cr_ && p != end) {
      if (*p == '\n') ++p;
      after_cr_ = false;
    }
    // The next LF and CR from p on, `end` if there is none. Each is looked for again only when passed: linear in any mixture.
    const char* lf = find(p, end, '\n');
    const char* cr = find(p, end, '\r');
    while (p != end) {
      const char* const stop = lf < cr ? lf : cr;
      if (stop == end) break;
      std::string_view line(p, static_cast<std::size_t>(stop - p));
      p = stop + 1;
      if (stop == cr) {
        if (p == end) after_cr_ = true;
        else if (*p == '\n') ++p;
        cr = find(p, end, '\r');
      }
      if (lf < p) lf = find(p, end, '\n');
      if (!held_.empty()) {
        if (!hold(line)) return;
        line = held_;
      } else if (stored_ + line.size() > limit_) {
        return give_up();
      }
      if (!line.empty()) {
        field(line);
      } else if (const std::optional<sse_event> e = complete()) {
        f(*e);
        restart();
      }
      held_.clear();
    }
    if (p != end && !hold(std::string_view(p, static_cast<std::size_t>(end - p)))) return;
    keep_views();
  }

  // Bytes of an unfinished line or event are held: at the end of the stream they are lost.
  bool event_pending() const { return has_data_ || !held_.empty() || !type_.empty() || (bom_ != bom_start && bom_ != bom_done); }
  bool over_limit() const { return over_limit_; }
  // The stream has ended: what is unfinished is discarded. True: there was something.
  bool finish() {
    const bool lost = event_pending();
    *this = sse_parser(limit_);
    return lost;
  }
  // Milliseconds of the last valid `retry` field.
  std::optional<std::uint64_t> retry_ms() const { return retry_ms_; }

 private:
  enum : std::uint8_t { bom_start, bom_one, bom_two, bom_done };

  static const char* find(const char* from, const char* end, char c) {
    if (from == end) return end;
    const void* const at = std::memchr(from, c, static_cast<std::size_t>(end - from));
    return at != nullptr ? static_cast<const char*>(at) : end;
  }

  // U+FEFF at the very beginning, possibly in three reads. What turns out to be no BOM belongs to the first line.
  const char* skip_bom(const char* p, const char* end) {
    constexpr char mark[] = {'\xEF', '\xBB', '\xBF'};
    while (p != end && bom_ != bom_done) {
      if (*p == mark[bom_]) {
        ++p;
        ++bom_;
      } else {
        held_.assign(mark, bom_);
        bom_ = bom_done;
      }
    }
    return p;
  }

  bool hold(std::string_view part) {
    if (stored_ + held_.size() + part.size() > limit_) {
      give_up();
      return false;
    }
    held_.append(part);
    return true;
  }

  void give_up() {
    over_limit_ = true;
    std::string().swap(held_);
    std::string().swap(data_);
    has_data_ = false;
    view_ = {};
    type_.clear();
  }

  void field(std::string_view line) {
    const char* const colon = find(line.data(), line.data() + line.size(), ':');
    const std::string_view name(line.data(), static_cast<std::size_t>(colon - line.data()));
    std::string_view value = line.substr(name.size() == line.size() ? name.size() : name.size() + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") add_data(value);
    else if (!name.empty()) rare_field(name, value);  // an empty name: a comment
  }

  void add_data(std::string_view value) {
    if (!has_data_) {
      has_data_ = true;
      if (held_.empty()) view_ = value, viewed_ = true;
      else data_.assign(value);
      stored_ += value.size();
      return;
    }
    keep_views();
    data_ += '\n';
    data_ += value;
    stored_ += value.size() + 1;
  }

  void keep_views() {
    if (!viewed_) return;
    data_.assign(view_);
    view_ = {};
    viewed_ = false;
  }

  void rare_field(std::string_view name, std::string_view value) {
    if (name == "event") {
      stored_ += value.size();
      stored_ -= type_.size();
      type_.assign(value);
    } else if (name == "id") {
      if (value.find('\0') == std::string_view::npos) id_.assign(value);
    } else if (name == "retry" && !value.empty() && value.size() <= 18) {
      std::uint64_t n = 0;
      for (char c : value) {
        if (c < '0' || c > '9') return;
        n = n * 10 + static_cast<std::uint64_t>(c - '0');
      }
      retry_ms_ = n;
    }
  }

  // The blank line: an event, unless there was no data line (one without a value counts: its data is "").
  std::optional<sse_event> complete() {
    const std::string_view data = viewed_ ? view_ : std::string_view(data_);
    if (!has_data_) {
      restart();
      return std::nullopt;
    }
    return sse_event{type_.empty() ? std::string_view("message") : std::string_view(type_), data, id_};
  }

  void restart() {
    has_data_ = viewed_ = false;
    view_ = {};
    stored_ = 0;
    type_.clear();
    // One large event must not weigh on its stream for hours.
    if (data_.capacity() > keep_capacity) std::string().swap(data_);
    else data_.clear();
    if (held_.capacity() > keep_capacity) std::string().swap(held_);
  }
  static constexpr std::size_t keep_capacity = 2048;

  std::size_t limit_;
  std::size_t stored_ = 0;          // bytes of data and type of the unfinished event
  std::string_view view_;           // its only data line so far, inside the bytes being fed
  std::string held_, data_, type_, id_;
  std::optional<std::uint64_t> retry_ms_;
  std::uint8_t bom_ = bom_start;
  bool has_data_ = false, viewed_ = false, after_cr_ = false, over_limit_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/exchange.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

struct arrival {
  nanoseconds at{};      // since the run's origin
  bool kernel = false;   // the kernel's receive stamp; false: the loop's clock after the read
};

class exchange {
 public:
  // A new request on this connection. The record carries identity and plan; `keep_text` keeps the completion's text.
  void begin(model::request&& planned, bool keep_text);
  // Taken out of every error message: servers repeat the key that they refuse. The texts outlive this.
  void hide(std::span<const std::string_view> secrets) { secrets_ = secrets; }

  // The bytes of one read. What follows the end of the answer is not consumed and makes the connection unusable.
  void received(std::string_view bytes, const arrival& when);

  // The peer closed the connection (reset: by RST). Ends the answer if its framing allows, else fails it.
  void peer_closed(bool reset, nanoseconds at);

  // Ends the request from outside: a deadline, a failed connect, a cancellation.
  void fail(model::error_class why, std::string message, nanoseconds at);

  // complete: the record is final. framing_ended: nothing more belongs to this answer (the connection may be reused).
  bool complete() const { return record_.status != model::request_status::in_flight; }
  bool framing_ended() const { return http_.now() == net::response_parser::state::done; }
  // Not after a stream that ended its framing too early: what it had to say may follow.
  bool reusable() const { return framing_ended() && http_.reusable() && !trailing_bytes_ && record_.error != model::error_class::truncated; }
  bool any_bytes() const { return record_.bytes_received != 0; }
  bool head_begun() const { return any_bytes() && !http_.head_complete(); }
  bool content_begun() const { return static_cast<bool>(record_.first_content); }

  // The final record, once complete. `now` stands for the end of a framing that never came.
  model::request take(nanoseconds now) {
    when_ = {now, false};
    if (!record_.closed) record_.closed = stamp(false);
    return std::move(record_);
  }

  model::request& record() { return record_; }
  const model::request& record() const { return record_; }
  // What this read added, for the client's books. An event that shares its read with nothing but the end of its own answer
  // (usage, [DONE]: servers write them back to back) is inexact in the log, and no sign of a client that reads too late.
  std::uint32_t content_events_in_read() const { return content_in_read_; }
  std::uint32_t inexact_events_in_read() const { return inexact_in_read_; }

 private:
  void on_head();
  void on_body(std::string_view piece);
  void on_event(const sse_event& event);
  void on_usage(const event_facts& facts);
  void release_event(bool exact, bool counts);
  void finish_stream(bool cut);
  void finish_answer();
  void close(model::request_status status, model::error_class why, std::string_view message);
  std::string error_text(std::string_view from_server, std::size_t limit) const;
  model::stamp stamp(bool exact) const {
    return {when_.at, when_.kernel ? model::stamp_source::kernel : model::stamp_source::user, exact && when_.kernel};
  }

  enum class body : std::uint8_t { undecided, stream, other };

  model::request record_;
  net::response_parser http_;
  sse_parser sse_;
  event_reader events_;
  std::span<const std::string_view> secrets_;
  std::string other_;              // the beginning of a body that is not a stream, for its error message
  arrival when_;                   // of the read in hand
  model::content_event held_;      // a content event of this read whose exactness is not yet known
  std::int64_t usage_seen_ = -1;   // completion tokens of the last usage object
  std::uint32_t content_in_read_ = 0, inexact_in_read_ = 0;
  body body_ = body::undecided;
  bool keep_text_ = false, holding_ = false, head_seen_ = false, done_ = false, encoded_ = false, trailing_bytes_ = false;
  bool server_error_ = false, bad_json_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/exchange-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
inline constexpr std::size_t message_limit = 1024;       // bytes of an error's text that are kept
inline constexpr std::size_t other_body_kept = 16 << 10;  // enough for any error object; the rest is read and dropped
inline constexpr std::uint64_t other_body_limit = 64u << 20;

inline bool begins_like_a_stream(std::string_view body) {
  for (const std::string_view field : {"data:", "event:", "id:", "retry:", ":"})
    if (body.starts_with(field)) return true;
  return false;
}

}  // namespace detail

// Servers quote the rejected request in their message (pydantic: "'input': {…}"); a prompt must not reach the store that way.
// Secrets go before the text is cut, so that no part of one stays.
HOTPATH_FN std::string exchange::error_text(std::string_view from_server, std::size_t limit) const {
  for (const std::string_view quote : {"'input':", "\"input\":", "input_value="})
    from_server = from_server.substr(0, (std::min)(from_server.find(quote), from_server.size()));
  if (secrets_.empty()) return text::printable(from_server, limit);
  return text::printable(text::redact_text(from_server.substr(0, detail::other_body_kept), secrets_), limit);
}

HOTPATH_FN void exchange::begin(model::request&& planned, bool keep_text) {
  record_ = std::move(planned);
  http_.reset();
  sse_ = sse_parser{};
  other_.clear();
  usage_seen_ = -1;
  body_ = body::undecided;
  keep_text_ = keep_text;
  holding_ = head_seen_ = done_ = encoded_ = trailing_bytes_ = server_error_ = bad_json_ = false;
  content_in_read_ = inexact_in_read_ = 0;
}

HOTPATH_FN void exchange::received(std::string_view bytes, const arrival& when) {
  using state = net::response_parser::state;
  when_ = when;
  content_in_read_ = inexact_in_read_ = 0;
  record_.bytes_received += bytes.size();
  const std::size_t used = http_.feed(bytes, [this](std::string_view piece) { on_body(piece); });
  if (holding_) release_event(!sse_.event_pending(), true);
  if (http_.head_complete() && !head_seen_) on_head();
  if (used < bytes.size() && http_.now() == state::done) trailing_bytes_ = true;
  if (framing_ended() && !record_.closed) record_.closed = stamp(true);
  if (complete()) return;
  if (http_.now() == state::failed) {
    const auto why = http_.fault() == net::http_fault::over_limit  ? model::error_class::over_limit
                     : http_.fault() == net::http_fault::truncated ? model::error_class::truncated
                                                                   : model::error_class::bad_framing;
    // The class "bad_framing" covers both; the name of the fault tells an ambiguous length, which a proxy could be tricked with.
    close(model::request_status::failed, why, std::string(name_of(http_.fault())) + ": " + std::string(http_.what()));
  } else if (body_ == body::other && http_.body_bytes() > detail::other_body_limit) {
    close(model::request_status::failed, model::error_class::over_limit, "HTTP " + std::to_string(record_.http_status) + " with a body of more than 64 MiB");
  } else if (encoded_) {
    close(model::request_status::failed, model::error_class::not_sse,
          "the answer is encoded (" + text::printable(http_.head().content_encoding, 32) + ") although identity was asked for");
  } else if (sse_.over_limit()) {
    close(model::request_status::failed, model::error_class::over_limit, "a server-sent event is larger than the limit of 1 MiB");
  } else if (framing_ended()) {
    finish_answer();
  } else if (done_) {
    finish_stream(false);
  }
}

HOTPATH_FN void exchange::on_head() {
  head_seen_ = true;
  record_.head = stamp(true);
  const net::response_head head = http_.head();
  record_.http_status = head.status;
  encoded_ = !head.content_encoding.empty() && !net::iequals(head.content_encoding, "identity");
  if (head.status != 200 || encoded_) body_ = body::other;
  else if (head.event_stream()) body_ = body::stream;
  else if (net::iequals(head.media_type(), "application/json") || net::iequals(head.media_type(), "text/html")) body_ = body::other;
}

HOTPATH_FN void exchange::on_body(std::string_view piece) {
  if (!head_seen_) on_head();
  if (body_ == body::undecided) {  // no content type that tells: the first bytes do
    other_ += piece;
    if (other_.size() < 6) return;
    body_ = detail::begins_like_a_stream(other_) ? body::stream : body::other;
    if (body_ == body::other) return;
    ++record_.warnings;
    const std::string begun = std::exchange(other_, {});
    sse_.feed(begun, [this](const sse_event& e) { on_event(e); });
  } else if (body_ == body::stream) {
    sse_.feed(piece, [this](const sse_event& e) { on_event(e); });
  } else if (other_.size() < detail::other_body_kept) {
    other_ += piece.substr(0, detail::other_body_kept - other_.size());
  }
}

HOTPATH_FN void exchange::on_event(const sse_event& event) {
  if (done_) return;
  const event_facts& facts = events_.read(event.data, keep_text_ ? &record_.completion_text : nullptr);
  if (holding_) release_event(false, facts.content);  // something followed it in the same read: the stamp is not its own
  record_.warnings += static_cast<std::uint32_t>(events_.repaired());
  if (facts.done) {
    done_ = true;
    return;
  }
  if (facts.malformed) {
    if (!std::exchange(bad_json_, true)) record_.error_message = "an event is not a JSON object: " + error_text(event.data, 80);
    return;
  }
  if ((facts.error || event.type == "error") && !std::exchange(server_error_, true))
    record_.error_message = error_text(events_.message().empty() ? "the server sent an error event" : events_.message(), detail::message_limit);
  std::uint32_t tokens = facts.token_ids;
  if (facts.usage && facts.completion_tokens) {
    // Usage in every event (continuous_usage_stats) tells the tokens of this one.
    if (tokens == 0 && facts.content && *facts.completion_tokens > (std::max<std::int64_t>)(usage_seen_, 0) && (usage_seen_ >= 0 || record_.chunks.empty()))
      tokens = static_cast<std::uint32_t>(*facts.completion_tokens - (std::max<std::int64_t>)(usage_seen_, 0));
    on_usage(facts);
  }
  if (facts.finish) {
    record_.finish_reason = text::printable(events_.finish_reason(), 64);
    if (!record_.finished) record_.finished = stamp(true);
  }
  if (facts.content) {
    held_ = {.at = when_.at, .tokens = tokens, .kind = facts.kind, .exact = false, .kernel = when_.kernel};
    holding_ = true;
  }
}

HOTPATH_FN void exchange::on_usage(const event_facts& facts) {
  if (*facts.completion_tokens < usage_seen_) record_.usage_suspect = true;  // repeated with smaller numbers
  usage_seen_ = *facts.completion_tokens;
  record_.completion_tokens = facts.completion_tokens;
  if (facts.prompt_tokens) record_.prompt_tokens = facts.prompt_tokens;
  if (facts.reasoning_tokens) record_.reasoning_tokens = facts.reasoning_tokens;
  if (facts.cached_tokens) record_.cached_tokens = facts.cached_tokens;
  record_.tokens_from = model::token_source::usage;
}

HOTPATH_FN void exchange::release_event(bool exact, bool counts) {
  holding_ = false;
  held_.exact = exact && held_.kernel;
  const model::stamp at{held_.at, held_.kernel ? model::stamp_source::kernel : model::stamp_source::user, held_.exact};
  if (!record_.first_content) record_.first_content = at;
  if (!record_.first_output && held_.kind != model::content_kind::reasoning) record_.first_output = at;
  record_.last_content = at;
  record_.chunks.append(held_);
  ++content_in_read_;
  if (!held_.exact && (counts || !held_.kernel)) ++inexact_in_read_;
}

HOTPATH_FN void exchange::finish_answer() {
  if (!head_seen_) on_head();
  if (body_ == body::stream) return finish_stream(false);
  const int status = record_.http_status;
  const event_facts& facts = events_.read_error(other_);
  std::string message = "HTTP " + std::to_string(status);
  if (status >= 300 && status < 400) message += " redirects to " + text::printable(text::redact_url(http_.head().location), 256) + "; redirects are not followed";
  else if (!events_.message().empty()) message += ": " + error_text(events_.message(), detail::message_limit);
  else if (!http_.head().content_type.empty()) message += " (" + text::printable(http_.head().content_type, 64) + ")";
  using enum model::error_class;
  const auto why = status == 429 || status == 503       ? rejected
                   : status >= 500                      ? http_5xx
                   : status >= 400                      ? http_4xx
                   : status == 200 && facts.error       ? server_error
                                                        : not_sse;
  if (why == not_sse && status == 200) message += ": the answer is not an event stream";
  close(model::request_status::failed, why, message);
}

// The stream is over: by [DONE], by the end of its framing, or cut off.
HOTPATH_FN void exchange::finish_stream(bool cut) {
  using enum model::error_class;
  const auto n = static_cast<std::int64_t>(record_.chunks.count());
  if (record_.completion_tokens && *record_.completion_tokens < n) record_.usage_suspect = true;  // every content event carries a token at least
  if (server_error_) return close(model::request_status::failed, server_error, record_.error_message);
  if (bad_json_) return close(model::request_status::failed, bad_json, record_.error_message);
  if (record_.finish_reason == "abort" || record_.finish_reason == "error")
    return close(model::request_status::failed, server_error, "the server ended the answer with finish_reason " + record_.finish_reason);
  if (!done_ && (cut || record_.finish_reason.empty()))
    return close(model::request_status::failed, truncated, "the stream ended after " + std::to_string(n) + " content events without [DONE]" +
                                                               (record_.finish_reason.empty() ? " and without a finish reason" : ""));
  if (!done_ || record_.finish_reason.empty()) ++record_.warnings;
  close(model::request_status::ok, none, {});
}

HOTPATH_FN void exchange::peer_closed(bool reset, nanoseconds at) {
  when_ = {at, false};
  if (!record_.closed) record_.closed = stamp(false);
  if (complete()) return;
  if (!any_bytes()) return close(model::request_status::failed, model::error_class::reset, reset ? "connection reset before the answer" : "connection closed before the answer");
  if (!reset) http_.eof();
  if (!reset && http_.now() == net::response_parser::state::done) {
    return finish_answer();
  }
  if (!http_.head_complete()) return close(model::request_status::failed, reset ? model::error_class::reset : model::error_class::truncated, "connection ended within the response head");
  if (reset && !done_) {
    finish_stream(true);
    if (record_.error == model::error_class::truncated) record_.error = model::error_class::reset;
    return;
  }
  if (body_ == body::stream) return finish_stream(true);
  close(model::request_status::failed, model::error_class::truncated, "connection ended within the response body");
}

HOTPATH_FN void exchange::fail(model::error_class why, std::string message, nanoseconds at) {
  if (complete()) return;
  when_ = {at, false};
  if (!record_.closed) record_.closed = stamp(false);
  close(why == model::error_class::cancelled ? model::request_status::cancelled : model::request_status::failed, why, message);
}

HOTPATH_FN void exchange::close(model::request_status status, model::error_class why, std::string_view message) {
  record_.status = status;
  record_.error = why;
  record_.error_message = error_text(message, detail::message_limit);
  record_.warnings += http_.warnings();
  if (!record_.completion_tokens && !record_.chunks.empty()) {
    record_.tokens_from = model::token_source::chunks;
    record_.completion_tokens = static_cast<std::int64_t>(record_.chunks.count());
  }
  if (!done_ && !record_.closed) record_.closed = stamp(false);  // after [DONE] the framing may still end
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/feeder.hpp
// hotpath/replay/feeder.hpp - prepares requests ahead of their time, on a thread of its own.
//   Reading a workload, composing JSON and HTTP heads never happens on a thread that keeps time. Bounded: what is ahead is at
//   most wire_options::ahead requests and 32 MiB (or one request, if it is larger), and nothing that the plan will not send.
// ---- hotpath/replay/feeder.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
inline constexpr std::size_t ahead_bytes = 32u << 20;
}

struct prepared {
  model::request record;   // identity and plan
  std::string wire;        // head and body, as they go to the socket
};

struct wire_options {
  net::url endpoint;
  std::vector<net::header> headers;  // with their secrets; they go to the wire and nowhere else
  body_options body;
  std::string id_prefix;        // X-Request-Id: <prefix>-000001
  std::uint64_t warmup = 0;
  bool keep_text = false;
  bool single_pass = false;     // end with the workload instead of cycling it
  std::uint64_t requests = UINT64_MAX;  // what the plan sends at most: no more are prepared
  std::uint64_t ahead = 1024;   // prepared before they are needed: half a second at 2,000 requests/s
};

// The error of a workload without a single request: what was skipped and why.
error nothing_to_send(const workload& load);

class feeder {
 public:
  enum class take_result : std::uint8_t { ready, not_yet, ended };

  // `ring` is called from the feeder's thread when take() has answered not_yet and more is there now.
  feeder(workload& source, wire_options options, std::function<void()> ring);
  ~feeder();
  feeder(const feeder&) = delete;
  feeder& operator=(const feeder&) = delete;

  // Request number `index` of the schedule; each index once, in roughly ascending order. Any thread.
  take_result take(std::uint64_t index, prepared& out);
  // Blocks until `n` requests are prepared (as far as its bounds allow) or no more will be.
  void wait_ahead(std::uint64_t n);

  std::optional<error> failure() const;
  std::uint64_t passes() const;          // of the workload, begun by what was taken
  std::uint64_t prepared_count() const;

 private:
  void run();
  bool full() const { return ahead_.size() >= options_.ahead || ahead_bytes_ >= detail::ahead_bytes; }
  // Time to go on: not at every request taken, or each would wake the feeder's thread once.
  bool low() const { return ahead_.size() <= options_.ahead / 2 && ahead_bytes_ <= detail::ahead_bytes / 2; }
  result<void> compose(workload_item& item, std::uint64_t index, prepared& out);

  workload& source_;
  const wire_options options_;
  const std::function<void()> ring_;
  mutable std::mutex mutex_;
  std::condition_variable room_, grown_;
  std::deque<std::optional<prepared>> ahead_;   // [base_, base_ + size)
  std::uint64_t base_ = 0, next_ = 0, passes_ = 1;
  std::size_t ahead_bytes_ = 0;
  std::optional<error> failure_;
  bool ended_ = false, stop_ = false, hungry_ = false;
  std::thread thread_;   // last: it uses all of the above
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/feeder-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN error nothing_to_send(const workload& load) {
  std::string detail = "nothing to send: the workload holds no request";
  if (const auto skipped = load.lost().total(); skipped > 0) detail += ", " + std::to_string(skipped) + " lines were skipped";
  if (!load.problems().empty()) detail += "; the first: " + load.problems().front();
  return {.code = errc::empty, .detail = std::move(detail), .source = load.description()};
}

HOTPATH_FN feeder::feeder(workload& source, wire_options options, std::function<void()> ring)
    : source_(source), options_(std::move(options)), ring_(std::move(ring)), thread_([this] { run(); }) {}

HOTPATH_FN feeder::~feeder() {
  {
    const std::lock_guard lock{mutex_};
    stop_ = true;
  }
  room_.notify_all();
  thread_.join();
}

HOTPATH_FN feeder::take_result feeder::take(std::uint64_t index, prepared& out) {
  const std::lock_guard lock{mutex_};
  if (index < base_ || index >= next_) {
    if (ended_ || index < base_) return take_result::ended;
    hungry_ = true;
    room_.notify_one();
    return take_result::not_yet;
  }
  auto& slot = ahead_[static_cast<std::size_t>(index - base_)];
  if (!slot) return take_result::ended;
  ahead_bytes_ -= slot->wire.size();
  out = std::move(*slot);
  slot.reset();
  passes_ = (std::max<std::uint64_t>)(passes_, out.record.pass + 1);
  while (!ahead_.empty() && !ahead_.front()) {
    ahead_.pop_front();
    ++base_;
  }
  if (low()) room_.notify_one();
  return take_result::ready;
}

HOTPATH_FN void feeder::wait_ahead(std::uint64_t n) {
  std::unique_lock lock{mutex_};
  grown_.wait(lock, [&] { return next_ >= n || ended_ || (next_ > 0 && full()); });
}

HOTPATH_FN std::optional<error> feeder::failure() const {
  const std::lock_guard lock{mutex_};
  return failure_;
}
HOTPATH_FN std::uint64_t feeder::passes() const {
  const std::lock_guard lock{mutex_};
  return passes_;
}
HOTPATH_FN std::uint64_t feeder::prepared_count() const {
  const std::lock_guard lock{mutex_};
  return next_;
}

HOTPATH_FN result<void> feeder::compose(workload_item& item, std::uint64_t index, prepared& out) {
  char number[24];
  std::snprintf(number, sizeof number, "-%06llu", static_cast<unsigned long long>(index + 1));
  model::request& r = out.record;
  r.index = index;
  r.workload_row = item.row;
  r.pass = item.pass;
  r.id = options_.id_prefix + number;
  r.given_id = std::move(item.given_id);
  r.warmup = index < options_.warmup;
  r.prompt_tokens_planned = item.prompt_tokens_planned;
  r.output_tokens_asked = item.max_tokens;
  r.prompt_bytes = item.prompt_bytes;
  if (options_.keep_text) r.prompt_text = std::move(item.prompt_text);

  std::string body;
  write_body(body, item, options_.body);
  std::vector<net::header> headers{{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}, {"Accept-Encoding", "identity"}, {"X-Request-Id", r.id}};
  headers.insert(headers.end(), options_.headers.begin(), options_.headers.end());
  return net::write_request(out.wire, "POST", options_.endpoint.target(item.chat ? "/v1/chat/completions" : "/v1/completions"),
                     options_.endpoint.authority(), headers, body);
}

HOTPATH_FN void feeder::run() {
  std::uint64_t in_this_pass = 0;
  for (std::uint64_t index = 0;;) {
    {
      std::unique_lock lock{mutex_};
      // Hungry: somebody waits for an index beyond what is ahead (all of it belongs to others): one more, whatever the bound.
      room_.wait(lock, [&] {
        return stop_ || hungry_ || ahead_.empty() || !full();
      });
      if (stop_) return;
    }
    workload_item item;
    const bool all = index == options_.requests;
    auto more = all ? result<bool>{false} : source_.next(item);
    std::optional<error> failed;
    if (more && !*more && !all) {
      if (in_this_pass == 0 && index == 0) failed = nothing_to_send(source_);
      else if (in_this_pass == 0) failed = error{.code = errc::io, .detail = "the workload is empty on its second reading", .source = source_.description()};
      else if (!options_.single_pass) {
        in_this_pass = 0;
        if (auto again = source_.rewind(); !again) failed = again.error();
        else continue;
      }
    } else if (!more) {
      failed = more.error();
    }
    prepared p;
    bool have = more && *more;
    if (have) {
      if (auto composed = compose(item, index, p); !composed) {
        failed = composed.error();
        have = false;
      }
    }
    bool ring = false;
    {
      const std::lock_guard lock{mutex_};
      if (have) {
        ahead_bytes_ += p.wire.size();
        ahead_.emplace_back(std::move(p));
        next_ = ++index;
        ++in_this_pass;
      } else {
        failure_ = std::move(failed);
        ended_ = true;
      }
      ring = std::exchange(hungry_, false);
    }
    grown_.notify_all();
    if (ring) ring_();
    if (!have) return;
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/worker.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

// None is infinite: a deadline of 0 is a mistake and is refused by the client.
struct timeouts {
  nanoseconds connect{5'000'000'000};          // name is resolved before the run; all addresses together
  nanoseconds head{30'000'000'000};            // from the first to the last byte of the response head
  nanoseconds first_byte{600'000'000'000};     // from the send to the first content: queues of LLM servers are real
  nanoseconds idle{60'000'000'000};            // between bytes of a stream that has begun
  nanoseconds total{3'600'000'000'000};        // from connect to the end
  nanoseconds framing{50'000'000};             // from [DONE] to the end of its framing: servers take microseconds
};

template <class S>
concept sink = requires(S& s, model::request&& r, const model::client_interval& i) { s.add(std::move(r)); s.add(i); };

// What all workers of a run share. The client owns it and outlives them.
struct shared_run {
  const model::schedule& plan;
  const std::vector<net::address>& addresses;
  replay::feeder& feeder;
  replay::dispatch& dispatch;
  timeouts limits;
  nanoseconds origin;                         // CLOCK_MONOTONIC of the run's zero
  nanoseconds sending_began;                  // since the origin
  std::uint32_t threads = 1;
  bool keep_text = false;
  std::span<const std::string_view> secrets;  // kept out of error messages
  light_atomic<std::int64_t> cancel_at{INT64_MAX};  // CLOCK_MONOTONIC: what is in flight then is cancelled
  light_atomic<std::uint64_t> stale_connections{};  // kept-alive connections that the server had closed: sent again
  light_atomic<std::uint64_t> never_framed{};       // answers whose framing did not end after [DONE]
};

template <net::transport Transport, sink Sink>
class worker {
 public:
  worker(shared_run& run, Sink& out, std::uint32_t number) : run_(run), out_(out), number_(number), buffer_(receive_size) {
    if (!run.plan.open()) slots_ = run.plan.streams / run.threads + (number < run.plan.streams % run.threads ? 1 : 0);
    next_due_ = number;
  }

  bool ok() const { return static_cast<bool>(loop_); }
  error failure() const { return loop_.failure(); }
  void wake() { loop_.wake(); }

  // Until nothing is left to send and nothing is in flight.
  void operator()() {
    ::prctl(PR_SET_TIMERSLACK, 1UL);  // the default of 50 us would be the larger part of the dispatch delay
    woke_ = now_ = monotonic_now();
    begin_interval();
    for (;;) {
      send_due();
      if (finished()) break;
      const nanoseconds before = woke_;
      const auto ready = loop_.wait((std::min)(next_deadline(), before + tick));
      const nanoseconds woke = woke_ = now_ = monotonic_now();
      // No round of this loop takes half a second by itself: the process was stopped, or the machine slept.
      if (woke - before > suspended_over) interval_.suspended = (std::max)(interval_.suspended, woke - before);
      stamps_good_ = clocks_.observe();
      for (std::size_t i = 0; i < ready.size(); ++i) {
        if (i + 1 < ready.size()) fetch(*connections_[static_cast<std::size_t>(ready[i + 1].token)]);
        handle(ready[i]);
      }
      if (!ready.empty()) {
        ++interval_.wakeups;
        interval_.loop_lag_ns.add(static_cast<double>((now_ - woke).ns));  // how long the last of this batch had to wait for us
      }
      expire();
      if (now_ >= interval_end_) end_interval();
    }
    end_interval();
  }

 private:
  enum class state : std::uint8_t { unused, connecting, backing_off, talking, lingering, kept };

  struct connection {
    Transport socket;
    exchange talk;
    std::string wire;
    std::size_t sent = 0;
    nanoseconds deadline{INT64_MAX}, armed{INT64_MAX};  // CLOCK_MONOTONIC; armed: of the entry in the heap
    nanoseconds begun{};            // total and connect deadlines count from here
    nanoseconds head_begun{};
    std::size_t address = 0;        // in use, tried addresses
    std::size_t tried = 0;
    state now = state::unused;
    bool watching_out = false, reused = false;
  };
  struct timer {
    nanoseconds at;
    std::uint32_t who;
    friend bool operator<(const timer& a, const timer& b) { return a.at > b.at; }  // earliest on top
  };

  static constexpr std::size_t receive_size = 64 << 10;
  static constexpr nanoseconds back_off{50'000'000};       // no descriptor or port: try again after
  static constexpr nanoseconds tick{100'000'000};          // it wakes at least this often, so that a suspension shows
  static constexpr nanoseconds suspended_over{500'000'000};
  static constexpr int starts_at_once = 16;
  static constexpr nanoseconds interval_length{1'000'000'000};

  // ---- the schedule's side

  nanoseconds since_origin(nanoseconds t) const { return t - run_.origin; }
  model::stamp here() const { return {since_origin(now_), model::stamp_source::user, true}; }

  // Starts what is due, a few at a time: a burst of a thousand must not keep the first ones' answers waiting.
  void send_due() {
    now_ = monotonic_now();
    if (run_.plan.open()) collect_due();
    if (!runnable_.empty() && run_.dispatch.stopped()) {
      if (run_.plan.open()) run_.dispatch.not_sent(runnable_.size());
      else claimed_ -= runnable_.size();
      runnable_.clear();
    }
    pressing_ = false;
    for (int started = 0; !runnable_.empty() || claim_slot(); ++started) {
      if (started == starts_at_once) {
        pressing_ = true;
        return;
      }
      prepared p;
      const auto got = run_.feeder.take(runnable_.front().index, p);
      if (got == feeder::take_result::not_yet) return;  // the feeder rings when it has it
      const dispatch::turn turn = runnable_.front();
      runnable_.pop_front();
      if (got == feeder::take_result::ended) {
        // No more to send: what was claimed beyond the end of the workload never was a request.
        if (run_.plan.open()) run_.dispatch.not_sent(1);
        else --claimed_;
        run_.dispatch.close();
        continue;
      }
      now_ = monotonic_now();
      start(turn, std::move(p));
    }
  }

  // Closed loop: takes a free slot, which is the moment its request is intended for.
  bool claim_slot() {
    if (claimed_ >= slots_) return false;
    now_ = monotonic_now();
    const auto turn = run_.dispatch.claim(since_origin(now_), since_origin(now_) - run_.sending_began);
    if (!turn) return false;
    ++claimed_;
    runnable_.push_back(*turn);
    return true;
  }

  void collect_due() {
    const auto& due = run_.plan.due;
    const bool over = run_.dispatch.closed();
    while (!over && next_due_ < due.size()) {
      const nanoseconds at = run_.origin + run_.sending_began + due[next_due_];
      if (at > now_) return;
      interval_.loop_lag_ns.add(static_cast<double>((now_ - at).ns));
      if (auto turn = run_.dispatch.due(next_due_, since_origin(at))) runnable_.push_back(*turn);
      next_due_ += run_.threads;
    }
    if (over && next_due_ < due.size()) {
      run_.dispatch.not_sent((due.size() - next_due_ + run_.threads - 1) / run_.threads);
      next_due_ = due.size();
    }
  }

  bool finished() const {
    if (in_flight_ != 0 || !runnable_.empty()) return false;
    // Who waits for a slot goes to the thread that frees it, which has it in flight until then.
    if (run_.plan.open()) return next_due_ >= run_.plan.due.size();
    return run_.dispatch.closed() || slots_ == 0;
  }

  nanoseconds next_deadline() {
    if (pressing_) return now_;
    nanoseconds at = interval_end_;
    if (run_.plan.open() && next_due_ < run_.plan.due.size())
      at = (std::min)(at, run_.origin + run_.sending_began + run_.plan.due[next_due_]);
    if (!timers_.empty()) at = (std::min)(at, timers_.top().at);
    return (std::min)(at, nanoseconds{run_.cancel_at.load_relaxed()});
  }

  // ---- one request

  void start(const dispatch::turn& turn, prepared&& p) {
    model::request& r = p.record;
    r.intended = {turn.intended, run_.plan.open() ? model::stamp_source::schedule : model::stamp_source::user, true};
    r.slot_free = turn.slot_free;
    ++in_flight_;
    run_.dispatch.started();
    const std::uint32_t who = !kept_.empty() ? kept_.back() : unused_connection();
    const bool reuse = !kept_.empty();
    if (reuse) kept_.pop_back();
    connection& c = *connections_[who];
    r.reused_connection = c.reused = reuse;
    r.bytes_sent = 0;
    c.talk.begin(std::move(r), run_.keep_text);
    c.wire = std::move(p.wire);
    c.sent = 0;
    c.begun = now_;
    c.head_begun = {};
    if (reuse) begin_talking(who);
    else begin_connecting(who);
  }

  std::uint32_t unused_connection() {
    if (unused_.empty()) {
      connections_.push_back(std::make_unique<connection>());
      connections_.back()->talk.hide(run_.secrets);
      return static_cast<std::uint32_t>(connections_.size() - 1);
    }
    const std::uint32_t who = unused_.back();
    unused_.pop_back();
    return who;
  }

  void begin_connecting(std::uint32_t who) {
    connection& c = *connections_[who];
    if (!c.talk.record().connect_begin) c.talk.record().connect_begin = here();
    c.tried = 0;
    try_address(who, good_address_);
  }

  void try_address(std::uint32_t who, std::size_t address) {
    connection& c = *connections_[who];
    c.address = address;
    ++c.tried;
    const net::io r = c.socket.connect(run_.addresses[address]);
    if (r.error != 0) return connect_failed(who, r.error);
    c.watching_out = true;
    if (!loop_.add(c.socket.descriptor(), who, net::readable | net::writable)) return connect_failed(who, errno);
    c.now = state::connecting;
    // Each address has its share of the time, so that one that swallows packets leaves some for the next.
    const auto left = static_cast<std::int64_t>(run_.addresses.size() - c.tried + 1);
    const nanoseconds end = c.begun + run_.limits.connect;
    set_deadline(who, now_ + (end > now_ ? end - now_ : nanoseconds{0}) / left);
    if (r.ok()) connected(who);
  }

  void connect_failed(std::uint32_t who, int why) {
    using enum model::error_class;
    connection& c = *connections_[who];
    c.socket.close();
    c.now = state::connecting;
    // EADDRNOTAVAIL: no local port is left, or the address cannot be reached from here (::1 where IPv6 is off). One that has
    // answered can be reached; before any has, the others get their try.
    const bool no_port = why == EADDRNOTAVAIL && (answered_ ? c.address == good_address_ : c.tried >= run_.addresses.size());
    const bool ours = no_port || why == EMFILE || why == ENFILE || why == ENOBUFS || why == ENOMEM;
    if (ours || why == EAGAIN) {  // EAGAIN: a unix socket's backlog is full
      if (now_ + back_off < c.begun + run_.limits.connect) {
        c.now = state::backing_off;
        return set_deadline(who, now_ + back_off);
      }
      return fail(who, ours ? client_limit : connect_timeout, std::string("cannot open a connection: ") + std::strerror(why) +
                  (no_port ? "; no local port is left" + std::string(answered_ ? "" : ", or no such network") : ours ? "; raise the limit of open files (ulimit -n)" : ""));
    }
    if (c.tried < run_.addresses.size()) return try_address(who, (c.address + 1) % run_.addresses.size());
    // A connection that is reset had been accepted.
    fail(who, why == ETIMEDOUT ? connect_timeout : why == ECONNRESET || why == EPIPE ? reset : connect_refused,
         "cannot connect to " + run_.addresses[c.address].text + ": " + std::strerror(why));
  }

  void connected(std::uint32_t who) {
    connection& c = *connections_[who];
    const net::io r = c.socket.establish();
    if (r.again) return;
    if (r.error != 0) return connect_failed(who, r.error);
    good_address_ = c.address;
    answered_ = true;
    c.talk.record().connected = here();
    begin_talking(who);
  }

  void begin_talking(std::uint32_t who) {
    connection& c = *connections_[who];
    c.now = state::talking;
    c.talk.record().sent = here();
    watch(who);
    send_more(who);
  }

  void send_more(std::uint32_t who) {
    connection& c = *connections_[who];
    while (c.sent < c.wire.size()) {
      const net::io r = c.socket.send(std::string_view{c.wire}.substr(c.sent));
      if (r.again) break;
      if (!r.ok()) {
        if (r.error != EPIPE && r.error != ECONNRESET) return lost(who, r.error);
        // The server may have answered before it closed (413): its bytes are still to be read. No more is sent.
        c.sent = c.wire.size();
        break;
      }
      c.sent += r.bytes;
      c.talk.record().bytes_sent += r.bytes;
      interval_.bytes_sent += r.bytes;
    }
    set_deadline(who, (std::min)(c.begun + run_.limits.total, now_ + run_.limits.first_byte));
    watch(who);
  }

  void watch(std::uint32_t who) {
    connection& c = *connections_[who];
    const bool out = c.now == state::connecting || (c.now == state::talking && c.sent < c.wire.size());
    if (out == c.watching_out) return;
    c.watching_out = out;
    loop_.change(c.socket.descriptor(), who, net::readable | (out ? net::writable : 0));
  }

  // After a round of a thousand streams the next one's state is in no cache: asked for while the kernel copies this one's bytes.
  // A fifth of the user time per chunk (tests/bench/replay, 1,000 streams).
  static void fetch(const connection& c) {
    const auto* const bytes = reinterpret_cast<const char*>(&c);
    for (std::size_t at = 0; at < sizeof c; at += 64) __builtin_prefetch(bytes + at);
  }

  void handle(const net::ready& r) {
    const auto who = static_cast<std::uint32_t>(r.token);
    connection& c = *connections_[who];
    switch (c.now) {
      case state::connecting:
        now_ = monotonic_now();
        if (r.out) connected(who);
        return;
      case state::talking:
        if (r.in) receive(who);
        if (r.out && c.now == state::talking && c.sent < c.wire.size()) send_more(who);
        return;
      case state::lingering:
        return receive(who);
      case state::kept:  // a byte or an end on a connection that owes us nothing
        return discard(who);
      case state::unused:
      case state::backing_off:
        return;
    }
  }

  void receive(std::uint32_t who) {
    connection& c = *connections_[who];
    nanoseconds real;
    const net::io r = c.socket.receive(buffer_, real);
    now_ = monotonic_now();
    if (r.again) return;
    if (!r.ok()) return lost(who, r.error);
    ++interval_.reads;
    interval_.bytes_received += r.bytes;
    note_queue(c.socket.descriptor(), r.bytes);
    if (c.sent == c.wire.size()) c.wire = {}, c.sent = 0;  // an answer has begun: it is not a stale connection
    const bool lingering = c.now == state::lingering;
    const bool begun = c.talk.content_begun();
    c.talk.received({buffer_.data(), r.bytes}, stamp(real, c.talk.record().sent.at));
    if (!begun && c.talk.content_begun()) run_.dispatch.first_content(c.talk.record());
    interval_.content_events += c.talk.content_events_in_read();
    interval_.inexact_events += c.talk.inexact_events_in_read();
    if (c.talk.complete()) {
      if (!lingering) return end(who);
      if (c.talk.framing_ended()) end_linger(who);
      return;  // a part of the framing: the rest has until the deadline
    }
    nanoseconds limit = now_ + run_.limits.idle;
    if (c.talk.head_begun()) {
      if (c.head_begun == nanoseconds{}) c.head_begun = now_;
      limit = c.head_begun + run_.limits.head;
    } else if (!c.talk.content_begun()) {
      limit = run_.origin + c.talk.record().sent.at + run_.limits.first_byte;
    }
    set_deadline(who, (std::min)(limit, c.begun + run_.limits.total));
  }

  // `sent`: of the request. What came before it (413 at accept) is no answer that took time: it gets the loop's clock.
  arrival stamp(nanoseconds real, nanoseconds sent) {
    if (real != nanoseconds{} && stamps_good_) {
      if (const auto at = clocks_.to_monotonic(real, now_); at && since_origin(*at) >= sent) {
        interval_.read_lag_ns.add(static_cast<double>((now_ - *at).ns));
        return {since_origin(*at), true};
      }
    }
    return {since_origin(now_), false};
  }

  void note_queue(int descriptor, std::size_t bytes) {
    std::uint64_t waiting = bytes;
    int more = 0;
    if (bytes == receive_size && ::ioctl(descriptor, FIONREAD, &more) == 0) waiting += static_cast<std::uint64_t>(more);
    interval_.receive_queue_max = (std::max)(interval_.receive_queue_max, waiting);
  }

  // The connection ended under the request.
  void lost(std::uint32_t who, int error) {
    connection& c = *connections_[who];
    if (c.now == state::lingering) {
      c.talk.peer_closed(error != 0, since_origin(now_));
      return end_linger(who);
    }
    if (c.reused && !c.talk.any_bytes() && !c.wire.empty()) {
      // The server closed the kept-alive connection while the request was under way to it (RFC 9112, 9.3.1): once more, afresh.
      run_.stale_connections.add_relaxed(1);
      c.socket.close();
      c.reused = false;
      c.sent = 0;
      c.talk.record().bytes_sent = 0;
      c.talk.record().reused_connection = false;
      return begin_connecting(who);
    }
    c.talk.peer_closed(error != 0, since_origin(now_));
    end(who);
  }

  void fail(std::uint32_t who, model::error_class why, std::string message) {
    connections_[who]->talk.fail(why, std::move(message), since_origin(now_));
    end(who);
  }

  // The record is final. A stream that said [DONE] but whose framing is open keeps its slot for a moment, so that the
  // connection can be used again.
  void end(std::uint32_t who) {
    connection& c = *connections_[who];
    if (c.talk.record().status == model::request_status::ok && !c.talk.framing_ended() && c.socket.descriptor() >= 0 && c.now == state::talking) {
      c.now = state::lingering;
      set_deadline(who, now_ + run_.limits.framing);
      return;
    }
    end_linger(who);
  }

  void end_linger(std::uint32_t who) {
    connection& c = *connections_[who];
    const bool reusable = c.talk.reusable() && c.sent == c.wire.size();
    model::request r = c.talk.take(since_origin(now_));
    if (reusable) {
      c.now = state::kept;
      set_deadline(who, nanoseconds{INT64_MAX});
      watch(who);
      kept_.push_back(who);
    } else {
      drop(who);
    }
    --in_flight_;
    if (!run_.plan.open()) --claimed_;
    run_.dispatch.finished(r);
    if (auto turn = run_.dispatch.release(since_origin(now_))) runnable_.push_back(*turn);
    out_.add(std::move(r));
  }

  void discard(std::uint32_t who) {
    kept_.erase(std::find(kept_.begin(), kept_.end(), who));
    drop(who);
  }

  void drop(std::uint32_t who) {
    connection& c = *connections_[who];
    c.socket.close();
    c.now = state::unused;
    c.wire = {};
    c.deadline = nanoseconds{INT64_MAX};
    unused_.push_back(who);
  }

  // ---- time

  // Deadlines move with every chunk; the heap holds one entry per connection and moves it only when it comes up.
  void set_deadline(std::uint32_t who, nanoseconds at) {
    connection& c = *connections_[who];
    c.deadline = at;
    if (at >= c.armed) return;
    c.armed = at;
    timers_.push({at, who});
  }

  void expire() {
    now_ = monotonic_now();
    const bool cancel = now_.ns >= run_.cancel_at.load_relaxed();
    while (!timers_.empty() && timers_.top().at <= now_) {
      const timer t = timers_.top();
      timers_.pop();
      connection& c = *connections_[t.who];
      if (c.armed != t.at) continue;  // a later entry replaced it
      c.armed = nanoseconds{INT64_MAX};
      if (c.deadline > now_) set_deadline(t.who, c.deadline);
      else timed_out(t.who);
    }
    if (cancel)
      for (std::uint32_t who = 0; who < connections_.size(); ++who) {
        const state s = connections_[who]->now;
        if (s != state::unused && s != state::kept) fail(who, model::error_class::cancelled, "cancelled while in flight");
      }
  }

  void timed_out(std::uint32_t who) {
    using enum model::error_class;
    connection& c = *connections_[who];
    switch (c.now) {
      case state::unused:
      case state::kept: return;
      case state::backing_off:
        c.tried = 0;
        return try_address(who, good_address_);
      case state::lingering:
        run_.never_framed.add_relaxed(1);
        return end_linger(who);
      case state::connecting:
        if (c.tried < run_.addresses.size() && now_ < c.begun + run_.limits.connect) {
          c.socket.close();
          return try_address(who, (c.address + 1) % run_.addresses.size());
        }
        return fail(who, connect_timeout, "no connection to " + run_.addresses[c.address].text + " within " + text_of(run_.limits.connect));
      case state::talking: break;
    }
    if (now_ >= c.begun + run_.limits.total) return fail(who, total_timeout, "not finished within " + text_of(run_.limits.total));
    if (c.talk.head_begun()) return fail(who, head_timeout, "the response head was not complete within " + text_of(run_.limits.head));
    if (!c.talk.content_begun()) return fail(who, first_byte_timeout, "no content within " + text_of(run_.limits.first_byte));
    fail(who, idle_timeout, "the stream stalled for " + text_of(run_.limits.idle));
  }

  static std::string text_of(nanoseconds t) {
    if (t.ns % 1'000'000'000 == 0) return std::to_string(t.ns / 1'000'000'000) + " s";
    return std::to_string(t.ns / 1'000'000) + " ms";
  }

  void begin_interval() {
    interval_ = model::client_interval{};
    interval_.thread = number_;
    interval_.begin = since_origin(now_);
    interval_end_ = now_ + interval_length;
    cpu_begin_ = hotpath::detail::read_clock(CLOCK_THREAD_CPUTIME_ID);
  }

  void end_interval() {
    interval_.end = since_origin(now_);
    interval_.cpu = hotpath::detail::read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu_begin_;
    interval_.open_descriptors = static_cast<std::uint32_t>(connections_.size() - unused_.size());
    interval_.in_flight = static_cast<std::uint32_t>(in_flight_);
    run_.dispatch.interval(interval_);
    out_.add(static_cast<const model::client_interval&>(interval_));
    begin_interval();
  }

  shared_run& run_;
  Sink& out_;
  const std::uint32_t number_;
  net::loop loop_;
  net::clock_bridge<> clocks_;
  std::vector<char> buffer_;
  std::vector<std::unique_ptr<connection>> connections_;   // stable: a token is an index
  std::vector<std::uint32_t> unused_, kept_;               // kept alive, most recently used last
  std::priority_queue<timer> timers_;
  std::deque<dispatch::turn> runnable_;                    // may be sent as soon as its bytes are prepared
  model::client_interval interval_;
  nanoseconds now_{}, woke_{}, interval_end_{}, cpu_begin_{};
  std::uint64_t slots_ = 0, claimed_ = 0;                  // closed loop: this thread's share of the streams
  std::uint64_t next_due_ = 0;                             // open loop: this thread's next arrival
  std::uint64_t in_flight_ = 0;
  std::size_t good_address_ = 0;                           // the one that answered last
  bool answered_ = false;                                  // it did
  bool stamps_good_ = true;
  bool pressing_ = false;                                  // more could be started at once
};

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/client.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

// What the caller asks of a run under way: 0 go on, 1 send no more and drain (at most client_options::drain), 2 end now.
// Safe to set from a signal handler.
using stop_flag = light_atomic<int>;

struct client_options {
  std::string url = "http://localhost:8000";   // or unix:PATH
  body_options body = {};
  std::vector<net::header> headers = {};       // may hold secrets: they reach the wire and nothing else
  timeouts limits = {};
  error_limits errors = {};
  nanoseconds drain{5'000'000'000};            // after a stop: what is still in flight then is cancelled
  std::uint32_t threads = 1;
  std::uint64_t warmup = 0;                    // the first requests, marked and left out of statistics
  bool keep_text = false;
  std::string id_prefix = {};                  // of X-Request-Id; empty: "hotpath-" and six random digits
  nanoseconds origin{};                        // the run's zero (monotonic_now()), for stamps that others take too; 0: when run() begins
  const stop_flag* stop = nullptr;
  std::function<void(const progress&)> on_progress = {};  // about every 200 ms, from the caller's thread
};

// What run() knows beside the requests.
struct run_outcome {
  nanoseconds origin{}, wall_start{}, sending_began{}, sending_ended{}, ended{};  // as model::run_info
  model::run_state state = model::run_state::complete;
  std::string stop_reason;
  bool refused = false;                  // 401 or 403
  std::uint64_t workload_passes = 1;
  std::uint64_t unsent = 0;              // due, but never sent: the run ended while they waited for a slot
  std::uint64_t stale_connections = 0;   // requests sent again because a kept-alive connection had been closed
  std::uint64_t never_framed = 0;        // answers that said [DONE] and kept their framing open
  std::uint64_t ephemeral_ports_left = 0;
};

// What the plan needs of the machine: descriptors for its streams, local ports. The message says what to raise.
// `ports_left`: of the local port range, 0 for a unix socket.
result<void> preflight(const model::schedule& plan, const net::url& endpoint, std::uint64_t* ports_left = nullptr);

// What a server could repeat in an error message and no record may hold: keys, cookies, passwords.
std::vector<std::string> secrets_of(const net::url& endpoint, const std::vector<net::header>& headers);

// Everything of one run in memory: for tests, examples and short runs.
struct collected {
  std::vector<model::request> requests;         // in schedule order
  std::vector<model::client_interval> client;
  model::run_info info;
};

template <net::transport Transport = net::tcp>
class client {
 public:
  explicit client(client_options options) : options_(std::move(options)) {}

  template <sink Sink>
  result<run_outcome> run(workload& load, const model::schedule& plan, Sink& out) const {
    auto endpoint = net::parse_url(options_.url);
    if (!endpoint) return endpoint.error();
    if (auto good = check(options_.body); !good) return good.error();
    if (auto good = check_options(plan); !good) return good.error();
    run_outcome done;
    if (auto good = preflight(plan, *endpoint, &done.ephemeral_ports_left); !good) return good.error();
    auto addresses = net::resolve(*endpoint);
    if (!addresses) return addresses.error();

    std::vector<std::unique_ptr<worker<Transport, Sink>>> workers;
    light_atomic<int> ready{0};  // the feeder's thread may ring before the workers are there
    const auto wake_all = [&] { if (ready.load_acquire() != 0) for (auto& w : workers) w->wake(); };
    feeder source{load, wire(*endpoint, plan), wake_all};
    source.wait_ahead(plan.open() ? 64 : plan.streams);
    if (source.prepared_count() == 0) return source.failure().value_or(nothing_to_send(load));

    const std::vector<std::string> secrets = secrets_of(*endpoint, options_.headers);
    const std::vector<std::string_view> hidden{secrets.begin(), secrets.end()};
    dispatch turns{plan, options_.errors};
    const nanoseconds now = monotonic_now();
    done.origin = options_.origin.ns != 0 ? options_.origin : now;
    done.wall_start = realtime_now() - (now - done.origin);
    shared_run shared{.plan = plan, .addresses = *addresses, .feeder = source, .dispatch = turns, .limits = options_.limits,
                      .origin = done.origin, .sending_began = {}, .threads = options_.threads, .keep_text = options_.keep_text,
                      .secrets = hidden};
    for (std::uint32_t i = 0; i < options_.threads; ++i) {
      workers.push_back(std::make_unique<worker<Transport, Sink>>(shared, out, i));
      if (!workers.back()->ok()) return workers.back()->failure();
    }
    done.sending_began = shared.sending_began = monotonic_now() - done.origin;
    watch(workers, shared, turns, out, done, ready);

    done.refused = turns.refused();
    done.workload_passes = source.passes();
    done.unsent = turns.unsent();
    done.stale_connections = shared.stale_connections.load_relaxed();
    done.never_framed = shared.never_framed.load_relaxed();
    if (done.state == model::run_state::complete && source.failure()) {
      done.state = model::run_state::stopped;
      done.stop_reason = source.failure()->message();
    }
    return done;
  }

  // The same, collected in memory.
  result<collected> run(workload& load, const model::schedule& plan) const;

 private:
  result<void> check_options(const model::schedule& plan) const;
  wire_options wire(const net::url& endpoint, const model::schedule& plan) const;

  // The caller's thread: starts the workers, shows progress, obeys stop and the planned end, joins.
  template <sink Sink>
  void watch(std::vector<std::unique_ptr<worker<Transport, Sink>>>& workers, shared_run& shared, dispatch& turns, Sink& out,
             run_outcome& done, light_atomic<int>& ready) const {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t running = workers.size();
    ready.store_release(1);
    std::vector<std::thread> threads;
    for (auto& w : workers)
      threads.emplace_back([&mutex, &changed, &running, &w] {
        (*w)();
        const std::lock_guard lock{mutex};
        --running;
        changed.notify_one();
      });
    const nanoseconds begun = shared.origin + shared.sending_began;
    nanoseconds shown = begun, sending_ended{};
    int obeyed = 0;
    std::unique_lock lock{mutex};
    while (!changed.wait_for(lock, std::chrono::milliseconds{20}, [&] { return running == 0; })) {
      lock.unlock();
      const nanoseconds now = monotonic_now();
      if (shared.plan.max_duration && now - begun >= *shared.plan.max_duration) turns.close();
      const int asked = options_.stop != nullptr ? options_.stop->load_relaxed() : 0;
      if (asked > obeyed) turns.stop("interrupted"), done.state = model::run_state::interrupted;
      if constexpr (requires { static_cast<bool>(out.failed()); })
        if (static_cast<bool>(out.failed())) turns.stop("the results cannot be stored");
      if (turns.closed() && sending_ended == nanoseconds{}) sending_ended = now;
      if (asked > obeyed || (turns.stopped() && shared.cancel_at.load_relaxed() == INT64_MAX)) {
        obeyed = asked;
        shown = {};  // tell at once
        shared.cancel_at.store_relaxed((asked >= 2 ? now : now + options_.drain).ns);
        for (auto& w : workers) w->wake();
      }
      if (options_.on_progress && now - shown >= nanoseconds{200'000'000}) {
        shown = now;
        progress p = turns.snapshot();
        p.elapsed = now - begun;
        options_.on_progress(p);
      }
      lock.lock();
    }
    lock.unlock();
    for (auto& t : threads) t.join();
    done.ended = monotonic_now() - shared.origin;
    done.sending_ended = sending_ended == nanoseconds{} ? done.ended : sending_ended - shared.origin;
    if (turns.stopped() && done.state == model::run_state::complete) done.state = model::run_state::stopped;
    done.stop_reason = turns.reason();
  }

  client_options options_;
};

// ---- bodies of the template's helpers

template <net::transport Transport>
result<void> client<Transport>::check_options(const model::schedule& plan) const {
  const auto& l = options_.limits;
  for (const nanoseconds t : {l.connect, l.head, l.first_byte, l.idle, l.total, l.framing})
    if (t <= nanoseconds{0}) return error{.code = errc::usage, .detail = "every timeout must be above 0"};
  if (options_.threads == 0 || options_.threads > 1024) return error{.code = errc::usage, .detail = "the number of threads must be 1 to 1024"};
  for (const auto& h : options_.headers)
    if (auto good = net::check_header(h.name, h.value); !good) return good.error();
  if (plan.open() && plan.due.empty()) return error{.code = errc::empty, .detail = "the schedule holds no request", .hint = "raise the rate or the duration"};
  return {};
}

template <net::transport Transport>
wire_options client<Transport>::wire(const net::url& endpoint, const model::schedule& plan) const {
  wire_options w{.endpoint = endpoint, .headers = options_.headers, .body = options_.body, .id_prefix = options_.id_prefix,
                 .warmup = options_.warmup, .keep_text = options_.keep_text,
                 .single_pass = !plan.max_requests && !plan.max_duration};
  if (plan.open()) w.requests = plan.due.size();
  else if (plan.max_requests) w.requests = *plan.max_requests;
  w.ahead = (std::max<std::uint64_t>)(w.ahead, plan.streams);  // a closed loop starts with all its streams at once
  if (const std::string secret = endpoint.basic_authorization(); !secret.empty()) w.headers.push_back({"Authorization", secret});
  if (w.id_prefix.empty()) {
    // Two runs against one server must not share ids: its log is joined by them.
    stats::xoshiro256 random{static_cast<std::uint64_t>(realtime_now().ns) ^ static_cast<std::uint64_t>(::getpid())};
    w.id_prefix = "hotpath-" + std::to_string(100'000 + random.below(900'000));
  }
  return w;
}

namespace detail {
struct memory_sink {
  void add(model::request&& r) {
    const std::lock_guard lock{mutex};
    requests.push_back(std::move(r));
  }
  void add(const model::client_interval& i) {
    const std::lock_guard lock{mutex};
    client.push_back(i);
  }
  std::mutex mutex;
  std::vector<model::request> requests;
  std::vector<model::client_interval> client;
};
}  // namespace detail

// The manifest of a run: what was asked, and how it went.
model::run_info describe(const client_options& options, const workload& load, const model::schedule& plan, const run_outcome& done);

template <net::transport Transport>
result<collected> client<Transport>::run(workload& load, const model::schedule& plan) const {
  detail::memory_sink out;
  auto done = run(load, plan, out);
  if (!done) return done.error();
  std::sort(out.requests.begin(), out.requests.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
  return collected{std::move(out.requests), std::move(out.client), describe(options_, load, plan, *done)};
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/replay/client-inl.hpp

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN result<void> preflight(const model::schedule& plan, const net::url& endpoint, std::uint64_t* ports_left) {
  const std::uint64_t streams = plan.open() ? plan.max_in_flight : plan.streams;  // an uncapped open loop may need any number
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  constexpr std::uint64_t own = 32;  // the store, the loop, the terminal, the workload
  if (streams + own > files.rlim_cur)
    return error{.code = errc::over_limit,
                 .detail = std::to_string(streams) + " streams need more open files than the limit of " + std::to_string(files.rlim_cur),
                 .hint = "raise it: ulimit -n " + std::to_string(streams + own)};
  std::uint64_t left = 0;
  if (!endpoint.is_unix()) {
    unsigned first = 32768, last = 60999;  // the kernel's default
    if (std::FILE* f = std::fopen("/proc/sys/net/ipv4/ip_local_port_range", "re"); f != nullptr) {
      if (std::fscanf(f, "%u %u", &first, &last) != 2) first = 32768, last = 60999;
      std::fclose(f);
    }
    left = last - first + 1;
    if (streams > left)
      return error{.code = errc::over_limit,
                   .detail = std::to_string(streams) + " streams need more local ports than the range of " + std::to_string(left),
                   .hint = "widen net.ipv4.ip_local_port_range"};
  }
  if (ports_left != nullptr) *ports_left = left;
  return {};
}

HOTPATH_FN std::vector<std::string> secrets_of(const net::url& endpoint, const std::vector<net::header>& headers) {
  std::vector<std::string> all;
  const auto header = [&](std::string_view value) {
    all.emplace_back(value);
    all.emplace_back(value.substr(value.rfind(' ') + 1));  // without "Bearer"; rfind: npos + 1 is 0
  };
  for (const auto& h : headers)
    if (text::is_secret_name(h.name)) header(h.value);
  if (!endpoint.user_info.empty()) {
    header(endpoint.basic_authorization());
    all.push_back(endpoint.user_info);
    all.push_back(endpoint.user_info.substr(endpoint.user_info.find(':') + 1));
  }
  for (std::string_view rest = endpoint.query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix((std::min)(rest.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (equals != pair.npos && text::is_secret_name(pair.substr(0, equals))) all.emplace_back(pair.substr(equals + 1));
  }
  return all;
}

HOTPATH_FN model::run_info describe(const client_options& options, const workload& load, const model::schedule& plan, const run_outcome& done) {
  model::run_info i;
  i.tool_version = HOTPATH_VERSION_STRING;
  utsname machine{};
  if (::uname(&machine) == 0) i.host = std::string(machine.nodename) + ", " + machine.sysname + " " + machine.release;
  if (auto endpoint = net::parse_url(options.url)) i.endpoint = endpoint->display();
  i.model = options.body.model;
  i.workload = load.description();
  i.prompt_lengths = load.prompt_lengths();
  i.workload_rows = load.rows().value_or(0);
  i.workload_passes = done.workload_passes;
  i.prompts_reused = load.reuses_prompts();
  i.workload_loss = load.lost();
  i.seed = plan.seed;
  i.threads = options.threads;
  i.warmup = options.warmup;
  i.plan = plan;
  i.plan.due = {};
  i.text_stored = options.keep_text;
  i.origin = done.origin;
  i.wall_start = done.wall_start;
  i.sending_began = done.sending_began;
  i.sending_ended = done.sending_ended;
  i.ended = done.ended;
  i.state = done.state;
  i.stop_reason = done.stop_reason;
  i.ephemeral_ports_left = done.ephemeral_ports_left;
  i.unsent = done.unsent;
  if (done.workload_passes > 1)
    i.notes.push_back("the workload was cycled: " + std::to_string(done.workload_passes) + " passes" +
                      (i.prompts_reused ? ", prompts repeated" : ", each later pass with unique prompt beginnings"));
  if (done.stale_connections > 0) i.notes.push_back(std::to_string(done.stale_connections) + " requests were sent again: the server had closed their kept-alive connection");
  if (done.never_framed > 0) i.notes.push_back(std::to_string(done.never_framed) + " answers kept their framing open after [DONE]: their connections were closed");
  for (const std::string& p : load.problems()) i.notes.push_back("workload: " + p);
  return i;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
// ---- hotpath/report.hpp
// hotpath/report.hpp - what people and programs read: verdict and exit code, text for a terminal, a page that lives there, Markdown, JSON.
// ---- hotpath/report/doctor.hpp
// hotpath/report/doctor.hpp - a diagnosis for people and for programs.
//
//     std::fputs(report::text(d, {.width = 100, .color = true}).c_str(), stdout);
//     std::fputs(report::json(d).c_str(), stdout);           // docs/schema/doctor-1.schema.json
//
//   One row per finding: what was found, what it means, and behind an arrow what to do next. Text of the server cannot move the cursor.
// ---- hotpath/report/text.hpp
// hotpath/report/text.hpp - the serving report for people: verdict first, then what failed, then the figures with their intervals.
//
//     std::fputs(report::text(r, {.width = 100, .color = true}).c_str(), stdout);
//
//   Lines are at most `width` columns (60 to 132; from 130 on the intervals stand beside the values instead of below).
//   Colour only when asked for: whether stdout is a terminal and NO_COLOR is the caller's to know. Numbers have 3, 2, 1 decimals
//   below 1, below 10, above. A figure that is not known never shows as 0: it stands under "Missing" with its reason.
//   "≥" marks an interval whose upper end is unknown because there are too few requests (S3).
//   Text of the server or a file cannot move the cursor or change a title. Same report, same options: same bytes.
// ---- hotpath/report/verdict.hpp
// hotpath/report/verdict.hpp - what a run amounts to: one word, its reasons, and the exit code that every tool gives for it.
//
//     report::verdict v = report::judge(r, {.gate = 0.99});
//     for (const std::string& why : v.reasons) std::puts(why.c_str());   // "3 of 200 requests failed (2 truncated, 1 reset)"
//     return static_cast<int>(v.code);
//
//   code         when (the first that holds)
//   interrupted  this process was told to stop; what finished is saved
//   unusable     nothing was sent: there is nothing to judge
//   unreachable  no request succeeded, or the server refused us (401, 403)
//   partial      the client was the limit: a missed gate may be its fault, and so may be a pass
//   gate         a gate was asked for, and the upper bound of the share within the limits is below it
//   partial      data was lost, the run ended early, the interval holds the gate, or (without a gate) a request failed
//   ok           none of these. Under a gate failed requests are part of the share and of nothing else.
//   Thread safety: pure functions.
// ---- hotpath/report/verdict.hpp

namespace hotpath::inline HOTPATH_ABI::report {

// The exit codes of every tool. `usage` and `internal` never come from judge().
enum class exit_code : std::uint8_t { ok = 0, gate = 1, usage = 2, unusable = 3, unreachable = 4, partial = 5, internal = 6, interrupted = 130 };

struct judge_options {
  std::optional<double> gate = {};  // wanted share of requests within every limit, 0 to 1
  bool interrupted = false;         // a signal ended the run in this very process (a stored run that was interrupted is partial)
  bool refused = false;             // 401 or 403 ended the run
};

struct verdict {
  exit_code code = exit_code::ok;
  std::vector<std::string> reasons;  // sentences without a full stop, most important first; empty when all is well

  std::string_view word() const;     // "ok", "gate missed", "no data", "failed", "partial", "interrupted"
};

verdict judge(const serve::report& r, const judge_options& options = {});

// "2 truncated, 1 reset": failed and cancelled requests by class, the most frequent first. Empty: there are none.
std::string error_list(const std::array<std::uint64_t, model::error_class_count>& errors);
inline std::string error_list(const serve::report& r) { return error_list(r.requests.errors); }
// "12 malformed, 1 over a limit". Empty: nothing was lost.
std::string loss_list(const model::loss& l);

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/verdict-inl.hpp
// hotpath/report/verdict-inl.hpp - bodies of report/verdict.hpp
// ---- hotpath/report/words.hpp
// hotpath/report/words.hpp - how reports write numbers, durations and shares: alike everywhere, whatever the locale.
//
//     words::number(51.32)            // "51.3": 3, 2, 1 decimals below 1, below 10, above
//     words::milliseconds(12'345)     // "12.3 s"
//     words::count(3, 200, "request") // "3 of 200 requests"
// ---- hotpath/report/words.hpp

namespace hotpath::inline HOTPATH_ABI::report::words {

inline std::string fixed(double v, int decimals) {
  char text[400];  // the longest double has 309 digits before the point
  const auto r = std::to_chars(text, text + sizeof text, v, std::chars_format::fixed, decimals);
  std::string out(text, r.ptr);
  if (out.find_first_not_of("-0.") == std::string::npos && out.front() == '-') out.erase(0, 1);  // no "-0.000"
  return out;
}

// 3, 2, 1 decimals below 1, below 10, above. The bounds are those of the rounded number: 9.996 is "10.0".
inline std::string number(double v) {
  const double size = __builtin_fabs(v);
  return fixed(v, size < 0.9995 ? 3 : size < 9.995 ? 2 : 1);
}

// 1,234,567
inline std::string count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

// As number(), with 1,234.5 from 1,000 on: for prose, not for columns.
inline std::string grouped(double v) {
  std::string out = number(v);
  const std::size_t digits = out.find('.');
  for (std::size_t i = digits; i > 3 + (out.front() == '-' ? 1u : 0u);) out.insert(i -= 3, 1, ',');
  return out;
}

// At most 7 columns: 999,999 and then 1.23M, 1.23G.
inline std::string short_count(std::uint64_t n) {
  if (n < 1'000'000) return count(n);
  double v = static_cast<double>(n);
  std::size_t unit = 0;
  constexpr std::string_view units = "MGTPE";
  for (v /= 1e6; v >= 999.95 && unit + 1 < units.size(); v /= 1000) ++unit;
  return fixed(v, v < 9.995 ? 2 : 1) + units[unit];
}

// "1 request", "2,000 requests".
inline std::string count(std::uint64_t n, std::string_view noun) {
  return count(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}
// "3 of 200 requests".
inline std::string count(std::uint64_t n, std::uint64_t total, std::string_view noun) { return count(n) + " of " + count(total, noun); }

// Never "100 %" or "0 %" unless it is exactly that.
inline std::string percent_number(double share) {
  const double p = share * 100;
  if (p == 0 || p == 100) return fixed(p, 0);
  if (p > 0 && p < 0.01) return "< 0.01";
  if (p > 99.99 && p < 100) return "> 99.99";
  return fixed(p, p > 99.9 || p < 9.995 ? 2 : 1);
}
inline std::string percent(double share) { return percent_number(share) + " %"; }

// 51.3 ms, 12.3 s
inline std::string milliseconds(double ms) { return __builtin_fabs(ms) < 9999.5 ? grouped(ms) + " ms" : grouped(ms / 1000) + " s"; }

// 12.3 s, 3 min 20 s, 2 h 05 min
inline std::string duration(nanoseconds d) {
  const double s = d.s();
  if (s < 119.95) return number(s) + " s";
  const auto whole = static_cast<std::uint64_t>(s + 0.5);
  if (whole < 7200) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  const std::uint64_t minutes = whole / 60;
  return count(minutes / 60) + " h " + (minutes % 60 < 10 ? "0" : "") + std::to_string(minutes % 60) + " min";
}

// 812 B/s, 1.23 MB/s: powers of ten.
inline std::string bytes(double v) {
  constexpr std::string_view units[] = {" B", " kB", " MB", " GB", " TB"};
  std::size_t unit = 0;
  for (; v >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; v /= 1000) ++unit;
  return (unit == 0 ? fixed(v, 0) : number(v)) + std::string(units[unit]);
}

}  // namespace hotpath::inline HOTPATH_ABI::report::words
// ---- hotpath/report/verdict-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

HOTPATH_FN std::string error_list(const std::array<std::uint64_t, model::error_class_count>& errors) {
  auto left = errors;
  std::string out;
  for (;;) {  // the largest that is left; <algorithm> would be 28,000 lines for one sort of 21 numbers
    std::size_t most = 0;
    for (std::size_t i = 1; i < left.size(); ++i)
      if (left[i] > left[most]) most = i;
    if (left[most] == 0) return out;
    out += (out.empty() ? "" : ", ") + words::count(left[most]) + " " + std::string(model::error_class_names[most]);
    left[most] = 0;
  }
}

HOTPATH_FN std::string loss_list(const model::loss& l) {
  std::string out;
  const auto add = [&](std::uint64_t n, std::string_view word) {
    if (n != 0) out += (out.empty() ? "" : ", ") + words::count(n) + " " + std::string(word);
  };
  add(l.dropped, "dropped"), add(l.truncated, "truncated"), add(l.malformed, "malformed"), add(l.over_limit, "over a limit"), add(l.late, "late");
  return out;
}

namespace detail {

// 95.0 % [92.1, 97.0]
HOTPATH_FN std::string share_with_interval(double share, const std::optional<serve::bounds>& ci) {
  std::string out = words::percent(share);
  if (ci) out += " [" + words::percent_number(ci->lo) + ", " + (ci->hi ? words::percent_number(*ci->hi) : "unknown") + "]";
  return out;
}

enum class gate_state : std::uint8_t { none, passed, missed, undecided };

HOTPATH_FN gate_state gate_of(const serve::report& r, std::optional<double> gate, std::string& why) {
  if (!gate) return gate_state::none;
  const auto& g = r.goodput;
  std::string want = words::fixed(*gate * 100, 2);
  while (want.back() == '0') want.pop_back();
  if (want.back() == '.') want.pop_back();
  const auto end = [&](std::string_view word, gate_state s) {
    why = "gate " + std::string(word) + ": " + why + ", want " + want + " %";
    return s;
  };
  if (!g.share || !g.share_ci) {
    why = g.missing.empty() ? "too few requests to tell how many are within the limits" : g.missing;
    return end("undecided", gate_state::undecided);
  }
  why = share_with_interval(*g.share, g.share_ci) + " of the requests are within the limits";
  if (g.share_ci->hi && *g.share_ci->hi < *gate) return end("missed", gate_state::missed);
  if (g.share_ci->lo >= *gate) return end("passed", gate_state::passed);
  return end("undecided", gate_state::undecided);
}

}  // namespace detail

HOTPATH_FN std::string_view verdict::word() const {
  switch (code) {
    case exit_code::ok: return "ok";
    case exit_code::gate: return "gate missed";
    case exit_code::unusable: return "no data";
    case exit_code::unreachable: return "failed";
    case exit_code::interrupted: return "interrupted";
    default: return "partial";
  }
}

HOTPATH_FN verdict judge(const serve::report& r, const judge_options& options) {
  const auto& q = r.requests;
  verdict v;
  std::string gate_why;
  const detail::gate_state gate = detail::gate_of(r, options.gate, gate_why);
  const std::uint64_t finished = q.ok + q.failed + q.cancelled;

  // Reasons, in the order of their weight. Each is stated once, whatever the code.
  const auto say = [&](std::string s) { v.reasons.push_back(std::move(s)); };
  if (finished + q.in_flight == 0) say("no request was sent");
  else if (q.ok == 0) say("no request succeeded" + (q.failed + q.cancelled == 0 ? "" : " (" + error_list(r) + ")"));
  else if (q.failed != 0) say(words::count(q.failed, finished, "request") + " failed (" + error_list(r) + ")");
  if (r.client.limited) {
    std::string why;
    for (const std::string& reason : r.client.reasons) why += (why.empty() ? ": " : "; ") + reason;
    say("the load client was the limit" + why);
  }
  if (gate == detail::gate_state::missed || gate == detail::gate_state::undecided) say(gate_why);
  switch (r.run.state) {
    case model::run_state::complete: break;
    case model::run_state::interrupted: say("interrupted" + (r.run.stop_reason.empty() ? "" : ": " + r.run.stop_reason)); break;
    case model::run_state::stopped: say("ended early: " + (r.run.stop_reason.empty() ? "no reason was stored" : r.run.stop_reason)); break;
    case model::run_state::running: say("not finished: the run is still going on, or its process was killed"); break;
  }
  if (q.ok != 0 && q.cancelled != 0) say(words::count(q.cancelled, finished, "request") + " cancelled");
  if (r.lost) say("data was lost: " + loss_list(r.lost));
  if (r.run.workload_loss) say("workload lines were skipped: " + loss_list(r.run.workload_loss));

  const bool early = r.run.state != model::run_state::complete || q.cancelled != 0;
  if (options.interrupted) v.code = exit_code::interrupted;
  else if (options.refused) v.code = exit_code::unreachable;
  else if (finished == 0 && q.in_flight == 0) v.code = exit_code::unusable;
  else if (q.ok == 0) v.code = exit_code::unreachable;
  else if (r.client.limited) v.code = exit_code::partial;
  else if (gate == detail::gate_state::missed) v.code = exit_code::gate;
  else if (r.lost || r.run.workload_loss || early || gate == detail::gate_state::undecided) v.code = exit_code::partial;
  else if (gate == detail::gate_state::none && q.failed != 0) v.code = exit_code::partial;
  return v;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/text.hpp

namespace hotpath::inline HOTPATH_ABI::report {

struct text_options {
  std::size_t width = 80;
  bool color = false;
  bool ascii = false;          // for terminals without UTF-8
  judge_options judge = {};    // a gate changes the verdict line
};

std::string text(const serve::report& r, const text_options& options = {});

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/text-inl.hpp
// hotpath/report/text-inl.hpp - bodies of report/text.hpp
// ---- hotpath/report/detail/facts.hpp
// hotpath/report/detail/facts.hpp - what a serving report says, in words, before it is a page: text and Markdown print the same. Not for users.
//   A voice says how text of others is made safe for the page; the words around it are ours. A number and its unit are held together
//   by a no-break space (U+00A0), which the page writes as a space.
// ---- hotpath/report/detail/page.hpp
// hotpath/report/detail/page.hpp - lines for a terminal: width, wrapping, headings, colour, UTF-8 or ASCII. Not for users.
// ---- hotpath/report/detail/page.hpp

namespace hotpath::inline HOTPATH_ABI::report::detail {

// East Asian wide and emoji blocks; coarse, as it only decides where lines break.
constexpr bool is_wide(std::uint32_t c) {
  return (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) || (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x1F300 && c <= 0x1FAFF) ||
         (c >= 0x20000 && c <= 0x3FFFD);
}

// One character of well-formed UTF-8: its bytes and its columns.
struct glyph {
  std::size_t bytes = 1, columns = 1;
};
inline glyph glyph_at(std::string_view s, std::size_t i) {
  const hotpath::detail::utf8_step step = hotpath::detail::utf8_at(s.data() + i, s.data() + s.size());
  std::uint32_t c = static_cast<unsigned char>(s[i]);
  if (step.length > 1) c &= 0xFFu >> (step.length + 1u);
  for (std::size_t k = 1; k < step.length; ++k) c = c << 6 | (static_cast<unsigned char>(s[i + k]) & 0x3Fu);
  return {step.length, is_wide(c) ? 2u : 1u};
}
inline std::size_t columns_of(std::string_view s) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < s.size();) {
    const glyph g = glyph_at(s, i);
    i += g.bytes, n += g.columns;
  }
  return n;
}

// Text of others, fit for a terminal: nothing that moves a cursor, and in ASCII mode nothing but ASCII.
inline std::string clean(std::string_view foreign, std::size_t max, bool ascii) {
  std::string s = hotpath::text::printable(foreign, max);
  if (!ascii) return s;
  std::string plain;
  for (std::size_t i = 0; i < s.size();) {
    const glyph g = glyph_at(s, i);
    plain += g.bytes == 1 ? s[i] : '?';
    i += g.bytes;
  }
  return plain;
}

// One column of a spark line, from 0 to `top`; a value that is not known is a blank.
inline std::string_view spark_mark(double v, double top, bool ascii) {
  constexpr std::string_view blocks[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
  constexpr std::string_view plain = "_.-:=+*#";
  if (!__builtin_isfinite(v)) return " ";
  const double share = top > 0 && v > 0 ? v / top : 0;
  const auto level = static_cast<std::size_t>(share >= 1 ? 7 : share * 7.999);
  return ascii ? plain.substr(level, 1) : blocks[level];
}

enum class style : std::uint8_t { plain, bold, dim, good, warn, bad, good_badge, warn_badge, bad_badge, spark };

class page {
 public:
  page(std::size_t width, bool color, bool ascii) : width_(width), color_(color), ascii_(ascii) {}

  std::size_t width() const { return width_; }
  bool ascii() const { return ascii_; }
  std::string take() { return std::move(out_); }

  std::string clean(std::string_view foreign, std::size_t max = 512) const { return detail::clean(foreign, max, ascii_); }
  // One of our own marks, or what stands for it in ASCII.
  std::string_view mark(std::string_view utf8, std::string_view plain) const { return ascii_ ? plain : utf8; }
  std::string_view dot() const { return mark(" \u00B7 ", " | "); }

  std::string paint(style s, std::string_view t) const {
    constexpr std::string_view codes[] = {"", "1", "2", "32", "33", "1;31", "1;30;42", "1;30;43", "1;37;41", "36"};
    if (!color_ || s == style::plain || t.empty()) return std::string(t);
    return "\x1b[" + std::string(codes[static_cast<std::size_t>(s)]) + "m" + std::string(t) + "\x1b[0m";
  }

  void raw(std::string_view t) { out_ += t; }
  void end_line() {
    while (!out_.empty() && out_.back() == ' ') out_.pop_back();
    out_ += '\n';
  }
  void blank() { out_ += '\n'; }

  // "Title, aside ─────────" over the whole width.
  void heading(std::string_view title, std::string_view aside = {}, style s = style::plain) {
    blank();
    std::size_t used = columns_of(title) + 1;
    out_ += paint(style::bold, title) + " ";
    if (!aside.empty()) out_ += paint(s, spaced(aside)) + " ", used += columns_of(aside) + 1;
    std::string rule;
    for (; used < width_; ++used) rule += mark("\u2500", "-");
    out_ += paint(style::dim, rule);
    end_line();
  }

  // `first` stands at the left of the first line (its `columns` without colour codes), `t` follows, wrapped, each line at `indent`.
  void wrapped(std::string_view first, std::size_t first_columns, std::size_t indent, std::string_view t, style s = style::plain) {
    out_ += first;
    if (first_columns > indent) end_line(), first_columns = 0;
    for (const std::string& line : lines(t, width_ > indent + 8 ? width_ - indent : 8)) {
      pad(first_columns, indent), first_columns = 0;
      out_ += paint(s, line);
      end_line();
    }
    if (first_columns != 0) end_line();  // no text at all
  }
  void labelled(std::string_view label, std::size_t indent, std::string_view t, style s = style::plain) {
    wrapped(paint(style::dim, label), columns_of(label), indent, t, s);
  }

  void right(std::string_view t, std::size_t columns, style s = style::plain) {
    pad(columns_of(t), columns);
    out_ += paint(s, t);
  }
  void left(std::string_view t, std::size_t columns, style s = style::plain) {
    out_ += paint(s, t);
    pad(columns_of(t), columns);
  }
  void pad(std::size_t have, std::size_t want) {
    if (have < want) out_.append(want - have, ' ');
  }

  // A number and its unit, held together through wrapped(), which writes the no-break space (U+00A0) as a space.
  static std::string glued(std::string s) {
    for (std::size_t i = 0; (i = s.find(' ', i)) != std::string::npos; i += 2) s.replace(i, 1, "\u00A0");
    return s;
  }
  static std::string spaced(std::string_view glued) {
    std::string s(glued);
    for (std::size_t i; (i = s.find("\u00A0")) != std::string::npos;) s.replace(i, 2, " ");
    return s;
  }

  // Broken at spaces; a word that is longer than a line is broken where the line ends.
  static std::vector<std::string> lines(std::string_view t, std::size_t columns) {
    std::vector<std::string> all;
    std::string line;
    std::size_t used = 0;
    const auto flush = [&] {
      for (const std::string_view separator : {" \u00B7", " |"})  // of a list: not at the end of a line
        if (line.ends_with(separator)) line.resize(line.size() - separator.size());
      all.push_back(std::move(line)), line.clear(), used = 0;
    };
    hotpath::text::split(t, ' ', [&](std::string_view word) {
      if (word.empty()) return;
      const std::size_t size = columns_of(word);
      if (used != 0 && used + 1 + size > columns) flush();
      if (used == 0 && (word == "\u00B7" || word == "|")) return;  // nor at its beginning
      if (used != 0) line += ' ', ++used;
      for (std::size_t i = 0; i < word.size();) {
        const glyph g = glyph_at(word, i);
        if (used + g.columns > columns) flush();
        if (word.substr(i, g.bytes) == "\u00A0") line += ' ';
        else line += word.substr(i, g.bytes);
        i += g.bytes, used += g.columns;
      }
    });
    if (!line.empty()) flush();
    return all;
  }

 private:
  std::string out_;
  std::size_t width_;
  bool color_, ascii_;
};

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
// ---- hotpath/report/detail/facts.hpp

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
// ---- hotpath/report/detail/facts-inl.hpp
// hotpath/report/detail/facts-inl.hpp - bodies of report/detail/facts.hpp
// ---- hotpath/report/detail/facts-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report::detail {

// ---- small things

HOTPATH_FN std::string facts::joined(const std::vector<std::string>& parts) const {
  std::string out;
  for (const std::string& p : parts)
    if (!p.empty()) out += (out.empty() ? "" : mark(" \u00B7 ", " | ")) + p;
  return out;
}

HOTPATH_FN facts::unit facts::unit_of(const serve::distribution& d) const {
  const double p50 = d.quantile[0];
  if (p50 >= 999.95) return {"s", 1e-3};
  if (p50 < 0.09995 && d.max < 100) return {voice_.ascii ? "us" : "\u00B5s", 1e3};
  return {"ms", 1};
}

HOTPATH_FN std::string facts::interval(const std::optional<serve::bounds>& b, double scale) const {
  // Shorter than the value itself: an interval is not known to four digits.
  const auto bound = [](double v) {
    if (v >= 99'950) return words::fixed(v / 1000, 0) + "k";
    return words::fixed(v, v >= 99.95 ? 0 : v >= 9.995 ? 1 : 2);
  };
  if (!b) return "?";
  if (!b->hi) return mark("\u2265 ", ">= ") + bound(b->lo * scale);
  return bound(b->lo * scale) + dash() + bound(*b->hi * scale);
}

HOTPATH_FN std::string facts::range(const std::optional<serve::bounds>& b, std::string (*show)(double)) const {
  if (!b) return "";
  if (!b->hi) return mark("\u2265", ">=") + "\u00A0" + show(b->lo);
  return "[" + show(b->lo) + ",\u00A0" + show(*b->hi) + "]";
}

HOTPATH_FN std::string facts::bucket(const std::optional<serve::bounds>& b) const {
  if (!b) return dash();
  const double largest = b->hi ? *b->hi : b->lo;
  const bool seconds = largest >= 999.9995;
  const auto edge = [&](double ms) {  // an edge is a round number in decimal, 300 and not 300.00000000000006
    std::string s = words::fixed(seconds ? ms / 1000 : ms, 4);
    while (s.back() == '0') s.pop_back();
    if (s.back() == '.') s.pop_back();
    const std::size_t point = s.find('.');
    for (std::size_t i = point == std::string::npos ? s.size() : point; i > 3;) s.insert(i -= 3, 1, ',');
    return s;
  };
  const std::string name_of_unit = seconds ? " s" : " ms";
  if (!b->hi) return "> " + edge(b->lo) + name_of_unit;
  if (b->lo <= 0) return mark("\u2264 ", "<= ") + edge(*b->hi) + name_of_unit;
  return edge(b->lo) + dash() + edge(*b->hi) + name_of_unit;
}

HOTPATH_FN std::string facts::table_count(double v) {
  const auto n = static_cast<std::uint64_t>(v > 0 && v < 1e18 ? v + 0.5 : 0);
  return n < 100'000 ? words::count(n) : n < 1'000'000 ? words::count(n / 1000) + "k" : words::short_count(n);
}

HOTPATH_FN facts::spark_line facts::spark(const std::vector<double>& v, std::size_t each, bool ascii) {
  spark_line out;
  std::vector<double> marks;
  for (std::size_t i = 0; i < v.size(); i += each) {
    double sum = 0, n = 0;
    for (std::size_t k = i; k < i + each && k < v.size(); ++k)
      if (__builtin_isfinite(v[k])) sum += v[k], ++n;
    marks.push_back(n > 0 ? sum / n : __builtin_nan(""));
    if (n > 0) out.any = true;
    if (n > 0 && marks.back() > out.top) out.top = marks.back();
  }
  for (const double m : marks) out.marks += spark_mark(m, out.top, ascii);
  return out;
}

// ---- headline, and what was run

HOTPATH_FN std::vector<std::string> facts::headline() const {
  std::vector<std::string> figures;
  const auto& ttft = r_.of(serve::metric::ttft);
  if (ttft.n != 0)
    figures.push_back(glued("TTFT p50 " + words::milliseconds(ttft.quantile[0])) + ", " + glued("p99 " + words::milliseconds(ttft.quantile[3])));
  if (const auto& tpot = r_.of(serve::metric::tpot); tpot.n != 0) figures.push_back(glued("TPOT p50 " + words::milliseconds(tpot.quantile[0])));
  if (r_.goodput.per_s) figures.push_back(glued("goodput " + words::grouped(*r_.goodput.per_s) + " requests/s"));
  else if (r_.throughput.requests_per_s) figures.push_back(glued(words::grouped(r_.throughput.requests_per_s->value) + " requests/s"));
  if (r_.throughput.output_tokens_per_s) figures.push_back(glued(words::grouped(r_.throughput.output_tokens_per_s->value) + " output tokens/s"));
  return figures;
}

HOTPATH_FN std::vector<fact> facts::about() const {
  const model::run_info& i = r_.run;
  std::vector<fact> out;
  std::string engine = i.engine.empty() ? "" : name(i.engine);
  if (!engine.empty() && !i.engine_version.empty()) engine += " " + name(i.engine_version);
  std::vector<std::string> who = {i.model.empty() ? "" : name(i.model)};
  if (!engine.empty()) who.back() += (who.back().empty() ? "" : " on ") + engine;
  if (!i.endpoint.empty()) who.push_back(name(i.endpoint));
  if (!i.api.empty()) who.push_back(prose(i.api));
  if (const std::string server = joined(who); !server.empty()) out.push_back({"server", server});
  out.push_back({"load", joined({plan(), i.workload.empty() ? "" : name(i.workload), i.prompt_lengths.empty() ? "" : "prompt lengths: " + prose(i.prompt_lengths)})});
  std::vector<std::string> when;
  if (i.wall_start.ns != 0) when.push_back(text::utc(i.wall_start, 0));
  if (i.ended.ns > 0) when.push_back(glued(words::duration(i.ended)));
  when.push_back("hotpath " + prose(i.tool_version) + (i.host.empty() ? "" : " on " + prose(i.host)) + (i.threads > 1 ? ", " + words::count(i.threads, "thread") : ""));
  out.push_back({"run", joined(when)});
  for (const std::string& note : i.notes) out.push_back({"note", prose(note, 1024)});
  return out;
}

HOTPATH_FN std::string facts::plan() const {
  const model::schedule& s = r_.run.plan;
  std::string out;
  if (s.open()) {
    out = "open loop, " + glued(words::number(s.per_second) + " requests/s") + (s.kind == model::arrival::poisson ? " (Poisson)" : s.kind == model::arrival::recorded ? " (recorded arrivals)" : " (constant)");
    if (s.max_in_flight != 0) out += ", at most " + words::count(s.max_in_flight) + " in flight";
  } else {
    out = "closed loop, " + words::count(s.streams, "stream");
  }
  if (s.max_requests) out += ", " + glued(words::count(*s.max_requests, "request"));
  if (s.max_duration) out += ", " + glued("at most " + words::duration(*s.max_duration));
  return out;
}

// ---- failures and coverage first

HOTPATH_FN std::vector<fact> facts::requests() const {
  const auto& q = r_.requests;
  std::vector<fact> out;
  const std::uint64_t finished = q.ok + q.failed + q.cancelled;
  std::string outcome = words::count(q.ok) + " ok";
  if (finished != 0) outcome += " (" + glued(words::percent(static_cast<double>(q.ok) / static_cast<double>(finished))) + ")";
  outcome += ", " + words::count(q.failed) + " failed, " + words::count(q.cancelled) + " cancelled";
  if (q.in_flight != 0) outcome += ", " + words::count(q.in_flight) + " in flight when this was stored";
  out.push_back({"sent", words::count(q.sent) + ": " + outcome});
  if (r_.run.unsent != 0) out.push_back({"never sent", words::count(r_.run.unsent, "request") + " due, but the run ended while they waited for a slot", style::warn});
  if (q.warmup != 0) out.push_back({"warm-up", words::count(q.warmup, "request") + ", in none of the figures below"});
  if (q.failed + q.cancelled != 0) {
    out.push_back({"failures", prose(error_list(r_)), style::bad});
    if (!q.first_error.empty()) out.push_back({"first failure", prose(q.first_error, 1024)});
  }
  out.push_back({"lost", r_.lost ? loss_list(r_.lost) : "nothing", r_.lost ? style::bad : style::plain});
  if (r_.run.workload_loss) out.push_back({"lines skipped", loss_list(r_.run.workload_loss), style::warn});
  std::vector<std::string> ends;
  for (const auto& [reason, n] : q.finish_reasons) ends.push_back(prose(reason, 64) + " " + words::count(n));
  if (!ends.empty()) out.push_back({"finished by", joined(ends)});
  tokens(out);
  if (q.retried_connections != 0)
    out.push_back({"connections", words::count(q.retried_connections) + " kept alive turned out closed and " + (q.retried_connections == 1 ? "was" : "were") + " opened again"});
  return out;
}

HOTPATH_FN void facts::tokens(std::vector<fact>& out) const {
  const auto& t = r_.tokens;
  const auto n = [](std::int64_t v) { return v < 0 ? "-" + words::count(static_cast<std::uint64_t>(-v)) : words::count(static_cast<std::uint64_t>(v)); };
  std::vector<std::string> parts;
  if (t.prompt) parts.push_back(glued(n(*t.prompt) + " in") + (t.cached ? " (" + glued(n(*t.cached) + " cached") + ")" : ""));
  if (t.completion) parts.push_back(glued(n(*t.completion) + " out") + (t.reasoning ? " (" + glued(n(*t.reasoning) + " reasoning") + ")" : ""));
  if (parts.empty()) return;
  if (t.source == "usage") parts.push_back("from the server's usage");
  else if (t.source == "mixed") parts.push_back("the server sent no usage for " + words::count(t.without_usage, "request"));
  else if (t.source == "chunks") parts.push_back("no usage from the server: one per chunk, a lower bound");
  out.push_back({"tokens", joined(parts)});
  if (t.suspect != 0) out.push_back({"", words::count(t.suspect, "request") + " with a usage that contradicts itself", style::warn});
  if (t.planned_prompt_error && __builtin_fabs(*t.planned_prompt_error) >= 0.005)
    out.push_back({"", "prompts are " + glued(words::percent(__builtin_fabs(*t.planned_prompt_error))) + (*t.planned_prompt_error > 0 ? " longer" : " shorter") +
                           " than planned, by the server's count", style::warn});
}

// ---- the latency table

HOTPATH_FN bool facts::same_ttfo() const {
  const auto &a = r_.of(serve::metric::ttft), &b = r_.of(serve::metric::ttfo);
  return b.n != 0 && a.n == b.n && a.mean == b.mean && a.max == b.max;
}

HOTPATH_FN std::vector<std::string> facts::footnotes() const {
  bool open_end = false, none = false;
  for (const serve::distribution& d : r_.latency)
    for (const auto& ci : d.ci) {
      if (d.n == 0) continue;
      open_end = open_end || (ci && !ci->hi);
      none = none || !ci;
    }
  const std::string slot = r_.of(serve::metric::slot_wait).n != 0 ? "waits for a slot of the cap, " : "";
  std::vector<std::string> out = {"TTFT counts from the schedule, service TTFT from the send; between them: " + slot + "connect, dispatch." +
                                  (same_ttfo() ? " TTFO is the same: no reasoning was seen." : "")};
  if (open_end) out.push_back(mark("\u2265", ">=") + " too few requests for an upper end (p95 needs 72, p99 needs 368).");
  if (none) out.push_back("? too few requests for an interval.");
  const std::uint64_t inexact = r_.of(serve::metric::chunk_gap).inexact + r_.of(serve::metric::itl).inexact;
  if (inexact != 0) out.push_back(words::count(inexact, "gap") + " left out: several events came in one read, so their times are upper bounds.");
  return out;
}

// ---- throughput and what limits it

HOTPATH_FN std::string facts::limits() const {
  std::string out;
  const auto limit = [&](std::string_view what, const std::optional<nanoseconds>& v) {
    if (v) out += (out.empty() ? "" : ", ") + glued(std::string(what) + " " + mark("\u2264", "<=") + " " + words::milliseconds(v->ms()));
  };
  limit("TTFT", r_.run.slo.ttft), limit("TPOT", r_.run.slo.tpot), limit("E2E", r_.run.slo.e2e);
  return out;
}

HOTPATH_FN void facts::goodput(std::vector<fact>& out) const {
  const auto& g = r_.goodput;
  if (!g.share) return;
  out.push_back({g.per_s ? "" : "goodput", glued(words::percent(*g.share)) + (g.share_ci ? " " + range(g.share_ci, words::percent_number) : "") + ": " + words::count(g.good) +
                                               " of " + words::count(g.total, "request") + " within " + limits()});
}

HOTPATH_FN std::vector<fact> facts::rates() const {
  std::vector<fact> out;
  goodput(out);
  if (const auto& s = r_.steady; s.missing.empty() && s.end > s.begin) {
    std::vector<std::string> parts;
    if (s.requests_per_s) parts.push_back(glued(words::grouped(*s.requests_per_s) + " requests/s"));
    if (s.output_tokens_per_s) parts.push_back(glued(words::grouped(*s.output_tokens_per_s) + " output tokens/s"));
    if (s.in_flight) parts.push_back(glued(words::number(*s.in_flight) + " in flight"));
    out.push_back({"steady state", "from " + glued(words::number(s.begin.s()) + " s") + " to " + glued(words::number(s.end.s()) + " s") +
                                       (s.cut != 0 ? ", without the first " + words::count(s.cut, "request") : "") + (parts.empty() ? "" : ": " + joined(parts))});
  }
  const auto& c = r_.concurrency;
  if (r_.throughput.window.ns > 0) {
    std::string s = glued("mean " + words::number(c.mean)) + ", " + glued("max " + words::count(static_cast<std::uint64_t>(c.max)));
    if (c.at_server) s += ", " + glued(words::number(*c.at_server) + " at the server");
    if (!r_.queue_at.empty()) s += "; the queue is at the " + prose(r_.queue_at, 32);
    out.push_back({"in flight", s});
  }
  const auto& s = r_.stalls;
  if (r_.of(serve::metric::chunk_gap).n != 0 || r_.of(serve::metric::itl).n != 0)
    out.push_back({"stalls", s.count == 0 ? "none" : words::count(s.count) + " in " + words::count(s.requests, "request") + ", longest " + glued(words::milliseconds(s.longest_ms)) + ", " +
                                                         glued(words::percent(s.share_of_decode_time)) + " of the decode time", s.count == 0 ? style::plain : style::warn});
  return out;
}

HOTPATH_FN std::vector<facts::steps> facts::over_time() const {
  const serve::series& s = r_.over_time;
  if (s.in_flight.size() < 4) return {};
  std::vector<steps> out = {{"in flight", &s.in_flight, words::number}, {"output tokens/s", &s.output_tokens_per_s, words::number}, {"TTFT p50 ms", &s.ttft_p50_ms, words::number}};
  const auto& e = r_.server.over_time;
  if (has_server() && e.running.size() >= 4) out.push_back({"running", &e.running, words::number});
  if (has_server() && e.waiting.size() >= 4) out.push_back({"waiting", &e.waiting, words::number});
  if (has_server() && e.kv_usage.size() >= 4) out.push_back({"KV cache", &e.kv_usage, words::percent});
  return out;
}

// ---- the engine's side

HOTPATH_FN std::string facts::server_title() const {
  const auto& s = r_.server;
  return "its own figures over " + words::duration(s.end - s.begin) + (s.engine.empty() || s.engine == "generic" ? "" : ", in " + prose(s.engine, 32) + "'s names");
}

HOTPATH_FN std::string facts::gauge(const serve::engine_figures::gauge& g, std::string (*show)(double)) {
  const bool whole = show == words::number && g.max >= 0 && g.max < 1e15 && g.max == __builtin_floor(g.max);  // requests, not shares of them
  return glued("mean " + show(g.mean)) + ", " + glued("max " + (whole ? words::count(static_cast<std::uint64_t>(g.max)) : show(g.max)));
}

HOTPATH_FN std::vector<server_latency> facts::server_latencies() const {
  const serve::engine_figures& e = r_.server.all;
  std::vector<server_latency> out;
  const auto engine = [&](std::string_view label, const serve::bucketed& b) {
    if (b.n <= 0) return;
    const bool s = b.mean && *b.mean >= 999.95;
    out.push_back({label, "engine", b.mean ? s ? "s" : "ms" : "", table_count(b.n), b.mean ? cell(*b.mean * (s ? 1e-3 : 1)) : dash(), bucket(b.quantile[0]), bucket(b.quantile[3])});
  };
  const auto client = [&](std::string_view label, std::string_view source, serve::metric m) {
    const serve::distribution& d = r_.of(m);
    if (d.n == 0) return;
    const bool s = d.quantile[0] >= 999.95;
    const double scale = s ? 1e-3 : 1;
    out.push_back({label, source, s ? "s" : "ms", table_count(static_cast<double>(d.n)), cell(d.mean * scale), cell(d.quantile[0] * scale) + (s ? " s" : " ms"),
                   cell(d.quantile[3] * scale) + (s ? " s" : " ms")});
  };
  engine("queue", e.queue), engine("prefill", e.prefill), engine("decode", e.decode);
  using serve::metric;
  engine("TTFT", e.ttft), client("TTFT", "client", metric::ttft), client("TTFT", "  from send", metric::service_ttft);
  engine("ITL", e.itl), client("ITL", "client", metric::itl);
  engine("TPOT", e.tpot), client("TPOT", "client", metric::tpot);
  engine("E2E", e.e2e), client("E2E", "client", metric::e2e);
  return out;
}

HOTPATH_FN std::vector<fact> facts::server() const {
  const serve::server_section& s = r_.server;
  const serve::engine_figures& e = s.all;
  std::vector<fact> out;
  const auto n = [](double v) { return words::count(static_cast<std::uint64_t>(v > 0 && v < 1e18 ? v + 0.5 : 0)); };
  if (e.running.n != 0) out.push_back({"running", gauge(e.running, words::number)});
  if (e.waiting.n != 0) out.push_back({"waiting", gauge(e.waiting, words::number)});
  if (e.kv_usage.n != 0)
    out.push_back({"KV cache", gauge(e.kv_usage, words::percent) + (e.kv_capacity_tokens ? " of " + glued(n(*e.kv_capacity_tokens) + " tokens") : ""),
                   e.kv_usage.max >= 0.995 ? style::warn : style::plain});
  if (e.prefix_hit_rate || (e.prefix_queries && *e.prefix_queries == 0)) {
    std::string t = e.prefix_hit_rate ? glued(words::percent(*e.prefix_hit_rate)) + " hits" : "no query";
    if (e.prefix_hit_rate && e.prefix_hits && e.prefix_queries) t += ": " + n(*e.prefix_hits) + " of " + n(*e.prefix_queries) + (s.engine == "trtllm" ? " blocks" : " tokens");
    out.push_back({"prefix cache", t});
  }
  if (e.preemptions) out.push_back({"preemptions", n(*e.preemptions), *e.preemptions > 0 ? style::warn : style::plain});
  std::vector<std::string> tokens;
  if (e.prompt_tokens) tokens.push_back(glued(n(*e.prompt_tokens) + " in") + (e.cached_prompt_tokens ? " (" + glued(n(*e.cached_prompt_tokens) + " cached") + ")" : ""));
  if (e.generation_tokens) tokens.push_back(glued(n(*e.generation_tokens) + " out"));
  if (e.requests_finished) tokens.push_back(glued(n(*e.requests_finished) + " requests") + " finished");
  if (!tokens.empty()) out.push_back({"counters", joined(tokens)});
  std::vector<std::string> work;
  if (e.tokens_per_step) work.push_back(glued(words::grouped(*e.tokens_per_step) + " tokens") + " per engine step");
  if (e.spec_acceptance) work.push_back(glued(words::percent(*e.spec_acceptance)) + " of the drafted tokens accepted");
  if (!work.empty()) out.push_back({"steps", joined(work)});
  std::string t = words::count(s.scrapes - (s.failed < s.scrapes ? s.failed : s.scrapes)) + " of " + words::count(s.scrapes) + " succeeded";
  if (s.skipped != 0) t += ", " + words::count(s.skipped) + " left out because the one before took too long";
  out.push_back({"scrapes", t, s.failed + s.skipped != 0 ? style::warn : style::plain});
  if (!s.bracketed) out.push_back({"", "they do not reach from before the first request to after the last: differences are not those of the whole run", style::warn});
  if (e.reset) out.push_back({"", "a counter went backwards: the engine started anew, figures count from there", style::warn});
  std::size_t left = s.problems.size();
  for (const std::string& p : s.problems) {
    if (s.problems.size() - left == 8) {
      out.push_back({"", "and " + words::count(left) + " more", style::warn});
      break;
    }
    out.push_back({left == s.problems.size() ? "problems" : "", prose(p, 256), style::warn}), --left;
  }
  return out;
}

HOTPATH_FN std::vector<server_engine> facts::server_engines() const {
  std::vector<server_engine> out;
  const auto gauge = [&](const serve::engine_figures::gauge& g, double v, std::string (*show)(double)) { return g.n == 0 ? dash() : show(v); };
  const auto count = [&](const std::optional<double>& v) { return v ? table_count(*v) : dash(); };
  for (const serve::engine_figures& e : r_.server.engines)
    out.push_back({prose(e.source, 128), gauge(e.running, e.running.mean, words::number), gauge(e.waiting, e.waiting.mean, words::number),
                   gauge(e.kv_usage, e.kv_usage.max, words::percent), e.prefix_hit_rate ? words::percent(*e.prefix_hit_rate) : dash(), count(e.preemptions),
                   count(e.generation_tokens), e.ttft.n > 0 && e.ttft.mean ? words::milliseconds(*e.ttft.mean) : dash()});
  return out;
}

// ---- the client

HOTPATH_FN std::pair<std::string, style> facts::client_title() const {
  const auto& c = r_.client;
  const bool measured = c.cpu_share || c.loop_lag_p99_ms;
  return {c.limited ? "the client was the limit" : measured ? "passed" : "nothing found, but little measured", c.limited ? style::warn : measured ? style::good : style::plain};
}

HOTPATH_FN std::vector<fact> facts::client() const {
  const auto& c = r_.client;
  std::vector<fact> out;
  out.push_back({"arrival stamps", joined({c.kernel_stamps ? "from the kernel" : glued(words::percent(c.user_stamp_share)) + " from the client's own clock",
                                           glued(words::percent(c.inexact_share)) + " inexact (upper bounds)"})});
  std::vector<std::string> parts;
  const auto figure = [&](std::string_view what, const std::optional<double>& v) {
    if (v) parts.push_back(glued(std::string(what) + " " + words::milliseconds(*v)));
  };
  figure("p50", c.loop_lag_p50_ms), figure("p99", c.loop_lag_p99_ms), figure("max", c.loop_lag_max_ms);
  if (!parts.empty()) out.push_back({"loop lag", joined(parts)});
  parts.clear();
  figure("p99", c.read_lag_p99_ms);
  if (!parts.empty()) out.push_back({"read lag", joined(parts)});
  parts.clear();
  if (c.cpu_share) parts.push_back(glued(words::percent(*c.cpu_share)) + " of a core (busiest thread)");
  if (c.bytes_per_s > 0) parts.push_back(glued(words::bytes(c.bytes_per_s) + "/s") + " received");
  if (c.open_descriptors_max != 0) parts.push_back(words::count(c.open_descriptors_max, "descriptor"));
  if (!parts.empty()) out.push_back({"load", joined(parts)});
  out.push_back({"sent late", c.late == 0 ? "none (10 ms or more after they were due)" : words::count(c.late, "request") + " sent 10 ms or more after they were due",
                 c.late == 0 ? style::plain : style::warn});
  if (c.suspended.ns > 0) out.push_back({"suspended", "the client did not run at all for " + glued(words::milliseconds(c.suspended.ms())), style::warn});
  return out;
}

// ---- checks, and what is not known

HOTPATH_FN std::string facts::check_text(const serve::check& c) const {
  // Both sides of a check are often counts, or large: all digits that matter, none that do not.
  const auto side = [](double v) {
    if (v >= 0 && v < 1e15 && v == __builtin_floor(v)) return words::count(static_cast<std::uint64_t>(v));
    return words::fixed(v, 3);
  };
  std::string t;
  if (c.ok && __builtin_isfinite(c.left) && __builtin_isfinite(c.right)) t = glued(side(c.left)) + (*c.ok ? " and " : " against ") + glued(side(c.right));
  if (!c.why.empty()) t += (t.empty() ? "" : ": ") + prose(c.why, 256);
  return t;
}

HOTPATH_FN std::vector<fact> facts::missing() const {
  std::vector<fact> rows;
  const auto add = [&](std::string_view label, std::string_view why) { rows.push_back({std::string(label), why.empty() ? "not measured" : prose(why)}); };
  constexpr std::string_view names[] = {"TTFT", "service TTFT", "TTFO", "connect", "slot wait", "dispatch delay", "TPOT", "ITL", "chunk gap", "E2E"};
  const auto& all = r_.latency;
  bool alike = true;
  for (const serve::distribution& d : all) alike = alike && d.n == 0 && d.missing == all[0].missing;
  if (alike) add("all latencies", all[0].missing);
  else
    for (std::size_t i = 0; i < all.size(); ++i)
      if (all[i].n == 0) add(names[i], all[i].missing);
  if (!r_.throughput.requests_per_s) add("throughput", r_.throughput.missing);
  else if (!r_.throughput.output_tokens_per_s) add("tokens/s", "token counts are not known");
  if (!r_.goodput.share) add("goodput", r_.goodput.missing);
  if (!r_.steady.missing.empty()) add("steady state", r_.steady.missing);
  if (!r_.client.cpu_share) add("client CPU", "the client stored no measurements of itself");
  if (!has_server()) {
    add("server", r_.server.missing.empty() ? "its metrics were not read" : r_.server.missing);
    return rows;
  }
  const serve::engine_figures& e = r_.server.all;
  const std::pair<std::string_view, const serve::bucketed*> latencies[] = {{"queue", &e.queue}, {"prefill", &e.prefill}, {"decode", &e.decode}, {"TTFT", &e.ttft},
                                                                           {"ITL", &e.itl}, {"TPOT", &e.tpot}, {"E2E", &e.e2e}};
  for (const auto& [label, b] : latencies)  // the same reason once
    if (b->n <= 0) {
      const std::string why = b->missing.empty() ? "not told" : prose(b->missing);
      if (rows.empty() || !rows.back().label.starts_with("engine ") || rows.back().text != why) rows.push_back({"engine " + std::string(label), why});
      else rows.back().label += ", " + std::string(label);
    }
  const auto gone = [&](std::string_view what, bool known) {
    if (known) return;
    if (!rows.empty() && rows.back().label == "engine") rows.back().text += ", " + std::string(what);
    else rows.push_back({"engine", "not told: " + std::string(what)});
  };
  gone("running", e.running.n != 0), gone("waiting", e.waiting.n != 0), gone("KV usage", e.kv_usage.n != 0), gone("prefix hits", e.prefix_hit_rate || e.prefix_queries);
  gone("preemptions", e.preemptions.has_value()), gone("prompt tokens", e.prompt_tokens.has_value()), gone("generated tokens", e.generation_tokens.has_value());
  return rows;
}

}  // namespace hotpath::inline HOTPATH_ABI::report::detail
// ---- hotpath/report/text-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

class serve_text {
 public:
  serve_text(const serve::report& r, const text_options& o)
      : r_(r), facts_(r, {.ascii = o.ascii}), verdict_(judge(r, o.judge)), page_(o.width < 60 ? 60 : o.width > 132 ? 132 : o.width, o.color, o.ascii),
        wide_(page_.width() >= 130) {}

  std::string write() {
    headline();
    page_.blank();
    rows(facts_.about());
    page_.heading("Requests");
    rows(facts_.requests());
    latency();
    rates();
    server();
    over_time();
    client();
    checks();
    if (const auto missing = facts_.missing(); !missing.empty()) page_.heading("Missing"), rows(missing);
    return page_.take();
  }

 private:
  static constexpr std::size_t indent = 16;  // where texts beside a label begin

  void rows(const std::vector<fact>& all) {
    for (const fact& f : all) page_.labelled(f.label, indent, f.text, f.tone);
  }

  // ---- headline
  void headline() {
    using enum exit_code;
    const style s = verdict_.code == ok ? style::good_badge
                    : verdict_.code == gate || verdict_.code == unreachable || verdict_.code == unusable ? style::bad_badge : style::warn_badge;
    std::string word(verdict_.word());
    for (char& c : word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    std::string first = page_.paint(s, " " + word + " ");
    std::size_t used = word.size() + 2;
    if (r_.client.limited) {
      constexpr std::string_view limited = " CLIENT LIMITED ";
      first += " " + page_.paint(style::warn_badge, limited);
      used += 1 + limited.size();
    }
    std::string figures;
    for (const std::string& f : facts_.headline()) figures += (figures.empty() ? "" : std::string(page_.dot())) + f;
    page_.wrapped(first, used, used + 2, figures.empty() ? "no figures" : figures, style::bold);
    for (const std::string& reason : verdict_.reasons) bullet(page_.mark("\u25B6 ", "> "), reason, style::warn);
    for (const std::string& finding : r_.findings) bullet(page_.mark("\u2022 ", "* "), finding, style::plain);
  }
  void bullet(std::string_view mark, std::string_view t, style s) { page_.wrapped("  " + page_.paint(s, mark), 4, 4, page_.clean(t, 2048)); }

  // ---- the table
  void latency() {
    bool any = false;
    for (const serve::distribution& d : r_.latency) any = any || d.n != 0;
    if (!any) return;
    page_.heading("Latency", "of ok requests, with 95 % intervals");
    // Of the quantiles as many as fit: p95 goes first, then p90.
    std::vector<std::size_t> shown = {0, 1, 2, 3};
    if (page_.width() < 80) shown = {0, 1, 3};
    if (page_.width() < 69) shown = {0, 3};
    const std::size_t value = wide_ ? 9 : 11, last = wide_ ? 10 : 7;
    page_.left("", 14);
    page_.right("n", 7, style::dim), page_.right("mean", wide_ ? 10 : 8, style::dim);
    for (const std::size_t i : shown) page_.right(serve::quantile_names[i], value, style::dim), page_.left("", wide_ ? 13 : 0);
    page_.right("max", last, style::dim);
    page_.end_line();
    for (const facts::line& l : facts::latency_rows) {
      const serve::distribution& d = r_.of(l.m);
      if (d.n == 0 || (l.m == serve::metric::ttfo && facts_.same_ttfo())) continue;
      const facts::unit u = facts_.unit_of(d);
      page_.left(l.label, 12, l.label.front() == ' ' ? style::plain : style::bold);
      page_.left(u.name, 2, style::dim);
      page_.right(facts::table_count(static_cast<double>(d.n)), 7), page_.right(facts::cell(d.mean * u.per_ms), wide_ ? 10 : 8);
      for (const std::size_t i : shown) {
        page_.right(facts::cell(d.quantile[i] * u.per_ms), value, tone(l.m, d.quantile[i]));
        if (wide_) page_.left(" " + bracketed(d.ci[i], u), 13, style::dim);
      }
      page_.right(facts::cell(d.max * u.per_ms), last);
      page_.end_line();
      if (wide_) continue;
      page_.left("", 29);
      for (const std::size_t i : shown) page_.right(facts_.interval(d.ci[i], u.per_ms), value, style::dim);
      page_.end_line();
    }
    for (const std::string& note : facts_.footnotes()) page_.labelled("", 2, note, style::dim);
  }
  std::string bracketed(const std::optional<serve::bounds>& b, const facts::unit& u) const {
    const std::string i = facts_.interval(b, u.per_ms);
    return b && b->hi ? "[" + i + "]" : i;
  }
  // A quantile over its limit stands out.
  style tone(serve::metric m, double ms) const {
    const model::slo& l = r_.run.slo;
    const auto& limit = m == serve::metric::ttft ? l.ttft : m == serve::metric::tpot ? l.tpot : m == serve::metric::e2e ? l.e2e : std::optional<nanoseconds>{};
    return limit && ms > limit->ms() ? style::warn : style::plain;
  }

  // ---- throughput and what limits it
  void rates() {
    const auto& t = r_.throughput;
    if (!t.requests_per_s && !t.output_tokens_per_s && !t.input_tokens_per_s && !r_.goodput.share) return;
    page_.heading("Throughput", t.window.ns > 0 ? "over " + words::duration(t.window) : "");
    rate("requests", t.requests_per_s), rate("output tokens", t.output_tokens_per_s), rate("input tokens", t.input_tokens_per_s);
    if (r_.goodput.share && r_.goodput.per_s) rate("goodput", serve::rate{*r_.goodput.per_s, r_.goodput.per_s_ci});
    rows(facts_.rates());
  }
  void rate(std::string_view label, const std::optional<serve::rate>& v) {
    if (!v) return;
    page_.left(page_.paint(style::dim, label), 0), page_.pad(columns_of(label), indent);
    page_.right(words::grouped(v->value), 9), page_.left(" /s", 5);
    page_.left(page::spaced(facts_.range(v->ci, words::grouped)), 0, style::dim);
    page_.end_line();
  }

  // ---- the engine's side, beside the client's
  void server() {
    if (!facts_.has_server()) return;
    page_.heading("Server:", facts_.server_title());
    if (const auto table = facts_.server_latencies(); !table.empty()) {
      const std::size_t n = page_.width() < 68 ? 0 : 7, used = 9 + 12 + 3 + n + 9, quantile = page_.width() - used > 32 ? 16 : (page_.width() - used) / 2;
      page_.left("", 24), page_.right(n != 0 ? "n" : "", n, style::dim), page_.right("mean", 9, style::dim);
      page_.right("p50", quantile, style::dim), page_.right("p99", quantile, style::dim), page_.end_line();
      std::string_view before;
      for (const server_latency& l : table) {
        page_.left(l.label == before ? std::string_view{} : l.label, 9, style::bold), page_.left(l.source, 12, style::dim), page_.left(l.unit, 3, style::dim);
        page_.right(n != 0 ? l.n : "", n), page_.right(l.mean, 9), page_.right(l.p50, quantile), page_.right(l.p99, quantile);
        page_.end_line();
        before = l.label;
      }
      page_.labelled("", 2, "engine: its own histograms; a quantile lies somewhere in the bucket shown. client: this run's arrivals.", style::dim);
    }
    rows(facts_.server());
    const auto engines = facts_.server_engines();
    if (engines.empty()) return;
    page_.blank();
    constexpr std::size_t columns[] = {0, 8, 8, 8, 9, 10, 11, 11};
    std::size_t shown = 1, used = 0, longest = 0;  // columns that do not fit beside a name of 15 are left out
    while (shown < 8 && used + columns[shown] + 15 <= page_.width()) used += columns[shown++];
    for (const server_engine& e : engines) longest = columns_of(e[0]) > longest ? columns_of(e[0]) : longest;
    const std::size_t room = longest + 2 < page_.width() - used ? (longest + 2 < 15 ? 15 : longest + 2) : page_.width() - used;
    const auto row = [&](const auto& e, style s) {
      std::string first(e[0]);
      while (columns_of(first) > room - 1) {  // the end tells engines apart, "…engine=1": the beginning goes
        const std::size_t skip = first.starts_with(page_.mark("\u2026", "...")) ? page_.mark("\u2026", "...").size() : 0;
        first = std::string(page_.mark("\u2026", "...")) + first.substr(skip + glyph_at(first, skip).bytes);
      }
      page_.left(first, room, s);
      for (std::size_t i = 1; i < shown; ++i) page_.right(e[i], columns[i], s);
      page_.end_line();
    };
    row(server_engine_head, style::dim);
    for (const server_engine& e : engines) row(e, style::plain);
  }

  // ---- steps over the run
  void over_time() {
    const auto all = facts_.over_time();
    if (all.empty()) return;
    const std::size_t room = page_.width() - indent - 18, each = (all[0].values->size() + room - 1) / room;
    page_.heading("Over time,", "one mark is " + page::glued(words::duration(nanoseconds{r_.over_time.step.ns * static_cast<std::int64_t>(each)})));
    for (const facts::steps& s : all) {
      const std::size_t own = s.values->size() <= room ? each : (s.values->size() + room - 1) / room;
      const facts::spark_line line = facts::spark(*s.values, own, page_.ascii());
      if (!line.any) continue;
      page_.left(page_.paint(style::dim, s.label), 0), page_.pad(columns_of(s.label), indent);
      page_.raw(page_.paint(style::spark, line.marks));
      page_.raw(page_.paint(style::dim, "  0" + std::string(page_.mark("\u2013", "-")) + s.show(line.top)));
      page_.end_line();
    }
  }

  // ---- the client, and the books
  void client() {
    if (r_.requests.ok + r_.requests.failed == 0) return;
    const auto [title, tone] = facts_.client_title();
    page_.heading("Client self-check:", title, tone);
    rows(facts_.client());
  }
  void checks() {
    if (r_.checks.empty()) return;
    page_.heading("Checks");
    for (const serve::check& c : r_.checks) {
      const std::string_view word = !c.ok ? "n/a" : *c.ok ? "ok" : "WRONG";
      const style s = !c.ok ? style::dim : *c.ok ? style::good : style::bad;
      const std::string name = page_.clean(c.name, 64);
      const std::string first = page_.paint(s, word) + std::string(7 - word.size(), ' ') + name;
      page_.wrapped(first, 7 + columns_of(name), columns_of(name) < 22 ? 30 : 7, facts_.check_text(c));
    }
  }

  const serve::report& r_;
  const facts facts_;
  const verdict verdict_;
  page page_;
  const bool wide_;
};

}  // namespace detail

HOTPATH_FN std::string text(const serve::report& r, const text_options& options) { return detail::serve_text{r, options}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/doctor.hpp

namespace hotpath::inline HOTPATH_ABI::report {

std::string text(const model::diagnosis& d, const text_options& options = {});
std::string json(const model::diagnosis& d, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/doctor-inl.hpp
// hotpath/report/doctor-inl.hpp - bodies of report/doctor.hpp
// ---- hotpath/report/doctor-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

HOTPATH_FN std::string text(const model::diagnosis& d, const text_options& o) {
  using detail::style;
  detail::page page{o.width < 60 ? 60 : o.width > 132 ? 132 : o.width, o.color, o.ascii};
  std::uint64_t fails = 0, limits = 0, warns = 0;
  for (const model::symptom& s : d.rows) {
    if (s.state == model::condition::fail) ++fails;
    else if (s.state == model::condition::warn) ++(s.limits ? limits : warns);
  }
  const std::string_view word = fails != 0 ? " FAIL " : limits != 0 ? " LIMITED " : " OK ";
  std::string summary = fails + limits == 0 ? "nothing here stands in the way of a measurement" : "";
  const auto say = [&](std::uint64_t n, std::string_view what) {
    if (n != 0) summary += (summary.empty() ? "" : ", ") + words::count(n) + " " + std::string(what);
  };
  say(fails, fails == 1 ? "fails" : "fail"), say(limits, limits == 1 ? "limits what can be measured" : "limit what can be measured");
  if (fails + limits != 0) say(warns, "more to know");
  page.wrapped(page.paint(fails != 0 ? style::bad_badge : limits != 0 ? style::warn_badge : style::good_badge, word), word.size(), word.size() + 1, summary, style::bold);

  constexpr std::size_t name_at = 9, text_at = 29;
  std::string_view group;
  for (const model::symptom& s : d.rows) {
    if (s.group != group) {
      group = s.group;
      std::string title = page.clean(s.group, 64);
      if (!title.empty() && title[0] >= 'a' && title[0] <= 'z') title[0] = static_cast<char>(title[0] - ('a' - 'A'));
      page.heading(title, s.group == "endpoint" ? page.clean(d.endpoint, 256) : std::string());
    }
    const style tone = s.state == model::condition::pass ? style::good : s.state == model::condition::fail ? style::bad : s.state == model::condition::warn && s.limits ? style::warn : style::dim;
    const std::string_view state = name_of(s.state);
    const std::string name = page.clean(s.name, 64);
    std::string first = page.paint(tone, state) + std::string(name_at - state.size(), ' ') + name;
    std::string t = page.clean(s.value, 512);
    if (!s.meaning.empty()) t += (t.empty() ? "" : std::string(page.mark(" \u00B7 ", ": "))) + page.clean(s.meaning, 1024);
    page.wrapped(first, name_at + detail::columns_of(name), text_at, t);
    if (!s.next.empty()) {
      const std::string_view arrow = page.mark("\u2192 ", "> ");
      page.wrapped(std::string(text_at - 2, ' ') + page.paint(style::warn, arrow), text_at, text_at, page.clean(s.next, 1024), s.state == model::condition::pass ? style::plain : style::bold);
    }
  }
  return page.take();
}

HOTPATH_FN std::string json(const model::diagnosis& d, int indent) {
  std::string out;
  json::writer w{out, indent};
  w.object_begin();
  w.member("schema", "hotpath.doctor/1");
  w.member("limited", d.limited());
  w.key("endpoint");
  if (d.endpoint.empty()) w.null();
  else w.value(d.endpoint);
  w.key("rows");
  w.array_begin();
  for (const model::symptom& s : d.rows) {
    w.object_begin();
    w.member("group", s.group), w.member("name", s.name), w.member("state", name_of(s.state)), w.member("limits", s.limits);
    w.member("value", s.value), w.member("meaning", s.meaning), w.member("next", s.next);
    w.object_end();
  }
  w.array_end();
  w.object_end();
  return out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/json.hpp
// hotpath/report/json.hpp - the serving report as JSON, schema hotpath.serve_report/1 (docs/schema/serve_report-1.schema.json).
//
//     std::fputs(report::json(r).c_str(), stdout);
//
//   Groups (run, requests, tokens, throughput, …) are always objects. A figure that is not known is null, and `missing` says why:
//   each null has its path there, or the path of what holds it ("ttft_ms.ci95.p99[1]"), and each path leads to a null.
//   Same report, same bytes: no wall clock, no locale. Units are in the names; times of the run count from its origin.
//   Text is UTF-8 whatever the server sent. Errors: none. Allocation: the text, about 6 KiB plus 60 bytes per step of `over_time`.
// ---- hotpath/report/json.hpp

namespace hotpath::inline HOTPATH_ABI::report {

// Ends with a newline. `indent` 0: one line.
std::string json(const serve::report& r, int indent = 2);

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/json-inl.hpp
// hotpath/report/json-inl.hpp - bodies of report/json.hpp
// ---- hotpath/report/json-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

// Writes members and keeps the books of what is missing. One object per report.
class serve_json {
 public:
  serve_json(std::string& out, int indent, const serve::report& r) : w_(out, indent), r_(r) {}

  void write() {
    w_.object_begin();
    w_.member("schema", "hotpath.serve_report/1");
    const verdict v = judge(r_);
    group("verdict", [&] { w_.member("word", v.word()), list("reasons", v.reasons); });
    group("run", [&] { run(); });
    group("requests", [&] { requests(); });
    group("tokens", [&] { tokens(); });
    for (std::size_t i = 0; i < r_.latency.size(); ++i) latency(serve::metric_names[i], r_.latency[i]);
    group("throughput", [&] { throughput(); });
    steady();
    group("goodput", [&] { goodput(); });
    group("concurrency", [&] { concurrency(); });
    group("stalls", [&] { stalls(); });
    group("client", [&] { client(); });
    server();
    over_time();
    list("findings", r_.findings);
    checks();
    loss("loss", r_.lost);
    group("bootstrap", [&] { w_.member("seed", r_.bootstrap_seed), w_.member("resamples", r_.bootstrap_resamples); });
    w_.key("missing");
    w_.object_begin();
    for (const auto& [path, why] : missing_) w_.member(path, why);
    w_.object_end();
    w_.object_end();
  }

 private:
  template <class F>
  void group(std::string_view name, F&& members) {
    w_.key(name);
    w_.object_begin();
    at_ = std::string(name) + ".";
    members();
    at_.clear();
    w_.object_end();
  }

  void missing(std::string path, std::string_view why) {
    missing_.emplace_back(std::move(path), why.empty() ? std::string_view("not measured") : why);
  }

  // To the millionth: a nanosecond of a millisecond. What lies behind is noise of the arithmetic.
  static double tidy(double v) { return __builtin_fabs(v) < 1e9 ? __builtin_nearbyint(v * 1e6) / 1e6 : v; }

  template <class T>
  void figure(std::string_view name, const std::optional<T>& v, std::string_view why) {
    w_.key(name);
    if (!v) {
      w_.null(), missing(at_ + std::string(name), why);
      return;
    }
    if constexpr (std::is_same_v<T, double>) {
      w_.value(tidy(*v));  // null where it is not finite
      if (!__builtin_isfinite(*v)) missing(at_ + std::string(name), why.empty() ? "not a finite number" : why);
    } else {
      w_.value(*v);
    }
  }
  void figure(std::string_view name, double v, std::string_view why = "not a finite number") { figure(name, std::optional<double>{v}, why); }

  void list(std::string_view name, const std::vector<std::string>& items) {
    w_.key(name);
    w_.array_begin();
    for (const std::string& item : items) w_.value(item);
    w_.array_end();
  }

  // Small things on one line, however the rest is indented.
  template <class F>
  void on_one_line(std::string_view name, F&& write) {
    std::string text;
    json::writer line{text};
    write(line);
    w_.key(name);
    w_.raw(text);
  }

  // [lo, hi|null], or null.
  void interval(json::writer& line, std::string_view name, const std::optional<serve::bounds>& b, const std::string& path,
                std::string_view why_no_upper, std::string_view why_none) {
    line.key(name);
    if (!b || !__builtin_isfinite(b->lo)) {
      line.null(), missing(path, why_none);
      return;
    }
    const bool bounded = b->hi && __builtin_isfinite(*b->hi);
    line.array_begin(), line.value(tidy(b->lo));
    if (bounded) line.value(tidy(*b->hi));
    else line.null(), missing(path + "[1]", why_no_upper);
    line.array_end();
  }

  void loss(std::string_view name, const model::loss& l) {
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      line.member("dropped", l.dropped), line.member("truncated", l.truncated), line.member("malformed", l.malformed);
      line.member("over_limit", l.over_limit), line.member("late", l.late);
      line.object_end();
    });
  }

  void schedule() {
    const model::schedule& s = r_.run.plan;
    on_one_line("schedule", [&](json::writer& line) {
      line.object_begin();
      line.member("kind", model::name_of(s.kind));
      if (s.open()) {
        line.member("per_second", s.per_second);
        if (s.max_in_flight != 0) line.member("max_in_flight", s.max_in_flight);
        if (s.kind == model::arrival::poisson) line.member("seed", s.seed);
      } else {
        line.member("streams", s.streams);
      }
      if (s.max_requests) line.member("max_requests", *s.max_requests);
      if (s.max_duration) line.member("max_duration_s", s.max_duration->s());
      line.object_end();
    });
  }

  void run() {
    const model::run_info& i = r_.run;
    w_.member("tool_version", i.tool_version);
    on_one_line("command_line", [&](json::writer& line) {
      line.array_begin();
      for (const std::string& word : i.command_line) line.value(word);
      line.array_end();
    });
    w_.member("host", i.host), w_.member("endpoint", i.endpoint), w_.member("api", i.api), w_.member("model", i.model);
    const auto known = [&](std::string_view name, const std::string& v, std::string_view why) {
      figure(name, v.empty() ? std::optional<std::string>{} : std::optional<std::string>{v}, why);
    };
    known("engine", i.engine, "the server did not say");
    if (!i.engine_version.empty()) w_.member("engine_version", i.engine_version);
    w_.member("workload", i.workload);
    known("prompt_lengths", i.prompt_lengths, "not stored");
    figure("workload_rows", i.workload_rows == 0 ? std::optional<std::uint64_t>{} : i.workload_rows, "endless, or not known");
    w_.member("workload_passes", i.workload_passes), w_.member("prompts_reused", i.prompts_reused);
    loss("workload_loss", i.workload_loss);
    w_.member("seed", i.seed), w_.member("threads", i.threads), w_.member("warmup", i.warmup);
    schedule();
    w_.member("text_stored", i.text_stored);
    w_.member("started", text::utc(i.wall_start));
    const auto moment = [&](std::string_view name, nanoseconds t, std::string_view why) {
      figure(name, t.ns == 0 ? std::optional<double>{} : std::optional<double>{t.s()}, why);
    };
    figure("sending_began_s", i.sending_began.s());
    moment("sending_ended_s", i.sending_ended, "sending was not ended when this was stored");
    moment("ended_s", i.ended, "the run was not ended when this was stored");
    w_.member("state", model::name_of(i.state));
    if (!i.stop_reason.empty()) w_.member("stop_reason", i.stop_reason);
    list("notes", i.notes);
    figure("ephemeral_ports_left", i.ephemeral_ports_left == 0 ? std::optional<std::uint64_t>{} : i.ephemeral_ports_left, "not known, or a unix socket");
  }

  void requests() {
    const auto& q = r_.requests;
    w_.member("sent", q.sent), w_.member("ok", q.ok), w_.member("failed", q.failed), w_.member("cancelled", q.cancelled);
    w_.member("in_flight", q.in_flight), w_.member("unsent", r_.run.unsent), w_.member("warmup", q.warmup);
    on_one_line("errors", [&](json::writer& line) {
      line.object_begin();
      for (std::size_t i = 0; i < q.errors.size(); ++i)
        if (q.errors[i] != 0) line.member(model::error_class_names[i], q.errors[i]);
      line.object_end();
    });
    on_one_line("finish_reasons", [&](json::writer& line) {
      line.object_begin();
      for (const auto& [name, n] : q.finish_reasons) line.member(name, n);
      line.object_end();
    });
    if (!q.first_error.empty()) w_.member("first_error", q.first_error);
    w_.member("retried_connections", q.retried_connections);
  }

  void tokens() {
    const auto& t = r_.tokens;
    const std::string_view none = r_.requests.ok == 0 ? "no request succeeded" : "the server sent no usage";
    figure("prompt", t.prompt, none), figure("completion", t.completion, none);
    w_.member("source", t.source.empty() ? std::string_view("none") : t.source);
    figure("reasoning", t.reasoning, "the server's usage does not tell"), figure("cached", t.cached, "the server's usage does not tell");
    w_.member("suspect", t.suspect), w_.member("without_usage", t.without_usage);
    figure("planned_prompt_error", t.planned_prompt_error, "no planned lengths to compare with");
  }

  void latency(std::string_view name, const serve::distribution& d) {
    if (d.n == 0) {
      w_.key(name), w_.null();
      missing(std::string(name), d.missing.empty() ? "no data" : d.missing);
      return;
    }
    const std::string at = std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      const auto figure = [&](std::string_view key, double v) {
        line.member(key, tidy(v));
        if (!__builtin_isfinite(v)) missing(at + std::string(key), "not a finite number");
      };
      const auto ci = [&](std::string_view key, const std::optional<serve::bounds>& b, double level) {
        interval(line, key, b, at + "ci95." + std::string(key), no_upper_bound(d.n, level), "too few values for an interval");
      };
      line.object_begin();
      line.member("n", d.n), figure("mean", d.mean);
      for (std::size_t i = 0; i < d.quantile.size(); ++i) figure(serve::quantile_names[i], d.quantile[i]);
      figure("max", d.max);
      line.key("ci95"), line.object_begin();
      ci("mean", d.mean_ci, 0);
      for (std::size_t i = 0; i < d.ci.size(); ++i) ci(serve::quantile_names[i], d.ci[i], serve::quantile_levels[i]);
      line.object_end();
      line.key("ci_method");
      if (d.ci_method.empty()) line.null(), missing(at + "ci_method", "too few values for an interval");
      else line.value(d.ci_method);
      if (d.inexact != 0) line.member("inexact", d.inexact);
      line.object_end();
    });
  }

  static std::string no_upper_bound(std::uint64_t n, double level) {
    return "n = " + std::to_string(n) + " is too small for an upper bound" + (level > 0.5 ? " of this quantile" : "");
  }

  void throughput() {
    const auto& t = r_.throughput;
    figure("window_s", t.window.ns == 0 ? std::optional<double>{} : std::optional<double>{t.window.s()}, t.missing);
    const std::pair<std::string_view, const std::optional<serve::rate>&> rates[] = {
        {"requests_per_s", t.requests_per_s}, {"output_tokens_per_s", t.output_tokens_per_s}, {"input_tokens_per_s", t.input_tokens_per_s}};
    const auto why = [&](std::string_view name) -> std::string_view {
      if (!t.missing.empty()) return t.missing;
      return name == "requests_per_s" ? "no data" : "token counts are not known";
    };
    for (const auto& [name, v] : rates) figure(name, v ? std::optional<double>{v->value} : std::optional<double>{}, why(name));
    on_one_line("ci95", [&](json::writer& line) {
      line.object_begin();
      for (const auto& [name, v] : rates)
        interval(line, name, v ? v->ci : std::optional<serve::bounds>{}, "throughput.ci95." + std::string(name), "too few requests for an upper bound",
                 v ? "too few requests for an interval" : why(name));
      line.object_end();
    });
  }

  void steady() {
    const auto& s = r_.steady;
    w_.key("steady");
    if (!s.missing.empty() || s.end <= s.begin) {
      w_.null(), missing("steady", s.missing.empty() ? "not looked for" : s.missing);
      return;
    }
    w_.object_begin(), at_ = "steady.";
    w_.member("cut", s.cut), figure("begin_s", s.begin.s()), figure("end_s", s.end.s());
    figure("requests_per_s", s.requests_per_s, "no data"), figure("output_tokens_per_s", s.output_tokens_per_s, "token counts are not known");
    figure("in_flight", s.in_flight, "no data");
    at_.clear(), w_.object_end();
  }

  void goodput() {
    const auto& g = r_.goodput;
    const model::slo& limits = r_.run.slo;
    const std::string_view why = g.missing.empty() ? (limits ? "no data" : "no limits were set") : std::string_view(g.missing);
    figure("per_s", g.per_s, why), figure("share", g.share, why);
    const auto n = [&](std::uint64_t v) { return g.share ? std::optional<std::uint64_t>{v} : std::optional<std::uint64_t>{}; };
    figure("good", n(g.good), why), figure("total", n(g.total), why);
    on_one_line("limits", [&](json::writer& line) {
      line.object_begin();
      if (limits.ttft) line.member("ttft_ms", limits.ttft->ms());
      if (limits.tpot) line.member("tpot_ms", limits.tpot->ms());
      if (limits.e2e) line.member("e2e_ms", limits.e2e->ms());
      line.object_end();
    });
    on_one_line("ci95", [&](json::writer& line) {
      const std::string_view none = g.share ? "too few requests for an interval" : why;
      line.object_begin();
      interval(line, "share", g.share_ci, "goodput.ci95.share", "too few requests for an upper bound", none);
      interval(line, "per_s", g.per_s_ci, "goodput.ci95.per_s", "too few requests for an upper bound", none);
      line.object_end();
    });
  }

  void concurrency() {
    const auto& c = r_.concurrency;
    const bool known = r_.throughput.window.ns != 0;
    const auto v = [&](double x) { return known ? std::optional<double>{x} : std::optional<double>{}; };
    figure("mean", v(c.mean), r_.throughput.missing), figure("max", v(c.max), r_.throughput.missing);
    figure("at_server", c.at_server, known ? std::string_view("not measured") : std::string_view(r_.throughput.missing));
    w_.member("queue_at", r_.queue_at.empty() ? std::string_view("none") : std::string_view(r_.queue_at));
  }

  void stalls() {
    const auto& s = r_.stalls;
    const serve::distribution& gaps = r_.of(serve::metric::chunk_gap);
    const bool known = gaps.n != 0 || r_.of(serve::metric::itl).n != 0;
    const std::string_view why = gaps.missing.empty() ? std::string_view("no gaps were measured") : std::string_view(gaps.missing);
    const auto n = [&](std::uint64_t x) { return known ? std::optional<std::uint64_t>{x} : std::optional<std::uint64_t>{}; };
    figure("count", n(s.count), why), figure("requests", n(s.requests), why);
    figure("longest_ms", s.count != 0 ? std::optional<double>{s.longest_ms} : std::optional<double>{}, known ? std::string_view("no stall") : why);
    figure("share_of_decode_time", known ? std::optional<double>{s.share_of_decode_time} : std::optional<double>{}, why);
  }

  void client() {
    const auto& c = r_.client;
    constexpr std::string_view unmeasured = "the client stored no measurements of itself";
    w_.member("limited", c.limited), list("reasons", c.reasons);
    w_.key("loop_lag_ms");
    if (c.loop_lag_p50_ms || c.loop_lag_p99_ms || c.loop_lag_max_ms) {
      const std::string outer = at_;
      w_.object_begin(), at_ += "loop_lag_ms.";
      figure("p50", c.loop_lag_p50_ms, unmeasured), figure("p99", c.loop_lag_p99_ms, unmeasured), figure("max", c.loop_lag_max_ms, unmeasured);
      w_.object_end(), at_ = outer;
    } else {
      w_.null(), missing("client.loop_lag_ms", unmeasured);
    }
    figure("read_lag_p99_ms", c.read_lag_p99_ms, c.kernel_stamps ? unmeasured : std::string_view("no stamp came from the kernel"));
    figure("inexact_share", c.inexact_share), w_.member("kernel_stamps", c.kernel_stamps);
    figure("user_stamp_share", c.user_stamp_share), figure("cpu_share", c.cpu_share, unmeasured);
    figure("bytes_per_s", c.bytes_per_s), w_.member("receive_queue_max_bytes", c.receive_queue_max);
    w_.member("open_descriptors_max", c.open_descriptors_max), w_.member("late", c.late), w_.member("suspended_ms", c.suspended.ms());
  }

  // ---- the engine's own figures

  void bucketed(std::string_view name, const serve::bucketed& b) {
    if (!(b.n > 0)) {
      w_.key(name), w_.null();
      missing(at_ + std::string(name), b.missing.empty() ? "not told" : b.missing);
      return;
    }
    const std::string at = at_ + std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      line.member("n", tidy(b.n));
      line.key("mean");
      if (b.mean && __builtin_isfinite(*b.mean)) line.value(tidy(*b.mean));
      else line.null(), missing(at + "mean", b.missing.empty() ? "the engine's sum is not usable" : b.missing);
      for (std::size_t i = 0; i < b.quantile.size(); ++i)
        interval(line, serve::quantile_names[i], b.quantile[i], at + std::string(serve::quantile_names[i]), "above the last bucket's edge",
                 b.missing.empty() ? "the engine's buckets are not usable" : b.missing);
      if (b.reset) line.member("reset", true);
      line.object_end();
    });
  }

  void gauge(std::string_view name, const serve::engine_figures::gauge& g, double scale = 1) {
    if (g.n == 0) {
      w_.key(name), w_.null();
      missing(at_ + std::string(name), "not told");
      return;
    }
    const std::string at = at_ + std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      for (const auto& [key, v] : {std::pair<std::string_view, double>{"mean", g.mean}, {"max", g.max}}) {
        line.member(key, tidy(v * scale));
        if (!__builtin_isfinite(v)) missing(at + std::string(key), "not a finite number");
      }
      line.member("n", g.n);
      line.object_end();
    });
  }

  void engine(const serve::engine_figures& e) {
    bucketed("queue_ms", e.queue), bucketed("prefill_ms", e.prefill), bucketed("decode_ms", e.decode), bucketed("ttft_ms", e.ttft);
    bucketed("itl_ms", e.itl), bucketed("tpot_ms", e.tpot), bucketed("e2e_ms", e.e2e);
    gauge("kv_usage_pct", e.kv_usage, 100), gauge("running", e.running), gauge("waiting", e.waiting);
    figure("prefix_hit_rate", e.prefix_hit_rate, e.prefix_queries && *e.prefix_queries == 0 ? "no query within the interval" : "not told");
    const std::pair<std::string_view, const std::optional<double>*> counters[] = {
        {"prefix_hits", &e.prefix_hits}, {"prefix_queries", &e.prefix_queries}, {"preemptions", &e.preemptions}, {"prompt_tokens", &e.prompt_tokens},
        {"cached_prompt_tokens", &e.cached_prompt_tokens}, {"generation_tokens", &e.generation_tokens}, {"requests_finished", &e.requests_finished},
        {"tokens_per_step", &e.tokens_per_step}, {"spec_acceptance", &e.spec_acceptance}, {"kv_capacity_tokens", &e.kv_capacity_tokens}};
    for (const auto& [name, v] : counters) figure(name, *v, "not told");
    w_.member("reset", e.reset);
  }

  void server() {
    const serve::server_section& s = r_.server;
    w_.key("server");
    if (!s.missing.empty() || s.scrapes <= s.failed) {
      w_.null(), missing("server", s.missing.empty() ? "its metrics were not read" : s.missing);
      return;
    }
    w_.object_begin();
    at_ = "server.";
    const auto text = [&](std::string_view name, const std::string& v, std::string_view why) {
      figure(name, v.empty() ? std::optional<std::string>{} : std::optional<std::string>{v}, why);
    };
    text("engine", s.engine, "its metrics do not tell"), text("version", r_.run.engine_version, "the server did not say");
    w_.member("scrapes", s.scrapes), w_.member("failed", s.failed), w_.member("skipped", s.skipped);
    figure("begin_s", s.begin.s()), figure("end_s", s.end.s());
    w_.member("bracketed", s.bracketed);
    engine(s.all);
    w_.key("engines");
    w_.array_begin();
    for (std::size_t i = 0; i < s.engines.size(); ++i) {
      at_ = "server.engines[" + std::to_string(i) + "].";
      w_.object_begin(), w_.member("source", s.engines[i].source), engine(s.engines[i]), w_.object_end();
    }
    w_.array_end();
    at_ = "server.";
    list("problems", s.problems);
    const auto& o = s.over_time;
    w_.key("over_time");
    if (o.running.empty() && o.waiting.empty() && o.kv_usage.empty()) {
      w_.null(), missing("server.over_time", "too few scrapes for steps over time");
    } else {
      w_.object_begin(), at_ = "server.over_time.";
      figure("begin_s", o.begin.s()), figure("step_s", o.step.s());
      constexpr std::string_view why = "no scrape within this step told";
      steps("running", o.running, why), steps("waiting", o.waiting, why), steps("kv_usage", o.kv_usage, why);
      w_.object_end();
    }
    at_.clear();
    w_.object_end();
  }

  void steps(std::string_view name, const std::vector<double>& v, std::string_view why) {
    bool gaps = false;
    on_one_line(name, [&](json::writer& line) {
      line.array_begin();
      for (const double x : v) line.value(__builtin_nearbyint(x * 1e3) / 1e3), gaps = gaps || !__builtin_isfinite(x);
      line.array_end();
    });
    if (gaps) missing(at_ + std::string(name) + "[*]", why);
  }

  void over_time() {
    const serve::series& s = r_.over_time;
    w_.key("over_time");
    if (s.in_flight.empty()) {
      w_.null(), missing("over_time", "too little data for steps over time");
      return;
    }
    w_.object_begin();
    at_ = "over_time.";
    figure("begin_s", s.begin.s()), figure("step_s", s.step.s());
    steps("in_flight", s.in_flight, "not a finite number"), steps("output_tokens_per_s", s.output_tokens_per_s, "not a finite number");
    steps("ttft_p50_ms", s.ttft_p50_ms, "no request had its first content in this step");
    at_.clear();
    w_.object_end();
  }

  void checks() {
    w_.key("checks");
    w_.array_begin();
    for (std::size_t i = 0; i < r_.checks.size(); ++i) {
      const serve::check& c = r_.checks[i];
      at_ = "checks[" + std::to_string(i) + "].";
      const std::string_view why = c.why.empty() ? std::string_view("not applicable") : std::string_view(c.why);
      w_.object_begin();
      w_.member("name", c.name);
      figure("ok", c.ok, why), figure("left", c.left, why), figure("right", c.right, why);
      if (!c.why.empty()) w_.member("why", c.why);
      w_.object_end();
      at_.clear();
    }
    w_.array_end();
  }

  json::writer w_;
  const serve::report& r_;
  std::string at_;  // path of the open group, with its dot
  std::vector<std::pair<std::string, std::string>> missing_;
};

}  // namespace detail

HOTPATH_FN std::string json(const serve::report& r, int indent) {
  std::string out;
  detail::serve_json{out, indent, r}.write();
  return out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/live.hpp
// hotpath/report/live.hpp - a load while it goes on: what the client and the engine's scrapes tell, made into lines of a page. Pure: no terminal.
//
//     report::live_meter meter;
//     meter.describe("Qwen3-8B on vllm \u00B7 http://127.0.0.1:8000", plan);
//     client_options.on_progress = [&](const model::progress& p) {
//       meter.add(p);
//       screen.draw(report::live_page(meter.state(), {.width = 80}));    // report/terminal.hpp
//     };
//
//   "Now" is the last ten seconds; a latency that none of them has is the last one known, marked as old. TTFT counts when the first
//   content comes, so a long answer does not hide a slow start. A mark of a spark line is one second, from 0 to the largest shown.
//   Output tokens/s: content events of all requests times the tokens per event of those that have ended; before any has, events.
//   Memory: bounded, whatever the length of the run. Thread safety: none; add() of both kinds and state() need one lock around them
//   where they are called from several threads.
// ---- hotpath/report/live.hpp

namespace hotpath::inline HOTPATH_ABI::report {

// A figure and one mark per second (or scrape) of its past, the newest last; NaN: not known then.
struct live_figure {
  static constexpr std::size_t most = 240;
  std::optional<double> now;
  bool old = false;               // `now` is from before the last ten seconds
  std::vector<double> past;       // at most `most`
};

struct live_server {
  std::string missing = "its metrics are not read";  // why there is none; empty: what follows holds
  std::string engine;
  std::string trouble;            // why the last scrape brought nothing; empty: it did
  nanoseconds at{};               // of the last one that succeeded, since the run's origin
  live_figure running, waiting, kv_usage;  // requests; share of the KV blocks, the mean of several engines
  live_figure prefix_hit_rate;    // hits / queries of the last ten seconds
  live_figure preemptions;        // now: since the first scrape; past: per second
  live_figure tokens_per_s;       // generated, by the engine's counter
};

struct live_client {
  std::vector<std::string> limits;  // why it is the limit now; empty: it is not
  std::optional<double> loop_lag_p99_ms, cpu_share;
  double inexact_share = 0;
};

struct live_state {
  std::string title;              // shown as text of others: escapes in it do nothing
  model::schedule plan;
  model::progress at;             // the last snapshot
  live_figure in_flight, requests_per_s, output_per_s, ttft_p50_ms, ttft_p99_ms, tpot_p50_ms;
  bool output_is_events = false;  // output_per_s counts content events: no request has ended that tells tokens per event
  live_client client;
  live_server server;
};

class live_meter {
 public:
  // Before the first add(). The schedule's due times are not kept.
  void describe(std::string title, const model::schedule& plan);
  void add(const model::progress& p);
  // Each scrape, also failed ones.
  void add(const model::scrape& s);
  const live_state& state() const { return state_; }

 private:
  struct counters {
    nanoseconds at{};
    double queries = 0, hits = 0, preemptions = 0, tokens = 0;
    bool has_queries = false, has_preemptions = false, has_tokens = false;
  };
  void mark();
  live_state state_;
  std::deque<model::progress> window_;  // the last ten seconds
  model::progress marked_;        // as of the last whole second
  std::optional<double> last_output_;  // per second, in the last second that a thread has told of
  std::deque<counters> scrapes_;  // the last ten seconds, and one before
  double preempted_before_ = 0;   // since the first scrape, of engines that started anew meanwhile
  std::optional<double> first_preemptions_;
};

struct live_options {
  std::size_t width = 80;         // 40 and up; from 120 on the engine stands beside the client
  std::size_t height = 24;        // lines at most: what matters least is left out
  bool color = false, ascii = false;
};

// The page, at most `height` lines of at most `width` columns (colour codes not counted), without line ends.
std::vector<std::string> live_page(const live_state& s, const live_options& options = {});
// One plain line for a log: ASCII but for what the title holds, no colour, no cursor. "24/60 s  1,412 sent  16 in flight  0 errors  …".
std::string live_line(const live_state& s);

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/live-inl.hpp
// hotpath/report/live-inl.hpp - bodies of report/live.hpp
// ---- hotpath/report/live-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {
inline constexpr nanoseconds live_window{10'000'000'000};

inline void push(live_figure& f, double v) {
  if (f.past.size() == live_figure::most) f.past.erase(f.past.begin());
  f.past.push_back(v);
}
inline void keep(live_figure& f, std::optional<double> v) {
  f.old = !v && f.now;
  if (v) f.now = v;
}
}  // namespace detail

// ---- the client's side

HOTPATH_FN void live_meter::describe(std::string title, const model::schedule& plan) {
  state_.title = std::move(title);
  state_.plan = plan;
  state_.plan.due = {};
}

HOTPATH_FN void live_meter::add(const model::progress& p) {
  const model::progress before = state_.at;
  window_.push_back(p);
  while (window_.size() > 1 && p.elapsed - window_.front().elapsed > detail::live_window) window_.pop_front();
  while (window_.size() > 256) window_.pop_front();  // somebody shows it more often than five times a second
  state_.at = p;

  // Rates need a moment before the window: the snapshot that opens it, or the start.
  const model::progress start = window_.size() > 1 ? window_.front() : model::progress{};
  const double seconds = (p.elapsed - start.elapsed).s();
  state_.in_flight.now = static_cast<double>(p.in_flight);
  if (seconds > 0) detail::keep(state_.requests_per_s, static_cast<double>(p.finished - start.finished) / seconds);
  // Content events come once a second from each thread, with the time they stand for.
  const auto events_per_s = [&p](const model::progress& from) -> std::optional<double> {
    if (p.covered <= from.covered || p.threads == 0) return std::nullopt;
    return static_cast<double>(p.content_events - from.content_events) / ((p.covered - from.covered).s() / p.threads);
  };
  state_.output_is_events = p.output_tokens == 0 || p.output_events == 0;
  const double per_event = state_.output_is_events ? 1 : static_cast<double>(p.output_tokens) / static_cast<double>(p.output_events);
  if (const auto rate = events_per_s(start)) state_.output_per_s.now = *rate * per_event;
  if (const auto rate = events_per_s(before)) last_output_ = *rate * per_event;

  stats::sketch ttft, tpot, lag;
  const std::uint64_t judged = p.judged - start.judged, late = p.late - start.late;
  for (const model::progress& s : window_) ttft.merge(s.ttft_ms), tpot.merge(s.tpot_ms), lag.merge(s.loop_lag_ns);
  detail::keep(state_.ttft_p50_ms, ttft.quantile(0.5)), detail::keep(state_.ttft_p99_ms, ttft.quantile(0.99)), detail::keep(state_.tpot_p50_ms, tpot.quantile(0.5));

  // The rules of serve/checks over the last ten seconds.
  live_client& c = state_.client;
  if (p.cpu_share) c.cpu_share = p.cpu_share;
  if (auto ns = lag.quantile(0.99)) c.loop_lag_p99_ms = *ns / 1e6;
  const std::uint64_t events = p.content_events - start.content_events, inexact = p.inexact_events - start.inexact_events;
  c.inexact_share = events != 0 ? static_cast<double>(inexact) / static_cast<double>(events) : 0;
  c.limits.clear();
  if (judged != 0 && static_cast<double>(late) > 0.01 * static_cast<double>(judged))
    c.limits.push_back(words::percent(static_cast<double>(late) / static_cast<double>(judged)) + " of the requests left over 10 ms late");
  if (c.inexact_share > model::inexact_limit) c.limits.push_back(words::percent(c.inexact_share) + " of the events shared a read");
  if (p.hot > model::hot_limit) c.limits.push_back("a thread above 85 % of a core for " + words::fixed(p.hot.s(), 0) + " s");

  if (p.elapsed - marked_.elapsed >= nanoseconds{1'000'000'000}) mark();
}

// One mark of every spark line.
HOTPATH_FN void live_meter::mark() {
  const model::progress& p = state_.at;
  const double seconds = (p.elapsed - marked_.elapsed).s();
  stats::sketch ttft, tpot;
  for (const model::progress& s : window_)
    if (s.elapsed > marked_.elapsed) ttft.merge(s.ttft_ms), tpot.merge(s.tpot_ms);
  const auto or_nan = [](std::optional<double> v) { return v ? *v : __builtin_nan(""); };
  detail::push(state_.in_flight, static_cast<double>(p.in_flight));
  detail::push(state_.requests_per_s, static_cast<double>(p.finished - marked_.finished) / seconds);
  detail::push(state_.output_per_s, or_nan(last_output_));
  detail::push(state_.ttft_p50_ms, or_nan(ttft.quantile(0.5)));
  detail::push(state_.ttft_p99_ms, or_nan(ttft.quantile(0.99)));
  detail::push(state_.tpot_p50_ms, or_nan(tpot.quantile(0.5)));
  marked_ = p;
}

// ---- the engine's side

HOTPATH_FN void live_meter::add(const model::scrape& s) {
  live_server& v = state_.server;
  if (!s.ok()) {
    v.trouble = s.error;
    if (!v.missing.empty()) v.missing = s.error;
    return;
  }
  v.missing.clear(), v.trouble.clear();
  if (!s.engine.empty()) v.engine = s.engine;
  v.at = s.at();
  double running = 0, waiting = 0, kv = 0;
  std::size_t runs = 0, waits = 0, caches = 0;
  counters c;
  c.at = s.at();
  for (const model::metric_series& m : s.series) {
    if (!__builtin_isfinite(m.value)) continue;
    using metric = model::engine_metric;
    switch (m.what) {
      case metric::running: running += m.value, ++runs; break;
      case metric::waiting: waiting += m.value, ++waits; break;
      case metric::kv_usage: kv += m.value, ++caches; break;
      case metric::prefix_queries: c.queries += m.value, c.has_queries = true; break;
      case metric::prefix_hits: c.hits += m.value; break;
      case metric::preemptions: c.preemptions += m.value, c.has_preemptions = true; break;
      case metric::generation_tokens: c.tokens += m.value, c.has_tokens = true; break;
      default: break;
    }
  }
  const auto gauge = [](live_figure& f, double value, std::size_t n) {
    f.now = n != 0 ? std::optional<double>{value} : std::nullopt;
    detail::push(f, n != 0 ? value : __builtin_nan(""));
  };
  gauge(v.running, running, runs), gauge(v.waiting, waiting, waits), gauge(v.kv_usage, caches != 0 ? kv / static_cast<double>(caches) : 0, caches);

  // A counter that went backwards: the engine started anew, and counts from 0.
  const counters* last = scrapes_.empty() ? nullptr : &scrapes_.back();
  const bool anew = last != nullptr && (c.queries < last->queries || c.preemptions < last->preemptions || c.tokens < last->tokens);
  if (anew) preempted_before_ += last->preemptions - first_preemptions_.value_or(0), first_preemptions_ = 0;
  const double seconds = last != nullptr ? (c.at - last->at).s() : 0;
  const auto rate = [&](live_figure& f, bool known, double now, double then) {
    detail::push(f, known && last != nullptr && seconds > 0 ? (now - (anew ? 0 : then)) / seconds : __builtin_nan(""));
  };
  rate(v.preemptions, c.has_preemptions, c.preemptions, last != nullptr ? last->preemptions : 0);
  rate(v.tokens_per_s, c.has_tokens, c.tokens, last != nullptr ? last->tokens : 0);
  if (c.has_preemptions) {
    if (!first_preemptions_) first_preemptions_ = c.preemptions;
    v.preemptions.now = preempted_before_ + c.preemptions - *first_preemptions_;
  }
  if (anew) scrapes_.clear();
  scrapes_.push_back(c);
  while (scrapes_.size() > 2 && c.at - scrapes_[1].at >= detail::live_window) scrapes_.pop_front();
  while (scrapes_.size() > 64) scrapes_.pop_front();
  const counters& from = scrapes_.front();
  const double queries = c.queries - from.queries, span = (c.at - from.at).s();
  detail::keep(v.prefix_hit_rate, c.has_queries && queries > 0 ? std::optional<double>{(c.hits - from.hits) / queries} : std::nullopt);
  detail::push(v.prefix_hit_rate, v.prefix_hit_rate.old || !v.prefix_hit_rate.now ? __builtin_nan("") : *v.prefix_hit_rate.now);
  if (c.has_tokens && span > 0) v.tokens_per_s.now = (c.tokens - from.tokens) / span;
}

// ---- the page

namespace detail {

class live_writer {
 public:
  live_writer(const live_state& s, const live_options& o) : s_(s), o_(o), page_(o.width < 40 ? 40 : o.width, o.color, o.ascii), width_(page_.width()) {}

  std::vector<std::string> write() {
    head();
    counts();
    const bool two = width_ >= 120;
    const std::size_t half = two ? (width_ - 4) / 2 : width_;
    std::vector<std::string> left = block("Load", seconds_shown(s_.in_flight, half), load_rows(), half);
    std::vector<std::string> right = server(half);
    add("", 2);
    if (two) {
      for (std::size_t i = 0; i < left.size() || i < right.size(); ++i) {
        std::string line = i < left.size() ? left[i] : "";
        if (i < right.size()) line += std::string(half + 4 - visible_columns(line), ' ') + right[i];
        add(std::move(line), i == 0 ? 6 : 7);
      }
    } else {
      for (std::size_t i = 0; i < left.size(); ++i) add(std::move(left[i]), i == 0 ? 4 : i == 5 ? 3 : 7);
      for (std::size_t i = 0; i < right.size(); ++i) add(std::move(right[i]), i == 0 ? 5 : i > 4 ? 3 : 6);
    }
    client();
    while (lines_.size() > o_.height && lines_.size() > 1) drop();
    std::vector<std::string> out;
    for (weighted& l : lines_) out.push_back(std::move(l.text));
    return out;
  }

  // A line without its colour codes.
  static std::size_t visible_columns(std::string_view line) {
    std::string plain;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '\x1b') i = line.find('m', i);
      else plain += line[i];
    }
    return columns_of(plain);
  }

 private:
  struct weighted {
    std::string text;
    int weight;  // where the terminal is low, the lightest goes first
  };
  struct row {
    std::string_view label;
    std::string value, unit;
    const live_figure* figure;
    double scale = 1;  // of the figure in this unit
    style tone = style::plain;
  };

  void add(std::string t, int weight) { lines_.push_back({std::move(t), weight}); }
  void drop() {
    std::size_t lightest = 0;
    for (std::size_t i = 1; i < lines_.size(); ++i)
      if (lines_[i].weight <= lines_[lightest].weight) lightest = i;  // of equals the last
    lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(lightest));
  }
  std::string painted(style s, std::string_view t) const { return page_.paint(s, t); }
  static std::string blanks(std::size_t n) { return std::string(n, ' '); }
  std::string cut(std::string t, std::size_t columns) const {
    if (columns_of(t) <= columns) return t;
    const std::string_view more = page_.mark("\u2026", "...");
    std::string out;
    for (std::size_t i = 0, used = columns_of(more); i < t.size();) {
      const glyph g = glyph_at(t, i);
      if (used + g.columns > columns) break;
      out += t.substr(i, g.bytes), i += g.bytes, used += g.columns;
    }
    return out += more;
  }
  std::string between(std::string_view left, std::string_view right, style l, style r) const {
    const std::size_t a = columns_of(left), b = columns_of(right);
    return painted(l, left) + blanks(a + b < width_ ? width_ - a - b : 1) + painted(r, right);
  }

  // ---- title and how far it is
  void head() {
    const bool draining = s_.at.phase == "draining";
    const std::string phase = draining ? "draining" : "sending";
    add(between(cut(page_.clean(s_.title, 256), width_ - phase.size() - 2), phase, style::bold, draining ? style::warn : style::good), 8);
    const model::schedule& plan = s_.plan;
    double done = -1;
    std::string t = words::fixed(s_.at.elapsed.s(), 0);
    if (plan.max_duration) {
      t += " of " + words::fixed(plan.max_duration->s(), 0);
      done = plan.max_duration->ns > 0 ? s_.at.elapsed.s() / plan.max_duration->s() : 1;
    }
    t += " s";
    if (plan.max_requests) {
      const double share = static_cast<double>(s_.at.finished) / static_cast<double>(*plan.max_requests == 0 ? 1 : *plan.max_requests);
      if (share > done || !plan.max_duration) done = share;
      t = words::count(s_.at.finished) + " of " + words::count(*plan.max_requests) + (width_ >= 60 ? " requests, " : ", ") + t;
    }
    if (done > 1) done = 1;
    if (done < 0) return add(painted(style::dim, t), 9);
    // The sixth of a column counts: "━━╸──".
    const std::string percent = " " + blanks(done < 0.1 ? 2 : done < 1 ? 1 : 0) + words::fixed(__builtin_floor(done * 100), 0) + " %";
    const std::size_t words_width = columns_of(t) + 2 + columns_of(percent), room = width_ > words_width + 8 ? width_ - words_width : 8;
    const auto halves = static_cast<std::size_t>(done * static_cast<double>(room) * 2);
    std::string full, rest;
    for (std::size_t i = 0; i < halves / 2; ++i) full += page_.mark("\u2501", "#");
    if (halves % 2 != 0) full += page_.mark("\u2578", ".");
    for (std::size_t i = (halves + 1) / 2; i < room; ++i) rest += page_.mark("\u2500", "-");
    add(painted(style::spark, full) + painted(style::dim, rest) + "  " + painted(style::dim, t) + percent, 9);
  }

  void counts() {
    const model::progress& p = s_.at;
    std::vector<std::string> parts = {words::count(p.sent) + " sent", words::count(p.ok) + " ok"};
    if (p.waiting != 0) parts.push_back(words::count(p.waiting) + " waiting for a slot");
    const std::uint64_t cancelled = p.finished - p.ok - p.failed;
    if (p.failed == 0 && cancelled == 0) parts.push_back("no errors");
    std::string t;
    for (const std::string& s : parts)
      if (t.empty() || columns_of(t) + columns_of(page_.dot()) + columns_of(s) + 10 <= width_) t += (t.empty() ? "" : std::string(page_.dot())) + s;
    add("", 1);
    add(painted(style::dim, "requests  ") + t, 8);
    if (p.failed + cancelled == 0) return;
    std::string why = words::count(p.failed) + " failed" + (cancelled != 0 ? ", " + words::count(cancelled) + " cancelled" : "");
    if (const std::string list = error_list(p.errors); !list.empty()) why += ": " + list;
    add(painted(style::dim, "errors    ") + painted(style::bad, cut(why, width_ - 10)), 9);
  }

  // ---- rows with a past
  static std::string plain(double v) { return words::fixed(v, 0); }
  row figure(std::string_view label, const live_figure& f, std::string (*show)(double), std::string unit, double scale = 1) const {
    row r{label, f.now ? show(*f.now * scale) : std::string(page_.mark("\u2013", "-")), f.now ? std::move(unit) : "", &f, scale, f.old || !f.now ? style::dim : style::plain};
    return r;
  }
  row latency(std::string_view label, const live_figure& f) const {
    const bool seconds = f.now && *f.now >= 9999.5;
    return figure(label, f, words::grouped, seconds ? "s" : "ms", seconds ? 1e-3 : 1);
  }
  std::vector<row> load_rows() const {
    return {figure("in flight", s_.in_flight, plain, ""), figure("requests", s_.requests_per_s, words::grouped, "/s"),
            figure(s_.output_is_events ? "output events" : "output tokens", s_.output_per_s, words::grouped, "/s"), latency("TTFT p50", s_.ttft_p50_ms),
            latency("     p99", s_.ttft_p99_ms), latency("TPOT p50", s_.tpot_p50_ms)};
  }
  std::vector<row> server_rows() const {
    const live_server& v = s_.server;
    std::vector<row> rows;
    const auto known = [&](row r) {
      if (r.figure->now) rows.push_back(std::move(r));
    };
    known(figure("running", v.running, plain, "")), known(figure("waiting", v.waiting, plain, ""));
    row kv = figure("KV cache", v.kv_usage, percent, "%");
    if (v.kv_usage.now && *v.kv_usage.now >= 0.95) kv.tone = style::warn;
    known(std::move(kv)), known(figure("prefix hits", v.prefix_hit_rate, percent, "%"));
    row out = figure("preemptions", v.preemptions, plain, "");
    if (v.preemptions.now && *v.preemptions.now > 0) out.tone = style::warn;
    known(std::move(out)), known(figure("tokens", v.tokens_per_s, words::grouped, "/s"));
    return rows;
  }
  static std::string percent(double share) { return words::fixed(share * 100, 1); }

  static constexpr std::size_t label_columns = 14, value_columns = 9, unit_columns = 4, top_columns = 9;
  static std::size_t spark_columns(std::size_t width) {
    const std::size_t used = label_columns + value_columns + unit_columns;
    if (width >= used + top_columns + 16) return width - used - top_columns;
    return width >= used + 6 ? width - used : 0;
  }
  // A short run on a wide terminal: several columns for each mark, so that the run fills the room by its end.
  std::size_t columns_per_mark(std::size_t spark) const {
    const double planned = s_.plan.max_duration ? s_.plan.max_duration->s() : 60;
    const double marks = planned > s_.at.elapsed.s() ? planned : s_.at.elapsed.s();
    return marks >= 1 && static_cast<double>(spark) > 2 * marks ? static_cast<std::size_t>(static_cast<double>(spark) / marks) : 1;
  }
  std::string seconds_shown(const live_figure& f, std::size_t width) const {
    const std::size_t room = spark_columns(width) / columns_per_mark(spark_columns(width)), n = f.past.size() < room ? f.past.size() : room;
    return n == 0 ? "" : "last " + std::to_string(n) + " s";
  }

  std::vector<std::string> block(std::string_view title, std::string aside, const std::vector<row>& rows, std::size_t width, style tone = style::dim) const {
    std::vector<std::string> out;
    std::string rule;
    aside = cut(aside, width - columns_of(title) - 6);
    for (std::size_t used = columns_of(title) + 1 + (aside.empty() ? 0 : columns_of(aside) + 1); used < width; ++used) rule += page_.mark("\u2500", "-");
    out.push_back(painted(style::bold, title) + " " + painted(style::dim, rule) + (aside.empty() ? "" : " " + painted(tone, aside)));
    const std::size_t spark = spark_columns(width);
    const bool tops = spark != 0 && width >= label_columns + value_columns + unit_columns + top_columns + 16;
    for (const row& r : rows) {
      std::string line = painted(style::dim, r.label) + blanks(label_columns - columns_of(r.label));
      const std::size_t value = columns_of(r.value);
      line += blanks(value < value_columns ? value_columns - value : 0) + painted(r.tone, r.value) + " " + painted(style::dim, r.unit) + blanks(unit_columns - 1 - columns_of(r.unit));
      const std::vector<double>& past = r.figure->past;
      const std::size_t each = columns_per_mark(spark), n = past.size() < spark / each ? past.size() : spark / each;
      double top = 0;
      std::string marks;
      for (std::size_t i = past.size() - n; i < past.size(); ++i)
        if (__builtin_isfinite(past[i]) && past[i] > top) top = past[i];
      for (std::size_t i = past.size() - n; i < past.size(); ++i)
        for (std::size_t k = 0; k < each; ++k) marks += spark_mark(past[i], top, o_.ascii);
      line += painted(style::spark, marks);
      if (tops && top > 0) {
        const std::string t = r.unit == "%" ? words::fixed(top * 100, 0) + " %" : short_number(r.unit.empty() ? __builtin_floor(top + 0.5) : top * r.scale);
        line += blanks(spark - n * each) + painted(style::dim, blanks(top_columns > columns_of(t) ? top_columns - columns_of(t) : 1) + t);
      }
      while (line.ends_with(' ')) line.pop_back();
      out.push_back(std::move(line));
    }
    return out;
  }
  // At most 7 columns.
  static std::string short_number(double v) {
    if (v < 99.95) return v == __builtin_floor(v) ? words::fixed(v, 0) : words::fixed(v, v < 9.995 ? 2 : 1);
    return words::short_count(static_cast<std::uint64_t>(v < 1e18 ? v + 0.5 : 1e18));
  }

  std::vector<std::string> server(std::size_t width) const {
    const live_server& v = s_.server;
    if (!v.missing.empty()) {
      const std::string why = page_.clean(v.missing, 256);
      if (width_ >= 120) return {painted(style::bold, "Server"), painted(style::dim, cut(why, width))};
      return {"", painted(style::dim, cut("server    " + why, width))};
    }
    const std::string engine = v.engine.empty() ? "Server" : "Server, " + page_.clean(v.engine, 24);
    if (!v.trouble.empty()) return block(engine, page_.clean(v.trouble, 128), server_rows(), width, style::warn);
    return block(engine, "", server_rows(), width);
  }

  void client() {
    const live_client& c = s_.client;
    std::string t;
    const bool limited = !c.limits.empty();
    if (limited) {
      for (const std::string& why : c.limits) t += (t.empty() ? "is the limit: " : ", ") + why;
    } else {
      t = "keeps up";
      const auto part = [&](std::string s) {
        if (10 + columns_of(t) + columns_of(page_.dot()) + columns_of(s) <= width_) t += std::string(page_.dot()) + s;
      };
      if (c.cpu_share) part(words::percent(*c.cpu_share) + " of a core");
      if (c.loop_lag_p99_ms) part("loop lag p99 " + words::milliseconds(*c.loop_lag_p99_ms));
      part(words::percent(c.inexact_share) + " inexact");
    }
    add("", 1);
    add(painted(style::dim, "client    ") + painted(limited ? style::warn : style::plain, cut(t, width_ - 10)), limited ? 9 : 5);
  }

  const live_state& s_;
  const live_options o_;
  page page_;
  const std::size_t width_;
  std::vector<weighted> lines_;
};

}  // namespace detail

HOTPATH_FN std::vector<std::string> live_page(const live_state& s, const live_options& options) { return detail::live_writer{s, options}.write(); }

HOTPATH_FN std::string live_line(const live_state& s) {
  const model::progress& p = s.at;
  std::string out = words::fixed(p.elapsed.s(), 0);
  if (s.plan.max_duration) out += "/" + words::fixed(s.plan.max_duration->s(), 0);
  out += " s  " + words::count(p.sent) + " sent  " + words::count(p.in_flight) + " in flight  ";
  if (p.waiting != 0) out += words::count(p.waiting) + " waiting  ";
  out += words::count(p.failed, "error");
  const auto figure = [&](std::string_view before, const live_figure& f, std::string_view after, std::string (*show)(double)) {
    if (f.now) out += "  " + std::string(before) + show(*f.now) + std::string(after);
  };
  figure("", s.requests_per_s, " req/s", words::grouped);
  figure("", s.output_per_s, s.output_is_events ? " events/s" : " tok/s", words::grouped);
  figure("TTFT ", s.ttft_p50_ms, "", words::milliseconds), figure("TPOT ", s.tpot_p50_ms, "", words::milliseconds);
  if (s.server.missing.empty()) {
    const auto whole = [](double v) { return words::fixed(v, 0); };
    figure("server ", s.server.running, " running", whole), figure("", s.server.waiting, " waiting", whole), figure("KV ", s.server.kv_usage, "", words::percent);
    figure("hits ", s.server.prefix_hit_rate, "", words::percent);
    if (s.server.preemptions.now && *s.server.preemptions.now > 0) figure("", s.server.preemptions, " preempted", whole);
  }
  for (const std::string& why : s.client.limits) out += "  CLIENT LIMITED: " + why;
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/markdown.hpp
// hotpath/report/markdown.hpp - the serving report for an issue or a pull request: GitHub's Markdown, the same facts as the text.
//
//     std::fputs(report::markdown(r, {.gate = 0.99}).c_str(), stdout);
//
//   Verdict, reasons and findings; tables of latency, throughput and the engine's side; spark lines in a code block; checks; what is missing.
//   Text of the server or a file cannot leave its place: names stand in code spans, in sentences every character that Markdown or HTML
//   gives a meaning is escaped, control characters are written out, and nobody is mentioned and nothing linked by it.
//   Same report: same bytes. Thread safety: a pure function.
// ---- hotpath/report/markdown.hpp

namespace hotpath::inline HOTPATH_ABI::report {

std::string markdown(const serve::report& r, const judge_options& judge = {});

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/markdown-inl.hpp
// hotpath/report/markdown-inl.hpp - bodies of report/markdown.hpp
// ---- hotpath/report/markdown-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

// A sentence: whatever begins markup is escaped. '@' and '#' become mentions after rendering and "://" and "www." links, escaped or
// not: an empty comment parts them.
HOTPATH_FN std::string markdown_prose(std::string_view foreign, std::size_t max, bool) {
  const std::string plain = hotpath::text::printable(foreign, max);
  std::string out;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const char c = plain[i];
    if (c == '<') out += "&lt;";
    else if (c == '>') out += "&gt;";
    else if (c == '&') out += "&amp;";
    else if (c == '@' || (c == '#' && i + 1 < plain.size())) out += std::string(1, c) + "<!-- -->";
    else if (c == ':' && plain.compare(i, 3, "://") == 0) out += ":<!-- -->";
    else if (c == '.' && i >= 3 && hotpath::text::equal_ignoring_case(std::string_view(plain).substr(i - 3, 3), "www")) out += "<!-- -->.";
    else if (std::string_view("\\`*_{}[]|~$").find(c) != std::string_view::npos) out += '\\', out += c;
    else out += c;
  }
  return out;
}

// A name: a code span whose fence is longer than any run of backticks in it. Not for tables, where a '|' would end the cell.
HOTPATH_FN std::string markdown_name(std::string_view foreign, std::size_t max, bool) {
  std::string plain = hotpath::text::printable(foreign, max);
  if (plain.empty()) return plain;
  std::size_t longest = 0, run = 0;
  for (const char c : plain) longest = (run = c == '`' ? run + 1 : 0) > longest ? run : longest;
  const std::string fence(longest + 1, '`');
  if (plain.front() == '`' || plain.back() == '`' || plain.front() == ' ') plain = " " + plain + " ";
  return fence + plain + fence;
}

class serve_markdown {
 public:
  serve_markdown(const serve::report& r, const judge_options& judge) : r_(r), facts_(r, {.name = markdown_name, .prose = markdown_prose}), verdict_(report::judge(r, judge)) {}

  std::string write() {
    std::string word(verdict_.word());
    for (char& c : word) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c;
    out_ += "## " + word + std::string(r_.client.limited ? ", CLIENT LIMITED" : "");
    std::string figures;
    for (const std::string& f : facts_.headline()) figures += (figures.empty() ? "" : " \u00B7 ") + f;
    line(": " + (figures.empty() ? "no figures" : figures)), line();
    for (const std::string& reason : verdict_.reasons) line("- **" + markdown_prose(reason, 2048, false) + "**");
    for (const std::string& finding : r_.findings) line("- " + markdown_prose(finding, 2048, false));
    if (!verdict_.reasons.empty() || !r_.findings.empty()) line();
    list(facts_.about());
    heading("Requests"), list(facts_.requests());
    latency();
    rates();
    server();
    over_time();
    if (r_.requests.ok + r_.requests.failed != 0) heading("Client self-check: " + facts_.client_title().first), list(facts_.client());
    checks();
    if (const auto missing = facts_.missing(); !missing.empty()) heading("Missing"), list(missing);
    return std::move(out_);
  }

 private:
  void line(std::string_view t = {}) { out_ += page::spaced(t), out_ += '\n'; }
  void heading(std::string_view t) {
    if (!out_.ends_with("\n\n")) line();
    line("### " + std::string(t)), line();
  }
  void list(const std::vector<fact>& all) {
    for (const fact& f : all) line(f.label.empty() ? "  - " + f.text : "- **" + f.label + "** " + f.text);
  }
  template <class Cells>
  void row(const Cells& cells) {
    std::string t = "|";
    for (const auto& c : cells) t += " " + std::string(c) + " |";
    line(t);
  }
  // The first `left` columns are words, the others numbers.
  template <class Cells>
  void head(const Cells& cells, std::size_t left) {
    row(cells);
    std::string t = "|";
    for (std::size_t i = 0; i < std::size(cells); ++i) t += i < left ? " --- |" : " ---: |";
    line(t);
  }

  void latency() {
    bool any = false;
    for (const serve::distribution& d : r_.latency) any = any || d.n != 0;
    if (!any) return;
    heading("Latency of ok requests, with 95 % intervals");
    constexpr std::array<std::string_view, 8> columns = {"", "n", "mean", "p50", "p90", "p95", "p99", "max"};
    head(columns, 1);
    for (const facts::line& l : facts::latency_rows) {
      const serve::distribution& d = r_.of(l.m);
      if (d.n == 0 || (l.m == serve::metric::ttfo && facts_.same_ttfo())) continue;
      const facts::unit u = facts_.unit_of(d);
      const bool part = l.label.front() == ' ';
      std::vector<std::string> cells = {(part ? "&nbsp;&nbsp;" + std::string(l.label.substr(2)) : "**" + std::string(l.label) + "**") + ", " + std::string(u.name),
                                        words::count(d.n), facts::cell(d.mean * u.per_ms)};
      for (std::size_t i = 0; i < d.quantile.size(); ++i) cells.push_back(facts::cell(d.quantile[i] * u.per_ms) + " <sub>" + facts_.interval(d.ci[i], u.per_ms) + "</sub>");
      cells.push_back(facts::cell(d.max * u.per_ms));
      row(cells);
    }
    line();
    for (const std::string& note : facts_.footnotes()) line("<sub>" + note + "</sub>  ");
  }

  void rates() {
    const auto& t = r_.throughput;
    if (!t.requests_per_s && !t.output_tokens_per_s && !t.input_tokens_per_s && !r_.goodput.share) return;
    heading("Throughput" + (t.window.ns > 0 ? " over " + words::duration(t.window) : std::string()));
    const auto rate = [&](std::string_view label, const std::optional<serve::rate>& v) {
      if (v) line("- **" + std::string(label) + "** " + words::grouped(v->value) + " /s " + facts_.range(v->ci, words::grouped));
    };
    rate("requests", t.requests_per_s), rate("output tokens", t.output_tokens_per_s), rate("input tokens", t.input_tokens_per_s);
    if (r_.goodput.share && r_.goodput.per_s) rate("goodput", serve::rate{*r_.goodput.per_s, r_.goodput.per_s_ci});
    list(facts_.rates());
  }

  void server() {
    if (!facts_.has_server()) return;
    heading("Server: " + facts_.server_title());
    if (const auto table = facts_.server_latencies(); !table.empty()) {
      constexpr std::array<std::string_view, 6> columns = {"", "by", "n", "mean", "p50", "p99"};
      head(columns, 2);
      for (const server_latency& l : table) {
        const std::string_view source = l.source.substr(l.source.find_first_not_of(' '));
        row(std::vector<std::string>{"**" + std::string(l.label) + "**", source == l.source ? std::string(source) : "client, " + std::string(source), l.n,
                                     l.mean + (l.unit.empty() ? "" : " " + std::string(l.unit)), l.p50, l.p99});
      }
      line();
      line("<sub>engine: its own histograms; a quantile lies somewhere in the bucket shown. client: this run's arrivals.</sub>"), line();
    }
    list(facts_.server());
    const auto engines = facts_.server_engines();
    if (engines.empty()) return;
    line(), head(server_engine_head, 1);
    for (const server_engine& e : engines) row(e);
  }

  void over_time() {
    const auto all = facts_.over_time();
    if (all.empty()) return;
    constexpr std::size_t room = 100;  // what a code block shows without a scroll bar
    const std::size_t each = (all[0].values->size() + room - 1) / room;
    heading("Over time, one mark is " + words::duration(nanoseconds{r_.over_time.step.ns * static_cast<std::int64_t>(each)}));
    line("```text");
    for (const facts::steps& s : all) {
      const facts::spark_line l = facts::spark(*s.values, (s.values->size() + room - 1) / room, false);
      if (l.any) line(std::string(s.label) + std::string(16 - s.label.size(), ' ') + l.marks + "  0\u2013" + s.show(l.top));
    }
    line("```");
  }

  void checks() {
    if (r_.checks.empty()) return;
    heading("Checks");
    constexpr std::array<std::string_view, 3> columns = {"", "check", ""};
    head(columns, 3);
    for (const serve::check& c : r_.checks)
      row(std::array<std::string, 3>{!c.ok ? "n/a" : *c.ok ? "ok" : "**WRONG**", markdown_prose(c.name, 64, false), facts_.check_text(c)});
  }

  const serve::report& r_;
  const facts facts_;
  const verdict verdict_;
  std::string out_;
};

}  // namespace detail

HOTPATH_FN std::string markdown(const serve::report& r, const judge_options& judge) { return detail::serve_markdown{r, judge}.write(); }

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/terminal.hpp
// hotpath/report/terminal.hpp - a page that is drawn over itself at the end of a terminal, and leaves nothing behind.
//
//     report::screen screen{2};                      // stderr
//     if (screen.usable()) screen.draw(lines);       // in place of the page before, in one write
//     screen.clear();                                // gone; what is printed next stands where it began
//
//   The size is asked before each page, so a resize costs at most one: lines that the terminal wrapped meanwhile are counted as it
//   wraps them. The cursor is hidden while a page stands, and shown again by clear(), the destructor, and any signal that would end or
//   stop the process and that nobody else handles (those keep their default effect). After a stop (Ctrl-Z) the next page begins afresh.
//   Not usable: no terminal, or one that says it is dumb. One screen per process at a time. Thread safety: none but for signals.
// ---- hotpath/report/terminal.hpp

namespace hotpath::inline HOTPATH_ABI::report {

struct terminal_size {
  std::size_t columns = 80, rows = 24;
};
// Of the terminal behind the descriptor; what it does not tell is as it was in `otherwise`.
terminal_size size_of(int descriptor, terminal_size otherwise = {});

class screen {
 public:
  explicit screen(int descriptor);
  ~screen();
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;

  bool usable() const { return usable_; }
  terminal_size size() const { return size_of(descriptor_); }
  // Lines without line ends; colour codes (ESC [ … m) are the only controls in them. At most size().rows - 1 of them are drawn.
  void draw(const std::vector<std::string>& lines);
  void clear();

 private:
  void erase(std::string& out, std::size_t columns, std::size_t rows);
  int descriptor_;
  bool usable_ = false;
  std::vector<std::size_t> drawn_;  // columns of each line that stands
};

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/report/terminal-inl.hpp
// hotpath/report/terminal-inl.hpp - bodies of report/terminal.hpp
// ---- hotpath/report/terminal-inl.hpp

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

// What a signal handler may know: which terminal has its cursor hidden, and that the process was stopped meanwhile.
struct hidden_cursor {
  light_atomic<int> descriptor{-1};
  light_atomic<int> stopped{0};
};
inline hidden_cursor& the_cursor() {
  static hidden_cursor one;  // made before the first handler is set
  return one;
}
inline constexpr int cursor_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTSTP};

// Shows the cursor, then lets the signal do what it does by itself.
HOTPATH_FN void show_cursor_and_yield(int signal) {
  const int saved = errno;
  hidden_cursor& c = the_cursor();
  if (const int fd = c.descriptor.load_relaxed(); fd >= 0) {
    c.stopped.store_relaxed(1);
    [[maybe_unused]] const auto n = ::write(fd, "\x1b[?25h", 6);
  }
  struct sigaction ours {}, usual {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(signal, &usual, &ours);
  sigset_t one, before;
  sigemptyset(&one), sigaddset(&one, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, &before);  // here it ends the process, or stops it until SIGCONT
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::sigaction(signal, &ours, nullptr);
  errno = saved;
}

HOTPATH_FN void guard_cursor(bool on) {
  for (const int s : cursor_signals) {
    struct sigaction now {};
    ::sigaction(s, nullptr, &now);
    const bool ours = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == show_cursor_and_yield;
    const bool nobodys = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
    if (on ? !nobodys : !ours) continue;
    struct sigaction next {};
    next.sa_handler = on ? show_cursor_and_yield : SIG_DFL;
    next.sa_flags = SA_RESTART;
    sigemptyset(&next.sa_mask);
    ::sigaction(s, &next, nullptr);
  }
}

inline std::size_t columns_without_colour(std::string_view line) {
  std::string plain;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] != '\x1b') plain += line[i];
    else if ((i = line.find('m', i)) == std::string_view::npos) break;
  return columns_of(plain);
}

}  // namespace detail

HOTPATH_FN terminal_size size_of(int descriptor, terminal_size otherwise) {
  winsize w{};
  if (::ioctl(descriptor, TIOCGWINSZ, &w) != 0) return otherwise;
  return {w.ws_col != 0 ? w.ws_col : otherwise.columns, w.ws_row != 0 ? w.ws_row : otherwise.rows};
}

HOTPATH_FN screen::screen(int descriptor) : descriptor_(descriptor) {
  const char* const term = std::getenv("TERM");
  usable_ = ::isatty(descriptor) == 1 && term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

HOTPATH_FN screen::~screen() { clear(); }

// Back to where the page began, as the terminal shows it now: a line that is wider than it has become takes several rows.
HOTPATH_FN void screen::erase(std::string& out, std::size_t columns, std::size_t rows) {
  std::size_t up = 0;
  for (const std::size_t n : drawn_) up += n <= columns ? 1 : (n + columns - 1) / columns;
  if (up >= rows) up = rows > 0 ? rows - 1 : 0;
  out += '\r';
  if (up != 0) out += "\x1b[" + std::to_string(up) + "A";
  drawn_.clear();
}

HOTPATH_FN void screen::draw(const std::vector<std::string>& lines) {
  if (!usable_) return;
  const terminal_size now = size();
  std::string out;
  detail::hidden_cursor& c = detail::the_cursor();
  if (c.descriptor.load_relaxed() < 0) {
    c.descriptor.store_relaxed(descriptor_);
    detail::guard_cursor(true);
    out += "\x1b[?25l";
  } else if (c.stopped.load_relaxed() != 0) {  // others have written since; the page stays where it was
    out += "\x1b[?25l";
    drawn_.clear();
  }
  c.stopped.store_relaxed(0);
  erase(out, now.columns, now.rows);
  for (const std::string& line : lines) {
    if (drawn_.size() + 1 >= now.rows && !drawn_.empty()) break;
    out += "\x1b[2K" + line + "\r\n";  // erased first: after a full line the cursor is past its end, or on its last column
    drawn_.push_back(detail::columns_without_colour(line));
  }
  out += "\x1b[J";
  for (std::size_t done = 0; done < out.size();) {
    const ::ssize_t n = ::write(descriptor_, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

HOTPATH_FN void screen::clear() {
  detail::hidden_cursor& c = detail::the_cursor();
  if (!usable_ || c.descriptor.load_relaxed() != descriptor_) return;
  const terminal_size now = size();
  std::string out;
  erase(out, now.columns, now.rows);
  out += "\x1b[J\x1b[?25h";
  [[maybe_unused]] const auto n = ::write(descriptor_, out.data(), out.size());
  c.descriptor.store_relaxed(-1);
  detail::guard_cursor(false);
}

}  // namespace hotpath::inline HOTPATH_ABI::report
// ---- hotpath/run.hpp
// hotpath/run.hpp - records one measurement. The store is a type of its own: include <hotpath/run/store_sqlite.hpp> beside it.
// ---- hotpath/run/record.hpp
// hotpath/run/record.hpp - records one run: asks the server who it is, sends the load, keeps everything in a store.
//
//     auto done = run::record<run::store_sqlite>("today.db", {
//         .client = {.url = "http://127.0.0.1:8000"}, .traffic = "prompts.jsonl", .plan = replay::closed({.streams = 16, .requests = 200})});
//     if (!done) { std::fputs(done.error().message().c_str(), stderr); return 4; }
//
//   The server's own metrics are read once before the first request, every metrics_interval, and once after the last answer: what the
//   engine counted in between is this run's (and that of others who use it).
//   Store is a type: create(path, info, plan, options), add(request&&), add(interval), add(scrape&&), failed(), finish(info), lost().
//   Errors before the first request: the server cannot be reached or names no model, the workload is unreadable or empty, the
//   store cannot be written. After it nothing is an error: what went wrong is in the run.
// ---- hotpath/run/record.hpp

namespace hotpath::inline HOTPATH_ABI::run {

enum class prompt_ids : std::uint8_t { automatic, on, off };

struct record_options {
  replay::client_options client = {};     // body.model empty: the first of /v1/models
  std::string traffic = {};               // a JSONL file, or "synthetic:…"
  replay::api api = replay::api::automatic;
  replay::workload_options workload = {}; // prompt ids and API are set from the fields beside
  run::prompt_ids ids = prompt_ids::automatic;   // automatic: where the engine is known to take them; nothing is probed
  model::schedule plan = {};
  model::slo slo = {};
  std::string metrics_url = {};           // empty: the endpoint's /metrics, and where that does not serve /prometheus/metrics
  nanoseconds metrics_interval{1'000'000'000};  // 0: metrics are not read
  metrics::page_options metrics_page = {}; // whose names to expect
  std::vector<std::string> command_line = {};  // for the manifest; secrets already replaced
  std::uint64_t seed = 0;
  std::function<void(const model::run_info&)> on_start = {};  // once, before the first request
  std::function<void(const model::scrape&)> on_scrape = {};   // each, from the scraper's thread
};

struct recorded {
  model::run_info info;
  bool refused = false;                   // the server answered 401 or 403
  std::string moved_aside;                // where an earlier run of that name went; empty: there was none
};

// What the server says of itself. Errors: unreachable, refused (unreachable with the status), malformed, empty.
template <net::transport Transport = net::tcp>
result<replay::served_model> identify(const net::url& endpoint, std::span<const net::header> headers, nanoseconds within) {
  auto page = net::fetch<Transport>(endpoint, "/v1/models", headers, {.total = within, .body_limit = 1u << 20});
  if (!page) return page.error();
  const std::string source = endpoint.display() + "/v1/models";
  if (page->status != 200)
    return error{.code = errc::unreachable, .detail = "the server answered HTTP " + std::to_string(page->status), .source = source,
                 .hint = page->status == 401 || page->status == 403 ? "give a key with --api-key-env or --api-key-file" : "name the model with --model"};
  return replay::read_models(page->body, source);
}

// The version of the engine, where its server tells one; empty: not told. Never an error: nothing depends on it.
template <net::transport Transport = net::tcp>
std::string version_of(const net::url& endpoint, std::span<const net::header> headers, std::string_view engine, nanoseconds within) {
  const replay::version_place place = replay::version_place_of(engine);
  auto page = net::fetch<Transport>(endpoint, place.path, headers, {.total = within, .body_limit = 1u << 20});
  return page && page->status == 200 ? replay::text_member(page->body, place.member) : std::string();
}

template <class Store, net::transport Transport = net::tcp>
result<recorded> record(const std::string& path, record_options options, typename Store::options store_options = {}) {
  auto endpoint = net::parse_url(options.client.url);
  if (!endpoint) return endpoint.error();
  if (options.api == replay::api::automatic && endpoint->api == "chat") options.api = replay::api::chat;
  if (options.api == replay::api::automatic && endpoint->api == "completions") options.api = replay::api::completions;

  auto& body = options.client.body;
  replay::served_model served;
  served.id = body.model;
  if (auto who = identify<Transport>(*endpoint, options.client.headers, options.client.limits.connect)) {
    served = *who;
  } else if (body.model.empty() || who.error().code == errc::not_found) {
    return who.error();
  }
  if (body.model.empty()) body.model = served.id;
  const std::string version = version_of<Transport>(*endpoint, options.client.headers, served.engine, options.client.limits.connect);

  std::string metrics_url;
  metrics::scrape_options scrapes{.endpoint = options.client.url, .url = options.metrics_url, .interval = options.metrics_interval, .page = options.metrics_page};
  if (options.metrics_interval.ns > 0) {
    auto where = options.metrics_url.empty() ? *endpoint : net::parse_url(options.metrics_url);
    if (!where) return where.error();
    metrics_url = where->display();
    // A key for the endpoint is for nobody else.
    if (where->authority() == endpoint->authority() && where->socket_path == endpoint->socket_path) scrapes.headers = options.client.headers;
  }

  if (options.api != replay::api::automatic) options.workload.chat = options.api == replay::api::chat;
  options.workload.seed = options.seed;
  options.workload.prompt_ids = options.ids == prompt_ids::on || (options.ids == prompt_ids::automatic && served.takes_token_ids && options.api != replay::api::chat);
  options.workload.keep_text = options.client.keep_text;
  auto load = replay::workload::open(options.traffic, options.workload);
  if (!load) return load.error();

  // What can be known to fail is known before an earlier run is moved aside: an empty workload, too few descriptors.
  {
    auto peek = replay::workload::open(options.traffic, options.workload);
    if (!peek) return peek.error();
    replay::workload_item first;
    const auto any = peek->next(first);
    if (!any) return any.error();
    if (!*any) return replay::nothing_to_send(*peek);
  }
  if (auto fits = replay::preflight(options.plan, *endpoint); !fits) return fits.error();

  recorded r;
  auto aside = Store::move_aside(path);
  if (!aside) return aside.error();
  r.moved_aside = *aside;
  const auto manifest = [&](const replay::run_outcome& done) {
    model::run_info i = replay::describe(options.client, *load, options.plan, done);
    i.command_line = options.command_line;
    i.api = options.api != replay::api::automatic ? name_of(options.api) : options.traffic.starts_with("synthetic:") ? "completions" : "as each request says";
    i.engine = served.engine;
    i.engine_version = version;
    i.metrics_url = metrics_url;
    i.slo = options.slo;
    i.seed = options.seed;
    return i;
  };
  replay::run_outcome begun;
  begun.origin = monotonic_now();
  begun.wall_start = realtime_now();
  begun.state = model::run_state::running;
  store_options.store_text = options.client.keep_text;
  auto store = Store::create(path, manifest(begun), options.plan, store_options);
  if (!store) return store.error();
  if (options.on_start) options.on_start(manifest(begun));

  options.client.origin = begun.origin;
  metrics::scraper<Transport> engine{std::move(scrapes)};
  if (!metrics_url.empty())
    if (auto asked = engine.start(begun.origin, [&](model::scrape&& s) {
          if (options.on_scrape) options.on_scrape(s);
          store->add(std::move(s));
        }); !asked)
      return asked.error();
  replay::client<Transport> client{options.client};
  auto done = client.run(*load, options.plan, *store);
  engine.stop();
  if (!done) {
    begun.state = model::run_state::stopped;
    begun.stop_reason = done.error().message();
    if (auto closed = store->finish(manifest(begun)); !closed) return closed.error();
    return done.error();
  }
  r.refused = done->refused;
  r.info = manifest(*done);
  r.info.lost = store->lost();
  if (const auto failed = store->failed()) {
    r.info.state = model::run_state::stopped;
    r.info.stop_reason = "the results cannot be stored: " + failed->message();
  }
  if (auto finished = store->finish(r.info); !finished && r.info.stop_reason.empty()) {
    r.info.state = model::run_state::stopped;
    r.info.stop_reason = "the results cannot be stored: " + finished.error().message();
  }
  return r;
}

}  // namespace hotpath::inline HOTPATH_ABI::run
// ---- hotpath/serve.hpp
// hotpath/serve.hpp - from requests to figures one may trust: latencies with intervals, rates, goodput, stalls, checks of the
// books, and whether the client was the limit. What each figure means: serve/definitions.hpp and docs/statistics.md.
//
//     auto r = hotpath::serve::summarize(sent.requests, sent.run, sent.client);
//     const auto& ttft = r.of(hotpath::serve::metric::ttft);
//     std::printf("ttft p99 %.1f ms", ttft.quantile[3]);                          // ttft.n == 0: ttft.missing says why
//     if (ttft.ci[3] && ttft.ci[3]->hi) std::printf(" [%.1f, %.1f]", ttft.ci[3]->lo, *ttft.ci[3]->hi);
//     for (const std::string& s : r.findings) std::puts(s.c_str());
//
//   | header | what is in it |
//   | serve/definitions.hpp | the report, and every latency's definition |
//   | serve/summarize.hpp   | summarizer (streams), summarize (all at once) |
//   | serve/latency.hpp     | the latencies of one request, and whether it is good under limits |
//   | serve/throughput.hpp  | rates, goodput, requests in flight over time |
//   | serve/checks.hpp      | gate, conservation checks, the client's self-check |
//   | serve/findings.hpp    | the sentences |
//   An analyzer: it reads no file, opens no socket, prints nothing.
// ---- hotpath/serve/checks.hpp
// hotpath/serve/checks.hpp - what the report checks about itself (S9), about the client (S8), and about a gate.
//   A violated identity is a finding with both numbers, never silently repaired; a check that cannot be made says why.
//
//     requests              positions handed out = ok + failed + cancelled + in flight
//     in_flight_integral    integral of requests in flight = sum of each request's time in the window, to the nanosecond
//     littles_law           L = lambda W between first and last start, within 2 %; needs 100 x L requests
//     usage_covers_chunks   completion tokens of usage >= content events: an event holds a token or more
//     planned_prompt_tokens token-id prompts: usage's prompt tokens = planned ones, within 0.5 % or one token per request
// ---- hotpath/serve/throughput.hpp
// hotpath/serve/throughput.hpp - rates, goodput, and requests in flight over time.
//   The window is [first start after the warm-up, last end of any request that is not of it]: failed ones count, or a server that
//   died half way would look as fast as before. A rate's interval resamples requests with the time up to the next start; the
//   tail after the last start is common to all resamples, and where it is more than half of the window there is no interval.
//   In flight: from the intended start to the end; at the server: from the first byte sent to the end. Warm-up requests that
//   reach into the window are in flight in it.
// ---- hotpath/serve/throughput.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

// Sums over fixed steps from the run's origin, for runs of any length in bounded memory: 10 ms steps that double as the run
// grows, so that there are at most 240.
class step_sums {
 public:
  void add(std::int64_t at, double amount) {
    if (at < begin_ || at >= end_) find(at);
    sums_[current_] += amount;
  }
  std::int64_t step() const { return step_; }
  double sum(std::size_t i) const { return i < sums_.size() ? sums_[i] : 0; }
  static constexpr std::size_t most = 240;
  // Steps of at least this run's length fit into `most`.
  void cover(std::int64_t at);

 private:
  void find(std::int64_t at);
  std::array<double, most> sums_{};
  std::int64_t step_ = 10'000'000;
  std::int64_t begin_ = 0, end_ = 0;  // of the step added to last
  std::size_t current_ = 0;
};

window window_of(const ordered_rows& rows);

// Integral of the requests in flight over the window, in request-nanoseconds, by two roads that share no code: a sweep over sorted
// starts and ends, and the sum of each request's time. Equal to the nanosecond, or the books are wrong (S9).
__extension__ typedef __int128 wide;
struct in_flight_integral {
  wide swept = 0, summed = 0, at_server = 0;
  std::uint64_t most = 0;  // at any moment
};
in_flight_integral integrate(std::span<const row> all, const window& w);

// Requests at the server, and their median service ttft, over each third of the time in which requests were started.
struct thirds {
  double at_server[3] = {}, service_ttft[3] = {};
  std::uint64_t n = 0;  // requests with a service ttft; below 30 there is no verdict
  bool growing() const;
};
thirds thirds_of(const ordered_rows& rows, const window& w);

void fill_throughput(report& out, const ordered_rows& rows, const window& w, const stats::bootstrap_options& options);
void fill_steady(report& out, std::span<const row> all, const ordered_rows& rows);
void fill_concurrency(report& out, const in_flight_integral& i, const window& w);
void fill_series(report& out, std::span<const row> all, step_sums tokens);

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/throughput-inl.hpp
// hotpath/serve/throughput-inl.hpp - bodies of serve/throughput.hpp.
// ---- hotpath/serve/throughput-inl.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

HOTPATH_FN void step_sums::cover(std::int64_t at) {
  while (at / step_ >= static_cast<std::int64_t>(most)) {
    for (std::size_t i = 0; i < most / 2; ++i) sums_[i] = sums_[2 * i] + sums_[2 * i + 1];
    std::fill(sums_.begin() + most / 2, sums_.end(), 0.0);
    step_ *= 2;
    begin_ = end_ = 0;
  }
}

HOTPATH_FN void step_sums::find(std::int64_t at) {
  if (at < 0) at = 0;  // before the run's origin: a clock's fault, kept in the first step
  cover(at);
  current_ = static_cast<std::size_t>(at / step_);
  begin_ = static_cast<std::int64_t>(current_) * step_;
  end_ = begin_ + step_;
}

HOTPATH_FN window window_of(const ordered_rows& rows) {
  window w;
  if (rows.empty()) return w;
  w.begin = w.end = rows.front()->intended;
  w.last_start = rows.back()->intended;
  for (const row* r : rows)
    if (r->end != no_time) w.end = (std::max)(w.end, r->end);
  return w;
}

HOTPATH_FN in_flight_integral integrate(std::span<const row> all, const window& w) {
  in_flight_integral out;
  std::vector<std::int64_t> starts, ends;
  starts.reserve(all.size());
  ends.reserve(all.size());
  const auto clipped = [&](std::int64_t t) { return std::clamp(t, w.begin, w.end); };
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    const std::int64_t end = r.end == no_time ? w.end : r.end;
    starts.push_back(clipped(r.intended));
    ends.push_back(clipped(end));
    out.summed += (std::max<std::int64_t>)(clipped(end) - clipped(r.intended), 0);
    if (r.sent != no_time) out.at_server += (std::max<std::int64_t>)(clipped(end) - clipped(r.sent), 0);
  }
  std::sort(starts.begin(), starts.end());
  std::sort(ends.begin(), ends.end());
  // Between two events the level is constant; of events at one moment ends come first: intervals are half-open.
  std::int64_t now = w.begin, level = 0;
  std::size_t s = 0, e = 0;
  while (e < ends.size()) {
    const bool start = s < starts.size() && starts[s] < ends[e];
    const std::int64_t at = start ? starts[s] : ends[e];
    out.swept += wide{level} * (at - now);
    now = at;
    if (start) ++s, ++level;
    else ++e, --level;
    out.most = (std::max)(out.most, static_cast<std::uint64_t>((std::max<std::int64_t>)(level, 0)));
  }
  return out;
}

HOTPATH_FN bool thirds::growing() const {
  // Both, because each alone has a harmless cause: the ramp-up of a short run, and a server that is slow but keeps up.
  const auto up = [](const double (&v)[3]) { return v[0] < v[1] && v[1] < v[2] && v[2] >= 1.5 * v[0]; };
  return n >= 30 && up(at_server) && up(service_ttft);
}

HOTPATH_FN thirds thirds_of(const ordered_rows& rows, const window& w) {
  thirds out;
  const std::int64_t span = w.last_start - w.begin;
  if (span < 3) return out;
  std::vector<double> waits[3];
  for (const row* r : rows) {
    const std::int64_t end = r->end == no_time ? w.end : r->end;
    for (int t = 0; t < 3; ++t) {
      const std::int64_t from = w.begin + span / 3 * t, to = w.begin + span / 3 * (t + 1);
      if (r->sent != no_time) out.at_server[t] += static_cast<double>((std::max<std::int64_t>)((std::min)(end, to) - (std::max)(r->sent, from), 0));
    }
    const double wait = r->of(metric::service_ttft);
    if (r->ok() && wait == wait) {
      waits[(std::min<std::int64_t>)((r->intended - w.begin) / (span / 3), 2)].push_back(wait);
      ++out.n;
    }
  }
  for (int t = 0; t < 3; ++t) {
    out.at_server[t] /= static_cast<double>(span / 3);
    std::sort(waits[t].begin(), waits[t].end());
    out.service_ttft[t] = stats::quantile(waits[t], 0.5).value_or(0);
  }
  return out;
}

inline std::optional<bounds> bounds_of(const std::optional<stats::interval>& i) {  // of a rate: widened for few blocks it may reach below 0
  return i ? std::optional<bounds>{bounds{(std::max)(i->lo, 0.0), i->hi}} : std::nullopt;
}

inline void fill_goodput(report& out, const ordered_rows& rows, const window& w) {
  auto& g = out.goodput;
  const model::slo& limits = out.run.slo;
  if (!limits) {
    g.missing = "no limits were set (--slo)";
    return;
  }
  bool tokens = false;
  for (const row* r : rows) {
    if (r->status == model::request_status::ok || r->status == model::request_status::failed) ++g.total;
    if (within(*r, limits)) ++g.good;
    tokens = tokens || (r->ok() && (r->one_token || r->of(metric::tpot) == r->of(metric::tpot)));
  }
  if (g.total == 0) g.missing = "no request finished";
  else if (limits.tpot && !tokens && out.requests.ok != 0) g.missing = "a limit on tpot needs token counts, and the server sent no usage";
  if (!g.missing.empty()) return;
  g.share = static_cast<double>(g.good) / static_cast<double>(g.total);
  if (w.length() > 0) g.per_s = static_cast<double>(g.good) / (static_cast<double>(w.length()) / 1e9);
}

HOTPATH_FN void fill_throughput(report& out, const ordered_rows& rows, const window& w, const stats::bootstrap_options& options) {
  fill_goodput(out, rows, w);
  auto& t = out.throughput;
  t.window = nanoseconds{w.length()};
  std::uint64_t ok = 0;
  for (const row* r : rows) ok += r->ok() ? 1u : 0u;
  if (ok == 0) t.missing = "no request succeeded";
  else if (w.length() <= 0) t.missing = "the window from the first start to the last end is empty";
  if (rows.empty()) return;

  const std::size_t n = rows.size();
  std::vector<double> time(n), done(n), output(n), input(n), good(n), total(n);
  double outputs = 0, inputs = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const row& r = *rows[i];
    time[i] = static_cast<double>((i + 1 < n ? rows[i + 1]->intended : r.intended) - r.intended) / 1e9;
    done[i] = r.ok() ? 1 : 0;
    output[i] = r.ok() ? r.completion_tokens : 0;
    input[i] = r.ok() ? r.prompt_tokens : 0;
    good[i] = within(r, out.run.slo) ? 1 : 0;
    total[i] = r.status == model::request_status::ok || r.status == model::request_status::failed ? 1 : 0;
    outputs += output[i];
    inputs += input[i];
  }
  const std::int64_t tail = w.end - w.last_start;
  const double tail_s = static_cast<double>(tail) / 1e9, window_s = static_cast<double>(w.length()) / 1e9;
  const stats::ratio ratios[] = {{done, time, tail_s}, {output, time, tail_s}, {input, time, tail_s}, {good, time, tail_s}, {good, total, 0}};
  const std::size_t used = out.goodput.share ? 5 : 3;
  auto ci = stats::bootstrap_ratios({ratios, used}, options);
  ci.resize(5);
  const bool steady = 2 * tail <= w.length();  // else the end decides the rate, and one run has one end
  if (t.missing.empty()) {
    const auto rate_of = [&](double sum, std::size_t k) { return rate{sum / window_s, steady ? bounds_of(ci[k]) : std::nullopt}; };
    t.requests_per_s = rate_of(static_cast<double>(ok), 0);
    if (out.tokens.completion) t.output_tokens_per_s = rate_of(outputs, 1);
    if (out.tokens.prompt) t.input_tokens_per_s = rate_of(inputs, 2);
  }
  auto& g = out.goodput;
  if (!g.share || !ci[4]) return;
  // Each end at least as far out as Wilson's interval: all good is no proof of 100 %.
  const stats::interval wilson = stats::wilson(g.good, g.total);
  g.share_ci = bounds{(std::min)((std::max)(ci[4]->lo, 0.0), wilson.lo), (std::max)((std::min)(*ci[4]->hi, 1.0), *wilson.hi)};
  if (g.per_s && ci[3] && steady) {
    const double per_share = static_cast<double>(g.total) / window_s;
    g.per_s_ci = bounds{(std::min)((std::max)(ci[3]->lo, 0.0), wilson.lo * per_share), (std::max)(*ci[3]->hi, *wilson.hi * per_share)};
  }
}

// Rates and occupancy of [cut, last arrival]. A request's tokens count by the share of its content that fell into the window.
HOTPATH_FN void fill_steady(report& out, std::span<const row> all, const ordered_rows& rows) {
  auto& s = out.steady;
  std::vector<double> e2e;
  std::vector<const row*> of;
  for (const row* r : rows)
    if (const double v = r->of(metric::e2e); r->ok() && v == v) e2e.push_back(v), of.push_back(r);
  const auto cut = stats::mser5(e2e);
  if (!cut) s.missing = "fewer than 50 requests succeeded";
  else if (!cut->steady) s.missing = "no steady state found: latencies still drift in the second half of the run";
  if (!s.missing.empty()) return;
  const window w{of[cut->units]->intended, rows.back()->intended, rows.back()->intended};
  s.cut = static_cast<std::uint64_t>(std::find(rows.begin(), rows.end(), of[cut->units]) - rows.begin());
  s.begin = nanoseconds{w.begin}, s.end = nanoseconds{w.end};
  if (w.length() <= 0) {
    s.missing = "all requests arrived at one moment";
    return;
  }
  const double seconds = static_cast<double>(w.length()) / 1e9;
  double tokens = 0;
  std::uint64_t ended = 0;
  bool known = false;
  for (const row* r : rows) {
    if (!r->ok()) continue;
    if (r->end > w.begin && r->end <= w.end) ++ended;
    if (!r->has_completion || r->first_content == no_time) continue;
    known = true;
    const std::int64_t first = r->first_content, last = (std::max)(r->intended + static_cast<std::int64_t>(r->of(metric::e2e)), first);
    const std::int64_t inside = (std::min)(last, w.end) - (std::max)(first, w.begin);
    if (last == first) tokens += first > w.begin && first <= w.end ? r->completion_tokens : 0;
    else if (inside > 0) tokens += r->completion_tokens * static_cast<double>(inside) / static_cast<double>(last - first);
  }
  s.requests_per_s = static_cast<double>(ended) / seconds;
  if (known) s.output_tokens_per_s = tokens / seconds;
  s.in_flight = static_cast<double>(integrate(all, w).summed) / static_cast<double>(w.length());
}

HOTPATH_FN void fill_concurrency(report& out, const in_flight_integral& i, const window& w) {
  if (w.length() <= 0) return;
  const double length = static_cast<double>(w.length());
  out.concurrency.mean = static_cast<double>(i.summed) / length;
  out.concurrency.max = static_cast<double>(i.most);
  out.concurrency.at_server = static_cast<double>(i.at_server) / length;
}

HOTPATH_FN void fill_series(report& out, std::span<const row> all, step_sums tokens) {
  std::int64_t first = (std::numeric_limits<std::int64_t>::max)(), last = (std::numeric_limits<std::int64_t>::min)();
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    first = (std::min)(first, r.intended);
    last = (std::max)({last, r.intended, r.end});
  }
  if (first > last) return;
  tokens.cover(last);
  series& s = out.over_time;
  const std::int64_t step = tokens.step(), begin = (std::max<std::int64_t>)(first, 0) / step;
  const auto n = static_cast<std::size_t>((std::max<std::int64_t>)(last, 0) / step - begin + 1);
  s.begin = nanoseconds{begin * step};
  s.step = nanoseconds{step};
  s.in_flight.assign(n, 0.0);
  s.ttft_p50_ms.assign(n, no_value);
  for (std::size_t i = 0; i < n; ++i)
    s.output_tokens_per_s.push_back(tokens.sum(static_cast<std::size_t>(begin) + i) / s.step.s());

  // In flight: changes of slope at both ends of a request; the parts of its first and last step are corrected there.
  std::vector<double> change(n + 2);
  const auto edge = [&](std::int64_t at, double sign) {
    const std::int64_t t = (std::max<std::int64_t>)(at - s.begin.ns, 0);
    const auto i = static_cast<std::size_t>((std::min<std::int64_t>)(t / step, static_cast<std::int64_t>(n)));
    const double within_step = static_cast<double>(t % step) / static_cast<double>(step);
    change[i] += sign * (1 - within_step);
    change[i + 1] += sign * within_step;
  };
  std::vector<std::pair<std::uint32_t, double>> firsts;
  for (const row& r : all) {
    if (r.intended == no_time) continue;
    edge(r.intended, 1);
    if (r.end != no_time) edge((std::max)(r.end, r.intended), -1);
    const double ttft = r.of(metric::ttft);
    const std::int64_t at = r.first_content - s.begin.ns;
    if (r.ok() && ttft == ttft && r.first_content != no_time && at >= 0 && at / step < static_cast<std::int64_t>(n))
      firsts.emplace_back(static_cast<std::uint32_t>(at / step), ttft);
  }
  double level = 0;
  for (std::size_t i = 0; i < n; ++i) {
    level += change[i];
    s.in_flight[i] = (std::max)(level, 0.0);
  }
  std::sort(firsts.begin(), firsts.end());
  std::vector<double> here;
  for (std::size_t i = 0; i < firsts.size();) {
    const std::uint32_t bucket = firsts[i].first;
    here.clear();
    for (; i < firsts.size() && firsts[i].first == bucket; ++i) here.push_back(firsts[i].second);
    s.ttft_p50_ms[bucket] = *stats::quantile(here, 0.5) / 1e6;
  }
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/checks.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

// Whether the wanted share of requests met every limit. missed: the upper end of goodput.share_ci is below it; met: the lower end
// is not; else, and without limits or an interval, undecided. The ends are the wider of Wilson's interval and the block
// bootstrap's. why: if given, a sentence with the numbers.
enum class verdict : std::uint8_t { met, missed, undecided };
verdict gate(const report& r, double share, std::string* why = nullptr);

namespace detail {

// Sums of the client's measurements of itself, one row per thread and second, in any order across threads.
class client_meter {
 public:
  void add(const model::client_interval& i);
  // dispatch_ns: of every request that was sent, sorted. events: from the chunk logs, used where no interval tells.
  struct log_counts {
    std::uint64_t events = 0, user = 0, inexact = 0;
  };
  void fill(report& out, std::span<const double> dispatch_ns, const log_counts& logs) const;

 private:
  struct thread {
    std::uint32_t id = 0;
    std::int64_t cpu = 0, wall = 0;
    std::int64_t hot = 0, longest_hot = 0;  // time on end above 85 % of a core
    double hot_cpu = 0, longest_hot_cpu = 0;
    std::uint64_t queue = 0, descriptors = 0;
  };
  std::vector<thread> threads_;  // by id
  stats::sketch loop_lag_, read_lag_;
  std::uint64_t bytes_ = 0, events_ = 0, inexact_ = 0;
  std::int64_t begin_ = 0, end_ = 0, suspended_ = 0;
  bool any_ = false;
};

struct token_books {
  std::uint64_t usage = 0, events = 0, contradictions = 0, answers = 0;  // ok requests with usage
  std::uint64_t planned = 0, prompt = 0, prompts = 0;                    // ok requests with a planned prompt and usage
  std::uint64_t finished = 0, counted = 0;                               // ok requests, warm-up too; those with usage
  double all_prompt = 0, all_completion = 0;                             // tokens of the latter
};

void check_books(report& out, std::span<const row> all, const ordered_rows& rows, const window& w, const in_flight_integral& i,
                 const token_books& tokens, std::uint64_t rows_seen);

// S9, server: what the engine counted over the run against what the client saw. After out.server.
void check_server(report& out, const token_books& tokens);

}  // namespace detail
}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/checks-inl.hpp
// hotpath/serve/checks-inl.hpp - bodies of serve/checks.hpp.
// ---- hotpath/serve/detail/say.hpp
// hotpath/serve/detail/say.hpp - numbers inside sentences, alike in every locale.
// ---- hotpath/serve/detail/say.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

inline std::string fixed(double v, int decimals) {
  char out[400];  // the longest double has 309 digits before the point
  const auto r = std::to_chars(out, out + sizeof out, v, std::chars_format::fixed, decimals);
  return std::string(out, r.ptr);
}
// Three digits that count: 0.123, 1.23, 12.3, 1234.
inline std::string number(double v) {
  const double size = v < 0 ? -v : v;
  return fixed(v, size < 0.9995 ? 3 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}
inline std::string percent(double share) { return number(share * 100) + " %"; }
inline std::string milliseconds(double ms) { return ms < 9999.5 ? number(ms) + " ms" : number(ms / 1000) + " s"; }
// "1 request", "12 requests".
inline std::string count(std::uint64_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/checks-inl.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

HOTPATH_FN verdict gate(const report& r, double share, std::string* why) {
  const auto& g = r.goodput;
  verdict v = verdict::undecided;
  std::string text;
  if (!g.share || !g.share_ci) {
    text = g.missing.empty() ? "too few requests for an interval" : g.missing;
  } else {
    if (g.share_ci->hi && *g.share_ci->hi < share) v = verdict::missed;
    else if (g.share_ci->lo >= share) v = verdict::met;
    const stats::interval wilson = stats::wilson(g.good, g.total);
    const bool lo = g.share_ci->lo < wilson.lo, hi = g.share_ci->hi && *g.share_ci->hi > *wilson.hi;
    text = std::to_string(g.good) + " of " + detail::count(g.total, "request") + " within the limits: " + detail::percent(*g.share) + " [" +
           detail::number(g.share_ci->lo * 100) + ", " + (g.share_ci->hi ? detail::number(*g.share_ci->hi * 100) : "unknown") + "] (95 %, " +
           (lo && hi ? "moving blocks" : lo || hi ? "the wider of Wilson and moving blocks" : "Wilson") + ") against " + detail::percent(share);
  }
  if (why != nullptr) *why = text + (v == verdict::met ? ": met" : v == verdict::missed ? ": missed" : ": undecided");
  return v;
}

namespace detail {

HOTPATH_FN void client_meter::add(const model::client_interval& i) {
  const auto bound = [](nanoseconds t) { return std::clamp(t.ns, std::int64_t{0}, std::int64_t{1} << 60); };
  const std::int64_t begin = bound(i.begin), end = (std::max)(bound(i.end), begin), wall = end - begin, cpu = bound(i.cpu);
  auto it = std::lower_bound(threads_.begin(), threads_.end(), i.thread, [](const thread& t, std::uint32_t id) { return t.id < id; });
  if (it == threads_.end() || it->id != i.thread) {
    it = threads_.insert(it, thread{});
    it->id = i.thread;
  }
  it->cpu += cpu;
  it->wall += wall;
  if (static_cast<double>(cpu) > model::hot_share * static_cast<double>(wall)) {
    it->hot += wall;
    it->hot_cpu += static_cast<double>(cpu);
    if (it->hot > it->longest_hot) it->longest_hot = it->hot, it->longest_hot_cpu = it->hot_cpu;
  } else {
    it->hot = 0;
    it->hot_cpu = 0;
  }
  it->queue = (std::max)(it->queue, i.receive_queue_max);
  it->descriptors = (std::max<std::uint64_t>)(it->descriptors, i.open_descriptors);
  begin_ = any_ ? (std::min)(begin_, begin) : begin;
  end_ = any_ ? (std::max)(end_, end) : end;
  any_ = true;
  bytes_ += i.bytes_received;
  events_ += i.content_events;
  inexact_ += (std::min)(i.inexact_events, i.content_events);
  suspended_ = (std::max)(suspended_, bound(i.suspended));
  loop_lag_.merge(i.loop_lag_ns);
  read_lag_.merge(i.read_lag_ns);
}

HOTPATH_FN void client_meter::fill(report& out, std::span<const double> dispatch_ns, const log_counts& logs) const {
  auto& c = out.client;
  const auto ms = [](std::optional<double> ns) { return ns ? std::optional<double>{*ns / 1e6} : std::nullopt; };
  if (!loop_lag_.empty()) {
    c.loop_lag_p50_ms = ms(loop_lag_.quantile(0.5));
    c.loop_lag_p99_ms = ms(loop_lag_.quantile(0.99));
    c.loop_lag_max_ms = (loop_lag_.max)() / 1e6;
  }
  c.read_lag_p99_ms = ms(read_lag_.quantile(0.99));
  c.kernel_stamps = logs.user == 0;
  c.user_stamp_share = logs.events != 0 ? static_cast<double>(logs.user) / static_cast<double>(logs.events) : 0;
  // Below one stamp in a hundred the loop's clock cannot move a p99; above, its lag is part of what was measured.
  const bool user_clock = c.user_stamp_share > 0.01;
  // The client's own count knows which events shared a read with nothing but the end of their answer. With the loop's clock
  // every event is inexact to it; then two events with one stamp tell.
  if (events_ != 0 && !user_clock) c.inexact_share = static_cast<double>(inexact_) / static_cast<double>(events_);
  else if (logs.events != 0) c.inexact_share = static_cast<double>(logs.inexact) / static_cast<double>(logs.events);
  const thread* hottest = nullptr;
  const thread* busiest = nullptr;
  const auto share = [](const thread& t) { return t.wall > 0 ? static_cast<double>(t.cpu) / static_cast<double>(t.wall) : 0; };
  for (const thread& t : threads_) {
    if (hottest == nullptr || t.longest_hot > hottest->longest_hot) hottest = &t;
    if (busiest == nullptr || share(t) > share(*busiest)) busiest = &t;
    c.receive_queue_max = (std::max)(c.receive_queue_max, t.queue);
    c.open_descriptors_max += t.descriptors;
  }
  if (busiest != nullptr && busiest->wall > 0) c.cpu_share = share(*busiest);
  if (any_ && end_ > begin_) c.bytes_per_s = static_cast<double>(bytes_) / (static_cast<double>(end_ - begin_) / 1e9);
  c.suspended = nanoseconds{suspended_};
  constexpr double late_ns = static_cast<double>(model::late_after.ns);
  const auto late = std::upper_bound(dispatch_ns.begin(), dispatch_ns.end(), late_ns);
  c.late = static_cast<std::uint64_t>(dispatch_ns.end() - late);

  const auto dispatch_p99 = stats::quantile(dispatch_ns, 0.99);
  if (dispatch_p99 && *dispatch_p99 > late_ns)
    c.reasons.push_back("requests left late: dispatch delay p99 was " + milliseconds(*dispatch_p99 / 1e6) + " (limit 10 ms), " +
                        std::to_string(c.late) + " of " + std::to_string(dispatch_ns.size()) + " were over it");
  if (c.inexact_share > model::inexact_limit)
    c.reasons.push_back(percent(c.inexact_share) + " of the content events shared a read with a later one (limit 5 %): the client read too late to time them");
  if (hottest != nullptr && hottest->longest_hot > model::hot_limit.ns)
    c.reasons.push_back("client thread " + std::to_string(hottest->id) + " used " +
                        percent(hottest->longest_hot_cpu / static_cast<double>(hottest->longest_hot)) + " of a core for " +
                        number(static_cast<double>(hottest->longest_hot) / 1e9) + " s on end (limit 85 % for 5 s)");
  if (user_clock && c.loop_lag_p99_ms) {
    const distribution& ttft = out.of(metric::ttft);
    const double limit = (std::max)(2.0, ttft.n != 0 ? 0.01 * ttft.quantile[0] : 0);
    if (*c.loop_lag_p99_ms > limit)
      c.reasons.push_back("the client's loop lagged, and " + percent(c.user_stamp_share) + " of the stamps are its own: lag p99 was " +
                          milliseconds(*c.loop_lag_p99_ms) + " (limit " + milliseconds(limit) + ")");
  }
  c.limited = !c.reasons.empty();
}

HOTPATH_FN void check_books(report& out, std::span<const row> all, const ordered_rows& rows, const window& w, const in_flight_integral& i,
                            const token_books& tokens, std::uint64_t rows_seen) {
  const auto& q = out.requests;
  const auto add = [&](std::string name, std::optional<bool> ok, double left, double right, std::string why) {
    out.checks.push_back({std::move(name), ok, left, right, std::move(why)});
  };
  const double sent = static_cast<double>(q.sent), accounted = static_cast<double>(q.ok + q.failed + q.cancelled + q.in_flight);
  if (rows_seen == 0) add("requests", std::nullopt, 0, 0, "no request was recorded");
  else if (out.run.state == model::run_state::running && q.sent != rows_seen)
    add("requests", std::nullopt, sent, accounted, "the run was cut off: requests in flight at that moment have no row");
  else add("requests", q.sent == q.ok + q.failed + q.cancelled + q.in_flight, sent, accounted,
           "positions handed out = ok + failed + cancelled + in flight");

  if (w.length() <= 0) add("in_flight_integral", std::nullopt, 0, 0, "no request ended after the first start");
  else add("in_flight_integral", i.swept == i.summed, static_cast<double>(i.swept) / 1e9, static_cast<double>(i.summed) / 1e9,
           "integral of requests in flight = sum of each request's time in the window, in request-seconds, compared in nanoseconds");

  // Little's law on the part with arrivals: between the first and the last start.
  const window steady{w.begin, w.last_start, w.last_start};
  if (steady.length() <= 0) {
    add("littles_law", std::nullopt, 0, 0, "all requests started at one moment");
  } else {
    const double length = static_cast<double>(steady.length());
    const double in_flight = static_cast<double>(integrate(all, steady).summed) / length;
    double time = 0, n = 0;
    for (const row* r : rows) {
      if (r->end == no_time || r->intended >= w.last_start) continue;
      time += static_cast<double>((std::max<std::int64_t>)(r->end - r->intended, 0));
      ++n;
    }
    if (n < 100 * in_flight) {
      add("littles_law", std::nullopt, in_flight, n > 0 ? time / length : 0,
          count(static_cast<std::uint64_t>(n), "request") + " are too few for " + number(in_flight) + " in flight: the edges weigh too much below 100 times as many");
    } else {
      const double product = time / length;  // lambda W = (n / length) (time / n)
      add("littles_law", in_flight > 0 && __builtin_fabs(in_flight - product) <= 0.02 * in_flight, in_flight, product,
          "requests in flight = arrivals per second x mean time, within 2 %");
    }
  }

  if (tokens.answers == 0) add("usage_covers_chunks", std::nullopt, 0, 0, q.ok == 0 ? "no request succeeded" : "the server sent no usage");
  else add("usage_covers_chunks", tokens.contradictions == 0, static_cast<double>(tokens.usage), static_cast<double>(tokens.events),
           tokens.contradictions == 0 ? "completion tokens of usage >= content events"
                                      : "completion tokens of usage < content events in " + count(tokens.contradictions, "answer"));

  const double planned = static_cast<double>(tokens.planned), told = static_cast<double>(tokens.prompt);
  if (tokens.prompts == 0) add("planned_prompt_tokens", std::nullopt, 0, 0, "the workload plans no prompt lengths, or the server sent no usage");
  else if (out.run.prompt_lengths != "token ids")
    add("planned_prompt_tokens", std::nullopt, planned, told, "planned lengths are approximate (" + (out.run.prompt_lengths.empty() ? std::string("words") : out.run.prompt_lengths) + ")");
  else add("planned_prompt_tokens", __builtin_fabs(told - planned) <= (std::max)(0.005 * planned, static_cast<double>(tokens.prompts)), planned, told,
           "planned prompt tokens = usage's, within 0.5 % or one token per request");
}

HOTPATH_FN void check_server(report& out, const token_books& tokens) {
  const server_section& s = out.server;
  const auto& q = out.requests;
  const auto compare = [&](std::string name, const std::optional<double>& theirs, double ours) {
    check c{.name = std::move(name), .ok = std::nullopt, .left = theirs.value_or(0), .right = ours, .why = {}};
    if (!s.missing.empty()) c.why = "the server's metrics were not read: " + s.missing;
    else if (!theirs) c.why = "the engine does not tell";
    else if (s.all.reset) c.why = "the engine started anew during the run";
    else if (!s.bracketed) c.why = "the scrapes do not enclose the run";
    else if (q.failed + q.cancelled + q.in_flight != 0) c.why = "of requests that did not succeed the client does not know what the engine counted";
    else if (tokens.finished == 0) c.why = "no request succeeded";
    else if (tokens.counted != tokens.finished && c.name != "server_requests") c.why = "the server sent no usage for some requests";
    else {
      c.ok = __builtin_fabs(c.left - c.right) <= 0.005 * (std::max)(c.left, c.right);
      c.why = "counted by the engine = seen by the client, within 0.5 %";
      if (!*c.ok) c.why += c.left > c.right ? "; other traffic on this server?" : "; the engine counts late, or otherwise";
    }
    out.checks.push_back(std::move(c));
  };
  compare("server_requests", s.all.requests_finished, static_cast<double>(tokens.finished));
  compare("server_prompt_tokens", s.all.prompt_tokens, tokens.all_prompt);
  compare("server_generation_tokens", s.all.generation_tokens, tokens.all_completion);
}

}  // namespace detail
}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/findings.hpp
// hotpath/serve/findings.hpp - what a person should know before trusting or acting on a report, most important first.
//   One short sentence each, with its numbers; not what fields of the report say (how the run ended, how many requests failed, what
//   was lost, that the client was the limit). Order: nothing to show, failures, books that do not balance, missing usage, where
//   requests queued, closed loop, cycled workload, stalls, unknown intervals.
// ---- hotpath/serve/findings.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

// Where requests waited: "cap" when more than half of ttft was the wait for a slot, "server" when an open loop's backlog grew.
std::string queue_of(const report& r, const thirds& t);
void fill_findings(report& out, const thirds& t);

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/findings-inl.hpp
// hotpath/serve/findings-inl.hpp - bodies of serve/findings.hpp.
// ---- hotpath/serve/findings-inl.hpp

namespace hotpath::inline HOTPATH_ABI::serve::detail {

HOTPATH_FN std::string queue_of(const report& r, const thirds& t) {
  if (!r.run.plan.open()) return {};
  const distribution &wait = r.of(metric::slot_wait), &ttft = r.of(metric::ttft);
  if (wait.n != 0 && ttft.n != 0 && wait.mean > 0.5 * ttft.mean) return "cap";
  return t.growing() ? "server" : "";
}

// "idle_timeout 2, reset 1", most frequent first.
inline std::string errors_of(const report& r) {
  auto left = r.requests.errors;
  std::string out;
  for (;;) {
    std::size_t most = 1;
    for (std::size_t i = 1; i < left.size(); ++i)
      if (left[i] > left[most]) most = i;
    if (left[most] == 0) return out.empty() ? "no class" : out;
    out += (out.empty() ? "" : ", ") + std::string(model::error_class_names[most]) + " " + std::to_string(left[most]);
    left[most] = 0;
  }
}

inline void say_intervals(report& out) {
  // One sentence for all metrics: the levels whose upper bound is unknown at the smallest n that matters.
  const distribution& d = out.of(metric::ttft).n != 0 ? out.of(metric::ttft) : out.of(metric::e2e);
  if (d.n == 0 || out.bootstrap_resamples == 0) return;
  std::string levels;
  std::uint64_t needed = 0;
  for (std::size_t i = 0; i < quantile_levels.size(); ++i) {
    if (d.ci[i] && d.ci[i]->hi) continue;
    levels += (levels.empty() ? "" : ", ") + std::string(quantile_names[i]);
    needed = stats::smallest_n(quantile_levels[i]);
  }
  if (levels.empty()) return;
  if (needed < stats::minimum_units) needed = stats::minimum_units;
  out.findings.push_back(count(d.n, "request") + " are too few for an upper bound of " + levels + ": " + std::to_string(needed) + " are needed");
}

HOTPATH_FN void fill_findings(report& out, const thirds& t) {
  const auto& q = out.requests;
  const auto say = [&](std::string s) { out.findings.push_back(std::move(s)); };
  const std::uint64_t bad = q.failed + q.cancelled;
  if (q.sent == 0) say("no request was sent");
  else if (q.ok == 0)
    say("no request succeeded" + (bad == 0 ? ": " + count(q.in_flight, "request") + " still in flight" : ": " + errors_of(out)) +
        (q.first_error.empty() ? "" : "; first error: " + q.first_error));
  else if (q.ok != 0 && out.of(metric::ttft).missing == "every successful request was warm-up") say("every successful request was warm-up: nothing is left to measure");

  if (out.client.suspended.ns > 0)
    say("the client did not run at all for " + milliseconds(out.client.suspended.ms()) + " (stopped, or the machine slept): latencies around it are too long");

  if (q.ok != 0 && q.failed + q.cancelled != 0) {
    say("requests that failed or were cancelled are in no latency" + (q.first_error.empty() ? "" : "; first error: " + q.first_error));
    if (const auto cut = q.errors[static_cast<std::size_t>(model::error_class::truncated)]; cut != 0)
      say(count(cut, "answer") + " ended without [DONE] and finish reason: truncated by the server or a proxy");
  }
  for (const check& c : out.checks)
    if (c.ok && !*c.ok) say("the books do not balance: " + c.name + " is " + number(c.left) + " against " + number(c.right) + " (" + c.why + ")");

  if (q.ok != 0 && out.tokens.source == "chunks")
    say("the server sent no usage: tokens are content events, a lower bound, and there is no tpot");
  else if (out.tokens.without_usage != 0 && q.ok != 0)
    say(count(out.tokens.without_usage, "answer") + " came without usage: token totals are a lower bound");
  if (out.tokens.suspect != 0) say("usage contradicts itself in " + count(out.tokens.suspect, "answer") + ": they are in no tpot");
  if (out.tokens.planned_prompt_error && __builtin_fabs(*out.tokens.planned_prompt_error) > 0.05)
    say("prompts were " + percent(__builtin_fabs(*out.tokens.planned_prompt_error)) + (*out.tokens.planned_prompt_error > 0 ? " longer" : " shorter") + " than planned, in the server's tokens");

  if (out.queue_at == "cap")
    say("requests queued at the cap of " + std::to_string(out.run.plan.max_in_flight) + " in flight: " + milliseconds(out.of(metric::slot_wait).mean) + " of the mean ttft of " +
        milliseconds(out.of(metric::ttft).mean) + " was the wait for a slot");
  else if (out.queue_at == "server")
    say("requests queued at the server, and the queue grew: " + number(t.at_server[0]) + " there in the first third, " + number(t.at_server[2]) +
        " in the last; service ttft p50 from " + milliseconds(t.service_ttft[0] / 1e6) + " to " + milliseconds(t.service_ttft[2] / 1e6));
  if (out.run.unsent != 0) say(count(out.run.unsent, "request") + " were due but never sent: the run ended while they waited for a slot");
  if (!out.run.plan.open() && q.sent != 0) say("closed loop: latency under overload is understated");
  if (out.run.workload_passes > 1)
    say("the workload was cycled: " + std::to_string(out.run.workload_passes) + " passes over " + count(out.run.workload_rows, "row"));
  if (out.stalls.count != 0)
    say(count(out.stalls.count, "stall") + " in " + count(out.stalls.requests, "answer") + ", the longest " + milliseconds(out.stalls.longest_ms) + ": " +
        percent(out.stalls.share_of_decode_time) + " of the decode time");
  say_intervals(out);
}

}  // namespace hotpath::inline HOTPATH_ABI::serve::detail
// ---- hotpath/serve/summarize.hpp
// hotpath/serve/summarize.hpp - requests in, one report out.
//
//     serve::summarizer s{{.seed = 7}};
//     for (const model::request& r : requests) s.add(r);        // in any order, as they finish
//     for (const model::client_interval& i : client) s.add(i);  // of one thread in order
//     for (const model::scrape& page : pages) s.add(page);      // what the engine said of itself, in the order of time
//     serve::report report = s.finish(run);                     // as often as wanted: a view of what came so far
//
//   Memory: 136 bytes per request and 4 per gap between content events (2 more where the server tells the tokens of each event).
//   finish() needs up to 300 bytes per request more while it works, the report itself at most 30 KiB. Stamps are used within
//   +-36 years of the origin, tokens of one event up to 65,535. Thread safety: as any value.
//   No data is no error: the report says what is missing and why.
// ---- hotpath/serve/server.hpp
// hotpath/serve/server.hpp - scrapes in, what the engine said of itself over the run out.
//
//     serve::server_fold fold;
//     for (const model::scrape& s : scrapes) fold.add(s);                              // in the order of time, failed ones too
//     serve::server_section server = fold.finish({.first = first_sent, .last = last_end});
//     serve::server_section between = serve::difference(earlier, later);               // of two pages
//
//   Counters and histograms: last scrape minus first. A value that went backwards, or a beginning (`created`) that moved: the
//   engine started anew, and all of it counts from 0 at that restart; `reset` says so. A series that the first scrape did not have
//   counts from 0 if it says that it began later than anything on the first page, else from where it appeared, which is a problem.
//   Gauges: the mean over the scrapes of the load, each standing for half the time to its neighbours, never across a failed scrape.
//   Quantiles: the bucket they lie in; buckets whose edges changed between scrapes have none. Formulas: core/buckets.hpp.
//   Memory: per series its first and last value, 1,024 steps of time; nothing grows with the number of scrapes.
// ---- hotpath/serve/server.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

// The run that the scrapes belong to, since its origin.
struct server_window {
  nanoseconds first{}, last{};       // first request sent, last one ended; both 0: not known, and nothing is bracketed
  nanoseconds begin{}, step{};       // of over_time: serve::report's own; step 0: steps of the fold's choice
  std::size_t steps = 0;
};

class server_fold {
 public:
  void add(const model::scrape& s);
  // As often as wanted: a view of what came so far.
  server_section finish(const server_window& window = {}) const;

 private:
  // A counter or histogram of one engine, from where it counts to where it is.
  struct total {
    model::engine_metric what{};
    std::string source = {}, name = {};
    buckets::histogram base = {}, now = {};     // of a counter: only `count`
    std::optional<nanoseconds> created = {};    // as last told
    nanoseconds since{};                        // of the scrape from which it counts
    std::uint64_t from = 0, seen = 0;           // the scrape from which it counts, and the last that had it; from 1
    bool reset = false, late = false;           // late: not on the first page, and not new either
  };
  // A gauge over time: the mean of segments between neighbours; without any, of the values.
  struct gauge_fold {
    double weighted = 0, seconds = 0, sum = 0, last = 0, most = 0;
    std::uint64_t n = 0, seen = 0;
    nanoseconds at{};
    void add(double v, nanoseconds when, std::uint64_t scrape, bool connected);
    engine_figures::gauge figures() const;
  };
  struct level {                                // gauges of one engine, or of all together
    std::string source = {};
    std::array<gauge_fold, 3> load = {}, any = {};  // running, waiting, kv_usage; of the scrapes during the load, and of all
    std::optional<double> blocks = {}, block_tokens = {};
  };
  struct cell {
    std::array<double, 3> sum{};
    std::array<std::uint32_t, 3> n{};
  };

  total* find(const model::metric_series& m);
  void add_totals(const model::scrape& s);
  void add_gauges(const model::scrape& s);
  void add_step(nanoseconds at, std::size_t which, double v);
  void fill(engine_figures& out, const std::string* source, std::vector<std::string>& problems) const;
  bucketed latency(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const;
  std::optional<buckets::difference> interval(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const;
  void fill_capacity(engine_figures& out, const std::string* source) const;
  void fill_steps(server_section& out, const server_window& window) const;
  void problem(const std::string& text);

  static constexpr std::size_t most_totals = 4096, most_levels = 256, most_cells = 1024, most_problems = 64;
  std::vector<total> totals_;
  std::vector<level> levels_;
  level all_;
  std::vector<cell> cells_;
  std::int64_t step_ = 10'000'000;              // ns; doubles as the run grows
  std::string engine_, first_error_;
  std::vector<std::string> problems_;
  std::uint64_t scrapes_ = 0, ok_ = 0, failed_ = 0, skipped_ = 0, last_ok_ = 0;
  std::array<std::size_t, 3> tell_{};           // how many engines told a gauge, at most
  nanoseconds begin_{}, end_{};                 // midpoints of the first and last that succeeded
  nanoseconds first_end_{}, last_begin_{};      // the values of the first are not younger, of the last not older
  std::optional<nanoseconds> newest_;           // beginning on the first page
  bool first_whole_ = false;                    // nothing of it was lost
};

// A histogram of one page, in seconds: all that its engine has counted since it started.
bucketed since_start(const model::metric_series& m);
// Of two pages: `later` minus `earlier`, gauges over both.
server_section difference(const model::scrape& earlier, const model::scrape& later);

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/server-inl.hpp
// hotpath/serve/server-inl.hpp - bodies of serve/server.hpp.
// ---- hotpath/serve/server-inl.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

namespace detail {

inline constexpr std::array<model::engine_metric, 3> folded_gauges = {model::engine_metric::running, model::engine_metric::waiting,
                                                                      model::engine_metric::kv_usage};

inline buckets::histogram cumulative_of(const model::metric_series& m) {
  buckets::histogram h;
  h.count = m.value, h.sum = m.sum;
  for (const model::bucket& b : m.buckets) h.upper.push_back(b.upper), h.cumulative.push_back(b.cumulative);
  return h;
}
// A latency of a histogram in seconds.
inline bucketed bucketed_of(const buckets::histogram& h) {
  bucketed out;
  out.n = h.count;
  if (h.sum && h.count > 0) out.mean = *h.sum / h.count * 1000;
  for (std::size_t i = 0; i < quantile_levels.size(); ++i)
    if (const auto q = buckets::quantile_of(h, quantile_levels[i])) out.quantile[i] = bounds{.lo = q->lower * 1000, .hi = q->upper ? std::optional{*q->upper * 1000} : std::nullopt};
  return out;
}
// The same edges with nothing in them.
inline buckets::histogram empty_of(buckets::histogram h) {
  h.count = 0, h.sum = 0.0;
  std::fill(h.cumulative.begin(), h.cumulative.end(), 0.0);
  return h;
}

// "engine=2" before "engine=10".
inline bool natural_less(const std::string& a, const std::string& b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    if (digit(a[i]) && digit(b[k])) {
      std::size_t x = i, y = k;
      while (x < a.size() && digit(a[x])) ++x;
      while (y < b.size() && digit(b[y])) ++y;
      if (x - i != y - k) return x - i < y - k;
      const int c = a.compare(i, x - i, b, k, y - k);
      if (c != 0) return c < 0;
      i = x, k = y;
    } else {
      if (a[i] != b[k]) return a[i] < b[k];
      ++i, ++k;
    }
  }
  return a.size() - i < b.size() - k;
}

inline std::string title_of(model::engine_metric what, const std::string& source) {
  return std::string(model::facts_of(what).name) + (source.empty() ? "" : " (" + source + ")");
}

}  // namespace detail

// ---- intake ---------------------------------------------------------------------------------------------------------------

HOTPATH_FN void server_fold::problem(const std::string& text) {
  if (problems_.size() < most_problems && std::find(problems_.begin(), problems_.end(), text) == problems_.end()) problems_.push_back(text);
}

HOTPATH_FN void server_fold::add(const model::scrape& s) {
  ++scrapes_;
  skipped_ += s.skipped;
  if (!s.ok()) {
    ++failed_;
    if (first_error_.empty()) first_error_ = s.error;
    return;
  }
  ++ok_;
  for (const std::string& p : s.problems) problem(p);
  if (!s.engine.empty()) {
    if (!engine_.empty() && engine_ != s.engine) problem("the engine changed from " + engine_ + " to " + s.engine);
    engine_ = s.engine;
  }
  if (ok_ == 1) {
    begin_ = s.at(), first_end_ = s.end;
    first_whole_ = !s.lost;
    for (const model::metric_series& m : s.series)
      if (m.created && (!newest_ || *m.created > *newest_)) newest_ = m.created;
  }
  end_ = s.at(), last_begin_ = s.begin, last_ok_ = scrapes_;
  add_totals(s);
  add_gauges(s);
}

HOTPATH_FN server_fold::total* server_fold::find(const model::metric_series& m) {
  for (total& t : totals_)
    if (t.what == m.what && t.source == m.source) return &t;
  return nullptr;
}

HOTPATH_FN void server_fold::add_totals(const model::scrape& s) {
  // First who began anew: one series that went backwards speaks for all of its engine, but those that say they did not.
  constexpr nanoseconds same_moment{1'000'000};  // a double holds seconds since 1970 to 0.3 us
  const auto moved = [&](const total& t, const model::metric_series& m) { return t.created && m.created && *m.created > *t.created + same_moment; };
  const auto stayed = [&](const total& t, const model::metric_series& m) { return t.created && m.created && !moved(t, m); };
  std::vector<std::string> restarted;
  std::vector<std::pair<const model::metric_series*, std::size_t>> pairs;  // of this page and of totals_; most: new
  constexpr std::size_t is_new = (std::numeric_limits<std::size_t>::max)();
  for (const model::metric_series& m : s.series) {
    if (model::facts_of(m.what).kind == model::metric_kind::gauge) continue;
    total* const t = find(m);
    pairs.emplace_back(&m, t == nullptr ? is_new : static_cast<std::size_t>(t - totals_.data()));
    if (t == nullptr) continue;
    const bool backwards = m.value < t->now.count || buckets::subtract(detail::cumulative_of(m), t->now).reset;
    if ((backwards || moved(*t, m)) && std::find(restarted.begin(), restarted.end(), m.source) == restarted.end()) restarted.push_back(m.source);
  }
  const auto has_restarted = [&](const std::string& source) { return std::find(restarted.begin(), restarted.end(), source) != restarted.end(); };
  for (const auto& [m, at] : pairs) {
    buckets::histogram now = detail::cumulative_of(*m);
    if (at == is_new) {
      if (totals_.size() == most_totals) {
        problem("more than " + std::to_string(most_totals) + " series: the others are left out");
        continue;
      }
      total t{.what = m->what, .source = m->source, .name = m->name, .created = m->created, .since = s.at(), .from = scrapes_, .seen = scrapes_};
      t.base = now;
      // A page that was cut could have had it all along.
      const bool new_born = ok_ > 1 && first_whole_ && newest_ && m->created && *m->created > *newest_;
      if (ok_ > 1 && (new_born || has_restarted(m->source))) t.base = detail::empty_of(now), t.reset = !new_born;
      else t.late = ok_ > 1;
      t.now = std::move(now);
      totals_.push_back(std::move(t));
      continue;
    }
    total& t = totals_[at];
    const bool backwards = buckets::subtract(now, t.now).reset;
    if (backwards || moved(t, *m) || (has_restarted(m->source) && !stayed(t, *m))) {
      t.base = detail::empty_of(now);
      t.reset = true, t.late = false, t.since = s.at(), t.from = scrapes_;
    }
    t.now = std::move(now), t.seen = scrapes_;
    if (m->created) t.created = m->created;
  }
  for (total& t : totals_) {
    if (t.seen == scrapes_ || !has_restarted(t.source)) continue;  // gone with the restart, until it comes back
    t.base = t.now = detail::empty_of(t.now);
    t.reset = true;
  }
}

HOTPATH_FN void server_fold::gauge_fold::add(double v, nanoseconds when, std::uint64_t scrape, bool connected) {
  if (connected && n != 0 && seen + 1 == scrape) {
    const double dt = (when - at).s();
    if (dt > 0) weighted += (last + v) / 2 * dt, seconds += dt;
  }
  most = n == 0 ? v : (std::max)(most, v);
  sum += v, ++n, last = v, at = when, seen = scrape;
}

HOTPATH_FN engine_figures::gauge server_fold::gauge_fold::figures() const {
  if (n == 0) return {};
  return {.mean = seconds > 0 ? weighted / seconds : sum / static_cast<double>(n), .max = most, .n = n};
}

HOTPATH_FN void server_fold::add_gauges(const model::scrape& s) {
  std::array<double, 3> together{};
  std::array<std::size_t, 3> tell{};
  const auto into = [&](level& l, std::size_t which, double v) {
    l.any[which].add(v, s.at(), scrapes_, true);
    if (s.when == model::scrape::moment::during) l.load[which].add(v, s.at(), scrapes_, true);
  };
  for (const model::metric_series& m : s.series) {
    if (model::facts_of(m.what).kind != model::metric_kind::gauge) continue;
    auto l = std::find_if(levels_.begin(), levels_.end(), [&](const level& x) { return x.source == m.source; });
    if (l == levels_.end()) {
      if (levels_.size() == most_levels) {
        problem("more than " + std::to_string(most_levels) + " engines: gauges of the others are left out");
        continue;
      }
      levels_.push_back({.source = m.source});
      l = levels_.end() - 1;
    }
    if (m.what == model::engine_metric::kv_blocks) l->blocks = m.value;
    if (m.what == model::engine_metric::kv_block_tokens) l->block_tokens = m.value;
    const auto g = std::find(detail::folded_gauges.begin(), detail::folded_gauges.end(), m.what);
    if (g == detail::folded_gauges.end()) continue;
    const auto which = static_cast<std::size_t>(g - detail::folded_gauges.begin());
    into(*l, which, m.value);
    together[which] += m.value, ++tell[which];
  }
  for (std::size_t which = 0; which < 3; ++which) {
    tell_[which] = (std::max)(tell_[which], tell[which]);
    if (tell[which] == 0 || tell[which] < tell_[which]) continue;  // an engine is missing: a sum of the others would look like a drop
    const double v = which == 2 ? together[which] / static_cast<double>(tell[which]) : together[which];
    into(all_, which, v);
    add_step(s.at(), which, v);
  }
}

HOTPATH_FN void server_fold::add_step(nanoseconds at, std::size_t which, double v) {
  if (at.ns < 0) return;
  while (at.ns / step_ >= static_cast<std::int64_t>(most_cells)) {
    step_ *= 2;
    for (std::size_t i = 0; i < cells_.size(); ++i) {
      const cell c = cells_[i];
      cell& to = cells_[i / 2];
      if (i % 2 == 0) {
        to = c;
        continue;
      }
      for (std::size_t k = 0; k < 3; ++k) to.sum[k] += c.sum[k], to.n[k] += c.n[k];
    }
    cells_.resize((cells_.size() + 1) / 2);
  }
  const auto i = static_cast<std::size_t>(at.ns / step_);
  if (i >= cells_.size()) cells_.resize(i + 1);
  cells_[i].sum[which] += v, ++cells_[i].n[which];
}

// ---- figures --------------------------------------------------------------------------------------------------------------

// Of one engine, or of all (null). Missing: nothing was told, or told only once.
HOTPATH_FN std::optional<buckets::difference> server_fold::interval(model::engine_metric what, const std::string* source,
                                                                    std::vector<std::string>& problems) const {
  std::optional<buckets::difference> out;
  for (const total& t : totals_) {
    if (t.what != what || (source != nullptr && t.source != *source)) continue;
    if (t.seen == t.from && !t.reset && t.base.count == t.now.count) {  // told once: no interval
      if (t.late) problems.push_back(detail::title_of(what, t.source) + ": only on the last page, so nothing is known of the interval");
      continue;
    }
    if (t.late) problems.push_back(detail::title_of(what, t.source) + ": not on the first page; it counts from " + detail::number(t.since.s()) + " s on");
    if (t.seen != last_ok_) problems.push_back(detail::title_of(what, t.source) + ": not on the last page; it counts up to an earlier one");
    buckets::difference d = buckets::subtract(t.now, t.base);
    d.reset = d.reset || t.reset;
    if (!out) {
      out = std::move(d);
      continue;
    }
    const bool had = out->no_quantiles.empty(), has = d.no_quantiles.empty();
    const buckets::merged m = buckets::add(out->of, d.of);
    if (had && has && m == buckets::merged::shared_edges) problems.push_back(detail::title_of(what, {}) + ": engines have different edges, merged on those they share");
    if (had && !has) out->no_quantiles = d.no_quantiles;
    out->reset = out->reset || d.reset;
  }
  return out;
}

HOTPATH_FN bucketed server_fold::latency(model::engine_metric what, const std::string* source, std::vector<std::string>& problems) const {
  bucketed out;
  const auto d = interval(what, source, problems);
  if (!d) {
    const bool told = std::any_of(totals_.begin(), totals_.end(), [&](const total& t) { return t.what == what && (source == nullptr || t.source == *source); });
    out.missing = !told ? "the engine does not tell it" : ok_ < 2 ? "one scrape alone has no interval" : "told by one scrape only";
    return out;
  }
  if (d->of.count > 0) out = detail::bucketed_of(d->of);
  out.reset = d->reset;
  if (!(d->of.count > 0)) {
    out.missing = "no value in the interval";
    return out;
  }
  if (!d->no_quantiles.empty()) problems.push_back(detail::title_of(what, source != nullptr ? *source : std::string()) + ": " + std::string(d->no_quantiles) + ", so it has no quantiles");
  else if (!out.quantile[0]) problems.push_back(detail::title_of(what, source != nullptr ? *source : std::string()) + ": its buckets have no finite edge in common, so it has no quantiles");
  return out;
}

HOTPATH_FN void server_fold::fill_capacity(engine_figures& out, const std::string* source) const {
  double sum = 0;
  bool known = false;
  for (const level& l : levels_) {
    if (source != nullptr && l.source != *source) continue;
    if (l.blocks && l.block_tokens) sum += *l.blocks * *l.block_tokens, known = true;
    else if (l.any[2].n != 0) return;  // an engine with KV blocks that does not tell how many
  }
  if (known) out.kv_capacity_tokens = sum;
}

HOTPATH_FN void server_fold::fill(engine_figures& out, const std::string* source, std::vector<std::string>& problems) const {
  using enum model::engine_metric;
  out.queue = latency(queue, source, problems), out.prefill = latency(prefill, source, problems), out.decode = latency(decode, source, problems);
  out.ttft = latency(ttft, source, problems), out.itl = latency(itl, source, problems), out.tpot = latency(tpot, source, problems);
  out.e2e = latency(e2e, source, problems);
  const auto counter = [&](model::engine_metric what) -> std::optional<double> {
    const auto d = interval(what, source, problems);
    if (!d) return std::nullopt;
    out.reset = out.reset || d->reset;
    return d->of.count;
  };
  out.preemptions = counter(preemptions), out.prompt_tokens = counter(prompt_tokens), out.cached_prompt_tokens = counter(cached_prompt_tokens);
  out.generation_tokens = counter(generation_tokens), out.prefix_queries = counter(prefix_queries), out.prefix_hits = counter(prefix_hits);
  out.requests_finished = counter(requests_finished);
  if (out.prefix_queries && out.prefix_hits && *out.prefix_queries > 0) out.prefix_hit_rate = *out.prefix_hits / *out.prefix_queries;
  const auto drafted = counter(spec_draft_tokens), accepted = counter(spec_accepted_tokens);
  if (drafted && accepted && *drafted > 0) out.spec_acceptance = *accepted / *drafted;
  if (const auto d = interval(step_tokens, source, problems); d && d->of.count > 0 && d->of.sum) out.tokens_per_step = *d->of.sum / d->of.count;
  for (const bucketed* b : {&out.queue, &out.prefill, &out.decode, &out.ttft, &out.itl, &out.tpot, &out.e2e}) out.reset = out.reset || b->reset;
  fill_capacity(out, source);
  const level* l = &all_;
  if (source != nullptr) {
    const auto it = std::find_if(levels_.begin(), levels_.end(), [&](const level& x) { return x.source == *source; });
    if (it == levels_.end()) return;
    l = &*it;
  }
  const auto gauge = [&](std::size_t which) { return (l->load[which].n != 0 ? l->load : l->any)[which].figures(); };
  out.running = gauge(0), out.waiting = gauge(1), out.kv_usage = gauge(2);
}

HOTPATH_FN void server_fold::fill_steps(server_section& out, const server_window& window) const {
  if (cells_.empty()) return;
  const std::int64_t step = window.step.ns > 0 ? window.step.ns : step_, begin = window.step.ns > 0 ? window.begin.ns : 0;
  std::size_t n = window.step.ns > 0 ? (std::min)(window.steps, most_cells) : cells_.size();
  auto& to = out.over_time;
  to.begin = nanoseconds{begin}, to.step = nanoseconds{step};
  std::vector<cell> sums(n);
  for (std::size_t i = 0; i < cells_.size(); ++i) {
    const std::int64_t at = static_cast<std::int64_t>(i) * step_ - begin;
    if (at < 0 || at / step >= static_cast<std::int64_t>(n)) continue;
    cell& c = sums[static_cast<std::size_t>(at / step)];
    for (std::size_t k = 0; k < 3; ++k) c.sum[k] += cells_[i].sum[k], c.n[k] += cells_[i].n[k];
  }
  std::vector<double>* const lines[] = {&to.running, &to.waiting, &to.kv_usage};
  for (std::size_t k = 0; k < 3; ++k) {
    if (all_.any[k].n == 0) continue;
    for (const cell& c : sums) lines[k]->push_back(c.n[k] != 0 ? c.sum[k] / c.n[k] : std::numeric_limits<double>::quiet_NaN());
  }
}

HOTPATH_FN server_section server_fold::finish(const server_window& window) const {
  server_section out;
  out.engine = engine_;
  out.scrapes = scrapes_, out.failed = failed_, out.skipped = skipped_;
  out.problems = problems_;
  if (ok_ == 0) {
    out.missing = scrapes_ == 0 ? "no scrape was made" : "no scrape succeeded: " + first_error_;
    return out;
  }
  if (failed_ != 0) out.problems.push_back(detail::count(failed_, "scrape") + " of " + std::to_string(scrapes_) + " failed: " + first_error_);
  if (totals_.empty() && levels_.empty()) {
    out.missing = "no known name of an engine was on any page";
    return out;
  }
  out.begin = begin_, out.end = end_;
  const bool window_known = window.first.ns != 0 || window.last.ns != 0;
  out.bracketed = ok_ > 1 && window_known && first_end_ <= window.first && last_begin_ >= window.last;

  std::vector<std::string> found;
  fill(out.all, nullptr, found);
  std::vector<std::string> sources;
  const auto note = [&](const std::string& s) {
    if (std::find(sources.begin(), sources.end(), s) == sources.end()) sources.push_back(s);
  };
  for (const total& t : totals_) note(t.source);
  for (const level& l : levels_) note(l.source);
  if (sources.size() > 1) {
    std::sort(sources.begin(), sources.end(), detail::natural_less);
    for (const std::string& s : sources) {
      out.engines.emplace_back();
      out.engines.back().source = s;
      fill(out.engines.back(), &s, found);
    }
  }
  for (std::string& p : found)
    if (out.problems.size() < 2 * most_problems && std::find(out.problems.begin(), out.problems.end(), p) == out.problems.end()) out.problems.push_back(std::move(p));
  fill_steps(out, window);
  return out;
}

HOTPATH_FN bucketed since_start(const model::metric_series& m) { return detail::bucketed_of(detail::cumulative_of(m)); }

HOTPATH_FN server_section difference(const model::scrape& earlier, const model::scrape& later) {
  server_fold fold;
  fold.add(earlier);
  fold.add(later);
  return fold.finish();
}

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/summarize.hpp

namespace hotpath::inline HOTPATH_ABI::serve {

struct options {
  std::uint64_t seed = 1;          // of the intervals; recorded in the report
  std::uint32_t resamples = 2000;  // 0: no intervals, ten times as fast
};

class summarizer {
 public:
  summarizer() = default;
  explicit summarizer(const options& o) : options_(o) {}

  // About 2 us for an answer of 200 events.
  void add(const model::request& r);
  void add(const model::client_interval& i) { client_.add(i); }
  void add(const model::scrape& s) { server_.add(s); }
  report finish(const model::run_info& run) const;

 private:
  void add_outcome(const model::request& r);
  void add_tokens(const model::request& r, detail::row& row);
  void add_events(const model::request& r, detail::row& row);
  void add_gaps(detail::row& row, bool tokens_known);
  void fill_requests(report& out) const;
  void fill_tokens(report& out) const;
  void fill_latencies(report& out, const detail::ordered_rows& rows) const;
  void fill_gaps(report& out, const detail::ordered_rows& rows) const;
  std::string why_no_latency(metric m, const report& out) const;

  options options_;
  std::vector<detail::row> rows_;
  std::vector<float> gaps_;              // ns, of the rows in their order
  std::vector<std::uint16_t> weights_;   // tokens of the event that ends the gap, where known; empty: never known
  std::vector<model::content_event> events_;  // of the request being added
  std::vector<std::int64_t> all_gaps_;
  detail::step_sums tokens_over_time_;
  detail::client_meter client_;
  server_fold server_;
  detail::client_meter::log_counts logs_;
  detail::token_books books_;
  bool kernel_stamps_ = false;           // one was seen: gaps between stamps of the loop's clock are no longer of interest
  std::uint64_t inexact_gaps_ = 0, inexact_itl_ = 0, multi_event_answers_ = 0;

  std::uint64_t status_[4] = {}, warmup_ = 0, ok_warmup_ = 0, highest_index_ = 0;
  std::array<std::uint64_t, model::error_class_count> errors_{};
  std::vector<std::pair<std::string, std::uint64_t>> finish_reasons_;
  std::string first_error_;
  std::uint64_t first_error_index_ = 0;
  bool has_first_error_ = false;
  struct total {
    std::int64_t sum = 0;
    bool known = false;
    void add(const std::optional<std::int64_t>& v);
  };
  total prompt_, completion_, reasoning_, cached_;
  std::uint64_t from_usage_ = 0, from_chunks_ = 0, suspect_ = 0, without_usage_ = 0, planned_ = 0;
  double planned_error_ = 0;
  std::uint64_t stalls_ = 0, stalled_ = 0;
  std::int64_t longest_stall_ = 0;
  double stall_time_ = 0, decode_time_ = 0;
  std::optional<nanoseconds> first_sent_;  // of all requests
  nanoseconds last_end_{};
  model::loss lost_;
};

// All at once. client: the rows of all threads, each thread's in order.
report summarize(std::span<const model::request> requests, const model::run_info& run,
                 std::span<const model::client_interval> client = {}, const options& o = {});

}  // namespace hotpath::inline HOTPATH_ABI::serve
// ---- hotpath/serve/summarize-inl.hpp
// hotpath/serve/summarize-inl.hpp - bodies of serve/summarize.hpp.
// ---- hotpath/serve/summarize-inl.hpp

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
