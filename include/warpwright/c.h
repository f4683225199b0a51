/* SPDX-License-Identifier: Apache-2.0 */
/* The C ABI of libwarpwright.so: the one door for other languages, and for engines that are not C++20.
 *
 * Reading rules
 *  - Zero is a default. Every field of a struct but struct_size may be zero, and then means what its comment
 *    says; a struct is ready after `ww_gemm call = {sizeof(ww_gemm)};` or memset.
 *  - struct_size is the first field of every struct that may grow: sizeof of the struct as the caller was
 *    compiled with it. Fields that the library knows and the caller does not are zero.
 *  - Units are in names: _bytes, _tokens, _us. Strings are UTF-8 and end with a zero byte. Strides are in
 *    elements. JSON is the JSON of `warpwright VERB --json`.
 *
 * Errors: functions that can fail return a ww_status. On an error nothing is written to out-parameters, and
 * ww_last_error() has the sentence: which argument, what was expected, what was got. The library never
 * prints, never exits and lets no exception out.
 *
 * Ownership: what ..._open, ..._create, ..._load and ww_prepare_... hand out is ended with its own ..._close,
 * ..._free or ..._destroy; strings and arrays handed out through `char**` and the like with ww_free.
 * `const char*` results are the library's. Ends take null and do nothing. A context stays alive while an
 * engine or something prepared from it does; memory, streams, events and graphs end before their context.
 * Tensors are views: memory stays its owner's.
 *
 * Threads: every function may be called from any thread at any time, but a handle must not be ended while
 * another call uses it, and one ww_prepared must not be prepared into by two threads at once. Launching one
 * ww_prepared from several threads is fine, as far as its tensors allow. Calls on one ww_engine wait for each
 * other. ww_last_error is each thread's own.
 *
 * Streams: a stream is the device's own handle: a CUstream or cudaStream_t of the context's GPU, null for the
 * default (legacy) stream. Work is enqueued and not waited for, unless a function says so; calls on one
 * stream run in order, and the library adds no ordering between streams. On "cpu" and "emulated:" work is
 * done when the call returns. The context of a GPU is its primary context, the one of the CUDA runtime:
 * pointers, streams and events of PyTorch and others are valid as they are. A thread's current CUDA context
 * is the same after a call as before; where it had none, the primary one stays.
 *
 * Process-wide state: compiled images (in memory, and on disk in WARPWRIGHT_CACHE or ~/.cache/warpwright),
 * the opened driver and NVRTC, the lists of targets, of kinds of devices and of what a probe knows (packages,
 * variables, rules), and tables of measured times. All of it is caches: contexts do not see each other. */
#ifndef WARPWRIGHT_C_H
#define WARPWRIGHT_C_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define WW_API __attribute__((visibility("default")))
#else
#define WW_API
#endif

/* ---- Version ------------------------------------------------------------------------------------------- */

/* WW_ABI_VERSION is raised when a program compiled against an older header would go wrong, and is the number
 * in libwarpwright.so.N; WW_ABI_REVISION with every addition. */
#define WW_ABI_VERSION 1
#define WW_ABI_REVISION 4

WW_API int32_t ww_abi_version(void); /* of the library that was loaded */
WW_API int32_t ww_abi_revision(void);
WW_API const char* ww_version(void); /* "0.1.0" */
/* The kernel images inside the library, for a program beside it; null and 0: it was built without. */
WW_API const void* ww_packed_images(size_t* bytes);

/* ---- Errors -------------------------------------------------------------------------------------------- */

typedef int32_t ww_status;
enum {
    WW_OK = 0,
    WW_ERROR_CALLER = 1,      /* bad argument, file or name */
    WW_ERROR_NO_KERNEL = 2,   /* no row serves this problem on this target; the message lists all */
    WW_ERROR_UNAVAILABLE = 3, /* a device, driver, compiler, file system or memory is not there or refused */
    WW_ERROR_INTERNAL = 4     /* a bug of the library */
};

/* The message of this thread's last call that failed, "" before any has. Valid until the next one fails. */
WW_API const char* ww_last_error(void);
WW_API const char* ww_status_name(ww_status status); /* "ok", "caller", "no kernel", ... */

/* Ends a string or array that the library handed out. */
WW_API void ww_free(void* pointer);

/* ---- Contexts ------------------------------------------------------------------------------------------ */

/* A device, the kernels it has loaded, and the caller's wishes about rows. One per device is enough. */
typedef struct ww_context ww_context;

/* Where device memory of this context comes from in place of the driver: caches of weights, keys and values,
 * activations of engines, ww_allocate. Not through it: kernels' code, and pinned memory of the host. Called
 * from any thread, and at once from several; the context's GPU is current in the calling thread. */
typedef struct ww_allocator {
    size_t struct_size;
    void* user;
    /* At least `bytes` at a multiple of 256 bytes; null: there is none, which becomes an error of the call
     * that asked. Memory is used on any stream from then on. */
    void* (*allocate)(void* user, size_t bytes);
    /* What allocate gave, with the same number of bytes; all work on it is over. */
    void (*release)(void* user, void* pointer, size_t bytes);
} ww_allocator;

typedef struct ww_context_options {
    size_t struct_size;
    const ww_allocator* allocator; /* copied; null: the device's own. Not for "emulated:". */
    /* Not 0: a launch starts when the one before it in the stream has ended, and not while that drains
     * (programmatic dependent launch, from compute capability 9.0 on). For debugging: results are the same.
     */
    int32_t forbid_overlap;
    int32_t reserved;
} ww_context_options;

/* "cuda:N", "cuda", "cpu", "emulated:GPU" with any name of ww_targets_json (and ",checks=off|bounds|all",
 * ",seed=N", ",threads=N"), or "auto": the first GPU, else the CPU. `options` may be null. On a
 * GPU, rows that failed ww_check or `warpwright check` with its driver before are forbidden. */
WW_API ww_status ww_context_open(const char* device, const ww_context_options* options, ww_context** context);
WW_API void ww_context_close(ww_context* context);

