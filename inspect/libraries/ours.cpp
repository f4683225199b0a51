// SPDX-License-Identifier: Apache-2.0
#include "inspect/libraries/ours.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "dispatch/operation.h"
#include "inspect/knowledge/fingerprints.h"

namespace warpwright::libraries {
namespace {

const inspect::Work* find_work(std::string_view id) {
    for (const inspect::Work& work : inspect::fingerprints().works)
        if (work.id == id) return &work;
    return nullptr;
}

// The work's problem, with what the need asks for otherwise.
FieldTexts problem_of(const inspect::Work& work, const Need& need) {
    FieldTexts problem = work.problem;
    for (const auto& [name, value] : need.problem) {
        const auto known = std::ranges::find(problem, name, &FieldTexts::value_type::first);
        if (known == problem.end())
            problem.emplace_back(name, value);
        else
            known->second = value;
    }
    return problem;
}

struct Answer {
    std::string row, refusal;
};

Answer ask(const Target& target, const inspect::Work& work, const FieldTexts& problem) {
    const auto operation = find_operation(work.op);
    if (!operation.ok()) return {"", operation.status().message()};
    const auto explanation = operation.value()->explain(target, problem, {});
    if (!explanation.ok()) return {"", explanation.status().message()};
    const Candidate* chosen = explanation.value().choice();
    if (chosen == nullptr) return {"", fmt::format("no row of {} serves it on {}", work.op, target.id)};
    return {chosen->row, ""};
}

// The registry's answer, asked for once: the table has each need many times.
Answer answer(const Target& target, const inspect::Work& work, const FieldTexts& problem) {
    static std::mutex mutex;
    static std::map<std::string, Answer> known;
    std::string key = target.id + '\n' + work.op;
    for (const auto& [name, value] : problem) key += fmt::format("\n{}={}", name, value);
    const std::scoped_lock lock(mutex);
    const auto [entry, is_new] = known.try_emplace(std::move(key));
    if (is_new) entry->second = ask(target, work, problem);
    return entry->second;
}

bool is_native(const inspect::Work& work, const std::string& row) {
    const auto operation = find_operation(work.op);
    if (!operation.ok()) return false;
    for (int i = 0; i < (*operation)->num_rows(); ++i)
        if ((*operation)->row_name(i) == row) return (*operation)->row_arch(i) > ArchClass::portable;
    return false;
}

OurState state_on(const Library& library, const std::vector<const Target*>& targets) {
    OurState state;
    state.evidence = Evidence::measured;
    const TestRecord& record = test_record();
    for (const Need& need : library.needs) {
        OurNeed& ours = state.needs.emplace_back();
        ours.need = &need;
        const inspect::Work* work = find_work(need.work);
        ours.exists = work != nullptr;
        if (!ours.exists) {
            ours.text = "no operation yet";
            continue;
        }
        ours.serves = true;
        ours.evidence = Evidence::measured;
        const FieldTexts problem = problem_of(*work, need);
        for (const Target* target : targets) {
            const Answer found = answer(*target, *work, problem);
            if (found.row.empty()) {
                ours.serves = false;
                ours.text = found.refusal;
                break;
            }
            ours.evidence =
                std::min(ours.evidence, record.evidence(found.row, target->facts.compute_capability));
            if (std::ranges::find(ours.rows, found.row) == ours.rows.end()) ours.rows.push_back(found.row);
            state.native = state.native || is_native(*work, found.row);
        }
        if (!ours.serves) continue;
        ++state.num_served;
        state.evidence = std::min(state.evidence, ours.evidence);
    }
    if (state.num_served == 0) state.evidence = Evidence::none;
    const int capability = targets.front()->facts.compute_capability;
    if (const CheckedGpu* gpu = record.gpu(capability);
        state.evidence == Evidence::measured && gpu != nullptr)
        state.measured_on = fmt::format("{}, {}", gpu->gpu, gpu->date);
    if (const auto known = record.emulated.find(build_target_name(build_target_for(capability)));
        state.evidence == Evidence::emulated && known != record.emulated.end())
        state.emulated_as = known->second;
    return state;
}

}  // namespace

std::string OurState::short_text() const {
    if (num_served == 0) return "not yet";
    const char* how = evidence == Evidence::measured   ? "meas."
                      : evidence == Evidence::emulated ? "emul."
                                                       : "untested";
    return fmt::format("{}/{} {}", num_served, needs.size(), how);
}

std::string OurState::text() const {
    if (num_served == 0) return "nothing yet";
    std::string text = fmt::format("{} of {} by {} rows", num_served, needs.size(),
                                   native ? "its own and portable" : "portable");
    if (!measured_on.empty()) return text + ", measured on " + measured_on;
    if (!emulated_as.empty()) return text + ", emulated (as " + emulated_as + ")";
    return text + ", untested";
}

OurState our_state(const Library& library, int capability) {
    std::vector<const Target*> targets;
    for (const Target& target : warpwright::targets())
        if (target.facts.compute_capability == capability) targets.push_back(&target);
    return state_on(library, targets);
}

OurState our_state(const Library& library, const Target& target) {
    return state_on(library, {&target});
}

}  // namespace warpwright::libraries
