// SPDX-License-Identifier: Apache-2.0
#include "check/ops/checks.h"

namespace warpwright {

std::span<const OperationCheck* const> operation_checks() {
    // clang-format off
    static const OperationCheck* const checks[] = {
        &gemm_check(),
        &quantized_gemm_check(),
        &scaled_gemm_check(),
        &grouped_gemm_check(),
        &rmsnorm_check(),
        &rope_check(),
        &gated_activation_check(),
        &embedding_check(),
        &kv_append_check(),
        &logits_check(),
        &sample_check(),
        &quantize_check(),
        &dequantize_check(),
        &amax_check(),
        &moe_route_check(),
        &moe_permute_check(),
        &moe_count_check(),
        &moe_combine_check(),
        &scaling_check(),
        &attention_check(),
        &attention_merge_check(),
        &merge_state_check(),
        &gather_columns_check(),
        &quantized_experts_check(),
        &mla_check(),
        &mask_bits_check(),
        &index_logits_check(),
        &index_topk_check(),
        &latent_append_check(),
    };
    // clang-format on
    return checks;
}

}  // namespace warpwright
