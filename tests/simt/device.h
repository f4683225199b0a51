// SPDX-License-Identifier: Apache-2.0
// A device whose kernels are entered thread by thread on the CPU, for any GPU of the list: an operation's
// check runs on it as it does on hardware, choice of rows, splits and merge included.
//   Context context(std::make_shared<simt::SimtDevice>("h200"));
//   context.kernel("row", entry);      entry is called once per thread
#pragma once

#include "device/host_threads.h"
#include "simt/machine.h"
#include "warpwright/device.h"

namespace simt {

class SimtDevice final : public Device {
public:
    explicit SimtDevice(std::string_view target) : target_(*find_target(target)) {}

    const std::string& id() const override { return id_; }
    const Target& target() const override { return target_; }
    Result<MemoryInfo> memory() override { return MemoryInfo{}; }

    Result<void*> allocate_own(std::size_t bytes) override {
        return std::aligned_alloc(256, (std::max<std::size_t>(bytes, 1) + 255) / 256 * 256);
    }
    void release_own(void* pointer) override { std::free(pointer); }
    Status copy_in(void* to, const void* from, std::size_t bytes, Stream) override {
        std::memcpy(to, from, bytes);
        return {};
    }
    Status copy_out(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return copy_in(to, from, bytes, stream);
    }
    Status copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return copy_in(to, from, bytes, stream);
    }
    Status fill(void* to, u8 value, std::size_t bytes, Stream) override {
        std::memset(to, value, bytes);
        return {};
    }

    Result<Kernel> load(const Image& image) override {
        if (image.host == nullptr) return unavailable("simt: no entry for " + image.row);
        return Kernel{reinterpret_cast<const void*>(image.host)};
    }
    Status launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                  Stream) override {
        if (config.grid.y * config.grid.z * config.block.y * config.block.z != 1 ||
            config.shared_bytes > kSharedBytes)
            return unavailable("simt: only grids and blocks of one dimension");
        const auto entry = reinterpret_cast<HostFunction>(kernel.handle);
        std::vector<std::byte> copy(args.begin(), args.end());
        gridDim.x = config.grid.x;
        for (u32 block = 0; block < config.grid.x; ++block) {
            run_block(static_cast<int>(config.block.x), block, [&] { entry(copy.data(), threads_); });
        }
        return {};
    }
    Result<int> max_active_blocks(Kernel, int, u32) override { return 1; }

    Result<Stream> create_stream() override { return Stream{}; }
    void destroy(Stream) override {}
    Status synchronize(Stream) override { return {}; }
    Result<Event> create_event() override { return Event{}; }
    void destroy(Event) override {}
    Status record(Event, Stream) override { return {}; }
    Status wait(Stream, Event) override { return {}; }
    Status wait(Event) override { return {}; }
    Result<double> elapsed_us(Event, Event) override { return 0.0; }
    Status begin_capture(Stream) override { return unavailable("simt: no graphs"); }
    Result<Graph> end_capture(Stream) override { return unavailable("simt: no graphs"); }
    Status launch(Graph, Stream) override { return unavailable("simt: no graphs"); }
    void destroy(Graph) override {}
    bool supports_graphs() const override { return false; }
    Result<TensorMap> encode(const TensorMapSpec&) override { return unavailable("simt: no tensor maps"); }
    Result<bool> can_access_peer(const Device&) override { return false; }
    Status enable_peer_access(const Device&) override { return unavailable("simt: no peers"); }

private:
    std::string id_ = "simt";
    Target target_;
    HostThreads threads_{1};  // what the entries' type asks for; unused
};

}  // namespace simt
