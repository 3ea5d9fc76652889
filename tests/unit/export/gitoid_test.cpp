#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/gitoid.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>

using namespace stemma;
using namespace stemma::exporting;

TEST_CASE("a gitoid is what git hash-object prints in a SHA-256 repository")
{
    const TemporaryFolder folder("gitoid");
    const auto repo = folder.path().string();
    run_checked({.argv = {"git", "init", "-q", "--object-format=sha256", repo}});
    for (const auto size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{300000}}) {
        const std::string content(size, 'x');
        const auto path = (folder.path() / "content").string();
        write_file(path, content);
        const auto git = run_checked({.argv = {"git", "hash-object", path}, .folder = repo}).out;
        const auto sum = run_checked({.argv = {"sha1sum", path}}).out;
        INFO(size);
        CHECK(gitoid_of(content).hex() == trim(git));
        const auto file = open_file(path, O_RDONLY);
        const auto names = name_content(file.get(), sha256(content));
        REQUIRE(names);
        CHECK(names->gitoid.hex() == trim(git));
        CHECK(names->sha1 == sum.substr(0, 40));
    }
}

TEST_CASE("content that is no longer what was recorded gets no names")
{
    const TemporaryFolder folder("gitoid");
    write_file(folder.path() / "f", "new");
    const auto file = open_file((folder.path() / "f").string(), O_RDONLY);
    CHECK_FALSE(name_content(file.get(), sha256("old")));
    const auto directory = open_file(folder.path().string(), O_RDONLY);
    CHECK_FALSE(name_content(directory.get(), sha256("")));
}
