// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include "inspect/container/printable.h"
#include "inspect/container/sniff.h"
#include "inspect/container/stream.h"
#include "inspect/container/visit.h"

namespace warpwright::inspect {
namespace {

constexpr u64 kBlockBytes = 512;
constexpr u64 kMaxRecordBytes = u64{1} << 20;  // of a long name or a pax record

struct TarHeader {
    char name[100], mode[8], owner[8], group[8], bytes[12], time[12], checksum[8], type, link[100];
    char magic[6], version[2], owner_name[32], group_name[32], major[8], minor[8], prefix[155], unused[12];
};
static_assert(sizeof(TarHeader) == kBlockBytes);

template <size_t N>
std::string_view field(const char (&text)[N]) {
    const std::string_view all(text, N);
    return all.substr(0, all.find('\0'));
}

// Octal digits between spaces, or GNU's big-endian number after 0x80.
std::optional<u64> number(std::string_view text) {
    if (static_cast<u8>(text[0]) == 0x80) {
        u64 value = 0;
        for (const char c : text.substr(1)) {
            if (value >> 56 != 0) return std::nullopt;
            value = value << 8 | static_cast<u8>(c);
        }
        return value;
    }
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    u64 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
    if (error == std::errc::invalid_argument) return 0;  // an empty field
    if (error != std::errc{}) return std::nullopt;
    if (end != text.data() + text.size() && *end != ' ' && *end != '\0') return std::nullopt;
    return value;
}

bool has_right_checksum(const TarHeader& header) {
    const auto expected = number({header.checksum, sizeof header.checksum});
    const auto* bytes = reinterpret_cast<const u8*>(&header);
    const auto checksum_at = static_cast<size_t>(header.checksum - reinterpret_cast<const char*>(&header));
    u64 sum = 0;
    for (size_t i = 0; i < kBlockBytes; ++i) {
        sum += i - checksum_at < sizeof header.checksum ? ' ' : bytes[i];
    }
    return expected && *expected == sum;
}

// An archive in memory, whose members are read in place, or a stream.
class TarInput {
public:
    explicit TarInput(Bytes bytes) : bytes_(bytes) {}
    TarInput(Stream& stream, Bytes begun) : stream_(&stream), begun_(begun.begin(), begun.end()) {}

    // All of `to`; false at the end, or where the stream is damaged (status()).
    bool read(std::span<std::byte> to) {
        const auto got = next(to);
        if (!got.ok()) status_ = got.status();
        return got.ok() && *got == to.size();
    }
    bool skip(u64 bytes) {
        if (stream_ == nullptr) {
            const bool is_there = bytes <= bytes_.size() - at_;
            at_ += std::min<u64>(bytes, bytes_.size() - at_);
            return is_there;
        }
        std::vector<std::byte> unused(std::min<u64>(bytes, u64{64} << 10));
        for (; bytes > 0; bytes -= std::min<u64>(bytes, unused.size())) {
            if (!read(std::span(unused).first(std::min<u64>(bytes, unused.size())))) return false;
        }
        return true;
    }
    // The next bytes themselves; nothing for a stream, or where they are not all there.
    std::optional<Bytes> in_place(u64 bytes) const {
        return stream_ == nullptr ? slice(bytes_, at_, bytes) : std::nullopt;
    }
    bool is_stream() const { return stream_ != nullptr; }
    const Status& status() const { return status_; }

    Result<u64> next(std::span<std::byte> to) {
        if (stream_ == nullptr) {
            const u64 bytes = std::min<u64>(to.size(), bytes_.size() - at_);
            std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), bytes, to.begin());
            at_ += bytes;
            return bytes;
        }
        // First what was read to see that this is a tar archive.
        const u64 begun = std::min<u64>(to.size(), begun_.size() - at_);
        std::copy_n(begun_.begin() + static_cast<std::ptrdiff_t>(at_), begun, to.begin());
        at_ += begun;
        if (begun == to.size()) return begun;
        WW_ASSIGN(const u64 more, stream_->read(to.subspan(begun)));
        return begun + more;
    }

private:
    Bytes bytes_;
    Stream* stream_ = nullptr;
    std::vector<std::byte> begun_;
    u64 at_ = 0;
    Status status_;
};

