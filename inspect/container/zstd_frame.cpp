// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/zstd_frame.h"

// For the size of a frame's header.
#define ZSTD_STATIC_LINKING_ONLY  // NOLINT(bugprone-reserved-identifier): zstd's own name
#include <zstd.h>

#include <algorithm>
#include <memory>

namespace warpwright::inspect {
namespace {

constexpr u64 kPeekBytes = 4096, kBlockBytes = u64{128} << 10;
constexpr u64 kWorkPerBlock = 64;  // a line of the cache each

struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

std::optional<ZSTD_frameHeader> frame_header(Bytes bytes) {
    ZSTD_frameHeader header;
    if (ZSTD_getFrameHeader(&header, bytes.data(), bytes.size()) != 0) return std::nullopt;
    if (header.frameType != ZSTD_frame) return std::nullopt;
    return header;
}

}  // namespace

ZstdPeek peek_zstd(Bytes from_magic) {
    ZstdPeek peek;
    peek.work = kWorkPerBlock;
    const auto header = frame_header(from_magic);
    if (!header) return peek;
    if (header->frameContentSize != ZSTD_CONTENTSIZE_UNKNOWN) peek.content_bytes = header->frameContentSize;

    thread_local const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
    if (!context) return peek;
    ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
    peek.beginning_bytes.resize(kPeekBytes);
    ZSTD_inBuffer input{from_magic.data(), std::min<u64>(from_magic.size(), kPeekBytes + 2 * kBlockBytes), 0};
    ZSTD_outBuffer output{peek.beginning_bytes.data(), kPeekBytes, 0};
    while (output.pos < kPeekBytes && input.pos < input.size) {
        const u64 before = input.pos + output.pos;
        const size_t left = ZSTD_decompressStream(context.get(), &output, &input);
        if (ZSTD_isError(left) || left == 0 || input.pos + output.pos == before) break;
    }
    peek.work += input.pos + (output.pos > 0 ? kBlockBytes : 0);
    peek.beginning = Bytes(peek.beginning_bytes).first(output.pos);
    return peek;
}

ZstdExtent zstd_extent(Bytes from_magic) {
    ZstdExtent extent;
    const auto header = frame_header(from_magic);
    if (!header) return extent;
    // A block: its last flag, 2 bits of type and 21 of size in 3 bytes; a run of one byte stores one.
    enum : u32 { run = 1, reserved = 3 };
    u64 at = header->headerSize;
    for (bool is_last = false; !is_last;) {
        extent.work += kWorkPerBlock;
        const auto bytes = slice(from_magic, at, 3);
        if (!bytes) return extent;
        const u32 block = static_cast<u32>((*bytes)[0]) | static_cast<u32>((*bytes)[1]) << 8 |
                          static_cast<u32>((*bytes)[2]) << 16;
        const u32 type = block >> 1 & 3;
        if (type == reserved) return extent;
        is_last = block & 1;
        at += 3 + (type == run ? 1 : block >> 3);
    }
    at += header->checksumFlag ? 4 : 0;
    if (at <= from_magic.size()) extent.bytes = at;
    return extent;
}

}  // namespace warpwright::inspect
