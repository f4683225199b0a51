// SPDX-License-Identifier: Apache-2.0
// A context that checks inputs: what starts, lengths, pages, lists and positions in device memory may not be
// is refused by name and place, and what is right computes the same. On the host and on emulated GPUs, whose
// memory the host does not share.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "ops/check_test.h"
#include "warpwright/ops/attention.h"
#include "warpwright/ops/cascade.h"
#include "warpwright/ops/index_logits.h"
#include "warpwright/ops/index_topk.h"
#include "warpwright/ops/kv_append.h"
#include "warpwright/ops/latent_append.h"
#include "warpwright/ops/mla.h"
#include "warpwright/ops/rope.h"

namespace warpwright {
namespace {

class CheckInputs : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        auto opened = Context::open(GetParam());
        ASSERT_TRUE(opened.ok()) << opened.status().message();
        context_ = *opened;
        context_->check_inputs(true);
    }
    void TearDown() override {
        for (void* pointer : owned_) context_->device().release(pointer);
    }

    template <class T>
    Tensor tensor(const std::vector<T>& values, DType dtype, std::initializer_list<i64> shape) {
        const std::size_t bytes = values.size() * sizeof(T);
        auto pointer = context_->device().allocate(bytes);
        EXPECT_TRUE(pointer.ok());
        owned_.push_back(*pointer);
        EXPECT_TRUE(context_->device().copy_in(*pointer, values.data(), bytes, {}).ok());
        EXPECT_TRUE(context_->device().synchronize({}).ok());
        return Tensor::dense(*pointer, dtype, shape);
    }
    Tensor numbers(std::initializer_list<i64> shape) {
        i64 count = 1;
        for (i64 extent : shape) count *= extent;
        return tensor(std::vector<u16>(static_cast<std::size_t>(count), 0x3c00), DType::f16, shape);
    }
    Tensor integers(const std::vector<i32>& values) {
        return tensor(values, DType::i32, {static_cast<i64>(values.size())});
    }
    template <class Call>
    std::string error(const Call& call) {
        Prepared prepared;
        return prepare(*context_, call, prepared).message();
    }

    // Two sequences of 2 and 1 queries, 5 and 9 keys, in 6 pages of 4; entries that no key needs are wild.
    Attention paged() {
        Attention call;
        call.q = numbers({3, 2, 64});
        call.out = numbers({3, 2, 64});
        call.k_pages = numbers({6, 4, 1, 64});
        call.v_pages = numbers({6, 4, 1, 64});
        call.page_table = tensor<i32>({5, 0, -1, 1, 2, 3}, DType::i32, {2, 3});
        call.kv_lengths = integers({5, 9});
        call.q_starts = integers({0, 2, 3});
        call.max_q_len = 2;
        return call;
    }

    std::shared_ptr<Context> context_;
    std::vector<void*> owned_;
};

TEST_P(CheckInputs, WhatIsRightIsAccepted) {
    const Attention call = paged();
    EXPECT_EQ(error(call), "");
    EXPECT_TRUE(attention(*context_, {}, call).ok());
    EXPECT_TRUE(context_->device().synchronize({}).ok());
}

TEST_P(CheckInputs, PagesThatAreNoneAreNamed) {
    Attention call = paged();
    call.page_table = tensor<i32>({5, 6, -1, 1, 2, 3}, DType::i32, {2, 3});
    EXPECT_EQ(error(call),
              "attention: page_table[0, 1] must be 0 to 5, as sequence 0 has 5 keys of 4 a page, got 6");
    EXPECT_FALSE(attention(*context_, {}, call).ok());
    call.page_table = tensor<i32>({5, 0, -1, -1, 2, 3}, DType::i32, {2, 3});
    EXPECT_EQ(error(call),
              "attention: page_table[1, 0] must be 0 to 5, as sequence 1 has 9 keys of 4 a page, got -1");
    call.window_left = 4;  // the first page of sequence 1 is not followed: its query sees keys 4 to 8
    EXPECT_EQ(error(call), "");
    call.window_left = 5;
    EXPECT_NE(error(call), "");
    call.window_left = -1;
    context_->check_inputs(false);
    EXPECT_EQ(error(call), "");
}

