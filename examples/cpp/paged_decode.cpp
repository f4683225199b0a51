// SPDX-License-Identifier: Apache-2.0
// An engine's inner loop: sequences of different lengths grow token by token in pages of one cache. What a
// token takes is prepared once, and captured in a graph where the device has graphs; lengths, positions and
// pages are read from device memory when it is launched. At the end the last step's attention is compared
// with the same keys and values without pages.
//   paged_decode [DEVICE]     "auto", "cpu", "cuda:0", "emulated:rtx-5090"
#include <warpwright/ops/attention.h>
#include <warpwright/ops/gemm.h>
#include <warpwright/ops/kv_append.h>
#include <warpwright/ops/rmsnorm.h>
#include <warpwright/ops/rope.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

using namespace warpwright;

namespace {

constexpr i64 kSequences = 3, kSteps = 20, kHidden = 256, kHeads = 4, kKvHeads = 2, kHeadDim = 64;
constexpr i64 kPageSize = 16, kMaxPages = 4;  // of a sequence
constexpr i64 kQkvRows = (kHeads + 2 * kKvHeads) * kHeadDim;

// The value, or the end of the program with the reason.
template <class T>
T must(Result<T> result) {
    if (result.ok()) return std::move(result).value();
    std::fprintf(stderr, "error: %s\n", result.status().message().c_str());
    std::exit(1);
}
void must(const Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "error: %s\n", status.message().c_str());
    std::exit(1);
}

float from_bf16(u16 bits) {
    return std::bit_cast<float>(u32{bits} << 16);
}

struct Comparison {
    float largest_value = 0, largest_difference = 0;
};

class Loop {
public:
    explicit Loop(const char* device)
        : context_(must(Context::open(device))), stream_(must(gpu().create_stream())) {}
    ~Loop() {
        if (graph_.handle != nullptr) gpu().destroy(graph_);
        gpu().destroy(stream_);
    }

    void prepare_step();
    void step(const std::vector<i32>& positions);
    Comparison compare_with_ragged(const std::vector<i32>& lengths);
    const Prepared& prepared() const { return prepared_; }
    Device& gpu() { return context_->device(); }

private:
    // Device memory with this content, as a dense tensor.
    template <class T>
    Tensor tensor(DType dtype, std::initializer_list<i64> shape, const std::vector<T>& content) {
        Tensor tensor = Tensor::dense(nullptr, dtype, shape);
        const auto bytes = static_cast<std::size_t>(tensor.num_elements() * dtype_bytes(dtype));
        buffers_.push_back(must(Buffer::allocate(context_->shared_device(), bytes)));
        tensor.data = buffers_.back().data();
        must(gpu().copy_in(tensor.data, content.data(), bytes, stream_));
        must(gpu().synchronize(stream_));
        return tensor;
    }
    Tensor reals(std::initializer_list<i64> shape, float deviation) {
        std::vector<u16> numbers(
            static_cast<std::size_t>(Tensor::dense(nullptr, DType::bf16, shape).num_elements()));
        std::normal_distribution<float> normal(0, deviation);
        for (u16& number : numbers) number = static_cast<u16>(std::bit_cast<u32>(normal(random_)) >> 16);
        return tensor(DType::bf16, shape, numbers);
    }
    std::vector<u16> read(const Tensor& tensor) {
        std::vector<u16> numbers(static_cast<std::size_t>(tensor.num_elements()));
        must(gpu().copy_out(numbers.data(), tensor.data, numbers.size() * 2, stream_));
        return numbers;
    }

    std::shared_ptr<Context> context_;
    Stream stream_;
    std::mt19937 random_{1};
    std::vector<Buffer> buffers_;
    std::vector<i32> page_table_;
    Tensor x_, q_, k_pages_, v_pages_, out_, q_starts_, positions_, lengths_;
    Prepared prepared_;
    Graph graph_;
};

// heads [first, first + count) of the fused projections [tokens, rows]
Tensor heads_of(const Tensor& fused, i64 first, i64 count) {
    Tensor heads = fused;
    heads.data = static_cast<u16*>(fused.data) + first * kHeadDim;
    heads.rank = 3;
    heads.shape = {fused.shape[0], count, kHeadDim};
    heads.stride = {fused.stride[0], kHeadDim, 1};
    return heads;
}

