#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes goldens.json and goldens.safetensors beside itself: one small model of each architecture, what Hugging
Face transformers computes with it in fp32 and how far its own bf16 is from that. With names as arguments: only
of those cases; the others are kept as they are there.

Weights are not kept: every element follows from its tensor's name and its index (`values`; the test has the same
in C++), is exact in bf16, and goes through transformers' own loader in a checkpoint under the names that
save_pretrained gives. Attention is eager. Made with torch 2.11 and transformers 5.17 on a CPU.
"""

import json
import math
import pathlib
import sys
import tempfile

import numpy
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
NUM_TOKENS = 4  # greedy ones after each prompt

# ---- weights


def name_hash(name):
    """FNV-1a."""
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def uniform(name, shape):
    """From -128 to 127, one for each element."""
    count = math.prod(shape)
    with numpy.errstate(over="ignore"):  # splitmix64 of a counter
        z = numpy.uint64(name_hash(name)) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(
            0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return (z >> numpy.uint64(56)).astype(numpy.int64) - 128


def values(name, shape, norm_neutral):
    """Norms: their neutral value and up to a quarter more or less. Biases: up to a quarter. Matrices: up to about
    2 / sqrt(columns), so that products keep the size of what they multiply."""
    byte = uniform(name, shape)
    if len(shape) == 1 and name.endswith("norm.weight"):
        floats = norm_neutral + (byte >> 4) / 32
    elif len(shape) == 1:
        floats = byte / 512
    else:
        # Of experts in one tensor, [experts, inputs, outputs], the inputs.
        columns = shape[1] if len(shape) == 3 else math.prod(shape[1:])
        floats = byte / 2.0 ** (6 + math.ceil(math.log2(columns) / 2))
    return torch.tensor(floats.reshape(shape), dtype=torch.float32).to(torch.bfloat16)


def random_bytes(name, shape):
    return (uniform(name, shape) + 128).astype(numpy.uint8).reshape(shape)


def mxfp4_values(name, shape):
    """Codes are any; scales of two sizes, such that products keep the size of what they multiply."""
    if name.endswith("_blocks"):
        return torch.from_numpy(random_bytes(name, shape))
    least = 127 - 3 - math.ceil(math.log2(32 * shape[2]) / 2)
    return torch.from_numpy(least + (random_bytes(name, shape) & 1))


# ---- cases

SIZES = dict(vocab_size=499, bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.02,
             attention_dropout=0.0, use_cache=True, torch_dtype="bfloat16")
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LONGROPE = dict(type="longrope", short_factor=[1 + 0.02 * i for i in range(48)],
                long_factor=[1 + 0.01 * i * i for i in range(48)])
PHI3 = dict(hidden_size=192, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, intermediate_size=264,
            max_position_embeddings=256, original_max_position_embeddings=48, rms_norm_eps=1e-5, rope_theta=10000.0,
            rope_scaling=LONGROPE, sliding_window=29, tie_word_embeddings=False, resid_pdrop=0.0, embd_pdrop=0.0)
GEMMA3 = dict(hidden_size=144, num_hidden_layers=6, num_attention_heads=4, num_key_value_heads=2, head_dim=128,
              intermediate_size=200, max_position_embeddings=512, rms_norm_eps=1e-6, rope_theta=1000000.0,
              rope_local_base_freq=10000.0, rope_scaling=dict(rope_type="linear", factor=8.0), query_pre_attn_scalar=100,
              sliding_window=21, hidden_activation="gelu_pytorch_tanh", attn_logit_softcapping=None,
              final_logit_softcapping=None)

GPT_OSS = dict(architectures=["GptOssForCausalLM"], model_type="gpt_oss", hidden_size=128, num_hidden_layers=3,
               num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=96,
               max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=150000.0,
               rope_scaling=dict(rope_type="yarn", factor=8.0, beta_fast=32.0, beta_slow=1.0, truncate=False,
                                 original_max_position_embeddings=32),
               initial_context_length=32, attention_bias=True, sliding_window=16, experts_per_token=2,
               layer_types=["sliding_attention", "full_attention", "sliding_attention"], num_local_experts=8,
               num_experts_per_tok=2, swiglu_limit=1.25, output_router_logits=False, router_aux_loss_coef=0.9,
               tie_word_embeddings=False, hidden_act="silu")
GPT_OSS_FEATURES = ["window", "window_everywhere", "rope_scaling", "rope_truncation", "sinks", "router_bias",
                    "experts_bias", "limit", "alpha", "up_offset", "top_k"]
GLM4_MOE = dict(architectures=["Glm4MoeForCausalLM"], model_type="glm4_moe", num_attention_heads=4,
                num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-05, rope_theta=10000.0,
                rope_scaling=None, partial_rotary_factor=0.5, num_nextn_predict_layers=1, hidden_act="silu",
                tie_word_embeddings=False)

# Of DeepSeek: what a token leaves is 512 numbers and 64 that turn, as its kernels have them.
DEEPSEEK = dict(attention_bias=False, aux_loss_alpha=0.001, ep_size=1, hidden_act="silu", kv_lora_rank=512,
                max_position_embeddings=256, moe_layer_freq=1, pretraining_tp=1, qk_rope_head_dim=64,
                rms_norm_eps=1e-06, seq_aux=True, tie_word_embeddings=False)
DEEPSEEK_V2 = dict(DEEPSEEK, architectures=["DeepseekV2ForCausalLM"], model_type="deepseek_v2", norm_topk_prob=False,
                   scoring_func="softmax", rope_theta=10000,
                   rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=0.707,
                                     mscale_all_dim=0.707, original_max_position_embeddings=32))
DEEPSEEK_V3 = dict(DEEPSEEK, architectures=["DeepseekV3ForCausalLM"], model_type="deepseek_v3", norm_topk_prob=True,
                   num_nextn_predict_layers=1, scoring_func="sigmoid", topk_method="noaux_tc")

# Of models with experts, lengths at which no router has a choice that is nearly equal: in others bf16 takes another.
# name: config.json as such models have it on the Hub, lengths of the prompts, and more. `mutations` are features
# whose absence must show: the test names what each changes.
CASES = {
    "llama": dict(
        config=dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=192, num_hidden_layers=2,
                    num_attention_heads=6, num_key_value_heads=2, head_dim=64, intermediate_size=328,
                    max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=50000.0, rope_scaling=LLAMA3,
                    attention_bias=True, mlp_bias=True, tie_word_embeddings=False, hidden_act="silu",
                    pretraining_tp=1),
        mutations=["rope_scaling", "rope_theta"]),
    "mistral": dict(
        config=dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=196, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=300,
                    max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=10000.0, sliding_window=24,
                    tie_word_embeddings=False, hidden_act="silu"),
        mutations=["window", "window_off_by_one"]),
    "ministral": dict(
        config=dict(architectures=["MinistralForCausalLM"], model_type="ministral", hidden_size=128,
                    num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, head_dim=32,
                    intermediate_size=256, max_position_embeddings=256, rms_norm_eps=1e-5, rope_theta=1000000.0,
                    sliding_window=16, layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                    tie_word_embeddings=False, hidden_act="silu"),
        mutations=["window", "window_everywhere"]),
    "qwen2": dict(
        config=dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=256, num_hidden_layers=3,
                    num_attention_heads=4, num_key_value_heads=2, intermediate_size=328, max_position_embeddings=256,
                    rms_norm_eps=1e-6, rope_theta=1000000.0, use_sliding_window=True, sliding_window=17,
                    max_window_layers=1, tie_word_embeddings=True, hidden_act="silu"),
        mutations=["window", "window_everywhere"]),
    "qwen3": dict(
        config=dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=160, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=128, intermediate_size=264,
                    max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=1000000.0, rope_scaling=None,
                    attention_bias=False, use_sliding_window=False, sliding_window=None, max_window_layers=2,
                    tie_word_embeddings=False, hidden_act="silu"),
        mutations=["qk_norm", "rope_theta"]),
    "qwen3-moe": dict(
        config=dict(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", hidden_size=128, num_hidden_layers=4,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=200,
                    max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=1000000.0, rope_scaling=None,
                    attention_bias=False, use_sliding_window=False, sliding_window=None, max_window_layers=4,
                    num_experts=16, num_experts_per_tok=4, moe_intermediate_size=72, norm_topk_prob=True,
                    decoder_sparse_step=1, mlp_only_layers=[2], output_router_logits=False,
                    router_aux_loss_coef=0.001, tie_word_embeddings=False, hidden_act="silu"),
        lengths=[7, 40],  # at 83 a router's choices are nearly equal, and bf16 takes another
        mutations=["qk_norm", "renormalize", "top_k"]),
    "qwen3-moe-unnormalised": dict(
        config=dict(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", hidden_size=96, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=4, head_dim=32, intermediate_size=200,
                    max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0, attention_bias=True,
                    num_experts=10, num_experts_per_tok=3, moe_intermediate_size=60, norm_topk_prob=False,
                    decoder_sparse_step=2, mlp_only_layers=[], tie_word_embeddings=True, hidden_act="silu"),
        lengths=[6, 35],
        mutations=["renormalize", "top_k"]),
    "mixtral": dict(
        config=dict(architectures=["MixtralForCausalLM"], model_type="mixtral", hidden_size=128, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=2, intermediate_size=152, max_position_embeddings=256,
                    rms_norm_eps=1e-5, rope_theta=1000000.0, sliding_window=None, num_local_experts=8,
                    num_experts_per_tok=2, output_router_logits=False, router_aux_loss_coef=0.02,
                    router_jitter_noise=0.0, tie_word_embeddings=False, hidden_act="silu"),
        lengths=[6, 31, 52],  # in others bf16 chooses another expert somewhere, and errors tell nothing
        mutations=["renormalize", "top_k"]),
    "qwen2-moe": dict(
        config=dict(architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", hidden_size=128, num_hidden_layers=3,
                    num_attention_heads=4, num_key_value_heads=2, intermediate_size=200, max_position_embeddings=256,
                    max_window_layers=21, rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=None,
                    use_sliding_window=False, decoder_sparse_step=1, mlp_only_layers=[1], moe_intermediate_size=72,
                    shared_expert_intermediate_size=136, num_experts_per_tok=3, num_experts=10, norm_topk_prob=False,
                    output_router_logits=False, router_aux_loss_coef=0.001, tie_word_embeddings=False,
                    hidden_act="silu"),
        lengths=[5, 37],
        mutations=["shared_gate", "renormalize", "top_k"]),
    "glm4-moe": dict(
        config=dict(GLM4_MOE, hidden_size=128, num_hidden_layers=3, head_dim=64, intermediate_size=200,
                    attention_bias=True, use_qk_norm=True, first_k_dense_replace=1, n_routed_experts=8,
                    n_shared_experts=1, num_experts_per_tok=3, moe_intermediate_size=72, n_group=1, topk_group=1,
                    norm_topk_prob=True, routed_scaling_factor=2.5),
        lengths=[7, 30],
        mutations=["qk_norm", "partial_rotation", "interleaving", "score", "selection_bias", "routed_scale",
                   "renormalize", "top_k"]),
    "glm4-moe-groups": dict(
        config=dict(GLM4_MOE, hidden_size=96, num_hidden_layers=2, head_dim=32, intermediate_size=152,
                    attention_bias=False, use_qk_norm=False, first_k_dense_replace=0, n_routed_experts=12,
                    n_shared_experts=2, num_experts_per_tok=3, moe_intermediate_size=60, n_group=3, topk_group=1,
                    norm_topk_prob=False, routed_scaling_factor=1.0),
        lengths=[7, 54],
        mutations=["partial_rotation", "selection_bias", "expert_groups", "renormalize", "top_k"]),
    "minimax-m2": dict(
        config=dict(architectures=["MiniMaxM2ForCausalLM"], model_type="minimax_m2", hidden_size=128,
                    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=64,
                    intermediate_size=88, max_position_embeddings=256, rms_norm_eps=1e-06, rope_theta=5000000.0,
                    rotary_dim=32, partial_rotary_factor=0.5, num_local_experts=10, num_experts_per_tok=3,
                    scoring_func="sigmoid", use_routing_bias=True, use_qk_norm=True, qk_norm_type="per_layer",
                    attn_type_list=[1, 1], shared_intermediate_size=0, num_mtp_modules=3, mtp_transformer_layers=1,
                    use_mtp=True, output_router_logits=False, router_aux_loss_coef=0.001, router_jitter_noise=0.0,
                    tie_word_embeddings=False, hidden_act="silu"),
        lengths=[7, 36],
        mutations=["qk_norm", "partial_rotation", "score", "selection_bias", "renormalize",
                   "top_k"]),
    "deepseek-v2-lite": dict(
        config=dict(DEEPSEEK_V2, hidden_size=144, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4,
                    intermediate_size=200, moe_intermediate_size=72, n_routed_experts=8, n_shared_experts=2,
                    num_experts_per_tok=3, first_k_dense_replace=1, n_group=1, topk_group=1, topk_method="greedy",
                    routed_scaling_factor=1.0, q_lora_rank=None, qk_nope_head_dim=64, v_head_dim=48),
        lengths=[8, 33],
        mutations=["rope_scaling", "interleaving", "attention_scale", "renormalize", "top_k"]),
    "deepseek-v2": dict(
        config=dict(DEEPSEEK_V2, hidden_size=160, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
                    intermediate_size=200, moe_intermediate_size=72, n_routed_experts=8, n_shared_experts=1,
                    num_experts_per_tok=3, first_k_dense_replace=1, n_group=4, topk_group=2,
                    topk_method="group_limited_greedy", routed_scaling_factor=4.0, q_lora_rank=96,
                    qk_nope_head_dim=128, v_head_dim=128),
        lengths=[7, 32],
        mutations=["attention_scale", "routed_scale", "expert_groups", "group_pairs", "renormalize", "top_k"]),
    "deepseek-v3": dict(
        config=dict(DEEPSEEK_V3, hidden_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4,
                    intermediate_size=200, moe_intermediate_size=72, n_routed_experts=8, n_shared_experts=1,
                    num_experts_per_tok=3, first_k_dense_replace=1, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                    q_lora_rank=88, qk_nope_head_dim=64, v_head_dim=96, rope_theta=10000,
                    rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=1.0,
                                      mscale_all_dim=0.707, original_max_position_embeddings=32)),
        lengths=[7, 29],
        mutations=["rope_scaling", "rope_magnitude", "interleaving", "attention_scale", "score", "selection_bias",
                   "expert_groups", "group_pairs", "routed_scale", "renormalize", "top_k"]),
    # Its salt, of 1 to 7900, is the one for which the least gap between a key that a query of the long prompt attends
    # to and one that it does not is largest: 3 times what bf16 makes of the logits of the indexer.
    "deepseek-v32": dict(
        config=dict(DEEPSEEK_V3, architectures=["DeepseekV32ForCausalLM"], model_type="deepseek_v32", hidden_size=96,
                    num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=4, intermediate_size=200,
                    moe_intermediate_size=72, n_routed_experts=8, n_shared_experts=1, num_experts_per_tok=3,
                    first_k_dense_replace=1, n_group=4, topk_group=2, routed_scaling_factor=2.5, q_lora_rank=88,
                    qk_nope_head_dim=64, v_head_dim=96, index_head_dim=128, index_n_heads=16, index_topk=28,
                    rope_theta=10000, rope_scaling=dict(type="yarn", factor=40, beta_fast=32, beta_slow=1, mscale=1.0,
                                                        mscale_all_dim=0.707, original_max_position_embeddings=32)),
        lengths=[9, 33], salt=174,
        mutations=["attention_scale", "rope_scaling", "interleaving", "index_topk", "index_topk_off_by_one",
                   "index_interleaving", "score", "top_k"]),
    "kimi-k2": dict(
        config=dict(DEEPSEEK_V3, hidden_size=96, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3,
                    intermediate_size=152, moe_intermediate_size=60, n_routed_experts=12, n_shared_experts=1,
                    num_experts_per_tok=3, first_k_dense_replace=1, n_group=1, topk_group=1,
                    routed_scaling_factor=2.827, q_lora_rank=72, qk_nope_head_dim=32, v_head_dim=32, rope_theta=50000.0,
                    rope_scaling=dict(type="yarn", factor=32.0, beta_fast=1.0, beta_slow=1.0, mscale=1.0,
                                      mscale_all_dim=1.0, original_max_position_embeddings=32)),
        lengths=[9, 35],
        mutations=["rope_scaling", "rope_theta", "attention_scale", "score", "selection_bias", "routed_scale",
                   "renormalize", "top_k"]),
    "gpt-oss": dict(config=GPT_OSS, lengths=[5, 57], mutations=GPT_OSS_FEATURES),
    "gpt-oss-mxfp4": dict(
        config=dict(GPT_OSS, quantization_config=dict(
            quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                                          "model.embed_tokens", "lm_head"])),
        lengths=[6, 33],
        mutations=["experts_bias", "limit", "alpha", "up_offset"]),
    "gemma2": dict(
        config=dict(architectures=["Gemma2ForCausalLM"], model_type="gemma2", hidden_size=144, num_hidden_layers=4,
                    num_attention_heads=2, num_key_value_heads=1, head_dim=256, intermediate_size=256,
                    max_position_embeddings=256, rms_norm_eps=1e-6, rope_theta=10000.0, query_pre_attn_scalar=100,
                    sliding_window=19, attn_logit_softcapping=3.0, final_logit_softcapping=4.0,
                    hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", attention_bias=False,
                    cache_implementation="hybrid"),
        norm_neutral=0,
        mutations=["window", "window_off_by_one", "window_everywhere", "attention_softcap", "logits_softcap",
                   "norm_offset", "post_norms", "embedding_scale", "attention_scale", "activation"]),
    "gemma3": dict(
        config=dict(GEMMA3, architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", attention_bias=False,
                    sliding_window_pattern=3),
        norm_neutral=0,
        mutations=["window", "window_off_by_one", "window_everywhere", "norm_offset", "post_norms", "qk_norm",
                   "embedding_scale", "attention_scale", "windowed_rope", "global_rope", "rope_scaling"]),
    "gemma3-multimodal": dict(
        config=dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", eos_token_id=[1, 106],
                    mm_tokens_per_image=4, image_token_index=498, boi_token_index=496, eoi_token_index=497,
                    initializer_range=0.02, torch_dtype="bfloat16",
                    text_config=dict(GEMMA3, model_type="gemma3_text", num_hidden_layers=2,
                                     layer_types=["full_attention", "sliding_attention"], vocab_size=499),
                    vision_config=dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=24,
                                       num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=8,
                                       vision_use_head=False)),
        norm_neutral=0,
        mutations=["window", "windowed_rope", "global_rope"]),
    "phi3-short": dict(
        config=dict(PHI3, architectures=["Phi3ForCausalLM"], model_type="phi3", hidden_act="silu"),
        context_tokens=48, lengths=[5, 33, 44],
        mutations=["window", "longrope", "rope_magnitude"]),
    "phi3-long": dict(
        config=dict(PHI3, architectures=["Phi3ForCausalLM"], model_type="phi3", hidden_act="silu"),
        lengths=[49, 90],
        mutations=["window", "longrope", "rope_magnitude"]),
    "glm": dict(
        config=dict(architectures=["GlmForCausalLM"], model_type="glm", hidden_size=144, num_hidden_layers=2,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=128, intermediate_size=216,
                    max_position_embeddings=256, rms_norm_eps=1.5625e-07, rope_theta=10000.0, attention_bias=True,
                    partial_rotary_factor=0.5, tie_word_embeddings=False, hidden_act="silu"),
        mutations=["interleaving", "partial_rotation"]),
    "glm4": dict(
        config=dict(architectures=["Glm4ForCausalLM"], model_type="glm4", hidden_size=128, num_hidden_layers=3,
                    num_attention_heads=4, num_key_value_heads=2, head_dim=64, intermediate_size=200,
                    max_position_embeddings=256, rms_norm_eps=1e-05, rope_theta=10000.0, attention_bias=False,
                    partial_rotary_factor=0.5, tie_word_embeddings=False, hidden_act="silu"),
        mutations=["post_norms", "interleaving"]),
}


def prompt_tokens(case, length, salt=None):
    """Any ids but the special ones, each case and length its own."""
    generator = numpy.random.default_rng([name_hash(case) % 2**32, length] + ([] if salt is None else [salt]))
    return [int(token) for token in generator.integers(5, 490, length)]


def checkpoint_tensors(model_class, config, folder):
    """Names and shapes as save_pretrained writes them."""
    model_class(config).save_pretrained(folder, safe_serialization=True)
    shapes = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            shapes |= {name: list(file.get_slice(name).get_shape()) for name in file.keys()}
        path.unlink()
    return shapes


def quantised_experts(shapes):
    """The experts' tensors as MXFP4's codes and scales: rows of outputs, in groups of 32 inputs."""
    stored = {}
    for name, shape in shapes.items():
        if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
            experts, inputs, outputs = shape
            stored[name + "_blocks"] = [experts, outputs, inputs // 32, 16]
            stored[name + "_scales"] = [experts, outputs, inputs // 32]
        else:
            stored[name] = shape
    return stored


def numbers_of_mxfp4(weights):
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    numbers = {}
    for name, tensor in weights.items():
        if name.endswith("_blocks"):
            scales = weights[name.removesuffix("_blocks") + "_scales"]
            numbers[name.removesuffix("_blocks")] = convert_moe_packed_tensors(
                tensor, scales, dtype=torch.bfloat16).cpu().contiguous()
        elif not name.endswith("_scales"):
            numbers[name] = tensor
    return numbers


def logits_of(model, tokens):
    ids = torch.tensor([tokens])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits[0].float()


def models_of(case):
    """In fp32 and in bf16, and what the case keeps of its config and checkpoint."""
    hub_config = dict(SIZES, **case["config"]) if "text_config" not in case["config"] else case["config"]
    model_class = getattr(transformers, hub_config["architectures"][0])
    plain_config = json.loads(json.dumps(hub_config))
    is_mxfp4 = plain_config.pop("quantization_config", None) is not None
    config = model_class.config_class.from_dict(json.loads(json.dumps(plain_config)))
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        shapes = checkpoint_tensors(model_class, config, folder)
        saved_config = json.loads((folder / "config.json").read_text())
        neutral = case.get("norm_neutral", 1)
        if is_mxfp4:
            shapes = quantised_experts(shapes)
        weights = {
            tensor: mxfp4_values(tensor, shape) if tensor.endswith(("_blocks", "_scales")) else values(
                tensor, shape, neutral)
            for tensor, shape in shapes.items()
        }
        save_file(numbers_of_mxfp4(weights), folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(plain_config))
        load = dict(attn_implementation="eager", output_loading_info=True)
        if any("experts" in name for name in shapes):
            load["experts_implementation"] = "eager"
        exact, info = model_class.from_pretrained(folder, dtype=torch.float32, **load)
        assert not any(info.values()), info
        rounded, _ = model_class.from_pretrained(folder, dtype=torch.bfloat16, **load)
        for module in [*exact.modules(), *rounded.modules()]:
            if "swiglu_limit" in plain_config and hasattr(module, "limit"):
                module.limit = plain_config["swiglu_limit"]  # 7, whatever the config says, in some versions
    kept = dict(config=hub_config, saved_config=saved_config, tensors=shapes, norm_neutral=neutral)
    return exact.eval(), rounded.eval(), kept


def make_case(name, case, whole):
    exact, rounded, kept = models_of(case)
    prompts = []
    for length in case.get("lengths", [7, 40, 83]):
        prompt = prompt_tokens(name, length, case.get("salt"))
        tokens, margins = [], []
        for step in range(NUM_TOKENS + 1):
            last = logits_of(exact, prompt + tokens)[-1]
            whole[f"{name}.{length}.{step}"] = last.clone()
            best = last.topk(2)
            tokens.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
        tokens, margins = tokens[:NUM_TOKENS], margins[:NUM_TOKENS]
        everything = prompt + tokens
        error = (logits_of(rounded, everything) - logits_of(exact, everything)).abs()
        prompts.append(dict(tokens=prompt, greedy=tokens, margins=margins,
                            bf16_error=dict(max=float(error.max()), rms=float(error.pow(2).mean().sqrt()))))
        print(f"{name:18} {length:3} logits std {last.std():.3f} bf16 error max {error.max():.4f} "
              f"rms {error.pow(2).mean().sqrt():.4f} margins {[round(m, 3) for m in margins]}")
    return dict(name=name, **kept, context_tokens=case.get("context_tokens", 256), mutations=case["mutations"],
                prompts=prompts)


def main():
    torch.manual_seed(0)  # of weights that are thrown away
    transformers.logging.set_verbosity_error()
    wanted = sys.argv[1:] or list(CASES)
    whole, kept = {}, {}
    if len(wanted) < len(CASES):
        kept = {case["name"]: case for case in json.loads((HERE / "goldens.json").read_text())}
        with safe_open(HERE / "goldens.safetensors", "pt") as file:
            whole = {name: file.get_tensor(name) for name in file.keys() if name.split(".")[0] not in wanted}
    cases = [make_case(name, case, whole) if name in wanted else kept[name] for name, case in CASES.items()]
    texts = ["  " + json.dumps(case, separators=(",", ":")) for case in cases]
    (HERE / "goldens.json").write_text("[\n" + ",\n".join(texts) + "\n]\n")
    save_file(whole, HERE / "goldens.safetensors")


if __name__ == "__main__":
    main()