TEST_P(CheckInputs, LengthsAndStartsThatAreNoneAreNamed) {
    Attention call = paged();
    call.kv_lengths = integers({5, 13});
    EXPECT_EQ(error(call), "attention: kv_lengths[1] must be 0 to 12 (max_kv_len), got 13");
    call.kv_lengths = integers({-1, 9});
    EXPECT_EQ(error(call), "attention: kv_lengths[0] must be 0 to 12 (max_kv_len), got -1");
    call.kv_lengths = integers({1, 9});
    EXPECT_EQ(error(call),
              "attention: sequence 0 has 2 queries and 1 keys: under a causal mask the first 1 see no key");
    call.causal = false;
    EXPECT_EQ(error(call), "");
    call = paged();
    call.q_starts = integers({0, 2, 1});
    EXPECT_EQ(error(call), "attention: q_starts[2] must be 2 to 3 (rows of q), got 1");
    call.q_starts = integers({0, 2, 4});
    EXPECT_EQ(error(call), "attention: q_starts[2] must be 2 to 3 (rows of q), got 4");
    call.q_starts = integers({0, 0, 3});
    EXPECT_EQ(error(call), "attention: q_starts has 3 tokens for sequence 1, more than 2 (max_q_len)");
}

TEST_P(CheckInputs, RaggedKeysAndLists) {
    Attention call;
    call.q = numbers({20, 1, 128});
    call.out = numbers({20, 1, 128});
    call.k = numbers({200, 1, 128});
    call.v = numbers({200, 1, 128});
    call.q_starts = integers({0, 20});
    call.kv_starts = integers({0, 200});
    call.max_q_len = 20;
    EXPECT_EQ(error(call), "");
    call.block_queries = call.block_keys = 64;
    call.block_starts = tensor<i32>({0, 3}, DType::i32, {1, 1, 2});
    call.block_columns = integers({2, 0, 9});
    EXPECT_EQ(error(call), "");
    call.block_columns = integers({2, -3, 9});
    EXPECT_EQ(error(call), "attention: block_columns[1] must be 0 or more, got -3");
    call.block_starts = tensor<i32>({0, 4}, DType::i32, {1, 1, 2});
    EXPECT_EQ(
        error(call),
        "attention: block_starts of sequence 0, list 0 must ascend from 0 to 3 (block_columns), got 0 and "
        "4 for block 0");
    call.block_starts = {}, call.block_columns = {}, call.block_queries = call.block_keys = 0;
    call.kv_starts = integers({0, 201});
    EXPECT_EQ(error(call), "attention: kv_starts[1] must be 0 to 200 (rows of k), got 201");
}

TEST_P(CheckInputs, LatentRowsAndTheirIndexer) {
    Mla call;
    call.q = numbers({1, 16, 576});
    call.out = numbers({1, 16, 512});
    call.cache = numbers({2, 4, 576});
    call.page_table = tensor<i32>({1, 2}, DType::i32, {1, 2});
    call.kv_lengths = integers({4});
    call.q_starts = integers({0, 1});
    EXPECT_EQ(error(call), "");
    call.kv_lengths = integers({6});
    EXPECT_EQ(error(call),
              "mla: page_table[0, 1] must be 0 to 1, as sequence 0 has 6 keys of 4 a page, got 2");
    call.page_table = {}, call.kv_lengths = {};
    call.indices = tensor<i32>({0, -1, 99}, DType::i32, {1, 3});  // what is no slot is no key
    EXPECT_EQ(error(call), "");

    IndexTopk topk;
    topk.logits = tensor(std::vector<float>(8), DType::f32, {1, 8});
    topk.indices = tensor<i32>({0, 0}, DType::i32, {1, 2});
    topk.kv_lengths = integers({6});
    topk.q_starts = integers({0, 1});
    topk.page_table = tensor<i32>({1, -7}, DType::i32, {1, 2});
    topk.page_size = 4;
    EXPECT_EQ(error(topk),
              "index_topk: page_table[0, 1] must be 0 or more, as sequence 0 has 6 keys of 4 a page, got -7");
}

