// SPDX-License-Identifier: Apache-2.0
// Engine: several sequences through one model. A sequence waits until its pages are free, its prompt is read
// in chunks, then it decodes one token a step together with the others. On devices with graphs a decode step
// is one captured graph per batch size (powers of two), which serves growing lengths.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/forward.h"

namespace warpwright {

struct SamplingParameters {
    float temperature = 0;  // 0: greedy
    int top_k = 0;          // 0: off
    float top_p = 1;        // 1: off
    float min_p = 0;        // 0: off
    u64 seed = 0;
};

struct Request {
    std::vector<i32> prompt;  // token ids, at least one
    i64 max_tokens = 128;
    SamplingParameters sampling;
    bool stop_at_eos = true;
};

enum class Finish { running, length, stop };
const char* finish_name(Finish finish);  // "running", "length", "stop"

struct Token {
    int sequence = 0;  // what add() returned
    i32 token = 0;
    Finish finish = Finish::running;  // set with the last token; a stop token itself is not part of the text
};

struct EngineOptions {
    i64 max_sequences = 8;
    i64 max_context_tokens = 0;   // 0: the model's own limit, as far as memory allows
    i64 max_batch_tokens = 2048;  // prompt tokens of one pass
    i64 page_size_tokens = 16;
    i64 cache_tokens = 0;  // capacity of the cache; 0: max_sequences x max_context, as far as memory allows
};

struct EngineTimes {
    double prefill_s = 0, decode_s = 0;
    i64 prefill_tokens = 0, decode_tokens = 0;
};

class Engine {
public:
    static Result<std::unique_ptr<Engine>> create(std::shared_ptr<Context> context, ModelConfig config,
                                                  Weights weights, const EngineOptions& options);
    ~Engine();

    // Queues a sequence. Caller errors: empty prompt, ids outside the vocabulary, a prompt that leaves no
    // room for a token in the context or in the whole cache ("prompt has N tokens, the cache holds M").
    Result<int> add(const Request& request);

    // One pass: a chunk of waiting prompts if there is one, else one token for every running sequence.
    Result<std::vector<Token>> step();

    bool idle() const { return waiting_.empty() && reading_.empty() && running_.empty(); }
    i64 max_context_tokens() const { return max_context_tokens_; }
    i64 cache_tokens() const { return pages_.num_pages() * pages_.page_size_tokens(); }
    const EngineTimes& times() const { return times_; }

    // Logits of the last step, for tests: [sequences of that step, vocabulary].
    Result<std::vector<float>> last_logits();
    const std::vector<std::string>& decode_rows() const {
        return decode_rows_;
    }  // rows of the last decode, in order

private:
    struct Sequence {
        int id = 0;
        Request request;
        std::vector<i32> tokens;  // prompt, then generated
        i64 num_cached = 0;       // tokens whose keys and values are in the cache
        std::vector<i32> pages;
        i64 num_generated() const { return static_cast<i64>(tokens.size() - request.prompt.size()); }
    };
    struct DecodeGraph {
        Prepared prepared;
        Graph graph;
    };

    Engine() = default;
    void admit();
    Result<std::vector<Token>> prefill();
    Result<std::vector<Token>> decode();
    void fill_sequence_inputs(std::size_t slot, const Sequence& sequence);
    Result<std::vector<i32>> sampled(i64 count);
    Token accept(Sequence& sequence, i32 token);
    Result<DecodeGraph*> decode_graph(i64 batch);

    std::shared_ptr<Context> context_;
    ModelConfig config_;
    Weights weights_;
    EngineOptions options_;
    i64 max_context_tokens_ = 0;
    PagePool pages_;
    StepInputs inputs_;
    Forward forward_;
    Stream stream_;
    std::deque<Sequence> waiting_;   // without pages yet
    std::vector<Sequence> reading_;  // with pages, prompt not wholly in the cache
    std::vector<Sequence> running_;  // decoding
    std::map<i64, DecodeGraph> graphs_;
    std::vector<std::string> decode_rows_;
    i64 last_batch_ = 0;
    int next_id_ = 0;
    EngineTimes times_;
};

}  // namespace warpwright
