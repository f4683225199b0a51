// SPDX-License-Identifier: Apache-2.0
// What becomes of each kernel of a file on one GPU.
#pragma once

#include <string>
#include <vector>

#include "inspect/knowledge/kernel_index.h"
#include "inspect/knowledge/verdict.h"

namespace warpwright::inspect {

enum class State : u8 {  // the best of a kernel's images counts; best first
    native,
    jit,
    stub,     // the image is there, the kernel in it does nothing
    unfit,    // the kernel asks for more than the GPU has
    driver,   // the image needs a newer driver
    lacking,  // the image that the driver takes has no such kernel, another one has
    missing,  // no image for this GPU
};

inline bool runs(State state) {
    return state <= State::jit;
}

struct Outcome;
// A stub whose body is in builds for other GPUs, on purpose: another build for this one would not have it
// either.
bool is_meant_for_others(const Outcome& outcome);

struct Outcome {
    State state = State::missing;
    const Image* image = nullptr;  // that the driver takes, or would; null: missing
    const Kernel* kernel = nullptr;
    const Image* whole = nullptr;  // stub: another build that has the body; null: none
    bool by_size = false;          // stub: its size beside that build's shows it
    bool relinked = false;         // from the objects of a device link
    bool operator<(const Outcome& other) const { return state < other.state; }
};

class Outcomes {
public:
    Outcomes(const FileReport& file, const KernelIndex& index, const Target& target,
             const JudgeOptions& options);

    Outcome of(const IndexedKernel& kernel) const;

private:
    struct Choice {
        int preference = -1;  // of the image taken; -1: none fits
        const Image* image = nullptr;
        const Image* too_new = nullptr;  // fits, but for the driver
    };
    Outcome of(const IndexedKernel& kernel, const KernelPlace& place) const;
    void look_at_objects();
    const Image* body_of(const IndexedKernel& kernel) const;  // null: no build has one
    bool fits(const Image& image) const;
    bool too_new(const Image& image) const;

    const FileReport& file_;
    const KernelIndex& index_;
    const TargetFacts& facts_;
    JudgeOptions options_;
    std::vector<Choice> choices_;      // of each group
    const Image* relinked_ = nullptr;  // PTX that a link at run time begins with; null: none is possible
};

// What the kernel asks for beyond the GPU: "163840 bytes of static shared memory, at most 101376"; empty:
// nothing.
std::string excess(const Kernel& kernel, const TargetFacts& facts);

}  // namespace warpwright::inspect
