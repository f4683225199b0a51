// SPDX-License-Identifier: Apache-2.0
#include "device/nvml.h"

#include <gtest/gtest.h>

#include <cstring>

namespace warpwright {
namespace {

constexpr NvmlResult kSuccess = 0, kNotSupported = 3;

NvmlDevice device(uintptr_t number) {
    return reinterpret_cast<NvmlDevice>(number);
}

// Two GPUs at a switch, the second with a link that is down and without MIG.
NvmlApi fake_nvml() {
    NvmlApi api;
    api.library = "fake";
    api.nvmlDeviceGetHandleByPciBusId = [](const char* id, NvmlDevice* found) {
        if (std::strcmp(id, "0000:01:00.0") == 0) return *found = device(1), kSuccess;
        if (std::strcmp(id, "0000:02:00.0") == 0) return *found = device(2), kSuccess;
        return kNotSupported;
    };
    api.nvmlSystemGetDriverVersion = [](char* version, unsigned length) {
        return std::strncpy(version, "580.1", length), kSuccess;
    };
    api.nvmlDeviceGetCurrPcieLinkWidth = [](NvmlDevice, unsigned* width) { return *width = 16, kSuccess; };
    api.nvmlDeviceGetMigMode = [](NvmlDevice which, unsigned* current, unsigned* pending) {
        if (which == device(2)) return kNotSupported;
        return *current = 1, *pending = 0, kSuccess;
    };
    api.nvmlDeviceGetCpuAffinity = [](NvmlDevice, unsigned size, unsigned long* set) {
        std::fill_n(set, size, 0ul);
        set[0] = 0x10f;
        set[1] = 1;
        return kSuccess;
    };
    api.nvmlDeviceGetMemoryAffinity = [](NvmlDevice, unsigned, unsigned long* set, int) {
        return set[0] = 2, kSuccess;
    };
    api.nvmlDeviceGetBAR1MemoryInfo = [](NvmlDevice, NvmlBar1Memory* memory) {
        return memory->total = 256, kSuccess;
    };
    api.nvmlDeviceGetEnforcedPowerLimit = [](NvmlDevice, unsigned* limit) {
        return *limit = 450500, kSuccess;
    };
    api.nvmlDeviceGetNvLinkState = [](NvmlDevice which, unsigned link, unsigned* active) {
        if (link >= 18) return kNotSupported;
        return *active = which == device(2) && link == 3 ? 0 : 1, kSuccess;
    };
    api.nvmlDeviceGetNvLinkVersion = [](NvmlDevice, unsigned, unsigned* revision) {
        return *revision = 6, kSuccess;
    };
    api.nvmlDeviceGetNvLinkRemoteDeviceType = [](NvmlDevice, unsigned, int* type) {
        return *type = 2, kSuccess;
    };
    api.nvmlDeviceGetTopologyCommonAncestor = [](NvmlDevice, NvmlDevice, int* level) {
        return *level = 50, kSuccess;
    };
    api.nvmlDeviceGetP2PStatus = [](NvmlDevice, NvmlDevice, int, int* status) {
        return *status = 0, kSuccess;
    };
    return api;
}

Machine two_gpus() {
    Machine machine;
    machine.gpus.resize(2);
    machine.gpus[0].pci = "0000:01:00.0";
    machine.gpus[1].pci = "0000:02:00.0";
    PeerPath path;
    path.from = 0;
    path.to = 1;
    path.access = path.native_atomics = true;
    path.link = "nvlink";
    machine.peers = {path};
    return machine;
}

TEST(Nvml, FillsWhatItTells) {
    Machine machine = two_gpus();
    machine.gpus[1].pcie.width = 8;  // sysfs told it before
    machine.gpus[1].numa_node = 0;
    add_nvml_facts(fake_nvml(), machine);
    const GpuInfo& first = machine.gpus[0];
    EXPECT_EQ(machine.nvml, "fake (580.1)");
    EXPECT_EQ(machine.driver_release, "580.1");
    EXPECT_EQ(first.pcie.width, 16);
    EXPECT_EQ(machine.gpus[1].pcie.width, 8);
    EXPECT_EQ(first.mig, true);
    EXPECT_FALSE(machine.gpus[1].mig.has_value());
    EXPECT_FALSE(first.ecc.has_value());  // this library has no such call
    EXPECT_EQ(first.cpus, "0-3,8,64");
    EXPECT_EQ(first.numa_node, 1);
    EXPECT_EQ(machine.gpus[1].numa_node, 0);
    EXPECT_EQ(first.bar1_bytes, 256);
    EXPECT_EQ(first.power_limit_w, 450.5);
    ASSERT_TRUE(first.nvlink.has_value());
    EXPECT_EQ(first.nvlink->active, 18);
    EXPECT_EQ(first.nvlink->version, 4);  // the sixth revision, of an H200
    EXPECT_EQ(first.nvlink->gb_s, 900);
    EXPECT_EQ(first.nvlink->to, "switch");
    EXPECT_EQ(machine.gpus[1].nvlink->inactive, 1);
    EXPECT_EQ(machine.gpus[1].nvlink->gb_s, 850);
    EXPECT_EQ(machine.peers[0].distance, "SYS");
    EXPECT_EQ(machine.peers[0].status, "ok");
    EXPECT_EQ(machine.peers[0].gb_s, 900);
}

// Three of the links lead to the second GPU, the others to GPUs that are not looked at.
TEST(Nvml, DirectLinksAreCountedByPair) {
    NvmlApi nvml = fake_nvml();
    nvml.nvmlDeviceGetNvLinkRemoteDeviceType = [](NvmlDevice, unsigned, int* type) {
        return *type = 0, kSuccess;
    };
    nvml.nvmlDeviceGetNvLinkRemotePciInfo = [](NvmlDevice, unsigned link, NvmlPciInfo* remote) {
        remote->bus = link < 3 ? 2 : 0x7f;
        return kSuccess;
    };
    Machine machine = two_gpus();
    add_nvml_facts(nvml, machine);
    EXPECT_EQ(machine.gpus[0].nvlink->to, "gpu");
    EXPECT_EQ(machine.peers[0].gb_s, 150);
}

TEST(Nvml, AnEmptyLibraryTellsNothing) {
    Machine machine = two_gpus();
    add_nvml_facts(NvmlApi{.library = "empty"}, machine);
    EXPECT_FALSE(machine.gpus[0].nvlink.has_value());
    EXPECT_FALSE(machine.gpus[0].power_limit_w.has_value());
    EXPECT_EQ(machine.peers[0].distance, "");
    EXPECT_EQ(machine.nvml, "empty");
}

TEST(Nvml, AMissingLibraryIsASentence) {
    const auto nvml = load_nvml("libnvidia-ml-of-nobody.so.1");
    ASSERT_FALSE(nvml.ok());
    EXPECT_NE(nvml.status().message().find("looked for libnvidia-ml-of-nobody.so.1, found none"),
              std::string::npos)
        << nvml.status().message();
}

}  // namespace
}  // namespace warpwright
