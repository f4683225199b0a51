/* SPDX-License-Identifier: Apache-2.0 */
/* The part of c.h that has the operations on codes and scales. Including it is
 * including c.h, which says how it is to be read. */
#ifndef WARPWRIGHT_C_H
#include "warpwright/c.h" /* which has this part in its place */
#endif
#ifndef WARPWRIGHT_C_QUANTIZED_H
#define WARPWRIGHT_C_QUANTIZED_H

/* ops/quantize.h. */
typedef struct ww_quantize {
    size_t struct_size;
    ww_tensor x;      /* [rows, columns] bf16 or f16 */
    ww_tensor codes;  /* [rows, columns] u8, of e2m1 [rows, columns / 2] */
    ww_tensor scales; /* [ceil(rows / group_rows), ceil(columns / group_columns)] f32, or u8 where they are
                       * codes; any strides. Swizzled: dense, both rounded up, to 128 and 4 */
    ww_tensor global_scale; /* optional, NVFP4: [1] f32 */
    /* [512] f32, space; where one scale is computed for the whole tensor. */
    ww_tensor amax_parts;
    ww_quantize_format format;
    int32_t swizzled;    /* not 0: scales lie as block-scaled tensor cores read them */
    int32_t given_scale; /* not 0: one scale for the whole tensor, which is read */
    float least_amax;
    int32_t reserved;
} ww_quantize;
WW_API ww_status ww_prepare_quantize(ww_context* context, const ww_quantize* call, ww_prepared** prepared);
WW_API ww_status ww_run_quantize(ww_context* context, const ww_quantize* call, void* stream);

/* ops/dequantize.h. */
typedef struct ww_dequantize {
    size_t struct_size;
    ww_tensor codes;        /* as ww_quantize's */
    ww_tensor scales;       /* as ww_quantize's */
    ww_tensor global_scale; /* optional, NVFP4: [1] f32 */
    ww_tensor out;          /* [rows, columns] bf16, f16 or f32 */
    ww_quantize_format format;
    int32_t swizzled;
    int32_t reserved;
} ww_dequantize;
WW_API ww_status ww_prepare_dequantize(ww_context* context, const ww_dequantize* call,
                                       ww_prepared** prepared);
WW_API ww_status ww_run_dequantize(ww_context* context, const ww_dequantize* call, void* stream);

/* ops/amax.h: the largest of out is the largest |x|. */
typedef struct ww_amax {
    size_t struct_size;
    ww_tensor x;   /* [rows, columns] bf16 or f16 */
    ww_tensor out; /* [parts] f32; 512 keep every GPU busy */
} ww_amax;
WW_API ww_status ww_prepare_amax(ww_context* context, const ww_amax* call, ww_prepared** prepared);
WW_API ww_status ww_run_amax(ww_context* context, const ww_amax* call, void* stream);

/* ops/scaling.h: delayed scaling. */
typedef struct ww_scaling {
    size_t struct_size;
    ww_tensor amax_history; /* [length, tensors] f32, read and written */
    ww_tensor scale;        /* [tensors] f32, read and written */
    ww_tensor scale_inv;    /* [tensors] f32 */
    int32_t code;           /* WW_CODE_E4M3, ... */
    int32_t margin;         /* -64 to 64 */
    int32_t most_recent;    /* not 0: by the last amax; 0: by the largest of the history */
    int32_t reserved;
} ww_scaling;
WW_API ww_status ww_prepare_scaling(ww_context* context, const ww_scaling* call, ww_prepared** prepared);
WW_API ww_status ww_run_scaling(ww_context* context, const ww_scaling* call, void* stream);

/* How a packed weight's elements are stored (weight_format.h). */
enum { WW_INT4 = 0, WW_INT8 = 1, WW_FP8_E4M3 = 2, WW_MXFP4 = 3, WW_NVFP4 = 4 };

/* In the layout that kernels read: ww_pack_weight makes it. Every tensor is dense and starts at a multiple of
 * 16 bytes. */
