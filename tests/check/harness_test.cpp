// SPDX-License-Identifier: Apache-2.0
// The checker itself: every kind of wrong result that it claims to catch, planted.
#include "check/harness.h"
#include "check/check.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>

namespace warpwright {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// An oracle of normal size, and what rounding it to bf16 gives.
struct Answer {
    std::vector<double> oracle;
    std::vector<float> reference;
    Answer() {
        std::mt19937 random(5);
        std::normal_distribution<double> normal;
        for (int i = 0; i < 4096; ++i) oracle.push_back(normal(random));
        reference = rounded(oracle, DType::bf16);
    }
    Comparison compared(const std::vector<float>& kernel) const {
        return compare(kernel, oracle, reference, largest(oracle));
    }
};

TEST(Compare, AcceptsTheReferenceItself) {
    const Answer answer;
    EXPECT_TRUE(answer.compared(answer.reference).ok);
}

TEST(Compare, CatchesOneWrongElement) {
    const Answer answer;
    std::vector<float> kernel = answer.reference;
    kernel[1234] += 0.05f;
    const Comparison comparison = answer.compared(kernel);
    EXPECT_FALSE(comparison.ok);
    EXPECT_EQ(comparison.text.substr(0, 12), "element 1234");
}

// Each element is within the bound of the largest error, but all lean to one side.
TEST(Compare, CatchesASmallErrorEverywhere) {
    const Answer answer;
    std::vector<float> kernel = answer.reference;
    for (float& value : kernel) value += 0.006f;
    const Comparison comparison = answer.compared(kernel);
    EXPECT_LT(comparison.error, comparison.bound);
    EXPECT_FALSE(comparison.ok);
    EXPECT_EQ(comparison.text.substr(0, 16), "root-mean-square");
}

TEST(Compare, CatchesAnElementThatWasNotWritten) {
    const Answer answer;
    std::vector<float> kernel = answer.reference;
    kernel.back() = kNan;  // what outputs are poisoned with
    EXPECT_FALSE(answer.compared(kernel).ok);
}

TEST(Compare, SpecialValuesMustStandAtTheSamePlaces) {
    const std::vector<double> oracle{1, kInfinity, -kInfinity, kNan};
    const std::vector<float> right{1, kInfinity, -kInfinity, kNan};
    EXPECT_TRUE(compare(right, oracle, right, 1).ok);
    for (std::size_t i = 1; i < oracle.size(); ++i) {
        std::vector<float> wrong = right;
        wrong[i] = 0;
        EXPECT_FALSE(compare(wrong, oracle, right, 1).ok) << i;
        wrong[i] = i == 1 ? -kInfinity : kInfinity;
        EXPECT_FALSE(compare(wrong, oracle, right, 1).ok) << i;
    }
}

TEST(Compare, SizesMustAgree) {
    EXPECT_FALSE(compare({1, 2}, {1, 2, 3}, {1, 2, 3}, 1).ok);
}

class Bench : public testing::Test {
protected:
    std::shared_ptr<Context> context = *Context::open("cpu");
    Workbench bench{*context, 1};
};

TEST_F(Bench, CleanWorkIsClean) {
    const Tensor out = bench.output(DType::bf16, {3, 5});
    bench.write(out, std::vector<float>(15, 1));
    EXPECT_TRUE(bench.finish().ok());
}

TEST_F(Bench, CatchesWritesOutsideAnOutput) {
    const Tensor out = bench.output(DType::bf16, {3, 5}, true);
    auto* end = static_cast<u16*>(out.data) + 15;
    const u16 kept = *end;
    *end = 7;
    EXPECT_EQ(bench.finish().message(), "wrote outside an output: 1 bytes past the end of it");
    *end = kept;
}

TEST_F(Bench, CatchesWritesBeforeAnOutput) {
    const Tensor out = bench.in_place(DType::f32, {8});
    static_cast<u8*>(out.data)[-1] = 0;
    EXPECT_EQ(bench.finish().message(), "wrote outside an output: 1 bytes before it");
}

TEST_F(Bench, OutputsStartAsNan) {
    for (DType type : {DType::f32, DType::f16, DType::bf16}) {
        for (float value : bench.read(bench.output(type, {9}))) EXPECT_TRUE(std::isnan(value));
    }
}

TEST_F(Bench, DigestsAreOfWhatWentInAndWhatCameOut) {
    const auto digests = [&](float given, float answer) {
        Workbench work{*context, 1};
        work.write(work.input(DType::f32, {2}), {given, 1});
        work.write(work.output(DType::f32, {2}), {3, answer});
        EXPECT_TRUE(work.finish().ok());
        return std::pair{work.input_digest(), work.output_digest()};
    };
    EXPECT_EQ(digests(5, 7), digests(5, 7));
    EXPECT_EQ(digests(6, 7).second, digests(5, 7).second);
    EXPECT_NE(digests(6, 7).first, digests(5, 7).first);
    EXPECT_NE(digests(5, 8).second, digests(5, 7).second);
}

// A later row's digests are those that it would have alone, whatever an earlier one was given.
TEST_F(Bench, DigestsOfLaterRowsAreTheirOwn) {
    Answers answers;
    const auto digests = [&](Answers* shared, float given) {
        Workbench work{*context, 1, shared};
        const Tensor input = work.input(DType::f32, {2000});
        std::vector<float> values = work.read(input);
        values.back() = given;
        work.write(input, values);
        const Tensor output = work.in_place(DType::f32, {2000});
        EXPECT_TRUE(work.finish().ok());
        const u64 before = work.output_digest();
        work.write(output, values);
        EXPECT_TRUE(work.finish().ok());
        return std::tuple{work.input_digest(), before, work.output_digest()};
    };
    for (const float given : {5.f, 6.f, 5.f}) EXPECT_EQ(digests(&answers, given), digests(nullptr, given));
    EXPECT_NE(std::get<0>(digests(&answers, 5)), std::get<0>(digests(&answers, 6)));
    EXPECT_NE(std::get<1>(digests(&answers, 5)), std::get<2>(digests(&answers, 5)));
}

TEST(CompareBits, OnlyRowsThatAreExactMustAgree) {
    const auto result = [](const char* row, u64 inputs, u64 outputs, bool approximate = false) {
        CheckResult result{"op", row, "n=1"};
        result.input_digest = inputs;
        result.output_digest = outputs;
        result.approximate = approximate;
        return result;
    };
    const std::vector<CheckResult> others = {result("same", 1, 2), result("exact", 1, 2),
                                             result("near", 1, 2), result("moved", 1, 2)};
    const std::vector<CheckResult> results = {result("same", 1, 2), result("exact", 1, 3),
                                              result("near", 1, 3, true), result("moved", 2, 3),
                                              result("new", 1, 2)};
    const BitComparison comparison = compare_bits(results, others);
    EXPECT_EQ(comparison.equal, 1);
    EXPECT_EQ(comparison.approximate, 1);
    EXPECT_EQ(comparison.other_inputs, 1);
    EXPECT_EQ(comparison.unknown, 1);
    ASSERT_EQ(comparison.different.size(), 1u);
    EXPECT_EQ(comparison.different[0]->row, "exact");
}

TEST_F(Bench, MisalignedInputsAreMisaligned) {
    const Tensor tensor = bench.input(DType::bf16, {4, 4}, 1, true);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.data) % 16, 2u);
}

}  // namespace
}  // namespace warpwright
