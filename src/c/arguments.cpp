// SPDX-License-Identifier: Apache-2.0
#include "c/arguments.h"

#include <fmt/format.h>

#include <algorithm>

namespace {

// DLPack's kinds of memory.
constexpr int kUnsaid = 0, kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;

// Where an empty tensor without an address points: nothing is read or written there.
alignas(16) char nothing[16];

bool is_empty(const ww_tensor& given) {
    for (int i = 0; i < std::min<int>(given.rank, WW_MAX_RANK); ++i) {
        if (given.shape[i] == 0) return true;
    }
    return false;
}

std::string memory_text(const ww_tensor& given) {
    switch (given.device_type) {
        case kCpu: return "the host";
        case kCudaHost: return "the host (pinned)";
        case kCuda: return fmt::format("cuda:{}", given.device_id);
        default: return fmt::format("DLPack's device type {}", given.device_type);
    }
}

}  // namespace

namespace warpwright::c {

Tensor Arguments::operator()(const char* name, const ww_tensor& given) {
    Tensor tensor{.data = given.data};
    const bool empty = is_empty(given);
    if (tensor.data == nullptr && empty) tensor.data = nothing;
    if (tensor.data == nullptr || !check(name, given, empty)) return tensor;
    tensor.dtype = static_cast<DType>(given.dtype);
    tensor.rank = given.rank;
    bool has_strides = false;
    for (int i = 0; i < given.rank; ++i) {
        tensor.shape[i] = given.shape[i];
        has_strides |= given.stride[i] != 0;
    }
    i64 dense = 1;
    for (int i = given.rank - 1; i >= 0; --i) {
        tensor.stride[i] = has_strides ? given.stride[i] : dense;
        dense *= given.shape[i];
    }
    return tensor;
}

Activation Arguments::activation(int32_t value) {
    return choice("activation", value, Activation::gelu_tanh, "WW_ACTIVATION_NONE to WW_GELU_TANH");
}

CodeType Arguments::code(const char* name, int32_t value) {
    return choice(name, value, CodeType::e2m1, "WW_CODE_E4M3 to WW_CODE_E2M1");
}

QuantizeFormat Arguments::format(const char* name, const ww_quantize_format& given) {
    const std::string code = std::string(name) + ".code", scale = std::string(name) + ".scale";
    return {.code = this->code(code.c_str(), given.code),
            .scale = choice(scale.c_str(), given.scale, ScaleType::e4m3, "WW_SCALE_F32 to WW_SCALE_E4M3"),
            .group_rows = given.group_rows,
            .group_columns = given.group_columns};
}

QuantizedWeight Arguments::weight(const std::string& name, const ww_quantized_weight* given) {
    if (given == nullptr) return {};
    const auto read = read_struct((std::string(op_) + ": " + name).c_str(), given);
    if (!read.ok()) {
        if (status_.ok()) status_ = read.status();
        return {};
    }
    const ww_quantized_weight& c = *read;
    const auto tensor = [&](const char* field, const ww_tensor& value) {
        return (*this)((name + "." + field).c_str(), value);
    };
    return {
        .format = choice((name + ".format").c_str(), c.format, WeightFormat::nvfp4, "WW_INT4 to WW_NVFP4"),
        .groups = or_default(c.groups, 1),
        .n = c.n,
        .k = c.k,
        .group = c.group,
        .data = tensor("data", c.data),
        .scales = tensor("scales", c.scales),
        .zeros = tensor("zeros", c.zeros),
        .order = tensor("order", c.order),
        .global_scale = or_default(c.global_scale, 1),
        .global_scales = tensor("global_scales", c.global_scales)};
}

QuantizedOutput Arguments::quantized(const ww_quantized_output* given) {
    if (given == nullptr) return {};
    const Result<ww_quantized_output> known = read_struct(op_, given);
    if (!known.ok()) {
        if (status_.ok()) status_ = known.status();
        return {};
    }
    const ww_quantized_output& c = *known;
    Arguments& self = *this;
    return {.format = format("format", c.format),
            .codes = self("codes", c.codes),
            .scales = self("scales", c.scales),
            .global_scale = self("global_scale", c.global_scale),
            .swizzled = c.swizzled != 0,
            .given_scale = c.given_scale != 0,
            .least_amax = c.least_amax,
            .amax = self("amax", c.amax)};
}

bool Arguments::fail(const std::string& message) {
    if (status_.ok()) status_ = caller_error(fmt::format("{}: {}", op_, message));
    return false;
}

bool Arguments::check(const char* name, const ww_tensor& given, bool empty) {
    if (given.dtype < WW_F32 || given.dtype > WW_U8)
        return fail(fmt::format("{}: dtype: expected one of WW_F32 to WW_U8, got {}", name, given.dtype));
    if (given.rank < 0 || given.rank > Tensor::kMaxRank) {
        return fail(fmt::format("{}: rank: expected at most {}, got {}", name, Tensor::kMaxRank, given.rank));
    }
    if (!empty && !reaches(given)) {
        const std::string place =
            device_ == nullptr ? "expected the host's" : "the context is " + device_->id();
        return fail(fmt::format("{}: is in memory of {}, {}", name, memory_text(given), place));
    }
    return true;
}

bool Arguments::reaches(const ww_tensor& given) const {
    const bool is_host = given.device_type == kCpu || given.device_type == kCudaHost;
    if (given.device_type == kUnsaid || given.device_type == kCudaManaged) return true;
    if (device_ == nullptr || device_->shares_host_memory()) return is_host;
    if (!device_->id().starts_with("cuda:")) return false;
    if (given.device_type == kCudaHost) return true;
    return given.device_type == kCuda && device_->id() == fmt::format("cuda:{}", given.device_id);
}

}  // namespace warpwright::c
