// SPDX-License-Identifier: Apache-2.0
// The fields of one call's struct, checked and in the library's words.
#pragma once

#include <string>

#include "c/handles.h"
#include "warpwright/ops/quantized_gemm.h"
#include "warpwright/ops/quantized_output.h"
#include "warpwright/tensor.h"
#include "warpwright/types.h"

namespace warpwright::c {

// The first problem is kept; what is returned after one is not to be used.
class Arguments {
public:
    // Without a device tensors are the host's.
    Arguments(const char* op, const Device* device) : op_(op), device_(device) {}
    Arguments(const char* op, const Device& device) : Arguments(op, &device) {}

    Tensor operator()(const char* name, const ww_tensor& given);
    // One of an enumeration's words, which begin with 0: `words` names the first and the last of them.
    template <class Enum>
    Enum choice(const char* name, int32_t value, Enum last, const char* words) {
        if (value >= 0 && value <= static_cast<int32_t>(last)) return static_cast<Enum>(value);
        fail(std::string(name) + ": expected " + words + ", got " + std::to_string(value));
        return Enum{};
    }
    Activation activation(int32_t value);
    CodeType code(const char* name, int32_t value);
    QuantizeFormat format(const char* name, const ww_quantize_format& given);
    // Null: none.
    QuantizedOutput quantized(const ww_quantized_output* given);
    // Null: none. Its tensors are named after it: "b.data".
    QuantizedWeight weight(const std::string& name, const ww_quantized_weight* given);

    bool fail(const std::string& message);
    const Status& status() const { return status_; }

private:
    bool check(const char* name, const ww_tensor& given, bool empty);
    bool reaches(const ww_tensor& given) const;

    const char* op_;
    const Device* device_;
    Status status_;
};

inline float or_default(float value, float otherwise) {
    return value == 0 ? otherwise : value;
}
inline int64_t or_default(int64_t value, int64_t otherwise) {
    return value == 0 ? otherwise : value;
}

}  // namespace warpwright::c
