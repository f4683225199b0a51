// SPDX-License-Identifier: Apache-2.0
#include "engine/layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "engine/coded_inputs.h"
#include "engine/latent_forward.h"
#include "kernels/fused/latent_append/problem.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/order/problem.h"
#include "ops/moe_plan.h"

namespace warpwright {
namespace {

// What every row's start is a multiple of, as the operations see it: rows of these widths, whose first one
// starts at a buffer of the device or at one of these columns of it; and rows of `code_bytes`.
i64 alignment_bytes(DType dtype, std::initializer_list<i64> columns, i64 code_bytes = 0) {
    u64 bits = 16 | static_cast<u64>(code_bytes);
    for (const i64 column : columns) bits |= static_cast<u64>(column * dtype_bytes(dtype));
    return i64{1} << std::countr_zero(bits);
}

MoeSizes moe_sizes(const ModelConfig& c, i64 tokens, bool batch_invariant, bool quantized, bool one_form) {
    return {.tokens = tokens,
            .top_k = c.experts.top_k,
            .experts = c.experts.num_experts,
            .hidden = c.hidden_size,
            .width = c.experts.width,
            .dtype = c.dtype,
            .activation = c.activation,
            .bias = c.experts.bias,
            .batch_invariant = batch_invariant,
            .quantized = quantized,
            .one_form = one_form,
            .limited = quantized && c.experts.is_limited()};
}

QuantizedGemmProblem weight_of(const PartForm& part) {
    return {.format = part.form.format,
            .group = part.form.group,
            .scale = part.form.scale,
            .zeros = part.form.zeros,
            .order = part.form.order};
}

// As moe_experts decides it (ops/moe_plan.h).
bool have_one_form(const LayerForms& forms) {
    const PartForm &gate = forms.experts_gate[0], &up = forms.experts_up[0];
    return gate.form == up.form && !gate.form.order && !forms.experts_down[0].form.order;
}

// Collects entries in the order of the pass.
class LayerList {
public:
    LayerList(const ModelConfig& config, const ModelForms& forms, const ForwardShape& shape,
              i64 page_size_tokens, bool batch_invariant)
        : c_(config),
          forms_(forms),
          shape_(shape),
          page_size_(page_size_tokens),
          batch_invariant_(batch_invariant),
          all_(layers_from(0)) {}

    std::vector<LayerCall> take() && { return std::move(calls_); }

    void model_start() {
        FieldTexts problem{{"tokens", field_text(shape_.tokens)},
                           {"width", field_text(i64{c_.hidden_size})},
                           {"scale", field_text(c_.embedding_scale)}};
        add("model.embed_tokens", {}, "embedding", true, std::move(problem), {c_.hidden_size});
        ProductForm LayerForms::*const next = c_.has_indexer() ? nullptr : &LayerForms::qkv;
        norm("model.layers.0.input_layernorm", {0}, false, next);
        if (c_.num_layers > 1) norm(layer_ + "input_layernorm", layers_from(1), true, next);
    }

    // As latent_forward.h has it.
    void latent_attention() {
        const std::string name = layer_ + "self_attn.";
        const LatentConfig& latent = c_.latent;
        const i64 hidden = c_.hidden_size, attended = c_.attended_width();
        products(name, all_, &LayerForms::qkv, {hidden, hidden, !c_.has_indexer()}, false);
        if (latent.q_rank > 0) {
            for (const auto& [form, layers] : by_inputs(all_, &LayerForms::q_b))
                latent_norm(name + "q_a_layernorm", layers, latent.q_rank, *form);
        }
        latent_norm(name + "kv_a_layernorm", all_, latent.kv_rank, {});
        if (latent.q_rank > 0)
            products(name, all_, &LayerForms::q_b, {latent.q_rank, latent_qkv_width(c_), true}, false);
        latent_forms();
        products(name, all_, &LayerForms::o, {attended, attended, false}, false);
    }

