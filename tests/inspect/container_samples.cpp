// SPDX-License-Identifier: Apache-2.0
#include "container_samples.h"

#include <lzma.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "scan_samples.h"

namespace warpwright::inspect::samples {
namespace {

std::string zlib_packed(const std::string& content, int window) {
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
    std::string made(deflateBound(&stream, content.size()), '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = reinterpret_cast<Bytef*>(made.data());
    stream.avail_out = static_cast<uInt>(made.size());
    deflate(&stream, Z_FINISH);
    made.resize(stream.total_out);
    deflateEnd(&stream);
    return made;
}

FileVisitor visitor_of(Seen& seen, std::mutex& mutex) {
    FileVisitor visitor;
    visitor.file = [&](const FileBytes& file) {
        const std::lock_guard lock(mutex);
        seen.files[file.path] = as_text(file.bytes);
    };
    visitor.refused = [&](const std::string& sentence) { seen.refused.push_back(sentence); };
    visitor.progress = [&](u64 done, u64 total) {
        seen.done_bytes = done;
        seen.total_bytes = total;
    };
    return visitor;
}

}  // namespace

std::string deflated(const std::string& content) {
    return zlib_packed(content, -15);
}

u32 checksum(const std::string& content) {
    return static_cast<u32>(
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())));
}

std::string packed(const std::string& content, Packing packing) {
    switch (packing) {
        case Packing::plain: return content;
        case Packing::gzip: return zlib_packed(content, 15 + 16);
        case Packing::zstd: return compress(content, Compression::zstd);
        case Packing::xz: break;
    }
    std::string made(lzma_stream_buffer_bound(content.size()), '\0');
    size_t used = 0;
    lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const u8*>(content.data()),
                            content.size(), reinterpret_cast<u8*>(made.data()), &used, made.size());
    made.resize(used);
    return made;
}

std::string zip(const std::vector<ZipMember>& members, const ZipForm& form) {
    constexpr u32 kMany = 0xFFFFFFFF;
    std::string file = form.before;
    std::string directory;
    for (const ZipMember& member : members) {
        const std::string content = member.method == 8    ? deflated(member.content)
                                    : member.method == 93 ? packed(member.content, Packing::zstd)
                                                          : member.content;
        const u64 bytes = member.bytes.value_or(member.content.size());
        const u64 stored_bytes = member.stored_bytes.value_or(content.size());
        const u32 crc = member.crc.value_or(checksum(member.content));
        const u64 offset = member.offset.value_or(file.size() - form.before.size());
        const std::string local_name = member.local_name.value_or(member.name);
        const auto flags = static_cast<u16>(member.flags | (form.sizes_follow ? 8 : 0));

        std::string extra;
        if (form.is_wide) {
            put<u16>(extra, 1);
            put<u16>(extra, 16);
            put<u64>(extra, form.sizes_follow ? 0 : bytes);
            put<u64>(extra, form.sizes_follow ? 0 : stored_bytes);
        }
        const auto sizes = [&](std::string& to, bool is_local) {
            const bool is_empty = is_local && form.sizes_follow && !form.is_wide;
            put<u32>(to, is_local && form.sizes_follow ? 0 : crc);
            put<u32>(to, form.is_wide ? kMany : is_empty ? 0 : static_cast<u32>(stored_bytes));
            put<u32>(to, form.is_wide ? kMany : is_empty ? 0 : static_cast<u32>(bytes));
        };
        put<u32>(file, 0x04034b50);
        put<u16>(file, 20);
        put<u16>(file, flags);
        put<u16>(file, static_cast<u16>(member.method));
        put<u32>(file, 0);
        sizes(file, true);
        put<u16>(file, static_cast<u16>(local_name.size()));
        put<u16>(file, static_cast<u16>(extra.size()));
        file += local_name + extra + content;

        std::string wide;
        if (form.is_wide) {
            put<u16>(wide, 1);
            put<u16>(wide, 24);
            put<u64>(wide, bytes);
            put<u64>(wide, stored_bytes);
            put<u64>(wide, offset);
        }
        put<u32>(directory, 0x02014b50);
        put<u16>(directory, 20);
        put<u16>(directory, 20);
        put<u16>(directory, flags);
        put<u16>(directory, static_cast<u16>(member.method));
        put<u32>(directory, 0);
        sizes(directory, false);
        put<u16>(directory, static_cast<u16>(member.name.size()));
        put<u16>(directory, static_cast<u16>(wide.size()));
        put<u16>(directory, 0);
        put<u16>(directory, 0);
        put<u16>(directory, 0);
        put<u32>(directory, member.attributes);
        put<u32>(directory, form.is_wide ? kMany : static_cast<u32>(offset));
        directory += member.name + wide;
    }
    const u64 directory_offset = file.size() - form.before.size();
    file += directory;
    const auto count = form.num_members.value_or(static_cast<u16>(members.size()));
    if (form.is_wide) {
        const u64 end_offset = file.size();
        put<u32>(file, 0x06064b50);
        put<u64>(file, 44);
        put<u32>(file, 0);
        put<u64>(file, 0);
        put<u64>(file, count);
        put<u64>(file, count);
        put<u64>(file, directory.size());
        put<u64>(file, directory_offset);
        put<u32>(file, 0x07064b50);
        put<u32>(file, 0);
        put<u64>(file, end_offset);
        put<u32>(file, 1);
    }
    put<u32>(file, 0x06054b50);
    put<u32>(file, 0);
    put<u16>(file, count);
    put<u16>(file, count);
    put<u32>(file, form.is_wide ? kMany : static_cast<u32>(directory.size()));
    put<u32>(file, form.is_wide ? kMany : static_cast<u32>(directory_offset));
    put<u16>(file, static_cast<u16>(form.comment.size()));
    return file + form.comment;
}

