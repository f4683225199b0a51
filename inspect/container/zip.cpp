// SPDX-License-Identifier: Apache-2.0
// Zip archives and wheels, by their central directory; zip64 too. What is stored plainly is read in place.
// APPNOTE.TXT is the format's description; its section numbers stand beside the structs.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "inspect/container/printable.h"
#include "inspect/container/stream.h"
#include "inspect/container/visit.h"

namespace warpwright::inspect {
namespace {

#pragma pack(push, 1)
struct LocalHeader {  // 4.3.7
    u32 signature;
    u16 version, flags, method, time, date;
    u32 crc, stored_bytes, bytes;
    u16 name_bytes, extra_bytes;
};
struct CentralHeader {  // 4.3.12
    u32 signature;
    u16 made_by, version, flags, method, time, date;
    u32 crc, stored_bytes, bytes;
    u16 name_bytes, extra_bytes, comment_bytes, disk, internal_attributes;
    u32 external_attributes, offset;
};
struct EndRecord {  // 4.3.16
    u32 signature;
    u16 disk, directory_disk, disk_entries, entries;
    u32 directory_bytes, directory_offset;
    u16 comment_bytes;
};
struct EndLocator64 {  // 4.3.15
    u32 signature, disk;
    u64 end_offset;
    u32 num_disks;
};
struct EndRecord64 {  // 4.3.14
    u32 signature;
    u64 record_bytes;
    u16 made_by, version;
    u32 disk, directory_disk;
    u64 disk_entries, entries, directory_bytes, directory_offset;
};
#pragma pack(pop)
static_assert(sizeof(LocalHeader) == 30 && sizeof(CentralHeader) == 46 && sizeof(EndRecord) == 22);
static_assert(sizeof(EndLocator64) == 20 && sizeof(EndRecord64) == 56);

constexpr u32 kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kLocator64 = 0x07064b50,
              kEnd64 = 0x06064b50;
constexpr u16 kEncrypted = 1, kSizesFollow = 8;
constexpr u16 kStored = 0, kDeflated = 8, kZstd = 93;
constexpr u16 kMany16 = 0xFFFF;
constexpr u32 kMany32 = 0xFFFFFFFF;

// The end record is the last 22 bytes, but for a comment.
std::optional<u64> find_end(Bytes file) {
    if (file.size() < sizeof(EndRecord)) return std::nullopt;
    const u64 last = file.size() - sizeof(EndRecord);
    const u64 first = last - std::min<u64>(last, kMany16);
    for (u64 at = last + 1; at-- > first;) {
        const auto end = read_at<EndRecord>(file, at);
        if (end->signature == kEnd && end->comment_bytes <= last - at) return at;
    }
    return std::nullopt;
}

struct Member {
    std::string_view name;
    u16 flags, method;
    u32 crc, attributes;
    u64 stored_bytes, bytes, header_offset;
    Bytes stored;

    bool is_file() const {
        constexpr u32 kUnixLink = 0120000, kUnixType = 0170000;
        return !name.ends_with('/') && (attributes >> 16 & kUnixType) != kUnixLink;
    }
    u64 end_offset(Bytes file) const { return static_cast<u64>(stored.data() - file.data()) + stored.size(); }
};

struct Directory {
    u64 entries = 0, bytes = 0, offset = 0;
};

class ZipReader {
public:
    ZipReader(Visit& visit, const Item& archive) : visit_(visit), archive_(archive), file_(archive.bytes) {}

    void run() {
        const auto directory = find_directory();
        if (!directory || !read_members(*directory) || !find_contents()) return;
        // The largest first: threads end at about the same time.
        std::sort(members_.begin(), members_.end(),
                  [](const Member& a, const Member& b) { return a.stored_bytes < b.stored_bytes; });
        for (const Member& member : members_) {
            if (!member.is_file() || member.stored.empty()) continue;
            if (!visit_.count_file()) return;
            Visit& visit = visit_;
            visit.tasks.add_first(
                [&visit, archive = archive_, member] { visit_member(visit, archive, member); });
        }
    }

private:
    bool refuse(const std::string& why) {
        visit_.refuse(fmt::format("{}: {}: refused", archive_.path, why));
        return false;
    }
    std::string shown(const Member& member) const { return printable(member.name.substr(0, 256)); }

