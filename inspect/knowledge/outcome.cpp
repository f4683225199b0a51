// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/outcome.h"

#include <fmt/format.h>

#include <algorithm>

#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/loading.h"

namespace warpwright::inspect {
namespace {

constexpr int kRegistersPerSm = 64 * 1024;  // every GPU of the list; CUDA programming guide
constexpr int kLargestCluster = 16;         // with the attribute for sizes that are not portable
constexpr int kWarp = 32;

i64 product(const std::array<int, 3>& sizes) {
    return i64{sizes[0]} * sizes[1] * sizes[2];
}

}  // namespace

std::string excess(const Kernel& kernel, const TargetFacts& facts) {
    if (kernel.shared_bytes > facts.shared_per_block_bytes)
        return fmt::format("{} bytes of static shared memory, at most {}", kernel.shared_bytes,
                           facts.shared_per_block_bytes);
    if (const i64 cluster = product(kernel.cluster); cluster > 1) {
        if (facts.compute_capability < 90)
            return fmt::format("a cluster of {} CTAs, which it has not", cluster);
        if (cluster > kLargestCluster)
            return fmt::format("a cluster of {} CTAs, at most {}", cluster, kLargestCluster);
    }
    // Registers are given to warps in units of eight a thread.
    const i64 warps = (product(kernel.required_threads) + kWarp - 1) / kWarp;
    const i64 registers = warps * kWarp * ((std::max(kernel.registers, 0) + 7) / 8 * 8);
    if (registers > kRegistersPerSm)
        return fmt::format("{} registers for {} threads, at most {}", registers,
                           product(kernel.required_threads), kRegistersPerSm);
    return {};
}

Outcomes::Outcomes(const FileReport& file, const KernelIndex& index, const Target& target,
                   const JudgeOptions& options)
    : file_(file), index_(index), facts_(target.facts), options_(options), choices_(index.num_groups) {
    for (u32 i = 0; i < file.images.size(); ++i) {
        const Image& image = file.images[i];
        if (image.link_input || !fits(image)) continue;
        Choice& choice = choices_[index.group[i]];
        if (too_new(image)) {
            choice.too_new = &image;
        } else if (const int rank = preference(image, options.force_ptx_jit); rank > choice.preference) {
            choice.preference = rank;
            choice.image = &image;
        }
    }
}

bool Outcomes::fits(const Image& image) const {
    // LTO-IR is for a program that links it: one that calls nvJitLink, for its own GPU.
    if (image.kind == ImageKind::ltoir)
        return file_.links_ltoir && ptx_misfit(image.architecture, facts_.compute_capability) == Misfit::none;
    return misfit(image, facts_.compute_capability) == Misfit::none;
}

bool Outcomes::too_new(const Image& image) const {
    return options_.driver != 0 && driver_floor(image).driver > options_.driver;
}

Outcome Outcomes::of(const KernelPlace& place) const {
    const Image& image = file_.images[place.image];
    const Choice& choice = choices_[index_.group[place.image]];
    if (choice.image == nullptr)
        return choice.too_new != nullptr && fits(image) ? Outcome{State::driver, &image, place.kernel}
                                                        : Outcome{};
    // Two images of one kind and architecture are parts of one program: either may have the kernel.
    if (!fits(image) || too_new(image) || preference(image, options_.force_ptx_jit) != choice.preference)
        return {State::lacking, choice.image, place.kernel};
    Outcome outcome{image.kind == ImageKind::cubin ? State::native : State::jit, &image, place.kernel};
    if (place.kernel == nullptr) return outcome;
    if (place.kernel->stub != Stub::none)
        outcome.state = State::stub;
    else if (!excess(*place.kernel, facts_).empty())
        outcome.state = State::unfit;
    return outcome;
}

Outcome Outcomes::of(const IndexedKernel& kernel) const {
    Outcome best;
    for (const KernelPlace& place : kernel.places) {
        if (const Outcome outcome = of(place); outcome < best) best = outcome;
    }
    return best;
}

}  // namespace warpwright::inspect
