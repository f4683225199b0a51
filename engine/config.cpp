// SPDX-License-Identifier: Apache-2.0
// Every architecture is one reader of fields; Llama is the only one yet.
#include "engine/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "dispatch/nearest.h"
#include "engine/json_fields.h"
#include "image/embedded.h"

namespace warpwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr i64 kMaxConfigBytes = 16 << 20;
// Bounds beyond every model there is; inside them no product of two sizes overflows 63 bits.
constexpr i64 kMaxSize = 1 << 20;
constexpr i64 kMaxVocab = 1 << 24;
constexpr i64 kMaxPositions = 1ll << 30;

DType read_dtype(Fields& fields) {
    const char* key = fields.find("dtype") != nullptr ? "dtype" : "torch_dtype";
    const std::string name = fields.text_or(key, "bfloat16");
    if (name == "bfloat16") return DType::bf16;
    if (name == "float16") return DType::f16;
    if (name != "float32") {
        fields.fail(fmt::format("'{}': expected bfloat16, float16 or float32, got '{:.40}'", key, name));
    }
    // why: no product takes fp32 operands; such a checkpoint is converted as it is loaded.
    return DType::bf16;
}

Activation read_activation(Fields& fields) {
    const std::string name = fields.text_or("hidden_act", "silu");
    if (name == "silu") return Activation::silu;
    if (name == "gelu") return Activation::gelu;
    if (name != "gelu_pytorch_tanh") {
        fields.fail(
            fmt::format("'hidden_act': expected silu, gelu or gelu_pytorch_tanh, got '{:.40}'", name));
    }
    return Activation::gelu_tanh;
}

RopeScaling read_scaling(Fields& fields, i64 max_position_tokens) {
    using Kind = RopeScaling::Kind;
    RopeScaling scaling;
    const char* type_key = fields.find("rope_type") != nullptr ? "rope_type" : "type";
    const std::string type = fields.text_or(type_key, "default");
    if (type == "default") return scaling;
    if (type == "linear") scaling.kind = Kind::linear;
    if (type == "llama3") scaling.kind = Kind::llama3;
    if (type == "yarn") scaling.kind = Kind::yarn;
    if (scaling.kind == Kind::none) {
        fields.fail(
            fmt::format("'{}': expected default, linear, llama3 or yarn, got '{:.40}'", type_key, type));
        return scaling;
    }
    const char* trained = "original_max_position_embeddings";
    scaling.factor = fields.positive("factor");
    if (scaling.kind == Kind::llama3) {
        scaling.low_freq_factor = fields.positive("low_freq_factor");
        scaling.high_freq_factor = fields.positive("high_freq_factor");
        scaling.original_max_position = static_cast<double>(fields.integer(trained, 1, kMaxPositions));
        if (scaling.high_freq_factor <= scaling.low_freq_factor) {
            fields.fail(fmt::format("expected high_freq_factor above low_freq_factor, got {} and {}",
                                    scaling.high_freq_factor, scaling.low_freq_factor));
        }
    }
    if (scaling.kind == Kind::yarn) {
        scaling.original_max_position =
            static_cast<double>(fields.integer_or(trained, 1, kMaxPositions, max_position_tokens));
        scaling.beta_fast = fields.positive_or("beta_fast", 32);
        scaling.beta_slow = fields.positive_or("beta_slow", 1);
        // Absent stays 0, from which the operation computes the default.
        scaling.attention_factor = fields.positive_or("attention_factor", 0);
        scaling.mscale = fields.positive_or("mscale", 0);
        scaling.mscale_all_dim = fields.positive_or("mscale_all_dim", 0);
        if (!fields.flag_or("truncate", true)) fields.fail("'truncate': expected true, got false");
    }
    return scaling;
}

// `rope_parameters` is the newer name of `rope_scaling` and holds rope_theta too.
void read_rope(Fields& fields, ModelConfig& config) {
    const char* key = fields.find("rope_parameters") != nullptr ? "rope_parameters" : "rope_scaling";
    config.rope_theta = fields.positive_or("rope_theta", 10000);
    double partial = fields.positive_or("partial_rotary_factor", 1);
    if (fields.find(key) != nullptr) {
        static const json kNothing = json::object();
        const json* object = fields.object(key);
        Fields inner(object != nullptr ? *object : kNothing, fmt::format("{}: {}", fields.where(), key));
        config.rope_theta = inner.positive_or("rope_theta", config.rope_theta);
        partial = inner.positive_or("partial_rotary_factor", partial);
        config.rope_scaling = read_scaling(inner, config.max_position_tokens);
        if (!inner.status().ok()) {  // its text names the file already
            fields.fail(std::string_view(inner.status().message()).substr(fields.where().size() + 2));
        }
    }
    config.rotary_dim = static_cast<int>(config.head_dim * std::min(partial, 2.0));
    if (config.rotary_dim < 2 || config.rotary_dim % 2 != 0 || config.rotary_dim > config.head_dim) {
        fields.fail(fmt::format("expected an even number of rotated dimensions from 2 to head_dim {}, got {}",
                                config.head_dim, config.rotary_dim));
    }
}

