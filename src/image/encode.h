// SPDX-License-Identifier: Apache-2.0
// Images as bytes: fields in little-endian order and zstd around them. Readers check every length, so that a
// damaged file is an answer and not a crash.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "warpwright/device.h"

namespace warpwright {

class ByteWriter {
public:
    void number(u64 value) {
        for (int i = 0; i < 8; ++i) bytes_ += static_cast<char>(value >> (8 * i));
    }
    void text(std::string_view value) {
        number(value.size());
        bytes_ += value;
    }
    const std::string& bytes() const { return bytes_; }

private:
    std::string bytes_;
};

// After a read past the end everything reads as empty and `ok` is false.
class ByteReader {
public:
    explicit ByteReader(std::string_view bytes) : left_(bytes) {}

    u64 number() {
        std::string_view raw = take(8);
        u64 value = 0;
        for (std::size_t i = 0; i < raw.size(); ++i) value |= u64{static_cast<u8>(raw[i])} << (8 * i);
        return value;
    }
    std::string_view text() { return take(number()); }
    std::string_view rest() const { return left_; }
    bool ok() const { return ok_; }
    bool at_end() const { return ok_ && left_.empty(); }

private:
    std::string_view take(u64 count) {
        if (!ok_ || count > left_.size()) {
            ok_ = false;
            return {};
        }
        std::string_view taken = left_.substr(0, count);
        left_.remove_prefix(count);
        return taken;
    }

    std::string_view left_;
    bool ok_ = true;
};

void write_resources(ByteWriter& writer, const ImageResources& resources);
ImageResources read_resources(ByteReader& reader);

std::string encode_image(const Image& image);
std::optional<Image> decode_image(std::string_view bytes);

std::string zstd_compress(std::string_view bytes, int level);
std::optional<std::string> zstd_decompress(std::string_view bytes);

inline std::string_view as_text(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::vector<std::byte> as_bytes(std::string_view text) {
    auto* begin = reinterpret_cast<const std::byte*>(text.data());
    return {begin, begin + text.size()};
}

}  // namespace warpwright
