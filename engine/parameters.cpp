// SPDX-License-Identifier: Apache-2.0
#include "engine/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <numeric>
#include <set>

#include "engine/formats/kv_scales.h"

namespace warpwright {
namespace {

i64 product(const std::vector<i64>& shape) {
    return std::accumulate(shape.begin(), shape.end(), i64{1}, std::multiplies<>());
}

// One piece of a parameter, named below the parameter's prefix.
struct Part {
    std::string name;
    i64 rows;
};

class ParameterList {
public:
    ParameterList(const ModelConfig& config, const CheckpointPrefix& prefix)
        : config_(config), prefix_(prefix) {}

    std::vector<Parameter> take() && { return std::move(list_); }

    void embedding() {
        Parameter& added =
            add({.model_tensor = &Weights::embedding, .shape = {config_.vocab_size, config_.hidden_size}});
        added.pieces.push_back({prefix_.body + "embed_tokens.weight", added.shape});
    }

    void lm_head() {
        Parameter& added = add({.model_product = &Weights::lm_head,
                                .name = "lm_head",
                                .shape = {config_.vocab_size, config_.hidden_size}});
        added.pieces.push_back({prefix_.head + "lm_head.weight", added.shape});
    }

    void final_norm() {
        Parameter& added = add({.model_tensor = &Weights::final_norm, .shape = {config_.hidden_size}});
        mark_norm(added);
        added.pieces.push_back({prefix_.body + "norm.weight", added.shape});
    }

    void layer(int index) {
        layer_ = index;
        norm(&LayerWeights::attention_norm, "input_layernorm", config_.hidden_size);
        attention();
        mlp();
    }

private:
    void latent_attention() {
        const ModelConfig& c = config_;
        const LatentConfig& latent = c.latent;
        const i64 q_rows = i64{c.num_heads} * (latent.nope_dim + latent.rope_dim);
        const Part kv_a{"self_attn.kv_a_proj_with_mqa", latent.cached()};
        if (c.has_indexer()) {
            const Part wk{"self_attn.indexer.wk", c.indexer.dim};
            const Part wq_b{"self_attn.indexer.wq_b", i64{c.indexer.heads} * c.indexer.dim};
            product(&LayerWeights::qkv, "qkv_a_proj", {{"self_attn.q_a_proj", latent.q_rank}, kv_a, wk},
                    c.hidden_size);
            norm(&LayerWeights::q_a_norm, "self_attn.q_a_layernorm", latent.q_rank);
            product(&LayerWeights::q_b, "q_b_proj", {{"self_attn.q_b_proj", q_rows}, wq_b}, latent.q_rank);
            norm(&LayerWeights::index_k_norm, "self_attn.indexer.k_norm", c.indexer.dim);
            bias(&LayerWeights::index_k_bias, {{"self_attn.indexer.k_norm", c.indexer.dim}});
            stack({.layer_tensor = &LayerWeights::index_weights},
                  {{"self_attn.indexer.weights_proj", c.indexer.heads}}, "weight", c.hidden_size);
        } else if (latent.q_rank > 0) {
            product(&LayerWeights::qkv, "qkv_a_proj", {{"self_attn.q_a_proj", latent.q_rank}, kv_a},
                    c.hidden_size);
            norm(&LayerWeights::q_a_norm, "self_attn.q_a_layernorm", latent.q_rank);
            product(&LayerWeights::q_b, "q_b_proj", {{"self_attn.q_b_proj", q_rows}}, latent.q_rank);
        } else {
            product(&LayerWeights::qkv, "qkv_a_proj", {{"self_attn.q_proj", q_rows}, kv_a}, c.hidden_size);
        }
        norm(&LayerWeights::kv_a_norm, "self_attn.kv_a_layernorm", latent.kv_rank);
        stack({.layer_tensor = &LayerWeights::kv_b},
              {{"self_attn.kv_b_proj", i64{c.num_heads} * (latent.nope_dim + latent.value_dim)}}, "weight",
              latent.kv_rank);
        product(&LayerWeights::o, "o_proj", {{"self_attn.o_proj", c.hidden_size}}, c.attended_width());
    }