    // From queries and latent rows to what attention leaves, in either form.
    void latent_forms() {
        const std::string name = layer_ + "self_attn.";
        const LatentConfig& latent = c_.latent;
        const i64 qkv = latent_qkv_width(c_), query = latent_query_dim(latent);
        const i64 q_row = latent.q_rank > 0 ? latent_q_width(c_) : qkv;
        by_head(name + "absorb_keys", shape_.tokens, latent.kv_rank, latent.nope_dim,
                {query, rows_of(q_row), latent.nope_dim});
        calls_.back().absent = shape_.expands;
        add(name + "rope", all_, "rope", false,
            {{"tokens", field_text(shape_.tokens)},
             {"heads", field_text(i64{c_.num_heads})},
             {"kv_heads", field_text(i64{1})},
             {"head_dim", field_text(i64{latent.rope_dim})},
             {"rotary_dim", field_text(i64{latent.rope_dim})},
             {"interleaved", field_text(c_.rope.interleaved)},
             {"page_size", field_text(page_size_)},
             {"kv_format", kv_format_name(forms_.kv_format)},
             {"value_dim", field_text(i64{latent.kv_rank})},
             {"q_out", field_text(!shape_.expands)}},
            {latent.nope_dim, query, rows_of(q_row), rows_of(qkv)},
            are_codes() ? i64{latent.cached()} | latent.kv_rank : 0);
        if (c_.has_indexer()) indexer(name + "indexer.", qkv, q_row);
        FieldTexts attends{
            {"sequences", field_text(c_.has_indexer() ? shape_.tokens : shape_.sequences)},
            {"max_q_len", field_text(c_.has_indexer() ? i64{1} : shape_.max_q_len)},
            {"max_kv_len", field_text(c_.has_indexer() ? i64{c_.indexer.top_k} : shape_.max_kv_len)},
            {"q_tokens", field_text(shape_.tokens)},
            {"heads", field_text(i64{c_.num_heads})},
            {"page_size", field_text(page_size_)}};
        if (c_.has_indexer()) {
            attends.emplace_back("causal", field_text(false));
            attends.emplace_back("indexed", field_text(true));
        }
        if (are_codes()) {
            attends.emplace_back("kv_format", kv_format_name(forms_.kv_format));
            attends.emplace_back("one_scale", field_text(true));
        }
        add(name + "mla", all_, "mla", false, std::move(attends), {latent.cached()},
            are_codes() ? i64{latent.cached()} : 0);
        calls_.back().absent = shape_.expands;
        by_head(name + "absorb_values", shape_.tokens, latent.value_dim, latent.kv_rank, {latent.kv_rank});
        calls_.back().absent = shape_.expands;
        if (!c_.has_indexer()) expanded(name, q_row);
    }

    // As Forward::prepare_expanded has it, behind rope.
    void expanded(const std::string& name, i64 q_row) {
        const LatentConfig& latent = c_.latent;
        const i64 rows = rows_to_expand(shape_), heads = c_.num_heads, cached = latent.cached();
        const i64 query = latent_query_dim(latent), width = expanded_width(latent);
        const i64 row = row_stride(rows, heads * width);
        const std::size_t first = calls_.size();
        add(name + "gather_latents", all_, "embedding", false,
            {{"tokens", field_text(rows)}, {"width", field_text(are_codes() ? cached / 2 : cached)}},
            {are_codes() ? cached / 2 : cached});
        if (are_codes()) {
            FieldTexts numbers{{"rows", field_text(rows)},
                               {"columns", field_text(cached)},
                               {"out", dtype_name(c_.dtype)},
                               {"group_rows", field_text(rows)},
                               {"group_columns", field_text(cached)},
                               {"alignment_bytes", field_text(alignment_of_codes(cached))}};
            calls_.push_back({name + "latents", all_, "dequantize", "-", std::move(numbers), false});
        }
        by_head(name + "expand", rows, latent.value_dim + latent.nope_dim, latent.kv_rank, {cached});
        add(name + "expand_rope", all_, "rope", false,
            {{"tokens", field_text(rows)},
             {"heads", field_text(heads)},
             {"kv_heads", field_text(i64{0})},
             {"head_dim", field_text(i64{latent.rope_dim})},
             {"rotary_dim", field_text(i64{latent.rope_dim})},
             {"q_out", field_text(true)}},
            {latent.kv_rank, cached, latent.value_dim + latent.nope_dim, width, row});
        add(name + "attention", all_, "attention", false,
            {{"sequences", field_text(shape_.sequences)},
             {"q_tokens", field_text(shape_.tokens)},
             {"max_q_len", field_text(shape_.max_q_len)},
             {"max_kv_len", field_text(std::min(shape_.max_kv_len, rows))},
             {"heads", field_text(heads)},
             {"kv_heads", field_text(heads)},
             {"head_dim", field_text(query)},
             {"head_dim_v", field_text(latent.value_dim == query ? i64{0} : i64{latent.value_dim})},
             {"paged", field_text(false)},
             {"page_size", field_text(i64{1})}},
            {query, rows_of(q_row), latent.value_dim, rows_of(c_.attended_width()), width, row});
        for (std::size_t i = first; i < calls_.size(); ++i) calls_[i].absent = !shape_.expands;
    }

