#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/hooks/session.hpp"

#include <map>
#include <string>
#include <vector>

#include "../preload/message.hpp"
#include "program_file.hpp"

namespace stemma::hooks {

/// The fallback's side of the observer: takes what the preloaded library tells
/// (../preload/message.hpp), and hands it to a session.
class Preloading {
public:
    /// library  path of the library
    /// throws   io: no socket can be made
    Preloading(Session& session, std::string library);
    ~Preloading();
    Preloading(const Preloading&) = delete;
    Preloading& operator=(const Preloading&) = delete;

    /// "NAME=VALUE" of what the build's programs have to inherit.
    [[nodiscard]] std::vector<std::string> environment() const;
    /// Declares what will not be seen of the build's own program.
    void look_at_root(pid_t pid, const std::string& program);

    [[nodiscard]] int fd() const noexcept { return socket_.get(); }
    /// Takes one message; false when there was none.
    bool take_one();
    /// Events that could not be understood.
    [[nodiscard]] bool lost() const noexcept { return lost_; }

private:
    struct Event {
        preload::Message message{};
        pid_t process = 0;
        std::string path;
        std::string second;
        Fd answer;
        Fd list;
    };

    bool receive(Event& event);
    preload::Answer tell(Event& event);
    void tell_start(const Event& event);
    preload::Answer tell_exec(const Event& event);
    Loading look_at(pid_t process, int folder, const std::string& path);
    static preload::Answer answer_for(Loading loading);
    static std::vector<std::string> list_of(const Event& event);

    Session& session_;
    std::string library_;
    std::string folder_; ///< where the socket lies
    Fd socket_;
    std::vector<char> buffer_;
    std::map<pid_t, bool> told_; ///< processes whose next program is known already
    bool lost_ = false;
};

} // namespace stemma::hooks