TEST_P(CheckInputs, WhereNewKeysGo) {
    KvAppend call;
    call.k = call.v = numbers({3, 1, 64});
    call.k_pages = numbers({6, 4, 1, 64});
    call.v_pages = numbers({6, 4, 1, 64});
    call.page_table = tensor<i32>({5, 0, 9, 1, 2, 3}, DType::i32, {2, 3});
    call.sequences = integers({0, 77, 1});
    call.positions = integers({7, -1, 11});  // the second is padding
    EXPECT_EQ(error(call), "");
    call.positions = integers({7, 0, 11});
    EXPECT_EQ(error(call), "kv_append: sequences[1] must be 0 to 1 (rows of page_table), got 77");
    call.positions = integers({7, -1, 12});
    EXPECT_EQ(error(call),
              "kv_append: positions[2] must be below 12 (what the pages of a sequence hold), got 12");
    call.positions = integers({8, -1, 11});
    EXPECT_EQ(error(call), "kv_append: page_table[0, 2] must be 0 to 5, as token 0 goes there, got 9");
}

TEST_P(CheckInputs, WhereLatentRowsGo) {
    LatentAppend call;
    call.x = numbers({2, 576});
    call.pages = tensor(std::vector<u8>(3 * 4 * 656), DType::u8, {3, 4, 656});
    call.page_table = tensor<i32>({2, 3}, DType::i32, {1, 2});
    call.sequences = integers({0, 0});
    call.positions = integers({3, -1});
    EXPECT_EQ(error(call), "");
    call.positions = integers({3, 4});
    EXPECT_EQ(error(call), "latent_append: page_table[0, 1] must be 0 to 2, as token 1 goes there, got 3");
}

TEST_P(CheckInputs, WhereRopePutsKeys) {
    Rope call;
    call.q = numbers({2, 2, 64});
    call.k = call.v = numbers({2, 1, 64});
    call.frequency = tensor(std::vector<float>(32), DType::f32, {32});
    call.k_pages = numbers({6, 4, 1, 64});
    call.v_pages = numbers({6, 4, 1, 64});
    call.page_table = tensor<i32>({5, 6}, DType::i32, {1, 2});
    call.sequences = integers({0, 0});
    call.positions = integers({2, 3});
    EXPECT_EQ(error(call), "");
    call.positions = integers({3, 4});
    EXPECT_EQ(error(call), "rope: page_table[0, 1] must be 0 to 5, as token 1 goes there, got 6");
}

TEST_P(CheckInputs, LevelsOfCascadesAndAnIndexersPages) {
    const Attention own = paged();
    Cascade cascade;
    cascade.call = own;
    cascade.call.q_starts = cascade.call.page_table = cascade.call.kv_lengths = {};
    CascadeLevel level{.q_starts = own.q_starts,
                       .page_table = tensor<i32>({5, 0, -1, 1, 2, 8}, DType::i32, {2, 3}),
                       .kv_lengths = own.kv_lengths,
                       .max_q_len = own.max_q_len};
    cascade.levels = {level};
    EXPECT_NE(
        error(cascade).find("page_table[1, 2] must be 0 to 5, as sequence 1 has 9 keys of 4 a page, got 8"),
        std::string::npos)
        << error(cascade);
    cascade.levels[0].page_table = own.page_table;
    EXPECT_EQ(error(cascade), "");

    IndexLogits logits;
    logits.q = tensor(std::vector<u16>(64 * 128), DType::bf16, {1, 64, 128});
    logits.weights = tensor(std::vector<float>(64), DType::f32, {1, 64});
    logits.logits = tensor(std::vector<float>(128), DType::f32, {1, 128});
    logits.cache = tensor(std::vector<u16>(2 * 64 * 128), DType::bf16, {2, 64, 128});
    logits.page_table = tensor<i32>({1, 3}, DType::i32, {1, 2});
    logits.kv_lengths = integers({64});
    logits.q_starts = integers({0, 1});
    EXPECT_EQ(error(logits), "");
    logits.kv_lengths = integers({65});
    EXPECT_EQ(error(logits),
              "index_logits: page_table[0, 1] must be 0 to 1, as sequence 0 has 65 keys of 64 a page, got 3");
}

INSTANTIATE_TEST_SUITE_P(Devices, CheckInputs, testing::Values("cpu", "emulated:h200"),
                         [](const auto& info) { return info.param[0] == 'c' ? "Cpu" : "Emulated"; });

}  // namespace
}  // namespace warpwright