    // As Forward::prepare_index has it.
    void indexer(const std::string& name, i64 qkv, i64 q_row) {
        const IndexerConfig& index = c_.indexer;
        const i64 turns = c_.latent.rope_dim, key = latent_column(c_) + c_.latent.cached();
        const i64 queries = c_.num_heads * latent_query_dim(c_.latent);
        add(name + "k_norm", all_, "rmsnorm", true,
            {{"tokens", field_text(shape_.tokens)},
             {"hidden", field_text(i64{index.dim})},
             {"residual", field_text(false)},
             {"bias", field_text(true)}},
            {key, rows_of(qkv)});
        router(name + "weights_proj", all_, index.heads, false);
        add(name + "index_rope", all_, "rope", false,
            {{"tokens", field_text(shape_.tokens)},
             {"heads", field_text(i64{index.heads})},
             {"kv_heads", field_text(i64{1})},
             {"head_dim", field_text(turns)},
             {"rotary_dim", field_text(turns)},
             {"interleaved", field_text(index.interleaved)},
             {"page_size", field_text(are_codes() ? 0 : page_size_)},
             {"value_dim", field_text(are_codes() ? 0 : index.dim - turns)}},
            {index.dim, are_codes() ? 0 : turns, key, queries, rows_of(q_row), rows_of(qkv)});
        const i64 page_bytes = are_codes() ? page_size_ * kIndexRecordBytes : 0;
        if (are_codes()) {
            add(name + "index_append", all_, "latent_append", false,
                {{"tokens", field_text(shape_.tokens)},
                 {"pages", enum_text(LatentPages::index_keys)},
                 {"page_size", field_text(page_size_)},
                 {"scale", scale_type_name(kIndexScale)}},
                {key, rows_of(qkv)}, page_bytes);
        }
        FieldTexts scores{{"sequences", field_text(shape_.sequences)},
                          {"max_q_len", field_text(shape_.max_q_len)},
                          {"max_kv_len", field_text(shape_.max_kv_len)},
                          {"q_tokens", field_text(shape_.tokens)},
                          {"page_size", field_text(page_size_)}};
        FieldTexts lists = scores;
        scores.emplace_back("heads", field_text(i64{index.heads}));
        scores.emplace_back(
            "alignment_bytes",
            field_text(alignment_bytes(c_.dtype, {index.dim, queries, rows_of(q_row)}, page_bytes)));
        if (are_codes()) scores.emplace_back("kv_format", kv_format_name(forms_.kv_format));
        lists.emplace_back("k", field_text(i64{index.top_k}));
        calls_.push_back({name + "index_logits", all_, "index_logits", "-", std::move(scores), false});
        calls_.push_back({name + "index_topk", all_, "index_topk", "-", std::move(lists), false});
    }

    void attention() {
        if (c_.is_latent()) return latent_attention();
        const std::string name = layer_ + "self_attn.";
        const i64 q = i64{c_.num_heads} * c_.head_dim, kv = i64{c_.num_kv_heads} * c_.head_dim;
        const i64 qkv = q + 2 * kv, hidden = c_.hidden_size;
        products(name, all_, &LayerForms::qkv, {hidden, hidden, true}, c_.qkv_bias);
        if (c_.qk_norm && c_.qk_norm_of_all) {
            head_norm(name + "q_norm", 1, q, qkv);
            head_norm(name + "k_norm", 1, kv, qkv);
        } else if (c_.qk_norm) {
            head_norm(name + "q_norm", c_.num_heads, c_.head_dim, qkv);
            head_norm(name + "k_norm", c_.num_kv_heads, c_.head_dim, qkv);
        }
        add(name + "rope", all_, "rope", false,
            with_heads({{"tokens", field_text(shape_.tokens)},
                        {"rotary_dim", field_text(i64{c_.rope.rotary_dim})},
                        {"interleaved", field_text(c_.rope.interleaved)},
                        {"page_size", field_text(page_size_)},
                        {"kv_format", kv_format_name(forms_.kv_format)}}),
            {c_.head_dim, rows_of(qkv)}, code_bytes());
        for (const auto& [window, layers] : layers_by_window()) attend(name, window, layers, qkv);
        products(name, all_, &LayerForms::o, {q, q, false}, c_.o_bias);
        if (c_.post_norms) norm(layer_ + c_.layout.attention_post_norm, all_, false, nullptr);
    }

