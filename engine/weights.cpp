// SPDX-License-Identifier: Apache-2.0
// Several threads read: each takes the next part of a piece, converts it where that is needed, and sends it
// to the device from one of two pinned buffers of its own, which it fills while the other is copied. Where
// the device's memory is the host's, parts are read to where they belong. Of packed weights a thread takes
// some rows at a time and packs them: no more of a checkpoint is in memory.
#include "engine/weights.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <numeric>
#include <thread>

#include "engine/activations.h"
#include "engine/formats/kv_scales.h"
#include "engine/parameters.h"
#include "engine/weight_source.h"

namespace warpwright {
namespace {

// Two buffers of each thread stay in the last cache, where the link reads them, and little memory is to be
// pinned, which is slow.
constexpr i64 kPartBytes = 2 << 20;
constexpr int kMaxThreads = 32;
constexpr i64 kPackedElements = 1 << 20;  // at once: runs of a column-wise layout are long enough
constexpr i64 kRowsAtOnce = std::lcm(i64{kPackedRows}, kCodedRows);
constexpr auto kProgressEvery = std::chrono::milliseconds(50);

// Of numbers a part of a piece; of codes some rows.
struct Part {
    PiecePart part;
    std::byte* to = nullptr;            // on the device
    const Parameter* packed = nullptr;  // or coded
    i64 expert = 0;                     // whose rows these are; or 0
    i64 first_row = 0, num_rows = 0;
};

// One thread's way to the device.
class Lane {
public:
    explicit Lane(std::shared_ptr<Device> device) : device_(std::move(device)) {}
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    ~Lane() {
        (void)finish();  // buffers are not freed under a copy
        for (Slot& slot : slots_) device_->destroy(slot.copied);
        device_->destroy(stream_);
    }

    Status open(i64 part_bytes) {
        part_bytes_ = part_bytes;
        if (device_->shares_host_memory()) return {};
        WW_ASSIGN(stream_, device_->create_stream());
        WW_ASSIGN(pinned_, Buffer::allocate_pinned(device_, static_cast<std::size_t>(2 * part_bytes)));
        for (int i = 0; i < 2; ++i) {
            slots_[i].room = pinned_.as<std::byte>() + i * part_bytes;
            WW_ASSIGN(slots_[i].copied, device_->create_event());
        }
        return {};
    }

    // Where a part for `to` is to be written; then send() brings it there.
    Result<std::byte*> room_for(std::byte* to) {
        if (device_->shares_host_memory()) return to;
        Slot& slot = slots_[next_];
        if (slot.in_use) WW_TRY(device_->wait(slot.copied));
        slot.in_use = false;
        return slot.room;
    }
    Status send(std::byte* to, i64 bytes) {
        if (device_->shares_host_memory()) return {};
        Slot& slot = slots_[next_];
        WW_TRY(device_->copy_in(to, slot.room, static_cast<std::size_t>(bytes), stream_));
        WW_TRY(device_->record(slot.copied, stream_));
        slot.in_use = true;
        next_ = 1 - next_;
        return {};
    }
    // What is in host memory already.
    Status copy(std::byte* to, std::span<const std::byte> from) {
        while (!from.empty()) {
            const auto bytes = std::min(from.size(), static_cast<std::size_t>(part_bytes_));
            WW_ASSIGN(std::byte * room, room_for(to));
            std::memcpy(room, from.data(), bytes);
            WW_TRY(send(to, static_cast<i64>(bytes)));
            from = from.subspan(bytes);
            to += bytes;
        }
        return {};
    }
    Status finish() { return stream_.handle == nullptr ? Status{} : device_->synchronize(stream_); }

private:
    struct Slot {
        std::byte* room = nullptr;
        Event copied;
        bool in_use = false;
    };
    std::shared_ptr<Device> device_;
    Stream stream_;
    Buffer pinned_;
    Slot slots_[2];
    int next_ = 0;
    i64 part_bytes_ = 0;
};

class Loader {
public:
    Loader(Context& context, const ModelConfig& config, const std::vector<Parameter>& parameters,
           const WeightSource& source, const LoadTuning& tuning)
        : device_(context.shared_device()),
          config_(config),
          parameters_(parameters),
          source_(source),
          part_bytes_(tuning.part_bytes > 0 ? tuning.part_bytes : kPartBytes),
          num_threads_(tuning.num_threads) {
        if (num_threads_ <= 0) {
            num_threads_ = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
        }
    }

