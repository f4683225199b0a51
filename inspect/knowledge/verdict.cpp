// SPDX-License-Identifier: Apache-2.0
#include "inspect/knowledge/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "inspect/knowledge/drivers.h"
#include "inspect/knowledge/loading.h"
#include "inspect/knowledge/outcome.h"
#include "inspect/knowledge/remedy.h"
#include "inspect/knowledge/sentence.h"
#include "inspect/knowledge/template_arch.h"

namespace warpwright::inspect {
namespace {

constexpr std::size_t kNamesShown = 20;
constexpr std::size_t kReasonsShown = 2;

// "all 12 kernels", "3 of 12 kernels"; where images tell no kernels, of them.
std::string counted(std::size_t count, std::size_t total, bool nameless) {
    const char* noun = nameless ? "image" : "kernel";
    if (count == total)
        return total == 1 ? fmt::format("its {}", noun) : fmt::format("all {} {}s", total, noun);
    return fmt::format("{} of {} {}s", count, total, noun);
}

class Judge {
public:
    Judge(const FileReport& file, const KernelIndex& index, const Target& target, const JudgeOptions& options)
        : file_(file),
          index_(index),
          target_(target),
          options_(options),
          capability_(capability_text(target.facts.compute_capability)),
          outcomes_(file, index, target, options) {}

    Verdict verdict() {
        Verdict verdict;
        verdict.target = target_.id;
        if (index_.kernels.empty()) {
            verdict.runs = file_.runtime_code ? Runs::jit : Runs::no;
            verdict.text = file_.runtime_code
                               ? "no device code in the file: it makes or loads its own at run time, and "
                                 "nothing here tells for which GPUs"
                               : "no device code in the file";
            return verdict;
        }
        for (const IndexedKernel& kernel : index_.kernels) sort_in(kernel);
        const std::size_t total = index_.kernels.size(), running = native_ + jit_;
        verdict.num_kernels = static_cast<int>(index_.nameless ? 0 : running);
        verdict.num_missing = static_cast<int>(index_.nameless ? 0 : total - running);
        if (running == total) {
            verdict.runs = jit_ == 0 ? Runs::native : Runs::jit;
            verdict.text = how_they_run();
            return verdict;
        }
        const Failing failed = failing();
        if (chooses_itself(failed)) {
            verdict.runs = jit_ == 0 ? Runs::native : Runs::jit;
            verdict.num_for_others = verdict.num_missing;
            verdict.text = fmt::format("{}; the library's others are for other GPUs", how_they_run());
            return verdict;
        }
        verdict.runs = running > 0 ? Runs::partly : stubs_ > 0 ? Runs::stub : Runs::no;
        verdict.num_for_others =
            index_.nameless ? 0 : static_cast<int>(failed.num_foreign + failed.num_elsewhere);
        verdict.text = running > 0 ? fmt::format("{}; the others not: {}", how_they_run(), reasons())
                                   : fmt::format("{} on {}: {}", running_none(total), capability_, reasons());
        verdict.fix = remedy(file_, target_, failed);
        if (!index_.nameless) {
            for (std::size_t i = 0; i < std::min(failing_.size(), kNamesShown); ++i)
                verdict.kernels.push_back(demangle(std::string(failing_[i]->name)));
        }
        return verdict;
    }

private:
    void sort_in(const IndexedKernel& kernel) {
        const Outcome outcome = outcomes_.of(kernel);
        if (!runs(outcome.state)) {
            failing_.push_back(&kernel);
            stubs_ += outcome.state == State::stub;
            note_reason(kernel, outcome);
            return;
        }
        (outcome.state == State::native ? native_ : jit_) += 1;
        std::vector<const Image*>& used = outcome.state == State::native ? native_images_ : jit_images_;
        if (used.empty() || used.back() != outcome.image) {
            if (std::find(used.begin(), used.end(), outcome.image) == used.end())
                used.push_back(outcome.image);
        }
        if (outcome.kernel == nullptr || !outcome.kernel->classes_known) return;
        emulated_fp8_ += outcome.kernel->classes.has(InstructionClass::emulated_fp8_mma);
        emulated_tma_ += outcome.kernel->classes.has(InstructionClass::emulated_tma);
    }

