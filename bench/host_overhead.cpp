// SPDX-License-Identifier: Apache-2.0
#include "bench/host_overhead.h"

#include <algorithm>
#include <chrono>

#include "bench/make_cases.h"
#include "dispatch/prepare.h"
#include "kernels/attention/operation.h"
#include "kernels/fused/rmsnorm/operation.h"
#include "kernels/gemm/operation.h"

namespace warpwright::bench {
namespace {

constexpr int kRounds = 31;
constexpr std::chrono::milliseconds kWarmUp{15};  // until the core runs at its clock
constexpr int kCalls = 50;  // in a round: the queue of a stream takes more without waiting

// The median over rounds of one call's microseconds. `after` is not timed.
template <class Call, class After>
Result<double> median_us(const Call& call, const After& after) {
    std::vector<double> samples;
    const auto begin = std::chrono::steady_clock::now();
    while (samples.size() < kRounds) {
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < kCalls; ++i) WW_TRY(call());
        const std::chrono::duration<double, std::micro> elapsed = std::chrono::steady_clock::now() - start;
        if (start - begin >= kWarmUp) samples.push_back(elapsed.count() / kCalls);
        WW_TRY(after());
    }
    std::nth_element(samples.begin(), samples.begin() + kRounds / 2, samples.end());
    return samples[kRounds / 2];
}

Status measure_launches(Device& device, Stream stream, const Prepared& prepared, HostOverhead& overhead) {
    const auto wait = [&] { return device.synchronize(stream); };
    WW_ASSIGN(overhead.launch_us, median_us([&] { return prepared.launch(device, stream); }, wait));
    if (!device.supports_graphs()) return {};
    WW_TRY(device.begin_capture(stream));
    const Status captured = prepared.launch(device, stream);
    WW_ASSIGN(const Graph graph, device.end_capture(stream));
    const auto graph_us = median_us([&] { return device.launch(graph, stream); }, wait);
    device.destroy(graph);
    WW_TRY(captured);
    WW_ASSIGN(overhead.graph_launch_us, graph_us);
    return {};
}

template <class Op>
Result<HostOverhead> measure(Context& context, const Case& item) {
    HostOverhead overhead{item.op, item.problem};
    Buffers buffers(context);
    WW_ASSIGN(const Preparer prepare, item.make(context, buffers));
    WW_TRY(buffers.status());
    typename Op::Problem problem;
    WW_TRY(set_fields(problem, item.fields, Op::kName));
    const auto nothing = [] { return Status{}; };

    WW_ASSIGN(overhead.choose_us, median_us(
                                      [&] {
                                          context.choices().clear();
                                          return choose_in<Op>(context, problem, false).status();
                                      },
                                      nothing));
    WW_ASSIGN(overhead.choose_cached_us,
              median_us([&] { return choose_in<Op>(context, problem, false).status(); }, nothing));
    WW_ASSIGN(overhead.prepare_us, median_us(
                                       [&] {
                                           Prepared prepared;
                                           return prepare(prepared);
                                       },
                                       nothing));
    Prepared prepared;
    WW_TRY(prepare(prepared));
    overhead.launches = static_cast<int>(prepared.steps.size());
    Device& device = context.device();
    WW_ASSIGN(const Stream stream, device.create_stream());
    const Status launched = measure_launches(device, stream, prepared, overhead);
    device.destroy(stream);
    WW_TRY(launched);
    return overhead;
}

}  // namespace

Result<std::vector<HostOverhead>> measure_host_overhead(Context& context) {
    std::vector<HostOverhead> all;
    WW_ASSIGN(HostOverhead gemm, measure<GemmOp>(context, gemm_case(1, 256, 256)));
    WW_ASSIGN(HostOverhead norm, measure<RmsNormOp>(context, rmsnorm_case(1, 256)));
    WW_ASSIGN(HostOverhead short_decode, measure<AttentionOp>(context, decode_case(1, 64, 4, 4, 64, 64)));
    WW_ASSIGN(HostOverhead decode, measure<AttentionOp>(context, decode_case(1, 1024, 32, 8, 128, 64)));
    for (HostOverhead* overhead : {&gemm, &norm, &short_decode, &decode}) all.push_back(std::move(*overhead));
    return all;
}

}  // namespace warpwright::bench
