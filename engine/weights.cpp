// SPDX-License-Identifier: Apache-2.0
#include "engine/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <random>

#include "engine/safetensors.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

// Where a parameter's values come from: a checkpoint, or a generator.
class WeightSource {
public:
    virtual ~WeightSource() = default;
    // Writes the elements of a tensor of this shape, as `dtype`, to `out`.
    virtual Status read(const std::string& name, const std::vector<i64>& shape, DType dtype,
                        std::byte* out) = 0;
};

class CheckpointSource final : public WeightSource {
public:
    CheckpointSource(Safetensors file, std::string folder)
        : file_(std::move(file)), folder_(std::move(folder)) {}

    Status read(const std::string& name, const std::vector<i64>& shape, DType dtype,
                std::byte* out) override {
        WW_ASSIGN(const StoredTensor tensor, file_.find(name));
        if (tensor.shape != shape) {
            return caller_error(
                fmt::format("{}: tensor '{}' must be {}, got {}", folder_, name, shape, tensor.shape));
        }
        if (tensor.dtype == dtype) {
            std::memcpy(out, tensor.bytes.data(), tensor.bytes.size());
            return {};
        }
        const i64 count = static_cast<i64>(tensor.bytes.size()) / dtype_bytes(tensor.dtype);
        const std::vector<std::byte> aligned(tensor.bytes.begin(), tensor.bytes.end());
        for (i64 i = 0; i < count; ++i)
            store_float(out, dtype, i, load_float(aligned.data(), tensor.dtype, i));
        return {};
    }

private:
    Safetensors file_;
    std::string folder_;
};

class RandomSource final : public WeightSource {
public:
    RandomSource(u64 seed, DType dtype) : seed_(seed) {
        // why: 16 billion normal values take minutes to draw; a long pool, read from a place that depends on
        // the tensor's name, serves as well for timing and for comparing devices.
        std::mt19937_64 random(seed);
        std::normal_distribution<float> normal(0, 0.02f);
        pool_.resize(static_cast<std::size_t>(kPoolElements * dtype_bytes(dtype)));
        for (i64 i = 0; i < kPoolElements; ++i) store_float(pool_.data(), dtype, i, normal(random));
    }

    Status read(const std::string& name, const std::vector<i64>& shape, DType dtype,
                std::byte* out) override {
        i64 count = 1;
        for (i64 extent : shape) count *= extent;
        if (name.ends_with("norm.weight")) {
            for (i64 i = 0; i < count; ++i) store_float(out, dtype, i, 1);
            return {};
        }
        u64 hash = 0xcbf29ce484222325u ^ seed_;  // FNV-1a
        for (const char c : name) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
        i64 offset = static_cast<i64>(hash % kPoolElements);
        const i64 size = dtype_bytes(dtype);
        while (count > 0) {
            const i64 piece = std::min(count, kPoolElements - offset);
            std::memcpy(out, pool_.data() + offset * size, static_cast<std::size_t>(piece * size));
            out += piece * size;
            count -= piece;
            offset = 0;
        }
        return {};
    }

private:
    static constexpr i64 kPoolElements = (i64{1} << 22) - 3;  // odd, so that a matrix's rows do not repeat
    u64 seed_;
    std::vector<std::byte> pool_;
};

class Loader {
public:
    Loader(Context& context, const ModelConfig& config, WeightSource& source, const LoadProgress& progress)
        : context_(context), config_(config), source_(source), progress_(progress) {
        total_bytes_ = num_parameters(config) * dtype_bytes(config.dtype);
    }

    Result<Weights> load() {
        const ModelConfig& c = config_;
        WW_TRY(stacked(weights_.embedding, {"model.embed_tokens.weight"}, {c.vocab_size}, c.hidden_size));
        for (int i = 0; i < c.num_layers; ++i) {
            weights_.layers.emplace_back();
            WW_TRY(layer(weights_.layers.back(), fmt::format("model.layers.{}.", i)));
        }
        WW_TRY(stacked(weights_.final_norm, {"model.norm.weight"}, {c.hidden_size}, kVector));
        if (c.tie_word_embeddings) {
            weights_.lm_head = weights_.embedding;
        } else {
            WW_TRY(stacked(weights_.lm_head, {"lm_head.weight"}, {c.vocab_size}, c.hidden_size));
        }
        return std::move(weights_);
    }

private:
    static constexpr i64 kVector = 0;  // in place of a number of columns

