// SPDX-License-Identifier: Apache-2.0
#include "engine/scheduler.h"

#include <algorithm>
#include <cassert>

namespace warpwright {

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), pages_(options.num_pages, options.page_size_tokens) {}

void Scheduler::add(std::unique_ptr<Sequence> sequence) {
    assert(pages_.pages_for(sequence->prompt_tokens + sequence->max_tokens) <= pages_.num_pages());
    waiting_.push_back(std::move(sequence));
}

bool Scheduler::cancel(int id) {
    assert(pass_.parts.empty());
    const auto erase_from = [&](auto& sequences) {
        const auto found = std::ranges::find(sequences, id, [](const Owned& one) { return one->id; });
        if (found == sequences.end()) return false;
        release_pages(**found);
        sequences.erase(found);
        return true;
    };
    return erase_from(decoding_) || erase_from(reading_) || erase_from(waiting_);
}

void Scheduler::release_pages(Sequence& sequence) {
    // why: the last page first, so that of what is free the ends of texts are overwritten before their
    // beginnings, which more sequences may share.
    for (auto page = sequence.pages.rbegin(); page != sequence.pages.rend(); ++page) pages_.release(*page);
    sequence.pages.clear();
    sequence.num_cached = sequence.num_kept = 0;
    sequence.content = PageCache::kNothing;
}

void Scheduler::preempt_youngest() {
    Owned youngest;
    if (!reading_.empty()) {
        youngest = std::move(reading_.back());
        reading_.pop_back();
    } else {
        const auto found = std::ranges::max_element(decoding_, {}, [](const Owned& one) { return one->id; });
        youngest = std::move(*found);
        decoding_.erase(found);
    }
    release_pages(*youngest);
    waiting_.push_front(std::move(youngest));
    ++preemptions_;
}

// A decoding sequence needs a page when its last one is full.
void Scheduler::make_room_for_decoding() {
    const i64 page_size = pages_.page_size_tokens();
    const auto at_end_of_page = [&](const Owned& one) {
        return one->num_cached == static_cast<i64>(one->pages.size()) * page_size;
    };
    while (std::ranges::count_if(decoding_, at_end_of_page) > pages_.num_free_pages()) preempt_youngest();
}

// The pages at the front of the sequence that the cache still has. The last token is always read: its logits
// are wanted.
void Scheduler::reuse_prefix(Sequence& sequence) {
    const auto page_size = static_cast<std::size_t>(pages_.page_size_tokens());
    const std::span<const i32> tokens = sequence.tokens;
    while ((sequence.pages.size() + 1) * page_size < tokens.size()) {
        const auto kept =
            pages_.find(sequence.content, tokens.subspan(sequence.pages.size() * page_size, page_size));
        if (!kept) break;
        pages_.hold(kept->page);
        sequence.pages.push_back(kept->page);
        sequence.content = kept->content;
    }
    sequence.num_kept = static_cast<i64>(sequence.pages.size());
    sequence.num_cached = sequence.num_kept * pages_.page_size_tokens();
}

// Moves the first of the waiting sequences to those that are read, if there is room for all of its tokens and
// one more, beside a page for each of the others to grow into: so it is not preempted at once.
bool Scheduler::admit_next() {
    const i64 admitted = std::ssize(reading_) + std::ssize(decoding_);
    if (waiting_.empty() || admitted == options_.max_sequences) return false;
    Sequence& next = *waiting_.front();
    const i64 free_pages = pages_.num_free_pages();
    if (refused_.id == next.id && refused_.pages + admitted > free_pages) return false;
    reuse_prefix(next);
    const i64 reused_free = free_pages - pages_.num_free_pages();
    const i64 wanted =
        pages_.pages_for(next.num_tokens() + 1) - static_cast<i64>(next.pages.size()) + reused_free;
    if (wanted + admitted > free_pages) {
        release_pages(next);
        refused_ = {next.id, wanted};
        return false;
    }
    next.admission = ++num_admissions_;
    reused_tokens_ += next.num_cached;
    reading_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    return true;
}

