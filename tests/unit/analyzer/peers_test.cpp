#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/settings.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>

namespace {

using namespace stemma::analyzer;

/// A system that has these configuration files.
FeatureSet system_with(const std::vector<std::pair<std::string, std::string>>& files)
{
    FeatureSet set;
    for (const auto& [path, text] : files) {
        for (auto& feature : settings_features(path, text)) {
            set.features.push_back(std::move(feature));
        }
        Feature mode;
        mode.kind = mode.type = "file";
        mode.identity = mode.file = path;
        mode.attribute = "mode";
        mode.value = "0644";
        set.features.push_back(std::move(mode));
    }
    set.arrange();
    return set;
}

std::string config(const std::string& size, int noise)
{
    return "http {\n  client_max_body_size " + size + ";\n  gzip on;\n  keepalive_timeout " +
           std::to_string(noise) + ";\n}\n";
}

} // namespace

TEST_CASE("PeerPressure gives the published formula's values")
{
    // N = 10 peers, c = 2 values, m matches, t = 100 suspects, by hand:
    // m = 0: (10 + 2) / (10 + 200 + 0)            = 12 / 210
    // m = 1: 12 / (210 + 2 * 1 * 99)              = 12 / 408
    // m = 9: 12 / (210 + 2 * 9 * 99)              = 12 / 1992
    CHECK(peer_pressure(10, 2, 0, 100) == Approx(12.0 / 210));
    CHECK(peer_pressure(10, 2, 1, 100) == Approx(12.0 / 408));
    CHECK(peer_pressure(10, 2, 9, 100) == Approx(12.0 / 1992));
    // By Bayes from its parts: prior 1/t, P(V|sick) = 1/c, P(V|healthy) = (m + 1)/(N + c).
    const double n = 87;
    const double c = 3;
    const double m = 5;
    const double t = 40;
    const double sick = (1 / t) * (1 / c);
    const double healthy = (1 - 1 / t) * (m + 1) / (n + c);
    CHECK(peer_pressure(n, c, m, t) == Approx(sick / (sick + healthy)));
}

