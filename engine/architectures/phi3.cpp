// SPDX-License-Identifier: Apache-2.0
// Phi-3, Phi-3.5 and Phi-4: Llama with stacked projections, a window in some, and longrope in those for long
// contexts. transformers' models/phi3.
#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"

namespace warpwright {

void read_phi3(Fields& fields, ModelConfig& config) {
    read_common(fields,
                {.max_position_tokens = 4096, .rms_norm_eps = 1e-5, .bos_token = 1, .eos_tokens = {32000}},
                config);
    config.layout.fused_qkv = config.layout.fused_gate_up = true;
    config.rope = read_rope(fields, config, {.longrope_only = true, .original_max_position_tokens = 4096});
    read_layer_types(
        fields, read_window(fields, std::nullopt), [](int, i64) { return true; }, 0, config);
}

}  // namespace warpwright
