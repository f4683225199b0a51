// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/bus_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>

namespace warpwright::inspect {
namespace {

// Read by the signal handler: nothing but atomic numbers.
struct Slot {
    std::atomic<bool> is_taken{false}, was_lost{false};
    std::atomic<std::uintptr_t> begin{0}, end{0};
};
std::array<Slot, 256> slots;  // more than threads; a mapping without one is as unguarded as any other
struct sigaction previous {};
std::uintptr_t page_mask = 0;

void on_bus_error(int signal, siginfo_t* info, void* context) {
    const auto address = reinterpret_cast<std::uintptr_t>(info->si_addr);
    for (Slot& slot : slots) {
        const std::uintptr_t begin = slot.begin.load(), end = slot.end.load();
        if (address < begin || address >= end) continue;
        const std::uintptr_t page = address & page_mask;
        slot.was_lost.store(true);
        // Zeros from here on; the instruction is run again.
        const void* zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        if (zeros != MAP_FAILED) return;
    }
    // Not ours: what would have happened without this handler.
    if (previous.sa_flags & SA_SIGINFO) {
        if (previous.sa_sigaction != nullptr) return previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        return previous.sa_handler(signal);
    }
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(SIGBUS, &standard, nullptr);
}

void install_once() {
    static const bool is_installed = [] {
        page_mask = ~(static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE)) - 1);
        struct sigaction action {};
        action.sa_sigaction = on_bus_error;
        action.sa_flags = SA_SIGINFO;
        sigemptyset(&action.sa_mask);
        return sigaction(SIGBUS, &action, &previous) == 0;
    }();
    static_cast<void>(is_installed);
}

}  // namespace

BusGuard::BusGuard(Bytes mapping) {
    if (mapping.empty()) return;
    install_once();
    for (size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].is_taken.exchange(true)) continue;
        slot_ = static_cast<int>(i);
        slots[i].was_lost.store(false);
        const auto begin = reinterpret_cast<std::uintptr_t>(mapping.data());
        // In this order, and the other way round at the end: nothing in between is a range.
        slots[i].begin.store(begin);
        slots[i].end.store(begin + mapping.size());
        return;
    }
}

BusGuard::~BusGuard() {
    if (slot_ < 0) return;
    Slot& slot = slots[static_cast<size_t>(slot_)];
    slot.end.store(0);
    slot.begin.store(0);
    slot.is_taken.store(false);
}

bool BusGuard::was_lost() const {
    return slot_ >= 0 && slots[static_cast<size_t>(slot_)].was_lost.load();
}

}  // namespace warpwright::inspect
