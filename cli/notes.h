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
    if (!config.quantization || config.quantization->describe().empty()) return;
    fmt::print(stderr, "note: weights are stored as {}; products are in {}\n",
               config.quantization->describe(), fmt::join(forms.formats, ", "));
    for (const std::string& note : forms.notes) fmt::print(stderr, "note: {}\n", note);
    if (!forms.activations_reason.empty()) {
        fmt::print(stderr, "note: activations are multiplied {}: {}\n",
                   forms.coded_inputs ? "as declared" : "in 16 bits", forms.activations_reason);
    }
}

// Where keys and values become codes, or would if there were a cache for what is declared.
inline void note_kv_format(const ModelConfig& config, const ModelForms& forms) {
    if (forms.kv_format != KvFormat::same)
        fmt::print(stderr, "note: keys and values are kept as {}\n", kv_type_name(config, forms.kv_format));
    if (!forms.kv_note.empty()) fmt::print(stderr, "note: {}\n", forms.kv_note);
}

}  // namespace warpwright::cli
