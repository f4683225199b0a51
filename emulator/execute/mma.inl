// SPDX-License-Identifier: Apache-2.0
// Products of a warp, sixteen rows of a column at once; compiled once for each SIMD level (simd.h).
//
// The exact path (mma_exact.cpp) shifts and cuts integers. Here the same is done in fp32: a product of two
// elements has at most 22 significant bits, so a * b is exact; multiplied by 2^(fraction_bits - E) it is the
// shifted term, also exact, and its conversion to an integer is the cut. That holds while exponents leave
// room, which E tells: below its upper bound nothing overflows, and above its lower one whatever underflows
// would have been cut to 0 and no result is subnormal. Outputs outside of the bounds, and those with
// infinities and NaNs, take the exact path; what the vector path makes of them is dropped.

constexpr int kVectorBytes = kLevel == SimdLevel::baseline ? 16 : kLevel == SimdLevel::avx2 ? 32 : 64;
constexpr int kWidth = kVectorBytes / 4;
typedef float Floats __attribute__((vector_size(kVectorBytes), may_alias));
typedef i32 Ints __attribute__((vector_size(kVectorBytes), may_alias));
typedef u32 Words __attribute__((vector_size(kVectorBytes), may_alias));
typedef u64 LongWords __attribute__((vector_size(kVectorBytes), may_alias));  // kWidth / 2
typedef double Doubles __attribute__((vector_size(kVectorBytes), may_alias));
typedef float HalfFloats __attribute__((vector_size(kVectorBytes / 2), may_alias));
typedef i32 HalfInts __attribute__((vector_size(kVectorBytes / 2), may_alias));
constexpr int kRows = 16, kColumns = 8;

// Stand for the exponent of a zero and of an infinity or NaN: no sum with a true exponent comes near those.
constexpr i32 kZeroExponent = -1000, kSpecialExponent = 2000;
constexpr i32 kLeastTop = -101, kGreatestTop = 120;  // bounds of E for the fast path

static inline __attribute__((always_inline)) Floats load(const float* from) {
    return *reinterpret_cast<const Floats*>(from);
}
static inline __attribute__((always_inline)) Ints load(const i32* from) {
    return *reinterpret_cast<const Ints*>(from);
}
static inline __attribute__((always_inline)) Words load(const u32* from) {
    return *reinterpret_cast<const Words*>(from);
}
static inline __attribute__((always_inline)) void store(float* to, Floats values) {
    *reinterpret_cast<Floats*>(to) = values;
}
static inline __attribute__((always_inline)) void store(i32* to, Ints values) {
    *reinterpret_cast<Ints*>(to) = values;
}
static inline __attribute__((always_inline)) void store(u32* to, Words values) {
    *reinterpret_cast<Words*>(to) = values;
}
static inline __attribute__((always_inline)) Floats as_floats(Words words) {
    return reinterpret_cast<Floats>(words);
}
static inline __attribute__((always_inline)) Words as_words(Floats floats) {
    return reinterpret_cast<Words>(floats);
}
static inline __attribute__((always_inline)) Ints greater(Ints a, Ints b) {
    return a > b ? a : b;
}

// Of values of a format, as in Term.
static inline __attribute__((always_inline)) Ints exponents_of(Floats values, i32 least_exponent) {
    const Words bits = as_words(values);
    const Ints field = reinterpret_cast<Ints>(bits >> 23 & 0xffu);
    Ints exponent = greater(field - 127, Ints{} + least_exponent);
    exponent = bits << 1 == 0u ? Ints{} + kZeroExponent : exponent;
    return field == 255 ? Ints{} + kSpecialExponent : exponent;
}

