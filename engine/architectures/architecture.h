// SPDX-License-Identifier: Apache-2.0
// Architectures: how each family's config.json is read. A family is one reader over the helpers of fields.h,
// and a line of the table; what it asks of its Fields is what it understands.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "engine/config.h"
#include "engine/json_fields.h"

namespace warpwright {

// The families' readers.
void read_llama(Fields& fields, ModelConfig& config);
void read_mistral(Fields& fields, ModelConfig& config);
void read_ministral(Fields& fields, ModelConfig& config);
void read_qwen2(Fields& fields, ModelConfig& config);
void read_qwen3(Fields& fields, ModelConfig& config);
void read_qwen3_moe(Fields& fields, ModelConfig& config);
void read_qwen2_moe(Fields& fields, ModelConfig& config);
void read_deepseek_v2(Fields& fields, ModelConfig& config);
void read_deepseek_v3(Fields& fields, ModelConfig& config);
void read_deepseek_v32(Fields& fields, ModelConfig& config);
void read_glm4_moe(Fields& fields, ModelConfig& config);
void read_minimax_m2(Fields& fields, ModelConfig& config);
void read_gpt_oss(Fields& fields, ModelConfig& config);
void read_mixtral(Fields& fields, ModelConfig& config);
void read_gemma2(Fields& fields, ModelConfig& config);
void read_gemma3(Fields& fields, ModelConfig& config);
void read_phi3(Fields& fields, ModelConfig& config);
void read_glm(Fields& fields, ModelConfig& config);
void read_glm4(Fields& fields, ModelConfig& config);

// A whole config.json, of an architecture in the table or of a wrapper around one.
Result<ModelConfig> read_architecture(const nlohmann::json& root, const std::string& where);

}  // namespace warpwright
