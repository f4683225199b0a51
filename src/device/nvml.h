// SPDX-License-Identifier: Apache-2.0
// The part of NVML that probe asks, opened at run time like the driver. Names, numbers and layouts follow
// nvml.h (NVML API reference, docs.nvidia.com/deploy/nvml-api). Every call is optional: a library that lacks
// one, or a GPU that refuses it, leaves the field empty.
#pragma once

#include <memory>
#include <string>

#include "device/machine.h"
#include "warpwright/status.h"

namespace warpwright {

using NvmlResult = int;  // 0: success
using NvmlDevice = struct NvmlDeviceObject*;

struct NvmlBar1Memory {
    unsigned long long total, free, used;
};

struct NvmlPciInfo {
    char bus_id_legacy[16];
    unsigned domain, bus, device;
    unsigned device_id, subsystem_id;
    char bus_id[32];
};

struct NvmlApi {
    std::string library;

    NvmlResult (*nvmlInit)() = nullptr;
    NvmlResult (*nvmlShutdown)() = nullptr;
    NvmlResult (*nvmlSystemGetDriverVersion)(char* version, unsigned length) = nullptr;
    NvmlResult (*nvmlDeviceGetHandleByPciBusId)(const char* bus_id, NvmlDevice* device) = nullptr;

    NvmlResult (*nvmlDeviceGetCurrPcieLinkGeneration)(NvmlDevice, unsigned*) = nullptr;
    NvmlResult (*nvmlDeviceGetCurrPcieLinkWidth)(NvmlDevice, unsigned*) = nullptr;
    NvmlResult (*nvmlDeviceGetMaxPcieLinkGeneration)(NvmlDevice, unsigned*) = nullptr;
    NvmlResult (*nvmlDeviceGetMaxPcieLinkWidth)(NvmlDevice, unsigned*) = nullptr;
    NvmlResult (*nvmlDeviceGetMigMode)(NvmlDevice, unsigned* current, unsigned* pending) = nullptr;
    NvmlResult (*nvmlDeviceGetEccMode)(NvmlDevice, unsigned* current, unsigned* pending) = nullptr;
    NvmlResult (*nvmlDeviceGetBAR1MemoryInfo)(NvmlDevice, NvmlBar1Memory*) = nullptr;
    NvmlResult (*nvmlDeviceGetEnforcedPowerLimit)(NvmlDevice, unsigned* milliwatts) = nullptr;
    NvmlResult (*nvmlDeviceGetPowerManagementDefaultLimit)(NvmlDevice, unsigned* milliwatts) = nullptr;
    NvmlResult (*nvmlDeviceGetMaxClockInfo)(NvmlDevice, int type, unsigned* mhz) = nullptr;
    NvmlResult (*nvmlDeviceGetCpuAffinity)(NvmlDevice, unsigned size, unsigned long* set) = nullptr;
    NvmlResult (*nvmlDeviceGetMemoryAffinity)(NvmlDevice, unsigned size, unsigned long* set,
                                              int scope) = nullptr;
    NvmlResult (*nvmlDeviceGetNvLinkState)(NvmlDevice, unsigned link, unsigned* active) = nullptr;
    NvmlResult (*nvmlDeviceGetNvLinkVersion)(NvmlDevice, unsigned link, unsigned* revision) = nullptr;
    NvmlResult (*nvmlDeviceGetNvLinkRemoteDeviceType)(NvmlDevice, unsigned link, int* type) = nullptr;
    NvmlResult (*nvmlDeviceGetNvLinkRemotePciInfo)(NvmlDevice, unsigned link, NvmlPciInfo* remote) = nullptr;
    NvmlResult (*nvmlDeviceGetTopologyCommonAncestor)(NvmlDevice, NvmlDevice, int* level) = nullptr;
    NvmlResult (*nvmlDeviceGetP2PStatus)(NvmlDevice, NvmlDevice, int capability, int* status) = nullptr;
};

// Opens the library and calls nvmlInit; the error says what was looked for and found.
Result<std::unique_ptr<const NvmlApi>> load_nvml(const char* library = "libnvidia-ml.so.1");

// Fills what NVML tells of the machine's GPUs, found by their PCI addresses, and of the pairs of them. A
// field that is filled already stays.
void add_nvml_facts(const NvmlApi& nvml, Machine& machine);

}  // namespace warpwright
