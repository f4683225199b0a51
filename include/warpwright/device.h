// SPDX-License-Identifier: Apache-2.0
// Device: allocates, copies, loads images, launches, records events, captures graphs. One interface, several
// implementations: `cuda` (driver API, opened at run time), `host` (C++ rows on a thread pool) and `emulated`
// (PTX on the CPU, in emulator/).
//
// Threads: every call may be made from any thread at any time. Calls that name one stream, event or graph
// must not run at once with its destruction, and what is captured from one stream is captured by one thread.
// Streams: work on one stream runs in the order of the calls, and is waited for only where a call says so;
// nothing is ordered between streams but by events. The null stream is the device's default one (CUDA's
// legacy stream). A GPU's context is its primary one, retained while the Device lives: streams, events and
// pointers of the CUDA runtime in this process are its own, and a caller's current context stays current.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "warpwright/status.h"
#include "warpwright/target.h"

namespace warpwright {

struct Dim3 {
    u32 x = 1, y = 1, z = 1;
};

struct LaunchConfig {
    Dim3 grid{};
    Dim3 block{};
    Dim3 cluster{};             // 1,1,1: no cluster launch
    u32 shared_bytes = 0;       // dynamic
    bool programmatic = false;  // may start before the kernel before it in the stream ends (PDL)
};

class HostThreads;
using HostFunction = void (*)(const void* args, HostThreads& threads);

struct ImageResources {
    int registers = 0;    // per thread
    int spill_bytes = 0;  // stores + loads of local memory by spilling, per thread
    int stack_bytes = 0;  // local memory per thread
    int static_shared_bytes = 0;
};

// (kernel source, row, build target), compiled. Exactly one of host / cubin / ptx is what a device loads.
struct Image {
    std::string row;
    BuildTarget build_target = BuildTarget::host;
    std::string entry;             // name of the one entry point
    std::vector<std::byte> cubin;  // empty for compute_80
    std::string ptx;
    ImageResources resources;
    HostFunction host = nullptr;
};

struct Kernel {  // a loaded image; owned by the device that loaded it
    const void* handle = nullptr;
};
struct Stream {
    void* handle = nullptr;  // null is the device's default stream
};
struct Event {
    void* handle = nullptr;
};
struct Graph {
    void* handle = nullptr;
};

// A tensor map (TMA descriptor): 128 bytes that travel in a kernel's arguments. PTX ISA, "Tensor maps".
struct alignas(64) TensorMap {
    std::byte bytes[128];
};
struct TensorMapSpec {
    const void* base = nullptr;
    DType dtype = DType::bf16;
    int rank = 0;
    u64 extent[5] = {};        // elements, fastest first
    u64 stride_bytes[5] = {};  // stride_bytes[0] unused
    u32 box[5] = {};           // elements
    int swizzle_bytes = 0;     // 0, 32, 64, 128
};

struct MemoryInfo {
    i64 free_bytes = 0;
    i64 total_bytes = 0;
};

// Where device memory comes from in place of the driver's: a framework's caching allocator, say. Called from
// any thread, and at once from several; a GPU is current in the calling thread.
struct Allocator {
    void* user = nullptr;
    // At least `bytes` at a multiple of 256 bytes, or null where there is none. Used on any stream.
    void* (*allocate)(void* user, std::size_t bytes) = nullptr;
    // What allocate gave; all work on it is over.
    void (*release)(void* user, void* pointer, std::size_t bytes) = nullptr;
};
class ExternalMemory;

// Which very device this is, and what drives it: what was found out about it holds for these.
struct DeviceIdentity {
    std::string name;    // a GPU's "GPU-xxxxxxxx-..."; empty for the CPU and for emulated devices
    std::string driver;  // "580.95.05"
};

class Device {
public:
    virtual ~Device() = default;

    virtual const std::string& id() const = 0;  // "cuda:0", "cpu"
    virtual DeviceIdentity identity() const { return {}; }
    virtual const Target& target() const = 0;
    virtual Result<MemoryInfo> memory() = 0;
    // Memory that was not written since allocate() reads as 0xff bytes, and kernels that read it are
    // reported.
    virtual bool poisons_fresh_memory() const { return false; }

    // Its memory is this process's own: host code may read and write what allocate() returns.
    virtual bool shares_host_memory() const { return false; }

