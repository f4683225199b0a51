// SPDX-License-Identifier: Apache-2.0
// Layer by layer: blocks of rows are read, quantised, packed and written to where the layout has them, by all
// threads. What is done is noted after every layer, so that a run that was killed goes on there.
#include "engine/quantize.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>

#include "device/host_threads.h"
#include "engine/formats/layer_format.h"
#include "engine/gptq/feedback.h"
#include "engine/json_fields.h"
#include "engine/output_file.h"
#include "engine/quantize_layout.h"
#include "engine/weight_source.h"
#include "formats/bits.h"
#include "kernels/host_math.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::QuantizedMatrix;
using nlohmann::json;
namespace fs = std::filesystem;

constexpr i64 kBlockElements = 1 << 20;  // of a thread at a time: 4 MiB of fp32
constexpr i64 kBlockRows =
    128;  // a multiple of every group of rows, and of rows whose zero points share words
constexpr i64 kCopyBytes = 8 << 20;
constexpr i64 kMaxTextBytes = 16 << 20;
constexpr const char* kStateName = "quantize.state";

std::size_t size(i64 count) {
    return static_cast<std::size_t>(count);
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
}

// The state is renewed often, and need not outlive the machine.
Status write_state(const fs::path& path, const std::string& text) {
    const fs::path unfinished = path.string() + ".new";
    std::ofstream file(unfinished, std::ios::binary);
    file << text;
    file.close();
    std::error_code error;
    if (file) fs::rename(unfinished, path, error);
    return file && !error ? Status{} : write_failed(path);
}

// What a stopped run leaves: which work it was, and how many jobs of it are done. Bytes that were written
// before the machine itself went down may not be on the disk: then only finished files count.
struct State {
    std::string work;
    std::string boot;
    i64 jobs_done = 0;

    std::string text() const {
        return json{{"work", work}, {"boot", boot}, {"jobs_done", jobs_done}}.dump() + "\n";
    }
    static State read(const fs::path& path) {
        State state;
        const auto text = read_text_file(path, kMaxTextBytes);
        if (!text.ok()) return state;
        const json value = json::parse(*text, nullptr, false);
        if (!value.is_object()) return state;
        state.work = value.value("work", "");
        state.boot = value.value("boot", "");
        state.jobs_done = value.value("jobs_done", i64{0});
        return state;
    }
};

std::string boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

class Quantizer {
public:
    Quantizer(const Safetensors& source, const QuantizeLayout& layout, const formats::Recipe& recipe,
              int num_threads)
        : layout_(layout), source_(source), recipe_(recipe), threads_(num_threads) {}

    // With a calibration weights are rounded with error feedback, and put into it.
    Status run(const QuantizeJob& job, const OutputFile& file, Calibration* calibration) {
        file_ = &file;
        job_ = &job;
        calibration_ = calibration;
        status_ = {};
        if (job.piece != nullptr && calibration != nullptr) WW_TRY(calibration->begin(*job.parameter));
        return job.piece == nullptr ? copy() : quantize();
    }

private:
    const OutputTensor& output(int index) const { return layout_.outputs[size(index)]; }

    // body(begin, end) over ranges, by all threads; the first failure ends it.
    template <class Body>
    Status in_parallel(i64 count, i64 grain, Body body) {
        std::atomic<bool> stop{false};
        threads_.parallel_for((count + grain - 1) / grain, 1, [&](i64 first, i64 last) {
            for (i64 i = first; i < last && !stop; ++i) {
                Status status = body(i * grain, std::min(count, (i + 1) * grain));
                if (status.ok()) continue;
                const std::lock_guard lock(mutex_);
                if (status_.ok()) status_ = std::move(status);
                stop = true;
            }
        });
        return status_;
    }

    Status copy() {
        const StoredBytes& from = job_->copied;
        const OutputTensor& to = output(job_->codes);
        return in_parallel(to.bytes, kCopyBytes, [&](i64 begin, i64 end) -> Status {
            thread_local std::vector<std::byte> block;
            block.resize(size(end - begin));
            WW_TRY(from.mapped->read(from.file_offset + static_cast<u64>(begin), block));
            return file_->write(to.offset + begin, block);
        });
    }

