// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/elf.h"

#include <algorithm>

#include "inspect/container/printable.h"

namespace warpwright::inspect {
namespace {

struct SectionHeader {
    u32 name, type;
    u64 flags, address, offset, bytes;
    u32 link, info;
    u64 alignment, entry_bytes;
};
static_assert(sizeof(SectionHeader) == 64);

struct ProgramHeader {
    u32 type, flags;
    u64 offset, virtual_address, physical_address, file_bytes, memory_bytes, alignment;
};
static_assert(sizeof(ProgramHeader) == 56);

constexpr u32 kNull = 0, kNoBits = 8;
constexpr u16 kExtendedIndex = 0xFFFF;
constexpr u64 kMaxNameBytes = 256;
constexpr u64 kMaxSections = 1u << 20;  // object files with a section per function have some 100,000

// The table of sections, whole; where there are too many for the header, the first one says how many.
std::optional<std::vector<SectionHeader>> read_sections(Bytes file, const ElfHeader& header) {
    std::vector<SectionHeader> sections;
    if (header.section_offset == 0) return sections;
    if (header.section_entry_bytes != sizeof(SectionHeader)) return std::nullopt;
    const auto first = read_at<SectionHeader>(file, header.section_offset);
    if (!first) return std::nullopt;
    const u64 count = header.num_sections != 0 ? header.num_sections : first->bytes;
    if (count > kMaxSections) return std::nullopt;
    const auto table = slice(file, header.section_offset, count * sizeof(SectionHeader));
    if (!table) return std::nullopt;
    sections.resize(count);
    if (count > 0) std::memcpy(sections.data(), table->data(), table->size());
    return sections;
}

}  // namespace

std::optional<ElfHeader> read_elf_header(Bytes bytes, u64 offset) {
    const auto header = read_at<ElfHeader>(bytes, offset);
    constexpr std::array<u8, 7> kIdent = {0x7F, 'E', 'L', 'F', 2, 1, 1};
    if (!header || !std::equal(kIdent.begin(), kIdent.end(), header->ident.begin())) return std::nullopt;
    return header;
}

std::optional<u64> elf_extent(Bytes from_header) {
    const auto header = read_elf_header(from_header);
    if (!header || header->header_bytes != sizeof(ElfHeader)) return std::nullopt;
    u64 end = sizeof(ElfHeader);
    const auto extend = [&](u64 offset, u64 bytes) {
        if (!slice(from_header, offset, bytes)) return false;
        end = std::max(end, offset + bytes);
        return true;
    };
    const auto sections = read_sections(from_header, *header);
    if (!sections) return std::nullopt;
    if (!extend(header->section_offset, sections->size() * sizeof(SectionHeader))) return std::nullopt;
    for (const SectionHeader& section : *sections) {
        if (section.type == kNull || section.type == kNoBits) continue;
        if (!extend(section.offset, section.bytes)) return std::nullopt;
    }
    if (header->num_programs == 0) return end;
    if (header->program_entry_bytes != sizeof(ProgramHeader)) return std::nullopt;
    if (!extend(header->program_offset, u64{header->num_programs} * sizeof(ProgramHeader)))
        return std::nullopt;
    for (u64 i = 0; i < header->num_programs; ++i) {
        const auto program =
            read_at<ProgramHeader>(from_header, header->program_offset + i * sizeof(ProgramHeader));
        if (!extend(program->offset, program->file_bytes)) return std::nullopt;
    }
    return end;
}

HostSections::HostSections(Bytes file) {
    const auto header = read_elf_header(file);
    if (!header || header->machine == kElfMachineCuda) return;
    const auto headers = read_sections(file, *header);
    if (!headers || headers->empty()) return;
    const u64 names_index =
        header->name_section == kExtendedIndex ? headers->front().link : header->name_section;
    if (names_index >= headers->size()) return;
    const auto names = slice(file, (*headers)[names_index].offset, (*headers)[names_index].bytes);
    if (!names) return;
    names_ = *names;
    for (const SectionHeader& section : *headers) {
        if (section.type == kNull || section.type == kNoBits || section.bytes == 0) continue;
        if (!slice(file, section.offset, section.bytes)) continue;
        sections_.push_back({section.offset, section.offset + section.bytes, section.name});
    }
    std::stable_sort(sections_.begin(), sections_.end(),
                     [](const Section& a, const Section& b) { return a.begin < b.begin; });
}

std::vector<std::pair<u64, u64>> HostSections::ranges() const {
    std::vector<std::pair<u64, u64>> list;
    for (const Section& section : sections_) list.emplace_back(section.begin, section.end);
    return list;
}

std::string HostSections::name_at(u64 offset) const {
    const auto after = std::upper_bound(sections_.begin(), sections_.end(), offset,
                                        [](u64 at, const Section& section) { return at < section.begin; });
    if (after == sections_.begin()) return {};
    const Section& section = *std::prev(after);
    if (offset >= section.end || section.name >= names_.size()) return {};
    const Bytes rest = names_.subspan(section.name);
    return printable(text_at(rest.first(std::min<u64>(rest.size(), kMaxNameBytes)), 0));
}

}  // namespace warpwright::inspect