// The input as the stream of its next member.
class MemberStream : public Stream {
public:
    explicit MemberStream(TarInput& input) : input_(input) {}
    Result<u64> read(std::span<std::byte> to) override { return input_.next(to); }

private:
    TarInput& input_;
};

class TarReader {
public:
    TarReader(Visit& visit, const Item& archive, TarInput& input)
        : visit_(visit), archive_(archive), input_(input) {}

    void run() {
        TarHeader header;
        while (!visit_.stopped() && input_.read(std::as_writable_bytes(std::span(&header, 1)))) {
            const auto* begin = reinterpret_cast<const char*>(&header);
            if (std::all_of(begin, begin + kBlockBytes, [](char c) { return c == 0; })) return;  // the end
            if (!has_right_checksum(header))
                return refuse("a header with a wrong checksum: the rest is left out");
            const auto bytes = number({header.bytes, sizeof header.bytes});
            if (!bytes) return refuse("a size that is no number: the rest is left out");
            if (!take(header, *bytes)) return;
        }
        if (!input_.status().ok()) return refuse(input_.status().message());
        if (!visit_.stopped()) refuse("ends without its last block: cut off");
    }

private:
    static u64 padding(u64 bytes) { return (kBlockBytes - bytes % kBlockBytes) % kBlockBytes; }

    void refuse(const std::string& what) { visit_.refuse(fmt::format("{}: {}", archive_.path, what)); }

    // False: it cannot go on.
    bool take(const TarHeader& header, u64 bytes) {
        switch (header.type) {
            case 'x': return read_record(bytes, [&](std::string_view text) { read_pax(text); });
            case 'L':
                return read_record(
                    bytes, [&](std::string_view text) { long_name_ = text.substr(0, text.find('\0')); });
            case 'g':  // of all members: nothing that is wanted here
            case 'K':
            case 'V': return skip(bytes + padding(bytes));
            default: break;
        }
        const std::string name = name_of(header);
        const u64 size = size_.value_or(bytes);
        const bool is_sparse = std::exchange(is_sparse_, false) || header.type == 'S';
        size_.reset();
        long_name_.clear();
        if (size > std::numeric_limits<u64>::max() - kBlockBytes)
            return refuse("a member of an absurd size: the rest is left out"), false;
        const bool is_file = header.type == '0' || header.type == '\0' || header.type == '7';
        if (!is_file && header.type != 'S') {
            // Links and devices have no content, whatever their size says, but for those of no standard.
            const bool is_empty = header.type >= '1' && header.type <= '6';
            return is_empty || skip(size + padding(size));
        }
        if (name.ends_with('/') || size == 0) return skip(size + padding(size));
        if (!visit_.count_file()) return false;
        const auto path = member_path(visit_, archive_, name);
        if (path && is_sparse) visit_.refuse(fmt::format("{}: is stored with holes: refused", *path));
        if (!path || is_sparse) return skip(size + padding(size));
        return visit_member(*path, size) && skip(padding(size));
    }

    bool visit_member(const std::string& path, u64 size) {
        if (!input_.is_stream()) {
            const auto bytes = input_.in_place(size);
            if (!bytes)
                return refuse(fmt::format("member '{}' says {} bytes, which are not there", path, size)),
                       false;
            visit_item(visit_, {path, *bytes, archive_.owner, archive_.top, archive_.depth + 1});
            return input_.skip(size);
        }
        MemberStream stream(input_);
        if (size > visit_.limits.max_member_bytes) {
            visit_.refuse(fmt::format("{}: is {} bytes, at most {} are read: refused", path, size,
                                      visit_.limits.max_member_bytes));
            return skip(size);
        }
        StreamedMember member;
        member.path = path;
        member.bytes = size;
        return visit_streamed(visit_, archive_, member, stream, true);
    }

