#pragma once

#include <string>
#include <unordered_map>

#include "sink.hpp"

namespace stemma::analyzer {

/// Which package a file came with, by dpkg's lists; read at the first question.
class Owners {
public:
    Owners(Source& source, Sink& sink) : source_(source), sink_(sink) {}

    /// Empty where no package has it.
    const std::string& owner_of(const std::string& path);

private:
    void read();
    void read_list(const std::string& package, const std::string& text);

    Source& source_;
    Sink& sink_;
    bool read_ = false;
    std::unordered_map<std::string, std::string> owners_;
};

} // namespace stemma::analyzer
