// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include <algorithm>
#include <limits>
#include <new>

#include "inspect/container/payload.h"

namespace warpwright::inspect {
namespace {

// LZ4 makes at most 255 bytes of one; what says more lies.
constexpr u64 kMaxLz4Expansion = 255;
// zstd can make 128 KB of four bytes. Memory grows with what comes out, not with what a header says: from
// this on.
constexpr u64 kTrustedExpansion = 64, kTrustedBytes = u64{1} << 20;

Status wrong_size(u64 said, u64 found) {
    return caller_error(fmt::format("compressed payload says {} bytes, holds {}", said, found));
}

}  // namespace

struct Expander::Zstd {
    ZSTD_DCtx* context = ZSTD_createDCtx();
    ~Zstd() { ZSTD_freeDCtx(context); }
};

Expander::Expander() = default;
Expander::~Expander() = default;

// Room for `bytes`, with what is there. Not zeroed: that would cost as much as expanding.
bool Expander::reserve(u64 bytes) {
    if (bytes <= capacity_) return true;
    std::unique_ptr<std::byte[]> more(new (std::nothrow) std::byte[bytes]);
    if (!more) return false;
    if (used_ > 0) std::memcpy(more.get(), memory_.get(), used_);
    memory_ = std::move(more);
    capacity_ = bytes;
    return true;
}

Result<Bytes> Expander::expand(const Payload& payload, u64 max_bytes) {
    if (payload.bytes > max_bytes || payload.stored.size() > max_bytes) {
        return caller_error(fmt::format("payload of {} bytes: more than {} are not read",
                                        std::max<u64>(payload.bytes, payload.stored.size()), max_bytes));
    }
    used_ = 0;
    switch (payload.compression) {
        case Compression::none: return payload.stored;
        case Compression::lz4: WW_TRY(expand_lz4(payload.stored, payload.bytes)); break;
        case Compression::zstd: {
            const u64 head_bytes = std::min<u64>(payload.head.size(), payload.bytes);
            WW_TRY(expand_zstd(payload.stored, payload.bytes - head_bytes, max_bytes));
            if (payload.head.empty()) break;
            if (!reserve(used_ + payload.head.size())) return unavailable("no memory for a text's head");
            std::memmove(memory_.get() + payload.head.size(), memory_.get(), used_);
            std::memcpy(memory_.get(), payload.head.data(), payload.head.size());
            used_ += payload.head.size();
            break;
        }
    }
    while (payload.kind == ImageKind::ptx && used_ > 0 && memory_[used_ - 1] == std::byte{0}) --used_;
    return Bytes(memory_.get(), used_);
}

Status Expander::expand_lz4(Bytes stored, u64 bytes) {
    if (bytes > stored.size() * kMaxLz4Expansion) {
        return caller_error(fmt::format("LZ4 payload of {} bytes says that {} are in it: at most {} can be",
                                        stored.size(), bytes, stored.size() * kMaxLz4Expansion));
    }
    constexpr u64 kMaxInt = std::numeric_limits<int>::max();
    if (stored.size() > kMaxInt || bytes > kMaxInt)
        return caller_error(
            fmt::format("LZ4 payload of {} bytes: more than {} are not read", bytes, kMaxInt));
    if (!reserve(bytes)) return unavailable(fmt::format("no memory for a payload of {} bytes", bytes));
    const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(stored.data()),
                                         reinterpret_cast<char*>(memory_.get()),
                                         static_cast<int>(stored.size()), static_cast<int>(bytes));
    if (made < 0)
        return caller_error(
            fmt::format("LZ4 payload of {} bytes is damaged, or holds more than {}", stored.size(), bytes));
    used_ = static_cast<u64>(made);
    return used_ == bytes ? Status{} : wrong_size(bytes, used_);
}

// `bytes` 0: as many as there are.
Status Expander::expand_zstd(Bytes stored, u64 bytes, u64 max_bytes) {
    if (!zstd_) zstd_ = std::make_unique<Zstd>();
    if (zstd_->context == nullptr) return unavailable("no memory to read zstd");
    const u64 trusted = std::max(stored.size() * kTrustedExpansion, kTrustedBytes);
    const u64 limit = bytes > 0 ? bytes : max_bytes;
    ZSTD_DCtx_reset(zstd_->context, ZSTD_reset_session_only);
    ZSTD_inBuffer input{stored.data(), stored.size(), 0};
    for (u64 room = std::min(limit, trusted);; room = std::min(limit, room * 2)) {
        // One byte more than is expected, to see that there is none.
        if (!reserve(room + 1)) return unavailable(fmt::format("no memory for a payload of {} bytes", room));
        ZSTD_outBuffer output{memory_.get(), room + 1, used_};
        const size_t left = ZSTD_decompressStream(zstd_->context, &output, &input);
        used_ = output.pos;
        if (ZSTD_isError(left))
            return caller_error(fmt::format("zstd payload of {} bytes is damaged: {}", stored.size(),
                                            ZSTD_getErrorName(left)));
        if (used_ > limit) {
            return bytes > 0
                       ? caller_error(fmt::format("compressed payload says {} bytes, holds more", bytes))
                       : caller_error(fmt::format("payload of more than {} bytes: not read", max_bytes));
        }
        if (left == 0) break;
        if (output.pos < output.size && input.pos == input.size)
            return caller_error(fmt::format("zstd payload of {} bytes ends early", stored.size()));
    }
    return bytes == 0 || used_ == bytes ? Status{} : wrong_size(bytes, used_);
}

}  // namespace warpwright::inspect
