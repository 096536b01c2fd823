// SPDX-License-Identifier: Apache-2.0
// tests/replay/client_resource_test.cpp - the load client on a machine that gives no descriptor, no port, or no such address.
//   Ports and host names are the machine's: where the kernel allows it, a test runs itself again in namespaces of its own.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "live.hpp"
#include "support/data.hpp"
#include "support/process.hpp"
#include "support/temp_dir.hpp"

using namespace live;
using scripted::hang_up;
using scripted::hold;
using scripted::say;
using scripted::sse_head;
using scripted::tail;
using scripted::tokens;
using scripted::totals;

namespace {

// All descriptors of this process but a few are taken while it lives.
class hoard {
 public:
  explicit hoard(std::size_t left) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 160;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
    for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(fd);
    REQUIRE(taken_.size() > left);
    for (; left > 0; --left) give_one_back();
  }
  ~hoard() {
    give_back();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  hoard(const hoard&) = delete;
  hoard& operator=(const hoard&) = delete;
  void give_back() {
    while (!taken_.empty()) give_one_back();
  }

 private:
  void give_one_back() {
    ::close(taken_.back());
    taken_.pop_back();
  }
  rlimit before_{};
  std::vector<int> taken_;
};

std::atomic<int> refused{0};                     // connect() calls that failed
std::function<void()> on_third_refusal;          // from the client's thread

// net::tcp that counts what the kernel refuses.
struct counted : net::tcp {
  net::io connect(const net::address& to) {
    const net::io r = tcp::connect(to);
    if (r.error != 0 && ++refused == 3 && on_third_refusal) on_third_refusal();
    return r;
  }
};

// A worker over addresses of the test's own, without a resolver.
template <class Transport>
std::vector<model::request> over(const std::vector<net::address>& addresses, std::uint64_t requests, const replay::timeouts& limits = {}) {
  auto load = prompts();
  const auto plan = replay::closed({.requests = requests});
  replay::detail::memory_sink out;
  std::unique_ptr<replay::worker<Transport, replay::detail::memory_sink>> worker;
  std::atomic<bool> ready{false};
  replay::feeder source{load, {.endpoint = *net::parse_url("http://localhost:1"), .headers = {}, .body = {}, .id_prefix = "over"}, [&] { if (ready) worker->wake(); }};
  replay::dispatch turns{plan, {.share = {}, .in_a_row = 0}};
  replay::shared_run shared{.plan = plan, .addresses = addresses, .feeder = source, .dispatch = turns, .limits = limits, .origin = monotonic_now(), .sending_began = {}, .secrets = {}};
  worker = std::make_unique<replay::worker<Transport, replay::detail::memory_sink>>(shared, out, 0);
  ready = true;
  (*worker)();
  ready = false;
  for (const auto& r : out.requests) check_record(r, monotonic_now() - shared.origin);
  return std::move(out.requests);
}
std::vector<net::address> addresses(std::initializer_list<std::string> urls) {
  std::vector<net::address> all;
  for (const auto& u : urls) {
    const auto found = net::resolve(*net::parse_url(u));
    REQUIRE(found.has_value());
    all.push_back(found->front());
  }
  return all;
}

// ---- namespaces

constexpr const char* inside_name = "HOTPATH_TEST_INSIDE";

// Runs this program again with one test case in it, which skips itself, counted, where the kernel allows no namespaces.
void passes_in_a_namespace(const std::string& test_case) {
  char self[4096];
  const ssize_t n = ::readlink("/proc/self/exe", self, sizeof self);
  REQUIRE(n > 0);
  hotpath_test::process_options again;
  again.environment = {{inside_name, "1"}};
  const auto done = hotpath_test::run({std::string(self, static_cast<std::size_t>(n)), "-tc=" + test_case}, again);
  CHECK_MESSAGE(done.code == 0, done.out << done.err);
}
bool inside() { return std::getenv(inside_name) != nullptr; }

bool write_file(const char* path, const std::string& text) {
  std::ofstream f(path);
  f << text << std::flush;
  return static_cast<bool>(f);
}
// A user namespace with others in it; a loopback interface that is up. False: not here.
bool enter_namespaces(int others) {
  const auto user = ::getuid();
  const auto group = ::getgid();
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | others) == 0) {
    write_file("/proc/self/setgroups", "deny");
    write_file("/proc/self/uid_map", "0 " + std::to_string(user) + " 1");
    write_file("/proc/self/gid_map", "0 " + std::to_string(group) + " 1");
  } else if (::unshare(CLONE_NEWNET | others) != 0) {  // in a chroot no user namespace is given, and root needs none
    hotpath_test::skip(std::string("no namespaces: ") + std::strerror(errno));
    return false;
  }
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq lo{};
  std::strcpy(lo.ifr_name, "lo");
  lo.ifr_flags = IFF_UP | IFF_RUNNING;
  const bool up = ::ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
  ::close(fd);
  if (!up) hotpath_test::skip("no namespaces: lo stays down");
  return up;
}

}  // namespace

