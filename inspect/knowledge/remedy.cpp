// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/remedy.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "dispatch/operation.h"
#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/fingerprints.h"
#include "inspect/knowledge/loading.h"

namespace warpwright::inspect {
namespace {

void append(std::string& text, const std::string& part, const char* between = "; ") {
    if (part.empty()) return;
    if (!text.empty()) text += between;
    text += part;
}

// The row that our registry chooses for this work on this GPU; empty where it has none.
std::string our_row(const Target& target, const Work& work) {
    static std::mutex mutex;
    static std::map<std::pair<std::string, const Work*>, std::string> known;
    const std::lock_guard lock(mutex);
    const auto [entry, is_new] = known.try_emplace({target.id, &work});
    if (!is_new) return entry->second;
    const auto operation = find_operation(work.op);
    if (!operation.ok()) return {};
    const auto explanation = operation.value()->explain(target, work.problem, {});
    if (explanation.ok() && explanation.value().choice() != nullptr)
        entry->second = explanation.value().choice()->row;
    return entry->second;
}

// By what the kernels' names tell, else by what their libraries are for; those of most kernels.
std::string our_rows(const Target& target, const FileReport& file, std::span<const std::string_view> names) {
    constexpr std::size_t kWorksShown = 3;
    const std::vector<Work>& works = fingerprints().works;
    std::vector<std::pair<int, const Work*>> wanted;
    for (const Work& work : works) wanted.emplace_back(0, &work);
    for (const std::string_view name : names) {
        if (const auto work = fingerprints().work_of(name)) --wanted[*work].first;
    }
    if (names.empty()) {
        for (const Library& library : file.libraries) {
            const Fingerprint* fingerprint = fingerprints().find(library.id);
            for (std::size_t i = 0; i < works.size() && fingerprint != nullptr; ++i) {
                const std::vector<std::string>& ids = fingerprint->works;
                if (std::find(ids.begin(), ids.end(), works[i].id) != ids.end()) --wanted[i].first;
            }
        }
    }
    std::sort(wanted.begin(), wanted.end());
    std::string text;
    std::size_t shown = 0;
    for (const auto& [count, work] : wanted) {
        if (count == 0 || shown == kWorksShown) break;
        const std::string row = our_row(target, *work);
        if (row.empty()) continue;
        append(text, fmt::format("{} by {}", work->name, row), ", ");
        ++shown;
    }
    return text.empty() ? text : "warpwright has here: " + text;
}

std::string of_them(std::size_t count, std::size_t total, const char* one, const char* many) {
    if (count == total)
        return fmt::format("{} {}", total == 1 ? "it" : "all of them", total == 1 ? one : many);
    return fmt::format("{} of them {}", count, count == 1 ? one : many);
}

// What the licence holders' own release must bring.
std::string library_name(const FileReport& file) {
    for (const Library& library : file.libraries) {
        const Fingerprint* fingerprint = fingerprints().find(library.id);
        if (fingerprint != nullptr && fingerprint->headers_only) return library.name;
    }
    return "the library";
}

}  // namespace

std::string foreign_instructions(InstructionClasses classes, int compute_capability) {
    const int major = compute_capability / 10;
    const auto any = [&](std::initializer_list<InstructionClass> list) {
        for (const InstructionClass c : list) {
            if (classes.has(c)) return true;
        }
        return false;
    };
    using enum InstructionClass;
    if (compute_capability != 90 && any({hgmma, igmma, qgmma, bgmma})) return "wgmma, which only 9.0 has";
    if (major != 10 && major != 11 && any({tcgen05, tcgen05_2cta}))
        return "tcgen05 and tensor memory, which only 10.x and 11.0 have";
    if (major != 12 && any({qmma_scaled, omma_scaled})) return "block-scaled mma.sync, which only 12.x has";
    if (compute_capability < 90 && any({tma_load, tma_store, tma_reduce, bulk_copy, cluster_barrier, dsmem}))
        return "TMA and clusters, which 9.0 and later have";
    return {};
}

std::string remedy(const FileReport& file, const Target& target, const Failing& failing) {
    const int capability = target.facts.compute_capability;
    std::string text;
    if (failing.driver != 0)
        append(text, fmt::format("install driver {} or later", driver_text(failing.driver)));
    if (failing.forced_jit_helps) append(text, "set CUDA_FORCE_PTX_JIT=1: their PTX is whole");
    if (failing.rebuilding_helps && !file.jit_cache.empty()) {
        append(text, fmt::format("none needed: {} makes another for {} there", file.jit_cache,
                                 capability_text(capability)));
        return text;
    }
    if (failing.rebuilding_helps && file.headers_only) {
        append(text, fmt::format("take a release of {} with code for {}", library_name(file),
                                 capability_text(capability)));
    } else if (failing.rebuilding_helps) {
        // Where images tell no kernels, there are no names to count.
        const std::size_t no_help = failing.num_foreign + failing.num_elsewhere;
        const bool all = no_help > 0 && no_help >= failing.names.size();
        if (!all) append(text, "rebuild with " + gencode(capability, failing.suffixed));
        if (failing.num_foreign > 0)
            append(text, fmt::format("{} {}: other kernels are needed, not another build",
                                     of_them(failing.num_foreign, failing.names.size(), "uses", "use"),
                                     failing.foreign));
        if (failing.num_elsewhere > 0)
            append(text, fmt::format("{} meant for other GPUs",
                                     of_them(failing.num_elsewhere, failing.names.size(), "is", "are")));
    }
    append(text, our_rows(target, file, failing.names));
    return text;
}

}  // namespace warpwright::inspect
