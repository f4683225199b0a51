// SPDX-License-Identifier: Apache-2.0
#include "device/cuda.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>

#include "device/cuda_target.h"
#include "device/machine.h"
#include "device/tensor_map.h"

namespace warpwright {
namespace {

CuDevicePtr device_pointer(const void* pointer) {
    return reinterpret_cast<CuDevicePtr>(pointer);
}
CuStream native(Stream stream) {
    return static_cast<CuStream>(stream.handle);
}
CuEvent native(Event event) {
    return static_cast<CuEvent>(event.handle);
}
CuGraphExec native(Graph graph) {
    return static_cast<CuGraphExec>(graph.handle);
}

struct LoadedKernel {
    std::string row;
    CuLibrary library = nullptr;
    CuFunction function = nullptr;
    std::size_t argument_bytes = 0;
    bool knows_argument_bytes = false;
};

// Makes a context current for one call. Where it already is, that costs one look; where the thread has
// another one, that one comes back, because it is how the CUDA runtime knows the caller's current device.
class Current {
public:
    Current(const CudaApi& api, CuContext context) : api_(api) {
        CuContext before = nullptr;
        result_ = api_.cuCtxGetCurrent(&before);
        if (result_ != cu::kSuccess || before == context) return;
        if (before == nullptr) {
            result_ = api_.cuCtxSetCurrent(context);
        } else {
            result_ = api_.cuCtxPushCurrent(context);
            pushed_ = result_ == cu::kSuccess;
        }
    }
    ~Current() {
        CuContext ours = nullptr;
        if (pushed_) api_.cuCtxPopCurrent(&ours);
    }
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;

    Status status() const { return api_.status(result_, "cuCtxSetCurrent"); }

private:
    const CudaApi& api_;
    CuResult result_ = cu::kSuccess;
    bool pushed_ = false;
};

class CudaDevice final : public Device {
public:
    CudaDevice(const CudaApi& api, int ordinal, CuDevice device, CuContext context, Target target,
               bool has_clusters, DeviceIdentity identity)
        : api_(api),
          id_(fmt::format("cuda:{}", ordinal)),
          device_(device),
          context_(context),
          target_(std::move(target)),
          has_clusters_(has_clusters),
          identity_(std::move(identity)) {}

    ~CudaDevice() override {
        {
            const Current current(api_, context_);
            for (auto& [key, kernel] : kernels_) api_.cuLibraryUnload(kernel.library);
        }
        api_.cuDevicePrimaryCtxRelease(device_);
    }

    const std::string& id() const override { return id_; }
    DeviceIdentity identity() const override { return identity_; }
    const Target& target() const override { return target_; }

    Result<MemoryInfo> memory() override {
        std::size_t free_bytes = 0;
        std::size_t total_bytes = 0;
        WW_TRY(call("cuMemGetInfo", api_.cuMemGetInfo, &free_bytes, &total_bytes));
        return MemoryInfo{static_cast<i64>(free_bytes), static_cast<i64>(total_bytes)};
    }

    Result<void*> allocate_own(std::size_t bytes) override {
        CuDevicePtr pointer = 0;
        const Status status = call("cuMemAlloc", api_.cuMemAlloc, &pointer, std::max<std::size_t>(bytes, 1));
        if (!status.ok()) return unavailable(fmt::format("{}, allocating {} bytes", status.message(), bytes));
        return reinterpret_cast<void*>(pointer);
    }
    void release_own(void* pointer) override {
        if (pointer != nullptr) (void)call("cuMemFree", api_.cuMemFree, device_pointer(pointer));
    }

    void while_current(const std::function<void()>& body) override {
        const Current current(api_, context_);
        body();
    }

    Result<void*> allocate_pinned(std::size_t bytes) override {
        void* pointer = nullptr;
        const Status status = call("cuMemHostAlloc", api_.cuMemHostAlloc, &pointer,
                                   std::max<std::size_t>(bytes, 1), cu::kHostAllocPortable);
        if (!status.ok()) return unavailable(fmt::format("{}, pinning {} bytes", status.message(), bytes));
        return pointer;
    }
    void release_pinned(void* pointer) override {
        if (pointer != nullptr) (void)call("cuMemFreeHost", api_.cuMemFreeHost, pointer);
    }

