# SPDX-License-Identifier: Apache-2.0
"""warpwright inspect on wheels of PyPI: the libraries in them, the architectures that their documentation names, and
verdicts that follow from these.

Wheels are downloaded when the registry answers, into build/wheels, and kept there for the next run; without an
answer their tests are skipped. In all at most WARPWRIGHT_WHEELS_MB (default 300) are held; a wheel for which there is
no room is skipped too, so that a larger figure is what asks for the large ones: 1002 is room for all.
"""
import collections
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / "build" / "warpwright"
CACHE = ROOT / "build" / "wheels"
BUDGET_MB = int(os.environ.get("WARPWRIGHT_WHEELS_MB", "300"))

# Megabytes as the registry says them, and in the order in which the budget is spent.
WHEELS = {
    "bitsandbytes==0.50.2": 44,
    "nvidia-nvshmem-cu13==3.3.24": 61,
    "flashinfer-python==0.5.3": 8,
    "triton==2.0.0": 64,
    "flashinfer-cubin==0.4.0": 91,
    "nvidia-cuda-cuobjdump==13.4.92": 1,
    "nvidia-nccl-cu13==2.28.9": 197,
    "sgl-kernel==0.3.21": 536,
}


NO_ANSWER = "the package registry does not answer"
unanswered = set()  # asked once in vain, it is not asked again


def room_for(wheel):
    spent = 0
    for name, megabytes in WHEELS.items():
        if spent + megabytes <= BUDGET_MB:
            spent += megabytes
            if name == wheel:
                return True
        elif name == wheel:
            return False
    return False


def fetch(wheel):
    """The wheel's file, downloaded where it is not there yet."""
    stem = wheel.replace("-", "_").replace("==", "-")
    found = sorted(CACHE.glob(stem + "-*.whl"))
    if found:
        return found[0]
    if not room_for(wheel):
        raise unittest.SkipTest(f"{wheel} has {WHEELS[wheel]} MB: needs a larger WARPWRIGHT_WHEELS_MB")
    if unanswered:
        raise unittest.SkipTest(NO_ANSWER)
    CACHE.mkdir(parents=True, exist_ok=True)
    platforms = [f"manylinux_2_{minor}" for minor in (28, 27, 24, 18, 17)] + ["manylinux2014"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir",
               "--quiet", "--retries", "1", "--timeout", "15", "--python-version", "3.11", "--dest", str(CACHE)]
    for platform in platforms:
        command += ["--platform", f"{platform}_x86_64"]
    try:
        done = subprocess.run([*command, wheel], capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired):
        unanswered.add(wheel)
        raise unittest.SkipTest(NO_ANSWER)
    if "No matching distribution" in done.stderr and "from versions: none" not in done.stderr:
        raise AssertionError(done.stderr)  # it answers, but has no such wheel
    if done.returncode != 0:
        unanswered.add(wheel)
        raise unittest.SkipTest(NO_ANSWER)
    return sorted(CACHE.glob(stem + "-*.whl"))[0]


@functools.lru_cache(maxsize=None)
def inspected(wheel):
    """The reports of a wheel's files by their paths in it."""
    path = fetch(wheel)
    done = subprocess.run([BINARY, "inspect", "--json", path], capture_output=True, text=True, timeout=600)
    if done.returncode not in (0, 1):
        raise AssertionError(done.stderr)
    files = json.loads(done.stdout)["files"]
    return {file["path"].split("!/", 1)[-1]: file for file in files}


def libraries(file):
    return {library["name"] for library in file.get("libraries", [])}


def linked(file):
    """How many images of each kind and architecture are loaded, those a device link took in left out."""
    return collections.Counter((image["kind"], image["arch"]) for image in file["images"]
                               if not image.get("link_input"))


def unpacked(wheel, member, folder):
    with zipfile.ZipFile(fetch(wheel)) as archive:
        path = pathlib.Path(archive.extract(member, folder))
    path.chmod(0o755)
    return path


def resource_usage(text):
    """What cuobjdump -res-usage prints: registers, stack and shared bytes by architecture and function."""
    usage = {}
    architecture = function = None
    for line in text.split("\n"):
        if match := re.match(r"arch = (\S+)", line):
            architecture = match[1]
        elif match := re.match(r" Function (\S+):", line):
            function = match[1]
        elif match := re.match(r"  REG:(\d+) STACK:(\d+) SHARED:(\d+)", line):
            usage[architecture, function] = tuple(map(int, match.groups()))
    return usage


