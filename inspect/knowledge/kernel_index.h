// SPDX-License-Identifier: Apache-2.0
// The kernels of a file by name, over all its images, and which images are alternatives of one another.
#pragma once

#include <string_view>
#include <unordered_set>
#include <vector>

#include "inspect/report.h"

namespace warpwright::inspect {

struct KernelPlace {
    u32 image = 0;  // index into FileReport::images
    const Kernel* kernel = nullptr;
};

struct IndexedKernel {
    std::string_view name;
    std::vector<KernelPlace> places;  // in the order of images
    InstructionClasses classes;       // of all places
    u32 builds = 0;                   // index into KernelIndex::builds
    // Does nothing in any of two or more builds, which is how it is meant: marlin::MarlinDefault.
    bool empty_by_design = false;
    KernelPlace largest;  // where it has most machine code; without a kernel: nowhere
};

struct KernelIndex {
    explicit KernelIndex(const FileReport& file);

    std::vector<const Image*> images;  // those that count: no inputs of a device link
    std::vector<u32> group;            // of each image of the file; images of a group are alternatives
    u32 num_groups = 0;
    std::vector<IndexedKernel> kernels;  // in the order in which they are found
    // For a file whose images tell no kernels, one kernel without a name stands for all of each group.
    bool nameless = false;
    // Images that a device link took in, by object. Where no linked code fits, the driver links them again,
    // from their PTX, and needs something of each object.
    std::vector<std::vector<u32>> objects;
    std::unordered_set<std::string_view> linked_names;  // kernels of the objects; empty: not read
    // The different sets of builds that kernels have: images of one kind and architecture each.
    std::vector<std::vector<const Image*>> builds;
};

}  // namespace warpwright::inspect
