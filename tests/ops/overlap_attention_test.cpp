// SPDX-License-Identifier: Apache-2.0
// Attention that reads the past before its predecessor has ended computes what it does without: each layer
// appends a key and a value that the layer before has just computed, at the same place, and attends to them.
#include <gtest/gtest.h>

#include <random>

#include "kernels/host_math.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/kv_append.h"

namespace warpwright {
namespace {

constexpr i64 kHeads = 8, kKvHeads = 2, kHeadDim = 128, kPageSize = 16;

class Layers {
public:
    Layers(const std::string& device, const std::string& row, i64 length, bool overlaps) {
        auto opened = Context::open(device);
        EXPECT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        context->force("attention", row);
        if (!overlaps) context->forbid_overlap();
        auto created = context->device().create_stream();
        EXPECT_TRUE(created.ok());
        stream = *created;

        const i64 pages = (length + kPageSize - 1) / kPageSize;
        std::vector<i32> table;
        for (i64 i = 0; i < pages; ++i) table.push_back(static_cast<i32>((i * 7 + 3) % pages));
        for (Tensor& x : x_) x = random({1, kHeads, kHeadDim});
        append_ = {.sequences = integers({1}, {0}),
                   .positions = integers({1}, {static_cast<i32>(length - 1)}),
                   .page_table = integers({1, pages}, table),
                   .k_pages = random({pages, kPageSize, kKvHeads, kHeadDim}),
                   .v_pages = random({pages, kPageSize, kKvHeads, kHeadDim})};
        attention_ = {.k_pages = append_.k_pages,
                      .v_pages = append_.v_pages,
                      .page_table = append_.page_table,
                      .kv_lengths = integers({1}, {static_cast<i32>(length)}),
                      .q_starts = integers({2}, {0, 1}),
                      .past_is_ready = true};
        attention_.workspace = zeros(DType::u8, {1 << 20});
        EXPECT_TRUE(context->device().synchronize(stream).ok());
    }
    ~Layers() { context->device().destroy(stream); }

    // What the last layer computes. The appended key is like the query: it gets the largest score.
    std::vector<u16> run(int layers) {
        using warpwright::prepare;
        Prepared prepared;
        for (int layer = 0; layer < layers; ++layer) {
            const Tensor &from = x_[layer % 2], &to = x_[(layer + 1) % 2];
            append_.k = heads(from, 0), append_.v = heads(from, kKvHeads);
            attention_.q = from, attention_.out = to;
            EXPECT_TRUE(prepare(*context, append_, prepared).ok());
            EXPECT_TRUE(prepare(*context, attention_, prepared).ok());
        }
        const Status status = prepared.launch(context->device(), stream);
        EXPECT_TRUE(status.ok()) << status.message();
        std::vector<u16> result(kHeads * kHeadDim);
        const void* last = x_[layers % 2].data;
        EXPECT_TRUE(context->device().copy_out(result.data(), last, result.size() * 2, stream).ok());
        return result;
    }

    std::shared_ptr<Context> context;
    Stream stream;

private:
    static Tensor heads(Tensor x, i64 first) {
        x.data = static_cast<u16*>(x.data) + first * kHeadDim;
        x.shape[1] = kKvHeads;
        return x;
    }
    template <class T>
    Tensor tensor(DType dtype, std::initializer_list<i64> shape, const std::vector<T>& values) {
        auto buffer = Buffer::allocate(context->shared_device(), values.size() * sizeof(T));
        EXPECT_TRUE(buffer.ok());
        EXPECT_TRUE(
            context->device().copy_in(buffer->data(), values.data(), values.size() * sizeof(T), stream).ok());
        buffers_.push_back(std::move(*buffer));
        return Tensor::dense(buffers_.back().data(), dtype, shape);
    }
    Tensor integers(std::initializer_list<i64> shape, const std::vector<i32>& values) {
        return tensor(DType::i32, shape, values);
    }
    Tensor zeros(DType dtype, std::initializer_list<i64> shape) {
        return tensor(dtype, shape, std::vector<u8>(static_cast<std::size_t>(*shape.begin())));
    }
    Tensor random(std::initializer_list<i64> shape) {
        std::normal_distribution<float> normal;
        i64 count = 1;
        for (const i64 extent : shape) count *= extent;
        std::vector<u16> values;
        for (i64 i = 0; i < count; ++i) values.push_back(float_to_bf16(normal(random_)));
        return tensor(DType::bf16, shape, values);
    }

    std::mt19937 random_{5};
    std::vector<Buffer> buffers_;
    Tensor x_[2];
    KvAppend append_;
    Attention attention_;
};

void compare(const std::string& device, int layers, int rounds) {
    for (const char* row : {"attention.decode.bf16.d128", "attention.cluster.bf16.d128"}) {
        for (const i64 length : {1, 16, 17, 700, 1024}) {
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
    compare("emulated:h200", 2, 1);
}

TEST(OverlappingAttention, ComputesTheSameOnTheGpu) {
    bool has_gpu = false;
    for (const std::string& id : list_devices().ids) has_gpu = has_gpu || id == "cuda:0";
    if (!has_gpu) GTEST_SKIP() << "no GPU: " << list_devices().cuda_problem;
    compare("cuda:0", 60, 3);
}

}  // namespace
}  // namespace warpwright
