// SPDX-License-Identifier: Apache-2.0
#include "engine/activations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <map>

#include "dispatch/nearest.h"
#include "dispatch/operation.h"
#include "engine/layers.h"

namespace warpwright {
namespace {

constexpr Activations kAll[] = {Activations::automatic, Activations::bits16, Activations::declared};

// The calls of both passes with both inputs, each that is the same once. Attention is the same in both, and
// its context would be a guess: queries see their own pass.
std::vector<FormsOfInputs::Call> compared_calls(const ModelConfig& config, const FormsOfInputs& known) {
    const ForwardShape shapes[] = {{kPromptTokens, 1, kPromptTokens, kPromptTokens},
                                   {kDecodingSequences, kDecodingSequences, 1, 1}};
    std::vector<FormsOfInputs::Call> calls;
    std::map<std::pair<std::string, FieldTexts>, std::size_t> places;
    for (int shape = 0; shape < 2; ++shape) {
        for (int coded = 0; coded < 2; ++coded) {
            for (LayerCall& call : layer_calls(config, coded != 0 ? *known.declared : *known.bits16,
                                               shapes[shape], EngineOptions{}.page_size_tokens)) {
                if (call.absent) continue;
                const auto [place, is_new] = places.try_emplace({call.op, call.problem}, calls.size());
                if (is_new) calls.push_back({std::move(call.op), std::move(call.problem)});
                calls[place->second].count[shape][coded] += static_cast<double>(call.count());
            }
        }
    }
    return calls;
}

Result<const ModelForms*> found_once(const ModelConfig& config, std::optional<ModelForms>& known) {
    if (!known) {
        WW_ASSIGN(known, expected_forms(config));
    }
    return &*known;
}

bool multiplies_codes(const ModelForms& forms) {
    const auto has_codes = [](const ProductForm& product) {
        return std::any_of(product.begin(), product.end(),
                           [](const PartForm& part) { return part.form.coded; });
    };
    return has_codes(forms.lm_head) ||
           std::any_of(forms.layers.begin(), forms.layers.end(), [&](const LayerForms& layer) {
               return has_codes(layer.qkv) || has_codes(layer.q_b) || has_codes(layer.o) ||
                      has_codes(layer.gate_up) || has_codes(layer.down);
           });
}

}  // namespace

const char* activations_name(Activations activations) {
    switch (activations) {
        case Activations::automatic: return "auto";
        case Activations::bits16: return "16bit";
        case Activations::declared: return "declared";
    }
    return "?";
}

std::vector<std::string> activations_names() {
    std::vector<std::string> names;
    for (const Activations one : kAll) names.emplace_back(activations_name(one));
    return names;
}

Result<Activations> parse_activations(std::string_view text) {
    for (const Activations one : kAll) {
        if (text == activations_name(one)) return one;
    }
    const std::vector<std::string> names = activations_names();
    return caller_error(fmt::format("activations: expected {}, got '{:.40}'; nearest: {}",
                                    fmt::join(names, ", "), text, nearest(std::string(text), names)));
}

Result<ModelConfig> with_activations(ModelConfig config, const Target& target) {
    FormsOfInputs known;
    return with_activations(std::move(config), target, known);
}

Result<const ModelForms*> forms_of_decided(const ModelConfig& decided, FormsOfInputs& known) {
    return found_once(decided, decided.coded_inputs ? known.declared : known.bits16);
}

Result<ModelConfig> with_activations(ModelConfig config, const Target& target, FormsOfInputs& known) {
    config.coded_inputs = false;
    config.activations_reason.clear();
    const bool asked_for = config.activations == Activations::declared;
    const auto refused = [](const std::string& why) {
        return caller_error(fmt::format("activations: declared: {}; expected auto or 16bit", why));
    };
    if (config.quantization == nullptr || config.dequantise) {
        if (asked_for) return refused("weights are numbers");
        return config;
    }
    ModelConfig coded = config;
    coded.coded_inputs = true;
    coded.activations = Activations::automatic;  // what a checkpoint lacks is found when it is read
    WW_ASSIGN(const ModelForms* coded_forms, found_once(coded, known.declared));
    if (!multiplies_codes(*coded_forms)) {
        if (!asked_for) return config;
        return refused(coded_forms->notes.empty() ? "this checkpoint's activations are not quantised"
                                                  : coded_forms->notes.front());
    }
    if (config.activations != Activations::automatic) {
        config.coded_inputs = asked_for;
        config.activations_reason = "asked for";
        return config;
    }
    WW_TRY(found_once(config, known.bits16).status());
    if (known.calls.empty()) known.calls = compared_calls(config, known);
    double us[2][2] = {};  // infinite where an operation has no row
    for (const FormsOfInputs::Call& call : known.calls) {
        WW_ASSIGN(const Operation* operation, find_operation(call.op));
        const Result<double> time = operation->chosen_us(target, call.problem);
        if (!time.ok() && time.status().kind() != ErrorKind::no_kernel) return time.status();
        const double of_call = time.ok() ? *time : std::numeric_limits<double>::infinity();
        for (int i = 0; i < 4; ++i) {
            const double count = call.count[i / 2][i % 2];
            if (count > 0) us[i / 2][i % 2] += count * of_call;
        }
    }
    const double factors[] = {us[0][1] / us[0][0], us[1][1] / us[1][0]};
    config.coded_inputs = factors[0] * factors[1] < 1;
    config.activations_reason = fmt::format(
        "as declared, {} tokens of a prompt take {:.2f} of the time, a decode of {} sequences {:.2f} "
        "(modelled)",
        kPromptTokens, factors[0], kDecodingSequences, factors[1]);
    return config;
}

}  // namespace warpwright
