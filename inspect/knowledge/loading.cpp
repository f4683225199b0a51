// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/loading.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace warpwright::inspect {
namespace {

// Parts whose code neither runs elsewhere in their major nor takes code from there. 101 is what 110 was
// called before CUDA 13.
constexpr int kEmbedded[] = {32, 53, 62, 72, 87, 88, 101, 110};

bool is_embedded(int sm) {
    return std::find(std::begin(kEmbedded), std::end(kEmbedded), sm) != std::end(kEmbedded);
}

int family(int sm) {
    return sm == 101 ? 11 : sm / 10;
}

}  // namespace

Misfit cubin_misfit(Architecture architecture, int compute_capability) {
    const int sm = architecture.sm;
    if (sm == 0) return Misfit::unknown;
    if (sm == compute_capability) return Misfit::none;
    if (architecture.suffix == Suffix::a) return Misfit::one_chip;
    if (sm / 10 != compute_capability / 10) return Misfit::other_major;
    if (is_embedded(sm) || is_embedded(compute_capability)) return Misfit::embedded;
    return sm > compute_capability ? Misfit::newer_minor : Misfit::none;
}

Misfit ptx_misfit(Architecture architecture, int compute_capability) {
    const int sm = architecture.sm;
    if (sm == 0) return Misfit::unknown;
    switch (architecture.suffix) {
        case Suffix::a: return sm == compute_capability ? Misfit::none : Misfit::one_chip;
        case Suffix::f:
            if (family(sm) != family(compute_capability)) return Misfit::other_family;
            break;
        case Suffix::none: break;
    }
    return sm > compute_capability ? Misfit::newer_ptx : Misfit::none;
}

Misfit misfit(const Image& image, int compute_capability) {
    switch (image.kind) {
        case ImageKind::cubin: return cubin_misfit(image.architecture, compute_capability);
        case ImageKind::ptx: return ptx_misfit(image.architecture, compute_capability);
        case ImageKind::ltoir: break;
    }
    return Misfit::opaque;
}

int preference(const Image& image, bool force_ptx_jit) {
    const int suffix = image.architecture.suffix == Suffix::a   ? 2
                       : image.architecture.suffix == Suffix::f ? 1
                                                                : 0;
    const bool first = (image.kind == ImageKind::cubin) != force_ptx_jit;
    return (first ? 10'000 : 0) + image.architecture.sm * 3 + suffix;
}

std::string image_architecture(const Image& image) {
    const std::string name = architecture_name(image.architecture);
    return image.kind == ImageKind::cubin || image.architecture.sm == 0 ? name : "compute_" + name.substr(3);
}

std::string capability_text(int compute_capability) {
    return fmt::format("{}.{}", compute_capability / 10, compute_capability % 10);
}

std::string gencode(int compute_capability, bool needs_suffix) {
    std::string arch = std::to_string(compute_capability);
    // A build for the family loses nothing on the number it is named after, and runs on the later ones.
    if (compute_capability >= 100) {
        arch = std::to_string(compute_capability / 10 * 10) + 'f';
    } else if (needs_suffix && compute_capability == 90) {
        arch += 'a';
    }
    return fmt::format("-gencode arch=compute_{0},code=sm_{0}", arch);
}

}  // namespace warpwright::inspect
