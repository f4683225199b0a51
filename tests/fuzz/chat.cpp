// SPDX-License-Identifier: Apache-2.0
// Messages, tools and other variables as JSON, for the template that the first line names: the families' own
// templates of tests/chat refuse them, or render them.
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/chat_template.h"
#include "engine/utf8.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

namespace {

std::map<std::string, ChatTemplate, std::less<>> load_templates() {
    std::map<std::string, ChatTemplate, std::less<>> templates;
    for (const auto& entry : std::filesystem::directory_iterator(WW_SOURCE_DIR "/tests/chat/templates")) {
        std::ifstream file(entry.path());
        const std::string source{std::istreambuf_iterator<char>(file), {}};
        auto parsed = ChatTemplate::parse(source, "file");
        require(parsed.ok(), "a family's template is right");
        parsed->limits.steps = 50'000;
        parsed->limits.bytes = 1 << 20;
        templates.emplace(entry.path().stem().string(), *parsed);
    }
    require(!templates.empty(), "there are templates");
    return templates;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto kTemplates = load_templates();
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const std::size_t line = std::min(input.find('\n'), size);
    auto found = kTemplates.find(input.substr(0, line));
    if (found == kTemplates.end()) found = kTemplates.begin();
    const std::string_view text = input.substr(std::min(line + 1, size));
    const auto variables = nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr, false);
    if (!variables.is_object()) return 0;
    const auto prompt = found->second.render(variables, 1738555506);
    if (prompt.ok()) {
        require(!find_invalid_utf8(*prompt), "a prompt is UTF-8");
    } else {
        require(prompt.status().kind() == ErrorKind::caller, "bad messages are a caller's error");
        require(prompt.status().message().starts_with("file: chat template: "),
                "the error names the template");
    }
    return 0;
}
