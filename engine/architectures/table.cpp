// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/architectures/architecture.h"
#include "engine/architectures/unknown_fields.h"
#include "engine/formats/layer_format.h"

namespace warpwright {
namespace {

using nlohmann::json;

struct Architecture {
    const char* name;        // in `architectures`
    const char* model_type;  // in the text_config of a multimodal model
    void (*read)(Fields& fields, ModelConfig& config);
};

constexpr Architecture kArchitectures[] = {
    {"LlamaForCausalLM", "llama", read_llama},
    {"MistralForCausalLM", "mistral", read_mistral},
    {"MinistralForCausalLM", "ministral", read_ministral},
    {"Qwen2ForCausalLM", "qwen2", read_qwen2},
    {"Qwen3ForCausalLM", "qwen3", read_qwen3},
    {"Qwen3MoeForCausalLM", "qwen3_moe", read_qwen3_moe},
    {"MixtralForCausalLM", "mixtral", read_mixtral},
    {"Qwen2MoeForCausalLM", "qwen2_moe", read_qwen2_moe},
    {"Glm4MoeForCausalLM", "glm4_moe", read_glm4_moe},
    {"DeepseekV2ForCausalLM", "deepseek_v2", read_deepseek_v2},
    {"DeepseekV3ForCausalLM", "deepseek_v3", read_deepseek_v3},
    {"DeepseekV32ForCausalLM", "deepseek_v32", read_deepseek_v32},
    {"MiniMaxM2ForCausalLM", "minimax_m2", read_minimax_m2},
    {"GptOssForCausalLM", "gpt_oss", read_gpt_oss},
    {"Gemma2ForCausalLM", "gemma2", read_gemma2},
    {"Gemma3ForCausalLM", "gemma3_text", read_gemma3},
    {"Phi3ForCausalLM", "phi3", read_phi3},
    {"GlmForCausalLM", "glm", read_glm},
    {"Glm4ForCausalLM", "glm4", read_glm4},
};

// A multimodal model whose text model is one of the table's; only that one is run.
struct Wrapper {
    const char* name;
    const char* default_model_type;  // of its text_config
};

constexpr Wrapper kWrappers[] = {
    {"Gemma3ForConditionalGeneration", "gemma3_text"},
    {"LlavaForConditionalGeneration", "llama"},
    {"Mistral3ForConditionalGeneration", "mistral"},
};

// Fields of a whole model that count for its text model.
constexpr const char* kInherited[] = {"torch_dtype",       "dtype",        "tie_word_embeddings",
                                      "bos_token_id",      "eos_token_id", "quantization_config",
                                      "compression_config"};

// "compression_config" is compressed-tensors' older name of it.
Status read_quantization(const Fields& fields, ModelConfig& config) {
    for (const char* key : {"quantization_config", "compression_config"}) {
        const json* object = fields.find(key);
        if (object == nullptr || (object->is_object() && object->empty())) continue;
        WW_ASSIGN(auto read, QuantizationConfig::parse(*object, fmt::format("{}: {}", fields.where(), key)));
        config.quantization = std::make_shared<const QuantizationConfig>(std::move(read));
        return {};
    }
    return {};
}

Result<ModelConfig> read_with(const Architecture& architecture, const json& object, const std::string& where,
                              ModelConfig config) {
    Fields fields(object, where);
    architecture.read(fields, config);
    WW_TRY(fields.status());
    WW_TRY(read_quantization(fields, config));
    sort_unread_fields(fields, object, "", config);
    WW_TRY(fields.status());
    return config;
}

Result<ModelConfig> read_wrapper(const Wrapper& wrapper, const json& root, const std::string& where) {
    ModelConfig config;
    config.architecture = wrapper.name;
    Fields fields(root, where);
    const json* object = fields.object("text_config");
    WW_TRY(fields.status());
    json text = *object;
    for (const char* key : kInherited) {
        const json* outer = fields.find(key);
        // Some wrappers tie by default, whatever their text model does.
        const bool is_its_own = std::string_view(key) == "tie_word_embeddings" && text.contains(key);
        if (outer != nullptr && !is_its_own) text[key] = *outer;
    }
    sort_unread_fields(fields, root, "", config);
    WW_TRY(fields.status());
    Fields text_fields(text, where + ": text_config");
    const std::string type = text_fields.text_or("model_type", wrapper.default_model_type);
    WW_TRY(text_fields.status());
    for (const Architecture& architecture : kArchitectures) {
        if (type == architecture.model_type) {
            return read_with(architecture, text, text_fields.where(), std::move(config));
        }
    }
    std::vector<const char*> known;
    for (const Architecture& architecture : kArchitectures) known.push_back(architecture.model_type);
    return caller_error(fmt::format("{}: 'model_type': expected {}, got '{:.80}'", text_fields.where(),
                                    fmt::join(known, ", "), type));
}

}  // namespace

std::vector<std::string> supported_architectures() {
    std::vector<std::string> names;
    for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
    for (const Wrapper& wrapper : kWrappers) names.emplace_back(wrapper.name);
    std::sort(names.begin(), names.end());
    return names;
}

Result<ModelConfig> read_architecture(const json& root, const std::string& where) {
    Fields fields(root, where);
    const json* list = fields.array("architectures");
    WW_TRY(fields.status());
    if (list->empty() || !list->front().is_string()) {
        return caller_error(fmt::format("{}: 'architectures': expected a list of names", where));
    }
    const std::string name = list->front().get<std::string>();
    for (const Architecture& architecture : kArchitectures) {
        if (name != architecture.name) continue;
        ModelConfig config;
        config.architecture = name;
        return read_with(architecture, root, where, std::move(config));
    }
    for (const Wrapper& wrapper : kWrappers) {
        if (name == wrapper.name) return read_wrapper(wrapper, root, where);
    }
    return caller_error(fmt::format("{}: unknown architecture '{:.80}'; supported: {}", where, name,
                                    fmt::join(supported_architectures(), ", ")));
}

}  // namespace warpwright
