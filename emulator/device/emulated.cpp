// SPDX-License-Identifier: Apache-2.0
#include "emulator/device/emulated.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <functional>
#include <mutex>
#include <vector>

#include "device/machine.h"
#include "device/registry.h"
#include "emulator/decode/load.h"

namespace warpwright::emulator {
namespace {

using Clock = std::chrono::steady_clock;

u64 address_of(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

struct LoadedKernel {
    std::string row;
    std::string ptx;  // kernels of one row differ by it
    LoadedProgram loaded;
    ImageResources resources;
};

using Action = std::function<Status()>;

struct EmulatedStream {
    bool is_capturing = false;
    std::vector<Action> captured;
};

struct EmulatedGraph {
    std::vector<Action> actions;
};

struct EmulatedEvent {
    std::atomic<Clock::rep> time{0};  // 0: not recorded
};

class Emulated final : public EmulatedDevice {
public:
    Emulated(Target target, DeviceOptions options, int ordinal, u64 capacity_bytes)
        : id_("emulated:" + target.id),
          target_(std::move(target)),
          options_(options),
          memory_(ordinal, capacity_bytes) {}

    const std::string& id() const override { return id_; }
    const Target& target() const override { return target_; }
    const DeviceOptions& options() const override { return options_; }
    u64 warp_instructions() const override { return warp_instructions_; }
    bool poisons_fresh_memory() const override { return true; }

    Result<MemoryInfo> memory() override {
        const auto total = static_cast<i64>(memory_.capacity_bytes());
        return MemoryInfo{total - static_cast<i64>(memory_.used_bytes()), total};
    }

    Result<void*> allocate_own(std::size_t bytes) override {
        auto address = memory_.allocate(std::max<std::size_t>(bytes, 1));
        if (!address.ok()) return named(address.status());
        return reinterpret_cast<void*>(*address);
    }
    Result<void*> import(void* data, std::size_t bytes, bool read_only) override {
        auto address = memory_.import(data, bytes, read_only);
        if (!address.ok()) return named(address.status());
        return reinterpret_cast<void*>(*address);
    }
    void release_own(void* pointer) override {
        if (pointer != nullptr) (void)memory_.release(address_of(pointer));
    }

    bool takes_allocator() const override { return false; }

    Status copy_in(void* device, const void* host, std::size_t bytes, Stream stream) override {
        return enqueue(stream, [=, this] { return named(memory_.write(address_of(device), host, bytes)); });
    }
    Status copy_out(void* host, const void* device, std::size_t bytes, Stream stream) override {
        return enqueue(stream, [=, this] { return named(memory_.read(address_of(device), host, bytes)); });
    }
    Status copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
        return enqueue(stream,
                       [=, this] { return named(memory_.copy(address_of(to), address_of(from), bytes)); });
    }
    Status fill(void* device, u8 value, std::size_t bytes, Stream stream) override {
        return enqueue(stream, [=, this] { return named(memory_.fill(address_of(device), value, bytes)); });
    }

    Result<Kernel> load(const Image& image) override;
    Status launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                  Stream stream) override;
    Result<int> max_active_blocks(Kernel kernel, int block_threads, u32 shared_bytes) override;

    Result<Stream> create_stream() override { return Stream{new EmulatedStream}; }
    void destroy(Stream stream) override { delete static_cast<EmulatedStream*>(stream.handle); }
    Status synchronize(Stream) override { return {}; }

    Result<Event> create_event() override { return Event{new EmulatedEvent}; }
    void destroy(Event event) override { delete static_cast<EmulatedEvent*>(event.handle); }
    Status record(Event event, Stream stream) override {
        if (event.handle == nullptr) return caller_error(id_ + ": record of an event that was not created");
        auto* state = static_cast<EmulatedEvent*>(event.handle);
        return enqueue(stream, [state]() -> Status {
            state->time = Clock::now().time_since_epoch().count();
            return {};
        });
    }
    Status wait(Stream, Event) override { return {}; }  // what was recorded has already happened
    Status wait(Event event) override {
        if (event.handle != nullptr && static_cast<EmulatedEvent*>(event.handle)->time != 0) return {};
        return caller_error(id_ + ": time of an event that was not recorded");
    }
    Result<double> elapsed_us(Event from, Event to) override {
        for (const Event event : {from, to}) WW_TRY(wait(event));
        const Clock::rep ticks =
            static_cast<EmulatedEvent*>(to.handle)->time - static_cast<EmulatedEvent*>(from.handle)->time;
        return std::chrono::duration<double, std::micro>(Clock::duration(ticks)).count();
    }

