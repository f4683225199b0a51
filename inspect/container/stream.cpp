// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/stream.h"

#include <fmt/format.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <limits>

namespace warpwright::inspect {
namespace {

// xz -9 asks for 65 MB; what asks for much more is none of ours.
constexpr u64 kMaxXzMemory = u64{256} << 20;
constexpr u64 kMaxStepBytes = u64{1} << 30;  // zlib counts in 32 bits

Status ends_early() {
    return caller_error("compressed data end early");
}

class StoredStream : public Stream {
public:
    explicit StoredStream(Bytes bytes) : rest_(bytes) {}

    Result<u64> read(std::span<std::byte> to) override {
        const u64 bytes = std::min(to.size(), rest_.size());
        std::copy_n(rest_.begin(), bytes, to.begin());
        rest_ = rest_.subspan(bytes);
        consumed_ += bytes;
        return bytes;
    }

private:
    Bytes rest_;
};

// Deflate, alone or as members of a gzip file one behind the other.
class ZlibStream : public Stream {
public:
    ZlibStream(Bytes bytes, bool is_gzip) : rest_(bytes), is_gzip_(is_gzip) {}
    ~ZlibStream() override {
        if (is_open_) inflateEnd(&zlib_);
    }
    ZlibStream(const ZlibStream&) = delete;
    ZlibStream& operator=(const ZlibStream&) = delete;

    Status open() {
        constexpr int kWindow = 15, kGzip = 16;
        if (inflateInit2(&zlib_, is_gzip_ ? kWindow + kGzip : -kWindow) != Z_OK)
            return unavailable("no memory to read deflated data");
        is_open_ = true;
        return {};
    }

    Result<u64> read(std::span<std::byte> to) override {
        u64 made = 0;
        while (made < to.size() && !is_done_) {
            const Bytes in = rest_.first(std::min<u64>(rest_.size(), kMaxStepBytes));
            const auto out = to.subspan(made, std::min<u64>(to.size() - made, kMaxStepBytes));
            zlib_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
            zlib_.avail_in = static_cast<uInt>(in.size());
            zlib_.next_out = reinterpret_cast<Bytef*>(out.data());
            zlib_.avail_out = static_cast<uInt>(out.size());
            const int status = inflate(&zlib_, Z_NO_FLUSH);
            const u64 taken = in.size() - zlib_.avail_in;
            made += out.size() - zlib_.avail_out;
            consumed_ += taken;
            rest_ = rest_.subspan(taken);
            if (status == Z_STREAM_END) {
                is_done_ = !is_gzip_ || !begins_member();
                if (!is_done_) inflateReset(&zlib_);
            } else if (status == Z_BUF_ERROR || (status == Z_OK && rest_.empty() && zlib_.avail_out > 0)) {
                return ends_early();
            } else if (status != Z_OK) {
                return caller_error(
                    fmt::format("deflated data are damaged: {}", zlib_.msg ? zlib_.msg : "no dictionary"));
            }
        }
        return made;
    }

private:
    // gzip ignores what follows its last member.
    bool begins_member() const {
        return rest_.size() > 2 && rest_[0] == std::byte{0x1F} && rest_[1] == std::byte{0x8B};
    }

    z_stream zlib_{};
    Bytes rest_;
    bool is_gzip_, is_open_ = false, is_done_ = false;
};

class XzStream : public Stream {
public:
    explicit XzStream(Bytes bytes) : bytes_(bytes) {}
    ~XzStream() override { lzma_end(&lzma_); }
    XzStream(const XzStream&) = delete;
    XzStream& operator=(const XzStream&) = delete;

    Status open() {
        if (lzma_stream_decoder(&lzma_, kMaxXzMemory, LZMA_CONCATENATED) != LZMA_OK)
            return unavailable("no memory to read xz");
        lzma_.next_in = reinterpret_cast<const u8*>(bytes_.data());
        lzma_.avail_in = bytes_.size();
        return {};
    }

    Result<u64> read(std::span<std::byte> to) override {
        if (is_done_) return u64{0};
        lzma_.next_out = reinterpret_cast<u8*>(to.data());
        lzma_.avail_out = to.size();
        while (lzma_.avail_out > 0 && !is_done_) {
            const lzma_ret status = lzma_code(&lzma_, LZMA_FINISH);
            is_done_ = status == LZMA_STREAM_END;
            if (status == LZMA_BUF_ERROR) return ends_early();
            if (status == LZMA_MEMLIMIT_ERROR)
                return caller_error(fmt::format("xz data want {} bytes of memory, at most {} are given",
                                                lzma_memusage(&lzma_), kMaxXzMemory));
            if (status != LZMA_OK && !is_done_)
                return caller_error(
                    fmt::format("xz data are damaged (liblzma says {})", static_cast<int>(status)));
        }
        consumed_ = bytes_.size() - lzma_.avail_in;
        return to.size() - lzma_.avail_out;
    }

private:
    lzma_stream lzma_ = LZMA_STREAM_INIT;
    Bytes bytes_;
    bool is_done_ = false;
};

class ZstdStream : public Stream {
public:
    explicit ZstdStream(Bytes bytes) : context_(ZSTD_createDCtx()), input_{bytes.data(), bytes.size(), 0} {}
    ~ZstdStream() override { ZSTD_freeDCtx(context_); }
    ZstdStream(const ZstdStream&) = delete;
    ZstdStream& operator=(const ZstdStream&) = delete;

    Status open() const { return context_ != nullptr ? Status{} : unavailable("no memory to read zstd"); }

    Result<u64> read(std::span<std::byte> to) override {
        ZSTD_outBuffer output{to.data(), to.size(), 0};
        while (output.pos < output.size) {
            if (input_.pos == input_.size && is_between_frames_) break;
            const u64 before = input_.pos + output.pos;
            const size_t left = ZSTD_decompressStream(context_, &output, &input_);
            if (ZSTD_isError(left))
                return caller_error(fmt::format("zstd data are damaged: {}", ZSTD_getErrorName(left)));
            is_between_frames_ = left == 0;
            if (input_.pos + output.pos == before && left != 0) return ends_early();
        }
        consumed_ = input_.pos;
        return output.pos;
    }

private:
    ZSTD_DCtx* context_;
    ZSTD_inBuffer input_;
    bool is_between_frames_ = true;
};

template <class T>
Result<std::unique_ptr<Stream>> opened(std::unique_ptr<T> stream) {
    WW_TRY(stream->open());
    return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace

Result<std::unique_ptr<Stream>> open_stream(Codec codec, Bytes bytes) {
    switch (codec) {
        case Codec::stored: return std::unique_ptr<Stream>(std::make_unique<StoredStream>(bytes));
        case Codec::deflate: return opened(std::make_unique<ZlibStream>(bytes, false));
        case Codec::gzip: return opened(std::make_unique<ZlibStream>(bytes, true));
        case Codec::xz: return opened(std::make_unique<XzStream>(bytes));
        case Codec::zstd: return opened(std::make_unique<ZstdStream>(bytes));
    }
    return caller_error("no codec");
}

}  // namespace warpwright::inspect
