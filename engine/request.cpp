// SPDX-License-Identifier: Apache-2.0
#include "engine/request.h"

#include <fmt/format.h>

namespace warpwright {

const char* finish_name(Finish finish) {
    switch (finish) {
        case Finish::running: return "running";
        case Finish::length: return "length";
        case Finish::stop: return "stop";
    }
    return "?";
}

Status check_request(const Request& request, i64 vocab_size) {
    const auto at_least = [](const char* what, i64 least, i64 got) -> Status {
        if (got >= least) return {};
        return caller_error(fmt::format("{}: expected at least {}, got {}", what, least, got));
    };
    const auto in_vocabulary = [&](const char* what, const std::vector<i32>& tokens) -> Status {
        for (const i32 token : tokens) {
            if (token >= 0 && token < vocab_size) continue;
            return caller_error(
                fmt::format("{}: token {} is outside the vocabulary of {}", what, token, vocab_size));
        }
        return {};
    };
    if (request.prompt.empty()) return caller_error("prompt: expected at least one token, got none");
    WW_TRY(at_least("max_tokens", 1, request.max_tokens));
    WW_TRY(at_least("min_tokens", 0, request.min_tokens));
    WW_TRY(at_least("num_sequences", 1, request.num_sequences));
    if (request.min_tokens > request.max_tokens) {
        return caller_error(fmt::format("min_tokens: expected at most max_tokens ({}), got {}",
                                        request.max_tokens, request.min_tokens));
    }
    WW_TRY(in_vocabulary("prompt", request.prompt));
    WW_TRY(in_vocabulary("stop_tokens", request.stop_tokens));
    return check_sampling(request.sampling, vocab_size);
}

}  // namespace warpwright
