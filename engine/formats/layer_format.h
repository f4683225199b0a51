// SPDX-License-Identifier: Apache-2.0
// What a checkpoint's config says of how linear layers are quantised: which format each layer has; and of how
// keys and values are kept.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/regex.h"
#include "formats/quantized_matrix.h"
#include "warpwright/kv_format.h"
#include "warpwright/status.h"

namespace warpwright {

// Under which names a layer's tensors are stored, and what they hold.
enum class StoredFormat : u8 {
    gptq,                 // qweight, qzeros, scales, g_idx
    awq_gemm,             // qweight, qzeros, scales, packed along N
    awq_gemv,             // the same, packed along K
    packed_int,           // compressed-tensors: weight_packed, weight_scale, weight_shape, weight_zero_point
    bytes,                // compressed-tensors: weight (int8 or e4m3), weight_scale
    nvfp4,                // compressed-tensors: weight_packed, weight_scale, weight_global_scale (a divisor)
    mxfp4,                // compressed-tensors: weight_packed, weight_scale
    mxfp8,                // compressed-tensors: weight, weight_scale
    fp8_blocks,           // DeepSeek: weight, weight_scale_inv (a multiplier)
    modelopt_fp8,         // weight, weight_scale
    modelopt_nvfp4,       // weight, weight_scale, weight_scale_2 (a multiplier)
    modelopt_fp8_blocks,  // weight, weight_scale [N / 128, 1, K / 128, 1]
    modelopt_int8,        // weight, weight_scale by row
    modelopt_int4,        // weight (two rows to a byte), weight_scale
    modelopt_mxfp8,       // weight, weight_scale
    modelopt_mxfp4,       // weight, weight_scale
    gpt_oss_mxfp4,        // blocks, scales, of all experts
    torchao_fp8,          // _weight_qdata, _weight_scale
    torchao_int,          // _weight_qdata (a byte each), _weight_scale, _weight_zero_point
};
const char* stored_format_name(
    StoredFormat format);  // "gptq", "compressed-tensors nvfp4-pack-quantized", ...

// What a config says of a layer's inputs. Nothing is refused for it here: what no operation makes of inputs
// is left to weight_forms.h.
struct InputFormat {
    // What shares a scale: a row's group_columns, a row, all of it; or what is not known here.
    enum class Scales : u8 { group, token, tensor, other };
    int bits = 16;  // 16: inputs are not quantised, and nothing below counts
    bool is_float = true;
    Scales scales = Scales::token;
    i64 group_columns = 0;
    bool is_static = false;  // the scale is in the checkpoint, beside the weight
    bool symmetric = true;

    bool operator==(const InputFormat&) const = default;
};
std::string describe_inputs(const InputFormat& inputs);  // "8-bit floats, a scale per token"

struct LayerFormat {
    StoredFormat stored = StoredFormat::gptq;
    formats::Code code = formats::Code::u4;
    i64 group_rows = 1;     // 0: all
    i64 group_columns = 0;  // 0: all
    bool symmetric = true;
    bool act_order = false;
    bool zeros_minus_one = false;  // GPTQ v1
    InputFormat inputs{};

    bool operator==(const LayerFormat&) const = default;
};
std::string describe_format(const LayerFormat& format);  // "gptq u4, groups of 128, act-order"

struct DeclaredKv {
    KvFormat format = KvFormat::same;
    std::string unsupported;  // what is declared that no cache here holds: "kv_cache_quant_algo NVFP4"
};

class QuantizationConfig {
public:
    // config.json's quantization_config. `where` names it in errors. What is not known is refused by name.
    static Result<QuantizationConfig> parse(const nlohmann::json& object, const std::string& where);
    // ModelOpt's hf_quant_config.json.
    static Result<QuantizationConfig> parse_modelopt_file(const nlohmann::json& root,
                                                          const std::string& where);

    // Of a linear layer, "model.layers.0.mlp.down_proj"; null: it is kept in floating point.
    Result<const LayerFormat*> format_of(std::string_view layer) const;
    const DeclaredKv& kv() const { return kv_; }
    const std::string& method() const { return method_; }
    std::string describe() const;  // the formats that layers have, joined

private:
    friend class QuantizationReader;
    // How a pattern is held against a layer's name.
    enum class Match : u8 { last_part, contains, regex_start, glob, all };
    struct Rule {
        Match match = Match::all;
        std::string pattern;
        std::vector<Regex> regex;  // one, of regex_start
        int format = -1;           // of formats_; -1: floating point
        int order = 0;             // the first that matches counts
    };
    struct Exact {
        int format = -1;
        int order = 0;
    };
    static Result<bool> matches(const Rule& rule, std::string_view layer);

    std::string method_;
    DeclaredKv kv_;
    std::vector<LayerFormat> formats_;
    std::vector<Rule> rules_;                          // by order; no match: floating point
    std::map<std::string, Exact, std::less<>> exact_;  // MIXED_PRECISION names every layer
};

}  // namespace warpwright
