// SPDX-License-Identifier: Apache-2.0
// What `bench` times: problems of an operation, and how to make one call of each on fresh buffers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "dispatch/fields.h"
#include "warpwright/context.h"
#include "warpwright/tensor.h"

namespace warpwright::bench {

// Buffers of one call, filled with random values; freed with it.
class Buffers {
public:
    explicit Buffers(Context& context) : context_(context) {}
    Tensor random(DType type, std::initializer_list<i64> shape, float scale = 1);
    Tensor zeros(DType type, std::initializer_list<i64> shape);  // outputs, and bytes of workspace
    Tensor integers(const std::vector<i32>& values);
    Tensor floats(const std::vector<float>& values);
    const Status& status() const { return status_; }

private:
    Tensor upload(DType type, std::initializer_list<i64> shape, const void* data);
    Context& context_;
    Status status_;
    std::vector<Buffer> buffers_;
};

// The kernel of bench/roofline.h that moves bytes the way a case does: what its rate is shown as a share of.
enum class Roof : u8 { none, read, copy };

// Prepares one call whose buffers are there already: again and again, for one row after another.
using Preparer = std::function<Status(Prepared&)>;

struct Case {
    std::string op;       // or what several of them make together
    std::string problem;  // "m=1 n=4096 k=4096 bf16"; peers.py names its cases by the same text
    FieldTexts fields;    // the same for the dispatcher: what `why --set` would be asked
    double bytes = 0;     // that must move, each input read once and each output written once
    double flops = 0;
    std::function<Result<Preparer>(Context&, Buffers&)> make;  // the call on fresh buffers
    std::string group;                                         // cases of one group share a geometric mean
    std::string peer;  // that it is held to; compared with the fastest, too
    Roof roof = Roof::none;
    std::string rows_of;  // the operation whose rows are tried, and `fields` are of; empty: op

    const std::string& operation() const { return rows_of.empty() ? op : rows_of; }
};

// `set`: "quick" (a few of each), "full", or "tune": what `warpwright tune` measures, sizes of batches in
// steps of four, so that every size is within a factor of two of one of them.
std::vector<Case> cases(const std::string& set);

}  // namespace warpwright::bench