    void mlp() {
        std::vector<int> dense, expert_layers;
        for (const int layer : all_) (c_.has_experts(layer) ? expert_layers : dense).push_back(layer);
        norm(layer_ + c_.layout.mlp_norm, dense, true, &LayerForms::gate_up);
        if (!expert_layers.empty()) {
            norm(layer_ + c_.layout.mlp_norm, expert_layers, true, nullptr);
            if (c_.experts.shared_width > 0) shared_experts(expert_layers);
            experts(expert_layers);
        }
        mlp(layer_ + "mlp.", dense, c_.intermediate_size, true, c_.mlp_bias);
        if (c_.post_norms) norm(layer_ + c_.layout.mlp_post_norm, all_, false, nullptr);
    }

    // `are_made`: the norm leaves what gate_up multiplies.
    void mlp(const std::string& name, const std::vector<int>& of, i64 width, bool are_made, bool bias) {
        const i64 hidden = c_.hidden_size;
        products(name, of, &LayerForms::gate_up, {hidden, hidden, are_made}, bias);
        for (const auto& [down, layers] : by_inputs(of, &LayerForms::down)) {
            FieldTexts problem{{"tokens", field_text(shape_.tokens)},
                               {"width", field_text(width)},
                               {"activation", activation_name(c_.activation)}};
            i64 alignment = alignment_bytes(c_.dtype, {width});
            made_codes(*down, shape_.tokens, width, problem, alignment);
            add_aligned(name + "activation", layers, "gated_activation", "-", std::move(problem), alignment);
        }
        // The product's rows lie in those of gate and up.
        products(name, of, &LayerForms::down, {width, 2 * width, true}, bias);
    }

    // An MLP; and its gate, which is a choice of one expert.
    void shared_experts(const std::vector<int>& layers) {
        const std::string name = layer_ + c_.layout.experts + ".";
        mlp(name, layers, c_.experts.shared_width, false, false);
        if (!c_.experts.shared_gate) return;
        router(name + "shared_gate", layers, 1, false);
        route(name + "shared_sigmoid", layers, 1, 1, ExpertScore::sigmoid);
        calls_.push_back({name + "shared_scale", layers, "moe_combine", "-", combine_problem(1), false});
    }

    void model_end() {
        norm("model.norm", {}, true, nullptr);
        add("model.last_tokens", {}, "embedding", false,
            {{"tokens", field_text(shape_.sequences)}, {"width", field_text(i64{c_.hidden_size})}},
            {rows_of(c_.hidden_size)});
        product("", {}, forms_.lm_head, shape_.sequences, {c_.hidden_size, c_.hidden_size, false}, false,
                DType::f32);
        if (c_.logits_softcap != 0) {
            of_logits("logits_softcap", "logits", {{"softcap", field_text(c_.logits_softcap)}});
        }
        of_logits("sampler", "sample", {{"dtype", dtype_name(DType::f32)}});
    }

private:
    std::vector<int> layers_from(int first) const {
        std::vector<int> layers(static_cast<std::size_t>(c_.num_layers - first));
        std::iota(layers.begin(), layers.end(), first);
        return layers;
    }

    // By window, in the order in which windows first occur.
    std::vector<std::pair<i64, std::vector<int>>> layers_by_window() const {
        std::vector<std::pair<i64, std::vector<int>>> groups;
        for (int layer = 0; layer < c_.num_layers; ++layer) {
            const i64 window = c_.windows[static_cast<std::size_t>(layer)];
            auto group = std::find_if(groups.begin(), groups.end(),
                                      [&](const auto& known) { return known.first == window; });
            if (group == groups.end()) group = groups.insert(groups.end(), {window, {}});
            group->second.push_back(layer);
        }
        return groups;
    }

    FieldTexts with_heads(FieldTexts problem) const {
        problem.emplace_back("heads", field_text(i64{c_.num_heads}));
        problem.emplace_back("kv_heads", field_text(i64{c_.num_kv_heads}));
        problem.emplace_back("head_dim", field_text(i64{c_.head_dim}));
        return problem;
    }

    // Of keys and values in the cache, or of latent rows and an indexer's keys.
    bool are_codes() const { return forms_.kv_format != KvFormat::same; }
    // Of a head's keys, or values, as codes.
    i64 code_bytes() const { return are_codes() ? c_.head_dim : 0; }