    Status copy_in(void* device, const void* host, std::size_t bytes, Stream stream) override {
        if (bytes == 0) return {};
        return call("cuMemcpyHtoDAsync", api_.cuMemcpyHtoDAsync, device_pointer(device), host, bytes,
                    native(stream));
    }
    Status copy_out(void* host, const void* device, std::size_t bytes, Stream stream) override {
        if (bytes == 0) return {};
        WW_TRY(call("cuMemcpyDtoHAsync", api_.cuMemcpyDtoHAsync, host, device_pointer(device), bytes,
                    native(stream)));
        return synchronize(stream);
    }
    Status copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
        // The addresses tell the driver which GPUs hold them: this is also the copy between two.
        if (bytes == 0) return {};
        return call("cuMemcpyAsync", api_.cuMemcpyAsync, device_pointer(to), device_pointer(from), bytes,
                    native(stream));
    }
    Status fill(void* device, u8 value, std::size_t bytes, Stream stream) override {
        if (bytes == 0) return {};
        return call("cuMemsetD8Async", api_.cuMemsetD8Async, device_pointer(device), value, bytes,
                    native(stream));
    }

    Result<Kernel> load(const Image& image) override;
    Status launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                  Stream stream) override;
    Result<int> max_active_blocks(Kernel kernel, int block_threads, u32 shared_bytes) override {
        if (kernel.handle == nullptr) return not_loaded();
        int blocks = 0;
        WW_TRY(call("cuOccupancyMaxActiveBlocksPerMultiprocessor",
                    api_.cuOccupancyMaxActiveBlocksPerMultiprocessor, &blocks, loaded(kernel).function,
                    block_threads, std::size_t{shared_bytes}));
        return blocks;
    }

    Result<Stream> create_stream() override {
        CuStream stream = nullptr;
        WW_TRY(call("cuStreamCreate", api_.cuStreamCreate, &stream, cu::kStreamNonBlocking));
        return Stream{stream};
    }
    void destroy(Stream stream) override {
        if (stream.handle != nullptr) (void)call("cuStreamDestroy", api_.cuStreamDestroy, native(stream));
    }
    Status synchronize(Stream stream) override {
        return call("cuStreamSynchronize", api_.cuStreamSynchronize, native(stream));
    }
    Result<Event> create_event() override {
        CuEvent event = nullptr;
        WW_TRY(call("cuEventCreate", api_.cuEventCreate, &event, 0u));
        return Event{event};
    }
    void destroy(Event event) override {
        if (event.handle != nullptr) (void)call("cuEventDestroy", api_.cuEventDestroy, native(event));
    }
    Status record(Event event, Stream stream) override {
        return call("cuEventRecord", api_.cuEventRecord, native(event), native(stream));
    }
    Status wait(Stream stream, Event event) override {
        return call("cuStreamWaitEvent", api_.cuStreamWaitEvent, native(stream), native(event), 0u);
    }
    Status wait(Event event) override {
        return call("cuEventSynchronize", api_.cuEventSynchronize, native(event));
    }
    Result<double> elapsed_us(Event from, Event to) override {
        float milliseconds = 0;
        WW_TRY(call("cuEventSynchronize", api_.cuEventSynchronize, native(to)));
        WW_TRY(call("cuEventElapsedTime", api_.cuEventElapsedTime, &milliseconds, native(from), native(to)));
        return milliseconds * 1e3;
    }

    // Relaxed: an image may be loaded, and so memory taken, between the two calls.
    Status begin_capture(Stream stream) override {
        if (stream.handle == nullptr) {
            return caller_error(
                fmt::format("{}: the default stream cannot be captured: expected a stream of "
                            "create_stream",
                            id_));
        }
        return call("cuStreamBeginCapture", api_.cuStreamBeginCapture, native(stream),
                    int{cu::kCaptureModeRelaxed});
    }
    Result<Graph> end_capture(Stream stream) override {
        CuGraph graph = nullptr;
        CuGraphExec exec = nullptr;
        WW_TRY(call("cuStreamEndCapture", api_.cuStreamEndCapture, native(stream), &graph));
        const Status status =
            call("cuGraphInstantiateWithFlags", api_.cuGraphInstantiateWithFlags, &exec, graph, u64{0});
        (void)call("cuGraphDestroy", api_.cuGraphDestroy, graph);
        WW_TRY(status);
        return Graph{exec};
    }
    Status launch(Graph graph, Stream stream) override {
        return call("cuGraphLaunch", api_.cuGraphLaunch, native(graph), native(stream));
    }
    void destroy(Graph graph) override {
        if (graph.handle != nullptr) (void)call("cuGraphExecDestroy", api_.cuGraphExecDestroy, native(graph));
    }
    bool supports_graphs() const override { return true; }

