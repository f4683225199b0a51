# SPDX-License-Identifier: Apache-2.0
"""Attention of Hugging Face transformers models by these kernels::

    import warpwright.transformers
    warpwright.transformers.register()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16", attn_implementation="warpwright")

Models in bf16 or fp16, on a GPU or the CPU, prefill and decode, padded batches, packed batches, sliding
windows, softcaps. Inference only: no dropout, no gradients, no attention weights, no sinks.
"""

from __future__ import annotations

from typing import Any, Optional

import torch

from . import torch as _operators  # noqa: F401  (registers them)
from .errors import CallerError

NAME = "warpwright"


def register(name: str = NAME) -> None:
    """Makes `name` an attn_implementation of transformers 4.53 or later."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(name, attention_forward)
    AttentionMaskInterface.register(name, padding_mask)


def padding_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    attention_mask: Optional[torch.Tensor] = None,
    device: Optional[torch.device] = None,
    **_: Any,
) -> Optional[torch.Tensor]:
    """transformers' mask interface: [batch, tokens] bool, False at padding; None where every key is a token.

    There may be fewer tokens than keys: a static cache has room for more.
    """
    if attention_mask is None:
        tokens = int(q_offset) + q_length
        return torch.ones(batch_size, tokens, dtype=torch.bool, device=device) if tokens < kv_length else None
    attention_mask = attention_mask[:, -kv_length:]
    return None if attention_mask.shape[1] == kv_length and attention_mask.all() else attention_mask


def attention_forward(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Optional[torch.Tensor],
    dropout: float = 0.0,
    scaling: Optional[float] = None,
    sliding_window: Optional[int] = None,
    softcap: Optional[float] = None,
    is_causal: Optional[bool] = None,
    s_aux: Optional[torch.Tensor] = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface.

    Args:
        query: [batch, heads, q_len, head_dim].
        key, value: [batch, kv_heads, kv_len, head_dim], what the cache holds included.
        attention_mask: [batch, kv_len] bool, False at padding; None: there is none.

    Returns:
        ([batch, q_len, heads, head_dim], None).
    """
    for what, given in (("dropout", dropout), ("sinks", s_aux is not None)):
        if given:
            raise CallerError(f"warpwright.transformers: expected no {what}")
    batch, _, q_len, _ = query.shape
    q, k, v = (part.transpose(1, 2) for part in (query, key, value))
    mask = {
        "causal": module.is_causal if is_causal is None else is_causal,
        "scale": scaling or 0.0,
        "window_tokens": sliding_window or 0,
        "softcap": softcap or 0.0,
    }
    if attention_mask is not None:
        return _padded(q, k, v, attention_mask.bool(), mask), None
    kv_len = k.shape[1]
    # A batch of one is a view; of several, whose cache is [batch, kv_heads, kv_len, ...], tokens are
    # gathered.
    flat = [part.flatten(0, 1) for part in (q, k, v)]
    starts = _packed_starts(q_len, kv_len, kwargs) if batch == 1 else None
    if starts is not None:
        q_starts = kv_starts = starts
    else:
        q_starts, kv_starts = (_even_starts(batch, length, q.device) for length in (q_len, kv_len))
    out = _attention(flat[0], flat[1], flat[2], q_starts, kv_starts, q_len, mask)
    return out.unflatten(0, (batch, q_len)), None


def _attention(q, k, v, q_starts, kv_starts, max_q_len, mask):
    out, _ = torch.ops.warpwright.attention(
        q,
        k,
        v,
        q_starts,
        kv_starts,
        max_q_len,
        0,
        mask["causal"],
        mask["scale"],
        mask["window_tokens"],
        mask["softcap"],
    )
    return out


def _even_starts(sequences: int, length: int, device: torch.device) -> torch.Tensor:
    return torch.arange(sequences + 1, dtype=torch.int32, device=device) * length


def _starts(lengths: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)


def _packed_starts(q_len: int, kv_len: int, kwargs: dict[str, Any]) -> Optional[torch.Tensor]:
    """Where sequences begin that are packed into one row: their positions begin again."""
    given = kwargs.get("cu_seq_lens_q")
    if given is not None:
        return given.to(torch.int32)
    positions = kwargs.get("position_ids")
    if positions is None or positions.dim() != 2 or q_len == 1 or q_len != kv_len:
        return None
    begins = torch.nonzero(positions[0].diff() != 1).flatten() + 1
    if begins.numel() == 0:
        return None
    return torch.nn.functional.pad(torch.nn.functional.pad(begins, (1, 0)), (0, 1), value=q_len).to(
        torch.int32
    )


def _padded(q, k, v, is_token, mask):
    """Only what is no padding, packed; at padding the result is zero."""
    batch, q_len = q.shape[:2]
    kv_len = is_token.shape[1]  # of a static cache, less than its capacity
    is_query = is_token[:, -q_len:]
    out = torch.zeros_like(q, memory_format=torch.contiguous_format)
    packed = _attention(
        q[is_query],
        k[:, :kv_len][is_token],
        v[:, :kv_len][is_token],
        _starts(is_query.sum(1)),
        _starts(is_token.sum(1)),
        q_len,
        mask,
    )
    out[is_query] = packed
    return out
