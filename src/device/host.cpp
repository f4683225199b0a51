// SPDX-License-Identifier: Apache-2.0
#include "device/host.h"

#include <sys/mman.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>

#include <fmt/format.h>
#include "device/host_threads.h"
#include "device/machine.h"

namespace warpwright {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kHugePage = 2 << 20;

struct HostKernel {
    std::string row;
    HostFunction function;
};

// A stream has no state of its own; it exists so that handles differ and are not null.
struct HostStream {};

struct HostEvent {
    std::mutex mutex;
    Clock::time_point time;
    bool recorded = false;
};

// The listed CPU, with this machine's cores and memory. Rates of the list are for its number of cores; the
// bandwidth stays the listed one, because nothing tells it short of measuring.
Target host_target(Target target, const HostFacts& machine, int num_threads) {
    TargetFacts& facts = target.facts;
    if (facts.num_sms > 0) {
        const double scale = static_cast<double>(num_threads) / facts.num_sms;
        facts.bf16_tflops *= scale;
        facts.fp16acc_tflops *= scale;
        facts.fp8_tflops *= scale;
        facts.fp4_tflops *= scale;
        facts.int8_tops *= scale;
    }
    facts.num_sms = num_threads;
    if (machine.memory_bytes > 0) facts.memory_bytes = machine.memory_bytes;
    if (machine.max_mhz > 0) facts.boost_mhz = machine.max_mhz;
    target.measured = true;
    return target;
}

class HostDevice final : public Device {
public:
    HostDevice(Target target, const HostFacts& machine, int num_threads)
        : threads_(num_threads), target_(host_target(std::move(target), machine, threads_.size())) {}

    const std::string& id() const override { return id_; }
    const Target& target() const override { return target_; }

    Result<MemoryInfo> memory() override {
        const HostFacts facts = read_host_facts();
        return MemoryInfo{facts.free_bytes, facts.memory_bytes};
    }

    bool shares_host_memory() const override { return true; }

    Result<void*> allocate_own(std::size_t bytes) override {
        // aligned_alloc wants a multiple of the alignment; nothing is allocated as one unit of it.
        const bool is_large = bytes >= 4 * kHugePage;
        const std::size_t alignment = is_large ? kHugePage : kAlignment;
        const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
        void* pointer = rounded < bytes ? nullptr : std::aligned_alloc(alignment, rounded);
        if (pointer == nullptr)
            return unavailable(fmt::format("cpu: out of memory allocating {} bytes", bytes));
        // Fewer faults while it is filled, and fewer misses of address translation ever after.
        if (is_large) (void)madvise(pointer, rounded, MADV_HUGEPAGE);
        return pointer;
    }
    void release_own(void* pointer) override { std::free(pointer); }

    Status copy_in(void* device, const void* host, std::size_t bytes, Stream stream) override {
        return copy(device, host, bytes, stream);
    }
    Status copy_out(void* host, const void* device, std::size_t bytes, Stream stream) override {
        return copy(host, device, bytes, stream);
    }
    Status copy(void* to, const void* from, std::size_t bytes, Stream) override {
        if (bytes > 0) std::memmove(to, from, bytes);
        return {};
    }
    Status fill(void* device, u8 value, std::size_t bytes, Stream) override {
        if (bytes > 0) std::memset(device, value, bytes);
        return {};
    }

    Result<Kernel> load(const Image& image) override {
        if (image.host == nullptr) {
            return caller_error(fmt::format("cpu: image {} is built for {}, expected a host row", image.row,
                                            build_target_name(image.build_target)));
        }
        std::lock_guard lock(kernels_mutex_);
        for (const HostKernel& kernel : kernels_) {
            if (kernel.function == image.host && kernel.row == image.row) return Kernel{&kernel};
        }
        return Kernel{&kernels_.emplace_back(HostKernel{image.row, image.host})};
    }
    Status launch(Kernel kernel, const LaunchConfig&, std::span<const std::byte> args, Stream) override {
        if (kernel.handle == nullptr) return caller_error("cpu: launch of a kernel that was not loaded");
        static_cast<const HostKernel*>(kernel.handle)->function(args.data(), threads_);
        return {};
    }
    Result<int> max_active_blocks(Kernel, int, u32) override { return 1; }

    Result<Stream> create_stream() override { return Stream{new HostStream}; }
    void destroy(Stream stream) override { delete static_cast<HostStream*>(stream.handle); }
    Status synchronize(Stream) override { return {}; }

    Result<Event> create_event() override { return Event{new HostEvent}; }
    void destroy(Event event) override { delete static_cast<HostEvent*>(event.handle); }
    Status record(Event event, Stream) override {
        if (event.handle == nullptr) return caller_error("cpu: record of an event that was not created");
        auto& state = *static_cast<HostEvent*>(event.handle);
        std::lock_guard lock(state.mutex);
        state.time = Clock::now();
        state.recorded = true;
        return {};
    }
    Status wait(Stream, Event) override { return {}; }
    Status wait(Event event) override { return time_of(event).status(); }
    Result<double> elapsed_us(Event from, Event to) override {
        WW_ASSIGN(const Clock::time_point first, time_of(from));
        WW_ASSIGN(const Clock::time_point last, time_of(to));
        return std::chrono::duration<double, std::micro>(last - first).count();
    }

    Status begin_capture(Stream) override { return no_graphs(); }
    Result<Graph> end_capture(Stream) override { return no_graphs(); }
    Status launch(Graph, Stream) override { return no_graphs(); }
    void destroy(Graph) override {}
    bool supports_graphs() const override { return false; }

    Result<TensorMap> encode(const TensorMapSpec&) override {
        return unavailable("cpu: has no tensor maps: host rows read strided memory themselves");
    }
    Result<bool> can_access_peer(const Device& other) override { return &other == this; }
    Status enable_peer_access(const Device& other) override {
        if (&other == this) return {};
        return unavailable(fmt::format("cpu: has no peer access to {}: copy through the host", other.id()));
    }

private:
    static Status no_graphs() {
        return unavailable("cpu: has no graphs: launches run at once, there is nothing to record");
    }
    static Result<Clock::time_point> time_of(Event event) {
        if (event.handle == nullptr) return caller_error("cpu: time of an event that was not created");
        auto& state = *static_cast<HostEvent*>(event.handle);
        std::lock_guard lock(state.mutex);
        if (!state.recorded) return caller_error("cpu: time of an event that was not recorded");
        return state.time;
    }

    const std::string id_ = "cpu";
    HostThreads threads_;
    const Target target_;
    std::mutex kernels_mutex_;
    std::deque<HostKernel> kernels_;  // handles point into it
};

}  // namespace

Result<std::shared_ptr<Device>> open_host_device(int num_threads) {
    WW_ASSIGN(Target listed, find_target("cpu"));
    return std::shared_ptr<Device>(
        std::make_shared<HostDevice>(std::move(listed), read_host_facts(), num_threads));
}

}  // namespace warpwright