    void attention() {
        const ModelConfig& c = config_;
        if (c.is_latent()) return latent_attention();
        const i64 q_rows = i64{c.num_heads} * c.head_dim, kv_rows = i64{c.num_kv_heads} * c.head_dim;
        const std::vector<Part> apart{
            {"self_attn.q_proj", q_rows}, {"self_attn.k_proj", kv_rows}, {"self_attn.v_proj", kv_rows}};
        const std::vector<Part> fused{{"self_attn.qkv_proj", q_rows + 2 * kv_rows}};
        const std::vector<Part> o{{"self_attn.o_proj", c.hidden_size}};
        const std::vector<Part>& qkv = c.layout.fused_qkv ? fused : apart;
        product(&LayerWeights::qkv, "qkv_proj", qkv, c.hidden_size);
        if (c.qkv_bias) bias(&LayerWeights::qkv_bias, qkv);
        if (c.qk_norm) {
            norm(&LayerWeights::q_norm, "self_attn.q_norm", c.qk_norm_of_all ? q_rows : c.head_dim);
            norm(&LayerWeights::k_norm, "self_attn.k_norm", c.qk_norm_of_all ? kv_rows : c.head_dim);
        }
        if (c.sinks) vector_of_f32(&LayerWeights::sinks, "self_attn.sinks", c.num_heads);
        product(&LayerWeights::o, "o_proj", o, q_rows);
        if (c.o_bias) bias(&LayerWeights::o_bias, o);
        if (c.post_norms) {
            norm(&LayerWeights::attention_post_norm, c.layout.attention_post_norm, c.hidden_size);
        }
    }

    void mlp() {
        const ModelConfig& c = config_;
        const std::vector<Part> apart{{"mlp.gate_proj", c.intermediate_size},
                                      {"mlp.up_proj", c.intermediate_size}};
        const std::vector<Part> fused{{"mlp.gate_up_proj", 2 * i64{c.intermediate_size}}};
        const std::vector<Part> down{{"mlp.down_proj", c.hidden_size}};
        const std::vector<Part>& gate_up = c.layout.fused_gate_up ? fused : apart;
        norm(&LayerWeights::mlp_norm, c.layout.mlp_norm, c.hidden_size);
        if (c.has_experts(layer_)) {
            if (c.experts.shared_width > 0) shared_experts();
            return experts();
        }
        product(&LayerWeights::gate_up, "gate_up_proj", gate_up, c.hidden_size);
        if (c.mlp_bias) bias(&LayerWeights::gate_up_bias, gate_up);
        product(&LayerWeights::down, "down_proj", down, c.intermediate_size);
        if (c.mlp_bias) bias(&LayerWeights::down_bias, down);
        if (c.post_norms) norm(&LayerWeights::mlp_post_norm, c.layout.mlp_post_norm, c.hidden_size);
    }

    void shared_experts() {
        const ModelConfig& c = config_;
        const i64 width = c.experts.shared_width;
        const std::string name = fmt::format("{}.{}", c.layout.experts, c.layout.shared_experts);
        product(&LayerWeights::gate_up, "shared.gate_up_proj",
                {{name + ".gate_proj", width}, {name + ".up_proj", width}}, c.hidden_size);
        product(&LayerWeights::down, "shared.down_proj", {{name + ".down_proj", c.hidden_size}}, width);
        if (c.experts.shared_gate)
            stack({.layer_tensor = &LayerWeights::shared_gate}, {{name + "_gate", 1}}, "weight",
                  c.hidden_size);
    }

    void experts() {
        const ModelConfig& c = config_;
        const CheckpointLayout& layout = c.layout;
        const i64 width = c.experts.width, hidden = c.hidden_size;
        const std::vector<Part> router{
            {fmt::format("{}.{}", layout.experts, layout.router), c.experts.num_experts}};
        stack({.layer_tensor = &LayerWeights::router}, router, "weight", hidden);
        if (c.experts.router_bias) bias(&LayerWeights::router_bias, router);
        if (c.experts.selection_bias) {
            vector_of_f32(&LayerWeights::selection_bias,
                          fmt::format("{}.{}", layout.experts, layout.selection_bias), c.experts.num_experts);
        }
        if (layout.stacked_experts) return stacked_experts();
        std::vector<Part> gate_up, down;
        for (int expert = 0; expert < c.experts.num_experts; ++expert) {
            const std::string name = fmt::format("{}.experts.{}.", layout.experts, expert);
            gate_up.push_back({name + layout.expert_gate, width});
            gate_up.push_back({name + layout.expert_up, width});
            down.push_back({name + layout.expert_down, hidden});
        }
        const auto stacked = [&](Tensor LayerWeights::*tensor, const std::vector<Part>& parts, i64 columns) {
            stack({.layer_tensor = tensor}, parts, "weight", columns);
        };
        stacked(&LayerWeights::expert_gate_up, gate_up, hidden);
        stacked(&LayerWeights::expert_down, down, width);
        if (c.post_norms) norm(&LayerWeights::mlp_post_norm, layout.mlp_post_norm, hidden);
    }

