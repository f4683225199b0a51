// SPDX-License-Identifier: Apache-2.0
#include "inspect/isa/judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatch/nearest.h"
#include "inspect/image/read_image.h"
#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/loading.h"
#include "warpwright/target.h"

namespace warpwright::inspect {

namespace {

int rank(char suffix) {
    return suffix == 'a' ? 2 : suffix == 'f' ? 1 : 0;
}

const isa::Architecture& architecture_at(int index) {
    return isa::architectures()[static_cast<size_t>(index)];
}

// The architectures of a compute capability, the least demanding first.
std::vector<int> architectures_of(int capability) {
    std::vector<int> found;
    for (size_t i = 0; i < isa::architectures().size(); ++i) {
        if (isa::architectures()[i].capability == capability) found.push_back(static_cast<int>(i));
    }
    std::ranges::sort(found, {}, [](int index) { return rank(architecture_at(index).suffix); });
    return found;
}

bool is_legal(const isa::Form& form, int architecture) {
    return (form.targets >> architecture & 1u) != 0;
}

std::vector<JudgedUse> known_forms(const PtxText& text) {
    std::vector<JudgedUse> judged;
    for (const FormUse& use : text.uses) judged.push_back({&use, isa::find_form(use.form)});
    return judged;
}

std::string why_not(const PtxText& text, const IsaTarget& target, const IsaReach& reach) {
    if (text.own < 0) {
        if (text.target.empty()) return "the text has no .target";
        return fmt::format("its .target {} is none of ptxas 13.0", text.target);
    }
    const isa::Architecture& own = architecture_at(text.own);
    const bool is_taken = std::ranges::any_of(
        target.architectures, [&](int index) { return isa::assembles_for(own, architecture_at(index)); });
    if (!is_taken) {
        const char* const where = own.suffix == 'a'   ? "is for that GPU alone"
                                  : own.suffix == 'f' ? "is for its family alone"
                                                      : "is for later GPUs";
        return fmt::format(".target {} {}", own.name, where);
    }
    if (text.version < own.version) {
        return fmt::format(".target {} needs PTX {}, .version is {}", own.name,
                           isa::version_text(own.version), isa::version_text(text.version));
    }
    if (reach.refused_by_itself.empty()) return "";
    const JudgedUse& first = reach.refused_by_itself.front();
    if (!is_legal(*first.form, text.own)) {
        return fmt::format("line {}: its own .target {} has no {}", first.use->line, own.name,
                           first.use->spelled);
    }
    return fmt::format("line {}: {} needs PTX {}, .version is {}", first.use->line, first.use->spelled,
                       isa::version_text(first.form->version), isa::version_text(text.version));
}

}  // namespace

PtxText read_text(std::string_view text) {
    FormUses uses(text);
    Image image;
    read_ptx(text, Depth::instructions, image, &uses);
    return text_of(image, uses);
}

PtxText text_of(const Image& image, const FormUses& uses) {
    PtxText found;
    if (image.architecture.sm != 0) found.target = architecture_name(image.architecture);
    found.own = isa::index_of(found.target);
    found.version = image.isa_version;
    found.num_instructions = uses.num_instructions();
    found.uses = uses.uses();
    found.damage = image.damage;
    return found;
}

Result<IsaTarget> find_isa_target(const std::string& name) {
    const std::string sm = name.starts_with("compute_") ? "sm_" + name.substr(8) : name;
    if (const int index = isa::index_of(sm); index >= 0)
        return IsaTarget{sm, architecture_at(index).capability, {index}};
    if (sm.starts_with("sm_")) {
        std::vector<std::string> names;
        for (const isa::Architecture& one : isa::architectures()) names.push_back(one.name);
        return caller_error(fmt::format("--target {}: none of the targets of ptxas 13.0; nearest: {}", name,
                                        nearest(sm, names)));
    }
    WW_ASSIGN(const Target target, find_target(name));
    const int capability = target.facts.compute_capability;
    IsaTarget found{target.id, capability, architectures_of(capability)};
    if (found.architectures.empty())
        return caller_error(
            fmt::format("--target {}: expected a GPU, 'warpwright targets' lists them", name));
    return found;
}

std::vector<IsaTarget> all_classes() {
    std::vector<IsaTarget> classes;
    for (const isa::Architecture& one : isa::architectures()) {
        if (one.suffix != 0) continue;
        classes.push_back(
            {capability_text(one.capability), one.capability, architectures_of(one.capability)});
    }
    return classes;
}

IsaVerdict judge_text(const PtxText& text, const IsaTarget& target) {
    const std::vector<JudgedUse> all = known_forms(text);
    IsaVerdict verdict;
    u64 most = 0;
    verdict.architecture = target.architectures.front();
    for (const int architecture : target.architectures) {
        const auto legal = static_cast<u64>(std::ranges::count_if(all, [&](const JudgedUse& judged) {
            return judged.form != nullptr && is_legal(*judged.form, architecture);
        }));
        if (legal <= most) continue;
        most = legal;
        verdict.architecture = architecture;
    }
    verdict.version = architecture_at(verdict.architecture).version;
    for (JudgedUse judged : all) {
        if (judged.form == nullptr) {
            verdict.unmeasured.push_back(judged);
            continue;
        }
        judged.way = judged.form->way(verdict.architecture);
        if (judged.way == isa::Way::illegal) {
            verdict.illegal.push_back(judged);
            continue;
        }
        ++verdict.num_legal;
        verdict.num_native += judged.way == isa::Way::native ? 1 : 0;
        if (isa::is_slow(judged.way)) verdict.slow.push_back(judged);
        verdict.version = std::max(verdict.version, judged.form->version);
    }
    verdict.why_not_as_it_stands = why_not(text, target, reach_of(text));
    return verdict;
}

IsaReach reach_of(const PtxText& text) {
    IsaReach reach;
    reach.targets = (isa::Mask{1} << isa::architectures().size()) - 1;
    for (const JudgedUse& judged : known_forms(text)) {
        if (judged.form == nullptr) continue;
        reach.targets &= judged.form->targets;
        reach.version = std::max(reach.version, judged.form->version);
        const bool is_refused =
            text.own >= 0 && (!is_legal(*judged.form, text.own) || text.version < judged.form->version);
        if (is_refused) reach.refused_by_itself.push_back(judged);
    }
    for (const IsaTarget& one : all_classes()) {
        for (const int architecture : one.architectures) {
            if (reach.lowest < 0 && (reach.targets >> architecture & 1u) != 0) reach.lowest = architecture;
        }
    }
    return reach;
}

std::string nvcc_option(const isa::Architecture& architecture) {
    const std::string number = architecture.name.substr(3);
    return fmt::format("-gencode arch=compute_{0},code=sm_{0}", number);
}

std::string nvrtc_option(const isa::Architecture& architecture) {
    return "--gpu-architecture=" + architecture.name;
}

std::string version_needs(int version) {
    const auto floors = ptx_isa_floors();
    const auto found =
        std::ranges::find_if(floors, [&](const PtxIsaFloor& floor) { return floor.isa_version >= version; });
    if (found == floors.end())
        return fmt::format("PTX {}: later than CUDA {}", isa::version_text(version),
                           isa::version_text(floors.back().cuda));
    return fmt::format("PTX {}: CUDA {}, driver {}", isa::version_text(version),
                       isa::version_text(found->cuda), driver_text(found->driver));
}

}  // namespace warpwright::inspect
