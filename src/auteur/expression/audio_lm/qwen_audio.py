"""Qwen-Audio-Chat, paper A's own base, in transformers' classes of Qwen2-Audio.

The published folder holds its classes as code, which is never run. Its networks are those of Qwen2-Audio
under other names: Whisper's encoder with 80 bands, pooled by two before the last norm, a linear projection,
and a decoder with rotary positions, RMS norms and a gated MLP, c_proj(w1(x) · silu(w2(x))). So the weights
are renamed while they are read. Three differences are kept:

* The learned vectors for begin and end of the audio stand in place of two tokens: they become the embeddings
  of these tokens, which occur nowhere else.
* Queries beyond position L = 2048 are multiplied by log(position) / log(L), in evaluation only.
* An audio counts as many 10-ms frames as are whole, and the encoder is given zeros behind them.

Not kept: rotary frequencies that are spread out for prompts longer than L tokens; with 30 s of audio they
have about 1,000.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from auteur.errors import WeightsError
from auteur.expression.audio_lm.qwen_vocabulary import EXTRAS, FILE, SPECIAL, read_ranks, tokenizer_of

KIND = "qwen"
"""Model type in config.json."""
AUDIO, AUDIO_BEGIN, AUDIO_END = "[[[AUDIO:modality]]]", "<audio>", "</audio>"
TARGETS = {"c_attn": ("q_proj", "k_proj", "v_proj"), "c_proj": ("o_proj", "down_proj"), "w1": ("up_proj",),
           "w2": ("gate_proj",)}  # fmt: skip
"""Modules of transformers that stand for each of the published ones."""
_ATTENTION = "auteur_log_length"
_INDEX = "model.safetensors.index.json"

_LAYER, _BLOCK = "model.language_model.layers", "model.audio_tower.layers"
_NAMES = (
    (r"lm_head\.weight", "lm_head.weight"),
    (r"transformer\.wte\.weight", "model.language_model.embed_tokens.weight"),
    (r"transformer\.ln_f\.weight", "model.language_model.norm.weight"),
    (r"transformer\.h\.(\d+)\.ln_1\.(.+)", rf"{_LAYER}.\1.input_layernorm.\2"),
    (r"transformer\.h\.(\d+)\.ln_2\.(.+)", rf"{_LAYER}.\1.post_attention_layernorm.\2"),
    (r"transformer\.h\.(\d+)\.attn\.c_attn\.(.+)", rf"{_LAYER}.\1.self_attn.qkv_proj.\2"),
    (r"transformer\.h\.(\d+)\.attn\.c_proj\.(.+)", rf"{_LAYER}.\1.self_attn.o_proj.\2"),
    (r"transformer\.h\.(\d+)\.mlp\.w1\.(.+)", rf"{_LAYER}.\1.mlp.up_proj.\2"),
    (r"transformer\.h\.(\d+)\.mlp\.w2\.(.+)", rf"{_LAYER}.\1.mlp.gate_proj.\2"),
    (r"transformer\.h\.(\d+)\.mlp\.c_proj\.(.+)", rf"{_LAYER}.\1.mlp.down_proj.\2"),
    (r"transformer\.audio\.(conv[12])\.(.+)", r"model.audio_tower.\1.\2"),
    (r"transformer\.audio\.positional_embedding", "model.audio_tower.embed_positions.weight"),
    (r"transformer\.audio\.ln_post\.(.+)", r"model.audio_tower.layer_norm.\1"),
    (r"transformer\.audio\.proj\.(.+)", r"model.multi_modal_projector.linear.\1"),
    (r"transformer\.audio\.blocks\.(\d+)\.attn\.query\.(.+)", rf"{_BLOCK}.\1.self_attn.q_proj.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.attn\.key\.(.+)", rf"{_BLOCK}.\1.self_attn.k_proj.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.attn\.value\.(.+)", rf"{_BLOCK}.\1.self_attn.v_proj.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.attn\.out\.(.+)", rf"{_BLOCK}.\1.self_attn.out_proj.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.attn_ln\.(.+)", rf"{_BLOCK}.\1.self_attn_layer_norm.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.mlp\.0\.(.+)", rf"{_BLOCK}.\1.fc1.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.mlp\.2\.(.+)", rf"{_BLOCK}.\1.fc2.\2"),
    (r"transformer\.audio\.blocks\.(\d+)\.mlp_ln\.(.+)", rf"{_BLOCK}.\1.final_layer_norm.\2"),
)
"""Published name → name in transformers; "qkv_proj" is divided into three."""
_BORDERS = "transformer.audio.audio_bos_eos_token.weight"
_COMPUTED = re.compile(r".*(masked_bias|inv_freq|logn_tensor)")


def read_config(folder: Path) -> dict[str, Any] | None:
    """Returns config.json of a folder if it holds a Qwen of the first kind.

    Raises:
        WeightsError: It is one without audio, or of another form than Qwen-Audio-Chat.
    """
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # what is missing or damaged is reported where it is read
    if not isinstance(found, dict) or found.get("model_type") != KIND:
        return None
    audio = found.get("audio")
    if not isinstance(audio, dict):
        raise WeightsError(f"{str(folder)!r} holds a qwen without audio; name the folder of Qwen-Audio-Chat")
    wanted = {"no_bias": True, "rotary_pct": 1.0, "tie_word_embeddings": False}
    wanted_audio = {"avg_pool": True, "add_audio_bos_eos_token": True}
    for name, value in wanted.items():
        if found.get(name, value) != value:
            raise WeightsError(f"{str(folder)!r}: {name} is {found[name]}; Qwen-Audio-Chat has {value}")
    for name, value in wanted_audio.items():
        if audio.get(name, value) != value:
            raise WeightsError(f"{str(folder)!r}: audio.{name} is {audio[name]}; Qwen-Audio-Chat has {value}")
    return found


def load_qwen_audio(folder: Path, config: dict[str, Any], *, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    """Returns model, tokenizer and feature extractor of a folder.

    Args:
        folder: As it was published, with weights in safetensors.
        config: What `read_config` returned.
        dtype: Of the weights.

    Raises:
        WeightsError: Something is missing or has another shape.
    """
    import transformers

    try:
        sizes = _config(config)
        begin = int(config["audio"]["audio_start_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{str(folder)!r}: config.json lacks or garbles {error}") from error
    ranks = begin_of_audio(folder / FILE, begin)
    tokenizer = tokenizer_of(folder / FILE, ranks)
    sizes.audio_token_id = ranks[AUDIO]
    with torch.device("meta"):
        model = transformers.Qwen2AudioForConditionalGeneration(sizes)
    weights = _renamed(folder, dtype)
    borders = weights.pop(_BORDERS)
    _check(folder, model.state_dict(), weights, borders, sizes.text_config.hidden_size)
    weights["model.language_model.embed_tokens.weight"][begin : begin + 2] = borders
    model = transformers.Qwen2AudioForConditionalGeneration.from_pretrained(
        None, config=sizes, state_dict=weights, dtype=dtype
    )
    model.config.published_type = KIND
    _scale_long_queries(model.model.language_model, config)
    return model, tokenizer, transformers.WhisperFeatureExtractor(feature_size=int(config["audio"]["n_mels"]))


def begin_of_audio(path: Path, begin: int) -> dict[str, int]:
    """Returns the numbers of the three tokens of audio: its place follows the unused tokens."""
    place = len(read_ranks(path)) + len(SPECIAL) + EXTRAS
    if begin <= place:
        raise WeightsError(
            f"{str(path)!r} has tokens up to {place}, and audio_start_id in config.json is {begin}; they "
            "belong to different models"
        )
    return {AUDIO: place, AUDIO_BEGIN: begin, AUDIO_END: begin + 1}


def whole_frames(samples: int) -> int:
    """Returns how many 10-ms frames of 16 kHz count."""
    return samples // 160


def silenced(features: Tensor, frames: list[int]) -> Tensor:
    """Returns log-mel features [B, M, N] with zeros behind the frames of each audio, rounded up to pairs."""
    features = features.clone()
    for row, count in enumerate(frames):
        features[row, :, 2 * ((count + 1) // 2) :] = 0
    return features


def with_published_adapter(model: Any, folder: Path, targets: str) -> Any:
    """Returns a model with a LoRA adapter of the published modules, as peft wrote it.

    Args:
        model: What `load_qwen_audio` returned.
        folder: With adapter_config.json and adapter_model.safetensors.
        targets: Regular expression over the modules of transformers that stand for the adapted ones.

    Raises:
        WeightsError: It is no such adapter, adapts something else or fits another base.
    """
    import peft

    path = folder / "adapter_config.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        named = set(stated["target_modules"])
        rank, alpha = int(stated["r"]), int(stated["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"cannot read the adapter's {str(path)!r}: {error}") from error
    unusual = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "layers_to_transform")
    more = [name for name in unusual if stated.get(name)]
    if stated.get("bias", "none") != "none" or more or not named <= {*TARGETS}:
        which = (
            f"target_modules {', '.join(sorted(named - {*TARGETS}))}" if not named <= {*TARGETS} else "bias"
        )
        raise WeightsError(
            f"the adapter {str(folder)!r} has {more[0] if more else which}; plain LoRA of "
            f"{', '.join(TARGETS)} is read"
        )
    weights = renamed_adapter(_adapter_tensors(folder / "adapter_model.safetensors"))
    kept = "|".join(place for name in named for place in TARGETS[name])
    is_root = bool(stated.get("use_rslora", False))
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, target_modules=targets[: targets.rindex("(")] + f"({kept})", bias="none",
        task_type="CAUSAL_LM", use_rslora=is_root, inference_mode=True,
    )  # fmt: skip
    adapted = peft.get_peft_model(model, config)
    own = peft.get_peft_model_state_dict(adapted)
    unlike = [name for name in own if name not in weights or weights[name].shape != own[name].shape]
    if unlike or len(own) != len(weights):
        which = f"{unlike[0]!r} is missing or has another shape" if unlike else "it adapts more layers"
        raise WeightsError(f"the adapter {str(folder)!r} fits another base: {which}")
    peft.set_peft_model_state_dict(adapted, weights)
    return adapted


def _adapter_tensors(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise WeightsError(f"{str(path)!r} is missing; pickles (.bin) are not read: save it as safetensors")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read the adapter {str(path)!r}: {error}") from error


def renamed_adapter(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Returns a LoRA adapter of the published modules as one of transformers' modules.

    c_attn is three modules: they share its first factor, and each takes its third of the second.

    Raises:
        WeightsError: A tensor belongs to no module of the decoder.
    """
    found: dict[str, Tensor] = {}
    prefix = "base_model.model."
    for name, tensor in tensors.items():
        own = name.removeprefix(prefix)
        place = _place(own)
        if not name.startswith(prefix) or place is None or ".lora_" not in own or _LAYER not in place:
            raise WeightsError(f"the adapter adapts {name!r}; its targets must be among {', '.join(TARGETS)}")
        is_shared = ".lora_A." in own
        parts = [tensor] * 3 if is_shared else list(tensor.chunk(3))
        found |= _divided(prefix + place, parts) if "qkv_proj" in place else {prefix + place: tensor}
    return found