typedef struct ww_quantized_weight {
    size_t struct_size;
    int32_t format;     /* WW_INT4, ... */
    float global_scale; /* times every weight; 0: 1 */
    int64_t groups;     /* weights of one shape, one after another in each of the tensors; 0: 1 */
    int64_t n, k;
    int64_t group;           /* elements of k that share a scale; 0: the whole row */
    ww_tensor data;          /* [bytes] u8 */
    ww_tensor scales;        /* [scales] bf16, f16 or f32; u8 of WW_MXFP4 and WW_NVFP4 */
    ww_tensor zeros;         /* optional, [scales] u8 */
    ww_tensor order;         /* optional, [groups * k] i32: the column of a for each k */
    ww_tensor global_scales; /* optional, [groups] f32: in place of global_scale */
} ww_quantized_weight;

/* ops/quantized_gemm.h: d = epilogue(a w^T). */
typedef struct ww_quantized_gemm {
    size_t struct_size;
    ww_tensor a; /* [m, k] bf16 or f16 */
    const ww_quantized_weight* b;
    ww_tensor d;        /* [m, n] like a, or f32; u8, not of groups: codes, by d_scale */
    ww_tensor bias;     /* optional, [n] like a; of groups [groups, n] */
    ww_tensor gate;     /* optional, [m, n] like a; may be d */
    ww_tensor residual; /* optional, [m, n] like d, with codes like a; may be d */
    /* Rows in groups (grouping.h), each with a weight of b; at most one of these. */
    ww_tensor group_of_row;  /* contiguous: [m] i32 */
    ww_tensor rows_of_group; /* masked: [groups] i32; a, d, gate and residual are [groups, m, ...] */
    int64_t expected_m;      /* rows that a group is expected to have; 0: as many as there is place for */
    int32_t activation;
    int32_t b_is_constant; /* not 0: as in ww_gemm, of all tensors of b */
    ww_tensor d_scale;     /* these as in ww_gemm */
    ww_tensor d_amax;
    int32_t d_code;
    int32_t reserved;
    int64_t expected_groups; /* that have rows; 0: all */
    /* Optional, where b has an order: [bytes] u8 at a multiple of 16 bytes, as many as a's elements have. */
    ww_tensor workspace;
} ww_quantized_gemm;
WW_API ww_status ww_prepare_quantized_gemm(ww_context* context, const ww_quantized_gemm* call,
                                           ww_prepared** prepared);
WW_API ww_status ww_run_quantized_gemm(ww_context* context, const ww_quantized_gemm* call, void* stream);

/* Codes of a weight as a checkpoint has them, unpacked: unsigned with a zero point, i8 in two's complement,
 * or floating-point. */
enum {
    WW_PLAIN_U2 = 0,
    WW_PLAIN_U3 = 1,
    WW_PLAIN_U4 = 2,
    WW_PLAIN_U8 = 3,
    WW_PLAIN_I8 = 4,
    WW_PLAIN_E4M3 = 5,
    WW_PLAIN_E2M1 = 6
};

/* w[n, k] = (code[n, k] - zero[n, g]) x scale[n, g], in memory of the host, with any strides. With a leading
 * dimension of groups in all tensors: a weight for each. */
typedef struct ww_plain_weight {
    size_t struct_size;
    ww_tensor codes;         /* [n, k] u8, a byte each; of e2m1 [n, k / 2], the even k in the low half */
    ww_tensor scales;        /* [ceil(n / group_rows), ceil(k / group_columns)] f32, bf16 or f16; u8
                              * of e2m1 and MXFP8 */
    ww_tensor zeros;         /* optional, like scales, u8 or i32; none: 2, 4, 8, 128 of u2 to u8, 0 of i8 */
    ww_tensor column_group;  /* optional, [k] i32: act-order; none: k / group_columns */
    ww_tensor global_scales; /* optional, e2m1: [1] f32, of groups [groups]: NVFP4's, multipliers */
    int32_t code;            /* WW_PLAIN_U2, ... */
    int32_t scale;           /* of e2m1 WW_SCALE_E8M0 (MXFP4) or WW_SCALE_E4M3 (NVFP4), of MXFP8's e4m3
                              * WW_SCALE_E8M0; else 0 */
    int64_t group_rows;      /* 0: all */
    int64_t group_columns;   /* 0: all; else a power of two from 32 on that divides k; MXFP4 32, NVFP4 16 */
} ww_plain_weight;

