// SPDX-License-Identifier: Apache-2.0
// A checkpoint with quantised weights made of another one, in compressed-tensors' conventions, which
// transformers and vLLM load. Weights are rounded to nearest, or with error feedback (GPTQ) after a text was
// read; tensors of one layer are all that is in memory.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/config.h"
#include "engine/gptq/calibration.h"
#include "formats/quantise.h"
#include "warpwright/status.h"

namespace warpwright {

// What `--format` names.
struct CheckpointFormat {
    std::string_view name;    // "int4"
    std::string_view text;    // for people
    std::string_view layout;  // compressed-tensors' "format"
    formats::Recipe recipe;
    const char*
        activations;  // of the scheme, as JSON: how a runtime treats what is multiplied; null: not quantised
};
std::span<const CheckpointFormat> quantize_formats();

// A format by its name, and with another number of columns to a scale where that is not 0. Caller error: no
// such format, or one whose groups are fixed.
Result<CheckpointFormat> find_quantize_format(std::string_view name, i64 group_columns = 0);

// quantization_config of what is written.
nlohmann::json quantization_config_of(const CheckpointFormat& format, const std::vector<std::string>& ignore);

struct QuantizeOptions {
    CheckpointFormat format;
    int num_threads = 0;                 // 0: one per core
    i64 max_shard_bytes = i64{4} << 30;  // of a file that is written; with GPTQ whole layers are in a file
    std::optional<GptqOptions> gptq;     // of int4
};

struct QuantizeResult {
    i64 read_bytes = 0, written_bytes = 0;
    int num_quantized = 0, num_kept = 0;  // tensors
    i64 resumed_bytes = 0;                // of written_bytes, by a run before that was stopped
    i64 calibration_tokens = 0;           // of GPTQ
};

// Called between tensors, on the caller's thread; false stops, and what is done so far is kept for the next
// run.
using QuantizeProgress = std::function<bool(i64 done_bytes, i64 total_bytes)>;

// From a folder with config.json and weights to `out`, which must not exist: it appears when it is complete.
// Until then the work is in "OUT.part"; the same call goes on where a run was stopped or killed. Caller
// errors: what load_config and find_parameters refuse; groups that do not divide a layer's columns; weights
// that are not finite, or of all experts in one tensor; GPTQ of another format than int4, and what
// Calibration refuses. With GPTQ a run goes on behind the last whole layer.
Result<QuantizeResult> quantize_checkpoint(const std::string& folder, const std::string& out,
                                           const QuantizeOptions& options,
                                           const QuantizeProgress& progress = {});

}  // namespace warpwright
