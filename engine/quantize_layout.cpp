// SPDX-License-Identifier: Apache-2.0
#include "engine/quantize_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "engine/formats/open_weight.h"
#include "engine/weight_source.h"
#include "formats/bits.h"

namespace warpwright {
namespace {

using formats::Code;
using formats::ScaleCode;
using nlohmann::json;

i64 bits_of(std::string_view type) {
    for (const StoredType& row : stored_types()) {
        if (row.name == type) return row.bits;
    }
    return 0;
}

std::string_view float_name(DType type) {
    return type == DType::bf16 ? "BF16" : type == DType::f16 ? "F16" : "F32";
}

class Planner {
public:
    Planner(const Safetensors& source, const std::vector<Parameter>& parameters,
            const QuantizeOptions& options)
        : source_(source), parameters_(parameters), options_(options), recipe_(options.format.recipe) {}

    Result<QuantizeLayout> plan() {
        WW_TRY(add_quantized());
        WW_TRY(add_copies());
        // Tied to the embedding it has no tensor, but is a layer all the same.
        const auto is_head = [](const std::string& layer) { return layer.ends_with("lm_head"); };
        if (std::none_of(layout_.ignored.begin(), layout_.ignored.end(), is_head))
            layout_.ignored.push_back("lm_head");
        // In the order of the source's bytes, so that it is read from front to back. With GPTQ what is kept
        // comes first, then one layer after another, as parameters are listed.
        std::vector<std::size_t> order(layout_.jobs.size());
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            if (options_.gptq) return layout_.jobs[a].layer() < layout_.jobs[b].layer();
            return at_[a] < at_[b];
        });
        std::vector<QuantizeJob> sorted;
        for (const std::size_t i : order) sorted.push_back(layout_.jobs[i]);
        layout_.jobs = std::move(sorted);
        cut_into_shards();
        return std::move(layout_);
    }

private:
    int add(QuantizeJob& job, std::string name, std::string_view type, std::vector<i64> shape) {
        i64 bits = bits_of(type);
        for (const i64 extent : shape) bits *= extent;
        job.written_bytes += bits / 8;
        layout_.outputs.push_back({std::move(name), type, std::move(shape), bits / 8});
        return static_cast<int>(layout_.outputs.size()) - 1;
    }

    // The projections of layers: matrices, but for the embedding, routers and the output layer.
    Status add_quantized() {
        const CheckpointSource positions(source_);
        for (const Parameter& parameter : parameters_) {
            for (const ParameterPiece& piece : parameter.pieces) {
                const bool is_router = parameter.layer_tensor == &LayerWeights::router ||
                                       parameter.layer_tensor == &LayerWeights::shared_gate;
                if (parameter.layer < 0 || piece.shape.size() != 2 || is_router) {
                    // The output layer and routers are linear layers too, and are named as ones that are
                    // kept.
                    if (is_router || piece.name.ends_with("lm_head.weight")) {
                        layout_.ignored.push_back(piece.name.substr(0, piece.name.rfind('.')));
                    }
                    if (piece.quantized) return keeps_quantized(piece.name);
                    continue;
                }
                if (piece.view) {
                    return caller_error(fmt::format(
                        "{}: weights of all experts in one tensor: expected a tensor for each", piece.name));
                }
                QuantizeJob job{.parameter = &parameter, .piece = &piece};
                WW_TRY(add_outputs(job));
                if (piece.quantized) {
                    for (const std::string& name : piece.quantized->tensors) WW_TRY(count_read(name, job));
                } else {
                    WW_TRY(count_read(piece.name, job));
                }
                at_.push_back(positions.position_of(piece));
                layout_.jobs.push_back(job);
            }
        }
        return {};
    }
    Status keeps_quantized(const std::string& name) const {
        return caller_error(fmt::format(
            "{}: {} is quantised, but would be kept: expected it in floating point", source_.path(), name));
    }
    Status count_read(const std::string& name, QuantizeJob& job) {
        WW_ASSIGN(const StoredBytes stored, source_.find_any(name));
        i64 bits = stored.type->bits;
        for (const i64 extent : stored.shape) bits *= extent;
        job.read_bytes += bits / 8;
        taken_.insert(name);
        return {};
    }

    Status add_outputs(QuantizeJob& job) {
        const i64 n = job.piece->shape[0], k = job.piece->shape[1];
        const std::string layer = job.piece->name.substr(0, job.piece->name.rfind('.'));
        const i64 group = recipe_.group_columns == 0 ? k : recipe_.group_columns;
        const i64 rows = recipe_.group_rows == 0 ? n : recipe_.group_rows;
        if (recipe_.group_rows == 1 && k % group != 0) {
            return caller_error(fmt::format("{}: {}: groups of {} do not divide the {} columns",
                                            source_.path(), layer, group, k));
        }
        const i64 row_groups = (n + rows - 1) / rows, groups = (k + group - 1) / group;
        const int bits = facts_of(recipe_.code).bits;
        const bool packs = recipe_.code == Code::e2m1 || recipe_.code == Code::u4;
        if (recipe_.code == Code::e2m1) {
            job.codes = add(job, layer + ".weight_packed", "U8", {n, k / 2});
        } else if (packs) {
            job.codes = add(job, layer + ".weight_packed", "I32", {n, formats::packed_words(k, bits)});
            job.shape = add(job, layer + ".weight_shape", "I64", {2});
        } else {
            job.codes = add(job, layer + ".weight", recipe_.code == Code::i8 ? "I8" : "F8_E4M3", {n, k});
        }
        if (recipe_.scale_code == ScaleCode::e8m0) {
            job.scales = add(job, layer + ".weight_scale", "U8", {row_groups, groups});
        } else if (recipe_.scale_code == ScaleCode::e4m3) {
            job.scales = add(job, layer + ".weight_scale", "F8_E4M3", {row_groups, groups});
            job.global = add(job, layer + ".weight_global_scale", "F32", {1});
        } else {
            std::vector<i64> shape{row_groups, groups};
            if (recipe_.group_rows == 0) shape = {1};
            job.scales = add(job, layer + ".weight_scale", float_name(recipe_.scale_type), shape);
        }
        if (!recipe_.symmetric) {
            job.zeros =
                add(job, layer + ".weight_zero_point", "I32", {formats::packed_words(n, bits), groups});
        }
        return {};
    }