// Element e of each register.
template <Format kFormat>
static inline __attribute__((always_inline)) Floats values_of(Words words, int e) {
    constexpr FormatFacts kFacts = facts_of(kFormat);
    constexpr FloatFormat kFloat = kFacts.format;
    if constexpr (kFloat.exponent_bits == 8) {  // the upper bits of an f32
        const Words bits = words << (32 - kFacts.container_bits) * (1 - e);
        return as_floats(bits & ~0u << (23 - kFloat.mantissa_bits));
    } else {
        constexpr u32 kOne = 1u << 23;  // of an f32's exponent
        const Words element = words >> (kFacts.container_bits * e + kFacts.padding_bits);
        const Words magnitude = element & kFloat.magnitude();
        const Words sign = (element << (32 - kFloat.bits())) & 0x8000'0000u;
        const Words moved = (magnitude << (23 - kFloat.mantissa_bits)) + (127 - kFloat.bias) * kOne;
        // A subnormal is what its fraction adds to the least normal number.
        const Words least = Words{} + (128 - kFloat.bias) * kOne;
        const Words subnormal = as_words(as_floats(moved + kOne) - as_floats(least));
        Words bits = magnitude >> kFloat.mantissa_bits == 0u ? subnormal : moved;
        if constexpr (kFloat.top == FloatFormat::Top::ieee)
            bits = magnitude >= kFloat.infinity() ? bits | 0x7f80'0000u : bits;
        if constexpr (kFloat.top == FloatFormat::Top::one_nan)
            bits = magnitude == kFloat.nan() ? Words{} + kNanF32 : bits;
        return as_floats(bits | sign);
    }
}

// Everything of one product, decoded; k in the order in which elements are summed.
struct Tile {
    alignas(64) float a[32][kRows];
    alignas(64) i32 a_exponent[32][kRows];
    alignas(64) float b[32][kColumns];
    alignas(64) i32 b_exponent[32][kColumns];
    alignas(64) float c[kColumns][kRows];
};

// to[q][8 s + g] is lane 4 g + q of the register `upper` (s = 0) or `lower` (s = 1; may be null: zeros).
static inline void gather_rows(const u32* upper, const u32* lower, u32 (&to)[4][kRows]) {
    for (int q = 0; q < 4; ++q) {
        for (int g = 0; g < 8; ++g) {
            to[q][g] = upper[4 * g + q];
            to[q][8 + g] = lower == nullptr ? 0 : lower[4 * g + q];
        }
    }
}

static inline void scatter_rows(const u32 (&from)[4][kRows], u32* upper, u32* lower) {
    for (int q = 0; q < 4; ++q) {
        for (int g = 0; g < 8; ++g) {
            upper[4 * g + q] = from[q][g];
            if (lower != nullptr) lower[4 * g + q] = from[q][8 + g];
        }
    }
}

// Where the element e of thread q in the half h of k stands in a tile.
static inline int position(Passes passes, int per_register, int num_halves, int h, int q, int e) {
    if (passes == Passes::byte_pairs) return (((e >> 1) * num_halves + h) * 4 + q) * 2 + (e & 1);
    return (h * 4 + q) * per_register + e;
}

template <Format kFormat>
static void decode_a(const FloatProduct& product, const Fragments& fragments, Tile& tile) {
    constexpr int kPerRegister = 32 / facts_of(kFormat).container_bits;
    const int num_halves = product.k / (4 * kPerRegister);
    for (int h = 0; h < num_halves; ++h) {
        alignas(64) u32 words[4][kRows];
        gather_rows(fragments.a[2 * h], fragments.a[2 * h + 1], words);
        for (int q = 0; q < 4; ++q) {
            for (int e = 0; e < kPerRegister; ++e) {
                const int k = position(product.passes, kPerRegister, num_halves, h, q, e);
                for (int m = 0; m < kRows; m += kWidth) {
                    const Floats values = values_of<kFormat>(load(words[q] + m), e);
                    store(tile.a[k] + m, values);
                    store(tile.a_exponent[k] + m, exponents_of(values, product.a_least_exponent));
                }
            }
        }
    }
}

// Two q at once: a register has 8 columns.
template <Format kFormat>
static void decode_b(const FloatProduct& product, const Fragments& fragments, Tile& tile) {
    constexpr int kPerRegister = 32 / facts_of(kFormat).container_bits;
    const int num_halves = product.k / (4 * kPerRegister);
    for (int h = 0; h < num_halves; ++h) {
        for (int q = 0; q < 4; q += 2) {
            alignas(64) u32 words[2 * kColumns];
            for (int n = 0; n < kColumns; ++n) {
                words[n] = fragments.b[h][4 * n + q];
                words[kColumns + n] = fragments.b[h][4 * n + q + 1];
            }
            for (int e = 0; e < kPerRegister; ++e) {
                alignas(64) float values[2 * kColumns];
                alignas(64) i32 exponents[2 * kColumns];
                for (int i = 0; i < 2 * kColumns; i += kWidth) {
                    store(values + i, values_of<kFormat>(load(words + i), e));
                    store(exponents + i, exponents_of(load(values + i), product.b_least_exponent));
                }
                for (int i = 0; i < 2; ++i) {
                    const int k = position(product.passes, kPerRegister, num_halves, h, q + i, e);
                    __builtin_memcpy(tile.b[k], values + i * kColumns, sizeof tile.b[k]);
                    __builtin_memcpy(tile.b_exponent[k], exponents + i * kColumns, sizeof tile.b_exponent[k]);
                }
            }
        }
    }
}

