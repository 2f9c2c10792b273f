"""AUHead's size: the audio-language models of transformers behind one class, with or without a LoRA adapter.

Qwen2-Audio and the thinker of Qwen2.5-Omni take the same prompt and the same features; Qwen-Audio-Chat has
other tokens for the place of the audio (`qwen_audio`). Models are read from local folders in safetensors;
nothing is downloaded and no code of a folder is run.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auteur.errors import UsageError, WeightsError
from auteur.expression.audio_lm import codec, qwen_audio
from auteur.expression.audio_lm.codec import Answer
from auteur.expression.audio_lm.decoding import AnswerLogitsProcessor, token_grammar
from auteur.expression.audio_lm.grammar import AnswerGrammar
from auteur.expression.audio_lm.prompts import (
    SYSTEM,
    Order,
    layout,
    question,
    read_answer,
    token_budget,
)
from auteur.signals import Waveform

ARCHITECTURES = {
    "qwen2_audio": "Qwen2AudioForConditionalGeneration",
    "qwen2_5_omni_thinker": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
}
"""Class in transformers by the model type in config.json; of Qwen2.5-Omni only the thinker is used."""
MARKUP = ("<|AUDIO|>", " <|audio_bos|>", "<|audio_eos|>")
"""Tokens for a place of the audio, before it and after it, in the prompt."""
QWEN_AUDIO_MARKUP = (qwen_audio.AUDIO, qwen_audio.AUDIO_BEGIN, qwen_audio.AUDIO_END)
LONGEST_SEC = 30
"""Longest input of the audio towers, in seconds."""
BASE_FACTS = "auteur_base.json"
"""File in an adapter's folder that names its base."""
_RATE_HZ = 16_000


@dataclass(frozen=True, kw_only=True)
class Question:
    """One recording and its prompt."""

    sound: Waveform
    order: Order = Order.EMOTION_THEN_UNITS
    emotion: str | None = None
    """Given emotion, for A+E->AU."""

    @property
    def frames(self) -> int:
        """Frames of the answer."""
        return codec.frame_count(self.sound.duration_sec)


@dataclass(frozen=True, kw_only=True)
class LoRASettings:
    """The author's values; the targets are Qwen2's names for Qwen's c_attn, c_proj, w1 and w2."""

    rank: int = 64
    alpha: int = 16
    dropout: float = 0.05
    targets: str = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    """Regular expression over module names; the audio tower stays as it is."""


