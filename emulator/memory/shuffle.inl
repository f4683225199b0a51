// SPDX-License-Identifier: Apache-2.0
// Included by .inl files: permutations of two vectors, one instruction with AVX-512.
template <class V>
static inline __attribute__((always_inline)) V shuffle(V a, V b, V index) {
#if defined(__clang__)
    constexpr int kCount = sizeof(V) / sizeof(a[0]);
    V result;
    for (int i = 0; i < kCount; ++i) result[i] = index[i] < kCount ? a[index[i]] : b[index[i] - kCount];
    return result;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

typedef u32 Words __attribute__((vector_size(64)));  // of 16 lanes

static inline __attribute__((always_inline)) Words words_at(const std::byte* from, int index) {
    Words words;
    std::memcpy(&words, from + index * 64, 64);
    return words;
}
