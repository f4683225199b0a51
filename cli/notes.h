// SPDX-License-Identifier: Apache-2.0
// What a verb says on stderr beside its answer.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "engine/config.h"

namespace warpwright::cli {

// One line, where there are any.
inline void note_ignored_fields(const ModelConfig& config) {
    if (config.ignored_fields.empty()) return;
    fmt::print(stderr, "note: config.json: unknown fields, ignored: {}\n",
               fmt::join(config.ignored_fields, ", "));
}

}  // namespace warpwright::cli
