// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <random>

#include "bench/cases.h"
#include "kernels/host_math.h"

namespace warpwright::bench {
namespace {

// Normal values, drawn once; every buffer reads them from another place.
const std::vector<float>& pool() {
    static const std::vector<float> values = [] {
        std::mt19937 random(1);
        std::normal_distribution<float> normal;
        std::vector<float> v((1 << 20) - 3);
        for (float& value : v) value = normal(random);
        return v;
    }();
    return values;
}

std::size_t next_offset() {
    static std::size_t offset = 0;
    return offset += 7919;
}

}  // namespace

Tensor Buffers::upload(DType type, std::initializer_list<i64> shape, const void* data) {
    Tensor tensor = Tensor::dense(nullptr, type, shape);
    const auto bytes = static_cast<std::size_t>(tensor.num_elements() * dtype_bytes(type));
    auto buffer = Buffer::allocate(context_.shared_device(), std::max<std::size_t>(bytes, 1));
    if (!buffer.ok()) {
        if (status_.ok()) status_ = buffer.status();
        return tensor;
    }
    tensor.data = buffer->data();
    Device& device = context_.device();
    Status status = data == nullptr ? device.fill(tensor.data, 0, bytes, {})
                                    : device.copy_in(tensor.data, data, bytes, {});
    if (status.ok()) status = device.synchronize({});
    if (status_.ok()) status_ = status;
    buffers_.push_back(std::move(*buffer));
    return tensor;
}

Tensor Buffers::random(DType type, std::initializer_list<i64> shape, float scale) {
    const auto& values = pool();
    const i64 count = Tensor::dense(nullptr, type, shape).num_elements();
    const i64 size = dtype_bytes(type);
    const auto period = static_cast<i64>(values.size());
    std::vector<std::byte> raw(static_cast<std::size_t>(count * size));
    const std::size_t offset = next_offset();
    for (i64 i = 0; i < std::min(count, period); ++i) {
        store_float(raw.data(), type, i,
                    scale * values[(offset + static_cast<std::size_t>(i)) % values.size()]);
    }
    for (i64 done = period; done < count; done += period) {  // the rest repeats, at an odd period
        std::memcpy(raw.data() + done * size, raw.data(),
                    static_cast<std::size_t>(std::min(period, count - done) * size));
    }
    return upload(type, shape, raw.data());
}

Tensor Buffers::zeros(DType type, std::initializer_list<i64> shape) {
    return upload(type, shape, nullptr);
}

Tensor Buffers::integers(const std::vector<i32>& values) {
    return upload(DType::i32, {static_cast<i64>(values.size())}, values.data());
}

Tensor Buffers::floats(const std::vector<float>& values) {
    return upload(DType::f32, {static_cast<i64>(values.size())}, values.data());
}

}  // namespace warpwright::bench
