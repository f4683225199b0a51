// SPDX-License-Identifier: Apache-2.0
#include "engine/architectures/fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/architectures/unknown_fields.h"

namespace warpwright {
namespace {

using nlohmann::json;

// Spellings of transformers' ACT2FN.
constexpr std::pair<std::string_view, Activation> kActivations[] = {
    {"silu", Activation::silu},
    {"swish", Activation::silu},
    {"gelu", Activation::gelu},
    {"gelu_new", Activation::gelu_tanh},
    {"gelu_pytorch_tanh", Activation::gelu_tanh}};

Activation read_activation(Fields& fields, const char* key, const char* fallback) {
    const std::string name = fields.text_or(key, fallback);
    for (const auto& [spelling, activation] : kActivations) {
        if (name == spelling) return activation;
    }
    fields.fail(fmt::format("'{}': expected silu, gelu or gelu_pytorch_tanh, got '{:.40}'", key, name));
    return Activation::silu;
}

DType read_dtype(Fields& fields) {
    const char* key = fields.find("dtype") != nullptr ? "dtype" : "torch_dtype";
    const std::string name = fields.text_or(key, "bfloat16");
    fields.find("torch_dtype");  // a file may have both
    if (name == "bfloat16") return DType::bf16;
    if (name == "float16") return DType::f16;
    if (name != "float32") {
        fields.fail(fmt::format("'{}': expected bfloat16, float16 or float32, got '{:.40}'", key, name));
    }
    // why: no product takes fp32 operands; such a checkpoint is converted as it is loaded.
    return DType::bf16;
}

int read_size(Fields& fields, const char* key, int fallback, i64 high = kMaxSize) {
    return static_cast<int>(fallback == 0 ? fields.integer(key, 1, high)
                                          : fields.integer_or(key, 1, high, fallback));
}

void read_heads(Fields& fields, const FamilyDefaults& defaults, ModelConfig& config) {
    config.num_heads = read_size(fields, "num_attention_heads", defaults.num_heads, 65536);
    config.num_kv_heads =
        static_cast<int>(fields.integer_or_none("num_key_value_heads", 1, 65536, defaults.num_kv_heads)
                             .value_or(config.num_heads));
    if (config.num_heads % config.num_kv_heads != 0) {
        fields.fail(
            fmt::format("expected num_attention_heads to be a multiple of num_key_value_heads, got {} and {}",
                        config.num_heads, config.num_kv_heads));
    }
    // head_dim need not be hidden_size / heads: Qwen3-32B has 128 where that is 80.
    const bool is_derived = fields.find("head_dim") == nullptr && defaults.head_dim == 0;
    if (is_derived && config.hidden_size % config.num_heads != 0) {
        fields.fail(fmt::format("expected hidden_size to be a multiple of num_attention_heads, got {} and {}",
                                config.hidden_size, config.num_heads));
    }
    const int fallback = is_derived ? config.hidden_size / config.num_heads : defaults.head_dim;
    config.head_dim = static_cast<int>(fields.integer_or("head_dim", 1, 4096, fallback));
}

std::vector<double> read_factors(Fields& fields, const char* key, int count) {
    std::vector<double> factors;
    const json* list = fields.array(key);
    if (list == nullptr) return factors;
    for (const json& value : *list) {
        if (value.is_number() && value.get<double>() > 0) factors.push_back(value.get<double>());
    }
    if (factors.size() != list->size() || factors.size() != static_cast<std::size_t>(count)) {
        fields.fail(fmt::format("'{}': expected {} positive numbers, one a rotated pair, got {} of {}", key,
                                count, factors.size(), list->size()));
    }
    return factors;
}

RopeScaling::Kind read_rope_kind(Fields& fields, const RopeDefaults& defaults) {
    using Kind = RopeScaling::Kind;
    const char* key = fields.find("rope_type") != nullptr ? "rope_type" : "type";
    const std::string type = fields.text_or(key, "default");
    fields.find("type");  // a file may have both
    if (type == "default") return Kind::none;
    if (type == "longrope" || (defaults.longrope_only && (type == "su" || type == "yarn"))) {
        return Kind::longrope;
    }
    if (type == "linear") return Kind::linear;
    if (type == "llama3") return Kind::llama3;
    if (type == "yarn") return Kind::yarn;
    fields.fail(
        fmt::format("'{}': expected default, linear, llama3, yarn or longrope, got '{:.40}'", key, type));
    return Kind::none;
}

// `fields` are the parameters', `outer` the config's own.
RopeScaling read_scaling(Fields& fields, Fields& outer, const ModelConfig& config, int rotary_dim,
                         const RopeDefaults& defaults) {
    using Kind = RopeScaling::Kind;
    RopeScaling scaling;
    scaling.kind = read_rope_kind(fields, defaults);
    // The config's own field goes before the parameters', as in transformers.
    const char* key = "original_max_position_embeddings";
    Fields& holder = outer.find(key) != nullptr ? outer : fields;
    const i64 original = holder.integer_or(
        key, 1, kMaxPositions, defaults.original_max_position_tokens.value_or(config.max_position_tokens));
    if (scaling.kind == Kind::none) return scaling;
    fields.find(key);
    scaling.original_max_position = static_cast<double>(original);
    if (scaling.kind == Kind::longrope) {
        scaling.short_factor = read_factors(fields, "short_factor", rotary_dim / 2);
        scaling.long_factor = read_factors(fields, "long_factor", rotary_dim / 2);
        scaling.factor = fields.positive_or(
            "factor", static_cast<double>(config.max_position_tokens) / static_cast<double>(original));
        scaling.attention_factor = fields.positive_or("attention_factor", 0);
        return scaling;
    }
    scaling.factor = fields.positive("factor");
    if (scaling.kind == Kind::llama3) {
        scaling.low_freq_factor = fields.positive("low_freq_factor");
        scaling.high_freq_factor = fields.positive("high_freq_factor");
        if (scaling.high_freq_factor <= scaling.low_freq_factor) {
            fields.fail(fmt::format("expected high_freq_factor above low_freq_factor, got {} and {}",
                                    scaling.high_freq_factor, scaling.low_freq_factor));
        }
    }
    if (scaling.kind == Kind::yarn) {
        scaling.beta_fast = fields.positive_or("beta_fast", 32);
        scaling.beta_slow = fields.positive_or("beta_slow", 1);
        // Absent stays 0, from which the operation computes the default.
        scaling.attention_factor = fields.positive_or("attention_factor", 0);
        scaling.mscale = fields.positive_or("mscale", 0);
        scaling.mscale_all_dim = fields.positive_or("mscale_all_dim", 0);
        scaling.truncate = fields.flag_or("truncate", true);
    }
    return scaling;
}

}  // namespace

void read_common(Fields& fields, const FamilyDefaults& defaults, ModelConfig& config) {
    config.hidden_size = read_size(fields, "hidden_size", 0);
    config.num_layers = read_size(fields, "num_hidden_layers", 0, 4096);
    read_heads(fields, defaults, config);
    config.intermediate_size = read_size(fields, "intermediate_size", 0);
    config.vocab_size = read_size(fields, "vocab_size", defaults.vocab_size, kMaxVocab);
    config.max_position_tokens =
        fields.integer_or("max_position_embeddings", 1, kMaxPositions, defaults.max_position_tokens);
    config.dtype = read_dtype(fields);
    config.activation = read_activation(fields, defaults.activation_field, defaults.activation);
    config.rms_norm_eps = fields.positive_or("rms_norm_eps", defaults.rms_norm_eps);
    config.tie_word_embeddings = fields.flag_or("tie_word_embeddings", defaults.tie_word_embeddings);
    config.attention_scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
    config.windows.assign(static_cast<std::size_t>(config.num_layers), 0);

    std::vector<i32> bos;
    if (defaults.bos_token) bos.push_back(*defaults.bos_token);
    bos = read_token_ids(fields, "bos_token_id", std::move(bos));
    if (!bos.empty()) config.bos_token = bos.front();
    config.eos_tokens = read_token_ids(fields, "eos_token_id", defaults.eos_tokens);
}

RopeConfig read_rope_parameters(Fields& fields, const char* key, const json& parameters, ModelConfig& config,
                                const RopeDefaults& defaults) {
    Fields inner(parameters, fmt::format("{}: {}", fields.where(), key));
    RopeConfig rope;
    rope.theta = inner.positive_or("rope_theta", defaults.theta);
    const double partial = inner.positive_or(
        "partial_rotary_factor", fields.positive_or("partial_rotary_factor", defaults.partial_rotary_factor));
    rope.rotary_dim = static_cast<int>(config.head_dim * std::min(partial, 2.0));
    if (rope.rotary_dim < 2 || rope.rotary_dim % 2 != 0 || rope.rotary_dim > config.head_dim) {
        fields.fail(fmt::format("expected an even number of rotated dimensions from 2 to head_dim {}, got {}",
                                config.head_dim, rope.rotary_dim));
        return rope;
    }
    rope.scaling = read_scaling(inner, fields, config, rope.rotary_dim, defaults);
    sort_unread_fields(inner, parameters, std::string(key) + ".", config);
    fields.fail(inner.status());
    return rope;
}

RopeConfig read_rope(Fields& fields, ModelConfig& config, RopeDefaults defaults) {
    static const json kNothing = json::object();
    defaults.theta = fields.positive_or("rope_theta", defaults.theta);
    // An empty rope_scaling is none, as in transformers.
    const json* scaling = fields.find("rope_scaling");
    const char* key = scaling != nullptr && !scaling->empty() ? "rope_scaling" : "rope_parameters";
    const json* parameters = fields.find(key) == nullptr ? &kNothing : fields.object(key);
    return read_rope_parameters(fields, key, parameters == nullptr ? kNothing : *parameters, config,
                                defaults);
}

std::vector<i32> read_token_ids(Fields& fields, const char* key, std::vector<i32> fallback) {
    const json* value = fields.find(key);
    if (value == nullptr) return fields.is_null(key) ? std::vector<i32>{} : std::move(fallback);
    std::vector<i32> ids;
    const auto add = [&](const json& id) {
        if (id.is_number_unsigned() && id.get<u64>() < static_cast<u64>(kMaxVocab)) {
            ids.push_back(id.get<i32>());
        } else {
            fields.fail(
                fmt::format("'{}': expected a token id or a list of them, got {}", key, describe_json(id)));
        }
    };
    if (value->is_array()) {
        for (const json& id : *value) add(id);
    } else {
        add(*value);
    }
    return ids;
}

std::optional<i64> read_window(Fields& fields, std::optional<i64> fallback) {
    return fields.integer_or_none("sliding_window", 1, kMaxPositions, fallback);
}

void read_layer_types(Fields& fields, std::optional<i64> window, bool (*is_windowed)(int, i64), i64 pattern,
                      ModelConfig& config) {
    const json* types = fields.find("layer_types") == nullptr ? nullptr : fields.array("layer_types");
    if (types != nullptr && types->size() != config.windows.size()) {
        fields.fail(fmt::format("'layer_types': expected one for each of {} layers, got {}",
                                config.num_layers, types->size()));
        return;
    }
    for (int layer = 0; layer < config.num_layers; ++layer) {
        const auto index = static_cast<std::size_t>(layer);
        bool windowed = false;
        if (types == nullptr) {
            windowed = window && is_windowed(layer, pattern);
        } else if (const json& type = (*types)[index]; type == "sliding_attention") {
            windowed = true;
        } else if (type != "full_attention") {
            fields.fail(
                fmt::format("'layer_types': expected full_attention or sliding_attention, got {} in layer {}",
                            describe_json(type), layer));
        }
        if (windowed && !window) {
            fields.fail(fmt::format(
                "'layer_types': layer {} is of sliding_attention, but there is no sliding_window", layer));
            return;
        }
        // A window that no context is longer than is none.
        config.windows[index] = windowed && *window < config.max_position_tokens ? *window : 0;
    }
}

}  // namespace warpwright