    std::optional<Directory> find_directory() {
        if (const auto end_at = find_end(file_))
            return read_end(*read_at<EndRecord>(file_, *end_at), *end_at);
        refuse("a zip archive without its end: cut off");
        return std::nullopt;
    }

    std::optional<Directory> read_end(const EndRecord& end, u64 at) {
        Directory directory{end.entries, end.directory_bytes, end.directory_offset};
        u64 end_at = at;
        bool is_split = end.disk != 0 || end.directory_disk != 0 || end.disk_entries != end.entries;
        const auto locator = at < sizeof(EndLocator64)
                                 ? std::nullopt
                                 : read_at<EndLocator64>(file_, at - sizeof(EndLocator64));
        if (locator && locator->signature == kLocator64) {
            const auto end64 = read_at<EndRecord64>(file_, locator->end_offset);
            if (!end64 || end64->signature != kEnd64) {
                refuse("its zip64 end record is not where it is said to be");
                return std::nullopt;
            }
            directory = {end64->entries, end64->directory_bytes, end64->directory_offset};
            end_at = locator->end_offset;
            is_split = end64->disk != 0 || end64->directory_disk != 0 || locator->num_disks > 1;
        }
        if (is_split) {
            refuse("a part of a split zip archive");
            return std::nullopt;
        }
        // With something before the archive (a program that unpacks itself), offsets count from its
        // beginning.
        if (directory.bytes > end_at || directory.offset > end_at - directory.bytes) {
            refuse(fmt::format("its directory of {} bytes at {:#x} is not before its end at {:#x}",
                               directory.bytes, directory.offset, end_at));
            return std::nullopt;
        }
        base_ = end_at - directory.bytes - directory.offset;
        return directory;
    }

    bool read_members(const Directory& directory) {
        const Bytes table = file_.subspan(base_ + directory.offset, directory.bytes);
        for (u64 at = 0; at < table.size();) {
            const auto header = read_at<CentralHeader>(table, at);
            if (!header || header->signature != kCentral)
                return refuse(fmt::format("entry {} of its directory is none", members_.size() + 1));
            at += sizeof(CentralHeader);
            const auto name = slice(table, at, header->name_bytes);
            const auto extra = slice(table, at + header->name_bytes, header->extra_bytes);
            if (!name || !extra)
                return refuse(fmt::format("entry {} of its directory is cut off", members_.size() + 1));
            at += u64{header->name_bytes} + header->extra_bytes + header->comment_bytes;
            Member member{
                as_text(*name),       header->flags, header->method, header->crc, header->external_attributes,
                header->stored_bytes, header->bytes, header->offset, {}};
            if (!widen(*extra, member.bytes, member.stored_bytes, &member.header_offset))
                return refuse(fmt::format(
                    "member '{}' has sizes beyond 4 GB without the record that says them", shown(member)));
            members_.push_back(member);
            if (members_.size() > visit_.limits.max_files)
                return refuse(fmt::format("more than {} members", visit_.limits.max_files));
        }
        if (members_.size() != directory.entries)
            return refuse(fmt::format("its directory has {} members, its end says {}", members_.size(),
                                      directory.entries));
        return true;
    }

    // Numbers that do not fit 32 bits stand in record 1 of the extra field, in this order (4.5.3).
    static bool widen(Bytes extra, u64& bytes, u64& stored_bytes, u64* offset) {
        const bool is_wanted =
            bytes == kMany32 || stored_bytes == kMany32 || (offset != nullptr && *offset == kMany32);
        if (!is_wanted) return true;
        for (u64 at = 0; at + 4 <= extra.size();) {
            const u16 id = *read_at<u16>(extra, at);
            const u16 size = *read_at<u16>(extra, at + 2);
            const auto record = slice(extra, at + 4, size);
            if (!record) return false;
            at += 4 + u64{size};
            if (id != 1) continue;
            u64 field = 0;
            for (u64* number : {&bytes, &stored_bytes, offset}) {
                if (number == nullptr || *number != kMany32) continue;
                const auto value = read_at<u64>(*record, field);
                if (!value) return false;
                *number = *value;
                field += sizeof(u64);
            }
            return true;
        }
        return false;
    }

