// SPDX-License-Identifier: Apache-2.0
// The part of the CUDA driver API that this library calls, declared here so that building needs no CUDA
// header, and opened at run time so that the binary also starts where there is no driver. Names, numbers and
// layouts follow cuda.h (CUDA driver API reference); everything used exists since driver 12.0.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "warpwright/status.h"
#include "warpwright/types.h"

namespace warpwright {

using CuResult = int;
using CuDevice = int;
using CuDevicePtr = u64;
using CuContext = struct CuContextObject*;
using CuStream = struct CuStreamObject*;
using CuEvent = struct CuEventObject*;
using CuGraph = struct CuGraphObject*;
using CuGraphExec = struct CuGraphExecObject*;
using CuModule = struct CuModuleObject*;
using CuLibrary = struct CuLibraryObject*;
using CuKernel = struct CuKernelObject*;
using CuFunction = struct CuFunctionObject*;

struct CuUuid {
    unsigned char bytes[16];
};

struct CuLaunchAttribute {
    int id;
    int pad;
    union {
        char bytes[64];
        u32 cluster[3];
        int programmatic;
    } value;
};
static_assert(sizeof(CuLaunchAttribute) == 72);

struct CuLaunchConfig {
    u32 grid_x, grid_y, grid_z;
    u32 block_x, block_y, block_z;
    u32 shared_bytes;
    CuStream stream;
    CuLaunchAttribute* attributes;
    u32 num_attributes;
};
static_assert(sizeof(CuLaunchConfig) == 56);

namespace cu {

constexpr CuResult kSuccess = 0;
constexpr CuResult kErrorStubLibrary = 34;
constexpr CuResult kErrorNoDevice = 100;
constexpr CuResult kErrorInvalidPtx = 218;
constexpr CuResult kErrorUnsupportedPtxVersion = 222;
constexpr CuResult kErrorPeerAccessAlreadyEnabled = 704;

enum DeviceAttribute : int {
    kMaxThreadsPerBlock = 1,
    kClockRateKhz = 13,
    kMultiprocessorCount = 16,
    kIntegrated = 18,
    kPciBusId = 33,
    kPciDeviceId = 34,
    kMemoryClockRateKhz = 36,
    kMemoryBusWidthBits = 37,
    kL2CacheBytes = 38,
    kMaxThreadsPerMultiprocessor = 39,
    kPciDomainId = 50,
    kComputeCapabilityMajor = 75,
    kComputeCapabilityMinor = 76,
    kMaxSharedPerMultiprocessor = 81,
    kMaxSharedPerBlockOptin = 97,
    kClusterLaunch = 120,
    kMulticastSupported = 132,
};

enum P2pAttribute : int { kP2pPerformanceRank = 1, kP2pAccessSupported = 2, kP2pNativeAtomicSupported = 3 };

enum FunctionAttribute : int {
    kStaticSharedBytes = 1,
    kMaxDynamicSharedBytes = 8,
    kNonPortableClusterSizeAllowed = 14,
};

enum JitOption : int { kJitErrorLogBuffer = 5, kJitErrorLogBufferSizeBytes = 6 };

constexpr int kAttributeClusterDimension = 4;
constexpr int kAttributeProgrammaticStreamSerialization = 6;
constexpr unsigned kStreamNonBlocking = 1;
constexpr unsigned kHostAllocPortable = 1;
constexpr int kCaptureModeRelaxed = 2;

constexpr int kTensorMapUint8 = 0, kTensorMapInt32 = 3, kTensorMapFloat16 = 6, kTensorMapFloat32 = 7,
              kTensorMapBfloat16 = 9;
constexpr int kTensorMapL2Promotion128 = 2;

}  // namespace cu

// Members carry the driver's names without the version suffix; which symbol is bound is in cuda_api.cpp.
struct CudaApi {
    std::string library;     // what was opened
    int driver_version = 0;  // 1000 x major + 10 x minor, of the CUDA version that the driver implements

    CuResult (*cuInit)(unsigned flags);
    CuResult (*cuDriverGetVersion)(int* version);
    CuResult (*cuGetErrorName)(CuResult error, const char** text);
    CuResult (*cuGetErrorString)(CuResult error, const char** text);

    CuResult (*cuDeviceGetCount)(int* count);
    CuResult (*cuDeviceGet)(CuDevice* device, int ordinal);
    CuResult (*cuDeviceGetName)(char* name, int length, CuDevice device);
    CuResult (*cuDeviceGetUuid)(CuUuid* uuid, CuDevice device);
    CuResult (*cuDeviceGetAttribute)(int* value, int attribute, CuDevice device);
    CuResult (*cuDeviceTotalMem)(std::size_t* bytes, CuDevice device);
    CuResult (*cuDeviceCanAccessPeer)(int* can_access, CuDevice device, CuDevice peer);
    CuResult (*cuDeviceGetP2PAttribute)(int* value, int attribute, CuDevice from, CuDevice to);

