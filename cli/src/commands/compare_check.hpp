#pragma once

#include "stemma/cli/context.hpp"
#include "stemma/deployer/release.hpp"
#include "stemma/deployer/verify.hpp"

namespace stemma::cli {

/// The checks of a release file; when they all hold and it asks for that, the VM is compared with
/// its peers too: a snapshot of it is taken, and read beside the newest ones of the VMs of the
/// release that run the same image. Here the deployer's port meets the analyzer.
class PeerVerifier final : public deployer::Verifier {
public:
    /// All is borrowed.
    PeerVerifier(Context& context, deployer::Verifier& checks, deployer::CompareCheck wanted);
    std::vector<deployer::CheckResult> verify(const deployer::VmSpec& vm,
                                              deployer::GuestPort& guest) override;

private:
    deployer::CheckResult compare(const deployer::VmSpec& vm);

    Context& context_;
    deployer::Verifier& checks_;
    deployer::CompareCheck wanted_;
};

} // namespace stemma::cli
