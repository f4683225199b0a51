// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/sentence.h"

#include <fmt/format.h>

#include <algorithm>

#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/loading.h"

namespace warpwright::inspect {
namespace {

bool by_architecture(const Image* a, const Image* b) {
    if (a->architecture.sm != b->architecture.sm) return a->architecture.sm < b->architecture.sm;
    return a->architecture.suffix < b->architecture.suffix;
}

bool all(std::span<const Image* const> images, Misfit expected, int compute_capability) {
    return std::all_of(images.begin(), images.end(),
                       [&](const Image* image) { return misfit(*image, compute_capability) == expected; });
}

// "9.0 alone", "9.0 and 10.0 alone"; of majors "8.x alone".
std::string where(std::span<const Image* const> images, bool majors) {
    std::vector<std::string> words;
    for (const Image* image : images) {
        const int sm = image->architecture.sm;
        std::string word = majors ? fmt::format("{}.x", sm / 10) : capability_text(sm);
        if (words.empty() || words.back() != word) words.push_back(std::move(word));
    }
    return listed(words) + " alone";
}

std::string why_no_cubin(std::span<const Image* const> cubins, int compute_capability) {
    if (all(cubins, Misfit::unknown, compute_capability)) return "nothing tells what its code is for";
    // What is of the GPU's own major is nearest to running there: of that is said why it does not.
    std::vector<const Image*> near, rest;
    for (const Image* image : cubins)
        (image->architecture.sm / 10 == compute_capability / 10 ? near : rest).push_back(image);
    std::string text;
    if (!near.empty()) {
        const std::string code = architectures(near) + " code";
        if (all(near, Misfit::newer_minor, compute_capability)) {
            text = fmt::format("{} is for {} and later of its major", code,
                               capability_text(near.front()->architecture.sm));
        } else {
            text = fmt::format("{} runs on {}", code, where(near, false));
        }
        return rest.empty() ? text : text + ", other code on other majors";
    }
    const std::string code = architectures(rest) + " code";
    const bool is_bound = all(rest, Misfit::one_chip, compute_capability);
    return fmt::format("{} runs on {}", code, where(rest, !is_bound));
}

std::string why_no_ptx(std::span<const Image* const> ptx, int compute_capability) {
    const std::string text = architectures({ptx.begin(), ptx.end()}) + " PTX";
    if (all(ptx, Misfit::one_chip, compute_capability))
        return fmt::format("{} compiles for {}", text, where(ptx, false));
    if (all(ptx, Misfit::other_family, compute_capability))
        return fmt::format("{} compiles for {}", text, where(ptx, true));
    if (all(ptx, Misfit::newer_ptx, compute_capability))
        return fmt::format("{} is for {} and later", text, capability_text(ptx.front()->architecture.sm));
    return fmt::format("{} compiles for other GPUs", text);
}

const char* what_stubs_do(Stub stub) {
    switch (stub) {
        case Stub::none: break;
        case Stub::empty: return "return at once";
        case Stub::trap: return "trap at once";
        case Stub::message: return "only print that they were built for another GPU";
    }
    return "do nothing";
}

std::string noun_of(const Image& image) {
    return image.kind == ImageKind::cubin ? "code" : "PTX";
}

std::string code_of(const Image& image) {
    return image_architecture(image) + ' ' + noun_of(image);
}

std::string why_stub(const Outcome& outcome) {
    const Image& image = *outcome.image;
    if (is_meant_for_others(outcome))
        return fmt::format("their bodies are in the {}", code_of(*outcome.whole));
    if (outcome.whole != nullptr)
        return fmt::format("built without the macros that {} has", image_architecture(*outcome.whole));
    // Feature macros follow arch=compute_..., never code=sm_....
    if (image.architecture.suffix != Suffix::none)
        return fmt::format("built with an arch= without the suffix, as arch=compute_{0},code={1} is",
                           image.architecture.sm, architecture_name(image.architecture));
    return "built without the macros that their bodies ask for";
}

}  // namespace

std::string listed(std::span<const std::string> words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i)
        text += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
    return text;
}

std::string architectures(std::vector<const Image*> images) {
    std::stable_sort(images.begin(), images.end(), by_architecture);
    std::vector<std::string> words;
    for (const Image* image : images) {
        std::string word = image_architecture(*image);
        if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(std::move(word));
    }
    return listed(words);
}

std::string why_missing(std::span<const Image* const> builds, int compute_capability) {
    std::vector<const Image*> cubins, ptx;
    bool ltoir = false;
    for (const Image* image : builds) {
        if (image->kind == ImageKind::cubin) cubins.push_back(image);
        if (image->kind == ImageKind::ptx) ptx.push_back(image);
        ltoir |= image->kind == ImageKind::ltoir;
    }
    std::sort(cubins.begin(), cubins.end(), by_architecture);
    std::sort(ptx.begin(), ptx.end(), by_architecture);
    std::string text;
    if (!cubins.empty()) text = why_no_cubin(cubins, compute_capability);
    if (!ptx.empty()) text += (text.empty() ? "" : ", and ") + why_no_ptx(ptx, compute_capability);
    if (ltoir)
        text += (text.empty() ? "" : ", and ") + std::string("LTO-IR runs nowhere before nvJitLink links it");
    if (ptx.empty() && !cubins.empty() && !ltoir) text += ", and there is no PTX to compile";
    return text;
}

std::string why_not(const Outcome& outcome, std::span<const Image* const> builds, const Target& target,
                    const JudgeOptions& options) {
    const int capability = target.facts.compute_capability;
    switch (outcome.state) {
        case State::native:
        case State::jit: return {};
        case State::stub:
            if (outcome.by_size && outcome.kernel->stub == Stub::none)
                return fmt::format("their {} is a stub, less than a sixteenth of the {}",
                                   code_of(*outcome.image), code_of(*outcome.whole));
            return fmt::format("their {} holds stubs that {}, {}", code_of(*outcome.image),
                               what_stubs_do(outcome.kernel->stub), why_stub(outcome));
        case State::unfit: return "they ask for " + excess(*outcome.kernel, target.facts);
        case State::driver: {
            const Floor floor = driver_floor(*outcome.image);
            return fmt::format("their {} ({}) needs driver {} or later, got {}", code_of(*outcome.image),
                               floor.reason, driver_text(floor.driver), driver_text(options.driver));
        }
        case State::lacking:
            return fmt::format("the {} that the driver takes has no such kernels, unlike {}",
                               code_of(*outcome.image), architectures({builds.begin(), builds.end()}));
        case State::missing: return why_missing(builds, capability);
    }
    return {};
}

}  // namespace warpwright::inspect