    // Everything else as it is; but what only served the source's own quantisation.
    Status add_copies() {
        for (const std::string& name : source_.names()) {
            if (taken_.contains(name) || is_beside_weights(name)) continue;
            WW_ASSIGN(const StoredBytes stored, source_.find_any(name));
            QuantizeJob job{.copied = stored};
            job.codes = add(job, name, stored.type->name, stored.shape);
            job.read_bytes = job.written_bytes;
            at_.push_back(reinterpret_cast<u64>(stored.mapped->bytes().data()) + stored.file_offset);
            layout_.jobs.push_back(job);
            const bool is_matrix = stored.shape.size() == 2 && name.ends_with(".weight");
            const std::string layer = name.substr(0, name.rfind('.'));
            if (is_matrix && !name.ends_with("embed_tokens.weight") &&
                std::find(layout_.ignored.begin(), layout_.ignored.end(), layer) == layout_.ignored.end()) {
                layout_.ignored.push_back(layer);
            }
        }
        return {};
    }

    void cut_into_shards() {
        i64 filled = 0;
        int shard = 0;
        int layer = -1;
        for (QuantizeJob& job : layout_.jobs) {
            const bool may_cut = !options_.gptq || job.layer() != layer;
            layer = job.layer();
            if (may_cut && filled > 0 && filled + job.written_bytes > options_.max_shard_bytes) {
                ++shard;
                filled = 0;
            }
            job.shard = shard;
            filled += job.written_bytes;
        }
        for (int i = 0; i <= shard; ++i) {
            layout_.files.push_back(shard == 0
                                        ? "model.safetensors"
                                        : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shard + 1));
            lay_out(i);
        }
    }

    // Wide types first, so that every tensor is aligned to its elements; then by name.
    void lay_out(int shard) {
        std::vector<OutputTensor*> tensors;
        for (const QuantizeJob& job : layout_.jobs) {
            if (job.shard != shard) continue;
            for (const int i : {job.codes, job.scales, job.zeros, job.shape, job.global}) {
                if (i >= 0) tensors.push_back(&layout_.outputs[static_cast<std::size_t>(i)]);
            }
        }
        std::sort(tensors.begin(), tensors.end(), [](const OutputTensor* a, const OutputTensor* b) {
            const i64 of_a = bits_of(a->type), of_b = bits_of(b->type);
            return of_a != of_b ? of_a > of_b : a->name < b->name;
        });
        json header = {{"__metadata__", {{"format", "pt"}}}};
        i64 at = 0;
        for (OutputTensor* tensor : tensors) {
            tensor->offset = at;
            header[tensor->name] = {{"dtype", tensor->type},
                                    {"shape", tensor->shape},
                                    {"data_offsets", {at, at + tensor->bytes}}};
            at += tensor->bytes;
        }
        std::string text = header.dump();
        text.resize((text.size() + 7) / 8 * 8, ' ');
        std::string start(8, '\0');
        for (std::size_t i = 0; i < 8; ++i) start[i] = static_cast<char>(text.size() >> (8 * i));
        start += text;
        for (OutputTensor* tensor : tensors) tensor->offset += static_cast<i64>(start.size());
        layout_.shard_bytes.push_back(at + static_cast<i64>(start.size()));
        layout_.headers.push_back(std::move(start));
    }

    const Safetensors& source_;
    const std::vector<Parameter>& parameters_;
    const QuantizeOptions& options_;
    const formats::Recipe& recipe_;
    QuantizeLayout layout_;
    std::vector<u64> at_;  // of the jobs, in the source
    std::set<std::string, std::less<>> taken_;
};

}  // namespace

i64 QuantizeLayout::read_bytes() const {
    i64 sum = 0;
    for (const QuantizeJob& job : jobs) sum += job.read_bytes;
    return sum;
}

i64 QuantizeLayout::written_bytes() const {
    return std::accumulate(shard_bytes.begin(), shard_bytes.end(), i64{0});
}

std::string QuantizeLayout::index_text() const {
    if (files.size() == 1) return {};
    json map = json::object();
    i64 total = 0;
    for (const QuantizeJob& job : jobs) {
        for (const int i : {job.codes, job.scales, job.zeros, job.shape, job.global}) {
            if (i >= 0)
                map[outputs[static_cast<std::size_t>(i)].name] = files[static_cast<std::size_t>(job.shard)];
        }
        total += job.written_bytes;
    }
    return json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(2) + "\n";
}

Result<QuantizeLayout> plan_quantize(const Safetensors& source, const std::vector<Parameter>& parameters,
                                     const QuantizeOptions& options) {
    return Planner(source, parameters, options).plan();
}

}  // namespace warpwright
