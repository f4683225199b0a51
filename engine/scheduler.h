// SPDX-License-Identifier: Apache-2.0
// Scheduler: which sequences are in the next pass, with which tokens, in which pages. Host logic without a
// device.
//
//   waiting -> (pages for its tokens are free) -> reading its prompt, in chunks -> decoding -> done
//      ^                                                                              |
//      +------- preempted: pages given back, all tokens are read again later ---------+
//
// A pass has one token of every decoding sequence and, as far as max_batch_tokens allows, tokens of prompts.
// Sequences are served in the order in which they came: nobody overtakes, and when no page is free it is the
// youngest that gives its pages back. So the oldest always goes on, and everyone becomes the oldest.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/page_cache.h"
#include "engine/request.h"

namespace warpwright {

struct Sequence {
    int id = 0;
    i64 prompt_tokens = 0;
    i64 max_tokens = 0, min_tokens = 0;  // of the output
    std::vector<i32> tokens;             // prompt, then output
    SamplingParameters sampling;
    std::vector<i32> ending;                      // tokens that end the text
    std::optional<LogitAdjustments> adjustments;  // where sampling needs any
    std::vector<i32> pages;                       // of the cache, in order
    i64 num_cached = 0;                           // tokens whose keys and values are in them
    i64 num_kept = 0;                             // of the pages, those whose content is known to PageCache
    PageCache::Content content = PageCache::kNothing;  // of the last of those
    u64 admission = 0;                                 // which admission, of all, gave it its pages

    i64 num_tokens() const { return static_cast<i64>(tokens.size()); }
    i64 num_output() const { return num_tokens() - prompt_tokens; }
};

struct Pass {
    struct Part {
        Sequence* sequence = nullptr;
        i64 first = 0, count = 0;  // tokens [first, first + count) of it go through the model
        bool samples = false;      // the last of them has no successor yet
    };
    std::vector<Part> parts;  // decoding sequences, one token each, then those whose prompts are read
    i64 num_decoding = 0;
    i64 tokens = 0;
    i64 max_q_len = 0, max_kv_len = 0;
    i64 prompt_kv_tokens = 0;  // in the cache after the pass, of the sequences whose prompts are read

    bool only_decodes() const { return num_decoding == static_cast<i64>(parts.size()); }
};

struct SchedulerOptions {
    i64 max_sequences = 8;        // with pages at a time
    i64 max_batch_tokens = 2048;  // of one pass; at least max_sequences
    i64 num_pages = 0;
    i64 page_size_tokens = 16;
};

struct SchedulerStats {
    i64 waiting = 0, reading = 0, decoding = 0;  // sequences, now
    i64 num_pages = 0, free_pages = 0;           // now; free ones may still be found by their content
    i64 preemptions = 0;                         // so far
    i64 read_tokens = 0;    // of prompts, and of preempted sequences once more: through the model, so far
    i64 reused_tokens = 0;  // found in the cache instead
};

class Scheduler {
public:
    explicit Scheduler(const SchedulerOptions& options);

    // Queues a sequence that fits the cache when it has it for itself: prompt_tokens + max_tokens.
    void add(std::unique_ptr<Sequence> sequence);
    // Removes a sequence, between passes; false when there is none of that number.
    bool cancel(int id);
    bool idle() const { return waiting_.empty() && reading_.empty() && decoding_.empty(); }

    // The next pass; without parts when there is nothing to do. Its tokens count as cached from now on: their
    // keys and values are written before anything in the pass reads them, so that a prompt may reuse pages
    // which another one fills in the same pass.
    const Pass& next();
    // Ends the pass with one sampled token a part (what stands at parts that sample none is ignored), and
    // reports them in the order of the parts.
    std::vector<Token> finish(std::span<const i32> sampled);

    SchedulerStats stats() const;
    const PageCache& pages() const { return pages_; }

private:
    using Owned = std::unique_ptr<Sequence>;
    void make_room_for_decoding();
    void preempt_youngest();
    void release_pages(Sequence& sequence);
    bool admit_next();
    void reuse_prefix(Sequence& sequence);
    void schedule(Sequence& sequence, i64 count);
    Finish accept(Sequence& sequence, i32 token);

    SchedulerOptions options_;
    PageCache pages_;
    std::deque<Owned> waiting_;
    std::vector<Owned> reading_;   // more than one only during a pass
    std::vector<Owned> decoding_;  // in the order of their rows in a pass
    Pass pass_;
    // The sequence that was last found to have no room, and how many free pages it wants: as long as there
    // are fewer it is not looked at again, which would hash its whole prompt in every pass.
    struct Refused {
        int id = -1;
        i64 pages = 0;
    } refused_;
    u64 num_admissions_ = 0;
    i64 preemptions_ = 0, read_tokens_ = 0, reused_tokens_ = 0;
};

}  // namespace warpwright
