// SPDX-License-Identifier: Apache-2.0
// Every operation there is. Adding one is a line here, one in src/check/ops/registry.cpp, and its folder.
#include "dispatch/nearest.h"
#include "dispatch/operation.h"
#include "kernels/attention/index_logits/operation.h"
#include "kernels/attention/index_topk/operation.h"
#include "kernels/attention/mask_bits/operation.h"
#include "kernels/attention/merge/operation.h"
#include "kernels/attention/merge_state/operation.h"
#include "kernels/attention/mla/operation.h"
#include "kernels/attention/operation.h"
#include "kernels/fused/amax/operation.h"
#include "kernels/fused/dequantize/operation.h"
#include "kernels/fused/embedding/operation.h"
#include "kernels/fused/gated_activation/operation.h"
#include "kernels/fused/kv_append/operation.h"
#include "kernels/fused/latent_append/operation.h"
#include "kernels/fused/logits/operation.h"
#include "kernels/fused/quantize/operation.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/fused/rope/operation.h"
#include "kernels/fused/sample/operation.h"
#include "kernels/fused/scaling/operation.h"
#include "kernels/gemm/operation.h"
#include "kernels/grouped_gemm/operation.h"
#include "kernels/moe/combine/operation.h"
#include "kernels/moe/count/operation.h"
#include "kernels/moe/permute/operation.h"
#include "kernels/moe/route/operation.h"
#include "kernels/quantized_experts/operation.h"
#include "kernels/quantized_gemm/operation.h"
#include "kernels/quantized_gemm/order/operation.h"
#include "kernels/scaled_gemm/operation.h"

namespace warpwright {
namespace {

template <class Op>
const Operation* instance() {
    static const OperationOf<Op> operation;
    return &operation;
}

}  // namespace

std::span<const Operation* const> operations() {
    // clang-format off
    static const Operation* const all[] = {
        instance<GemmOp>(),
        instance<QuantizedGemmOp>(),
        instance<ScaledGemmOp>(),
        instance<GroupedGemmOp>(),
        instance<RmsNormOp>(),
        instance<RopeOp>(),
        instance<GatedActivationOp>(),
        instance<EmbeddingOp>(),
        instance<KvAppendOp>(),
        instance<LogitsOp>(),
        instance<SampleOp>(),
        instance<QuantizeOp>(),
        instance<DequantizeOp>(),
        instance<AmaxOp>(),
        instance<MoeRouteOp>(),
        instance<MoePermuteOp>(),
        instance<MoeCountOp>(),
        instance<MoeCombineOp>(),
        instance<ScalingOp>(),
        instance<AttentionOp>(),
        instance<AttentionMergeOp>(),
        instance<MergeStateOp>(),
        instance<GatherColumnsOp>(),
        instance<QuantizedExpertsOp>(),
        instance<MlaOp>(),
        instance<MaskBitsOp>(),
        instance<IndexLogitsOp>(),
        instance<IndexTopkOp>(),
        instance<LatentAppendOp>(),
    };
    // clang-format on
    return all;
}

Result<const Operation*> find_operation(std::string_view name) {
    std::vector<std::string> names;
    for (const Operation* operation : operations()) {
        if (operation->name() == name) return operation;
        names.emplace_back(operation->name());
    }
    return caller_error("unknown operation '" + std::string(name) + "'; nearest: " + nearest(name, names));
}

std::vector<ImageSpec> all_image_specs() {
    std::vector<ImageSpec> specs;
    for (const Operation* operation : operations()) {
        for (int row = 0; row < operation->num_rows(); ++row) {
            for (int target = 0; target < kNumBuildTargets; ++target) {
                const auto build_target = static_cast<BuildTarget>(target);
                if (build_target == BuildTarget::host || !operation->image_fits(row, build_target)) continue;
                specs.push_back(operation->image_spec(row, build_target));
            }
        }
    }
    return specs;
}

}  // namespace warpwright
