// SPDX-License-Identifier: Apache-2.0
// Status and Result: how the library answers. It never prints and never exits.
//   caller error  returned, with what was expected and what was got, lower case, no full stop
//   no kernel     returned, with the Explanation's text
//   bug           WW_ASSERT, with the values
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace warpwright {

enum class ErrorKind {
    ok,
    caller,       // bad argument, bad file, bad name: exit code 2
    no_kernel,    // no row serves this problem on this target: exit code 1
    unavailable,  // device, driver, compiler or file system is not there or refused: exit code 2
};

class [[nodiscard]] Status {
public:
    Status() = default;
    Status(ErrorKind kind, std::string message) : kind_(kind), message_(std::move(message)) {}

    bool ok() const { return kind_ == ErrorKind::ok; }
    explicit operator bool() const { return ok(); }
    ErrorKind kind() const { return kind_; }
    const std::string& message() const { return message_; }

private:
    ErrorKind kind_ = ErrorKind::ok;
    std::string message_;
};

inline Status caller_error(std::string message) {
    return {ErrorKind::caller, std::move(message)};
}
inline Status no_kernel(std::string message) {
    return {ErrorKind::no_kernel, std::move(message)};
}
inline Status unavailable(std::string message) {
    return {ErrorKind::unavailable, std::move(message)};
}

// A T, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
public:
    Result(T value) : state_(std::move(value)) {}         // NOLINT: implicit by design
    Result(Status status) : state_(std::move(status)) {}  // NOLINT: implicit by design

    bool ok() const { return std::holds_alternative<T>(state_); }
    explicit operator bool() const { return ok(); }
    Status status() const { return ok() ? Status{} : std::get<Status>(state_); }

    T& value() & { return std::get<T>(state_); }
    const T& value() const& { return std::get<T>(state_); }
    T&& value() && { return std::get<T>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

private:
    std::variant<T, Status> state_;
};

// Hands a failed Status to the caller: `WW_TRY(device.copy(...));`
#define WW_TRY(expression)                                                                       \
    do {                                                                                         \
        if (::warpwright::Status ww_status_ = (expression); !ww_status_.ok()) return ww_status_; \
    } while (false)

#define WW_CONCAT_(a, b) a##b
#define WW_CONCAT(a, b) WW_CONCAT_(a, b)

// Binds the value or returns the Status: `WW_ASSIGN(auto buffer, device.allocate(bytes));`
#define WW_ASSIGN(declaration, expression)                                                      \
    auto WW_CONCAT(ww_result_, __LINE__) = (expression);                                        \
    if (!WW_CONCAT(ww_result_, __LINE__).ok()) return WW_CONCAT(ww_result_, __LINE__).status(); \
    declaration = std::move(WW_CONCAT(ww_result_, __LINE__)).value()

}  // namespace warpwright
