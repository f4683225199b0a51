// SPDX-License-Identifier: Apache-2.0
#include "engine/layers.h"

#include <fmt/format.h>

namespace warpwright {
namespace {

// Collects entries; names of repeated layers carry a * in place of the index.
class LayerList {
public:
    LayerList(const ModelConfig& config, const ForwardShape& shape) : config_(config), shape_(shape) {}

    void add(std::string name, int first, int last, std::string op, bool weights, FieldTexts problem) {
        problem.emplace_back("dtype", dtype_name(config_.dtype));
        calls_.push_back({std::move(name), first, last, std::move(op),
                          weights ? dtype_name(config_.dtype) : "-", std::move(problem)});
    }

    void gemm(std::string name, int last, i64 rows, i64 n, i64 k, bool bias, DType out) {
        add(std::move(name), 0, last, "gemm", true,
            {{"m", field_text(rows)},
             {"n", field_text(n)},
             {"k", field_text(k)},
             {"bias", field_text(bias)},
             {"out", dtype_name(out)}});
    }

    void norm(std::string name, int first, int last, bool residual) {
        add(std::move(name), first, last, "rmsnorm", true,
            {{"tokens", field_text(shape_.tokens)},
             {"hidden", field_text(i64{config_.hidden_size})},
             {"residual", field_text(residual)}});
    }

    std::vector<LayerCall> take() { return std::move(calls_); }

private:
    const ModelConfig& config_;
    const ForwardShape& shape_;
    std::vector<LayerCall> calls_;
};

}  // namespace

std::vector<LayerCall> layer_calls(const ModelConfig& c, const ForwardShape& shape, i64 page_size_tokens) {
    LayerList list(c, shape);
    const int last = c.num_layers - 1;
    const i64 tokens = shape.tokens, hidden = c.hidden_size;
    const i64 q_width = i64{c.num_heads} * c.head_dim, kv_width = i64{c.num_kv_heads} * c.head_dim;
    const std::string layer = "model.layers.*.", attention = layer + "self_attn.", mlp = layer + "mlp.";
    const FieldTexts heads{{"heads", field_text(i64{c.num_heads})},
                           {"kv_heads", field_text(i64{c.num_kv_heads})},
                           {"head_dim", field_text(i64{c.head_dim})}};
    const auto with = [](FieldTexts fields, const FieldTexts& more) {
        fields.insert(fields.end(), more.begin(), more.end());
        return fields;
    };

    list.add("model.embed_tokens", 0, 0, "embedding", true,
             {{"tokens", field_text(tokens)}, {"width", field_text(hidden)}});
    list.norm("model.layers.0.input_layernorm", 0, 0, false);
    if (last > 0) list.norm(layer + "input_layernorm", 1, last, true);
    list.gemm(attention + "qkv_proj", last, tokens, q_width + 2 * kv_width, hidden, c.attention_bias,
              c.dtype);
    list.add(attention + "rope", 0, last, "rope", false,
             with(heads, {{"tokens", field_text(tokens)}, {"rotary_dim", field_text(i64{c.rotary_dim})}}));
    list.add(attention + "kv_append", 0, last, "kv_append", false,
             {{"tokens", field_text(tokens)},
              {"kv_heads", field_text(i64{c.num_kv_heads})},
              {"head_dim", field_text(i64{c.head_dim})},
              {"page_size", field_text(page_size_tokens)}});
    list.add(attention + "attention", 0, last, "attention", false,
             with(heads, {{"sequences", field_text(shape.sequences)},
                          {"q_tokens", field_text(tokens)},
                          {"max_q_len", field_text(shape.max_q_len)},
                          {"max_kv_len", field_text(shape.max_kv_len)},
                          {"page_size", field_text(page_size_tokens)}}));
    list.gemm(attention + "o_proj", last, tokens, hidden, q_width, c.attention_bias, c.dtype);
    list.norm(layer + "post_attention_layernorm", 0, last, true);
    list.gemm(mlp + "gate_up_proj", last, tokens, 2 * i64{c.intermediate_size}, hidden, c.mlp_bias, c.dtype);
    list.add(mlp + "activation", 0, last, "gated_activation", false,
             {{"tokens", field_text(tokens)},
              {"width", field_text(i64{c.intermediate_size})},
              {"activation", activation_name(c.activation)}});
    list.gemm(mlp + "down_proj", last, tokens, hidden, c.intermediate_size, c.mlp_bias, c.dtype);
    list.norm("model.norm", 0, 0, true);
    list.add("model.last_tokens", 0, 0, "embedding", false,
             {{"tokens", field_text(shape.sequences)}, {"width", field_text(hidden)}});
    list.gemm("lm_head", 0, shape.sequences, c.vocab_size, hidden, false, DType::f32);
    auto calls = list.take();
    calls.push_back({"sampler",
                     0,
                     0,
                     "sample",
                     "-",
                     {{"rows", field_text(shape.sequences)},
                      {"vocabulary", field_text(i64{c.vocab_size})},
                      {"dtype", dtype_name(DType::f32)}}});
    return calls;
}

Result<ModelConfig> shard_config(const ModelConfig& config, int tp) {
    ModelConfig shard = config;
    const auto divide = [tp](const char* what, int& value) -> Status {
        if (value % tp != 0)
            return caller_error(fmt::format("{} GPUs: {} = {} does not divide", tp, what, value));
        value /= tp;
        return {};
    };
    WW_TRY(divide("num_attention_heads", shard.num_heads));
    if (config.num_kv_heads < tp) {
        if (tp % config.num_kv_heads != 0) {
            return caller_error(
                fmt::format("{} GPUs: num_key_value_heads = {} can be neither divided nor replicated", tp,
                            config.num_kv_heads));
        }
        shard.num_kv_heads = 1;  // each is held by tp / kv_heads GPUs
    } else {
        WW_TRY(divide("num_key_value_heads", shard.num_kv_heads));
    }
    WW_TRY(divide("intermediate_size", shard.intermediate_size));
    WW_TRY(divide("vocab_size", shard.vocab_size));
    return shard;
}

}  // namespace warpwright