    Status read_rows(i64 first, i64 last, std::vector<float>& values) const {
        return read_rows(*job_->piece, first, last, values);
    }
    Status read_rows(const ParameterPiece& piece, i64 first, i64 last, std::vector<float>& values) const {
        const i64 columns = piece.shape[1];
        const PiecePart part{job_->parameter, &piece, first * columns, (last - first) * columns};
        values.resize(size(part.count));
        return source_.read(part, DType::f32, reinterpret_cast<std::byte*>(values.data()));
    }

    Status quantize() {
        const i64 rows = job_->piece->shape[0], columns = job_->piece->shape[1];
        const i64 at_once = calibration_ == nullptr ? kBlockElements / columns / kBlockRows : 1;
        const i64 block = std::max<i64>(1, at_once) * kBlockRows;
        float largest = 0;
        if (recipe_.group_rows == 0 || recipe_.scale_code == formats::ScaleCode::e4m3) {
            WW_TRY(find_largest(block, largest));
            WW_TRY(check_finite(largest));
            if (job_->global >= 0) {
                const float divisor = formats::global_divisor(largest);
                WW_TRY(file_->write(output(job_->global).offset, std::as_bytes(std::span(&divisor, 1))));
            }
        }
        if (job_->shape >= 0) {
            const i64 shape[] = {rows, columns};
            WW_TRY(file_->write(output(job_->shape).offset, std::as_bytes(std::span(shape))));
        }
        return in_parallel(rows, block, [&](i64 first, i64 last) -> Status {
            thread_local std::vector<float> values;
            thread_local QuantizedMatrix matrix;
            WW_TRY(read_rows(first, last, values));
            WW_TRY(check_finite(formats::largest_magnitude(values.data(), static_cast<i64>(values.size()))));
            if (calibration_ == nullptr) {
                quantise_rows(recipe_, values.data(), last - first, columns, largest, matrix);
            } else {
                quantise_with_feedback(recipe_, calibration_->hessian(), calibration_->order(), values.data(),
                                       last - first, matrix);
                dequantise(matrix, values.data());
                calibration_->put(*job_->parameter, *job_->piece, first, values.data(), last - first);
            }
            WW_TRY(write_codes(matrix, first));
            WW_TRY(write_scales(matrix, first));
            return job_->zeros < 0 ? Status{} : write_zeros(matrix, first);
        });
    }

    // Of the piece; where a global scale is made of it, of all that are one product: q, k and v share theirs,
    // and so do gate and up, of an expert, too, as engines that multiply them as one expect.
    std::span<const ParameterPiece> sharing_a_scale() const {
        const Parameter& parameter = *job_->parameter;
        const auto index = static_cast<std::size_t>(job_->piece - parameter.pieces.data());
        const std::span<const ParameterPiece> all(parameter.pieces);
        if (recipe_.scale_code != formats::ScaleCode::e4m3) return all.subspan(index, 1);
        if (parameter.layer_tensor == &LayerWeights::expert_gate_up) return all.subspan(index / 2 * 2, 2);
        return parameter.is_product() ? all : all.subspan(index, 1);
    }

    Status find_largest(i64 block, float& largest) {
        for (const ParameterPiece& piece : sharing_a_scale()) {
            WW_TRY(in_parallel(piece.shape[0], block, [&](i64 first, i64 last) -> Status {
                thread_local std::vector<float> values;
                WW_TRY(read_rows(piece, first, last, values));
                const float of_block =
                    formats::largest_magnitude(values.data(), static_cast<i64>(values.size()));
                const std::lock_guard lock(mutex_);
                if (!(of_block <= largest)) largest = of_block;
                return {};
            }));
        }
        return {};
    }

    Status check_finite(float largest) const {
        if (std::isfinite(largest)) return {};
        return caller_error(
            fmt::format("tensor {}: expected finite weights, got {}", job_->piece->name, largest));
    }

    // Rows of a tensor's output that begin at `first_row`.
    Status write_rows(int index, i64 first_row, std::span<const std::byte> bytes) const {
        const OutputTensor& to = output(index);
        return file_->write(to.offset + first_row * (to.bytes / to.shape[0]), bytes);
    }

