// SPDX-License-Identifier: Apache-2.0
#include "emulator/machine/special.h"

#include <iterator>

#include "emulator/machine/grid.h"
#include "emulator/machine/limits.h"

namespace warpwright::emulator {
namespace {

using enum SpecialId;

struct Name {
    std::string_view name;
    SpecialId id;
};
// Three components in a row are the id's, the one after it, and the one after that.
constexpr Name kVectors[] = {{"%tid", tid_x},
                             {"%ntid", ntid_x},
                             {"%ctaid", ctaid_x},
                             {"%nctaid", nctaid_x},
                             {"%clusterid", clusterid_x},
                             {"%nclusterid", nclusterid_x},
                             {"%cluster_ctaid", cluster_ctaid_x},
                             {"%cluster_nctaid", cluster_nctaid_x}};
constexpr Name kNames[] = {
    {"%laneid", laneid},
    {"%warpid", warpid},
    {"%nwarpid", nwarpid},
    {"%lanemask_eq", lanemask_eq},
    {"%lanemask_le", lanemask_le},
    {"%lanemask_lt", lanemask_lt},
    {"%lanemask_ge", lanemask_ge},
    {"%lanemask_gt", lanemask_gt},
    {"%smid", smid},
    {"%nsmid", nsmid},
    {"%gridid", gridid},
    {"%clock", SpecialId::clock},
    {"%clock_hi", clock_hi},
    {"%clock64", clock64},
    {"%globaltimer", globaltimer},
    {"%globaltimer_lo", globaltimer_lo},
    {"%globaltimer_hi", globaltimer_hi},
    {"%dynamic_smem_size", dynamic_smem_size},
    {"%total_smem_size", total_smem_size},
    {"%aggr_smem_size", aggr_smem_size},
    {"WARP_SZ", warp_size},
    {"%cluster_ctarank", cluster_ctarank},
    {"%cluster_nctarank", cluster_nctarank},
    {"%is_explicit_cluster", is_explicit_cluster},
};

u64 value_of_block(Warp& warp, const Instruction& instruction, SpecialId id) {
    Grid& grid = warp.grid();
    const LaunchConfig& config = grid.config;
    const u32* index = warp.block().index;
    switch (id) {
        case ntid_x: return config.block.x;
        case ntid_y: return config.block.y;
        case ntid_z: return config.block.z;
        case ctaid_x: return index[0];
        case ctaid_y: return index[1];
        case ctaid_z: return index[2];
        case nctaid_x: return config.grid.x;
        case nctaid_y: return config.grid.y;
        case nctaid_z: return config.grid.z;
        case warpid: return static_cast<u64>(warp.index());
        case nwarpid: return static_cast<u64>(grid.target->facts.max_threads_per_sm / kLanes);
        case smid: {
            // Blocks go over the SMs in order, as if the machine were empty.
            const u64 block = index[0] + u64{config.grid.x} * (index[1] + u64{config.grid.y} * index[2]);
            return block % static_cast<u64>(std::max(grid.target->facts.num_sms, 1));
        }
        case nsmid: return static_cast<u64>(grid.target->facts.num_sms);
        case gridid: return grid.id;
        case SpecialId::clock:
        case clock64:
        case globaltimer:
        case globaltimer_lo: return warp.clock(instruction);
        case clock_hi:
        case globaltimer_hi: return warp.clock(instruction) >> 32;
        case dynamic_smem_size: return config.shared_bytes;
        case total_smem_size:
        case aggr_smem_size: return shared_bytes(*warp.grid().program, config.shared_bytes);
        case warp_size: return kLanes;
        case clusterid_x: return index[0] / config.cluster.x;
        case clusterid_y: return index[1] / config.cluster.y;
        case clusterid_z: return index[2] / config.cluster.z;
        case nclusterid_x: return config.grid.x / config.cluster.x;
        case nclusterid_y: return config.grid.y / config.cluster.y;
        case nclusterid_z: return config.grid.z / config.cluster.z;
        case cluster_ctaid_x: return index[0] % config.cluster.x;
        case cluster_ctaid_y: return index[1] % config.cluster.y;
        case cluster_ctaid_z: return index[2] % config.cluster.z;
        case cluster_nctaid_x: return config.cluster.x;
        case cluster_nctaid_y: return config.cluster.y;
        case cluster_nctaid_z: return config.cluster.z;
        case cluster_ctarank: return warp.block().cluster_rank;
        case cluster_nctarank: return u64{config.cluster.x} * config.cluster.y * config.cluster.z;
        case is_explicit_cluster: return u64{config.cluster.x} * config.cluster.y * config.cluster.z > 1;
        default: return 0;
    }
}

template <class T>
void read_all(Warp& warp, const Instruction& instruction, SpecialId id, T out[32]) {
    const Dim3& block = warp.grid().config.block;
    const u32 first = static_cast<u32>(warp.index()) * kLanes;
    switch (id) {
        case tid_x:
            if (block.y == 1 && block.z == 1) {
                for (u32 l = 0; l < kLanes; ++l) out[l] = T{first + l};
            } else {
                for (u32 l = 0; l < kLanes; ++l) out[l] = T{(first + l) % block.x};
            }
            return;
        case tid_y:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{(first + l) / block.x % block.y};
            return;
        case tid_z:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{(first + l) / (block.x * block.y)};
            return;
        case laneid:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{l};
            return;
        case lanemask_eq:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{1u << l};
            return;
        case lanemask_lt:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{(1u << l) - 1};
            return;
        case lanemask_le:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{(2u << l) - 1};
            return;
        case lanemask_ge:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{kAllLanes << l};
            return;
        case lanemask_gt:
            for (u32 l = 0; l < kLanes; ++l) out[l] = T{kAllLanes << l << 1};
            return;
        default: break;
    }
    const T value = static_cast<T>(value_of_block(warp, instruction, id));
    for (int l = 0; l < kLanes; ++l) out[l] = value;
}

}  // namespace

bool special_register(std::string_view name, SpecialId& id) {
    for (const Name& vector : kVectors) {
        if (!name.starts_with(vector.name)) continue;
        const std::string_view component = name.substr(vector.name.size());
        int axis = 0;
        if (component == ".y") {
            axis = 1;
        } else if (component == ".z") {
            axis = 2;
        } else if (!component.empty() && component != ".x") {
            continue;
        }
        id = static_cast<SpecialId>(static_cast<int>(vector.id) + axis);
        return true;
    }
    for (const Name& entry : kNames) {
        if (name != entry.name) continue;
        id = entry.id;
        return true;
    }
    // %envreg0 to %envreg31 are the driver's; 0 without one.
    constexpr std::string_view kEnvironment = "%envreg";
    if (name.starts_with(kEnvironment) && name.size() > kEnvironment.size() && name.size() < 10) {
        int number = 0;
        for (const char c : name.substr(kEnvironment.size())) {
            if (c < '0' || c > '9') return false;
            number = number * 10 + (c - '0');
        }
        if (number > 31) return false;
        id = zero;
        return true;
    }
    return false;
}

int special_bits(SpecialId id) {
    return id == gridid || id == clock64 || id == globaltimer ? 64 : 32;
}

void read_special(Warp& warp, const Instruction& instruction, SpecialId id, u64 out[32]) {
    read_all(warp, instruction, id, out);
}

void read_special(Warp& warp, const Instruction& instruction, SpecialId id, u32 out[32]) {
    read_all(warp, instruction, id, out);
}

}  // namespace warpwright::emulator
