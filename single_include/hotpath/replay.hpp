// SPDX-License-Identifier: Apache-2.0
// hotpath 0.1.0: load a streaming LLM endpoint and record every arrival, in one header.
//   Made by single_include/amalgamate.py from include/hotpath/replay.hpp; do not edit. C++20, Linux, no library but the standard one.
#pragma once
#ifdef HOTPATH_SINGLE_HEADER
#error "one single header per unit: hotpath.hpp holds all of the others"
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
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <pthread.h>
#include <queue>
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
#include <time.h>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <variant>
#include <vector>

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
// ---- hotpath/core/thread.hpp
// hotpath/core/thread.hpp - thread, mutex and condition over pthreads. <thread>, <mutex> and <condition_variable> are 27,000
//   preprocessed lines that every includer would pay; these are 100, wait on the monotonic clock, and tell when no thread is to be had.
//
//     hotpath::threading::mutex m;
//     hotpath::threading::condition changed;                       // declared before the thread that uses them
//     hotpath::threading::thread t;
//     if (!t.start([&] { const threading::lock l{m}; ready = true; changed.notify_all(); })) return busy;
//     { threading::lock l{m}; changed.wait_for(l, 20_ms, [&] { return ready; }); }
//     t.join();
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

  // Sums, differences and products beyond +-292 years stay there: what a hostile file says is wrong, but never undefined.
  constexpr nanoseconds operator-() const { return nanoseconds{} - *this; }
  constexpr nanoseconds& operator+=(nanoseconds o) { return *this = *this + o; }
  constexpr nanoseconds& operator-=(nanoseconds o) { return *this = *this - o; }
  friend constexpr nanoseconds operator+(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_add_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MIN : INT64_MAX};
  }
  friend constexpr nanoseconds operator-(nanoseconds a, nanoseconds b) {
    nanoseconds r;
    return !__builtin_sub_overflow(a.ns, b.ns, &r.ns) ? r : nanoseconds{b.ns < 0 ? INT64_MAX : INT64_MIN};
  }
  friend constexpr nanoseconds operator*(nanoseconds a, int64_t k) {
    nanoseconds r;
    return !__builtin_mul_overflow(a.ns, k, &r.ns) ? r : nanoseconds{(a.ns < 0) != (k < 0) ? INT64_MIN : INT64_MAX};
  }
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
// ---- hotpath/core/thread.hpp

namespace hotpath::inline HOTPATH_ABI::threading {

class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() { pthread_mutex_destroy(&m_); }
  void lock() { pthread_mutex_lock(&m_); }
  void unlock() { pthread_mutex_unlock(&m_); }

 private:
  friend class condition;
  pthread_mutex_t m_ = PTHREAD_MUTEX_INITIALIZER;
};

// Holds a mutex while it lives; may let go of it in between.
class lock {
 public:
  explicit lock(mutex& m) : m_(&m) { m.lock(); }
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;
  ~lock() { if (held_) m_->unlock(); }
  void take() { m_->lock(), held_ = true; }
  void let_go() { m_->unlock(), held_ = false; }

 private:
  friend class condition;
  mutex* m_;
  bool held_ = true;
};

class condition {
 public:
  condition() {
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    pthread_cond_init(&c_, &how);
    pthread_condattr_destroy(&how);
  }
  condition(const condition&) = delete;
  condition& operator=(const condition&) = delete;
  ~condition() { pthread_cond_destroy(&c_); }
  void notify_one() { pthread_cond_signal(&c_); }
  void notify_all() { pthread_cond_broadcast(&c_); }

  template <class Until>
  void wait(lock& held, Until until) {
    while (!until()) pthread_cond_wait(&c_, &held.m_->m_);
  }
  // What `until` says in the end: false means that the time is over.
  template <class Until>
  bool wait_for(lock& held, nanoseconds longest, Until until) {
    const nanoseconds end = monotonic_now() + longest;
    const timespec at{static_cast<time_t>(end.ns / 1'000'000'000), static_cast<long>(end.ns % 1'000'000'000)};
    while (!until())
      if (longest <= nanoseconds{0} || pthread_cond_timedwait(&c_, &held.m_->m_, &at) != 0) return until();
    return true;
  }

 private:
  pthread_cond_t c_;
};

