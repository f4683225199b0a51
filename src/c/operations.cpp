// SPDX-License-Identifier: Apache-2.0
// Operations: a call's struct to the C++ call, then what every operation has, prepare and run.
#include <fmt/format.h>

#include "c/handles.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/embedding.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/kv_append.h"
#include "warpwright/ops/logits.h"
#include "warpwright/ops/rmsnorm.h"
#include "warpwright/ops/rope.h"
#include "warpwright/ops/sample.h"

using namespace warpwright;
using namespace warpwright::c;

namespace {

// DLPack's kinds of memory.
constexpr int kUnsaid = 0, kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13;

// Where an empty tensor without an address points: nothing is read or written there.
alignas(16) char nothing[16];

// Tensors of one call; the first problem is kept.
class Tensors {
public:
    Tensors(const char* op, const Device& device) : op_(op), device_(device) {}

    Tensor operator()(const char* name, const ww_tensor& given) {
        Tensor tensor{.data = given.data};
        const bool empty = is_empty(given);
        if (tensor.data == nullptr && empty) tensor.data = nothing;
        if (tensor.data == nullptr || !check(name, given, empty)) return tensor;
        tensor.dtype = static_cast<DType>(given.dtype);
        tensor.rank = given.rank;
        bool has_strides = false;
        for (int i = 0; i < given.rank; ++i) {
            tensor.shape[i] = given.shape[i];
            has_strides |= given.stride[i] != 0;
        }
        i64 dense = 1;
        for (int i = given.rank - 1; i >= 0; --i) {
            tensor.stride[i] = has_strides ? given.stride[i] : dense;
            dense *= given.shape[i];
        }
        return tensor;
    }

    const Status& status() const { return status_; }

private:
    static bool is_empty(const ww_tensor& given) {
        for (int i = 0; i < std::min<int>(given.rank, WW_MAX_RANK); ++i) {
            if (given.shape[i] == 0) return true;
        }
        return false;
    }

    bool fail(const std::string& message) {
        if (status_.ok()) status_ = caller_error(fmt::format("{}: {}", op_, message));
        return false;
    }

    bool check(const char* name, const ww_tensor& given, bool empty) {
        if (given.dtype < WW_F32 || given.dtype > WW_U8)
            return fail(fmt::format("{}: dtype: expected one of WW_F32 to WW_U8, got {}", name, given.dtype));
        if (given.rank < 0 || given.rank > Tensor::kMaxRank) {
            return fail(
                fmt::format("{}: rank: expected at most {}, got {}", name, Tensor::kMaxRank, given.rank));
        }
        if (!empty && !reaches(given)) {
            return fail(fmt::format("{}: is in memory of {}, the context is {}", name, memory_text(given),
                                    device_.id()));
        }
        return true;
    }

    bool reaches(const ww_tensor& given) const {
        const bool is_host = given.device_type == kCpu || given.device_type == kCudaHost;
        if (given.device_type == kUnsaid || given.device_type == kCudaManaged) return true;
        if (device_.shares_host_memory()) return is_host;
        if (!device_.id().starts_with("cuda:")) return false;
        if (given.device_type == kCudaHost) return true;
        return given.device_type == kCuda && device_.id() == fmt::format("cuda:{}", given.device_id);
    }

    static std::string memory_text(const ww_tensor& given) {
        switch (given.device_type) {
            case kCpu: return "the host";
            case kCudaHost: return "the host (pinned)";
            case kCuda: return fmt::format("cuda:{}", given.device_id);
            default: return fmt::format("DLPack's device type {}", given.device_type);
        }
    }

