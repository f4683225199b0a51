// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/own_pack.h"

#include <zstd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "image/pack.h"

namespace warpwright::inspect {
namespace {

constexpr u64 kMagicBytes = 8, kMaxIndexBytes = u64{16} << 20;

u64 content_bytes(std::string_view frame) {
    const unsigned long long bytes = ZSTD_getFrameContentSize(frame.data(), frame.size());
    return bytes == ZSTD_CONTENTSIZE_UNKNOWN || bytes == ZSTD_CONTENTSIZE_ERROR ? 0 : bytes;
}

}  // namespace

OwnPack read_own_pack(Bytes file, u64 offset) {
    OwnPack found;
    const std::string_view rest = as_text(file).substr(offset);
    // The magic number stands in the library's code, too; and an index of a bad file may say that it is any
    // size.
    const auto index_bytes = read_at<u64>(file, offset + kMagicBytes);
    if (!index_bytes || *index_bytes > kMaxIndexBytes) return found;
    const auto index = slice(file, offset + kMagicBytes + sizeof(u64), *index_bytes);
    if (!index || content_bytes(as_text(*index)) > kMaxIndexBytes) return found;
    found.work = content_bytes(as_text(*index)) + index->size();
    const auto pack = Pack::parse(rest);
    if (!pack.ok()) return found;

    const auto add = [&](ImageKind kind, std::string_view stored, std::string_view head) {
        Payload payload;
        payload.kind = kind;
        payload.compression = Compression::zstd;
        payload.offset = offset + static_cast<u64>(stored.data() - rest.data());
        payload.stored = file.subspan(payload.offset, stored.size());
        payload.head = head;
        payload.bytes = content_bytes(stored) + head.size();
        found.end = std::max(found.end, payload.offset + stored.size());
        found.payloads.push_back(std::move(payload));
    };
    std::set<int> cubins;
    std::set<std::pair<int, int>> texts;
    for (const Pack::Entry& entry : pack->entries()) {
        if (entry.cubin >= 0 && cubins.insert(entry.cubin).second)
            add(ImageKind::cubin, pack->compressed_blob(entry.cubin), {});
        if (entry.ptx_body >= 0 && texts.insert({entry.ptx_head, entry.ptx_body}).second)
            add(ImageKind::ptx, pack->compressed_blob(entry.ptx_body), pack->head(entry.ptx_head));
    }
    std::stable_sort(found.payloads.begin(), found.payloads.end(),
                     [](const Payload& a, const Payload& b) { return a.offset < b.offset; });
    return found;
}

}  // namespace warpwright::inspect
