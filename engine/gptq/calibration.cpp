// SPDX-License-Identifier: Apache-2.0
#include "engine/gptq/calibration.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/gptq/feedback.h"
#include "engine/json_fields.h"
#include "engine/tokenizer.h"
#include "image/embedded.h"
#include "kernels/host_simd.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOwnText = "models/glossary/calibration.txt";
constexpr i64 kMaxTextBytes = i64{1} << 30;
constexpr i64 kLeastTokens = 16;  // of a sequence
constexpr i64 kSumRows = 256;     // of inputs at a time

Result<std::string> text_of(const GptqOptions& options) {
    if (!options.calibration.empty()) return read_text_file(options.calibration, kMaxTextBytes);
    for (const EmbeddedFile& file : embedded_data()) {
        if (file.path == kOwnText) return std::string(file.text);
    }
    return caller_error("calibration: expected a text file");
}

}  // namespace

fs::path Calibration::rows_file(int layer) const {
    return work_ / fmt::format("calibration.{}", layer);
}

i64 Calibration::sequence_bytes() const {
    return sequence_tokens_ * hidden_ * dtype_bytes(dtype_);
}

Result<std::unique_ptr<Calibration>> Calibration::create(const ModelConfig& config, const std::string& folder,
                                                         const std::vector<Parameter>& parameters,
                                                         const WeightSource& source,
                                                         const GptqOptions& options, const fs::path& work,
                                                         GoOn go_on) {
    if (config.experts.num_experts > 0)
        return caller_error("gptq: a mixture of experts cannot be calibrated yet; expected a model without");
    WW_TRY(check_runs(config));
    std::unique_ptr<Calibration> made(new Calibration);
    made->options_ = options;
    made->work_ = work;
    made->go_on_ = std::move(go_on);
    made->dtype_ = config.dtype;
    made->hidden_ = config.hidden_size;
    std::vector<i32> tokens;
    WW_TRY(made->read_text(config, folder, options, tokens));
    WW_ASSIGN(made->pass_, LayerPass::create(config, parameters, source, made->sequence_tokens_));
    bool is_resumed = false;
    for (int layer = 0; layer <= config.num_layers; ++layer) is_resumed |= made->can_begin_at(layer);
    if (!is_resumed) WW_TRY(made->write_embeddings(tokens, parameters, source));
    return made;
}

// One stream, cut into sequences that begin as a text does; what is left over is dropped.
Status Calibration::read_text(const ModelConfig& config, const std::string& folder,
                              const GptqOptions& options, std::vector<i32>& tokens) {
    WW_ASSIGN(const std::string text, text_of(options));
    WW_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(folder));
    WW_ASSIGN(const std::vector<i32> all, tokenizer.encode(text, false));
    WW_ASSIGN(const std::vector<i32> prefix, tokenizer.encode(""));
    const auto front = static_cast<i64>(prefix.size());
    const auto available = static_cast<i64>(all.size());
    const i64 longest = std::min({options.sequence_tokens, config.max_position_tokens, options.num_tokens});
    sequence_tokens_ = std::min(longest, available + front);
    if (sequence_tokens_ < std::max(kLeastTokens, front + 1)) {
        return caller_error(
            fmt::format("calibration: expected a text of at least {} tokens, got {} of {} wanted",
                        kLeastTokens, available, longest));
    }
    const i64 own = sequence_tokens_ - front;
    num_sequences_ = std::min(available / own, std::max<i64>(1, options.num_tokens / sequence_tokens_));
    for (i64 i = 0; i < num_sequences_; ++i) {
        tokens.insert(tokens.end(), prefix.begin(), prefix.end());
        tokens.insert(tokens.end(), all.begin() + i * own, all.begin() + (i + 1) * own);
    }
    const auto largest = *std::max_element(tokens.begin(), tokens.end());
    if (largest < config.vocab_size) return {};
    return caller_error(
        fmt::format("{}: tokenizer: expected tokens below {}, got {}", folder, config.vocab_size, largest));
}

