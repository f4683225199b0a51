// SPDX-License-Identifier: Apache-2.0
// The build target whose code an image of our own pack is.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "image/pack.h"
#include "image/spec.h"

namespace warpwright::inspect {

inline BuildTarget code_target_of(const Pack::Entry& entry) {
    static const auto targets = [] {
        std::map<std::pair<std::string, BuildTarget>, BuildTarget> found;
        for (const ImageSpec& spec : all_image_specs())
            found[{spec.row, spec.build_target}] = spec.code_of.value_or(spec.build_target);
        return found;
    }();
    return targets.at({entry.row, entry.build_target});
}

}  // namespace warpwright::inspect
