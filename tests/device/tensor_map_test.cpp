// SPDX-License-Identifier: Apache-2.0
#include "device/tensor_map.h"

#include <gtest/gtest.h>

#include <string>

namespace warpwright {
namespace {

TensorMapSpec valid() {
    alignas(16) static float data[64 * 64];
    TensorMapSpec spec;
    spec.base = data;
    spec.dtype = DType::f32;
    spec.rank = 2;
    spec.extent[0] = 64;
    spec.extent[1] = 64;
    spec.stride_bytes[1] = 256;
    spec.box[0] = 32;
    spec.box[1] = 8;
    spec.swizzle_bytes = 128;
    return spec;
}

template <class Change>
std::string refusal(Change change) {
    TensorMapSpec spec = valid();
    change(spec);
    const Status status = check_tensor_map(spec);
    if (!status.ok()) {
        EXPECT_EQ(status.kind(), ErrorKind::caller);
    }
    return status.message();
}

TEST(TensorMap, EveryRefusalNamesTheFieldAndBothValues) {
    EXPECT_EQ(refusal([](auto&) {}), "");
    EXPECT_EQ(refusal([](auto& spec) { spec.rank = 6; }), "tensor map: rank is 6, expected 1 to 5");
    EXPECT_EQ(refusal([](auto& spec) { spec.base = reinterpret_cast<const void*>(0x1008); }),
              "tensor map: base is 0x1008, expected a multiple of 16 bytes");
    EXPECT_EQ(refusal([](auto& spec) { spec.swizzle_bytes = 48; }),
              "tensor map: swizzle_bytes is 48, expected 0, 32, 64 or 128");
    EXPECT_EQ(refusal([](auto& spec) { spec.extent[1] = 0; }),
              "tensor map: extent[1] is 0, expected 1 to 2^32");
    EXPECT_EQ(refusal([](auto& spec) { spec.box[1] = 257; }), "tensor map: box[1] is 257, expected 1 to 256");
    EXPECT_EQ(refusal([](auto& spec) { spec.stride_bytes[1] = 264; }),
              "tensor map: stride_bytes[1] is 264, expected a multiple of 16 below 2^40");
    EXPECT_EQ(refusal([](auto& spec) { spec.box[0] = 30; }),
              "tensor map: box[0] is 120 bytes, expected a multiple of 16");
    EXPECT_EQ(refusal([](auto& spec) { spec.box[0] = 64; }),
              "tensor map: box[0] is 256 bytes, expected at most swizzle_bytes = 128");
}

}  // namespace
}  // namespace warpwright
