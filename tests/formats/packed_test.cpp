// SPDX-License-Identifier: Apache-2.0
// What readers make is what packers for kernels take: every golden, into the kernels' layout and back, is the
// same.
#include <cmath>

#include "golden.h"
#include "kernels/quantized_gemm/pack.h"

namespace warpwright::test {
namespace {

std::vector<float> numbers_of(const formats::QuantizedMatrix& matrix) {
    std::vector<float> values(static_cast<std::size_t>(matrix.rows * matrix.columns));
    dequantise(matrix, values.data());
    return values;
}

TEST(Packed, EveryGoldenFitsTheKernels) {
    int num_packed = 0;
    for (const auto& [name, entry] : goldens().items()) {
        if (name == "gpt_oss_mxfp4") continue;
        SCOPED_TRACE(name);
        const Golden golden = Golden::open(name);
        const auto weight = open_golden(golden, golden.config);
        ASSERT_TRUE(weight.ok()) << weight.status().message();
        const auto matrix = read_rows(*weight, 0, weight->rows);
        ASSERT_TRUE(matrix.ok()) << matrix.status().message();
        const auto packed = pack_weight(*matrix);
        ASSERT_TRUE(packed.ok()) << packed.status().message();
        const std::vector<float> expected = numbers_of(*matrix), found = numbers_of(unpack_weight(*packed));
        ASSERT_EQ(found.size(), expected.size());
        // Kernels multiply by the reciprocal of a divisor: that, and its product with a scale, are rounded
        // once more.
        const float rounding = weight->global_divides ? 0x1p-22F : 0;
        int num_wrong = 0;
        for (std::size_t i = 0; i < found.size(); ++i) {
            num_wrong += !(std::abs(found[i] - expected[i]) <= rounding * std::abs(expected[i]));
        }
        EXPECT_EQ(num_wrong, 0);
        ++num_packed;
    }
    EXPECT_EQ(num_packed, 35);
}

}  // namespace
}  // namespace warpwright::test