TEST_CASE("replay: F-NET-32 without descriptors the client backs off, and goes on when they come back") {
  scripted::server s({.pace = {.chunks = 3}});
  refused = 0;
  {
    hoard all{5};  // two for the loop, one for a connection, one for the server's end of it, one for /proc
    on_third_refusal = [&] { all.give_back(); };
    replay::detail::memory_sink out;
    auto w = prompts();
    const auto done = replay::client<counted>{{.url = s.url()}}.run(w, replay::closed({.streams = 6, .requests = 30}), out);
    on_third_refusal = {};
    REQUIRE(done.has_value());
    CHECK(out.requests.size() == 30);
    for (const auto& r : out.requests) {
      CAPTURE(r.error_message);
      CHECK(r.status == request_status::ok);
    }
    CHECK(done->state == model::run_state::complete);
  }
  CHECK(refused >= 3);
  CHECK(s.wait_for([](const totals& t) { return t.open == 0; }));
}

TEST_CASE("replay: F-NET-32 without descriptors until the connect timeout a request fails as client_limit and says what to raise") {
  scripted::server s({.pace = {.chunks = 3}});
  refused = 0;
  replay::detail::memory_sink out;
  {
    hoard all{2};  // for the loop
    auto w = prompts();
    const auto done = replay::client<counted>{{.url = s.url(), .limits = {.connect = 120_ms}}}.run(w, replay::closed({.streams = 2, .requests = 4}), out);
    REQUIRE(done.has_value());
  }
  REQUIRE(out.requests.size() == 4);
  for (const auto& r : out.requests) {
    check_failed(r, error_class::client_limit, 0, 0);
    CHECK(r.error_message == "cannot open a connection: Too many open files; raise the limit of open files (ulimit -n)");
    CHECK_FALSE(r.sent);
    CHECK(r.closed.at - r.connect_begin.at >= 50_ms);  // it tried again
  }
  CHECK(refused >= 8);
  CHECK(refused <= 4 * 4);  // every 50 ms, not at once
  CHECK(s.now().accepted == 0);
  // Not even a loop can be made.
  hoard all{0};
  auto w = prompts();
  const auto none = replay::client<>{{.url = s.url()}}.run(w, replay::closed({.requests = 1}), out);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().message().find("ulimit -n") != std::string::npos);
}