// Joined by whoever starts it: destroying one that runs is an error of the caller.
class thread {
 public:
  thread() = default;
  thread(thread&& o) noexcept : id_(o.id_), runs_(std::exchange(o.runs_, false)) {}
  thread& operator=(thread&&) = delete;
  ~thread() { HOTPATH_ASSERT(!runs_); }

  // False: the system gives no thread, and f was not called. f() must not throw.
  template <class F>
  bool start(F f) {
    HOTPATH_ASSERT(!runs_);
    F* const own = new F(std::move(f));
    const auto body = [](void* p) -> void* {
      F* const mine = static_cast<F*>(p);
      (*mine)();
      delete mine;
      return nullptr;
    };
    runs_ = pthread_create(&id_, nullptr, body, own) == 0;
    if (!runs_) delete own;
    return runs_;
  }
  bool joinable() const { return runs_; }
  void join() { if (std::exchange(runs_, false)) pthread_join(id_, nullptr); }
  void detach() { if (std::exchange(runs_, false)) pthread_detach(id_); }

 private:
  pthread_t id_{};
  bool runs_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::threading
// ---- hotpath/model/run.hpp
// hotpath/model/run.hpp - what was run: the manifest of one measurement. No secret ever enters it.
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
// ---- hotpath/replay/schedule.hpp
// hotpath/replay/schedule.hpp - makes schedules: closed loop, and open loop with constant, Poisson or recorded arrivals.
//   All are made before the run, from a seed or a trace, so that they can be stored and replayed exactly.
//
//     auto plan = replay::closed({.streams = 16, .requests = 200});
//     auto plan = replay::poisson({.per_second = 8.0, .seed = 7, .duration = 60_s});   // result: a rate of 0 is an error
//
//   Poisson: exponential gaps of mean 1/rate; the total is not rescaled (a seed's last arrival is where it falls).
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