TEST_CASE("one setting changed among four VMs ranks first, own names stay out of the way")
{
    Pool pool;
    const auto vm = [](int number, const std::string& size) {
        const std::string name = "shop-" + std::to_string(number);
        return system_with(
            {{"/etc/hostname", name + "\n"},
             {"/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 " + name + "\n"},
             {"/etc/machine-id", std::string(31, 'a') + std::to_string(number) + "\n"},
             {"/etc/motd", "this is " + name + "\n"},
             {"/etc/nginx/nginx.conf", config(size, 10 * number)}});
    };
    for (const int number : {1, 2, 4}) {
        pool.add(pool.read("shop-" + std::to_string(number), vm(number, "50m")));
    }
    const Sample target = pool.read("shop-3", vm(3, "1m"), true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(ranking.of_interest >= 1);
    const Finding& first = ranking.findings.front();
    CHECK(first.file == "/etc/nginx/nginx.conf");
    CHECK(first.setting == "http/client_max_body_size");
    CHECK(first.line == 2);
    CHECK(first.value == "1m");
    CHECK(first.expected == "50m");
    CHECK(first.peers == 3);
    CHECK(first.peers_with == 0);
    CHECK(first.category == Category::of_interest);
    for (const Finding& finding : ranking.findings) {
        INFO(finding.file << " " << finding.setting);
        CHECK(finding.file == "/etc/nginx/nginx.conf"); // neither hosts nor motd nor machine-id
    }
}

TEST_CASE("a value that differs on every VM is noise")
{
    Pool pool;
    for (int i = 0; i < 20; ++i) {
        pool.add(pool.read("vm" + std::to_string(i),
                           system_with({{"/etc/nginx/nginx.conf", config("50m", 100 + i)}})));
    }
    const Sample target =
        pool.read("odd", system_with({{"/etc/nginx/nginx.conf", config("50m", 111)}}), true);
    const PeerModel model(pool);
    CHECK(model.rank(target, {}).of_interest == 0);
}

TEST_CASE("a value that is right elsewhere is found by its context")
{
    // Two data centres, told apart by two files; the resolver must be that of one's own.
    Pool pool;
    const auto vm = [](const std::string& place, const std::string& resolver) {
        return system_with(
            {{"/etc/timezone", place + "\n"},
             {"/etc/apt/sources.list", "deb http://mirror." + place + " stable main\n"},
             {"/etc/resolv.conf", "search " + resolver + ".example\n"}});
    };
    for (int i = 0; i < 15; ++i) {
        pool.add(pool.read("fra" + std::to_string(i), vm("fra", "fra")));
        pool.add(pool.read("ams" + std::to_string(i), vm("ams", "ams")));
    }
    const Sample target = pool.read("fra-odd", vm("fra", "ams"), true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE_FALSE(ranking.findings.empty());
    CHECK(ranking.findings.front().file == "/etc/resolv.conf");
    CHECK(ranking.findings.front().peers == 15);
    CHECK(ranking.findings.front().category == Category::of_interest);
}

TEST_CASE("contexts are found in a large fleet whose VMs alternate between two places")
{
    const auto vm = [](bool north, const std::string& server) {
        const std::string place = north ? "north" : "south";
        return system_with({{"/etc/motd.conf", "place = " + place + "\n"},
                            {"/etc/timezone.conf", "zone = " + place + "\n"},
                            {"/etc/mirror.conf", "mirror = " + place + "\n"},
                            {"/etc/proxy.conf", "proxy = " + place + "\n"},
                            {"/etc/ntp.conf", "server ntp." + server + ".example\n"}});
    };
    Pool pool;
    constexpr int vms = 2'100; // more than contexts are learned from
    for (int number = 0; number < vms; ++number) {
        const bool north = number % 2 == 0;
        pool.add(pool.read("vm" + std::to_string(number), vm(north, north ? "north" : "south")));
    }
    const PeerModel model(pool);
    for (const bool north : {true, false}) {
        CAPTURE(north);
        const auto right = pool.read("right", vm(north, north ? "north" : "south"), true);
        CHECK(model.rank(right, {}).of_interest == 0);
        const auto wrong = pool.read("wrong", vm(north, north ? "south" : "north"), true);
        const auto ranking = model.rank(wrong, {});
        REQUIRE(ranking.of_interest == 1);
        CHECK(ranking.findings[0].file == "/etc/ntp.conf");
    }
}

TEST_CASE("what all peers have and the target lacks is found, with what it should be")
{
    Pool pool;
    for (int i = 0; i < 10; ++i) {
        pool.add(pool.read("vm" + std::to_string(i),
                           system_with({{"/etc/my.cnf", "[mysqld]\nport = 1\nexpire = 7\n"}})));
    }
    const Sample target =
        pool.read("odd", system_with({{"/etc/my.cnf", "[mysqld]\nport = 1\n"}}), true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(ranking.findings.size() == 1);
    CHECK_FALSE(ranking.findings[0].value.has_value());
    CHECK(ranking.findings[0].expected == "7");
    CHECK(ranking.findings[0].setting == "mysqld/expire");
}

TEST_CASE("a VM like its peers has no findings, and without peers nothing is said")
{
    Pool pool;
    const auto same = system_with({{"/etc/my.cnf", "[mysqld]\nport = 1\n"}});
    const Sample alone = pool.read("alone", same, true);
    CHECK(PeerModel(pool).rank(alone, {}).findings.empty());
    for (int i = 0; i < 5; ++i) {
        pool.add(pool.read("vm" + std::to_string(i), same));
    }
    const Sample target = pool.read("vm", same, true);
    for (const Method method :
         {Method::stemma, Method::peerpressure, Method::tfidf, Method::diff}) {
        RankOptions options;
        options.method = method;
        const Ranking ranking = PeerModel(pool).rank(target, options);
        CHECK(ranking.findings.empty());
        CHECK(ranking.peers == 5);
    }
}

TEST_CASE("--explain shows every value with its VMs and marks the target's")
{
    Pool pool;
    for (int i = 0; i < 6; ++i) {
        pool.add(
            pool.read("vm" + std::to_string(i),
                      system_with({{"/etc/nginx/nginx.conf", config(i < 4 ? "50m" : "9m", 1)}})));
    }
    const Sample target =
        pool.read("odd", system_with({{"/etc/nginx/nginx.conf", config("1m", 1)}}), true);
    const auto found = PeerModel(pool).explain(target, "client_max_body_size", {});
    REQUIRE(found.size() == 1);
    REQUIRE(found[0].rows.size() == 3);
    CHECK(found[0].rows[0].value == "50m");
    CHECK(found[0].rows[0].count == 4);
    CHECK(found[0].rows[2].value == "1m");
    CHECK(found[0].rows[2].target);
}

TEST_CASE("beside its own past alone, a changed setting is of interest")
{
    Pool pool;
    pool.add(pool.read("past", system_with({{"/etc/my.cnf", "[mysqld]\nport = 1\nuser = a\n"}})));
    const Sample target =
        pool.read("now", system_with({{"/etc/my.cnf", "[mysqld]\nport = 2\nuser = a\n"}}), true);
    const Ranking ranking = PeerModel(pool).rank(target, {});
    REQUIRE(ranking.of_interest == 1);
    CHECK(ranking.findings.front().setting == "mysqld/port");
    CHECK(ranking.findings.front().expected == "1");
}

namespace {

Feature fact(const std::string& kind,
             const std::string& identity,
             const std::string& attribute,
             const std::string& value,
             const std::string& file = {})
{
    Feature feature;
    feature.kind = feature.type = kind;
    feature.identity = identity;
    feature.attribute = attribute;
    feature.value = value;
    feature.file = file;
    return feature;
}

/// A package with forty files; its version decides their content.
FeatureSet system_with_package(const std::string& version, const std::string& extra)
{
    FeatureSet set;
    set.features.push_back(fact("package", "openssl", "version", version, "/var/lib/dpkg/status"));
    for (int i = 0; i < 40; ++i) {
        const std::string path = "/usr/bin/tool" + std::to_string(i);
        set.features.push_back(fact("file", path, "package", "openssl", path));
        set.features.push_back(
            fact("file", path, "sha256", version + "-" + std::to_string(i), path));
    }
    set.features.push_back(fact("file", "/usr/bin/other", "sha256", extra, "/usr/bin/other"));
    set.arrange();
    return set;
}

} // namespace

TEST_CASE("one package upgrade that changed forty files is one finding")
{
    Pool pool;
    for (int i = 0; i < 12; ++i) {
        pool.add(pool.read("vm" + std::to_string(i), system_with_package("3.0.14", "same")));
    }
    const Sample target = pool.read("odd", system_with_package("3.0.15", "changed"), true);
    const Ranking ranking = PeerModel(pool).rank(target, {});
    REQUIRE(ranking.findings.size() == 2); // the upgrade, and the file that no package has
    const auto upgrade = std::find_if(ranking.findings.begin(),
                                      ranking.findings.end(),
                                      [](const Finding& f) { return f.members.size() > 1; });
    REQUIRE(upgrade != ranking.findings.end());
    CHECK(upgrade->file == "package:");
    CHECK(upgrade->setting == "openssl/version");
    CHECK(upgrade->value == "3.0.15");
    CHECK(upgrade->expected == "3.0.14");
    CHECK(upgrade->members.size() == 41);
}

TEST_CASE("a setting that names what is not there is one finding with the setting")
{
    const auto vm = [](const std::string& root, bool there) {
        FeatureSet set =
            system_with({{"/etc/nginx/nginx.conf", "http {\n  root " + root + ";\n}\n"}});
        if (!there) {
            set.features.push_back(fact("setting",
                                        "/etc/nginx/nginx.conf:http",
                                        "root (names nothing)",
                                        root,
                                        "/etc/nginx/nginx.conf"));
        }
        set.arrange();
        return set;
    };
    Pool pool;
    for (int i = 0; i < 12; ++i) {
        pool.add(pool.read("vm" + std::to_string(i), vm("/srv/a" + std::to_string(i), true)));
    }
    // Every VM has a root of its own: only that this one is not there tells anything.
    const Sample target = pool.read("odd", vm("/srv/b", false), true);
    const Ranking ranking = PeerModel(pool).rank(target, {});
    REQUIRE(ranking.of_interest == 1);
    CHECK(ranking.findings.front().setting == "http/root (names nothing)");
    CHECK(ranking.findings.front().reason.find("is not there") != std::string::npos);
    const Sample healthy = pool.read("fine", vm("/srv/c", true), true);
    CHECK(PeerModel(pool).rank(healthy, {}).of_interest == 0);
}

namespace {

std::vector<std::pair<std::string, std::string>> service_files(int number)
{
    return {{"/etc/systemd/system/app.service", "[Service]\nExecStart=/bin/app\n"},
            {"/etc/systemd/system/tool" + std::to_string(number) + ".service",
             "[Service]\nExecStart=/opt/tool\n"}};
}

} // namespace

TEST_CASE("a new drop-in is found among VMs that each have services of their own")
{
    Pool pool;
    for (int i = 0; i < 20; ++i) {
        pool.add(pool.read("vm" + std::to_string(i), system_with(service_files(i))));
    }
    auto files = service_files(99);
    files.emplace_back("/etc/systemd/system/app.service.d/limit.conf", "[Service]\nMemoryMax=8M\n");
    const Sample target = pool.read("odd", system_with(files), true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(!ranking.findings.empty());
    const Finding& first = ranking.findings.front();
    CHECK(first.file == "/etc/systemd/system/app.service.d/limit.conf");
    CHECK(first.setting == "Service/MemoryMax");
    CHECK(first.value == "8M");
    CHECK(first.line == 2);
}

TEST_CASE("a new file with several settings is shown with what it says")
{
    Pool pool;
    for (int i = 0; i < 5; ++i) {
        pool.add(pool.read("vm" + std::to_string(i),
                           system_with({{"/etc/ssh/sshd_config", "Port 22\n"}})));
    }
    const Sample target =
        pool.read("odd",
                  system_with({{"/etc/ssh/sshd_config", "Port 22\n"},
                               {"/etc/ssh/sshd_config.d/x.conf",
                                "PasswordAuthentication yes\nPermitRootLogin yes\n"}}),
                  true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(!ranking.findings.empty());
    const Finding& first = ranking.findings.front();
    CHECK(first.file == "/etc/ssh/sshd_config.d/x.conf");
    CHECK(first.reason.find("passwordauthentication = yes") != std::string::npos);
    CHECK(first.reason.find("permitrootlogin = yes") != std::string::npos);
    REQUIRE(first.members.size() >= 3);
    CHECK(first.members[1].setting == "passwordauthentication");
}

TEST_CASE(
    "the first setting in a file that had only comments is the finding, not the file's digest")
{
    Pool pool;
    const auto digest_of = [](FeatureSet set, const std::string& digest) {
        Feature feature;
        feature.kind = feature.type = "file";
        feature.identity = feature.file = "/etc/systemd/journald.conf";
        feature.attribute = "sha256";
        feature.value = digest;
        set.features.push_back(std::move(feature));
        set.arrange();
        return set;
    };
    for (int i = 0; i < 8; ++i) {
        pool.add(pool.read(
            "vm" + std::to_string(i),
            digest_of(system_with({{"/etc/systemd/journald.conf", "[Journal]\n#Storage=auto\n"}}),
                      "aa")));
    }
    const Sample target = pool.read(
        "odd",
        digest_of(system_with({{"/etc/systemd/journald.conf", "[Journal]\nStorage=none\n"}}), "bb"),
        true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(ranking.findings.size() == 1);
    CHECK(ranking.findings.front().setting == "Journal/Storage");
    CHECK(ranking.findings.front().value == "none");
}

TEST_CASE("beside five peers a file that none of them has is of interest")
{
    Pool pool;
    for (int i = 0; i < 5; ++i) {
        pool.add(pool.read("vm" + std::to_string(i),
                           system_with({{"/etc/cron.d/backup", "0 1 * * * root /bin/backup\n"}})));
    }
    const Sample target =
        pool.read("odd",
                  system_with({{"/etc/cron.d/backup", "0 1 * * * root /bin/backup\n"},
                               {"/etc/cron.d/nightly", "0 3 * * * root /sbin/reboot\n"}}),
                  true);
    const PeerModel model(pool);
    const Ranking ranking = model.rank(target, {});
    REQUIRE(ranking.of_interest == 1);
    CHECK(ranking.findings.front().file == "/etc/cron.d/nightly");
    CHECK(ranking.findings.front().line == 1);
}