// f16 values are exact in f32.
static void read_c(const FloatProduct& product, const Fragments& fragments, Tile& tile) {
    alignas(64) u32 words[4][kRows];
    if (product.is_f16()) {
        gather_rows(fragments.c[0], fragments.c[1], words);
        for (int n = 0; n < kColumns; ++n) {
            for (int m = 0; m < kRows; m += kWidth)
                store(tile.c[n] + m, values_of<Format::f16>(load(words[n / 2] + m), n % 2));
        }
        return;
    }
    for (int i = 0; i < 2; ++i) {
        gather_rows(fragments.c[i], fragments.c[2 + i], words);
        for (int q = 0; q < 4; ++q) __builtin_memcpy(tile.c[2 * q + i], words[q], sizeof words[q]);
    }
}

// Of values that are f16's.
static inline __attribute__((always_inline)) Words f16_bits(Floats values) {
    const Words bits = as_words(values);
    const Words magnitude = bits & 0x7fff'ffffu;
    const Words normal = (magnitude >> 13) - (112u << 10);
    // Adding 2^-1 puts the unit of a subnormal, 2^-24, at the last place.
    const Words subnormal = as_words(as_floats(magnitude) + 0.5f) - 0x3f00'0000u;
    Words result = magnitude < 0x3880'0000u ? subnormal : normal;
    result = magnitude == 0x7f80'0000u ? Words{} + 0x7c00u : result;
    result |= bits >> 16 & 0x8000u;
    return magnitude > 0x7f80'0000u ? Words{} + 0x7fffu : result;
}

static void write_d(const FloatProduct& product, const Tile& tile, const Fragments& fragments) {
    alignas(64) u32 words[4][kRows];
    if (product.is_f16()) {
        for (int q = 0; q < 4; ++q) {
            for (int m = 0; m < kRows; m += kWidth) {
                const Words low = f16_bits(load(tile.c[2 * q] + m));
                store(words[q] + m, low | f16_bits(load(tile.c[2 * q + 1] + m)) << 16);
            }
        }
        scatter_rows(words, fragments.d[0], fragments.d[1]);
        return;
    }
    for (int i = 0; i < 2; ++i) {
        for (int q = 0; q < 4; ++q) __builtin_memcpy(words[q], tile.c[2 * q + i], sizeof words[q]);
        scatter_rows(words, fragments.d[i], fragments.d[2 + i]);
    }
}

// The significand without its last bits.
static inline __attribute__((always_inline)) Doubles cut(Doubles values, int bits) {
    return reinterpret_cast<Doubles>(reinterpret_cast<LongWords>(values) & ~0ull << bits);
}

// To nearest even, by adding and taking away 1.5 x 2^52 units of the last place. A zero has no sign.
static inline __attribute__((always_inline)) Doubles rounded_to_f16(Doubles values) {
    const LongWords bits = reinterpret_cast<LongWords>(values);
    const LongWords sign = bits & 1ull << 63, magnitude = bits & ~(1ull << 63);
    const u64 least = static_cast<u64>(1023 - 14) << 52;
    const LongWords exponent = (magnitude < least ? LongWords{} + least : magnitude) & 0x7ffull << 52;
    const Doubles shifter = reinterpret_cast<Doubles>(exponent + (42ull << 52)) * 1.5;
    Doubles rounded = (reinterpret_cast<Doubles>(magnitude) + shifter) - shifter;
    rounded = rounded > 65504.0 ? Doubles{} + __builtin_inf() : rounded;
    const LongWords is_zero = reinterpret_cast<LongWords>(rounded == 0.0);
    return reinterpret_cast<Doubles>(reinterpret_cast<LongWords>(rounded) | (sign & ~is_zero));
}