WW_API const char* ww_context_device(const ww_context* context); /* "cuda:0"; lives as long as the context */
/* {"device", "target": {...ww_targets_json's fields, measured ones on top}, "memory": {"free_bytes",
 * "total_bytes"}, "shares_host_memory", "supports_graphs"} */
WW_API ww_status ww_context_json(ww_context* context, char** json);

/* From now on what is prepared for `op` ("gemm", ...) uses the row of this name; null or "": the chooser's
 * choice again. A name that is no row of the operation is a caller error; one that does not serve a problem
 * is WW_ERROR_NO_KERNEL when that is prepared. */
WW_API ww_status ww_context_force(ww_context* context, const char* op, const char* row);
/* From now on this row is not chosen, and refusals give `reason`. Null or "" reason: it may be chosen again.
 * A forced row is used all the same. */
WW_API ww_status ww_context_forbid(ww_context* context, const char* row, const char* reason);

/* Not 0: what is prepared or run from now on reads the starts, lengths, page tables, lists and positions that
 * it is given in device memory, once what is before it in the stream (prepared: the default stream) has
 * ended, and refuses those that are out of range, by name and place, as caller errors; causal queries without
 * a key too. For debugging: it waits, cannot be captured, and sees nothing that changes after the
 * preparation. */
WW_API ww_status ww_context_check_inputs(ww_context* context, int32_t wanted);

/* ---- Memory, streams, graphs: for callers without a framework ------------------------------------------ */

/* At a multiple of 256 bytes; no content assumed. */
WW_API ww_status ww_allocate(ww_context* context, size_t bytes, void** pointer);
WW_API void ww_release(ww_context* context, void* pointer);
/* Page-aligned memory of the host, which copies reach at the link's full speed. */
WW_API ww_status ww_allocate_pinned(ww_context* context, size_t bytes, void** pointer);
WW_API void ww_release_pinned(ww_context* context, void* pointer);
/* Emulated devices only: an address of the device for `bytes` of the caller's own memory of the host, without
 * a copy. Ended with ww_release, before the memory is; the bytes stay the caller's. With `read_only`, kernels
 * that write there are reported. ("cpu" takes host pointers as they are.) */
WW_API ww_status ww_import_host(ww_context* context, void* data, size_t bytes, int32_t read_only,
                                void** pointer);

/* From pageable memory of the host: enqueued, `host` may be used again at once. From pinned memory: not
 * before the copy is over. */
WW_API ww_status ww_copy_in(ww_context* context, void* device, const void* host, size_t bytes, void* stream);
WW_API ww_status ww_copy_out(ww_context* context, void* host, const void* device, size_t bytes,
                             void* stream); /* waits for the stream */
WW_API ww_status ww_copy(ww_context* context, void* to, const void* from, size_t bytes, void* stream);
WW_API ww_status ww_fill(ww_context* context, void* device, uint8_t value, size_t bytes, void* stream);

WW_API ww_status ww_stream_create(ww_context* context, void** stream);
WW_API void ww_stream_destroy(ww_context* context, void* stream);
WW_API ww_status ww_stream_synchronize(ww_context* context, void* stream); /* waits */

/* A CUevent of the GPU. */
WW_API ww_status ww_event_create(ww_context* context, void** event);
WW_API void ww_event_destroy(ww_context* context, void* event);
WW_API ww_status ww_event_record(ww_context* context, void* event, void* stream);
WW_API ww_status ww_stream_wait(ww_context* context, void* stream, void* event); /* the stream waits */
WW_API ww_status ww_event_synchronize(ww_context* context, void* event);         /* the caller waits */
/* Waits for `to`. */
WW_API ww_status ww_event_elapsed_us(ww_context* context, void* from, void* to, double* us);

/* What is enqueued on a stream of ww_stream_create (or the caller's own, but not the default one) between the
 * two is recorded, not run. Captures that the caller begins himself, as PyTorch's, work as well. "cpu" has no
 * graphs. */
WW_API ww_status ww_capture_begin(ww_context* context, void* stream);
WW_API ww_status ww_capture_end(ww_context* context, void* stream, void** graph);
WW_API ww_status ww_graph_launch(ww_context* context, void* graph, void* stream);
WW_API void ww_graph_destroy(ww_context* context, void* graph);

/* ---- Tensors ------------------------------------------------------------------------------------------- */

enum { WW_F32 = 0, WW_F16 = 1, WW_BF16 = 2, WW_I32 = 3, WW_U8 = 4 };
enum { WW_ACTIVATION_NONE = 0, WW_SILU = 1, WW_GELU = 2 /* by erf */, WW_GELU_TANH = 3 };
enum { WW_MAX_RANK = 6 };

/* A view, with what a DLTensor has (data with its byte_offset added; its strides, or dense ones where it has
 * null). Null data is a tensor that is not given, but with a rank and a dimension of 0 an empty one. */
typedef struct ww_tensor {
    void* data;
    int32_t dtype; /* WW_F32, ... */
    int32_t rank;
    int64_t shape[WW_MAX_RANK];
    int64_t stride[WW_MAX_RANK]; /* elements; all zero: dense, row-major */
    /* DLPack's: kDLCPU 1, kDLCUDA 2, kDLCUDAHost 3, kDLCUDAManaged 13. Memory that the context's device does
     * not reach is a caller error; 0: not said, and not checked. */
    int32_t device_type;
    int32_t device_id;
} ww_tensor;

/* Codes and scales (quantize_format.h). A code is a byte; two e2m1 share one, the even element in the low
 * half. */
enum { WW_CODE_E4M3 = 0, WW_CODE_E5M2 = 1, WW_CODE_I8 = 2, WW_CODE_E2M1 = 3 };
/* The first two are f32, the others codes in u8. */
enum {
    WW_SCALE_F32 = 0,
    WW_SCALE_POWER_OF_TWO = 1,
    WW_SCALE_E8M0 = 2,
    WW_SCALE_E8M0_UP = 3,
    WW_SCALE_E4M3 = 4
};

