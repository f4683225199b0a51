# SPDX-License-Identifier: Apache-2.0
"""The C ABI of libwarpwright.so in ctypes' words. include/warpwright/c.h is where everything is explained; a
test holds this file to it, field by field.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8, c_uint64
from ctypes import c_void_p

ABI_VERSION = 1
MAX_RANK = 6

DTYPES = {"f32": 0, "f16": 1, "bf16": 2, "i32": 3, "u8": 4}
ACTIVATIONS = {"none": 0, "silu": 1, "gelu": 2, "gelu_tanh": 3}
CODES = {"e4m3": 0, "e5m2": 1, "i8": 2, "e2m1": 3}
SCALES = {"f32": 0, "power_of_two": 1, "e8m0": 2, "e8m0_up": 3, "e4m3": 4}
KV_FORMATS = {"same": 0, "fp8_e4m3": 1, "fp8_e5m2": 2, "nvfp4": 3}
WEIGHT_FORMATS = {"int4": 0, "int8": 1, "fp8_e4m3": 2, "mxfp4": 3, "nvfp4": 4}
PLAIN_CODES = {"u2": 0, "u3": 1, "u4": 2, "u8": 3, "i8": 4, "e4m3": 5, "e2m1": 6}
LSE_BASES = {"two": 0, "e": 1}
SCORES = {"softmax": 0, "sigmoid": 1, "sqrt_softplus": 2}
ROPE_SCALINGS = {"none": 0, "linear": 1, "llama3": 2, "yarn": 3, "longrope": 4}


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("shape", c_int64 * MAX_RANK),
        ("stride", c_int64 * MAX_RANK),
        ("device_type", c_int32),
        ("device_id", c_int32),
    ]


class Sized(ctypes.Structure):
    """A struct whose first field is its own size."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.struct_size = ctypes.sizeof(self)


class QuantizeFormat(ctypes.Structure):
    _fields_ = [
        ("code", c_int32),
        ("scale", c_int32),
        ("group_rows", c_int64),
        ("group_columns", c_int64),
    ]


def _sized(name, tensors, **others):
    """A struct of struct_size, these tensors, and other fields in the order given."""
    fields = [("struct_size", c_size_t)]
    fields += [(tensor, Tensor) for tensor in tensors.split()]
    fields += others.items()
    return type(name, (Sized,), {"_fields_": fields})


PrepareOptions = _sized("PrepareOptions", "", batch_invariant=c_int32, reserved=c_int32)

QuantizedOutput = _sized(
    "QuantizedOutput",
    "codes scales global_scale amax",
    format=QuantizeFormat,
    swizzled=c_int32,
    given_scale=c_int32,
    least_amax=c_float,
    reserved=c_int32,
)

Gemm = _sized(
    "Gemm",
    "a b d bias gate residual",
    activation=c_int32,
    b_is_constant=c_int32,
    d_scale=Tensor,
    d_amax=Tensor,
    d_code=c_int32,
    reserved=c_int32,
)
Attention = _sized(
    "Attention",
    "q out lse_base2 k v kv_starts k_pages v_pages page_table kv_lengths q_starts workspace",
    max_q_len=c_int64,
    max_kv_len=c_int64,
    window_tokens=c_int64,
    causal=c_int32,
    scale=c_float,
    softcap=c_float,
    past_is_ready=c_int32,
    k_scale=Tensor,
    v_scale=Tensor,
    kv_format=c_int32,
    mask_of_queries=c_int32,
    lse_base_e=Tensor,
    sinks=Tensor,
    alibi_slopes=Tensor,
    mask=Tensor,
    window_right_tokens=c_int64,
    chunk_tokens=c_int64,
    block_starts=Tensor,
    block_columns=Tensor,
    block_queries=c_int64,
    block_keys=c_int64,
    k_block_scales=Tensor,
    v_block_scales=Tensor,
)


