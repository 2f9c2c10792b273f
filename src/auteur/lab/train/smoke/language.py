"""An audio-language model of the real class with a few thousand numbers, for the LoRA recipe."""

from pathlib import Path

import numpy as np
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.pretrained import LoRASettings
from auteur.expression.audio_lm.prompts import Order, answer_text
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.lab.train.audio_lm_lora import LoRARecipe
from auteur.lab.train.smoke.tracks import MADE_UP
from auteur.lab.train.smoke.trial import Trial, people
from auteur.signals import Waveform

_RATE_HZ = 16_000
_WIDTH = 16
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>")


def write_tokenizer(folder: Path) -> "transformers.PreTrainedTokenizerFast":
    """Writes and returns a byte-level BPE as Qwen's, learned from a few answers, digits on their own."""
    random = np.random.default_rng(0)
    sample = [
        answer_text(
            Order.EMOTION_THEN_UNITS,
            emotion=str(random.choice(VOICE_EMOTIONS)),
            frames=[tuple((i, int(random.integers(1, 101)) / 100) for i in range(0, 24, 3))] * 4,
        )
        for _ in range(20)
    ]
    words = tokenizers.Regex(r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+")
    plain = tokenizers.Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    plain.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    plain.train_from_iterator(sample, trainer)
    found = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain,
        **{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    )
    found.save_pretrained(folder)
    return found


def write_base(folder: Path) -> Path:
    """Writes a Qwen2-Audio as small as it comes, with random weights."""
    folder.mkdir(parents=True)
    tokenizer = write_tokenizer(folder)
    torch.manual_seed(0)
    text = {
        "model_type": "qwen2",
        "hidden_size": _WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,  # logits far enough from 0 for the adapter to move them
        "vocab_size": len(tokenizer),
    }
    audio = {
        "model_type": "qwen2_audio_encoder",
        "num_mel_bins": 16,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "d_model": _WIDTH,
        "max_source_positions": 1500,
    }
    config = transformers.Qwen2AudioConfig(
        audio_config=audio,
        text_config=text,
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    transformers.Qwen2AudioForConditionalGeneration(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)
    return folder


def audio_lm_lora(folder: Path) -> Trial:
    """LoRA on four tones, each with an emotion and an Action Unit of its own."""
    recipe = LoRARecipe(
        base=write_base(folder / "base"),
        data=Corpora(shards=(write_tones(folder / "shards"),)),
        out=folder / "adapter",
        epochs=10,
        batch_size=2,
        learning_rate=2e-2,
        log_every_steps=1,
        save_every_steps=6,
        bfloat16=False,
        checkpoint_gradients=False,
        lora=LoRASettings(rank=4),
    )
    return Trial(recipe, log=recipe.out / "adapter.jsonl")


def write_tones(folder: Path) -> Path:
    """Writes shards of four tones, each of a training person with an emotion of its own."""
    samples: list[MadeSample] = []
    emotions = ("happy", "angry", "sad", "fear")
    names = people(lambda name: part_of(name) == "train", len(emotions))
    for number, (emotion, person) in enumerate(zip(emotions, names, strict=True)):
        time = np.arange(int(0.6 * _RATE_HZ)) / _RATE_HZ
        tone = (0.3 * np.sin(2 * np.pi * (150 + 100 * number) * time)).astype(np.float32)
        values = np.zeros((15, 24), np.float32)
        values[:, 4 + 4 * number] = 0.5
        samples.append(
            MadeSample(
                key=f"tone{number}",
                person=person,
                frames=len(values),
                emotion=emotion,
                intensity=1.0,
                arrays={"au.feafa24": values},
                sound=Waveform(samples=tone, rate_hz=_RATE_HZ),
            )
        )
    return write_shards(folder, samples, settings=MADE_UP)
