#pragma once

#include "stemma/core/fd.hpp"

#include <string>

namespace stemma {

/// Between its making and its end standard error goes to a file without a name, so that the words
/// of programs which a library starts can be shown. For one thread at a time.
class StderrCatcher {
public:
    StderrCatcher();
    ~StderrCatcher() { restore(); }
    StderrCatcher(const StderrCatcher&) = delete;
    StderrCatcher& operator=(const StderrCatcher&) = delete;

    /// Ours goes where it went before; programs that were started go on writing here.
    void restore() noexcept;
    /// The first 4 KiB that were said until now.
    [[nodiscard]] std::string text() const;

private:
    Fd file_;
    Fd saved_;
};

} // namespace stemma
