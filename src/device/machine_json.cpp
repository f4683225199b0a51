// SPDX-License-Identifier: Apache-2.0
#include "device/machine_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "image/pack.h"

namespace warpwright {

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

}  // namespace warpwright
