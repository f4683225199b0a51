// SPDX-License-Identifier: Apache-2.0
#include "inspect/diagnose/confirm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace warpwright::diagnose {
namespace {

using inspect::FileReport;
using inspect::Runs;

std::string capability_text(int compute_capability) {
    return fmt::format("{}.{}", compute_capability / 10, compute_capability % 10);
}

// "sm_80, sm_90a"
std::string architectures_of(const FileReport& file) {
    std::set<std::string> names;
    for (const inspect::Image& image : file.images)
        if (!image.link_input) names.insert(inspect::architecture_name(image.architecture));
    return fmt::format("{}", fmt::join(names, ", "));
}

struct Files {
    std::vector<const FileReport*> list;
    std::string
        what;  // "2 files of flash-attention-2", "9 files with device code, none of them known as ..."
};

Files files_for(const Finding& finding, const inspect::Report& binaries) {
    Files all, own;
    for (const FileReport& file : binaries.files) {
        if (file.images.empty() && !file.runtime_code) continue;
        all.list.push_back(&file);
        const std::string name = file.path.substr(file.path.rfind('/') + 1);
        if (std::ranges::find(file.libraries, finding.library, &inspect::Library::id) !=
                file.libraries.end() ||
            finding.named_by.find(name) != std::string::npos ||
            finding.place.text.find(name) != std::string::npos)
            own.list.push_back(&file);
    }
    const auto count = [](size_t n) { return fmt::format("{} file{}", n, n == 1 ? "" : "s"); };
    if (!own.list.empty()) {
        own.what = fmt::format("{} of {}", count(own.list.size()),
                               finding.library.empty() ? "this name" : finding.library);
        return own;
    }
    all.what = count(all.list.size()) + " with device code" +
               (finding.library.empty() ? "" : fmt::format(", none known as {}", finding.library));
    return all;
}

bool is_bad(Runs runs) {
    return runs == Runs::no || runs == Runs::stub || runs == Runs::partly;
}

std::string lacks(const FileReport& file, const inspect::Verdict& verdict, int compute_capability) {
    const std::string images = file.images.empty() ? "" : fmt::format(" (it has {})", architectures_of(file));
    const char* what = verdict.runs == Runs::stub     ? "holds only stubs for"
                       : verdict.runs == Runs::partly ? "has not all kernels for"
                                                      : "has no image for";
    return fmt::format("{} {} {}{}: {}", file.path, what, capability_text(compute_capability), images,
                       verdict.text);
}

Confirmation check_images(const Finding& finding, const inspect::Report& binaries,
                          const std::vector<Target>& targets) {
    const Files files = files_for(finding, binaries);
    if (files.list.empty()) return {Confirmed::cannot_tell, "there is no device code in what was inspected"};
    std::string bad, makes_code, judged;
    size_t num_bad = 0, num_good = 0;
    for (size_t t = 0; t < targets.size(); ++t) {
        const int capability = targets[t].facts.compute_capability;
        if (!finding.failure->applies_to(capability)) continue;
        judged += (judged.empty() ? "" : ", ") + capability_text(capability);
        for (const FileReport* file : files.list) {
            if (file->runtime_code && makes_code.empty()) makes_code = file->path;
            if (t >= file->verdicts.size() || file->images.empty()) continue;
            if (!is_bad(file->verdicts[t].runs)) {
                ++num_good;
                continue;
            }
            if (num_bad++ == 0) bad = lacks(*file, file->verdicts[t], capability);
        }
    }
    if (judged.empty()) return {Confirmed::cannot_tell, "not said for which GPU: give --gpu"};
    if (num_bad > 0) {
        if (num_bad > 1) bad += fmt::format("; {} more like it", num_bad - 1);
        if (num_good > 0) bad += fmt::format("; {} others run there", num_good);
        return {Confirmed::yes, bad};
    }
    if (!makes_code.empty()) {
        return {Confirmed::cannot_tell,
                fmt::format("every image of {} runs on {}, but {} makes code at run time", files.what, judged,
                            makes_code)};
    }
    return {Confirmed::no, fmt::format("every image of {} runs on {}", files.what, judged)};
}

// Only the static part is in a binary.
Confirmation check_shared_memory(const Finding& finding, const inspect::Report& binaries,
                                 const std::vector<Target>& targets) {
    i64 limit = 0;
    for (const Target& target : targets)
        if (finding.failure->applies_to(target.facts.compute_capability))
            limit = std::max(limit, target.facts.shared_per_block_bytes);
    if (limit == 0) return {Confirmed::cannot_tell, "not said for which GPU: give --gpu"};
    for (const FileReport* file : files_for(finding, binaries).list) {
        for (const inspect::Image& image : file->images)
            for (const inspect::Kernel& kernel : image.kernels)
                if (kernel.shared_bytes > limit)
                    return {
                        Confirmed::yes,
                        fmt::format("{}: {} has {} bytes of static shared memory, a block may have {}",
                                    file->path, inspect::demangle(kernel.name), kernel.shared_bytes, limit)};
    }
    return {Confirmed::cannot_tell,
            fmt::format(
                "no kernel there has more than {} bytes of static shared memory; the dynamic part is chosen "
                "at the launch and is in no binary",
                limit)};
}

}  // namespace

std::vector<Target> targets_to_inspect(const Report& report, const std::optional<Target>& gpu) {
    if (gpu) return {*gpu};
    std::vector<Target> chosen;
    for (const Finding& finding : report.findings) {
        if (finding.failure->check == Check::none) continue;
        for (const int capability : finding.failure->architectures) {
            const auto is_it = [&](const Target& target) {
                return target.facts.compute_capability == capability;
            };
            if (std::ranges::any_of(chosen, is_it)) continue;
            const auto found = std::ranges::find_if(targets(), is_it);
            if (found != targets().end()) chosen.push_back(*found);
        }
    }
    return chosen;
}

void confirm(Report& report, const inspect::Report& binaries, const std::vector<Target>& targets) {
    for (Finding& finding : report.findings) {
        switch (finding.failure->check) {
            case Check::none:
                finding.confirmation = {Confirmed::cannot_tell, "this cause does not show in a binary"};
                break;
            case Check::image: finding.confirmation = check_images(finding, binaries, targets); break;
            case Check::shared_memory:
                finding.confirmation = check_shared_memory(finding, binaries, targets);
                break;
        }
    }
}

}  // namespace warpwright::diagnose
