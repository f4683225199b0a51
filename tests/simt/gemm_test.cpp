// SPDX-License-Identifier: Apache-2.0
// gemm's kernels, thread by thread on the CPU: every bf16 tile shape, one f16 row, tails on every side, every
// epilogue. Inputs are small integers, so that sums are exact in any order.
#include "simt/collectives.h"
#include "simt/machine.h"
// The rest of the kernel's includes, under their real namespace.
#include <gtest/gtest.h>

#include <random>

#include "kernels/gemm/codes.cuh"
#include "kernels/gemm/epilogue.cuh"
#include "kernels/gemm/operation.h"
#include "kernels/gemm/rows.h"
#include "ptx/cp_async.cuh"
#include "ptx/launch.cuh"
#include "ptx/ldmatrix.cuh"
#include "ptx/mma.cuh"
#include "tile/swizzle.h"

#define WW_TARGET 3

// clang-format off
#define SIMT_KERNEL "kernels/gemm/portable.cuh"
#define WW_ROW 0
#include "simt/gemm_row.inl"
#define WW_ROW 1
#include "simt/gemm_row.inl"
#define WW_ROW 2
#include "simt/gemm_row.inl"
#define WW_ROW 3
#include "simt/gemm_row.inl"
#define WW_ROW 4
#include "simt/gemm_row.inl"
#define WW_ROW 5
#include "simt/gemm_row.inl"
#define WW_ROW 6
#include "simt/gemm_row.inl"
#define WW_ROW 7
#include "simt/gemm_row.inl"
#define WW_ROW 8
#include "simt/gemm_row.inl"
#define WW_ROW 9
#include "simt/gemm_row.inl"
#define WW_ROW 10
#include "simt/gemm_row.inl"
#define WW_ROW 11
#include "simt/gemm_row.inl"
#define WW_ROW 12
#include "simt/gemm_row.inl"
#define WW_ROW 13
#include "simt/gemm_row.inl"
#define WW_ROW 14
#include "simt/gemm_row.inl"
#define WW_ROW 15
#include "simt/gemm_row.inl"
#define WW_ROW 16
#include "simt/gemm_row.inl"
#define WW_ROW 17
#include "simt/gemm_row.inl"
#define WW_ROW 18
#include "simt/gemm_row.inl"
#define WW_ROW 19
#include "simt/gemm_row.inl"
#define WW_ROW 20
#include "simt/gemm_row.inl"
#define WW_ROW 21
#include "simt/gemm_row.inl"
#undef SIMT_KERNEL
#define SIMT_KERNEL "kernels/gemm/bandwidth.cuh"
#define WW_ROW 22
#include "simt/gemm_row.inl"
#define WW_ROW 23
#include "simt/gemm_row.inl"
#define WW_ROW 24
#include "simt/gemm_row.inl"
#define WW_ROW 25
#include "simt/gemm_row.inl"
#define WW_ROW 26
#include "simt/gemm_row.inl"
#define WW_ROW 27
#include "simt/gemm_row.inl"
#undef SIMT_KERNEL
#define SIMT_KERNEL "kernels/gemm/portable.cuh"
#define WW_ROW 44
#include "simt/gemm_row.inl"
#undef SIMT_KERNEL
#define SIMT_KERNEL "kernels/gemm/bandwidth.cuh"
#define WW_ROW 51
#include "simt/gemm_row.inl"
// clang-format on

namespace warpwright {
namespace {

using Entry = void (*)(const GemmArgs);

struct Kernel16 {
    int row;
    Entry entry;
};
const Kernel16 kKernels[] = {
    {0, row0_entry},   {1, row1_entry},   {2, row2_entry},   {3, row3_entry},   {4, row4_entry},
    {5, row5_entry},   {6, row6_entry},   {7, row7_entry},   {8, row8_entry},   {9, row9_entry},
    {10, row10_entry}, {11, row11_entry}, {12, row12_entry}, {13, row13_entry}, {14, row14_entry},
    {15, row15_entry}, {16, row16_entry}, {17, row17_entry}, {18, row18_entry}, {19, row19_entry},
    {20, row20_entry}, {21, row21_entry}, {22, row22_entry}, {23, row23_entry}, {24, row24_entry},
    {25, row25_entry}, {26, row26_entry}, {27, row27_entry}, {44, row44_entry}, {51, row51_entry},
};

struct Shape {
    i64 m, n, k;
    bool out_f32 = false, bias = false, gate = false, residual = false;
    Activation activation = Activation::none;
    i64 pad = 0;      // extra elements a row, of every matrix
    i64 out_pad = 0;  // more of them for d, gate and residual
};

class Matrix {
public:
    Matrix(std::mt19937& random, i64 rows, i64 columns, i64 stride, DType type)
        : stride(stride),
          type_(type),
          bytes_(static_cast<std::size_t>(rows * stride * dtype_bytes(type)) + 32) {
        void* start = bytes_.data();
        std::size_t space = bytes_.size();
        data = std::align(16, bytes_.size() - 32, start, space);
        for (i64 i = 0; i < rows * stride; ++i) {
            const bool inside = i % stride < columns;
            set(i, inside ? static_cast<float>(static_cast<int>(random() % 7) - 3) : std::nanf(""));
        }
    }
    float operator()(i64 row, i64 column) const { return load_float(data, type_, row * stride + column); }
    void set(i64 index, float value) { store_float(data, type_, index, value); }