    Status write_codes(const QuantizedMatrix& matrix, i64 first) const {
        if (facts_of(matrix.code).bits == 8) return write_rows(job_->codes, first, bytes_of(matrix.codes));
        const OutputTensor& to = output(job_->codes);
        const i64 row_bytes = to.bytes / to.shape[0];
        thread_local std::vector<u8> packed;
        packed.assign(size(matrix.rows * row_bytes), 0);
        for (i64 row = 0; row < matrix.rows; ++row) {
            formats::pack_nibbles(&matrix.codes[size(row * matrix.columns)], matrix.columns,
                                  &packed[size(row * row_bytes)]);
        }
        return write_rows(job_->codes, first, bytes_of(packed));
    }

    Status write_scales(const QuantizedMatrix& matrix, i64 first) const {
        if (recipe_.group_rows == 0 && first > 0) return {};
        const i64 first_group = recipe_.group_rows == 0 ? 0 : first / recipe_.group_rows;
        if (recipe_.scale_code != formats::ScaleCode::none) {
            return write_rows(job_->scales, first_group, bytes_of(matrix.scale_codes));
        }
        thread_local std::vector<std::byte> stored;
        stored.resize(matrix.scales.size() * size(dtype_bytes(recipe_.scale_type)));
        for (std::size_t i = 0; i < matrix.scales.size(); ++i) {
            store_float(stored.data(), recipe_.scale_type, static_cast<i64>(i), matrix.scales[i]);
        }
        return write_rows(job_->scales, first_group, stored);
    }

    // Down the rows: eight to a word.
    Status write_zeros(const QuantizedMatrix& matrix, i64 first) const {
        const i64 groups = matrix.column_groups();
        const int bits = facts_of(matrix.code).bits, each = 32 / bits;
        thread_local std::vector<u32> words;
        words.assign(size((matrix.rows + each - 1) / each * groups), 0);
        for (i64 row = 0; row < matrix.rows; ++row) {
            for (i64 group = 0; group < groups; ++group) {
                const auto zero = static_cast<u32>(matrix.zeros[size(row * groups + group)]);
                words[size(row / each * groups + group)] |= zero << (bits * static_cast<int>(row % each));
            }
        }
        return write_rows(job_->zeros, first / each, bytes_of(words));
    }

    const QuantizeLayout& layout_;
    const CheckpointSource source_;
    const formats::Recipe& recipe_;
    HostThreads threads_;
    const OutputFile* file_ = nullptr;
    const QuantizeJob* job_ = nullptr;
    Calibration* calibration_ = nullptr;
    std::mutex mutex_;
    Status status_;
};

// What tells one work from another: settings, and the source's files.
Result<std::string> work_of(const fs::path& folder, const QuantizeOptions& options,
                            const QuantizeLayout& layout) {
    std::string text = fmt::format("{} {} {}", options.format.name, options.format.recipe.group_columns,
                                   options.max_shard_bytes);
    if (options.gptq) {
        const GptqOptions& gptq = *options.gptq;
        struct stat facts {};
        if (!gptq.calibration.empty()) (void)::stat(gptq.calibration.c_str(), &facts);
        text += fmt::format(" gptq {} {} {} {} {} {} {}.{}", gptq.num_tokens, gptq.sequence_tokens,
                            gptq.damping, gptq.act_order, gptq.calibration, facts.st_size,
                            facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
    }
    std::vector<std::string> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error))
        files.push_back(entry.path().filename().string());
    std::sort(files.begin(), files.end());
    for (const std::string& name : files) {
        struct stat facts {};
        if (::stat((folder / name).c_str(), &facts) != 0) continue;
        text +=
            fmt::format("\n{} {} {}.{}", name, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec);
    }
    return text + fmt::format("\n{}", layout.written_bytes());
}

// The tokenizer and what else lies beside weights; not weights in any form, nor what is written anew.
bool is_copied_beside(const fs::directory_entry& entry) {
    constexpr std::string_view kLeftOut[] = {".safetensors", ".bin", ".pt",      ".pth",
                                             ".gguf",        ".h5",  ".msgpack", ".index.json"};
    const std::string name = entry.path().filename().string();
    std::error_code error;
    if (!entry.is_regular_file(error) || name == "config.json" || name == "hf_quant_config.json")
        return false;
    if (name == "quantize_config.json" || name == "quant_config.json") return false;
    return std::none_of(std::begin(kLeftOut), std::end(kLeftOut),
                        [&](std::string_view end) { return name.ends_with(end); });
}