    // Routing, and what moe_experts prepares for this number of tokens; by the forms of experts' weights.
    void experts(const std::vector<int>& layers) {
        const std::string name = layer_ + c_.layout.experts + ".";
        router(name + c_.layout.router, layers, c_.experts.num_experts, c_.experts.router_bias);
        route(name + "route", layers, c_.experts.num_experts, c_.experts.top_k, c_.experts.score);

        std::vector<std::vector<int>> groups;
        for (const int layer : layers) {
            auto group = std::find_if(groups.begin(), groups.end(), [&](const std::vector<int>& known) {
                return same_experts(forms_of(known.front()), forms_of(layer));
            });
            if (group == groups.end()) group = groups.insert(groups.end(), std::vector<int>{});
            group->push_back(layer);
        }
        for (const std::vector<int>& group : groups) experts(name, group, forms_of(group.front()));
    }
    void router(std::string name, const std::vector<int>& layers, i64 num, bool bias) {
        add(std::move(name), layers, "gemm", true,
            {{"m", field_text(shape_.tokens)},
             {"n", field_text(num)},
             {"k", field_text(i64{c_.hidden_size})},
             {"bias", field_text(bias)},
             {"out", dtype_name(DType::f32)}},
            {row_stride(num, c_.hidden_size)});
    }
    void route(std::string name, const std::vector<int>& layers, i64 num, i64 top_k, ExpertScore score) {
        calls_.push_back({std::move(name),
                          layers,
                          "moe_route",
                          "-",
                          {{"tokens", field_text(shape_.tokens)},
                           {"top_k", field_text(top_k)},
                           {"experts", field_text(num)},
                           {"dtype", dtype_name(DType::f32)},
                           {"score", expert_score_name(score)}},
                          false});
    }
    FieldTexts combine_problem(i64 top_k) const {
        return {{"tokens", field_text(shape_.tokens)},
                {"top_k", field_text(top_k)},
                {"width", field_text(i64{c_.hidden_size})},
                {"dtype", dtype_name(c_.dtype)},
                {"alignment_bytes", field_text(alignment_bytes(c_.dtype, {c_.hidden_size}))}};
    }
    const LayerForms& forms_of(int layer) const { return forms_.layers[static_cast<std::size_t>(layer)]; }
    static bool same_experts(const LayerForms& a, const LayerForms& b) {
        return a.experts_gate == b.experts_gate && a.experts_up == b.experts_up &&
               a.experts_down == b.experts_down;
    }

    void experts(const std::string& name, const std::vector<int>& layers, const LayerForms& forms) {
        const bool quantized = !forms.experts_gate.empty();
        const MoeSizes sizes =
            moe_sizes(c_, shape_.tokens, batch_invariant_, quantized, quantized && have_one_form(forms));
        const MoePlan plan = moe_plan(sizes);
        const auto add_call = [&](const std::string& what, const char* op, const char* format,
                                  FieldTexts problem, bool absent = false) {
            calls_.push_back({name + what, layers, op, format, std::move(problem), absent});
        };
        FieldTexts permute{{"tokens", field_text(sizes.tokens)}, {"top_k", field_text(sizes.top_k)}};
        permute.emplace_back("experts", field_text(sizes.experts));
        permute.emplace_back("rows", field_text(plan.rows));
        permute.emplace_back("masked", field_text(plan.masked));
        permute.emplace_back("alignment", field_text(plan.masked ? i64{1} : plan.alignment));
        permute.emplace_back("space", field_text(moe_has_chunks(sizes)));
        add_call("permute", "moe_permute", "-", permute, plan.few);
        if (quantized) {
            const PartForm &gate = forms.experts_gate[0], &up = forms.experts_up[0],
                           &down = forms.experts_down[0];
            const auto choices = [&](const char* what, const PartForm& part, bool is_down) {
                add_call(what, "quantized_experts", facts_of(part.form.format).name,
                         field_texts(moe_choices_problem(sizes, is_down, weight_of(part))), !plan.few);
            };
            const auto product = [&](const PartForm& part, MoeProduct which) {
                add_call(part.name, "quantized_gemm", facts_of(part.form.format).name,
                         field_texts(moe_quantized_problem(sizes, which, weight_of(part))), plan.few);
            };
            choices("experts.gate_up", up, false);
            choices("experts.down", down, true);
            add_call("gather", "embedding", "-", field_texts(moe_gather_problem(sizes)), plan.few);
            product(gate, MoeProduct::gate);
            product(up, MoeProduct::up);
            if (sizes.limited)
                add_call("experts.activation", "gated_activation", "-", field_texts(moe_gate_problem(sizes)),
                         plan.few);
            product(down, MoeProduct::down);
        } else {
            const char* format = dtype_name(c_.dtype);
            add_call("experts.gate_up", "grouped_gemm", format, field_texts(moe_up_problem(sizes)));
            add_call("experts.down", "grouped_gemm", format, field_texts(moe_down_problem(sizes)));
        }
        add_call("combine", "moe_combine", "-", combine_problem(sizes.top_k), plan.sums);
    }