    i64 stride;
    void* data;

private:
    DType type_;
    std::vector<std::byte> bytes_;
};

void run(const Kernel16& kernel, const Shape& shape) {
    const GemmRow& row = kGemmRows[kernel.row];
    SCOPED_TRACE(std::string(row.name.text) + " m=" + std::to_string(shape.m) +
                 " n=" + std::to_string(shape.n) + " k=" + std::to_string(shape.k));
    std::mt19937 random(7);
    const DType out_type = shape.out_f32 ? DType::f32 : row.dtype;
    const i64 k_stride = row.aligned ? round_up(shape.k, 8) + shape.pad : shape.k + shape.pad;
    const i64 n_stride = shape.n + shape.pad + shape.out_pad;
    Matrix a(random, shape.m, shape.k, k_stride, row.dtype), b(random, shape.n, shape.k, k_stride, row.dtype);
    Matrix bias(random, 1, shape.n, shape.n, row.dtype), gate(random, shape.m, shape.n, n_stride, row.dtype);
    Matrix residual(random, shape.m, shape.n, n_stride, out_type), d(random, shape.m, 0, n_stride, out_type);

    GemmArgs args{.a = a.data, .b = b.data, .d = d.data};
    if (shape.bias) args.bias = bias.data;
    if (shape.gate) args.gate = gate.data;
    if (shape.residual) args.residual = residual.data;
    args.a_stride = args.b_stride = k_stride;
    args.d_stride = args.gate_stride = args.residual_stride = n_stride;
    args.m = static_cast<i32>(shape.m), args.n = static_cast<i32>(shape.n),
    args.k = static_cast<i32>(shape.k);
    args.num_sms = 1;
    args.b_is_constant = shape.bias || shape.residual;
    args.activation = shape.activation;
    args.out_f32 = shape.out_f32;
    args.out_aligned = n_stride % 8 == 0;

    const GemmProblem problem{.m = shape.m, .n = shape.n, .k = shape.k, .dtype = row.dtype, .out = out_type};
    const LaunchConfig config = GemmOp::launch_config(row, {}, problem);
    simt::machine.bank_conflicts = 0;
    gridDim.x = config.grid.x;
    for (u32 block = 0; block < config.grid.x; ++block) {
        simt::run_block(static_cast<int>(config.block.x), block, [&] { kernel.entry(args); });
    }
    EXPECT_EQ(simt::machine.bank_conflicts, 0);

    int wrong = 0;
    for (i64 m = 0; m < shape.m; ++m) {
        for (i64 n = 0; n < n_stride; ++n) {
            if (n >= shape.n) {
                wrong += !std::isnan(d(m, n));
                continue;
            }
            float expected = 0;
            for (i64 k = 0; k < shape.k; ++k) expected += a(m, k) * b(n, k);
            if (shape.bias) expected += bias(0, n);
            expected = shape.gate ? activate(shape.activation, gate(m, n)) * expected
                                  : activate(shape.activation, expected);
            if (shape.residual) expected += residual(m, n);
            const float got = d(m, n), wanted = round_to(out_type, expected);
            const float slack = shape.activation == Activation::none ? 0 : std::abs(wanted) / 64 + 1e-5f;
            if (!(std::abs(got - wanted) <= slack) && ++wrong <= 3) {
                ADD_FAILURE() << "d[" << m << "," << n << "] is " << got << ", expected " << wanted;
            }
        }
    }
    EXPECT_EQ(wrong, 0);
}

TEST(SimtGemm, EveryKernelWithTails) {
    for (const Kernel16& kernel : kKernels) {
        const GemmRow& row = kGemmRows[kernel.row];
        const i64 m = row.max_m > 0 ? row.max_m : row.tile_m + 5;
        run(kernel, {.m = m, .n = row.tile_n + 9, .k = row.tile_k + 24, .bias = true});
        run(kernel, {.m = 1, .n = 1, .k = 8, .pad = 8});
        run(kernel,
            {.m = 3, .n = row.tile_n, .k = row.tile_k * row.warps_k * (row.stages + 2), .residual = true});
        run(kernel, {.m = m - 1,
                     .n = 24,
                     .k = row.tile_k * 2 + 8,
                     .out_f32 = true,
                     .gate = true,
                     .residual = true,
                     .activation = Activation::silu});
        if (row.max_m == 0) {
            run(kernel,
                {.m = 17, .n = 37, .k = row.tile_k * 3 + 13, .bias = true, .pad = row.aligned ? 8 : 1});
            run(kernel, {.m = 1, .n = 40, .k = 1, .activation = Activation::gelu});
            // Tiles that all exist, then k's end; a block of them beside one with a single row.
            run(kernel, {.m = row.tile_m + 1, .n = row.tile_n, .k = row.tile_k * (row.stages + 1) + 8});
        } else {
            run(kernel,
                {.m = 2, .n = 37, .k = 4 * row.tile_k * row.warps_k + 40, .bias = true, .out_pad = 3});
        }
        run(kernel, {.m = 2, .n = 40, .k = 16, .activation = Activation::gelu_tanh, .out_pad = 1});
    }
}

// Blocks are numbered in groups of rows: every tile is somebody's.
TEST(SimtGemm, ManyBlocks) {
    const Kernel16* any = &kKernels[15];  // 32x32x128.k4: 64 blocks high are one group
    run(*any, {.m = 70 * 32 - 3, .n = 70, .k = 8});
}

}  // namespace
}  // namespace warpwright
