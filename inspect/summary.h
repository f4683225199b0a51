// SPDX-License-Identifier: Apache-2.0
// A report as people read it: images by architecture, GPUs by verdict, kernels by name. Text and HTML show
// these.
#pragma once

#include <string>
#include <vector>

#include "inspect/report.h"

namespace warpwright::inspect {

// All images of one kind and architecture in a file.
struct ImageGroup {
    ImageKind kind = ImageKind::cubin;
    Architecture architecture;
    u64 num_images = 0, num_kernels = 0, num_stubs = 0, num_damaged = 0;
    u64 stored_bytes = 0, bytes = 0;
    std::vector<std::string> toolkits, compressions, sections;  // each once, sorted
    InstructionClasses classes;
};
std::vector<ImageGroup> group_images(const FileReport& file);  // by kind, then architecture

// GPUs of which the same is said.
struct VerdictGroup {
    std::vector<std::string> targets;
    Verdict verdict;  // of the first
};
std::vector<VerdictGroup> group_verdicts(const FileReport& file);  // in the order of the first target

// A kernel of a file over all its images. A figure is a range where images differ.
struct KernelGroup {
    std::string name;                        // mangled
    std::vector<std::string> architectures;  // "sm_80", "compute_90 (PTX)"; link inputs are left out
    int min_registers = -1, max_registers = -1;
    int max_shared_bytes = -1, max_stack_bytes = -1;
    InstructionClasses classes;
    bool classes_known = false;
    int num_stubs = 0;
    Stub stub = Stub::none;  // of the first image that is one
};
std::vector<KernelGroup> group_kernels(const FileReport& file);  // by name

std::vector<std::string> class_names(InstructionClasses classes);

// "sm_90a" of machine code, "compute_90a" of PTX, "lto_90" of LTO-IR.
std::string architecture_name(const Image& image);
std::string architecture_name(ImageKind kind, Architecture architecture);

}  // namespace warpwright::inspect
