// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/elf.h"

#include <algorithm>

#include "inspect/container/printable.h"

namespace warpwright::inspect {
namespace {

constexpr u64 kMaxNameBytes = 256;
constexpr u64 kMaxSections = 1u << 20;  // object files with a section per function have some 100,000

// The table of sections, whole; where there are too many for the header, the first one says how many.
std::optional<std::vector<ElfSectionHeader>> read_sections(Bytes file, const ElfHeader& header) {
    std::vector<ElfSectionHeader> sections;
    if (header.section_offset == 0) return sections;
    if (header.section_entry_bytes != sizeof(ElfSectionHeader)) return std::nullopt;
    const auto first = read_at<ElfSectionHeader>(file, header.section_offset);
    if (!first) return std::nullopt;
    const u64 count = header.num_sections != 0 ? header.num_sections : first->bytes;
    if (count > kMaxSections) return std::nullopt;
    const auto table = slice(file, header.section_offset, count * sizeof(ElfSectionHeader));
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
    if (!extend(header->section_offset, sections->size() * sizeof(ElfSectionHeader))) return std::nullopt;
    for (const ElfSectionHeader& section : *sections) {
        if (section.type == kElfNull || section.type == kElfNoBits) continue;
        if (!extend(section.offset, section.bytes)) return std::nullopt;
    }
    if (header->num_programs == 0) return end;
    if (header->program_entry_bytes != sizeof(ElfProgramHeader)) return std::nullopt;
    if (!extend(header->program_offset, u64{header->num_programs} * sizeof(ElfProgramHeader)))
        return std::nullopt;
    for (u64 i = 0; i < header->num_programs; ++i) {
        const auto program =
            read_at<ElfProgramHeader>(from_header, header->program_offset + i * sizeof(ElfProgramHeader));
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
        header->name_section == kElfExtendedIndex ? headers->front().link : header->name_section;
    if (names_index >= headers->size()) return;
    const auto names = slice(file, (*headers)[names_index].offset, (*headers)[names_index].bytes);
    if (!names) return;
    names_ = *names;
    for (const ElfSectionHeader& section : *headers) {
        if (section.type == kElfNull || section.type == kElfNoBits || section.bytes == 0) continue;
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
