// Runs a fuzz target without a fuzzer: over every seed, every prefix of it (of large ones, 4,096
// prefixes) and 2,000 mutations that are the same in every run. A crash, a sanitizer's report or an
// exception that leaves the target fails the test; so does a folder without seeds.

#include "stemma/core/file.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

void give(const std::string& bytes)
{
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

std::string mutated(std::string bytes, std::mt19937& random)
{
    const auto pick = [&](std::size_t below) { return below == 0 ? 0 : random() % below; };
    for (std::size_t edits = 1 + pick(4); edits != 0; --edits) {
        const auto at = pick(bytes.size());
        switch (pick(5)) {
        case 0:
            if (!bytes.empty()) {
                bytes[at] = static_cast<char>(random());
            }
            break;
        case 1:
            bytes.insert(at, 1 + pick(8), static_cast<char>(random()));
            break;
        case 2:
            bytes.erase(at, 1 + pick(16));
            break;
        case 3:
            bytes.insert(at, bytes.substr(pick(bytes.size()), pick(64)));
            break;
        default:
            bytes.resize(at);
            break;
        }
    }
    return bytes;
}

void replay(const std::string& seed)
{
    give(seed);
    const std::size_t stride = std::max<std::size_t>(1, seed.size() / 4096);
    for (std::size_t length = 0; length < seed.size(); length += stride) {
        give(seed.substr(0, length));
    }
    std::mt19937 random(static_cast<unsigned>(seed.size()));
    for (int i = 0; i < 2000; ++i) {
        give(mutated(seed, random));
    }
}

} // namespace

int main(int argc, char** argv)
{
    std::vector<std::filesystem::path> seeds;
    for (int i = 1; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            seeds.push_back(entry.path());
        }
    }
    std::sort(seeds.begin(), seeds.end());
    for (const auto& seed : seeds) {
        std::printf("replaying %s\n", seed.c_str());
        replay(stemma::read_file(seed));
    }
    std::printf("%zu seeds\n", seeds.size());
    return seeds.empty() ? 1 : 0;
}
