#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    try {
        const auto node = stemma::config::Node::parse(text, "input.yaml");
        node.allow_only({"version", "images", "vms"});
    } catch (const stemma::Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}