    // A stride counts only where there is a second row.
    static i64 row_stride(i64 rows, i64 width) { return rows > 1 ? width : 0; }
    i64 rows_of(i64 width) const { return row_stride(shape_.tokens, width); }

    // `columns`: offsets and strides of the operands, in elements; `code_bytes` of those that are codes.
    void add(std::string name, std::vector<int> layers, std::string op, bool weights, FieldTexts problem,
             std::initializer_list<i64> columns, i64 code_bytes = 0) {
        add(std::move(name), std::move(layers), std::move(op), weights ? dtype_name(c_.dtype) : "-",
            std::move(problem), columns, code_bytes);
    }
    void add(std::string name, std::vector<int> layers, std::string op, const char* format,
             FieldTexts problem, std::initializer_list<i64> columns, i64 code_bytes = 0) {
        add_aligned(std::move(name), std::move(layers), std::move(op), format, std::move(problem),
                    alignment_bytes(c_.dtype, columns, code_bytes));
    }
    void add_aligned(std::string name, std::vector<int> layers, std::string op, const char* format,
                     FieldTexts problem, i64 alignment) {
        problem.emplace_back("dtype", dtype_name(c_.dtype));
        problem.emplace_back("alignment_bytes", field_text(alignment));
        calls_.push_back(
            {std::move(name), std::move(layers), std::move(op), format, std::move(problem), false});
    }

    // Codes begin where half as many bytes do as their 16-bit numbers': as the operations count them.
    static i64 alignment_of_codes(i64 stride) {
        return std::min<i64>(16, 2 * alignment_bytes(DType::u8, {stride}));
    }

    // The fields of a result that is left as codes, too, or alone, for the product that multiplies it.
    static void made_codes(const ProductForm& next, i64 rows, i64 columns, FieldTexts& problem,
                           i64& alignment) {
        const MadeInputs made = made_inputs(next);
        if (made.codes == nullptr) return;
        problem.emplace_back("quantized", field_text(true));
        add_format(*made.codes, columns, problem);
        problem.emplace_back("keeps_out", field_text(made.numbers));
        alignment = std::min(alignment, alignment_of_codes(row_stride(rows, columns)));
    }
    static void add_format(const WeightForm& form, i64 columns, FieldTexts& problem) {
        const QuantizeFormat format = input_format(form);
        const i64 group = format.group_columns == 0 ? columns : std::min(format.group_columns, columns);
        problem.emplace_back("code", facts_of(format.code).name);
        problem.emplace_back("scale", scale_type_name(format.scale));
        problem.emplace_back("group_columns", field_text(group));
        problem.emplace_back("given_scale", field_text(form.given_scale));
    }

    // Layers for whose product `next` the same is to be made of its inputs, by the first of them.
    std::vector<std::pair<const ProductForm*, std::vector<int>>> by_inputs(
        const std::vector<int>& layers, ProductForm LayerForms::*next) const {
        std::vector<std::pair<const ProductForm*, std::vector<int>>> groups;
        const auto are_alike = [](const ProductForm& a, const ProductForm& b) {
            const MadeInputs of_a = made_inputs(a), of_b = made_inputs(b);
            if (of_a.codes == nullptr || of_b.codes == nullptr) return of_a.codes == of_b.codes;
            return of_a.numbers == of_b.numbers && share_codes(*of_a.codes, *of_b.codes);
        };
        for (const int layer : layers) {
            const ProductForm& form = forms_.layers[static_cast<std::size_t>(layer)].*next;
            auto group = std::find_if(groups.begin(), groups.end(),
                                      [&](const auto& known) { return are_alike(*known.first, form); });
            if (group == groups.end()) group = groups.insert(groups.end(), {&form, {}});
            group->second.push_back(layer);
        }
        return groups;
    }

    // What a product multiplies: [rows, k], and whether what makes it leaves the product's codes.
    struct Inputs {
        i64 k = 0, stride = 0;
        bool are_made = false;
    };