/* A scale serves group_rows x group_columns elements; 0 is all of them. FP8 of the whole tensor is all zeros;
 * by token {.group_rows = 1}; activations of DeepSeek {0, 0, 1, 128}, its weights {0, 0, 128, 128}; INT8 by
 * token {WW_CODE_I8, 0, 1, 0}; MXFP8 {0, WW_SCALE_E8M0, 1, 32}; MXFP4 {WW_CODE_E2M1, WW_SCALE_E8M0, 1, 32};
 * NVFP4 {WW_CODE_E2M1, WW_SCALE_E4M3, 1, 16}. */
typedef struct ww_quantize_format {
    int32_t code;  /* WW_CODE_E4M3, ... */
    int32_t scale; /* WW_SCALE_F32, ... */
    int64_t group_rows;
    int64_t group_columns;
} ww_quantize_format;

/* Keys and values in a cache (kv_format.h): the queries' type, or 8-bit codes. */
enum { WW_KV_SAME = 0, WW_KV_FP8_E4M3 = 1, WW_KV_FP8_E5M2 = 2, WW_KV_NVFP4 = 3 };

/* ---- Operations ---------------------------------------------------------------------------------------- */

/* Shapes, masks, orders of evaluation and page layouts are those of include/warpwright/ops/OP.h, field by
 * field; what is said here is what differs. Tensors marked "optional" may be null.
 *
 * Three ways to run an operation:
 *   ww_run_OP      choose, load, launch: once
 *   ww_prepare_OP  all host work now; then ww_launch as often as wanted, also under capture
 *   and several ww_prepare_OP into one ww_prepared: launched together, in order.
 *
 * Pointers given at preparation stay valid, and shapes stay what they were, for as long as it is launched.
 * Lengths, positions, page tables and seeds are read from device memory at every launch. Launching allocates
 * nothing and waits for nothing. The first use of a row loads its image, or compiles it (0.3 to 1 s) where
 * the library was built without it and no cache has it. */

/* Launches with their arguments. */
typedef struct ww_prepared ww_prepared;

typedef struct ww_prepare_options {
    size_t struct_size;
    /* Not 0: rows and schedules do not depend on how many tokens and sequences there are: what a token gets
     * is the same bits whatever is in the batch beside it. Slower. */
    int32_t batch_invariant;
    int32_t reserved;
} ww_prepare_options;

/* An empty one, for options; ww_prepare_OP makes its own where it is given a null one. */
WW_API ww_status ww_prepared_create(ww_context* context, const ww_prepare_options* options,
                                    ww_prepared** prepared);
WW_API void ww_prepared_free(ww_prepared* prepared);
WW_API ww_status ww_launch(const ww_prepared* prepared, void* stream);
WW_API int32_t ww_prepared_num_launches(const ww_prepared* prepared);
/* The row of the i-th launch, "gemm.portable.bf16...."; null where there is none. Lives as long as it. */
WW_API const char* ww_prepared_row(const ww_prepared* prepared, int32_t index);

/* In every ww_prepare_OP, *prepared null: a new one is put there; else the launches are added to it, and it
 * must be of the same context. After an error it is what it was. */

/* ops/quantized_output.h: the result of another operation as codes and scales, those that ww_quantize makes
 * of the 16-bit result, to the bit. */
typedef struct ww_quantized_output {
    size_t struct_size;
    ww_tensor codes;        /* as ww_quantize's */
    ww_tensor scales;       /* as ww_quantize's; of one row, or given for the whole tensor */
    ww_tensor global_scale; /* optional, NVFP4: [1] f32 */
    ww_tensor amax;         /* optional, [1] f32: raised to the largest magnitude of the result */
    ww_quantize_format format;
    int32_t swizzled;    /* not 0: scales lie as block-scaled tensor cores read them */
    int32_t given_scale; /* not 0: scales is read */
    float least_amax;
    int32_t reserved;
} ww_quantized_output;

/* ops/gemm.h: d = epilogue(a b^T). */
typedef struct ww_gemm {
    size_t struct_size;
    ww_tensor a;        /* [m, k] bf16 or f16 */
    ww_tensor b;        /* [n, k] like a */
    ww_tensor d;        /* [m, n] like a, or f32; u8: codes, by d_scale */
    ww_tensor bias;     /* optional, [n] like a */
    ww_tensor gate;     /* optional, [m, n] like a */
    ww_tensor residual; /* optional, [m, n] like d, with codes like a; may be d */
    int32_t activation;
    /* Not 0: b was complete before the stream was last synchronized, and nothing in the stream writes it, as
     * weights are. Then it may be read while the launch before is still running; the result is the same. */
    int32_t b_is_constant;
    ww_tensor d_scale; /* with d in u8, [1] f32: d = round(v / scale) */
    ww_tensor d_amax;  /* optional with d in u8, [1] f32: raised to the largest |v| */
    int32_t d_code;    /* WW_CODE_E4M3 or WW_CODE_I8 */
    int32_t reserved;
} ww_gemm;
WW_API ww_status ww_prepare_gemm(ww_context* context, const ww_gemm* call, ww_prepared** prepared);
WW_API ww_status ww_run_gemm(ww_context* context, const ww_gemm* call, void* stream);