    Result<TensorMap> encode(const TensorMapSpec& spec) override;
    Result<bool> can_access_peer(const Device& other) override {
        const auto* peer = dynamic_cast<const CudaDevice*>(&other);
        if (peer == nullptr) return false;
        if (peer->device_ == device_) return true;
        int can_access = 0;
        WW_TRY(
            call("cuDeviceCanAccessPeer", api_.cuDeviceCanAccessPeer, &can_access, device_, peer->device_));
        return can_access != 0;
    }
    Status enable_peer_access(const Device& other) override {
        WW_ASSIGN(const bool possible, can_access_peer(other));
        if (!possible) {
            return unavailable(fmt::format("{}: has no peer access to {}", id_, other.id()));
        }
        const auto& peer = static_cast<const CudaDevice&>(other);
        if (peer.device_ == device_) return {};
        const Current current(api_, context_);
        WW_TRY(current.status());
        const CuResult result = api_.cuCtxEnablePeerAccess(peer.context_, 0);
        if (result == cu::kErrorPeerAccessAlreadyEnabled) return {};
        return named(api_.status(result, "cuCtxEnablePeerAccess"));
    }

private:
    static const LoadedKernel& loaded(Kernel kernel) {
        return *static_cast<const LoadedKernel*>(kernel.handle);
    }

    Status named(Status status) const {
        if (status.ok()) return status;
        return {status.kind(), fmt::format("{}: {}", id_, status.message())};
    }
    Status not_loaded() const { return caller_error(fmt::format("{}: kernel was not loaded", id_)); }

    template <class... Parameters, class... Arguments>
    Status call(const char* name, CuResult (*function)(Parameters...), Arguments... arguments) const {
        const Current current(api_, context_);
        WW_TRY(current.status());
        const CuResult result = function(arguments...);
        return result == cu::kSuccess ? Status{} : named(api_.status(result, name));
    }

    Result<LoadedKernel> load_library(const Image& image, const void* code, bool is_ptx) const;

    const CudaApi& api_;
    const std::string id_;
    const CuDevice device_;
    const CuContext context_;
    const Target target_;
    const bool has_clusters_;
    const DeviceIdentity identity_;
    std::mutex kernels_mutex_;
    // By entry and code, because one row has another image after its source changed. Nodes do not move.
    std::unordered_map<std::string, LoadedKernel> kernels_;
};

Result<Kernel> CudaDevice::load(const Image& image) {
    // The safety net is the PTX; elsewhere it stands in for a cubin that was not built.
    const bool is_ptx = image.cubin.empty() || image.build_target == BuildTarget::compute_80;
    if ((is_ptx && image.ptx.empty()) || image.entry.empty()) {
        return caller_error(fmt::format("{}: image {} of {} has no code, expected a cubin or PTX for {}", id_,
                                        image.row, build_target_name(image.build_target),
                                        build_target_name(target_.facts.build_target)));
    }
    std::string key = image.entry + '\n';
    const void* code = image.ptx.c_str();
    if (is_ptx) {
        key += image.ptx;
    } else {
        key.append(reinterpret_cast<const char*>(image.cubin.data()), image.cubin.size());
        code = image.cubin.data();
    }
    std::lock_guard lock(kernels_mutex_);
    auto found = kernels_.find(key);
    if (found == kernels_.end()) {
        const Current current(api_, context_);
        WW_TRY(current.status());
        WW_ASSIGN(LoadedKernel kernel, load_library(image, code, is_ptx));
        found = kernels_.emplace(std::move(key), std::move(kernel)).first;
    }
    return Kernel{&found->second};
}

// The driver compiles PTX when a kernel is first asked for and then keeps no log: this compiles once more for
// it.
std::string compiler_log(const CudaApi& api, const char* ptx) {
    std::vector<char> log(8192);
    int options[] = {cu::kJitErrorLogBuffer, cu::kJitErrorLogBufferSizeBytes};
    void* values[] = {log.data(), reinterpret_cast<void*>(log.size() - 1)};
    CuModule module = nullptr;
    if (api.cuModuleLoadDataEx(&module, ptx, 2, options, values) == cu::kSuccess) api.cuModuleUnload(module);
    return log.data();
}

