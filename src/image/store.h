// SPDX-License-Identifier: Apache-2.0
// ImageStore: the one door to images. Looks in memory, the pack, the on-disk cache, and then compiles.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "image/cache.h"
#include "image/nvrtc.h"
#include "image/pack.h"
#include "image/sources.h"
#include "image/spec.h"
#include "warpwright/device.h"
#include "warpwright/status.h"

namespace warpwright {

enum class ImageOrigin { none, pack, cache, compiled };

constexpr const char* image_origin_name(ImageOrigin origin) {
    switch (origin) {
        case ImageOrigin::none: return "none";
        case ImageOrigin::pack: return "pack";
        case ImageOrigin::cache: return "cache";
        case ImageOrigin::compiled: return "compiled";
    }
    return "?";
}

// Thread-safe. A row is compiled at most once per store, and a failure is remembered like a success.
class ImageStore {
public:
    struct Parts {
        const KernelSources* sources = &KernelSources::embedded();
        const Pack* pack = &Pack::linked();
        ImageCache cache{ImageCache::default_directory()};
        std::function<Result<const Nvrtc*>()> compiler = nvrtc;  // asked only when the pack has not the image
    };
    ImageStore() : ImageStore(Parts{}) {}
    explicit ImageStore(Parts parts) : parts_(std::move(parts)) {}

    // The process's own.
    static ImageStore& shared();

    // The error says where the image was looked for.
    Result<std::shared_ptr<const Image>> get(const ImageSpec& spec);

    struct Info {
        ImageOrigin origin = ImageOrigin::none;  // where `get` took it from or, before that, would find it
        ImageResources resources;                // when origin is not none
    };
    Info info(const ImageSpec& spec);  // never compiles

    // Why images compiled by this process could not be kept on disk: the first reason, empty when there is
    // none.
    std::string cache_problem() const;

private:
    struct Slot {
        std::mutex mutex;
        std::optional<Result<std::shared_ptr<const Image>>> result;
        ImageOrigin origin = ImageOrigin::none;
    };
    struct Found {
        std::shared_ptr<const Image> image;
        ImageOrigin origin = ImageOrigin::none;
    };
    std::shared_ptr<Slot> slot(const ImageSpec& spec);
    Result<Found> find(const ImageSpec& spec);

    Parts parts_;
    mutable std::mutex mutex_;
    std::map<std::string, std::shared_ptr<Slot>> slots_;
    std::string cache_problem_;
};

}  // namespace warpwright
