// SPDX-License-Identifier: Apache-2.0
// Where everything goes in a quantised checkpoint, before the first weight is read: tensors, files, offsets.
#pragma once

#include <string>
#include <vector>

#include "engine/parameters.h"
#include "engine/quantize.h"
#include "engine/safetensors.h"

namespace warpwright {

struct OutputTensor {
    std::string name;
    std::string_view type;  // of safetensors
    std::vector<i64> shape;
    i64 bytes = 0;
    i64 offset = 0;  // in its file
};

// One stored tensor of the source: a layer's weights to be quantised, or bytes to be copied.
struct QuantizeJob {
    const Parameter* parameter = nullptr;  // with `piece`: quantised
    const ParameterPiece* piece = nullptr;
    StoredBytes copied;
    int layer() const { return piece == nullptr ? -1 : parameter->layer; }
    int shard = 0;
    i64 read_bytes = 0, written_bytes = 0;
    // Of `outputs`; -1: the format has none.
    int codes = -1, scales = -1, zeros = -1, shape = -1, global = -1;
};

struct QuantizeLayout {
    // In the order of their shards, and of the source's bytes; with GPTQ of the forward pass.
    std::vector<QuantizeJob> jobs;
    std::vector<OutputTensor> outputs;
    std::vector<i64> shard_bytes;      // of whole files
    std::vector<std::string> headers;  // their first bytes
    std::vector<std::string> ignored;  // names of linear layers that are kept
    std::vector<std::string> files;    // their names

    i64 read_bytes() const;
    i64 written_bytes() const;
    std::string index_text() const;  // model.safetensors.index.json; empty for one file
};

// `recipe` has the type of scales. The parameters are find_parameters' and must outlive the layout.
Result<QuantizeLayout> plan_quantize(const Safetensors& source, const std::vector<Parameter>& parameters,
                                     const QuantizeOptions& options);

}  // namespace warpwright