def _config(config: dict[str, Any]) -> Any:
    import transformers

    audio = config["audio"]
    text = {
        "model_type": "qwen2",
        "hidden_size": int(config["hidden_size"]),
        "intermediate_size": int(config["intermediate_size"]) // 2,  # of w1 and w2 together
        "num_hidden_layers": int(config["num_hidden_layers"]),
        "num_attention_heads": int(config["num_attention_heads"]),
        "num_key_value_heads": int(config["num_attention_heads"]),
        "max_position_embeddings": int(config["max_position_embeddings"]),
        "rms_norm_eps": float(config["layer_norm_epsilon"]),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(config["rotary_emb_base"])},
        "vocab_size": int(config["vocab_size"]),
        "tie_word_embeddings": False,
    }
    tower = {
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": int(audio["n_mels"]),
        "d_model": int(audio["n_state"]),
        "encoder_layers": int(audio["n_layer"]),
        "encoder_attention_heads": int(audio["n_head"]),
        "encoder_ffn_dim": 4 * int(audio["n_state"]),
        "max_source_positions": int(audio["n_ctx"]),
    }
    return transformers.Qwen2AudioConfig(audio_config=tower, text_config=text)


def _files(folder: Path) -> list[Path]:
    index = folder / _INDEX
    if index.exists():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError) as error:
            raise WeightsError(f"{str(index)!r} is no index of weights: {error}") from error
        return [folder / Path(str(name)).name for name in names]
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise WeightsError(
            f"{str(folder)!r} holds no weights in safetensors; pickles (.bin) are not read: save the model "
            "with safe_serialization=True"
        )
    return found