/* Packs: *packed is the library's, its struct_size too, and its tensors are memory of the host: copy them to
 * a GPU, or use them as they are on "cpu". u2, u3 and u4 become WW_INT4, u8 and i8 WW_INT8, e2m1 WW_MXFP4 or
 * WW_NVFP4 by its scales. Nothing is rounded: scales become bf16 or f16 where that holds all of them, else
 * f32. Errors: sizes that disagree, a group that does not divide k, a scale that is NaN, infinite, zero or
 * negative, a code or zero point that the format has not: each with its name and place. */
WW_API ww_status ww_pack_weight(const ww_plain_weight* weight, const ww_quantized_weight** packed);
WW_API void ww_quantized_weight_free(const ww_quantized_weight* packed);

/* Rounding to nearest, as compressed-tensors does it, in memory of the host: symmetric, or with zero points
 * where they are given. */
typedef struct ww_weight_rounding {
    size_t struct_size;
    ww_tensor weight; /* [n, k] f32, bf16 or f16, finite */
    ww_tensor codes;  /* [n, k] u8, written */
    ww_tensor scales; /* [n, ceil(k / group_columns)] f32, bf16 or f16, written: rounded to that first */
    ww_tensor zeros;  /* optional, like scales, u8, written */
    int32_t code;     /* WW_PLAIN_U2, WW_PLAIN_U3, WW_PLAIN_U4 or WW_PLAIN_U8 */
    int32_t reserved;
    int64_t group_columns; /* 0: all */
} ww_weight_rounding;
WW_API ww_status ww_round_weight(const ww_weight_rounding* call);

/* ops/scaled_gemm.h: d = epilogue(a b^T) of codes with scales. */
typedef struct ww_scaled_gemm {
    size_t struct_size;
    ww_tensor a;        /* [m, k] u8 */
    ww_tensor b;        /* [n, k] u8; of groups [groups, n, k] */
    ww_tensor a_scales; /* as ww_quantize's; masked with a leading dimension of groups */
    ww_tensor b_scales; /* as ww_quantize's; of groups with a leading dimension of them */
    ww_tensor d;        /* [m, n] bf16, f16 or f32; u8, not of groups: codes, by d_scale */
    ww_tensor bias;     /* optional, [n] bf16 or f16: d's type if it is one of them; of groups [groups, n] */
    ww_tensor gate;     /* optional, [m, n] of bias's type */
    ww_tensor residual; /* optional, [m, n] like d, with codes of bias's type; may be d */
    ww_tensor a_zeros;  /* optional, i8: [m] or [1] i32 */
    ww_tensor b_sums;   /* with a_zeros: [n] i32, the sum of each row of b; of groups [groups, n] */
    /* Rows in groups, as in ww_quantized_gemm. */
    ww_tensor group_of_row;
    ww_tensor rows_of_group;
    ww_quantize_format a_format;
    ww_quantize_format b_format;
    int64_t expected_m;
    int32_t activation;
    int32_t b_is_constant;
    ww_tensor d_scale; /* these as in ww_gemm */
    ww_tensor d_amax;
    int32_t d_code;
    int32_t reserved;
} ww_scaled_gemm;
WW_API ww_status ww_prepare_scaled_gemm(ww_context* context, const ww_scaled_gemm* call,
                                        ww_prepared** prepared);
WW_API ww_status ww_run_scaled_gemm(ww_context* context, const ww_scaled_gemm* call, void* stream);

#endif
