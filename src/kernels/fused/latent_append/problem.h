// SPDX-License-Identifier: Apache-2.0
// Writes what latent attention keeps of new tokens into pages, as codes; the definition is in
// include/warpwright/ops/latent_append.h.
#pragma once

#include "kernels/attention/index_logits/problem.h"
#include "kernels/attention/mla/problem.h"
#include "kernels/fused/quantize/exponent.h"
#include "kernels/fused/quantize/problem.h"

namespace warpwright {

// What pages hold: records of latent rows, as mla reads them, or keys, as index_logits does.
enum class LatentPages : u8 { records, index_keys };

constexpr const char* enum_text(LatentPages pages) {
    return pages == LatentPages::records ? "records" : "index_keys";
}

// Numbers of a token, and how many of them become codes; the others are kept as they are.
constexpr int columns_of(LatentPages pages) {
    return pages == LatentPages::records ? kMlaKeyDim : kIndexDim;
}
constexpr int coded_columns_of(LatentPages pages) {
    return pages == LatentPages::records ? kMlaValueDim : kIndexDim;
}
constexpr int record_bytes_of(LatentPages pages) {
    return pages == LatentPages::records ? kMlaRecordBytes : kIndexRecordBytes;
}

constexpr int kLatentGroup = 128;  // numbers that share a scale
static_assert(kLatentGroup == kMlaGroup && kLatentGroup == kIndexDim);

// A token in groups; the last one of a record is of numbers that are kept.
constexpr int groups_of(LatentPages pages) {
    return (columns_of(pages) + kLatentGroup - 1) / kLatentGroup;
}

struct LatentAppendProblem {
    i64 tokens = 1;
    LatentPages pages = LatentPages::records;
    i64 page_size = 64;
    DType dtype = DType::bf16;
    ScaleType scale = ScaleType::f32;
    i64 alignment_bytes = 16;  // what the start of every row of x and of the pages is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("tokens", self.tokens);
        v("pages", self.pages);
        v("page_size", self.page_size);
        v("dtype", self.dtype);
        v("scale", self.scale);
        v("alignment_bytes", self.alignment_bytes);
    }
    constexpr LatentAppendProblem canonical() const {
        LatentAppendProblem problem = *this;
        problem.tokens = 128;
        return problem;
    }
};

struct LatentAppendArgs {
    const void* x;          // [tokens, columns]
    u8* pages;              // where token t goes: pages + page x page_stride + slot x token_stride
    const i32* sequences;   // [tokens]
    const i32* positions;   // [tokens]; negative: padding, not written
    const i32* page_table;  // [sequences, max_pages]
    i64 x_stride;           // elements
    i64 page_stride;        // bytes, as all below
    i64 page_table_stride;  // elements

    // Codes begin where a token does. Its first scale is at page + scales_at + slot x scale_stride.
    i64 scales_at;
    i32 token_stride, scale_stride;
    i32 kept_at;  // of the token: its numbers from coded_columns on

    i32 tokens;
    i32 columns, coded_columns;
    i32 groups;      // of a token
    i32 page_shift;  // log2 of the page size
    float least_amax;
    DType dtype;
    ScaleType scale;
};

// The smallest power of two with amax <= 448 x scale that is no subnormal number. Both are fp32's bits.
constexpr u32 power_of_two_scale(u32 amax) {
    const int exponent = scale_exponent(facts_of(CodeType::e4m3), amax, true);
    return static_cast<u32>(exponent < 1 ? 1 : exponent) << 23;
}

constexpr float kLeastLatentScale = 0x1p-126f;
constexpr u32 kNanLatentScale = 0x7fffffff;  // fp32's bits

}  // namespace warpwright
