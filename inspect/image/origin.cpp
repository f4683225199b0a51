// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/origin.h"

#include <algorithm>

#include <fmt/format.h>

#include "inspect/image/attributes.h"

namespace warpwright::inspect {

namespace {

constexpr u8 kFirstAbiOfCuda13 = 8;
// 'a'. In ABI 8, ptxas 13.0 leaves it clear where later ones set it.
constexpr u32 kFlagSpecific = 0x800, kFlagSpecificAbi8 = 0x8;
constexpr size_t kMaxTextBytes = 4096;
constexpr size_t kMaxToolNotes = 4096;

constexpr u32 kToolNoteType = 2000, kCudaNoteType = 1000;

struct Note {
    u32 type = 0;
    Bytes description;
};
// ELF notes, padded to 4 bytes; the owner is "NVIDIA Corp" in all of them.
std::vector<Note> read_notes(Bytes bytes) {
    std::vector<Note> notes;
    const auto padded = [](u64 size) { return (size + 3) & ~u64{3}; };
    while (notes.size() < kMaxToolNotes) {
        const auto owner_bytes = read_at<u32>(bytes, 0);
        const auto description_bytes = read_at<u32>(bytes, 4);
        const auto type = read_at<u32>(bytes, 8);
        if (!type) break;
        const u64 begin = 12 + padded(*owner_bytes);
        const auto description = slice(bytes, begin, *description_bytes);
        if (!description) break;
        notes.push_back({*type, *description});
        const u64 end = begin + padded(*description_bytes);
        if (end >= bytes.size()) break;
        bytes = bytes.subspan(end);
    }
    return notes;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text.substr(0, kMaxTextBytes);
}

// "-arch sm_90a", "-arch=sm_90a", "--gpu-name=sm_90a".
std::optional<Architecture> architecture_of_command(std::string_view command) {
    for (const std::string_view option : {"-arch", "--gpu-name"}) {
        size_t at = command.find(option);
        if (at == command.npos) continue;
        at += option.size();
        while (at < command.size() && (command[at] == ' ' || command[at] == '=')) ++at;
        const std::string_view rest = command.substr(at);
        if (auto found = parse_architecture(rest.substr(0, rest.find(' ')))) return found;
    }
    return std::nullopt;
}

// "Cuda compilation tools, release 13.0, V13.0.88" -> "13.0.88".
std::string_view version_of_release(std::string_view release) {
    const size_t at = release.rfind('V');
    if (at == release.npos) return {};
    const std::string_view version = release.substr(at + 1);
    const bool is_version = !version.empty() && version.size() < 24 &&
                            std::all_of(version.begin(), version.end(),
                                        [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
    return is_version ? version : std::string_view{};
}

bool is_printable(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

struct CompatFacts {
    bool is_there = false;
    // Attribute 9; CUDA 12 does not write it.
    bool tells_specific = false, is_specific = false;
    int isa_class = -1;
    int tensor_maps = 0;
};
CompatFacts read_compat(const CubinElf& elf) {
    CompatFacts facts;
    for (const CubinSection& section : elf.sections) {
        if (section.type != kSectionCompat || facts.is_there) continue;
        facts.is_there = true;
        AttributeReader reader(section.content);
        while (const auto record = reader.next()) {
            if (record->is(CompatAttribute::specific)) {
                facts.tells_specific = true;
                facts.is_specific = record->value == 1;
            }
            if (record->is(CompatAttribute::isa_class)) facts.isa_class = static_cast<int>(record->value);
            if (record->is(CompatAttribute::tensor_maps)) facts.tensor_maps = static_cast<int>(record->value);
        }
    }
    return facts;
}

// The PTX architecture and the toolkit, 10 x major + minor, that .note.nv.cuinfo names.
struct CudaNote {
    int virtual_sm = 0;
    int toolkit = 0;
};
CudaNote read_cuda_note(const CubinElf& elf) {
    const CubinSection* section = elf.find(".note.nv.cuinfo");
    if (section == nullptr) return {};
    for (const Note& note : read_notes(section->content)) {
        const auto virtual_sm = read_at<u16>(note.description, 2);
        const auto toolkit = read_at<u32>(note.description, 4);
        if (note.type == kCudaNoteType && toolkit) return {*virtual_sm, static_cast<int>(*toolkit)};
    }
    return {};
}

std::string toolkit_name(int toolkit) {
    return toolkit >= 60 && toolkit < 1000 ? fmt::format("{}.{}", toolkit / 10, toolkit % 10) : "";
}

// What each source says. Of suffixes, e_flags and .nv.compat know 'a' only.
void settle_architecture(const CubinElf& elf, const CompatFacts& compat, const std::vector<ToolNote>& tools,
                         const CudaNote& cuda, Image& image) {
    const Architecture entry = image.architecture;  // of the fatbin, where there is one
    const Architecture flags = architecture_of_flags(elf.header);
    const std::optional<Architecture> command =
        tools.empty() ? std::nullopt : architecture_of_command(tools[0].command);
    auto& evidence = image.architecture_evidence;

    Architecture& found = image.architecture;
    found.sm = flags.sm != 0 ? flags.sm : entry.sm != 0 ? entry.sm : command ? command->sm : 0;
    evidence.push_back(fmt::format("e_flags: {}", architecture_name(flags)));
    if (compat.tells_specific)
        evidence.push_back(fmt::format(
            ".nv.compat: {}", compat.is_specific ? "architecture-specific" : "not architecture-specific"));
    if (command) evidence.push_back(fmt::format("tkinfo: -arch {}", architecture_name(*command)));
    if (cuda.virtual_sm != 0) evidence.push_back(fmt::format("cuinfo: from compute_{}", cuda.virtual_sm));

    const auto says = [&](Suffix suffix) {
        return entry.suffix == suffix || flags.suffix == suffix || (command && command->suffix == suffix) ||
               (suffix == Suffix::a && compat.is_specific);
    };
    found.suffix = says(Suffix::a) ? Suffix::a : says(Suffix::f) ? Suffix::f : Suffix::none;

    const auto contradicts = [&](const char* a, Architecture one, const char* b, Architecture other) {
        evidence.push_back(fmt::format("disagreement: {} says {}, {} says {}", a, architecture_name(one), b,
                                       architecture_name(other)));
    };
    if (entry.sm != 0 && flags.sm != 0 && entry.sm != flags.sm)
        contradicts("the fatbin's entry", entry, "e_flags", flags);
    if (command && flags.sm != 0 && command->sm != flags.sm)
        contradicts("tkinfo", *command, "e_flags", flags);
    if (command && entry.sm == command->sm && entry.suffix != command->suffix)
        contradicts("the fatbin's entry", entry, "tkinfo", *command);
    if (compat.tells_specific && !compat.is_specific && found.suffix == Suffix::a)
        evidence.push_back(
            fmt::format("disagreement: .nv.compat knows nothing of the 'a' of {}", architecture_name(found)));
    if (compat.is_specific && command && command->suffix != Suffix::a)
        evidence.push_back(fmt::format("disagreement: .nv.compat says architecture-specific, tkinfo says {}",
                                       architecture_name(*command)));
}

}  // namespace

Architecture architecture_of_flags(const CubinHeader& header) {
    if (header.abi >= kFirstAbiOfCuda13) {
        return {static_cast<int>(header.flags >> 8 & 0xff),
                (header.flags & kFlagSpecificAbi8) != 0 ? Suffix::a : Suffix::none};
    }
    return {static_cast<int>(header.flags & 0xff),
            (header.flags & kFlagSpecific) != 0 ? Suffix::a : Suffix::none};
}

// u32 version, five u32 offsets of texts, of which the first is that of a file's name, always empty; the
// texts.
std::vector<ToolNote> read_tool_notes(Bytes notes) {
    std::vector<ToolNote> tools;
    for (const Note& note : read_notes(notes)) {
        constexpr u64 kTextsAt = 24;
        if (note.type != kToolNoteType || note.description.size() < kTextsAt) continue;
        const Bytes texts = note.description.subspan(kTextsAt);
        const auto text = [&](int index) {
            const auto offset = read_at<u32>(note.description, 4 + 4 * static_cast<u64>(index));
            const std::string_view found = trimmed(text_at(texts, offset.value_or(~u32{0})));
            return is_printable(found) ? found : std::string_view{};
        };
        tools.push_back({text(1), text(2), text(3), text(4)});
    }
    return tools;
}

int tensor_map_use(const CubinElf& elf) {
    const CompatFacts facts = read_compat(elf);
    return facts.is_there ? facts.tensor_maps : -1;
}

void read_origin(const CubinElf& elf, Image& image) {
    const CompatFacts compat = read_compat(elf);
    const CudaNote cuda = read_cuda_note(elf);
    std::vector<ToolNote> tools;
    if (const CubinSection* section = elf.find(".note.nv.tkinfo")) tools = read_tool_notes(section->content);
    settle_architecture(elf, compat, tools, cuda, image);

    image.abi = elf.header.abi;
    image.isa_class = compat.isa_class;
    image.relocatable = elf.header.type == 1;
    if (!tools.empty()) {  // of a linked cubin, the linker's comes first
        const ToolNote& tool = tools[0];
        image.toolkit = version_of_release(tool.release);
        if (!image.toolkit.empty() && !tool.tool.empty()) image.toolkit += fmt::format(" ({})", tool.tool);
        image.options = tool.command;
        image.made_by_nvrtc = tool.build.find("TOOLS_VERSION_EXTENDED") != tool.build.npos;
    }
    if (image.toolkit.empty()) image.toolkit = toolkit_name(cuda.toolkit);
    if (image.toolkit.empty() && elf.header.abi < kFirstAbiOfCuda13)
        image.toolkit = toolkit_name(static_cast<int>(elf.header.version));
}

}  // namespace warpwright::inspect
