// SPDX-License-Identifier: Apache-2.0
// Prompts equal those that transformers renders, with templates that are built as the families' are, and for
// snippets of the language. make_goldens.py made the file.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/chat_template.h"
#include "engine/scratch.h"

namespace warpwright {
namespace {

using nlohmann::ordered_json;
const std::filesystem::path kFolder = std::filesystem::path(WW_SOURCE_DIR) / "tests/chat";
constexpr std::time_t kNow = 1738555506;  // 2025-02-03 04:05:06 UTC

ordered_json read_json(const char* name) {
    return ordered_json::parse(read_all(kFolder / name));
}

class ChatGoldens : public ::testing::Test {
protected:
    void SetUp() override {
        setenv("TZ", "UTC", 1);
        tzset();
    }

    static void expect(const std::string& source, ordered_json variables, const ordered_json& golden) {
        variables["bos_token"] = "<s>";
        variables["eos_token"] = "</s>";
        const auto parsed = ChatTemplate::parse(source, "t");
        std::string error = parsed.ok() ? "" : parsed.status().message();
        if (parsed.ok()) {
            const auto text = parsed->render(variables, kNow);
            if (text.ok()) {
                EXPECT_EQ(ordered_json(*text), golden) << source;
                return;
            }
            error = text.status().message();
        }
        EXPECT_TRUE(golden.is_null()) << source << "\n" << error << "\nexpected " << golden.dump();
        EXPECT_TRUE(error.starts_with("t: chat template: line ")) << error;
        EXPECT_LT(error.size(), 700u);
    }
};

TEST_F(ChatGoldens, EveryTemplateAndConversation) {
    const ordered_json goldens = read_json("goldens.json").at("chats");
    const ordered_json conversations = read_json("conversations.json");
    EXPECT_GE(goldens.size(), 8u);
    for (const auto& [name, by_conversation] : goldens.items()) {
        const std::string source = read_all(kFolder / "templates" / (name + ".jinja"));
        ASSERT_FALSE(source.empty()) << name;
        for (const auto& [conversation, golden] : by_conversation.items()) {
            SCOPED_TRACE(name + ", " + conversation);
            expect(source, conversations.at(conversation), golden);
        }
    }
}

TEST_F(ChatGoldens, EverySnippet) {
    const ordered_json goldens = read_json("goldens.json").at("snippets");
    const ordered_json snippets = read_json("snippets.json");
    ASSERT_EQ(goldens.size(), snippets.size());
    for (std::size_t i = 0; i < snippets.size(); ++i) {
        SCOPED_TRACE(i);
        expect(snippets[i], ordered_json::object(), goldens[i]);
    }
}

}  // namespace
}  // namespace warpwright
