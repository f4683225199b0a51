// SPDX-License-Identifier: Apache-2.0
#include "inspect/container/task_pool.h"

#include <thread>
#include <utility>
#include <vector>

namespace warpwright::inspect {

void TaskPool::add(Task task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
}

void TaskPool::add_first(Task task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_front(std::move(task));
    }
    changed_.notify_one();
}

void TaskPool::run(int num_threads, const std::function<bool()>& stop) {
    std::vector<std::thread> threads;
    for (int i = 1; i < num_threads; ++i) threads.emplace_back([&] { work(stop); });
    work(stop);
    for (std::thread& thread : threads) thread.join();
}

void TaskPool::work(const std::function<bool()>& stop) {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [&] { return !tasks_.empty() || num_running_ == 0; });
        if (tasks_.empty()) break;
        Task task = std::move(tasks_.front());
        tasks_.pop_front();
        ++num_running_;
        lock.unlock();
        if (!stop || !stop()) task();
        task = nullptr;  // what it holds, before the next one takes memory
        lock.lock();
        --num_running_;
    }
    changed_.notify_all();
}

}  // namespace warpwright::inspect
