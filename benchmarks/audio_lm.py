"""Measures the shipped audio-language model and its control on people new to them: weights/audio_lm.md.

    python benchmarks/audio_lm.py --performances performances.npz --units emotion_units.npz --out
    audio_lm.json

A table like AUHead's Table 1 on held-out speakers (built targets) and on held-out people of the video clips
(measured targets), emotion accuracy, share of answers that parse, and speed. Targets of speech-only
recordings are drawn once, from a fixed seed.
"""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from auteur.evaluate.au_scores import au_scores, emotion_accuracy
from auteur.expression.au_generators import CompactAUGenerator
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.compact import AudioLM
from auteur.expression.audio_lm.constrained_decoder import (
    ConstrainedDecoder,
    PartialAnswer,
    whole_answer,
)
from auteur.expression.audio_lm.prompts import Order, read_answer
from auteur.expression.regressor import Regressor
from auteur.expression.speech_to_au import SpeechToAU
from auteur.lab.data.audio_lm_batches import THRESHOLD, rows_of, text_frames
from auteur.lab.data.emotion_units import load_units
from auteur.lab.data.performances import LabelledRecording, load_performances
from auteur.lab.train.emotion_classifier import CORPUS_EMOTIONS
from auteur.signals import Waveform
from auteur.weights import load_model

LONGEST_FRAMES = 40
SHIPPED = Path(codec.__file__).parents[2] / "weights"


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    performances: Path
    units: Path
    out: Path
    model: Path = SHIPPED / "audio_lm.safetensors"
    regressor: Path = SHIPPED / "regressor.safetensors"
    every: int = 1
    """Score the units of every n-th held-out recording; emotions are scored on all."""
    workers: int = 2
    parts: tuple[Literal["emotions", "verdict", "speed", "rules", "built", "measured"], ...] = (
        "emotions",
        "verdict",
        "speed",
        "rules",
        "built",
        "measured",
    )
    """What to measure; what `out` holds already of the others stays."""


@dataclass(frozen=True)
class Case:
    """One recording to score."""

    one: LabelledRecording
    rows: np.ndarray
    truth: np.ndarray
    frames: int