class CascadeLevel(ctypes.Structure):
    _fields_ = [
        ("q_starts", Tensor),
        ("kv_starts", Tensor),
        ("page_table", Tensor),
        ("kv_lengths", Tensor),
        ("max_q_len", c_int64),
        ("max_kv_len", c_int64),
    ]


Cascade = _sized(
    "Cascade", "", call=POINTER(Attention), levels=POINTER(CascadeLevel), num_levels=c_int64
)
Mla = _sized(
    "Mla",
    "q out lse_base2 lse_base_e cache page_table kv_lengths q_starts workspace",
    max_q_len=c_int64,
    max_kv_len=c_int64,
    scale=c_float,
    causal=c_int32,
    indices=Tensor,
    index_lengths=Tensor,
    k_scale=Tensor,
    kv_format=c_int32,
    reserved=c_int32,
)
IndexLogits = _sized(
    "IndexLogits",
    "q weights logits cache page_table kv_lengths q_starts",
    max_q_len=c_int64,
    max_kv_len=c_int64,
    causal=c_int32,
    reserved=c_int32,
)
IndexTopk = _sized(
    "IndexTopk",
    "logits indices index_lengths kv_lengths q_starts page_table",
    page_size=c_int64,
    max_q_len=c_int64,
    max_kv_len=c_int64,
    causal=c_int32,
    reserved=c_int32,
)
MergeState = _sized("MergeState", "a a_lse b b_lse out lse", base=c_int32, reserved=c_int32)
MergeStates = _sized("MergeStates", "states states_lse out lse", base=c_int32, reserved=c_int32)
RmsNorm = _sized(
    "RmsNorm",
    "x weight out residual",
    epsilon=c_float,
    weight_offset=c_float,
    quantized=POINTER(QuantizedOutput),
    bias=Tensor,
)
Rope = _sized(
    "Rope",
    "q k positions frequency",
    magnitude=c_float,
    interleaved=c_int32,
    v=Tensor,
    sequences=Tensor,
    page_table=Tensor,
    k_pages=Tensor,
    v_pages=Tensor,
    positions_are_ready=c_int32,
    kv_format=c_int32,
    k_scale=Tensor,
    v_scale=Tensor,
    q_out=Tensor,
)
GatedActivation = _sized(
    "GatedActivation",
    "gate up out",
    activation=c_int32,
    reserved=c_int32,
    quantized=POINTER(QuantizedOutput),
    limit=c_float,
    alpha=c_float,
    up_offset=c_float,
    reserved_too=c_int32,
)
Embedding = _sized("Embedding", "ids table out", scale=c_float, reserved=c_int32)
KvAppend = _sized(
    "KvAppend",
    "k v sequences positions page_table k_pages v_pages k_scale v_scale",
    kv_format=c_int32,
    reserved=c_int32,
)
LatentAppend = _sized(
    "LatentAppend", "x sequences positions page_table pages", scale=c_int32, least_amax=c_float
)
Logits = _sized("Logits", "in out starts tokens repetition addend bias", softcap=c_float, reserved=c_int32)
Sample = _sized("Sample", "logits temperature top_k top_p min_p seeds steps tokens")

