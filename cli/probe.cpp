// SPDX-License-Identifier: Apache-2.0
// warpwright probe: what is in this machine, and what follows from it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/verb.h"
#include "device/machine.h"
#include "image/pack.h"

namespace warpwright::cli {
namespace {

double gib(i64 bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

// What a user should know, as sentences.
std::vector<std::string> conclusions(const Machine& machine) {
    std::vector<std::string> out;
    if (machine.gpus.empty()) {
        out.push_back(
            "no GPU to run on: models run on the CPU (--device cpu), plans are made for any listed GPU");
    }
    const Pack& pack = Pack::linked();
    bool compiler = false;
    for (const NvrtcInfo& nvrtc : machine.nvrtc) compiler |= nvrtc.problem.empty();
    for (const GpuInfo& gpu : machine.gpus) {
        const BuildTarget target = gpu.target.facts.build_target;
        int images = 0;
        for (const Pack::Entry& entry : pack.entries()) images += entry.build_target == target ? 1 : 0;
        if (images > 0) {
            out.push_back(fmt::format("{}: {} images for {} are in this binary", gpu.id, images,
                                      build_target_name(target)));
        } else if (compiler) {
            out.push_back(
                fmt::format("{}: no image for {} in this binary; kernels are compiled at first use and kept",
                            gpu.id, build_target_name(target)));
        } else {
            out.push_back(fmt::format(
                "{}: no image for {} in this binary and no NVRTC to make one: it cannot run kernels", gpu.id,
                build_target_name(target)));
        }
    }
    bool access = true, atomics = true;
    for (const PeerPath& path : machine.peers) access &= path.access, atomics &= path.native_atomics;
    if (!machine.peers.empty() && !access)
        out.push_back("some GPUs cannot reach each other: data between them goes through the host");
    if (!machine.peers.empty() && access && !atomics) {
        out.push_back(
            "GPUs reach each other without remote atomics: ordered stores work, DeepEP intranode does not");
    }
    return out;
}

nlohmann::ordered_json machine_json(const Machine& m) {
    nlohmann::ordered_json json;
    json["cpu"] = {{"model", m.host.model},
                   {"cores", m.host.num_cores},
                   {"memory_bytes", m.host.memory_bytes},
                   {"free_bytes", m.host.free_bytes},
                   {"simd", m.host.simd}};
    json["driver"] = {{"library", m.driver_library},
                      {"cuda", m.driver_version},
                      {"release", m.driver_release},
                      {"problem", m.cuda_problem}};
    json["gpus"] = nlohmann::ordered_json::array();
    for (const GpuInfo& gpu : m.gpus) {
        const TargetFacts& f = gpu.target.facts;
        json["gpus"].push_back({{"id", gpu.id},
                                {"name", gpu.name},
                                {"target", gpu.target.id},
                                {"compute_capability", f.compute_capability},
                                {"build_target", build_target_name(f.build_target)},
                                {"sms", f.num_sms},
                                {"memory_bytes", f.memory_bytes},
                                {"shared_per_block_bytes", f.shared_per_block_bytes},
                                {"l2_bytes", f.l2_bytes},
                                {"pci", gpu.pci}});
    }
    json["peers"] = nlohmann::ordered_json::array();
    for (const PeerPath& path : m.peers) {
        json["peers"].push_back({{"from", path.from},
                                 {"to", path.to},
                                 {"access", path.access},
                                 {"native_atomics", path.native_atomics},
                                 {"link", path.link}});
    }
    json["toolkits"] = nlohmann::ordered_json::array();
    for (const ToolkitInfo& toolkit : m.toolkits) {
        json["toolkits"].push_back(
            {{"path", toolkit.path}, {"version", toolkit.version}, {"nvcc", toolkit.has_nvcc}});
    }
    json["nvrtc"] = nlohmann::ordered_json::array();
    for (const NvrtcInfo& nvrtc : m.nvrtc) {
        json["nvrtc"].push_back({{"path", nvrtc.path},
                                 {"version", fmt::format("{}.{}", nvrtc.major, nvrtc.minor)},
                                 {"problem", nvrtc.problem}});
    }
    json["pack"] = Pack::linked().summary();
    json["conclusions"] = conclusions(m);
    return json;
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
