#include "stemma/analyzer/matrix.hpp"
#include "stemma/analyzer/settings.hpp"
#include "stemma/core/digest.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace stemma::analyzer;

namespace {

FeatureSet system_called(const std::string& name, const std::string& app)
{
    FeatureSet set;
    for (const auto& [path, text] :
         {std::pair<std::string, std::string>{"/etc/hostname", name + "\n"},
          {"/etc/hosts", "127.0.1.1 " + name + "\n10.1.2.3 db.example\n"},
          {"/etc/app.conf", app}}) {
        for (auto& feature : settings_features(path, text)) {
            set.features.push_back(std::move(feature));
        }
    }
    set.arrange();
    return set;
}

Matrix matrix_from(const std::vector<std::pair<std::string, std::string>>& vms,
                   bool constant = true)
{
    Pool pool;
    for (const auto& [name, app] : vms) {
        pool.add(pool.read(name, system_called(name, app)));
    }
    return matrix_of(pool, {.operational = false, .constant = constant});
}

} // namespace

TEST_CASE("a matrix does not depend on the order in which VMs came")
{
    const std::vector<std::pair<std::string, std::string>> vms = {
        {"web1", "[a]\nsize = 1\nname = web1\n"},
        {"web2", "[a]\nsize = 2\nmore = x\n"},
        {"web3", "[a]\nsize = 1\n"}};
    const Matrix one = matrix_from(vms);
    const Matrix other = matrix_from({vms[2], vms[0], vms[1]});
    CHECK(matrix_csv(one) == matrix_csv(other));
    CHECK(matrix_json(one) == matrix_json(other));
    CHECK(schema_digest(one) == schema_digest(other));
}

TEST_CASE("cells hold canonical values, and tell an absent one from an empty one")
{
    const Matrix matrix = matrix_from(
        {{"web1", "[a]\nempty =\nname = web1\n"}, {"web2", "[a]\nname = web2\n"}}, false);
    CHECK(matrix_csv(matrix) == "vm,/etc/app.conf:a/empty\r\nweb1,\"\"\r\nweb2,\r\n");
}

TEST_CASE("a cell with commas and quotes is quoted once")
{
    const Matrix matrix =
        matrix_from({{"web1", "[a]\nlist = x, \"y\" z\n"}, {"web2", "[a]\nlist = plain\n"}}, false);
    CHECK(matrix_csv(matrix) ==
          "vm,/etc/app.conf:a/list\r\nweb1,\"x, \"\"y\"\" z\"\r\nweb2,plain\r\n");
}

TEST_CASE("an order that is given leaves columns out and adds empty ones")
{
    const Matrix matrix =
        matrix_from({{"web1", "[a]\nb = 1\nc = 2\n"}, {"web2", "[a]\nb = 3\n"}}, false);
    const Matrix ordered = in_order(matrix, {"/etc/app.conf:a/unknown", "/etc/app.conf:a/b"});
    REQUIRE(ordered.columns.size() == 2);
    CHECK(ordered.value(0, 0) == nullptr);
    CHECK(*ordered.value(0, 1) == "1");
    CHECK(*ordered.value(1, 1) == "3");
    CHECK(schema_digest(ordered) ==
          stemma::sha256("/etc/app.conf:a/unknown\n/etc/app.conf:a/b\n").hex());
}

TEST_CASE("the NumPy form has its magic, an aligned header and little-endian codes")
{
    const Matrix matrix =
        matrix_from({{"web1", "[a]\nb = 1\nc = 2\n"}, {"web2", "[a]\nb = 3\n"}}, false);
    const std::string bytes = matrix_npy(matrix);
    REQUIRE(bytes.substr(0, 8) == std::string("\x93NUMPY\x01\x00", 8));
    const std::size_t length =
        static_cast<unsigned char>(bytes[8]) +
        256U * static_cast<std::size_t>(static_cast<unsigned char>(bytes[9]));
    CHECK((10 + length) % 64 == 0);
    CHECK(bytes.find("'shape': (2, 2)") != std::string::npos);
    const std::string codes = bytes.substr(10 + length);
    CHECK(codes == std::string("\x01\0\0\0\x01\0\0\0\x02\0\0\0\0\0\0\0", 16));
}

TEST_CASE("what a pool knows of other VMs does not change what it reads of one")
{
    // The second and third VM come from the cache, with own names that stand in the same places.
    const std::string app = "[a]\nurl = http://NAME:80/\nplain = x\npath = /srv/NAME/data\n";
    const auto text_for = [&](const std::string& name) {
        std::string text = app;
        for (auto at = text.find("NAME"); at != std::string::npos; at = text.find("NAME")) {
            text.replace(at, 4, name);
        }
        return text;
    };
    Pool shared;
    for (const std::string name : {"web1", "web2", "db.example", "x1"}) {
        for (const std::string& content : {text_for(name), text_for("web1"), text_for("plain")}) {
            const FeatureSet set = system_called(name, content);
            const VmIndex vm = shared.add(shared.read(name, set));
            Pool fresh;
            fresh.add(fresh.read(name, set));
            const Matrix alone = matrix_of(fresh, {});
            CHECK(matrix_csv(matrix_of(shared, {})) == matrix_csv(alone));
            shared.remove(vm);
        }
    }
}
