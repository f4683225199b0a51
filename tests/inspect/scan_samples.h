// SPDX-License-Identifier: Apache-2.0
// Device code made by hand: the smallest cubin, fatbins of any entries, files around them.
#pragma once

#include <lz4.h>
#include <zstd.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/container/payload.h"

namespace warpwright::inspect::samples {

inline Bytes span_of(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

template <class T>
void put(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// An ELF file with these sections (name, content); of CUDA's machine for a cubin.
struct ElfSection {
    std::string name, content;
};
inline std::string elf(u16 machine, const std::vector<ElfSection>& sections, u16 type = 3, u8 abi = 0x41) {
    std::string names(1, '\0');
    std::string content;
    std::string table(64, '\0');  // the first section is none
    const auto add = [&](const std::string& name, u32 type_of_section, const std::string& bytes) {
        put<u32>(table, static_cast<u32>(names.size()));
        put<u32>(table, type_of_section);
        put<u64>(table, 0);
        put<u64>(table, 0);
        put<u64>(table, 64 + content.size());
        put<u64>(table, bytes.size());
        put<u64>(table, 0);
        put<u64>(table, 8);
        put<u64>(table, 0);
        names += name + '\0';
        content += bytes;
        content.resize((content.size() + 7) / 8 * 8);
    };
    for (const ElfSection& section : sections) add(section.name, 1, section.content);
    const std::string all_names = names + ".shstrtab" + '\0';
    add(".shstrtab", 3, all_names);

    std::string header = std::string(
                             "\x7F"
                             "ELF\x02\x01\x01") +
                         static_cast<char>(abi) + '\x08' + std::string(7, '\0');
    put<u16>(header, type);
    put<u16>(header, machine);
    put<u32>(header, 1);
    put<u64>(header, 0);
    put<u64>(header, 0);
    put<u64>(header, 64 + content.size());
    put<u32>(header, 0x06005a04);
    put<u16>(header, 64);
    put<u16>(header, 0);
    put<u16>(header, 0);
    put<u16>(header, 64);
    put<u16>(header, static_cast<u16>(sections.size() + 2));
    put<u16>(header, static_cast<u16>(sections.size() + 1));
    return header + content + table;
}

inline std::string cubin(const std::string& code = "code") {
    return elf(190, {{".text.kernel", code}}, 2);
}
inline std::string host(const std::vector<ElfSection>& sections) {
    return elf(62, sections, 3, 0);
}

inline const std::string kPtx =
    ".version 9.0\n.target sm_90a\n.address_size 64\n.visible .entry k() { ret; }\n";

struct Entry {
    u16 kind = 2;
    std::string content;
    u32 sm = 90;
    u64 flags = 0x11;
    Compression compression = Compression::none;
    std::string options, source_name;
    u16 minor = 8, major = 1;
};

inline std::string compress(const std::string& content, Compression compression) {
    if (compression == Compression::none) return content;
    std::string made(compression == Compression::lz4
                         ? static_cast<size_t>(LZ4_compressBound(static_cast<int>(content.size())))
                         : ZSTD_compressBound(content.size()),
                     '\0');
    if (compression == Compression::lz4) {
        made.resize(static_cast<size_t>(LZ4_compress_default(
            content.data(), made.data(), static_cast<int>(content.size()), static_cast<int>(made.size()))));
    } else {
        made.resize(ZSTD_compress(made.data(), made.size(), content.data(), content.size(), 3));
    }
    return made;
}

inline std::string padded(std::string text) {
    text.resize((text.size() + 7) / 8 * 8);
    return text;
}

inline std::string entry(const Entry& e) {
    const bool is_compressed = e.compression != Compression::none;
    const std::string content = compress(e.content, e.compression);
    u64 flags = e.flags;
    if (e.compression == Compression::lz4) flags |= 0x2000;
    if (e.compression == Compression::zstd) flags |= 0x8000;
    std::string tail;
    u32 name_at = 0, record_at = 0;
    if (!e.source_name.empty()) {
        name_at = 64;
        tail += padded(e.source_name + '\0');
    }
    if (!e.options.empty()) {
        record_at = static_cast<u32>(64 + tail.size());
        put<u32>(tail, record_at + 8);
        put<u32>(tail, static_cast<u32>(e.options.size()));
        tail += e.options;
        tail = padded(tail);
    }
    std::string header;
    put<u16>(header, e.kind);
    put<u16>(header, 0x0101);
    put<u32>(header, static_cast<u32>(64 + tail.size()));
    put<u64>(header, padded(content).size());
    put<u32>(header, is_compressed ? static_cast<u32>(content.size()) : 0);
    put<u32>(header, record_at);
    put<u16>(header, e.minor);
    put<u16>(header, e.major);
    put<u32>(header, e.sm);
    put<u32>(header, name_at);
    put<u32>(header, name_at ? static_cast<u32>(e.source_name.size() + 1) : 0);
    put<u64>(header, flags);
    put<u64>(header, 0);
    put<u64>(header, is_compressed ? e.content.size() : 0);
    return header + tail + padded(content);
}

inline std::string fatbin_of(const std::string& payload) {
    std::string header;
    put<u32>(header, 0xBA55ED50);
    put<u16>(header, 1);
    put<u16>(header, 16);
    put<u64>(header, payload.size());
    return header + payload;
}
inline std::string fatbin(const std::vector<Entry>& entries) {
    std::string payload;
    for (const Entry& e : entries) payload += entry(e);
    return fatbin_of(payload);
}

}  // namespace warpwright::inspect::samples