// Where the fast path must not go: of one output, or of several, then all ones.
template <class Top>
static inline __attribute__((always_inline)) auto is_outside(Top top) {
    return (top < kLeastTop) | (top > kGreatestTop);
}

static inline __attribute__((always_inline)) bool has_any(Ints lanes) {
    alignas(64) u64 words[kVectorBytes / 8];
    *reinterpret_cast<Ints*>(words) = lanes;
    u64 any = 0;
    for (const u64 word : words) any |= word;
    return any != 0;
}

// The outputs that the fast path leaves, to `exact`.
static __attribute__((noinline)) void add_exactly(const FloatProduct& product, const Tile& tile, int first,
                                                  int last, const i32 (&tops)[kColumns][kRows],
                                                  float (&exact)[kColumns][kRows]) {
    Term a[kRows][32], b[kColumns][32];
    bool has_nan_a[kRows] = {}, has_nan_b[kColumns] = {};
    for (int k = first; k < last; ++k) {
        for (int m = 0; m < kRows; ++m) {
            a[m][k - first] = term_of(tile.a[k][m], product.a_least_exponent);
            has_nan_a[m] |= tile.a[k][m] != tile.a[k][m];
        }
        for (int n = 0; n < kColumns; ++n) {
            b[n][k - first] = term_of(tile.b[k][n], product.b_least_exponent);
            has_nan_b[n] |= tile.b[k][n] != tile.b[k][n];
        }
    }
    for (int n = 0; n < kColumns; ++n) {
        for (int m = 0; m < kRows; ++m) {
            if (!is_outside(tops[n][m])) continue;
            if (has_nan_a[m] || has_nan_b[n] || tile.c[n][m] != tile.c[n][m]) {
                exact[n][m] = float_of(kNanF32);
                continue;
            }
            const Term c = term_of(tile.c[n][m], product.is_f16() ? -14 : -126);
            exact[n][m] = sum_of_products(product, a[m], b[n], last - first, c);
        }
    }
}

// E of every output, 0 where all terms are zero. True when some are out of the fast path's bounds.
static inline bool find_tops(const FloatProduct& product, const Tile& tile, int first, int last,
                             i32 (&tops)[kColumns][kRows]) {
    const i32 least_of_c = product.is_f16() ? -14 : -126;
    Ints outside{};
    for (int n = 0; n < kColumns; ++n) {
        for (int m = 0; m < kRows; m += kWidth) {
            Ints top = exponents_of(load(tile.c[n] + m), least_of_c);
            for (int k = first; k < last; ++k)
                top = greater(top, load(tile.a_exponent[k] + m) + tile.b_exponent[k][n]);
            const Ints is_zero = top < kZeroExponent / 2;
            top = greater(top, Ints{} + product.least_exponent);
            top = is_zero ? Ints{} : top;
            store(tops[n] + m, top);
            outside |= is_outside(top);
        }
    }
    return has_any(outside);
}

// kWidth sums of integers. Doubles hold them exactly, and as many more.
struct Sums {
    Doubles half[2];
};

static inline __attribute__((always_inline)) void add(Sums& sums, Ints values) {
    alignas(64) i32 parts[kWidth];
    store(parts, values);
    for (int i = 0; i < 2; ++i) {
        const HalfInts part = *reinterpret_cast<const HalfInts*>(parts + i * kWidth / 2);
        sums.half[i] += __builtin_convertvector(part, Doubles);
    }
}

// 2^exponent, for exponents of normal f32s.
static inline __attribute__((always_inline)) Floats powers_of_two(Ints exponents) {
    return as_floats(reinterpret_cast<Words>((exponents + 127) << 23));
}

