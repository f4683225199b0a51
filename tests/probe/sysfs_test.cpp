// SPDX-License-Identifier: Apache-2.0
#include "device/sysfs.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace warpwright {
namespace {

namespace fs = std::filesystem;

// A PCI configuration space with an ACS capability behind another one.
std::array<unsigned char, 4096> config_with_acs(unsigned control) {
    std::array<unsigned char, 4096> config{};
    config[0x100] = 0x01;                       // advanced error reporting ...
    config[0x102] = 0x01 | (0x40 << 4 & 0xf0);  // version 1; next at 0x140
    config[0x103] = 0x14;
    config[0x140] = 0x0d;  // access control services, the last
    config[0x142] = 0x01;
    config[0x146] = static_cast<unsigned char>(control);
    return config;
}

TEST(Sysfs, AcsIsReadFromTheConfigurationSpace) {
    EXPECT_EQ(acs_redirect(config_with_acs(0x1d)), true);   // as firmware sets it
    EXPECT_EQ(acs_redirect(config_with_acs(0x08)), true);   // completions alone
    EXPECT_EQ(acs_redirect(config_with_acs(0x11)), false);  // source validation and upstream forwarding
    EXPECT_EQ(acs_redirect(std::array<unsigned char, 4096>{}), false);
    EXPECT_EQ(acs_redirect(std::array<unsigned char, 64>{}), std::nullopt);
    auto ring = config_with_acs(0x1d);
    ring[0x140] = 0x03;
    ring[0x142] = 0x01;
    ring[0x143] = 0x10;  // back to the first
    EXPECT_EQ(acs_redirect(ring), false);
    auto outside = config_with_acs(0x1d);
    outside[0x102] = 0xc1;
    outside[0x103] = 0xff;  // 0xffc: eight bytes do not fit behind it
    EXPECT_EQ(acs_redirect(outside), false);
}

// A machine of two GPUs behind one bridge each, as Linux shows it.
class FakeRoot : public testing::Test {
protected:
    void SetUp() override {
        fs::remove_all(root_);
        const fs::path real = root_ / "sys/devices/pci0000:00";
        add_device(real / "0000:00:01.1/0000:01:00.0", "0x10de", "0x030000");
        add_device(real / "0000:00:01.1", "0x1022", "0x060400");
        add_device(real / "0000:00:02.0", "0x10de", "0x040300");  // its audio device is no GPU
        const fs::path gpu = real / "0000:00:01.1/0000:01:00.0";
        write(gpu / "current_link_speed", "2.5 GT/s PCIe\n");
        write(gpu / "max_link_speed", "32.0 GT/s PCIe\n");
        write(gpu / "current_link_width", "8\n");
        write(gpu / "max_link_width", "16\n");
        write(gpu / "numa_node", "1\n");
        write(gpu / "local_cpulist", "8-15\n");
        write(gpu / "iommu_group/type", "DMA-FQ\n");
        fs::create_directories(root_ / "sys/bus/pci/drivers/nvidia");
        fs::create_directory_symlink("../../../../bus/pci/drivers/nvidia", gpu / "driver");
        const auto config = config_with_acs(0x1d);
        write(real / "0000:00:01.1/config", std::string(config.begin(), config.end()));
        write(root_ / "sys/class/dmi/id/product_name", "Workstation 9000\n");
        write(root_ / "proc/cmdline",
              "BOOT_IMAGE=/vmlinuz root=UUID=1234 amd_iommu=on pcie_aspm=off quiet\n");
        write(root_ / "proc/cpuinfo", "model name\t: X\nflags\t\t: fpu hypervisor lahf_lm\n");
        fs::create_directories(root_ / "sys/class/iommu/ivhd0");
        for (int node = 0; node < 2; ++node) {
            const fs::path folder = root_ / ("sys/devices/system/node/node" + std::to_string(node));
            write(folder / "cpulist", node == 0 ? "0-7\n" : "8-15\n");
            write(folder / "meminfo", "Node 0 MemTotal:       1024 kB\nNode 0 MemFree: 5 kB\n");
        }
        const fs::path card = root_ / "sys/class/infiniband/mlx5_0";
        write(card / "ports/1/link_layer", "Ethernet\n");
        write(card / "ports/1/rate", "200 Gb/sec (4X HDR)\n");
        write(card / "ports/1/state", "4: ACTIVE\n");
        write(card / "device/numa_node", "-1\n");
    }
    void TearDown() override { fs::remove_all(root_); }

