// SPDX-License-Identifier: Apache-2.0
// Reading quantization_config: one function for each quant_method. Field names are those that the formats'
// packages write; transformers' utils/quantization_config.py and compressed-tensors' quantization/ list them.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/formats/layer_format.h"
#include "engine/json_fields.h"

namespace warpwright {

using nlohmann::json;

namespace {

constexpr i64 kMaxGroup = 1 << 24;

Result<formats::Code> unsigned_code(i64 bits, const std::string& where) {
    switch (bits) {
        case 2: return formats::Code::u2;
        case 3: return formats::Code::u3;
        case 4: return formats::Code::u4;
        case 8: return formats::Code::u8;
        default: return caller_error(fmt::format("{}: bits: expected 2, 3, 4 or 8, got {}", where, bits));
    }
}

// "-1" and an absent field mean whole rows.
i64 group_size(Fields& fields, const char* key, i64 fallback) {
    const i64 size = fields.integer_or(key, -1, kMaxGroup, fallback);
    if (size == 0) fields.fail(fmt::format("'{}': expected -1 or a positive number, got 0", key));
    return size < 0 ? 0 : size;
}

void read_block(Fields& fields, const char* key, const json& block, LayerFormat& format) {
    const auto is_extent = [](const json& value) {
        return value.is_number_integer() && value > 0 && value <= kMaxGroup;
    };
    if (!block.is_array() || block.size() != 2 || !is_extent(block[0]) || !is_extent(block[1])) {
        fields.fail(fmt::format("'{}': expected two positive integers", key));
        return;
    }
    format.group_rows = block[0].get<i64>();
    format.group_columns = block[1].get<i64>();
}

constexpr InputFormat kFp8Tokens{.bits = 8};
constexpr InputFormat kFp8Tensor{.bits = 8, .scales = InputFormat::Scales::tensor, .is_static = true};
constexpr InputFormat kInt8Tokens{.bits = 8, .is_float = false};

constexpr InputFormat groups_of_floats(int bits, i64 columns) {
    return {.bits = bits, .scales = InputFormat::Scales::group, .group_columns = columns};
}

}  // namespace

class QuantizationReader {
public:
    QuantizationReader(const json& object, const std::string& where) : fields_(object, where) {}

    Result<QuantizationConfig> read() {
        config_.method_ = fields_.text_or("quant_method", "");
        const std::string method = config_.method_;
        keys_and_values();
        WW_TRY(fields_.status());
        if (method == "gptq") {
            WW_TRY(gptq());
        } else if (method == "awq") {
            WW_TRY(awq());
        } else if (method == "compressed-tensors") {
            WW_TRY(compressed_tensors());
        } else if (method == "fp8") {
            WW_TRY(fp8());
        } else if (method == "modelopt" || method == "modelopt_fp4") {
            WW_TRY(modelopt());
        } else if (method == "mxfp4") {
            WW_TRY(exclude("modules_to_not_convert", QuantizationConfig::Match::contains));
            everything(
                {.stored = StoredFormat::gpt_oss_mxfp4, .code = formats::Code::e2m1, .group_columns = 32});
        } else if (method == "torchao") {
            WW_TRY(torchao());
        } else {
            fields_.fail(
                fmt::format("'quant_method': expected gptq, awq, compressed-tensors, fp8, modelopt, mxfp4 or "
                            "torchao, got {}",
                            method.empty() ? "none" : "'" + printable(method, 40) + "'"));
        }
        WW_TRY(fields_.status());
        return std::move(config_);
    }

    Result<QuantizationConfig> read_modelopt_file() {
        config_.method_ = "modelopt";
        keys_and_values();
        WW_TRY(modelopt());
        WW_TRY(fields_.status());
        return std::move(config_);
    }

private:
    using Match = QuantizationConfig::Match;

    int add(const LayerFormat& format) {
        config_.formats_.push_back(format);
        return static_cast<int>(config_.formats_.size()) - 1;
    }
    Status rule(Match match, std::string pattern, int format) {
        if (pattern.empty()) return {};
        QuantizationConfig::Rule rule{match, std::move(pattern), {}, format, next_order_++};
        if (match == Match::regex_start) {
            auto regex = Regex::compile(rule.pattern);
            if (!regex.ok()) {
                return caller_error(fmt::format("{}: {}", fields_.where(), regex.status().message()));
            }
            rule.regex.push_back(std::move(regex).value());
        }
        config_.rules_.push_back(std::move(rule));
        return {};
    }
    void everything(const LayerFormat& format) { all_layers(add(format)); }
    void all_layers(int format) { config_.rules_.push_back({Match::all, "", {}, format, next_order_++}); }
    void exactly(const std::string& name, int format) {
        config_.exact_.emplace(name, QuantizationConfig::Exact{format, next_order_++});
    }

