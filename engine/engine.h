// SPDX-License-Identifier: Apache-2.0
// Engine: several sequences through one model. The scheduler says what is in a pass; a pass that only decodes
// is one captured graph per batch size (powers of two) on devices with graphs, and serves growing lengths.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/forward.h"
#include "engine/request.h"
#include "engine/scheduler.h"

namespace warpwright {

struct EngineOptions {
    i64 max_sequences = 8;
    i64 max_context_tokens = 0;   // 0: the model's own limit, as far as memory allows
    i64 max_batch_tokens = 2048;  // of one pass: a token of each decoding sequence, and chunks of prompts
    i64 page_size_tokens = 16;    // a power of two
    i64 cache_tokens = 0;  // capacity of the cache; 0: max_sequences x max_context, as far as memory allows
    // What a sequence gets is the same, to the last bit of its logits, whatever runs beside it and however
    // its prompt is cut into chunks, found in the cache, or read again after a preemption. Slower: see
    // Prepared.
    bool batch_invariant = false;
    bool counts_experts = false;  // EngineStats has tokens by expert: a copy to the host after each pass
};

struct EngineStats {
    SchedulerStats scheduler;
    // Passes that read prompts, and of those the tokens of prompts; then passes that only decode.
    double prefill_s = 0, decode_s = 0;
    i64 prefill_tokens = 0, decode_tokens = 0;
    i64 prefill_passes = 0, decode_passes = 0;
    // By layer and expert, with counts_experts: how many tokens went there. Empty for layers without experts.
    std::vector<std::vector<i64>> expert_tokens;
    double decode_host_s = 0;  // of decode_s: what the host did before the device began and after it ended
};

class Engine {
public:
    static Result<std::unique_ptr<Engine>> create(std::shared_ptr<Context> context, ModelConfig config,
                                                  Weights weights, const EngineOptions& options);
    ~Engine();

    // Queues request.num_sequences sequences, whose numbers follow the returned one. Caller errors: those of
    // check_request; a prompt that leaves no room for a token in the context or in the whole cache ("prompt
    // has N tokens, the cache holds M").
    Result<int> add(const Request& request);

    // Ends a sequence without another token; false when there is none of that number any more.
    bool cancel(int sequence) { return scheduler_->cancel(sequence); }

    // One pass: a token for every decoding sequence, and chunks of prompts beside them. After an error, which
    // is the device's, every further step gives that error.
    Result<std::vector<Token>> step();

    bool idle() const { return scheduler_->idle(); }
    i64 max_context_tokens() const { return max_context_tokens_; }
    i64 cache_tokens() const { return pages_.num_pages() * pages_.page_size_tokens(); }
    const ModelForms& forms() const { return weights_.forms; }  // of weights, and of keys and values
    KvFormat kv_format() const { return weights_.forms.kv_format; }
    EngineStats stats() const;

    // For tests: the logits of the last step, [sequences of that step, vocabulary], whose they are, the rows
    // of the last decode in the order of their launches, and the cache.
    Result<std::vector<float>> last_logits();
    const std::vector<int>& last_sequences() const { return last_sequences_; }
    std::vector<std::string> decode_rows() const;
    const PagePool& pages() const { return pages_; }
    const Prepared* last_decode() const { return last_decode_ ? &last_decode_->prepared : nullptr; }

private:
    struct DecodeGraph {
        Prepared prepared;
        Graph graph;
        i64 list_moves = 0;  // of adjustments_ when it was made
    };
    // What a decode is prepared for. A pass with prompts is prepared each time.
    struct Variant {
        i64 sequences = 0;
        bool adjusts = false, keeps_logits = false;  // see ForwardMode
        bool operator<(const Variant& other) const {
            return std::tie(sequences, adjusts, keeps_logits) <
                   std::tie(other.sequences, other.adjusts, other.keeps_logits);
        }
    };

    Engine() = default;
    Result<std::vector<Token>> run_pass();
    Status launch(const Pass& pass, const Variant& variant);
    Result<const DecodeGraph*> decode_graph(const Variant& variant);
    void destroy(DecodeGraph& entry);
    ForwardMode mode(const Variant& variant) const;
    Status count_experts(const Pass& pass, const Variant& variant);
    Variant variant_of(const Pass& pass) const;
    Result<std::vector<std::unique_ptr<Logprobs>>> logprobs_of_pass(const Pass& pass);

    std::shared_ptr<Context> context_;
    ModelConfig config_;
    Weights weights_;
    EngineOptions options_;
    i64 max_context_tokens_ = 0;
    PagePool pages_;
    StepInputs inputs_;
    LogitLists adjustments_;
    Forward forward_;
    Stream stream_;
    std::unique_ptr<Scheduler> scheduler_;
    std::map<Variant, DecodeGraph> graphs_;
    std::vector<i32> sampled_, chosen_experts_;
    std::vector<int> last_sequences_;
    const DecodeGraph* last_decode_ = nullptr;
    int next_id_ = 0;
    Status failure_;
    EngineStats stats_;
};

}  // namespace warpwright