    Status layer(LayerWeights& w, const std::string& prefix) {
        const ModelConfig& c = config_;
        const i64 q_rows = i64{c.num_heads} * c.head_dim, kv_rows = i64{c.num_kv_heads} * c.head_dim;
        const std::vector<i64> qkv_rows{q_rows, kv_rows, kv_rows};
        const std::vector<i64> gate_up_rows{c.intermediate_size, c.intermediate_size};
        const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
        const auto qkv = [&](const char* kind) {
            return std::vector<std::string>{attention + "q_proj." + kind, attention + "k_proj." + kind,
                                            attention + "v_proj." + kind};
        };
        const auto gate_up = [&](const char* kind) {
            return std::vector<std::string>{mlp + "gate_proj." + kind, mlp + "up_proj." + kind};
        };
        WW_TRY(stacked(w.attention_norm, {prefix + "input_layernorm.weight"}, {c.hidden_size}, kVector));
        WW_TRY(stacked(w.qkv, qkv("weight"), qkv_rows, c.hidden_size));
        WW_TRY(stacked(w.o, {attention + "o_proj.weight"}, {c.hidden_size}, q_rows));
        if (c.attention_bias) {
            WW_TRY(stacked(w.qkv_bias, qkv("bias"), qkv_rows, kVector));
            WW_TRY(stacked(w.o_bias, {attention + "o_proj.bias"}, {c.hidden_size}, kVector));
        }
        WW_TRY(stacked(w.mlp_norm, {prefix + "post_attention_layernorm.weight"}, {c.hidden_size}, kVector));
        WW_TRY(stacked(w.gate_up, gate_up("weight"), gate_up_rows, c.hidden_size));
        WW_TRY(stacked(w.down, {mlp + "down_proj.weight"}, {c.hidden_size}, c.intermediate_size));
        if (c.mlp_bias) {
            WW_TRY(stacked(w.gate_up_bias, gate_up("bias"), gate_up_rows, kVector));
            WW_TRY(stacked(w.down_bias, {mlp + "down_proj.bias"}, {c.hidden_size}, kVector));
        }
        return {};
    }

    // Several parameters one below the other in one tensor.
    Status stacked(Tensor& out, const std::vector<std::string>& names, const std::vector<i64>& rows,
                   i64 columns) {
        i64 total_rows = 0;
        for (i64 count : rows) total_rows += count;
        const i64 width = columns == kVector ? 1 : columns;
        const auto bytes = static_cast<std::size_t>(total_rows * width * dtype_bytes(config_.dtype));
        WW_ASSIGN(Buffer buffer, Buffer::allocate(context_.shared_device(), bytes));
        out = columns == kVector ? Tensor::dense(buffer.data(), config_.dtype, {total_rows})
                                 : Tensor::dense(buffer.data(), config_.dtype, {total_rows, columns});
        auto* target = buffer.as<std::byte>();
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto piece = static_cast<std::size_t>(rows[i] * width * dtype_bytes(config_.dtype));
            if (staging_.size() < piece) staging_.resize(piece);
            std::vector<i64> shape{rows[i]};
            if (columns != kVector) shape.push_back(columns);
            WW_TRY(source_.read(names[i], shape, config_.dtype, staging_.data()));
            WW_TRY(context_.device().copy_in(target, staging_.data(), piece, {}));
            WW_TRY(context_.device().synchronize({}));  // staging is reused
            target += piece;
            weights_.bytes += static_cast<i64>(piece);
            if (progress_) progress_(weights_.bytes, total_bytes_);
        }
        weights_.storage.push_back(std::move(buffer));
        return {};
    }

    Context& context_;
    const ModelConfig& config_;
    WeightSource& source_;
    const LoadProgress& progress_;
    i64 total_bytes_;
    Weights weights_;
    std::vector<std::byte> staging_;
};

}  // namespace

Result<Weights> load_weights(Context& context, const ModelConfig& config, const std::string& folder,
                             const LoadProgress& progress) {
    WW_ASSIGN(Safetensors file, Safetensors::open(folder));
    CheckpointSource source(std::move(file), folder);
    return Loader(context, config, source, progress).load();
}

Result<Weights> random_weights(Context& context, const ModelConfig& config, u64 seed,
                               const LoadProgress& progress) {
    RandomSource source(seed, config.dtype);
    return Loader(context, config, source, progress).load();
}

}  // namespace warpwright
