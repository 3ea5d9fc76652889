#include "stemma/ext/ext.hpp"

#include "tree_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    return stemma::fuzz::run_driver(data, size, stemma::ext::open_reader);
}
