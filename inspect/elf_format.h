// SPDX-License-Identifier: Apache-2.0
// The tables of an ELF file of 64 bits, little endian, as they lie in it (System V ABI, chapter 4).
#pragma once

#include <array>

#include "warpwright/types.h"

namespace warpwright::inspect {

struct ElfHeader {
    std::array<u8, 16> ident;
    u16 type, machine;
    u32 version;
    u64 entry, program_offset, section_offset;
    u32 flags;
    u16 header_bytes, program_entry_bytes, num_programs, section_entry_bytes, num_sections, name_section;
};
static_assert(sizeof(ElfHeader) == 64);

struct ElfSectionHeader {
    u32 name, type;
    u64 flags, address, offset, bytes;
    u32 link, info;
    u64 alignment, entry_bytes;
};
static_assert(sizeof(ElfSectionHeader) == 64);

struct ElfProgramHeader {
    u32 type, flags;
    u64 offset, virtual_address, physical_address, file_bytes, memory_bytes, alignment;
};
static_assert(sizeof(ElfProgramHeader) == 56);

struct ElfSymbol {
    u32 name;
    u8 info, other;
    u16 section;
    u64 value, bytes;
};
static_assert(sizeof(ElfSymbol) == 24);

constexpr u16 kElfMachineCuda = 190;
constexpr u32 kElfNull = 0, kElfNoBits = 8;  // types of sections
constexpr u16 kElfExtendedIndex = 0xFFFF;    // the real index is elsewhere: more than 65,279 sections

}  // namespace warpwright::inspect
