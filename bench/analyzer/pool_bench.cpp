// The pool and the ranking at the size of a large fleet, in processor time of one thread.
//
//     bench_pool [VMS] [SETTINGS]        default: 2000 VMs of 20,000 settings
//
// The fleet is made up: four fifths of the settings are the same everywhere, an eighth follows one
// of three contexts, the rest is each VM's own.
#include "stemma/analyzer/peers.hpp"
#include "stemma/analyzer/pool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace stemma::analyzer;

double cpu_ms()
{
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

FeatureSet system_of(std::size_t vm, std::size_t settings, std::mt19937& random)
{
    FeatureSet set;
    set.features.reserve(settings);
    for (std::size_t i = 0; i < settings; ++i) {
        Feature feature;
        feature.kind = "setting";
        feature.type = "equals";
        feature.file = feature.identity = "/etc/app" + std::to_string(i / 50) + "/main.conf";
        feature.attribute = "key" + std::to_string(i % 50);
        feature.line = static_cast<std::uint32_t>(i % 50 + 1);
        const std::size_t kind = i % 40;
        if (kind < 5) {
            feature.value = "place" + std::to_string((vm >> (kind % 3)) % 4);
        } else if (kind == 5 && random() % 20 == 0) {
            feature.value = std::to_string(random() % 100);
        } else {
            feature.value = "value" + std::to_string(i % 7);
        }
        set.features.push_back(std::move(feature));
    }
    return set;
}

struct Timing {
    double total = 0;
    double worst = 0;
    std::size_t count = 0;
    void add(double ms)
    {
        total += ms;
        worst = std::max(worst, ms);
        ++count;
    }
    [[nodiscard]] double mean() const { return total / static_cast<double>(count); }
};

void print(const char* what, const Timing& timing, double bar)
{
    fmt::print("{:<28} {:>8.2f} ms mean {:>8.2f} ms worst   bar {:>5.0f} ms   ratio {:.2f}\n",
               what,
               timing.mean(),
               timing.worst,
               bar,
               timing.mean() / bar);
}

} // namespace

int main(int argc, char** argv)
{
    const std::size_t vms = argc > 1 ? std::stoul(argv[1]) : 2'000;
    const std::size_t settings = argc > 2 ? std::stoul(argv[2]) : 20'000;
    std::mt19937 random(1);
    Pool pool;
    Timing reading;
    Timing adding;
    for (std::size_t vm = 0; vm < vms; ++vm) {
        const FeatureSet set = system_of(vm, settings, random);
        const double begin = cpu_ms();
        const Sample sample = pool.read("vm" + std::to_string(vm), set);
        const double middle = cpu_ms();
        pool.add(sample);
        reading.add(middle - begin);
        adding.add(cpu_ms() - middle);
    }
    Timing replacing;
    for (std::size_t i = 0; i < 50; ++i) {
        const std::size_t vm = random() % vms;
        const Sample sample = pool.read("vm" + std::to_string(vm), system_of(vm, settings, random));
        const double begin = cpu_ms();
        pool.replace(static_cast<VmIndex>(vm), sample);
        replacing.add(cpu_ms() - begin);
    }
    Timing model_time;
    const double begin = cpu_ms();
    const PeerModel model(pool);
    model_time.add(cpu_ms() - begin);
    Timing ranking;
    for (std::size_t i = 0; i < 20; ++i) {
        const Sample target = pool.read("odd", system_of(i, settings, random), true);
        const double start = cpu_ms();
        const Ranking result = model.rank(target, {});
        ranking.add(cpu_ms() - start);
        if (result.peers != vms) {
            return 1;
        }
    }
    fmt::print("{} VMs of {} settings: {} nodes, {:.0f} MB\n",
               vms,
               settings,
               pool.nodes(),
               static_cast<double>(pool.bytes()) / 1e6);
    print("ingest: bring into its terms", reading, 5);
    print("ingest: count a new VM", adding, 5);
    print("count a newer sample", replacing, 5);
    print("learn the model", model_time, 1'000);
    print("rank one VM", ranking, 50);
    return 0;
}