// Some rows of column n: c becomes the sum over k of [first, last) and itself.
static inline void add_products(const FloatProduct& product, Tile& tile, int first, int last, int n, int row,
                                Ints top) {
    float* const out = tile.c[n] + row;
    const Floats scale = powers_of_two(product.fraction_bits - top);
    Sums sums{};
    add(sums, __builtin_convertvector(load(out) * scale, Ints));
    // A term is below 2^27: sixteen fit into 32 bits. Those of outputs outside of the bounds may wrap around.
    for (int k = first; k < last;) {
        const int end = last - k < 16 ? last : k + 16;
        Words total{};
        for (; k < end; ++k) {
            const Floats term = load(tile.a[k] + row) * tile.b[k][n] * scale;
            total += reinterpret_cast<Words>(__builtin_convertvector(term, Ints));
        }
        add(sums, reinterpret_cast<Ints>(total));
    }
    alignas(64) float units[kWidth];
    store(units, powers_of_two(top - product.fraction_bits));
    for (int i = 0; i < 2; ++i) {
        const HalfFloats unit = *reinterpret_cast<const HalfFloats*>(units + i * kWidth / 2);
        Doubles sum = sums.half[i] * __builtin_convertvector(unit, Doubles);
        switch (product.output) {
            case Output::f32: sum = cut(sum, 52 - 23); break;
            case Output::e8m13: sum = cut(sum, 52 - 13); break;
            case Output::f16: sum = rounded_to_f16(sum); break;
        }
        *reinterpret_cast<HalfFloats*>(out + i * kWidth / 2) = __builtin_convertvector(sum, HalfFloats);
    }
}

// One pass: c becomes the sum over k of [first, last) and itself.
static void add_pass(const FloatProduct& product, Tile& tile, int first, int last) {
    alignas(64) i32 tops[kColumns][kRows];
    const bool has_outside = find_tops(product, tile, first, last, tops);
    float exact[kColumns][kRows];
    if (has_outside) add_exactly(product, tile, first, last, tops, exact);
    for (int n = 0; n < kColumns; ++n) {
        for (int m = 0; m < kRows; m += kWidth)
            add_products(product, tile, first, last, n, m, load(tops[n] + m));
        if (!has_outside) continue;
        for (int m = 0; m < kRows; ++m) tile.c[n][m] = is_outside(tops[n][m]) ? exact[n][m] : tile.c[n][m];
    }
}

static void decode_operands(const FloatProduct& product, const Fragments& fragments, Tile& tile) {
    switch (product.a) {
        case Format::f16: decode_a<Format::f16>(product, fragments, tile); break;
        case Format::bf16: decode_a<Format::bf16>(product, fragments, tile); break;
        case Format::tf32: decode_a<Format::tf32>(product, fragments, tile); break;
        case Format::e4m3: decode_a<Format::e4m3>(product, fragments, tile); break;
        case Format::e5m2: decode_a<Format::e5m2>(product, fragments, tile); break;
        case Format::e3m2: decode_a<Format::e3m2>(product, fragments, tile); break;
        case Format::e2m3: decode_a<Format::e2m3>(product, fragments, tile); break;
        case Format::e2m1: decode_a<Format::e2m1>(product, fragments, tile); break;
    }
    switch (product.b) {
        case Format::f16: decode_b<Format::f16>(product, fragments, tile); break;
        case Format::bf16: decode_b<Format::bf16>(product, fragments, tile); break;
        case Format::tf32: decode_b<Format::tf32>(product, fragments, tile); break;
        case Format::e4m3: decode_b<Format::e4m3>(product, fragments, tile); break;
        case Format::e5m2: decode_b<Format::e5m2>(product, fragments, tile); break;
        case Format::e3m2: decode_b<Format::e3m2>(product, fragments, tile); break;
        case Format::e2m3: decode_b<Format::e2m3>(product, fragments, tile); break;
        case Format::e2m1: decode_b<Format::e2m1>(product, fragments, tile); break;
    }
    read_c(product, fragments, tile);
}

// As add.rn.f32 and add.rn.f16. An f32 has 2 x 11 + 2 bits: a sum of f16s rounded twice is rounded once.
static void add_last(const FloatProduct& product, const float (&addend)[kColumns][kRows],
                     float (&sum)[kColumns][kRows]) {
    for (int n = 0; n < kColumns; ++n) {
        for (int m = 0; m < kRows; ++m) {
            float& value = sum[n][m];
            value += addend[n][m];
            if (value != value) value = float_of(kNanF32);
        }
        if (!product.is_f16()) continue;
        for (int m = 0; m < kRows; ++m) sum[n][m] = decode_f16(encode_f16(sum[n][m]));
    }
}

