// SPDX-License-Identifier: Apache-2.0
// PageCache: who holds which page, and what free pages still contain. Host logic without a device.
//
// A full page is known by its content: the tokens in it and everything before them. A content is a number
// that is given once and never again; it stands for (content of the page before, tokens of this page), which
// are compared when a page is looked for, so that two prefixes with one hash are never taken for each other.
// Pages that nobody holds keep their content until they are taken again: those without content first, then
// those that have been free for longest.
#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "warpwright/types.h"

namespace warpwright {

class PageCache {
public:
    using Content = u64;
    using Hash = u64 (*)(Content before, std::span<const i32> tokens);
    static constexpr Content kNothing = 0;  // the content before a sequence's first page

    // Tests bring a hash of their own.
    PageCache(i64 num_pages, i64 page_size_tokens, Hash hash = content_hash);

    i64 num_pages() const { return static_cast<i64>(pages_.size()) - 1; }
    i64 num_free_pages() const { return num_free_; }
    i64 num_kept_pages() const { return static_cast<i64>(by_hash_.size()); }  // with content, free or not
    i64 page_size_tokens() const { return page_size_tokens_; }
    i64 pages_for(i64 tokens) const { return (tokens + page_size_tokens_ - 1) / page_size_tokens_; }

    // A free page, which there must be, held once from now on; what it contained is forgotten.
    i32 take();
    // One more holder of a page, which may have been free.
    void hold(i32 page);
    // One holder less; without holders the page is free.
    void release(i32 page);
    i64 holders(i32 page) const { return pages_[index(page)].holders; }

    struct Kept {
        i32 page = 0;
        Content content = kNothing;
    };
    // The page with these tokens (a whole page of them) behind that content.
    std::optional<Kept> find(Content before, std::span<const i32> tokens) const;
    // Says what a page holds that is, or is about to be, full. Where another page has the same content that
    // one stays the one to be found. Returns the content.
    Content keep(i32 page, Content before, std::span<const i32> tokens);

    static u64 content_hash(Content before, std::span<const i32> tokens);

private:
    struct Page {
        i64 holders = 0;
        Content before = kNothing;
        Content content = kNothing;  // kNothing: cannot be found
        u64 hash = 0;
        i32 previous = 0, next = 0;  // among the free pages
    };
    static std::size_t index(i32 page) { return static_cast<std::size_t>(page); }
    std::span<i32> tokens_of(i32 page);
    std::span<const i32> tokens_of(i32 page) const;
    void unlink(i32 page);
    void link_before(i32 page, i32 next);

    i64 page_size_tokens_;
    Hash hash_;
    i64 num_free_ = 0;
    Content last_content_ = kNothing;
    std::vector<Page>
        pages_;  // the last one is no page: it stands between the ends of the list of free pages
    std::vector<i32> tokens_;  // of every page
    std::unordered_map<u64, i32> by_hash_;
};

}  // namespace warpwright
