// SPDX-License-Identifier: Apache-2.0
// As much of ELF (64 bits, little endian) as containers need: which section an offset of a host file is in,
// and where a cubin inside of another file ends.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "inspect/bytes.h"
#include "inspect/elf_format.h"

namespace warpwright::inspect {

// Nothing where no 64-bit little-endian header stands.
std::optional<ElfHeader> read_elf_header(Bytes bytes, u64 offset = 0);

// The bytes from the beginning of the ELF file to the end of what its headers speak of; nothing where that is
// not all there, or the headers are none.
std::optional<u64> elf_extent(Bytes from_header);

// The sections of a host file.
class HostSections {
public:
    // None where the file is no host ELF file, or its table is damaged. The file must outlive this.
    explicit HostSections(Bytes file);

    // ".nv_fatbin"; empty: in no section.
    std::string name_at(u64 offset) const;
    // [begin, end) of each, in the order of offsets.
    std::vector<std::pair<u64, u64>> ranges() const;

private:
    struct Section {
        u64 begin, end;
        u32 name;
    };
    std::vector<Section> sections_;  // by `begin`
    Bytes names_;
};

}  // namespace warpwright::inspect
