/* SPDX-License-Identifier: Apache-2.0 */
/* The part of c.h that has the operations of a mixture of experts. Including it is
 * including c.h, which says how it is to be read. */
#ifndef WARPWRIGHT_C_H
#include "warpwright/c.h" /* which has this part in its place */
#endif
#ifndef WARPWRIGHT_C_MOE_H
#define WARPWRIGHT_C_MOE_H

/* What a router makes of a logit (expert_score.h). */
enum { WW_SCORE_SOFTMAX = 0, WW_SCORE_SIGMOID = 1, WW_SCORE_SQRT_SOFTPLUS = 2 };

/* ops/moe_route.h. */
typedef struct ww_moe_route {
    size_t struct_size;
    ww_tensor logits;          /* [tokens, experts] bf16, f16 or f32 */
    ww_tensor ids;             /* [tokens, top_k] i32, written */
    ww_tensor weights;         /* [tokens, top_k] f32, written */
    ww_tensor bias;            /* optional, [experts] f32: for the choice alone */
    ww_tensor table;           /* optional, [rows, top_k] i32: ids in place of choices */
    ww_tensor token_ids;       /* optional, with table: [tokens] i32, its rows */
    ww_tensor nan_count;       /* optional, [1] i32: the number of NaN logits is added to it */
    int64_t num_groups;        /* 0: 1 */
    int64_t top_groups;        /* 0: 1 */
    int32_t score;             /* WW_SCORE_SOFTMAX, ... */
    int32_t renormalize;       /* not 0: weights of a token sum to 1, before scale */
    float scale;               /* 0: 1 */
    int32_t groups_by_largest; /* not 0: groups by their largest choice; 0: by the sum of the two largest */
} ww_moe_route;
WW_API ww_status ww_prepare_moe_route(ww_context* context, const ww_moe_route* call, ww_prepared** prepared);
WW_API ww_status ww_run_moe_route(ww_context* context, const ww_moe_route* call, void* stream);

/* ops/moe_permute.h. */
typedef struct ww_moe_permute {
    size_t struct_size;
    ww_tensor ids;           /* [tokens, top_k] i32 */
    ww_tensor expert_map;    /* optional, [all experts] i32: the expert here, or -1 */
    ww_tensor row_of_slot;   /* [tokens, top_k] i32, written */
    ww_tensor token_of_row;  /* [rows] i32, written */
    ww_tensor expert_rows;   /* [experts] i32, written */
    ww_tensor expert_of_row; /* contiguous: [rows] i32, written; null: masked */
    ww_tensor chunk_counts;  /* optional, [ceil(slots / 1024), experts] i32, space */
    int64_t alignment;       /* contiguous; 0: 128 */
} ww_moe_permute;
WW_API ww_status ww_prepare_moe_permute(ww_context* context, const ww_moe_permute* call,
                                        ww_prepared** prepared);
WW_API ww_status ww_run_moe_permute(ww_context* context, const ww_moe_permute* call, void* stream);
/* Rows that are enough for any routing, contiguous; alignment 0: 128. */
WW_API int64_t ww_moe_rows(int64_t slots, int64_t experts, int64_t alignment);

/* ops/moe_combine.h. */
typedef struct ww_moe_combine {
    size_t struct_size;
    ww_tensor rows;        /* [all rows, width] bf16 or f16 */
    ww_tensor row_of_slot; /* [tokens, top_k] i32 */
    ww_tensor weights;     /* [tokens, top_k] f32 */
    ww_tensor out;         /* [tokens, width] like rows */
    ww_tensor base;        /* optional, like out; may be out */
} ww_moe_combine;
WW_API ww_status ww_prepare_moe_combine(ww_context* context, const ww_moe_combine* call,
                                        ww_prepared** prepared);
WW_API ww_status ww_run_moe_combine(ww_context* context, const ww_moe_combine* call, void* stream);

/* ops/grouped_gemm.h: products of rows with the weights of the group each is in. Groups by one of
 * group_of_row, rows_of_group and ids. */