class Wheels(unittest.TestCase):
    def setUp(self):
        if not BINARY.exists():
            self.skipTest("needs the program warpwright, not built")

    def verdicts(self, file, **expected):
        for target, runs in expected.items():
            verdict = file["verdicts"][target.replace("_", "-")]
            self.assertEqual(verdict["runs"], runs, f"{file['path']} on {target}: {verdict['text']}")

    # .github/scripts/build-cuda.sh of bitsandbytes: CUDA 13.0 for 75, 80, 86, 89, 90, 100, 120 and PTX of the last.
    # Its 4-bit products have kernels for 7.5 and for 8.0 on, each empty or trapping where another one is meant.
    def test_bitsandbytes(self):
        files = inspected("bitsandbytes==0.50.2")
        file = files["bitsandbytes/libbitsandbytes_cuda130.so"]
        self.assertIn("bitsandbytes", libraries(file))
        self.assertEqual(linked(file), {("cubin", f"sm_{sm}"): 1 for sm in (75, 80, 86, 89, 90, 100, 120)})
        self.verdicts(file, jetson_thor="no")
        self.assertIn("-gencode arch=compute_110f,code=sm_110f", file["verdicts"]["jetson-thor"]["fix"])
        for name, found in files.items():
            if name.startswith("bitsandbytes/libbitsandbytes_cuda"):
                self.assertIn("bitsandbytes", libraries(found), name)
                for target in ("a100-80", "rtx-3090", "rtx-4090", "h100-sxm"):
                    self.for_other_gpus_alone(found["verdicts"][target])
        for target in ("b200", "b300", "rtx-pro-6000", "dgx-spark"):
            self.for_other_gpus_alone(file["verdicts"][target])

    def for_other_gpus_alone(self, verdict):
        """Everything runs but kernels that are named after an architecture."""
        self.assertIn(verdict["runs"], ("native", "partly"), verdict)
        self.assertLess(verdict.get("num_missing", 0), 40, verdict)
        self.assertTrue(all("gemm_4bit_sm" in name for name in verdict.get("kernels", [])), verdict)

    # NVIDIA's own reader on the same file: every image, and each kernel's registers, stack and shared memory. It counts
    # the kilobyte that the system reserves in each block that uses shared memory from 9.0 on.
    def test_agrees_with_cuobjdump(self):
        member = "bitsandbytes/libbitsandbytes_cuda130.so"
        file = inspected("bitsandbytes==0.50.2")[member]
        with tempfile.TemporaryDirectory() as folder:
            tool = unpacked("nvidia-cuda-cuobjdump==13.4.92", "nvidia/cu13/bin/cuobjdump", folder)
            library = unpacked("bitsandbytes==0.50.2", member, folder)

            def cuobjdump(*options):
                return subprocess.run([tool, *options, library], capture_output=True, text=True, timeout=120).stdout

            def listed(*options):
                return collections.Counter(re.findall(r"\.(sm_\w+)\.(?:cubin|ptx)$", cuobjdump(*options), re.MULTILINE))

            def ours(kind, link_inputs):
                return collections.Counter(image["arch"] for image in file["images"] if image["kind"] == kind
                                           and (link_inputs or not image.get("link_input")))

            self.assertEqual(listed("-lelf"), ours("cubin", False))
            self.assertEqual(listed("-lelf", "-all"), ours("cubin", True))
            self.assertEqual(listed("-lptx", "-all"), ours("ptx", True))
            theirs = resource_usage(cuobjdump("-res-usage"))
        checked = 0
        for image in file["images"]:
            if image["kind"] != "cubin" or image.get("link_input"):
                continue
            reserved = 1024 if int(image["arch"][3:].rstrip("af")) >= 90 else 0
            for kernel in image["kernels"]:
                registers, stack, shared = theirs[image["arch"], kernel["name"]]
                self.assertEqual((kernel["registers"], kernel["stack_bytes"]), (registers, stack), kernel["name"])
                self.assertIn(shared, (kernel["shared_bytes"], kernel["shared_bytes"] + reserved), kernel["name"])
                checked += 1
        self.assertEqual(checked, 7 * 202)

    # NVSHMEM's install guide: Linux x86-64, GPUs from compute capability 7.0 on.
    def test_nvshmem(self):
        file = inspected("nvidia-nvshmem-cu13==3.3.24")["nvidia/nvshmem/lib/libnvshmem_host.so.3"]
        nvshmem = next(library for library in file["libraries"] if library["name"] == "NVSHMEM")
        self.assertTrue(nvshmem["version"].startswith("3.3.24"), nvshmem)
        self.assertNotIn("NCCL", libraries(file))
        self.verdicts(file, a100_80="native", h100_sxm="native", b200="native", rtx_pro_6000="native")

    # Sources that are compiled where they run: no device code, and none is invented.
    def test_flashinfer_python(self):
        for name, file in inspected("flashinfer-python==0.5.3").items():
            self.assertFalse([image for image in file["images"] if image["kind"] != "ptx"], name)

    def test_triton(self):
        files = inspected("triton==2.0.0")
        self.assertIn("Triton", libraries(files["triton/_C/libtriton.so"]))
        for name, file in files.items():
            self.assertNotIn("NCCL", libraries(file), name)

    # src/device/common.h and makefiles/common.mk of NCCL 2.28 with CUDA 13: 75, 80, 90, 100, 110, 120 and PTX of 120;
    # kernels of FP8 with multicast are for the family of 10.0 alone.
    def test_nccl(self):
        file = inspected("nvidia-nccl-cu13==2.28.9")["nvidia/nccl/lib/libnccl.so.2"]
        nccl = next(library for library in file["libraries"] if library["name"] == "NCCL")
        self.assertTrue(nccl["version"].startswith("2.28.9"), nccl)
        built = linked(file)
        for sm in ("sm_75", "sm_80", "sm_90", "sm_100", "sm_100f", "sm_120"):
            self.assertGreater(built["cubin", sm], 0, sm)
        self.verdicts(file, b200="native", b300="native", a100_80="partly", h100_sxm="partly", rtx_pro_6000="partly")
        missing = file["verdicts"]["rtx-pro-6000"]
        self.assertIn("sm_100f code runs on 10.x alone", missing["text"])
        self.assertTrue(all("f8e" in name for name in missing["kernels"]), missing["kernels"])

    # FlashInfer's README: the cubins of TensorRT-LLM's attention and products are for 10.0 and 10.3.
    def test_flashinfer_cubin(self):
        files = inspected("flashinfer-cubin==0.4.0")
        self.assertGreater(len(files), 1000)
        for name, file in files.items():
            if not name.endswith(".cubin"):
                continue
            self.verdicts(file, rtx_pro_6000="no", h100_sxm="no", a100_80="no")
            if "Sm103a" in name:
                self.verdicts(file, b300="native", b200="no")
            elif "sm100f" in name or "Sm100f" in name:
                self.verdicts(file, b300="native", b200="native")
            elif "sm100a" in name or "Sm100a" in name:
                self.verdicts(file, b300="no", b200="native")
        self.assertIn("TensorRT-LLM generated kernels", {name for file in files.values() for name in libraries(file)})

    # CMakeLists.txt of sgl-kernel: 80, 89, 90, 90a, 100a, 120a with CUDA 12.9, hence neither 10.3 nor 12.1; the copy of
    # FlashAttention 3 is built for 80, 86 and 90a, and its kernels for 9.0 are empty in the others.
    def test_sgl_kernel(self):
        files = inspected("sgl-kernel==0.3.21")
        common = files["sgl_kernel/sm100/common_ops.abi3.so"]
        self.assertLessEqual({"sgl-kernel", "CUTLASS", "FlashInfer", "Marlin"}, libraries(common))
        self.assertEqual({arch for _, arch in linked(common)},
                         {"sm_80", "sm_89", "sm_90", "sm_90a", "sm_100a", "sm_120a"})
        self.verdicts(common, b300="no", dgx_spark="no", jetson_thor="no", a100_80="partly", b200="partly")
        flash = files["sgl_kernel/flash_ops.abi3.so"]
        self.assertLessEqual({"FlashAttention 3", "CUTLASS"}, libraries(flash))
        self.verdicts(flash, a100_80="partly", h100_sxm="partly", rtx_pro_6000="no", b200="no")
        self.assertIn("enable_sm90_or_later", " ".join(flash["verdicts"]["a100-80"]["kernels"]))


if __name__ == "__main__":
    unittest.main()