    // Calls body(text) for each of a list of texts, which may be absent.
    template <class Body>
    Status each_text(const Fields& fields, const json* list, const char* key, Body body) {
        if (list == nullptr) return {};
        if (!list->is_array()) {
            return caller_error(fmt::format("{}: '{}': expected a list of names, got {}", fields.where(), key,
                                            describe_json(*list)));
        }
        for (const json& name : *list) {
            if (!name.is_string()) {
                return caller_error(fmt::format("{}: '{}': expected names, got {}", fields.where(), key,
                                                describe_json(name)));
            }
            WW_TRY(body(name.get<std::string>()));
        }
        return {};
    }
    Status exclude(const char* key, Match match) {
        return each_text(fields_, fields_.find(key), key,
                         [&](const std::string& name) { return rule(match, name, -1); });
    }
    // compressed-tensors' way of naming layers: "re:.*q_proj", a class of module, or a whole name.
    Status named(const std::string& name, int format) {
        if (name.starts_with("re:")) return rule(Match::regex_start, name.substr(3), format);
        if (name == "Linear") {
            all_layers(format);
        } else {
            exactly(name, format);
        }
        return {};
    }

    // kv_cache_scheme is QuantizationArgs (compressed-tensors, and ModelOpt in config.json), or "static" of
    // AutoFP8; kv_cache_quant_algo is ModelOpt's. Either is null where there is none.
    void keys_and_values() {
        if (const json* scheme = fields_.find("kv_cache_scheme")) {
            if (scheme->is_object()) {
                kv_scheme(*scheme);
            } else if (*scheme == "static") {
                config_.kv_.format = KvFormat::fp8_e4m3;
            } else {
                config_.kv_.unsupported = "kv_cache_scheme " + describe_json(*scheme);
            }
        }
        const std::string algorithm = fields_.text_or("kv_cache_quant_algo", "");
        if (algorithm == "FP8") {
            config_.kv_.format = KvFormat::fp8_e4m3;
        } else if (!algorithm.empty()) {
            config_.kv_.unsupported = "kv_cache_quant_algo " + printable(algorithm, 40);
        }
    }
    void kv_scheme(const json& object) {
        Fields fields(object, fields_.where() + ": kv_cache_scheme");
        const i64 bits = fields.integer_or("num_bits", 1, 64, 8);
        const std::string type = fields.text_or("type", "int");
        const std::string strategy = fields.text_or("strategy", "tensor");
        const bool is_symmetric = fields.flag_or("symmetric", true);
        fields_.fail(fields.status());
        if (bits == 8 && type == "float" && is_symmetric &&
            (strategy == "tensor" || strategy == "attn_head")) {
            config_.kv_.format = KvFormat::fp8_e4m3;
        } else {
            config_.kv_.unsupported =
                fmt::format("kv_cache_scheme of {} bits, {}, by {}{}", bits, printable(type, 20),
                            printable(strategy, 20), is_symmetric ? "" : ", asymmetric");
        }
    }

    Status gptq() {
        LayerFormat format{.stored = StoredFormat::gptq};
        WW_ASSIGN(format.code, unsigned_code(fields_.integer("bits", 1, 64), fields_.where()));
        format.group_columns = group_size(fields_, "group_size", 128);
        format.symmetric = fields_.flag_or("sym", true);
        format.act_order = fields_.flag_or("desc_act", false);
        const std::string layout = fields_.text_or("checkpoint_format", fields_.text_or("format", "gptq"));
        if (layout != "gptq" && layout != "gptq_v2") {
            fields_.fail(fmt::format("'checkpoint_format': expected gptq or gptq_v2, got '{}'",
                                     printable(layout, 40)));
        }
        format.zeros_minus_one = layout == "gptq";
        const json* dynamic = fields_.find("dynamic");
        if (dynamic != nullptr && dynamic->is_object()) WW_TRY(gptq_dynamic(*dynamic, format));
        if (!fields_.flag_or("lm_head", false)) WW_TRY(rule(Match::last_part, "lm_head", -1));
        everything(format);
        return {};
    }

