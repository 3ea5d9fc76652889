#pragma once

#include "session.hpp"

namespace stemma::ext {

/// A Session behind the interface of a file tree; borrows it. Private to this library.
class SessionTree : public volume::Filesystem {
public:
    explicit SessionTree(Session* session) : session_(session) {}

    [[nodiscard]] std::string driver() const override { return session_->driver(); }
    [[nodiscard]] std::optional<volume::NodeInfo> look(const std::string& path) override
    {
        return look_at(path, false);
    }
    [[nodiscard]] std::optional<volume::NodeInfo> look_through(const std::string& path) override
    {
        return look_at(path, true);
    }
    [[nodiscard]] std::vector<volume::FolderEntry> list(const std::string& path) override;
    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override;
    [[nodiscard]] std::string read_link(const std::string& path) override;
    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) override;

protected:
    void use(Session* session) noexcept { session_ = session; }

private:
    std::optional<volume::NodeInfo> look_at(const std::string& path, bool through);
    ext2_ino_t need(const std::string& path, bool through);
    Session* session_;
};

} // namespace stemma::ext
