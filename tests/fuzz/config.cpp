// SPDX-License-Identifier: Apache-2.0
// A config.json, and a generation_config.json behind a line "---": refused with a reason, or a config whose
// sizes can be multiplied.
#include <string>

#include "engine/config.h"
#include "engine/parameters.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sections = sections_of(data, size);
    const auto config =
        parse_config(sections[0], sections.size() > 1 ? sections[1] : "", "folder/config.json");
    if (!config.ok()) {
        require(config.status().kind() == ErrorKind::caller, "a bad config is a caller's error");
        require(config.status().message().starts_with("folder/"), "the error of a config names its file");
        require(config.status().message().size() < 2000, "the error of a config is short");
        return 0;
    }
    require(config->hidden_size > 0 && config->num_layers > 0 && config->vocab_size > 0,
            "sizes are positive");
    require(config->num_heads % config->num_kv_heads == 0, "heads share those of keys evenly");
    require(config->head_dim > 0, "heads have dimensions");
    require(config->windows.size() == static_cast<std::size_t>(config->num_layers),
            "each layer has a window");
    for (int layer = 0; layer < config->num_layers; ++layer) {
        const int rotated = config->rope_of(layer).rotary_dim;
        require(rotated > 0 && rotated % 2 == 0 && rotated <= config->head_dim,
                "what is rotated are pairs of a head");
    }
    if (config->num_layers <= 4) require(num_parameters(*config) > 0, "parameters can be counted");
    return 0;
}