TEST_CASE("replay: F-NET-32 a plan for more streams than descriptors is refused before the run, with what to raise") {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit low = before;
  low.rlim_cur = 100;
  ::setrlimit(RLIMIT_NOFILE, &low);
  const auto url = *net::parse_url("http://127.0.0.1:1");
  std::uint64_t ports = 0;
  CHECK(replay::preflight(replay::closed({.streams = 68}), url, &ports).has_value());
  CHECK(ports > 0);
  CHECK(replay::preflight(replay::closed({.streams = 4}), *net::parse_url("unix:/x"), &ports).has_value());
  CHECK(ports == 0);
  const auto streams = replay::preflight(replay::closed({.streams = 69}), url);
  const auto cap = replay::preflight(*replay::constant({.per_second = 1, .max_in_flight = 69, .requests = 1}), url);
  ::setrlimit(RLIMIT_NOFILE, &before);
  for (const auto& refusal : {streams, cap}) {
    REQUIRE_FALSE(refusal.has_value());
    CHECK(refusal.error().code == errc::over_limit);
    CHECK(refusal.error().message() == "69 streams need more open files than the limit of 100; raise it: ulimit -n 101");
  }
}

TEST_CASE("replay: F-NET-32 without local ports the client backs off, then fails as client_limit; a new port lets it go on") {
  // The n-th connect() has no port.
  static std::atomic<int> connects{0};
  static int first_failing = 0, last_failing = 0;
  struct portless : net::tcp {
    net::io connect(const net::address& to) noexcept {
      const int n = ++connects;
      if (n >= first_failing && n <= last_failing) return {.error = EADDRNOTAVAIL};
      return tcp::connect(to);
    }
  };
  const auto with = [&](int first, int last, replay::client_options o, const scripted::script& each) {
    scripted::server s({.pace = {.chunks = 3}});
    for (int i = 0; i < 4; ++i) s.next(each);
    connects = 0, first_failing = first, last_failing = last;
    return run<portless>(s, std::move(o), replay::closed({.requests = 4}));
  };
  const scripted::script closing{say(sse_head("connection: close\r\n")), tokens(), tail(), hang_up()};
  for (const int first : {1, 3}) {  // from the beginning; after the address has answered
    const auto back = with(first, first + 2, {}, closing);
    CHECK(back.count(request_status::ok) == 4);
    CHECK(connects == 4 + 3);
  }
  const auto gone = with(3, 1'000'000, {.limits = {.connect = 120_ms}, .errors = {.share = {}}}, closing);
  CHECK(gone.count(request_status::ok) == 2);
  for (const std::size_t i : {std::size_t{2}, std::size_t{3}}) {
    check_failed(gone.requests[i], error_class::client_limit, 0, 0);
    CHECK(gone.requests[i].error_message == "cannot open a connection: Cannot assign requested address; no local port is left");
  }
  CHECK(connects <= 2 + 2 * 4);
}

TEST_CASE("replay: F-NET-32 a real range of four local ports") {
  if (!inside()) {
    passes_in_a_namespace("replay: F-NET-32 a real range of four local ports");
    return;
  }
  if (!enter_namespaces(0)) return;
  scripted::server s({.pace = {.chunks = 3}});
  if (!write_file("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003")) return hotpath_test::skip("no namespaces: the port range cannot be set");
  auto w = prompts();
  const auto planned = replay::client<>{{.url = s.url()}}.run(w, replay::closed({.streams = 6, .requests = 6}));
  REQUIRE_FALSE(planned.has_value());
  CHECK(planned.error().message() == "6 streams need more local ports than the range of 4; widen net.ipv4.ip_local_port_range");

  const scripted::script at_once{say(sse_head("connection: close\r\n")), tokens(), tail(), hang_up()};
  scripted::script held = at_once;
  held.insert(held.begin(), hold());
  const auto six = replay::constant({.per_second = 1e6, .requests = 6});  // without a cap nothing can be known before
  for (const bool come_back : {true, false}) {
    // Four fresh ones each time: a port rests in TIME_WAIT where the client was the first to close.
    REQUIRE(write_file("/proc/sys/net/ipv4/ip_local_port_range", come_back ? "41000 41003" : "42000 42003"));
    for (int i = 0; i < 4; ++i) s.next(held);  // four ports are taken
    for (int i = 0; i < 2 && come_back; ++i) s.next(at_once);
    refused = 0;
    const auto before = s.now().finished;
    on_third_refusal = [&] { if (come_back) s.release(); };
    struct opening_sink : replay::detail::memory_sink {
      using memory_sink::add;
      void add(model::request&& r) {
        if (r.error == error_class::client_limit && ++limited == 2) release();
        memory_sink::add(std::move(r));
      }
      int limited = 0;
      std::function<void()> release;
    } out;
    out.release = [&] { s.release(); };
    const auto done = replay::client<counted>{{.url = s.url(), .limits = {.connect = come_back ? 10_s : 600_ms, .total = 20_s}}}.run(w, *six, out);
    on_third_refusal = {};
    if (!done) FAIL(done.error().message());
    REQUIRE(out.requests.size() == 6);
    CHECK(s.wait_for([&](const totals& t) { return t.finished == before + (come_back ? 6u : 4u); }));
    std::uint64_t ok = 0;
    for (const auto& r : out.requests) {
      CAPTURE(r.error_message);
      if (r.status == request_status::ok) ++ok;
      else CHECK(r.error_message == "cannot open a connection: Cannot assign requested address; no local port is left");
    }
    CHECK(ok == (come_back ? 6 : 4));
    CHECK(refused >= 2);
  }
}