    // A product of these layers: those whose weights have the same form are one entry.
    void products(const std::string& block, const std::vector<int>& of, ProductForm LayerForms::*weight,
                  const Inputs& a, bool bias) {
        std::vector<std::pair<const ProductForm*, std::vector<int>>> groups;
        for (const int layer : of) {
            const ProductForm& form = forms_.layers[static_cast<std::size_t>(layer)].*weight;
            auto group = std::find_if(groups.begin(), groups.end(),
                                      [&](const auto& known) { return *known.first == form; });
            if (group == groups.end()) group = groups.insert(groups.end(), {&form, {}});
            group->second.push_back(layer);
        }
        for (const auto& [form, layers] : groups)
            product(block, layers, *form, shape_.tokens, a, bias, c_.dtype);
    }

    void product(const std::string& block, const std::vector<int>& layers, const ProductForm& parts, i64 rows,
                 const Inputs& a, bool bias, DType out) {
        const WeightForm* codes = a.are_made ? made_inputs(parts).codes : nullptr;  // that are there
        for (const PartForm& part : parts) {
            FieldTexts problem{{"m", field_text(rows)},
                               {"n", field_text(part.rows)},
                               {"k", field_text(a.k)},
                               {"bias", field_text(bias)},
                               {"out", dtype_name(out)}};
            const WeightForm& form = part.form;
            if (form.coded) {
                if (codes == nullptr || !share_codes(*codes, form)) quantize(block, layers, part, rows, a);
                codes = &form;
                coded_product(block, layers, part, rows, a.k, out, std::move(problem));
                continue;
            }
            if (!form.packed) {
                add(block + part.name, layers, "gemm", true, std::move(problem),
                    {row_stride(part.rows, a.k)});
                continue;
            }
            problem.emplace_back("format", facts_of(form.format).name);
            problem.emplace_back("group", field_text(form.group));
            problem.emplace_back("scale", dtype_name(form.scale));
            problem.emplace_back("zeros", field_text(form.zeros));
            if (form.order) {  // its columns of a are brought in order first
                const GatherColumnsProblem gather{.rows = rows, .columns = a.k};
                calls_.push_back({block + part.name + ".order", layers, "gather_columns", "-",
                                  field_texts(gather), false});
            }
            add(block + part.name, layers, "quantized_gemm", facts_of(form.format).name, std::move(problem),
                {row_stride(rows, form.order ? a.k : a.stride)});
        }
    }

    void quantize(const std::string& block, const std::vector<int>& layers, const PartForm& part, i64 rows,
                  const Inputs& a) {
        FieldTexts problem{{"rows", field_text(rows)}, {"columns", field_text(a.k)}};
        add_format(part.form, a.k, problem);
        const i64 alignment = std::min(alignment_bytes(c_.dtype, {row_stride(rows, a.stride)}),
                                       alignment_of_codes(row_stride(rows, a.k)));
        add_aligned(block + part.name + "_input", layers, "quantize", "-", std::move(problem), alignment);
    }

    void coded_product(const std::string& block, const std::vector<int>& layers, const PartForm& part,
                       i64 rows, i64 k, DType out, FieldTexts problem) {
        constexpr const char* kScalings[] = {"outer", "blocks", "mx"};
        const WeightForm& form = part.form;
        problem.emplace_back("code", facts_of(input_format(form).code).name);
        problem.emplace_back("scaling", kScalings[form.group == 0 ? 0 : form.group == 128 ? 1 : 2]);
        // Without a bias nothing says what 16-bit type goes with logits of 32.
        problem.emplace_back("dtype", dtype_name(out == DType::f32 ? DType::bf16 : out));
        problem.emplace_back(
            "alignment_bytes",
            field_text(alignment_bytes(DType::u8, {row_stride(rows, k), row_stride(part.rows, k)})));
        calls_.push_back(
            {block + part.name, layers, "scaled_gemm", facts_of(form.format).name, std::move(problem)});
    }

    void of_logits(std::string name, std::string op, FieldTexts problem) {
        const i64 stride = row_stride(shape_.sequences, c_.vocab_size);
        problem.emplace_back("rows", field_text(shape_.sequences));
        problem.emplace_back("vocabulary", field_text(i64{c_.vocab_size}));
        problem.emplace_back("alignment_bytes", field_text(alignment_bytes(DType::f32, {stride})));
        calls_.push_back({std::move(name), {}, std::move(op), "-", std::move(problem), false});
    }

