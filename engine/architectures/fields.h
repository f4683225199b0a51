// SPDX-License-Identifier: Apache-2.0
// What readers of configs share: sizes, rotary embeddings, windows, with the defaults of a family where a
// file has nothing.
#pragma once

#include <optional>
#include <vector>

#include "engine/config.h"
#include "engine/json_fields.h"

namespace warpwright {

// Bounds beyond every model there is; inside them no product of two sizes overflows 63 bits.
constexpr i64 kMaxSize = 1 << 20;
constexpr i64 kMaxVocab = 1 << 24;
constexpr i64 kMaxPositions = 1ll << 30;

// A family's defaults: those of transformers' configuration class. Sizes are 0 where no file is without them.
struct FamilyDefaults {
    int num_heads = 0;
    std::optional<int> num_kv_heads;  // none: as many as query heads
    int head_dim = 0;                 // 0: hidden_size / heads
    int vocab_size = 0;
    i64 max_position_tokens = 0;
    double rms_norm_eps = 1e-6;
    const char* activation_field = "hidden_act";
    const char* activation = "silu";
    bool tie_word_embeddings = false;
    std::optional<i32> bos_token;
    std::vector<i32> eos_tokens;
};

// Sizes, dtype, activation, epsilon, tied embeddings, begin and end tokens.
void read_common(Fields& fields, const FamilyDefaults& defaults, ModelConfig& config);

struct RopeDefaults {
    double theta = 10000;
    double partial_rotary_factor = 1;
    bool longrope_only = false;                       // Phi-3: "su" and "yarn" are older names of longrope
    std::optional<i64> original_max_position_tokens;  // none: max_position_embeddings
};

// Of a family with one rotary embedding: rope_scaling or its newer name rope_parameters, and what older files
// have beside them. Unknown fields inside go into config.ignored_fields.
RopeConfig read_rope(Fields& fields, ModelConfig& config, RopeDefaults defaults = {});

// The same for one object of parameters, be it empty: `key` names it. The config's own rope_theta is not
// asked for.
RopeConfig read_rope_parameters(Fields& fields, const char* key, const nlohmann::json& parameters,
                                ModelConfig& config, const RopeDefaults& defaults);

// One id or a list of them; `fallback` where the field is absent, none where it is null.
std::vector<i32> read_token_ids(Fields& fields, const char* key, std::vector<i32> fallback = {});

// Tokens that a query of a windowed layer sees. Absent: the fallback; null: none.
std::optional<i64> read_window(Fields& fields, std::optional<i64> fallback);

// config.windows from layer_types; where that is absent, is_windowed says it of each layer.
void read_layer_types(Fields& fields, std::optional<i64> window, bool (*is_windowed)(int layer, i64 pattern),
                      i64 pattern, ModelConfig& config);

}  // namespace warpwright
