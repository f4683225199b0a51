// SPDX-License-Identifier: Apache-2.0
// Products of codes with codes (scaled_gemm): what their weights are on the device, which codes and scales
// their inputs become, and which operation makes these. Forward pass and plan go by it alike.
#pragma once

#include <vector>

#include "engine/weight_forms.h"
#include "formats/quantized_matrix.h"
#include "warpwright/ops/quantized_output.h"
#include "warpwright/quantize_format.h"
#include "warpwright/tensor.h"

namespace warpwright {

// On the device, of a form that is `coded`.
struct CodedWeight {
    Tensor codes;        // [rows, columns] u8
    Tensor scales;       // as scaled_gemm takes them
    Tensor input_scale;  // [1, 1] f32, of the checkpoint; null: made of the inputs
};

QuantizeFormat input_format(const WeightForm& form);
QuantizeFormat weight_format(const WeightForm& form);

// Rows of a weight whose first is a multiple of kCodedRows, as they lie on the device.
constexpr i64 kCodedRows = 128;
struct CodedRows {
    std::vector<u8> codes;
    std::vector<std::byte> scales;
};
CodedRows coded_rows(const formats::QuantizedMatrix& rows, const WeightForm& form);

// Where a weight's tensors begin, in bytes behind its codes' first, and where it ends.
struct CodedLayout {
    i64 scale_rows = 0, scale_columns = 0;
    i64 scales = 0, input_scale = 0, end = 0;
};
CodedLayout coded_layout(const WeightForm& form, i64 rows, i64 columns);

// Of one row of a product's inputs.
i64 input_scale_bytes(const WeightForm& form, i64 columns);

// Whether both multiply the same codes of an input.
constexpr bool share_codes(const WeightForm& a, const WeightForm& b) {
    return a.coded && b.coded && a.format == b.format && a.group == b.group &&
           a.given_scale == b.given_scale && a.input == b.input;
}

// What the operation that makes a product's inputs is to leave: codes as its first coded part multiplies
// them, and numbers where a part multiplies numbers or other codes. `Parts` have forms.
struct MadeInputs {
    const WeightForm* codes = nullptr;
    bool numbers = false;
};
template <class Parts>
MadeInputs made_inputs(const Parts& parts) {
    MadeInputs made;
    for (const auto& part : parts) {
        if (part.form.coded && made.codes == nullptr) made.codes = &part.form;
    }
    made.numbers = made.codes == nullptr;
    for (const auto& part : parts) made.numbers = made.numbers || !share_codes(part.form, *made.codes);
    return made;
}

// The most that codes and scales of one row of inputs take, over all products.
struct CodedInputBytes {
    i64 codes = 0, scales = 0;
};
CodedInputBytes coded_input_bytes(const ModelConfig& config, const ModelForms& forms);

}  // namespace warpwright