    static void write(const fs::path& path, const std::string& text) {
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
    }
    void add_device(const fs::path& real, const char* vendor, const char* type) {
        write(real / "vendor", std::string(vendor) + "\n");
        write(real / "class", std::string(type) + "\n");
        write(real / "device", "0x2bb1\n");
        const fs::path devices = root_ / "sys/bus/pci/devices";
        fs::create_directories(devices);
        fs::create_directory_symlink(fs::path("../../..") / fs::relative(real, root_ / "sys"),
                                     devices / real.filename());
    }

    const fs::path root_ = fs::path(testing::TempDir()) / "ww_sysfs";
};

TEST_F(FakeRoot, IsRead) {
    Machine machine;
    machine.gpus.resize(2);
    machine.gpus[0].pci = "0000:01:00.0";
    machine.gpus[1].pci = "0000:7f:00.0";  // that sysfs does not show
    add_sysfs_facts(machine, root_.string());
    const GpuInfo& gpu = machine.gpus[0];
    EXPECT_EQ(gpu.pcie.generation, 1);
    EXPECT_EQ(gpu.pcie.max_generation, 5);
    EXPECT_EQ(gpu.pcie.width, 8);
    EXPECT_EQ(gpu.pcie.max_width, 16);
    EXPECT_EQ(gpu.numa_node, 1);
    EXPECT_EQ(gpu.cpus, "8-15");
    EXPECT_EQ(gpu.iommu, "translated");
    EXPECT_EQ(machine.gpus[1].pcie.width, 0);
    EXPECT_FALSE(machine.gpus[1].numa_node.has_value());
    ASSERT_EQ(machine.bridges.size(), 1u);
    EXPECT_EQ(machine.bridges[0].pci, "0000:00:01.1");
    EXPECT_EQ(machine.bridges[0].acs_redirect, true);
    ASSERT_EQ(machine.nvidia_devices.size(), 1u);
    EXPECT_EQ(machine.nvidia_devices[0].driver, "nvidia");
    EXPECT_EQ(machine.system.product, "Workstation 9000");
    EXPECT_EQ(machine.system.virtual_machine, true);
    EXPECT_EQ(machine.system.iommu_units, std::vector<std::string>{"ivhd0"});
    EXPECT_EQ(machine.system.parameters, (std::vector<std::string>{"amd_iommu=on", "pcie_aspm=off"}));
    ASSERT_EQ(machine.numa.size(), 2u);
    EXPECT_EQ(machine.numa[1].cpus, "8-15");
    EXPECT_EQ(machine.numa[1].memory_bytes, 1024 * 1024);
    ASSERT_EQ(machine.network.size(), 1u);
    EXPECT_TRUE(machine.network[0].active);
    EXPECT_EQ(machine.network[0].kind, "Ethernet");
    EXPECT_FALSE(machine.network[0].numa_node.has_value());
}

TEST(Sysfs, AnEmptyMachineIsNoError) {
    Machine machine;
    add_sysfs_facts(machine, testing::TempDir() + "ww_no_such_folder");
    EXPECT_TRUE(machine.numa.empty());
    EXPECT_TRUE(machine.network.empty());
    EXPECT_FALSE(machine.system.virtual_machine.has_value());
    EXPECT_FALSE(machine.system.architecture.empty());  // of uname
}

}  // namespace
}  // namespace warpwright
