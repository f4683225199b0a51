// SPDX-License-Identifier: Apache-2.0
// The emulator against a Hopper GPU, instruction by instruction: tools/words says which, words/ has what the
// GPU answered. And the comparison itself, by planted errors.
#include "tools/words/recording.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include "tests/emulator/run_ptx.h"
#include "tools/words/values.h"

namespace warpwright::words {
namespace {

const Form& form_named(std::string_view name) {
    for (const Form& form : all_forms()) {
        if (form.name == name) return form;
    }
    ADD_FAILURE() << "no form is named " << name;
    return all_forms().front();
}

// What the emulator answers. A text that does not load, or a finding, fails the test and gives nothing.
std::string emulated(const Form& form) {
    emulator::RunPtx run(kernel_text(form), "h200");
    if (!run.load_error().empty()) {
        ADD_FAILURE() << form.name << ": " << run.load_error();
        return {};
    }
    const auto output_bytes = static_cast<u64>(form.vectors) * static_cast<u64>(form.output_bytes());
    const u64 in = run.put(inputs_of(form));
    const u64 out = run.put(std::vector<std::byte>(output_bytes));
    LaunchConfig config;
    config.block.x = static_cast<u32>(form.block_threads);
    config.grid.x = static_cast<u32>(form.vectors / form.block_threads);
    const auto report = run.launch(config, in, out);
    if (report.finding) {
        ADD_FAILURE() << form.name << ": " << emulator::finding_text(*report.finding);
        return {};
    }
    std::string words(output_bytes, '\0');
    EXPECT_TRUE(run.memory().read(out, words.data(), words.size()).ok());
    return words;
}

// --- the comparison ---

TEST(InstructionWords, OperandsAreTheSameEverywhere) {
    // SplitMix64 of seed 0, as published.
    Random random(0);
    EXPECT_EQ(random.next(), 0xe220a8397b1dcdafull);
    EXPECT_EQ(random.next(), 0x6e789e6aa1b965f4ull);
    // Otherwise the recorded words say nothing: kGeneratorVersion grows, and a GPU is asked again.
    const auto inputs = [](std::string_view name) { return hash_of(inputs_of(form_named(name))); };
    EXPECT_EQ(inputs("add.{rn,rz,rm,rp}.f32"), 0x369e9fd6d5010e44ull);
    EXPECT_EQ(inputs("div rem.s64"), 0xebb904e49a25d388ull);
    EXPECT_EQ(inputs("cvt.pack.sat"), 0xd2fec45843773595ull);
    EXPECT_EQ(inputs("redux.sync"), 0x935288f353c1c6a6ull);
    EXPECT_EQ(inputs("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"), 0x396745b7adf6f409ull);
    EXPECT_EQ(inputs("mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e5m2.f32"), 0x9e65d23b75ea31ccull);
}

TEST(InstructionWords, EdgesAreTriedInAllCombinations) {
    const std::vector<std::byte> inputs = inputs_of(form_named("add.{rn,rz,rm,rp}.f32"));
    std::set<u64> pairs;
    for (std::size_t at = 0; at < inputs.size(); at += 8) {
        u64 pair = 0;
        std::memcpy(&pair, inputs.data() + at, 8);
        pairs.insert(pair);
    }
    for (const u64 a : kind_named("f32").edges) {
        for (const u64 b : kind_named("f32").edges) EXPECT_TRUE(pairs.contains(a | b << 32)) << a << " " << b;
    }
}

// A recording with an error planted at one byte, as read from a file.
std::optional<std::string> planted(const Form& form, const std::string& words, std::size_t byte) {
    std::string wrong = words;
    wrong[byte] = static_cast<char>(wrong[byte] ^ 4);
    const std::string path = testing::TempDir() + "planted.words";
    EXPECT_TRUE(write_origin(path, {"a GPU", "h200", "1", "2026-01-01"}).ok());
    EXPECT_TRUE(append(path, reduced(form, full_record(form, wrong))).ok());
    const auto recording = read_recording(path);
    std::filesystem::remove(path);
    if (!recording.ok()) return recording.status().message();
    EXPECT_EQ(recording->origin.gpu, "a GPU");
    return difference(form, recording->records.at(0), words);
}

TEST(InstructionWords, OneWrongBitAnywhereIsFound) {
    const Form& form = form_named("add.{rn,rz,rm,rp}.f32");
    std::string words(static_cast<std::size_t>(form.vectors * form.output_bytes()), '\0');
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<char>(i * 37 >> 3);
    EXPECT_EQ(difference(form, reduced(form, full_record(form, words)), words), std::nullopt);
    const auto bytes = static_cast<std::size_t>(form.output_bytes());
    const auto early = planted(form, words, 17 * bytes + 6);
    ASSERT_TRUE(early);
    EXPECT_NE(early->find("add.rz.f32 %o1, %i0, %i1: thread 17: %i0 = 0x"), std::string::npos) << *early;
    EXPECT_NE(early->find("(1 of "), std::string::npos) << *early;
    const auto late = planted(form, words, words.size() - 1);
    ASSERT_TRUE(late);
    EXPECT_NE(late->find(fmt::format("to {} differs", form.vectors - 1)), std::string::npos) << *late;
}

TEST(InstructionWords, WordsOfAnotherKernelSayNothing) {
    Form form = form_named("popc clz.b32");
    const std::string words(static_cast<std::size_t>(form.vectors * form.output_bytes()), '\0');
    const Record record = full_record(form, words);
    EXPECT_FALSE(difference(form, record, words));
    form.body += " ";
    EXPECT_TRUE(difference(form, record, words));
    EXPECT_TRUE(difference(form, failed_record(form, "does not end"), words));
}

TEST(InstructionWords, ADamagedFileIsAnError) {
    const std::string path = testing::TempDir() + "damaged.words";
    const Form& form = form_named("popc clz.b32");
    const std::string words(static_cast<std::size_t>(form.vectors * form.output_bytes()), 'x');
    ASSERT_TRUE(write_origin(path, {"a GPU", "h200", "1", "2026-01-01"}).ok());
    ASSERT_TRUE(append(path, full_record(form, words)).ok());
    const auto size = std::filesystem::file_size(path);
    for (std::uintmax_t cut = 1; cut < size; ++cut) {
        std::filesystem::resize_file(path, size - cut);
        const auto recording = read_recording(path);
        EXPECT_TRUE(!recording.ok() || recording->records.empty()) << cut;
    }
    std::filesystem::remove(path);
}

TEST(Approximation, BoundsAreAsPromised) {
    const auto bits = [](float value) {
        u32 word = 0;
        std::memcpy(&word, &value, sizeof word);
        return u64{word};
    };
    const Approximation& rcp = *form_named("rcp.approx.f32").approximation;
    EXPECT_EQ(judge(rcp, bits(3), 0, bits(1.0f / 3)), "");
    EXPECT_EQ(judge(rcp, bits(3), 0, bits(1.0f / 3) - 1), "");  // 0.67 units off
    EXPECT_NE(judge(rcp, bits(3), 0, bits(1.0f / 3) + 1), "");  // 1.33
    EXPECT_NE(judge(rcp, bits(3), 0, bits(-1.0f / 3)), "");
    EXPECT_EQ(judge(rcp, bits(-0.0f), 0, bits(-INFINITY)), "");
    EXPECT_NE(judge(rcp, bits(-0.0f), 0, bits(INFINITY)), "");
    EXPECT_NE(judge(rcp, bits(INFINITY), 0, bits(-0.0f)), "");
    EXPECT_NE(judge(rcp, bits(NAN), 0, bits(0)), "");
    EXPECT_NE(judge(rcp, bits(2), 0, bits(NAN)), "");
    EXPECT_EQ(judge(rcp, 1, 0, bits(INFINITY)), "");  // of the smallest subnormal
    EXPECT_NE(judge(rcp, bits(0x1p-127f), 0, bits(INFINITY)), "");
    const Approximation& flushing = *form_named("rcp.approx.ftz.f32").approximation;
    EXPECT_EQ(judge(flushing, bits(0x1p-127f), 0, bits(INFINITY)), "");
    EXPECT_EQ(judge(flushing, bits(0x1p127f), 0, bits(0)), "");
    EXPECT_NE(judge(flushing, bits(0x1p127f), 0, bits(-0.0f)), "");
    const Approximation& sin = *form_named("sin.approx.f32").approximation;
    EXPECT_EQ(judge(sin, bits(1), 0, bits(0.84147098f + 4e-7f)), "");
    EXPECT_NE(judge(sin, bits(1), 0, bits(0.84147098f + 1e-6f)), "");
    EXPECT_EQ(judge(sin, bits(100), 0, bits(-0.50636564f + 3e-5f)), "");
    EXPECT_NE(judge(sin, bits(100), 0, bits(-0.50636564f + 5e-5f)), "");
    EXPECT_EQ(judge(sin, bits(1e6f), 0, bits(0.9f)), "");  // nothing is promised
    EXPECT_NE(judge(sin, bits(INFINITY), 0, bits(0)), "");
    const Approximation& div = *form_named("div.approx.f32").approximation;
    EXPECT_NE(judge(div, bits(1), bits(0x1p126f), bits(0)), "");
    EXPECT_EQ(judge(div, bits(1), bits(0x1.8p126f), bits(0)), "");
    EXPECT_NE(judge(div, bits(1), bits(0), bits(0)), "");
}

// --- the emulator ---

TEST(InstructionWords, TheEmulatorAnswersAsHopper) {
    const auto recording = read_recording(WW_SOURCE_DIR "/tests/emulator/words/hopper.words");
    for (const Form& form : all_forms()) {
        const std::string words = emulated(form);
        if (words.empty() || !recording.ok()) continue;
        const Record* record = recording->find(form.name);
        if (record == nullptr) {
            ADD_FAILURE() << form.name << ": no words are recorded";
            continue;
        }
        const auto text = difference(form, *record, words);
        EXPECT_FALSE(text) << form.name << ": " << *text;
    }
    if (!recording.ok())
        GTEST_SKIP() << all_forms().size() << " forms without words: " << recording.status().message();
    EXPECT_EQ(recording->origin.generator, kGeneratorVersion);
    EXPECT_EQ(recording->records.size(), all_forms().size()) << "there are words of forms that are none";
}

}  // namespace
}  // namespace warpwright::words
