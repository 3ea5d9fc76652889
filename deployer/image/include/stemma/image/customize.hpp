#pragma once

#include "stemma/image/library.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stemma::image {

/// How an image is made one's own without running anything in it. From a YAML file, version 1:
///
///     version: 1
///     hostname: shop
///     timezone: Europe/Berlin          # must be in the image's /usr/share/zoneinfo
///     users:
///       - name: admin                  # must be in the image's /etc/passwd
///         ssh_keys: ["ssh-ed25519 AAAA… admin@desk"]
///     services:
///       enable: [shop.service]         # by the unit's own [Install] section
///       disable: [cron.service]
///       mask: [apt-daily.timer]
///     values: {port: "7070"}           # for the files below: ${port}; "$$" is a dollar
///     files:
///       - path: /etc/shop/shop.conf
///         template: shop.conf.in       # beside the YAML file; or content: "text", or source: FILE
///         mode: "0644"
///     reset: [machine-id, ssh-host-keys]   # what each clone must make for itself
struct Customization {
    struct User {
        std::string name;
        std::vector<std::string> ssh_keys;
    };
    struct File {
        std::string path;
        std::string content;
        std::uint32_t mode = 0644;
    };
    std::filesystem::path source;
    std::string sha256; ///< of the YAML text
    std::optional<std::string> hostname;
    std::optional<std::string> timezone;
    std::vector<User> users;
    std::vector<std::string> enable;
    std::vector<std::string> disable;
    std::vector<std::string> mask;
    std::vector<File> files; ///< values put in
    bool reset_machine_id = false;
    bool reset_ssh_host_keys = false;
};

/// throws  config: with file and line; not_found: a template or source is missing
Customization load_customization(const std::filesystem::path& file);

/// Makes a new image version with the customization applied.
/// throws  not_found: a user, unit or time zone that the image does not have; as install()
Change customize(World& world,
                 const Selected& base,
                 const std::string& name,
                 const Customization& customization);

} // namespace stemma::image
