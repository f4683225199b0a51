// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/fatbin.h"

#include <fmt/format.h>

#include "inspect/container/printable.h"

namespace warpwright::inspect {
namespace {

struct FatbinHeader {
    u32 magic;
    u16 version, header_bytes;
    u64 payload_bytes;
};
static_assert(sizeof(FatbinHeader) == 16);

struct EntryHeader {
    u16 kind, version;
    u32 header_bytes;
    u64 stored_bytes;  // of the payload, with its padding: the next entry follows
    u32 compressed_bytes;
    u32 record;  // offset in the header of {offset of text, length}
    u16 minor, major;
    u32 sm;
    u32 name, name_bytes;
    u64 flags, reserved, expanded_bytes;
};
static_assert(sizeof(EntryHeader) == 64);

constexpr u16 kPtx = 1, kElf = 2, kLtoIr = 8;
constexpr u16 kEntryVersion = 0x0101;
constexpr u32 kMaxHeaderBytes = 1u << 20;  // options of a command line and a name
constexpr u64 kMaxTextBytes = 4096;
constexpr u32 kMaxSm = 999;

bool is_entry(const EntryHeader& entry) {
    return entry.version == kEntryVersion && entry.header_bytes >= sizeof(EntryHeader) &&
           entry.header_bytes <= kMaxHeaderBytes && entry.kind != 0 && entry.kind < 64 && entry.sm <= kMaxSm;
}

std::string text_of(Bytes header, u64 offset, u64 bytes) {
    const auto text = slice(header, offset, std::min(bytes, kMaxTextBytes));
    if (!text) return {};
    const std::string_view all = as_text(*text);
    return printable(all.substr(0, all.find('\0')));
}

Compression compression_of(const EntryHeader& entry, Bytes stored) {
    if (entry.compressed_bytes == 0) return Compression::none;
    // LTO-IR has the same flags, and is neither: what is in it is NVIDIA's alone.
    constexpr u32 kZstdMagic = 0xFD2FB528;
    if (entry.kind == kLtoIr && read_at<u32>(stored, 0) != kZstdMagic) return Compression::none;
    if (entry.flags & kFatbinFlagLz4) return Compression::lz4;
    return entry.flags & kFatbinFlagZstd ? Compression::zstd : Compression::none;
}

Bytes without_padding(Bytes text) {
    while (!text.empty() && text.back() == std::byte{0}) text = text.first(text.size() - 1);
    return text;
}

// `header` and `stored` are all that the entry says they are.
Payload payload_of(const EntryHeader& entry, Bytes header, Bytes stored, u64 offset) {
    Payload payload;
    payload.kind = entry.kind == kPtx   ? ImageKind::ptx
                   : entry.kind == kElf ? ImageKind::cubin
                                        : ImageKind::ltoir;
    payload.architecture.sm = static_cast<int>(entry.sm);
    if (entry.flags & kFatbinFlagSuffixA) payload.architecture.suffix = Suffix::a;
    if (entry.flags & kFatbinFlagSuffixF) payload.architecture.suffix = Suffix::f;
    payload.compression = compression_of(entry, stored);
    payload.offset = offset;
    payload.stored = stored;
    if (payload.compression == Compression::none) {
        if (payload.kind == ImageKind::ptx) payload.stored = without_padding(stored);
        payload.bytes = payload.stored.size();
    } else {
        payload.stored = stored.first(entry.compressed_bytes);
        payload.bytes = entry.expanded_bytes;
    }
    payload.minor = entry.minor;
    payload.major = entry.major;
    payload.flags = entry.flags;
    // A cubin's record is a copy of its .nv.compat.
    if (payload.kind != ImageKind::cubin && entry.record != 0) {
        const auto offset_and_bytes = read_at<std::array<u32, 2>>(header, entry.record);
        if (offset_and_bytes)
            payload.options = text_of(header, (*offset_and_bytes)[0], (*offset_and_bytes)[1]);
    }
    if (entry.name != 0) payload.source_name = text_of(header, entry.name, entry.name_bytes);
    return payload;
}

}  // namespace

bool is_fatbin(Bytes file, u64 offset) {
    constexpr u32 kMagic = 0xBA55ED50;
    const auto header = read_at<FatbinHeader>(file, offset);
    if (!header || header->magic != kMagic || header->version != 1 ||
        header->header_bytes != sizeof(FatbinHeader))
        return false;
    const auto first = read_at<EntryHeader>(file, offset + sizeof(FatbinHeader));
    return first && is_entry(*first);
}

std::optional<Fatbin> read_fatbin(Bytes file, u64 offset, ScanNotes& notes) {
    if (!is_fatbin(file, offset)) return std::nullopt;
    const auto header = read_at<FatbinHeader>(file, offset);
    u64 at = offset + sizeof(FatbinHeader);
    const u64 available = file.size() - at;
    const bool is_whole = header->payload_bytes <= available;
    const u64 end = at + std::min(header->payload_bytes, available);
    const auto note = [&](const std::string& what) {
        notes.add(fmt::format("fatbin at {:#x}: {}", offset, what));
    };
    if (!is_whole)
        note(fmt::format("says {} bytes, {} are left of the file", header->payload_bytes, available));

    Fatbin fatbin;
    for (int i = 1; at < end; ++i) {
        const Bytes rest = file.subspan(at, end - at);
        const auto entry = read_at<EntryHeader>(rest, 0);
        if (!entry || !is_entry(*entry)) {
            note(fmt::format("entry {} at {:#x} is no entry", i, at));
            return fatbin.end = at, fatbin;
        }
        const auto entry_header = slice(rest, 0, entry->header_bytes);
        const auto stored = slice(rest, entry->header_bytes, entry->stored_bytes);
        if (!entry_header || !stored || entry->compressed_bytes > entry->stored_bytes) {
            note(fmt::format("entry {} at {:#x} says {} + {} bytes with {} compressed, {} are left", i, at,
                             entry->header_bytes, entry->stored_bytes, entry->compressed_bytes, rest.size()));
            return fatbin.end = at + sizeof(EntryHeader), fatbin;
        }
        const u64 payload_at = at + entry->header_bytes;
        if (entry->kind == kPtx || entry->kind == kElf || entry->kind == kLtoIr)
            fatbin.entries.emplace_back(payload_of(*entry, *entry_header, *stored, payload_at)).fatbin =
                offset;
        else
            note(fmt::format("entry {} for sm_{} is of kind {}: neither PTX, cubin nor LTO-IR", i, entry->sm,
                             entry->kind));
        at = payload_at + entry->stored_bytes;
    }
    fatbin.end = at;
    return fatbin;
}

}  // namespace warpwright::inspect
