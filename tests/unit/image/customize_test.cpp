#include "stemma/image/customize.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include "image_world.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

namespace fs = std::filesystem;

struct Golden : support::ImageWorld {
    fs::path raw = folder.path() / "golden.raw";

    Golden()
    {
        const auto tree = folder.path() / "tree";
        support::make_system(tree);
        fs::create_directories(tree / "usr/lib/systemd/system");
        fs::create_directories(tree / "etc/systemd/system/old.target.wants");
        fs::create_directories(tree / "etc/ssh");
        fs::create_directories(tree / "usr/share/zoneinfo/Europe");
        write_file(tree / "usr/share/zoneinfo/Europe/Berlin", "TZif");
        write_file(tree / "usr/lib/systemd/system/shop.service",
                   "[Unit]\n[Install]\nWantedBy=multi-user.target\nAlias=store.service\n");
        write_file(tree / "usr/lib/systemd/system/cron.service", "[Unit]\n");
        fs::create_symlink("/usr/lib/systemd/system/cron.service",
                           tree / "etc/systemd/system/old.target.wants/cron.service");
        write_file(tree / "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        write_file(tree / "etc/ssh/ssh_host_rsa_key", "secret");
        write_file(tree / "etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\told\n");
        support::make_ext(raw, tree);
        image::import_image(world, "golden", file(raw));
    }

    image::Change apply(const std::string& name, const std::string& yaml)
    {
        const auto path = folder.path() / "custom.yaml";
        write_file(path, yaml);
        return image::customize(world, named("golden"), name, image::load_customization(path));
    }
};

} // namespace

TEST_CASE("a customization is applied whole, offline, and recorded")
{
    Golden golden;
    write_file(golden.folder.path() / "conf.in", "port = ${port}\ncost = 5$$\n");
    const auto change = golden.apply(
        "mine",
        "version: 1\nhostname: shop-7\ntimezone: Europe/Berlin\n"
        "users:\n  - name: shop\n    ssh_keys: [\"ssh-ed25519 AAAA a@b\"]\n"
        "services:\n  enable: [shop.service]\n  disable: [cron.service]\n  mask: [bad.timer]\n"
        "values: {port: \"7070\"}\n"
        "files:\n  - path: /etc/shop/new.conf\n    template: conf.in\n    mode: \"0600\"\n"
        "reset: [machine-id, ssh-host-keys]\n");
    const auto tree = image::open_selected(golden.named("mine"));
    CHECK(tree->read_all("/etc/hostname", 100) == "shop-7\n");
    CHECK(tree->read_all("/etc/hosts", 100) == "127.0.0.1\tlocalhost\n127.0.1.1\tshop-7\n");
    CHECK(tree->read_link("/etc/localtime") == "/usr/share/zoneinfo/Europe/Berlin");
    CHECK(tree->read_all("/etc/shop/new.conf", 100) == "port = 7070\ncost = 5$\n");
    CHECK(tree->look("/etc/shop/new.conf")->mode == 0600);
    CHECK(tree->read_link("/etc/systemd/system/multi-user.target.wants/shop.service") ==
          "/lib/systemd/system/shop.service");
    CHECK(tree->read_link("/etc/systemd/system/store.service") ==
          "/lib/systemd/system/shop.service");
    CHECK_FALSE(tree->look("/etc/systemd/system/old.target.wants/cron.service").has_value());
    CHECK(tree->read_link("/etc/systemd/system/bad.timer") == "/dev/null");
    CHECK(tree->read_all("/.ssh/authorized_keys", 100) == "ssh-ed25519 AAAA a@b\n");
    CHECK(tree->look("/.ssh/authorized_keys")->uid == 990);
    CHECK(tree->look("/.ssh")->mode == 0700);
    CHECK(tree->look("/etc/machine-id")->size == 0);
    CHECK_FALSE(tree->look("/etc/ssh/ssh_host_rsa_key").has_value());
    CHECK(change.image.installed[0]["kind"] == "patch");
    const auto flat = golden.folder.path() / "flat.raw";
    image::export_image(golden.world, golden.named("mine"), flat, volume::ContainerFormat::raw);
    CHECK(support::is_clean(flat));
}

TEST_CASE("a host name in an image without /etc/hosts leaves localhost known")
{
    Golden golden;
    golden.apply("bare", "version: 1\nfiles: [{path: /etc/hosts, content: \"\"}]\n");
    const auto path = golden.folder.path() / "named.yaml";
    write_file(path, "version: 1\nhostname: shop-8\n");
    image::customize(golden.world, golden.named("bare"), "named", image::load_customization(path));
    CHECK(image::open_selected(golden.named("named"))->read_all("/etc/hosts", 100) ==
          "127.0.0.1\tlocalhost\n127.0.1.1\tshop-8\n");
}

TEST_CASE("a customization that the image cannot follow is refused by name")
{
    Golden golden;
    const auto refused = [&](const std::string& yaml) {
        const auto error = support::error_of([&] { golden.apply("x", "version: 1\n" + yaml); });
        CHECK(golden.names().size() == 1);
        return error ? error->message() : "";
    };
    CHECK(refused("users: [{name: nobody-here, ssh_keys: [\"ssh-rsa A\"]}]\n")
              .find("no user nobody-here") != std::string::npos);
    CHECK(refused("timezone: Mars/Olympus\n").find("time zone Mars/Olympus") != std::string::npos);
    CHECK(refused("timezone: ../../etc/passwd\n").find("custom.yaml:2:") != std::string::npos);
    CHECK(refused("services: {enable: [none.service]}\n").find("no unit none.service") !=
          std::string::npos);
    CHECK(refused("services: {enable: [cron.service]}\n").find("names nothing") !=
          std::string::npos);
    CHECK(refused("hostnam: x\n").find("hostnam") != std::string::npos);
    CHECK(refused("files: [{path: /a/../../b, content: x}]\n").find("not a place in an image") !=
          std::string::npos);
    CHECK(refused("files: [{path: /a, content: x, source: y}]\n").find("exactly one") !=
          std::string::npos);
}

TEST_CASE("collecting removes what was retired, and keeps what is needed")
{
    Golden golden;
    const auto first = golden.apply("one", "version: 1\nhostname: one\n");
    const auto path = golden.folder.path() / "two.yaml";
    write_file(path, "version: 1\nhostname: two\n");
    const auto second =
        image::customize(golden.world, golden.named("one"), "two", image::load_customization(path));
    image::retire(golden.world, first.image, "test");
    CHECK(image::collect(golden.world, false).files.empty()); // "two" builds on it
    image::retire(golden.world, second.image, "test");
    const auto dry = image::collect(golden.world, true);
    CHECK(dry.files.size() == 2);
    CHECK(golden.names().size() == 3);
    {
        const auto reader = disk::open_disk(second.image.path, {});
        const auto busy = image::collect(golden.world, false);
        CHECK(busy.files.size() == 2);
        CHECK(golden.names().size() == 3); // the reader holds both layers
    }
    image::collect(golden.world, false);
    CHECK(golden.names().size() == 1);
    CHECK(image::open_selected(golden.named("golden"))->look("/etc/hosts").has_value());
}
