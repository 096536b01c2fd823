// SPDX-License-Identifier: Apache-2.0
// Kernel profiles kept with a run: stored_run::keep and kernel_profiles.
#include "store_support.hpp"

using namespace store_test;
using run::kernel_profile;

namespace {

std::string make_run(const temp_dir& dir) {
  auto store = store_sqlite::create(dir / "run.db", {}, {});
  REQUIRE(store);
  model::run_info info;
  info.state = model::run_state::stopped;
  REQUIRE(store->finish(info));
  return dir / "run.db";
}

std::vector<kernel_profile> kept(const std::string& path) {
  auto run = stored_run::open(path);
  REQUIRE_MESSAGE(run, run.error().message());
  auto all = run->kernel_profiles();
  REQUIRE_MESSAGE(all, all.error().message());
  return *all;
}

}  // namespace

TEST_CASE("run: kernel profiles are kept with a run, and one of the same source replaces the older") {
  temp_dir dir;
  const std::string path = make_run(dir);
  CHECK(kept(path).empty());
  CHECK(plain_db(path).text("SELECT count(*) FROM sqlite_schema WHERE name = 'kernel_profiles'") == "0");  // a run without profiles has no place for them
  REQUIRE(stored_run::keep(path, {"a.json", 5_ns, "{\"a\":1}"}));
  REQUIRE(stored_run::keep(path, {"b.json", 6_ns, std::string("{\"b\": \"\0\"}", 10)}));
  REQUIRE(stored_run::keep(path, {"a.json", 7_ns, "{\"a\":2}"}));
  const auto all = kept(path);
  REQUIRE(all.size() == 2);
  CHECK(all[0].source == "b.json");
  CHECK(all[0].report.size() == 10);
  CHECK(all[1].source == "a.json");
  CHECK(all[1].added == 7_ns);
  CHECK(all[1].report == "{\"a\":2}");
  CHECK(list(dir.path) == std::vector<std::string>{"run.db"});  // nothing is left beside it
  CHECK(mode_of(path) == 0600);
  CHECK_FALSE(stored_run::open(path)->partial());
}

TEST_CASE("run: a kernel profile joins a run whose writer was killed") {
  temp_dir dir;
  {
    auto store = store_sqlite::create(dir / "run.db", {}, {});
    REQUIRE(store);
    const auto refused = stored_run::keep(dir / "run.db", {"a", {}, "{}"});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("is writing this run") != std::string::npos);
  }  // without finish()
  REQUIRE(stored_run::keep(dir / "run.db", {"a", {}, "{}"}));
  CHECK(kept(dir / "run.db").size() == 1);
  CHECK(stored_run::open(dir / "run.db")->partial());
}

TEST_CASE("run: what is no run, not there or read-only keeps no kernel profile") {
  temp_dir dir;
  CHECK(stored_run::keep(dir / "none.db", {"a", {}, "{}"}).error().code == errc::not_found);
  write_file(dir / "text.db", "no database, but long enough to be looked at as one, were it one");
  CHECK(stored_run::keep(dir / "text.db", {"a", {}, "{}"}).error().code == errc::malformed);
  CHECK(read_file(dir / "text.db").starts_with("no database"));
  const std::string path = make_run(dir);
  CHECK(stored_run::keep(path, {"a", {}, std::string((64u << 20) + 1, 'x')}).error().code == errc::over_limit);
  CHECK(kept(path).empty());
}

TEST_CASE("run: damage to a kernel profile is an error, never a wrong figure") {
  temp_dir dir;
  const std::string path = make_run(dir);
  REQUIRE(stored_run::keep(path, {"a.json", 5_ns, "{\"a\":1}"}));
  const std::string whole = read_file(path);
  const auto after = [&](const std::string& sql) {
    write_file(path, whole);
    plain_db db{path};
    REQUIRE(db.exec(sql) == SQLITE_OK);
    auto run = stored_run::open(path);
    REQUIRE(run);
    auto all = run->kernel_profiles();
    return all ? std::string() : all.error().message();
  };
  CHECK(after("UPDATE kernel_profiles SET report = '{\"a\":2}'").find("checksum is wrong") != std::string::npos);
  CHECK(after("UPDATE kernel_profiles SET source = 'b.json'").find("checksum is wrong") != std::string::npos);
  CHECK(after("DELETE FROM kernel_profiles").find("0 rows, want 1") != std::string::npos);
  CHECK(after("DROP TABLE kernel_profiles; CREATE VIEW kernel_profiles AS SELECT 1 AS row, 2 AS checksum, 'a' AS source, 3 AS added_ns, 'x' AS report").find("not as hotpath makes it") != std::string::npos);
  // A trigger of somebody else does not run when we write.
  write_file(path, whole);
  { REQUIRE(plain_db{path}.exec("CREATE TRIGGER t AFTER INSERT ON kernel_profiles BEGIN DELETE FROM meta; END") == SQLITE_OK); }
  REQUIRE(stored_run::keep(path, {"b.json", 6_ns, "{}"}));
  CHECK(kept(path).size() == 2);
}