    // Of each expert gate's rows and up's, which take turns in one tensor of all, and down's.
    void stacked_experts() {
        const i64 experts = config_.experts.num_experts;
        const i64 width = config_.experts.width, hidden = config_.hidden_size;
        const std::string name =
            fmt::format("{}layers.{}.{}.experts.", prefix_.body, layer_, config_.layout.experts);
        Parameter gate_up{.layer = layer_, .layer_tensor = &LayerWeights::expert_gate_up};
        Parameter down{.layer = layer_, .layer_tensor = &LayerWeights::expert_down};
        Parameter gate_up_bias{.layer = layer_, .layer_tensor = &LayerWeights::expert_gate_up_bias};
        Parameter down_bias{.layer = layer_, .layer_tensor = &LayerWeights::expert_down_bias};
        for (i64 expert = 0; expert < experts; ++expert) {
            for (i64 half = 0; half < 2; ++half) {
                const i64 row = (2 * expert + half) * width, at = expert * 2 * width + half;
                gate_up.pieces.push_back(
                    {.name = name + "gate_up_proj",
                     .shape = {width, hidden},
                     .first_row = row,
                     .view = ParameterPiece::View{.shape = {experts, hidden, 2 * width},
                                                  .first = expert * hidden * 2 * width + half,
                                                  .row_stride = 2,
                                                  .column_stride = 2 * width}});
                gate_up_bias.pieces.push_back(
                    {.name = name + "gate_up_proj_bias",
                     .shape = {width},
                     .first_row = row,
                     .view =
                         ParameterPiece::View{.shape = {experts, 2 * width}, .first = at, .row_stride = 2}});
            }
            down.pieces.push_back({.name = name + "down_proj",
                                   .shape = {hidden, width},
                                   .first_row = expert * hidden,
                                   .view = ParameterPiece::View{.shape = {experts, width, hidden},
                                                                .first = expert * width * hidden,
                                                                .row_stride = 1,
                                                                .column_stride = hidden}});
            down_bias.pieces.push_back(
                {.name = name + "down_proj_bias",
                 .shape = {hidden},
                 .first_row = expert * hidden,
                 .view = ParameterPiece::View{
                     .shape = {experts, hidden}, .first = expert * hidden, .row_stride = 1}});
        }
        gate_up.shape = {experts * 2 * width, hidden};
        down.shape = {experts * hidden, width};
        gate_up_bias.shape = {experts * 2 * width};
        down_bias.shape = {experts * hidden};
        add(std::move(gate_up));
        add(std::move(down));
        if (!config_.experts.bias) return;
        add(std::move(gate_up_bias));
        add(std::move(down_bias));
    }

    Parameter& add(Parameter parameter) {
        list_.push_back(std::move(parameter));
        return list_.back();
    }

    void mark_norm(Parameter& parameter) const {
        parameter.is_norm = true;
        parameter.neutral = 1 - config_.norm_weight_offset;
    }
    void norm(Tensor LayerWeights::*tensor, const char* name, i64 width) {
        mark_norm(stack({.layer_tensor = tensor}, {{name, width}}, "weight", 0));
    }
    void product(ProductWeight LayerWeights::*weight, const char* name, const std::vector<Part>& parts,
                 i64 columns) {
        stack({.layer_product = weight, .name = name}, parts, "weight", columns);
    }
    void bias(Tensor LayerWeights::*tensor, const std::vector<Part>& parts) {
        stack({.layer_tensor = tensor}, parts, "bias", 0);
    }