class PretrainedAudioLM:
    """A base model with its tokenizer and feature extractor.

    Attributes:
        model: The transformers model, or the peft model around it.
        emotions: Words that may be written as the emotion.
    """

    def __init__(self, model: Any, tokenizer: Any, extractor: Any, *, emotions: Sequence[str]) -> None:
        self.model, self.tokenizer, self.extractor = model, tokenizer, extractor
        self.emotions = tuple(emotions)
        self._is_qwen_audio = base_facts(model)["model_type"] == qwen_audio.KIND
        self._audio, self._begin, self._stop = QWEN_AUDIO_MARKUP if self._is_qwen_audio else MARKUP
        ends = tokenizer.convert_tokens_to_ids("<|im_end|>")
        self._end = int(tokenizer.eos_token_id if ends is None or ends == tokenizer.unk_token_id else ends)
        size = int(model.get_input_embeddings().weight.shape[0])
        self._tokens = token_grammar(tokenizer, end=self._end, size=size)

    @classmethod
    def from_folder(
        cls,
        folder: Path | str,
        *,
        adapter: Path | str | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        emotions: Sequence[str] = codec.EMOTIONS,
    ) -> "PretrainedAudioLM":
        """Returns the model saved in a folder.

        Args:
            folder: What `save_pretrained` wrote: model, tokenizer and feature extractor; or Qwen-Audio-Chat.
            adapter: Folder that `save_adapter` wrote; or, of Qwen-Audio-Chat, one of peft.
            device: Where it runs.
            dtype: Of its weights; bfloat16 on a GPU.
            emotions: Words that may be written as the emotion; the eight of MEAD unless given.

        Raises:
            UsageError: transformers (or, for an adapter, peft) is not installed.
            WeightsError: The folder holds no such model, or the adapter fits another base.
        """
        _transformers()
        place = str(folder)
        own = qwen_audio.read_config(Path(folder))
        if own is not None:
            model, tokenizer, extractor = qwen_audio.load_qwen_audio(Path(folder), own, dtype=dtype)
        else:
            model, tokenizer, extractor = _of_transformers(place, dtype)
        if adapter is not None:
            model = _with_adapter(model, Path(adapter))
        return cls(model.to(device).eval(), tokenizer, extractor, emotions=emotions)

    def add_adapter(self, settings: LoRASettings = LoRASettings()) -> None:
        """Puts a fresh LoRA adapter around the model and freezes everything else.

        Raises:
            UsageError: peft is not installed, or there is an adapter already.
        """
        peft = _peft()
        if hasattr(self.model, "peft_config"):
            raise UsageError("the model has an adapter already; start from the base model")
        config = peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=settings.targets,
            bias="none",
            task_type="CAUSAL_LM",
        )
        self.model = peft.get_peft_model(self.model, config)

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter and the facts of its base into a folder.

        Raises:
            UsageError: There is no adapter.
        """
        if not hasattr(self.model, "peft_config"):
            raise UsageError("the model has no adapter to save; call add_adapter and train it")
        self.model.save_pretrained(str(folder), safe_serialization=True)
        (folder / BASE_FACTS).write_text(json.dumps(base_facts(self.model)), encoding="utf-8")

    @torch.inference_mode()
    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Returns the answers, decoded greedily, together, with a key-value cache and the grammar.

        Raises:
            UsageError: A recording is longer than 30 s: cut it into chunks.
        """
        inputs = self.encode([self.prompt(one) for one in questions], [one.sound for one in questions])
        parts = [layout(one.order, frames=one.frames, emotions=self.emotions) for one in questions]
        processor = AnswerLogitsProcessor(
            self._tokens,
            [AnswerGrammar(each) for each in parts],
            prompt_length=inputs["input_ids"].shape[1],
        )
        written = self.model.generate(
            **inputs,
            logits_processor=[processor],
            max_new_tokens=max(map(token_budget, parts)),
            do_sample=False,
            use_cache=True,
            eos_token_id=self._end,
            pad_token_id=self._padding,
        )
        texts = self.tokenizer.batch_decode(
            written[:, inputs["input_ids"].shape[1] :],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return [read_answer(text, frames=one.frames) for text, one in zip(texts, questions, strict=True)]

    def prompt(self, one: Question) -> str:
        """Returns everything before the answer, with the audio's place in it."""
        requested = question(one.order, frames=one.frames, emotion=one.emotion, emotions=self.emotions)
        return (
            f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"
            f"Audio 1:{self._begin}{self._audio}{self._stop}\n{requested}<|im_end|>\n"
            "<|im_start|>assistant\n"
        )

    def encode(self, texts: Sequence[str], sounds: Sequence[Waveform]) -> dict[str, Tensor]:
        """Returns the model's inputs for texts with one audio each, padded on the left, on its device.

        Raises:
            UsageError: A recording is longer than 30 s.
        """
        heard = self._features(sounds)
        counts = heard["feature_attention_mask"].sum(-1).tolist()
        spread = [
            text.replace(self._audio, self._audio * audio_tokens(int(count)))
            for text, count in zip(texts, counts, strict=True)
        ]
        rows = [self.tokenizer.encode(text, add_special_tokens=False) for text in spread]
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self._padding)
        mask = torch.zeros_like(ids)
        for row, tokens in enumerate(rows):
            ids[row, longest - len(tokens) :] = torch.tensor(tokens)
            mask[row, longest - len(tokens) :] = 1
        device, dtype = self.model.device, self.model.dtype
        return {
            "input_ids": ids.to(device),
            "attention_mask": mask.to(device),
            "input_features": heard["input_features"].to(device, dtype),
            "feature_attention_mask": heard["feature_attention_mask"].to(device),
        }

    def learning_batch(self, questions: Sequence[Question], answers: Sequence[str]) -> dict[str, Tensor]:
        """Returns inputs with "labels" [B, N] that are -100 everywhere but on the answers and their ends."""
        texts = [
            self.prompt(one) + answer + "<|im_end|>" for one, answer in zip(questions, answers, strict=True)
        ]
        batch = self.encode(texts, [one.sound for one in questions])
        labels = torch.full_like(batch["input_ids"], -100)
        for row, answer in enumerate(answers):
            count = len(self.tokenizer.encode(answer + "<|im_end|>", add_special_tokens=False))
            labels[row, -count:] = batch["input_ids"][row, -count:]
        return batch | {"labels": labels}

    @property
    def _padding(self) -> int:
        found = self.tokenizer.pad_token_id
        return int(self._end if found is None else found)

    def _features(self, sounds: Sequence[Waveform]) -> dict[str, Tensor]:
        too_long = [sound for sound in sounds if sound.duration_sec > LONGEST_SEC]
        if too_long:
            raise UsageError(
                f"a recording lasts {float(too_long[0].duration_sec):.1f} s; "
                f"at most {LONGEST_SEC} s fit: cut it"
            )
        samples = [np.array(sound.resample(_RATE_HZ).samples) for sound in sounds]
        found = self.extractor(
            samples,
            sampling_rate=_RATE_HZ,
            return_attention_mask=True,
            padding="max_length",
            return_tensors="pt",
        )
        features, mask = found["input_features"], found["attention_mask"].long()
        if self._is_qwen_audio:
            frames = [qwen_audio.whole_frames(one.size) for one in samples]
            features = qwen_audio.silenced(features, frames)
            mask = (torch.arange(mask.shape[1]) < torch.tensor(frames)[:, None]).long()
        return {"input_features": features, "feature_attention_mask": mask}