    Result<Weights> load(const LoadProgress& progress) {
        WW_TRY(allocate());
        cut_packed();
        cut();
        std::vector<std::thread> threads;
        num_running_ = std::min<int>(num_threads_, static_cast<int>(parts_.size()));
        for (int i = num_running_; i > 0; --i) threads.emplace_back([this] { work(); });
        {
            std::unique_lock lock(mutex_);
            while (!all_done_.wait_for(lock, kProgressEvery, [&] { return num_running_ == 0; })) {
                if (!progress) continue;
                lock.unlock();
                progress(done_bytes_, weights_.bytes);
                lock.lock();
            }
        }
        for (std::thread& thread : threads) thread.join();
        WW_TRY(status_);
        if (progress) progress(weights_.bytes, weights_.bytes);
        return std::move(weights_);
    }

private:
    i64 bytes_of(const Parameter& parameter, i64 elements) const {
        return elements * dtype_bytes(parameter.dtype(config_));
    }

    Status allocate() {
        weights_.layers.resize(static_cast<std::size_t>(config_.num_layers));
        for (const Parameter& parameter : parameters_) {
            const WeightForm& form = parameter.form;
            const i64 bytes = weight_bytes(parameter, config_.dtype);
            WW_ASSIGN(Buffer buffer, Buffer::allocate(device_, static_cast<std::size_t>(bytes)));
            if (parameter.is_product()) {
                parameter.product_of(weights_).push_back(
                    {.first_row = parameter.first_row, .rows = parameter.shape[0], .form = form});
            }
            if (form.packed) {
                parameter.part_of(weights_).quantized = packed_view(parameter, buffer.as<std::byte>());
            } else if (form.coded) {
                parameter.part_of(weights_).coded = coded_view(parameter, buffer.as<std::byte>());
            } else {
                parameter.of(weights_) = parameter.view(buffer.data(), config_);
            }
            weights_.storage.push_back(std::move(buffer));
            weights_.bytes += bytes;
        }
        if (config_.tie_word_embeddings)
            weights_.lm_head = {{.rows = config_.vocab_size, .dense = weights_.embedding}};
        weights_.forms = forms_of(config_, parameters_);
        return {};
    }

    // Codes, scales, zero points, order and global scales, one behind the other; each but the last is a
    // multiple of 64 bytes.
    static QuantizedWeight packed_view(const Parameter& parameter, std::byte* at) {
        const WeightForm& form = parameter.form;
        const i64 weights = std::max<i64>(1, parameter.experts);
        const i64 n = parameter.shape[0] / weights, k = parameter.shape[1];
        const i64 num_scales = weights * packed_scales(n, k, form.group);
        const auto next = [&at](DType dtype, i64 count) {
            const Tensor tensor = Tensor::dense(at, dtype, {count});
            at += count * dtype_bytes(dtype);
            return tensor;
        };
        QuantizedWeight weight{.format = form.format, .groups = weights, .n = n, .k = k, .group = form.group};
        weight.data = next(DType::u8, weights * packed_data_bytes(form.format, n, k));
        weight.scales = next(form.scale, num_scales);
        if (form.zeros) weight.zeros = next(DType::u8, num_scales);
        if (form.order) weight.order = next(DType::i32, weights * k);
        if (parameter.experts > 0 && has_global_scale(form)) weight.global_scales = next(DType::f32, weights);
        return weight;
    }

    static CodedWeight coded_view(const Parameter& parameter, std::byte* at) {
        const i64 n = parameter.shape[0], k = parameter.shape[1];
        const CodedLayout layout = coded_layout(parameter.form, n, k);
        CodedWeight weight{.codes = Tensor::dense(at, DType::u8, {n, k}),
                           .scales = Tensor::dense(at + layout.scales, parameter.form.scale,
                                                   {layout.scale_rows, layout.scale_columns})};
        if (parameter.form.given_scale)
            weight.input_scale = Tensor::dense(at + layout.input_scale, DType::f32, {1, 1});
        return weight;
    }

