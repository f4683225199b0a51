// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/kernel_index.h"

#include <algorithm>
#include <map>
#include <unordered_map>

namespace warpwright::inspect {
namespace {

// The runtime hands the fatbins of these sections, and a fatbin that is a file, to the driver, which takes
// one image of each. Elsewhere (.cask_resource, .ldata) a library picks its images itself.
bool driver_chooses(const Image& image) {
    return image.fatbin &&
           (image.section.empty() || image.section == ".nv_fatbin" || image.section == "__nv_relfatbin");
}

u32 build_key(const Image& image) {
    return (static_cast<u32>(image.kind) << 16) | (static_cast<u32>(image.architecture.sm) << 4) |
           static_cast<u32>(image.architecture.suffix);
}

bool is_empty_everywhere(const IndexedKernel& kernel) {
    return std::all_of(kernel.places.begin(), kernel.places.end(), [](const KernelPlace& place) {
        return place.kernel != nullptr && place.kernel->stub == Stub::empty;
    });
}

}  // namespace

KernelIndex::KernelIndex(const FileReport& file) {
    group.resize(file.images.size());
    std::map<u64, u32> fatbins, objects_at;
    std::unordered_map<std::string_view, u32> by_name;
    for (u32 i = 0; i < file.images.size(); ++i) {
        const Image& image = file.images[i];
        if (image.link_input) {
            const u64 at = image.fatbin.value_or(image.offset);
            const auto object = objects_at.try_emplace(at, static_cast<u32>(objects.size())).first->second;
            objects.resize(std::max<std::size_t>(objects.size(), object + 1));
            objects[object].push_back(i);
            for (const Kernel& kernel : image.kernels) linked_names.insert(kernel.name);
            continue;
        }
        images.push_back(&image);
        group[i] = num_groups;
        if (driver_chooses(image)) group[i] = fatbins.try_emplace(*image.fatbin, num_groups).first->second;
        if (group[i] == num_groups) ++num_groups;
        for (const Kernel& kernel : image.kernels) {
            const auto [entry, is_new] = by_name.try_emplace(kernel.name, static_cast<u32>(kernels.size()));
            if (is_new) kernels.push_back({.name = kernel.name, .places = {}, .classes = {}});
            IndexedKernel& indexed = kernels[entry->second];
            indexed.places.push_back({i, &kernel});
            indexed.classes.bits |= kernel.classes.bits;
            const bool is_largest =
                indexed.largest.kernel == nullptr || kernel.code_bytes > indexed.largest.kernel->code_bytes;
            if (image.kind == ImageKind::cubin && is_largest) indexed.largest = indexed.places.back();
        }
    }
    if (kernels.empty() && !images.empty()) {
        nameless = true;
        kernels.resize(num_groups);
        for (u32 i = 0; i < file.images.size(); ++i) {
            if (!file.images[i].link_input) kernels[group[i]].places.push_back({i, nullptr});
        }
    }
    std::map<std::vector<u32>, u32> sets;
    std::vector<u32> keys;
    for (IndexedKernel& kernel : kernels) {
        keys.clear();
        for (const KernelPlace& place : kernel.places) keys.push_back(build_key(file.images[place.image]));
        std::sort(keys.begin(), keys.end());
        keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
        const auto [entry, is_new] = sets.try_emplace(keys, static_cast<u32>(builds.size()));
        kernel.builds = entry->second;
        if (!is_new) continue;
        std::vector<const Image*>& set = builds.emplace_back();
        for (const u32 key : keys) {
            const auto place = std::find_if(
                kernel.places.begin(), kernel.places.end(),
                [&](const KernelPlace& candidate) { return build_key(file.images[candidate.image]) == key; });
            set.push_back(&file.images[place->image]);
        }
    }
    std::size_t num_empty = 0;
    for (IndexedKernel& kernel : kernels) {
        kernel.empty_by_design = builds[kernel.builds].size() > 1 && is_empty_everywhere(kernel);
        num_empty += kernel.empty_by_design;
    }
    // A file of nothing else was built wrongly.
    if (num_empty == kernels.size()) {
        for (IndexedKernel& kernel : kernels) kernel.empty_by_design = false;
    }
}

}  // namespace warpwright::inspect
