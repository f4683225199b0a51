// SPDX-License-Identifier: Apache-2.0
// Checks of tensor arguments with symbolic sizes: the first tensor that names a size sets it, later ones must
// agree.
//   Matcher match("rmsnorm");
//   match.tensor("x", call.x, {{"tokens", tokens}, {"hidden", hidden}}, {DType::bf16, DType::f16});
#pragma once

#include <initializer_list>
#include <map>
#include <string>

#include "warpwright/status.h"
#include "warpwright/tensor.h"

namespace warpwright {

class Matcher {
public:
    explicit Matcher(std::string op) : op_(std::move(op)) {}

    // A dimension's symbol, or a number as text that must hold exactly.
    struct Options {
        bool dense = false;     // row-major without gaps; otherwise only the last dimension must be dense
        bool optional = false;  // a null tensor is accepted
    };
    Matcher& tensor(const char* name, const Tensor& tensor, std::initializer_list<const char*> symbols,
                    std::initializer_list<DType> types, Options options);
    Matcher& tensor(const char* name, const Tensor& value, std::initializer_list<const char*> symbols,
                    std::initializer_list<DType> types) {
        return tensor(name, value, symbols, types, Options{});
    }
    Matcher& require(bool condition, const std::string& message);

    i64 operator[](const char* symbol) const;  // 0 when it was never bound
    const Status& status() const { return status_; }

private:
    void fail(const std::string& message);

    std::string op_;
    std::map<std::string, i64, std::less<>> sizes_;
    std::map<std::string, std::string, std::less<>> first_;  // symbol -> tensor that set it
    Status status_;
};

// The largest power of two, at most 16, that divides the address and every stride but the last, in bytes.
// What the stride of a dimension of one element is counts only with `every_stride`: where the answer must be
// the same for one row as for many.
i64 alignment_of(std::initializer_list<const Tensor*> tensors, bool every_stride = false);

}  // namespace warpwright
