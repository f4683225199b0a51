// SPDX-License-Identifier: Apache-2.0
// The door to devices, and what is said where there is no GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "device/cuda.h"
#include "device/cuda_api.h"
#include "device/host.h"
#include "device/registry.h"

namespace warpwright {
namespace {

using testing::Test;

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

TEST(Open, UnknownNamesAreTheCallersError) {
    for (const char* name : {"gpu", "", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cpu:0", "auto:1"}) {
        const Status status = open_device(name).status();
        EXPECT_EQ(status.kind(), ErrorKind::caller) << name << ": " << status.message();
    }
    const std::string text = open_device("gpu").status().message();
    EXPECT_TRUE(contains(text, "device: \"gpu\" is no device: expected auto, cuda:N, cpu, emulated:GPU"))
        << text;
    EXPECT_TRUE(contains(text, "; this machine has ")) << text;
    EXPECT_TRUE(contains(text, "cpu")) << text;
}

TEST(Open, EmulatedDevicesAreNamedByTheirGpu) {
    const auto device = open_device("emulated:rtx-5090,checks=bounds,seed=3,threads=1");
    ASSERT_TRUE(device.ok()) << device.status().message();
    EXPECT_EQ((*device)->id(), "emulated:rtx-5090");
    EXPECT_EQ((*device)->target().facts.compute_capability, 120);
    EXPECT_TRUE((*device)->poisons_fresh_memory());
}

TEST(Open, EmulatedDevicesSayWhatTheyExpect) {
    const auto message = [](std::string_view name) { return open_device(name).status().message(); };
    EXPECT_EQ(message("emulated:cpu"), "device: emulated:cpu: expected the name of a GPU");
    EXPECT_TRUE(contains(message("emulated:rtx5090x"), "rtx-5090")) << message("emulated:rtx5090x");
    EXPECT_EQ(message("emulated:a100,checks=some"), "device: checks=some: expected off, bounds or all");
    for (const char* option : {"seed=", "seed=x", "threads=-1", "speed=9", ""}) {
        EXPECT_EQ(message(std::string("emulated:a100,") + option),
                  std::string("device: emulated option \"") + option +
                      "\": expected checks=off|bounds|all, seed=N or threads=N");
    }
    for (const char* name : {"emulated", "emulated:"}) {
        EXPECT_FALSE(open_device(name).ok()) << name;
    }
}

TEST(Open, AnotherKindAddsItself) {
    register_device_kind({"test-kind", "test-kind:X",
                          [](std::string_view argument) -> Result<std::shared_ptr<Device>> {
                              if (argument != "one") return caller_error("device: test-kind: expected one");
                              return open_host_device(1);
                          },
                          [] { return std::vector<std::string>{"test-kind:one"}; }});
    EXPECT_TRUE(open_device("test-kind:one").ok());
    EXPECT_EQ(open_device("test-kind:two").status().message(), "device: test-kind: expected one");
    const auto ids = list_devices().ids;
    EXPECT_NE(std::find(ids.begin(), ids.end(), "test-kind:one"), ids.end());
}

TEST(Open, ListAgreesWithWhatOpens) {
    const DeviceList list = list_devices();
    EXPECT_NE(std::find(list.ids.begin(), list.ids.end(), "cpu"), list.ids.end());
    const bool has_gpu = std::find(list.ids.begin(), list.ids.end(), "cuda:0") != list.ids.end();
    EXPECT_EQ(list.cuda_problem.empty(), has_gpu) << list.cuda_problem;
    const auto chosen = open_device("auto");
    ASSERT_TRUE(chosen.ok()) << chosen.status().message();
    EXPECT_EQ((*chosen)->id(), has_gpu ? "cuda:0" : "cpu");
    const auto cuda = open_device("cuda");
    EXPECT_EQ(cuda.ok(), has_gpu);
    if (!has_gpu) {
        EXPECT_EQ(cuda.status().kind(), ErrorKind::unavailable);
        EXPECT_EQ(cuda.status().message(), list.cuda_problem);
    }
    EXPECT_EQ(open_device("cuda:9999").status().kind(), ErrorKind::unavailable);
}

TEST(CudaApi, AbsentDriverIsASentence) {
    const Status status = load_cuda_api("libcuda-of-nowhere.so.1").status();
    EXPECT_EQ(status.kind(), ErrorKind::unavailable);
    EXPECT_TRUE(contains(status.message(),
                         "cuda: no NVIDIA driver: looked for libcuda-of-nowhere.so.1, found none ("))
        << status.message();
    EXPECT_TRUE(contains(status.message(), "No such file")) << status.message();
}

TEST(CudaApi, AnotherLibraryIsNoDriver) {
    const Status status = load_cuda_api("libm.so.6").status();
    EXPECT_EQ(status.message(), "cuda: libm.so.6 is not a CUDA driver library: it has no cuInit");
}

TEST(CudaApi, TheToolkitsStubIsNoDriver) {
    const char* stub = "/usr/local/cuda/lib64/stubs/libcuda.so";
    if (!std::filesystem::exists(stub)) GTEST_SKIP() << "no CUDA toolkit with a stub library here";
    const Status status = load_cuda_api(stub).status();
    EXPECT_EQ(status.kind(), ErrorKind::unavailable);
    EXPECT_TRUE(contains(status.message(), "is the toolkit's stub for linking, not a driver"))
        << status.message();
}

// A driver that answers as told, for failures that no test machine has.
const char* error_name = "CUDA_ERROR_OUT_OF_MEMORY";
CuResult fake_error_name(CuResult, const char** text) {
    return *text = error_name, 0;
}
CuResult fake_error_string(CuResult, const char** text) {
    return *text = "out of memory", 0;
}
CuResult no_gpus(int* count) {
    return *count = 0, 0;
}
CuResult two_gpus(int* count) {
    return *count = 2, 0;
}

CudaApi fake_api() {
    CudaApi api{};
    api.library = "libcuda.so.1";
    api.driver_version = 13000;
    api.cuGetErrorName = fake_error_name;
    api.cuGetErrorString = fake_error_string;
    return api;
}

TEST(CudaApi, FailuresNameTheCallTheErrorAndItsText) {
    const CudaApi api = fake_api();
    EXPECT_TRUE(api.status(0, "cuMemAlloc").ok());
    const Status status = api.status(2, "cuMemAlloc");
    EXPECT_EQ(status.kind(), ErrorKind::unavailable);
    EXPECT_EQ(status.message(), "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY: out of memory");
}

TEST(CudaApi, DriverWithoutAGpu) {
    CudaApi api = fake_api();
    api.cuDeviceGetCount = no_gpus;
    const Status status = open_cuda_device(api, 0).status();
    EXPECT_EQ(status.kind(), ErrorKind::unavailable);
    EXPECT_TRUE(contains(status.message(),
                         "cuda: no GPU: driver libcuda.so.1 for CUDA 13.0 is there and reports none"))
        << status.message();
}

TEST(CudaApi, NumberOfAGpuThatIsNotThere) {
    CudaApi api = fake_api();
    api.cuDeviceGetCount = two_gpus;
    EXPECT_EQ(open_cuda_device(api, 5).status().message(),
              "device: cuda:5 is not there: this machine has cuda:0 to cuda:1");
}

TEST(CudaApi, VersionText) {
    EXPECT_EQ(cuda_version_text(12080), "12.8");
    EXPECT_EQ(cuda_version_text(13000), "13.0");
}

}  // namespace
}  // namespace warpwright
