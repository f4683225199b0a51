// SPDX-License-Identifier: Apache-2.0
#include "dispatch/targets_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace warpwright {

nlohmann::ordered_json target_json(const Target& target) {
    const TargetFacts& f = target.facts;
    nlohmann::ordered_json links = nlohmann::ordered_json::array();
    for (const Link& link : target.links) {
        links.push_back({{"kind", link.kind}, {"gb_s", link.gb_s}, {"peer_access", link.peer_access}});
    }
    return {
        {"id", target.id},
        {"name", target.name},
        {"aliases", target.aliases},
        {"compute_capability", fmt::format("{}.{}", f.compute_capability / 10, f.compute_capability % 10)},
        {"build_target", build_target_name(f.build_target)},
        {"sms", f.num_sms},
        {"boost_mhz", f.boost_mhz},
        {"memory_bytes", f.memory_bytes},
        {"memory_gb_s", f.memory_gb_s},
        {"l2_bytes", f.l2_bytes},
        {"shared_per_sm_bytes", f.shared_per_sm_bytes},
        {"shared_per_block_bytes", f.shared_per_block_bytes},
        {"bf16_tflops", f.bf16_tflops},
        {"fp8_tflops", f.fp8_tflops},
        {"fp4_tflops", f.fp4_tflops},
        {"int8_tops", f.int8_tops},
        {"links", links},
        {"unsure", target.unsure},
        {"source", target.source}};
}

}  // namespace warpwright
