#include "link_resolution.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "archive_file.hpp"
#include "elf_symbols.hpp"

namespace stemma::hooks {

namespace {

constexpr std::string_view intermediate_doubt =
    "objects for link-time optimisation have no symbols of their own";

enum class State { wanted, common, defined };

struct Archive {
    std::string path;
    Fd fd;
    std::uint64_t size = 0;
    ArchiveFile file;
    std::vector<bool> taken;
};

class Resolution {
public:
    Resolution(const LinkLine& line, const LinkOpener& open)
        : line_(line),
          open_(open),
          doubt_(line.doubt),
          wrapped_(line.wrapped.begin(), line.wrapped.end())
    {
    }

    void run()
    {
        for (const auto& name : line_.defined) {
            define(name);
        }
        for (const auto& name : line_.wanted) {
            want(name);
        }
        load_all(line_.inputs, 0);
    }

    /// A symbol of the output that only members define that were left out: the linker took one.
    void check(const LinkedFile& output)
    {
        const auto symbols =
            read_elf_symbols({output.fd.get(), 0, output.size}, ElfTable::all_symbols);
        if (!symbols || !doubt_.empty()) {
            return;
        }
        std::unordered_set<std::string_view> there;
        for (const auto& name : symbols->defined) {
            there.insert(std::string_view(name).substr(0, name.find('@')));
        }
        for (const auto& [path, archive] : archives_) {
            for (const auto& [name, member] : archive.file.symbols.value_or(no_symbols)) {
                const auto plain = name.substr(0, name.find('@'));
                if (!archive.taken[member] && there.count(plain) != 0 && !has_definition(plain)) {
                    doubt_ = "the output has " + plain + ", which nothing else defines";
                    return;
                }
            }
        }
    }

    LinkMembers result() const
    {
        LinkMembers result;
        result.doubt = doubt_;
        for (const auto& [path, archive] : archives_) {
            TakenMembers taken{path, archive.file.thin, {}};
            for (std::uint32_t i = 0; i < archive.taken.size(); ++i) {
                if (archive.taken[i]) {
                    taken.members.push_back(i);
                }
            }
            result.archives.push_back(std::move(taken));
        }
        return result;
    }

private:
    inline static const std::vector<ArchiveFile::Symbol> no_symbols;

    [[nodiscard]] std::optional<State> state_of(const std::string& name) const
    {
        const auto found = symbols_.find(name);
        return found == symbols_.end() ? std::nullopt : std::optional(found->second);
    }

    [[nodiscard]] bool has_definition(const std::string& name) const
    {
        const auto state = state_of(name);
        return state && *state != State::wanted;
    }

    void define(const std::string& name)
    {
        symbols_[name] = State::defined;
        // "name@@V1" is the default one: it serves "name" too.
        if (const auto at = name.find("@@"); at != std::string::npos) {
            symbols_[name.substr(0, at)] = State::defined;
            symbols_[name.substr(0, at) + name.substr(at + 1)] = State::defined;
        }
    }

    void want(std::string name)
    {
        constexpr std::string_view real = "__real_";
        if (wrapped_.count(name) != 0) {
            name.insert(0, "__wrap_");
        } else if (name.starts_with(real) && wrapped_.count(name.substr(real.size())) != 0) {
            name.erase(0, real.size());
        }
        const auto [found, fresh] = symbols_.try_emplace(name, State::wanted);
        if (fresh) {
            if (const auto offer = lazy_.find(name); offer != lazy_.end()) {
                offered_.push_back(offer->second);
            }
        }
    }

    void add(const ElfSymbols& symbols)
    {
        if (symbols.intermediate) {
            doubt_ = intermediate_doubt;
        }
        for (const auto& name : symbols.defined) {
            define(name);
        }
        for (const auto& name : symbols.common) {
            if (!has_definition(name)) {
                symbols_[name] = State::common;
            }
        }
        for (const auto& name : symbols.wanted) {
            want(name);
        }
    }

    void load_all(const std::vector<LinkInput>& inputs, int depth)
    {
        for (std::size_t i = 0; i < inputs.size() && doubt_.empty();) {
            auto end = i + 1;
            while (inputs[i].group != 0 && end < inputs.size() &&
                   inputs[end].group == inputs[i].group) {
                ++end;
            }
            std::size_t before = 0;
            do {
                before = taken_;
                for (auto at = i; at < end; ++at) {
                    load(inputs[at], depth);
                }
            } while (inputs[i].group != 0 && taken_ != before && doubt_.empty());
            i = end;
        }
    }

    void load(const LinkInput& input, int depth)
    {
        auto file = open_(input);
        if (!file) {
            if (input.library) {
                doubt_ = "the library -l" + input.name + " was not found again";
            }
            return;
        }
        const FilePart whole(file->fd.get(), 0, file->size);
        const auto head = whole.read(0, std::min<std::uint64_t>(file->size, 8)).value_or("");
        if (head.starts_with("!<")) {
            load_archive(std::move(*file), input);
        } else if (!loaded_.insert(file->path).second) {
            return;
        } else if (head.starts_with("\x7f"
                                    "ELF")) {
            load_elf(whole, input, file->path);
        } else {
            load_script(whole, *file, depth);
        }
    }