    // All pieces into parts, in the order in which the source reads fastest.
    void cut() {
        struct Piece {
            u64 position;
            Part whole;
        };
        std::vector<Piece> pieces;
        for (const Parameter& parameter : parameters_) {
            if (keeps_codes(parameter)) continue;
            auto* to = static_cast<std::byte*>(parameter.of(weights_).data);
            const i64 row_bytes = bytes_of(parameter, parameter.num_elements() / parameter.shape[0]);
            for (const ParameterPiece& piece : parameter.pieces) {
                pieces.push_back(
                    {source_.position_of(piece),
                     {{&parameter, &piece, 0, piece.num_elements()}, to + piece.first_row * row_bytes}});
            }
        }
        std::stable_sort(pieces.begin(), pieces.end(),
                         [](const Piece& a, const Piece& b) { return a.position < b.position; });
        for (const auto& [position, whole] : pieces) {
            const i64 elements = std::max<i64>(1, part_bytes_ / bytes_of(*whole.part.parameter, 1));
            for (i64 first = 0; first < whole.part.count; first += elements) {
                Part part = whole;
                part.part.first = first;
                part.part.count = std::min(elements, whole.part.count - first);
                part.to += bytes_of(*part.part.parameter, first);
                parts_.push_back(part);
            }
        }
    }

    static bool keeps_codes(const Parameter& parameter) {
        return parameter.form.packed || parameter.form.coded;
    }

    // Before the parts of numbers: they take longest, and the last ones should be small.
    void cut_packed() {
        std::vector<const Parameter*> packed;
        for (const Parameter& parameter : parameters_) {
            if (keeps_codes(parameter)) packed.push_back(&parameter);
        }
        std::stable_sort(packed.begin(), packed.end(), [this](const Parameter* a, const Parameter* b) {
            return source_.position_of(a->pieces[0]) < source_.position_of(b->pieces[0]);
        });
        for (const Parameter* parameter : packed) {
            const i64 weights = std::max<i64>(1, parameter->experts), rows = parameter->shape[0] / weights;
            const i64 at_once =
                round_up(std::max<i64>(1, kPackedElements / parameter->shape[1]), kRowsAtOnce);
            for (i64 expert = 0; expert < weights; ++expert) {
                for (i64 first = 0; first < rows; first += at_once) {
                    parts_.push_back({.packed = parameter,
                                      .expert = expert,
                                      .first_row = first,
                                      .num_rows = std::min(at_once, rows - first)});
                }
            }
        }
    }

    void work() {
        Status status = work_on_parts();
        const std::lock_guard lock(mutex_);
        if (!status.ok()) {
            stop_ = true;
            if (status_.ok()) status_ = std::move(status);
        }
        if (--num_running_ == 0) all_done_.notify_one();
    }

    Status work_on_parts() {
        Lane lane(device_);
        WW_TRY(lane.open(part_bytes_));
        for (std::size_t i = next_++; i < parts_.size() && !stop_; i = next_++) {
            const Part& part = parts_[i];
            if (part.packed != nullptr) {
                WW_TRY(part.packed->form.coded ? load_coded(part, lane) : load_packed(part, lane));
                continue;
            }
            const Parameter& parameter = *part.part.parameter;
            const i64 bytes = bytes_of(parameter, part.part.count);
            WW_ASSIGN(std::byte * room, lane.room_for(part.to));
            WW_TRY(source_.read(part.part, parameter.dtype(config_), room));
            WW_TRY(lane.send(part.to, bytes));
            done_bytes_ += bytes;
        }
        return lane.finish();
    }

