// SPDX-License-Identifier: Apache-2.0
// What a verb says on stderr beside its answer.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>

#include "engine/config.h"
#include "engine/formats/layer_format.h"
#include "engine/weight_forms.h"

namespace warpwright::cli {

// One line, where there are any.
inline void note_ignored_fields(const ModelConfig& config) {
    if (config.ignored_fields.empty()) return;
    fmt::print(stderr, "note: config.json: unknown fields, ignored: {}\n",
               fmt::join(config.ignored_fields, ", "));
}

// Where weights are stored quantised: how, and in what they are multiplied.
inline void note_quantization(const ModelConfig& config, const ModelForms& forms) {
    if (!config.quantization) return;
    fmt::print(stderr, "note: weights are stored as {}; products are in {}\n",
               config.quantization->describe(), fmt::join(forms.formats, ", "));
    for (const std::string& note : forms.notes) fmt::print(stderr, "note: {}\n", note);
}

}  // namespace warpwright::cli