    Status begin_capture(Stream stream) override {
        EmulatedStream& state = state_of(stream);
        if (state.is_capturing) return caller_error(id_ + ": the stream is being captured already");
        state.is_capturing = true;
        state.captured.clear();
        return {};
    }
    Result<Graph> end_capture(Stream stream) override {
        EmulatedStream& state = state_of(stream);
        if (!state.is_capturing) return caller_error(id_ + ": end of a capture that was not begun");
        state.is_capturing = false;
        return Graph{new EmulatedGraph{std::move(state.captured)}};
    }
    Status launch(Graph graph, Stream stream) override {
        if (graph.handle == nullptr) return caller_error(id_ + ": launch of a graph that was not captured");
        const auto* recorded = static_cast<const EmulatedGraph*>(graph.handle);
        return enqueue(stream, [recorded]() -> Status {
            for (const Action& action : recorded->actions) WW_TRY(action());
            return {};
        });
    }
    void destroy(Graph graph) override { delete static_cast<EmulatedGraph*>(graph.handle); }
    bool supports_graphs() const override { return true; }

    Result<TensorMap> encode(const TensorMapSpec&) override {
        return unavailable(id_ + ": tensor maps are not covered by the emulator yet");
    }
    Result<bool> can_access_peer(const Device& other) override { return &other == this; }
    Status enable_peer_access(const Device& other) override {
        if (&other == this) return {};
        return unavailable(
            fmt::format("{}: peer access to {} is not covered by the emulator yet", id_, other.id()));
    }

    std::string take_printed() override {
        const std::lock_guard lock(printed_mutex_);
        return std::exchange(printed_, {});
    }

private:
    EmulatedStream& state_of(Stream stream) {
        return stream.handle == nullptr ? default_stream_ : *static_cast<EmulatedStream*>(stream.handle);
    }
    // Records the action where the stream is being captured, else does it.
    template <class F>
    Status enqueue(Stream stream, F action) {
        EmulatedStream& state = state_of(stream);
        if (!state.is_capturing) return action();
        state.captured.emplace_back(std::move(action));
        return {};
    }
    Status named(const Status& status) const {
        return status.ok() ? status : Status(status.kind(), id_ + ": " + status.message());
    }
    Status run(const LoadedKernel& kernel, const LaunchConfig& config, std::span<const std::byte> args);

    const std::string id_;
    const Target target_;
    const DeviceOptions options_;
    GlobalMemory memory_;
    EmulatedStream default_stream_;
    std::mutex kernels_mutex_;
    std::vector<std::unique_ptr<LoadedKernel>> kernels_;  // handles point to them
    std::atomic<u64> warp_instructions_{0};
    std::mutex printed_mutex_;
    std::string printed_;
};

Result<Kernel> Emulated::load(const Image& image) {
    if (image.ptx.empty()) {
        return caller_error(fmt::format("{}: image {} has no PTX: it is built for {}", id_, image.row,
                                        build_target_name(image.build_target)));
    }
    const std::lock_guard lock(kernels_mutex_);
    for (const auto& kernel : kernels_) {
        if (kernel->row == image.row && kernel->ptx == image.ptx) return Kernel{kernel.get()};
    }
    const int capability = target_.facts.compute_capability;
    auto loaded = load_program(image.ptx, image.entry, {capability, numerics_of(capability)}, memory_);
    if (!loaded.ok()) {
        return Status(loaded.status().kind(),
                      fmt::format("{}: image {} ({}): {}", id_, image.row,
                                  build_target_name(image.build_target), loaded.status().message()));
    }
    kernels_.push_back(std::make_unique<LoadedKernel>(
        LoadedKernel{image.row, image.ptx, std::move(*loaded), image.resources}));
    return Kernel{kernels_.back().get()};
}

Status Emulated::launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                        Stream stream) {
    if (kernel.handle == nullptr) return caller_error(id_ + ": launch of a kernel that was not loaded");
    const auto& loaded = *static_cast<const LoadedKernel*>(kernel.handle);
    if (!state_of(stream).is_capturing) return run(loaded, config, args);
    return enqueue(stream, [this, &loaded, config, bytes = std::vector(args.begin(), args.end())] {
        return run(loaded, config, bytes);
    });
}