    Status load_packed(const Part& part, Lane& lane) {
        QuantizedWeight& weight = part.packed->part_of(weights_).quantized;
        WW_ASSIGN(const PackedWeight rows,
                  source_.read_packed(*part.packed, part.expert * weight.n + part.first_row, part.num_rows));
        const auto copy = [&](const Tensor& tensor, i64 first, const auto& values) -> Status {
            const auto bytes = std::as_bytes(std::span(values));
            WW_TRY(
                lane.copy(static_cast<std::byte*>(tensor.data) + first * dtype_bytes(tensor.dtype), bytes));
            done_bytes_ += static_cast<i64>(bytes.size());
            return {};
        };
        const auto first_of = [&](auto size_of) {
            return part.expert * size_of(weight.n) + size_of(part.first_row);
        };
        const i64 first_scale =
            first_of([&](i64 rows) { return packed_scales(rows, weight.k, weight.group); });
        WW_TRY(copy(weight.data,
                    first_of([&](i64 rows) { return packed_data_bytes(weight.format, rows, weight.k); }),
                    rows.data));
        WW_TRY(copy(weight.scales, first_scale, rows.scales));
        WW_TRY(copy(weight.zeros, first_scale, rows.zeros));
        if (part.first_row > 0) return {};
        if (part.packed->experts == 0) weight.global_scale = rows.global_scale;
        if (weight.global_scales)
            WW_TRY(copy(weight.global_scales, part.expert, std::array<float, 1>{rows.global_scale}));
        return copy(weight.order, part.expert * weight.k, rows.order);
    }

    Status load_coded(const Part& part, Lane& lane) {
        const Parameter& parameter = *part.packed;
        WW_ASSIGN(const CodedRows rows, source_.read_coded(parameter, part.first_row, part.num_rows));
        const CodedWeight& weight = parameter.part_of(weights_).coded;
        const auto copy = [&](const Tensor& tensor, i64 first_row, const auto& values) -> Status {
            const auto bytes = std::as_bytes(std::span(values));
            const i64 offset = first_row * tensor.stride[0] * dtype_bytes(tensor.dtype);
            WW_TRY(lane.copy(static_cast<std::byte*>(tensor.data) + offset, bytes));
            done_bytes_ += static_cast<i64>(bytes.size());
            return {};
        };
        WW_TRY(copy(weight.codes, part.first_row, rows.codes));
        const i64 rows_of_scale = std::max<i64>(1, weight_format(parameter.form).group_rows);
        WW_TRY(copy(weight.scales, part.first_row / rows_of_scale, rows.scales));
        if (part.first_row > 0 || !weight.input_scale) return {};
        return copy(weight.input_scale, 0, std::array<float, 1>{parameter.input_scale});
    }

    std::shared_ptr<Device> device_;
    const ModelConfig& config_;
    const std::vector<Parameter>& parameters_;
    const WeightSource& source_;
    const i64 part_bytes_;
    int num_threads_;
    Weights weights_;
    std::vector<Part> parts_;

