// SPDX-License-Identifier: Apache-2.0
// sample's kernel, thread by thread on the CPU. Its tokens equal the host row's, bit for bit: draw.h promises
// it. The shapes take every way through the kernel: all collected, too flat to collect, ties, special values.
#include "simt/machine.h"
// Static shared memory: one object for all threads of the block.
#undef __shared__
#define __shared__ static
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "device/host_threads.h"
#include "kernels/fused/sample/operation.h"
#include "kernels/fused/sample/philox.h"
#include "kernels/host_math.h"
#include "ptx/convert.cuh"
#include "ptx/launch.cuh"
#include "ptx/memory.cuh"
#include "simt/collectives.h"
#include "tile/reduce.cuh"

#define WW_TARGET 3
// clang-format off
namespace vectors_f32 { using namespace warpwright; }
#define warpwright vectors_f32
#define WW_ROW 0
#define WW_ENTRY vectors_f32_entry
#include "kernels/fused/sample/portable.cuh"
#undef warpwright
#undef WW_ROW
#undef WW_ENTRY
namespace any_f32 { using namespace warpwright; }
#define warpwright any_f32
#define WW_ROW 1
#define WW_ENTRY any_f32_entry
#include "kernels/fused/sample/portable.cuh"
#undef warpwright
#undef WW_ROW
#undef WW_ENTRY
namespace vectors_bf16 { using namespace warpwright; }
#define warpwright vectors_bf16
#define WW_ROW 2
#define WW_ENTRY vectors_bf16_entry
#include "kernels/fused/sample/portable.cuh"
#undef warpwright
#undef WW_ROW
#undef WW_ENTRY
// clang-format on

namespace warpwright {
namespace {

struct Settings {
    float temperature;
    i32 top_k;
    float top_p, min_p;
};
constexpr Settings kSettings[] = {
    {0, 0, 1, 0},       {1, 0, 1, 0},        {1, 50, 1, 0},         {1, 3000, 1, 0},     {1, 0, 0.9f, 0},
    {0.8f, 0, 0.2f, 0}, {1, 900, 0.6f, 0},   {1.2f, 3000, 0.5f, 0}, {1, 0, 1, 0.1f},     {1, 40, 0.9f, 0.05f},
    {1, 0, 0, 0},       {100, 0, 0.999f, 0}, {1e-3f, 5, 0.5f, 0},   {1e38f, 0, 0.5f, 0},
};

// Shapes: 0 peaked, 1 flat, 2 full of ties, 3 with -inf and NaN.
void expect_equal_tokens(const SampleRow& row, void (*entry)(SampleArgs), i32 vocabulary,
                         std::initializer_list<int> shapes) {
    HostThreads threads(1);
    SampleRow host{.arch = ArchClass::host, .dtype = row.dtype};
    std::mt19937 random(static_cast<unsigned>(vocabulary));
    const auto count = static_cast<std::size_t>(vocabulary);
    alignas(16) static float storage[1 << 14];
    const float infinity = std::numeric_limits<float>::infinity();
    for (int shape : shapes) {
        std::normal_distribution<float> normal(0, shape == 1 ? 0.02f : 2.0f);
        for (std::size_t i = 0; i < count; ++i) {
            float logit = normal(random);
            if (shape == 2) logit = std::round(logit);
            if (shape == 3 && i % 3 == 0) logit = i % 2 == 0 ? -infinity : std::nanf("");
            store_float(storage, row.dtype, static_cast<i64>(i), logit);
        }
        for (const Settings& settings : kSettings) {
            const i32 seeds[] = {static_cast<i32>(random()), static_cast<i32>(random())};
            const i32 step = shape;
            i32 expected = -1, token = -1;
            SampleArgs args{.logits = storage,
                            .temperature = &settings.temperature,
                            .top_k = &settings.top_k,
                            .top_p = &settings.top_p,
                            .min_p = &settings.min_p,
                            .seeds = seeds,
                            .steps = &step,
                            .tokens = &expected,
                            .logits_stride = vocabulary,
                            .seeds_stride = 2,
                            .rows = 1,
                            .vocabulary = vocabulary};
            SampleOp::host_function(host)(&args, threads);
            args.tokens = &token;
            simt::run_block(row.threads, 0, [&] { entry(args); });
            EXPECT_EQ(token, expected)
                << row.name.text << ", vocabulary " << vocabulary << ", shape " << shape << ", top_k "
                << settings.top_k << ", top_p " << settings.top_p;
        }
    }
}

TEST(SampleKernel, DrawsTheHostRowsTokens) {
    expect_equal_tokens(kSampleRows[0], vectors_f32_entry, 9000, {0, 1, 2, 3});
    expect_equal_tokens(kSampleRows[1], any_f32_entry, 5003, {3});
    expect_equal_tokens(kSampleRows[1], any_f32_entry, 1, {0});
    expect_equal_tokens(kSampleRows[2], vectors_bf16_entry, 9000, {1});
}

}  // namespace
}  // namespace warpwright
