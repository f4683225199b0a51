// SPDX-License-Identifier: Apache-2.0
#include "engine/formats/layer_format.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace warpwright {
namespace {

// fnmatch's * and ?, without brackets: nothing is tried twice but the last star.
bool glob_matches(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = std::string_view::npos, resume = 0;
    while (t < text.size()) {
        if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
            ++p, ++t;
        } else if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            resume = t;
        } else if (star != std::string_view::npos) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

// "mlp.gate" is in "model.mlp.gate.up", and not in "model.mlp.gate_proj".
bool has_parts(std::string_view layer, std::string_view parts) {
    for (auto at = layer.find(parts); at != std::string_view::npos; at = layer.find(parts, at + 1)) {
        const std::size_t end = at + parts.size();
        if ((at == 0 || layer[at - 1] == '.') && (end == layer.size() || layer[end] == '.')) return true;
    }
    return false;
}

}  // namespace

const char* stored_format_name(StoredFormat format) {
    switch (format) {
        case StoredFormat::gptq: return "gptq";
        case StoredFormat::awq_gemm: return "awq gemm";
        case StoredFormat::awq_gemv: return "awq gemv";
        case StoredFormat::packed_int: return "compressed-tensors pack-quantized";
        case StoredFormat::bytes: return "compressed-tensors";
        case StoredFormat::nvfp4: return "compressed-tensors nvfp4-pack-quantized";
        case StoredFormat::mxfp4: return "compressed-tensors mxfp4-pack-quantized";
        case StoredFormat::mxfp8: return "compressed-tensors mxfp8-quantized";
        case StoredFormat::fp8_blocks: return "fp8";
        case StoredFormat::modelopt_fp8: return "modelopt fp8";
        case StoredFormat::modelopt_nvfp4: return "modelopt nvfp4";
        case StoredFormat::modelopt_fp8_blocks: return "modelopt fp8_pb_wo";
        case StoredFormat::modelopt_int8: return "modelopt int8";
        case StoredFormat::modelopt_int4: return "modelopt awq";
        case StoredFormat::modelopt_mxfp8: return "modelopt mxfp8";
        case StoredFormat::modelopt_mxfp4: return "modelopt mxfp4";
        case StoredFormat::gpt_oss_mxfp4: return "mxfp4";
        case StoredFormat::torchao_fp8:
        case StoredFormat::torchao_int: return "torchao";
    }
    return "?";
}

std::string describe_format(const LayerFormat& format) {
    std::string text = fmt::format("{} {}", stored_format_name(format.stored), facts_of(format.code).name);
    if (format.group_rows == 0) {
        text += ", one scale";
    } else if (format.group_rows > 1) {
        text += fmt::format(", blocks of {} x {}", format.group_rows, format.group_columns);
    } else if (format.group_columns == 0) {
        text += ", a scale per row";
    } else {
        text += fmt::format(", groups of {}", format.group_columns);
    }
    if (!format.symmetric) text += ", zero points";
    if (format.act_order) text += ", act-order";
    return text;
}

std::string describe_inputs(const InputFormat& inputs) {
    if (inputs.bits == 16) return "16 bits";
    std::string text = fmt::format("{}-bit {}", inputs.bits, inputs.is_float ? "floats" : "integers");
    switch (inputs.scales) {
        case InputFormat::Scales::group: text += fmt::format(", groups of {}", inputs.group_columns); break;
        case InputFormat::Scales::token: text += ", a scale per token"; break;
        case InputFormat::Scales::tensor: text += ", one scale"; break;
        case InputFormat::Scales::other: text += ", scales of another kind"; break;
    }
    if (inputs.is_static) text += " from the checkpoint";
    return inputs.symmetric ? text : text + ", zero points";
}

Result<bool> QuantizationConfig::matches(const Rule& rule, std::string_view layer) {
    switch (rule.match) {
        case Match::all: return true;
        case Match::last_part:
            return layer == rule.pattern ||
                   (layer.ends_with(rule.pattern) && layer[layer.size() - rule.pattern.size() - 1] == '.');
        case Match::contains: return has_parts(layer, rule.pattern);
        case Match::glob:
            return glob_matches(rule.pattern, layer) ||
                   (layer.starts_with(rule.pattern) && layer[rule.pattern.size()] == '.');
        case Match::regex_start: {
            WW_ASSIGN(const auto found, rule.regex.front().find_all(layer));
            return !found.empty() && found.front().begin == 0;
        }
    }
    return false;
}

Result<const LayerFormat*> QuantizationConfig::format_of(std::string_view layer) const {
    const auto exact = exact_.find(layer);
    int format = exact == exact_.end() ? -1 : exact->second.format;
    for (const Rule& rule : rules_) {
        if (exact != exact_.end() && exact->second.order < rule.order) break;
        WW_ASSIGN(const bool found, matches(rule, layer));
        if (!found) continue;
        format = rule.format;
        break;
    }
    const LayerFormat* none = nullptr;
    return format < 0 ? none : &formats_[static_cast<std::size_t>(format)];
}

std::string QuantizationConfig::describe() const {
    std::vector<std::string> texts;
    for (const LayerFormat& format : formats_) {
        std::string text = describe_format(format);
        if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(std::move(text));
    }
    return fmt::format("{}", fmt::join(texts, "; "));
}

}  // namespace warpwright