    void load_elf(const FilePart& part, const LinkInput& input, const std::string& path)
    {
        const auto symbols = read_elf_symbols(part);
        if (!symbols) {
            doubt_ = "the symbols of " + path + " cannot be read";
            return;
        }
        const auto is_wanted = [&](const std::string& name) {
            return state_of(name) == State::wanted;
        };
        const bool needed =
            !symbols->shared || !input.as_needed ||
            std::any_of(symbols->defined.begin(), symbols->defined.end(), is_wanted);
        if (needed) {
            add(*symbols);
            take_offered();
        } else {
            loaded_.erase(path); // named again it may be needed
        }
    }

    void load_script(const FilePart& part, const LinkedFile& file, int depth)
    {
        constexpr std::uint64_t largest = std::uint64_t{4} << 20U;
        constexpr int deepest = 8;
        const auto text = part.size() <= largest ? part.read(0, part.size()) : std::nullopt;
        std::vector<std::string> wanted;
        const auto inputs = text && depth < deepest
                                ? read_link_script(*text, wanted, script_groups_)
                                : std::nullopt;
        if (!inputs) {
            doubt_ = file.path + " is no object that can be read";
            return;
        }
        for (const auto& name : wanted) {
            want(name);
        }
        load_all(*inputs, depth + 1);
    }

    void load_archive(LinkedFile file, const LinkInput& input)
    {
        const auto [found, fresh] = archives_.try_emplace(file.path);
        auto& archive = found->second;
        if (fresh) {
            auto content = read_archive_index({file.fd.get(), 0, file.size});
            if (!content || (!content->symbols && !content->members.empty())) {
                doubt_ = file.path + " has no index of symbols that can be read";
                return;
            }
            archive.path = std::move(file.path);
            archive.fd = std::move(file.fd);
            archive.size = file.size;
            archive.file = std::move(*content);
            archive.taken.resize(archive.file.members.size(), false);
        }
        if (input.whole) {
            for (std::uint32_t i = 0; i < archive.taken.size(); ++i) {
                take(archive, i);
            }
        } else {
            search(archive);
        }
        take_offered();
    }

    /// Until a whole look at the index gives nothing more: members want members before them.
    void search(Archive& archive)
    {
        const auto& symbols = archive.file.symbols.value_or(no_symbols);
        std::size_t before = 0;
        do {
            before = taken_;
            if (symbols.size() > looks_left_) {
                doubt_ = archive.path + " is too large to be followed while the build waits";
                return;
            }
            looks_left_ -= symbols.size();
            for (const auto& [name, member] : symbols) {
                if (!archive.taken[member] && serves(archive, name, member)) {
                    take(archive, member);
                } else if (line_.order == LinkOrder::lazy && !state_of(name)) {
                    lazy_.try_emplace(name, Offer{&archive, member});
                }
            }
        } while (taken_ != before && doubt_.empty());
    }

    bool serves(const Archive& archive, const std::string& name, std::uint32_t member)
    {
        auto state = state_of(name);
        if (const auto at = name.find("@@"); !state && at != std::string::npos) {
            state = state_of(name.substr(0, at));
        }
        if (state == State::common) {
            // Only what has a value goes before a tentative definition.
            const auto symbols = symbols_of(archive, member);
            return symbols && std::find(symbols->defined.begin(), symbols->defined.end(), name) !=
                                  symbols->defined.end();
        }
        return state == State::wanted;
    }

    static std::optional<ElfSymbols> symbols_of(const Archive& archive, std::uint32_t number)
    {
        const auto& member = archive.file.members[number];
        if (!archive.file.thin) {
            return read_elf_symbols(
                FilePart(archive.fd.get(), 0, archive.size).part(member.start, member.size));
        }
        const auto folder = archive.path.substr(0, archive.path.rfind('/') + 1);
        const auto path = member.name.starts_with('/') ? member.name : folder + member.name;
        const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        struct stat info {};
        if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
            return std::nullopt;
        }
        return read_elf_symbols({fd.get(), 0, static_cast<std::uint64_t>(info.st_size)});
    }

    void take(Archive& archive, std::uint32_t number)
    {
        if (archive.taken[number] || !doubt_.empty()) {
            return;
        }
        archive.taken[number] = true;
        ++taken_;
        if (const auto symbols = symbols_of(archive, number)) {
            add(*symbols);
        } else {
            doubt_ = "the symbols of " + archive.path + "(" + archive.file.members[number].name +
                     ") cannot be read";
        }
    }

    /// Members of earlier archives that lld had kept for what was wanted later.
    void take_offered()
    {
        while (!offered_.empty()) {
            const auto offer = offered_.front();
            offered_.pop_front();
            take(*offer.archive, offer.member);
        }
    }

    struct Offer {
        Archive* archive;
        std::uint32_t member;
    };

    const LinkLine& line_;
    const LinkOpener& open_;
    std::string doubt_;
    std::set<std::string> wrapped_;
    std::unordered_map<std::string, State> symbols_;
    std::map<std::string, Archive> archives_; ///< by path
    std::unordered_map<std::string, Offer> lazy_;
    std::deque<Offer> offered_;
    std::set<std::string> loaded_;
    std::size_t taken_ = 0;
    std::size_t looks_left_ = 30'000'000; ///< about three seconds
    int script_groups_ = 1'000'000;       ///< apart from those of the command line
};

} // namespace

LinkMembers
resolve_link(const LinkLine& line, const LinkOpener& open, std::optional<LinkedFile> output)
{
    Resolution resolution(line, open);
    resolution.run();
    if (output) {
        resolution.check(*output);
    }
    return resolution.result();
}

} // namespace stemma::hooks
