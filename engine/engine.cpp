// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>

#include "engine/latent_forward.h"

namespace warpwright {
namespace {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Status check_options(const EngineOptions& options) {
    if (options.max_sequences < 1)
        return caller_error(fmt::format("max_sequences: expected at least 1, got {}", options.max_sequences));
    if (options.max_batch_tokens < options.max_sequences) {
        return caller_error(
            fmt::format("max_batch_tokens: expected at least {}, one for each sequence, got {}",
                        options.max_sequences, options.max_batch_tokens));
    }
    if (options.page_size_tokens < 1 || !std::has_single_bit(static_cast<u64>(options.page_size_tokens))) {
        return caller_error(
            fmt::format("page_size_tokens: expected a power of two, got {}", options.page_size_tokens));
    }
    if (options.max_context_tokens < 0 || options.cache_tokens < 0)
        return caller_error("max_context_tokens and cache_tokens: expected 0 or more");
    return {};
}

bool wants_logprobs(const Pass::Part& part) {
    return part.samples && part.sequence->sampling.logprobs.has_value();
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<Context> context, ModelConfig config,
                                               Weights weights, const EngineOptions& options) {
    WW_TRY(check_options(options));
    std::unique_ptr<Engine> engine(new Engine);
    engine->context_ = std::move(context);
    engine->config_ = std::move(config);
    engine->weights_ = std::move(weights);
    engine->options_ = options;
    Device& device = engine->context_->device();
    WW_ASSIGN(engine->stream_, device.create_stream());

    const i64 page_size = options.page_size_tokens;
    const i64 limit = engine->config_.max_position_tokens;
    i64 context_tokens =
        options.max_context_tokens == 0 ? limit : std::min(options.max_context_tokens, limit);
    ForwardShape largest{.tokens = options.max_batch_tokens,
                         .sequences = options.max_sequences,
                         .max_q_len = options.max_batch_tokens,
                         .max_kv_len = context_tokens};
    WW_ASSIGN(const MemoryInfo memory, device.memory());
    const auto usable = static_cast<i64>(static_cast<double>(memory.free_bytes) * kUsableMemoryShare);
    const i64 room = usable - activation_bytes(engine->config_, engine->weights_.forms, largest);
    const KvFormat kv_format = engine->kv_format();
    const i64 token_bytes = kv_bytes_per_token(engine->config_, kv_format);
    const i64 affordable = std::max<i64>(room, 0) / token_bytes;
    const i64 wanted =
        options.cache_tokens == 0 ? options.max_sequences * context_tokens : options.cache_tokens;
    const i64 num_pages = std::min(affordable / page_size, (wanted + page_size - 1) / page_size);
    if (num_pages < 1) {
        return unavailable(fmt::format("cache: one page of {} tokens needs {} bytes, {} has {} left",
                                       page_size, page_size * token_bytes, device.id(),
                                       std::max<i64>(room, 0)));
    }
    context_tokens = std::min(context_tokens, num_pages * page_size);
    engine->max_context_tokens_ = largest.max_kv_len = context_tokens;
    engine->scheduler_ =
        std::make_unique<Scheduler>(SchedulerOptions{.max_sequences = options.max_sequences,
                                                     .max_batch_tokens = options.max_batch_tokens,
                                                     .num_pages = num_pages,
                                                     .page_size_tokens = page_size});
    WW_ASSIGN(engine->pages_,
              PagePool::create(*engine->context_, engine->config_, kv_format, num_pages, page_size));
    WW_ASSIGN(engine->inputs_,
              StepInputs::create(*engine->context_,
                                 {.tokens = largest.tokens,
                                  .sequences = options.max_sequences,
                                  .pages_per_sequence = (context_tokens + page_size - 1) / page_size,
                                  .kv_slots = expanded_rows(engine->config_, largest.tokens),
                                  .page_size_tokens = page_size}));
    engine->adjustments_ = LogitLists(*engine->context_, options.max_sequences);
    WW_ASSIGN(engine->forward_, Forward::create(*engine->context_, engine->config_, engine->weights_,
                                                engine->pages_, engine->inputs_, largest));
    return engine;
}

Engine::~Engine() {
    if (context_ == nullptr) return;
    for (auto& [variant, entry] : graphs_) destroy(entry);
    if (stream_.handle != nullptr) context_->device().destroy(stream_);
}

Result<int> Engine::add(const Request& request) {
    WW_TRY(check_request(request, config_.vocab_size));
    const auto prompt_tokens = static_cast<i64>(request.prompt.size());
    if (prompt_tokens >= max_context_tokens_) {
        return caller_error(fmt::format("prompt has {} tokens, the cache holds {} and one must be free",
                                        prompt_tokens, max_context_tokens_));
    }
    const int first = next_id_;
    for (int i = 0; i < request.num_sequences; ++i) {
        auto sequence = std::make_unique<Sequence>();
        sequence->id = next_id_++;
        sequence->prompt_tokens = prompt_tokens;
        sequence->max_tokens = std::min(request.max_tokens, max_context_tokens_ - prompt_tokens);
        sequence->min_tokens = request.min_tokens;
        sequence->tokens = request.prompt;
        sequence->sampling = request.sampling;
        sequence->sampling.seed += static_cast<u64>(i);
        sequence->ending = request.stop_tokens;
        if (request.stop_at_eos) {
            sequence->ending.insert(sequence->ending.end(), config_.eos_tokens.begin(),
                                    config_.eos_tokens.end());
        }
        if (LogitAdjustments::needed(request.sampling, request.min_tokens)) {
            sequence->adjustments.emplace(request.sampling, request.prompt, sequence->ending,
                                          request.min_tokens);
        }
        scheduler_->add(std::move(sequence));
    }
    return first;
}

ForwardMode Engine::mode(const Variant& variant) const {
    return {.batch_invariant = options_.batch_invariant,
            .adjustments = variant.adjusts ? &adjustments_ : nullptr,
            .keeps_logits = variant.keeps_logits};
}

void Engine::destroy(DecodeGraph& entry) {
    if (entry.graph.handle != nullptr) context_->device().destroy(entry.graph);
    entry.graph = {};
}

Result<const Engine::DecodeGraph*> Engine::decode_graph(const Variant& variant) {
    if (const auto known = graphs_.find(variant); known != graphs_.end()) {
        if (!variant.adjusts || known->second.list_moves == adjustments_.num_moves()) return &known->second;
        destroy(known->second);
        graphs_.erase(known);
    }
    Device& device = context_->device();
    DecodeGraph entry;
    entry.list_moves = adjustments_.num_moves();
    const ForwardShape shape{variant.sequences, variant.sequences, 1, max_context_tokens_};
    WW_ASSIGN(entry.prepared, forward_.prepare(shape, mode(variant)));
    if (device.supports_graphs()) {
        WW_TRY(device.begin_capture(stream_));
        const Status launched = entry.prepared.launch(device, stream_);
        WW_ASSIGN(entry.graph, device.end_capture(stream_));
        if (!launched.ok()) {
            destroy(entry);
            return launched;
        }
    }
    return &graphs_.emplace(variant, std::move(entry)).first->second;
}

// A decode is padded to a power of two of sequences, so that few graphs serve all batches.
Engine::Variant Engine::variant_of(const Pass& pass) const {
    Variant variant{.sequences = std::ssize(pass.parts), .adjusts = LogitLists::needed(pass)};
    if (pass.only_decodes()) {
        variant.sequences =
            std::min(static_cast<i64>(std::bit_ceil(pass.parts.size())), options_.max_sequences);
    }
    variant.keeps_logits = variant.adjusts && std::ranges::any_of(pass.parts, wants_logprobs);
    return variant;
}

// Everything that the pass does on the device, up to its tokens in sampled_.
Status Engine::launch(const Pass& pass, const Variant& variant) {
    Device& device = context_->device();
    const auto upload = [&]() -> Status {
        WW_TRY(inputs_.upload(device, stream_));
        return variant.adjusts ? adjustments_.upload(stream_) : Status();
    };
    if (pass.only_decodes()) {
        WW_TRY(upload());
        WW_TRY(last_decode_->graph.handle != nullptr ? device.launch(last_decode_->graph, stream_)
                                                     : last_decode_->prepared.launch(device, stream_));
    } else {
        const ForwardShape shape{.tokens = pass.tokens,
                                 .sequences = variant.sequences,
                                 .max_q_len = pass.max_q_len,
                                 .max_kv_len = pass.max_kv_len,
                                 .decoding = pass.num_decoding,
                                 .kv_tokens = pass.prompt_kv_tokens};
        WW_ASSIGN(const Prepared prepared, forward_.prepare(shape, mode(variant)));
        WW_TRY(upload());
        WW_TRY(prepared.launch(device, stream_));
    }
    return device.copy_out(sampled_.data(), forward_.tokens(std::ssize(pass.parts)).data,
                           sampled_.size() * sizeof(i32), stream_);
}

// Of the tokens of a pass; a decode's padding comes behind them.
Status Engine::count_experts(const Pass& pass, const Variant& variant) {
    const ExpertsConfig& experts = config_.experts;
    if (!options_.counts_experts || experts.num_experts == 0) return {};
    const i64 rows = pass.only_decodes() ? variant.sequences : pass.tokens;
    const Tensor ids = forward_.expert_ids(rows);
    chosen_experts_.resize(static_cast<std::size_t>(ids.num_elements()));
    WW_TRY(context_->device().copy_out(chosen_experts_.data(), ids.data, chosen_experts_.size() * sizeof(i32),
                                       stream_));
    stats_.expert_tokens.resize(static_cast<std::size_t>(config_.num_layers));
    for (int layer = 0; layer < config_.num_layers; ++layer) {
        if (!config_.has_experts(layer)) continue;
        std::vector<i64>& tokens = stats_.expert_tokens[static_cast<std::size_t>(layer)];
        tokens.resize(static_cast<std::size_t>(experts.num_experts));
        const i32* chosen = chosen_experts_.data() + layer * ids.stride[0];
        for (i64 slot = 0; slot < pass.tokens * experts.top_k; ++slot)
            if (chosen[slot] >= 0) ++tokens[static_cast<std::size_t>(chosen[slot])];
    }
    return {};
}

// Of the parts that sample, in their order, those that want it; nothing when none does.
Result<std::vector<std::unique_ptr<Logprobs>>> Engine::logprobs_of_pass(const Pass& pass) {
    std::vector<std::unique_ptr<Logprobs>> all;
    if (std::ranges::none_of(pass.parts, wants_logprobs)) return all;
    std::vector<float> logits(static_cast<std::size_t>(config_.vocab_size));
    const auto* rows = static_cast<const float*>(forward_.logits(1).data);
    for (std::size_t i = 0; i < pass.parts.size(); ++i) {
        const Pass::Part& part = pass.parts[i];
        if (!part.samples) continue;
        all.emplace_back();
        if (!wants_logprobs(part)) continue;
        WW_TRY(context_->device().copy_out(logits.data(), rows + i * logits.size(),
                                           logits.size() * sizeof(float), stream_));
        all.back() =
            std::make_unique<Logprobs>(logprobs_of(logits, sampled_[i], *part.sequence->sampling.logprobs));
    }
    return all;
}

Result<std::vector<Token>> Engine::step() {
    WW_TRY(failure_);
    auto tokens = run_pass();
    failure_ = tokens.status();
    return tokens;
}

Result<std::vector<Token>> Engine::run_pass() {
    const double start_s = now_s();
    const Pass& pass = scheduler_->next();
    if (pass.parts.empty()) return std::vector<Token>{};
    const Variant variant = variant_of(pass);
    inputs_.fill(pass, variant.sequences);
    if (variant.adjusts) WW_TRY(adjustments_.fill(pass, variant.sequences));
    sampled_.resize(pass.parts.size());
    last_sequences_.clear();
    for (const Pass::Part& part : pass.parts) last_sequences_.push_back(part.sequence->id);
    const bool decodes = pass.only_decodes();
    const i64 prompt_tokens = pass.tokens - pass.num_decoding;

    const double filled_s = now_s();
    if (decodes) {
        WW_ASSIGN(last_decode_, decode_graph(variant));
    }
    const double launch_s = now_s();  // why: a graph that is made now is not what this pass costs
    WW_TRY(launch(pass, variant));
    WW_TRY(count_experts(pass, variant));
    WW_ASSIGN(auto logprobs, logprobs_of_pass(pass));
    const double done_s = now_s();
    std::vector<Token> tokens = scheduler_->finish(sampled_);
    for (std::size_t i = 0; i < logprobs.size(); ++i) tokens[i].logprobs = std::move(logprobs[i]);

    const double end_s = now_s();
    if (decodes) {
        ++stats_.decode_passes;
        stats_.decode_tokens += static_cast<i64>(tokens.size());
        stats_.decode_s += end_s - launch_s + filled_s - start_s;
        stats_.decode_host_s += end_s - done_s + filled_s - start_s;
    } else {
        ++stats_.prefill_passes;
        stats_.prefill_tokens += prompt_tokens;
        stats_.prefill_s += end_s - start_s;
    }
    return tokens;
}

EngineStats Engine::stats() const {
    EngineStats stats = stats_;
    stats.scheduler = scheduler_->stats();
    return stats;
}

Result<std::vector<float>> Engine::last_logits() {
    const auto count = static_cast<i64>(last_sequences_.size());
    std::vector<float> logits(static_cast<std::size_t>(count * config_.vocab_size));
    WW_TRY(context_->device().copy_out(logits.data(), forward_.logits(count).data,
                                       logits.size() * sizeof(float), stream_));
    return logits;
}

std::vector<std::string> Engine::decode_rows() const {
    std::vector<std::string> rows;
    if (last_decode_ == nullptr) return rows;
    for (const Prepared::Step& step : last_decode_->prepared.steps) rows.push_back(step.row);
    return rows;
}

}  // namespace warpwright
