// SPDX-License-Identifier: Apache-2.0
// The pack: images compiled at build time, zstd-compressed, inside the binary.
//   "WWPACK01", 8 bytes of index length, the index (zstd), then the blobs that the index points into.
// Equal PTX texts and equal cubins are one blob. A PTX text is kept in two parts: the head ends with the
// .target line, in which the texts of a portable kernel differ although the body is the same.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/device.h"
#include "warpwright/status.h"

namespace warpwright {

// The whole pack, or nothing in a build without one. Defined by the object library warpwright_pack.
std::string_view packed_images();

struct PackedBlob {
    std::string digest;  // of the uncompressed bytes, 16 bytes; empty for no bytes
    std::string compressed;
};

struct PackedImage {
    std::string hash;  // ImageKey::hash
    std::string row;
    BuildTarget build_target = BuildTarget::host;
    std::string entry;
    ImageResources resources;
    std::string ptx_head;
    PackedBlob ptx_body;
    PackedBlob cubin;
};

// Compresses; thread-safe.
PackedImage pack_image(std::string hash, const Image& image);

// The bytes of a pack: equal for equal arguments in equal order.
std::string write_pack(const std::string& compiler, std::span<const PackedImage> images);

class Pack {
public:
    struct Entry {
        std::string hash;
        std::string row;
        BuildTarget build_target = BuildTarget::host;
        std::string entry;
        ImageResources resources;
        int ptx_head = 0;   // index into the heads
        int ptx_body = -1;  // index of a blob: equal index, equal text; -1 for none
        int cubin = -1;
    };

    // An empty text is an empty pack. The bytes must outlive the pack.
    static Result<Pack> parse(std::string_view bytes);

    // The one in this binary.
    static const Pack& linked();

    const std::string& compiler() const { return compiler_; }  // "13.0.88"
    std::span<const Entry> entries() const { return entries_; }
    std::size_t num_blobs() const { return blobs_.size(); }
    const Entry* find(const std::string& hash) const;  // null when absent
    Result<Image> unpack(const Entry& entry) const;
    PackedImage packed(const Entry& entry) const;  // as it is, for the next pack
    // As they lie in the pack; empty for indices that an entry has not.
    std::string_view head(int index) const;
    std::string_view compressed_blob(int index) const;

    // "12 images for sm_80, 3 for sm_90a"; "no images" when it is empty.
    std::string summary() const;

private:
    struct Blob {
        std::string digest;
        std::string_view compressed;
    };
    PackedBlob packed_blob(int index) const;

    std::string compiler_;
    std::vector<std::string> heads_;
    std::vector<Blob> blobs_;
    std::vector<Entry> entries_;
    std::map<std::string, std::size_t, std::less<>> by_hash_;
};

}  // namespace warpwright
