// SPDX-License-Identifier: Apache-2.0
#include "inspect/image/cubin_elf.h"

#include <algorithm>

#include <fmt/format.h>

namespace warpwright::inspect {

namespace {

// Types of the format's own may have a size and no bytes: shared memory of objects and of debuggers.
bool is_in_file(u32 type) {
    return type <= kSectionInfo || type == kSectionCallGraph || type == kSectionCompat;
}

void add_damage(std::string& damage, std::string sentence) {
    if (damage.empty()) damage = std::move(sentence);
}

// A table of strings can be one long string that every entry points into: names are cut, and all names
// together are as long as a few times the file at most.
class Names {
public:
    Names(Bytes strings, u64 file_bytes) : strings_(strings), left_bytes_(8 * file_bytes) {}
    std::string_view at(u64 offset) {
        constexpr u64 kMaxNameBytes = 64 << 10;
        if (offset >= strings_.size()) return {};
        const std::string_view rest =
            as_text(strings_.subspan(offset)).substr(0, std::min(kMaxNameBytes, left_bytes_));
        const std::string_view name = rest.substr(0, rest.find('\0'));
        left_bytes_ -= name.size();
        return name;
    }

private:
    Bytes strings_;
    u64 left_bytes_;
};

void read_sections(Bytes bytes, const ElfHeader& header, CubinElf& elf) {
    if (header.section_offset == 0) return;
    const auto first = read_at<ElfSectionHeader>(bytes, header.section_offset);
    if (!first || header.section_entry_bytes != sizeof(ElfSectionHeader)) {
        add_damage(elf.damage, "the table of sections is outside of the file");
        return;
    }
    u64 count = header.num_sections != 0 ? header.num_sections : first->bytes;
    const u64 most = (bytes.size() - header.section_offset) / sizeof(ElfSectionHeader);
    if (count > most) {
        add_damage(elf.damage, fmt::format("{} sections announced, room for {}", count, most));
        count = most;
    }
    const u64 name_section = header.name_section == kElfExtendedIndex ? first->link : header.name_section;
    const auto entry_at = [&](u64 index) {
        return *read_at<ElfSectionHeader>(bytes, header.section_offset + index * sizeof(ElfSectionHeader));
    };
    const ElfSectionHeader strings = name_section < count ? entry_at(name_section) : ElfSectionHeader{};
    Names names(slice(bytes, strings.offset, strings.bytes).value_or(Bytes{}), bytes.size());
    elf.sections.reserve(count);
    for (u64 i = 0; i < count; ++i) {
        const ElfSectionHeader entry = entry_at(i);
        CubinSection section{.name = names.at(entry.name),
                             .type = entry.type,
                             .link = entry.link,
                             .info = entry.info,
                             .flags = entry.flags,
                             .bytes = entry.bytes};
        if (entry.type != kElfNoBits && i != 0) {
            const auto content = slice(bytes, entry.offset, entry.bytes);
            if (content)
                section.content = *content;
            else if (is_in_file(entry.type))
                add_damage(elf.damage, fmt::format("section {} ends beyond the file", i));
        }
        elf.sections.push_back(section);
    }
}

void read_symbols(Bytes bytes, CubinElf& elf) {
    const CubinSection* table = nullptr;
    const CubinSection* extended = nullptr;
    for (const CubinSection& section : elf.sections) {
        if (section.type == kSectionSymbolTable && table == nullptr) table = &section;
        if (section.type == kSectionExtendedIndex && extended == nullptr) extended = &section;
    }
    if (table == nullptr) return;
    Names names(table->link < elf.sections.size() ? elf.sections[table->link].content : Bytes{},
                bytes.size());
    const u64 count = table->content.size() / sizeof(ElfSymbol);
    elf.symbols.reserve(count);
    for (u64 i = 0; i < count; ++i) {
        const ElfSymbol entry = *read_at<ElfSymbol>(table->content, i * sizeof(ElfSymbol));
        CubinSymbol symbol{.name = names.at(entry.name),
                           .type = static_cast<u8>(entry.info & 15),
                           .binding = static_cast<u8>(entry.info >> 4),
                           .other = entry.other,
                           .section = entry.section,
                           .value = entry.value,
                           .bytes = entry.bytes};
        if (entry.section == kElfExtendedIndex && extended != nullptr)
            symbol.section = read_at<u32>(extended->content, i * sizeof(u32)).value_or(0);
        elf.symbols.push_back(symbol);
    }
}

}  // namespace

std::optional<CubinHeader> read_cubin_header(Bytes bytes) {
    const auto header = read_at<ElfHeader>(bytes, 0);
    if (!header) return std::nullopt;
    constexpr u8 kMagic[7] = {0x7f, 'E', 'L', 'F', 2, 1, 1};  // 64-bit, little endian, version 1
    if (std::memcmp(header->ident.data(), kMagic, sizeof kMagic) != 0) return std::nullopt;
    if (header->machine != kElfMachineCuda) return std::nullopt;
    return CubinHeader{.os_abi = header->ident[7],
                       .abi = header->ident[8],
                       .type = header->type,
                       .version = header->version,
                       .flags = header->flags};
}

std::optional<CubinElf> read_cubin_elf(Bytes bytes) {
    const auto header = read_cubin_header(bytes);
    if (!header) return std::nullopt;
    CubinElf elf;
    elf.header = *header;
    elf.file_bytes = bytes.size();
    read_sections(bytes, *read_at<ElfHeader>(bytes, 0), elf);
    read_symbols(bytes, elf);
    return elf;
}

const CubinSection* CubinElf::find(std::string_view name) const {
    for (const CubinSection& section : sections) {
        if (section.name == name) return &section;
    }
    return nullptr;
}

}  // namespace warpwright::inspect
