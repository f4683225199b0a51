// SPDX-License-Identifier: Apache-2.0
// Tasks that may add tasks, run by some threads until none is left.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

namespace warpwright::inspect {

class TaskPool {
public:
    using Task = std::function<void()>;

    void add(Task task);
    // Before all others: what a task adds is done before the next of its kind takes memory.
    void add_first(Task task);

    // Returns when all are done, or dropped after `stop` said true. One thread is the caller's. A task throws
    // nothing.
    void run(int num_threads, const std::function<bool()>& stop);

private:
    void work(const std::function<bool()>& stop);

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Task> tasks_;
    int num_running_ = 0;
};

}  // namespace warpwright::inspect