def _stored(folder: Path) -> Iterator[tuple[str, Tensor]]:
    for path in _files(folder):
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118 - no mapping
                    yield name, file.get_tensor(name)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"cannot read the weights {str(path)!r}: {error}") from error


def _renamed(folder: Path, dtype: torch.dtype) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in _stored(folder):
        if _COMPUTED.fullmatch(name):
            continue
        values = tensor.to(dtype)
        place = _place(name)
        if name == _BORDERS:
            found[name] = values
        elif place is None:
            raise WeightsError(f"{str(folder)!r} holds {name!r}, which Qwen-Audio-Chat does not have")
        elif "qkv_proj" in place:
            found |= _divided(place, [part.clone() for part in values.chunk(3)])
        else:
            found[place] = values
    if _BORDERS not in found:
        raise WeightsError(f"{str(folder)!r} lacks {_BORDERS!r}; copy all files of the model")
    return found


def _place(name: str) -> str | None:
    for pattern, place in _NAMES:
        match = re.fullmatch(pattern, name)
        if match is not None:
            return match.expand(place)
    return None


def _divided(place: str, parts: list[Tensor]) -> dict[str, Tensor]:
    return {
        place.replace("qkv_proj", each): part for each, part in zip(TARGETS["c_attn"], parts, strict=True)
    }


