// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "dispatch/nearest.h"
#include "engine/quantize.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::ScaleCode;
using nlohmann::json;

// Presets of compressed-tensors (quantization/quant_scheme.py): W8A8, FP8, FP8_DYNAMIC, FP8_BLOCK, MXFP8A16,
// ...
constexpr const char* kInt8Tokens =
    R"({"num_bits":8,"type":"int","strategy":"token","symmetric":true,"dynamic":true})";
constexpr const char* kFp8Tokens =
    R"({"num_bits":8,"type":"float","strategy":"token","symmetric":true,"dynamic":true})";
constexpr const char* kFp8Groups =
    R"({"num_bits":8,"type":"float","strategy":"group","group_size":128,"symmetric":true,"dynamic":true})";

constexpr CheckpointFormat kFormats[] = {
    {"int4",
     "4-bit integers, a scale for 128 weights",
     "pack-quantized",
     {.code = Code::u4, .group_columns = 128},
     nullptr},
    {"int4-asym",
     "the same with zero points",
     "pack-quantized",
     {.code = Code::u4, .group_columns = 128, .symmetric = false},
     nullptr},
    {"int8",
     "8-bit integers, a scale per row; activations per token",
     "int-quantized",
     {.code = Code::i8},
     kInt8Tokens},
    {"fp8",
     "e4m3, a scale per row; activations per token",
     "float-quantized",
     {.code = Code::e4m3},
     kFp8Tokens},
    {"fp8-tensor",
     "e4m3, one scale; activations per token",
     "float-quantized",
     {.code = Code::e4m3, .group_rows = 0},
     kFp8Tokens},
    {"fp8-block",
     "e4m3, a scale for 128 x 128; activations 1 x 128",
     "float-quantized",
     {.code = Code::e4m3, .group_rows = 128, .group_columns = 128},
     kFp8Groups},
    {"mxfp8",
     "e4m3, a power of two for 32 weights",
     "mxfp8-quantized",
     {.code = Code::e4m3, .group_columns = 32, .scale_code = ScaleCode::e8m0},
     nullptr},
    {"mxfp4",
     "e2m1, a power of two for 32 weights",
     "mxfp4-pack-quantized",
     {.code = Code::e2m1, .group_columns = 32, .scale_code = ScaleCode::e8m0},
     nullptr},
    {"nvfp4",
     "e2m1, an e4m3 scale for 16 weights",
     "nvfp4-pack-quantized",
     {.code = Code::e2m1, .group_columns = 16, .scale_code = ScaleCode::e4m3},
     nullptr},
};

}  // namespace

std::span<const CheckpointFormat> quantize_formats() {
    return kFormats;
}

Result<CheckpointFormat> find_quantize_format(std::string_view name, i64 group_columns) {
    std::vector<std::string> names;
    for (CheckpointFormat format : kFormats) {
        names.emplace_back(format.name);
        if (format.name != name) continue;
        if (group_columns == 0) return format;
        if (format.recipe.code != Code::u4 || group_columns < 8) {
            return caller_error(fmt::format(
                "group: expected none for {}, or a number from 8 on for int4; got {}", name, group_columns));
        }
        format.recipe.group_columns = group_columns;
        return format;
    }
    return caller_error(fmt::format("no format '{:.40}': expected {}; nearest: {}", name,
                                    fmt::join(names, ", "), nearest(std::string(name), names)));
}

json quantization_config_of(const CheckpointFormat& format, const std::vector<std::string>& ignore) {
    const formats::Recipe& recipe = format.recipe;
    const formats::CodeFacts facts = facts_of(recipe.code);
    json weights = {{"num_bits", facts.bits},
                    {"type", facts.is_float ? "float" : "int"},
                    {"symmetric", recipe.symmetric},
                    {"dynamic", false}};
    if (recipe.group_rows == 0) {
        weights["strategy"] = "tensor";
    } else if (recipe.group_rows > 1) {
        weights["strategy"] = "block";
        weights["block_structure"] = {recipe.group_rows, recipe.group_columns};
    } else if (recipe.group_columns == 0) {
        weights["strategy"] = "channel";
    } else {
        weights["strategy"] = recipe.scale_code == ScaleCode::e4m3 ? "tensor_group" : "group";
        weights["group_size"] = recipe.group_columns;
    }
    if (recipe.scale_code != ScaleCode::none) {
        const bool is_mx = recipe.scale_code == ScaleCode::e8m0;
        weights["scale_dtype"] = is_mx ? "torch.uint8" : "torch.float8_e4m3fn";
        weights["zp_dtype"] = weights["scale_dtype"];
    }
    json group = {{"targets", {"Linear"}}, {"weights", weights}, {"format", format.layout}};
    if (format.activations != nullptr) group["input_activations"] = json::parse(format.activations);
    return {{"quant_method", "compressed-tensors"},
            {"quantization_status", "compressed"},
            {"format", format.layout},
            {"config_groups", {{"group_0", group}}},
            {"ignore", ignore}};
}

}  // namespace warpwright