Status Emulated::run(const LoadedKernel& kernel, const LaunchConfig& config,
                     std::span<const std::byte> args) {
    LaunchOptions options;
    options.level = options_.level;
    options.seed = options_.seed;
    options.num_threads = options_.threads;
    LaunchReport report =
        run_grid(kernel.loaded.program, target_, kernel.resources, memory_, config, args, options);
    warp_instructions_ += report.warp_instructions;
    if (!report.printed.empty()) {
        const std::lock_guard lock(printed_mutex_);
        printed_ += report.printed;
    }
    if (!report.finding) return {};
    return caller_error(fmt::format("{}: {}", id_, finding_text(*report.finding)));
}

// CUDA programming guide, "Compute capabilities": blocks per SM, 65,536 registers, 1 KiB of shared memory for
// the system in each block from 8.0 on.
Result<int> Emulated::max_active_blocks(Kernel kernel, int block_threads, u32 shared_bytes) {
    if (kernel.handle == nullptr) return caller_error(id_ + ": occupancy of a kernel that was not loaded");
    const auto& loaded = *static_cast<const LoadedKernel*>(kernel.handle);
    return resident_blocks(loaded.loaded.program, target_, loaded.resources, block_threads, shared_bytes);
}

template <class T>
bool parse_number(std::string_view text, T& value) {
    const char* end = text.data() + text.size();
    const auto [parsed, error] = std::from_chars(text.data(), end, value);
    return error == std::errc{} && parsed == end && !text.empty();
}

Status parse_option(std::string_view option, DeviceOptions& options) {
    const std::size_t equals = option.find('=');
    const std::string_view key = option.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : option.substr(equals + 1);
    if (key == "checks") {
        if (value == "off") return options.level = CheckLevel::off, Status{};
        if (value == "bounds") return options.level = CheckLevel::bounds, Status{};
        if (value == "all") return options.level = CheckLevel::all, Status{};
        return caller_error(fmt::format("device: checks={}: expected off, bounds or all", value));
    }
    if (key == "seed" && parse_number(value, options.seed)) return {};
    if (key == "threads" && parse_number(value, options.threads) && options.threads >= 0) return {};
    return caller_error(fmt::format(
        "device: emulated option \"{}\": expected checks=off|bounds|all, seed=N or threads=N", option));
}

Result<std::shared_ptr<Device>> open(std::string_view argument) {
    WW_ASSIGN(auto device, open_emulated_device(argument));
    return std::shared_ptr<Device>(std::move(device));
}

const bool registered = register_device_kind({"emulated", "emulated:GPU", open, nullptr});

}  // namespace

Result<std::shared_ptr<EmulatedDevice>> open_emulated_device(std::string_view argument) {
    DeviceOptions options;
    std::size_t comma = argument.find(',');
    const std::string_view name = argument.substr(0, comma);
    while (comma != std::string_view::npos) {
        const std::size_t next = argument.find(',', comma + 1);
        WW_TRY(parse_option(argument.substr(comma + 1, next - comma - 1), options));
        comma = next;
    }
    WW_ASSIGN(Target target, find_target(name));
    if (target.facts.compute_capability == 0) {
        return caller_error(fmt::format("device: emulated:{}: expected the name of a GPU", name));
    }
    // Half of what the machine has free: every byte has a byte of shadow.
    const auto free_bytes = static_cast<u64>(std::max<i64>(read_host_facts().free_bytes, 0));
    const u64 capacity = std::min<u64>(static_cast<u64>(target.facts.memory_bytes), free_bytes / 4);
    static std::atomic<int> next_ordinal{0};
    const int ordinal = next_ordinal++ % kMaxDevices;
    return std::shared_ptr<EmulatedDevice>(
        std::make_shared<Emulated>(std::move(target), options, ordinal, capacity));
}

}  // namespace warpwright::emulator
