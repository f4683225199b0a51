// SPDX-License-Identifier: Apache-2.0
#include "image/pack.h"

#include <fmt/format.h>

#include "image/encode.h"
#include "image/sha256.h"

namespace warpwright {
namespace {

constexpr std::string_view kMagic = "WWPACK01";
constexpr int kBlobLevel = 19;  // decompression speed does not depend on it

PackedBlob pack_blob(std::string_view bytes) {
    if (bytes.empty()) return {};
    Sha256 hash;
    hash.update(bytes);
    return {short_digest(hash), zstd_compress(bytes, kBlobLevel)};
}

// Gives equal keys equal indices, in order of appearance.
class Numbering {
public:
    // True when the key is new; -1 stands for the empty key.
    bool add(const std::string& key, int& index) {
        index = -1;
        if (key.empty()) return false;
        auto [at, is_new] = numbers_.emplace(key, static_cast<int>(numbers_.size()));
        index = at->second;
        return is_new;
    }

private:
    std::map<std::string, int> numbers_;
};

}  // namespace

PackedImage pack_image(std::string hash, const Image& image) {
    std::string_view ptx = image.ptx;
    std::size_t target = ptx.find("\n.target ");
    std::size_t head_bytes = target == ptx.npos ? 0 : std::min(ptx.find('\n', target + 1), ptx.size());
    return {std::move(hash),
            image.row,
            image.build_target,
            image.entry,
            image.resources,
            std::string(ptx.substr(0, head_bytes)),
            pack_blob(ptx.substr(head_bytes)),
            pack_blob(as_text(image.cubin))};
}

std::string write_pack(const std::string& compiler, std::span<const PackedImage> images) {
    Numbering heads;
    Numbering blobs;
    ByteWriter head_table;
    ByteWriter blob_table;
    ByteWriter image_table;
    std::string data;
    u64 num_heads = 0;
    u64 num_blobs = 0;
    auto add_blob = [&](const PackedBlob& blob) {
        int index = 0;
        if (blobs.add(blob.digest, index)) {
            blob_table.text(blob.digest);
            blob_table.number(data.size());
            blob_table.number(blob.compressed.size());
            data += blob.compressed;
            ++num_blobs;
        }
        image_table.number(static_cast<u64>(i64{index}));
    };
    for (const PackedImage& image : images) {
        image_table.text(image.hash);
        image_table.text(image.row);
        image_table.number(static_cast<u64>(image.build_target));
        image_table.text(image.entry);
        write_resources(image_table, image.resources);
        int head = 0;
        if (heads.add(image.ptx_head, head)) {
            head_table.text(image.ptx_head);
            ++num_heads;
        }
        image_table.number(static_cast<u64>(i64{head}));
        add_blob(image.ptx_body);
        add_blob(image.cubin);
    }
    ByteWriter index;
    index.text(compiler);
    for (auto [count, table] : {std::pair{num_heads, &head_table}, std::pair{num_blobs, &blob_table},
                                std::pair{u64{images.size()}, &image_table}}) {
        index.number(count);
        index.text(table->bytes());
    }
    ByteWriter file;
    file.text(zstd_compress(index.bytes(), kBlobLevel));
    return std::string(kMagic) + file.bytes() + data;
}

Result<Pack> Pack::parse(std::string_view bytes) {
    Pack pack;
    if (bytes.empty()) return pack;
    auto damaged = [] { return unavailable("the image pack is damaged or of another version"); };
    if (!bytes.starts_with(kMagic)) return damaged();
    ByteReader file(bytes.substr(kMagic.size()));
    std::optional<std::string> raw = zstd_decompress(file.text());
    if (!file.ok() || !raw) return damaged();
    std::string_view data = file.rest();

    ByteReader index(*raw);
    pack.compiler_ = index.text();
    u64 num_heads = index.number();
    ByteReader heads(index.text());
    for (u64 i = 0; i < num_heads && heads.ok(); ++i) pack.heads_.emplace_back(heads.text());
    u64 num_blobs = index.number();
    ByteReader blobs(index.text());
    for (u64 i = 0; i < num_blobs && blobs.ok(); ++i) {
        std::string digest(blobs.text());
        u64 offset = blobs.number();
        u64 size = blobs.number();
        if (offset > data.size() || size > data.size() - offset) return damaged();
        pack.blobs_.push_back({std::move(digest), data.substr(offset, size)});
    }
    u64 num_images = index.number();
    ByteReader images(index.text());
    auto blob_index = [&] { return static_cast<int>(static_cast<i64>(images.number())); };
    for (u64 i = 0; i < num_images && images.ok(); ++i) {
        Entry entry;
        entry.hash = images.text();
        entry.row = images.text();
        entry.build_target = static_cast<BuildTarget>(images.number());
        entry.entry = images.text();
        entry.resources = read_resources(images);
        entry.ptx_head = blob_index();
        entry.ptx_body = blob_index();
        entry.cubin = blob_index();
        if (entry.ptx_head >= static_cast<int>(pack.heads_.size()) ||
            std::max(entry.ptx_body, entry.cubin) >= static_cast<int>(pack.blobs_.size())) {
            return damaged();
        }
        pack.by_hash_.emplace(entry.hash, pack.entries_.size());
        pack.entries_.push_back(std::move(entry));
    }
    if (!index.at_end() || !heads.at_end() || !blobs.at_end() || !images.at_end()) return damaged();
    return pack;
}

const Pack& Pack::linked() {
    // A damaged pack in the binary is treated as absent: every image can still be compiled.
    static const Pack pack = [] {
        Result<Pack> parsed = parse(packed_images());
        return parsed.ok() ? std::move(parsed).value() : Pack();
    }();
    return pack;
}

const Pack::Entry* Pack::find(const std::string& hash) const {
    auto found = by_hash_.find(hash);
    return found == by_hash_.end() ? nullptr : &entries_[found->second];
}

Result<Image> Pack::unpack(const Entry& entry) const {
    auto bytes_of = [&](int index) -> std::optional<std::string> {
        return index < 0 ? std::string()
                         : zstd_decompress(blobs_[static_cast<std::size_t>(index)].compressed);
    };
    std::optional<std::string> body = bytes_of(entry.ptx_body);
    std::optional<std::string> cubin = bytes_of(entry.cubin);
    if (!body || !cubin) {
        return unavailable(fmt::format("image {} for {} is damaged in the pack", entry.row,
                                       build_target_name(entry.build_target)));
    }
    Image image;
    image.row = entry.row;
    image.build_target = entry.build_target;
    image.entry = entry.entry;
    image.resources = entry.resources;
    if (entry.ptx_head >= 0) image.ptx = heads_[static_cast<std::size_t>(entry.ptx_head)];
    image.ptx += *body;
    image.cubin = as_bytes(*cubin);
    return image;
}

std::string_view Pack::head(int index) const {
    return index < 0 ? std::string_view() : heads_[static_cast<std::size_t>(index)];
}

std::string_view Pack::compressed_blob(int index) const {
    return index < 0 ? std::string_view() : blobs_[static_cast<std::size_t>(index)].compressed;
}

PackedBlob Pack::packed_blob(int index) const {
    if (index < 0) return {};
    const Blob& blob = blobs_[static_cast<std::size_t>(index)];
    return {blob.digest, std::string(blob.compressed)};
}

PackedImage Pack::packed(const Entry& entry) const {
    return {entry.hash,
            entry.row,
            entry.build_target,
            entry.entry,
            entry.resources,
            entry.ptx_head < 0 ? "" : heads_[static_cast<std::size_t>(entry.ptx_head)],
            packed_blob(entry.ptx_body),
            packed_blob(entry.cubin)};
}

std::string Pack::summary() const {
    int counts[kNumBuildTargets] = {};
    for (const Entry& entry : entries_) {
        if (static_cast<int>(entry.build_target) < kNumBuildTargets)
            ++counts[static_cast<int>(entry.build_target)];
    }
    std::string text;
    for (int i = 0; i < kNumBuildTargets; ++i) {
        if (counts[i] == 0) continue;
        const char* name = build_target_name(static_cast<BuildTarget>(i));
        text += text.empty() ? fmt::format("{} images for {}", counts[i], name)
                             : fmt::format(", {} for {}", counts[i], name);
    }
    return text.empty() ? "no images" : text;
}

}  // namespace warpwright
