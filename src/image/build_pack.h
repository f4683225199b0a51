// SPDX-License-Identifier: Apache-2.0
// Makes the pack: compiles what neither the previous pack nor the build cache has, and judges every image.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "image/cache.h"
#include "image/pack.h"
#include "image/sources.h"
#include "image/spec.h"
#include "warpwright/status.h"

namespace warpwright {

struct PackBuild {
    std::span<const ImageSpec> specs;
    const KernelSources* sources = &KernelSources::embedded();
    const Pack* previous = nullptr;  // images are copied from it, compressed as they are
    ImageCache cache{""};            // survives an interrupted build and a change of branch
    int num_threads = 1;
    // Called under a lock after every image that was neither copied nor shared.
    std::function<void(int num_done, int num_missing)> progress = [](int, int) {};
};

struct PackReport {
    std::string bytes;  // the pack; empty when there are problems
    int num_images = 0;
    int num_blobs = 0;   // distinct PTX bodies and cubins
    int num_copied = 0;  // from the previous pack
    int num_cached = 0;  // from the cache
    int num_compiled = 0;
    int num_shared = 0;    // have the code of another target's image
    double compile_s = 0;  // summed over threads
    double slowest_s = 0;
    std::string slowest;                // the image that took that long
    std::vector<std::string> problems;  // one per image: compiler errors, warnings, spills without a reason
    std::vector<std::string> notes;     // local memory that is not spilling, spilling with a reason
    std::string cache_problem;
};

// Fails only without a compiler; what is wrong with images is in the report.
Result<PackReport> build_pack(const PackBuild& build);

}  // namespace warpwright
