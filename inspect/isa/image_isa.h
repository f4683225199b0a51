// SPDX-License-Identifier: Apache-2.0
// The PTX of a binary: what `isa` says of a text, for an image and for all images of a file.
#pragma once

#include <string>
#include <vector>

#include "inspect/isa/judge.h"
#include "inspect/report.h"

namespace warpwright::inspect {

// For each of the targets.
std::vector<ImageIsa> isa_of_image(const PtxText& text, const std::vector<IsaTarget>& targets);

// A form in the images of a file.
struct IsaGroup {
    IsaUse use;  // of the first
    u64 num_images = 0;
};
// The PTX images of a file on one target.
struct FileIsa {
    std::string target;
    u64 num_images = 0;
    u64 num_legal = 0;    // whose instructions all are
    u64 num_loading = 0;  // of them, those that load as they stand
    u64 num_cubins = 0;   // machine code, of which nothing is said
    std::string why_not;  // of the first that does not load
    std::vector<IsaGroup> illegal, slow, not_measured;
};
std::vector<FileIsa> isa_of_file(const FileReport& file);

}  // namespace warpwright::inspect
