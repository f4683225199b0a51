// SPDX-License-Identifier: Apache-2.0
// Logits before sampling: a softcap of all, adjustments of some; include/warpwright/ops/logits.h has the
// definition.
#pragma once

#include "warpwright/types.h"

namespace warpwright {

struct LogitsProblem {
    i64 rows = 1;
    i64 vocabulary = 128256;
    i64 entries = 0;  // of the lists, a capacity for all rows together; 0: no adjustments
    float softcap = 0;
    bool in_place = true;
    bool bias = false;
    i64 alignment_bytes = 16;  // what every row's start is a multiple of

    template <class Self, class Visitor>
    static constexpr void visit(Self& self, Visitor&& v) {
        v("rows", self.rows);
        v("vocabulary", self.vocabulary);
        v("entries", self.entries);
        v("softcap", self.softcap);
        v("in_place", self.in_place);
        v("bias", self.bias);
        v("alignment_bytes", self.alignment_bytes);
    }

    constexpr LogitsProblem canonical() const {
        LogitsProblem problem = *this;
        problem.rows = 128;
        if (problem.entries > 0) problem.entries = 1024;
        return problem;
    }
};

// Whether every logit is written; otherwise only those of listed tokens are.
constexpr bool is_dense(const LogitsProblem& problem) {
    return !problem.in_place || problem.softcap > 0;
}

struct LogitsArgs {
    const float* in;    // [rows, vocabulary]
    float* out;         // [rows, vocabulary]; may be in
    const i32* starts;  // [rows + 1] or null
    const i32* tokens;  // [entries]
    const float* repetition;
    const float* addend;
    const float* bias;  // or null
    i64 in_stride;
    i64 out_stride;
    i32 rows;
    i32 vocabulary;
    i32 entries;
    i32 dense;  // is_dense()
    float softcap;
};

// A listed logit, after the softcap.
constexpr float adjusted(const LogitsArgs& args, i32 entry, float x) {
    if (args.bias != nullptr) x += args.bias[entry];
    const float repetition = args.repetition[entry];
    x = x > 0 ? x / repetition : x * repetition;
    return x + args.addend[entry];
}

}  // namespace warpwright
