// SPDX-License-Identifier: Apache-2.0
// How fast a checkpoint arrives on a device from the page cache, against how fast this machine copies memory.
//
//     load_bench [--gib N] [--device D] [--folder DIR] [--dtype bf16|f32] [--threads N] [--part-kib N]
//     [--runs N]
//
// Writes a random checkpoint in shards under DIR (kept, and used again by the next run), reads it once so
// that it is in the page cache, then measures: copying memory with as many threads; copying pinned memory to
// the device; loading. The ratio is of loading to the slower of the two copies.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <thread>

#include "engine/parameters.h"
#include "engine/weights.h"

namespace warpwright {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Options {
    double gib = 16;
    std::string device = "auto", folder = "/tmp/load_bench", dtype = "bf16";
    int threads = 0, part_kib = 0, runs = 5;
};

double gb_s(double bytes, Clock::duration time) {
    return bytes * 1e-9 / std::chrono::duration<double>(time).count();
}

// Of several runs the fastest, in GB/s.
double fastest(int runs, double bytes, const std::function<void()>& run) {
    double best = 0;
    for (int i = 0; i < runs; ++i) {
        const auto start = Clock::now();
        run();
        best = std::max(best, gb_s(bytes, Clock::now() - start));
    }
    return best;
}

// --- the checkpoint
// -----------------------------------------------------------------------------------------

// Layers of Llama 3.1 8B's sizes, as many as fill the bytes.
ModelConfig config_of(double gib) {
    const auto config_with = [](int layers) {
        auto config = parse_config(
            fmt::format(R"({{"architectures":["LlamaForCausalLM"],"hidden_size":4096,"num_hidden_layers":{},)"
                        R"("num_attention_heads":32,"num_key_value_heads":8,"intermediate_size":14336,)"
                        R"("vocab_size":32000,"torch_dtype":"bfloat16"}})",
                        layers),
            "", "load_bench");
        if (!config.ok()) throw std::runtime_error(config.status().message());
        return *config;
    };
    const double wanted = gib * 0x1p30 / 2;
    const double one = static_cast<double>(num_parameters(config_with(1)));
    const double layer = static_cast<double>(num_parameters(config_with(2))) - one;
    return config_with(std::max(1, static_cast<int>((wanted - one) / layer) + 1));
}

// Shards of about 5 GB, as the field writes them. The header first, then a block of random bytes again and
// again.
void write_checkpoint(const ModelConfig& config, DType dtype, const fs::path& folder) {
    constexpr i64 kShardBytes = 5'000'000'000;
    std::vector<u32> block((8 << 20) / 4 + 1);
    std::mt19937 random(1);
    // Exponents of small numbers, so that nothing that is converted is special.
    for (u32& word : block) word = (random() & 0x807f807fu) | 0x3c003c00u;
    fs::create_directories(folder);
    std::string index;
    std::string header;
    i64 at = 0;
    int shard = 0;
    const auto finish = [&] {
        if (at == 0) return;
        header.back() = '}';
        header.resize((header.size() + 7) / 8 * 8, ' ');
        std::ofstream file(folder / fmt::format("{}.safetensors", shard++), std::ios::binary);
        for (int i = 0; i < 8; ++i) file.put(static_cast<char>(static_cast<u64>(header.size()) >> (8 * i)));
        file << header;
        const auto block_bytes = static_cast<i64>(block.size()) * 4;
        for (i64 left = at; left > 0; left -= block_bytes) {
            file.write(reinterpret_cast<const char*>(block.data()), std::min(left, block_bytes));
        }
        if (!file.flush()) throw std::runtime_error("cannot write " + folder.string());
        header = "{";
        at = 0;
    };
    header = "{";
    for (const Parameter& parameter : list_parameters(config)) {
        for (const ParameterPiece& piece : parameter.pieces) {
            const i64 bytes = piece.num_elements() * dtype_bytes(dtype);
            if (at + bytes > kShardBytes) finish();
            const std::string shape = piece.shape.size() == 1
                                          ? fmt::format("{}", piece.shape[0])
                                          : fmt::format("{},{}", piece.shape[0], piece.shape[1]);
            header += fmt::format(R"("{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}},)", piece.name,
                                  dtype == DType::f32 ? "F32" : "BF16", shape, at, at + bytes);
            index += fmt::format(R"({}"{}":"{}.safetensors")", index.empty() ? "" : ",", piece.name, shard);
            at += bytes;
        }
    }
    finish();
    std::ofstream(folder / "model.safetensors.index.json") << "{\"weight_map\":{" << index << "}}";
}

// --- what the machine can do
// ----------------------------------------------------------------------------------

void in_threads(int count, const std::function<void(int)>& body) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) threads.emplace_back(body, i);
    for (std::thread& thread : threads) thread.join();
}