/* ops/attention.h. Ragged: k, v, kv_starts; or paged: k_pages, v_pages, page_table, kv_lengths. */
typedef struct ww_attention {
    size_t struct_size;
    ww_tensor q;           /* [q_tokens, heads, head_dim] bf16 or f16 */
    ww_tensor out;         /* [q_tokens, heads, head_dim_v] like q; head_dim_v is that of v, and may differ */
    ww_tensor lse_base2;   /* optional, [q_tokens, heads] f32 */
    ww_tensor k, v;        /* [kv_tokens, kv_heads, head_dim] like q; with kv_format u8, and so are pages */
    ww_tensor kv_starts;   /* [sequences + 1] i32 */
    ww_tensor k_pages;     /* [pages, page_size, kv_heads, head_dim] like q; page_size a power of two */
    ww_tensor v_pages;     /* like k_pages */
    ww_tensor page_table;  /* [sequences, max_pages] i32 */
    ww_tensor kv_lengths;  /* [sequences] i32, the queries' own tokens included */
    ww_tensor q_starts;    /* [sequences + 1] i32 */
    ww_tensor workspace;   /* optional, [bytes] u8: ww_attention_workspace_bytes says how many are of use */
    int64_t max_q_len;     /* the launch is sized for; 0: q_tokens, which is always enough */
    int64_t max_kv_len;    /* 0: what k and v, or a row of the page table, hold */
    int64_t window_tokens; /* keys that a query sees, its own position included (Hugging Face's
                            * sliding_window, window_left + 1); 0: all */
    int32_t causal;        /* not 0: bottom-right causal mask */
    float scale;           /* 0: 1 / sqrt(head_dim) */
    float softcap;         /* 0: none */
    /* Not 0: the operation directly before this one in the stream writes neither q_starts, kv_starts,
     * kv_lengths and page_table nor keys and values of tokens before the queries' own. Then those may be read
     * while it still runs, when all before it has ended; the result is the same. */
    int32_t past_is_ready;
    ww_tensor k_scale, v_scale; /* optional, of codes: [1] f32, or [kv_heads], what they are multiplied by */
    int32_t kv_format;          /* WW_KV_SAME, ... */
    int32_t mask_of_queries; /* not 0: bit 0 of mask is the first query's own key, those before it are seen */
    ww_tensor lse_base_e;    /* optional, in place of lse_base2: the natural logarithm */
    ww_tensor sinks;         /* optional, [heads] f32: a logit that is in the sum and has no value */
    ww_tensor alibi_slopes;  /* optional, [heads] f32 */
    ww_tensor mask;          /* optional, [q_tokens, words] i32: bit j of word i is key 32 i + j; or
                              * [q_tokens, keys] u8, not 0 for what is seen: needs its share of a workspace */
    int64_t
        window_right_tokens; /* keys from a query's own position on that it sees, that one included; 0: all */
    int64_t chunk_tokens;    /* causal: a query at p sees no key before p / chunk * chunk; 0: all */
    /* Optional, lists of blocks of keys: queries block_queries b and on of sequence s and kv head h see the
     * blocks block_columns[block_starts[s, h, b]] up to block_columns[block_starts[s, h, b + 1]] only. */
    ww_tensor block_starts;  /* [sequences, kv_heads or 1, blocks of queries + 1] i32 */
    ww_tensor block_columns; /* [listed] i32 */
    int64_t block_queries;   /* a multiple of 16 */
    int64_t block_keys;      /* a power of two to 2^29 */
    /* Of WW_KV_NVFP4, whose k and v, or pages, have head_dim / 2 columns: e4m3 scales of 16 columns each. */
    ww_tensor k_block_scales; /* like k, or k_pages, with head_dim / 16 columns: u8 */
    ww_tensor v_block_scales;
} ww_attention;
WW_API ww_status ww_attention_workspace_bytes(ww_context* context, const ww_attention* call, int64_t* bytes);
WW_API ww_status ww_prepare_attention(ww_context* context, const ww_attention* call, ww_prepared** prepared);
WW_API ww_status ww_run_attention(ww_context* context, const ww_attention* call, void* stream);

/* Of log-sum-exps' logarithm: FlashInfer's, and this library's; PyTorch's and FlashAttention's. */
enum { WW_LSE_BASE_TWO = 0, WW_LSE_BASE_E = 1 };

/* ops/merge_state.h: attention over two disjoint sets of keys, put together. */
typedef struct ww_merge_state {
    size_t struct_size;
    ww_tensor a;     /* [tokens, heads, head_dim] bf16, f16 or f32 */
    ww_tensor a_lse; /* [tokens, heads] f32 */
    ww_tensor b;     /* like a */
    ww_tensor b_lse; /* like a_lse */
    ww_tensor out;   /* like a; may be a or b */
    ww_tensor lse;   /* optional, like a_lse; may be it */
    int32_t base;    /* WW_LSE_BASE_TWO, ... */
    int32_t reserved;
} ww_merge_state;
WW_API ww_status ww_prepare_merge_state(ww_context* context, const ww_merge_state* call,
                                        ww_prepared** prepared);
WW_API ww_status ww_run_merge_state(ww_context* context, const ww_merge_state* call, void* stream);

/* The same of any number of them. */
typedef struct ww_merge_states {
    size_t struct_size;
    ww_tensor states;     /* [states, tokens, heads, head_dim] bf16, f16 or f32 */
    ww_tensor states_lse; /* [states, tokens, heads] f32 */
    ww_tensor out;        /* [tokens, heads, head_dim] like states */
    ww_tensor lse;        /* optional, [tokens, heads] f32 */
    int32_t base;
    int32_t reserved;
} ww_merge_states;
WW_API ww_status ww_prepare_merge_states(ww_context* context, const ww_merge_states* call,
                                         ww_prepared** prepared);
WW_API ww_status ww_run_merge_states(ww_context* context, const ww_merge_states* call, void* stream);

/* One level of a cascade, ops/cascade.h: which queries see which keys. Never grows. */
typedef struct ww_cascade_level {
    ww_tensor q_starts;   /* [sequences of the level + 1] i32, from 0 to q_tokens */
    ww_tensor kv_starts;  /* of ragged keys: the level's part of k and v, ascending */
    ww_tensor page_table; /* or of paged ones: [sequences of the level, max_pages] i32 */
    ww_tensor kv_lengths; /* [sequences of the level] i32 */
    int64_t max_q_len;    /* capacities of the level; 0: q_tokens */
    int64_t max_kv_len;   /* 0: what k and v, or a row of the page table, hold */
} ww_cascade_level;

/* ops/cascade.h: attention over keys that sequences share, level by level; several launches. */
typedef struct ww_cascade {
    size_t struct_size;
    /* What all levels have in common; causal and mask are the last one's. Not starts, lengths, the table and
     * capacities; no window, chunk or slopes. Its workspace: [ww_cascade_workspace_bytes] u8, at a multiple
     * of 16 bytes. */
    const ww_attention* call;
    const ww_cascade_level* levels; /* the most shared first */
    int64_t num_levels;             /* at least 1 */
} ww_cascade;
WW_API ww_status ww_cascade_workspace_bytes(ww_context* context, const ww_cascade* call, int64_t* bytes);
WW_API ww_status ww_prepare_cascade(ww_context* context, const ww_cascade* call, ww_prepared** prepared);
WW_API ww_status ww_run_cascade(ww_context* context, const ww_cascade* call, void* stream);