    Result<void*> allocate(std::size_t bytes);  // 256-byte aligned
    void release(void* pointer);
    // From now on every allocation is the caller's allocator's: before the first one. Kernels' code and
    // pinned memory of the host are not. Caller error: a device that simulates its memory, one that has an
    // allocator.
    Status use_allocator(const Allocator& allocator);

    virtual Status copy_in(void* device, const void* host, std::size_t bytes, Stream stream) = 0;
    virtual Status copy_out(void* host, const void* device, std::size_t bytes, Stream stream) = 0;  // waits
    virtual Status copy(void* to, const void* from, std::size_t bytes, Stream stream) = 0;
    virtual Status fill(void* device, u8 value, std::size_t bytes, Stream stream) = 0;

    // Host memory, page-aligned, that copies reach at the link's full speed. copy_in from it returns at once;
    // it must not be written before the copy is over. Plain memory on devices that copy at once.
    virtual Result<void*> allocate_pinned(std::size_t bytes);
    virtual void release_pinned(void* pointer);

    virtual Result<Kernel> load(const Image& image) = 0;  // allows the opt-in shared memory limit
    virtual Status launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                          Stream stream) = 0;
    virtual Result<int> max_active_blocks(Kernel kernel, int block_threads, u32 shared_bytes) = 0;  // per SM

    virtual Result<Stream> create_stream() = 0;
    virtual void destroy(Stream stream) = 0;
    virtual Status synchronize(Stream stream) = 0;
    virtual Result<Event> create_event() = 0;
    virtual void destroy(Event event) = 0;
    virtual Status record(Event event, Stream stream) = 0;
    virtual Status wait(Stream stream, Event event) = 0;
    virtual Status wait(Event event) = 0;  // the caller waits for what was before the event's last record
    virtual Result<double> elapsed_us(Event from, Event to) = 0;  // waits for `to`

    // Work enqueued on `stream` between the two is recorded, not run.
    virtual Status begin_capture(Stream stream) = 0;
    virtual Result<Graph> end_capture(Stream stream) = 0;
    virtual Status launch(Graph graph, Stream stream) = 0;
    virtual void destroy(Graph graph) = 0;
    virtual bool supports_graphs() const = 0;

    virtual Result<TensorMap> encode(const TensorMapSpec& spec) = 0;
    virtual Result<bool> can_access_peer(const Device& other) = 0;
    virtual Status enable_peer_access(const Device& other) = 0;

protected:
    virtual Result<void*> allocate_own(std::size_t bytes) = 0;
    virtual void release_own(void* pointer) = 0;
    virtual bool takes_allocator() const { return true; }
    // Calls body with this device current in the thread.
    virtual void while_current(const std::function<void()>& body) { body(); }

private:
    std::shared_ptr<ExternalMemory> external_;  // set once, before allocations
};

// "cpu", "cuda:N", "cuda" (= cuda:0), "emulated:GPU", or "auto": the first GPU, else the CPU. A device that
// is not there is an error that says what was looked for and found.
Result<std::shared_ptr<Device>> open_device(std::string_view name);

// Every device of this machine ("cuda:0", ..., "cpu"), and why there is no GPU when there is none.
struct DeviceList {
    std::vector<std::string> ids;
    std::string cuda_problem;  // empty when at least one GPU is usable
};
DeviceList list_devices();

// Owns one allocation, of the device or (pinned) of the host.
class Buffer {
public:
    Buffer() = default;
    static Result<Buffer> allocate(std::shared_ptr<Device> device, std::size_t bytes);
    static Result<Buffer> allocate_pinned(std::shared_ptr<Device> device, std::size_t bytes);
    Buffer(Buffer&& other) noexcept { swap(other); }
    Buffer& operator=(Buffer&& other) noexcept {
        swap(other);
        return *this;
    }
    ~Buffer() {
        if (data_ == nullptr) return;
        if (pinned_)
            device_->release_pinned(data_);
        else
            device_->release(data_);
    }

    void* data() const { return data_; }
    std::size_t bytes() const { return bytes_; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }

private:
    void swap(Buffer& other) noexcept {
        device_.swap(other.device_);
        std::swap(data_, other.data_);
        std::swap(bytes_, other.bytes_);
        std::swap(pinned_, other.pinned_);
    }
    std::shared_ptr<Device> device_;
    void* data_ = nullptr;
    std::size_t bytes_ = 0;
    bool pinned_ = false;
};

}  // namespace warpwright
