// SPDX-License-Identifier: Apache-2.0
#include "engine/activations.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>

#include "dispatch/nearest.h"
#include "dispatch/operation.h"
#include "engine/layers.h"

namespace warpwright {
namespace {

constexpr Activations kAll[] = {Activations::automatic, Activations::bits16, Activations::declared};

// All operations of a pass, as predicted; infinite where one has no row. Attention is the same in both, and
// its context would be a guess: queries see their own pass.
Result<double> pass_us(const ModelConfig& config, const ModelForms& forms, const Target& target,
                       const ForwardShape& shape) {
    double us = 0;
    for (const LayerCall& call : layer_calls(config, forms, shape, EngineOptions{}.page_size_tokens)) {
        WW_ASSIGN(const Operation* operation, find_operation(call.op));
        WW_ASSIGN(const Explanation explanation, operation->explain(target, call.problem, {}));
        const Candidate* choice = explanation.choice();
        if (choice == nullptr) return std::numeric_limits<double>::infinity();
        us += choice->prediction.us * static_cast<double>(call.count());
    }
    return us;
}

bool multiplies_codes(const ModelForms& forms) {
    const auto has_codes = [](const ProductForm& product) {
        return std::any_of(product.begin(), product.end(),
                           [](const PartForm& part) { return part.form.coded; });
    };
    return has_codes(forms.lm_head) ||
           std::any_of(forms.layers.begin(), forms.layers.end(), [&](const LayerForms& layer) {
               return has_codes(layer.qkv) || has_codes(layer.q_a) || has_codes(layer.q_b) ||
                      has_codes(layer.kv_a) || has_codes(layer.kv_b) || has_codes(layer.o) ||
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
    WW_ASSIGN(const ModelForms coded_forms, expected_forms(coded));
    if (!multiplies_codes(coded_forms)) {
        if (!asked_for) return config;
        return refused(coded_forms.notes.empty() ? "this checkpoint's activations are not quantised"
                                                 : coded_forms.notes.front());
    }
    if (config.activations != Activations::automatic) {
        config.coded_inputs = asked_for;
        config.activations_reason = "asked for";
        return config;
    }
    WW_ASSIGN(const ModelForms forms, expected_forms(config));
    const ForwardShape prompt{kPromptTokens, 1, kPromptTokens, kPromptTokens};
    const ForwardShape decode{kDecodingSequences, kDecodingSequences, 1, 1};
    double factors[2];
    for (int i = 0; i < 2; ++i) {
        const ForwardShape& shape = i == 0 ? prompt : decode;
        WW_ASSIGN(const double coded_us, pass_us(config, coded_forms, target, shape));
        WW_ASSIGN(const double us, pass_us(config, forms, target, shape));
        factors[i] = coded_us / us;
    }
    config.coded_inputs = factors[0] * factors[1] < 1;
    config.activations_reason = fmt::format(
        "as declared, {} tokens of a prompt take {:.2f} of the time, a decode of {} sequences {:.2f} "
        "(modelled)",
        kPromptTokens, factors[0], kDecodingSequences, factors[1]);
    return config;
}

}  // namespace warpwright
