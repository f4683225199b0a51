// SPDX-License-Identifier: Apache-2.0
// What a text's instructions mean on a target: legal or not, native, emulated or slow, and what to build
// with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inspect/isa/uses.h"
#include "isa/table.h"
#include "warpwright/status.h"

namespace warpwright::inspect {

// A PTX text by itself.
struct PtxText {
    std::string target;  // ".target", "" where there is none
    int own = -1;        // that target in isa::architectures(); -1: not one of them
    int version = 0;     // ".version"
    u64 num_instructions = 0;
    std::vector<FormUse> uses;
    std::string damage;  // what could not be read
};
PtxText read_text(std::string_view text);
// What read_ptx left.
PtxText text_of(const Image& image, const FormUses& uses);

// A GPU of the list, or one target of ptxas.
struct IsaTarget {
    std::string name;
    int capability = 0;
    std::vector<int> architectures;  // the least demanding first: sm_90, sm_90a; one where a target was named
};
// "rtx-5090", "h100", "sm_90a", "compute_120f"; an unknown one gets the nearest suggestion.
Result<IsaTarget> find_isa_target(const std::string& name);
// One for each compute capability that is known: "8.0".
std::vector<IsaTarget> all_classes();

struct JudgedUse {
    const FormUse* use = nullptr;
    const isa::Form* form = nullptr;
    isa::Way way = isa::Way::unread;
};

struct IsaVerdict {
    // The least demanding of the target's architectures that has every form; else the one that has most.
    int architecture = 0;
    std::vector<JudgedUse> illegal;     // in the order of the text
    std::vector<JudgedUse> slow;        // emulated, split, slower, may call
    std::vector<JudgedUse> unmeasured;  // nobody assembled them: nothing is said
    u64 num_legal = 0;                  // forms, with those that are slow
    u64 num_native = 0;                 // of them, those whose machine code is known to be made for it
    int version = 0;                    // of PTX, that the forms and the architecture need
    // As it stands, with its own .target and .version; empty: it loads there.
    std::string why_not_as_it_stands;
    bool is_good() const { return illegal.empty() && why_not_as_it_stands.empty(); }
};
IsaVerdict judge_text(const PtxText& text, const IsaTarget& target);

// Where a text's instructions are legal, whatever its .target says. Forms that nobody assembled do not count.
struct IsaReach {
    isa::Mask targets = 0;
    int lowest = -1;  // of them; -1: none
    int version = 0;  // of PTX that the forms need
    // The text's own .target or .version refuses these: it assembles nowhere as it stands.
    std::vector<JudgedUse> refused_by_itself;
};
IsaReach reach_of(const PtxText& text);

// "-gencode arch=compute_90a,code=sm_90a", "--gpu-architecture=sm_90a"
std::string nvcc_option(const isa::Architecture& architecture);
std::string nvrtc_option(const isa::Architecture& architecture);
// "PTX 8.4: CUDA 12.4, driver 550"; the last toolkit of the table and "later" for one that is newer.
std::string version_needs(int version);

}  // namespace warpwright::inspect