/* ops/mla.h: latent attention in its absorbed form, over a paged cache of latent rows. */
typedef struct ww_mla {
    size_t struct_size;
    ww_tensor q;          /* [q_tokens, heads, 576] bf16 or f16 */
    ww_tensor out;        /* [q_tokens, heads, 512] like q */
    ww_tensor lse_base2;  /* optional, [q_tokens, heads] f32 */
    ww_tensor lse_base_e; /* optional, in place of it: the natural logarithm */
    ww_tensor cache; /* [pages, page_size, 576] like q, or [pages, page_size, 656] u8: records, ops/mla.h;
                      * page_size a power of two */
    ww_tensor page_table; /* [sequences, max_pages] i32 */
    ww_tensor kv_lengths; /* [sequences] i32, the queries' own tokens included */
    ww_tensor q_starts;   /* [sequences + 1] i32 */
    ww_tensor workspace;  /* optional, [bytes] u8: ww_mla_workspace_bytes says how many are of use */
    int64_t max_q_len;    /* the launch is sized for; 0: q_tokens, which is always enough */
    int64_t max_kv_len;   /* 0: what a row of the page table holds */
    float scale;          /* 0: 1 / sqrt(192) */
    int32_t causal;       /* not 0: bottom-right causal mask */
    /* Optional, [q_tokens, max_indices] i32, in place of page_table and kv_lengths: for each query the slots
     * of the cache, page x page_size + offset, that it attends to; -1: none. */
    ww_tensor indices;
    ww_tensor index_lengths; /* optional, [q_tokens] i32: how many entries of a list count */
    ww_tensor k_scale;       /* optional, [1] f32, positive and finite: multiplies codes */
    int32_t kv_format; /* WW_KV_FP8_E4M3: the cache is [pages, page_size, 576] u8, codes; or WW_KV_SAME */
    int32_t reserved;
} ww_mla;
WW_API ww_status ww_mla_workspace_bytes(ww_context* context, const ww_mla* call, int64_t* bytes);
WW_API ww_status ww_prepare_mla(ww_context* context, const ww_mla* call, ww_prepared** prepared);
WW_API ww_status ww_run_mla(ww_context* context, const ww_mla* call, void* stream);

/* ops/index_logits.h: an indexer's scores of keys in a paged cache; of keys that a query does not see,
 * nothing. */
typedef struct ww_index_logits {
    size_t struct_size;
    ww_tensor q;       /* [q_tokens, heads, 128] bf16, or u8: codes of e4m3, whose scales are in weights */
    ww_tensor weights; /* [q_tokens, heads] f32 */
    ww_tensor logits;  /* [q_tokens, columns] f32; columns at least max_kv_len */
    ww_tensor cache; /* [pages, page_size, 128] bf16, or [pages, page_size, 132] u8: a page's codes, then its
                      * keys' scales in fp32; q may be of either type with these */
    ww_tensor page_table; /* [sequences, max_pages] i32 */
    ww_tensor kv_lengths; /* [sequences] i32, the queries' own tokens included */
    ww_tensor q_starts;   /* [sequences + 1] i32 */
    int64_t max_q_len;    /* the launch is sized for; 0: q_tokens, which is always enough */
    int64_t max_kv_len;   /* 0: what a row of the page table holds */
    int32_t causal;       /* not 0: bottom-right causal mask */
    int32_t reserved;
} ww_index_logits;
WW_API ww_status ww_prepare_index_logits(ww_context* context, const ww_index_logits* call,
                                         ww_prepared** prepared);
WW_API ww_status ww_run_index_logits(ww_context* context, const ww_index_logits* call, void* stream);

/* ops/index_topk.h: for each query the keys of its k largest logits, ascending, then -1. */
typedef struct ww_index_topk {
    size_t struct_size;
    ww_tensor logits;        /* [q_tokens, columns] f32 */
    ww_tensor indices;       /* [q_tokens, k] i32 */
    ww_tensor index_lengths; /* optional, [q_tokens] i32: how many of a list are keys */
    ww_tensor kv_lengths;    /* [sequences] i32, the queries' own tokens included */
    ww_tensor q_starts;      /* [sequences + 1] i32 */
    ww_tensor page_table;    /* optional, [sequences, max_pages] i32: lists are of slots, page x page_size +
                              * offset,    not of positions */
    int64_t page_size;       /* with page_table; a power of two */
    int64_t max_q_len;       /* the launch is sized for; 0: q_tokens, which is always enough */
    int64_t max_kv_len;      /* 0: the logits' columns */
    int32_t causal;          /* not 0: bottom-right causal mask */
    int32_t reserved;
} ww_index_topk;
WW_API ww_status ww_prepare_index_topk(ww_context* context, const ww_index_topk* call,
                                       ww_prepared** prepared);
WW_API ww_status ww_run_index_topk(ww_context* context, const ww_index_topk* call, void* stream);

/* ops/rmsnorm.h. */
typedef struct ww_rmsnorm {
    size_t struct_size;
    ww_tensor x;                          /* [tokens, hidden] or [tokens, heads, head_dim] bf16 or f16 */
    ww_tensor weight;                     /* [hidden] or [head_dim] like x */
    ww_tensor out;                        /* like x; may be x; optional with quantized */
    ww_tensor residual;                   /* optional, [tokens, hidden], read and written */
    float epsilon;                        /* 0: 1e-6 */
    float weight_offset;                  /* Gemma: 1 */
    const ww_quantized_output* quantized; /* may be null; not with heads */
    ww_tensor bias;                       /* optional, like weight: LayerNorm */
} ww_rmsnorm;
WW_API ww_status ww_prepare_rmsnorm(ww_context* context, const ww_rmsnorm* call, ww_prepared** prepared);
WW_API ww_status ww_run_rmsnorm(ww_context* context, const ww_rmsnorm* call, void* stream);

