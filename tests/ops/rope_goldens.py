# SPDX-License-Identifier: Apache-2.0
"""Writes rope_goldens.inc beside itself: rotary frequencies of transformers' modeling_rope_utils.

Needs torch and transformers; made with torch 2.11 and transformers 5.17.
"""

import pathlib
import re
import textwrap

from transformers import PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

# Phi-3's lists grow from 1, the long ones faster; values of our own.
LONGROPE = dict(rope_type="longrope", original_max_position_embeddings=4096,
                short_factor=[1 + 0.05 * i for i in range(16)], long_factor=[1.1 + i * i / 4 for i in range(16)])

# name, theta, rotary_dim, transformers' rope parameters; the field names are those of RopeScaling.
CASES = [
    ("linear", 10000.0, 64, dict(rope_type="linear", factor=4.0)),
    ("llama3.1", 500000.0, 128, dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                     original_max_position_embeddings=8192)),
    ("llama3.2", 500000.0, 64, dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                    original_max_position_embeddings=8192)),
    ("qwen yarn", 1000000.0, 128, dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32768)),
    ("deepseek yarn", 10000.0, 64, dict(rope_type="yarn", factor=40.0, beta_fast=32, beta_slow=1, mscale=0.707,
                                        mscale_all_dim=0.5, original_max_position_embeddings=4096)),
    ("longrope short", 10000.0, 32, dict(LONGROPE, factor=32.0)),
    ("longrope long", 10000.0, 32, dict(LONGROPE, factor=32.0), 131072),
    ("longrope with a factor", 10000.0, 32, dict(LONGROPE, attention_factor=1.25), 4097),
    ("yarn with a factor", 150000.0, 64, dict(rope_type="yarn", factor=32.0, beta_fast=16.0, beta_slow=2.0,
                                              attention_factor=1.2, original_max_position_embeddings=4096)),
]
KINDS = {"linear": "linear", "llama3": "llama3", "yarn": "yarn", "longrope": "longrope"}
FIELDS = [("factor", "factor"), ("low_freq_factor", "low_freq_factor"), ("high_freq_factor", "high_freq_factor"),
          ("original_max_position_embeddings", "original_max_position"), ("beta_fast", "beta_fast"),
          ("beta_slow", "beta_slow"), ("attention_factor", "attention_factor"), ("mscale", "mscale"),
          ("mscale_all_dim", "mscale_all_dim"), ("short_factor", "short_factor"), ("long_factor", "long_factor")]


def in_cpp(value):
    return "{" + ", ".join(map(repr, value)) + "}" if isinstance(value, list) else value


def main():
    lines = ["// Made by rope_goldens.py.\n"]
    for name, theta, dim, parameters, *context_tokens in CASES:
        config = PretrainedConfig(
            hidden_size=dim, num_attention_heads=1, head_dim=dim, max_position_embeddings=131072,
            rope_parameters=dict(parameters, rope_theta=theta))
        frequency, magnitude = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](config, "cpu", *context_tokens)
        fields = [f".kind = RopeScaling::Kind::{KINDS[parameters['rope_type']]}"]
        fields += [f".{ours} = {in_cpp(parameters[theirs])}" for theirs, ours in FIELDS if theirs in parameters]
        values = ", ".join(re.sub(r"\.?0*p", "p", float(f).hex()) + "f" for f in frequency)
        text = f'{{"{name}", {theta}, {dim}, {{{", ".join(fields)}}}, {float(magnitude)!r}, {{{values}}}{"".join(f", {n}" for n in context_tokens)}}},'
        lines.append(textwrap.fill(text, 110, subsequent_indent="    ", break_on_hyphens=False) + "\n")
    pathlib.Path(__file__).with_suffix(".inc").write_text("".join(lines))


main()