Quantize = _sized(
    "Quantize",
    "x codes scales global_scale amax_parts",
    format=QuantizeFormat,
    swizzled=c_int32,
    given_scale=c_int32,
    least_amax=c_float,
    reserved=c_int32,
)
Dequantize = _sized(
    "Dequantize", "codes scales global_scale out", format=QuantizeFormat, swizzled=c_int32, reserved=c_int32
)
Amax = _sized("Amax", "x out")
Scaling = _sized(
    "Scaling",
    "amax_history scale scale_inv",
    code=c_int32,
    margin=c_int32,
    most_recent=c_int32,
    reserved=c_int32,
)
QuantizedWeight = _sized(
    "QuantizedWeight",
    "",
    format=c_int32,
    global_scale=c_float,
    groups=c_int64,
    n=c_int64,
    k=c_int64,
    group=c_int64,
    data=Tensor,
    scales=Tensor,
    zeros=Tensor,
    order=Tensor,
    global_scales=Tensor,
)
QuantizedGemm = _sized(
    "QuantizedGemm",
    "a",
    b=POINTER(QuantizedWeight),
    d=Tensor,
    bias=Tensor,
    gate=Tensor,
    residual=Tensor,
    group_of_row=Tensor,
    rows_of_group=Tensor,
    expected_m=c_int64,
    activation=c_int32,
    b_is_constant=c_int32,
    d_scale=Tensor,
    d_amax=Tensor,
    d_code=c_int32,
    reserved=c_int32,
    expected_groups=c_int64,
    workspace=Tensor,
)
PlainWeight = _sized(
    "PlainWeight",
    "codes scales zeros column_group global_scales",
    code=c_int32,
    scale=c_int32,
    group_rows=c_int64,
    group_columns=c_int64,
)
WeightRounding = _sized(
    "WeightRounding", "weight codes scales zeros", code=c_int32, reserved=c_int32, group_columns=c_int64
)
ScaledGemm = _sized(
    "ScaledGemm",
    "a b a_scales b_scales d bias gate residual a_zeros b_sums group_of_row rows_of_group",
    a_format=QuantizeFormat,
    b_format=QuantizeFormat,
    expected_m=c_int64,
    activation=c_int32,
    b_is_constant=c_int32,
    d_scale=Tensor,
    d_amax=Tensor,
    d_code=c_int32,
    reserved=c_int32,
)
MoeRoute = _sized(
    "MoeRoute",
    "logits ids weights bias table token_ids nan_count",
    num_groups=c_int64,
    top_groups=c_int64,
    score=c_int32,
    renormalize=c_int32,
    scale=c_float,
    groups_by_largest=c_int32,
)
MoePermute = _sized(
    "MoePermute",
    "ids expert_map row_of_slot token_of_row expert_rows expert_of_row chunk_counts",
    alignment=c_int64,
)
MoeCombine = _sized("MoeCombine", "rows row_of_slot weights out base")
GroupedGemm = _sized(
    "GroupedGemm",
    "a b b_gate d bias gate_bias residual group_of_row rows_of_group row_of_a ids weights",
    group_rows=c_int64,
    expected_groups=c_int64,
    expected_m=c_int64,
    activation=c_int32,
    limit=c_float,
    alpha=c_float,
    up_offset=c_float,
    b_is_constant=c_int32,
    ids_are_constant=c_int32,
)
MoeExperts = _sized(
    "MoeExperts",
    "x ids weights gate up down gate_bias up_bias down_bias out base workspace",
    activation=c_int32,
    limit=c_float,
    alpha=c_float,
    up_offset=c_float,
    weights_are_constant=c_int32,
    reserved=c_int32,
    quantized_gate=POINTER(QuantizedWeight),
    quantized_up=POINTER(QuantizedWeight),
    quantized_down=POINTER(QuantizedWeight),
)

OPERATIONS = {
    "gemm": Gemm,
    "attention": Attention,
    "cascade": Cascade,
    "merge_state": MergeState,
    "merge_states": MergeStates,
    "mla": Mla,
    "index_logits": IndexLogits,
    "index_topk": IndexTopk,
    "rmsnorm": RmsNorm,
    "rope": Rope,
    "gated_activation": GatedActivation,
    "embedding": Embedding,
    "kv_append": KvAppend,
    "latent_append": LatentAppend,
    "logits": Logits,
    "sample": Sample,
    "quantize": Quantize,
    "dequantize": Dequantize,
    "amax": Amax,
    "scaling": Scaling,
    "quantized_gemm": QuantizedGemm,
    "scaled_gemm": ScaledGemm,
    "moe_route": MoeRoute,
    "moe_permute": MoePermute,
    "moe_combine": MoeCombine,
    "grouped_gemm": GroupedGemm,
    "moe_experts": MoeExperts,
}