/* ops/rope.h, in place; with pages turned keys, and values, go there and k stays as it is. */
typedef struct ww_rope {
    size_t struct_size;
    ww_tensor q;         /* [tokens, heads, head_dim] bf16 or f16 */
    ww_tensor k;         /* [tokens, kv_heads, head_dim] like q */
    ww_tensor positions; /* [tokens] i32 */
    ww_tensor frequency; /* [rotary_dim / 2] f32, on the device: ww_rope_frequencies' */
    float magnitude;     /* 0: 1 */
    int32_t interleaved; /* not 0: pairs are neighbours, not halves */
    /* All optional, or none; as ww_kv_append's. */
    ww_tensor v, sequences, page_table, k_pages, v_pages;
    /* Not 0: the operation directly before this one in the stream does not write positions, frequency,
     * sequences and page_table. Then they may be read while it still runs; the result is the same. */
    int32_t positions_are_ready;
    int32_t kv_format;          /* of pages; WW_KV_SAME, ... */
    ww_tensor k_scale, v_scale; /* optional, of codes: as ww_kv_append's */
    ww_tensor q_out; /* optional, [tokens, heads, rotary_dim] like q: turned elements go there, and q stays */
} ww_rope;
WW_API ww_status ww_prepare_rope(ww_context* context, const ww_rope* call, ww_prepared** prepared);
WW_API ww_status ww_run_rope(ww_context* context, const ww_rope* call, void* stream);

enum { WW_ROPE_NONE = 0, WW_ROPE_LINEAR = 1, WW_ROPE_LLAMA3 = 2, WW_ROPE_YARN = 3, WW_ROPE_LONGROPE = 4 };
/* Hugging Face's rope_scaling; zeros are RopeScaling's defaults (ops/rope.h). */
typedef struct ww_rope_scaling {
    size_t struct_size;
    int32_t kind;
    int32_t reserved;
    double factor, low_freq_factor, high_freq_factor, original_max_position;
    double beta_fast, beta_slow, attention_factor, mscale, mscale_all_dim;
    const double* short_factor; /* longrope: rotary_dim / 2 of each */
    const double* long_factor;
} ww_rope_scaling;
/* Writes rotary_dim / 2 frequencies to memory of the host, and cos and sin's magnitude. `scaling` may be
 * null. */
WW_API ww_status ww_rope_frequencies(double theta, int32_t rotary_dim, const ww_rope_scaling* scaling,
                                     int64_t context_tokens, float* frequencies, float* magnitude);

/* ops/gated_activation.h. */
typedef struct ww_gated_activation {
    size_t struct_size;
    ww_tensor gate;     /* [tokens, width] bf16 or f16 */
    ww_tensor up;       /* like gate */
    ww_tensor out;      /* like gate; may be gate or up; optional with quantized */
    int32_t activation; /* WW_ACTIVATION_NONE: out = gate x up */
    int32_t reserved;
    const ww_quantized_output* quantized; /* may be null */
    /* As ww_grouped_gemm's; not with quantized. */
    float limit; /* 0: none */
    float alpha; /* 0: 1 */
    float up_offset;
    int32_t reserved_too;
} ww_gated_activation;
WW_API ww_status ww_prepare_gated_activation(ww_context* context, const ww_gated_activation* call,
                                             ww_prepared** prepared);
WW_API ww_status ww_run_gated_activation(ww_context* context, const ww_gated_activation* call, void* stream);

/* ops/embedding.h. */
typedef struct ww_embedding {
    size_t struct_size;
    ww_tensor ids;   /* [tokens] i32 */
    ww_tensor table; /* [rows, width] bf16, f16 or f32 */
    ww_tensor out;   /* [tokens, width] like table */
    float scale;     /* 0: 1 */
    int32_t reserved;
} ww_embedding;
WW_API ww_status ww_prepare_embedding(ww_context* context, const ww_embedding* call, ww_prepared** prepared);
WW_API ww_status ww_run_embedding(ww_context* context, const ww_embedding* call, void* stream);

/* ops/kv_append.h. */
typedef struct ww_kv_append {
    size_t struct_size;
    ww_tensor k, v;             /* [tokens, kv_heads, head_dim] bf16 or f16; v optional, with v_pages */
    ww_tensor sequences;        /* [tokens] i32 */
    ww_tensor positions;        /* [tokens] i32; negative: padding */
    ww_tensor page_table;       /* [sequences, max_pages] i32 */
    ww_tensor k_pages, v_pages; /* [pages, page_size, kv_heads, head_dim] like k; with kv_format u8 */
    ww_tensor k_scale, v_scale; /* optional, of codes: [1] f32, or [kv_heads], what is divided by */
    int32_t kv_format;          /* WW_KV_SAME, ... */
    int32_t reserved;
} ww_kv_append;
WW_API ww_status ww_prepare_kv_append(ww_context* context, const ww_kv_append* call, ww_prepared** prepared);
WW_API ww_status ww_run_kv_append(ww_context* context, const ww_kv_append* call, void* stream);

/* ops/latent_append.h: what latent attention keeps of new tokens, as codes. */
typedef struct ww_latent_append {
    size_t struct_size;
    ww_tensor x;          /* [tokens, 576] latent rows or [tokens, 128] keys of an indexer, bf16 or f16 */
    ww_tensor sequences;  /* [tokens] i32 */
    ww_tensor positions;  /* [tokens] i32; negative: padding */
    ww_tensor page_table; /* [sequences, max_pages] i32 */
    ww_tensor pages;      /* [pages, page_size, 656] u8 of rows, [pages, page_size, 132] of keys */
    int32_t scale;        /* WW_SCALE_F32 or WW_SCALE_POWER_OF_TWO */
    float least_amax;
} ww_latent_append;
WW_API ww_status ww_prepare_latent_append(ww_context* context, const ww_latent_append* call,
                                          ww_prepared** prepared);
WW_API ww_status ww_run_latent_append(ww_context* context, const ww_latent_append* call, void* stream);

