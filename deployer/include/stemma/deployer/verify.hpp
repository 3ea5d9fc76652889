#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/json.hpp"
#include "stemma/deployer/guest_port.hpp"
#include "stemma/deployer/spec.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace stemma::deployer {

/// One answer of one check.
struct CheckResult {
    std::string name; ///< "file /usr/sbin/shopd", "tcp 7070", …
    bool ok = false;
    std::string expected;
    std::string actual;
};
Json to_json(const std::vector<CheckResult>& checks);

/// Decides whether a VM that runs is good.
class Verifier {
public:
    virtual ~Verifier() = default;
    Verifier() = default;
    Verifier(const Verifier&) = delete;
    Verifier& operator=(const Verifier&) = delete;
    /// Asks once; the caller asks again until all hold or its patience is over.
    virtual std::vector<CheckResult> verify(const VmSpec& vm, GuestPort& guest) = 0;
};

/// The content that a path must have inside VMs of an image: what the lineage knows. nullopt when
/// it knows nothing.
using ExpectedContent =
    std::function<std::optional<std::string>(const ImageRef& image, const std::string& path)>;

/// The checks of a release file, asked of the VM's inside.
class GuestVerifier final : public Verifier {
public:
    GuestVerifier(Verification wanted, ExpectedContent expected);
    std::vector<CheckResult> verify(const VmSpec& vm, GuestPort& guest) override;

private:
    CheckResult check_file(const FileCheck& check, const VmSpec& vm, GuestPort& guest) const;

    Verification wanted_;
    ExpectedContent expected_;
};

} // namespace stemma::deployer