RopeScaling = _sized(
    "RopeScaling",
    "",
    kind=c_int32,
    reserved=c_int32,
    factor=c_double,
    low_freq_factor=c_double,
    high_freq_factor=c_double,
    original_max_position=c_double,
    beta_fast=c_double,
    beta_slow=c_double,
    attention_factor=c_double,
    mscale=c_double,
    mscale_all_dim=c_double,
    short_factor=POINTER(c_double),
    long_factor=POINTER(c_double),
)

CheckProgress = ctypes.CFUNCTYPE(c_int32, c_void_p, c_char_p, c_int32, c_int32)
CheckOptions = _sized(
    "CheckOptions",
    "",
    op=c_char_p,
    row=c_char_p,
    seed=c_uint64,
    num_workers=c_int32,
    forbid_contraction=c_int32,
    progress=CheckProgress,
    user=c_void_p,
)

Progress = ctypes.CFUNCTYPE(None, c_void_p, c_int64, c_int64)
EngineOptions = _sized(
    "EngineOptions",
    "",
    weights=c_char_p,
    max_sequences=c_int64,
    max_context_tokens=c_int64,
    max_batch_tokens=c_int64,
    page_size_tokens=c_int64,
    cache_tokens=c_int64,
    batch_invariant=c_int32,
    reserved=c_int32,
    progress=Progress,
    user=c_void_p,
    kv_format=c_char_p,
    activations=c_char_p,
)


class TokenLogprob(ctypes.Structure):
    _fields_ = [("token", c_int32), ("logprob", c_float)]


class Token(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("sequence", c_int32),
        ("token", c_int32),
        ("finish", c_int32),
        ("num_top", c_int32),
        ("text", c_void_p),
        ("text_bytes", c_size_t),
        ("logprob", c_double),
        ("top", POINTER(TokenLogprob)),
    ]


FINISH = {0: None, 1: "length", 2: "stop", 3: "stop_string"}

# Strings that the library hands out come as addresses, so that they can be freed.
_text_out = POINTER(c_void_p)
_handle_out = POINTER(c_void_p)

