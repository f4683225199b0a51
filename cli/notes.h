// SPDX-License-Identifier: Apache-2.0
// What a verb says on stderr beside its answer.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "engine/config.h"
#include "engine/formats/layer_format.h"

namespace warpwright::cli {

// One line, where there are any.
inline void note_ignored_fields(const ModelConfig& config) {
    if (config.ignored_fields.empty()) return;
    fmt::print(stderr, "note: config.json: unknown fields, ignored: {}\n",
               fmt::join(config.ignored_fields, ", "));
}

// One line, where weights are stored in another form than they are multiplied in.
inline void note_quantization(const ModelConfig& config) {
    if (!config.quantization) return;
    fmt::print(stderr, "note: weights are stored as {}; they are converted to {} on loading\n",
               config.quantization->describe(), dtype_name(config.dtype));
}

}  // namespace warpwright::cli
