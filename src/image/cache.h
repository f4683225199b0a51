// SPDX-License-Identifier: Apache-2.0
// ImageCache: compiled images on disk, one file per key, shared by any number of processes.
//   <hash>-<compiler>.image   header with checksum, zstd payload; appears by atomic rename, so it is whole or
//   absent <hash>-<compiler>.tmp     being written, by the holder of the lock only: a killed writer's is
//   overwritten <hash>-<compiler>.lock    held with flock while compiling, so that the kernel frees a killed
//   process's lock;
//                             removed by its holder
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "image/key.h"
#include "warpwright/device.h"
#include "warpwright/status.h"

namespace warpwright {

class ImageCache {
public:
    // An empty directory: nothing is kept.
    explicit ImageCache(std::string directory) : directory_(std::move(directory)) {}

    // WARPWRIGHT_CACHE, else XDG_CACHE_HOME/warpwright, else HOME/.cache/warpwright; empty when none is set.
    static std::string default_directory();

    const std::string& directory() const { return directory_; }

    // The entry, unless it is missing or damaged. Without a compiler in the key: any compiler's, the newest
    // file.
    std::optional<Image> read(const ImageKey& key) const;

    struct Fetched {
        Image image;
        bool was_cached = false;
        std::string problem;  // why the image could not be kept; it is usable all the same
    };
    // Reads the entry or makes and keeps it. Of many callers in any processes one makes it and the others
    // wait.
    Result<Fetched> get(const ImageKey& key, const std::function<Result<Image>()>& make) const;

private:
    std::optional<Image> read_file(const std::string& path, const std::string& key) const;
    Status store(const ImageKey& key, const Image& image) const;
    std::string path(const ImageKey& key, const char* suffix) const;

    std::string directory_;
};

}  // namespace warpwright
