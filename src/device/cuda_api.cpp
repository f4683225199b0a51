// SPDX-License-Identifier: Apache-2.0
#include "device/cuda_api.h"

#include <dlfcn.h>

#include <cstdlib>

#include <fmt/format.h>

namespace warpwright {
namespace {

constexpr int kOldestDriver = 12000;

// The first call that could not be bound stays in `missing`: an old driver is told by what it lacks.
struct Binder {
    void* library;
    const char* missing = nullptr;

    template <class Function>
    void operator()(const char* symbol, Function& function) {
        function = reinterpret_cast<Function>(dlsym(library, symbol));
        if (function == nullptr && missing == nullptr) missing = symbol;
    }
};

const char* bind_all(void* library, CudaApi& api) {
    Binder bind{library};
    bind("cuInit", api.cuInit);
    bind("cuDriverGetVersion", api.cuDriverGetVersion);
    bind("cuGetErrorName", api.cuGetErrorName);
    bind("cuGetErrorString", api.cuGetErrorString);

    bind("cuDeviceGetCount", api.cuDeviceGetCount);
    bind("cuDeviceGet", api.cuDeviceGet);
    bind("cuDeviceGetName", api.cuDeviceGetName);
    bind("cuDeviceGetUuid_v2", api.cuDeviceGetUuid);
    bind("cuDeviceGetAttribute", api.cuDeviceGetAttribute);
    bind("cuDeviceTotalMem_v2", api.cuDeviceTotalMem);
    bind("cuDeviceCanAccessPeer", api.cuDeviceCanAccessPeer);
    bind("cuDeviceGetP2PAttribute", api.cuDeviceGetP2PAttribute);

    bind("cuDevicePrimaryCtxRetain", api.cuDevicePrimaryCtxRetain);
    bind("cuDevicePrimaryCtxRelease_v2", api.cuDevicePrimaryCtxRelease);
    bind("cuCtxGetCurrent", api.cuCtxGetCurrent);
    bind("cuCtxSetCurrent", api.cuCtxSetCurrent);
    bind("cuCtxPushCurrent_v2", api.cuCtxPushCurrent);
    bind("cuCtxPopCurrent_v2", api.cuCtxPopCurrent);
    bind("cuCtxEnablePeerAccess", api.cuCtxEnablePeerAccess);

    bind("cuMemGetInfo_v2", api.cuMemGetInfo);
    bind("cuMemAlloc_v2", api.cuMemAlloc);
    bind("cuMemFree_v2", api.cuMemFree);
    bind("cuMemHostAlloc", api.cuMemHostAlloc);
    bind("cuMemFreeHost", api.cuMemFreeHost);
    bind("cuMemcpyHtoDAsync_v2", api.cuMemcpyHtoDAsync);
    bind("cuMemcpyDtoHAsync_v2", api.cuMemcpyDtoHAsync);
    bind("cuMemcpyAsync", api.cuMemcpyAsync);
    bind("cuMemsetD8Async", api.cuMemsetD8Async);

    bind("cuStreamCreate", api.cuStreamCreate);
    bind("cuStreamDestroy_v2", api.cuStreamDestroy);
    bind("cuStreamSynchronize", api.cuStreamSynchronize);
    bind("cuStreamWaitEvent", api.cuStreamWaitEvent);
    bind("cuStreamBeginCapture_v2", api.cuStreamBeginCapture);
    bind("cuStreamEndCapture", api.cuStreamEndCapture);
    bind("cuEventCreate", api.cuEventCreate);
    bind("cuEventDestroy_v2", api.cuEventDestroy);
    bind("cuEventRecord", api.cuEventRecord);
    bind("cuEventSynchronize", api.cuEventSynchronize);
    bind("cuEventElapsedTime", api.cuEventElapsedTime);
    bind("cuGraphInstantiateWithFlags", api.cuGraphInstantiateWithFlags);
    bind("cuGraphDestroy", api.cuGraphDestroy);
    bind("cuGraphExecDestroy", api.cuGraphExecDestroy);
    bind("cuGraphLaunch", api.cuGraphLaunch);

    bind("cuModuleLoadDataEx", api.cuModuleLoadDataEx);
    bind("cuModuleUnload", api.cuModuleUnload);
    bind("cuLibraryLoadData", api.cuLibraryLoadData);
    bind("cuLibraryUnload", api.cuLibraryUnload);
    bind("cuLibraryGetKernel", api.cuLibraryGetKernel);
    bind("cuKernelGetFunction", api.cuKernelGetFunction);
    bind("cuKernelGetAttribute", api.cuKernelGetAttribute);
    bind("cuKernelSetAttribute", api.cuKernelSetAttribute);
    bind("cuLaunchKernelEx", api.cuLaunchKernelEx);
    bind("cuOccupancyMaxActiveBlocksPerMultiprocessor", api.cuOccupancyMaxActiveBlocksPerMultiprocessor);
    bind("cuTensorMapEncodeTiled", api.cuTensorMapEncodeTiled);

    const char* missing = bind.missing;
    bind("cuKernelGetParamInfo", api.cuKernelGetParamInfo);
    return missing;
}

// An emptied list of visible devices looks like a machine without a GPU; name it when it is set.
std::string visible_devices_note() {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    return visible == nullptr ? std::string{} : fmt::format("; CUDA_VISIBLE_DEVICES is \"{}\"", visible);
}

std::string driver_text(const CudaApi& api) {
    return fmt::format("driver {} for CUDA {}", api.library, cuda_version_text(api.driver_version));
}

}  // namespace

std::string cuda_version_text(int version) {
    return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

Status CudaApi::status(CuResult result, std::string_view call) const {
    if (result == cu::kSuccess) return {};
    const char* name = nullptr;
    const char* text = nullptr;
    cuGetErrorName(result, &name);
    cuGetErrorString(result, &text);
    if (name == nullptr) return unavailable(fmt::format("{}: CUDA error {}", call, result));
    return unavailable(fmt::format("{}: {}: {}", call, name, text == nullptr ? "no description" : text));
}

Result<std::unique_ptr<const CudaApi>> load_cuda_api(const char* library) {
    // Never closed: the driver keeps threads and exit handlers of its own.
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) {
        const char* reason = dlerror();
        return unavailable(fmt::format("cuda: no NVIDIA driver: looked for {}, found none ({})", library,
                                       reason == nullptr ? "no reason given" : reason));
    }
    auto api = std::make_unique<CudaApi>();
    api->library = library;
    const char* missing = bind_all(handle, *api);
    if (api->cuInit == nullptr || api->cuDriverGetVersion == nullptr) {
        return unavailable(
            fmt::format("cuda: {} is not a CUDA driver library: it has no {}", library, missing));
    }
    int version = 0;
    const CuResult version_result = api->cuDriverGetVersion(&version);
    api->driver_version = version;
    if (version_result == cu::kErrorStubLibrary) {
        return unavailable(fmt::format(
            "cuda: {} is the toolkit's stub for linking, not a driver: expected the driver's own library",
            library));
    }
    if (missing != nullptr || (version_result == cu::kSuccess && version < kOldestDriver)) {
        return unavailable(fmt::format("cuda: {} is too old: expected CUDA {} or later{}", driver_text(*api),
                                       cuda_version_text(kOldestDriver),
                                       missing == nullptr ? "" : fmt::format(", it has no {}", missing)));
    }
    const CuResult init = api->cuInit(0);
    if (init == cu::kErrorStubLibrary) {
        return unavailable(fmt::format(
            "cuda: {} is the toolkit's stub for linking, not a driver: expected the driver's own library",
            library));
    }
    if (init == cu::kErrorNoDevice) {
        return unavailable(fmt::format("cuda: no GPU: {} is there and reports none ({}){}", driver_text(*api),
                                       api->status(init, "cuInit").message(), visible_devices_note()));
    }
    if (init != cu::kSuccess) {
        return unavailable(fmt::format("cuda: {} does not start: {}", driver_text(*api),
                                       api->status(init, "cuInit").message()));
    }
    return std::unique_ptr<const CudaApi>(std::move(api));
}

Result<const CudaApi*> cuda_api() {
    // Leaked on purpose: devices may outlive static destruction.
    static const auto* loaded = new Result<std::unique_ptr<const CudaApi>>(load_cuda_api("libcuda.so.1"));
    if (!loaded->ok()) return loaded->status();
    return loaded->value().get();
}

Result<int> cuda_device_count(const CudaApi& api) {
    int count = 0;
    WW_TRY(api.status(api.cuDeviceGetCount(&count), "cuDeviceGetCount"));
    if (count == 0) {
        return unavailable(fmt::format("cuda: no GPU: {} is there and reports none{}", driver_text(api),
                                       visible_devices_note()));
    }
    return count;
}

}  // namespace warpwright
