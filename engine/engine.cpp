// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace warpwright {
namespace {

double now_s() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

const char* finish_name(Finish finish) {
    switch (finish) {
        case Finish::running: return "running";
        case Finish::length: return "length";
        case Finish::stop: return "stop";
    }
    return "?";
}

Result<std::unique_ptr<Engine>> Engine::create(std::shared_ptr<Context> context, ModelConfig config,
                                               Weights weights, const EngineOptions& options) {
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
    const ForwardShape largest{.tokens = std::max(options.max_batch_tokens, options.max_sequences),
                               .sequences = options.max_sequences,
                               .max_q_len = options.max_batch_tokens,
                               .max_kv_len = context_tokens};
    WW_ASSIGN(const MemoryInfo memory, device.memory());
    const auto usable = static_cast<i64>(static_cast<double>(memory.free_bytes) * kUsableMemoryShare);
    const i64 room = usable - activation_bytes(engine->config_, largest);
    const i64 affordable = std::max<i64>(room, 0) / kv_bytes_per_token(engine->config_);
    const i64 wanted =
        options.cache_tokens == 0 ? options.max_sequences * context_tokens : options.cache_tokens;
    const i64 num_pages = std::min(affordable / page_size, (wanted + page_size - 1) / page_size);
    if (num_pages < 1) {
        return unavailable(fmt::format("cache: one page of {} tokens needs {} bytes, {} has {} left",
                                       page_size, page_size * kv_bytes_per_token(engine->config_),
                                       device.id(), std::max<i64>(room, 0)));
    }
    context_tokens = std::min(context_tokens, num_pages * page_size);
    engine->max_context_tokens_ = context_tokens;
    WW_ASSIGN(engine->pages_, PagePool::create(*engine->context_, engine->config_, num_pages, page_size));
    WW_ASSIGN(engine->inputs_,
              StepInputs::create(*engine->context_,
                                 {.tokens = largest.tokens,
                                  .sequences = options.max_sequences,
                                  .pages_per_sequence = engine->pages_.pages_for(context_tokens)}));
    WW_ASSIGN(engine->forward_, Forward::create(*engine->context_, engine->config_, engine->weights_,
                                                engine->pages_, engine->inputs_, largest));
    return engine;
}

Engine::~Engine() {
    if (context_ == nullptr) return;
    Device& device = context_->device();
    for (auto& [batch, entry] : graphs_) {
        if (entry.graph.handle != nullptr) device.destroy(entry.graph);
    }
    if (stream_.handle != nullptr) device.destroy(stream_);
}

Result<int> Engine::add(const Request& request) {
    const auto prompt_tokens = static_cast<i64>(request.prompt.size());
    if (prompt_tokens == 0) return caller_error("prompt: expected at least one token, got none");
    if (request.max_tokens < 1) {
        return caller_error(fmt::format("max_tokens: expected at least 1, got {}", request.max_tokens));
    }
    for (const i32 token : request.prompt) {
        if (token < 0 || token >= config_.vocab_size) {
            return caller_error(
                fmt::format("prompt: token {} is outside the vocabulary of {}", token, config_.vocab_size));
        }
    }
    if (prompt_tokens >= max_context_tokens_) {
        return caller_error(fmt::format("prompt has {} tokens, the cache holds {} and one must be free",
                                        prompt_tokens, max_context_tokens_));
    }
    Sequence sequence;
    sequence.id = next_id_++;
    sequence.request = request;
    sequence.request.max_tokens = std::min(request.max_tokens, max_context_tokens_ - prompt_tokens);
    sequence.tokens = request.prompt;
    waiting_.push_back(std::move(sequence));
    return waiting_.back().id;
}

// Moves waiting sequences, oldest first, to where their prompts are read: as long as there is a slot and
// pages for all they may ever need, so that a running sequence never has to stop for memory.
void Engine::admit() {
    while (!waiting_.empty() &&
           static_cast<i64>(reading_.size() + running_.size()) < options_.max_sequences) {
        Sequence& next = waiting_.front();
        const i64 tokens = static_cast<i64>(next.request.prompt.size()) + next.request.max_tokens;
        if (!pages_.take(pages_.pages_for(tokens), next.pages)) break;
        reading_.push_back(std::move(next));
        waiting_.pop_front();
    }
}

Result<std::vector<Token>> Engine::step() {
    admit();
    if (!reading_.empty()) return prefill();
    if (!running_.empty()) return decode();
    return std::vector<Token>{};
}

void Engine::fill_sequence_inputs(std::size_t slot, const Sequence& sequence) {
    const SamplingParameters& sampling = sequence.request.sampling;
    inputs_.floats(StepInputs::temperature)[slot] = sampling.temperature;
    inputs_.floats(StepInputs::top_p)[slot] = sampling.top_p;
    inputs_.floats(StepInputs::min_p)[slot] = sampling.min_p;
    inputs_.integers(StepInputs::top_k)[slot] = sampling.top_k;
    inputs_.integers(StepInputs::seeds)[2 * slot] = static_cast<i32>(sampling.seed);
    inputs_.integers(StepInputs::seeds)[2 * slot + 1] = static_cast<i32>(sampling.seed >> 32);
    inputs_.integers(StepInputs::steps)[slot] = static_cast<i32>(sequence.num_generated());
    const auto width = static_cast<std::size_t>(inputs_.capacity().pages_per_sequence);
    const auto row = inputs_.integers(StepInputs::page_table).subspan(slot * width, width);
    std::copy(sequence.pages.begin(), sequence.pages.end(), row.begin());
}

Result<std::vector<i32>> Engine::sampled(i64 count) {
    std::vector<i32> tokens(static_cast<std::size_t>(count));
    WW_TRY(context_->device().copy_out(tokens.data(), forward_.tokens(count).data,
                                       tokens.size() * sizeof(i32), stream_));
    last_batch_ = count;
    return tokens;
}

Token Engine::accept(Sequence& sequence, i32 token) {
    sequence.tokens.push_back(token);
    Token result{sequence.id, token, Finish::running};
    const auto& eos = config_.eos_tokens;
    if (sequence.request.stop_at_eos && std::find(eos.begin(), eos.end(), token) != eos.end()) {
        result.finish = Finish::stop;
    } else if (sequence.num_generated() >= sequence.request.max_tokens) {
        result.finish = Finish::length;
    }
    return result;
}

Result<std::vector<Token>> Engine::prefill() {
    const double start = now_s();
    i64 tokens = 0, max_q_len = 0, max_kv_len = 0;
    std::size_t sequences = 0;
    const auto q_starts = inputs_.integers(StepInputs::q_starts);
    q_starts[0] = 0;
    for (Sequence& sequence : reading_) {
        const i64 missing = static_cast<i64>(sequence.tokens.size()) - sequence.num_cached;
        const i64 count = std::min(missing, options_.max_batch_tokens - tokens);
        if (count == 0) break;
        for (i64 i = 0; i < count; ++i) {
            const auto row = static_cast<std::size_t>(tokens + i);
            inputs_.integers(StepInputs::token_ids)[row] =
                sequence.tokens[static_cast<std::size_t>(sequence.num_cached + i)];
            inputs_.integers(StepInputs::positions)[row] = static_cast<i32>(sequence.num_cached + i);
            inputs_.integers(StepInputs::sequence_of_token)[row] = static_cast<i32>(sequences);
        }
        fill_sequence_inputs(sequences, sequence);
        tokens += count;
        sequence.num_cached += count;
        inputs_.integers(StepInputs::kv_lengths)[sequences] = static_cast<i32>(sequence.num_cached);
        inputs_.integers(StepInputs::last_rows)[sequences] = static_cast<i32>(tokens - 1);
        q_starts[++sequences] = static_cast<i32>(tokens);
        max_q_len = std::max(max_q_len, count);
        max_kv_len = std::max(max_kv_len, sequence.num_cached);
    }
    WW_ASSIGN(const Prepared prepared,
              forward_.prepare({tokens, static_cast<i64>(sequences), max_q_len, max_kv_len}));
    WW_TRY(inputs_.upload(context_->device(), stream_));
    WW_TRY(prepared.launch(context_->device(), stream_));
    WW_ASSIGN(const std::vector<i32> next, sampled(static_cast<i64>(sequences)));

    // A sequence whose prompt is read has its first token; the others wait for their next chunk.
    std::vector<Token> out;
    std::vector<Sequence> still_reading;
    for (std::size_t i = 0; i < reading_.size(); ++i) {
        Sequence& sequence = reading_[i];
        if (i >= sequences || sequence.num_cached < static_cast<i64>(sequence.tokens.size())) {
            still_reading.push_back(std::move(sequence));
            continue;
        }
        out.push_back(accept(sequence, next[i]));
        if (out.back().finish == Finish::running) {
            running_.push_back(std::move(sequence));
        } else {
            pages_.give_back(sequence.pages);
        }
    }
    reading_ = std::move(still_reading);
    times_.prefill_s += now_s() - start;
    times_.prefill_tokens += tokens;
    return out;
}

Result<Engine::DecodeGraph*> Engine::decode_graph(i64 batch) {
    if (const auto known = graphs_.find(batch); known != graphs_.end()) return &known->second;
    Device& device = context_->device();
    DecodeGraph entry;
    WW_ASSIGN(entry.prepared, forward_.prepare({batch, batch, 1, max_context_tokens_}));
    if (device.supports_graphs()) {
        WW_TRY(device.begin_capture(stream_));
        const Status launched = entry.prepared.launch(device, stream_);
        WW_ASSIGN(entry.graph, device.end_capture(stream_));
        if (!launched.ok()) {
            device.destroy(entry.graph);
            return launched;
        }
    }
    return &graphs_.emplace(batch, std::move(entry)).first->second;
}

Result<std::vector<Token>> Engine::decode() {
    Device& device = context_->device();
    i64 batch = 1;
    while (batch < static_cast<i64>(running_.size())) batch *= 2;
    batch = std::min(batch, options_.max_sequences);
    WW_ASSIGN(DecodeGraph * graph, decode_graph(batch));

    const double start = now_s();
    for (std::size_t slot = 0; slot < static_cast<std::size_t>(batch); ++slot) {
        const bool used = slot < running_.size();
        // An empty slot is a token that nothing is kept of: position -1 is not appended, length 0 sees no
        // key.
        inputs_.integers(StepInputs::token_ids)[slot] = used ? running_[slot].tokens.back() : 0;
        inputs_.integers(StepInputs::positions)[slot] =
            used ? static_cast<i32>(running_[slot].num_cached) : -1;
        inputs_.integers(StepInputs::sequence_of_token)[slot] = static_cast<i32>(slot);
        inputs_.integers(StepInputs::kv_lengths)[slot] =
            used ? static_cast<i32>(running_[slot].num_cached + 1) : 0;
        inputs_.integers(StepInputs::last_rows)[slot] = static_cast<i32>(slot);
        inputs_.integers(StepInputs::q_starts)[slot + 1] = static_cast<i32>(slot + 1);
        if (used) fill_sequence_inputs(slot, running_[slot]);
    }
    inputs_.integers(StepInputs::q_starts)[0] = 0;
    WW_TRY(inputs_.upload(device, stream_));
    if (graph->graph.handle != nullptr) {
        WW_TRY(device.launch(graph->graph, stream_));
    } else {
        WW_TRY(graph->prepared.launch(device, stream_));
    }
    WW_ASSIGN(const std::vector<i32> next, sampled(static_cast<i64>(running_.size())));

    std::vector<Token> out;
    std::vector<Sequence> still_running;
    for (std::size_t i = 0; i < running_.size(); ++i) {
        Sequence& sequence = running_[i];
        ++sequence.num_cached;
        out.push_back(accept(sequence, next[i]));
        if (out.back().finish == Finish::running) {
            still_running.push_back(std::move(sequence));
        } else {
            pages_.give_back(sequence.pages);
        }
    }
    running_ = std::move(still_running);
    times_.decode_s += now_s() - start;
    times_.decode_tokens += static_cast<i64>(out.size());
    decode_rows_.clear();
    for (const Prepared::Step& step : graph->prepared.steps) decode_rows_.push_back(step.row);
    return out;
}

Result<std::vector<float>> Engine::last_logits() {
    std::vector<float> logits(static_cast<std::size_t>(last_batch_ * config_.vocab_size));
    WW_TRY(context_->device().copy_out(logits.data(), forward_.logits(last_batch_).data,
                                       logits.size() * sizeof(float), stream_));
    return logits;
}

}  // namespace warpwright
