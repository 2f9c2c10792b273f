"""A folder laid out as Qwen-Audio-Chat, as small as it comes, and its networks written from the equations."""

import base64
import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.prompts import SYSTEM, Order, question

WIDTH, HEADS, LAYERS, MLP = 16, 2, 2, 24
AUDIO_WIDTH, AUDIO_HEADS, BANDS = 8, 2, 16
EXTRAS = 205
FURTHER = 7
"""Special tokens between the audio's place and its begin; 3,311 in the published vocabulary."""

Floats = NDArray[np.float64]


def ranks() -> list[bytes]:
    """Single bytes, then the words of prompts and answers, grown from their beginnings."""
    text = (
        question(Order.UNITS, frames=3, emotions=codec.EMOTIONS) + SYSTEM + "Action Units: sounds [( ,. )] )("
    )
    found = [bytes([byte]) for byte in range(256)]
    for word in sorted({w for part in text.split() for w in (part, " " + part)}):
        data = word.encode()
        found += [data[:end] for end in range(2, len(data) + 1) if data[:end] not in found]
    return [*found, "ö".encode(), "né".encode(), "é".encode()]


def write_folder(
    folder: Path, *, seed: int = 0, seq_length: int = 2048, shards: int = 2, scale: float = 0.3
) -> Path:
    """Writes config, vocabulary and sharded weights of random numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = ranks()
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    (folder / "qwen.tiktoken").write_text("\n".join(lines) + "\n")
    begin = len(tokens) + 3 + EXTRAS + 1 + FURTHER
    config = {
        "model_type": "qwen", "hidden_size": WIDTH, "intermediate_size": 2 * MLP, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "kv_channels": WIDTH // HEADS, "layer_norm_epsilon": 1e-5,
        "max_position_embeddings": 8192, "no_bias": True, "rotary_emb_base": 10000, "rotary_pct": 1.0,
        "seq_length": seq_length, "tie_word_embeddings": False,
        "use_dynamic_ntk": True, "use_logn_attn": True,
        "vocab_size": begin + 9, "auto_map": {"AutoModelForCausalLM": "modeling_qwen.QWenLMHeadModel"},
        "audio": {
            "n_mels": BANDS, "n_ctx": 1500, "n_state": AUDIO_WIDTH, "n_head": AUDIO_HEADS, "n_layer": 1,
            "output_dim": WIDTH, "avg_pool": True, "add_audio_bos_eos_token": True, "audio_start_id": begin,
        },
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_qwen.py").write_text("raise SystemExit('the code of a folder was run')")
    save_sharded(folder, weights(begin + 9, seed=seed, scale=scale), shards)
    return folder


def save_sharded(folder: Path, tensors: dict[str, Tensor], shards: int) -> None:
    names, where = sorted(tensors), {}
    for number in range(shards):
        file = f"model-{number + 1:05d}-of-{shards:05d}.safetensors"
        own = {name: tensors[name].contiguous() for name in names[number::shards]}
        save_file(own, folder / file)
        where |= dict.fromkeys(own, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def weights(vocabulary: int, *, seed: int = 0, scale: float = 0.3) -> dict[str, Tensor]:
    """Random weights under the published names."""
    generator = torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return scale * torch.randn(shape, generator=generator)

    found = {
        "transformer.wte.weight": some(vocabulary, WIDTH),
        "transformer.ln_f.weight": 1 + some(WIDTH),
        "lm_head.weight": some(vocabulary, WIDTH),
    }
    for layer in range(LAYERS):
        own = f"transformer.h.{layer}."
        found |= {
            own + "ln_1.weight": 1 + some(WIDTH), own + "ln_2.weight": 1 + some(WIDTH),
            own + "attn.c_attn.weight": some(3 * WIDTH, WIDTH), own + "attn.c_attn.bias": some(3 * WIDTH),
            own + "attn.c_proj.weight": some(WIDTH, WIDTH),
            own + "mlp.w1.weight": some(MLP, WIDTH), own + "mlp.w2.weight": some(MLP, WIDTH),
            own + "mlp.c_proj.weight": some(WIDTH, MLP),
        }  # fmt: skip
    audio, side = "transformer.audio.", AUDIO_WIDTH
    found |= {
        audio + "conv1.weight": some(side, BANDS, 3), audio + "conv1.bias": some(side),
        audio + "conv2.weight": some(side, side, 3), audio + "conv2.bias": some(side),
        audio + "positional_embedding": some(1500, side),
        audio + "ln_post.weight": 1 + some(side), audio + "ln_post.bias": some(side),
        audio + "proj.weight": some(WIDTH, side), audio + "proj.bias": some(WIDTH),
        audio + "audio_bos_eos_token.weight": some(2, WIDTH),
    }  # fmt: skip
    block = audio + "blocks.0."
    for name, (rows, columns) in {
        "attn.query": (side, side), "attn.key": (side, side), "attn.value": (side, side),
        "attn.out": (side, side), "mlp.0": (4 * side, side), "mlp.2": (side, 4 * side),
    }.items():  # fmt: skip
        found[f"{block}{name}.weight"] = some(rows, columns)
        if name != "attn.key":
            found[f"{block}{name}.bias"] = some(rows)
    for name in ("attn_ln", "mlp_ln"):
        found |= {f"{block}{name}.weight": 1 + some(side), f"{block}{name}.bias": some(side)}
    return found


# The equations, one number at a time where that is clearer than fast.


def joined(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    """Byte-pair encoding of a word: the neighbours of the lowest rank are joined, leftmost first."""
    parts = [bytes([byte]) for byte in word]
    while True:
        pairs = [(ranks[a + b], i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in ranks]
        if not pairs:
            return [ranks[part] for part in parts]
        _, place = min(pairs)
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def softmax(values: Floats) -> Floats:
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def gelu(values: Floats) -> Floats:
    return values * 0.5 * (1 + np.vectorize(math.erf)(values / math.sqrt(2)))


def layer_norm(values: Floats, w: dict[str, Floats], name: str) -> Floats:
    centred = values - values.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    return centred / spread * w[name + ".weight"] + w[name + ".bias"]


def rms_norm(values: Floats, weight: Floats) -> Floats:
    return values / np.sqrt((values**2).mean(-1, keepdims=True) + 1e-5) * weight


def linear(values: Floats, w: dict[str, Floats], name: str) -> Floats:
    return values @ w[name + ".weight"].T + w.get(name + ".bias", np.zeros(1))


def convolution(values: Floats, w: dict[str, Floats], name: str, stride: int) -> Floats:
    """[T, C] → [T', D], three taps, zeros around."""
    padded = np.pad(values, ((1, 1), (0, 0)))
    taps = w[name + ".weight"]
    places = range(0, len(values), stride)
    return np.stack([np.einsum("kc,dck->d", padded[t : t + 3], taps) for t in places]) + w[name + ".bias"]


def encoded_audio(mel: Floats, w: dict[str, Floats]) -> Floats:
    """Vectors of an audio [N, WIDTH] from its log-mel frames [T, BANDS], T even, alone in its batch."""
    audio, block = "transformer.audio.", "transformer.audio.blocks.0."
    hidden = gelu(convolution(gelu(convolution(mel, w, audio + "conv1", 1)), w, audio + "conv2", 2))
    hidden = hidden + w[audio + "positional_embedding"][: len(hidden)]
    normed, side = layer_norm(hidden, w, block + "attn_ln"), AUDIO_WIDTH // AUDIO_HEADS
    query, key, value = (linear(normed, w, f"{block}attn.{name}") for name in ("query", "key", "value"))
    heads = []
    for head in range(AUDIO_HEADS):
        own = slice(head * side, (head + 1) * side)
        heads.append(softmax(query[:, own] @ key[:, own].T / math.sqrt(side)) @ value[:, own])
    hidden = hidden + linear(np.concatenate(heads, 1), w, block + "attn.out")
    inner = gelu(linear(layer_norm(hidden, w, block + "mlp_ln"), w, block + "mlp.0"))
    hidden = hidden + linear(inner, w, block + "mlp.2")
    pairs = hidden[: len(hidden) // 2 * 2].reshape(-1, 2, AUDIO_WIDTH).mean(1)
    return linear(layer_norm(pairs, w, audio + "ln_post"), w, audio + "proj")


def turned(values: Floats) -> Floats:
    """Rotary positions on [T, D]: number i and number i + D/2 turn by position / 10000^(2 i / D)."""
    count, width = values.shape
    out, half = values.copy(), width // 2
    for position in range(count):
        for i in range(half):
            angle = position / 10000 ** (2 * i / width)
            first, second = values[position, i], values[position, i + half]
            out[position, i] = first * math.cos(angle) - second * math.sin(angle)
            out[position, i + half] = second * math.cos(angle) + first * math.sin(angle)
    return out


def logits(embedded: Floats, w: dict[str, Floats], *, trained_length: int) -> Floats:
    """Logits [T, V] of a sequence of embeddings, in evaluation."""
    hidden, side = embedded, WIDTH // HEADS
    for layer in range(LAYERS):
        own = f"transformer.h.{layer}."
        mixed = linear(rms_norm(hidden, w[own + "ln_1.weight"]), w, own + "attn.c_attn")
        query, key, value = np.split(mixed, 3, axis=1)
        heads = []
        for head in range(HEADS):
            columns = slice(head * side, (head + 1) * side)
            q, k = turned(query[:, columns]), turned(key[:, columns])
            for place in range(len(q)):
                if place + 1 > trained_length:
                    q[place] *= math.log(place + 1, trained_length)
            scores = q @ k.T / math.sqrt(side)
            scores[np.triu_indices(len(q), 1)] = -np.inf
            heads.append(softmax(scores) @ value[:, columns])
        hidden = hidden + linear(np.concatenate(heads, 1), w, own + "attn.c_proj")
        normed = rms_norm(hidden, w[own + "ln_2.weight"])
        gate = linear(normed, w, own + "mlp.w2")
        inner = linear(normed, w, own + "mlp.w1") * gate / (1 + np.exp(-gate))
        hidden = hidden + linear(inner, w, own + "mlp.c_proj")
    return rms_norm(hidden, w["transformer.ln_f.weight"]) @ w["lm_head.weight"].T


def write_adapter(folder: Path, *, rank: int = 3, alpha: int = 6, layers: int = LAYERS) -> dict[str, Tensor]:
    """Writes LoRA of the published modules as peft does and returns its tensors."""
    generator = torch.Generator().manual_seed(5)
    sizes = {"attn.c_attn": (3 * WIDTH, WIDTH), "attn.c_proj": (WIDTH, WIDTH), "mlp.w1": (MLP, WIDTH),
             "mlp.w2": (MLP, WIDTH), "mlp.c_proj": (WIDTH, MLP)}  # fmt: skip
    tensors: dict[str, Tensor] = {}
    for layer in range(layers):
        for name, (rows, columns) in sizes.items():
            place = f"base_model.model.transformer.h.{layer}.{name}."
            tensors[place + "lora_A.weight"] = torch.randn((rank, columns), generator=generator)
            tensors[place + "lora_B.weight"] = 0.2 * torch.randn((rows, rank), generator=generator)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    stated = {
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "lora_dropout": 0.05, "bias": "none",
        "target_modules": ["c_proj", "w1", "w2", "c_attn"], "base_model_name_or_path": "Qwen/Qwen-Audio-Chat",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(stated))
    return tensors
