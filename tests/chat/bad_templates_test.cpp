// SPDX-License-Identifier: Apache-2.0
// Templates that are wrong, or would never end, or would fill memory: one clear error each, soon.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "engine/chat_template.h"
#include "engine/messages.h"
#include "engine/scratch.h"

namespace warpwright {
namespace {

using nlohmann::ordered_json;

std::string repeated(std::string_view text, int times) {
    std::string out;
    for (int i = 0; i < times; ++i) out += text;
    return out;
}

// The error of parsing or rendering, which takes a second or two at most.
std::string error_of(const std::string& source) {
    const auto start = std::chrono::steady_clock::now();
    std::string message;
    if (const auto parsed = ChatTemplate::parse(source, "chat_template.jinja"); !parsed.ok()) {
        EXPECT_EQ(parsed.status().kind(), ErrorKind::caller);
        message = parsed.status().message();
    } else {
        const auto text = parsed->render({{"messages", ordered_json::array()}});
        EXPECT_FALSE(text.ok()) << source.substr(0, 200);
        EXPECT_EQ(text.status().kind(), ErrorKind::caller);
        message = text.status().message();
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20)) << source.substr(0, 200);
    EXPECT_TRUE(message.starts_with("chat_template.jinja: chat template: ")) << message;
    EXPECT_LT(message.size(), 700u);
    return message;
}

TEST(BadTemplate, LoopsForever) {
    const std::string nested = repeated("{% for x in range(100000) %}", 4) + repeated("{% endfor %}", 4);
    EXPECT_TRUE(contains(error_of(nested), "line 1: expected the template to end within 5000000 steps"));
    EXPECT_TRUE(
        contains(error_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), "nested more than 400 deep"));
    EXPECT_TRUE(
        contains(error_of("{% macro m() %}{% for i in range(9) %}{% set x = m() if loop.depth > 1 else 1 %}"
                          "{% for j in range(99999) %}{{ 1 if 0 }}{% endfor %}{% endfor %}{% endmacro %}"
                          "{% for k in range(999) %}{% set y = m() %}{% endfor %}"),
                 "within 5000000 steps"));
}

TEST(BadTemplate, FillsMemory) {
    const std::string doubling =
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s ";
    EXPECT_TRUE(contains(error_of(doubling + "~ ns.s %}{% endfor %}"), "bytes of text and lists on the way"));
    EXPECT_TRUE(contains(error_of(doubling + "| replace('a', 'aaaa') %}{% endfor %}"), "on the way"));
    EXPECT_TRUE(contains(error_of(doubling + "| tojson %}{% endfor %}"), "on the way"));
    EXPECT_TRUE(contains(error_of("{{ 'a' * 9000000000 }}"), "on the way"));
    EXPECT_TRUE(contains(error_of("{{ [0] * 9000000000 }}"), "on the way"));
    EXPECT_TRUE(contains(error_of("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}"),
                         "an output of at most 16777216 bytes"));
    EXPECT_TRUE(contains(error_of("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}"
                                  "{% set ns.l = ns.l + ns.l %}{% endfor %}"),
                         "on the way"));
    EXPECT_TRUE(contains(error_of("{% set ns = namespace(l=[1]) %}{% for i in range(999) %}"
                                  "{% set ns.l = [ns.l] %}{% endfor %}"),
                         "lists and dicts are nested more than 100 deep"));
    EXPECT_TRUE(contains(error_of("{% set ns = namespace(l=1) %}{% for i in range(90) %}"
                                  "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}"),
                         "a list or dict holds more than 67108864 bytes"));
}