std::string tar(const std::vector<TarMember>& members, TarNames names, bool has_end) {
    std::string file;
    const auto add = [&](const std::string& name, const std::string& content, char type, u64 bytes,
                         const std::string& link) {
        std::string header(512, '\0');
        header.replace(0, std::min<size_t>(name.size(), 100), name.substr(0, 100));
        header.replace(100, 8, std::string("0000644\0", 8));
        char size[13];
        if (bytes < u64{1} << 33) {
            std::snprintf(size, sizeof size, "%011llo", static_cast<unsigned long long>(bytes));
            header.replace(124, 11, size);
        } else {
            header[124] = '\x80';
            for (size_t i = 0; i < 8; ++i) header[128 + i] = static_cast<char>(bytes >> (56 - 8 * i));
        }
        header[156] = type;
        header.replace(157, link.size(), link);
        header.replace(257, 8, std::string("ustar\00000", 8));
        header.replace(148, 8, 8, ' ');
        unsigned sum = 0;
        for (const char c : header) sum += static_cast<unsigned char>(c);
        std::snprintf(size, sizeof size, "%06o", sum);
        header.replace(148, 7, std::string(size, 7));
        file += header + content;
        file.resize((file.size() + 511) / 512 * 512);
    };
    for (const TarMember& member : members) {
        std::string name = member.name;
        if (name.size() > 100 && names == TarNames::gnu)
            add("././@LongLink", name + '\0', 'L', name.size() + 1, "");
        if (name.size() > 100 && names == TarNames::pax) {
            std::string record = " path=" + name + "\n";
            size_t size = record.size() + 1;
            while (std::to_string(size).size() + record.size() != size) ++size;
            record = std::to_string(size) + record;
            add("PaxHeaders/name", record, 'x', record.size(), "");
        }
        add(name, member.content, member.type, member.bytes.value_or(member.content.size()), member.link);
    }
    if (has_end) file.append(1024, '\0');
    return file;
}

std::string ar(const std::vector<std::pair<std::string, std::string>>& members, ArNames names) {
    std::string file = "!<arch>\n";
    const auto add = [&](const std::string& name, const std::string& content) {
        char header[61];
        std::snprintf(header, sizeof header, "%-16s%-12d%-6d%-6d%-8o%-10zu`\n", name.c_str(), 0, 0, 0, 0644u,
                      content.size());
        file += std::string(header, 60) + content;
        if (file.size() % 2 != 0) file += '\n';
    };
    add(names == ArNames::gnu ? "/" : "__.SYMDEF", "symbols");
    std::string long_names;
    std::map<std::string, size_t> places;
    for (const auto& [name, content] : members) {
        if (name.size() <= 15) continue;
        places[name] = long_names.size();
        long_names += name + "/\n";
    }
    if (names == ArNames::gnu && !long_names.empty()) add("//", long_names);
    for (const auto& [name, content] : members) {
        if (names == ArNames::gnu)
            add(name.size() <= 15 ? name + "/" : "/" + std::to_string(places[name]), content);
        else if (name.size() <= 15)
            add(name, content);
        else
            add("#1/" + std::to_string(name.size() + 2), name + std::string(2, '\0') + content);
    }
    return file;
}

Seen visit_text(const std::string& path, const std::string& content, const Limits& limits) {
    Seen seen;
    std::mutex mutex;
    visit_bytes(path, span_of(content), limits, visitor_of(seen, mutex));
    return seen;
}

Seen visit_paths(const std::vector<std::string>& paths, const Limits& limits, int threads) {
    Seen seen;
    std::mutex mutex;
    const Status status = visit_files(paths, limits, threads, visitor_of(seen, mutex));
    if (!status.ok()) seen.refused.push_back("caller error: " + status.message());
    return seen;
}

Folder::Folder() {
    std::string pattern = std::filesystem::temp_directory_path() / "inspect-XXXXXX";
    path_ = mkdtemp(pattern.data());
}

Folder::~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
}

std::string Folder::write(const std::string& name, const std::string& content) const {
    const std::filesystem::path file = path(name);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
}

}  // namespace warpwright::inspect::samples
