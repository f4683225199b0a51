// SPDX-License-Identifier: Apache-2.0
#include "bench/timing.h"

#include <algorithm>

namespace warpwright::bench {
namespace {

constexpr int kMinLaunches = 20;
constexpr int kReplays = 9;
constexpr double kHostReplayUs = 50'000;  // a host replay lasts about this long

Status launch_all(Device& device, Stream stream, const std::vector<Prepared>& variants, int launches) {
    for (int i = 0; i < launches; ++i) {
        WW_TRY(variants[static_cast<std::size_t>(i) % variants.size()].launch(device, stream));
    }
    return {};
}

// Owns what a measurement creates, so that an early return leaks nothing.
struct Measurement {
    explicit Measurement(Device& device) : device(device) {}
    ~Measurement() {
        if (graph.handle != nullptr) device.destroy(graph);
        if (from.handle != nullptr) device.destroy(from);
        if (to.handle != nullptr) device.destroy(to);
        if (stream.handle != nullptr) device.destroy(stream);
    }
    Device& device;
    Stream stream;
    Event from, to;
    Graph graph;
};

}  // namespace

Result<Timing> time_prepared(Context& context, const std::vector<Prepared>& variants,
                             const TimingBudget& budget) {
    Device& device = context.device();
    Measurement m(device);
    WW_ASSIGN(m.stream, device.create_stream());
    WW_ASSIGN(m.from, device.create_event());
    WW_ASSIGN(m.to, device.create_event());
    const auto num_variants = static_cast<int>(variants.size());
    WW_TRY(launch_all(device, m.stream, variants, num_variants));  // warm-up, and a first error
    WW_TRY(device.synchronize(m.stream));

    int launches = std::max(kMinLaunches, num_variants), replays = kReplays;
    if (budget.us > 0 || !device.supports_graphs()) {
        WW_TRY(device.record(m.from, m.stream));
        WW_TRY(launch_all(device, m.stream, variants, 1));
        WW_TRY(device.record(m.to, m.stream));
        WW_ASSIGN(const double once_us, device.elapsed_us(m.from, m.to));
        if (budget.give_up_us > 0 && once_us > budget.give_up_us)
            return Timing{once_us, once_us, once_us, 1, num_variants};
        if (!device.supports_graphs()) {
            launches = std::clamp(static_cast<int>(kHostReplayUs / std::max(once_us, 1.0)), 1, 2000);
        }
        if (budget.us > 0) {
            const double affordable = std::max(budget.us / std::max(once_us, 1.0), 1.0);
            replays = std::clamp(static_cast<int>(affordable / launches), 3, kReplays);
            launches = std::clamp(static_cast<int>(affordable / replays), 1, launches);
        }
    }
    if (device.supports_graphs()) {
        WW_TRY(device.begin_capture(m.stream));
        const Status captured = launch_all(device, m.stream, variants, launches);
        WW_ASSIGN(m.graph, device.end_capture(m.stream));
        WW_TRY(captured);
        WW_TRY(device.launch(m.graph, m.stream));
        WW_TRY(device.synchronize(m.stream));
    }
    std::vector<double> samples;
    for (int replay = 0; replay < replays; ++replay) {
        WW_TRY(device.record(m.from, m.stream));
        if (m.graph.handle != nullptr) {
            WW_TRY(device.launch(m.graph, m.stream));
        } else {
            WW_TRY(launch_all(device, m.stream, variants, launches));
        }
        WW_TRY(device.record(m.to, m.stream));
        WW_ASSIGN(const double us, device.elapsed_us(m.from, m.to));
        samples.push_back(us / launches);
    }
    std::sort(samples.begin(), samples.end());
    return Timing{samples[samples.size() / 2], samples.front(), samples.back(), launches, num_variants};
}

}  // namespace warpwright::bench
