// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/visit.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <vector>

#include "inspect/container/printable.h"
#include "inspect/container/sniff.h"
#include "inspect/container/stream.h"

namespace warpwright::inspect {
namespace {

// Below this, any expansion is harmless.
constexpr u64 kFreeExpansion = u64{64} << 20;
constexpr size_t kMaxNameBytes = 4096;
constexpr u64 kStepBytes = u64{64} << 10;

u64 times(u64 a, u64 b) {
    u64 product = 0;
    return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<u64>::max() : product;
}

u64 most_expanded(const Limits& limits, u64 stored_bytes) {
    return std::max(kFreeExpansion, times(stored_bytes, limits.max_expansion));
}

}  // namespace

void Visit::refuse(const std::string& sentence) {
    if (!visitor.refused) return;
    const std::lock_guard lock(mutex_);
    visitor.refused(sentence);
}

void Visit::add_total(u64 bytes) {
    const std::lock_guard lock(mutex_);
    total_bytes_ += bytes;
    if (visitor.progress) visitor.progress(done_bytes_, total_bytes_);
}

void Visit::add_done(u64 bytes) {
    const std::lock_guard lock(mutex_);
    done_bytes_ += bytes;
    if (visitor.progress) visitor.progress(done_bytes_, total_bytes_);
}

bool Visit::count_file() {
    const u64 before = num_files_++;
    if (before == limits.max_files)
        refuse(fmt::format("there are more than {} files and members: the others are left out",
                           limits.max_files));
    return before < limits.max_files;
}

TopFile::TopFile(Visit& visit, std::string path, u64 bytes)
    : visit_(visit),
      path_(std::move(path)),
      bytes_(bytes),
      left_to_expand_(most_expanded(visit.limits, bytes)) {}

TopFile::~TopFile() {
    if (done_bytes_ < bytes_) visit_.add_done(bytes_ - done_bytes_);
}

void TopFile::add_done(u64 bytes) {
    const u64 before = done_bytes_.fetch_add(bytes);
    if (before < bytes_) visit_.add_done(std::min(bytes, bytes_ - before));
}

bool TopFile::may_expand(u64 bytes) {
    u64 left = left_to_expand_;
    do {
        if (left < bytes) return false;
    } while (!left_to_expand_.compare_exchange_weak(left, left - bytes));
    return true;
}

std::optional<std::string> member_path(Visit& visit, const Item& archive, std::string_view name) {
    while (name.starts_with("./")) name.remove_prefix(2);
    if (name.size() > kMaxNameBytes) {
        visit.refuse(fmt::format("{}: a member's name of {} bytes: refused", archive.path, name.size()));
        return std::nullopt;
    }
    const std::string shown = printable(name);
    bool leads_out = name.starts_with('/') || name.find('\0') != name.npos;
    for (std::string_view rest = name; !leads_out && !rest.empty();) {
        const size_t end = std::min(rest.find_first_of("/\\"), rest.size());
        leads_out = rest.substr(0, end) == "..";
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (leads_out) {
        visit.refuse(fmt::format("{}: member '{}' leads out of the archive: refused", archive.path, shown));
        return std::nullopt;
    }
    return fmt::format("{}!/{}", archive.path, shown);
}

bool visit_streamed(Visit& visit, const Item& archive, const StreamedMember& member, Stream& stream,
                    bool skip_to_end) {
    const auto refuse = [&](const std::string& why) {
        visit.refuse(fmt::format("{}: {}", member.path, why));
        return false;
    };
    const u64 limit = member.is_size_known ? member.bytes : visit.limits.max_member_bytes;
    if (limit > visit.limits.max_member_bytes)
        return refuse(fmt::format("expands to {} bytes, at most {} are read: refused", limit,
                                  visit.limits.max_member_bytes));
    if (member.is_size_known && member.stored_bytes > 0 &&
        limit > most_expanded(visit.limits, member.stored_bytes))
        return refuse(fmt::format("{} bytes would expand to {}: refused", member.stored_bytes, limit));

    // `size` of 0: as much as comes.
    std::vector<std::byte> step(kStepBytes);
    std::shared_ptr<Spool> spool;  // tasks may outlive this function
    u64 made = 0;
    auto crc = static_cast<u32>(crc32(0, nullptr, 0));
    bool is_wanted = true;
    while (!member.is_size_known || made < limit) {
        if (visit.stopped()) return false;
        // The first bytes tell whether the others are wanted.
        u64 want = made == 0 ? kSniffBytes : kStepBytes;
        if (member.is_size_known) want = std::min(want, limit - made);
        const auto got = stream.read(std::span(step).first(want));
        if (!got.ok()) return refuse(got.status().message());
        const Bytes bytes = Bytes(step).first(*got);
        if (bytes.empty()) break;
        if (made == 0) {
            is_wanted = sniff(bytes) != FileForm::other;
            if (!is_wanted && !skip_to_end) return true;
            if (is_wanted)
                spool = std::make_shared<Spool>(visit.budget, member.is_size_known ? member.bytes : 0);
        }
        made += bytes.size();
        if (!archive.top->may_expand(bytes.size()))
            return refuse(fmt::format("{} expands to more than {} times its size: refused",
                                      archive.top->path(), visit.limits.max_expansion));
        if (made > limit) return refuse(fmt::format("expands to more than {} bytes: refused", limit));
        if (!is_wanted) continue;
        if (member.crc)
            crc = static_cast<u32>(
                crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
        if (const Status status = spool->append(bytes); !status.ok()) return refuse(status.message());
    }
    if (member.is_size_known && made < limit)
        return refuse(fmt::format("says {} bytes, holds {}", limit, made));
    if (!is_wanted || made == 0) return true;
    if (member.crc && *member.crc != crc) {
        refuse(fmt::format("its checksum is {:08x}, {:08x} was expected: damaged", crc, *member.crc));
        return true;
    }
    const auto bytes = spool->finish();
    if (!bytes.ok()) return refuse(bytes.status().message());
    visit_item(visit, {member.path, *bytes, spool, archive.top, archive.depth + 1});
    return true;
}

void visit_item(Visit& visit, const Item& item) {
    const FileForm form = is_program_with_zip(item.bytes) ? FileForm::zip : sniff(item.bytes);
    const bool is_archive = form != FileForm::code && form != FileForm::other;
    if (is_archive && item.depth >= visit.limits.max_depth) {
        visit.refuse(fmt::format("{}: an archive in {} others: refused", item.path, item.depth));
        return;
    }
    switch (form) {
        case FileForm::code: break;
        case FileForm::other:
            if (!item.named) return;
            break;
        case FileForm::zip: return visit_zip(visit, item);
        case FileForm::ar: return visit_ar(visit, item);
        case FileForm::tar: return visit_tar(visit, item);
        case FileForm::gzip:
        case FileForm::xz:
        case FileForm::zstd: return visit_compressed(visit, item);
        case FileForm::thin_ar:
            visit.refuse(fmt::format(
                "{}: a thin archive holds the names of its members only: give those files", item.path));
            return;
        case FileForm::bzip2:
            if (item.named || item.path.find(".tar.") != std::string::npos || item.path.ends_with(".tbz2"))
                visit.refuse(fmt::format("{}: bzip2 is not read: unpack it first", item.path));
            return;
    }
    if (visit.stopped() || !visit.visitor.file) return;
    try {
        visit.visitor.file({item.path, item.bytes, item.named});
    } catch (const std::bad_alloc&) {
        visit.refuse(fmt::format("{}: the memory does not suffice to read it", item.path));
    }
}

void visit_bytes(const std::string& path, Bytes bytes, const Limits& limits, const FileVisitor& visitor) {
    Visit visit(limits, visitor);
    {
        visit.add_total(bytes.size());
        Item item{path, bytes, nullptr, std::make_shared<TopFile>(visit, path, bytes.size()), 0, true};
        if (visit.count_file()) visit_item(visit, item);
    }
    visit.tasks.run(1, visitor.stop);
}

}  // namespace warpwright::inspect