static void multiply_floats(const FloatProduct& product, const Fragments& fragments) {
    Tile tile;
    decode_operands(product, fragments, tile);
    alignas(64) float addend[kColumns][kRows];
    if (product.adds_c_last) {
        __builtin_memcpy(addend, tile.c, sizeof addend);
        __builtin_memset(tile.c, 0, sizeof tile.c);
    }
    const int per_pass = product.passes == Passes::one ? product.k : product.k / 2;
    for (int first = 0; first < product.k; first += per_pass)
        add_pass(product, tile, first, first + per_pass);
    if (product.adds_c_last) add_last(product, addend, tile.c);
    write_d(product, tile, fragments);
}

// ---- integers ----

static void count_bits(const IntegerProduct& product, const Fragments& fragments,
                       i32 (&sum)[kColumns][kRows]) {
    for (int h = 0; h < product.k / 128; ++h) {
        for (int q = 0; q < 4; ++q) {
            for (int m = 0; m < product.rows; ++m) {
                const u32 a = fragments.a[2 * h + m / 8][4 * (m % 8) + q];
                for (int n = 0; n < kColumns; ++n) {
                    const u32 b = fragments.b[h][4 * n + q];
                    sum[n][m] += __builtin_popcount(product.counts_and ? a & b : a ^ b);
                }
            }
        }
    }
}

// Element e of each register: exact in f32, as are sums of 64 products of 8 bits.
static inline __attribute__((always_inline)) Floats integers_of(Words words, int bits, bool is_signed,
                                                                int e) {
    const Words left = words << (32 - bits * (e + 1));
    const Ints values =
        is_signed ? reinterpret_cast<Ints>(left) >> (32 - bits) : reinterpret_cast<Ints>(left >> (32 - bits));
    return __builtin_convertvector(values, Floats);
}

static void multiply_small(const IntegerProduct& product, const Fragments& fragments,
                           i32 (&sum)[kColumns][kRows]) {
    const int per_register = 32 / product.bits;
    alignas(64) float total[kColumns][kRows] = {};
    for (int h = 0; h < product.k / (4 * per_register); ++h) {
        alignas(64) u32 words[4][kRows];
        gather_rows(fragments.a[2 * h], product.rows == 16 ? fragments.a[2 * h + 1] : nullptr, words);
        for (int q = 0; q < 4; ++q) {
            alignas(64) u32 columns[kRows] = {};  // a register has 8
            for (int n = 0; n < kColumns; ++n) columns[n] = fragments.b[h][4 * n + q];
            for (int e = 0; e < per_register; ++e) {
                alignas(64) float b[kRows];
                for (int i = 0; i < kRows; i += kWidth)
                    store(b + i, integers_of(load(columns + i), product.bits, product.b_signed, e));
                for (int m = 0; m < kRows; m += kWidth) {
                    const Floats a = integers_of(load(words[q] + m), product.bits, product.a_signed, e);
                    for (int n = 0; n < kColumns; ++n) store(total[n] + m, load(total[n] + m) + a * b[n]);
                }
            }
        }
    }
    for (int n = 0; n < kColumns; ++n) {
        for (int m = 0; m < kRows; m += kWidth)
            store(sum[n] + m, __builtin_convertvector(load(total[n] + m), Ints));
    }
}

static void multiply_integers(const IntegerProduct& product, const Fragments& fragments) {
    alignas(64) i32 sum[kColumns][kRows] = {};
    if (product.bits == 1)
        count_bits(product, fragments, sum);
    else
        multiply_small(product, fragments, sum);
    const bool has_lower = product.rows == 16;
    alignas(64) u32 words[2][4][kRows];  // all of c is read before d, which may be the same registers
    for (int i = 0; i < 2; ++i)
        gather_rows(fragments.c[i], has_lower ? fragments.c[2 + i] : nullptr, words[i]);
    for (int i = 0; i < 2; ++i) {
        for (int q = 0; q < 4; ++q) {
            for (int m = 0; m < kRows; ++m) {
                const i64 exact = static_cast<i64>(static_cast<i32>(words[i][q][m])) + sum[2 * q + i][m];
                const i64 low = -0x8000'0000ll, high = 0x7fff'ffffll;
                const i64 clamped = exact < low ? low : exact > high ? high : exact;
                words[i][q][m] = static_cast<u32>(product.saturates ? clamped : exact);
            }
        }
        scatter_rows(words[i], fragments.d[i], has_lower ? fragments.d[2 + i] : nullptr);
    }
}

constexpr Multipliers kMultipliers = {multiply_floats, multiply_integers};