TEST_CASE("replay: F-NET-34 all addresses of a name are tried: refused, without a network, unanswered; what answers is kept") {
  scripted::server s({.pace = {.chunks = 3}});
  const std::string good = s.url(), port = std::to_string(s.port());
  // Nobody listens at [::1]:port; where there is no IPv6 the kernel says EADDRNOTAVAIL instead of ECONNREFUSED.
  for (const auto& r : over<counted>(addresses({"http://[::1]:" + port, good}), 3)) CHECK(r.status == request_status::ok);
  for (const auto& r : over<counted>(addresses({good, "http://[::1]:" + port}), 3)) CHECK(r.status == request_status::ok);

  struct no_ipv6 : net::tcp {
    net::io connect(const net::address& to) noexcept { return to.family() == AF_INET6 ? net::io{.error = EADDRNOTAVAIL} : tcp::connect(to); }
  };
  const auto around = over<no_ipv6>(addresses({"http://[::1]:" + port, good}), 3);
  REQUIRE(around.size() == 3);
  for (const auto& r : around) {
    CHECK(r.status == request_status::ok);
    CHECK(r.sent.at - r.intended.at < 1_s + clock_tolerance);  // at once, not after a back-off until the timeout of 5 s
  }
  // All refuse: the class is that of the last, and it names it.
  const auto dead = over<no_ipv6>(addresses({"http://[::1]:" + port, "http://127.0.0.1:1"}), 2);
  for (const auto& r : dead) {
    check_failed(r, error_class::connect_refused, 0, 0);
    CHECK(r.error_message.starts_with("cannot connect to 127.0.0.1:1: "));
  }
  const auto nowhere = over<no_ipv6>(addresses({"http://[::1]:" + port}), 1, {.connect = 60_ms});
  check_failed(nowhere.at(0), error_class::client_limit, 0, 0);
  CHECK(nowhere[0].error_message.ends_with("; no local port is left, or no such network"));

  // One that swallows the SYN leaves the next one its share of the time; once it is known, the good one goes first.
  scripted::unanswered_port nobody;
  static std::atomic<int> connects{0};
  struct counting : net::tcp {
    net::io connect(const net::address& to) noexcept { return ++connects, tcp::connect(to); }
  };
  for (int i = 0; i < 3; ++i) s.next(preset("connection_close"));
  const auto swallowed = over<counting>(addresses({"http://127.0.0.1:" + std::to_string(nobody.port()), good}), 3, {.connect = 400_ms});
  REQUIRE(swallowed.size() == 3);
  for (const auto& r : swallowed) {
    CHECK(r.status == request_status::ok);
    CHECK_FALSE(r.reused_connection);
  }
  CHECK(connects == 4);
  CHECK(swallowed[0].connected.at - swallowed[0].connect_begin.at >= 200_ms);
  const auto all = over<counting>(addresses({"http://127.0.0.1:" + std::to_string(nobody.port()), "http://127.0.0.1:" + std::to_string(nobody.port())}), 1, {.connect = 200_ms});
  check_failed(all.at(0), error_class::connect_timeout, 0, 0);
  CHECK(all[0].closed.at - all[0].connect_begin.at >= 200_ms);
}