/* ops/logits.h. */
typedef struct ww_logits {
    size_t struct_size;
    ww_tensor in;         /* [rows, vocabulary] f32 */
    ww_tensor out;        /* like in; may be in */
    ww_tensor starts;     /* optional, with tokens, repetition and addend: [rows + 1] i32 */
    ww_tensor tokens;     /* [entries] i32 */
    ww_tensor repetition; /* [entries] f32 */
    ww_tensor addend;     /* [entries] f32 */
    ww_tensor bias;       /* optional, [entries] f32 */
    float softcap;        /* 0: none */
    int32_t reserved;
} ww_logits;
WW_API ww_status ww_prepare_logits(ww_context* context, const ww_logits* call, ww_prepared** prepared);
WW_API ww_status ww_run_logits(ww_context* context, const ww_logits* call, void* stream);

/* ops/sample.h. */
typedef struct ww_sample {
    size_t struct_size;
    ww_tensor logits;      /* [rows, vocabulary] f32, bf16 or f16 */
    ww_tensor temperature; /* [rows] f32; 0: greedy */
    ww_tensor top_k;       /* [rows] i32; 0 or less: off */
    ww_tensor top_p;       /* [rows] f32; 1: off */
    ww_tensor min_p;       /* [rows] f32; 0: off */
    ww_tensor seeds;       /* [rows, 2] i32: low and high half of 64 bits */
    ww_tensor steps;       /* [rows] i32 */
    ww_tensor tokens;      /* [rows] i32, written */
} ww_sample;
WW_API ww_status ww_prepare_sample(ww_context* context, const ww_sample* call, ww_prepared** prepared);
WW_API ww_status ww_run_sample(ww_context* context, const ww_sample* call, void* stream);

/* ---- Operations on codes and scales, and of a mixture of experts ----------------------------------------
 */

#include "warpwright/c_quantized.h"
/* The other one has pointers to its weights. */
#include "warpwright/c_moe.h"

/* ---- Check --------------------------------------------------------------------------------------------- */

typedef struct ww_check_options {
    size_t struct_size;
    const char* op;             /* this operation only; null: all */
    const char* row;            /* this row only; null: all that the device can run */
    uint64_t seed;              /* of the random inputs; 0: 1 */
    int32_t num_workers;        /* problems checked at a time; 0: on a GPU one for each core, else 1 */
    int32_t forbid_contraction; /* not 0: kernels are compiled anew so that no product and sum become one
                                 * fma, and bits can be compared between devices; nothing is kept */
    /* After every check, which is a row on a problem, on any thread but one at a time; not 0: no more of
     * them. May be null. It must not end the context. */
    int32_t (*progress)(void* user, const char* row, int32_t num_done, int32_t num_checks);
    void* user;
} ww_check_options;

/* Every row that the device can run against its oracle in fp64, with random inputs and a tolerance derived
 * from them. *report: the file of `warpwright check --report --no-times`, with "stopped": true where
 * `progress` ended it early. A row that fails is no error: "failed" counts them, "results" has the text.
 * What is found out about a GPU's rows is kept, as the verb does: a row that failed is not chosen with this
 * driver any more, in this context from now on and in those opened later, until it passes or is forgotten
 * (`warpwright check --forget`). Of a check that was stopped, only failures are kept. Rows forced in the
 * context stay forced. Takes seconds to minutes; `options` may be null. */
WW_API ww_status ww_check(ww_context* context, const ww_check_options* options, char** report);

/* ---- Questions: JSON in, JSON out ---------------------------------------------------------------------- */

/* A request is an object; a field that is unknown or ill-typed is a caller error that names it. The answer is
 * that of the verb's --json, and is there also where the verb's exit code would be 1 (no kernel, does not
 * fit). No function here needs a GPU, unless the request names this machine's. */

WW_API ww_status ww_devices_json(char** json); /* {"devices": ["cuda:0", "cpu"], "cuda_problem"} */
WW_API ww_status ww_models_json(char** json);  /* {"models": [names], "architectures": [names]} */
WW_API ww_status ww_probe_json(char** json);
/* Null: all, as an array; else the one with this id or alias. */
WW_API ww_status ww_targets_json(const char* name, char** json);
/* Every row; null or "": of every operation, without a verdict on a target. */
WW_API ww_status ww_kernels_json(const char* op, const char* target, char** json);

/* {"op", "gpu": "cpu", "set": {"m": 16, ...}, "row", "batch_invariant": false, "format": "json"|"text"}
 * -> Explanation. "device" in place of "gpu": this machine's, as a context would be opened; rows that failed
 * their check on it are refused. */
WW_API ww_status ww_why(const char* request, char** answer);

/* {"model": folder, config.json or built-in name, "gpu": name or [names], "gpus": 1, "link", "batch": n or
 *  [n], "context": n or [n], "prompt": n, "batch_invariant": false, "weight_format": name or [names] that
 *  `warpwright plan --format` takes, "kv_format": the same of --kv-format, "activations":
 *  "auto"|"16bit"|"declared", "format": "json"|"text"|"html"}
 * -> Plan; with several GPUs, formats, batches or contexts {"plans": [...]}. */
WW_API ww_status ww_plan(const char* request, char** answer);

/* ---- Text ---------------------------------------------------------------------------------------------- */

/* The tokenizer of a model's folder (tokenizer.json), and its chat template where it has one. */
typedef struct ww_tokenizer ww_tokenizer;

WW_API ww_status ww_tokenizer_load(const char* model, ww_tokenizer** tokenizer);
WW_API void ww_tokenizer_free(ww_tokenizer* tokenizer);
/* {"vocab_size", "special_tokens": {"eos_token": text, ...}, "has_chat_template"} */
WW_API ww_status ww_tokenizer_json(const ww_tokenizer* tokenizer, char** json);
/* Text may hold zero bytes. add_special_tokens: what the tokenizer puts before a text, mostly a begin token.
 */
WW_API ww_status ww_encode(const ww_tokenizer* tokenizer, const char* text, size_t bytes,
                           int32_t add_special_tokens, int32_t** tokens, size_t* num_tokens);