// With the context current.
Result<LoadedKernel> CudaDevice::load_library(const Image& image, const void* code, bool is_ptx) const {
    LoadedKernel kernel;
    kernel.row = image.row;
    const auto fail = [&](CuResult error, std::string_view what) -> Status {
        std::string text = fmt::format(
            "{}: image {} ({} for {}) does not load on {} (compute capability {}.{}, loads {}): {}", id_,
            image.row, is_ptx ? "PTX" : "cubin", build_target_name(image.build_target), target_.id,
            target_.facts.compute_capability / 10, target_.facts.compute_capability % 10,
            build_target_name(target_.facts.build_target), api_.status(error, what).message());
        if (is_ptx && (error == cu::kErrorInvalidPtx || error == cu::kErrorUnsupportedPtxVersion)) {
            const std::string log = compiler_log(api_, image.ptx.c_str());
            if (!log.empty()) text += fmt::format("; the driver's compiler says: {}", log);
        }
        if (kernel.library != nullptr) api_.cuLibraryUnload(kernel.library);
        return unavailable(std::move(text));
    };
    CuResult error = api_.cuLibraryLoadData(&kernel.library, code, nullptr, nullptr, 0, nullptr, nullptr, 0);
    if (error != cu::kSuccess) return fail(error, "cuLibraryLoadData");
    CuKernel handle = nullptr;
    error = api_.cuLibraryGetKernel(&handle, kernel.library, image.entry.c_str());
    if (error != cu::kSuccess) return fail(error, fmt::format("cuLibraryGetKernel({})", image.entry));
    int static_shared = 0;
    error = api_.cuKernelGetAttribute(&static_shared, cu::kStaticSharedBytes, handle, device_);
    if (error != cu::kSuccess) return fail(error, "cuKernelGetAttribute(static shared bytes)");
    const int dynamic_shared = static_cast<int>(target_.facts.shared_per_block_bytes) - static_shared;
    error = api_.cuKernelSetAttribute(cu::kMaxDynamicSharedBytes, dynamic_shared, handle, device_);
    if (error != cu::kSuccess) {
        return fail(error, fmt::format("cuKernelSetAttribute(dynamic shared bytes, {})", dynamic_shared));
    }
    if (has_clusters_) {
        // Clusters of 16. A GPU that refuses says so again, with the figures, when such a cluster is
        // launched.
        (void)api_.cuKernelSetAttribute(cu::kNonPortableClusterSizeAllowed, 1, handle, device_);
    }
    error = api_.cuKernelGetFunction(&kernel.function, handle);
    if (error != cu::kSuccess) return fail(error, "cuKernelGetFunction");
    if (api_.cuKernelGetParamInfo != nullptr) {
        // An error here says that the entry takes no argument.
        std::size_t offset = 0;
        kernel.knows_argument_bytes = true;
        if (api_.cuKernelGetParamInfo(handle, 0, &offset, &kernel.argument_bytes) != cu::kSuccess) {
            kernel.argument_bytes = 0;
        }
    }
    return kernel;
}

Status CudaDevice::launch(Kernel kernel, const LaunchConfig& config, std::span<const std::byte> args,
                          Stream stream) {
    if (kernel.handle == nullptr) return not_loaded();
    const LoadedKernel& loaded_kernel = loaded(kernel);
    // The driver reads as many bytes as the entry declares, however many there are.
    if (loaded_kernel.knows_argument_bytes && args.size() != loaded_kernel.argument_bytes) {
        return caller_error(fmt::format("{}: launch of {}: {} argument bytes, expected {}", id_,
                                        loaded_kernel.row, args.size(), loaded_kernel.argument_bytes));
    }
    const auto& [grid, block, cluster, shared_bytes, programmatic] = config;
    CuLaunchAttribute attributes[2] = {};
    u32 num_attributes = 0;
    if (cluster.x * cluster.y * cluster.z > 1) {
        CuLaunchAttribute& attribute = attributes[num_attributes++];
        attribute.id = cu::kAttributeClusterDimension;
        attribute.value.cluster[0] = cluster.x;
        attribute.value.cluster[1] = cluster.y;
        attribute.value.cluster[2] = cluster.z;
    }
    if (programmatic) {
        CuLaunchAttribute& attribute = attributes[num_attributes++];
        attribute.id = cu::kAttributeProgrammaticStreamSerialization;
        attribute.value.programmatic = 1;
    }
    const CuLaunchConfig native_config{grid.x,  grid.y,       grid.z,         block.x,    block.y,
                                       block.z, shared_bytes, native(stream), attributes, num_attributes};
    void* parameters[] = {const_cast<std::byte*>(args.data())};
    const Status status = call("cuLaunchKernelEx", api_.cuLaunchKernelEx, &native_config,
                               loaded_kernel.function, args.empty() ? nullptr : parameters, nullptr);
    if (status.ok()) return status;
    return {
        status.kind(),
        fmt::format("{} (launch of {}: grid {}x{}x{}, block {}x{}x{}, cluster {}x{}x{}, {} bytes of "
                    "dynamic shared memory{})",
                    status.message(), loaded_kernel.row, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                    cluster.x, cluster.y, cluster.z, shared_bytes, programmatic ? ", programmatic" : "")};
}