    void note_reason(const IndexedKernel& kernel, const Outcome& outcome) {
        // Thousands of kernels share a few reasons, which are said once.
        const bool is_missing = outcome.state == State::missing;
        std::string* text = nullptr;
        std::string own;
        if (is_missing) {
            text = &missing_texts_[kernel.builds];
            if (text->empty()) *text = why_not(outcome, index_.builds[kernel.builds], target_, options_);
        } else {
            own = why_not(outcome, index_.builds[kernel.builds], target_, options_);
            text = &own;
        }
        ++reasons_[*text];
        states_[static_cast<int>(outcome.state)] += 1;
        if (outcome.state == State::driver)
            driver_needed_ = std::max(driver_needed_, driver_floor(*outcome.image).driver);
    }

    std::string running_none(std::size_t total) const {
        const char* noun = index_.nameless ? "image" : "kernel";
        return total == 1 ? fmt::format("its {} does not run", noun)
                          : fmt::format("none of {} {}s runs", total, noun);
    }

    std::string how_they_run() const {
        const std::size_t total = index_.kernels.size();
        std::string text;
        if (native_ > 0)
            text = fmt::format("{} {} {} code, which {} loads", counted(native_, total, index_.nameless),
                               native_ == 1 ? "has" : "have", architectures(native_images_), capability_);
        if (jit_ > 0) {
            const bool relinked = std::any_of(jit_images_.begin(), jit_images_.end(),
                                              [](const Image* image) { return image->link_input; });
            const bool linked = std::all_of(jit_images_.begin(), jit_images_.end(), [](const Image* image) {
                return image->kind == ImageKind::ltoir;
            });
            if (!text.empty()) text += "; ";
            text +=
                fmt::format("{} {} compiled from {} {} {}at run time", counted(jit_, total, index_.nameless),
                            jit_ == 1 ? "is" : "are", architectures(jit_images_),
                            linked ? "LTO-IR (nvJitLink)" : "PTX", relinked ? "and linked again " : "");
        }
        return text + driver_note() + emulation_notes();
    }

    // What is needed of a driver that was not named.
    std::string driver_note() const {
        Floor floor;
        for (const auto* used : {&native_images_, &jit_images_}) {
            for (const Image* image : *used) {
                if (Floor own = driver_floor(*image); own.driver > floor.driver) floor = std::move(own);
            }
        }
        if (floor.driver == 0) return {};
        return fmt::format(" (driver {} or later: {})", driver_text(floor.driver), floor.reason);
    }

    std::string emulation_notes() const {
        std::string text;
        if (emulated_fp8_ > 0)
            text += fmt::format("; {} of them emulate{} fp8 products by conversions, slowly", emulated_fp8_,
                                emulated_fp8_ == 1 ? "s" : "");
        if (emulated_tma_ > 0)
            text += fmt::format("; {} of them copy to other CTAs through a routine of the driver, slowly",
                                emulated_tma_);
        return text;
    }

    std::string reasons() const {
        std::vector<std::pair<int, std::string>> sorted;
        for (const auto& [text, count] : reasons_) sorted.emplace_back(count, text);
        std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
            return a.first != b.first ? a.first > b.first : a.second < b.second;
        });
        std::string text;
        for (std::size_t i = 0; i < std::min(sorted.size(), kReasonsShown); ++i) {
            if (i > 0) text += fmt::format("; {} more: ", sorted[i].first);
            text += sorted[i].second;
        }
        if (sorted.size() > kReasonsShown)
            text += fmt::format("; and {} other reasons", sorted.size() - kReasonsShown);
        return text + made_for();
    }

