// SPDX-License-Identifier: Apache-2.0
#include "image/encode.h"

#include <zstd.h>

namespace warpwright {
namespace {

constexpr u64 kMaxRawBytes = 1ull << 30;  // no image is near it: a larger claim is damage

}  // namespace

void write_resources(ByteWriter& writer, const ImageResources& resources) {
    writer.number(static_cast<u64>(resources.registers));
    writer.number(static_cast<u64>(resources.spill_bytes));
    writer.number(static_cast<u64>(resources.stack_bytes));
    writer.number(static_cast<u64>(resources.static_shared_bytes));
}

ImageResources read_resources(ByteReader& reader) {
    ImageResources resources;
    resources.registers = static_cast<int>(reader.number());
    resources.spill_bytes = static_cast<int>(reader.number());
    resources.stack_bytes = static_cast<int>(reader.number());
    resources.static_shared_bytes = static_cast<int>(reader.number());
    return resources;
}

std::string encode_image(const Image& image) {
    ByteWriter writer;
    writer.text(image.row);
    writer.number(static_cast<u64>(image.build_target));
    writer.text(image.entry);
    write_resources(writer, image.resources);
    writer.text(image.ptx);
    writer.text(as_text(image.cubin));
    return writer.bytes();
}

std::optional<Image> decode_image(std::string_view bytes) {
    ByteReader reader(bytes);
    Image image;
    image.row = reader.text();
    image.build_target = static_cast<BuildTarget>(reader.number());
    image.entry = reader.text();
    image.resources = read_resources(reader);
    image.ptx = reader.text();
    image.cubin = as_bytes(reader.text());
    if (!reader.at_end()) return std::nullopt;
    return image;
}

std::string zstd_compress(std::string_view bytes, int level) {
    std::string result(ZSTD_compressBound(bytes.size()), '\0');
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    // Cannot fail: the output has room for the worst case.
    result.resize(ZSTD_compress2(context, result.data(), result.size(), bytes.data(), bytes.size()));
    ZSTD_freeCCtx(context);
    return result;
}

std::optional<std::string> zstd_decompress(std::string_view bytes) {
    unsigned long long raw_bytes = ZSTD_getFrameContentSize(bytes.data(), bytes.size());
    if (raw_bytes > kMaxRawBytes) return std::nullopt;  // the two error codes are the largest values
    std::string result(raw_bytes, '\0');
    std::size_t written = ZSTD_decompress(result.data(), result.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(written) || written != raw_bytes) return std::nullopt;
    return result;
}

}  // namespace warpwright
