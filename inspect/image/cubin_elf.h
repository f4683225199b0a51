// SPDX-License-Identifier: Apache-2.0
// The ELF file of a cubin as sections and symbols, every offset checked. Views into the bytes: nothing is
// copied but the tables.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/bytes.h"
#include "inspect/elf_format.h"

namespace warpwright::inspect {

struct CubinHeader {
    u8 os_abi = 0;  // 0x33 up to ABI 7, 0x41 from ABI 8 on
    u8 abi = 0;
    u16 type = 0;     // 1 relocatable, 2 linked
    u32 version = 0;  // ABI 7: the toolkit, 10 x major + minor
    u32 flags = 0;
};
// Nothing when the bytes do not begin with the header of a 64-bit little-endian CUDA ELF file.
std::optional<CubinHeader> read_cubin_header(Bytes bytes);

struct CubinSection {
    std::string_view name;
    u32 type = 0;
    u32 link = 0, info = 0;
    u64 flags = 0;
    u64 bytes = 0;  // also of sections that are not in the file (shared memory)
    Bytes content;  // empty where it is not in the file, or not all of it
};

struct CubinSymbol {
    std::string_view name;
    u8 type = 0, binding = 0;
    u8 other = 0;
    u32 section = 0;  // 0: undefined
    u64 value = 0, bytes = 0;
};

// Values of the fields above that this format adds to ELF's.
constexpr u32 kSectionSymbolTable = 2, kSectionExtendedIndex = 18, kSectionNote = 7;
constexpr u32 kSectionInfo = 0x70000000, kSectionCallGraph = 0x70000001, kSectionCompat = 0x70000086;
constexpr u8 kSymbolNoType = 0, kSymbolObject = 1, kSymbolFunction = 2;
constexpr u8 kSymbolOtherEntry = 0x10;

struct CubinElf {
    CubinHeader header;
    u64 file_bytes = 0;
    std::vector<CubinSection> sections;
    std::vector<CubinSymbol> symbols;
    std::string damage;  // what could not be read; what could is here

    const CubinSection* find(std::string_view name) const;
};
std::optional<CubinElf> read_cubin_elf(Bytes bytes);

}  // namespace warpwright::inspect
