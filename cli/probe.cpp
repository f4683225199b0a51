// SPDX-License-Identifier: Apache-2.0
// warpwright probe: what is in this machine, and what follows from it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "device/machine.h"
#include "device/machine_json.h"
#include "image/pack.h"

namespace warpwright::cli {
namespace {

double gib(i64 bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

void print_text(const Machine& m) {
    fmt::print("CPU      {}, {} cores, {:.1f} GiB ({:.1f} free), {}\n", m.host.model, m.host.num_cores,
               gib(m.host.memory_bytes), gib(m.host.free_bytes), m.host.simd);
    if (m.driver_library.empty() || !m.cuda_problem.empty()) {
        fmt::print("driver   {}\n", m.cuda_problem);
    } else {
        fmt::print("driver   {} (CUDA {})\n", m.driver_release, m.driver_version);
    }
    for (const GpuInfo& gpu : m.gpus) {
        const TargetFacts& f = gpu.target.facts;
        fmt::print(
            "{:<8} {} = {}, compute capability {}.{}, {} SMs, {:.1f} GiB, {} KiB shared per block, {} MiB "
            "L2\n",
            gpu.id, gpu.name, gpu.target.id, f.compute_capability / 10, f.compute_capability % 10, f.num_sms,
            gib(f.memory_bytes), f.shared_per_block_bytes / 1024, f.l2_bytes >> 20);
    }
    for (const PeerPath& path : m.peers) {
        fmt::print("peers    {} -> {}: {}{}\n", path.from, path.to, path.access ? path.link : "no access",
                   path.native_atomics ? ", remote atomics" : "");
    }
    for (const NvrtcInfo& nvrtc : m.nvrtc) {
        fmt::print(
            "NVRTC    {}{}\n", nvrtc.path,
            nvrtc.problem.empty() ? fmt::format(" ({}.{})", nvrtc.major, nvrtc.minor) : ": " + nvrtc.problem);
    }
    if (m.nvrtc.empty()) fmt::print("NVRTC    none found\n");
    fmt::print("pack     {}\n", Pack::linked().summary());
    for (const std::string& sentence : conclusions(m)) fmt::print("so       {}\n", sentence);
}

}  // namespace

void add_probe(CLI::App& app, Action& action) {
    auto json = std::make_shared<bool>(false);
    CLI::App* verb =
        app.add_subcommand("probe", "this machine's GPUs, links, driver and compilers, and what follows");
    verb->add_flag("--json", *json, "for machines");
    verb->callback([=, &action] {
        action = [=] {
            const Machine machine = probe_machine();
            if (*json) {
                fmt::print("{}\n", machine_json(machine).dump(2));
            } else {
                print_text(machine);
            }
            return 0;
        };
    });
}

}  // namespace warpwright::cli