typedef struct ww_grouped_gemm {
    size_t struct_size;
    ww_tensor a;             /* [rows, k] bf16 or f16; masked, without row_of_a, [groups, m, k] */
    ww_tensor b;             /* [groups, n, k] like a */
    ww_tensor b_gate;        /* optional, like b, with its strides */
    ww_tensor d;             /* [m, n] like a, or f32; masked [groups, m, n] */
    ww_tensor bias;          /* optional, [groups, n] like a */
    ww_tensor gate_bias;     /* optional, with b_gate: like bias, with its strides */
    ww_tensor residual;      /* optional, like d; may be d; not with b_gate */
    ww_tensor group_of_row;  /* contiguous: [m] i32 */
    ww_tensor rows_of_group; /* masked: [groups] i32 */
    ww_tensor row_of_a;      /* optional, [m] i32, masked [groups, m]: the row of a for each row of d */
    ww_tensor ids;           /* [tokens, top_k] i32: d has a row for each slot, with weights for each token */
    ww_tensor weights;       /* optional, [tokens, top_k] f32 */
    int64_t group_rows;      /* contiguous: what a group's first row is a multiple of; 0: 128 */
    int64_t expected_groups; /* that have rows; 0: all */
    int64_t expected_m;      /* rows of one of those; 0: as many as there is place for */
    int32_t activation;
    float limit; /* of a gated product's factors; 0: none */
    float alpha; /* 0: 1 */
    float up_offset;
    int32_t b_is_constant;    /* not 0: as in ww_gemm, of b and b_gate */
    int32_t ids_are_constant; /* not 0: the launch before this one writes no ids and weights, nor did the one
                               * before that */
} ww_grouped_gemm;
WW_API ww_status ww_prepare_grouped_gemm(ww_context* context, const ww_grouped_gemm* call,
                                         ww_prepared** prepared);
WW_API ww_status ww_run_grouped_gemm(ww_context* context, const ww_grouped_gemm* call, void* stream);

/* ops/moe_experts.h: from routed tokens to the experts' output, several launches. */
typedef struct ww_moe_experts {
    size_t struct_size;
    ww_tensor x;                  /* [tokens, hidden] bf16 or f16 */
    ww_tensor ids;                /* [tokens, top_k] i32 */
    ww_tensor weights;            /* [tokens, top_k] f32 */
    ww_tensor gate, up;           /* [experts, width, hidden] like x, with the same strides */
    ww_tensor down;               /* [experts, hidden, width] like x */
    ww_tensor gate_bias, up_bias; /* optional, [experts, width], both or none, with the same strides */
    ww_tensor down_bias;          /* optional, [experts, hidden] */
    ww_tensor out;                /* [tokens, hidden] like x */
    ww_tensor base;               /* optional, like out; may be out */
    ww_tensor workspace;          /* [ww_moe_experts_workspace_bytes] u8, at a multiple of 16 bytes */
    int32_t activation;           /* of the gate; WW_ACTIVATION_NONE: none */
    float limit;                  /* 0: none */
    float alpha;                  /* 0: 1 */
    float up_offset;
    int32_t weights_are_constant; /* not 0: as in ww_gemm, of all experts */
    int32_t reserved;
    /* All three instead of gate, up and down, or null: groups = experts, n = width of gate and up, hidden of
     * down. */
    const ww_quantized_weight* quantized_gate;
    const ww_quantized_weight* quantized_up;
    const ww_quantized_weight* quantized_down;
} ww_moe_experts;
WW_API ww_status ww_prepare_moe_experts(ww_context* context, const ww_moe_experts* call,
                                        ww_prepared** prepared);
WW_API ww_status ww_run_moe_experts(ww_context* context, const ww_moe_experts* call, void* stream);
/* Of the same sizes, or of fewer tokens. */
WW_API int64_t ww_moe_experts_workspace_bytes(int64_t tokens, int64_t top_k, int64_t experts, int64_t hidden,
                                              int64_t width);
/* With quantised weights. Places between experts' rows are read before anything is written there. */
WW_API int64_t ww_moe_experts_quantized_workspace_bytes(int64_t tokens, int64_t top_k, int64_t experts,
                                                        int64_t hidden, int64_t width);

#endif