Status Calibration::write_embeddings(const std::vector<i32>& tokens, const std::vector<Parameter>& parameters,
                                     const WeightSource& source) {
    const auto embedding = std::find_if(parameters.begin(), parameters.end(), [](const Parameter& parameter) {
        return parameter.model_tensor == &Weights::embedding;
    });
    const fs::path unfinished = work_ / "calibration.new";
    WW_ASSIGN(OutputFile file, OutputFile::open(unfinished, num_sequences_ * sequence_bytes()));
    std::vector<std::byte> rows(static_cast<std::size_t>(sequence_bytes()));
    const i64 row_bytes = hidden_ * dtype_bytes(dtype_);
    for (i64 i = 0; i < num_sequences_; ++i) {
        for (i64 t = 0; t < sequence_tokens_; ++t) {
            const i64 token = tokens[static_cast<std::size_t>(i * sequence_tokens_ + t)];
            const PiecePart part{&*embedding, &embedding->pieces.front(), token * hidden_, hidden_};
            WW_TRY(source.read(part, dtype_, rows.data() + t * row_bytes));
        }
        WW_TRY(file.write(i * sequence_bytes(), rows));
    }
    return file.finish(rows_file(0));
}

bool Calibration::can_begin_at(int layer) const {
    std::error_code error;
    const auto bytes = fs::file_size(rows_file(layer), error);
    return !error && bytes == static_cast<std::uintmax_t>(num_sequences_ * sequence_bytes());
}

void Calibration::forget_before(int layer) {
    std::error_code error;
    for (int i = 0; i < layer; ++i) fs::remove(rows_file(i), error);
}

template <class Body>
Status Calibration::each_sequence(Body body) {
    for (i64 i = 0; i < num_sequences_; ++i) {
        if (go_on_ && !go_on_()) {
            return unavailable(fmt::format("stopped; the same command goes on from {}", work_.string()));
        }
        WW_TRY(rows_.read(i * sequence_bytes(), pass_->inputs()));
        WW_TRY(body(i));
    }
    return {};
}

Status Calibration::open_layer(int layer) {
    WW_ASSIGN(rows_, OutputFile::open(rows_file(layer), num_sequences_ * sequence_bytes()));
    WW_TRY(pass_->open(layer));
    layer_ = layer;
    product_ = LayerPass::end;
    return {};
}

Status Calibration::begin(const Parameter& parameter) {
    if (parameter.layer != layer_) WW_TRY(open_layer(parameter.layer));
    const LayerPass::Product product = LayerPass::product_of(parameter);
    if (product == product_) return {};
    product_ = product;
    const Status status = accumulate(product, parameter.shape[1]);
    if (status.ok() || status.kind() != ErrorKind::caller) return status;
    return caller_error(fmt::format("{}: {}", parameter.pieces.front().name, status.message()));
}

Status Calibration::accumulate(LayerPass::Product product, i64 columns) {
    hessian_.reset();
    WW_ASSIGN(Hessian sums, Hessian::create(columns));
    std::vector<float> block(static_cast<std::size_t>(kSumRows * columns));
    const auto widen = widen_of(host_simd(), dtype_);
    WW_TRY(each_sequence([&](i64) -> Status {
        WW_ASSIGN(const Tensor inputs, pass_->run_to(product));
        for (i64 first = 0; first < sequence_tokens_; first += kSumRows) {
            const i64 count = std::min(kSumRows, sequence_tokens_ - first);
            for (i64 i = 0; i < count; ++i) {
                widen(static_cast<const u16*>(inputs.data) + (first + i) * inputs.stride[0], columns,
                      block.data() + i * columns);
            }
            sums.add(block.data(), count, pass_->threads());
        }
        return {};
    }));
    order_.clear();
    if (options_.act_order) {
        order_ = importance_order(sums.diagonal());
        WW_ASSIGN(sums, sums.permuted(order_, pass_->threads()));
    }
    hessian_.emplace(std::move(sums));
    return hessian_->factor(options_.damping, pass_->threads()).status();
}

Status Calibration::finish_layer() {
    hessian_.reset();
    const fs::path unfinished = work_ / "calibration.new";
    WW_ASSIGN(OutputFile next, OutputFile::open(unfinished, num_sequences_ * sequence_bytes()));
    WW_TRY(each_sequence([&](i64 i) -> Status {
        WW_ASSIGN(const Tensor rows, pass_->run());
        return next.write(i * sequence_bytes(), {static_cast<const std::byte*>(rows.data),
                                                 static_cast<std::size_t>(sequence_bytes())});
    }));
    return next.finish(rows_file(layer_ + 1));
}

}  // namespace warpwright
