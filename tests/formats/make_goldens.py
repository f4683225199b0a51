#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes goldens/*.safetensors and goldens.json: one linear layer in each quantised format, packed by the format's
own package, with the weights that the same package's dequantisation gives ("expected").

The layer is `layer`, [rows, columns] of normal values; its tensors have the names a checkpoint gives them. Packages,
all on a CPU (their licences allow that what they write is published): gptqmodel 7.7 (Apache-2.0), autoawq 0.2.9 (MIT),
compressed-tensors 0.20 (Apache-2.0), nvidia-modelopt 0.47 (Apache-2.0), torchao 0.18 (BSD-3), transformers 5.17
(Apache-2.0), torch 2.11. models/ and models.json are whole models of one such layer each, and
what their weights are as 16-bit numbers. Without arguments all are made; else those named.
"""

import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
CASES = {}


def case(make):
    CASES[make.__name__] = make
    return make


def normal(rows, columns, dtype=torch.float32, mean=0.0):
    generator = torch.Generator().manual_seed(rows * 1000 + columns)
    return ((torch.randn(rows, columns, generator=generator) + mean) * 0.02).to(dtype)


def linear(weight):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    layer.weight.data = weight.clone()
    return layer


# ---- gptqmodel


def gptq(bits, group, sym, v1, act_order=False, rows=64, columns=96):
    from gptqmodel.nn_modules.qlinear.torch import TorchLinear
    from gptqmodel.quantization import QuantizeConfig
    from gptqmodel.quantization.config import FORMAT
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module

    weight = normal(rows, columns, mean=0.0 if sym else 0.03)
    groups = columns // group
    g_idx = torch.arange(columns, dtype=torch.int32) // group
    if act_order:
        g_idx = g_idx[torch.randperm(columns, generator=torch.Generator().manual_seed(1))]
    top = 2**bits - 1
    scales, zeros = torch.empty(rows, groups), torch.empty(rows, groups)
    for i in range(groups):
        part = weight[:, g_idx == i]
        low, high = part.min(1).values.clamp(max=0), part.max(1).values.clamp(min=0)
        if sym:
            high = torch.maximum(-low, high)
            low = -high
        scales[:, i] = (high - low) / top
        zeros[:, i] = torch.full([rows], (top + 1) / 2) if sym else torch.round(-low / scales[:, i])
    scales = scales.half().float()
    module = TorchLinear(bits=bits, group_size=group, sym=sym, desc_act=act_order, in_features=columns,
                         out_features=rows, bias=False, format=FORMAT.GPTQ)
    module.pack_block(linear(weight), scales, zeros, g_idx)
    expected = module.dequantize_weight().T.contiguous().clone()
    assert (expected.float() - weight).abs().max() < 1.1 * float(scales.max())
    if v1:
        config = QuantizeConfig(bits=bits, group_size=group, sym=sym, desc_act=act_order)
        convert_gptq_v2_to_v1_format_module(module, config)
    tensors = {name: getattr(module, name).clone() for name in ("qweight", "qzeros", "scales", "g_idx")}
    tensors["g_idx"] = tensors["g_idx"].to(torch.int32)
    config = dict(quant_method="gptq", bits=bits, group_size=group, sym=sym, desc_act=act_order,
                  checkpoint_format="gptq" if v1 else "gptq_v2")
    return config, tensors, expected


@case
def gptq_int4():
    return gptq(4, 32, True, True)


@case
def gptq_int4_whole():
    config, tensors, expected = gptq(4, 96, True, True)
    return config | dict(group_size=-1), tensors, expected


@case
def gptq_int4_asym_v1():
    return gptq(4, 32, False, True)


@case
def gptq_int4_asym_v2():
    return gptq(4, 32, False, False)


@case
def gptq_int4_act_order():
    return gptq(4, 32, True, True, act_order=True)


@case
def gptq_int2():
    return gptq(2, 32, False, True)


@case
def gptq_int3():
    return gptq(3, 32, False, True)


@case
def gptq_int8():
    return gptq(8, 32, True, True)


# ---- autoawq


def awq(version, rows=64, columns=256):
    from awq.utils.packing_utils import dequantize_gemm
    weight, group = normal(rows, columns, torch.float16, mean=0.1), 64
    parts = weight.float().reshape(rows, -1, group)
    low, high = parts.amin(-1), parts.amax(-1)  # WQLinear's own pseudo_quantize_tensor, with zero points
    scales = ((high - low).clamp(min=1e-5) / 15).half()
    zeros = (-torch.round(low / scales.float())).clamp(0, 15)
    if version == "gemm":
        from awq.modules.linear.gemm import WQLinear_GEMM
        module = WQLinear_GEMM.from_linear(linear(weight), 4, group, scales=scales.T.contiguous(),
                                           zeros=zeros.half().T.contiguous())
        expected = dequantize_gemm(module.qweight, module.qzeros, module.scales, 4, group).T.contiguous()
    else:
        from awq.modules.linear.gemv import WQLinear_GEMV
        module = WQLinear_GEMV.from_linear(linear(weight), 4, group, scales=scales, zeros=zeros.half())
        # gemv has no dequantisation without its CUDA kernels; its nibbles are in order, as unpack_awq leaves them.
        from awq.utils.packing_utils import unpack_awq
        codes, points = unpack_awq(module.qweight, module.qzeros, 4)
        points = (points[:, :columns // group] & 15).repeat_interleave(group, 1)
        expected = ((codes & 15) - points) * module.scales[:, :columns // group].repeat_interleave(group, 1)
    tensors = {name: getattr(module, name).clone() for name in ("qweight", "qzeros", "scales")}
    config = dict(quant_method="awq", bits=4, group_size=group, zero_point=True, version=version)
    return config, tensors, expected


@case
def awq_gemm():
    return awq("gemm")


@case
def awq_gemv():
    return awq("gemv")


# ---- compressed-tensors


def compressed(preset, format_name, rows=48, columns=128, dtype=torch.bfloat16, tensors_only=False, **changes):
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, preset_name_to_scheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam
    scheme = preset_name_to_scheme(preset, ["Linear"])
    for name, value in changes.items():
        setattr(scheme.weights, name, value)
    scheme = QuantizationScheme.model_validate(scheme.model_dump())
    args = scheme.weights
    weight = normal(rows, columns, dtype, mean=0.0 if args.symmetric or tensors_only else 0.15)
    state = dict(weight=weight)
    if args.strategy == "tensor":
        low, high = weight.amin().reshape(1), weight.amax().reshape(1)
    elif args.strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    elif args.strategy == "block":
        a, b = args.block_structure
        blocks = torch.nn.functional.pad(weight, (0, -columns % b, 0, -rows % a))
        blocks = blocks.reshape(-(-rows // a), a, -(-columns // b), b)
        low, high = blocks.amin((1, 3)), blocks.amax((1, 3))
    else:
        parts = weight.reshape(rows, -1, args.group_size)
        low, high = parts.amin(-1), parts.amax(-1)
    global_scale = None
    if args.strategy == "tensor_group":
        global_scale = generate_gparam(weight.amin(), weight.amax()).reshape(1)
        state["weight_global_scale"] = global_scale
    scale, zero = calculate_qparams(low, high, args, global_scale=global_scale)
    state |= dict(weight_scale=scale, weight_zero_point=zero)
    compressor = BaseCompressor.get_value_from_registry(format_name)
    tensors = compressor.compress(state, scheme)
    tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
    if tensors_only:
        return weight, tensors
    expected = compressor.decompress(dict(tensors), scheme)["weight"].detach()
    assert (expected.float() - weight.float()).abs().max() < 0.02, (expected.float() - weight.float()).abs().max()
    scheme.format = format_name
    config = QuantizationConfig(config_groups={"group_0": scheme}, format=format_name, ignore=["lm_head"],
                                quantization_status="compressed")
    config = json.loads(config.model_dump_json(exclude_none=True))
    return config | dict(quant_method="compressed-tensors"), tensors, expected


@case
def compressed_int4():
    return compressed("W4A16", "pack-quantized", group_size=32)


@case
def compressed_int4_asym():
    return compressed("W4A16_ASYM", "pack-quantized", group_size=32, rows=44)


@case
def compressed_int4_channel():
    return compressed("W4A16", "pack-quantized", group_size=None, strategy="channel", columns=100)


@case
def compressed_int3():
    return compressed("W3A16", "pack-quantized", group_size=32, dtype=torch.float16)


@case
def compressed_int8_packed():
    return compressed("W8A16", "pack-quantized", group_size=64)


@case
def compressed_int8():
    return compressed("INT8", "int-quantized")


@case
def compressed_fp8_tensor():
    return compressed("FP8", "float-quantized")


@case
def compressed_fp8_channel():
    return compressed("FP8_DYNAMIC", "float-quantized", dtype=torch.float32)


@case
def compressed_fp8_block():
    return compressed("FP8_BLOCK", "float-quantized", rows=136, columns=144, block_structure=[32, 64])


@case
def compressed_nvfp4():
    return compressed("NVFP4A16", "nvfp4-pack-quantized")


@case
def compressed_mxfp4():
    return compressed("MXFP4A16", "mxfp4-pack-quantized")


@case
def compressed_mxfp8():
    return compressed("MXFP8A16", "mxfp8-quantized")


# What compressed-tensors makes of one fp32 matrix: the quantisers give the same codes and scales.
QUANTISERS = {
    "int4": ("W4A16", "pack-quantized", dict(group_size=32)),
    "int4-asym": ("W4A16_ASYM", "pack-quantized", dict(group_size=32)),
    "int8": ("INT8", "int-quantized", {}), "fp8": ("FP8_DYNAMIC", "float-quantized", {}),
    "fp8-tensor": ("FP8", "float-quantized", {}), "mxfp8": ("MXFP8A16", "mxfp8-quantized", {}),
    "fp8-block": ("FP8_BLOCK", "float-quantized", dict(block_structure=[32, 64])),
    "mxfp4": ("MXFP4A16", "mxfp4-pack-quantized", {}), "nvfp4": ("NVFP4A16", "nvfp4-pack-quantized", {}),
}


def make_quantisers():
    file = {}
    for name, (preset, layout, changes) in QUANTISERS.items():
        weight, tensors = compressed(preset, layout, 40, 128, torch.float32, True, **changes)
        file["weight"] = weight
        file |= {f"{name}.{key}": value for key, value in tensors.items()}
    save_file(file, HERE / "quantisers.safetensors")


# ---- transformers: DeepSeek's FP8 blocks, gpt-oss


def deepseek(rows=96, columns=128):
    from transformers import FineGrainedFP8Config
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize, Fp8Quantize

    class Quantizer:
        quantization_config = FineGrainedFP8Config(weight_block_size=(32, 64))
    weight = normal(rows, columns)
    made = Fp8Quantize(Quantizer).convert({"weight": weight})
    tensors = {name.rsplit(".", 1)[-1]: value for name, value in made.items()}
    if "weight_scale_inv" not in tensors:
        tensors = {("weight_scale_inv" if "scale" in name else "weight"): value for name, value in tensors.items()}
    expected = Fp8Dequantize(Quantizer)._dequantize_one(tensors["weight"], tensors["weight_scale_inv"], torch.bfloat16)
    config = dict(quant_method="fp8", fmt="e4m3", activation_scheme="dynamic", weight_block_size=[32, 64])
    return config, tensors, expected


@case
def deepseek_fp8():
    return deepseek()


@case
def gpt_oss_mxfp4():
    from transformers.integrations.mxfp4 import convert_moe_packed_tensors
    generator = torch.Generator().manual_seed(5)
    blocks = torch.randint(0, 256, (2, 16, 3, 16), dtype=torch.uint8, generator=generator)
    scales = torch.randint(110, 128, (2, 16, 3), dtype=torch.uint8, generator=generator)
    expected = convert_moe_packed_tensors(blocks, scales)  # [experts, columns, rows]
    tensors = dict(gate_up_proj_blocks=blocks, gate_up_proj_scales=scales)
    return dict(quant_method="mxfp4"), tensors, expected.transpose(1, 2).contiguous()


# ---- nvidia-modelopt


@case
def modelopt_fp8(rows=48, columns=96):
    from modelopt.torch.quantization.qtensor.fp8_tensor import FP8QTensor
    weight = normal(rows, columns, torch.bfloat16)
    made, scale = FP8QTensor.quantize(weight.float())
    expected = made.dequantize(torch.float32, scale=scale)
    tensors = dict(weight=made._quantized_data, weight_scale=scale.float().reshape([]),
                   input_scale=torch.tensor(0.011, dtype=torch.float32))
    config = dict(quant_method="modelopt", quant_algo="FP8", kv_cache_scheme=None, ignore=["lm_head"])
    return config, tensors, expected


@case
def modelopt_nvfp4(rows=48, columns=96):
    from modelopt.torch.quantization.qtensor.nvfp4_tensor import NVFP4QTensor
    weight = normal(rows, columns)
    made, scale, scale_2 = NVFP4QTensor.quantize(weight.clone(), 16)
    expected = made.dequantize(torch.float32, scale=scale, double_scale=scale_2, block_sizes={-1: 16})
    tensors = dict(weight=made._quantized_data, weight_scale=scale, weight_scale_2=scale_2.reshape([]),
                   input_scale=torch.tensor(0.0005, dtype=torch.float32))
    config = dict(quant_method="modelopt", quant_algo="NVFP4", group_size=16, ignore=["lm_head"])
    return config, tensors, expected


def modelopt_golden(algorithm, tensors, expected, **settings):
    return dict(quant_method="modelopt", quant_algo=algorithm, ignore=["lm_head"], **settings), tensors, expected


@case
def modelopt_fp8_blocks(rows=136, columns=144):
    from modelopt.torch.export.quant_utils import to_quantized_weight
    from modelopt.torch.quantization.qtensor.fp8_tensor import FP8QTensor
    weight, blocks = normal(rows, columns, torch.bfloat16), {-1: 128, -2: 128}
    scale = FP8QTensor.quantize(weight.float(), block_sizes=blocks)[1].float()
    stored = scale.reshape(scale.shape[0], 1, scale.shape[1], 1)  # an amax of the quantiser's has these dimensions
    packed = to_quantized_weight(weight, stored, "fp8_pb_wo", block_size=128)
    expected = FP8QTensor(weight.shape, weight.dtype, packed).dequantize(torch.float32, scale=scale, block_sizes=blocks)
    return modelopt_golden("fp8_pb_wo", dict(weight=packed, weight_scale=stored), expected.bfloat16())


@case
def modelopt_int8(rows=48, columns=96):
    from modelopt.torch.export.quant_utils import (from_quantized_weight, get_scaling_factor_from_weight,
                                                   to_quantized_weight)
    weight = normal(rows, columns)
    scale = get_scaling_factor_from_weight(weight, 0)
    packed = to_quantized_weight(weight, scale, "int8_wo")
    return modelopt_golden("W8A16", dict(weight=packed, weight_scale=scale),
                           from_quantized_weight(packed, scale, "int8_wo", torch.float32))


@case
def modelopt_int4(rows=48, columns=128, group=64):
    from modelopt.torch.export.quant_utils import get_scaling_factor_from_weight, to_quantized_weight
    weight = normal(rows, columns)
    scale = get_scaling_factor_from_weight(weight, group)
    packed = to_quantized_weight(weight, scale, "w4a8_awq", block_size=group)
    # It has no way back: its own packing, undone.
    codes = torch.stack([packed & 15, packed >> 4], 1).reshape(rows, columns).to(torch.int8)
    expected = (codes - 16 * (codes > 7)) * scale.repeat_interleave(group, 1)
    assert (expected - weight).abs().max() < 0.6 * float(scale.max())
    tensors = dict(weight=packed, weight_scale=scale, weight_scale_2=torch.tensor(0.0002))
    return modelopt_golden("W4A8_AWQ", tensors, expected, group_size=group, has_zero_point=False, pre_quant_scale=True)


@case
def modelopt_mxfp8(rows=32, columns=96):
    from modelopt.torch.quantization.qtensor.mxfp8_tensor import MXFP8QTensor
    weight = normal(rows, columns, torch.bfloat16)
    made, scale = MXFP8QTensor.quantize(weight)
    scale = scale.reshape(rows, columns // 32)
    expected = made.dequantize(torch.bfloat16, scale=scale)
    return modelopt_golden("MXFP8", dict(weight=made._quantized_data, weight_scale=scale), expected, group_size=32)


@case
def modelopt_mxfp4(rows=48, columns=96):
    from modelopt.torch.quantization.qtensor.mxfp4_tensor import MXFP4QTensor
    made, scale = MXFP4QTensor.quantize(normal(rows, columns), 32)
    expected = made.dequantize(torch.float32, scale=scale, block_sizes={-1: 32}).reshape(rows, columns)
    tensors = dict(weight=made._quantized_data, weight_scale=scale.reshape(rows, columns // 32))
    return modelopt_golden("W4A8_MXFP4_FP8", tensors, expected, group_size=32)


# ---- torchao


def torchao(rows, columns, quantise, mean=0.0):
    from torchao.core.config import config_to_dict
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import quantize_
    model = torch.nn.Sequential(linear(normal(rows, columns, torch.bfloat16, mean)).to(torch.bfloat16))
    quantize_(model, quantise)
    weight = model[0].weight
    flat, _ = flatten_tensor_state_dict({"layer.weight": weight})
    tensors = {name.split(".", 1)[1]: value.contiguous() for name, value in flat.items()}
    # As transformers' TorchAoConfig writes it.
    return dict(quant_method="torchao", quant_type=dict(default=config_to_dict(quantise))), tensors, weight.dequantize()


@case
def torchao_fp8(rows=48, columns=96):
    from torchao.quantization import Float8WeightOnlyConfig
    return torchao(rows, columns, Float8WeightOnlyConfig(version=2))


@case
def torchao_fp8_tensor():
    from torchao.quantization import Float8WeightOnlyConfig
    from torchao.quantization.granularity import PerTensor
    return torchao(48, 96, Float8WeightOnlyConfig(granularity=PerTensor()))


@case
def torchao_int8():
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig
    return torchao(48, 96, Int8DynamicActivationInt8WeightConfig())


@case
def torchao_int4(rows=48, columns=128):
    from torchao.quantization import IntxWeightOnlyConfig
    from torchao.quantization.granularity import PerGroup
    return torchao(rows, columns, IntxWeightOnlyConfig(weight_dtype=torch.int4, granularity=PerGroup(32)))


@case
def torchao_int4_asym(rows=48, columns=128):
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig
    from torchao.quantization.granularity import PerGroup
    from torchao.quantization.quant_primitives import MappingType
    return torchao(rows, columns, Int8DynamicActivationIntxWeightConfig(
        weight_dtype=torch.int4, weight_granularity=PerGroup(64), weight_mapping_type=MappingType.ASYMMETRIC), mean=0.4)


# ---- whole models: one layer of Llama, whose projections have their own sizes

HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE, VOCABULARY = 64, 2, 1, 32, 128, 96
PROJECTIONS = {
    "self_attn.q_proj": (HEADS * HEAD_DIM, HIDDEN), "self_attn.k_proj": (KV_HEADS * HEAD_DIM, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * HEAD_DIM, HIDDEN), "self_attn.o_proj": (HIDDEN, HEADS * HEAD_DIM),
    "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
    "mlp.down_proj": (HIDDEN, INTERMEDIATE),
}


def mixed(rows, columns):
    return (modelopt_nvfp4 if rows == INTERMEDIATE else modelopt_fp8)(rows, columns)


MODELS = {
    "gptq": lambda n, k: gptq(4, 32, True, True, act_order=True, rows=n, columns=k),
    "awq": lambda n, k: awq("gemm", n, k),
    "compressed_int4": lambda n, k: compressed("W4A16_ASYM", "pack-quantized", n, k, group_size=32),
    "compressed_int8": lambda n, k: compressed("INT8", "int-quantized", n, k),
    "compressed_fp8": lambda n, k: compressed("FP8_DYNAMIC", "float-quantized", n, k),
    "compressed_nvfp4": lambda n, k: compressed("NVFP4A16", "nvfp4-pack-quantized", n, k),
    "compressed_mxfp4": lambda n, k: compressed("MXFP4A16", "mxfp4-pack-quantized", n, k),
    "deepseek_fp8": deepseek,
    "modelopt_mixed": mixed,
    "torchao_fp8": torchao_fp8,
    "torchao_int4": torchao_int4_asym,
    "modelopt_int4": modelopt_int4,
}


def fnv(values):
    values = values + 0  # some packages have no -0
    value = 0xCBF29CE484222325
    for byte in values.contiguous().view(torch.uint8).reshape(-1).tolist():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def make_model(name):
    """A folder with config.json and model.safetensors; listed are the hashes of its weights as 16-bit numbers."""
    tensors, hashes, layers = {}, {}, {}
    for projection, (rows, columns) in PROJECTIONS.items():
        layer = f"model.layers.0.{projection}"
        config, stored, expected = MODELS[name](rows, columns)
        tensors |= {f"{layer}.{key}": value.detach().contiguous() for key, value in stored.items()}
        dtype = torch.float16 if expected.dtype == torch.float16 else torch.bfloat16  # that the model is run in
        hashes[layer] = fnv(expected.to(dtype))
        layers[layer] = {key: config[key] for key in ("quant_algo", "group_size") if key in config}
    plain = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "lm_head.weight": (VOCABULARY, HIDDEN)}
    for tensor, (rows, columns) in plain.items():
        tensors[tensor] = normal(rows, columns, torch.bfloat16)
    for norm in ("model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm"):
        tensors[f"{norm}.weight"] = torch.ones(HIDDEN, dtype=torch.bfloat16)
    if name == "gptq":  # as its packers do it
        tensors["model.layers.0.self_attn.q_proj.bias"] = torch.zeros(HEADS * HEAD_DIM, dtype=torch.float16)
    folder = HERE / "models" / name
    folder.mkdir(parents=True, exist_ok=True)
    model = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=HIDDEN, num_hidden_layers=1,
                 num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM,
                 intermediate_size=INTERMEDIATE, vocab_size=VOCABULARY, max_position_embeddings=128, rms_norm_eps=1e-5,
                 torch_dtype=str(dtype).split(".")[1], tie_word_embeddings=False)
    if name == "modelopt_mixed":
        beside = dict(producer=dict(name="modelopt", version="0.47.0"),
                      quantization=dict(quant_algo="MIXED_PRECISION", kv_cache_quant_algo=None,
                                        exclude_modules=["lm_head"], quantized_layers=layers))
        (folder / "hf_quant_config.json").write_text(json.dumps(beside, indent=1) + "\n")
    else:
        model["quantization_config"] = config
    (folder / "config.json").write_text(json.dumps(model, indent=1) + "\n")
    save_file(tensors, folder / "model.safetensors")
    return hashes


def update(path, names, make):
    """A line for each of `names`, those made now replaced."""
    listing = json.loads(path.read_text()) if path.exists() else {}
    for name in [name for name in names if not sys.argv[1:] or name in sys.argv[1:]]:
        listing[name] = make(name)
        print(name)
    texts = [f"  {json.dumps(name)}: {json.dumps(listing[name])}" for name in names if name in listing]
    path.write_text("{\n" + ",\n".join(texts) + "\n}\n")


def make_layer(name):
    config, tensors, expected = CASES[name]()
    file = {f"layer.{key}": value.detach().contiguous() for key, value in tensors.items()}
    save_file(file | dict(expected=expected.detach().contiguous()), HERE / "goldens" / f"{name}.safetensors")
    return dict(quantization_config=config, shape=list(expected.shape))


if not sys.argv[1:] or "quantisers" in sys.argv[1:]:
    make_quantisers()
update(HERE / "goldens.json", CASES, make_layer)
update(HERE / "models.json", MODELS, make_model)
