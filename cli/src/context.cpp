#include "stemma/cli/context.hpp"

#include "stemma/core/error.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace stemma::cli {

lineage::Store& Context::store(lineage::Store::Mode mode)
{
    const bool too_weak = store_ && mode == lineage::Store::Mode::write && store_mode_ != mode;
    if (!store_ || too_weak) {
        if (mode == lineage::Store::Mode::write && !is_team_ledger()) {
            std::error_code ignored;
            std::filesystem::create_directories(state_folder, ignored);
        }
        store_ = lineage::Store::open(store_url, mode, clock_, log_);
        store_mode_ = mode;
    }
    return *store_;
}

std::optional<lineage::Gap> Context::store_gap() const
{
    return store_ ? store_->out_of_reach() : std::nullopt;
}

std::vector<std::string> Context::own_command() const
{
    auto program = std::filesystem::read_symlink("/proc/self/exe").string();
    if (lineage::shown_store(store_url) == store_url) {
        return {std::move(program), "--store", store_url};
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread reads the environment meanwhile
    if (::setenv("STEMMA_STORE", store_url.c_str(), 1) != 0) {
        throw system_error(errno, "name the store to another process");
    }
    return {std::move(program)};
}

std::filesystem::path Context::make_state_folder(std::string_view name)
{
    auto folder = state_folder / name;
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("make the folder {}", folder.string()));
    }
    return folder;
}

void Context::out(std::string_view text)
{
    while (!text.empty()) {
        const auto done = ::write(STDOUT_FILENO, text.data(), text.size());
        if (done < 0 && errno == EPIPE) {
            ::signal(SIGPIPE, SIG_DFL); // end as every filter does when its reader went away
            ::raise(SIGPIPE);
        }
        if (done < 0 && errno != EINTR) {
            throw system_error(errno, "write to standard output");
        }
        text.remove_prefix(static_cast<std::size_t>(done < 0 ? 0 : done));
    }
}

} // namespace stemma::cli
