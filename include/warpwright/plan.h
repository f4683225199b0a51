// SPDX-License-Identifier: Apache-2.0
// Plan: a model on a target: for every layer, which kernel runs in prefill and in decode and why, the memory
// it takes, and how fast it should be. Needs no GPU.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/explain.h"
#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright {

struct ModelConfig;
struct ModelForms;

struct PlanOptions {
    int num_gpus = 1;  // tensor parallelism over this many
    std::string link;  // kind of link between them; empty: the target's fastest
    i64 batch = 1;     // sequences at decode
    i64 context_tokens =
        0;                  // tokens in the cache at decode; 0: 2048, or the model's limit where that is less
    i64 prompt_tokens = 0;  // tokens of the prefill; 0: half the context
    bool batch_invariant = false;  // the rows of an engine in that mode
    std::string
        format;  // of the weights, as if they were in it: "int4", "fp8", ..., "bf16", "f16"; "": their own
    std::string
        kv_format;  // of keys and values: "fp8_e4m3", "fp8_e5m2", "same" (or the model's type: "bf16");
                    // "auto" or "": as the checkpoint's config declares, or else the model's type
    // What quantised weights are multiplied by: "16bit"; "declared", 8-bit codes where the checkpoint says
    // so; "auto", whichever is faster.
    std::string activations = "auto";
};

struct PlannedLayer {
    std::string name;         // "model.layers.*.self_attn.qkv_proj"
    std::vector<int> layers;  // of this form, ascending; none: a part of the model itself
    std::string op;
    std::string format;  // of the weights: "bf16", "int4"; "-" where there are none
    Explanation prefill, decode;

    int first() const { return layers.empty() ? 0 : layers.front(); }
    int last() const { return layers.empty() ? 0 : layers.back(); }
    int count() const { return layers.empty() ? 1 : static_cast<int>(layers.size()); }
};

struct TimePart {
    std::string name;
    double us = 0;
};

struct PlannedPhase {
    i64 tokens = 0;         // rows through the model
    double compute_us = 0;  // sum over the chosen rows
    double link_us = 0;     // all-reduces between GPUs

    // The same time, cut in two ways; parts without time are left out.
    std::vector<TimePart> kinds;   // of layers: "products", "attention", ...; always in the same order
    std::vector<TimePart> limits;  // what is waited for, largest first: "memory", "tensor cores", "l2",
                                   // "arithmetic", "latency", "launch" (start-up of kernels), "link"

    double total_us() const { return compute_us + link_us; }
    std::string binds() const { return limits.empty() ? "" : limits.front().name; }
};

struct Plan {
    std::string model;
    std::string architecture;
    i64 parameters = 0;
    int num_layers = 0;
    std::vector<std::string> ignored_fields;  // of its config.json
    std::vector<std::string> weight_formats;  // that products are multiplied in: "int4", "bf16"
    std::vector<std::string> weight_notes;    // quantised weights that are multiplied as numbers, and why
    std::string activations;                  // "16bit" or "declared"
    std::string activations_reason;           // empty where the checkpoint declares no others than 16 bits

    std::string gpu;
    int num_gpus = 1;
    std::string link;  // "nvlink", "pcie", "none"
    std::string parallelism_reason;

    // Per GPU.
    i64 weight_bytes = 0;
    i64 kv_bytes_per_token = 0;
    std::string kv_format;  // "bf16", "fp8_e4m3"
    std::string kv_note;    // of scales or of a declared format that is not used; or empty
    i64 workspace_bytes = 0;
    i64 capacity_bytes = 0;      // memory of the GPU, less what driver and context take
    i64 max_tokens = 0;          // that the cache can hold at this batch
    i64 max_context_tokens = 0;  // the longest context that fits at this batch, within the model's limit
    i64 max_batch = 0;           // the largest batch that fits at this context
    bool fits = false;
    std::string cache_note;  // of layers that could do with a smaller cache than they get; or empty
    std::string fit_text;    // by how much it does not fit and what would make it fit; or how much is left

    bool batch_invariant = false;
    i64 batch = 1, context_tokens = 0, prompt_tokens = 0;
    PlannedPhase prefill, decode;
    std::vector<PlannedLayer> layers;
    std::string missing;              // the first layer that no row serves; empty when every one has a row
    std::vector<std::string> unsure;  // figures of the target whose source is weak or disputed

    i64 kv_bytes() const { return batch * context_tokens * kv_bytes_per_token; }
    i64 free_bytes() const { return capacity_bytes - weight_bytes - workspace_bytes - kv_bytes(); }
    bool runs() const { return fits && missing.empty(); }
    double decode_tokens_per_s() const { return batch / decode.total_us() * 1e6; }
    double prefill_tokens_per_s() const { return prompt_tokens / prefill.total_us() * 1e6; }
};

// Caller errors: sizes below 1, a context over the model's limit, a model that cannot be split that many
// ways, no such format, or one whose groups do not divide a layer. Formats count where nobody knows the
// forms.
Result<Plan> plan_model(const ModelConfig& config, const Target& target, const PlanOptions& options);

// With weights in these forms, those of one GPU (Weights::forms).
Result<Plan> plan_model(const ModelConfig& config, const ModelForms& forms, const Target& target,
                        const PlanOptions& options);

// The same by name: a folder, a config.json or a built-in model ("llama-3.1-8b"); a target's id or alias, or
// what is in this machine ("auto", "cuda:0").
Result<Plan> plan_model(std::string_view model, std::string_view gpu, const PlanOptions& options = {});

std::string to_json(const Plan& plan, int indent = 2);  // DESIGN section 10
std::string to_text(const Plan& plan);                  // at most 100 columns, unless a name is very long

// One of several plans of a model: the plan, or why there is none.
struct PlanPoint {
    std::string gpu;
    PlanOptions options;
    std::optional<Plan> plan;
    std::string refused;  // the caller error of this point: "context: x allows 32768 tokens, got 131072"

    bool runs() const { return plan && plan->runs(); }
};

// Every target with every one of the options, in this order; never an error, a point has its own.
std::vector<PlanPoint> plan_points(const ModelConfig& config, std::span<const Target> targets,
                                   std::span<const PlanOptions> options);

// A table with a line for each, and why those that do not run do not.
std::string to_text(std::span<const PlanPoint> points);

// {"plans": [Plan, ..., {"target": {"gpu"}, "refused": TEXT}]}
std::string to_json(std::span<const PlanPoint> points, int indent = 2);

// One page that needs nothing else: the table, pictures of memory and time, and the layers of each plan.
std::string to_html(std::span<const PlanPoint> points);

}  // namespace warpwright