# name: (result, arguments); c_int32 results named "status" are checked.
STATUS, NONE = "status", None
FUNCTIONS = {
    "ww_abi_version": (c_int32, []),
    "ww_abi_revision": (c_int32, []),
    "ww_version": (c_char_p, []),
    "ww_packed_images": (c_void_p, [POINTER(c_size_t)]),
    "ww_last_error": (c_char_p, []),
    "ww_free": (NONE, [c_void_p]),
    "ww_context_open": (STATUS, [c_char_p, c_void_p, _handle_out]),
    "ww_context_close": (NONE, [c_void_p]),
    "ww_context_device": (c_char_p, [c_void_p]),
    "ww_context_json": (STATUS, [c_void_p, _text_out]),
    "ww_context_force": (STATUS, [c_void_p, c_char_p, c_char_p]),
    "ww_context_forbid": (STATUS, [c_void_p, c_char_p, c_char_p]),
    "ww_context_check_inputs": (STATUS, [c_void_p, c_int32]),
    "ww_allocate": (STATUS, [c_void_p, c_size_t, _handle_out]),
    "ww_release": (NONE, [c_void_p, c_void_p]),
    "ww_import_host": (STATUS, [c_void_p, c_void_p, c_size_t, c_int32, _handle_out]),
    "ww_copy_in": (STATUS, [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p]),
    "ww_copy_out": (STATUS, [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p]),
    "ww_copy": (STATUS, [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p]),
    "ww_fill": (STATUS, [c_void_p, c_void_p, c_uint8, c_size_t, c_void_p]),
    "ww_stream_synchronize": (STATUS, [c_void_p, c_void_p]),
    "ww_prepared_create": (STATUS, [c_void_p, POINTER(PrepareOptions), _handle_out]),
    "ww_prepared_free": (NONE, [c_void_p]),
    "ww_launch": (STATUS, [c_void_p, c_void_p]),
    "ww_prepared_num_launches": (c_int32, [c_void_p]),
    "ww_prepared_row": (c_char_p, [c_void_p, c_int32]),
    "ww_attention_workspace_bytes": (STATUS, [c_void_p, POINTER(Attention), POINTER(c_int64)]),
    "ww_cascade_workspace_bytes": (STATUS, [c_void_p, POINTER(Cascade), POINTER(c_int64)]),
    "ww_mla_workspace_bytes": (STATUS, [c_void_p, POINTER(Mla), POINTER(c_int64)]),
    "ww_rope_frequencies": (
        STATUS,
        [c_double, c_int32, POINTER(RopeScaling), c_int64, POINTER(c_float), POINTER(c_float)],
    ),
    "ww_pack_weight": (STATUS, [POINTER(PlainWeight), POINTER(POINTER(QuantizedWeight))]),
    "ww_quantized_weight_free": (NONE, [POINTER(QuantizedWeight)]),
    "ww_round_weight": (STATUS, [POINTER(WeightRounding)]),
    "ww_moe_rows": (c_int64, [c_int64, c_int64, c_int64]),
    "ww_moe_experts_workspace_bytes": (c_int64, [c_int64, c_int64, c_int64, c_int64, c_int64]),
    "ww_moe_experts_quantized_workspace_bytes": (c_int64, [c_int64, c_int64, c_int64, c_int64, c_int64]),
    "ww_check": (STATUS, [c_void_p, POINTER(CheckOptions), _text_out]),
    "ww_devices_json": (STATUS, [_text_out]),
    "ww_models_json": (STATUS, [_text_out]),
    "ww_probe_json": (STATUS, [_text_out]),
    "ww_targets_json": (STATUS, [c_char_p, _text_out]),
    "ww_kernels_json": (STATUS, [c_char_p, c_char_p, _text_out]),
    "ww_why": (STATUS, [c_char_p, _text_out]),
    "ww_plan": (STATUS, [c_char_p, _text_out]),
    "ww_tokenizer_load": (STATUS, [c_char_p, _handle_out]),
    "ww_tokenizer_free": (NONE, [c_void_p]),
    "ww_tokenizer_json": (STATUS, [c_void_p, _text_out]),
    "ww_encode": (
        STATUS,
        [c_void_p, c_char_p, c_size_t, c_int32, POINTER(POINTER(c_int32)), POINTER(c_size_t)],
    ),
    "ww_decode": (STATUS, [c_void_p, POINTER(c_int32), c_size_t, c_int32, _text_out, POINTER(c_size_t)]),
    "ww_token_bytes": (STATUS, [c_void_p, c_int32, _text_out, POINTER(c_size_t)]),
    "ww_chat_prompt": (STATUS, [c_void_p, c_char_p, _text_out]),
    "ww_engine_create": (STATUS, [c_void_p, c_char_p, POINTER(EngineOptions), _handle_out]),
    "ww_engine_free": (NONE, [c_void_p]),
    "ww_engine_tokenizer": (c_void_p, [c_void_p]),
    "ww_engine_json": (STATUS, [c_void_p, _text_out]),
    "ww_engine_add": (STATUS, [c_void_p, c_char_p, POINTER(c_int32)]),
    "ww_engine_cancel": (STATUS, [c_void_p, c_int32, POINTER(c_int32)]),
    "ww_engine_idle": (c_int32, [c_void_p]),
    "ww_engine_step": (STATUS, [c_void_p, POINTER(c_int32)]),
    "ww_engine_token": (POINTER(Token), [c_void_p, c_int32]),
    "ww_engine_stats_json": (STATUS, [c_void_p, _text_out]),
    "ww_engine_plan": (STATUS, [c_void_p, c_int64, c_int64, c_int64, _text_out]),
}
for _op, _struct in OPERATIONS.items():
    FUNCTIONS[f"ww_prepare_{_op}"] = (STATUS, [c_void_p, POINTER(_struct), _handle_out])
    FUNCTIONS[f"ww_run_{_op}"] = (STATUS, [c_void_p, POINTER(_struct), c_void_p])
