// SPDX-License-Identifier: Apache-2.0
// The CPU side of Machine, from the files in which Linux describes it.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "device/machine.h"

namespace warpwright {
namespace {

// The text after "key ... :" in a file of such lines, without surrounding blanks.
std::string field_of(const char* path, std::string_view key) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
        if (line.rfind(key, 0) != 0) continue;
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        const auto first = line.find_first_not_of(" \t", colon + 1);
        const auto last = line.find_last_not_of(" \t\r");
        if (first != std::string::npos) return line.substr(first, last - first + 1);
    }
    return {};
}

// The number in a one-number file, or 0: "max" and absent files say that there is no limit.
i64 number_in(const char* path) {
    std::ifstream file(path);
    i64 value = 0;
    return file >> value ? value : 0;
}

i64 kibibytes_of(std::string_view key) {
    return std::strtoll(field_of("/proc/meminfo", key).c_str(), nullptr, 10) * 1024;
}

const char* simd_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
    if (__builtin_cpu_supports("sse4.1")) return "sse4";
    return "scalar";
#elif defined(__aarch64__)
    return "neon";
#else
    return "scalar";
#endif
}

}  // namespace

HostFacts read_host_facts() {
    HostFacts facts;
    facts.model = field_of("/proc/cpuinfo", "model name");
    if (facts.model.empty()) facts.model = field_of("/proc/cpuinfo", "Model");
    if (facts.model.empty()) facts.model = "unknown";
    facts.num_cores_total = std::max(1l, sysconf(_SC_NPROCESSORS_ONLN));
    cpu_set_t set;
    facts.num_cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : facts.num_cores_total;
    const i64 max_khz = number_in("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    facts.max_mhz = static_cast<int>(max_khz / 1000);

    facts.memory_bytes = kibibytes_of("MemTotal");
    facts.free_bytes = kibibytes_of("MemAvailable");
    const i64 limit = number_in("/sys/fs/cgroup/memory.max");
    if (limit > 0 && limit < facts.memory_bytes) {
        facts.memory_bytes = limit;
        const i64 used = number_in("/sys/fs/cgroup/memory.current");
        facts.free_bytes = std::clamp<i64>(limit - used, 0, facts.free_bytes);
    }
    facts.simd = simd_level();
    return facts;
}

}  // namespace warpwright