TEST(BadTemplate, DeepSyntax) {
    EXPECT_TRUE(contains(error_of("{{ " + repeated("(", 100000)), "nested more than"));
    EXPECT_TRUE(contains(error_of("{{ " + repeated("[", 150) + "1" + repeated("]", 150) + " }}"),
                         "nested more than"));
    EXPECT_TRUE(contains(error_of("{{ " + repeated("not ", 50000) + "1 }}"), "nested more than"));
    EXPECT_TRUE(contains(error_of("{{ " + repeated("- ", 50000) + "1 }}"), "nested more than"));
    EXPECT_TRUE(contains(error_of(repeated("{% if 1 %}", 50000)), "nested more than"));
    EXPECT_TRUE(
        contains(error_of("{{ 1" + repeated(" + 1", 50000) + " }}"), "more than 100 operators in a row"));
    EXPECT_TRUE(contains(error_of("{{ 'a'" + repeated(" | upper", 50000) + " }}"), "operators in a row"));
    EXPECT_TRUE(contains(error_of("{{ a" + repeated(".a", 50000) + " }}"), "operators in a row"));
    EXPECT_TRUE(contains(error_of(std::string((1 << 20) + 1, 'x')), "expected at most 1048576 bytes"));
    EXPECT_TRUE(contains(error_of("a\xff"), "expected UTF-8, got byte 0xff at position 1"));
}

TEST(BadTemplate, SaysLineAndReason) {
    EXPECT_TRUE(contains(error_of("\n\n{{ 1 | shout }}"), "line 3: unknown or unsupported filter 'shout'"));
    EXPECT_TRUE(contains(error_of("{% include 'x' %}"), "unknown or unsupported tag 'include'"));
    EXPECT_TRUE(
        contains(error_of("{% for x in y recursive %}{% endfor %}"), "recursive loops are not supported"));
    EXPECT_TRUE(
        contains(error_of("a\n{{ raise_exception('Roles!') }}"), "line 2: the template raises: Roles!"));
    EXPECT_TRUE(contains(error_of("{{ messages[0].role }}"), "is undefined"));
    EXPECT_TRUE(contains(error_of("{{ tools.x.y }}"), "'x' is undefined"));
    EXPECT_TRUE(contains(error_of("{{ 9223372036854775807 + 1 }}"), "beyond 64 bits"));
    EXPECT_TRUE(contains(error_of("{{ 99999999999999999999 }}"), "an integer of 20 digits is too large"));
    EXPECT_TRUE(contains(error_of("{{ -9223372036854775807 - 1 // -1 - 5 }}"), "beyond 64 bits"));
    EXPECT_TRUE(contains(error_of("{# "), "a comment has no end"));
    EXPECT_TRUE(contains(error_of("{% raw %}"), "a raw block has no end"));
    EXPECT_TRUE(contains(error_of("{{ x"), "expected '}}' before the end of the template"));
}

TEST(ChatTemplateFolder, WhereTheTemplateComesFrom) {
    Scratch scratch;
    const auto render = [&] {
        auto loaded = ChatTemplate::load(scratch.folder());
        if (!loaded.ok()) return loaded.status().message();
        auto text = loaded->render({{"messages", ordered_json::array()}});
        return text.ok() ? *text : text.status().message();
    };
    EXPECT_TRUE(contains(
        render(), "expected a chat template in tokenizer_config.json or chat_template.jinja, got none"));
    scratch.write("chat_template.json", R"({"chat_template": "older"})");
    EXPECT_EQ(render(), "older");
    scratch.write("tokenizer_config.json", R"({"chat_template": "config {{ bos_token }}{{ eos_token }}",
        "bos_token": "<b>", "eos_token": {"content": "<e>", "lstrip": false}})");
    EXPECT_EQ(render(), "config <b><e>");
    scratch.write("chat_template.jinja", "own {{ bos_token }}\n");
    EXPECT_EQ(render(), "own <b>");
    std::filesystem::remove(scratch.folder() / "chat_template.jinja");
    scratch.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"},
        {"name": "default", "template": "d"}]})");
    EXPECT_EQ(render(), "d");
    scratch.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
    EXPECT_TRUE(contains(render(), "expected one named 'default' among 1"));
    scratch.write("tokenizer_config.json", R"({"chat_template": 5})");
    EXPECT_TRUE(contains(render(), "tokenizer_config.json: 'chat_template': expected text or a list, got 5"));
    scratch.write("tokenizer_config.json", "[]");
    EXPECT_TRUE(contains(render(), "tokenizer_config.json: expected an object, got an array"));
}

}  // namespace
}  // namespace warpwright
