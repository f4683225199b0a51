// SPDX-License-Identifier: Apache-2.0
#include "image/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace warpwright {
namespace {

constexpr u32 kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

u32 big_endian(const u8* bytes) {
    return u32{bytes[0]} << 24 | u32{bytes[1]} << 16 | u32{bytes[2]} << 8 | u32{bytes[3]};
}

}  // namespace

void Sha256::block(const u8* bytes) {
    u32 w[64];
    for (int i = 0; i < 16; ++i) w[i] = big_endian(bytes + 4 * i);
    for (int i = 16; i < 64; ++i) {
        u32 s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ w[i - 15] >> 3;
        u32 s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (int i = 0; i < 64; ++i) {
        u32 sum1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        u32 t1 = h + sum1 + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
        u32 sum0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        u32 t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const u32 added[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state_[i] += added[i];
}

Sha256& Sha256::update(std::string_view bytes) {
    auto* next = reinterpret_cast<const u8*>(bytes.data());
    std::size_t left = bytes.size();
    total_bytes_ += left;
    while (left > 0) {
        if (num_pending_ == 0 && left >= 64) {
            block(next);
            next += 64, left -= 64;
            continue;
        }
        std::size_t taken = std::min(left, 64 - num_pending_);
        std::memcpy(pending_.data() + num_pending_, next, taken);
        next += taken, left -= taken, num_pending_ += taken;
        if (num_pending_ == 64) {
            block(pending_.data());
            num_pending_ = 0;
        }
    }
    return *this;
}

Sha256& Sha256::field(std::string_view bytes) {
    return update(std::to_string(bytes.size()) + ":").update(bytes);
}

std::array<u8, 32> Sha256::digest() {
    u64 total_bits = total_bytes_ * 8;
    update(std::string(1 + (119 - num_pending_) % 64, '\0').replace(0, 1, 1, '\x80'));
    for (int i = 0; i < 8; ++i) pending_[56 + i] = static_cast<u8>(total_bits >> (56 - 8 * i));
    block(pending_.data());
    std::array<u8, 32> result;
    for (int i = 0; i < 32; ++i) result[i] = static_cast<u8>(state_[i / 4] >> (24 - 8 * (i % 4)));
    return result;
}

std::string short_digest(Sha256& hash) {
    std::array<u8, 32> digest = hash.digest();
    return {reinterpret_cast<const char*>(digest.data()), 16};
}

std::string to_hex(std::string_view bytes) {
    std::string hex;
    for (unsigned char byte : bytes) {
        hex += "0123456789abcdef"[byte >> 4];
        hex += "0123456789abcdef"[byte & 15];
    }
    return hex;
}

}  // namespace warpwright