def _check(
    folder: Path, wanted: dict[str, Tensor], found: dict[str, Tensor], borders: Tensor, width: int
) -> None:
    """Raises `WeightsError` for the first weight that is missing, beyond the model or of another shape."""
    missing, further = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or further:
        names = f"lacks {missing[0]!r}" if missing else f"holds {further[0]!r} beyond its config.json"
        raise WeightsError(f"{str(folder)!r} {names} (name in transformers); copy all files of the model")
    shapes = {name: (tuple(found[name].shape), tuple(wanted[name].shape)) for name in wanted}
    shapes[_BORDERS] = (tuple(borders.shape), (2, width))
    for name, (own, right) in shapes.items():
        if own != right:
            raise WeightsError(f"{str(folder)!r}: {name} has the shape {own}; config.json states {right}")


def _scale_long_queries(decoder: Any, config: dict[str, Any]) -> None:
    """Has a decoder multiply its queries beyond the length of its training, if the config states so."""
    if not config.get("use_logn_attn", False):
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import sdpa_mask

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **more: Any
    ) -> Any:
        if not module.training:
            factors = length_factors(key.shape[2], module.config.trained_length)[-query.shape[2] :]
            query = query * factors.to(query)[:, None]
        return sdpa_attention_forward(module, query, key, value, mask, **more)

    AttentionInterface.register(_ATTENTION, attend)
    AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
    decoder.config.trained_length = int(config["seq_length"])
    decoder.set_attn_implementation(_ATTENTION)


def length_factors(positions: int, trained_length: int) -> Tensor:
    """Returns the factor on the query at each position, from 1 on: 1, beyond L log(position) / log(L)."""
    places = torch.arange(1, positions + 1, dtype=torch.float32)
    return (places.log() / math.log(trained_length)).clamp(min=1)
