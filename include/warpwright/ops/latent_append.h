// SPDX-License-Identifier: Apache-2.0
// Quantises what latent attention keeps of new tokens and writes it into pages: latent rows into the records
// that mla reads (FlashMLA's; vLLM's concat_and_cache_mla for fp8_ds_mla), or an indexer's keys into the
// pages that index_logits reads (DeepGEMM's; vLLM's indexer_k_quant_and_cache). Which token goes where is
// kv_append's rule.
//
// Each 128 numbers that become codes of e4m3 have a scale in fp32. Codes and scales are defined to the bit,
// on every device:
//     amax  = max(largest |x| of the 128, least_amax)
//     scale = max(amax / 448, 2^-126), divided in fp32 and rounded to nearest even; or, power_of_two, the
//             smallest power of two that is not below that
//     code  = round(x / scale), as kv_append's
// So 128 zeros have the scale 2^-126 and codes of zeros. An infinity counts as the largest fp32 number; its
// code is the largest. Of numbers with a NaN the scale is NaN (0x7fffffff) and all codes are (0x7f), so that
// whoever reads the token gets NaN.
//
// That is what vLLM's two kernels compute of finite numbers, with least_amax 0 (records) and 1e-4 (keys).
// They leave a NaN out of amax, so that only its own code is NaN.
#pragma once

#include "warpwright/context.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

struct LatentAppend {
    // [tokens, 576], latent rows: 512 numbers that become codes, then 64 of the rotated key, which are kept
    // as they are. Or [tokens, 128], keys. bf16 or f16.
    Tensor x;
    Tensor sequences;   // [tokens] i32
    Tensor positions;   // [tokens] i32; negative: padding, not written
    Tensor page_table;  // [sequences, max_pages] i32

    // Of rows [pages, page_size, 656] u8, of keys [pages, page_size, 132] u8, as mla's and index_logits'
    // cache; page_size a power of two.
    Tensor pages;
    ScaleType scale = ScaleType::f32;  // or power_of_two: DeepSeek's ue8m0
    float least_amax = 0;
};

Status prepare(Context& context, const LatentAppend& call, Prepared& prepared);
Status latent_append(Context& context, Stream stream, const LatentAppend& call);

}  // namespace warpwright
