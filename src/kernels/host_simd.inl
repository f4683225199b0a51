// SPDX-License-Identifier: Apache-2.0
// Read by host_simd.cpp once for each instruction set, inside a namespace of its own that defines kLanes,
// kRows x kColumns (the block of sums that fits its registers), kSumRows (of blocks two vectors wide),
// widen_vector_bf16, widen_vector_f16 and narrow_vector_f16. The vectors are GCC's and Clang's generic ones.
// No header may be included here: its inline functions would exist for this set only.

typedef float Floats __attribute__((vector_size(kLanes * 4), aligned(4)));
typedef float LoadedFloats __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

struct WidenBf16 {
    static inline Floats vector(const u16* from) { return widen_vector_bf16(from); }
};

struct WidenF16 {
    static inline Floats vector(const u16* from) { return widen_vector_f16(from); }
};

// The last count < kLanes elements, then zeros.
template <class Widen>
static inline Floats widen_part(const u16* from, i64 count) {
    u16 part[kLanes] = {};
    for (i64 i = 0; i < count; ++i) part[i] = from[i];
    return Widen::vector(part);
}

static inline Floats load_part(const float* from, i64 count) {
    float part[kLanes] = {};
    for (i64 i = 0; i < count; ++i) part[i] = from[i];
    return *reinterpret_cast<const LoadedFloats*>(part);
}

static inline float sum_lanes(Floats v) {  // halves, quarters, ...: one order for every caller
    float lane[kLanes];
    *reinterpret_cast<LoadedFloats*>(lane) = v;
    for (int width = kLanes / 2; width > 0; width /= 2) {
        for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    }
    return lane[0];
}

template <class Widen, int rows, int columns>
static inline void block_of_products(const float* x, i64 x_stride, const u16* w, i64 w_stride, i64 k,
                                     float* out, i64 out_stride) {
    Floats sum[rows][columns] = {};
    i64 at = 0;
    for (; at + kLanes <= k; at += kLanes) {
        Floats b[columns];
#pragma GCC unroll 8
        for (int j = 0; j < columns; ++j) b[j] = Widen::vector(w + j * w_stride + at);
#pragma GCC unroll 8
        for (int i = 0; i < rows; ++i) {
            const Floats a = *reinterpret_cast<const LoadedFloats*>(x + i * x_stride + at);
#pragma GCC unroll 8
            for (int j = 0; j < columns; ++j) sum[i][j] += a * b[j];
        }
    }
    if (at < k) {
        for (int j = 0; j < columns; ++j) {
            const Floats b = widen_part<Widen>(w + j * w_stride + at, k - at);
            for (int i = 0; i < rows; ++i) sum[i][j] += load_part(x + i * x_stride + at, k - at) * b;
        }
    }
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < columns; ++j) out[i * out_stride + j] = sum_lanes(sum[i][j]);
    }
}

template <class Widen, int rows, int columns>
static inline void row_of_blocks(const float* x, i64 x_stride, const u16* w, i64 w_stride, int num_columns,
                                 i64 k, float* out, i64 out_stride) {
    int j = 0;
    for (; j + columns <= num_columns; j += columns) {
        block_of_products<Widen, rows, columns>(x, x_stride, w + j * w_stride, w_stride, k, out + j,
                                                out_stride);
    }
    for (; j < num_columns; ++j) {
        block_of_products<Widen, rows, 1>(x, x_stride, w + j * w_stride, w_stride, k, out + j, out_stride);
    }
}

template <class Widen>
static void products(const float* x, i64 x_stride, int rows, const u16* w, i64 w_stride, int columns, i64 k,
                     float* out, i64 out_stride) {
    int i = 0;
    for (; i + kRows <= rows; i += kRows) {
        row_of_blocks<Widen, kRows, kColumns>(x + i * x_stride, x_stride, w, w_stride, columns, k,
                                              out + i * out_stride, out_stride);
    }
    for (; i < rows; ++i) {
        row_of_blocks<Widen, 1, 8>(x + i * x_stride, x_stride, w, w_stride, columns, k, out + i * out_stride,
                                   out_stride);
    }
}

template <class Widen>
static void add_scaled(float scale, const u16* v, i64 count, float* y) {
    i64 at = 0;
    for (; at + kLanes <= count; at += kLanes) {
        // why: a reference by `auto` would drop the type's low alignment, and the store would demand the full
        // one.
        *reinterpret_cast<LoadedFloats*>(y + at) =
            *reinterpret_cast<const LoadedFloats*>(y + at) + scale * Widen::vector(v + at);
    }
    if (at < count) {
        const Floats added = load_part(y + at, count - at) + scale * widen_part<Widen>(v + at, count - at);
        float part[kLanes];
        *reinterpret_cast<LoadedFloats*>(part) = added;
        for (i64 i = 0; at + i < count; ++i) y[at + i] = part[i];
    }
}