    // Where each member's bytes are, by its local header; and that no byte serves two: an archive of a
    // thousand names for the same bytes expands without bound.
    bool find_contents() {
        std::sort(members_.begin(), members_.end(),
                  [](const Member& a, const Member& b) { return a.header_offset < b.header_offset; });
        u64 end = 0;
        const Member* before = nullptr;
        for (Member& member : members_) {
            if (member.header_offset > file_.size() || base_ > file_.size() - member.header_offset)
                return refuse(fmt::format("member '{}' begins behind the end of the file", shown(member)));
            const u64 at = base_ + member.header_offset;
            if (at < end)
                return refuse(fmt::format("members '{}' and '{}' overlap", shown(*before), shown(member)));
            if (!find_content(at, member)) return false;
            end = member.end_offset(file_);
            before = &member;
        }
        return true;
    }

    bool find_content(u64 at, Member& member) {
        const auto local = read_at<LocalHeader>(file_, at);
        if (!local || local->signature != kLocal)
            return refuse(fmt::format("member '{}' has no header at {:#x}", shown(member), at));
        const auto name = slice(file_, at + sizeof(LocalHeader), local->name_bytes);
        const auto extra = slice(file_, at + sizeof(LocalHeader) + local->name_bytes, local->extra_bytes);
        const u64 content = at + sizeof(LocalHeader) + local->name_bytes + local->extra_bytes;
        const auto stored = slice(file_, content, member.stored_bytes);
        if (!name || !extra || !stored)
            return refuse(fmt::format("member '{}' says {} bytes, which are not there", shown(member),
                                      member.stored_bytes));
        u64 bytes = local->bytes, stored_bytes = local->stored_bytes;
        const bool is_wide = widen(*extra, bytes, stored_bytes, nullptr);
        // A writer that did not know the sizes left zeros, and the sizes behind the content.
        const bool has_sizes = is_wide && (!(local->flags & kSizesFollow) || bytes != 0 || stored_bytes != 0);
        const bool agree = as_text(*name) == member.name && local->method == member.method &&
                           (local->flags & kEncrypted) == (member.flags & kEncrypted) &&
                           (!has_sizes || (bytes == member.bytes && stored_bytes == member.stored_bytes));
        if (!agree) {
            return refuse(
                fmt::format("its directory and the header of member '{}' disagree: two programs would unpack "
                            "different files",
                            shown(member)));
        }
        member.stored = *stored;
        return true;
    }

    static void visit_member(Visit& visit, const Item& archive, const Member& member) {
        visit_content(visit, archive, member);
        if (archive.depth > 0) return;
        archive.top->add_done(member.stored_bytes);
        archive.top->release(member.stored);
    }

    static void visit_content(Visit& visit, const Item& archive, const Member& member) {
        const auto path = member_path(visit, archive, member.name);
        if (!path) return;
        const auto refuse = [&](const std::string& why) {
            visit.refuse(fmt::format("{}: {}: refused", *path, why));
        };
        if (member.flags & kEncrypted) return refuse("is encrypted");
        if (member.method == kStored) {
            if (member.bytes != member.stored_bytes)
                return refuse(fmt::format("is stored plainly as {} bytes, and says {}", member.stored_bytes,
                                          member.bytes));
            visit_item(visit, {*path, member.stored, archive.owner, archive.top, archive.depth + 1});
            return;
        }
        if (member.method != kDeflated && member.method != kZstd)
            return refuse(
                fmt::format("is compressed by method {}: stored, deflate and zstd are read", member.method));
        const auto stream = open_stream(member.method == kZstd ? Codec::zstd : Codec::deflate, member.stored);
        if (!stream.ok()) return refuse(stream.status().message());
        StreamedMember streamed;
        streamed.path = *path;
        streamed.stored_bytes = member.stored_bytes;
        streamed.bytes = member.bytes;
        streamed.crc = member.crc;
        visit_streamed(visit, archive, streamed, **stream, false);
    }

    Visit& visit_;
    const Item& archive_;
    Bytes file_;
    std::vector<Member> members_;
    u64 base_ = 0;  // of the archive in the file
};

}  // namespace

bool is_program_with_zip(Bytes file) {
    return as_text(file).starts_with("#!") && find_end(file).has_value();
}

void visit_zip(Visit& visit, const Item& archive) {
    ZipReader(visit, archive).run();
}

}  // namespace warpwright::inspect
