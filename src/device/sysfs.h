// SPDX-License-Identifier: Apache-2.0
// What Linux tells of the paths between devices: PCIe links, NUMA nodes, IOMMU groups, ACS of bridges,
// network cards. Kernel documentation: Documentation/ABI/testing/sysfs-bus-pci, sysfs-class-infiniband, PCI
// Express Base Specification 6.0 section 7.7.11 (ACS).
#pragma once

#include <span>
#include <string>

#include "device/machine.h"

namespace warpwright {

// Fills system, numa, nvidia_devices, bridges, network, and what files tell of the GPUs in `machine`, which
// are found by their PCI address. `root` is put before every path.
void add_sysfs_facts(Machine& machine, const std::string& root = "");

// Whether a bridge redirects peer-to-peer requests or completions, from its configuration space; none when
// that is cut off before the extended capabilities, as it is for other users than root.
std::optional<bool> acs_redirect(std::span<const unsigned char> config);

}  // namespace warpwright