    // {"-:PATTERN": {}, "+:PATTERN": {"bits": 8}}: layers left alone, and layers with other settings.
    Status gptq_dynamic(const json& dynamic, const LayerFormat& base) {
        for (const auto& [key, changes] : dynamic.items()) {
            const bool leaves_out = key.starts_with("-:");
            const std::string pattern = leaves_out || key.starts_with("+:") ? key.substr(2) : key;
            int format = -1;
            if (!leaves_out) {
                const std::string where = fields_.where() + ": dynamic: " + printable(key, 80);
                if (!changes.is_object()) {
                    return caller_error(
                        fmt::format("{}: expected an object, got {}", where, describe_json(changes)));
                }
                Fields fields(changes, where);
                LayerFormat changed = base;
                if (fields.find("bits") != nullptr) {
                    WW_ASSIGN(changed.code, unsigned_code(fields.integer("bits", 1, 64), where));
                }
                changed.group_columns =
                    group_size(fields, "group_size", base.group_columns == 0 ? -1 : base.group_columns);
                changed.symmetric = fields.flag_or("sym", base.symmetric);
                changed.act_order = fields.flag_or("desc_act", base.act_order);
                WW_TRY(fields.status());
                format = add(changed);
            }
            WW_TRY(rule(Match::regex_start, pattern, format));
        }
        return {};
    }

    Status awq() {
        LayerFormat format{.stored = StoredFormat::awq_gemm};
        const i64 bits = fields_.find("w_bit") != nullptr ? fields_.integer("w_bit", 1, 64)
                                                          : fields_.integer("bits", 1, 64);
        if (bits != 4) fields_.fail(fmt::format("'bits': expected 4 for awq, got {}", bits));
        format.group_columns = fields_.find("q_group_size") != nullptr
                                   ? group_size(fields_, "q_group_size", 128)
                                   : group_size(fields_, "group_size", 128);
        format.symmetric = !fields_.flag_or("zero_point", true);
        std::string version = fields_.text_or("version", "gemm");
        for (char& c : version) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (version == "gemv") {
            format.stored = StoredFormat::awq_gemv;
        } else if (version != "gemm") {
            fields_.fail(fmt::format("'version': expected gemm or gemv, got '{}'", printable(version, 40)));
        }
        WW_TRY(exclude("modules_to_not_convert", Match::contains));
        WW_TRY(rule(Match::last_part, "lm_head", -1));
        everything(format);
        return {};
    }

    Status fp8() {
        LayerFormat format{.stored = StoredFormat::fp8_blocks, .code = formats::Code::e4m3, .group_rows = 0};
        const std::string kind = fields_.text_or("fmt", "e4m3");
        if (kind != "e4m3" && kind != "float8_e4m3fn") {
            fields_.fail(fmt::format("'fmt': expected e4m3, got '{}'", printable(kind, 40)));
        }
        const std::string scheme = fields_.text_or("activation_scheme", "dynamic");
        if (scheme != "dynamic" && scheme != "static") {
            fields_.fail(fmt::format("'activation_scheme': expected dynamic or static, got '{}'",
                                     printable(scheme, 40)));
        }
        format.inputs = scheme == "static" ? kFp8Tensor : kFp8Tokens;
        if (const json* block = fields_.find("weight_block_size")) {
            read_block(fields_, "weight_block_size", *block, format);
            if (scheme == "dynamic") format.inputs = groups_of_floats(8, format.group_columns);
        }
        WW_TRY(exclude("modules_to_not_convert", Match::contains));
        WW_TRY(exclude("ignored_layers", Match::contains));
        WW_TRY(rule(Match::last_part, "lm_head", -1));
        everything(format);
        return {};
    }