    std::atomic<std::size_t> next_{0};  // of parts_
    std::atomic<i64> done_bytes_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_;
    std::condition_variable all_done_;
    int num_running_ = 0;  // with the mutex
    Status status_;        // the first failure
};

// Brings rows of kv_b, which a checkpoint has as a head's keys and then its values, into the order of
// LayerWeights, and makes absorbed_keys of them.
Status arrange_kv_b(Context& context, const ModelConfig& config, Weights& weights) {
    const LatentConfig& latent = config.latent;
    const auto rank = static_cast<std::size_t>(latent.kv_rank),
               key_rows = static_cast<std::size_t>(latent.nope_dim),
               rows = key_rows + static_cast<std::size_t>(latent.value_dim),
               heads = static_cast<std::size_t>(config.num_heads);
    std::vector<u16> numbers(heads * rows * rank), absorbed(heads * key_rows * rank);
    const std::size_t bytes = numbers.size() * sizeof(u16), absorbed_bytes = absorbed.size() * sizeof(u16);
    for (LayerWeights& layer : weights.layers) {
        WW_TRY(context.device().copy_out(numbers.data(), layer.kv_b.data, bytes, {}));
        for (std::size_t head = 0; head < heads; ++head) {
            const auto keys = numbers.begin() + static_cast<std::ptrdiff_t>(head * rows * rank);
            const auto values = keys + static_cast<std::ptrdiff_t>(key_rows * rank);
            u16* const transposed = absorbed.data() + head * key_rows * rank;
            for (std::size_t i = 0; i < key_rows * rank; ++i)
                transposed[i % rank * key_rows + i / rank] = keys[static_cast<std::ptrdiff_t>(i)];
            std::rotate(keys, values, keys + static_cast<std::ptrdiff_t>(rows * rank));
        }
        WW_TRY(context.device().copy_in(layer.kv_b.data, numbers.data(), bytes, {}));
        WW_ASSIGN(Buffer buffer, Buffer::allocate(context.shared_device(), absorbed_bytes));
        WW_TRY(context.device().copy_in(buffer.data(), absorbed.data(), absorbed_bytes, {}));
        WW_TRY(context.device().synchronize({}));
        layer.kv_b = Tensor::dense(layer.kv_b.data, config.dtype,
                                   {config.num_heads, latent.value_dim + latent.nope_dim, latent.kv_rank});
        layer.absorbed_keys =
            Tensor::dense(buffer.data(), config.dtype, {config.num_heads, latent.kv_rank, latent.nope_dim});
        weights.bytes += static_cast<i64>(absorbed_bytes);
        weights.storage.push_back(std::move(buffer));
    }
    return {};
}

// Scales of keys and values, one behind the other.
Status load_kv(Context& context, const StoredKv& kv, Weights& weights) {
    weights.forms.kv_format = kv.format;
    weights.forms.kv_note = kv.note;
    std::vector<float> scales;
    const auto each = [&](const auto& body) {
        for (std::size_t layer = 0; layer < kv.layers.size(); ++layer) {
            body(kv.layers[layer].k, weights.layers[layer].k_scale);
            body(kv.layers[layer].v, weights.layers[layer].v_scale);
        }
    };
    each([&](const std::vector<float>& values, Tensor&) {
        scales.insert(scales.end(), values.begin(), values.end());
    });
    if (scales.empty()) return {};
    const std::size_t bytes = scales.size() * sizeof(float);
    WW_ASSIGN(Buffer buffer, Buffer::allocate(context.shared_device(), bytes));
    WW_TRY(context.device().copy_in(buffer.data(), scales.data(), bytes, {}));
    WW_TRY(context.device().synchronize({}));
    auto* at = buffer.as<float>();
    each([&](const std::vector<float>& values, Tensor& tensor) {
        if (!values.empty()) tensor = Tensor::dense(at, DType::f32, {static_cast<i64>(values.size())});
        at += values.size();
    });
    weights.storage.push_back(std::move(buffer));
    return {};
}

}  // namespace

Result<Weights> load_weights(Context& context, const ModelConfig& config, const std::string& folder,
                             const LoadProgress& progress, const LoadTuning& tuning) {
    WW_TRY(check_runs(config));
    WW_ASSIGN(const Safetensors checkpoint, Safetensors::open(folder));
    WW_ASSIGN(std::vector<Parameter> found, find_parameters(config, checkpoint));
    WW_ASSIGN(const ModelConfig decided, with_activations(config, context.target()));
    WW_ASSIGN(const std::vector<Parameter> parameters, with_forms(decided, std::move(found)));
    WW_ASSIGN(const StoredKv kv, find_kv(config, checkpoint, prefix_of(checkpoint).body));
    const CheckpointSource source(checkpoint);
    WW_ASSIGN(Weights weights, Loader(context, decided, parameters, source, tuning).load(progress));
    WW_TRY(load_kv(context, kv, weights));
    if (decided.is_latent()) WW_TRY(arrange_kv_b(context, decided, weights));
    weights.ignored = unused_tensors(parameters, checkpoint);
    return weights;
}

Result<Weights> random_weights(Context& context, const ModelConfig& config, u64 seed,
                               const LoadProgress& progress, const LoadTuning& tuning) {
    WW_TRY(check_runs(config));
    WW_ASSIGN(const ModelConfig decided, with_activations(config, context.target()));
    WW_ASSIGN(std::vector<Parameter> parameters, with_forms(decided, list_parameters(decided)));
    for (Parameter& parameter : parameters) {
        if (parameter.form.given_scale) parameter.input_scale = kRandomInputScale;
    }
    const RandomSource source(seed, decided.dtype);
    WW_ASSIGN(Weights weights, Loader(context, decided, parameters, source, tuning).load(progress));
    if (decided.is_latent()) WW_TRY(arrange_kv_b(context, decided, weights));
    return weights;
}

}  // namespace warpwright
