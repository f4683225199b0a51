// SPDX-License-Identifier: Apache-2.0
#include "engine/logit_lists.h"

#include <algorithm>
#include <bit>

namespace warpwright {

bool LogitLists::needed(const Pass& pass) {
    return std::ranges::any_of(pass.parts, [](const Pass::Part& part) {
        return part.samples && part.sequence->adjustments.has_value();
    });
}

Status LogitLists::reserve(i64 entries) {
    if (capacity_ > 0 && entries <= capacity_) return {};
    constexpr i64 kLeast = 1024;
    capacity_ = std::max(kLeast, static_cast<i64>(std::bit_ceil(static_cast<u64>(entries))));
    const i64 words = offset(kNumLists);
    WW_ASSIGN(device_, Buffer::allocate(context_->shared_device(), static_cast<std::size_t>(words * 4)));
    ++num_moves_;
    return {};
}

Status LogitLists::fill(const Pass& pass, i64 num_rows) {
    starts_.assign(1, 0);
    tokens_.clear();
    bias_.clear();
    repetition_.clear();
    addend_.clear();
    for (const Pass::Part& part : pass.parts) {
        if (part.samples && part.sequence->adjustments) {
            for (const LogitAdjustment& entry : part.sequence->adjustments->entries()) {
                tokens_.push_back(entry.token);
                bias_.push_back(entry.bias);
                repetition_.push_back(entry.repetition);
                addend_.push_back(entry.addend);
            }
        }
        starts_.push_back(static_cast<i32>(tokens_.size()));
    }
    starts_.resize(static_cast<std::size_t>(num_rows + 1), starts_.back());
    return reserve(std::ssize(tokens_));
}

Status LogitLists::upload(Stream stream) {
    const auto copy = [&](i64 offset, const auto& from) -> Status {
        if (from.empty()) return {};
        return context_->device().copy_in(device_.as<i32>() + offset, from.data(), from.size() * 4, stream);
    };
    WW_TRY(copy(0, starts_));
    WW_TRY(copy(offset(tokens), tokens_));
    WW_TRY(copy(offset(bias), bias_));
    WW_TRY(copy(offset(repetition), repetition_));
    return copy(offset(addend), addend_);
}

Logits LogitLists::call(const Tensor& logits, const Tensor& out) const {
    auto* const start = device_.as<i32>();
    const auto list = [&](List which, DType dtype) {
        return Tensor::dense(start + offset(which), dtype, {capacity_});
    };
    return {.in = logits,
            .out = out,
            .starts = Tensor::dense(start, DType::i32, {logits.shape[0] + 1}),
            .tokens = list(tokens, DType::i32),
            .repetition = list(repetition, DType::f32),
            .addend = list(addend, DType::f32),
            .bias = list(bias, DType::f32)};
}

}  // namespace warpwright
