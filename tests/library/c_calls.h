// SPDX-License-Identifier: Apache-2.0
// Shorthands for tests of the C ABI. They link libwarpwright.so, and the C++ library for what is to be the
// same.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "warpwright/c.h"
#include "warpwright/ops/quantized_output.h"
#include "warpwright/tensor.h"

namespace warpwright {

#define EXPECT_WW_OK(call) EXPECT_EQ((call), WW_OK) << ww_last_error()
#define ASSERT_WW_OK(call) ASSERT_EQ((call), WW_OK) << ww_last_error()

struct CloseContext {
    void operator()(ww_context* context) const { ww_context_close(context); }
};
using ContextHandle = std::unique_ptr<ww_context, CloseContext>;

inline ContextHandle open_context(const char* device, const ww_context_options* options = nullptr) {
    ww_context* context = nullptr;
    EXPECT_WW_OK(ww_context_open(device, options, &context)) << device;
    return ContextHandle(context);
}

struct FreePrepared {
    void operator()(ww_prepared* prepared) const { ww_prepared_free(prepared); }
};
using PreparedHandle = std::unique_ptr<ww_prepared, FreePrepared>;

inline ww_tensor c_tensor(const Tensor& tensor) {
    ww_tensor c{};
    c.data = tensor.data;
    c.dtype = static_cast<int32_t>(tensor.dtype);
    c.rank = tensor.rank;
    for (int i = 0; i < tensor.rank; ++i) {
        c.shape[i] = tensor.shape[i];
        c.stride[i] = tensor.stride[i];
    }
    return c;
}

inline ww_quantize_format c_format(const QuantizeFormat& format) {
    return {static_cast<int32_t>(format.code), static_cast<int32_t>(format.scale), format.group_rows,
            format.group_columns};
}

inline ww_quantized_output c_output(const QuantizedOutput& output) {
    ww_quantized_output c{sizeof(ww_quantized_output)};
    c.codes = c_tensor(output.codes), c.scales = c_tensor(output.scales);
    c.global_scale = c_tensor(output.global_scale), c.amax = c_tensor(output.amax);
    c.format = c_format(output.format);
    c.swizzled = output.swizzled;
    c.given_scale = output.given_scale;
    c.least_amax = output.least_amax;
    return c;
}

// A string that the library hands out.
template <class Call>
std::string text_of(Call&& call) {
    char* text = nullptr;
    EXPECT_WW_OK(call(&text));
    std::string copy = text == nullptr ? "" : text;
    ww_free(text);
    return copy;
}

}  // namespace warpwright