// One id or a list of them.
std::vector<i32> read_token_ids(Fields& fields, const char* key) {
    std::vector<i32> ids;
    const json* value = fields.find(key);
    if (value == nullptr) return ids;
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

ModelConfig read_llama(Fields& fields) {
    ModelConfig config;
    const auto size = [&](const char* key, i64 high = kMaxSize) {
        return static_cast<int>(fields.integer(key, 1, high));
    };
    config.hidden_size = size("hidden_size");
    config.num_layers = size("num_hidden_layers", 4096);
    config.num_heads = size("num_attention_heads", 65536);
    config.num_kv_heads =
        static_cast<int>(fields.integer_or("num_key_value_heads", 1, 65536, config.num_heads));
    config.intermediate_size = size("intermediate_size");
    config.vocab_size = size("vocab_size", kMaxVocab);
    config.max_position_tokens = fields.integer_or("max_position_embeddings", 1, kMaxPositions, 2048);
    if (config.num_heads % config.num_kv_heads != 0) {
        fields.fail(
            fmt::format("expected num_attention_heads to be a multiple of num_key_value_heads, got {} and {}",
                        config.num_heads, config.num_kv_heads));
    }
    // head_dim need not be hidden_size / heads: Qwen3-32B has 128 where that is 80.
    if (fields.find("head_dim") == nullptr && config.hidden_size % config.num_heads != 0) {
        fields.fail(fmt::format("expected hidden_size to be a multiple of num_attention_heads, got {} and {}",
                                config.hidden_size, config.num_heads));
    }
    config.head_dim =
        static_cast<int>(fields.integer_or("head_dim", 1, 4096, config.hidden_size / config.num_heads));
    config.dtype = read_dtype(fields);
    config.activation = read_activation(fields);
    config.rms_norm_eps = fields.positive_or("rms_norm_eps", 1e-6);
    config.tie_word_embeddings = fields.flag_or("tie_word_embeddings", false);
    config.attention_bias = fields.flag_or("attention_bias", false);
    config.mlp_bias = fields.flag_or("mlp_bias", false);
    read_rope(fields, config);
    const std::vector<i32> bos = read_token_ids(fields, "bos_token_id");
    if (!bos.empty()) config.bos_token = bos.front();
    config.eos_tokens = read_token_ids(fields, "eos_token_id");
    if (fields.find("quantization_config") != nullptr) {
        fields.fail(
            "'quantization_config': quantised checkpoints are not supported; expected bf16, fp16 or fp32 "
            "weights");
    }
    return config;
}

Result<ModelConfig> read_config(const json& root, const std::string& where) {
    Fields fields(root, where);
    const json* architectures = fields.array("architectures");
    WW_TRY(fields.status());
    if (architectures->empty() || !architectures->front().is_string()) {
        return caller_error(fmt::format("{}: 'architectures': expected a list of names", where));
    }
    const std::string name = architectures->front().get<std::string>();
    if (name != "LlamaForCausalLM") {
        return caller_error(
            fmt::format("{}: unknown architecture '{:.80}'; supported: LlamaForCausalLM", where, name));
    }
    ModelConfig config = read_llama(fields);
    config.architecture = name;
    WW_TRY(fields.status());
    return config;
}

Status read_generation_config(std::string_view text, const std::string& where, ModelConfig& config) {
    WW_ASSIGN(const json root, parse_json(text, where));
    Fields fields(root, where);
    std::vector<i32> eos = read_token_ids(fields, "eos_token_id");
    WW_TRY(fields.status());
    if (!eos.empty()) config.eos_tokens = std::move(eos);
    return {};
}

const json& public_models() {
    static const json kModels = [] {
        for (const EmbeddedFile& file : embedded_data()) {
            if (file.path == "data/models.json") return json::parse(file.text.begin(), file.text.end());
        }
        return json::object();
    }();
    return kModels;
}

}  // namespace

std::vector<std::string> public_model_names() {
    std::vector<std::string> names;
    for (const auto& [name, config] : public_models().items()) names.push_back(name);
    return names;
}

Result<ModelConfig> parse_config(std::string_view text, std::string_view generation_text,
                                 const std::string& where) {
    WW_ASSIGN(const json root, parse_json(text, where));
    WW_ASSIGN(ModelConfig config, read_config(root, where));
    if (!generation_text.empty()) {
        const std::string beside = (fs::path(where).parent_path() / "generation_config.json").string();
        WW_TRY(read_generation_config(generation_text, beside, config));
    }
    return config;
}

Result<ModelConfig> load_config(std::string_view path_or_name) {
    const fs::path path(path_or_name);
    std::error_code error;
    if (!path_or_name.empty() && fs::exists(path, error)) {
        const bool folder = fs::is_directory(path, error);
        const fs::path file = folder ? path / "config.json" : path;
        WW_ASSIGN(const std::string text, read_text_file(file, kMaxConfigBytes));
        std::string generation;
        const fs::path beside = file.parent_path() / "generation_config.json";
        if (fs::exists(beside, error)) {
            WW_ASSIGN(generation, read_text_file(beside, kMaxConfigBytes));
        }
        WW_ASSIGN(ModelConfig config, parse_config(text, generation, file.string()));
        config.name = fs::weakly_canonical(file, error).parent_path().filename().string();
        return config;
    }
    std::string name(path_or_name);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::vector<std::string> known = public_model_names();
    if (std::find(known.begin(), known.end(), name) != known.end()) {
        WW_ASSIGN(ModelConfig config, read_config(public_models()[name], name));
        config.name = name;
        return config;
    }
    return caller_error(
        fmt::format("no model '{:.200}': expected a folder, a config.json or one of {}; nearest: {}",
                    path_or_name, fmt::join(known, ", "), nearest(name, known)));
}

}  // namespace warpwright
