// SPDX-License-Identifier: Apache-2.0
// File reports as a reader would make them, written down.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>

#include "inspect/knowledge/verdict.h"

namespace warpwright::inspect {

inline Kernel kernel(std::string name, Stub stub = Stub::none) {
    Kernel made;
    made.name = std::move(name);
    made.stub = stub;
    made.classes_known = true;
    return made;
}

// image("sm_90a", {"a", "b"}) is code, image("compute_90", {"a"}) PTX of version 8.7.
inline Image image(const std::string& architecture, std::initializer_list<Kernel> kernels) {
    Image made;
    made.kind = architecture.starts_with("compute_") ? ImageKind::ptx
                : architecture.starts_with("lto_")   ? ImageKind::ltoir
                                                     : ImageKind::cubin;
    made.architecture = parse_architecture(architecture).value();
    made.section = ".nv_fatbin";
    made.fatbin = 64;
    if (made.kind == ImageKind::ptx) made.isa_version = 87;
    made.kernels = kernels;
    return made;
}

inline FileReport file(std::initializer_list<Image> images) {
    FileReport made;
    made.path = "libexample.so";
    made.type = "elf";
    made.images = images;
    return made;
}

// A target of this compute capability, with the facts of the list's first such GPU.
inline Target gpu(int compute_capability) {
    for (const Target& target : targets()) {
        if (target.facts.compute_capability == compute_capability) return target;
    }
    Target made;  // one that the list has not: 8.7, 8.8
    made.id = "sm" + std::to_string(compute_capability);
    made.facts.compute_capability = compute_capability;
    made.facts.shared_per_block_bytes = 163 * 1024;
    return made;
}

}  // namespace warpwright::inspect
