// SPDX-License-Identifier: Apache-2.0
// One call made in C and in C++: both do the same to memory of the same content, to the bit.
#pragma once

#include <cmath>
#include <cstring>
#include <deque>
#include <random>
#include <vector>

#include "kernels/host_math.h"
#include "library/c_calls.h"
#include "warpwright/context.h"

namespace warpwright {

// Tensors with the same content for every arena that is filled alike.
class Arena {
public:
    Tensor reals(DType dtype, std::initializer_list<i64> shape) {
        Tensor tensor = empty(dtype, shape);
        std::normal_distribution<float> values;
        for (i64 i = 0; i < tensor.num_elements(); ++i) store_float(tensor.data, dtype, i, values(random_));
        return tensor;
    }
    Tensor ints(std::initializer_list<i64> shape, const std::vector<i32>& values) {
        Tensor tensor = empty(DType::i32, shape);
        std::memcpy(tensor.data, values.data(), values.size() * sizeof(i32));
        return tensor;
    }
    // As reals, but from 2^-3 to 2^3 and positive: scales.
    Tensor scales(std::initializer_list<i64> shape) {
        Tensor tensor = empty(DType::f32, shape);
        std::uniform_real_distribution<float> exponents(-3, 3);
        for (i64 i = 0; i < tensor.num_elements(); ++i)
            store_float(tensor.data, DType::f32, i, std::exp2(exponents(random_)));
        return tensor;
    }
    // Bytes from `low` to `high`: codes.
    Tensor bytes(std::initializer_list<i64> shape, int low = 0, int high = 255) {
        Tensor tensor = empty(DType::u8, shape);
        std::uniform_int_distribution<int> values(low, high);
        for (i64 i = 0; i < tensor.num_elements(); ++i)
            static_cast<u8*>(tensor.data)[i] = static_cast<u8>(values(random_));
        return tensor;
    }
    const std::deque<std::vector<std::byte>>& buffers() const { return buffers_; }

private:
    Tensor empty(DType dtype, std::initializer_list<i64> shape) {
        Tensor tensor = Tensor::dense(nullptr, dtype, shape);
        auto& buffer =
            buffers_.emplace_back(static_cast<std::size_t>(tensor.num_elements() * dtype_bytes(dtype)) + 16);
        tensor.data = buffer.data();
        return tensor;
    }

    std::mt19937 random_{7};
    std::deque<std::vector<std::byte>> buffers_;
};

// make(arena) -> the C++ call; to_c(call) -> the C one.
template <class Make, class ToC, class Run, class Prepare, class CppRun>
void expect_the_same(Make make, ToC to_c, Run run, Prepare prepare_c, CppRun run_cpp) {
    Arena untouched, cpp, c, prepared;
    make(untouched);
    auto context = *Context::open("cpu");
    const Status status = run_cpp(*context, Stream{}, make(cpp));
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_NE(cpp.buffers(), untouched.buffers()) << "the operation wrote nothing";

    const ContextHandle handle = open_context("cpu");
    const auto call = to_c(make(c));
    ASSERT_WW_OK(run(handle.get(), &call, nullptr));
    EXPECT_EQ(c.buffers(), cpp.buffers());

    const auto later = to_c(make(prepared));
    ww_prepared* launches = nullptr;
    ASSERT_WW_OK(prepare_c(handle.get(), &later, &launches));
    const PreparedHandle owner(launches);
    EXPECT_EQ(prepared.buffers(), untouched.buffers()) << "preparing ran the operation";
    ASSERT_GT(ww_prepared_num_launches(launches), 0);
    ASSERT_WW_OK(ww_launch(launches, nullptr));
    EXPECT_EQ(prepared.buffers(), cpp.buffers());
}

}  // namespace warpwright
