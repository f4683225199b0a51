// SPDX-License-Identifier: Apache-2.0
// Launches that overlap (ptx/launch.cuh) compute what launches do that do not: a chain of short operations,
// each of which reads and overwrites what the ones before it wrote and read, with copies between them. On a
// GPU of this machine it runs many times, as launches and as a captured graph; an emulated GPU reports a
// kernel that touches memory too early.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/host_math.h"
#include "warpwright/ops/gated_activation.h"
#include "warpwright/ops/gemm.h"
#include "warpwright/ops/rmsnorm.h"

namespace warpwright {
namespace {

constexpr i64 kTokens = 3, kHidden = 256, kWidth = 1088;

class Chain {
public:
    explicit Chain(const std::string& device, const std::string& gemm_row = "") {
        auto opened = Context::open(device);
        EXPECT_TRUE(opened.ok()) << opened.status().message();
        context = *opened;
        if (!gemm_row.empty()) context->force("gemm", gemm_row);
        auto created = context->device().create_stream();
        EXPECT_TRUE(created.ok());
        stream = *created;
        std::mt19937 random(5);
        std::normal_distribution<float> normal(0, 0.06f);
        const auto tensor = [&](i64 rows, i64 columns) {
            std::vector<u16> values;
            for (i64 i = 0; i < rows * columns; ++i) values.push_back(float_to_bf16(normal(random)));
            auto buffer = Buffer::allocate(context->shared_device(), values.size() * 2);
            EXPECT_TRUE(buffer.ok());
            EXPECT_TRUE(
                context->device().copy_in(buffer->data(), values.data(), values.size() * 2, stream).ok());
            const Tensor result = Tensor::dense(buffer->data(), DType::bf16, {rows, columns});
            buffers.push_back(std::move(*buffer));
            return result;
        };
        start = tensor(kTokens, kHidden);
        residual = tensor(kTokens, kHidden);
        x = tensor(kTokens, kHidden);
        wide = tensor(kTokens, 2 * kWidth);
        up = tensor(2 * kWidth, kHidden);
        down = tensor(kHidden, kWidth);
        weight = tensor(1, kHidden);
        weight.rank = 1;
        weight.shape = {kHidden};
        weight.stride = {1};
        EXPECT_TRUE(context->device().synchronize(stream).ok());  // weights are constants from here on
    }
    ~Chain() {
        context->device().destroy(graph);
        context->device().destroy(stream);
    }

    // One layer after the other on the same buffers.
    Status prepare_layers(int layers) {
        Tensor gate = wide;
        gate.shape[1] = kWidth;
        Tensor other = gate;
        other.data = static_cast<u16*>(wide.data) + kWidth;
        for (int layer = 0; layer < layers; ++layer) {
            using warpwright::prepare;
            WW_TRY(prepare(*context, RmsNorm{.x = x, .weight = weight, .out = x, .residual = residual},
                           prepared));
            WW_TRY(prepare(*context, Gemm{.a = x, .b = up, .d = wide, .b_is_constant = true}, prepared));
            WW_TRY(prepare(*context, GatedActivation{gate, other, gate, Activation::silu}, prepared));
            WW_TRY(prepare(*context, Gemm{.a = gate, .b = down, .d = x, .b_is_constant = true}, prepared));
        }
        return {};
    }
    // The chain with copies before it, in its middle and behind it: no kernel's end orders them.
    Status enqueue() {
        Device& device = context->device();
        const std::size_t bytes = kTokens * kHidden * 2;
        WW_TRY(device.copy(residual.data, start.data, bytes, stream));
        WW_TRY(device.copy(x.data, start.data, bytes, stream));
        WW_TRY(prepared.launch(device, stream));
        WW_TRY(device.copy(residual.data, x.data, bytes, stream));
        WW_TRY(prepared.launch(device, stream));
        return device.copy(wide.data, x.data, bytes, stream);
    }
    std::vector<u16> result() {
        std::vector<u16> values(kTokens * kHidden);
        EXPECT_TRUE(context->device().copy_out(values.data(), wide.data, values.size() * 2, stream).ok());
        return values;
    }
    void capture() {
        EXPECT_TRUE(context->device().begin_capture(stream).ok());
        EXPECT_TRUE(enqueue().ok());
        auto captured = context->device().end_capture(stream);
        EXPECT_TRUE(captured.ok()) << captured.status().message();
        if (captured.ok()) graph = *captured;
    }

    std::shared_ptr<Context> context;
    Stream stream;
    Graph graph;
    Prepared prepared;

private:
    std::vector<Buffer> buffers;
    Tensor start, residual, x, wide, up, down, weight;
};

int num_programmatic(const Prepared& prepared) {
    int count = 0;
    for (const Prepared::Step& step : prepared.steps) count += step.config.programmatic;
    return count;
}

TEST(Overlap, IsAskedForFromHopperOn) {
    Chain hopper("emulated:h200"), blackwell("emulated:rtx-5090"), ampere("emulated:a100"), host("cpu");
    for (Chain* chain : {&hopper, &blackwell, &ampere, &host}) ASSERT_TRUE(chain->prepare_layers(1).ok());
    EXPECT_EQ(num_programmatic(hopper.prepared), 4);
    EXPECT_EQ(num_programmatic(blackwell.prepared), 4);
    EXPECT_EQ(num_programmatic(ampere.prepared), 0);
    EXPECT_EQ(num_programmatic(host.prepared), 0);

    hopper.context->forbid_overlap();
    EXPECT_FALSE(hopper.context->overlaps_launches());
    ASSERT_TRUE(hopper.prepare_layers(1).ok());
    EXPECT_EQ(num_programmatic(hopper.prepared), 4);  // those of before
}

void compare(const std::string& device, int layers, int rounds, const std::string& gemm_row = "") {
    Chain serial(device, gemm_row), overlapping(device, gemm_row);
    serial.context->forbid_overlap();
    ASSERT_TRUE(serial.prepare_layers(layers).ok());
    ASSERT_TRUE(overlapping.prepare_layers(layers).ok());
    Status status = serial.enqueue();
    ASSERT_TRUE(status.ok()) << status.message();
    const std::vector<u16> expected = serial.result();
    for (int round = 0; round < rounds; ++round) {
        status = overlapping.enqueue();
        ASSERT_TRUE(status.ok()) << status.message();
        ASSERT_TRUE(overlapping.result() == expected) << "launches, round " << round;
    }
    if (!overlapping.context->device().supports_graphs()) return;
    overlapping.capture();
    for (int round = 0; round < rounds; ++round) {
        ASSERT_TRUE(overlapping.context->device().launch(overlapping.graph, overlapping.stream).ok());
        ASSERT_TRUE(overlapping.result() == expected) << "graph, round " << round;
    }
}

// Half of the first product's blocks and more have a place at once: they ask for weights before they wait.
const std::string kEarlyRow = "gemm.portable.bf16.16x32x128.k4.deep";

TEST(Overlap, ChangesNothingOnAnEmulatedGpu) {
    compare("emulated:h200", 2, 1);
    compare("emulated:h200", 2, 1, kEarlyRow);
}

TEST(Overlap, ChangesNothingOnTheGpu) {
    bool has_gpu = false;
    for (const std::string& id : list_devices().ids) has_gpu = has_gpu || id == "cuda:0";
    if (!has_gpu) GTEST_SKIP() << "no GPU: " << list_devices().cuda_problem;
    compare("cuda:0", 40, 100);
    compare("cuda:0", 40, 100, kEarlyRow);
}

}  // namespace
}  // namespace warpwright