    Status compressed_tensors() {
        if (const json* sparsity = fields_.find("sparsity_config");
            sparsity != nullptr && sparsity->is_object()) {
            const auto format = sparsity->value("format", json("dense"));
            if (format != "dense") {
                fields_.fail(
                    fmt::format("'sparsity_config': expected format dense, got {}", describe_json(format)));
            }
        }
        if (const json* transform = fields_.find("transform_config");
            transform != nullptr && transform->is_object() &&
            !transform->value("config_groups", json()).empty()) {
            fields_.fail("'transform_config': expected none, got transforms of activations");
        }
        const std::string whole = fields_.text_or("format", "");
        WW_TRY(each_text(fields_, fields_.find("ignore"), "ignore",
                         [&](const std::string& name) { return named(name, -1); }));
        const json* groups = fields_.object("config_groups");
        WW_TRY(fields_.status());
        // Names and patterns come before classes of modules, whatever the order of the groups.
        std::vector<int> of_classes;
        for (const auto& [key, group] : groups->items()) {
            const std::string where = fields_.where() + ": config_groups: " + printable(key, 40);
            if (!group.is_object()) {
                return caller_error(
                    fmt::format("{}: expected an object, got {}", where, describe_json(group)));
            }
            Fields fields(group, where);
            int format = -1;
            if (const json* weights = fields.find("weights")) {
                WW_ASSIGN(LayerFormat read,
                          compressed_weights(*weights, fields.text_or("format", whole), where));
                if (const json* inputs = fields.find("input_activations")) {
                    WW_ASSIGN(read.inputs, compressed_inputs(*inputs, where));
                }
                format = add(read);
            }
            const json* targets = fields.array("targets");
            WW_TRY(fields.status());
            WW_TRY(each_text(fields, targets, "targets",
                             [&](const std::string& name) { return named(name, format); }));
            if (!config_.rules_.empty() && config_.rules_.back().match == Match::all) {
                of_classes.push_back(format);
                config_.rules_.pop_back();
            }
        }
        for (const int format : of_classes) all_layers(format);
        return {};
    }

    // QuantizationArgs of inputs. vLLM, too, makes a dynamic scale of the whole tensor one of each token:
    // what else runs would change a sequence's numbers.
    static Result<InputFormat> compressed_inputs(const json& object, const std::string& where) {
        using Scales = InputFormat::Scales;
        const std::string here = where + ": input_activations";
        if (!object.is_object()) {
            return caller_error(fmt::format("{}: expected an object, got {}", here, describe_json(object)));
        }
        Fields fields(object, here);
        InputFormat inputs{.bits = static_cast<int>(fields.integer_or("num_bits", 1, 64, 8))};
        inputs.is_float = fields.text_or("type", "int") == "float";
        inputs.symmetric = fields.flag_or("symmetric", true);
        inputs.group_columns = std::max<i64>(0, fields.integer_or("group_size", -1, kMaxGroup, -1));
        const json* dynamic = fields.find("dynamic");  // or "local": below a static scale of the tensor
        inputs.is_static = dynamic == nullptr || *dynamic == false;
        const std::string strategy =
            fields.text_or("strategy", inputs.group_columns > 0 ? "group" : "tensor");
        WW_TRY(fields.status());
        inputs.scales = strategy == "group" && inputs.group_columns > 0 ? Scales::group
                        : strategy == "token"                           ? Scales::token
                        : strategy == "tensor" && inputs.is_static      ? Scales::tensor
                        : strategy == "tensor"                          ? Scales::token
                                                                        : Scales::other;
        return inputs;
    }

