// SPDX-License-Identifier: Apache-2.0
#include "ops/quantized_experts.h"

#include <fmt/format.h>

#include "dispatch/prepare.h"
#include "kernels/quantized_experts/operation.h"
#include "ops/group_tensors.h"
#include "ops/product_args.h"
#include "ops/quantized_weight.h"

namespace warpwright {

bool same_form(const QuantizedWeight& a, const QuantizedWeight& b) {
    return a.format == b.format && a.groups == b.groups && a.n == b.n && a.k == b.k && a.group == b.group &&
           a.scales.dtype == b.scales.dtype && static_cast<bool>(a.zeros) == static_cast<bool>(b.zeros) &&
           !a.order && !b.order;
}

Status prepare(Context& context, const QuantizedExperts& call, Prepared& prepared) {
    Matcher match("quantized_experts");
    const QuantizedWeight& b = call.b;
    const bool gated = static_cast<bool>(call.b_gate.data);
    const DType type = call.a.dtype;
    match.tensor("ids", call.ids, {"m", "top_k"}, {DType::i32}, {.dense = true})
        .tensor("row_of_slot", call.row_of_slot, {"m", "top_k"}, {DType::i32},
                {.dense = true, .optional = true});
    const i64 m = match["m"], top_k = match["top_k"], slots = m * top_k;
    const bool a_of_slots = top_k > 1 && call.a.rank == 2 && call.a.shape[0] == slots;
    match.tensor("a", call.a, {a_of_slots ? "slots" : "m", "k"}, {DType::bf16, DType::f16})
        .tensor("d", call.d, {"slots", "n"}, {type})
        .tensor("bias", call.bias, {"groups", "n"}, {type}, {.optional = true})
        .tensor("gate_bias", call.gate_bias, {"groups", "n"}, {type}, {.optional = true})
        .require(!call.d || call.d.rank != 2 || call.d.shape[0] == slots,
                 fmt::format("d must have a row for each of {} slots", slots))
        .require(!gated || static_cast<bool>(call.bias) == static_cast<bool>(call.gate_bias),
                 "bias and gate_bias go together")
        .require(!call.gate_bias || call.gate_bias.stride[0] == call.bias.stride[0],
                 "gate_bias must have the strides of bias")
        .require(!gated || same_form(b, call.b_gate), "b_gate must have the form of b, without order");
    require_gate_limits(match, call, gated);
    match
        .require(
            match["k"] == b.k && match["n"] == b.n,
            fmt::format("b: n and k are {} and {}, but d has {} and a {}", b.n, b.k, match["n"], match["k"]))
        .require(match["groups"] == 0 || match["groups"] == b.groups,
                 fmt::format("b.groups: expected {}, got {}", match["groups"], b.groups));
    match_weight(match, b);
    if (gated) match_weight(match, call.b_gate);
    WW_TRY(match.status());
    if (slots == 0 || b.n == 0) return {};
    require_product_sizes(match, slots, b.n, b.k);
    WW_TRY(match.status());

    const QuantizedExpertsProblem problem{
        .m = m,
        .n = b.n,
        .k = b.k,
        .dtype = type,
        .format = b.format,
        .group = group_of_scales(b),
        .scale = b.scales.dtype,
        .zeros = static_cast<bool>(b.zeros),
        .groups = b.groups,
        .top_k = top_k,
        .expected_groups = call.expected_groups,
        .gated = gated,
        .bias = static_cast<bool>(call.bias),
        .activation = call.activation,
        .alignment_bytes = alignment_of({&call.a}, prepared.batch_invariant)};
    const QuantizedGemm one{.a = call.a,
                            .b = {},
                            .d = call.d,
                            .bias = call.bias,
                            .activation = call.activation,
                            .b_is_constant = call.b_is_constant};
    QuantizedExpertsArgs args{};
    args.gemm = product_args(one, m, b.n, b.k, context.target().facts.num_sms);
    args.groups = {.b_stride = packed_data_bytes(b.format, b.n, b.k),
                   .bias_stride = group_stride(call.bias, true),
                   .groups = static_cast<i32>(b.groups),
                   .kind = Grouping::none};
    set_weight(args, b);
    args.gate_codes = call.b_gate.data.data;
    args.gate_scales = call.b_gate.scales.data;
    args.gate_zeros = call.b_gate.zeros.data;
    args.gate_global_scales = static_cast<const float*>(call.b_gate.global_scales.data);
    args.gate_global_scale = call.b_gate.global_scale;
    args.gate_bias = call.gate_bias.data;
    args.gate = {call.limit, call.alpha, call.up_offset};
    args.ids = static_cast<const i32*>(call.ids.data);
    args.row_of_slot = static_cast<i32*>(call.row_of_slot.data);
    args.top_k = static_cast<i32>(top_k);
    args.a_of_slots = a_of_slots;
    args.ids_are_constant = call.ids_are_constant;
    return prepare_step<QuantizedExpertsOp>(context, problem, args, prepared);
}

}  // namespace warpwright