    // "; 88 of them are by name for sm90": templates of another architecture's instructions, whose place
    // other kernels of the same library take.
    std::string made_for() const {
        std::map<int, int> counts;
        for (const IndexedKernel* kernel : failing_) {
            const int sm = template_architecture(kernel->name);
            // Earlier templates are of instructions that all later GPUs have.
            if (sm >= 90 && sm / 10 != target_.facts.compute_capability / 10) ++counts[sm];
        }
        std::string text;
        for (const auto& [sm, count] : counts)
            text += fmt::format("{}{} for sm{}", text.empty() ? "" : ", ", count, sm);
        return text.empty() ? text : fmt::format("; by their names {}", text);
    }

    // Instructions that this GPU has not, where each build with a body uses some.
    std::string foreign_to_all(const IndexedKernel& kernel) const {
        std::string found;
        for (const KernelPlace& place : kernel.places) {
            if (place.kernel == nullptr || place.kernel->stub != Stub::none) continue;
            if (!place.kernel->classes_known) return {};
            found = foreign_instructions(place.kernel->classes, target_.facts.compute_capability);
            if (found.empty()) return {};
        }
        return found;
    }

    // NVIDIA's libraries choose among kernels themselves, and have for each GPU what they need there: where
    // they have code for this one, what they hold for others is not missed.
    bool chooses_itself(const Failing& failed) const {
        return file_.headers_only && native_ > 0 && failed.driver == 0;
    }

    Failing failing() {
        Failing result;
        JudgeOptions forced = options_;
        forced.force_ptx_jit = true;
        const Outcomes by_ptx(file_, index_, target_, forced);
        result.forced_jit_helps = !options_.force_ptx_jit;
        for (const IndexedKernel* kernel : failing_) {
            if (!index_.nameless) names_.push_back(kernel->name);
            result.forced_jit_helps &= runs(by_ptx.of(*kernel).state);
            if (const std::string foreign = foreign_to_all(*kernel); !foreign.empty()) {
                result.foreign = foreign;
                ++result.num_foreign;
            } else if (is_meant_for_others(outcomes_.of(*kernel))) {
                ++result.num_elsewhere;
            }
            for (const Image* image : index_.builds[kernel->builds])
                result.suffixed |= image->architecture.suffix != Suffix::none;
        }
        result.names = names_;
        const auto count = [&](State state) { return states_[static_cast<int>(state)]; };
        result.rebuilding_helps = count(State::stub) + count(State::lacking) + count(State::missing) > 0;
        result.driver = driver_needed_;
        return result;
    }

    const FileReport& file_;
    const KernelIndex& index_;
    const Target& target_;
    const JudgeOptions& options_;
    const std::string capability_;
    const Outcomes outcomes_;

    std::size_t native_ = 0, jit_ = 0, stubs_ = 0;
    int emulated_fp8_ = 0, emulated_tma_ = 0;
    std::array<int, static_cast<int>(State::missing) + 1> states_{};
    std::vector<const Image*> native_images_, jit_images_;
    std::vector<const IndexedKernel*> failing_;
    std::vector<std::string_view> names_;
    std::map<u32, std::string> missing_texts_;  // by set of builds
    std::map<std::string, int> reasons_;        // how many kernels have each
    int driver_needed_ = 0;
};

}  // namespace

std::vector<Verdict> judge(const FileReport& file, std::span<const Target> targets,
                           const JudgeOptions& options) {
    const KernelIndex index(file);
    std::vector<Verdict> verdicts;
    for (const Target& target : targets) verdicts.push_back(Judge(file, index, target, options).verdict());
    return verdicts;
}

Verdict judge(const FileReport& file, const Target& target, const JudgeOptions& options) {
    return std::move(judge(file, std::span(&target, 1), options).front());
}

}  // namespace warpwright::inspect