def cases(
    performances: Sequence[LabelledRecording], units: Path, *, measured: bool, every: int
) -> list[Case]:
    statistics = load_units(units)
    chosen = [one for one in performances if one.is_held_out and one.is_measured == measured]
    found: list[Case] = []
    for number, one in enumerate(chosen):
        target = one.target(statistics, np.random.default_rng(number))  # the same draw whatever is skipped
        if number % every:
            continue
        frames = min(len(target) // 5, LONGEST_FRAMES)
        truth = codec.values_of(text_frames(target, frames))
        found.append(Case(one, rows_of(one, 0, frames), truth, frames))
    return found


def always_mean(performances: Sequence[LabelledRecording], units: Path) -> np.ndarray:
    """Mean of the training people's targets, [24], nothing under the threshold."""
    statistics = load_units(units)
    random = np.random.default_rng(0)
    training = [one for one in performances if not one.is_held_out and one.is_speech]
    mean = np.mean([one.target(statistics, random).mean(0) for one in training], axis=0)
    return np.where(mean > THRESHOLD, mean, 0)


def answered(
    model: Path, order: Order, some: Sequence[Case]
) -> tuple[list[np.ndarray], list[str | None], int]:
    """Values, emotions and how many answers parse."""
    torch.set_num_threads(1)
    decoder = ConstrainedDecoder(load_model(model, AudioLM))
    values, emotions, parsed = [], [], 0
    for case in some:
        given = case.one.emotion if order is Order.UNITS_GIVEN_EMOTION else None
        frames, answer = whole_answer(
            decoder, torch.from_numpy(case.rows), frames=case.frames, order=order, emotion=given
        )
        read = read_answer(answer.text, frames=case.frames)
        parsed += read.is_complete and read.frames == frames
        values.append(codec.values_of(frames))
        emotions.append(answer.emotion)
    return values, emotions, parsed


@torch.no_grad()
def regressed(model: Path, some: Sequence[Case], *, given: bool) -> tuple[list[np.ndarray], list[str]]:
    network = load_model(model, Regressor)
    values, emotions = [], []
    for case in some:
        felt = torch.zeros(1, len(VOICE_EMOTIONS))
        if given:
            felt[0, VOICE_EMOTIONS.index(case.one.emotion)] = 1
        units, voice = network(torch.from_numpy(case.rows)[None], felt if given else None)
        found = units[0, ::5][: case.frames].numpy()
        values.append(np.where(found > THRESHOLD, found, 0))
        emotions.append(VOICE_EMOTIONS[int(voice.argmax())])
    return values, emotions


def table(run: Benchmark, some: list[Case], mean: np.ndarray) -> Iterator[dict]:
    """One row per system."""
    truth = [case.truth for case in some]
    labelled = [case for case in some if case.one.emotion]
    with ProcessPoolExecutor(run.workers) as pool:
        orders = list(Order)
        jobs = {
            order: pool.submit(
                answered, run.model, order, labelled if order is Order.UNITS_GIVEN_EMOTION else some
            )
            for order in orders
        }
        for order, job in jobs.items():
            of = labelled if order is Order.UNITS_GIVEN_EMOTION else some
            values, emotions, parsed = job.result()
            yield row(order.value, of, values, emotions) | {"parsed": f"{parsed}/{len(of)}"}
    values, emotions = regressed(run.regressor, some, given=False)
    yield row("regressor", some, values, emotions)
    values, _ = regressed(run.regressor, labelled, given=True)
    yield row("regressor, emotion given", labelled, values, [None] * len(labelled))
    yield row("always the mean", some, [np.tile(mean, (len(t), 1)) for t in truth], [None] * len(some))


def row(name: str, some: list[Case], values: list[np.ndarray], emotions: Sequence[str | None]) -> dict:
    found = asdict(au_scores([case.truth for case in some], values))
    pairs = [
        (case.one.emotion, emotion)
        for case, emotion in zip(some, emotions, strict=True)
        if case.one.emotion and emotion is not None
    ]
    accuracy = emotion_accuracy(*map(list, zip(*pairs, strict=True))) if pairs else None
    return {"system": name, **{key: round(value, 4) for key, value in found.items()}, "emotion": accuracy}


def emotions_of(run: Benchmark, performances: Sequence[LabelledRecording]) -> dict:
    """Accuracy of the ensemble on all held-out recordings: over the corpus's own list, and over all ten."""
    decoder = ConstrainedDecoder(load_model(run.model, AudioLM))
    found: dict[str, dict] = {}
    for corpus, words in CORPUS_EMOTIONS.items():
        some = [one for one in performances if one.is_held_out and one.speaker.startswith(corpus)]
        own, every = [], []
        for one in some:
            chances = decoder.emotion_log_probabilities(torch.from_numpy(one.rows))
            every.append(VOICE_EMOTIONS[int(chances.argmax())])
            own.append(max(words, key=lambda word: chances[VOICE_EMOTIONS.index(word)]))
        truth = [one.emotion for one in some]
        found[corpus] = {
            "recordings": len(some),
            "speakers": len({one.speaker for one in some}),
            "own_list": round(emotion_accuracy(truth, own), 4),
            "all_ten": round(emotion_accuracy(truth, every), 4),
            "confusion": {
                word: {
                    other: sum(t == word and o == other for t, o in zip(truth, own, strict=True))
                    for other in words
                }
                for word in words
            },
        }
    return found


def verdict(
    decoder: ConstrainedDecoder, performances: Sequence[LabelledRecording], *, every: int, units_every: int
) -> dict:
    """What the ensemble's prediction in the prompt adds: the same model with it and with a flat one.

    Emotion is the model's own first word. Units, since recordings have none that were measured, are compared
    with the answer of the same model to the right emotion, given.

    Args:
        decoder: The model.
        performances: Recordings with rows, emotion, speaker and `is_held_out`.
        every: Every n-th held-out recording counts for emotions.
        units_every: And every n-th of these for units.
    """
    some = [one for one in performances if one.is_held_out][::every]
    flat = torch.full((len(VOICE_EMOTIONS),), 1 / len(VOICE_EMOTIONS)).log()
    words: dict[str, list[str | None]] = {"with it": [], "without": []}
    values: dict[str, list[np.ndarray]] = {"with it": [], "without": [], "given": []}
    for number, one in enumerate(some):
        rows = torch.from_numpy(one.rows)
        frames = max(1, min(len(one.rows) // 10, LONGEST_FRAMES))
        heard = decoder.emotion_log_probabilities(rows)
        for name, prediction in {"with it": heard, "without": flat}.items():
            answer = PartialAnswer()
            corpus = CORPUS_EMOTIONS[one.speaker.partition("_")[0]]
            written = decoder.frames(rows, prediction, frames=frames, emotions=corpus, answer=answer)
            made = [next(written)] if number % units_every else list(written)
            words[name].append(answer.emotion)
            if number % units_every == 0:
                values[name].append(codec.values_of(codec.fitted(tuple(made), frames)))
        if number % units_every == 0:
            order = Order.UNITS_GIVEN_EMOTION
            told = tuple(decoder.frames(rows, flat, frames=frames, order=order, emotion=one.emotion))
            values["given"].append(codec.values_of(codec.fitted(told, frames)))
    found: dict[str, dict] = {}
    for name, chosen in words.items():
        scores = asdict(au_scores(values["given"], values[name]))
        found[name] = {key: round(value, 4) for key, value in scores.items()}
        for corpus in CORPUS_EMOTIONS:
            own = [i for i, one in enumerate(some) if one.speaker.startswith(corpus)]
            right = [some[i].emotion == chosen[i] for i in own]
            found[name][corpus] = [round(float(np.mean(right)), 4), len(own)] if own else None
    return found


def speed(run: Benchmark) -> dict:
    """Seconds of processor time per second of sound, and what comes first, on a made-up voice of 20 s."""
    rate = 16_000
    at = np.arange(20 * rate) / rate
    phase = np.cumsum(140 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * at))) / rate
    voice = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 12)) * (
        0.15 + np.clip(np.sin(2 * np.pi * 4 * at), 0, 1)
    )
    speech = Waveform(samples=(0.15 * voice).astype(np.float32), rate_hz=rate)
    model = SpeechToAU(CompactAUGenerator(ConstrainedDecoder(load_model(run.model, AudioLM))))
    model(speech.slice(0, 2))
    started, used = time.perf_counter(), time.process_time()
    stream = iter(model.stream(speech))
    next(stream)
    first = time.process_time() - used
    for _ in stream:
        pass
    used = time.process_time() - used
    return {
        "sound_sec": 20,
        "cpu_sec": round(used, 2),
        "times_faster_than_real_time": round(20 / used, 1),
        "first_frames_after_cpu_sec": round(first, 2),
        "wall_sec": round(time.perf_counter() - started, 2),
    }