// Adds the next `count` tokens of a sequence to the pass, in pages that there must be.
void Scheduler::schedule(Sequence& sequence, i64 count) {
    const i64 page_size = pages_.page_size_tokens();
    const i64 first = sequence.num_cached;
    sequence.num_cached += count;
    while (static_cast<i64>(sequence.pages.size()) * page_size < sequence.num_cached)
        sequence.pages.push_back(pages_.take());
    while ((sequence.num_kept + 1) * page_size <= sequence.num_cached) {
        const auto tokens = std::span(sequence.tokens)
                                .subspan(static_cast<std::size_t>(sequence.num_kept * page_size),
                                         static_cast<std::size_t>(page_size));
        const i32 page = sequence.pages[static_cast<std::size_t>(sequence.num_kept)];
        sequence.content = pages_.keep(page, sequence.content, tokens);
        ++sequence.num_kept;
    }
    pass_.parts.push_back({&sequence, first, count, sequence.num_cached == sequence.num_tokens()});
    pass_.tokens += count;
    pass_.max_q_len = std::max(pass_.max_q_len, count);
    pass_.max_kv_len = std::max(pass_.max_kv_len, sequence.num_cached);
}

const Pass& Scheduler::next() {
    assert(pass_.parts.empty());
    make_room_for_decoding();
    for (const Owned& sequence : decoding_) schedule(*sequence, 1);
    pass_.num_decoding = static_cast<i64>(decoding_.size());

    // One prompt after the other: the next one begins in the pass in which this one ends.
    for (std::size_t i = 0; pass_.tokens < options_.max_batch_tokens; ++i) {
        if (i == reading_.size() && !admit_next()) break;
        Sequence& sequence = *reading_[i];
        const i64 missing = sequence.num_tokens() - sequence.num_cached;
        const i64 room =
            (static_cast<i64>(sequence.pages.size()) + pages_.num_free_pages()) * pages_.page_size_tokens() -
            sequence.num_cached;
        const i64 count = std::min({missing, options_.max_batch_tokens - pass_.tokens, room});
        if (count > 0) {
            schedule(sequence, count);
            pass_.prompt_kv_tokens += sequence.num_cached;
            read_tokens_ += count;
        }
        if (count < missing) break;
    }
    assert(!pass_.parts.empty() || idle());
    return pass_;
}

Finish Scheduler::accept(Sequence& sequence, i32 token) {
    sequence.tokens.push_back(token);
    if (sequence.adjustments) sequence.adjustments->push(token);
    if (sequence.num_output() >= sequence.min_tokens &&
        std::ranges::find(sequence.ending, token) != sequence.ending.end()) {
        return Finish::stop;
    }
    return sequence.num_output() >= sequence.max_tokens ? Finish::length : Finish::running;
}

std::vector<Token> Scheduler::finish(std::span<const i32> sampled) {
    assert(sampled.size() == pass_.parts.size());
    std::vector<Token> tokens;
    tokens.reserve(sampled.size());
    std::vector<bool> is_done(sampled.size());
    for (std::size_t i = 0; i < sampled.size(); ++i) {
        const Pass::Part& part = pass_.parts[i];
        if (!part.samples) continue;
        const Finish finish = accept(*part.sequence, sampled[i]);
        tokens.push_back({part.sequence->id, sampled[i], finish, nullptr});
        is_done[i] = finish != Finish::running;
        if (is_done[i]) release_pages(*part.sequence);
    }

    // Those whose prompt is read now decode from now on, in the rows that they have. The row of a sequence
    // that is done goes to the last one: rows stay side by side, and few sequences change theirs.
    const auto num_read = std::ranges::count_if(
        std::span(pass_.parts).subspan(static_cast<std::size_t>(pass_.num_decoding)), &Pass::Part::samples);
    const auto read_end = reading_.begin() + num_read;
    decoding_.insert(decoding_.end(), std::move_iterator(reading_.begin()), std::move_iterator(read_end));
    reading_.erase(reading_.begin(), read_end);
    for (std::size_t i = decoding_.size(); i-- > 0;) {
        if (!is_done[i]) continue;
        std::swap(decoding_[i], decoding_.back());
        decoding_.pop_back();
    }
    pass_ = {};
    return tokens;
}

SchedulerStats Scheduler::stats() const {
    return {.waiting = static_cast<i64>(waiting_.size()),
            .reading = static_cast<i64>(reading_.size()),
            .decoding = static_cast<i64>(decoding_.size()),
            .num_pages = pages_.num_pages(),
            .free_pages = pages_.num_free_pages(),
            .preemptions = preemptions_,
            .read_tokens = read_tokens_,
            .reused_tokens = reused_tokens_};
}

}  // namespace warpwright