// From memory that no cache holds, by memcpy, all threads together.
double memory_copy_gb_s(int threads, int runs) {
    constexpr std::size_t kBytes = 128 << 20;  // of each thread
    std::vector<std::vector<char>> from(static_cast<std::size_t>(threads)), to(from.size());
    in_threads(threads, [&](int i) {
        from[static_cast<std::size_t>(i)].assign(kBytes, 1);
        to[static_cast<std::size_t>(i)].assign(kBytes, 2);
    });
    return fastest(runs, static_cast<double>(kBytes) * threads, [&] {
        in_threads(threads, [&](int i) {
            std::memcpy(to[static_cast<std::size_t>(i)].data(), from[static_cast<std::size_t>(i)].data(),
                        kBytes);
        });
    });
}

Result<double> pinned_copy_gb_s(const std::shared_ptr<Device>& device, int runs) {
    constexpr std::size_t kBytes = 256 << 20;
    constexpr int kCopies = 8;
    WW_ASSIGN(const Buffer from, Buffer::allocate_pinned(device, kBytes));
    WW_ASSIGN(const Buffer to, Buffer::allocate(device, kBytes));
    WW_ASSIGN(const Stream stream, device->create_stream());
    std::memset(from.data(), 1, kBytes);
    Status status;
    const double rate = fastest(runs, static_cast<double>(kBytes) * kCopies, [&] {
        for (int i = 0; i < kCopies && status.ok(); ++i)
            status = device->copy_in(to.data(), from.data(), kBytes, stream);
        if (status.ok()) status = device->synchronize(stream);
    });
    device->destroy(stream);
    WW_TRY(status);
    return rate;
}

Status run(const Options& options) {
    const DType dtype = options.dtype == "f32" ? DType::f32 : DType::bf16;
    const ModelConfig config = config_of(dtype == DType::f32 ? options.gib / 2 : options.gib);
    const fs::path folder = fs::path(options.folder) / fmt::format("{}gib-{}", options.gib, options.dtype);
    if (!fs::exists(folder / "model.safetensors.index.json")) {
        fmt::print("writing {}\n", folder.string());
        write_checkpoint(config, dtype, folder);
    }
    WW_ASSIGN(const auto context, Context::open(options.device));
    const int threads =
        options.threads > 0 ? options.threads : static_cast<int>(std::thread::hardware_concurrency());
    const double memory = memory_copy_gb_s(threads, options.runs);
    fmt::print("memcpy, {} threads             {:8.2f} GB/s\n", threads, memory);
    double limit = memory;
    if (!context->device().shares_host_memory()) {
        WW_ASSIGN(const double pinned, pinned_copy_gb_s(context->shared_device(), options.runs));
        fmt::print("pinned memory to {:<12} {:8.2f} GB/s\n", context->device().id(), pinned);
        limit = std::min(limit, pinned);
    }
    const LoadTuning tuning{options.threads, i64{options.part_kib} << 10};
    double stored_bytes = 0, best = 0;
    for (int i = 0; i <= options.runs; ++i) {  // the first brings the files into the page cache
        const auto start = Clock::now();
        WW_ASSIGN(const Weights weights, load_weights(*context, config, folder.string(), {}, tuning));
        const auto time = Clock::now() - start;  // without freeing them
        stored_bytes = static_cast<double>(weights.bytes) * dtype_bytes(dtype) / dtype_bytes(config.dtype);
        if (i > 0) best = std::max(best, gb_s(stored_bytes, time));
    }
    fmt::print("loading {:5.2f} GB of {:<10} {:8.2f} GB/s   {:.2f} of the slower copy\n", stored_bytes * 1e-9,
               options.dtype, best, best / limit);
    return {};
}

}  // namespace
}  // namespace warpwright

int main(int argc, char** argv) {
    warpwright::Options options;
    CLI::App app{"how fast a checkpoint arrives on a device", "load_bench"};
    app.add_option("--gib", options.gib, "size of the checkpoint")->capture_default_str();
    app.add_option("--device", options.device, "auto, cpu, cuda:N")->capture_default_str();
    app.add_option("--folder", options.folder, "where the checkpoint is written, and kept")
        ->capture_default_str();
    app.add_option("--dtype", options.dtype, "as stored: bf16, or f32, which is converted")
        ->check(CLI::IsMember({"bf16", "f32"}))
        ->capture_default_str();
    app.add_option("--threads", options.threads, "0: as load_weights chooses");
    app.add_option("--part-kib", options.part_kib, "0: as load_weights chooses");
    app.add_option("--runs", options.runs, "of which the fastest counts")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    const warpwright::Status status = warpwright::run(options);
    if (!status.ok()) fmt::print(stderr, "error: {}\n", status.message());
    return status.ok() ? 0 : 2;
}