/* U+FFFD stands for bytes that form no character. The text ends with a zero byte that is not counted. */
WW_API ww_status ww_decode(const ww_tokenizer* tokenizer, const int32_t* tokens, size_t num_tokens,
                           int32_t skip_special_tokens, char** text, size_t* bytes);
/* The bytes of one token, which need not be whole characters; they live as long as the tokenizer. No such
 * token: 0 bytes. */
WW_API ww_status ww_token_bytes(const ww_tokenizer* tokenizer, int32_t token, const char** text,
                                size_t* bytes);
/* `variables`: {"messages": [{"role", "content"}, ...], "add_generation_prompt": true, "tools", ...}, what
 * the template knows. It is encoded without add_special_tokens. */
WW_API ww_status ww_chat_prompt(const ww_tokenizer* tokenizer, const char* variables, char** text);

/* ---- Engine -------------------------------------------------------------------------------------------- */

/* Many sequences through one model (docs/engine.md). */
typedef struct ww_engine ww_engine;

typedef struct ww_engine_options {
    size_t struct_size;
    const char* weights;        /* "random:SEED"; null: the folder's */
    int64_t max_sequences;      /* that run at a time; 0: 8 */
    int64_t max_context_tokens; /* of a sequence; 0: the model's limit, as far as memory allows */
    int64_t max_batch_tokens;   /* of one pass; 0: 2048 */
    int64_t page_size_tokens;   /* a power of two; 0: 16 */
    int64_t cache_tokens;       /* of all sequences; 0: all their contexts, as far as memory allows */
    int32_t batch_invariant;    /* not 0: see ww_prepare_options */
    int32_t reserved;
    /* Called while weights arrive on the device, on the thread that creates; may be null. */
    void (*progress)(void* user, int64_t done_bytes, int64_t total_bytes);
    void* user;
    /* Of keys and values in the cache: "fp8_e4m3", "fp8_e5m2", "same" (or the model's type: "bf16"); "auto"
     * or null: as the checkpoint declares, or else the model's type. */
    const char* kv_format;
    /* What quantised weights are multiplied by: "16bit"; "declared", 8-bit codes where the checkpoint says
     * so; "auto" or null, whichever is faster on the device. */
    const char* activations;
} ww_engine_options;

/* `model`: a folder with config.json, tokenizer.json and safetensors; or with random weights also a
 * config.json or the name of a built-in configuration. */
WW_API ww_status ww_engine_create(ww_context* context, const char* model, const ww_engine_options* options,
                                  ww_engine** engine);
WW_API void ww_engine_free(ww_engine* engine);
/* The folder's, null where it has none. Ends with the engine. */
WW_API const ww_tokenizer* ww_engine_tokenizer(const ww_engine* engine);
/* {"model": {"name", "architecture", "vocab_size", "eos_tokens", "max_position_tokens", "ignored_fields",
 *  "ignored_tensors"}, "device", "weights_bytes", "activations": "16bit"|"declared", "activations_reason",
 *  "kv_format", "kv_note", "max_context_tokens", "cache_tokens", "load_s"} */
WW_API ww_status ww_engine_json(ww_engine* engine, char** json);

/* Queues a request and numbers its sequences: the first one's number is returned, num_sequences follow.
 *   "prompt"                text or [token ids]; or "messages": [{"role", "content"}, ...] for the chat
 *                           template, with "template": {variables} beside them
 *   "max_tokens": 128, "min_tokens": 0, "num_sequences": 1, "add_special_tokens": true
 *   "ignore_eos": false, "stop_tokens": [ids], "stop": text or [texts], "include_stop": false
 *   "temperature": 0, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 0
 *   "sample": false         true: what is not given of these four is generation_config.json's, and so where
 *                           a temperature other than 0 is given
 *   "repetition_penalty": 1, "presence_penalty": 0, "frequency_penalty": 0
 *   "logit_bias": {"id": bias}, bias null bans the token
 *   "logprobs": n           of every chosen token and of the n likeliest
 * A null field counts as not given. Meanings: engine/request.h, engine/sampling.h, docs/engine.md. */
WW_API ww_status ww_engine_add(ww_engine* engine, const char* request, int32_t* first_sequence);
/* Ends a sequence without another token; *cancelled (may be null) 0: there is none of that number any more.
 */
WW_API ww_status ww_engine_cancel(ww_engine* engine, int32_t sequence, int32_t* cancelled);
/* 1: every sequence has ended. */
WW_API int32_t ww_engine_idle(ww_engine* engine);

enum { WW_RUNNING = 0, WW_LENGTH = 1, WW_STOP = 2 /* a token */, WW_STOP_STRING = 3 };

typedef struct ww_token_logprob {
    int32_t token;
    float logprob; /* natural logarithm, of the model's own logits */
} ww_token_logprob;

typedef struct ww_token {
    size_t struct_size; /* the library's */
    int32_t sequence;
    int32_t token;
    int32_t finish; /* WW_RUNNING, or why this is the last token */
    int32_t num_top;
    /* What this token adds to the text that can be shown: whole characters, before any stop string. Without a
     * tokenizer it is empty. Ends with a zero byte that is not counted. */
    const char* text;
    size_t text_bytes;
    double logprob; /* where the request asks for logprobs; else 0 */
    const ww_token_logprob* top;
} ww_token;

/* One pass over the model: a token for every decoding sequence, and chunks of prompts beside them; waits for
 * it. 0 tokens are no end: ww_engine_idle is. After an error, which is the device's, every further step gives
 * that error. */
WW_API ww_status ww_engine_step(ww_engine* engine, int32_t* num_tokens);
/* The i-th token of the last step, valid until the next; null where there is none. */
WW_API const ww_token* ww_engine_token(const ww_engine* engine, int32_t index);

/* The "timings" and "stats" of `warpwright run --json`, so far. */
WW_API ww_status ww_engine_stats_json(ww_engine* engine, char** json);
/* The Plan of this engine on its device. 0: the engine's options. */
WW_API ww_status ww_engine_plan(ww_engine* engine, int64_t batch, int64_t prompt_tokens,
                                int64_t context_tokens, char** json);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* WARPWRIGHT_C_H */
