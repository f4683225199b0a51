// SPDX-License-Identifier: Apache-2.0
#include "inspect/summary.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

namespace warpwright::inspect {
namespace {

void add_once(std::vector<std::string>& list, const std::string& entry) {
    if (entry.empty() || std::ranges::find(list, entry) != list.end()) return;
    list.insert(std::ranges::upper_bound(list, entry), entry);
}

void add_kernel(const Kernel& kernel, const Image& image, KernelGroup& group) {
    const std::string architecture = architecture_name(image);
    if (std::ranges::find(group.architectures, architecture) == group.architectures.end())
        group.architectures.push_back(architecture);
    if (kernel.registers >= 0) {
        group.min_registers =
            group.min_registers < 0 ? kernel.registers : std::min(group.min_registers, kernel.registers);
        group.max_registers = std::max(group.max_registers, kernel.registers);
    }
    group.max_shared_bytes = std::max(group.max_shared_bytes, kernel.shared_bytes);
    group.max_stack_bytes = std::max(group.max_stack_bytes, kernel.stack_bytes);
    group.classes.bits |= kernel.classes.bits;
    group.classes_known |= kernel.classes_known;
    if (kernel.stub == Stub::none) return;
    if (group.num_stubs++ == 0) group.stub = kernel.stub;
}

}  // namespace

std::vector<ImageGroup> group_images(const FileReport& file) {
    std::map<std::tuple<ImageKind, int, Suffix>, ImageGroup> groups;
    for (const Image& image : file.images) {
        ImageGroup& group = groups[{image.kind, image.architecture.sm, image.architecture.suffix}];
        group.kind = image.kind;
        group.architecture = image.architecture;
        ++group.num_images;
        group.num_damaged += image.damage.empty() ? 0 : 1;
        group.num_kernels += image.kernels.size();
        group.stored_bytes += image.stored_bytes;
        group.bytes += image.bytes;
        add_once(group.toolkits, image.toolkit);
        add_once(group.compressions, compression_name(image.compression));
        add_once(group.sections, image.section);
        for (const Kernel& kernel : image.kernels) {
            group.classes.bits |= kernel.classes.bits;
            group.num_stubs += kernel.stub == Stub::none ? 0 : 1;
        }
    }
    std::vector<ImageGroup> list;
    for (auto& [key, group] : groups) list.push_back(std::move(group));
    return list;
}

std::vector<VerdictGroup> group_verdicts(const FileReport& file) {
    std::vector<VerdictGroup> groups;
    for (const Verdict& verdict : file.verdicts) {
        const auto same = std::ranges::find_if(groups, [&](const VerdictGroup& group) {
            return group.verdict.runs == verdict.runs && group.verdict.text == verdict.text &&
                   group.verdict.fix == verdict.fix;
        });
        if (same != groups.end()) {
            same->targets.push_back(verdict.target);
        } else {
            groups.push_back({{verdict.target}, verdict});
        }
    }
    return groups;
}

std::vector<KernelGroup> group_kernels(const FileReport& file) {
    std::vector<KernelGroup> groups;
    std::unordered_map<std::string_view, std::size_t> index;
    for (const Image& image : file.images) {
        if (image.link_input) continue;
        for (const Kernel& kernel : image.kernels) {
            const auto [found, added] = index.try_emplace(kernel.name, groups.size());
            if (added) groups.emplace_back().name = kernel.name;
            add_kernel(kernel, image, groups[found->second]);
        }
    }
    std::ranges::sort(groups, {}, &KernelGroup::name);
    return groups;
}

std::vector<std::string> class_names(InstructionClasses classes) {
    std::vector<std::string> names;
    for (int i = 0; i < kNumInstructionClasses; ++i) {
        const auto c = static_cast<InstructionClass>(i);
        if (classes.has(c)) names.emplace_back(instruction_class_name(c));
    }
    return names;
}

std::string architecture_name(ImageKind kind, Architecture architecture) {
    const std::string name = architecture_name(architecture);
    if (architecture.sm == 0 || kind == ImageKind::cubin) return name;
    return (kind == ImageKind::ptx ? "compute_" : "lto_") + name.substr(3);
}

std::string architecture_name(const Image& image) {
    return architecture_name(image.kind, image.architecture);
}

}  // namespace warpwright::inspect
