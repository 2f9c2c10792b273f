"""The real classes of transformers at tiny size, with random weights: no network, no GPU."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import UsageError, WeightsError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.pretrained import (
    BASE_FACTS,
    LoRASettings,
    PretrainedAudioLM,
    Question,
    audio_tokens,
)
from auteur.expression.audio_lm.prompts import Order, answer_text
from auteur.signals import Waveform

from .test_answer_grammar import bpe_tokenizer

pytestmark = pytest.mark.slow

transformers = pytest.importorskip("transformers", reason="the extra full")
KINDS = ("qwen2_audio", "qwen2_5_omni_thinker")
_TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}


def tiny_model(kind: str, tokenizer, *, width: int = 16):
    """A model of the real class with a few thousand parameters."""
    torch.manual_seed(0)
    text = _TEXT | {"hidden_size": width, "vocab_size": len(tokenizer)}
    sound = tokenizer.convert_tokens_to_ids("<|AUDIO|>")
    if kind == "qwen2_audio":
        audio = {
            "num_mel_bins": 16,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "d_model": 16,
            "max_source_positions": 1500,
        }
        config = transformers.Qwen2AudioConfig(
            audio_config=audio | {"model_type": "qwen2_audio_encoder"},
            text_config=text | {"model_type": "qwen2"},
            audio_token_index=sound,
        )
        return transformers.Qwen2AudioForConditionalGeneration(config)
    audio = {
        "num_mel_bins": 16,
        "encoder_layers": 1,
        "encoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "d_model": 16,
        "max_source_positions": 1500,
        "n_window": 100,
        "output_dim": width,
    }
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": width,
    }
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [1, 1, 2]}
    config = transformers.Qwen2_5OmniThinkerConfig(
        audio_config=audio,
        vision_config=vision,
        text_config=text | {"rope_parameters": rope},
        audio_token_id=sound,
        audio_start_token_id=tokenizer.convert_tokens_to_ids("<|audio_bos|>"),
        vision_start_token_id=len(tokenizer) + 1,
        pad_token_id=tokenizer.pad_token_id,
    )
    return transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)


@pytest.fixture(scope="module", params=KINDS)
def base(request, tmp_path_factory) -> Path:
    return saved(request.param, tmp_path_factory.mktemp(request.param))


def saved(kind: str, folder: Path, *, width: int = 16) -> Path:
    tokenizer = bpe_tokenizer()
    tiny_model(kind, tokenizer, width=width).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    transformers.WhisperFeatureExtractor(feature_size=16).save_pretrained(folder)
    return folder


def tone(seconds: float, hertz: float = 200.0) -> Waveform:
    time = np.arange(int(seconds * 16_000)) / 16_000
    return Waveform(samples=(0.3 * np.sin(2 * np.pi * hertz * time)).astype(np.float32), rate_hz=16_000)


def test_answers_parse_whatever_the_weights(base):
    model = PretrainedAudioLM.from_folder(base)
    questions = [
        Question(sound=tone(0.4)),
        Question(sound=tone(0.9, 300), order=Order.UNITS_GIVEN_EMOTION, emotion="happy"),
    ]
    answers = model.answer(questions)
    assert [len(answer.frames) for answer in answers] == [2, 4]
    assert all(answer.is_complete for answer in answers)
    assert answers[0].emotion in codec.EMOTIONS
    assert answers[1].emotion is None


def test_a_batch_gives_what_each_gives_alone(base):
    model = PretrainedAudioLM.from_folder(base)
    questions = [Question(sound=tone(0.4)), Question(sound=tone(0.8, 350))]
    assert model.answer(questions) == [model.answer([one])[0] for one in questions]


def test_the_loss_counts_on_the_answer_alone(base):
    model = PretrainedAudioLM.from_folder(base)
    answer = answer_text(Order.EMOTION_THEN_UNITS, emotion="sad", frames=[((8, 0.3),), ()])
    batch = model.learning_batch([Question(sound=tone(0.4))], [answer])
    counted = batch["labels"][0][batch["labels"][0] != -100]
    assert model.tokenizer.decode(counted) == answer + "<|im_end|>"
    audio = (batch["input_ids"] == model.tokenizer.convert_tokens_to_ids("<|AUDIO|>")).sum()
    assert audio == audio_tokens(40)


def test_too_long_sound_is_refused(base):
    with pytest.raises(UsageError, match="at most 30 s"):
        PretrainedAudioLM.from_folder(base).answer([Question(sound=tone(30.5))])


def tones_in(folder: Path):
    from auteur.lab.data.shards import Corpora
    from auteur.lab.train.smoke.language import write_tones

    return Corpora(shards=(write_tones(folder / "shards"),))


def test_train_save_load_generate_parse(base, tmp_path):
    pytest.importorskip("peft", reason="the extra full")
    pytest.importorskip("accelerate", reason="the extra full")
    from auteur.lab.train.audio_lm_lora import LoRARecipe, train

    recipe = LoRARecipe(
        base=base,
        data=tones_in(tmp_path),
        out=tmp_path / "adapter",
        epochs=6,
        batch_size=2,
        learning_rate=3e-2,
        log_every_steps=1,
        bfloat16=False,
        lora=LoRASettings(rank=4),
    )
    train(recipe)
    lines = (tmp_path / "adapter" / "adapter.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 12  # six epochs of four clips
    assert losses[-1] < losses[0]
    adapted = PretrainedAudioLM.from_folder(base, adapter=tmp_path / "adapter")
    names = [name for name, _ in adapted.model.named_parameters() if "lora_" in name]
    assert names
    assert not any("audio_tower" in name for name in names)
    moved = [p for name, p in adapted.model.named_parameters() if "lora_B" in name]
    assert any(p.abs().max() > 0 for p in moved)
    answer = adapted.answer([Question(sound=tone(0.6))])[0]
    assert answer.is_complete
    assert len(answer.frames) == 3


def test_an_adapter_of_another_base_is_refused(tmp_path):
    pytest.importorskip("peft", reason="the extra full")
    base = saved("qwen2_audio", tmp_path / "base")
    other = saved("qwen2_audio", tmp_path / "other", width=32)
    model = PretrainedAudioLM.from_folder(base)
    model.add_adapter(LoRASettings(rank=2))
    adapter = tmp_path / "adapter"
    model.save_adapter(adapter)
    with pytest.raises(WeightsError, match=r"width 16 .* base model is a qwen2_audio of width 32"):
        PretrainedAudioLM.from_folder(other, adapter=adapter)
    (adapter / BASE_FACTS).unlink()
    with pytest.raises(WeightsError, match="no adapter of this project"):
        PretrainedAudioLM.from_folder(base, adapter=adapter)
    with pytest.raises(UsageError, match="adapter already"):
        model.add_adapter()
    with pytest.raises(UsageError, match="no adapter to save"):
        PretrainedAudioLM.from_folder(base).save_adapter(adapter)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no audio-language model"):
        PretrainedAudioLM.from_folder(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="holds a bert"):
        PretrainedAudioLM.from_folder(tmp_path)


def test_clips_are_those_of_training_people(tmp_path):
    from auteur.lab.train.audio_lm_lora import AnsweredClips

    clips = AnsweredClips(corpora := tones_in(tmp_path), order=Order.UNITS_GIVEN_EMOTION)
    assert len(clips) == 4
    question, answer = clips[1]
    assert question.emotion == "angry"
    assert answer == "Action Units:\n" + "\n".join(["[(8,.50)]"] * 3)
    with pytest.raises(UsageError, match="mix has no effect here"):
        AnsweredClips(replace(corpora, mix="shards=1"), order=Order.UNITS)
