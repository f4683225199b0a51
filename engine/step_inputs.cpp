// SPDX-License-Identifier: Apache-2.0
#include "engine/step_inputs.h"

#include <algorithm>

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
    inputs.size_[q_starts] = inputs.size_[kv_starts] = sequences + 1;
    inputs.size_[seeds] = 2 * sequences;
    inputs.size_[page_table] = sequences * static_cast<std::size_t>(capacity.pages_per_sequence);
    inputs.size_[kv_slots] = static_cast<std::size_t>(capacity.kv_slots);
    std::size_t total = 0;
    for (int array = 0; array < kNumArrays; ++array) {
        inputs.offset_[array] = total;
        total += (inputs.size_[array] + 3) / 4 * 4;  // every array starts 16-byte aligned
    }
    inputs.host_.assign(total, 0);
    inputs.rows_.resize(sequences);
    inputs.written_.push_back({inputs.offset_[page_table], total});  // so that nothing is left unset
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

// What stays the same while a sequence has its row, and the pages that the row has not yet.
void StepInputs::fill_row(std::size_t index, const Sequence& sequence) {
    Row& row = rows_[index];
    if (row.admission != sequence.admission) {
        row = {sequence.admission, 0};
        const SamplingParameters& sampling = sequence.sampling;
        floats(temperature)[index] = sampling.temperature;
        floats(top_p)[index] = sampling.top_p;
        floats(min_p)[index] = sampling.min_p;
        integers(top_k)[index] = sampling.top_k;
        integers(seeds)[2 * index] = static_cast<i32>(sampling.seed);
        integers(seeds)[2 * index + 1] = static_cast<i32>(sampling.seed >> 32);
    }
    if (row.num_pages == sequence.pages.size()) return;
    const std::size_t start =
        offset_[page_table] + index * static_cast<std::size_t>(capacity_.pages_per_sequence);
    std::copy(sequence.pages.begin() + static_cast<std::ptrdiff_t>(row.num_pages), sequence.pages.end(),
              host_.begin() + static_cast<std::ptrdiff_t>(start + row.num_pages));
    written_.push_back({start + row.num_pages, start + sequence.pages.size()});
    row.num_pages = sequence.pages.size();
}

// Where in the cache every token is of the sequences that the pass reads prompts of.
void StepInputs::fill_slots(const Pass& pass) {
    if (pass.only_decodes() || pass.prompt_kv_tokens > capacity_.kv_slots) return;
    i32* start = integers(kv_starts).data();
    i32* const slots = integers(kv_slots).data();
    const i64 page_size = capacity_.page_size_tokens;
    i64 slot = 0;
    *start = 0;
    for (const Pass::Part& part :
         std::span(pass.parts).subspan(static_cast<std::size_t>(pass.num_decoding))) {
        for (i64 position = 0; position < part.first + part.count; ++position) {
            const i32 page = part.sequence->pages[static_cast<std::size_t>(position / page_size)];
            slots[slot++] = static_cast<i32>(page * page_size + position % page_size);
        }
        *++start = static_cast<i32>(slot);
    }
    written_.push_back({offset_[kv_slots], offset_[kv_slots] + static_cast<std::size_t>(slot)});
}

void StepInputs::fill(const Pass& pass, i64 num_sequences) {
    i32* const ids = integers(token_ids).data();
    i32* const position = integers(positions).data();
    i32* const owner = integers(sequence_of_token).data();
    i32* const starts = integers(q_starts).data();
    i32* const lengths = integers(kv_lengths).data();
    i32* const last = integers(last_rows).data();
    i32* const step = integers(steps).data();
    std::size_t row = 0, token = 0;
    fill_slots(pass);
    starts[0] = 0;
    for (const Pass::Part& part : pass.parts) {
        const Sequence& sequence = *part.sequence;
        const i32* const from = sequence.tokens.data() + part.first;
        for (i64 i = 0; i < part.count; ++i, ++token) {
            ids[token] = from[i];
            position[token] = static_cast<i32>(part.first + i);
            owner[token] = static_cast<i32>(row);
        }
        lengths[row] = static_cast<i32>(part.first + part.count);
        last[row] = static_cast<i32>(token - 1);
        step[row] = static_cast<i32>(sequence.num_output());
        fill_row(row, sequence);
        starts[++row] = static_cast<i32>(token);
    }
    // Position -1 is not appended to the cache, length 0 sees no key.
    for (; row < static_cast<std::size_t>(num_sequences); ++token) {
        ids[token] = 0;
        position[token] = -1;
        owner[token] = static_cast<i32>(row);
        lengths[row] = 0;
        last[row] = static_cast<i32>(token);
        floats(temperature)[row] = 0;
        rows_[row] = {};
        starts[++row] = static_cast<i32>(token + 1);
    }
}

Status StepInputs::upload(Device& device, Stream stream) {
    const auto copy = [&](std::size_t begin, std::size_t end) {
        return device.copy_in(device_.as<i32>() + begin, host_.data() + begin, (end - begin) * sizeof(i32),
                              stream);
    };
    WW_TRY(copy(0, offset_[page_table]));
    for (const Written& part : written_) WW_TRY(copy(part.begin, part.end));
    written_.clear();
    return {};
}

}  // namespace warpwright
