// SPDX-License-Identifier: Apache-2.0
#include "bench/roofline.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "bench/cases.h"
#include "bench/timing.h"
#include "device/host_threads.h"
#include "image/spec.h"
#include "kernels/roofline/problem.h"

namespace warpwright::bench {
namespace {

constexpr i64 kHostGrain = 1 << 14;  // vectors

// One result: what it is the exclusive or of does not depend on the order.
void host_read(const void* raw, HostThreads& threads) {
    const RooflineArgs& args = *static_cast<const RooflineArgs*>(raw);
    auto* result = static_cast<u64*>(args.to);
    result[0] = result[1] = 0;
    threads.parallel_for(args.vectors, kHostGrain, [&](i64 begin, i64 end) {
        const auto* from = static_cast<const u64*>(args.from);
        u64 low = 0, high = 0;
        for (i64 i = begin; i < end; ++i) low ^= from[2 * i], high ^= from[2 * i + 1];
        __atomic_fetch_xor(&result[0], low, __ATOMIC_RELAXED);
        __atomic_fetch_xor(&result[1], high, __ATOMIC_RELAXED);
    });
}

void host_copy(const void* raw, HostThreads& threads) {
    const RooflineArgs& args = *static_cast<const RooflineArgs*>(raw);
    threads.parallel_for(args.vectors, kHostGrain, [&](i64 begin, i64 end) {
        std::memcpy(static_cast<char*>(args.to) + begin * 16,
                    static_cast<const char*>(args.from) + begin * 16,
                    static_cast<std::size_t>(end - begin) * 16);
    });
}

}  // namespace

std::size_t roofline_read_bytes(int blocks) {
    return static_cast<std::size_t>(blocks) * kRooflineThreads * 16;
}

Result<Prepared> prepare_roofline(Context& context, RooflineKernel kernel, const void* from, void* to,
                                  i64 bytes, int blocks) {
    const bool reads = kernel == RooflineKernel::read;
    const RooflineArgs args{from, to, bytes / 16};
    Prepared::Step step;
    const BuildTarget target = context.target().facts.build_target;
    step.row = reads ? "roofline.read" : "roofline.copy";
    if (target == BuildTarget::host) {
        step.row += ".host";
        WW_ASSIGN(step.kernel, context.kernel(step.row, reads ? host_read : host_copy));
    } else {
        ImageSpec spec;
        spec.source = reads ? "src/kernels/roofline/read.cuh" : "src/kernels/roofline/copy.cuh";
        spec.row = step.row;
        spec.build_target = target;
        WW_ASSIGN(step.kernel, context.kernel(spec));
        step.config.grid.x = static_cast<u32>(blocks);
        step.config.block.x = kRooflineThreads;
    }
    step.args.resize(sizeof(args));
    std::memcpy(step.args.data(), &args, sizeof(args));
    Prepared prepared;
    prepared.steps.push_back(std::move(step));
    return prepared;
}

Result<Roofline> measure_roofline(Context& context) {
    const TargetFacts& facts = context.target().facts;
    const bool host = facts.build_target == BuildTarget::host;
    // Far more than any cache holds; the last level of a CPU's is not in its facts.
    const i64 bytes = host ? i64{256} << 20 : std::max<i64>(i64{1} << 30, 8 * facts.l2_bytes);
    Buffers buffers(context);
    const Tensor from = buffers.random(DType::bf16, {bytes / 2});
    const Tensor to = buffers.zeros(DType::bf16, {bytes / 2});
    WW_TRY(buffers.status());
    std::vector<int> grids{1};
    if (!host) {
        const auto all = static_cast<int>(bytes / 16 / kRooflineTile);
        grids = {4 * facts.num_sms, 8 * facts.num_sms, 16 * facts.num_sms, 32 * facts.num_sms, all};
    }
    Roofline best;
    for (const int blocks : grids) {
        for (const RooflineKernel kernel : {RooflineKernel::read, RooflineKernel::copy}) {
            std::vector<Prepared> variants(1);
            WW_ASSIGN(variants[0], prepare_roofline(context, kernel, from.data, to.data, bytes, blocks));
            WW_ASSIGN(const Timing timing, time_prepared(context, variants));
            const bool reads = kernel == RooflineKernel::read;
            double& rate = reads ? best.read_gb_s : best.copy_gb_s;
            rate = std::max(rate, static_cast<double>(reads ? bytes : 2 * bytes) / timing.median_us * 1e-3);
        }
    }
    return best;
}

}  // namespace warpwright::bench