    const char* op_;
    const Device& device_;
    Status status_;
};

Activation activation_of(int32_t value, Status& status, const char* op) {
    if (value >= WW_ACTIVATION_NONE && value <= WW_GELU_TANH) return static_cast<Activation>(value);
    if (status.ok()) {
        status = caller_error(
            fmt::format("{}: activation: expected WW_ACTIVATION_NONE to WW_GELU_TANH, got {}", op, value));
    }
    return Activation::none;
}

float or_default(float value, float otherwise) {
    return value == 0 ? otherwise : value;
}

// convert() is overloaded by the struct.

Result<Gemm> convert(const ww_gemm& c, const Device& device) {
    Tensors tensor("gemm", device);
    Status status;
    const Gemm call{.a = tensor("a", c.a),
                    .b = tensor("b", c.b),
                    .d = tensor("d", c.d),
                    .bias = tensor("bias", c.bias),
                    .gate = tensor("gate", c.gate),
                    .residual = tensor("residual", c.residual),
                    .activation = activation_of(c.activation, status, "gemm"),
                    .b_is_constant = c.b_is_constant != 0};
    WW_TRY(tensor.status());
    WW_TRY(status);
    return call;
}

Result<Attention> convert(const ww_attention& c, const Device& device) {
    Tensors tensor("attention", device);
    Attention call{.q = tensor("q", c.q),
                   .out = tensor("out", c.out),
                   .lse_base2 = tensor("lse_base2", c.lse_base2),
                   .k = tensor("k", c.k),
                   .v = tensor("v", c.v),
                   .kv_starts = tensor("kv_starts", c.kv_starts),
                   .k_pages = tensor("k_pages", c.k_pages),
                   .v_pages = tensor("v_pages", c.v_pages),
                   .page_table = tensor("page_table", c.page_table),
                   .kv_lengths = tensor("kv_lengths", c.kv_lengths),
                   .q_starts = tensor("q_starts", c.q_starts),
                   .max_q_len = c.max_q_len,
                   .max_kv_len = c.max_kv_len,
                   .scale = c.scale,
                   .causal = c.causal != 0,
                   .window_left = c.window_tokens - 1,
                   .softcap = c.softcap,
                   .past_is_ready = c.past_is_ready != 0,
                   .workspace = tensor("workspace", c.workspace)};
    WW_TRY(tensor.status());
    if (c.window_tokens < 0) {
        return caller_error(
            fmt::format("attention: window_tokens: expected 0 (all keys) or more, got {}", c.window_tokens));
    }
    if (call.max_q_len == 0) call.max_q_len = std::max<i64>(1, call.q.shape[0]);
    return call;
}

Result<RmsNorm> convert(const ww_rmsnorm& c, const Device& device) {
    Tensors tensor("rmsnorm", device);
    const RmsNorm call{.x = tensor("x", c.x),
                       .weight = tensor("weight", c.weight),
                       .out = tensor("out", c.out),
                       .residual = tensor("residual", c.residual),
                       .epsilon = or_default(c.epsilon, RmsNorm{}.epsilon),
                       .weight_offset = c.weight_offset};
    WW_TRY(tensor.status());
    return call;
}

Result<Rope> convert(const ww_rope& c, const Device& device) {
    Tensors tensor("rope", device);
    const Rope call{.q = tensor("q", c.q),
                    .k = tensor("k", c.k),
                    .positions = tensor("positions", c.positions),
                    .frequency = tensor("frequency", c.frequency),
                    .magnitude = or_default(c.magnitude, 1),
                    .interleaved = c.interleaved != 0};
    WW_TRY(tensor.status());
    return call;
}

Result<GatedActivation> convert(const ww_gated_activation& c, const Device& device) {
    Tensors tensor("gated_activation", device);
    Status status;
    const GatedActivation call{.gate = tensor("gate", c.gate),
                               .up = tensor("up", c.up),
                               .out = tensor("out", c.out),
                               .activation = activation_of(c.activation, status, "gated_activation")};
    WW_TRY(tensor.status());
    WW_TRY(status);
    return call;
}

Result<Embedding> convert(const ww_embedding& c, const Device& device) {
    Tensors tensor("embedding", device);
    const Embedding call{.ids = tensor("ids", c.ids),
                         .table = tensor("table", c.table),
                         .out = tensor("out", c.out),
                         .scale = or_default(c.scale, 1)};
    WW_TRY(tensor.status());
    return call;
}

Result<KvAppend> convert(const ww_kv_append& c, const Device& device) {
    Tensors tensor("kv_append", device);
    const KvAppend call{.k = tensor("k", c.k),
                        .v = tensor("v", c.v),
                        .sequences = tensor("sequences", c.sequences),
                        .positions = tensor("positions", c.positions),
                        .page_table = tensor("page_table", c.page_table),
                        .k_pages = tensor("k_pages", c.k_pages),
                        .v_pages = tensor("v_pages", c.v_pages)};
    WW_TRY(tensor.status());
    return call;
}

Result<Logits> convert(const ww_logits& c, const Device& device) {
    Tensors tensor("logits", device);
    const Logits call{.in = tensor("in", c.in),
                      .out = tensor("out", c.out),
                      .softcap = c.softcap,
                      .starts = tensor("starts", c.starts),
                      .tokens = tensor("tokens", c.tokens),
                      .repetition = tensor("repetition", c.repetition),
                      .addend = tensor("addend", c.addend),
                      .bias = tensor("bias", c.bias)};
    WW_TRY(tensor.status());
    return call;
}

Result<Sample> convert(const ww_sample& c, const Device& device) {
    Tensors tensor("sample", device);
    const Sample call{.logits = tensor("logits", c.logits),
                      .temperature = tensor("temperature", c.temperature),
                      .top_k = tensor("top_k", c.top_k),
                      .top_p = tensor("top_p", c.top_p),
                      .min_p = tensor("min_p", c.min_p),
                      .seeds = tensor("seeds", c.seeds),
                      .steps = tensor("steps", c.steps),
                      .tokens = tensor("tokens", c.tokens)};
    WW_TRY(tensor.status());
    return call;
}

template <class Call>
ww_status prepare_call(const char* function, ww_context* context, const Call* given, ww_prepared** prepared) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, function, "a context"));
        WW_TRY(need(prepared, function, "where to put what is prepared"));
        WW_ASSIGN(const Call known, read_struct(function, given));
        WW_ASSIGN(const auto call, convert(known, context->device()));
        if (*prepared == nullptr) {
            auto fresh = std::make_unique<ww_prepared>(ww_prepared{context->context, {}});
            WW_TRY(prepare(*context->context, call, fresh->prepared));
            *prepared = fresh.release();
            return {};
        }
        ww_prepared& into = **prepared;
        if (into.context != context->context)
            return caller_error(std::string(function) + ": what it is to be added to is another context's");
        const std::size_t before = into.prepared.steps.size();
        const Status status = prepare(*context->context, call, into.prepared);
        if (!status.ok()) into.prepared.steps.resize(before);
        return status;
    });
}

