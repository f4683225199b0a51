#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Composes the machines of tests/probe/machines that nobody of the project has: what `warpwright probe --json` would
print there, as far as public descriptions tell. Each file names them in "origin". h200.json, h200-pair.json and
cpu-only.json are not made here: they were printed by real machines.

    python3 tests/probe/make_machines.py     writes them
"""
import json
import pathlib

FOLDER = pathlib.Path(__file__).parent / "machines"
GIB = 1 << 30
NOTE = "composed for tests, not probed: "


def gpu(index, name, target, capability, sms, memory_gib, shared_kib, l2_mib, pci, **more):
    build = {75: "compute_80", 80: "sm_80", 86: "sm_80", 89: "sm_89", 90: "sm_90a", 120: "sm_120f", 121: "sm_120f"}
    found = {
        "id": f"cuda:{index}", "name": name, "target": target, "compute_capability": capability,
        "build_target": build[capability], "sms": sms, "memory_bytes": int(memory_gib * GIB),
        "shared_per_block_bytes": shared_kib * 1024, "l2_bytes": l2_mib << 20, "pci": pci, "integrated": False,
        "clusters": capability >= 90, "multicast": False, "images": 0,
        "pcie": {"generation": 1, "width": 16, "max_generation": 5, "max_width": 16},
        "nvlink": None, "numa_node": None, "cpus": "", "iommu": "", "mig": None, "ecc": None, "bar1_bytes": None,
        "power_limit_w": None, "power_default_w": None, "max_sm_mhz": None, "max_memory_mhz": None,
    }
    assert set(more) <= set(found), more
    return {**found, **more}


def peers(count, path_of):
    return [{"from": a, "to": b, "access": False, "native_atomics": False, "link": "none", "performance_rank": 0,
             "distance": "", "status": "", "gb_s": 0.0, **path_of(a, b)}
            for a in range(count) for b in range(count) if a != b]


def machine(origin, cpu, versions, **more):
    model, cores, memory_gib, simd = cpu
    release, cuda, ptx = versions
    found = {
        "origin": NOTE + origin,
        "cpu": {"model": model, "cores": cores, "memory_bytes": memory_gib * GIB, "free_bytes": memory_gib * GIB * 3 // 4,
                "simd": simd},
        "system": {"architecture": "x86_64", "kernel": "6.8.0-85-generic", "product": "", "container": "",
                   "virtual_machine": False, "iommu_units": [], "parameters": []},
        "numa": [{"node": 0, "cpus": f"0-{cores - 1}", "memory_bytes": memory_gib * GIB}],
        "driver": {"library": "libcuda.so.1" if cuda else "", "cuda": cuda, "release": release, "problem": "",
                   "newest_ptx": ptx, "nvml": f"libnvidia-ml.so.1 ({release})" if release else "", "nvml_problem": ""},
        "gpus": [], "peers": [], "nvidia_devices": [], "bridges": [], "network": [], "toolkits": [], "nvrtc": [],
        "packages": [], "environment": [], "pack": "no images",
    }
    assert set(more) <= set(found), more
    found["system"].update(more.pop("system", {}))
    found["driver"].update(more.pop("driver", {}))
    found.update(more)
    return found


def devices(gpus, device, driver="nvidia"):
    return [{"pci": one["pci"], "device": device, "driver": driver} for one in gpus]


def package(name, version, verdicts=()):
    return {"name": name, "version": version, "path": "/opt/venv/lib/python3.12/site-packages", "verdicts": list(verdicts)}


def verdict(target, runs, files, bad_files, text="", fix=""):
    return {"target": target, "runs": runs, "files": files, "bad_files": bad_files, "text": text, "fix": fix}


def nvrtc(version):
    return {"path": f"/usr/local/cuda-{version}/lib64/libnvrtc.so.{version.split('.')[0]}", "version": version, "problem": ""}


def toolkit(version):
    return {"path": f"/usr/local/cuda-{version.rsplit('.', 1)[0]}", "version": version, "nvcc": True}


def workstation():
    slots = ["0000:01:00.0", "0000:21:00.0", "0000:41:00.0", "0000:61:00.0"]
    gpus = [gpu(i, "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", "rtx-pro-6000", 120, 188, 94.97, 99, 128, pci,
                numa_node=0, cpus="0-63", iommu="translated", mig=False, ecc=True, bar1_bytes=128 * GIB,
                power_limit_w=450.0, power_default_w=600.0, max_sm_mhz=3090, max_memory_mhz=14001)
            for i, pci in enumerate(slots)]
    return machine(
        "4 RTX PRO 6000 in a workstation with one Threadripper PRO: device queries and topologies of "
        "github.com/local-inference-lab/rtx6kpro, vllm#47979, vllm#42063, nccl#1999",
        ("AMD Ryzen Threadripper PRO 7985WX 64-Cores", 64, 512, "avx512"), ("580.95.05", "13.0", "9.0"),
        system={"iommu_units": ["ivhd0", "ivhd1", "ivhd2", "ivhd3"], "parameters": ["amd_iommu=on"]},
        gpus=gpus, nvidia_devices=devices(gpus, "0x2bb1"),
        peers=peers(4, lambda a, b: {"access": True, "link": "pcie", "distance": "PHB", "status": "ok", "gb_s": 126.016}),
        bridges=[{"pci": pci, "acs_redirect": True} for pci in
                 ("0000:00:01.1", "0000:20:01.1", "0000:40:01.1", "0000:60:01.1")],
        toolkits=[toolkit("12.8.1")], nvrtc=[nvrtc("12.8")],
        packages=[
            package("torch", "2.7.1+cu128", [verdict("rtx-pro-6000", "native", 14, 0)]),
            package("vllm", "0.9.2", [verdict("rtx-pro-6000", "partly", 6, 2, "no image for 12.0: sm_90a only",
                                              "these kernels are for Hopper; FlashAttention 2 serves the others")]),
            package("flash_attn_3", "3.0.0b1", [verdict("rtx-pro-6000", "no", 1, 1, "no image for 12.0: sm_80, sm_90a",
                                                        "FlashAttention 2 runs there")]),
            package("nvidia_nccl_cu12", "2.26.2", [verdict("rtx-pro-6000", "native", 1, 0)]),
        ],
        environment=[{"name": "VLLM_ATTENTION_BACKEND", "value": "FLASHINFER"}])


def dgx_h100():
    slots = ["1b", "43", "52", "61", "9d", "c3", "d1", "df"]
    gpus = [gpu(i, "NVIDIA H100 80GB HBM3", "h100-sxm", 90, 132, 79.19, 227, 50, f"0000:{pci}:00.0", multicast=True,
                nvlink={"active": 18, "inactive": 0, "version": 4, "to": "switch", "gb_s": 900.0},
                pcie={"generation": 5, "width": 16, "max_generation": 5, "max_width": 16},
                numa_node=i // 4, cpus="0-55,112-167" if i < 4 else "56-111,168-223", iommu="passthrough", mig=False,
                ecc=True, bar1_bytes=128 * GIB, power_limit_w=700.0, power_default_w=700.0, max_sm_mhz=1980,
                max_memory_mhz=2619)
            for i, pci in enumerate(slots)]
    cards = [{"name": f"mlx5_{i}", "kind": "InfiniBand", "rate": "400 Gb/sec (4X NDR)", "active": True,
              "pci": f"0000:{pci}:00.0", "numa_node": i // 4}
             for i, pci in enumerate(["18", "40", "4f", "5e", "9a", "c0", "ce", "dc"])]
    found = machine(
        "DGX H100: docs.nvidia.com/dgx/dgxh100-user-guide (nvidia-smi topo -m there), H100 data sheet",
        ("Intel(R) Xeon(R) Platinum 8480C", 224, 2048, "avx512"), ("570.172.08", "12.8", "8.7"),
        system={"product": "DGXH100", "iommu_units": ["dmar0", "dmar1"], "parameters": ["iommu=pt"]},
        gpus=gpus, nvidia_devices=devices(gpus, "0x2330"),
        peers=peers(8, lambda a, b: {"access": True, "native_atomics": True, "link": "nvlink", "gb_s": 900.0, "status": "ok",
                                     "distance": "NODE" if a // 4 == b // 4 else "SYS"}),
        network=cards, toolkits=[toolkit("12.8.1")], nvrtc=[nvrtc("12.8")],
        packages=[package("vllm", "0.11.0"), package("deep_ep", "1.2.1"), package("nvidia_nccl_cu12", "2.27.5")],
        environment=[{"name": "NCCL_P2P_LEVEL", "value": "NVL"}])
    found["numa"] = [{"node": 0, "cpus": "0-55,112-167", "memory_bytes": 1024 * GIB},
                     {"node": 1, "cpus": "56-111,168-223", "memory_bytes": 1024 * GIB}]
    return found


def laptop():
    gpus = [gpu(0, "NVIDIA GeForce RTX 4090 Laptop GPU", "geforce-rtx-4090-laptop-gpu", 89, 76, 15.99, 99, 64, "0000:01:00.0",
                pcie={"generation": 1, "width": 8, "max_generation": 4, "max_width": 16}, cpus="0-31",
                power_limit_w=80.0, power_default_w=150.0, max_sm_mhz=3105, max_memory_mhz=9001)]
    return machine(
        "a laptop with a GeForce RTX 4090 Laptop: NVIDIA's GeForce laptop specifications, device queries in llama.cpp's issues",
        ("13th Gen Intel(R) Core(TM) i9-13980HX", 32, 64, "avx2"), ("570.133.07", "12.8", "8.7"),
        system={"product": "ROG Strix SCAR 18"}, gpus=gpus, nvidia_devices=devices(gpus, "0x2757"),
        nvrtc=[nvrtc("13.0")], packages=[package("torch", "2.9.0+cu130")],
        environment=[{"name": "CUDA_LAUNCH_BLOCKING", "value": "1"}])


def spark():
    gpus = [gpu(0, "NVIDIA GB10", "dgx-spark", 121, 48, 119.7, 99, 24, "000f:01:00.0", integrated=True,
                pcie={"generation": 0, "width": 0, "max_generation": 0, "max_width": 0}, cpus="0-19", max_sm_mhz=3003)]
    cards = [{"name": name, "kind": "Ethernet", "rate": "200 Gb/sec (4X HDR)", "active": name == "rocep1s0f0", "pci": pci,
              "numa_node": None} for name, pci in (("rocep1s0f0", "0000:01:00.0"), ("rocep1s0f1", "0000:01:00.1"))]
    return machine(
        "DGX Spark, one of two joined by ConnectX-7: docs.nvidia.com/dgx/dgx-spark, github.com/NVIDIA/dgx-spark-playbooks, "
        "vllm#48140, flashinfer#3568",
        ("Cortex-X925", 20, 119, "neon"), ("580.95.05", "13.0", "9.0"),
        system={"architecture": "aarch64", "kernel": "6.11.0-1016-nvidia", "product": "NVIDIA DGX Spark"},
        gpus=gpus, nvidia_devices=devices(gpus, "0x2e12"), network=cards, toolkits=[toolkit("13.0.2")], nvrtc=[nvrtc("13.0")],
        packages=[package("vllm", "0.11.1"), package("triton", "3.5.0"), package("nvidia_nccl_cu13", "2.28.9")])


def geforce_pair():
    slots = ["0000:01:00.0", "0000:06:00.0"]
    gpus = [gpu(i, "NVIDIA GeForce RTX 5090", "rtx-5090", 120, 170, 31.36, 99, 96, pci, cpus="0-31", iommu="translated",
                pcie={"generation": 5, "width": 8, "max_generation": 5, "max_width": 16}, bar1_bytes=32 * GIB,
                power_limit_w=575.0, power_default_w=575.0, max_sm_mhz=3090, max_memory_mhz=14001)
            for i, pci in enumerate(slots)]
    present = devices(gpus, "0x2b85") + [{"pci": "0000:07:00.0", "device": "0x2b85", "driver": "nvidia"}]
    return machine(
        "2 of 3 GeForce RTX 5090 at a desktop board: device queries in vLLM's issues, "
        "github.com/aikitoria/open-gpu-kernel-modules (GNS without its patch)",
        ("AMD Ryzen 9 9950X 16-Core Processor", 32, 128, "avx512"), ("595.44.02", "13.2", "9.1"),
        gpus=gpus, nvidia_devices=present,
        peers=peers(2, lambda a, b: {"distance": "PHB", "status": "gpu not supported"}),
        bridges=[{"pci": "0000:00:01.1", "acs_redirect": None}, {"pci": "0000:00:02.1", "acs_redirect": None}],
        toolkits=[toolkit("13.0.2")],
        environment=[{"name": "CUDA_VISIBLE_DEVICES", "value": "0,1"}, {"name": "TORCH_CUDA_ARCH_LIST", "value": "12.0"}])


def bridged_a100():
    slots = ["0000:17:00.0", "0000:65:00.0", "0000:ca:00.0", "0000:e3:00.0"]
    gpus = [gpu(i, "NVIDIA A100 80GB PCIe", "a100-80gb-pcie", 80, 108, 79.25, 163, 40, pci, numa_node=i // 2,
                cpus="0-31,64-95" if i < 2 else "32-63,96-127", iommu="passthrough", mig=False, ecc=True,
                nvlink={"active": 12 if i < 2 else 8, "inactive": 0 if i < 2 else 4, "version": 3, "to": "gpu",
                        "gb_s": 600.0 if i < 2 else 400.0},
                pcie={"generation": 4, "width": 16, "max_generation": 4, "max_width": 16}, bar1_bytes=GIB // 4,
                power_limit_w=300.0, power_default_w=300.0, max_sm_mhz=1410, max_memory_mhz=1512)
            for i, pci in enumerate(slots)]

    def path(a, b):
        if a // 2 == b // 2:
            return {"access": True, "native_atomics": True, "link": "nvlink", "distance": "NODE", "status": "ok",
                    "gb_s": 600.0 if a < 2 else 400.0}
        return {"access": True, "link": "pcie", "distance": "SYS", "status": "ok", "gb_s": 63.008}

    found = machine(
        "4 A100 PCIe with bridges in pairs, two sockets: A100 PCIe product brief, NVIDIA's topologies of certified systems",
        ("AMD EPYC 7543 32-Core Processor", 128, 1024, "avx2"), ("535.261.03", "12.2", "8.2"),
        system={"iommu_units": ["ivhd0"], "parameters": ["iommu=pt"]}, gpus=gpus, nvidia_devices=devices(gpus, "0x20b5"),
        peers=peers(4, path), nvrtc=[nvrtc("12.2")], packages=[package("torch", "2.6.0+cu124")],
        environment=[{"name": "NCCL_P2P_DISABLE", "value": "1"}])
    found["numa"] = [{"node": 0, "cpus": "0-31,64-95", "memory_bytes": 512 * GIB},
                     {"node": 1, "cpus": "32-63,96-127", "memory_bytes": 512 * GIB}]
    return found


def mixed_cloud():
    """A virtual machine whose hypervisor forbids peer access, with two models."""
    gpus = [gpu(0, "NVIDIA L40S", "l40s", 89, 142, 44.99, 99, 96, "0000:00:05.0", cpus="0-47", mig=None),
            gpu(1, "NVIDIA L40S", "l40s", 89, 142, 44.99, 99, 96, "0000:00:06.0", cpus="0-47"),
            gpu(2, "NVIDIA L4", "l4", 89, 58, 22.49, 99, 48, "0000:00:07.0", cpus="0-47")]
    for one in gpus:
        one.update(images=210, ecc=True, power_limit_w=350.0, power_default_w=350.0)
    return machine(
        "2 L40S and an L4 in a virtual machine: aiconfigurator#1346, nvidia-smi topo -p2p of cloud machines",
        ("Intel(R) Xeon(R) Platinum 8488C", 48, 384, "avx512"), ("580.95.05", "13.0", "9.0"),
        system={"virtual_machine": True, "product": "Standard PC (Q35 + ICH9, 2009)"}, gpus=gpus,
        nvidia_devices=devices(gpus, "0x26b9"), pack="1050 images for sm_80, sm_89, sm_90a, sm_100f, sm_120f",
        peers=peers(3, lambda a, b: {"distance": "PHB", "status": "chipset not supported"}),
        bridges=[{"pci": "0000:00:02.0", "acs_redirect": None}])


def mig():
    gpus = [gpu(0, "NVIDIA H100 PCIe MIG 3g.40gb", "h100-pcie-mig-3g.40gb", 90, 60, 39.5, 227, 25, "0000:3b:00.0", mig=True,
                ecc=True, cpus="0-31", numa_node=0)]
    return machine(
        "an instance of an H100 PCIe in a container: docs.nvidia.com/datacenter/tesla/mig-user-guide",
        ("AMD EPYC 9354 32-Core Processor", 32, 256, "avx512"), ("550.163.01", "12.4", "8.4"),
        system={"container": "docker"}, gpus=gpus, nvidia_devices=devices(gpus, "0x2331"))


def no_driver():
    cards = [{"pci": "0000:41:00.0", "device": "0x2bb1", "driver": "nouveau"},
             {"pci": "0000:61:00.0", "device": "0x2bb1", "driver": "nouveau"}]
    return machine(
        "a workstation before its driver is installed: Debian 12 binds nouveau",
        ("AMD Ryzen Threadripper PRO 7985WX 64-Cores", 64, 512, "avx512"), ("", "", ""),
        driver={"problem": "cuda: no NVIDIA driver: looked for libcuda.so.1, found none", "nvml_problem":
                "nvml: looked for libnvidia-ml.so.1, found none"}, nvidia_devices=cards)


MACHINES = {
    "workstation-4x-rtx-pro-6000": workstation, "dgx-h100": dgx_h100, "laptop-rtx-4090": laptop, "dgx-spark": spark,
    "desktop-2x-rtx-5090": geforce_pair, "server-4x-a100-pcie": bridged_a100, "cloud-l40s-l4": mixed_cloud, "h100-mig": mig,
    "no-driver": no_driver,
}


def main():
    for name, make in MACHINES.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(make(), indent=1) + "\n")


if __name__ == "__main__":
    main()
