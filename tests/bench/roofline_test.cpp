// SPDX-License-Identifier: Apache-2.0
// The kernels that bandwidth is measured with read and write what they say: on the CPU, and as PTX.
#include "bench/roofline.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

#include "image/nvrtc.h"
#include "kernels/roofline/problem.h"

namespace warpwright::bench {
namespace {

class RooflineKernels : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        if (std::string_view(GetParam()).starts_with("emulated") && !nvrtc().ok())
            GTEST_SKIP() << nvrtc().status().message();
        auto context = Context::open(GetParam());
        ASSERT_TRUE(context.ok()) << context.status().message();
        context_ = *context;
        std::mt19937_64 random(1);
        for (u64& word : words_) word = random();
        for (Buffer* buffer : {&from_, &to_}) {
            auto allocated = Buffer::allocate(context_->shared_device(), words_.size() * 8);
            ASSERT_TRUE(allocated.ok());
            *buffer = std::move(*allocated);
        }
        ASSERT_TRUE(context_->device().copy_in(from_.data(), words_.data(), words_.size() * 8, {}).ok());
    }

    std::vector<u64> run(RooflineKernel kernel) {
        auto prepared = prepare_roofline(*context_, kernel, from_.data(), to_.data(),
                                         static_cast<i64>(words_.size()) * 8, kBlocks);
        EXPECT_TRUE(prepared.ok()) << prepared.status().message();
        EXPECT_TRUE(context_->device().fill(to_.data(), 0, to_.bytes(), {}).ok());
        EXPECT_TRUE(prepared->launch(context_->device(), {}).ok());
        std::vector<u64> out(words_.size());
        EXPECT_TRUE(context_->device().copy_out(out.data(), to_.data(), out.size() * 8, {}).ok());
        return out;
    }

    static constexpr int kBlocks = 3;
    // Whole tiles for every block and more, and a last one that is not whole.
    std::vector<u64> words_ = std::vector<u64>(2 * (4 * kRooflineTile + 777));
    std::shared_ptr<Context> context_;
    Buffer from_, to_;
};

TEST_P(RooflineKernels, CopyIsTheOriginal) {
    EXPECT_EQ(run(RooflineKernel::copy), words_);
}

TEST_P(RooflineKernels, ReadSeesEveryByte) {
    u64 expected[2] = {}, got[2] = {};
    for (std::size_t i = 0; i < words_.size(); ++i) expected[i % 2] ^= words_[i];
    const std::vector<u64> out = run(RooflineKernel::read);
    ASSERT_LE(roofline_read_bytes(kBlocks), out.size() * 8);
    for (std::size_t i = 0; i < roofline_read_bytes(kBlocks) / 8; ++i) got[i % 2] ^= out[i];
    EXPECT_EQ(got[0], expected[0]);
    EXPECT_EQ(got[1], expected[1]);
}

INSTANTIATE_TEST_SUITE_P(Devices, RooflineKernels, testing::Values("cpu", "emulated:h100-sxm"),
                         [](const auto& info) { return std::string(info.param).substr(0, 3); });

}  // namespace
}  // namespace warpwright::bench
