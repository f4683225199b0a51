// SPDX-License-Identifier: Apache-2.0
// StepInputs: what one forward pass reads besides weights and cache: ids, positions, lengths, page table,
// sampling parameters. Host arrays with a device twin in one buffer. A pass uploads the small arrays in one
// copy, and of the page table what is new: rows belong to sequences, which grow by a page now and then. Slots
// of tokens are uploaded where a pass reads prompts.
#pragma once

#include <span>
#include <vector>

#include "engine/scheduler.h"
#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright {

class StepInputs {
public:
    struct Capacity {
        i64 tokens = 0;
        i64 sequences = 0;
        i64 pages_per_sequence = 0;
        i64 kv_slots = 0;  // rows of pages that a pass may gather, of sequences that do not decode
        i64 page_size_tokens = 1;
    };
    static Result<StepInputs> create(Context& context, Capacity capacity);

    const Capacity& capacity() const { return capacity_; }

    // One array: its device tensor (the first `count` elements) and its host elements.
    enum Array {
        token_ids,
        positions,
        sequence_of_token,  // [tokens]
        q_starts,           // [sequences + 1]
        kv_starts,          // likewise, in kv_slots, of sequences that do not decode
        kv_lengths,
        last_rows,
        steps,
        top_k,  // [sequences]
        temperature,
        top_p,
        min_p,       // [sequences] f32
        seeds,       // [sequences, 2]
        page_table,  // [sequences, pages_per_sequence]
        kv_slots,    // of all tokens of sequences that do not decode, where there is room for them
        kNumArrays
    };
    Tensor tensor(Array array, i64 count) const;
    std::span<i32> integers(Array array) { return {host_.data() + offset_[array], size_[array]}; }
    std::span<float> floats(Array array) {
        return {reinterpret_cast<float*>(host_.data() + offset_[array]), size_[array]};
    }

    // Part i of the pass is sequence i. Sequences from there up to `num_sequences`, one token each, are
    // padding: nothing is kept of them.
    void fill(const Pass& pass, i64 num_sequences);
    Status upload(Device& device, Stream stream);

private:
    // What the page table's row has: the pages of the sequence of this admission, as far as written.
    struct Row {
        u64 admission = 0;
        std::size_t num_pages = 0;
    };
    struct Written {  // elements of host_
        std::size_t begin = 0, end = 0;
    };
    void fill_row(std::size_t row, const Sequence& sequence);
    void fill_slots(const Pass& pass);

    Capacity capacity_;
    std::size_t offset_[kNumArrays] = {};
    std::size_t size_[kNumArrays] = {};
    std::vector<i32> host_;
    std::vector<Row> rows_;
    std::vector<Written> written_;  // of the page table and kv_slots since the last upload
    Buffer device_;
};

}  // namespace warpwright