    // QuantizationArgs of weights.
    static Result<LayerFormat> compressed_weights(const json& object, std::string layout,
                                                  const std::string& where) {
        const std::string here = where + ": weights";
        if (!object.is_object()) {
            return caller_error(fmt::format("{}: expected an object, got {}", here, describe_json(object)));
        }
        Fields fields(object, here);
        const i64 bits = fields.integer_or("num_bits", 1, 64, 8);
        const std::string type = fields.text_or("type", "int");
        const i64 group = fields.integer_or("group_size", -1, kMaxGroup, -1);
        std::string strategy = fields.text_or("strategy", group > 0 ? "group" : "tensor");
        LayerFormat format;
        format.symmetric = fields.flag_or("symmetric", true);
        const std::string order =
            fields.text_or("actorder", "");  // "weight" and "static" reorder nothing stored
        format.act_order = order == "group" || order == "dynamic";
        const bool is_float = type == "float";
        if (strategy == "group" || strategy == "tensor_group") {
            if (group <= 0)
                fields.fail(
                    fmt::format("'group_size': expected a positive number for strategy '{}'", strategy));
            format.group_columns = group;
        } else if (strategy == "tensor") {
            format.group_rows = 0;
        } else if (strategy == "block") {
            const json* block = fields.array("block_structure");
            if (block != nullptr) read_block(fields, "block_structure", *block, format);
        } else if (strategy != "channel") {
            fields.fail(
                fmt::format("'strategy': expected tensor, channel, group, tensor_group or block, got '{}'",
                            printable(strategy, 40)));
        }
        if (layout.empty() || layout == "mixed-precision") {
            layout = is_float && bits == 4
                         ? (strategy == "tensor_group" ? "nvfp4-pack-quantized" : "mxfp4-pack-quantized")
                     : is_float ? (group == 32 && strategy == "group" ? "mxfp8-quantized" : "float-quantized")
                                : "pack-quantized";
        }
        WW_TRY(fields.status());
        if (layout == "pack-quantized" && !is_float) {
            format.stored = StoredFormat::packed_int;
            WW_ASSIGN(format.code, unsigned_code(bits, here));
        } else if (layout == "int-quantized" || layout == "float-quantized" || layout == "naive-quantized") {
            format.stored = StoredFormat::bytes;
            format.code = is_float ? formats::Code::e4m3 : formats::Code::i8;
            if (bits != 8) fields.fail(fmt::format("'num_bits': expected 8 for {}, got {}", layout, bits));
        } else if (layout == "nvfp4-pack-quantized" && is_float && bits == 4) {
            format.stored = StoredFormat::nvfp4;
            format.code = formats::Code::e2m1;
        } else if (layout == "mxfp4-pack-quantized" && is_float && bits == 4) {
            format.stored = StoredFormat::mxfp4;
            format.code = formats::Code::e2m1;
        } else if (layout == "mxfp8-quantized" && is_float && bits == 8) {
            format.stored = StoredFormat::mxfp8;
            format.code = formats::Code::e4m3;
        } else {
            fields.fail(fmt::format("format '{}' with {} weights of {} bits is not supported",
                                    printable(layout, 40), printable(type, 20), bits));
        }
        WW_TRY(fields.status());
        return format;
    }

    // Names as modelopt's exporter writes them, in either case. AWQ's scales of inputs are folded into the
    // layer before, or are tensors that open_weight refuses.
    Result<LayerFormat> modelopt_format(const std::string& algorithm, i64 group) {
        using formats::Code;
        std::string name = algorithm;
        for (char& c : name) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        const auto is = [&](std::initializer_list<std::string_view> names) {
            return std::find(names.begin(), names.end(), name) != names.end();
        };
        const auto groups_of = [&](i64 usual) { return group == 0 ? usual : group; };
        LayerFormat format;
        if (is({"FP8"})) {
            format = {StoredFormat::modelopt_fp8, Code::e4m3, 0};
            format.inputs = kFp8Tensor;
            return format;
        }
        if (is({"FP8_PER_CHANNEL_PER_TOKEN"})) {
            format = {StoredFormat::modelopt_fp8, Code::e4m3};
            format.inputs = kFp8Tokens;
            return format;
        }
        if (is({"FP8_PB_WO", "FP8_PB_REAL"})) {
            format = {StoredFormat::modelopt_fp8_blocks, Code::e4m3, groups_of(128), groups_of(128)};
            if (is({"FP8_PB_REAL"})) format.inputs = groups_of_floats(8, groups_of(128));
            return format;
        }
        if (is({"NVFP4", "W4A16_NVFP4", "NVFP4_AWQ", "W4A8_NVFP4_FP8"})) {
            format = {StoredFormat::modelopt_nvfp4, Code::e2m1, 1, groups_of(16)};
            if (is({"W4A8_NVFP4_FP8"})) format.inputs = kFp8Tensor;
            if (is({"NVFP4", "NVFP4_AWQ"})) format.inputs = groups_of_floats(4, groups_of(16));
            return format;
        }
        if (is({"MXFP8"})) {
            format = {StoredFormat::modelopt_mxfp8, Code::e4m3, 1, 32};
            format.inputs = groups_of_floats(8, 32);
            return format;
        }
        if (is({"MXFP4", "W4A8_MXFP4_FP8"})) {
            format = {StoredFormat::modelopt_mxfp4, Code::e2m1, 1, 32};
            format.inputs = is({"MXFP4"}) ? groups_of_floats(4, 32) : kFp8Tensor;
            return format;
        }
        if (is({"W8A16", "W8A8_SQ_PER_CHANNEL"})) {
            format = {StoredFormat::modelopt_int8, Code::i8};
            if (is({"W8A8_SQ_PER_CHANNEL"})) {
                format.inputs = {
                    .bits = 8, .is_float = false, .scales = InputFormat::Scales::tensor, .is_static = true};
            }
            return format;
        }
        if (is({"W4A16_AWQ", "W4A8_AWQ"})) {
            format = {StoredFormat::modelopt_int4, Code::u4, 1, groups_of(128)};
            if (is({"W4A8_AWQ"})) format.inputs = kFp8Tensor;
            return format;
        }
        return caller_error(fmt::format(
            "{}: 'quant_algo': expected FP8, FP8_PER_CHANNEL_PER_TOKEN, FP8_PB_WO, NVFP4, W4A16_NVFP4, "
            "NVFP4_AWQ, "
            "W4A8_NVFP4_FP8, MXFP8, W4A8_MXFP4_FP8, W8A16, W8A8_SQ_PER_CHANNEL, W4A16_AWQ, W4A8_AWQ or "
            "MIXED_PRECISION, got '{}'",
            fields_.where(), printable(algorithm, 40)));
    }