void Loop::prepare_step() {
    const i64 num_pages = kSequences * kMaxPages;
    for (i64 i = 0; i < num_pages; ++i)
        page_table_.push_back(static_cast<i32>(i * 5 % num_pages));  // not in order
    x_ = reals({kSequences, kHidden}, 1);
    const Tensor normed = reals({kSequences, kHidden}, 1), qkv = reals({kSequences, kQkvRows}, 1);
    const Tensor norm_weight = reals({kHidden}, 1), qkv_weight = reals({kQkvRows, kHidden}, 0.06f);
    const Tensor out_weight = reals({kHidden, kHeads * kHeadDim}, 0.06f);
    k_pages_ = reals({num_pages, kPageSize, kKvHeads, kHeadDim}, 0);
    v_pages_ = reals({num_pages, kPageSize, kKvHeads, kHeadDim}, 0);
    out_ = reals({kSequences, kHeads * kHeadDim}, 0);
    const Tensor sequences = tensor<i32>(DType::i32, {kSequences}, {0, 1, 2});
    const Tensor pages = tensor(DType::i32, {kSequences, kMaxPages}, page_table_);
    q_starts_ = tensor<i32>(DType::i32, {kSequences + 1}, {0, 1, 2, 3});
    positions_ = tensor<i32>(DType::i32, {kSequences}, {0, 0, 0});
    lengths_ = tensor<i32>(DType::i32, {kSequences}, {0, 0, 0});
    const RopeFrequencies rope = rope_frequencies(10000, kHeadDim, {});
    const Tensor frequency = tensor(DType::f32, {kHeadDim / 2}, rope.frequency);

    q_ = heads_of(qkv, 0, kHeads);
    const Tensor k = heads_of(qkv, kHeads, kKvHeads), v = heads_of(qkv, kHeads + kKvHeads, kKvHeads);
    must(prepare(*context_, RmsNorm{.x = x_, .weight = norm_weight, .out = normed}, prepared_));
    must(prepare(*context_, Gemm{.a = normed, .b = qkv_weight, .d = qkv}, prepared_));
    must(prepare(*context_, Rope{.q = q_, .k = k, .positions = positions_, .frequency = frequency},
                 prepared_));
    must(prepare(*context_,
                 KvAppend{.k = k,
                          .v = v,
                          .sequences = sequences,
                          .positions = positions_,
                          .page_table = pages,
                          .k_pages = k_pages_,
                          .v_pages = v_pages_},
                 prepared_));
    Attention attention{.q = q_,
                        .out = heads_of(out_, 0, kHeads),
                        .k_pages = k_pages_,
                        .v_pages = v_pages_,
                        .page_table = pages,
                        .kv_lengths = lengths_,
                        .q_starts = q_starts_};
    const i64 bytes = must(attention_workspace_bytes(*context_, attention));
    if (bytes > 0) {
        buffers_.push_back(
            must(Buffer::allocate(context_->shared_device(), static_cast<std::size_t>(bytes))));
        attention.workspace = Tensor::dense(buffers_.back().data(), DType::u8, {bytes});
    }
    must(prepare(*context_, attention, prepared_));
    must(prepare(*context_, Gemm{.a = out_, .b = out_weight, .d = x_, .residual = x_}, prepared_));

    if (!gpu().supports_graphs()) return;
    must(gpu().begin_capture(stream_));
    must(prepared_.launch(gpu(), stream_));
    graph_ = must(gpu().end_capture(stream_));
}

void Loop::step(const std::vector<i32>& positions) {
    std::vector<i32> lengths;
    for (const i32 position : positions) lengths.push_back(position + 1);
    must(gpu().copy_in(positions_.data, positions.data(), sizeof(i32) * positions.size(), stream_));
    must(gpu().copy_in(lengths_.data, lengths.data(), sizeof(i32) * lengths.size(), stream_));
    must(graph_.handle != nullptr ? gpu().launch(graph_, stream_) : prepared_.launch(gpu(), stream_));
}

// The last step's attention against one over keys and values in one piece.
Comparison Loop::compare_with_ragged(const std::vector<i32>& lengths) {
    const std::vector<u16> pages[2] = {read(k_pages_), read(v_pages_)}, paged_out = read(out_);
    std::vector<u16> pieces[2];
    std::vector<i32> starts{0};
    constexpr i64 kRow = kKvHeads * kHeadDim;
    for (i64 sequence = 0; sequence < kSequences; ++sequence) {
        for (i64 token = 0; token < lengths[sequence]; ++token) {
            const i64 page = page_table_[sequence * kMaxPages + token / kPageSize];
            const i64 at = (page * kPageSize + token % kPageSize) * kRow;
            for (int i = 0; i < 2; ++i)
                pieces[i].insert(pieces[i].end(), pages[i].begin() + at, pages[i].begin() + at + kRow);
        }
        starts.push_back(starts.back() + lengths[sequence]);
    }
    const Tensor out = reals({kSequences, kHeads * kHeadDim}, 0);
    must(attention(*context_, stream_,
                   {.q = q_,
                    .out = heads_of(out, 0, kHeads),
                    .k = tensor(DType::bf16, {starts.back(), kKvHeads, kHeadDim}, pieces[0]),
                    .v = tensor(DType::bf16, {starts.back(), kKvHeads, kHeadDim}, pieces[1]),
                    .kv_starts = tensor(DType::i32, {kSequences + 1}, starts),
                    .q_starts = q_starts_}));
    const std::vector<u16> ragged_out = read(out);
    Comparison result;
    for (std::size_t i = 0; i < ragged_out.size(); ++i) {
        const float expected = from_bf16(ragged_out[i]), difference = from_bf16(paged_out[i]) - expected;
        result.largest_value = std::max(result.largest_value, std::abs(expected));
        result.largest_difference = std::max(result.largest_difference, std::abs(difference));
    }
    return result;
}

}  // namespace

int main(int argc, char** argv) {
    Loop loop(argc > 1 ? argv[1] : "auto");
    loop.prepare_step();
    std::vector<i32> positions{0, 0, 0};
    for (i64 step = 0; step < kSteps; ++step) {
        loop.step(positions);
        // The second sequence has ended, and writes to one place from now on; the others grow.
        for (i64 i = 0; i < kSequences && step + 1 < kSteps; ++i) positions[i] += i == 1 && step > 6 ? 0 : 1;
    }
    std::vector<i32> lengths;
    for (const i32 position : positions) lengths.push_back(position + 1);
    const Comparison compared = loop.compare_with_ragged(lengths);
    std::printf("%s: %lld steps of %zu launches:", loop.gpu().id().c_str(), static_cast<long long>(kSteps),
                loop.prepared().steps.size());
    for (const Prepared::Step& step : loop.prepared().steps) std::printf(" %s", step.row.c_str());
    std::printf("\nlengths %d %d %d; paged and unpaged attention differ by at most %g of %g\n", lengths[0],
                lengths[1], lengths[2], compared.largest_difference, compared.largest_value);
    // bf16 has 8 bits: each of the two is rounded once.
    return compared.largest_difference <= compared.largest_value / 128 ? 0 : 1;
}
