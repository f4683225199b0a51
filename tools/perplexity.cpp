// SPDX-License-Identifier: Apache-2.0
// Perplexity of a text under a model as the engine runs it, in the model's type and by the rows of a device
// (next_tokens.h).
//
//   perplexity MODEL TEXT [DEVICE [ACTIVATIONS [FORMAT [LINES]]]]     cpu, auto, as stored (-), all lines
//
// FORMAT: as `warpwright quantize --format FORMAT` writes the model.
#include <stdlib.h>  // mkdtemp

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/activations.h"
#include "engine/quantize.h"
#include "engine/weights.h"
#include "tools/next_tokens.h"

namespace warpwright {
namespace {

constexpr i64 kCacheTokens = 1 << 15;

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
    WW_ASSIGN(Weights weights, load_weights(*context, config, folder));
    const ModelForms forms = weights.forms;
    WW_ASSIGN(const Texts texts,
              read_texts(config, arguments[0], arguments[1], std::stoll(argument(5, "1000000000"))));
    WW_ASSIGN(const auto engine,
              Engine::create(context, config, std::move(weights), prediction_options(config, kCacheTokens)));
    Loss loss;
    WW_TRY(predict(*engine, texts, [&](std::span<const float> logits, i32 next) { loss.add(logits, next); }));
    const nlohmann::ordered_json json{
        {"perplexity", loss.perplexity()},
        {"tokens", loss.count()},
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
