#include "stemma/cli/command.hpp"

#include <iterator>

#include "commands/groups.hpp"

namespace stemma::cli {

namespace {

std::vector<Command> collect()
{
    std::vector<Command> commands;
    for (auto* group : {general_commands,
                        build_commands,
                        lineage_commands,
                        image_commands,
                        host_commands,
                        release_commands,
                        vm_commands,
                        snapshot_commands,
                        compare_commands,
                        export_commands,
                        serve_commands,
                        ledger_commands}) {
        auto rows = group();
        commands.insert(commands.end(),
                        std::make_move_iterator(rows.begin()),
                        std::make_move_iterator(rows.end()));
    }
    return commands;
}

} // namespace

std::span<const Command> all_commands()
{
    static const std::vector<Command> commands = collect();
    return commands;
}

} // namespace stemma::cli