    // In front of the product `next`, if there is one.
    void norm(const std::string& name, const std::vector<int>& layers, bool residual,
              ProductForm LayerForms::*next) {
        if (next == nullptr) return norm(name, layers, residual, ProductForm{});
        for (const auto& [form, alike] : by_inputs(layers, next)) norm(name, alike, residual, *form);
    }
    void norm(const std::string& name, const std::vector<int>& layers, bool residual,
              const ProductForm& next) {
        FieldTexts problem{{"tokens", field_text(shape_.tokens)},
                           {"hidden", field_text(i64{c_.hidden_size})},
                           {"residual", field_text(residual)},
                           {"weight_offset", field_text(c_.norm_weight_offset)}};
        i64 alignment = alignment_bytes(c_.dtype, {rows_of(c_.hidden_size)});
        made_codes(next, shape_.tokens, c_.hidden_size, problem, alignment);
        add_aligned(name, layers, "rmsnorm", dtype_name(c_.dtype), std::move(problem), alignment);
    }

    void head_norm(std::string name, i64 heads, i64 width, i64 row) {
        add(std::move(name), all_, "rmsnorm", true,
            {{"tokens", field_text(shape_.tokens)},
             {"hidden", field_text(width)},
             {"heads", field_text(heads)},
             {"residual", field_text(false)},
             {"weight_offset", field_text(c_.norm_weight_offset)}},
            {c_.head_dim, rows_of(row)});
    }

    // Of q's rank, and of latent rows.
    void latent_norm(const std::string& name, const std::vector<int>& layers, i64 width,
                     const ProductForm& next) {
        FieldTexts problem{{"tokens", field_text(shape_.tokens)},
                           {"hidden", field_text(width)},
                           {"residual", field_text(false)},
                           {"weight_offset", field_text(c_.norm_weight_offset)}};
        i64 alignment = alignment_bytes(c_.dtype, {rows_of(latent_qkv_width(c_)), first_of_latent(width)});
        made_codes(next, shape_.tokens, width, problem, alignment);
        add_aligned(name, layers, "rmsnorm", dtype_name(c_.dtype), std::move(problem), alignment);
    }
    // The column of the latent row, if it is what has this width.
    i64 first_of_latent(i64 width) const { return width == c_.latent.kv_rank ? latent_column(c_) : 0; }

    // A product for each head with a weight of its own.
    void by_head(std::string name, i64 rows, i64 n, i64 k, std::initializer_list<i64> columns) {
        add(std::move(name), all_, "grouped_gemm", true,
            {{"m", field_text(rows)},
             {"n", field_text(n)},
             {"k", field_text(k)},
             {"out", dtype_name(c_.dtype)},
             {"grouping", enum_text(Grouping::masked)},
             {"groups", field_text(i64{c_.num_heads})}},
            columns);
    }

    void attend(const std::string& name, i64 window, const std::vector<int>& layers, i64 row) {
        FieldTexts problem = with_heads({{"sequences", field_text(shape_.sequences)},
                                         {"q_tokens", field_text(shape_.tokens)},
                                         {"max_q_len", field_text(shape_.max_q_len)},
                                         {"max_kv_len", field_text(shape_.max_kv_len)},
                                         {"page_size", field_text(page_size_)},
                                         {"window_left", field_text(window - 1)},
                                         {"softcap", field_text(c_.attention_softcap)},
                                         {"sinks", field_text(c_.sinks)},
                                         {"kv_format", kv_format_name(forms_.kv_format)}});
        add(name + (window == 0 ? "attention" : "windowed_attention"), layers, "attention", false,
            std::move(problem), {c_.head_dim, rows_of(row)}, code_bytes());
    }

    const ModelConfig& c_;
    const ModelForms& forms_;
    const ForwardShape& shape_;
    const i64 page_size_;
    const bool batch_invariant_;
    const std::vector<int> all_;
    const std::string layer_ = "model.layers.*.";  // the * stands for the index
    std::vector<LayerCall> calls_;
};

}  // namespace

std::vector<LayerCall> layer_calls(const ModelConfig& config, const ModelForms& forms,
                                   const ForwardShape& shape, i64 page_size_tokens, bool batch_invariant) {
    LayerList list(config, forms, shape, page_size_tokens, batch_invariant);
    list.model_start();
    list.attention();
    list.mlp();
    list.model_end();
    return std::move(list).take();
}

std::vector<LayerCall> latent_calls(const ModelConfig& config, const ModelForms& forms,
                                    const ForwardShape& shape, i64 page_size_tokens) {
    LayerList list(config, forms, shape, page_size_tokens, false);
    list.latent_forms();
    return std::move(list).take();
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
    if (shard.experts.num_experts > 0) WW_TRY(divide("the experts' width", shard.experts.width));
    if (shard.experts.shared_width > 0)
        WW_TRY(divide("the shared experts' width", shard.experts.shared_width));
    WW_TRY(divide("vocab_size", shard.vocab_size));
    return shard;
}

}  // namespace warpwright
