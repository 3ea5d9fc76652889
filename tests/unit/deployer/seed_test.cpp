#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/deployer/seed.hpp"
#include "stemma/deployer/spec.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>

using namespace stemma;
using namespace stemma::deployer;

namespace {

/// What mtools, which share no code with us, read in the root of the image.
std::string read_back(const std::filesystem::path& image, const std::string& name)
{
    return run_checked({.argv = {"mtype", "-i", image.string(), "::" + name}}).out;
}

} // namespace

TEST_CASE("mtools and fsck.vfat read every seed as what went into it")
{
    if (!find_program("mtype") || !find_program("fsck.vfat")) {
        WARN("[stemma-skip] mtools or dosfstools is missing");
        return;
    }
    const TemporaryFolder folder("seed");
    const auto image = folder.path() / "seed.img";
    for (const std::size_t size : {0U, 1U, 511U, 512U, 513U, 5000U, 174080U, 1000000U}) {
        INFO(size);
        std::string text;
        for (std::size_t i = 0; i < size; ++i) {
            text += static_cast<char>('a' + i * 7919 % 26);
        }
        write_file(image,
                   make_seed({{"user-data", text},
                              {"meta-data", "instance-id: x\n"},
                              {"network-config", "version: 2\n"}}));
        run_checked({.argv = {"fsck.vfat", "-n", image.string()}});
        CHECK(read_back(image, "user-data") == text);
        CHECK(read_back(image, "meta-data") == "instance-id: x\n");
        CHECK(read_back(image, "network-config") == "version: 2\n");
        const auto label = run_checked({.argv = {"mlabel", "-s", "-i", image.string(), "::"}}).out;
        CHECK(label.find("CIDATA") != std::string::npos);
    }
}

TEST_CASE("the same files give the same bytes, other files others")
{
    const std::vector<SeedFile> files = {{"user-data", "#cloud-config\n"}, {"meta-data", ""}};
    CHECK(make_seed(files) == make_seed(files));
    CHECK(make_seed(files) != make_seed({{"user-data", "#cloud-config \n"}, {"meta-data", ""}}));
}

TEST_CASE("what no seed can hold is refused")
{
    for (const auto* name : {"", "a/b", "User", "x.y", "a-name-of-more-than-26-letters"}) {
        INFO(name);
        CHECK(support::error_of([&] { (void)make_seed({{name, ""}}); }));
    }
    CHECK(support::error_of([] { (void)make_seed({{"a", std::string((1U << 20U) + 1, 'x')}}); }));
    CHECK(support::error_of([] { (void)make_seed(std::vector<SeedFile>(9, {"a", ""})); }));
}

TEST_CASE("a VM's seed names it, and takes files beside the release file")
{
    const TemporaryFolder folder("seed");
    const auto file = folder.path() / "user";
    write_file(file, "#cloud-config\n# from a file\n");
    CloudInit cloud{.user_data = {.text = {}, .file = file},
                    .meta_data = std::nullopt,
                    .network_config = std::nullopt};
    const auto seed = seed_of(cloud, "shop", "web-1");
    CHECK(seed.find("# from a file") != std::string::npos);
    CHECK(seed.find("local-hostname: web-1\n") != std::string::npos);
    CHECK(seed.find("instance-id: " + vm_uuid("shop", "web-1")) != std::string::npos);
    CHECK(seed != seed_of(cloud, "shop", "web-2"));
    cloud.user_data.file = folder.path() / "missing";
    CHECK(support::error_of([&] { (void)seed_of(cloud, "shop", "web-1"); }));
}