Status write_beside(const fs::path& folder, const fs::path& part, const QuantizeOptions& options,
                    const QuantizeLayout& layout) {
    WW_ASSIGN(const std::string text, read_text_file(folder / "config.json", kMaxTextBytes));
    WW_ASSIGN(json config, parse_json(text, (folder / "config.json").string()));
    config.erase("compression_config");
    if (config.contains("text_config")) config["text_config"].erase("quantization_config");
    config["quantization_config"] = quantization_config_of(options.format, layout.ignored);
    WW_TRY(write_text_file(part / "config.json", config.dump(2) + "\n"));
    if (const std::string index = layout.index_text(); !index.empty()) {
        WW_TRY(write_text_file(part / "model.safetensors.index.json", index));
    }
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
        if (!is_copied_beside(entry)) continue;
        fs::copy_file(entry.path(), part / entry.path().filename(), fs::copy_options::overwrite_existing,
                      error);
        if (error)
            return unavailable(
                fmt::format("{}: cannot be copied: {}", entry.path().string(), error.message()));
    }
    return {};
}

// OUT.part of this work: empty, unless a run before was stopped there.
Result<State> open_work(const fs::path& part, const std::string& work) {
    State state = State::read(part / kStateName);
    if (state.work == work) return state;
    std::error_code error;
    // Somebody else's folder is left alone.
    if (fs::exists(part, error) && !fs::exists(part / kStateName, error)) {
        return caller_error(fmt::format("{}: exists, and is not of a run that was stopped", part.string()));
    }
    fs::remove_all(part, error);
    state = {.work = work, .boot = boot_id()};
    fs::create_directories(part, error);
    if (error) return unavailable(fmt::format("{}: {}", part.string(), error.message()));
    WW_TRY(write_state(part / kStateName, state.text()));
    return state;
}

// How many jobs are done: those of finished files, and those noted since the machine was started.
std::size_t jobs_done(const fs::path& part, const QuantizeLayout& layout, const State& state) {
    std::error_code error;
    std::size_t done = state.boot == boot_id() ? size(state.jobs_done) : 0;
    for (std::size_t i = 0; i < layout.jobs.size(); ++i) {
        if (fs::exists(part / layout.files[size(layout.jobs[i].shard)], error)) done = std::max(done, i + 1);
    }
    return std::min(done, layout.jobs.size());
}

// The jobs of a checkpoint, one after another.
class Run {
public:
    Run(const fs::path& part, const Safetensors& source, const QuantizeLayout& layout,
        const QuantizeOptions& options, const QuantizeProgress& progress)
        : part_(part),
          layout_(layout),
          progress_(progress),
          quantizer_(source, layout, options.format.recipe, options.num_threads),
          result_{.read_bytes = layout.read_bytes(), .written_bytes = layout.written_bytes()} {}

    bool goes_on() const { return !progress_ || progress_(done_bytes_, result_.read_bytes); }

    Result<QuantizeResult> run(State state, std::size_t first, Calibration* calibration) {
        std::error_code error;
        std::size_t next = 0;
        for (int shard = 0; shard < static_cast<int>(layout_.files.size()); ++shard) {
            const std::string& name = layout_.files[size(shard)];
            const bool is_finished = fs::exists(part_ / name, error);
            OutputFile file;
            if (!is_finished) {
                WW_ASSIGN(file,
                          OutputFile::open(part_ / (name + ".unfinished"), layout_.shard_bytes[size(shard)]));
                WW_TRY(file.write(0, std::as_bytes(std::span(layout_.headers[size(shard)]))));
            }
            for (; next < layout_.jobs.size() && layout_.jobs[next].shard == shard; ++next) {
                const QuantizeJob& job = layout_.jobs[next];
                (job.piece != nullptr ? result_.num_quantized : result_.num_kept) += 1;
                if (next < first) {
                    result_.resumed_bytes += job.written_bytes;
                } else {
                    WW_TRY(run_job(next, file, calibration));
                    if (calibration == nullptr || ends_layer(next)) {
                        state.jobs_done = static_cast<i64>(next) + 1;
                        WW_TRY(write_state(part_ / kStateName, state.text()));
                        if (calibration != nullptr) calibration->forget_before(job.layer() + 1);
                    }
                }
                done_bytes_ += job.read_bytes;
            }
            if (!is_finished) WW_TRY(file.finish(part_ / name));
        }
        return result_;
    }

private:
    bool ends_layer(std::size_t index) const {
        return index + 1 == layout_.jobs.size() ||
               layout_.jobs[index + 1].layer() != layout_.jobs[index].layer();
    }