template <class Widen>
static void widen(const u16* from, i64 count, float* to) {
    i64 at = 0;
    for (; at + kLanes <= count; at += kLanes) {
        *reinterpret_cast<LoadedFloats*>(to + at) = Widen::vector(from + at);
    }
    if (at < count) {
        float part[kLanes];
        *reinterpret_cast<LoadedFloats*>(part) = widen_part<Widen>(from + at, count - at);
        for (i64 i = 0; at + i < count; ++i) to[at + i] = part[i];
    }
}

struct NarrowBf16 {
    typedef u32 Words __attribute__((vector_size(kLanes * 4)));
    typedef u16 Halves __attribute__((vector_size(kLanes * 2), aligned(2), may_alias));
    static inline void vector(Floats value, u16* to) {
        const Words bits = reinterpret_cast<Words>(value);
        const Words rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        const Words nan = bits >> 16 | 0x40u;  // a quiet one
        const Words result = (bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded;
        *reinterpret_cast<Halves*>(to) = __builtin_convertvector(result, Halves);
    }
};

struct NarrowF16 {
    static inline void vector(Floats value, u16* to) { narrow_vector_f16(value, to); }
};

template <class Narrow>
static void narrow(const float* from, i64 count, u16* to) {
    i64 at = 0;
    for (; at + kLanes <= count; at += kLanes) {
        Narrow::vector(*reinterpret_cast<const LoadedFloats*>(from + at), to + at);
    }
    if (at < count) {
        u16 part[kLanes];
        Narrow::vector(load_part(from + at, count - at), part);
        for (i64 i = 0; at + i < count; ++i) to[at + i] = part[i];
    }
}

// Two vectors of sums in each of `rows` rows.
template <int rows>
static inline void block_of_sums(float scale, const float* a, i64 a_stride, i64 a_k_stride, const float* b,
                                 i64 b_stride, i64 k, float* c, i64 c_stride) {
    Floats sum[rows][2] = {};
    for (i64 at = 0; at < k; ++at) {
        const Floats b0 = *reinterpret_cast<const LoadedFloats*>(b + at * b_stride);
        const Floats b1 = *reinterpret_cast<const LoadedFloats*>(b + at * b_stride + kLanes);
#pragma GCC unroll 16
        for (int i = 0; i < rows; ++i) {
            const float factor = a[i * a_stride + at * a_k_stride];
            sum[i][0] += factor * b0;
            sum[i][1] += factor * b1;
        }
    }
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < 2; ++j) {
            float* const to = c + i * c_stride + j * kLanes;
            *reinterpret_cast<LoadedFloats*>(to) =
                *reinterpret_cast<const LoadedFloats*>(to) + scale * sum[i][j];
        }
    }
}

template <int rows>
static inline void row_of_sums(float scale, const float* a, i64 a_stride, i64 a_k_stride, const float* b,
                               i64 b_stride, i64 columns, i64 k, float* c, i64 c_stride) {
    i64 j = 0;
    for (; j + 2 * kLanes <= columns; j += 2 * kLanes) {
        block_of_sums<rows>(scale, a, a_stride, a_k_stride, b + j, b_stride, k, c + j, c_stride);
    }
    for (; j < columns; ++j) {
        for (int i = 0; i < rows; ++i) {
            float sum = 0;
            for (i64 at = 0; at < k; ++at) sum += a[i * a_stride + at * a_k_stride] * b[at * b_stride + j];
            c[i * c_stride + j] += scale * sum;
        }
    }
}

// Over k in parts that leave b's columns in the first cache.
static void multiply_add(float scale, const float* a, i64 a_stride, i64 a_k_stride, const float* b,
                         i64 b_stride, i64 rows, i64 columns, i64 k, float* c, i64 c_stride) {
    constexpr i64 kPart = 256;
    for (i64 at = 0; at < k; at += kPart) {
        const i64 depth = at + kPart < k ? kPart : k - at;
        const float* const a_part = a + at * a_k_stride;
        const float* const b_part = b + at * b_stride;
        i64 i = 0;
        for (; i + kSumRows <= rows; i += kSumRows) {
            row_of_sums<kSumRows>(scale, a_part + i * a_stride, a_stride, a_k_stride, b_part, b_stride,
                                  columns, depth, c + i * c_stride, c_stride);
        }
        for (; i < rows; ++i) {
            row_of_sums<1>(scale, a_part + i * a_stride, a_stride, a_k_stride, b_part, b_stride, columns,
                           depth, c + i * c_stride, c_stride);
        }
    }
}

static constexpr HostSimd kTable{kName,
                                 products<WidenBf16>,
                                 products<WidenF16>,
                                 add_scaled<WidenBf16>,
                                 add_scaled<WidenF16>,
                                 widen<WidenBf16>,
                                 widen<WidenF16>,
                                 narrow<NarrowBf16>,
                                 narrow<NarrowF16>,
                                 multiply_add};