template <class Call>
ww_status run_call(const char* function, ww_context* context, const Call* given, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, function, "a context"));
        WW_ASSIGN(const Call known, read_struct(function, given));
        WW_ASSIGN(const auto call, convert(known, context->device()));
        Prepared prepared;
        WW_TRY(prepare(*context->context, call, prepared));
        return prepared.launch(context->device(), stream_of(stream));
    });
}

}  // namespace

ww_status ww_prepared_create(ww_context* context, const ww_prepare_options* options, ww_prepared** prepared) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_prepared_create", "a context"));
        WW_TRY(need(prepared, "ww_prepared_create", "where to put what is prepared"));
        auto fresh = std::make_unique<ww_prepared>(ww_prepared{context->context, {}});
        if (options != nullptr) {
            WW_ASSIGN(const ww_prepare_options known, read_struct("ww_prepared_create", options));
            fresh->prepared.batch_invariant = known.batch_invariant != 0;
        }
        *prepared = fresh.release();
        return {};
    });
}

void ww_prepared_free(ww_prepared* prepared) {
    delete prepared;
}

ww_status ww_launch(const ww_prepared* prepared, void* stream) {
    return guarded([&]() -> Status {
        WW_TRY(need(prepared, "ww_launch", "what is prepared"));
        return prepared->prepared.launch(prepared->context->device(), stream_of(stream));
    });
}

int32_t ww_prepared_num_launches(const ww_prepared* prepared) {
    return prepared == nullptr ? 0 : static_cast<int32_t>(prepared->prepared.steps.size());
}

