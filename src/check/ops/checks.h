// SPDX-License-Identifier: Apache-2.0
// One check per operation; each is defined in the file of its name beside this one.
#pragma once

#include "check/check.h"

namespace warpwright {

const OperationCheck& gemm_check();
const OperationCheck& quantized_gemm_check();
const OperationCheck& scaled_gemm_check();
const OperationCheck& grouped_gemm_check();
const OperationCheck& rmsnorm_check();
const OperationCheck& rope_check();
const OperationCheck& gated_activation_check();
const OperationCheck& embedding_check();
const OperationCheck& kv_append_check();
const OperationCheck& logits_check();
const OperationCheck& sample_check();
const OperationCheck& quantize_check();
const OperationCheck& dequantize_check();
const OperationCheck& amax_check();
const OperationCheck& moe_route_check();
const OperationCheck& moe_permute_check();
const OperationCheck& moe_count_check();
const OperationCheck& moe_combine_check();
const OperationCheck& scaling_check();
const OperationCheck& attention_check();
const OperationCheck& attention_merge_check();
const OperationCheck& merge_state_check();
const OperationCheck& gather_columns_check();
const OperationCheck& quantized_experts_check();
const OperationCheck& mla_check();
const OperationCheck& mask_bits_check();
const OperationCheck& index_logits_check();
const OperationCheck& index_topk_check();
const OperationCheck& latent_append_check();

}  // namespace warpwright
