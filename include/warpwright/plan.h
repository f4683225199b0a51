// SPDX-License-Identifier: Apache-2.0
// Plan: a model on a target: for every layer, which kernel runs in prefill and in decode and why, the memory
// it takes, and how fast it should be. Needs no GPU.
#pragma once

#include <string>
#include <vector>

#include "warpwright/explain.h"
#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright {

struct ModelConfig;

struct PlanOptions {
    int num_gpus = 1;  // tensor parallelism over this many
    std::string link;  // kind of link between them; empty: the target's fastest
    i64 batch = 1;     // sequences at decode
    i64 context_tokens =
        0;                  // tokens in the cache at decode; 0: 2048, or the model's limit where that is less
    i64 prompt_tokens = 0;  // tokens of the prefill; 0: half the context
};

struct PlannedLayer {
    std::string name;         // "model.layers.*.self_attn.qkv_proj"
    int first = 0, last = 0;  // layers of this form
    std::string op;
    std::string format;  // of the weights: "bf16"; "-" where there are none
    Explanation prefill, decode;
};

struct PlannedPhase {
    i64 tokens = 0;         // rows through the model
    double compute_us = 0;  // sum over the chosen rows
    double link_us = 0;     // all-reduces between GPUs
    double total_us() const { return compute_us + link_us; }
};

struct Plan {
    std::string model;
    std::string architecture;
    i64 parameters = 0;
    int num_layers = 0;

    std::string gpu;
    int num_gpus = 1;
    std::string link;  // "nvlink", "pcie", "none"
    std::string parallelism_reason;

    // Per GPU.
    i64 weight_bytes = 0;
    i64 kv_bytes_per_token = 0;
    i64 workspace_bytes = 0;
    i64 capacity_bytes = 0;  // memory of the GPU, less what driver and context take
    i64 max_tokens = 0;      // that the cache can hold
    bool fits = false;
    std::string fit_text;  // by how much it does not fit and what would make it fit; or how much is left

    i64 batch = 1, context_tokens = 0, prompt_tokens = 0;
    PlannedPhase prefill, decode;
    std::vector<PlannedLayer> layers;
    std::string missing;  // the first layer that no row serves; empty when every one has a row

    bool runs() const { return fits && missing.empty(); }
    double decode_tokens_per_s() const { return batch / decode.total_us() * 1e6; }
    double prefill_tokens_per_s() const { return prompt_tokens / prefill.total_us() * 1e6; }
};

// Caller errors: sizes below 1, a context over the model's limit, a model that cannot be split that many
// ways.
Result<Plan> plan_model(const ModelConfig& config, const Target& target, const PlanOptions& options);

std::string to_json(const Plan& plan, int indent = 2);  // DESIGN section 10
std::string to_text(const Plan& plan);

}  // namespace warpwright
