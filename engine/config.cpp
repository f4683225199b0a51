// SPDX-License-Identifier: Apache-2.0
#include "engine/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "dispatch/nearest.h"
#include "engine/architectures/architecture.h"
#include "engine/architectures/fields.h"
#include "engine/formats/layer_format.h"
#include "engine/json_fields.h"
#include "image/embedded.h"
#include "kernels/attention/index_logits/problem.h"
#include "kernels/attention/mla/problem.h"

namespace warpwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr i64 kMaxConfigBytes = 16 << 20;
Status read_generation_config(std::string_view text, const std::string& where, ModelConfig& config) {
    WW_ASSIGN(const json root, parse_json(text, where));
    Fields fields(root, where);
    std::vector<i32> eos = read_token_ids(fields, "eos_token_id");
    if (!eos.empty()) config.eos_tokens = std::move(eos);
    const std::vector<i32> bos = read_token_ids(fields, "bos_token_id");
    if (!bos.empty()) config.bos_token = bos.front();
    GenerationDefaults& defaults = config.generation;
    if (fields.find("do_sample") != nullptr) defaults.do_sample = fields.flag_or("do_sample", false);
    defaults.temperature = fields.number_or_none("temperature", 0, 1e6);
    defaults.top_p = fields.number_or_none("top_p", 0, 1);
    defaults.min_p = fields.number_or_none("min_p", 0, 1);
    defaults.repetition_penalty = fields.positive_or_none("repetition_penalty", {});
    if (const auto top_k = fields.integer_or_none("top_k", 0, kMaxVocab, {})) {
        defaults.top_k = static_cast<int>(*top_k);
    }
    return fields.status();
}

// ModelOpt's own file, which says the same as quantization_config does in newer checkpoints.
Status read_modelopt_file(const fs::path& file, ModelConfig& config) {
    std::error_code error;
    if (config.quantization || !fs::exists(file, error)) return {};
    WW_ASSIGN(const std::string text, read_text_file(file, kMaxConfigBytes));
    WW_ASSIGN(const json root, parse_json(text, file.string()));
    WW_ASSIGN(auto read, QuantizationConfig::parse_modelopt_file(root, file.string()));
    config.quantization = std::make_shared<const QuantizationConfig>(std::move(read));
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
    for (const auto& [name, config] : public_models().items()) {
        if (config.is_object()) names.push_back(name);
    }
    return names;
}

Result<ModelConfig> parse_config(std::string_view text, std::string_view generation_text,
                                 const std::string& where) {
    WW_ASSIGN(const json root, parse_json(text, where));
    WW_ASSIGN(ModelConfig config, read_architecture(root, where));
    if (!generation_text.empty()) {
        const std::string beside = (fs::path(where).parent_path() / "generation_config.json").string();
        WW_TRY(read_generation_config(generation_text, beside, config));
    }
    return config;
}

Status check_runs(const ModelConfig& config) {
    if (!config.is_latent()) return {};
    const LatentConfig& latent = config.latent;
    if (config.has_indexer() && config.indexer.dim != kIndexDim) {
        return no_kernel(fmt::format("{}: an indexer of {} columns; kernels take {}", config.architecture,
                                     config.indexer.dim, kIndexDim));
    }
    if (config.has_indexer() && config.dtype != DType::bf16) {
        return no_kernel(fmt::format("{}: an indexer in {}; kernels take bf16", config.architecture,
                                     dtype_name(config.dtype)));
    }
    if (latent.kv_rank == kMlaValueDim && latent.rope_dim == kMlaRopeDim) return {};
    return no_kernel(fmt::format("{}: latent rows of {} + {} numbers; kernels take {} + {}",
                                 config.architecture, latent.kv_rank, latent.rope_dim, kMlaValueDim,
                                 kMlaRopeDim));
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
        WW_TRY(read_modelopt_file(file.parent_path() / "hf_quant_config.json", config));
        config.name = fs::weakly_canonical(file, error).parent_path().filename().string();
        return config;
    }
    std::string name(path_or_name);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::vector<std::string> known = public_model_names();
    const json& models = public_models();
    // A text in place of a config is the name that an alias stands for.
    if (const auto alias = models.find(name); alias != models.end() && alias->is_string()) {
        name = alias->get<std::string>();
    }
    if (std::find(known.begin(), known.end(), name) != known.end()) {
        WW_ASSIGN(ModelConfig config, read_architecture(models[name], name));
        config.name = name;
        return config;
    }
    return caller_error(
        fmt::format("no model '{:.200}': expected a folder, a config.json or one of {}; nearest: {}",
                    path_or_name, fmt::join(known, ", "), nearest(name, known)));
}

}  // namespace warpwright
