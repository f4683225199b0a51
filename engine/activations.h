// SPDX-License-Identifier: Apache-2.0
// Whether products multiply their inputs as the 8-bit codes that a checkpoint declares, or as 16-bit numbers.
//
// One answer for a whole model on a target, in every pass: a decision by pass would give a token other
// numbers in a prompt than in a decode, and other ones in a large batch than in a small one. 16-bit inputs
// are the more exact ones, codes are what the checkpoint's author measured; both are fine, so that speed
// decides: the sum of the predicted times of all operations, in a pass of kPromptTokens tokens of a prompt
// and in a decode of kDecodingSequences. Codes are taken where what they gain in one is more than what they
// lose in the other, as factors.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dispatch/fields.h"
#include "engine/config.h"
#include "engine/engine.h"
#include "engine/weight_forms.h"
#include "warpwright/target.h"

namespace warpwright {

constexpr i64 kPromptTokens = EngineOptions{}.max_batch_tokens;
constexpr i64 kDecodingSequences = EngineOptions{}.max_sequences;

// "auto", "16bit", "declared".
const char* activations_name(Activations activations);
std::vector<std::string> activations_names();
Result<Activations> parse_activations(std::string_view text);

// The config with coded_inputs as config.activations says, and activations_reason where the checkpoint
// declares 8-bit inputs. Caller error: `declared` of a model that declares none, or none that an operation
// multiplies.
Result<ModelConfig> with_activations(ModelConfig config, const Target& target);

// The forms of a config that has not been decided about, multiplied with inputs of 16 bits and with codes:
// the same on every GPU, found when they are first asked for.
struct FormsOfInputs {
    std::optional<ModelForms> bits16, declared;

    // Different operations of the passes that are compared, and how often each has one: of a prompt and a
    // decode, with inputs of 16 bits and with codes.
    struct Call {
        std::string op;
        FieldTexts problem;
        double count[2][2] = {};
    };
    std::vector<Call> calls;
};
Result<ModelConfig> with_activations(ModelConfig config, const Target& target, FormsOfInputs& known);
// Of what with_activations has decided, but for its reason. Not of a config that asks for something itself.
Result<const ModelForms*> forms_of_decided(const ModelConfig& decided, FormsOfInputs& known);

}  // namespace warpwright