def rules(run: Benchmark) -> dict:
    """What becomes of a second of what is no speech."""
    random = np.random.default_rng(7)
    at = np.arange(16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * at) for hertz in (220, 277, 330)) / 6
    sounds = {
        "silence": np.zeros(16_000),
        "white noise": 0.1 * random.standard_normal(16_000),
        "brown noise": np.cumsum(random.standard_normal(16_000)) / 400,
        "chord": chord + 0.003 * random.standard_normal(16_000),
        "mains hum": 0.2 * np.sin(2 * np.pi * 50 * at) + 0.05 * random.standard_normal(16_000),
    }
    model = SpeechToAU(CompactAUGenerator(ConstrainedDecoder(load_model(run.model, AudioLM))))
    found = {}
    for name, samples in sounds.items():
        direction = model(Waveform(samples=np.clip(samples, -1, 1).astype(np.float32), rate_hz=16_000))
        found[name] = {
            "emotion": direction.emotion,
            "largest_intensity": round(float(direction.track.values.max()), 3),
        }
    return found


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    performances = [one for one in load_performances(run.performances) if one.is_speech]
    result: dict = json.loads(run.out.read_text(encoding="utf-8")) if run.out.exists() else {}
    for part in run.parts:
        if part == "emotions":
            result[part] = emotions_of(run, performances)
        elif part == "verdict":
            decoder = ConstrainedDecoder(load_model(run.model, AudioLM))
            result[part] = verdict(decoder, performances, every=run.every, units_every=4)
        elif part == "speed":
            result[part] = speed(run)
        elif part == "rules":
            result[part] = rules(run)
        else:
            measured = part == "measured"
            some = cases(performances, run.units, measured=measured, every=1 if measured else run.every)
            rows = list(table(run, some, always_mean(performances, run.units)))
            result[part] = {"recordings": len(some), "rows": rows}
        print(part, json.dumps(result[part], indent=1), flush=True)
        run.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