def _of_transformers(place: str, dtype: torch.dtype) -> tuple[Any, Any, Any]:
    """Model, tokenizer and feature extractor of a folder that transformers wrote."""
    transformers = _transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(place, local_files_only=True)
        if config.model_type not in ARCHITECTURES:
            raise WeightsError(
                f"{place!r} holds a {config.model_type}; "
                f"a model of one of {', '.join(ARCHITECTURES)} is needed"
            )
        kind = getattr(transformers, ARCHITECTURES[config.model_type])
        model = kind.from_pretrained(place, local_files_only=True, use_safetensors=True, dtype=dtype)
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, local_files_only=True)
        extractor = transformers.AutoFeatureExtractor.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, WeightsError):
            raise
        cause = str(error).splitlines()[0]
        raise WeightsError(f"{place!r} holds no audio-language model: {cause}") from error
    return model, tokenizer, extractor


def audio_tokens(mel_frames: int) -> int:
    """Returns how many embeddings the audio tower makes of 10-ms frames: two convolutions and a pooling."""
    return ((mel_frames - 1) // 2 + 1 - 2) // 2 + 1


def base_facts(model: Any) -> dict[str, Any]:
    """Returns the facts of a base that an adapter depends on: kind and sizes."""
    config = model.config
    text = config.get_text_config()
    return {
        "model_type": getattr(config, "published_type", config.model_type),
        "hidden_size": text.hidden_size,
        "layers": text.num_hidden_layers,
        "vocabulary": text.vocab_size,
    }


def _with_adapter(model: Any, folder: Path) -> Any:
    peft = _peft()
    found = base_facts(model)
    is_published = found["model_type"] == qwen_audio.KIND and not (folder / BASE_FACTS).exists()
    if not is_published:
        _check_facts(folder, found)
    try:
        if is_published:
            return qwen_audio.with_published_adapter(model, folder, LoRASettings().targets)
        return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=False)
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, WeightsError):
            raise
        cause = str(error).splitlines()[0]
        raise WeightsError(f"the adapter {str(folder)!r} cannot be loaded: {cause}") from error


def _check_facts(folder: Path, found: dict[str, Any]) -> None:
    """Raises `WeightsError` if an adapter's own record of its base is missing or states another one."""
    try:
        wanted = json.loads((folder / BASE_FACTS).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{str(folder)!r} holds no adapter of this project: {BASE_FACTS} is missing or damaged; "
            "name the folder that `auteur train audio-lm-lora` wrote"
        ) from error
    if wanted != found:
        raise WeightsError(
            f"the adapter {str(folder)!r} was trained on {_described(wanted)}, "
            f"the base model is {_described(found)}; use the base it was trained on"
        )


def _described(facts: dict[str, Any]) -> str:
    return (
        f"a {facts.get('model_type')} of width {facts.get('hidden_size')} with {facts.get('layers')} layers"
    )


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise UsageError("transformers is not installed; run: pip install 'auteur-face[full]'") from error
    return transformers


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise UsageError("peft is not installed; run: pip install 'auteur-face[full]'") from error
    return peft
