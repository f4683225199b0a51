// SPDX-License-Identifier: Apache-2.0
#include "engine/weights.h"

#include <cstring>
#include <random>

#include "engine/parameters.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

// Where a parameter's values come from: a checkpoint, or a generator.
class WeightSource {
public:
    virtual ~WeightSource() = default;
    // Writes the piece's elements, as `dtype`, to `out`.
    virtual Status read(const Parameter& parameter, const ParameterPiece& piece, DType dtype,
                        std::byte* out) = 0;
};

// Of a checkpoint that find_parameters has checked.
class CheckpointSource final : public WeightSource {
public:
    explicit CheckpointSource(const Safetensors& checkpoint) : checkpoint_(checkpoint) {}

    Status read(const Parameter&, const ParameterPiece& piece, DType dtype, std::byte* out) override {
        WW_ASSIGN(const StoredTensor tensor, checkpoint_.find(piece.name));
        if (tensor.dtype == dtype) {
            std::memcpy(out, tensor.bytes.data(), tensor.bytes.size());
            return {};
        }
        const std::vector<std::byte> aligned(tensor.bytes.begin(), tensor.bytes.end());
        for (i64 i = 0; i < piece.num_elements(); ++i) {
            store_float(out, dtype, i, load_float(aligned.data(), tensor.dtype, i));
        }
        return {};
    }

private:
    const Safetensors& checkpoint_;
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

    Status read(const Parameter& parameter, const ParameterPiece& piece, DType dtype,
                std::byte* out) override {
        i64 count = piece.num_elements();
        if (parameter.is_norm) {
            for (i64 i = 0; i < count; ++i) store_float(out, dtype, i, 1);
            return {};
        }
        u64 hash = 0xcbf29ce484222325u ^ seed_;  // FNV-1a
        for (const char c : piece.name) hash = (hash ^ static_cast<u8>(c)) * 0x100000001b3u;
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
    Loader(Context& context, const ModelConfig& config, const std::vector<Parameter>& parameters,
           WeightSource& source, const LoadProgress& progress)
        : context_(context),
          config_(config),
          parameters_(parameters),
          source_(source),
          progress_(progress),
          element_bytes_(dtype_bytes(config.dtype)) {
        for (const Parameter& parameter : parameters) {
            total_bytes_ += parameter.num_elements() * element_bytes_;
        }
    }

    Result<Weights> load() {
        weights_.layers.resize(static_cast<std::size_t>(config_.num_layers));
        for (const Parameter& parameter : parameters_) WW_TRY(load_parameter(parameter));
        if (config_.tie_word_embeddings) weights_.lm_head = weights_.embedding;
        return std::move(weights_);
    }

private:
    Status load_parameter(const Parameter& parameter) {
        const auto bytes = static_cast<std::size_t>(parameter.num_elements() * element_bytes_);
        WW_ASSIGN(Buffer buffer, Buffer::allocate(context_.shared_device(), bytes));
        parameter.of(weights_) = parameter.view(buffer.data(), config_.dtype);
        const i64 row_bytes = parameter.num_elements() / parameter.shape[0] * element_bytes_;
        for (const ParameterPiece& piece : parameter.pieces) {
            const auto piece_bytes = static_cast<std::size_t>(piece.num_elements() * element_bytes_);
            if (staging_.size() < piece_bytes) staging_.resize(piece_bytes);
            WW_TRY(source_.read(parameter, piece, config_.dtype, staging_.data()));
            std::byte* target = buffer.as<std::byte>() + piece.first_row * row_bytes;
            WW_TRY(context_.device().copy_in(target, staging_.data(), piece_bytes, {}));
            WW_TRY(context_.device().synchronize({}));  // staging is reused
            weights_.bytes += static_cast<i64>(piece_bytes);
            if (progress_) progress_(weights_.bytes, total_bytes_);
        }
        weights_.storage.push_back(std::move(buffer));
        return {};
    }

    Context& context_;
    const ModelConfig& config_;
    const std::vector<Parameter>& parameters_;
    WeightSource& source_;
    const LoadProgress& progress_;
    i64 element_bytes_;
    i64 total_bytes_ = 0;
    Weights weights_;
    std::vector<std::byte> staging_;
};

}  // namespace

Result<Weights> load_weights(Context& context, const ModelConfig& config, const std::string& folder,
                             const LoadProgress& progress) {
    WW_ASSIGN(const Safetensors checkpoint, Safetensors::open(folder));
    WW_ASSIGN(const std::vector<Parameter> parameters, find_parameters(config, checkpoint));
    CheckpointSource source(checkpoint);
    return Loader(context, config, parameters, source, progress).load();
}

Result<Weights> random_weights(Context& context, const ModelConfig& config, u64 seed,
                               const LoadProgress& progress) {
    RandomSource source(seed, config.dtype);
    return Loader(context, config, list_parameters(config), source, progress).load();
}

}  // namespace warpwright
