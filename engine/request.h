// SPDX-License-Identifier: Apache-2.0
// What is asked of the engine, and what it answers token by token.
#pragma once

#include <memory>
#include <vector>

#include "engine/sampling.h"

namespace warpwright {

struct Request {
    std::vector<i32> prompt;  // token ids, at least one
    i64 max_tokens = 128;     // of the output
    SamplingParameters sampling;
    bool stop_at_eos = true;       // the model's own end tokens end the text
    std::vector<i32> stop_tokens;  // and so do these
    i64 min_tokens = 0;            // before which neither does
    // Sequences with this prompt, which is read once as far as it fills pages. The i-th has the seed
    // sampling.seed + i.
    int num_sequences = 1;
};

// Why a sequence has no more tokens. `stop`: a token that ends the text, which is no part of it.
enum class Finish { running, length, stop };
const char* finish_name(Finish finish);  // "running", "length", "stop"

struct Token {
    int sequence = 0;  // what add() returned
    i32 token = 0;
    Finish finish = Finish::running;     // set with the last token
    std::unique_ptr<Logprobs> logprobs;  // where the request asks for them
};

// Caller errors: no prompt, tokens outside of the vocabulary, limits below 1, sampling out of its ranges.
Status check_request(const Request& request, i64 vocab_size);

}  // namespace warpwright
