#include "stemma/analyzer/canonical.hpp"
#include "stemma/analyzer/pool.hpp"
#include "stemma/analyzer/settings.hpp"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <set>
#include <string>

namespace {

using namespace stemma::analyzer;

FeatureSet random_system(std::mt19937& random)
{
    const auto below = [&](unsigned long n) { return random() % n; };
    std::string text = "[main]\n";
    for (int i = 0; i < 12; ++i) {
        if (below(4) != 0) {
            text += "key" + std::to_string(i) + " = " + std::to_string(below(3)) + "\n";
        }
    }
    FeatureSet set;
    set.features = settings_features("/etc/app.conf", text);
    if (below(2) == 0) {
        for (auto& feature : settings_features("/etc/ssh/sshd_config",
                                               "AllowGroups g" + std::to_string(below(5)) + "\n")) {
            set.features.push_back(feature);
        }
    }
    set.arrange();
    return set;
}

/// Everything that can be asked of a pool's counts, in names instead of numbers.
std::map<std::string, std::map<std::string, std::size_t>> counts_of(const Pool& pool)
{
    std::map<std::string, std::map<std::string, std::size_t>> all;
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        const auto [file, key] = pool.describe(id);
        std::map<std::string, std::size_t> counts;
        for (const auto& [code, count] : pool.counts(id)) {
            counts[std::string(pool.value_text(id, code))] = count;
        }
        if (!counts.empty()) {
            all[file + ":" + key + "#" + std::to_string(static_cast<int>(pool.node(id).role))] =
                counts;
        }
        std::size_t total = 0;
        for (const auto& [value, count] : counts) {
            total += count;
        }
        CHECK(total == pool.present(id));
    }
    return all;
}

} // namespace

TEST_CASE("a pool kept up to date equals one that is built anew")
{
    std::mt19937 random(7);
    Pool kept;
    std::map<VmIndex, FeatureSet> now;
    for (int step = 0; step < 400; ++step) {
        const auto what = random() % 4;
        if (what < 2 || now.empty()) {
            const FeatureSet set = random_system(random);
            now[kept.add(kept.read("vm", set))] = set;
        } else {
            auto one = now.begin();
            std::advance(one, static_cast<long>(random() % now.size()));
            if (what == 2) {
                one->second = random_system(random);
                kept.replace(one->first, kept.read("vm", one->second));
            } else {
                kept.remove(one->first);
                now.erase(one);
            }
        }
        if (step % 20 != 0) {
            continue;
        }
        Pool fresh;
        for (const auto& [vm, set] : now) {
            fresh.add(fresh.read("vm", set));
        }
        REQUIRE(kept.live() == fresh.live());
        REQUIRE(counts_of(kept) == counts_of(fresh));
    }
}

TEST_CASE("own names, identifiers, booleans and paths have one form each")
{
    OwnNames names;
    names.host = "web07";
    names.fqdn = "web07.example.org";
    names.addresses = {"10.20.7.10"};
    names.versions = {{"php", "8.2"}};
    const Canonical canonical(names);
    const auto form = [&](std::string_view raw) { return *canonical.value("", raw); };
    CHECK(form("web07.example.org") == "⟨FQDN⟩");
    CHECK(form("http://web07:80/x") == "http://⟨HOST⟩:80/x");
    CHECK(form("web071") == "web071");
    CHECK(form("10.20.7.10/24") == "⟨IP⟩/24");
    CHECK(form("10.20.7.1") == "⟨NET24⟩.1");
    CHECK(form("10.20.0.53") == "⟨NET16⟩.0.53");
    CHECK(form("110.20.0.53") == "110.20.0.53");
    CHECK(form("unix:/run/php/php8.2-fpm.sock") == "unix:/run/php/php⟨VER⟩-fpm.sock");
    CHECK(form("UUID=7436c154-4e34-57a3-88fe-cd2c16649a03") == "UUID=⟨UUID⟩");
    CHECK(form("52:54:00:2e:d9:d8") == "⟨MAC⟩");
    CHECK(form("5d0d0c77281640654a3981e654cbaee7") == "⟨HEX⟩");
    CHECK(form("$6$abcdefgh$0123456789abcdef") == "⟨HASH⟩");
    CHECK(form("2026-11-21T03:00:00Z") == "⟨TIME⟩");
    CHECK(form("On") == "yes");
    CHECK(form("disabled") == "no");
    CHECK(form("/var//www/") == "/var/www");
    CHECK(form("/lib/systemd/system/x.service") == "/usr/lib/systemd/system/x.service");
    CHECK(form("some words only") == "some words only");
    CHECK(canonical.expand("http://⟨HOST⟩:80/⟨NET16⟩.0.1") == "http://web07:80/10.20.0.1");
}

TEST_CASE("a disk that the VM does not have is not anonymised")
{
    OwnNames names;
    names.disk_ids = {"7436c154-4e34-57a3-88fe-cd2c16649a03"};
    const Canonical canonical(names);
    CHECK(*canonical.value("", "UUID=7436C154-4e34-57a3-88fe-cd2c16649a03") == "UUID=⟨UUID⟩");
    CHECK(*canonical.value("", "UUID=00000000-4e34-57a3-88fe-cd2c16649a03") ==
          "UUID=00000000-4e34-57a3-88fe-cd2c16649a03");
}

TEST_CASE("a user's rules leave settings out or replace parts of them")
{
    const OwnNames names;
    const std::vector<CanonicalRule> rules = {
        {"/etc/app.conf:*token*", "", "", true},
        {"/etc/app.conf:*", "build-[0-9]+", "⟨BUILD⟩", false}};
    const Canonical canonical(names, &rules);
    CHECK_FALSE(canonical.value("/etc/app.conf:main/token", "x").has_value());
    CHECK(*canonical.value("/etc/app.conf:main/version", "app build-77") == "app ⟨BUILD⟩");
    CHECK(*canonical.value("/etc/other.conf:main/version", "build-77") == "build-77");
}

TEST_CASE("numbers are read with their units")
{
    CHECK(quantity_of("64M")->value == 64.0 * 1048576);
    CHECK(quantity_of("1.5 GiB")->value == 1.5 * 1073741824);
    CHECK(quantity_of("30s")->unit == Quantity::Unit::time);
    CHECK(quantity_of("90 minutes")->value == 5400);
    CHECK(quantity_of("50")->unit == Quantity::Unit::none);
    CHECK(quantity_of("85%")->unit == Quantity::Unit::percent);
    for (const char* no : {"", "m", "10.0.0.1", "1 2", "0x10", "-5", "10:20", "1e999999"}) {
        INFO(no);
        CHECK_FALSE(quantity_of(no).has_value());
    }
}

TEST_CASE("operational data is known by its path, and says why")
{
    CHECK(operational_reason("/var/log/syslog") != nullptr);
    CHECK(operational_reason("/etc/machine-id") != nullptr);
    CHECK(operational_reason("/etc/ssh/ssh_host_rsa_key.pub") != nullptr);
    CHECK(operational_reason("/etc/fstab.bak") != nullptr);
    CHECK(operational_reason("/etc/fstab") == nullptr);
    CHECK(operational_reason("/var/lib/mysql") == nullptr);
}