TEST_CASE("replay: F-NET-34 localhost, an IPv6 address, and a name that nobody knows") {
  {
    scripted::server s({.pace = {.chunks = 3}});
    CHECK(run(s, {.url = "http://localhost:" + std::to_string(s.port())}, replay::closed({.streams = 2, .requests = 4})).count(request_status::ok) == 4);
    CHECK(run(s, {.url = "http://LOCALHOST:" + std::to_string(s.port())}, replay::closed({.requests = 1})).count(request_status::ok) == 1);
  }
  try {
    scripted::server s({.listen = "::1", .pace = {.chunks = 3}});
    const auto done = run(s, {}, replay::closed({.requests = 2}));
    CHECK(done.count(request_status::ok) == 2);
    CHECK(s.find(done.requests[0].id)->head.find("Host: [::1]:" + std::to_string(s.port())) != std::string::npos);
  } catch (const std::runtime_error& e) {
    MESSAGE("no IPv6 here: " << e.what());
  }
  // No name has a label of 64 letters: the resolver asks nobody.
  const std::string unknown = std::string(64, 'x') + ".invalid";
  auto w = prompts();
  const auto before = open_descriptors();
  const auto done = replay::client<>{{.url = "http://" + unknown + ":80"}}.run(w, replay::closed({.requests = 1}));
  REQUIRE_FALSE(done.has_value());
  CHECK(done.error().code == errc::not_found);
  CHECK(done.error().message().find("host \"" + unknown + "\" is not known") != std::string::npos);
  CHECK(open_descriptors() == before);
}

TEST_CASE("replay: F-NET-34 a localhost of two addresses of which one answers") {
  if (!inside()) {
    passes_in_a_namespace("replay: F-NET-34 a localhost of two addresses of which one answers");
    return;
  }
  if (!enter_namespaces(CLONE_NEWNS)) return;
  hotpath_test::temp_dir dir;
  const std::string hosts = dir.write("hosts", "::1 localhost\n127.0.0.1 localhost\n");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 || ::mount(hosts.c_str(), "/etc/hosts", nullptr, MS_BIND, nullptr) != 0) {
    hotpath_test::skip(std::string("no namespaces: mount: ") + std::strerror(errno));
    return;
  }
  scripted::server v4({.pace = {.chunks = 3}});
  const std::string url = "http://localhost:" + std::to_string(v4.port());
  const auto found = net::resolve(*net::parse_url(url));
  REQUIRE(found.has_value());
  CHECK(found->size() == 2);
  const auto one = run(v4, {.url = url}, replay::closed({.streams = 2, .requests = 6}));  // ::1 refuses
  CHECK(one.count(request_status::ok) == 6);
  // Nobody's IPv6: ::1 is in the hosts file, and no such address is on the machine.
  std::ofstream off("/proc/sys/net/ipv6/conf/all/disable_ipv6");
  off << "1" << std::flush;
  if (off) {
    const auto two = run(v4, {.url = url}, replay::closed({.streams = 2, .requests = 6}));
    CHECK(two.count(request_status::ok) == 6);
    std::ofstream("/proc/sys/net/ipv6/conf/all/disable_ipv6") << "0" << std::flush;
  }
  v4.stop();
  scripted::server v6({.listen = "::1", .pace = {.chunks = 3}});
  const auto three = run(v6, {.url = "http://localhost:" + std::to_string(v6.port())}, replay::closed({.streams = 2, .requests = 6}));
  CHECK(three.count(request_status::ok) == 6);
}