    Status modelopt() {
        const bool has_only_kv =
            fields_.find("quant_algo") == nullptr &&
            (fields_.find("kv_cache_quant_algo") != nullptr || fields_.find("kv_cache_scheme") != nullptr);
        if (has_only_kv) return {};
        const std::string algorithm = fields_.text("quant_algo");
        // Formats without groups are given a group of 0.
        const i64 group = fields_.integer_or("group_size", 0, kMaxGroup, 0);
        WW_TRY(fields_.status());
        WW_TRY(exclude("exclude_modules", Match::glob));
        WW_TRY(exclude("ignore", Match::glob));
        if (algorithm != "MIXED_PRECISION") {
            WW_ASSIGN(const LayerFormat format, modelopt_format(algorithm, group));
            everything(format);
            return {};
        }
        const json* layers = fields_.object("quantized_layers");
        WW_TRY(fields_.status());
        for (const auto& [name, settings] : layers->items()) {
            const std::string where = fields_.where() + ": quantized_layers: " + printable(name, 80);
            if (!settings.is_object()) {
                return caller_error(
                    fmt::format("{}: expected an object, got {}", where, describe_json(settings)));
            }
            Fields fields(settings, where);
            const std::string of_layer = fields.text("quant_algo");
            const i64 its_group = fields.integer_or("group_size", 0, kMaxGroup, group);
            WW_TRY(fields.status());
            WW_ASSIGN(const LayerFormat format, modelopt_format(of_layer, its_group));
            // As many formats as there are different ones, not layers.
            const auto found = std::find(config_.formats_.begin(), config_.formats_.end(), format);
            const int index = found == config_.formats_.end()
                                  ? add(format)
                                  : static_cast<int>(found - config_.formats_.begin());
            exactly(name, index);
        }
        return {};
    }

    // What torchao's config_to_dict makes of a config object: {"_type": NAME, "_data": {FIELD: ...}}.
    Status torchao() {
        const json* types = fields_.object("quant_type");
        WW_TRY(fields_.status());
        const json type = types->value("default", json());
        const std::string where = fields_.where() + ": quant_type: default";
        if (!type.is_object()) {
            return caller_error(fmt::format("{}: expected an object, got {}", where, describe_json(type)));
        }
        Fields whole(type, where);
        const std::string name = whole.text("_type");
        const json none = json::object();
        const json* data = whole.find("_data");
        WW_TRY(whole.status());
        if (data != nullptr && !data->is_object()) {
            return caller_error(
                fmt::format("{}: '_data': expected an object, got {}", where, describe_json(*data)));
        }
        WW_ASSIGN(const LayerFormat format, torchao_format(name, data == nullptr ? none : *data, where));
        WW_TRY(exclude("modules_to_not_convert", Match::contains));
        WW_TRY(rule(Match::last_part, "lm_head", -1));
        everything(format);
        return {};
    }