    Status run_job(std::size_t index, const OutputFile& file, Calibration* calibration) {
        if (!goes_on()) {
            return unavailable(fmt::format("stopped; the same command goes on from {}", part_.string()));
        }
        WW_TRY(quantizer_.run(layout_.jobs[index], file, calibration));
        const bool has_next = index + 1 < layout_.jobs.size();
        if (calibration == nullptr || layout_.jobs[index].layer() < 0 || !has_next || !ends_layer(index))
            return {};
        return calibration->finish_layer();
    }

    const fs::path& part_;
    const QuantizeLayout& layout_;
    const QuantizeProgress& progress_;
    Quantizer quantizer_;
    QuantizeResult result_;
    i64 done_bytes_ = 0;
};

Status check_gptq(const QuantizeOptions& options) {
    if (!options.gptq) return {};
    if (options.format.recipe.code != Code::u4) {
        return caller_error(
            fmt::format("gptq: expected format int4 or int4-asym, got {}", options.format.name));
    }
    if (options.gptq->num_tokens < 1 || options.gptq->sequence_tokens < 1 || !(options.gptq->damping > 0)) {
        return caller_error("gptq: expected positive numbers of tokens, and positive damping");
    }
    return {};
}

}  // namespace

Result<QuantizeResult> quantize_checkpoint(const std::string& folder, const std::string& out,
                                           const QuantizeOptions& given, const QuantizeProgress& progress) {
    QuantizeOptions options = given;
    WW_TRY(check_gptq(options));
    WW_ASSIGN(const ModelConfig config, load_config(folder));
    WW_ASSIGN(const Safetensors source, Safetensors::open(folder));
    WW_ASSIGN(const std::vector<Parameter> parameters, find_parameters(config, source));
    // e4m3's scales are too small for fp16.
    const bool is_float = facts_of(options.format.recipe.code).is_float;
    options.format.recipe.scale_type = config.dtype == DType::bf16 ? DType::bf16
                                       : is_float                  ? DType::f32
                                                                   : DType::f16;
    WW_ASSIGN(const QuantizeLayout layout, plan_quantize(source, parameters, options));

    fs::path target(out);
    if (target.filename().empty()) target = target.parent_path();  // "OUT/"
    const fs::path part = target.string() + ".part";
    std::error_code error;
    if (fs::exists(target, error)) return caller_error(fmt::format("{}: exists already", target.string()));
    WW_ASSIGN(const std::string work, work_of(folder, options, layout));
    WW_ASSIGN(State state, open_work(part, work));
    std::size_t first = jobs_done(part, layout, state);
    state.boot = boot_id();

    Run run(part, source, layout, options, progress);
    const CheckpointSource weights(source);
    std::unique_ptr<Calibration> calibration;
    if (options.gptq && first < layout.jobs.size()) {
        const auto create = [&] {
            return Calibration::create(config, folder, parameters, weights, *options.gptq, part,
                                       [&] { return run.goes_on(); });
        };
        WW_ASSIGN(calibration, create());
        // What goes into the next layer may not have outlived the machine.
        if (const int layer = layout.jobs[first].layer(); layer > 0 && !calibration->can_begin_at(layer)) {
            fs::remove_all(part, error);
            WW_ASSIGN(state, open_work(part, work));
            WW_ASSIGN(calibration, create());
            first = 0;
        }
    }
    WW_ASSIGN(QuantizeResult result, run.run(state, first, calibration.get()));
    if (calibration) {
        result.calibration_tokens = calibration->num_tokens();
        calibration->forget_before(config.num_layers + 1);
    }
    WW_TRY(write_beside(folder, part, options, layout));
    fs::remove(part / kStateName, error);
    fs::rename(part, target, error);
    if (error) return unavailable(fmt::format("{}: cannot be renamed: {}", part.string(), error.message()));
    if (progress) (void)progress(result.read_bytes, result.read_bytes);
    return result;
}

}  // namespace warpwright
