// SPDX-License-Identifier: Apache-2.0
// A file that only one holder among all threads and processes has locked.
#pragma once

#include <string>

#include "image/file_descriptor.h"
#include "warpwright/status.h"

namespace warpwright {

// Held until it is destroyed, which removes the file; the kernel frees a killed holder's.
class FileLock {
public:
    FileLock() = default;
    FileLock(FileLock&&) = default;
    FileLock& operator=(FileLock&&) = default;
    ~FileLock();

    // Creates the file, whose folder is there already, and waits for another holder's end; not forever.
    static Result<FileLock> acquire(std::string path);

private:
    std::string path_;
    FileDescriptor fd_;
};

}  // namespace warpwright
