// SPDX-License-Identifier: Apache-2.0
// A chat template, and its variables as JSON behind a line "---": refused, or rendered within its bounds.
#include <nlohmann/json.hpp>
#include <string>

#include "engine/chat_template.h"
#include "engine/utf8.h"
#include "input.h"

using namespace warpwright;        // NOLINT: a program of one function
using namespace warpwright::fuzz;  // NOLINT

namespace {

// Small enough for some thousand inputs a second; the depth is that of real use.
jinja::Limits small_limits() {
    jinja::Limits limits;
    limits.steps = 5000;
    limits.bytes = 256 << 10;
    limits.output_bytes = 16 << 10;
    return limits;
}

void check_error(const Status& status) {
    require(status.kind() == ErrorKind::caller, "a bad template is a caller's error");
    require(status.message().starts_with("file: chat template: "), "the error of a template names its file");
    require(status.message().size() < 2000, "the error of a template is short");
}

nlohmann::ordered_json variables_of(std::string_view text) {
    auto variables = nlohmann::ordered_json::parse(text.begin(), text.end(), nullptr, false);
    if (variables.is_object()) return variables;
    return {{"messages", {{{"role", "user"}, {"content", "hi"}}}}, {"bos_token", "<s>"}};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto sections = sections_of(data, size);
    auto parsed = ChatTemplate::parse(sections[0], "file");
    if (!parsed.ok()) {
        check_error(parsed.status());
        return 0;
    }
    parsed->limits = small_limits();
    const auto text = parsed->render(variables_of(sections.size() > 1 ? sections[1] : ""), 1738555506);
    if (!text.ok()) {
        check_error(text.status());
        return 0;
    }
    require(static_cast<i64>(text->size()) <= parsed->limits.output_bytes, "the output is bounded");
    require(!find_invalid_utf8(*text), "the output is UTF-8");
    return 0;
}
