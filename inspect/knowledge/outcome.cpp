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

// Code that much smaller than another build's has lost its body to an #if: FlashAttention 3's kernels are 256
// bytes for 8.0 and 50 KB for 9.0. Loops that another GPU unrolls differ by far less.
constexpr u64 kHuskBytes = 512;
constexpr u64 kTimesHusk = 16;

bool is_husk(const IndexedKernel& kernel, const Kernel& here) {
    return here.code_bytes > 0 && here.code_bytes <= kHuskBytes && kernel.largest.kernel != nullptr &&
           kernel.largest.kernel->code_bytes >= kTimesHusk * here.code_bytes &&
           kernel.largest.kernel->code_bytes >= kTimesHusk * kHuskBytes;
}

i64 product(const std::array<int, 3>& sizes) {
    return i64{sizes[0]} * sizes[1] * sizes[2];
}

}  // namespace

bool is_meant_for_others(const Outcome& outcome) {
    if (outcome.state != State::stub || outcome.whole == nullptr) return false;
    // Without a suffix, beside a body with one, it may lack no more than that.
    return outcome.image->architecture.suffix != Suffix::none ||
           outcome.whole->architecture.suffix == Suffix::none;
}

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
    look_at_objects();
}

// nvcc's documentation, "JIT Linking Support": where no linked cubin fits, the driver links the objects
// again, each from its cubin or its PTX, and fails where an object has neither.
void Outcomes::look_at_objects() {
    const Image* newest = nullptr;
    for (const std::vector<u32>& object : index_.objects) {
        bool usable = false;
        for (const u32 i : object) {
            const Image& image = file_.images[i];
            if (image.kind == ImageKind::ltoir || !fits(image) || too_new(image)) continue;
            usable = true;
            if (image.kind == ImageKind::ptx &&
                (newest == nullptr || preference(image, false) > preference(*newest, false)))
                newest = &image;
        }
        if (!usable) return;
    }
    relinked_ = newest;
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

Outcome Outcomes::of(const IndexedKernel& kernel, const KernelPlace& place) const {
    const Image& image = file_.images[place.image];
    const Choice& choice = choices_[index_.group[place.image]];
    if (choice.image == nullptr) {
        if (choice.too_new == nullptr || !fits(image)) return {};
        return {.state = State::driver, .image = &image, .kernel = place.kernel};
    }
    // Two images of one kind and architecture are parts of one program: either may have the kernel.
    if (!fits(image) || too_new(image) || preference(image, options_.force_ptx_jit) != choice.preference)
        return {.state = State::lacking, .image = choice.image, .kernel = place.kernel};
    Outcome outcome{.state = image.kind == ImageKind::cubin ? State::native : State::jit,
                    .image = &image,
                    .kernel = place.kernel};
    if (place.kernel == nullptr || kernel.empty_by_design) return outcome;
    outcome.by_size = image.kind == ImageKind::cubin && is_husk(kernel, *place.kernel);
    if (place.kernel->stub != Stub::none || outcome.by_size) {
        outcome.state = State::stub;
        outcome.whole = body_of(kernel);
    } else if (!excess(*place.kernel, facts_).empty()) {
        outcome.state = State::unfit;
    }
    return outcome;
}

const Image* Outcomes::body_of(const IndexedKernel& kernel) const {
    for (const KernelPlace& place : kernel.places) {
        const Image& image = file_.images[place.image];
        const bool is_husk_there = image.kind == ImageKind::cubin && is_husk(kernel, *place.kernel);
        if (place.kernel->stub == Stub::none && !is_husk_there) return &image;
    }
    return nullptr;
}

Outcome Outcomes::of(const IndexedKernel& kernel) const {
    Outcome best;
    for (const KernelPlace& place : kernel.places) {
        if (const Outcome outcome = of(kernel, place); outcome < best) best = outcome;
    }
    const bool has_no_image = best.state == State::missing || best.state == State::driver;
    if (has_no_image && relinked_ != nullptr &&
        (index_.linked_names.empty() || index_.linked_names.contains(kernel.name)))
        return {.state = State::jit, .image = relinked_, .relinked = true};
    return best;
}

}  // namespace warpwright::inspect
