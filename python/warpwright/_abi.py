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


def _sized(name, tensors, **scalars):
    """A struct of struct_size, these tensors, and scalars in the order given."""
    fields = [("struct_size", c_size_t)]
    fields += [(tensor, Tensor) for tensor in tensors.split()]
    fields += scalars.items()
    return type(name, (Sized,), {"_fields_": fields})


PrepareOptions = _sized("PrepareOptions", "", batch_invariant=c_int32, reserved=c_int32)

Gemm = _sized("Gemm", "a b d bias gate residual", activation=c_int32, b_is_constant=c_int32)
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
)
RmsNorm = _sized("RmsNorm", "x weight out residual", epsilon=c_float, weight_offset=c_float)
Rope = _sized("Rope", "q k positions frequency", magnitude=c_float, interleaved=c_int32)
GatedActivation = _sized("GatedActivation", "gate up out", activation=c_int32, reserved=c_int32)
Embedding = _sized("Embedding", "ids table out", scale=c_float, reserved=c_int32)
KvAppend = _sized("KvAppend", "k v sequences positions page_table k_pages v_pages")
Logits = _sized("Logits", "in out starts tokens repetition addend bias", softcap=c_float, reserved=c_int32)
Sample = _sized("Sample", "logits temperature top_k top_p min_p seeds steps tokens")

OPERATIONS = {
    "gemm": Gemm,
    "attention": Attention,
    "rmsnorm": RmsNorm,
    "rope": Rope,
    "gated_activation": GatedActivation,
    "embedding": Embedding,
    "kv_append": KvAppend,
    "logits": Logits,
    "sample": Sample,
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
    "ww_last_error": (c_char_p, []),
    "ww_free": (NONE, [c_void_p]),
    "ww_context_open": (STATUS, [c_char_p, c_void_p, _handle_out]),
    "ww_context_close": (NONE, [c_void_p]),
    "ww_context_device": (c_char_p, [c_void_p]),
    "ww_context_json": (STATUS, [c_void_p, _text_out]),
    "ww_context_force": (STATUS, [c_void_p, c_char_p, c_char_p]),
    "ww_context_forbid": (STATUS, [c_void_p, c_char_p, c_char_p]),
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
    "ww_rope_frequencies": (
        STATUS,
        [c_double, c_int32, POINTER(RopeScaling), c_int64, POINTER(c_float), POINTER(c_float)],
    ),
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
