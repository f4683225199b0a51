// SPDX-License-Identifier: Apache-2.0
// Attention that reads the past before its predecessor has ended computes what it does without. In each layer
// a product, which takes long after it has let its successor start, puts the query's own value in its place,
// from what the layer before has computed.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/host_math.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/gemm.h"

namespace warpwright {
namespace {

constexpr i64 kHeads = 64, kKvHeads = 2, kHeadDim = 128, kPageSize = 16;
constexpr i64 kWidth = kHeads * kHeadDim, kKvWidth = kKvHeads * kHeadDim;

class Layers {
public:
    Layers(const std::string& device, const std::string& row, i64 length, bool overlaps) {
        auto opened = Context::open(device);
        EXPECT_TRUE(opened.ok()) << opened.status().message();
        context_ = *opened;
        context_->force("attention", row);
        if (!overlaps) context_->forbid_overlap();
        auto created = context_->device().create_stream();
        EXPECT_TRUE(created.ok());
        stream_ = *created;

        const i64 pages = (length + kPageSize - 1) / kPageSize;
        std::vector<i32> table;
        for (i64 i = 0; i < pages; ++i) table.push_back(static_cast<i32>((i * 7 + 3) % pages));
        attention_ = {.k_pages = random({pages, kPageSize, kKvHeads, kHeadDim}, 1),
                      .v_pages = random({pages, kPageSize, kKvHeads, kHeadDim}, 1),
                      .page_table = tensor({1, pages}, DType::i32, table),
                      .kv_lengths = tensor({1}, DType::i32, std::vector<i32>{static_cast<i32>(length)}),
                      .q_starts = tensor({2}, DType::i32, std::vector<i32>{0, 1}),
                      .past_is_ready = true,
                      .workspace = tensor({1 << 20}, DType::u8, std::vector<u8>(1 << 20))};
        const i64 last = length - 1;
        const i64 slot = table[static_cast<std::size_t>(last / kPageSize)] * kPageSize + last % kPageSize;
        value_.b = random({kKvWidth, kWidth}, 1 / std::sqrt(static_cast<float>(kWidth)));  // keeps the size
        value_.d = Tensor::dense(static_cast<u16*>(attention_.v_pages.data) + slot * kKvWidth, DType::bf16,
                                 {1, kKvWidth});
    }
    ~Layers() { context_->device().destroy(stream_); }

    // What all layers compute.
    std::vector<u16> run(i64 layers) {
        using warpwright::prepare;
        const Tensor x = random({layers + 1, kHeads, kHeadDim}, 1);
        EXPECT_TRUE(context_->device().synchronize(stream_).ok());
        Prepared prepared;
        for (i64 layer = 0; layer < layers; ++layer) {
            u16* from = static_cast<u16*>(x.data) + layer * kWidth;
            value_.a = Tensor::dense(from, DType::bf16, {1, kWidth});
            attention_.q = Tensor::dense(from, DType::bf16, {1, kHeads, kHeadDim});
            attention_.out = Tensor::dense(from + kWidth, DType::bf16, {1, kHeads, kHeadDim});
            EXPECT_TRUE(prepare(*context_, value_, prepared).ok());
            EXPECT_TRUE(prepare(*context_, attention_, prepared).ok());
        }
        const Status status = prepared.launch(context_->device(), stream_);
        EXPECT_TRUE(status.ok()) << status.message();
        std::vector<u16> result(static_cast<std::size_t>(x.num_elements()));
        EXPECT_TRUE(context_->device().copy_out(result.data(), x.data, result.size() * 2, stream_).ok());
        return result;
    }

private:
    template <class T>
    Tensor tensor(std::initializer_list<i64> shape, DType dtype, const std::vector<T>& values) {
        auto buffer = Buffer::allocate(context_->shared_device(), values.size() * sizeof(T));
        EXPECT_TRUE(buffer.ok());
        buffers_.push_back(std::move(*buffer));
        void* data = buffers_.back().data();
        EXPECT_TRUE(context_->device().copy_in(data, values.data(), values.size() * sizeof(T), stream_).ok());
        return Tensor::dense(data, dtype, shape);
    }
    Tensor random(std::initializer_list<i64> shape, float deviation) {
        std::normal_distribution<float> normal(0, deviation);
        i64 count = 1;
        for (const i64 extent : shape) count *= extent;
        std::vector<u16> values;
        for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(normal(random_)));
        return tensor(shape, DType::bf16, values);
    }

    std::shared_ptr<Context> context_;
    Stream stream_;
    std::mt19937 random_{5};
    std::vector<Buffer> buffers_;
    Gemm value_;
    Attention attention_;
};

void compare(const std::string& device, i64 layers, int rounds) {
    for (const char* row : {"attention.decode.bf16.d128", "attention.cluster.bf16.d128"}) {
        for (const i64 length : {1, 17, 700}) {
            SCOPED_TRACE(std::string(row) + ", keys: " + std::to_string(length));
            for (int round = 0; round < rounds; ++round) {
                Layers serial(device, row, length, false), overlapping(device, row, length, true);
                const std::vector<u16> expected = serial.run(layers);
                ASSERT_TRUE(overlapping.run(layers) == expected) << "round " << round;
            }
        }
    }
}

TEST(OverlappingAttention, ComputesTheSameOnAnEmulatedGpu) {
    compare("emulated:h200", 1, 1);
}

TEST(OverlappingAttention, ComputesTheSameOnTheGpu) {
    bool has_gpu = false;
    for (const std::string& id : list_devices().ids) has_gpu = has_gpu || id == "cuda:0";
    if (!has_gpu) GTEST_SKIP() << "no GPU: " << list_devices().cuda_problem;
    compare("cuda:0", 40, 2);
}

}  // namespace
}  // namespace warpwright