    std::string name_of(const TarHeader& header) const {
        if (!long_name_.empty()) return long_name_;
        const bool is_ustar = field(header.magic) == "ustar" && header.version[0] == '0';
        const std::string_view prefix = is_ustar ? field(header.prefix) : std::string_view{};
        return prefix.empty() ? std::string(field(header.name))
                              : fmt::format("{}/{}", prefix, field(header.name));
    }

    template <class Use>
    bool read_record(u64 bytes, const Use& use) {
        if (bytes > kMaxRecordBytes)
            return refuse(fmt::format("a name or record of {} bytes: the rest is left out", bytes)), false;
        std::string text(bytes, '\0');
        if (!input_.read(std::as_writable_bytes(std::span(text))) || !input_.skip(padding(bytes)))
            return said_cut_off();
        use(text);
        return true;
    }

    // Lines "27 path=a name\n", of which the number counts all characters.
    void read_pax(std::string_view text) {
        while (!text.empty()) {
            u64 size = 0;
            const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
            const auto digits = static_cast<u64>(end - text.data());
            if (error != std::errc{} || size > text.size() || size < digits + 2 || *end != ' ') return;
            const std::string_view line = text.substr(digits + 1, size - digits - 2);
            const std::string_view key = line.substr(0, line.find('='));
            const std::string_view value = line.substr(std::min(key.size() + 1, line.size()));
            if (key == "path") long_name_ = value;
            if (key == "size") {
                u64 bytes = 0;
                std::from_chars(value.data(), value.data() + value.size(), bytes);
                size_ = bytes;
            }
            if (key.starts_with("GNU.sparse.")) is_sparse_ = true;
            text.remove_prefix(size);
        }
    }

    bool skip(u64 bytes) {
        if (input_.is_stream() && !archive_.top->may_expand(bytes)) {
            refuse(
                fmt::format("expands to more than {} times its size: refused", visit_.limits.max_expansion));
            return false;
        }
        return input_.skip(bytes) || said_cut_off();
    }
    bool said_cut_off() {
        refuse(input_.status().ok() ? "ends within a member: cut off" : input_.status().message());
        return false;
    }

    Visit& visit_;
    const Item& archive_;
    TarInput& input_;
    // Of the next member, by the records before it.
    std::string long_name_;
    std::optional<u64> size_;
    bool is_sparse_ = false;
};

Codec codec_of(FileForm form) {
    return form == FileForm::gzip ? Codec::gzip : form == FileForm::xz ? Codec::xz : Codec::zstd;
}

// "a/b.cubin.gz" -> "b.cubin"
std::string name_inside(std::string_view path) {
    std::string_view name = path.substr(path.rfind('/') + 1);
    for (const std::string_view suffix : {".gz", ".xz", ".zst"}) {
        if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
    }
    return std::string(name);
}

}  // namespace

bool is_tar(Bytes beginning) {
    const auto header = read_at<TarHeader>(beginning, 0);
    return header && header->name[0] != '\0' && has_right_checksum(*header);
}

void visit_tar(Visit& visit, const Item& archive) {
    TarInput input(archive.bytes);
    TarReader(visit, archive, input).run();
}

void visit_compressed(Visit& visit, const Item& archive) {
    const auto refuse = [&](const Status& status) {
        visit.refuse(fmt::format("{}: {}", archive.path, status.message()));
    };
    const Codec codec = codec_of(sniff(archive.bytes));
    auto stream = open_stream(codec, archive.bytes);
    if (!stream.ok()) return refuse(stream.status());
    std::array<std::byte, kBlockBytes> begun;
    const auto got = (*stream)->read(begun);
    if (!got.ok()) return refuse(got.status());
    if (is_tar(Bytes(begun).first(*got))) {
        TarInput input(**stream, Bytes(begun).first(*got));
        TarReader(visit, archive, input).run();
        return;
    }
    // One file: from its beginning again.
    stream = open_stream(codec, archive.bytes);
    if (!stream.ok()) return refuse(stream.status());
    if (!visit.count_file()) return;
    StreamedMember member;
    member.path = fmt::format("{}!/{}", archive.path, name_inside(archive.path));
    member.is_size_known = false;
    visit_streamed(visit, archive, member, **stream, false);
}

}  // namespace warpwright::inspect