    static Result<LayerFormat> torchao_format(const std::string& name, const json& data,
                                              const std::string& where) {
        LayerFormat format{.stored = StoredFormat::torchao_fp8, .code = formats::Code::e4m3};
        Fields fields(data, where + ": " + printable(name, 60));
        const json* granularity = fields.find("granularity");
        if (name == "Int8WeightOnlyConfig" || name == "Int8DynamicActivationInt8WeightConfig") {
            format = {.stored = StoredFormat::torchao_int, .code = formats::Code::i8};
        } else if (name == "IntxWeightOnlyConfig" || name == "Int8DynamicActivationIntxWeightConfig") {
            const bool is_w8a8 = name.starts_with("Int8");
            if (is_w8a8) granularity = fields.find("weight_granularity");
            format.stored = StoredFormat::torchao_int;
            WW_ASSIGN(format.code, torchao_code(data.value("weight_dtype", json()), fields.where()));
            const json mapping = data.value(is_w8a8 ? "weight_mapping_type" : "mapping_type", json());
            format.symmetric = !(mapping.is_object() && mapping.value("_data", json()) == "ASYMMETRIC");
            if (format.symmetric && format.code == formats::Code::u8) format.code = formats::Code::i8;
        } else if (name == "Int4WeightOnlyConfig" || name == "Float8DynamicActivationInt4WeightConfig") {
            fields.fail(
                "its zero points are floating-point numbers, which no row multiplies with: quantise the "
                "original with "
                "`warpwright quantize --format int4-asym`, or by torchao's IntxWeightOnlyConfig");
        } else if (name != "Float8WeightOnlyConfig" && name != "Float8DynamicActivationFloat8WeightConfig") {
            fields.fail(
                "expected Float8WeightOnlyConfig, Float8DynamicActivationFloat8WeightConfig, "
                "Int8WeightOnlyConfig, "
                "Int8DynamicActivationInt8WeightConfig, IntxWeightOnlyConfig or "
                "Int8DynamicActivationIntxWeightConfig");
        }
        // One for activations and one for weights.
        if (granularity != nullptr && granularity->is_array() && granularity->size() == 2) {
            granularity = &(*granularity)[1];
        }
        if (granularity != nullptr) read_granularity(fields, *granularity, format);
        if (name == "Float8DynamicActivationFloat8WeightConfig") format.inputs = kFp8Tokens;
        if (name.starts_with("Int8DynamicActivation")) {
            format.inputs = kInt8Tokens;
            const json mapping = data.value("act_mapping_type", json());
            const bool names_one = mapping.is_object() && mapping.contains("_data");
            format.inputs.symmetric =
                names_one ? mapping["_data"] == "SYMMETRIC" : name == "Int8DynamicActivationInt8WeightConfig";
        }
        if (!format.symmetric && format.group_rows == 0) {
            fields.fail("granularity: expected PerAxis or PerGroup with zero points, got PerTensor");
        }
        WW_TRY(fields.status());
        return format;
    }

    static Result<formats::Code> torchao_code(const json& type, const std::string& where) {
        const json name = type.is_object() ? type.value("_data", json()) : json();
        if (name == "int2") return formats::Code::u2;
        if (name == "int3") return formats::Code::u3;
        if (name == "int4") return formats::Code::u4;
        if (name == "int8" || type.is_null()) return formats::Code::u8;
        return caller_error(fmt::format("{}: 'weight_dtype': expected int2, int3, int4 or int8, got {}",
                                        where, describe_json(name)));
    }

    static void read_granularity(Fields& fields, const json& granularity, LayerFormat& format) {
        const json name = granularity.is_object() ? granularity.value("_type", json()) : json();
        const json data = granularity.is_object() ? granularity.value("_data", json()) : json();
        if (name == "PerTensor") {
            format.group_rows = 0;
        } else if (name == "PerGroup" && data.is_object()) {
            Fields group(data, fields.where() + ": PerGroup");
            format.group_columns = group.integer("group_size", 1, kMaxGroup);
            fields.fail(group.status());
        } else if (name != "PerRow" && name != "PerAxis") {
            fields.fail(fmt::format("granularity: expected PerRow, PerAxis, PerTensor or PerGroup, got {}",
                                    describe_json(name)));
        }
    }

    Fields fields_;
    QuantizationConfig config_;
    int next_order_ = 0;
};

Result<QuantizationConfig> QuantizationConfig::parse(const json& object, const std::string& where) {
    if (!object.is_object()) {
        return caller_error(fmt::format("{}: expected an object, got {}", where, describe_json(object)));
    }
    return QuantizationReader(object, where).read();
}

Result<QuantizationConfig> QuantizationConfig::parse_modelopt_file(const json& root,
                                                                   const std::string& where) {
    const json* object = root.is_object() && root.contains("quantization") ? &root["quantization"] : nullptr;
    if (object == nullptr || !object->is_object()) {
        return caller_error(fmt::format("{}: 'quantization': expected an object", where));
    }
    return QuantizationReader(*object, where + ": quantization").read_modelopt_file();
}

}  // namespace warpwright
