#include "patient_hypervisor.hpp"

#include "stemma/deployer/background.hpp"

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

/// For work that ends in nothing: Background needs a value.
struct Nothing {};

/// Gives it back in time: a host that hangs by then keeps it, and the next deployer on this machine
/// finds its owner dead.
class PatientLease final : public Lease {
public:
    PatientLease(std::unique_ptr<Lease> inner, std::chrono::milliseconds deadline)
        : inner_(std::move(inner)), deadline_(deadline)
    {
    }
    PatientLease(const PatientLease&) = delete;
    PatientLease& operator=(const PatientLease&) = delete;
    ~PatientLease() override
    {
        try {
            Background<Nothing> ending([inner = std::move(inner_)]() mutable {
                inner.reset();
                return Nothing{};
            });
            (void)ending.wait_until(std::chrono::steady_clock::now() + deadline_);
        } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): there is no thread to be
                                          // had; then it is given back here, without a deadline
        }
    }

private:
    std::shared_ptr<Lease> inner_;
    std::chrono::milliseconds deadline_;
};

class PatientHypervisor final : public Hypervisor {
public:
    PatientHypervisor(std::shared_ptr<Hypervisor> inner,
                      std::chrono::milliseconds deadline,
                      const Cancel* cancel)
        : inner_(std::move(inner)), deadline_(deadline), cancel_(cancel)
    {
    }

    [[nodiscard]] const std::string& host() const noexcept override { return inner_->host(); }

    ObservedHost observe() override
    {
        return within<ObservedHost>(0ms, [host = inner_] { return host->observe(); });
    }
    std::optional<ObservedVm> look(const std::string& uuid) override
    {
        return within<std::optional<ObservedVm>>(
            0ms, [host = inner_, uuid] { return host->look(uuid); });
    }
    std::unique_ptr<GuestPort> guest(const ObservedVm& vm,
                                     std::chrono::milliseconds patience) override
    {
        return within<std::unique_ptr<GuestPort>>(
            patience, [host = inner_, vm, patience] { return host->guest(vm, patience); });
    }
    [[nodiscard]] bool can_provide(const VmSpec& spec) override
    {
        return within<bool>(0ms, [host = inner_, spec] { return host->can_provide(spec); });
    }
    [[nodiscard]] std::vector<StoredBase> bases() override
    {
        return within<std::vector<StoredBase>>(0ms, [host = inner_] { return host->bases(); });
    }
    [[nodiscard]] std::unique_ptr<Lease> lease(const std::string& release) override
    {
        auto lease = within<std::unique_ptr<Lease>>(
            0ms, [host = inner_, release] { return host->lease(release); });
        return lease ? std::make_unique<PatientLease>(std::move(lease), deadline_) : nullptr;
    }
    std::vector<std::string> end_leases(const std::string& release) override
    {
        return within<std::vector<std::string>>(
            0ms, [host = inner_, release] { return host->end_leases(release); });
    }
    void remove_base(const std::string& digest) override
    {
        change(0ms, [host = inner_, digest] { host->remove_base(digest); });
    }
    void provide_image(const VmSpec& spec) override
    {
        refuse_hung();
        inner_->provide_image(spec);
    }
    void make_disks(const VmSpec& spec) override
    {
        change(0ms, [host = inner_, spec] { host->make_disks(spec); });
    }
    void define(const VmSpec& spec) override
    {
        change(0ms, [host = inner_, spec] { host->define(spec); });
    }
    void start(const std::string& uuid) override
    {
        change(0ms, [host = inner_, uuid] { host->start(uuid); });
    }
    void stop(const std::string& uuid, std::chrono::seconds patience) override
    {
        change(patience, [host = inner_, uuid, patience] { host->stop(uuid, patience); });
    }
    void undefine(const std::string& uuid) override
    {
        change(0ms, [host = inner_, uuid] { host->undefine(uuid); });
    }
    void remove_disk(const std::string& path) override
    {
        change(0ms, [host = inner_, path] { host->remove_disk(path); });
    }
    void forget(const std::string& vm_name) override
    {
        change(0ms, [host = inner_, vm_name] { host->forget(vm_name); });
    }
    void resume(const std::string& uuid) override
    {
        change(0ms, [host = inner_, uuid] { host->resume(uuid); });
    }
    [[nodiscard]] std::string storage_id() override
    {
        return within<std::string>(0ms, [host = inner_] { return host->storage_id(); });
    }
    [[nodiscard]] bool is_migrating(const std::string& uuid) override
    {
        return within<bool>(0ms, [host = inner_, uuid] { return host->is_migrating(uuid); });
    }
    Incoming prepare_incoming(const VmSpec& spec, bool shared) override
    {
        refuse_hung();
        return inner_->prepare_incoming(spec, shared);
    }
    void migrate(const VmSpec& spec, const Incoming& incoming, bool peer_to_peer) override
    {
        refuse_hung();
        inner_->migrate(spec, incoming, peer_to_peer);
    }
    [[nodiscard]] std::string system_disk(const VmSpec& spec) const override
    {
        return inner_->system_disk(spec);
    }
    [[nodiscard]] std::string console(const VmSpec& spec) const override
    {
        return inner_->console(spec);
    }

private:
    void refuse_hung() const
    {
        if (hung_) {
            throw Error(
                ErrorCode::remote,
                fmt::format("host {} did not answer within {} s, and is not asked again",
                            host(),
                            std::chrono::duration_cast<std::chrono::seconds>(deadline_).count()));
        }
    }

    template <typename T>
    T within(std::chrono::milliseconds patience, std::function<T()> work)
    {
        refuse_hung();
        Background<T> running(std::move(work));
        auto value =
            running.wait_until(std::chrono::steady_clock::now() + deadline_ + patience, cancel_);
        if (!value) {
            hung_ = true;
            refuse_hung();
        }
        return std::move(*value);
    }

    void change(std::chrono::milliseconds patience, std::function<void()> work)
    {
        (void)within<Nothing>(patience, [work = std::move(work)] {
            work();
            return Nothing{};
        });
    }

    std::shared_ptr<Hypervisor> inner_; // shared with calls that were left behind
    std::chrono::milliseconds deadline_;
    const Cancel* cancel_;
    bool hung_ = false;
};

} // namespace

std::unique_ptr<Hypervisor> with_deadlines(std::shared_ptr<Hypervisor> inner,
                                           std::chrono::milliseconds deadline,
                                           const Cancel* cancel)
{
    return std::make_unique<PatientHypervisor>(std::move(inner), deadline, cancel);
}

} // namespace stemma::deployer