    CuResult (*cuDevicePrimaryCtxRetain)(CuContext* context, CuDevice device);
    CuResult (*cuDevicePrimaryCtxRelease)(CuDevice device);
    CuResult (*cuCtxGetCurrent)(CuContext* context);
    CuResult (*cuCtxSetCurrent)(CuContext context);
    CuResult (*cuCtxPushCurrent)(CuContext context);
    CuResult (*cuCtxPopCurrent)(CuContext* context);
    CuResult (*cuCtxEnablePeerAccess)(CuContext peer, unsigned flags);

    CuResult (*cuMemGetInfo)(std::size_t* free_bytes, std::size_t* total_bytes);
    CuResult (*cuMemAlloc)(CuDevicePtr* pointer, std::size_t bytes);
    CuResult (*cuMemFree)(CuDevicePtr pointer);
    CuResult (*cuMemHostAlloc)(void** pointer, std::size_t bytes, unsigned flags);
    CuResult (*cuMemFreeHost)(void* pointer);
    CuResult (*cuMemcpyHtoDAsync)(CuDevicePtr to, const void* from, std::size_t bytes, CuStream stream);
    CuResult (*cuMemcpyDtoHAsync)(void* to, CuDevicePtr from, std::size_t bytes, CuStream stream);
    CuResult (*cuMemcpyAsync)(CuDevicePtr to, CuDevicePtr from, std::size_t bytes, CuStream stream);
    CuResult (*cuMemsetD8Async)(CuDevicePtr to, unsigned char value, std::size_t bytes, CuStream stream);

    CuResult (*cuStreamCreate)(CuStream* stream, unsigned flags);
    CuResult (*cuStreamDestroy)(CuStream stream);
    CuResult (*cuStreamSynchronize)(CuStream stream);
    CuResult (*cuStreamWaitEvent)(CuStream stream, CuEvent event, unsigned flags);
    CuResult (*cuStreamBeginCapture)(CuStream stream, int mode);
    CuResult (*cuStreamEndCapture)(CuStream stream, CuGraph* graph);
    CuResult (*cuEventCreate)(CuEvent* event, unsigned flags);
    CuResult (*cuEventDestroy)(CuEvent event);
    CuResult (*cuEventRecord)(CuEvent event, CuStream stream);
    CuResult (*cuEventSynchronize)(CuEvent event);
    CuResult (*cuEventElapsedTime)(float* milliseconds, CuEvent from, CuEvent to);
    CuResult (*cuGraphInstantiateWithFlags)(CuGraphExec* exec, CuGraph graph, u64 flags);
    CuResult (*cuGraphDestroy)(CuGraph graph);
    CuResult (*cuGraphExecDestroy)(CuGraphExec exec);
    CuResult (*cuGraphLaunch)(CuGraphExec exec, CuStream stream);

    CuResult (*cuModuleLoadDataEx)(CuModule* module, const void* code, unsigned num_options, int* options,
                                   void** values);
    CuResult (*cuModuleUnload)(CuModule module);
    CuResult (*cuLibraryLoadData)(CuLibrary* library, const void* code, int* jit_options, void** jit_values,
                                  unsigned num_jit_options, int* library_options, void** library_values,
                                  unsigned num_library_options);
    CuResult (*cuLibraryUnload)(CuLibrary library);
    CuResult (*cuLibraryGetKernel)(CuKernel* kernel, CuLibrary library, const char* name);
    CuResult (*cuKernelGetFunction)(CuFunction* function, CuKernel kernel);
    CuResult (*cuKernelGetAttribute)(int* value, int attribute, CuKernel kernel, CuDevice device);
    CuResult (*cuKernelSetAttribute)(int attribute, int value, CuKernel kernel, CuDevice device);
    // Since driver 12.4; null before.
    CuResult (*cuKernelGetParamInfo)(CuKernel kernel, std::size_t index, std::size_t* offset,
                                     std::size_t* size);
    CuResult (*cuLaunchKernelEx)(const CuLaunchConfig* config, CuFunction function, void** parameters,
                                 void** extra);
    CuResult (*cuOccupancyMaxActiveBlocksPerMultiprocessor)(int* blocks, CuFunction function,
                                                            int block_threads, std::size_t dynamic_bytes);
    CuResult (*cuTensorMapEncodeTiled)(void* map, int dtype, u32 rank, void* base, const u64* extents,
                                       const u64* strides, const u32* box, const u32* element_strides,
                                       int interleave, int swizzle, int l2_promotion, int oob_fill);

    // "call: CUDA_ERROR_X: the driver's sentence", or ok.
    Status status(CuResult result, std::string_view call) const;
};

// "12.8" of 12080.
std::string cuda_version_text(int version);

// Opens a driver library, binds every call and runs cuInit. The error says what was looked for and found.
Result<std::unique_ptr<const CudaApi>> load_cuda_api(const char* library);

// This machine's driver, libcuda.so.1, opened once per process and kept; so is the reason when there is none.
Result<const CudaApi*> cuda_api();

// GPUs that the driver lets this process use: at least one, or the reason.
Result<int> cuda_device_count(const CudaApi& api);

}  // namespace warpwright