  // For objects whose members mostly come in one order, as programs write them; three times as fast for those that do.
  //     if (in.begin()) { if (in.next_is("ph")) in.string(ph); if (in.next_is("ts")) in.integer(ts); in.rest([&](std::string_view key) { ... }); }
  // begin() enters an object. next_is() takes the name of the next member if it is this one, written without escapes: its value must be read next;
  // false: nothing happened. rest() is object() for the members that are left, and must end it.
  bool begin() { return fresh_ = enter('{'); }
  template <std::size_t N>
  bool next_is(const char (&name)[N]) noexcept {
    const char* p = p_;
    constexpr std::ptrdiff_t most = static_cast<std::ptrdiff_t>(N) + 6;   // , "name": and a byte behind it
    if (!fresh_ && end_ - p > most && *p == ',') p += 1 + (p[1] == ' ');  // as it is written most often
    else if (p = space(p); !fresh_) {
      if (!at(p, ',')) return false;
      ++p;
    }
    if (p = space(p); end_ - p <= static_cast<std::ptrdiff_t>(N) + 1 || *p != '"' || __builtin_memcmp(p + 1, name, N - 1) != 0 || p[N] != '"') return false;
    if (p += N + 1; !at(p, ':') && (p = space(p), !at(p, ':'))) return false;
    p_ = space(p + 1);
    fresh_ = false;
    return true;
  }
  template <class F>
  bool rest(F&& f) {
    std::string_view key;
    for (bool first = std::exchange(fresh_, false); next_member(key, first); first = false) {
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
  // The number times 10^power as a whole one, rounded to the nearest (halves away from 0); exact, never through a double. False where it does not fit.
  bool scaled(std::int64_t& out, unsigned power);
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
  // The text may only end too early: with more of it behind its end, this error may go away. For texts that come in pieces.
  bool cut_short() const noexcept;
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
  [[gnu::always_inline]] const char* space(const char* p) const noexcept {
    // None and one blank are what most texts have, without the call.
    if (p == end_ || static_cast<unsigned char>(*p) > ' ') return p;
    if (*p == ' ' && end_ - p > 1 && static_cast<unsigned char>(p[1]) > ' ') return p + 1;
    return white_run(p);
  }
  const char* white_run(const char* p) const noexcept;
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
  bool fresh_ = false;             // between begin() and the first member
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

// Behind the digits at p; they are appended to v, which wraps around. Eight at a time: the bytes that are digits are shifted to the top, which puts
// zeros before them, and three multiplications add them up.
inline const char* digit_run(const char* p, const char* end, std::uint64_t& v) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  constexpr std::uint64_t powers[] = {1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};
  while (end - p >= 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;  // the lowest is exact: no carry comes from digits
    const int n = others == 0 ? 8 : __builtin_ctzll(others) >> 3;
    if (n == 0) return p;
    w <<= 64 - 8 * n;
    w = w * 10 + (w >> 8);
    w = ((w & 0x000000FF000000FF) * (100 + (1'000'000ull << 32)) + (w >> 16 & 0x000000FF000000FF) * (1 + (10'000ull << 32))) >> 32;
    v = v * powers[n] + w;
    p += n;
    if (n != 8) return p;
  }
#endif
  for (; p != end && is_digit(*p); ++p) v = v * 10 + static_cast<unsigned>(*p - '0');
  return p;
}

// Behind the digits at p.
inline const char* skip_digits(const char* p, const char* end) noexcept {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  for (; end - p >= 8; p += 8) {
    std::uint64_t w = 0;
    std::memcpy(&w, p, 8);
    w ^= every_byte * '0';
    const std::uint64_t others = (w | (w + every_byte * 6)) & every_byte * 0xF0;
    if (others != 0) return p + (__builtin_ctzll(others) >> 3);
  }
#endif
  while (p != end && is_digit(*p)) ++p;
  return p;
}

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
  if (!text.empty() && text[0] == '\xEF' && text.starts_with("\xEF\xBB\xBF")) p_ += 3;
}

HOTPATH_FN const char* reader::white_run(const char* p) const noexcept {
  constexpr std::uint64_t white = 1ull << ' ' | 1ull << '\n' | 1ull << '\r' | 1ull << '\t';
  while (p != end_ && static_cast<unsigned char>(*p) <= ' ' && (white >> *p & 1) != 0) ++p;
  return p;
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
  const char* p = p_;
  if (!first && end_ - p > 2 && *p == ',') {  // as it is written most often
    p += 1 + (p[1] == ' ');
    if (*p == '"') return key_and_colon(p, &key);
  }
  p = space(p_);
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
    if (end_ - stop > 2 && *stop == ':') {  // as it is written most often
      stop += 1 + (stop[1] == ' ');
      if (static_cast<unsigned char>(*stop) > ' ') {
        p_ = stop;
        return true;
      }
      p_ = space(stop);
      return true;
    }
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
  const char* p = p_;
  std::uint64_t v = 0;
  const auto digits = [&] {
    const char* const begin = p;
    p = detail::digit_run(p, end_, v);
    return p - begin;
  };
  const bool negative = *p == '-';
  p += negative;
  std::int64_t count = 1, exponent = 0;
  if (p != end_ && *p == '0') ++p;
  else count = digits();
  if (count == 0) return fail(fault::bad_number, p);
  bool whole = true;
  if (p != end_ && *p == '.') {
    ++p;
    whole = false;
    const auto fraction = digits();
    if (fraction == 0) return fail(fault::bad_number, p);
    count += fraction;
    exponent = -fraction;
  }
  if (p != end_ && (*p == 'e' || *p == 'E')) {
    ++p;
    whole = false;
    const bool minus = p != end_ && *p == '-';
    if (p != end_ && (*p == '-' || *p == '+')) ++p;
    if (p == end_ || !detail::is_digit(*p)) return fail(fault::bad_number, p);
    std::int64_t e = 0;
    for (; p != end_ && detail::is_digit(*p); ++p)
      if (e < 100'000'000'000'000'000) e = e * 10 + (*p - '0');
    exponent += minus ? -e : e;
  }
  d = {p, v, exponent, count, negative, whole};
  if (count + exponent > 308 && !__builtin_isfinite(to_double(d))) return fail(fault::number_range, p_);
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

HOTPATH_FN bool reader::scaled(std::int64_t& out, unsigned power) {
  if (!at_number()) return mismatch();
  decimal d;
  if (!scan(d)) return false;
  const std::int64_t shift = d.exponent + power;
  std::uint64_t v = d.digits;
  bool fits = true;
  if (d.count <= 19 && shift >= -19 && shift <= 19) {
    std::uint64_t factor = 1;
    for (std::int64_t i = shift < 0 ? shift : -shift; i != 0; ++i) factor *= 10;
    if (shift >= 0) {
      fits = !__builtin_mul_overflow(v, factor, &v);
    } else {
      const std::uint64_t rest = v % factor;
      v = v / factor + (rest >= factor - rest ? 1 : 0);
    }
  } else {
    v = 0;
    std::int64_t left = d.count + shift;  // digits of the whole number to come
    const char* p = p_ + d.negative;
    for (; fits && left > 0; --left) {
      if (p != d.end && *p == '.') ++p;
      const bool digit = p != d.end && detail::is_digit(*p);
      if (!digit && v == 0) break;
      fits = !__builtin_mul_overflow(v, std::uint64_t{10}, &v) && !__builtin_add_overflow(v, static_cast<std::uint64_t>(digit ? *p++ - '0' : 0), &v);
    }
    if (p != d.end && *p == '.') ++p;
    if (fits && left == 0 && p != d.end && detail::is_digit(*p) && *p >= '5') fits = !__builtin_add_overflow(v, std::uint64_t{1}, &v);
  }
  const std::uint64_t limit = static_cast<std::uint64_t>((std::numeric_limits<std::int64_t>::max)()) + (d.negative ? 1 : 0);
  fits = fits && v <= limit;
  if (fits) out = static_cast<std::int64_t>(d.negative ? 0 - v : v);
  else at_ = p_;
  p_ = d.end;
  return fits;
}

HOTPATH_FN bool reader::cut_short() const noexcept {
  if (fault_ == fault::none) return false;
  if (at_ == end_ || fault_ == fault::open_string) return true;
  const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
  switch (fault_) {
    case fault::bad_literal: return std::string_view(*at_ == 't' ? "true" : *at_ == 'f' ? "false" : "null").starts_with(rest);
    case fault::bad_hex: return rest.size() < 6;            // \uXXXX
    case fault::lone_surrogate: return rest.size() < 12;    // a pair of them
    case fault::ill_formed_utf8: return rest.size() < 4;
    default: return false;
  }
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
      // Digits and perhaps a fraction, of which no value is wanted: too few of them to leave the range of a double.
      const char* const first = p_ + (*p_ == '-');
      const char* p = detail::skip_digits(first, end_);
      if (p != first && (*first != '0' || p - first == 1) && p - first < 300) {
        if (p != end_ && *p == '.') {
          const char* const fraction = p + 1;
          p = detail::skip_digits(fraction, end_);
          if (p == fraction) p = end_;  // an error: for scan() to say
        }
        if (p != end_ && *p != 'e' && *p != 'E') {
          p_ = p;
          return true;
        }
      }
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
  if (!at(p, '{') && !at(p, '[')) {
    p_ = p;
    return scalar();
  }
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
// ---- hotpath/core/text.hpp
// hotpath/core/text.hpp - small text work that many parts need: UTF-8, bounded numbers, durations, CSV, redaction, safe printing.
//
//     auto limit = hotpath::text::parse_duration("500ms");             // result<nanoseconds>; "500" is an error: no unit
//     auto port = hotpath::text::parse_number<std::int64_t>("8080", 1, 65535);
//     log(hotpath::text::redact_url(url));                             // http://h/v1?api_key=[redacted]
//     puts(hotpath::text::printable(line_of_a_peer).c_str());          // no escape sequence reaches the terminal
//
//   Nothing here depends on the locale. Functions are free of state and safe to call from any thread; classes are not shared.
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
// ---- hotpath/replay/dispatch.hpp
// hotpath/replay/dispatch.hpp - who sends what when: the schedule's slots, shared by the client's threads.
//   Taken a few times per request under one mutex. Counts what happened, for the progress line and the stop rules.
// ---- hotpath/model/progress.hpp
// hotpath/model/progress.hpp - how far a load is while it goes on: what its client knows without asking anybody.
//   Counts are since the start; sketches hold what came since the snapshot before, so that whoever shows them chooses the span.
// ---- hotpath/model/request.hpp
// hotpath/model/request.hpp - one request, as the client saw it. Its phases are stamps on the run's clock.
//   The four times of every request (all definitions of latency derive from them, serve/definitions.hpp):
//     intended      the schedule's time in open loop; the moment the slot was taken in closed loop
//     sent          the first byte of the request was handed to the kernel (connect is a phase of its own before it)
//     first_content the first content event: non-empty text, reasoning, or a tool call's name or arguments
//     last_content  the last one. The finish reason and the end of framing (`finished`, `closed`) enter no latency.
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
  mutable threading::mutex mutex_;
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
  const threading::lock lock{mutex_};
  if (plan_.max_duration && since_start >= *plan_.max_duration) closed_ = true;
  if (plan_.max_requests && next_ >= *plan_.max_requests) closed_ = true;
  if (stopped_ || closed_) return std::nullopt;
  return turn{.index = next_++, .intended = now, .slot_free = {}};
}

HOTPATH_FN std::optional<dispatch::turn> dispatch::due(std::uint64_t index, nanoseconds intended) {
  const threading::lock lock{mutex_};
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
  const threading::lock lock{mutex_};
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
  const threading::lock lock{mutex_};
  if (!std::exchange(stopped_, true)) reason_ = reason;
  drop_waiting();
}

HOTPATH_FN void dispatch::close() {
  const threading::lock lock{mutex_};
  closed_ = true;
  drop_waiting();
}

HOTPATH_FN void dispatch::started() {
  const threading::lock lock{mutex_};
  ++counts_.sent;
  ++counts_.in_flight;
}

HOTPATH_FN void dispatch::not_sent(std::uint64_t n) {
  const threading::lock lock{mutex_};
  unsent_ += n;
}

HOTPATH_FN void dispatch::first_content(const model::request& r) {
  const threading::lock lock{mutex_};
  counts_.ttft_ms.add((r.first_content.at - r.intended.at).ms());
}

HOTPATH_FN void dispatch::interval(const model::client_interval& i) {
  const threading::lock lock{mutex_};
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
  const threading::lock lock{mutex_};
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
  const threading::lock lock{mutex_};
  return stopped_;
}
HOTPATH_FN bool dispatch::closed() const {
  const threading::lock lock{mutex_};
  return closed_ || stopped_;
}
HOTPATH_FN std::string dispatch::reason() const {
  const threading::lock lock{mutex_};
  return reason_;
}
HOTPATH_FN bool dispatch::refused() const {
  const threading::lock lock{mutex_};
  return refused_;
}
HOTPATH_FN std::uint64_t dispatch::unsent() const {
  const threading::lock lock{mutex_};
  return unsent_;
}

HOTPATH_FN progress dispatch::snapshot() {
  const threading::lock lock{mutex_};
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
  mutable threading::mutex mutex_;
  threading::condition room_, grown_;
  std::deque<std::optional<prepared>> ahead_;   // [base_, base_ + size)
  std::uint64_t base_ = 0, next_ = 0, passes_ = 1;
  std::size_t ahead_bytes_ = 0;
  std::optional<error> failure_;
  bool ended_ = false, stop_ = false, hungry_ = false;
  threading::thread thread_;   // last: it uses all of the above
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
    : source_(source), options_(std::move(options)), ring_(std::move(ring)) {
  if (thread_.start([this] { run(); })) return;
  failure_ = error{.code = errc::io, .detail = "the system gives no more threads", .source = source_.description()};
  ended_ = true;
}

HOTPATH_FN feeder::~feeder() {
  {
    const threading::lock lock{mutex_};
    stop_ = true;
  }
  room_.notify_all();
  thread_.join();
}

HOTPATH_FN feeder::take_result feeder::take(std::uint64_t index, prepared& out) {
  const threading::lock lock{mutex_};
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
  threading::lock lock{mutex_};
  grown_.wait(lock, [&] { return next_ >= n || ended_ || (next_ > 0 && full()); });
}

HOTPATH_FN std::optional<error> feeder::failure() const {
  const threading::lock lock{mutex_};
  return failure_;
}
HOTPATH_FN std::uint64_t feeder::passes() const {
  const threading::lock lock{mutex_};
  return passes_;
}
HOTPATH_FN std::uint64_t feeder::prepared_count() const {
  const threading::lock lock{mutex_};
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
      threading::lock lock{mutex_};
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
      const threading::lock lock{mutex_};
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
        if (i + 1 < ready.size()) fetch(connections_[static_cast<std::size_t>(ready[i + 1].token)]);
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
    connection& c = connections_[who];
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
      connections_.emplace_back();
      connections_.back().talk.hide(run_.secrets);
      return static_cast<std::uint32_t>(connections_.size() - 1);
    }
    const std::uint32_t who = unused_.back();
    unused_.pop_back();
    return who;
  }

  void begin_connecting(std::uint32_t who) {
    connection& c = connections_[who];
    if (!c.talk.record().connect_begin) c.talk.record().connect_begin = here();
    c.tried = 0;
    try_address(who, good_address_);
  }

  void try_address(std::uint32_t who, std::size_t address) {
    connection& c = connections_[who];
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
    connection& c = connections_[who];
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
    connection& c = connections_[who];
    const net::io r = c.socket.establish();
    if (r.again) return;
    if (r.error != 0) return connect_failed(who, r.error);
    good_address_ = c.address;
    answered_ = true;
    c.talk.record().connected = here();
    begin_talking(who);
  }

  void begin_talking(std::uint32_t who) {
    connection& c = connections_[who];
    c.now = state::talking;
    c.talk.record().sent = here();
    watch(who);
    send_more(who);
  }

  void send_more(std::uint32_t who) {
    connection& c = connections_[who];
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
    connection& c = connections_[who];
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
    connection& c = connections_[who];
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
    connection& c = connections_[who];
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
    connection& c = connections_[who];
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
    connections_[who].talk.fail(why, std::move(message), since_origin(now_));
    end(who);
  }

  // The record is final. A stream that said [DONE] but whose framing is open keeps its slot for a moment, so that the
  // connection can be used again.
  void end(std::uint32_t who) {
    connection& c = connections_[who];
    if (c.talk.record().status == model::request_status::ok && !c.talk.framing_ended() && c.socket.descriptor() >= 0 && c.now == state::talking) {
      c.now = state::lingering;
      set_deadline(who, now_ + run_.limits.framing);
      return;
    }
    end_linger(who);
  }

  void end_linger(std::uint32_t who) {
    connection& c = connections_[who];
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
    connection& c = connections_[who];
    c.socket.close();
    c.now = state::unused;
    c.wire = {};
    c.deadline = nanoseconds{INT64_MAX};
    unused_.push_back(who);
  }

  // ---- time

  // Deadlines move with every chunk; the heap holds one entry per connection and moves it only when it comes up.
  void set_deadline(std::uint32_t who, nanoseconds at) {
    connection& c = connections_[who];
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
      connection& c = connections_[t.who];
      if (c.armed != t.at) continue;  // a later entry replaced it
      c.armed = nanoseconds{INT64_MAX};
      if (c.deadline > now_) set_deadline(t.who, c.deadline);
      else timed_out(t.who);
    }
    if (cancel)
      for (std::uint32_t who = 0; who < connections_.size(); ++who) {
        const state s = connections_[who].now;
        if (s != state::unused && s != state::kept) fail(who, model::error_class::cancelled, "cancelled while in flight");
      }
  }

  void timed_out(std::uint32_t who) {
    using enum model::error_class;
    connection& c = connections_[who];
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
  std::deque<connection> connections_;                     // stable: a token is an index
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

    std::deque<worker<Transport, Sink>> workers;
    light_atomic<int> ready{0};  // the feeder's thread may ring before the workers are there
    const auto wake_all = [&] { if (ready.load_acquire() != 0) for (auto& w : workers) w.wake(); };
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
      workers.emplace_back(shared, out, i);
      if (!workers.back().ok()) return workers.back().failure();
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
  void watch(std::deque<worker<Transport, Sink>>& workers, shared_run& shared, dispatch& turns, Sink& out,
             run_outcome& done, light_atomic<int>& ready) const {
    threading::mutex mutex;
    threading::condition changed;
    std::size_t running = workers.size();
    ready.store_release(1);
    std::deque<threading::thread> threads;
    for (auto& w : workers) {
      const bool started = threads.emplace_back().start([&mutex, &changed, &running, &w] {
        w();
        const threading::lock lock{mutex};
        --running;
        changed.notify_one();
      });
      if (started) continue;
      turns.stop("the system gives no more threads");
      const threading::lock lock{mutex};
      --running;
    }
    const nanoseconds begun = shared.origin + shared.sending_began;
    nanoseconds shown = begun, sending_ended{};
    int obeyed = 0;
    threading::lock lock{mutex};
    while (!changed.wait_for(lock, nanoseconds{20'000'000}, [&] { return running == 0; })) {
      lock.let_go();
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
        for (auto& w : workers) w.wake();
      }
      if (options_.on_progress && now - shown >= nanoseconds{200'000'000}) {
        shown = now;
        progress p = turns.snapshot();
        p.elapsed = now - begun;
        options_.on_progress(p);
      }
      lock.take();
    }
    lock.let_go();
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
    const threading::lock lock{mutex};
    requests.push_back(std::move(r));
  }
  void add(const model::client_interval& i) {
    const threading::lock lock{mutex};
    client.push_back(i);
  }
  threading::mutex mutex;
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
