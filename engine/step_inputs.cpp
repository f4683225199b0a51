// SPDX-License-Identifier: Apache-2.0
#include "engine/step_inputs.h"

namespace warpwright {

Result<StepInputs> StepInputs::create(Context& context, Capacity capacity) {
    StepInputs inputs;
    inputs.capacity_ = capacity;
    const auto tokens = static_cast<std::size_t>(capacity.tokens);
    const auto sequences = static_cast<std::size_t>(capacity.sequences);
    for (const Array array : {token_ids, positions, sequence_of_token}) inputs.size_[array] = tokens;
    for (const Array array : {kv_lengths, last_rows, steps, top_k, temperature, top_p, min_p}) {
        inputs.size_[array] = sequences;
    }
    inputs.size_[q_starts] = sequences + 1;
    inputs.size_[seeds] = 2 * sequences;
    inputs.size_[page_table] = sequences * static_cast<std::size_t>(capacity.pages_per_sequence);
    std::size_t total = 0;
    for (int array = 0; array < kNumArrays; ++array) {
        inputs.offset_[array] = total;
        total += (inputs.size_[array] + 3) / 4 * 4;  // every array starts 16-byte aligned
    }
    inputs.host_.assign(total, 0);
    WW_ASSIGN(inputs.device_, Buffer::allocate(context.shared_device(), total * sizeof(i32)));
    return inputs;
}

Tensor StepInputs::tensor(Array array, i64 count) const {
    auto* data = device_.as<i32>() + offset_[array];
    switch (array) {
        case temperature:
        case top_p:
        case min_p: return Tensor::dense(data, DType::f32, {count});
        case seeds: return Tensor::dense(data, DType::i32, {count, 2});
        case page_table: return Tensor::dense(data, DType::i32, {count, capacity_.pages_per_sequence});
        default: return Tensor::dense(data, DType::i32, {count});
    }
}

Status StepInputs::upload(Device& device, Stream stream) {
    return device.copy_in(device_.data(), host_.data(), host_.size() * sizeof(i32), stream);
}

}  // namespace warpwright
