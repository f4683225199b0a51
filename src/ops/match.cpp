// SPDX-License-Identifier: Apache-2.0
#include "ops/match.h"

#include <fmt/format.h>

#include <bit>
#include <cctype>
#include <cstdint>

namespace warpwright {

void Matcher::fail(const std::string& message) {
    if (status_.ok()) status_ = caller_error(op_ + ": " + message);
}

Matcher& Matcher::tensor(const char* name, const Tensor& value, std::initializer_list<const char*> symbols,
                         std::initializer_list<DType> types, Options options) {
    if (!value) {
        if (!options.optional) fail(fmt::format("{} is null", name));
        return *this;
    }
    bool type_ok = false;
    std::string allowed;
    for (DType type : types) {
        type_ok |= type == value.dtype;
        allowed += fmt::format("{}{}", allowed.empty() ? "" : " or ", dtype_name(type));
    }
    if (!type_ok) fail(fmt::format("{} must be {}, got {}", name, allowed, dtype_name(value.dtype)));
    if (value.rank != static_cast<int>(symbols.size())) {
        fail(fmt::format("{} must have {} dimensions, got {}", name, symbols.size(), value.rank));
        return *this;
    }
    int axis = 0;
    for (const char* symbol : symbols) {
        const i64 extent = value.shape[axis];
        if (extent < 0) fail(fmt::format("{}: dimension {} ({}) is {}", name, axis, symbol, extent));
        const auto [entry, fresh] = sizes_.try_emplace(symbol, extent);
        if (fresh) {
            first_[symbol] = name;
        } else if (entry->second != extent) {
            fail(fmt::format("{}: dimension {} ({}) is {}, but {} has {}", name, axis, symbol, extent,
                             first_[symbol], entry->second));
        }
        ++axis;
    }
    i64 dense_stride = 1;
    for (int i = value.rank - 1; i >= 0; --i) {
        const bool must_be_dense = options.dense || i == value.rank - 1;
        if (must_be_dense && value.shape[i] > 1 && value.stride[i] != dense_stride) {
            fail(fmt::format("{}: stride of dimension {} must be {}, got {}", name, i, dense_stride,
                             value.stride[i]));
        }
        dense_stride *= value.shape[i];
    }
    return *this;
}

Matcher& Matcher::require(bool condition, const std::string& message) {
    if (!condition) fail(message);
    return *this;
}

i64 Matcher::operator[](const char* symbol) const {
    const auto entry = sizes_.find(symbol);
    return entry == sizes_.end() ? 0 : entry->second;
}

i64 alignment_of(std::initializer_list<const Tensor*> tensors, bool every_stride) {
    std::uintptr_t bits = 16;
    for (const Tensor* tensor : tensors) {
        if (!*tensor) continue;
        bits |= reinterpret_cast<std::uintptr_t>(tensor->data);
        for (int i = 0; i + 1 < tensor->rank; ++i) {
            if (tensor->shape[i] > 1 || every_stride)
                bits |= static_cast<std::uintptr_t>(tensor->stride[i] * dtype_bytes(tensor->dtype));
        }
    }
    return i64{1} << std::countr_zero(bits);
}

}  // namespace warpwright
