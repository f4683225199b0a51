// SPDX-License-Identifier: Apache-2.0
#include "engine/page_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace warpwright {
namespace {

using Tokens = std::array<i32, 4>;
constexpr Tokens kOne{1, 2, 3, 4}, kTwo{5, 6, 7, 8}, kThree{9, 10, 11, 12};
constexpr auto kNothing = PageCache::kNothing;

TEST(PageCache, FindsAFullPageByItsTokensAndWhatIsBeforeThem) {
    PageCache cache(4, 4);
    const i32 first = cache.take(), second = cache.take();
    const auto one = cache.keep(first, kNothing, kOne);
    const auto two = cache.keep(second, one, kTwo);
    ASSERT_TRUE(cache.find(kNothing, kOne));
    EXPECT_EQ(cache.find(kNothing, kOne)->page, first);
    EXPECT_EQ(cache.find(kNothing, kOne)->content, one);
    ASSERT_TRUE(cache.find(one, kTwo));
    EXPECT_EQ(cache.find(one, kTwo)->page, second);
    EXPECT_FALSE(cache.find(kNothing, kTwo));  // the same tokens, but not at the front
    EXPECT_FALSE(cache.find(two, kTwo));
    EXPECT_FALSE(cache.find(one, kThree));
}

TEST(PageCache, KeepsContentWhileThePageIsFreeAndForgetsItWhenItIsTaken) {
    PageCache cache(2, 4);
    const i32 page = cache.take();
    const auto content = cache.keep(page, kNothing, kOne);
    cache.release(page);
    EXPECT_EQ(cache.num_free_pages(), 2);
    ASSERT_TRUE(cache.find(kNothing, kOne));
    cache.hold(page);
    EXPECT_EQ(cache.num_free_pages(), 1);
    EXPECT_EQ(cache.holders(page), 1);
    cache.release(page);
    const i32 other = cache.take();
    EXPECT_NE(other, page);  // that had no content: it goes first
    EXPECT_EQ(cache.take(), page);
    EXPECT_FALSE(cache.find(kNothing, kOne));
    // The same tokens are another content now: what came behind the old ones cannot be found behind these.
    EXPECT_NE(cache.keep(page, kNothing, kOne), content);
}

TEST(PageCache, TakesThePageThatHasBeenFreeForLongest) {
    PageCache cache(3, 4);
    std::array<i32, 3> pages{cache.take(), cache.take(), cache.take()};
    cache.keep(pages[0], kNothing, kOne);
    cache.keep(pages[1], kNothing, kTwo);
    cache.keep(pages[2], kNothing, kThree);
    cache.release(pages[1]);
    cache.release(pages[0]);
    cache.release(pages[2]);
    cache.hold(pages[1]);  // used once more: now the last
    cache.release(pages[1]);
    EXPECT_EQ(cache.take(), pages[0]);
    EXPECT_EQ(cache.take(), pages[2]);
    EXPECT_EQ(cache.take(), pages[1]);
}

TEST(PageCache, AHeldPageIsFreeWhenItsLastHolderReleasesIt) {
    PageCache cache(1, 4);
    const i32 page = cache.take();
    cache.hold(page);
    cache.release(page);
    EXPECT_EQ(cache.num_free_pages(), 0);
    cache.release(page);
    EXPECT_EQ(cache.num_free_pages(), 1);
}

TEST(PageCache, OfTwoPagesWithTheSameContentTheFirstIsFound) {
    PageCache cache(2, 4);
    const i32 first = cache.take(), second = cache.take();
    const auto content = cache.keep(first, kNothing, kOne);
    EXPECT_EQ(cache.keep(second, kNothing, kOne), content);
    EXPECT_EQ(cache.find(kNothing, kOne)->page, first);
    cache.release(second);
    EXPECT_EQ(cache.take(), second);
    EXPECT_EQ(cache.find(kNothing, kOne)->page, first);
}

// With a hash that is the same for everything, contents are still told apart.
// Pages of one token: what is before them and the token are numbers of the same size.
TEST(PageCache, FindsEveryPageOfOneToken) {
    constexpr i32 kEach = 64;
    PageCache cache(kEach * kEach, 1);
    std::vector<PageCache::Content> before(kEach);
    for (i32 i = 0; i < kEach; ++i) {
        const i32 token = i;
        const i32 page = cache.take();
        before[static_cast<std::size_t>(i)] = cache.keep(page, kNothing, {&token, 1});
    }
    for (const auto content : before) {
        for (i32 token = 1; token < kEach; ++token) cache.keep(cache.take(), content, {&token, 1});
    }
    EXPECT_EQ(cache.num_kept_pages(), kEach * kEach);
    for (const auto content : before) {
        for (i32 token = 1; token < kEach; ++token) EXPECT_TRUE(cache.find(content, {&token, 1}));
    }
}

TEST(PageCache, ComparesTokensNotHashes) {
    PageCache cache(3, 4, [](PageCache::Content, std::span<const i32>) -> u64 { return 7; });
    const i32 first = cache.take(), second = cache.take();
    const auto one = cache.keep(first, kNothing, kOne);
    EXPECT_FALSE(cache.find(kNothing, kTwo));
    EXPECT_FALSE(cache.find(one, kOne));
    const auto two = cache.keep(second, one, kTwo);
    EXPECT_NE(two, one);
    EXPECT_FALSE(cache.find(one, kTwo));  // the hash is taken: not found, but never mistaken
    EXPECT_EQ(cache.find(kNothing, kOne)->page, first);
    cache.release(second);
    cache.release(first);
    for (int i = 0; i < 3; ++i) cache.take();
    EXPECT_FALSE(cache.find(kNothing, kOne));
}

}  // namespace
}  // namespace warpwright