    void vector_of_f32(Tensor LayerWeights::*tensor, const std::string& name, i64 rows) {
        Parameter& added = add({.layer = layer_, .layer_tensor = tensor, .shape = {rows}, .is_f32 = true});
        added.pieces.push_back({fmt::format("{}layers.{}.{}", prefix_.body, layer_, name), added.shape});
    }

    // Parts one below the other; of vectors where there are no columns.
    Parameter& stack(Parameter parameter, const std::vector<Part>& parts, const char* kind, i64 columns) {
        parameter.layer = layer_;
        Parameter& added = add(std::move(parameter));
        const auto shape_of = [&](i64 rows) {
            return columns == 0 ? std::vector<i64>{rows} : std::vector<i64>{rows, columns};
        };
        i64 row = 0;
        for (const Part& part : parts) {
            added.pieces.push_back({fmt::format("{}layers.{}.{}.{}", prefix_.body, layer_, part.name, kind),
                                    shape_of(part.rows), row});
            row += part.rows;
        }
        added.shape = shape_of(row);
        return added;
    }

    const ModelConfig& config_;
    const CheckpointPrefix& prefix_;
    int layer_ = 0;
    std::vector<Parameter> list_;
};

// The forms in which checkpoints keep a text model, most frequent first.
const CheckpointPrefix kPrefixes[] = {
    {"model.", ""}, {"language_model.model.", "language_model."}, {"model.language_model.", ""}};

constexpr std::string_view kWeight = ".weight";

// Of every step-th row of a stored weight from `first` on, which is none that is cut into rows of words.
formats::StoredWeight every_row(formats::StoredWeight weight, i64 step, i64 first) {
    for (formats::StoredRows* rows : {&weight.codes, &weight.scales}) {
        const i64 row_bytes = rows->columns * element_bytes(rows->element);
        rows->file_offset += static_cast<u64>(first * row_bytes);
        rows->columns *= step;
        rows->rows /= step;
    }
    weight.rows /= step;
    return weight;
}

Status check_piece(const ModelConfig& config, const Safetensors& checkpoint, ParameterPiece& piece) {
    WW_ASSIGN(const LayerFormat* format, format_of_piece(config, piece));
    if (format != nullptr && piece.view) {
        const i64 experts = piece.view->shape[0], half = piece.view->row_stride;
        const i64 place = piece.view->first % half,
                  expert = piece.view->first / (product(piece.view->shape) / experts);
        WW_ASSIGN(auto opened, open_gpt_oss_expert(checkpoint, piece.name, expert, experts,
                                                   half * piece.shape[0], piece.shape[1]));
        piece.quantized =
            std::make_shared<const formats::StoredWeight>(every_row(std::move(opened), half, place));
        return {};
    }
    if (format != nullptr) {
        const std::string layer = piece.name.substr(0, piece.name.size() - kWeight.size());
        WW_ASSIGN(auto opened, open_weight(checkpoint, layer, *format, piece.shape[0], piece.shape[1]));
        piece.quantized = std::make_shared<const formats::StoredWeight>(std::move(opened));
        WW_ASSIGN(piece.input_scale, open_input_scale(checkpoint, layer, *format));
        return {};
    }
    if (piece.shape.size() == 2 && !checkpoint.contains(piece.name) && piece.name.ends_with(kWeight)) {
        const std::string found =
            format_found(checkpoint, piece.name.substr(0, piece.name.size() - kWeight.size()));
        if (!found.empty()) {
            return caller_error(
                fmt::format("{}: no tensor {}, which config.json says is not quantised; found: {}",
                            checkpoint.path(), piece.name, found));
        }
    }
    WW_ASSIGN(const StoredTensor stored, checkpoint.find(piece.name));
    const std::vector<i64>& shape = piece.view ? piece.view->shape : piece.shape;
    if (stored.shape != shape) {
        return caller_error(fmt::format("{}: tensor {}: {} of this config has shape {}, got {}", stored.file,
                                        piece.name, config.architecture, shape, stored.shape));
    }
    if (stored.dtype != DType::bf16 && stored.dtype != DType::f16 && stored.dtype != DType::f32) {
        return caller_error(fmt::format("{}: tensor {}: expected bf16, f16 or f32, got {}", stored.file,
                                        piece.name, dtype_name(stored.dtype)));
    }
    return {};
}

// "46.eh_proj.weight" behind 46 layers.
bool is_of_draft(const ModelConfig& config, std::string_view name) {
    int layer = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
    return error == std::errc() && end != name.data() && layer >= config.num_layers &&
           layer < config.num_layers + config.draft_layers;
}

// Older checkpoints store the frequencies, which follow from the config.
bool is_derived(const std::string& name) {
    return name.ends_with("rotary_emb.inv_freq");
}

// The tensors that a piece is made of.
void insert_names(const ParameterPiece& piece, std::set<std::string_view>& names) {
    if (!piece.quantized) {
        names.insert(piece.name);
        return;
    }
    for (const std::string& tensor : piece.quantized->tensors) names.insert(tensor);
    if (piece.input_scale) names.insert(piece.input_scale->tensor);
}

// GPTQ's packers write a bias of zeros for layers that have none.
Result<bool> is_zero_bias(const Safetensors& checkpoint, const std::string& name) {
    if (!name.ends_with(".bias")) return false;
    WW_ASSIGN(const StoredTensor stored, checkpoint.find(name));
    return std::all_of(stored.bytes.begin(), stored.bytes.end(),
                       [](std::byte byte) { return byte == std::byte{0}; });
}

// transformers would not tie them then, whatever the config says.
Status check_tied(const Safetensors& checkpoint, const CheckpointPrefix& prefix) {
    const std::string head_name = prefix.head + "lm_head.weight";
    if (!checkpoint.contains(head_name)) return {};
    WW_ASSIGN(const StoredTensor head, checkpoint.find(head_name));
    WW_ASSIGN(const StoredTensor embedding, checkpoint.find(prefix.body + "embed_tokens.weight"));
    if (head.dtype == embedding.dtype && std::ranges::equal(head.bytes, embedding.bytes)) return {};
    return caller_error(fmt::format("{}: tensor {} is not the embedding, but tie_word_embeddings is true",
                                    head.file, head_name));
}

}  // namespace

CheckpointPrefix prefix_of(const Safetensors& checkpoint) {
    for (const CheckpointPrefix& prefix : kPrefixes) {
        if (checkpoint.contains(prefix.body + "embed_tokens.weight")) return prefix;
    }
    return {};  // the error will name the usual form
}

Result<const LayerFormat*> format_of_piece(const ModelConfig& config, const ParameterPiece& piece) {
    const LayerFormat* none = nullptr;
    if (!config.quantization || piece.shape.size() != 2) return none;
    if (piece.view) return config.quantization->format_of(piece.name);
    if (!piece.name.ends_with(kWeight)) return none;
    if (piece.name.ends_with("embed_tokens.weight")) return none;
    // DeepSeek's configs do not say so: what is small, and multiplied in fp32 where the model was made.
    if (piece.name.ends_with(".indexer.weights_proj.weight")) return none;
    WW_ASSIGN(const LayerFormat* format,
              config.quantization->format_of(
                  std::string_view(piece.name).substr(0, piece.name.size() - kWeight.size())));
    // There is none of it but of experts in one tensor.
    return format != nullptr && format->stored == StoredFormat::gpt_oss_mxfp4 ? none : format;
}

i64 ParameterPiece::num_elements() const {
    return product(shape);
}

i64 Parameter::num_elements() const {
    return product(shape);
}

ProductWeight& Parameter::product_of(Weights& weights) const {
    return layer < 0 ? weights.*model_product
                     : weights.layers[static_cast<std::size_t>(layer)].*layer_product;
}

WeightPart& Parameter::part_of(Weights& weights) const {
    return product_of(weights)[part];
}

Tensor& Parameter::of(Weights& weights) const {
    if (is_product()) return part_of(weights).dense;
    return layer < 0 ? weights.*model_tensor : weights.layers[static_cast<std::size_t>(layer)].*layer_tensor;
}

Tensor Parameter::view(void* data, const ModelConfig& config) const {
    const DType dtype = this->dtype(config);
    return shape.size() == 1 ? Tensor::dense(data, dtype, {shape[0]})
                             : Tensor::dense(data, dtype, {shape[0], shape[1]});
}

std::vector<Parameter> list_parameters(const ModelConfig& config, const CheckpointPrefix& prefix) {
    ParameterList list(config, prefix);
    list.embedding();
    for (int layer = 0; layer < config.num_layers; ++layer) list.layer(layer);
    list.final_norm();
    if (!config.tie_word_embeddings) list.lm_head();
    return std::move(list).take();
}

Result<std::vector<Parameter>> find_parameters(const ModelConfig& config, const Safetensors& checkpoint) {
    const CheckpointPrefix prefix = prefix_of(checkpoint);
    std::vector<Parameter> parameters = list_parameters(config, prefix);
    std::set<std::string_view> known;
    for (Parameter& parameter : parameters) {
        for (ParameterPiece& piece : parameter.pieces) {
            WW_TRY(check_piece(config, checkpoint, piece));
            insert_names(piece, known);
        }
    }
    for (const std::string& name : checkpoint.names()) {
        if (known.contains(name) || is_derived(name)) continue;
        if (!name.starts_with(prefix.body + "layers.")) continue;
        if (is_of_draft(config, std::string_view(name).substr(prefix.body.size() + 7))) continue;
        if (is_kv_scale(name) || (config.quantization && is_beside_weights(name))) continue;
        if (config.quantization) {
            WW_ASSIGN(const bool is_zero, is_zero_bias(checkpoint, name));
            if (is_zero) continue;
        }
        WW_ASSIGN(const StoredTensor stored, checkpoint.find(name));
        return caller_error(fmt::format("{}: tensor {:.200} is no part of {} with this config", stored.file,
                                        name, config.architecture));
    }
    if (config.tie_word_embeddings) WW_TRY(check_tied(checkpoint, prefix));
    return parameters;
}

std::vector<std::string> unused_tensors(const std::vector<Parameter>& parameters,
                                        const Safetensors& checkpoint) {
    std::set<std::string_view> known;
    for (const Parameter& parameter : parameters) {
        for (const ParameterPiece& piece : parameter.pieces) insert_names(piece, known);
    }
    std::map<std::string, int> groups;
    for (const std::string& name : checkpoint.names()) {
        if (!known.contains(name) && !is_derived(name) && !is_kv_scale(name))
            ++groups[name.substr(0, name.find('.'))];
    }
    std::vector<std::string> texts;
    for (const auto& [group, count] : groups) texts.push_back(fmt::format("{} ({} tensors)", group, count));
    return texts;
}

std::vector<Parameter> list_with_one_expert(ModelConfig config) {
    config.experts.num_experts = std::min(config.experts.num_experts, 1);
    return list_parameters(config);
}

i64 times_listed(const ModelConfig& config, const Parameter& parameter) {
    constexpr Tensor LayerWeights::*kOfEveryExpert[] = {&LayerWeights::router,
                                                        &LayerWeights::router_bias,
                                                        &LayerWeights::selection_bias,
                                                        &LayerWeights::expert_down,
                                                        &LayerWeights::expert_down_bias,
                                                        &LayerWeights::expert_gate_up,
                                                        &LayerWeights::expert_gate_up_bias};
    const bool is_listed =
        parameter.layer_tensor != nullptr &&
        std::ranges::find(kOfEveryExpert, parameter.layer_tensor) != std::end(kOfEveryExpert);
    return parameter.experts > 0 || is_listed ? config.experts.num_experts : 1;
}

i64 num_parameters(const ModelConfig& config) {
    // Layers differ in whether they have experts, and in no other shape: one of each kind is listed.
    i64 num_layers[2] = {};
    for (int layer = 0; layer < config.num_layers; ++layer) ++num_layers[config.has_experts(layer)];
    i64 count = 0;
    bool is_first = true;
    for (const bool has_experts : {false, true}) {
        if (num_layers[has_experts] == 0) continue;
        ModelConfig one = config;
        one.num_layers = 1;
        if (!one.experts.layers.empty()) one.experts.layers = {has_experts};
        for (const Parameter& parameter : list_with_one_expert(one)) {
            const i64 elements = times_listed(config, parameter) * parameter.num_elements();
            if (parameter.layer >= 0) {
                count += num_layers[has_experts] * elements;
            } else if (is_first) {
                count += elements;
            }
        }
        is_first = false;
    }
    return count;
}

}  // namespace warpwright
