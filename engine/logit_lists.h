// SPDX-License-Identifier: Apache-2.0
// LogitLists: the adjustments of a pass's rows of logits, as warpwright/ops/logits.h reads them: ragged lists
// with a device twin. They grow; what was prepared with tensors of before is then of no use any more.
#pragma once

#include <vector>

#include "engine/scheduler.h"
#include "warpwright/context.h"
#include "warpwright/ops/logits.h"

namespace warpwright {

class LogitLists {
public:
    LogitLists() = default;
    LogitLists(Context& context, i64 max_rows) : context_(&context), max_rows_(max_rows) {}

    // Whether some row of the pass that samples changes its logits.
    static bool needed(const Pass& pass);

    // Row i is part i of the pass; rows from there up to `num_rows` have no entries. Waits for nothing.
    Status fill(const Pass& pass, i64 num_rows);
    Status upload(Stream stream);

    // How often the lists have moved in the device's memory.
    i64 num_moves() const { return num_moves_; }

    // The adjustments of the first `rows` rows of `logits`, into `out`, which may be the same.
    Logits call(const Tensor& logits, const Tensor& out) const;

private:
    // starts [max_rows + 1], then [capacity] each:
    enum List { tokens, bias, repetition, addend, kNumLists };
    i64 offset(List list) const { return (max_rows_ + 4) / 4 * 4 + list * capacity_; }
    Status reserve(i64 entries);

    Context* context_ = nullptr;
    i64 max_rows_ = 0, capacity_ = 0, num_moves_ = 0;
    std::vector<i32> starts_, tokens_;
    std::vector<float> bias_, repetition_, addend_;
    Buffer device_;
};

}  // namespace warpwright