const char* ww_prepared_row(const ww_prepared* prepared, int32_t index) {
    if (index < 0 || index >= ww_prepared_num_launches(prepared)) return nullptr;
    return prepared->prepared.steps[static_cast<std::size_t>(index)].row.c_str();
}

ww_status ww_attention_workspace_bytes(ww_context* context, const ww_attention* call, int64_t* bytes) {
    return guarded([&]() -> Status {
        WW_TRY(need(context, "ww_attention_workspace_bytes", "a context"));
        WW_TRY(need(bytes, "ww_attention_workspace_bytes", "where to put the number"));
        WW_ASSIGN(const ww_attention known, read_struct("ww_attention_workspace_bytes", call));
        WW_ASSIGN(const Attention converted, convert(known, context->device()));
        WW_ASSIGN(*bytes, attention_workspace_bytes(*context->context, converted));
        return {};
    });
}

ww_status ww_rope_frequencies(double theta, int32_t rotary_dim, const ww_rope_scaling* scaling,
                              int64_t context_tokens, float* frequencies, float* magnitude) {
    return guarded([&]() -> Status {
        WW_TRY(need(frequencies, "ww_rope_frequencies", "where to put frequencies"));
        WW_TRY(need(magnitude, "ww_rope_frequencies", "where to put the magnitude"));
        if (rotary_dim < 2 || rotary_dim % 2 != 0 || rotary_dim > 65536 || !(theta > 0)) {
            return caller_error(
                fmt::format("ww_rope_frequencies: expected an even rotary_dim up to 65536 and a positive "
                            "theta, got {} and {}",
                            rotary_dim, theta));
        }
        RopeScaling rope;
        if (scaling != nullptr) {
            WW_ASSIGN(const ww_rope_scaling known, read_struct("ww_rope_frequencies", scaling));
            if (known.kind < WW_ROPE_NONE || known.kind > WW_ROPE_LONGROPE)
                return caller_error(
                    fmt::format("ww_rope_frequencies: kind: expected WW_ROPE_NONE to "
                                "WW_ROPE_LONGROPE, got {}",
                                known.kind));
            rope.kind = static_cast<RopeScaling::Kind>(known.kind);
            const auto set = [](double& field, double value) {
                if (value != 0) field = value;
            };
            set(rope.factor, known.factor);
            set(rope.low_freq_factor, known.low_freq_factor);
            set(rope.high_freq_factor, known.high_freq_factor);
            set(rope.original_max_position, known.original_max_position);
            set(rope.beta_fast, known.beta_fast);
            set(rope.beta_slow, known.beta_slow);
            set(rope.attention_factor, known.attention_factor);
            set(rope.mscale, known.mscale);
            set(rope.mscale_all_dim, known.mscale_all_dim);
            if (rope.kind == RopeScaling::Kind::longrope) {
                WW_TRY(need(known.short_factor, "ww_rope_frequencies: longrope", "short_factor"));
                WW_TRY(need(known.long_factor, "ww_rope_frequencies: longrope", "long_factor"));
                rope.short_factor.assign(known.short_factor, known.short_factor + rotary_dim / 2);
                rope.long_factor.assign(known.long_factor, known.long_factor + rotary_dim / 2);
            }
        }
        const RopeFrequencies result = rope_frequencies(theta, rotary_dim, rope, context_tokens);
        std::copy(result.frequency.begin(), result.frequency.end(), frequencies);
        *magnitude = result.magnitude;
        return {};
    });
}

#define WW_OPERATION(op)                                                                          \
    ww_status ww_prepare_##op(ww_context* context, const ww_##op* call, ww_prepared** prepared) { \
        return prepare_call("ww_prepare_" #op, context, call, prepared);                          \
    }                                                                                             \
    ww_status ww_run_##op(ww_context* context, const ww_##op* call, void* stream) {               \
        return run_call("ww_run_" #op, context, call, stream);                                    \
    }

WW_OPERATION(gemm)
WW_OPERATION(attention)
WW_OPERATION(rmsnorm)
WW_OPERATION(rope)
WW_OPERATION(gated_activation)
WW_OPERATION(embedding)
WW_OPERATION(kv_append)
WW_OPERATION(logits)
WW_OPERATION(sample)
