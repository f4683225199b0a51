// SPDX-License-Identifier: Apache-2.0
// Perplexity of a text under a model as the engine runs it, in the model's type and by the rows of a device:
// every line on its own, between the model's first and last token; all tokens but the first are predicted.
//
//   perplexity MODEL TEXT [DEVICE [ACTIVATIONS [FORMAT [LINES]]]]     cpu, auto, as stored (-), all lines
//
// FORMAT: as `warpwright quantize --format FORMAT` writes the model.
// Every beginning of a line is a request for one token. Pages hold one token each, so that each request finds
// those of the shorter ones in the cache, and every token goes through the model once.
#include <fmt/format.h>

#include <stdlib.h>  // mkdtemp

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/activations.h"
#include "engine/engine.h"
#include "engine/quantize.h"
#include "engine/tokenizer.h"
#include "engine/weights.h"

namespace warpwright {
namespace {

constexpr i64 kMaxSequences = 512;

// -log p(token) of a row of logits.
double nats_of(const float* logits, i64 vocabulary, i32 token) {
    const double most = *std::max_element(logits, logits + vocabulary);
    double sum = 0;
    for (i64 i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - most);
    return most + std::log(sum) - logits[token];
}

class Counter {
public:
    Counter(Engine& engine, i64 vocabulary) : engine_(engine), vocabulary_(vocabulary) {}

    Status add_line(const std::vector<i32>& tokens) {
        for (std::size_t length = 1; length < tokens.size(); ++length) {
            Request request{.prompt = {tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(length)},
                            .max_tokens = 1,
                            .stop_at_eos = false};
            WW_ASSIGN(const int id, engine_.add(request));
            next_[id] = tokens[length];
        }
        return next_.size() < kMaxSequences ? Status{} : run();
    }

    Status run() {
        while (!engine_.idle()) {
            WW_ASSIGN(const std::vector<Token> drawn, engine_.step());
            WW_ASSIGN(const std::vector<float> logits, engine_.last_logits());
            const std::vector<int>& rows = engine_.last_sequences();
            for (const Token& token : drawn) {
                const auto row = std::find(rows.begin(), rows.end(), token.sequence) - rows.begin();
                nats_ += nats_of(&logits[static_cast<std::size_t>(row * vocabulary_)], vocabulary_,
                                 next_.at(token.sequence));
                ++count_;
            }
        }
        next_.clear();
        return {};
    }

    double perplexity() const { return std::exp(nats_ / static_cast<double>(count_)); }
    i64 count() const { return count_; }

private:
    Engine& engine_;
    const i64 vocabulary_;
    std::map<int, i32> next_;  // what follows each prompt
    double nats_ = 0;
    i64 count_ = 0;
};

// Removed with what is in it.
class Folder {
public:
    Folder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "perplexity-XXXXXX").string();
        if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

Status count(const std::vector<std::string>& arguments) {
    const auto argument = [&](std::size_t i, const char* fallback) {
        return i < arguments.size() ? arguments[i] : std::string(fallback);
    };
    if (arguments.size() < 2)
        return caller_error("expected MODEL TEXT [DEVICE [ACTIVATIONS [FORMAT [LINES]]]]");
    std::string folder = arguments[0];
    const Folder scratch;
    if (argument(4, "-") != "-") {
        folder = scratch.path() + "/" + argument(4, "-");
        WW_ASSIGN(const CheckpointFormat format, find_quantize_format(argument(4, "-")));
        WW_TRY(quantize_checkpoint(arguments[0], folder, {.format = format}).status());
    }
    WW_ASSIGN(ModelConfig config, load_config(folder));
    WW_ASSIGN(config.activations, parse_activations(argument(3, "auto")));
    WW_ASSIGN(const auto context, Context::open(argument(2, "cpu")));
    WW_ASSIGN(const Tokenizer tokenizer, Tokenizer::load(arguments[0]));
    WW_ASSIGN(Weights weights, load_weights(*context, config, folder));
    const ModelForms forms = weights.forms;
    if (!config.bos_token || config.eos_tokens.empty())
        return caller_error(arguments[0] + ": expected a first and a last token");
    WW_ASSIGN(const auto engine,
              Engine::create(context, config, std::move(weights),
                             {.max_sequences = kMaxSequences,
                              .max_context_tokens = std::min<i64>(config.max_position_tokens, 512),
                              .max_batch_tokens = kMaxSequences,
                              .page_size_tokens = 1,
                              .cache_tokens = 1 << 15}));
    Counter counter(*engine, config.vocab_size);
    std::ifstream file(arguments[1]);
    if (!file) return caller_error(arguments[1] + ": cannot be read");
    std::string line;
    for (i64 left = std::stoll(argument(5, "1000000000")); left > 0 && std::getline(file, line); --left) {
        WW_ASSIGN(const std::vector<i32> ids, tokenizer.encode(line, false));
        std::vector<i32> tokens{*config.bos_token};
        tokens.insert(tokens.end(), ids.begin(), ids.end());
        tokens.push_back(config.eos_tokens.front());
        WW_TRY(counter.add_line(tokens));
    }
    WW_TRY(counter.run());
    const nlohmann::ordered_json json{
        {"perplexity", counter.perplexity()},
        {"tokens", counter.count()},
        {"device", context->device().id()},
        {"activations", activations_name(forms.coded_inputs ? Activations::declared : Activations::bits16)},
        {"weight_formats", forms.formats},
        {"weight_notes", forms.notes}};
    std::cout << json.dump(1) << '\n';
    return {};
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    const warpwright::Status status = warpwright::count({argv + 1, argv + argc});
    if (!status.ok()) std::cerr << "error: " << status.message() << '\n';
    return status.ok() ? 0 : 2;
}
