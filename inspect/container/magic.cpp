// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/magic.h"

#include "inspect/container/elf.h"

namespace warpwright::inspect {
namespace {

constexpr u32 kFatbinMagic = 0xBA55ED50, kZstdMagic = 0xFD2FB528;

// GCC's vectors, as wide as every 64-bit machine's registers: it takes wider ones apart.
using Vector = u8 __attribute__((vector_size(16)));
using Words = u64 __attribute__((vector_size(16)));

// Nonzero where two neighbouring bytes begin one of the magic numbers: rare enough in any file.
bool has_candidate(const std::byte* at) {
    Vector first, second;
    std::memcpy(&first, at, sizeof first);
    std::memcpy(&second, at + 1, sizeof second);
    const auto found = ((first == 0x50) & (second == 0xED)) | ((first == 0x7F) & (second == 'E')) |
                       ((first == 0x28) & (second == 0xB5)) | ((first == '.') & (second == 'v')) |
                       ((first == 'W') & (second == 'W'));
    const Words words = reinterpret_cast<const Words&>(found);
    return (words[0] | words[1]) != 0;
}

std::optional<Magic> magic_at(Bytes bytes, u64 offset) {
    switch (static_cast<u8>(bytes[offset])) {
        case 0x50:
            if (read_at<u32>(bytes, offset) == kFatbinMagic) return Magic::fatbin;
            break;
        case 0x28:
            if (read_at<u32>(bytes, offset) == kZstdMagic) return Magic::zstd;
            break;
        case 0x7F:
            if (const auto header = read_elf_header(bytes, offset);
                header && header->machine == kElfMachineCuda)
                return Magic::cubin;
            break;
        case '.':
            if (const auto text = slice(bytes, offset, 8); text && as_text(*text) == ".version")
                return Magic::ptx;
            break;
        case 'W':
            if (const auto text = slice(bytes, offset, 8); text && as_text(*text) == "WWPACK01")
                return Magic::pack;
            break;
        default: break;
    }
    return std::nullopt;
}

}  // namespace

std::optional<MagicHit> next_magic(Bytes bytes, u64 from) {
    for (u64 at = from; at < bytes.size();) {
        u64 end = bytes.size();
        if (bytes.size() - at > sizeof(Vector)) {
            end = at + sizeof(Vector);
            if (!has_candidate(&bytes[at])) {
                at = end;
                continue;
            }
        }
        for (; at < end; ++at) {
            if (const auto magic = magic_at(bytes, at)) return MagicHit{at, *magic};
        }
    }
    return std::nullopt;
}

}  // namespace warpwright::inspect
