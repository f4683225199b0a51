// SPDX-License-Identifier: Apache-2.0
#include "warpwright/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "dispatch/choose.h"
#include "dispatch/explain_json.h"
#include "dispatch/nearest.h"

namespace warpwright {
namespace {

std::string capability_text(i64 capability) {
    return capability == 0 ? "the CPU"
                           : fmt::format("compute capability {}.{}", capability / 10, capability % 10);
}

std::string words(const char* rule) {
    std::string text = rule;
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
}

// " (batch-invariant: chosen for m=128)", or nothing.
std::string invariance_text(const Explanation& explanation) {
    std::string text;
    for (const auto& [name, value] : explanation.chosen_for)
        text += fmt::format("{}{}={}", text.empty() ? " (batch-invariant: chosen for " : " ", name, value);
    return text.empty() ? text : text + ")";
}

nlohmann::ordered_json typed(const std::string& text) {  // numbers and booleans as such
    auto value = nlohmann::ordered_json::parse(text, nullptr, false);
    return value.is_number() || value.is_boolean() ? value : nlohmann::ordered_json(text);
}

}  // namespace

std::string rejection_text(const Rejection& rejection, const Target& target) {
    const std::string_view kind = rejection.kind;
    const std::string rule = words(rejection.rule);
    if (kind == "sm") {
        if (rejection.required == 0) return fmt::format("{}: runs on the CPU, {} is a GPU", rule, target.id);
        const bool exact = rejection.required > 80;
        return fmt::format("{}: needs {}{}, {} is {}", rule, capability_text(rejection.required),
                           exact ? "" : " or later", target.id,
                           rejection.actual == 0 ? "a CPU" : capability_text(rejection.actual));
    }
    if (kind == "sm_from") {
        return fmt::format("{}: needs {} or later, {} is {}", rule, capability_text(rejection.required),
                           target.id, capability_text(rejection.actual));
    }
    if (kind == "build_target") {
        return fmt::format("{}: needs {}, built for {}", rule, capability_text(rejection.required),
                           build_target_name(static_cast<BuildTarget>(rejection.actual)));
    }
    if (kind == "at_most_bytes") {
        return fmt::format("{}: needs {} bytes, {} has {}", rule, rejection.actual, target.id,
                           rejection.required);
    }
    if (kind == "dtype") {
        return fmt::format("{}: needs {}, got {}", rule, dtype_name(static_cast<DType>(rejection.required)),
                           dtype_name(static_cast<DType>(rejection.actual)));
    }
    if (kind == "multiple") {
        return fmt::format("{}: needs a multiple of {}, got {}", rule, rejection.required, rejection.actual);
    }
    if (kind == "power_of_two")
        return fmt::format("{}: needs a power of two, got {}", rule, rejection.actual);
    if (kind == "at_most")
        return fmt::format("{}: needs at most {}, got {}", rule, rejection.required, rejection.actual);
    if (kind == "at_least") {
        return fmt::format("{}: needs at least {}, got {}", rule, rejection.required, rejection.actual);
    }
    if (kind == "bool") {
        return fmt::format("{}: needs {}, got {}", rule, rejection.required != 0 ? "true" : "false",
                           rejection.actual != 0 ? "true" : "false");
    }
    return fmt::format("{}: needs {}, got {}", rule, rejection.required, rejection.actual);
}

FieldTexts changed_fields(const FieldTexts& before, const FieldTexts& after) {
    FieldTexts changed;
    for (std::size_t i = 0; i < before.size(); ++i) {
        if (before[i] != after[i]) changed.push_back(after[i]);
    }
    return changed;
}

Status no_row_error(const Explanation& explanation, std::string_view forced) {
    std::string problem;
    for (const auto& [name, value] : explanation.problem) problem += fmt::format(" {}={}", name, value);
    problem += invariance_text(explanation);
    std::vector<std::string> names;
    std::string tried;
    for (const Candidate& candidate : explanation.candidates) {
        names.push_back(candidate.row);
        if (!forced.empty() && candidate.row == forced) {
            return no_kernel(fmt::format("{}: the forced row {} does not serve{}: {}", explanation.op, forced,
                                         problem, candidate.text));
        }
        tried += fmt::format("{}{} ({})", tried.empty() ? "" : ", ", candidate.row, candidate.text);
    }
    if (!forced.empty()) {
        return caller_error(fmt::format("{}: no row named '{}'; nearest: {}", explanation.op, forced,
                                        nearest(forced, names)));
    }
    return no_kernel(fmt::format("{}: no row serves{} on {}; rows tried: {}", explanation.op, problem,
                                 explanation.target, tried));
}

nlohmann::ordered_json explanation_json(const Explanation& explanation) {
    nlohmann::ordered_json json;
    json["op"] = explanation.op;
    json["target"] = explanation.target;
    json["problem"] = nlohmann::ordered_json::object();
    for (const auto& [name, value] : explanation.problem) json["problem"][name] = typed(value);
    json["chosen"] = nullptr;
    if (const Candidate* choice = explanation.choice()) {
        json["chosen"] = {{"row", choice->row},
                          {"predicted_us", choice->prediction.us},
                          {"bound", choice->prediction.bound},
                          {"basis", choice->basis}};
        if (explanation.forced) json["chosen"]["forced"] = true;
        for (const auto& [name, value] : explanation.chosen_for)
            json["chosen"]["batch_invariant"][name] = typed(value);
    }
    json["candidates"] = nlohmann::ordered_json::array();
    for (const Candidate& candidate : explanation.candidates) {
        nlohmann::ordered_json entry{{"row", candidate.row}, {"accepted", candidate.accepted}};
        if (candidate.accepted) {
            entry["predicted_us"] = candidate.prediction.us;
            entry["bound"] = candidate.prediction.bound;
            entry["basis"] = candidate.basis;
        } else {
            entry["rule"] = candidate.rejection.rule;
            entry["required"] = candidate.rejection.required;
            entry["actual"] = candidate.rejection.actual;
            entry["text"] = candidate.text;
        }
        json["candidates"].push_back(std::move(entry));
    }
    if (!explanation.tuning_problem.empty()) json["tuning_problem"] = explanation.tuning_problem;
    return json;
}

std::string to_json(const Explanation& explanation, int indent) {
    return explanation_json(explanation).dump(indent);
}

std::string to_text(const Explanation& explanation) {
    std::string text = fmt::format("{} on {}:", explanation.op, explanation.target);
    for (const auto& [name, value] : explanation.problem) text += fmt::format(" {}={}", name, value);
    text += '\n';
    std::size_t width = 0;
    for (const Candidate& candidate : explanation.candidates) width = std::max(width, candidate.row.size());
    std::vector<const Candidate*> accepted, rejected;
    for (const Candidate& candidate : explanation.candidates) {
        if (&candidate != explanation.choice())
            (candidate.accepted ? accepted : rejected).push_back(&candidate);
    }
    std::stable_sort(accepted.begin(), accepted.end(), [](const Candidate* a, const Candidate* b) {
        return a->prediction.us < b->prediction.us;
    });
    if (const Candidate* choice = explanation.choice()) {
        text += fmt::format("  chosen    {:<{}}  {:9.2f} us  bound by {} ({}{}){}\n", choice->row, width,
                            choice->prediction.us, choice->prediction.bound, choice->basis,
                            explanation.forced ? ", forced" : "", invariance_text(explanation));
    } else {
        text += "  no row serves this problem\n";
    }
    for (const Candidate* candidate : accepted) {
        text += fmt::format("  possible  {:<{}}  {:9.2f} us  bound by {}{}\n", candidate->row, width,
                            candidate->prediction.us, candidate->prediction.bound,
                            candidate->basis == "measured" ? " (measured)" : "");
    }
    for (const Candidate* candidate : rejected) {
        text += fmt::format("  refused   {:<{}}  {}\n", candidate->row, width, candidate->text);
    }
    if (!explanation.tuning_problem.empty())
        text += fmt::format("  note: the tuning table is not used: {}\n", explanation.tuning_problem);
    return text;
}

}  // namespace warpwright
