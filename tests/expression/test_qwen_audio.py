"""Qwen-Audio-Chat's layout with random numbers, against its networks written from the equations."""

import base64
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from auteur.errors import WeightsError
from auteur.expression.audio_lm.pretrained import LoRASettings, PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order, answer_text
from auteur.expression.audio_lm.qwen_audio import AUDIO, length_factors
from auteur.expression.audio_lm.qwen_vocabulary import read_ranks, tokenizer_of
from support import qwen_audio as published

from .test_pretrained_audio_lm import tone, tones_in

pytest.importorskip("transformers", reason="the extra full")
pytestmark = pytest.mark.slow
TRAINED_LENGTH = 40
"""Shorter than the prompt: queries behind it are multiplied."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return published.write_folder(tmp_path_factory.mktemp("qwen"), seq_length=TRAINED_LENGTH)


@pytest.fixture(scope="module")
def model(folder) -> PretrainedAudioLM:
    return PretrainedAudioLM.from_folder(folder)


def stored(folder: Path) -> dict[str, np.ndarray]:
    files = [load_file(path) for path in sorted(folder.glob("model-*.safetensors"))]
    return {name: values.double().numpy() for file in files for name, values in file.items()}


def expected(
    folder: Path, model: PretrainedAudioLM, seconds: float, changes: dict | None = None
) -> np.ndarray:
    """Logits by the equations for the prompt of a tone; `changes` are added to weights."""
    w = stored(folder)
    for name, change in (changes or {}).items():
        w[name] = w[name] + change
    begin = json.loads((folder / "config.json").read_text())["audio"]["audio_start_id"]
    sound = tone(seconds)
    inputs = model.encode([model.prompt(Question(sound=sound))], [sound])
    ids = inputs["input_ids"][0].tolist()
    frames = sound.samples.size // 160
    kept = 2 * ((frames + 1) // 2)
    heard = model.extractor(
        [np.array(sound.samples)], sampling_rate=16_000, padding="max_length", return_tensors="np"
    )
    mel = heard["input_features"][0].T[:kept].astype(np.float64)
    audio = published.encoded_audio(mel, w)
    embedded = w["transformer.wte.weight"][ids]
    first, stop = ids.index(begin), ids.index(begin + 1)
    borders = w["transformer.audio.audio_bos_eos_token.weight"]
    assert stop - first - 1 == ((frames - 1) // 2 + 1 - 2) // 2 + 1 == len(audio)
    embedded[first : stop + 1] = np.concatenate([borders[:1], audio, borders[1:]])
    return published.logits(embedded, w, trained_length=TRAINED_LENGTH)


@pytest.mark.parametrize("seconds", [0.4, 0.617, 1.0])
def test_the_networks_are_the_equations(folder, model, seconds):
    """0.617 s: an odd number of frames, and a part of one that does not count."""
    wanted = expected(folder, model, seconds)
    sound = tone(seconds)
    inputs = model.encode([model.prompt(Question(sound=sound))], [sound])
    assert len(wanted) > TRAINED_LENGTH
    with torch.inference_mode():
        found = model.model(**inputs).logits[0].double().numpy()
    assert np.abs(found - wanted).max() < 2e-4 * np.abs(wanted).max()


def test_a_sequence_and_its_last_step_agree(model):
    """The factors on queries follow the position in the cache."""
    sound = tone(0.4)
    inputs = model.encode([model.prompt(Question(sound=sound)) + "Action"], [sound])
    with torch.inference_mode():
        whole = model.model(**inputs).logits[0, -1]
        shorter = {
            **inputs,
            "input_ids": inputs["input_ids"][:, :-1],
            "attention_mask": inputs["attention_mask"][:, :-1],
        }
        begun = model.model(**shorter, use_cache=True)
        last = model.model(
            input_ids=inputs["input_ids"][:, -1:], attention_mask=inputs["attention_mask"],
            past_key_values=begun.past_key_values,
        )  # fmt: skip
    torch.testing.assert_close(last.logits[0, -1], whole, atol=1e-5, rtol=1e-4)


def test_factors_on_queries():
    found = length_factors(6, 4)
    np.testing.assert_allclose(found, [1, 1, 1, 1, np.log(5) / np.log(4), np.log(6) / np.log(4)], rtol=1e-6)


def test_training_does_not_multiply_queries(model):
    sound = tone(0.4)
    inputs = model.encode([model.prompt(Question(sound=sound))], [sound])
    with torch.inference_mode():
        evaluated = model.model(**inputs).logits
        model.model.train()
        try:
            trained = model.model(**inputs).logits
        finally:
            model.model.eval()
    assert (evaluated[0, TRAINED_LENGTH + 2 :] - trained[0, TRAINED_LENGTH + 2 :]).abs().max() > 1e-3
    torch.testing.assert_close(
        evaluated[0, :TRAINED_LENGTH], trained[0, :TRAINED_LENGTH], atol=1e-5, rtol=1e-4
    )


def test_answers_parse_and_a_batch_is_what_each_is_alone(model):
    questions = [Question(sound=tone(0.4)), Question(sound=tone(0.8, 350), order=Order.UNITS)]
    answers = model.answer(questions)
    assert [len(answer.frames) for answer in answers] == [2, 4]
    assert all(answer.is_complete for answer in answers)


# The vocabulary


def test_tokens_are_those_of_the_ranks(folder):
    ranks = read_ranks(folder / "qwen.tiktoken")
    tokenizer = tokenizer_of(folder / "qwen.tiktoken", {})
    words = ["Action", " Units", "specific", " speaker", "aaaa", "né", "ö", " intensities", "qq(", "(8"]
    for word in words:
        assert tokenizer.encode(word, add_special_tokens=False) == published.joined(word.encode(), ranks), (
            word
        )
    text = "The speaker's 12 né: ö\n\n [(8,.32)(11,1.00)]  x"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert tokenizer.encode("12", add_special_tokens=False) == [ranks[b"1"], ranks[b"2"]]


def test_random_words_are_joined_as_tiktoken_joins_them(tmp_path):
    """Vocabularies in which a token can be made in several ways."""
    random = np.random.default_rng(0)
    letters = list(b"abcd")
    wrong = count = 0
    for number in range(20):
        made = {bytes(random.choice(letters, size)) for size in random.integers(2, 5, 24)}
        tokens = [bytes([byte]) for byte in range(256)] + sorted(made, key=len)
        path = tmp_path / f"{number}.tiktoken"
        path.write_bytes(b"".join(base64.b64encode(one) + b" %d\n" % rank for rank, one in enumerate(tokens)))
        tokenizer, ranks = tokenizer_of(path, {}), read_ranks(path)
        for _ in range(50):
            word = bytes(random.choice(letters, 8))
            found = tokenizer.encode(word.decode(), add_special_tokens=False)
            wrong += found != published.joined(word, ranks)
            count += 1
    assert wrong == 0, f"{wrong} of {count}"


def test_special_tokens_have_the_published_numbers(folder, model):
    begin = json.loads((folder / "config.json").read_text())["audio"]["audio_start_id"]
    count = len(published.ranks())
    named = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", AUDIO, "<audio>", "</audio>")
    found = model.tokenizer.convert_tokens_to_ids(list(named))
    assert found == [count, count + 1, count + 2, count + 3 + 205, begin, begin + 1]


def test_the_prompt_has_the_form_of_the_chat_model(model):
    text = model.prompt(Question(sound=tone(0.4)))
    assert text.startswith(
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nAudio 1:<audio>"
    )
    assert text.endswith("<|im_end|>\n<|im_start|>assistant\n")


# LoRA


def test_an_adapter_of_the_published_modules_adds_its_product(folder, tmp_path):
    pytest.importorskip("peft", reason="the extra full")
    tensors = published.write_adapter(tmp_path / "adapter", rank=3, alpha=6)
    model = PretrainedAudioLM.from_folder(folder, adapter=tmp_path / "adapter")
    changes = {}
    for name, first in tensors.items():
        if "lora_A" in name:
            second = tensors[name.replace("lora_A", "lora_B")]
            place = name.removeprefix("base_model.model.").replace(".lora_A", "")
            changes[place] = (2.0 * second @ first).double().numpy()  # alpha / rank
    wanted = expected(folder, model, 0.4, changes)
    sound = tone(0.4)
    with torch.inference_mode():
        found = (
            model.model(**model.encode([model.prompt(Question(sound=sound))], [sound]))
            .logits[0]
            .double()
            .numpy()
        )
    assert np.abs(found - wanted).max() < 5e-4 * np.abs(wanted).max()
    assert np.abs(found - expected(folder, model, 0.4)).max() > 0.05


def test_train_save_load_generate(folder, tmp_path):
    pytest.importorskip("peft", reason="the extra full")
    pytest.importorskip("accelerate", reason="the extra train")
    from auteur.lab.train.audio_lm_lora import LoRARecipe, train

    recipe = LoRARecipe(
        base=folder, data=tones_in(tmp_path), out=tmp_path / "adapter", epochs=6, batch_size=2,
        learning_rate=3e-2, log_every_steps=1, bfloat16=False, lora=LoRASettings(rank=4),
    )  # fmt: skip
    train(recipe)
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "adapter" / "adapter.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0]
    adapted = PretrainedAudioLM.from_folder(folder, adapter=tmp_path / "adapter")
    assert not any("audio_tower" in name for name, _ in adapted.model.named_parameters() if "lora_" in name)
    assert adapted.answer([Question(sound=tone(0.6))])[0].is_complete
    facts = json.loads((tmp_path / "adapter" / "auteur_base.json").read_text())
    assert facts["model_type"] == "qwen" and facts["hidden_size"] == published.WIDTH


def test_the_loss_counts_on_the_answer_alone(model):
    answer = answer_text(Order.EMOTION_THEN_UNITS, emotion="sad", frames=[((8, 0.3),), ()])
    batch = model.learning_batch([Question(sound=tone(0.4))], [answer])
    counted = batch["labels"][0][batch["labels"][0] != -100]
    assert model.tokenizer.decode(counted) == answer + "<|im_end|>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "has use_dora; plain LoRA of c_attn, c_proj, w1, w2 is read"),
        ({"target_modules": ["wte"]}, "target_modules wte"),
        ({"bias": "all"}, "has bias"),
        ({"r": None}, "cannot read the adapter"),
    ],
)
def test_other_adapters_are_refused(folder, tmp_path, change, message):
    pytest.importorskip("peft", reason="the extra full")
    published.write_adapter(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WeightsError, match=message):
        PretrainedAudioLM.from_folder(folder, adapter=tmp_path)


def test_an_adapter_of_another_base_is_refused(folder, tmp_path):
    pytest.importorskip("peft", reason="the extra full")
    published.write_adapter(tmp_path / "more", layers=published.LAYERS + 1)
    with pytest.raises(WeightsError, match="fits another base: it adapts more layers"):
        PretrainedAudioLM.from_folder(folder, adapter=tmp_path / "more")
    published.write_adapter(tmp_path / "less", layers=1)
    with pytest.raises(WeightsError, match=r"another base: .*layers.1.* is missing or has another shape"):
        PretrainedAudioLM.from_folder(folder, adapter=tmp_path / "less")
    (tmp_path / "less" / "adapter_model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"pickles \(.bin\) are not read"):
        PretrainedAudioLM.from_folder(folder, adapter=tmp_path / "less")


# Bad folders


def changed(folder: Path, out: Path, **values: object) -> Path:
    shutil.copytree(folder, out)
    config = json.loads((out / "config.json").read_text())
    audio = {
        name.removeprefix("audio_"): value for name, value in values.items() if name.startswith("audio_")
    }
    config |= {name: value for name, value in values.items() if not name.startswith("audio_")}
    if isinstance(config.get("audio"), dict):
        config["audio"] |= audio
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"audio": None}, "a qwen without audio"),
        ({"no_bias": False}, "no_bias is False; Qwen-Audio-Chat has True"),
        ({"audio_avg_pool": False}, "audio.avg_pool is False"),
        ({"hidden_size": 32}, "has the shape .*config.json states"),
        ({"hidden_size": "wide"}, "lacks or garbles"),
        ({"audio_audio_start_id": 5}, "belong to different models"),
        ({"num_hidden_layers": 3}, "lacks 'model.language_model.layers.2"),
        ({"num_hidden_layers": 1}, "holds .* beyond its config.json"),
    ],
)
def test_other_configs_are_refused(folder, tmp_path, values, message):
    with pytest.raises(WeightsError, match=message):
        PretrainedAudioLM.from_folder(changed(folder, tmp_path / "other", **values))


def test_damaged_folders_are_refused(folder, tmp_path):
    out = changed(folder, tmp_path / "other")
    first = out / "model-00001-of-00002.safetensors"
    tensors = load_file(first)
    save_file({**tensors, "transformer.visual.proj": torch.zeros(2)}, first)
    with pytest.raises(
        WeightsError, match=r"holds 'transformer.visual.proj', which Qwen-Audio-Chat does not have"
    ):
        PretrainedAudioLM.from_folder(out)
    first.write_bytes(first.read_bytes()[:99])
    with pytest.raises(WeightsError, match="cannot read the weights"):
        PretrainedAudioLM.from_folder(out)
    for path in out.glob("model*"):
        path.unlink()
    with pytest.raises(WeightsError, match=r"no weights in safetensors; pickles \(.bin\) are not read"):
        PretrainedAudioLM.from_folder(out)
    (out / "qwen.tiktoken").write_text("no vocabulary")
    with pytest.raises(WeightsError, match="cannot read the vocabulary"):
        PretrainedAudioLM.from_folder(out)
    (out / "qwen.tiktoken").write_text("QQ== 0\n")
    with pytest.raises(WeightsError, match="whose ranks are not"):
        PretrainedAudioLM.from_folder(out)
