// SPDX-License-Identifier: Apache-2.0
// ImageKey: the identity of a compiled image, for the pack and the cache alike. It depends on the sources
// without their row tables, the row's name and content, the build target, the compiler flags and the
// compiler.
#pragma once

#include <string>

#include "image/sources.h"
#include "image/spec.h"

namespace warpwright {

struct ImageKey {
    std::string hash;      // 32 hexadecimal digits, of everything but the compiler
    std::string compiler;  // "13.0.88"; empty on a machine without one

    // The compiler is spelled out, not hashed: a machine without it finds what another one compiled.
    std::string text() const { return hash + "-" + compiler; }
};

ImageKey image_key(const ImageSpec& spec, const SourceClosure& sources, std::string compiler);

}  // namespace warpwright