Result<TensorMap> CudaDevice::encode(const TensorMapSpec& spec) {
    if (target_.facts.compute_capability < 90) {
        return unavailable(fmt::format(
            "{}: {} has no tensor maps: expected compute capability 9.0 or later, "
            "got {}.{}",
            id_, target_.id, target_.facts.compute_capability / 10, target_.facts.compute_capability % 10));
    }
    WW_TRY(check_tensor_map(spec));
    int dtype = cu::kTensorMapUint8;
    switch (spec.dtype) {
        case DType::f32: dtype = cu::kTensorMapFloat32; break;
        case DType::f16: dtype = cu::kTensorMapFloat16; break;
        case DType::bf16: dtype = cu::kTensorMapBfloat16; break;
        case DType::i32: dtype = cu::kTensorMapInt32; break;
        case DType::u8: dtype = cu::kTensorMapUint8; break;
    }
    const int swizzle = spec.swizzle_bytes == 0    ? 0
                        : spec.swizzle_bytes == 32 ? 1
                        : spec.swizzle_bytes == 64 ? 2
                                                   : 3;
    const u32 element_strides[5] = {1, 1, 1, 1, 1};
    TensorMap map;
    WW_TRY(call("cuTensorMapEncodeTiled", api_.cuTensorMapEncodeTiled, static_cast<void*>(&map), dtype,
                static_cast<u32>(spec.rank), const_cast<void*>(spec.base), spec.extent, spec.stride_bytes + 1,
                spec.box, element_strides, 0, swizzle, cu::kTensorMapL2Promotion128, 0));
    return map;
}

}  // namespace

Result<std::shared_ptr<Device>> open_cuda_device(const CudaApi& api, int ordinal) {
    WW_ASSIGN(const int count, cuda_device_count(api));
    if (ordinal < 0 || ordinal >= count) {
        return unavailable(
            fmt::format("device: cuda:{} is not there: this machine has {}", ordinal,
                        count == 1 ? "cuda:0 only" : fmt::format("cuda:0 to cuda:{}", count - 1)));
    }
    CuDevice device = 0;
    WW_TRY(api.status(api.cuDeviceGet(&device, ordinal), "cuDeviceGet"));
    WW_ASSIGN(const CudaAttributes attributes, read_cuda_attributes(api, device));
    const int capability = attributes.compute_capability;
    if (capability < 80) {
        return unavailable(fmt::format("cuda:{}: {} has compute capability {}.{}, expected 8.0 or later",
                                       ordinal, attributes.name, capability / 10, capability % 10));
    }
    int has_clusters = 0;
    WW_TRY(api.status(api.cuDeviceGetAttribute(&has_clusters, cu::kClusterLaunch, device),
                      "cuDeviceGetAttribute(cluster launch)"));
    CuContext context = nullptr;
    const Status retained =
        api.status(api.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
    if (!retained.ok()) return unavailable(fmt::format("cuda:{}: {}", ordinal, retained.message()));
    CuUuid uuid{};
    const bool has_uuid = api.cuDeviceGetUuid(&uuid, device) == cu::kSuccess;
    const std::string release = driver_release();
    return std::shared_ptr<Device>(std::make_shared<CudaDevice>(
        api, ordinal, device, context, make_cuda_target(attributes, targets()), has_clusters != 0,
        DeviceIdentity{has_uuid ? uuid_text(uuid) : attributes.name,
                       release.empty() ? "CUDA " + cuda_version_text(api.driver_version) : release}));
}

}  // namespace warpwright
