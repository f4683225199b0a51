// SPDX-License-Identifier: Apache-2.0
#include "engine/page_cache.h"

#include <algorithm>
#include <cassert>

namespace warpwright {

u64 PageCache::content_hash(Content before, std::span<const i32> tokens) {
    // why: contents and tokens are both small numbers, whose differences would cancel.
    u64 hash = before * 0xd1342543de82ef95u;
    for (const i32 token : tokens) {  // splitmix64's steps, once a token
        hash = (hash ^ static_cast<u32>(token)) + 0x9e3779b97f4a7c15u;
        hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
        hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
        hash ^= hash >> 31;
    }
    return hash;
}

PageCache::PageCache(i64 num_pages, i64 page_size_tokens, Hash hash)
    : page_size_tokens_(page_size_tokens),
      hash_(hash),
      pages_(static_cast<std::size_t>(num_pages + 1)),
      tokens_(static_cast<std::size_t>(num_pages * page_size_tokens)) {
    const auto end = static_cast<i32>(num_pages);
    pages_[index(end)].previous = pages_[index(end)].next = end;
    for (i32 page = 0; page < end; ++page) link_before(page, end);
}

std::span<i32> PageCache::tokens_of(i32 page) {
    return std::span(tokens_).subspan(index(page) * static_cast<std::size_t>(page_size_tokens_),
                                      static_cast<std::size_t>(page_size_tokens_));
}

std::span<const i32> PageCache::tokens_of(i32 page) const {
    return std::span(tokens_).subspan(index(page) * static_cast<std::size_t>(page_size_tokens_),
                                      static_cast<std::size_t>(page_size_tokens_));
}

void PageCache::unlink(i32 page) {
    const Page& entry = pages_[index(page)];
    pages_[index(entry.previous)].next = entry.next;
    pages_[index(entry.next)].previous = entry.previous;
    --num_free_;
}

void PageCache::link_before(i32 page, i32 next) {
    Page& entry = pages_[index(page)];
    entry.next = next;
    entry.previous = pages_[index(next)].previous;
    pages_[index(entry.previous)].next = page;
    pages_[index(next)].previous = page;
    ++num_free_;
}

i32 PageCache::take() {
    assert(num_free_ > 0);
    const i32 page = pages_.back().next;
    Page& entry = pages_[index(page)];
    unlink(page);
    if (entry.content != kNothing) by_hash_.erase(entry.hash);
    entry.content = kNothing;
    entry.holders = 1;
    return page;
}

void PageCache::hold(i32 page) {
    if (pages_[index(page)].holders++ == 0) unlink(page);
}

void PageCache::release(i32 page) {
    Page& entry = pages_[index(page)];
    assert(entry.holders > 0);
    if (--entry.holders > 0) return;
    const auto end = static_cast<i32>(num_pages());
    link_before(page, entry.content == kNothing ? pages_[index(end)].next : end);
}

std::optional<PageCache::Kept> PageCache::find(Content before, std::span<const i32> tokens) const {
    const auto known = by_hash_.find(hash_(before, tokens));
    if (known == by_hash_.end()) return std::nullopt;
    const Page& entry = pages_[index(known->second)];
    if (entry.before != before || !std::ranges::equal(tokens_of(known->second), tokens)) return std::nullopt;
    return Kept{known->second, entry.content};
}

PageCache::Content PageCache::keep(i32 page, Content before, std::span<const i32> tokens) {
    if (const auto known = find(before, tokens)) return known->content;
    Page& entry = pages_[index(page)];
    assert(entry.holders > 0 && entry.content == kNothing);
    const Content content = ++last_content_;
    const u64 hash = hash_(before, tokens);
    // why: of two contents with one hash the first stays; the other cannot be found, which costs time only.
    if (!by_hash_.emplace(hash, page).second) return content;
    entry.before = before;
    entry.content = content;
    entry.hash = hash;
    std::ranges::copy(tokens, tokens_of(page).begin());
    return content;
}

}  // namespace warpwright
