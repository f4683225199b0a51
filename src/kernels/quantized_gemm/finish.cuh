// SPDX-License-Identifier: Apache-2.0
// The end of the epilogue: numbers of d, or codes of them where there is a scale. A branch of the
// whole grid, behind the loops of products, so that no row is compiled twice.
#pragma once

#include "kernels/gemm/codes.cuh"

namespace warpwright {

template <class T>
struct Finish {
    const bool as_codes;
    union {
        Coder coder;  // as_codes
    };

    __device__ explicit Finish(const GemmArgs& args) : as_codes(args.d_scale != nullptr) {
        if (as_codes) coder = Coder(args);
    }
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, const Eight& sum) {
        const Eight e = result_eight<T>(args, m, n, sum);
        const i64 to = m * args.d_stride + n;
        if (as_codes) {
            coder.store_eight(args, m, n, e);
        } else if (args.out_f32) {
            store_eight<float>(args.d, to, e);
        } else {
            store_eight<T>(args.d, to, e);
        }
    }
    __device__ void operator()(const GemmArgs& args, i64 m, i64 n, float sum) {
        const float value = result_one<T>(args, m, n, sum);
        const i64 to = m * args.d_stride + n;
        if (as_codes) {
            coder.store_one(args, m, n, value);
        } else if (args.out_f32) {
            static_cast<float*>(args.d)[to] = value;
        } else {
            static_cast<T*>(args.d)[to] = ptx::from_float<T>(value);
        }
    }
    // Called by whole warps.
    __device__ void end(const GemmArgs& args) const {
        if (as_codes) coder.raise_amax(args);
    }
};

}  // namespace warpwright
