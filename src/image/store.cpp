// SPDX-License-Identifier: Apache-2.0
#include "image/store.h"

#include <fmt/format.h>

#include "image/compile.h"
#include "image/key.h"

namespace warpwright {

ImageStore& ImageStore::shared() {
    static ImageStore store;
    return store;
}

std::shared_ptr<ImageStore::Slot> ImageStore::slot(const ImageSpec& spec) {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Slot>& slot = slots_[fmt::format("{} {}", spec.source, image_title(spec))];
    if (slot == nullptr) slot = std::make_shared<Slot>();
    return slot;
}

Result<std::shared_ptr<const Image>> ImageStore::get(const ImageSpec& spec) {
    std::shared_ptr<Slot> slot = this->slot(spec);
    // Held while compiling: another thread that wants the same image waits, one that wants another does not.
    std::lock_guard lock(slot->mutex);
    if (!slot->result) {
        Result<Found> found = find(spec);
        if (found.ok()) {
            slot->result.emplace(found->image);
            slot->origin = found->origin;
        } else {
            slot->result.emplace(found.status());
        }
    }
    return *slot->result;
}

Result<ImageStore::Found> ImageStore::find(const ImageSpec& spec) {
    if (spec.build_target == BuildTarget::host) {
        return caller_error(fmt::format("image {}: a host row has no image", spec.row));
    }
    WW_ASSIGN(std::shared_ptr<const SourceClosure> sources, parts_.sources->closure(spec.source));
    ImageKey key = image_key(spec, *sources, {});
    if (const Pack::Entry* entry = parts_.pack->find(key.hash)) {
        Result<Image> image = parts_.pack->unpack(*entry);
        if (image.ok()) return Found{std::make_shared<Image>(std::move(image).value()), ImageOrigin::pack};
    }

    Result<const Nvrtc*> compiler = parts_.compiler();
    if (!compiler.ok()) {
        if (std::optional<Image> image = parts_.cache.read(key)) {
            return Found{std::make_shared<Image>(std::move(*image)), ImageOrigin::cache};
        }
        const std::string& directory = parts_.cache.directory();
        return unavailable(fmt::format("image {}: not in the pack ({}), not in the cache {}, and {}",
                                       image_title(spec), parts_.pack->summary(),
                                       directory.empty() ? "(no folder for one)" : "at " + directory,
                                       compiler.status().message()));
    }
    key.compiler = compiler.value()->version;
    auto make = [&]() -> Result<Image> {
        WW_ASSIGN(Compiled compiled, compile(spec, *sources, *compiler.value()));
        return std::move(compiled.image);
    };
    WW_ASSIGN(ImageCache::Fetched fetched, parts_.cache.get(key, make));
    if (!fetched.problem.empty()) {
        std::lock_guard lock(mutex_);
        if (cache_problem_.empty()) cache_problem_ = fetched.problem;
    }
    return Found{std::make_shared<Image>(std::move(fetched.image)),
                 fetched.was_cached ? ImageOrigin::cache : ImageOrigin::compiled};
}

ImageStore::Info ImageStore::info(const ImageSpec& spec) {
    if (spec.build_target == BuildTarget::host) return {};
    std::shared_ptr<Slot> slot = this->slot(spec);
    std::lock_guard lock(slot->mutex);
    if (slot->result && slot->result->ok()) return {slot->origin, slot->result->value()->resources};

    Result<std::shared_ptr<const SourceClosure>> sources = parts_.sources->closure(spec.source);
    if (!sources.ok()) return {};
    // Opening the compiler takes 0.1 s: a compiler that nobody needed yet is not asked for its version.
    ImageKey key = image_key(spec, *sources.value(), {});
    if (const Pack::Entry* entry = parts_.pack->find(key.hash)) return {ImageOrigin::pack, entry->resources};
    if (std::optional<Image> image = parts_.cache.read(key)) return {ImageOrigin::cache, image->resources};
    return {};
}

std::string ImageStore::cache_problem() const {
    std::lock_guard lock(mutex_);
    return cache_problem_;
}

}  // namespace warpwright
