// SPDX-License-Identifier: Apache-2.0
// One plan for people: what it takes, how fast, where the time goes, and which row runs each layer.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/plan_format.h"

namespace warpwright {
namespace {

constexpr int kBarColumns = 24;

std::string bar(double part, double whole, int columns) {
    const int filled = whole > 0 ? static_cast<int>(std::lround(columns * part / whole)) : 0;
    return std::string(static_cast<std::size_t>(std::clamp(filled, part > 0 ? 1 : 0, columns)), '#');
}

// |wwwwwwwccs.........|, or |wwwwwww|wwwcs where the memory ends before the need does.
std::string memory_bar(const Plan& plan) {
    constexpr double kColumns = 48;
    const auto most =
        static_cast<double>(std::max(plan.capacity_bytes, plan.capacity_bytes - plan.free_bytes()));
    const auto columns = [&](i64 bytes) {
        return static_cast<std::size_t>(std::lround(kColumns * static_cast<double>(bytes) / most));
    };
    std::string text(columns(plan.weight_bytes), 'w');
    text += std::string(columns(plan.kv_bytes()), 'c') + std::string(columns(plan.workspace_bytes), 's');
    text.resize(std::max(columns(plan.capacity_bytes), text.size()), '.');
    text.insert(columns(plan.capacity_bytes), "|");
    return fmt::format("           |{:<{}} w weights, c cache, s workspace\n", text, int(kColumns) + 1);
}

std::string memory_lines(const Plan& plan) {
    const std::string per_gpu = plan.num_gpus > 1 ? " per GPU" : "";
    std::string text = fmt::format("  memory   {} weights, {} cache ({} a token), {} workspace; ",
                                   bytes_text(plan.weight_bytes), bytes_text(plan.kv_bytes()),
                                   bytes_text(plan.kv_bytes_per_token), bytes_text(plan.workspace_bytes));
    text += fmt::format("{} usable{}\n", bytes_text(plan.capacity_bytes), per_gpu);
    text += memory_bar(plan);
    if (!plan.cache_note.empty()) text += "           " + plan.cache_note + '\n';
    if (plan.kv_format.starts_with("fp8")) text += "           keys and values in " + plan.kv_format + '\n';
    if (!plan.kv_note.empty()) text += wrapped("           " + plan.kv_note, 11) + '\n';
    if (plan.fits) {
        text +=
            fmt::format("  fits     {} free: context up to {} at batch {}, batch up to {} at context {}\n",
                        bytes_text(plan.free_bytes()), tokens_text(plan.max_context_tokens), plan.batch,
                        plan.max_batch, tokens_text(plan.context_tokens));
    } else {
        text += wrapped("  does not fit: " + plan.fit_text, 11) + '\n';
    }
    return text;
}

std::string phase_lines(const Plan& plan) {
    std::string text = fmt::format("  prefill  {} tokens in {} ({} tokens/s), bound by {}\n",
                                   tokens_text(plan.prompt_tokens), time_text(plan.prefill.total_us()),
                                   rate_text(plan.prefill_tokens_per_s()), plan.prefill.binds());
    text += fmt::format("  decode   batch {} at {} tokens: {} a step ({} tokens/s), bound by {}\n",
                        plan.batch, tokens_text(plan.context_tokens), time_text(plan.decode.total_us()),
                        rate_text(plan.decode_tokens_per_s()), plan.decode.binds());
    return text;
}

double part_us(const std::vector<TimePart>& parts, std::string_view name) {
    for (const TimePart& part : parts) {
        if (part.name == name) return part.us;
    }
    return 0;
}

std::string share_lines(const Plan& plan) {
    std::vector<std::string> names;
    for (const PlannedPhase* phase : {&plan.prefill, &plan.decode}) {
        for (const TimePart& part : phase->kinds) {
            if (std::find(names.begin(), names.end(), part.name) == names.end()) names.push_back(part.name);
        }
    }
    const auto share = [](const PlannedPhase& phase, const std::string& name) {
        const double us = part_us(phase.kinds, name);
        return fmt::format("{:>8}  {:>4} {:<{}}", us > 0 ? time_text(us) : "-",
                           us > 0 ? percent_text(us, phase.total_us()) : "",
                           bar(us, phase.total_us(), kBarColumns), kBarColumns);
    };
    std::string text =
        fmt::format("\n  {:<14}{:>8}  {:<{}}  {:>8}\n", "time in", "prefill", "", kBarColumns + 5, "decode");
    for (const std::string& name : names) {
        std::string line =
            fmt::format("  {:<14}{}  {}", name, share(plan.prefill, name), share(plan.decode, name));
        text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
    }
    return text;
}

std::string us_text(double us) {
    return us >= 999.5 ? fmt::format("{:.0f}", us) : fmt::format("{:.1f}", us);
}

constexpr std::size_t kLineColumns = 100;

// A layer's line: the times of both phases, and the row's name once where both run the same one.
std::string layer_line(const PlannedLayer& layer, std::size_t name_width) {
    const Candidate *prefill = layer.prefill.choice(), *decode = layer.decode.choice();
    const auto time = [](const Explanation& phase) {
        const Candidate* choice = phase.choice();
        if (phase.op.empty()) return fmt::format("{:>15}", "not launched");
        return choice == nullptr ? fmt::format("{:>15}", "no row")
                                 : fmt::format("{:>7} {:<7}", us_text(choice->prediction.us),
                                               short_limit(choice->prediction.bound));
    };
    const std::string head = fmt::format("  {:<{}} {:>3} {} {} ", short_layer_name(layer.name), name_width,
                                         layer.count(), time(layer.prefill), time(layer.decode));
    // A row's name that would not fit behind the times ends where the line does.
    std::string text = head;
    const auto add_row = [&](const std::string& row) {
        const std::size_t place = std::min(head.size(), kLineColumns - std::min(row.size(), kLineColumns));
        if (text.size() - text.rfind('\n') - 1 > place) {
            text.erase(text.find_last_not_of(' ') + 1);
            text += '\n';
        }
        text.append(place - (text.size() - text.rfind('\n') - 1), ' ');
        text += row;
    };
    add_row(prefill != nullptr ? prefill->row : decode != nullptr ? decode->row : "-");
    if (prefill != nullptr && decode != nullptr && prefill->row != decode->row) {
        text += '\n';
        add_row(decode->row);
    }
    return text + '\n';
}

std::string layer_lines(const Plan& plan) {
    std::size_t name_width = 5;
    bool two_rows = false;
    for (const PlannedLayer& layer : plan.layers) {
        name_width = std::max(name_width, short_layer_name(layer.name).size());
        const Candidate *prefill = layer.prefill.choice(), *decode = layer.decode.choice();
        two_rows |= prefill != nullptr && decode != nullptr && prefill->row != decode->row;
    }
    std::string text =
        fmt::format("\n  {:<{}}   x {:>7} {:<7} {:>7} {:<7} {}\n", "layer", name_width, "prefill", "us",
                    "decode", "us", two_rows ? "row (second line: decode's)" : "row");
    for (const PlannedLayer& layer : plan.layers) text += layer_line(layer, name_width);
    return text;
}

// Where a tuning table speaks of layers, how many of their calls.
std::string basis_text(const Plan& plan) {
    int calls = 0, measured = 0;
    for (const PlannedLayer& layer : plan.layers) {
        for (const Candidate* choice : {layer.prefill.choice(), layer.decode.choice()}) {
            calls += choice != nullptr;
            measured += choice != nullptr && choice->basis == "measured";
        }
    }
    if (measured == 0) return "times are modelled, not measured";
    return fmt::format(
        "{} of {} times above go by what rows took on this model of GPU; the others, and speeds, are "
        "modelled, "
        "not measured",
        measured, calls);
}

}  // namespace

std::string to_text(const Plan& plan) {
    std::string text = fmt::format("{} on {}{}: {}\n", plan.model,
                                   plan.num_gpus > 1 ? fmt::format("{} x ", plan.num_gpus) : "", plan.gpu,
                                   plan.runs() ? "runs"
                                   : plan.fits ? "cannot run"
                                               : "does not fit");
    text += wrapped(fmt::format("  model    {}, {} parameters, {} layers; weights in {}", plan.architecture,
                                parameters_text(plan.parameters), plan.num_layers,
                                fmt::join(plan.weight_formats, ", ")),
                    11) +
            '\n';
    for (const std::string& note : plan.weight_notes) text += wrapped("           " + note, 11) + '\n';
    if (!plan.activations_reason.empty()) {
        text +=
            wrapped(fmt::format("           activations {}: {}", plan.activations, plan.activations_reason),
                    11) +
            '\n';
    }
    if (plan.num_gpus > 1) text += wrapped("  split    " + plan.parallelism_reason, 11) + '\n';
    text += memory_lines(plan) + phase_lines(plan) + share_lines(plan) + layer_lines(plan);
    if (!plan.missing.empty()) text += wrapped("  cannot run: " + plan.missing, 4) + '\n';
    std::string note = "  " + basis_text(plan);
    if (!plan.unsure.empty()) {
        note += fmt::format("; figures of {} from a weak source: {}", plan.gpu, fmt::join(plan.unsure, ", "));
    }
    return text + '\n' + wrapped(note, 2) + '\n';
}

}  // namespace warpwright
